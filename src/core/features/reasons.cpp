#include "core/features/reasons.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <numeric>
#include <string_view>
#include <utility>

#include "core/features/reason_template.h"

namespace fraud {
namespace {

std::string category_named(const FeatureInfo& feature, double code) {
  if (!(code >= 0 && code < static_cast<double>(feature.categories.size()))) return {};
  return feature.categories[static_cast<size_t>(code)];
}

// Cuts a sentence that is longer than anyone reads: an alert is also a NOTIFY, which
// holds 8000 bytes in all.
std::string cut(std::string text) {
  constexpr size_t kMost = 200;  // bytes
  if (text.size() <= kMost) return text;
  size_t end = kMost - 3;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end) + "...";
}

// Says a value where nobody has said how.
std::string plain(const FeatureInfo& feature, double value) {
  std::string text = category_named(feature, value);
  if (!text.empty()) return feature.name + " is " + text;
  char number[32];
  std::snprintf(number, sizeof(number), "%.6g", value);
  return feature.name + " is " + number;
}

// Whether a feature tells a circumstance and not a reason: its template begins with "~".
bool is_circumstance(const FeatureInfo& feature) { return feature.reason.rfind('~', 0) == 0; }

// A reason that says less than this share of what the strongest says is left out.
constexpr double kLeastShare = 0.1;

}  // namespace

std::string describe_feature(const std::vector<FeatureInfo>& features,
                             const std::vector<float>& values, size_t index) {
  const FeatureInfo& feature = features[index];
  // Of one that is unknown only a template with alternatives says something: the others describe a value.
  const bool unknown = std::isnan(values[index]);
  if (unknown && feature.reason.find('|') == std::string::npos) return feature.name + " is unknown";
  const auto place_of = [&](std::string_view name) {
    return static_cast<size_t>(
        std::find_if(features.begin(), features.end(),
                     [&](const FeatureInfo& other) { return other.name == name; }) -
        features.begin());
  };
  ReasonValues filled;
  filled.value_of = [&](std::string_view name) {
    const size_t place = place_of(name);
    return place == features.size() ? std::numeric_limits<double>::quiet_NaN()
                                    : static_cast<double>(values[place]);
  };
  filled.category_of = [&](std::string_view name, double code) {
    return category_named(features[place_of(name)], code);
  };
  if (!feature.reason.empty()) {
    std::string_view templates = feature.reason;
    while (!templates.empty() && (templates.front() == '~' || templates.front() == ' ')) templates.remove_prefix(1);
    if (auto reason = fill_reason(templates, filled)) return cut(std::move(*reason));
  }
  if (unknown) return feature.name + " is unknown";
  return cut(plain(feature, static_cast<double>(values[index])));
}

std::vector<std::string> describe_reasons(const std::vector<FeatureInfo>& features,
                                          const std::vector<float>& values,
                                          const std::vector<double>& contributions, size_t most) {
  std::vector<size_t> order(contributions.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return contributions[a] > contributions[b]; });
  std::vector<std::string> reasons;
  // The hour of a payment explains nothing to a person, beside what does; alone it is all that there is to say.
  for (const bool circumstances : {false, true}) {
    double strongest = 0;
    for (size_t index : order) {
      if (is_circumstance(features[index]) != circumstances) continue;
      if (strongest == 0) strongest = contributions[index];
      if (reasons.size() >= most || !(contributions[index] > 0) || contributions[index] < kLeastShare * strongest) break;
      reasons.push_back(describe_feature(features, values, index));
    }
    if (!reasons.empty()) break;
  }
  return reasons;
}

}  // namespace fraud
