// Every kind of model that is supported, trained here by the installed XGBoost, on
// rows made to be hard: our answers against its own.
#include "reference.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string_view>

#include "compiled.h"
#include "core/forest/forest.h"
#include "core/model_file/model_reader.h"
#include "nasty_rows.h"

namespace fraud {
namespace {

constexpr size_t kRows = 10000;

class EveryShape : public testing::TestWithParam<Shape> {};

TEST_P(EveryShape, GivesXgboostsAnswersBitForBit) {
  const Reference xgboost = Reference::train(GetParam());
  const Forest forest = read_model(xgboost.save("ubj"));
  const std::vector<float> rows = nasty_rows(forest, kRows, 21);
  expect_margins(xgboost, rows, [&](const float* row) { return forest.margin(row); });
  expect_predictions(xgboost, rows, [&](const float* row) { return forest.score(row); });
  for (const Kernel* kernel : kernels()) {
    SCOPED_TRACE(kernel->name);
    Compiled compiled(forest, *kernel);
    expect_margins(xgboost, rows, [&](const float* row) { return compiled.scorer.margin(row); });
    std::vector<float> batch(kRows);
    compiled.scorer.margins(rows.data(), kRows, forest.feature_count(), batch.data());
    expect_margins(xgboost, rows, [&](const float* row) {
      return batch[static_cast<size_t>(row - rows.data()) / forest.feature_count()];
    });
  }
  // Text and binary are one model.
  const Forest other = read_model(xgboost.save("json"));
  expect_margins(xgboost, rows, [&](const float* row) { return other.margin(row); });
}

TEST_P(EveryShape, GivesXgboostsContributions) {
  const Reference xgboost = Reference::train(GetParam());
  const Forest forest = read_model(xgboost.save("ubj"));
  constexpr size_t kExplained = 100;
  const std::vector<float> rows = nasty_rows(forest, kExplained, 24);
  const std::vector<float> expected = xgboost.contributions(rows);
  const size_t width = forest.feature_count() + 1;
  ASSERT_EQ(expected.size(), kExplained * width);
  Compiled compiled(forest);
  for (size_t i = 0; i < kExplained; ++i) {
    const std::vector<double> phi = compiled.contributions(&rows[i * forest.feature_count()]);
    for (size_t j = 0; j < width; ++j) {
      // XGBoost adds in float32: what is in the hundreds has its own rounding.
      const double value = static_cast<double>(expected[i * width + j]);
      EXPECT_NEAR(phi[j], value, 1e-4 + 1e-6 * std::fabs(value)) << "row " << i << " feature " << j;
    }
  }
}

TEST_P(EveryShape, KeepsTheFirstIterationsAsXgboostDoes) {
  const Reference xgboost = Reference::train(GetParam());
  Forest forest = read_model(xgboost.save("ubj"));
  const std::vector<float> rows = nasty_rows(forest, 500, 22);
  const int half = GetParam().rounds / 2;
  forest.keep_iterations(static_cast<size_t>(half));
  const std::vector<float> expected = xgboost.margins(rows, half);
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(forest.margin(&rows[i * Reference::kFeatures]), expected[i]) << "row " << i;
  }
}

// Prediction in place takes infinities as they are; it is another way to the same
// margins, but for dart, where XGBoost adds (base + leaf - base) * weight.
TEST(PredictionInPlace, GivesTheSameMarginsButForDart) {
  for (const Shape& shape : shapes()) {
    const Reference xgboost = Reference::train(shape);
    const Forest forest = read_model(xgboost.save("ubj"));
    const std::vector<float> rows = nasty_rows(forest, 500, 23);
    const std::vector<float> in_place = xgboost.margins_in_place(rows);
    const bool is_dart = std::string_view(shape.name).substr(0, 4) == "Dart";
    ASSERT_EQ(in_place.size(), 500U);
    for (size_t i = 0; i < in_place.size(); ++i) {
      const float margin = forest.margin(&rows[i * Reference::kFeatures]);
      if (is_dart) {
        EXPECT_NEAR(margin, in_place[i], 1e-5) << shape.name << " row " << i;
      } else {
        EXPECT_EQ(margin, in_place[i]) << shape.name << " row " << i;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, EveryShape, testing::ValuesIn(shapes()),
    [](const testing::TestParamInfo<Shape>& shape) { return std::string(shape.param.name); });

}  // namespace
}  // namespace fraud
