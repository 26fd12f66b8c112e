#include "pg/server/id_key.h"

#include "pg/server/boundary.h"

namespace fraud::pg {

namespace {

Statement oldest_key("SELECT k.key FROM fraud.id_keys k ORDER BY k.created_at, k.key_id LIMIT 1", {});

bool is_replaced(std::string_view id) {
  return id.size() == kReplacedIdPrefix.size() + 2 * kReplacedIdBytes && id.substr(0, kReplacedIdPrefix.size()) == kReplacedIdPrefix &&
         id.find_first_not_of("0123456789abcdef", kReplacedIdPrefix.size()) == std::string_view::npos;
}

}  // namespace

IdKey::IdKey(Spi& spi) {
  if (spi.run(oldest_key, {}) != 1) {
    throw SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "fraud.id_keys holds no key", {},
                   "Restore its row from a backup: without it, ids that were replaced are not found again.");
  }
  Datum key = *spi.datum(0, 1);
  key_ = std::string(protect([&] {
    struct varlena* bytes = PG_DETOAST_DATUM_PACKED(key);
    return std::string_view(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
  }));
}

IdKey::~IdKey() noexcept { explicit_bzero(key_.data(), key_.size()); }

std::string IdKey::replace(std::string_view id) const {
  if (is_replaced(id)) return std::string(id);
  const Sha256 digest = hmac_sha256(key_, id);
  static constexpr char kHex[] = "0123456789abcdef";
  std::string replaced(kReplacedIdPrefix);
  for (size_t i = 0; i < kReplacedIdBytes; ++i) {
    replaced.push_back(kHex[digest[i] >> 4]);
    replaced.push_back(kHex[digest[i] & 15]);
  }
  return replaced;
}

pg_uuid_t IdKey::customer(std::string_view kind, std::string_view id) const {
  std::string text = "customer:";
  text.append(kind).append(":").append(id);
  return keyed_hash(key_, text);
}

}  // namespace fraud::pg
