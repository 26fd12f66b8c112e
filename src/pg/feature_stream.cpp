#include "pg/feature_stream.h"

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

struct FeatureStream::Pass {
  Pass(std::shared_ptr<const FeatureSet> the_set, TimestampTz the_from, TimestampTz the_known_by,
       size_t rows)
      : set(std::move(the_set)),
        from(the_from),
        known_by(the_known_by),
        block_rows(rows),
        columns(columns_of(*set)),
        reader(*set, columns, set->locals.size(), set->inputs.size(), set->keys.size()),
        engine(set->windows, set->keys.size()),
        window_values(set->windows.size()) {}

  void open(TimestampTz to);
  void open_portal(const char* query, TimestampTz begin, TimestampTz to);
  bool fetch();
  void check_order();
  void emit(size_t row);

  std::shared_ptr<const FeatureSet> set;
  TimestampTz from, known_by;
  size_t block_rows;
  std::vector<EventColumn> columns;
  EventReader reader;
  FeatureEngine engine;
  Portal portal = nullptr;
  FmgrInfo* compare_ids = nullptr;  // lives in the portal's context
  Oid id_collation = InvalidOid;
  int64_t last_time = 0;
  Datum last_id = (Datum)0;
  bool has_last = false;
  // The block.
  std::vector<std::string_view> keys;
  std::vector<float> window_values, features, labels;
  std::vector<TimestampTz> times, known_at;
  std::vector<Datum> ids;
};

void FeatureStream::Pass::open(TimestampTz to) {
  // Events that the windows of the first event reach back to come first.
  TimestampTz begin = from;
  if (!TIMESTAMP_IS_NOBEGIN(from) && !TIMESTAMP_IS_NOEND(from)) {
    begin = from < MIN_TIMESTAMP + engine.reach_us() ? DT_NOBEGIN : from - engine.reach_us();
  }
  const std::string time = "(" + set->time + ")";
  const std::string query = select_list(columns) + set->from_clause() + " WHERE " + time + " > " +
                            set->in_time_type("$1") + " AND " + time + " < " +
                            set->in_time_type("$2") + " AND (" + set->id +
                            ") IS NOT NULL ORDER BY " + time + ", (" + set->id + ")";
  // An interval that is open at its begin: one microsecond earlier closes it.
  if (!TIMESTAMP_NOT_FINITE(begin)) --begin;
  DefinerScope definer(*set);
  protect([&] {
    // It is read to the end, whereas cursors are planned for their first rows.
    (void)set_config_option("cursor_tuple_fraction", "1", PGC_USERSET, PGC_S_SESSION,
                            GUC_ACTION_SAVE, true, 0, false);
    // The sort is the only thing here that is larger than a batch.
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
    open_portal(text, begin, to);
  } catch (const PgError& error) {
    if (ERRCODE_TO_CATEGORY(error.data()->sqlerrcode) != ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION) throw;
    throw SqlError(error.data()->sqlerrcode,
                   "could not read the events of feature set \"" + set->name + "\": " + error.what(), {},
                   "What the set was defined on may have changed since.");
  }
}

void FeatureStream::Pass::open_portal(const char* query, TimestampTz begin, TimestampTz to) {
  portal = protect([&] {
    Oid types[2] = {TIMESTAMPTZOID, TIMESTAMPTZOID};
    Datum values[2] = {TimestampTzGetDatum(begin), TimestampTzGetDatum(to)};
    return SPI_cursor_open_with_args(nullptr, query, 2, types, values, nullptr, false,
                                     CURSOR_OPT_NO_SCROLL);
  });
  protect([&] {
    Form_pg_attribute id = TupleDescAttr(portal->tupDesc, 1);
    TypeCacheEntry* entry = lookup_type_cache(getBaseType(id->atttypid), TYPECACHE_CMP_PROC);
    compare_ids = static_cast<FmgrInfo*>(MemoryContextAlloc(portal->portalContext, sizeof(FmgrInfo)));
    fmgr_info_cxt(entry->cmp_proc, compare_ids, portal->portalContext);
    id_collation = id->attcollation;
  });
}

// Reads the next batch of events; false at the end.
bool FeatureStream::Pass::fetch() {
  DefinerScope definer(*set);
  DestReceiver* receiver = reader.receiver();
  const auto count = static_cast<long>(block_rows);
  protect([&] {
    CHECK_FOR_INTERRUPTS();
    PortalRunFetch(portal, FETCH_FORWARD, count, receiver);
  });
  reader.check();
  return reader.batch().rows > 0;
}

// The order of two events at the same time must be that of their ids.
void FeatureStream::Pass::check_order() {
  const EventBatch& batch = reader.batch();
  Oid type = reader.column_type(1);
  for (size_t row = 0; row < batch.rows; ++row) {
    if (has_last && batch.times[row] == last_time) {
      Datum a = last_id, b = batch.ids[row];
      if (protect([&] { return DatumGetInt32(FunctionCall2Coll(compare_ids, id_collation, a, b)); }) == 0) {
        const char* when = protect([&] { return timestamptz_to_str(last_time); });
        throw SqlError(ERRCODE_UNIQUE_VIOLATION,
                       "two events of feature set \"" + set->name + "\" have the same time and id",
                       "The time is " + std::string(when) + ".",
                       "event_id must tell events of the same time apart.");
      }
    }
    last_time = batch.times[row];
    last_id = batch.ids[row];
    has_last = true;
  }
  // The last id outlives its batch.
  last_id = protect([&] {
    int16 length;
    bool by_value;
    get_typlenbyval(type, &length, &by_value);
    MemoryContext old = MemoryContextSwitchTo(portal->portalContext);
    Datum copy = datumCopy(last_id, by_value, length);
    MemoryContextSwitchTo(old);
    return copy;
  });
}

// Adds a row of the batch to the block.
void FeatureStream::Pass::emit(size_t row) {
  const EventBatch& batch = reader.batch();
  const size_t width = set->features.size();
  const size_t base = features.size();
  features.resize(base + width, kMissing);
  for (size_t i = 0; i < set->locals.size(); ++i) {
    features[base + set->locals[i].feature] = batch.locals[row * set->locals.size() + i];
  }
  for (size_t i = 0; i < set->windows.size(); ++i) {
    features[base + set->window_places[i]] = window_values[i];
  }
  times.push_back(batch.times[row]);
  ids.push_back(batch.ids[row]);
  labels.push_back(batch.known_at[row] <= known_by ? batch.labels[row] : kMissing);
  known_at.push_back(batch.known_at[row]);
}

FeatureStream::FeatureStream(std::string_view feature_set, TimestampTz from, TimestampTz to,
                             TimestampTz known_by, size_t block_rows) {
  std::shared_ptr<const FeatureSet> set = find_feature_set(feature_set, false);
  check_may_read(*set);
  if (set->features.empty()) {
    throw SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                   "feature set \"" + set->name + "\" has no features", {},
                   "Add some with fraud.add_feature and fraud.add_window_feature.");
  }
  pass_ = std::make_unique<Pass>(std::move(set), from, known_by, block_rows);
  pass_->open(to);
}

FeatureStream::~FeatureStream() noexcept {
  // After an error the abort closes the portal.
  if (pass_ == nullptr || pass_->portal == nullptr || std::uncaught_exceptions() > 0) return;
  PortalDrop(pass_->portal, false);
}

const std::vector<FeatureInfo>& FeatureStream::features() const noexcept {
  return pass_->set->features;
}

Oid FeatureStream::id_type() const noexcept {
  return TupleDescAttr(pass_->portal->tupDesc, 1)->atttypid;
}

bool FeatureStream::has_label() const noexcept { return !pass_->set->label.empty(); }

bool FeatureStream::next(FeatureBlock* block) {
  Pass& pass = *pass_;
  for (;;) {
    pass.reader.clear();
    pass.features.clear();
    pass.labels.clear();
    pass.times.clear();
    pass.known_at.clear();
    pass.ids.clear();
    if (!pass.fetch()) return false;
    pass.check_order();
    const EventBatch& batch = pass.reader.batch();
    const size_t cells = pass.set->inputs.size();
    for (size_t row = 0; row < batch.rows; ++row) {
      batch.keys_of(row, pass.set->keys.size(), &pass.keys);
      Event event;
      event.time_us = batch.times[row];
      event.known_fraud_us = batch.labels[row] == 1.0F ? batch.known_at[row] : kNever;
      event.inputs = batch.cells.data() + row * cells;
      pass.engine.next(event, pass.keys.data(), pass.window_values.data());
      if (event.time_us >= pass.from) pass.emit(row);
    }
    const size_t limit = static_cast<size_t>(guc_feature_memory_kb) * 1024;
    if (pass.engine.bytes() > limit) {
      throw SqlError(ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                     "the windows of feature set \"" + pass.set->name +
                         "\" hold more than fraud_detect.feature_memory",
                     {}, "Raise the setting, or take shorter windows or a shorter period.");
    }
    if (!pass.times.empty()) break;  // all of it only led up to the period
  }
  block->rows = pass.times.size();
  block->features = pass.features.data();
  block->labels = pass.labels.data();
  block->times = pass.times.data();
  block->known_at = pass.known_at.data();
  block->ids = pass.ids.data();
  return true;
}

}  // namespace fraud::pg
