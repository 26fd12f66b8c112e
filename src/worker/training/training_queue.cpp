#include "pg/server/boundary.h"

#include "worker/training/training_queue.h"

#include <vector>

#include "pg/server/gucs.h"
#include "pg/training/training_state.h"
#include "worker/process.h"

namespace fraud::worker {

using namespace fraud::pg;

namespace {

constexpr int64_t kSecond = 1000000;
constexpr int64_t kWarnEvery = 60 * kSecond;

Statement waiting_runs("SELECT q.run FROM fraud.training_queue q WHERE NOT q.started ORDER BY q.run"
                       " LIMIT 64 FOR UPDATE SKIP LOCKED",
                       {});
// Runs that nobody works on: their worker is gone, or they came with a restored dump.
Statement fail_lost_runs(
    "WITH lost AS ("
    "  UPDATE fraud.training_runs r SET status = 'failed', finished_at = clock_timestamp(),"
    "   reason = CASE WHEN q.run IS NULL THEN 'the run was under way when this database was dumped'"
    "    ELSE 'the training worker ended before the run did: the server stopped, or the worker was ended' END"
    "  FROM fraud.training_runs s LEFT JOIN fraud.training_queue q ON q.run = s.run"
    "  WHERE r.run = s.run AND s.status IN ('queued', 'running') AND (q.run IS NULL OR q.started)"
    "   AND r.run <> ALL ($1) RETURNING r.run)"
    " DELETE FROM fraud.training_queue q USING lost WHERE q.run = lost.run",
    {INT8ARRAYOID});

}  // namespace

void TrainingQueue::note_ended() {
  for (auto it = started_.begin(); it != started_.end();) {
    BackgroundWorkerHandle* handle = it->second.second;
    pid_t pid = 0;
    if (protect([&] { return GetBackgroundWorkerPid(handle, &pid); }) != BGWH_STOPPED) {
      ++it;
      continue;
    }
    int slot = it->second.first;
    int64 run = it->first;
    protect([&] {
      close_unused_training_slot(slot, run);
      pfree(handle);
    });
    it = started_.erase(it);
  }
}

bool TrainingQueue::start(int64_t run) {
  int slot = protect([&] { return open_training_slot(run); });
  if (slot < 0) return false;
  BackgroundWorkerHandle* handle = protect([&] {
    BackgroundWorker worker;
    memset(&worker, 0, sizeof(worker));
    worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
    worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
    worker.bgw_restart_time = BGW_NEVER_RESTART;
    worker.bgw_notify_pid = MyProcPid;
    worker.bgw_main_arg = Int32GetDatum(slot);
    snprintf(worker.bgw_library_name, sizeof(worker.bgw_library_name), "fraud_detect");
    snprintf(worker.bgw_function_name, sizeof(worker.bgw_function_name), "fraud_detect_training_worker_main");
    snprintf(worker.bgw_name, BGW_MAXLEN, "fraud_detect training run " INT64_FORMAT, run);
    snprintf(worker.bgw_type, BGW_MAXLEN, "fraud_detect training");
    return start_worker(worker);
  });
  if (handle == nullptr) {
    const TimestampTz now = GetCurrentTimestamp();
    const bool warns = warned_at_ == 0 || now - warned_at_ >= kWarnEvery;
    if (warns) warned_at_ = now;
    protect([&] {
      close_unused_training_slot(slot, run);
      if (warns) {
        ereport(WARNING, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
                          errmsg("training run %lld waits: the server has no slot for another worker", static_cast<long long>(run)),
                          errhint("Raise max_worker_processes.")));
      }
    });
    return false;
  }
  started_[run] = {slot, handle};
  return true;
}

void TrainingQueue::look(Spi& spi) {
  note_ended();
  std::vector<TrainingRun> runs(static_cast<size_t>(guc_max_training_workers));
  TrainingRun* room = runs.data();
  int count = protect([&] { return list_training_runs(room); });
  Column alive(INT8OID);
  auto under_way = [&](int64_t run) {
    for (int i = 0; i < count; ++i) {
      if (runs[static_cast<size_t>(i)].run == run) return true;
    }
    return false;
  };
  for (int i = 0; i < count; ++i) alive.add(int8_param(runs[static_cast<size_t>(i)].run));
  spi.run(fail_lost_runs, {alive.array()});
  uint64_t waiting = spi.run(waiting_runs, {});
  std::vector<int64_t> wanted;
  for (uint64_t row = 0; row < waiting; ++row) wanted.push_back(*spi.integer(row, 1));
  bool all = true;
  for (int64_t run : wanted) {
    if (under_way(run) || started_.count(run) != 0) continue;
    if (!start(run)) {
      all = false;
      break;
    }
  }
  // Slots are the whole server's: those of other databases end without telling us.
  next_look_ = !all               ? GetCurrentTimestamp() + kSecond
               : !started_.empty() ? GetCurrentTimestamp() + 10 * kSecond
                                   : DT_NOEND;
}

}  // namespace fraud::worker
