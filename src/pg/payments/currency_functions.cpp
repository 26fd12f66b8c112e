// What SQL asks of currencies.
#include "core/payments/currency.h"

#include "pg/server/boundary.h"
#include "pg/server/spi.h"

extern "C" {
#include "utils/numeric.h"
}

using namespace fraud;
using namespace fraud::pg;

namespace {

Datum numeric_of(const std::string& text) {
  const char* input = text.c_str();
  return protect([&] {
    return DirectFunctionCall3(numeric_in, CStringGetDatum(input), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
  });
}

}  // namespace

FRAUD_FUNCTION(base_currency) {
  (void)fcinfo;
  return text_param(base_currency()).value;
}

FRAUD_FUNCTION(currency_decimals) {
  text* argument = protect([&] { return PG_GETARG_TEXT_PP(0); });
  const std::optional<int> decimals =
      currency_decimals({VARDATA_ANY(argument), static_cast<size_t>(VARSIZE_ANY_EXHDR(argument))});
  if (!decimals) {
    fcinfo->isnull = true;
    return (Datum)0;
  }
  return Int32GetDatum(*decimals);
}

FRAUD_FUNCTION(base_units) {
  (void)fcinfo;
  return numeric_of(std::to_string(minor_units(base_decimals())));
}

FRAUD_FUNCTION(base_unit) {
  (void)fcinfo;
  return numeric_of(format_amount(1, base_decimals()));
}
