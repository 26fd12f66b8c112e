#include "core/model_file/model_reader.h"
#include "train/trainer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/forest/forest.h"

namespace fraud {
namespace {

using nlohmann::json;

constexpr size_t kColumns = 4;

TrainingConfig config(json params = json::object()) {
  TrainingConfig result;
  result.features = {"a", "b", "c", "d"};
  result.types.assign(kColumns, "float");
  result.params = std::move(params);
  result.num_boost_round = 10;
  result.spool_directory = testing::TempDir();
  return result;
}

// Rows of which a few are frauds, told by a and b, with some values missing.
void fill(Spool* spool, size_t rows) {
  std::vector<float> values, labels;
  for (size_t i = 0; i < rows; ++i) {
    const float a = static_cast<float>(i * 7919 % 1000) / 10;
    const float b = static_cast<float>(i * 104729 % 997);
    values.insert(values.end(), {a, i % 11 == 0 ? std::numeric_limits<float>::quiet_NaN() : b,
                                 static_cast<float>(i % 24), static_cast<float>(std::sin(i))});
    labels.push_back(a > 95 && b > 300 ? 1.0F : 0.0F);
  }
  spool->append(values.data(), labels.data(), rows / 2);
  spool->append(values.data() + rows / 2 * kColumns, labels.data() + rows / 2, rows - rows / 2);
  spool->finish();
}

std::string train(const TrainingConfig& what, const RowRanges& ranges, json* summary,
                  std::vector<json>* trials = nullptr) {
  Trainer trainer(what);
  Spool spool(what.spool_directory, kColumns);
  fill(&spool, 4000);
  return trainer.run(
      spool, ranges, [](const json&) {},
      [&](const json& trial) {
        if (trials != nullptr) trials->push_back(trial);
      },
      summary);
}

TEST(TrainerTest, SpoolGivesBackWhatItTook) {
  Spool spool(testing::TempDir(), kColumns);
  fill(&spool, 1001);
  ASSERT_EQ(spool.rows(), 1001U);
  EXPECT_EQ(spool.values()[kColumns], 91.9F);
  spool.forget(0, 1001);
  EXPECT_EQ(spool.values()[1000 * kColumns + 2], 1000 % 24);
  EXPECT_TRUE(std::isnan(spool.values()[1]));
  EXPECT_THROW(Spool("/nowhere/at/all", kColumns), std::runtime_error);
}

// What is read block by block into bins gives the trees that whole values give.
TEST(TrainerTest, BinsGiveTheSameModelAsWholeValues) {
  Spool spool(testing::TempDir(), kColumns);
  fill(&spool, 4000);
  const std::vector<std::string> types(kColumns, "float");
  const TrainingMatrix binned = TrainingMatrix::binned(spool, 0, 3000, types, 1, 64, nullptr);
  const TrainingMatrix whole = TrainingMatrix::whole(spool, 0, 3000, types, 1);
  const TrainingMatrix later = TrainingMatrix::binned(spool, 3000, 4000, types, 1, 64, &binned);
  const TrainingMatrix later_whole = TrainingMatrix::whole(spool, 3000, 4000, types, 1);
  const Parameters params = {{"objective", "binary:logistic"}, {"tree_method", "hist"}, {"max_bin", "64"},
                             {"nthread", "1"}, {"eval_metric", "logloss"}};
  Booster a({&binned, &later}, {"a", "b", "c", "d"}, params);
  Booster b({&whole, &later_whole}, {"a", "b", "c", "d"}, params);
  for (int i = 0; i < 8; ++i) {
    a.update(i, binned);
    b.update(i, whole);
    EXPECT_EQ(a.measure(i, later), b.measure(i, later_whole)) << i;
  }
  EXPECT_EQ(a.predict(later_whole), b.predict(later_whole));
  EXPECT_EQ(a.measure(8, later).first, "logloss");
}

TEST(TrainerTest, TheSameRunGivesTheSameBytes) {
  const TrainingConfig what = config({{"subsample", 0.5}, {"max_depth", 3}});
  json summary;
  const std::string first = train(what, {{0, 3000}, {3000, 4000}, {}}, &summary);
  EXPECT_EQ(train(what, {{0, 3000}, {3000, 4000}, {}}, &summary), first);
  TrainingConfig other = what;
  other.seed = 5;
  EXPECT_NE(train(other, {{0, 3000}, {3000, 4000}, {}}, &summary), first);
  EXPECT_EQ(read_model(first).feature_names, what.features);
}

TEST(TrainerTest, EarlyStoppingKeepsTheBestRounds) {
  TrainingConfig what = config({{"max_depth", 2}, {"eta", 0.5}});
  what.num_boost_round = 200;
  what.early_stopping_rounds = 5;
  json summary;
  const Forest forest = read_model(train(what, {{0, 3000}, {3000, 4000}, {}}, &summary));
  const auto history = summary["history"].get<std::vector<double>>();
  const int rounds = summary["rounds"].get<int>();
  ASSERT_LT(history.size(), 200U);
  EXPECT_EQ(forest.tree_count(), static_cast<size_t>(rounds));
  EXPECT_EQ(history.size(), static_cast<size_t>(rounds) + 5);
  // More is better for aucpr: no round is above the one that was kept.
  EXPECT_EQ(*std::max_element(history.begin(), history.end()), history[static_cast<size_t>(rounds) - 1]);
  EXPECT_EQ(summary["metric_name"], "aucpr");
  EXPECT_EQ(summary["metric"].get<double>(), history[static_cast<size_t>(rounds) - 1]);
}

TEST(TrainerTest, FoldsDecideTheParametersAndTheRounds) {
  TrainingConfig what = config({{"eta", 0.3}});
  what.num_boost_round = 40;
  what.early_stopping_rounds = 5;
  what.search = {{"max_depth", {1, 4}}};
  RowRanges ranges{{0, 4000}, {}, {{{0, 1000}, {1000, 2000}}, {{0, 2000}, {2000, 3000}}}};
  json summary;
  std::vector<json> trials;
  const Forest forest = read_model(train(what, ranges, &summary, &trials));
  ASSERT_EQ(trials.size(), 4U);
  double sums[2] = {0, 0};
  int rounds[2] = {0, 0};
  for (const json& trial : trials) {
    const size_t t = trial["trial"].get<size_t>() - 1;
    sums[t] += trial["metric"].get<double>();
    rounds[t] += trial["best_round"].get<int>();
  }
  const size_t chosen = sums[1] > sums[0] ? 1 : 0;
  EXPECT_EQ(summary["trial"], chosen + 1);
  EXPECT_EQ(summary["params"]["max_depth"], chosen == 1 ? "4" : "1");
  EXPECT_EQ(forest.tree_count(), static_cast<size_t>(std::lround(rounds[chosen] / 2.0)));
}

TEST(TrainerTest, SearchesTheWholeGridOrDraws) {
  TrainingConfig what = config({{"eta", 0.1}});
  what.search = {{"max_depth", {2, 4, 6}}, {"subsample", {0.5, 1}}};
  EXPECT_EQ(expand_trials(what).size(), 6U);
  what.search = {{"eta", {{"min", 0.01}, {"max", 0.5}, {"log", true}}},
                 {"max_depth", {{"min", 2}, {"max", 4}, {"int", true}}}};
  EXPECT_THROW(expand_trials(what), std::runtime_error);  // ranges need a number of draws
  what.trials = 200;
  const std::vector<Parameters> draws = expand_trials(what);
  ASSERT_EQ(draws.size(), 200U);
  std::set<std::string> depths;
  for (const Parameters& params : draws) {
    for (const auto& [name, value] : params) {
      if (name == "eta") {
        EXPECT_GE(std::stod(value), 0.01);
        EXPECT_LE(std::stod(value), 0.5);
      } else {
        depths.insert(value);
      }
    }
  }
  EXPECT_EQ(depths, (std::set<std::string>{"2", "3", "4"}));
  EXPECT_EQ(expand_trials(what), draws);  // the seed decides
  what.seed = 1;
  EXPECT_NE(expand_trials(what), draws);
}

TEST(TrainerTest, RefusesWhatXgboostDoesNotKnow) {
  EXPECT_THROW(Trainer(config({{"etaa", 0.1}})), XgboostError);
  EXPECT_THROW(Trainer(config({{"objective", "beauty"}})), XgboostError);
  EXPECT_THROW(Trainer(config({{"max_depth", "deep"}})), XgboostError);
  try {
    Trainer trainer(config({{"etaa", 0.1}}));
  } catch (const XgboostError& error) {
    EXPECT_STREQ(error.what(), "XGBoost does not know the parameters { \"etaa\" }");
  }
}

TEST(TrainerTest, NeedsFraudsAndRows) {
  json summary;
  EXPECT_THROW(train(config(), {{0, 0}, {}, {}}, &summary), std::runtime_error);
  EXPECT_THROW(train(config(), {{0, 2}, {}, {}}, &summary), std::runtime_error);
  TrainingConfig stopping = config();
  stopping.early_stopping_rounds = 3;
  EXPECT_THROW(train(stopping, {{0, 3000}, {3000, 3000}, {}}, &summary), std::runtime_error);
}

}  // namespace
}  // namespace fraud
