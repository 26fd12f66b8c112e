// A feature set as it is defined in the tables, ready to be computed.
#pragma once

#include "core/features/feature_engine.h"
#include "core/features/reasons.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "pg/features/feature_expression.h"
#include "pg/server/owner_scope.h"
#include "pg/server/server.h"

namespace fraud::pg {

class Spi;

struct FeatureSet {
  // Compiled once, for they are as long as the list of members.
  FeatureSet();
  FeatureSet(const FeatureSet&);
  FeatureSet(FeatureSet&&) noexcept;
  FeatureSet& operator=(const FeatureSet&);
  FeatureSet& operator=(FeatureSet&&) noexcept;
  ~FeatureSet();

  // A local feature: an expression over the event's own row.
  struct Local {
    std::string sql;
    bool coded = false;  // text that becomes a code
    std::unordered_map<std::string, float> codes;
    size_t feature = 0;  // its place in the vector
  };
  // What windows aggregate.
  struct Input {
    std::string sql;
    bool hashed = false;  // any value, told apart by its hash
  };
  struct Key {
    std::vector<std::string> parts;
  };

  std::string name;
  std::string revision;
  Oid relation = InvalidOid;
  uint64_t row_identity = 0;  // of its row type: another one once a column is altered
  bool builtin = false;  // payments: what is indexed of its events is ours
  std::string definer;  // role whose rights the expressions have; empty: the extension's owner
  std::string id, time, label, known_at, label_changes;  // expressions; the last three may be empty
  std::string label_as_boolean;
  Oid time_type = TIMESTAMPTZOID, known_at_type = TIMESTAMPTZOID;
  int64_t label_delay_us = 0;
  std::string tag;  // a bigint that FeatureStream gives with each event, or empty
  std::string row;  // a row of a table that it gives with each event, or empty

  std::vector<FeatureInfo> features;     // in vector order
  std::vector<size_t> places;            // of each, from 0: kept when others are dropped
  std::vector<Local> locals;
  std::vector<Input> inputs;
  std::vector<Key> keys;
  std::vector<WindowFeature> windows;
  std::vector<size_t> window_places;  // of each of `windows`, in the vector

  // Returns " FROM schema.table e".
  std::string from_clause() const;
  // Returns a timestamptz expression in the type of the time's column.
  std::string in_time_type(const std::string& sql) const;
};

// Returns the expression, which is a timestamptz or a timestamp in UTC, as the former.
std::string as_timestamptz(const std::string& sql, Oid type);

// Aggregates by their SQL names; the second returns all names, for hints.
std::optional<Aggregate> aggregate_named(std::string_view name);
std::string aggregate_names();

// Returns the feature set of that name as the active snapshot (read_only) or the
// transaction sees it; throws SqlError where there is none, or where its events
// table or its definer is gone. Kept in a cache of this backend by its revision.
std::shared_ptr<const FeatureSet> find_feature_set(std::string_view name, bool read_only);

// Takes what a set is called and is over from the first row of a statement on fraud.feature_sets, whose columns begin with
// revision::text, events::oid::bigint, defined_by::text, event_id and event_time. row_identity is 0 where the table is gone.
void read_identity(Spi& spi, std::string_view name, FeatureSet* set);

// Throws unless the current user may read the events.
void check_may_read(const FeatureSet& set);

// When the first and the last of a set's events are, and how many are within [from, to).
struct EventsPeriod {
  std::optional<TimestampTz> first, last;
  int64_t within = 0;
};

// Reads it with the definer's rights: of whoever asks, the caller has seen to it that he may read.
EventsPeriod events_period(const FeatureSet& set, TimestampTz from, TimestampTz to);

// Returns the microseconds of an interval without months; `what` is for the error.
int64_t interval_microseconds(const Interval& interval, const char* what);

// Parses an expression that the set has. It takes the definer's rights, too: a constant of a
// user's type, and what Postgres can compute beforehand, run functions of his.
FeatureExpression parse_stored_expression(const FeatureSet& set, const char* what, std::string_view text);

// Until the end of its life: the rights of the set's definer, in a
// security-restricted operation as for an index's expressions, and the settings
// that values could depend on pinned.
class DefinerScope {
 public:
  explicit DefinerScope(const FeatureSet& set);

 private:
  RestrictedScope scope_;
};

}  // namespace fraud::pg
