// Finds and masks card numbers in text that people or logs may see.
#include "core/payments/mask.h"

#include <array>
#include <cstddef>

namespace fraud {
namespace {

constexpr size_t kMinCardRun = 11;
constexpr size_t kShownDigits = 4;
// The fewest asterisks that a mask begins with.
constexpr size_t kMinAsterisks = kMinCardRun - kShownDigits;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

// Bytes above ASCII count as bounds: better one mask too many than one too few.
bool is_word(char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// Returns the end of the digits that begin at `at`.
size_t digits_end(std::string_view text, size_t at) {
  while (at < text.size() && is_digit(text[at])) ++at;
  return at;
}

// True when [begin, end) is not part of a longer word.
bool is_bounded(std::string_view text, size_t begin, size_t end) {
  return (begin == 0 || !is_word(text[begin - 1])) && (end == text.size() || !is_word(text[end]));
}

// Returns the end of the uuid that begins at `at`, or `at`.
size_t uuid_end(std::string_view text, size_t at) {
  constexpr std::string_view kShape = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
  if (text.size() - at < kShape.size()) return at;
  for (size_t i = 0; i < kShape.size(); ++i) {
    const char c = text[at + i];
    if (kShape[i] == '-' ? c != '-' : !is_hex(c)) return at;
  }
  return is_bounded(text, at, at + kShape.size()) ? at + kShape.size() : at;
}

// True when the digits at `at` are what an earlier mask has left to be seen.
bool follows_mask(std::string_view text, size_t at) {
  if (at < kMinAsterisks) return false;
  return text.substr(at - kMinAsterisks, kMinAsterisks).find_first_not_of('*') ==
         std::string_view::npos;
}

// Returns the end of a card number in groups that begins at `at`, or `at`.
size_t grouped_end(std::string_view text, size_t at) {
  constexpr size_t kMaxGroups = 5;
  // The ways in which cards print 12 to 19 digits; longer ones come first.
  constexpr std::array<std::array<size_t, kMaxGroups>, 11> kShapes = {{
      {4, 4, 4, 4, 3},
      {4, 4, 4, 4, 2},
      {4, 4, 4, 4, 1},
      {4, 4, 4, 4, 0},
      {4, 4, 4, 3, 0},
      {4, 4, 4, 2, 0},
      {4, 4, 4, 1, 0},
      {4, 6, 5, 0, 0},
      {4, 6, 4, 0, 0},
      {4, 4, 5, 0, 0},
      {4, 4, 4, 0, 0},
  }};
  std::array<size_t, kMaxGroups> length{};
  std::array<size_t, kMaxGroups> end{};
  size_t begin = at;
  for (size_t group = 0; group < kMaxGroups; ++group) {
    end[group] = digits_end(text, begin);
    if (end[group] == begin || !is_bounded(text, begin, end[group])) break;
    length[group] = end[group] - begin;
    if (end[group] == text.size() || (text[end[group]] != ' ' && text[end[group]] != '-')) break;
    begin = end[group] + 1;
  }
  for (const auto& shape : kShapes) {
    size_t groups = 0;
    while (groups < kMaxGroups && shape[groups] != 0 && shape[groups] == length[groups]) ++groups;
    if (groups == kMaxGroups || shape[groups] == 0) return end[groups - 1];
  }
  return at;
}

// True when the digits [begin, end) are the decimals of a number whose exponent
// makes it as large as a card number.
bool is_card_mantissa(std::string_view text, size_t begin, size_t end) {
  if (begin < 2 || text[begin - 1] != '.' || !is_digit(text[begin - 2])) return false;
  if (end == text.size() || (text[end] != 'e' && text[end] != 'E')) return false;
  size_t at = end + 1;
  if (at < text.size() && text[at] == '+') ++at;
  const size_t exponent_end = digits_end(text, at);
  return exponent_end - at == 2 && text[at] == '1' &&
         (exponent_end == text.size() || !is_word(text[exponent_end]));
}

// Appends a mask for `written`, which holds digits and separators.
void append_masked(std::string_view written, std::string* out) {
  std::string digits;
  for (const char c : written) {
    if (is_digit(c)) digits += c;
  }
  // The separators go too: a group left alone could join those that follow.
  out->append(digits.size() - kShownDigits, '*');
  out->append(digits, digits.size() - kShownDigits, kShownDigits);
}

}  // namespace

std::string mask_card_numbers(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  size_t at = 0;
  while (at < text.size()) {
    if (is_hex(text[at])) {
      const size_t end = uuid_end(text, at);
      if (end != at) {
        out.append(text.substr(at, end - at));
        at = end;
        continue;
      }
    }
    const size_t end = digits_end(text, at);
    if (end == at) {
      out += text[at++];
      continue;
    }
    const size_t length = end - at;
    size_t card_end = at;
    if (length >= kMinCardRun) {
      const bool is_epoch_ms = length == 13 && text[at] == '1';
      if ((is_bounded(text, at, end) && !is_epoch_ms) || is_card_mantissa(text, at, end)) {
        card_end = end;
      }
    } else if (!follows_mask(text, at)) {
      card_end = grouped_end(text, at);
    }
    if (card_end == at) {
      out.append(text.substr(at, length));
      at = end;
    } else {
      append_masked(text.substr(at, card_end - at), &out);
      at = card_end;
    }
  }
  return out;
}

void hide_card_number(std::string_view card_number, std::string* text) {
  if (card_number.size() <= kShownDigits) return;
  const size_t hidden = card_number.size() - kShownDigits;
  for (size_t at = text->find(card_number); at != std::string::npos;
       at = text->find(card_number, at + hidden)) {
    text->replace(at, hidden, hidden, '*');
  }
}

}  // namespace fraud
