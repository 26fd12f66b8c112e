#include "pg/server/keyed_hash.h"

#include <cstring>

#include "pg/server/boundary.h"

namespace fraud::pg {

Sha256 hmac_sha256(std::string_view key, std::string_view text) {
  static_assert(PG_SHA256_DIGEST_LENGTH == std::tuple_size<Sha256>::value);
  Sha256 digest;
  protect([&] {
    pg_hmac_ctx* context = pg_hmac_create(PG_SHA256);
    bool done = context != nullptr &&
                pg_hmac_init(context, (const uint8*)key.data(), key.size()) == 0 &&
                pg_hmac_update(context, (const uint8*)text.data(), text.size()) == 0 &&
                pg_hmac_final(context, digest.data(), digest.size()) == 0;
    if (context != nullptr) pg_hmac_free(context);
    if (!done) ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not compute HMAC"),
                        errdetail("The server's OpenSSL failed to compute SHA-256."), errhint("%s", kCryptoHint)));
  });
  return digest;
}

pg_uuid_t keyed_hash(std::string_view key, std::string_view text) {
  const Sha256 digest = hmac_sha256(key, text);
  pg_uuid_t uuid;
  memcpy(uuid.data, digest.data(), UUID_LEN);
  uuid.data[6] = (uuid.data[6] & 0x0f) | 0x80;
  uuid.data[8] = (uuid.data[8] & 0x3f) | 0x80;
  return uuid;
}

}  // namespace fraud::pg
