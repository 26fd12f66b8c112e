#include "pg/payments/merchant_queue.h"

namespace fraud::pg {

namespace {

Statement queued_merchants(
    "WITH taken AS (DELETE FROM fraud.merchant_queue q USING (SELECT m.merchant_id FROM fraud.merchant_queue m"
    "   ORDER BY m.merchant_id LIMIT $1 FOR UPDATE SKIP LOCKED) d WHERE q.merchant_id = d.merchant_id"
    "  RETURNING q.merchant, q.category, q.first_payment_at)"
    " INSERT INTO fraud.merchants (merchant, category, first_payment_at)"
    " SELECT DISTINCT ON (t.merchant) t.merchant, t.category, t.first_payment_at FROM taken t"
    " ORDER BY t.merchant, t.first_payment_at ON CONFLICT DO NOTHING",
    {INT4OID});
Statement waiting_merchants("SELECT m.merchant_id FROM fraud.merchant_queue m WHERE m.merchant_id > $2"
                            " ORDER BY m.merchant_id LIMIT $1",
                            {INT4OID, INT8OID});
Statement forget_queued("DELETE FROM fraud.merchant_queue q WHERE q.merchant_id = $1", {INT8OID});
Statement queued_merchant(
    "WITH taken AS (DELETE FROM fraud.merchant_queue q WHERE q.merchant_id = $1"
    "  RETURNING q.merchant, q.category, q.first_payment_at)"
    " INSERT INTO fraud.merchants (merchant, category, first_payment_at)"
    " SELECT t.merchant, t.category, t.first_payment_at FROM taken t ON CONFLICT DO NOTHING",
    {INT8OID});

}  // namespace

void make_merchants(Spi& spi, int most) { spi.run(queued_merchants, {int4_param(most)}); }

void make_merchant(Spi& spi, int64_t id) { spi.run(queued_merchant, {int8_param(id)}); }

void forget_merchant(Spi& spi, int64_t id) { spi.run(forget_queued, {int8_param(id)}); }

std::vector<int64_t> merchants_to_make(Spi& spi, int64_t after, int most) {
  const uint64_t count = spi.run(waiting_merchants, {int4_param(most), int8_param(after)});
  std::vector<int64_t> ids;
  for (uint64_t row = 0; row < count; ++row) ids.push_back(*spi.integer(row, 1));
  return ids;
}

}  // namespace fraud::pg
