#include "pg/online_features.h"

#include <map>
#include <memory>

#include "pg/boundary.h"
#include "pg/event_reader.h"
#include "pg/spi.h"

namespace fraud::pg {

namespace {

constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();

// A plan that is kept, and freed with its owner.
class KeptPlan {
 public:
  KeptPlan() = default;
  ~KeptPlan() noexcept {
    if (plan_ != nullptr) SPI_freeplan(plan_);
  }
  KeptPlan(const KeptPlan&) = delete;
  KeptPlan& operator=(const KeptPlan&) = delete;

  void prepare(const std::string& sql, std::vector<Oid> types) {
    const char* text = sql.c_str();
    Oid* type_array = types.data();
    const int count = static_cast<int>(types.size());
    types_ = std::move(types);
    type_array = types_.data();
    protect([&] {
      // Planned once, whatever the key: what is read is a range of an index.
      SPIPlanPtr plan = SPI_prepare_cursor(text, count, type_array, CURSOR_OPT_GENERIC_PLAN);
      if (plan == nullptr) elog(ERROR, "SPI_prepare_cursor: %s", SPI_result_code_string(SPI_result));
      if (SPI_keepplan(plan) != 0) elog(ERROR, "SPI_keepplan failed");
      plan_ = plan;
    });
  }
  bool prepared() const noexcept { return plan_ != nullptr; }

  // Runs it into the receiver; values are in order of the parameters.
  void run(const Datum* values, DestReceiver* receiver, bool read_only) {
    const Oid* type_array = types_.data();
    const int count = static_cast<int>(types_.size());
    protect([&] {
      ParamListInfo params = makeParamList(count);
      for (int i = 0; i < count; ++i) {
        params->params[i].value = values[i];
        params->params[i].isnull = false;
        params->params[i].pflags = PARAM_FLAG_CONST;
        params->params[i].ptype = type_array[i];
      }
      SPIExecuteOptions options;
      memset(&options, 0, sizeof(options));
      options.params = params;
      options.read_only = read_only;
      options.dest = receiver;
      int result = SPI_execute_plan_extended(plan_, &options);
      if (result < 0) elog(ERROR, "SPI_execute_plan_extended: %s", SPI_result_code_string(result));
    });
  }

 private:
  SPIPlanPtr plan_ = nullptr;
  std::vector<Oid> types_;
};

// What a set needs to be computed event by event, kept from call to call.
struct OnlineSet {
  explicit OnlineSet(std::shared_ptr<const FeatureSet> the_set)
      : set(std::move(the_set)),
        engine(set->windows, set->keys.size()),
        histories(set->keys.size()),
        history_columns(set->keys.size()) {}

  std::shared_ptr<const FeatureSet> set;
  FeatureEngine engine;  // for its plans; no event goes through it
  std::vector<EventColumn> event_columns;
  KeptPlan event;                   // $1 is a row of the events
  std::vector<KeptPlan> histories;  // of each key
  std::vector<std::vector<EventColumn>> history_columns;
};

// Never destroyed: at the process's end there is no Postgres left to free plans.
auto& cache = *new std::map<std::string, std::unique_ptr<OnlineSet>>;

OnlineSet& online_set(const std::shared_ptr<const FeatureSet>& set) {
  std::unique_ptr<OnlineSet>& kept = cache[set->name];
  if (kept == nullptr || kept->set != set) kept = std::make_unique<OnlineSet>(set);
  return *kept;
}

// What the event itself brings: its time, id, locals, inputs and keys.
void prepare_event(OnlineSet& online) {
  using Kind = EventColumn::Kind;
  const FeatureSet& set = *online.set;
  std::vector<EventColumn>& columns = online.event_columns;
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
  std::string sql = select_list(columns);
  Oid relation = set.relation;
  Oid row_type = protect([&] { return get_rel_type_id(relation); });
  const char* row_name = protect([&] { return format_type_be_qualified(row_type); });
  // As in a query of the table, the row is called e.
  sql += " FROM pg_catalog.unnest(ARRAY[$1::" + std::string(row_name) + "]) e";
  online.event.prepare(sql, {row_type});
}

// The events before one in the windows of one key: $1 and $2 bound the time, $3 and
// $4 are the event's own time and id, the key's parts follow.
void prepare_history(OnlineSet& online, size_t key, const EventReader& event) {
  using Kind = EventColumn::Kind;
  const FeatureSet& set = *online.set;
  const KeyPlan& plan = online.engine.plan(key);
  std::vector<EventColumn>& columns = online.history_columns[key];
  columns.push_back({Kind::kTime, 0, as_timestamptz(set.time, set.time_type)});
  if (plan.wants_labels()) {
    columns.push_back({Kind::kLabel, 0, set.label_as_boolean});
    if (!set.known_at.empty()) {
      columns.push_back({Kind::kKnownAt, 0, as_timestamptz(set.known_at, set.known_at_type)});
    }
  }
  for (int input : plan.inputs()) {
    const auto index = static_cast<size_t>(input);
    columns.push_back({set.inputs[index].hashed ? Kind::kHashInput : Kind::kNumberInput, index,
                       set.inputs[index].sql});
  }
  std::vector<Oid> types{TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID, event.column_type(1)};
  const std::string time = "(" + set.time + ")";
  std::string sql = select_list(columns);
  sql += set.from_clause() + " WHERE " + time + " > " + set.in_time_type("$1") + " AND " + time +
         " <= " + set.in_time_type("$2") + " AND (" + time + ", (" + set.id + ")) < (" +
         set.in_time_type("$3") + ", $4)";
  for (size_t i = 0; i < online.event_columns.size(); ++i) {
    if (online.event_columns[i].kind != Kind::kKeyPart || online.event_columns[i].index != key) continue;
    types.push_back(event.column_type(i));
    sql += " AND " + online.event_columns[i].sql + " = $" + std::to_string(types.size());
  }
  sql += " ORDER BY " + time + ", (" + set.id + ")";
  online.histories[key].prepare(sql, std::move(types));
}

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
                                   HeapTupleHeader event, bool read_only) {
  using Kind = EventColumn::Kind;
  const Datum row = as_row(*set, event);
  OnlineSet& online = online_set(set);
  DefinerScope definer(*set);
  protect([] {
    // Whatever size the table had when it was planned (with settings of DefinerScope's level).
    for (const char* setting : {"enable_seqscan", "enable_bitmapscan", "enable_sort", "jit"}) {
      (void)set_config_option(setting, "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
                              false);
    }
  });
  Spi spi;
  if (!online.event.prepared()) {
    online.event_columns.clear();
    prepare_event(online);
  }
  EventReader reader(*set, online.event_columns, set->locals.size(), set->inputs.size(), set->keys.size());
  reader.keep_values();
  online.event.run(&row, reader.receiver(), read_only);
  reader.check();
  const EventBatch& current = reader.batch();
  if (reader.is_null(0) || reader.is_null(1)) {
    throw SqlError(ERRCODE_NULL_VALUE_NOT_ALLOWED, "the event's " +
                                                       std::string(reader.is_null(0) ? "time" : "id") +
                                                       " must not be null");
  }
  Event subject;
  subject.time_us = current.times[0];
  subject.inputs = current.cells.data();
  if (TIMESTAMP_NOT_FINITE(subject.time_us)) {
    throw SqlError(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE, "the event's time must be finite");
  }
  std::vector<float> window_values(set->windows.size(), kMissing);
  std::vector<std::string_view> keys;
  current.keys_of(0, set->keys.size(), &keys);
  for (size_t key = 0; key < keys.size(); ++key) {
    if (keys[key].data() == nullptr) continue;
    const KeyPlan& plan = online.engine.plan(key);
    if (!online.histories[key].prepared()) {
      online.history_columns[key].clear();
      prepare_history(online, key, reader);
    }
    std::vector<Datum> values;
    const int64_t begin = subject.time_us < MIN_TIMESTAMP + plan.reach_us()
                              ? DT_NOBEGIN : subject.time_us - plan.reach_us();
    values.push_back(TimestampTzGetDatum(begin));
    values.push_back(TimestampTzGetDatum(subject.time_us - plan.least_delay_us()));
    values.push_back(TimestampTzGetDatum(subject.time_us));
    values.push_back(reader.value(1));
    for (size_t i = 0; i < online.event_columns.size(); ++i) {
      if (online.event_columns[i].kind == Kind::kKeyPart && online.event_columns[i].index == key) {
        values.push_back(reader.value(i));
      }
    }
    EventReader history(*set, online.history_columns[key], 0, set->inputs.size(), 0);
    online.histories[key].run(values.data(), history.receiver(), read_only);
    history.check();
    const EventBatch& events = history.batch();
    KeyWindows windows(plan);
    for (size_t i = 0; i < events.rows; ++i) {
      Event earlier;
      earlier.time_us = events.times[i];
      earlier.known_fraud_us = events.labels[i] == 1.0F ? events.known_at[i] : kNever;
      earlier.inputs = events.cells.data() + i * set->inputs.size();
      windows.push(earlier);
    }
    windows.evaluate_and_push(subject, window_values.data());
  }
  std::vector<float> vector(set->features.size(), kMissing);
  for (size_t i = 0; i < set->locals.size(); ++i) vector[set->locals[i].feature] = current.locals[i];
  for (size_t i = 0; i < set->windows.size(); ++i) vector[set->window_places[i]] = window_values[i];
  return vector;
}

}  // namespace fraud::pg
