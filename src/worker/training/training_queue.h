// Starts the training runs of a database that wait, and takes note of those whose
// worker is gone without a word. Kept by the ingest worker, which every database
// with the extension has.
#pragma once

#include <map>
#include <utility>

#include "pg/server/server.h"
#include "pg/server/spi.h"

extern "C" {
#include "postmaster/bgworker.h"
}

namespace fraud::worker {

class TrainingQueue {
 public:
  // Looks at the queue, inside a transaction. Workers that start and end wake this
  // process.
  void look(pg::Spi& spi);

  // When to look again, unless woken.
  TimestampTz next_look() const { return next_look_; }

 private:
  void note_ended();
  bool start(int64_t run);

  std::map<int64_t, std::pair<int, BackgroundWorkerHandle*>> started_;  // slot, handle
  TimestampTz next_look_ = DT_NOEND;
  TimestampTz warned_at_ = 0;  // that there is no slot
};

}  // namespace fraud::worker
