#include "worker/process.h"

#include "pg/server/boundary.h"
#include "pg/server/gucs.h"
#include "pg/server/shared_state.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>

#ifdef __linux__
#include <sys/prctl.h>
#endif

extern "C" {
#include "access/xlog.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/pmsignal.h"
#include "tcop/tcopprot.h"
}

namespace fraud::worker {

namespace {

// Tells whether workers of ours may run in this server. Under pg_upgrade they may not: it sets
// the new cluster's transaction ids and copies the old one's files while both believe that
// nobody writes, so that a payment stored then would be half there and corrupt what follows.
// (The server's own launcher of logical replication holds still for the same reason.) A server
// of a single user has no postmaster to start any.
bool workers_may_run() { return !IsBinaryUpgrade && IsPostmasterEnvironment; }

#ifdef USE_POSTMASTER_DEATH_SIGNAL
// Ends the worker as SIGTERM does, at the next look for interrupts: also in the middle of a
// statement, where no latch is waited for. While one process of the old server lives, a new
// one cannot start. It ends by itself and not here: others may wait for what it has locked.
void end_with_postmaster(int) {
  const int error = errno;
  postmaster_possibly_dead = true;
  if (getppid() != PostmasterPid) {
    ProcDiePending = 1;
    InterruptPending = 1;
    SetLatch(MyLatch);
  }
  errno = error;
}
#endif

// Has the worker end when the postmaster does, where the system tells of it by a signal
// (Linux). Elsewhere it learns at its next wait, and at each look_up().
void watch_postmaster() {
#if defined(USE_POSTMASTER_DEATH_SIGNAL) && defined(PR_GET_PDEATHSIG)
  int signal = 0;
  if (prctl(PR_GET_PDEATHSIG, &signal) == 0 && signal > 0) pqsignal(signal, end_with_postmaster);
  if (getppid() != PostmasterPid) proc_exit(1);  // it died before that
#endif
}

}  // namespace

void register_worker(BackgroundWorker& worker) {
  if (workers_may_run()) RegisterBackgroundWorker(&worker);
}

BackgroundWorkerHandle* start_worker(BackgroundWorker& worker) {
  if (!workers_may_run() || RecoveryInProgress()) return nullptr;
  BackgroundWorkerHandle* handle = nullptr;
  MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
  bool started = RegisterDynamicBackgroundWorker(&worker, &handle);
  MemoryContextSwitchTo(old);
  return started ? handle : nullptr;
}

void begin_worker() {
  // Whoever started it: code 0, so that it is not started again.
  if (!workers_may_run() || RecoveryInProgress()) proc_exit(0);
  pqsignal(SIGHUP, SignalHandlerForConfigReload);
  // Not a handler of our own: a fast shutdown under unmet synchronous replication
  // would hang in it.
  pqsignal(SIGTERM, die);
  watch_postmaster();
  BackgroundWorkerUnblockSignals();
  // As autovacuum does: what stands in the configuration or is set for the database or the
  // role would otherwise end long statements, or have workers and people fail each other.
  for (const char* timeout : {"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"}) {
    SetConfigOption(timeout, "0", PGC_SUSET, PGC_S_OVERRIDE);
  }
  SetConfigOption("default_transaction_isolation", "read committed", PGC_SUSET, PGC_S_OVERRIDE);
  // What a worker runs is short and comes often: with jit_above_cost = 0, or with enable_seqscan = off,
  // whose plans cost ten billions, compiling takes seconds.
  SetConfigOption("jit", "off", PGC_USERSET, PGC_S_OVERRIDE);
}

void heed_signals() {
  // Who cancels a statement cancels nothing between two.
  if (!IsTransactionState()) QueryCancelPending = false;
  CHECK_FOR_INTERRUPTS();
}

void look_up() {
  pg::protect([] {
    heed_signals();
    if (!PostmasterIsAlive()) proc_exit(1);
    pg::note_turn();
  });
}

void begin_turn() {
  pg::protect([] {
    ResetLatch(MyLatch);
    heed_signals();
    if (!PostmasterIsAlive()) proc_exit(1);
    if (ConfigReloadPending) {
      ConfigReloadPending = false;
      ProcessConfigFile(PGC_SIGHUP);
    }
    pg::note_turn();
  });
}

bool ClockWatch::was_set_back() {
  constexpr int64_t kSecondUs = 1000000;
  const auto steady = std::chrono::steady_clock::now();
  const TimestampTz time = GetCurrentTimestamp();
  const int64_t missing = std::chrono::duration_cast<std::chrono::microseconds>(steady - steady_).count() - (time - time_);
  steady_ = steady;
  time_ = time;
  return missing > kSecondUs;
}

namespace {

// The setting was checked when it was set.
std::shared_ptr<const HostPolicy> host_list(const char* text) {
  std::string fault;
  std::optional<HostPolicy> policy = HostPolicy::parse(text != nullptr ? text : "", fault);
  return std::make_shared<HostPolicy>(policy ? std::move(*policy) : HostPolicy());
}

}  // namespace

Limits network_limits(int timeout_ms) {
  Limits limits;
  limits.connect_timeout_ms = pg::guc_connect_timeout_ms;
  limits.timeout_ms = timeout_ms;
  if (pg::guc_ca_file != nullptr) limits.ca_file = pg::guc_ca_file;
  limits.policy = host_list(pg::guc_allowed_hosts);
  if (pg::guc_http_proxy != nullptr) limits.proxy = pg::guc_http_proxy;
  limits.no_proxy = host_list(pg::guc_no_proxy);
  return limits;
}

}  // namespace fraud::worker
