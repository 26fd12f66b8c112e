// Names that are most like one that was written.
#pragma once

#include "core/base/guard.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace fraud {

// Returns up to `most` of the names, those most like `name` first: by the least number of letters to write anew, to leave out or to
// put in. One that stands in the other is near.
std::vector<std::string> nearest_names(std::string_view name, const std::vector<std::string_view>& names, size_t most);

}  // namespace fraud
