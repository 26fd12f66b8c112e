#include "core/payments/payment_writer.h"

#include <nlohmann/json.hpp>

#include "core/payments/currency.h"

#include <cstdio>

namespace fraud {

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
  using Json = nlohmann::ordered_json;
  Json object = Json::object();
  if (card_field == "cc_num") {
    object["cc_num"] = std::stoull(std::string(card));
  } else {
    object["card"] = std::string(card);
    if (!payment.last_four.empty()) object["last_four"] = payment.last_four;
  }
  auto put = [&](const char* name, const auto& value) {
    if (value) object[name] = *value;
  };
  auto put_text = [&](const char* name, const std::string& value) {
    if (!value.empty()) object[name] = value;
  };
  put_text("customer", payment.customer);
  put_text("customer_kind", payment.customer_kind);
  if (payment.kind != PaymentKind::kPayment) object["kind"] = payment_kind_name(payment.kind);
  put_text("reference", payment.reference);
  put_text("currency", payment.currency);
  // Read again it loses the first "fraud_" only.
  put_text("merchant", payment.merchant.rfind("fraud_", 0) == 0 ? "fraud_" + payment.merchant : payment.merchant);
  put_text("category", payment.category);
  if (payment.has_amount || !is_follow_up(payment.kind)) {
    object["amt"] = static_cast<double>(payment.amount_minor) / static_cast<double>(minor_units(payment.decimals));
  }
  put_text("first", payment.first_name);
  put_text("last", payment.last_name);
  put_text("gender", payment.gender);
  put_text("street", payment.street);
  put_text("city", payment.city);
  put_text("state", payment.state);
  put_text("zip", payment.zip);
  put("lat", payment.latitude);
  put("long", payment.longitude);
  put("city_pop", payment.city_population);
  put_text("job", payment.job);
  if (payment.date_of_birth) object["dob"] = format_date(*payment.date_of_birth);
  put_text("trans_num", payment.transaction_id);
  put("merch_lat", payment.merchant_latitude);
  put("merch_long", payment.merchant_longitude);
  if (payment.is_fraud) object["is_fraud"] = *payment.is_fraud ? 1 : 0;
  if (payment.occurred_at_us) object["current_time"] = *payment.occurred_at_us / 1000;
  std::string text = object.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (!payment.attributes.empty()) {
    text.back() = ',';
    text.append("\"attributes\":").append(payment.attributes) += '}';
  }
  return text;
}

}  // namespace fraud
