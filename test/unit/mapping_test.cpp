// The mapping of payments of other layouts: what is found, what is left, what is said of faults.
#include "core/payments/mapping.h"

#include <random>

#include "core/payments/csv.h"
#include "core/payments/mapping_preview.h"
#include "core/payments/mapping_proposal.h"
#include "core/payments/payment_writer.h"
#include "payment_bodies.h"

namespace fraud {
namespace {

std::vector<PathStep> steps(std::initializer_list<const char*> keys) {
  std::vector<PathStep> steps;
  for (const char* key : keys) {
    PathStep step;
    if (key[0] == '[') {
      step.index = std::stoi(key + 1);
    } else {
      step.key = key;
    }
    steps.push_back(step);
  }
  return steps;
}

FieldRule rule(const char* name, std::initializer_list<const char*> keys) {
  FieldRule one;
  one.name = name;
  one.path = "$";
  for (const char* key : keys) one.path += std::string(key[0] == '[' ? "" : ".") + key;
  one.steps = steps(keys);
  return one;
}

// The card's, the id's, the amount's, the merchant's and the time's, nested.
Mapping nested() {
  Mapping mapping;
  mapping.rules = {rule("cc_num", {"card", "pan"}), rule("trans_num", {"id"}), rule("amt", {"amount", "value"}),
                   rule("merchant", {"shop", "name"}), rule("trans_date_trans_time", {"at"})};
  mapping.rules.back().time = TimeFormat::kIso8601;
  return mapping;
}

constexpr std::string_view kNested =
    R"({"id":"t1","at":"2024-10-28T16:58:04.025+01:00","amount":{"value":60.16,"ccy":"EUR"},)"
    R"("card":{"pan":4497913965512794052,"brand":"visa"},"shop":{"name":"Berge"},"device":{"id":"d1","tags":["a",{"b":null}]}})";

std::string mapped(const Mapping& mapping, std::string_view text, std::vector<MappingFault>* faults = nullptr) {
  Document document;
  EXPECT_EQ(document.read(text), Document::Reading::kWhole);
  std::string out;
  std::vector<MappingFault> unused;
  mapping.apply(document, &out, faults != nullptr ? faults : &unused);
  return out;
}

PaymentBatch read(std::string_view body, const Mapping& mapping, PaymentFormat format = PaymentFormat::kAuto) {
  return read_payments(body, format, &mapping);
}

}  // namespace

TEST(Mapping, NestedPaymentIsFoundAndTheRestIsKept) {
  EXPECT_EQ(mapped(nested(), kNested),
            R"({"cc_num":4497913965512794052,"trans_num":"t1","amt":60.16,"merchant":"Berge",)"
            R"("trans_date_trans_time":"2024-10-28T15:58:04.025000Z",)"
            R"("attributes":{"amount":{"ccy":"EUR"},"card":{"brand":"visa"},"device":{"id":"d1","tags":["a",{"b":null}]}}})");
  const PaymentBatch batch = read(kNested, nested());
  ASSERT_EQ(batch.payments.size(), 1u);
  EXPECT_EQ(batch.payments[0].amount_minor, 6016);
  EXPECT_EQ(batch.payments[0].card_number, kCard);
  EXPECT_EQ(batch.payments[0].occurred_at_us, 1730131084025000);
}

TEST(Mapping, ArraysStandForTheirElementsAndTheLastOfANameCounts) {
  Mapping mapping;
  mapping.rules = {rule("merchant", {"shops", "name"}), rule("city", {"lines", "[1]"}), rule("state", {"one", "[0]", "x"})};
  EXPECT_EQ(mapped(mapping, R"({"shops":[1,{"id":2},{"name":"B"}],"lines":["a","b"],"one":{"x":"s"}})"),
            R"({"merchant":"B","city":"b","state":"s","attributes":{"shops":[1,{"id":2}],"lines":["a"]}})");
  mapping.rules = {rule("city", {"a", "b"})};
  EXPECT_EQ(mapped(mapping, R"({"a":{"b":"first","b":"last"}})"), R"({"city":"last"})");
  EXPECT_EQ(mapped(mapping, R"({"a":[[{"b":1}],"x"]})"), R"({"attributes":{"a":[[{"b":1}],"x"]}})");
}

TEST(Mapping, ConstantsValuesAndDefaults) {
  Mapping mapping;
  mapping.rules = {rule("category", {"type"}), rule("city", {"city"}), rule("currency", {})};
  mapping.rules[0].values = {{"CARD_PURCHASE", "\"payment\""}, {"7", "\"seven\""}};
  mapping.rules[1].otherwise = "\"nowhere\"";
  mapping.rules[2].path.clear();
  mapping.rules[2].constant = "\"EUR\"";
  EXPECT_EQ(mapped(mapping, R"({"type":"CARD_PURCHASE","city":null})"), R"({"category":"payment","city":"nowhere","currency":"EUR"})");
  EXPECT_EQ(mapped(mapping, R"({"type":7,"city":""})"), R"({"category":"seven","city":"nowhere","currency":"EUR"})");
  // What the map does not have stays, but where there is a default.
  EXPECT_EQ(mapped(mapping, R"({"type":"other","city":"c"})"), R"({"category":"other","city":"c","currency":"EUR"})");
  mapping.rules[0].otherwise = "\"?\"";
  EXPECT_EQ(mapped(mapping, R"({"type":"other"})"), R"({"category":"?","city":"nowhere","currency":"EUR"})");
}

TEST(Mapping, AttributesOfNames) {
  Mapping mapping;
  mapping.rules = {rule("attributes.device_id", {"device", "id"}), rule("attributes", {"meta"})};
  EXPECT_EQ(mapped(mapping, R"({"device":{"id":"d"},"meta":{"a":1},"more":2})"), R"({"attributes":{"device_id":"d","a":1,"more":2}})");
  EXPECT_EQ(mapped(mapping, R"({"meta":{}})"), "{}");
}

TEST(Mapping, SignsOfAmounts) {
  Mapping mapping;
  mapping.rules = {rule("amt", {"v"})};
  mapping.rules[0].sign = NegativeAmount::kNegativeIsRefund;
  EXPECT_EQ(mapped(mapping, R"({"v":-12.5})"), R"({"amt":12.5,"kind":"refund"})");
  EXPECT_EQ(mapped(mapping, R"({"v":"-12.5"})"), R"({"amt":"12.5","kind":"refund"})");
  EXPECT_EQ(mapped(mapping, R"({"v":12.5})"), R"({"amt":12.5})");
  mapping.rules[0].sign = NegativeAmount::kNegativeIsPayment;
  EXPECT_EQ(mapped(mapping, R"({"v":-12.5})"), R"({"amt":12.5})");
  EXPECT_EQ(mapped(mapping, R"({"v":12.5})"), R"({"amt":12.5,"kind":"refund"})");
  EXPECT_EQ(mapped(mapping, R"({"v":0})"), R"({"amt":0})");
  mapping.rules.push_back(rule("kind", {"k"}));
  EXPECT_EQ(mapped(mapping, R"({"v":3,"k":"reversal"})"), R"({"amt":3,"kind":"reversal"})");
  mapping.rules = {rule("amt", {"v"})};
  mapping.rules[0].is_minor = true;
  EXPECT_EQ(mapped(mapping, R"({"v":1250})"), R"({"amt_minor":1250})");
  mapping.rules[0].is_minor = false;
  mapping.rules[0].decimal = ',';
  EXPECT_EQ(mapped(mapping, R"({"v":"1.234,50"})"), R"({"amt":"1234.50"})");
  EXPECT_EQ(mapped(mapping, R"({"v":1234.5})"), R"({"amt":1234.5})");
}

TEST(Mapping, DecimalCommas) {
  Mapping mapping;
  mapping.rules = {rule("amt", {"v"})};
  mapping.rules[0].decimal = ',';
  const auto amount = [&](const std::string& text) {
    std::vector<MappingFault> faults;
    const std::string out = mapped(mapping, "{\"v\":\"" + text + "\"}", &faults);
    return faults.empty() ? out : faults[0].found + " is not " + faults[0].expected;
  };
  for (const char* text : {"1.234.567,50", "1 234 567,50", "1'234'567,50", "1\u00A0234\u00A0567,50", "1\u202F234\u202F567,50", "1\u2019234\u2019567,50", "1234567,50", " +1234567,50 "}) {
    EXPECT_EQ(amount(text), R"({"amt":"1234567.50"})") << text;
  }
  EXPECT_EQ(amount("- 1.234"), R"({"amt":"-1234"})");
  EXPECT_EQ(amount("5,"), R"({"amt":"5"})");
  EXPECT_EQ(amount(",5"), R"({"amt":".5"})");
  // Never a hundred times as much.
  for (const char* text : {"12.34", "1234.56", "1.2345,00", "12.34.567,00", "1.234'567,00", "1.23,4", "1,234.50", "1..234", ".234,5", "0.5"}) {
    EXPECT_EQ(amount(text), std::string(text) + " is not a number with a decimal comma, as in 1.234,50");
  }
  EXPECT_EQ(amount("much"), R"({"amt":"much"})");
}

// What stands beside the name of what must not be kept is found by no path, plain or not, in no layout.
TEST(Mapping, NoPathFindsWhatMustNotBeKept) {
  Mapping mapping;
  mapping.rules = {rule("category", {"f", "value"}), rule("merchant", {"f", "name"})};
  EXPECT_EQ(mapped(mapping, R"({"f":{"name":"color","value":"red"}})"), R"({"category":"red","merchant":"color"})");
  EXPECT_EQ(mapped(mapping, R"({"f":{"name":"cvv","value":"123"}})").substr(0, 17), R"({"merchant":"cvv")");
  EXPECT_EQ(mapped(mapping, R"({"f":[{"name":"Card Security Code","value":"123"},{"name":"color","value":"red"}]})").substr(0, 17), R"({"category":"red")");
  Mapping whole = nested();
  whole.rules.push_back(rule("category", {"f", "value"}));
  const std::string payment = R"({"id":"t1","at":"2024-10-28T16:58:04Z","amount":{"value":5},"card":{"pan":4497913965512794052},"shop":{"name":"B"},"f":{"name":"cvv","value":"123"}})";
  const PaymentBatch batch = read_payments(payment, PaymentFormat::kAuto, &whole);
  ASSERT_EQ(batch.payments.size(), 1u);
  EXPECT_EQ(batch.payments[0].category, "");
  EXPECT_EQ(batch.payments[0].attributes.find("123"), std::string::npos);
}

TEST(Mapping, TimesOfAllUnits) {
  Mapping mapping;
  mapping.rules = {rule("trans_date_trans_time", {"t"})};
  const auto time = [&](TimeFormat format, const std::string& value) {
    mapping.rules[0].time = format;
    std::vector<MappingFault> faults;
    const std::string out = mapped(mapping, "{\"t\":" + value + "}", &faults);
    return faults.empty() ? out.substr(26, out.size() - 28) : "not " + faults[0].expected;
  };
  EXPECT_EQ(time(TimeFormat::kIso8601, "\"2024-02-29 23:59:59-01:00\""), "2024-03-01T00:59:59.000000Z");
  EXPECT_EQ(time(TimeFormat::kEpochSeconds, "1730134684.025001"), "2024-10-28T16:58:04.025001Z");
  EXPECT_EQ(time(TimeFormat::kEpochMilliseconds, "\"1730134684025\""), "2024-10-28T16:58:04.025000Z");
  EXPECT_EQ(time(TimeFormat::kEpochMicroseconds, "1730134684025001"), "2024-10-28T16:58:04.025001Z");
  EXPECT_EQ(time(TimeFormat::kEpochMicroseconds, "1730134684025"), "not epoch microseconds from 1970 to 2262; it looks like milliseconds");
  EXPECT_EQ(time(TimeFormat::kEpochSeconds, "1730134684025"), "not epoch seconds from 1970 to 2262; it looks like milliseconds");
  EXPECT_EQ(time(TimeFormat::kIso8601, "1730134684"),
            "not a time of ISO 8601 as YYYY-MM-DD HH:MM:SS, in UTC or with an offset, from 1970 to 2262; it looks like epoch seconds");
  EXPECT_EQ(time(TimeFormat::kEpochSeconds, "[1]"), "not epoch seconds from 1970 to 2262");
  EXPECT_EQ(time(TimeFormat::kEpochSeconds, "-1"), "not epoch seconds from 1970 to 2262");
}

TEST(Mapping, WhatCannotBeReadStaysAFaultOfItsField) {
  Mapping mapping = nested();
  const auto reason = [&](const std::string& from, const std::string& to) {
    std::string body(kNested);
    body.replace(body.find(from), from.size(), to);
    const PaymentBatch batch = read(body, mapping);
    EXPECT_EQ(batch.rejected.size(), 1u) << body;
    return batch.rejected.empty() ? "" : batch.rejected[0].reason;
  };
  EXPECT_EQ(reason("60.16", "NaN"), "amt ($.amount.value) is \"NaN\": expected a number from 0 to below 10000000000 with at most two decimals");
  EXPECT_EQ(reason("60.16", "1e400").substr(0, 34), "amt ($.amount.value) is \"1e400\": e");
  EXPECT_EQ(reason("\"Berge\"", R"("a\ud800b")"),
            "merchant ($.shop.name) is \"a\xEF\xBF\xBD" "b\", which is not valid text: expected a name of 1 to 200 characters");
  EXPECT_EQ(reason("\"Berge\"", R"("a\u0000b")"), "merchant ($.shop.name) is text with a NUL character: expected a name of 1 to 200 characters");
  EXPECT_EQ(reason("4497913965512794052", "4.497913965512794e+18"),
            "cc_num ($.card.pan): card number must be 8 to 19 digits, not a floating-point number");
  EXPECT_EQ(reason("\"t1\"", "1.5"), "trans_num ($.id) is a floating-point number: expected text of 1 to 128 characters");
  EXPECT_EQ(reason("\"t1\"", "null"), "trans_num ($.id) is missing or empty: expected text of 1 to 128 characters");
  EXPECT_EQ(reason("2024-10-28T16", "2024-10-28X16"),
            "trans_date_trans_time ($.at) is \"2024-10-28X16:58:04.025+01:00\": expected a time of ISO 8601 as YYYY-MM-DD HH:MM:SS, in UTC or "
            "with an offset, from 1970 to 2262");
  // Elsewhere it does no harm.
  std::string body(kNested);
  body.replace(body.find("\"d1\""), 4, R"(["\ud800",NaN,1e999,"\u0000"])");
  EXPECT_EQ(read(body, mapping).payments.size(), 1u);
  mapping.rules.erase(mapping.rules.begin() + 3);
  EXPECT_EQ(read(kNested, mapping).rejected.at(0).reason, "merchant (not mapped) is missing or empty: expected a name of 1 to 200 characters");
}

TEST(Mapping, LettersHoldTheMappedPaymentWithoutItsNumber) {
  std::string body(kNested);
  body.replace(body.find("60.16"), 5, "\"x\"");
  body.replace(body.find("\"visa\""), 6, "\"of 4497913965512794052\"");
  const PaymentBatch batch = read(body, nested());
  ASSERT_EQ(batch.rejected.size(), 1u);
  const std::string& payload = batch.rejected[0].payload;
  EXPECT_EQ(payload.find(kCard), std::string::npos) << payload;
  EXPECT_NE(payload.find(R"("trans_num":"t1")"), std::string::npos) << payload;
  EXPECT_NE(payload.find(R"("device":{"id":"d1")"), std::string::npos) << payload;
  EXPECT_EQ(batch.rejected[0].card_number, kCard);
  EXPECT_EQ(batch.rejected[0].transaction_id, "t1");
}

TEST(Mapping, EnvelopesAndTheirBreaks) {
  Mapping mapping = nested();
  mapping.payments = steps({"data", "transactions"});
  mapping.payments_path = "$.data.transactions[*]";
  const std::string one(kNested), two = [&] {
    std::string text(kNested);
    return text.replace(text.find("t1"), 2, "t2");
  }();
  const std::string head = R"({"status":"ok","page":{"data":[]},"data":{"count":2,"transactions":[)";
  EXPECT_EQ(read(head + one + "," + two + R"(],"next":null}})", mapping).payments.size(), 2u);
  EXPECT_EQ(read(wrap(head + one + "]}}"), mapping).payments.size(), 1u);
  EXPECT_EQ(read(head + "]}}", mapping).payments.size(), 0u);
  EXPECT_EQ(read(R"({"data":{"transactions":null}})", mapping).payments.size(), 0u);
  EXPECT_EQ(read(R"({"data":{"transactions":)" + one + "}}", mapping).payments.size(), 1u);
  // Each whole payment before a break is kept.
  PaymentBatch batch = read(head + one + "," + two.substr(0, 40), mapping);
  EXPECT_EQ(batch.payments.size(), 1u);
  ASSERT_TRUE(batch.fault);
  EXPECT_EQ(batch.rejected.size(), 1u);
  batch = read(head + one + R"(,{"id":"broken","amount":{"value" 1}},)" + two + "]}}", mapping);
  EXPECT_EQ(batch.payments.size(), 2u);
  EXPECT_EQ(batch.rejected.size(), 1u);
  batch = read(head + one + "]}} and more", mapping);
  EXPECT_EQ(batch.payments.size(), 1u);
  EXPECT_TRUE(batch.fault);
  const auto error = [&](std::string_view body) {
    try {
      read(body, mapping);
    } catch (const Error& fault) {
      return std::string(fault.what());
    }
    return std::string();
  };
  EXPECT_EQ(error(R"({"data":{"items":[],"next":1}})"),
            "expected payments at $.data.transactions[*], found no \"transactions\"; it has keys \"items\", \"next\"");
  EXPECT_EQ(error(R"({"data":[]})"), "expected payments at $.data.transactions[*], found an array where \"transactions\" should be a member");
  EXPECT_EQ(error(R"({"data":{"transactions":5}})"), "expected payments at $.data.transactions[*], found a value that is neither an array nor an object");
  EXPECT_EQ(error(R"({"data":{"count":2,"trans)").substr(0, 12), "invalid JSON");
  mapping.payments = steps({"pages", "[1]", "rows"});
  EXPECT_EQ(read(R"({"pages":[{"rows":[]},{"rows":[)" + one + "]}]}", mapping).payments.size(), 1u);
}

TEST(Mapping, EveryLayoutCanBeMapped) {
  Mapping mapping = nested();
  const std::string one(kNested);
  EXPECT_EQ(read("[" + one + "," + one + "]", mapping).payments.size(), 2u);
  EXPECT_EQ(read(one + "\n" + one + "\n", mapping).payments.size(), 2u);
  EXPECT_EQ(read(one + "\n" + one + "\n", mapping, PaymentFormat::kNdjson).payments.size(), 2u);
  mapping.rules = {rule("cc_num", {"pan"}), rule("trans_num", {"no"}), rule("amt", {"v"}), rule("merchant", {"m"})};
  EXPECT_EQ(read(split(R"("pan","no","v","m")", R"([4497913965512794052,"t1",1,"M"],[1])"), mapping).payments.size(), 1u);
}

// For every field: whatever it is called, the payment is the same.
TEST(Mapping, GivesTheSamePaymentAsTheFlatLayout) {
  const nlohmann::ordered_json flat = nlohmann::ordered_json::parse(
      R"({"cc_num":4497913965512794052,"trans_num":"t1","amt":60.16,"merchant":"Berge","category":"misc","first":"A","last":"B",
          "gender":"F","street":"S 1","city":"C","state":"NC","zip":2837,"lat":34.6,"long":-79.1,"city_pop":14783,"job":"J",
          "dob":"1955-11-07","merch_lat":34.3,"merch_long":-78.6,"is_fraud":1,"trans_date_trans_time":"2024-10-28 16:58:04.025001"})");
  Mapping mapping;
  nlohmann::ordered_json other;
  int number = 0;
  for (const auto& [name, value] : flat.items()) {
    const std::string outer = "o" + std::to_string(number % 4), inner = "f" + std::to_string(number++);
    other[outer]["deep"][inner] = value;
    FieldRule one;
    one.name = name;
    one.path = "$." + outer + ".deep." + inner;
    one.steps = {{outer}, {"deep"}, {inner}};
    if (name == "trans_date_trans_time") one.time = TimeFormat::kIso8601;
    mapping.rules.push_back(one);
  }
  const PaymentBatch direct = read_payments(flat.dump()), nested_batch = read(other.dump(), mapping);
  ASSERT_EQ(direct.payments.size(), 1u);
  ASSERT_EQ(nested_batch.payments.size(), 1u) << nested_batch.rejected.at(0).reason;
  const Payment &a = direct.payments[0], &b = nested_batch.payments[0];
  EXPECT_EQ(std::tie(a.card_number, a.last_four, a.transaction_id, a.occurred_at_us, a.amount_minor, a.merchant, a.category, a.merchant_latitude,
                     a.merchant_longitude, a.first_name, a.last_name, a.gender, a.street, a.city, a.state, a.zip, a.job, a.latitude, a.longitude,
                     a.city_population, a.date_of_birth, a.is_fraud),
            std::tie(b.card_number, b.last_four, b.transaction_id, b.occurred_at_us, b.amount_minor, b.merchant, b.category, b.merchant_latitude,
                     b.merchant_longitude, b.first_name, b.last_name, b.gender, b.street, b.city, b.state, b.zip, b.job, b.latitude, b.longitude,
                     b.city_population, b.date_of_birth, b.is_fraud));
}

TEST(Mapping, BoundsAreKept) {
  Mapping mapping = nested();
  std::string deep(kNested);
  deep.pop_back();
  deep += ",\"deep\":" + std::string(kMaxJsonDepth - 1, '[') + std::string(kMaxJsonDepth - 1, ']') + "}";
  const PaymentBatch batch = read("[" + std::string(kNested) + "," + deep + "]", mapping);
  EXPECT_EQ(batch.payments.size(), 1u);
  ASSERT_EQ(batch.rejected.size(), 1u);
  EXPECT_NE(batch.rejected[0].reason.find("nested deeper"), std::string::npos) << batch.rejected[0].reason;
  size_t pauses = 0;
  std::string many = "[" + std::string(kNested);
  for (int i = 0; i < 5000; ++i) many += "," + std::string(kNested);
  (void)read_payments(many + "]", PaymentFormat::kAuto, &mapping, [&] { ++pauses; });
  EXPECT_GE(pauses, 5u);
}

TEST(Csv, HeaderQuotesAndBrokenLines) {
  const std::string body =
      ",trans_num,cc_num,amt,merchant,unix_time,note\r\n"
      "0,t1,4497913965512794052,60.16,\"Berge, \"\"Kautzer\"\" and\r\nHarris\",1371816865,\r\n"
      "\r\n"
      "1,t2,30263540414123,1,\"open,1371816865,x\r\n"
      "2,t3,30263540414123,2,Kuhn,1371816865\r\n"
      "3,t4,30263540414123,x,Kuhn,1371816865,\r\n"
      "4,t5,30263540414123, 5,Kuhn,1371816865,\r\n"
      "5,t6,30263540414123,6,Ku\xFFhn,1371816865,\r\n"
      "6,t7,30263540414123,7,Kuhn,1371816865,last";
  const PaymentBatch batch = read_payments(body, PaymentFormat::kCsv);
  ASSERT_EQ(batch.payments.size(), 2u);
  EXPECT_EQ(batch.payments[0].merchant, "Berge, \"Kautzer\" and\r\nHarris");
  EXPECT_EQ(batch.payments[1].transaction_id, "t7");
  std::string reasons;
  for (const RejectedPayment& rejected : batch.rejected) reasons += rejected.reason + "\n";
  EXPECT_EQ(reasons,
            "line 5: it is no line of CSV: a quote is not closed within 65536 bytes\n"
            "line 6: it has 6 values: expected 7, as the header has\n"
            "line 7: amt is \"x\": expected a number from 0 to below 10000000000 with at most two decimals\n"
            "line 8: amt is \" 5\": expected a number from 0 to below 10000000000 with at most two decimals\n"
            "line 9: merchant is \"Ku\xEF\xBF\xBDhn\", which is not valid text: expected a name of 1 to 200 characters\n");
  for (const RejectedPayment& rejected : batch.rejected) EXPECT_EQ(rejected.payload.find("30263540414123"), std::string::npos) << rejected.payload;
  EXPECT_FALSE(batch.fault);
}

TEST(Csv, DelimitersColumnsAndFaults) {
  Mapping mapping;
  mapping.delimiter = ';';
  mapping.columns = {"trans_num", "cc_num", "amt", "merchant"};
  EXPECT_EQ(read("t1;4497913965512794052;1;M\nt2;4497913965512794052;2;N\n", mapping, PaymentFormat::kCsv).payments.size(), 2u);
  const auto error = [](std::string_view body) {
    try {
      read_payments(body, PaymentFormat::kCsv);
    } catch (const Error& fault) {
      return std::string(fault.what());
    }
    return std::string();
  };
  EXPECT_EQ(error("a,b,c\n1,2,3\n"), "expected payments, found a header without any field of a payment; it has columns \"a\", \"b\", \"c\"");
  EXPECT_EQ(error("amt,amt\n1,2\n"), "expected a header and a payment a line (format \"csv\"), found the column \"amt\" twice");
  EXPECT_EQ(error("\"amt\nx\n"), "expected a header and a payment a line (format \"csv\"), found a header line that is broken: it is no line of CSV: "
                                 "a quote is not closed within 65536 bytes");
  EXPECT_EQ(error(" \n"), "empty body");
  EXPECT_EQ(read_payments("amt,merchant\n", PaymentFormat::kCsv).payments.size(), 0u);
  // Quotes that nobody closes cost no more than their lines.
  std::string hostile = "amt,merchant\n";
  for (int i = 0; i < 20000; ++i) hostile += "\"x\n";
  EXPECT_EQ(read_payments(hostile, PaymentFormat::kCsv).rejected.size(), 20000u);
}

TEST(Csv, LinesThatEndInCarriageReturnsAloneAreRefused) {
  try {
    (void)read_payments("trans_num,cc_num,amt,merchant,unix_time\rt1,4000000000000010,5,M,1730134684\r", PaymentFormat::kCsv);
    FAIL() << "it was taken";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "expected a header and a payment a line (format \"csv\"), found a CR that ends no line: lines end in LF or CRLF");
  }
}

TEST(Proposal, OfABanksEnvelope) {
  const std::string body = R"({"status":"ok","data":{"transactions":[{"transactionId":"a1","createdAt":1730134684025,
     "amount":{"value":-12.5,"currency":"EUR"},"merchant":{"id":"m1","name":"Shop","mcc":5411},"card":{"token":"tok_1"},"type":"CARD_PURCHASE"}]}})";
  EXPECT_EQ(propose_mapping(body, PaymentFormat::kAuto),
            R"({"payments":"$.data.transactions[*]","fields":{"trans_num":"$.transactionId",)"
            R"("amt":{"path":"$.amount.value","negative":"payment"},"currency":"$.amount.currency",)"
            R"("trans_date_trans_time":{"path":"$.createdAt","time":{"format":"epoch_ms"}},"merchant":"$.merchant.name",)"
            R"("category":"$.merchant.mcc","kind":{"path":"$.type","map":{"CARD_PURCHASE":"payment"}},)"
            R"("customer":"$.card.token","customer_kind":{"value":"token"}}})");
  EXPECT_EQ(propose_mapping(kOne, PaymentFormat::kAuto), "");
  EXPECT_EQ(propose_mapping("[1,2]", PaymentFormat::kAuto), "");
  EXPECT_EQ(propose_mapping("<html>", PaymentFormat::kAuto), "");
  EXPECT_EQ(propose_mapping(R"({"transactions":[)" + std::string(kOne) + "]}", PaymentFormat::kAuto),
            R"({"payments":"$.transactions[*]","fields":{"cc_num":"$.cc_num","trans_num":"$.trans_num","amt":"$.amt","merchant":"$.merchant",)"
            R"("current_time":"$.current_time"}})");
  EXPECT_EQ(propose_mapping("id;date;amount;payee;account\n1;31/12/2024 10:00;1.234,50;Shop;A1\n", PaymentFormat::kCsv),
            R"({"delimiter":";","fields":{"trans_num":"$.id","amt":{"path":"$.amount","decimal":","},)"
            R"("trans_date_trans_time":{"path":"$.date","time":{"format":"DD/MM/YYYY HH24:MI","zone":"UTC"}},"merchant":"$.payee",)"
            R"("customer":"$.account","customer_kind":{"value":"account"}}})");
}

TEST(Proposal, OfOurNamesBehindAnotherDelimiter) {
  EXPECT_EQ(propose_mapping("trans_num;cc_num;amt;merchant;unix_time\nt1;4000000000000010;5;M;1730134684\n", PaymentFormat::kCsv), R"({"delimiter":";"})");
  EXPECT_EQ(propose_mapping("trans_num,cc_num,amt,merchant,unix_time\nt1,4000000000000010,5,M,1730134684\n", PaymentFormat::kCsv), "");
}

TEST(Preview, ShowsEachPaymentMasked) {
  std::string bad(kNested);
  bad.replace(bad.find("60.16"), 5, "\"x\"");
  bad.replace(bad.find("\"shop\""), 6, "\"stop\"");
  const Mapping mapping = nested();
  const Preview preview = preview_payments("[" + std::string(kNested) + "," + bad + ",7]", PaymentFormat::kAuto, &mapping);
  ASSERT_EQ(preview.payments.size(), 3u);
  EXPECT_EQ(preview.payments[0].error, "");
  EXPECT_EQ(preview.payments[0].missing.size(), 0u);
  EXPECT_EQ(preview.payments[0].mapped,
            R"({"cc_num":"***************4052","trans_num":"t1","amt":60.16,"merchant":"Berge","trans_date_trans_time":"2024-10-28T15:58:04.025000Z"})");
  EXPECT_EQ(preview.payments[0].left_over, R"({"amount":{"ccy":"EUR"},"card":{"brand":"visa"},"device":{"id":"d1","tags":["a",{"b":null}]}})");
  EXPECT_EQ(preview.payments[1].missing, std::vector<std::string>{"merchant"});
  EXPECT_EQ(preview.payments[1].error.substr(0, 24), "amt ($.amount.value) is ");
  EXPECT_EQ(preview.payments[2].error, "payment is an integer: expected an object");
  const Preview secret = preview_payments(
      R"({"customer":"DE89 3704 0044 0532 0130 00","customer_kind":"iban","trans_num":"t","note":"of DE89370400440532013000"})", PaymentFormat::kAuto, nullptr);
  ASSERT_EQ(secret.payments.size(), 1u);
  EXPECT_EQ(secret.payments[0].mapped, R"({"customer":"******************3000","customer_kind":"iban","trans_num":"t"})");
  EXPECT_EQ(secret.payments[0].left_over, R"({"note":"of DE****************3000"})");
  const Preview none = preview_payments(R"({"a":[]})", PaymentFormat::kAuto, nullptr);
  ASSERT_EQ(none.payments.size(), 1u);
  EXPECT_EQ(none.payments[0].number, 0u);
  EXPECT_EQ(none.payments[0].error, "expected payments, found an object without any field of a payment; it has keys \"a\"");
}

TEST(Preview, SaysWhatABodyIsThatIsNoJson) {
  const Preview preview = preview_payments("<html><body>Sign in</body></html>", PaymentFormat::kAuto, nullptr);
  ASSERT_EQ(preview.payments.size(), 1u);
  EXPECT_NE(preview.payments[0].error.find("begins with \"<\", as HTML and XML do"), std::string::npos) << preview.payments[0].error;
}

TEST(Mapping, NamesOfFields) {
  EXPECT_EQ(wire_name("amount"), "amt");
  EXPECT_EQ(wire_name("occurred_at"), "trans_date_trans_time");
  EXPECT_EQ(wire_name("amonut"), "");
  EXPECT_EQ(nearest_fields("amonut").at(0), "amount");
  EXPECT_EQ(nearest_fields("card_num").at(0), "card");
}

namespace {

// All there is to tell of a batch.
std::string told(const PaymentBatch& batch) {
  std::string text;
  for (const Payment& one : batch.payments) text += payment_to_json(one, "card", one.card_number + one.card_token) + "\n";
  for (const RejectedPayment& one : batch.rejected) text += one.reason + " | " + one.payload + " | " + one.transaction_id + " | " + one.card_number + "\n";
  return text + (batch.fault ? batch.fault->what() : "");
}

}  // namespace

// A payment comes out the same by the plan and by way of a text, whatever it holds.
TEST(Mapping, PlanAndTextAgree) {
  Mapping mapping = nested();
  mapping.rules.push_back(rule("currency", {"amount", "ccy"}));
  mapping.rules.push_back(rule("kind", {"type"}));
  mapping.rules.back().values = {{"REF", "\"refund\""}};
  mapping.rules.back().otherwise = "\"payment\"";
  mapping.rules.push_back(rule("reference", {"first"}));
  mapping.rules.push_back(rule("category", {}));
  mapping.rules.back().path.clear();
  mapping.rules.back().constant = "\"misc\"";
  mapping.rules.push_back(rule("attributes.model", {"device", "model"}));
  mapping.rules.push_back(rule("attributes", {"extra"}));
  mapping.rules.push_back(rule("first", {"who", "name", "first"}));
  mapping.rules.push_back(rule("gender", {"who", "gender"}));
  mapping.rules.push_back(rule("street", {"who", "address", "street"}));
  Mapping signs = mapping;
  signs.rules[2].sign = NegativeAmount::kNegativeIsRefund;
  signs.rules[2].decimal = ',';
  const std::vector<std::string> payments = {
      std::string(kNested),
      R"({"id":"t2","at":"2024-10-28T16:58:04Z","amount":{"value":-5,"ccy":"EUR"},"first":"t1","card":{"pan":4497913965512794052},"shop":{"name":"B\u00fc"},)"
      R"("who":{"name":{"first":"Ada","last":"M"},"gender":"F","address":{"street":"","zip":1}},"device":{"model":"X","os":{"v":1}},"extra":{"a":[1],"b":null}})",
      R"({"id":"t3","at":"2024-10-28T16:58:04Z","amount":{"value":"1.234,50"},"type":"REF","first":"t1","card":{"pan":4497913965512794052},"shop":{"name":"B"},"who":{"name":{"first":"A"},"gender":null}})",
      R"({"id":"t4","at":"never","amount":{"value":5},"card":{"pan":4497913965512794052},"shop":{"name":"B"}})",
      R"({"id":"t5","at":"2024-10-28T16:58:04Z","amount":[{"value":5}],"card":{"pan":4497913965512794052},"shop":{"name":"B"}})",
      R"({"id":"t6","at":"2024-10-28T16:58:04Z","amount":{"value":5,"value":6},"card":{"pan":1},"card":{"pan":4497913965512794052,"cvv":"123"},"shop":{"name":"B"}})",
      R"({"id":"t7","at":"2024-10-28T16:58:04Z","amount":{"value":5},"card":{"pan":4497913965512794052},"shop":"B","who":7,"device":{},"extra":{}})",
      R"({"id":"t8","at":"2024-10-28T16:58:04Z","amount":{"value":NaN},"card":{"pan":4497913965512794052},"shop":{"name":"B"}})",
      R"({"id":"t9","at":"2024-10-28T16:58:04Z","amount":{"value":5},"card":{"pan":4497913965512794052},"shop":{"name":"B"},"note":NaN,"extra":[1]})",
      R"({"id":"t10","at":"2024-10-28T16:58:04Z","amount":{"value":5},"card":{"pan":4497913965512794052,"pin":1},"shop":{"name":"B","x":4497913965512794052},"":1,"Unnamed: 0":2,"name":"cvv","value":"1"})",
      R"({"id":"t11","at":"2024-10-28T16:58:04Z","amount":{"value":5},"card":{"pan":4497913965512794052},"shop":{"name":"B"},"deep":[[[[[[[[[[[[[[1]]]]]]]]]]]]]]})",
      R"({"id":"t12","at":"2024-10-28T16:58:04Z","amount":{"value":5},"card":{"pan":4497913965512794052},"shop":{"name":"B"},"deep":[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]})"};
  for (const Mapping* one : {&mapping, &signs}) {
    size_t stored = 0;
    for (const std::string& payment : payments) {
      const PaymentBatch planned = read_payments(payment, PaymentFormat::kAuto, one);
      const PaymentBatch written = read_payments(payment, PaymentFormat::kAuto, one, {}, [](std::string_view, std::string_view) {});
      EXPECT_EQ(told(planned), told(written)) << payment;
      stored += planned.payments.size();
    }
    EXPECT_GE(stored, 6u);
  }
  std::mt19937 random(3);
  const std::string bytes = "{}[]\":,01-. abvalue\\";
  for (int i = 0; i < 3000; ++i) {
    std::string payment = payments[random() % 3];
    for (int edit = 0; edit < 1 + i % 2; ++edit) payment[random() % payment.size()] = bytes[random() % bytes.size()];
    const std::string body = "[" + payment + "," + payments[0] + "]";
    const auto both = [&](const PaymentSeen& seen) {
      try {
        return told(read_payments(body, PaymentFormat::kAuto, i % 2 == 0 ? &mapping : &signs, {}, seen));
      } catch (const Error& error) {
        return std::string(error.what());
      }
    };
    ASSERT_EQ(both({}), both([](std::string_view, std::string_view) {})) << body;
  }
}

// Lists within lists, and what stands beside them.
TEST(Mapping, FieldsAreTakenFromAroundThePayments) {
  Mapping mapping;
  mapping.payments = {{"accounts"}, {"", -1, true}, {"rows"}};
  mapping.payments_path = "$.accounts[*].rows";
  mapping.rules = {rule("cc_num", {"$envelope", "cc_num"}), rule("trans_num", {"id"}), rule("amt", {"amount"}), rule("merchant", {"shop"}),
                   rule("current_time", {"at"}), rule("currency", {"$envelope", "currency"}), rule("city", {"$envelope", "city"})};
  mapping.rules[0].around = {{"accounts"}, {"", -1, true}, {"card"}, {"pan"}};
  mapping.rules[5].around = {{"meta"}, {"currency"}};
  mapping.rules[6].around = {{"accounts"}, {"", -1, true}, {"city"}};
  const std::string row = R"("amount":5,"shop":"S","at":1730134684025})";
  const std::string body = R"({"accounts":[{"card":{"pan":4497913965512794052,"x":1},"rows":[{"id":"a",)" + row + R"(,{"id":"b","kept":1,)" + row +
                           R"(],"city":"Ulm"},{"rows":[],"card":{"pan":1}},{"rows":null},{"card":{"pan":4000000000000002},"rows":[{"id":"c",)" + row + R"(]}],"meta":{"currency":"EUR"}})";
  const auto shown = [&](const PaymentBatch& batch) {
    std::string text;
    for (const Payment& one : batch.payments) text += one.transaction_id + " " + one.last_four + " " + one.currency + " " + one.city + " " + one.attributes + ";";
    return text;
  };
  for (const bool by_text : {false, true}) {
    const PaymentBatch batch = read_payments(body, PaymentFormat::kAuto, &mapping, {}, by_text ? [](std::string_view, std::string_view) {} : PaymentSeen());
    EXPECT_EQ(shown(batch), "a 4052 EUR Ulm ;b 4052 EUR Ulm {\"kept\":1};c 0002 EUR  ;");
    EXPECT_TRUE(batch.rejected.empty());
    EXPECT_FALSE(batch.fault);
  }
  // What is cut off has what stood before it.
  const PaymentBatch cut = read(body.substr(0, body.find("\"kept\"")), mapping);
  EXPECT_EQ(shown(cut), "a 4052   ;");
  EXPECT_EQ(cut.rejected.size(), 1u);
  EXPECT_TRUE(cut.fault);
  const PaymentBatch later = read(body.substr(0, body.find("\"meta\"") - 3), mapping);
  EXPECT_EQ(later.payments.size(), 3u);
  EXPECT_TRUE(later.fault);
  EXPECT_THROW(read(R"({"accounts":{"rows":[]}})", mapping), Error);
  EXPECT_THROW(read(R"({"accounts":[{"rows":5}]})", mapping), Error);
  EXPECT_EQ(read(R"({"accounts":[]})", mapping).payments.size(), 0u);
}

}  // namespace fraud
