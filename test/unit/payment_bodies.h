// Bodies of payments, and what is read of them, for the tests.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/payments/payment.h"

namespace fraud {

// The body of the payment API's documentation, word for word.
inline constexpr std::string_view kWireBody =
    R"wire("{\"columns\":[\"cc_num\",\"merchant\",\"category\",\"amt\",\"first\",\"last\",\"gender\",\"street\",\"city\",\"state\",\"zip\",\"lat\",\"long\",\"city_pop\",\"job\",\"dob\",\"trans_num\",\"merch_lat\",\"merch_long\",\"is_fraud\",\"current_time\"],\"index\":[301199],\"data\":[[4497913965512794052,\"fraud_Berge, Kautzer and Harris\",\"personal_care\",60.16,\"Scott\",\"Edwards\",\"M\",\"838 Amy Street Suite 107\",\"Pembroke\",\"NC\",28372,34.6902,-79.1834,14783,\"Hospital doctor\",\"1955-11-07\",\"3cb54a489fb351f73a7db98f6c7bb1ad\",34.38451,-78.621062,0,1730134684025]]}")wire";

inline constexpr std::string_view kCard = "4497913965512794052";
inline constexpr std::string_view kOne = R"({"cc_num":4497913965512794052,"trans_num":"t1","amt":60.16,)"
                                  R"("merchant":"fraud_Berge","current_time":1730134684025})";
inline constexpr std::string_view kTwo = R"({"cc_num":"30263540414123","trans_num":"t2","amt":1,)"
                                  R"("merchant":"Kuhn","unix_time":1371816865})";

// Returns the text as a JSON string.
inline std::string wrap(std::string_view text) { return nlohmann::json(text).dump(); }

// Returns a split layout with these columns and rows, all written as JSON.
inline std::string split(const std::string& columns, const std::string& rows) {
  return "{\"columns\":[" + columns + "],\"index\":[0],\"data\":[" + rows + "]}";
}

// Returns kOne with one member set to `value`, or added, or taken out.
inline std::string with(const std::string& name, const std::string& value) {
  nlohmann::ordered_json payment = nlohmann::ordered_json::parse(kOne);
  payment.erase(name);
  std::string text = payment.dump();
  if (value.empty()) return text;
  text.pop_back();
  return text + ",\"" + name + "\":" + value + "}";
}

// Reads a body that holds one good payment.
inline Payment read_one(std::string_view body) {
  const PaymentBatch batch = read_payments(body);
  EXPECT_EQ(batch.rejected.size(), 0u) << batch.rejected.at(0).reason;
  EXPECT_EQ(batch.payments.size(), 1u);
  return batch.payments.empty() ? Payment() : batch.payments[0];
}

// Reads a body that holds one bad payment.
inline RejectedPayment read_rejected(std::string_view body) {
  const PaymentBatch batch = read_payments(body);
  EXPECT_EQ(batch.payments.size(), 0u) << body;
  EXPECT_EQ(batch.rejected.size(), 1u) << body;
  return batch.rejected.empty() ? RejectedPayment() : batch.rejected[0];
}

inline std::string reason_of(const std::string& name, const std::string& value) {
  return read_rejected(with(name, value)).reason;
}

// Returns the code and the message of the error that a body raises.
inline std::pair<ErrorCode, std::string> error_of(std::string_view body,
                                           PaymentFormat format = PaymentFormat::kAuto) {
  try {
    read_payments(body, format);
  } catch (const Error& error) {
    return {error.code(), error.what()};
  }
  ADD_FAILURE() << "no error for " << body.substr(0, 200);
  return {ErrorCode::kInvalidArgument, ""};
}

inline std::string message_of(std::string_view body, PaymentFormat format = PaymentFormat::kAuto) {
  return error_of(body, format).second;
}

inline void expect_one_and_two(const PaymentBatch& batch) {
  EXPECT_EQ(batch.rejected.size(), 0u);
  ASSERT_EQ(batch.payments.size(), 2u);
  EXPECT_EQ(batch.payments[0].transaction_id, "t1");
  EXPECT_EQ(batch.payments[0].card_number, kCard);
  EXPECT_EQ(batch.payments[1].transaction_id, "t2");
  EXPECT_EQ(batch.payments[1].card_number, "30263540414123");
}

}  // namespace fraud
