#include "pg/server/boundary.h"

#include <exception>
#include <string>
#include <utility>

#include "pg/server/owner_scope.h"
#include "pg/server/pinned_settings.h"

extern "C" {
#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
}

namespace fraud::pg {

namespace {

// Of the innermost OwnerScope: whose rights it gives, and who entered it.
Oid scope_owner = InvalidOid;
Oid scope_caller = InvalidOid;

// Pins search_path until AtEOXact_GUC(false, level); returns the level.
int pin_search_path() {
  int level = NewGUCNestLevel();
  (void)set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
                          GUC_ACTION_SAVE, true, 0, false);
  return level;
}

}  // namespace

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

Oid caller() noexcept {
  Oid user = GetUserId();
  return OidIsValid(scope_owner) && user == scope_owner ? scope_caller : user;
}

OwnerScope::OwnerScope() : exceptions_(std::uncaught_exceptions()) {
  Oid owner = fraud_owner();
  Oid called_by = caller();
  protect([&] {
    GetUserIdAndSecContext(&user_, &security_context_);
    guc_level_ = pin_search_path();
    pin_formats();
    SetUserIdAndSecContext(owner, security_context_ | SECURITY_LOCAL_USERID_CHANGE);
  });
  outer_owner_ = std::exchange(scope_owner, owner);
  outer_caller_ = std::exchange(scope_caller, called_by);
}

OwnerScope::~OwnerScope() noexcept {
  scope_owner = outer_owner_;
  scope_caller = outer_caller_;
  // After an error the transaction's abort restores both; only the way out that
  // succeeds is ours. SetUserId never raises; AtEOXact_GUC only restores values.
  if (std::uncaught_exceptions() > exceptions_) return;
  SetUserIdAndSecContext(user_, security_context_);
  AtEOXact_GUC(false, guc_level_);
}

RestrictedScope::RestrictedScope(Oid role) : exceptions_(std::uncaught_exceptions()) {
  protect([&] {
    GetUserIdAndSecContext(&user_, &security_context_);
    guc_level_ = pin_search_path();
    SetUserIdAndSecContext(
        role, security_context_ | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
  });
}

RestrictedScope::~RestrictedScope() noexcept {
  if (std::uncaught_exceptions() > exceptions_) return;  // as in OwnerScope
  SetUserIdAndSecContext(user_, security_context_);
  AtEOXact_GUC(false, guc_level_);
}

void refuse_when_restricted(const char* function) {
  if (!InSecurityRestrictedOperation()) return;
  throw SqlError(ERRCODE_INSUFFICIENT_PRIVILEGE,
                 std::string("fraud.") + function + " cannot be called within a security-restricted operation",
                 "Code that an index, a materialized view, a feature or a channel's condition runs must not change what is stored here.",
                 "Call it from a session of its own.");
}

}  // namespace fraud::pg

using namespace fraud::pg;

// Whether a function of ours is at work: what it writes is no dump's.
FRAUD_FUNCTION(in_function) { return BoolGetDatum(OidIsValid(scope_owner)); }
