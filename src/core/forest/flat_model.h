// The compiled form of a model: flat, position-independent bytes that score
// without being parsed, so that one copy in shared memory serves every process.
//
// What a tree asks of a row are comparisons with thresholds. Each feature's
// thresholds are sorted once, when the model is compiled; scoring then finds the
// rank of each of the row's values among them and writes it into a few bytes, the
// row's keys. A split is one comparison of a key with a number of one byte:
//
//   the row goes right  <=>  keys[slot] >= threshold
//
// A slot is a feature with what a missing value does there (two slots for a
// feature whose splits send it both ways), so missing values need no case of
// their own. A feature with more than kSlotCuts thresholds has several slots, each
// for a stretch of them. A set of categories has a slot of its own, whose key says
// whether the row's category is in it.
#pragma once

#include "core/base/guard.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/forest/forest.h"

namespace fraud {

// Increased with every change of the layout or of its meaning.
constexpr uint32_t kFlatFormat = 2;

constexpr size_t kFlatAlignment = 64;  // of the bytes and of every section in them
constexpr uint32_t kSlotCuts = 254;    // most thresholds of one slot
constexpr uint32_t kRankFanout = 16;   // values compared at once when ranking
constexpr uint32_t kMaxRankLevels = 7;
constexpr uint32_t kNotPlain = ~0U;
constexpr uint32_t kTopLevels = 6;            // most levels of a tree's top block
constexpr uint32_t kTopSize = 1U << kTopLevels;  // splits (the first unused) and exits of a block
constexpr uint32_t kTreeGroup = 8;            // blocks come in multiples of it
constexpr uint32_t kMaxBlockSlots = 256;      // a block names its slots with one byte

constexpr uint8_t kKeyMissingLeft = 0;     // below every threshold, which are 1 to 254
constexpr uint8_t kKeyMissingRight = 255;  // above every threshold

struct FlatHeader {
  uint32_t magic;
  uint32_t format;
  uint64_t total_bytes;
  uint32_t feature_count;
  uint32_t name_bytes;
  uint32_t rank_count;  // features that some split uses
  uint32_t cut_count;
  uint32_t slot_count;
  uint32_t word_count;
  uint32_t tree_count;
  uint32_t node_count;
  uint32_t top_levels;  // of the blocks: the depth of the deepest tree, at most kTopLevels
  uint32_t max_depth;
  uint32_t transform;
  float base_margin;
  double mean;  // what the trees give on average, by cover: the bias of explanations
  float missing;  // a value that stands for a missing one; NaN where none does
  uint32_t padding;
};

// How a feature becomes keys.
struct FlatRank {
  uint32_t feature;
  uint32_t cut_count;    // its thresholds
  uint32_t level_count;  // of the search tree over them; 0 when there are none
  // Where each level begins in cuts, the lowest first, which holds all thresholds
  // in ascending order. Level k + 1 has the last of every kRankFanout values of
  // level k. All are padded with NaN, which no value reaches.
  uint32_t levels[kMaxRankLevels];
  uint32_t first_slot;
  uint32_t last_slot;  // one past its slots
  // Of a plain feature, whose rank is its key: the slots where a missing value goes
  // left and right. Where it has none, that is the spare key behind all others.
  uint32_t plain_left;  // kNotPlain: see the slots
  uint32_t plain_right;
  uint32_t padding[2];
};

struct FlatSlot {
  uint32_t feature;
  uint32_t first;       // numeric: the first of its thresholds; else its first word in words
  uint32_t word_count;  // 0: numeric
  uint32_t missing;     // the key of a missing value
};

// A node of a tree as it is walked: the next node is left + (goes right). A leaf
// leads to itself: its threshold is 0, which every key reaches, and its left is the
// node before it.
struct FlatNode {
  uint32_t left;
  uint32_t key;  // slot << 8 | threshold

  uint32_t slot() const noexcept { return key >> 8; }
  uint8_t threshold() const noexcept { return static_cast<uint8_t>(key); }
  bool is_leaf() const noexcept { return threshold() == 0; }
};

// Compiles a forest. Throws Error (kLimitExceeded) when it needs more than 2^24
// slots.
std::string compile_model(const Forest& forest);

// A view of compiled bytes, which must stay where they are as long as it lives.
class FlatModel {
 public:
  // Checks every count, offset, index and range once, in time in proportion to the
  // size; nothing is checked when scoring. `bytes` must be aligned to kFlatAlignment.
  // Throws Error (kInvalidModel).
  static FlatModel open(std::string_view bytes);

  // The same for bytes that open() has accepted, without the checks.
  static FlatModel view(std::string_view bytes) noexcept;

  size_t feature_count() const noexcept { return header->feature_count; }
  size_t tree_count() const noexcept { return header->tree_count; }
  std::string_view feature_name(size_t index) const noexcept;
  Transform transform() const noexcept { return static_cast<Transform>(header->transform); }
  size_t bytes() const noexcept { return header->total_bytes; }

  // Bytes of the keys of one row, a multiple of kFlatAlignment; at least one of them
  // is spare.
  size_t key_bytes() const noexcept {
    return (header->slot_count + kFlatAlignment) / kFlatAlignment * kFlatAlignment;
  }

  // True when the blocks hold whole trees, so that an exit is a leaf's value.
  bool blocks_are_whole() const noexcept { return header->max_depth <= header->top_levels; }
  bool has_blocks() const noexcept { return header->slot_count <= kMaxBlockSlots; }

  const FlatHeader* header = nullptr;
  const uint32_t* name_ends = nullptr;  // feature_count
  const char* names = nullptr;          // name_bytes
  const FlatRank* ranks = nullptr;      // rank_count, by feature
  const float* cuts = nullptr;          // cut_count
  const FlatSlot* slots = nullptr;      // slot_count, by feature
  const uint32_t* words = nullptr;      // word_count
  const uint32_t* roots = nullptr;      // tree_count + 1, the last is node_count
  const uint8_t* depths = nullptr;      // tree_count
  const FlatNode* nodes = nullptr;      // node_count, children behind their parents
  const float* values = nullptr;        // node_count; 0 for splits
  const float* shares = nullptr;        // node_count; of the parent's cover, 1 for roots

  // The top of every tree as a complete binary tree: split i has the children 2i
  // and 2i + 1, the root is 1. block_slots and block_thresholds have kTopSize bytes a
  // tree, block_exits as many words: a leaf's value (float) when blocks are whole,
  // else the node to go on from. Without has_blocks() there are none.
  const uint8_t* block_slots = nullptr;
  const uint8_t* block_thresholds = nullptr;
  const uint32_t* block_exits = nullptr;
};

}  // namespace fraud
