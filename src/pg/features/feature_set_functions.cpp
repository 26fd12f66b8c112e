// Feature sets are created and dropped: what users write is checked here, and kept in the tables.
#include "core/payments/mask.h"
#include "pg/features/feature_arguments.h"
#include "pg/features/feature_definition.h"
#include "pg/features/feature_set.h"
#include "pg/server/boundary.h"
#include "pg/server/owner_scope.h"
#include "pg/server/spi.h"

namespace fraud::pg {

namespace {

Statement insert_set(
    "INSERT INTO fraud.feature_sets (feature_set, events, event_id, event_time, label,"
    "  label_known_at, label_delay, create_indexes, description, defined_by, label_changes)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, fraud._kept_text($9), $10, $11)",
    {TEXTOID, REGCLASSOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, INTERVALOID, BOOLOID, TEXTOID, NAMEOID,
     TEXTOID});
Statement set_exists("SELECT 1 FROM fraud.feature_sets s WHERE s.feature_set = $1", {TEXTOID});
Statement stream_of_set("SELECT 1 FROM fraud.streams s WHERE s.stream = $1 AND s.unwatched_at IS NULL", {TEXTOID});
Statement delete_set_categories("DELETE FROM fraud.feature_categories c WHERE c.feature_set = $1", {TEXTOID});
Statement delete_set_features("DELETE FROM fraud.feature_definitions d WHERE d.feature_set = $1", {TEXTOID});
Statement drop_tile_triggers("SELECT fraud._drop_tile_triggers($1)", {TEXTOID});
Statement delete_set("DELETE FROM fraud.feature_sets s WHERE s.feature_set = $1", {TEXTOID});
Statement note_set(
    "SELECT fraud._audit('add', 'feature set', $1, NULL, to_jsonb(s) - '{feature_set,revision,builtin,last_position,created_at}'::text[])"
    " FROM fraud.feature_sets s WHERE s.feature_set = $1",
    {TEXTOID});
Statement note_dropped_set(
    "SELECT fraud._audit('drop', 'feature set', $1, fraud.feature_set_definition($1))", {TEXTOID});

Oid relation_argument(FunctionCallInfo fcinfo, int index) {
  if (PG_ARGISNULL(index)) {
    throw SqlError(ERRCODE_NULL_VALUE_NOT_ALLOWED, "events must not be null");
  }
  Oid relation = PG_GETARG_OID(index);
  const char kind = protect([&] { return get_rel_relkind(relation); });
  switch (kind) {
    case '\0':
      throw SqlError(ERRCODE_UNDEFINED_TABLE, "no table or view has the OID " + std::to_string(relation), {},
                     "Give its name: 'SCHEMA.TABLE'.");
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
  need_argument(fcinfo, 7, "create_indexes");
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
