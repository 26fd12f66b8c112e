// The way of a payment that arrives through the database: one set of statements for
// a batch, in the caller's transaction.
#pragma once

#include "core/payments/payment.h"

#include <string>
#include <vector>

#include "pg/payments/payment_store.h"
#include "pg/server/server.h"

namespace fraud::pg {

struct IngestOptions {
  std::string source;        // what fraud.transactions.source says
  std::string label_source;  // what fraud.labels.source says of is_fraud
  Oid role = InvalidOid;     // who gives the card numbers
  // Of each payment of the batch, where they were received before: these are the
  // sources and times then.
  std::vector<Receipt> receipts;
  // New merchants and months are made by others, apart from this transaction.
  bool apart = false;
};

struct IngestCounts {
  int64_t stored = 0, duplicates = 0, rejected = 0;
  TimestampTz newest = DT_NOBEGIN;  // of the payments stored
};

// Stores the payments of the batch and dead-letters the rejected ones. Appends
// one outcome for each to `outcomes` unless that is null: payments in their
// order, then rejected ones. Payments of one card are ordered among concurrent
// transactions by a lock on the card's row, so that each sees those before it.
IngestCounts ingest(PaymentBatch& batch, const IngestOptions& options,
                    std::vector<IngestOutcome>* outcomes);

// Puts one unreadable item on the dead-letter list (bytes are masked already).
void dead_letter(const IngestOptions& options, const RejectedPayment& rejected);

// Lets the role ask by the number, or throws; either way before anything is known of it.
void check_may_ask(const std::string& number, CardLookup& cards, Oid role);

// What fraud.assess says of a payment.
struct Assessment {
  float score = 0;
  std::string decision;  // empty when the model has no thresholds
  std::vector<std::string> reasons;
  std::vector<std::pair<std::string, float>> features;  // NaN is missing
};

// Scores one payment as of its own time, storing nothing; reasons are given where they are asked for, which takes
// most of the time. The role asks; throws SqlError when it has asked by too many card numbers.
Assessment assess(const Payment& payment, std::string_view model, Oid role, bool with_reasons);

}  // namespace fraud::pg
