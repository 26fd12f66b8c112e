// Conditions of rules: SQL expressions over the row of what is known of a payment.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pg/server/server.h"

namespace fraud::pg {

// A column of the row that conditions see (fraud._rule_row).
struct RuleColumn {
  std::string name;
  Oid type = InvalidOid;
  int32_t modifier = -1;
  Oid collation = InvalidOid;
};

// The row, as Postgres takes it apart: what a condition's Vars mean.
struct RuleRow {
  Query* query = nullptr;  // in the memory context of whoever made it
  std::vector<RuleColumn> columns;
};

// Reads what the row is now. `read_only`: with the active snapshot.
RuleRow read_rule_row(bool read_only);

struct Condition {
  std::string text;  // as Postgres prints it, every name outside of pg_catalog qualified
  std::vector<std::string> columns, lists;
  bool plain = true;  // no functions but Postgres's and fraud.in_list, no types but Postgres's
};

// Parses a condition with the current user's search_path. Refused: what is not one boolean expression, subqueries,
// aggregates, window and set-returning functions, volatile functions, the clock, lists that are not named by a constant.
// Throws SqlError that begins with what was wrong with it.
Condition parse_condition(const RuleRow& row, std::string_view text);

// Refuses a condition that is too large, or that takes longer to prepare than fraud_detect.rule_timeout: what has only
// constants in it is evaluated then. As the current user.
void check_cost(const RuleRow& row, const Condition& condition);

// The same as an expression tree over columns of the row (varno 1), planned by nobody yet; plain Postgres code, for protect().
::Node* condition_tree(const RuleRow& row, const char* text);

// The condition as it is printed where lists are asked as of the column occurred_at.
std::string condition_as_of(const RuleRow& row, std::string_view text);

}  // namespace fraud::pg
