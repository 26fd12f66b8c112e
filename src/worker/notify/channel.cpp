#include "worker/notify/channel.h"

#include <algorithm>

namespace fraud::worker {

namespace {

constexpr int64_t kSecond = 1000000;
constexpr int64_t kMinute = 60 * kSecond;
// A receiver that failed so often in a row gets one attempt at a time, and waits between them.
constexpr int kBroken = 3;
// It is asked so often at least: it may be back, and others of its deliveries may be taken.
constexpr int64_t kLongestHold = 30 * kSecond;
// A receiver that takes what it gets has so many deliveries at hand for each place.
constexpr int kAhead = 8;
// NOTIFY waits for nobody, and one transaction makes many.
constexpr int kNotifyAtOnce = 200;

}  // namespace

int Channel::places(int concurrency) const {
  if (by_notify) return kNotifyAtOnce;
  return broken >= kBroken ? 1 : concurrency;
}

int Channel::wanted(int concurrency, TimestampTz now) {
  if (holds(now)) return 0;
  const int has = under_way + static_cast<int>(ready.size());
  int wanted = places(concurrency) - has;
  if (!by_notify && failures == 0) {
    // Many at once, but no sooner than few are left.
    wanted = static_cast<int>(ready.size()) > concurrency ? 0 : concurrency * (1 + kAhead) - has;
  }
  if (max_per_minute > 0) {
    while (!starts.empty() && starts.front() <= now - kMinute) starts.pop_front();
    wanted = std::min(wanted, max_per_minute - static_cast<int>(starts.size()));
  }
  return std::max(wanted, 0);
}

TimestampTz Channel::free_at(TimestampTz now) const {
  if (closed) return 0;
  if (hold_until > now) return hold_until;
  if (max_per_minute > 0 && static_cast<int>(starts.size()) >= max_per_minute) {
    return starts[starts.size() - static_cast<size_t>(max_per_minute)] + kMinute;
  }
  return 0;
}

void Channel::note(const Outcome& outcome, TimestampTz now, int max_delay_s) {
  if (!tally) tally.emplace();
  tally->last_attempt_at = now;
  tally->last_status = outcome.status;
  if (outcome.error.empty()) {
    ++tally->delivered;
    tally->last_success_at = now;
    failures = 0;
    broken = 0;
    hold_until = 0;
    return;
  }
  ++tally->failures;
  tally->last_error = outcome.error;
  tally->last_error_at = now;
  ++failures;
  if (!outcome.of_message) ++broken;
  int64_t hold = 0;
  if (outcome.retry_after_s) hold = *outcome.retry_after_s * kSecond;
  else if (broken >= kBroken) {
    hold = std::min({kSecond << std::min(broken - kBroken, 20), kLongestHold, max_delay_s * kSecond});
  }
  if (hold > 0) hold_until = std::max(hold_until, now + hold);
}

void Channel::begin_anew() {
  failures = broken = 0;
  hold_until = 0;
  due_mark = DT_NOBEGIN;
  look = true;
}

}  // namespace fraud::worker
