// What a body's payments would be, for who writes a mapping. Nothing of it is a secret: it is
// masked as dead letters are.
#pragma once

#include "core/base/guard.h"

#include <string>
#include <string_view>
#include <vector>

#include "core/payments/payment.h"

namespace fraud {

// A payment as it was mapped, or what stands in the way of reading the body.
struct PreviewedPayment {
  size_t number = 0;                 // from 1; 0: of the body
  std::string mapped;                // a JSON object; empty: none
  std::vector<std::string> missing;  // fields that a payment needs, and its time
  std::string left_over;             // a JSON object of what no field takes; empty: nothing
  std::string error;                 // why it would be a dead letter
};

struct Preview {
  std::vector<PreviewedPayment> payments;  // the first of them
  std::string proposal;                    // a mapping, as JSON; empty: none
};

constexpr size_t kMaxPreviewed = 100;

Preview preview_payments(std::string_view body, PaymentFormat format, const Mapping* mapping, const GiveWay& give_way = {});

}  // namespace fraud
