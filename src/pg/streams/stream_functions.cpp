// fraud.watch and fraud.unwatch.

#include <cstdio>

#include "pg/features/feature_expression.h"
#include "core/base/json_text.h"
#include "pg/models/set_scorer.h"
#include "pg/server/audit.h"
#include "pg/server/arguments.h"
#include "pg/server/boundary.h"
#include "pg/server/owner_scope.h"
#include "pg/streams/stream.h"

extern "C" {
#include "common/hashfn.h"
#include "storage/lmgr.h"
}

namespace fraud::pg {

namespace {

// The set is not dropped meanwhile: that takes its row, too.
Statement lock_set("SELECT 1 FROM fraud.feature_sets s WHERE s.feature_set = $1 FOR SHARE", {TEXTOID});
Statement insert_stream(
    "INSERT INTO fraud.streams AS s (stream, model, entity, amount, on_error) VALUES ($1, $2, $3, $4, $5)"
    " ON CONFLICT (stream) DO UPDATE SET model = excluded.model, entity = excluded.entity, amount = excluded.amount,"
    "  on_error = excluded.on_error, watched_at = excluded.watched_at, watched_by = excluded.watched_by, unwatched_at = NULL"
    " WHERE s.unwatched_at IS NOT NULL",
    {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID});
Statement missing_indexes("SELECT i.definition FROM fraud.feature_indexes($1) i WHERE NOT i.present AND i.obstacle IS NULL", {TEXTOID});
Statement end_stream(
    "UPDATE fraud.streams s SET unwatched_at = now() WHERE s.stream = $1 AND s.unwatched_at IS NULL"
    " RETURNING s.watched_by::text",
    {TEXTOID});
Statement stream_triggers("SELECT t.events::bigint, t.trigger::text FROM fraud._stream_triggers($1) t", {TEXTOID});

// Returns the relation's name as it is written in a query.
std::string qualified_name(Oid relation) {
  const char* name = protect([&]() -> const char* {
    const char* own = get_rel_name(relation);
    const char* schema = get_namespace_name(get_rel_namespace(relation));
    return own != nullptr && schema != nullptr ? quote_qualified_identifier(schema, own) : nullptr;
  });
  if (name == nullptr) throw SqlError(ERRCODE_UNDEFINED_TABLE, "the table was dropped meanwhile", {},
                                      "Make it and its feature set anew, and call this again.");
  return name;
}

bool has_rights_of(Oid user, const std::string& role_name) {
  const char* name = role_name.c_str();
  const Oid role = protect([&] { return get_role_oid(name, true); });
  return protect([&] { return OidIsValid(role) ? has_privs_of_role(user, role) : superuser_arg(user); });
}

// Refuses what has no rows of its own that are inserted, and a table of somebody else.
void check_table(Oid relation, Oid user) {
  const std::string name = qualified_name(relation);
  const char kind = protect([&] { return get_rel_relkind(relation); });
  if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE) {
    throw SqlError(ERRCODE_WRONG_OBJECT_TYPE, "\"" + name + "\" is not a table and cannot be watched",
                   "Rows are decided as they are inserted, which they are not into a view or a foreign table.",
                   "Make the feature set over the table that is inserted into.");
  }
  if (protect([&] { return get_rel_relispartition(relation); })) {
    throw SqlError(ERRCODE_WRONG_OBJECT_TYPE, "\"" + name + "\" is a partition and cannot be watched",
                   "Rows that are inserted into the partitioned table would not be seen.",
                   "Make the feature set over the partitioned table.");
  }
  if (!protect([&] { return owns_relation(relation, user); })) {
    throw SqlError(ERRCODE_INSUFFICIENT_PRIVILEGE, "must be owner of table " + name);
  }
}

// A name of at most 63 bytes that tells streams apart.
std::string trigger_name(const std::string& stream) {
  constexpr size_t kMost = 63;
  std::string name = "fraud_watch_" + stream;
  if (name.size() <= kMost) return name;
  char hash[9];
  std::snprintf(hash, sizeof(hash), "%08x",
                hash_bytes(reinterpret_cast<const unsigned char*>(stream.data()), static_cast<int>(stream.size())));
  return name.substr(0, kMost - 9) + "_" + hash;
}

std::string quoted(const std::string& name) {
  const char* text = name.c_str();
  const char* result = protect([&] { return quote_identifier(text); });
  return result;
}

void warn_of_missing_indexes(Spi& spi, const std::string& set) {
  const uint64_t count = spi.run(missing_indexes, {text_param(set)});
  if (count == 0) return;
  const std::string hint = "fraud.create_feature_indexes('" + set + "') makes what is missing: " + *spi.text(0, 1) +
                           (count > 1 ? ", and others." : ".");
  const char* hint_text = hint.c_str();
  protect([&] {
    ereport(WARNING, (errcode(ERRCODE_WARNING),
                      errmsg("rows will be slow to insert: a key of the feature set has no index"),
                      errhint("%s", hint_text)));
  });
}

}  // namespace

}  // namespace fraud::pg

using namespace fraud;
using namespace fraud::pg;

// Arguments: feature_set, model, entity, amount, on_error.
FRAUD_FUNCTION(watch) {
  refuse_when_restricted("watch");
  const Oid user = caller();
  const std::string name = text_argument(fcinfo, 0, "feature_set");
  const std::shared_ptr<const FeatureSet> set = find_feature_set(name, false);
  if (set->definer.empty()) {
    throw SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "feature set \"" + name + "\" comes with the extension and cannot be watched",
                   {}, "Payments are decided by the sources, or by fraud.ingest.");
  }
  if (!has_rights_of(user, set->definer)) {
    throw SqlError(ERRCODE_INSUFFICIENT_PRIVILEGE, "must be owner of feature set \"" + name + "\"");
  }
  check_table(set->relation, user);
  // Nobody alters or renames the table from here on.
  protect([&] { LockRelationOid(set->relation, ShareRowExclusiveLock); });
  check_table(set->relation, user);
  const std::string model = PG_ARGISNULL(1) ? name : text_argument(fcinfo, 1, "model");
  const std::string on_error = text_argument(fcinfo, 4, "on_error");
  if (on_error != "store" && on_error != "fail") {
    throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "unknown on_error \"" + on_error + "\"", {},
                   "It is store (a row that cannot be scored is inserted all the same) or fail.");
  }
  std::string entity, amount;
  if (!PG_ARGISNULL(2)) entity = parse_expression(set->relation, "entity", text_argument(fcinfo, 2, "entity")).text;
  if (!PG_ARGISNULL(3)) {
    const FeatureExpression expression = parse_expression(set->relation, "amount", text_argument(fcinfo, 3, "amount"));
    if (!is_numeric_type(expression.type) || expression.type == BOOLOID) {
      const Oid type = expression.type;
      const char* type_name = protect([&] { return format_type_be(type); });
      throw SqlError(ERRCODE_DATATYPE_MISMATCH, "amount must be a number, not " + std::string(type_name));
    }
    amount = expression.text;
  }
  if (model.find('/') != std::string::npos) {
    throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "a stream is decided by an alias, not by a version", {},
                   "Name the model, or model@alias: thresholds are the alias's, and a promotion changes what decides.");
  }
  const SetScorer scorer(resolve_model(model, false), set);
  if (!scorer.model().has_thresholds || scorer.model().flat->transform() != Transform::kSigmoid) {
    throw SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "model \"" + model + "\" has no thresholds to decide by",
                   "Its scores are no probabilities.", "Train it with objective binary:logistic.");
  }
  const std::string table = qualified_name(set->relation);
  {
    OwnerScope owner;
    Spi spi;
    spi.run(lock_set, {text_param(name)});
    if (spi.run(insert_stream, {text_param(name), text_param(model), optional_text_param(entity), optional_text_param(amount),
                                text_param(on_error)}) == 0) {
      throw SqlError(ERRCODE_DUPLICATE_OBJECT, "the table of feature set \"" + name + "\" is watched already", {},
                     "fraud.unwatch ends that.");
    }
    spi.run("CREATE TRIGGER " + quoted(trigger_name(name)) + " AFTER INSERT ON " + table +
            " REFERENCING NEW TABLE AS fraud_new_rows FOR EACH STATEMENT EXECUTE FUNCTION fraud._decide_events('" + name + "')");
    // A schema can be renamed meanwhile, too.
    const uint64_t count = spi.run(stream_triggers, {text_param(name)});
    if (count != 1 || *spi.integer(0, 1) != static_cast<int64_t>(set->relation)) {
      throw SqlError(ERRCODE_OBJECT_IN_USE, "the table of feature set \"" + name + "\" was renamed meanwhile", {}, "Try again.");
    }
    warn_of_missing_indexes(spi, name);
  }
  JsonObject details;
  details.add("table", table).add("model", model).add("on_error", on_error);
  if (!entity.empty()) details.add("entity", entity);
  if (!amount.empty()) details.add("amount", amount);
  note_act("add", "stream", name, details.text());
  return (Datum)0;
}

FRAUD_FUNCTION(unwatch) {
  refuse_when_restricted("unwatch");
  const Oid user = caller();
  const std::string name = text_argument(fcinfo, 0, "feature_set");
  {
    OwnerScope owner;
    Spi spi;
    if (spi.run(end_stream, {text_param(name)}) == 0) {
      throw SqlError(ERRCODE_UNDEFINED_OBJECT, "no table is watched by feature set \"" + name + "\"", {},
                     "fraud.stream_status lists the streams.");
    }
    bool may = has_rights_of(user, *spi.text(0, 1));
    std::vector<std::pair<Oid, std::string>> triggers;
    const uint64_t count = spi.run(stream_triggers, {text_param(name)});
    for (uint64_t row = 0; row < count; ++row) {
      triggers.emplace_back(static_cast<Oid>(*spi.integer(row, 1)), *spi.text(row, 2));
      const Oid table = triggers.back().first;
      may = may || protect([&] { return owns_relation(table, user); });
    }
    if (!may) throw SqlError(ERRCODE_INSUFFICIENT_PRIVILEGE, "must be owner of stream \"" + name + "\"");
    for (const auto& [table, trigger] : triggers) spi.run("DROP TRIGGER " + quoted(trigger) + " ON " + qualified_name(table));
  }
  note_act("drop", "stream", name);
  return (Datum)0;
}
