// What an objective makes of base_score and of a margin.
#pragma once

#include "core/base/guard.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/forest/forest.h"

namespace fraud {

// Sets objective, transform, base_score and base_margin of a forest. The version
// is that of the library that saved the file, whose reading of base_score counts: the
// trees were grown on it. Throws Error.
void set_objective(Forest& forest, const std::string& objective, std::string_view base_score,
                   const std::vector<int64_t>& version);

}  // namespace fraud
