// What the kernels share. Everything is always_inline: each kernel gets a copy of
// its own, compiled for its own instruction set.
#pragma once

#include "core/base/guard.h"

#include <cstdint>
#include <cstring>

#include "core/base/category.h"
#include "core/forest/flat_model.h"

#define FRAUD_INLINE static inline __attribute__((always_inline))

namespace fraud {

// Writes the keys of one feature from its value and the value's rank: the number
// of its thresholds that are not above it, 0 for NaN.
FRAUD_INLINE void put_keys(const FlatModel& model, const FlatRank& rank, float value,
                           uint32_t position, uint8_t* keys) {
  const bool missing = value != value;
  if (rank.plain_left != kNotPlain) {
    keys[rank.plain_left] = static_cast<uint8_t>(position);
    keys[rank.plain_right] = missing ? kKeyMissingRight : static_cast<uint8_t>(position);
    return;
  }
  for (uint32_t s = rank.first_slot; s < rank.last_slot; ++s) {
    const FlatSlot& slot = model.slots[s];
    uint32_t key;
    if (__builtin_expect(slot.word_count == 0, 1)) {
      key = position > slot.first ? position - slot.first : 0;
      key = key < kSlotCuts ? key : kSlotCuts;
    } else {
      key = in_categories(model.words + slot.first, slot.word_count, value) ? 255 : 0;
    }
    keys[s] = static_cast<uint8_t>(missing ? slot.missing : key);
  }
}

// Walks kTreeGroup nodes down to their leaves, which are at most `steps` away. The
// walks do not depend on each other, so the machine does them side by side.
FRAUD_INLINE void walk_nodes(const FlatModel& model, const uint8_t* keys, uint32_t steps,
                             uint32_t* at) {
  const FlatNode* const nodes = model.nodes;
  for (; steps > 0; --steps) {
#pragma GCC unroll 8
    for (uint32_t i = 0; i < kTreeGroup; ++i) {
      const FlatNode node = nodes[at[i]];
      at[i] = node.left + (keys[node.slot()] >= node.threshold() ? 1 : 0);
    }
  }
}

FRAUD_INLINE uint32_t deepest(const FlatModel& model, uint32_t tree, uint32_t count) {
  uint32_t depth = 0;
  for (uint32_t i = 0; i < count; ++i) {
    depth = model.depths[tree + i] > depth ? model.depths[tree + i] : depth;
  }
  return depth;
}

// Adds the values of the leaves that `count` (at most kTreeGroup) trees from
// `tree` on give, when exits[i] is where tree i leaves its block.
FRAUD_INLINE float add_exits(const FlatModel& model, const uint8_t* keys, uint32_t tree,
                             uint32_t count, const uint32_t* exits, float sum) {
  if (model.blocks_are_whole()) {
    for (uint32_t i = 0; i < count; ++i) {
      float value;
      std::memcpy(&value, model.block_exits + exits[i], sizeof(value));
      sum += value;
    }
    return sum;
  }
  uint32_t at[kTreeGroup];
  for (uint32_t i = 0; i < kTreeGroup; ++i) at[i] = i < count ? model.block_exits[exits[i]] : 0;
  const uint32_t depth = deepest(model, tree, count);
  const uint32_t top = model.header->top_levels;
  walk_nodes(model, keys, depth > top ? depth - top : 0, at);
  for (uint32_t i = 0; i < count; ++i) sum += model.values[at[i]];
  return sum;
}

}  // namespace fraud
