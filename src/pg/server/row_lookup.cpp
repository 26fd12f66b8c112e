#include "pg/server/row_lookup.h"

#include <exception>

#include "pg/server/boundary.h"
#include "pg/server/index_lookup.h"
#include "pg/server/owner_scope.h"

extern "C" {
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
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

Datum RowLookup::value(int column, bool* null) const {
  return protect([&] { return slot_getattr(slot_, column, null); });
}

}  // namespace fraud::pg
