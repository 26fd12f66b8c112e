// What every background worker of ours does at its start and at each turn.
#pragma once

namespace fraud::worker {

// Sets the signal handlers and lets signals in; called before connecting.
void accept_signals();

// Begins a turn: clears the latch, ends the process if it was told to, and reads
// the settings again if they changed. Throws PgError.
void begin_turn();

}  // namespace fraud::worker
