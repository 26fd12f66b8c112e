// Writes a payment with the wire format's names.
#pragma once

#include "core/base/guard.h"

#include <cstdint>
#include <string>
#include <string_view>

#include "core/payments/payment.h"

namespace fraud {

// Returns the payment as one JSON object that read_payments takes again. The
// card goes under `card_field`: "cc_num" (then `card` is its digits, written as
// a number) or "card" (its uuid, with last_four beside it). What is not given is
// left out; merchants are written as they are known here, without "fraud_", unless
// they would lose more of it when they are read.
std::string payment_to_json(const Payment& payment, std::string_view card_field,
                            std::string_view card);

// Returns a time in microseconds since the Unix epoch (from 1970 on) as ISO 8601
// in UTC, with milliseconds: 2024-10-28T16:58:04.025Z.
std::string format_time(int64_t us);

// Returns the date `days` after 1970-01-01 as YYYY-MM-DD (years 0 to 9999).
std::string format_date(int32_t days);

}  // namespace fraud
