#include "core/rules/backtest_tally.h"

#include <gtest/gtest.h>

#include <random>

namespace fraud {
namespace {

struct Payment {
  int64_t day;
  bool hit, fraud, alerted;
  CardKey card;
  std::array<bool, 3> rules;
  double money;
  bool mature = true;
};

std::array<bool, 3> bits(uint64_t rules) { return {(rules & 1) != 0, (rules & 2) != 0, (rules & 4) != 0}; }

void count(BacktestTally& tally, const Payment& one) {
  if (one.hit) {
    tally.add_hit(one.day, {one.fraud, one.alerted, one.mature}, one.card, one.rules.data(), one.rules.size());
  } else {
    tally.add_other(one.day, {one.fraud, one.alerted, one.mature});
  }
  tally.add_money(one.money, one.hit, one.fraud);
}

std::vector<Payment> some_payments(size_t count) {
  std::mt19937_64 random(7);
  std::vector<Payment> payments;
  for (size_t i = 0; i < count; ++i) {
    payments.push_back({static_cast<int64_t>(random() % 40) - 20, random() % 3 == 0, random() % 10 == 0, random() % 7 == 0,
                        CardKey{random() % 3, random() % 900}, bits(random() % 8), static_cast<double>(random() % 100000) / 100, random() % 2 == 0});
  }
  return payments;
}

void expect_same(BacktestTally& a, BacktestTally& b) {
  EXPECT_EQ(a.customers_hit(), b.customers_hit());
  EXPECT_EQ(a.customers_bothered(), b.customers_bothered());
  EXPECT_EQ(a.frauds_not_alerted(), b.frauds_not_alerted());
  EXPECT_EQ(a.alerts(), b.alerts());
  EXPECT_EQ(a.alerts_hit(), b.alerts_hit());
  EXPECT_EQ(a.caught(), b.caught());
  EXPECT_EQ(a.lost(), b.lost());
  EXPECT_EQ(a.bothered(), b.bothered());
  EXPECT_EQ(a.mature_hits(), b.mature_hits());
  EXPECT_EQ(a.mature_frauds(), b.mature_frauds());
  EXPECT_EQ(a.mature_frauds_hit(), b.mature_frauds_hit());
  EXPECT_EQ(a.hits_of_rules(), b.hits_of_rules());
  const auto days = a.days(), others = b.days();
  ASSERT_EQ(days.size(), others.size());
  for (size_t i = 0; i < days.size(); ++i) {
    EXPECT_EQ(days[i].first, others[i].first);
    EXPECT_EQ(days[i].second.payments, others[i].second.payments);
    EXPECT_EQ(days[i].second.hits, others[i].second.hits);
  }
}

TEST(BacktestTally, CountsAsSaid) {
  BacktestTally tally;
  const CardKey ann{1, 1}, bob{1, 2};
  count(tally, {3, true, true, false, ann, bits(0b101), 10.5});
  count(tally, {3, true, false, true, ann, bits(0b001), 4});
  count(tally, {4, true, false, false, bob, bits(0), 2});
  count(tally, {4, false, true, true, bob, bits(0b111), 100, false});
  count(tally, {4, false, false, false, bob, bits(0b111), 1000});
  EXPECT_EQ(tally.customers_hit(), 2);
  EXPECT_EQ(tally.customers_bothered(), 2);
  EXPECT_EQ(tally.frauds_not_alerted(), 1);
  EXPECT_EQ(tally.alerts(), 2);
  EXPECT_EQ(tally.alerts_hit(), 1);
  EXPECT_EQ(tally.caught(), 10.5);
  EXPECT_EQ(tally.lost(), 100);
  EXPECT_EQ(tally.bothered(), 6);
  EXPECT_EQ(tally.hits_of_rules(), (std::vector<int64_t>{2, 0, 1}));
  EXPECT_EQ(tally.mature_hits(), 3);
  EXPECT_EQ(tally.mature_frauds(), 1);
  EXPECT_EQ(tally.mature_frauds_hit(), 1);
  ASSERT_EQ(tally.days().size(), 2u);
  EXPECT_EQ(tally.days()[1].second.payments, 3);
  EXPECT_EQ(tally.days()[1].second.hits, 1);
}

// Any number of other rules.
TEST(BacktestTally, ComparesManyRules) {
  constexpr size_t kRules = 300;
  bool rules[kRules] = {};
  rules[0] = rules[64] = rules[299] = true;
  BacktestTally tally;
  tally.add_hit(0, {}, CardKey{0, 1}, rules, kRules);
  tally.add_hit(0, {}, CardKey{0, 1}, rules, kRules);
  std::optional<BacktestTally> read = BacktestTally::read(tally.write());
  ASSERT_TRUE(read);
  ASSERT_EQ(read->hits_of_rules().size(), kRules);
  EXPECT_EQ(read->hits_of_rules()[64], 2);
  EXPECT_EQ(read->hits_of_rules()[299], 2);
  EXPECT_EQ(read->hits_of_rules()[298], 0);
}

// However they are divided, and through bytes.
TEST(BacktestTally, PartsAddUpToTheWhole) {
  const std::vector<Payment> payments = some_payments(20000);
  BacktestTally whole;
  std::vector<BacktestTally> parts(3);
  for (size_t i = 0; i < payments.size(); ++i) {
    count(whole, payments[i]);
    count(parts[(i * i) % 3], payments[i]);
  }
  BacktestTally sum;
  for (size_t i = parts.size(); i-- > 0;) {
    std::optional<BacktestTally> read = BacktestTally::read(parts[i].write());
    ASSERT_TRUE(read);
    sum.merge(*read);
  }
  expect_same(whole, sum);
  EXPECT_LE(whole.customers_hit(), 2700);
}

// A card that comes again takes no more room.
TEST(BacktestTally, CardsTakeRoomOnce) {
  BacktestTally tally;
  for (uint64_t i = 0; i < 200000; ++i) tally.add_hit(0, {}, CardKey{0, i % 500}, nullptr, 0);
  EXPECT_EQ(tally.customers_hit(), 500);
  EXPECT_LT(tally.bytes(), 200000u);
}

TEST(BacktestTally, RefusesBytesThatAreNone) {
  BacktestTally tally;
  count(tally, {3, true, true, false, CardKey{1, 1}, bits(1), 1});
  const std::string bytes = tally.write();
  for (size_t size = 0; size < bytes.size(); ++size) EXPECT_FALSE(BacktestTally::read(std::string_view(bytes).substr(0, size)));
  EXPECT_FALSE(BacktestTally::read(bytes + "x"));
  EXPECT_TRUE(BacktestTally::read(bytes));
}

}  // namespace
}  // namespace fraud
