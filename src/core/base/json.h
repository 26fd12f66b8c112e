// A JSON value for what is set or told now and then (requests, mappings, messages), as the JSON
// library has it, but without its header (json_text.h says why). What is read of each payment is a
// flat Document (payments/json_document.h).
#pragma once

#include "core/base/guard.h"

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace fraud {

class Json {
 public:
  enum class Type : uint8_t { kNull, kBoolean, kInteger, kUnsigned, kFloat, kText, kArray, kObject, kUnreadable };
  // Members stand as they were written, or by their names. Of two with one name the last counts.
  enum class Order { kAsWritten, kByName };

  Json() = default;
  Json(std::nullptr_t) {}
  Json(std::string text);
  Json(std::string_view text) : Json(std::string(text)) {}
  Json(const char* text) : Json(std::string(text)) {}
  Json(const std::vector<std::string>& texts);
  template <typename Number, typename = std::enable_if_t<std::is_arithmetic_v<Number>>>
  Json(Number value) {
    if constexpr (std::is_same_v<Number, bool>) {
      type_ = Type::kBoolean;
      integer_ = value ? 1 : 0;
    } else if constexpr (std::is_floating_point_v<Number>) {
      type_ = Type::kFloat;
      float_ = value;
    } else {
      type_ = std::is_unsigned_v<Number> ? Type::kUnsigned : Type::kInteger;
      integer_ = static_cast<int64_t>(value);
    }
  }
  Json(const Json&);
  Json(Json&&) noexcept;
  Json& operator=(const Json&);
  Json& operator=(Json&&) noexcept;
  ~Json();

  static Json array(std::initializer_list<Json> items = {});
  static Json object(std::initializer_list<std::pair<std::string_view, Json>> members = {});
  // What is no JSON, has a number that no double holds, or is nested deeper than a thousand levels, is
  // unreadable.
  static Json parse(std::string_view text, Order order = Order::kAsWritten);

  Type type() const noexcept { return type_; }
  bool is_null() const noexcept { return type_ == Type::kNull; }
  bool is_boolean() const noexcept { return type_ == Type::kBoolean; }
  bool is_integer() const noexcept { return type_ == Type::kInteger || type_ == Type::kUnsigned; }
  bool is_number() const noexcept { return is_integer() || type_ == Type::kFloat; }
  bool is_text() const noexcept { return type_ == Type::kText; }
  bool is_array() const noexcept { return type_ == Type::kArray; }
  bool is_object() const noexcept { return type_ == Type::kObject; }
  bool is_structured() const noexcept { return is_array() || is_object(); }
  bool is_readable() const noexcept { return type_ != Type::kUnreadable; }

  // A scalar's value; of another type that type's zero.
  bool boolean() const noexcept { return is_boolean() && integer_ != 0; }
  int64_t integer() const noexcept;  // an unsigned one beyond it is its greatest
  double number() const noexcept;
  const std::string& text() const noexcept { return text_; }

  // Of an array or an object: how many values it holds, and these.
  size_t size() const noexcept { return values_.size(); }
  bool empty() const noexcept { return values_.empty(); }
  const std::vector<Json>& values() const& noexcept { return values_; }
  const std::vector<Json>& values() const&& = delete;  // a loop over those of a temporary would outlive it
  void push_back(Json value) { values_.push_back(std::move(value)); }

  // Of an object: its members' names, in the order of values(); a member, or null; a member, or the value
  // that is null; a member, which is made if there is none, and so is the object of what was null.
  const std::vector<std::string>& names() const& noexcept { return names_; }
  const std::vector<std::string>& names() const&& = delete;
  const Json* find(std::string_view name) const noexcept;
  bool contains(std::string_view name) const noexcept { return find(name) != nullptr; }
  const Json& operator[](std::string_view name) const noexcept;
  Json& operator[](std::string_view name);
  void erase(std::string_view name);

  // Calls visit(name, value) for each member.
  template <typename Visitor>
  void each_member(Visitor&& visit) const {
    for (size_t i = 0; i < names_.size(); ++i) visit(names_[i], values_[i]);
  }

  // Returns it as JSON text; what is no UTF-8 becomes U+FFFD.
  std::string dump() const;

 private:
  class Reader;
  void dump_to(std::string* text) const;

  Type type_ = Type::kNull;
  union {
    int64_t integer_ = 0;
    double float_;
  };
  std::string text_;
  std::vector<std::string> names_;
  std::vector<Json> values_;
};

}  // namespace fraud
