#include "core/payments/payment_writer.h"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <optional>
#include <type_traits>

#include "core/base/json_text.h"
#include "core/payments/currency.h"
#include "core/payments/mapping.h"

namespace fraud {
namespace {

// Writes the members of one object, in the order and with the digits that the JSON library
// would give them, without a tree of values in between: every payment comes this way.
class ObjectWriter {
 public:
  explicit ObjectWriter(std::string* out) : out_(out) { *out_ += '{'; }

  // Text that is empty is not given.
  void text(std::string_view name, std::string_view value) {
    if (value.empty()) return;
    begin(name);
    write_json_string(value, out_);
  }

  template <typename Integer, typename = std::enable_if_t<std::is_integral_v<Integer>>>
  void integer(std::string_view name, Integer value) {
    begin(name);
    digits(value);
  }

  void number(std::string_view name, const std::optional<double>& value) {
    if (!value) return;
    begin(name);
    // Nearer to zero the library writes other digits: 0.0001, not 1e-04.
    constexpr double kLeast = 0.001;
    if (!std::isfinite(*value) || (*value != 0 && std::abs(*value) < kLeast)) {
      *out_ += json_number(*value);
      return;
    }
    const size_t at = out_->size();
    char shortest[40];
    out_->append(shortest, std::to_chars(shortest, shortest + sizeof(shortest), *value).ptr);
    if (out_->find_first_of(".e", at) == std::string::npos) *out_ += ".0";
  }

  // An amount of `minor` units, of which one unit has `units`; never negative.
  void amount(std::string_view name, int64_t minor, int64_t units) {
    begin(name);
    digits(minor / units);
    *out_ += '.';
    int64_t rest = minor % units;
    do {
      units /= 10;
      *out_ += units == 0 ? '0' : static_cast<char>('0' + rest / units);
      if (units != 0) rest %= units;
    } while (rest != 0);
  }

  // What is JSON already.
  void json(std::string_view name, std::string_view value) {
    if (value.empty()) return;
    begin(name);
    out_->append(value);
  }

  void end() { *out_ += '}'; }

 private:
  void begin(std::string_view name) {
    if (out_->back() != '{') *out_ += ',';
    ((*out_ += '"').append(name)).append("\":");
  }

  template <typename Integer>
  void digits(Integer value) {
    char text[24];
    out_->append(text, std::to_chars(text, text + sizeof(text), value).ptr);
  }

  std::string* out_;
};

}  // namespace

std::string format_date(int32_t days) {
  // Civil from days: eras of 400 years, years that begin in March.
  int64_t z = int64_t{days} + 719468;
  int64_t era = (z >= 0 ? z : z - 146096) / 146097;
  int64_t day_of_era = z - era * 146097;
  int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  int64_t shifted_month = (5 * day_of_year + 2) / 153;
  int64_t day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
  int64_t month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
  int64_t year = year_of_era + era * 400 + (month <= 2 ? 1 : 0);
  char text[64];
  std::snprintf(text, sizeof(text), "%04lld-%02lld-%02lld", static_cast<long long>(year),
                static_cast<long long>(month), static_cast<long long>(day));
  return text;
}

std::string format_time(int64_t us) {
  int64_t ms = us / 1000;
  int64_t of_day = ms % 86400000;
  char text[32];
  std::snprintf(text, sizeof(text), "T%02d:%02d:%02d.%03dZ", static_cast<int>(of_day / 3600000),
                static_cast<int>(of_day / 60000 % 60), static_cast<int>(of_day / 1000 % 60),
                static_cast<int>(of_day % 1000));
  return format_date(static_cast<int32_t>(ms / 86400000)) + text;
}

std::string payment_to_json(const Payment& payment, std::string_view card_field,
                            std::string_view card) {
  std::string out;
  constexpr size_t kUsual = 512;  // bytes
  out.reserve(kUsual + payment.attributes.size());
  ObjectWriter object(&out);
  if (card_field == "cc_num") {
    object.integer("cc_num", std::stoull(std::string(card)));
  } else {
    object.json("card", '"' + std::string(card) + '"');
    object.text("last_four", payment.last_four);
  }
  object.text("customer", payment.customer);
  object.text("customer_kind", payment.customer_kind);
  if (payment.kind != PaymentKind::kPayment) object.text("kind", payment_kind_name(payment.kind));
  object.text("reference", payment.reference);
  object.text("currency", payment.currency);
  // Read again it loses the first "fraud_" only.
  object.text("merchant", payment.merchant.rfind("fraud_", 0) == 0 ? "fraud_" + payment.merchant : payment.merchant);
  object.text("category", payment.category);
  if (payment.is_of_first) {
    object.integer("amt_minor", payment.amount_minor);
  } else if (payment.has_amount || !is_follow_up(payment.kind)) {
    object.amount("amt", payment.amount_minor, minor_units(payment.decimals));
  }
  object.text("first", payment.first_name);
  object.text("last", payment.last_name);
  object.text("gender", payment.gender);
  object.text("street", payment.street);
  object.text("city", payment.city);
  object.text("state", payment.state);
  object.text("zip", payment.zip);
  object.number("lat", payment.latitude);
  object.number("long", payment.longitude);
  if (payment.city_population) object.integer("city_pop", *payment.city_population);
  object.text("job", payment.job);
  if (payment.date_of_birth) object.text("dob", format_date(*payment.date_of_birth));
  object.text("trans_num", payment.transaction_id);
  object.number("merch_lat", payment.merchant_latitude);
  object.number("merch_long", payment.merchant_longitude);
  if (payment.is_fraud) object.integer("is_fraud", *payment.is_fraud ? 1 : 0);
  if (payment.occurred_at_us) object.integer("current_time", *payment.occurred_at_us / 1000);
  object.json("attributes", payment.attributes);
  object.end();
  return out;
}

}  // namespace fraud
