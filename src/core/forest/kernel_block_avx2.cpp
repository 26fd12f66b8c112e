// Scoring 64 rows at once, for AVX2: as kernel_block.cpp does it, in halves of 32 rows, and with leaves gathered from memory.
#if defined(__x86_64__)

#include <immintrin.h>

#include "core/forest/kernel_block.h"

#define FRAUD_TARGET __attribute__((target("avx2,bmi,bmi2,popcnt")))

namespace fraud {
namespace {

constexpr uint32_t kHalf = kBlockRows / 2;


FRAUD_TARGET inline __m256i load(const void* from) { return _mm256_load_si256(static_cast<const __m256i*>(from)); }

FRAUD_TARGET inline __m256i choose(__m256i bits, __m256i ones, __m256i zeros) {
  return _mm256_xor_si256(zeros, _mm256_and_si256(bits, _mm256_xor_si256(ones, zeros)));
}

void turn(const FlatModel& model, const uint8_t* keys, size_t stride, uint8_t* columns) {
  for (uint32_t slot = 0; slot < model.header->slot_count; ++slot) {
    for (uint32_t row = 0; row < kBlockRows; ++row) columns[slot * kBlockRows + row] = keys[row * stride + slot];
  }
}

template <uint32_t kLevels>
FRAUD_TARGET inline void compare(const uint8_t* slots, const uint32_t* thresholds, const uint8_t* columns, uint64_t* masks) {
  for (uint32_t tree = 0; tree < kTreeGroup; ++tree, slots += kTopSize, thresholds += kTopSize) {
#pragma GCC unroll 8
    for (uint32_t split = 1; split < (1U << kLevels); ++split) {
      const uint8_t* const keys = columns + size_t{slots[split]} * kBlockRows;
      const __m256i threshold = _mm256_set1_epi32(static_cast<int>(thresholds[split]));
      const __m256i low = load(keys), high = load(keys + kHalf);
      // A key is not below the threshold if it is the greater of the two.
      const auto low_bits = static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_max_epu8(low, threshold), low)));
      const auto high_bits = static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_max_epu8(high, threshold), high)));
      masks[split * kTreeGroup + tree] = low_bits | uint64_t{high_bits} << kHalf;
    }
  }
}

// Follows the bits of four trees down; `masks` and `paths` begin with theirs.
template <uint32_t kLevels>
FRAUD_TARGET inline void descend(const uint64_t* masks, uint64_t* paths) {
  __m256i path[kLevels];
#pragma GCC unroll 6
  for (uint32_t level = 0; level < kLevels; ++level) {
    __m256i at[kTopSize / 2];
    // The first choice is made as the splits are loaded: the registers would not hold them.
    const uint32_t half = level > 0 ? 1U << (level - 1) : 0;
    if (level == 0) at[0] = load(masks + kTreeGroup);
#pragma GCC unroll 16
    for (uint32_t i = 0; i < half; ++i) {
      at[i] = choose(path[0], load(masks + (3 * half + i) * kTreeGroup), load(masks + (2 * half + i) * kTreeGroup));
    }
#pragma GCC unroll 6
    for (uint32_t above = 1; above < level; ++above) {
      const uint32_t part = 1U << (level - above - 1);
#pragma GCC unroll 8
      for (uint32_t i = 0; i < part; ++i) at[i] = choose(path[above], at[part + i], at[i]);
    }
    path[level] = at[0];
    _mm256_store_si256(reinterpret_cast<__m256i*>(paths + level * kTreeGroup), path[level]);
  }
}

// Returns 32 bits as bytes that are all ones or zero.
FRAUD_TARGET inline __m256i spread(uint32_t bits) {
  const __m256i bytes = _mm256_setr_epi64x(0, 0x0101010101010101LL, 0x0202020202020202LL, 0x0303030303030303LL);
  const __m256i each = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201ULL));
  const __m256i all = _mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int>(bits)), bytes);
  return _mm256_cmpeq_epi8(_mm256_and_si256(all, each), each);
}

template <uint32_t kLevels>
FRAUD_TARGET inline void add_leaves(const uint32_t* exits, const uint64_t* paths, float* sums) {
  alignas(32) uint8_t places[kBlockRows];
  for (uint32_t half = 0; half < 2; ++half) {
    __m256i place = _mm256_setzero_si256();
#pragma GCC unroll 6
    for (uint32_t level = 0; level < kLevels; ++level) {
      const __m256i step = _mm256_set1_epi8(static_cast<char>(1U << (kLevels - 1 - level)));
      const __m256i right = spread(static_cast<uint32_t>(paths[level * kTreeGroup] >> (half * kHalf)));
      place = _mm256_or_si256(place, _mm256_and_si256(right, step));
    }
    _mm256_store_si256(reinterpret_cast<__m256i*>(places + half * kHalf), place);
  }
#pragma GCC unroll 8
  for (uint32_t row = 0; row < kBlockRows; row += 8) {
    const __m256i index = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(places + row)));
    const __m256 value = _mm256_i32gather_ps(reinterpret_cast<const float*>(exits), index, sizeof(float));
    _mm256_store_ps(sums + row, _mm256_add_ps(_mm256_load_ps(sums + row), value));
  }
}

template <uint32_t kLevels>
FRAUD_TARGET void add_levels(const FlatModel& model, const uint32_t* thresholds, const uint8_t* columns, float* sums) {
  alignas(64) uint64_t masks[kTopSize * kTreeGroup];
  alignas(64) uint64_t paths[kTopLevels * kTreeGroup];
  alignas(32) float totals[kBlockRows];
  for (uint32_t i = 0; i < kBlockRows; ++i) totals[i] = sums[i];
  const uint32_t trees = model.header->tree_count;
  for (uint32_t tree = 0; tree < trees; tree += kTreeGroup) {
    const size_t block = size_t{tree} * kTopSize;
    compare<kLevels>(model.block_slots + block, thresholds + block, columns, masks);
    descend<kLevels>(masks, paths);
    descend<kLevels>(masks + kTreeGroup / 2, paths + kTreeGroup / 2);
    const uint32_t count = trees - tree < kTreeGroup ? trees - tree : kTreeGroup;
    for (uint32_t i = 0; i < count; ++i) {
      add_leaves<kLevels>(model.block_exits + block + size_t{i} * kTopSize, paths + i, totals);
    }
  }
  for (uint32_t i = 0; i < kBlockRows; ++i) sums[i] = totals[i];
}

}  // namespace

void add_block_avx2(const FlatModel& model, const uint32_t* thresholds, const uint8_t* keys, size_t stride,
                    uint8_t* columns, float* sums) {
  turn(model, keys, stride, columns);
  switch (model.header->top_levels) {
    case 1: return add_levels<1>(model, thresholds, columns, sums);
    case 2: return add_levels<2>(model, thresholds, columns, sums);
    case 3: return add_levels<3>(model, thresholds, columns, sums);
    case 4: return add_levels<4>(model, thresholds, columns, sums);
    case 5: return add_levels<5>(model, thresholds, columns, sums);
    default: return add_levels<6>(model, thresholds, columns, sums);
  }
}

}  // namespace fraud

#endif
