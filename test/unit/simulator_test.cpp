#include "core/payments/simulator.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/base/geo.h"
#include "core/base/random.h"
#include "core/payments/simulator_data.h"

namespace fraud {
namespace {

constexpr int64_t kDay = int64_t{24} * 3600 * 1000000;

SimulatorConfig config(int customers, int days, uint64_t seed = 7) {
  SimulatorConfig config;
  config.customers = customers;
  config.merchants = 300;
  config.days = days;
  config.seed = seed;
  config.start_us = 20089 * kDay;  // 2025-01-01
  return config;
}

// Returns all that a payment says, to be compared.
auto fields(const SimulatedPayment& simulated) {
  const Payment& p = simulated.payment;
  return std::make_tuple(
      std::tie(p.card_number, p.last_four, p.transaction_id, p.occurred_at_us, p.amount_minor,
               p.merchant, p.category, p.merchant_latitude, p.merchant_longitude),
      std::tie(p.first_name, p.last_name, p.gender, p.street, p.city, p.state, p.zip, p.job,
               p.latitude, p.longitude, p.city_population, p.date_of_birth, p.is_fraud),
      simulated.pattern);
}

bool passes_luhn(const std::string& digits) {
  int sum = 0;
  for (size_t i = 0; i < digits.size(); ++i) {
    int value = digits[digits.size() - 1 - i] - '0';
    if (i % 2 == 1) value = value * 2 > 9 ? value * 2 - 9 : value * 2;
    sum += value;
  }
  return sum % 10 == 0;
}

TEST(SimulatorTest, IsDeterministic) {
  const Simulator first(config(20, 40));
  const Simulator second(config(20, 40));
  // Backwards: a customer does not depend on those asked for before.
  for (int customer = 19; customer >= 0; --customer) {
    const auto left = first.customer(customer);
    const auto right = second.customer(customer);
    ASSERT_EQ(left.size(), right.size());
    for (size_t i = 0; i < left.size(); ++i) ASSERT_EQ(fields(left[i]), fields(right[i]));
  }
}

TEST(SimulatorTest, AnotherSeedIsAnotherWorld) {
  const auto left = Simulator(config(1, 40, 1)).customer(0);
  const auto right = Simulator(config(1, 40, 2)).customer(0);
  ASSERT_FALSE(left.empty());
  ASSERT_FALSE(right.empty());
  EXPECT_NE(left[0].payment.transaction_id, right[0].payment.transaction_id);
  EXPECT_NE(left[0].payment.card_number, right[0].payment.card_number);
}

TEST(SimulatorTest, LongerDaysOnlyAddLaterPayments) {
  const Simulator shorter(config(300, 45));
  const Simulator longer(config(300, 90));
  const int64_t end = config(1, 1).start_us + 45 * kDay;
  for (int customer = 0; customer < 300; ++customer) {
    const auto left = shorter.customer(customer);
    const auto right = longer.customer(customer);
    ASSERT_LE(left.size(), right.size());
    for (size_t i = 0; i < left.size(); ++i) ASSERT_EQ(fields(left[i]), fields(right[i]));
    for (size_t i = left.size(); i < right.size(); ++i) {
      ASSERT_GE(*right[i].payment.occurred_at_us, end);
    }
  }
}

TEST(SimulatorTest, PaymentsAreInOrderAndWithinTheDays) {
  const SimulatorConfig given = config(100, 30);
  const Simulator simulator(given);
  for (int customer = 0; customer < given.customers; ++customer) {
    const auto payments = simulator.customer(customer);
    for (size_t i = 0; i < payments.size(); ++i) {
      const int64_t time = *payments[i].payment.occurred_at_us;
      EXPECT_GE(time, given.start_us);
      EXPECT_LT(time, given.start_us + given.days * kDay);
      EXPECT_EQ(time % 1000, 0);
      if (i == 0) continue;
      EXPECT_LT(
          std::tie(*payments[i - 1].payment.occurred_at_us, payments[i - 1].payment.transaction_id),
          std::tie(time, payments[i].payment.transaction_id));
    }
  }
}

TEST(SimulatorTest, FraudIsRareAndOfEveryPattern) {
  for (const uint64_t seed : {1, 2, 3}) {
    const Simulator simulator(config(1000, 90, seed));
    std::map<FraudPattern, size_t> counts;
    size_t payments = 0;
    for (int customer = 0; customer < 1000; ++customer) {
      for (const SimulatedPayment& simulated : simulator.customer(customer)) {
        ++payments;
        ++counts[simulated.pattern];
        ASSERT_EQ(*simulated.payment.is_fraud, simulated.pattern != FraudPattern::kNone);
      }
    }
    EXPECT_GT(payments, 150000U);
    const auto frauds = static_cast<double>(payments - counts[FraudPattern::kNone]);
    EXPECT_GT(frauds / static_cast<double>(payments), 0.003);
    EXPECT_LT(frauds / static_cast<double>(payments), 0.008);
    for (const FraudPattern pattern :
         {FraudPattern::kCardTesting, FraudPattern::kStolenCard, FraudPattern::kCompromisedMerchant,
          FraudPattern::kOverspending}) {
      EXPECT_GT(static_cast<double>(counts[pattern]), 0.1 * frauds) << static_cast<int>(pattern);
    }
  }
}

TEST(SimulatorTest, CardNumbersAreValidDistinctAndOfEveryLength) {
  const Simulator simulator(config(2000, 5));
  std::set<std::string> cards;
  std::set<size_t> lengths;
  for (int customer = 0; customer < 2000; ++customer) {
    const auto payments = simulator.customer(customer);
    if (payments.empty()) continue;
    const std::string& card = payments[0].payment.card_number;
    EXPECT_TRUE(passes_luhn(card)) << "customer " << customer;
    EXPECT_EQ(payments[0].payment.last_four, card.substr(card.size() - 4));
    EXPECT_TRUE(cards.insert(card).second);
    lengths.insert(card.size());
    if (card.size() == 19) {
      EXPECT_GT(std::stoll(card), int64_t{1} << 53);
    }
  }
  EXPECT_EQ(lengths, (std::set<size_t>{13, 14, 15, 16, 17, 18, 19}));
}

TEST(SimulatorTest, TransactionIdsAreUniqueHexDigits) {
  const Simulator simulator(config(500, 60));
  std::set<std::string> ids;
  for (int customer = 0; customer < 500; ++customer) {
    for (const SimulatedPayment& simulated : simulator.customer(customer)) {
      const std::string& id = simulated.payment.transaction_id;
      ASSERT_EQ(id.size(), 32U);
      ASSERT_EQ(id.find_first_not_of("0123456789abcdef"), std::string::npos);
      ASSERT_TRUE(ids.insert(id).second);
    }
  }
}

TEST(SimulatorTest, PaymentsAreComplete) {
  const auto& categories = kCategories;
  const Simulator simulator(config(50, 30));
  size_t away = 0;
  size_t payments = 0;
  for (int customer = 0; customer < 50; ++customer) {
    for (const SimulatedPayment& simulated : simulator.customer(customer)) {
      const Payment& payment = simulated.payment;
      EXPECT_NE(std::find(categories.begin(), categories.end(), payment.category),
                categories.end());
      EXPECT_GE(payment.amount_minor, 50);
      EXPECT_FALSE(payment.merchant.empty());
      EXPECT_FALSE(payment.first_name.empty());
      EXPECT_FALSE(payment.street.empty());
      EXPECT_EQ(payment.zip.size(), 5U);
      EXPECT_GT(*payment.city_population, 0);
      EXPECT_LT(*payment.date_of_birth, 20089 - 18 * 365);
      ++payments;
      away += distance_km(*payment.latitude, *payment.longitude, *payment.merchant_latitude,
                          *payment.merchant_longitude) > 150
                  ? 1
                  : 0;
    }
  }
  // People travel, but mostly they pay near home.
  EXPECT_GT(away, 0U);
  EXPECT_LT(away, payments / 10);
}

TEST(SimulatorTest, MerchantsHaveDistinctNames) {
  SimulatorConfig many = config(400, 60);
  many.merchants = 1000000;
  const Simulator simulator(many);
  std::map<std::string, std::string> categories;
  for (int customer = 0; customer < 400; ++customer) {
    for (const SimulatedPayment& simulated : simulator.customer(customer)) {
      const Payment& payment = simulated.payment;
      const auto [found, added] = categories.emplace(payment.merchant, payment.category);
      // One name for two merchants would show as two categories, mostly.
      if (!added) {
        ASSERT_EQ(found->second, payment.category);
      }
    }
  }
  EXPECT_GT(categories.size(), 10000U);
}

TEST(SimulatorTest, OneMerchantIsEnough) {
  SimulatorConfig small = config(3, 60);
  small.merchants = 1;
  const Simulator simulator(small);
  std::set<std::string> merchants;
  for (int customer = 0; customer < 3; ++customer) {
    for (const auto& simulated : simulator.customer(customer)) {
      merchants.insert(simulated.payment.merchant);
    }
  }
  EXPECT_EQ(merchants.size(), 1U);
}

void expect_refused(const SimulatorConfig& given, const std::string& message) {
  try {
    const Simulator simulator(given);
    FAIL() << "accepted: " << message;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_EQ(error.what(), message);
  }
}

TEST(SimulatorTest, RefusesWhatIsOutOfRange) {
  SimulatorConfig given = config(0, 1);
  expect_refused(given, "customers must be between 1 and 10000000, not 0");
  given.customers = 10000001;
  expect_refused(given, "customers must be between 1 and 10000000, not 10000001");
  given = config(1, 0);
  expect_refused(given, "days must be between 1 and 3660, not 0");
  given = config(1, 1);
  given.merchants = -5;
  expect_refused(given, "merchants must be between 1 and 1000000, not -5");
  given = config(1, 1);
  given.start_us = -1;
  expect_refused(given, "start must be between 1970-01-01 and 2100-01-01");
  const Simulator simulator(config(2, 1));
  EXPECT_THROW(simulator.customer(2), Error);
  EXPECT_THROW(simulator.customer(-1), Error);
}

TEST(RandomTest, PortableExpIsNearTheLibrarys) {
  for (double x = -20; x < 20; x += 0.0371) {
    EXPECT_NEAR(portable_exp(x) / std::exp(x), 1, 1e-15) << x;
  }
  EXPECT_EQ(portable_exp(0), 1.0);
}

TEST(RandomTest, GivesKnownNumbers) {
  // SplitMix64's own first outputs from state 0.
  Random random(0);
  EXPECT_EQ(random.next(), 0xE220A8397B1DCDAFU);
  EXPECT_EQ(random.next(), 0x6E789E6AA1B965F4U);
}

TEST(RandomTest, DistributionsHaveTheirMoments) {
  Random random(42);
  double sum = 0;
  double squares = 0;
  double counts = 0;
  constexpr int kDraws = 200000;
  for (int i = 0; i < kDraws; ++i) {
    const double value = random.normal();
    sum += value;
    squares += value * value;
    counts += random.poisson(2.5);
    const int drawn = random.range(-1, 1);
    ASSERT_TRUE(drawn >= -1 && drawn <= 1);
  }
  EXPECT_NEAR(sum / kDraws, 0, 0.01);
  EXPECT_NEAR(squares / kDraws, 1, 0.02);
  EXPECT_NEAR(counts / kDraws, 2.5, 0.02);
}

}  // namespace
}  // namespace fraud
