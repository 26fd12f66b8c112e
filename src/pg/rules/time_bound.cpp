#include "pg/rules/time_bound.h"

#include <csignal>

#include "pg/server/boundary.h"

extern "C" {
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/timeout.h"
}

namespace fraud::pg {

namespace {

volatile sig_atomic_t is_over = 0;

// In a signal handler, as Postgres's own for statement_timeout.
void cancel() {
  is_over = 1;
  InterruptPending = 1;
  QueryCancelPending = 1;
  SetLatch(MyLatch);
}

TimeoutId timeout() {
  static TimeoutId id = MAX_TIMEOUTS;
  if (id == MAX_TIMEOUTS) id = protect([] { return RegisterTimeout(USER_TIMEOUT, cancel); });
  return id;
}

}  // namespace

TimeBound::TimeBound(int milliseconds) {
  if (milliseconds <= 0) return;
  const TimeoutId id = timeout();
  is_over = 0;
  protect([&] { enable_timeout_every(id, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), milliseconds), milliseconds); });
  runs_ = true;
}

bool TimeBound::stop() noexcept {
  if (!runs_) return was_over_;
  runs_ = false;
  disable_timeout(timeout(), false);
  was_over_ = is_over != 0;
  // What came too late to interrupt anything is not to interrupt what comes next.
  if (was_over_) QueryCancelPending = 0;
  is_over = 0;
  return was_over_;
}

}  // namespace fraud::pg
