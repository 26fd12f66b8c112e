#include "pg/rules/rule_set.h"

#include "core/payments/mask.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <optional>
#include <tuple>

#include "pg/rules/list_lookup.h"
#include "pg/rules/time_bound.h"
#include "pg/server/boundary.h"
#include "pg/server/gucs.h"
#include "pg/server/index_lookup.h"
#include "pg/server/owner_scope.h"
#include "pg/server/spi.h"
#include "pg/server/subtransaction.h"

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
    "  l.tag, l.defined_by::text, l.snooze_id, l.snoozed_until, l.asks_lists::int FROM fraud._live_rules($1) l",
    {TEXTOID});

// Evaluations after which a rule is judged, and half of which are forgotten at each tenfold.
constexpr int64_t kJudgedAfter = 10;

// Returns the revision of the rules, or -1 where there are none. Plain Postgres code.
int64_t live_revision(Oid schema, Snapshot snapshot) {
  IndexLookup lookup;
  int64_t revision = -1;
  if (open_lookup(&lookup, schema, "rule_sets", "rule_sets_pkey", text_datum("payments"), InvalidOid, (Datum)0, snapshot) &&
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

// Until the end of its life, times are read and written as in backtests, whatever the settings of who stores the payment.
class PinnedTimes {
 public:
  PinnedTimes() : exceptions_(std::uncaught_exceptions()) {
    if (strcmp(pg_get_timezone_name(session_timezone), "UTC") == 0 && DateStyle == USE_ISO_DATES && DateOrder == DATEORDER_YMD) return;
    protect([this] {
      level_ = NewGUCNestLevel();
      (void)set_config_option("timezone", "UTC", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
      (void)set_config_option("datestyle", "ISO, YMD", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
    });
  }
  ~PinnedTimes() noexcept {
    // After an error the end of the transaction undoes it.
    if (level_ > 0 && std::uncaught_exceptions() == exceptions_) AtEOXact_GUC(false, level_);
  }
  PinnedTimes(const PinnedTimes&) = delete;
  PinnedTimes& operator=(const PinnedTimes&) = delete;

 private:
  int exceptions_, level_ = 0;
};

// Whether code of a procedural language has raised it, with whatever SQLSTATE it liked.
bool is_raised_by_code(const ErrorData* data) {
  const std::string_view file = data->filename != nullptr ? data->filename : "";
  return file == "pl_exec.c" || file == "plperl.c" || file == "plpy_elog.c" || file == "pltcl.c";
}

// What failed is about the rule, and not about the statement or the transaction.
bool is_the_rules(const ErrorData* data) {
  if (is_raised_by_code(data)) return true;
  const int category = ERRCODE_TO_CATEGORY(data->sqlerrcode);
  return category != ERRCODE_OPERATOR_INTERVENTION && category != ERRCODE_TRANSACTION_ROLLBACK && data->sqlerrcode != ERRCODE_DISK_FULL;
}

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

struct Fault {
  std::string message;
  bool took_too_long = false;
};

std::string too_long() {
  return "it took longer than fraud_detect.rule_timeout (" + std::to_string(guc_rule_timeout_ms) + " ms), and is not evaluated any more";
}

// Runs body in a subtransaction and for no longer than fraud_detect.rule_timeout; returns what failed, or nothing.
template <typename Body>
std::optional<Fault> attempt(Body&& body) {
  TimeBound bound(guc_rule_timeout_ms);
  try {
    in_subtransaction([&] {
      XactReadOnly = true;  // until the subtransaction's end: functions that it calls may say of themselves that they store something
      body();
    });
    if (bound.stop()) return Fault{too_long(), true};
    bound.pass_on();
    return std::nullopt;
  } catch (const PgError& error) {
    ErrorData* data = error.data();
    const bool was_over = bound.stop() && data->sqlerrcode == ERRCODE_QUERY_CANCELED;
    if (!was_over && !is_the_rules(data)) throw;
    bound.pass_on();
    const Fault fault{was_over ? too_long() : data->message != nullptr ? data->message : "error", was_over};
    protect([&] { FreeErrorData(data); });
    return fault;
  } catch (const SqlError& error) {
    return Fault{error.what()};
  }
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

bool RuleSet::is_current() const noexcept {
  for (const Rule& rule : rules_) {
    if (rule.planned != nullptr && !rule.planned->is_valid) return false;
    if (!rule.fault.empty() && !rule.stopped && catalog_changes_ != catalog_changes) return false;
  }
  return true;
}

void RuleSet::load(int64_t revision, bool read_only) {
  const RulesAtWork work;
  revision_ = revision;
  protect([] { watch_catalog(); });
  catalog_changes_ = catalog_changes;
  context_ = protect([] { return AllocSetContextCreate(CacheMemoryContext, "fraud_detect rules", ALLOCSET_DEFAULT_SIZES); });
  {
    InContext kept(context_);
    row_ = read_rule_row(read_only);
  }
  {
    OwnerScope owner;
    Spi spi;
    const uint64_t count = spi.run(live_rules, {text_param("payments")}, read_only);
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
  const PinnedTimes times;
  for (Group& group : groups_) compile(group);
}

void RuleSet::compile(Group& group) {
  if (group.role.empty()) {
    group.definer = fraud_owner();
  } else {
    const char* role = group.role.c_str();
    group.definer = protect([&] { return get_role_oid(role, true); });
  }
  for (size_t i = group.begin; i < group.end; ++i) {
    Rule& rule = rules_[i];
    if (!OidIsValid(group.definer)) {
      rule.fault = "its author, role \"" + group.role + "\", is gone";
      continue;
    }
    const std::optional<Fault> fault = attempt([&] {
      RestrictedScope scope(group.definer);
      const char* text = rule.expression.c_str();
      InContext kept(context_);
      protect([&] {
        ::Node* tree = condition_tree(row_, text);
        rule.planned = GetCachedExpression(tree);
        rule.state = ExecInitExpr(reinterpret_cast<Expr*>(rule.planned->expr), nullptr);
      });
    });
    if (fault) {
      rule.fault = fault->message;
      rule.state = nullptr;
      rule.stops = fault->took_too_long;
      continue;
    }
    Bitmapset* columns = protect([&] {
      Bitmapset* found = nullptr;
      pull_varattnos(rule.planned->expr, 1, &found);
      return found;
    });
    for (int column = -1; (column = bms_next_member(columns, column)) >= 0;) {
      const int attribute = column + FirstLowInvalidHeapAttributeNumber;
      if (attribute > 0) used_[static_cast<size_t>(attribute) - 1] = 1;
    }
    // A reason's places, too.
    for (size_t c = 0; c < row_.columns.size(); ++c) {
      if (rule.reason.find("{" + row_.columns[c].name + "}") != std::string::npos) used_[c] = 1;
    }
  }
  group.apart = kJudgedAfter;
  // As each by itself above, with its author's rights, since preparing an expression looks functions up.
  if (OidIsValid(group.definer)) {
    RestrictedScope scope(group.definer);
    protect([&] { put_together(group); });
  }
}

// Plain Postgres code.
void RuleSet::put_together(Group& group) {
  MemoryContext outer = MemoryContextSwitchTo(context_);
  List* targets = NIL;
  for (size_t i = group.begin; i < group.end; ++i) {
    if (rules_[i].state == nullptr) continue;
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
void RuleSet::evaluate_together(Group& group, std::vector<char>& matched) {
  if (guc_rule_time_limit_ms > 0 && group.apart > 0) {
    --group.apart;
    for (size_t i = group.begin; i < group.end; ++i) {
      if (rules_[i].state != nullptr) evaluate_one(rules_[i], matched[i]);
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
    if (rule.state == nullptr) continue;
    matched[i] = !results->tts_isnull[place] && DatumGetBool(results->tts_values[place]);
    ++place;
    rule.evaluations += 1;
    if (slow) continue;
    rule.spent_us += share;
    rule.counted += 1;
  }
}

void RuleSet::run(Group& group, std::vector<char>& matched, std::vector<std::string>& errors) {
  const std::optional<Fault> fault = group.together == nullptr ? std::nullopt : attempt([&] {
    RestrictedScope scope(group.definer);
    protect([&] { evaluate_together(group, matched); });
  });
  Rule* slowest = nullptr;
  int64_t most_us = 0;
  bool any_stops = false;
  for (size_t i = group.begin; i < group.end; ++i) {
    Rule& rule = rules_[i];
    if (rule.stopped) continue;
    if (rule.state == nullptr) {
      errors[i] = rule.fault;
    } else if (fault) {
      matched[i] = 0;
      const int64_t begun = GetCurrentTimestamp();
      const std::optional<Fault> own = attempt([&] {
        RestrictedScope scope(group.definer);
        protect([&] { evaluate_one(rule, matched[i]); });
      });
      if (own) {
        errors[i] = own->message.empty() ? "unknown error" : own->message;
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
  }
  // Together they take too long, and none alone: with the slowest of them less the next payment is nearer to the bound.
  if (fault && fault->took_too_long && !any_stops && slowest != nullptr) slowest->stops = true;
  stop_rules(group);
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
  // Once through it: a value may look like a place.
  std::string filled;
  for (size_t at = 0; at < rule.reason.size();) {
    const size_t begin = rule.reason.find('{', at), end = begin == std::string::npos ? begin : rule.reason.find('}', begin);
    if (end == std::string::npos) {
      filled.append(rule.reason, at);
      break;
    }
    filled.append(rule.reason, at, begin - at);
    const std::string_view name = std::string_view(rule.reason).substr(begin + 1, end - begin - 1);
    const auto column = std::find_if(row_.columns.begin(), row_.columns.end(), [name](const RuleColumn& known) { return known.name == name; });
    if (column == row_.columns.end()) {
      filled += '{';
      at = begin + 1;
      continue;
    }
    filled += shown_value(static_cast<size_t>(column - row_.columns.begin()));
    at = end + 1;
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

RuleOutcome RuleSet::evaluate(const std::vector<Datum>& values, const std::vector<char>& nulls, const std::string& decision, Snapshot snapshot) {
  const RulesAtWork work;
  std::vector<char> matched(rules_.size(), 0);
  std::vector<std::string> errors(rules_.size());
  ExecClearTuple(slot_);
  for (size_t i = 0; i < values.size(); ++i) {
    slot_->tts_values[i] = values[i];
    slot_->tts_isnull[i] = nulls[i] != 0;
  }
  ExecStoreVirtualTuple(slot_);
  {
    ListMemo memo(snapshot, asks_lists_);
    const PinnedTimes times;
    for (Group& group : groups_) run(group, matched, errors);
  }
  const TimestampTz now = GetCurrentTransactionStartTimestamp();
  RuleOutcome outcome;
  for (size_t i = 0; i < rules_.size(); ++i) {
    const Rule& rule = rules_[i];
    if ((!matched[i] && errors[i].empty()) || now < rule.valid_from || now >= rule.valid_until) continue;
    outcome.matches.push_back({&rule, errors[i].empty() ? fill_reason(rule) : std::string(), errors[i].empty() ? std::string() : kept_error(errors[i])});
  }
  protect([&] { ResetExprContext(evaluation_); });
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
  outcome.verdict = judge(decision, all);
  outcome.without_snoozed = outcome.snooze != 0 ? judge(decision, awake).decision : outcome.verdict.decision;
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

std::shared_ptr<RuleSet> find_rules(const std::string& features, bool read_only) {
  // Never destroyed: at the process's end there is no Postgres left to free it.
  static auto& kept = *new std::shared_ptr<RuleSet>;
  const Oid schema = fraud_schema();
  const int64_t revision = protect([&] {
    if (!read_only) CommandCounterIncrement();
    Snapshot snapshot = RegisterSnapshot(read_only ? GetActiveSnapshot() : GetTransactionSnapshot());
    const int64_t found = live_revision(schema, snapshot);
    UnregisterSnapshot(snapshot);
    return found;
  });
  if (revision < 0) return nullptr;
  // Else what is at work now might be let go of.
  if (rules_at_work) const RulesAtWork refused;
  if (kept != nullptr && !notes_are_gone && kept->revision_ == revision && kept->features_ == features && kept->is_current()) return kept;
  std::shared_ptr<RuleSet> fresh(new RuleSet);
  fresh->features_ = features;
  fresh->load(revision, read_only);
  notes_are_gone = false;
  kept = fresh;
  return fresh;
}

}  // namespace fraud::pg
