// What rules came to, and what is kept of it.
#pragma once

#include "core/rules/verdict.h"

#include <string>
#include <vector>

#include "pg/rules/rule_set.h"
#include "pg/server/spi.h"

namespace fraud::pg {

// What an alert says of the rules: those that spoke for it, in order.
std::vector<std::string> rule_reasons(const RuleOutcome& outcome);
std::vector<std::string> rule_names(const RuleOutcome& outcome);

// Matches as columns of rows to insert: rule, version, action, enforced, decided, model_decision, decision, reason, tag, error.
class MatchColumns {
 public:
  MatchColumns();
  // Adds a row a match; the decision of the model alone, and what was decided, may be empty.
  void add(const RuleOutcome& outcome, const std::string& model_decision, const std::string& decision);
  // Appends them to a statement's parameters.
  void append_to(std::vector<SqlValue>& params) const;

 private:
  Column rules_, versions_, actions_, enforced_, decided_, models_, decisions_, reasons_, tags_, errors_;
};

// Notes rules that were found slow since this was done last, and says so in the server's log.
void note_slow_rules(Spi& spi, RuleSet& rules);

}  // namespace fraud::pg
