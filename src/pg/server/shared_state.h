// What the launcher, the workers and the backends know of each other.
#pragma once

#include "pg/server/server.h"

namespace fraud::pg {

// The workers that a database with the extension has; src/worker/launcher.cpp
// says how each is started. The first one finds out whether the extension is
// there; the others are started where it is. Of scorers there are several: number i is
// of the kind kScorer + i.
constexpr int kMaxScorers = 8;
enum class WorkerKind { kIngest, kNotify, kScorer };
constexpr int kWorkerKinds = 2 + kMaxScorers;
inline WorkerKind scorer_kind(int number) {
  return static_cast<WorkerKind>(static_cast<int>(WorkerKind::kScorer) + number);
}

// The inbox is divided by customer into shards; each has one scorer at a time.
constexpr int kShards = 64;

// Asks for shared memory and sets the hooks; called by _PG_init, and only while
// shared_preload_libraries are loaded.
void request_shared_state();

// Tells whether this server has the workers: the library was preloaded.
bool have_shared_state();

// ------------------------------------------------------------ any backend

// At COMMIT of this transaction, wakes this database's worker of that kind, or has
// the launcher look for the extension where there is none. Raises on lack of
// memory only.
void wake_at_commit(WorkerKind kind);

// At COMMIT of this transaction, wakes this database's scorers.
void wake_scorers_at_commit();

// As wake_at_commit, at once: for a process that is about to end.
void wake_now(WorkerKind kind);

// ----------------------------------------------- utility statements (hooks)

// Ends the database's workers, if there are any, and keeps them from coming back
// until resume_database() or the end of this backend. Raises on a cancel.
void pause_database(Oid database);
void resume_database(Oid database);

// --------------------------------------------------------------- launcher

// Registers this process as the launcher.
void register_launcher();

// Returns whether somebody asked to look for the extension anew, and clears it.
bool take_probe_request();

// Makes room for a worker that is about to start; false when the database is
// paused, when all slots are taken (then `full` is set), or when the worker of an
// earlier launcher is still there (it is ended: try again).
bool open_slot(Oid database, WorkerKind kind, bool* full);

// Takes note that a worker ended; returns whether it found no extension (and
// nobody called since it looked).
bool close_slot(Oid database, WorkerKind kind);

// Tells whether a worker of this database has found the extension; without the preload there is none. Any backend may ask.
bool extension_present(Oid database);

// ---------------------------------------------------------------- workers

// Publishes this process as a worker of the database.
void register_worker(Oid database, WorkerKind kind);

// Says that the worker looks at its database now, and returns whether somebody
// called since it last did.
bool begin_look(Oid database, WorkerKind kind);

// Takes the shards that are this scorer's among so many, as far as no other scorer has
// them still, gives back those that are not, and returns a bit for each that it has.
// Called while no transaction is open.
uint64_t take_shards(Oid database, int scorer, int scorers);

// Says that this database has the extension: the other workers may be started.
void report_present(Oid database);

// Says whether the ingest worker of this database waits because the database is read-only; any
// backend may ask.
void report_read_only(Oid database, bool waits);
bool waits_read_only(Oid database);

// Says that this process, a worker or the launcher, lives: it turns now, or goes to wait for at
// most so many milliseconds. One that does neither in time does not answer.
void note_turn();
void note_wait(long ms);

// What is known of one worker of a database, or of the launcher.
struct WorkerBeat {
  int kind;  // a WorkerKind; kWorkerKinds: the launcher
  pid_t pid;
  TimestampTz turned_at;
  TimestampTz due_at;  // when it turns again at the latest
};
constexpr int kMostBeats = kWorkerKinds + 1;

// Lists the workers of the database, and the launcher, that run; returns how many.
int list_beats(Oid database, WorkerBeat* beats);

// Says that this database has no extension, before the worker ends.
void report_absent(Oid database, WorkerKind kind);

}  // namespace fraud::pg
