// fraud.ingest, fraud.assess and what features of payments are made with.
#include "core/base/geo.h"
#include "core/base/json_text.h"
#include "core/payments/forbidden_fields.h"
#include "core/payments/mask.h"
#include "core/payments/payment.h"

#include <cmath>
#include <iterator>

#include "pg/payments/ingest.h"
#include "pg/payments/mapping.h"
#include "pg/server/arguments.h"
#include "pg/server/boundary.h"
#include "pg/server/gucs.h"
#include "pg/server/owner_scope.h"
#include "pg/server/spi.h"

namespace fraud::pg {

namespace {

// Returns the argument's JSON as text; numbers keep all their digits.
std::string_view json_argument(FunctionCallInfo fcinfo, int index) {
  return protect([&] {
    Jsonb* value = PG_GETARG_JSONB_P(index);
    return std::string_view(JsonbToCString(nullptr, &value->root, VARSIZE(value)));
  });
}

const char* status_name(IngestStatus status) {
  switch (status) {
    case IngestStatus::kStored:
      return "stored";
    case IngestStatus::kDuplicate:
      return "duplicate";
    case IngestStatus::kRejected:
      return "rejected";
  }
  return "";
}

// Reads payments, and lets a cancel through meanwhile.
PaymentBatch read(std::string_view body, PaymentFormat format, const Mapping* mapping) {
  PaymentBatch batch = read_payments(body, format, mapping, [] { protect([] { CHECK_FOR_INTERRUPTS(); }); });
  // The caller still has what is beyond a bound: nothing of it is stored.
  if (batch.fault && batch.fault->code() == ErrorCode::kLimitExceeded) throw *batch.fault;
  return batch;
}

// Appends one row of fraud.ingest's result.
void put_outcome(ReturnSetInfo* result, const IngestOutcome& outcome) {
  const char* id = outcome.transaction_id.empty() ? nullptr : outcome.transaction_id.c_str();
  const char* decision = outcome.decision.empty() ? nullptr : outcome.decision.c_str();
  const char* error = outcome.error.empty() ? nullptr : outcome.error.c_str();
  const char* status = status_name(outcome.status);
  double score = outcome.score;
  bool scored = outcome.scored;
  protect([&] {
    auto text_or_null = [](const char* value) {
      return value != nullptr ? CStringGetTextDatum(value) : (Datum)0;
    };
    Datum values[5] = {text_or_null(id), CStringGetTextDatum(status), Float8GetDatum(score),
                       text_or_null(decision), text_or_null(error)};
    bool nulls[5] = {id == nullptr, false, !scored, decision == nullptr, error == nullptr};
    tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
  });
}

// Stores the payments of a body, whose mapping is the third argument, and returns a row for each.
Datum ingest_body(FunctionCallInfo fcinfo, std::string_view body, PaymentFormat format) {
  const std::shared_ptr<const Mapping> mapping = mapping_argument(fcinfo, 2, format);
  PaymentBatch batch = read(body, format, mapping.get());
  IngestOptions options;
  options.source = mask_card_numbers(text_argument(fcinfo, 1));
  options.label_source = "payload";
  options.role = protect([] { return GetUserId(); });
  if (options.source.empty() || options.source.size() > 63) {
    throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "source must have 1 to 63 characters");
  }
  protect([&] { InitMaterializedSRF(fcinfo, 0); });
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  size_t step = static_cast<size_t>(guc_ingest_batch_size);
  if (batch.payments.size() > step) {
    OwnerScope owner;
    Spi spi;
    lock_months(spi, batch);
  }
  for (size_t begin = 0; begin < batch.payments.size() || begin == 0; begin += step) {
    PaymentBatch part;
    size_t end = std::min(begin + step, batch.payments.size());
    std::move(batch.payments.begin() + static_cast<std::ptrdiff_t>(begin),
              batch.payments.begin() + static_cast<std::ptrdiff_t>(end),
              std::back_inserter(part.payments));
    if (end == batch.payments.size()) part.rejected = std::move(batch.rejected);
    std::vector<IngestOutcome> outcomes;
    ingest(part, options, &outcomes);
    for (const IngestOutcome& outcome : outcomes) put_outcome(result, outcome);
  }
  return (Datum)0;
}

}  // namespace

}  // namespace fraud::pg

using namespace fraud;
using namespace fraud::pg;

namespace {

// Returns the features as a jsonb object; what is missing is null.
Datum features_object(const std::vector<std::pair<std::string, float>>& features) {
  JsonbParseState* state = nullptr;
  protect([&] { (void)pushJsonbValue(&state, WJB_BEGIN_OBJECT, nullptr); });
  for (const auto& [name, value] : features) {
    const std::string digits = std::isnan(value) ? std::string() : json_number(static_cast<double>(value));
    const char* key_text = name.c_str();
    const char* text = digits.c_str();
    protect([&] {
      JsonbValue key, number;
      key.type = jbvString;
      key.val.string.val = pstrdup(key_text);
      key.val.string.len = static_cast<int>(strlen(key_text));
      (void)pushJsonbValue(&state, WJB_KEY, &key);
      number.type = *text == '\0' ? jbvNull : jbvNumeric;
      if (number.type == jbvNumeric) {
        number.val.numeric = DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
      }
      (void)pushJsonbValue(&state, WJB_VALUE, &number);
    });
  }
  return protect([&] { return JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, nullptr))); });
}

// True where nothing is to be ingested: a NULL is no payment.
bool has_nothing(FunctionCallInfo fcinfo) {
  if (!PG_ARGISNULL(0) && !PG_ARGISNULL(1)) return false;
  protect([&] { InitMaterializedSRF(fcinfo, 0); });
  return true;
}

}  // namespace

FRAUD_FUNCTION(ingest) {
  if (has_nothing(fcinfo)) return (Datum)0;
  return ingest_body(fcinfo, json_argument(fcinfo, 0), PaymentFormat::kAuto);
}

// Unlike jsonb, text shows a number as it was written, and may hold what is no JSON.
FRAUD_FUNCTION(ingest_text) {
  if (has_nothing(fcinfo)) return (Datum)0;
  const PaymentFormat format = PG_ARGISNULL(3) ? PaymentFormat::kAuto : checked_format(text_argument(fcinfo, 3));
  return ingest_body(fcinfo, text_argument(fcinfo, 0), format);
}

FRAUD_FUNCTION(assess) {
  if (PG_ARGISNULL(0) || PG_ARGISNULL(1)) {
    fcinfo->isnull = true;
    return (Datum)0;
  }
  const std::shared_ptr<const Mapping> mapping = mapping_argument(fcinfo, 2, PaymentFormat::kAuto);
  PaymentBatch batch = read(json_argument(fcinfo, 0), PaymentFormat::kAuto, mapping.get());
  if (batch.payments.size() + batch.rejected.size() != 1) {
    throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE,
                   "expected one payment, not " +
                       std::to_string(batch.payments.size() + batch.rejected.size()),
                   {}, "To assess many, call fraud.assess for each in a query.");
  }
  if (!batch.rejected.empty()) {
    throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "invalid payment: " + batch.rejected[0].reason, {},
                   "docs/payments.md lists the fields of a payment, and what they can be.");
  }
  Oid role = protect([] { return GetUserId(); });
  const bool with_reasons = PG_ARGISNULL(3) || PG_GETARG_BOOL(3);
  Assessment assessment = assess(batch.payments[0], text_argument(fcinfo, 1), role, with_reasons);
  const Datum features = features_object(assessment.features);
  Column reasons(TEXTOID);
  for (const std::string& reason : assessment.reasons) reasons.add(text_param(reason));
  SqlValue reason_array = reasons.array();
  const char* decision = assessment.decision.empty() ? nullptr : assessment.decision.c_str();
  double score = static_cast<double>(assessment.score);
  return protect([&] {
    TupleDesc descriptor;
    if (get_call_result_type(fcinfo, nullptr, &descriptor) != TYPEFUNC_COMPOSITE) {
      elog(ERROR, "return type must be a row type");
    }
    descriptor = BlessTupleDesc(descriptor);
    Datum values[4] = {
        Float8GetDatum(score), decision != nullptr ? CStringGetTextDatum(decision) : (Datum)0,
        reason_array.value, features};
    bool nulls[4] = {false, decision == nullptr, !with_reasons, false};
    return HeapTupleGetDatum(heap_form_tuple(descriptor, values, nulls));
  });
}

// Great-circle distance in km of two places, each a latitude and a longitude in degrees.
FRAUD_FUNCTION(distance_km) {
  return Float8GetDatum(distance_km(PG_GETARG_FLOAT8(0), PG_GETARG_FLOAT8(1), PG_GETARG_FLOAT8(2),
                                    PG_GETARG_FLOAT8(3)));
}

FRAUD_FUNCTION(mask_card_numbers) {
  return text_param(mask_card_numbers(text_argument(fcinfo, 0))).value;
}

FRAUD_FUNCTION(kept_text) { return text_param(redact_prose(text_argument(fcinfo, 0))).value; }

// Masks keys, texts and numbers; all else stays as it is.
FRAUD_FUNCTION(mask_card_numbers_in_json) {
  Jsonb* json = protect([&] { return PG_GETARG_JSONB_P(0); });
  JsonbIterator* iterator = protect([&] { return JsonbIteratorInit(&json->root); });
  JsonbParseState* state = nullptr;
  JsonbValue* result = nullptr;
  JsonbValue value;
  for (;;) {
    JsonbIteratorToken token = protect([&] { return JsonbIteratorNext(&iterator, &value, false); });
    if (token == WJB_DONE) break;
    const bool is_leaf = token == WJB_KEY || token == WJB_VALUE || token == WJB_ELEM;
    if (is_leaf && (value.type == jbvString || value.type == jbvNumeric)) {
      std::string_view text(value.val.string.val, 0);
      if (value.type == jbvString) {
        text = {value.val.string.val, static_cast<size_t>(value.val.string.len)};
      } else {
        text = protect([&] {
          return std::string_view(
              DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value.val.numeric))));
        });
      }
      if (holds_card_number(text)) {
        const std::string masked = mask_card_numbers(text);
        value.type = jbvString;
        value.val.string.len = static_cast<int>(masked.size());
        value.val.string.val = protect([&] { return pnstrdup(masked.data(), masked.size()); });
      }
    }
    protect([&] { result = pushJsonbValue(&state, token, is_leaf ? &value : nullptr); });
  }
  return protect([&] { return JsonbPGetDatum(JsonbValueToJsonb(result)); });
}
