#include "pg/payments/ingest.h"

#include "core/base/json_text.h"
#include "core/payments/currency.h"
#include "core/payments/payment_writer.h"

#include <algorithm>

#include "pg/payments/direct_store.h"
#include "pg/payments/follow_ups.h"
#include "pg/payments/payment_id.h"
#include "pg/payments/payment_rules.h"
#include "pg/models/set_scorer.h"
#include "pg/payments/shadow_scorer.h"
#include "pg/server/boundary.h"
#include "pg/server/gucs.h"
#include "pg/server/owner_scope.h"
#include "pg/server/shared_state.h"
#include "pg/server/spi.h"

namespace fraud::pg {

namespace {

// Each payment is a row of the log of changes too (src/sql/68_changes.sql).
Statement insert_transactions(
    "WITH stored AS (INSERT INTO fraud.transactions (card, transaction_id, occurred_at, amount,"
    "  merchant, category, merchant_latitude, merchant_longitude, home_latitude, home_longitude,"
    "  city_population, age, currency, base_amount, attributes, score, decision, source, received_at, model,"
    "  model_version, features)"
    " SELECT n.card, n.transaction_id, n.occurred_at, n.amount::numeric, n.merchant, n.category,"
    "  n.merchant_latitude, n.merchant_longitude, n.home_latitude, n.home_longitude, n.city_population,"
    "  n.age, n.currency, n.base_amount::numeric, n.attributes, n.score, n.decision, n.source, n.received_at, $20, $21,"
    "  $22[(n.i - 1) * $23 + 1 : n.i * $23]"
    " FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)"
    "  WITH ORDINALITY n(card, transaction_id, occurred_at, amount, merchant, category, merchant_latitude,"
    "    merchant_longitude, home_latitude, home_longitude, city_population, age, currency, base_amount, attributes, score, decision,"
    "    source, received_at, i)"
    " RETURNING card, transaction_id, occurred_at, base_amount, merchant, category, model, model_version, score, decision)"
    " INSERT INTO fraud.changes (slot, sign, card, transaction_id, occurred_at, amount, merchant, category, state,"
    "  model, model_version, score, decision)"
    " SELECT (SELECT fraud._open_slot()), 1, s.card, s.transaction_id, s.occurred_at, s.base_amount, s.merchant, s.category,"
    "  c.state, s.model, s.model_version, s.score, s.decision"
    " FROM stored s LEFT JOIN LATERAL (SELECT c.state FROM fraud.customers c WHERE c.card = s.card OFFSET 0) c ON true",
    {UUIDARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
     FLOAT8ARRAYOID, FLOAT8ARRAYOID, FLOAT8ARRAYOID, FLOAT8ARRAYOID, INT8ARRAYOID, FLOAT4ARRAYOID,
     TEXTARRAYOID, TEXTARRAYOID, JSONBARRAYOID, FLOAT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID, TEXTOID, INT4OID, FLOAT4ARRAYOID, INT8OID});

// The alert joins the card's unresolved case if its latest alert is within the
// window (microseconds), else it opens one. The card's lock is held, so alerts of a
// card take turns. Until this commits nobody decides the case: that takes the row FOR
// UPDATE. One that an analyst's open transaction has locked is passed over: nobody waits
// for a person. What is locked here is changed here: the priority, by which cases are
// taken in order, is the sum of score times amount. The case knows what is asked of its
// alerts, so none of them is read: a case may have thousands.
Statement insert_alert(
    "WITH latest AS (SELECT c.case_id, c.decision FROM fraud.case_states c WHERE c.card = $1"
    "  AND c.status IN ('open', 'acknowledged') AND c.last_alert_at > now() - $10 * interval '1 microsecond'"
    "  ORDER BY c.case_id DESC LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED),"
    // In the alphabet, block is before review.
    " grown AS (UPDATE fraud.case_states c SET priority = c.priority + $4 * $9::float8, alerts = c.alerts + 1,"
    "   decision = least(c.decision, $5), last_alert_at = greatest(c.last_alert_at, now())"
    "  WHERE c.card = $1 AND c.case_id = (SELECT l.case_id FROM latest l)"
    "  RETURNING c.case_id, c.alerts, $5 < (SELECT l.decision FROM latest l) AS escalated),"
    " opened AS (INSERT INTO fraud.case_states (card, priority, alerts, decision, last_alert_at)"
    "  SELECT $1, $4 * $9::float8, 1, $5, now() WHERE NOT EXISTS (SELECT FROM latest)"
    "  RETURNING case_id, alerts, false),"
    " the_case AS (SELECT * FROM grown UNION ALL SELECT * FROM opened)"
    " INSERT INTO fraud.alerts (card, case_id, transaction_id, occurred_at, score, decision, model,"
    "  model_version, reasons, payment_amount, rules)"
    " SELECT $1, m.case_id, $2, $3, $4, $5, $6, $7, $8, $9::numeric, $11 FROM the_case m"
    " RETURNING alert_id, case_id, (SELECT m.alerts FROM the_case m), (SELECT m.escalated FROM the_case m)",
    {UUIDOID, TEXTOID, TIMESTAMPTZOID, FLOAT8OID, TEXTOID, TEXTOID, INT4OID, TEXTARRAYOID, TEXTOID,
     FLOAT8OID, TEXTARRAYOID});

Statement insert_outbox("INSERT INTO fraud.outbox (kind, payload) VALUES ('alert', $1::jsonb)",
                        {TEXTOID});

SqlValue text_array(const std::vector<std::string>& values) {
  Column column(TEXTOID);
  for (const std::string& value : values) column.add(text_param(value));
  return column.array();
}

// Stores the payments. With `direct` each entry knows its home's state.
void write_transactions(Spi& spi, const FeatureSet& set, const std::vector<Entry>& entries,
                        const SetScorer& scorer, const IngestOptions& options, bool direct) {
  const TimestampTz now = GetCurrentTransactionStartTimestamp();
  StoredAs as{set, scorer.model(), {}, {}};
  for (const Entry& entry : entries) {
    const Receipt* receipt = options.receipts.empty() ? nullptr : &options.receipts[entry.outcome];
    as.sources.push_back(text_param(receipt != nullptr ? receipt->source : options.source));
    as.received_at.push_back(time_param(receipt != nullptr ? receipt->received_at : now));
  }
  if (direct && insert_payments(entries, as)) return;
  PaymentColumns columns;
  Column scores(FLOAT8OID), decisions(TEXTOID), sources(TEXTOID), received(TIMESTAMPTZOID);
  VectorColumn vectors(set);
  for (size_t i = 0; i < entries.size(); ++i) {
    const Entry& entry = entries[i];
    columns.add(entry);
    scores.add(float8_param(static_cast<double>(entry.score)));
    decisions.add(optional_text_param(entry.decision));
    vectors.add(entry.features.data());
    sources.add(as.sources[i]);
    received.add(as.received_at[i]);
  }
  std::vector<SqlValue> values = columns.arrays();
  for (SqlValue value : {scores.array(), decisions.array(), sources.array(), received.array(), text_param(scorer.model().model),
                         int4_param(scorer.model().version), vectors.array(), vectors.width()}) {
    values.push_back(value);
  }
  spi.run(insert_transactions, values);
}

// Raises the alert of one payment: its row, its place in a case, its message in the outbox, from which the
// notify worker tells everybody. (A NOTIFY of this transaction would hold a lock of the whole server's
// through its commit, and fail with it when an idle listener has filled the queue.)
void raise_alert(Spi& spi, const Entry& entry, SetScorer& scorer, const RuleOutcome* rules) {
  const Payment& payment = *entry.payment;
  std::vector<std::string> reasons, matched;
  if (rules != nullptr) {
    reasons = rule_reasons(*rules);
    matched = rule_names(*rules);
  }
  for (std::string& reason : scorer.reasons(entry.features)) reasons.push_back(std::move(reason));
  double score = static_cast<double>(entry.score);
  spi.run(insert_alert,
          {uuid_param(card_uuid(entry.card)), text_param(payment.transaction_id),
           time_param(entry.occurred_at), float8_param(score), text_param(entry.decision),
           text_param(scorer.model().model), int4_param(scorer.model().version),
           text_array(reasons), text_param(entry.base_amount),
           float8_param(guc_alert_window_s * 1e6), text_array(matched)});
  // No card number: card is the keyed hash.
  JsonObject message;
  message.add("alert_id", *spi.integer(0, 1));
  message.add("case_id", *spi.integer(0, 2));
  message.add("case_alerts", *spi.integer(0, 3));
  message.add("escalated", DatumGetBool(*spi.datum(0, 4)));
  message.add("transaction_id", payment.transaction_id);
  message.add("card", format_uuid(card_uuid(entry.card)));
  payment.last_four.empty() ? message.add_null("last_four") : message.add("last_four", payment.last_four);
  message.add("occurred_at", format_time(unix_time(entry.occurred_at)));
  message.add("amount", static_cast<double>(payment.amount_minor) / static_cast<double>(minor_units(payment.decimals)));
  message.add("currency", currency_of(payment));
  message.add("base_amount", std::stod(entry.base_amount));
  message.add("merchant", payment.merchant);
  message.add("category", payment.category);
  message.add("score", score);
  message.add("decision", entry.decision);
  message.add("model", scorer.model().name());
  message.add("reasons", reasons);
  if (!matched.empty()) message.add("rules", matched);
  if (!payment.attributes.empty()) message.add_json("attributes", payment.attributes);
  const std::string text = message.text();
  spi.run(insert_outbox, {text_param(text)});
  protect([] { wake_at_commit(WorkerKind::kNotify); });
}

// Lets the challengers score what the champion has scored.
void write_shadow_scores(Spi& spi, const std::vector<Entry>& entries, const SetScorer& champion) {
  ShadowScorer shadow(champion);
  if (shadow.empty()) return;
  for (const Entry& entry : entries) {
    shadow.add(card_uuid(entry.card), entry.payment->transaction_id, entry.occurred_at,
               entry.features);
  }
  shadow.write(spi);
}

}  // namespace

IngestCounts ingest(PaymentBatch& batch, const IngestOptions& options,
                    std::vector<IngestOutcome>* outcomes) {
  OwnerScope owner;
  prefer_index_scans();
  NumberGate gate(options.role);
  std::vector<IngestOutcome> results(batch.payments.size());
  std::vector<Refusal> refused;
  IngestCounts counts;
  {
    Spi spi;
    hide_ids(spi, batch);
    refer(spi, batch, false);
    CardLookup cards(spi, false);
    std::vector<Entry> all = admit(batch, cards, gate, results, refused);
    std::vector<Entry> follow_ups = take_follow_ups(all);
    std::vector<Entry> entries = all;
    const bool direct = claim(spi, cards, entries, results, refused, options.receipts.empty() ? nullptr : &options.receipts, options.apart);
    if (!entries.empty()) {
      std::shared_ptr<const FeatureSet> set = payments_feature_set(false);
      SetScorer scorer(resolve_model("payments", false), set);
      // A scorer's batch that fails is done again, payment by payment.
      compute_features(set, entries, false, options.apart && entries.size() > 1);
      PaymentRules rules(set, false);
      std::vector<RuleOutcome> ruled;
      std::vector<std::string> model_decisions;
      for (Entry& entry : entries) {
        entry.score = scorer.score(entry.features.data());
        entry.decision = scorer.decide(entry.score);
        if (!rules.empty()) model_decisions.push_back(entry.decision);
      }
      if (!rules.empty()) ruled = rules.apply(entries);
      for (const Entry& entry : entries) {
        IngestOutcome& outcome = results[entry.outcome];
        outcome.scored = true;
        outcome.score = static_cast<double>(entry.score);
        outcome.decision = entry.decision;
        counts.newest = std::max(counts.newest, entry.occurred_at);
      }
      write_transactions(spi, *set, entries, scorer, options, direct);
      write_shadow_scores(spi, entries, scorer);
      for (size_t i = 0; i < entries.size(); ++i) {
        const Entry& entry = entries[i];
        if (entry.decision != "review" && entry.decision != "block") continue;
        const RuleOutcome* outcome = rules.empty() ? nullptr : &ruled[i];
        if (!is_snoozed(spi, entry, outcome)) raise_alert(spi, entry, scorer, outcome);
      }
      if (!rules.empty()) rules.write(spi, entries, ruled, model_decisions);
    }
    store_follow_ups(spi, follow_ups,
                     {options.source, GetCurrentTransactionStartTimestamp(), options.receipts.empty() ? nullptr : &options.receipts},
                     results, refused, options.apart, false);
    std::vector<TimestampTz> known_at(batch.payments.size(), GetCurrentTransactionStartTimestamp());
    for (size_t i = 0; i < options.receipts.size(); ++i) known_at[i] = options.receipts[i].received_at;
    write_labels(spi, all, results, options.label_source, &known_at, Interval{});
    // What was received is refused only where others stored meanwhile what it is compared to:
    // that is rare, and no reason to wait for a row that they may have locked.
    if (!options.receipts.empty()) {
      for (Refusal& one : refused) {
        write_dead_letters(spi, options.receipts[one.outcome].source, {std::move(one.letter)}, cards, gate, Beside::kAlways);
      }
      refused.clear();
    }
    write_dead_letters(spi, options.source, letters_of(refused, batch), cards, gate, Beside::kNone);
    gate.tell();
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
  // Where no worker does.
  if (counts.stored > 0 && !have_shared_state()) {
    Spi spi;
    (void)send_waiting_again(spi);
  }
  if (outcomes != nullptr) *outcomes = std::move(results);
  return counts;
}

void dead_letter(const IngestOptions& options, const RejectedPayment& rejected) {
  OwnerScope owner;
  NumberGate gate(options.role);
  Spi spi;
  PaymentBatch one;
  one.rejected.push_back(rejected);
  hide_ids(spi, one);
  CardLookup cards(spi, false);
  write_dead_letters(spi, options.source, std::move(one.rejected), cards, gate, Beside::kNone);
  gate.tell();
}

void check_may_ask(const std::string& number, CardLookup& cards, Oid role) {
  NumberGate gate(role);
  const pg_uuid_t hash = cards.hash(number);
  gate.see(number, hash);
  gate.tell();
  if (gate.may_ask(hash)) return;
  if (!have_number_watch()) {
    throw SqlError(ERRCODE_INSUFFICIENT_PRIVILEGE, "only the owner of fraud_detect may assess by card number here",
                   "Where fraud_detect is not in shared_preload_libraries, nothing counts how many numbers are tried.",
                   "Give \"card\" in place of cc_num.");
  }
  throw SqlError(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED, "too many different card numbers within an hour",
                 "The limit of fraud_detect.card_number_limit is " + std::to_string(guc_card_number_limit) + ".",
                 "Give \"card\" in place of cc_num, or ask again later.");
}

Assessment assess(const Payment& payment, std::string_view model, Oid role, bool with_reasons) {
  if (is_follow_up(payment.kind)) {
    throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE,
                   "a " + std::string(payment_kind_name(payment.kind)) + " is no payment, and has no score", {},
                   "Store it with fraud.ingest.");
  }
  OwnerScope owner;
  prefer_index_scans();
  std::shared_ptr<const FeatureSet> set = payments_feature_set(true);
  SetScorer scorer(resolve_model(model, true), set);
  Payment timed = payment;
  if (!timed.occurred_at_us) {
    timed.occurred_at_us = unix_time(protect([] { return GetCurrentStatementStartTimestamp(); }));
  }
  std::vector<Entry> entries(1);
  entries[0].payment = &timed;
  entries[0].occurred_at = postgres_time(*timed.occurred_at_us);
  std::string fault = future_fault(entries[0].occurred_at);
  if (!fault.empty()) throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "invalid payment: " + fault, {},
                                       "Give the payment's own time; fraud_detect.max_future allows for clocks that are ahead.");
  {
    Spi spi;
    if (timed.card_number.empty() && !timed.customer.empty()) {
      entries[0].card = CardLookup(spi, true).plain(timed.customer_kind, timed.customer);
    } else if (timed.card_number.empty()) {
      entries[0].card = card_id(parse_uuid(timed.card_token));
    } else {
      CardLookup cards(spi, true);
      check_may_ask(timed.card_number, cards, role);
      entries[0].card = cards[timed.card_number].card;
    }
    price(spi, entries, true);
    if (entries[0].base_amount.empty()) throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, price_fault(entries[0]));
    compute_features(set, entries, true);
  }
  const std::vector<float>& features = entries[0].features;
  Assessment result;
  result.score = scorer.score(features.data());
  result.decision = scorer.decide(result.score);
  PaymentRules rules(set, true);
  if (!rules.empty()) {
    entries[0].score = result.score;
    entries[0].decision = result.decision;
    const RuleOutcome outcome = rules.apply(entries)[0];
    result.decision = entries[0].decision;
    if (with_reasons) result.reasons = rule_reasons(outcome);
  }
  if (with_reasons) {
    for (std::string& reason : scorer.reasons(features)) result.reasons.push_back(std::move(reason));
  }
  for (size_t i = 0; i < features.size(); ++i) {
    result.features.emplace_back(set->features[i].name, features[i]);
  }
  return result;
}

}  // namespace fraud::pg
