// What the launcher, the ingest workers and the backends know of each other.
#pragma once

#include "pg/server.h"

namespace fraud::pg {

// Asks for shared memory and sets the hooks; called by _PG_init, and only while
// shared_preload_libraries are loaded.
void request_shared_state();

// Tells whether this server has the workers: the library was preloaded.
bool have_shared_state();

// ------------------------------------------------------------ any backend

// At COMMIT of this transaction, wakes this database's worker, or has the
// launcher look for the extension where there is no worker. Raises on lack of
// memory only.
void wake_at_commit();

// ----------------------------------------------- utility statements (hooks)

// Ends the database's worker, if there is one, and keeps it from coming back
// until resume_database() or the end of this backend. Raises on a cancel.
void pause_database(Oid database);
void resume_database(Oid database);

// --------------------------------------------------------------- launcher

// Registers this process as the launcher.
void register_launcher();

// Returns whether somebody asked to look for the extension anew, and clears it.
bool take_probe_request();

// Makes the slot of a database whose worker is about to start; false when the
// database is paused, when all slots are taken (then `full` is set), or when the
// worker of an earlier launcher is still there (it is ended: try again).
bool open_slot(Oid database, bool* full);

// Closes the slot of a worker that ended; returns whether it found no extension
// (and nobody called since it looked).
bool close_slot(Oid database);

// ----------------------------------------------------------------- worker

// Publishes this process as the worker of the database.
void register_worker(Oid database);

// Says that the worker looks at its database now, and returns whether somebody
// called since it last did.
bool begin_look(Oid database);

// Says that this database has no extension, before the worker ends.
void report_absent(Oid database);

}  // namespace fraud::pg
