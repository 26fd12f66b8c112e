// The rows of a stream that conditions are tried on: its table beside what was decided of it.
#include <algorithm>

#include "pg/features/feature_expression.h"
#include "pg/rules/rule_condition.h"
#include "pg/server/arguments.h"
#include "pg/server/boundary.h"
#include "pg/server/owner_scope.h"
#include "pg/server/spi.h"

extern "C" {
#include "funcapi.h"
#include "utils/acl.h"
}

namespace fraud::pg {

namespace {

Statement model_of("SELECT s.model FROM fraud.streams s WHERE s.stream = $1", {TEXTOID});

std::string quoted(const std::string& name) {
  const char* text = name.c_str();
  return protect([&] { return quote_identifier(text); });
}

std::string literal(const std::string& value) {
  const char* text = value.c_str();
  return protect([&] { return quote_literal_cstr(text); });
}

std::string name_of_table(Oid relation) {
  return protect([&] { return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)), get_rel_name(relation)); });
}

// The query is run by whoever backtests: of the set's own expressions those that run nobody's functions will do, and his own.
void check_own(const FeatureSet& set) {
  const char* name = set.definer.c_str();
  const Oid definer = protect([&] { return get_role_oid(name, true); });
  const Oid user = GetUserId();
  if (protect([&] { return OidIsValid(definer) ? has_privs_of_role(user, definer) : superuser_arg(user); })) return;
  const Oid relation = set.relation;
  for (const std::string* expression : {&set.id, &set.time}) {
    const std::vector<std::string> columns = parse_stored_expression(set, "expression", *expression).columns;
    if (columns.size() == 1 && quoted(columns[0]) == *expression) {
      const char* column = columns[0].c_str();
      if (protect([&] { return getBaseType(get_atttype(relation, get_attnum(relation, column))); }) < FirstNormalObjectId) continue;
    }
    throw SqlError(ERRCODE_INSUFFICIENT_PRIVILEGE, "event_id or event_time of stream \"" + set.name + "\" is no plain column",
                   "It would run what its definer, \"" + set.definer + "\", has written with the rights of whoever calls.",
                   "A role that is a member of the definer's may backtest it.");
  }
}

// The columns that a condition could compare with a number: not the score, which is the model's own rule, nor what the event is called.
SqlValue numbers_of(const RuleRow& row) {
  const std::vector<std::string> called = parse_stored_expression(*row.set, "event_id", row.set->id).columns;
  Column names(TEXTOID);
  for (const RuleColumn& column : row.columns) {
    if (column.from != RuleColumn::From::kTable && column.from != RuleColumn::From::kFeature) continue;
    const Oid relation = row.set->relation, type = column.type;
    const auto attribute = static_cast<AttrNumber>(column.place + 1);
    if (column.from == RuleColumn::From::kTable &&
        std::find(called.begin(), called.end(), std::string(protect([&] { return get_attname(relation, attribute, false); }))) != called.end()) {
      continue;
    }
    const Oid base = protect([&] { return getBaseType(type); });
    if (base != BOOLOID && is_numeric_type(base)) names.add(text_param(column.name));
  }
  return names.array();
}

}  // namespace

}  // namespace fraud::pg

using namespace fraud::pg;

// Arguments: stream; score and decision as expressions over d, a row of fraud.event_scores, and of d.new_score, which is the first of
// these. Returns a query over $1 (from) and $2 (to), the columns of it that fraud._backtest takes, a query that counts entities, the
// columns that fraud._decision_counts takes, the stream's model, the columns that are numbers, and a query that counts all events of the table.
FRAUD_FUNCTION(event_rows) {
  const std::string stream(text_argument(fcinfo, 0)), new_score(text_argument(fcinfo, 1)), decision(text_argument(fcinfo, 2));
  const RuleRow row = row_of_stream(stream, true);
  if (row.set == nullptr) throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "the stream must be one of events, not that of payments");
  const FeatureSet& set = *row.set;
  check_own(set);
  // Names that no column has.
  auto own = [&row](std::string name) {
    while (std::any_of(row.columns.begin(), row.columns.end(), [&](const RuleColumn& column) { return column.name == name; })) name += ' ';
    return quoted(name);
  };
  const std::string fraud = own("is fraud"), money = own("its amount"), who = own("its entity"), key = own("its id"), was = own("was decided");
  std::string shown, columns;
  for (const RuleColumn& column : row.columns) {
    std::string value;
    switch (column.from) {
      case RuleColumn::From::kScore:
        value = "d.new_score";
        break;
      case RuleColumn::From::kDecision:
        value = "(" + decision + ")::pg_catalog.text COLLATE pg_catalog.\"C\"";
        break;
      case RuleColumn::From::kTime:
        value = "d.event_time";
        break;
      case RuleColumn::From::kFeature:
        value = "nullif(d.features[" + std::to_string(set.places[column.place] + 1) + "], 'NaN'::pg_catalog.float4)::pg_catalog.float8";
        break;
      case RuleColumn::From::kTable: {
        const Oid relation = set.relation;
        const auto attribute = static_cast<AttrNumber>(column.place + 1);
        const std::string name = quoted(protect([&] { return get_attname(relation, attribute, false); }));
        columns += "e." + name + ", ";
        value = "e." + name;
        break;
      }
      case RuleColumn::From::kElsewhere:
        continue;
    }
    shown += value + " AS " + quoted(column.name) + ", ";
  }
  const std::string time = as_timestamptz(set.time, set.time_type), of = literal(set.name);
  const std::string rows =
      "SELECT " + shown + "l.is_fraud AS " + fraud + ", d.amount AS " + money + ", md5(coalesce(d.entity, d.event_id))::uuid AS " + who + ", d.event_id AS " + key +
      ", CASE d.decision WHEN 'block' THEN 2 WHEN 'review' THEN 1 ELSE 0 END AS " + was + " FROM (SELECT " + columns + "(" + set.id + ")::text AS " + key + " FROM " + name_of_table(set.relation) + " e WHERE " + time + " >= $1 AND " + time +
      " < $2) e JOIN (SELECT DISTINCT ON (d.event_id) d.*, (" + new_score + ")::pg_catalog.float8 AS new_score FROM fraud.event_scores d WHERE d.stream = " + of +
      " AND d.event_time >= $1 AND d.event_time < $2 ORDER BY d.event_id, d.decision_id DESC) d ON d.event_id = e." + key +
      " LEFT JOIN fraud.labelled_events l ON l.stream = " + of + " AND l.event_id = d.event_id";
  const std::string counted = "payment.event_time, payment." + fraud + ", payment.decision, payment." + money + ", payment." + who + ", payment.event_time < $3";
  const std::string customers = "SELECT count(DISTINCT coalesce(d.entity, d.event_id)) FROM fraud.event_scores d WHERE d.stream = " + of +
                                " AND d.event_time >= $1 AND d.event_time < $2";
  const std::string events = "SELECT count(*) FROM " + name_of_table(set.relation) + " e WHERE " + time + " >= $1 AND " + time + " < $2";
  const std::string decided = "payment.event_time AS at, payment." + was + " AS was, coalesce(payment." + fraud + ", false) AS is_fraud, payment." + money + " AS money";
  std::string model;
  {
    OwnerScope owner;
    Spi spi;
    if (spi.run(model_of, {text_param(stream)}, true) > 0) model = *spi.text(0, 1);
  }
  TupleDesc shape = nullptr;
  Datum values[8] = {text_param(rows).value, text_param(counted).value, text_param(customers).value, text_param(decided).value, text_param(model).value, numbers_of(row).value,
                     text_param("payment." + fraud + " AS is_fraud, pg_catalog.hashtext(payment." + key + ") AS chance, payment." + key + " AS id").value,
                     text_param(events).value};
  return protect([&] {
    bool nulls[8] = {};
    if (get_call_result_type(fcinfo, nullptr, &shape) != TYPEFUNC_COMPOSITE) elog(ERROR, "unexpected type of result");
    return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(shape), values, nulls));
  });
}
