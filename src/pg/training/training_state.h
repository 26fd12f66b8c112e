// What training workers, the ingest worker that starts them and the backends know
// of each other: a slot for each run under way.
#pragma once

#include "pg/server/server.h"

namespace fraud::pg {

// Where a run is. The texts are the library's own short words.
struct TrainingProgress {
  char phase[24];        // starting, reading, binning, cross-validation, search, boosting, …
  int64 rows_read;
  int trial, trials;     // 0: no search
  int fold, folds;       // 0: no cross-validation
  int round, rounds;
  char metric_name[32];
  double metric;         // NaN: none yet
  TimestampTz phase_since;
};

struct TrainingRun {
  int64 run;
  pid_t worker;  // 0: starting
  TrainingProgress progress;
};

// Asks for shared memory; called by _PG_init while libraries are preloaded.
void request_training_state();

// ------------------------------------------------------------ any backend

// Copies the runs under way in this database to `runs` (room for
// guc_max_training_workers) and returns how many there are.
int list_training_runs(TrainingRun* runs);

// Has the worker of the run stop: it gets a cancel. False when there is none.
bool cancel_training_run(int64 run);

// Ends all training workers of the database and waits until they are gone.
void end_training(Oid database);

// ---------------------------------------------------------- ingest worker

// Takes a slot for a run of this database; -1 when all are taken.
int open_training_slot(int64 run);

// Frees a slot whose worker never began.
void close_unused_training_slot(int slot, int64 run);

// -------------------------------------------------------- training worker

// Returns the database and run of a slot, and publishes this process there; it is
// freed, and the ingest worker told, when this process ends.
void register_training_worker(int slot, Oid* database, int64* run);

void set_training_progress(int slot, const TrainingProgress& progress);

}  // namespace fraud::pg
