// Opens compiled bytes: every number in them is checked here, once.
#include "core/forest/flat_model.h"

#include <cmath>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/forest/flat_layout.h"

namespace fraud {
namespace {

[[noreturn]] void fail(const std::string& what) {
  throw Error(ErrorCode::kInvalidModel, "the compiled model is damaged: " + what, {}, "Import the model's file again.");
}

void check(bool sound, const char* what) {
  if (!sound) fail(what);
}

void check_header(const FlatHeader& header, std::string_view bytes) {
  check(header.magic == kFlatMagic, "it does not begin as one");
  if (header.format != kFlatFormat) {
    fail("expected format " + std::to_string(kFlatFormat) + ", not " +
         std::to_string(header.format));
  }
  check(header.feature_count >= 1 && header.feature_count <= kMaxFeatures, "number of features");
  check(header.rank_count <= header.feature_count, "number of ranked features");
  check(header.slot_count < 1U << 24, "number of slots");
  check(header.tree_count <= kMaxTrees, "number of trees");
  check(header.node_count <= kMaxNodes, "number of nodes");
  check(header.max_depth <= kMaxDepth, "depth");
  check(header.top_levels == (header.max_depth < kTopLevels ? header.max_depth : kTopLevels),
        "levels of the blocks");
  check(header.transform <= static_cast<uint32_t>(Transform::kExp), "transform");
  check(std::isfinite(header.base_margin) && std::isfinite(header.mean), "base margin");
  check(!std::isinf(header.missing) && header.padding == 0, "placeholder");
  check(header.total_bytes == bytes.size() && FlatLayout(header).total_bytes == bytes.size(),
        "size");
}

void check_names(const FlatModel& model) {
  uint32_t end = 0;
  for (uint32_t i = 0; i < model.header->feature_count; ++i) {
    check(model.name_ends[i] > end && model.name_ends[i] <= model.header->name_bytes,
          "feature names");
    end = model.name_ends[i];
  }
  check(end == model.header->name_bytes, "feature names");
}

// Checks a feature's thresholds: ascending and finite, every level in its place
// and padded with NaN, since ranking goes by the padding.
void check_levels(const FlatModel& model, const FlatRank& rank) {
  check((rank.cut_count == 0) == (rank.level_count == 0), "levels of thresholds");
  check(rank.level_count <= kMaxRankLevels, "levels of thresholds");
  uint64_t count = rank.cut_count;
  for (uint32_t level = 0; level < rank.level_count; ++level) {
    const bool is_top = count <= kRankFanout;
    check(is_top == (level + 1 == rank.level_count), "levels of thresholds");
    const uint64_t padded = is_top ? kRankFanout : kRankFanout * (count / kRankFanout + 1);
    check(uint64_t{rank.levels[level]} + padded <= model.header->cut_count,
          "place of the thresholds");
    const float* const cuts = model.cuts + rank.levels[level];
    for (uint64_t i = 0; i < count; ++i) {
      check(std::isfinite(cuts[i]) && (i == 0 || cuts[i - 1] < cuts[i]), "order of thresholds");
    }
    for (uint64_t i = count; i < padded; ++i) check(std::isnan(cuts[i]), "padding of thresholds");
    count /= kRankFanout;
  }
}

void check_slots(const FlatModel& model) {
  const FlatHeader& header = *model.header;
  uint32_t next_slot = 0;
  for (uint32_t i = 0; i < header.rank_count; ++i) {
    const FlatRank& rank = model.ranks[i];
    check(rank.feature < header.feature_count, "feature of a rank");
    check(i == 0 || model.ranks[i - 1].feature < rank.feature, "order of the features");
    check_levels(model, rank);
    check(rank.first_slot == next_slot && rank.last_slot > next_slot &&
              rank.last_slot <= header.slot_count,
          "slots of a feature");
    if (rank.plain_left != kNotPlain) {
      check(rank.plain_left <= header.slot_count && rank.plain_right <= header.slot_count,
            "slots of a feature");
    }
    for (uint32_t s = rank.first_slot; s < rank.last_slot; ++s) {
      const FlatSlot& slot = model.slots[s];
      check(slot.feature == rank.feature, "feature of a slot");
      check(slot.missing == kKeyMissingLeft || slot.missing == kKeyMissingRight,
            "missing value of a slot");
      if (slot.word_count == 0) {
        check(slot.first < rank.cut_count, "thresholds of a slot");
      } else {
        check(uint64_t{slot.first} + slot.word_count <= header.word_count,
              "categories of a slot");
      }
    }
    next_slot = rank.last_slot;
  }
  check(next_slot == header.slot_count, "number of slots");
}

// Checks that the nodes from first to last are one tree of the depth given.
void check_tree(const FlatModel& model, uint32_t first, uint32_t last, uint32_t depth,
                std::vector<uint8_t>& levels) {
  constexpr uint8_t kUnreached = 255;
  levels.assign(last - first, kUnreached);
  levels[0] = 0;
  uint32_t deepest = 0;
  for (uint32_t i = first; i < last; ++i) {
    const FlatNode& node = model.nodes[i];
    const uint32_t level = levels[i - first];
    check(level != kUnreached, "a node that nothing leads to");
    check(std::isfinite(model.values[i]), "value of a leaf");
    check(std::isfinite(model.shares[i]) && model.shares[i] >= 0, "share of a node");
    if (node.is_leaf()) {
      check(node.left == i - 1 && node.slot() == 0, "a leaf that leads on");
      deepest = level > deepest ? level : deepest;
      continue;
    }
    check(level < depth, "depth of a tree");
    check(node.slot() < model.header->slot_count, "slot of a node");
    check(node.left > i && uint64_t{node.left} + 1 < last, "children of a node");
    for (uint32_t child = node.left; child <= node.left + 1; ++child) {
      check(levels[child - first] == kUnreached, "a node that is reached twice");
      levels[child - first] = static_cast<uint8_t>(level + 1);
    }
  }
  check(deepest == depth, "depth of a tree");
}

void check_trees(const FlatModel& model) {
  const FlatHeader& header = *model.header;
  check(model.roots[0] == 0 && model.roots[header.tree_count] == header.node_count,
        "roots of the trees");
  std::vector<uint8_t> levels;
  uint32_t deepest = 0;
  for (uint32_t tree = 0; tree < header.tree_count; ++tree) {
    check(model.roots[tree] < model.roots[tree + 1] && model.roots[tree + 1] <= header.node_count,
          "roots of the trees");
    check(model.depths[tree] <= header.max_depth, "depth of a tree");
    deepest = model.depths[tree] > deepest ? model.depths[tree] : deepest;
    check_tree(model, model.roots[tree], model.roots[tree + 1], model.depths[tree], levels);
  }
  check(deepest == header.max_depth, "depth");
}

void check_blocks(const FlatModel& model) {
  const FlatHeader& header = *model.header;
  if (!model.has_blocks()) return;
  // Kernels read whole groups, the trees that fill up the last one, too.
  const size_t padded = (size_t{header.tree_count} + kTreeGroup - 1) / kTreeGroup * kTreeGroup;
  for (size_t i = 0; i < padded * kTopSize; ++i) {
    check(model.block_slots[i] < header.slot_count || model.block_slots[i] == 0,
          "slot of a block");
  }
  if (model.blocks_are_whole()) return;
  for (size_t tree = 0; tree < header.tree_count; ++tree) {
    for (size_t i = tree * kTopSize; i < tree * kTopSize + (1U << header.top_levels); ++i) {
      check(model.block_exits[i] >= model.roots[tree] &&
                model.block_exits[i] < model.roots[tree + 1],
            "exit of a block");
    }
  }
}

}  // namespace

FlatModel FlatModel::view(std::string_view bytes) noexcept {
  FlatModel model;
  model.header = reinterpret_cast<const FlatHeader*>(bytes.data());
  const FlatLayout layout(*model.header);
  const auto at = [&](uint64_t offset) { return bytes.data() + offset; };
  model.name_ends = reinterpret_cast<const uint32_t*>(at(layout.name_ends));
  model.names = at(layout.names);
  model.ranks = reinterpret_cast<const FlatRank*>(at(layout.ranks));
  model.cuts = reinterpret_cast<const float*>(at(layout.cuts));
  model.slots = reinterpret_cast<const FlatSlot*>(at(layout.slots));
  model.words = reinterpret_cast<const uint32_t*>(at(layout.words));
  model.roots = reinterpret_cast<const uint32_t*>(at(layout.roots));
  model.depths = reinterpret_cast<const uint8_t*>(at(layout.depths));
  model.nodes = reinterpret_cast<const FlatNode*>(at(layout.nodes));
  model.values = reinterpret_cast<const float*>(at(layout.values));
  model.shares = reinterpret_cast<const float*>(at(layout.shares));
  model.block_slots = reinterpret_cast<const uint8_t*>(at(layout.block_slots));
  model.block_thresholds = reinterpret_cast<const uint8_t*>(at(layout.block_thresholds));
  model.block_exits = reinterpret_cast<const uint32_t*>(at(layout.block_exits));
  return model;
}

FlatModel FlatModel::open(std::string_view bytes) {
  check(bytes.size() >= sizeof(FlatHeader), "it is too short");
  check(reinterpret_cast<uintptr_t>(bytes.data()) % kFlatAlignment == 0, "it is not aligned");
  check_header(*reinterpret_cast<const FlatHeader*>(bytes.data()), bytes);
  const FlatModel model = view(bytes);
  check_names(model);
  check_slots(model);
  check_trees(model);
  check_blocks(model);
  return model;
}

std::string_view FlatModel::feature_name(size_t index) const noexcept {
  const uint32_t start = index == 0 ? 0 : name_ends[index - 1];
  return {names + start, name_ends[index] - start};
}

}  // namespace fraud
