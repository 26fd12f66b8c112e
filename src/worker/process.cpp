#include "worker/process.h"

#include "pg/boundary.h"

extern "C" {
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
}

namespace fraud::worker {

void accept_signals() {
  pqsignal(SIGHUP, SignalHandlerForConfigReload);
  // Not a handler of our own: a fast shutdown under unmet synchronous replication
  // would hang in it.
  pqsignal(SIGTERM, die);
  BackgroundWorkerUnblockSignals();
}

void begin_turn() {
  pg::protect([] {
    ResetLatch(MyLatch);
    CHECK_FOR_INTERRUPTS();
    if (ConfigReloadPending) {
      ConfigReloadPending = false;
      ProcessConfigFile(PGC_SIGHUP);
    }
  });
}

}  // namespace fraud::worker
