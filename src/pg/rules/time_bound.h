// Interrupts code of somebody else's that takes too long, as a cancel would.
#pragma once

#include "pg/server/server.h"

namespace fraud::pg {

// From start() on, what runs fails with ERRCODE_QUERY_CANCELED when `milliseconds` have gone by, again and again: code
// that catches it is interrupted once more. Zero: it may take any time. There is one at a time.
class TimeBound {
 public:
  explicit TimeBound(int milliseconds);
  ~TimeBound() noexcept { (void)stop(); }
  TimeBound(const TimeBound&) = delete;
  TimeBound& operator=(const TimeBound&) = delete;

  // Ends it. Returns whether the time was over, whether or not that interrupted something.
  bool stop() noexcept;

 private:
  bool runs_ = false, was_over_ = false;
};

}  // namespace fraud::pg
