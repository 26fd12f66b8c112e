#include "pg/payments/card.h"

#include "pg/server/boundary.h"

#include <cctype>
#include <fstream>
#include <iterator>

#include "pg/server/gucs.h"

namespace fraud::pg {

namespace {

constexpr size_t kMinKeyBytes = 32;
constexpr size_t kMaxKeyBytes = 4096;

Statement oldest_key("SELECT k.key FROM fraud.card_keys k ORDER BY k.created_at, k.key_id LIMIT 1", {});

// Reads the key file; white space at its end is not part of the key.
std::string read_key_file(const char* path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    throw SqlError(ERRCODE_CONFIG_FILE_ERROR,
                   "could not read the card key file \"" + std::string(path) + "\"", {},
                   "The setting fraud_detect.card_key_file names it; the server must be able to read it.");
  }
  std::string key;
  key.reserve(kMaxKeyBytes + 1);
  for (char c; key.size() <= kMaxKeyBytes && file.get(c);) key.push_back(c);
  while (!key.empty() && std::isspace(static_cast<unsigned char>(key.back()))) key.pop_back();
  if (key.size() < kMinKeyBytes || key.size() > kMaxKeyBytes) {
    throw SqlError(ERRCODE_CONFIG_FILE_ERROR,
                   "the card key file \"" + std::string(path) + "\" has " +
                       std::to_string(key.size()) + " bytes",
                   "A key has 32 to 4096 bytes.");
  }
  return key;
}

}  // namespace

CardKey::CardKey(Spi& spi) {
  if (guc_card_key_file != nullptr && *guc_card_key_file != '\0') {
    key_ = read_key_file(guc_card_key_file);
    return;
  }
  if (spi.run(oldest_key, {}) != 1) {
    throw SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "fraud.card_keys holds no key", {},
                   "Restore its row from a backup: without it, cards known so far are not recognised.");
  }
  Datum key = *spi.datum(0, 1);
  key_ = std::string(
      protect([&] { return std::string_view(VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key)); }));
}

CardKey::~CardKey() noexcept { explicit_bzero(key_.data(), key_.size()); }

pg_uuid_t CardKey::card(std::string_view digits) const {
  uint8 digest[PG_SHA256_DIGEST_LENGTH];
  protect([&] {
    pg_hmac_ctx* context = pg_hmac_create(PG_SHA256);
    bool done = context != nullptr &&
                pg_hmac_init(context, (const uint8*)key_.data(), key_.size()) == 0 &&
                pg_hmac_update(context, (const uint8*)digits.data(), digits.size()) == 0 &&
                pg_hmac_final(context, digest, sizeof(digest)) == 0;
    if (context != nullptr) pg_hmac_free(context);
    if (!done) ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not compute HMAC")));
  });
  pg_uuid_t uuid;
  memcpy(uuid.data, digest, UUID_LEN);
  uuid.data[6] = (uuid.data[6] & 0x0f) | 0x80;
  uuid.data[8] = (uuid.data[8] & 0x3f) | 0x80;
  return uuid;
}

pg_uuid_t parse_uuid(const std::string& text) {
  const char* input = text.c_str();
  return protect([&] {
    return *DatumGetUUIDP(DirectFunctionCall1(uuid_in, CStringGetDatum(input)));
  });
}

std::string format_uuid(const pg_uuid_t& uuid) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string text;
  text.reserve(36);
  for (int i = 0; i < UUID_LEN; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text.push_back('-');
    text.push_back(kHex[uuid.data[i] >> 4]);
    text.push_back(kHex[uuid.data[i] & 15]);
  }
  return text;
}

}  // namespace fraud::pg
