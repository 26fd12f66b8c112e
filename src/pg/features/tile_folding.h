// The folder: makes tiles of the keys that are asked for, and makes those anew whose events have changed
// (src/sql/36_tiles.sql says by which steps, and why nobody waits for it).
#pragma once

#include "pg/server/spi.h"

namespace fraud::pg {

// What there is to do after a piece.
enum class Folded {
  kMore,   // the next piece
  kWaits,  // nothing until transactions have ended that may still change events without marks
  kAll,    // nothing
};

// One piece of work, of about 50 ms, for a transaction of its own, with the owner's rights. Where another folds it
// waits for his piece to end, or, without `wait`, does nothing.
Folded fold_tiles(bool wait);

}  // namespace fraud::pg
