// One tree of a model file: its checks, and its place in the forest.
#pragma once

#include "core/base/guard.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/forest/forest.h"

namespace fraud {

// The arrays of one tree as the file has them, by node but for the categories.
struct RawTree {
  std::vector<int64_t> left;
  std::vector<int64_t> right;
  std::vector<int64_t> feature;
  std::vector<float> condition;
  std::vector<uint8_t> default_left;
  std::vector<int64_t> split_type;  // empty in files from before categorical splits
  std::vector<float> cover;

  // Splits by category: the nodes, and the stretch of `categories` of each.
  std::vector<int64_t> categories;
  std::vector<int64_t> category_nodes;
  std::vector<int64_t> category_segments;
  std::vector<int64_t> category_sizes;

  void clear();
};

// Adds trees to a forest, one after the other.
class TreeLayout {
 public:
  explicit TreeLayout(Forest& forest) : forest_(forest) {}

  // Checks a tree and adds its nodes, level by level, so that siblings are neighbours
  // and children lie behind their parents. Throws Error.
  void add(const RawTree& raw);

  // Checks that all splits are on features below a count, which comes behind the
  // trees in a file. Throws Error.
  void check_features(int64_t count) const;

 private:
  // The greatest feature of a tree, and a node that splits on it.
  struct Reach {
    uint32_t feature = 0;
    uint32_t node = 0;
  };

  struct Visit {
    uint32_t from;  // in the file
    uint32_t to;    // in the forest
  };

  std::string tree_name() const;
  std::string node_name(size_t node) const;
  void check_arrays(const RawTree& raw) const;
  void check_categories(const RawTree& raw);
  void lay_out(const RawTree& raw);
  Node read_node(const RawTree& raw, uint32_t from);
  void read_split(const RawTree& raw, uint32_t from, Node* node);
  uint32_t reach_child(uint32_t node, const char* side, int64_t child);
  uint32_t add_category_set(const RawTree& raw, uint32_t from);

  Forest& forest_;
  std::vector<Reach> reaches_;  // by tree
  size_t category_words_ = 0;   // of all sets together

  // Of the tree at hand.
  std::vector<bool> reached_;
  std::vector<uint32_t> category_places_;  // by node: 1 + place in category_nodes, 0 for none
  std::vector<Visit> level_nodes_;
  std::vector<Visit> next_level_nodes_;
};

}  // namespace fraud
