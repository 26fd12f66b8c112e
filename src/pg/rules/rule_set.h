// The rules that payments meet, ready to be evaluated: read, parsed and planned once a session, for as long as
// fraud.rule_sets has the same revision.
#pragma once

#include "core/rules/verdict.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pg/rules/rule_condition.h"
#include "pg/server/server.h"

extern "C" {
#include "executor/executor.h"
}

namespace fraud::pg {

struct Rule {
  std::string name, reason, tag;
  int version = 0;
  RuleAction action = RuleAction::kTag;
  std::optional<RuleAction> on_error;
  int priority = 0;
  bool enforced = false;
  TimestampTz valid_from = DT_NOBEGIN, valid_until = DT_NOEND;
  int64_t snooze = 0;  // 0: none
  TimestampTz snoozed_until = DT_NOBEGIN;
  std::string expression;
  std::string fault;  // why it cannot be evaluated at all
  CachedExpression* planned = nullptr;
  ExprState* state = nullptr;
  bool stops = false;    // it took longer than it may, which is still to be noted
  bool stopped = false;  // and so it is not evaluated any more
  // How long it took of late.
  int64_t evaluations = 0, counted = 0;
  double spent_us = 0;
};

// A rule that matched a payment, or failed on it.
struct RuleMatch {
  const Rule* rule = nullptr;
  std::string reason, error;
};

// What the rules came to.
struct RuleOutcome {
  std::vector<RuleMatch> matches;
  Verdict verdict;              // decided_by is an index into `matches`
  std::string without_snoozed;  // the decision without the rules that are snoozed
  int64_t snooze = 0;           // of a rule that is snoozed
};

class RuleSet {
 public:
  ~RuleSet() noexcept;
  RuleSet(const RuleSet&) = delete;
  RuleSet& operator=(const RuleSet&) = delete;

  const std::vector<RuleColumn>& columns() const noexcept { return row_.columns; }
  // Whether a rule reads the column, so that somebody must give it.
  bool uses(size_t column) const noexcept { return used_[column] != 0; }

  // Evaluates all rules over the row's values, as of the snapshot. A condition that fails is a match with an error.
  RuleOutcome evaluate(const std::vector<Datum>& values, const std::vector<char>& nulls, const std::string& decision, Snapshot snapshot);

  // Enforced rules that have been found slow since this was called last, which are observed from then on, and those of
  // any kind that took so long once that they are not evaluated any more.
  struct Slow {
    std::string name;
    int version;
    double mean_ms;
    int64_t evaluations;
    bool stopped;
  };
  std::vector<Slow> take_slow();

 private:
  friend std::shared_ptr<RuleSet> find_rules(const std::string& features, bool read_only);
  RuleSet() = default;
  struct Group {
    Oid definer = InvalidOid;
    std::string role;  // empty: the extension's owner
    size_t begin = 0, end = 0;
    ProjectionInfo* together = nullptr;  // those that have a state, in one go
    int64_t apart = 0;                   // evaluations that are still to be timed rule by rule
  };
  void load(int64_t revision, bool read_only);
  void compile(Group& group);
  void put_together(Group& group);
  void stop_rules(Group& group);
  void run(Group& group, std::vector<char>& matched, std::vector<std::string>& errors);
  void evaluate_together(Group& group, std::vector<char>& matched);
  void evaluate_one(Rule& rule, char& matched);
  bool is_current() const noexcept;
  std::string fill_reason(const Rule& rule);
  std::string shown_value(size_t column);

  int64_t revision_ = -1;
  uint64_t catalog_changes_ = 0;  // that had been noticed when it was loaded
  std::string features_;          // revision of the feature set
  MemoryContext context_ = nullptr;
  RuleRow row_;
  bool asks_lists_ = false;
  std::vector<char> used_;
  std::vector<Rule> rules_;
  std::vector<Group> groups_;
  TupleTableSlot* slot_ = nullptr;
  ExprContext* evaluation_ = nullptr;
};

// Returns the rules of payments, as the active snapshot (read_only) or the transaction sees them; null where there
// are none, which costs a look-up of one row. `features` is the revision of the feature set, which changes with the row's columns.
std::shared_ptr<RuleSet> find_rules(const std::string& features, bool read_only);

}  // namespace fraud::pg
