#include "pg/features/feature_stream.h"

#include <algorithm>
#include <exception>

#include "pg/features/feature_pass.h"
#include "pg/features/looked_up_windows.h"
#include "pg/server/boundary.h"
#include "pg/server/gucs.h"
#include "pg/server/spi.h"

extern "C" {
#include "tcop/pquery.h"
#include "utils/datum.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"
}

namespace fraud::pg {

namespace {

using Kind = EventColumn::Kind;

void add_time_and_id(const FeatureSet& set, std::vector<EventColumn>* columns) {
  columns->push_back({Kind::kTime, 0, as_timestamptz(set.time, set.time_type)});
  columns->push_back({Kind::kId, 0, "(" + set.id + ")"});
}

void add_labels(const FeatureSet& set, std::vector<EventColumn>* columns) {
  if (!set.label.empty()) columns->push_back({Kind::kLabel, 0, set.label_as_boolean});
  if (!set.known_at.empty()) columns->push_back({Kind::kKnownAt, 0, as_timestamptz(set.known_at, set.known_at_type)});
  if (!set.label_changes.empty()) columns->push_back({Kind::kLabelChanges, 0, "(" + set.label_changes + ")"});
}

void add_inputs_and_keys(const FeatureSet& set, std::vector<EventColumn>* columns) {
  for (size_t i = 0; i < set.inputs.size(); ++i) {
    columns->push_back({set.inputs[i].hashed ? Kind::kHashInput : Kind::kNumberInput, i, set.inputs[i].sql});
  }
  for (size_t i = 0; i < set.keys.size(); ++i) {
    for (const std::string& part : set.keys[i].parts) columns->push_back({Kind::kKeyPart, i, "(" + part + ")"});
  }
}

}  // namespace

std::vector<EventColumn> pass_columns(const FeatureSet& set, bool looks_up) {
  std::vector<EventColumn> columns;
  add_time_and_id(set, &columns);
  if (!set.tag.empty()) columns.push_back({Kind::kTag, 0, "(" + set.tag + ")"});
  if (looks_up) {
    columns.push_back({Kind::kRow, 0, "COALESCE(e.*)"});  // "e" would be a column of that name
  } else if (!set.row.empty()) {
    columns.push_back({Kind::kRow, 0, "(" + set.row + ")"});
  }
  add_labels(set, &columns);
  for (size_t i = 0; i < set.locals.size(); ++i) {
    columns.push_back({set.locals[i].coded ? Kind::kCategory : Kind::kNumber, i, set.locals[i].sql});
  }
  add_inputs_and_keys(set, &columns);
  return columns;
}

std::vector<EventColumn> window_columns(const FeatureSet& set) {
  std::vector<EventColumn> columns;
  add_time_and_id(set, &columns);
  add_labels(set, &columns);
  add_inputs_and_keys(set, &columns);
  return columns;
}

FeatureStream::Pass::~Pass() noexcept {
  // After an error the abort closes the portal, and frees the context with its parent.
  if (std::uncaught_exceptions() > 0) return;
  if (portal != nullptr) PortalDrop(portal, false);
  if (snapshot != nullptr) UnregisterSnapshotFromOwner(snapshot, snapshot_owner);
  parts.reset();  // these are in the context
  spool.reset();
  MemoryContextDelete(context);
}

// The time behind which the events are that the windows of the first event of the period reach back to.
TimestampTz FeatureStream::Pass::first_of_windows() const {
  if (goes_on) return goes_on_at - 1;
  if (TIMESTAMP_NOT_FINITE(from)) return from;
  // The interval is open at its begin: one microsecond earlier closes it.
  return from - MIN_TIMESTAMP <= engine->reach_us() ? DT_NOBEGIN : from - engine->reach_us() - 1;
}

// Opens the portal that gives the events behind a time, to the end of the period; `of_windows`: what windows are computed of.
void FeatureStream::Pass::open(TimestampTz begin, bool sorted, bool of_windows) {
  const std::string time = "(" + set->time + ")";
  std::string query = select_list(of_windows ? window_columns(*set) : columns) + set->from_clause() + " WHERE " + time + " > " +
                      set->in_time_type("$1") + " AND " + time + " < " + set->in_time_type("$2") +
                      " AND (" + set->id + ") IS NOT NULL";
  if (sorted) query += " ORDER BY " + time + ", (" + set->id + ")";
  // An id of payments is unique for its customer.
  if (sorted && set->builtin && !set->keys.empty()) query += ", (" + set->keys[0].parts[0] + ")";
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
    if (snapshot != nullptr) PushActiveSnapshot(snapshot);
    Portal opened = SPI_cursor_open_with_args(nullptr, query, 2, types, values, nullptr, read_only || snapshot != nullptr,
                                              CURSOR_OPT_NO_SCROLL);
    if (snapshot != nullptr) {
      PopActiveSnapshot();
    } else {
      snapshot_owner = CurrentResourceOwner;
      snapshot = RegisterSnapshotOnOwner(opened->queryDesc->snapshot, snapshot_owner);
    }
    return opened;
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
  // A batch may have none but rows that were handed out.
  do {
    own.clear();
    if (!fetch(own)) return;
    turn.batch = &own.batch();
    check_order(own.batch());
    for (size_t row = 0; row < own.batch().rows; ++row) add_row(turn, row);
  } while (turn.rows.empty());
}

void FeatureStream::Pass::fill_from_spool(Turn& turn) {
  if (!spool->read(&turn.spooled, &turn.runs)) return;
  turn.batch = &turn.spooled;
  for (size_t row = 0; row < turn.spooled.rows; ++row) add_row(turn, row);
}

// ------------------------------------------------------------------- the turns

// The run of a row that comes after the one that was asked for before, which may be of the batch before.
uint64_t FeatureStream::Pass::run_of(const EventBatch& batch, size_t row) {
  if (!has_added || batch.times[row] != added_time || !same_id(added_id, batch.ids[row])) ++added_run;
  has_added = true;
  added_time = batch.times[row];
  added_id = batch.ids[row];  // lives as long as the batch of the turn before
  return added_run;
}

// Adds a row of the turn's batch to those that are computed.
void FeatureStream::Pass::add_row(Turn& turn, size_t row) {
  const EventBatch& batch = *turn.batch;
  if (parts != nullptr) {
    const TimestampTz time = batch.times[row];
    if (time < last_out || (time == last_out && seen_at_last++ < out_at_last)) {
      if (part == kAllParts) return;
      ++turn.old_rows;
    }
  }
  Event event = batch.event(row);
  event.inputs = batch.cells.data() + row * set->inputs.size();
  if (set->builtin) event.run = turn.batch == &turn.spooled ? turn.runs[row] : run_of(batch, row);
  batch.keys_of(row, set->keys.size(), &row_keys);
  if (parts != nullptr) turn.marks.push_back(part == 0 || part == kAllParts ? row_mark(batch, row, row_keys, set->inputs.size()) : 0);
  if (part != kAllParts) {
    for (std::string_view& key : row_keys) {
      if (key.data() != nullptr && parts->part_of(key) != part) key = {};
    }
  }
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
  next.marks.clear();
  next.old_rows = 0;
  if (!ended) {
    if (whole) {
      fill_from_whole(next);
    } else if (spool != nullptr && part != kAllParts) {
      fill_from_spool(next);
    } else {
      fill_from_stream(next);
    }
  }
  ended = next.rows.empty();
  if (ended) return false;
  next.window_values.resize(next.rows.size() * set->windows.size());
  // A few rows are computed here, when they are wanted.
  next.elsewhere = guc_feature_threads > 1 && next.rows.size() == block_rows && !looks_up && (parts == nullptr || part != kAllParts);
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
  if (parts != nullptr && part == kAllParts) {
    if (parts->take(turn.keys.data(), turn.marks.data(), turn.rows.size(), turn.window_values.data())) return;
    throw SqlError(ERRCODE_UNIQUE_VIOLATION, "the events of feature set \"" + set->name + "\" do not come in the same order twice",
                   "Their windows hold more than fraud_detect.feature_memory, so they are read several times.",
                   "event_id must tell events of the same time apart, and the expressions of the set give the same each time.");
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
  if (windows != nullptr && windows->parts_ > 0 && !TIMESTAMP_NOT_FINITE(from)) {
    // They will be too large again.
    pass_->first_parts = windows->parts_;
    pass_->outgrown = true;
    pass_->last_out = from;
  }
  if (pass_->whole) {
    pass_->sort_rows();
  } else {
    pass_->other_reader = pass_->new_reader();
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
    if (pass.outgrown) pass.compute_in_parts();
    if (!pass.begun && !pass.begin_turn()) break;
    const Turn& done = pass.end_turn();
    if (pass.parts == nullptr) {
      pass.note_handed_out(done);
      pass.outgrown = pass.engine->bytes() > pass.memory_limit();
      // How much more the windows will hold when they reach as far back as they do.
      if (pass.outgrown) pass.first_parts = pass.parts_needed();
    }
    pass.begun = !pass.outgrown && pass.begin_turn();
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
  if (block->rows == 0 && pass.kept != nullptr && pass.parts != nullptr) {
    pass.kept->forget();
    pass.kept->parts_ = pass.parts->count();
  } else if (block->rows == 0 && pass.kept != nullptr && pass.engine != nullptr) {
    pass.kept->engine_ = std::move(pass.engine);
    pass.kept->revision_ = pass.set->revision;
    pass.kept->up_to_ = pass.to;
    pass.kept->run_ = pass.added_run;
  }
  return block->rows > 0;
}

}  // namespace fraud::pg
