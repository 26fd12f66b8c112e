#include "pg/rules/rule_attempt.h"

#include <string_view>

#include "pg/rules/time_bound.h"
#include "pg/server/boundary.h"
#include "pg/server/gucs.h"
#include "pg/server/subtransaction.h"

extern "C" {
#include "access/xact.h"
}

namespace fraud::pg {

namespace {

// Whether code of a procedural language has raised it, with whatever SQLSTATE it liked.
bool is_raised_by_code(const ErrorData* data) {
  const std::string_view file = data->filename != nullptr ? data->filename : "";
  return file == "pl_exec.c" || file == "plperl.c" || file == "plpy_elog.c" || file == "pltcl.c";
}

// What failed is about the rule, and not about the statement or the transaction.
bool is_the_rules(const ErrorData* data) {
  if (is_raised_by_code(data)) return true;
  const int category = ERRCODE_TO_CATEGORY(data->sqlerrcode);
  return category != ERRCODE_OPERATOR_INTERVENTION && category != ERRCODE_TRANSACTION_ROLLBACK && data->sqlerrcode != ERRCODE_DISK_FULL;
}

std::string too_long() {
  return "it took longer than fraud_detect.rule_timeout (" + std::to_string(guc_rule_timeout_ms) + " ms), and is not evaluated any more";
}

}  // namespace

std::optional<RuleFault> attempt_rule(const std::function<void()>& body) {
  TimeBound bound(guc_rule_timeout_ms);
  try {
    in_subtransaction([&] {
      XactReadOnly = true;  // until the subtransaction's end: functions that it calls may say of themselves that they store something
      try {
        body();
      } catch (...) {
        (void)bound.stop();  // nothing is to interrupt what cleans up
        throw;
      }
    });
    if (bound.stop()) return RuleFault{too_long(), true};
    bound.pass_on();
    return std::nullopt;
  } catch (const PgError& error) {
    ErrorData* data = error.data();
    const bool was_over = bound.stop() && data->sqlerrcode == ERRCODE_QUERY_CANCELED;
    if (!was_over && !is_the_rules(data)) throw;
    bound.pass_on();
    const RuleFault fault{was_over ? too_long() : data->message != nullptr ? data->message : "error", was_over};
    protect([&] { FreeErrorData(data); });
    return fault;
  } catch (const SqlError& error) {
    return RuleFault{error.what()};
  }
}

}  // namespace fraud::pg
