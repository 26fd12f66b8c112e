// What differs between Postgres's versions, as compat.h has it, in the names of its functions' object ids.
#pragma once

#include "pg/server/server.h"

extern "C" {
#include "utils/fmgroids.h"
}

namespace fraud::pg {

// 18 has one for bytea beside that of text.
#if PG_VERSION_NUM >= 180000
constexpr Oid kReverseText = F_REVERSE_TEXT;
#else
constexpr Oid kReverseText = F_REVERSE;
#endif

}  // namespace fraud::pg
