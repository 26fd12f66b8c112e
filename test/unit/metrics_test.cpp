#include "core/features/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/error.h"

namespace fraud {
namespace {

std::vector<Outcome> outcomes(const std::vector<float>& scores, const std::vector<int>& labels) {
  std::vector<Outcome> all;
  for (size_t i = 0; i < scores.size(); ++i) all.push_back({scores[i], labels[i] != 0});
  return all;
}

// The expected values are those of scikit-learn 1.9.1's average_precision_score,
// roc_auc_score, log_loss and brier_score_loss on the same float32 scores, as
// float64.
void expect_measures(const Ranking& ranking, double average_precision, double auc, double log_loss,
                     double brier) {
  EXPECT_NEAR(ranking.average_precision(), average_precision, 1e-14);
  EXPECT_NEAR(ranking.auc_roc(), auc, 1e-14);
  EXPECT_NEAR(ranking.log_loss(), log_loss, 1e-13);
  EXPECT_NEAR(ranking.brier(), brier, 1e-14);
}

const std::vector<float> kScores = {0.9F, 0.8F, 0.8F, 0.8F, 0.6F, 0.5F, 0.5F, 0.3F, 0.2F, 0.1F};
const std::vector<int> kLabels = {1, 1, 0, 1, 0, 1, 0, 0, 0, 0};

TEST(MetricsTest, AgreesWithScikitLearnOnTies) {
  expect_measures(Ranking(outcomes(kScores, kLabels)), 0.7678571428571428, 0.8541666666666666,
                  0.5148849772933959, 0.17300000515580194);
}

TEST(MetricsTest, AgreesWithScikitLearnWhenAllAreTied) {
  expect_measures(Ranking(outcomes(std::vector<float>(5, 0.5F), {1, 0, 0, 1, 0})), 0.4, 0.5,
                  0.6931471805599453, 0.25);
}

TEST(MetricsTest, AgreesWithScikitLearnOnCertainties) {
  expect_measures(Ranking(outcomes({0, 1, 0.25F, 1}, {0, 1, 1, 0})), 0.5833333333333333, 0.625,
                  9.357486937559262, 0.390625);
}

TEST(MetricsTest, AgreesWithScikitLearnOnManyScores) {
  std::vector<Outcome> all;
  for (int i = 0; i < 1000; ++i) {
    const int score = i * 7919 % 1000;
    all.push_back({static_cast<float>(score / 8) / 125.0F, i * 104729 % 97 < 5 + score / 50});
  }
  const Ranking ranking(all);
  EXPECT_EQ(ranking.frauds(), 152U);
  expect_measures(ranking, 0.22797629814436227, 0.6238207547169812, 0.9433849326781352, 0.29864000064694896);
}

TEST(MetricsTest, DoesNotDependOnTheGivenOrder) {
  std::vector<Outcome> all = outcomes(kScores, kLabels);
  const double expected = Ranking(all).average_precision();
  for (size_t turn = 0; turn < all.size(); ++turn) {
    all.push_back(all.front());
    all.erase(all.begin());
    EXPECT_EQ(Ranking(all).average_precision(), expected);
  }
}

TEST(MetricsTest, IsUndefinedWithoutBothKinds) {
  const Ranking none({});
  EXPECT_TRUE(std::isnan(none.average_precision()));
  EXPECT_TRUE(std::isnan(none.auc_roc()));
  EXPECT_TRUE(std::isnan(none.log_loss()));
  const Ranking honest(outcomes({0.1F, 0.2F}, {0, 0}));
  EXPECT_TRUE(std::isnan(honest.average_precision()));
  EXPECT_TRUE(std::isnan(honest.auc_roc()));
  EXPECT_TRUE(std::isnan(honest.at_threshold(0.1F).recall));
  const Ranking fraud(outcomes({0.1F, 0.2F}, {1, 1}));
  EXPECT_EQ(fraud.average_precision(), 1.0);
  EXPECT_TRUE(std::isnan(fraud.auc_roc()));
}

TEST(MetricsTest, RefusesAScoreThatIsNoNumber) {
  EXPECT_THROW(Ranking({{std::numeric_limits<float>::quiet_NaN(), true}}), Error);
}

TEST(MetricsTest, AlertsAtAThresholdInclusively) {
  const Ranking ranking(outcomes(kScores, kLabels));
  const AlertQuality at = ranking.at_threshold(0.8F);
  EXPECT_EQ(at.alerts, 4U);
  EXPECT_EQ(at.caught, 3U);
  EXPECT_DOUBLE_EQ(at.precision, 0.75);
  EXPECT_DOUBLE_EQ(at.recall, 0.75);
  EXPECT_EQ(ranking.at_threshold(0.95F).alerts, 0U);
  EXPECT_TRUE(std::isnan(ranking.at_threshold(0.95F).precision));
}

TEST(MetricsTest, AlertsAtMostTheRate) {
  const Ranking ranking(outcomes(kScores, kLabels));
  // Three of ten would split the tie of 0.8.
  EXPECT_EQ(ranking.at_alert_rate(0.3).alerts, 1U);
  EXPECT_EQ(ranking.at_alert_rate(0.4).alerts, 4U);
  EXPECT_FLOAT_EQ(ranking.at_alert_rate(0.4).threshold, 0.8F);
  EXPECT_DOUBLE_EQ(ranking.at_alert_rate(0.4).recall, 0.75);
  EXPECT_EQ(ranking.at_alert_rate(1).alerts, 10U);
  const AlertQuality none = ranking.at_alert_rate(0.05);
  EXPECT_EQ(none.alerts, 0U);
  EXPECT_TRUE(std::isinf(none.threshold));
  EXPECT_EQ(none.recall, 0.0);
}

TEST(MetricsTest, FindsTheLowestThresholdOfAPrecision) {
  const Ranking ranking(outcomes(kScores, kLabels));
  EXPECT_FLOAT_EQ(ranking.at_precision(0.9).threshold, 0.9F);
  EXPECT_FLOAT_EQ(ranking.at_precision(0.7).threshold, 0.8F);
  EXPECT_TRUE(std::isinf(Ranking(outcomes({0.5F}, {0})).at_precision(0.5).threshold));
}

TEST(MetricsTest, CurveHasOnePointForEachScore) {
  const std::vector<AlertQuality> curve = Ranking(outcomes(kScores, kLabels)).curve();
  ASSERT_EQ(curve.size(), 7U);
  EXPECT_EQ(curve[1].alerts, 4U);
  EXPECT_EQ(curve.back().alerts, 10U);
  EXPECT_EQ(curve.back().recall, 1.0);
}

TEST(MetricsTest, CurveTakesSteps) {
  std::vector<Outcome> all;
  for (int i = 0; i < 10000; ++i) all.push_back({i / 10000.0, i % 100 == 0});
  const std::vector<AlertQuality> curve = Ranking(all).curve(20);
  EXPECT_LE(curve.size(), 42U);
  EXPECT_GE(curve.size(), 20U);
  EXPECT_EQ(curve.front().alerts, 1U);
  EXPECT_EQ(curve.back().alerts, 10000U);
}

TEST(MetricsTest, LogLossAndBrierNeedProbabilities) {
  const Ranking ranking(outcomes({-0.5F, 1.5F}, {0, 1}));
  EXPECT_EQ(ranking.auc_roc(), 1.0);
  EXPECT_TRUE(std::isnan(ranking.log_loss()));
  EXPECT_TRUE(std::isnan(ranking.brier()));
}

// Two cards a day can be checked. Day 1: 7 and 8, both compromised (8 by a payment
// that is not its highest). Day 2: 7, compromised, and 9, not; without 7, who was
// caught, 9 and 6, who is compromised. Day 3: only 6; or nobody, since 6 was caught.
const std::vector<CardOutcome> kCards = {
    {1, 7, 0.9, true},  {1, 8, 0.8, false}, {1, 9, 0.7, true},  {1, 8, 0.1, true},
    {2, 7, 0.95, true}, {2, 9, 0.9, false}, {2, 6, 0.5, false}, {2, 6, 0.2, true},
    {3, 6, 0.3, true}};

TEST(MetricsTest, CardPrecisionIsTheMeanOverDays) {
  EXPECT_DOUBLE_EQ(card_precision(kCards, 2, false), (1.0 + 0.5 + 0.5) / 3);
}

TEST(MetricsTest, CardPrecisionWithoutCaughtCards) {
  EXPECT_DOUBLE_EQ(card_precision(kCards, 2, true), (1.0 + 0.5 + 0.0) / 3);
}

TEST(MetricsTest, CardPrecisionDoesNotDependOnTheGivenOrder) {
  std::vector<CardOutcome> all;
  for (uint64_t card = 0; card < 20; ++card) all.push_back({1, card, 0.5, card % 3 == 0});
  const double expected = card_precision(all, 7, true);
  EXPECT_DOUBLE_EQ(expected, 3.0 / 7);  // cards 0, 3 and 6
  std::reverse(all.begin(), all.end());
  EXPECT_EQ(card_precision(all, 7, true), expected);
}

TEST(MetricsTest, CardPrecisionOfNothing) {
  EXPECT_TRUE(std::isnan(card_precision({}, 5, false)));
  EXPECT_THROW(card_precision(kCards, 0, false), Error);
}

}  // namespace
}  // namespace fraud
