// Formats of times as programs write them, in PostgreSQL's terms.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace fraud {

// The parts of a time that a strptime format may name.
constexpr std::string_view kStrptimeParts = "%Y %y %m %d %H %I %M %S %f %z %p %b %B %j %T and %F";

// Returns to_timestamp's template for a format of strptime (POSIX; %f is Python's, six digits of a second), or nothing; `unknown`
// is then the letter after a % that is not known, or 0 where there is none.
std::optional<std::string> template_of_strptime(std::string_view format, char* unknown);

}  // namespace fraud
