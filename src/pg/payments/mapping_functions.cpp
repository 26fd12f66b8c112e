#include "pg/payments/mapping_functions.h"

#include "pg/payments/mapping.h"
#include "pg/server/arguments.h"
#include "pg/server/boundary.h"
#include "pg/server/spi.h"

namespace fraud::pg {

namespace {

const char* or_null(const std::string& text) { return text.empty() ? nullptr : text.c_str(); }

}  // namespace

Datum preview_rows(FunctionCallInfo fcinfo, const Preview& preview) {
  protect([&] { InitMaterializedSRF(fcinfo, 0); });
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  bool is_first = true;
  for (const PreviewedPayment& payment : preview.payments) {
    Column missing(TEXTOID);
    for (const std::string& field : payment.missing) missing.add(text_param(field));
    const SqlValue missing_array = missing.array();
    const char* mapped = or_null(payment.mapped);
    const char* left_over = or_null(payment.left_over);
    const char* error = or_null(payment.error);
    const char* proposal = is_first ? or_null(preview.proposal) : nullptr;
    is_first = false;
    protect([&] {
      const auto json = [](const char* text) { return text != nullptr ? DirectFunctionCall1(jsonb_in, CStringGetDatum(text)) : (Datum)0; };
      Datum values[6] = {Int32GetDatum(static_cast<int32>(payment.number)), json(mapped), missing_array.value, json(left_over),
                         error != nullptr ? CStringGetTextDatum(error) : (Datum)0, json(proposal)};
      bool nulls[6] = {payment.number == 0, mapped == nullptr, mapped == nullptr, left_over == nullptr, error == nullptr, proposal == nullptr};
      tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    });
  }
  return (Datum)0;
}

}  // namespace fraud::pg

using namespace fraud;
using namespace fraud::pg;

// fraud._check_mapping(mapping, format)
FRAUD_FUNCTION(check_mapping) {
  const PaymentFormat format = PG_ARGISNULL(1) ? PaymentFormat::kAuto : checked_format(text_argument(fcinfo, 1));
  (void)mapping_argument(fcinfo, 0, format);
  return (Datum)0;
}

// fraud.preview_payments(body, format, mapping)
FRAUD_FUNCTION(preview_payments) {
  if (PG_ARGISNULL(0)) {
    throw SqlError(ERRCODE_NULL_VALUE_NOT_ALLOWED, "body must not be null");
  }
  const PaymentFormat format = PG_ARGISNULL(1) ? PaymentFormat::kAuto : checked_format(text_argument(fcinfo, 1));
  const std::shared_ptr<const Mapping> mapping = mapping_argument(fcinfo, 2, format);
  return preview_rows(fcinfo, preview_payments(text_argument(fcinfo, 0), format, mapping.get(),
                                               [] { protect([] { CHECK_FOR_INTERRUPTS(); }); }));
}
