#include "core/requests/json_path.h"

#include <algorithm>
#include <charconv>

#include "core/base/error.h"
#include "core/payments/json_document.h"
#include "core/payments/json_scan.h"

namespace fraud {

namespace {

constexpr size_t kMaxSteps = 32;
constexpr size_t kMaxNameBytes = 1000;
constexpr size_t kMaxScalarBytes = size_t{64} << 10;

bool is_name_start(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' || static_cast<unsigned char>(c) >= 0x80; }
bool is_name(char c) { return is_name_start(c) || (c >= '0' && c <= '9') || c == '$'; }

// Returns the content of a scalar of JSON, unless it is null or cannot be read.
std::optional<std::string> scalar(std::string_view text) {
  if (text.size() > kMaxScalarBytes) return std::nullopt;
  Document document;
  if (document.read(text) != Document::Reading::kWhole) return std::nullopt;
  switch (document.kind(0)) {
    case Kind::kString:
    case Kind::kInteger:
    case Kind::kFloat:
    case Kind::kTrue:
    case Kind::kFalse:
      return std::string(document.text(0));
    default:
      return std::nullopt;
  }
}

// Calls visit(name, value) for the members of the object at `at`, or visit("", value) for the
// elements of the array there, until it returns false or the text breaks.
template <typename Visitor>
void for_each_child(std::string_view text, size_t at, const GiveWay& give_way, Visitor visit) {
  const bool is_object = text[at] == '{';
  for (;;) {
    at = skip_blank(text, at + 1);
    std::optional<std::string> name = std::string();
    if (is_object) {
      const Extent extent = value_extent(text, at, give_way);
      if (!extent.is_whole || text[at] != '"') return;
      name = scalar(text.substr(at, extent.end - at));
      at = skip_blank(text, extent.end);
      if (at >= text.size() || text[at] != ':') return;
      at = skip_blank(text, at + 1);
    }
    const Extent value = value_extent(text, at, give_way);
    if (!value.is_whole) return;
    if (name && !visit(*name, text.substr(at, value.end - at))) return;
    at = skip_blank(text, value.end);
    if (at >= text.size() || text[at] != ',') return;
  }
}

}  // namespace

JsonPath JsonPath::parse(std::string_view text, std::string_view what) {
  const auto refuse = [&]() -> Error {
    return Error(ErrorCode::kInvalidArgument, std::string(what) + " is not a path to one value of a JSON text",
                 "It begins with $, and goes on with .name, .\"name\", [0] or [last].", "For example: $.paging.next_cursor.");
  };
  JsonPath path;
  if (text.empty() || text[0] != '$') throw refuse();
  size_t at = 1;
  while (at < text.size()) {
    if (path.steps_.size() >= kMaxSteps) throw refuse();
    if (text[at] == '.') {
      ++at;
      if (at < text.size() && text[at] == '"') {
        const Extent extent = value_extent(text, at);
        const std::optional<std::string> name = extent.is_whole ? scalar(text.substr(at, extent.end - at)) : std::nullopt;
        if (!name || name->size() > kMaxNameBytes) throw refuse();
        path.steps_.emplace_back(*name);
        at = extent.end;
        continue;
      }
      const size_t begin = at;
      if (at >= text.size() || !is_name_start(text[at])) throw refuse();
      while (at < text.size() && is_name(text[at])) ++at;
      if (at - begin > kMaxNameBytes) throw refuse();
      path.steps_.emplace_back(std::string(text.substr(begin, at - begin)));
    } else if (text[at] == '[') {
      const size_t close = text.find(']', at);
      if (close == std::string_view::npos) throw refuse();
      const std::string_view inside = text.substr(at + 1, close - at - 1);
      size_t index = kLast;
      if (inside != "last") {
        const auto [end, fault] = std::from_chars(inside.data(), inside.data() + inside.size(), index);
        if (fault != std::errc() || end != inside.data() + inside.size() || index == kLast) throw refuse();
      }
      path.steps_.emplace_back(index);
      at = close + 1;
    } else {
      throw refuse();
    }
  }
  return path;
}

std::optional<std::string> JsonPath::find(std::string_view body, const GiveWay& give_way, bool* is_container) const {
  size_t at = skip_blank(body, 0);
  std::string unwrapped;
  if (at < body.size() && body[at] == '"' && !steps_.empty()) {
    size_t end = 0;
    unwrapped = unwrap_string(body, at, &end, give_way);
    body = unwrapped;
    at = skip_blank(body, 0);
  }
  if (at >= body.size()) return std::nullopt;
  std::string_view value = body.substr(at);
  for (const auto& step : steps_) {
    std::optional<std::string_view> next;
    if (const std::string* name = std::get_if<std::string>(&step)) {
      if (value[0] != '{') return std::nullopt;
      // Of a name that is given twice the last counts, as in jsonb.
      for_each_child(value, 0, give_way, [&](const std::string& found, std::string_view child) {
        if (found == *name) next = child;
        return true;
      });
    } else {
      const size_t wanted = std::get<size_t>(step);
      if (value[0] != '[') return std::nullopt;
      size_t index = 0;
      for_each_child(value, 0, give_way, [&](const std::string&, std::string_view child) {
        if (wanted == kLast || index == wanted) next = child;
        return wanted == kLast || index++ < wanted;
      });
    }
    if (!next || next->empty()) return std::nullopt;
    value = *next;
  }
  if (value[0] == '{' || value[0] == '[') {
    if (is_container != nullptr) *is_container = true;
    return std::nullopt;
  }
  const Extent extent = value_extent(value, 0, give_way);
  return extent.is_whole ? scalar(value.substr(0, extent.end)) : std::nullopt;
}

}  // namespace fraud
