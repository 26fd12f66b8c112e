// Dead letters of payments that were read whole, and what sends letters again.
#pragma once

#include "core/payments/payment.h"

#include <string>
#include <vector>

#include "pg/payments/card_lookup.h"
#include "pg/payments/ingest.h"
#include "pg/payments/payment_store.h"
#include "pg/server/spi.h"

namespace fraud::pg {

// A payment that was read whole, received, and cannot be stored: with all that is needed to
// send it again.
struct WholeLetter {
  std::string source, reason;
  std::string payload;  // the payment as JSON, the card in place of its number
  std::string transaction_id, last_four;
  std::string waits_for;  // as in RejectedPayment
  CardId card;
  TimestampTz occurred_at = 0, received_at = 0;
  std::vector<NumberHash> hashes;
};

// Puts it on the list.
void write_letter(Spi& spi, const WholeLetter& letter, Beside beside);

// Of the entries, which are equal to payments on the list, but for their times: returns a flag
// for each, and counts them there. They are looked for in the snapshot that is active.
std::vector<char> known_letters(Spi& spi, const std::vector<Entry>& entries);

// Key ids and hashes, in turns, as the text of a uuid[].
std::vector<NumberHash> parse_hashes(const std::string& text);
std::string format_hashes(const std::vector<NumberHash>& hashes);

}  // namespace fraud::pg
