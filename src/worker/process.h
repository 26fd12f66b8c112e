// What every background worker of ours does at its start and at each turn.
#pragma once

#include <chrono>

#include "pg/server/server.h"
#include "worker/network/network_client.h"

extern "C" {
#include "postmaster/bgworker.h"
#include "utils/timestamp.h"
}

namespace fraud::worker {

// Registers a worker with the postmaster while the library is preloaded, unless none may
// run in this server.
void register_worker(BackgroundWorker& worker);

// Starts a worker now; nullptr when the server has no slot left, or none may run.
// The handle lives as long as the process. Plain Postgres code, for protect().
BackgroundWorkerHandle* start_worker(BackgroundWorker& worker);

// Begins a worker's process: ends it where none may run, sets the signal handlers, lets
// signals in, and has settings that are for people's sessions not change what it does;
// called before connecting. Plain Postgres code, for protect().
void begin_worker();

// Ends the process if it was told to. Throws PgError, of a statement that somebody has cancelled too.
void heed_signals();

// Ends the process if it was told to, or if the postmaster has died. What takes longer than
// a moment without waiting for the latch calls it now and then. Throws PgError.
void look_up();

// Begins a turn: clears the latch, ends the process if it was told to, and reads
// the settings again if they changed. Throws PgError.
void begin_turn();

// Tells when the clock was set back. What is due at a time of before would else be due so much later.
class ClockWatch {
 public:
  // Whether it was, by more than a second, since this was asked last.
  bool was_set_back();

 private:
  std::chrono::steady_clock::time_point steady_ = std::chrono::steady_clock::now();
  TimestampTz time_ = GetCurrentTimestamp();
};

// The limits of a transfer that the settings ask for, and where it may go to.
Limits network_limits(int timeout_ms);

}  // namespace fraud::worker
