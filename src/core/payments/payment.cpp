// Builds one payment from fields of text, and checks each of them.
#include "core/payments/payment.h"
#include "core/payments/currency.h"
#include "core/payments/digits.h"
#include "core/payments/field_values.h"
#include "core/payments/forbidden_fields.h"
#include "core/payments/mask.h"
#include "core/payments/payment_writer.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace fraud {

Payment::Payment() = default;
Payment::Payment(const Payment&) = default;
Payment::Payment(Payment&&) noexcept = default;
Payment& Payment::operator=(const Payment&) = default;
Payment& Payment::operator=(Payment&&) noexcept = default;
Payment::~Payment() = default;

PaymentBatch::PaymentBatch() = default;
PaymentBatch::PaymentBatch(const PaymentBatch&) = default;
PaymentBatch::PaymentBatch(PaymentBatch&&) noexcept = default;
PaymentBatch& PaymentBatch::operator=(const PaymentBatch&) = default;
PaymentBatch& PaymentBatch::operator=(PaymentBatch&&) noexcept = default;
PaymentBatch::~PaymentBatch() = default;

namespace {

constexpr size_t kMaxText = 200;           // characters
constexpr size_t kMaxTransactionId = 128;  // characters
constexpr size_t kMaxQuoted = 40;          // characters of a value in a reason
constexpr size_t kMinCardDigits = 8;
constexpr size_t kMaxCardDigits = 19;
constexpr int64_t kMaxPopulation = 10000000000;

enum class Field {
  kAmount,
  kAmountMinor,
  kAttributes,
  kCard,
  kCategory,
  kCardNumber,
  kCity,
  kCityPopulation,
  kCurrency,
  kTimeMs,
  kCustomer,
  kCustomerKind,
  kDateOfBirth,
  kFirstName,
  kGender,
  kIsFraud,
  kJob,
  kKind,
  kLastName,
  kLastFour,
  kLatitude,
  kLongitude,
  kMerchantLatitude,
  kMerchantLongitude,
  kMerchant,
  kReference,
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

// In the order of PaymentKind.
constexpr std::array<std::string_view, 6> kKindNames = {"payment", "authorisation", "capture", "refund", "reversal", "chargeback"};

constexpr std::string_view kExpectedText = "text of at most 200 characters";
constexpr std::string_view kExpectedLatitude = "a latitude from -90 to 90";
constexpr std::string_view kExpectedLongitude = "a longitude from -180 to 180";

// Ordered by name, for the binary search.
constexpr std::array<FieldInfo, kPaymentFields> kFields = {{
    {"amt", Field::kAmount, "a number from 0 to below 10000000000 with at most two decimals"},
    {"amt_minor", Field::kAmountMinor, "an integer from 0, in the currency's minor unit"},
    {"attributes", Field::kAttributes, "an object"},
    {"card", Field::kCard, "a uuid"},
    {"category", Field::kCategory, kExpectedText},
    {"cc_num", Field::kCardNumber, "8 to 19 digits"},
    {"city", Field::kCity, kExpectedText},
    {"city_pop", Field::kCityPopulation, "an integer from 0 to 10000000000"},
    {"currency", Field::kCurrency, "a currency's code as in ISO 4217, such as EUR"},
    {"current_time", Field::kTimeMs, "epoch milliseconds from 1970 to 2262"},
    {"customer", Field::kCustomer, "text of 1 to 128 characters"},
    {"customer_kind", Field::kCustomerKind, "card, iban, or the name of a kind of id that is no secret, such as token, wallet or account"},
    {"dob", Field::kDateOfBirth, "a date as YYYY-MM-DD"},
    {"first", Field::kFirstName, kExpectedText},
    {"gender", Field::kGender, kExpectedText},
    {"is_fraud", Field::kIsFraud, "0, 1, true or false"},
    {"job", Field::kJob, kExpectedText},
    {"kind", Field::kKind, "payment, authorisation, capture, refund, reversal or chargeback"},
    {"last", Field::kLastName, kExpectedText},
    {"last_four", Field::kLastFour, "four digits"},
    {"lat", Field::kLatitude, kExpectedLatitude},
    {"long", Field::kLongitude, kExpectedLongitude},
    {"merch_lat", Field::kMerchantLatitude, kExpectedLatitude},
    {"merch_long", Field::kMerchantLongitude, kExpectedLongitude},
    {"merchant", Field::kMerchant, "a name of 1 to 200 characters"},
    {"reference", Field::kReference, "text of 1 to 128 characters"},
    {"state", Field::kState, kExpectedText},
    {"street", Field::kStreet, kExpectedText},
    {"trans_date_trans_time", Field::kTimeText,
     "a time as YYYY-MM-DD HH:MM:SS, in UTC or with an offset, from 1970 to 2262"},
    {"trans_num", Field::kTransactionId, "text of 1 to 128 characters"},
    {"unix_time", Field::kTimeSeconds, "epoch seconds from 1970 to 2262"},
    {"zip", Field::kZip, kExpectedText},
}};

// True for the first byte of a character of UTF-8.
bool begins_character(char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }

size_t count_characters(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), begins_character));
}

std::string describe(const FieldInfo& info, std::string_view found) {
  std::string reason(info.name);
  reason.append(" is ").append(found).append(": expected ").append(info.expected);
  return reason;
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

// Returns what is wrong with the time, and which unit's number it is, if it looks like one.
std::string time_fault(const FieldInfo& info, std::string_view text, std::string_view card_number) {
  std::string reason = describe(info, quote_value(text, card_number));
  if (info.field == Field::kTimeText) return reason;
  const std::string_view unit = epoch_unit(text);
  const std::string_view own = info.field == Field::kTimeMs ? "milliseconds" : "seconds";
  if (!unit.empty() && unit != own) reason.append("; it looks like ").append(unit);
  return reason;
}

bool is_required(Field field) {
  return field == Field::kAmount || field == Field::kAmountMinor || field == Field::kCardNumber || field == Field::kMerchant ||
         field == Field::kTransactionId;
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
    case Field::kReference:
      return &payment->reference;
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

// Returns the value for a reason: on one line, masked before it is cut, so that
// no cut can hide a card number from the mask.
std::string quote_value(std::string_view text, std::string_view card_number) {
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

std::optional<PaymentKind> payment_kind(std::string_view name) noexcept {
  const auto* found = std::find(kKindNames.begin(), kKindNames.end(), name);
  if (found == kKindNames.end()) return std::nullopt;
  return static_cast<PaymentKind>(found - kKindNames.begin());
}

std::string_view payment_kind_name(PaymentKind kind) noexcept { return kKindNames[static_cast<size_t>(kind)]; }

bool is_secret_kind(std::string_view customer_kind) noexcept { return customer_kind == "card" || customer_kind == "iban"; }

std::string_view currency_of(const Payment& payment) noexcept {
  return payment.currency.empty() ? base_currency() : std::string_view(payment.currency);
}

std::optional<PaymentFormat> payment_format(std::string_view name) noexcept {
  if (name == "auto") return PaymentFormat::kAuto;
  if (name == "split") return PaymentFormat::kSplit;
  if (name == "records") return PaymentFormat::kRecords;
  if (name == "ndjson") return PaymentFormat::kNdjson;
  if (name == "csv") return PaymentFormat::kCsv;
  return std::nullopt;
}

bool id_holds_card_number(std::string_view id, std::string_view card_number) {
  if (count_digits_at_most(id) < kMinCardDigits) return false;
  std::string kept(id);
  hide_card_number(card_number, &kept);
  return kept != id || holds_card_number(id);
}

int find_payment_field(std::string_view name) noexcept {
  const auto* found =
      std::lower_bound(kFields.begin(), kFields.end(), name,
                       [](const FieldInfo& info, std::string_view key) { return info.name < key; });
  return found != kFields.end() && found->name == name ? static_cast<int>(found - kFields.begin()) : kUnknownField;
}

bool comes_first(int field) noexcept {
  if (field == kUnknownField) return false;
  const Field known = kFields[static_cast<size_t>(field)].field;
  return known == Field::kCurrency || known == Field::kKind || known == Field::kCustomerKind;
}

bool is_payment_field(std::string_view name) noexcept { return find_payment_field(name) != kUnknownField; }

bool is_nan(std::string_view text) noexcept {
  if (!text.empty() && text[0] == '-') text.remove_prefix(1);
  return text.size() == 3 && (text[0] | 0x20) == 'n' && (text[1] | 0x20) == 'a' && (text[2] | 0x20) == 'n';
}

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
  } else if (has_lost_digits(text)) {
    fail(std::string(rule) + "what a floating-point number has left of one");
  } else {
    payment_.card_number = text;
  }
}

void PaymentBuilder::set_unreadable(int field, std::string_view found, bool is_text) {
  if (field == kUnknownField) return;
  const FieldInfo& info = kFields[static_cast<size_t>(field)];
  if (info.field == Field::kCardNumber) {
    set_unusable(field, "what cannot be read");
  } else if (is_text) {
    set_unusable(field, quote_value(found, card_digits_) + ", which is not valid text");
  } else if (!is_nan(found) || is_required(info.field)) {
    set_unusable(field, quote_value(found, card_digits_));
  }
}

void PaymentBuilder::set_unusable(int field, std::string_view found) {
  if (field == kUnknownField) return;
  const FieldInfo* info = &kFields[static_cast<size_t>(field)];
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

void PaymentBuilder::set(int field, std::string_view text) {
  if (field == kUnknownField || text.empty()) return;
  const FieldInfo* info = &kFields[static_cast<size_t>(field)];
  if (text.find('\0') != std::string_view::npos) {
    set_unusable(field, "text with a NUL character");
    return;
  }

  // Stores what was parsed, or the fault.
  const auto take = [&](auto parsed, auto* member) {
    if (parsed) {
      *member = std::move(*parsed);
    } else {
      fail(describe(*info, quote_value(text, card_digits_)));
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
        fail(describe(*info, quote_value(text, card_digits_)));
      }
      break;
    }
    case Field::kAmount:
    case Field::kAmountMinor:
      set_amount(field, text);
      break;
    case Field::kAttributes:
      break;  // the reader's
    case Field::kCurrency: {
      std::string code(text);
      for (char& c : code) {
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
      }
      if (const std::string_view named = currency_of_number(text); !named.empty()) code = named;
      if (const std::optional<int> decimals = currency_decimals(code)) {
        payment_.currency = std::move(code);
        payment_.decimals = *decimals;
      } else {
        fail(describe(*info, quote_value(text, card_digits_)));
      }
      break;
    }
    case Field::kCustomer:
      set_customer(text);
      break;
    case Field::kCustomerKind: {
      const bool is_name = text.size() <= 32 && is_ascii_letter(text[0]) &&
                           std::all_of(text.begin(), text.end(), [](char c) { return (is_word(c) && (c < 'A' || c > 'Z')) || c == '_'; });
      take(is_name ? std::optional<std::string>(text) : std::nullopt, &payment_.customer_kind);
      break;
    }
    case Field::kKind:
      take(payment_kind(text), &payment_.kind);
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
      std::optional<int64_t> people = parse_whole(text);
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
        time_fault_ = payment_.occurred_at_us ? "" : time_fault(*info, text, card_digits_);
      }
      break;
    case Field::kCategory:
    case Field::kCity:
    case Field::kFirstName:
    case Field::kGender:
    case Field::kJob:
    case Field::kLastName:
    case Field::kMerchant:
    case Field::kReference:
    case Field::kState:
    case Field::kStreet:
    case Field::kTransactionId:
    case Field::kZip: {
      std::string value(text);
      if (info->field == Field::kZip) value = parse_zip(text);
      if (info->field == Field::kMerchant && value.compare(0, 6, "fraud_") == 0) value.erase(0, 6);
      const bool is_id = info->field == Field::kTransactionId || info->field == Field::kReference;
      const size_t limit = is_id ? kMaxTransactionId : kMaxText;
      const size_t characters = count_characters(value);
      if (characters > limit) {
        fail(describe(*info, "text of " + std::to_string(characters) + " characters"));
      } else if (is_blank_text(value)) {
        // As good as not given.
        if (is_required(info->field)) fail(describe(*info, quote_value(text, card_digits_)));
      } else {
        *text_member(&payment_, info->field) = std::move(value);
      }
      break;
    }
  }
}

// Takes an amount, in the currency's unit or its minor one. Which decimals it may have depends
// on the currency.
void PaymentBuilder::set_amount(int field, std::string_view text) {
  const FieldInfo& info = kFields[static_cast<size_t>(field)];
  if (payment_.has_amount && (info.field == Field::kAmountMinor) != has_minor_) {
    fail("amt and amt_minor are both given: expected one of them");
    return;
  }
  payment_.has_amount = true;
  has_minor_ = info.field == Field::kAmountMinor;
  // Without a currency, what follows a payment is of that one's, which is not known here.
  const bool is_of_first = payment_.currency.empty() && is_follow_up(payment_.kind);
  if (payment_.currency.empty()) payment_.decimals = is_of_first && !has_minor_ ? kMaxDecimals : base_decimals();
  payment_.is_of_first = is_of_first && has_minor_;
  std::optional<int64_t> minor = has_minor_ ? parse_whole(text) : parse_amount(text, payment_.decimals);
  const int64_t limit = 10000000000 * minor_units(payment_.decimals);
  const bool is_too_large = minor && *minor >= limit;
  if (minor && (*minor >= limit || *minor <= -limit)) minor.reset();
  // What is paid back may be below zero.
  if (minor && *minor < 0 && (!is_follow_up(payment_.kind) || payment_.kind == PaymentKind::kCapture)) minor.reset();
  if (!minor) {
    FieldInfo expected = info;
    constexpr std::array<std::string_view, kMaxDecimals + 1> kExpected = {
        "a number from 0 to below 10000000000 without decimals", "", "a number from 0 to below 10000000000 with at most two decimals",
        "a number from 0 to below 10000000000 with at most three decimals",
        "a number from 0 to below 10000000000 with at most four decimals"};
    if (!has_minor_) expected.expected = kExpected[static_cast<size_t>(payment_.decimals)];
    const std::string below = "an integer below " + std::to_string(limit) + ", in the currency's minor unit";
    if (has_minor_ && is_too_large) expected.expected = below;
    std::string reason = describe(expected, quote_value(text, card_digits_));
    if (!payment_.currency.empty()) reason += ", as " + payment_.currency + " has";
    fail(std::move(reason));
    return;
  }
  payment_.amount_minor = *minor < 0 ? -*minor : *minor;
}

// Takes the id of who pays. What is secret goes the way of card numbers.
void PaymentBuilder::set_customer(std::string_view text) {
  if (payment_.customer_kind == "card") {
    set_card_number(text);
    return;
  }
  if (payment_.customer_kind == "iban") {
    has_card_ = true;
    if (std::optional<std::string> iban = parse_iban(text)) {
      payment_.card_number = "iban:" + *iban;
    } else {
      fail("customer is no IBAN with the right check digits");
    }
    return;
  }
  const size_t characters = count_characters(text);
  if (is_blank_text(text) || characters > kMaxTransactionId) {
    fail("customer is text of " + std::to_string(characters) + " characters: expected 1 to 128, not all blank");
  } else if (holds_card_number(text)) {
    // A plain one is stored as it is.
    fail("customer holds what may be a card number: expected customer_kind \"card\" with it");
  } else {
    payment_.customer = text;
  }
}

// Checks what can be told only when all fields are known.
void PaymentBuilder::check_whole() {
  const bool follows = is_follow_up(payment_.kind);
  if (!payment_.customer.empty() && payment_.customer_kind.empty()) {
    fail("customer is given without customer_kind: expected card, iban, or the name of a kind of id that is no secret, such as token");
  }
  if (!payment_.card_number.empty() && !payment_.card_token.empty()) {
    fail("cc_num and card are both given: expected one of them");
  }
  if (!payment_.card_number.empty() && !payment_.customer.empty()) {
    fail("cc_num and customer are both given: expected one of them");
  }
  if (!time_fault_.empty()) fail(time_fault_);
  if (!follows && payment_.card_number.empty() && payment_.card_token.empty() && payment_.customer.empty()) {
    const bool is_card = payment_.customer_kind.empty() || payment_.customer_kind == "card";
    fail(is_card ? "cc_num is missing or empty: expected 8 to 19 digits" : "customer is missing or empty: expected text of 1 to 128 characters");
  }
  if (payment_.transaction_id.empty()) {
    fail("trans_num is missing or empty: expected text of 1 to 128 characters");
  }
  if (!payment_.has_amount && !follows) fail("amt is missing or empty: expected a number");
  if (payment_.merchant.empty() && !follows) {
    fail("merchant is missing or empty: expected a name of 1 to 200 characters");
  }
  if (follows && payment_.reference.empty()) {
    fail("reference is missing or empty: expected the trans_num of the payment that a " +
         std::string(payment_kind_name(payment_.kind)) + " follows");
  }
  if (payment_.date_of_birth && fault_.empty()) {
    constexpr int64_t kUsPerDay = int64_t{86400} * 1000000;
    const int64_t now_us = std::chrono::duration_cast<std::chrono::microseconds>(
                               std::chrono::system_clock::now().time_since_epoch())
                               .count();
    // A day more: the birthday's own zone is not known.
    if (*payment_.date_of_birth > payment_.occurred_at_us.value_or(now_us) / kUsPerDay + 1) {
      fail("dob is \"" + format_date(*payment_.date_of_birth) + "\": expected a date that is not after the payment");
    }
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
  const bool is_card = all_digits(payment_.card_number);
  if (!payment_.card_number.empty() && !is_card) {
    const std::string end = payment_.card_number.substr(payment_.card_number.size() - 4);
    payment_.last_four = all_digits(end) ? end : "";
  } else if (is_card) {
    payment_.customer_kind.clear();
    payment_.last_four = payment_.card_number.substr(payment_.card_number.size() - 4);
  }
  for (const FieldInfo& info : kFields) {
    std::string* text = text_member(&payment_, info.field);
    if (text == nullptr || info.field == Field::kTransactionId || info.field == Field::kReference || text->size() < kMinCardDigits) continue;
    hide_card_number(card_digits_, text);
    if (holds_card_number(*text)) *text = mask_card_numbers(*text);
  }
  if (payment_.currency.empty() && !is_follow_up(payment_.kind)) payment_.decimals = base_decimals();
  Payment payment = std::move(payment_);
  *this = PaymentBuilder();
  return payment;
}

}  // namespace fraud
