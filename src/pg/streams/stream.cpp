#include "pg/streams/stream.h"

#include "core/payments/mask.h"

#include "pg/server/boundary.h"
#include "pg/server/id_key.h"
#include "pg/server/owner_scope.h"

namespace fraud::pg {

namespace {

Statement watched_stream(
    "SELECT s.model, s.entity, s.amount, s.on_error FROM fraud.streams s WHERE s.stream = $1 AND s.unwatched_at IS NULL",
    {TEXTOID});

}  // namespace

std::optional<Stream> find_stream(Spi& spi, std::string_view name) {
  if (spi.run(watched_stream, {text_param(name)}) == 0) return std::nullopt;
  Stream stream;
  stream.name = std::string(name);
  stream.model = *spi.text(0, 1);
  stream.entity = spi.text(0, 2).value_or("");
  stream.amount = spi.text(0, 3).value_or("");
  stream.fails = *spi.text(0, 4) == "fail";
  return stream;
}

std::string event_key(std::string_view id) {
  if (!holds_card_number(id)) return std::string(id);
  OwnerScope owner;
  Spi spi;
  return IdKey(spi).replace(id);
}

}  // namespace fraud::pg

using namespace fraud::pg;

FRAUD_FUNCTION(event_key) {
  text* id = protect([&] { return PG_GETARG_TEXT_PP(0); });
  const std::string key = event_key({VARDATA_ANY(id), static_cast<size_t>(VARSIZE_ANY_EXHDR(id))});
  return text_param(key).value;
}
