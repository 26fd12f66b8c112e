// Interrupts code of somebody else's that takes too long, as a cancel would.
#pragma once

#include "pg/server/server.h"

namespace fraud::pg {

// From its beginning on, what runs fails with ERRCODE_QUERY_CANCELED when `milliseconds` have gone by. Code that catches
// that is interrupted once more as soon as it does anything, what it does to handle it included, so that it ends after as
// many catches as it has handlers around. Zero, or within another: it has no time of its own.
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
  ErrorContextCallback on_error_{};
  bool runs_ = false, was_over_ = false, is_canceled_ = false, statement_is_bound_ = false, hears_ = false;
};

}  // namespace fraud::pg
