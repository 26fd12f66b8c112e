#include "pg/features/feature_stream.h"

#include "core/base/task_thread.h"

#include <algorithm>
#include <exception>

#include "pg/features/event_reader.h"
#include "pg/features/looked_up_windows.h"
#include "pg/server/boundary.h"
#include "pg/server/gucs.h"
#include "pg/server/spi.h"

extern "C" {
#include "tcop/pquery.h"
#include "utils/datum.h"
#include "utils/portal.h"
}

namespace fraud::pg {

namespace {

constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();
constexpr size_t kMostRows = size_t{64} << 20;  // bytes of events that are sorted here together with rows of theirs

// All columns of the set's events; with `looks_up` the events themselves, too.
std::vector<EventColumn> columns_of(const FeatureSet& set, bool looks_up) {
  using Kind = EventColumn::Kind;
  std::vector<EventColumn> columns;
  columns.push_back({Kind::kTime, 0, as_timestamptz(set.time, set.time_type)});
  columns.push_back({Kind::kId, 0, "(" + set.id + ")"});
  if (!set.tag.empty()) columns.push_back({Kind::kTag, 0, "(" + set.tag + ")"});
  if (looks_up) {
    columns.push_back({Kind::kRow, 0, "COALESCE(e.*)"});  // "e" would be a column of that name
  } else if (!set.row.empty()) {
    columns.push_back({Kind::kRow, 0, "(" + set.row + ")"});
  }
  if (!set.label.empty()) columns.push_back({Kind::kLabel, 0, set.label_as_boolean});
  if (!set.known_at.empty()) {
    columns.push_back({Kind::kKnownAt, 0, as_timestamptz(set.known_at, set.known_at_type)});
  }
  if (!set.label_changes.empty()) columns.push_back({Kind::kLabelChanges, 0, "(" + set.label_changes + ")"});
  for (size_t i = 0; i < set.locals.size(); ++i) {
    columns.push_back({set.locals[i].coded ? Kind::kCategory : Kind::kNumber, i, set.locals[i].sql});
  }
  for (size_t i = 0; i < set.inputs.size(); ++i) {
    columns.push_back({set.inputs[i].hashed ? Kind::kHashInput : Kind::kNumberInput, i, set.inputs[i].sql});
  }
  for (size_t i = 0; i < set.keys.size(); ++i) {
    for (const std::string& part : set.keys[i].parts) {
      columns.push_back({Kind::kKeyPart, i, "(" + part + ")"});
    }
  }
  return columns;
}

}  // namespace

// The keys of events that have the same time and id.
class Ties {
 public:
  // False where one of the keys is there already.
  bool add(std::vector<std::string> keys) {
    for (const std::vector<std::string>& other : events_) {
      for (size_t i = 0; i < keys.size(); ++i) {
        if (!keys[i].empty() && keys[i] == other[i]) return false;
      }
    }
    events_.push_back(std::move(keys));
    return true;
  }
  void clear() { events_.clear(); }
  bool empty() const noexcept { return events_.empty(); }

 private:
  std::vector<std::vector<std::string>> events_;
};

// What goes through the engine at once, and what comes of it.
struct Turn {
  const EventBatch* batch = nullptr;
  std::vector<size_t> rows;  // of the batch
  std::vector<Event> events;
  std::vector<std::string_view> keys;
  std::vector<float> window_values;
  bool elsewhere = false;    // another thread computes it
};

// Where all events fit in memory they are sorted here, which is several times faster
// than Postgres's sort of tuples. Otherwise it sorts them, and they stream by. While
// one turn's features are computed by other threads, which know nothing of Postgres,
// this one hands out those of the turn before, and reads the next.
struct FeatureStream::Pass {
  Pass(std::shared_ptr<const FeatureSet> the_set, TimestampTz the_from, TimestampTz the_to,
       TimestampTz the_known_by, std::unique_ptr<FeatureEngine> windows, size_t rows, bool looks_windows_up = false)
      : set(std::move(the_set)),
        from(the_from),
        to(the_to),
        known_by(the_known_by),
        block_rows(rows),
        looks_up(looks_windows_up),
        columns(columns_of(*set, looks_up)),
        reader(*set, columns, set->locals.size(), set->inputs.size(), set->keys.size()),
        engine(windows != nullptr ? std::move(windows)
                                  : std::make_unique<FeatureEngine>(set->windows, set->keys.size(),
                                                                    static_cast<size_t>(std::max(guc_feature_threads, 2) - 2))) {
    context = protect([] {
      return AllocSetContextCreate(CurrentMemoryContext, "fraud_detect stream", ALLOCSET_SMALL_SIZES);
    });
  }
  ~Pass() noexcept;
  Pass(const Pass&) = delete;
  Pass& operator=(const Pass&) = delete;

  bool read_only = false;

  TimestampTz first_of_windows() const;
  void open(TimestampTz begin, bool sorted);
  void open_portal(const char* query, TimestampTz begin);
  void close();
  bool fetch(EventReader& into);

  double expected() const;
  bool collect(double most = -1);
  bool collect_few();
  void sort_rows();
  void sort_run(size_t begin, size_t end);
  void check_run(const uint32_t* run, size_t count);
  bool same_id(Datum a, Datum b);
  std::vector<std::string> keys_of(const EventBatch& batch, size_t row);
  void fill_from_whole(Turn& turn);

  void fill_from_stream(Turn& turn);
  void check_order(const EventBatch& batch);

  void add_row(Turn& turn, size_t row);
  bool begin_turn();
  Turn& end_turn();
  void compute(Turn& turn);
  void make_block(const Turn& turn);
  [[noreturn]] void throw_same_id(TimestampTz time) const;
  // Rows that go with the events are many times as large as these: of those, few.
  size_t collect_limit() const { return std::min(memory_limit() / 2, set->row.empty() ? SIZE_MAX : kMostRows); }
  size_t memory_limit() const { return static_cast<size_t>(guc_feature_memory_kb) * 1024; }

  std::shared_ptr<const FeatureSet> set;
  TimestampTz from, to, known_by;
  size_t block_rows;
  bool looks_up;  // the windows of each event, which are all of the period; no other is read
  std::vector<EventColumn> columns;
  EventReader reader;
  std::unique_ptr<EventReader> other_reader;  // of the stream's other turn
  MemoryContext context;     // of what outlives the portal
  Portal portal = nullptr;
  FmgrInfo compare_ids;
  Oid id_type = InvalidOid, id_collation = InvalidOid;
  bool whole = false;
  // Of the whole.
  std::vector<uint32_t> order;
  size_t position = 0;
  // Of the stream.
  int64_t last_time = 0;
  Datum last_id = (Datum)0;
  bool has_last = false;
  std::vector<std::string> last_keys;
  Ties ties;
  // The row that was added to a turn last, of payments.
  bool has_added = false;
  int64_t added_time = 0;
  Datum added_id = (Datum)0;
  uint64_t added_run = 0;
  // Of two turns one is computed while the other is read and handed out.
  Turn turns[2];
  size_t turn = 0;     // which is next
  bool begun = false;  // whether that is computed already
  bool ended = false;
  std::unique_ptr<FeatureEngine> engine;
  KeptWindows* kept = nullptr;  // where it goes in the end
  TimestampTz goes_on_at = 0;   // where the windows stand that it began with
  bool goes_on = false;
  std::vector<std::string_view> row_keys;
  // The block.
  std::vector<float> features, labels;
  std::vector<TimestampTz> times, known_at;
  std::vector<Datum> ids;
  std::vector<int64_t> tags;
  std::vector<Datum> table_rows;
  TaskThread thread;  // the last here: it ends before what it works on
};

FeatureStream::Pass::~Pass() noexcept {
  // After an error the abort closes the portal, and frees the context with its parent.
  if (std::uncaught_exceptions() > 0) return;
  if (portal != nullptr) PortalDrop(portal, false);
  MemoryContextDelete(context);
}

// The time behind which the events are that the windows of the first event of the period reach back to.
TimestampTz FeatureStream::Pass::first_of_windows() const {
  if (goes_on) return goes_on_at - 1;
  if (TIMESTAMP_NOT_FINITE(from)) return from;
  // The interval is open at its begin: one microsecond earlier closes it.
  return from - MIN_TIMESTAMP <= engine->reach_us() ? DT_NOBEGIN : from - engine->reach_us() - 1;
}

// Opens the portal that gives the events behind a time, to the end of the period.
void FeatureStream::Pass::open(TimestampTz begin, bool sorted) {
  const std::string time = "(" + set->time + ")";
  std::string query = select_list(columns) + set->from_clause() + " WHERE " + time + " > " +
                      set->in_time_type("$1") + " AND " + time + " < " + set->in_time_type("$2") +
                      " AND (" + set->id + ") IS NOT NULL";
  if (sorted) query += " ORDER BY " + time + ", (" + set->id + ")";
  DefinerScope definer(*set);
  protect(plan_for_all_rows);
  Spi spi;
  const char* text = query.c_str();
  try {
    open_portal(text, begin);
  } catch (const PgError& error) {
    const int category = ERRCODE_TO_CATEGORY(error.data()->sqlerrcode);
    if (category != ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION) throw;
    throw SqlError(error.data()->sqlerrcode,
                   "could not read the events of feature set \"" + set->name + "\": " + error.what(),
                   {}, "What the set was defined on may have changed since.");
  }
}

void FeatureStream::Pass::open_portal(const char* query, TimestampTz begin) {
  portal = protect([&] {
    Oid types[2] = {TIMESTAMPTZOID, TIMESTAMPTZOID};
    Datum values[2] = {TimestampTzGetDatum(begin), TimestampTzGetDatum(to)};
    return SPI_cursor_open_with_args(nullptr, query, 2, types, values, nullptr, read_only,
                                     CURSOR_OPT_NO_SCROLL);
  });
  protect([&] {
    Form_pg_attribute id = TupleDescAttr(portal->tupDesc, 1);
    id_type = id->atttypid;
    id_collation = id->attcollation;
    TypeCacheEntry* entry = lookup_type_cache(getBaseType(id_type), TYPECACHE_CMP_PROC);
    fmgr_info_cxt(entry->cmp_proc, &compare_ids, context);
  });
}

// A portal holds what it reads open: none stays behind its last row.
void FeatureStream::Pass::close() {
  Portal closing = portal;
  portal = nullptr;
  protect([&] { PortalDrop(closing, false); });
}

// Reads a batch of events behind those that the reader holds; false at the end.
bool FeatureStream::Pass::fetch(EventReader& into) {
  DefinerScope definer(*set);
  DestReceiver* receiver = into.receiver();
  const auto count = static_cast<long>(block_rows);
  const size_t before = into.batch().rows;
  protect([&] {
    CHECK_FOR_INTERRUPTS();
    PortalRunFetch(portal, FETCH_FORWARD, count, receiver);
  });
  into.check();
  return into.batch().rows > before;
}

void FeatureStream::Pass::throw_same_id(TimestampTz time) const {
  const char* when = protect([&] { return timestamptz_to_str(time); });
  throw SqlError(ERRCODE_UNIQUE_VIOLATION,
                 "two events of feature set \"" + set->name + "\" have the same time, id and key",
                 "The time is " + std::string(when) + ".",
                 "event_id must tell events of the same time and key apart.");
}

// ------------------------------------------------------------ the whole of them

// How many rows the planner expects of the portal.
double FeatureStream::Pass::expected() const {
  return protect([&] { return linitial_node(PlannedStmt, portal->stmts)->planTree->plan_rows; });
}

// Reads the events of the period alone, where looking up the windows of each takes less than going through all that these
// reach back to; else false, with nothing kept.
bool FeatureStream::Pass::collect_few() {
  open(first_of_windows(), false);
  const double all = expected();
  close();
  if (all < kEventsALookUp || !has_all_indexes(*set)) return false;
  open(from - 1, false);
  if (expected() * kEventsALookUp > all) {
    close();
    return false;
  }
  if (!collect(all / kEventsALookUp)) return false;
  const size_t rows = reader.batch().rows;
  protect([&] { elog(DEBUG1, "the windows of %zu events are looked up, without a pass", rows); });
  return true;
}

// Reads all events as they come; false, with nothing kept, where they do not fit, or where there are more than `most`, which
// the open portal gives.
bool FeatureStream::Pass::collect(double most) {
  if (most < 0) open(first_of_windows(), false);
  const EventBatch& batch = reader.batch();
  // Beside the batch: the order and its sort. The windows may take as much again.
  const size_t more = sizeof(std::pair<int64_t, uint32_t>) + sizeof(uint32_t);
  while (fetch(reader)) {
    if (reader.bytes() + batch.rows * more <= collect_limit() && batch.rows < kNullKey &&
        batch.key_bytes.size() < kNullKey && (most < 0 || static_cast<double>(batch.rows) <= most)) {
      continue;
    }
    close();
    reader.clear();
    return false;
  }
  close();
  return true;
}

// Compares two rows' ids; runs as part of Postgres.
struct IdOrder {
  const Datum* ids;
  FmgrInfo* compare;
  Oid collation;
};

static int compare_rows(const void* a, const void* b, void* argument) {
  auto* order = static_cast<IdOrder*>(argument);
  const uint32_t first = *static_cast<const uint32_t*>(a), second = *static_cast<const uint32_t*>(b);
  return DatumGetInt32(
      FunctionCall2Coll(order->compare, order->collation, order->ids[first], order->ids[second]));
}

// Puts rows of the same time in order of their ids.
void FeatureStream::Pass::sort_run(size_t begin, size_t end) {
  IdOrder by_id = {reader.batch().ids.data(), &compare_ids, id_collation};
  uint32_t* run = order.data() + begin;
  protect([&] { qsort_arg(run, end - begin, sizeof(uint32_t), compare_rows, &by_id); });
  check_run(run, end - begin);
}

// Of rows with the same time and id, no two may have a key in common: which of them
// comes first would be left to chance. An id of payments is unique for its customer: those of
// several that have one id and time do not count for each other.
void FeatureStream::Pass::check_run(const uint32_t* run, size_t count) {
  Ties ties;
  for (size_t i = 0; i < count; ++i) {
    Datum a = i == 0 ? (Datum)0 : reader.batch().ids[run[i - 1]], b = reader.batch().ids[run[i]];
    if (i == 0 || !same_id(a, b)) ties.clear();
    if (!ties.add(keys_of(reader.batch(), run[i])) && !set->builtin) throw_same_id(reader.batch().times[run[i]]);
  }
}

bool FeatureStream::Pass::same_id(Datum a, Datum b) {
  return protect([&] {
    return DatumGetInt32(FunctionCall2Coll(&compare_ids, id_collation, a, b)) == 0;
  });
}

std::vector<std::string> FeatureStream::Pass::keys_of(const EventBatch& batch, size_t row) {
  batch.keys_of(row, set->keys.size(), &row_keys);
  // A null key is no key: it is left empty, which no other key is. So is one whose
  // windows all end before the event: what comes at the same time is in none of them.
  std::vector<std::string> ties(row_keys.begin(), row_keys.end());
  for (size_t key = 0; key < ties.size(); ++key) {
    if (engine->plan(key).least_delay_us() > 0) ties[key].clear();
  }
  return ties;
}

void FeatureStream::Pass::sort_rows() {
  const EventBatch& batch = reader.batch();
  std::vector<std::pair<int64_t, uint32_t>> by_time(batch.rows);
  for (size_t row = 0; row < batch.rows; ++row) {
    by_time[row] = {batch.times[row], static_cast<uint32_t>(row)};
  }
  std::sort(by_time.begin(), by_time.end());
  order.resize(batch.rows);
  for (size_t i = 0; i < batch.rows; ++i) order[i] = by_time[i].second;
  for (size_t begin = 0, end; begin < batch.rows; begin = end) {
    end = begin + 1;
    while (end < batch.rows && by_time[end].first == by_time[begin].first) ++end;
    if (end > begin + 1) sort_run(begin, end);
  }
}

void FeatureStream::Pass::fill_from_whole(Turn& turn) {
  protect([] { CHECK_FOR_INTERRUPTS(); });
  turn.batch = &reader.batch();
  while (position < order.size() && turn.rows.size() < block_rows) add_row(turn, order[position++]);
}

// ------------------------------------------------------------ as they stream by

// Looks at the rows of a batch as check_run() does, across batches.
void FeatureStream::Pass::check_order(const EventBatch& batch) {
  for (size_t row = 0; row < batch.rows; ++row) {
    if (has_last && batch.times[row] == last_time && same_id(last_id, batch.ids[row])) {
      if (ties.empty()) ties.add(row == 0 ? last_keys : keys_of(batch, row - 1));
      if (!ties.add(keys_of(batch, row)) && !set->builtin) throw_same_id(last_time);
    } else {
      ties.clear();
    }
    last_time = batch.times[row];
    last_id = batch.ids[row];
    has_last = true;
  }
  last_keys = keys_of(batch, batch.rows - 1);
  // The last id outlives its batch.
  last_id = protect([&] {
    int16 length;
    bool by_value;
    get_typlenbyval(id_type, &length, &by_value);
    MemoryContext old = MemoryContextSwitchTo(context);
    Datum copy = datumCopy(last_id, by_value, length);
    MemoryContextSwitchTo(old);
    return copy;
  });
}

void FeatureStream::Pass::fill_from_stream(Turn& turn) {
  EventReader& own = &turn == &turns[0] ? reader : *other_reader;
  own.clear();
  if (!fetch(own)) return;
  turn.batch = &own.batch();
  check_order(own.batch());
  for (size_t row = 0; row < own.batch().rows; ++row) add_row(turn, row);
}

// ------------------------------------------------------------------- the turns

// Adds a row of the turn's batch to those that are computed.
void FeatureStream::Pass::add_row(Turn& turn, size_t row) {
  const EventBatch& batch = *turn.batch;
  Event event = batch.event(row);
  event.inputs = batch.cells.data() + row * set->inputs.size();
  if (set->builtin) {
    if (!has_added || batch.times[row] != added_time || !same_id(added_id, batch.ids[row])) ++added_run;
    has_added = true;
    added_time = batch.times[row];
    added_id = batch.ids[row];  // lives as long as the batch of the turn before
    event.run = added_run;
  }
  batch.keys_of(row, set->keys.size(), &row_keys);
  turn.rows.push_back(row);
  turn.events.push_back(event);
  turn.keys.insert(turn.keys.end(), row_keys.begin(), row_keys.end());
}

// Reads the rows of the next turn and has them computed; false at the end.
bool FeatureStream::Pass::begin_turn() {
  Turn& next = turns[turn];
  next.rows.clear();
  next.events.clear();
  next.keys.clear();
  if (!ended) whole ? fill_from_whole(next) : fill_from_stream(next);
  ended = next.rows.empty();
  if (ended) return false;
  next.window_values.resize(next.rows.size() * set->windows.size());
  // A few rows are computed here, when they are wanted.
  next.elsewhere = guc_feature_threads > 1 && next.rows.size() == block_rows && !looks_up;
  if (next.elsewhere) thread.start([this, &next] { compute(next); });
  return true;
}

void FeatureStream::Pass::compute(Turn& turn) {
  if (looks_up) {
    std::vector<Datum> rows;
    for (size_t row : turn.rows) rows.push_back(turn.batch->table_rows[row]);
    look_up_windows(set, rows, read_only, turn.window_values.data());
    return;
  }
  engine->next(turn.events.data(), turn.events.size(), turn.keys.data(), turn.window_values.data());
}

// Gives the turn that was begun, computed.
Turn& FeatureStream::Pass::end_turn() {
  Turn& done = turns[turn];
  if (done.elsewhere) {
    thread.wait();
  } else {
    compute(done);
  }
  turn ^= 1;
  if (engine->bytes() > memory_limit()) {
    throw SqlError(ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                   "the windows of feature set \"" + set->name +
                       "\" hold more than fraud_detect.feature_memory",
                   {}, "Raise the setting, or take shorter windows or a shorter period.");
  }
  return done;
}

// Makes the block of those rows that are of the period.
void FeatureStream::Pass::make_block(const Turn& turn) {
  const EventBatch& batch = *turn.batch;
  const size_t width = set->features.size(), windows = set->windows.size();
  features.clear();
  labels.clear();
  times.clear();
  known_at.clear();
  ids.clear();
  tags.clear();
  table_rows.clear();
  features.reserve(turn.rows.size() * width);
  for (size_t i = 0; i < turn.rows.size(); ++i) {
    const size_t row = turn.rows[i];
    if (batch.times[row] < from) continue;
    const size_t base = features.size();
    features.resize(base + width);
    for (size_t j = 0; j < set->locals.size(); ++j) {
      features[base + set->locals[j].feature] = batch.locals[row * set->locals.size() + j];
    }
    for (size_t j = 0; j < windows; ++j) {
      features[base + set->window_places[j]] = turn.window_values[i * windows + j];
    }
    times.push_back(batch.times[row]);
    ids.push_back(batch.ids[row]);
    if (!set->tag.empty()) tags.push_back(batch.tags[row]);
    if (!set->row.empty()) table_rows.push_back(batch.table_rows[row]);
    labels.push_back(batch.label_by(row, known_by));
    known_at.push_back(batch.known_at[row]);
  }
}

FeatureStream::FeatureStream(std::string_view feature_set, TimestampTz from, TimestampTz to,
                             TimestampTz known_by, size_t block_rows)
    : FeatureStream(
          [&] {
            std::shared_ptr<const FeatureSet> set = find_feature_set(feature_set, false);
            check_may_read(*set);
            return set;
          }(),
          from, to, known_by, block_rows) {}

FeatureStream::FeatureStream(std::shared_ptr<const FeatureSet> set, TimestampTz from, TimestampTz to,
                             TimestampTz known_by, size_t block_rows)
    : FeatureStream(std::move(set), from, to, known_by, nullptr, block_rows, false, true) {}

bool KeptWindows::serve(const FeatureSet& set, TimestampTz from) const {
  return engine_ != nullptr && revision_ == set.revision && up_to_ <= from;
}

FeatureStream::FeatureStream(std::shared_ptr<const FeatureSet> set, TimestampTz from, TimestampTz to,
                             TimestampTz known_by, KeptWindows* windows, size_t block_rows, bool read_only, bool may_look_up) {
  if (set->features.empty()) {
    throw SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                   "feature set \"" + set->name + "\" has no features", {},
                   "Add some with fraud.add_feature and fraud.add_window_feature.");
  }
  if (may_look_up && !set->windows.empty() && set->row.empty() && !TIMESTAMP_NOT_FINITE(from)) {
    pass_ = std::make_unique<Pass>(set, from, to, known_by, nullptr, block_rows, true);
    if (pass_->collect_few()) {
      pass_->whole = true;
      pass_->sort_rows();
      return;
    }
  }
  std::unique_ptr<FeatureEngine> engine;
  const bool goes_on = windows != nullptr && windows->serve(*set, from);
  if (goes_on) engine = std::move(windows->engine_);
  pass_ = std::make_unique<Pass>(std::move(set), from, to, known_by, std::move(engine), block_rows);
  pass_->kept = windows;
  pass_->read_only = read_only;
  if (goes_on) {
    pass_->goes_on = true;
    pass_->goes_on_at = windows->up_to_;
    pass_->added_run = windows->run_;
  }
  pass_->whole = pass_->collect();
  if (pass_->whole) {
    pass_->sort_rows();
  } else {
    pass_->other_reader = std::make_unique<EventReader>(
        *pass_->set, pass_->columns, pass_->set->locals.size(), pass_->set->inputs.size(),
        pass_->set->keys.size());
    pass_->open(pass_->first_of_windows(), true);
  }
}

FeatureStream::~FeatureStream() noexcept = default;

const std::vector<FeatureInfo>& FeatureStream::features() const noexcept {
  return pass_->set->features;
}

Oid FeatureStream::id_type() const noexcept { return pass_->id_type; }

bool FeatureStream::has_label() const noexcept { return !pass_->set->label.empty(); }

bool FeatureStream::next(FeatureBlock* block) {
  Pass& pass = *pass_;
  // The first rows may only lead up to the period.
  do {
    pass.times.clear();
    if (!pass.begun && !pass.begin_turn()) break;
    const Turn& done = pass.end_turn();
    pass.begun = pass.begin_turn();
    pass.make_block(done);
  } while (pass.times.empty());
  block->rows = pass.times.size();
  block->features = pass.features.data();
  block->labels = pass.labels.data();
  block->times = pass.times.data();
  block->known_at = pass.known_at.data();
  block->ids = pass.ids.data();
  block->tags = pass.tags.data();
  block->table_rows = pass.table_rows.data();
  if (block->rows == 0 && pass.kept != nullptr && pass.engine != nullptr) {
    pass.kept->engine_ = std::move(pass.engine);
    pass.kept->revision_ = pass.set->revision;
    pass.kept->up_to_ = pass.to;
    pass.kept->run_ = pass.added_run;
  }
  return block->rows > 0;
}

}  // namespace fraud::pg
