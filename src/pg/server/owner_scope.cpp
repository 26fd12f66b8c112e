#include "pg/server/boundary.h"

#include <exception>

#include "pg/server/owner_scope.h"

extern "C" {
#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
}

namespace fraud::pg {

Oid fraud_schema() {
  Oid schema = protect([] { return get_namespace_oid("fraud", true); });
  if (!OidIsValid(schema)) {
    throw SqlError(ERRCODE_UNDEFINED_SCHEMA, "extension fraud_detect is not installed in this database",
                   {}, "Run CREATE EXTENSION fraud_detect.");
  }
  return schema;
}

Oid fraud_owner() {
  Oid schema = fraud_schema();
  return protect([&] {
    HeapTuple tuple = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(schema));
    if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for namespace %u", schema);
    Oid owner = ((Form_pg_namespace)GETSTRUCT(tuple))->nspowner;
    ReleaseSysCache(tuple);
    return owner;
  });
}

OwnerScope::OwnerScope() : exceptions_(std::uncaught_exceptions()) {
  Oid owner = fraud_owner();
  protect([&] {
    int level = NewGUCNestLevel();
    (void)set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
                            GUC_ACTION_SAVE, true, 0, false);
    GetUserIdAndSecContext(&user_, &security_context_);
    guc_level_ = level;
    SetUserIdAndSecContext(owner, security_context_ | SECURITY_LOCAL_USERID_CHANGE);
  });
}

OwnerScope::~OwnerScope() noexcept {
  // After an error the transaction's abort restores both; only the way out that
  // succeeds is ours. SetUserId never raises; AtEOXact_GUC only restores values.
  if (std::uncaught_exceptions() > exceptions_) return;
  SetUserIdAndSecContext(user_, security_context_);
  AtEOXact_GUC(false, guc_level_);
}

}  // namespace fraud::pg
