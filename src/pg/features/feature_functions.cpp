// Declaring feature sets: what users write is checked here, and kept in the tables.
#include "core/features/reason_template.h"
#include "core/payments/mask.h"

#include <algorithm>
#include <set>

#include "pg/features/feature_expression.h"
#include "pg/features/feature_set.h"
#include "pg/features/index_key.h"
#include "pg/server/audit.h"
#include "pg/server/boundary.h"
#include "pg/server/gucs.h"
#include "pg/server/owner_scope.h"
#include "pg/server/spi.h"

namespace fraud::pg {

namespace {

constexpr int kMostFeatures = 1000;     // a table has at most 1600 columns
constexpr int kMostCategories = 65536;

Statement insert_set(
    "INSERT INTO fraud.feature_sets (feature_set, events, event_id, event_time, label,"
    "  label_known_at, label_delay, create_indexes, description, defined_by, label_changes)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, fraud._mask_card_numbers($9), $10, $11)",
    {TEXTOID, REGCLASSOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, INTERVALOID, BOOLOID, TEXTOID, NAMEOID,
     TEXTOID});
Statement set_exists("SELECT 1 FROM fraud.feature_sets s WHERE s.feature_set = $1", {TEXTOID});
Statement has_expression(
    "SELECT 1 FROM fraud.feature_sets s WHERE s.feature_set = $1"
    " AND ($2 IN (s.event_id, s.event_time, s.label, s.label_known_at, s.label_changes)"
    "  OR EXISTS (SELECT FROM fraud.feature_definitions d WHERE d.feature_set = $1 AND $2 = ANY (d.key)))",
    {TEXTOID, TEXTOID});
// Also the lock of everything that changes the set.
Statement touch_set(
    "UPDATE fraud.feature_sets s SET revision = gen_random_uuid() WHERE s.feature_set = $1"
    " RETURNING s.events::oid::bigint, s.defined_by::text, s.create_indexes::int, s.label, s.builtin::int",
    {TEXTOID});
Statement renew_set(
    "UPDATE fraud.feature_sets s SET revision = gen_random_uuid() WHERE s.feature_set = $1", {TEXTOID});
Statement count_features(
    "SELECT count(*), count(*) FILTER (WHERE d.feature = $2) FROM fraud.feature_definitions d"
    " WHERE d.feature_set = $1",
    {TEXTOID, TEXTOID});
// A place in the vector is not given twice.
Statement next_position(
    "UPDATE fraud.feature_sets s SET last_position = s.last_position + 1 WHERE s.feature_set = $1", {TEXTOID});
Statement insert_feature(
    "INSERT INTO fraud.feature_definitions (feature_set, position, feature, kind, expression,"
    "  aggregate, value, key, \"window\", delay, filter, include_current, columns, description, reason)"
    " SELECT $1, s.last_position, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,"
    "  fraud._mask_card_numbers($13), fraud._mask_card_numbers($14)"
    " FROM fraud.feature_sets s WHERE s.feature_set = $1",
    {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTARRAYOID, TEXTARRAYOID, INTERVALOID,
     INTERVALOID, TEXTOID, BOOLOID, TEXTARRAYOID, TEXTOID, TEXTOID});
Statement insert_categories(
    "INSERT INTO fraud.feature_categories (feature_set, feature, code, category)"
    " SELECT $1, $2, coalesce((SELECT max(c.code) FROM fraud.feature_categories c"
    "   WHERE c.feature_set = $1 AND c.feature = $2), -1) + n.i, n.category"
    " FROM (SELECT n.category, row_number() OVER (ORDER BY min(n.i)) AS i"
    "   FROM unnest($3) WITH ORDINALITY n(category, i)"
    "   WHERE NOT EXISTS (SELECT FROM fraud.feature_categories c"
    "     WHERE c.feature_set = $1 AND c.feature = $2 AND c.category = n.category)"
    "   GROUP BY n.category) n",
    {TEXTOID, TEXTOID, TEXTARRAYOID});
Statement count_categories(
    "SELECT count(*) FROM fraud.feature_categories c WHERE c.feature_set = $1 AND c.feature = $2",
    {TEXTOID, TEXTOID});
Statement feature_kind(
    "SELECT d.kind, d.expression FROM fraud.feature_definitions d WHERE d.feature_set = $1 AND d.feature = $2",
    {TEXTOID, TEXTOID});
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
Statement stream_of_set("SELECT 1 FROM fraud.streams s WHERE s.stream = $1 AND s.unwatched_at IS NULL", {TEXTOID});
Statement missing_indexes("SELECT i.definition FROM fraud.feature_indexes($1) i WHERE NOT i.present AND i.obstacle IS NULL", {TEXTOID});
Statement delete_set_categories("DELETE FROM fraud.feature_categories c WHERE c.feature_set = $1", {TEXTOID});
Statement delete_set_features("DELETE FROM fraud.feature_definitions d WHERE d.feature_set = $1", {TEXTOID});
Statement drop_tile_triggers("SELECT fraud._drop_tile_triggers($1)", {TEXTOID});
Statement delete_set("DELETE FROM fraud.feature_sets s WHERE s.feature_set = $1", {TEXTOID});
Statement note_set(
    "SELECT fraud._audit('add', 'feature set', $1, NULL, to_jsonb(s) - '{feature_set,revision,builtin,last_position,created_at}'::text[])"
    " FROM fraud.feature_sets s WHERE s.feature_set = $1",
    {TEXTOID});
Statement note_feature(
    "SELECT fraud._audit('add', 'feature', $1 || '.' || $2, NULL,"
    "  jsonb_strip_nulls(to_jsonb(d)) - '{feature_set,feature,columns}'::text[])"
    " FROM fraud.feature_definitions d WHERE d.feature_set = $1 AND d.feature = $2",
    {TEXTOID, TEXTOID});
Statement note_dropped_feature(
    "SELECT fraud._audit('drop', 'feature', $1 || '.' || $2,"
    "  jsonb_strip_nulls(to_jsonb(d)) - '{feature_set,feature,columns}'::text[])"
    " FROM fraud.feature_definitions d WHERE d.feature_set = $1 AND d.feature = $2",
    {TEXTOID, TEXTOID});
Statement note_dropped_set(
    "SELECT fraud._audit('drop', 'feature set', $1, fraud.feature_set_definition($1))", {TEXTOID});
Statement create_indexes("SELECT fraud.create_feature_indexes($1)", {TEXTOID});

std::string text_argument(FunctionCallInfo fcinfo, int index, const char* name) {
  if (PG_ARGISNULL(index)) {
    throw SqlError(ERRCODE_NULL_VALUE_NOT_ALLOWED, std::string(name) + " must not be null");
  }
  text* value = protect([&] { return PG_GETARG_TEXT_PP(index); });
  return {VARDATA_ANY(value), static_cast<size_t>(VARSIZE_ANY_EXHDR(value))};
}

std::optional<std::string> optional_text(FunctionCallInfo fcinfo, int index) {
  if (PG_ARGISNULL(index)) return std::nullopt;
  return text_argument(fcinfo, index, "");
}

SqlValue text_or_null(const std::optional<std::string>& value) {
  return value ? text_param(*value) : null_param();
}

SqlValue text_array(const std::vector<std::string>& values) {
  Column column(TEXTOID);
  for (const std::string& value : values) column.add(text_param(value));
  return column.array();
}

int64_t interval_argument(FunctionCallInfo fcinfo, int index, const char* name) {
  if (PG_ARGISNULL(index)) {
    throw SqlError(ERRCODE_NULL_VALUE_NOT_ALLOWED, std::string(name) + " must not be null");
  }
  return interval_microseconds(*PG_GETARG_INTERVAL_P(index), name);
}

bool name_is_sound(std::string_view name, std::string_view more) {
  return !name.empty() && name.size() <= 63 && std::all_of(name.begin(), name.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           more.find(c) != std::string_view::npos;
  });
}

void check_feature_name(const std::string& name) {
  if (holds_card_number(name)) {
    throw SqlError(ERRCODE_INVALID_NAME, "the name of a feature must not hold a card number");
  }
  if (!name_is_sound(name, "") || (name[0] >= '0' && name[0] <= '9')) {
    throw SqlError(ERRCODE_INVALID_NAME, "invalid feature name \"" + name + "\"", {},
                   "A name is 1 to 63 letters, digits and underscores, and begins with none of the digits.");
  }
  if (name == "event_id" || name == "event_time" || name == "label") {
    throw SqlError(ERRCODE_RESERVED_NAME, "feature name \"" + name + "\" is reserved", {},
                   "fraud.materialize_features has columns of that name.");
  }
}

std::string type_name(Oid type) {
  const char* name = protect([&] { return format_type_be(type); });
  return name;
}

void check_time(const FeatureExpression& expression, const char* what) {
  if (expression.type == TIMESTAMPTZOID || expression.type == TIMESTAMPOID) return;
  throw SqlError(ERRCODE_DATATYPE_MISMATCH,
                 std::string(what) + " must be a timestamp with or without time zone, not " +
                     type_name(expression.type),
                 {}, "For seconds since 1970 write to_timestamp(…).");
}

void check_number(const FeatureExpression& expression, const std::string& what) {
  if (is_numeric_type(expression.type)) return;
  throw SqlError(ERRCODE_DATATYPE_MISMATCH,
                 what + " must be a number or a boolean, not " + type_name(expression.type), {},
                 "For times and intervals write extract(epoch FROM …).");
}

// What orders events and what keys compare must do so in every index alike.
void check_ordered(const FeatureExpression& expression, const char* what) {
  Oid type = expression.type;
  if (!OidIsValid(protect([&] { return lookup_type_cache(type, TYPECACHE_CMP_PROC)->cmp_proc; }))) {
    throw SqlError(ERRCODE_DATATYPE_MISMATCH,
                   std::string(what) + " must be of a type with an order, not " + type_name(type));
  }
}

Oid relation_argument(FunctionCallInfo fcinfo, int index) {
  if (PG_ARGISNULL(index)) {
    throw SqlError(ERRCODE_NULL_VALUE_NOT_ALLOWED, "events must not be null");
  }
  Oid relation = PG_GETARG_OID(index);
  const char kind = protect([&] { return get_rel_relkind(relation); });
  switch (kind) {
    case '\0':
      throw SqlError(ERRCODE_UNDEFINED_TABLE, "no table or view has the OID " + std::to_string(relation));
    case 'r': case 'p': case 'v': case 'm': case 'f':
      break;
    default:
      throw SqlError(ERRCODE_WRONG_OBJECT_TYPE, "events must be a table or a view");
  }
  protect([&] {
    if (get_rel_persistence(relation) == 't') {
      ereport(ERROR, (errcode(ERRCODE_INVALID_TABLE_DEFINITION), errmsg("events must not be a temporary table")));
    }
    AclResult result = pg_class_aclcheck(relation, GetUserId(), ACL_SELECT);
    if (result != ACLCHECK_OK) {
      aclcheck_error(result, get_relkind_objtype(kind), get_rel_name(relation));
    }
  });
  return relation;
}

// Refuses to promise indexes that could not be made when a window asks for one.
void check_indexable(Oid relation, const FeatureExpression& id, const FeatureExpression& time) {
  const char kind = protect([&] { return get_rel_relkind(relation); });
  const std::string name = protect([&] { return get_rel_name(relation); });
  if (kind == 'v' || kind == 'f') {
    throw SqlError(ERRCODE_WRONG_OBJECT_TYPE, "create_indexes is not for " + std::string(kind == 'v' ? "a view" : "a foreign table"),
                   "\"" + name + "\" has no indexes.", "Leave it out, and index the tables behind it.");
  }
  if (!protect([&] { return owns_relation(relation, GetUserId()); })) {
    throw SqlError(ERRCODE_INSUFFICIENT_PRIVILEGE, "create_indexes is for the owner of table \"" + name + "\"", {},
                   "Leave it out, and have the owner make what fraud.feature_indexes lists.");
  }
  if (!time.is_immutable) {
    throw SqlError(ERRCODE_INVALID_OBJECT_DEFINITION, "event_time cannot be indexed: it depends on the session's settings",
                   "A timestamp with time zone and an interval add up by the session's time zone.",
                   "A timestamp is read as UTC and can be indexed: timestamp '2024-01-01' + step * interval '1 hour', or to_timestamp(…).");
  }
  if (!id.is_immutable) {
    throw SqlError(ERRCODE_INVALID_OBJECT_DEFINITION, "event_id cannot be indexed: it depends on the session's settings", {},
                   "Take a column, or an expression that is the same in every session.");
  }
}

// A set that the caller changes: its row is locked and has a new revision.
struct OpenSet {
  Oid relation;
  bool create_indexes;
  bool has_label;
  bool builtin;
};

OpenSet open_set(const std::string& name, const char* function) {
  refuse_when_restricted(function);
  Oid user = caller();
  OwnerScope owner;
  Spi spi;
  if (spi.run(touch_set, {text_param(name)}) == 0) {
    throw SqlError(ERRCODE_UNDEFINED_OBJECT, "feature set \"" + name + "\" does not exist", {},
                   "fraud.feature_sets lists the feature sets; fraud.create_feature_set makes one.");
  }
  const std::optional<std::string> definer = spi.text(0, 2);
  Oid role = fraud_owner();
  if (definer) {
    const char* role_name = definer->c_str();
    role = protect([&] { return get_role_oid(role_name, true); });
  }
  if (!(OidIsValid(role) ? protect([&] { return has_privs_of_role(user, role); }) : superuser_arg(user))) {
    throw SqlError(ERRCODE_INSUFFICIENT_PRIVILEGE, "must be owner of feature set \"" + name + "\"");
  }
  return {static_cast<Oid>(*spi.integer(0, 1)), *spi.integer(0, 3) != 0, spi.text(0, 4).has_value(), *spi.integer(0, 5) != 0};
}

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

// What one row of fraud.feature_definitions takes.
struct Definition {
  std::string set, feature, kind = "number";
  std::optional<std::string> expression, aggregate, filter, description, reason;
  std::vector<std::string> value, key, columns;
  SqlValue window = null_param(), delay = null_param(), include_current = null_param();
};

void insert_definition(const Definition& definition) {
  OwnerScope owner;
  Spi spi;
  spi.run(count_features, {text_param(definition.set), text_param(definition.feature)});
  if (*spi.integer(0, 2) != 0) {
    throw SqlError(ERRCODE_DUPLICATE_OBJECT, "feature set \"" + definition.set +
                                                 "\" has a feature \"" + definition.feature + "\" already");
  }
  if (*spi.integer(0, 1) >= kMostFeatures) {
    throw SqlError(ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                   "a feature set has at most " + std::to_string(kMostFeatures) + " features");
  }
  const bool window = definition.aggregate.has_value();
  spi.run(next_position, {text_param(definition.set)});
  spi.run(insert_feature,
          {text_param(definition.set), text_param(definition.feature), text_param(definition.kind),
           text_or_null(definition.expression), text_or_null(definition.aggregate),
           definition.value.empty() ? null_param() : text_array(definition.value),
           window ? text_array(definition.key) : null_param(), definition.window, definition.delay,
           text_or_null(definition.filter), definition.include_current, text_array(definition.columns),
           text_or_null(definition.description), text_or_null(definition.reason)});
  spi.run(note_feature, {text_param(definition.set), text_param(definition.feature)});
}

// Templates of a sentence that would never be filled in are refused.
std::optional<std::string> reason_argument(FunctionCallInfo fcinfo, int index) {
  std::optional<std::string> reason = optional_text(fcinfo, index);
  const std::string fault = reason ? reason_fault(*reason) : std::string();
  if (!fault.empty()) {
    throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "invalid reason: " + fault, {},
                   "Such as: {amount:.2} is {amount/mean_30d:.1} times the mean|amount {amount:.2}.");
  }
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

// The values that the events hold now, in order.
std::vector<std::string> categories_in_events(const std::string& set_name, const std::string& expression) {
  std::shared_ptr<const FeatureSet> set = find_feature_set(set_name, false);
  DefinerScope definer(*set);
  const std::string value = "(" + expression + ")::pg_catalog.text COLLATE pg_catalog.\"C\"";
  const std::string query = "SELECT DISTINCT " + value + set->from_clause() + " WHERE (" + expression +
                            ") IS NOT NULL ORDER BY 1 LIMIT " + std::to_string(kMostCategories + 1);
  Spi spi;
  const char* text = query.c_str();
  protect([&] {
    int result = SPI_execute(text, false, 0);
    if (result < 0) elog(ERROR, "SPI_execute: %s", SPI_result_code_string(result));
  });
  std::vector<std::string> categories;
  const uint64_t count = SPI_processed;
  for (uint64_t row = 0; row < count; ++row) categories.push_back(spi.text(row, 1).value_or(""));
  return categories;
}

std::vector<std::string> categories_argument(FunctionCallInfo fcinfo, int index) {
  Datum* values = nullptr;
  bool* nulls = nullptr;
  int count = 0;
  protect([&] {
    deconstruct_array(PG_GETARG_ARRAYTYPE_P(index), TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &count);
  });
  std::vector<std::string> texts;
  for (int i = 0; i < count; ++i) {
    if (nulls[i]) throw SqlError(ERRCODE_NULL_VALUE_NOT_ALLOWED, "categories must not contain nulls");
    Datum value = values[i];
    const char* item = protect([&] { return TextDatumGetCString(value); });
    texts.emplace_back(item);
  }
  return texts;
}

int64_t add_categories(const std::string& set, const std::string& feature, const std::vector<std::string>& categories) {
  // They would be kept as they are, for all to read who see feature sets.
  if (std::any_of(categories.begin(), categories.end(), [](const std::string& one) { return holds_card_number(one); })) {
    throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "categories of feature \"" + feature + "\" hold what may be a card number", {},
                   "A card is a key for window features rather than a category.");
  }
  OwnerScope owner;
  Spi spi;
  const auto made = static_cast<int64_t>(
      spi.run(insert_categories, {text_param(set), text_param(feature), text_array(categories)}));
  // The set may have been read meanwhile, to look for categories.
  spi.run(renew_set, {text_param(set)});
  spi.run(count_categories, {text_param(set), text_param(feature)});
  if (*spi.integer(0, 1) > kMostCategories) {
    throw SqlError(ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                   "feature \"" + feature + "\" has more than " + std::to_string(kMostCategories) + " categories",
                   {}, "What has so many values is a key for window features rather than a category.");
  }
  return made;
}

// Parses an expression of a set; the arguments are both. What the set does not have would run with
// its definer's rights, or with those of whoever asks, and is refused.
FeatureExpression stored_argument(FunctionCallInfo fcinfo) {
  const std::string name = text_argument(fcinfo, 0, "feature_set"), text = text_argument(fcinfo, 1, "expression");
  const std::shared_ptr<const FeatureSet> set = find_feature_set(name, true);
  {
    OwnerScope owner;
    Spi spi;
    if (spi.run(has_expression, {text_param(name), text_param(text)}, true) == 0) {
      throw SqlError(ERRCODE_UNDEFINED_OBJECT, "feature set \"" + name + "\" has no expression \"" + text + "\"");
    }
  }
  return parse_stored_expression(*set, "expression", text);
}

}  // namespace

}  // namespace fraud::pg

using namespace fraud;
using namespace fraud::pg;

FRAUD_FUNCTION(create_feature_set) {
  refuse_when_restricted("create_feature_set");
  const std::string name = text_argument(fcinfo, 0, "name");
  if (holds_card_number(name)) {
    throw SqlError(ERRCODE_INVALID_NAME, "the name of a feature set must not hold a card number");
  }
  if (!name_is_sound(name, ".-")) {
    throw SqlError(ERRCODE_INVALID_NAME, "invalid feature set name \"" + name + "\"", {},
                   "A name is 1 to 63 letters, digits, underscores, dots or dashes.");
  }
  Oid relation = relation_argument(fcinfo, 1);
  const FeatureExpression id = parse_expression(relation, "event_id", text_argument(fcinfo, 2, "event_id"));
  check_ordered(id, "event_id");
  const FeatureExpression time = parse_expression(relation, "event_time", text_argument(fcinfo, 3, "event_time"));
  check_time(time, "event_time");
  std::optional<std::string> label, known_at, label_changes;
  if (std::optional<std::string> text = optional_text(fcinfo, 4)) {
    const FeatureExpression expression = parse_expression(relation, "label", *text);
    check_number(expression, "label");
    label = expression.text;
  }
  interval_argument(fcinfo, 5, "label_delay");
  if (std::optional<std::string> text = optional_text(fcinfo, 6)) {
    if (!label) throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "label_known_at needs a label");
    const FeatureExpression expression = parse_expression(relation, "label_known_at", *text);
    check_time(expression, "label_known_at");
    known_at = expression.text;
  }
  if (std::optional<std::string> text = optional_text(fcinfo, 9)) {
    if (!label) throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "label_changes needs a label");
    const FeatureExpression expression = parse_expression(relation, "label_changes", *text);
    if (expression.type != TIMESTAMPTZARRAYOID) {
      throw SqlError(ERRCODE_DATATYPE_MISMATCH, "label_changes must be of type timestamp with time zone[]");
    }
    label_changes = expression.text;
  }
  if (PG_ARGISNULL(7)) throw SqlError(ERRCODE_NULL_VALUE_NOT_ALLOWED, "create_indexes must not be null");
  if (PG_GETARG_BOOL(7)) check_indexable(relation, id, time);
  const char* definer = protect([] { return GetUserNameFromId(GetUserId(), false); });
  OwnerScope owner;
  Spi spi;
  if (spi.run(set_exists, {text_param(name)}) != 0) {
    throw SqlError(ERRCODE_DUPLICATE_OBJECT, "feature set \"" + name + "\" exists already", {},
                   "fraud.drop_feature_set drops it.");
  }
  SqlValue definer_name{protect([&] { return DirectFunctionCall1(namein, CStringGetDatum(definer)); })};
  spi.run(insert_set, {text_param(name), {ObjectIdGetDatum(relation)}, text_param(id.text),
                       text_param(time.text), text_or_null(label), text_or_null(known_at),
                       {PG_GETARG_DATUM(5)}, bool_param(PG_GETARG_BOOL(7)),
                       text_or_null(optional_text(fcinfo, 8)), definer_name, text_or_null(label_changes)});
  spi.run(note_set, {text_param(name)});
  return (Datum)0;
}

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
  definition.reason = reason_argument(fcinfo, 6);
  if (definition.kind == "number") {
    check_number(expression, "expression");
    if (!PG_ARGISNULL(4)) {
      throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "categories are for features of kind category or code");
    }
  } else if (definition.kind != "category" && definition.kind != "code") {
    throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "unknown kind \"" + definition.kind + "\"", {},
                   "The kinds are number, category and code.");
  }
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
  if (PG_ARGISNULL(8)) throw SqlError(ERRCODE_NULL_VALUE_NOT_ALLOWED, "include_current must not be null");
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
                   expected == 0   ? *definition.aggregate + " takes no value"
                   : expected == 2 ? *definition.aggregate + " takes two values, latitude and longitude"
                                   : *definition.aggregate + " takes one value, not " + std::to_string(values.size()));
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
  definition.reason = reason_argument(fcinfo, 10);
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

FRAUD_FUNCTION(add_categories) {
  const std::string set = text_argument(fcinfo, 0, "feature_set");
  const std::string feature = text_argument(fcinfo, 1, "feature");
  open_set(set, "add_categories");
  std::string expression;
  {
    OwnerScope owner;
    Spi spi;
    if (spi.run(feature_kind, {text_param(set), text_param(feature)}) == 0) {
      throw SqlError(ERRCODE_UNDEFINED_OBJECT, "feature set \"" + set + "\" has no feature \"" + feature + "\"");
    }
    if (*spi.text(0, 1) == "number") {
      throw SqlError(ERRCODE_WRONG_OBJECT_TYPE, "feature \"" + feature + "\" is a number and has no categories");
    }
    expression = *spi.text(0, 2);
  }
  const int64_t made = add_categories(
      set, feature, PG_ARGISNULL(2) ? categories_in_events(set, expression) : categories_argument(fcinfo, 2));
  note_act("alter", "feature", set + "." + feature, "{\"categories_added\": " + std::to_string(made) + "}");
  return Int32GetDatum(static_cast<int32_t>(made));
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
    throw SqlError(ERRCODE_UNDEFINED_OBJECT, "feature set \"" + set + "\" has no feature \"" + feature + "\"");
  }
  spi.run(delete_feature_categories, {text_param(set), text_param(feature)});
  return (Datum)0;
}

FRAUD_FUNCTION(drop_feature_set) {
  const std::string set = text_argument(fcinfo, 0, "feature_set");
  if (open_set(set, "drop_feature_set").builtin) {
    throw SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                   "feature set \"" + set + "\" comes with the extension and cannot be dropped", {},
                   "Features are added to it and dropped from it one by one.");
  }
  OwnerScope owner;
  Spi spi;
  if (spi.run(stream_of_set, {text_param(set)}) != 0) {
    throw SqlError(ERRCODE_OBJECT_IN_USE, "the table of feature set \"" + set + "\" is watched", {},
                   "Call fraud.unwatch first.");
  }
  spi.run(note_dropped_set, {text_param(set)});
  spi.run(drop_tile_triggers, {text_param(set)});
  spi.run(delete_set_categories, {text_param(set)});
  spi.run(delete_set_features, {text_param(set)});
  spi.run(delete_set, {text_param(set)});
  return (Datum)0;
}

FRAUD_FUNCTION(indexed_part) {
  const FeatureExpression expression = stored_argument(fcinfo);
  std::string part = indexed_part(expression.text, expression.type, expression.collation);
  if (part.empty()) {
    fcinfo->isnull = true;
    return (Datum)0;
  }
  // As Postgres prints it in an index: there it has casts, for example of a domain.
  if (part != expression.text) {
    const std::shared_ptr<const FeatureSet> set = find_feature_set(text_argument(fcinfo, 0, "feature_set"), true);
    part = qualified_part(parse_stored_expression(*set, "index", part).text);
  }
  return text_param(part).value;
}

FRAUD_FUNCTION(index_obstacle) {
  const std::string obstacle = index_obstacle(stored_argument(fcinfo));
  if (obstacle.empty()) {
    fcinfo->isnull = true;
    return (Datum)0;
  }
  return text_param(obstacle).value;
}

FRAUD_FUNCTION(may_fail) { return BoolGetDatum(stored_argument(fcinfo).may_fail); }

FRAUD_FUNCTION(expression_columns) { return text_array(stored_argument(fcinfo).columns).value; }
