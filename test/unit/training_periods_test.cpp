// Which rows of a training run are for what.
#include "core/features/training_periods.h"

#include <gtest/gtest.h>

namespace fraud {
namespace {

Periods periods() {
  Periods periods;
  periods.train.from = 0;
  periods.train.to = 100;
  periods.validation.from = 110;
  periods.validation.to = 120;
  periods.test.from = 130;
  periods.test.to = 140;
  return periods;
}

TEST(TrainingPeriods, RowsAreForWhatTheirTimeSays) {
  Periods all = periods();
  EXPECT_EQ(all.end(), 140);
  for (int64_t time : {-1, 100, 109, 120, 129, 140}) EXPECT_EQ(all.add(time, 0), RowUse::kNone) << time;
  for (int64_t time : {0, 99, 110, 119}) EXPECT_EQ(all.add(time, 0), RowUse::kTraining) << time;
  for (int64_t time : {130, 139}) EXPECT_EQ(all.add(time, 1), RowUse::kTest) << time;
  EXPECT_EQ(all.train.rows, 2);
  EXPECT_EQ(all.validation.rows, 2);
  EXPECT_EQ(all.validation.frauds, 0);
  EXPECT_EQ(all.test.rows, 2);
  EXPECT_EQ(all.test.frauds, 2);
}

TEST(TrainingPeriods, WhatIsNotGivenHoldsNothing) {
  Periods alone;
  alone.train.from = 0;
  alone.train.to = 100;
  EXPECT_EQ(alone.end(), 100);
  EXPECT_EQ(alone.add(Period::kNever - 1, 0), RowUse::kNone);
  EXPECT_EQ(alone.add(50, 0), RowUse::kTraining);
  EXPECT_EQ(alone.ranges().dump(), R"({"train":[0,1],"validation":[1,1],"folds":[]})");
}

// A row each unit of time, so that a row's number is its time; three folds of 25, and a delay of 10 before each.
TEST(TrainingPeriods, FoldsTrainOnWhatIsBeforeThemButForTheDelay) {
  Periods all = periods();
  all.fold(3, 10);
  for (int64_t time = 0; time < 140; ++time) (void)all.add(time, time % 2 == 0 ? 1.0F : 0.0F);
  EXPECT_EQ(all.ranges().dump(), R"({"train":[0,100],"validation":[100,110],"folds":[[[0,15],[25,50]],[[0,40],[50,75]],[[0,65],[75,100]]]})");
  EXPECT_EQ(all.train.frauds, 50);
}

TEST(TrainingPeriods, TheLastFoldEndsWithThePeriod) {
  Periods all = periods();
  all.fold(6, 0);  // 100 / 7
  for (int64_t time = 0; time < 100; ++time) (void)all.add(time, 0);
  const Json ranges = all.ranges();
  const auto& folds = ranges["folds"].values();
  ASSERT_EQ(folds.size(), 6U);
  EXPECT_EQ(folds[5].dump(), "[[0,84],[84,100]]");
}

}  // namespace
}  // namespace fraud
