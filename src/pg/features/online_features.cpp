#include "pg/features/online_features.h"

#include <algorithm>
#include <exception>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <set>

#include "pg/features/event_reader.h"
#include "pg/features/online_set.h"
#include "pg/features/streamed_windows.h"
#include "pg/features/tile_marks.h"
#include "pg/features/tile_shape.h"
#include "pg/features/tile_windows.h"
#include "pg/server/boundary.h"
#include "pg/server/gucs.h"
#include "pg/server/plan_settings.h"
#include "pg/server/spi.h"

namespace fraud::pg {

namespace {

constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();
// Of a key that has tiles: with so many events behind them more are asked for.
constexpr size_t kMostBehind = 128;

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
    if (may_be_tiled(read_only)) {
      groups.erase(std::remove_if(groups.begin(), groups.end(), [&](const auto& rows) { return run_tiled(key, rows, read_only); }), groups.end());
    }
    size_t done = 0;
    if (online_.histories[key].stored != nullptr && !groups.empty()) {
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
    if (!read(key, groups, read_only, history)) {
      for (const std::vector<size_t>& rows : groups) stream(key, rows, read_only);
      return;
    }
    const EventBatch& events = history.batch();
    size_t begin = 0;
    for (size_t g = 0; g < groups.size(); ++g) {
      size_t end = one ? events.rows : begin;
      while (end < events.rows && events.tags[end] == static_cast<int64_t>(g) + 1) ++end;
      fill_all(key, groups[g], events, begin, end);
      ask_for_tiles(key, groups[g], end - begin, read_only);
      begin = end;
    }
    if (begin != events.rows) {
      throw InternalError("events came in another order than they were asked for");
    }
  }

  const std::vector<float>& values() const noexcept { return values_; }
  // What is to be asked of the folder of tiles.
  const std::vector<TileRequest>& requests() const noexcept { return requests_; }

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
    const int64_t first = current_.times[rows.front()];
    EventRange range;
    range.after = earliest(key, rows.front());
    range.until = latest(key, rows.back());
    range.before = current_.times[rows.back()];
    range.before_id = current_.ids[rows.back()];
    for_each_part(online_, key, [&](size_t column) { range.key = reader_.value(rows.back(), column).value; });
    history.clear();
    // Before the first row's time, the time alone tells what comes first.
    history.keep_ids_from(first);
    if (!online_.histories[key].stored->read(range, history.receiver(), snapshot(read_only))) return false;
    if (history.over_limit()) {
      stream(key, rows, read_only);
      return true;
    }
    check(key, history);
    fill_all(key, rows, history.batch(), 0, history.batch().rows);
    ask_for_tiles(key, rows, history.batch().rows, read_only);
    return true;
  }

  // Reads the group's events with after < time <= until that are before (time, id) of its last row.
  void read_between(size_t key, const std::vector<size_t>& rows, int64_t after, int64_t until, bool read_only, EventReader& into) {
    EventRange range;
    range.after = after;
    range.until = until;
    range.before = current_.times[rows.back()];
    range.before_id = current_.ids[rows.back()];
    History& stored = online_.histories[key];
    for_each_part(online_, key, [&](size_t column) { range.key = reader_.value(rows.back(), column).value; });
    if (stored.stored != nullptr && stored.stored->read(range, into.receiver(), snapshot(read_only))) return;
    if (!stored.one.prepared()) prepare_one(online_, key, reader_);
    std::vector<Datum> values{TimestampTzGetDatum(after), TimestampTzGetDatum(until), TimestampTzGetDatum(range.before), range.before_id};
    for_each_part(online_, key, [&](size_t column) { values.push_back(reader_.value(rows.back(), column).value); });
    stored.one.run(values.data(), into.receiver(), read_only || pushed_ != nullptr);
  }

  // From when on the windows of a group's rows look, and up to when.
  int64_t earliest(size_t key, size_t row) const noexcept {
    const int64_t reach = online_.engine.plan(key).reach_us(), time = current_.times[row];
    return time < MIN_TIMESTAMP + reach ? DT_NOBEGIN : time - reach;
  }
  int64_t latest(size_t key, size_t row) const noexcept {
    const int64_t delay = online_.engine.plan(key).least_delay_us(), time = current_.times[row];
    return time < MIN_TIMESTAMP + delay ? DT_NOBEGIN : time - delay;
  }

  // Whether the set has tiles that are those of its definition.
  bool may_be_tiled(bool read_only) {
    if (tiled_) return *tiled_;
    tiled_ = false;
    if (!guc_tiles || IsolationIsSerializable() || tables_.none()) return false;
    tile_set_ = tables_.set(set_.name, snapshot(read_only));
    tiled_ = tile_set_ && !tile_set_->shape.empty() && tile_set_->shape == tile_signature(online_);
    if (*tiled_) tables_.marks(tile_set_->id, kAllKeys, {}, snapshot(read_only), &marks_of_all_);
    return *tiled_;
  }

  // Computes the windows of one group's rows from tiles; false where it has none.
  bool run_tiled(size_t key, const std::vector<size_t>& rows, bool read_only) {
    if (!online_.tile_shapes().readers[key]) return false;
    TiledKey tiled;
    tiled.set = tile_set_->id;
    tiled.reader = key;
    tiled.key = stored_key(key_of(rows[0], key));
    const std::optional<TileCover> cover = tables_.cover(tiled.set, key, tiled.key, snapshot(read_only));
    if (!cover) return false;
    known_.insert({key, rows[0]});
    if (cover->from >= cover->to) {
      ask_for_more(key, rows, tiled.key, read_only);
      return false;
    }
    tiled.cover = *cover;
    std::vector<TileMark> marks = marks_of_all_;
    tables_.marks(tiled.set, static_cast<int>(key), tiled.key, snapshot(read_only), &marks);
    // The rows themselves are in no tile.
    for (size_t row : rows) {
      if (current_.times[row] < cover->to) marks.push_back({current_.times[row], current_.times[row]});
    }
    tiled.marks = MarkedTimes(std::move(marks));
    if (tiled.marks.all()) return false;
    if (online_.histories[key].columns.empty()) prepare_columns(online_, key);
    TiledWindows windows(
        online_, online_.tile_shapes(), tables_, snapshot(read_only), tiled, current_, order_,
        [&](int64_t after, int64_t until, EventReader& into) { read_between(key, rows, after, until, read_only, into); },
        current_.times[rows.front()], latest(key, rows.back()));
    bool computed = windows.compute(key, SIZE_MAX, key_of(rows[0], key), rows, values_.data());
    const std::vector<size_t>& dependents = online_.readings[key].dependents;
    for (size_t i = 0; i < dependents.size() && computed; ++i) {
      for (const std::vector<size_t>& same : group(rows, dependents[i])) {
        computed = computed && windows.compute(dependents[i], i, key_of(same[0], dependents[i]), same, values_.data());
      }
    }
    if (windows.behind() >= kMostBehind) ask_for_more(key, rows, tiled.key, read_only);
    return computed;
  }

  // Computes the windows of one group's rows from the events alone, keeping none.
  void stream(size_t key, const std::vector<size_t>& rows, bool read_only) {
    constexpr size_t kBlock = 4096;
    const std::vector<size_t>& dependents = online_.readings[key].dependents;
    const TileShapes& shapes = online_.tile_shapes();
    if (online_.histories[key].columns.empty()) prepare_columns(online_, key);
    size_t most = 0;
    for (size_t i = 0; i < rows.size(); ++i) {
      const size_t row = rows[i];
      StreamedWindows windows(online_, current_, order_, row);
      const std::vector<size_t> earlier(rows.begin(), rows.begin() + static_cast<ptrdiff_t>(i));
      windows.add_key(online_.engine.plan(key), shapes.keys[key], SIZE_MAX, key_of(row, key), earlier);
      for (size_t d = 0; d < dependents.size(); ++d) {
        const std::string_view value = key_of(row, dependents[d]);
        if (value.data() == nullptr) continue;
        std::vector<size_t> same;
        for (size_t other : earlier) {
          if (key_of(other, dependents[d]) == value) same.push_back(other);
        }
        windows.add_key(online_.engine.plan(dependents[d]), shapes.keys[dependents[d]], d, value, std::move(same));
      }
      EventReader history(set_, online_.histories[key].columns, 0, set_.inputs.size(), dependents.size());
      history.keep_ids_from(current_.times[rows.front()]);
      size_t seen = 0;
      auto take = [&] {
        seen += history.batch().rows;
        windows.take(history.batch(), dependents.size());
      };
      history.each_block(kBlock, take);
      read_between(key, rows, earliest(key, row), latest(key, row), read_only, history);
      history.check();
      take();
      most = std::max(most, seen);
      if (windows.finish(values_.data())) continue;
      throw SqlError(ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                     "the events in the windows of feature set \"" + set_.name + "\" take more than fraud_detect.feature_memory",
                     filled_with(key) + " Some of their values are too large or too small to be summed in any order.",
                     "Raise the setting, or leave such values out by a filter.");
    }
    ask_for_tiles(key, rows, most, read_only);
  }

  // Asks for tiles of a key whose events were many.
  void ask_for_tiles(size_t key, const std::vector<size_t>& rows, size_t events, bool read_only) {
    if (read_only || !guc_tiles || guc_tile_threshold <= 0 || events < static_cast<size_t>(guc_tile_threshold)) return;
    if (!online_.tile_shapes().readers[key] || known_.count({key, rows[0]}) != 0) return;
    if (!tile_set_) tile_set_ = tables_.set(set_.name, snapshot(read_only));
    if (tile_signature(online_).empty()) return;
    if (!tile_set_) {
      // Its triggers came with a dump, what follows from them does not.
      requests_.push_back({kNewSet, 0, {}, {}, 0, 0, {}, set_.name});
      return;
    }
    add_request(key, rows, stored_key(key_of(rows[0], key)), static_cast<int64_t>(events), read_only);
  }

  // Asks for more of a key that has some.
  void ask_for_more(size_t key, const std::vector<size_t>& rows, const std::string& value, bool read_only) {
    if (!read_only) add_request(key, rows, value, 0, read_only);
  }

  void add_request(size_t key, const std::vector<size_t>& rows, const std::string& value, int64_t events, bool read_only) {
    if (tables_.requested(tile_set_->id, key, value, snapshot(read_only))) return;
    TileRequest request{tile_set_->id, static_cast<int>(key), value, {}, events, latest(key, rows.back()), tile_signature(online_), {}};
    const DefinerScope definer(set_);  // its settings, by which the folder reads the text
    for_each_part(online_, key, [&](size_t column) {
      Oid type = reader_.column_type(column);
      const Datum part = reader_.value(rows[0], column).value;
      request.parts.emplace_back(protect([&] {
        Oid output;
        bool varlena;
        getTypeOutputInfo(type, &output, &varlena);
        return OidOutputFunctionCall(output, part);
      }));
    });
    requests_.push_back(std::move(request));
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

  // Reads what is stored of the events before those of each group; false where it is more than there is memory for.
  bool read(size_t key, const std::vector<std::vector<size_t>>& groups, bool read_only, EventReader& history) {
    std::vector<std::vector<SqlValue>> parameters;  // of each group
    int64_t first = std::numeric_limits<int64_t>::max();
    for (const std::vector<size_t>& rows : groups) {
      first = std::min(first, current_.times[rows.front()]);
      std::vector<SqlValue> values = {time_param(earliest(key, rows.front())), time_param(latest(key, rows.back())),
                                      time_param(current_.times[rows.back()]), {current_.ids[rows.back()]}};
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
    history.keep_ids_from(first);
    history.limit_memory(static_cast<size_t>(guc_feature_memory_kb) * 1024);
    History& stored = online_.histories[key];
    (groups.size() == 1 ? stored.one : stored.many).run(values.data(), history.receiver(), read_only);
    if (history.over_limit()) return false;
    check(key, history);
    return true;
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
  TileTables tables_;
  std::optional<bool> tiled_;
  std::optional<TileSetRow> tile_set_;
  std::vector<TileMark> marks_of_all_;
  std::set<std::pair<size_t, size_t>> known_;  // keys and rows whose value is one of those that get tiles
  std::vector<TileRequest> requests_;
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
                   missing.empty() ? "Columns of another type: " + wrong + "."
                                   : "Missing columns: " + missing + "." +
                                         (wrong.empty() ? "" : " Columns of another type: " + wrong + "."),
                   "Pass a row of it, such as jsonb_populate_record(NULL::" + std::string(name) + ", …).");
  }
  return protect([&] { return heap_copy_tuple_as_datum(heap_form_tuple(target, values, nulls), target); });
}

}  // namespace

namespace {

// Computes the vectors; what is left to be written, which the set's definer may not, is put beside.
std::vector<float> compute(OnlineSet& online, const EventSource& events, bool read_only, bool stores, std::vector<TileRequest>* requests,
                           ChangedEvents* changed) {
  const std::shared_ptr<const FeatureSet>& set = online.set;
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
  *requests = computation.requests();
  if (stores) changed->add(online, reader);
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

}  // namespace

std::vector<float> online_features(const std::shared_ptr<const FeatureSet>& set, const EventSource& events, bool read_only, bool stores) {
  const std::shared_ptr<OnlineSet> online = online_set(set, events);
  if (stores) announce_changes();
  std::vector<TileRequest> requests;
  ChangedEvents changed;
  std::vector<float> vectors = compute(*online, events, read_only, stores, &requests, &changed);
  if (stores) changed.mark(*online);
  if (!requests.empty()) request_tiles(requests);
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
