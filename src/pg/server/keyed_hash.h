// Keyed hashes, by Postgres's own HMAC-SHA256.
#pragma once

#include <array>
#include <string_view>

#include "pg/server/server.h"

namespace fraud::pg {

using Sha256 = std::array<unsigned char, 32>;
Sha256 hmac_sha256(std::string_view key, std::string_view text);

// Returns the first 16 bytes of HMAC-SHA256(key, text) as a UUID of version 8
// (RFC 9562: 122 bits of the maker's own).
pg_uuid_t keyed_hash(std::string_view key, std::string_view text);

}  // namespace fraud::pg
