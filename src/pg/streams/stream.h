// Streams: users' own tables whose rows are decided as they are inserted.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "pg/features/feature_set.h"
#include "pg/server/spi.h"

namespace fraud::pg {

// What fraud.streams says of one that is watched.
struct Stream {
  std::string name;                     // and that of its feature set
  std::string model;                    // name or name@alias
  std::string entity, amount;           // expressions over the row; may be empty
  bool fails = false;                   // what cannot be scored fails the INSERT
};

// Returns the stream, or nothing where it is not watched.
std::optional<Stream> find_stream(Spi& spi, std::string_view name);

// Returns the id, or, where it may be a card number, a keyed hash of it.
std::string event_key(std::string_view id);

}  // namespace fraud::pg
