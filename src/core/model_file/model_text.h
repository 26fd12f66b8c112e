// Text of a model file: numbers and names.
#pragma once

#include "core/base/guard.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace fraud {

// Returns the float nearest to a decimal number, without rounding to a double
// first; nothing when the text is something else. What is too large becomes
// infinite.
std::optional<float> parse_float(std::string_view text);

// Returns the integer that the text is, nothing when it is something else.
std::optional<int64_t> parse_integer(std::string_view text);

// True when the text is valid UTF-8 and holds no control character; a database
// could not store it otherwise.
bool is_clean_utf8(std::string_view text);

// Undoes the locale: a JSON parser's text of a number has its decimal point.
std::string with_point(std::string text);

}  // namespace fraud
