#include "pg/payments/card_key_rows.h"

#include "pg/server/row_types.h"

extern "C" {
#include "access/table.h"
#include "access/tableam.h"
#include "executor/tuptable.h"
#include "utils/rel.h"
}

namespace fraud::pg {

namespace {

Datum column(Relation relation, TupleTableSlot* slot, const char* name, bool* null) {
  int place = attribute_named(RelationGetDescr(relation), name, strlen(name));
  if (place < 0) elog(ERROR, "fraud.card_keys has no column %s", name);
  return slot_getattr(slot, place + 1, null);
}

}  // namespace

int read_card_keys(Oid schema, bool read_only, CardKeyRow** rows) {
  Oid table = get_relname_relid("card_keys", schema);
  if (!OidIsValid(table)) {
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("relation \"fraud.card_keys\" does not exist"),
                    errhint("Restore it from a backup.")));
  }
  Relation relation = table_open(table, AccessShareLock);
  // As a statement would have it.
  Snapshot snapshot = RegisterSnapshot(read_only ? GetActiveSnapshot() : GetTransactionSnapshot());
  TupleTableSlot* slot = table_slot_create(relation, nullptr);
  TableScanDesc scan = table_beginscan(relation, snapshot, 0, nullptr);
  int count = 0, room = 4;
  *rows = (CardKeyRow*)palloc(room * sizeof(CardKeyRow));
  while (table_scan_getnextslot(scan, ForwardScanDirection, slot)) {
    if (count == room) {
      room *= 2;
      *rows = (CardKeyRow*)repalloc(*rows, room * sizeof(CardKeyRow));
    }
    CardKeyRow* row = &(*rows)[count++];
    bool null;
    row->id = *DatumGetUUIDP(column(relation, slot, "key_id", &null));
    Datum key = column(relation, slot, "key", &null);
    row->key = null ? nullptr : DatumGetByteaPCopy(key);
    row->retired_at = DatumGetTimestampTz(column(relation, slot, "retired_at", &null));
    row->is_retired = !null;
    (void)column(relation, slot, "destroyed_at", &null);
    row->is_destroyed = !null;
  }
  table_endscan(scan);
  ExecDropSingleTupleTableSlot(slot);
  UnregisterSnapshot(snapshot);
  table_close(relation, AccessShareLock);
  return count;
}

}  // namespace fraud::pg
