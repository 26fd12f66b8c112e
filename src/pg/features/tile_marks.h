// What those who change events, and those who read many, leave for the folder of tiles (src/sql/36_tiles.sql).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pg/features/event_reader.h"
#include "pg/features/online_set.h"
#include "pg/features/tile_tables.h"

namespace fraud::pg {

// Of a set that has no row in fraud.tile_sets yet.
constexpr int32_t kNewSet = -1;

// A value of a key whose events were many.
struct TileRequest {
  int32_t set = 0;
  int key = 0;
  std::string value;               // stored_key()
  std::vector<std::string> parts;  // of the value, as text
  int64_t events = 0;              // how many were read; 0: of a key that has tiles, of which more are wanted
  TimestampTz wanted_to = 0;
  std::string shape;  // tile_signature() of the set as it was read
  std::string name;   // of a new set, of which nothing else is said
};

// No tiles are made of later events: there are such as the year 9999 by mistake, and empty stretches up to there.
TimestampTz latest_of_tiles();
// Writes them down, with the owner's rights.
void request_tiles(const std::vector<TileRequest>& requests);

// Events that are added, changed or taken away in this transaction, which has called announce_changes().
class ChangedEvents {
 public:
  // Of a batch of the set's events, with their keys.
  void add(const OnlineSet& online, const EventReader& events);
  // Marks what has tiles of them, with the owner's rights.
  void mark(OnlineSet& online) const;

 private:
  struct One {
    TimestampTz time;
    std::vector<std::string> keys;  // as stored; of those that are read for themselves alone, and are not null
  };
  std::vector<One> events_;
};

// Marks all keys of a set between these times, where it has any: what has no keys to tell. With the owner's rights.
void mark_all_tiles(std::string_view set, TimestampTz from, TimestampTz to);

}  // namespace fraud::pg
