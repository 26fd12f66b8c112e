// Windows of few events, each looked up as for an event that comes now: where a period is short and its windows reach far
// back, that spares reading all that lies between, and keys with many events have tiles.
#pragma once

#include <memory>
#include <vector>

#include "pg/features/feature_set.h"
#include "pg/server/server.h"

namespace fraud::pg {

// How many events a pass goes through, at least, while the windows of one are looked up (docs/benchmarks.md, Features).
constexpr double kEventsALookUp = 400;

// Tells whether events of all keys of the set are found by an index.
bool has_all_indexes(const FeatureSet& set);

// The windows of events that are stored, given as rows of the set's table: rows x windows, row by row, in the order of
// set->windows.
void look_up_windows(const std::shared_ptr<const FeatureSet>& set, const std::vector<Datum>& rows, bool read_only, float* values);

}  // namespace fraud::pg
