// The module's entry, and the SQL functions that speak to the workers.
#include "pg/server/boundary.h"

#include "pg/hooks.h"
#include "pg/models/model_store.h"
#include "pg/payments/number_watch.h"
#include "pg/server/gucs.h"
#include "pg/server/shared_state.h"
#include "pg/training/training_state.h"

#include "worker/launcher.h"

extern "C" {
PG_MODULE_MAGIC;

void _PG_init(void);
void _PG_init(void) {
  fraud::pg::define_gucs();
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
