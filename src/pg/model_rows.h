// The registry's rows that every statement with a score needs, read by index
// without a plan. Plain Postgres code: may raise.
#pragma once

#include <cstdint>
#include <string_view>

#include "pg/server.h"

namespace fraud::pg {

// The latest promotion of an alias.
struct PromotionRow {
  int32_t version;
  double review_at;
  double block_at;
};

// The head of a version's compiled model: its SHA-256. Shorter when damaged.
struct CompiledHead {
  char bytes[32];
  size_t size;
};

// These read as of the snapshot from the schema fraud, whose oid is given, and
// return false where there is no such row. No right is asked for.
bool read_promotion(Oid schema, std::string_view model, std::string_view alias, Snapshot snapshot,
                    PromotionRow* row);
bool read_compiled_head(Oid schema, std::string_view model, int32_t version, Snapshot snapshot,
                        CompiledHead* head);

}  // namespace fraud::pg
