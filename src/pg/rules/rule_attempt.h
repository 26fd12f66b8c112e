// Runs what a rule's author has left with us so that its failure is the rule's own, and no one else's.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "pg/server/server.h"

namespace fraud::pg {

struct RuleFault {
  std::string message;
  bool took_too_long = false;
};

// Runs body in a subtransaction, which stores nothing, and for no longer than fraud_detect.rule_timeout; returns what
// failed, or nothing. Throws what is no rule's fault: a cancel, a full disk, what the transaction cannot go on after.
std::optional<RuleFault> attempt_rule(const std::function<void()>& body);

}  // namespace fraud::pg
