#include "pg/server/table_writer.h"

#include <algorithm>
#include <exception>

#include "pg/server/boundary.h"
#include "pg/server/row_types.h"

extern "C" {
#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/pg_am.h"
#include "executor/executor.h"
#include "partitioning/partbounds.h"
#include "partitioning/partdesc.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/tuplesort.h"
}

namespace fraud::pg {

namespace {

constexpr size_t kRowsAtOnce = 16384, kRowsAtOnceToHeap = 1000;

// Plain Postgres code, for protect().
bool is_plain(Relation relation, bool leaf) {
  const char kind = relation->rd_rel->relkind;
  if (kind != (leaf ? RELKIND_RELATION : RELKIND_PARTITIONED_TABLE)) return false;
  // A statement's rights are those on what it names.
  if (!leaf && !may_use(RelationGetRelid(relation), ACL_INSERT)) return false;
  if (relation->rd_rel->relrowsecurity || relation->rd_rules != nullptr) return false;
  if (relation->rd_att->constr != nullptr && relation->rd_att->constr->has_generated_stored) return false;
  return !fires_on_insert(relation);
}

}  // namespace

// A table that is open for writing, and what waits to be written to it.
struct TableWriter::Target {
  Oid table = InvalidOid;
  MemoryContext context = nullptr;
  Relation relation = nullptr;
  TupleDesc descriptor = nullptr;  // of the slots: nobody's, so that it counts no references
  EState* state = nullptr;
  ResultRelInfo* result = nullptr;
  BulkInsertState bulk = nullptr;
  TupleTableSlot** slots = nullptr;
  int* places = nullptr;  // of each attribute, the column that is given; -1: dropped
  size_t made = 0, waiting = 0;

  void open(Oid the_table, MemoryContext parent, const PlainColumn* columns, size_t count);
  void put(const Datum* values, const bool* nulls);
  void write();
  bool is_sorted(int index) const;
  void write_index(int number);
  void close();
};

// This one and those that follow are plain Postgres code, for protect().
void TableWriter::Target::open(Oid the_table, MemoryContext parent, const PlainColumn* columns, size_t count) {
  table = the_table;
  context = AllocSetContextCreate(parent, "fraud_detect table writer", ALLOCSET_DEFAULT_SIZES);
  MemoryContext old = MemoryContextSwitchTo(context);
  relation = table_open(table, RowExclusiveLock);
  descriptor = CreateTupleDescCopy(RelationGetDescr(relation));
  places = static_cast<int*>(palloc(sizeof(int) * (size_t)descriptor->natts));
  for (int i = 0; i < descriptor->natts; ++i) {
    Form_pg_attribute attribute = TupleDescAttr(descriptor, i);
    places[i] = -1;
    for (size_t c = 0; c < count && !attribute->attisdropped; ++c) {
      if (strcmp(columns[c].name, NameStr(attribute->attname)) == 0) places[i] = static_cast<int>(c);
    }
  }
  state = CreateExecutorState();
  result = makeNode(ResultRelInfo);
  InitResultRelInfo(result, relation, 0, nullptr, 0);
  ExecOpenIndices(result, false);
  bulk = GetBulkInsertState();
  slots = static_cast<TupleTableSlot**>(palloc0(sizeof(TupleTableSlot*) * kRowsAtOnce));
  MemoryContextSwitchTo(old);
}

void TableWriter::Target::put(const Datum* values, const bool* nulls) {
  if (waiting == kRowsAtOnce) write();
  if (waiting == made) {
    MemoryContext old = MemoryContextSwitchTo(context);
    slots[made++] = MakeSingleTupleTableSlot(descriptor, table_slot_callbacks(relation));
    MemoryContextSwitchTo(old);
  }
  TupleTableSlot* slot = slots[waiting++];
  ExecClearTuple(slot);
  for (int i = 0; i < descriptor->natts; ++i) {
    const int place = places[i];
    slot->tts_isnull[i] = place < 0 || nulls[place];
    slot->tts_values[i] = slot->tts_isnull[i] ? (Datum)0 : values[place];
  }
  ExecStoreVirtualTuple(slot);
  slot->tts_tableOid = table;
}

// Tells whether rows may enter the index in any order: one that no more than a key decides of.
bool TableWriter::Target::is_sorted(int index) const {
  const IndexInfo* info = result->ri_IndexRelationInfo[index];
  const Form_pg_index form = result->ri_IndexRelationDescs[index]->rd_index;
  return result->ri_IndexRelationDescs[index]->rd_rel->relam == BTREE_AM_OID && info->ii_ReadyForInserts &&
         info->ii_Predicate == NIL && info->ii_ExclusionOps == nullptr && form->indimmediate;
}

// In order of its keys: each page of the index is looked for once for all that goes there.
void TableWriter::Target::write_index(int number) {
  Relation index = result->ri_IndexRelationDescs[number];
  IndexInfo* info = result->ri_IndexRelationInfo[number];
  MemoryContext old = MemoryContextSwitchTo(context);
  Tuplesortstate* sort = tuplesort_begin_index_btree(relation, index, false, false, work_mem, nullptr, TUPLESORT_NONE);
  MemoryContextSwitchTo(old);
  ExprContext* expressions = GetPerTupleExprContext(state);
  Datum values[INDEX_MAX_KEYS];
  bool nulls[INDEX_MAX_KEYS];
  for (size_t i = 0; i < waiting; ++i) {
    expressions->ecxt_scantuple = slots[i];
    FormIndexDatum(info, slots[i], state, values, nulls);
    tuplesort_putindextuplevalues(sort, index, &slots[i]->tts_tid, values, nulls);
    ResetPerTupleExprContext(state);
  }
  tuplesort_performsort(sort);
  const IndexUniqueCheck unique = index->rd_index->indisunique ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO;
  TupleDesc keys = RelationGetDescr(index);
  while (IndexTuple tuple = tuplesort_getindextuple(sort, true)) {
    index_deform_tuple(tuple, keys, values, nulls);
    (void)index_insert(index, values, nulls, &tuple->t_tid, relation, unique, false, info);
    ResetPerTupleExprContext(state);
  }
  tuplesort_end(sort);
}

void TableWriter::Target::write() {
  if (waiting == 0) return;
  MemoryContext old = MemoryContextSwitchTo(GetPerTupleMemoryContext(state));
  PushActiveSnapshot(GetTransactionSnapshot());
  if (relation->rd_att->constr != nullptr) {
    for (size_t i = 0; i < waiting; ++i) ExecConstraints(result, slots[i], state);
  }
  for (size_t i = 0; i < waiting; i += kRowsAtOnceToHeap) {
    table_multi_insert(relation, slots + i, static_cast<int>(std::min(kRowsAtOnceToHeap, waiting - i)), GetCurrentCommandId(true), 0, bulk);
    ResetPerTupleExprContext(state);
  }
  bool sorted = true;
  for (int i = 0; i < result->ri_NumIndices; ++i) sorted = sorted && is_sorted(i);
  for (int i = 0; sorted && i < result->ri_NumIndices; ++i) write_index(i);
  for (size_t i = 0; !sorted && i < waiting; ++i) {
    insert_index_tuples(result, slots[i], state);
    ResetPerTupleExprContext(state);
  }
  for (size_t i = 0; i < waiting; ++i) ExecClearTuple(slots[i]);
  PopActiveSnapshot();
  MemoryContextSwitchTo(old);
  waiting = 0;
}

void TableWriter::Target::close() {
  FreeBulkInsertState(bulk);
  for (size_t i = 0; i < made; ++i) ExecDropSingleTupleTableSlot(slots[i]);
  ExecCloseIndices(result);
  FreeExecutorState(state);
  table_close(relation, NoLock);
  MemoryContextDelete(context);
}

TableWriter::TableWriter(std::vector<PlainColumn> columns)
    : columns_(std::move(columns)), context_(CurrentMemoryContext) {}

TableWriter::~TableWriter() noexcept {
  // After an error the abort closes all.
  if (std::uncaught_exceptions() > 0) return;
  for (const std::unique_ptr<Target>& target : targets_) target->close();
}

bool TableWriter::takes(Oid table, bool leaf) const {
  const PlainColumn* columns = columns_.data();
  const size_t count = columns_.size();
  return protect([&] {
    Relation relation = table_open(table, RowExclusiveLock);
    bool plain = is_plain(relation, leaf);
    size_t known = 0;
    TupleDesc descriptor = RelationGetDescr(relation);
    for (int i = 0; plain && i < descriptor->natts; ++i) {
      Form_pg_attribute attribute = TupleDescAttr(descriptor, i);
      if (attribute->attisdropped) continue;
      plain = false;
      for (size_t c = 0; c < count && !plain; ++c) {
        plain = strcmp(columns[c].name, NameStr(attribute->attname)) == 0 && takes_as_is(columns[c], attribute);
      }
      ++known;
    }
    table_close(relation, NoLock);
    return plain && known == count;
  });
}

TableWriter::Target& TableWriter::target(Oid table) {
  if (latest_ < targets_.size() && targets_[latest_]->table == table) return *targets_[latest_];
  for (latest_ = 0; latest_ < targets_.size(); ++latest_) {
    if (targets_[latest_]->table == table) return *targets_[latest_];
  }
  targets_.push_back(std::make_unique<Target>());
  Target& opened = *targets_.back();
  const PlainColumn* columns = columns_.data();
  const size_t count = columns_.size();
  MemoryContext parent = context_;
  protect([&] { opened.open(table, parent, columns, count); });
  return opened;
}

void TableWriter::add(Oid table, const Datum* values, const bool* nulls) {
  Target& into = target(table);
  protect([&] { into.put(values, nulls); });
}

void TableWriter::flush() {
  std::vector<std::unique_ptr<Target>> used;
  for (std::unique_ptr<Target>& target : targets_) {
    Target* written = target.get();
    const bool wanted = written->waiting > 0;
    protect([&] {
      written->write();
      if (!wanted) written->close();
    });
    if (wanted) used.push_back(std::move(target));
  }
  targets_ = std::move(used);
  protect([] { CommandCounterIncrement(); });
}

namespace {

Oid find_partition(Oid root, Datum value, TimestampTz* ends) {
  return protect([&] {
    Relation relation = table_open(root, RowExclusiveLock);
    PartitionKey key = RelationGetPartitionKey(relation);
    PartitionDesc parts = RelationGetPartitionDesc(relation, true);
    Oid found = InvalidOid;
    if (parts->boundinfo != nullptr) {
      bool equal = false;
      int at;
      if (ends != nullptr) {
        const int next = partition_range_datum_bsearch(key->partsupfunc, key->partcollation, parts->boundinfo, 1, &value, &equal) + 1;
        at = parts->boundinfo->indexes[next];
        const bool bounded = next < parts->boundinfo->ndatums && parts->boundinfo->kind[next][0] == PARTITION_RANGE_DATUM_VALUE;
        *ends = bounded ? DatumGetTimestampTz(parts->boundinfo->datums[next][0]) : DT_NOEND;
      } else {
        const int below = partition_list_bsearch(key->partsupfunc, key->partcollation, parts->boundinfo, value, &equal);
        at = below >= 0 && equal ? parts->boundinfo->indexes[below] : -1;
      }
      if (at >= 0) found = parts->oids[at];
    }
    table_close(relation, NoLock);
    return found;
  });
}

}  // namespace

Oid partition_at(Oid root, TimestampTz time, TimestampTz* ends) {
  *ends = DT_NOEND;
  return find_partition(root, TimestampTzGetDatum(time), ends);
}
Oid partition_of(Oid root, int16 value) { return find_partition(root, Int16GetDatum(value), nullptr); }

}  // namespace fraud::pg
