// How well scores tell fraud from the rest.
#pragma once

#include "core/base/guard.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace fraud {

// A payment's score and what it turned out to be.
struct Outcome {
  double score = 0;
  bool is_fraud = false;
};

// What alerting at a threshold (score >= threshold) finds.
struct AlertQuality {
  double threshold = 0;  // infinity when nothing is alerted
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
  // are kept a double's epsilon away from 0 and 1, as scikit-learn keeps them.
  // NaN unless all scores are probabilities.
  double log_loss() const noexcept;

  // Returns the mean squared distance of the score from what happened (0 or 1).
  // NaN unless all scores are probabilities.
  double brier() const noexcept;

  // Returns what alerting every payment with score >= threshold finds.
  AlertQuality at_threshold(double threshold) const noexcept;

  // Returns the lowest threshold that alerts at most `rate` (0 to 1) of all
  // payments, and what it finds.
  AlertQuality at_alert_rate(double rate) const noexcept;

  // Returns the lowest threshold whose alerts have at least this precision.
  AlertQuality at_precision(double precision) const noexcept;

  // Returns the quality at each distinct score, from the highest down; with
  // `steps` above 0 only at those where recall or the share of alerts has grown
  // by 1 / steps since the one before, and at the first and the last.
  std::vector<AlertQuality> curve(size_t steps = 0) const;

 private:
  // Calls visit(quality) at each distinct score, from the highest down.
  template <typename Visit>
  void each_threshold(Visit visit) const;
  bool probabilities() const noexcept;
  AlertQuality quality(double threshold, size_t alerts, size_t caught) const noexcept;

  std::vector<Outcome> outcomes_;
  size_t frauds_ = 0;
};

// A payment as the precision of alerts by card needs it.
struct CardOutcome {
  int64_t day = 0;
  uint64_t card = 0;
  double score = 0;
  bool is_fraud = false;
};

// Returns the mean over the days of: of the k cards with the highest score that
// day, the share that had a fraud that day. Cards of equal score are taken in the
// order of `card`. Days with fewer cards count as if the rest were honest. With
// `remove_caught`, a card that was caught on a day (it was among the k, and had a
// fraud) is left out on the days after. NaN without a day. Throws Error
// (kInvalidArgument) when k is 0.
double card_precision(std::vector<CardOutcome> outcomes, size_t k, bool remove_caught);

}  // namespace fraud
