// The reason of a rule: a text with places such as {amount}, which hold a column of what its condition sees.
#pragma once

#include "core/base/guard.h"

#include <optional>
#include <string_view>
#include <vector>

namespace fraud {

// Returns the names that stand between braces, in order; nothing where a brace is not closed.
std::optional<std::vector<std::string_view>> reason_places(std::string_view reason);

}  // namespace fraud
