#include "core/rules/verdict.h"

#include "core/base/nearest.h"
#include "core/rules/rule_reason.h"

#include <gtest/gtest.h>

namespace fraud {
namespace {

using A = RuleAction;

std::string decision(std::string_view model, const std::vector<A>& actions) { return judge(model, actions).decision; }

TEST(RuleReason, HasPlacesBetweenBraces) {
  using Places = std::vector<std::string_view>;
  EXPECT_EQ(reason_places(""), Places());
  EXPECT_EQ(reason_places("a } b"), Places());
  EXPECT_EQ(reason_places("{a}{b c} {}}"), (Places{"a", "b c", ""}));
  EXPECT_EQ(reason_places("{a {b}"), (Places{"a {b"}));
  EXPECT_EQ(reason_places("{a} {b"), std::nullopt);
  EXPECT_EQ(reason_places("{{a}} {{{b}}} {{"), (Places{"b"}));
  EXPECT_EQ(reason_places("{{a}} {"), std::nullopt);
}

TEST(NearestNames, AreByLettersAndParts) {
  EXPECT_EQ(nearest_names("amout", {"merchant", "amount", "base_amount"}, 1), std::vector<std::string>{"amount"});
  EXPECT_EQ(nearest_names("count_1h:.0", {"city", "count_1h", "count_24h"}, 1), std::vector<std::string>{"count_1h"});
  EXPECT_EQ(nearest_names("a", {}, 3), std::vector<std::string>());
}

TEST(Verdict, ModelDecidesWhereNoRuleDoes) {
  for (const char* model : {"approve", "review", "block", ""}) {
    EXPECT_EQ(decision(model, {}), model);
    EXPECT_EQ(decision(model, {A::kTag}), model);
    EXPECT_EQ(judge(model, {A::kTag}).decided_by, -1);
  }
}

TEST(Verdict, AllowGoesBeforeAll) {
  for (const char* model : {"approve", "review", "block", ""}) {
    EXPECT_EQ(decision(model, {A::kBlock, A::kReview, A::kRaise, A::kAllow}), "approve");
  }
  EXPECT_EQ(judge("block", {A::kBlock, A::kAllow, A::kAllow}).decided_by, 1);
}

TEST(Verdict, BlockGoesBeforeReview) {
  EXPECT_EQ(decision("approve", {A::kReview, A::kBlock}), "block");
  EXPECT_EQ(judge("approve", {A::kReview, A::kBlock}).decided_by, 1);
  EXPECT_EQ(decision("", {A::kReview}), "review");
  EXPECT_EQ(decision("block", {A::kReview}), "block");
  EXPECT_EQ(judge("block", {A::kReview}).decided_by, -1);
  EXPECT_EQ(judge("review", {A::kReview}).decided_by, -1);
}

TEST(Verdict, BandMovesByOne) {
  EXPECT_EQ(decision("approve", {A::kRaise}), "review");
  EXPECT_EQ(decision("review", {A::kRaise, A::kRaise}), "block");
  EXPECT_EQ(decision("block", {A::kRaise}), "block");
  EXPECT_EQ(decision("block", {A::kLower}), "review");
  EXPECT_EQ(decision("approve", {A::kLower}), "approve");
  EXPECT_EQ(decision("review", {A::kRaise, A::kLower}), "review");
  EXPECT_EQ(decision("", {A::kRaise}), "");
  // A rule that lowers the model's decision takes nothing from another rule's.
  EXPECT_EQ(decision("block", {A::kLower, A::kBlock}), "block");
  EXPECT_EQ(judge("block", {A::kLower, A::kBlock}).decided_by, 1);
  EXPECT_EQ(judge("approve", {A::kReview, A::kRaise}).decided_by, 1);
}

TEST(Verdict, ActionsHaveNames) {
  for (A action : {A::kAllow, A::kBlock, A::kReview, A::kRaise, A::kLower, A::kTag}) {
    EXPECT_EQ(rule_action_named(rule_action_name(action)), action);
  }
  EXPECT_FALSE(rule_action_named("deny"));
}

}  // namespace
}  // namespace fraud
