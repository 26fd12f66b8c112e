#include "pg/payments/inbox.h"

#include "core/base/error.h"
#include "core/payments/payment_writer.h"

#include <algorithm>
#include <map>
#include <set>

#include "pg/payments/card.h"
#include "pg/payments/card_lookup.h"
#include "pg/payments/number_gate.h"
#include "pg/payments/payment_id.h"
#include "pg/server/boundary.h"
#include "pg/server/gucs.h"
#include "pg/server/owner_scope.h"

namespace fraud::pg {

namespace {

constexpr const char* kLockWait = "50ms";

// Of payments that are stored or wait: whether the feed's label of them is known.
Statement known_payments(
    "SELECT n.i, EXISTS (SELECT FROM fraud.labels l WHERE l.transaction_id = n.transaction_id"
    "  AND l.card = n.card AND l.source = 'payload' AND l.is_fraud)"
    " FROM unnest($1, $2) WITH ORDINALITY n(transaction_id, card, i)"
    " WHERE EXISTS (SELECT FROM fraud.payment_keys k WHERE k.transaction_id = n.transaction_id AND k.card = n.card)"
    "  OR EXISTS (SELECT FROM fraud.inbox b WHERE b.card = n.card AND b.transaction_id = n.transaction_id)",
    {TEXTARRAYOID, UUIDARRAYOID});

Statement insert_inbox(
    "INSERT INTO fraud.inbox (shard, card, transaction_id, occurred_at, source, payment, number_hashes)"
    " SELECT n.shard, n.card, n.transaction_id, n.occurred_at, $4, n.payment, n.hashes::uuid[]"
    " FROM unnest($1, $2, $3, $5, $6, $7) n(shard, card, transaction_id, occurred_at, payment, hashes)",
    {INT2ARRAYOID, UUIDARRAYOID, TEXTARRAYOID, TEXTOID, TIMESTAMPTZARRAYOID, TEXTARRAYOID, TEXTARRAYOID});

Statement add_counts(
    "INSERT INTO fraud.source_counts AS c (source, writer, stored, duplicates, rejected, newest_payment_at)"
    " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (source, writer) DO UPDATE SET"
    "  stored = c.stored + excluded.stored, duplicates = c.duplicates + excluded.duplicates,"
    "  rejected = c.rejected + excluded.rejected,"
    "  newest_payment_at = greatest(c.newest_payment_at, excluded.newest_payment_at)",
    {TEXTOID, INT4OID, INT8OID, INT8OID, INT8OID, TIMESTAMPTZOID});

#define FRAUD_INBOX_ROW "b.inbox_id, b.card, b.occurred_at, b.source, b.received_at, b.payment, array_to_string(b.number_hashes, ',')"
Statement next_rows("SELECT " FRAUD_INBOX_ROW " FROM fraud.inbox b"
                    " WHERE b.inbox_id > $1 AND b.shard = ANY ($2)"
                    "  AND NOT EXISTS (SELECT FROM fraud.held_customers h WHERE h.card = b.card)"
                    " ORDER BY b.inbox_id LIMIT $3",
                    {INT8OID, INT2ARRAYOID, INT4OID});
Statement customer_rows("SELECT " FRAUD_INBOX_ROW " FROM fraud.inbox b WHERE b.card = $1"
                        " ORDER BY b.inbox_id LIMIT $2",
                        {UUIDOID, INT4OID});
#undef FRAUD_INBOX_ROW

Statement held_due("SELECT h.card, h.next_try_at FROM fraud.held_customers h"
                   " WHERE get_byte(uuid_send(h.card), 0) % $3 = ANY ($1) ORDER BY h.next_try_at LIMIT $2",
                   {INT2ARRAYOID, INT4OID, INT4OID});

// Whoever waits for a row here waits for a person: those that are locked are passed over.
Statement lock_rows("SELECT c.card FROM fraud.customers c WHERE c.card = ANY ($1) ORDER BY c.card"
                    " FOR NO KEY UPDATE SKIP LOCKED",
                    {UUIDARRAYOID});
Statement known_customers("SELECT c.card FROM fraud.customers c WHERE c.card = ANY ($1)", {UUIDARRAYOID});

Statement queued_merchants(
    "WITH taken AS (DELETE FROM fraud.merchant_queue q USING (SELECT m.merchant_id FROM fraud.merchant_queue m"
    "   ORDER BY m.merchant_id LIMIT $1 FOR UPDATE SKIP LOCKED) d WHERE q.merchant_id = d.merchant_id"
    "  RETURNING q.merchant, q.category, q.first_payment_at)"
    " INSERT INTO fraud.merchants (merchant, category, first_payment_at)"
    " SELECT DISTINCT ON (t.merchant) t.merchant, t.category, t.first_payment_at FROM taken t"
    " ORDER BY t.merchant, t.first_payment_at ON CONFLICT DO NOTHING",
    {INT4OID});
Statement waiting_merchants("SELECT m.merchant_id FROM fraud.merchant_queue m ORDER BY m.merchant_id LIMIT $1", {INT4OID});
Statement queued_merchant(
    "WITH taken AS (DELETE FROM fraud.merchant_queue q WHERE q.merchant_id = $1"
    "  RETURNING q.merchant, q.category, q.first_payment_at)"
    " INSERT INTO fraud.merchants (merchant, category, first_payment_at)"
    " SELECT t.merchant, t.category, t.first_payment_at FROM taken t ON CONFLICT DO NOTHING",
    {INT8OID});

Statement delete_rows("DELETE FROM fraud.inbox b WHERE b.inbox_id = ANY ($1)", {INT8ARRAYOID});

// The session in the way: whose transaction has locked the customer's row; else, of an
// uncommitted new row that is in nobody's sight, the oldest transaction that writes where
// a payment does.
Statement hold_customer(
    "INSERT INTO fraud.held_customers AS h (card, next_try_at, reason, blocking_pid)"
    " SELECT $1, clock_timestamp() + interval '100 milliseconds', $2, coalesce("
    "  (SELECT l.pid FROM fraud.customers c JOIN pg_locks l ON l.locktype = 'transactionid'"
    "    AND l.transactionid = c.xmax AND l.mode = 'ExclusiveLock' AND l.granted WHERE c.card = $1 AND l.pid <> pg_backend_pid() LIMIT 1),"
    "  (SELECT l.pid FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid"
    "    WHERE l.locktype = 'relation' AND l.granted AND l.pid <> pg_backend_pid()"
    "     AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())"
    "     AND l.relation IN ('fraud.customers'::regclass, 'fraud.merchants'::regclass, 'fraud.payment_keys'::regclass,"
    "      'fraud.case_states'::regclass, 'fraud.labels'::regclass)"
    "     AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')"
    "     AND a.backend_type NOT LIKE 'fraud_detect%' ORDER BY a.xact_start LIMIT 1))"
    " ON CONFLICT (card) DO UPDATE SET attempts = h.attempts + 1, reason = excluded.reason,"
    "  blocking_pid = excluded.blocking_pid,"
    "  next_try_at = clock_timestamp() + least(interval '5 seconds', interval '100 milliseconds' * power(1.5, least(h.attempts, 20)))"
    " RETURNING h.attempts",
    {UUIDOID, TEXTOID});
Statement release_customer("DELETE FROM fraud.held_customers h WHERE h.card = $1"
                           " AND NOT EXISTS (SELECT FROM fraud.inbox b WHERE b.card = $1)",
                           {UUIDOID});

// Key ids and hashes, in turns, separated by commas.
std::vector<NumberHash> parse_hashes(const std::string& text) {
  constexpr size_t kUuid = 36;
  std::vector<NumberHash> hashes;
  for (size_t at = 0; at + 2 * kUuid < text.size(); at += 2 * (kUuid + 1)) {
    hashes.push_back({parse_uuid(text.substr(at, kUuid)), parse_uuid(text.substr(at + kUuid + 1, kUuid))});
  }
  return hashes;
}

std::string format_hashes(const std::vector<NumberHash>& hashes) {
  std::string text = "{";
  for (const NumberHash& hash : hashes) {
    text += (text.size() > 1 ? "," : "") + format_uuid(hash.key_id) + "," + format_uuid(hash.hash);
  }
  return text + "}";
}

int16_t shard_of(const CardId& card) { return static_cast<int16_t>(card[0] % kShards); }

SqlValue shard_array(const Shards& shards) {
  Column column(INT2OID);
  for (size_t i = 0; i < shards.size(); ++i) {
    if (shards[i]) column.add({Int16GetDatum(static_cast<int16>(i))});
  }
  return column.array();
}

std::vector<InboxRow> take_rows(Spi& spi, uint64_t count) {
  std::vector<InboxRow> rows(count);
  for (uint64_t i = 0; i < count; ++i) {
    InboxRow& row = rows[i];
    row.id = *spi.integer(i, 1);
    row.card = card_id(*DatumGetUUIDP(*spi.datum(i, 2)));
    row.occurred_at = DatumGetTimestampTz(*spi.datum(i, 3));
    row.source = *spi.text(i, 4);
    row.received_at = DatumGetTimestampTz(*spi.datum(i, 5));
    row.text = *spi.text(i, 6);
    row.hashes = parse_hashes(*spi.text(i, 7));
  }
  return rows;
}

std::vector<CardId> take_cards(Spi& spi, uint64_t count) {
  std::vector<CardId> cards;
  for (uint64_t i = 0; i < count; ++i) cards.push_back(card_id(*DatumGetUUIDP(*spi.datum(i, 1))));
  return cards;
}

SqlValue card_array(const std::set<CardId>& cards) {
  Column column(UUIDOID);
  for (const CardId& card : cards) column.add(uuid_param(card_uuid(card)));
  return column.array();
}

// Leaves out the payments that are stored or wait already; returns how many.
int64_t drop_known(Spi& spi, std::vector<Entry>& entries) {
  Column ids(TEXTOID), cards(UUIDOID);
  for (const Entry& entry : entries) {
    ids.add(text_param(entry.payment->transaction_id));
    cards.add(uuid_param(card_uuid(entry.card)));
  }
  uint64_t count = spi.run(known_payments, {ids.array(), cards.array()});
  std::vector<char> known(entries.size(), 0);
  for (uint64_t row = 0; row < count; ++row) {
    const auto i = static_cast<size_t>(*spi.integer(row, 1)) - 1;
    // A feed may learn of a fraud and send the payment again: that goes on to be labelled.
    const bool labelled = DatumGetBool(*spi.datum(row, 2));
    known[i] = !entries[i].payment->is_fraud.value_or(false) || labelled;
  }
  std::set<std::pair<std::string_view, CardId>> seen;
  std::vector<Entry> fresh;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (known[i] == 0 && seen.insert({entries[i].payment->transaction_id, entries[i].card}).second) {
      fresh.push_back(std::move(entries[i]));
    }
  }
  const auto dropped = static_cast<int64_t>(entries.size() - fresh.size());
  entries = std::move(fresh);
  return dropped;
}

// Refuses what is older than fraud_detect.max_age.
void refuse_old(std::vector<Entry>& entries, std::vector<RejectedPayment>& refused) {
  if (guc_max_age_min == 0) return;
  const TimestampTz oldest = GetCurrentTimestamp() - int64_t{guc_max_age_min} * 60 * USECS_PER_SEC;
  auto old = std::stable_partition(entries.begin(), entries.end(),
                                   [&](const Entry& entry) { return entry.occurred_at >= oldest; });
  for (auto entry = old; entry != entries.end(); ++entry) {
    const Payment& payment = *entry->payment;
    std::string reason = "the payment's time " + format_time(unix_time(entry->occurred_at)) + " is older than fraud_detect.max_age";
    // Seconds that were taken for milliseconds lie in the first weeks of 1970.
    if (unix_time(entry->occurred_at) < int64_t{30} * USECS_PER_DAY) reason += "; it looks like seconds";
    refused.push_back({payment_to_json(payment, "card", payment.card_token), reason, payment.transaction_id,
                       payment.card_number});
  }
  entries.erase(old, entries.end());
}

}  // namespace

void begin_scoring() {
  prefer_index_scans();
  protect([] {
    (void)set_config_option("lock_timeout", kLockWait, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
  });
}

SourceCounts receive(PaymentBatch& batch, const std::string& source, Oid role, bool apart) {
  OwnerScope owner;
  prefer_index_scans();
  SourceCounts counts;
  NumberGate gate(role);
  Spi spi;
  hide_ids(spi, batch);
  CardLookup numbers(spi, false);
  std::vector<IngestOutcome> outcomes(batch.payments.size());
  std::vector<RejectedPayment> refused;
  std::vector<Entry> entries = admit(batch, numbers, gate, outcomes, refused);
  refuse_old(entries, refused);
  if (!entries.empty()) counts.duplicates = drop_known(spi, entries);
  // In the order of their times; those of one time by id.
  std::stable_sort(entries.begin(), entries.end(),
                   [](const Entry& a, const Entry& b) { return a.occurred_at < b.occurred_at; });
  if (!entries.empty()) {
    Column shards(INT2OID), cards(UUIDOID), ids(TEXTOID), times(TIMESTAMPTZOID), texts(TEXTOID), hashes(TEXTOID);
    for (const Entry& entry : entries) {
      shards.add({Int16GetDatum(shard_of(entry.card))});
      cards.add(uuid_param(card_uuid(entry.card)));
      ids.add(text_param(entry.payment->transaction_id));
      times.add(time_param(entry.occurred_at));
      texts.add(text_param(payment_to_json(*entry.payment, "card", format_uuid(card_uuid(entry.card)))));
      const std::string& number = entry.payment->card_number;
      hashes.add(text_param(format_hashes(number.empty() ? std::vector<NumberHash>() : numbers.missing(number))));
    }
    spi.run(insert_inbox, {shards.array(), cards.array(), ids.array(), text_param(source), times.array(), texts.array(), hashes.array()});
  }
  refused.insert(refused.end(), batch.rejected.begin(), batch.rejected.end());
  counts.rejected = static_cast<int64_t>(refused.size());
  write_dead_letters(spi, source, std::move(refused), numbers, gate, apart);
  gate.tell();
  return counts;
}

void count_payments(Spi& spi, const std::string& source, int writer, const SourceCounts& counts) {
  spi.run(add_counts, {text_param(source), int4_param(writer), int8_param(counts.stored), int8_param(counts.duplicates),
                       int8_param(counts.rejected), counts.newest == DT_NOBEGIN ? null_param() : time_param(counts.newest)});
}

std::vector<InboxRow> read_inbox(Spi& spi, int64_t position, const Shards& shards, int most) {
  return take_rows(spi, spi.run(next_rows, {int8_param(position), shard_array(shards), int4_param(most)}));
}

std::vector<InboxRow> read_customer(Spi& spi, const CardId& card, int most) {
  return take_rows(spi, spi.run(customer_rows, {uuid_param(card_uuid(card)), int4_param(most)}));
}

std::vector<CardId> due_customers(Spi& spi, const Shards& shards, int most) {
  uint64_t count = spi.run(held_due, {shard_array(shards), int4_param(most), int4_param(kShards)});
  const TimestampTz now = GetCurrentTimestamp();
  uint64_t due = 0;
  while (due < count && DatumGetTimestampTz(*spi.datum(due, 2)) <= now) ++due;
  return take_cards(spi, due);
}

TimestampTz next_due_customer(Spi& spi, const Shards& shards) {
  if (spi.run(held_due, {shard_array(shards), int4_param(1), int4_param(kShards)}) == 0) return DT_NOEND;
  return DatumGetTimestampTz(*spi.datum(0, 2));
}

std::vector<CardId> lock_customers(Spi& spi, const std::vector<InboxRow>& rows) {
  std::set<CardId> wanted;
  for (const InboxRow& row : rows) wanted.insert(row.card);
  const SqlValue cards = card_array(wanted);
  std::set<CardId> locked;
  for (const CardId& card : take_cards(spi, spi.run(lock_rows, {cards}))) locked.insert(card);
  std::vector<CardId> blocked;
  if (locked.size() == wanted.size()) return blocked;
  for (const CardId& card : take_cards(spi, spi.run(known_customers, {cards}))) {
    if (locked.count(card) == 0) blocked.push_back(card);
  }
  std::sort(blocked.begin(), blocked.end());
  return blocked;
}

void score(const std::vector<InboxRow>& rows, int writer) {
  if (rows.empty()) return;
  PaymentBatch batch;
  IngestOptions options;
  options.label_source = "payload";
  Column ids(INT8OID);
  for (const InboxRow& row : rows) {
    PaymentBatch one = read_payments(row.text, PaymentFormat::kRecords);
    if (one.payments.size() != 1) {
      throw SqlError(ERRCODE_DATA_CORRUPTED, "fraud.inbox holds what is no payment",
                     one.rejected.empty() ? "" : one.rejected[0].reason);
    }
    one.payments[0].occurred_at_us = unix_time(row.occurred_at);  // JSON has milliseconds
    batch.payments.push_back(std::move(one.payments[0]));
    options.receipts.push_back({row.source, row.received_at, row.hashes});
    ids.add(int8_param(row.id));
  }
  std::vector<IngestOutcome> outcomes;
  ingest(batch, options, &outcomes);
  std::map<std::string, SourceCounts> counts;
  for (size_t i = 0; i < rows.size(); ++i) {
    SourceCounts& of_source = counts[rows[i].source];
    of_source.stored += outcomes[i].status == IngestStatus::kStored;
    of_source.duplicates += outcomes[i].status == IngestStatus::kDuplicate;
    of_source.rejected += outcomes[i].status == IngestStatus::kRejected;
    if (outcomes[i].status == IngestStatus::kStored) {
      of_source.newest = std::max(of_source.newest, rows[i].occurred_at);
    }
  }
  Spi spi;
  spi.run(delete_rows, {ids.array()});
  for (const auto& [source, of_source] : counts) count_payments(spi, source, writer, of_source);
}

void reject(const InboxRow& row, const std::string& reason, int writer, bool apart) {
  RejectedPayment rejected;
  rejected.payload = row.text;
  rejected.reason = reason;
  NumberGate gate(InvalidOid);  // no number is known here any more
  Spi spi;
  CardLookup numbers(spi, false);
  Column ids(INT8OID);
  ids.add(int8_param(row.id));
  spi.run(delete_rows, {ids.array()});
  PaymentBatch one = read_payments(row.text, PaymentFormat::kRecords);
  if (one.payments.size() == 1) rejected.transaction_id = one.payments[0].transaction_id;
  write_dead_letters(spi, row.source, {rejected}, numbers, gate, apart);
  SourceCounts counts;
  counts.rejected = 1;
  count_payments(spi, row.source, writer, counts);
}

void make_merchants(Spi& spi, int most) { spi.run(queued_merchants, {int4_param(most)}); }

void make_merchant(Spi& spi, int64_t id) { spi.run(queued_merchant, {int8_param(id)}); }

std::vector<int64_t> merchants_to_make(Spi& spi, int most) {
  const uint64_t count = spi.run(waiting_merchants, {int4_param(most)});
  std::vector<int64_t> ids;
  for (uint64_t row = 0; row < count; ++row) ids.push_back(*spi.integer(row, 1));
  return ids;
}

int64_t hold(Spi& spi, const CardId& card, const std::string& reason) {
  spi.run(hold_customer, {uuid_param(card_uuid(card)), text_param(reason)});
  return *spi.integer(0, 1);
}

void release(Spi& spi, const CardId& card) { spi.run(release_customer, {uuid_param(card_uuid(card))}); }

}  // namespace fraud::pg
