#include "pg/features/tile_tables.h"

#include <exception>

#include "pg/server/boundary.h"
#include "pg/server/index_lookup.h"
#include "pg/server/owner_scope.h"

extern "C" {
#include "storage/lmgr.h"
#include "utils/fmgrprotos.h"
#include "utils/snapmgr.h"
}

namespace fraud::pg {

namespace {

// Columns, in the order of src/sql/36_tiles.sql.
constexpr int kSetId = 1, kSetShape = 3, kSetMarkedTo = 4;
constexpr int kKeyShift = 9, kKeyFrom = 10, kKeyTo = 11;
constexpr int kMarkFrom = 5, kMarkTo = 6;
constexpr int kPageBytes = 8;

constexpr size_t kLongestKey = 64;

// A bytea and a text are laid out alike.
Datum bytea_datum(std::string_view bytes) {
  return protect([&] { return text_datum(bytes); });
}

RowLookup& opened(std::optional<RowLookup>& lookup, const char* table, const char* index) {
  if (!lookup) lookup.emplace(table, index);
  return *lookup;
}

}  // namespace

std::string bytes_of(Datum value) {
  const std::string_view bytes = protect([&] {
    varlena* whole = PG_DETOAST_DATUM_PACKED(value);
    return std::string_view(VARDATA_ANY(whole), static_cast<size_t>(VARSIZE_ANY_EXHDR(whole)));
  });
  return std::string(bytes);
}

std::string stored_key(std::string_view bytes) {
  if (bytes.size() <= kLongestKey) return std::string(bytes);
  const Datum value = bytea_datum(bytes);
  // One byte more than a short one can have, so that no short one is the same.
  return std::string(kLongestKey - 31, '\xFF') + bytes_of(protect([&] { return DirectFunctionCall1(sha256_bytea, value); }));
}

bool TileTables::none() { return opened(keys_, "tiled_keys", "tiled_keys_pkey").is_empty(); }

std::optional<TileSetRow> TileTables::set(std::string_view name, Snapshot snapshot) {
  RowLookup& lookup = opened(sets_, "tile_sets", "tile_sets_feature_set_key");
  const Datum key = bytea_datum(name);
  lookup.find(&key, 1, snapshot);
  if (!lookup.next()) return std::nullopt;
  TileSetRow row;
  bool null = false;
  row.id = DatumGetInt32(lookup.value(kSetId, &null));
  const Datum shape = lookup.value(kSetShape, &null);
  if (!null) row.shape = bytes_of(shape);
  const Datum marked_to = lookup.value(kSetMarkedTo, &null);
  if (!null) row.marked_to = DatumGetTimestampTz(marked_to);
  return row;
}

std::optional<TileCover> TileTables::cover(int32_t set, size_t key_no, std::string_view key, Snapshot snapshot) {
  RowLookup& lookup = opened(keys_, "tiled_keys", "tiled_keys_pkey");
  const Datum values[] = {Int32GetDatum(set), Int16GetDatum(static_cast<int16>(key_no)), bytea_datum(key)};
  lookup.find(values, 3, snapshot);
  if (!lookup.next()) return std::nullopt;
  TileCover cover;
  bool null = false;
  const Datum shift = lookup.value(kKeyShift, &null);
  if (null) return cover;
  const Datum from = lookup.value(kKeyFrom, &null);
  if (null) return cover;
  const Datum to = lookup.value(kKeyTo, &null);
  if (null) return cover;
  return TileCover{DatumGetInt16(shift), DatumGetTimestampTz(from), DatumGetTimestampTz(to)};
}

void TileTables::marks(int32_t set, int key_no, std::string_view key, Snapshot snapshot, std::vector<TileMark>* marks) {
  RowLookup& lookup = opened(marks_, "tile_marks", "tile_marks_key_idx");
  const Datum values[] = {Int32GetDatum(set), Int16GetDatum(static_cast<int16>(key_no)), bytea_datum(key)};
  lookup.find(values, 3, snapshot);
  while (lookup.next()) {
    bool null = false;
    const TimestampTz from = DatumGetTimestampTz(lookup.value(kMarkFrom, &null));
    marks->push_back({from, DatumGetTimestampTz(lookup.value(kMarkTo, &null))});
  }
}

bool TileTables::requested(int32_t set, size_t key_no, std::string_view key, Snapshot snapshot) {
  RowLookup& lookup = opened(requests_, "tile_requests", "tile_requests_key_idx");
  const Datum values[] = {Int32GetDatum(set), Int16GetDatum(static_cast<int16>(key_no)), bytea_datum(key)};
  lookup.find(values, 3, snapshot);
  return lookup.next();
}

bool TileTables::page(int32_t set, size_t reader_no, std::string_view reader_key, int shift, TimestampTz starts_at, size_t key_no,
                      std::string_view key, Snapshot snapshot, std::string* bytes) {
  RowLookup& lookup = opened(pages_, "tiles", "tiles_pkey");
  const Datum values[] = {Int32GetDatum(set), Int16GetDatum(static_cast<int16>(reader_no)), bytea_datum(reader_key),
                          Int16GetDatum(static_cast<int16>(shift)), TimestampTzGetDatum(starts_at),
                          Int16GetDatum(static_cast<int16>(key_no)), bytea_datum(key)};
  lookup.find(values, 7, snapshot);
  if (!lookup.next()) return false;
  bool null = false;
  *bytes = bytes_of(lookup.value(kPageBytes, &null));
  return true;
}

void announce_changes() {
  const Oid schema = fraud_schema();
  protect([&] { LockRelationOid(relation_named(schema, "tile_marks"), RowExclusiveLock); });
}

LatestSnapshot::LatestSnapshot() : exceptions_(std::uncaught_exceptions()) {
  snapshot_ = protect([] {
    // What this transaction did so far is seen, too.
    CommandCounterIncrement();
    return RegisterSnapshot(GetLatestSnapshot());
  });
}

LatestSnapshot::~LatestSnapshot() noexcept {
  if (std::uncaught_exceptions() > exceptions_) return;
  UnregisterSnapshot(snapshot_);
}

}  // namespace fraud::pg
