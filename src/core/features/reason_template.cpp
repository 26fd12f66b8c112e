#include "core/features/reason_template.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

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

constexpr std::array<std::string_view, 9> kWays = {".0",       ".1",      ".2",       "floor",  "02",
                                                   "duration", "weekday", "category", "percent"};

// What stands between braces: a feature, or the ratio of two, and how it is written.
struct Place {
  std::string_view feature, divisor, way;
};

// Parts a place; nothing where it has not that form.
std::optional<Place> parse_place(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  Place place;
  place.way = text.substr(colon + 1);
  const std::string_view what = text.substr(0, colon);
  const size_t slash = what.find('/');
  place.feature = what.substr(0, slash);
  if (slash != std::string_view::npos) place.divisor = what.substr(slash + 1);
  if (place.feature.empty() || (slash != std::string_view::npos && place.divisor.empty()) ||
      std::find(kWays.begin(), kWays.end(), place.way) == kWays.end()) {
    return std::nullopt;
  }
  return place;
}

std::optional<std::string> written(const Place& place, double value, const ReasonValues& values) {
  const std::string_view way = place.way;
  if (way == ".0") return format("%.0f", value);
  if (way == ".1") return format("%.1f", value);
  if (way == ".2") return format("%.2f", value);
  if (way == "floor") return format("%.0f", std::floor(value));
  if (way == "02") return format("%02.0f", value);
  if (way == "duration") return duration(value);
  if (way == "percent") return format("%.1f %%", 100 * value);
  if (way == "weekday") {
    return value >= 0 && value < 7 ? std::optional(kWeekdays[static_cast<size_t>(value)])
                                   : std::nullopt;
  }
  std::string category = values.category_of(place.feature, value);
  return category.empty() ? std::nullopt : std::optional(std::move(category));
}

// Returns the text for a place.
std::optional<std::string> fill_place(std::string_view text, const ReasonValues& values) {
  const std::optional<Place> place = parse_place(text);
  if (!place) return std::nullopt;
  double value = values.value_of(place->feature);
  if (!place->divisor.empty()) {
    const double divisor = values.value_of(place->divisor);
    if (!(divisor > 0)) return std::nullopt;
    value /= divisor;
  }
  if (std::isnan(value)) return std::nullopt;
  return written(*place, value, values);
}

// Calls `put` for each text and place of a template; false where a brace is not
// closed, or where it says so.
template <typename Put>
bool for_each_part(std::string_view pattern, Put&& put) {
  while (true) {
    const size_t open = pattern.find('{');
    if (!put(pattern.substr(0, open), false)) return false;
    if (open == std::string_view::npos) return true;
    const size_t close = pattern.find('}', open);
    if (close == std::string_view::npos) return false;
    if (!put(pattern.substr(open + 1, close - open - 1), true)) return false;
    pattern.remove_prefix(close + 1);
  }
}

std::optional<std::string> fill_one(std::string_view pattern, const ReasonValues& values) {
  std::string text;
  const bool filled = for_each_part(pattern, [&](std::string_view part, bool is_place) {
    std::optional<std::string> value =
        is_place ? fill_place(part, values) : std::optional(std::string(part));
    if (value) text += *value;
    return value.has_value();
  });
  return filled ? std::optional(std::move(text)) : std::nullopt;
}

}  // namespace

std::optional<std::string> fill_reason(std::string_view templates, const ReasonValues& values) {
  while (true) {
    const size_t bar = templates.find('|');
    if (auto text = fill_one(templates.substr(0, bar), values)) return text;
    if (bar == std::string_view::npos) return std::nullopt;
    templates.remove_prefix(bar + 1);
  }
}

std::string reason_fault(std::string_view templates) {
  std::string fault;
  const bool closed = for_each_part(templates, [&](std::string_view part, bool is_place) {
    if (is_place && !parse_place(part)) {
      fault = "\"{" + std::string(part) + "}\" is not a feature and how it is written";
    }
    return fault.empty();
  });
  return closed || !fault.empty() ? fault : "a brace is not closed";
}

std::vector<NamedFeature> features_named(std::string_view templates) {
  std::vector<NamedFeature> named;
  (void)for_each_part(templates, [&](std::string_view part, bool is_place) {
    const std::optional<Place> place = is_place ? parse_place(part) : std::nullopt;
    if (!place) return true;
    named.push_back({place->feature, place->way == "category"});
    if (!place->divisor.empty()) named.push_back({place->divisor, false});
    return true;
  });
  return named;
}

}  // namespace fraud
