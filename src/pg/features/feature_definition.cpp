#include "pg/features/feature_definition.h"

#include "pg/features/feature_arguments.h"
#include "pg/features/feature_set.h"
#include "pg/server/boundary.h"
#include "pg/server/owner_scope.h"

namespace fraud::pg {

namespace {

constexpr int kMostFeatures = 1000;  // a table has at most 1600 columns

// Also the lock of everything that changes the set.
Statement touch_set(
    "UPDATE fraud.feature_sets s SET revision = gen_random_uuid() WHERE s.feature_set = $1"
    " RETURNING s.events::oid::bigint, s.defined_by::text, s.create_indexes::int, s.label, s.builtin::int",
    {TEXTOID});
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
    "  fraud._kept_text($13), fraud._kept_text($14)"
    " FROM fraud.feature_sets s WHERE s.feature_set = $1",
    {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTARRAYOID, TEXTARRAYOID, INTERVALOID,
     INTERVALOID, TEXTOID, BOOLOID, TEXTARRAYOID, TEXTOID, TEXTOID});
Statement note_feature(
    "SELECT fraud._audit('add', 'feature', $1 || '.' || $2, NULL,"
    "  jsonb_strip_nulls(to_jsonb(d)) - '{feature_set,feature,columns}'::text[])"
    " FROM fraud.feature_definitions d WHERE d.feature_set = $1 AND d.feature = $2",
    {TEXTOID, TEXTOID});

}  // namespace

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

void insert_definition(const Definition& definition) {
  OwnerScope owner;
  Spi spi;
  spi.run(count_features, {text_param(definition.set), text_param(definition.feature)});
  if (*spi.integer(0, 2) != 0) {
    throw SqlError(ERRCODE_DUPLICATE_OBJECT, "feature set \"" + definition.set +
                                                 "\" has a feature \"" + definition.feature + "\" already",
                   {}, "Give it another name; fraud.drop_feature drops the one that is there.");
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

}  // namespace fraud::pg
