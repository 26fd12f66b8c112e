#include "pg/payments/card.h"

#include "pg/server/boundary.h"

#include <cstring>

namespace fraud::pg {

CardId card_id(const pg_uuid_t& uuid) {
  CardId id;
  memcpy(id.data(), uuid.data, UUID_LEN);
  return id;
}

pg_uuid_t card_uuid(const CardId& id) {
  pg_uuid_t uuid;
  memcpy(uuid.data, id.data(), UUID_LEN);
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
