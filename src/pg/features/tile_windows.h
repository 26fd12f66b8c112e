// The windows of one key's value from tiles and, where these do not reach, from events
// (src/sql/36_tiles.sql says what is read from which).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pg/features/online_set.h"
#include "pg/features/tile_shape.h"
#include "pg/features/tile_tables.h"

namespace fraud::pg {

// Times that tiles may not be taken of: a sorted list of stretches that do not touch.
class MarkedTimes {
 public:
  MarkedTimes() = default;
  explicit MarkedTimes(std::vector<TileMark> marks);
  // Whether a mark is in from <= time < until.
  bool any(int64_t from, int64_t until) const noexcept;
  // Whether all times to come, and all that were, are marked.
  bool all() const noexcept;
  const std::vector<TileMark>& stretches() const noexcept { return stretches_; }

 private:
  std::vector<TileMark> stretches_;
};

// A value of a key that has tiles, as of a snapshot.
struct TiledKey {
  int32_t set = 0;
  size_t reader = 0;   // the key
  std::string key;     // stored_key() of its value
  TileCover cover;
  MarkedTimes marks;
};

// Reads a key's events with after < time <= until, in the order of (time, id).
using ReadEvents = std::function<void(int64_t after, int64_t until, EventReader& into)>;

class TiledWindows {
 public:
  // Rows of `current` that have the value; `first` is the time of the earliest of them, `last` the latest end of their windows.
  TiledWindows(OnlineSet& online, const TileShapes& shapes, TileTables& tables, Snapshot snapshot, TiledKey key, const EventBatch& current,
               const EventOrder& order, ReadEvents read, int64_t first, int64_t last);
  ~TiledWindows();

  // Computes the windows of a key for rows that have the same value of it, in their order, into the rows' places of
  // `values` (rows x windows). The key is the reader, or the dependent of that number, with that value. False: an event's values do not sum
  // exactly, or its events take too much memory; then they must be computed from the events alone.
  bool compute(size_t key, size_t dependent, std::string_view value, const std::vector<size_t>& rows, float* values);

  // How many of the events that were read are later than all tiles.
  size_t behind() const noexcept;

 private:
  struct Part;
  struct Page;
  struct Subject;

  const Part* part(int64_t from, int64_t until);
  const TilePage* page(Subject& subject, int level, int64_t starts_at);
  bool add_window(Subject& subject, size_t window);
  bool add_events(Subject& subject, size_t window, int64_t from, int64_t until);
  bool add_tiles(Subject& subject, size_t window, int level, int64_t from, int count);

  OnlineSet& online_;
  const TileShapes& shapes_;
  TileTables& tables_;
  Snapshot snapshot_;
  TiledKey key_;
  const EventBatch& current_;
  const EventOrder& order_;
  ReadEvents read_;
  int64_t first_, last_;
  int levels_ = 0;
  std::vector<std::unique_ptr<Part>> parts_;
  bool too_large_ = false;
};

}  // namespace fraud::pg
