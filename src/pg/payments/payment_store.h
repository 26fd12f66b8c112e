// How payments are stored: the steps that those that arrive and those of a history
// have in common. All run with the owner's rights, in the caller's transaction.
#pragma once

#include "core/payments/payment.h"

#include <array>
#include <string>
#include <vector>

#include "pg/features/feature_set.h"
#include "pg/features/online_features.h"
#include "pg/payments/card_lookup.h"
#include "pg/payments/number_gate.h"
#include "pg/models/set_scorer.h"
#include "pg/server/plan_settings.h"
#include "pg/server/spi.h"

namespace fraud::pg {

// Microseconds between the Unix epoch and Postgres's (2000-01-01).
constexpr int64_t kPostgresEpochUs = int64_t{946684800} * 1000000;
inline TimestampTz postgres_time(int64_t unix_us) { return unix_us - kPostgresEpochUs; }
inline int64_t unix_time(TimestampTz time) { return time + kPostgresEpochUs; }

enum class IngestStatus { kStored, kDuplicate, kRejected };

struct IngestOutcome {
  std::string transaction_id;
  IngestStatus status = IngestStatus::kStored;
  bool scored = false;
  double score = 0;
  std::string decision;  // empty: none
  std::string error;     // of a rejected payment
  bool differs = false;  // it is rejected, for the payment of its id is another
};

// A payment of a batch that is not stored, on its way to the dead letters.
struct Refusal {
  size_t outcome = 0;  // its place in the batch
  RejectedPayment letter;
};

// A payment of a batch on its way.
struct Entry {
  const Payment* payment = nullptr;
  size_t outcome = 0;  // its place in the batch
  CardId card;
  TimestampTz occurred_at = 0;
  int64_t content = 0;  // content_hash() of the payment
  std::string base_amount;  // a decimal number; empty while it is not known
  SqlValue home_state;  // of its customer, where update_customers() has learnt it
  std::vector<float> features;  // in the order of the feature set `payments`
  float score = 0;
  std::string decision;
};

// Where a payment was received before it is stored, and when, and what its number's
// hashes lack: the number itself is gone by then.
struct Receipt {
  std::string source;
  TimestampTz received_at = 0;
  std::vector<NumberHash> hashes;
};

// Returns years from the birth to the payment, by days; null where the birth is not known, as where
// it is a stand-in such as 0001-01-01.
SqlValue age_at(const Payment& payment);

// Returns why a payment of this time is refused, or an empty string.
std::string future_fault(TimestampTz time);

// Returns the beginning of the time's month, in UTC.
TimestampTz month_of(TimestampTz time);

// Tells whether a payment of this time finds its partition; if so it stays until the end of
// the transaction.
bool has_month(TimestampTz time);
// What can be done where a month has none, though it is made with the month's first payment.
constexpr char kPartitionHint[] =
    "SELECT fraud.maintain_partitions() makes those that are due; a table fraud.transactions_YYYY_MM that is no partition is to be "
    "attached, or renamed.";

// Returns that partition, or InvalidOid.
Oid month_partition(TimestampTz time);

// Of payments of which some may be of months to be made, before any customer's lock is taken:
// who holds a customer must not wait for who makes a month, and holds others.
void lock_months(Spi& spi, const PaymentBatch& batch);

// Gives each payment its card, and rejects those whose time will not do. Entries are
// sorted by card, time and id.
std::vector<Entry> admit(const PaymentBatch& batch, CardLookup& cards, NumberGate& gate,
                         std::vector<IngestOutcome>& outcomes, std::vector<Refusal>& refused);

// Gives each payment its amount in the base currency, by the rate as of its time; what has none
// is left without. Of those that name no other currency nothing is asked.
void price(Spi& spi, std::vector<Entry>& entries, bool read_only);

// Says of a payment without a base_amount what is missing.
std::string price_fault(const Entry& entry);

// Rejects a payment of the batch.
void refuse(const Entry& entry, const std::string& fault, std::vector<IngestOutcome>& outcomes, std::vector<Refusal>& refused);

// Rejects a payment whose id is known with the content `known`, if it has another; else it
// is what was known. Returns whether it was rejected.
bool refuse_if_other(const Entry& entry, int64_t known, std::vector<IngestOutcome>& outcomes,
                     std::vector<Refusal>& refused);

// Rejects what follows a payment and is known with another amount.
void refuse_other(const Entry& entry, std::vector<IngestOutcome>& outcomes, std::vector<Refusal>& refused);

// Takes the letters of `refused` out, with those that could not be read.
std::vector<RejectedPayment> letters_of(std::vector<Refusal>& refused, const PaymentBatch& batch);

// Takes the payments' places: writes their customers, whose rows are the locks that
// order the payments of a card, then what their numbers' hashes lack, their keys,
// merchants and partitions. Those that are stored already are taken out, as duplicates or,
// with another content, as rejected; of those that stand twice in the batch the first is it.
// What has no price is rejected, or, with `apart`, an error: the scorer puts that one aside.
// Of payments that were received before, the receipts hold the hashes. With `apart`, new
// merchants are queued and months must be there: a worker makes both (inbox.h).
// Returns whether all the entries' customers were there, so that each entry knows its home's state.
bool claim(Spi& spi, CardLookup& cards, std::vector<Entry>& entries, std::vector<IngestOutcome>& outcomes,
           std::vector<Refusal>& refused, const std::vector<Receipt>* receipts, bool apart);

// What the payments [begin, end) of one customer, sorted by time, say of him, as fraud.customers has it: card, last_four, first_name,
// last_name, gender, street, city, state, zip, job, latitude, longitude, city_population, date_of_birth,
// customer_kind, customer_id, first_payment_at, last_payment_at.
std::vector<SqlValue> customer_values(const std::vector<Entry>& entries, size_t begin, size_t end);

// When a label is known that comes with a history, as SQL: a delay after the payment,
// in UTC, so that days are the same in every session, and now at the latest.
#define FRAUD_LABEL_KNOWN_AT(occurred_at, delay) \
  "least(now(), timezone('UTC', timezone('UTC', " occurred_at ") + " delay "))"

// Records is_fraud of the payloads as labels, known at the times given (one an outcome),
// or, where there are none, `delay` after the payment;
// also of a payment that is stored already, since a feed may learn of a fraud and send
// the payment again. Not of those that were rejected.
void write_labels(Spi& spi, const std::vector<Entry>& entries, const std::vector<IngestOutcome>& outcomes, const std::string& source,
                  const std::vector<TimestampTz>* known_at, const Interval& delay);

// Where a dead letter goes that is on the list already: to that row, which counts it; where
// another session may have locked that one, to a second row, which is the same at each poll, so
// that a feed that repeats it does not fill the list; or, where that is locked too, to a row of
// its own, which nobody can have locked.
enum class Beside : int { kNone, kOnce, kAlways };

// Puts what could not be stored on the dead-letter list: with the card, unless the
// caller has asked for too many numbers.
void write_dead_letters(Spi& spi, const std::string& source, std::vector<RejectedPayment> rejected,
                        CardLookup& cards, NumberGate& gate, Beside beside);

// What the payment itself says, in the order of PaymentColumns::types().
std::array<SqlValue, 15> payment_values(const Entry& entry);

// The columns of fraud.transactions that the payment itself fills.
class PaymentColumns {
 public:
  void add(const Entry& entry);
  // As arrays, in the order of `types`: card, transaction_id, occurred_at, amount, merchant,
  // category, merchant_latitude, merchant_longitude, home_latitude, home_longitude,
  // city_population, age, currency, base_amount, attributes. (Amounts are texts.)
  std::vector<SqlValue> arrays() const;
  static const std::vector<Oid>& types();

 private:
  std::array<Column, 15> columns_{Column(UUIDOID), Column(TEXTOID), Column(TIMESTAMPTZOID), Column(TEXTOID), Column(TEXTOID),
                                  Column(TEXTOID), Column(FLOAT8OID), Column(FLOAT8OID), Column(FLOAT8OID), Column(FLOAT8OID),
                                  Column(INT8OID), Column(FLOAT4OID), Column(TEXTOID), Column(TEXTOID), Column(JSONBOID)};
};

// The vectors as they are stored: each feature at its place, NaN where there is none.
class VectorColumn {
 public:
  explicit VectorColumn(const FeatureSet& set);
  void add(const float* features);
  SqlValue array() const { return values_.array(); }
  SqlValue width() const { return int8_param(static_cast<int64_t>(width_)); }

 private:
  const FeatureSet& set_;
  size_t width_;
  Column values_{FLOAT4OID};
};

// Returns the feature set `payments`, whose events are fraud.payment_events.
std::shared_ptr<const FeatureSet> payments_feature_set(bool read_only);

// Computes the payments' features as of their own times; unless read_only for payments that are stored in this transaction. Where that fails, the error names the
// payment and the feature, unless `plain`: then it comes as it is, and sooner.
void compute_features(const std::shared_ptr<const FeatureSet>& set, std::vector<Entry>& entries, bool read_only,
                      bool plain = false);

}  // namespace fraud::pg
