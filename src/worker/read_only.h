// Databases that are to be read only: default_transaction_read_only is on in the configuration
// or by ALTER DATABASE, and who sets it means it. Workers wait until it is lifted.
#pragma once

#include "pg/server/shared_state.h"

namespace fraud::worker {

// At a worker's start, once it is connected: returns when the database may be written to. An
// ingest worker says meanwhile that it waits.
void wait_while_read_only(Oid database, pg::WorkerKind kind);

// At each turn of a worker that works: tells whether it is to end its process, for the database
// has become read-only, or the catalog says another thing of that than when it began, or the clock was
// set back, so that what it has in mind is due at times of another clock. The launcher starts another, which waits, or works. The catalog is looked at once a second at most.
bool is_to_leave();
void leave();

inline void leave_if_read_only() {
  if (is_to_leave()) leave();
}

}  // namespace fraud::worker
