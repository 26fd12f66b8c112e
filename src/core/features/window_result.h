// From what is known of the events of a window to a feature: the arithmetic that KeyWindows and
// WindowTotals share, so that both give the same bits.
#pragma once

#include "core/base/geo.h"
#include "core/features/exact_sum.h"
#include "core/features/feature_engine.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace fraud {

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();
constexpr int64_t kFirstTime = std::numeric_limits<int64_t>::min();

// Returns time - span, not below the first time there is.
inline int64_t before(int64_t time, int64_t span) noexcept {
  return time < kFirstTime + span ? kFirstTime : time - span;
}

// Returns the standard deviation of a sample of values that sum exactly.
inline double exact_deviation(uint64_t count, const Sum& sum, const SumOfSquares& squares) noexcept {
  const auto values = static_cast<double>(count);
  return std::sqrt(scaled_variance(static_cast<uint32_t>(count), sum, squares) / (values * (values - 1)));
}

// Returns a feature of an event. `held` has what its window's accumulator holds: count(), frauds(), sum(),
// deviation() of at least two, extreme() (missing of none), different(), has_last(), last_time(), last(0 or 1).
// Always inline: it is once for each feature, and `held` then is never in memory.
template <typename Held>
[[gnu::always_inline]] inline double window_result(Aggregate aggregate, int current_input, int second_current_input, const Event& event,
                     const Held& held) {
  const auto count = [&] { return static_cast<double>(held.count()); };
  const auto deviation = [&] { return held.count() < 2 ? kMissing : held.deviation(); };
  switch (aggregate) {
    case Aggregate::kCount:
      return count();
    case Aggregate::kSum:
      return held.sum();
    case Aggregate::kAvg:
      return held.count() == 0 ? kMissing : held.sum() / count();
    case Aggregate::kRatio: {
      const Cell current = event.inputs[current_input];
      if (current == kAbsent || held.count() == 0) return kMissing;
      const double mean = held.sum() / count();
      return mean == 0 ? kMissing : cell_number(current) / mean;
    }
    case Aggregate::kStddev:
      return deviation();
    case Aggregate::kZscore: {
      const Cell current = event.inputs[current_input];
      if (current == kAbsent || held.count() == 0) return kMissing;
      const double width = deviation();
      const double mean = held.sum() / count();
      return width > 0 ? (cell_number(current) - mean) / width : kMissing;
    }
    case Aggregate::kMin:
    case Aggregate::kMax:
      return held.extreme();
    case Aggregate::kDistinct:
      return static_cast<double>(held.different());
    case Aggregate::kRate:
      return held.count() == 0 ? kMissing : static_cast<double>(held.frauds()) / count();
    case Aggregate::kLast:
    case Aggregate::kSecondsSinceLast:
    case Aggregate::kDistance:
    case Aggregate::kSpeed:
      break;
  }
  if (!held.has_last()) return kMissing;
  // Without a sign, as a page's bytes may say any time.
  const auto span = static_cast<int64_t>(static_cast<uint64_t>(event.time_us) - static_cast<uint64_t>(held.last_time()));
  const double seconds = static_cast<double>(span) / 1e6;
  if (aggregate == Aggregate::kLast) return cell_number(held.last(0));
  if (aggregate == Aggregate::kSecondsSinceLast) return seconds;
  const Cell latitude = event.inputs[current_input];
  const Cell longitude = event.inputs[second_current_input];
  if (latitude == kAbsent || longitude == kAbsent) return kMissing;
  const double distance = distance_km(cell_number(held.last(0)), cell_number(held.last(1)),
                                      cell_number(latitude), cell_number(longitude));
  // Within one second speed says nothing: as if one had passed.
  return aggregate == Aggregate::kDistance ? distance : distance / (std::max(seconds, 1.0) / 3600);
}

}  // namespace fraud
