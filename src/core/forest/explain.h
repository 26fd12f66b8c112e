// Exact path-dependent TreeSHAP, the values that XGBoost's pred_contribs gives.
#pragma once

#include "core/base/guard.h"

#include <cstdint>

#include "core/forest/flat_model.h"

namespace fraud {

// What the splits of the path so far say of one feature. A feature that has not
// been met is {true, 1}: its factor zero + t * (one - zero) is 1 everywhere.
struct Choice {
  bool one = true;
  double zero = 1;
};

// Adds to phi (feature_count() + 1 values, the last one the bias) what each feature
// contributes to the margin of the row whose keys are given. They add up to the
// margin, but for rounding. `choices` is room for feature_count() of them, as they
// are made, and left so.
void explain_scalar(const FlatModel& model, const uint8_t* keys, Choice* choices, double* phi);
#if defined(__x86_64__)
void explain_avx2(const FlatModel& model, const uint8_t* keys, Choice* choices, double* phi);
#endif

}  // namespace fraud
