// Exact path-dependent TreeSHAP, the values that XGBoost's pred_contribs gives.
#pragma once

#include "core/guard.h"

#include <cstdint>

#include "core/flat_model.h"

namespace fraud {

// Adds to phi (feature_count() + 1 values, the last one the bias) what each feature
// contributes to the margin of the row whose keys are given. They add up to the
// margin, but for rounding.
void explain(const FlatModel& model, const uint8_t* keys, double* phi);

}  // namespace fraud
