// Makes the compiled form of a forest.
#include <algorithm>
#include <cstring>
#include <limits>
#include <map>
#include <numeric>
#include <string>
#include <tuple>
#include <vector>

#include "core/base/error.h"
#include "core/forest/flat_layout.h"
#include "core/forest/flat_model.h"

namespace fraud {
namespace {

constexpr uint32_t kMaxSlots = 1U << 24;

// What a slot is for; the order of slots is the order of these.
struct SlotKey {
  uint32_t feature;
  bool categorical;
  uint32_t index;  // of the stretch of thresholds, or of the distinct category set
  bool missing_right;

  bool operator<(const SlotKey& other) const {
    return std::tie(feature, categorical, index, missing_right) <
           std::tie(other.feature, other.categorical, other.index, other.missing_right);
  }
};

// Appends the levels of the search tree over sorted thresholds.
void add_levels(const std::vector<float>& sorted, FlatRank& rank, std::vector<float>& cuts) {
  std::vector<float> level = sorted;
  rank.level_count = 0;
  while (true) {
    std::vector<float> above;
    for (size_t i = kRankFanout; i <= level.size(); i += kRankFanout) above.push_back(level[i - 1]);
    const bool is_top = level.size() <= kRankFanout;
    const size_t padded = is_top ? kRankFanout : kRankFanout * (above.size() + 1);
    rank.levels[rank.level_count++] = static_cast<uint32_t>(cuts.size());
    cuts.insert(cuts.end(), level.begin(), level.end());
    cuts.resize(cuts.size() + padded - level.size(), std::numeric_limits<float>::quiet_NaN());
    if (is_top) return;
    level = std::move(above);
  }
}

class Compiler {
 public:
  explicit Compiler(const Forest& forest) : forest_(forest) {}

  std::string run() {
    collect_cuts();
    collect_slots();
    lay_out_ranks();
    mark_plain_ranks();
    lay_out_nodes();
    return write();
  }

 private:
  bool is_categorical(const Node& node) const { return node.category_set != 0; }

  void collect_cuts() {
    cuts_of_.resize(forest_.feature_count());
    for (const Node& node : forest_.nodes) {
      if (!node.is_leaf && !is_categorical(node)) cuts_of_[node.feature].push_back(node.value);
    }
    for (std::vector<float>& cuts : cuts_of_) {
      std::sort(cuts.begin(), cuts.end());
      cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
    }
    // Splits with equal sets share a slot.
    std::map<CategorySet, uint32_t> distinct;
    for (const CategorySet& set : forest_.category_sets) {
      const auto [place, is_new] =
          distinct.emplace(set, static_cast<uint32_t>(first_word_.size()));
      set_index_.push_back(place->second);
      if (!is_new) continue;
      first_word_.push_back(static_cast<uint32_t>(words_.size()));
      word_count_.push_back(static_cast<uint32_t>(set.size()));
      words_.insert(words_.end(), set.begin(), set.end());
    }
  }

  uint32_t cut_index(const Node& node) const {
    const std::vector<float>& cuts = cuts_of_[node.feature];
    return static_cast<uint32_t>(std::lower_bound(cuts.begin(), cuts.end(), node.value) -
                                 cuts.begin());
  }

  SlotKey slot_key(const Node& node) const {
    const bool categorical = is_categorical(node);
    const uint32_t index =
        categorical ? set_index_[node.category_set - 1] : cut_index(node) / kSlotCuts;
    return SlotKey{node.feature, categorical, index, !node.default_left};
  }

  void collect_slots() {
    for (const Node& node : forest_.nodes) {
      if (!node.is_leaf) slots_.emplace(slot_key(node), 0);
    }
    if (slots_.size() >= kMaxSlots) {
      throw Error(ErrorCode::kLimitExceeded,
                  "the model has more than " + std::to_string(kMaxSlots) + " kinds of splits", {},
                  "Train a smaller model: fewer trees, or features with fewer different values.");
    }
    uint32_t next = 0;
    for (auto& [key, slot] : slots_) slot = next++;
  }

  void lay_out_ranks() {
    for (const auto& [key, index] : slots_) {
      if (ranks_.empty() || ranks_.back().feature != key.feature) {
        FlatRank rank = {};
        rank.feature = key.feature;
        rank.cut_count = static_cast<uint32_t>(cuts_of_[key.feature].size());
        if (rank.cut_count > 0) add_levels(cuts_of_[key.feature], rank, cuts_);
        rank.first_slot = index;
        ranks_.push_back(rank);
      }
      ranks_.back().last_slot = index + 1;
      FlatSlot slot = {};
      slot.feature = key.feature;
      slot.missing = key.missing_right ? kKeyMissingRight : kKeyMissingLeft;
      slot.first = key.categorical ? first_word_[key.index] : key.index * kSlotCuts;
      slot.word_count = key.categorical ? word_count_[key.index] : 0;
      flat_slots_.push_back(slot);
    }
  }

  void mark_plain_ranks() {
    const auto spare = static_cast<uint32_t>(flat_slots_.size());
    for (FlatRank& rank : ranks_) {
      rank.plain_left = spare;
      rank.plain_right = spare;
      bool plain = true;
      for (uint32_t s = rank.first_slot; s < rank.last_slot; ++s) {
        const FlatSlot& slot = flat_slots_[s];
        plain = plain && slot.word_count == 0 && rank.cut_count <= kSlotCuts;
        (slot.missing == kKeyMissingLeft ? rank.plain_left : rank.plain_right) = s;
      }
      if (!plain) rank.plain_left = rank.plain_right = kNotPlain;
    }
  }

  void lay_out_nodes() {
    const size_t count = forest_.nodes.size();
    nodes_.resize(count);
    values_.assign(count, 0);
    shares_.assign(count, 1);
    std::vector<uint8_t> level(count, 0);
    std::vector<double> means(count, 0);
    for (size_t i = 0; i < count; ++i) {
      const Node& node = forest_.nodes[i];
      if (node.is_leaf) {
        nodes_[i] = FlatNode{static_cast<uint32_t>(i) - 1, 0};
        values_[i] = node.value;
        continue;
      }
      const uint32_t slot = slots_.at(slot_key(node));
      const uint32_t threshold = is_categorical(node) ? 1 : cut_index(node) % kSlotCuts + 1;
      nodes_[i] = FlatNode{node.left, slot << 8U | threshold};
      for (uint32_t child : {node.left, node.left + 1}) {
        level[child] = static_cast<uint8_t>(level[i] + 1);
        // Where no row at all came in training any shares that add up to one will do.
        const float share = node.cover > 0 ? forest_.nodes[child].cover / node.cover : 0.5F;
        shares_[child] = std::min(share, 1.0F);
      }
    }
    for (size_t i = count; i-- > 0;) {
      const Node& node = forest_.nodes[i];
      means[i] = node.is_leaf ? static_cast<double>(node.value)
                              : static_cast<double>(shares_[node.left]) * means[node.left] +
                                    static_cast<double>(shares_[node.left + 1]) *
                                        means[node.left + 1];
    }
    roots_ = forest_.roots;
    roots_.push_back(static_cast<uint32_t>(count));
    for (size_t tree = 0; tree < forest_.roots.size(); ++tree) {
      const uint8_t depth = *std::max_element(level.begin() + roots_[tree],
                                              level.begin() + roots_[tree + 1]);
      depths_.push_back(depth);
      mean_ += means[roots_[tree]];
    }
  }

  // Fills split `place` and all below it of a tree's block from a node.
  void fill_block(uint32_t tree, uint32_t place, uint32_t level, uint32_t node, FlatWriter& flat) {
    const uint32_t levels = flat.header->top_levels;
    const size_t base = size_t{tree} * kTopSize;
    if (level == levels) {
      const size_t exit = base + place - (size_t{1} << levels);
      if (flat.header->max_depth <= levels) {
        std::memcpy(flat.block_exits + exit, &values_[node], sizeof(float));
      } else {
        flat.block_exits[exit] = node;
      }
      return;
    }
    const FlatNode& split = nodes_[node];
    if (!split.is_leaf()) {
      flat.block_slots[base + place] = static_cast<uint8_t>(split.slot());
      flat.block_thresholds[base + place] = split.threshold();
    }
    // Below a leaf whatever the comparison says leads to the leaf.
    const bool leaf = split.is_leaf();
    fill_block(tree, 2 * place, level + 1, leaf ? node : split.left, flat);
    fill_block(tree, 2 * place + 1, level + 1, leaf ? node : split.left + 1, flat);
  }

  std::string write() {
    FlatHeader header = {};
    header.magic = kFlatMagic;
    header.format = kFlatFormat;
    header.feature_count = static_cast<uint32_t>(forest_.feature_count());
    for (const std::string& name : forest_.feature_names) {
      header.name_bytes += static_cast<uint32_t>(name.size());
    }
    header.rank_count = static_cast<uint32_t>(ranks_.size());
    header.cut_count = static_cast<uint32_t>(cuts_.size());
    header.slot_count = static_cast<uint32_t>(flat_slots_.size());
    header.word_count = static_cast<uint32_t>(words_.size());
    header.tree_count = static_cast<uint32_t>(depths_.size());
    header.node_count = static_cast<uint32_t>(nodes_.size());
    header.max_depth = depths_.empty() ? 0 : *std::max_element(depths_.begin(), depths_.end());
    header.top_levels = std::min(header.max_depth, kTopLevels);
    header.transform = static_cast<uint32_t>(forest_.transform);
    header.base_margin = forest_.base_margin;
    header.mean = mean_;
    header.missing = forest_.missing;
    const FlatLayout layout(header);
    header.total_bytes = layout.total_bytes;

    std::string bytes(layout.total_bytes, '\0');
    FlatWriter flat(bytes.data(), layout);
    *flat.header = header;
    uint32_t end = 0;
    for (size_t i = 0; i < forest_.feature_count(); ++i) {
      const std::string& name = forest_.feature_names[i];
      std::copy(name.begin(), name.end(), flat.names + end);
      end += static_cast<uint32_t>(name.size());
      flat.name_ends[i] = end;
    }
    std::copy(ranks_.begin(), ranks_.end(), flat.ranks);
    std::copy(cuts_.begin(), cuts_.end(), flat.cuts);
    std::copy(flat_slots_.begin(), flat_slots_.end(), flat.slots);
    std::copy(words_.begin(), words_.end(), flat.words);
    std::copy(roots_.begin(), roots_.end(), flat.roots);
    std::copy(depths_.begin(), depths_.end(), flat.depths);
    std::copy(nodes_.begin(), nodes_.end(), flat.nodes);
    std::copy(values_.begin(), values_.end(), flat.values);
    std::copy(shares_.begin(), shares_.end(), flat.shares);
    if (header.slot_count <= kMaxBlockSlots) {
      for (uint32_t tree = 0; tree < header.tree_count; ++tree) {
        fill_block(tree, 1, 0, roots_[tree], flat);
      }
    }
    return bytes;
  }

  const Forest& forest_;
  std::vector<std::vector<float>> cuts_of_;  // by feature, ascending
  std::vector<uint32_t> set_index_;          // of Forest::category_sets: the distinct set
  std::vector<uint32_t> first_word_;         // by distinct set
  std::vector<uint32_t> word_count_;         // by distinct set
  std::map<SlotKey, uint32_t> slots_;

  std::vector<FlatRank> ranks_;
  std::vector<float> cuts_;
  std::vector<FlatSlot> flat_slots_;
  std::vector<uint32_t> words_;
  std::vector<uint32_t> roots_;
  std::vector<uint8_t> depths_;
  std::vector<FlatNode> nodes_;
  std::vector<float> values_;
  std::vector<float> shares_;
  double mean_ = 0;
};

}  // namespace

std::string compile_model(const Forest& forest) { return Compiler(forest).run(); }

}  // namespace fraud
