// The features that a model file names.
#pragma once

#include "core/base/guard.h"

#include <cstdint>

#include "core/forest/forest.h"

namespace fraud {

// Checks the number of features and the names that the file gave them
// (forest.feature_names), and names them f0, f1, … where it gave none. Throws Error.
void finish_features(Forest& forest, int64_t count);

}  // namespace fraud
