// Functions of ours, found without a right on their schema.
#pragma once

#include "pg/server/server.h"

namespace fraud::pg {

// Returns the function of the schema fraud with these arguments, or InvalidOid. Whoever plans a query may have no right to that
// schema, which a look-up by name asks for; whether he may call the function is for the caller to ask. Runs as part of Postgres.
Oid our_function(const char* name, const Oid* types, int count);

}  // namespace fraud::pg
