// What makes a payment that payment, as eight bytes that are kept with its key: a feed that
// sends a known id with another amount or merchant does not repeat a payment.
#pragma once

#include "core/payments/payment.h"

#include <cstdint>
#include <string>

namespace fraud::pg {

// Returns the CRC-32C of the amount (upper half) and of the merchant (lower half): by the two it
// can be told which of them is another, and the same on every machine that a dump is taken to.
// The time is left out: feeds repeat a payment with another.
int64_t content_hash(const Payment& payment);

// Says why a payment of this content is not the known one of its id.
std::string differs_reason(int64_t known, int64_t content);

}  // namespace fraud::pg
