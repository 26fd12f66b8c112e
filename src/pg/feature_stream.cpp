#include "pg/feature_stream.h"

#include <algorithm>
#include <exception>

#include "pg/boundary.h"
#include "pg/event_reader.h"
#include "pg/gucs.h"
#include "pg/spi.h"

extern "C" {
#include "tcop/pquery.h"
#include "utils/datum.h"
#include "utils/portal.h"
}

namespace fraud::pg {

namespace {

constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();

// All columns of the set's events.
std::vector<EventColumn> columns_of(const FeatureSet& set) {
  using Kind = EventColumn::Kind;
  std::vector<EventColumn> columns;
  columns.push_back({Kind::kTime, 0, as_timestamptz(set.time, set.time_type)});
  columns.push_back({Kind::kId, 0, "(" + set.id + ")"});
  if (!set.tag.empty()) columns.push_back({Kind::kTag, 0, "(" + set.tag + ")"});
  if (!set.label.empty()) columns.push_back({Kind::kLabel, 0, set.label_as_boolean});
  if (!set.known_at.empty()) {
    columns.push_back({Kind::kKnownAt, 0, as_timestamptz(set.known_at, set.known_at_type)});
  }
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

// Where all events fit in memory they are sorted here, which is several times faster
// than Postgres's sort of tuples. Otherwise it sorts them, and they stream by.
struct FeatureStream::Pass {
  Pass(std::shared_ptr<const FeatureSet> the_set, TimestampTz the_from, TimestampTz the_to,
       TimestampTz the_known_by, size_t rows)
      : set(std::move(the_set)),
        from(the_from),
        to(the_to),
        known_by(the_known_by),
        block_rows(rows),
        columns(columns_of(*set)),
        reader(*set, columns, set->locals.size(), set->inputs.size(), set->keys.size()),
        engine(set->windows, set->keys.size()) {}

  void open(bool sorted);
  void open_portal(const char* query, TimestampTz begin);
  void close();
  bool fetch();

  bool collect();
  void sort_rows();
  void sort_run(size_t begin, size_t end);
  void check_run(const uint32_t* run, size_t count);
  bool same_id(Datum a, Datum b);
  std::vector<std::string> keys_of(size_t row);
  bool next_of_whole();

  bool next_of_stream();
  void check_order();

  void clear_block();
  void add_row(size_t row);
  void compute_block();
  [[noreturn]] void throw_same_id(TimestampTz time) const;
  size_t memory_limit() const { return static_cast<size_t>(guc_feature_memory_kb) * 1024; }

  std::shared_ptr<const FeatureSet> set;
  TimestampTz from, to, known_by;
  size_t block_rows;
  std::vector<EventColumn> columns;
  EventReader reader;
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
  // The block: rows of the reader's batch, and what becomes of them.
  FeatureEngine engine;
  std::vector<size_t> rows;
  std::vector<Event> events;
  std::vector<std::string_view> keys, row_keys;
  std::vector<float> window_values, features, labels;
  std::vector<TimestampTz> times, known_at;
  std::vector<Datum> ids;
  std::vector<int64_t> tags;
};

// Opens the portal that gives the events, those first that the windows of the first
// event of the period reach back to.
void FeatureStream::Pass::open(bool sorted) {
  TimestampTz begin = from;
  if (!TIMESTAMP_NOT_FINITE(from)) {
    // The interval is open at its begin: one microsecond earlier closes it.
    begin = from - MIN_TIMESTAMP <= engine.reach_us() ? DT_NOBEGIN : from - engine.reach_us() - 1;
  }
  const std::string time = "(" + set->time + ")";
  std::string query = select_list(columns) + set->from_clause() + " WHERE " + time + " > " +
                      set->in_time_type("$1") + " AND " + time + " < " + set->in_time_type("$2") +
                      " AND (" + set->id + ") IS NOT NULL";
  if (sorted) query += " ORDER BY " + time + ", (" + set->id + ")";
  DefinerScope definer(*set);
  protect([&] {
    // It is read to the end, whereas cursors are planned for their first rows.
    (void)set_config_option("cursor_tuple_fraction", "1", PGC_USERSET, PGC_S_SESSION,
                            GUC_ACTION_SAVE, true, 0, false);
    if (maintenance_work_mem > work_mem) {
      char size[32];
      pg_snprintf(size, sizeof(size), "%d", maintenance_work_mem);
      (void)set_config_option("work_mem", size, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true,
                              0, false);
    }
  });
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
    return SPI_cursor_open_with_args(nullptr, query, 2, types, values, nullptr, false,
                                     CURSOR_OPT_NO_SCROLL);
  });
  protect([&] {
    Form_pg_attribute id = TupleDescAttr(portal->tupDesc, 1);
    id_type = id->atttypid;
    id_collation = id->attcollation;
    TypeCacheEntry* entry = lookup_type_cache(getBaseType(id_type), TYPECACHE_CMP_PROC);
    fmgr_info_cxt(entry->cmp_proc, &compare_ids, portal->portalContext);
  });
}

void FeatureStream::Pass::close() {
  Portal closing = portal;
  portal = nullptr;
  protect([&] { PortalDrop(closing, false); });
}

// Reads a batch of events behind those that the reader holds; false at the end.
bool FeatureStream::Pass::fetch() {
  DefinerScope definer(*set);
  DestReceiver* receiver = reader.receiver();
  const auto count = static_cast<long>(block_rows);
  const size_t before = reader.batch().rows;
  protect([&] {
    CHECK_FOR_INTERRUPTS();
    PortalRunFetch(portal, FETCH_FORWARD, count, receiver);
  });
  reader.check();
  return reader.batch().rows > before;
}

void FeatureStream::Pass::throw_same_id(TimestampTz time) const {
  const char* when = protect([&] { return timestamptz_to_str(time); });
  throw SqlError(ERRCODE_UNIQUE_VIOLATION,
                 "two events of feature set \"" + set->name + "\" have the same time, id and key",
                 "The time is " + std::string(when) + ".",
                 "event_id must tell events of the same time and key apart.");
}

// ------------------------------------------------------------ the whole of them

// Reads all events as they come; false, with nothing kept, where they do not fit.
bool FeatureStream::Pass::collect() {
  open(false);
  const EventBatch& batch = reader.batch();
  // Beside the batch: the order and its sort. The windows may take as much again.
  const size_t more = sizeof(std::pair<int64_t, uint32_t>) + sizeof(uint32_t);
  while (fetch()) {
    if (reader.bytes() + batch.rows * more <= memory_limit() / 2 && batch.rows < kNullKey &&
        batch.key_bytes.size() < kNullKey) {
      continue;
    }
    close();
    reader.clear();
    return false;
  }
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
// comes first would be left to chance.
void FeatureStream::Pass::check_run(const uint32_t* run, size_t count) {
  Ties ties;
  for (size_t i = 0; i < count; ++i) {
    Datum a = i == 0 ? (Datum)0 : reader.batch().ids[run[i - 1]], b = reader.batch().ids[run[i]];
    if (i == 0 || !same_id(a, b)) ties.clear();
    if (!ties.add(keys_of(run[i]))) throw_same_id(reader.batch().times[run[i]]);
  }
}

bool FeatureStream::Pass::same_id(Datum a, Datum b) {
  return protect([&] {
    return DatumGetInt32(FunctionCall2Coll(&compare_ids, id_collation, a, b)) == 0;
  });
}

std::vector<std::string> FeatureStream::Pass::keys_of(size_t row) {
  reader.batch().keys_of(row, set->keys.size(), &row_keys);
  // A null key is no key: it is left empty, which no other key is. So is one whose
  // windows all end before the event: what comes at the same time is in none of them.
  std::vector<std::string> ties(row_keys.begin(), row_keys.end());
  for (size_t key = 0; key < ties.size(); ++key) {
    if (engine.plan(key).least_delay_us() > 0) ties[key].clear();
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

// Computes the next rows; false at the end.
bool FeatureStream::Pass::next_of_whole() {
  if (position == order.size()) return false;
  protect([] { CHECK_FOR_INTERRUPTS(); });
  while (position < order.size() && rows.size() < block_rows) add_row(order[position++]);
  compute_block();
  return true;
}

// ------------------------------------------------------------ as they stream by

// Looks at the rows of a batch as check_run() does, across batches.
void FeatureStream::Pass::check_order() {
  const EventBatch& batch = reader.batch();
  for (size_t row = 0; row < batch.rows; ++row) {
    if (has_last && batch.times[row] == last_time && same_id(last_id, batch.ids[row])) {
      if (ties.empty()) ties.add(row == 0 ? last_keys : keys_of(row - 1));
      if (!ties.add(keys_of(row))) throw_same_id(last_time);
    } else {
      ties.clear();
    }
    last_time = batch.times[row];
    last_id = batch.ids[row];
    has_last = true;
  }
  last_keys = keys_of(batch.rows - 1);
  // The last id outlives its batch.
  last_id = protect([&] {
    int16 length;
    bool by_value;
    get_typlenbyval(id_type, &length, &by_value);
    MemoryContext old = MemoryContextSwitchTo(portal->portalContext);
    Datum copy = datumCopy(last_id, by_value, length);
    MemoryContextSwitchTo(old);
    return copy;
  });
}

// Computes the next batch; false at the end.
bool FeatureStream::Pass::next_of_stream() {
  reader.clear();
  if (!fetch()) return false;
  check_order();
  for (size_t row = 0; row < reader.batch().rows; ++row) add_row(row);
  compute_block();
  return true;
}

// ------------------------------------------------------------------- the block

void FeatureStream::Pass::clear_block() {
  rows.clear();
  events.clear();
  keys.clear();
  features.clear();
  labels.clear();
  times.clear();
  known_at.clear();
  ids.clear();
  tags.clear();
}

// Adds a row of the reader's batch to those that are computed next.
void FeatureStream::Pass::add_row(size_t row) {
  const EventBatch& batch = reader.batch();
  Event event;
  event.time_us = batch.times[row];
  event.known_fraud_us = batch.labels[row] == 1.0F ? batch.known_at[row] : kNever;
  event.inputs = batch.cells.data() + row * set->inputs.size();
  batch.keys_of(row, set->keys.size(), &row_keys);
  rows.push_back(row);
  events.push_back(event);
  keys.insert(keys.end(), row_keys.begin(), row_keys.end());
}

// Computes the rows; those of the period make up the block.
void FeatureStream::Pass::compute_block() {
  const EventBatch& batch = reader.batch();
  const size_t width = set->features.size(), windows = set->windows.size();
  window_values.resize(rows.size() * windows);
  engine.next(events.data(), events.size(), keys.data(), window_values.data());
  if (engine.bytes() > memory_limit()) {
    throw SqlError(ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                   "the windows of feature set \"" + set->name +
                       "\" hold more than fraud_detect.feature_memory",
                   {}, "Raise the setting, or take shorter windows or a shorter period.");
  }
  features.reserve(rows.size() * width);
  for (size_t i = 0; i < rows.size(); ++i) {
    const size_t row = rows[i];
    if (batch.times[row] < from) continue;
    const size_t base = features.size();
    features.resize(base + width);
    for (size_t j = 0; j < set->locals.size(); ++j) {
      features[base + set->locals[j].feature] = batch.locals[row * set->locals.size() + j];
    }
    for (size_t j = 0; j < windows; ++j) {
      features[base + set->window_places[j]] = window_values[i * windows + j];
    }
    times.push_back(batch.times[row]);
    ids.push_back(batch.ids[row]);
    if (!set->tag.empty()) tags.push_back(batch.tags[row]);
    labels.push_back(batch.known_at[row] <= known_by ? batch.labels[row] : kMissing);
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
                             TimestampTz known_by, size_t block_rows) {
  if (set->features.empty()) {
    throw SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                   "feature set \"" + set->name + "\" has no features", {},
                   "Add some with fraud.add_feature and fraud.add_window_feature.");
  }
  pass_ = std::make_unique<Pass>(std::move(set), from, to, known_by, block_rows);
  pass_->whole = pass_->collect();
  if (pass_->whole) {
    pass_->sort_rows();
  } else {
    pass_->open(true);
  }
}

FeatureStream::~FeatureStream() noexcept {
  // After an error the abort closes the portal.
  if (pass_ == nullptr || pass_->portal == nullptr || std::uncaught_exceptions() > 0) return;
  PortalDrop(pass_->portal, false);
}

const std::vector<FeatureInfo>& FeatureStream::features() const noexcept {
  return pass_->set->features;
}

Oid FeatureStream::id_type() const noexcept { return pass_->id_type; }

bool FeatureStream::has_label() const noexcept { return !pass_->set->label.empty(); }

bool FeatureStream::next(FeatureBlock* block) {
  Pass& pass = *pass_;
  // The first rows may only lead up to the period.
  do {
    pass.clear_block();
  } while ((pass.whole ? pass.next_of_whole() : pass.next_of_stream()) && pass.times.empty());
  block->rows = pass.times.size();
  block->features = pass.features.data();
  block->labels = pass.labels.data();
  block->times = pass.times.data();
  block->known_at = pass.known_at.data();
  block->ids = pass.ids.data();
  block->tags = pass.tags.data();
  return block->rows > 0;
}

}  // namespace fraud::pg
