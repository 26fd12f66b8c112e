// A forest in its compiled form, for tests.
#pragma once

#include <vector>

#include "core/scorer.h"

namespace fraud {

struct Compiled {
  explicit Compiled(const Forest& forest, const Kernel& kernel = best_kernel())
      : bytes(compile_model(forest)), model(FlatModel::open(bytes.view())), scorer(model, kernel) {}

  // Returns feature_count() + 1 contributions, the last one the bias.
  std::vector<double> contributions(const float* row) {
    std::vector<double> phi(model.feature_count() + 1, 0.0);
    scorer.contributions(row, phi.data());
    return phi;
  }

  AlignedBytes bytes;
  FlatModel model;
  Scorer scorer;
};

}  // namespace fraud
