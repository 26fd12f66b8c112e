#include "pg/features/feature_arguments.h"

#include <algorithm>

#include "core/payments/mask.h"
#include "pg/features/feature_set.h"
#include "pg/server/boundary.h"

namespace fraud::pg {

std::optional<std::string> optional_text(FunctionCallInfo fcinfo, int index) {
  if (PG_ARGISNULL(index)) return std::nullopt;
  return text_argument(fcinfo, index, "");
}

SqlValue text_or_null(const std::optional<std::string>& value) {
  return value ? text_param(*value) : null_param();
}

SqlValue text_array(const std::vector<std::string>& values) {
  Column column(TEXTOID);
  for (const std::string& value : values) column.add(text_param(value));
  return column.array();
}

int64_t interval_argument(FunctionCallInfo fcinfo, int index, const char* name) {
  need_argument(fcinfo, index, name);
  return interval_microseconds(*PG_GETARG_INTERVAL_P(index), name);
}

bool name_is_sound(std::string_view name, std::string_view more) {
  return !name.empty() && name.size() <= 63 && std::all_of(name.begin(), name.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           more.find(c) != std::string_view::npos;
  });
}

void check_feature_name(const std::string& name) {
  if (holds_card_number(name)) {
    throw SqlError(ERRCODE_INVALID_NAME, "the name of a feature must not hold a card number");
  }
  if (!name_is_sound(name, "") || (name[0] >= '0' && name[0] <= '9')) {
    throw SqlError(ERRCODE_INVALID_NAME, "invalid feature name \"" + name + "\"", {},
                   "A name is 1 to 63 letters, digits and underscores, and begins with none of the digits.");
  }
  if (name == "event_id" || name == "event_time" || name == "label") {
    throw SqlError(ERRCODE_RESERVED_NAME, "feature name \"" + name + "\" is reserved", {},
                   "fraud.materialize_features has columns of that name.");
  }
}

std::string type_name(Oid type) {
  const char* name = protect([&] { return format_type_be(type); });
  return name;
}

void check_time(const FeatureExpression& expression, const char* what) {
  if (expression.type == TIMESTAMPTZOID || expression.type == TIMESTAMPOID) return;
  throw SqlError(ERRCODE_DATATYPE_MISMATCH,
                 std::string(what) + " must be a timestamp with or without time zone, not " +
                     type_name(expression.type),
                 {}, "For seconds since 1970 write to_timestamp(…).");
}

void check_number(const FeatureExpression& expression, const std::string& what) {
  if (is_numeric_type(expression.type)) return;
  throw SqlError(ERRCODE_DATATYPE_MISMATCH,
                 what + " must be a number or a boolean, not " + type_name(expression.type), {},
                 "For times and intervals write extract(epoch FROM …).");
}

// What orders events and what keys compare must do so in every index alike.
void check_ordered(const FeatureExpression& expression, const char* what) {
  Oid type = expression.type;
  if (!OidIsValid(protect([&] { return lookup_type_cache(type, TYPECACHE_CMP_PROC)->cmp_proc; }))) {
    throw SqlError(ERRCODE_DATATYPE_MISMATCH,
                   std::string(what) + " must be of a type with an order, not " + type_name(type));
  }
}

}  // namespace fraud::pg
