// The sentence that goes with a feature's definition.
#pragma once

#include "core/guard.h"

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace fraud {

// Fills a template in: text with places such as {amount:.2}, which hold a feature
// and how its value is written, or {amount/mean_30d:.1}, the ratio of two. Several
// templates may be given, parted by "|"; the first whose values are all known is
// taken (a ratio's divisor must be above 0). Ways of writing:
//
//   .0 .1 .2   with so many decimals      floor      the whole part
//   02         two digits                 duration   of seconds, in words
//   weekday    0 is Sunday                category   the name of a payment category's code
//
// Returns nothing when no template can be filled in.
std::optional<std::string> fill_reason(std::string_view templates,
                                       const std::function<double(std::string_view)>& value_of);

}  // namespace fraud
