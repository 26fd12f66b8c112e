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
volatile sig_atomic_t was_asked = 0;  // by pg_cancel_backend, or the client

// In a signal handler, as Postgres's own for statement_timeout.
void cancel() {
  is_over = 1;
  InterruptPending = 1;
  QueryCancelPending = 1;
  SetLatch(MyLatch);
}

// Postgres forgets a cancel once it has raised it: while the time is over it is there again, whoever catches the error.
// Called for each error that is raised. Plain Postgres code.
void cancel_again(void*) {
  if (is_over == 0) return;
  InterruptPending = 1;
  QueryCancelPending = 1;
}

struct sigaction asking;  // what SIGINT did before
bool any_runs = false;

void note_cancel(int number) {
  was_asked = 1;
  asking.sa_handler(number);
}

TimeoutId timeout() {
  static TimeoutId id = MAX_TIMEOUTS;
  if (id == MAX_TIMEOUTS) id = protect([] { return RegisterTimeout(USER_TIMEOUT, cancel); });
  return id;
}

}  // namespace

TimeBound::TimeBound(int milliseconds) {
  // Code that is bound may get here: its time is that of the outermost.
  if (milliseconds <= 0 || any_runs) return;
  const TimeoutId id = timeout();
  is_over = 0;
  was_asked = 0;
  statement_is_bound_ = get_timeout_active(STATEMENT_TIMEOUT);
  protect([&] { enable_timeout_every(id, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), milliseconds), milliseconds); });
  sigaction(SIGINT, nullptr, &asking);
  hears_ = asking.sa_handler != SIG_IGN && asking.sa_handler != SIG_DFL;
  if (hears_) {
    struct sigaction noting = asking;
    noting.sa_handler = note_cancel;
    sigaction(SIGINT, &noting, nullptr);
  }
  if (QueryCancelPending && is_over == 0) was_asked = 1;
  on_error_.callback = cancel_again;
  on_error_.previous = error_context_stack;
  error_context_stack = &on_error_;
  runs_ = any_runs = true;
}

bool TimeBound::stop() noexcept {
  if (!runs_) return was_over_;
  runs_ = any_runs = false;
  error_context_stack = on_error_.previous;
  disable_timeout(timeout(), false);
  if (hears_) sigaction(SIGINT, &asking, nullptr);
  // Whichever came first, and whichever was told: both set the same flag.
  is_canceled_ = was_asked != 0 || (statement_is_bound_ && !get_timeout_active(STATEMENT_TIMEOUT));
  was_over_ = is_over != 0 && !is_canceled_;
  // What came too late to interrupt anything is not to interrupt what comes next.
  if (was_over_) QueryCancelPending = 0;
  is_over = 0;
  return was_over_;
}

void TimeBound::pass_on() const noexcept {
  if (!is_canceled_) return;
  QueryCancelPending = 1;
  InterruptPending = 1;
}

}  // namespace fraud::pg
