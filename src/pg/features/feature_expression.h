// SQL expressions over an events table, as users write them, checked and brought
// into a form that does not depend on search_path.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pg/server/server.h"

namespace fraud::pg {

struct FeatureExpression {
  std::string text;  // as Postgres prints it, every name outside of pg_catalog qualified
  Oid type = InvalidOid;       // of a domain: its base type
  Oid collation = InvalidOid;
  bool is_immutable = false;         // as an index wants it
  bool may_fail = true;              // for some values; false: certainly for none
  std::vector<std::string> columns;  // of the relation, that it uses
};

// Parses a comma-separated list of expressions over the relation's row, with the
// caller's search_path. `what` names the argument in errors. Refused: subqueries,
// aggregates, window and set-returning functions, volatile functions, the clock,
// system columns, and whatever is not an expression.
std::vector<FeatureExpression> parse_expressions(Oid relation, const char* what,
                                                 std::string_view text);

// The same for exactly one expression.
FeatureExpression parse_expression(Oid relation, const char* what, std::string_view text);

// What Postgres says of an expression of ours takes it for an index's: this says what it is, as in "expressions" and "an expression".
std::string in_our_words(std::string message, std::string_view many, std::string_view one);

// The target list of a parsed "SELECT list" that is nothing more than expressions, or null.
List* plain_target_list(List* parsed);

// Numbers and booleans: what becomes a float8.
bool is_numeric_type(Oid type);
// Returns the expression as a float8, or as a numeric, which EventReader converts
// faster than Postgres does; a boolean becomes 0 or 1.
std::string as_number(const FeatureExpression& expression);

// Tells whether two values of the type that are equal are also the same bytes.
bool equality_is_image(Oid type, Oid collation);

}  // namespace fraud::pg
