// A model applied to payments: features by name, decision, reasons.
#pragma once

#include "core/payment_features.h"

#include <string>
#include <utility>
#include <vector>

#include "pg/model_lookup.h"

namespace fraud::pg {

class PaymentScorer {
 public:
  // Throws SqlError when the model needs a feature that payments do not have.
  explicit PaymentScorer(ResolvedModel model);

  const ResolvedModel& model() const noexcept { return model_; }

  // Returns the model's prediction: a probability, for the champion.
  float score(const PaymentFeatures& features) noexcept;

  // Returns approve, review or block; empty when the model has no thresholds.
  std::string decide(float score) const;

  // Returns up to three sentences on what spoke most for fraud.
  std::vector<std::string> reasons(const PaymentFeatures& features);

 private:
  void fill(const PaymentFeatures& features) noexcept;

  ResolvedModel model_;
  Scorer scorer_;
  std::vector<size_t> source_;  // for each of the model's features
  std::vector<float> row_;
};

}  // namespace fraud::pg
