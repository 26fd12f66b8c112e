// fraud.add_rule and fraud.alter_rule: the condition is read as the caller sees names, and stored as the owner.
#include "core/base/nearest.h"
#include "core/payments/mask.h"
#include "core/rules/rule_reason.h"

#include <algorithm>

#include "pg/rules/rule_condition.h"
#include "pg/server/boundary.h"
#include "pg/server/owner_scope.h"
#include "pg/server/spi.h"

namespace fraud::pg {

namespace {

Statement write_rule(
    "SELECT fraud._write_rule($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)",
    {TEXTOID, BOOLOID, TEXTOID, TEXTOID, TEXTOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, BOOLOID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID,
     TEXTOID, TEXTOID, TEXTOID});

Statement stream_of_rule("SELECT r.stream FROM fraud.rules r WHERE r.rule = $1", {TEXTOID});

std::string text_at(FunctionCallInfo fcinfo, int index) {
  text* value = protect([&] { return PG_GETARG_TEXT_PP(index); });
  return {VARDATA_ANY(value), static_cast<size_t>(VARSIZE_ANY_EXHDR(value))};
}

SqlValue argument(FunctionCallInfo fcinfo, int index) {
  return PG_ARGISNULL(index) ? null_param() : SqlValue{PG_GETARG_DATUM(index), false};
}

SqlValue names(const std::vector<std::string>& values) {
  Column column(TEXTOID);
  for (const std::string& value : values) column.add(text_param(value));
  return column.array();
}

// The stream that a rule is of; where there is no such rule, whichever.
std::string stream_of(FunctionCallInfo fcinfo) {
  if (PG_ARGISNULL(0)) return std::string(kPayments);
  OwnerScope owner;
  Spi spi;
  return spi.run(stream_of_rule, {argument(fcinfo, 0)}) > 0 ? *spi.text(0, 1) : std::string(kPayments);
}

// Refuses a reason that has what it could never show. What its places stand for may go later: then they stay as they are.
void check_reason(const RuleRow& row, const std::string& name, const std::string& reason) {
  const std::string rule = mask_card_numbers(name);
  const std::string whose = row.set == nullptr ? "payments" : "events of stream \"" + row.set->name + "\"", columns = "fraud.rule_columns(" + (row.set == nullptr ? "" : "'" + row.set->name + "'") + ")";
  const std::optional<std::vector<std::string_view>> places = reason_places(reason);
  if (!places) {
    throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "the reason of rule \"" + rule + "\" has a brace that is not closed", "Between braces stands a column of " + columns + ", whose value is shown.",
                   "Such as: amount {amount} is far from home, {distance_km} km. A brace itself is written twice.");
  }
  for (const std::string_view place : *places) {
    if (std::any_of(row.columns.begin(), row.columns.end(), [place](const RuleColumn& column) { return column.name == place; })) continue;
    std::vector<std::string_view> names;
    for (const RuleColumn& column : row.columns) names.push_back(column.name);
    const std::vector<std::string> nearest = nearest_names(place, names, 1);
    const std::string shown = mask_card_numbers(place.substr(0, 200));
    throw SqlError(ERRCODE_UNDEFINED_COLUMN, "the reason of rule \"" + rule + "\" names {" + shown + "}, which " + whose + " do not have",
                   "Between braces stands a column of " + columns + ", whose value is shown.", "The nearest is {" + nearest[0] + "}.");
  }
}

// Arguments: name, condition, action, reason, mode, valid_from, valid_until, priority, on_error, tag, note, and of a new one the stream.
Datum write(FunctionCallInfo fcinfo, bool is_new) {
  refuse_when_restricted(is_new ? "add_rule" : "alter_rule");
  if (is_new && PG_ARGISNULL(11)) throw SqlError(ERRCODE_NULL_VALUE_NOT_ALLOWED, "stream must not be null", {}, "Rules of payments are of stream payments, the default.");
  const std::string stream = is_new ? text_at(fcinfo, 11) : stream_of(fcinfo);
  SqlValue expression = null_param(), columns = null_param(), lists = null_param(), features = null_param(), foreign = null_param(), plain = null_param();
  std::optional<RuleRow> seen;
  // Also of one that stays as it is, which gets the caller's rights.
  if (!PG_ARGISNULL(1) || !PG_ARGISNULL(3) || stream != kPayments) seen = row_of_stream(stream, false);
  if (!PG_ARGISNULL(1)) {
    const RuleRow& row = *seen;
    const Condition condition = parse_condition(row, text_at(fcinfo, 1));
    check_cost(row, condition);
    expression = text_param(condition.text);
    columns = names(condition.columns);
    lists = names(condition.lists);
    features = names(condition.features);
    foreign = names(condition.foreign);
    plain = bool_param(condition.plain);
  }
  if (!PG_ARGISNULL(3)) check_reason(*seen, PG_ARGISNULL(0) ? std::string() : text_at(fcinfo, 0), text_at(fcinfo, 3));
  OwnerScope owner;
  Spi spi;
  spi.run(write_rule, {argument(fcinfo, 0), bool_param(is_new), text_param(stream), argument(fcinfo, 1), expression, columns, lists, features, foreign, plain,
                       argument(fcinfo, 2), argument(fcinfo, 3), argument(fcinfo, 4), argument(fcinfo, 5), argument(fcinfo, 6), argument(fcinfo, 7),
                       argument(fcinfo, 8), argument(fcinfo, 9), argument(fcinfo, 10)});
  return Int32GetDatum(static_cast<int32_t>(*spi.integer(0, 1)));
}

}  // namespace

}  // namespace fraud::pg

using namespace fraud::pg;

FRAUD_FUNCTION(add_rule) { return write(fcinfo, true); }

FRAUD_FUNCTION(alter_rule) { return write(fcinfo, false); }

// Returns a row for each column that conditions over a stream see.
FRAUD_FUNCTION(rule_columns) {
  if (PG_ARGISNULL(0)) throw SqlError(ERRCODE_NULL_VALUE_NOT_ALLOWED, "stream must not be null");
  protect([&] { InitMaterializedSRF(fcinfo, 0); });
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  for (const RuleColumn& column : row_of_stream(text_at(fcinfo, 0), true).columns) {
    const Oid type = column.type;
    const char* type_name = protect([&] { return format_type_be(type); });
    Datum values[2] = {text_param(column.name).value, text_param(type_name).value};
    bool nulls[2] = {false, false};
    protect([&] { tuplestore_putvalues(result->setResult, result->setDesc, values, nulls); });
  }
  return (Datum)0;
}

FRAUD_FUNCTION(condition_as_of) {
  const std::string text = condition_as_of(row_of_stream(text_at(fcinfo, 1), true), text_at(fcinfo, 0), PG_GETARG_BOOL(2));
  return text_param(text).value;
}
