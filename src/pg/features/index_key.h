// How the parts of windows' keys go into indexes of users' tables: so that no row of
// theirs is ever too large for an index of ours.
#pragma once

#include <string>

#include "pg/features/feature_expression.h"
#include "pg/server/server.h"

namespace fraud::pg {

// Returns what an index has of an expression of this type: the expression, where its values are
// small (at most 64 bytes); else its hash, by the type's own function; or "" where it has none
// that agrees with its equality. What is read by the hash must be compared, too.
std::string indexed_part(const std::string& sql, Oid type, Oid collation);

// Returns what indexed_part() has made, as Postgres prints it, with its functions qualified again.
std::string qualified_part(std::string printed);

// Tells in words why no index can have an expression, be it as it is or by its hash; "" where one can.
std::string index_obstacle(const FeatureExpression& expression);

}  // namespace fraud::pg
