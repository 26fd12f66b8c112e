// Simple conditions that tell frauds from other payments in a sample: a tree of depth two, by exhaustion.
#pragma once

#include "core/base/guard.h"

#include <cstddef>
#include <optional>
#include <vector>

namespace fraud {

// A comparison with a threshold; a NaN is on neither side of it.
struct Comparison {
  size_t column = 0;
  bool above = false;  // at least, else at most
  double at = 0;

  bool holds(double value) const noexcept { return above ? value >= at : value <= at; }
};

struct Suggestion {
  Comparison first;
  std::optional<Comparison> second;
  double caught = 0, hit = 0;  // weight of frauds, and of all, that it holds for
  double value = 0;            // F0.5: a false alarm counts for more than a miss
};

class SuggestionSearch {
 public:
  explicit SuggestionSearch(size_t columns) : columns_(columns) {}
  // NaN is a missing value.
  void add(const std::vector<double>& row, bool fraud) {
    values_.insert(values_.end(), row.begin(), row.end());
    frauds_.push_back(fraud);
  }
  size_t columns() const noexcept { return columns_; }

  // The best single comparisons, one a column and side, and pairs of the best 25 of them, best first, at most so many. The
  // sample stands for so many frauds and others. Thresholds are quantiles of the frauds.
  std::vector<Suggestion> find(double frauds, double others, size_t most) const;

 private:
  double value(size_t row, size_t column) const noexcept { return values_[row * columns_ + column]; }
  std::vector<double> thresholds(size_t column) const;

  size_t columns_;
  std::vector<double> values_;
  std::vector<char> frauds_;
};

}  // namespace fraud
