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

  // Ends it. Returns whether the time was over, whether or not that interrupted something; false where somebody else has
  // canceled the statement meanwhile, or its own time is over, since that is no fault of the code.
  bool stop() noexcept;

  // Once it has ended: has what somebody else has canceled be canceled at the next occasion, should the code have caught it.
  void pass_on() const noexcept;

 private:
  bool runs_ = false, was_over_ = false, is_canceled_ = false, statement_is_bound_ = false, hears_ = false;
};

}  // namespace fraud::pg
