// The snapshot of what is committed now, and what this transaction did, until the end of its life.
#pragma once

#include "pg/server/server.h"

extern "C" {
#include "utils/snapmgr.h"
}

namespace fraud::pg {

class CurrentSnapshot {
 public:
  CurrentSnapshot();
  ~CurrentSnapshot() noexcept;
  CurrentSnapshot(const CurrentSnapshot&) = delete;
  CurrentSnapshot& operator=(const CurrentSnapshot&) = delete;
  Snapshot get() const noexcept { return snapshot_; }

 private:
  Snapshot snapshot_;
  int exceptions_;
};

}  // namespace fraud::pg
