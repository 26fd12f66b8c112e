#include "pg/payments/dead_letters.h"

#include "core/base/error.h"
#include "core/base/json.h"
#include "core/payments/currency.h"
#include "core/payments/forbidden_fields.h"

#include <optional>

#include "pg/payments/inbox.h"
#include "pg/server/boundary.h"
#include "pg/server/gucs.h"
#include "pg/server/owner_scope.h"
#include "pg/server/shared_state.h"
#include "pg/server/subtransaction.h"

namespace fraud::pg {

namespace {

Statement insert_letter(
    "INSERT INTO fraud.ingest_errors AS e (source, reason, payload, payload_size, card, last_four, transaction_id,"
    "  occurred_at, received_at, number_hashes, waits_for, digest)"
    " VALUES ($1, $2, convert_to($3, 'UTF8'), octet_length($3), $4, $5, $6, $7, $8, $9::uuid[], $11,"
    "  sha256(convert_to($2 || $3, 'UTF8') || CASE $10 WHEN 0 THEN '' WHEN 1 THEN convert_to(' beside', 'UTF8') ELSE uuid_send(gen_random_uuid()) END))"
    " ON CONFLICT (source, digest) DO UPDATE SET occurrences = e.occurrences + 1, last_seen_at = now()",
    {TEXTOID, TEXTOID, TEXTOID, UUIDOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, INT4OID, TEXTOID});

// What a feed corrects is another payment than the one on the list; so is one that it has
// learned to be fraud.
Statement find_letters(
    "SELECT n.i, e.error_id FROM unnest($1, $2, $3, $4, $5) WITH ORDINALITY n(transaction_id, card, amount, merchant, is_fraud, i)"
    " JOIN LATERAL (SELECT l.error_id, l.payload FROM fraud.ingest_errors l"
    "  WHERE l.transaction_id = n.transaction_id AND l.card = n.card AND l.occurred_at IS NOT NULL OFFSET 0) e ON true"
    " WHERE convert_from(e.payload, 'UTF8')::jsonb @> (CASE WHEN n.is_fraud THEN '{\"is_fraud\": 1}' ELSE '{}' END::jsonb"
    "  || jsonb_build_object('amt', n.amount::numeric, 'merchant', n.merchant))",
    {TEXTARRAYOID, UUIDARRAYOID, TEXTARRAYOID, TEXTARRAYOID, BOOLARRAYOID});
Statement count_letters(
    "UPDATE fraud.ingest_errors e SET occurrences = e.occurrences + 1, last_seen_at = now()"
    " FROM (SELECT l.error_id FROM fraud.ingest_errors l WHERE l.error_id = ANY ($1) FOR UPDATE SKIP LOCKED) l"
    " WHERE e.error_id = l.error_id",
    {INT8ARRAYOID});

Statement read_letter(
    "SELECT e.source, e.payload, e.payload_size, e.card, e.last_four, e.occurred_at, e.received_at,"
    "  array_to_string(e.number_hashes, ',') FROM fraud.ingest_errors e WHERE e.error_id = $1",
    {INT8OID});
Statement delete_letter("DELETE FROM fraud.ingest_errors e WHERE e.error_id = $1", {INT8OID});

Statement merge_payload(
    "SELECT (j || $2::jsonb)::text FROM (SELECT convert_from($1, 'UTF8')::jsonb AS j) p WHERE jsonb_typeof(j) = 'object'",
    {BYTEAOID, TEXTOID});

struct Retry {
  std::string outcome, detail;
};

// A letter as it is on the list.
struct Letter {
  std::string source, payload, last_four;
  size_t size = 0;
  std::optional<CardId> card;
  std::optional<TimestampTz> occurred_at;
  Receipt receipt;
};

std::string bytes_of(Datum value) {
  return std::string(protect([&] {
    struct varlena* bytes = PG_DETOAST_DATUM_PACKED(value);
    return std::string_view(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
  }));
}

std::optional<Letter> take_letter(Spi& spi, int64_t error_id) {
  if (spi.run(read_letter, {int8_param(error_id)}) != 1) return std::nullopt;
  Letter letter;
  letter.source = *spi.text(0, 1);
  letter.payload = bytes_of(*spi.datum(0, 2));
  letter.size = static_cast<size_t>(*spi.integer(0, 3));
  if (std::optional<Datum> card = spi.datum(0, 4)) letter.card = card_id(*DatumGetUUIDP(*card));
  letter.last_four = spi.text(0, 5).value_or("");
  if (std::optional<Datum> time = spi.datum(0, 6)) letter.occurred_at = DatumGetTimestampTz(*time);
  letter.receipt = {letter.source, DatumGetTimestampTz(*spi.datum(0, 7)), parse_hashes(*spi.text(0, 8))};
  return letter;
}

// Reads JSON; what is none, or has numbers that no double holds, is no object.
Json parse_json(const std::string& text) { return Json::parse(text); }

// Returns the letter's payment with the repaired fields in it. Postgres reads any number: one
// that is too large here may be what is repaired.
Json payment_object(const Letter& letter, const Json& repaired) {
  if (letter.payload.size() < letter.size) return Json();
  Json object = parse_json(letter.payload);
  if (object.is_object() || repaired.empty()) return object;
  std::string merged;
  try {
    in_subtransaction([&] {
      Spi spi;
      spi.run(merge_payload, {bytea_param(letter.payload), text_param(repaired.dump())});
      if (spi.rows() == 1) merged = spi.text(0, 1).value_or("");
    });
  } catch (const PgError& error) {
    if (ERRCODE_TO_CATEGORY(error.data()->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION) throw;
    protect([&] { FreeErrorData(error.data()); });
    return Json();
  }
  return parse_json(merged);
}

// Makes the payment of the letter, with fields repaired; or says what stands against it.
std::optional<Payment> mend(const Letter& letter, const Json& repaired, Retry* refused) {
  Json object = payment_object(letter, repaired);
  const bool is_whole = object.is_object();
  if (!is_whole) object = Json::object();
  repaired.each_member([&](const std::string& field, const Json& value) {
    if (value.is_null()) {
      object.erase(field);
    } else {
      object[field] = value;
    }
  });
  const Json* card = object.find("card");
  const bool names_card = card != nullptr && !card->text().empty();
  if (!object.contains("cc_num") && !names_card && letter.card) {
    object["card"] = format_uuid(card_uuid(*letter.card));
    if (!object.contains("last_four") && !letter.last_four.empty()) object["last_four"] = letter.last_four;
  }
  PaymentBatch one;
  std::string fault;
  try {
    one = read_payments(object.dump(), PaymentFormat::kRecords);
    if (one.payments.size() == 1) {
      Payment& payment = one.payments[0];
      bool same_time = letter.occurred_at.has_value();
      for (const char* field : {"current_time", "trans_date_trans_time", "unix_time"}) {
        same_time = same_time && !repaired.contains(field);
      }
      if (same_time) payment.occurred_at_us = unix_time(*letter.occurred_at);  // JSON has milliseconds
      return std::move(payment);
    }
    if (!one.rejected.empty()) fault = one.rejected[0].reason;
  } catch (const Error& error) {
    fault = error.what();
  }
  if (!is_whole && letter.payload.size() < letter.size) {
    *refused = {"not repairable", "only the first " + std::to_string(letter.payload.size()) + " of " +
                                      std::to_string(letter.size) + " bytes are kept"};
  } else if (!is_whole) {
    *refused = {"not repairable", "it is not one payment"};
  } else if (!object.contains("cc_num") && !names_card && !letter.card && !object.contains("customer") && !object.contains("reference")) {
    // (What follows a payment finds the customer by it.)
    *refused = {"not repairable", object.contains("customer_kind") ? "its customer could not be read, and is not kept"
                                                                    : "its card number could not be read, and is not kept"};
  } else {
    *refused = {"rejected", fault};
  }
  return std::nullopt;
}

// Thrown to undo what was done of a payment that was rejected after all.
struct Rejected {
  std::string reason;
};

// Where no worker runs: stores the payment now.
Retry store(const Letter& letter, Payment&& payment) {
  Retry result;
  try {
    in_subtransaction([&] {
      PaymentBatch batch;
      batch.payments.push_back(std::move(payment));
      IngestOptions options;
      options.source = letter.source;
      options.label_source = "payload";
      options.role = caller();
      options.receipts = {letter.receipt};
      std::vector<IngestOutcome> outcomes;
      ingest(batch, options, &outcomes);
      if (outcomes[0].status == IngestStatus::kRejected) throw Rejected{outcomes[0].error};
      result.outcome = outcomes[0].status == IngestStatus::kStored ? "stored" : "duplicate";
    });
  } catch (const Rejected& rejected) {
    result = {"rejected", rejected.reason};
  } catch (const PgError& error) {
    if (ERRCODE_TO_CATEGORY(error.data()->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION) throw;
    result = {"rejected", redact(error.what(), "")};
    protect([&] { FreeErrorData(error.data()); });
  } catch (const SqlError& error) {
    result = {"rejected", redact(error.what(), "")};
  }
  return result;
}

Retry retry(int64_t error_id, const Json& repaired) {
  Letter letter;
  {
    Spi spi;
    std::optional<Letter> found = take_letter(spi, error_id);
    if (!found) return {"not found", ""};
    letter = std::move(*found);
  }
  Retry result;
  std::optional<Payment> payment = mend(letter, repaired, &result);
  if (!payment) return result;
  if (have_shared_state()) {
    const std::string refused = receive_again(std::move(*payment), letter.receipt, caller());
    result = refused.empty() ? Retry{"received", ""} : refused == kDuplicate ? Retry{"duplicate", ""} : Retry{"rejected", refused};
  } else {
    result = store(letter, std::move(*payment));
  }
  if (result.outcome != "rejected") {
    Spi spi;
    spi.run(delete_letter, {int8_param(error_id)});
  }
  return result;
}

}  // namespace

void write_letter(Spi& spi, const WholeLetter& letter, Beside beside) {
  spi.run(insert_letter,
          {text_param(letter.source), text_param(letter.reason), text_param(letter.payload),
           uuid_param(card_uuid(letter.card)), optional_text_param(letter.last_four),
           optional_text_param(letter.transaction_id), time_param(letter.occurred_at), time_param(letter.received_at),
           text_param(format_hashes(letter.hashes)), int4_param(static_cast<int32_t>(beside)), optional_text_param(letter.waits_for)});
  if (!letter.waits_for.empty()) protect([] { wake_at_commit(WorkerKind::kIngest); });
}

std::vector<char> known_letters(Spi& spi, const std::vector<Entry>& entries) {
  Column ids(TEXTOID), cards(UUIDOID), amounts(TEXTOID), merchants(TEXTOID), frauds(BOOLOID), met(INT8OID);
  for (const Entry& entry : entries) {
    ids.add(text_param(entry.payment->transaction_id));
    cards.add(uuid_param(card_uuid(entry.card)));
    amounts.add(text_param(format_amount(entry.payment->amount_minor, entry.payment->decimals)));
    merchants.add(text_param(entry.payment->merchant));
    frauds.add(bool_param(entry.payment->is_fraud.value_or(false)));
  }
  std::vector<char> known(entries.size(), 0);
  const uint64_t count = spi.run(find_letters, {ids.array(), cards.array(), amounts.array(), merchants.array(), frauds.array()}, true);
  if (count == 0) return known;
  for (uint64_t row = 0; row < count; ++row) {
    known[static_cast<size_t>(*spi.integer(row, 1)) - 1] = 1;
    met.add(int8_param(*spi.integer(row, 2)));
  }
  spi.run(count_letters, {met.array()});
  return known;
}

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

}  // namespace fraud::pg

using namespace fraud::pg;

FRAUD_FUNCTION(retry_letter) {
  const int64_t error_id = PG_GETARG_INT64(0);
  const std::string text(protect([&] {
    Jsonb* value = PG_GETARG_JSONB_P(1);
    return std::string_view(JsonbToCString(nullptr, &value->root, VARSIZE(value)));
  }));
  const fraud::Json repaired = parse_json(text);
  if (!repaired.is_object()) {
    throw SqlError(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, "repaired holds a number that is out of range",
                   "JSON numbers are read as float8, up to 1.8e308.");
  }
  const Retry result = retry(error_id, repaired);
  const char* outcome = result.outcome.c_str();
  const char* detail = result.detail.empty() ? nullptr : result.detail.c_str();
  return protect([&] {
    TupleDesc descriptor;
    if (get_call_result_type(fcinfo, nullptr, &descriptor) != TYPEFUNC_COMPOSITE) elog(ERROR, "return type must be a row type");
    Datum values[2] = {CStringGetTextDatum(outcome), detail != nullptr ? CStringGetTextDatum(detail) : (Datum)0};
    bool nulls[2] = {false, detail == nullptr};
    return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), values, nulls));
  });
}
