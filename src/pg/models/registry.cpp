// fraud.promote: the gate is judged with the caller's rights, since it reads the
// caller's tables; the rest is the owner's.
#include "pg/server/boundary.h"

#include "pg/server/owner_scope.h"
#include "pg/server/period.h"
#include "pg/server/spi.h"

namespace fraud::pg {

namespace {

Statement check_promotion("SELECT fraud._check_promotion($1, $2, $3, $4, $5)",
                          {TEXTOID, INT4OID, TEXTOID, TEXTOID, BOOLOID});
Statement gate_evidence("SELECT fraud._gate_evidence($1, $2, $3, $4, $5, $6, $7, $8)::text",
                        {TEXTOID, INT4OID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID, FLOAT8OID,
                         REGCLASSOID, JSONBOID});
Statement promote("SELECT fraud._promote($1, $2, $3, $4, $5, $6, $7, $8::jsonb)",
                  {TEXTOID, INT4OID, TEXTOID, TEXTOID, FLOAT8OID, FLOAT8OID, BOOLOID, TEXTOID});

SqlValue argument(FunctionCallInfo fcinfo, int index) {
  return {PG_GETARG_DATUM(index), PG_ARGISNULL(index)};
}

}  // namespace

}  // namespace fraud::pg

using namespace fraud::pg;

// Arguments: model, version, alias, reason, review_at, block_at, override_gate,
// evidence_from, evidence_to, alert_rate, rel, columns.
FRAUD_FUNCTION(promote) {
  refuse_when_restricted("promote");
  if (!PG_ARGISNULL(7) && !PG_ARGISNULL(8)) check_period(PG_GETARG_TIMESTAMPTZ(7), PG_GETARG_TIMESTAMPTZ(8));
  bool override_gate = !PG_ARGISNULL(6) && PG_GETARG_BOOL(6);
  std::optional<int64_t> champion;
  {
    OwnerScope owner;
    Spi spi;
    spi.run(check_promotion, {argument(fcinfo, 0), argument(fcinfo, 1), argument(fcinfo, 2),
                              argument(fcinfo, 3), bool_param(override_gate)});
    champion = spi.integer(0, 1);
  }
  std::optional<std::string> evidence;
  if (champion && !override_gate) {
    Spi spi;
    spi.run(gate_evidence,
            {argument(fcinfo, 0), argument(fcinfo, 1), int4_param(static_cast<int32_t>(*champion)),
             argument(fcinfo, 7), argument(fcinfo, 8), argument(fcinfo, 9), argument(fcinfo, 10),
             argument(fcinfo, 11)});
    evidence = spi.text(0, 1);
  }
  OwnerScope owner;
  Spi spi;
  spi.run(promote, {argument(fcinfo, 0), argument(fcinfo, 1), argument(fcinfo, 2),
                    argument(fcinfo, 3), argument(fcinfo, 4), argument(fcinfo, 5),
                    bool_param(override_gate), evidence ? text_param(*evidence) : null_param()});
  return (Datum)0;
}
