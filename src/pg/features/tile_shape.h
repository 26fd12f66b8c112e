// What the tiles of a feature set hold, key by key.
#pragma once

#include <string>
#include <vector>

#include "core/features/tile.h"
#include "pg/features/online_set.h"

namespace fraud::pg {

// What follows from the definition of a set for its tiles. Made once for an OnlineSet.
struct TileShapes {
  explicit TileShapes(const OnlineSet& online);

  std::vector<TileShape> keys;   // of each key
  std::vector<bool> readers;     // whose events are read for themselves, and can have tiles
  std::string digest;            // the same exactly where tiles mean the same
};

// Returns the digest together with the triggers by which changes of the events are marked: another one once any was made
// anew, and, once its partitions are others (of payments: others than the extension made). Empty where changes are not marked, so that there can be no tiles.
const std::string& tile_signature(OnlineSet& online);

}  // namespace fraud::pg
