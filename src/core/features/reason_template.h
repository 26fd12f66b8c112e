// The sentences of reasons: what stands between their braces, and how that of a feature is filled in.
#pragma once

#include "core/base/guard.h"

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fraud {

// A piece of a template: text as it is shown, or what stands between braces.
struct TemplatePart {
  std::string_view text;
  bool is_place;
};

// Parts a template, a rule's as a feature's, at its places, in order; nothing where a brace is not closed. Outside of
// places "{{" and "}}" are one brace of the text, and so is a "}" that closes nothing.
std::optional<std::vector<TemplatePart>> template_parts(std::string_view pattern);

// What a template's places stand for.
struct ReasonValues {
  // The value of a feature; NaN where it is missing, or unknown.
  std::function<double(std::string_view feature)> value_of;
  // The category that has the code; empty where none has.
  std::function<std::string(std::string_view feature, double code)> category_of;
};

// Fills a template in: text with places such as {amount:.2}, which hold a feature
// and how its value is written, or {amount/mean_30d:.1}, the ratio of two. Several
// templates may be given, parted by "|" (outside of places); the first whose values are all known is
// taken (a ratio's divisor must be above 0). Ways of writing:
//
//   .0 .1 .2   with so many decimals      floor      the whole part
//   02         two digits                 duration   of seconds, in words
//   weekday    0 is Sunday                category   the name of a category's code
//   percent    of a share
//
// Returns nothing when no template can be filled in.
std::optional<std::string> fill_reason(std::string_view templates, const ReasonValues& values);

// Returns what is wrong with the templates' form, or an empty string.
std::string reason_fault(std::string_view templates);

// A feature that templates name, and whether by its category.
struct NamedFeature {
  std::string_view feature;
  bool as_category;
};

// Returns the features that templates without a fault name, in order.
std::vector<NamedFeature> features_named(std::string_view templates);

}  // namespace fraud
