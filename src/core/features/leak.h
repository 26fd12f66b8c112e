// Features that alone tell fraud: mostly what was written once the fraud was known.
#pragma once

#include "core/base/guard.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace fraud {

// Looks, on a sample of the rows, for features that rank all frauds before all the rest, or
// behind: alone, a tie counting half, and a missing value being less or more than all others.
class LeakFinder {
 public:
  // A feature is named where at least so many of each class were seen, and its AUC, or 1 - its
  // AUC, is at least that.
  static constexpr size_t kLeastFrauds = 10, kLeastHonest = 100;
  static constexpr double kSeparates = 0.999;

  // Keeps at most `most` values of each class.
  explicit LeakFinder(size_t features, size_t most = size_t{2} << 20);

  void add(bool is_fraud, const float* row);

  struct Leak {
    size_t feature;
    double auc;  // at least kSeparates
  };
  std::vector<Leak> find() const;

 private:
  // Every step-th row of a class, the step doubled whenever they are too many.
  struct Sample {
    std::vector<float> rows;
    uint64_t seen = 0, step = 1;
  };

  size_t features_, most_rows_;
  Sample samples_[2];
};

}  // namespace fraud
