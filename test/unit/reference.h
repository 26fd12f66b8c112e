// The installed XGBoost as the reference of scores, and the models that scoring is
// compared on:
//
//   const Reference xgboost = Reference::train(shape);
//   const Forest forest = read_model(xgboost.save("ubj"));
//   const std::vector<float> rows = nasty_rows(forest, 10000, 1);
//   expect_margins(xgboost, rows, [&](const float* row) { return forest.margin(row); });
//
// Whatever makes a margin of a row can take the place of the last argument.
#pragma once

#include <cstdint>
#include <functional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fraud {

// What is trained: parameters, and the data that suits the objective.
struct Shape {
  const char* name;
  int rounds = 20;
  std::vector<std::pair<const char*, const char*>> parameters;  // objective is binary:logistic
  float missing = 0.1F;      // share of the values that are missing in training
  bool categorical = false;  // features 3 (of 8 categories) and 7 (of 40) are categories
};

inline void PrintTo(const Shape& shape, std::ostream* out) { *out << shape.name; }

// One shape for each kind of model that is supported: boosters, objectives,
// splits, growth.
const std::vector<Shape>& shapes();

// A booster of the installed library. Every call that fails fails the test.
class Reference {
 public:
  static constexpr size_t kFeatures = 12;  // of the models of train()

  static Reference train(const Shape& shape);
  static Reference load(std::string_view model, size_t features);

  Reference(Reference&& other) noexcept;
  Reference(const Reference&) = delete;
  Reference& operator=(const Reference&) = delete;
  Reference& operator=(Reference&&) = delete;
  ~Reference();

  size_t feature_count() const { return features_; }

  // Returns the model's file; the format is "json" or "ubj".
  std::string save(const char* format) const;

  // Answers for rows of feature_count() values, NaN meaning missing. They go through
  // a DMatrix, which refuses infinities unless the missing value is one: rows with
  // the positive one go by way of a matrix whose missing value is the negative one,
  // and the other way round. Only the first `iterations` count, 0 meaning all.
  std::vector<float> margins(const std::vector<float>& rows, int iterations = 0) const;
  std::vector<float> predictions(const std::vector<float>& rows, int iterations = 0) const;

  // The margins of prediction in place, which takes any values. For booster dart
  // XGBoost rounds them in another way.
  std::vector<float> margins_in_place(const std::vector<float>& rows) const;

  // feature_count() + 1 a row, the last one the bias.
  std::vector<float> contributions(const std::vector<float>& rows) const;

 private:
  explicit Reference(size_t features) : features_(features) {}

  std::vector<float> predict(const std::vector<float>& rows, int type, int iterations) const;

  void* booster_ = nullptr;
  void* data_ = nullptr;  // what it was trained on
  size_t features_;
};

using RowScorer = std::function<float(const float* row)>;

// Expects that the scorer gives XGBoost's margins of all rows bit for bit; shows the
// first rows that differ.
void expect_margins(const Reference& xgboost, const std::vector<float>& rows,
                    const RowScorer& margin);

// The same for predictions, which may be max_ulps away.
void expect_predictions(const Reference& xgboost, const std::vector<float>& rows,
                        const RowScorer& prediction, uint32_t max_ulps = 0);

}  // namespace fraud
