// Reads what the fields of a payment say.
#include "core/payments/field_values.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <system_error>

#include "core/payments/currency.h"
#include "core/payments/digits.h"
#include "core/payments/mask.h"

namespace fraud {
namespace {

constexpr double kAmountLimit = 1e10;
constexpr int64_t kUsPerSecond = 1000000;
constexpr int64_t kSecondsPerDay = 86400;

bool is_digit(char c) { return is_ascii_digit(c); }

std::optional<double> parse_double(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) {
    return std::nullopt;
  }
  return value;
}

// Reads `count` digits at `*at` and moves past them.
std::optional<int> take_digits(std::string_view text, size_t* at, size_t count) {
  if (*at > text.size() || text.size() - *at < count) return std::nullopt;
  int value = 0;
  for (size_t i = 0; i < count; ++i) {
    const char c = text[*at + i];
    if (!is_digit(c)) return std::nullopt;
    value = value * 10 + (c - '0');
  }
  *at += count;
  return value;
}

bool take_char(std::string_view text, size_t* at, char expected) {
  if (*at >= text.size() || text[*at] != expected) return false;
  ++*at;
  return true;
}

bool is_leap_year(int year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

// Returns the days from 1970-01-01 to the first of January of `year` (1 or later).
constexpr int64_t days_to_year(int year) {
  const int64_t past = year - 1;
  const int64_t days = past * 365 + past / 4 - past / 100 + past / 400;
  constexpr int64_t kPastAtEpoch = 1969;
  return days - (kPastAtEpoch * 365 + kPastAtEpoch / 4 - kPastAtEpoch / 100 + kPastAtEpoch / 400);
}

// The end of the last year that a time may lie in.
constexpr int64_t kMaxSeconds = days_to_year(2263) * kSecondsPerDay;

// Reads YYYY-MM-DD at `*at` and returns the days since 1970-01-01.
std::optional<int64_t> take_date(std::string_view text, size_t* at) {
  constexpr std::array<int, 12> kDaysOfMonth = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const std::optional<int> year = take_digits(text, at, 4);
  if (!year || *year < 1 || !take_char(text, at, '-')) return std::nullopt;
  const std::optional<int> month = take_digits(text, at, 2);
  if (!month || *month < 1 || *month > 12 || !take_char(text, at, '-')) return std::nullopt;
  const std::optional<int> day = take_digits(text, at, 2);
  const size_t index = static_cast<size_t>(*month - 1);
  const int leap_day = is_leap_year(*year) ? 1 : 0;
  const int last_day = kDaysOfMonth[index] + (*month == 2 ? leap_day : 0);
  if (!day || *day < 1 || *day > last_day) return std::nullopt;
  int64_t days = days_to_year(*year) + *day - 1 + (*month > 2 ? leap_day : 0);
  for (size_t i = 0; i < index; ++i) days += kDaysOfMonth[i];
  return days;
}

// Reads a fraction of a second, if one begins at `*at`, in microseconds; digits
// beyond those are cut off.
std::optional<int64_t> take_fraction(std::string_view text, size_t* at) {
  if (!take_char(text, at, '.')) return 0;
  const size_t begin = *at;
  int64_t us = 0;
  int64_t unit = kUsPerSecond / 10;
  for (; *at < text.size() && is_digit(text[*at]); ++*at, unit /= 10) {
    us += unit * (text[*at] - '0');
  }
  if (*at == begin) return std::nullopt;
  return us;
}

// Reads "Z", or an offset from UTC as +HH, +HHMM or +HH:MM, in seconds; 0 where none stands.
std::optional<int64_t> take_offset(std::string_view text, size_t* at) {
  if (*at == text.size() || take_char(text, at, 'Z') || take_char(text, at, 'z')) return 0;
  const bool is_west = take_char(text, at, '-');
  if (!is_west && !take_char(text, at, '+')) return std::nullopt;
  const std::optional<int> hours = take_digits(text, at, 2);
  std::optional<int> minutes = 0;
  if (*at < text.size()) {
    take_char(text, at, ':');
    minutes = take_digits(text, at, 2);
  }
  if (!hours || *hours > 15 || !minutes || *minutes > 59) return std::nullopt;
  const int64_t offset = *hours * 3600 + *minutes * 60;
  return is_west ? -offset : offset;
}

}  // namespace

bool all_digits(std::string_view text) noexcept {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_digit);
}

bool is_blank_text(std::string_view text) noexcept {
  for (size_t at = 0; at < text.size();) {
    const Character c = character_at(text, at);
    const bool is_dash = c.sign == Sign::kGap && text[at] == '-';
    if (is_dash || (c.sign != Sign::kGap && !(text[at] >= '\t' && text[at] <= '\r'))) return false;
    at += c.size;
  }
  return true;
}

std::optional<double> parse_within(std::string_view text, double bound) {
  const std::optional<double> value = parse_double(text);
  return value && std::fabs(*value) <= bound ? value : std::nullopt;
}

std::optional<int64_t> parse_whole(std::string_view text) {
  const size_t point = text.find('.');
  if (point != std::string_view::npos) {
    const std::string_view fraction = text.substr(point + 1);
    if (fraction.empty() || fraction.find_first_not_of('0') != std::string_view::npos) {
      return std::nullopt;
    }
    text = text.substr(0, point);
  }
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<int64_t> parse_date(std::string_view text) {
  size_t at = 0;
  const std::optional<int64_t> days = take_date(text, &at);
  return at == text.size() ? days : std::nullopt;
}

std::optional<int64_t> parse_time_text(std::string_view text) {
  size_t at = 0;
  const std::optional<int64_t> days = take_date(text, &at);
  if (!days) return std::nullopt;
  const bool is_iso = take_char(text, &at, 'T') || take_char(text, &at, 't');
  if (!is_iso && !take_char(text, &at, ' ')) return std::nullopt;
  const std::optional<int> hour = take_digits(text, &at, 2);
  if (!hour || *hour > 23 || !take_char(text, &at, ':')) return std::nullopt;
  const std::optional<int> minute = take_digits(text, &at, 2);
  if (!minute || *minute > 59) return std::nullopt;
  // Java's own text of a time leaves out seconds that are 0.
  const bool has_seconds = take_char(text, &at, ':') || !is_iso;
  const std::optional<int> second = has_seconds ? take_digits(text, &at, 2) : 0;
  if (!second || *second > 59) return std::nullopt;
  const std::optional<int64_t> us = has_seconds ? take_fraction(text, &at) : 0;
  const std::optional<int64_t> offset = take_offset(text, &at);
  if (!us || !offset || at != text.size()) return std::nullopt;
  const int64_t seconds = *days * kSecondsPerDay + *hour * 3600 + *minute * 60 + *second - *offset;
  if (seconds < 0 || seconds >= kMaxSeconds) return std::nullopt;
  return seconds * kUsPerSecond + *us;
}

std::optional<int64_t> parse_time_ms(std::string_view text) {
  const std::optional<int64_t> ms = parse_whole(text);
  // Of an epoch in seconds these would be the first weeks of 1970.
  if (!ms || *ms < 0 || *ms >= kMaxSeconds * 1000 || epoch_unit(text) == "seconds") return std::nullopt;
  return *ms * 1000;
}

// Digit by digit: as a double they would lose microseconds.
std::optional<int64_t> parse_time_seconds(std::string_view text) {
  const size_t point = std::min(text.find('.'), text.size());
  const std::optional<int64_t> seconds = parse_whole(text.substr(0, point));
  if (!seconds || *seconds < 0 || *seconds >= kMaxSeconds) return std::nullopt;
  size_t at = point;
  const std::optional<int64_t> us = take_fraction(text, &at);
  if (!us || at != text.size()) return std::nullopt;
  return *seconds * kUsPerSecond + *us;
}

std::string_view epoch_unit(std::string_view text) {
  constexpr std::array<std::string_view, 4> kUnits = {"seconds", "milliseconds", "microseconds", "nanoseconds"};
  constexpr int64_t kFirst = 100000000;  // in March of 1973
  const double value = parse_double(text).value_or(0);
  double scale = 1;
  for (const std::string_view unit : kUnits) {
    if (value >= kFirst * scale && value < static_cast<double>(kMaxSeconds) * scale) return unit;
    scale *= 1000;
  }
  return "";
}

// It may come from a double, hence the tolerance: a millionth is more than the rounding of
// any amount below the limit.
std::optional<int64_t> parse_amount(std::string_view text, int decimals) {
  const std::optional<double> value = parse_double(text);
  if (!value || std::fabs(*value) >= kAmountLimit) return std::nullopt;
  const auto units = static_cast<double>(minor_units(decimals));
  const double minor = std::round(*value * units);
  if (std::fabs(*value - minor / units) > 1e-6) return std::nullopt;
  return static_cast<int64_t>(minor);
}

std::optional<std::string> parse_iban(std::string_view text) {
  constexpr size_t kShortest = 15, kLongest = 34;
  std::string iban;
  for (const char c : text) {
    if (c == ' ') continue;
    if (!is_word(c)) return std::nullopt;
    iban += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  }
  if (iban.size() < kShortest || iban.size() > kLongest) return std::nullopt;
  if (is_digit(iban[0]) || is_digit(iban[1]) || !is_digit(iban[2]) || !is_digit(iban[3])) return std::nullopt;
  // Letters are numbers from 10 on; the country and its check digits come last.
  int rest = 0;
  for (size_t i = 0; i < iban.size(); ++i) {
    const char c = iban[(i + 4) % iban.size()];
    rest = is_digit(c) ? (rest * 10 + (c - '0')) % 97 : (rest * 100 + (c - 'A' + 10)) % 97;
  }
  if (rest != 1) return std::nullopt;
  return iban;
}

std::optional<bool> parse_flag(std::string_view text) {
  if (text == "true") return true;
  if (text == "false") return false;
  const std::optional<int64_t> value = parse_whole(text);
  if (!value || *value < 0 || *value > 1) return std::nullopt;
  return *value == 1;
}

std::optional<std::string> parse_uuid(std::string_view text) {
  constexpr std::string_view kShape = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
  if (text.size() != kShape.size()) return std::nullopt;
  std::string uuid(text);
  for (size_t i = 0; i < uuid.size(); ++i) {
    char& c = uuid[i];
    if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
    const bool is_hex = is_digit(c) || (c >= 'a' && c <= 'f');
    if (kShape[i] == '-' ? c != '-' : !is_hex) return std::nullopt;
  }
  return uuid;
}

std::string pad_digits(std::string_view text, size_t width) {
  std::string padded(text);
  if (all_digits(text) && text.size() < width) padded.insert(0, width - text.size(), '0');
  return padded;
}

std::string parse_zip(std::string_view text) {
  const size_t point = text.find('.');
  if (point != std::string_view::npos && all_digits(text.substr(0, point)) && parse_whole(text)) {
    text = text.substr(0, point);
  }
  return pad_digits(text, 5);
}

bool is_floating_point(std::string_view text) {
  return text.find_first_not_of("0123456789+-.eE") == std::string_view::npos &&
         text.find_first_of(".eE") != std::string_view::npos &&
         text.find_first_of("0123456789") != std::string_view::npos;
}

bool has_lost_digits(std::string_view digits) {
  constexpr size_t kSignificant = 17;
  if (digits.size() <= kSignificant || digits.find_last_not_of('0') >= kSignificant || holds_card_number(digits)) return false;
  const std::optional<double> value = parse_double(digits);
  char shortest[32];
  const auto end = value ? std::to_chars(shortest, shortest + sizeof(shortest), *value, std::chars_format::scientific).ptr : shortest;
  // d.ddd…e+18
  std::string kept;
  for (const char* c = shortest; c != end && *c != 'e'; ++c) {
    if (is_digit(*c)) kept += *c;
  }
  kept.resize(std::max(kept.size(), digits.size()), '0');
  return kept == digits;
}

}  // namespace fraud
