// SQL functions on tiles: the folder, and the trigger by which events tables mark what changes.
#include <algorithm>
#include <map>
#include <memory>
#include <string>

#include "pg/features/tile_folding.h"
#include "pg/features/tile_marks.h"
#include "pg/features/tile_search.h"
#include "pg/features/tile_shape.h"
#include "pg/server/audit.h"
#include "pg/server/arguments.h"
#include "pg/server/boundary.h"
#include "pg/server/compat.h"
#include "pg/server/gucs.h"
#include "pg/server/owner_scope.h"
#include "pg/server/plan_settings.h"
#include "pg/server/spi.h"
#include "pg/server/subtransaction.h"

extern "C" {
#include "commands/trigger.h"
#include "nodes/parsenodes.h"
#include "tcop/pquery.h"
#include "catalog/partition.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
#include "utils/rls.h"
}

namespace fraud::pg {

namespace {

Statement event_columns("SELECT fraud._payment_event_columns()", {});

// A row of the table as an event of the set. A partition's rows are of a type of its own.
EventSource event_of_row(const FeatureSet& set, Oid table, Oid root, Datum row) {
  Oid row_type = protect([&] { return get_rel_type_id(table); }), root_type = protect([&] { return get_rel_type_id(root); });
  const std::string type = protect([&] { return format_type_be_qualified(row_type); });
  const std::string whole = protect([&] { return format_type_be_qualified(root_type); });
  const std::string rows = "pg_catalog.unnest(ARRAY[($1::" + type + ")::" + whole + "])";
  if (!set.builtin) return {rows + " e", {row_type}, {{row}}, {}, {}, {}};
  Spi spi;
  spi.run(event_columns, {});
  return {"(SELECT " + *spi.text(0, 1) + " FROM " + rows + " t) e", {row_type}, {{row}}, {}, {}, {}};
}

// The table that is the root of the partitions which the relation is one of; itself, mostly.
Oid root_of(Oid table) {
  return protect([&] {
    Oid at = table;
    while (get_rel_relispartition(at)) at = get_partition_parent(at, true);
    return at;
  });
}

// Adds time and keys of a row.
void add_row(const std::shared_ptr<const FeatureSet>& set, Oid table, Datum row, ChangedEvents* changed, std::shared_ptr<OnlineSet>* online) {
  const EventSource events = event_of_row(*set, table, root_of(table), row);
  *online = online_set(set, events);
  DefinerScope definer(*set);
  plan_index_scans_alone();
  Spi spi;
  if (!(*online)->event.prepared()) prepare_event(**online, events);
  EventReader reader(*set, (*online)->event_columns, set->locals.size(), set->inputs.size(), set->keys.size());
  std::vector<Datum> values;
  for (const SqlValue& value : events.values) values.push_back(value.value);
  (*online)->event.run(values.data(), reader.receiver(), false);
  reader.check();
  changed->add(**online, reader);
}

Datum row_datum(HeapTuple tuple, Relation relation) {
  return protect([&] { return heap_copy_tuple_as_datum(tuple, RelationGetDescr(relation)); });
}

void mark_row(const TriggerData* data, std::string_view name) {
  announce_changes();
  {
    const LatestSnapshot latest;
    TileTables tables;
    if (tables.none()) return;
    const std::optional<TileSetRow> row = tables.set(name, latest.get());
    if (!row || !row->marked_to) return;
  }
  const Oid table = RelationGetRelid(data->tg_relation);
  try {
    in_subtransaction([&] {
      const std::shared_ptr<const FeatureSet> set = find_feature_set(name, false);
      ChangedEvents changed;
      std::shared_ptr<OnlineSet> online;
      add_row(set, table, row_datum(data->tg_trigtuple, data->tg_relation), &changed, &online);
      if (TRIGGER_FIRED_BY_UPDATE(data->tg_event)) {
        add_row(set, table, row_datum(data->tg_newtuple, data->tg_relation), &changed, &online);
      }
      changed.mark(*online);
    });
  } catch (const PgError& error) {
    if (ERRCODE_TO_CATEGORY(error.data()->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION) throw;
    protect([&] { FreeErrorData(error.data()); });
    // Whose row it is fails for a reason of its own: his row is not refused for that.
    mark_all_tiles(name, DT_NOBEGIN, DT_NOEND);
  } catch (const SqlError&) {
    mark_all_tiles(name, DT_NOBEGIN, DT_NOEND);
  }
}

// ------------------------------------------------------- a user's own table

Statement add_set("INSERT INTO fraud.tile_sets (feature_set) VALUES ($1) ON CONFLICT DO NOTHING", {TEXTOID});
Statement drop_set("SELECT fraud._drop_tiles(s.set_id, true) FROM fraud.tile_sets s WHERE s.feature_set = $1", {TEXTOID});
Statement lock_set("SELECT 1 FROM fraud.feature_sets s WHERE s.feature_set = $1 FOR SHARE", {TEXTOID});
Statement find_set("SELECT s.set_id FROM fraud.tile_sets s WHERE s.feature_set = $1", {TEXTOID});
Statement drop_tile_triggers("SELECT fraud._drop_tile_triggers($1)", {TEXTOID});

// Makes what a key's tiles are made from sure to be the same whoever computes it and when.
void check_immutable(const FeatureSet& set) {
  auto check = [&](const char* what, const std::string& sql) {
    if (sql.empty() || parse_stored_expression(set, what, sql).is_immutable) return;
    throw SqlError(ERRCODE_FEATURE_NOT_SUPPORTED, "feature set \"" + set.name + "\" can have no tiles: its " + what + " is not immutable",
                   "The expression " + sql + " may have another value later, or in another session.",
                   "A timestamptz column is; what is derived by the session's time zone or from now() is not.");
  };
  check("event_time", set.time);
  check("event_id", set.id);
  check("label", set.label_as_boolean);
  check("label_known_at", set.known_at);
  check("label_changes", set.label_changes);
  for (const FeatureSet::Key& key : set.keys) {
    for (const std::string& part : key.parts) check("key", part);
  }
  for (const FeatureSet::Input& input : set.inputs) check("value or filter", input.sql);
}

// Refuses what has no rows of its own that triggers see, and a table of somebody else.
void check_events_table(const FeatureSet& set, Oid user) {
  Oid relation = set.relation;
  const std::string name = protect([&] {
    const char* own = get_rel_name(relation);
    return own != nullptr ? quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)), own) : "";
  });
  const char kind = protect([&] { return get_rel_relkind(relation); });
  if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE) {
    throw SqlError(ERRCODE_WRONG_OBJECT_TYPE, "feature set \"" + set.name + "\" can have no tiles: \"" + name + "\" is not a table",
                   "Nobody sees when rows of a view or a foreign table change.", "Make the feature set over the table itself.");
  }
  if (protect([&] { return get_rel_relispartition(relation); })) {
    throw SqlError(ERRCODE_WRONG_OBJECT_TYPE, "feature set \"" + set.name + "\" can have no tiles: \"" + name + "\" is a partition",
                   {}, "Make the feature set over the partitioned table.");
  }
  if (kind == RELKIND_RELATION && protect([&] { return has_subclass(relation) && find_inheritance_children(relation, NoLock) != NIL; })) {
    throw SqlError(ERRCODE_WRONG_OBJECT_TYPE, "feature set \"" + set.name + "\" can have no tiles: tables inherit from \"" + name + "\"",
                   "Rows of theirs are events of the set, and fire no trigger of this table.", "Partition the table instead.");
  }
  const char* definer = set.definer.c_str();
  const Oid role = protect([&] { return get_role_oid(definer, true); });
  if (OidIsValid(role) && protect([&] { return check_enable_rls(relation, role, true) == RLS_ENABLED; })) {
    throw SqlError(ERRCODE_FEATURE_NOT_SUPPORTED, "feature set \"" + set.name + "\" can have no tiles: \"" + name + "\" has row-level security",
                   "Which rows \"" + set.definer + "\" sees may be another matter in each session.", "Have the set made by the table's owner, or a role with BYPASSRLS.");
  }
  if (!protect([&] { return owns_relation(relation, user); })) {
    throw SqlError(ERRCODE_INSUFFICIENT_PRIVILEGE, "must be owner of table " + name);
  }
}

// The set, which the caller must own.
std::shared_ptr<const FeatureSet> own_set(std::string_view name) {
  const std::shared_ptr<const FeatureSet> set = find_feature_set(name, false);
  if (set->builtin) {
    throw SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "feature set \"" + set->name + "\" comes with the extension, and has tiles", {},
                   "fraud_detect.tiles = off has its windows read from the events alone.");
  }
  const char* definer = set->definer.c_str();
  const Oid user = caller(), role = protect([&] { return get_role_oid(definer, true); });
  if (!protect([&] { return OidIsValid(role) ? has_privs_of_role(user, role) : superuser_arg(user); })) {
    throw SqlError(ERRCODE_INSUFFICIENT_PRIVILEGE, "must be owner of feature set \"" + set->name + "\"");
  }
  return set;
}

void drop_triggers(Spi& spi, const std::string& set) { spi.run(drop_tile_triggers, {text_param(set)}); }

}  // namespace

}  // namespace fraud::pg

using namespace fraud::pg;

FRAUD_FUNCTION(tile_features) {
  refuse_when_restricted("tile_features");
  const std::shared_ptr<const FeatureSet> set = own_set(text_argument(fcinfo, 0, "feature_set"));
  const Oid user = caller();
  check_events_table(*set, user);
  // Nobody changes a row between the triggers and the first look, or alters the table.
  protect([&] { LockRelationOid(set->relation, ShareRowExclusiveLock); });
  check_events_table(*set, user);
  check_immutable(*set);
  const std::string from = set->from_clause();
  const std::string table = from.substr(6, from.size() - 8);  // " FROM " before, " e" behind
  OwnerScope owner;
  Spi spi;
  spi.run(lock_set, {text_param(set->name)});
  drop_triggers(spi, set->name);
  spi.run(drop_set, {text_param(set->name)});
  spi.run(add_set, {text_param(set->name)});
  const std::string call = " EXECUTE FUNCTION fraud._mark_tiles('" + set->name + "')";
  struct Made {
    const char* name;
    const char* when;
  };
  for (const Made& made : {Made{"fraud_tiles_rows_", "AFTER INSERT OR UPDATE OR DELETE"}, Made{"fraud_tiles_all_", "AFTER TRUNCATE"}}) {
    const std::string name = made.name + set->name.substr(0, 40);
    const char* plain = name.c_str();
    const std::string trigger = protect([&] { return quote_identifier(plain); });
    spi.run("CREATE TRIGGER " + trigger + " " + made.when + " ON " + table + " FOR EACH " +
            (made.when == std::string("AFTER TRUNCATE") ? "STATEMENT" : "ROW") + call);
    spi.run("ALTER TABLE " + table + " ENABLE ALWAYS TRIGGER " + trigger);
  }
  note_act("add", "tiles", set->name);
  return (Datum)0;
}

FRAUD_FUNCTION(untile_features) {
  refuse_when_restricted("untile_features");
  const std::shared_ptr<const FeatureSet> set = own_set(text_argument(fcinfo, 0, "feature_set"));
  OwnerScope owner;
  Spi spi;
  drop_triggers(spi, set->name);
  spi.run(drop_set, {text_param(set->name)});
  note_act("drop", "tiles", set->name);
  return (Datum)0;
}

FRAUD_FUNCTION(fold_tiles) {
  refuse_when_restricted("fold_tiles_step");
  OwnerScope owner;
  const Folded folded = fold_tiles(true);
  const char* said = folded == Folded::kMore ? "more" : folded == Folded::kWaits ? "waits" : "all";
  return protect([&] { return CStringGetTextDatum(said); });
}

FRAUD_FUNCTION(fold_all_tiles) {
  const auto* call = reinterpret_cast<const CallContext*>(fcinfo->context);
  if (call == nullptr || !IsA(call, CallContext) || call->atomic) {
    throw SqlError(ERRCODE_ACTIVE_SQL_TRANSACTION, "fraud.fold_tiles cannot run inside a transaction block", {},
                   "It commits each piece; fraud.fold_tiles_step() does one in a transaction of yours.");
  }
  need_argument(fcinfo, 0, "patience");
  const int64_t patience = interval_microseconds(*PG_GETARG_INTERVAL_P(0), "patience");
  TimestampTz waiting_since = 0;
  Spi spi(Spi::Commits::kYes);
  for (;;) {
    Folded folded = Folded::kAll;
    {
      OwnerScope owner;
      folded = fold_tiles(true);
    }
    protect([] {
      SPI_commit();
      EnsurePortalSnapshotExists();
      CHECK_FOR_INTERRUPTS();
    });
    if (folded == Folded::kAll) return (Datum)0;
    const TimestampTz now = GetCurrentTimestamp();
    if (folded == Folded::kMore) {
      waiting_since = 0;
      continue;
    }
    if (waiting_since == 0) waiting_since = now;
    if (now - waiting_since > patience) return (Datum)0;
    protect([] { pg_usleep(10000); });
  }
}

FRAUD_FUNCTION(mark_tiles) {
  const auto* data = reinterpret_cast<TriggerData*>(fcinfo->context);
  if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(data->tg_event) || data->tg_trigger->tgnargs != 1) {
    throw SqlError(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED,
                   "fraud._mark_tiles() is for triggers AFTER a change, with the name of a feature set", {},
                   "Drop that trigger, and call fraud.tile_features.");
  }
  const std::string_view set = data->tg_trigger->tgargs[0];
  if (TRIGGER_FIRED_FOR_ROW(data->tg_event)) {
    mark_row(data, set);
  } else {
    mark_all_tiles(set, DT_NOBEGIN, DT_NOEND);
  }
  return (Datum)0;
}

FRAUD_FUNCTION(request_tiles) {
  refuse_when_restricted("request_tiles");
  const std::shared_ptr<const FeatureSet> set = find_feature_set(text_argument(fcinfo, 0, "feature_set"), false);
  check_may_read(*set);
  std::vector<TileRequest> requests;
  {
    OwnerScope owner;
    Spi spi;
    TileSource source(set);
    if (tile_signature(source.online()).empty()) {
      throw SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "feature set \"" + set->name + "\" has no tiles", {},
                     "fraud.tile_features('" + set->name + "') has changes of its events marked.");
    }
    spi.run(add_set, {text_param(set->name)});
    spi.run(find_set, {text_param(set->name)});
    const auto id = static_cast<int32_t>(*spi.integer(0, 1));
    requests = keys_with_many_events(source, id, std::max(guc_tile_threshold, 1));
  }
  request_tiles(requests);
  return Int64GetDatum(static_cast<int64_t>(requests.size()));
}
