// A model applied to the events of a feature set as they come: features by name, decision,
// reasons; and the challengers that score beside it.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "pg/features/feature_set.h"
#include "pg/models/model_lookup.h"
#include "pg/server/spi.h"

namespace fraud::pg {

class SetScorer {
 public:
  // Throws SqlError when the model needs a feature that the set does not have.
  SetScorer(ResolvedModel model, std::shared_ptr<const FeatureSet> set);

  const ResolvedModel& model() const noexcept { return model_; }
  const std::shared_ptr<const FeatureSet>& feature_set() const noexcept { return set_; }

  // Returns the model's prediction for a vector of the set: a probability, for the
  // champion.
  float score(const float* features) noexcept;

  // Returns approve, review or block; empty when the model has no thresholds.
  std::string decide(float score) const;

  // Returns up to three sentences on what spoke most for fraud.
  std::vector<std::string> reasons(const std::vector<float>& features);

 private:
  void fill(const float* features) noexcept;

  ResolvedModel model_;
  std::shared_ptr<const FeatureSet> set_;
  Scorer scorer_;
  std::vector<size_t> source_;  // for each of the model's features
  std::vector<float> row_;
};

// A version that scores live events beside the champion, on the same vector, without
// anybody acting on it.
struct Challenger {
  std::string alias;
  SetScorer scorer;
};

// Returns the challengers in force: the aliases of the champion's model that begin with
// "challenger". A version named twice, or that is the champion, scores once.
std::vector<Challenger> find_challengers(const SetScorer& champion);

}  // namespace fraud::pg
