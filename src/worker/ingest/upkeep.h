// What the ingest worker does beside polling: it makes months' partitions and tiles, and writes down who
// tries card numbers.
#pragma once

#include "pg/server/spi.h"

#include <string>
#include <vector>

namespace fraud::worker {

// The months that payments may be of.
class MonthMaker {
 public:
  // Finds out which are missing.
  void look(fraud::pg::Spi& spi);

  bool is_due() const;
  // When the next is to be made, or DT_NOEND.
  TimestampTz next_due() const;

  // Makes one that is due, in a transaction of its own: scorers make none. Where somebody is in
  // the way it is tried again, and nobody waits behind it; false when the extension is gone.
  bool make_next();

 private:
  std::vector<TimestampTz> months_;  // that are to be made
  TimestampTz months_at_ = 0;        // when the next is to be
  std::string month_fault_;          // why the last one could not
};

// What follows a payment that had not come when it came.
class WaitingFollowUps {
 public:
  // When it is to be looked for next, or DT_NOEND.
  TimestampTz next_due() const { return due_at_; }
  // Somebody called: it may be that one waits now.
  void expect();

  // Sends those again, in a transaction of its own, whose payment has been stored since; false when the
  // extension is gone.
  bool send_again();

 private:
  TimestampTz due_at_ = 0;
};

// Makes the tiles that are asked for, by pieces between polls.
class TileMaker {
 public:
  TimestampTz next_due() const { return due_at_; }
  // Somebody called: it may be that tiles are asked for.
  void expect() { due_at_ = 0; }

  // One piece, in a transaction of its own; false when the extension is gone.
  bool make_next();

 private:
  TimestampTz due_at_ = 0;
  int64_t pause_us_ = 0;  // after a look that found nothing
};

// Writes down who tries card numbers, in a transaction that nobody else can undo;
// false when the extension is gone.
bool note_number_alarms();

}  // namespace fraud::worker
