// The categories of a feature, which have codes 0, 1, … in the order in which they were added.
#pragma once

#include <string>
#include <vector>

#include "pg/server/boundary.h"

namespace fraud::pg {

// The values that the events hold now, in order.
std::vector<std::string> categories_in_events(const std::string& set_name, const std::string& expression);

std::vector<std::string> categories_argument(FunctionCallInfo fcinfo, int index);

int64_t add_categories(const std::string& set, const std::string& feature, const std::vector<std::string>& categories);

}  // namespace fraud::pg
