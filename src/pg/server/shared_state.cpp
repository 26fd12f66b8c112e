// Plain Postgres code: no C++ object lives here, so errors may pass through.
#include "pg/server/shared_state.h"

#include "pg/server/gucs.h"

#include <csignal>

extern "C" {
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"
}

namespace fraud::pg {

namespace {

struct Worker {
  pid_t pid;     // 0: not running yet, or ended
  bool managed;  // opened by the launcher, which closes it
  bool absent;   // it found no extension
  bool woken;    // somebody called since it last looked
  TimestampTz turned_at;
  TimestampTz due_at;  // when it turns again at the latest
};

struct Slot {
  Oid database;     // InvalidOid: free
  pid_t paused_by;  // the backend that needs the database without workers
  bool present;     // a worker found the extension
  bool read_only;   // the ingest worker waits until the database is so no more
  Worker workers[kWorkerKinds];
  uint8 shard_owners[kShards];  // 1 + the scorer's number; 0: nobody has it
};

struct SharedState {
  LWLock* lock;
  pid_t launcher;
  TimestampTz launcher_turned_at;
  TimestampTz launcher_due_at;
  bool probe;  // look into all databases again
  int slot_count;
  Slot slots[FLEXIBLE_ARRAY_MEMBER];
};

SharedState* state = nullptr;
shmem_request_hook_type previous_request_hook = nullptr;
shmem_startup_hook_type previous_startup_hook = nullptr;

Size state_size() {
  return add_size(offsetof(SharedState, slots), mul_size(guc_max_databases, sizeof(Slot)));
}

void request() {
  if (previous_request_hook != nullptr) previous_request_hook();
  RequestAddinShmemSpace(state_size());
  RequestNamedLWLockTranche("fraud_detect", 1);
}

void startup() {
  if (previous_startup_hook != nullptr) previous_startup_hook();
  bool found;
  LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
  state = (SharedState*)ShmemInitStruct("fraud_detect", state_size(), &found);
  if (!found) {
    memset((void*)state, 0, state_size());
    state->lock = &GetNamedLWLockTranche("fraud_detect")->lock;
    state->slot_count = guc_max_databases;
  }
  LWLockRelease(AddinShmemInitLock);
}

Slot* slot_of(Oid database) {
  for (int i = 0; i < state->slot_count; ++i) {
    if (state->slots[i].database == database) return &state->slots[i];
  }
  return nullptr;
}

void set_latch_of(pid_t pid) {
  if (pid == 0) return;
  PGPROC* process = BackendPidGetProc(pid);
  if (process != nullptr) SetLatch(&process->procLatch);
}

bool is_managed(const Slot* slot) {
  for (const Worker& worker : slot->workers) {
    if (worker.managed) return true;
  }
  return false;
}

Worker* worker_of(Slot* slot, WorkerKind kind) { return &slot->workers[(int)kind]; }

void wake(Oid database, WorkerKind kind) {
  LWLockAcquire(state->lock, LW_EXCLUSIVE);
  Slot* slot = slot_of(database);
  pid_t worker = 0;
  pid_t launcher = 0;
  if (slot != nullptr && worker_of(slot, kind)->managed) {
    // A worker that is just ending, finding nothing, is started again.
    worker_of(slot, kind)->woken = true;
    worker = worker_of(slot, kind)->pid;
  } else if (kind >= WorkerKind::kScorer) {
    // One that is not there looks at everything when it starts.
  } else if (kind == WorkerKind::kIngest || slot == nullptr || !is_managed(slot)) {
    state->probe = true;  // else it is about to start, and looks when it does
    launcher = state->launcher;
  }
  LWLockRelease(state->lock);
  set_latch_of(worker);
  set_latch_of(launcher);
}

// Which worker this process is; nullptr: none, or the launcher.
Slot* own_slot = nullptr;
int own_kind = 0;

void note_beat(TimestampTz turned_at, TimestampTz due_at) {
  LWLockAcquire(state->lock, LW_EXCLUSIVE);
  if (own_slot != nullptr && own_slot->workers[own_kind].pid == MyProcPid) {
    Worker& worker = own_slot->workers[own_kind];
    if (turned_at != 0) worker.turned_at = turned_at;
    worker.due_at = due_at;
  } else if (state->launcher == MyProcPid) {
    if (turned_at != 0) state->launcher_turned_at = turned_at;
    state->launcher_due_at = due_at;
  }
  LWLockRelease(state->lock);
}

bool wake_pending[kWorkerKinds];

void on_transaction(XactEvent event, void*) {
  bool committed = event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE;
  if (!committed && event != XACT_EVENT_ABORT) return;
  for (int kind = 0; kind < kWorkerKinds; ++kind) {
    if (!wake_pending[kind]) continue;
    wake_pending[kind] = false;
    if (committed) wake(MyDatabaseId, (WorkerKind)kind);
  }
}

void free_shards(Slot* slot, int kind) {
  const int scorer = kind - (int)WorkerKind::kScorer;
  for (uint8& owner : slot->shard_owners) {
    if (scorer >= 0 && owner == scorer + 1) owner = 0;
  }
}

void forget_launcher(int, Datum) {
  LWLockAcquire(state->lock, LW_EXCLUSIVE);
  if (state->launcher == MyProcPid) state->launcher = 0;
  LWLockRelease(state->lock);
}

void forget_worker(int, Datum database) {
  LWLockAcquire(state->lock, LW_EXCLUSIVE);
  Slot* slot = slot_of(DatumGetObjectId(database));
  if (slot != nullptr) {
    for (int kind = 0; kind < kWorkerKinds; ++kind) {
      if (slot->workers[kind].pid != MyProcPid) continue;
      slot->workers[kind].pid = 0;
      if (kind == (int)WorkerKind::kIngest) slot->read_only = false;
      free_shards(slot, kind);
    }
  }
  LWLockRelease(state->lock);
}

}  // namespace

void request_shared_state() {
  previous_request_hook = shmem_request_hook;
  shmem_request_hook = request;
  previous_startup_hook = shmem_startup_hook;
  shmem_startup_hook = startup;
}

bool have_shared_state() { return state != nullptr; }

void wake_now(WorkerKind kind) { wake(MyDatabaseId, kind); }

void wake_at_commit(WorkerKind kind) {
  static bool registered = false;
  if (state == nullptr) return;
  if (!registered) {
    RegisterXactCallback(on_transaction, nullptr);
    registered = true;
  }
  wake_pending[(int)kind] = true;
}

void wake_scorers_at_commit() {
  for (int i = 0; i < kMaxScorers; ++i) wake_at_commit(scorer_kind(i));
}

void pause_database(Oid database) {
  LWLockAcquire(state->lock, LW_EXCLUSIVE);
  Slot* slot = slot_of(database);
  // Without a slot the database has no workers; one that comes meanwhile is as if
  // any other session had come.
  if (slot == nullptr) slot = slot_of(InvalidOid);
  if (slot != nullptr) {
    slot->database = database;
    slot->paused_by = MyProcPid;
  }
  LWLockRelease(state->lock);
  if (slot == nullptr) return;
  // The workers leave within a second; what is longer is left to the statement,
  // which waits for sessions of its own accord.
  for (int turn = 0; turn < 500; ++turn) {
    pid_t workers[kWorkerKinds] = {};
    bool any = false;
    LWLockAcquire(state->lock, LW_SHARED);
    slot = slot_of(database);
    for (int kind = 0; slot != nullptr && kind < kWorkerKinds; ++kind) {
      workers[kind] = slot->workers[kind].pid;
      any = any || workers[kind] != 0;
    }
    LWLockRelease(state->lock);
    if (!any) break;
    for (pid_t worker : workers) {
      if (worker != 0 && turn % 100 == 0) kill(worker, SIGTERM);
    }
    (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 10,
                    PG_WAIT_EXTENSION);
    ResetLatch(MyLatch);
    CHECK_FOR_INTERRUPTS();
  }
}

void resume_database(Oid database) {
  LWLockAcquire(state->lock, LW_EXCLUSIVE);
  Slot* slot = slot_of(database);
  if (slot != nullptr && slot->paused_by == MyProcPid) {
    slot->paused_by = 0;
    if (!is_managed(slot)) slot->database = InvalidOid;
  }
  state->probe = true;
  pid_t launcher = state->launcher;
  LWLockRelease(state->lock);
  set_latch_of(launcher);
}

void register_launcher() {
  before_shmem_exit(forget_launcher, (Datum)0);
  LWLockAcquire(state->lock, LW_EXCLUSIVE);
  state->launcher = MyProcPid;
  state->launcher_turned_at = state->launcher_due_at = GetCurrentTimestamp();
  state->probe = true;
  LWLockRelease(state->lock);
}

bool take_probe_request() {
  LWLockAcquire(state->lock, LW_EXCLUSIVE);
  bool probe = state->probe;
  state->probe = false;
  LWLockRelease(state->lock);
  return probe;
}

bool open_slot(Oid database, WorkerKind kind, bool* full) {
  *full = false;
  bool open = true;
  pid_t orphan = 0;  // the worker of a launcher that died: it must go first
  LWLockAcquire(state->lock, LW_EXCLUSIVE);
  Slot* slot = slot_of(database);
  Worker* worker = slot != nullptr ? worker_of(slot, kind) : nullptr;
  if (worker != nullptr && worker->pid != 0) {
    if (BackendPidGetProc(worker->pid) != nullptr) {
      orphan = worker->pid;
      open = false;
    } else {
      worker->pid = 0;
    }
  }
  if (slot != nullptr && slot->paused_by != 0) {
    // A backend that died in its statement pauses nothing any more.
    if (BackendPidGetProc(slot->paused_by) != nullptr) {
      open = false;
    } else {
      slot->paused_by = 0;
    }
  }
  if (slot == nullptr) {
    slot = slot_of(InvalidOid);
    if (slot == nullptr) {
      *full = true;
      open = false;
    } else {
      memset((void*)slot, 0, sizeof(Slot));
      slot->database = database;
    }
  }
  if (open) {
    *worker_of(slot, kind) = Worker{};
    worker_of(slot, kind)->managed = true;
  }
  LWLockRelease(state->lock);
  if (orphan != 0) kill(orphan, SIGTERM);
  return open;
}

bool close_slot(Oid database, WorkerKind kind) {
  LWLockAcquire(state->lock, LW_EXCLUSIVE);
  Slot* slot = slot_of(database);
  bool absent = false;
  if (slot != nullptr) {
    Worker* worker = worker_of(slot, kind);
    absent = worker->absent && !worker->woken;
    if (worker->absent) slot->present = false;
    *worker = Worker{};
    free_shards(slot, (int)kind);
    if (!is_managed(slot) && slot->paused_by == 0) slot->database = InvalidOid;
  }
  LWLockRelease(state->lock);
  return absent;
}

bool extension_present(Oid database) {
  if (state == nullptr) return false;
  LWLockAcquire(state->lock, LW_SHARED);
  Slot* slot = slot_of(database);
  bool present = slot != nullptr && slot->present;
  LWLockRelease(state->lock);
  return present;
}

void register_worker(Oid database, WorkerKind kind) {
  before_shmem_exit(forget_worker, ObjectIdGetDatum(database));
  LWLockAcquire(state->lock, LW_EXCLUSIVE);
  Slot* slot = slot_of(database);
  Worker* worker = slot != nullptr ? worker_of(slot, kind) : nullptr;
  bool welcome = worker != nullptr && slot->paused_by == 0 && worker->pid == 0;
  if (welcome) {
    worker->pid = MyProcPid;
    worker->turned_at = worker->due_at = GetCurrentTimestamp();
    own_slot = slot;
    own_kind = (int)kind;
  }
  LWLockRelease(state->lock);
  if (!welcome) proc_exit(1);  // paused, or forgotten: the launcher starts another when it may
}

bool begin_look(Oid database, WorkerKind kind) {
  LWLockAcquire(state->lock, LW_EXCLUSIVE);
  Slot* slot = slot_of(database);
  bool woken = slot != nullptr && worker_of(slot, kind)->woken;
  if (slot != nullptr) worker_of(slot, kind)->woken = false;
  LWLockRelease(state->lock);
  return woken;
}

uint64_t take_shards(Oid database, int scorer, int scorers) {
  uint64_t mine = 0;
  bool freed = false;
  LWLockAcquire(state->lock, LW_EXCLUSIVE);
  Slot* slot = slot_of(database);
  for (int shard = 0; slot != nullptr && shard < kShards; ++shard) {
    uint8& owner = slot->shard_owners[shard];
    const bool wanted = shard % scorers == scorer;
    if (owner == 0 && wanted) owner = (uint8)(scorer + 1);
    if (owner == scorer + 1 && !wanted) {
      owner = 0;
      freed = true;
    }
    if (owner == scorer + 1) mine |= uint64_t{1} << shard;
  }
  LWLockRelease(state->lock);
  if (freed) {
    for (int i = 0; i < kMaxScorers; ++i) wake(database, scorer_kind(i));
  }
  return mine;
}

void report_present(Oid database) {
  LWLockAcquire(state->lock, LW_EXCLUSIVE);
  Slot* slot = slot_of(database);
  bool news = slot != nullptr && !slot->present;
  if (news) slot->present = true;
  pid_t launcher = news ? state->launcher : 0;
  LWLockRelease(state->lock);
  set_latch_of(launcher);
}

void report_read_only(Oid database, bool waits) {
  LWLockAcquire(state->lock, LW_EXCLUSIVE);
  Slot* slot = slot_of(database);
  if (slot != nullptr) slot->read_only = waits;
  LWLockRelease(state->lock);
}

bool waits_read_only(Oid database) {
  if (state == nullptr) return false;
  LWLockAcquire(state->lock, LW_SHARED);
  Slot* slot = slot_of(database);
  const bool waits = slot != nullptr && slot->read_only;
  LWLockRelease(state->lock);
  return waits;
}

void note_turn() {
  const TimestampTz now = GetCurrentTimestamp();
  note_beat(now, now);
}

void note_wait(long ms) { note_beat(0, GetCurrentTimestamp() + (ms > 0 ? ms : 0) * INT64CONST(1000)); }

int list_beats(Oid database, WorkerBeat* beats) {
  int count = 0;
  if (state == nullptr) return count;
  LWLockAcquire(state->lock, LW_SHARED);
  Slot* slot = slot_of(database);
  for (int kind = 0; slot != nullptr && kind < kWorkerKinds; ++kind) {
    const Worker& worker = slot->workers[kind];
    if (worker.pid != 0) beats[count++] = {kind, worker.pid, worker.turned_at, worker.due_at};
  }
  if (state->launcher != 0) {
    beats[count++] = {kWorkerKinds, state->launcher, state->launcher_turned_at, state->launcher_due_at};
  }
  LWLockRelease(state->lock);
  return count;
}

void report_absent(Oid database, WorkerKind kind) {
  LWLockAcquire(state->lock, LW_EXCLUSIVE);
  Slot* slot = slot_of(database);
  if (slot != nullptr && worker_of(slot, kind)->pid == MyProcPid) {
    worker_of(slot, kind)->absent = true;
  }
  LWLockRelease(state->lock);
}

}  // namespace fraud::pg
