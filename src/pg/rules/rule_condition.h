// Conditions of rules: SQL expressions over the row of what is known of a payment, or of an event of a stream.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pg/features/feature_set.h"
#include "pg/server/server.h"

namespace fraud::pg {

constexpr std::string_view kPayments = "payments";  // the stream of payments, which has no feature set of a user's

// A column of the row that conditions see (fraud._rule_row; of a stream event_row()).
struct RuleColumn {
  // Of a stream: where its value is.
  enum class From { kElsewhere, kTable, kFeature, kScore, kDecision, kTime };
  std::string name;
  From from = From::kElsewhere;
  size_t place = 0;  // attribute of the table, from 0, or of the feature in the vector
  Oid type = InvalidOid;
  int32_t modifier = -1;
  Oid collation = InvalidOid;
};

// The row, as Postgres takes it apart: what a condition's Vars mean.
struct RuleRow {
  Query* query = nullptr;  // in the memory context of whoever made it
  std::vector<RuleColumn> columns;
  std::shared_ptr<const FeatureSet> set;  // of a stream
};

// Reads what the row of payments is now. `read_only`: with the active snapshot.
RuleRow payment_row(bool read_only);

// The row of events of a stream: score, decision, event_time, the columns of its table (column_NAME where one of the former is
// so called), its features (feature_NAME where any of these is).
RuleRow event_row(const FeatureSet& set);

// Either of them by the stream's name. Throws SqlError where there is no such stream, or where the current user may not read
// all rows of its table: conditions show what they see.
RuleRow row_of_stream(std::string_view stream, bool read_only);

// Whether the role may read all rows of the set's events.
bool may_see(const FeatureSet& set, Oid role);

struct Condition {
  std::string text;  // as Postgres prints it, every name outside of pg_catalog qualified
  std::vector<std::string> columns, lists;
  std::vector<std::string> features;  // of `columns`, those that are features of a stream, by their own names
  bool plain = true;  // it runs no code but Postgres's and fraud.in_list (foreign_code.h)
  std::vector<std::string> foreign;  // those that it has, in alphabetic order
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

// The features of a stream that an expression over the row names, in alphabetic order.
std::vector<std::string> features_named(const RuleRow& row, const Bitmapset* columns);

// The condition as it is printed where lists are asked as of the column occurred_at, or event_time.
// `plain`: refused where it is not.
std::string condition_as_of(const RuleRow& row, std::string_view text, bool plain);

// What a printed condition has of functions and types that are not Postgres's, as the current user reads it. Where that is not
// what it was, whoever may alter a column's type, or make a cast of it, could have his functions run.
std::vector<std::string> foreign_in(const RuleRow& row, const char* text);

}  // namespace fraud::pg
