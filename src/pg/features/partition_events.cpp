#include "pg/features/partition_events.h"

#include <utility>
#include <vector>

#include "pg/server/boundary.h"
#include "pg/server/row_types.h"

extern "C" {
#include "access/genam.h"
#include "access/nbtree.h"
#include "access/relscan.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/visibilitymap.h"
#include "catalog/index.h"
#include "commands/defrem.h"
#include "storage/lmgr.h"
#include "catalog/partition.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "partitioning/partbounds.h"
#include "partitioning/partdesc.h"
#include "storage/bufmgr.h"
#include "storage/predicate.h"
#include "utils/fmgroids.h"
#include "utils/partcache.h"
#include "utils/plancache.h"
#include "utils/rel.h"
}

namespace fraud::pg {

// The select list, made ready for the rows of one partition.
struct PartitionEvents::Partition {
  // What was made from a plan, in a context of its own.
  struct Made {
    MemoryContext context = nullptr;
    bool usable = false;
    ExprContext* expressions = nullptr;
    ProjectionInfo* projection = nullptr;
    TupleTableSlot *row = nullptr, *heap_row = nullptr, *given = nullptr, *result = nullptr;
    AttrNumber* given_places = nullptr;  // of StoredEvents::names
    AttrNumber time = 0, id = 0;         // columns of the partition
    Oid index = InvalidOid;
    RegProcedure key_equals = InvalidOid;
    bool index_only = false;
    int columns = 0;               // of the index
    AttrNumber* places = nullptr;  // of the index's columns in the row, where they are wanted; else 0
    Datum* values = nullptr;
    bool* nulls = nullptr;
  };

  ~Partition() noexcept { forget(); }
  void forget() noexcept {
    if (plan != nullptr) SPI_freeplan(plan);
    if (made.context != nullptr) MemoryContextDelete(made.context);
    plan = nullptr;
    cached = nullptr;
    made = Made();
  }

  Oid table = InvalidOid;
  SPIPlanPtr plan = nullptr;  // says when what is made from it is out of date
  CachedPlan* cached = nullptr;  // what was made is valid as long as the plan is this one
  int generation = 0;
  uint64_t looked_at = 0;  // in which computation
  Made made;
};

namespace {

constexpr int kIndexed = 3;  // key, time, id

AttrNumber column_of(TargetEntry* entry) {
  auto* variable = reinterpret_cast<Var*>(entry->expr);
  if (!IsA(variable, Var) || variable->varlevelsup != 0 || variable->varattno <= 0) return 0;
  return variable->varattno;
}

// An index that is what an index scan of those columns, in this order, asks for.
bool fits(Relation index, TupleDesc rows, const AttrNumber* columns) {
  Form_pg_index form = index->rd_index;
  if (index->rd_rel->relam != BTREE_AM_OID || !form->indisvalid || form->indcheckxmin || form->indnkeyatts < kIndexed) return false;
  if (!heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, nullptr)) return false;
  for (int i = 0; i < kIndexed; ++i) {
    if (form->indkey.values[i] != columns[i] || (index->rd_indoption[i] & (INDOPTION_DESC | INDOPTION_NULLS_FIRST)) != 0) return false;
    // In its column's own order: that of the comparisons in a query.
    Form_pg_attribute attribute = TupleDescAttr(rows, columns[i] - 1);
    const Oid usual = GetDefaultOpClass(attribute->atttypid, BTREE_AM_OID);
    if (index->rd_indcollation[i] != attribute->attcollation || !OidIsValid(usual) ||
        index->rd_opfamily[i] != get_opclass_family(usual) || index->rd_opcintype[i] != get_opclass_input_type(usual)) {
      return false;
    }
  }
  return true;
}

// Plans statements as a scan of all rows, whose target list is over the table's own columns.
SPIPlanPtr plan_scan(const char* sql) {
  const int level = NewGUCNestLevel();
  for (const char* setting : {"enable_indexscan", "enable_indexonlyscan", "enable_bitmapscan"}) {
    (void)set_config_option(setting, "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
  }
  (void)set_config_option("enable_seqscan", "on", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
  SPIPlanPtr plan = SPI_prepare(sql, 0, nullptr);
  if (plan == nullptr) elog(ERROR, "SPI_prepare: %s", SPI_result_code_string(SPI_result));
  if (SPI_keepplan(plan) != 0) elog(ERROR, "SPI_keepplan failed");
  ReleaseCachedPlan(SPI_plan_get_cached_plan(plan), CurrentResourceOwner);
  AtEOXact_GUC(false, level);
  return plan;
}

}  // namespace

PartitionEvents::PartitionEvents(StoredEvents stored, std::string list, std::string key)
    : stored_(std::move(stored)), list_(std::move(list)), key_(std::move(key)) {}

PartitionEvents::~PartitionEvents() noexcept = default;

// Returns what reads the partition, which is locked then; nullptr where it is not as expected.
PartitionEvents::Partition* PartitionEvents::ready(Oid table) {
  std::unique_ptr<Partition>& kept = partitions_[table];
  if (kept == nullptr) kept = std::make_unique<Partition>();
  Partition& one = *kept;
  // Its lock is held since then.
  if (one.looked_at == computation_ && one.plan != nullptr) return one.made.usable ? &one : nullptr;
  one.looked_at = computation_;
  CachedPlan* cached = nullptr;
  // The look at the plan takes the locks that running it would.
  auto look = [&] {
    protect([&] {
      cached = SPI_plan_get_cached_plan(one.plan);
      if (cached != nullptr) ReleaseCachedPlan(cached, CurrentResourceOwner);
    });
  };
  // What was told of a renaming is heard with the lock; a plan that is out of date would look for the old name.
  const bool valid = one.plan != nullptr && protect([&] {
    LockRelationOid(table, AccessShareLock);
    return SPI_plan_is_valid(one.plan);
  });
  if (valid) {
    look();
    if (cached != nullptr && cached == one.cached && cached->generation == one.generation) return one.made.usable ? &one : nullptr;
  }
  one.forget();
  one.table = table;
  const std::string name = protect([&] {
    char* relation = get_rel_name(table);
    if (relation == nullptr) elog(ERROR, "partition %u is gone", table);
    return quote_qualified_identifier(get_namespace_name(get_rel_namespace(table)), relation);
  });
  const bool by_key = !key_.empty();
  const std::string sql = list_ + (by_key ? ", " + key_ : "") + " FROM (SELECT " + stored_.columns + " FROM ONLY " + name + " t) e";
  const char* text = sql.c_str();
  const PlainColumn* names = stored_.names;
  protect([&] { one.plan = plan_scan(text); });
  look();
  if (cached == nullptr) return nullptr;
  one.cached = cached;
  one.generation = cached->generation;
  protect([&] {
    auto* statement = linitial_node(PlannedStmt, cached->stmt_list);
    Plan* scan = statement->planTree;
    if (!IsA(scan, SeqScan) || scan->qual != NIL || statement->subplans != NIL || list_length(scan->targetlist) < 2) return;
    one.made.context = AllocSetContextCreate(TopMemoryContext, "fraud_detect partition", ALLOCSET_SMALL_SIZES);
    MemoryContext old = MemoryContextSwitchTo(one.made.context);
    auto* list = static_cast<List*>(copyObjectImpl(scan->targetlist));
    const AttrNumber wanted[kIndexed] = {column_of(llast_node(TargetEntry, list)), column_of(linitial_node(TargetEntry, list)),
                                         column_of(lsecond_node(TargetEntry, list))};
    if (by_key) list = list_truncate(list, list_length(list) - 1);
    Relation relation = table_open(table, NoLock);
    if (by_key && relation->rd_rel->relkind == RELKIND_RELATION && wanted[0] > 0 && wanted[1] > 0 && wanted[2] > 0) {
      ListCell* cell;
      foreach (cell, RelationGetIndexList(relation)) {
        Relation index = index_open(lfirst_oid(cell), AccessShareLock);
        if (!OidIsValid(one.made.index) && fits(index, RelationGetDescr(relation), wanted)) {
          one.made.index = RelationGetRelid(index);
          Oid family = index->rd_opfamily[0], type = index->rd_opcintype[0];
          one.made.key_equals = get_opcode(get_opfamily_member(family, type, type, BTEqualStrategyNumber));
          one.made.columns = IndexRelationGetNumberOfAttributes(index);
          one.made.places = static_cast<AttrNumber*>(palloc0(sizeof(AttrNumber) * static_cast<size_t>(one.made.columns)));
          one.made.values = static_cast<Datum*>(palloc0(sizeof(Datum) * static_cast<size_t>(one.made.columns)));
          one.made.nulls = static_cast<bool*>(palloc0(sizeof(bool) * static_cast<size_t>(one.made.columns)));
          Bitmapset* used = nullptr;
          pull_varattnos(reinterpret_cast<::Node*>(list), reinterpret_cast<Scan*>(scan)->scanrelid, &used);
          one.made.index_only = true;
          for (int member = -1; (member = bms_next_member(used, member)) >= 0;) {
            const int attribute = member + FirstLowInvalidHeapAttributeNumber;
            bool found = false;
            for (int i = 0; i < one.made.columns; ++i) {
              if (index->rd_index->indkey.values[i] != attribute || attribute <= 0) continue;
              one.made.places[i] = static_cast<AttrNumber>(attribute);
              found = true;
            }
            one.made.index_only = one.made.index_only && found;
          }
          for (int i = 1; i < kIndexed; ++i) one.made.places[i] = wanted[i];
        }
        index_close(index, NoLock);
      }
    }
    if (!by_key) {
      TupleDesc descriptor = CreateTupleDescCopyConstr(RelationGetDescr(relation));
      int count = 0;
      while (names[count].name != nullptr) ++count;
      one.made.given_places = static_cast<AttrNumber*>(palloc0(sizeof(AttrNumber) * static_cast<size_t>(count)));
      one.made.usable = relation->rd_rel->relkind == RELKIND_RELATION;
      for (int i = 0; i < count; ++i) {
        const int at = attribute_named(descriptor, names[i].name, strlen(names[i].name));
        one.made.given_places[i] = static_cast<AttrNumber>(at + 1);
        one.made.usable = one.made.usable && at >= 0 && takes_as_is(names[i], TupleDescAttr(descriptor, at));
      }
      one.made.row = one.made.given = MakeSingleTupleTableSlot(descriptor, &TTSOpsVirtual);
    }
    if (by_key && OidIsValid(one.made.index) && OidIsValid(one.made.key_equals)) {
      TupleDesc descriptor = CreateTupleDescCopyConstr(RelationGetDescr(relation));
      one.made.time = wanted[1];
      one.made.id = wanted[2];
      one.made.heap_row = MakeSingleTupleTableSlot(descriptor, table_slot_callbacks(relation));
      one.made.row = one.made.index_only ? MakeSingleTupleTableSlot(descriptor, &TTSOpsVirtual) : one.made.heap_row;
      one.made.usable = true;
    }
    if (one.made.usable) {
      one.made.result = MakeSingleTupleTableSlot(ExecTypeFromTL(list), &TTSOpsVirtual);
      one.made.expressions = CreateStandaloneExprContext();
      one.made.projection = ExecBuildProjectionInfo(list, one.made.expressions, one.made.result, nullptr, nullptr);
    }
    table_close(relation, NoLock);
    MemoryContextSwitchTo(old);
  });
  return one.made.usable ? &one : nullptr;
}

namespace {

// The partitions that may hold events of these times, in their order; false where that cannot be told.
// Plain Postgres code, for protect().
bool partitions_between(Oid table, TimestampTz from, TimestampTz to, Oid* found, int room, int* count) {
  Relation relation = table_open(table, AccessShareLock);
  PartitionKey key = RelationGetPartitionKey(relation);
  bool sound = key != nullptr && key->strategy == PARTITION_STRATEGY_RANGE && key->partnatts == 1 && key->partattrs[0] != 0 &&
               key->parttypid[0] == TIMESTAMPTZOID && !relation->rd_rel->relforcerowsecurity && may_use(table, ACL_SELECT);
  if (sound) {
    PartitionDesc parts = RelationGetPartitionDesc(relation, true);
    PartitionBoundInfo bounds = parts->boundinfo;
    if (parts->nparts > 0 && bounds != nullptr) {
      sound = bounds->default_index < 0;
      Datum values[2] = {TimestampTzGetDatum(from), TimestampTzGetDatum(to)};
      bool equal = false;
      const int first = partition_range_datum_bsearch(key->partsupfunc, key->partcollation, bounds, 1, &values[0], &equal) + 1;
      const int last = partition_range_datum_bsearch(key->partsupfunc, key->partcollation, bounds, 1, &values[1], &equal) + 1;
      for (int i = first; sound && i <= last; ++i) {
        const int part = bounds->indexes[i];
        if (part < 0) continue;
        sound = parts->is_leaf[part] && *count < room;
        if (sound) found[(*count)++] = parts->oids[part];
      }
    }
  }
  table_close(relation, NoLock);
  return sound;
}

// Whether the row in the slot is of that time at most, and comes before the range's (time, id).
bool comes_before(TupleTableSlot* slot, AttrNumber time, AttrNumber id, TimestampTz until, const EventRange& range, Relation index) {
  bool null = false;
  const TimestampTz at = DatumGetTimestampTz(slot_getattr(slot, time, &null));
  if (at < range.before) return at <= until;
  if (at > range.before) return false;
  Datum value = slot_getattr(slot, id, &null);
  FmgrInfo* compare = index_getprocinfo(index, kIndexed, BTORDER_PROC);
  return DatumGetInt32(FunctionCall2Coll(compare, index->rd_indcollation[kIndexed - 1], value, range.before_id)) < 0;
}

// While it lives, nobody takes what is in use away: planning, too, may run a user's functions.
class Reading {
 public:
  explicit Reading(bool* reading) : reading_(reading) { *reading_ = true; }
  ~Reading() noexcept { *reading_ = false; }
  Reading(const Reading&) = delete;
  Reading& operator=(const Reading&) = delete;

 private:
  bool* reading_;
};

}  // namespace

bool PartitionEvents::give(const std::vector<NewRow>& rows, DestReceiver* receiver) {
  if (reading_ || rows.empty()) return false;
  Reading reading(&reading_);
  std::vector<Partition*> parts;
  Oid root = stored_.table;
  for (const NewRow& row : rows) {
    Oid table = InvalidOid;
    int count = 0;
    const TimestampTz time = row.time;
    if (!protect([&] { return partitions_between(root, time, time, &table, 1, &count); }) || count == 0) return false;
    Partition* one = ready(table);
    if (one == nullptr) return false;
    parts.push_back(one);
  }
  try {
    for (size_t i = 0; i < rows.size(); ++i) {
      Partition& one = *parts[i];
      const SqlValue* values = rows[i].values;
      const PlainColumn* names = stored_.names;
      const bool starts = i == 0 || parts[i] != parts[i - 1];
      protect([&] {
        TupleTableSlot* row = one.made.given;
        ExecClearTuple(row);
        memset(row->tts_isnull, true, static_cast<size_t>(row->tts_tupleDescriptor->natts));
        for (int column = 0; names[column].name != nullptr; ++column) {
          row->tts_values[one.made.given_places[column] - 1] = values[column].value;
          row->tts_isnull[one.made.given_places[column] - 1] = values[column].null;
        }
        ExecStoreVirtualTuple(row);
        if (starts) receiver->rStartup(receiver, CMD_SELECT, one.made.result->tts_tupleDescriptor);
        ResetExprContext(one.made.expressions);
        one.made.expressions->ecxt_scantuple = row;
        (void)receiver->receiveSlot(ExecProject(one.made.projection), receiver);
        ExecClearTuple(one.made.result);
        ExecClearTuple(row);
      });
    }
  } catch (...) {
    for (Partition* one : parts) one->forget();
    throw;
  }
  return true;
}

bool PartitionEvents::read(const EventRange& range, DestReceiver* receiver, Snapshot snapshot) {
  // An expression that asks for features itself.
  if (reading_) return false;
  if (range.until <= range.after) return true;
  Reading reading(&reading_);
  constexpr int kMost = 64;
  Oid tables[kMost];
  int count = 0;
  Oid root = stored_.table;
  TimestampTz from = range.after, to = std::min(range.until, range.before);
  if (!protect([&] { return partitions_between(root, from, to, tables, kMost, &count); })) return false;
  std::vector<Partition*> parts;
  for (int i = 0; i < count; ++i) {
    Partition* one = ready(tables[i]);
    if (one == nullptr) return false;
    parts.push_back(one);
  }
  try {
    for (Partition* each : parts) {
      Partition& one = *each;
      const bool more = protect([&] {
        Relation heap = table_open(one.table, NoLock);
        Relation index = index_open(one.made.index, AccessShareLock);
        receiver->rStartup(receiver, CMD_SELECT, one.made.result->tts_tupleDescriptor);
        // Up to when is not asked of the index, which would compare it for each entry: events after it are few.
        ScanKeyData keys[2];
        ScanKeyEntryInitialize(&keys[0], 0, 1, BTEqualStrategyNumber, InvalidOid, index->rd_indcollation[0], one.made.key_equals, range.key);
        ScanKeyEntryInitialize(&keys[1], 0, 2, BTGreaterStrategyNumber, InvalidOid, InvalidOid, F_TIMESTAMPTZ_GT,
                               TimestampTzGetDatum(from));
        IndexScanDesc scan = begin_index_scan(heap, index, snapshot, 2);
        const bool index_only = one.made.index_only && !IsolationIsSerializable();
        scan->xs_want_itup = index_only;
        index_rescan(scan, keys, 2, nullptr, 0);
        TupleTableSlot* row = index_only ? one.made.row : one.made.heap_row;
        Buffer map = InvalidBuffer;
        bool wanted = true;
        if (index_only) {
          memset(row->tts_isnull, true, static_cast<size_t>(row->tts_tupleDescriptor->natts));
          ExecClearTuple(row);
          ExecStoreVirtualTuple(row);
        }
        one.made.expressions->ecxt_scantuple = row;
        while (wanted) {
          CHECK_FOR_INTERRUPTS();
          if (index_only) {
            ItemPointer place = index_getnext_tid(scan, ForwardScanDirection);
            if (place == nullptr) break;
            if (!VM_ALL_VISIBLE(heap, ItemPointerGetBlockNumber(place), &map)) {
              if (!index_fetch_heap(scan, one.made.heap_row)) continue;
              ExecClearTuple(one.made.heap_row);
            }
            index_deform_tuple(scan->xs_itup, scan->xs_itupdesc, one.made.values, one.made.nulls);
            for (int i = 0; i < one.made.columns; ++i) {
              if (one.made.places[i] == 0) continue;
              row->tts_values[one.made.places[i] - 1] = one.made.values[i];
              row->tts_isnull[one.made.places[i] - 1] = one.made.nulls[i];
            }
          } else if (!index_getnext_slot(scan, ForwardScanDirection, row)) {
            break;
          }
          if (!comes_before(row, one.made.time, one.made.id, to, range, index)) break;
          ResetExprContext(one.made.expressions);
          wanted = receiver->receiveSlot(ExecProject(one.made.projection), receiver);
        }
        if (map != InvalidBuffer) ReleaseBuffer(map);
        ExecClearTuple(one.made.result);
        ExecClearTuple(row);
        index_endscan(scan);
        index_close(index, NoLock);
        table_close(heap, NoLock);
        return wanted;
      });
      if (!more) break;
    }
  } catch (...) {
    // Slots may hold what the abort releases.
    for (Partition* one : parts) one->forget();
    throw;
  }
  return true;
}

}  // namespace fraud::pg
