#include "core/base/json_text.h"

#include <nlohmann/json.hpp>

namespace fraud {

using Json = nlohmann::json;

static std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::string json_string(std::string_view text) { return dump(text); }

std::string json_number(double value) { return dump(value); }

std::string json_strings(const std::vector<std::string>& texts) { return dump(texts); }

std::optional<std::string> json_content(std::string_view quoted) {
  const Json json = Json::parse(quoted, nullptr, false);
  if (const auto* text = json.get_ptr<const std::string*>()) return *text;
  return std::nullopt;
}

bool is_json(std::string_view text) { return Json::accept(text); }

std::optional<std::vector<std::pair<std::string, std::string>>> json_members(std::string_view object) {
  const Json json = Json::parse(object, nullptr, false);
  if (!json.is_object()) return std::nullopt;
  std::vector<std::pair<std::string, std::string>> members;
  for (const auto& [name, value] : json.items()) {
    members.emplace_back(name, value.is_string() ? value.get<std::string>() : std::string());
  }
  return members;
}

JsonObject& JsonObject::add_json(std::string_view name, std::string_view value) {
  if (text_.size() > 1) text_ += ',';
  text_.append(json_string(name)).append(1, ':').append(value);
  return *this;
}

}  // namespace fraud
