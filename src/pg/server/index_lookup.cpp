#include "pg/server/index_lookup.h"

#include "pg/server/row_types.h"

extern "C" {
#include "access/stratnum.h"
#include "access/table.h"
#include "utils/fmgroids.h"
}

namespace fraud::pg {

Oid relation_named(Oid schema, const char* name) {
  Oid relation = get_relname_relid(name, schema);
  if (!OidIsValid(relation)) {
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
                    errmsg("relation \"fraud.%s\" does not exist", name),
                    errhint("Restore it from a backup.")));
  }
  return relation;
}

Datum text_datum(std::string_view value) {
  return PointerGetDatum(cstring_to_text_with_len(value.data(), (int)value.size()));
}

bool open_lookup(IndexLookup* lookup, Oid schema, const char* table, const char* index, Datum first,
          RegProcedure second_equals, Datum second, Snapshot snapshot) {
  const int count = OidIsValid(second_equals) ? 2 : 1;
  lookup->heap = table_open(relation_named(schema, table), AccessShareLock);
  lookup->index = index_open(relation_named(schema, index), AccessShareLock);
  lookup->slot = table_slot_create(lookup->heap, nullptr);
  ScanKeyData keys[2];
  ScanKeyEntryInitialize(&keys[0], 0, 1, BTEqualStrategyNumber, InvalidOid,
                         lookup->index->rd_indcollation[0], F_TEXTEQ, first);
  if (count == 2) {
    ScanKeyEntryInitialize(&keys[1], 0, 2, BTEqualStrategyNumber, InvalidOid,
                           lookup->index->rd_indcollation[1], second_equals, second);
  }
  lookup->scan = begin_index_scan(lookup->heap, lookup->index, snapshot, count);
  index_rescan(lookup->scan, keys, count, nullptr, 0);
  return index_getnext_slot(lookup->scan, ForwardScanDirection, lookup->slot);
}

Datum lookup_column(const IndexLookup& lookup, const char* name) {
  int place = attribute_named(RelationGetDescr(lookup.heap), name, strlen(name));
  bool null = true;
  Datum value = place < 0 ? (Datum)0 : slot_getattr(lookup.slot, place + 1, &null);
  if (null) elog(ERROR, "no value in column %s", name);
  return value;
}

void close_lookup(IndexLookup* lookup) {
  index_endscan(lookup->scan);
  ExecDropSingleTupleTableSlot(lookup->slot);
  index_close(lookup->index, AccessShareLock);
  table_close(lookup->heap, AccessShareLock);
}

}  // namespace fraud::pg
