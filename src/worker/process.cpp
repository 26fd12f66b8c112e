#include "worker/process.h"

#include "pg/server/boundary.h"
#include "pg/server/gucs.h"

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

// As autovacuum does: what stands in the configuration or is set for the database or the
// role would otherwise end long statements, or have workers and people fail each other.
void fix_settings() {
  pg::protect([] {
    for (const char* timeout : {"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"}) {
      SetConfigOption(timeout, "0", PGC_SUSET, PGC_S_OVERRIDE);
    }
    SetConfigOption("default_transaction_isolation", "read committed", PGC_SUSET, PGC_S_OVERRIDE);
  });
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
