#include "pg/rules/rule_outcome.h"

#include "pg/server/boundary.h"

namespace fraud::pg {

namespace {

// Two sessions may note the same.
Statement insert_slow(
    "INSERT INTO fraud.slow_rules (rule, version, mean_ms, evaluations, stopped) SELECT $1, $2, $3, $4, $5"
    " WHERE NOT EXISTS (SELECT FROM fraud.slow_rules s JOIN fraud.rules r USING (rule)"
    "  WHERE s.rule = $1 AND s.version = $2 AND s.noticed_at > r.changed_at AND s.stopped >= $5)",
    {TEXTOID, INT4OID, FLOAT8OID, INT8OID, BOOLOID});

}  // namespace

std::vector<std::string> rule_reasons(const RuleOutcome& outcome) {
  std::vector<std::string> reasons;
  for (const RuleMatch& match : outcome.matches) {
    const RuleAction action = match.rule->action;
    if (match.rule->enforced && match.error.empty() && action != RuleAction::kTag && action != RuleAction::kLower) reasons.push_back(match.reason);
  }
  return reasons;
}

std::vector<std::string> rule_names(const RuleOutcome& outcome) {
  std::vector<std::string> names;
  for (const RuleMatch& match : outcome.matches) {
    if (match.rule->enforced && match.error.empty()) names.push_back(match.rule->name);
  }
  return names;
}

MatchColumns::MatchColumns()
    : rules_(TEXTOID), versions_(INT4OID), actions_(TEXTOID), enforced_(BOOLOID), decided_(BOOLOID), models_(TEXTOID), decisions_(TEXTOID),
      reasons_(TEXTOID), tags_(TEXTOID), errors_(TEXTOID) {}

void MatchColumns::add(const RuleOutcome& outcome, const std::string& model_decision, const std::string& decision) {
  for (size_t m = 0; m < outcome.matches.size(); ++m) {
    const RuleMatch& match = outcome.matches[m];
    rules_.add(text_param(match.rule->name));
    versions_.add(int4_param(match.rule->version));
    actions_.add(text_param(rule_action_name(match.rule->action)));
    enforced_.add(bool_param(match.rule->enforced));
    decided_.add(bool_param(outcome.verdict.decided_by == static_cast<int>(m)));
    models_.add(optional_text_param(model_decision));
    decisions_.add(optional_text_param(decision));
    reasons_.add(optional_text_param(match.reason));
    tags_.add(optional_text_param(match.rule->tag));
    errors_.add(optional_text_param(match.error));
  }
}

void MatchColumns::append_to(std::vector<SqlValue>& params) const {
  for (const Column* column : {&rules_, &versions_, &actions_, &enforced_, &decided_, &models_, &decisions_, &reasons_, &tags_, &errors_}) {
    params.push_back(column->array());
  }
}

void note_slow_rules(Spi& spi, RuleSet& rules) {
  const char* what = rules.of_payments() ? "a payment" : "an event";
  for (const RuleSet::Slow& slow : rules.take_slow()) {
    spi.run(insert_slow, {text_param(slow.name), int4_param(slow.version), float8_param(slow.mean_ms), int8_param(slow.evaluations), bool_param(slow.stopped)});
    const char* name = slow.name.c_str();
    const double mean = slow.mean_ms;
    protect([&] {
      if (slow.stopped) {
        ereport(LOG, (errmsg("rule \"%s\" took more than %.0f ms of %s and is not evaluated any more", name, mean, what),
                      errhint("Make its condition cheaper with fraud.alter_rule, or set fraud_detect.rule_timeout.")));
        return;
      }
      ereport(LOG, (errmsg("rule \"%s\" takes %.1f ms of %s and is put back to observe", name, mean, what),
                    errhint("Make its condition cheaper with fraud.alter_rule, or set fraud_detect.rule_time_limit.")));
    });
  }
}

}  // namespace fraud::pg
