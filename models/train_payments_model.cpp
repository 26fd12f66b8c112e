// Trains the demonstration model that is shipped: simulates payments, computes
// their features, trains on the first months, and writes payments.ubj and its
// card, payments.md, into a directory.
#include <algorithm>
#include <array>
#include <chrono>
#include <cinttypes>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <exception>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "core/forest.h"
#include "core/metrics.h"
#include "core/payment_features.h"
#include "core/simulator.h"
#include "train/booster.h"

#include <sys/resource.h>

namespace {

using fraud::AlertQuality;
using fraud::FraudPattern;
using fraud::Outcome;
using fraud::Ranking;

constexpr int64_t kDayUs = int64_t{24} * 3600 * 1000000;

constexpr int kCustomers = 2000;
constexpr int kMerchants = 600;
constexpr int kDays = 180;
constexpr uint64_t kSeed = 20250101;
constexpr int64_t kStartUs = int64_t{20089} * kDayUs;  // 2025-01-01

constexpr int kMaxRounds = 150;
constexpr int kEarlyStoppingRounds = 20;

// Reviewers can look at so many of all payments.
constexpr double kReviewRate = 0.01;
// Of the payments that are blocked, so many must be fraud.
constexpr double kBlockPrecision = 0.9;

constexpr std::array<double, 4> kAlertRates = {0.001, 0.0025, 0.005, 0.01};

const std::vector<std::pair<std::string, std::string>>& parameters() {
  static const std::vector<std::pair<std::string, std::string>> kParameters = {
      {"objective", "binary:logistic"},
      {"tree_method", "hist"},
      {"max_bin", "1024"},
      {"max_depth", "5"},
      {"eta", "0.1"},
      {"min_child_weight", "5"},
      {"subsample", "0.8"},
      {"colsample_bytree", "0.8"},
      {"lambda", "2"},
      {"base_score", "0.005"},
      {"eval_metric", "logloss"},
      {"seed", "1"},
      {"nthread", "2"}};
  return kParameters;
}

struct Pattern {
  FraudPattern pattern;
  const char* name;
};
constexpr std::array<Pattern, 4> kPatterns = {{
    {FraudPattern::kCardTesting, "card testing"},
    {FraudPattern::kStolenCard, "stolen card"},
    {FraudPattern::kCompromisedMerchant, "compromised merchant"},
    {FraudPattern::kOverspending, "overspending"},
}};

// A part of the history: the days [from_day, to_day).
struct Period {
  const char* name;
  const char* dates;
  int from_day, to_day;
  std::vector<float> values;
  std::vector<float> labels;
  std::vector<FraudPattern> patterns;

  size_t rows() const { return labels.size(); }
  size_t frauds() const {
    return static_cast<size_t>(std::count(labels.begin(), labels.end(), 1.0F));
  }
};

// Returns text formatted as by printf.
[[gnu::format(printf, 1, 2)]] std::string format(const char* pattern, ...) {
  va_list arguments;
  va_start(arguments, pattern);
  char text[1024];
  std::vsnprintf(text, sizeof text, pattern, arguments);
  va_end(arguments);
  return text;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Simulates all payments and puts their features into the period of their day.
// A card's history runs on from one period into the next, as it does live.
void fill(std::array<Period, 3>* periods) {
  fraud::SimulatorConfig config;
  config.customers = kCustomers;
  config.merchants = kMerchants;
  config.days = kDays;
  config.seed = kSeed;
  config.start_us = kStartUs;
  const fraud::Simulator simulator(config);
  for (int customer = 0; customer < kCustomers; ++customer) {
    std::vector<fraud::CardEvent> history;
    for (const fraud::SimulatedPayment& simulated : simulator.customer(customer)) {
      const fraud::Payment& payment = simulated.payment;
      const fraud::PaymentFeatures features =
          fraud::compute_payment_features(payment, history.data(), history.data() + history.size());
      history.push_back({*payment.occurred_at_us, payment.amount_cents, *payment.merchant_latitude,
                         *payment.merchant_longitude});
      const auto day = static_cast<int>((*payment.occurred_at_us - kStartUs) / kDayUs);
      for (Period& period : *periods) {
        if (day < period.from_day || day >= period.to_day) continue;
        period.values.insert(period.values.end(), features.begin(), features.end());
        period.labels.push_back(*payment.is_fraud ? 1.0F : 0.0F);
        period.patterns.push_back(simulated.pattern);
      }
    }
  }
}

Ranking rank(const Period& period, const std::vector<float>& scores) {
  std::vector<Outcome> outcomes(scores.size());
  for (size_t i = 0; i < scores.size(); ++i) outcomes[i] = {scores[i], period.labels[i] == 1.0F};
  return Ranking(std::move(outcomes));
}

// Returns the recall among the frauds of one pattern.
double pattern_recall(const Period& period, const std::vector<float>& scores, FraudPattern pattern,
                      float threshold) {
  size_t frauds = 0;
  size_t caught = 0;
  for (size_t i = 0; i < scores.size(); ++i) {
    if (period.patterns[i] != pattern) continue;
    ++frauds;
    caught += scores[i] >= threshold ? 1 : 0;
  }
  return static_cast<double>(caught) / static_cast<double>(frauds);
}

// Throws unless our own scorer gives the margins of XGBoost, bit for bit.
void check_scorer(const std::string& model, const Period& period,
                  const std::vector<float>& margins) {
  const fraud::Forest forest = fraud::read_model(model);
  const auto& names = fraud::payment_feature_names();
  if (!std::equal(names.begin(), names.end(), forest.feature_names.begin(),
                  forest.feature_names.end())) {
    throw std::runtime_error("the saved model does not carry the feature names");
  }
  for (size_t i = 0; i < margins.size(); ++i) {
    const float margin = forest.margin(period.values.data() + i * names.size());
    if (margin != margins[i]) {
      throw std::runtime_error(format("row %zu has margin %.9g, but XGBoost says %.9g", i,
                                      static_cast<double>(margin),
                                      static_cast<double>(margins[i])));
    }
  }
}

void write_file(const std::string& path, const std::string& bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file) throw std::runtime_error("could not write \"" + path + "\"");
}

std::string quality_row(const std::string& name, const Ranking& ranking, const AlertQuality& at) {
  return format("| %s | %.4f | %zu | %.2f %% | %.3f | %.3f |\n", name.c_str(),
                at.threshold, at.alerts,
                100 * static_cast<double>(at.alerts) / static_cast<double>(ranking.size()),
                at.precision, at.recall);
}

struct Thresholds {
  float review, block;
};

// Writes what a reader must know of the model before using it.
std::string model_card(const std::array<Period, 3>& periods, int rounds, size_t model_bytes,
                       const Ranking& validation, const Ranking& test,
                       const std::vector<float>& test_scores, Thresholds thresholds) {
  const Period& test_period = periods[2];
  std::string card =
      "# The `payments` model\n\n"
      "For demonstration: trained on simulated payments only. It makes the extension useful in\n"
      "the first minute; it is not for production. Written by `make model`, with the model file\n"
      "`payments.ubj`; the same library on the same machine writes the same bytes again.\n\n"
      "## Thresholds\n\n";
  card += format("review_at = %.3f, block_at = %.3f\n\n", static_cast<double>(thresholds.review),
                 static_cast<double>(thresholds.block));
  card += format(
      "Probabilities, chosen on the validation period: `review_at` alerts at most %g %% of the\n"
      "payments, `block_at` is the lowest whose alerts are fraud in at least %g %% of the "
      "cases.\n\n",
      100 * kReviewRate, 100 * kBlockPrecision);

  card += format("## Data\n\n%d customers, %d merchants, %d days from 2025-01-01 UTC, seed %" PRIu64
                 ".\n\n| period | dates | payments | frauds | share |\n|---|---|--:|--:|--:|\n",
                 kCustomers, kMerchants, kDays, kSeed);
  for (const Period& period : periods) {
    card += format("| %s | %s | %zu | %zu | %.2f %% |\n", period.name, period.dates, period.rows(),
                   period.frauds(),
                   100 * static_cast<double>(period.frauds()) / static_cast<double>(period.rows()));
  }
  card +=
      "\nPeriods follow one another: the model is judged on days later than any it saw.\n"
      "Features are those of `src/core/payment_features.h`, in this order: ";
  bool first = true;
  for (const std::string_view name : fraud::payment_feature_names()) {
    card.append(first ? "" : ", ").append("`").append(name).append("`");
    first = false;
  }
  card += format(
      ".\n\n## Training\n\nXGBoost %s, %d rounds (early stopping after %d rounds without "
      "a better validation log loss, at most %d), %zu bytes.\nParameters: ",
      fraud::xgboost_version().c_str(), rounds, kEarlyStoppingRounds, kMaxRounds, model_bytes);
  first = true;
  for (const auto& [name, value] : parameters()) {
    card += format("%s`%s=%s`", first ? "" : ", ", name.c_str(), value.c_str());
    first = false;
  }

  card += ".\n\n## Quality\n\n| period | average precision | AUC | log loss |\n|---|--:|--:|--:|\n";
  const auto summary = [](const char* name, const Ranking& ranking) {
    return format("| %s | %.4f | %.4f | %.5f |\n", name, ranking.average_precision(),
                  ranking.auc_roc(), ranking.log_loss());
  };
  card += summary("validation", validation) + summary("test", test);
  card +=
      "\nOn the test period, by threshold or by the share of payments that may be alerted:\n\n"
      "| alert | threshold | alerts | of payments | precision | recall |\n"
      "|---|--:|--:|--:|--:|--:|\n";
  card += quality_row("`review_at`", test, test.at_threshold(thresholds.review));
  card += quality_row("`block_at`", test, test.at_threshold(thresholds.block));
  for (const double rate : kAlertRates) {
    card += quality_row(format("%g %%", 100 * rate), test, test.at_alert_rate(rate));
  }
  card +=
      "\nRecall on the test period, by the pattern of the fraud:\n\n"
      "| pattern | frauds | at `review_at` | at `block_at` |\n|---|--:|--:|--:|\n";
  for (const Pattern& pattern : kPatterns) {
    card += format(
        "| %s | %td | %.3f | %.3f |\n", pattern.name,
        std::count(test_period.patterns.begin(), test_period.patterns.end(), pattern.pattern),
        pattern_recall(test_period, test_scores, pattern.pattern, thresholds.review),
        pattern_recall(test_period, test_scores, pattern.pattern, thresholds.block));
  }
  card +=
      "\n## Limits\n\n"
      "- Its payments, people and frauds are invented, so the figures above say how well it knows\n"
      "  the simulator, not how well it would know your customers.\n"
      "- Amounts are in US dollars, hours and weekdays in UTC, homes and merchants in the United\n"
      "  States. Other currencies or regions are outside of what it has seen.\n"
      "- Labels are complete and right at once; real ones come late and some never.\n"
      "- It uses age and the population of the home town. Whether that is allowed where you are\n"
      "  is yours to judge.\n"
      "- It was trained on periods without drift. Real fraud answers to what stops it.\n\n"
      "## To replace it\n\n"
      "Train with XGBoost on features of your own labelled payments (`docs/features.md`;\n"
      "`fraud.transactions` holds them), bring the model with `fraud.import_model`, judge it\n"
      "on later payments, then `fraud.promote` it.\n";
  return card;
}

void run(const std::string& directory) {
  const auto start = std::chrono::steady_clock::now();
  std::array<Period, 3> periods = {{
      {"training", "2025-01-01 to 2025-04-30", 0, 120, {}, {}, {}},
      {"validation", "2025-05-01 to 2025-05-30", 120, 150, {}, {}, {}},
      {"test", "2025-05-31 to 2025-06-29", 150, 180, {}, {}, {}},
  }};
  fill(&periods);
  for (const Period& period : periods) {
    std::fprintf(stderr, "%s: %zu payments, %zu frauds\n", period.name, period.rows(),
                 period.frauds());
  }
  std::fprintf(stderr, "features ready after %.1f s\n", seconds_since(start));

  const std::vector<std::string> names(fraud::payment_feature_names().begin(),
                                       fraud::payment_feature_names().end());
  const fraud::TrainingMatrix training(periods[0].values, periods[0].labels, names.size());
  const fraud::TrainingMatrix validation(periods[1].values, periods[1].labels, names.size());
  const fraud::TrainingMatrix test(periods[2].values, periods[2].labels, names.size());

  fraud::Booster booster({&training, &validation}, names, parameters());
  double best = INFINITY;
  int rounds = 0;
  for (int i = 0; i < kMaxRounds && i - rounds < kEarlyStoppingRounds; ++i) {
    booster.update(i, training);
    const double loss = booster.evaluate(i, validation);
    if (loss < best) {
      best = loss;
      rounds = i + 1;
    }
    if (i % 10 == 0) {
      std::fprintf(stderr, "round %d: validation log loss %.6f, %.1f s\n", i, loss,
                   seconds_since(start));
    }
  }
  const fraud::Booster model = booster.first_rounds(rounds);
  const std::string bytes = model.save(fraud::ModelFormat::kUbjson);
  check_scorer(bytes, periods[2], model.predict(test, true));

  // Thresholds are rounded up to whole thousandths, and so keep their promise.
  const Ranking validation_ranking = rank(periods[1], model.predict(validation));
  const auto rounded_up = [](double threshold) {
    return static_cast<float>(std::ceil(threshold * 1000) / 1000);
  };
  const Thresholds thresholds = {
      rounded_up(validation_ranking.at_alert_rate(kReviewRate).threshold),
      rounded_up(validation_ranking.at_precision(kBlockPrecision).threshold)};
  const std::vector<float> test_scores = model.predict(test);
  const Ranking test_ranking = rank(periods[2], test_scores);

  write_file(directory + "/payments.ubj", bytes);
  write_file(directory + "/payments.md",
             model_card(periods, rounds, bytes.size(), validation_ranking, test_ranking,
                        test_scores, thresholds));

  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::fprintf(stderr,
               "%d rounds, %zu bytes; test: average precision %.4f, AUC %.4f\n"
               "done after %.1f s, peak memory %ld MB\n",
               rounds, bytes.size(), test_ranking.average_precision(), test_ranking.auc_roc(),
               seconds_since(start), usage.ru_maxrss / 1024);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2 || argv[1][0] == '-') {
    std::fprintf(stderr, "usage: train_payments_model OUTPUT_DIRECTORY\n");
    return 2;
  }
  try {
    run(argv[1]);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "train_payments_model: %s\n", error.what());
    return 1;
  }
}
