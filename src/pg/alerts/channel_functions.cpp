// What channels need beside SQL: conditions and templates.
#include "core/payments/mask.h"
#include "core/payments/message.h"

#include "pg/features/feature_expression.h"
#include "pg/server/boundary.h"
#include "pg/server/gucs.h"
#include "pg/server/owner_scope.h"

extern "C" {
#include "nodes/parsenodes.h"
#include "optimizer/optimizer.h"
#include "parser/parser.h"
#include "utils/acl.h"
#include "utils/plancache.h"
#include "utils/timeout.h"
}

namespace fraud::pg {

namespace {

// The columns are those of an alert's payload (src/pg/payments/ingest.cpp, src/pg/streams/decide_events.cpp).
constexpr char kBeforeCondition[] = "SELECT (\n";
constexpr char kAfterCondition[] =
    "\n) IS TRUE FROM pg_catalog.jsonb_to_record($1) AS alert(alert_id bigint, case_id bigint,"
    " case_alerts int, escalated boolean, transaction_id text, card uuid, last_four text,"
    " occurred_at timestamptz, amount numeric, merchant text, category text, score float8,"
    " decision text, model text, reasons text[], currency text, base_amount numeric, attributes jsonb,"
    " stream text, event_id text, entity text)";

// Refuses what is not one expression. (Its errors are raised anew by the caller: they
// would point into the caller's own query.)
void check_one_expression(const char* condition) {
  List* targets = plain_target_list(raw_parser(condition, RAW_PARSE_PLPGSQL_EXPR));
  if (list_length(targets) != 1) {
    ereport(ERROR,
            (errcode(ERRCODE_SYNTAX_ERROR), errmsg("the condition is not one SQL expression"),
             errhint("A condition is written as after WHERE, over the columns of an alert: docs/alerts.md lists them.")));
  }
}

// Refuses volatile functions, also those of views that it reads.
void check_not_volatile(SPIPlanPtr plan) {
  ListCell* source;
  foreach (source, SPI_plan_get_plan_sources(plan)) {
    ListCell* query;
    foreach (query, static_cast<CachedPlanSource*>(lfirst(source))->query_list) {
      if (!contain_volatile_functions(static_cast<::Node*>(lfirst(query)))) continue;
      ereport(ERROR,
              (errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
               errmsg("the condition calls a volatile function"),
               errdetail("It is evaluated whenever a message is addressed, and must leave nothing behind."),
               errhint("Take functions that are immutable or stable; \\df+ says which are.")));
    }
  }
}

// Evaluates it with the current user's rights; plain Postgres code.
bool evaluate(const char* query, bool has_payload, Datum payload) {
  // A session's own statement_timeout is left alone.
  bool timed = has_payload && !get_timeout_active(STATEMENT_TIMEOUT);
  bool holds = false;
  if (timed) enable_timeout_after(STATEMENT_TIMEOUT, guc_condition_timeout_ms);
  PG_TRY();
  {
    Oid type = JSONBOID;
    if (SPI_connect() != SPI_OK_CONNECT) elog(ERROR, "SPI_connect failed");
    SPIPlanPtr plan = SPI_prepare(query, 1, &type);
    if (plan == nullptr) elog(ERROR, "SPI_prepare: %s", SPI_result_code_string(SPI_result));
    check_not_volatile(plan);
    if (has_payload) {
      if (SPI_execute_plan(plan, &payload, nullptr, true, 1) != SPI_OK_SELECT) {
        elog(ERROR, "SPI_execute_plan: %s", SPI_result_code_string(SPI_result));
      }
      bool null = true;
      if (SPI_processed == 1) {
        holds = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &null));
      }
      holds = holds && !null;
    }
    SPI_finish();
    if (timed && get_timeout_indicator(STATEMENT_TIMEOUT, false)) CHECK_FOR_INTERRUPTS();
  }
  PG_FINALLY();
  {
    if (timed) disable_timeout(STATEMENT_TIMEOUT, false);
  }
  PG_END_TRY();
  return holds;
}

// The errors of a condition that is given begin with what they are about; their places are of a query that nobody wrote.
[[noreturn]] void refuse(const ErrorData* data, const char* condition) {
  auto or_empty = [](const char* part) { return std::string(part != nullptr ? part : ""); };
  std::string message = or_empty(data->message);
  for (const std::string_view what : {"argument of IS TRUE", "the condition"}) {
    if (message.rfind(what, 0) == 0) message.replace(0, what.size(), "it");
  }
  const int shown = protect([&] { return pg_mbcliplen(condition, static_cast<int>(strlen(condition)), 200); });
  throw SqlError(data->sqlerrcode, mask_card_numbers("invalid condition \"" + std::string(condition, static_cast<size_t>(shown)) + "\": " + message), mask_card_numbers(or_empty(data->detail)),
                 data->hint != nullptr ? data->hint : "A condition is written as after WHERE, over the columns of an alert: docs/alerts.md lists them.");
}

}  // namespace

}  // namespace fraud::pg

using namespace fraud;
using namespace fraud::pg;

FRAUD_FUNCTION(condition_holds) {
  const char* condition = protect([&] {
    if (PG_ARGISNULL(0) || PG_ARGISNULL(1)) {
      ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
                      errmsg("condition and role_name must not be null")));
    }
    return text_to_cstring(PG_GETARG_TEXT_PP(0));
  });
  const bool has_payload = !PG_ARGISNULL(2);
  Oid role = protect([&] { return get_role_oid(NameStr(*PG_GETARG_NAME(1)), false); });
  try {
    protect([&] { check_one_expression(condition); });
    RestrictedScope restricted(role);
    return protect([&] {
      Datum payload = has_payload ? PG_GETARG_DATUM(2) : (Datum)0;
      return BoolGetDatum(evaluate(psprintf("%s%s%s", kBeforeCondition, condition, kAfterCondition),
                                   has_payload, payload));
    });
  } catch (const PgError& error) {
    if (has_payload || ERRCODE_TO_CATEGORY(error.data()->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION) throw;
    refuse(error.data(), condition);
  }
}

FRAUD_FUNCTION(check_template) {
  std::string_view json = protect([&] {
    Jsonb* value = PG_GETARG_JSONB_P(0);
    return std::string_view(JsonbToCString(nullptr, &value->root, VARSIZE(value)));
  });
  check_template(json);
  return (Datum)0;
}
