// Seeded random numbers that are equal on every machine: integer arithmetic and
// IEEE-exact additions, multiplications and divisions only.
#pragma once

#include "core/base/guard.h"

#include <cmath>
#include <cstdint>
#include <initializer_list>

namespace fraud {

// Scrambles 64 bits; a bijection, so that distinct inputs stay distinct.
inline uint64_t mix_bits(uint64_t bits) noexcept {
  bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9U;
  bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBU;
  return bits ^ (bits >> 31);
}

// Returns one well-scrambled number of several keys, in their order.
inline uint64_t hash_keys(std::initializer_list<uint64_t> keys) noexcept {
  uint64_t hash = 0;
  for (const uint64_t key : keys) hash = mix_bits(hash + 0x9E3779B97F4A7C15U + mix_bits(key));
  return hash;
}

// Returns e^x for |x| < 700, within about an ulp. The C library's exp differs
// in the last bit from one library to the next.
inline double portable_exp(double x) noexcept {
  const double twos = std::floor(x * 1.4426950408889634 + 0.5);
  // ln 2 in two parts: the first has few enough bits for an exact product.
  const double rest = (x - twos * 0.693147180369123816490) - twos * 1.90821492927058770002e-10;
  double sum = 1;
  for (int i = 13; i > 0; --i) sum = 1 + sum * rest / i;
  return std::ldexp(sum, static_cast<int>(twos));
}

// The SplitMix64 generator and the few distributions that the simulator needs.
class Random {
 public:
  explicit Random(uint64_t seed) noexcept : state_(seed) {}

  uint64_t next() noexcept { return mix_bits(state_ += 0x9E3779B97F4A7C15U); }

  // Returns a number in [0, 1).
  double uniform() noexcept { return static_cast<double>(next() >> 11) * 0x1p-53; }

  double between(double low, double high) noexcept { return low + (high - low) * uniform(); }

  // Returns a number in [0, count).
  uint32_t below(uint32_t count) noexcept {
    return static_cast<uint32_t>(((next() >> 32) * count) >> 32);
  }

  // Returns a number in [low, high].
  int range(int low, int high) noexcept {
    return low + static_cast<int>(below(static_cast<uint32_t>(high - low + 1)));
  }

  bool chance(double probability) noexcept { return uniform() < probability; }

  // Returns an approximately standard normal number: the scaled sum of eight
  // 16-bit uniforms.
  double normal() noexcept {
    int64_t sum = 0;
    for (int draw = 0; draw < 2; ++draw) {
      const uint64_t bits = next();
      for (int shift = 0; shift < 64; shift += 16) {
        sum += static_cast<int64_t>((bits >> shift) & 0xFFFF);
      }
    }
    // The sum has mean 8 * 65535 / 2 and variance 8 * 65536^2 / 12.
    return static_cast<double>(sum - 262140) * (1.2247448713915890 / 65536);
  }

  // Returns a log-normal number of the given median and log-scale deviation.
  double log_normal(double median, double sigma) noexcept {
    return median * portable_exp(sigma * normal());
  }

  // Returns a Poisson number of a mean well below 700.
  int poisson(double mean) noexcept {
    const double floor = portable_exp(-mean);
    int count = 0;
    for (double product = uniform(); product > floor; product *= uniform()) ++count;
    return count;
  }

 private:
  uint64_t state_;
};

}  // namespace fraud
