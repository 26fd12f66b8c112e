// Builds one payment from fields of text, and checks each of them.
#include "core/payments/payment.h"
#include "core/payments/digits.h"
#include "core/payments/forbidden_fields.h"
#include "core/payments/mask.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace fraud {
namespace {

constexpr size_t kMaxText = 200;           // characters
constexpr size_t kMaxTransactionId = 128;  // characters
constexpr size_t kMaxQuoted = 40;          // characters of a value in a reason
constexpr size_t kMinCardDigits = 8;
constexpr size_t kMaxCardDigits = 19;
constexpr double kAmountLimit = 1e10;
constexpr int64_t kMaxPopulation = 10000000000;
constexpr int64_t kUsPerSecond = 1000000;
constexpr int64_t kSecondsPerDay = 86400;

enum class Field {
  kAmount,
  kCard,
  kCategory,
  kCardNumber,
  kCity,
  kCityPopulation,
  kTimeMs,
  kDateOfBirth,
  kFirstName,
  kGender,
  kIsFraud,
  kJob,
  kLastName,
  kLastFour,
  kLatitude,
  kLongitude,
  kMerchantLatitude,
  kMerchantLongitude,
  kMerchant,
  kState,
  kStreet,
  kTimeText,
  kTransactionId,
  kTimeSeconds,
  kZip,
};

struct FieldInfo {
  std::string_view name;
  Field field;
  std::string_view expected;
};

constexpr std::string_view kExpectedText = "text of at most 200 characters";
constexpr std::string_view kExpectedLatitude = "a latitude from -90 to 90";
constexpr std::string_view kExpectedLongitude = "a longitude from -180 to 180";

// Ordered by name, for the binary search.
constexpr std::array<FieldInfo, 25> kFields = {{
    {"amt", Field::kAmount, "a number from 0 to below 10000000000 with at most two decimals"},
    {"card", Field::kCard, "a uuid"},
    {"category", Field::kCategory, kExpectedText},
    {"cc_num", Field::kCardNumber, "8 to 19 digits"},
    {"city", Field::kCity, kExpectedText},
    {"city_pop", Field::kCityPopulation, "an integer from 0 to 10000000000"},
    {"current_time", Field::kTimeMs, "epoch milliseconds from 1970 to 2262"},
    {"dob", Field::kDateOfBirth, "a date as YYYY-MM-DD"},
    {"first", Field::kFirstName, kExpectedText},
    {"gender", Field::kGender, kExpectedText},
    {"is_fraud", Field::kIsFraud, "0, 1, true or false"},
    {"job", Field::kJob, kExpectedText},
    {"last", Field::kLastName, kExpectedText},
    {"last_four", Field::kLastFour, "four digits"},
    {"lat", Field::kLatitude, kExpectedLatitude},
    {"long", Field::kLongitude, kExpectedLongitude},
    {"merch_lat", Field::kMerchantLatitude, kExpectedLatitude},
    {"merch_long", Field::kMerchantLongitude, kExpectedLongitude},
    {"merchant", Field::kMerchant, "a name of 1 to 200 characters"},
    {"state", Field::kState, kExpectedText},
    {"street", Field::kStreet, kExpectedText},
    {"trans_date_trans_time", Field::kTimeText,
     "a time as YYYY-MM-DD HH:MM:SS in UTC from 1970 to 2262"},
    {"trans_num", Field::kTransactionId, "text of 1 to 128 characters"},
    {"unix_time", Field::kTimeSeconds, "epoch seconds from 1970 to 2262"},
    {"zip", Field::kZip, kExpectedText},
}};

const FieldInfo* find_field(std::string_view name) noexcept {
  const auto found =
      std::lower_bound(kFields.begin(), kFields.end(), name,
                       [](const FieldInfo& info, std::string_view key) { return info.name < key; });
  return found != kFields.end() && found->name == name ? &*found : nullptr;
}

bool is_digit(char c) { return is_ascii_digit(c); }

bool all_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_digit);
}

// True for the first byte of a character of UTF-8.
bool begins_character(char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }

size_t count_characters(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), begins_character));
}

// Returns the value for a reason: on one line, masked before it is cut, so that
// no cut can hide a card number from the mask.
std::string quote(std::string_view text, std::string_view card_number) {
  // Fewer digits are more often something else.
  constexpr size_t kMinUnknown = 11;
  const bool is_any = card_number.empty() && count_digits_at_most(text) >= kMinUnknown;
  const std::string masked = is_any ? redact_broken(text) : redact(text, card_number);
  std::string quoted = "\"";
  size_t characters = 0;
  for (const char c : masked) {
    if (begins_character(c) && ++characters > kMaxQuoted) {
      quoted += "...";
      break;
    }
    const unsigned char byte = static_cast<unsigned char>(c);
    quoted += byte < 0x20 || byte == 0x7F ? ' ' : c;
  }
  return quoted + '"';
}

std::string describe(const FieldInfo& info, std::string_view found) {
  std::string reason(info.name);
  reason.append(" is ").append(found).append(": expected ").append(info.expected);
  return reason;
}

std::optional<double> parse_double(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) {
    return std::nullopt;
  }
  return value;
}

std::optional<double> parse_within(std::string_view text, double bound) {
  const std::optional<double> value = parse_double(text);
  return value && std::fabs(*value) <= bound ? value : std::nullopt;
}

// Reads an integer. A fraction of zeros is let pass: a tool that met a missing
// value has made doubles of the whole column, which hold these integers exactly.
std::optional<int64_t> parse_integer(std::string_view text) {
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

std::optional<int64_t> parse_date(std::string_view text) {
  size_t at = 0;
  const std::optional<int64_t> days = take_date(text, &at);
  return at == text.size() ? days : std::nullopt;
}

// Reads a date and a time of day in UTC.
std::optional<int64_t> parse_time_text(std::string_view text) {
  size_t at = 0;
  const std::optional<int64_t> days = take_date(text, &at);
  if (!days || !(take_char(text, &at, ' ') || take_char(text, &at, 'T'))) return std::nullopt;
  const std::optional<int> hour = take_digits(text, &at, 2);
  if (!hour || *hour > 23 || !take_char(text, &at, ':')) return std::nullopt;
  const std::optional<int> minute = take_digits(text, &at, 2);
  if (!minute || *minute > 59 || !take_char(text, &at, ':')) return std::nullopt;
  const std::optional<int> second = take_digits(text, &at, 2);
  if (!second || *second > 59) return std::nullopt;
  const std::optional<int64_t> us = take_fraction(text, &at);
  // Postgres writes a timestamptz in UTC with "+00".
  const std::string_view zone = text.substr(at);
  if (!us || !(zone.empty() || zone == "Z" || zone == "+00" || zone == "+00:00")) {
    return std::nullopt;
  }
  const int64_t seconds = *days * kSecondsPerDay + *hour * 3600 + *minute * 60 + *second;
  if (seconds < 0 || seconds >= kMaxSeconds) return std::nullopt;
  return seconds * kUsPerSecond + *us;
}

std::optional<int64_t> parse_time_ms(std::string_view text) {
  const std::optional<int64_t> ms = parse_integer(text);
  if (!ms || *ms < 0 || *ms >= kMaxSeconds * 1000) return std::nullopt;
  return *ms * 1000;
}

// Reads epoch seconds, with a fraction or without, digit by digit: as a double
// they would lose microseconds.
std::optional<int64_t> parse_time_seconds(std::string_view text) {
  const size_t point = std::min(text.find('.'), text.size());
  const std::optional<int64_t> seconds = parse_integer(text.substr(0, point));
  if (!seconds || *seconds < 0 || *seconds >= kMaxSeconds) return std::nullopt;
  size_t at = point;
  const std::optional<int64_t> us = take_fraction(text, &at);
  if (!us || at != text.size()) return std::nullopt;
  return *seconds * kUsPerSecond + *us;
}

// Reads an amount in hundredths. It may come from a double, hence the tolerance:
// a millionth is more than the rounding of any amount below the limit.
std::optional<int64_t> parse_amount(std::string_view text) {
  const std::optional<double> value = parse_double(text);
  if (!value || *value < 0 || *value >= kAmountLimit) return std::nullopt;
  const double cents = std::round(*value * 100);
  if (std::fabs(*value - cents / 100) > 1e-6) return std::nullopt;
  return static_cast<int64_t>(cents);
}

std::optional<bool> parse_flag(std::string_view text) {
  if (text == "true") return true;
  if (text == "false") return false;
  const std::optional<int64_t> value = parse_integer(text);
  if (!value || *value < 0 || *value > 1) return std::nullopt;
  return *value == 1;
}

// Returns a uuid in lower case.
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

// Returns digits with the leading zeros that they have lost as a number.
std::string pad_digits(std::string_view text, size_t width) {
  std::string padded(text);
  if (all_digits(text) && text.size() < width) padded.insert(0, width - text.size(), '0');
  return padded;
}

// Returns a zip code, which may have been an integer, or a double.
std::string parse_zip(std::string_view text) {
  const size_t point = text.find('.');
  if (point != std::string_view::npos && all_digits(text.substr(0, point)) && parse_integer(text)) {
    text = text.substr(0, point);
  }
  return pad_digits(text, 5);
}

// True for what a tool writes that took a card number for a double.
bool is_floating_point(std::string_view text) {
  return text.find_first_not_of("0123456789+-.eE") == std::string_view::npos &&
         text.find_first_of(".eE") != std::string_view::npos &&
         text.find_first_of("0123456789") != std::string_view::npos;
}

// Returns the field's claim to be the payment's time; the highest one wins.
int time_rank(Field field) {
  switch (field) {
    case Field::kTimeMs:
      return 3;
    case Field::kTimeText:
      return 2;
    default:
      return 1;
  }
}

std::optional<int64_t> parse_time(Field field, std::string_view text) {
  switch (field) {
    case Field::kTimeMs:
      return parse_time_ms(text);
    case Field::kTimeText:
      return parse_time_text(text);
    default:
      return parse_time_seconds(text);
  }
}

bool is_time(Field field) {
  return field == Field::kTimeMs || field == Field::kTimeText || field == Field::kTimeSeconds;
}

// Returns the member that holds a field of plain text, or nullptr.
std::string* text_member(Payment* payment, Field field) {
  switch (field) {
    case Field::kCategory:
      return &payment->category;
    case Field::kCity:
      return &payment->city;
    case Field::kFirstName:
      return &payment->first_name;
    case Field::kGender:
      return &payment->gender;
    case Field::kJob:
      return &payment->job;
    case Field::kLastName:
      return &payment->last_name;
    case Field::kMerchant:
      return &payment->merchant;
    case Field::kState:
      return &payment->state;
    case Field::kStreet:
      return &payment->street;
    case Field::kTransactionId:
      return &payment->transaction_id;
    case Field::kZip:
      return &payment->zip;
    default:
      return nullptr;
  }
}

}  // namespace

std::optional<PaymentFormat> payment_format(std::string_view name) noexcept {
  if (name == "auto") return PaymentFormat::kAuto;
  if (name == "split") return PaymentFormat::kSplit;
  if (name == "records") return PaymentFormat::kRecords;
  if (name == "ndjson") return PaymentFormat::kNdjson;
  return std::nullopt;
}

bool id_holds_card_number(std::string_view id, std::string_view card_number) {
  if (count_digits_at_most(id) < kMinCardDigits) return false;
  std::string kept(id);
  hide_card_number(card_number, &kept);
  return kept != id || holds_card_number(id);
}

bool is_payment_field(std::string_view name) noexcept { return find_field(name) != nullptr; }

// Keeps the first fault.
void PaymentBuilder::fail(std::string reason) {
  if (fault_.empty()) fault_ = std::move(reason);
}

// Takes the card number, whose value no reason ever shows.
void PaymentBuilder::set_card_number(std::string_view text) {
  has_card_ = true;
  card_digits_.clear();
  for (size_t at = 0; at < text.size() && card_digits_.size() <= kMaxCardDigits;) {
    const Character c = character_at(text, at);
    if (c.sign == Sign::kDigit) card_digits_ += static_cast<char>('0' + c.value);
    at += c.size;
  }
  // Fewer would be found in many a text.
  if (card_digits_.size() < kMinCardDigits || card_digits_.size() > kMaxCardDigits) card_digits_.clear();
  const std::string_view rule = "cc_num: card number must be 8 to 19 digits, not ";
  if (is_floating_point(text)) {
    fail(std::string(rule) + "a floating-point number");
  } else if (!all_digits(text)) {
    fail(std::string(rule) + "text with other characters");
  } else if (text.size() < kMinCardDigits || text.size() > kMaxCardDigits) {
    fail(std::string(rule) + std::to_string(text.size()));
  } else {
    payment_.card_number = text;
  }
}

void PaymentBuilder::set_unusable(std::string_view field, std::string_view found) {
  const FieldInfo* info = find_field(field);
  if (info == nullptr) return;
  if (info->field == Field::kCardNumber) {
    has_card_ = true;
    card_digits_.clear();
    fail("cc_num: card number must be 8 to 19 digits, not " + std::string(found));
  } else if (!is_time(info->field)) {
    fail(describe(*info, found));
  } else if (time_rank(info->field) >= time_rank_) {
    time_rank_ = time_rank(info->field);
    time_fault_ = describe(*info, found);
    payment_.occurred_at_us.reset();
  }
}

void PaymentBuilder::set(std::string_view field, std::string_view text) {
  const FieldInfo* info = find_field(field);
  if (info == nullptr || text.empty()) return;
  if (text.find('\0') != std::string_view::npos) {
    set_unusable(field, "text with a NUL character");
    return;
  }

  // Stores what was parsed, or the fault.
  const auto take = [&](auto parsed, auto* member) {
    if (parsed) {
      *member = std::move(*parsed);
    } else {
      fail(describe(*info, quote(text, card_digits_)));
    }
  };

  switch (info->field) {
    case Field::kCardNumber:
      set_card_number(text);
      break;
    case Field::kCard:
      take(parse_uuid(text), &payment_.card_token);
      break;
    case Field::kLastFour: {
      const std::string digits = pad_digits(text, 4);
      if (all_digits(digits) && digits.size() == 4) {
        payment_.last_four = digits;
      } else {
        fail(describe(*info, quote(text, card_digits_)));
      }
      break;
    }
    case Field::kAmount:
      has_amount_ = true;
      take(parse_amount(text), &payment_.amount_cents);
      break;
    case Field::kLatitude:
      take(parse_within(text, 90), &payment_.latitude);
      break;
    case Field::kLongitude:
      take(parse_within(text, 180), &payment_.longitude);
      break;
    case Field::kMerchantLatitude:
      take(parse_within(text, 90), &payment_.merchant_latitude);
      break;
    case Field::kMerchantLongitude:
      take(parse_within(text, 180), &payment_.merchant_longitude);
      break;
    case Field::kCityPopulation: {
      std::optional<int64_t> people = parse_integer(text);
      if (people && (*people < 0 || *people > kMaxPopulation)) people.reset();
      take(people, &payment_.city_population);
      break;
    }
    case Field::kDateOfBirth: {
      const std::optional<int64_t> days = parse_date(text);
      take(days ? std::optional<int32_t>(static_cast<int32_t>(*days)) : std::nullopt,
           &payment_.date_of_birth);
      break;
    }
    case Field::kIsFraud:
      take(parse_flag(text), &payment_.is_fraud);
      break;
    case Field::kTimeMs:
    case Field::kTimeText:
    case Field::kTimeSeconds:
      // A fault of a time that another one outranks does no harm.
      if (time_rank(info->field) >= time_rank_) {
        time_rank_ = time_rank(info->field);
        payment_.occurred_at_us = parse_time(info->field, text);
        time_fault_ = payment_.occurred_at_us ? "" : describe(*info, quote(text, card_digits_));
      }
      break;
    case Field::kCategory:
    case Field::kCity:
    case Field::kFirstName:
    case Field::kGender:
    case Field::kJob:
    case Field::kLastName:
    case Field::kMerchant:
    case Field::kState:
    case Field::kStreet:
    case Field::kTransactionId:
    case Field::kZip: {
      std::string value(text);
      if (info->field == Field::kZip) value = parse_zip(text);
      if (info->field == Field::kMerchant && value.compare(0, 6, "fraud_") == 0) value.erase(0, 6);
      const size_t limit = info->field == Field::kTransactionId ? kMaxTransactionId : kMaxText;
      const size_t characters = count_characters(value);
      if (characters > limit) {
        fail(describe(*info, "text of " + std::to_string(characters) + " characters"));
      } else if (value.empty()) {
        fail(describe(*info, quote(text, card_digits_)));
      } else {
        *text_member(&payment_, info->field) = std::move(value);
      }
      break;
    }
  }
}

// Checks what can be told only when all fields are known.
void PaymentBuilder::check_whole() {
  if (!payment_.card_number.empty() && !payment_.card_token.empty()) {
    fail("cc_num and card are both given: expected one of them");
  }
  if (!time_fault_.empty()) fail(time_fault_);
  if (payment_.card_number.empty() && payment_.card_token.empty()) {
    fail("cc_num is missing or empty: expected 8 to 19 digits");
  }
  if (payment_.transaction_id.empty()) {
    fail("trans_num is missing or empty: expected text of 1 to 128 characters");
  }
  if (!has_amount_) fail("amt is missing or empty: expected a number");
  if (payment_.merchant.empty()) {
    fail("merchant is missing or empty: expected a name of 1 to 200 characters");
  }
}

std::optional<Payment> PaymentBuilder::finish(std::string* reason) {
  check_whole();
  payment_.id_holds_card =
      id_holds_card_number(payment_.transaction_id, card_digits_) ||
      (card_is_unknown() &&
       mask_card_numbers(payment_.transaction_id, Masking::kAny) != payment_.transaction_id);
  if (!fault_.empty()) {
    hide_card_number(card_digits_, &fault_);
    *reason = fault_;
    return std::nullopt;
  }
  if (!payment_.card_number.empty()) {
    payment_.last_four = payment_.card_number.substr(payment_.card_number.size() - 4);
  }
  for (const FieldInfo& info : kFields) {
    std::string* text = text_member(&payment_, info.field);
    if (text == nullptr || info.field == Field::kTransactionId || text->size() < kMinCardDigits) continue;
    hide_card_number(card_digits_, text);
    if (holds_card_number(*text)) *text = mask_card_numbers(*text);
  }
  Payment payment = std::move(payment_);
  *this = PaymentBuilder();
  return payment;
}

}  // namespace fraud
