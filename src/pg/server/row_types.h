// What is asked of row types. Plain Postgres code: may raise.
#pragma once

#include "pg/server/server.h"

namespace fraud::pg {

// Tells whether rows of this type are payments of ours, which carry their vector.
bool is_transactions_type(Oid type);

// Returns the place of the column in a descriptor, or -1.
int attribute_named(TupleDesc descriptor, const char* name, size_t length);

}  // namespace fraud::pg
