// Values of a mapping's fields: constants, tables of values, times, decimals and signs.
#include "core/payments/mapping_value.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <optional>
#include <utility>

#include "core/payments/field_values.h"
#include "core/payments/payment_writer.h"

namespace fraud {
namespace {

constexpr int64_t kUsPerSecond = 1000000;

bool is_number(std::string_view text) { return !text.empty() && text.find_first_not_of("-0123456789.eE+") == std::string_view::npos; }

// What may part thousands, beside a dot or a comma: an apostrophe, a blank, also one that does not break, narrow or thin.
constexpr std::array<std::string_view, 6> kThousands = {"'", " ", "\u00A0", "\u202F", "\u2009", "\u2019"};

// Returns the digits of a whole number whose thousands may be parted, by one sign throughout; or nothing.
std::optional<std::string> join_thousands(std::string_view text, std::string_view other) {
  constexpr size_t kGroup = 3;
  const auto digits_at = [&](size_t at) { return std::min(text.find_first_not_of("0123456789", at), text.size()) - at; };
  size_t at = digits_at(0);
  std::string whole(text.substr(0, at));
  if (at == text.size()) return whole;
  const auto* known = std::find_if(kThousands.begin(), kThousands.end(), [&](std::string_view one) { return text.substr(at, one.size()) == one; });
  const std::string_view sign = known != kThousands.end() ? *known : other;
  if (at == 0 || at > kGroup) return std::nullopt;
  while (at < text.size()) {
    if (text.substr(at, sign.size()) != sign || digits_at(at + sign.size()) != kGroup) return std::nullopt;
    whole.append(text, at + sign.size(), kGroup);
    at += sign.size() + kGroup;
  }
  return whole;
}

// Makes "1234.50" of "1.234,50" where the comma parts decimals, of "1,234.50" where the dot does; so of "1 234,50" and
// "1'234,50". False for a text of digits that says something else: "12.34" is no 1234.
bool mend_decimals(char decimal, std::string* value) {
  if ((*value)[0] != '"') return true;
  std::string_view text = std::string_view(*value).substr(1, value->size() - 2);
  const auto trim = [&] {
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  };
  trim();
  const bool is_negative = !text.empty() && text[0] == '-';
  if (is_negative || (!text.empty() && text[0] == '+')) text.remove_prefix(1);
  trim();
  const size_t part = std::min(text.find(decimal), text.size());
  const std::string_view decimals = text.substr(std::min(part + 1, text.size()));
  const std::optional<std::string> whole = join_thousands(text.substr(0, part), decimal == ',' ? "." : ",");
  if (!whole || decimals.find_first_not_of("0123456789") != std::string_view::npos) {
    // What is no number at all is a fault anyway.
    return text.find_first_of("0123456789") == std::string_view::npos || text.find_first_not_of("0123456789.,' ") != std::string_view::npos;
  }
  *value = (is_negative ? "\"-" : "\"") + *whole + (decimals.empty() ? "" : "." + std::string(decimals)) + '"';
  return true;
}

// Takes the amount's sign off, and notes what it says.
void take_sign(const FieldRule& rule, std::string* value, bool* is_refund) {
  const size_t at = (*value)[0] == '"' ? 1 : 0;
  const bool is_negative = value->size() > at + 1 && (*value)[at] == '-';
  const std::string_view digits = std::string_view(*value).substr(at, value->size() - 2 * at);
  if (!is_number(digits)) return;
  if (is_negative) value->erase(at, 1);
  *is_refund = is_negative == (rule.sign == NegativeAmount::kNegativeIsRefund) && digits.find_first_of("123456789") != std::string_view::npos;
}

int64_t days_of(int64_t us) {
  constexpr int64_t kUsPerDay = 86400 * kUsPerSecond;
  return us / kUsPerDay - (us % kUsPerDay < 0 ? 1 : 0);
}

// True where a time of ISO 8601 says how far it is from UTC.
bool has_offset(std::string_view text) {
  constexpr size_t kTimeOfDay = sizeof("2024-10-28T") - 1;
  return text.find_first_of("zZ+-", std::min(kTimeOfDay, text.size())) != std::string_view::npos;
}

// Returns a time as ISO 8601, of a birth as a date, in JSON; or what stands in its place.
std::string time_value(const Mapping& mapping, size_t index, const FoundValue& found, std::vector<MappingFault>* faults) {
  const FieldRule& rule = mapping.rules[index];
  std::optional<int64_t> us;
  const bool is_text = found.kind() == Kind::kString || found.kind() == Kind::kInteger || found.kind() == Kind::kFloat;
  const std::string_view text = is_text ? found.text() : std::string_view();
  std::string_view unit;  // of an epoch
  switch (rule.time) {
    case TimeFormat::kNone:
      break;
    case TimeFormat::kIso8601:
      us = parse_time_text(text);
      if (us && rule.has_zone && !has_offset(text)) us = mapping.zoned_time(index, *us);
      break;
    case TimeFormat::kEpochSeconds:
      us = parse_time_seconds(text);
      unit = "seconds";
      break;
    case TimeFormat::kEpochMilliseconds:
      us = parse_time_ms(text);
      unit = "milliseconds";
      break;
    case TimeFormat::kEpochMicroseconds:
      us = parse_whole(text);
      unit = "microseconds";
      if (us && (*us < 0 || epoch_unit(text) != unit)) us.reset();
      break;
    case TimeFormat::kTemplate:
      if (!text.empty()) us = mapping.template_time(index, text);
      break;
  }
  if (us && rule.name == "dob") return '"' + format_date(static_cast<int32_t>(days_of(*us))) + '"';
  if (us && *us >= 0) return '"' + format_time_us(*us) + '"';
  MappingFault fault{rule.name, "", is_text, ""};
  fault.found = is_text ? text : kind_name(found.kind());
  if (!unit.empty()) {
    fault.expected = "epoch " + std::string(unit) + " from 1970 to 2262";
    const std::string_view likely = epoch_unit(text);
    if (!likely.empty() && likely != unit) fault.expected += "; it looks like " + std::string(likely);
  } else if (rule.time == TimeFormat::kIso8601) {
    fault.expected = "a time of ISO 8601 as YYYY-MM-DD HH:MM:SS, in UTC or with an offset, from 1970 to 2262";
    if (rule.has_zone) fault.expected = "a time of ISO 8601 as YYYY-MM-DD HH:MM:SS, from 1970 to 2262";
    const std::string_view likely = epoch_unit(text);
    if (!likely.empty()) fault.expected += "; it looks like epoch " + std::string(likely);
  } else {
    fault.expected = "a time as " + rule.time_format + ", from 1970 to 2262";
  }
  std::string value = "{\"unreadable\":";
  if (found.is_scalar() && found.kind() != Kind::kUnreadable) {
    write_node(*found.document, found.node, &value);
  } else {
    write_json_string(fault.found, &value);
  }
  faults->push_back(std::move(fault));
  return value + '}';
}

}  // namespace

bool is_taken_as_found(const FieldRule& rule, const FoundValue& found) {
  if (!rule.constant.empty() || !found.is_given() || (found.kind() == Kind::kString && found.text().empty())) return false;
  return rule.values.empty() && rule.time == TimeFormat::kNone && rule.decimal == '\0' && rule.sign == NegativeAmount::kNone;
}

bool map_value(const Mapping& mapping, size_t index, const FoundValue& found, std::string* value, bool* is_refund,
               std::vector<MappingFault>* faults) {
  const FieldRule& rule = mapping.rules[index];
  if (!rule.constant.empty()) {
    *value = rule.constant;
  } else if (!found.is_given() || (found.kind() == Kind::kString && found.text().empty())) {
    if (rule.otherwise.empty()) return false;
    *value = rule.otherwise;
  } else {
    const auto known = found.is_scalar() && !rule.values.empty() ? rule.values.find(std::string(found.text())) : rule.values.end();
    if (known != rule.values.end()) {
      *value = known->second;
    } else if (!rule.values.empty() && !rule.otherwise.empty()) {
      *value = rule.otherwise;
    } else if (rule.time != TimeFormat::kNone) {
      *value = time_value(mapping, index, found, faults);
    } else {
      write_node(*found.document, found.node, value);
    }
  }
  if (rule.decimal != '\0' && !mend_decimals(rule.decimal, value)) {
    faults->push_back({rule.name, value->substr(1, value->size() - 2), true,
                       rule.decimal == ',' ? "a number with a decimal comma, as in 1.234,50" : "a number with a decimal point, as in 1,234.50"});
    *value = "{\"unreadable\":" + *value + '}';
    return true;
  }
  if (rule.sign != NegativeAmount::kNone) take_sign(rule, value, is_refund);
  return true;
}

std::string format_time_us(int64_t us) {
  // With milliseconds, whose place the microseconds take.
  std::string text = format_time(us);
  char fraction[16];
  (void)std::snprintf(fraction, sizeof(fraction), "%06dZ", static_cast<int>(us % kUsPerSecond));
  return text.substr(0, text.rfind('.') + 1) + fraction;
}

}  // namespace fraud
