#include "core/payments/payment_writer.h"

#include <cmath>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <random>

namespace fraud {
namespace {

TEST(FormatDate, KnownDays) {
  EXPECT_EQ(format_date(0), "1970-01-01");
  EXPECT_EQ(format_date(-1), "1969-12-31");
  EXPECT_EQ(format_date(11016), "2000-02-29");
  EXPECT_EQ(format_date(19789), "2024-03-07");
  EXPECT_EQ(format_date(-25567), "1900-01-01");
}

TEST(FormatTime, IsIso8601InUtc) {
  EXPECT_EQ(format_time(0), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(format_time(1730134684025999), "2024-10-28T16:58:04.025Z");
}

// What is written is read back as it was.
TEST(PaymentToJson, RoundTrip) {
  const char* wire =
      R"({"cc_num":4497913965512794052,"merchant":"fraud_Berge, Kautzer and Harris",)"
      R"("category":"personal_care","amt":60.16,"first":"A","last":"B","gender":"F",)"
      R"("street":"1 Road","city":"Town","state":"NC","zip":1234,"lat":34.6902,"long":-79.1834,)"
      R"("city_pop":14783,"job":"Baker","dob":"1955-11-07","trans_num":"t1",)"
      R"("merch_lat":34.38451,"merch_long":-78.621062,"is_fraud":1,"current_time":1730134684025})";
  Payment payment = read_payments(wire).payments.at(0);
  Payment again =
      read_payments(payment_to_json(payment, "cc_num", payment.card_number)).payments.at(0);
  EXPECT_EQ(again.card_number, "4497913965512794052");
  EXPECT_EQ(again.merchant, "Berge, Kautzer and Harris");
  EXPECT_EQ(again.amount_minor, 6016);
  EXPECT_EQ(again.zip, "01234");
  EXPECT_EQ(again.date_of_birth, payment.date_of_birth);
  EXPECT_EQ(again.occurred_at_us, payment.occurred_at_us);
  EXPECT_EQ(again.latitude, payment.latitude);
  EXPECT_EQ(again.merchant_longitude, payment.merchant_longitude);
  EXPECT_EQ(again.is_fraud, payment.is_fraud);
}

// Also a merchant whose own name begins as feeds begin all of them.
TEST(PaymentToJson, MerchantKeepsItsName) {
  for (const char* name : {"Berge", "fraud_Berge", "fraud_fraud_Berge", "fraud_fraud_fraud_Berge", "Fraud_Berge"}) {
    const std::string wire = std::string(R"([{"cc_num":4497913965512794052,"amt":1,"trans_num":"t1","merchant":")") + name + "\"}]";
    Payment payment = read_payments(wire).payments.at(0);
    Payment again = read_payments(payment_to_json(payment, "cc_num", payment.card_number)).payments.at(0);
    EXPECT_EQ(again.merchant, payment.merchant);
  }
}

// A payment that is kept for repair holds no card number, and is read again.
TEST(PaymentToJson, WithTokenHoldsNoNumber) {
  Payment payment =
      read_payments(
          R"({"cc_num":4497913965512794052,"merchant":"m","amt":1,"trans_num":"t1"})")
          .payments.at(0);
  std::string kept = payment_to_json(payment, "card", "9f3b6c1e-8a54-8c33-9d2e-0f1a2b3c4d5e");
  EXPECT_EQ(kept.find("4497913965512794052"), std::string::npos);
  Payment again = read_payments(kept).payments.at(0);
  EXPECT_EQ(again.card_token, "9f3b6c1e-8a54-8c33-9d2e-0f1a2b3c4d5e");
  EXPECT_EQ(again.last_four, "4052");
}

}  // namespace
// What was written is what the JSON library writes of it, and reads from it.
TEST(PaymentWriter, WritesAsTheLibraryDoes) {
  std::mt19937 random(11);
  const auto decimal = [&](int limit, int places) {
    const double unit = std::pow(10, std::uniform_int_distribution<>(0, places)(random));
    return std::round(std::uniform_real_distribution<>(-limit, limit)(random) * unit) / unit;
  };
  for (int i = 0; i < 5000; ++i) {
    Payment payment;
    payment.card_number = "4497913965512794052";
    payment.transaction_id = "t\"" + std::to_string(i);
    payment.merchant = i % 7 == 0 ? "M\\\x01 \xC3\xBC" : "Plain";
    payment.decimals = i % 5 == 1 ? 0 : i % 5;
    payment.has_amount = true;
    payment.amount_minor = std::uniform_int_distribution<int64_t>(0, i % 3 == 0 ? 200 : 99999999)(random) * (i % 4 == 0 ? 10 : 1);
    payment.latitude = i == 0 ? 0.0001 : i == 1 ? -0.0 : decimal(90, 6);
    payment.longitude = i == 0 ? 1e-7 : decimal(180, 3);
    payment.merchant_latitude = std::round(decimal(90, 0));
    payment.city_population = i;
    payment.date_of_birth = i - 2500;
    payment.is_fraud = i % 2 == 0;
    payment.occurred_at_us = int64_t{1730134684025000} + i;
    if (i % 3 == 0) payment.attributes = R"({"device":{"id":1}})";
    const std::string text = payment_to_json(payment, i % 2 == 0 ? "cc_num" : "card", payment.card_number);
    // The library's digits of a coordinate are now and then more than it takes.
    const std::string library = nlohmann::ordered_json::parse(text).dump();
    ASSERT_TRUE(text == library || text.size() < library.size()) << text << " " << library;
    ASSERT_EQ(nlohmann::json::parse(text), nlohmann::json::parse(library)) << text;
    const double amount = static_cast<double>(payment.amount_minor) / std::pow(10, payment.decimals);
    ASSERT_EQ(nlohmann::json::parse(text)["amt"].get<double>(), amount) << text;
    ASSERT_EQ(nlohmann::json::parse(text)["lat"].get<double>(), *payment.latitude) << text;
  }
}

}  // namespace fraud
