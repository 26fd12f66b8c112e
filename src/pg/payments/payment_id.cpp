#include "pg/payments/payment_id.h"

#include "core/payments/mask.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <optional>

#include "pg/payments/card.h"
#include "pg/payments/number_gate.h"
#include "pg/server/boundary.h"
#include "pg/server/gucs.h"
#include "pg/server/owner_scope.h"

namespace fraud::pg {

namespace {

constexpr std::string_view kPrefix = "pan_";
constexpr size_t kHashBytes = 16;

Statement oldest_key("SELECT k.key FROM fraud.id_keys k ORDER BY k.created_at, k.key_id LIMIT 1", {});

bool is_replaced(std::string_view id) {
  return id.size() == kPrefix.size() + 2 * kHashBytes && id.substr(0, kPrefix.size()) == kPrefix &&
         id.find_first_not_of("0123456789abcdef", kPrefix.size()) == std::string_view::npos;
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
  uint8 digest[PG_SHA256_DIGEST_LENGTH];
  protect([&] {
    pg_hmac_ctx* context = pg_hmac_create(PG_SHA256);
    bool done = context != nullptr &&
                pg_hmac_init(context, (const uint8*)key_.data(), key_.size()) == 0 &&
                pg_hmac_update(context, (const uint8*)id.data(), id.size()) == 0 &&
                pg_hmac_final(context, digest, sizeof(digest)) == 0;
    if (context != nullptr) pg_hmac_free(context);
    if (!done) ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not compute HMAC")));
  });
  static constexpr char kHex[] = "0123456789abcdef";
  std::string replaced(kPrefix);
  for (size_t i = 0; i < kHashBytes; ++i) {
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
    const char c = replaced[kPrefix.size() + i];
    return static_cast<unsigned char>(c <= '9' ? c - '0' : c - 'a' + 10);
  };
  for (size_t i = 0; i < kHashBytes; ++i) {
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
