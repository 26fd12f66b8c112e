#include "core/features/leak.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/features/metrics.h"

namespace fraud {

LeakFinder::LeakFinder(size_t features, size_t most)
    : features_(features), most_rows_(std::max(most / std::max(features, size_t{1}), kLeastHonest * 2)) {}

void LeakFinder::add(bool is_fraud, const float* row) {
  Sample& sample = samples_[is_fraud ? 1 : 0];
  if (sample.seen++ % sample.step != 0) return;
  if (sample.rows.size() / features_ == most_rows_) {
    size_t kept = 0;
    for (size_t i = 0; i < most_rows_; i += 2, ++kept) {
      std::copy_n(sample.rows.begin() + static_cast<ptrdiff_t>(i * features_), features_,
                  sample.rows.begin() + static_cast<ptrdiff_t>(kept * features_));
    }
    sample.rows.resize(kept * features_);
    sample.step *= 2;
    if ((sample.seen - 1) % sample.step != 0) return;
  }
  sample.rows.insert(sample.rows.end(), row, row + features_);
}

std::vector<LeakFinder::Leak> LeakFinder::find() const {
  std::vector<Leak> leaks;
  if (features_ == 0) return leaks;
  if (samples_[1].rows.size() / features_ < kLeastFrauds || samples_[0].rows.size() / features_ < kLeastHonest) return leaks;
  for (size_t feature = 0; feature < features_; ++feature) {
    double best = 0;
    for (const double missing : {-std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity()}) {
      std::vector<Outcome> outcomes;
      for (const bool is_fraud : {false, true}) {
        const std::vector<float>& rows = samples_[is_fraud ? 1 : 0].rows;
        for (size_t i = feature; i < rows.size(); i += features_) {
          outcomes.push_back({std::isnan(rows[i]) ? missing : static_cast<double>(rows[i]), is_fraud});
        }
      }
      const double auc = Ranking(std::move(outcomes)).auc_roc();
      best = std::max({best, auc, 1 - auc});
    }
    if (best >= kSeparates) leaks.push_back({feature, best});
  }
  return leaks;
}

}  // namespace fraud
