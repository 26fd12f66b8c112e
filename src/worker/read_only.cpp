#include "worker/read_only.h"

#include "pg/server/boundary.h"
#include "pg/server/spi.h"
#include "worker/process.h"
#include "worker/transaction.h"

extern "C" {
#include "access/xact.h"
#include "commands/dbcommands.h"
#include "storage/ipc.h"
#include "storage/latch.h"
}

namespace fraud::worker {

using namespace fraud::pg;

namespace {

constexpr long kLookMs = 1000;

// What the next session of this role in this database would begin with, as far as the catalog
// says.
Statement catalog_setting(
    "SELECT o.option_value::boolean FROM pg_db_role_setting s, pg_options_to_table(s.setconfig) o"
    " WHERE o.option_name = 'default_transaction_read_only'"
    "  AND s.setdatabase IN (0, (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))"
    "  AND s.setrole IN (0, (SELECT r.oid FROM pg_roles r WHERE r.rolname = session_user))"
    " ORDER BY s.setrole <> 0 DESC, s.setdatabase <> 0 DESC LIMIT 1",
    {});

enum class Said { kAbsent, kNothing, kOn, kOff };

// Returns what the catalog says, where the extension is there.
Said look_into_catalog() {
  Said said = Said::kAbsent;
  (void)in_transaction("looking whether the database is read-only", [&] {
    Spi spi;
    said = Said::kNothing;
    if (spi.run(catalog_setting, {}, true) == 1) said = DatumGetBool(*spi.datum(0, 1)) ? Said::kOn : Said::kOff;
  });
  return said;
}

Said at_start = Said::kAbsent;  // what this session has taken

// A session is told of no change in the catalog: another one takes it.
bool catalog_changed() {
  const Said now = look_into_catalog();
  return now != at_start && now != Said::kAbsent;
}

}  // namespace

void wait_while_read_only(Oid database, WorkerKind kind) {
  bool told = false;
  at_start = look_into_catalog();
  while (at_start != Said::kAbsent && DefaultXactReadOnly) {
    if (!told && kind == WorkerKind::kIngest) {
      (void)in_transaction("saying that the database is read-only", [&] {
        protect([&] {
          report_read_only(database, true);
          ereport(LOG, (errmsg("database \"%s\" is read-only: its workers wait", get_database_name(database)),
                        errdetail("default_transaction_read_only is on.")));
        });
      });
    }
    told = true;
    protect([] {
      note_wait(kLookMs);
      (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, kLookMs, PG_WAIT_EXTENSION);
    });
    begin_turn();
    if (catalog_changed()) leave();
  }
  if (told && kind == WorkerKind::kIngest) protect([&] { report_read_only(database, false); });
}

bool is_to_leave() {
  static TimestampTz next_look = 0;
  static bool changed = false;
  static ClockWatch clock;
  if (!changed && clock.was_set_back()) {
    changed = true;
    protect([] { ereport(LOG, (errmsg("the clock was set back: another %s worker begins", MyBgworkerEntry->bgw_type))); });
  }
  if (changed || DefaultXactReadOnly) return true;
  const TimestampTz now = GetCurrentTimestamp();
  if (now < next_look) return false;
  next_look = now + kLookMs * 1000;
  changed = catalog_changed();
  return changed;
}

void leave() {
  protect([] { proc_exit(0); });
}

}  // namespace fraud::worker
