#include "pg/ingest.h"

#include "core/payment_features.h"
#include "core/payment_writer.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <map>
#include <tuple>

#include "pg/boundary.h"
#include "pg/card.h"
#include "pg/gucs.h"
#include "pg/owner_scope.h"
#include "pg/payment_scorer.h"
#include "pg/shared_state.h"
#include "pg/shadow_scorer.h"
#include "pg/spi.h"

extern "C" {
#include "access/table.h"
#include "commands/async.h"
#include "partitioning/partbounds.h"
#include "partitioning/partdesc.h"
#include "utils/partcache.h"
}

namespace fraud::pg {

namespace {

using CardId = std::array<unsigned char, UUID_LEN>;

CardId card_id(const pg_uuid_t& uuid) {
  CardId id;
  memcpy(id.data(), uuid.data, UUID_LEN);
  return id;
}

pg_uuid_t card_uuid(const CardId& id) {
  pg_uuid_t uuid;
  memcpy(uuid.data, id.data(), UUID_LEN);
  return uuid;
}

// A payment of the batch on its way.
struct Entry {
  const Payment* payment = nullptr;
  size_t outcome = 0;  // its place in the batch
  CardId card;
  TimestampTz occurred_at = 0;
  PaymentFeatures features;
  float score = 0;
  std::string decision;
};

TimestampTz postgres_time(int64_t unix_us) { return unix_us - kPostgresEpochUs; }
int64_t unix_time(TimestampTz time) { return time + kPostgresEpochUs; }

// Returns why a payment of this time is refused, or an empty string.
std::string future_fault(TimestampTz time) {
  TimestampTz latest = protect([] { return GetCurrentTimestamp(); }) +
                       static_cast<int64_t>(guc_max_future_s) * 1000000;
  if (time <= latest) return {};
  return "the payment's time " + format_time(unix_time(time)) +
         " is in the future, beyond fraud_detect.max_future";
}

// While a batch is stored, plans are made for look-ups by key, whatever size the
// tables had when they were first planned: with the statistics of an empty table,
// an index on the time alone looks as good as the one on card and time.
void prefer_index_scans() {
  protect([] {
    for (const char* setting : {"enable_seqscan", "enable_bitmapscan", "enable_hashjoin",
                                "enable_mergejoin", "enable_sort", "enable_incremental_sort",
                                // What is disabled counts as costly, which is no reason to compile.
                                "jit"}) {
      (void)set_config_option(setting, "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
                              false);
    }
    (void)set_config_option("plan_cache_mode", "force_generic_plan", PGC_USERSET, PGC_S_SESSION,
                            GUC_ACTION_SAVE, true, 0, false);
  });
}

// -------------------------------------------------------------- statements

Statement known_payments(
    "SELECT n.i FROM unnest($1, $2) WITH ORDINALITY n(transaction_id, card, i)"
    " CROSS JOIN LATERAL (SELECT 1 FROM fraud.payment_keys k"
    "  WHERE k.transaction_id = n.transaction_id AND k.card = n.card LIMIT 1) k",
    {TEXTARRAYOID, UUIDARRAYOID});

Statement upsert_customers(
    "INSERT INTO fraud.customers AS c (card, last_four, first_name, last_name, gender, street,"
    "  city, state, zip, job, latitude, longitude, city_population, date_of_birth,"
    "  first_payment_at, last_payment_at)"
    " SELECT n.* FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) n"
    " ON CONFLICT (card) DO UPDATE SET"
    // A later payment's details are taken where it has them, an earlier one only
    // fills gaps.
    "  (first_name, last_name, gender, street, city, state, zip, job, latitude, longitude,"
    "   city_population, date_of_birth) = (SELECT"
    "    coalesce(a.first_name, b.first_name), coalesce(a.last_name, b.last_name),"
    "    coalesce(a.gender, b.gender), coalesce(a.street, b.street), coalesce(a.city, b.city),"
    "    coalesce(a.state, b.state), coalesce(a.zip, b.zip), coalesce(a.job, b.job),"
    "    coalesce(a.latitude, b.latitude), coalesce(a.longitude, b.longitude),"
    "    coalesce(a.city_population, b.city_population),"
    "    coalesce(a.date_of_birth, b.date_of_birth)"
    "   FROM (SELECT (CASE WHEN excluded.last_payment_at >= c.last_payment_at"
    "                 THEN excluded ELSE c END).*) a,"
    "        (SELECT (CASE WHEN excluded.last_payment_at >= c.last_payment_at"
    "                 THEN c ELSE excluded END).*) b),"
    "  last_four = coalesce(c.last_four, excluded.last_four),"
    "  first_payment_at = least(c.first_payment_at, excluded.first_payment_at),"
    "  last_payment_at = greatest(c.last_payment_at, excluded.last_payment_at)",
    {UUIDARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
     TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, FLOAT8ARRAYOID, FLOAT8ARRAYOID,
     INT8ARRAYOID, DATEARRAYOID, TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID});

Statement insert_keys(
    "INSERT INTO fraud.payment_keys (transaction_id, card, occurred_at)"
    " SELECT n.* FROM unnest($1, $2, $3) n ON CONFLICT DO NOTHING RETURNING transaction_id, card",
    {TEXTARRAYOID, UUIDARRAYOID, TIMESTAMPTZARRAYOID});

Statement insert_merchants(
    "INSERT INTO fraud.merchants (merchant, category, first_payment_at)"
    " SELECT n.merchant, n.category, n.first_payment_at"
    " FROM unnest($1, $2, $3) n(merchant, category, first_payment_at)"
    " WHERE NOT EXISTS (SELECT FROM fraud.merchants m WHERE m.merchant = n.merchant)"
    " ON CONFLICT DO NOTHING",
    {TEXTARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID});

Statement card_history(
    "SELECT n.i, t.occurred_at, t.transaction_id, (t.amount * 100)::bigint,"
    "  t.merchant_latitude, t.merchant_longitude"
    " FROM unnest($1, $2, $3) WITH ORDINALITY n(card, after, until, i)"
    " CROSS JOIN LATERAL (SELECT * FROM fraud.transactions t WHERE t.card = n.card"
    "  AND t.occurred_at > n.after AND t.occurred_at <= n.until"
    // The order is what only the primary key has: no other index is chosen.
    "  ORDER BY t.occurred_at, t.transaction_id) t",
    {UUIDARRAYOID, TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID});

// Each payment is queued for the sums that the views read (src/sql/70_rollups.sql).
Statement insert_transactions(
    "WITH stored AS (INSERT INTO fraud.transactions (card, transaction_id, occurred_at, amount,"
    "  merchant, category,"
    "  merchant_latitude, merchant_longitude, score, decision, source, model, model_version, features)"
    " SELECT n.card, n.transaction_id, n.occurred_at, n.cents / 100.0, n.merchant, n.category,"
    "  n.latitude, n.longitude, n.score, n.decision, $11, $12, $13,"
    "  $14[(n.i - 1) * $15 + 1 : n.i * $15]"
    " FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) WITH ORDINALITY"
    "  n(card, transaction_id, occurred_at, cents, merchant, category, latitude, longitude, score,"
    "    decision, i)"
    " RETURNING card, occurred_at, amount, merchant, category, model, model_version, score, decision)"
    " INSERT INTO fraud.rollup_queue (card, occurred_at, amount, merchant, category, state, model,"
    "  model_version, score, decision)"
    " SELECT s.card, s.occurred_at, s.amount, s.merchant, s.category, c.state, s.model,"
    "  s.model_version, s.score, s.decision"
    " FROM stored s LEFT JOIN fraud.customers c ON c.card = s.card",
    {UUIDARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID, INT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
     FLOAT8ARRAYOID, FLOAT8ARRAYOID, FLOAT8ARRAYOID, TEXTARRAYOID, TEXTOID, TEXTOID, INT4OID,
     FLOAT4ARRAYOID, INT8OID});

Statement insert_labels(
    "INSERT INTO fraud.labels (card, transaction_id, is_fraud, source, known_at)"
    " SELECT DISTINCT ON (n.card, n.transaction_id) n.card, n.transaction_id, true, $4,"
    // In UTC, so that days of a delay are the same in every session.
    "  CASE WHEN $5 THEN now()"
    "   ELSE least(now(), timezone('UTC', timezone('UTC', n.occurred_at) + $6)) END"
    " FROM unnest($1, $2, $3) n(card, transaction_id, occurred_at)"
    " WHERE NOT EXISTS (SELECT FROM fraud.labels l WHERE l.transaction_id = n.transaction_id"
    "  AND l.card = n.card AND l.source = $4 AND l.is_fraud)",
    {UUIDARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID, TEXTOID, BOOLOID, INTERVALOID});

// The alert joins the card's unresolved case if its latest alert is within the
// window (microseconds), else it opens one. The card's lock is held, so alerts of a
// card take turns; a case that is resolved meanwhile is not joined.
Statement insert_alert(
    "WITH latest AS (SELECT c.case_id, c.decision FROM fraud.cases c WHERE c.card = $1"
    "  AND c.status IN ('open', 'acknowledged')"
    "  AND c.last_alert_at > now() - $10 * interval '1 microsecond'"
    "  ORDER BY c.case_id DESC LIMIT 1),"
    " joined AS (UPDATE fraud.cases c SET alerts = c.alerts + 1, last_alert_at = now(),"
    // In the alphabet, block is before review.
    "  decision = least(c.decision, $5), max_score = greatest(c.max_score, $4),"
    "  amount = c.amount + $9 / 100.0"
    "  FROM latest l WHERE c.card = $1 AND c.case_id = l.case_id"
    "   AND c.status IN ('open', 'acknowledged')"
    "  RETURNING c.case_id, c.alerts, c.decision < l.decision AS escalated),"
    " opened AS (INSERT INTO fraud.cases (card, decision, max_score, amount)"
    "  SELECT $1, $5, $4, $9 / 100.0 WHERE NOT EXISTS (SELECT FROM joined)"
    "  RETURNING case_id, alerts, false),"
    " the_case AS (SELECT * FROM joined UNION ALL SELECT * FROM opened)"
    " INSERT INTO fraud.alerts (card, case_id, transaction_id, occurred_at, score, decision, model,"
    "  model_version, reasons)"
    " SELECT $1, m.case_id, $2, $3, $4, $5, $6, $7, $8 FROM the_case m"
    " RETURNING alert_id, case_id, (SELECT m.alerts FROM the_case m), (SELECT m.escalated FROM the_case m)",
    {UUIDOID, TEXTOID, TIMESTAMPTZOID, FLOAT8OID, TEXTOID, TEXTOID, INT4OID, TEXTARRAYOID, INT8OID,
     FLOAT8OID});

Statement insert_outbox("INSERT INTO fraud.outbox (kind, payload) VALUES ('alert', $1::jsonb)",
                        {TEXTOID});

Statement insert_error(
    "INSERT INTO fraud.ingest_errors AS e (source, reason, payload, payload_size, card, last_four,"
    "  transaction_id, digest)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, sha256(convert_to($2, 'UTF8') || $3))"
    " ON CONFLICT (source, digest) DO UPDATE SET occurrences = e.occurrences + 1,"
    "  last_seen_at = now()",
    {TEXTOID, TEXTOID, BYTEAOID, INT8OID, UUIDOID, TEXTOID, TEXTOID});

Statement ensure_partition("SELECT fraud._ensure_partition($1)", {TIMESTAMPTZOID});

// ------------------------------------------------------------------- steps

// Tells whether a payment of this time finds its partition. What is asked is the
// descriptor that the INSERT goes by: a partition's name can be seen a moment before
// this session has been told that the descriptor is another. The lock stays until the
// end of the transaction, so that the partition does.
bool has_partition(Oid transactions, TimestampTz time) {
  return protect([&] {
    Relation relation = table_open(transactions, RowExclusiveLock);
    PartitionKey key = RelationGetPartitionKey(relation);
    PartitionBoundInfo bounds = RelationGetPartitionDesc(relation, true)->boundinfo;
    bool found = false;
    if (bounds != nullptr) {
      Datum value = TimestampTzGetDatum(time);
      bool equal = false;
      int below = partition_range_datum_bsearch(key->partsupfunc, key->partcollation, bounds, 1,
                                                &value, &equal);
      found = bounds->indexes[below + 1] >= 0;
    }
    // Whoever is about to wait for another's partition must not hold it up.
    table_close(relation, found ? NoLock : RowExclusiveLock);
    return found;
  });
}

// Makes the partitions that are not there yet.
void ensure_partitions(Spi& spi, Oid schema, const std::vector<Entry>& entries) {
  Oid transactions = protect([&] { return get_relname_relid("transactions", schema); });
  for (const Entry& entry : entries) {
    if (!has_partition(transactions, entry.occurred_at)) {
      spi.run(ensure_partition, {time_param(entry.occurred_at)});
    }
  }
}

void write_dead_letter(Spi& spi, const std::string& source, const RejectedPayment& rejected,
                       const CardKey& key) {
  size_t room = static_cast<size_t>(guc_max_dead_letter_kb) * 1024;
  std::string_view kept = std::string_view(rejected.payload).substr(0, room);
  bool card_known = !rejected.card_number.empty();
  spi.run(insert_error,
          {text_param(source), text_param(rejected.reason), bytea_param(kept),
           int8_param(static_cast<int64_t>(rejected.payload.size())),
           card_known ? uuid_param(key.card(rejected.card_number)) : null_param(),
           card_known ? text_param(std::string_view(rejected.card_number)
                                       .substr(rejected.card_number.size() - 4))
                      : null_param(),
           optional_text_param(rejected.transaction_id)});
}

// Gives each payment its card, and rejects those whose time will not do.
std::vector<Entry> admit(PaymentBatch& batch, const CardKey& key,
                         std::vector<IngestOutcome>& outcomes,
                         std::vector<RejectedPayment>& refused) {
  std::vector<Entry> entries;
  entries.reserve(batch.payments.size());
  for (size_t i = 0; i < batch.payments.size(); ++i) {
    const Payment& payment = batch.payments[i];
    outcomes[i].transaction_id = payment.transaction_id;
    std::string fault;
    Entry entry;
    entry.payment = &payment;
    entry.outcome = i;
    entry.card = card_id(payment.card_number.empty() ? parse_uuid(payment.card_token)
                                                     : key.card(payment.card_number));
    if (!payment.occurred_at_us) {
      fault = "the payment has no time: expected current_time, trans_date_trans_time or unix_time";
    } else {
      entry.occurred_at = postgres_time(*payment.occurred_at_us);
      fault = future_fault(entry.occurred_at);
    }
    if (!fault.empty()) {
      outcomes[i].status = IngestStatus::kRejected;
      outcomes[i].error = fault;
      refused.push_back({payment_to_json(payment, "card", format_uuid(card_uuid(entry.card))),
                         fault, payment.transaction_id, payment.card_number});
      continue;
    }
    entries.push_back(entry);
  }
  return entries;
}

SqlValue text_array(const std::vector<std::string>& values) {
  Column column(TEXTOID);
  for (const std::string& value : values) column.add(text_param(value));
  return column.array();
}

// Takes out the payments that are stored already; the keys of the others are
// looked at again under the card's lock.
void drop_known(Spi& spi, std::vector<Entry>& entries, std::vector<IngestOutcome>& outcomes) {
  Column ids(TEXTOID), cards(UUIDOID);
  for (const Entry& entry : entries) {
    ids.add(text_param(entry.payment->transaction_id));
    cards.add(uuid_param(card_uuid(entry.card)));
  }
  uint64_t count = spi.run(known_payments, {ids.array(), cards.array()});
  std::vector<char> known(entries.size(), 0);
  for (uint64_t row = 0; row < count; ++row) {
    known[static_cast<size_t>(*spi.integer(row, 1)) - 1] = 1;
  }
  std::vector<Entry> fresh;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (known[i] != 0) {
      outcomes[entries[i].outcome].status = IngestStatus::kDuplicate;
    } else {
      fresh.push_back(std::move(entries[i]));
    }
  }
  entries = std::move(fresh);
}

SqlValue optional_float8(const std::optional<double>& value) {
  return value ? float8_param(*value) : null_param();
}

// Writes the customers, and thereby locks their rows, in the order of the card.
// `entries` are sorted by card and time.
void write_customers(Spi& spi, const std::vector<Entry>& entries) {
  Column card(UUIDOID), latitude(FLOAT8OID), longitude(FLOAT8OID), population(INT8OID),
      birth(DATEOID), first(TIMESTAMPTZOID), last(TIMESTAMPTZOID);
  std::array<Column, 9> texts{Column(TEXTOID), Column(TEXTOID), Column(TEXTOID),
                              Column(TEXTOID), Column(TEXTOID), Column(TEXTOID),
                              Column(TEXTOID), Column(TEXTOID), Column(TEXTOID)};
  for (size_t begin = 0, end; begin < entries.size(); begin = end) {
    end = begin + 1;
    while (end < entries.size() && entries[end].card == entries[begin].card) ++end;
    const Entry& newest = entries[end - 1];
    const Payment& payment = *newest.payment;
    card.add(uuid_param(card_uuid(newest.card)));
    texts[0].add(optional_text_param(payment.last_four));
    size_t i = 1;
    for (const std::string* value :
         {&payment.first_name, &payment.last_name, &payment.gender, &payment.street, &payment.city,
          &payment.state, &payment.zip, &payment.job}) {
      texts[i++].add(optional_text_param(*value));
    }
    latitude.add(optional_float8(payment.latitude));
    longitude.add(optional_float8(payment.longitude));
    population.add(payment.city_population ? int8_param(*payment.city_population) : null_param());
    birth.add(payment.date_of_birth
                  ? SqlValue{Int32GetDatum(*payment.date_of_birth -
                                        (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE))}
                  : null_param());
    first.add(time_param(entries[begin].occurred_at));
    last.add(time_param(newest.occurred_at));
  }
  std::vector<SqlValue> params{card.array()};
  for (const Column& column : texts) params.push_back(column.array());
  for (const Column* column : {&latitude, &longitude, &population, &birth, &first, &last}) {
    params.push_back(column->array());
  }
  spi.run(upsert_customers, params);
}

// Claims the payments' keys; those that another transaction stored meanwhile, or
// that stand twice in the batch, are duplicates and taken out.
void claim_keys(Spi& spi, std::vector<Entry>& entries, std::vector<IngestOutcome>& outcomes) {
  Column ids(TEXTOID), cards(UUIDOID), times(TIMESTAMPTZOID);
  for (const Entry& entry : entries) {
    ids.add(text_param(entry.payment->transaction_id));
    cards.add(uuid_param(card_uuid(entry.card)));
    times.add(time_param(entry.occurred_at));
  }
  uint64_t count = spi.run(insert_keys, {ids.array(), cards.array(), times.array()});
  if (count == entries.size()) return;
  std::map<std::pair<std::string, CardId>, bool> claimed;  // true: still to be given out
  for (uint64_t row = 0; row < count; ++row) {
    Datum card = *spi.datum(row, 2);
    claimed[{*spi.text(row, 1), card_id(*DatumGetUUIDP(card))}] = true;
  }
  std::vector<Entry> fresh;
  for (Entry& entry : entries) {
    auto key = claimed.find({entry.payment->transaction_id, entry.card});
    if (key == claimed.end() || !key->second) {
      outcomes[entry.outcome].status = IngestStatus::kDuplicate;
    } else {
      key->second = false;
      fresh.push_back(std::move(entry));
    }
  }
  entries = std::move(fresh);
}

void write_merchants(Spi& spi, const std::vector<Entry>& entries) {
  std::map<std::string_view, const Entry*> first;  // sorted: concurrent batches agree on the order
  for (const Entry& entry : entries) {
    const Entry*& known = first[entry.payment->merchant];
    if (known == nullptr || entry.occurred_at < known->occurred_at) known = &entry;
  }
  Column merchant(TEXTOID), category(TEXTOID), since(TIMESTAMPTZOID);
  for (const auto& [name, entry] : first) {
    merchant.add(text_param(name));
    category.add(optional_text_param(entry->payment->category));
    since.add(time_param(entry->occurred_at));
  }
  spi.run(insert_merchants, {merchant.array(), category.array(), since.array()});
}

// A payment of the card's history with what orders it.
struct Past {
  CardEvent event;
  std::string transaction_id;
};

bool earlier(int64_t time_a, const std::string& id_a, int64_t time_b, const std::string& id_b) {
  return time_a != time_b ? time_a < time_b : id_a < id_b;
}

// Reads, for the card and period of each group, what is stored.
std::vector<std::vector<Past>> read_history(Spi& spi, const Column& cards, const Column& after,
                                            const Column& until, bool read_only) {
  std::vector<std::vector<Past>> history(cards.size());
  uint64_t count = spi.run(card_history, {cards.array(), after.array(), until.array()}, read_only);
  for (uint64_t row = 0; row < count; ++row) {
    Past past;
    past.event.occurred_at_us = unix_time(DatumGetTimestampTz(*spi.datum(row, 2)));
    past.transaction_id = *spi.text(row, 3);
    past.event.amount_cents = *spi.integer(row, 4);
    if (auto latitude = spi.number(row, 5)) past.event.merchant_latitude = *latitude;
    if (auto longitude = spi.number(row, 6)) past.event.merchant_longitude = *longitude;
    history[static_cast<size_t>(*spi.integer(row, 1)) - 1].push_back(std::move(past));
  }
  return history;
}

CardEvent event_of(const Payment& payment) {
  CardEvent event;
  event.occurred_at_us = *payment.occurred_at_us;
  event.amount_cents = payment.amount_cents;
  if (payment.merchant_latitude) event.merchant_latitude = *payment.merchant_latitude;
  if (payment.merchant_longitude) event.merchant_longitude = *payment.merchant_longitude;
  return event;
}

// Computes the features of all entries (sorted by card, time and id), each from
// what is stored of its card and from the entries before it.
void compute_features(Spi& spi, std::vector<Entry>& entries) {
  Column cards(UUIDOID), after(TIMESTAMPTZOID), until(TIMESTAMPTZOID);
  std::vector<std::pair<size_t, size_t>> groups;
  for (size_t begin = 0, end; begin < entries.size(); begin = end) {
    end = begin + 1;
    while (end < entries.size() && entries[end].card == entries[begin].card) ++end;
    groups.emplace_back(begin, end);
    cards.add(uuid_param(card_uuid(entries[begin].card)));
    after.add(time_param(entries[begin].occurred_at - kHistoryUs));
    until.add(time_param(entries[end - 1].occurred_at));
  }
  std::vector<std::vector<Past>> history = read_history(spi, cards, after, until, false);
  for (size_t g = 0; g < groups.size(); ++g) {
    std::vector<Past>& past = history[g];
    for (size_t i = groups[g].first; i < groups[g].second; ++i) {
      past.push_back({event_of(*entries[i].payment), entries[i].payment->transaction_id});
    }
    std::sort(past.begin(), past.end(), [](const Past& a, const Past& b) {
      return earlier(a.event.occurred_at_us, a.transaction_id, b.event.occurred_at_us,
                     b.transaction_id);
    });
    CardWindows windows;
    size_t place = 0;
    for (size_t i = groups[g].first; i < groups[g].second; ++i, ++place) {
      const Payment& payment = *entries[i].payment;
      while (past[place].event.occurred_at_us != *payment.occurred_at_us ||
             past[place].transaction_id != payment.transaction_id) {
        windows.push(past[place++].event);
      }
      entries[i].features = windows.evaluate_and_push(payment);
    }
  }
}

void write_transactions(Spi& spi, const std::vector<Entry>& entries, const PaymentScorer& scorer,
                        const std::string& source) {
  Column card(UUIDOID), id(TEXTOID), time(TIMESTAMPTZOID), cents(INT8OID), merchant(TEXTOID),
      category(TEXTOID), latitude(FLOAT8OID), longitude(FLOAT8OID), score(FLOAT8OID),
      decision(TEXTOID), features(FLOAT4OID);
  for (const Entry& entry : entries) {
    const Payment& payment = *entry.payment;
    card.add(uuid_param(card_uuid(entry.card)));
    id.add(text_param(payment.transaction_id));
    time.add(time_param(entry.occurred_at));
    cents.add(int8_param(payment.amount_cents));
    merchant.add(text_param(payment.merchant));
    category.add(optional_text_param(payment.category));
    latitude.add(optional_float8(payment.merchant_latitude));
    longitude.add(optional_float8(payment.merchant_longitude));
    score.add(float8_param(static_cast<double>(entry.score)));
    decision.add(optional_text_param(entry.decision));
    for (float value : entry.features) features.add({Float4GetDatum(value)});
  }
  spi.run(insert_transactions,
          {card.array(), id.array(), time.array(), cents.array(), merchant.array(),
           category.array(), latitude.array(), longitude.array(), score.array(), decision.array(),
           text_param(source), text_param(scorer.model().model),
           int4_param(scorer.model().version), features.array(),
           int8_param(static_cast<int64_t>(kPaymentFeatureCount))});
}

// Records is_fraud of the payload as a label; also of a payment that is stored
// already, since a feed may learn of a fraud and send the payment again.
void write_labels(Spi& spi, const std::vector<Entry>& entries, const IngestOptions& options) {
  Column card(UUIDOID), id(TEXTOID), time(TIMESTAMPTZOID);
  for (const Entry& entry : entries) {
    if (!entry.payment->is_fraud.value_or(false)) continue;
    card.add(uuid_param(card_uuid(entry.card)));
    id.add(text_param(entry.payment->transaction_id));
    time.add(time_param(entry.occurred_at));
  }
  if (card.size() == 0) return;
  Interval delay = options.label_delay;
  spi.run(insert_labels, {card.array(), id.array(), time.array(), text_param(options.label_source),
                          bool_param(options.live), {IntervalPGetDatum(&delay)}});
}

// Raises the alert of one payment: its row, its place in a case, its message in the outbox, and the
// NOTIFY that listeners get at COMMIT.
void raise_alert(Spi& spi, const Entry& entry, PaymentScorer& scorer) {
  const Payment& payment = *entry.payment;
  std::vector<std::string> reasons = scorer.reasons(entry.features);
  double score = static_cast<double>(entry.score);
  spi.run(insert_alert,
          {uuid_param(card_uuid(entry.card)), text_param(payment.transaction_id),
           time_param(entry.occurred_at), float8_param(score), text_param(entry.decision),
           text_param(scorer.model().model), int4_param(scorer.model().version),
           text_array(reasons), int8_param(payment.amount_cents),
           float8_param(guc_alert_window_s * 1e6)});
  // No card number: card is the keyed hash.
  nlohmann::json message = {
      {"alert_id", *spi.integer(0, 1)},
      {"case_id", *spi.integer(0, 2)},
      {"case_alerts", *spi.integer(0, 3)},
      {"escalated", DatumGetBool(*spi.datum(0, 4))},
      {"transaction_id", payment.transaction_id},
      {"card", format_uuid(card_uuid(entry.card))},
      {"last_four", payment.last_four.empty() ? nlohmann::json() : nlohmann::json(payment.last_four)},
      {"occurred_at", format_time(unix_time(entry.occurred_at))},
      {"amount", static_cast<double>(payment.amount_cents) / 100},
      {"merchant", payment.merchant},
      {"category", payment.category},
      {"score", score},
      {"decision", entry.decision},
      {"model", scorer.model().name()},
      {"reasons", reasons},
  };
  std::string text = message.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  spi.run(insert_outbox, {text_param(text)});
  protect([&] {
    Async_Notify("fraud_alerts", text.c_str());
    wake_at_commit(WorkerKind::kNotify);
  });
}

// Lets the challengers score what the champion has scored.
void write_shadow_scores(Spi& spi, const std::vector<Entry>& entries, const ResolvedModel& champion) {
  ShadowScorer shadow(spi, champion);
  if (shadow.empty()) return;
  for (const Entry& entry : entries) {
    shadow.add(card_uuid(entry.card), entry.payment->transaction_id, entry.occurred_at,
               entry.features);
  }
  shadow.write(spi);
}

void by_card_and_time(std::vector<Entry>& entries) {
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    if (a.card != b.card) return a.card < b.card;
    return earlier(a.occurred_at, a.payment->transaction_id, b.occurred_at,
                   b.payment->transaction_id);
  });
}

}  // namespace

IngestCounts ingest(PaymentBatch& batch, const IngestOptions& options,
                    std::vector<IngestOutcome>* outcomes) {
  Oid schema = fraud_schema();
  OwnerScope owner;
  prefer_index_scans();
  std::vector<IngestOutcome> results(batch.payments.size());
  std::vector<RejectedPayment> refused;
  IngestCounts counts;
  {
    Spi spi;
    CardKey key(spi);
    std::vector<Entry> all = admit(batch, key, results, refused);
    by_card_and_time(all);
    std::vector<Entry> entries = all;
    if (!entries.empty()) drop_known(spi, entries, results);
    if (!entries.empty()) {
      write_customers(spi, entries);
      claim_keys(spi, entries, results);
    }
    if (!entries.empty()) {
      PaymentScorer scorer(resolve_model("payments", false));
      ensure_partitions(spi, schema, entries);
      write_merchants(spi, entries);
      compute_features(spi, entries);
      for (Entry& entry : entries) {
        entry.score = scorer.score(entry.features);
        if (options.live) entry.decision = scorer.decide(entry.score);
        IngestOutcome& outcome = results[entry.outcome];
        outcome.scored = true;
        outcome.score = static_cast<double>(entry.score);
        outcome.decision = entry.decision;
        counts.newest = std::max(counts.newest, entry.occurred_at);
      }
      write_transactions(spi, entries, scorer, options.source);
      if (options.live) write_shadow_scores(spi, entries, scorer.model());
      for (const Entry& entry : entries) {
        if (entry.decision == "review" || entry.decision == "block") {
          raise_alert(spi, entry, scorer);
        }
      }
    }
    write_labels(spi, all, options);
    for (RejectedPayment& rejected : batch.rejected) refused.push_back(rejected);
    // In one order, so that concurrent batches do not deadlock on the same faults.
    std::stable_sort(refused.begin(), refused.end(),
                     [](const RejectedPayment& a, const RejectedPayment& b) {
                       return std::tie(a.reason, a.payload) < std::tie(b.reason, b.payload);
                     });
    for (const RejectedPayment& rejected : refused) {
      write_dead_letter(spi, options.source, rejected, key);
    }
  }
  for (const RejectedPayment& rejected : batch.rejected) {
    IngestOutcome outcome;
    outcome.transaction_id = rejected.transaction_id;
    outcome.status = IngestStatus::kRejected;
    outcome.error = rejected.reason;
    results.push_back(outcome);
  }
  for (const IngestOutcome& outcome : results) {
    counts.stored += outcome.status == IngestStatus::kStored;
    counts.duplicates += outcome.status == IngestStatus::kDuplicate;
    counts.rejected += outcome.status == IngestStatus::kRejected;
  }
  if (outcomes != nullptr) *outcomes = std::move(results);
  return counts;
}

void dead_letter(const std::string& source, const RejectedPayment& rejected) {
  OwnerScope owner;
  Spi spi;
  CardKey key(spi);
  write_dead_letter(spi, source, rejected, key);
}

Assessment assess(const Payment& payment, std::string_view model) {
  OwnerScope owner;
  prefer_index_scans();
  PaymentScorer scorer(resolve_model(model, true));
  Payment timed = payment;
  if (!timed.occurred_at_us) {
    timed.occurred_at_us = unix_time(protect([] { return GetCurrentStatementStartTimestamp(); }));
  }
  std::string fault = future_fault(postgres_time(*timed.occurred_at_us));
  if (!fault.empty()) throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "invalid payment: " + fault);
  std::vector<CardEvent> events;
  {
    Spi spi;
    CardKey key(spi);
    pg_uuid_t card =
        timed.card_number.empty() ? parse_uuid(timed.card_token) : key.card(timed.card_number);
    TimestampTz time = postgres_time(*timed.occurred_at_us);
    Column cards(UUIDOID), after(TIMESTAMPTZOID), until(TIMESTAMPTZOID);
    cards.add(uuid_param(card));
    after.add(time_param(time - kHistoryUs));
    until.add(time_param(time));
    std::vector<Past> past = std::move(read_history(spi, cards, after, until, true)[0]);
    std::sort(past.begin(), past.end(), [](const Past& a, const Past& b) {
      return earlier(a.event.occurred_at_us, a.transaction_id, b.event.occurred_at_us,
                     b.transaction_id);
    });
    for (const Past& item : past) {
      if (earlier(item.event.occurred_at_us, item.transaction_id, *timed.occurred_at_us,
                  timed.transaction_id)) {
        events.push_back(item.event);
      }
    }
  }
  PaymentFeatures features =
      compute_payment_features(timed, events.data(), events.data() + events.size());
  Assessment result;
  result.score = scorer.score(features);
  result.decision = scorer.decide(result.score);
  result.reasons = scorer.reasons(features);
  for (size_t i = 0; i < features.size(); ++i) {
    result.features.emplace_back(std::string(payment_feature_names()[i]), features[i]);
  }
  return result;
}

}  // namespace fraud::pg
