// The kernel for AVX2. All of a block's splits are compared at once: the keys that
// they ask for are looked up in registers, sixteen slots at a time.
#if defined(__x86_64__)

#include <immintrin.h>

#include "core/forest/kernel.h"
#include "core/forest/kernel_common.h"

#define FRAUD_TARGET __attribute__((target("avx2,bmi,bmi2,popcnt")))

namespace fraud {
namespace {

// With more slots, looking keys up in memory is quicker.
constexpr uint32_t kMaxSlots = 64;
constexpr uint32_t kTableSlots = 16;
constexpr uint32_t kLanes = 4;

FRAUD_TARGET inline uint32_t count_reached(const float* cuts, __m256 value) {
  const __m256 low = _mm256_cmp_ps(value, _mm256_loadu_ps(cuts), _CMP_GE_OQ);
  const __m256 high = _mm256_cmp_ps(value, _mm256_loadu_ps(cuts + 8), _CMP_GE_OQ);
  const auto mask = static_cast<uint32_t>(_mm256_movemask_ps(low)) |
                    static_cast<uint32_t>(_mm256_movemask_ps(high)) << 8U;
  return static_cast<uint32_t>(__builtin_popcount(mask));
}

FRAUD_TARGET void make_keys(const FlatModel& model, const float* row, uint8_t* keys) {
  const FlatRank* const last = model.ranks + model.header->rank_count;
  for (const FlatRank* rank = model.ranks; rank != last; ++rank) {
    const float value = row[rank->feature];
    const __m256 wide = _mm256_set1_ps(value);
    uint32_t position = 0;
    for (uint32_t level = rank->level_count; level > 0; --level) {
      const float* const cuts = model.cuts + rank->levels[level - 1];
      position = position * kRankFanout + count_reached(cuts + position * kRankFanout, wide);
    }
    put_keys(model, *rank, value, position, keys);
  }
}

// Returns the keys of 32 slots. A shuffle gives 0 where an index has its highest
// bit set, which the saturating sum does for those outside of the table's slots.
template <uint32_t kTables>
FRAUD_TARGET inline __m256i look_up(const __m256i* tables, __m256i slots) {
  const __m256i top = _mm256_set1_epi8(0x70);
  __m256i keys = _mm256_shuffle_epi8(tables[0], _mm256_adds_epu8(slots, top));
  for (uint32_t i = 1; i < kTables; ++i) {
    slots = _mm256_sub_epi8(slots, _mm256_set1_epi8(kTableSlots));
    keys = _mm256_or_si256(keys, _mm256_shuffle_epi8(tables[i], _mm256_adds_epu8(slots, top)));
  }
  return keys;
}

// Returns, for 32 splits, a bit that says whether the row goes right.
template <uint32_t kTables>
FRAUD_TARGET inline uint64_t compare(const __m256i* tables, const uint8_t* slots,
                                     const uint8_t* thresholds) {
  const __m256i keys = look_up<kTables>(
      tables, _mm256_load_si256(reinterpret_cast<const __m256i*>(slots)));
  const __m256i bounds = _mm256_load_si256(reinterpret_cast<const __m256i*>(thresholds));
  const __m256i right = _mm256_cmpeq_epi8(_mm256_max_epu8(keys, bounds), keys);
  return static_cast<uint32_t>(_mm256_movemask_epi8(right));
}

template <uint32_t kTables>
FRAUD_TARGET float add_to_row(const FlatModel& model, uint32_t first, uint32_t last,
                              const uint8_t* keys, float sum) {
  __m256i tables[kTables];
  for (uint32_t i = 0; i < kTables; ++i) {
    tables[i] = _mm256_broadcastsi128_si256(
        _mm_load_si128(reinterpret_cast<const __m128i*>(keys + i * kTableSlots)));
  }
  const uint32_t levels = model.header->top_levels;
  const __m256i one = _mm256_set1_epi64x(1);
  for (uint32_t tree = first; tree < last; tree += kTreeGroup) {
    const uint32_t count = last - tree < kTreeGroup ? last - tree : kTreeGroup;
    alignas(32) uint64_t masks[kTreeGroup];
    for (uint32_t i = 0; i < kTreeGroup; ++i) {
      const uint8_t* const slots = model.block_slots + size_t{tree + i} * kTopSize;
      const uint8_t* const thresholds = model.block_thresholds + size_t{tree + i} * kTopSize;
      masks[i] = compare<kTables>(tables, slots, thresholds) |
                 compare<kTables>(tables, slots + 32, thresholds + 32) << 32U;
    }
    // Down the blocks of four trees at a time: place = 2 * place + bit of place.
    alignas(32) uint64_t places[kTreeGroup];
    for (uint32_t i = 0; i < kTreeGroup; i += kLanes) {
      const __m256i mask = _mm256_load_si256(reinterpret_cast<const __m256i*>(masks + i));
      __m256i place = one;
      for (uint32_t level = 0; level < levels; ++level) {
        const __m256i bit = _mm256_and_si256(_mm256_srlv_epi64(mask, place), one);
        place = _mm256_or_si256(_mm256_add_epi64(place, place), bit);
      }
      _mm256_store_si256(reinterpret_cast<__m256i*>(places + i), place);
    }
    uint32_t exits[kTreeGroup];
    for (uint32_t i = 0; i < kTreeGroup; ++i) {
      exits[i] = (tree + i) * kTopSize + static_cast<uint32_t>(places[i]) - (1U << levels);
    }
    sum = add_exits(model, keys, tree, count, exits, sum);
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
  if (slots > kMaxSlots) {
    kScalarKernel.add_trees(model, first, last, keys, stride, count, sums);
  } else if (slots > 3 * kTableSlots) {
    add_to_rows<4>(model, first, last, keys, stride, count, sums);
  } else if (slots > 2 * kTableSlots) {
    add_to_rows<3>(model, first, last, keys, stride, count, sums);
  } else if (slots > kTableSlots) {
    add_to_rows<2>(model, first, last, keys, stride, count, sums);
  } else {
    add_to_rows<1>(model, first, last, keys, stride, count, sums);
  }
}

}  // namespace

const Kernel kAvx2Kernel = {"avx2", make_keys, add_trees, explain_avx2, add_block_avx2};

}  // namespace fraud

#endif
