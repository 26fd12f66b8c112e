// The log of changes, fraud.changes (src/sql/68_changes.sql).
#pragma once

#include "pg/server/spi.h"

namespace fraud::pg {

// Folds a piece of so many changes into the sums that the views read, if so many are there and
// nobody else folds. Returns whether it did: there may be another.
bool fold_changes(Spi& spi, int most);

// The slot that changes go to, locked until the end of the transaction, and its table; by the lock
// fraud._turn_slots sees that somebody may still add to it.
struct OpenSlot {
  int16 slot;
  Oid table;
};
OpenSlot open_slot();

// Returns the number of the next change.
int64_t next_change();

}  // namespace fraud::pg
