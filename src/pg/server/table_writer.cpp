#include "pg/server/table_writer.h"

#include <exception>

#include "pg/server/boundary.h"
#include "pg/server/row_types.h"

extern "C" {
#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "partitioning/partbounds.h"
#include "partitioning/partdesc.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
}

namespace fraud::pg {

namespace {

constexpr size_t kRowsAtOnce = 1000;

// Plain Postgres code, for protect().
bool is_plain(Relation relation) {
  const char kind = relation->rd_rel->relkind;
  if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE) return false;
  if (relation->rd_rel->relrowsecurity || relation->rd_rules != nullptr) return false;
  if (relation->rd_att->constr != nullptr && relation->rd_att->constr->has_generated_stored) return false;
  const TriggerDesc* triggers = relation->trigdesc;
  return triggers == nullptr ||
         !(triggers->trig_insert_before_row || triggers->trig_insert_after_row || triggers->trig_insert_instead_row ||
           triggers->trig_insert_before_statement || triggers->trig_insert_after_statement ||
           triggers->trig_insert_new_table);
}

}  // namespace

// A table that is open for writing, and what waits to be written to it.
struct TableWriter::Target {
  Oid table = InvalidOid;
  MemoryContext context = nullptr;
  Relation relation = nullptr;
  EState* state = nullptr;
  ResultRelInfo* result = nullptr;
  BulkInsertState bulk = nullptr;
  TupleTableSlot** slots = nullptr;
  int* places = nullptr;  // of each attribute, the column that is given; -1: dropped
  size_t made = 0, waiting = 0;

  void open(Oid the_table, MemoryContext parent, const char* const* columns, size_t count);
  void put(const Datum* values, const bool* nulls);
  void write();
  void close();
};

// This one and those that follow are plain Postgres code, for protect().
void TableWriter::Target::open(Oid the_table, MemoryContext parent, const char* const* columns, size_t count) {
  table = the_table;
  context = AllocSetContextCreate(parent, "fraud_detect table writer", ALLOCSET_DEFAULT_SIZES);
  MemoryContext old = MemoryContextSwitchTo(context);
  relation = table_open(table, RowExclusiveLock);
  TupleDesc descriptor = RelationGetDescr(relation);
  places = static_cast<int*>(palloc(sizeof(int) * (size_t)descriptor->natts));
  for (int i = 0; i < descriptor->natts; ++i) {
    Form_pg_attribute attribute = TupleDescAttr(descriptor, i);
    places[i] = -1;
    for (size_t c = 0; c < count && !attribute->attisdropped; ++c) {
      if (strcmp(columns[c], NameStr(attribute->attname)) == 0) places[i] = static_cast<int>(c);
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
    slots[made++] = table_slot_create(relation, nullptr);
    MemoryContextSwitchTo(old);
  }
  TupleTableSlot* slot = slots[waiting++];
  ExecClearTuple(slot);
  const int count = RelationGetDescr(relation)->natts;
  for (int i = 0; i < count; ++i) {
    const int place = places[i];
    slot->tts_isnull[i] = place < 0 || nulls[place];
    slot->tts_values[i] = slot->tts_isnull[i] ? (Datum)0 : values[place];
  }
  ExecStoreVirtualTuple(slot);
  slot->tts_tableOid = table;
}

void TableWriter::Target::write() {
  if (waiting == 0) return;
  MemoryContext old = MemoryContextSwitchTo(GetPerTupleMemoryContext(state));
  PushActiveSnapshot(GetTransactionSnapshot());
  if (relation->rd_att->constr != nullptr) {
    for (size_t i = 0; i < waiting; ++i) ExecConstraints(result, slots[i], state);
  }
  table_multi_insert(relation, slots, static_cast<int>(waiting), GetCurrentCommandId(true), 0, bulk);
  if (result->ri_NumIndices > 0) {
    for (size_t i = 0; i < waiting; ++i) {
      insert_index_tuples(result, slots[i], state);
      ResetPerTupleExprContext(state);
    }
  }
  for (size_t i = 0; i < waiting; ++i) ExecClearTuple(slots[i]);
  PopActiveSnapshot();
  ResetPerTupleExprContext(state);
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

TableWriter::TableWriter(std::vector<const char*> columns)
    : columns_(std::move(columns)), context_(CurrentMemoryContext) {}

TableWriter::~TableWriter() noexcept {
  // After an error the abort closes all.
  if (std::uncaught_exceptions() > 0) return;
  for (const std::unique_ptr<Target>& target : targets_) target->close();
}

bool TableWriter::takes(Oid table) const {
  const char* const* columns = columns_.data();
  const size_t count = columns_.size();
  return protect([&] {
    Relation relation = table_open(table, RowExclusiveLock);
    bool plain = is_plain(relation);
    size_t known = 0;
    TupleDesc descriptor = RelationGetDescr(relation);
    for (int i = 0; plain && i < descriptor->natts; ++i) {
      Form_pg_attribute attribute = TupleDescAttr(descriptor, i);
      if (attribute->attisdropped) continue;
      plain = false;
      for (size_t c = 0; c < count && !plain; ++c) plain = strcmp(columns[c], NameStr(attribute->attname)) == 0;
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
  const char* const* columns = columns_.data();
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
  for (const std::unique_ptr<Target>& target : targets_) {
    Target* written = target.get();
    protect([&] { written->write(); });
  }
  protect([] { CommandCounterIncrement(); });
}

namespace {

Oid find_partition(Oid root, Datum value, bool ranges) {
  return protect([&] {
    Relation relation = table_open(root, RowExclusiveLock);
    PartitionKey key = RelationGetPartitionKey(relation);
    PartitionDesc parts = RelationGetPartitionDesc(relation, true);
    Oid found = InvalidOid;
    if (parts->boundinfo != nullptr) {
      bool equal = false;
      int at;
      if (ranges) {
        at = parts->boundinfo->indexes[partition_range_datum_bsearch(key->partsupfunc, key->partcollation, parts->boundinfo,
                                                                     1, &value, &equal) + 1];
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

Oid partition_at(Oid root, TimestampTz time) { return find_partition(root, TimestampTzGetDatum(time), true); }
Oid partition_of(Oid root, int16 value) { return find_partition(root, Int16GetDatum(value), false); }

}  // namespace fraud::pg
