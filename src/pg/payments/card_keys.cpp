#include "pg/payments/card_keys.h"

#include "pg/server/boundary.h"

#include <algorithm>
#include <cctype>
#include <fstream>

#include "pg/payments/card_key_rows.h"
#include "pg/server/gucs.h"
#include "pg/server/owner_scope.h"

extern "C" {
#include "access/xlog.h"
#include "common/hashfn.h"
#include "utils/varlena.h"
}

namespace fraud::pg {

namespace {

constexpr size_t kMinKeyBytes = 32;
constexpr size_t kMaxKeyBytes = 4096;

Statement key_in_use("SELECT fraud._card_key_in_use()", {});
Statement any_hash("SELECT FROM fraud.customer_ids i WHERE i.kind = 'card' AND i.key_id = $1 LIMIT 1", {UUIDOID});
// Nobody waits for it: what a session that is at it has not committed does not matter,
// since a file's key is known by itself.
Statement adopt("UPDATE fraud.card_keys k SET key_id = $2, key = NULL"
                " WHERE k.key_id = (SELECT o.key_id FROM fraud.card_keys o WHERE o.key_id = $1"
                "  FOR UPDATE SKIP LOCKED)",
                {UUIDOID, UUIDOID});

bool same(const pg_uuid_t& a, const pg_uuid_t& b) { return memcmp(a.data, b.data, UUID_LEN) == 0; }

void wipe(std::string& secret) noexcept { explicit_bzero(secret.data(), secret.size()); }

CardKeyFile read_file(const std::string& path) {
  CardKeyFile read;
  read.path = path;
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    read.fault = "could not read the card key file \"" + path + "\"";
    read.hint = "The setting fraud_detect.card_key_file names it; the server must be able to read it.";
    return read;
  }
  std::string& key = read.key;
  key.reserve(kMaxKeyBytes + 1);
  for (char c; key.size() <= kMaxKeyBytes && file.get(c);) key.push_back(c);
  while (!key.empty() && std::isspace(static_cast<unsigned char>(key.back()))) key.pop_back();
  if (key.size() < kMinKeyBytes || key.size() > kMaxKeyBytes) {
    read.fault = "the card key file \"" + path + "\" has " + std::to_string(key.size()) + " bytes";
    read.detail = "A key has 32 to 4096 bytes.";
    wipe(key);
    key.clear();
  }
  return read;
}

[[noreturn]] void throw_fault(const CardKeyFile& file) {
  throw SqlError(ERRCODE_CONFIG_FILE_ERROR, file.fault, file.detail, file.hint);
}

// No file has the key; with another every customer would be a stranger.
[[noreturn]] void throw_lacking(const pg_uuid_t& id, bool in_use, size_t files) {
  std::string which = "Key " + format_uuid(id) + (in_use ? " is in use" : " is retired and still in force") +
                      (files == 0 ? ", and in a file." : ", and no file that the setting names holds it.");
  if (!in_use) {
    throw SqlError(ERRCODE_CONFIG_FILE_ERROR, "fraud_detect.card_key_file lacks a card key that is still in force",
                   which + " Without it, customers that were not seen since would become strangers.",
                   "Name its file too. To give the key up: SELECT fraud.destroy_card_key('" + format_uuid(id) + "').");
  }
  throw SqlError(ERRCODE_CONFIG_FILE_ERROR, "fraud_detect.card_key_file does not hold the card key in use",
                 which + " With another key, every customer would become a stranger.",
                 "Name the file, as it was. To change the key, name the old file and the new one, separated by a "
                 "comma, and call fraud.rotate_card_key().");
}

// Whether the bytes are that key's. Those that this session saw last are known by a hash that starts from
// chance: a payment would compute another HMAC for it.
bool is_key_of(const std::string& bytes, const pg_uuid_t& id) {
  struct Seen {
    bool any = false;
    uint64 start = 0, hash = 0;
    pg_uuid_t id = {};
  };
  static Seen seen;
  if (!seen.any && !pg_strong_random(&seen.start, sizeof(seen.start))) return same(card_key_id(bytes), id);
  const uint64 hash = hash_bytes_extended(reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()), seen.start);
  if (seen.any && hash == seen.hash && same(id, seen.id)) return true;
  if (!same(card_key_id(bytes), id)) return false;
  seen = {true, seen.start, hash, id};
  return true;
}

}  // namespace

pg_uuid_t card_key_id(std::string_view key) { return keyed_hash(key, "fraud_detect card key"); }

std::vector<CardKeyFile> read_card_key_files() {
  std::vector<CardKeyFile> files;
  if (guc_card_key_file == nullptr || *guc_card_key_file == '\0') return files;
  std::vector<std::string> paths;
  List* names = NIL;
  bool listed = protect([&] { return SplitDirectoriesString(pstrdup(guc_card_key_file), ',', &names); });
  if (!listed) {
    throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "fraud_detect.card_key_file is not a list of files", {},
                   "Files are separated by commas; double quotes go around a name that holds one.");
  }
  for (int i = 0; i < list_length(names); ++i) {
    files.push_back(read_file(static_cast<const char*>(list_nth(names, i))));
  }
  return files;
}

CardKeys::CardKeys(Spi& spi, bool read_only) {
  Oid schema = fraud_schema();
  CardKeyRow* rows = nullptr;
  const int count = protect([&] { return read_card_keys(schema, read_only, &rows); });
  std::vector<Key> unretired;
  std::vector<CardId> known;
  for (int i = 0; i < count; ++i) {
    const CardKeyRow& row = rows[i];
    known.push_back(card_id(row.id));
    if (row.is_destroyed) continue;
    Key key;
    key.id = row.id;
    key.since = row.retired_at;
    if (row.key != nullptr) {
      const size_t size = VARSIZE_ANY_EXHDR(row.key);
      key.bytes.assign(VARDATA_ANY(row.key), size);
      explicit_bzero(VARDATA_ANY(row.key), size);
      if (!is_key_of(key.bytes, key.id)) {
        throw SqlError(ERRCODE_DATA_CORRUPTED, "the card key " + format_uuid(key.id) + " is not what it was",
                       "Its bytes in fraud.card_keys do not give its key_id.",
                       "Restore its row from a backup: with another key, every customer would become a stranger.");
      }
    }
    (row.is_retired ? keys_ : unretired).push_back(std::move(key));
  }
  std::sort(keys_.begin(), keys_.end(), [](const Key& a, const Key& b) { return a.since > b.since; });
  if (unretired.empty()) {
    throw SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "fraud.card_keys holds no key", {},
                   "Restore its row from a backup: without it, cards known so far are not recognised.");
  }
  size_t used = 0;
  if (unretired.size() > 1) {  // a restored one and that of CREATE EXTENSION
    spi.run(key_in_use, {}, read_only);
    pg_uuid_t id = *DatumGetUUIDP(*spi.datum(0, 1));
    while (used + 1 < unretired.size() && !same(unretired[used].id, id)) ++used;
  }
  keys_.insert(keys_.begin(), std::move(unretired[used]));
  std::vector<CardKeyFile> files = read_card_key_files();
  if (!files.empty() && !keys_[0].bytes.empty()) adopt_file(spi, read_only, files, known);
  take_from_files(files);
  for (CardKeyFile& file : files) wipe(file.key);
}

// The setting names a file, but the key in use is in the table: while nothing was
// hashed under that, the file's takes its place.
void CardKeys::adopt_file(Spi& spi, bool read_only, std::vector<CardKeyFile>& files,
                          const std::vector<CardId>& known) {
  const pg_uuid_t in_use = keys_[0].id;
  if (spi.run(any_hash, {uuid_param(in_use)}, read_only) != 0) {
    for (const CardKeyFile& file : files) {
      if (!file.fault.empty()) throw_fault(file);
    }
    throw SqlError(ERRCODE_CONFIG_FILE_ERROR, "fraud_detect.card_key_file does not hold the card key in use",
                   "Key " + format_uuid(in_use) + " is in use, and in fraud.card_keys. With another key, every customer "
                   "would become a stranger.",
                   "To change over to the file's key: SELECT fraud.rotate_card_key(). To go on with the key in use, set "
                   "fraud_detect.card_key_file back to an empty text.");
  }
  if (files.size() != 1) {
    throw SqlError(ERRCODE_CONFIG_FILE_ERROR, "fraud_detect.card_key_file names " + std::to_string(files.size()) +
                   " files, and none holds the card key in use", {}, "Name the one whose key is to be used.");
  }
  CardKeyFile& file = files[0];
  if (!file.fault.empty()) throw_fault(file);
  const pg_uuid_t id = card_key_id(file.key);
  if (std::find(known.begin(), known.end(), card_id(id)) != known.end()) {
    throw SqlError(ERRCODE_CONFIG_FILE_ERROR, "the card key file \"" + file.path + "\" holds a key that was in use before",
                   {}, "A key that was retired does not come back: write a new one to the file.");
  }
  if (!read_only && !protect([] { return XactReadOnly || RecoveryInProgress(); })) {
    spi.run(adopt, {uuid_param(in_use), uuid_param(id)});
  }
  keys_[0].id = id;
  wipe(keys_[0].bytes);
  keys_[0].bytes = file.key;
}

// Fills in the keys that are in files.
void CardKeys::take_from_files(std::vector<CardKeyFile>& files) {
  for (size_t i = 0; i < keys_.size(); ++i) {
    if (!keys_[i].bytes.empty()) continue;
    for (const CardKeyFile& file : files) {
      if (file.fault.empty() && is_key_of(file.key, keys_[i].id)) keys_[i].bytes = file.key;
    }
    if (!keys_[i].bytes.empty()) continue;
    // It may be in one that could not be read.
    for (const CardKeyFile& file : files) {
      if (!file.fault.empty()) throw_fault(file);
    }
    throw_lacking(keys_[i].id, i == 0, files.size());
  }
}

CardKeys::~CardKeys() noexcept {
  for (Key& key : keys_) wipe(key.bytes);
}

}  // namespace fraud::pg
