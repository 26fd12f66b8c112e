#include "core/rules/rule_reason.h"

#include "core/features/reason_template.h"

namespace fraud {

std::optional<std::vector<std::string_view>> reason_places(std::string_view reason) {
  const auto parts = template_parts(reason);
  if (!parts) return std::nullopt;
  std::vector<std::string_view> places;
  for (const TemplatePart& part : *parts) {
    if (part.is_place) places.push_back(part.text);
  }
  return places;
}

}  // namespace fraud
