#include "pg/server/current_snapshot.h"

#include <exception>

#include "pg/server/boundary.h"

namespace fraud::pg {

CurrentSnapshot::CurrentSnapshot() : exceptions_(std::uncaught_exceptions()) {
  snapshot_ = protect([] {
    CommandCounterIncrement();
    PushActiveSnapshot(GetTransactionSnapshot());
    return GetActiveSnapshot();
  });
}

CurrentSnapshot::~CurrentSnapshot() noexcept {
  // After an error the transaction's abort pops it.
  if (std::uncaught_exceptions() == exceptions_) PopActiveSnapshot();
}

}  // namespace fraud::pg
