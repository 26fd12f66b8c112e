// The fields of payments that src/sql/21_payment_fields.sql shows as columns: a value of the
// attributes, found by a path, in a type. What does not fit the type is null, never an error:
// no feed can bring a payment down by it.
#include "core/network/ip_address.h"
#include "core/payments/field_values.h"

#include <algorithm>
#include <cctype>
#include <string>

#include "pg/payments/payment_store.h"
#include "pg/server/boundary.h"

extern "C" {
#include "utils/jsonpath.h"
#include "utils/numeric.h"
}

using namespace fraud;
using namespace fraud::pg;

namespace {

// An index has room for no more, beside time and id.
constexpr size_t kMostTextBytes = 2000;
constexpr size_t kMostNumberBytes = 1000;

// A scalar of the attributes: as text, and as a number where it is one.
struct Scalar {
  jbvType type = jbvNull;
  std::string text;
  Numeric number = nullptr;
  bool flag = false;
};

// Returns what stands at the path; null of containers, and where there is nothing.
Scalar scalar_at(FunctionCallInfo fcinfo) {
  Scalar scalar;
  Datum found = 0;
  const auto query = [&] {
    LOCAL_FCINFO(call, 4);
    static const char kNoVariables[] = "{}";
    InitFunctionCallInfoData(*call, nullptr, 4, InvalidOid, nullptr, nullptr);
    call->args[0] = fcinfo->args[0];
    call->args[1] = fcinfo->args[1];
    call->args[2] = {DirectFunctionCall1(jsonb_in, CStringGetDatum(kNoVariables)), false};
    call->args[3] = {BoolGetDatum(true), false};  // faults of the path are none
    found = jsonb_path_query_first(call);
    return !call->isnull;
  };
  try {
    if (!protect(query)) return scalar;
  } catch (const PgError& error) {
    // Of times with and without a zone Postgres throws even so.
    const int category = ERRCODE_TO_CATEGORY(error.data()->sqlerrcode);
    if (category == ERRCODE_OPERATOR_INTERVENTION || category == ERRCODE_INSUFFICIENT_RESOURCES) throw;
    protect([&] { FreeErrorData(error.data()); });
    return scalar;
  }
  JsonbValue value;
  if (!protect([&] { return JsonbExtractScalar(&DatumGetJsonbP(found)->root, &value); })) return scalar;
  scalar.type = value.type;
  switch (value.type) {
    case jbvString:
      scalar.text.assign(value.val.string.val, static_cast<size_t>(value.val.string.len));
      break;
    case jbvNumeric:
      scalar.number = value.val.numeric;
      scalar.text = protect([&] {
        return std::string_view(DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value.val.numeric))));
      });
      break;
    case jbvBool:
      scalar.flag = value.val.boolean;
      scalar.text = value.val.boolean ? "true" : "false";
      break;
    default:
      scalar.type = jbvNull;
  }
  return scalar;
}

// Returns the value as a number, also where it is a text that is one; nullptr where it is none.
Numeric number_of(const Scalar& scalar) {
  if (scalar.text.size() > kMostNumberBytes) return nullptr;
  if (scalar.number != nullptr || scalar.type != jbvString) return scalar.number;
  // What Postgres reads without an error: digits, at most one point, no exponent.
  constexpr size_t kMostDigits = 100;
  const std::string& text = scalar.text;
  const size_t sign = !text.empty() && (text[0] == '-' || text[0] == '+') ? 1 : 0;
  const auto digits = std::count_if(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  const auto points = std::count(text.begin(), text.end(), '.');
  if (digits == 0 || points > 1 || text.size() > kMostDigits || static_cast<size_t>(digits + points) + sign != text.size()) return nullptr;
  const char* input = text.c_str();
  return protect([&] {
    return DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(input), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
  });
}

// Tells whether |number| is below 10 to the power of 300, or whole and within a bigint.
bool is_within(Numeric number, const char* least, const char* most) {
  return protect([&] {
    auto bound = [](const char* text) {
      return DirectFunctionCall3(numeric_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
    };
    return DatumGetBool(DirectFunctionCall2(numeric_ge, NumericGetDatum(number), bound(least))) &&
           DatumGetBool(DirectFunctionCall2(numeric_le, NumericGetDatum(number), bound(most)));
  });
}

Datum null_of(FunctionCallInfo fcinfo) {
  fcinfo->isnull = true;
  return (Datum)0;
}

}  // namespace

FRAUD_FUNCTION(attribute_text) {
  const Scalar scalar = scalar_at(fcinfo);
  return scalar.type == jbvNull || scalar.text.size() > kMostTextBytes ? null_of(fcinfo) : text_param(scalar.text).value;
}

FRAUD_FUNCTION(attribute_numeric) {
  Numeric number = number_of(scalar_at(fcinfo));
  return number == nullptr ? null_of(fcinfo) : NumericGetDatum(number);
}

FRAUD_FUNCTION(attribute_float8) {
  Numeric number = number_of(scalar_at(fcinfo));
  if (number == nullptr || !is_within(number, "-1e300", "1e300")) return null_of(fcinfo);
  const std::string text = protect([&] {
    return std::string_view(DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(number))));
  }).data();
  // Below what a double holds it is nothing.
  const std::optional<double> value = parse_within(text, 1e300);
  return Float8GetDatum(value.value_or(0));
}

FRAUD_FUNCTION(attribute_bigint) {
  Numeric number = number_of(scalar_at(fcinfo));
  if (number == nullptr || !is_within(number, "-9223372036854775808", "9223372036854775807")) return null_of(fcinfo);
  return protect([&] {
    Datum whole = DirectFunctionCall2(numeric_trunc, NumericGetDatum(number), Int32GetDatum(0));
    if (!DatumGetBool(DirectFunctionCall2(numeric_eq, whole, NumericGetDatum(number)))) return null_of(fcinfo);
    return DirectFunctionCall1(numeric_int8, whole);
  });
}

FRAUD_FUNCTION(attribute_boolean) {
  const Scalar scalar = scalar_at(fcinfo);
  if (scalar.type == jbvBool) return BoolGetDatum(scalar.flag);
  std::string text = scalar.text;
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  for (const char* yes : {"true", "t", "yes", "y", "1"}) {
    if (text == yes) return BoolGetDatum(true);
  }
  for (const char* no : {"false", "f", "no", "n", "0"}) {
    if (text == no) return BoolGetDatum(false);
  }
  return null_of(fcinfo);
}

FRAUD_FUNCTION(attribute_timestamptz) {
  const Scalar scalar = scalar_at(fcinfo);
  if (scalar.type == jbvNull || scalar.type == jbvBool) return null_of(fcinfo);
  std::optional<int64_t> time = parse_time_text(scalar.text);
  if (!time) time = epoch_unit(scalar.text) == "milliseconds" ? parse_time_ms(scalar.text) : std::nullopt;
  if (!time && epoch_unit(scalar.text) == "seconds") time = parse_time_seconds(scalar.text);
  return time ? TimestampTzGetDatum(postgres_time(*time)) : null_of(fcinfo);
}

FRAUD_FUNCTION(attribute_inet) {
  const Scalar scalar = scalar_at(fcinfo);
  const std::optional<IpAddress> address = scalar.type == jbvString ? parse_ip(scalar.text) : std::nullopt;
  if (!address) return null_of(fcinfo);
  const std::string text = format_ip(*address);
  const char* input = text.c_str();
  return protect([&] { return DirectFunctionCall1(inet_in, CStringGetDatum(input)); });
}
