// The keys that card numbers are hashed under: the one in use, and those before it
// until they are destroyed (docs/security.md, "Card numbers").
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pg/payments/card.h"
#include "pg/server/server.h"
#include "pg/server/spi.h"

namespace fraud::pg {

// Returns the id of a key, which is also what tells it from another: a hash of a
// text that is no number.
pg_uuid_t card_key_id(std::string_view key);

// A file that fraud_detect.card_key_file names: its key, or why it has none.
struct CardKeyFile {
  std::string path;
  std::string key;
  std::string fault, detail, hint;  // of the error that tells of it; empty: there is none
};

// Reads the files; white space at a key's end is not part of it. Throws SqlError
// when the setting is no list of files.
std::vector<CardKeyFile> read_card_key_files();

// The keys in force, as of one transaction: they are read with each batch, so a
// change needs no message to other sessions. Wiped when they go.
class CardKeys {
 public:
  // Throws SqlError when a key in force is not to be had. Unless read_only, a file
  // that is named before any number was hashed is noted as the key in use.
  CardKeys(Spi& spi, bool read_only);
  ~CardKeys() noexcept;
  CardKeys(const CardKeys&) = delete;
  CardKeys& operator=(const CardKeys&) = delete;

  // The first is the one in use, then the newest retired.
  size_t size() const noexcept { return keys_.size(); }
  const pg_uuid_t& id(size_t i) const noexcept { return keys_[i].id; }
  pg_uuid_t hash(size_t i, std::string_view digits) const { return keyed_hash(keys_[i].bytes, digits); }

 private:
  struct Key {
    pg_uuid_t id;
    TimestampTz since = 0;  // retired
    std::string bytes;      // empty: in a file
  };
  void adopt_file(Spi& spi, bool read_only, std::vector<CardKeyFile>& files,
                  const std::vector<CardId>& known);
  void take_from_files(std::vector<CardKeyFile>& files);

  std::vector<Key> keys_;
};

}  // namespace fraud::pg
