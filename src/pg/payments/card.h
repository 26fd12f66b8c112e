// Card numbers end here: what goes on is `card`, a keyed hash.
#pragma once

#include <string>
#include <string_view>

#include "pg/server/server.h"
#include "pg/server/spi.h"

namespace fraud::pg {

// The key in force: of the file that fraud_detect.card_key_file names, else the
// oldest in fraud.card_keys. Wiped when it goes.
class CardKey {
 public:
  explicit CardKey(Spi& spi);  // throws SqlError when there is no usable key
  ~CardKey() noexcept;
  CardKey(const CardKey&) = delete;
  CardKey& operator=(const CardKey&) = delete;

  // Returns the first 16 bytes of HMAC-SHA256(key, digits) as a UUID of version
  // 8 (RFC 9562: 122 bits of the maker's own).
  pg_uuid_t card(std::string_view digits) const;

 private:
  std::string key_;
};

// Parses a UUID's text; throws SqlError when it is none.
pg_uuid_t parse_uuid(const std::string& text);

// Formats a UUID as text.
std::string format_uuid(const pg_uuid_t& uuid);

}  // namespace fraud::pg
