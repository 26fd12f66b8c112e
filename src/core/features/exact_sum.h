// Sums of doubles that are exact, and so do not depend on the order in which values
// come and go: what is added and taken away again leaves no trace.
#pragma once

#include "core/base/guard.h"

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace fraud {

// A fixed-point number in two's complement: Limbs * 64 bits, of which the lowest
// FractionBits are behind the point.
template <size_t Limbs, int FractionBits>
class FixedSum {
 public:
  using Wide = unsigned __int128;

  // Adds (or subtracts) magnitude * 2^exponent; exponent >= -FractionBits, and the
  // value must leave room for the number of values that are summed.
  void add(Wide magnitude, int exponent, bool negative) noexcept {
    const auto shift = static_cast<unsigned>(exponent + FractionBits);
    size_t limb = shift / 64;
    const unsigned bits = shift % 64;
    const uint64_t low = static_cast<uint64_t>(magnitude), high = static_cast<uint64_t>(magnitude >> 64);
    const uint64_t parts[3] = {low << bits, bits == 0 ? high : (high << bits) | (low >> (64 - bits)),
                               bits == 0 ? 0 : high >> (64 - bits)};
    unsigned carry = 0;
    for (size_t i = 0; limb < Limbs && (i < 3 || carry != 0); ++i, ++limb) {
      const uint64_t part = i < 3 ? parts[i] : 0;
      if (negative) {
        const uint64_t difference = limbs_[limb] - part;
        const unsigned borrow = limbs_[limb] < part || difference < carry;
        limbs_[limb] = difference - carry;
        carry = borrow;
      } else {
        const uint64_t sum = limbs_[limb] + part;
        const unsigned over = sum < part;
        limbs_[limb] = sum + carry;
        carry = over | (limbs_[limb] < sum);
      }
    }
  }

  // Adds value * 256^low_bytes, where low_bytes 0 is the lowest byte of all.
  void add_bytes(__int128 value, size_t low_bytes) noexcept {
    const bool below = value < 0;
    const Wide bits = static_cast<Wide>(value);
    add(below ? -bits : bits, static_cast<int>(8 * low_bytes) - FractionBits, below);
  }

  // Adds another sum, which is the same as adding all its values.
  FixedSum& operator+=(const FixedSum& other) noexcept {
    unsigned carry = 0;
    for (size_t i = 0; i < Limbs; ++i) {
      const Wide sum = Wide{limbs_[i]} + other.limbs_[i] + carry;
      limbs_[i] = static_cast<uint64_t>(sum);
      carry = static_cast<unsigned>(sum >> 64);
    }
    return *this;
  }

  bool negative() const noexcept { return limbs_[Limbs - 1] >> 63 != 0; }

  // Returns the absolute value.
  FixedSum magnitude() const noexcept {
    FixedSum result = *this;
    if (!negative()) return result;
    unsigned carry = 1;
    for (uint64_t& limb : result.limbs_) {
      limb = ~limb + carry;
      carry = carry != 0 && limb == 0;
    }
    return result;
  }

  // Returns the nearest double, ties to even.
  double value() const noexcept {
    const FixedSum absolute = magnitude();
    size_t top = Limbs;
    while (top > 0 && absolute.limbs_[top - 1] == 0) --top;
    if (top == 0) return 0;
    const uint64_t first = absolute.limbs_[top - 1];
    const int zeros = __builtin_clzll(first);
    uint64_t bits = first << zeros;
    uint64_t rest = 0;
    if (top > 1) {
      const uint64_t second = absolute.limbs_[top - 2];
      if (zeros > 0) bits |= second >> (64 - zeros);
      rest = second << zeros;
      for (size_t i = 0; i + 2 < top; ++i) rest |= absolute.limbs_[i];
    }
    // The lowest of 64 bits stands for all that is below: rounding to 53 is right.
    bits |= rest != 0 ? 1 : 0;
    const int exponent = static_cast<int>(64 * (top - 1)) - zeros - FractionBits;
    const double result = static_cast<double>(bits) * power_of_two(exponent);
    return negative() ? -result : result;
  }

  const uint64_t* limbs() const noexcept { return limbs_; }
  uint64_t* limbs() noexcept { return limbs_; }

 private:
  // Returns 2^exponent, which is a normal number for all that these sums hold.
  static double power_of_two(int exponent) noexcept {
    const uint64_t bits = static_cast<uint64_t>(exponent + 1023) << 52;
    double power;
    std::memcpy(&power, &bits, sizeof(power));
    return power;
  }

  uint64_t limbs_[Limbs] = {};
};

// A double as mantissa * 2^exponent, the mantissa without trailing zeros.
struct DoubleParts {
  uint64_t mantissa = 0;
  int exponent = 0;
  bool negative = false;

  explicit DoubleParts(double value) noexcept {
    uint64_t bits;
    std::memcpy(&bits, &value, sizeof(bits));
    negative = bits >> 63 != 0;
    const int field = static_cast<int>((bits >> 52) & 0x7FF);
    mantissa = bits & ((uint64_t{1} << 52) - 1);
    if (field != 0) mantissa |= uint64_t{1} << 52;
    exponent = (field != 0 ? field : 1) - 1075;
    if (mantissa == 0) {
      exponent = 0;
      return;
    }
    const int zeros = __builtin_ctzll(mantissa);
    mantissa >>= zeros;
    exponent += zeros;
  }
};

// Exact for values below 2^64 that have no bit below 2^-128, and up to 2^31 of them.
using Sum = FixedSum<4, 128>;
using SumOfSquares = FixedSum<8, 256>;

// Tells whether Sum and SumOfSquares hold the (finite) value.
inline bool sums_exactly(const DoubleParts& parts) noexcept {
  return parts.mantissa == 0 ||
         (parts.exponent >= -128 && parts.exponent + 64 - __builtin_clzll(parts.mantissa) <= 64);
}

inline void add_value(Sum& sum, const DoubleParts& parts, bool remove) noexcept {
  sum.add(parts.mantissa, parts.exponent, parts.negative != remove);
}

inline void add_square(SumOfSquares& sum, const DoubleParts& parts, bool remove) noexcept {
  using Wide = SumOfSquares::Wide;
  sum.add(Wide{parts.mantissa} * parts.mantissa, 2 * parts.exponent, remove);
}

// Returns n * (sum of squares) - (sum)^2, rounded once: n^2 times the variance.
inline double scaled_variance(uint32_t count, const Sum& sum, const SumOfSquares& squares) noexcept {
  using Wide = SumOfSquares::Wide;
  const Sum absolute = sum.magnitude();
  uint64_t square[8] = {};
  for (size_t i = 0; i < 4; ++i) {
    uint64_t carry = 0;
    for (size_t j = 0; j < 4; ++j) {
      const Wide product = Wide{absolute.limbs()[i]} * absolute.limbs()[j] + square[i + j] + carry;
      square[i + j] = static_cast<uint64_t>(product);
      carry = static_cast<uint64_t>(product >> 64);
    }
    square[i + 4] += carry;
  }
  SumOfSquares result;
  uint64_t carry = 0;
  unsigned borrow = 0;
  for (size_t i = 0; i < 8; ++i) {
    const Wide product = Wide{squares.limbs()[i]} * count + carry;
    carry = static_cast<uint64_t>(product >> 64);
    const auto low = static_cast<uint64_t>(product);
    const uint64_t difference = low - square[i];
    const unsigned under = low < square[i] || difference < borrow;
    result.limbs()[i] = difference - borrow;
    borrow = under;
  }
  return result.value();
}

}  // namespace fraud
