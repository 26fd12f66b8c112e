// Fuzz target: any bytes are payments, or an Error; nothing that is kept of a
// rejected payment shows a card number that was read.
#include "core/base/error.h"
#include "core/payments/mask.h"
#include "core/payments/payment.h"

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view body(reinterpret_cast<const char*>(data), size);
  try {
    fraud::PaymentBatch batch = fraud::read_payments(body);
    for (const fraud::Payment& payment : batch.payments) {
      if (payment.transaction_id.empty() || payment.merchant.empty()) __builtin_trap();
      if (payment.card_number.empty() == payment.card_token.empty()) __builtin_trap();
      if (payment.amount_minor < 0) __builtin_trap();
    }
    for (const fraud::RejectedPayment& rejected : batch.rejected) {
      if (rejected.reason.empty()) __builtin_trap();
      if (rejected.card_number.size() >= 12 &&
          (rejected.payload.find(rejected.card_number) != std::string::npos ||
           rejected.reason.find(rejected.card_number) != std::string::npos)) {
        __builtin_trap();
      }
    }
  } catch (const fraud::Error& error) {
    if (*error.what() == '\0') __builtin_trap();
  }
  std::string masked = fraud::mask_card_numbers(body);
  if (fraud::mask_card_numbers(masked) != masked) __builtin_trap();
  return 0;
}
