#include "core/requests/request_template.h"

#include <algorithm>
#include <array>

#include "core/base/error.h"
#include "core/base/json_text.h"
#include "core/payments/payment_writer.h"

namespace fraud {

namespace {

constexpr std::array<std::string_view, 6> kNames = {"since", "now", "cursor", "page", "offset", "size"};
constexpr std::array<std::string_view, 5> kForms = {"iso", "epoch", "epoch_ms", "epoch_us", "date"};

bool is_time(std::string_view name) { return name == "since" || name == "now"; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

[[noreturn]] void refuse(std::string_view inside) {
  throw Error(ErrorCode::kInvalidArgument, "unknown placeholder \"{{" + std::string(inside.substr(0, 60)) + "}}\"", "",
              "The placeholders are {{since}} and {{now}}, both also with :epoch, :epoch_ms, :epoch_us or :date, "
              "{{cursor}}, {{page}}, {{offset}} and {{size}}.");
}

int64_t floor_divided(int64_t value, int64_t by) { return value / by - (value % by < 0 ? 1 : 0); }

std::string time_text(int64_t us, std::string_view form) {
  if (form == "epoch") return std::to_string(floor_divided(us, 1000000));
  if (form == "epoch_ms") return std::to_string(floor_divided(us, 1000));
  if (form == "epoch_us") return std::to_string(us);
  const std::string iso = format_time(us);
  return form == "date" ? iso.substr(0, 10) : iso;
}

}  // namespace

std::string url_encoded(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool is_plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
    if (is_plain) {
      encoded += c;
    } else {
      encoded += '%';
      encoded += kDigits[byte >> 4];
      encoded += kDigits[byte & 15];
    }
  }
  return encoded;
}

RequestTemplate::RequestTemplate(std::string_view text) {
  while (!text.empty()) {
    const size_t open = text.find("{{");
    if (open != 0) parts_.push_back({std::string(text.substr(0, open)), "", false});
    if (open == std::string_view::npos) return;
    const size_t close = text.find("}}", open);
    const std::string_view inside = text.substr(open + 2, close == std::string_view::npos ? close : close - open - 2);
    if (close == std::string_view::npos) refuse(inside);
    const std::string_view plain = trimmed(inside);
    const size_t colon = plain.find(':');
    const std::string_view name = plain.substr(0, colon);
    const std::string_view form = colon == std::string_view::npos ? "iso" : plain.substr(colon + 1);
    const bool is_known = std::find(kNames.begin(), kNames.end(), name) != kNames.end();
    const bool has_form = colon == std::string_view::npos || (is_time(name) && std::find(kForms.begin(), kForms.end(), form) != kForms.end());
    if (!is_known || !has_form) refuse(inside);
    parts_.push_back({std::string(name), std::string(form), true});
    text.remove_prefix(close + 2);
  }
}

std::string RequestTemplate::value_of(const Part& part, const RequestValues& values) {
  if (part.text == "since") return time_text(values.since_us, part.form);
  if (part.text == "now") return time_text(values.now_us, part.form);
  if (part.text == "page") return std::to_string(values.page);
  if (part.text == "offset") return std::to_string(values.offset);
  if (part.text == "size") return std::to_string(values.size);
  return values.cursor;
}

std::string RequestTemplate::render(const RequestValues& values, Escaping escaping) const {
  std::string text;
  for (const Part& part : parts_) {
    if (!part.is_placeholder) {
      text += part.text;
      continue;
    }
    const std::string value = value_of(part, values);
    switch (escaping) {
      case Escaping::kNone:
        text += value;
        break;
      case Escaping::kJson: {
        const std::string quoted = json_string(value);
        text += std::string_view(quoted).substr(1, quoted.size() - 2);
        break;
      }
      case Escaping::kForm:
        text += url_encoded(value);
        break;
    }
  }
  return text;
}

bool RequestTemplate::uses(std::string_view name) const {
  return std::any_of(parts_.begin(), parts_.end(), [&](const Part& part) { return part.is_placeholder && part.text == name; });
}

bool RequestTemplate::is_number_alone() const {
  if (parts_.size() != 1 || !parts_[0].is_placeholder) return false;
  const Part& part = parts_[0];
  if (is_time(part.text)) return part.form.rfind("epoch", 0) == 0;
  return part.text != "cursor";
}

bool RequestTemplate::is_empty_cursor(const RequestValues& values) const {
  return values.cursor.empty() && parts_.size() == 1 && parts_[0].is_placeholder && parts_[0].text == "cursor";
}

}  // namespace fraud
