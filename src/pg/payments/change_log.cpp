#include "pg/payments/change_log.h"

#include "pg/server/boundary.h"
#include "pg/server/owner_scope.h"

extern "C" {
#include "storage/lmgr.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
}

namespace fraud::pg {

namespace {

Statement fold("SELECT fraud._fold($1)", {INT4OID});

// Plain Postgres code, for protect(). A sequence, because its value is that of now, whatever
// the snapshot.
int16 read_open_slot(Oid schema) {
  const Oid sequence = get_relname_relid("change_slot", schema);
  if (!OidIsValid(sequence)) elog(ERROR, "sequence fraud.change_slot does not exist");
  return static_cast<int16>(DatumGetInt64(DirectFunctionCall1(pg_sequence_last_value, ObjectIdGetDatum(sequence))));
}

}  // namespace

bool fold_changes(Spi& spi, int most) {
  spi.run(fold, {int4_param(most)});
  return DatumGetBool(*spi.datum(0, 1));
}

// The lock comes first, then the look whether the slot is open still: whoever closes it and
// then finds nobody with the lock knows that nothing more is added to it.
int16 open_slot() {
  const Oid schema = fraud_schema();
  return protect([&] {
    for (int16 slot = read_open_slot(schema);;) {
      char name[NAMEDATALEN];
      snprintf(name, sizeof(name), "changes_%d", slot);
      LockRelationOid(get_relname_relid(name, schema), RowExclusiveLock);
      const int16 now = read_open_slot(schema);
      if (now == slot) return slot;
      slot = now;
    }
  });
}

}  // namespace fraud::pg

using namespace fraud::pg;

FRAUD_FUNCTION(open_slot) { return Int16GetDatum(open_slot()); }
