// The rules that payments, or the events of a stream, meet, ready to be evaluated: read, parsed and planned once a session,
// for as long as fraud.rule_sets has the same revision.
#pragma once

#include "core/rules/verdict.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
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
  std::vector<std::string> features;  // that it named when it was written
  std::vector<std::string> foreign;   // functions and types that it had then
  std::string fault;  // why it cannot be evaluated at all
  bool in_time = false;   // between valid_from and valid_until; else it is as if it were not there
  bool prepared = false;  // planned, or found at fault
  CachedExpression* planned = nullptr;
  ExprState* state = nullptr;
  bool stops = false;    // it took longer than it may, which is still to be noted
  bool stopped = false;  // and so it is not evaluated any more
  bool runs() const noexcept { return in_time && state != nullptr; }
  // How long it took of late.
  int64_t evaluations = 0, counted = 0;
  double spent_us = 0;
};

// A rule that matched a payment, or failed on it.
struct RuleMatch {
  const Rule* rule = nullptr;
  std::string reason, error;
};

// What conditions see of one payment or event, by the row's columns, and what the model alone decides of it.
struct RuleValues {
  std::vector<Datum> values;
  std::vector<char> nulls;
  std::string decision;
};

// What the rules came to.
struct RuleOutcome {
  std::vector<RuleMatch> matches;
  Verdict verdict;              // decided_by is an index into `matches`
  std::string without_snoozed;  // the decision without the rules that are snoozed
  int64_t snooze = 0;           // of a rule that is snoozed
};

using RowMaker = std::function<RuleRow()>;

class RuleSet {
 public:
  ~RuleSet() noexcept;
  RuleSet(const RuleSet&) = delete;
  RuleSet& operator=(const RuleSet&) = delete;

  const std::vector<RuleColumn>& columns() const noexcept { return row_.columns; }
  // Whether a rule reads the column, so that somebody must give it.
  bool uses(size_t column) const noexcept { return used_[column] != 0; }

  const std::string& stream() const noexcept { return stream_; }
  bool of_payments() const noexcept { return stream_ == kPayments; }

  // Evaluates all rules over each of the rows, as of the snapshot. A condition that fails is a match with an error.
  std::vector<RuleOutcome> evaluate(const std::vector<RuleValues>& rows, Snapshot snapshot);

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
  friend std::shared_ptr<RuleSet> find_rules(std::string_view stream, const std::string& revision, const RowMaker& make_row, bool read_only);
  RuleSet() = default;
  struct Group {
    Oid definer = InvalidOid;
    std::string role;  // empty: the extension's owner
    size_t begin = 0, end = 0;
    ProjectionInfo* together = nullptr;  // those that run, in one go
    bool may_see = true;                 // the definer, what the row shows of a stream
    bool any_faults = false;             // a rule in time cannot be evaluated
    int64_t apart = 0;                   // evaluations that are still to be timed rule by rule
  };
  // Of the rows that are evaluated.
  struct Found {
    std::vector<char> matched;                     // rows x rules
    std::vector<std::vector<std::string>> errors;  // of each row: none, or of each rule
  };
  void load(int64_t revision, const RowMaker& make_row, bool read_only);
  void prepare(const Group& group, Rule& rule);
  void look_at_time(TimestampTz now);
  void put_together(Group& group);
  void stop_rules(Group& group);
  void show(const RuleValues& row);
  void run(Group& group, const std::vector<RuleValues>& rows, size_t begin, size_t end, Found& found);
  Rule* run_apart(Group& group, size_t row, Found& found);
  void evaluate_together(Group& group, char* matched);
  void evaluate_one(Rule& rule, char& matched);
  RuleOutcome judged(const RuleValues& row, const char* matched, const std::vector<std::string>& errors);
  bool is_current() const;
  bool sees(const Group& group) const;
  std::string fill_reason(const Rule& rule);
  std::string shown_value(size_t column);

  std::string stream_;
  int64_t revision_ = -1;
  uint64_t catalog_changes_ = 0;  // that had been noticed when it was loaded
  std::string row_revision_;
  MemoryContext context_ = nullptr;
  RuleRow row_;
  bool asks_lists_ = false;
  std::vector<char> used_;
  std::vector<Rule> rules_;
  std::vector<Group> groups_;
  TupleTableSlot* slot_ = nullptr;
  const RuleValues* shown_ = nullptr;  // in the slot
  ExprContext* evaluation_ = nullptr;
};

// Returns the rules of a stream (kPayments: of payments) that are in their time, as the active snapshot (read_only) or the
// transaction sees them; null where there are none, which costs a look-up of one row. `revision` changes with the row,
// which is made where they are read anew.
std::shared_ptr<RuleSet> find_rules(std::string_view stream, const std::string& revision, const RowMaker& make_row, bool read_only);

}  // namespace fraud::pg
