// The online way: the features of one event, from index range scans.
#pragma once

#include <vector>

#include "pg/feature_set.h"
#include "pg/server.h"

namespace fraud::pg {

// Returns the feature vector of an event, a row whose columns are named as those of
// the set's events; NaN is missing. The event may be stored or not: what counts is
// what comes before it in the order of (time, id). With read_only, as of the active
// snapshot; else as of now.
std::vector<float> online_features(const std::shared_ptr<const FeatureSet>& set,
                                   HeapTupleHeader event, bool read_only);

}  // namespace fraud::pg
