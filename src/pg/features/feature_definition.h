// Feature sets and features as they are being declared: rows of fraud.feature_sets and fraud.feature_definitions.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "pg/features/feature_expression.h"
#include "pg/server/spi.h"

namespace fraud::pg {

// A set that the caller changes: its row is locked and has a new revision.
struct OpenSet {
  Oid relation;
  bool create_indexes;
  bool has_label;
  bool builtin;
};

// Locks the set until the end of the transaction; fails where the caller is not its owner.
OpenSet open_set(const std::string& name, const char* function);

// What one row of fraud.feature_definitions takes.
struct Definition {
  std::string set, feature, kind = "number";
  std::optional<std::string> expression, aggregate, filter, description, reason;
  std::vector<std::string> value, key, columns;
  SqlValue window = null_param(), delay = null_param(), include_current = null_param();
};

// Fails where the set has a feature of that name, or as many as it can have.
void insert_definition(const Definition& definition);

}  // namespace fraud::pg
