// What follows a payment: captures, refunds, reversals and chargebacks. They are no payments:
// nothing is scored, and they are kept apart, in fraud.payment_followups. Each refers to a
// payment that is stored.
#pragma once

#include "core/payments/payment.h"

#include <string>
#include <vector>

#include "pg/payments/payment_store.h"
#include "pg/server/spi.h"

namespace fraud::pg {

// Gives those that do not say whose they are the customer of the payment that they refer to: one
// of the batch, or that is stored or, with `waiting`, in the inbox. Those of which there is none, or
// several customers', are left without.
void refer(Spi& spi, PaymentBatch& batch, bool waiting);

// Says of one without a payment what is wrong.
std::string reference_fault(const Payment& payment);

// Sends those of the dead letters again whose payment has been stored since. Returns whether others wait.
bool send_waiting_again(Spi& spi);

// Takes what follows payments out of the entries.
std::vector<Entry> take_follow_ups(std::vector<Entry>& entries);

// Where they come from and when they were received, of each by its place in the batch; and where
// `receipts` is null, all alike.
struct Origin {
  std::string source;
  TimestampTz received_at = 0;
  const std::vector<Receipt>* receipts = nullptr;
};

// Stores them; a chargeback also as a label of its payment, known since it was received, or,
// with `of_old`, since it happened. Those that are stored already are duplicates; what refers to
// no payment is rejected, or, with `apart`, an error: the scorer puts that one aside.
void store_follow_ups(Spi& spi, std::vector<Entry>& entries, const Origin& origin, std::vector<IngestOutcome>& outcomes,
                      std::vector<Refusal>& refused, bool apart, bool of_old);

}  // namespace fraud::pg
