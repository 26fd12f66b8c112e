// A feature set made ready to be computed event by event: which keys' events are read, and by which
// queries. Kept from call to call.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "pg/features/event_reader.h"
#include "pg/features/feature_set.h"
#include "pg/features/online_features.h"
#include "pg/features/partition_events.h"
#include "pg/server/boundary.h"
#include "pg/server/kept_plan.h"

namespace fraud::pg {

// Which keys' windows are filled from the events that are read for another key: one
// whose parts all are parts of this key too, and whose windows reach as far.
struct KeyReading {
  size_t reader = 0;                // the key whose events are read; itself, mostly
  std::vector<size_t> dependents;   // keys that are filled from this one's events
};

// The stored events of a key, and the queries that give them: for one value of the key,
// which is what most calls ask for, and for many, whose rows have the value's number
// for a tag.
struct History {
  std::vector<EventColumn> columns, tagged_columns;
  KeptPlan one, many;
  std::unique_ptr<PartitionEvents> stored;  // reads them without these; null where that is not for this key
};

struct TileShapes;

// What a set needs to be computed event by event, kept from call to call.
struct OnlineSet {
  OnlineSet(std::shared_ptr<const FeatureSet> the_set, StoredEvents stored_events);
  ~OnlineSet();

  std::shared_ptr<const FeatureSet> set;
  StoredEvents stored;
  FeatureEngine engine;  // for its plans; no event goes through it
  std::vector<EventColumn> event_columns;
  KeptPlan event;
  std::unique_ptr<PartitionEvents> given;  // gives the events without it
  std::vector<KeyReading> readings;
  std::vector<History> histories;  // of each key

  // What its tiles hold.
  const TileShapes& tile_shapes();
  std::string signature;     // tile_signature(), as it was when
  uint64_t signed_at = 0;    // so many invalidations had been heard of

 private:
  std::unique_ptr<TileShapes> shapes_;  // made when they are first asked for
};

constexpr size_t kTimeColumn = 0, kIdColumn = 1;  // of the event's columns

// Calls `use` with the place of each column of the event's that is a part of the key.
template <typename Use>
void for_each_part(const OnlineSet& online, size_t key, Use&& use) {
  for (size_t i = 0; i < online.event_columns.size(); ++i) {
    const EventColumn& column = online.event_columns[i];
    if (column.kind == EventColumn::Kind::kKeyPart && column.index == key) use(i);
  }
}

// Returns the set as it is kept for these events. Shared: an expression may call what changes the set, and
// computes it anew, while it is computed.
std::shared_ptr<OnlineSet> online_set(const std::shared_ptr<const FeatureSet>& set, const EventSource& events);

// Prepares what the events themselves bring: time, id, keys, locals and inputs.
void prepare_event(OnlineSet& online, const EventSource& events);

// Decides what is read of the key's events.
void prepare_columns(OnlineSet& online, size_t key);

// Has the key's events read from the partitions of their table, if those are as expected.
void prepare_stored(OnlineSet& online, size_t key);

// The parameters of a history: after and until what time, the time and id that all are
// before, and the key's parts. The reader knows the types of the event's columns.
std::vector<Oid> history_types(const OnlineSet& online, size_t key, const EventReader& event);
void prepare_one(OnlineSet& online, size_t key, const EventReader& event);
void prepare_many(OnlineSet& online, size_t key, const EventReader& event);

// The order of (time, id).
class EventOrder {
 public:
  EventOrder(Oid id_type, Oid collation) : collation_(collation) {
    protect([&] {
      TypeCacheEntry* entry = lookup_type_cache(getBaseType(id_type), TYPECACHE_CMP_PROC_FINFO);
      compare_ = &entry->cmp_proc_finfo;
    });
  }
  int operator()(int64_t time_a, Datum id_a, int64_t time_b, Datum id_b) const {
    if (time_a != time_b) return time_a < time_b ? -1 : 1;
    return protect([&] { return DatumGetInt32(FunctionCall2Coll(compare_, collation_, id_a, id_b)); });
  }

 private:
  FmgrInfo* compare_;
  Oid collation_;
};

}  // namespace fraud::pg
