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

// The arguments of fraud.train, and the caller's search_path and time zone.
Statement train("SELECT fraud._train($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)",
                {TEXTOID, TEXTOID, JSONBOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID,
                 TIMESTAMPTZOID, TIMESTAMPTZOID, INTERVALOID, INT4OID, JSONBOID, INT4OID, INT8OID, REGCLASSOID,
                 JSONBOID, TEXTARRAYOID, TEXTOID, TEXTOID, TEXTOID});

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

// Expressions are computed with the search_path and the time zone of whoever asked for
// the run, so these are taken before the owner's.
FRAUD_FUNCTION(train) {
  refuse_when_restricted("train");
  if (!have_shared_state()) {
    throw SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                   "nothing is trained: fraud_detect is not in shared_preload_libraries", {},
                   "Add it to shared_preload_libraries and restart the server.");
  }
  std::vector<SqlValue> arguments;
  for (int i = 0; i < fcinfo->nargs; ++i) arguments.push_back({fcinfo->args[i].value, fcinfo->args[i].isnull});
  for (const char* setting : {"search_path", "timezone"}) {
    arguments.push_back(text_param(protect([&] { return GetConfigOption(setting, false, false); })));
  }
  OwnerScope owner;
  Spi spi;
  spi.run(train, arguments);
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
