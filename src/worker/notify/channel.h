// What the notify worker knows of a channel: how many deliveries are under way, how its
// receiver fares, and how far its deliveries have had their turn. Nothing of it is of
// another channel, so none waits for another's receiver.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "pg/server/server.h"
#include "worker/notify/delivery.h"

extern "C" {
#include "utils/timestamp.h"
}

namespace fraud::worker {

// How an attempt went.
struct Outcome {
  int64_t id = 0;
  std::string channel;
  const char* what = "delivered";  // delivered, failed, timeout
  long status = 0;                 // 0: none
  std::string error;
  int64_t duration_us = 0;
  bool permanent = false;
  std::optional<int64_t> retry_after_s;
  bool of_message = false;  // the fault is the message's, not the receiver's
};

// What is to be noted in fraud.channel_state, which somebody may have locked: kept until it can be.
struct Tally {
  int64_t delivered = 0, failures = 0;
  TimestampTz last_attempt_at = 0, last_success_at = 0, last_error_at = 0;
  long last_status = 0;
  std::string last_error;
};

// How its receiver fares, as is noted there.
struct Fare {
  int failures = 0;  // in a row
  int broken = 0;    // those that are the receiver's
  TimestampTz hold_until = 0;
  std::optional<Tally> tally;
};

struct Channel : Fare {
  std::string name;
  bool by_notify = false;
  bool closed = false;     // paused, dropped, or came with a dump
  int32_t max_per_minute = 0;  // 0: as many as there are
  TimestampTz changed_at = 0;

  int under_way = 0;
  std::deque<Delivery> ready;  // claimed, waiting for a place

  std::deque<TimestampTz> starts;  // of the last minute, where there is max_per_minute
  bool knows_starts = false;

  // How far all had its turn: by number, and by time what has one.
  int64_t urgent_mark = 0, turn_mark = 0;
  TimestampTz due_mark = DT_NOBEGIN;
  bool look = true;        // there may be something due
  TimestampTz due_at = 0;  // something is then; 0: nothing that is known
  int64_t waiting = -1;    // about; -1: not known
  TimestampTz counted_at = 0;

  // Deliveries under way at once.
  int places(int concurrency) const;
  // How many more deliveries are to be claimed now.
  int wanted(int concurrency, TimestampTz now);
  // From when on there can be more, if there can be none now because of the time.
  TimestampTz free_at(TimestampTz now) const;
  bool holds(TimestampTz now) const { return closed || hold_until > now; }

  void note(const Outcome& outcome, TimestampTz now, int max_delay_s);
  // Somebody has changed it, or asks for what failed: begins anew.
  void begin_anew();
};

}  // namespace fraud::worker
