#include "pg/payments/content_hash.h"

#include "core/payments/currency.h"

#include "pg/server/server.h"

extern "C" {
#include "port/pg_crc32c.h"
}

namespace fraud::pg {

namespace {

uint32_t crc(const void* bytes, size_t size) {
  pg_crc32c sum;
  INIT_CRC32C(sum);
  COMP_CRC32C(sum, bytes, size);
  FIN_CRC32C(sum);
  return sum;
}

}  // namespace

int64_t content_hash(const Payment& payment) {
  const auto cents = static_cast<uint64_t>(payment.amount_minor);
  unsigned char amount[8];
  for (int i = 0; i < 8; ++i) amount[i] = static_cast<unsigned char>(cents >> (8 * i));
  uint32_t sum = crc(amount, sizeof(amount));
  const std::string_view currency = currency_of(payment);
  if (currency != base_currency()) sum ^= crc(currency.data(), currency.size());
  if (is_follow_up(payment.kind)) {
    const std::string_view kind = payment_kind_name(payment.kind);
    sum ^= crc(kind.data(), kind.size());
  }
  return static_cast<int64_t>(uint64_t{sum} << 32 | crc(payment.merchant.data(), payment.merchant.size()));
}

std::string differs_reason(int64_t known, int64_t content) {
  const auto other = static_cast<uint64_t>(known) ^ static_cast<uint64_t>(content);
  const bool amount = other >> 32 != 0;
  const bool merchant = (other & 0xffffffff) != 0;
  return std::string("the payment differs from the stored payment of this id: it has another ") +
         (amount && merchant ? "amount and merchant" : amount ? "amount" : "merchant");
}

}  // namespace fraud::pg
