// Finds the values of a set's keys that have many events.
#pragma once

#include <vector>

#include "pg/features/tile_marks.h"
#include "pg/features/tile_source.h"

namespace fraud::pg {

// Counts the events of each value of each key within the reach of its windows before the set's latest event, in one
// pass over the events a key, and returns those that have `least` or more. SPI is open.
std::vector<TileRequest> keys_with_many_events(TileSource& source, int32_t set, int64_t least);

}  // namespace fraud::pg
