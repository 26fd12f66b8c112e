#include "core/rules/suggestion.h"

#include <gtest/gtest.h>

#include <cmath>

namespace fraud {
namespace {

// A fraud is above 50 in the second column and below 10 in the third; the first says nothing.
SuggestionSearch sample() {
  SuggestionSearch search(3);
  for (int i = 0; i < 400; ++i) {
    const double second = i % 20 * 5, third = i / 20;
    search.add({static_cast<double>(i % 7), i == 399 ? std::nan("") : second, third}, second > 50 && third < 10);
  }
  return search;
}

TEST(Suggestions, FindThePairThatTellsFrauds) {
  const std::vector<Suggestion> found = sample().find(90, 310, 5);
  ASSERT_EQ(found.size(), 5u);
  ASSERT_TRUE(found[0].second);
  EXPECT_GT(found[0].value, 0.9);
  for (size_t i = 1; i < found.size(); ++i) EXPECT_LE(found[i].value, found[i - 1].value);
  for (const Comparison& one : {found[0].first, *found[0].second}) EXPECT_EQ(one.above, one.column == 1);
  EXPECT_NEAR(found[0].caught / found[0].hit, 1, 1e-9);
}

// What there is less of in the sample weighs more.
TEST(Suggestions, WeighTheSample) {
  const std::vector<Suggestion> once = sample().find(90, 310, 5), tenfold = sample().find(900, 3100, 5), others = sample().find(90, 31000, 5);
  EXPECT_NEAR(tenfold[0].value, once[0].value, 1e-12);
  EXPECT_NEAR(tenfold[0].hit, 10 * once[0].hit, 1e-6);
  EXPECT_NEAR(others[0].caught / others[0].hit, 1, 1e-9);
  EXPECT_NE(others[4].value, once[4].value);
}

TEST(Suggestions, OfNothingAreNone) {
  EXPECT_TRUE(SuggestionSearch(3).find(0, 0, 5).empty());
  SuggestionSearch legitimate(1);
  legitimate.add({1}, false);
  EXPECT_TRUE(legitimate.find(0, 1, 5).empty());
  SuggestionSearch missing(1);
  missing.add({std::nan("")}, true);
  EXPECT_TRUE(missing.find(1, 0, 5).empty());
}

}  // namespace
}  // namespace fraud
