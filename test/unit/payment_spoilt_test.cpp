// One payment of a body is spoilt, in one field, in any way, in every layout: the others are
// read as before. A body is cut at every byte: what was whole before the cut is read.
#include "payment_bodies.h"

#include <functional>
#include <optional>
#include <random>

#include "core/payments/payment_writer.h"

namespace fraud {
namespace {

constexpr size_t kPayments = 5;

using Fields = std::vector<std::pair<std::string, std::string>>;  // name and JSON

Fields payment_fields(size_t i) {
  const std::string n = std::to_string(i);
  return {{"cc_num", "449791396551279405" + n}, {"merchant", "\"Berge\\u00e9 " + n + "\""},
          {"category", "\"personal \\\"care\\\" {[\""}, {"amt", "60.1" + n}, {"first", "\"Ren\xC3\xA9\""}, {"last", "\"Ed]}\""},
          {"gender", "\"M\""}, {"street", "\"8 Amy, Street\""}, {"city", "\"P\""}, {"state", "\"NC\""}, {"zip", "28372"},
          {"lat", "34.6902"}, {"long", "-79.1834"}, {"city_pop", "14783"}, {"job", "\"\\ud83d\\ude00\""},
          {"dob", "\"1955-11-07\""}, {"trans_num", "\"t" + n + "\""}, {"merch_lat", "34.38451"},
          {"merch_long", "-78.621062"}, {"is_fraud", "0"}, {"current_time", "173013468402" + n}};
}

std::string object(const Fields& fields) {
  std::string text = "{";
  for (const auto& [name, value] : fields) text += (text.size() > 1 ? ",\"" : "\"") + name + "\":" + value;
  return text + "}";
}

std::string row(const Fields& fields) {
  std::string text = "[";
  for (const auto& [name, value] : fields) text += (text.size() > 1 ? "," : "") + value;
  return text + "]";
}

// The same as a JSON string, byte by byte: what is wrong inside stays so.
std::string wrap_raw(const std::string& text) {
  std::string wrapped = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') wrapped += '\\';
    wrapped += c;
  }
  return wrapped + "\"";
}

// A layout: a body of these payments, and where in it each of them ends.
struct Layout {
  const char* name;
  std::function<std::string(const std::vector<Fields>&, std::vector<size_t>*)> write;
};

std::vector<Layout> layouts() {
  const auto split_of = [](const std::vector<Fields>& payments, std::vector<size_t>* ends) {
    std::string columns;
    for (const auto& [name, value] : payments[0]) columns += (columns.empty() ? "\"" : ",\"") + name + "\"";
    std::string text = "{\"columns\":[" + columns + "],\"index\":[1,2],\"data\":[";
    for (const Fields& fields : payments) {
      text += (text.back() == '[' ? "" : ",") + row(fields);
      ends->push_back(text.size());
    }
    return text + "]}";
  };
  const auto records_of = [](const std::vector<Fields>& payments, std::vector<size_t>* ends) {
    std::string text = "[";
    for (const Fields& fields : payments) {
      text += (text.back() == '[' ? "\n" : ",\n") + object(fields);
      ends->push_back(text.size());
    }
    return text + "\n]";
  };
  const auto lines_of = [](const std::vector<Fields>& payments, std::vector<size_t>* ends) {
    std::string text;
    for (const Fields& fields : payments) {
      text += object(fields);
      ends->push_back(text.size());
      text += "\n";
    }
    return text;
  };
  const auto wrapped = [](auto inner) {
    return [inner](const std::vector<Fields>& payments, std::vector<size_t>* ends) {
      std::vector<size_t> inner_ends;
      const std::string text = inner(payments, &inner_ends);
      for (const size_t end : inner_ends) ends->push_back(wrap_raw(text.substr(0, end)).size() - 1);
      return wrap_raw(text);
    };
  };
  return {{"split", split_of}, {"records", records_of}, {"lines", lines_of},
          {"wrapped split", wrapped(split_of)}, {"wrapped records", wrapped(records_of)}, {"wrapped lines", wrapped(lines_of)}};
}

std::string shown(const Payment& payment) {
  return payment_to_json(payment, "cc_num", payment.card_number) + std::to_string(payment.occurred_at_us.value_or(-1));
}

std::vector<Fields> good_payments() {
  std::vector<Fields> payments;
  for (size_t i = 0; i < kPayments; ++i) payments.push_back(payment_fields(i));
  return payments;
}

std::vector<std::string> shown_alone() {
  std::vector<std::string> all;
  for (size_t i = 0; i < kPayments; ++i) all.push_back(shown(read_one(object(payment_fields(i)))));
  return all;
}

TEST(PaymentSpoilt, OneValueHarmsNoOther) {
  const std::vector<std::string> alone = shown_alone();
  const std::vector<std::string> values = {
      "NaN", "nan", "-NaN", "Infinity", "-Infinity", "inf", "1e400", "-1e400", "1e99999999999", "1e-99999", "0e-99999", "\"\\ud800\"", "\"a\\udc00b\"",
      "\"\\ud800\\u0041\"", "\"\\u0000\"", "\"a\xFF\"", "\"\xED\xA0\x80\"", "\"caf\xE9\"", "\"\\x41\"", "\"\\u12\"", "\"tab\there\"",
      std::string("\"nul\0!\"", 7), "[]", "{}", "[1,{\"a\":[2]}]", "true", "007", "0x1F", "1.", ".5", "+1", "--1", "1.2.3", "undefined", "None",
      "True", "'x'", "\xFF", "1_000", "\"\\ud800 4497913965512794052\"", "\"\\u0034497913965512794052\\ud800\""};
  std::mt19937_64 random(7);
  size_t rejected_ones = 0;
  for (const Layout& layout : layouts()) {
    for (const std::string& value : values) {
      for (size_t field = 0; field < payment_fields(0).size(); ++field) {
        std::vector<Fields> payments = good_payments();
        const size_t spoilt = random() % kPayments;
        const std::string name = payments[spoilt][field].first;
        payments[spoilt][field].second = value;
        std::vector<size_t> ends;
        const std::string body = layout.write(payments, &ends);
        const std::string what = std::string(layout.name) + " " + name + " " + value;
        const PaymentBatch batch = read_payments(body);
        EXPECT_FALSE(batch.fault) << what;
        ASSERT_EQ(batch.payments.size() + batch.rejected.size(), kPayments) << what;
        ASSERT_LE(batch.rejected.size(), 1u) << what;
        size_t next = 0;
        for (size_t i = 0; i < kPayments; ++i) {
          if (i == spoilt && !batch.rejected.empty()) continue;
          const std::string read = shown(batch.payments[next++]);
          if (i != spoilt) {
            EXPECT_EQ(read, alone[i]) << what;
          }
        }
        if (batch.rejected.empty()) continue;
        ++rejected_ones;
        const RejectedPayment& rejected = batch.rejected[0];
        EXPECT_NE(rejected.reason.find(name + (name == "cc_num" ? ": " : " is ")), std::string::npos) << what << " " << rejected.reason;
        if (name != "trans_num") {
          EXPECT_EQ(rejected.transaction_id, "t" + std::to_string(spoilt)) << what;
        }
        if (name != "cc_num") {
          EXPECT_EQ(rejected.card_number, "449791396551279405" + std::to_string(spoilt)) << what;
        }
        EXPECT_EQ(rejected.payload.find("44979139655127940"), std::string::npos) << what << rejected.payload;
        EXPECT_EQ(rejected.reason.find("44979139655127940"), std::string::npos) << what << rejected.reason;
        // It is JSON; sent again as it is, it is a fault of the same field; with the value
        // repaired, the payment.
        nlohmann::json again = nlohmann::json::parse(rejected.payload, nullptr, false);
        ASSERT_TRUE(again.is_object()) << rejected.payload;
        again["cc_num"] = nlohmann::json::parse("449791396551279405" + std::to_string(spoilt));
        if (name != "cc_num") {
          EXPECT_EQ(read_rejected(again.dump()).reason.substr(0, name.size()), name) << what;
        }
        again[name] = nlohmann::json::parse(payment_fields(spoilt)[field].second);
        EXPECT_EQ(shown(read_one(again.dump())), alone[spoilt]) << what;
      }
    }
  }
  EXPECT_GT(rejected_ones, 3000u);
}

// As docs/payments.md has it: NaN is how tools write that a number is missing.
TEST(PaymentSpoilt, NanIsAMissingValue) {
  for (const std::string name : {"merch_lat", "lat", "city_pop", "dob", "job", "is_fraud", "zip"}) {
    EXPECT_EQ(shown(read_one(with(name, "NaN"))), shown(read_one(with(name, "null")))) << name;
  }
  EXPECT_EQ(reason_of("amt", "NaN"), "amt is \"NaN\": expected a number from 0 to below 10000000000 with at most two decimals");
  EXPECT_EQ(reason_of("lat", "Infinity"), "lat is \"Infinity\": expected a latitude from -90 to 90");
  EXPECT_EQ(reason_of("merchant", "\"x\\ud800\""), "merchant is \"x\xEF\xBF\xBD\", which is not valid text: expected a name of 1 to 200 characters");
  EXPECT_EQ(reason_of("cc_num", "1e400"), "cc_num: card number must be 8 to 19 digits, not what cannot be read");
  EXPECT_EQ(read_one(with("extra", "[NaN,1e400,\"\\ud800\"]")).transaction_id, "t1");
}

TEST(PaymentSpoilt, ACutBodyKeepsWhatWasWhole) {
  const std::vector<std::string> alone = shown_alone();
  for (const Layout& layout : layouts()) {
    std::vector<size_t> ends;
    const std::string body = layout.write(good_payments(), &ends);
    for (size_t length = 0; length < body.size(); ++length) {
      const size_t whole = static_cast<size_t>(std::count_if(ends.begin(), ends.end(), [&](size_t end) { return end <= length; }));
      PaymentBatch batch;
      try {
        batch = read_payments(std::string_view(body).substr(0, length));
      } catch (const Error& error) {
        ASSERT_EQ(whole, 0u) << layout.name << " " << length << " " << error.what();
        continue;
      }
      ASSERT_EQ(batch.payments.size(), whole) << layout.name << " " << length;
      for (size_t i = 0; i < whole; ++i) EXPECT_EQ(shown(batch.payments[i]), alone[i]);
      ASSERT_LE(batch.rejected.size(), 1u);
      for (const RejectedPayment& rejected : batch.rejected) {
        EXPECT_NE(rejected.reason.find("cut off"), std::string::npos) << rejected.reason;
        EXPECT_EQ(rejected.payload.find("449791396551279"), std::string::npos) << rejected.payload;
      }
    }
  }
}

TEST(PaymentSpoilt, ABreakHarmsNothingBeforeIt) {
  const std::string one(kOne);
  const std::string two(kTwo);
  for (const std::string tail : {",,", "}", "{\"amt\":1}", ",{\"amt\":1]", ",\"x", ",{\"a\" 1", "]]", "] x"}) {
    for (const std::string& body : {"[" + one + "," + two + tail, wrap_raw("[" + one + "," + two + tail)}) {
      const PaymentBatch batch = read_payments(body);
      EXPECT_EQ(batch.payments.size(), 2u) << body;
      EXPECT_EQ(batch.rejected.size(), 1u) << body;
      ASSERT_TRUE(batch.fault) << body;
      EXPECT_EQ(batch.rejected.back().reason, batch.fault->what());
    }
  }
  // A payment with brackets in order is one fault among others.
  const PaymentBatch batch = read_payments("[" + one + R"(,{"cc_num":4497913965512794052,"trans_num":"t3" "amt":1},)" + two + "]");
  EXPECT_EQ(batch.payments.size(), 2u);
  ASSERT_EQ(batch.rejected.size(), 1u);
  EXPECT_EQ(batch.rejected[0].card_number, kCard);
  EXPECT_EQ(batch.rejected[0].transaction_id, "t3");
  EXPECT_FALSE(batch.fault);
}

TEST(PaymentSpoilt, TheLastOfAFieldCounts) {
  EXPECT_EQ(reason_of("amt", "5,\"amt\":null"), "amt is missing or empty: expected a number");
  EXPECT_EQ(read_one(with("amt", "\"x\",\"amt\":5")).amount_minor, 500);
  EXPECT_EQ(read_one(with("lat", "5,\"lat\":null")).latitude, std::nullopt);
}

TEST(PaymentSpoilt, GivesWayWhileItReads) {
  std::string body = "[";
  for (int i = 0; i < 10000; ++i) body += std::string(i > 0 ? "," : "") + std::string(kOne);
  body += "]";
  for (const std::string& text : {body, wrap_raw(body)}) {
    size_t pauses = 0;
    (void)read_payments(text, PaymentFormat::kAuto, [&] { ++pauses; });
    EXPECT_GE(pauses, 10u);
    EXPECT_THROW(read_payments(text, PaymentFormat::kAuto, [&] { throw std::runtime_error("stop"); }), std::runtime_error);
  }
}

TEST(PaymentSpoilt, LayoutsOfOthersAreNamed) {
  const auto names = [](std::string_view body, std::string_view layout) {
    EXPECT_NE(message_of(body).find(layout), std::string::npos) << message_of(body);
  };
  names(R"({"cc_num": {"0": 4000000000000002}, "trans_num": {"0": "i1"}, "amt": {"0": 1.5}})", "orient=\"columns\"");
  names(R"({"0": {"cc_num": 4000000000000002, "trans_num": "i1", "amt": 1.5}})", "orient=\"index\"");
  names(R"([[4000000000000002, "i1", 1.5]])", "orient=\"values\"");
  names(R"({"schema": {"fields": []}, "data": [{"amt": 1}]})", "orient=\"table\"");
}

TEST(PaymentSpoilt, AnEpochOfAnotherUnitIsNamed) {
  const auto looks_like = [](const std::string& time, const std::string& unit) {
    const RejectedPayment rejected = read_rejected(with("current_time", time));
    EXPECT_NE(rejected.reason.find("it looks like " + unit), std::string::npos) << rejected.reason;
    EXPECT_NE(rejected.payload.find(time), std::string::npos) << rejected.payload;
  };
  looks_like("1730134684", "seconds");
  looks_like("1730134684.025", "seconds");
  looks_like("1730134684025000", "microseconds");
  looks_like("1730134684025000123", "nanoseconds");
  std::string body = with("current_time", "");
  body.pop_back();
  EXPECT_NE(read_rejected(body + ",\"unix_time\":1730134684025}").reason.find("it looks like milliseconds"), std::string::npos);
}

TEST(PaymentSpoilt, DigitsThatADoubleHasLeft) {
  for (const std::string number : {"4497913965512794000", "\"4497913965512794000\"", "4.497913965512794e+18"}) {
    EXPECT_NE(reason_of("cc_num", number).find("floating-point number"), std::string::npos) << number;
  }
  for (const std::string number : {"4497913965512794052", "4000000000000002", "4000000000000000"}) {
    EXPECT_EQ(read_one(with("cc_num", number)).card_number, number);
  }
}

TEST(PaymentSpoilt, WhatCannotBeTrue) {
  EXPECT_EQ(reason_of("merchant", "\"   \""), "merchant is \"   \": expected a name of 1 to 200 characters");
  EXPECT_EQ(reason_of("merchant", "\"fraud_ \xC2\xA0\xE3\x80\x80\"").substr(0, 9), "merchant ");
  EXPECT_EQ(reason_of("trans_num", "\"\\t\"").substr(0, 10), "trans_num ");
  EXPECT_EQ(read_one(with("job", "\"  \"")).job, "");
  EXPECT_EQ(reason_of("dob", "\"2050-01-01\""), "dob is \"2050-01-01\": expected a date that is not after the payment");
  EXPECT_EQ(reason_of("dob", "\"2024-10-30\"").substr(0, 4), "dob ");
  EXPECT_TRUE(read_one(with("dob", "\"2024-10-28\"")).date_of_birth);
}

}  // namespace
}  // namespace fraud
