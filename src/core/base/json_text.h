// JSON that is written, and the little that is read of it, without the JSON library's
// header: that costs each file that includes it as much time to compile as all else in it.
// Values that are looked into, or changed: json.h.
#pragma once

#include "core/base/guard.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace fraud {

// Returns the text as a JSON string; what is no UTF-8 becomes U+FFFD.
std::string json_string(std::string_view text);

// Returns the shortest digits that are read as the same number; null of what is not finite.
std::string json_number(double value);

std::string json_strings(const std::vector<std::string>& texts);

// Returns what the JSON string (with its quotes) says; nothing where it is none.
std::optional<std::string> json_content(std::string_view quoted);

bool is_json(std::string_view text);

// Returns the members of an object by their names' order, each with its text, which is
// empty where the value is no string; nothing where this is no object.
std::optional<std::vector<std::pair<std::string, std::string>>> json_members(std::string_view object);

// An object, written member by member.
class JsonObject {
 public:
  JsonObject& add(std::string_view name, std::string_view value) { return add_json(name, json_string(value)); }
  JsonObject& add(std::string_view name, const char* value) { return add(name, std::string_view(value)); }
  JsonObject& add(std::string_view name, const std::string& value) { return add(name, std::string_view(value)); }
  JsonObject& add(std::string_view name, const std::vector<std::string>& values) { return add_json(name, json_strings(values)); }
  JsonObject& add(std::string_view name, double value) { return add_json(name, json_number(value)); }
  JsonObject& add(std::string_view name, bool value) { return add_json(name, value ? "true" : "false"); }
  template <typename Integer, typename = std::enable_if_t<std::is_integral_v<Integer>>>
  JsonObject& add(std::string_view name, Integer value) {
    return add_json(name, std::to_string(value));
  }
  JsonObject& add_null(std::string_view name) { return add_json(name, "null"); }
  // A value that is JSON already.
  JsonObject& add_json(std::string_view name, std::string_view value);

  std::string text() const { return text_ + "}"; }

 private:
  std::string text_ = "{";
};

}  // namespace fraud
