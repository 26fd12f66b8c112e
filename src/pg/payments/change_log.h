// The log of changes, fraud.changes (src/sql/68_changes.sql).
#pragma once

#include "pg/server/spi.h"

namespace fraud::pg {

// Folds a piece of so many changes into the sums that the views read, if so many are there and
// nobody else folds. Returns whether it did: there may be another.
bool fold_changes(Spi& spi, int most);

// Returns the slot of fraud.changes that changes go to, and locks it until the end of the
// transaction: fraud._open_slot().
int16 open_slot();

}  // namespace fraud::pg
