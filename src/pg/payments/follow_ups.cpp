#include "pg/payments/follow_ups.h"

#include "core/payments/currency.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "pg/payments/card_lookup.h"
#include "pg/server/boundary.h"

namespace fraud::pg {

namespace {

// Two of one id are as many as it takes to know that it is not clear whose it is.
Statement find_customers(
    "SELECT n.i, k.card FROM unnest($1) WITH ORDINALITY n(transaction_id, i)"
    " CROSS JOIN LATERAL (SELECT p.card FROM fraud.payment_keys p WHERE p.transaction_id = n.transaction_id OFFSET 0) k",
    {TEXTARRAYOID});
Statement find_waiting(
    "SELECT n.i, k.card FROM unnest($1) WITH ORDINALITY n(transaction_id, i)"
    " CROSS JOIN LATERAL (SELECT b.card FROM fraud.inbox b WHERE b.transaction_id = n.transaction_id OFFSET 0) k",
    {TEXTARRAYOID});

// The payments that are referred to; what is given of them, and whether their currency has such an amount; and what that
// is worth in the base currency, in proportion: what is paid back in full comes to just what was paid.
Statement find_firsts(
    "SELECT n.i, t.amount::text, t.currency, t.base_amount::text,"
    "  round(CASE WHEN t.amount = 0 THEN 0 ELSE t.base_amount * g.given / t.amount END, $6)::text,"
    "  round(g.given, c.decimals)::text, round(g.given, c.decimals) = g.given"
    " FROM unnest($1, $2, $3, $4, $5) WITH ORDINALITY n(reference, card, amount, currency, is_minor, i)"
    " CROSS JOIN LATERAL (SELECT p.occurred_at FROM fraud.payment_keys p"
    "  WHERE p.transaction_id = n.reference AND p.card = n.card OFFSET 0) k"
    " CROSS JOIN LATERAL (SELECT s.amount, s.currency, s.base_amount FROM fraud.transactions s"
    "  WHERE s.card = n.card AND s.occurred_at = k.occurred_at AND s.transaction_id = n.reference OFFSET 0) t"
    " CROSS JOIN LATERAL (SELECT fraud.currency_decimals(coalesce(n.currency, t.currency)) AS decimals) c"
    " CROSS JOIN LATERAL (SELECT CASE WHEN n.is_minor THEN n.amount::numeric / power(10::numeric, c.decimals)"
    "  ELSE n.amount::numeric END AS given) g",
    {TEXTARRAYOID, UUIDARRAYOID, TEXTARRAYOID, TEXTARRAYOID, BOOLARRAYOID, INT4OID});

Statement find_others(
    "SELECT n.i FROM unnest($1, $2, $3, $4) WITH ORDINALITY n(transaction_id, card, amount, currency, i)"
    " JOIN LATERAL (SELECT u.amount, u.currency FROM fraud.payment_followups u"
    "  WHERE u.transaction_id = n.transaction_id AND u.card = n.card OFFSET 0) f ON true"
    " WHERE f.amount <> n.amount::numeric OR f.currency <> n.currency",
    {TEXTARRAYOID, UUIDARRAYOID, TEXTARRAYOID, TEXTARRAYOID});

Statement insert_follow_ups(
    "INSERT INTO fraud.payment_followups (card, transaction_id, kind, reference, occurred_at, received_at, amount, currency,"
    "  base_amount, source, attributes)"
    " SELECT n.card, n.transaction_id, n.kind, n.reference, n.occurred_at, n.received_at, n.amount::numeric, n.currency,"
    "  n.base_amount::numeric, n.source, n.attributes"
    " FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) n(card, transaction_id, kind, reference, occurred_at, received_at,"
    "  amount, currency, base_amount, source, attributes)"
    " ON CONFLICT DO NOTHING RETURNING transaction_id, card",
    {UUIDARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
     TEXTARRAYOID, TEXTARRAYOID, JSONBARRAYOID});

Statement insert_labels(
    "INSERT INTO fraud.labels (card, transaction_id, is_fraud, source, known_at)"
    " SELECT DISTINCT ON (n.card, n.transaction_id) n.card, n.transaction_id, true, 'chargeback', n.known_at"
    " FROM unnest($1, $2, $3) n(card, transaction_id, known_at)"
    " WHERE NOT EXISTS (SELECT FROM fraud.labels l WHERE l.transaction_id = n.transaction_id"
    "  AND l.card = n.card AND l.source = 'chargeback' AND l.is_fraud)"
    " ORDER BY n.card, n.transaction_id, n.known_at",
    {UUIDARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID});

Statement send_waiting("SELECT fraud._send_waiting_again()", {});

bool is_anonymous(const Payment& payment) {
  return payment.card_number.empty() && payment.card_token.empty() && payment.customer.empty();
}

}  // namespace

std::string reference_fault(const Payment& payment) {
  return "the " + std::string(payment_kind_name(payment.kind)) + " refers to payment \"" + payment.reference + "\", which is not stored" +
         (is_anonymous(payment) ? " or of several customers" : "");
}

void refer(Spi& spi, PaymentBatch& batch, bool waiting) {
  std::vector<Payment*> asking;
  for (Payment& payment : batch.payments) {
    if (is_follow_up(payment.kind) && is_anonymous(payment)) asking.push_back(&payment);
  }
  if (asking.empty()) return;
  // Whose the id is in this batch, and whose where payments are known.
  std::multimap<std::string_view, const Payment*> present;
  for (const Payment& payment : batch.payments) {
    if (!is_follow_up(payment.kind)) present.emplace(payment.transaction_id, &payment);
  }
  Column references(TEXTOID);
  for (const Payment* payment : asking) {
    // One that held a card number is not looked for: whether it is stored tells of the card.
    const bool tells_of_card = payment->reference.rfind("pan_", 0) == 0;
    references.add(text_param(tells_of_card ? std::string() : payment->reference));
  }
  std::vector<std::set<CardId>> known(asking.size());
  for (Statement* statement : {&find_customers, waiting ? &find_waiting : nullptr}) {
    if (statement == nullptr) continue;
    const uint64_t count = spi.run(*statement, {references.array()});
    for (uint64_t row = 0; row < count; ++row) {
      known[static_cast<size_t>(*spi.integer(row, 1)) - 1].insert(card_id(*DatumGetUUIDP(*spi.datum(row, 2))));
    }
  }
  std::vector<std::string_view> numbers;
  for (const Payment* payment : asking) {
    const auto [first, last] = present.equal_range(payment->reference);
    for (auto one = first; one != last; ++one) {
      if (!one->second->card_number.empty()) numbers.push_back(one->second->card_number);
    }
  }
  CardLookup cards(spi, false);
  cards.find(numbers);
  const auto card_of = [&](const Payment& payment) {
    if (!payment.card_number.empty()) return cards[payment.card_number].card;
    if (!payment.customer.empty()) return cards.plain(payment.customer_kind, payment.customer);
    return card_id(parse_uuid(payment.card_token));
  };
  for (size_t i = 0; i < asking.size(); ++i) {
    Payment& payment = *asking[i];
    const auto [first, last] = present.equal_range(payment.reference);
    for (auto one = first; one != last; ++one) known[i].insert(card_of(*one->second));
    if (known[i].size() != 1) continue;
    if (first == last) {
      payment.card_token = format_uuid(card_uuid(*known[i].begin()));
      continue;
    }
    payment.card_number = first->second->card_number;
    payment.card_token = first->second->card_token;
    payment.last_four = first->second->last_four;
    payment.customer = first->second->customer;
    payment.customer_kind = first->second->customer_kind;
  }
}

bool send_waiting_again(Spi& spi) {
  spi.run(send_waiting, {});
  return spi.rows() == 1 && DatumGetBool(*spi.datum(0, 1));
}

std::vector<Entry> take_follow_ups(std::vector<Entry>& entries) {
  auto at = std::stable_partition(entries.begin(), entries.end(), [](const Entry& entry) { return !is_follow_up(entry.payment->kind); });
  std::vector<Entry> taken(std::make_move_iterator(at), std::make_move_iterator(entries.end()));
  entries.erase(at, entries.end());
  return taken;
}

void store_follow_ups(Spi& spi, std::vector<Entry>& entries, const Origin& origin, std::vector<IngestOutcome>& outcomes,
                      std::vector<Refusal>& refused, bool apart, bool of_old) {
  if (entries.empty()) return;
  struct First {
    std::string amount, currency, base_amount, share, given;
    bool is_fitting = true;  // what is given
  };
  std::vector<First> firsts(entries.size());
  {
    Column references(TEXTOID), cards(UUIDOID), amounts(TEXTOID), currencies(TEXTOID), minors(BOOLOID);
    for (const Entry& entry : entries) {
      const Payment& payment = *entry.payment;
      references.add(text_param(payment.reference));
      cards.add(uuid_param(card_uuid(entry.card)));
      const std::string minor = payment.is_of_first ? std::to_string(payment.amount_minor) : "";
      amounts.add(!payment.has_amount ? null_param()
                                      : text_param(payment.is_of_first ? minor : format_amount(payment.amount_minor, payment.decimals)));
      currencies.add(optional_text_param(payment.currency));
      minors.add(bool_param(payment.is_of_first));
    }
    const uint64_t count = spi.run(find_firsts, {references.array(), cards.array(), amounts.array(), currencies.array(), minors.array(),
                                                 int4_param(base_decimals())});
    for (uint64_t row = 0; row < count; ++row) {
      const std::optional<Datum> fits = spi.datum(row, 7);
      firsts[static_cast<size_t>(*spi.integer(row, 1)) - 1] = {*spi.text(row, 2), *spi.text(row, 3), *spi.text(row, 4),
                                                               spi.text(row, 5).value_or(""), spi.text(row, 6).value_or(""),
                                                               !fits || DatumGetBool(*fits)};
    }
  }
  price(spi, entries, false);
  Column cards(UUIDOID), ids(TEXTOID), kinds(TEXTOID), references(TEXTOID), times(TIMESTAMPTZOID), received(TIMESTAMPTZOID),
      amounts(TEXTOID), currencies(TEXTOID), base_amounts(TEXTOID), sources(TEXTOID), attributes(JSONBOID);
  Column labelled_cards(UUIDOID), labelled_ids(TEXTOID), known(TIMESTAMPTZOID);
  std::vector<const Entry*> stored;
  const TimestampTz now = GetCurrentTransactionStartTimestamp();
  for (size_t i = 0; i < entries.size(); ++i) {
    const Entry& entry = entries[i];
    const Payment& payment = *entry.payment;
    const First& first = firsts[i];
    std::string amount = first.amount, currency = first.currency, base_amount = first.base_amount;
    std::string fault = first.amount.empty() ? reference_fault(payment) : "";
    if (fault.empty() && payment.has_amount) {
      amount = first.given;
      if (!payment.currency.empty()) currency = payment.currency;
      base_amount = currency == first.currency ? first.share : entry.base_amount;
      if (!first.is_fitting) {
        fault = "amt must have no more decimals than " + currency + ", the currency of the payment, has";
      } else if (base_amount.empty()) {
        fault = price_fault(entry);
      }
    }
    if (!fault.empty()) {
      if (apart) throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, fault);
      refuse(entry, fault, outcomes, refused);
      if (first.amount.empty()) refused.back().letter.waits_for = payment.reference;
      continue;
    }
    const Receipt* receipt = origin.receipts == nullptr ? nullptr : &(*origin.receipts)[entry.outcome];
    const TimestampTz since = receipt != nullptr ? receipt->received_at : origin.received_at;
    stored.push_back(&entry);
    cards.add(uuid_param(card_uuid(entry.card)));
    ids.add(text_param(payment.transaction_id));
    kinds.add(text_param(payment_kind_name(payment.kind)));
    references.add(text_param(payment.reference));
    times.add(time_param(entry.occurred_at));
    received.add(time_param(since));
    amounts.add(text_param(amount));
    currencies.add(text_param(currency));
    base_amounts.add(text_param(base_amount));
    sources.add(text_param(receipt != nullptr ? receipt->source : origin.source));
    attributes.add(payment.attributes.empty() ? null_param() : jsonb_param(payment.attributes));
    if (payment.kind == PaymentKind::kChargeback) {
      labelled_cards.add(uuid_param(card_uuid(entry.card)));
      labelled_ids.add(text_param(payment.reference));
      known.add(time_param(of_old ? std::min(entry.occurred_at, now) : since));
    }
  }
  if (stored.empty()) return;
  const uint64_t count = spi.run(insert_follow_ups, {cards.array(), ids.array(), kinds.array(), references.array(), times.array(),
                                                     received.array(), amounts.array(), currencies.array(), base_amounts.array(),
                                                     sources.array(), attributes.array()});
  std::set<std::pair<std::string, CardId>> fresh;
  for (uint64_t row = 0; row < count; ++row) fresh.emplace(*spi.text(row, 1), card_id(*DatumGetUUIDP(*spi.datum(row, 2))));
  std::vector<const Entry*> known_before;
  for (const Entry* entry : stored) {
    // Of two of one id in a batch the first is it.
    const bool is_fresh = fresh.erase({entry->payment->transaction_id, entry->card}) != 0;
    outcomes[entry->outcome].status = is_fresh ? IngestStatus::kStored : IngestStatus::kDuplicate;
    if (!is_fresh) known_before.push_back(entry);
  }
  if (!known_before.empty()) {
    const uint64_t others = spi.run(find_others, {ids.array(), cards.array(), amounts.array(), currencies.array()});
    for (uint64_t row = 0; row < others; ++row) {
      const Entry* entry = stored[static_cast<size_t>(*spi.integer(row, 1)) - 1];
      // One that says no amount means what is stored.
      const bool is_known = std::find(known_before.begin(), known_before.end(), entry) != known_before.end();
      if (is_known && entry->payment->has_amount) refuse_other(*entry, outcomes, refused);
    }
  }
  if (labelled_ids.size() > 0) spi.run(insert_labels, {labelled_cards.array(), labelled_ids.array(), known.array()});
}

}  // namespace fraud::pg
