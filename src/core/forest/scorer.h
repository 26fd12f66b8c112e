// Scores rows with a compiled model.
#pragma once

#include "core/base/guard.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/forest/flat_model.h"
#include "core/forest/kernel.h"

namespace fraud {

// Bytes at an address that is a multiple of kFlatAlignment.
class AlignedBytes {
 public:
  AlignedBytes() = default;
  explicit AlignedBytes(size_t size);
  explicit AlignedBytes(std::string_view bytes);

  uint8_t* data() noexcept { return data_; }
  std::string_view view() const noexcept { return {reinterpret_cast<const char*>(data_), size_}; }

 private:
  std::unique_ptr<uint8_t[]> room_;
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

// Room to work in, for one model and one thread. The model must outlive it.
class Scorer {
 public:
  explicit Scorer(const FlatModel& model, const Kernel& kernel = best_kernel());

  const FlatModel& model() const noexcept { return model_; }

  // Returns the margin of a row of feature_count() values in the model's order, NaN
  // meaning missing, and so does the model's placeholder, where it has one. It is XGBoost's,
  // bit for bit.
  float margin(const float* row) noexcept;

  // Writes the margins of `count` rows, row i being at rows + i * stride.
  void margins(const float* rows, size_t count, size_t stride, float* margins);

  // Returns the prediction: a probability, for a logistic objective.
  float score(const float* row) noexcept {
    return transform_margin(model_.transform(), margin(row));
  }

  // Adds to phi (feature_count() + 1 values, the last one the bias) the exact
  // path-dependent TreeSHAP contributions of the row, in margin units.
  void contributions(const float* row, double* phi);

 private:
  // Returns the row with NaN for what stands for a missing value.
  const float* present(const float* row) noexcept;

  FlatModel model_;  // a view
  const Kernel* kernel_;
  size_t key_bytes_;
  AlignedBytes keys_;   // of one row
  AlignedBytes block_;  // of kBlockRows rows, made when first needed
  AlignedBytes columns_, thresholds_;  // for Kernel::add_block, made when first needed
  std::vector<float> row_;  // of a model with a placeholder
};

}  // namespace fraud
