// What src/sql/15_card_keys.sql asks of the keys of card numbers and of the watch on them.
#include "core/payments/field_values.h"

#include "pg/server/boundary.h"

#include <string>

#include "pg/payments/card_keys.h"
#include "pg/payments/card_lookup.h"
#include "pg/payments/ingest.h"
#include "pg/payments/number_watch.h"
#include "pg/server/gucs.h"
#include "pg/server/owner_scope.h"
#include "pg/server/spi.h"

namespace fraud::pg {

namespace {

void put_row(ReturnSetInfo* result, Datum* values, bool* nulls) {
  protect([&] { tuplestore_putvalues(result->setResult, result->setDesc, values, nulls); });
}

// The card number, or "iban:" and an IBAN, that the text is; empty: it is neither.
std::string secret_number(const std::string& name) {
  constexpr std::string_view kIban = "iban:";
  if (name.compare(0, kIban.size(), kIban) == 0) {
    const std::optional<std::string> iban = parse_iban(std::string_view(name).substr(kIban.size()));
    return iban ? std::string(kIban) + *iban : std::string();
  }
  std::string digits;
  for (const char letter : name) {
    if (letter != ' ' && letter != '-') digits += letter;
  }
  return digits.size() >= 12 && digits.size() <= 19 && all_digits(digits) ? digits : std::string();
}

}  // namespace

}  // namespace fraud::pg

using namespace fraud;
using namespace fraud::pg;

FRAUD_FUNCTION(card_key_id) {
  bytea* key = protect([&] { return PG_GETARG_BYTEA_PP(0); });
  return uuid_param(card_key_id({VARDATA_ANY(key), static_cast<size_t>(VARSIZE_ANY_EXHDR(key))})).value;
}

// Returns a row for each file that the setting names.
FRAUD_FUNCTION(card_key_files) {
  protect([&] { InitMaterializedSRF(fcinfo, 0); });
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  for (CardKeyFile& file : read_card_key_files()) {
    const bool is_key = file.fault.empty();
    Datum values[3] = {is_key ? uuid_param(card_key_id(file.key)).value : (Datum)0,
                       text_param(file.path).value, is_key ? (Datum)0 : text_param(file.fault).value};
    bool nulls[3] = {!is_key, false, is_key};
    explicit_bzero(file.key.data(), file.key.size());
    put_row(result, values, nulls);
  }
  return (Datum)0;
}

// Returns why no number can be hashed, or null.
FRAUD_FUNCTION(card_key_fault) {
  OwnerScope owner;
  Spi spi;
  try {
    CardKeys keys(spi, true);
  } catch (const SqlError& error) {
    return text_param(error.what()).value;
  }
  fcinfo->isnull = true;
  return (Datum)0;
}

// The setting, from the library itself: what a session without it has set is not taken.
FRAUD_FUNCTION(card_key_retention) {
  Interval* retention = protect([] { return static_cast<Interval*>(palloc0(sizeof(Interval))); });
  retention->time = guc_card_key_retention_min * USECS_PER_MINUTE;
  return IntervalPGetDatum(retention);
}

FRAUD_FUNCTION(number_alarms) {
  protect([&] { InitMaterializedSRF(fcinfo, 0); });
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  static NumberAlarm alarms[kNumberAlarms];
  const int count = protect([] { return list_number_alarms(alarms); });
  for (int i = 0; i < count; ++i) {
    const NumberAlarm& alarm = alarms[i];
    const char* role = protect([&] { return GetUserNameFromId(alarm.role, true); });
    const bool is_limit = alarm.kind == 'l';
    Datum values[5] = {text_param(is_limit ? "limit" : "pattern").value,
                       role != nullptr ? text_param(role).value : (Datum)0,
                       is_limit ? (Datum)0 : text_param(alarm.last_four).value,
                       TimestampTzGetDatum(alarm.first_at), TimestampTzGetDatum(alarm.last_at)};
    bool nulls[5] = {false, role == nullptr, is_limit, false, false};
    put_row(result, values, nulls);
  }
  return (Datum)0;
}

// Returns the card that a text names.
FRAUD_FUNCTION(customer_named) {
  text* argument = protect([&] { return PG_GETARG_TEXT_PP(0); });
  const std::string name(VARDATA_ANY(argument), static_cast<size_t>(VARSIZE_ANY_EXHDR(argument)));
  const Oid role = caller();
  const std::string number = secret_number(name);
  const size_t colon = name.find(':');
  pg_uuid_t card{};
  {
    OwnerScope owner;
    Spi spi;
    CardLookup cards(spi, false);
    if (!number.empty()) {
      check_may_ask(number, cards, role);
      card = card_uuid(cards[number].card);
    } else if (const std::optional<std::string> token = fraud::parse_uuid(name)) {
      card = fraud::pg::parse_uuid(*token);
    } else if (colon != std::string::npos && colon > 0 && colon + 1 < name.size()) {
      card = card_uuid(cards.plain(name.substr(0, colon), name.substr(colon + 1)));
    } else {
      throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "no customer is named so", {},
                     "Expected a card (uuid), a kind and an id (account:17), or a card number.");
    }
  }
  return uuid_param(card).value;
}
