#include "pg/features/online_features.h"

#include <algorithm>
#include <exception>
#include <map>
#include <memory>
#include <numeric>
#include <set>

#include "pg/features/event_reader.h"
#include "pg/features/online_set.h"
#include "pg/server/boundary.h"
#include "pg/server/gucs.h"
#include "pg/server/plan_settings.h"
#include "pg/server/spi.h"

namespace fraud::pg {

namespace {

constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();

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
