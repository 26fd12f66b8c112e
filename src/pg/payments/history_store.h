// Stores a history: payments in any order, whose features are computed in one pass in
// order of time once all are there.
//
//   HistoryStore store("history", label_delay);
//   while (…) store.add(batch);
//   store.finish(tell);
//
// All in the caller's transaction. Until finish() the payments wait in a temporary
// table, though their customers, keys and labels are stored at once.
#pragma once

#include "core/payments/payment.h"

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "pg/features/feature_stream.h"
#include "pg/payments/payment_store.h"
#include "pg/server/server.h"

namespace fraud::pg {

// How many payments are best added at once: more than of those that arrive, for nobody waits for
// one of them.
size_t history_step();

class HistoryStore {
 public:
  struct Counts {
    int64_t taken = 0, rejected = 0, present = 0;  // present: stored before
  };

  // source is what fraud.transactions and fraud.labels say; labels are known
  // label_delay after the payment; the role gives the card numbers (InvalidOid: they are
  // made up). With windows of a store before, whose payments were all earlier, it goes on with these.
  HistoryStore(std::string source, const Interval& label_delay, Oid role, KeptWindows* windows = nullptr);

  // Takes the payments that are not stored yet, and dead-letters the rejected ones.
  Counts add(PaymentBatch& batch);

  // Stores what was taken, with features and the champion's score and without a
  // decision. `tell` is called now and then with the number stored so far. Returns that
  // number.
  int64_t finish(const std::function<void(int64_t)>& tell);

 private:
  void keep_waiting(Spi& spi, const std::vector<Entry>& entries);
  void store_late(Spi& spi);
  int64_t store_waiting(const std::function<void(int64_t)>& tell);

  std::string source_;
  Interval label_delay_;
  Oid role_;
  KeptWindows* windows_;
  int64_t taken_ = 0;
  Oid waiting_ = InvalidOid;  // the table in which they wait
  std::vector<Payment> follow_ups_;  // of payments that may be among those that wait
  std::vector<std::pair<std::string, CardId>> late_labels_;  // of payments that were there already
  TimestampTz first_ = DT_NOEND, last_ = DT_NOBEGIN;
};

}  // namespace fraud::pg
