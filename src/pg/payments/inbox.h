// What was received and waits to be scored: fraud.inbox. Receipt writes it and is
// durable at once; scorers take payments out of it in the commit that stores them.
//
// Invariants: at every snapshot a payment is in exactly one of inbox, stored, dead
// letters; and no payment of a customer is stored while one that was received before
// it waits.
#pragma once

#include "core/payments/payment.h"

#include <bitset>
#include <string>
#include <vector>

#include "pg/payments/ingest.h"
#include "pg/payments/payment_store.h"
#include "pg/server/shared_state.h"
#include "pg/server/spi.h"

namespace fraud::pg {

using Shards = std::bitset<kShards>;
// Their numbers, as a smallint[].
SqlValue shard_array(const Shards& shards);

// A payment of the inbox.
struct InboxRow {
  int64_t id = 0;
  CardId card;
  TimestampTz occurred_at = 0;
  std::string source;
  TimestampTz received_at = 0;
  std::string text;  // the payment as JSON
  std::vector<NumberHash> hashes;  // that its number lacks
};

// What became of payments on their way, by source.
struct SourceCounts {
  int64_t stored = 0, duplicates = 0, rejected = 0;
  int64_t differing = 0;  // of the rejected: known with another content
  int64_t received = 0;   // put into the inbox
  TimestampTz newest = DT_NOBEGIN;  // of the payments stored
  TimestampTz latest = DT_NOBEGIN;  // of those received, or known
};

// Begins a scorer's transaction: statements wait no longer than a moment for a lock that
// another session holds (SQLSTATE 55P03; what they were at is then done one by one), and
// are planned for look-ups by key.
void begin_scoring();

// Puts payments that a source answered with into the inbox, those that are there or
// stored already apart (unless they bring a label that is news), and what is wrong with
// the others, or is known with another content, on the dead-letter list. Takes no lock that others hold, but of
// dead letters that are there already (`beside`). Card numbers count for `role`.
SourceCounts receive(PaymentBatch& batch, const std::string& source, Oid role, Beside beside);

// Puts a payment of a dead letter into the inbox, as received when it was. Returns why not, or
// an empty string; kDuplicate where it is stored or waits already. Numbers count for `role`.
constexpr const char* kDuplicate = "duplicate";
std::string receive_again(Payment&& payment, const Receipt& receipt, Oid role);

// Adds to what a worker has counted of a source; `writer` is that worker's own number.
void count_payments(Spi& spi, const std::string& source, int writer, const SourceCounts& counts);

// Whether this database takes payments: a source of it has been polled, or is to be, or a dead
// letter was sent again. One that is being restored does not: its inbox waits until somebody
// resumes or adds a source, or the dump's other rows would meet what scorers have made.
bool takes_payments(Spi& spi);

// ---------------------------------------------------------------- scorers

// Returns up to `most` rows above `position`, of those shards, in order of receipt;
// customers that are held are left out.
std::vector<InboxRow> read_inbox(Spi& spi, int64_t position, const Shards& shards, int most);

// Returns, in order of receipt, the first rows above `position` of those shards of each source
// of which no row stands in `but`, at most `each`; and what their customers wait with since
// before; at most `most` in all. So none waits behind all that another has sent.
std::vector<InboxRow> read_other_sources(Spi& spi, int64_t position, const Shards& shards,
                                         const std::vector<InboxRow>& but, int each, int most);

// The transactions that a snapshot taken now sees as running: all before `oldest` have ended,
// none from `next` on has begun to write.
struct XidRange {
  uint64_t oldest = 0, next = 0;
};
XidRange running_transactions(Spi& spi);

// Returns up to `most` rows of one customer, in order of receipt.
std::vector<InboxRow> read_customer(Spi& spi, const CardId& card, int most);

// Stores the rows' payments (in the order given) and takes them out of the inbox. Runs
// in the transaction of the caller, who has locked the customers.
void score(const std::vector<InboxRow>& rows, int writer);

// Takes a row out of the inbox that cannot be stored, and puts it on the dead-letter list.
void reject(const InboxRow& row, const std::string& reason, int writer, Beside beside);

}  // namespace fraud::pg
