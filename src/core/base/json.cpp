#include "core/base/json.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>

#include "core/base/json_text.h"

namespace fraud {

Json::Json(std::string text) : type_(Type::kText), text_(std::move(text)) {}
Json::Json(const std::vector<std::string>& texts) : type_(Type::kArray), values_(texts.begin(), texts.end()) {}
Json::Json(const Json&) = default;
Json::Json(Json&&) noexcept = default;
Json& Json::operator=(const Json&) = default;
Json& Json::operator=(Json&&) noexcept = default;
Json::~Json() = default;

Json Json::array(std::initializer_list<Json> items) {
  Json made;
  made.type_ = Type::kArray;
  made.values_ = items;
  return made;
}

Json Json::object(std::initializer_list<std::pair<std::string_view, Json>> members) {
  Json made;
  made.type_ = Type::kObject;
  for (const auto& [name, value] : members) made[name] = value;
  return made;
}

// Takes the library's events.
class Json::Reader {
 public:
  explicit Reader(Order order) : order_(order) {}

  bool null() { return add({}); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(int64_t value) { return add(value); }
  bool number_unsigned(uint64_t value) { return add(value); }
  bool number_float(double value, const std::string&) { return add(value); }
  bool string(std::string& value) { return add(std::move(value)); }
  bool key(std::string& value) {
    names_.back() = std::move(value);
    return true;
  }
  bool binary(nlohmann::json::binary_t&) { return false; }
  bool start_object(size_t) { return open(Json::object()); }
  bool start_array(size_t) { return open(Json::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  // The exception's own text quotes the input, which may hold card numbers.
  bool parse_error(size_t, const std::string&, const nlohmann::json::exception&) { return false; }

  Json take() { return std::move(root_); }

 private:
  static constexpr size_t kMaxDepth = 1000;  // taking values apart recurses

  bool open(Json value) {
    if (open_.size() >= kMaxDepth) return false;
    open_.push_back(std::move(value));
    names_.emplace_back();
    return true;
  }

  bool close() {
    Json value = std::move(open_.back());
    if (value.is_object()) tidy(&value);
    open_.pop_back();
    names_.pop_back();
    return add(std::move(value));
  }

  bool add(Json value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (open_.back().is_array()) {
      open_.back().push_back(std::move(value));
    } else {
      open_.back().names_.push_back(std::move(names_.back()));
      open_.back().values_.push_back(std::move(value));
    }
    return true;
  }

  // Brings the members in order, and of those with one name the last one's value to the place of the first.
  void tidy(Json* object) const {
    std::vector<std::string>& names = object->names_;
    std::vector<size_t> sorted(names.size());
    std::iota(sorted.begin(), sorted.end(), size_t{0});
    std::stable_sort(sorted.begin(), sorted.end(), [&](size_t a, size_t b) { return names[a] < names[b]; });
    std::vector<std::pair<size_t, size_t>> kept;  // a member's place, and its value's
    for (const size_t at : sorted) {
      if (!kept.empty() && names[kept.back().first] == names[at]) {
        kept.back().second = at;
      } else {
        kept.emplace_back(at, at);
      }
    }
    if (order_ == Order::kAsWritten) std::sort(kept.begin(), kept.end());
    Json ordered = Json::object();
    for (const auto& [name, value] : kept) {
      ordered.names_.push_back(std::move(names[name]));
      ordered.values_.push_back(std::move(object->values_[value]));
    }
    *object = std::move(ordered);
  }

  Order order_;
  Json root_;
  std::vector<Json> open_;
  std::vector<std::string> names_;  // of each: of the member that is read
};

Json Json::parse(std::string_view text, Order order) {
  Reader reader(order);
  if (nlohmann::json::sax_parse(text, &reader)) return reader.take();
  Json unreadable;
  unreadable.type_ = Type::kUnreadable;
  return unreadable;
}

int64_t Json::integer() const noexcept {
  if (type_ == Type::kFloat || !is_number()) return 0;
  return type_ == Type::kUnsigned && integer_ < 0 ? std::numeric_limits<int64_t>::max() : integer_;
}

double Json::number() const noexcept {
  if (type_ == Type::kFloat) return float_;
  if (type_ == Type::kUnsigned) return static_cast<double>(static_cast<uint64_t>(integer_));
  return type_ == Type::kInteger ? static_cast<double>(integer_) : 0;
}

const Json* Json::find(std::string_view name) const noexcept {
  const auto at = std::find(names_.begin(), names_.end(), name);
  return at == names_.end() ? nullptr : &values_[static_cast<size_t>(at - names_.begin())];
}

const Json& Json::operator[](std::string_view name) const noexcept {
  static const Json none;
  const Json* found = find(name);
  return found != nullptr ? *found : none;
}

Json& Json::operator[](std::string_view name) {
  if (const Json* found = find(name)) return const_cast<Json&>(*found);
  if (type_ == Type::kNull) type_ = Type::kObject;
  names_.emplace_back(name);
  return values_.emplace_back();
}

void Json::erase(std::string_view name) {
  const auto at = std::find(names_.begin(), names_.end(), name);
  if (at == names_.end()) return;
  values_.erase(values_.begin() + (at - names_.begin()));
  names_.erase(at);
}

std::string Json::dump() const {
  std::string text;
  dump_to(&text);
  return text;
}

void Json::dump_to(std::string* text) const {
  switch (type_) {
    case Type::kNull:
      *text += "null";
      return;
    case Type::kBoolean:
      *text += integer_ != 0 ? "true" : "false";
      return;
    case Type::kInteger:
      *text += std::to_string(integer_);
      return;
    case Type::kUnsigned:
      *text += std::to_string(static_cast<uint64_t>(integer_));
      return;
    case Type::kFloat:
      *text += json_number(float_);
      return;
    case Type::kText:
      *text += json_string(text_);
      return;
    case Type::kArray:
    case Type::kObject: {
      *text += is_array() ? '[' : '{';
      for (size_t i = 0; i < values_.size(); ++i) {
        if (i > 0) *text += ',';
        if (is_object()) text->append(json_string(names_[i])).append(1, ':');
        values_[i].dump_to(text);
      }
      *text += is_array() ? ']' : '}';
      return;
    }
    case Type::kUnreadable:
      *text += "<discarded>";
      return;
  }
}

}  // namespace fraud
