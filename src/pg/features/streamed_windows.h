// The windows of a key's value from its events alone, each looked at once and none kept: for so many
// that they would not fit into fraud_detect.feature_memory.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "pg/features/online_set.h"
#include "pg/features/tile_shape.h"

namespace fraud::pg {

// The windows of one row.
class StreamedWindows {
 public:
  StreamedWindows(const OnlineSet& online, const EventBatch& current, const EventOrder& order, size_t row);
  ~StreamedWindows();

  // Adds the windows of a key: of the reader, or of the dependent of that number with that value. `earlier` are the
  // rows before this one that have the same value, in their order.
  void add_key(const KeyPlan& plan, const TileShape& shape, size_t dependent, std::string_view value, std::vector<size_t> earlier);

  // Takes stored events, in their order, whose keys are of `dependents` dependents.
  void take(const EventBatch& events, size_t dependents);

  // Puts the features into their places of `values` (rows x windows). False: the values do not sum exactly.
  bool finish(float* values);

 private:
  struct Key;
  void add(Key& key, const Event& event, bool in_run);

  const OnlineSet& online_;
  const EventBatch& current_;
  const EventOrder& order_;
  size_t row_;
  std::vector<std::unique_ptr<Key>> keys_;
};

}  // namespace fraud::pg
