// Tests of what makes a payment any payment: attributes, currencies, customers, kinds.
#include "payment_bodies.h"

#include <string>

#include "core/payments/currency.h"
#include "core/payments/payload_writer.h"
#include "core/payments/payment_writer.h"

namespace fraud {
namespace {

TEST(Currency, DecimalsOfIso4217) {
  for (const char* code : {"USD", "EUR", "AED", "ZWG", "AFN", "MGA"}) EXPECT_EQ(currency_decimals(code), 2) << code;
  for (const char* code : {"JPY", "BIF", "XPF", "ISK"}) EXPECT_EQ(currency_decimals(code), 0) << code;
  for (const char* code : {"KWD", "BHD", "TND"}) EXPECT_EQ(currency_decimals(code), 3) << code;
  for (const char* code : {"CLF", "UYW"}) EXPECT_EQ(currency_decimals(code), 4) << code;
  for (int number = 0; number < 1000; ++number) {
    const std::string_view code = currency_of_number(std::to_string(number));
    if (code.empty()) continue;
    EXPECT_NE(currency_decimals(code), std::nullopt) << number;
  }
  for (const char* number : {"", "0", "0978", "97", "9780", "-36", "EUR", "36 "}) EXPECT_EQ(currency_of_number(number), "") << number;
  for (const char* code : {"", "usd", "XXX", "EU", "EURO", "E R", "XAU", "SD ", " US"}) EXPECT_EQ(currency_decimals(code), std::nullopt) << code;
  EXPECT_EQ(format_amount(1250, 2), "12.50");
  EXPECT_EQ(format_amount(5, 2), "0.05");
  EXPECT_EQ(format_amount(0, 3), "0.000");
  EXPECT_EQ(format_amount(1500, 0), "1500");
}

std::string object(const std::string& rest) {
  return R"({"trans_num":"t1","merchant":"m","cc_num":4497913965512794052,)" + rest + "}";
}

TEST(Currency, AmountsInItsDecimals) {
  const auto amount = [](const std::string& rest) {
    const Payment payment = read_one(object(rest));
    return format_amount(payment.amount_minor, payment.decimals) + payment.currency;
  };
  EXPECT_EQ(amount(R"("amt":12.5)"), "12.50");
  EXPECT_EQ(amount(R"("amt":12.345,"currency":"KWD")"), "12.345KWD");  // whatever their order
  EXPECT_EQ(amount(R"("currency":"jpy","amt":1500)"), "1500JPY");
  EXPECT_EQ(amount(R"("currency":"978","amt":1.5)"), "1.50EUR");  // by its number, which a JSON number cuts
  EXPECT_EQ(amount(R"("currency":392,"amt":1500)"), "1500JPY");
  EXPECT_EQ(amount(R"("currency":"036","amt":1)"), "1.00AUD");
  EXPECT_EQ(amount(R"("currency":36,"amt":1)"), "1.00AUD");
  EXPECT_EQ(amount(R"("amt_minor":1234,"currency":"KWD")"), "1.234KWD");
  EXPECT_EQ(amount(R"("amt_minor":1234)"), "12.34");
  const auto reason = [](const std::string& rest) { return read_rejected(object(rest)).reason; };
  EXPECT_EQ(reason(R"("amt":1,"currency":"999")"), "currency is \"999\": expected a currency's code as in ISO 4217, such as EUR");
  EXPECT_EQ(reason(R"("amt_minor":1000000000000)"), "amt_minor is \"1000000000000\": expected an integer below 1000000000000, in the currency's minor unit");
  EXPECT_EQ(reason(R"("amt":1.5,"currency":"JPY")"), "amt is \"1.5\": expected a number from 0 to below 10000000000 without decimals, as JPY has");
  EXPECT_EQ(reason(R"("amt":1,"amt_minor":100)"), "amt and amt_minor are both given: expected one of them");
  EXPECT_EQ(reason(R"("amt_minor":1.5)"), "amt_minor is \"1.5\": expected an integer from 0, in the currency's minor unit");
  EXPECT_EQ(reason(R"("amt":1,"currency":"XXX")"), "currency is \"XXX\": expected a currency's code as in ISO 4217, such as EUR");
  set_base_currency("BHD");
  EXPECT_EQ(amount(R"("amt":12.345)"), "12.345");
  set_base_currency("nothing");
  EXPECT_EQ(base_currency(), "BHD");
  set_base_currency("USD");
}

// A double has lost digits of them: what follows a payment would go to another, and a customer be another's.
TEST(PaymentShape, IdsAreNoDoubles) {
  const auto reason = [](const std::string& rest) { return read_rejected(R"({"trans_num":"t1","merchant":"m","amt":1,)" + rest + "}").reason; };
  for (const std::string id : {"1.2345678901234568e+17", "5.0", "5e3"}) {
    EXPECT_EQ(reason(R"("cc_num":4497913965512794052,"kind":"refund","reference":)" + id),
              "reference is a floating-point number: expected text of 1 to 128 characters");
    EXPECT_EQ(reason(R"("customer_kind":"account","customer":)" + id), "customer is a floating-point number: expected text of 1 to 128 characters");
  }
  EXPECT_EQ(reason(R"("customer_kind":"card","customer":4.497913965512794e+18)"), "cc_num: card number must be 8 to 19 digits, not a floating-point number");
}

TEST(Attributes, AllThatHasNoName) {
  const auto attributes = [](const std::string& rest) { return read_one(object(R"("amt":1)" + rest)).attributes; };
  EXPECT_EQ(attributes(""), "");
  EXPECT_EQ(attributes(R"(,"attributes":null)"), "");
  EXPECT_EQ(attributes(R"(,"":7,"Unnamed: 0":8)"), "");
  EXPECT_EQ(attributes(R"(,"a":1,"b":{"c":[true,null]})"), R"({"a":1,"b":{"c":[true,null]}})");
  EXPECT_EQ(attributes(R"(,"attributes":{"ip":"1.2.3.4"},"a":1)"), R"({"ip":"1.2.3.4","a":1})");
  EXPECT_EQ(attributes(R"(,"attributes":5)"), R"({"attributes":5})");
  // A merchant's own reference follows no payment, and is not lost.
  EXPECT_EQ(attributes(R"(,"reference":"INV-7")"), R"({"reference":"INV-7"})");
  EXPECT_EQ(attributes(R"(,"kind":"authorisation","a":1,"reference":7)"), R"({"a":1,"reference":7})");
  EXPECT_EQ(attributes(R"(,"kind":"refund","reference":"t0")"), "");
  EXPECT_EQ(attributes(R"(,"reference":"  ")"), "");
  // What must not be kept, and what may be a card number.
  EXPECT_EQ(attributes(R"(,"cvv":"123","attributes":{"pin_block":"x","d":{"track2":"y","z":1}})"), R"({"d":{"z":1}})");
  EXPECT_EQ(attributes(R"(,"note":"4111 1111 1111 1111","own":"4497913965512794052","pan":12345678)"),
            R"({"note":"************1111","own":"***************4052","pan":"****5678"})");
  EXPECT_EQ(attributes(R"(,"a":NaN,"b":1e400)"), R"({"a":null,"b":{"unreadable":"1e400"}})");
  // What jsonb has no place for, though a double has one.
  EXPECT_EQ(attributes(R"(,"a":1e-16384,"b":0E-99999,"c":0e99999999999999999999,"d":[1.5e-16383])"),
            R"({"a":{"unreadable":"1e-16384"},"b":{"unreadable":"0E-99999"},"c":{"unreadable":"0e99999999999999999999"},"d":[{"unreadable":"1.5e-16383"}]})");
  EXPECT_EQ(attributes(R"(,"a":1e-16383,"b":1.5e-16382,"c":0e16383,"d":1.5E+300)"), R"({"a":1e-16383,"b":1.5e-16382,"c":0e16383,"d":1.5E+300})");
}

TEST(Attributes, InEveryLayout) {
  const Payment split = read_one(
      R"({"columns":["cc_num","trans_num","amt","merchant","device"],"index":[3],"data":[[4497913965512794052,"t1",1,"m",{"id":"d"}]]})");
  EXPECT_EQ(split.attributes, R"({"device":{"id":"d"}})");
  const Payment again = read_one(payment_to_json(split, "card", "6f9619ff-8b86-d011-b42d-00cf4fc964ff"));
  EXPECT_EQ(again.attributes, split.attributes);
  EXPECT_EQ(read_attributes(R"({"a":"4111111111111111","cvv":1})", ""), R"({"a":"************1111"})");
  EXPECT_EQ(read_attributes("[1]", ""), "");
}

TEST(Customers, PlainAndSecret) {
  const auto with_customer = [](const std::string& rest) { return R"({"trans_num":"t1","merchant":"m","amt":1,)" + rest + "}"; };
  Payment payment = read_one(with_customer(R"("customer":"w-1","customer_kind":"wallet")"));
  EXPECT_EQ(payment.customer + "/" + payment.customer_kind + "/" + payment.card_number, "w-1/wallet/");
  payment = read_one(payment_to_json(payment, "card", "6f9619ff-8b86-d011-b42d-00cf4fc964ff"));
  EXPECT_EQ(payment.customer + "/" + payment.customer_kind + "/" + payment.card_token, "w-1/wallet/6f9619ff-8b86-d011-b42d-00cf4fc964ff");
  payment = read_one(with_customer(R"("customer":"4497913965512794052","customer_kind":"card")"));
  EXPECT_EQ(payment.card_number + payment.last_four + payment.customer_kind, "44979139655127940524052");
  payment = read_one(with_customer(R"("customer":"gb82 west 1234 5698 7654 32","customer_kind":"iban","from":"gb82west12345698765432")"));
  EXPECT_EQ(payment.card_number + " " + payment.last_four + " " + payment.customer_kind, "iban:GB82WEST12345698765432 5432 iban");
  EXPECT_EQ(payment.attributes, R"({"from":"******************5432"})");
  const RejectedPayment rejected = read_rejected(with_customer(R"("customer":"GB83WEST12345698765432","customer_kind":"iban")"));
  EXPECT_EQ(rejected.reason, "customer is no IBAN with the right check digits");
  EXPECT_EQ(read_rejected(R"({"customer_kind":"token","trans_num":"t","amt":1,"merchant":"m"})").reason,
            "customer is missing or empty: expected text of 1 to 128 characters");
  EXPECT_EQ(rejected.payload.find("GB83"), std::string::npos);
  EXPECT_EQ(read_rejected(with_customer(R"("customer":"4111111111111111","customer_kind":"token")")).reason,
            "customer holds what may be a card number: expected customer_kind \"card\" with it");
  EXPECT_EQ(read_rejected(with_customer(R"("customer":"w")")).payload.find("customer"), std::string::npos);
}

TEST(Kinds, WhatFollowsAPayment) {
  const Payment refund = read_one(R"({"trans_num":"r1","amt":-3.5,"kind":"refund","reference":"t1"})");
  EXPECT_EQ(refund.kind, PaymentKind::kRefund);
  EXPECT_EQ(refund.amount_minor, 35000);  // of whichever currency the payment is
  EXPECT_EQ(refund.decimals, 4);
  EXPECT_EQ(refund.reference, "t1");
  const Payment chargeback = read_one(R"({"trans_num":"c1","kind":"chargeback","reference":"t1"})");
  EXPECT_FALSE(chargeback.has_amount);
  const Payment again = read_one(payment_to_json(chargeback, "card", ""));
  EXPECT_FALSE(again.has_amount);
  EXPECT_EQ(again.kind, PaymentKind::kChargeback);
  EXPECT_EQ(read_rejected(R"({"trans_num":"r1","amt":3,"kind":"refund"})").reason,
            "reference is missing or empty: expected the trans_num of the payment that a refund follows");
  EXPECT_EQ(read_rejected(object(R"("amt":-1)")).reason, "amt is \"-1\": expected a number from 0 to below 10000000000 with at most two decimals");
}

}  // namespace
}  // namespace fraud
