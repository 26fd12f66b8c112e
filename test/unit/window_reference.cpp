#include "window_reference.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <set>
#include <utility>

#include "core/base/geo.h"

namespace fraud {

std::vector<TestEvent> random_events(uint64_t seed, size_t count, Amounts amounts) {
  std::mt19937_64 random(seed);
  std::vector<TestEvent> events(count);
  int64_t time = -50;
  for (size_t i = 0; i < count; ++i) {
    TestEvent& event = events[i];
    time += static_cast<int64_t>(random() % 4);  // many ties
    event.time = time;
    event.id = static_cast<int>(i);
    const auto card = random() % 5, merchant = random() % 3;
    if (card != 4) event.keys[0] = "card" + std::to_string(card);
    event.keys[1] = "m" + std::to_string(merchant);
    if (card != 4) event.keys[2] = event.keys[0] + "/" + event.keys[1];
    double amount = static_cast<double>(random() % 4000) / 8 - 100;
    if (amounts == Amounts::kAny) {
      amount = std::ldexp(amount + 0.1, static_cast<int>(random() % 20) - 10);
      if (random() % 40 == 0) amount = 1e30;  // more than sums hold exactly
      if (random() % 40 == 0) amount = 1e-60;
    }
    event.cells[0] = random() % 10 == 0 ? kAbsent : number_cell(amount);
    event.cells[1] = random() % 3 == 0 ? event.cells[0] : kAbsent;
    event.cells[2] = random() % 8 == 0 ? kAbsent : random() % 4;
    event.cells[3] = random() % 8 == 0 ? kAbsent : number_cell(static_cast<double>(random() % 180) - 90);
    event.cells[4] = random() % 8 == 0 ? kAbsent : number_cell(static_cast<double>(random() % 360) - 180);
    if (random() % 3 == 0) event.known = time + static_cast<int64_t>(random() % 120);
    if (event.known != kNever && random() % 2 == 0) {
      for (uint64_t n = random() % 4, at = 0; n > 0; --n) {
        at += 1 + random() % 60;
        event.turns.push_back(event.known + static_cast<int64_t>(at));
      }
    }
  }
  return events;
}

Event view(const TestEvent& event) {
  return {event.time, event.known, event.cells, event.turns.data(), event.turns.size(), event.run};
}

std::vector<const TestEvent*> window_of(const WindowFeature& feature, const std::vector<TestEvent>& events,
                                        size_t current) {
  const TestEvent& now = events[current];
  std::vector<const TestEvent*> window;
  for (size_t i = 0; i < events.size(); ++i) {
    const TestEvent& event = events[i];
    if (event.keys[feature.key] != now.keys[feature.key]) continue;
    if (event.time <= now.time - feature.delay_us - feature.width_us) continue;
    if (event.time > now.time - feature.delay_us) continue;
    if (event.run != 0 && event.run == now.run && i != current && !feature.include_current) continue;
    const bool earlier = std::pair(event.time, event.id) < std::pair(now.time, now.id);
    if (!earlier && !(i == current && feature.include_current)) continue;
    if (feature.input != kEveryEvent && event.cells[feature.input] == kAbsent) continue;
    if (feature.second_input != kEveryEvent && event.cells[feature.second_input] == kAbsent) continue;
    window.push_back(&event);
  }
  return window;
}

double reference(const WindowFeature& feature, const std::vector<TestEvent>& events, size_t current) {
  const TestEvent& now = events[current];
  if (now.keys[feature.key].empty()) return NAN;
  const std::vector<const TestEvent*> window = window_of(feature, events, current);
  auto value = [&](const TestEvent* event) { return cell_number(event->cells[feature.input]); };
  const auto count = static_cast<double>(window.size());
  long double total = 0, least = INFINITY, most = -INFINITY;
  std::set<Cell> different;
  double frauds = 0;
  for (const TestEvent* event : window) {
    if (feature.input != kEveryEvent) {
      total += value(event);
      // Of equal ones the latest: of 0.0 and -0.0 it matters.
      if (value(event) <= least) least = value(event);
      if (value(event) >= most) most = value(event);
      different.insert(event->cells[feature.input]);
    }
    bool fraud = event->known <= now.time;
    for (int64_t turn : event->turns) fraud = fraud != (turn <= now.time);
    if (fraud) ++frauds;
  }
  long double squares = 0;
  for (const TestEvent* event : window) {
    if (feature.input == kEveryEvent) break;
    squares += (value(event) - total / count) * (value(event) - total / count);
  }
  const double mean = static_cast<double>(total) / count;
  const double deviation =
      window.size() < 2 ? NAN : static_cast<double>(std::sqrt(squares / (count - 1)));
  const bool has_value = now.cells[0] != kAbsent;
  switch (feature.aggregate) {
    case Aggregate::kCount: return count;
    case Aggregate::kSum: return static_cast<double>(total);
    case Aggregate::kAvg: return window.empty() ? NAN : mean;
    case Aggregate::kMin: return window.empty() ? NAN : static_cast<double>(least);
    case Aggregate::kMax: return window.empty() ? NAN : static_cast<double>(most);
    case Aggregate::kStddev: return deviation;
    case Aggregate::kDistinct: return static_cast<double>(different.size());
    case Aggregate::kRate: return window.empty() ? NAN : frauds / count;
    case Aggregate::kRatio:
      return !has_value || window.empty() || mean == 0 ? NAN : cell_number(now.cells[0]) / mean;
    case Aggregate::kZscore:
      return !has_value || !(deviation > 0) ? NAN : (cell_number(now.cells[0]) - mean) / deviation;
    default: break;
  }
  if (window.empty()) return NAN;
  const TestEvent& last = *window.back();
  const double seconds = static_cast<double>(now.time - last.time) / 1e6;
  if (feature.aggregate == Aggregate::kLast) return value(&last);
  if (feature.aggregate == Aggregate::kSecondsSinceLast) return seconds;
  if (now.cells[3] == kAbsent || now.cells[4] == kAbsent) return NAN;
  const double distance = distance_km(cell_number(last.cells[3]), cell_number(last.cells[4]),
                                      cell_number(now.cells[3]), cell_number(now.cells[4]));
  return feature.aggregate == Aggregate::kDistance ? distance : distance * 3600 / std::max(seconds, 1.0);
}

bool same(float a, float b) {
  return (std::isnan(a) && std::isnan(b)) || std::memcmp(&a, &b, sizeof(a)) == 0;
}

bool as_reference(const WindowFeature& feature, float got, double expected) {
  switch (feature.aggregate) {
    case Aggregate::kStddev:
    case Aggregate::kZscore:
    case Aggregate::kSpeed:
      if (std::isnan(got) || std::isnan(expected)) return std::isnan(got) && std::isnan(expected);
      return std::fabs(got - expected) <= 1e-5 * std::fabs(expected) + 1e-9;
    default: return same(got, static_cast<float>(expected));
  }
}

}  // namespace fraud
