// What every background worker of ours does at its start and at each turn.
#pragma once

#include "worker/network/network_client.h"

namespace fraud::worker {

// Sets the signal handlers and lets signals in; called before connecting.
void accept_signals();

// Has settings that are for people's sessions not change what a worker does; called
// before connecting. Throws PgError.
void fix_settings();

// Begins a turn: clears the latch, ends the process if it was told to, and reads
// the settings again if they changed. Throws PgError.
void begin_turn();

// The limits of a transfer that the settings ask for, and where it may go to.
Limits network_limits(int timeout_ms);

}  // namespace fraud::worker
