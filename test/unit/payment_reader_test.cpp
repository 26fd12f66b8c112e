// Tests of the payment reader: layouts, masks, hostile bodies.
#include "payment_bodies.h"

#include <random>

#include "core/payments/mask.h"

namespace fraud {
namespace {

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
    EXPECT_EQ(payment.amount_minor, 6016);
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
  EXPECT_EQ(read_one(reordered).amount_minor, 150);
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
  expect("[[1],[2]]", PaymentFormat::kAuto, "expected payments, found an array of arrays (pandas' orient=\"values\")");
  expect(R"({"error":"try later"})", PaymentFormat::kAuto,
         "expected payments, found an object without any field of a payment; it has keys \"error\"");
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
  EXPECT_EQ(message_of(std::string("[]\0[]", 5)), "invalid JSON at byte 3");
  EXPECT_EQ(message_of("NaN"), "invalid JSON at byte 1");
  EXPECT_EQ(message_of("[NaN]"), "expected payments, found an array without any object");
  EXPECT_EQ(read_payments(std::string(kOne) + "x").fault.value().what(),
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
    EXPECT_NE(reason_of("merchant", "\"" + bytes + "\"").find("which is not valid text"), std::string::npos);
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
  const PaymentBatch batch = read_payments(many);
  ASSERT_TRUE(batch.fault);
  EXPECT_STREQ(batch.fault->what(), "body holds more than 250000 payments");
  EXPECT_EQ(batch.rejected.size(), kMaxPaymentsPerBody + 1);
  EXPECT_EQ(read_payments("[" + std::string(kOne) + "," + deep + "]").payments.size(), 1u);
}

// However deep: what comes behind is read.
TEST(PaymentReader, ReadsBehindWhatIsNestedDeeply) {
  for (const size_t depth : {17u, 62u, 63u, 64u, 65u, 66u, 127u, 128u, 129u, 1000u, 100000u}) {
    for (const bool objects : {false, true}) {
      std::string deep, end;
      for (size_t i = 0; i < depth; ++i) {
        const bool is_object = objects || i % 3 == 0;
        deep += is_object ? "{\"a\":" : "[";
        end += is_object ? '}' : ']';
      }
      deep += "1" + std::string(end.rbegin(), end.rend());
      for (const char* between : {",", "\n"}) {
        const bool is_array = between[0] == ',';
        std::string body = std::string(kOne) + between + with("extra", deep) + between + with("trans_num", "\"t2\"");
        if (is_array) body = "[" + body + "]";
        const PaymentBatch batch = read_payments(body);
        EXPECT_EQ(batch.payments.size(), 2u) << depth;
        EXPECT_EQ(batch.rejected.size(), 1u) << depth;
        EXPECT_FALSE(batch.fault && is_array) << depth;
      }
    }
  }
}

TEST(PaymentReader, LeavesOutByteOrderMark) {
  const std::string mark = "\xEF\xBB\xBF";
  EXPECT_EQ(read_one(mark + std::string(kOne)).transaction_id, "t1");
  EXPECT_EQ(read_one(wrap(mark + std::string(kOne))).transaction_id, "t1");
  EXPECT_EQ(read_one(mark + wrap(mark + " " + std::string(kOne))).transaction_id, "t1");
}

TEST(PaymentReader, BoundsWhatIsRejected) {
  std::string body = "[";
  const std::string one = "{\"amt\":\"" + std::string(kMaxRejectedPayloadBytes, 'x') + "\"},";
  for (size_t i = 0; i < 1 + kMaxRejectedBytesPerBody / kMaxRejectedPayloadBytes; ++i) body += one;
  body += "{},{}]";
  const PaymentBatch batch = read_payments(body);
  ASSERT_TRUE(batch.fault);
  EXPECT_EQ(batch.fault->code(), ErrorCode::kLimitExceeded);
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
  EXPECT_EQ(batch.rejected[2].reason, "line 4: amt is \"\xEF\xBF\xBD\", which is not valid text: expected a number from 0 to below 10000000000 with at most two decimals");
  EXPECT_EQ(batch.rejected[2].payload, "{\"amt\":{\"unreadable\":\"\xEF\xBF\xBD\"}}");
  EXPECT_EQ(batch.rejected[3].reason,
            "line 5: cc_num is missing or empty: expected 8 to 19 digits");
  // A document over several lines that was cut is no list of lines.
  EXPECT_TRUE(read_payments("{\n\"columns\":[\"amt\"],\n\"data\":[\n[1],\n").fault);
  EXPECT_EQ(read_payments("[\n" + one + "\n").payments.size(), 1u);
  EXPECT_TRUE(read_payments("[\n" + one + "\n").fault);
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
    while (text.size() < kMaxRejectedPayloadBytes + 1000) text += "€";
    const RejectedPayment rejected = read_rejected(with("job", "\"" + text + "\""));
    EXPECT_EQ(rejected.reason.substr(0, 16), "job is text of 3");
    EXPECT_LE(rejected.payload.size(), kMaxRejectedPayloadBytes);
    EXPECT_GT(rejected.payload.size(), kMaxRejectedPayloadBytes - 4);
    const std::string note = " ... (cut at 1 MiB)";
    const size_t kept = rejected.payload.size() - note.size();
    EXPECT_EQ(rejected.payload.substr(kept), note);
    EXPECT_EQ(rejected.payload.substr(kept - 3, 3), "€");
  }
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
        ASSERT_GE(payment.amount_minor, 0);
      }
    } catch (const Error& error) {
      ASSERT_EQ(std::string(error.what()).find("44979"), std::string::npos);
    }
  }
}

// Wherever an answer breaks off: what came whole is read, and what did not is the rest.
TEST(PaymentReader, OfACutBodyTheRestAloneIsRejected) {
  const std::string one(kOne), two(kTwo), lines = one + "\n" + two + "\n" + one + "\n" + two;
  for (const std::string& body : {std::string(kWireBody), "[" + one + "," + two + "]", lines, lines + "\n", wrap(lines)}) {
    for (size_t size = 0; size < body.size(); ++size) {
      PaymentBatch batch;
      try {
        batch = read_payments(body.substr(0, size));
      } catch (const Error&) {
        continue;  // nothing of it is whole
      }
      if (batch.rest_is_rejected) batch.rejected.pop_back();
      EXPECT_TRUE(batch.rejected.empty()) << size << " of " << body;
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
