// Fuzz target: of any bytes the masker leaves no number that passes for a card's, takes
// no time, and does nothing more when it is called again.
#include "core/payments/forbidden_fields.h"
#include "core/payments/mask.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word(char c) { return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z'); }
bool is_hex(char c) { return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f'); }

bool passes_luhn(std::string_view digits) {
  int sum = 0;
  for (size_t i = 0; i < digits.size(); ++i) {
    const int digit = (digits[digits.size() - 1 - i] - '0') * (i % 2 == 0 ? 1 : 2);
    sum += digit > 9 ? digit - 9 : digit;
  }
  return sum % 10 == 0;
}

bool is_time(std::string_view digits) {
  const size_t size = digits.size();
  return digits[0] == '1' && (size == 10 || size == 13 || size == 16 || size == 19);
}

// True where it would be too short for a card's but for the zeros before it.
bool is_short(std::string_view digits) {
  const size_t first = digits.find_first_not_of('0');
  return first == std::string_view::npos || digits.size() - first < 13;
}

// Long hexadecimal words and uuids stay, whatever digits they hold.
bool is_in_hex(std::string_view text, size_t begin, size_t end) {
  while (begin > 0 && (is_word(text[begin - 1]) || text[begin - 1] == '-')) --begin;
  while (end < text.size() && (is_word(text[end]) || text[end] == '-')) ++end;
  size_t hex = 0;
  bool has_letter = false;
  for (size_t i = begin; i < end; ++i) {
    hex += static_cast<size_t>(is_hex(text[i]));
    has_letter = has_letter || (is_hex(text[i]) && !is_digit(text[i])) || text[i] == '-';
  }
  return hex >= 20 && has_letter;
}

// Returns the runs of digits, each with its place.
std::vector<std::pair<size_t, size_t>> runs_of(std::string_view text) {
  std::vector<std::pair<size_t, size_t>> runs;
  for (size_t begin = 0; begin < text.size();) {
    size_t end = begin;
    while (end < text.size() && is_digit(text[end])) ++end;
    if (end > begin) runs.emplace_back(begin, end);
    begin = end + 1;
  }
  return runs;
}

void check_no_card_left(std::string_view masked) {
  for (const auto& [begin, end] : runs_of(masked)) {
    const std::string_view digits = masked.substr(begin, end - begin);
    if (digits.size() < 13 || digits.size() > 19 || !passes_luhn(digits) || is_time(digits) || is_short(digits)) continue;
    if (!is_in_hex(masked, begin, end)) __builtin_trap();
  }
  // Grouped by single blanks or dashes.
  std::string digits;
  bool has_time = false;
  for (size_t i = 0; i <= masked.size(); ++i) {
    const char c = i < masked.size() ? masked[i] : 'x';
    if (is_digit(c)) {
      digits += c;
      continue;
    }
    const bool joins = (c == ' ' || c == '-') && i > 0 && is_digit(masked[i - 1]) && i + 1 < masked.size() && is_digit(masked[i + 1]);
    if (joins) continue;
    if (digits.size() >= 13 && digits.size() <= 19 && passes_luhn(digits) && !is_time(digits) && !is_short(digits)) {
      // A group that is a time is no part of a number.
      size_t begin = i;
      while (begin > 0 && (is_digit(masked[begin - 1]) || masked[begin - 1] == ' ' || masked[begin - 1] == '-')) --begin;
      has_time = false;
      for (const auto& [from, to] : runs_of(masked.substr(begin, i - begin))) {
        has_time = has_time || is_time(masked.substr(begin + from, to - from));
      }
      if (!has_time && !is_in_hex(masked, begin, i)) __builtin_trap();
    }
    digits.clear();
  }
}

// Times that stand between blanks are there afterwards, in their order.
void check_times_stay(std::string_view text, std::string_view masked) {
  std::string spaced;
  for (const auto& [begin, end] : runs_of(text)) {
    const std::string_view digits = text.substr(begin, end - begin);
    if (is_time(digits)) (spaced += digits) += "\n# ";
    if (digits.size() < 40) (spaced += digits) += " ; ";
  }
  const std::string kept = fraud::mask_card_numbers(spaced);
  size_t at = 0;
  for (const auto& [begin, end] : runs_of(spaced)) {
    const std::string_view digits = std::string_view(spaced).substr(begin, end - begin);
    if (!is_time(digits)) continue;
    at = kept.find(digits, at);
    if (at == std::string::npos) __builtin_trap();
    at += digits.size();
  }
  (void)masked;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string masked = fraud::mask_card_numbers(text);
  check_no_card_left(masked);
  check_times_stay(text, masked);
  if (fraud::mask_card_numbers(masked) != masked) __builtin_trap();
  if (fraud::holds_card_number(text) != (masked != text)) __builtin_trap();
  const std::string broken = fraud::redact_broken(text);
  check_no_card_left(broken);
  if (fraud::mask_card_numbers(broken, fraud::Masking::kAny) != broken) __builtin_trap();
  // The first digits of the input, as if they were the payment's own number.
  std::string own;
  for (const char c : text) {
    if (is_digit(c) && own.size() < 12) own += c;
  }
  if (own.size() >= 8) {
    std::string hidden(text);
    fraud::hide_card_number(own, &hidden);
    if (hidden.find(own) != std::string::npos) __builtin_trap();
  }
  return 0;
}
