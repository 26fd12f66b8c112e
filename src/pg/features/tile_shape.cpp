#include "pg/features/tile_shape.h"

#include "pg/server/boundary.h"

#include "pg/server/owner_scope.h"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "common/hashfn.h"
#include "partitioning/partdesc.h"
#include "utils/acl.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/syscache.h"
}

namespace fraud::pg {

TileShapes::TileShapes(const OnlineSet& online) : readers(online.set->keys.size()) {
  const FeatureSet& set = *online.set;
  std::string all;
  auto add = [&all](const std::string& part) { all += std::to_string(part.size()) + ":" + part; };
  for (const std::string& text : {set.time, set.id, set.label_as_boolean, set.known_at, set.label_changes}) add(text);
  add(std::to_string(set.relation));
  add(std::to_string(set.label_delay_us));
  for (const FeatureSet::Input& input : set.inputs) {
    add(input.sql);
    add(input.hashed ? "hashed" : "number");
  }
  for (size_t key = 0; key < set.keys.size(); ++key) {
    const KeyPlan& plan = online.engine.plan(key);
    keys.emplace_back(plan);
    readers[key] = online.readings[key].reader == key && !plan.empty();
    for (const std::string& part : set.keys[key].parts) add(part);
    add(std::to_string(online.readings[key].reader));
    add(std::to_string(plan.reach_us()) + "/" + std::to_string(plan.least_delay_us()));
    add(keys.back().signature());
  }
  const std::string_view bytes = all;
  const std::string_view digested = protect([&] {
    Datum value = PointerGetDatum(cstring_to_text_with_len(bytes.data(), static_cast<int>(bytes.size())));
    varlena* sum = PG_DETOAST_DATUM_PACKED(DirectFunctionCall1(sha256_bytea, value));
    return std::string_view(VARDATA_ANY(sum), static_cast<size_t>(VARSIZE_ANY_EXHDR(sum)));
  });
  digest = std::string(digested);
}

namespace {

// Mixes which rows of pg_trigger a table has: whoever takes a trigger off and puts it back leaves another. Plain Postgres code.
void add_triggers(Oid table, uint64* mixed) {
  Relation catalog = table_open(TriggerRelationId, AccessShareLock);
  ScanKeyData key;
  ScanKeyInit(&key, Anum_pg_trigger_tgrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(table));
  SysScanDesc scan = systable_beginscan(catalog, TriggerRelidNameIndexId, true, nullptr, 1, &key);
  for (HeapTuple row; HeapTupleIsValid(row = systable_getnext(scan));) {
    const auto* trigger = reinterpret_cast<Form_pg_trigger>(GETSTRUCT(row));
    *mixed = hash_combine64(*mixed, (static_cast<uint64>(trigger->oid) << 32) | HeapTupleHeaderGetRawXmin(row->t_data));
  }
  systable_endscan(scan);
  table_close(catalog, AccessShareLock);
}

// Mixes what tells whether partitions were attached, detached, dropped or truncated, which fires no trigger of the whole table. Plain
// Postgres code, for protect().
void add_partitions(Relation root, uint64* mixed) {
  PartitionDesc parts = RelationGetPartitionDesc(root, true);
  for (int i = 0; i < parts->nparts; ++i) {
    HeapTuple row = SearchSysCache1(RELOID, ObjectIdGetDatum(parts->oids[i]));
    if (!HeapTupleIsValid(row)) continue;
    const Oid file = reinterpret_cast<Form_pg_class>(GETSTRUCT(row))->relfilenode;
    ReleaseSysCache(row);
    *mixed = hash_combine64(*mixed, (static_cast<uint64>(parts->oids[i]) << 32) | file);
    add_triggers(parts->oids[i], mixed);
    if (parts->is_leaf[i]) continue;
    Relation part = table_open(parts->oids[i], AccessShareLock);
    if (part->rd_rel->relkind == RELKIND_PARTITIONED_TABLE) add_partitions(part, mixed);
    table_close(part, NoLock);
  }
}

// Mixes the months of payments that are not as the extension made them (fraud.months): those that somebody attached, truncated or
// rewrote, and those that he took out. In any order. Plain Postgres code, for protect().
void add_strange_months(Oid root, Oid schema, uint64* mixed) {
  struct Month {
    Oid partition, file;
    TransactionId attached;
  };
  List* months = NIL;
  Relation catalog = table_open(InheritsRelationId, AccessShareLock);
  ScanKeyData key;
  ScanKeyInit(&key, Anum_pg_inherits_inhparent, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(root));
  SysScanDesc scan = systable_beginscan(catalog, InheritsParentIndexId, true, nullptr, 1, &key);
  for (HeapTuple row; HeapTupleIsValid(row = systable_getnext(scan));) {
    auto* month = static_cast<Month*>(palloc(sizeof(Month)));
    month->partition = reinterpret_cast<Form_pg_inherits>(GETSTRUCT(row))->inhrelid;
    month->attached = HeapTupleHeaderGetRawXmin(row->t_data);
    HeapTuple described = SearchSysCache1(RELOID, ObjectIdGetDatum(month->partition));
    month->file = HeapTupleIsValid(described) ? reinterpret_cast<Form_pg_class>(GETSTRUCT(described))->relfilenode : InvalidOid;
    if (HeapTupleIsValid(described)) ReleaseSysCache(described);
    months = lappend(months, month);
  }
  systable_endscan(scan);
  table_close(catalog, AccessShareLock);

  uint64 strange = 0;
  auto add = [&strange](const Month& month) {
    strange += hash_combine64(hash_bytes_uint32_extended(month.partition, month.file), month.attached);
  };
  Relation made = table_open(get_relname_relid("months", schema), AccessShareLock);
  // By the snapshot that the catalog is read by.
  scan = systable_beginscan(made, InvalidOid, false, nullptr, 0, nullptr);
  int next = 0;  // they mostly stand in the same order
  for (HeapTuple row; HeapTupleIsValid(row = systable_getnext(scan));) {
    bool is_null;
    const Month noted = {DatumGetObjectId(heap_getattr(row, 1, RelationGetDescr(made), &is_null)),
                         DatumGetObjectId(heap_getattr(row, 2, RelationGetDescr(made), &is_null)),
                         DatumGetTransactionId(heap_getattr(row, 3, RelationGetDescr(made), &is_null))};
    if (!OidIsValid(noted.partition)) {  // a count
      add(noted);
      continue;
    }
    int looked = 0;
    const int count = list_length(months);
    while (looked < count && static_cast<Month*>(list_nth(months, next))->partition != noted.partition) {
      next = (next + 1) % count;
      ++looked;
    }
    if (looked == count) {
      add({noted.partition, InvalidOid, InvalidTransactionId});
      continue;
    }
    auto* month = static_cast<Month*>(list_nth(months, next));
    if (month->file == noted.file && month->attached == noted.attached) month->partition = InvalidOid;
  }
  systable_endscan(scan);
  table_close(made, AccessShareLock);
  ListCell* cell;
  foreach (cell, months) {
    const auto* month = static_cast<const Month*>(lfirst(cell));
    if (OidIsValid(month->partition)) add(*month);
  }
  list_free_deep(months);
  *mixed = hash_combine64(*mixed, strange);
}

// Whether the definer sees all rows of the table, and its triggers do. Plain Postgres code.
bool sees_all_rows(Relation table, const char* definer) {
  // Rows of tables that inherit are events, and fire triggers of their own alone.
  if (table->rd_rel->relkind == RELKIND_RELATION && table->rd_rel->relhassubclass &&
      find_inheritance_children(RelationGetRelid(table), NoLock) != NIL) {
    return false;
  }
  // A policy may show others to each session.
  if (!table->rd_rel->relrowsecurity) return true;
  const Oid role = get_role_oid(definer, true);
  return !OidIsValid(role) || check_enable_rls(RelationGetRelid(table), role, true) != RLS_ENABLED;
}

// Counts what may make a signature another one.
uint64_t invalidations = 1;

void count_invalidations() {
  static bool counting = false;
  if (counting) return;
  CacheRegisterRelcacheCallback([](Datum, Oid) { ++invalidations; }, (Datum)0);
  CacheRegisterSyscacheCallback(AUTHOID, [](Datum, int, uint32) { ++invalidations; }, (Datum)0);
  counting = true;
}

std::string read_signature(OnlineSet& online) {
  constexpr int kMost = 16;
  const FeatureSet& set = *online.set;
  const Oid schema = fraud_schema();
  const char* name = set.name.c_str();
  const char* definer = set.definer.c_str();
  struct {
    Oid trigger, function;
    int16 type;
  } fired[kMost];
  Oid found[kMost];
  uint64 mixed = 0;
  const int count = protect([&] {
    const Oid table = set.builtin ? get_relname_relid("transactions", schema) : set.relation;
    Relation relation = table_open(table, AccessShareLock);
    const TriggerDesc* triggers = relation->trigdesc;
    int of_rows = 0, of_statements = 0, number = 0, candidates = 0;
    // First what the table's entry says, which may be another once the catalog has been asked.
    for (int i = 0; triggers != nullptr && i < triggers->numtriggers; ++i) {
      const Trigger& trigger = triggers->triggers[i];
      if (trigger.tgenabled != TRIGGER_FIRES_ALWAYS || trigger.tgnargs != 1 || strcmp(trigger.tgargs[0], name) != 0 ||
          trigger.tgqual != nullptr || trigger.tgnattr != 0 || !TRIGGER_FOR_AFTER(trigger.tgtype) || candidates == kMost) {
        continue;
      }
      fired[candidates++] = {trigger.tgoid, trigger.tgfoid, trigger.tgtype};
    }
    for (int i = 0; i < candidates; ++i) {
      const char* function = get_func_name(fired[i].function);
      if (function == nullptr || strcmp(function, "_mark_tiles") != 0 || get_func_namespace(fired[i].function) != schema) continue;
      (TRIGGER_FOR_ROW(fired[i].type) ? of_rows : of_statements) |= fired[i].type;
      found[number++] = fired[i].trigger;
    }
    add_triggers(table, &mixed);
    if (set.builtin) add_strange_months(table, schema, &mixed);
    if (!set.builtin && relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE) add_partitions(relation, &mixed);
    // ALTER TABLE may have other values computed, of which triggers see nothing; it writes another file.
    if (!set.builtin) mixed = hash_combine64(mixed, relation->rd_rel->relfilenode);
    const bool all_rows = set.builtin || sees_all_rows(relation, definer);
    table_close(relation, NoLock);
    constexpr int kRows = TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE;
    return all_rows && (of_rows & kRows) == kRows && (of_statements & TRIGGER_TYPE_TRUNCATE) != 0 ? number : 0;
  });
  if (count == 0) return {};
  return online.tile_shapes().digest + std::string(reinterpret_cast<const char*>(found), static_cast<size_t>(count) * sizeof(Oid)) +
         std::string(reinterpret_cast<const char*>(&mixed), sizeof(mixed));
}

}  // namespace

const std::string& tile_signature(OnlineSet& online) {
  protect(count_invalidations);
  if (online.signed_at == invalidations) return online.signature;
  // What is heard of while it is read makes it be read once more.
  const uint64_t at = invalidations;
  online.signature = read_signature(online);
  online.signed_at = at;
  return online.signature;
}

}  // namespace fraud::pg
