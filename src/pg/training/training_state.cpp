// Plain Postgres code: no C++ object lives here, so errors may pass through.
#include "pg/training/training_state.h"

#include "pg/server/gucs.h"
#include "pg/server/shared_state.h"

#include <csignal>
#include <cstring>

extern "C" {
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "storage/shmem.h"
#include "utils/float.h"
}

namespace fraud::pg {

namespace {

struct Slot {
  Oid database;  // InvalidOid: free
  TrainingRun run;
};

struct State {
  LWLock* lock;
  int count;
  Slot slots[FLEXIBLE_ARRAY_MEMBER];
};

State* state = nullptr;
shmem_request_hook_type previous_request_hook = nullptr;
shmem_startup_hook_type previous_startup_hook = nullptr;

Size state_size() {
  return add_size(offsetof(State, slots), mul_size(guc_max_training_workers, sizeof(Slot)));
}

void request() {
  if (previous_request_hook != nullptr) previous_request_hook();
  RequestAddinShmemSpace(state_size());
  RequestNamedLWLockTranche("fraud_detect training", 1);
}

void startup() {
  if (previous_startup_hook != nullptr) previous_startup_hook();
  bool found;
  LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
  state = (State*)ShmemInitStruct("fraud_detect training", state_size(), &found);
  if (!found) {
    memset((void*)state, 0, state_size());
    state->lock = &GetNamedLWLockTranche("fraud_detect training")->lock;
    state->count = guc_max_training_workers;
  }
  LWLockRelease(AddinShmemInitLock);
}

void leave(int, Datum argument) {
  LWLockAcquire(state->lock, LW_EXCLUSIVE);
  Slot* slot = &state->slots[DatumGetInt32(argument)];
  if (slot->run.worker == MyProcPid) memset((void*)slot, 0, sizeof(*slot));
  LWLockRelease(state->lock);
  if (OidIsValid(MyDatabaseId)) wake_now(WorkerKind::kIngest);
}

}  // namespace

void request_training_state() {
  previous_request_hook = shmem_request_hook;
  shmem_request_hook = request;
  previous_startup_hook = shmem_startup_hook;
  shmem_startup_hook = startup;
}

int list_training_runs(TrainingRun* runs) {
  if (state == nullptr) return 0;
  int count = 0;
  LWLockAcquire(state->lock, LW_SHARED);
  for (int i = 0; i < state->count; ++i) {
    if (state->slots[i].database == MyDatabaseId) runs[count++] = state->slots[i].run;
  }
  LWLockRelease(state->lock);
  return count;
}

bool cancel_training_run(int64 run) {
  if (state == nullptr) return false;
  pid_t worker = 0;
  LWLockAcquire(state->lock, LW_SHARED);
  for (int i = 0; i < state->count; ++i) {
    Slot* slot = &state->slots[i];
    if (slot->database == MyDatabaseId && slot->run.run == run) worker = slot->run.worker;
  }
  // Under the lock, so that the process is still that worker.
  if (worker != 0) kill(worker, SIGINT);
  LWLockRelease(state->lock);
  return worker != 0;
}

void end_training(Oid database) {
  if (state == nullptr) return;
  for (;;) {
    bool any = false;
    LWLockAcquire(state->lock, LW_EXCLUSIVE);
    for (int i = 0; i < state->count; ++i) {
      Slot* slot = &state->slots[i];
      if (slot->database != database || slot->run.worker == MyProcPid) continue;
      if (slot->run.worker == 0) {
        memset((void*)slot, 0, sizeof(*slot));  // one that is starting finds no slot and ends
        continue;
      }
      any = true;
      kill(slot->run.worker, SIGTERM);
    }
    LWLockRelease(state->lock);
    if (!any) return;
    (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 10,
                    PG_WAIT_EXTENSION);
    ResetLatch(MyLatch);
    CHECK_FOR_INTERRUPTS();
  }
}

int open_training_slot(int64 run) {
  int found = -1;
  LWLockAcquire(state->lock, LW_EXCLUSIVE);
  for (int i = 0; i < state->count && found < 0; ++i) {
    if (!OidIsValid(state->slots[i].database)) found = i;
  }
  if (found >= 0) {
    Slot* slot = &state->slots[found];
    memset((void*)slot, 0, sizeof(*slot));
    slot->database = MyDatabaseId;
    slot->run.run = run;
    slot->run.progress.metric = get_float8_nan();
    strlcpy(slot->run.progress.phase, "starting", sizeof(slot->run.progress.phase));
    slot->run.progress.phase_since = GetCurrentTimestamp();
  }
  LWLockRelease(state->lock);
  return found;
}

void close_unused_training_slot(int slot, int64 run) {
  LWLockAcquire(state->lock, LW_EXCLUSIVE);
  Slot* it = &state->slots[slot];
  if (it->database == MyDatabaseId && it->run.run == run && it->run.worker == 0) {
    memset((void*)it, 0, sizeof(*it));
  }
  LWLockRelease(state->lock);
}

void register_training_worker(int slot, Oid* database, int64* run) {
  LWLockAcquire(state->lock, LW_EXCLUSIVE);
  Slot* it = &state->slots[slot];
  bool welcome = OidIsValid(it->database) && it->run.worker == 0;
  if (welcome) {
    it->run.worker = MyProcPid;
    *database = it->database;
    *run = it->run.run;
  }
  LWLockRelease(state->lock);
  if (!welcome) proc_exit(0);
  before_shmem_exit(leave, Int32GetDatum(slot));
}

void set_training_progress(int slot, const TrainingProgress& progress) {
  LWLockAcquire(state->lock, LW_EXCLUSIVE);
  state->slots[slot].run.progress = progress;
  LWLockRelease(state->lock);
}

}  // namespace fraud::pg
