// Ids of payments as they are stored: one that holds what may be a card number is
// replaced by a keyed hash of it, so that other ids stay others and the same id the
// same (docs/security.md).
#pragma once

#include "core/payments/payment.h"

#include <string>
#include <string_view>

#include "pg/server/spi.h"

namespace fraud::pg {

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

// Replaces the ids of the batch that hold card numbers, in the payloads of rejected
// payments too. The key is read only where there is one, which is rare.
void hide_ids(Spi& spi, PaymentBatch& batch);

}  // namespace fraud::pg
