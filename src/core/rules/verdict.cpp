#include "core/rules/verdict.h"

#include <array>
#include <cstddef>
#include <utility>

namespace fraud {

namespace {

constexpr std::array<std::string_view, 6> kActions = {"allow", "block", "review", "raise", "lower", "tag"};
constexpr std::array<std::string_view, 3> kBands = {"approve", "review", "block"};

// Returns the band, or -1.
int band_of(std::string_view decision) {
  for (size_t i = 0; i < kBands.size(); ++i) {
    if (kBands[i] == decision) return static_cast<int>(i);
  }
  return -1;
}

int first_of(const std::vector<RuleAction>& actions, RuleAction wanted) {
  for (size_t i = 0; i < actions.size(); ++i) {
    if (actions[i] == wanted) return static_cast<int>(i);
  }
  return -1;
}

}  // namespace

std::optional<RuleAction> rule_action_named(std::string_view name) {
  for (size_t i = 0; i < kActions.size(); ++i) {
    if (kActions[i] == name) return static_cast<RuleAction>(i);
  }
  return std::nullopt;
}

std::string_view rule_action_name(RuleAction action) { return kActions[static_cast<size_t>(action)]; }

Verdict judge(std::string_view model, const std::vector<RuleAction>& actions) {
  if (const int allow = first_of(actions, RuleAction::kAllow); allow >= 0) return {"approve", allow};
  int band = band_of(model);
  int decided_by = -1;
  const int raise = first_of(actions, RuleAction::kRaise), lower = first_of(actions, RuleAction::kLower);
  // Both at once leave it where it was.
  if (band >= 0 && (raise >= 0) != (lower >= 0)) {
    const int moved = raise >= 0 ? band + 1 : band - 1;
    if (moved >= 0 && moved < static_cast<int>(kBands.size())) {
      band = moved;
      decided_by = raise >= 0 ? raise : lower;
    }
  }
  for (const auto& [action, to] : {std::pair{RuleAction::kReview, 1}, std::pair{RuleAction::kBlock, 2}}) {
    const int rule = first_of(actions, action);
    if (rule < 0 || band >= to) continue;
    band = to;
    decided_by = rule;
  }
  return {band < 0 ? std::string() : std::string(kBands[static_cast<size_t>(band)]), decided_by};
}

}  // namespace fraud
