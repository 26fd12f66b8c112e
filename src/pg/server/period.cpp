#include "pg/server/period.h"

#include <string>

#include "pg/server/boundary.h"

namespace fraud::pg {

void check_period(TimestampTz from, TimestampTz to) {
  if (from < to) return;
  auto text = [](TimestampTz time) {
    return std::string(protect([&] { return DatumGetCString(DirectFunctionCall1(timestamptz_out, TimestampTzGetDatum(time))); }));
  };
  throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "the period from " + text(from) + " to " + text(to) + " is empty", {}, "Periods are [from, to).");
}

}  // namespace fraud::pg

using namespace fraud::pg;

// Strict: what is not given is refused, or given, elsewhere.
FRAUD_FUNCTION(check_period) {
  check_period(PG_GETARG_TIMESTAMPTZ(0), PG_GETARG_TIMESTAMPTZ(1));
  return (Datum)0;
}
