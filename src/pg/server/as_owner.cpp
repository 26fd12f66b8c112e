// The way into what only the owner may do: a public SQL function fraud.NAME(…) whose
// body is fraud._NAME(…), written in SQL or PL/pgSQL and granted to nobody.
//
// A SECURITY DEFINER function cannot tell who calls it: inside of it current_user is
// the owner, and session_user is whose session it is, not whose code. So the public
// function is this one, with the rights of its caller; it notes the current user
// (caller()) and only then takes the owner's rights.
#include "pg/server/boundary.h"
#include "pg/server/owner_scope.h"

extern "C" {
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
}

namespace fraud::pg {

namespace {

struct Entry {
  FmgrInfo body;
  bool changes;  // the function is VOLATILE
  NameData name;
};

// Finds the body of the function being called, and keeps it for as long as the call
// site lives; runs inside protect().
Entry* find_entry(FmgrInfo* called) {
  HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(called->fn_oid));
  if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for function %u", called->fn_oid);
  auto* function = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
  const char* body_name = psprintf("_%s", NameStr(function->proname));
  Oid body = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum(body_name),
                             PointerGetDatum(&function->proargtypes),
                             ObjectIdGetDatum(function->pronamespace));
  // Nobody but the owner creates in that schema; still, rights are not given away on
  // the strength of a name.
  if (!OidIsValid(body) || function->pronamespace != get_namespace_oid("fraud", false)) {
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION),
                    errmsg("function \"%s\" has no body in schema fraud", NameStr(function->proname)),
                    errdetail("It calls a function of the same name with _ before it, which was dropped or moved."),
                    errhint("Make it again as the extension's script has it.")));
  }
  auto* entry = static_cast<Entry*>(MemoryContextAllocZero(called->fn_mcxt, sizeof(Entry)));
  entry->changes = function->provolatile == PROVOLATILE_VOLATILE;
  entry->name = function->proname;
  ReleaseSysCache(tuple);
  fmgr_info_cxt(body, &entry->body, called->fn_mcxt);
  fmgr_info_set_expr(called->fn_expr, &entry->body);
  return entry;
}

// Returns the body of the function that is called.
Entry& entry_of(FunctionCallInfo fcinfo) {
  FmgrInfo* called = fcinfo->flinfo;
  auto* entry = static_cast<Entry*>(called->fn_extra);
  if (entry == nullptr) {
    entry = protect([&] { return find_entry(called); });
    called->fn_extra = entry;
  }
  return *entry;
}

// Calls the body with the arguments.
Datum call_body(FunctionCallInfo fcinfo, Entry& entry) {
  return protect([&] {
    LOCAL_FCINFO(call, FUNC_MAX_ARGS);
    memcpy(call, fcinfo, SizeForFunctionCallInfo(fcinfo->nargs));
    call->flinfo = &entry.body;
    call->isnull = false;
    Datum result = FunctionCallInvoke(call);
    fcinfo->isnull = call->isnull;
    return result;
  });
}

}  // namespace

}  // namespace fraud::pg

using namespace fraud::pg;

// Calls fraud._NAME with the arguments of fraud.NAME, as the owner.
FRAUD_FUNCTION(as_owner) {
  Entry& entry = entry_of(fcinfo);
  if (entry.changes) refuse_when_restricted(NameStr(entry.name));
  OwnerScope owner;
  return call_body(fcinfo, entry);
}

// Calls fraud._NAME with the arguments of fraud.NAME, as the caller: for what reads the caller's
// tables with his rights, and whose errors are to be as plain.
FRAUD_FUNCTION(as_caller) { return call_body(fcinfo, entry_of(fcinfo)); }

// Returns the name of who called, for audit columns.
FRAUD_FUNCTION(caller) {
  return protect([] {
    return DirectFunctionCall1(namein, CStringGetDatum(GetUserNameFromId(caller(), false)));
  });
}
