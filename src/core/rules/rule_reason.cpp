#include "core/rules/rule_reason.h"

namespace fraud {

std::optional<std::vector<std::string_view>> reason_places(std::string_view reason) {
  std::vector<std::string_view> places;
  for (size_t begin; (begin = reason.find('{')) != std::string_view::npos;) {
    const size_t end = reason.find('}', begin);
    if (end == std::string_view::npos) return std::nullopt;
    places.push_back(reason.substr(begin + 1, end - begin - 1));
    reason.remove_prefix(end + 1);
  }
  return places;
}

}  // namespace fraud
