// From numeric to float8 without the way through text.
#pragma once

#include "pg/server/server.h"

namespace fraud::pg {

// Returns the nearest float8 (±infinity beyond the largest), as numeric_float8 does.
// Up to 15 digits it takes nanoseconds. May raise as a Postgres function does.
double numeric_value(Datum numeric);

}  // namespace fraud::pg
