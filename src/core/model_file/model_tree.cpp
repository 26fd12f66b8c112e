#include "core/model_file/model_tree.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/model_file/model_faults.h"

namespace fraud {
namespace {

// XGBoost refuses greater categories: a float cannot tell them apart.
constexpr int64_t kCategoryEnd = int64_t{1} << 24;

constexpr int64_t kNoChild = -1;

}  // namespace

void RawTree::clear() {
  left.clear();
  right.clear();
  feature.clear();
  condition.clear();
  default_left.clear();
  split_type.clear();
  cover.clear();
  categories.clear();
  category_nodes.clear();
  category_segments.clear();
  category_sizes.clear();
}

std::string TreeLayout::tree_name() const { return "tree " + std::to_string(reaches_.size()); }

std::string TreeLayout::node_name(size_t node) const {
  return tree_name() + " node " + std::to_string(node) + ": ";
}

void TreeLayout::add(const RawTree& raw) {
  check_arrays(raw);
  check_categories(raw);
  lay_out(raw);
}

// Checks that the arrays by node are of one length.
void TreeLayout::check_arrays(const RawTree& raw) const {
  const size_t count = raw.left.size();
  const auto check = [&](const char* key, size_t size) {
    if (size != count) {
      fail_invalid(tree_name() + ": \"" + key + "\" has " + std::to_string(size) +
                   " values, \"left_children\" has " + std::to_string(count));
    }
  };
  check("right_children", raw.right.size());
  check("split_indices", raw.feature.size());
  check("split_conditions", raw.condition.size());
  check("default_left", raw.default_left.size());
  check("sum_hessian", raw.cover.size());
  if (!raw.split_type.empty()) check("split_type", raw.split_type.size());
  if (count == 0) fail_invalid(tree_name() + ": it has no nodes");
}

// Checks the categories of all nodes, those that pruning has deleted among them,
// and finds the place of each. XGBoost writes the nodes in ascending order and their
// categories one after the other, so nothing else is taken.
void TreeLayout::check_categories(const RawTree& raw) {
  const size_t node_count = raw.left.size();
  const auto check = [&](const char* key, size_t size) {
    if (size != raw.category_nodes.size()) {
      fail_invalid(tree_name() + ": \"" + key + "\" has " + std::to_string(size) +
                   " values, \"categories_nodes\" has " +
                   std::to_string(raw.category_nodes.size()));
    }
  };
  check("categories_segments", raw.category_segments.size());
  check("categories_sizes", raw.category_sizes.size());
  category_places_.clear();
  if (!raw.category_nodes.empty()) category_places_.assign(node_count, 0);
  int64_t last_node = -1;
  size_t used = 0;
  for (size_t i = 0; i < raw.category_nodes.size(); ++i) {
    const int64_t node = raw.category_nodes[i];
    if (node < 0 || static_cast<uint64_t>(node) >= node_count) {
      fail_invalid(tree_name() + ": \"categories_nodes\" has node " + std::to_string(node) +
                   ", the tree has " + std::to_string(node_count) + " nodes");
    }
    if (node <= last_node) {
      fail_invalid(tree_name() + ": \"categories_nodes\" is not in ascending order");
    }
    last_node = node;
    const auto place = static_cast<size_t>(node);
    if (raw.split_type.empty() || raw.split_type[place] == 0) {
      fail_invalid(node_name(place) + "it has categories, but no split by category");
    }
    const int64_t size = raw.category_sizes[i];
    if (raw.category_segments[i] != static_cast<int64_t>(used) || size < 1 ||
        static_cast<uint64_t>(size) > raw.categories.size() - used) {
      fail_invalid(node_name(place) + "its categories do not follow those of the node before");
    }
    used += static_cast<size_t>(size);
    category_places_[place] = static_cast<uint32_t>(i + 1);
  }
  if (used != raw.categories.size()) {
    fail_invalid(tree_name() + ": \"categories\" has " + std::to_string(raw.categories.size()) +
                 " values, its nodes have " + std::to_string(used));
  }
}

// Copies the nodes that can be reached. Nodes that pruning has deleted stay in
// XGBoost's arrays with meaningless values; nothing points at them.
void TreeLayout::lay_out(const RawTree& raw) {
  reached_.assign(raw.left.size(), false);
  reached_[0] = true;
  Reach reach;
  std::vector<Node>& nodes = forest_.nodes;
  forest_.roots.push_back(static_cast<uint32_t>(nodes.size()));
  level_nodes_.assign(1, Visit{0, static_cast<uint32_t>(nodes.size())});
  nodes.emplace_back();
  for (size_t level = 0; !level_nodes_.empty(); ++level) {
    if (level > kMaxDepth) fail_limit(tree_name() + " is deeper than " + std::to_string(kMaxDepth));
    next_level_nodes_.clear();
    for (const Visit& visit : level_nodes_) {
      Node node = read_node(raw, visit.from);
      if (node.is_leaf) {
        nodes[visit.to] = node;
        continue;
      }
      if (node.feature > reach.feature) reach = Reach{node.feature, visit.from};
      const uint32_t left = reach_child(visit.from, "left", raw.left[visit.from]);
      const uint32_t right = reach_child(visit.from, "right", raw.right[visit.from]);
      if (nodes.size() + 2 > kMaxNodes) {
        fail_limit("the model has more than " + std::to_string(kMaxNodes) + " nodes");
      }
      node.left = static_cast<uint32_t>(nodes.size());
      nodes[visit.to] = node;
      nodes.resize(nodes.size() + 2);
      next_level_nodes_.push_back(Visit{left, node.left});
      next_level_nodes_.push_back(Visit{right, node.left + 1});
    }
    level_nodes_.swap(next_level_nodes_);
  }
  reaches_.push_back(reach);
}

// Returns a node of the file, all but its place in the forest.
Node TreeLayout::read_node(const RawTree& raw, uint32_t from) {
  Node node;
  node.is_leaf = raw.left[from] == kNoChild;
  node.cover = raw.cover[from];
  if (!std::isfinite(node.cover) || node.cover < 0) {
    fail_invalid(node_name(from) + "\"sum_hessian\" is not a finite number of at least 0");
  }
  if (!node.is_leaf) {
    read_split(raw, from, &node);
    return node;
  }
  if (raw.right[from] != kNoChild) fail_invalid(node_name(from) + "a leaf has a right child");
  node.value = raw.condition[from];
  if (!std::isfinite(node.value)) {
    fail_invalid(node_name(from) + "the leaf is not a finite number");
  }
  return node;
}

void TreeLayout::read_split(const RawTree& raw, uint32_t from, Node* node) {
  const int64_t feature = raw.feature[from];
  if (feature < 0 || feature >= static_cast<int64_t>(std::numeric_limits<int32_t>::max())) {
    fail_invalid(node_name(from) + "split feature " + std::to_string(feature) +
                 " is out of range");
  }
  node->feature = static_cast<uint32_t>(feature);
  node->default_left = raw.default_left[from] != 0;
  const int64_t type = raw.split_type.empty() ? 0 : raw.split_type[from];
  if (type == 1) {
    // The threshold of such a split means nothing; some versions write NaN.
    node->category_set = add_category_set(raw, from);
    return;
  }
  if (type != 0) {
    fail_invalid(node_name(from) + "split type " + std::to_string(type) + " is unknown");
  }
  node->value = raw.condition[from];
  if (!std::isfinite(node->value)) {
    fail_invalid(node_name(from) + "the threshold is not a finite number");
  }
}

uint32_t TreeLayout::reach_child(uint32_t node, const char* side, int64_t child) {
  if (child < 0 || static_cast<uint64_t>(child) >= reached_.size()) {
    fail_invalid(node_name(node) + side + " child " + std::to_string(child) +
                 " is out of range, the tree has " + std::to_string(reached_.size()) + " nodes");
  }
  const auto place = static_cast<size_t>(child);
  if (reached_[place]) {
    fail_invalid(node_name(node) + side + " child " + std::to_string(child) + " is reached twice");
  }
  reached_[place] = true;
  return static_cast<uint32_t>(child);
}

// Adds the categories that a node sends right to the forest's sets; returns 1 +
// the index of the set.
uint32_t TreeLayout::add_category_set(const RawTree& raw, uint32_t from) {
  const uint32_t place = category_places_.empty() ? 0 : category_places_[from];
  if (place == 0) fail_invalid(node_name(from) + "a split by category has no categories");
  const auto first = raw.categories.begin() + raw.category_segments[place - 1];
  const auto last = first + raw.category_sizes[place - 1];
  for (auto category = first; category != last; ++category) {
    if (*category < 0 || *category >= kCategoryEnd) {
      fail_invalid(node_name(from) + "category " + std::to_string(*category) +
                   " is out of range, categories are below " + std::to_string(kCategoryEnd));
    }
  }
  const size_t words = static_cast<size_t>(*std::max_element(first, last)) / 32 + 1;
  category_words_ += words;
  if (category_words_ > kMaxCategoryWords) {
    fail_limit("the model's splits by category take more than " +
               std::to_string(kMaxCategoryWords * sizeof(uint32_t)) + " bytes");
  }
  CategorySet set(words);
  for (auto category = first; category != last; ++category) {
    set[static_cast<size_t>(*category / 32)] |= uint32_t{1} << (*category % 32);
  }
  forest_.category_sets.push_back(std::move(set));
  return static_cast<uint32_t>(forest_.category_sets.size());
}

void TreeLayout::check_features(int64_t count) const {
  for (size_t tree = 0; tree < reaches_.size(); ++tree) {
    const Reach& reach = reaches_[tree];
    if (static_cast<int64_t>(reach.feature) < count) continue;
    fail_invalid("tree " + std::to_string(tree) + " node " + std::to_string(reach.node) +
                 ": split feature " + std::to_string(reach.feature) +
                 " is out of range, the model has " + std::to_string(count) + " features");
  }
}

}  // namespace fraud
