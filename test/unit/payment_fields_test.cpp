// Tests of the fields of a payment: what is taken, what is refused and why.
#include "payment_bodies.h"

#include <random>

#include "core/payments/mask.h"

namespace fraud {
namespace {

TEST(PaymentFields, CardNumberKeepsAllDigits) {
  for (const std::string number :
       {"4497913965512794052", "9999999999999999999", "12345678", "9223372036854775808",
        "18446744073709551", "0000000012345678"}) {
    if (number[0] != '0') {
      EXPECT_EQ(read_one(with("cc_num", number)).card_number, number);
    }
    EXPECT_EQ(read_one(with("cc_num", "\"" + number + "\"")).card_number, number);
    EXPECT_EQ(read_one(with("cc_num", "\"" + number + "\"")).last_four,
              number.substr(number.size() - 4));
  }
}

TEST(PaymentFields, CardNumberIsNeverGuessed) {
  const std::string rule = "cc_num: card number must be 8 to 19 digits, not ";
  for (const std::string number :
       {"4.497913965512794e18", "4497913965512794052.0", "1e15", "4497913965512794052E0",
        "\"4.497913965512794e+18\"", "\"4497913965512794052.0\""}) {
    const RejectedPayment rejected = read_rejected(with("cc_num", number));
    EXPECT_EQ(rejected.reason, rule + "a floating-point number");
    EXPECT_EQ(rejected.card_number, "");
    EXPECT_EQ(rejected.transaction_id, "t1");
    EXPECT_EQ(rejected.payload.find("44979"), std::string::npos);
  }
  EXPECT_EQ(reason_of("cc_num", "1234567"), rule + "7");
  EXPECT_EQ(reason_of("cc_num", "44979139655127940521"), rule + "20");
  EXPECT_EQ(reason_of("cc_num", "-4497913965512794052"), rule + "text with other characters");
  EXPECT_EQ(reason_of("cc_num", "\"4497 9139 6551 2794\""), rule + "text with other characters");
  EXPECT_EQ(reason_of("cc_num", "\"44979139\\u000065512794\""), rule + "text with a NUL character");
  EXPECT_EQ(reason_of("cc_num", "true"), rule + "true");
  EXPECT_EQ(reason_of("cc_num", "[4497913965512794052]"), rule + "an array");
  EXPECT_EQ(reason_of("cc_num", "\"\""), "cc_num is missing or empty: expected 8 to 19 digits");
  EXPECT_EQ(reason_of("cc_num", "null"), "cc_num is missing or empty: expected 8 to 19 digits");
  EXPECT_EQ(reason_of("cc_num", ""), "cc_num is missing or empty: expected 8 to 19 digits");
}

TEST(PaymentFields, CardTokenReplacesTheNumber) {
  const std::string body = R"({"card":"6F9619FF-8B86-D011-B42D-00CF4FC964FF","last_four":52,)"
                           R"("trans_num":"t","amt":1,"merchant":"m"})";
  const Payment payment = read_one(body);
  EXPECT_EQ(payment.card_token, "6f9619ff-8b86-d011-b42d-00cf4fc964ff");
  EXPECT_EQ(payment.last_four, "0052");
  EXPECT_EQ(payment.card_number, "");
  EXPECT_EQ(payment.occurred_at_us, std::nullopt);
  EXPECT_EQ(reason_of("card", "\"6f9619ff8b86d011b42d00cf4fc964ff\""),
            "card is \"6f9619ff8b86d011b42d00cf4fc964ff\": expected a uuid");
  EXPECT_EQ(reason_of("card", "\"6f9619ff-8b86-d011-b42d-00cf4fc964ff\""),
            "cc_num and card are both given: expected one of them");
  EXPECT_EQ(reason_of("last_four", "\"12345\""), "last_four is \"12345\": expected four digits");
  EXPECT_EQ(reason_of("last_four", "\"4497913965512794052\""),
            "last_four is \"***************4052\": expected four digits");
}

TEST(PaymentFields, CardNumberInAnotherFieldIsMasked) {
  EXPECT_EQ(read_one(with("street", "\"x4497913965512794052\"")).street, "x***************4052");
  EXPECT_EQ(read_one(with("merchant", "\"ref 4111-1111-1111-1111\"")).merchant, "ref ************1111");
  // The payment's own number, whatever its check digit and however it is grouped.
  for (const std::string own : {"4497913965512794053", "12345678"}) {
    const std::string spaced = own.substr(0, 4) + " - " + own.substr(4);
    const std::string masked = std::string(own.size() - 4, '*') + own.substr(own.size() - 4);
    const std::string body = R"({"cc_num":)" + own + R"(,"trans_num":"t1","amt":1,"merchant":"m )" + own +
                             R"(","job":"a)" + spaced + R"(b","current_time":1730134684025})";
    const Payment payment = read_one(body);
    EXPECT_EQ(payment.merchant, "m " + masked);
    EXPECT_EQ(payment.job, "a" + masked + "b");
    EXPECT_FALSE(payment.id_holds_card);
  }
  EXPECT_EQ(reason_of("dob", "\"x4497913965512794052\""),
            "dob is \"x***************4052\": expected a date as YYYY-MM-DD");
}

// The id itself stays: it is replaced where the key is (pg/payments/payment_id.h).
TEST(PaymentFields, SaysWhichIdsHoldACardNumber) {
  const auto holds = [](const std::string& id) { return read_one(with("trans_num", "\"" + id + "\"")).id_holds_card; };
  for (const std::string id : {"4111111111111111", "order 4111 1111 1111 1111", "id-4497913965512794052", "4497-9139-6551-2794-052"}) {
    EXPECT_TRUE(holds(id)) << id;
  }
  for (const std::string id : {"t1", "4111111111111112", "1730134684025123", "1000000000000008", "3cb54a489fb351f73a7db98f6c7bb1ad",
                               "6f9619ff-8b86-d011-b42d-00cf4fc964ff"}) {
    EXPECT_FALSE(holds(id)) << id;
  }
  const RejectedPayment rejected = read_rejected(with("trans_num", "\"id-4497913965512794052\"").substr(0, 1) +
      R"("lat":"x",)" + with("trans_num", "\"id-4497913965512794052\"").substr(1));
  EXPECT_TRUE(rejected.id_holds_card);
  EXPECT_EQ(rejected.payload.substr(rejected.id_at, rejected.id_size), "\"id-***************4052\"");
}

TEST(PaymentFields, Amount) {
  const std::vector<std::pair<std::string, int64_t>> good = {{"0", 0},
                                                             {"0.0", 0},
                                                             {"-0.0", 0},
                                                             {"60.16", 6016},
                                                             {"1e2", 10000},
                                                             {"0.01", 1},
                                                             {"60.160000000000004", 6016},
                                                             {"1.005e2", 10050},
                                                             {"9999999999.99", 999999999999},
                                                             {"\"12.30\"", 1230},
                                                             {"4503599.63", 450359963},
                                                             {"1.10", 110}};
  for (const auto& [text, cents] : good) {
    EXPECT_EQ(read_one(with("amt", text)).amount_minor, cents) << text;
  }
  for (const std::string text : {"-0.01", "10000000000", "1e10", "0.005", "1.001", "1e300", "1e-3",
                                 "123456789012345678901234567890"}) {
    EXPECT_EQ(reason_of("amt", text).substr(0, 8), "amt is \"") << text;
  }
  for (const std::string text : {"\"abc\"", "\"nan\"", "\"inf\"", "\"-inf\"", "\"1,5\"", "\"1 \"",
                                 "\" 1\"", "\"+1\"", "\"0x10\"", "\"1e\"", "\"1e-400\""}) {
    EXPECT_EQ(reason_of("amt", text), "amt is " + text +
                                          ": expected a number from 0 to below 10000000000 with "
                                          "at most two decimals");
  }
  EXPECT_EQ(reason_of("amt", "true").substr(0, 21), "amt is true: expected");
  EXPECT_EQ(reason_of("amt", "[1]").substr(0, 25), "amt is an array: expected");
  EXPECT_EQ(reason_of("amt", "{\"v\":1}").substr(0, 26), "amt is an object: expected");
  EXPECT_EQ(reason_of("amt", "null"), "amt is missing or empty: expected a number");
  EXPECT_EQ(reason_of("amt", "\"\""), "amt is missing or empty: expected a number");
  // Each amount in cents survives the way through the shortest text of a double.
  std::mt19937_64 random(7);
  for (int i = 0; i < 20000; ++i) {
    const int64_t cents = static_cast<int64_t>(random() % 1000000000000u);
    PaymentBuilder builder;
    builder.set("amt", nlohmann::json(static_cast<double>(cents) / 100).dump());
    ASSERT_EQ(builder.partial().amount_minor, cents);
  }
}

TEST(PaymentFields, Coordinates) {
  const Payment payment = read_one(with("lat", "90"));
  EXPECT_EQ(payment.latitude, 90);
  EXPECT_EQ(read_one(with("merch_lat", "-90.0")).merchant_latitude, -90);
  EXPECT_EQ(read_one(with("long", "-180")).longitude, -180);
  EXPECT_EQ(read_one(with("merch_long", "\"180\"")).merchant_longitude, 180);
  EXPECT_EQ(reason_of("lat", "999"), "lat is \"999\": expected a latitude from -90 to 90");
  EXPECT_EQ(reason_of("merch_lat", "-90.0001"),
            "merch_lat is \"-90.0001\": expected a latitude from -90 to 90");
  EXPECT_EQ(reason_of("long", "180.5"), "long is \"180.5\": expected a longitude from -180 to 180");
  EXPECT_EQ(reason_of("merch_long", "\"west\""),
            "merch_long is \"west\": expected a longitude from -180 to 180");
  EXPECT_EQ(reason_of("lat", "false"), "lat is false: expected a latitude from -90 to 90");
  EXPECT_EQ(reason_of("lat", "\"nan\""), "lat is \"nan\": expected a latitude from -90 to 90");
}

TEST(PaymentFields, CityPopulation) {
  EXPECT_EQ(read_one(with("city_pop", "0")).city_population, 0);
  EXPECT_EQ(read_one(with("city_pop", "10000000000")).city_population, 10000000000);
  EXPECT_EQ(read_one(with("city_pop", "14783.0")).city_population, 14783);
  for (const std::string text : {"-1", "10000000001", "1.5", "1e3", "99999999999999999999"}) {
    EXPECT_NE(reason_of("city_pop", text).find("expected an integer from 0 to 10000000000"),
              std::string::npos);
  }
}

TEST(PaymentFields, DateOfBirth) {
  EXPECT_EQ(read_one(with("dob", "\"1970-01-01\"")).date_of_birth, 0);
  EXPECT_EQ(read_one(with("dob", "\"1969-12-31\"")).date_of_birth, -1);
  EXPECT_EQ(read_one(with("dob", "\"2000-02-29\"")).date_of_birth, 11016);
  EXPECT_EQ(read_one(with("dob", "\"1900-03-01\"")).date_of_birth, -25508);
  EXPECT_EQ(read_one(with("dob", "\"0001-01-01\"")).date_of_birth, -719162);
  for (const std::string text :
       {"1955-13-40", "1900-02-29", "2001-02-29", "2001-04-31", "2001-00-01", "2001-01-00",
        "0000-01-01", "55-11-07", "1955-11-7", "1955/11/07", "1955-11-07 00:00:00", "1955-11-07T",
        "+955-11-07", "19551107"}) {
    EXPECT_EQ(reason_of("dob", "\"" + text + "\""),
              "dob is \"" + text + "\": expected a date as YYYY-MM-DD");
  }
}

TEST(PaymentFields, TextsAndTheirLengths) {
  const std::string euro200 = [] {
    std::string text;
    for (int i = 0; i < 200; ++i) text += "€";
    return text;
  }();
  EXPECT_EQ(read_one(with("street", "\"" + euro200 + "\"")).street, euro200);
  EXPECT_EQ(reason_of("street", "\"" + euro200 + "€\""),
            "street is text of 201 characters: expected text of at most 200 characters");
  EXPECT_EQ(reason_of("city", "\"a\\u0000b\""),
            "city is text with a NUL character: expected text of at most 200 characters");
  EXPECT_EQ(reason_of("first", "[]"), "first is an array: expected text of at most 200 characters");
  EXPECT_EQ(read_one(with("first", "\"\"")).first_name, "");
  EXPECT_EQ(read_one(with("trans_num", "\"" + std::string(128, 'x') + "\"")).transaction_id.size(),
            128u);
  EXPECT_EQ(reason_of("trans_num", "\"" + std::string(129, 'x') + "\""),
            "trans_num is text of 129 characters: expected text of 1 to 128 characters");
  EXPECT_EQ(read_one(with("trans_num", "18446744073709551617")).transaction_id,
            "18446744073709551617");
  EXPECT_EQ(reason_of("trans_num", "1.8e19"),
            "trans_num is a floating-point number: expected text of 1 to 128 characters");
  EXPECT_EQ(reason_of("trans_num", "\"\""),
            "trans_num is missing or empty: expected text of 1 to 128 characters");
}

TEST(PaymentFields, Merchant) {
  EXPECT_EQ(read_one(with("merchant", "\"fraud_fraud_x\"")).merchant, "fraud_x");
  EXPECT_EQ(read_one(with("merchant", "\"Fraud_x\"")).merchant, "Fraud_x");
  EXPECT_EQ(read_one(with("merchant", "\"fraud_" + std::string(200, 'm') + "\"")).merchant.size(),
            200u);
  EXPECT_EQ(reason_of("merchant", "\"" + std::string(201, 'm') + "\""),
            "merchant is text of 201 characters: expected a name of 1 to 200 characters");
  EXPECT_EQ(reason_of("merchant", "\"fraud_\""),
            "merchant is \"fraud_\": expected a name of 1 to 200 characters");
  EXPECT_EQ(reason_of("merchant", ""),
            "merchant is missing or empty: expected a name of 1 to 200 characters");
}

TEST(PaymentFields, ZipGetsItsLeadingZerosBack) {
  const std::vector<std::pair<std::string, std::string>> zips = {
      {"28372", "28372"},  {"1056", "01056"},    {"\"1056\"", "01056"}, {"0", "00000"},
      {"1056.0", "01056"}, {"\"SW1A\"", "SW1A"}, {"123456", "123456"},  {"1056.5", "1056.5"}};
  for (const auto& [text, zip] : zips) EXPECT_EQ(read_one(with("zip", text)).zip, zip);
}

TEST(PaymentFields, Label) {
  for (const std::string text : {"1", "true", "\"1\"", "\"true\"", "1.0"}) {
    EXPECT_EQ(read_one(with("is_fraud", text)).is_fraud, true);
  }
  for (const std::string text : {"0", "false", "\"0\"", "\"false\"", "0.0"}) {
    EXPECT_EQ(read_one(with("is_fraud", text)).is_fraud, false);
  }
  EXPECT_EQ(read_one(with("is_fraud", "\"\"")).is_fraud, std::nullopt);
  for (const std::string text : {"2", "-1", "0.5"}) {
    EXPECT_EQ(reason_of("is_fraud", text),
              "is_fraud is \"" + text + "\": expected 0, 1, true or false");
  }
  EXPECT_EQ(reason_of("is_fraud", "\"yes\""), "is_fraud is \"yes\": expected 0, 1, true or false");
  EXPECT_EQ(reason_of("is_fraud", "[]"), "is_fraud is an array: expected 0, 1, true or false");
}

// Returns the time of a payment with these time fields, in their order.
std::optional<int64_t> time_of(const std::vector<std::pair<std::string, std::string>>& fields) {
  PaymentBuilder builder;
  for (const auto& [name, text] : fields) builder.set(name, text);
  builder.set("cc_num", "12345678");
  builder.set("trans_num", "t");
  builder.set("amt", "1");
  builder.set("merchant", "m");
  std::string reason;
  const std::optional<Payment> payment = builder.finish(&reason);
  EXPECT_TRUE(payment) << reason;
  return payment ? payment->occurred_at_us : std::nullopt;
}

TEST(PaymentTime, EachFieldIsRead) {
  EXPECT_EQ(time_of({}), std::nullopt);
  EXPECT_EQ(time_of({{"current_time", ""}}), std::nullopt);
  EXPECT_EQ(time_of({{"current_time", "1730134684025"}}), 1730134684025000);
  EXPECT_EQ(time_of({{"current_time", "1730134684025.0"}}), 1730134684025000);
  EXPECT_EQ(time_of({{"current_time", "0"}}), 0);
  EXPECT_EQ(time_of({{"current_time", "9246182399999"}}), 9246182399999000);
  EXPECT_EQ(time_of({{"unix_time", "1371816865"}}), 1371816865000000);
  EXPECT_EQ(time_of({{"unix_time", "1371816865.25"}}), 1371816865250000);
  const std::string field = "trans_date_trans_time";
  for (const std::string text :
       {"2020-06-21 12:14:25", "2020-06-21T12:14:25", "2020-06-21T12:14:25Z",
        "2020-06-21 12:14:25+00", "2020-06-21 12:14:25.000", "2020-06-21T12:14:25.000+00:00"}) {
    EXPECT_EQ(time_of({{field, text}}), 1592741665000000) << text;
  }
  EXPECT_EQ(time_of({{field, "2020-06-21 12:14:25.1234567Z"}}), 1592741665123456);
  for (const std::string text : {"2020-06-21T14:14:25+02:00", "2020-06-21 14:14:25+02", "2020-06-21T14:14:25+0200", "2020-06-21T06:44:25-05:30"}) {
    EXPECT_EQ(time_of({{field, text}}), 1592741665000000) << text;
  }
  EXPECT_EQ(time_of({{field, "1970-01-01 00:00:00"}}), 0);
  EXPECT_EQ(time_of({{field, "2262-12-31 23:59:59.999999"}}), 9246182399999999);
}

TEST(PaymentTime, TheFirstOfThreeWins) {
  const std::pair<std::string, std::string> ms = {"current_time", "3000"};
  const std::pair<std::string, std::string> text = {"trans_date_trans_time", "1970-01-01 00:00:02"};
  const std::pair<std::string, std::string> seconds = {"unix_time", "1"};
  const std::pair<std::string, std::string> bad_text = {"trans_date_trans_time", "noon"};
  const std::pair<std::string, std::string> bad_seconds = {"unix_time", "x"};
  const std::pair<std::string, std::string> empty_ms = {"current_time", ""};
  EXPECT_EQ(time_of({ms, text, seconds}), 3000000);
  EXPECT_EQ(time_of({seconds, text, ms}), 3000000);
  EXPECT_EQ(time_of({text, ms, seconds}), 3000000);
  EXPECT_EQ(time_of({text, seconds}), 2000000);
  EXPECT_EQ(time_of({seconds, text}), 2000000);
  EXPECT_EQ(time_of({seconds}), 1000000);
  EXPECT_EQ(time_of({empty_ms, seconds, text}), 2000000);
  // A field that loses is not looked at.
  EXPECT_EQ(time_of({ms, bad_text, bad_seconds}), 3000000);
  EXPECT_EQ(time_of({bad_seconds, bad_text, ms}), 3000000);
  EXPECT_EQ(time_of({bad_seconds, text}), 2000000);
  // A field that wins is not replaced by one that loses.
  EXPECT_EQ(read_rejected(with("current_time", "\"now\",\"unix_time\":1")).reason,
            "current_time is \"now\": expected epoch milliseconds from 1970 to 2262");
  EXPECT_EQ(read_rejected(with("current_time", "[],\"unix_time\":1")).reason,
            "current_time is an array: expected epoch milliseconds from 1970 to 2262");
}

TEST(PaymentTime, FaultsAreNamed) {
  for (const std::string text : {"-1", "9246182400000", "1730134684.025", "1.7e12",
                                 "1730134684025000000", "99999999999999999999999"}) {
    EXPECT_NE(reason_of("current_time", text).find("expected epoch milliseconds"),
              std::string::npos)
        << text;
  }
  for (const std::string text : {"-1", "9246182400", "1e9", "\"1.\"", "\"1.5x\"", "\"1.2.3\""}) {
    std::string body = with("current_time", "");
    body.pop_back();
    EXPECT_NE(read_rejected(body + ",\"unix_time\":" + text + "}")
                  .reason.find("expected epoch seconds from 1970 to 2262"),
              std::string::npos)
        << text;
  }
  for (const std::string text :
       {"2020-06-21", "2020-06-21 12:14", "2020-06-21 24:00:00", "2020-06-21 12:60:00",
        "2020-06-21 12:14:60", "2020-02-30 12:14:25", "2020-06-21  12:14:25",
        "2020-06-21 12:14:25.", "2020-06-21 12:14:25 Z", "2020-06-21 12:14:25+2", "2020-06-21 12:14:25+16", "2020-06-21 12:14:25+02:60",
        "1969-12-31 23:59:59", "2263-01-01 00:00:00", "2020-06-21 12:14:25x", "noon"}) {
    std::string body = with("current_time", "");
    body.pop_back();
    EXPECT_EQ(read_rejected(body + ",\"trans_date_trans_time\":\"" + text + "\"}").reason,
              "trans_date_trans_time is \"" + text +
                  "\": expected a time as YYYY-MM-DD HH:MM:SS, in UTC or with an offset, from 1970 to 2262");
  }
}

TEST(PaymentBuilder, SecondsMayBeMissingInIso8601) {
  const auto time = [](const std::string& text) {
    std::string body = with("current_time", "");
    body.pop_back();
    return read_one(body + ",\"trans_date_trans_time\":\"" + text + "\"}").occurred_at_us.value_or(0);
  };
  EXPECT_EQ(time("2020-06-21T12:14Z"), time("2020-06-21T12:14:00Z"));
  EXPECT_EQ(time("2020-06-21T14:14+02:00"), time("2020-06-21 12:14:00"));
}

TEST(PaymentBuilder, TakesTextOfATable) {
  const std::vector<std::pair<std::string, std::string>> row = {
      {"trans_date_trans_time", "2020-02-09 07:32:17"},
      {"cc_num", "3532357071398486"},
      {"merchant", "fraud_Cole PLC"},
      {"category", "grocery_pos"},
      {"amt", "62.81"},
      {"first", "Christopher"},
      {"last", "Payne"},
      {"gender", "M"},
      {"state", "MA"},
      {"zip", "1056"},
      {"lat", "42.1728"},
      {"long", "-72.471"},
      {"city_pop", "21103"},
      {"dob", "1982-12-02"},
      {"trans_num", "51bd798a"},
      {"unix_time", "1581233537"},
      {"merch_lat", "42.211677"},
      {"merch_long", "-72.813533"},
      {"is_fraud", "0"},
      {"", "0"}};
  PaymentBuilder builder;
  std::string reason;
  for (int round = 0; round < 2; ++round) {  // finish() leaves a new builder
    for (const auto& [name, text] : row) builder.set(name, text);
    const std::optional<Payment> payment = builder.finish(&reason);
    ASSERT_TRUE(payment) << reason;
    EXPECT_EQ(payment->zip, "01056");
    EXPECT_EQ(payment->occurred_at_us, 1581233537000000);
    EXPECT_EQ(builder.partial().card_number, "");
  }
  EXPECT_FALSE(builder.finish(&reason));
}

TEST(PaymentBuilder, KeepsTheFirstFaultAndWhatWasReadable) {
  PaymentBuilder builder;
  builder.set("amt", "x");
  builder.set("lat", "91");
  builder.set("trans_num", "t");
  builder.set("cc_num", "12345678");
  std::string reason;
  EXPECT_FALSE(builder.finish(&reason));
  EXPECT_EQ(reason.substr(0, 9), "amt is \"x");
  EXPECT_EQ(builder.partial().transaction_id, "t");
  EXPECT_EQ(builder.partial().card_number, "12345678");
}

TEST(PaymentBuilder, ReasonsAreOneShortMaskedLine) {
  EXPECT_EQ(reason_of("lat", "\"a\\nb\\u0007c\""),
            "lat is \"a b c\": expected a latitude from -90 to 90");
  EXPECT_EQ(reason_of("lat", "\"" + std::string(41, 'y') + "\""),
            "lat is \"" + std::string(40, 'y') + "...\": expected a latitude from -90 to 90");
  // The cut comes after the mask: it leaves no part of a card number.
  EXPECT_EQ(reason_of("lat", "\"" + std::string(30, '-') + "30263540414123\""),
            "lat is \"" + std::string(30, '-') +
                "**********...\": expected a latitude from -90 "
                "to 90");
}

TEST(PaymentFields, EveryNameIsKnown) {
  for (const std::string_view name : {"cc_num",       "merchant",
                                      "category",     "amt",
                                      "first",        "last",
                                      "gender",       "street",
                                      "city",         "state",
                                      "zip",          "lat",
                                      "long",         "city_pop",
                                      "job",          "dob",
                                      "trans_num",    "merch_lat",
                                      "merch_long",   "is_fraud",
                                      "current_time", "trans_date_trans_time",
                                      "unix_time",    "card",
                                      "last_four"}) {
    EXPECT_TRUE(is_payment_field(name)) << name;
  }
  for (const std::string_view name : {"", "index", "AMT", "amt ", "zzz", "last_name"}) {
    EXPECT_FALSE(is_payment_field(name)) << name;
  }
  EXPECT_EQ(payment_format("auto"), PaymentFormat::kAuto);
  EXPECT_EQ(payment_format("split"), PaymentFormat::kSplit);
  EXPECT_EQ(payment_format("records"), PaymentFormat::kRecords);
  EXPECT_EQ(payment_format("ndjson"), PaymentFormat::kNdjson);
  EXPECT_EQ(payment_format("csv"), PaymentFormat::kCsv);
  EXPECT_EQ(payment_format("xml"), std::nullopt);
}

}  // namespace
}  // namespace fraud
