// Ids of payments as they are stored: one that holds what may be a card number is
// replaced by a keyed hash of it, so that other ids stay others and the same id the
// same (docs/security.md).
#pragma once

#include "core/payments/payment.h"

#include "pg/server/id_key.h"
#include "pg/server/spi.h"

namespace fraud::pg {

// Replaces the ids of the batch that hold card numbers, in the payloads of rejected
// payments too. The key is read only where there is one, which is rare.
void hide_ids(Spi& spi, PaymentBatch& batch);

}  // namespace fraud::pg
