#include "pg/payments/inbox.h"

#include "core/base/error.h"
#include "core/payments/currency.h"
#include "core/payments/forbidden_fields.h"
#include "core/payments/payment_writer.h"

#include <algorithm>
#include <map>
#include <set>

#include "pg/payments/card.h"
#include "pg/payments/card_lookup.h"
#include "pg/payments/dead_letters.h"
#include "pg/payments/follow_ups.h"
#include "pg/payments/number_gate.h"
#include "pg/payments/payment_id.h"
#include "pg/server/boundary.h"
#include "pg/server/gucs.h"
#include "pg/server/owner_scope.h"

namespace fraud::pg {

namespace {

constexpr const char* kLockWait = "50ms";
// The writer of what this session sends again: rows of -1 are the worker's own. Of two sessions neither waits
// for the other's transaction, and as sessions come and go, numbers are used again.
int sender_again() {
  constexpr int kMost = 30000;
  return -2 - session_number() % kMost;
}

// Of payments that are stored or wait: their content, and whether the feed's label of them is
// known. One that waits can be there twice, since a label that is news comes as a row of its own.
// (In JSON no quote stands within a text without a backslash before it.)
Statement known_payments(
    "SELECT n.i, coalesce(b.payment LIKE '%\"is_fraud\":1%', false) OR EXISTS (SELECT FROM fraud.labels l"
    "  WHERE l.transaction_id = n.transaction_id AND l.card = n.card AND l.source = 'payload' AND l.is_fraud),"
    "  CASE WHEN f.card IS NULL OR k.card IS NOT NULL THEN coalesce(k.content_hash, b.content_hash) END,"
    "  k.card IS NULL AND (f.amount <> n.amount::numeric OR f.currency <> n.currency)"
    " FROM unnest($1, $2, $3, $4) WITH ORDINALITY n(transaction_id, card, amount, currency, i)"
    " LEFT JOIN LATERAL (SELECT p.card, p.content_hash FROM fraud.payment_keys p"
    "  WHERE p.transaction_id = n.transaction_id AND p.card = n.card OFFSET 0) k ON true"
    " LEFT JOIN LATERAL (SELECT w.card, w.content_hash, w.payment FROM fraud.inbox w"
    "  WHERE w.transaction_id = n.transaction_id AND w.card = n.card OFFSET 0) b ON true"
    " LEFT JOIN LATERAL (SELECT u.card, u.amount, u.currency FROM fraud.payment_followups u"
    "  WHERE (SELECT EXISTS (SELECT FROM fraud.payment_followups)) AND u.transaction_id = n.transaction_id AND u.card = n.card OFFSET 0) f ON true"
    " WHERE k.card IS NOT NULL OR b.card IS NOT NULL OR f.card IS NOT NULL",
    {TEXTARRAYOID, UUIDARRAYOID, TEXTARRAYOID, TEXTARRAYOID});

Statement insert_inbox(
    "INSERT INTO fraud.inbox (shard, card, transaction_id, occurred_at, source, payment, number_hashes, content_hash, received_at)"
    " SELECT n.shard, n.card, n.transaction_id, n.occurred_at, $4, n.payment, n.hashes::uuid[], n.content, coalesce($9, clock_timestamp())"
    " FROM unnest($1, $2, $3, $5, $6, $7, $8) n(shard, card, transaction_id, occurred_at, payment, hashes, content)",
    {INT2ARRAYOID, UUIDARRAYOID, TEXTARRAYOID, TEXTOID, TIMESTAMPTZARRAYOID, TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID, TIMESTAMPTZOID});

Statement is_polled("SELECT FROM fraud.sources s WHERE s.name = $1", {TEXTOID});

Statement add_counts(
    "INSERT INTO fraud.source_counts AS c (source, writer, stored, duplicates, rejected, newest_payment_at, differing, received)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (source, writer) DO UPDATE SET"
    "  stored = c.stored + excluded.stored, duplicates = c.duplicates + excluded.duplicates,"
    "  rejected = c.rejected + excluded.rejected, differing = c.differing + excluded.differing,"
    "  received = c.received + excluded.received,"
    "  newest_payment_at = greatest(c.newest_payment_at, excluded.newest_payment_at)",
    {TEXTOID, INT4OID, INT8OID, INT8OID, INT8OID, TIMESTAMPTZOID, INT8OID, INT8OID});

// Of a source that makes up names, so many are told apart.
Statement count_fields(
    "INSERT INTO fraud.source_field_counts AS c (source, name, type, payments, example)"
    " SELECT $1, f.name, f.type, f.payments, f.example FROM ("
    "  SELECT left(k.key, 200) AS name, jsonb_typeof(k.value) AS type, count(*) AS payments,"
    "   min(CASE WHEN jsonb_typeof(k.value) = 'object'"
    "    THEN left((SELECT string_agg(o, ', ' ORDER BY o) FROM jsonb_object_keys(k.value) o), 100)"
    "    ELSE regexp_replace(regexp_replace(regexp_replace(left(k.value #>> '{}', 100), '[[:digit:]]', '9', 'g'),"
    "     '[[:upper:]]', 'X', 'g'), '[[:lower:]]', 'x', 'g') END) AS example"
    "  FROM unnest($2) a(attributes) CROSS JOIN LATERAL jsonb_each(a.attributes) k GROUP BY 1, 2) f"
    " WHERE (SELECT count(*) FROM fraud.source_field_counts n WHERE n.source = $1) < 1000"
    "  OR EXISTS (SELECT FROM fraud.source_field_counts n WHERE n.source = $1 AND n.name = f.name AND n.type = f.type)"
    " ON CONFLICT (source, name, type) DO UPDATE SET payments = c.payments + excluded.payments,"
    "  example = coalesce(c.example, excluded.example), last_seen_at = now()",
    {TEXTOID, JSONBARRAYOID});

#define FRAUD_INBOX_ROW "b.inbox_id, b.card, b.occurred_at, b.source, b.received_at, b.payment, array_to_string(b.number_hashes, ',')"
Statement next_rows("SELECT " FRAUD_INBOX_ROW " FROM fraud.inbox b"
                    " WHERE b.inbox_id > $1 AND b.shard = ANY ($2)"
                    "  AND NOT EXISTS (SELECT FROM fraud.held_customers h WHERE h.card = b.card)"
                    " ORDER BY b.inbox_id LIMIT $3",
                    {INT8OID, INT2ARRAYOID, INT4OID});
// The first rows above the position of each source but those named, and before each its
// customer's that wait since before it: what is left out at the end keeps each customer's order.
Statement other_sources_rows(
    "SELECT " FRAUD_INBOX_ROW " FROM (SELECT f.card, max(f.inbox_id) AS last"
    "  FROM (SELECT DISTINCT c.source FROM fraud.source_counts c WHERE c.source <> ALL ($4)) s"
    "  CROSS JOIN LATERAL (SELECT i.card, i.inbox_id FROM fraud.inbox i"
    "   WHERE i.source = s.source AND i.inbox_id + 0 > $1 AND i.shard = ANY ($2)"
    "    AND NOT EXISTS (SELECT FROM fraud.held_customers h WHERE h.card = i.card)"
    "   ORDER BY i.inbox_id + 0 LIMIT $3) f GROUP BY f.card OFFSET 0) x"
    " CROSS JOIN LATERAL (SELECT * FROM fraud.inbox w WHERE w.card = x.card AND w.inbox_id + 0 <= x.last OFFSET 0) b"
    " ORDER BY b.inbox_id LIMIT $5",
    {INT8OID, INT2ARRAYOID, INT4OID, TEXTARRAYOID, INT4OID});
Statement customer_rows("SELECT " FRAUD_INBOX_ROW " FROM fraud.inbox b WHERE b.card = $1"
                        " ORDER BY b.inbox_id + 0 LIMIT $2",
                        {UUIDOID, INT4OID});
#undef FRAUD_INBOX_ROW

// Neither is in a dump.
Statement has_polled("SELECT EXISTS (SELECT FROM fraud.source_state) OR EXISTS (SELECT FROM fraud.source_counts)", {});

Statement snapshot_range("SELECT pg_snapshot_xmin(s)::text, pg_snapshot_xmax(s)::text FROM pg_current_snapshot() s", {});

// Returns them as they are now: who they are of may have been erased since they were read.
Statement take_out("DELETE FROM fraud.inbox b WHERE b.inbox_id = ANY ($1)"
                   " RETURNING b.inbox_id, b.payment, array_to_string(b.number_hashes, ',')",
                   {INT8ARRAYOID});

int16_t shard_of(const CardId& card) { return static_cast<int16_t>(card[0] % kShards); }

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

// Takes rows out of the inbox, and returns those that were there, in the order given.
std::vector<InboxRow> take(Spi& spi, const std::vector<InboxRow>& rows) {
  Column ids(INT8OID);
  for (const InboxRow& row : rows) ids.add(int8_param(row.id));
  std::map<int64_t, uint64_t> taken;
  const uint64_t count = spi.run(take_out, {ids.array()});
  for (uint64_t i = 0; i < count; ++i) taken[*spi.integer(i, 1)] = i;
  std::vector<InboxRow> found;
  for (const InboxRow& row : rows) {
    auto at = taken.find(row.id);
    if (at == taken.end()) continue;
    found.push_back(row);
    found.back().text = *spi.text(at->second, 2);
    found.back().hashes = parse_hashes(*spi.text(at->second, 3));
  }
  return found;
}

bool says_fraud(const Entry& entry) { return entry.payment->is_fraud.value_or(false); }

// Leaves out the payments that are stored or wait already, with `letters` also those on the
// dead-letter list, and returns how many; those that are known with another content are
// refused. Of those that stand twice in the batch the first is it.
int64_t drop_known(Spi& spi, std::vector<Entry>& entries, bool letters, std::vector<IngestOutcome>& outcomes,
                   std::vector<Refusal>& refused) {
  // In the order of the batch.
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.outcome < b.outcome; });
  Column ids(TEXTOID), cards(UUIDOID), amounts(TEXTOID), currencies(TEXTOID);
  for (const Entry& entry : entries) {
    const Payment& payment = *entry.payment;
    ids.add(text_param(payment.transaction_id));
    cards.add(uuid_param(card_uuid(entry.card)));
    // What follows a payment is compared by these.
    const bool says_amount = is_follow_up(payment.kind) && payment.has_amount && !payment.is_of_first;
    amounts.add(says_amount ? text_param(format_amount(payment.amount_minor, payment.decimals)) : null_param());
    currencies.add(says_amount ? optional_text_param(payment.currency) : null_param());
  }
  // With letters, both look-ups see one snapshot: a letter that is sent again meanwhile is neither
  // overlooked nor met twice.
  uint64_t count = spi.run(known_payments, {ids.array(), cards.array(), amounts.array(), currencies.array()}, letters);
  enum : char { kFresh, kKnown, kNews, kOther };
  std::vector<char> what(entries.size(), kFresh);
  for (uint64_t row = 0; row < count; ++row) {
    const auto i = static_cast<size_t>(*spi.integer(row, 1)) - 1;
    const Entry& entry = entries[i];
    const bool labelled = DatumGetBool(*spi.datum(row, 2));
    if (what[i] == kNews && labelled) what[i] = kKnown;
    if (what[i] != kFresh) continue;
    if (const auto differs = spi.datum(row, 4); differs && DatumGetBool(*differs)) {
      refuse_other(entry, outcomes, refused);
      what[i] = kOther;
      continue;
    }
    // A feed may learn of a fraud and send the payment again: that goes on to be labelled.
    what[i] = refuse_if_other(entry, spi.integer(row, 3).value_or(entry.content), outcomes, refused) ? kOther
              : says_fraud(entry) && !labelled                                                     ? kNews
                                                                                                   : kKnown;
  }
  if (letters) {
    const std::vector<char> on_list = known_letters(spi, entries);
    for (size_t i = 0; i < entries.size(); ++i) {
      if (on_list[i] != 0 && what[i] != kOther) what[i] = kKnown;
    }
  }
  std::map<std::pair<std::string_view, CardId>, const Entry*> seen;
  std::vector<Entry> fresh;
  int64_t dropped = 0;
  fresh.reserve(entries.size());
  for (size_t i = 0; i < entries.size(); ++i) {
    const Entry& entry = entries[i];
    if (what[i] == kOther) continue;
    auto [first, is_first] = seen.try_emplace({entry.payment->transaction_id, entry.card}, &entry);
    if (!is_first && refuse_if_other(entry, first->second->content, outcomes, refused)) continue;
    const bool news = is_first || (says_fraud(entry) && !says_fraud(*first->second));
    if (what[i] == kKnown || !news) {
      ++dropped;
    } else {
      first->second = &entry;
      fresh.push_back(entry);
    }
  }
  entries = std::move(fresh);
  return dropped;
}

// Refuses what is older than fraud_detect.max_age, or of a month that retention takes.
void refuse_old(std::vector<Entry>& entries, std::vector<Refusal>& refused) {
  constexpr int64_t kMinute = int64_t{60} * USECS_PER_SEC;
  const TimestampTz now = GetCurrentTimestamp();
  const TimestampTz oldest = guc_max_age_min == 0 ? DT_NOBEGIN : now - guc_max_age_min * kMinute;
  const TimestampTz kept_from = guc_transaction_retention_min == 0 ? DT_NOBEGIN : now - guc_transaction_retention_min * kMinute;
  auto is_past_retention = [&](TimestampTz time) {
    // The month after it begins before that time.
    return time < kept_from && month_of(month_of(time) + 32 * USECS_PER_DAY) <= kept_from;
  };
  auto old = std::stable_partition(entries.begin(), entries.end(), [&](const Entry& entry) {
    return entry.occurred_at >= oldest && !is_past_retention(entry.occurred_at);
  });
  for (auto entry = old; entry != entries.end(); ++entry) {
    const Payment& payment = *entry->payment;
    std::string reason = "the payment's time " + format_time(unix_time(entry->occurred_at)) + " is older than " +
                         (entry->occurred_at < oldest ? "fraud_detect.max_age" : "fraud_detect.transaction_retention");
    // Seconds that were taken for milliseconds lie in the first weeks of 1970.
    if (unix_time(entry->occurred_at) < int64_t{30} * USECS_PER_DAY) reason += "; it looks like seconds";
    refused.push_back({entry->outcome, {payment_to_json(payment, "card", payment.card_token), reason, payment.transaction_id,
                                        payment.card_number}});
  }
  entries.erase(old, entries.end());
}

// Puts payments into the inbox; those of a dead letter were received before.
void enqueue(Spi& spi, const std::vector<Entry>& entries, const std::string& source, const Receipt* receipt, CardLookup& numbers) {
  Column shards(INT2OID), cards(UUIDOID), ids(TEXTOID), times(TIMESTAMPTZOID), texts(TEXTOID), hashes(TEXTOID),
      contents(INT8OID);
  for (const Entry& entry : entries) {
    shards.add({Int16GetDatum(shard_of(entry.card))});
    cards.add(uuid_param(card_uuid(entry.card)));
    ids.add(text_param(entry.payment->transaction_id));
    times.add(time_param(entry.occurred_at));
    texts.add(text_param(payment_to_json(*entry.payment, "card", format_uuid(card_uuid(entry.card)))));
    const std::string& number = entry.payment->card_number;
    std::vector<NumberHash> missing;
    if (!number.empty()) {
      missing = numbers.missing(number);
    } else if (receipt != nullptr) {
      missing = receipt->hashes;
    }
    hashes.add(text_param(format_hashes(missing)));
    contents.add(int8_param(entry.content));
  }
  spi.run(insert_inbox, {shards.array(), cards.array(), ids.array(), text_param(source), times.array(), texts.array(),
                         hashes.array(), contents.array(), receipt != nullptr ? time_param(receipt->received_at) : null_param()});
}

// Counts what the payments hold beside the fields that have a name.
void note_fields(Spi& spi, const std::vector<Entry>& entries, const std::string& source) {
  Column attributes(JSONBOID);
  for (const Entry& entry : entries) {
    if (!entry.payment->attributes.empty()) attributes.add(jsonb_param(entry.payment->attributes));
  }
  if (attributes.size() > 0) spi.run(count_fields, {text_param(source), attributes.array()});
}

}  // namespace

SqlValue shard_array(const Shards& shards) {
  Column column(INT2OID);
  for (size_t i = 0; i < shards.size(); ++i) {
    if (shards[i]) column.add({Int16GetDatum(static_cast<int16>(i))});
  }
  return column.array();
}

void begin_scoring() {
  prefer_index_scans();
  protect([] {
    (void)set_config_option("lock_timeout", kLockWait, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
  });
}

SourceCounts receive(PaymentBatch& batch, const std::string& source, Oid role, Beside beside) {
  OwnerScope owner;
  prefer_index_scans();
  SourceCounts counts;
  NumberGate gate(role);
  Spi spi;
  hide_ids(spi, batch);
  refer(spi, batch, true);
  CardLookup numbers(spi, false);
  std::vector<IngestOutcome> outcomes(batch.payments.size());
  std::vector<Refusal> refused;
  std::vector<Entry> entries = admit(batch, numbers, gate, outcomes, refused);
  refuse_old(entries, refused);
  if (!entries.empty()) {
    for (const Entry& entry : entries) counts.latest = std::max(counts.latest, entry.occurred_at);
    const size_t before = refused.size();
    counts.duplicates = drop_known(spi, entries, true, outcomes, refused);
    counts.differing = static_cast<int64_t>(refused.size() - before);
    counts.received = static_cast<int64_t>(entries.size());
  }
  // In the order of their times; those of one time by id. What follows payments comes after them,
  // whatever its clock says: scored one by one it would not find the one it refers to.
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    const bool a_follows = is_follow_up(a.payment->kind), b_follows = is_follow_up(b.payment->kind);
    return a_follows != b_follows ? b_follows : a.occurred_at < b.occurred_at;
  });
  if (!entries.empty()) {
    enqueue(spi, entries, source, nullptr, numbers);
    note_fields(spi, entries, source);
  }
  std::vector<RejectedPayment> letters = letters_of(refused, batch);
  counts.rejected = static_cast<int64_t>(letters.size());
  write_dead_letters(spi, source, std::move(letters), numbers, gate, beside);
  gate.tell();
  return counts;
}

std::string receive_again(Payment&& payment, const Receipt& receipt, Oid role) {
  OwnerScope owner;
  prefer_index_scans();
  PaymentBatch batch;
  batch.payments.push_back(std::move(payment));
  NumberGate gate(role);
  Spi spi;
  hide_ids(spi, batch);
  refer(spi, batch, true);
  CardLookup numbers(spi, false);
  std::vector<IngestOutcome> outcomes(1);
  std::vector<Refusal> refused;
  std::vector<Entry> entries = admit(batch, numbers, gate, outcomes, refused);
  if (spi.run(is_polled, {text_param(receipt.source)}) != 0) refuse_old(entries, refused);
  gate.tell();
  if (!refused.empty()) return refused[0].letter.reason;
  const bool is_known = drop_known(spi, entries, false, outcomes, refused) != 0;
  if (!refused.empty()) return refused[0].letter.reason;
  if (is_known) return kDuplicate;
  enqueue(spi, entries, receipt.source, &receipt, numbers);
  SourceCounts counts;
  counts.received = static_cast<int64_t>(entries.size());
  count_payments(spi, receipt.source, sender_again(), counts);
  protect([] { wake_scorers_at_commit(); });
  return {};
}

void count_payments(Spi& spi, const std::string& source, int writer, const SourceCounts& counts) {
  spi.run(add_counts, {text_param(source), int4_param(writer), int8_param(counts.stored), int8_param(counts.duplicates),
                       int8_param(counts.rejected), counts.newest == DT_NOBEGIN ? null_param() : time_param(counts.newest),
                       int8_param(counts.differing), int8_param(counts.received)});
}

bool takes_payments(Spi& spi) {
  spi.run(has_polled, {});
  return DatumGetBool(*spi.datum(0, 1));
}

std::vector<InboxRow> read_inbox(Spi& spi, int64_t position, const Shards& shards, int most) {
  return take_rows(spi, spi.run(next_rows, {int8_param(position), shard_array(shards), int4_param(most)}));
}

std::vector<InboxRow> read_other_sources(Spi& spi, int64_t position, const Shards& shards,
                                         const std::vector<InboxRow>& but, int each, int most) {
  std::set<std::string> sources;
  for (const InboxRow& row : but) sources.insert(row.source);
  Column names(TEXTOID);
  for (const std::string& source : sources) names.add(text_param(source));
  return take_rows(spi, spi.run(other_sources_rows, {int8_param(position), shard_array(shards), int4_param(each), names.array(), int4_param(most)}));
}

std::vector<InboxRow> read_customer(Spi& spi, const CardId& card, int most) {
  return take_rows(spi, spi.run(customer_rows, {uuid_param(card_uuid(card)), int4_param(most)}));
}

XidRange running_transactions(Spi& spi) {
  spi.run(snapshot_range, {});
  return {std::stoull(*spi.text(0, 1)), std::stoull(*spi.text(0, 2))};
}

void score(const std::vector<InboxRow>& wanted, int writer) {
  if (wanted.empty()) return;
  std::vector<InboxRow> rows;
  {
    Spi spi;
    rows = take(spi, wanted);
  }
  if (rows.empty()) return;
  PaymentBatch batch;
  IngestOptions options;
  options.label_source = "payload";
  options.apart = true;
  for (const InboxRow& row : rows) {
    PaymentBatch one = read_payments(row.text, PaymentFormat::kRecords);
    if (one.payments.size() != 1) {
      throw SqlError(ERRCODE_DATA_CORRUPTED, "fraud.inbox holds what is no payment",
                     one.rejected.empty() ? "" : one.rejected[0].reason,
                     "Somebody has changed it: put its column payment right, or delete the row.");
    }
    one.payments[0].occurred_at_us = unix_time(row.occurred_at);  // JSON has milliseconds
    batch.payments.push_back(std::move(one.payments[0]));
    options.receipts.push_back({row.source, row.received_at, row.hashes});
  }
  std::vector<IngestOutcome> outcomes;
  ingest(batch, options, &outcomes);
  std::map<std::string, SourceCounts> counts;
  for (size_t i = 0; i < rows.size(); ++i) {
    SourceCounts& of_source = counts[rows[i].source];
    of_source.stored += outcomes[i].status == IngestStatus::kStored;
    of_source.duplicates += outcomes[i].status == IngestStatus::kDuplicate;
    of_source.rejected += outcomes[i].status == IngestStatus::kRejected;
    of_source.differing += outcomes[i].differs;
    if (outcomes[i].status == IngestStatus::kStored) {
      of_source.newest = std::max(of_source.newest, rows[i].occurred_at);
    }
  }
  Spi spi;
  for (const auto& [source, of_source] : counts) count_payments(spi, source, writer, of_source);
}

void reject(const InboxRow& wanted, const std::string& reason, int writer, Beside beside) {
  Spi spi;
  const std::vector<InboxRow> taken = take(spi, {wanted});
  if (taken.empty()) return;
  const InboxRow& row = taken[0];
  WholeLetter letter;
  letter.source = row.source;
  letter.reason = reason;
  letter.payload = row.text;
  letter.card = row.card;
  letter.occurred_at = row.occurred_at;
  letter.received_at = row.received_at;
  letter.hashes = row.hashes;
  try {
    const PaymentBatch one = read_payments(row.text, PaymentFormat::kRecords);
    if (one.payments.size() == 1) {
      letter.transaction_id = one.payments[0].transaction_id;
      letter.last_four = one.payments[0].last_four;
      if (reason == redact(reference_fault(one.payments[0]), "")) letter.waits_for = one.payments[0].reference;
    }
  } catch (const Error&) {
    // What cannot be read here either is on the list as it is.
  }
  write_letter(spi, letter, beside);
  SourceCounts counts;
  counts.rejected = 1;
  count_payments(spi, row.source, writer, counts);
}

}  // namespace fraud::pg
