// What stands in place of an id that may be a card number (docs/security.md).
#pragma once

#include <string>
#include <string_view>

#include "pg/server/keyed_hash.h"
#include "pg/server/spi.h"

namespace fraud::pg {

// Before the hash of an id that was replaced, and how many bytes of it are kept.
constexpr std::string_view kReplacedIdPrefix = "pan_";
constexpr size_t kReplacedIdBytes = 16;

// The key of ids: the oldest of fraud.id_keys, which is never changed, for ids must
// be found again for ever. Wiped when it goes.
class IdKey {
 public:
  explicit IdKey(Spi& spi);  // throws SqlError when there is no key
  ~IdKey() noexcept;
  IdKey(const IdKey&) = delete;
  IdKey& operator=(const IdKey&) = delete;

  // Returns "pan_" and the first 16 bytes of HMAC-SHA256(key, id) in hexadecimal.
  // What is such an id already stays.
  std::string replace(std::string_view id) const;

  // Returns the first 16 bytes of the HMAC of a customer's kind and id, as a UUID (version 8).
  pg_uuid_t customer(std::string_view kind, std::string_view id) const;

 private:
  std::string key_;
};

}  // namespace fraud::pg
