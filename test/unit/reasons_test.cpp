#include "core/reasons.h"

#include <gtest/gtest.h>

#include <limits>
#include <map>

#include "core/reason_template.h"

namespace fraud {
namespace {

PaymentFeatures all_missing() {
  PaymentFeatures features;
  features.fill(std::numeric_limits<float>::quiet_NaN());
  return features;
}

size_t index_of(std::string_view name) {
  const auto& names = payment_feature_names();
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i] == name) return i;
  }
  ADD_FAILURE() << name;
  return 0;
}

std::string describe(std::string_view name, float value) {
  PaymentFeatures features = all_missing();
  features[index_of(name)] = value;
  return describe_feature(index_of(name), features);
}

TEST(DescribeFeature, SaysWhatAPersonReads) {
  EXPECT_EQ(describe("amount", 931.9F), "amount 931.90");
  EXPECT_EQ(describe("category", 11), "category shopping_net");
  EXPECT_EQ(describe("hour", 3), "hour 03:00 UTC");
  EXPECT_EQ(describe("weekday", 0), "on a Sunday");
  EXPECT_EQ(describe("age", 71.9F), "customer aged 71");
  EXPECT_EQ(describe("distance_km", 812.4F), "merchant 812 km from the customer's home");
  EXPECT_EQ(describe("city_population", 3421), "home city of 3421 people");
  EXPECT_EQ(describe("count_1h", 9), "9 earlier payments with the card in the last hour");
  EXPECT_EQ(describe("sum_24h", 412), "412.00 spent with the card in the last 24 hours before this");
  EXPECT_EQ(describe("mean_7d", 12.1F), "the card's mean payment over the last 7 days is 12.10");
  EXPECT_EQ(describe("seconds_since_last", 35), "35 seconds since the card's last payment");
  EXPECT_EQ(describe("distance_from_last_km", 1203),
            "1203 km from the place of the card's last payment");
}

TEST(DescribeFeature, ComparesTheAmountWithTheCardsOwnMean) {
  PaymentFeatures features = all_missing();
  features[index_of("amount")] = 931.9F;
  features[index_of("mean_30d")] = 127.66F;
  EXPECT_EQ(describe_feature(index_of("amount"), features),
            "amount 931.90 is 7.3 times the card's 30-day mean");
}

TEST(DescribeFeature, EveryFeatureHasASentenceKnownOrNot) {
  PaymentFeatures ones;
  ones.fill(1);
  for (size_t i = 0; i < kPaymentFeatureCount; ++i) {
    // A known value is said by the feature's own template.
    EXPECT_EQ(describe_feature(i, ones).find("unknown"), std::string::npos);
    EXPECT_EQ(describe_feature(i, all_missing()),
              std::string(payment_feature_names()[i]) + " is unknown");
  }
}

TEST(DescribeReasons, StrongestFirstAndOnlyWhatSpeaksForFraud) {
  PaymentFeatures ones;
  ones.fill(1);
  std::vector<double> phi(kPaymentFeatureCount, -0.5);
  phi[index_of("hour")] = 0.2;
  phi[index_of("amount")] = 1.5;
  std::vector<std::string> reasons = describe_reasons(ones, phi, 3);
  ASSERT_EQ(reasons.size(), 2U);
  EXPECT_EQ(reasons[0].substr(0, 6), "amount");
  EXPECT_EQ(reasons[1], "hour 01:00 UTC");
}

TEST(FillReason, TakesTheFirstTemplateWhoseValuesAreKnown) {
  std::map<std::string, double, std::less<>> values = {{"a", 6}, {"b", 4}, {"zero", 0}};
  const auto value_of = [&](std::string_view name) {
    const auto place = values.find(name);
    return place == values.end() ? std::numeric_limits<double>::quiet_NaN() : place->second;
  };
  EXPECT_EQ(fill_reason("a is {a:.0}", value_of), "a is 6");
  EXPECT_EQ(fill_reason("{a/b:.1} times|{a:.0}", value_of), "1.5 times");
  EXPECT_EQ(fill_reason("{a/zero:.1} times|{a:.2}", value_of), "6.00");
  EXPECT_EQ(fill_reason("{a/c:.1} times|{c:.2}|no number", value_of), "no number");
  EXPECT_EQ(fill_reason("{c:.2}", value_of), std::nullopt);
  EXPECT_EQ(fill_reason("{a:weekday}, {b:02}", value_of), "Saturday, 04");
  EXPECT_EQ(fill_reason("", value_of), "");
}

TEST(FillReason, GivesNothingForWhatIsNoTemplate) {
  const auto value_of = [](std::string_view) { return 99.0; };
  for (const char* bad : {"{a:.0", "{a}", "{a:.9}", "{:}", "{a:weekday}", "{a:category}"}) {
    EXPECT_EQ(fill_reason(bad, value_of), std::nullopt) << bad;
  }
}

}  // namespace
}  // namespace fraud
