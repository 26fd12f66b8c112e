// Reads XGBoost's model files.
#pragma once

#include "core/base/guard.h"

#include <string_view>

#include "core/forest/forest.h"

namespace fraud {

// Reads a model saved by XGBoost 1.x to 3.x, as JSON or UBJSON (told apart by
// the content). Throws Error: kInvalidJson, kInvalidModel, kUnsupportedModel or
// kLimitExceeded. After it every index in the forest is in range.
Forest read_model(std::string_view bytes);

}  // namespace fraud
