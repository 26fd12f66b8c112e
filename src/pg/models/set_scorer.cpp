#include "pg/models/set_scorer.h"

#include "core/features/reasons.h"

#include <set>
#include <utility>

#include "pg/models/model_rows.h"
#include "pg/server/boundary.h"
#include "pg/server/owner_scope.h"

namespace fraud::pg {

SetScorer::SetScorer(ResolvedModel model, std::shared_ptr<const FeatureSet> set)
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
                   "model \"" + model_.name() + "\" uses features that " +
                       (set_->name == "payments" ? "payments do not have" : "feature set \"" + set_->name + "\" does not have"),
                   "Unknown features: " + unknown + ".",
                   set_->name == "payments" ? "fraud.payment_features() lists the features of payments."
                                            : "fraud.feature_catalog lists the features of each set.");
  }
  row_.resize(source_.size());
}

void SetScorer::fill(const float* features) noexcept {
  for (size_t i = 0; i < source_.size(); ++i) row_[i] = features[source_[i]];
}

float SetScorer::score(const float* features) noexcept {
  fill(features);
  return scorer_.score(row_.data());
}

std::string SetScorer::decide(float score) const {
  if (!model_.has_thresholds) return {};
  double value = static_cast<double>(score);
  if (value >= model_.block_at) return "block";
  return value >= model_.review_at ? "review" : "approve";
}

std::vector<std::string> SetScorer::reasons(const std::vector<float>& features) {
  fill(features.data());
  std::vector<double> phi(row_.size() + 1, 0.0);
  scorer_.contributions(row_.data(), phi.data());
  std::vector<double> by_feature(features.size(), 0.0);
  for (size_t i = 0; i < source_.size(); ++i) by_feature[source_[i]] += phi[i];
  return describe_reasons(set_->features, features, by_feature, 3);
}

std::vector<Challenger> find_challengers(const SetScorer& champion) {
  const std::string& model = champion.model().model;
  const Oid schema = fraud_schema();
  ChallengerRow* rows = nullptr;
  const int count = protect([&] {
    CommandCounterIncrement();
    Snapshot snapshot = RegisterSnapshot(GetTransactionSnapshot());
    const int found = read_challengers(schema, model, snapshot, &rows);
    UnregisterSnapshot(snapshot);
    return found;
  });
  std::vector<std::pair<std::string, int>> named;
  for (int i = 0; i < count; ++i) named.emplace_back(rows[i].alias, rows[i].version);
  std::vector<Challenger> found;
  std::set<int> seen = {champion.model().version};
  for (const auto& [alias, version] : named) {
    if (!seen.insert(version).second) continue;
    found.push_back({alias, SetScorer(resolve_model(model + "/" + std::to_string(version), false), champion.feature_set())});
  }
  return found;
}

}  // namespace fraud::pg
