// Compiled models in memory, by digest: one copy in shared memory for all
// processes where the library is preloaded and there is room, else one of this
// process.
#pragma once

#include "core/forest/flat_model.h"

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "pg/server/server.h"

namespace fraud::pg {

// SHA-256 of a model's compiled bytes. What is found under a digest has it: the
// store checks, so that nobody can put another model in a model's place, and equal
// names in two databases do not meet.
using ModelDigest = std::array<uint8_t, 32>;

ModelDigest digest_of(std::string_view bytes);

// Asks for the shared memory; called by _PG_init, and only while
// shared_preload_libraries are loaded.
void request_model_store();

// Returns the model, or null when it has to be loaded. It stays in memory as long
// as somebody holds it; one that nobody holds stays while there is room.
std::shared_ptr<const FlatModel> find_model(const ModelDigest& digest);

// Checks the bytes and makes them a model that others find, too. Throws Error when
// they are damaged, SqlError when their digest is another.
std::shared_ptr<const FlatModel> add_model(const ModelDigest& digest, std::string_view bytes);

// A copy in shared memory.
struct SharedModel {
  ModelDigest digest;
  size_t bytes;
  int holders;  // processes that use it in a transaction that is under way
  TimestampTz used_at;
};

// Returns the copies in shared memory, of all databases; none without preload.
std::vector<SharedModel> shared_models();

}  // namespace fraud::pg
