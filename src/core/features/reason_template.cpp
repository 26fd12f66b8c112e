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

}  // namespace

std::optional<std::vector<TemplatePart>> template_parts(std::string_view pattern) {
  std::vector<TemplatePart> parts;
  while (!pattern.empty()) {
    const size_t brace = pattern.find_first_of("{}");
    const bool doubled = brace != std::string_view::npos && pattern.substr(brace + 1, 1) == pattern.substr(brace, 1);
    if (brace == std::string_view::npos || doubled || pattern[brace] == '}') {
      // One of two goes with the text before it, and so does one that closes nothing.
      const size_t end = brace == std::string_view::npos ? pattern.size() : brace + 1;
      parts.push_back({pattern.substr(0, end), false});
      pattern.remove_prefix(doubled ? end + 1 : end);
      continue;
    }
    const size_t close = pattern.find('}', brace);
    if (close == std::string_view::npos) return std::nullopt;
    if (brace > 0) parts.push_back({pattern.substr(0, brace), false});
    parts.push_back({pattern.substr(brace + 1, close - brace - 1), true});
    pattern.remove_prefix(close + 1);
  }
  return parts;
}

std::optional<std::string> fill_reason(std::string_view templates, const ReasonValues& values) {
  const auto parts = template_parts(templates);
  if (!parts) return std::nullopt;
  std::optional<std::string> text = std::string();  // of the template that is being filled in
  for (const TemplatePart& part : *parts) {
    if (part.is_place) {
      const std::optional<std::string> value = text ? fill_place(part.text, values) : std::nullopt;
      if (value) *text += *value; else text.reset();
      continue;
    }
    std::string_view rest = part.text;
    for (size_t bar; (bar = rest.find('|')) != std::string_view::npos; rest.remove_prefix(bar + 1)) {
      if (text) return *text += rest.substr(0, bar);
      text = std::string();
    }
    if (text) *text += rest;
  }
  return text;
}

std::string reason_fault(std::string_view templates) {
  const auto parts = template_parts(templates);
  if (!parts) return "a brace is not closed";
  for (const TemplatePart& part : *parts) {
    if (part.is_place && !parse_place(part.text)) return "\"{" + std::string(part.text) + "}\" is not a feature and how it is written";
  }
  return {};
}

std::vector<NamedFeature> features_named(std::string_view templates) {
  std::vector<NamedFeature> named;
  for (const TemplatePart& part : template_parts(templates).value_or(std::vector<TemplatePart>())) {
    const std::optional<Place> place = part.is_place ? parse_place(part.text) : std::nullopt;
    if (!place) continue;
    named.push_back({place->feature, place->way == "category"});
    if (!place->divisor.empty()) named.push_back({place->divisor, false});
  }
  return named;
}

}  // namespace fraud
