// What stands for a card number: `card`, the customer's id, and keyed hashes.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "pg/server/keyed_hash.h"
#include "pg/server/server.h"

namespace fraud::pg {

using CardId = std::array<unsigned char, UUID_LEN>;
CardId card_id(const pg_uuid_t& uuid);
pg_uuid_t card_uuid(const CardId& id);

// Parses a UUID's text; throws SqlError when it is none.
pg_uuid_t parse_uuid(const std::string& text);

// Formats a UUID as text.
std::string format_uuid(const pg_uuid_t& uuid);

}  // namespace fraud::pg
