#include "pg/payments/held_customers.h"

#include "core/payments/payment_writer.h"

#include <algorithm>
#include <set>

#include "pg/payments/card.h"
#include "pg/server/boundary.h"
#include "pg/server/gucs.h"
#include "pg/server/shared_state.h"

namespace fraud::pg {

namespace {

// None waits longer than five seconds for its next try, unless the clock was set back.
Statement held_due("SELECT h.card, CASE WHEN h.next_try_at > clock_timestamp() + interval '5 seconds' AND h.next_try_at < 'infinity' THEN clock_timestamp() ELSE h.next_try_at END FROM fraud.held_customers h"
                   " WHERE get_byte(uuid_send(h.card), 0) % $3 = ANY ($1) ORDER BY h.next_try_at LIMIT $2",
                   {INT2ARRAYOID, INT4OID, INT4OID});

// Whoever waits for a row here waits for a person: those that are locked are passed over.
Statement lock_rows("SELECT c.card FROM fraud.customers c WHERE c.card = ANY ($1) ORDER BY c.card"
                    " FOR NO KEY UPDATE SKIP LOCKED",
                    {UUIDARRAYOID});
Statement known_customers("SELECT c.card FROM fraud.customers c WHERE c.card = ANY ($1)", {UUIDARRAYOID});

// The session in the way: whose transaction has locked the customer's row; else, of an
// uncommitted new row that is in nobody's sight, the oldest transaction that writes where
// a payment does.
Statement hold_customer(
    // A prepared transaction has no session.
    "WITH prepared AS (SELECT format('prepared transaction \"%s\" has locked the customer''s row', fraud._mask_card_numbers(left(p.gid, 100))) AS reason"
    "  FROM fraud.customers c JOIN pg_prepared_xacts p ON p.transaction = c.xmax WHERE $4 AND c.card = $1)"
    " INSERT INTO fraud.held_customers AS h (card, next_try_at, reason, month, blocking_pid)"
    " SELECT $1, clock_timestamp() + interval '100 milliseconds', coalesce((SELECT p.reason FROM prepared p), $2), $3,"
    "  CASE WHEN $4 AND NOT EXISTS (SELECT FROM prepared) THEN coalesce("
    "  (SELECT l.pid FROM fraud.customers c JOIN pg_locks l ON l.locktype = 'transactionid'"
    "    AND l.transactionid = c.xmax AND l.mode = 'ExclusiveLock' AND l.granted WHERE c.card = $1 AND l.pid <> pg_backend_pid() LIMIT 1),"
    "  (SELECT l.pid FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid"
    "    WHERE l.locktype = 'relation' AND l.granted AND l.pid <> pg_backend_pid()"
    "     AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())"
    "     AND l.relation IN ('fraud.customers'::regclass, 'fraud.merchants'::regclass, 'fraud.payment_keys'::regclass,"
    "      'fraud.case_states'::regclass, 'fraud.labels'::regclass)"
    "     AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')"
    "     AND a.backend_type NOT LIKE 'fraud_detect%' ORDER BY a.xact_start LIMIT 1)) END"
    " ON CONFLICT (card) DO UPDATE SET attempts = h.attempts + 1, reason = excluded.reason, month = excluded.month,"
    "  blocking_pid = excluded.blocking_pid,"
    "  next_try_at = clock_timestamp() + least(interval '5 seconds', interval '100 milliseconds' * power(1.5, least(h.attempts, 20)))",
    {UUIDOID, TEXTOID, TIMESTAMPTZOID, BOOLOID});

Statement release_customer("DELETE FROM fraud.held_customers h WHERE h.card = $1"
                           " AND NOT EXISTS (SELECT FROM fraud.inbox b WHERE b.card = $1)",
                           {UUIDOID});

Statement months_to_make("SELECT fraud._missing_months($1 * interval '1 minute')", {INT4OID});
Statement make_partition("SELECT fraud._ensure_partition($1)", {TIMESTAMPTZOID});
Statement wake_waiting("UPDATE fraud.held_customers h SET next_try_at = clock_timestamp() FROM (SELECT w.card"
                       "  FROM fraud.held_customers w WHERE w.month = $1 FOR UPDATE SKIP LOCKED) w WHERE h.card = w.card",
                       {TIMESTAMPTZOID});

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

}  // namespace

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

void hold(Spi& spi, const CardId& card, const std::string& reason) {
  spi.run(hold_customer, {uuid_param(card_uuid(card)), text_param(reason), null_param(), bool_param(true)});
}

void hold_for_month(Spi& spi, const CardId& card, TimestampTz time) {
  const TimestampTz month = month_of(time);
  const std::string reason = "the partition of the payment's month (" + format_time(unix_time(month)).substr(0, 7) + ") is being made";
  spi.run(hold_customer, {uuid_param(card_uuid(card)), text_param(reason), time_param(month), bool_param(false)});
  protect([] { wake_at_commit(WorkerKind::kIngest); });
}

void release(Spi& spi, const CardId& card) { spi.run(release_customer, {uuid_param(card_uuid(card))}); }

std::vector<TimestampTz> missing_months(Spi& spi) {
  const uint64_t count = spi.run(months_to_make, {int4_param(guc_max_age_min)});
  std::vector<TimestampTz> months;
  for (uint64_t row = 0; row < count; ++row) months.push_back(DatumGetTimestampTz(*spi.datum(row, 1)));
  return months;
}

void make_month(Spi& spi, TimestampTz month) {
  spi.run(make_partition, {time_param(month)});
  spi.run(wake_waiting, {time_param(month)});
  protect([] { wake_scorers_at_commit(); });
}

}  // namespace fraud::pg
