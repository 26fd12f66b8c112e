// A mapping for a body that nobody has described yet, guessed by the names and the makes of
// its values.
#pragma once

#include "core/base/guard.h"

#include <string>
#include <string_view>

#include "core/payments/payment.h"

namespace fraud {

// Returns a mapping as JSON (docs/sources.md), or "" where nothing looks like payments, or where
// they have the wire format's names already.
std::string propose_mapping(std::string_view body, PaymentFormat format);

}  // namespace fraud
