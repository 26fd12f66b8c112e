#include "core/metrics.h"

#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "core/error.h"

namespace fraud {
namespace {

std::vector<Outcome> outcomes(const std::vector<float>& scores, const std::vector<int>& labels) {
  std::vector<Outcome> all;
  for (size_t i = 0; i < scores.size(); ++i) all.push_back({scores[i], labels[i] != 0});
  return all;
}

// The expected values are those of scikit-learn 1.9.1's average_precision_score,
// roc_auc_score and log_loss on the same float32 scores. Its log_loss computes
// in float32, hence the tolerance.
void expect_measures(const Ranking& ranking, double average_precision, double auc,
                     double log_loss) {
  EXPECT_NEAR(ranking.average_precision(), average_precision, 1e-14);
  EXPECT_NEAR(ranking.auc_roc(), auc, 1e-14);
  EXPECT_NEAR(ranking.log_loss(), log_loss, 1e-5);
}

const std::vector<float> kScores = {0.9F, 0.8F, 0.8F, 0.8F, 0.6F, 0.5F, 0.5F, 0.3F, 0.2F, 0.1F};
const std::vector<int> kLabels = {1, 1, 0, 1, 0, 1, 0, 0, 0, 0};

TEST(MetricsTest, AgreesWithScikitLearnOnTies) {
  expect_measures(Ranking(outcomes(kScores, kLabels)), 0.7678571428571428, 0.8541666666666666,
                  0.5148850083351135);
}

TEST(MetricsTest, AgreesWithScikitLearnWhenAllAreTied) {
  expect_measures(Ranking(outcomes(std::vector<float>(5, 0.5F), {1, 0, 0, 1, 0})), 0.4, 0.5,
                  0.6931471824645996);
}

TEST(MetricsTest, AgreesWithScikitLearnOnCertainties) {
  expect_measures(Ranking(outcomes({0, 1, 0.25F, 1}, {0, 1, 1, 0})), 0.5833333333333333, 0.625,
                  4.332170009613037);
}

TEST(MetricsTest, AgreesWithScikitLearnOnManyScores) {
  std::vector<Outcome> all;
  for (int i = 0; i < 1000; ++i) {
    const int score = i * 7919 % 1000;
    all.push_back({static_cast<float>(score / 8) / 125.0F, i * 104729 % 97 < 5 + score / 50});
  }
  const Ranking ranking(all);
  EXPECT_EQ(ranking.frauds(), 152U);
  expect_measures(ranking, 0.22797629814436227, 0.6238207547169812, 0.9031823873519897);
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

}  // namespace
}  // namespace fraud
