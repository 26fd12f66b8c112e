// The kernel of plain C++, for every machine, and for models that the others
// leave to it: those with too many slots for blocks.
#include "core/forest/kernel.h"
#include "core/forest/kernel_common.h"

namespace fraud {
namespace {

// Returns how many of the sorted thresholds are not above the value.
uint32_t rank_of(const float* cuts, uint32_t count, float value) {
  if (count == 0) return 0;
  const float* base = cuts;
  for (; count > 1; count -= count / 2) {
    base += base[count / 2 - 1] <= value ? count / 2 : 0;
  }
  return static_cast<uint32_t>(base - cuts) + (*base <= value ? 1 : 0);
}

void make_keys(const FlatModel& model, const float* row, uint8_t* keys) {
  const FlatRank* const last = model.ranks + model.header->rank_count;
  for (const FlatRank* rank = model.ranks; rank != last; ++rank) {
    const float value = row[rank->feature];
    put_keys(model, *rank, value, rank_of(model.cuts + rank->levels[0], rank->cut_count, value),
             keys);
  }
}

float add_by_nodes(const FlatModel& model, uint32_t first, uint32_t last, const uint8_t* keys,
                   float sum) {
  for (uint32_t tree = first; tree < last; tree += kTreeGroup) {
    const uint32_t count = last - tree < kTreeGroup ? last - tree : kTreeGroup;
    uint32_t at[kTreeGroup];
    for (uint32_t i = 0; i < kTreeGroup; ++i) at[i] = i < count ? model.roots[tree + i] : 0;
    walk_nodes(model, keys, deepest(model, tree, count), at);
    for (uint32_t i = 0; i < count; ++i) sum += model.values[at[i]];
  }
  return sum;
}

float add_by_blocks(const FlatModel& model, uint32_t first, uint32_t last, const uint8_t* keys,
                    float sum) {
  const uint32_t levels = model.header->top_levels;
  for (uint32_t tree = first; tree < last; tree += kTreeGroup) {
    const uint32_t count = last - tree < kTreeGroup ? last - tree : kTreeGroup;
    const uint8_t* const slots = model.block_slots + size_t{tree} * kTopSize;
    const uint8_t* const thresholds = model.block_thresholds + size_t{tree} * kTopSize;
    // The places in the blocks of all trees of the group, which are padded.
    uint32_t at[kTreeGroup];
    for (uint32_t i = 0; i < kTreeGroup; ++i) at[i] = 1;
    for (uint32_t level = 0; level < levels; ++level) {
#pragma GCC unroll 8
      for (uint32_t i = 0; i < kTreeGroup; ++i) {
        const uint32_t place = i * kTopSize + at[i];
        at[i] = 2 * at[i] + (keys[slots[place]] >= thresholds[place] ? 1 : 0);
      }
    }
    for (uint32_t i = 0; i < kTreeGroup; ++i) {
      at[i] += (tree + i) * kTopSize - (1U << levels);
    }
    sum = add_exits(model, keys, tree, count, at, sum);
  }
  return sum;
}

void add_trees(const FlatModel& model, uint32_t first, uint32_t last, const uint8_t* keys,
               size_t stride, size_t count, float* sums) {
  for (size_t row = 0; row < count; ++row, keys += stride) {
    sums[row] = model.has_blocks() ? add_by_blocks(model, first, last, keys, sums[row])
                                   : add_by_nodes(model, first, last, keys, sums[row]);
  }
}

}  // namespace

const Kernel kScalarKernel = {"scalar", make_keys, add_trees, explain_scalar};

}  // namespace fraud
