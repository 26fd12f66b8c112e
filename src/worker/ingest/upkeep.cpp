#include "worker/ingest/upkeep.h"

#include <algorithm>

#include "pg/features/tile_folding.h"
#include "pg/payments/follow_ups.h"
#include "pg/payments/held_customers.h"
#include "pg/payments/inbox.h"
#include "pg/server/boundary.h"
#include "pg/server/shared_state.h"
#include "worker/process.h"
#include "worker/transaction.h"

extern "C" {
#include "miscadmin.h"
#include "utils/timestamp.h"
}

namespace fraud::worker {

using namespace fraud::pg;

namespace {

// Microseconds.
constexpr int64_t kMonthRetry = 1000000;
constexpr int64_t kWaitingRetry = 1000000;

Statement note_alarm("SELECT fraud._note_of_cards($1, 'role', $2,"
                     "  jsonb_strip_nulls(jsonb_build_object('last_four', $3, 'since', $4)))",
                     {TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID});

}  // namespace

void MonthMaker::look(Spi& spi) { months_ = missing_months(spi); }

bool MonthMaker::is_due() const { return !months_.empty() && GetCurrentTimestamp() >= months_at_; }

TimestampTz MonthMaker::next_due() const { return months_.empty() ? DT_NOEND : months_at_; }

bool MonthMaker::make_next() {
  if (!is_due()) return true;
  try {
    const bool present = in_transaction("making a month's partition", [&] {
      begin_scoring();
      Spi spi;
      make_month(spi, months_.front());
    });
    months_.erase(months_.begin());
    month_fault_.clear();
    return present;
  } catch (const PgError& fault) {
    if (!may_go_on(fault)) throw;
    if (month_fault_ != fault.what()) {
      protect([&] { ereport(LOG, (errmsg("could not make a month's partition: %s", fault.what()), errdetail("It is tried again each second."))); });
    }
    month_fault_ = fault.what();
    forget(fault);
  }
  // Another may be possible.
  std::rotate(months_.begin(), months_.begin() + 1, months_.end());
  months_at_ = GetCurrentTimestamp() + kMonthRetry;
  return true;
}

void WaitingFollowUps::expect() { due_at_ = std::min(due_at_, GetCurrentTimestamp()); }

bool WaitingFollowUps::send_again() {
  const TimestampTz start = GetCurrentTimestamp();
  if (start < due_at_) return true;
  bool present = true, wait = true;
  try {
    present = in_transaction("sending again what waited for its payment", [&] {
      begin_scoring();
      Spi spi;
      wait = send_waiting_again(spi);
    });
  } catch (const PgError& fault) {
    if (!may_go_on(fault)) throw;
    forget(fault);
  }
  // Of many that wait, the search takes its time: it takes a twentieth at most.
  const TimestampTz now = GetCurrentTimestamp();
  due_at_ = wait ? now + std::max(kWaitingRetry, 20 * (now - start)) : DT_NOEND;
  return present;
}

bool TileMaker::make_next() {
  constexpr int64_t kLeastPause = 1000000, kMostPause = 10 * kLeastPause;
  if (GetCurrentTimestamp() < due_at_) return true;
  bool present = true, more = false;
  try {
    present = in_transaction("making tiles", [&] { more = fold_tiles(false) == Folded::kMore; });
  } catch (const PgError& fault) {
    if (!may_go_on(fault)) throw;
    protect([&] {
      ereport(LOG, (errmsg("could not make tiles: %s", fault.what()), errhint("Windows are read from the events instead, and it is tried again.")));
    });
    forget(fault);
    pause_us_ = kMostPause;
  }
  // Where there was something there will be more; where nobody asks, a look now and then is enough.
  pause_us_ = more ? 0 : std::clamp(2 * pause_us_, kLeastPause, kMostPause);
  due_at_ = GetCurrentTimestamp() + pause_us_;
  return present;
}

bool note_number_alarms() {
  NumberAlarm alarms[kNumberAlarms];
  int count = protect([&] { return list_number_alarms(alarms); });
  bool fresh = false;
  for (int i = 0; i < count; ++i) fresh = fresh || !alarms[i].noted;
  if (!fresh) return true;
  bool present = in_transaction("noting who tries card numbers", [&] {
    Spi spi;
    for (int i = 0; i < count; ++i) {
      if (alarms[i].noted) continue;
      const char* role = protect([&] { return GetUserNameFromId(alarms[i].role, true); });
      spi.run(note_alarm, {text_param(alarms[i].kind == 'l' ? "limit" : "warn"),
                           role != nullptr ? text_param(role) : null_param(),
                           optional_text_param(alarms[i].last_four), time_param(alarms[i].first_at)});
    }
  });
  if (!present) return false;
  for (int i = 0; i < count; ++i) protect([&] { number_alarm_noted(alarms[i]); });
  return true;
}

}  // namespace fraud::worker
