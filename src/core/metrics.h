// How well scores tell fraud from the rest.
#pragma once

#include "core/guard.h"

#include <cstddef>
#include <vector>

namespace fraud {

// A payment's score and what it turned out to be.
struct Outcome {
  float score = 0;
  bool is_fraud = false;
};

// What alerting at a threshold (score >= threshold) finds.
struct AlertQuality {
  float threshold = 0;  // infinity when nothing is alerted
  size_t alerts = 0;
  size_t caught = 0;     // frauds among the alerts
  double precision = 0;  // caught / alerts, NaN without alerts
  double recall = 0;     // caught / frauds, NaN without frauds
};

// Outcomes in descending order of score, and the measures of that ranking.
// Payments of equal score are always taken together, so no measure depends on
// the order in which they were given. A measure that is undefined is NaN.
class Ranking {
 public:
  // Throws Error (kInvalidArgument) when a score is NaN.
  explicit Ranking(std::vector<Outcome> outcomes);

  size_t size() const noexcept { return outcomes_.size(); }
  size_t frauds() const noexcept { return frauds_; }

  // Returns the mean precision over the frauds: the sum of precision times the
  // gain in recall over the distinct scores. NaN without frauds.
  double average_precision() const noexcept;

  // Returns the probability that a fraud scores above an honest payment, a tie
  // counting half. NaN unless there are both.
  double auc_roc() const noexcept;

  // Returns the mean of -log of the probability given to what happened. Scores
  // must be probabilities; they are kept a float's epsilon away from 0 and 1.
  double log_loss() const noexcept;

  // Returns what alerting every payment with score >= threshold finds.
  AlertQuality at_threshold(float threshold) const noexcept;

  // Returns the lowest threshold that alerts at most `rate` (0 to 1) of all
  // payments, and what it finds.
  AlertQuality at_alert_rate(double rate) const noexcept;

  // Returns the lowest threshold whose alerts have at least this precision.
  AlertQuality at_precision(double precision) const noexcept;

  // Returns the quality at each distinct score, from the highest down.
  std::vector<AlertQuality> curve() const;

 private:
  // Calls visit(quality) at each distinct score, from the highest down.
  template <typename Visit>
  void each_threshold(Visit visit) const;
  AlertQuality quality(float threshold, size_t alerts, size_t caught) const noexcept;

  std::vector<Outcome> outcomes_;
  size_t frauds_ = 0;
};

}  // namespace fraud
