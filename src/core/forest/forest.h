// A trained ensemble in the form that scores: flat, checked once, immutable.
#pragma once

#include "core/base/guard.h"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fraud {

// Bounds on a model, checked when it is read.
constexpr size_t kMaxModelBytes = size_t{256} << 20;
constexpr size_t kMaxTrees = 100000;
constexpr size_t kMaxNodes = size_t{1} << 25;  // of all trees together
constexpr size_t kMaxDepth = 64;
constexpr size_t kMaxFeatures = 4096;
constexpr size_t kMaxCategoryWords = size_t{1} << 24;  // of all category sets together

// One node; the children of a split lie side by side.
struct Node {
  float value = 0;            // a split's threshold, or a leaf's value
  uint32_t left = 0;          // index in Forest::nodes of the left child; right is left + 1
  uint32_t feature = 0;       // of a split: index of the feature
  float cover = 0;            // sum of hessians that reached the node in training
  bool is_leaf = true;
  bool default_left = false;  // where a missing value goes
  uint32_t category_set = 0;  // of a categorical split: 1 + index in Forest::category_sets
};

// The categories that a split sends right: category c is bit c % 32 of word c / 32.
using CategorySet = std::vector<uint32_t>;

// What makes a prediction of a margin.
enum class Transform : uint8_t { kIdentity, kSigmoid, kExp };

// Returns the prediction of a margin, by XGBoost's own formula in float32.
float transform_margin(Transform transform, float margin) noexcept;

// An ensemble with one output. The margin is summed in float32, from the base
// margin, tree after tree, as XGBoost's CPU predictor does; so it is equal to
// XGBoost's bit for bit.
class Forest {
 public:
  // Returns the raw score (log-odds, for a logistic objective) of one row:
  // feature_count() values in the order of feature_names, NaN meaning missing.
  float margin(const float* row) const noexcept;

  float score(const float* row) const noexcept { return transform_margin(transform, margin(row)); }

  // Tells whether a value goes from a split to its left child.
  bool goes_left(const Node& split, float value) const noexcept;

  size_t feature_count() const noexcept { return feature_names.size(); }
  size_t tree_count() const noexcept { return roots.size(); }
  size_t iteration_count() const noexcept { return iteration_ends.size(); }
  size_t bytes() const noexcept;

  // Leaves out the trees behind the first `count` boosting iterations.
  void keep_iterations(size_t count);

  std::vector<std::string> feature_names;  // f0, f1, … when the file has none
  bool has_feature_names = false;          // the file itself names them
  std::vector<Node> nodes;
  std::vector<uint32_t> roots;  // a tree's first node
  std::vector<CategorySet> category_sets;  // in the order of the trees
  std::vector<uint32_t> iteration_ends;    // of each boosting iteration, the tree behind its last
  std::optional<uint32_t> best_iteration;  // from 0, where early stopping noted one
  // A value of a feature that stands for a missing one, as the file says; NaN: none does.
  float missing = std::numeric_limits<float>::quiet_NaN();
  Transform transform = Transform::kSigmoid;
  float base_score = 0.5F;      // as saved
  float base_margin = 0;        // what the objective makes of base_score
  std::string objective;
  std::string xgboost_version;  // of the library that saved the file, such as "2.1.3"
};

}  // namespace fraud
