#include "pg/models/model_rows.h"

#include "pg/server/row_types.h"

extern "C" {
#include "access/genam.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "executor/tuptable.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
}

namespace fraud::pg {

namespace {

// The rows, in the order of an index, whose first column, or first two, are equal to
// a text and another value.
struct Lookup {
  Relation heap;
  Relation index;
  IndexScanDesc scan;
  TupleTableSlot* slot;
};

Oid relation_named(Oid schema, const char* name) {
  Oid relation = get_relname_relid(name, schema);
  if (!OidIsValid(relation)) {
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
                    errmsg("relation \"fraud.%s\" does not exist", name),
                    errhint("Drop the extension fraud_detect and create it again.")));
  }
  return relation;
}

Datum text_datum(std::string_view value) {
  return PointerGetDatum(cstring_to_text_with_len(value.data(), (int)value.size()));
}

// Returns whether there is such a row; close() must follow either way.
bool open(Lookup* lookup, Oid schema, const char* table, const char* index, Datum first,
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

Datum column(const Lookup& lookup, const char* name) {
  int place = attribute_named(RelationGetDescr(lookup.heap), name, strlen(name));
  bool null = true;
  Datum value = place < 0 ? (Datum)0 : slot_getattr(lookup.slot, place + 1, &null);
  if (null) elog(ERROR, "no value in column %s", name);
  return value;
}

void close(Lookup* lookup) {
  index_endscan(lookup->scan);
  ExecDropSingleTupleTableSlot(lookup->slot);
  index_close(lookup->index, AccessShareLock);
  table_close(lookup->heap, AccessShareLock);
}

}  // namespace

bool read_promotion(Oid schema, std::string_view model, std::string_view alias, Snapshot snapshot,
                    PromotionRow* row) {
  Lookup lookup;
  bool found = open(&lookup, schema, "promotions", "promotions_alias_idx", text_datum(model),
                    F_TEXTEQ, text_datum(alias), snapshot);
  if (found) {
    row->version = DatumGetInt32(column(lookup, "version"));
    row->review_at = DatumGetFloat8(column(lookup, "review_at"));
    row->block_at = DatumGetFloat8(column(lookup, "block_at"));
  }
  close(&lookup);
  return found;
}

bool read_version(Oid schema, std::string_view model, int32_t version, Snapshot snapshot,
                  VersionRow* row) {
  Lookup lookup;
  bool found = open(&lookup, schema, "model_versions", "model_versions_pkey", text_datum(model),
                    F_INT4EQ, Int32GetDatum(version), snapshot);
  if (found) {
    row->gives_probability = DatumGetBool(column(lookup, "gives_probability"));
    bytea* head = DatumGetByteaPSlice(column(lookup, "compiled"), 0, sizeof(row->digest));
    row->digest_size = VARSIZE_ANY_EXHDR(head);
    memcpy(row->digest, VARDATA_ANY(head), row->digest_size);
  }
  close(&lookup);
  return found;
}

void read_stored_places(Oid schema, const std::string_view* features, size_t count, Snapshot snapshot,
                        int* places) {
  for (size_t i = 0; i < count; ++i) places[i] = -1;
  Lookup lookup;
  bool found = open(&lookup, schema, "feature_definitions", "feature_definitions_pkey",
                    text_datum("payments"), InvalidOid, (Datum)0, snapshot);
  for (; found; found = index_getnext_slot(lookup.scan, ForwardScanDirection, lookup.slot)) {
    text* name = DatumGetTextPP(column(lookup, "feature"));
    std::string_view feature(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name));
    for (size_t i = 0; i < count; ++i) {
      if (features[i] == feature) places[i] = DatumGetInt32(column(lookup, "position")) - 1;
    }
  }
  close(&lookup);
}

}  // namespace fraud::pg
