#include "pg/models/model_rows.h"

#include "pg/server/index_lookup.h"

extern "C" {
#include "access/stratnum.h"
#include "access/table.h"
#include "utils/fmgroids.h"
}

namespace fraud::pg {

bool read_promotion(Oid schema, std::string_view model, std::string_view alias, Snapshot snapshot,
                    PromotionRow* row) {
  IndexLookup lookup;
  bool found = open_lookup(&lookup, schema, "promotions", "promotions_alias_idx", text_datum(model),
                    F_TEXTEQ, text_datum(alias), snapshot);
  if (found) {
    row->version = DatumGetInt32(lookup_column(lookup, "version"));
    row->review_at = DatumGetFloat8(lookup_column(lookup, "review_at"));
    row->block_at = DatumGetFloat8(lookup_column(lookup, "block_at"));
  }
  close_lookup(&lookup);
  return found;
}

int read_challengers(Oid schema, std::string_view model, Snapshot snapshot, ChallengerRow** rows) {
  Relation heap = table_open(relation_named(schema, "promotions"), AccessShareLock);
  Relation index = index_open(relation_named(schema, "promotions_alias_idx"), AccessShareLock);
  IndexLookup lookup{heap, index, begin_index_scan(heap, index, snapshot, 3), table_slot_create(heap, nullptr)};
  ScanKeyData keys[3];
  ScanKeyEntryInitialize(&keys[0], 0, 1, BTEqualStrategyNumber, InvalidOid, index->rd_indcollation[0], F_TEXTEQ, text_datum(model));
  ScanKeyEntryInitialize(&keys[1], 0, 2, BTGreaterEqualStrategyNumber, InvalidOid, index->rd_indcollation[1], F_TEXT_GE,
                         text_datum("challenger"));
  ScanKeyEntryInitialize(&keys[2], 0, 2, BTLessStrategyNumber, InvalidOid, index->rd_indcollation[1], F_TEXT_LT,
                         text_datum("challenges"));
  index_rescan(lookup.scan, keys, 3, nullptr, 0);
  int count = 0;
  *rows = nullptr;
  while (index_getnext_slot(lookup.scan, ForwardScanDirection, lookup.slot)) {
    const char* alias = TextDatumGetCString(lookup_column(lookup, "alias"));
    // The latest promotion of an alias is the first.
    if (count > 0 && strcmp((*rows)[count - 1].alias, alias) == 0) continue;
    const Size size = sizeof(ChallengerRow) * static_cast<Size>(count + 1);
    *rows = static_cast<ChallengerRow*>(*rows == nullptr ? palloc(size) : repalloc(*rows, size));
    (*rows)[count++] = {alias, DatumGetInt32(lookup_column(lookup, "version"))};
  }
  close_lookup(&lookup);
  return count;
}

bool read_version(Oid schema, std::string_view model, int32_t version, Snapshot snapshot,
                  VersionRow* row) {
  IndexLookup lookup;
  bool found = open_lookup(&lookup, schema, "model_versions", "model_versions_pkey", text_datum(model),
                    F_INT4EQ, Int32GetDatum(version), snapshot);
  if (found) {
    row->gives_probability = DatumGetBool(lookup_column(lookup, "gives_probability"));
    bytea* head = DatumGetByteaPSlice(lookup_column(lookup, "compiled"), 0, sizeof(row->digest));
    row->digest_size = VARSIZE_ANY_EXHDR(head);
    memcpy(row->digest, VARDATA_ANY(head), row->digest_size);
  }
  close_lookup(&lookup);
  return found;
}

void read_stored_places(Oid schema, std::string_view set, const std::string_view* features, size_t count, Snapshot snapshot,
                        int* places) {
  for (size_t i = 0; i < count; ++i) places[i] = -1;
  IndexLookup lookup;
  bool found = open_lookup(&lookup, schema, "feature_definitions", "feature_definitions_pkey",
                    text_datum(set), InvalidOid, (Datum)0, snapshot);
  for (; found; found = index_getnext_slot(lookup.scan, ForwardScanDirection, lookup.slot)) {
    text* name = DatumGetTextPP(lookup_column(lookup, "feature"));
    std::string_view feature(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name));
    for (size_t i = 0; i < count; ++i) {
      if (features[i] == feature) places[i] = DatumGetInt32(lookup_column(lookup, "position")) - 1;
    }
  }
  close_lookup(&lookup);
}

}  // namespace fraud::pg
