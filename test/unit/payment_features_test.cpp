#include "core/payment_features.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace fraud {
namespace {

constexpr int64_t kSecond = 1000000;
constexpr int64_t kHour = 3600 * kSecond;
constexpr int64_t kDay = 24 * kHour;
// 2025-03-01 13:30:00 UTC, a Saturday.
constexpr int64_t kNow = int64_t{1740835800} * kSecond;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

Payment payment() {
  Payment payment;
  payment.occurred_at_us = kNow;
  payment.amount_cents = 1234;
  payment.category = "gas_transport";
  payment.latitude = 40.7506;
  payment.longitude = -73.9971;
  payment.merchant_latitude = 34.0614;
  payment.merchant_longitude = -118.2385;
  payment.city_population = 8804190;
  payment.date_of_birth = 7305;  // 1990-01-01
  return payment;
}

PaymentFeatures compute(const Payment& payment, const std::vector<CardEvent>& events = {}) {
  return compute_payment_features(payment, events.data(), events.data() + events.size());
}

float feature(const PaymentFeatures& features, std::string_view name) {
  const auto& names = payment_feature_names();
  const auto found = std::find(names.begin(), names.end(), name);
  EXPECT_NE(found, names.end()) << name;
  return features.at(static_cast<size_t>(found - names.begin()));
}

void expect_window(const PaymentFeatures& features, const std::string& window, float count,
                   float sum) {
  EXPECT_EQ(feature(features, "count_" + window), count) << window;
  EXPECT_EQ(feature(features, "sum_" + window), sum) << window;
  if (count == 0) {
    EXPECT_TRUE(std::isnan(feature(features, "mean_" + window))) << window;
  } else {
    EXPECT_FLOAT_EQ(feature(features, "mean_" + window), sum / count) << window;
  }
}

TEST(PaymentFeaturesTest, NamesAreInVectorOrder) {
  const std::vector<std::string_view> expected = {"amount",
                                                  "category",
                                                  "hour",
                                                  "weekday",
                                                  "age",
                                                  "distance_km",
                                                  "city_population",
                                                  "count_1h",
                                                  "sum_1h",
                                                  "mean_1h",
                                                  "count_24h",
                                                  "sum_24h",
                                                  "mean_24h",
                                                  "count_7d",
                                                  "sum_7d",
                                                  "mean_7d",
                                                  "count_30d",
                                                  "sum_30d",
                                                  "mean_30d",
                                                  "seconds_since_last",
                                                  "distance_from_last_km"};
  EXPECT_TRUE(std::equal(expected.begin(), expected.end(), payment_feature_names().begin(),
                         payment_feature_names().end()));
  EXPECT_TRUE(std::is_sorted(payment_categories().begin(), payment_categories().end()));
}

TEST(PaymentFeaturesTest, ComputesThePaymentsOwnFeatures) {
  const PaymentFeatures features = compute(payment());
  EXPECT_EQ(feature(features, "amount"), 12.34F);
  EXPECT_EQ(feature(features, "category"), 2.0F);
  EXPECT_EQ(feature(features, "hour"), 13.0F);
  EXPECT_EQ(feature(features, "weekday"), 6.0F);
  // 2025-03-01 is 12843 days after 1990-01-01.
  EXPECT_FLOAT_EQ(feature(features, "age"), static_cast<float>(12843 / 365.2425));
  EXPECT_EQ(feature(features, "city_population"), 8804190.0F);
  EXPECT_EQ(feature(features, "distance_km"),
            static_cast<float>(distance_km(40.7506, -73.9971, 34.0614, -118.2385)));
}

TEST(PaymentFeaturesTest, NoHistoryCountsZeroAndMissesTheRest) {
  const PaymentFeatures features = compute(payment());
  for (const char* window : {"1h", "24h", "7d", "30d"}) expect_window(features, window, 0, 0);
  EXPECT_TRUE(std::isnan(feature(features, "seconds_since_last")));
  EXPECT_TRUE(std::isnan(feature(features, "distance_from_last_km")));
}

TEST(PaymentFeaturesTest, WhatIsUnknownIsMissing) {
  Payment bare;
  bare.occurred_at_us = kNow;
  bare.category = "unheard_of";
  const PaymentFeatures features = compute(bare, {{kNow - kHour / 2, 100}});
  for (const char* name :
       {"category", "age", "distance_km", "city_population", "distance_from_last_km"}) {
    EXPECT_TRUE(std::isnan(feature(features, name))) << name;
  }
  EXPECT_EQ(feature(features, "amount"), 0.0F);
  EXPECT_EQ(feature(features, "seconds_since_last"), 1800.0F);
}

TEST(PaymentFeaturesTest, WithoutATimeOnlyTheTimelessIsKnown) {
  Payment timeless = payment();
  timeless.occurred_at_us.reset();
  const PaymentFeatures features = compute(timeless, {{kNow, 100}});
  EXPECT_EQ(feature(features, "amount"), 12.34F);
  for (const char* name : {"hour", "weekday", "age", "count_1h", "sum_30d", "seconds_since_last"}) {
    EXPECT_TRUE(std::isnan(feature(features, name))) << name;
  }
}

TEST(PaymentFeaturesTest, WindowsExcludeTheirFarEnd) {
  struct Case {
    const char* name;
    int64_t width;
  };
  for (const Case& window :
       {Case{"1h", kHour}, {"24h", kDay}, {"7d", 7 * kDay}, {"30d", 30 * kDay}}) {
    expect_window(compute(payment(), {{kNow - window.width, 500}}), window.name, 0, 0);
    expect_window(compute(payment(), {{kNow - window.width + 1, 500}}), window.name, 1, 5);
  }
  EXPECT_TRUE(
      std::isnan(feature(compute(payment(), {{kNow - 30 * kDay, 500}}), "seconds_since_last")));
}

TEST(PaymentFeaturesTest, WindowsIncludeTheSameMoment) {
  const PaymentFeatures features = compute(payment(), {{kNow, 700, 34.0614, -118.2385}});
  expect_window(features, "1h", 1, 7);
  expect_window(features, "30d", 1, 7);
  EXPECT_EQ(feature(features, "seconds_since_last"), 0.0F);
  EXPECT_EQ(feature(features, "distance_from_last_km"), 0.0F);
}

TEST(PaymentFeaturesTest, WiderWindowsContainTheNarrower) {
  const std::vector<CardEvent> events = {{kNow - 40 * kDay, 100000},
                                         {kNow - 20 * kDay, 3333},
                                         {kNow - 3 * kDay, 1001},
                                         {kNow - 2 * kHour, 250},
                                         {kNow - 90 * kSecond, 199, 0, 0}};
  const PaymentFeatures features = compute(payment(), events);
  expect_window(features, "1h", 1, 1.99F);
  expect_window(features, "24h", 2, 4.49F);
  expect_window(features, "7d", 3, 14.50F);
  expect_window(features, "30d", 4, 47.83F);
  EXPECT_EQ(feature(features, "seconds_since_last"), 90.0F);
}

TEST(PaymentFeaturesTest, SumsAreExact) {
  // In floats 16777216 + 0.01 loses the cent; 0.1 is exact in no binary number.
  std::vector<CardEvent> events = {{kNow - 10, 1677721600}};
  events.resize(11, {kNow - 5, 10});
  EXPECT_EQ(feature(compute(payment(), events), "sum_1h"), 16777217.0F);
  events.assign(1000, {kNow - 5, 10});
  EXPECT_EQ(feature(compute(payment(), events), "sum_1h"), 100.0F);
  events = {{kNow - 2, -500}, {kNow - 1, 200}};
  EXPECT_EQ(feature(compute(payment(), events), "sum_1h"), -3.0F);
}

TEST(PaymentFeaturesTest, PassesOverOldEvents) {
  const std::vector<CardEvent> recent = {{kNow - kDay, 300, 1, 2}, {kNow - kHour, 400, 3, 4}};
  std::vector<CardEvent> all = {{kNow - 400 * kDay, 1}, {kNow - 30 * kDay, 2}};
  all.insert(all.end(), recent.begin(), recent.end());
  const PaymentFeatures expected = compute(payment(), recent);
  const PaymentFeatures features = compute(payment(), all);
  EXPECT_EQ(std::memcmp(features.data(), expected.data(), sizeof expected), 0);
}

TEST(PaymentFeaturesTest, MeasuresFromTheLastMerchantsPlace) {
  const PaymentFeatures features =
      compute(payment(), {{kNow - 2, 100, 34.0614, -118.2385}, {kNow - 1, 100, 40.7506, -73.9971}});
  EXPECT_EQ(feature(features, "distance_from_last_km"), feature(features, "distance_km"));
  EXPECT_TRUE(std::isnan(
      feature(compute(payment(), {{kNow - 1, 100, kNan, -73}}), "distance_from_last_km")));
}

TEST(PaymentFeaturesTest, ReadsTheClockBefore1970) {
  Payment old = payment();
  old.occurred_at_us = -1;  // 1969-12-31, a Wednesday
  EXPECT_EQ(feature(compute(old), "hour"), 23.0F);
  EXPECT_EQ(feature(compute(old), "weekday"), 3.0F);
  old.occurred_at_us = 0;
  EXPECT_EQ(feature(compute(old), "hour"), 0.0F);
  EXPECT_EQ(feature(compute(old), "weekday"), 4.0F);
  old.occurred_at_us = 3 * kDay;
  EXPECT_EQ(feature(compute(old), "weekday"), 0.0F);
  old.occurred_at_us = -5 * kDay;
  EXPECT_EQ(feature(compute(old), "weekday"), 6.0F);
}

TEST(DistanceTest, AgreesWithKnownArcs) {
  constexpr double kDegreeKm = 6371.0088 * 3.14159265358979323846 / 180;
  EXPECT_NEAR(distance_km(0, 0, 0, 1), kDegreeKm, 1e-9);
  EXPECT_NEAR(distance_km(10, 20, 11, 20), kDegreeKm, 1e-9);
  EXPECT_NEAR(distance_km(60, 0, 60, 1), 55.5970, 1e-4);
  EXPECT_NEAR(distance_km(0, 179.5, 0, -179.5), kDegreeKm, 1e-9);
  EXPECT_NEAR(distance_km(0, 0, 0, 180), 180 * kDegreeKm, 1e-6);
  EXPECT_NEAR(distance_km(90, 0, -90, 0), 180 * kDegreeKm, 1e-6);
  EXPECT_EQ(distance_km(12.5, -7.25, 12.5, -7.25), 0.0);
}

TEST(DistanceTest, IsUnknownWhenAPlaceIs) {
  EXPECT_TRUE(std::isnan(distance_km(kNan, 0, 0, 0)));
  EXPECT_TRUE(std::isnan(distance_km(0, kNan, 0, 0)));
  EXPECT_TRUE(std::isnan(distance_km(0, 0, kNan, 0)));
  EXPECT_TRUE(std::isnan(distance_km(0, 0, 0, kNan)));
}

}  // namespace
}  // namespace fraud
