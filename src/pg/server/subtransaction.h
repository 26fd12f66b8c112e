// A part of a transaction that may fail by itself.
#pragma once

#include "pg/server/boundary.h"

#include <utility>

extern "C" {
#include "utils/resowner.h"
}

namespace fraud::pg {

// Runs body; what it throws goes on once all that it did is undone, and the transaction can go
// on. (It takes two microseconds where nothing is written.)
template <typename Body>
void in_subtransaction(Body&& body) {
  MemoryContext context = CurrentMemoryContext;
  ResourceOwner owner = CurrentResourceOwner;
  protect([&] {
    BeginInternalSubTransaction(nullptr);
    MemoryContextSwitchTo(context);
  });
  try {
    body();
  } catch (...) {
    protect([&] {
      RollbackAndReleaseCurrentSubTransaction();
      MemoryContextSwitchTo(context);
      CurrentResourceOwner = owner;
    });
    throw;
  }
  protect([&] {
    ReleaseCurrentSubTransaction();
    MemoryContextSwitchTo(context);
    CurrentResourceOwner = owner;
  });
}

}  // namespace fraud::pg
