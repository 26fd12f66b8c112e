#include "pg/features/online_features.h"

#include <algorithm>
#include <exception>
#include <map>
#include <memory>
#include <numeric>
#include <set>

#include "pg/features/event_reader.h"
#include "pg/features/index_key.h"
#include "pg/server/boundary.h"
#include "pg/server/gucs.h"
#include "pg/server/kept_plan.h"
#include "pg/server/plan_settings.h"
#include "pg/server/spi.h"

namespace fraud::pg {

namespace {

constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();

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

// What a set needs to be computed event by event, kept from call to call.
struct OnlineSet {
  OnlineSet(std::shared_ptr<const FeatureSet> the_set, StoredEvents stored_events)
      : set(std::move(the_set)),
        stored(std::move(stored_events)),
        engine(set->windows, set->keys.size()),
        readings(set->keys.size()),
        histories(set->keys.size()) {}

  std::shared_ptr<const FeatureSet> set;
  StoredEvents stored;
  FeatureEngine engine;  // for its plans; no event goes through it
  std::vector<EventColumn> event_columns;
  KeptPlan event;
  std::unique_ptr<PartitionEvents> given;  // gives the events without it
  std::vector<KeyReading> readings;
  std::vector<History> histories;  // of each key
};

// By set and source. Never destroyed: at the process's end there is no Postgres left
// to free plans.
auto& cache = *new std::map<std::pair<std::string, std::string>, std::shared_ptr<OnlineSet>>;

constexpr size_t kTimeColumn = 0, kIdColumn = 1;  // of the event's columns

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

// Shared: an expression may call what changes the set, and computes it anew, while it is
// computed.
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

// What the event itself brings: its time, id, keys, locals and inputs.
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

// Calls `use` with the place of each column of the event's that is a part of the key.
template <typename Use>
void for_each_part(const OnlineSet& online, size_t key, Use&& use) {
  for (size_t i = 0; i < online.event_columns.size(); ++i) {
    const EventColumn& column = online.event_columns[i];
    if (column.kind == EventColumn::Kind::kKeyPart && column.index == key) use(i);
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

// The parameters of a history: after and until what time, the time and id that all are
// before, and the key's parts.
std::vector<Oid> history_types(const OnlineSet& online, size_t key, const EventReader& event) {
  std::vector<Oid> types(3, TIMESTAMPTZOID);
  types.push_back(event.column_type(kIdColumn));
  for_each_part(online, key, [&](size_t column) { types.push_back(event.column_type(column)); });
  return types;
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

// Whether the key's events are read from the partitions of their table, if those are as expected.
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
      throw SqlError(ERRCODE_FEATURE_NOT_SUPPORTED, "type " + std::string(type_name) + " has no array type");
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

// The computation of one source's events.
class Computation {
 public:
  Computation(OnlineSet& online, const EventReader& reader)
      : online_(online),
        set_(*online.set),
        reader_(reader),
        current_(reader.batch()),
        order_(reader.column_type(kIdColumn), reader.column_collation(kIdColumn)),
        keys_(set_.keys.size() * current_.rows),
        values_(current_.rows * set_.windows.size(), kMissing) {
    std::vector<std::string_view> row_keys;
    for (size_t row = 0; row < current_.rows; ++row) {
      current_.keys_of(row, set_.keys.size(), &row_keys);
      std::copy(row_keys.begin(), row_keys.end(), keys_.begin() + static_cast<ptrdiff_t>(row * set_.keys.size()));
    }
  }

  // Computes the windows of a key and of those that are filled with it.
  void run(size_t key, bool read_only) {
    std::vector<size_t> all(current_.rows);
    std::iota(all.begin(), all.end(), size_t{0});
    std::vector<std::vector<size_t>> groups = group(all, key);
    if (groups.empty()) return;
    prepare_stored(online_, key);
    size_t done = 0;
    if (online_.histories[key].stored != nullptr) {
      EventReader history(set_, online_.histories[key].columns, 0, set_.inputs.size(), online_.readings[key].dependents.size());
      history.limit_memory(static_cast<size_t>(guc_feature_memory_kb) * 1024);
      while (done < groups.size() && run_stored(key, groups[done], read_only, history)) ++done;
    }
    groups.erase(groups.begin(), groups.begin() + static_cast<ptrdiff_t>(done));
    if (groups.empty()) return;
    const bool one = groups.size() == 1;
    History& stored = online_.histories[key];
    if (one && !stored.one.prepared()) prepare_one(online_, key, reader_);
    if (!one && !stored.many.prepared()) prepare_many(online_, key, reader_);
    EventReader history(set_, one ? stored.columns : stored.tagged_columns, 0, set_.inputs.size(),
                        online_.readings[key].dependents.size());
    read(key, groups, read_only, history);
    const EventBatch& events = history.batch();
    size_t begin = 0;
    for (size_t g = 0; g < groups.size(); ++g) {
      size_t end = one ? events.rows : begin;
      while (end < events.rows && events.tags[end] == static_cast<int64_t>(g) + 1) ++end;
      fill_all(key, groups[g], events, begin, end);
      begin = end;
    }
    if (begin != events.rows) {
      throw SqlError(ERRCODE_INTERNAL_ERROR, "events came in another order than they were asked for");
    }
  }

  const std::vector<float>& values() const noexcept { return values_; }

  ~Computation() noexcept {
    // After an error the transaction's abort pops it.
    if (pushed_ != nullptr && std::uncaught_exceptions() == exceptions_) PopActiveSnapshot();
  }
  Computation(const Computation&) = delete;
  Computation& operator=(const Computation&) = delete;

 private:
  std::string_view key_of(size_t row, size_t key) const { return keys_[row * set_.keys.size() + key]; }

  // Puts rows with the same value of a key together, in order of (time, id).
  std::vector<std::vector<size_t>> group(const std::vector<size_t>& rows, size_t key) const {
    std::map<std::string_view, std::vector<size_t>> by_key;
    for (size_t row : rows) {
      if (key_of(row, key).data() != nullptr) by_key[key_of(row, key)].push_back(row);
    }
    std::vector<std::vector<size_t>> groups;
    for (auto& [value, members] : by_key) {
      std::sort(members.begin(), members.end(), [&](size_t a, size_t b) {
        return order_(current_.times[a], current_.ids[a], current_.times[b], current_.ids[b]) < 0;
      });
      groups.push_back(std::move(members));
    }
    return groups;
  }

  // Computes the key's windows of the rows of one group, and of those that are filled with them, from the
  // stored events [begin, end).
  void fill_all(size_t key, const std::vector<size_t>& rows, const EventBatch& events, size_t begin, size_t end) {
    fill(key, rows, events, begin, end, {});
    const std::vector<size_t>& dependents = online_.readings[key].dependents;
    for (size_t i = 0; i < dependents.size(); ++i) {
      for (const std::vector<size_t>& same : group(rows, dependents[i])) {
        fill(dependents[i], same, events, begin, end,
             matching(events, begin, end, i, dependents.size(), key_of(same[0], dependents[i])));
      }
    }
  }

  // Computes the windows of one group's rows, reading the partitions themselves; false where that is not possible.
  bool run_stored(size_t key, const std::vector<size_t>& rows, bool read_only, EventReader& history) {
    const KeyPlan& plan = online_.engine.plan(key);
    const int64_t first = current_.times[rows.front()], last = current_.times[rows.back()];
    EventRange range;
    range.after = first < MIN_TIMESTAMP + plan.reach_us() ? DT_NOBEGIN : first - plan.reach_us();
    range.until = last < MIN_TIMESTAMP + plan.least_delay_us() ? DT_NOBEGIN : last - plan.least_delay_us();
    range.before = last;
    range.before_id = current_.ids[rows.back()];
    for_each_part(online_, key, [&](size_t column) { range.key = reader_.value(rows.back(), column).value; });
    history.clear();
    // Before the first row's time, the time alone tells what comes first.
    history.keep_ids_from(first);
    if (!online_.histories[key].stored->read(range, history.receiver(), snapshot(read_only))) return false;
    check(key, history);
    fill_all(key, rows, history.batch(), 0, history.batch().rows);
    return true;
  }

  // The snapshot that stored events are read with: with read_only the active one, else one for all keys that sees
  // what is committed now.
  Snapshot snapshot(bool read_only) {
    if (read_only) return GetActiveSnapshot();
    if (pushed_ == nullptr) {
      pushed_ = protect([] {
        CommandCounterIncrement();
        PushActiveSnapshot(GetTransactionSnapshot());
        return GetActiveSnapshot();
      });
    }
    return pushed_;
  }

  // Throws what went wrong while a key's events were read, with the features that want them.
  void check(size_t key, const EventReader& history) const {
    try {
      history.check();
    } catch (const SqlError& error) {
      throw SqlError(error.sqlstate(), error.what(), filled_with(key), error.hint());
    }
  }

  // Reads what is stored of the events before those of each group.
  void read(size_t key, const std::vector<std::vector<size_t>>& groups, bool read_only, EventReader& history) {
    const KeyPlan& plan = online_.engine.plan(key);
    std::vector<std::vector<SqlValue>> parameters;  // of each group
    int64_t earliest = std::numeric_limits<int64_t>::max();
    for (const std::vector<size_t>& rows : groups) {
      const int64_t first = current_.times[rows.front()], last = current_.times[rows.back()];
      earliest = std::min(earliest, first);
      std::vector<SqlValue> values = {
          time_param(first < MIN_TIMESTAMP + plan.reach_us() ? DT_NOBEGIN : first - plan.reach_us()),
          time_param(last < MIN_TIMESTAMP + plan.least_delay_us() ? DT_NOBEGIN : last - plan.least_delay_us()),
          time_param(last),
          {current_.ids[rows.back()]}};
      for_each_part(online_, key, [&](size_t column) { values.push_back(reader_.value(rows.back(), column)); });
      parameters.push_back(std::move(values));
    }
    std::vector<Datum> values;
    if (groups.size() == 1) {
      for (const SqlValue& value : parameters[0]) values.push_back(value.value);
    } else {
      const std::vector<Oid> types = history_types(online_, key, reader_);
      for (size_t i = 0; i < types.size(); ++i) {
        Column column(types[i]);
        for (const std::vector<SqlValue>& group : parameters) column.add(group[i]);
        values.push_back(column.array().value);
      }
    }
    // Before the earliest event of all, the time alone tells what comes first.
    history.keep_ids_from(earliest);
    history.limit_memory(static_cast<size_t>(guc_feature_memory_kb) * 1024);
    History& stored = online_.histories[key];
    (groups.size() == 1 ? stored.one : stored.many).run(values.data(), history.receiver(), read_only);
    check(key, history);
  }

  // Names the features whose windows are filled from the events of this key, as a sentence.
  std::string filled_with(size_t key) const {
    const std::vector<size_t>& dependents = online_.readings[key].dependents;
    std::string names, parts;
    for (size_t i = 0; i < set_.windows.size(); ++i) {
      const size_t of = set_.windows[i].key;
      if (of != key && std::find(dependents.begin(), dependents.end(), of) == dependents.end()) continue;
      names += (names.empty() ? "" : ", ") + set_.features[set_.window_places[i]].name;
    }
    for (const std::string& part : set_.keys[key].parts) parts += (parts.empty() ? "" : ", ") + part;
    return "Their key is (" + parts + "), and the features that read them are " + names + ".";
  }

  // Tells which of the events [begin, end) have that value of one of their keys.
  static std::vector<char> matching(const EventBatch& events, size_t begin, size_t end, size_t key, size_t keys,
                                    std::string_view value) {
    std::vector<char> same(end - begin);
    // A key begins where the last one that is not null ended.
    uint32_t at = 0;
    for (size_t i = begin * keys; i > 0 && at == 0; --i) {
      if (events.key_ends[i - 1] != kNullKey) at = events.key_ends[i - 1];
    }
    for (size_t i = begin; i < end; ++i) {
      for (size_t k = 0; k < keys; ++k) {
        const uint32_t next = events.key_ends[i * keys + k];
        if (next == kNullKey) continue;
        if (k == key) same[i - begin] = std::string_view(events.key_bytes).substr(at, next - at) == value;
        at = next;
      }
    }
    return same;
  }

  // Computes a key's windows of rows that have the same value of it, in their order,
  // from the stored events [begin, end), or from those of them that are chosen.
  void fill(size_t key, const std::vector<size_t>& rows, const EventBatch& events, size_t begin, size_t end,
            const std::vector<char>& chosen) {
    KeyWindows windows(online_.engine.plan(key));
    size_t next = begin;
    uint64_t run = 0;
    const size_t* previous = nullptr;
    for (const size_t& row : rows) {
      // Payments of several customers can have one id, and be of one time.
      const bool goes_on = previous != nullptr && order_(current_.times[*previous], current_.ids[*previous], current_.times[row],
                                                         current_.ids[row]) == 0;
      if (!goes_on) ++run;
      previous = &row;
      for (; next < end; ++next) {
        const int order = order_(events.times[next], events.ids[next], current_.times[row], current_.ids[row]);
        if (order > 0) break;
        // What is equal is the event itself, stored already.
        if (order == 0 || (!chosen.empty() && chosen[next - begin] == 0)) continue;
        Event earlier = events.event(next);
        earlier.inputs = events.cells.data() + next * set_.inputs.size();
        windows.push(earlier);
      }
      Event subject;
      subject.time_us = current_.times[row];
      subject.run = run;
      subject.inputs = current_.cells.data() + row * set_.inputs.size();
      windows.evaluate_and_push(subject, values_.data() + row * set_.windows.size());
    }
  }

  OnlineSet& online_;
  const FeatureSet& set_;
  const EventReader& reader_;
  const EventBatch& current_;
  EventOrder order_;
  std::vector<std::string_view> keys_;  // rows x keys
  std::vector<float> values_;           // rows x windows
  Snapshot pushed_ = nullptr;
  int exceptions_ = std::uncaught_exceptions();
};

// Returns the event as a row of the set's events: the same type, or one with
// columns of the same names and types.
Datum as_row(const FeatureSet& set, HeapTupleHeader event) {
  Oid relation = set.relation;
  Oid row_type = protect([&] { return get_rel_type_id(relation); });
  if (HeapTupleHeaderGetTypeId(event) == row_type) return HeapTupleHeaderGetDatum(event);
  std::string missing, wrong;
  TupleDesc source = nullptr, target = nullptr;
  Datum* values = nullptr;
  bool* nulls = nullptr;
  protect([&] {
    source = lookup_rowtype_tupdesc_copy(HeapTupleHeaderGetTypeId(event), HeapTupleHeaderGetTypMod(event));
    target = lookup_rowtype_tupdesc_copy(row_type, -1);
    values = static_cast<Datum*>(palloc0(sizeof(Datum) * (size_t)(source->natts + target->natts)));
    nulls = static_cast<bool*>(palloc0(sizeof(bool) * (size_t)(source->natts + target->natts)));
    HeapTupleData tuple;
    tuple.t_len = HeapTupleHeaderGetDatumLength(event);
    ItemPointerSetInvalid(&tuple.t_self);
    tuple.t_tableOid = InvalidOid;
    tuple.t_data = event;
    heap_deform_tuple(&tuple, source, values + target->natts, nulls + target->natts);
  });
  for (int i = 0; i < target->natts; ++i) {
    Form_pg_attribute attribute = TupleDescAttr(target, i);
    nulls[i] = true;
    if (attribute->attisdropped) continue;
    const std::string name = NameStr(attribute->attname);
    int found = -1;
    for (int j = 0; j < source->natts; ++j) {
      Form_pg_attribute candidate = TupleDescAttr(source, j);
      if (!candidate->attisdropped && name == NameStr(candidate->attname)) found = j;
    }
    if (found < 0) {
      missing += (missing.empty() ? "" : ", ") + name;
    } else if (TupleDescAttr(source, found)->atttypid != attribute->atttypid) {
      wrong += (wrong.empty() ? "" : ", ") + name;
    } else {
      values[i] = values[target->natts + found];
      nulls[i] = nulls[target->natts + found];
    }
  }
  if (!missing.empty() || !wrong.empty()) {
    const char* name = protect([&] { return format_type_be(row_type); });
    throw SqlError(ERRCODE_DATATYPE_MISMATCH,
                   "the event is not a row of " + std::string(name),
                   (missing.empty() ? "" : "Missing columns: " + missing + ".") +
                       std::string(missing.empty() || wrong.empty() ? "" : " ") +
                       (wrong.empty() ? "" : "Columns of another type: " + wrong + "."),
                   "Pass a row of it, such as jsonb_populate_record(NULL::" + std::string(name) + ", …).");
  }
  return protect([&] { return heap_copy_tuple_as_datum(heap_form_tuple(target, values, nulls), target); });
}

}  // namespace

std::vector<float> online_features(const std::shared_ptr<const FeatureSet>& set,
                                   const EventSource& events, bool read_only) {
  const std::shared_ptr<OnlineSet> kept = online_set(set, events);
  OnlineSet& online = *kept;
  DefinerScope definer(*set);
  plan_index_scans_alone();  // with settings of DefinerScope's level
  Spi spi;
  if (!online.event.prepared()) prepare_event(online, events);
  if (online.given != nullptr) online.given->begin();
  for (History& history : online.histories) {
    if (history.stored != nullptr) history.stored->begin();
  }
  EventReader reader(*set, online.event_columns, set->locals.size(), set->inputs.size(), set->keys.size());
  reader.keep_values();
  if (online.given == nullptr || events.rows.empty() || !online.given->give(events.rows, reader.receiver())) {
    std::vector<Datum> values;
    for (const SqlValue& value : events.make_values ? events.make_values() : events.values) values.push_back(value.value);
    online.event.run(values.data(), reader.receiver(), read_only);
  }
  reader.check();
  const EventBatch& current = reader.batch();
  for (size_t row = 0; row < current.rows; ++row) {
    for (size_t column : {kTimeColumn, kIdColumn}) {
      if (!reader.value(row, column).null) continue;
      throw SqlError(ERRCODE_NULL_VALUE_NOT_ALLOWED,
                     std::string("the event's ") + (column == kTimeColumn ? "time" : "id") + " must not be null");
    }
    if (TIMESTAMP_NOT_FINITE(current.times[row])) {
      throw SqlError(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE, "the event's time must be finite");
    }
  }
  Computation computation(online, reader);
  for (size_t key = 0; key < set->keys.size(); ++key) {
    if (online.readings[key].reader == key) computation.run(key, read_only);
  }
  const size_t width = set->features.size(), locals = set->locals.size(), windows = set->windows.size();
  std::vector<float> vectors(current.rows * width, kMissing);
  for (size_t row = 0; row < current.rows; ++row) {
    float* vector = vectors.data() + row * width;
    for (size_t i = 0; i < locals; ++i) vector[set->locals[i].feature] = current.locals[row * locals + i];
    for (size_t i = 0; i < windows; ++i) {
      vector[set->window_places[i]] = computation.values()[row * windows + i];
    }
  }
  return vectors;
}

EventSource one_event(const FeatureSet& set, HeapTupleHeader event) {
  const Datum row = as_row(set, event);
  Oid relation = set.relation;
  Oid row_type = protect([&] { return get_rel_type_id(relation); });
  const char* row_name = protect([&] { return format_type_be_qualified(row_type); });
  // As in a query of the table, the row is called e.
  return {"pg_catalog.unnest(ARRAY[$1::" + std::string(row_name) + "]) e", {row_type}, {{row}}};
}

}  // namespace fraud::pg
