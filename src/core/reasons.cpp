#include "core/reasons.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/reason_template.h"

namespace fraud {

std::string describe_feature(size_t index, const PaymentFeatures& features) {
  const PaymentFeature& feature = payment_feature_definitions()[index];
  const auto value_of = [&](std::string_view name) {
    const auto& names = payment_feature_names();
    const auto place = std::find(names.begin(), names.end(), name);
    return place == names.end() ? std::numeric_limits<double>::quiet_NaN()
                                : static_cast<double>(features[place - names.begin()]);
  };
  if (!std::isnan(features[index])) {
    if (auto reason = fill_reason(feature.reason, value_of)) return *reason;
  }
  return std::string(feature.name) + " is unknown";
}

std::vector<std::string> describe_reasons(const PaymentFeatures& features,
                                          const std::vector<double>& contributions, size_t most) {
  std::vector<size_t> order(contributions.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return contributions[a] > contributions[b]; });
  std::vector<std::string> reasons;
  for (size_t index : order) {
    if (reasons.size() >= most || !(contributions[index] > 0)) break;
    reasons.push_back(describe_feature(index, features));
  }
  return reasons;
}

}  // namespace fraud
