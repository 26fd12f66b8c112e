// One training run: what the training program does between its messages.
#pragma once

#include <nlohmann/json.hpp>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "train/booster.h"
#include "train/spool.h"

namespace fraud {

// XGBoost's parameters by name, as its own texts.
using Parameters = std::vector<std::pair<std::string, std::string>>;

// What is to be trained, from the worker's JSON.
struct TrainingConfig {
  std::vector<std::string> features;
  std::vector<std::string> types;  // "float", or "c": a category
  nlohmann::json params;           // XGBoost's, by name
  int num_boost_round = 0;
  int early_stopping_rounds = 0;  // 0: none
  nlohmann::json search;          // null, or what each searched parameter may be
  int trials = 0;                 // 0: the whole grid
  uint64_t seed = 0;
  int threads = 1;
  std::string spool_directory;
};

TrainingConfig read_training_config(const std::string& json);

// Rows [begin, end) of the spool.
struct RowRange {
  size_t begin = 0, end = 0;
  size_t rows() const noexcept { return end - begin; }
};

struct RowRanges {
  RowRange train, validation;                        // the latter empty: none
  std::vector<std::pair<RowRange, RowRange>> folds;  // train, validation
};

RowRanges read_row_ranges(const std::string& json);

// Returns the parameter sets to be tried: one, without a search; every
// combination; or `trials` draws that the seed decides. Throws std::runtime_error.
std::vector<Parameters> expand_trials(const TrainingConfig& config);

class Trainer {
 public:
  using Report = std::function<void(const nlohmann::json&)>;

  // Checks that XGBoost takes all parameters, each of which it must know, by
  // training on a few made-up rows. Throws XgboostError with XGBoost's text.
  explicit Trainer(TrainingConfig config);

  // Returns the file of the model of those rows.
  const std::string& sample_model() const noexcept { return sample_model_; }

  // Trains. `progress` is called each round, `trial` after each trial of each
  // fold. Returns the model's file; `summary` says what it is.
  std::string run(const Spool& spool, const RowRanges& ranges, const Report& progress,
                  const Report& trial, nlohmann::json* summary);

 private:
  struct Fit;
  struct Matrices;

  Fit fit(const Parameters& params, const TrainingMatrix& train, const TrainingMatrix* validation,
          double base_score, int rounds, const nlohmann::json& where, const Report& progress);
  Parameters completed(const Parameters& params, double base_score) const;

  TrainingConfig config_;
  std::vector<Parameters> trials_;
  std::string sample_model_;
};

}  // namespace fraud
