#include "pg/payments/history_store.h"

#include <algorithm>

#include "pg/features/feature_stream.h"
#include "pg/payments/follow_ups.h"
#include "pg/payments/payment_id.h"
#include "pg/server/boundary.h"
#include "pg/server/owner_scope.h"

namespace fraud::pg {

namespace {

// Made by us or not at all: a table that the caller has put there could have triggers.
Statement create_waiting(
    "CREATE TEMPORARY TABLE fraud_detect_history (history_row bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
    " card uuid NOT NULL, transaction_id text COLLATE \"C\" NOT NULL, occurred_at timestamptz NOT NULL,"
    " amount numeric NOT NULL, merchant text NOT NULL, category text, merchant_latitude float8,"
    " merchant_longitude float8, home_latitude float8, home_longitude float8, city_population bigint,"
    " age float4, is_fraud boolean, label_known_at timestamptz, label_changes timestamptz[],"
    " currency text COLLATE \"C\" NOT NULL, base_amount numeric NOT NULL, attributes jsonb)",
    {});
// The events of the feature set `payments`, those that wait among them.
Statement create_events("SELECT fraud._show_history()", {});
Statement events_relation("SELECT 'pg_temp.fraud_detect_history_events'::regclass::oid::bigint", {});
Statement drop_events("DROP VIEW pg_temp.fraud_detect_history_events", {});
Statement drop_waiting("DROP TABLE pg_temp.fraud_detect_history", {});
Statement analyze_waiting("ANALYZE pg_temp.fraud_detect_history", {});

Statement insert_waiting(
    "INSERT INTO pg_temp.fraud_detect_history (card, transaction_id, occurred_at, amount, merchant,"
    "  category, merchant_latitude, merchant_longitude, home_latitude, home_longitude, city_population, age,"
    "  is_fraud, label_known_at, currency, base_amount, attributes)"
    " SELECT n.card, n.transaction_id, n.occurred_at, n.amount::numeric, n.merchant, n.category,"
    "  n.merchant_latitude, n.merchant_longitude, n.home_latitude, n.home_longitude, n.city_population, n.age,"
    "  n.is_fraud, CASE WHEN n.is_fraud THEN " FRAUD_LABEL_KNOWN_AT("n.occurred_at", "$17") " END,"
    "  n.currency, n.base_amount::numeric, n.attributes"
    " FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)"
    "  n(card, transaction_id, occurred_at, amount, merchant, category, merchant_latitude,"
    "    merchant_longitude, home_latitude, home_longitude, city_population, age, currency,"
    "    base_amount, attributes, is_fraud)",
    [] {
      std::vector<Oid> types = PaymentColumns::types();
      types.insert(types.end(), {BOOLARRAYOID, INTERVALOID});
      return types;
    }());

// A payment that stands there twice may say only the second time that it was fraud.
Statement label_waiting(
    "UPDATE pg_temp.fraud_detect_history h SET is_fraud = l.is_fraud, label_known_at = l.known_at,"
    "  label_changes = l.changes"
    " FROM (SELECT n.transaction_id, n.card, s.*"
    "  FROM (SELECT DISTINCT u.transaction_id, u.card FROM unnest($1, $2) u(transaction_id, card)) n"
    "  CROSS JOIN LATERAL fraud._label_course(ARRAY(SELECT l FROM fraud.labels l"
    "   WHERE l.transaction_id = n.transaction_id AND l.card = n.card)) s(is_fraud, known_at, changes)) l"
    " WHERE h.transaction_id = l.transaction_id AND h.card = l.card",
    {TEXTARRAYOID, UUIDARRAYOID});

Statement insert_transactions(
    "WITH stored AS (INSERT INTO fraud.transactions (card, transaction_id, occurred_at, amount,"
    "  merchant, category, merchant_latitude, merchant_longitude, home_latitude, home_longitude,"
    "  city_population, age, is_fraud, label_known_at, label_changes, currency, base_amount, attributes, score, source, model, model_version, features)"
    " SELECT h.card, h.transaction_id, h.occurred_at, h.amount, h.merchant, h.category,"
    "  h.merchant_latitude, h.merchant_longitude, h.home_latitude, h.home_longitude, h.city_population,"
    "  h.age, h.is_fraud, h.label_known_at, h.label_changes, h.currency, h.base_amount, h.attributes, n.score, $3, $4, $5, $6[(n.i - 1) * $7 + 1 : n.i * $7]"
    " FROM unnest($1, $2) WITH ORDINALITY n(history_row, score, i)"
    " JOIN pg_temp.fraud_detect_history h ON h.history_row = n.history_row"
    " RETURNING card, transaction_id, occurred_at, base_amount, merchant, category, model, model_version, score)"
    " INSERT INTO fraud.changes (slot, sign, card, transaction_id, occurred_at, amount, merchant, category, state,"
    "  model, model_version, score)"
    " SELECT (SELECT fraud._open_slot()), 1, s.card, s.transaction_id, s.occurred_at, s.base_amount, s.merchant, s.category,"
    "  c.state, s.model, s.model_version, s.score"
    " FROM stored s LEFT JOIN LATERAL (SELECT c.state FROM fraud.customers c WHERE c.card = s.card OFFSET 0) c ON true",
    {INT8ARRAYOID, FLOAT8ARRAYOID, TEXTOID, TEXTOID, INT4OID, FLOAT4ARRAYOID, INT8OID});

}  // namespace

HistoryStore::HistoryStore(std::string source, const Interval& label_delay, Oid role)
    : source_(std::move(source)), label_delay_(label_delay), role_(role) {
  OwnerScope owner;
  Spi spi;
  spi.run(create_waiting, {});
}

HistoryStore::Counts HistoryStore::add(PaymentBatch& batch) {
  OwnerScope owner;
  prefer_index_scans();
  auto following = std::stable_partition(batch.payments.begin(), batch.payments.end(),
                                         [](const Payment& payment) { return !is_follow_up(payment.kind); });
  follow_ups_.insert(follow_ups_.end(), std::make_move_iterator(following), std::make_move_iterator(batch.payments.end()));
  batch.payments.erase(following, batch.payments.end());
  std::vector<IngestOutcome> outcomes(batch.payments.size());
  NumberGate gate(role_);
  Spi spi;
  hide_ids(spi, batch);
  std::vector<Refusal> refused;
  CardLookup cards(spi, false);
  const std::vector<Entry> all = admit(batch, cards, gate, outcomes, refused);
  std::vector<Entry> entries = all;
  claim(spi, cards, entries, outcomes, refused, nullptr, false);
  if (!entries.empty()) {
    PaymentColumns columns;
    Column labels(BOOLOID);
    for (const Entry& entry : entries) {
      columns.add(entry);
      // A label says fraud; that a payload says nothing is none.
      labels.add(entry.payment->is_fraud.value_or(false) ? bool_param(true) : null_param());
      first_ = std::min(first_, entry.occurred_at);
      last_ = std::max(last_, entry.occurred_at);
    }
    std::vector<SqlValue> values = columns.arrays();
    values.push_back(labels.array());
    values.push_back({IntervalPGetDatum(&label_delay_)});
    spi.run(insert_waiting, values);
  }
  Counts counts;
  for (const Entry& entry : all) {
    if (outcomes[entry.outcome].status != IngestStatus::kDuplicate) continue;
    ++counts.present;
    if (entry.payment->is_fraud.value_or(false)) late_labels_.emplace_back(entry.payment->transaction_id, entry.card);
  }
  write_labels(spi, all, outcomes, source_, nullptr, label_delay_);
  std::vector<RejectedPayment> letters = letters_of(refused, batch);
  counts.taken = static_cast<int64_t>(entries.size());
  counts.rejected = static_cast<int64_t>(letters.size());
  taken_ += counts.taken;
  write_dead_letters(spi, source_, std::move(letters), cards, gate, Beside::kNone);
  gate.tell();
  return counts;
}

int64_t HistoryStore::finish(const std::function<void(int64_t)>& tell) {
  OwnerScope owner;
  const int64_t stored = taken_ > 0 ? store_waiting(tell) : 0;
  // What reads them has ended: nothing may be dropped that is open still.
  Spi spi;
  store_late(spi);
  if (taken_ > 0) spi.run(drop_events, {});
  spi.run(drop_waiting, {});
  return stored;
}

// Stores what followed the payments, once these are stored.
void HistoryStore::store_late(Spi& spi) {
  if (follow_ups_.empty()) return;
  prefer_index_scans();
  PaymentBatch batch;
  batch.payments = std::move(follow_ups_);
  NumberGate gate(role_);
  hide_ids(spi, batch);
  refer(spi, batch, false);
  CardLookup cards(spi, false);
  std::vector<IngestOutcome> outcomes(batch.payments.size());
  std::vector<Refusal> refused;
  std::vector<Entry> entries = admit(batch, cards, gate, outcomes, refused);
  store_follow_ups(spi, entries, {source_, GetCurrentTransactionStartTimestamp(), nullptr}, outcomes, refused, false, true);
  write_dead_letters(spi, source_, letters_of(refused, batch), cards, gate, Beside::kNone);
  gate.tell();
}

// Computes the features of those that wait, and stores them.
int64_t HistoryStore::store_waiting(const std::function<void(int64_t)>& tell) {
  auto set = std::make_shared<FeatureSet>(*payments_feature_set(false));
  {
    Spi spi;
    spi.run(analyze_waiting, {});
    if (!late_labels_.empty()) {
      Column ids(TEXTOID), cards(UUIDOID);
      for (const auto& [id, card] : late_labels_) {
        ids.add(text_param(id));
        cards.add(uuid_param(card_uuid(card)));
      }
      spi.run(label_waiting, {ids.array(), cards.array()});
    }
    spi.run(create_events, {});
    spi.run(events_relation, {});
    set->relation = static_cast<Oid>(*spi.integer(0, 1));
    set->tag = "history_row";
  }
  int64_t stored = 0;
  PaymentScorer scorer(resolve_model("payments", false), set);
  FeatureStream stream(set, first_, last_ + 1, DT_NOEND);
  const size_t width = set->features.size();
  FeatureBlock block;
  while (stream.next(&block)) {
    OwnerScope block_owner;  // whose settings end with the block
    prefer_index_scans();
    Spi spi;
    Column rows(INT8OID), scores(FLOAT8OID);
    VectorColumn vectors(*set);
    for (size_t i = 0; i < block.rows; ++i) {
      if (block.tags[i] == 0) continue;  // stored before
      const float* features = block.features + i * width;
      rows.add(int8_param(block.tags[i]));
      scores.add(float8_param(static_cast<double>(scorer.score(features))));
      vectors.add(features);
    }
    if (rows.size() == 0) continue;
    spi.run(insert_transactions,
            {rows.array(), scores.array(), text_param(source_), text_param(scorer.model().model),
             int4_param(scorer.model().version), vectors.array(), vectors.width()});
    stored += static_cast<int64_t>(rows.size());
    tell(stored);
  }
  return stored;
}

}  // namespace fraud::pg
