// Periods of time, which hold their beginning and not their end.
#pragma once

#include "pg/server/server.h"

namespace fraud::pg {

// Throws SqlError where [from, to) holds no moment.
void check_period(TimestampTz from, TimestampTz to);

}  // namespace fraud::pg
