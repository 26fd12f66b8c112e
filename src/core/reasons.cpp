#include "core/reasons.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>

namespace fraud {

namespace {

// Formats like printf into a string.
template <typename... Values>
std::string format(const char* pattern, Values... values) {
  char text[160];
  int length = std::snprintf(text, sizeof(text), pattern, values...);
  return std::string(text, std::min(sizeof(text) - 1, static_cast<size_t>(std::max(length, 0))));
}

// Says a duration with its largest fitting unit.
std::string duration(double seconds) {
  if (seconds < 120) return format("%.0f seconds", seconds);
  if (seconds < 7200) return format("%.0f minutes", seconds / 60);
  if (seconds < 172800) return format("%.0f hours", seconds / 3600);
  return format("%.0f days", seconds / 86400);
}

constexpr const char* kWeekdays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                     "Thursday", "Friday", "Saturday"};
constexpr const char* kWindows[] = {"hour", "24 hours", "7 days", "30 days"};

// Where the features stand in the vector (payment_feature_names).
enum : size_t {
  kAmount,
  kCategory,
  kHour,
  kWeekday,
  kAge,
  kDistance,
  kCityPopulation,
  kFirstWindow,  // count, sum, mean for each of the four windows
  kMean30d = kFirstWindow + 11,
  kSecondsSinceLast = kFirstWindow + 12,
  kDistanceFromLast,
};
static_assert(kDistanceFromLast + 1 == kPaymentFeatureCount);

}  // namespace

std::string describe_feature(size_t index, const PaymentFeatures& features) {
  double value = features[index];
  if (std::isnan(value)) {
    return std::string(payment_feature_names()[index]) + " is unknown";
  }
  switch (index) {
    case kAmount: {
      double mean = features[kMean30d];
      if (mean > 0) {
        return format("amount %.2f is %.1f times the card's 30-day mean", value, value / mean);
      }
      return format("amount %.2f", value);
    }
    case kCategory: {
      size_t code = static_cast<size_t>(value);
      if (code >= kCategoryCount) return "category is unknown";
      return "category " + std::string(payment_categories()[code]);
    }
    case kHour:
      return format("hour %02.0f:00 UTC", value);
    case kWeekday:
      return format("on a %s", kWeekdays[static_cast<size_t>(value) % 7]);
    case kAge:
      return format("customer aged %.0f", std::floor(value));
    case kDistance:
      return format("merchant %.0f km from the customer's home", value);
    case kCityPopulation:
      return format("home city of %.0f people", value);
    case kSecondsSinceLast:
      return duration(value) + " since the card's last payment";
    case kDistanceFromLast:
      return format("%.0f km from the place of the card's last payment", value);
    default: {
      const char* window = kWindows[(index - kFirstWindow) / 3];
      switch ((index - kFirstWindow) % 3) {
        case 0:
          return format("%.0f earlier payments with the card in the last %s", value, window);
        case 1:
          return format("%.2f spent with the card in the last %s before this", value, window);
        default:
          return format("the card's mean payment over the last %s is %.2f", window, value);
      }
    }
  }
}

std::vector<std::string> describe_reasons(const PaymentFeatures& features,
                                          const std::vector<double>& contributions, size_t most) {
  std::vector<size_t> order(contributions.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return contributions[a] > contributions[b]; });
  std::vector<std::string> reasons;
  for (size_t index : order) {
    if (reasons.size() >= most || !(contributions[index] > 0)) break;
    reasons.push_back(describe_feature(index, features));
  }
  return reasons;
}

}  // namespace fraud
