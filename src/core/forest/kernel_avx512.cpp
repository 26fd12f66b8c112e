// The kernel for AVX-512 with VBMI. All 63 splits of a block are compared by one
// byte permutation, which fetches the keys, and one comparison.
#if defined(__x86_64__)

// GCC 12 warns of the operand that its own headers leave undefined (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

#include <immintrin.h>

#include "core/forest/kernel.h"
#include "core/forest/kernel_common.h"

#define FRAUD_TARGET \
  __attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi,bmi,bmi2,popcnt")))

namespace fraud {
namespace {

constexpr uint32_t kTableSlots = 64;
constexpr uint32_t kTreesAtOnce = 64;

FRAUD_TARGET void make_keys(const FlatModel& model, const float* row, uint8_t* keys) {
  const FlatRank* const last = model.ranks + model.header->rank_count;
  for (const FlatRank* rank = model.ranks; rank != last; ++rank) {
    const float value = row[rank->feature];
    const __m512 wide = _mm512_set1_ps(value);
    uint32_t position = 0;
    for (uint32_t level = rank->level_count; level > 0; --level) {
      const float* const cuts = model.cuts + rank->levels[level - 1];
      const __mmask16 reached = _mm512_cmp_ps_mask(
          wide, _mm512_loadu_ps(cuts + position * kRankFanout), _CMP_GE_OQ);
      position = position * kRankFanout + static_cast<uint32_t>(__builtin_popcount(reached));
    }
    put_keys(model, *rank, value, position, keys);
  }
}

// Returns the keys of 64 slots out of 64, 128 or 256.
template <uint32_t kTables>
FRAUD_TARGET inline __m512i look_up(const __m512i* tables, __m512i slots) {
  if constexpr (kTables == 1) return _mm512_permutexvar_epi8(slots, tables[0]);
  const __m512i low = _mm512_permutex2var_epi8(tables[0], slots, tables[1]);
  if constexpr (kTables == 2) return low;
  const __m512i high = _mm512_permutex2var_epi8(tables[2], slots, tables[3]);
  return _mm512_mask_blend_epi8(_mm512_movepi8_mask(slots), low, high);
}

template <uint32_t kTables>
FRAUD_TARGET float add_to_row(const FlatModel& model, uint32_t first, uint32_t last,
                              const uint8_t* keys, float sum) {
  __m512i tables[kTables];
  for (uint32_t i = 0; i < kTables; ++i) {
    const bool is_there = i * kTableSlots < model.key_bytes();
    tables[i] = is_there ? _mm512_load_si512(keys + i * kTableSlots) : _mm512_setzero_si512();
  }
  const uint32_t levels = model.header->top_levels;
  const __m512i one = _mm512_set1_epi64(1);
  const __m512i lanes = _mm512_setr_epi64(0, 64, 128, 192, 256, 320, 384, 448);
  // A step is done for many trees before the next step, so that nothing waits for
  // what has just been written.
  alignas(64) uint64_t masks[kTreesAtOnce];
  alignas(64) uint32_t exits[kTreesAtOnce];
  for (uint32_t tree = first; tree < last; tree += kTreesAtOnce) {
    const uint32_t count = last - tree < kTreesAtOnce ? last - tree : kTreesAtOnce;
    const uint32_t padded = (count + kTreeGroup - 1) / kTreeGroup * kTreeGroup;
    const uint8_t* const slots = model.block_slots + size_t{tree} * kTopSize;
    const uint8_t* const thresholds = model.block_thresholds + size_t{tree} * kTopSize;
    for (uint32_t i = 0; i < padded; ++i) {
      const __m512i row = look_up<kTables>(tables, _mm512_load_si512(slots + i * kTopSize));
      masks[i] = _mm512_cmpge_epu8_mask(row, _mm512_load_si512(thresholds + i * kTopSize));
    }
    // Down the blocks of eight trees at once: place = 2 * place + bit of place.
    for (uint32_t i = 0; i < padded; i += kTreeGroup) {
      const __m512i mask = _mm512_load_si512(masks + i);
      __m512i place = one;
      for (uint32_t level = 0; level < levels; ++level) {
        // 0xEA: (shifted & one) | doubled.
        place = _mm512_ternarylogic_epi64(_mm512_srlv_epi64(mask, place), one,
                                          _mm512_add_epi64(place, place), 0xEA);
      }
      const auto base = static_cast<long long>(tree + i) * kTopSize - (1LL << levels);
      _mm256_store_si256(
          reinterpret_cast<__m256i*>(exits + i),
          _mm512_cvtepi64_epi32(
              _mm512_add_epi64(place, _mm512_add_epi64(lanes, _mm512_set1_epi64(base)))));
    }
    for (uint32_t i = 0; i < count; i += kTreeGroup) {
      const uint32_t part = count - i < kTreeGroup ? count - i : kTreeGroup;
      sum = add_exits(model, keys, tree + i, part, exits + i, sum);
    }
  }
  return sum;
}

template <uint32_t kTables>
FRAUD_TARGET void add_to_rows(const FlatModel& model, uint32_t first, uint32_t last,
                              const uint8_t* keys, size_t stride, size_t count, float* sums) {
  for (size_t row = 0; row < count; ++row, keys += stride) {
    sums[row] = add_to_row<kTables>(model, first, last, keys, sums[row]);
  }
}

void add_trees(const FlatModel& model, uint32_t first, uint32_t last, const uint8_t* keys,
               size_t stride, size_t count, float* sums) {
  const uint32_t slots = model.header->slot_count;
  if (!model.has_blocks()) {
    kScalarKernel.add_trees(model, first, last, keys, stride, count, sums);
  } else if (slots > 2 * kTableSlots) {
    add_to_rows<4>(model, first, last, keys, stride, count, sums);
  } else if (slots > kTableSlots) {
    add_to_rows<2>(model, first, last, keys, stride, count, sums);
  } else {
    add_to_rows<1>(model, first, last, keys, stride, count, sums);
  }
}

}  // namespace

const Kernel kAvx512Kernel = {"avx512", make_keys, add_trees, explain_avx2, add_block_avx512};

}  // namespace fraud

#endif
