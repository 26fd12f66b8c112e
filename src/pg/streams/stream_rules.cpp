#include "pg/streams/stream_rules.h"

#include "pg/server/boundary.h"

extern "C" {
#include "access/htup_details.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"
}

namespace fraud::pg {

namespace {

SqlValue id_param(const std::optional<std::string>& id) { return id ? text_param(*id) : null_param(); }
SqlValue event_time_param(const std::optional<TimestampTz>& time) { return time ? time_param(*time) : null_param(); }

Statement insert_matches(
    "INSERT INTO fraud.stream_rule_matches (stream, decision_id, event_id, event_time, rule, version, action, enforced, decided,"
    "  model_decision, decision, reason, tag, error)"
    " SELECT $1, n.* FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) n(decision_id, event_id, event_time, rule, version,"
    "  action, enforced, decided, model_decision, decision, reason, tag, error)",
    {TEXTOID, INT8ARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID, TEXTARRAYOID, INT4ARRAYOID, TEXTARRAYOID, BOOLARRAYOID, BOOLARRAYOID,
     TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID});

Statement find_snooze(
    "SELECT s.snooze_id FROM fraud.snoozes s WHERE s.ended_at IS NULL AND s.until > now() AND s.kind = 'entity' AND s.stream = $1 AND s.name = $2"
    " ORDER BY s.snooze_id LIMIT 1",
    {TEXTOID, TEXTOID});

Statement insert_snoozed(
    "INSERT INTO fraud.stream_snoozed_alerts (stream, decision_id, event_id, event_time, snooze_id, score, decision)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7)",
    {TEXTOID, INT8OID, TEXTOID, TIMESTAMPTZOID, INT8OID, FLOAT8OID, TEXTOID});

}  // namespace

StreamRules::StreamRules(const std::shared_ptr<const FeatureSet>& set)
    : set_(set), rules_(find_rules(set->name, set->revision + " " + std::to_string(set->row_identity),
                                   [&set] {
                                     RuleRow row = event_row(*set);
                                     row.set = set;
                                     return row;
                                   },
                                   false)) {}

std::vector<RuleOutcome> StreamRules::apply(const std::vector<SeenEvent>& events) {
  using From = RuleColumn::From;
  const std::vector<RuleColumn>& columns = rules_->columns();
  std::vector<RuleValues> rows;
  rows.reserve(events.size());
  const Oid relation = set_->relation;
  TupleDesc shape = protect([&] { return lookup_rowtype_tupdesc_copy(get_rel_type_id(relation), -1); });
  const auto width = static_cast<size_t>(shape->natts);
  for (const SeenEvent& event : events) {
    auto* values = static_cast<Datum*>(protect([&] { return palloc(sizeof(Datum) * width); }));
    auto* nulls = static_cast<bool*>(protect([&] { return palloc(sizeof(bool) * width); }));
    protect([&] {
      HeapTupleHeader header = DatumGetHeapTupleHeader(event.row);
      HeapTupleData tuple;
      tuple.t_len = HeapTupleHeaderGetDatumLength(header);
      ItemPointerSetInvalid(&tuple.t_self);
      tuple.t_tableOid = InvalidOid;
      tuple.t_data = header;
      heap_deform_tuple(&tuple, shape, values, nulls);
    });
    RuleValues seen{std::vector<Datum>(columns.size(), (Datum)0), std::vector<char>(columns.size(), 1), *event.decision};
    for (size_t i = 0; i < columns.size(); ++i) {
      if (!rules_->uses(i)) continue;
      SqlValue value = null_param();
      switch (columns[i].from) {
        case From::kTable:
          value = {values[columns[i].place], nulls[columns[i].place]};
          break;
        case From::kFeature: {
          if (event.features == nullptr) break;
          const float feature = (*event.features)[columns[i].place];
          if (feature == feature) value = float8_param(static_cast<double>(feature));
          break;
        }
        case From::kScore:
          if (event.score) value = float8_param(static_cast<double>(*event.score));
          break;
        case From::kDecision:
          value = optional_text_param(*event.decision);
          break;
        case From::kTime:
          if (event.time) value = time_param(*event.time);
          break;
        case From::kElsewhere:
          break;
      }
      seen.values[i] = value.value;
      seen.nulls[i] = value.null;
    }
    rows.push_back(std::move(seen));
  }
  Snapshot snapshot = protect([] {
    CommandCounterIncrement();
    return RegisterSnapshot(GetTransactionSnapshot());
  });
  std::vector<RuleOutcome> outcomes = rules_->evaluate(rows, snapshot);
  protect([&] { UnregisterSnapshot(snapshot); });
  return outcomes;
}

void StreamRules::write(Spi& spi, const std::vector<Matched>& events) {
  Column numbers(INT8OID), ids(TEXTOID), times(TIMESTAMPTZOID);
  MatchColumns matches;
  for (const Matched& event : events) {
    for (size_t m = 0; m < event.outcome->matches.size(); ++m) {
      numbers.add(int8_param(event.decision_id));
      ids.add(id_param(event.event_id));
      times.add(event_time_param(event.event_time));
    }
    matches.add(*event.outcome, event.model_decision, event.decision);
  }
  if (numbers.size() > 0) {
    std::vector<SqlValue> params = {text_param(set_->name), numbers.array(), ids.array(), times.array()};
    matches.append_to(params);
    spi.run(insert_matches, params);
  }
  note_slow_rules(spi, *rules_);
}

bool is_snoozed(Spi& spi, const std::string& stream, const std::string& entity, const StreamRules::Matched& event, const std::optional<float>& score) {
  auto alerts = [](const std::string& decision) { return decision == "review" || decision == "block"; };
  std::optional<int64_t> snooze;
  if (event.outcome != nullptr && event.outcome->snooze != 0 && !alerts(event.outcome->without_snoozed)) snooze = event.outcome->snooze;
  if (!snooze && spi.run(find_snooze, {text_param(stream), text_param(entity)}) > 0) snooze = spi.integer(0, 1);
  if (!snooze) return false;
  spi.run(insert_snoozed, {text_param(stream), int8_param(event.decision_id), id_param(event.event_id), event_time_param(event.event_time), int8_param(*snooze),
                           score ? float8_param(static_cast<double>(*score)) : null_param(), text_param(event.decision)});
  return true;
}

}  // namespace fraud::pg
