#include "pg/server/our_function.h"

extern "C" {
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "utils/builtins.h"
#include "utils/syscache.h"
}

namespace fraud::pg {

Oid our_function(const char* name, const Oid* types, int count) {
  Oid schema = get_namespace_oid("fraud", true);
  if (!OidIsValid(schema)) return InvalidOid;
  return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum(name), PointerGetDatum(buildoidvector(types, count)),
                         ObjectIdGetDatum(schema));
}

}  // namespace fraud::pg
