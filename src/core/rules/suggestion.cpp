#include "core/rules/suggestion.h"

#include <algorithm>
#include <cmath>
#include <tuple>

namespace fraud {

namespace {

constexpr double kQuantiles[] = {0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95};
constexpr size_t kPaired = 25;

auto order(const Suggestion& s) {
  auto of = [](const Comparison& c) { return std::make_tuple(c.column, c.above, c.at); };
  return std::make_tuple(-s.value, of(s.first), s.second.has_value(), of(s.second.value_or(Comparison{})));
}

bool better(const Suggestion& a, const Suggestion& b) { return order(a) < order(b); }

}  // namespace

std::vector<double> SuggestionSearch::thresholds(size_t column) const {
  std::vector<double> of_frauds, cuts;
  for (size_t row = 0; row < frauds_.size(); ++row) {
    if (frauds_[row] && !std::isnan(value(row, column))) of_frauds.push_back(value(row, column));
  }
  if (of_frauds.empty()) return cuts;
  std::sort(of_frauds.begin(), of_frauds.end());
  for (double quantile : kQuantiles) {
    const auto place = static_cast<size_t>(std::ceil(quantile * static_cast<double>(of_frauds.size())));
    cuts.push_back(of_frauds[std::max<size_t>(place, 1) - 1]);
  }
  cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
  return cuts;
}

std::vector<Suggestion> SuggestionSearch::find(double frauds, double others, size_t most) const {
  double sampled_frauds = 0, sampled_others = 0;
  for (char fraud : frauds_) (fraud ? sampled_frauds : sampled_others) += 1;
  const double weights[2] = {sampled_others > 0 ? others / sampled_others : 0, sampled_frauds > 0 ? frauds / sampled_frauds : 0};
  auto judge = [&](Suggestion& one) {
    for (size_t row = 0; row < frauds_.size(); ++row) {
      if (!one.first.holds(value(row, one.first.column)) || (one.second && !one.second->holds(value(row, one.second->column)))) continue;
      const double weight = weights[frauds_[row] ? 1 : 0];
      one.hit += weight;
      if (frauds_[row]) one.caught += weight;
    }
    one.value = one.hit > 0 ? 1.25 * one.caught / (0.25 * frauds + one.hit) : 0;
  };
  std::vector<Suggestion> singles;
  for (size_t column = 0; column < columns_; ++column) {
    const std::vector<double> cuts = thresholds(column);
    for (bool above : {false, true}) {
      std::optional<Suggestion> best;
      for (double at : cuts) {
        Suggestion one{{column, above, at}, std::nullopt};
        judge(one);
        if (!best || better(one, *best)) best = one;
      }
      if (best) singles.push_back(*best);
    }
  }
  std::sort(singles.begin(), singles.end(), better);
  std::vector<Suggestion> found = singles;
  for (size_t i = 0; i < std::min(singles.size(), kPaired); ++i) {
    for (size_t j = i + 1; j < std::min(singles.size(), kPaired); ++j) {
      if (singles[i].first.column == singles[j].first.column) continue;
      Suggestion pair{singles[i].first, singles[j].first};
      judge(pair);
      found.push_back(pair);
    }
  }
  found.erase(std::remove_if(found.begin(), found.end(), [](const Suggestion& one) { return one.caught <= 0; }), found.end());
  std::sort(found.begin(), found.end(), better);
  if (found.size() > most) found.resize(most);
  return found;
}

}  // namespace fraud
