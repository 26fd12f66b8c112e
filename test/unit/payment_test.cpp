// Tests of the payment reader: layouts, fields, faults, masks, hostile bodies.
#include "core/payments/mask.h"
#include "core/payments/payment.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/error.h"

namespace fraud {
namespace {

// The body of the payment API's documentation, word for word.
constexpr std::string_view kWireBody =
    R"wire("{\"columns\":[\"cc_num\",\"merchant\",\"category\",\"amt\",\"first\",\"last\",\"gender\",\"street\",\"city\",\"state\",\"zip\",\"lat\",\"long\",\"city_pop\",\"job\",\"dob\",\"trans_num\",\"merch_lat\",\"merch_long\",\"is_fraud\",\"current_time\"],\"index\":[301199],\"data\":[[4497913965512794052,\"fraud_Berge, Kautzer and Harris\",\"personal_care\",60.16,\"Scott\",\"Edwards\",\"M\",\"838 Amy Street Suite 107\",\"Pembroke\",\"NC\",28372,34.6902,-79.1834,14783,\"Hospital doctor\",\"1955-11-07\",\"3cb54a489fb351f73a7db98f6c7bb1ad\",34.38451,-78.621062,0,1730134684025]]}")wire";

constexpr std::string_view kCard = "4497913965512794052";
constexpr std::string_view kOne = R"({"cc_num":4497913965512794052,"trans_num":"t1","amt":60.16,)"
                                  R"("merchant":"fraud_Berge","current_time":1730134684025})";
constexpr std::string_view kTwo = R"({"cc_num":"30263540414123","trans_num":"t2","amt":1,)"
                                  R"("merchant":"Kuhn","unix_time":1371816865})";

// Returns the text as a JSON string.
std::string wrap(std::string_view text) { return nlohmann::json(text).dump(); }

// Returns a split layout with these columns and rows, all written as JSON.
std::string split(const std::string& columns, const std::string& rows) {
  return "{\"columns\":[" + columns + "],\"index\":[0],\"data\":[" + rows + "]}";
}

// Returns kOne with one member set to `value`, or added, or taken out.
std::string with(const std::string& name, const std::string& value) {
  nlohmann::ordered_json payment = nlohmann::ordered_json::parse(kOne);
  payment.erase(name);
  std::string text = payment.dump();
  if (value.empty()) return text;
  text.pop_back();
  return text + ",\"" + name + "\":" + value + "}";
}

// Reads a body that holds one good payment.
Payment read_one(std::string_view body) {
  const PaymentBatch batch = read_payments(body);
  EXPECT_EQ(batch.rejected.size(), 0u) << batch.rejected.at(0).reason;
  EXPECT_EQ(batch.payments.size(), 1u);
  return batch.payments.empty() ? Payment() : batch.payments[0];
}

// Reads a body that holds one bad payment.
RejectedPayment read_rejected(std::string_view body) {
  const PaymentBatch batch = read_payments(body);
  EXPECT_EQ(batch.payments.size(), 0u) << body;
  EXPECT_EQ(batch.rejected.size(), 1u) << body;
  return batch.rejected.empty() ? RejectedPayment() : batch.rejected[0];
}

std::string reason_of(const std::string& name, const std::string& value) {
  return read_rejected(with(name, value)).reason;
}

// Returns the code and the message of the error that a body raises.
std::pair<ErrorCode, std::string> error_of(std::string_view body,
                                           PaymentFormat format = PaymentFormat::kAuto) {
  try {
    read_payments(body, format);
  } catch (const Error& error) {
    return {error.code(), error.what()};
  }
  ADD_FAILURE() << "no error for " << body.substr(0, 200);
  return {ErrorCode::kInvalidArgument, ""};
}

std::string message_of(std::string_view body, PaymentFormat format = PaymentFormat::kAuto) {
  return error_of(body, format).second;
}

void expect_one_and_two(const PaymentBatch& batch) {
  EXPECT_EQ(batch.rejected.size(), 0u);
  ASSERT_EQ(batch.payments.size(), 2u);
  EXPECT_EQ(batch.payments[0].transaction_id, "t1");
  EXPECT_EQ(batch.payments[0].card_number, kCard);
  EXPECT_EQ(batch.payments[1].transaction_id, "t2");
  EXPECT_EQ(batch.payments[1].card_number, "30263540414123");
}

TEST(PaymentReader, ReadsTheWireFormat) {
  for (const PaymentFormat format : {PaymentFormat::kAuto, PaymentFormat::kSplit}) {
    const PaymentBatch batch = read_payments(kWireBody, format);
    EXPECT_TRUE(batch.rejected.empty());
    ASSERT_EQ(batch.payments.size(), 1u);
    const Payment& payment = batch.payments[0];
    EXPECT_EQ(payment.card_number, kCard);
    EXPECT_EQ(payment.card_token, "");
    EXPECT_EQ(payment.last_four, "4052");
    EXPECT_EQ(payment.transaction_id, "3cb54a489fb351f73a7db98f6c7bb1ad");
    EXPECT_EQ(payment.occurred_at_us, 1730134684025000);
    EXPECT_EQ(payment.amount_cents, 6016);
    EXPECT_EQ(payment.merchant, "Berge, Kautzer and Harris");
    EXPECT_EQ(payment.category, "personal_care");
    EXPECT_EQ(payment.merchant_latitude, 34.38451);
    EXPECT_EQ(payment.merchant_longitude, -78.621062);
    EXPECT_EQ(payment.first_name, "Scott");
    EXPECT_EQ(payment.last_name, "Edwards");
    EXPECT_EQ(payment.gender, "M");
    EXPECT_EQ(payment.street, "838 Amy Street Suite 107");
    EXPECT_EQ(payment.city, "Pembroke");
    EXPECT_EQ(payment.state, "NC");
    EXPECT_EQ(payment.zip, "28372");
    EXPECT_EQ(payment.job, "Hospital doctor");
    EXPECT_EQ(payment.latitude, 34.6902);
    EXPECT_EQ(payment.longitude, -79.1834);
    EXPECT_EQ(payment.city_population, 14783);
    EXPECT_EQ(payment.date_of_birth, -5169);
    EXPECT_EQ(payment.is_fraud, false);
  }
}

TEST(PaymentReader, ReadsEveryLayout) {
  const std::string one(kOne);
  const std::string two(kTwo);
  const std::string inner = nlohmann::json::parse(kWireBody).get<std::string>();
  const std::string records = "[" + one + ",\n" + two + "]";
  const std::string lines = "\n" + one + "\r\n  \n" + two + "\n\n";
  EXPECT_EQ(read_one(inner).card_number, kCard);
  EXPECT_EQ(read_one("\xEF\xBB\xBF \n" + inner + "\n").card_number, kCard);
  EXPECT_EQ(read_one(one).card_number, kCard);
  EXPECT_EQ(read_one(wrap(one)).card_number, kCard);
  expect_one_and_two(read_payments(records));
  expect_one_and_two(read_payments(wrap(records)));
  expect_one_and_two(read_payments(records, PaymentFormat::kRecords));
  expect_one_and_two(read_payments(lines));
  expect_one_and_two(read_payments(wrap(lines)));
  expect_one_and_two(read_payments(lines, PaymentFormat::kNdjson));
  expect_one_and_two(read_payments(wrap(lines), PaymentFormat::kNdjson));
  EXPECT_EQ(read_payments(one, PaymentFormat::kRecords).payments.size(), 1u);
  EXPECT_EQ(read_payments(one, PaymentFormat::kNdjson).payments.size(), 1u);
  // An object of jsonb has its keys in another order: the columns come last.
  const std::string reordered =
      R"({"data":[[1.5,"t","12345678","m"]],"columns":["amt","trans_num","cc_num","merchant"]})";
  EXPECT_EQ(read_one(reordered).amount_cents, 150);
  // Fields that are null, unknown or nested without being known do no harm.
  EXPECT_EQ(read_one(with("lat", "null")).latitude, std::nullopt);
  EXPECT_EQ(read_one(with("is_fraud", "null")).is_fraud, std::nullopt);
  EXPECT_EQ(read_one(with("extra", R"({"a":[1,{"b":null}]})")).transaction_id, "t1");
}

TEST(PaymentReader, TakesNoPaymentsAsSuch) {
  for (const std::string& body : {std::string("[]"), wrap("[]"), split("", ""),
                                  wrap(split("\"amt\"", "")), std::string(" [ ] \n")}) {
    const PaymentBatch batch = read_payments(body);
    EXPECT_TRUE(batch.payments.empty());
    EXPECT_TRUE(batch.rejected.empty());
  }
}

TEST(PaymentReader, RefusesAnotherLayoutThanExpected) {
  const std::string one(kOne);
  const std::string row = split("\"amt\"", "[1]");
  const auto expect = [](std::string_view body, PaymentFormat format, std::string_view message) {
    EXPECT_EQ(error_of(body, format),
              std::make_pair(ErrorCode::kInvalidPayload, std::string(message)));
  };
  expect("[" + one + "]", PaymentFormat::kSplit,
         "expected an object with arrays \"columns\" and \"data\" (format \"split\"), found an "
         "array");
  expect(one, PaymentFormat::kSplit,
         "expected an object with arrays \"columns\" and \"data\" (format \"split\"), found one "
         "payment object");
  expect(row, PaymentFormat::kRecords,
         "expected an array of payment objects, or one (format \"records\"), found an object with "
         "\"columns\" and \"data\"");
  expect(row, PaymentFormat::kNdjson,
         "expected one payment object a line (format \"ndjson\"), found an object with "
         "\"columns\" and \"data\"");
  expect("[" + one + "]", PaymentFormat::kNdjson,
         "expected one payment object a line (format \"ndjson\"), found an array");
  expect("7\n8\n", PaymentFormat::kNdjson,
         "expected one payment object a line (format \"ndjson\"), found lines without any object");
  expect("4497913965512794052", PaymentFormat::kAuto, "expected payments, found an integer");
  expect("null", PaymentFormat::kAuto, "expected payments, found null");
  expect("[[1],[2]]", PaymentFormat::kAuto, "expected payments, found an array without any object");
  expect(R"({"error":"try later"})", PaymentFormat::kAuto,
         "expected payments, found an object without any field of a payment");
  expect(wrap(wrap(one)), PaymentFormat::kAuto,
         "expected payments, found a JSON string within a JSON string");
  expect(R"({"columns":1,"data":[]})", PaymentFormat::kAuto,
         "expected payments, found \"columns\" that is an integer");
  expect(R"({"columns":[],"data":{}})", PaymentFormat::kAuto,
         "expected payments, found \"data\" that is an object");
  expect(R"({"columns":["amt",[]],"data":[]})", PaymentFormat::kAuto,
         "expected payments, found a column name that is an array");
  expect(R"({"columns":["amt","x","amt","x"],"data":[]})", PaymentFormat::kAuto,
         "expected payments, found the column \"amt\" twice");
  for (const std::string body : {"", " ", "\n\t\r ", "\xEF\xBB\xBF", "\"\"", "\"  \\n\""}) {
    expect(body, PaymentFormat::kAuto, "empty body");
    expect(body, PaymentFormat::kNdjson, "empty body");
  }
}

TEST(PaymentReader, SaysWhereJsonIsInvalidWithoutQuotingIt) {
  EXPECT_EQ(error_of(R"([{"cc_num":4497913965512794052,])"),
            std::make_pair(ErrorCode::kInvalidJson, std::string("invalid JSON at byte 32")));
  EXPECT_EQ(message_of(wrap("{\"cc_num\" 4497913965512794052}")),
            "invalid JSON at byte 29 of the wrapped text");
  EXPECT_EQ(message_of("{\"amt\":\"\xC3\x28\"}"), "invalid JSON at byte 9: it is not valid UTF-8");
  EXPECT_EQ(message_of("{\"amt\":\"a\xFF\"}"), "invalid JSON at byte 10: it is not valid UTF-8");
  EXPECT_EQ(message_of(std::string("[]\0[]", 5)), "invalid JSON at byte 3");
  EXPECT_EQ(message_of("[1e999]"), "invalid JSON at byte 6");
  EXPECT_EQ(message_of("[NaN]"), "invalid JSON at byte 2");
  EXPECT_EQ(message_of(std::string(kOne) + "x"),
            "invalid JSON at byte " + std::to_string(kOne.size() + 1));
  try {
    read_payments("<html><body>busy</body></html>");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "invalid JSON at byte 1");
    EXPECT_EQ(error.detail(), "The content begins with \"<\", as HTML and XML do.");
  }
}

TEST(PaymentReader, RefusesEachKindOfInvalidUtf8) {
  for (const std::string bytes :
       {"\x80", "\xC0\xAF", "\xC1\x81", "\xE0\x80\xAF", "\xED\xA0\x80", "\xF0\x80\x80\xAF",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xE2\x82", "\xF0\x9F\x92", "\xC3"}) {
    EXPECT_EQ(message_of("{\"merchant\":\"" + bytes + "\"}"),
              "invalid JSON at byte 14: it is not valid UTF-8");
  }
  for (const std::string text : {"é", "€", "日本語", "💳", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_EQ(read_one(with("city", "\"" + text + "\"")).city, text);
  }
}

TEST(PaymentReader, BoundsNestingAndSize) {
  const std::string deep(1000000, '[');
  EXPECT_EQ(error_of(deep).first, ErrorCode::kLimitExceeded);
  EXPECT_EQ(message_of(deep), "JSON is nested deeper than 16 levels");
  EXPECT_EQ(message_of(wrap(deep)), "JSON of the wrapped text is nested deeper than 16 levels");
  std::string objects;
  for (int i = 0; i < 200000; ++i) objects += "{\"a\":";
  EXPECT_EQ(error_of(objects).first, ErrorCode::kLimitExceeded);
  EXPECT_EQ(error_of(objects, PaymentFormat::kNdjson).first, ErrorCode::kLimitExceeded);

  const std::string at_bound = std::string(15, '[') + std::string(15, ']');
  EXPECT_EQ(read_one(with("extra", at_bound)).transaction_id, "t1");
  EXPECT_EQ(error_of(with("extra", "[" + at_bound + "]")).first, ErrorCode::kLimitExceeded);

  std::string many = "[{}";
  for (size_t i = 0; i < kMaxPaymentsPerBody; ++i) many += ",1";
  many += "]";
  EXPECT_EQ(error_of(many).second, "body holds more than 250000 payments");
}

TEST(PaymentReader, BoundsWhatIsRejected) {
  std::string body = "[";
  const std::string one = "{\"amt\":\"" + std::string(kMaxRejectedPayloadBytes, 'x') + "\"},";
  for (size_t i = 0; i < 1 + kMaxRejectedBytesPerBody / kMaxRejectedPayloadBytes; ++i) body += one;
  body += "{}]";
  EXPECT_EQ(error_of(body).first, ErrorCode::kLimitExceeded);
}

TEST(PaymentReader, BadLinesDoNoHarmToOthers) {
  const std::string one(kOne);
  const std::string two(kTwo);
  const std::string bad = R"({"cc_num":4497913965512794052,"other":"\n30263540414123)";
  for (const std::string& body : {bad + "\n" + one + "\n" + two, one + "\n" + bad + "\n" + two,
                                  one + "\n" + two + "\n" + bad}) {
    for (const PaymentFormat format : {PaymentFormat::kAuto, PaymentFormat::kNdjson}) {
      const PaymentBatch batch = read_payments(body, format);
      EXPECT_EQ(batch.payments.size(), 2u);
      ASSERT_EQ(batch.rejected.size(), 1u);
      EXPECT_NE(batch.rejected[0].reason.find(": invalid JSON at byte "), std::string::npos);
      EXPECT_EQ(batch.rejected[0].payload,
                R"({"cc_num":***************4052,"other":"\n**********4123)");
    }
  }
  const PaymentBatch batch = read_payments(one + "\n5\n[]\n{\"amt\":\"\xFF\"}\n{}\n" + two);
  EXPECT_EQ(batch.payments.size(), 2u);
  ASSERT_EQ(batch.rejected.size(), 4u);
  EXPECT_EQ(batch.rejected[0].reason, "line 2: payment is an integer: expected an object");
  EXPECT_EQ(batch.rejected[1].reason, "line 3: payment is an array: expected an object");
  EXPECT_EQ(batch.rejected[2].reason, "line 4: invalid JSON at byte 9: it is not valid UTF-8");
  EXPECT_EQ(batch.rejected[2].payload, "{\"amt\":\"?\"}");
  EXPECT_EQ(batch.rejected[3].reason,
            "line 5: cc_num is missing or empty: expected 8 to 19 digits");
  // A document over several lines that was cut is no list of lines.
  EXPECT_EQ(error_of("{\n\"columns\":[\"amt\"],\n\"data\":[\n[1],\n").first,
            ErrorCode::kInvalidJson);
  EXPECT_EQ(error_of("[\n" + one + "\n").first, ErrorCode::kInvalidJson);
}

TEST(PaymentReader, RowsOfAnotherWidthAreRejected) {
  const std::string columns = R"("cc_num","trans_num","amt","merchant")";
  const PaymentBatch batch = read_payments(
      split(columns, R"([4497913965512794052,"a",1,"m"],[4497913965512794052,"b",1],)"
                     R"([12345678,"c",1,"m",2],7,{"cc_num":12345678},[12345679,"d",2,"m"])"));
  ASSERT_EQ(batch.payments.size(), 2u);
  EXPECT_EQ(batch.payments[1].transaction_id, "d");
  ASSERT_EQ(batch.rejected.size(), 4u);
  EXPECT_EQ(batch.rejected[0].reason, "row is an array of 3 values: expected an array of 4 values");
  EXPECT_EQ(batch.rejected[0].payload, R"(["***************4052","b",1])");
  EXPECT_EQ(batch.rejected[1].payload, R"(["****5678","c",1,"m",2])");
  EXPECT_EQ(batch.rejected[2].reason, "row is an integer: expected an array of 4 values");
  EXPECT_EQ(batch.rejected[3].payload, "{}");
}

TEST(PaymentReader, AMissingColumnIsAFaultOfEachPayment) {
  const PaymentBatch batch = read_payments(
      split(R"("cc_num","trans_num","merchant")", R"([12345678,"a","m"],[12345679,"b","m"])"));
  EXPECT_TRUE(batch.payments.empty());
  ASSERT_EQ(batch.rejected.size(), 2u);
  EXPECT_EQ(batch.rejected[1].reason, "amt is missing or empty: expected a number");
  EXPECT_EQ(batch.rejected[1].transaction_id, "b");
  EXPECT_EQ(batch.rejected[1].card_number, "12345679");
}

TEST(PaymentReader, RejectedPayloadHoldsNoCardNumber) {
  const RejectedPayment rejected = read_rejected(split(
      R"("cc_num","trans_num","amt","job","pan","lat","note","list","current_time")",
      R"([4497913965512794052,"t9","abc","\n30263540414123",30263540414123,34.3845100000000012,)"
      R"("x4497913965512794052y",[{"cc_num":1,"b":4.497913965512794e+18}],1730134684025])"));
  EXPECT_EQ(rejected.transaction_id, "t9");
  EXPECT_EQ(rejected.card_number, kCard);
  EXPECT_EQ(rejected.reason,
            "amt is \"abc\": expected a number from 0 to below 10000000000 with at most two "
            "decimals");
  EXPECT_EQ(rejected.payload,
            R"({"trans_num":"t9","amt":"abc","job":"\n**********4123","pan":"**********4123",)"
            R"("lat":34.3845100000000012,"note":"x***************4052y",)"
            R"("list":[{"b":"4.***********2794e+18"}],"current_time":1730134684025})");
  // Escapes hide nothing, and a number in a name is masked as well.
  EXPECT_EQ(
      read_rejected(R"({"amt":"\u0034497913965512794052","k 4497913965512794052":1})").payload,
      R"({"amt":"***************4052","k ***************4052":1})");
}

TEST(PaymentReader, CutsALongPayloadBetweenCharacters) {
  for (size_t pad = 0; pad < 3; ++pad) {
    std::string text(pad, 'x');
    while (text.size() < 2 * kMaxRejectedPayloadBytes) text += "€";
    const RejectedPayment rejected = read_rejected(with("job", "\"" + text + "\""));
    EXPECT_EQ(rejected.reason.substr(0, 16), "job is text of 6");
    EXPECT_LE(rejected.payload.size(), kMaxRejectedPayloadBytes);
    EXPECT_GT(rejected.payload.size(), kMaxRejectedPayloadBytes - 4);
    const std::string note = " ... (cut at 1 MiB)";
    const size_t kept = rejected.payload.size() - note.size();
    EXPECT_EQ(rejected.payload.substr(kept), note);
    EXPECT_EQ(rejected.payload.substr(kept - 3, 3), "€");
  }
}

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
      R"("amt":"x",)" + with("trans_num", "\"id-4497913965512794052\"").substr(1));
  EXPECT_TRUE(rejected.id_holds_card);
  EXPECT_EQ(rejected.payload.substr(rejected.id_at, rejected.id_size), "\"id-***************4052\"");
}

// In every layout, nested, and by any name that says it.
TEST(PaymentReader, KeepsNothingThatMustNotBeKept) {
  const std::vector<std::string> bodies = {
      R"({"amt":"five","cc_num":4000000000000002,"CVV":"8642","Pin-Block":"8642A","track2":";4000000000000002=8642?"})",
      R"([{"amt":1,"x":{"card":[{"securityCode":8642},{"pin":{"a":[8642]}}]}}])",
      R"({"columns":["amt","c v v","cardVerificationValue"],"data":[["five",8642,"8642"],[8642,8642],8642]})",
      "{\"amt\":1,\"cvv\":8642}\n{\"amt\":2,\"cvv\":\"8642\n{\"amt\":3,\"x\":[{\"cvc2\":8642}]}\n",
      R"({"amt":1,"x":"{\"cvv\":\"8642\"}","y":"%B4000000000000002^A/B^8642101?"})",
      R"({"amt":1,"x":[{"name":"cvv","value":"8642"}],"y":{"columns":["pin"],"data":[[8642]]},"z":[["pin"],[8642]]})",
      R"({"amt":"cvv=8642"})",
  };
  for (const std::string& body : bodies) {
    for (const std::string& text : {body, nlohmann::json(body).dump()}) {
      const PaymentBatch batch = read_payments(text);
      EXPECT_FALSE(batch.rejected.empty()) << text;
      for (const RejectedPayment& rejected : batch.rejected) {
        EXPECT_EQ(rejected.payload.find("8642"), std::string::npos) << rejected.payload;
        EXPECT_EQ(rejected.reason.find("8642"), std::string::npos) << rejected.reason;
      }
    }
  }
  // What is none of it can be mended.
  EXPECT_EQ(read_rejected(R"({"amt":"x","pin_code":560001,"spin":8642,"tracking_number":"8642"})").payload,
            R"({"amt":"x","pin_code":560001,"spin":8642,"tracking_number":"8642"})");
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
    EXPECT_EQ(read_one(with("amt", text)).amount_cents, cents) << text;
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
    ASSERT_EQ(builder.partial().amount_cents, cents);
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
  EXPECT_EQ(read_one(with("dob", "\"9999-12-31\"")).date_of_birth, 2932896);
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
        "2020-06-21 12:14:25.", "2020-06-21 12:14:25 Z", "2020-06-21 12:14:25+02",
        "1969-12-31 23:59:59", "2263-01-01 00:00:00", "2020-06-21 12:14:25x", "noon"}) {
    std::string body = with("current_time", "");
    body.pop_back();
    EXPECT_EQ(read_rejected(body + ",\"trans_date_trans_time\":\"" + text + "\"}").reason,
              "trans_date_trans_time is \"" + text +
                  "\": expected a time as YYYY-MM-DD HH:MM:SS in UTC from 1970 to 2262");
  }
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
  EXPECT_EQ(payment_format("csv"), std::nullopt);
}

// Reads a body that may be anything: it is read, or refused with an Error, and
// no message shows the card number.
void read_anything(const std::string& body) {
  for (const PaymentFormat format : {PaymentFormat::kAuto, PaymentFormat::kSplit,
                                     PaymentFormat::kRecords, PaymentFormat::kNdjson}) {
    try {
      const PaymentBatch batch = read_payments(body, format);
      for (const RejectedPayment& rejected : batch.rejected) {
        ASSERT_FALSE(rejected.reason.empty());
        ASSERT_EQ(rejected.reason.find('\n'), std::string::npos);
        ASSERT_EQ(rejected.reason.find(kCard), std::string::npos) << body;
        ASSERT_EQ(rejected.payload.find(kCard), std::string::npos) << body;
      }
      for (const Payment& payment : batch.payments) {
        ASSERT_GE(payment.card_number.size() + payment.card_token.size(), 8u);
        ASSERT_FALSE(payment.transaction_id.empty());
        ASSERT_FALSE(payment.merchant.empty());
        ASSERT_GE(payment.amount_cents, 0);
      }
    } catch (const Error& error) {
      ASSERT_EQ(std::string(error.what()).find("44979"), std::string::npos);
    }
  }
}

TEST(PaymentReader, SurvivesTruncatedBodies) {
  const std::string inner = nlohmann::json::parse(kWireBody).get<std::string>();
  const std::string lines = std::string(kOne) + "\n" + std::string(kTwo) + "\n";
  for (const std::string& body : {std::string(kWireBody), inner, "[" + lines + "]", lines}) {
    for (size_t length = 0; length < body.size(); ++length) read_anything(body.substr(0, length));
    for (size_t begin = 1; begin < body.size(); ++begin) read_anything(body.substr(begin));
  }
  for (size_t length = 0; length < inner.size(); ++length) {
    read_anything(wrap(inner.substr(0, length)));
  }
}

TEST(PaymentReader, SurvivesFlippedBytes) {
  std::mt19937_64 random(1955);
  const std::string inner = nlohmann::json::parse(kWireBody).get<std::string>();
  const std::string records = "[" + std::string(kOne) + "," + std::string(kTwo) + "]";
  const std::string lines = std::string(kOne) + "\n" + std::string(kTwo) + "\n";
  const std::string syntax = "{}[]\",:0123456789eE.-+\\untrfals \n";
  for (const std::string& original : {std::string(kWireBody), inner, records, lines}) {
    for (int i = 0; i < 5000; ++i) {
      std::string body = original;
      for (uint64_t flips = 1 + random() % 4; flips > 0; --flips) {
        char& byte = body[random() % body.size()];
        byte = random() % 2 == 0 ? static_cast<char>(random()) : syntax[random() % syntax.size()];
      }
      read_anything(body);
    }
  }
}

}  // namespace
}  // namespace fraud
