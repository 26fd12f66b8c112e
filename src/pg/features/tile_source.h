// Where the events come from that tiles are made of: a set's events by a key's value given as text.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "pg/features/online_set.h"
#include "pg/features/tile_shape.h"

namespace fraud::pg {

class TileSource {
 public:
  // The caller has SPI open, and keeps it open.
  explicit TileSource(std::shared_ptr<const FeatureSet> set);

  OnlineSet& online() noexcept { return *online_; }
  const TileShapes& shapes() { return online_->tile_shapes(); }

  // Reads the events of a key's value with from <= time < until into the reader, as the snapshot, which is active, sees them.
  // With the rights of the set's definer.
  void read(size_t key, const std::vector<std::string>& parts, TimestampTz from, TimestampTz until, Snapshot snapshot, EventReader& into);

  // A reader of a key's events.
  std::unique_ptr<EventReader> reader(size_t key);

 private:
  std::vector<Datum> values(size_t key, const std::vector<std::string>& parts) const;
  Datum any_id() const;

  std::shared_ptr<OnlineSet> online_;
  std::unique_ptr<EventReader> types_;  // knows the types of the event's columns
};

}  // namespace fraud::pg
