// Comparisons of a jsonpath that take each value of one side with each of the other. Within one of them
// PostgreSQL looks neither for a cancel nor at the clock.
#pragma once

#include <cstddef>
#include <string_view>

#include "pg/server/boundary.h"

extern "C" {
#include "utils/jsonpath.h"
}

namespace fraud::pg {

// True where the path has a comparison of two paths, of which either can lead to many values: in lax mode
// an array stands for its elements.
bool compares_pairs(JsonPath* path);

// Returns how many values a JSON text has at most: what is an element, a member's name or its value.
size_t most_values(std::string_view json) noexcept;

}  // namespace fraud::pg
