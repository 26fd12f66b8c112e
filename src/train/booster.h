// XGBoost's C API with owners, exceptions and the few calls that training needs.
#pragma once

#include <cstddef>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "train/spool.h"

namespace fraud {

// A failed call of XGBoost's library, with the library's own message.
struct XgboostError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Returns the version of the loaded library, such as "1.7.4".
std::string xgboost_version();

// Rows of features with their labels, in XGBoost's own copy.
class TrainingMatrix {
 public:
  // Takes rows of `feature_count` values each, row after row, NaN being a
  // missing value, and one label (0 or 1) a row. XGBoost copies all of it.
  TrainingMatrix(const std::vector<float>& values, const std::vector<float>& labels,
                 size_t feature_count);

  // Takes rows [begin, end) of a spool whole, for tree methods that need the
  // values. A feature's type is "float" or "c" (XGBoost's category).
  static TrainingMatrix whole(const Spool& spool, size_t begin, size_t end,
                              const std::vector<std::string>& types, int threads);

  // Takes rows [begin, end) of a spool block after block into bins, for `hist`:
  // the values themselves are not kept. With a reference its bins are taken, else
  // at most max_bin are made.
  static TrainingMatrix binned(const Spool& spool, size_t begin, size_t end,
                               const std::vector<std::string>& types, int threads, int max_bin,
                               const TrainingMatrix* reference);

  ~TrainingMatrix();
  TrainingMatrix(TrainingMatrix&& other) noexcept
      : handle_(std::exchange(other.handle_, nullptr)) {}
  TrainingMatrix(const TrainingMatrix&) = delete;
  TrainingMatrix& operator=(const TrainingMatrix&) = delete;

  void* handle() const noexcept { return handle_; }

 private:
  explicit TrainingMatrix(void* handle) noexcept : handle_(handle) {}

  void* handle_ = nullptr;
};

enum class ModelFormat { kUbjson, kJson };

// An ensemble in training. The matrices given to it must outlive it.
class Booster {
 public:
  // Parameters are XGBoost's own names and texts. The saved model carries the
  // feature names. Predictions on the matrices given here are cached.
  Booster(const std::vector<const TrainingMatrix*>& matrices,
          const std::vector<std::string>& feature_names,
          const std::vector<std::pair<std::string, std::string>>& parameters);
  ~Booster();
  Booster(Booster&& other) noexcept
      : handle_(std::exchange(other.handle_, nullptr)),
        feature_names_(std::move(other.feature_names_)) {}
  Booster(const Booster&) = delete;
  Booster& operator=(const Booster&) = delete;

  // Runs boosting round `iteration` (from 0).
  void update(int iteration, const TrainingMatrix& matrix);

  // Returns the value of the (one) eval_metric on the matrix.
  double evaluate(int iteration, const TrainingMatrix& matrix);

  // Returns the name and value of the last eval_metric on the matrix.
  std::pair<std::string, double> measure(int iteration, const TrainingMatrix& matrix);

  // Returns a probability a row, or a margin (log-odds).
  std::vector<float> predict(const TrainingMatrix& matrix, bool margin = false) const;

  // Returns the ensemble of the first `rounds` rounds.
  Booster first_rounds(int rounds) const;

  std::string save(ModelFormat format) const;

  // Returns the loss that each feature's splits took away in all; features that no
  // split uses are left out.
  std::map<std::string, double> importance() const;

  void set_feature_types(const std::vector<std::string>& types);

 private:
  // Takes over a handle of the library.
  explicit Booster(void* handle) noexcept : handle_(handle) {}
  void set_feature_names(const std::vector<std::string>& names);

  void* handle_ = nullptr;
  std::vector<std::string> feature_names_;
};

}  // namespace fraud
