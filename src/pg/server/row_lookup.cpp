#include "pg/server/row_lookup.h"

#include <exception>

#include "pg/server/boundary.h"
#include "pg/server/index_lookup.h"
#include "pg/server/owner_scope.h"
#include "pg/server/plain_table.h"
#include "pg/server/row_types.h"

extern "C" {
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_am_d.h"
#include "storage/bufmgr.h"
#include "utils/lsyscache.h"
}

namespace fraud::pg {

RowLookup::RowLookup(const char* table, const char* index) : exceptions_(std::uncaught_exceptions()) {
  const Oid schema = fraud_schema();
  protect([&] {
    heap_ = table_open(relation_named(schema, table), AccessShareLock);
    index_ = index_open(relation_named(schema, index), AccessShareLock);
  });
}

RowLookup::~RowLookup() noexcept {
  // After an error the transaction's abort releases what is open.
  if (std::uncaught_exceptions() > exceptions_) return;
  if (scan_ != nullptr) index_endscan(scan_);
  if (slot_ != nullptr) ExecDropSingleTupleTableSlot(slot_);
  index_close(index_, NoLock);
  table_close(heap_, NoLock);
}

bool RowLookup::suffices(const char* table, const char* index, int columns) {
  const Oid schema = fraud_schema();
  return protect([&] {
    const Oid at = get_relname_relid(table, schema), by = get_relname_relid(index, schema);
    if (!OidIsValid(at) || !OidIsValid(by) || get_rel_relkind(at) != RELKIND_RELATION || get_rel_relkind(by) != RELKIND_INDEX) return false;
    Relation heap = table_open(at, AccessShareLock);
    Relation found = index_open(by, AccessShareLock);
    const Form_pg_index form = found->rd_index;
    bool plain = !heap->rd_rel->relhassubclass && !heap->rd_rel->relforcerowsecurity && may_use(at, ACL_SELECT) && form->indrelid == at &&
                       found->rd_rel->relam == BTREE_AM_OID && form->indisvalid && !form->indcheckxmin && form->indnkeyatts >= columns &&
                       heap_attisnull(found->rd_indextuple, Anum_pg_index_indpred, nullptr);
    for (int i = 0; plain && i < columns; ++i) plain = form->indkey.values[i] == i + 1;
    index_close(found, NoLock);
    table_close(heap, NoLock);
    return plain;
  });
}

bool RowLookup::is_empty() const {
  return protect([&] { return RelationGetNumberOfBlocks(heap_) == 0; });
}

void RowLookup::find(const Datum* values, int count, Snapshot snapshot) {
  protect([&] {
    if (scan_ != nullptr && (scan_->numberOfKeys != count || snapshot_ != snapshot)) {
      index_endscan(scan_);
      scan_ = nullptr;
    }
    if (slot_ == nullptr) slot_ = table_slot_create(heap_, nullptr);
    if (scan_ == nullptr) scan_ = begin_index_scan(heap_, index_, snapshot, count);
    snapshot_ = snapshot;
    ScanKeyData keys[INDEX_MAX_KEYS];
    for (int i = 0; i < count; ++i) {
      if (!OidIsValid(equals_[i])) {
        const Oid type = index_->rd_opcintype[i];
        equals_[i] = get_opcode(get_opfamily_member(index_->rd_opfamily[i], type, type, BTEqualStrategyNumber));
      }
      ScanKeyEntryInitialize(&keys[i], 0, static_cast<AttrNumber>(i + 1), BTEqualStrategyNumber, InvalidOid, index_->rd_indcollation[i],
                             equals_[i], values[i]);
    }
    index_rescan(scan_, keys, count, nullptr, 0);
  });
}

bool RowLookup::next() {
  return protect([&] { return index_getnext_slot(scan_, ForwardScanDirection, slot_); });
}

int RowLookup::place(const char* column) const {
  return attribute_named(RelationGetDescr(heap_), column, strlen(column)) + 1;
}

Datum RowLookup::value(int column, bool* null) const {
  return protect([&] { return slot_getattr(slot_, column, null); });
}

}  // namespace fraud::pg
