// Which feature it is that cannot be computed.
#pragma once

#include <memory>
#include <string>

#include "pg/features/feature_set.h"
#include "pg/features/online_features.h"

namespace fraud::pg {

// Returns the name of the first feature of the set that fails for these events, computed by
// itself in a subtransaction; empty where each of them can be, or where none can: the event's
// time or id is at fault.
std::string failing_feature(const FeatureSet& set, const EventSource& events, bool read_only);

}  // namespace fraud::pg
