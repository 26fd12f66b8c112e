#include "pg/payments/payment_scorer.h"

#include "core/features/reasons.h"

#include <utility>

#include "pg/server/boundary.h"

namespace fraud::pg {

PaymentScorer::PaymentScorer(ResolvedModel model, std::shared_ptr<const FeatureSet> set)
    : model_(std::move(model)), set_(std::move(set)), scorer_(make_scorer(*model_.flat)) {
  const std::vector<FeatureInfo>& known = set_->features;
  std::string unknown;
  for (size_t feature = 0; feature < model_.flat->feature_count(); ++feature) {
    const std::string name(model_.flat->feature_name(feature));
    size_t i = 0;
    while (i < known.size() && known[i].name != name) ++i;
    if (i == known.size()) unknown += (unknown.empty() ? "" : ", ") + name;
    source_.push_back(i);
  }
  if (!unknown.empty()) {
    throw SqlError(ERRCODE_UNDEFINED_COLUMN,
                   "model \"" + model_.name() + "\" uses features that payments do not have",
                   "Unknown features: " + unknown + ".",
                   "fraud.payment_features() lists the features of payments.");
  }
  row_.resize(source_.size());
}

void PaymentScorer::fill(const float* features) noexcept {
  for (size_t i = 0; i < source_.size(); ++i) row_[i] = features[source_[i]];
}

float PaymentScorer::score(const float* features) noexcept {
  fill(features);
  return scorer_.score(row_.data());
}

std::string PaymentScorer::decide(float score) const {
  if (!model_.has_thresholds) return {};
  double value = static_cast<double>(score);
  if (value >= model_.block_at) return "block";
  return value >= model_.review_at ? "review" : "approve";
}

std::vector<std::string> PaymentScorer::reasons(const std::vector<float>& features) {
  fill(features.data());
  std::vector<double> phi(row_.size() + 1, 0.0);
  scorer_.contributions(row_.data(), phi.data());
  std::vector<double> by_feature(features.size(), 0.0);
  for (size_t i = 0; i < source_.size(); ++i) by_feature[source_[i]] += phi[i];
  return describe_reasons(set_->features, features, by_feature, 3);
}

}  // namespace fraud::pg
