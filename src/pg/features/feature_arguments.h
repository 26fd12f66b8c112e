// The arguments of the functions that declare features, and what is asked of names and expressions.
// All throw SqlError.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pg/features/feature_expression.h"
#include "pg/server/arguments.h"
#include "pg/server/spi.h"

namespace fraud::pg {

std::optional<std::string> optional_text(FunctionCallInfo fcinfo, int index);
SqlValue text_or_null(const std::optional<std::string>& value);
SqlValue text_array(const std::vector<std::string>& values);
int64_t interval_argument(FunctionCallInfo fcinfo, int index, const char* name);
// 1 to 63 letters, digits, underscores and what `more` has.
bool name_is_sound(std::string_view name, std::string_view more);
void check_feature_name(const std::string& name);
std::string type_name(Oid type);
void check_time(const FeatureExpression& expression, const char* what);
void check_number(const FeatureExpression& expression, const std::string& what);
// What orders events and what keys compare must do so in every index alike.
void check_ordered(const FeatureExpression& expression, const char* what);

}  // namespace fraud::pg
