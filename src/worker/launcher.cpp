#include "worker/launcher.h"

#include <algorithm>
#include <map>
#include <vector>

#include "pg/server/boundary.h"
#include "pg/server/gucs.h"
#include "pg/server/shared_state.h"
#include "worker/process.h"

extern "C" {
#include "access/genam.h"
#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "storage/latch.h"

PGDLLEXPORT void fraud_detect_launcher_main(Datum argument);
}

namespace fraud::worker {

using namespace fraud::pg;

namespace {

constexpr int64_t kSecond = 1000000;
constexpr int64_t kMaxRestartDelay = 60 * kSecond;
constexpr long kIdleMs = 60000;  // how often new databases are looked for, unless woken

// How a worker of each kind is started, in the order of WorkerKind.
struct WorkerClass {
  const char* function;
  const char* type;  // as pg_stat_activity shows it
};
constexpr WorkerClass kWorkerClasses[] = {
    {"fraud_detect_ingest_worker_main", "fraud_detect ingest"},
    {"fraud_detect_notify_worker_main", "fraud_detect notify"},
    {"fraud_detect_score_worker_main", "fraud_detect scorer"},
};

// Tells which of the scorers a kind of worker is; negative: none of them.
int scorer_number(WorkerKind kind) {
  return static_cast<int>(kind) - static_cast<int>(WorkerKind::kScorer);
}

// What the launcher knows of one worker of one database.
struct Worker {
  BackgroundWorkerHandle* handle = nullptr;  // of a worker that is starting or running
  TimestampTz started_at = 0;
  TimestampTz not_before = 0;  // when it may be started again
  int64_t delay = 0;           // the last wait before a restart
};

struct Database {
  bool absent = false;  // looked into: no extension
  Worker workers[kWorkerKinds];

  bool has_workers() const {
    return std::any_of(std::begin(workers), std::end(workers),
                       [](const Worker& worker) { return worker.handle != nullptr; });
  }
};

// Lists the databases that sessions may connect to. Template databases are left
// in peace: a session there makes CREATE DATABASE fail.
std::vector<Oid> list_databases() {
  std::vector<Oid> databases;
  Oid* found = nullptr;
  int count = 0;
  MemoryContext context = CurrentMemoryContext;
  protect([&] {
    StartTransactionCommand();
    (void)GetTransactionSnapshot();
    Relation relation = table_open(DatabaseRelationId, AccessShareLock);
    TableScanDesc scan = table_beginscan_catalog(relation, 0, nullptr);
    int room = 64;
    found = (Oid*)MemoryContextAlloc(context, sizeof(Oid) * room);
    HeapTuple tuple;
    while ((tuple = heap_getnext(scan, ForwardScanDirection)) != nullptr) {
      Form_pg_database database = (Form_pg_database)GETSTRUCT(tuple);
      if (!database->datallowconn || database->datistemplate || database->datconnlimit == -2) {
        continue;
      }
      if (count == room) {
        room *= 2;
        found = (Oid*)repalloc(found, sizeof(Oid) * room);
      }
      found[count++] = database->oid;
    }
    table_endscan(scan);
    table_close(relation, AccessShareLock);
    CommitTransactionCommand();
    MemoryContextSwitchTo(context);
  });
  databases.assign(found, found + count);
  protect([&] { pfree(found); });
  return databases;
}

// Starts a worker in the database; nullptr when the server has no slot left.
BackgroundWorkerHandle* start_worker_of(Oid database, WorkerKind kind) {
  const int number = scorer_number(kind);
  const WorkerClass& what = kWorkerClasses[static_cast<int>(number >= 0 ? WorkerKind::kScorer : kind)];
  return protect([&] {
    BackgroundWorker worker;
    memset(&worker, 0, sizeof(worker));
    worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
    worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
    worker.bgw_restart_time = BGW_NEVER_RESTART;  // the launcher decides
    worker.bgw_notify_pid = MyProcPid;
    worker.bgw_main_arg = ObjectIdGetDatum(database);
    memcpy(worker.bgw_extra, &number, sizeof(number));
    snprintf(worker.bgw_library_name, sizeof(worker.bgw_library_name), "fraud_detect");
    snprintf(worker.bgw_function_name, sizeof(worker.bgw_function_name), "%s", what.function);
    snprintf(worker.bgw_name, BGW_MAXLEN, "%s worker, database %u", what.type, database);
    snprintf(worker.bgw_type, BGW_MAXLEN, "%s", what.type);
    return start_worker(worker);
  });
}

class Launcher {
 public:
  // One look at everything; returns how long to wait in milliseconds.
  long turn() {
    if (protect([] { return take_probe_request(); })) {
      for (auto& [oid, database] : databases_) database.absent = false;
    }
    TimestampTz now = GetCurrentTimestamp();
    if (clock_.was_set_back()) {
      for (auto& [oid, database] : databases_) {
        for (Worker& worker : database.workers) worker.started_at = worker.not_before = 0;
      }
      lacking_since_ = warned_at_ = 0;
    }
    note_ended_workers(now);
    std::vector<Oid> present = list_databases();
    forget_dropped(present);
    long wait = kIdleMs;
    bool lacked_slot = false;
    for (Oid oid : present) {
      for (int kind = 0; kind < kWorkerKinds; ++kind) {
        wait = std::min(wait, start_when_due(oid, static_cast<WorkerKind>(kind), now, lacked_slot));
      }
    }
    warn_of_slots(lacked_slot, now);
    warn_of_silence(present, now);
    return wait;
  }

 private:
  // Starts a worker that is wanted; returns how long to wait before the next look.
  long start_when_due(Oid oid, WorkerKind kind, TimestampTz now, bool& lacked_slot) {
    Database& database = databases_[oid];
    Worker& worker = database.workers[static_cast<int>(kind)];
    if (worker.handle != nullptr || database.absent) return kIdleMs;
    if (scorer_number(kind) >= guc_ingest_workers) return kIdleMs;
    if (kind != WorkerKind::kIngest && !protect([&] { return extension_present(oid); })) {
      return kIdleMs;
    }
    if (worker.not_before > now) return static_cast<long>((worker.not_before - now) / 1000) + 1;
    bool full = false;
    bool open = protect([&] { return open_slot(oid, kind, &full); });
    if (open) {
      worker.handle = start_worker_of(oid, kind);
      if (worker.handle == nullptr) {
        protect([&] { close_slot(oid, kind); });
        full = true;
      }
    }
    lacked_slot = lacked_slot || full;
    worker.started_at = now;
    if (worker.handle != nullptr) return kIdleMs;
    worker.not_before = now + kSecond;
    return 1000;
  }

  void note_ended_workers(TimestampTz now) {
    for (auto& [oid, database] : databases_) {
      for (int kind = 0; kind < kWorkerKinds; ++kind) {
        Worker& worker = database.workers[kind];
        if (worker.handle == nullptr) continue;
        BackgroundWorkerHandle* handle = worker.handle;
        pid_t pid = 0;
        BgwHandleStatus status = protect([&] { return GetBackgroundWorkerPid(handle, &pid); });
        if (status != BGWH_STOPPED) continue;
        protect([&] { pfree(handle); });
        worker.handle = nullptr;
        Oid ended = oid;
        bool absent = protect([&] { return close_slot(ended, static_cast<WorkerKind>(kind)); });
        if (kind == static_cast<int>(WorkerKind::kIngest)) database.absent = absent;
        // A worker that lived long starts again at once, one that keeps dying ever
        // later.
        bool lived = now - worker.started_at > kMaxRestartDelay;
        worker.delay = lived || worker.delay == 0 ? kSecond / 4
                                                  : std::min(kMaxRestartDelay, worker.delay * 2);
        worker.not_before = now + worker.delay;
      }
    }
  }

  // A database that is gone has no workers; its slot was closed with them.
  void forget_dropped(const std::vector<Oid>& present) {
    for (auto it = databases_.begin(); it != databases_.end();) {
      bool gone = std::find(present.begin(), present.end(), it->first) == present.end();
      if (gone && !it->second.has_workers()) {
        Oid oid = it->first;
        for (int kind = 0; kind < kWorkerKinds; ++kind) {
          protect([&] { close_slot(oid, static_cast<WorkerKind>(kind)); });
        }
        it = databases_.erase(it);
      } else {
        ++it;
      }
    }
  }

  // Says once of a worker that it does not answer, and once that it does again. Nothing but the
  // log depends on this, and the log on no worker, no job and no channel.
  void warn_of_silence(const std::vector<Oid>& present, TimestampTz now) {
    std::map<pid_t, int> silent;
    for (Oid oid : present) {
      WorkerBeat beats[kMostBeats];
      const int count = protect([&] { return list_beats(oid, beats); });
      for (int i = 0; i < count; ++i) {
        const WorkerBeat& beat = beats[i];
        if (beat.kind == kWorkerKinds || now - beat.due_at < guc_worker_patience_s * kSecond) continue;
        silent[beat.pid] = beat.kind;
        if (silent_.count(beat.pid) != 0) continue;
        const int kind = std::min(beat.kind, static_cast<int>(WorkerKind::kScorer));
        protect([&] {
          ereport(WARNING, (errmsg("%s worker, database %u, does not answer (pid %d)", kWorkerClasses[kind].type, oid, (int)beat.pid),
                            errdetail("It was to turn %lld seconds ago.", (long long)((now - beat.due_at) / kSecond)),
                            errhint("fraud.health() says what to do.")));
        });
      }
    }
    for (const auto& [pid, kind] : silent_) {
      if (silent.count(pid) != 0) continue;
      protect([&] { ereport(LOG, (errmsg("%s worker answers again, or has ended (pid %d)", kWorkerClasses[std::min(kind, static_cast<int>(WorkerKind::kScorer))].type, (int)pid))); });
    }
    silent_ = std::move(silent);
  }

  void warn_of_slots(bool lacked, TimestampTz now) {
    if (!lacked) {
      lacking_since_ = 0;
      return;
    }
    // Probes of other databases take slots for a moment; a lasting lack is told,
    // once a minute.
    if (lacking_since_ == 0) lacking_since_ = now;
    if (now - lacking_since_ < 10 * kSecond || now - warned_at_ < 60 * kSecond) return;
    warned_at_ = now;
    protect([] {
      ereport(WARNING, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
                        errmsg("fraud_detect has no slot for every worker"),
                        errhint("Raise max_worker_processes or fraud_detect.max_databases.")));
    });
  }

  std::map<Oid, Database> databases_;
  ClockWatch clock_;
  TimestampTz lacking_since_ = 0;
  TimestampTz warned_at_ = 0;
  std::map<pid_t, int> silent_;  // workers that do not answer, with their kinds
};

void run() {
  protect([] {
    begin_worker();
    BackgroundWorkerInitializeConnection(nullptr, nullptr, 0);
    register_launcher();
  });
  Launcher launcher;
  for (;;) {
    begin_turn();
    long wait = launcher.turn();
    protect([&] {
      pgstat_report_activity(STATE_IDLE, nullptr);
      // A worker that falls silent is to be noticed soon after.
      wait = std::min(wait, std::max(1000L, guc_worker_patience_s * 500L));
      note_wait(wait);
      (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, wait,
                      PG_WAIT_EXTENSION);
    });
  }
}

}  // namespace

void register_launcher_worker() {
  BackgroundWorker worker;
  memset(&worker, 0, sizeof(worker));
  worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
  worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
  worker.bgw_restart_time = 1;
  snprintf(worker.bgw_library_name, sizeof(worker.bgw_library_name), "fraud_detect");
  snprintf(worker.bgw_function_name, sizeof(worker.bgw_function_name),
           "fraud_detect_launcher_main");
  snprintf(worker.bgw_name, BGW_MAXLEN, "fraud_detect launcher");
  snprintf(worker.bgw_type, BGW_MAXLEN, "fraud_detect launcher");
  register_worker(worker);
}

}  // namespace fraud::worker

void fraud_detect_launcher_main(Datum) {
  fraud::pg::guarded([] { fraud::worker::run(); });
}
