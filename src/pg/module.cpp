// The module's entry, and the SQL functions that speak to the workers.
#include "pg/server/boundary.h"

#include <string>

#include "pg/hooks.h"
#include "pg/models/model_store.h"
#include "pg/models/score_blocks.h"
#include "pg/payments/number_watch.h"
#include "pg/server/gucs.h"
#include "pg/server/shared_state.h"
#include "pg/server/spi.h"
#include "pg/training/training_state.h"

#include "worker/launcher.h"

extern "C" {
#include "funcapi.h"

PG_MODULE_MAGIC;

void _PG_init(void);
void _PG_init(void) {
  fraud::pg::define_gucs();
  fraud::pg::install_score_blocks();
  if (!process_shared_preload_libraries_in_progress) return;
  fraud::pg::request_shared_state();
  fraud::pg::request_model_store();
  fraud::pg::request_number_watch();
  fraud::pg::request_training_state();
  fraud::pg::install_hooks();
  fraud::worker::register_launcher_worker();
}
}

using namespace fraud::pg;

FRAUD_FUNCTION(wake_worker) {
  protect([] { wake_at_commit(WorkerKind::kIngest); });
  return (Datum)0;
}


FRAUD_FUNCTION(wake_notify_worker) {
  protect([] { wake_at_commit(WorkerKind::kNotify); });
  return (Datum)0;
}

FRAUD_FUNCTION(waits_read_only) { return BoolGetDatum(protect([] { return waits_read_only(MyDatabaseId); })); }

FRAUD_FUNCTION(worker_beats) {
  static const char* const kNames[] = {"ingest", "notify"};
  protect([&] { InitMaterializedSRF(fcinfo, 0); });
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  WorkerBeat beats[kMostBeats];
  const int count = protect([&] { return list_beats(MyDatabaseId, beats); });
  for (int i = 0; i < count; ++i) {
    const WorkerBeat& beat = beats[i];
    const std::string name = beat.kind == kWorkerKinds ? "launcher"
                             : beat.kind >= static_cast<int>(WorkerKind::kScorer)
                                 ? "scorer " + std::to_string(beat.kind - static_cast<int>(WorkerKind::kScorer))
                                 : kNames[beat.kind];
    Datum values[4] = {text_param(name).value, Int32GetDatum(beat.pid), TimestampTzGetDatum(beat.turned_at),
                       TimestampTzGetDatum(beat.due_at)};
    bool nulls[4] = {};
    protect([&] { tuplestore_putvalues(result->setResult, result->setDesc, values, nulls); });
  }
  return (Datum)0;
}

FRAUD_FUNCTION(warn_without_worker) {
  if (!have_shared_state()) {
    protect([] {
      ereport(WARNING,
              (errmsg("nothing is polled or sent: fraud_detect is not in shared_preload_libraries"),
               errhint("Add it to shared_preload_libraries and restart the server; until then "
                       "scoring and fraud.ingest work.")));
    });
  }
  return (Datum)0;
}
