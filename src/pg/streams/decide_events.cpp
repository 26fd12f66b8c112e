// The trigger of a stream: the rows that a statement has inserted get their features, score,
// decision and alert in the transaction of the INSERT.
//
// It runs in the session of whoever inserts. He needs no right to anything of ours, and gains
// none: what is read and written here is the owner's, and the set's expressions have the
// rights of who defined it (DefinerScope), not those of who inserts.
#include "core/payments/mask.h"
#include "core/base/json_text.h"
#include "core/payments/payment_writer.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <vector>

#include "pg/features/feature_arguments.h"
#include "pg/features/feature_fault.h"
#include "pg/features/online_features.h"
#include "pg/models/set_scorer.h"
#include "pg/server/boundary.h"
#include "pg/server/gucs.h"
#include "pg/server/kept_plan.h"
#include "pg/server/owner_scope.h"
#include "pg/server/plan_settings.h"
#include "pg/server/shared_state.h"
#include "pg/server/subtransaction.h"
#include "pg/streams/bare_set.h"
#include "pg/streams/stream.h"
#include "pg/streams/stream_rules.h"

extern "C" {
#include "commands/trigger.h"
#include "executor/executor.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"
}

namespace fraud::pg {

namespace {

constexpr size_t kMostBytes = size_t{16} << 20;  // of rows that are decided at a time
constexpr size_t kLongestKey = 1000;             // of an event's id or entity: an index holds it

Statement insert_decisions(
    "INSERT INTO fraud.stream_decisions (stream, event_id, event_time, entity, amount, model, model_version, score, decision,"
    "  reasons, features, error)"
    " SELECT $1, n.event_id, n.event_time, n.entity, n.amount::numeric, $2, $3, n.score, n.decision,"
    "  CASE WHEN n.reasons IS NOT NULL THEN ARRAY(SELECT jsonb_array_elements_text(n.reasons::jsonb)) END,"
    "  CASE WHEN n.error IS NULL THEN $12[(n.i - 1) * $13 + 1 : n.i * $13] END, n.error"
    " FROM unnest($4, $5, $6, $7, $8, $9, $10, $11) WITH ORDINALITY"
    "  n(event_id, event_time, entity, amount, score, decision, reasons, error, i)"
    " ORDER BY n.i RETURNING decision_id",
    {TEXTOID, TEXTOID, INT4OID, TEXTARRAYOID, TIMESTAMPTZARRAYOID, TEXTARRAYOID, TEXTARRAYOID, FLOAT8ARRAYOID, TEXTARRAYOID,
     TEXTARRAYOID, TEXTARRAYOID, FLOAT4ARRAYOID, INT8OID});

Statement insert_shadow_scores(
    "INSERT INTO fraud.stream_shadow_scores (stream, decision_id, model_version, alias, score)"
    " SELECT $1, n.decision_id, n.version, n.alias, n.score FROM unnest($2, $3, $4, $5) n(decision_id, version, alias, score)",
    {TEXTOID, INT8ARRAYOID, INT4ARRAYOID, TEXTARRAYOID, FLOAT8ARRAYOID});

// As for payments (src/pg/payments/ingest.cpp): the alert joins the entity's unresolved case
// if its latest alert is within the window (microseconds), else it opens one; a case that an
// analyst's open transaction has locked is passed over.
Statement insert_alert(
    "WITH latest AS (SELECT c.case_id, c.decision FROM fraud.stream_case_states c WHERE c.stream = $1 AND c.entity = $2"
    "  AND c.status IN ('open', 'acknowledged') AND c.last_alert_at > now() - $12 * interval '1 microsecond'"
    "  ORDER BY c.case_id DESC LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED),"
    // What says no amount, or none that a sum could hold, counts as 1: then the number of frauds to be expected. So does an unknown
    // score: what nobody could judge is looked at first.
    " grown AS (UPDATE fraud.stream_case_states c SET priority = c.priority + coalesce($6, 1) * coalesce(CASE WHEN abs($11::numeric) < 1e15 THEN $11::float8 END, 1),"
    "   alerts = c.alerts + 1, decision = least(c.decision, $7), last_alert_at = greatest(c.last_alert_at, now())"
    "  WHERE c.stream = $1 AND c.case_id = (SELECT l.case_id FROM latest l)"
    "  RETURNING c.case_id, c.alerts, $7 < (SELECT l.decision FROM latest l) AS escalated),"
    " opened AS (INSERT INTO fraud.stream_case_states (stream, entity, priority, alerts, decision, last_alert_at)"
    "  SELECT $1, $2, coalesce($6, 1) * coalesce(CASE WHEN abs($11::numeric) < 1e15 THEN $11::float8 END, 1), 1, $7, now()"
    "  WHERE NOT EXISTS (SELECT FROM latest) RETURNING case_id, alerts, false),"
    " the_case AS (SELECT * FROM grown UNION ALL SELECT * FROM opened)"
    " INSERT INTO fraud.stream_alerts (stream, entity, case_id, decision_id, event_id, event_time, score, decision, model,"
    "  model_version, reasons, amount, rules)"
    " SELECT $1, $2, m.case_id, $3, $4, $5, $6, $7, $8, $9, ARRAY(SELECT jsonb_array_elements_text($10::jsonb)), $11::numeric, $13"
    " FROM the_case m"
    " RETURNING alert_id, case_id, (SELECT m.alerts FROM the_case m), (SELECT m.escalated FROM the_case m)",
    {TEXTOID, TEXTOID, INT8OID, TEXTOID, TIMESTAMPTZOID, FLOAT8OID, TEXTOID, TEXTOID, INT4OID, TEXTOID, TEXTOID, FLOAT8OID, TEXTARRAYOID});

Statement insert_outbox("INSERT INTO fraud.outbox (kind, payload) VALUES ('alert', $1::jsonb)", {TEXTOID});

// Returns the time as messages have it; before 1970 and after 9999, which payments are not, as
// Postgres has it in JSON.
std::string message_time(TimestampTz time) {
  constexpr int64_t kEpochUs = int64_t{946684800} * 1000000;  // 2000-01-01 after 1970
  constexpr int64_t kYear10000Us = int64_t{253402300800} * 1000000;
  if (time >= -kEpochUs && time < kYear10000Us - kEpochUs) return format_time(time + kEpochUs);
  const int utc = 0;
  char buffer[MAXDATELEN + 1];
  return protect([&] { return JsonEncodeDateTime(buffer, TimestampTzGetDatum(time), TIMESTAMPTZOID, &utc); });
}

// What failed, once its error is dealt with.
struct Fault {
  int sqlstate = 0;
  std::string message, detail, hint;
};

std::string or_empty(const char* text) { return text != nullptr ? text : ""; }

// Runs body in a subtransaction. Returns what failed; what is about the statement or the
// transaction rather than about the events goes on.
template <typename Body>
std::optional<Fault> attempt(Body&& body) {
  try {
    in_subtransaction(body);
    return std::nullopt;
  } catch (const PgError& error) {
    ErrorData* data = error.data();
    const int category = ERRCODE_TO_CATEGORY(data->sqlerrcode);
    if (category == ERRCODE_OPERATOR_INTERVENTION || category == ERRCODE_TRANSACTION_ROLLBACK || data->sqlerrcode == ERRCODE_DISK_FULL) throw;
    Fault fault{data->sqlerrcode, or_empty(data->message), or_empty(data->detail), or_empty(data->hint)};
    protect([&] { FreeErrorData(data); });
    return fault;
  } catch (const SqlError& error) {
    return Fault{error.sqlstate(), error.what(), error.detail(), error.hint()};
  }
}

// What an event is called, beside its vector.
struct Names {
  std::optional<std::string> id;
  std::optional<TimestampTz> time;
  std::string entity, amount;  // may be empty
};

struct Decided {
  Names names;
  std::optional<float> score;
  std::string decision, model_decision;
  std::vector<std::string> reasons;
  std::optional<RuleOutcome> ruled;
  std::vector<float> features;  // none where they could not be computed
  std::vector<float> shadows;   // of each challenger
  std::string error;            // of an unscored one
};

// What an alert says of an event that only rules have decided. Why it has no score may hold values of the row, and is not sent about.
constexpr const char* kUnscored = "could not be scored";

// Whose event it is, where neither an entity nor an id can be told: such alerts are one matter.
constexpr const char* kUnknown = "unknown";

SqlValue score_param(const std::optional<float>& score) { return score ? float8_param(static_cast<double>(*score)) : null_param(); }

// The query of events' names is planned once a backend, for as long as set and stream stay
// what they are.
struct NamesPlan {
  std::shared_ptr<const FeatureSet> set;
  std::string entity, amount;
  KeptPlan plan;
};

// Never destroyed: at the process's end there is no Postgres left to free plans.
auto& names_plans = *new std::map<std::string, std::shared_ptr<NamesPlan>>;

class Decider {
 public:
  Decider(Spi& spi, Stream stream, Relation table) : spi_(spi), stream_(std::move(stream)) {
    row_type_ = table->rd_rel->reltype;
    row_name_ = protect([&] { return format_type_be_qualified(row_type_); });
    array_type_ = protect([&] { return get_array_type(row_type_); });
    fault_ = attempt([&] {
      std::shared_ptr<const FeatureSet> found = find_feature_set(stream_.name, false);
      {
        // The table may be somebody else's by now, whose rows are not for the definer's functions:
        // not even what they are called.
        DefinerScope definer(*found);
        check_may_read(*found);
      }
      set_ = std::move(found);
      scorer_.emplace(resolve_model(stream_.model, false), set_);
      challengers_ = find_challengers(*scorer_);
    });
    if (fault_ && stream_.fails) {
      throw SqlError(fault_->sqlstate, "could not decide events of stream \"" + stream_.name + "\": " + fault_->message,
                     fault_->detail, fault_->hint);
    }
    if (set_ != nullptr && set_->relation != RelationGetRelid(table)) {
      throw SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "stream \"" + stream_.name + "\" is of another table",
                     {}, "Triggers that decide events are made by fraud.watch.");
    }
    called_ = set_;
    // Rules decide what cannot be scored, too: by the table's columns, whatever has become of the set.
    std::shared_ptr<const FeatureSet> of_rules = set_;
    if (of_rules == nullptr) {
      if (std::shared_ptr<FeatureSet> bare = find_bare_set(spi_, stream_.name)) {
        of_rules = bare;
        (void)attempt([&] {
          {
            DefinerScope definer(*bare);
            check_may_read(*bare);
          }
          bare->time_type = parse_stored_expression(*bare, "event_time", bare->time).type;
          called_ = bare;
        });
      }
    }
    if (of_rules != nullptr && of_rules->relation == RelationGetRelid(table)) rules_.emplace(of_rules);
  }

  // Decides the rows and writes what came of it.
  void decide(const std::vector<Datum>& rows) {
    std::vector<Decided> events(rows.size());
    // Without a model the features are computed where rules may ask for them.
    if (set_ == nullptr || (fault_ && !has_rules())) {
      for (size_t i = 0; i < rows.size(); ++i) note(events[i], *fault_, {rows[i]});
    } else if (std::optional<Fault> fault = attempt([&] { compute(rows, events.data()); })) {
      for (size_t i = 0; i < rows.size(); ++i) {
        if (rows.size() > 1) fault = attempt([&] { compute({rows[i]}, &events[i]); });
        if (fault) note(events[i], *fault, {rows[i]});
      }
    }
    apply_rules(rows, events);
    write(events);
  }

 private:
  // The rows as a FROM item, called e.
  EventSource source(const std::vector<Datum>& rows) const {
    Column column(row_type_);
    for (Datum row : rows) column.add({row});
    return {"pg_catalog.unnest($1::" + row_name_ + "[]) e", {array_type_}, {column.array()}};
  }

  bool has_rules() const noexcept { return rules_ && !rules_->empty(); }

  // Reads what the events are called, with the definer's rights. What is too long for a key is
  // an error, or, where the event is unscored anyhow, cut.
  std::vector<Names> names_of(const EventSource& events, size_t count, bool cut) {
    std::shared_ptr<NamesPlan> kept = names_plans[stream_.name];
    if (kept == nullptr || kept->set != called_ || kept->entity != stream_.entity || kept->amount != stream_.amount) {
      kept = std::make_shared<NamesPlan>();
      kept->set = called_;
      kept->entity = stream_.entity;
      kept->amount = stream_.amount;
      names_plans[stream_.name] = kept;
    }
    std::vector<Names> names(count);
    {
      DefinerScope definer(*called_);
      Spi spi;
      if (!kept->plan.prepared()) {
        auto text = [](const std::string& sql) { return sql.empty() ? "NULL::pg_catalog.text" : "(" + sql + ")::pg_catalog.text"; };
        kept->plan.prepare("SELECT " + text(called_->id) + ", " + as_timestamptz(called_->time, called_->time_type) + ", " +
                               text(stream_.entity) + ", " + text(stream_.amount) + " FROM " + events.from,
                           events.types);
      }
      kept->plan.run(&events.values[0].value, nullptr, false);
      if (SPI_processed != count) throw InternalError("unexpected number of events");
      for (size_t row = 0; row < count; ++row) {
        names[row].id = spi.text(row, 1);
        if (std::optional<Datum> time = spi.datum(row, 2)) names[row].time = DatumGetTimestampTz(*time);
        names[row].entity = spi.text(row, 3).value_or("");
        names[row].amount = spi.text(row, 4).value_or("");
      }
    }
    for (Names& one : names) {
      if (one.id) *one.id = event_key(*one.id);
      if (!one.entity.empty()) one.entity = event_key(one.entity);
      for (std::string* key : {one.id ? &*one.id : nullptr, &one.entity}) {
        if (key == nullptr || key->size() <= kLongestKey) continue;
        if (cut) {
          const char* text = key->c_str();
          key->resize(static_cast<size_t>(protect([&] { return pg_mbcliplen(text, static_cast<int>(std::strlen(text)), static_cast<int>(kLongestKey)); })));
          continue;
        }
        throw SqlError(ERRCODE_PROGRAM_LIMIT_EXCEEDED, std::string("the event's ") + (key == &one.entity ? "entity" : "id") + " has " +
                                                           std::to_string(key->size()) + " bytes, expected at most " +
                                                           std::to_string(kLongestKey));
      }
    }
    return names;
  }

  void compute(const std::vector<Datum>& rows, Decided* events) {
    const EventSource from = source(rows);
    std::vector<Names> names = names_of(from, rows.size(), false);
    const std::vector<float> vectors = online_features(set_, from, false);
    const size_t width = set_->features.size();
    if (vectors.size() != rows.size() * width) throw InternalError("unexpected number of feature vectors");
    for (size_t i = 0; i < rows.size(); ++i) {
      Decided& event = events[i];
      event = Decided{};
      event.names = std::move(names[i]);
      const float* vector = vectors.data() + i * width;
      event.features.assign(vector, vector + width);
      if (!scorer_) {
        event.error = kept_fault(fault_->message);
        continue;
      }
      event.score = scorer_->score(vector);
      event.decision = scorer_->decide(*event.score);
      event.model_decision = event.decision;
      if (alerts(event)) event.reasons = scorer_->reasons(event.features);
      for (Challenger& challenger : challengers_) event.shadows.push_back(challenger.scorer.score(vector));
    }
  }

  // What has no score is decided by rules alone: score and decision of the model are null to them, and so are features that
  // could not be computed.
  void apply_rules(const std::vector<Datum>& rows, std::vector<Decided>& events) {
    if (!has_rules()) return;
    std::vector<SeenEvent> seen;
    for (size_t i = 0; i < events.size(); ++i) {
      const Decided& event = events[i];
      seen.push_back({rows[i], event.names.time, event.score, &event.model_decision, event.features.empty() ? nullptr : &event.features});
    }
    std::vector<RuleOutcome> outcomes = rules_->apply(seen);
    for (size_t i = 0; i < events.size(); ++i) {
      Decided& event = events[i];
      const bool alerted = alerts(event);
      event.decision = outcomes[i].verdict.decision;
      if (!alerts(event)) {
        event.reasons.clear();
      } else {
        if (!event.score) {
          event.reasons = {kUnscored};
        } else if (!alerted) {
          event.reasons = scorer_->reasons(event.features);
        }
        const std::vector<std::string> reasons = rule_reasons(outcomes[i]);
        event.reasons.insert(event.reasons.begin(), reasons.begin(), reasons.end());
      }
      event.ruled = std::move(outcomes[i]);
    }
  }

  static std::string entity_of(const Decided& event) { return !event.names.entity.empty() ? event.names.entity : event.names.id.value_or(kUnknown); }

  static bool alerts(const Decided& event) { return event.decision == "review" || event.decision == "block"; }

  // Has an event stored as unscored, with the reason; or fails, where the stream says so.
  void note(Decided& event, const Fault& fault, const std::vector<Datum>& row) {
    event = Decided{};
    std::string what = fault.message;
    if (called_ != nullptr) {
      const EventSource from = source(row);
      std::vector<Names> names;
      std::string feature;
      // An id that cannot be told is none.
      (void)attempt([&] { names = names_of(from, 1, true); });
      if (!names.empty()) event.names = std::move(names[0]);
      // Of what fails with the event itself, and not of what no event has.
      if (set_ != nullptr && !(fault_ && &fault == &*fault_)) (void)attempt([&] { feature = failing_feature(*set_, from, false); });
      if (!feature.empty()) what = "could not compute feature \"" + feature + "\": " + what;
    }
    if (stream_.fails) {
      throw SqlError(fault.sqlstate,
                     "could not decide event \"" + event.names.id.value_or("") + "\" of stream \"" + stream_.name + "\": " + mask_card_numbers(what),
                     mask_card_numbers(fault.detail), mask_card_numbers(fault.hint));
    }
    event.error = kept_fault(what);
  }

  static std::string kept_fault(const std::string& message) { return message.empty() ? "unknown error" : mask_card_numbers(message); }

  void write(const std::vector<Decided>& events) {
    Column ids(TEXTOID), times(TIMESTAMPTZOID), entities(TEXTOID), amounts(TEXTOID), scores(FLOAT8OID), decisions(TEXTOID),
        reasons(TEXTOID), errors(TEXTOID), vectors(FLOAT4OID);
    const std::vector<size_t> none;
    const std::vector<size_t>& places = set_ != nullptr ? set_->places : none;
    const size_t width = places.empty() ? 0 : places.back() + 1;
    for (const Decided& event : events) {
      const bool scored = event.score.has_value();
      ids.add(event.names.id ? text_param(*event.names.id) : null_param());
      times.add(event.names.time ? time_param(*event.names.time) : null_param());
      entities.add(optional_text_param(event.names.entity));
      amounts.add(optional_text_param(event.names.amount));
      scores.add(score_param(event.score));
      decisions.add(optional_text_param(event.decision));
      reasons.add(event.reasons.empty() ? null_param() : text_param(json_strings(event.reasons)));
      errors.add(optional_text_param(event.error));
      size_t feature = 0;
      for (size_t place = 0; place < width; ++place) {
        const bool there = scored && places[feature] == place;
        vectors.add({Float4GetDatum(there ? event.features[feature] : std::numeric_limits<float>::quiet_NaN())});
        if (places[feature] == place) ++feature;
      }
    }
    const uint64_t written = spi_.run(
        insert_decisions,
        {text_param(stream_.name), scorer_ ? text_param(scorer_->model().model) : null_param(),
         scorer_ ? int4_param(scorer_->model().version) : null_param(), ids.array(), times.array(), entities.array(), amounts.array(),
         scores.array(), decisions.array(), reasons.array(), errors.array(), vectors.array(), int8_param(static_cast<int64_t>(width))});
    if (written != events.size()) throw InternalError("unexpected number of decisions");
    std::vector<int64_t> numbers;
    for (uint64_t row = 0; row < written; ++row) numbers.push_back(*spi_.integer(row, 1));
    write_shadow_scores(events, numbers);
    std::vector<StreamRules::Matched> matched;
    for (size_t i = 0; i < events.size(); ++i) {
      const Decided& event = events[i];
      if (!event.ruled && !alerts(event)) continue;
      StreamRules::Matched as_matched{numbers[i], event.names.id, event.names.time, event.ruled ? &*event.ruled : nullptr, event.model_decision, event.decision};
      if (alerts(event) && !is_snoozed(spi_, stream_.name, entity_of(event), as_matched, event.score)) raise_alert(event, numbers[i]);
      if (event.ruled) matched.push_back(std::move(as_matched));
    }
    if (has_rules()) rules_->write(spi_, matched);
  }

  void write_shadow_scores(const std::vector<Decided>& events, const std::vector<int64_t>& numbers) {
    Column decisions(INT8OID), versions(INT4OID), aliases(TEXTOID), scores(FLOAT8OID);
    for (size_t i = 0; i < events.size(); ++i) {
      for (size_t c = 0; c < events[i].shadows.size(); ++c) {
        decisions.add(int8_param(numbers[i]));
        versions.add(int4_param(challengers_[c].scorer.model().version));
        aliases.add(text_param(challengers_[c].alias));
        scores.add(float8_param(static_cast<double>(events[i].shadows[c])));
      }
    }
    if (decisions.size() == 0) return;
    spi_.run(insert_shadow_scores,
             {text_param(stream_.name), decisions.array(), versions.array(), aliases.array(), scores.array()});
  }

  // Raises the alert of one event: its row, its place in a case, its message in the outbox.
  void raise_alert(const Decided& event, int64_t number) {
    const Names& names = event.names;
    const std::string entity = entity_of(event);
    const std::vector<std::string> rules = event.ruled ? rule_names(*event.ruled) : std::vector<std::string>();
    spi_.run(insert_alert,
             {text_param(stream_.name), text_param(entity), int8_param(number), names.id ? text_param(*names.id) : null_param(),
              names.time ? time_param(*names.time) : null_param(), score_param(event.score), text_param(event.decision),
              scorer_ ? text_param(scorer_->model().model) : null_param(), scorer_ ? int4_param(scorer_->model().version) : null_param(), text_param(json_strings(event.reasons)), optional_text_param(names.amount),
              float8_param(guc_alert_window_s * 1e6), text_array(rules)});
    JsonObject message;
    message.add("alert_id", *spi_.integer(0, 1));
    message.add("case_id", *spi_.integer(0, 2));
    message.add("case_alerts", *spi_.integer(0, 3));
    message.add("escalated", DatumGetBool(*spi_.datum(0, 4)));
    message.add("stream", stream_.name);
    names.id ? message.add("event_id", *names.id) : message.add_null("event_id");
    message.add("entity", entity);
    names.time ? message.add("occurred_at", message_time(*names.time)) : message.add_null("occurred_at");
    // Null where there is none, or where JSON has no such number.
    names.amount.empty() ? message.add_null("amount") : message.add("amount", std::strtod(names.amount.c_str(), nullptr));
    event.score ? message.add("score", static_cast<double>(*event.score)) : message.add_null("score");
    message.add("decision", event.decision);
    scorer_ ? message.add("model", scorer_->model().name()) : message.add_null("model");
    message.add("reasons", event.reasons);
    if (!rules.empty()) message.add("rules", rules);
    const std::string text = message.text();
    spi_.run(insert_outbox, {text_param(text)});
    protect([] { wake_at_commit(WorkerKind::kNotify); });
  }

  Spi& spi_;
  Stream stream_;
  Oid row_type_ = InvalidOid, array_type_ = InvalidOid;
  std::string row_name_;
  std::shared_ptr<const FeatureSet> set_;     // null: it cannot be computed
  std::shared_ptr<const FeatureSet> called_;  // what says how events are called; null: nothing does
  std::optional<SetScorer> scorer_;
  std::vector<Challenger> challengers_;
  std::optional<StreamRules> rules_;
  std::optional<Fault> fault_;  // of set or model: no event can be scored
};

// Gives the rows of a transition table, some at a time, to `use`.
template <typename Use>
void for_each_part(Relation table, Tuplestorestate* rows, Use&& use) {
  TupleTableSlot* slot = nullptr;
  MemoryContext context = nullptr;
  int pointer = 0;
  protect([&] {
    slot = MakeSingleTupleTableSlot(RelationGetDescr(table), &TTSOpsMinimalTuple);
    context = AllocSetContextCreate(CurrentMemoryContext, "fraud_detect stream", ALLOCSET_DEFAULT_SIZES);
    pointer = tuplestore_alloc_read_pointer(rows, EXEC_FLAG_REWIND);
    tuplestore_select_read_pointer(rows, pointer);
    tuplestore_rescan(rows);
  });
  const auto most = static_cast<size_t>(guc_ingest_batch_size);
  for (bool more = true; more;) {
    std::vector<Datum> part;
    part.reserve(most);
    size_t bytes = 0;
    MemoryContext outer = MemoryContextSwitchTo(context);
    while (part.size() < most && bytes < kMostBytes) {
      Datum row = (Datum)0;
      more = protect([&] {
        CHECK_FOR_INTERRUPTS();
        // Other triggers read the same rows by pointers of their own.
        tuplestore_select_read_pointer(rows, pointer);
        if (!tuplestore_gettupleslot(rows, true, false, slot)) return false;
        row = ExecFetchSlotHeapTupleDatum(slot);
        return true;
      });
      if (!more) break;
      part.push_back(row);
      bytes += HeapTupleHeaderGetDatumLength(DatumGetHeapTupleHeader(row));
    }
    if (!part.empty()) use(part);
    MemoryContextSwitchTo(outer);
    MemoryContextReset(context);
  }
  protect([&] {
    ExecDropSingleTupleTableSlot(slot);
    MemoryContextDelete(context);
  });
}

}  // namespace

}  // namespace fraud::pg

using namespace fraud;
using namespace fraud::pg;

FRAUD_FUNCTION(decide_events) {
  auto* data = reinterpret_cast<TriggerData*>(fcinfo->context);
  // As CALLED_AS_TRIGGER, which takes Node for Postgres's.
  if (data == nullptr || fcinfo->context->type != T_TriggerData || !TRIGGER_FIRED_AFTER(data->tg_event) || !TRIGGER_FIRED_FOR_STATEMENT(data->tg_event) ||
      !TRIGGER_FIRED_BY_INSERT(data->tg_event) || data->tg_newtable == nullptr || data->tg_trigger->tgnargs != 1) {
    throw SqlError(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED, "fraud._decide_events is the trigger that fraud.watch makes",
                   "It must be called AFTER INSERT, for each statement, with the new rows and the name of a feature set.",
                   "Drop that trigger, and call fraud.watch.");
  }
  if (tuplestore_tuple_count(data->tg_newtable) == 0) return (Datum)0;
  const std::string name = data->tg_trigger->tgargs[0];
  OwnerScope owner;
  prefer_index_scans();
  Spi spi;
  std::optional<Stream> stream = find_stream(spi, name);
  if (!stream) {
    // Such as a dump's trigger whose stream was not restored: rows of a user's are not ours to refuse.
    const char* text = name.c_str();
    protect([&] {
      ereport(WARNING, (errcode(ERRCODE_WARNING), errmsg("stream \"%s\" is not watched: the rows are not decided", text),
                        errhint("Drop the trigger, or call fraud.watch.")));
    });
    return (Datum)0;
  }
  Decider decider(spi, std::move(*stream), data->tg_relation);
  for_each_part(data->tg_relation, data->tg_newtable, [&](const std::vector<Datum>& rows) { decider.decide(rows); });
  return (Datum)0;
}
