#include "pg/features/online_set.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "pg/features/index_key.h"
#include "pg/features/tile_shape.h"
#include "pg/server/boundary.h"

namespace fraud::pg {

namespace {

// By set and source. Never destroyed: at the process's end there is no Postgres left
// to free plans.
auto& cache = *new std::map<std::pair<std::string, std::string>, std::shared_ptr<OnlineSet>>;

bool includes(const std::vector<std::string>& parts, const std::vector<std::string>& fewer) {
  return std::all_of(fewer.begin(), fewer.end(), [&](const std::string& part) {
    return std::find(parts.begin(), parts.end(), part) != parts.end();
  });
}

// Decides which keys' events are read.
void plan_readings(OnlineSet& online) {
  const FeatureSet& set = *online.set;
  auto reads_as_far = [&](size_t key, size_t other) {
    const KeyPlan& a = online.engine.plan(key);
    const KeyPlan& b = online.engine.plan(other);
    return b.reach_us() >= a.reach_us() && b.least_delay_us() <= a.least_delay_us();
  };
  // Keys with fewer parts first: whether they read for themselves is known then.
  std::vector<size_t> order(set.keys.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return set.keys[a].parts.size() < set.keys[b].parts.size();
  });
  for (size_t key : order) {
    size_t& reader = online.readings[key].reader;
    reader = key;
    for (size_t other = 0; other < set.keys.size() && reader == key; ++other) {
      const bool fewer = set.keys[other].parts.size() < set.keys[key].parts.size();
      if (fewer && online.readings[other].reader == other && reads_as_far(key, other) &&
          includes(set.keys[key].parts, set.keys[other].parts)) {
        reader = other;
        online.readings[other].dependents.push_back(key);
      }
    }
  }
}

// Lists what the windows of a key read of each event, and those that are filled with it.
std::vector<EventColumn> history_columns(const OnlineSet& online, size_t key) {
  using Kind = EventColumn::Kind;
  const FeatureSet& set = *online.set;
  const std::vector<size_t>& dependents = online.readings[key].dependents;
  std::vector<size_t> filled = dependents;
  filled.push_back(key);
  std::vector<EventColumn> columns;
  columns.push_back({Kind::kTime, 0, as_timestamptz(set.time, set.time_type)});
  columns.push_back({Kind::kId, 0, "(" + set.id + ")"});
  if (std::any_of(filled.begin(), filled.end(), [&](size_t k) { return online.engine.plan(k).wants_labels(); })) {
    columns.push_back({Kind::kLabel, 0, set.label_as_boolean});
    if (!set.known_at.empty()) {
      columns.push_back({Kind::kKnownAt, 0, as_timestamptz(set.known_at, set.known_at_type)});
    }
    if (!set.label_changes.empty()) columns.push_back({Kind::kLabelChanges, 0, "(" + set.label_changes + ")"});
  }
  std::set<int> inputs;
  for (size_t k : filled) inputs.insert(online.engine.plan(k).inputs().begin(), online.engine.plan(k).inputs().end());
  for (int input : inputs) {
    const auto index = static_cast<size_t>(input);
    columns.push_back({set.inputs[index].hashed ? Kind::kHashInput : Kind::kNumberInput, index,
                       set.inputs[index].sql});
  }
  for (size_t i = 0; i < dependents.size(); ++i) {
    for (const std::string& part : set.keys[dependents[i]].parts) columns.push_back({Kind::kKeyPart, i, "(" + part + ")"});
  }
  return columns;
}

// Returns the query of the events, given how parameter i (from 0) is written in it. It reads by
// what fraud.feature_indexes has indexed: of a part that can be long the hash, and no long id,
// so that the order within a time is made here; apart, or an index on the time alone, which has
// that order, would look better than the key's.
template <typename Parameter>
std::string history_query(const OnlineSet& online, size_t key, const EventReader& event, Parameter&& parameter) {
  const FeatureSet& set = *online.set;
  const std::string time = "(" + set.time + ")", id = "(" + set.id + ")";
  std::string sql = select_list(online.histories[key].columns) + set.from_clause() + " WHERE " + time + " > " +
                    set.in_time_type(parameter(0)) + " AND " + time + " <= " + set.in_time_type(parameter(1)) +
                    " AND (" + time + ", " + id + ") < (" + set.in_time_type(parameter(2)) + ", " + parameter(3) + ")" +
                    " AND " + id + " IS NOT NULL";  // a pass reads no others either
  int next = 4;
  for_each_part(online, key, [&](size_t column) {
    const std::string& part = online.event_columns[column].sql;
    const std::string value = parameter(next++);
    sql += " AND " + part + " = " + value;
    const Oid type = event.column_type(column), collation = event.column_collation(column);
    const std::string indexed = set.builtin ? part : indexed_part(part, type, collation);
    if (!indexed.empty() && indexed != part) sql += " AND " + indexed + " = " + indexed_part(value, type, collation);
  });
  if (set.builtin || indexed_part(id, event.column_type(kIdColumn), event.column_collation(kIdColumn)) == id) {
    return sql + " ORDER BY " + time + ", " + id;
  }
  return "WITH h AS MATERIALIZED (" + sql + ") SELECT * FROM h ORDER BY " +
         "h.\"?" + std::to_string(kTimeColumn) + "\", h.\"?" + std::to_string(kIdColumn) + "\"";
}

}  // namespace

std::shared_ptr<OnlineSet> online_set(const std::shared_ptr<const FeatureSet>& set, const EventSource& events) {
  std::shared_ptr<OnlineSet>& kept = cache[{set->name, events.from}];
  if (kept == nullptr || kept->set != set || kept->stored.table != events.stored.table) {
    kept = nullptr;
    auto made = std::make_shared<OnlineSet>(set, events.stored);
    plan_readings(*made);
    kept = std::move(made);
  }
  return kept;
}

OnlineSet::OnlineSet(std::shared_ptr<const FeatureSet> the_set, StoredEvents stored_events)
    : set(std::move(the_set)),
      stored(std::move(stored_events)),
      engine(set->windows, set->keys.size()),
      readings(set->keys.size()),
      histories(set->keys.size()) {}
OnlineSet::~OnlineSet() = default;

const TileShapes& OnlineSet::tile_shapes() {
  if (shapes_ == nullptr) shapes_ = std::make_unique<TileShapes>(*this);
  return *shapes_;
}

void prepare_event(OnlineSet& online, const EventSource& events) {
  using Kind = EventColumn::Kind;
  const FeatureSet& set = *online.set;
  std::vector<EventColumn>& columns = online.event_columns;
  columns.clear();
  columns.push_back({Kind::kTime, 0, as_timestamptz(set.time, set.time_type)});
  columns.push_back({Kind::kId, 0, "(" + set.id + ")"});
  for (size_t i = 0; i < set.keys.size(); ++i) {
    for (const std::string& part : set.keys[i].parts) columns.push_back({Kind::kKeyPart, i, "(" + part + ")"});
  }
  for (size_t i = 0; i < set.locals.size(); ++i) {
    columns.push_back({set.locals[i].coded ? Kind::kCategory : Kind::kNumber, i, set.locals[i].sql});
  }
  for (size_t i = 0; i < set.inputs.size(); ++i) {
    columns.push_back({set.inputs[i].hashed ? Kind::kHashInput : Kind::kNumberInput, i, set.inputs[i].sql});
  }
  online.event.prepare(select_list(columns) + " FROM " + events.from, events.types);
  if (!events.rows.empty()) online.given = std::make_unique<PartitionEvents>(events.stored, select_list(columns), std::string());
}

std::vector<Oid> history_types(const OnlineSet& online, size_t key, const EventReader& event) {
  std::vector<Oid> types(3, TIMESTAMPTZOID);
  types.push_back(event.column_type(kIdColumn));
  for_each_part(online, key, [&](size_t column) { types.push_back(event.column_type(column)); });
  return types;
}

void prepare_columns(OnlineSet& online, size_t key) { online.histories[key].columns = history_columns(online, key); }

void prepare_stored(OnlineSet& online, size_t key) {
  History& history = online.histories[key];
  if (!OidIsValid(online.stored.table) || history.stored != nullptr || online.set->keys[key].parts.size() != 1) return;
  history.columns = history_columns(online, key);
  history.stored = std::make_unique<PartitionEvents>(online.stored, select_list(history.columns), online.set->keys[key].parts[0]);
}

void prepare_one(OnlineSet& online, size_t key, const EventReader& event) {
  online.histories[key].columns = history_columns(online, key);
  online.histories[key].one.prepare(
      history_query(online, key, event, [](int i) { return "$" + std::to_string(i + 1); }),
      history_types(online, key, event));
}

void prepare_many(OnlineSet& online, size_t key, const EventReader& event) {
  History& history = online.histories[key];
  history.columns = history_columns(online, key);
  history.tagged_columns = history.columns;
  history.tagged_columns.insert(history.tagged_columns.begin(), {EventColumn::Kind::kTag, 0, {}});
  std::vector<Oid> types;
  std::string parameters, names;
  for (Oid type : history_types(online, key, event)) {
    Oid array = protect([&] { return get_array_type(type); });
    if (!OidIsValid(array)) {
      const char* type_name = protect([&] { return format_type_be(type); });
      throw SqlError(ERRCODE_FEATURE_NOT_SUPPORTED, "type " + std::string(type_name) + " has no array type",
                     "Events are asked for by arrays of their keys.",
                     "Drop the feature, and make it anew with that column cast to text.");
    }
    names += "\"?" + std::to_string(types.size()) + "\", ";
    types.push_back(array);
    parameters += (parameters.empty() ? "$" : ", $") + std::to_string(types.size());
  }
  // unnest is unqualified, as only then it takes several arrays; search_path is pg_catalog.
  history.many.prepare("SELECT n.\"?group\", h.* FROM unnest(" + parameters + ") WITH ORDINALITY n(" + names +
                           "\"?group\") CROSS JOIN LATERAL (" +
                           history_query(online, key, event, [](int i) { return "n.\"?" + std::to_string(i) + "\""; }) +
                           ") h",
                       std::move(types));
}

}  // namespace fraud::pg
