#include "train/trainer.h"

#include <xgboost/c_api.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <memory>
#include <random>
#include <set>
#include <stdexcept>

namespace fraud {
namespace {

using nlohmann::json;

constexpr size_t kMaxTrials = 1000;

// XGBoost's other names of what we have a default for.
constexpr const char* kAliases[][2] = {{"eta", "learning_rate"}, {"lambda", "reg_lambda"}};

// What XGBoost warned of since it was last asked.
std::string warnings;

void take_warning(const char* text) {
  const std::string line(text);
  if (line.find("WARNING") != std::string::npos) warnings += line;
}

// Throws when XGBoost warned of a parameter that it does not know. The text is
// such as: Parameters: { "etaa" } are not used.
void refuse_unknown_parameters() {
  const std::string text = std::exchange(warnings, {});
  const size_t begin = text.find("Parameters: {");
  const size_t end = text.find('}', begin == std::string::npos ? 0 : begin);
  if (begin == std::string::npos || end == std::string::npos) return;
  throw XgboostError("XGBoost does not know the parameters" + text.substr(begin + 11, end - begin - 10));
}

std::string text_of(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return value.get<bool>() ? "1" : "0";
  return value.dump();
}

// Sets a parameter, or changes it.
void set(Parameters* params, const std::string& name, const std::string& value) {
  for (auto& [known, text] : *params) {
    if (known == name) {
      text = value;
      return;
    }
  }
  params->emplace_back(name, value);
}

// The last, where there are several.
const std::string* find(const Parameters& params, const char* name) {
  const std::string* found = nullptr;
  for (const auto& [known, text] : params) {
    if (known == name) found = &text;
  }
  return found;
}

bool is_binned(const Parameters& params) {
  const std::string* method = find(params, "tree_method");
  return method != nullptr && *method == "hist";
}

// XGBoost's exact splits, which "auto" may choose, would take categories for numbers.
void refuse_lost_categories(const Parameters& params, const std::vector<std::string>& types) {
  const std::string& method = *find(params, "tree_method");
  if (method == "hist" || method == "approx") return;
  if (std::find(types.begin(), types.end(), "c") == types.end()) return;
  throw std::runtime_error("tree_method " + method +
                           " has no splits by category: take hist or approx, or features of kind code");
}

int max_bin_of(const Parameters& params) {
  const std::string* bins = find(params, "max_bin");
  return bins == nullptr ? 256 : std::max(2, std::atoi(bins->c_str()));
}

// Metrics of which more is better, as XGBoost's own early stopping has them.
bool maximised(const std::string& metric) {
  for (const char* name : {"auc", "aucpr", "map", "ndcg", "pre"}) {
    if (metric.rfind(name, 0) == 0) return true;
  }
  return false;
}

double uniform(std::mt19937_64& random) {  // the same on every machine
  return static_cast<double>(random() >> 11) * 0x1p-53;
}

std::string draw(const std::string& name, const json& range, std::mt19937_64& random) {
  if (range.is_array()) {
    return text_of(range[static_cast<size_t>(uniform(random) * static_cast<double>(range.size()))]);
  }
  const double low = range.at("min").get<double>();
  const double high = range.at("max").get<double>();
  const bool log = range.value("log", false);
  if (!(low <= high) || (log && low <= 0)) {
    throw std::runtime_error("invalid range of \"" + name + "\" in search");
  }
  double value = log ? std::exp(std::log(low) + uniform(random) * (std::log(high) - std::log(low)))
                     : low + uniform(random) * (high - low);
  if (range.value("int", false)) {
    value = std::min(std::floor(low + uniform(random) * (high - low + 1)), high);
    return std::to_string(static_cast<int64_t>(value));
  }
  char text[40];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

json as_json(const Parameters& params) {
  json object = json::object();
  for (const auto& [name, value] : params) {
    json& known = object[name];
    if (known.is_null()) {
      known = value;
    } else {
      if (!known.is_array()) known = json::array({known});
      known.push_back(value);
    }
  }
  return object;
}

}  // namespace

TrainingConfig read_training_config(const std::string& text) {
  const json value = json::parse(text);
  TrainingConfig config;
  config.features = value.at("features").get<std::vector<std::string>>();
  config.types = value.at("types").get<std::vector<std::string>>();
  config.params = value.at("params");
  config.num_boost_round = value.at("num_boost_round").get<int>();
  config.early_stopping_rounds = value.at("early_stopping_rounds").get<int>();
  config.search = value.at("search");
  config.trials = value.at("trials").get<int>();
  config.seed = value.at("seed").get<uint64_t>();
  config.threads = value.at("threads").get<int>();
  config.spool_directory = value.at("spool_directory").get<std::string>();
  return config;
}

RowRanges read_row_ranges(const std::string& text) {
  const json value = json::parse(text);
  const auto range = [](const json& pair) {
    return RowRange{pair.at(0).get<size_t>(), pair.at(1).get<size_t>()};
  };
  RowRanges ranges;
  ranges.train = range(value.at("train"));
  ranges.validation = range(value.at("validation"));
  for (const json& fold : value.at("folds")) {
    ranges.folds.emplace_back(range(fold.at(0)), range(fold.at(1)));
  }
  return ranges;
}

std::vector<Parameters> expand_trials(const TrainingConfig& config) {
  Parameters base;
  for (const auto& [name, value] : config.params.items()) {
    if (name == "eval_metric" && value.is_array()) {
      for (const json& metric : value) base.emplace_back(name, text_of(metric));
    } else {
      set(&base, name, text_of(value));
    }
  }
  if (config.search.is_null()) return {base};
  for (const auto& [name, range] : config.search.items()) {
    const bool choices = range.is_array() && !range.empty();
    const bool bounds = range.is_object() && range.contains("min") && range.contains("max");
    if (!choices && !(bounds && config.trials > 0)) {
      throw std::runtime_error(
          "invalid range of \"" + name +
          "\" in search: expected an array of values, or with trials {\"min\": …, \"max\": …}");
    }
  }
  std::vector<Parameters> trials;
  if (config.trials > 0) {
    std::mt19937_64 random(config.seed);
    for (int i = 0; i < config.trials; ++i) {
      Parameters params = base;
      for (const auto& [name, range] : config.search.items()) {
        set(&params, name, draw(name, range, random));
      }
      trials.push_back(std::move(params));
    }
    return trials;
  }
  trials.push_back(base);
  for (const auto& [name, values] : config.search.items()) {
    std::vector<Parameters> grown;
    if (trials.size() * values.size() > kMaxTrials) {
      throw std::runtime_error("the search has more than " + std::to_string(kMaxTrials) +
                               " combinations: give trials, to draw some");
    }
    for (const Parameters& params : trials) {
      for (const json& value : values) {
        grown.push_back(params);
        set(&grown.back(), name, text_of(value));
      }
    }
    trials = std::move(grown);
  }
  return trials;
}

// What came of fitting one set of parameters.
struct Trainer::Fit {
  std::unique_ptr<Booster> booster;
  Parameters params;
  std::string metric_name;
  double metric = 0;
  int best_round = 0;  // rounds until the best metric, or all
  bool maximise = false;
  std::vector<double> history;  // the metric of each round

  bool better(double value) const { return maximise ? value > metric : value < metric; }
};

// The matrices of one split, kept while trials need the same bins.
struct Trainer::Matrices {
  const Spool& spool;
  const TrainingConfig& config;
  RowRange train_rows, validation_rows;
  int bins = -1;  // of what is there; 0: whole values
  std::unique_ptr<TrainingMatrix> train, validation;

  void make(const Parameters& params) {
    const int wanted = is_binned(params) ? max_bin_of(params) : 0;
    if (wanted == bins) return;
    validation.reset();
    train.reset();
    bins = wanted;
    train = one(train_rows, nullptr);
    if (validation_rows.rows() > 0) validation = one(validation_rows, train.get());
  }

  std::unique_ptr<TrainingMatrix> one(RowRange rows, const TrainingMatrix* reference) const {
    return std::make_unique<TrainingMatrix>(
        bins > 0 ? TrainingMatrix::binned(spool, rows.begin, rows.end, config.types, config.threads,
                                          bins, reference)
                 : TrainingMatrix::whole(spool, rows.begin, rows.end, config.types, config.threads));
  }

  double frauds_in(RowRange rows) const {
    double frauds = 0;
    for (size_t i = rows.begin; i < rows.end; ++i) frauds += static_cast<double>(spool.labels()[i]);
    return frauds;
  }

  // The areas under curves are undefined for rows of one class.
  void check_metrics(const Parameters& params) const {
    const double frauds = frauds_in(validation_rows);
    if (validation_rows.rows() == 0 || (frauds > 0 && frauds < static_cast<double>(validation_rows.rows()))) return;
    for (const auto& [name, metric] : params) {
      if (name != "eval_metric" || !maximised(metric)) continue;
      throw std::runtime_error((frauds > 0 ? "all rows of the validation period are frauds, so "
                                           : "no row of the validation period is a fraud, so ") +
                               metric + " is undefined");
    }
  }

  // The share of fraud in the training rows: where boosting begins.
  double prior() const {
    const double frauds = frauds_in(train_rows);
    if (frauds == 0) throw std::runtime_error("no row of the training period is a fraud");
    if (frauds == static_cast<double>(train_rows.rows())) {
      throw std::runtime_error("all labelled rows of the training period are frauds");
    }
    return frauds / static_cast<double>(train_rows.rows());
  }
};

Trainer::Trainer(TrainingConfig config) : config_(std::move(config)) {
  XGBRegisterLogCallback(take_warning);
  trials_ = expand_trials(config_);
  const std::vector<float> values(4 * config_.features.size(), 0.0F);
  const TrainingMatrix rows(values, {0, 1, 0, 1}, config_.features.size());
  for (const Parameters& params : trials_) {
    refuse_lost_categories(completed(params, 0.5), config_.types);
    Booster booster({&rows}, config_.features, completed(params, 0.5));
    booster.update(0, rows);
    booster.measure(0, rows);
    refuse_unknown_parameters();
    if (sample_model_.empty()) sample_model_ = booster.save(ModelFormat::kUbjson);
  }
}

// What is not given has a default of ours.
Parameters Trainer::completed(const Parameters& params, double base_score) const {
  Parameters all = params;
  const auto give = [&](const char* name, const std::string& value) {
    for (const auto& [other, alias] : kAliases) {
      if (name == std::string(other) && find(all, alias) != nullptr) return;
    }
    if (find(all, name) == nullptr) all.emplace_back(name, value);
  };
  char prior[32];
  std::snprintf(prior, sizeof prior, "%.6g", base_score);
  give("objective", "binary:logistic");
  give("tree_method", "hist");
  if (is_binned(all) || *find(all, "tree_method") == "approx") give("max_bin", "1024");
  give("base_score", prior);
  if (const std::string* booster = find(all, "booster"); booster == nullptr || *booster != "gblinear") {
    // Frauds are few: XGBoost's own defaults follow each of them (docs/benchmarks.md).
    give("eta", "0.1");
    give("max_depth", "5");
    give("min_child_weight", "5");
    give("subsample", "0.8");
    give("colsample_bytree", "0.8");
    give("lambda", "2");
  }
  give("eval_metric", "aucpr");
  set(&all, "seed", std::to_string(config_.seed));
  set(&all, "nthread", std::to_string(config_.threads));
  set(&all, "validate_parameters", "1");
  set(&all, "verbosity", "1");
  return all;
}

Trainer::Fit Trainer::fit(const Parameters& params, const TrainingMatrix& train,
                          const TrainingMatrix* validation, double base_score, int rounds,
                          const json& where, const Report& progress) {
  Fit fit;
  fit.params = completed(params, base_score);
  std::vector<const TrainingMatrix*> matrices = {&train};
  if (validation != nullptr) matrices.push_back(validation);
  fit.booster = std::make_unique<Booster>(matrices, config_.features, fit.params);
  fit.booster->set_feature_types(config_.types);
  auto reported = std::chrono::steady_clock::time_point();
  for (int i = 0; i < rounds; ++i) {
    fit.booster->update(i, train);
    json told = where;
    told["round"] = i + 1;
    told["rounds"] = rounds;
    if (validation != nullptr) {
      const auto [name, value] = fit.booster->measure(i, *validation);
      if (fit.history.empty()) {
        fit.metric_name = name;
        fit.maximise = maximised(name);
      }
      if (fit.history.empty() || fit.better(value)) {
        fit.metric = value;
        fit.best_round = i + 1;
      }
      fit.history.push_back(value);
      told["metric"] = value;
      told["metric_name"] = name;
    } else {
      fit.best_round = i + 1;
    }
    const auto now = std::chrono::steady_clock::now();
    if (i == 0 || i + 1 == rounds || now - reported > std::chrono::milliseconds(100)) {
      progress(told);
      reported = now;
    }
    if (validation != nullptr && config_.early_stopping_rounds > 0 &&
        i + 1 - fit.best_round >= config_.early_stopping_rounds) {
      break;
    }
  }
  return fit;
}

std::string Trainer::run(const Spool& spool, const RowRanges& ranges, const Report& progress,
                         const Report& trial, json* summary) {
  if (ranges.train.rows() == 0) throw std::runtime_error("no row of the training period has a label");
  std::vector<std::pair<RowRange, RowRange>> splits = ranges.folds;
  const bool searching = trials_.size() > 1;
  const bool on_folds = !splits.empty();
  if (!on_folds) splits.emplace_back(ranges.train, ranges.validation);
  if ((searching || config_.early_stopping_rounds > 0) && !on_folds && ranges.validation.rows() == 0) {
    throw std::runtime_error("no row of the validation period has a label");
  }

  // Every set of parameters on every split.
  std::vector<double> sums(trials_.size(), 0.0);
  std::vector<int> round_sums(trials_.size(), 0);
  Fit best;  // without folds: the model itself
  size_t chosen = 0;
  if (on_folds || searching) {
    bool maximise = false;
    for (size_t s = 0; s < splits.size(); ++s) {
      if (splits[s].first.rows() == 0 || splits[s].second.rows() == 0) {
        throw std::runtime_error("fold " + std::to_string(s + 1) + " has a period without labelled rows");
      }
      Matrices matrices{spool, config_, splits[s].first, splits[s].second, -1, nullptr, nullptr};
      const double prior = matrices.prior();
      for (size_t t = 0; t < trials_.size(); ++t) {
        const json where = {{"phase", on_folds ? "cross-validation" : "search"},
                            {"trial", t + 1},
                            {"trials", trials_.size()},
                            {"fold", on_folds ? s + 1 : 0},
                            {"folds", on_folds ? splits.size() : 0}};
        matrices.check_metrics(completed(trials_[t], prior));
        matrices.make(completed(trials_[t], prior));
        Fit result = fit(trials_[t], *matrices.train, matrices.validation.get(), prior,
                         config_.num_boost_round, where, progress);
        trial({{"trial", t + 1},
               {"fold", on_folds ? s + 1 : 0},
               {"params", as_json(trials_[t])},
               {"metric_name", result.metric_name},
               {"metric", result.metric},
               {"best_round", result.best_round}});
        sums[t] += result.metric;
        round_sums[t] += result.best_round;
        maximise = result.maximise;
        if (!on_folds && (best.booster == nullptr || best.better(result.metric))) best = std::move(result);
      }
    }
    for (size_t t = 1; t < trials_.size(); ++t) {
      if (maximise ? sums[t] > sums[chosen] : sums[t] < sums[chosen]) chosen = t;
    }
  }

  // The model: of all training rows, with the parameters chosen.
  if (best.booster == nullptr) {
    Matrices matrices{spool, config_, ranges.train, ranges.validation, -1, nullptr, nullptr};
    const double prior = matrices.prior();
    matrices.check_metrics(completed(trials_[chosen], prior));
    progress({{"phase", "binning"}});
    matrices.make(completed(trials_[chosen], prior));
    int rounds = config_.num_boost_round;
    if (on_folds && config_.early_stopping_rounds > 0 && matrices.validation == nullptr) {
      const auto folds = static_cast<double>(splits.size());
      rounds = std::max(1, static_cast<int>(std::lround(round_sums[chosen] / folds)));
    }
    best = fit(trials_[chosen], *matrices.train, matrices.validation.get(), prior, rounds,
               {{"phase", "boosting"}}, progress);
    progress({{"phase", "saving"}});
  }
  const auto rounds_run = static_cast<int>(std::max<size_t>(best.history.size(), static_cast<size_t>(best.best_round)));
  const bool cut = config_.early_stopping_rounds > 0 && best.best_round < rounds_run;
  const std::string model = cut ? best.booster->first_rounds(best.best_round).save(ModelFormat::kUbjson)
                                : best.booster->save(ModelFormat::kUbjson);
  *summary = {{"params", as_json(best.params)},
              {"rounds", cut ? best.best_round : rounds_run},
              {"rounds_run", rounds_run},
              {"history", best.history},
              {"importance", best.booster->importance()},
              {"xgboost_version", xgboost_version()}};
  if (!best.history.empty()) {
    (*summary)["metric_name"] = best.metric_name;
    (*summary)["metric"] = best.metric;
  }
  if (on_folds) (*summary)["fold_metric"] = sums[chosen] / static_cast<double>(splits.size());
  if (searching) (*summary)["trial"] = chosen + 1;
  return model;
}

}  // namespace fraud
