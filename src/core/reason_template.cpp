#include "core/reason_template.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/payment_features.h"

namespace fraud {
namespace {

// Formats like printf into a string.
template <typename... Values>
std::string format(const char* pattern, Values... values) {
  char text[160];
  const int length = std::snprintf(text, sizeof(text), pattern, values...);
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

std::optional<std::string> written(double value, std::string_view way) {
  if (way == ".0") return format("%.0f", value);
  if (way == ".1") return format("%.1f", value);
  if (way == ".2") return format("%.2f", value);
  if (way == "floor") return format("%.0f", std::floor(value));
  if (way == "02") return format("%02.0f", value);
  if (way == "duration") return duration(value);
  if (way == "weekday") {
    return value >= 0 && value < 7 ? std::optional(kWeekdays[static_cast<size_t>(value)])
                                   : std::nullopt;
  }
  if (way == "category") {
    if (!(value >= 0 && value < static_cast<double>(kCategoryCount))) return std::nullopt;
    return std::string(payment_categories()[static_cast<size_t>(value)]);
  }
  return std::nullopt;
}

// Returns the text for what stands between braces.
std::optional<std::string> fill_place(std::string_view place,
                                      const std::function<double(std::string_view)>& value_of) {
  const size_t colon = place.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const std::string_view what = place.substr(0, colon);
  const size_t slash = what.find('/');
  double value = value_of(what.substr(0, slash));
  if (slash != std::string_view::npos) {
    const double divisor = value_of(what.substr(slash + 1));
    if (!(divisor > 0)) return std::nullopt;
    value /= divisor;
  }
  if (std::isnan(value)) return std::nullopt;
  return written(value, place.substr(colon + 1));
}

std::optional<std::string> fill_one(std::string_view pattern,
                                    const std::function<double(std::string_view)>& value_of) {
  std::string text;
  while (true) {
    const size_t open = pattern.find('{');
    text += pattern.substr(0, open);
    if (open == std::string_view::npos) return text;
    const size_t close = pattern.find('}', open);
    if (close == std::string_view::npos) return std::nullopt;
    const std::optional<std::string> value =
        fill_place(pattern.substr(open + 1, close - open - 1), value_of);
    if (!value) return std::nullopt;
    text += *value;
    pattern.remove_prefix(close + 1);
  }
}

}  // namespace

std::optional<std::string> fill_reason(std::string_view templates,
                                       const std::function<double(std::string_view)>& value_of) {
  while (true) {
    const size_t bar = templates.find('|');
    if (auto text = fill_one(templates.substr(0, bar), value_of)) return text;
    if (bar == std::string_view::npos) return std::nullopt;
    templates.remove_prefix(bar + 1);
  }
}

}  // namespace fraud
