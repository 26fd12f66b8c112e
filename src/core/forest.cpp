#include "core/forest.h"

#include <algorithm>
#include <cmath>

namespace fraud {

float Forest::margin(const float* row) const noexcept {
  const Node* const all = nodes.data();
  // The order and the width of this sum are what makes it equal to XGBoost's.
  float sum = base_margin;
  for (const uint32_t root : roots) {
    const Node* node = all + root;
    while (!node->is_leaf) {
      const float value = row[node->feature];
      const bool left = std::isnan(value) ? node->default_left : value < node->value;
      node = all + node->left + (left ? 0 : 1);
    }
    sum += node->value;
  }
  return sum;
}

float Forest::probability(float margin) noexcept {
  // XGBoost keeps expf from overflowing by the first constant and the divisor
  // from zero by the second; both are kept so that the last bit agrees.
  const float x = std::min(-margin, 88.7F);
  return 1.0F / (std::exp(x) + 1.0F + 1e-16F);
}

size_t Forest::bytes() const noexcept {
  size_t sum = sizeof(*this) + nodes.capacity() * sizeof(Node) +
               roots.capacity() * sizeof(uint32_t) + feature_names.capacity() * sizeof(std::string);
  for (const std::string& name : feature_names) sum += name.capacity();
  return sum + objective.capacity() + xgboost_version.capacity();
}

}  // namespace fraud
