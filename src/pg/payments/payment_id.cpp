#include "pg/payments/payment_id.h"

#include "core/payments/mask.h"

#include <algorithm>
#include <optional>

#include "pg/payments/card.h"
#include "pg/payments/number_gate.h"
#include "pg/server/boundary.h"
#include "pg/server/gucs.h"
#include "pg/server/owner_scope.h"

namespace fraud::pg {

void hide_ids(Spi& spi, PaymentBatch& batch) {
  std::optional<IdKey> key;
  auto hide = [&](std::string& id, bool& holds_card) {
    if (!holds_card) return false;
    if (!key) key.emplace(spi);
    id = key->replace(id);
    holds_card = false;
    return true;
  };
  for (Payment& payment : batch.payments) {
    hide(payment.transaction_id, payment.id_holds_card);
    bool reference_holds_card = !payment.reference.empty() && id_holds_card_number(payment.reference, payment.card_number);
    hide(payment.reference, reference_holds_card);
  }
  for (RejectedPayment& rejected : batch.rejected) {
    if (!hide(rejected.transaction_id, rejected.id_holds_card) || rejected.id_size == 0) continue;
    // Mended and sent again it is the payment of this id.
    rejected.payload.replace(rejected.id_at, rejected.id_size, '"' + rejected.transaction_id + '"');
    rejected.id_size = 0;
  }
}

}  // namespace fraud::pg

using namespace fraud;
using namespace fraud::pg;

namespace {

// That a payment of such an id is there tells that the card is: who asks for one tries a
// number. What he is told of is the id's hash.
void check_may_ask(const std::string& replaced) {
  pg_uuid_t hash;
  const auto digit = [&](size_t i) {
    const char c = replaced[kReplacedIdPrefix.size() + i];
    return static_cast<unsigned char>(c <= '9' ? c - '0' : c - 'a' + 10);
  };
  for (size_t i = 0; i < kReplacedIdBytes; ++i) {
    hash.data[i] = static_cast<unsigned char>(digit(2 * i) << 4 | digit(2 * i + 1));
  }
  NumberGate gate(caller());
  if (gate.may_ask(hash)) return;
  throw SqlError(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED, "too many different payment ids that hold card numbers within an hour",
                 "The limit of fraud_detect.card_number_limit is " + std::to_string(guc_card_number_limit) + ".",
                 "Give the id as it is stored, or ask again later.");
}

}  // namespace

// The ids under which a payment may be stored that came with this one: the likeliest
// first. (Which card it came with, and so whether its id was replaced for holding that
// card's number, is not known.)
FRAUD_FUNCTION(payment_ids) {
  text* argument = protect([&] { return PG_GETARG_TEXT_PP(0); });
  const std::string_view id(VARDATA_ANY(argument), static_cast<size_t>(VARSIZE_ANY_EXHDR(argument)));
  OwnerScope owner;
  std::string replaced;
  {
    Spi spi;
    replaced = IdKey(spi).replace(id);
  }
  if (id_holds_card_number(id, "")) check_may_ask(replaced);
  // What is made while SPI is open ends with it.
  Column ids(TEXTOID);
  if (!id_holds_card_number(id, "")) ids.add(text_param(id));
  if (replaced != id) ids.add(text_param(replaced));
  if (ids.size() == 0) ids.add(text_param(id));
  return ids.array().value;
}
