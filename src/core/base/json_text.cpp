#include "core/base/json_text.h"

#include <nlohmann/json.hpp>

#include "core/base/json.h"

namespace fraud {

static std::string dump(const nlohmann::json& json) { return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace); }

std::string json_string(std::string_view text) { return dump(text); }

std::string json_number(double value) { return dump(value); }

std::string json_strings(const std::vector<std::string>& texts) { return Json(texts).dump(); }

std::optional<std::string> json_content(std::string_view quoted) {
  const Json json = Json::parse(quoted);
  if (!json.is_text()) return std::nullopt;
  return json.text();
}

bool is_json(std::string_view text) { return Json::parse(text).is_readable(); }

std::optional<std::vector<std::pair<std::string, std::string>>> json_members(std::string_view object) {
  const Json json = Json::parse(object, Json::Order::kByName);
  if (!json.is_object()) return std::nullopt;
  std::vector<std::pair<std::string, std::string>> members;
  json.each_member([&](const std::string& name, const Json& value) { members.emplace_back(name, value.text()); });
  return members;
}

JsonObject& JsonObject::add_json(std::string_view name, std::string_view value) {
  if (text_.size() > 1) text_ += ',';
  text_.append(json_string(name)).append(1, ':').append(value);
  return *this;
}

}  // namespace fraud
