#include "core/features/reasons.h"

#include <gtest/gtest.h>

#include <limits>
#include <map>

#include "core/features/reason_template.h"

namespace fraud {
namespace {

constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();

const std::vector<FeatureInfo> kFeatures = {
    {"amount", false, {}, "amount {amount:.2} is {amount/mean:.1} times the card's mean|amount {amount:.2}"},
    {"mean", false, {}, "the card's mean payment is {mean:.2}"},
    {"category", true, {"home", "travel"}, "category {category:category}"},
    {"hour", false, {}, "hour {hour:02}:00 UTC"},
    {"shop", true, {"web", "store"}, ""},
    {"visits", false, {}, ""},
};

TEST(DescribeFeature, TakesTheFirstTemplateThatCanBeFilled) {
  EXPECT_EQ(describe_feature(kFeatures, {931.9F, 127.66F, 0, 0, 0, 0}, 0),
            "amount 931.90 is 7.3 times the card's mean");
  EXPECT_EQ(describe_feature(kFeatures, {931.9F, kMissing, 0, 0, 0, 0}, 0), "amount 931.90");
  EXPECT_EQ(describe_feature(kFeatures, {931.9F, 0, 0, 0, 0, 0}, 0), "amount 931.90");
}

TEST(DescribeFeature, NamesCategories) {
  EXPECT_EQ(describe_feature(kFeatures, {0, 0, 1, 0, 0, 0}, 2), "category travel");
  // A code that has no name is told as it is.
  EXPECT_EQ(describe_feature(kFeatures, {0, 0, 7, 0, 0, 0}, 2), "category is 7");
}

TEST(DescribeFeature, SaysSomethingWithoutATemplate) {
  EXPECT_EQ(describe_feature(kFeatures, {0, 0, 0, 0, 1, 0}, 4), "shop is store");
  EXPECT_EQ(describe_feature(kFeatures, {0, 0, 0, 0, 0, 2.5F}, 5), "visits is 2.5");
}

TEST(DescribeFeature, SaysWhatIsUnknown) {
  const std::vector<float> none(kFeatures.size(), kMissing);
  for (size_t i = 0; i < kFeatures.size(); ++i) {
    EXPECT_EQ(describe_feature(kFeatures, none, i), kFeatures[i].name + " is unknown");
  }
}

TEST(DescribeFeature, SaysWhatIsUnknownAsItsTemplateDoes) {
  const std::vector<FeatureInfo> places = {{"km", false, {}, "{km:.0} km away|distance not known"}, {"speed", false, {}, "fast"}};
  EXPECT_EQ(describe_feature(places, {3, 0}, 0), "3 km away");
  EXPECT_EQ(describe_feature(places, {kMissing, 0}, 0), "distance not known");
  // One without alternatives describes a value.
  EXPECT_EQ(describe_feature(places, {0, kMissing}, 1), "speed is unknown");
}

TEST(DescribeFeature, WritesABraceForTwo) {
  const std::vector<FeatureInfo> braces = {{"a|b", false, {}, "{{{a|b:.0}}} of {{3}}|{{}}}"}, {"c", false, {}, "{{{c:.1}"}};
  EXPECT_EQ(describe_feature(braces, {2, 1}, 0), "{2} of {3}");
  EXPECT_EQ(describe_feature(braces, {kMissing, 1}, 0), "{}}");
  EXPECT_EQ(describe_feature(braces, {2, 1}, 1), "{1.0");
  for (const FeatureInfo& feature : braces) EXPECT_EQ(reason_fault(feature.reason), "");
  ASSERT_EQ(features_named(braces[0].reason).size(), 1U);
  EXPECT_EQ(features_named(braces[0].reason)[0].feature, "a|b");
  EXPECT_EQ(reason_fault("{{a:.1}} {"), "a brace is not closed");
}

TEST(DescribeReasons, StrongestFirstAndOnlyWhatSpeaksForFraud) {
  const std::vector<float> ones(kFeatures.size(), 1);
  std::vector<double> phi(kFeatures.size(), -0.5);
  phi[3] = 0.2;
  phi[0] = 1.5;
  std::vector<std::string> reasons = describe_reasons(kFeatures, ones, phi, 3);
  ASSERT_EQ(reasons.size(), 2U);
  EXPECT_EQ(reasons[0], "amount 1.00 is 1.0 times the card's mean");
  EXPECT_EQ(reasons[1], "hour 01:00 UTC");
  EXPECT_EQ(describe_reasons(kFeatures, ones, phi, 1).size(), 1U);
}

TEST(DescribeReasons, CircumstancesOnlyWhereNothingElseSpeaks) {
  std::vector<FeatureInfo> features = kFeatures;
  features[3].reason = "~hour {hour:02}:00 UTC";
  const std::vector<float> ones(features.size(), 1);
  std::vector<double> phi(features.size(), -0.5);
  phi[3] = 2.5;
  phi[0] = 1.5;
  EXPECT_EQ(describe_reasons(features, ones, phi, 3), std::vector<std::string>{"amount 1.00 is 1.0 times the card's mean"});
  phi[0] = -1;
  EXPECT_EQ(describe_reasons(features, ones, phi, 3), std::vector<std::string>{"hour 01:00 UTC"});
}

TEST(DescribeReasons, LeavesOutWhatHardlyCounts) {
  const std::vector<float> ones(kFeatures.size(), 1);
  std::vector<double> phi(kFeatures.size(), 0.0);
  phi[0] = 3;
  phi[1] = 0.31;
  phi[5] = 0.29;
  EXPECT_EQ(describe_reasons(kFeatures, ones, phi, 3).size(), 2U);
}

const std::map<std::string, double, std::less<>> kValues = {
    {"a", 6}, {"b", 4}, {"zero", 0}, {"c", std::numeric_limits<double>::quiet_NaN()}, {"share", 0.0125}, {"long", 90000}};

const ReasonValues kSample = {
    [](std::string_view name) {
      const auto place = kValues.find(name);
      return place == kValues.end() ? std::numeric_limits<double>::quiet_NaN() : place->second;
    },
    [](std::string_view, double code) { return code == 4 ? "four" : ""; }};

TEST(FillReason, TakesTheFirstTemplateWhoseValuesAreKnown) {
  EXPECT_EQ(fill_reason("a is {a:.0}", kSample), "a is 6");
  EXPECT_EQ(fill_reason("{a/b:.1} times|{a:.0}", kSample), "1.5 times");
  EXPECT_EQ(fill_reason("{a/zero:.1} times|{a:.2}", kSample), "6.00");
  EXPECT_EQ(fill_reason("{a/c:.1} times|{c:.2}|no number", kSample), "no number");
  EXPECT_EQ(fill_reason("{c:.2}", kSample), std::nullopt);
  EXPECT_EQ(fill_reason("{a:weekday}, {b:02}", kSample), "Saturday, 04");
  EXPECT_EQ(fill_reason("{share:percent} after {long:duration}", kSample), "1.2 % after 25 hours");
  EXPECT_EQ(fill_reason("{b:category}|{a:floor}", kSample), "four");
  EXPECT_EQ(fill_reason("{a:category}|{a:floor}", kSample), "6");
  EXPECT_EQ(fill_reason("", kSample), "");
}

TEST(ReasonFault, TellsWhatIsNoTemplate) {
  for (const char* bad : {"{a:.0", "{a}", "{a:.9}", "{:}", "{:.0}", "{a/:.0}", "fine {a:.0}|{"}) {
    EXPECT_NE(reason_fault(bad), "") << bad;
  }
  for (const char* good : {"", "no place", "{a:.0}", "{a/b:.1} of {b:category}|{a:percent}", "a } alone"}) {
    EXPECT_EQ(reason_fault(good), "") << good;
  }
  EXPECT_EQ(fill_reason("{a}", kSample), std::nullopt);
  EXPECT_EQ(fill_reason("{b:weekday", kSample), std::nullopt);
}

}  // namespace
}  // namespace fraud
