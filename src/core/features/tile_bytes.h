// Numbers of any number of bytes in little endian, whatever the machine's order.
#pragma once

#include "core/base/guard.h"

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace fraud {

inline uint64_t little_endian(uint64_t number) noexcept {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  return __builtin_bswap64(number);
#else
  return number;
#endif
}

// Reads the 1 to 8 bytes at a place that has 8 bytes of the same buffer before its end, and reads those: so it
// is one load, and never beyond the buffer.
inline uint64_t load_unsigned(const char* at, unsigned width) noexcept {
  uint64_t number;
  std::memcpy(&number, at + width - sizeof(number), sizeof(number));
  return little_endian(number) >> (64 - 8 * width);
}

inline int64_t load_signed(const char* at, unsigned width) noexcept {
  uint64_t number;
  std::memcpy(&number, at + width - sizeof(number), sizeof(number));
  return static_cast<int64_t>(little_endian(number)) >> (64 - 8 * width);
}

inline void store(uint64_t number, size_t width, char* at) noexcept {
  for (size_t i = 0; i < width; ++i) at[i] = static_cast<char>(number >> (8 * i));
}

constexpr size_t kMostLimbs = 8;

// Writes bytes [low, low + width) of a number of so many words, and up to 7 more behind them.
inline void store_limbs(const uint64_t* number, size_t limbs, size_t low, size_t width, char* at) noexcept {
  uint64_t words[kMostLimbs];
  if (limbs == 1) {
    words[0] = little_endian(number[0] >> (8 * low));
    std::memcpy(at, words, sizeof(uint64_t));
    return;
  }
  for (size_t i = 0; i < limbs; ++i) words[i] = little_endian(number[i]);
  std::memcpy(at, reinterpret_cast<const char*>(words) + low, width);
}

// Reads a number of so many words of which bytes [low, low + width) are at a place; those below are 0, those
// above what the sign says.
template <size_t Limbs>
void load_limbs(const char* at, size_t width, size_t low, bool with_sign, uint64_t* number) noexcept {
  if (width == 0) {
    std::memset(number, 0, Limbs * sizeof(uint64_t));
    return;
  }
  char bytes[Limbs * sizeof(uint64_t)];
  const bool negative = with_sign && (at[width - 1] & 0x80) != 0;
  std::memset(bytes, negative ? 0xFF : 0, sizeof(bytes));
  if (negative) std::memset(bytes, 0, low);
  std::memcpy(bytes + low, at, width);
  std::memcpy(number, bytes, sizeof(bytes));
  for (size_t i = 0; i < Limbs; ++i) number[i] = little_endian(number[i]);
}

}  // namespace fraud
