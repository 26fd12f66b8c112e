#include "core/features/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>
#include <unordered_set>
#include <utility>

#include "core/base/error.h"

namespace fraud {
namespace {

constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();

double ratio(size_t part, size_t whole) noexcept {
  return whole == 0 ? kUndefined : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

Ranking::Ranking(std::vector<Outcome> outcomes) : outcomes_(std::move(outcomes)) {
  for (const Outcome& outcome : outcomes_) {
    if (std::isnan(outcome.score)) {
      throw Error(ErrorCode::kInvalidArgument, "a score to be measured is not a number", {},
                  "Leave out the events without a score: WHERE score <> 'NaN'.");
    }
    frauds_ += outcome.is_fraud ? 1 : 0;
  }
  std::sort(outcomes_.begin(), outcomes_.end(),
            [](const Outcome& left, const Outcome& right) { return left.score > right.score; });
}

template <typename Visit>
void Ranking::each_threshold(Visit visit) const {
  size_t caught = 0;
  for (size_t i = 0; i < outcomes_.size(); ++i) {
    caught += outcomes_[i].is_fraud ? 1 : 0;
    if (i + 1 < outcomes_.size() && outcomes_[i + 1].score == outcomes_[i].score) continue;
    visit(quality(outcomes_[i].score, i + 1, caught));
  }
}

AlertQuality Ranking::quality(double threshold, size_t alerts, size_t caught) const noexcept {
  return {threshold, alerts, caught, ratio(caught, alerts), ratio(caught, frauds_)};
}

double Ranking::average_precision() const noexcept {
  if (frauds_ == 0) return kUndefined;
  double sum = 0;
  size_t before = 0;
  each_threshold([&](const AlertQuality& at) {
    sum += at.precision * static_cast<double>(at.caught - before);
    before = at.caught;
  });
  return sum / static_cast<double>(frauds_);
}

double Ranking::auc_roc() const noexcept {
  const size_t honest = outcomes_.size() - frauds_;
  if (frauds_ == 0 || honest == 0) return kUndefined;
  // Twice the number of ordered pairs, so that a tie's half stays whole.
  double twice_ordered = 0;
  size_t alerts = 0;
  size_t caught = 0;
  each_threshold([&](const AlertQuality& at) {
    const size_t new_honest = (at.alerts - at.caught) - (alerts - caught);
    twice_ordered += static_cast<double>(new_honest) * static_cast<double>(caught + at.caught);
    alerts = at.alerts;
    caught = at.caught;
  });
  return twice_ordered / 2 / static_cast<double>(frauds_) / static_cast<double>(honest);
}

bool Ranking::probabilities() const noexcept {
  return outcomes_.empty() || (outcomes_.front().score <= 1 && outcomes_.back().score >= 0);
}

double Ranking::log_loss() const noexcept {
  if (outcomes_.empty() || !probabilities()) return kUndefined;
  constexpr double kEpsilon = std::numeric_limits<double>::epsilon();
  double sum = 0;
  for (const Outcome& outcome : outcomes_) {
    const double score = std::clamp(outcome.score, kEpsilon, 1 - kEpsilon);
    sum -= std::log(outcome.is_fraud ? score : 1 - score);
  }
  return sum / static_cast<double>(outcomes_.size());
}

double Ranking::brier() const noexcept {
  if (outcomes_.empty() || !probabilities()) return kUndefined;
  double sum = 0;
  for (const Outcome& outcome : outcomes_) {
    const double distance = outcome.score - (outcome.is_fraud ? 1.0 : 0.0);
    sum += distance * distance;
  }
  return sum / static_cast<double>(outcomes_.size());
}

AlertQuality Ranking::at_threshold(double threshold) const noexcept {
  size_t alerts = 0;
  size_t caught = 0;
  for (; alerts < outcomes_.size() && outcomes_[alerts].score >= threshold; ++alerts) {
    caught += outcomes_[alerts].is_fraud ? 1 : 0;
  }
  return quality(threshold, alerts, caught);
}

AlertQuality Ranking::at_alert_rate(double rate) const noexcept {
  AlertQuality best = quality(std::numeric_limits<double>::infinity(), 0, 0);
  const double most = rate * static_cast<double>(outcomes_.size());
  each_threshold([&](const AlertQuality& at) {
    if (static_cast<double>(at.alerts) <= most) best = at;
  });
  return best;
}

AlertQuality Ranking::at_precision(double precision) const noexcept {
  AlertQuality best = quality(std::numeric_limits<double>::infinity(), 0, 0);
  each_threshold([&](const AlertQuality& at) {
    if (at.precision >= precision) best = at;
  });
  return best;
}

std::vector<AlertQuality> Ranking::curve(size_t steps) const {
  std::vector<AlertQuality> points;
  const auto step = [&](size_t whole) {
    return steps == 0 ? 0.0 : static_cast<double>(whole) / static_cast<double>(steps);
  };
  const double alert_step = step(outcomes_.size());
  const double caught_step = step(frauds_);
  each_threshold([&](const AlertQuality& at) {
    const bool last = at.alerts == outcomes_.size();
    if (points.empty() || last ||
        static_cast<double>(at.alerts - points.back().alerts) >= alert_step ||
        (at.caught > points.back().caught &&
         static_cast<double>(at.caught - points.back().caught) >= caught_step)) {
      points.push_back(at);
    }
  });
  return points;
}

double card_precision(std::vector<CardOutcome> outcomes, size_t k, bool remove_caught) {
  if (k == 0) throw Error(ErrorCode::kInvalidArgument, "the number of cards must be above 0");
  std::sort(outcomes.begin(), outcomes.end(), [](const CardOutcome& a, const CardOutcome& b) {
    return std::tie(a.day, a.card) < std::tie(b.day, b.card);
  });
  std::unordered_set<uint64_t> caught;
  std::vector<CardOutcome> cards;  // of one day, with its highest score and any fraud
  size_t days = 0;
  double sum = 0;
  for (size_t i = 0; i < outcomes.size();) {
    const int64_t day = outcomes[i].day;
    cards.clear();
    for (; i < outcomes.size() && outcomes[i].day == day; ++i) {
      const CardOutcome& outcome = outcomes[i];
      if (remove_caught && caught.count(outcome.card) != 0) continue;
      if (cards.empty() || cards.back().card != outcome.card) {
        cards.push_back(outcome);
      } else {
        cards.back().score = std::max(cards.back().score, outcome.score);
        cards.back().is_fraud = cards.back().is_fraud || outcome.is_fraud;
      }
    }
    const size_t checked = std::min(k, cards.size());
    std::partial_sort(cards.begin(), cards.begin() + static_cast<std::ptrdiff_t>(checked),
                      cards.end(), [](const CardOutcome& a, const CardOutcome& b) {
                        return a.score != b.score ? a.score > b.score : a.card < b.card;
                      });
    size_t frauds = 0;
    for (size_t c = 0; c < checked; ++c) {
      if (!cards[c].is_fraud) continue;
      ++frauds;
      caught.insert(cards[c].card);
    }
    sum += ratio(frauds, k);
    ++days;
  }
  return days == 0 ? kUndefined : sum / static_cast<double>(days);
}

}  // namespace fraud
