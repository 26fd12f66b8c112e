// A forest in its compiled form, for tests.
#pragma once

#include <vector>

#include "core/forest/scorer.h"

namespace fraud {

// The kernels of this machine.
inline std::vector<const Kernel*> kernels() {
  std::vector<const Kernel*> found;
  for (const char* name : {"scalar", "avx2", "avx512"}) {
    if (const Kernel* kernel = find_kernel(name)) found.push_back(kernel);
  }
  return found;
}

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
