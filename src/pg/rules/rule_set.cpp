#include "pg/rules/rule_set.h"

#include "core/base/json.h"
#include "core/features/reason_template.h"
#include "core/payments/mask.h"
#include "core/rules/rule_reason.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <functional>
#include <map>
#include <optional>
#include <tuple>

#include "pg/rules/list_lookup.h"
#include "pg/rules/rule_attempt.h"
#include "pg/server/boundary.h"
#include "pg/server/gucs.h"
#include "pg/server/index_lookup.h"
#include "pg/server/owner_scope.h"
#include "pg/server/pinned_settings.h"
#include "pg/server/spi.h"

extern "C" {
#include "access/xact.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "pgtime.h"
#include "portability/instr_time.h"
#include "utils/inval.h"
#include "utils/plancache.h"
}

namespace fraud::pg {

namespace {

Statement live_rules(
    "SELECT l.rule, l.version, l.expression, l.action, l.reason, l.priority, l.on_error, l.enforced::int, l.valid_from, l.valid_until,"
    "  l.tag, l.defined_by::text, l.snooze_id, l.snoozed_until, l.asks_lists::int, array_to_json(l.features)::text, array_to_json(l.foreign_names)::text FROM fraud._live_rules($1) l",
    {TEXTOID});

// Evaluations after which a rule is judged, and half of which are forgotten at each tenfold.
constexpr int64_t kJudgedAfter = 10;

// Rows of which the rules of an author are evaluated in one go: so few that those which are just not slow take less than
// fraud_detect.rule_timeout together.
constexpr size_t kBlock = 64;

// Returns the revision of the rules, or -1 where there are none. Plain Postgres code.
int64_t live_revision(Oid schema, std::string_view stream, Snapshot snapshot) {
  IndexLookup lookup;
  int64_t revision = -1;
  if (open_lookup(&lookup, schema, "rule_sets", "rule_sets_pkey", text_datum(stream), InvalidOid, (Datum)0, snapshot) &&
      DatumGetInt32(lookup_column(lookup, "live")) > 0) {
    revision = DatumGetInt64(lookup_column(lookup, "revision"));
  }
  close_lookup(&lookup);
  return revision;
}

double now_us() {
  instr_time now;
  INSTR_TIME_SET_CURRENT(now);
  return INSTR_TIME_GET_DOUBLE(now) * 1e6;
}

// Until the end of its life, memory is of the context.
class InContext {
 public:
  explicit InContext(MemoryContext context) noexcept : outer_(MemoryContextSwitchTo(context)) {}
  ~InContext() noexcept { MemoryContextSwitchTo(outer_); }
  InContext(const InContext&) = delete;
  InContext& operator=(const InContext&) = delete;

 private:
  MemoryContext outer_;
};

// Code of a rule that has its session load or evaluate rules again would do so within itself, over the same row.
bool rules_at_work = false;

class RulesAtWork {
 public:
  RulesAtWork() {
    if (rules_at_work) {
      throw SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "rules are at work already",
                     "A rule's condition has called what asks the rules.", "A condition must not assess or store payments.");
    }
    rules_at_work = true;
  }
  ~RulesAtWork() noexcept { rules_at_work = false; }
  RulesAtWork(const RulesAtWork&) = delete;
  RulesAtWork& operator=(const RulesAtWork&) = delete;
};

// Which rules were too slow is noted with the payment. Where the payment is taken back, so is that, and what this session
// has found of it: the rules are read again.
int noted_at_level = 0;  // of the transaction; 0: nothing is noted in it
bool notes_are_gone = false;

// Plain Postgres code.
void after_subtransaction(SubXactEvent event, SubTransactionId, SubTransactionId, void*) {
  const int level = GetCurrentTransactionNestLevel();
  if (noted_at_level < level || (event != SUBXACT_EVENT_ABORT_SUB && event != SUBXACT_EVENT_COMMIT_SUB)) return;
  if (event == SUBXACT_EVENT_ABORT_SUB) notes_are_gone = true;
  noted_at_level = level - 1;
}

// Plain Postgres code.
void after_transaction(XactEvent event, void*) {
  switch (event) {
    case XACT_EVENT_ABORT:
      if (noted_at_level > 0) notes_are_gone = true;
      noted_at_level = 0;
      break;
    case XACT_EVENT_COMMIT:
    case XACT_EVENT_PREPARE:
      noted_at_level = 0;
      break;
    default:
      break;
  }
}

// Rises with whatever may make a rule that could not be compiled one that can.
uint64_t catalog_changes = 0;

void note_catalog_change(Datum, int, uint32) { ++catalog_changes; }

// Plain Postgres code.
void watch_catalog() {
  static bool watches = false;
  if (watches) return;
  RegisterXactCallback(after_transaction, nullptr);
  RegisterSubXactCallback(after_subtransaction, nullptr);
  for (int cache : {PROCOID, OPEROID, NAMESPACEOID, AUTHOID, AUTHMEMROLEMEM}) CacheRegisterSyscacheCallback(cache, note_catalog_change, (Datum)0);
  watches = true;
}

// The columns of the row (varno 1) that an expression reads; 0 is the whole of it. Plain Postgres code.
Bitmapset* columns_named(::Node* expression) {
  Bitmapset *found = nullptr, *columns = nullptr;
  pull_varattnos(expression, 1, &found);
  for (int member = -1; (member = bms_next_member(found, member)) >= 0;) {
    const int attribute = member + FirstLowInvalidHeapAttributeNumber;
    if (attribute >= 0) columns = bms_add_member(columns, attribute);
  }
  return columns;
}

// Of a JSON array. It outlives the loop over it.
std::vector<std::string> texts_of(const std::string& json) {
  const Json array = Json::parse(json);
  std::vector<std::string> texts;
  for (const Json& item : array.values()) texts.push_back(item.text());
  return texts;
}

// Errors hold values of the payment.
std::string kept_error(const std::string& error) {
  std::string text = mask_card_numbers(error);
  constexpr size_t kMost = 1000;
  if (text.size() <= kMost) return text;
  const char* all = text.c_str();
  const int length = static_cast<int>(text.size());
  text.resize(static_cast<size_t>(protect([&] { return pg_mbcliplen(all, length, static_cast<int>(kMost)); })));
  return text;
}

}  // namespace

RuleSet::~RuleSet() noexcept {
  for (Rule& rule : rules_) {
    if (rule.planned != nullptr) FreeCachedExpression(rule.planned);
  }
  if (context_ != nullptr) MemoryContextDelete(context_);
}

bool RuleSet::is_current() const {
  for (const Group& group : groups_) {
    if (sees(group) != group.may_see) return false;
  }
  for (const Rule& rule : rules_) {
    if (rule.planned != nullptr && !rule.planned->is_valid) return false;
    if (!rule.fault.empty() && !rule.stopped && catalog_changes_ != catalog_changes) return false;
  }
  return true;
}

void RuleSet::load(int64_t revision, const RowMaker& make_row, bool read_only) {
  const RulesAtWork work;
  revision_ = revision;
  protect([] { watch_catalog(); });
  catalog_changes_ = catalog_changes;
  context_ = protect([] { return AllocSetContextCreate(CacheMemoryContext, "fraud_detect rules", ALLOCSET_DEFAULT_SIZES); });
  {
    InContext kept(context_);
    row_ = make_row();
  }
  {
    OwnerScope owner;
    Spi spi;
    const uint64_t count = spi.run(live_rules, {text_param(stream_)}, read_only);
    for (uint64_t i = 0; i < count; ++i) {
      Rule rule;
      rule.name = *spi.text(i, 1);
      rule.version = static_cast<int>(*spi.integer(i, 2));
      rule.expression = *spi.text(i, 3);
      rule.action = rule_action_named(*spi.text(i, 4)).value_or(RuleAction::kTag);
      rule.reason = spi.text(i, 5).value_or("");
      rule.priority = static_cast<int>(*spi.integer(i, 6));
      rule.on_error = rule_action_named(*spi.text(i, 7));
      rule.enforced = *spi.integer(i, 8) != 0;
      if (std::optional<Datum> from = spi.datum(i, 9)) rule.valid_from = DatumGetTimestampTz(*from);
      if (std::optional<Datum> until = spi.datum(i, 10)) rule.valid_until = DatumGetTimestampTz(*until);
      rule.tag = spi.text(i, 11).value_or("");
      const std::string role = spi.text(i, 12).value_or("");
      if (std::optional<int64_t> snooze = spi.integer(i, 13)) {
        rule.snooze = *snooze;
        rule.snoozed_until = DatumGetTimestampTz(*spi.datum(i, 14));
      }
      asks_lists_ = asks_lists_ || *spi.integer(i, 15) != 0;
      rule.features = texts_of(*spi.text(i, 16));
      rule.foreign = texts_of(*spi.text(i, 17));
      if (groups_.empty() || groups_.back().role != role) groups_.push_back({InvalidOid, role, rules_.size(), rules_.size()});
      rules_.push_back(std::move(rule));
      groups_.back().end = rules_.size();
    }
  }
  used_.assign(row_.columns.size(), 0);
  protect([&] {
    MemoryContext outer = MemoryContextSwitchTo(context_);
    const int count = static_cast<int>(row_.columns.size());
    TupleDesc shape = CreateTemplateTupleDesc(count);
    for (int i = 0; i < count; ++i) {
      const RuleColumn& column = row_.columns[static_cast<size_t>(i)];
      TupleDescInitEntry(shape, static_cast<AttrNumber>(i + 1), nullptr, column.type, column.modifier, 0);
      TupleDescInitEntryCollation(shape, static_cast<AttrNumber>(i + 1), column.collation);
    }
    slot_ = MakeSingleTupleTableSlot(shape, &TTSOpsVirtual);
    evaluation_ = CreateStandaloneExprContext();
    evaluation_->ecxt_scantuple = slot_;
    MemoryContextSwitchTo(outer);
  });
  for (Group& group : groups_) {
    if (group.role.empty()) {
      group.definer = fraud_owner();
    } else {
      const char* role = group.role.c_str();
      group.definer = protect([&] { return get_role_oid(role, true); });
    }
    group.may_see = sees(group);
    group.apart = kJudgedAfter;
  }
}

bool RuleSet::sees(const Group& group) const { return row_.set == nullptr || !OidIsValid(group.definer) || may_see(*row_.set, group.definer); }

// Has the rules in their time, and only those, be evaluated: what is not is not even planned.
void RuleSet::look_at_time(TimestampTz now) {
  bool any = false;
  for (const Rule& rule : rules_) any = any || rule.in_time != (now >= rule.valid_from && now < rule.valid_until);
  if (!any) return;
  const RulesAtWork work;
  const PinnedSettings settings;  // as in backtests, whatever those of who stores the payment
  for (Group& group : groups_) {
    bool changed = false;
    for (size_t i = group.begin; i < group.end; ++i) {
      Rule& rule = rules_[i];
      const bool in_time = now >= rule.valid_from && now < rule.valid_until;
      if (in_time == rule.in_time) continue;
      if (in_time && !rule.prepared) prepare(group, rule);
      rule.in_time = in_time;
      changed = true;
    }
    if (!changed) continue;
    group.any_faults = false;
    for (size_t i = group.begin; i < group.end; ++i) group.any_faults = group.any_faults || (rules_[i].in_time && !rules_[i].fault.empty());
    group.together = nullptr;
    if (!OidIsValid(group.definer)) continue;
    // As each by itself above, with its author's rights, since preparing an expression looks functions up.
    RestrictedScope scope(group.definer);
    protect([&] { put_together(group); });
  }
}

void RuleSet::prepare(const Group& group, Rule& rule) {
  rule.prepared = true;
  if (!OidIsValid(group.definer)) {
    rule.fault = "its author, role \"" + group.role + "\", is gone";
    return;
  }
  const std::optional<RuleFault> fault = attempt_rule([&] {
    RestrictedScope scope(group.definer);
    if (!group.may_see) throw SqlError(ERRCODE_INSUFFICIENT_PRIVILEGE, "its author must be able to read all rows of the table");
    const char* text = rule.expression.c_str();
    if (foreign_in(row_, text) != rule.foreign) {
      throw SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "it runs functions that it did not when it was written",
                     "A column of the table has another type, or there is a cast of it.", "fraud.alter_rule with the condition has it read anew.");
    }
    InContext kept(context_);
    protect([&] {
      ::Node* tree = condition_tree(row_, text);
      rule.planned = GetCachedExpression(tree);
      rule.state = ExecInitExpr(reinterpret_cast<Expr*>(rule.planned->expr), nullptr);
    });
    // Of what was written, too: planning may have done away with some of it.
    const std::vector<std::string> features = features_named(row_, protect([&] { return columns_named(condition_tree(row_, text)); }));
    if (features != rule.features) {
      throw SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "a name in it means something else by now: a feature or a column of the table has come or gone", {},
                     "fraud.alter_rule with the condition has it read anew.");
    }
  });
  if (fault) {
    rule.fault = fault->message.empty() ? "unknown error" : fault->message;
    rule.state = nullptr;
    rule.stops = fault->took_too_long;
    return;
  }
  Bitmapset* columns = protect([&] { return columns_named(rule.planned->expr); });
  for (int column = -1; (column = bms_next_member(columns, column)) >= 0;) {
    if (column > 0) used_[static_cast<size_t>(column) - 1] = 1;
  }
  // A reason's places, too.
  for (const std::string_view place : reason_places(rule.reason).value_or(std::vector<std::string_view>())) {
    for (size_t c = 0; c < row_.columns.size(); ++c) {
      if (row_.columns[c].name == place) used_[c] = 1;
    }
  }
}

// Plain Postgres code.
void RuleSet::put_together(Group& group) {
  MemoryContext outer = MemoryContextSwitchTo(context_);
  List* targets = NIL;
  for (size_t i = group.begin; i < group.end; ++i) {
    if (!rules_[i].runs()) continue;
    targets = lappend(targets, makeTargetEntry(reinterpret_cast<Expr*>(rules_[i].planned->expr), static_cast<AttrNumber>(list_length(targets) + 1), nullptr, false));
  }
  if (targets != NIL) {
    TupleTableSlot* results = MakeSingleTupleTableSlot(ExecTypeFromTL(targets), &TTSOpsVirtual);
    group.together = ExecBuildProjectionInfo(targets, evaluation_, results, nullptr, slot_->tts_tupleDescriptor);
  }
  MemoryContextSwitchTo(outer);
}

// Plain Postgres code.
void RuleSet::evaluate_one(Rule& rule, char& matched) {
  const double began = now_us();
  bool null = false;
  const Datum value = ExecEvalExprSwitchContext(rule.state, evaluation_, &null);
  matched = !null && DatumGetBool(value);
  rule.spent_us += now_us() - began;
  rule.counted += 1;
  rule.evaluations += 1;
}

// Of rules that together take less than one of them may take, each is said to have taken the same. Else which one it
// was is found out by timing them apart for a while. Plain Postgres code.
void RuleSet::evaluate_together(Group& group, char* matched) {
  if (guc_rule_time_limit_ms > 0 && group.apart > 0) {
    --group.apart;
    for (size_t i = group.begin; i < group.end; ++i) {
      if (rules_[i].runs()) evaluate_one(rules_[i], matched[i]);
    }
    return;
  }
  const double began = now_us();
  const TupleTableSlot* results = ExecProject(group.together);
  const double spent = now_us() - began;
  const bool slow = guc_rule_time_limit_ms > 0 && spent > guc_rule_time_limit_ms * 1000;
  if (slow) group.apart = 10 * kJudgedAfter;
  const double share = spent / results->tts_nvalid;
  int place = 0;
  for (size_t i = group.begin; i < group.end; ++i) {
    Rule& rule = rules_[i];
    if (!rule.runs()) continue;
    matched[i] = !results->tts_isnull[place] && DatumGetBool(results->tts_values[place]);
    ++place;
    rule.evaluations += 1;
    if (slow) continue;
    rule.spent_us += share;
    rule.counted += 1;
  }
}

// Puts a row where conditions look. Plain Postgres code.
void RuleSet::show(const RuleValues& row) {
  if (shown_ == &row) return;
  shown_ = &row;
  ListMemo::forget();
  ExecClearTuple(slot_);
  for (size_t i = 0; i < row.values.size(); ++i) {
    slot_->tts_values[i] = row.values[i];
    slot_->tts_isnull[i] = row.nulls[i] != 0;
  }
  ExecStoreVirtualTuple(slot_);
}

// Evaluates an author's rules over some rows in one go, and only where one of them fails row by row.
void RuleSet::run(Group& group, const std::vector<RuleValues>& rows, size_t begin, size_t end, Found& found) {
  auto evaluate = [&](size_t from, size_t to) -> std::optional<RuleFault> {
    if (group.together == nullptr) return std::nullopt;
    return attempt_rule([&] {
      RestrictedScope scope(group.definer);
      protect([&] {
        for (size_t row = from; row < to; ++row) {
          show(rows[row]);
          evaluate_together(group, &found.matched[row * rules_.size()]);
          ResetExprContext(evaluation_);
        }
      });
    });
  };
  const bool failed = evaluate(begin, end).has_value();
  for (size_t row = begin; row < end; ++row) {
    if (!failed && !group.any_faults) continue;
    if (found.errors[row].empty()) found.errors[row].resize(rules_.size());
    for (size_t i = group.begin; i < group.end; ++i) {
      if (rules_[i].in_time && rules_[i].state == nullptr && !rules_[i].stopped) found.errors[row][i] = rules_[i].fault;
    }
    if (!failed) continue;
    // What has matched before it failed may have been of others' rows.
    std::fill_n(found.matched.begin() + static_cast<std::ptrdiff_t>(row * rules_.size() + group.begin), group.end - group.begin, 0);
    protect([&] { show(rows[row]); });
    const std::optional<RuleFault> fault = evaluate(row, row + 1);
    if (!fault) continue;
    Rule* slowest = run_apart(group, row, found);
    // Together they take too long, and none alone: with the slowest of them less the next payment is nearer to the bound.
    if (fault->took_too_long && slowest != nullptr) slowest->stops = true;
    stop_rules(group);
  }
  stop_rules(group);
}

// Evaluates each rule over the row that is shown by itself. Returns the slowest, if none takes too long.
Rule* RuleSet::run_apart(Group& group, size_t row, Found& found) {
  Rule* slowest = nullptr;
  int64_t most_us = 0;
  bool any_stops = false;
  char* matched = &found.matched[row * rules_.size()];
  for (size_t i = group.begin; i < group.end; ++i) {
    Rule& rule = rules_[i];
    matched[i] = 0;
    if (!rule.runs()) continue;
    const int64_t begun = GetCurrentTimestamp();
    const std::optional<RuleFault> own = attempt_rule([&] {
      RestrictedScope scope(group.definer);
      protect([&] { evaluate_one(rule, matched[i]); });
    });
    if (own) {
      found.errors[row][i] = own->message.empty() ? "unknown error" : own->message;
      matched[i] = 0;
      rule.stops = own->took_too_long;
      any_stops = any_stops || rule.stops;
    }
    const int64_t took_us = GetCurrentTimestamp() - begun;
    if (took_us > most_us) {
      most_us = took_us;
      slowest = &rule;
    }
  }
  return any_stops ? nullptr : slowest;
}

// Rules that took too long are not evaluated again.
void RuleSet::stop_rules(Group& group) {
  bool any = false;
  for (size_t i = group.begin; i < group.end; ++i) {
    Rule& rule = rules_[i];
    if (!rule.stops || rule.stopped) continue;
    rule.stopped = true;
    rule.state = nullptr;
    any = true;
  }
  if (!any || group.together == nullptr) return;
  group.together = nullptr;
  RestrictedScope scope(group.definer);
  protect([&] { put_together(group); });
}

std::string RuleSet::fill_reason(const Rule& rule) {
  if (rule.reason.empty()) return "rule " + rule.name;
  const auto parts = template_parts(rule.reason);
  if (!parts) return mask_card_numbers(rule.reason);
  // Once through it: a value may look like a place.
  std::string filled;
  for (const TemplatePart& part : *parts) {
    const auto column = std::find_if(row_.columns.begin(), row_.columns.end(), [&part](const RuleColumn& known) { return part.is_place && known.name == part.text; });
    if (column != row_.columns.end()) {
      filled += shown_value(static_cast<size_t>(column - row_.columns.begin()));
    } else {
      filled.append(part.is_place ? "{" : "").append(part.text).append(part.is_place ? "}" : "");
    }
  }
  return mask_card_numbers(filled);
}

std::string RuleSet::shown_value(size_t column) {
  if (slot_->tts_isnull[column]) return "unknown";
  const Oid type = row_.columns[column].type;
  const Datum datum = slot_->tts_values[column];
  const char* text = protect([&] {
    Oid output = InvalidOid;
    bool varlena = false;
    getTypeOutputInfo(type, &output, &varlena);
    return OidOutputFunctionCall(output, datum);
  });
  std::string value = text;
  constexpr size_t kMost = 200;
  if (value.size() > kMost) {
    value.resize(static_cast<size_t>(protect([&] { return pg_mbcliplen(text, static_cast<int>(strlen(text)), static_cast<int>(kMost)); })));
  }
  return value;
}

std::vector<RuleOutcome> RuleSet::evaluate(const std::vector<RuleValues>& rows, Snapshot snapshot) {
  const RulesAtWork work;
  Found found{std::vector<char>(rows.size() * rules_.size(), 0), std::vector<std::vector<std::string>>(rows.size())};
  shown_ = nullptr;
  {
    ListMemo memo(snapshot, asks_lists_);
    const PinnedSettings settings;  // as in backtests, whatever those of who stores the payment
    for (size_t begin = 0; begin < rows.size(); begin += kBlock) {
      const size_t end = std::min(rows.size(), begin + kBlock);
      for (Group& group : groups_) run(group, rows, begin, end, found);
    }
  }
  std::vector<RuleOutcome> outcomes;
  outcomes.reserve(rows.size());
  for (size_t row = 0; row < rows.size(); ++row) outcomes.push_back(judged(rows[row], &found.matched[row * rules_.size()], found.errors[row]));
  protect([&] {
    ExecClearTuple(slot_);
    ResetExprContext(evaluation_);
  });
  shown_ = nullptr;
  return outcomes;
}

// What the rules that matched a row, or failed on it, come to.
RuleOutcome RuleSet::judged(const RuleValues& row, const char* matched, const std::vector<std::string>& errors) {
  const TimestampTz now = GetCurrentTransactionStartTimestamp();
  RuleOutcome outcome;
  for (size_t i = 0; i < rules_.size(); ++i) {
    const bool failed = !errors.empty() && !errors[i].empty();
    if (!matched[i] && !failed) continue;
    protect([&] { show(row); });
    outcome.matches.push_back({&rules_[i], failed ? std::string() : fill_reason(rules_[i]), failed ? kept_error(errors[i]) : std::string()});
  }
  std::stable_sort(outcome.matches.begin(), outcome.matches.end(), [](const RuleMatch& a, const RuleMatch& b) {
    return std::tie(a.rule->priority, a.rule->name) < std::tie(b.rule->priority, b.rule->name);
  });
  std::vector<RuleAction> all, awake;
  for (const RuleMatch& match : outcome.matches) {
    // What decides nothing has no say, but keeps its place.
    RuleAction action = match.rule->enforced ? match.rule->action : RuleAction::kTag;
    if (!match.error.empty()) action = match.rule->enforced ? match.rule->on_error.value_or(RuleAction::kTag) : RuleAction::kTag;
    all.push_back(action);
    const bool snoozed = match.rule->snooze != 0 && now < match.rule->snoozed_until;
    awake.push_back(snoozed ? RuleAction::kTag : action);
    if (snoozed && outcome.snooze == 0) outcome.snooze = match.rule->snooze;
  }
  outcome.verdict = judge(row.decision, all);
  outcome.without_snoozed = outcome.snooze != 0 ? judge(row.decision, awake).decision : outcome.verdict.decision;
  return outcome;
}

std::vector<RuleSet::Slow> RuleSet::take_slow() {
  std::vector<Slow> slow;
  for (Rule& rule : rules_) {
    if (!rule.stops) continue;
    rule.stops = false;
    slow.push_back({rule.name, rule.version, static_cast<double>(guc_rule_timeout_ms), rule.evaluations + 1, true});
  }
  for (Rule& rule : rules_) {
    if (guc_rule_time_limit_ms <= 0) break;
    if (rule.counted < kJudgedAfter) continue;
    const double mean_ms = rule.spent_us / static_cast<double>(rule.counted) / 1000;
    if (rule.enforced && mean_ms > guc_rule_time_limit_ms) {
      rule.enforced = false;
      slow.push_back({rule.name, rule.version, mean_ms, rule.evaluations, false});
    }
    if (rule.counted >= 10 * kJudgedAfter) {
      rule.counted /= 2;
      rule.spent_us /= 2;
    }
  }
  if (!slow.empty()) noted_at_level = GetCurrentTransactionNestLevel();
  return slow;
}

std::shared_ptr<RuleSet> find_rules(std::string_view stream, const std::string& revision, const RowMaker& make_row, bool read_only) {
  // Never destroyed: at the process's end there is no Postgres left to free it.
  static auto& all_kept = *new std::map<std::string, std::shared_ptr<RuleSet>, std::less<>>;
  const Oid schema = fraud_schema();
  const int64_t live = protect([&] {
    if (!read_only) CommandCounterIncrement();
    Snapshot snapshot = RegisterSnapshot(read_only ? GetActiveSnapshot() : GetTransactionSnapshot());
    const int64_t found = live_revision(schema, stream, snapshot);
    UnregisterSnapshot(snapshot);
    return found;
  });
  if (live < 0) return nullptr;
  // Else what is at work now might be let go of.
  if (rules_at_work) const RulesAtWork refused;
  if (notes_are_gone) all_kept.clear();
  notes_are_gone = false;
  const auto known = all_kept.find(stream);
  std::shared_ptr<RuleSet> rules = known != all_kept.end() ? known->second : nullptr;
  if (rules == nullptr || rules->revision_ != live || rules->row_revision_ != revision || !rules->is_current()) {
    rules.reset(new RuleSet);
    rules->stream_ = std::string(stream);
    rules->row_revision_ = revision;
    rules->load(live, make_row, read_only);
    all_kept[rules->stream_] = rules;
  }
  rules->look_at_time(GetCurrentTransactionStartTimestamp());
  for (const Rule& rule : rules->rules_) {
    if (rule.in_time) return rules;
  }
  return nullptr;
}

}  // namespace fraud::pg
