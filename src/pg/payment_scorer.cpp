#include "pg/payment_scorer.h"

#include "core/reasons.h"

#include <utility>

#include "pg/boundary.h"

namespace fraud::pg {

PaymentScorer::PaymentScorer(ResolvedModel model)
    : model_(std::move(model)), scorer_(make_scorer(*model_.flat)) {
  const auto& known = payment_feature_names();
  std::string unknown;
  for (size_t feature = 0; feature < model_.flat->feature_count(); ++feature) {
    const std::string name(model_.flat->feature_name(feature));
    size_t i = 0;
    while (i < known.size() && known[i] != name) ++i;
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

void PaymentScorer::fill(const PaymentFeatures& features) noexcept {
  for (size_t i = 0; i < source_.size(); ++i) row_[i] = features[source_[i]];
}

float PaymentScorer::score(const PaymentFeatures& features) noexcept {
  fill(features);
  return scorer_.score(row_.data());
}

std::string PaymentScorer::decide(float score) const {
  if (!model_.has_thresholds) return {};
  double value = static_cast<double>(score);
  if (value >= model_.block_at) return "block";
  return value >= model_.review_at ? "review" : "approve";
}

std::vector<std::string> PaymentScorer::reasons(const PaymentFeatures& features) {
  fill(features);
  std::vector<double> phi(row_.size() + 1, 0.0);
  scorer_.contributions(row_.data(), phi.data());
  std::vector<double> by_feature(kPaymentFeatureCount, 0.0);
  for (size_t i = 0; i < source_.size(); ++i) by_feature[source_[i]] += phi[i];
  return describe_reasons(features, by_feature, 3);
}

}  // namespace fraud::pg
