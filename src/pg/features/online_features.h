// The online way: the features of events that come now, from index range scans.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "pg/features/feature_set.h"
#include "pg/features/partition_events.h"
#include "pg/server/server.h"
#include "pg/server/spi.h"

namespace fraud::pg {

// Events as a FROM item: a query's text with parameters, which gives rows called e
// with the columns of the set's events, always in the same order.
struct EventSource {
  std::string from;
  std::vector<Oid> types;
  std::vector<SqlValue> values;
  StoredEvents stored;  // where the events that are stored can be read without a statement
  // The same events as rows of that table, from which they can be made without one too; then `values` may be empty, until
  // `make_values` is asked for them.
  std::vector<NewRow> rows;
  std::function<std::vector<SqlValue>()> make_values;
};

// Returns the feature vectors of the events, one after the other; NaN is missing.
// An event may be stored or not: what counts for it is what comes before it in the
// order of (time, id), stored or in the same source. No two may have the same time,
// id and key. With read_only, what is stored is that of the active snapshot; else that
// of now. With `stores` the caller stores the events, in this transaction: what tiles there are of their keys learn of it.
std::vector<float> online_features(const std::shared_ptr<const FeatureSet>& set,
                                   const EventSource& events, bool read_only, bool stores = false);

// One event, a row whose columns are named as those of the set's events.
EventSource one_event(const FeatureSet& set, HeapTupleHeader event);

}  // namespace fraud::pg
