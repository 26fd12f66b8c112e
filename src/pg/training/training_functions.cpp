// The SQL functions of training that need more than SQL.
#include "pg/server/boundary.h"

#include <cmath>
#include <vector>

#include "pg/server/gucs.h"
#include "pg/server/owner_scope.h"
#include "pg/server/shared_state.h"
#include "pg/server/spi.h"
#include "pg/training/training_state.h"

namespace fraud::pg {

namespace {

Statement store_run("SELECT fraud._store_run($1, $2)", {JSONBOID, NAMEOID});

Datum optional_int(int value, bool* null) {
  *null = value == 0;
  return Int32GetDatum(value);
}

void put_run(ReturnSetInfo* result, const TrainingRun& run) {
  const TrainingProgress& at = run.progress;
  Datum values[12];
  bool nulls[12] = {};
  values[0] = Int64GetDatum(run.run);
  values[1] = CStringGetTextDatum(at.phase);
  values[2] = Int64GetDatum(at.rows_read);
  const int counts[] = {at.trial, at.trials, at.fold, at.folds, at.round, at.rounds};
  for (int i = 0; i < 6; ++i) values[3 + i] = optional_int(counts[i], &nulls[3 + i]);
  nulls[9] = at.metric_name[0] == '\0';
  values[9] = nulls[9] ? (Datum)0 : CStringGetTextDatum(at.metric_name);
  nulls[10] = std::isnan(at.metric);
  values[10] = Float8GetDatum(at.metric);
  values[11] = TimestampTzGetDatum(at.phase_since);
  tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

}  // namespace

}  // namespace fraud::pg

using namespace fraud::pg;

FRAUD_FUNCTION(queue_training) {
  if (!have_shared_state()) {
    throw SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                   "nothing is trained: fraud_detect is not in shared_preload_libraries", {},
                   "Add it to shared_preload_libraries and restart the server.");
  }
  // The rights are those of the current user, inside a SECURITY DEFINER function too.
  refuse_when_restricted("train");
  const char* user = protect([] { return GetUserNameFromId(GetUserId(), false); });
  OwnerScope owner;
  Spi spi;
  Datum name = protect([&] { return DirectFunctionCall1(namein, CStringGetDatum(user)); });
  spi.run(store_run, {{PG_GETARG_DATUM(0)}, {name}});
  return Int64GetDatum(*spi.integer(0, 1));
}

FRAUD_FUNCTION(cancel_training) {
  int64 run = PG_GETARG_INT64(0);
  return BoolGetDatum(protect([&] { return cancel_training_run(run); }));
}

FRAUD_FUNCTION(training_progress) {
  protect([&] { InitMaterializedSRF(fcinfo, 0); });
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  std::vector<TrainingRun> runs(static_cast<size_t>(guc_max_training_workers));
  TrainingRun* room = runs.data();
  int count = protect([&] { return list_training_runs(room); });
  for (int i = 0; i < count; ++i) protect([&] { put_run(result, room[i]); });
  return (Datum)0;
}
