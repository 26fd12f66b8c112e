// Digits and what people write between them, in any script and in what is left of
// encodings that somebody got wrong.
#pragma once

#include "core/base/guard.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace fraud {

enum class Sign : uint8_t {
  kOther,
  kDigit,
  kGap,  // blanks, dashes and what has no width: they stand in a card number in any mixture
  // Each of these groups a number only if it is the same throughout.
  kDot,
  kComma,
  kSlash,
  kUnderscore,
  kPlus,
  kColon,
  kBar,
  kStar,
  kBackslash,
  kTilde,
  kHash,
};

struct Character {
  Sign sign;
  uint8_t value;  // of a digit
  uint8_t size;   // bytes
};

// Returns what stands at `at`, which is within `text`. Bytes that are not UTF-8 are
// characters of one byte.
Character character_at(std::string_view text, size_t at) noexcept;

// Returns no less than how many digits `text` holds.
size_t count_digits_at_most(std::string_view text) noexcept;

inline bool is_ascii_digit(char c) noexcept { return c >= '0' && c <= '9'; }
inline bool is_ascii_letter(char c) noexcept {
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'z';
}
inline bool is_word(char c) noexcept { return is_ascii_digit(c) || is_ascii_letter(c); }

}  // namespace fraud
