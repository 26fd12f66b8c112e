// A path into a JSON text, and the one value that it leads to. The text is not read as a
// whole: what a path passes by is skipped over, a body of 16 MB is never made into a tree.
#pragma once

#include "core/base/guard.h"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/payments/payment.h"

namespace fraud {

// The part of SQL's jsonpath that names one value: $ with .name, ."name", [0] and [last].
class JsonPath {
 public:
  // `what` names the path in the Error (kInvalidArgument) for a text that is none.
  static JsonPath parse(std::string_view text, std::string_view what);

  // Returns the text of the string, number or word that the path leads to; nothing where it
  // leads nowhere, to null, to an array or an object, of which `is_container` is told. A JSON string around the whole is unwrapped.
  std::optional<std::string> find(std::string_view body, const GiveWay& give_way = {}, bool* is_container = nullptr) const;

 private:
  static constexpr size_t kLast = static_cast<size_t>(-1);
  std::vector<std::variant<std::string, size_t>> steps_;  // a member's name, or the place in an array
};

}  // namespace fraud
