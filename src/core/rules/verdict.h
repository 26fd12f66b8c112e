// What rules make of a model's decision.
#pragma once

#include "core/base/guard.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fraud {

enum class RuleAction { kAllow, kBlock, kReview, kRaise, kLower, kTag };

std::optional<RuleAction> rule_action_named(std::string_view name);
std::string_view rule_action_name(RuleAction action);

struct Verdict {
  std::string decision;     // approve, review or block; empty: nobody decides
  int decided_by = -1;      // which of the actions; -1: the model
};

// Decides by the model's decision (empty: it has no thresholds) and the actions of the enforced rules that
// match, in order of their priority. An allow goes before all. Else raise and lower move the model's decision by one
// band, up before down; then a block, of a rule or the model, goes before a review, and that before an approval.
Verdict judge(std::string_view model, const std::vector<RuleAction>& actions);

}  // namespace fraud
