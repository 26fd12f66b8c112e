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

// Writes bytes [low, low + width) of a number of so many words.
inline void store_limbs(const uint64_t* number, size_t limbs, size_t low, size_t width, char* at) noexcept {
  if (limbs == 1) return store(number[0] >> (8 * low), width, at);
  uint64_t words[kMostLimbs];
  for (size_t i = 0; i < limbs; ++i) words[i] = little_endian(number[i]);
  std::memcpy(at, reinterpret_cast<const char*>(words) + low, width);
}

// Reads a number of up to `limbs` words of which bytes [low, low + width) are at a place; those below are 0,
// those above what the sign says.
inline void load_limbs(const char* at, size_t width, size_t low, bool with_sign, size_t limbs,
                       uint64_t* number) noexcept {
  unsigned char bytes[kMostLimbs * sizeof(uint64_t)];
  const bool negative = with_sign && width > 0 && (at[width - 1] & 0x80) != 0;
  std::memset(bytes, 0, low);
  if (width > 0) std::memcpy(bytes + low, at, width);
  std::memset(bytes + low + width, negative ? 0xFF : 0, limbs * sizeof(uint64_t) - low - width);
  std::memcpy(number, bytes, limbs * sizeof(uint64_t));
  for (size_t i = 0; i < limbs; ++i) number[i] = little_endian(number[i]);
}

}  // namespace fraud
