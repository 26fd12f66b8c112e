#include "pg/features/tile_marks.h"

#include <algorithm>

#include "pg/features/tile_shape.h"
#include "pg/server/boundary.h"
#include "pg/server/owner_scope.h"
#include "pg/server/shared_state.h"
#include "pg/server/spi.h"

extern "C" {
#include "utils/timestamp.h"
}

namespace fraud::pg {

namespace {

Statement add_request(
    "INSERT INTO fraud.tile_requests (set_id, key_no, key, parts, events, wanted_to, shape) VALUES ($1, $2::int2, $3, $4, $5, $6, $7)",
    {INT4OID, INT4OID, BYTEAOID, TEXTARRAYOID, INT8OID, TIMESTAMPTZOID, BYTEAOID});
Statement add_set("INSERT INTO fraud.tile_sets (feature_set) VALUES ($1) ON CONFLICT DO NOTHING", {TEXTOID});
Statement add_mark(
    "INSERT INTO fraud.tile_marks (set_id, key_no, key, changed_from, changed_to) VALUES ($1, $2::int2, $3, $4, $5)",
    {INT4OID, INT4OID, BYTEAOID, TIMESTAMPTZOID, TIMESTAMPTZOID});

void write_mark(Spi& spi, int32_t set, int key, std::string_view value, TimestampTz from, TimestampTz to) {
  spi.run(add_mark, {int4_param(set), int4_param(key), bytea_param(value), time_param(from), time_param(to)});
}

}  // namespace

TimestampTz latest_of_tiles() { return GetCurrentTimestamp() + USECS_PER_DAY; }

void request_tiles(const std::vector<TileRequest>& requests) {
  protect([] { wake_at_commit(WorkerKind::kIngest); });
  OwnerScope owner;
  Spi spi;
  const TimestampTz latest = latest_of_tiles();
  for (const TileRequest& request : requests) {
    if (request.set == kNewSet) {
      spi.run(add_set, {text_param(request.name)});
      continue;
    }
    Column parts(TEXTOID);
    for (const std::string& part : request.parts) parts.add(text_param(part));
    spi.run(add_request, {int4_param(request.set), int4_param(request.key), bytea_param(request.value), parts.array(),
                          int8_param(request.events), time_param(std::min(request.wanted_to, latest)), bytea_param(request.shape)});
  }
}

void ChangedEvents::add(const OnlineSet& online, const EventReader& events) {
  TileTables tables;
  if (tables.none()) return;
  const size_t keys = online.set->keys.size();
  const EventBatch& batch = events.batch();
  std::vector<std::string_view> values;
  for (size_t row = 0; row < batch.rows; ++row) {
    batch.keys_of(row, keys, &values);
    One one{batch.times[row], std::vector<std::string>(keys)};
    for (size_t key = 0; key < keys; ++key) {
      if (online.readings[key].reader == key && values[key].data() != nullptr) one.keys[key] = stored_key(values[key]);
    }
    events_.push_back(std::move(one));
  }
}

void ChangedEvents::mark(OnlineSet& online) const {
  if (events_.empty()) return;
  struct Mark {
    int key;
    std::string value;
    TimestampTz time;
  };
  std::vector<Mark> marks;
  int32_t set = 0;
  {
    const LatestSnapshot latest;
    TileTables tables;
    const std::optional<TileSetRow> row = tables.set(online.set->name, latest.get());
    if (!row || !row->marked_to) return;
    set = row->id;
    // Keys of another definition than ours may have tiles: we do not know their values. Whoever changes the definition from here
    // on makes tiles of it only when this transaction has ended.
    const bool ours = row->shape == tile_signature(online);
    for (const One& one : events_) {
      if (one.time > *row->marked_to) continue;
      if (!ours) {
        marks.push_back({kAllKeys, {}, one.time});
        continue;
      }
      for (size_t key = 0; key < one.keys.size(); ++key) {
        if (one.keys[key].empty() || !tables.cover(set, key, one.keys[key], latest.get())) continue;
        marks.push_back({static_cast<int>(key), one.keys[key], one.time});
      }
    }
  }
  if (marks.empty()) return;
  OwnerScope owner;
  Spi spi;
  for (const Mark& mark : marks) write_mark(spi, set, mark.key, mark.value, mark.time, mark.time);
}

void mark_all_tiles(std::string_view name, TimestampTz from, TimestampTz to) {
  announce_changes();
  int32_t set = 0;
  {
    const LatestSnapshot latest;
    TileTables tables;
    if (tables.none()) return;
    const std::optional<TileSetRow> row = tables.set(name, latest.get());
    if (!row || !row->marked_to) return;
    set = row->id;
  }
  OwnerScope owner;
  Spi spi;
  write_mark(spi, set, kAllKeys, {}, from, to);
}

}  // namespace fraud::pg
