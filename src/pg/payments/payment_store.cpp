#include "pg/payments/payment_store.h"

#include "core/payments/currency.h"
#include "core/payments/payment_writer.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <tuple>

#include "pg/payments/content_hash.h"
#include "pg/payments/direct_store.h"
#include "pg/payments/follow_ups.h"
#include "pg/server/boundary.h"
#include "pg/server/gucs.h"
#include "pg/server/owner_scope.h"
#include "pg/server/shared_state.h"
#include "pg/server/plan_settings.h"

extern "C" {
#include "access/table.h"
#include "partitioning/partbounds.h"
#include "partitioning/partdesc.h"
#include "utils/partcache.h"
}

namespace fraud::pg {

namespace {

// -------------------------------------------------------------- statements

Statement known_payments(
    "SELECT n.i, k.card IS NOT NULL, k.content_hash FROM unnest($1, $2) WITH ORDINALITY n(transaction_id, card, i)"
    " LEFT JOIN LATERAL (SELECT p.card, p.content_hash FROM fraud.payment_keys p"
    "  WHERE p.transaction_id = n.transaction_id AND p.card = n.card OFFSET 0) k ON true",
    {TEXTARRAYOID, UUIDARRAYOID});

Statement upsert_customers(
    "INSERT INTO fraud.customers AS c (card, last_four, first_name, last_name, gender, street,"
    "  city, state, zip, job, latitude, longitude, city_population, date_of_birth, customer_kind, customer_id,"
    "  first_payment_at, last_payment_at)"
    " SELECT n.* FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) n"
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
    "  customer_kind = coalesce(c.customer_kind, excluded.customer_kind),"
    "  customer_id = coalesce(c.customer_id, excluded.customer_id),"
    "  first_payment_at = least(c.first_payment_at, excluded.first_payment_at),"
    "  last_payment_at = greatest(c.last_payment_at, excluded.last_payment_at)"
    // One that was there was locked before it was changed, which its row tells.
    " RETURNING xmax = 0",
    {UUIDARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
     TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
     FLOAT8ARRAYOID, FLOAT8ARRAYOID, INT8ARRAYOID, DATEARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID});

Statement insert_keys(
    "INSERT INTO fraud.payment_keys (transaction_id, card, occurred_at, content_hash)"
    " SELECT n.* FROM unnest($1, $2, $3, $4) n ON CONFLICT DO NOTHING RETURNING transaction_id, card",
    {TEXTARRAYOID, UUIDARRAYOID, TIMESTAMPTZARRAYOID, INT8ARRAYOID});

Statement insert_merchants(
    "INSERT INTO fraud.merchants (merchant, category, first_payment_at)"
    " SELECT n.merchant, n.category, n.first_payment_at"
    " FROM unnest($1, $2, $3) n(merchant, category, first_payment_at)"
    " WHERE NOT EXISTS (SELECT FROM fraud.merchants m WHERE m.merchant = n.merchant)"
    " ON CONFLICT DO NOTHING",
    {TEXTARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID});

Statement queue_merchants(
    "INSERT INTO fraud.merchant_queue (merchant, category, first_payment_at)"
    " SELECT n.merchant, n.category, n.first_payment_at"
    " FROM unnest($1, $2, $3) n(merchant, category, first_payment_at)"
    " WHERE NOT EXISTS (SELECT FROM fraud.merchants m WHERE m.merchant = n.merchant)",
    {TEXTARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID});

Statement insert_labels(
    "INSERT INTO fraud.labels (card, transaction_id, is_fraud, source, known_at)"
    " SELECT DISTINCT ON (n.card, n.transaction_id) n.card, n.transaction_id, true, $4,"
    "  coalesce(n.known_at, " FRAUD_LABEL_KNOWN_AT("n.occurred_at", "$6") ")"
    " FROM unnest($1, $2, $3, $5) n(card, transaction_id, occurred_at, known_at)"
    " WHERE NOT EXISTS (SELECT FROM fraud.labels l WHERE l.transaction_id = n.transaction_id"
    "  AND l.card = n.card AND l.source = $4 AND l.is_fraud)"
    // Of one that stands there twice, what was said first.
    " ORDER BY n.card, n.transaction_id, n.known_at, n.occurred_at",
    {UUIDARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID, TEXTOID, TIMESTAMPTZARRAYOID, INTERVALOID});

Statement insert_error(
    "INSERT INTO fraud.ingest_errors AS e (source, reason, payload, payload_size, card, last_four,"
    "  transaction_id, waits_for, digest)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $10, sha256(convert_to($2, 'UTF8') || coalesce($9, $3)"
    "  || CASE $8 WHEN 0 THEN '' WHEN 1 THEN convert_to(' beside', 'UTF8') ELSE uuid_send(gen_random_uuid()) END))"
    " ON CONFLICT (source, digest) DO UPDATE SET occurrences = e.occurrences + 1,"
    "  last_seen_at = now()",
    {TEXTOID, TEXTOID, BYTEAOID, INT8OID, UUIDOID, TEXTOID, TEXTOID, INT4OID, BYTEAOID, TEXTOID});

Statement find_prices(
    "SELECT n.i, (n.amount::numeric * r.rate < 100000000000000)::int, round(n.amount::numeric * r.rate, $4)::text"
    " FROM unnest($1, $2, $3) WITH ORDINALITY n(currency, amount, occurred_at, i)"
    " JOIN LATERAL (SELECT c.rate FROM fraud.currency_rates c WHERE c.currency = n.currency AND c.base_currency = $5"
    "  AND c.valid_from <= n.occurred_at ORDER BY c.valid_from DESC, c.rate_id DESC LIMIT 1) r ON true",
    {TEXTARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID, INT4OID, TEXTOID});

Statement ensure_partition("SELECT fraud._ensure_partition($1)", {TIMESTAMPTZOID});
// What fraud._ensure_partition takes.
Statement lock_partitions("LOCK TABLE fraud.transactions IN SHARE UPDATE EXCLUSIVE MODE", {});

// ------------------------------------------------------------------- steps

// Returns the partition that a payment of this time finds, or InvalidOid. What is asked is the
// descriptor that the INSERT goes by: a partition's name can be seen a moment before
// this session has been told that the descriptor is another. The lock stays until the
// end of the transaction, so that the partition does.
Oid find_partition(Oid transactions, TimestampTz time) {
  return protect([&] {
    Relation relation = table_open(transactions, RowExclusiveLock);
    PartitionKey key = RelationGetPartitionKey(relation);
    PartitionDesc parts = RelationGetPartitionDesc(relation, true);
    PartitionBoundInfo bounds = parts->boundinfo;
    Oid found = InvalidOid;
    if (bounds != nullptr) {
      Datum value = TimestampTzGetDatum(time);
      bool equal = false;
      int below = partition_range_datum_bsearch(key->partsupfunc, key->partcollation, bounds, 1,
                                                &value, &equal);
      const int part = bounds->indexes[below + 1];
      if (part >= 0) found = parts->oids[part];
    }
    // Whoever is about to wait for another's partition must not hold it up.
    table_close(relation, OidIsValid(found) ? NoLock : RowExclusiveLock);
    return found;
  });
}

// Counts the months that this transaction makes; throws where they are too many.
void count_new_month() {
  static TimestampTz transaction = 0;  // when it began
  static int made = 0;
  if (transaction != GetCurrentTransactionStartTimestamp()) made = 0;
  transaction = GetCurrentTransactionStartTimestamp();
  if (++made <= guc_max_new_months) return;
  throw SqlError(ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                 "payments of more than " + std::to_string(guc_max_new_months) + " new months in one transaction",
                 "Each month of payments is a partition, which all later payments have to pass by.",
                 "Look at the payments' times; if they are right, store them in several transactions, or raise "
                 "fraud_detect.max_new_months.");
}

// Makes the partitions that are not there yet; with `apart`, throws instead.
void ensure_partitions(Spi& spi, const std::vector<Entry>& entries, bool apart) {
  for (const Entry& entry : entries) {
    if (has_month(entry.occurred_at)) continue;
    if (!apart) {
      spi.run(ensure_partition, {time_param(entry.occurred_at)});
      if (DatumGetBool(*spi.datum(0, 1))) count_new_month();
      if (has_month(entry.occurred_at)) continue;
    }
    throw SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                   "fraud.transactions has no partition for " + format_time(unix_time(entry.occurred_at)), {}, kPartitionHint);
  }
}

// Returns the card of a number whose payment was rejected. Beyond the limit it is not
// even looked for: what is read shows in statistics that anybody may see.
SqlValue rejected_card(const std::string& number, CardLookup& cards, NumberGate& gate) {
  const pg_uuid_t hash = cards.hash(number);
  gate.see(number, hash);
  return gate.may_ask(hash) ? uuid_param(card_uuid(cards[number].card)) : null_param();
}

// An IBAN may end with letters.
SqlValue last_four_of(std::string_view number) {
  const std::string_view end = number.substr(number.size() - 4);
  return end.find_first_not_of("0123456789") == std::string_view::npos ? text_param(end) : null_param();
}

void write_dead_letter(Spi& spi, const std::string& source, const RejectedPayment& rejected,
                       CardLookup& cards, NumberGate& gate, Beside beside) {
  const size_t room = static_cast<size_t>(guc_max_dead_letter_kb) * 1024;
  const std::string_view kept = std::string_view(rejected.payload).substr(0, room);
  const size_t whole = std::max(rejected.payload.size(), rejected.payload_size);
  std::string reason = rejected.reason;
  if (kept.size() < rejected.payload.size()) {
    reason += "; the first " + std::to_string(kept.size()) + " of " + std::to_string(whole) +
              " bytes are kept (fraud_detect.max_dead_letter_size)";
  }
  bool card_known = !rejected.card_number.empty();
  spi.run(insert_error,
          {text_param(source), text_param(reason), bytea_param(kept), int8_param(static_cast<int64_t>(whole)),
           card_known ? rejected_card(rejected.card_number, cards, gate) : null_param(),
           card_known ? last_four_of(rejected.card_number) : null_param(),
           optional_text_param(rejected.transaction_id), int4_param(static_cast<int32_t>(beside)),
           rejected.same_as.empty() ? null_param() : bytea_param(rejected.same_as), optional_text_param(rejected.waits_for)});
  if (!rejected.waits_for.empty()) protect([] { wake_at_commit(WorkerKind::kIngest); });
}

bool earlier(const Entry& a, const Entry& b) {
  if (a.card != b.card) return a.card < b.card;
  if (a.occurred_at != b.occurred_at) return a.occurred_at < b.occurred_at;
  return a.payment->transaction_id < b.payment->transaction_id;
}

// Tells of payments that are stored which of them repeat the stored one, and rejects those that
// do not. Returns the others, in their order.
std::vector<Entry> judge_known(Spi& spi, std::vector<Entry> entries, std::vector<IngestOutcome>& outcomes,
                               std::vector<Refusal>& refused) {
  Column ids(TEXTOID), cards(UUIDOID);
  for (const Entry& entry : entries) {
    ids.add(text_param(entry.payment->transaction_id));
    cards.add(uuid_param(card_uuid(entry.card)));
  }
  const uint64_t count = spi.run(known_payments, {ids.array(), cards.array()});
  std::vector<char> known(entries.size(), 0);
  for (uint64_t row = 0; row < count; ++row) {
    if (!DatumGetBool(*spi.datum(row, 2))) continue;
    const auto i = static_cast<size_t>(*spi.integer(row, 1)) - 1;
    known[i] = 1;
    if (!refuse_if_other(entries[i], spi.integer(row, 3).value_or(entries[i].content), outcomes, refused)) {
      outcomes[entries[i].outcome].status = IngestStatus::kDuplicate;
    }
  }
  std::vector<Entry> fresh;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (known[i] == 0) fresh.push_back(std::move(entries[i]));
  }
  return fresh;
}

SqlValue optional_float8(const std::optional<double>& value) {
  return value ? float8_param(*value) : null_param();
}

// Writes the customers, and thereby locks their rows, in the order of the card.
// `entries` are sorted by card and time. Returns whether none of them was there.
bool write_customers(Spi& spi, const std::vector<Entry>& entries, size_t from) {
  std::array<Column, 18> columns{Column(UUIDOID), Column(TEXTOID), Column(TEXTOID), Column(TEXTOID), Column(TEXTOID), Column(TEXTOID),
                                 Column(TEXTOID), Column(TEXTOID), Column(TEXTOID), Column(TEXTOID), Column(FLOAT8OID), Column(FLOAT8OID),
                                 Column(INT8OID), Column(DATEOID), Column(TEXTOID), Column(TEXTOID), Column(TIMESTAMPTZOID),
                                 Column(TIMESTAMPTZOID)};
  for (size_t begin = from, end; begin < entries.size(); begin = end) {
    end = begin + 1;
    while (end < entries.size() && entries[end].card == entries[begin].card) ++end;
    const std::vector<SqlValue> values = customer_values(entries, begin, end);
    for (size_t i = 0; i < columns.size(); ++i) columns[i].add(values[i]);
  }
  std::vector<SqlValue> params;
  for (const Column& column : columns) params.push_back(column.array());
  const uint64_t count = spi.run(upsert_customers, params);
  for (uint64_t row = 0; row < count; ++row) {
    if (!DatumGetBool(*spi.datum(row, 1))) return false;
  }
  return true;
}

// Claims the payments' keys, in the order of the batch; those that another transaction stored
// meanwhile, or that stand twice in the batch, are taken out.
void claim_keys(Spi& spi, std::vector<Entry>& entries, std::vector<IngestOutcome>& outcomes, std::vector<Refusal>& refused) {
  std::vector<const Entry*> as_given;
  for (const Entry& entry : entries) as_given.push_back(&entry);
  std::sort(as_given.begin(), as_given.end(), [](const Entry* a, const Entry* b) { return a->outcome < b->outcome; });
  Column ids(TEXTOID), cards(UUIDOID), times(TIMESTAMPTZOID), contents(INT8OID);
  for (const Entry* entry : as_given) {
    ids.add(text_param(entry->payment->transaction_id));
    cards.add(uuid_param(card_uuid(entry->card)));
    times.add(time_param(entry->occurred_at));
    contents.add(int8_param(entry->content));
  }
  uint64_t count = spi.run(insert_keys, {ids.array(), cards.array(), times.array(), contents.array()});
  if (count == entries.size()) return;
  std::map<std::pair<std::string, CardId>, bool> claimed;  // true: still to be given out
  for (uint64_t row = 0; row < count; ++row) {
    Datum card = *spi.datum(row, 2);
    claimed[{*spi.text(row, 1), card_id(*DatumGetUUIDP(card))}] = true;
  }
  std::vector<char> won(outcomes.size(), 0);
  for (const Entry* entry : as_given) {
    auto key = claimed.find({entry->payment->transaction_id, entry->card});
    if (key == claimed.end() || !key->second) continue;
    key->second = false;
    won[entry->outcome] = 1;
  }
  auto lost = std::stable_partition(entries.begin(), entries.end(), [&](const Entry& entry) { return won[entry.outcome] != 0; });
  for (auto entry = lost; entry != entries.end(); ++entry) outcomes[entry->outcome].status = IngestStatus::kDuplicate;
  judge_known(spi, {std::make_move_iterator(lost), std::make_move_iterator(entries.end())}, outcomes, refused);
  entries.erase(lost, entries.end());
}

// Merchants' rows are made here, or, `apart`, by the scorers: for them it is a queue that they are put into. Also where another transaction
// makes a row now, and has not ended, so that nobody waits for it, as long as there are scorers.
void write_merchants(Spi& spi, const std::vector<Entry>& entries, bool apart) {
  std::map<std::string_view, const Entry*> first;  // sorted: concurrent batches agree on the order
  for (const Entry& entry : entries) {
    const Entry*& known = first[entry.payment->merchant];
    if (known == nullptr || entry.occurred_at < known->occurred_at) known = &entry;
  }
  std::set<std::string_view> others;
  if (!apart && guc_direct_access && protect([] { return extension_present(MyDatabaseId); })) others = merchants_being_added(entries);
  struct Columns {
    Column merchant{TEXTOID}, category{TEXTOID}, since{TIMESTAMPTZOID};
  };
  Columns made, queued;
  for (const auto& [name, entry] : first) {
    Columns& columns = apart || others.count(name) != 0 ? queued : made;
    columns.merchant.add(text_param(name));
    columns.category.add(optional_text_param(entry->payment->category));
    columns.since.add(time_param(entry->occurred_at));
  }
  if (made.merchant.size() > 0) spi.run(insert_merchants, {made.merchant.array(), made.category.array(), made.since.array()});
  if (queued.merchant.size() == 0) return;
  spi.run(queue_merchants, {queued.merchant.array(), queued.category.array(), queued.since.array()});
  if (!apart) protect([] { wake_scorers_at_commit(); });
}

}  // namespace

// The birth's zone is not known either: a birth on
// the day of the payment may seem to be a day later.
SqlValue age_at(const Payment& payment) {
  if (!payment.date_of_birth) return null_param();
  constexpr int64_t kDayUs = int64_t{24} * 3600 * 1000000;
  constexpr double kDaysPerYear = 365.2425, kMaxAgeYears = 150;
  const int64_t now = *payment.occurred_at_us;
  const int64_t day = now / kDayUs - (now % kDayUs < 0 ? 1 : 0);
  const double years = static_cast<double>(std::max<int64_t>(day - *payment.date_of_birth, 0)) / kDaysPerYear;
  if (years > kMaxAgeYears) return null_param();
  return {Float4GetDatum(static_cast<float>(years))};
}

std::vector<SqlValue> customer_values(const std::vector<Entry>& entries, size_t begin, size_t end) {
  const Entry& newest = entries[end - 1];
  const Payment& payment = *newest.payment;
  std::vector<SqlValue> values{uuid_param(card_uuid(newest.card))};
  for (const std::string* value : {&payment.last_four, &payment.first_name, &payment.last_name, &payment.gender, &payment.street,
                                   &payment.city, &payment.state, &payment.zip, &payment.job}) {
    values.push_back(optional_text_param(*value));
  }
  values.push_back(optional_float8(payment.latitude));
  values.push_back(optional_float8(payment.longitude));
  values.push_back(payment.city_population ? int8_param(*payment.city_population) : null_param());
  values.push_back(payment.date_of_birth ? SqlValue{Int32GetDatum(*payment.date_of_birth - (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE))}
                                         : null_param());
  values.push_back(optional_text_param(payment.customer_kind));
  values.push_back(optional_text_param(payment.customer));
  values.push_back(time_param(entries[begin].occurred_at));
  values.push_back(time_param(newest.occurred_at));
  return values;
}

std::string future_fault(TimestampTz time) {
  TimestampTz latest = protect([] { return GetCurrentTimestamp(); }) +
                       static_cast<int64_t>(guc_max_future_s) * 1000000;
  if (time <= latest) return {};
  return "the payment's time " + format_time(unix_time(time)) +
         " is in the future, beyond fraud_detect.max_future";
}

TimestampTz month_of(TimestampTz time) {
  return protect([&] {
    return DatumGetTimestampTz(DirectFunctionCall3(timestamptz_trunc_zone, CStringGetTextDatum("month"),
                                                   TimestampTzGetDatum(time), CStringGetTextDatum("UTC")));
  });
}

Oid month_partition(TimestampTz time) {
  const Oid schema = fraud_schema();
  return find_partition(protect([&] { return get_relname_relid("transactions", schema); }), time);
}

bool has_month(TimestampTz time) { return OidIsValid(month_partition(time)); }

void lock_months(Spi& spi, const PaymentBatch& batch) {
  for (const Payment& payment : batch.payments) {
    if (!payment.occurred_at_us || has_month(postgres_time(*payment.occurred_at_us))) continue;
    spi.run(lock_partitions, {});
    return;
  }
}

// Others than the owner read the payload: it names a card only if the feed did.
void refuse(const Entry& entry, const std::string& fault, std::vector<IngestOutcome>& outcomes, std::vector<Refusal>& refused) {
  const Payment& payment = *entry.payment;
  outcomes[entry.outcome].status = IngestStatus::kRejected;
  outcomes[entry.outcome].error = fault;
  refused.push_back({entry.outcome, {payment_to_json(payment, "card", payment.card_token), fault, payment.transaction_id,
                                     payment.card_number}});
}

std::vector<Entry> admit(const PaymentBatch& batch, CardLookup& cards, NumberGate& gate,
                         std::vector<IngestOutcome>& outcomes, std::vector<Refusal>& refused) {
  std::vector<Entry> entries;
  std::vector<std::string_view> numbers;
  entries.reserve(batch.payments.size());
  for (size_t i = 0; i < batch.payments.size(); ++i) {
    const Payment& payment = batch.payments[i];
    outcomes[i].transaction_id = payment.transaction_id;
    std::string fault;
    Entry entry;
    entry.payment = &payment;
    entry.outcome = i;
    entry.content = content_hash(payment);
    if (!payment.occurred_at_us) {
      fault = "the payment has no time: expected current_time, trans_date_trans_time or unix_time";
    } else {
      entry.occurred_at = postgres_time(*payment.occurred_at_us);
      fault = future_fault(entry.occurred_at);
    }
    if (fault.empty() && payment.attributes.size() > static_cast<size_t>(guc_max_attributes_kb) * 1024) {
      fault = "the payment has attributes of " + std::to_string(payment.attributes.size()) + " bytes: expected at most " +
              std::to_string(guc_max_attributes_kb) + " kB (fraud_detect.max_attributes_size)";
    }
    if (!fault.empty()) {
      refuse(entry, fault, outcomes, refused);
      continue;
    }
    if (!payment.card_number.empty()) {
      numbers.push_back(payment.card_number);
    } else if (!payment.customer.empty()) {
      entry.card = cards.plain(payment.customer_kind, payment.customer);
      if (!payment.card_token.empty() && card_id(parse_uuid(payment.card_token)) != entry.card) {
        refuse(entry, "card and customer are both given, and are not the same customer", outcomes, refused);
        continue;
      }
    } else if (!payment.card_token.empty()) {
      entry.card = card_id(parse_uuid(payment.card_token));
    } else {
      refuse(entry, reference_fault(payment), outcomes, refused);
      refused.back().letter.waits_for = payment.reference;
      continue;
    }
    entries.push_back(entry);
  }
  cards.find(numbers);
  for (Entry& entry : entries) {
    const std::string& number = entry.payment->card_number;
    if (number.empty()) continue;
    const KnownCard& known = cards[number];
    entry.card = known.card;
    gate.see(number, known.hash);
  }
  std::sort(entries.begin(), entries.end(), earlier);
  return entries;
}

void price(Spi& spi, std::vector<Entry>& entries, bool read_only) {
  std::vector<Entry*> foreign;
  Column currencies(TEXTOID), amounts(TEXTOID), times(TIMESTAMPTZOID);
  for (Entry& entry : entries) {
    const Payment& payment = *entry.payment;
    std::string amount = format_amount(payment.amount_minor, payment.decimals);
    if (currency_of(payment) == base_currency()) {
      entry.base_amount = std::move(amount);
      continue;
    }
    entry.base_amount.clear();
    foreign.push_back(&entry);
    currencies.add(text_param(payment.currency));
    amounts.add(text_param(amount));
    times.add(time_param(entry.occurred_at));
  }
  if (foreign.empty()) return;
  const uint64_t count = spi.run(find_prices, {currencies.array(), amounts.array(), times.array(), int4_param(base_decimals()),
                                               text_param(base_currency())}, read_only);
  for (uint64_t row = 0; row < count; ++row) {
    Entry& entry = *foreign[static_cast<size_t>(*spi.integer(row, 1)) - 1];
    if (*spi.integer(row, 2) == 1) entry.base_amount = *spi.text(row, 3);
  }
}

std::string price_fault(const Entry& entry) {
  const std::string currency(currency_of(*entry.payment));
  return "no rate of " + currency + " in " + std::string(base_currency()) + " is known for " + format_time(unix_time(entry.occurred_at)) +
         ", or it makes too large an amount of it: expected one that fraud.set_currency_rate has set";
}

namespace {

void refuse_as_other(const Entry& entry, std::string reason, std::vector<IngestOutcome>& outcomes, std::vector<Refusal>& refused) {
  const Payment& payment = *entry.payment;
  IngestOutcome& outcome = outcomes[entry.outcome];
  outcome.status = IngestStatus::kRejected;
  outcome.differs = true;
  outcome.error = std::move(reason);
  RejectedPayment letter{payment_to_json(payment, "card", payment.card_token), outcome.error, payment.transaction_id,
                         payment.card_number};
  // A feed repeats it at every poll, each time with another time.
  letter.same_as = payment.transaction_id + ' ' + format_uuid(card_uuid(entry.card)) + ' ' + std::to_string(entry.content);
  refused.push_back({entry.outcome, std::move(letter)});
}

}  // namespace

bool refuse_if_other(const Entry& entry, int64_t known, std::vector<IngestOutcome>& outcomes,
                     std::vector<Refusal>& refused) {
  if (entry.content == known) return false;
  refuse_as_other(entry, differs_reason(known, entry.content), outcomes, refused);
  return true;
}

void refuse_other(const Entry& entry, std::vector<IngestOutcome>& outcomes, std::vector<Refusal>& refused) {
  const std::string kind(payment_kind_name(entry.payment->kind));
  refuse_as_other(entry, "the " + kind + " differs from the stored " + kind + " of this id: it has another amount", outcomes, refused);
}

std::vector<RejectedPayment> letters_of(std::vector<Refusal>& refused, const PaymentBatch& batch) {
  std::vector<RejectedPayment> letters;
  for (Refusal& one : refused) letters.push_back(std::move(one.letter));
  refused.clear();
  letters.insert(letters.end(), batch.rejected.begin(), batch.rejected.end());
  return letters;
}

namespace {

// The same without a statement.
std::vector<Entry> judge_stored(KeyRows& keys, Snapshot snapshot, std::vector<Entry> entries, std::vector<IngestOutcome>& outcomes,
                                std::vector<Refusal>& refused) {
  std::vector<Entry> fresh;
  for (Entry& entry : entries) {
    std::optional<int64_t> content;
    if (!keys.find(entry, snapshot, &content)) {
      fresh.push_back(std::move(entry));
    } else if (!refuse_if_other(entry, content.value_or(entry.content), outcomes, refused)) {
      outcomes[entry.outcome].status = IngestStatus::kDuplicate;
    }
  }
  return fresh;
}

// Of payments that stand twice in the batch the first is it: what a later one says must leave no
// trace in its customer's times.
void take_first(std::vector<Entry>& entries, std::vector<IngestOutcome>& outcomes, std::vector<Refusal>& refused) {
  std::map<std::pair<std::string_view, CardId>, const Entry*> first;
  for (const Entry& entry : entries) {
    const Entry*& known = first[{entry.payment->transaction_id, entry.card}];
    if (known == nullptr || entry.outcome < known->outcome) known = &entry;
  }
  if (first.size() == entries.size()) return;
  std::vector<Entry> fresh;
  for (const Entry& entry : entries) {
    const Entry* known = first[{entry.payment->transaction_id, entry.card}];
    if (known == &entry) {
      fresh.push_back(entry);
    } else if (!refuse_if_other(entry, known->content, outcomes, refused)) {
      outcomes[entry.outcome].status = IngestStatus::kDuplicate;
    }
  }
  entries = std::move(fresh);
}

void refuse_unpriced(std::vector<Entry>& entries, std::vector<IngestOutcome>& outcomes, std::vector<Refusal>& refused, bool apart) {
  std::vector<Entry> priced;
  for (Entry& entry : entries) {
    if (!entry.base_amount.empty()) {
      priced.push_back(std::move(entry));
      continue;
    }
    const std::string fault = price_fault(entry);
    if (apart) throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, fault);
    refuse(entry, fault, outcomes, refused);
  }
  entries = std::move(priced);
}

}  // namespace

bool claim(Spi& spi, CardLookup& cards, std::vector<Entry>& entries, std::vector<IngestOutcome>& outcomes,
           std::vector<Refusal>& refused, const std::vector<Receipt>* receipts, bool apart) {
  if (entries.empty()) return false;
  std::optional<KeyRows> keys;
  std::optional<CurrentSnapshot> snapshot;
  if (guc_direct_access) keys.emplace();
  if (keys && !keys->is_plain()) keys.reset();
  if (keys) {
    snapshot.emplace();
    entries = judge_stored(*keys, snapshot->get(), std::move(entries), outcomes, refused);
  } else {
    // The keys of those that are left are looked at again under the card's lock.
    entries = judge_known(spi, std::move(entries), outcomes, refused);
  }
  if (entries.empty()) return false;
  take_first(entries, outcomes, refused);
  price(spi, entries, false);
  refuse_unpriced(entries, outcomes, refused, apart);
  if (entries.empty()) return false;
  // Before any customer is locked: to make one may be to wait for another who makes one.
  ensure_partitions(spi, entries, apart);
  const size_t done = keys ? update_customers(entries, snapshot->get()) : 0;
  const bool all_new = done < entries.size() && write_customers(spi, entries, done);
  std::vector<std::string_view> numbers;
  std::vector<std::pair<NumberHash, CardId>> hashes;
  for (const Entry& entry : entries) {
    if (!entry.payment->card_number.empty()) numbers.push_back(entry.payment->card_number);
    if (receipts == nullptr) continue;
    for (const NumberHash& hash : (*receipts)[entry.outcome].hashes) hashes.emplace_back(hash, entry.card);
  }
  cards.write(numbers);
  write_hashes(spi, hashes);
  // Whoever stores a payment makes or changes its customer's row: where none had been changed since the snapshot when
  // we did, or was there when we made it, what was seen of the keys holds.
  if (done == entries.size() || (keys && all_new)) {
    for (const Entry& entry : entries) keys->insert(entry);
  } else {
    claim_keys(spi, entries, outcomes, refused);
    if (entries.empty()) return false;
  }
  if (!keys || !merchants_are_there(entries, snapshot->get())) write_merchants(spi, entries, apart);
  return done == entries.size();
}

void write_labels(Spi& spi, const std::vector<Entry>& entries, const std::vector<IngestOutcome>& outcomes, const std::string& source,
                  const std::vector<TimestampTz>* known_at, const Interval& delay) {
  Column card(UUIDOID), id(TEXTOID), time(TIMESTAMPTZOID), known(TIMESTAMPTZOID);
  for (const Entry& entry : entries) {
    if (!entry.payment->is_fraud.value_or(false) || outcomes[entry.outcome].status == IngestStatus::kRejected) continue;
    card.add(uuid_param(card_uuid(entry.card)));
    id.add(text_param(entry.payment->transaction_id));
    time.add(time_param(entry.occurred_at));
    known.add(known_at != nullptr ? time_param((*known_at)[entry.outcome]) : null_param());
  }
  if (card.size() == 0) return;
  spi.run(insert_labels, {card.array(), id.array(), time.array(), text_param(source),
                          known.array(), {IntervalPGetDatum(&delay)}});
}

void write_dead_letters(Spi& spi, const std::string& source, std::vector<RejectedPayment> rejected,
                        CardLookup& cards, NumberGate& gate, Beside beside) {
  // In one order, so that concurrent batches do not deadlock on the same faults.
  std::stable_sort(rejected.begin(), rejected.end(), [](const RejectedPayment& a, const RejectedPayment& b) {
    return std::tie(a.reason, a.same_as.empty() ? a.payload : a.same_as) <
           std::tie(b.reason, b.same_as.empty() ? b.payload : b.same_as);
  });
  for (const RejectedPayment& one : rejected) write_dead_letter(spi, source, one, cards, gate, beside);
}

// ------------------------------------------------------------------ columns

std::array<SqlValue, 15> payment_values(const Entry& entry) {
  const Payment& payment = *entry.payment;
  return {uuid_param(card_uuid(entry.card)),
          text_param(payment.transaction_id),
          time_param(entry.occurred_at),
          text_param(format_amount(payment.amount_minor, payment.decimals)),
          text_param(payment.merchant),
          optional_text_param(payment.category),
          optional_float8(payment.merchant_latitude),
          optional_float8(payment.merchant_longitude),
          optional_float8(payment.latitude),
          optional_float8(payment.longitude),
          payment.city_population ? int8_param(*payment.city_population) : null_param(),
          age_at(payment),
          text_param(currency_of(payment)),
          text_param(entry.base_amount),
          payment.attributes.empty() ? null_param() : jsonb_param(payment.attributes)};
}

void PaymentColumns::add(const Entry& entry) {
  const std::array<SqlValue, 15> values = payment_values(entry);
  for (size_t i = 0; i < columns_.size(); ++i) columns_[i].add(values[i]);
}

std::vector<SqlValue> PaymentColumns::arrays() const {
  std::vector<SqlValue> arrays;
  for (const Column& column : columns_) arrays.push_back(column.array());
  return arrays;
}

const std::vector<Oid>& PaymentColumns::types() {
  static const std::vector<Oid> types{UUIDARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID, TEXTARRAYOID,
                                      TEXTARRAYOID, TEXTARRAYOID, FLOAT8ARRAYOID, FLOAT8ARRAYOID,
                                      FLOAT8ARRAYOID, FLOAT8ARRAYOID, INT8ARRAYOID, FLOAT4ARRAYOID,
                                      TEXTARRAYOID, TEXTARRAYOID, JSONBARRAYOID};
  return types;
}

VectorColumn::VectorColumn(const FeatureSet& set)
    : set_(set), width_(set.places.empty() ? 0 : set.places.back() + 1) {}

void VectorColumn::add(const float* features) {
  size_t feature = 0;
  for (size_t place = 0; place < width_; ++place) {
    const bool there = set_.places[feature] == place;
    values_.add({Float4GetDatum(there ? features[feature++] : std::numeric_limits<float>::quiet_NaN())});
  }
}

}  // namespace fraud::pg
