// Scoring a block of rows at once, for models whose trees are blocks (FlatModel::blocks_are_whole).
#pragma once

#include "core/base/guard.h"

#include <cstddef>
#include <cstdint>

#include "core/forest/flat_model.h"

namespace fraud {

constexpr uint32_t kBlockRows = 64;

// Adds the leaves of all trees, in their order, to each of kBlockRows sums, as Kernel::add_trees does. The keys of
// row i are at keys + i * stride. `thresholds` are those of the blocks, each four times in a word (spread_thresholds),
// `columns` is room for block_columns() bytes. All are aligned to kFlatAlignment.
using AddBlock = void (*)(const FlatModel& model, const uint32_t* thresholds, const uint8_t* keys, size_t stride,
                          uint8_t* columns, float* sums);

// Tells whether a model can be scored so.
inline bool can_add_blocks(const FlatModel& model) noexcept {
  return model.has_blocks() && model.blocks_are_whole() && model.header->top_levels > 0;
}

inline size_t block_thresholds(const FlatModel& model) noexcept {
  return (model.tree_count() + kTreeGroup - 1) / kTreeGroup * kTreeGroup * kTopSize;
}
inline size_t block_columns(const FlatModel& model) noexcept { return model.key_bytes() * kBlockRows; }

inline void spread_thresholds(const FlatModel& model, uint32_t* thresholds) noexcept {
  for (size_t i = 0; i < block_thresholds(model); ++i) thresholds[i] = model.block_thresholds[i] * 0x01010101U;
}

#if defined(__x86_64__)
void add_block_avx2(const FlatModel& model, const uint32_t* thresholds, const uint8_t* keys, size_t stride,
                    uint8_t* columns, float* sums);
void add_block_avx512(const FlatModel& model, const uint32_t* thresholds, const uint8_t* keys, size_t stride,
                      uint8_t* columns, float* sums);
#endif

}  // namespace fraud
