// The registry's rows that every statement with a score needs, read by index
// without a plan. Plain Postgres code: may raise.
#pragma once

#include <cstdint>
#include <string_view>

#include "pg/server/server.h"

namespace fraud::pg {

// The latest promotion of an alias.
struct PromotionRow {
  int32_t version;
  double review_at;
  double block_at;
};

// A version, but for its bytes.
struct VersionRow {
  bool gives_probability;
  char digest[32];     // SHA-256 of the compiled model
  size_t digest_size;  // less when it is damaged
};

// These read as of the snapshot from the schema fraud, whose oid is given, and
// return false where there is no such row. No right is asked for.
bool read_promotion(Oid schema, std::string_view model, std::string_view alias, Snapshot snapshot,
                    PromotionRow* row);
bool read_version(Oid schema, std::string_view model, int32_t version, Snapshot snapshot,
                  VersionRow* row);

// An alias whose name begins with "challenger", and the version that it names.
struct ChallengerRow {
  const char* alias;
  int32_t version;
};

// Gives the challengers of a model, by alias, in palloc'd memory; returns how many.
int read_challengers(Oid schema, std::string_view model, Snapshot snapshot, ChallengerRow** rows);

// Gives each feature its place in the stored vectors of the events of a set, from 0; -1 for what
// is no feature of it.
void read_stored_places(Oid schema, std::string_view set, const std::string_view* features, size_t count, Snapshot snapshot,
                        int* places);

}  // namespace fraud::pg
