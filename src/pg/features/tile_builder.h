// The pages of a key's tiles, made from its events.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "pg/features/tile_source.h"
#include "pg/features/tile_tables.h"
#include "pg/server/spi.h"

namespace fraud::pg {

// Which tiles a key has.
struct TiledKeyRow {
  int32_t set = 0;
  size_t key = 0;
  std::string value;               // stored_key()
  std::vector<std::string> parts;  // of the value, as text
  TileCover cover;
};

class TileBuilder {
 public:
  // The snapshot, which is active, is the one that the events, the pages and the marks are seen in.
  TileBuilder(TileSource& source, Spi& spi, TiledKeyRow row, Snapshot snapshot);

  // Makes the tiles of these stretches, which are whole finest ones, and what is above them where that is whole in [cover.from, to).
  // Returns how many events there were. Throws an Error where a stored page is not readable.
  size_t build(const std::vector<TileMark>& stretches, TimestampTz to);

 private:
  // The pages of one stretch: of the key itself, and of those that are filled with it.
  using Which = std::pair<size_t, std::string>;
  using Pages = std::map<Which, std::string>;

  Pages stored(int shift, TimestampTz starts_at);
  Pages finest(TimestampTz starts_at, uint64_t places, const std::vector<TileMark>& stretches);
  void raise(int level, TimestampTz starts_at, const Pages& below);
  void write(int shift, TimestampTz starts_at, const Pages& before, const Pages& after);

  TileSource& source_;
  Spi& spi_;
  TiledKeyRow row_;
  Snapshot snapshot_;
  size_t events_ = 0;
};

}  // namespace fraud::pg
