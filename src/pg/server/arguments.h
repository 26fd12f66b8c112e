// Arguments of SQL functions.
#pragma once

#include <string>
#include <string_view>

#include "pg/server/boundary.h"
#include "pg/server/server.h"

namespace fraud::pg {

// What must not be null: an error that calls the argument by its name. Functions that act ask for it; STRICT
// would have them do nothing, and say nothing.
inline void need_argument(FunctionCallInfo fcinfo, int index, const char* name) {
  if (PG_ARGISNULL(index)) throw SqlError(ERRCODE_NULL_VALUE_NOT_ALLOWED, std::string(name) + " must not be null");
}

// A text that is not null. Lives as long as the call.
inline std::string_view text_argument(FunctionCallInfo fcinfo, int index) {
  text* value = protect([&] { return PG_GETARG_TEXT_PP(index); });
  return {VARDATA_ANY(value), static_cast<size_t>(VARSIZE_ANY_EXHDR(value))};
}

// The same; a null is an error that calls the argument by its name.
inline std::string text_argument(FunctionCallInfo fcinfo, int index, const char* name) {
  need_argument(fcinfo, index, name);
  return std::string(text_argument(fcinfo, index));
}

}  // namespace fraud::pg
