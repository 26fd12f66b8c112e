// Tells digits and separators from other characters.
#include "core/payments/digits.h"

#include <algorithm>
#include <array>

namespace fraud {
namespace {

struct DigitRange {
  uint32_t first;  // code point
  uint8_t count;
  uint8_t value;  // of the first; those that follow count on, modulo 10
};

// All characters that Unicode gives a digit's value, but ASCII's, in their order.
constexpr std::array<DigitRange, 82> kDigitRanges = {{
    {0xB2, 2, 2}, {0xB9, 1, 1}, {0x660, 10, 0}, {0x6F0, 10, 0}, {0x7C0, 10, 0}, {0x966, 10, 0},
    {0x9E6, 10, 0}, {0xA66, 10, 0}, {0xAE6, 10, 0}, {0xB66, 10, 0}, {0xBE6, 10, 0},
    {0xC66, 10, 0}, {0xCE6, 10, 0}, {0xD66, 10, 0}, {0xDE6, 10, 0}, {0xE50, 10, 0},
    {0xED0, 10, 0}, {0xF20, 10, 0}, {0x1040, 10, 0}, {0x1090, 10, 0}, {0x1369, 9, 1},
    {0x17E0, 10, 0}, {0x1810, 10, 0}, {0x1946, 10, 0}, {0x19D0, 10, 0}, {0x19DA, 1, 1},
    {0x1A80, 10, 0}, {0x1A90, 10, 0}, {0x1B50, 10, 0}, {0x1BB0, 10, 0}, {0x1C40, 10, 0},
    {0x1C50, 10, 0}, {0x2070, 1, 0}, {0x2074, 6, 4}, {0x2080, 10, 0}, {0x2460, 9, 1},
    {0x2474, 9, 1}, {0x2488, 9, 1}, {0x24EA, 1, 0}, {0x24F5, 9, 1}, {0x24FF, 1, 0},
    {0x2776, 9, 1}, {0x2780, 9, 1}, {0x278A, 9, 1}, {0xA620, 10, 0}, {0xA8D0, 10, 0},
    {0xA900, 10, 0}, {0xA9D0, 10, 0}, {0xA9F0, 10, 0}, {0xAA50, 10, 0}, {0xABF0, 10, 0},
    {0xFF10, 10, 0}, {0x104A0, 10, 0}, {0x10A40, 4, 1}, {0x10D30, 10, 0}, {0x10E60, 9, 1},
    {0x11052, 9, 1}, {0x11066, 10, 0}, {0x110F0, 10, 0}, {0x11136, 10, 0}, {0x111D0, 10, 0},
    {0x112F0, 10, 0}, {0x11450, 10, 0}, {0x114D0, 10, 0}, {0x11650, 10, 0}, {0x116C0, 10, 0},
    {0x11730, 10, 0}, {0x118E0, 10, 0}, {0x11950, 10, 0}, {0x11C50, 10, 0}, {0x11D50, 10, 0},
    {0x11DA0, 10, 0}, {0x16A60, 10, 0}, {0x16AC0, 10, 0}, {0x16B50, 10, 0}, {0x1D7CE, 50, 0},
    {0x1E140, 10, 0}, {0x1E2F0, 10, 0}, {0x1E950, 10, 0}, {0x1F100, 1, 0}, {0x1F101, 10, 0},
    {0x1FBF0, 10, 0},
}};

constexpr std::array<Sign, 128> make_ascii_signs() {
  std::array<Sign, 128> signs{};
  for (char c = '0'; c <= '9'; ++c) signs[static_cast<size_t>(c)] = Sign::kDigit;
  // NUL is what UTF-16 has between digits.
  for (const char c : {' ', '\t', '\n', '\r', '\v', '\f', '-', '\0'}) {
    signs[static_cast<size_t>(c)] = Sign::kGap;
  }
  signs['.'] = Sign::kDot;
  signs[','] = Sign::kComma;
  signs['\''] = Sign::kComma;
  signs['/'] = Sign::kSlash;
  signs['_'] = Sign::kUnderscore;
  signs['+'] = Sign::kPlus;
  signs[':'] = Sign::kColon;
  signs['|'] = Sign::kBar;
  signs['*'] = Sign::kStar;
  signs['\\'] = Sign::kBackslash;
  signs['~'] = Sign::kTilde;
  signs['#'] = Sign::kHash;
  return signs;
}

constexpr std::array<Sign, 128> kAsciiSigns = make_ascii_signs();

Character character_of(uint32_t code, uint8_t size) noexcept {
  const auto range = std::upper_bound(
      kDigitRanges.begin(), kDigitRanges.end(), code,
      [](uint32_t key, const DigitRange& candidate) { return key < candidate.first; });
  if (range != kDigitRanges.begin()) {
    const DigitRange& before = *(range - 1);
    if (code < before.first + before.count) {
      return {Sign::kDigit, static_cast<uint8_t>((before.value + code - before.first) % 10), size};
    }
  }
  Sign sign = Sign::kOther;
  switch (code) {
    case 0x00A0:  // no-break space
    case 0x00AD:  // soft hyphen
    case 0x061C:  // mark of direction
    case 0x115F:  // fillers of no width
    case 0x1160:
    case 0x3164:
    case 0xFFA0:
    case 0x1680:
    case 0x202F:
    case 0x205F:
    case 0x2060:  // word joiner
    case 0x2212:  // minus
    case 0x2E3A:
    case 0x2E3B:
    case 0x3000:  // ideographic space
    case 0xFE58:
    case 0xFE63:
    case 0xFEFF:  // no-break space of no width
    case 0xFF0D:  // full-width hyphen
      sign = Sign::kGap;
      break;
    case 0x00B7:
    case 0x2022:
    case 0x2219:
    case 0x22C5:
    case 0xFF0E:
      sign = Sign::kDot;
      break;
    case 0xFF0C:
    case 0x2019:
      sign = Sign::kComma;
      break;
    default:
      // Spaces of all widths and marks of direction; dashes; what ends a line, or is not seen; what is
      // drawn over or around a digit, as of emoji.
      if ((code >= 0x2000 && code <= 0x2015) || (code >= 0x2028 && code <= 0x202E) ||
          (code >= 0x2061 && code <= 0x206F) || (code >= 0x0300 && code <= 0x036F) ||
          (code >= 0x20D0 && code <= 0x20F0) || (code >= 0x180B && code <= 0x180F) ||
          (code >= 0xFE00 && code <= 0xFE0F) || (code >= 0xFFF9 && code <= 0xFFFB) ||
          (code >= 0xE0000 && code <= 0xE01EF)) {
        sign = Sign::kGap;
      }
  }
  return {sign, 0, size};
}

}  // namespace

Character character_at(std::string_view text, size_t at) noexcept {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto follows = [&](size_t i) { return i < text.size() && (byte(i) & 0xC0) == 0x80; };
  const unsigned char lead = byte(at);
  if (lead < 0x80) {
    // A blank as pages have it. (What stands in addresses, "%20", has digits itself.)
    constexpr std::string_view kBlank = "&nbsp;";
    if (lead == '&' && text.substr(at, kBlank.size()) == kBlank) {
      return {Sign::kGap, 0, kBlank.size()};
    }
    return {kAsciiSigns[lead], static_cast<uint8_t>(lead - '0'), 1};
  }
  if (lead >= 0xC2 && lead < 0xE0 && follows(at + 1)) {
    return character_of((lead & 0x1Fu) << 6 | (byte(at + 1) & 0x3Fu), 2);
  }
  if (lead >= 0xE0 && lead < 0xF0 && follows(at + 1) && follows(at + 2)) {
    return character_of(
        (lead & 0x0Fu) << 12 | (byte(at + 1) & 0x3Fu) << 6 | (byte(at + 2) & 0x3Fu), 3);
  }
  if (lead >= 0xF0 && lead < 0xF5 && follows(at + 1) && follows(at + 2) && follows(at + 3)) {
    return character_of((lead & 0x07u) << 18 | (byte(at + 1) & 0x3Fu) << 12 |
                            (byte(at + 2) & 0x3Fu) << 6 | (byte(at + 3) & 0x3Fu),
                        4);
  }
  // Not UTF-8: the blank, the hyphen and the dashes of Latin-1 and Windows-1252.
  const bool is_gap = lead == 0xA0 || lead == 0xAD || lead == 0x96 || lead == 0x97;
  return {is_gap ? Sign::kGap : Sign::kOther, 0, 1};
}

size_t count_digits_at_most(std::string_view text) noexcept {
  size_t count = 0;
  for (const char c : text) {
    // The lead of a character of more bytes counts: it may be a digit.
    count += static_cast<size_t>(is_ascii_digit(c)) +
             static_cast<size_t>(static_cast<unsigned char>(c) >= 0xC2);
  }
  return count;
}

}  // namespace fraud
