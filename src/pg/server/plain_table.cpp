#include "pg/server/plain_table.h"

#include <exception>

#include "pg/server/boundary.h"
#include "pg/server/compat_tables.h"

extern "C" {
#include "access/genam.h"
#include "access/relscan.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "utils/acl.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
}

namespace fraud::pg {

namespace {

// Plain Postgres code, for protect().
bool fires_triggers(Relation table, PlainTable::Use use) {
  const TriggerDesc* triggers = table->trigdesc;
  if (triggers == nullptr) return false;
  const bool on_update = triggers->trig_update_before_row || triggers->trig_update_after_row || triggers->trig_update_instead_row ||
                         triggers->trig_update_before_statement || triggers->trig_update_after_statement ||
                         triggers->trig_update_new_table || triggers->trig_update_old_table;
  if (use != PlainTable::Use::kInsert && on_update) return true;
  return fires_on_insert(table);
}

// Of a partition the parents count too: statements name those.
bool does_no_more(Relation table, PlainTable::Use use, const char* check) {
  if (table->rd_rel->relhasrules || table->rd_rel->relforcerowsecurity || fires_triggers(table, use)) return false;
  const TupleConstr* constraints = RelationGetDescr(table)->constr;
  if (constraints == nullptr) return true;
  if (constraints->has_generated_stored) return false;
  for (int i = 0; i < constraints->num_check; ++i) {
    if (check == nullptr || strcmp(constraints->check[i].ccname, check) != 0) return false;
  }
  return true;
}

// Whether a column that is not given has a value all the same, or needs one. Of a partition the
// parent's defaults are those that a statement takes.
bool fills_others(TupleDesc descriptor, const PlainColumn* columns) {
  for (int at = 0; at < descriptor->natts; ++at) {
    Form_pg_attribute attribute = TupleDescAttr(descriptor, at);
    if (attribute->attisdropped || (!attribute->atthasdef && attribute->attidentity == '\0' && !attribute->attnotnull)) continue;
    bool given = false;
    for (const PlainColumn* column = columns; column->name != nullptr && !given; ++column) {
      given = strcmp(NameStr(attribute->attname), column->name) == 0;
    }
    if (!given) return true;
  }
  return false;
}

}  // namespace

bool takes_as_is(const PlainColumn& column, Form_pg_attribute attribute) {
  return column.type == InvalidOid || (attribute->atttypid == column.type && attribute->atttypmod == -1);
}

// What marks tiles is no reason: whoever stores payments without statements marks them himself.
bool fires_on_insert(Relation table) {
  const TriggerDesc* triggers = table->trigdesc;
  if (triggers == nullptr) return false;
  // Whoever asks the catalog may be told that the table's entry is out of date: then these triggers are gone.
  List* functions = NIL;
  for (int i = 0; i < triggers->numtriggers; ++i) {
    const Trigger& trigger = triggers->triggers[i];
    if (!TRIGGER_FOR_INSERT(trigger.tgtype) || trigger.tgenabled == TRIGGER_DISABLED) continue;
    functions = list_append_unique_oid(functions, trigger.tgfoid);
  }
  bool others = false;
  for (int i = 0; i < list_length(functions) && !others; ++i) {
    const Oid function = list_nth_oid(functions, i);
    const char* name = get_func_name(function);
    others = name == nullptr || strcmp(name, "_mark_tiles") != 0 || get_func_namespace(function) != get_namespace_oid("fraud", true);
  }
  list_free(functions);
  return others;
}

bool may_use(Oid table, AclMode right) {
  return pg_class_aclcheck(table, GetUserId(), right) == ACLCHECK_OK && check_enable_rls(table, InvalidOid, true) != RLS_ENABLED;
}

PlainTable::PlainTable(Oid table, const PlainColumn* columns, Use use, int keys, const char* check, Oid parent)
    : keys_(keys), exceptions_(std::uncaught_exceptions()) {
  int count = 0;
  while (columns[count].name != nullptr) ++count;
  places_.resize(static_cast<size_t>(count));
  found_values_.resize(static_cast<size_t>(count));
  found_nulls_.resize(static_cast<size_t>(count));
  AttrNumber* places = places_.data();
  List* indexes = NIL;
  protect([&] {
    // The parent first, as everybody does who locks both.
    Relation above = OidIsValid(parent) ? table_open(parent, RowExclusiveLock) : nullptr;
    table_ = table_open(table, RowExclusiveLock);
    plain_ = table_->rd_rel->relkind == RELKIND_RELATION && does_no_more(table_, use, check) && !IsolationUsesXactSnapshot();
    plain_ = plain_ && table_->rd_rel->relispartition == OidIsValid(parent);
    if (above != nullptr) {
      plain_ = plain_ && does_no_more(above, use, check) && !fills_others(RelationGetDescr(above), columns);
      table_close(above, NoLock);
    }
    // A statement's rights are those on what it names.
    const Oid named = OidIsValid(parent) ? parent : table;
    plain_ = plain_ && may_use(named, ACL_SELECT) && may_use(named, ACL_INSERT) && (use == Use::kInsert || may_use(named, ACL_UPDATE));
    TupleDesc descriptor = RelationGetDescr(table_);
    for (int i = 0; i < count; ++i) {
      places[i] = 0;
      // Mostly they are in the same order.
      for (int step = 0; step < descriptor->natts && places[i] == 0; ++step) {
        const int at = (i + step) % descriptor->natts;
        Form_pg_attribute attribute = TupleDescAttr(descriptor, at);
        if (attribute->attisdropped || strcmp(NameStr(attribute->attname), columns[i].name) != 0) continue;
        places[i] = static_cast<AttrNumber>(at + 1);
        if (!takes_as_is(columns[i], attribute)) plain_ = false;
      }
      if (places[i] == 0) plain_ = false;
    }
    if (plain_ && use == Use::kInsert) plain_ = !fills_others(descriptor, columns);
    if (!plain_) return;
    row_ = MakeSingleTupleTableSlot(descriptor, &TTSOpsVirtual);
    indexes = RelationGetIndexList(table_);
  });
  if (!plain_) return;
  indexes_.resize(static_cast<size_t>(list_length(indexes)));
  index_infos_.resize(indexes_.size());
  Relation* opened = indexes_.data();
  IndexInfo** infos = index_infos_.data();
  protect([&] {
    for (int i = 0; i < list_length(indexes); ++i) {
      opened[i] = index_open(list_nth_oid(indexes, i), RowExclusiveLock);
      infos[i] = BuildIndexInfo(opened[i]);
      if (infos[i]->ii_ExclusionOps != nullptr || !opened[i]->rd_index->indimmediate) plain_ = false;
      if (RelationGetRelid(opened[i]) == table_->rd_pkindex) key_ = opened[i];
    }
    if (keys_ == 0) return;
    // Users make keys anew, of others or in another order.
    bool found = key_ != nullptr && key_->rd_index->indisvalid && !key_->rd_index->indcheckxmin && key_->rd_index->indnkeyatts == keys_;
    for (int i = 0; found && i < keys_; ++i) found = key_->rd_index->indkey.values[i] == places[i];
    plain_ = plain_ && found;
  });
}

PlainTable::~PlainTable() noexcept {
  // After an error the transaction's abort releases what is open.
  if (std::uncaught_exceptions() > exceptions_) return;
  for (size_t i = 0; i < indexes_.size(); ++i) {
    clean_up_index_insert(indexes_[i], index_infos_[i]);
    index_close(indexes_[i], NoLock);
  }
  if (row_ != nullptr) ExecDropSingleTupleTableSlot(row_);
  if (found_ != nullptr) ExecDropSingleTupleTableSlot(found_);
  if (executor_ != nullptr) FreeExecutorState(executor_);
  table_close(table_, NoLock);
}

// Plain Postgres code, for protect(). Returns nullptr where a column of the old row must not be null.
TupleTableSlot* PlainTable::new_row(const Datum* values, const bool* nulls, TupleTableSlot* old) {
  TupleDesc descriptor = RelationGetDescr(table_);
  const auto count = static_cast<size_t>(descriptor->natts);
  ExecClearTuple(row_);
  if (old != nullptr) {
    slot_getallattrs(old);
    memcpy(row_->tts_values, old->tts_values, sizeof(Datum) * count);
    memcpy(row_->tts_isnull, old->tts_isnull, count);
  } else {
    memset(row_->tts_values, 0, sizeof(Datum) * count);
    memset(row_->tts_isnull, true, count);
  }
  for (size_t i = 0; i < places_.size(); ++i) {
    row_->tts_values[places_[i] - 1] = values[i];
    row_->tts_isnull[places_[i] - 1] = nulls[i];
  }
  for (int at = 0; at < descriptor->natts; ++at) {
    Form_pg_attribute attribute = TupleDescAttr(descriptor, at);
    if (attribute->attisdropped) row_->tts_isnull[at] = true;
    if (!row_->tts_isnull[at] || !attribute->attnotnull || attribute->attisdropped) continue;
    if (old != nullptr) return nullptr;
    ereport(ERROR, (errcode(ERRCODE_NOT_NULL_VIOLATION),
                    errmsg("null value in column \"%s\" of relation \"%s\" violates not-null constraint", NameStr(attribute->attname),
                           RelationGetRelationName(table_)),
                    errdetail("fraud_detect writes no value there."),
                    errhint("Take the column's NOT NULL away (ALTER COLUMN … DROP NOT NULL), which CREATE EXTENSION did not make."),
                    errtablecol(table_, at + 1)));
  }
  ExecStoreVirtualTuple(row_);
  row_->tts_tableOid = RelationGetRelid(table_);
  return row_;
}

namespace {

// Whether the index has the same values of both rows, which tells it that the old ones will soon be of no use.
bool same_keys(const IndexInfo* info, TupleDesc descriptor, const TupleTableSlot* old, const TupleTableSlot* row) {
  if (info->ii_Expressions != NIL) return false;
  for (int i = 0; i < info->ii_NumIndexKeyAttrs; ++i) {
    const int at = info->ii_IndexAttrNumbers[i] - 1;
    if (at < 0 || old->tts_isnull[at] != row->tts_isnull[at]) return false;
    Form_pg_attribute attribute = TupleDescAttr(descriptor, at);
    if (!row->tts_isnull[at] && !datumIsEqual(old->tts_values[at], row->tts_values[at], attribute->attbyval, attribute->attlen)) return false;
  }
  return true;
}

}  // namespace

// Plain Postgres code, for protect().
void PlainTable::add_to_indexes(bool summarizing_only, const TupleTableSlot* old) {
  for (size_t i = 0; i < indexes_.size(); ++i) {
    IndexInfo* info = index_infos_[i];
    if (!info->ii_ReadyForInserts || (summarizing_only && !is_summarizing(info))) continue;
    const bool computed = info->ii_Expressions != NIL || info->ii_Predicate != NIL;
    if (computed && executor_ == nullptr) executor_ = CreateExecutorState();
    if (computed) {
      ResetPerTupleExprContext(executor_);
      GetPerTupleExprContext(executor_)->ecxt_scantuple = row_;
      if (info->ii_Predicate != NIL) {
        if (info->ii_PredicateState == nullptr) info->ii_PredicateState = ExecPrepareQual(info->ii_Predicate, executor_);
        if (!ExecQual(info->ii_PredicateState, GetPerTupleExprContext(executor_))) continue;
      }
    }
    Datum values[INDEX_MAX_KEYS];
    bool nulls[INDEX_MAX_KEYS];
    FormIndexDatum(info, row_, executor_, values, nulls);
    index_insert(indexes_[i], values, nulls, &row_->tts_tid, table_, info->ii_Unique ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO,
                 old != nullptr && same_keys(info, RelationGetDescr(table_), old, row_), info);
  }
}

void PlainTable::insert(const Datum* values, const bool* nulls) {
  protect([&] {
    PreventCommandIfReadOnly("INSERT");
    PreventCommandIfParallelMode("INSERT");
    (void)new_row(values, nulls, nullptr);
    table_tuple_insert(table_, row_, GetCurrentCommandId(true), 0, nullptr);
    add_to_indexes(false, nullptr);
  });
}

bool PlainTable::find(const Datum* keys, Snapshot snapshot) {
  Datum* values = found_values_.data();
  char* nulls = found_nulls_.data();
  return protect([&] {
    if (found_ == nullptr) found_ = table_slot_create(table_, nullptr);
    Relation by = key_;
    const int count = keys_;
    ScanKeyData conditions[INDEX_MAX_KEYS];
    for (int i = 0; i < count; ++i) {
      const Oid operation = get_opfamily_member(by->rd_opfamily[i], by->rd_opcintype[i], by->rd_opcintype[i], BTEqualStrategyNumber);
      ScanKeyEntryInitialize(&conditions[i], 0, static_cast<AttrNumber>(i + 1), BTEqualStrategyNumber, InvalidOid, by->rd_indcollation[i],
                             get_opcode(operation), keys[i]);
    }
    IndexScanDesc scan = begin_index_scan(table_, by, snapshot, count);
    index_rescan(scan, conditions, count, nullptr, 0);
    const bool there = index_getnext_slot(scan, ForwardScanDirection, found_);
    if (there) {
      for (size_t i = 0; i < places_.size(); ++i) {
        bool null = false;
        values[i] = slot_getattr(found_, places_[i], &null);
        nulls[i] = null;
      }
    }
    index_endscan(scan);
    return there;
  });
}

bool PlainTable::is_being_added(const Datum* keys) {
  SnapshotData dirty;
  InitDirtySnapshot(dirty);
  return find(keys, &dirty) && TransactionIdIsValid(dirty.xmin);
}

bool PlainTable::update(const Datum* values, const bool* nulls, Snapshot snapshot) {
  return protect([&] {
    PreventCommandIfReadOnly("INSERT");
    PreventCommandIfParallelMode("INSERT");
    CheckCmdReplicaIdentity(table_, CMD_UPDATE);
    if (new_row(values, nulls, found_) == nullptr) return false;
    TM_FailureData failure;
    LockTupleMode mode;
    IndexUpdates updates;
    ItemPointerData place = found_->tts_tid;
    const TM_Result result = table_tuple_update(table_, &place, row_, GetCurrentCommandId(true), snapshot, InvalidSnapshot, true, &failure,
                                                &mode, &updates);
    if (result != TM_Ok) return false;
    if (wants_indexes(updates)) add_to_indexes(wants_summarizing_only(updates), found_);
    return true;
  });
}

}  // namespace fraud::pg
