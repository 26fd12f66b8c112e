#include "core/forest/forest.h"

#include <algorithm>
#include <cmath>

#include "core/base/category.h"

namespace fraud {

float Forest::margin(const float* row) const noexcept {
  const Node* const all = nodes.data();
  // The order and the width of this sum are what makes it equal to XGBoost's.
  float sum = base_margin;
  for (const uint32_t root : roots) {
    const Node* node = all + root;
    while (!node->is_leaf) {
      node = all + node->left + (goes_left(*node, row[node->feature]) ? 0 : 1);
    }
    sum += node->value;
  }
  return sum;
}

bool Forest::goes_left(const Node& split, float value) const noexcept {
  if (std::isnan(value) || value == missing) return split.default_left;
  if (split.category_set == 0) return value < split.value;
  const CategorySet& set = category_sets[split.category_set - 1];
  return !in_categories(set.data(), set.size(), value);
}

float transform_margin(Transform transform, float margin) noexcept {
  if (transform == Transform::kIdentity) return margin;
  if (transform == Transform::kExp) return std::exp(margin);
  // XGBoost keeps expf from overflowing by the first constant and the divisor
  // from zero by the second; both are kept so that the last bit agrees.
  const float x = std::min(-margin, 88.7F);
  return 1.0F / (std::exp(x) + 1.0F + 1e-16F);
}

void Forest::keep_iterations(size_t count) {
  if (count >= iteration_ends.size()) return;
  iteration_ends.resize(count);
  const size_t trees = count == 0 ? 0 : iteration_ends.back();
  nodes.resize(roots[trees]);
  roots.resize(trees);
  uint32_t sets = 0;
  for (const Node& node : nodes) sets = std::max(sets, node.category_set);
  category_sets.resize(sets);
}

size_t Forest::bytes() const noexcept {
  size_t sum = sizeof(*this) + nodes.capacity() * sizeof(Node) +
               (roots.capacity() + iteration_ends.capacity()) * sizeof(uint32_t) +
               feature_names.capacity() * sizeof(std::string);
  for (const std::string& name : feature_names) sum += name.capacity();
  for (const CategorySet& set : category_sets) {
    sum += sizeof(CategorySet) + set.capacity() * sizeof(uint32_t);
  }
  return sum + objective.capacity() + xgboost_version.capacity();
}

}  // namespace fraud
