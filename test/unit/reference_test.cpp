// Every kind of model that is supported, trained here by the installed XGBoost, on
// rows made to be hard: our answers against its own.
#include "reference.h"

#include <gtest/gtest.h>

#include "core/forest.h"
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
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, EveryShape, testing::ValuesIn(shapes()),
    [](const testing::TestParamInfo<Shape>& shape) { return std::string(shape.param.name); });

}  // namespace
}  // namespace fraud
