// Scoring 64 rows at once, for AVX-512 with VBMI. A split is compared with all the rows by one instruction, which
// gives a bit a row; the bits of a tree's splits are selected down to six a row, which name its leaf, and leaves
// are fetched from registers. So what a tree is has to be read once, not for each row.
#if defined(__x86_64__)

// GCC 12 warns of the operand that its own headers leave undefined (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

#include <immintrin.h>

#include "core/forest/kernel_block.h"

#define FRAUD_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi,bmi,bmi2,popcnt")))

namespace fraud {
namespace {

constexpr int kSelect = 0xCA;  // of a ternary operation: a ? b : c

// Puts the keys of each slot together: four slots of 16 rows at a time.
FRAUD_TARGET void turn(const FlatModel& model, const uint8_t* keys, size_t stride, uint8_t* columns) {
  const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i offsets = _mm512_mullo_epi32(lanes, _mm512_set1_epi32(static_cast<int>(stride)));
  // Byte i of slot s is byte s of word i.
  alignas(64) uint8_t order[64];
  for (uint32_t i = 0; i < 64; ++i) order[i] = static_cast<uint8_t>(i % 16 * 4 + i / 16);
  const __m512i by_slot = _mm512_load_si512(order);
  for (uint32_t slot = 0; slot < model.header->slot_count; slot += 4) {
    for (uint32_t row = 0; row < kBlockRows; row += 16) {
      const __m512i words = _mm512_i32gather_epi32(offsets, keys + row * stride + slot, 1);
      const __m512i turned = _mm512_permutexvar_epi8(by_slot, words);
      uint8_t* const to = columns + size_t{slot} * kBlockRows + row;
      _mm_store_si128(reinterpret_cast<__m128i*>(to), _mm512_castsi512_si128(turned));
      _mm_store_si128(reinterpret_cast<__m128i*>(to + kBlockRows), _mm512_extracti32x4_epi32(turned, 1));
      _mm_store_si128(reinterpret_cast<__m128i*>(to + 2 * kBlockRows), _mm512_extracti32x4_epi32(turned, 2));
      _mm_store_si128(reinterpret_cast<__m128i*>(to + 3 * kBlockRows), _mm512_extracti32x4_epi32(turned, 3));
    }
  }
}

// Compares the splits of eight trees with the rows: bit r of masks[split * kTreeGroup + tree].
template <uint32_t kLevels>
FRAUD_TARGET inline void compare(const uint8_t* slots, const uint32_t* thresholds, const uint8_t* columns, uint64_t* masks) {
  for (uint32_t tree = 0; tree < kTreeGroup; ++tree, slots += kTopSize, thresholds += kTopSize) {
#pragma GCC unroll 8
    for (uint32_t split = 1; split < (1U << kLevels); ++split) {
      const __m512i keys = _mm512_load_si512(columns + size_t{slots[split]} * kBlockRows);
      masks[split * kTreeGroup + tree] =
          _mm512_cmpge_epu8_mask(keys, _mm512_set1_epi32(static_cast<int>(thresholds[split])));
    }
  }
}

// Follows the bits down the trees: paths[level * kTreeGroup + tree] has bit r where row r goes right at that level.
template <uint32_t kLevels>
FRAUD_TARGET inline void descend(const uint64_t* masks, uint64_t* paths) {
  __m512i path[kLevels];
#pragma GCC unroll 6
  for (uint32_t level = 0; level < kLevels; ++level) {
    __m512i at[kTopSize / 2];
#pragma GCC unroll 32
    for (uint32_t i = 0; i < (1U << level); ++i) at[i] = _mm512_load_si512(masks + ((1U << level) + i) * kTreeGroup);
#pragma GCC unroll 6
    for (uint32_t above = 0; above < level; ++above) {
      const uint32_t half = 1U << (level - above - 1);
#pragma GCC unroll 16
      for (uint32_t i = 0; i < half; ++i) at[i] = _mm512_ternarylogic_epi64(path[above], at[half + i], at[i], kSelect);
    }
    path[level] = at[0];
    _mm512_store_si512(paths + level * kTreeGroup, path[level]);
  }
}

// Adds the leaves that one tree's paths lead to.
template <uint32_t kLevels>
FRAUD_TARGET inline void add_leaves(const uint32_t* exits, const uint64_t* paths, __m512* sums) {
  __m512i place = _mm512_setzero_si512();
#pragma GCC unroll 6
  for (uint32_t level = 0; level < kLevels; ++level) {
    const __m512i step = _mm512_set1_epi8(static_cast<char>(1U << (kLevels - 1 - level)));
    place = _mm512_mask_or_epi64(place, 0xFF, place, _mm512_maskz_mov_epi8(paths[level * kTreeGroup], step));
  }
  alignas(64) uint8_t places[kBlockRows];
  _mm512_store_si512(places, place);
  const __m512 first = _mm512_load_ps(exits), second = _mm512_load_ps(exits + 16);
#pragma GCC unroll 4
  for (uint32_t i = 0; i < kBlockRows / 16; ++i) {
    const __m512i index = _mm512_cvtepu8_epi32(_mm_load_si128(reinterpret_cast<const __m128i*>(places + i * 16)));
    __m512 value = _mm512_permutex2var_ps(first, index, second);
    if constexpr (kLevels == kTopLevels) {
      const __m512 other = _mm512_permutex2var_ps(_mm512_load_ps(exits + 32), index, _mm512_load_ps(exits + 48));
      value = _mm512_mask_blend_ps(static_cast<__mmask16>(paths[0] >> (i * 16)), value, other);
    }
    sums[i] = _mm512_add_ps(sums[i], value);
  }
}

template <uint32_t kLevels>
FRAUD_TARGET void add_levels(const FlatModel& model, const uint32_t* thresholds, const uint8_t* columns, float* sums) {
  alignas(64) uint64_t masks[kTopSize * kTreeGroup];
  alignas(64) uint64_t paths[kTopLevels * kTreeGroup];
  __m512 totals[kBlockRows / 16];
  for (uint32_t i = 0; i < kBlockRows / 16; ++i) totals[i] = _mm512_loadu_ps(sums + i * 16);
  const uint32_t trees = model.header->tree_count;
  for (uint32_t tree = 0; tree < trees; tree += kTreeGroup) {
    const size_t block = size_t{tree} * kTopSize;
    compare<kLevels>(model.block_slots + block, thresholds + block, columns, masks);
    descend<kLevels>(masks, paths);
    const uint32_t count = trees - tree < kTreeGroup ? trees - tree : kTreeGroup;
    for (uint32_t i = 0; i < count; ++i) {
      add_leaves<kLevels>(model.block_exits + block + size_t{i} * kTopSize, paths + i, totals);
    }
  }
  for (uint32_t i = 0; i < kBlockRows / 16; ++i) _mm512_storeu_ps(sums + i * 16, totals[i]);
}

}  // namespace

void add_block_avx512(const FlatModel& model, const uint32_t* thresholds, const uint8_t* keys, size_t stride,
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
