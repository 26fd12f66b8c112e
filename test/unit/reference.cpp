#include "reference.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>

#include "xgboost/c_api.h"

namespace fraud {
namespace {

constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr size_t kTrainingRows = 3000;

void check(int status) {
  ASSERT_EQ(status, 0) << XGBGetLastError();
}

bool starts_with(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}

// The features of training: numbers, small integers, tiny numbers, categories.
std::vector<float> training_rows(const Shape& shape) {
  std::mt19937 random(11);
  std::uniform_real_distribution<float> uniform(0, 1);
  std::vector<float> rows;
  for (size_t i = 0; i < kTrainingRows; ++i) {
    for (size_t j = 0; j < Reference::kFeatures; ++j) {
      float value = uniform(random);
      if (shape.categorical && j == 3) {
        value = std::floor(value * 8);
      } else if (shape.categorical && j == 7) {
        value = std::floor(value * 40);
      } else if (j % 3 == 0) {
        value = std::floor(value * 20) - 5;
      } else if (j == 10) {
        value *= 1e-40F;
      }
      rows.push_back(uniform(random) < shape.missing ? kMissing : value);
    }
  }
  return rows;
}

// Labels that depend on the features and suit the objective.
std::vector<float> training_labels(const Shape& shape, std::string_view objective,
                                   const std::vector<float>& rows) {
  std::mt19937 random(12);
  std::uniform_real_distribution<float> uniform(0, 1);
  std::vector<float> labels;
  for (size_t i = 0; i < kTrainingRows; ++i) {
    const float* row = &rows[i * Reference::kFeatures];
    float signal = (std::isnan(row[0]) ? 0.3F : (row[0] + 5) / 20) +
                   (std::isnan(row[1]) ? 0 : row[1] * row[2]) + uniform(random) * 0.5F +
                   (row[10] > 5e-41F ? 0.3F : 0.0F);
    if (std::isnan(signal)) signal = 0.5F;
    if (shape.categorical && !std::isnan(row[7])) {
      signal += static_cast<float>(static_cast<int>(row[7]) * 7 % 5) * 0.2F;
    }
    if (shape.categorical && row[3] == 5) signal += 0.7F;
    if (starts_with(objective, "binary:")) {
      labels.push_back(signal > 0.9F ? 1.0F : 0.0F);
    } else if (objective == "reg:logistic") {
      labels.push_back(signal / (1 + signal));
    } else if (starts_with(objective, "rank:")) {
      labels.push_back(signal > 0.9F ? 1.0F : 0.0F);
    } else if (objective == "count:poisson") {
      labels.push_back(std::floor(signal * 3));
    } else if (objective == "survival:cox") {
      labels.push_back(uniform(random) < 0.3F ? -signal : signal);
    } else {
      labels.push_back(signal + 0.01F);
    }
  }
  return labels;
}

// Calls one of the library's predictions and copies what it gives.
template <typename Predict>
std::vector<float> predicted(const Predict& predict, int type, int iterations) {
  const std::string config = "{\"type\": " + std::to_string(type) +
                             ", \"training\": false, \"iteration_begin\": 0, \"iteration_end\": " +
                             std::to_string(iterations) +
                             ", \"strict_shape\": false, \"cache_id\": 0, \"missing\": NaN}";
  bst_ulong const* shape = nullptr;
  bst_ulong dims = 0;
  const float* result = nullptr;
  check(predict(config.c_str(), &shape, &dims, &result));
  size_t count = 1;
  for (bst_ulong i = 0; i < dims; ++i) count *= shape[i];
  return {result, result + count};
}

constexpr int kPrediction = 0;
constexpr int kMargin = 1;
constexpr int kContributions = 2;

uint32_t bits(float value) {
  uint32_t result = 0;
  std::memcpy(&result, &value, sizeof(result));
  return result;
}

// Returns how many floats lie between two; very many for a NaN and a number.
uint32_t ulps_between(float a, float b) {
  if (bits(a) == bits(b)) return 0;
  if (std::isnan(a) || std::isnan(b)) return std::numeric_limits<uint32_t>::max();
  const auto place = [](float value) {
    const auto all = static_cast<int64_t>(bits(value) & 0x7FFFFFFFU);
    return std::signbit(value) ? -all : all;
  };
  return static_cast<uint32_t>(std::max<int64_t>(1, std::llabs(place(a) - place(b))));
}

std::string shown(const float* row, size_t width) {
  std::string text;
  char cell[32];
  for (size_t i = 0; i < width; ++i) {
    std::snprintf(cell, sizeof(cell), "%s%.9g", i == 0 ? "" : ", ", static_cast<double>(row[i]));
    text += cell;
  }
  return text;
}

void expect_near(const std::vector<float>& expected, const std::vector<float>& rows, size_t width,
                 const RowScorer& scorer, uint32_t max_ulps) {
  ASSERT_EQ(expected.size() * width, rows.size());
  size_t wrong = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const float* row = &rows[i * width];
    const float found = scorer(row);
    if (ulps_between(found, expected[i]) <= max_ulps) continue;
    if (++wrong <= 3) {
      ADD_FAILURE() << "row " << i << ": " << testing::PrintToString(found) << ", XGBoost says "
                    << testing::PrintToString(expected[i]) << " of " << shown(row, width);
    }
  }
  EXPECT_EQ(wrong, 0U) << "of " << expected.size() << " rows";
}

}  // namespace

const std::vector<Shape>& shapes() {
  static const std::vector<Shape> all = {
      // Growth.
      {"Usual", 40, {{"max_depth", "6"}, {"tree_method", "hist"}}},
      {"FineBins", 20, {{"max_depth", "5"}, {"tree_method", "hist"}, {"max_bin", "1024"}}},
      {"Pruned", 20, {{"max_depth", "4"}, {"tree_method", "exact"}, {"gamma", "1"}}},
      {"Deep", 5, {{"max_depth", "20"}, {"min_child_weight", "0"}, {"eta", "0.5"}}},
      {"Stumps", 30, {{"max_depth", "1"}}},
      {"LeafWise",
       20,
       {{"grow_policy", "lossguide"},
        {"max_depth", "0"},
        {"max_leaves", "31"},
        {"tree_method", "hist"}}},
      {"ManyTrees", 10, {{"num_parallel_tree", "4"}, {"subsample", "0.5"}}},
      {"MostlyMissing", 20, {{"max_depth", "6"}}, 0.7F},
      // Boosters.
      {"Dart",
       20,
       {{"booster", "dart"}, {"rate_drop", "0.3"}, {"one_drop", "1"}, {"base_score", "0.3"}}},
      {"DartForest",
       20,
       {{"booster", "dart"},
        {"rate_drop", "0.5"},
        {"normalize_type", "forest"},
        {"sample_type", "weighted"},
        {"num_parallel_tree", "2"},
        {"subsample", "0.7"}}},
      // Splits by category.
      {"OneHot",
       20,
       {{"max_cat_to_onehot", "100"}, {"tree_method", "hist"}, {"max_depth", "5"}},
       0.1F,
       true},
      {"Partition",
       20,
       {{"max_cat_to_onehot", "1"}, {"tree_method", "hist"}, {"max_depth", "5"}},
       0.1F,
       true},
      {"ApproxPartition",
       10,
       {{"max_cat_to_onehot", "9"}, {"tree_method", "approx"}, {"max_depth", "6"}},
       0.3F,
       true},
      {"DartPartition",
       15,
       {{"booster", "dart"},
        {"rate_drop", "0.3"},
        {"max_cat_to_onehot", "1"},
        {"tree_method", "hist"}},
       0.1F,
       true},
      // Objectives.
      {"BaseScore", 20, {{"base_score", "0.0123"}, {"scale_pos_weight", "5"}}},
      {"LogitRaw", 20, {{"objective", "binary:logitraw"}, {"base_score", "0.2"}}},
      {"RegLogistic", 20, {{"objective", "reg:logistic"}, {"base_score", "0.7"}}},
      {"SquaredError", 20, {{"objective", "reg:squarederror"}, {"base_score", "-3.5"}}},
      {"SquaredLogError", 20, {{"objective", "reg:squaredlogerror"}}},
      {"PseudoHuber", 20, {{"objective", "reg:pseudohubererror"}}},
      {"AbsoluteError", 20, {{"objective", "reg:absoluteerror"}}},
      {"Poisson", 20, {{"objective", "count:poisson"}, {"base_score", "1.7"}}},
      {"Gamma", 20, {{"objective", "reg:gamma"}, {"base_score", "0.3"}}},
      {"Tweedie", 20, {{"objective", "reg:tweedie"}, {"tweedie_variance_power", "1.3"}}},
      {"RankPairwise", 10, {{"objective", "rank:pairwise"}}},
      {"RankNdcg", 10, {{"objective", "rank:ndcg"}, {"base_score", "0.25"}}},
      {"RankMap", 10, {{"objective", "rank:map"}}},
      {"Cox", 20, {{"objective", "survival:cox"}}},
  };
  return all;
}

Reference Reference::train(const Shape& shape) {
  std::string objective = "binary:logistic";
  for (const auto& [name, value] : shape.parameters) {
    if (std::strcmp(name, "objective") == 0) objective = value;
  }
  const std::vector<float> rows = training_rows(shape);
  const std::vector<float> labels = training_labels(shape, objective, rows);
  Reference result(kFeatures);
  check(XGDMatrixCreateFromMat(rows.data(), kTrainingRows, kFeatures, kMissing, &result.data_));
  check(XGDMatrixSetFloatInfo(result.data_, "label", labels.data(), labels.size()));
  if (shape.categorical) {
    std::vector<const char*> types(kFeatures, "float");
    types[3] = types[7] = "c";
    check(XGDMatrixSetStrFeatureInfo(result.data_, "feature_type", types.data(), kFeatures));
  }
  if (starts_with(objective, "rank:")) {
    const std::vector<unsigned> groups(kTrainingRows / 30, 30);
    check(XGDMatrixSetUIntInfo(result.data_, "group", groups.data(), groups.size()));
  }
  check(XGBoosterCreate(&result.data_, 1, &result.booster_));
  const auto set = [&](const char* name, const char* value) {
    check(XGBoosterSetParam(result.booster_, name, value));
  };
  set("objective", "binary:logistic");
  set("nthread", "1");
  set("seed", "7");
  for (const auto& [name, value] : shape.parameters) set(name, value);
  for (int i = 0; i < shape.rounds; ++i) {
    check(XGBoosterUpdateOneIter(result.booster_, i, result.data_));
  }
  return result;
}

Reference Reference::load(std::string_view model, size_t features) {
  Reference result(features);
  check(XGBoosterCreate(nullptr, 0, &result.booster_));
  check(XGBoosterSetParam(result.booster_, "nthread", "1"));
  check(XGBoosterLoadModelFromBuffer(result.booster_, model.data(), model.size()));
  return result;
}

Reference::Reference(Reference&& other) noexcept
    : booster_(std::exchange(other.booster_, nullptr)),
      data_(std::exchange(other.data_, nullptr)),
      features_(other.features_) {}

Reference::~Reference() {
  if (booster_ != nullptr) XGBoosterFree(booster_);
  if (data_ != nullptr) XGDMatrixFree(data_);
}

std::string Reference::save(const char* format) const {
  const std::string config = std::string("{\"format\": \"") + format + "\"}";
  bst_ulong size = 0;
  const char* bytes = nullptr;
  check(XGBoosterSaveModelToBuffer(booster_, config.c_str(), &size, &bytes));
  return {bytes, size};
}

std::vector<float> Reference::predict(const std::vector<float>& rows, int type,
                                      int iterations) const {
  const size_t count = rows.size() / features_;
  std::vector<float> result;
  for (const float infinity : {kInfinity, -kInfinity}) {
    // The rows without this infinity; those with neither go with the first.
    std::vector<float> part;
    std::vector<size_t> places;
    for (size_t i = 0; i < count; ++i) {
      const float* row = &rows[i * features_];
      const bool has_this = std::find(row, row + features_, infinity) != row + features_;
      const bool has_other = std::find(row, row + features_, -infinity) != row + features_;
      EXPECT_FALSE(has_this && has_other) << "row " << i << " has both infinities";
      if (has_this || (infinity < 0 && !has_other)) continue;
      part.insert(part.end(), row, row + features_);
      places.push_back(i);
    }
    if (places.empty()) continue;
    DMatrixHandle matrix = nullptr;
    check(XGDMatrixCreateFromMat(part.data(), places.size(), features_, infinity, &matrix));
    const std::vector<float> answers = predicted(
        [&](const char* config, bst_ulong const** shape, bst_ulong* dims, const float** values) {
          return XGBoosterPredictFromDMatrix(booster_, matrix, config, shape, dims, values);
        },
        type, iterations);
    check(XGDMatrixFree(matrix));
    const size_t width = answers.size() / places.size();
    result.resize(count * width);
    for (size_t i = 0; i < places.size(); ++i) {
      std::copy_n(&answers[i * width], width, &result[places[i] * width]);
    }
  }
  return result;
}

std::vector<float> Reference::margins(const std::vector<float>& rows, int iterations) const {
  return predict(rows, kMargin, iterations);
}

std::vector<float> Reference::predictions(const std::vector<float>& rows, int iterations) const {
  return predict(rows, kPrediction, iterations);
}

std::vector<float> Reference::contributions(const std::vector<float>& rows) const {
  return predict(rows, kContributions, 0);
}

std::vector<float> Reference::margins_in_place(const std::vector<float>& rows) const {
  const std::string array =
      "{\"data\": [" + std::to_string(reinterpret_cast<uintptr_t>(rows.data())) +
      ", true], \"shape\": [" + std::to_string(rows.size() / features_) + ", " +
      std::to_string(features_) + "], \"typestr\": \"<f4\", \"version\": 3}";
  return predicted(
      [&](const char* config, bst_ulong const** shape, bst_ulong* dims, const float** values) {
        return XGBoosterPredictFromDense(booster_, array.c_str(), config, nullptr, shape, dims,
                                         values);
      },
      kMargin, 0);
}

void expect_margins(const Reference& xgboost, const std::vector<float>& rows,
                    const RowScorer& margin) {
  expect_near(xgboost.margins(rows), rows, xgboost.feature_count(), margin, 0);
}

void expect_predictions(const Reference& xgboost, const std::vector<float>& rows,
                        const RowScorer& prediction, uint32_t max_ulps) {
  expect_near(xgboost.predictions(rows), rows, xgboost.feature_count(), prediction, max_ulps);
}

}  // namespace fraud
