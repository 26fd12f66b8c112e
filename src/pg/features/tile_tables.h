// The tables of tiles (src/sql/36_tiles.sql), read without statements.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pg/server/row_lookup.h"
#include "pg/server/server.h"

namespace fraud::pg {

// Returns what stands for a key's bytes (EventBatch::keys_of) in the tables: themselves, or a digest of long ones.
std::string stored_key(std::string_view bytes);

// Returns a bytea's or a text's bytes.
std::string bytes_of(Datum value);

// Returns when the stretch of 2^shift microseconds begins that a time is in.
constexpr int64_t aligned(int64_t time, int shift) noexcept { return (time >> shift) * (int64_t{1} << shift); }

struct TileSetRow {
  int32_t id = 0;
  std::string shape;       // empty: none
  std::optional<TimestampTz> marked_to;
};

// What is covered by tiles of a key.
struct TileCover {
  int shift = 0;
  TimestampTz from = 0, to = 0;  // from <= time < to; nothing where they are equal
};

// Stretches of time whose events have changed since their tiles were made.
struct TileMark {
  TimestampTz from, to;  // from <= time <= to
};

constexpr int kAllKeys = -1;

class TileTables {
 public:
  TileTables() = default;

  // Whether no key of any set has tiles: then there is nothing else to ask.
  bool none();
  std::optional<TileSetRow> set(std::string_view name, Snapshot snapshot);
  // What is covered of a key; no value where it is not one of those that are marked.
  std::optional<TileCover> cover(int32_t set, size_t key_no, std::string_view key, Snapshot snapshot);
  // Adds the marks of a key, or of all.
  void marks(int32_t set, int key_no, std::string_view key, Snapshot snapshot, std::vector<TileMark>* marks);
  // Whether more tiles of the key are asked for already.
  bool requested(int32_t set, size_t key_no, std::string_view key, Snapshot snapshot);
  // The page of tiles; false where there is none, so that there were no events.
  bool page(int32_t set, size_t reader_no, std::string_view reader_key, int shift, TimestampTz starts_at, size_t key_no,
            std::string_view key, Snapshot snapshot, std::string* bytes);

 private:
  std::optional<RowLookup> sets_, keys_, marks_, requests_, pages_;
};

// Says, by a lock that keeps nobody out, that this transaction may change events: from here on until its end the folder
// counts on it to have looked at what is marked.
void announce_changes();

// Until the end of its life: what is committed now, whatever the transaction's isolation level.
class LatestSnapshot {
 public:
  LatestSnapshot();
  ~LatestSnapshot() noexcept;
  LatestSnapshot(const LatestSnapshot&) = delete;
  LatestSnapshot& operator=(const LatestSnapshot&) = delete;
  Snapshot get() const noexcept { return snapshot_; }

 private:
  Snapshot snapshot_;
  int exceptions_;
};

}  // namespace fraud::pg
