// Features are added to sets and dropped: what users write is checked here, and kept in the tables.
#include <algorithm>
#include <set>

#include "core/base/nearest.h"
#include "core/features/reason_template.h"
#include "core/payments/mask.h"
#include "pg/features/feature_arguments.h"
#include "pg/features/feature_categories.h"
#include "pg/features/feature_definition.h"
#include "pg/features/feature_set.h"
#include "pg/server/boundary.h"
#include "pg/server/gucs.h"
#include "pg/server/owner_scope.h"
#include "pg/server/spi.h"

extern "C" {
#include "commands/extension.h"
}

namespace fraud::pg {

namespace {

Statement delete_feature_categories(
    "DELETE FROM fraud.feature_categories c WHERE c.feature_set = $1 AND c.feature = $2", {TEXTOID, TEXTOID});
Statement delete_feature(
    "DELETE FROM fraud.feature_definitions d WHERE d.feature_set = $1 AND d.feature = $2",
    {TEXTOID, TEXTOID});
Statement lock_payments_model("SELECT fraud._lock_model('payments')", {});
// Models that payments are scored with, or the rows of the set's table.
Statement scorers_of_feature(
    "SELECT a.model || '@' || a.alias FROM fraud.model_aliases a JOIN fraud.model_versions v USING (model, version)"
    " WHERE a.model = CASE $2 WHEN 'payments' THEN 'payments'"
    "   ELSE (SELECT split_part(s.model, '@', 1) FROM fraud.streams s WHERE s.stream = $2 AND s.unwatched_at IS NULL) END"
    "  AND $1 = ANY (v.feature_names) ORDER BY a.alias LIMIT 1",
    {TEXTOID, TEXTOID});
Statement missing_indexes("SELECT i.definition FROM fraud.feature_indexes($1) i WHERE NOT i.present AND i.obstacle IS NULL", {TEXTOID});
Statement note_dropped_feature(
    "SELECT fraud._audit('drop', 'feature', $1 || '.' || $2,"
    "  jsonb_strip_nulls(to_jsonb(d)) - '{feature_set,feature,columns}'::text[])"
    " FROM fraud.feature_definitions d WHERE d.feature_set = $1 AND d.feature = $2",
    {TEXTOID, TEXTOID});
Statement create_indexes("SELECT fraud.create_feature_indexes($1)", {TEXTOID});
Statement is_of_payments(
    "SELECT 1 FROM unnest(ARRAY['fraud.transactions'::regclass, 'fraud.payment_events'::regclass]) p WHERE p::oid::bigint = $1", {INT8OID});

// Refuses a window over payments that reaches beyond those that retention leaves.
void check_reach(const OpenSet& set, const std::string& feature, int64_t reach) {
  constexpr int64_t kMinute = 60 * 1000000;
  if (guc_transaction_retention_min == 0 || reach <= guc_transaction_retention_min * kMinute) return;
  OwnerScope owner;
  Spi spi;
  if (spi.run(is_of_payments, {int8_param(set.relation)}) == 0) return;
  throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE,
                 "feature \"" + feature + "\" looks back " + std::to_string(reach / kMinute) + " minutes, but payments are kept for " +
                     std::to_string(guc_transaction_retention_min),
                 {}, "Take a shorter window, or set a longer fraud_detect.transaction_retention.");
}

Statement features_of_set("SELECT d.feature, (d.kind <> 'number')::int FROM fraud.feature_definitions d WHERE d.feature_set = $1 ORDER BY d.position", {TEXTOID});

// Says which features a reason names that the set does not have: one that is added later, or a slip. The script that makes the
// extension names such ones.
void check_names(const Definition& definition, const std::string& reason) {
  if (creating_extension) return;
  std::vector<std::string> known = {definition.feature};
  std::vector<bool> coded = {definition.kind != "number"};
  {
    OwnerScope owner;
    Spi spi;
    const uint64_t count = spi.run(features_of_set, {text_param(definition.set)});
    for (uint64_t row = 0; row < count; ++row) {
      known.push_back(*spi.text(row, 1));
      coded.push_back(*spi.integer(row, 2) != 0);
    }
  }
  for (const NamedFeature& named : features_named(reason)) {
    const std::string name = mask_card_numbers(named.feature.substr(0, 200));
    const auto at = std::find(known.begin(), known.end(), named.feature);
    if (at == known.end()) {
      const std::string nearest = nearest_names(named.feature, {known.begin(), known.end()}, 1)[0];
      const char *of = definition.feature.c_str(), *what = name.c_str(), *set = definition.set.c_str(), *near = nearest.c_str();
      protect([&] {
        ereport(WARNING, (errcode(ERRCODE_UNDEFINED_COLUMN),
                          errmsg("the reason of feature \"%s\" names \"%s\", which feature set \"%s\" does not have", of, what, set),
                          errdetail("Until it has, wordings that name it are not taken."), errhint("The nearest is \"%s\".", near)));
      });
      continue;
    }
    if (named.as_category && !coded[static_cast<size_t>(at - known.begin())]) {
      throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "the reason of feature \"" + definition.feature + "\" names \"" + name + "\" by its category, which a number does not have", {},
                     "Of a number the ways are .0, .1, .2, floor, 02, duration, weekday and percent.");
    }
  }
}

// Templates of a sentence that would never be filled in are refused.
std::optional<std::string> reason_argument(FunctionCallInfo fcinfo, int index, const Definition& definition) {
  std::optional<std::string> reason = optional_text(fcinfo, index);
  const std::string fault = reason ? reason_fault(*reason) : std::string();
  if (!fault.empty()) {
    throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "invalid reason: " + fault, {},
                   "Such as: {amount:.2} is {amount/mean_30d:.1} times the mean|amount {amount:.2}. A brace itself is written twice.");
  }
  if (reason) check_names(definition, *reason);
  return reason;
}

// Each payment that arrives will be searched for by the keys of the set.
void warn_of_missing_indexes(const std::string& set) {
  OwnerScope owner;
  Spi spi;
  const uint64_t count = spi.run(missing_indexes, {text_param(set)});
  for (uint64_t row = 0; row < count; ++row) {
    const std::string hint = *spi.text(row, 1) + " makes one, for the months to come, too.";
    const char* hint_text = hint.c_str();
    protect([&] {
      ereport(WARNING, (errcode(ERRCODE_WARNING),
                        errmsg("payments will be slow to store: a key of the feature set has no index"),
                        errhint("%s", hint_text)));
    });
  }
}

void add_columns(std::vector<std::string>& columns, const FeatureExpression& expression) {
  for (const std::string& column : expression.columns) {
    if (std::find(columns.begin(), columns.end(), column) == columns.end()) columns.push_back(column);
  }
}

}  // namespace

}  // namespace fraud::pg

using namespace fraud;
using namespace fraud::pg;

FRAUD_FUNCTION(add_feature) {
  Definition definition;
  definition.set = text_argument(fcinfo, 0, "feature_set");
  definition.feature = text_argument(fcinfo, 1, "feature");
  check_feature_name(definition.feature);
  const std::string text = text_argument(fcinfo, 2, "expression");
  const OpenSet set = open_set(definition.set, "add_feature");
  const FeatureExpression expression = parse_expression(set.relation, "expression", text);
  definition.expression = expression.text;
  add_columns(definition.columns, expression);
  definition.kind = optional_text(fcinfo, 3).value_or(is_numeric_type(expression.type) ? "number" : "category");
  definition.description = optional_text(fcinfo, 5);
  if (definition.kind == "number") {
    check_number(expression, "expression");
    if (!PG_ARGISNULL(4)) {
      throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "categories are for features of kind category or code", {},
                     "Leave categories out, or give kind => 'category'.");
    }
  } else if (definition.kind != "category" && definition.kind != "code") {
    throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "unknown kind \"" + definition.kind + "\"", {},
                   "The kinds are number, category and code.");
  }
  definition.reason = reason_argument(fcinfo, 6, definition);
  insert_definition(definition);
  if (definition.kind != "number") {
    add_categories(definition.set, definition.feature,
                   PG_ARGISNULL(4) ? categories_in_events(definition.set, *definition.expression)
                                   : categories_argument(fcinfo, 4));
  }
  return (Datum)0;
}

FRAUD_FUNCTION(add_window_feature) {
  Definition definition;
  definition.set = text_argument(fcinfo, 0, "feature_set");
  definition.feature = text_argument(fcinfo, 1, "feature");
  check_feature_name(definition.feature);
  definition.aggregate = text_argument(fcinfo, 2, "aggregate");
  const std::optional<Aggregate> aggregate = aggregate_named(*definition.aggregate);
  if (!aggregate) {
    throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "unknown aggregate \"" + *definition.aggregate + "\"", {},
                   "The aggregates are " + aggregate_names() + ".");
  }
  const std::string key_text = text_argument(fcinfo, 4, "key");
  const int64_t width = interval_argument(fcinfo, 5, "window");
  const int64_t delay = interval_argument(fcinfo, 6, "delay");
  if (width == 0) throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "window must be longer than nothing");
  need_argument(fcinfo, 8, "include_current");
  const bool include_current = PG_GETARG_BOOL(8);
  if (include_current && delay > 0) {
    throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "include_current needs a delay of 0", {},
                   "With a delay the window ends before the event.");
  }
  if (include_current &&
      (aggregate == Aggregate::kRate || aggregate == Aggregate::kLast ||
       aggregate == Aggregate::kSecondsSinceLast || aggregate == Aggregate::kDistance ||
       aggregate == Aggregate::kSpeed)) {
    throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE,
                   *definition.aggregate + " looks back from the event: include_current must be false");
  }
  const OpenSet set = open_set(definition.set, "add_window_feature");
  check_reach(set, definition.feature, width + delay);
  if (aggregate == Aggregate::kRate && !set.has_label) {
    throw SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                   "rate needs a label, which feature set \"" + definition.set + "\" has not", {},
                   "Give fraud.create_feature_set a label.");
  }

  const std::optional<std::string> value_text = optional_text(fcinfo, 3);
  std::vector<FeatureExpression> values;
  if (value_text) values = parse_expressions(set.relation, "value", *value_text);
  size_t expected = 1;
  bool optional = false;
  switch (*aggregate) {
    case Aggregate::kCount:
    case Aggregate::kSecondsSinceLast:
      optional = true;
      break;
    case Aggregate::kRate:
      expected = 0;
      break;
    case Aggregate::kDistance:
    case Aggregate::kSpeed:
      expected = 2;
      break;
    default:
      break;
  }
  if (values.size() != expected && !(optional && values.empty())) {
    throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE,
                   *definition.aggregate + " must be given " +
                       (expected == 0   ? "no value"
                        : expected == 2 ? "two values, latitude and longitude"
                                        : "one value") +
                       ", not " + std::to_string(values.size()));
  }
  for (const FeatureExpression& value : values) {
    if (aggregate == Aggregate::kDistinct) {
      Oid type = value.type;
      if (!OidIsValid(protect([&] {
            return lookup_type_cache(type, TYPECACHE_HASH_EXTENDED_PROC)->hash_extended_proc;
          }))) {
        throw SqlError(ERRCODE_DATATYPE_MISMATCH,
                       "value of distinct must be of a type with a hash function, not " + type_name(value.type));
      }
    } else if (!optional) {
      check_number(value, "value of " + *definition.aggregate);
    }
    definition.value.push_back(value.text);
    add_columns(definition.columns, value);
  }

  std::set<std::string> seen;
  for (const FeatureExpression& part : parse_expressions(set.relation, "key", key_text)) {
    check_ordered(part, "key");
    if (!equality_is_image(part.type, part.collation)) {
      throw SqlError(ERRCODE_DATATYPE_MISMATCH,
                     "key \"" + part.text + "\" is of type " + type_name(part.type) +
                         ", of which different values are equal",
                     {}, "Cast it, for example to text or bigint.");
    }
    if (seen.insert(part.text).second) definition.key.push_back(part.text);
  }
  if (std::optional<std::string> text = optional_text(fcinfo, 7)) {
    const FeatureExpression filter = parse_expression(set.relation, "filter", *text);
    if (filter.type != BOOLOID) {
      throw SqlError(ERRCODE_DATATYPE_MISMATCH, "filter must be a boolean, not " + type_name(filter.type));
    }
    definition.filter = filter.text;
    add_columns(definition.columns, filter);
  }
  definition.window = {PG_GETARG_DATUM(5)};
  definition.delay = {PG_GETARG_DATUM(6)};
  definition.include_current = bool_param(include_current);
  definition.description = optional_text(fcinfo, 9);
  definition.reason = reason_argument(fcinfo, 10, definition);
  insert_definition(definition);
  if (set.create_indexes) {
    // With the caller's rights, who must own the table.
    Spi spi;
    spi.run(create_indexes, {text_param(definition.set)});
  } else if (set.builtin) {
    warn_of_missing_indexes(definition.set);
  }
  return (Datum)0;
}

FRAUD_FUNCTION(drop_feature) {
  const std::string set = text_argument(fcinfo, 0, "feature_set");
  const std::string feature = text_argument(fcinfo, 1, "feature");
  const OpenSet opened = open_set(set, "drop_feature");
  OwnerScope owner;
  Spi spi;
  // A promotion has ended, and is seen, or has yet to look for the feature.
  if (opened.builtin) spi.run(lock_payments_model, {});
  if (spi.run(scorers_of_feature, {text_param(feature), text_param(set)}) != 0) {
    throw SqlError(ERRCODE_OBJECT_IN_USE,
                   "feature \"" + feature + "\" is used by model \"" + *spi.text(0, 1) + "\", which scores " +
                       (opened.builtin ? "payments" : "the rows of its table"),
                   {}, "Promote a version that does not use it first.");
  }
  spi.run(note_dropped_feature, {text_param(set), text_param(feature)});
  if (spi.run(delete_feature, {text_param(set), text_param(feature)}) == 0) {
    throw SqlError(ERRCODE_UNDEFINED_OBJECT, "feature set \"" + set + "\" has no feature \"" + feature + "\"", {},
                   "fraud.feature_catalog lists the features of each set.");
  }
  spi.run(delete_feature_categories, {text_param(set), text_param(feature)});
  return (Datum)0;
}
