// Numbers become customers here: what goes on is `card`.
#pragma once

#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include "pg/payments/card.h"
#include "pg/payments/card_keys.h"
#include "pg/payments/payment_id.h"
#include "pg/server/spi.h"

namespace fraud::pg {

// What a number is known as.
struct KnownCard {
  CardId card;
  pg_uuid_t hash;        // under the key in use
  bool is_found = false;  // under any key in force
  bool is_current = false;  // under the key in use
};

// A number's hash under a key.
struct NumberHash {
  pg_uuid_t key_id;
  pg_uuid_t hash;
};

// Writes hashes of numbers with their customers, whose rows are locked.
void write_hashes(Spi& spi, const std::vector<std::pair<NumberHash, CardId>>& hashes);

// The customers of a batch's numbers. A number is found by its hash under a key in
// force. One that is not gets an id that is its hash under the key in use, so that
// sessions which see it at once agree; only the key can test it, and once that is
// destroyed nothing can. The texts that numbers are asked by must outlive it.
class CardLookup {
 public:
  CardLookup(Spi& spi, bool read_only) : spi_(spi), read_only_(read_only) {}

  // Finds the customers of the numbers, without a statement where the table is plain, else in one.
  void find(const std::vector<std::string_view>& numbers);

  // Returns the number's hash under the key in use, looking for nothing.
  pg_uuid_t hash(std::string_view number) { return keys().hash(0, number); }

  // Of a number that find() was told; others it looks up by itself.
  const KnownCard& operator[](std::string_view number);

  // Returns the customer that a plain id names: its hash under the key of ids, which never changes.
  CardId plain(std::string_view kind, std::string_view id);

  // Writes the hashes that these numbers lack; their customers' rows are locked. A
  // number that is new gets one under each key in force: whoever saw other keys has
  // one of them in common with us, and so meets our row.
  void write(const std::vector<std::string_view>& numbers);

  // Returns the hashes that write() would write of the number.
  std::vector<NumberHash> missing(std::string_view number);

 private:
  const CardKeys& keys();  // read when a number comes first
  void find_by_old_ids(const std::vector<std::string_view>& unknown);

  Spi& spi_;
  bool read_only_;
  std::optional<CardKeys> keys_;
  std::optional<IdKey> id_key_;
  std::map<std::string_view, KnownCard> known_;
};

}  // namespace fraud::pg
