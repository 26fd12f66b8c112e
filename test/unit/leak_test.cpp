#include "core/features/leak.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace fraud {
namespace {

// Columns: the label itself, its opposite, missing where it is fraud, noise, a constant.
void add_rows(LeakFinder& finder, int honest, int frauds) {
  for (int i = 0; i < honest + frauds; ++i) {
    const bool is_fraud = i % (honest / frauds + 1) == 0;
    const float row[] = {is_fraud ? 1.0F : 0.0F, is_fraud ? -3.0F : 7.0F, is_fraud ? std::numeric_limits<float>::quiet_NaN() : static_cast<float>(i),
                         static_cast<float>(i * 7919 % 101), 5.0F};
    finder.add(is_fraud, row);
  }
}

TEST(LeakFinder, NamesColumnsThatSeparateTheLabelsAlone) {
  LeakFinder finder(5);
  add_rows(finder, 900, 100);
  const auto leaks = finder.find();
  ASSERT_EQ(leaks.size(), 3U);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(leaks[i].feature, i);
    EXPECT_EQ(leaks[i].auc, 1);
  }
}

TEST(LeakFinder, SaysNothingOfFewRowsOrOneClass) {
  LeakFinder few(5);
  add_rows(few, 81, 9);
  EXPECT_TRUE(few.find().empty());
  LeakFinder one(1);
  const float zero = 0;
  for (int i = 0; i < 1000; ++i) one.add(false, &zero);
  EXPECT_TRUE(one.find().empty());
  EXPECT_TRUE(LeakFinder(0).find().empty());
}

TEST(LeakFinder, KeepsASampleOfManyRows) {
  LeakFinder finder(5, 5 * 300);
  add_rows(finder, 99000, 1000);
  EXPECT_EQ(finder.find().size(), 3U);
}

TEST(LeakFinder, ANearMissIsNoLeak) {
  LeakFinder finder(1);
  for (int i = 0; i < 1000; ++i) {
    const float value = i < 100 ? (i < 2 ? 0.0F : 10.0F) : static_cast<float>(i % 9);
    finder.add(i < 100, &value);
  }
  EXPECT_TRUE(finder.find().empty());
}

}  // namespace
}  // namespace fraud
