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
#include "funcapi.h"
#include "nodes/pg_list.h"
}

namespace fraud::pg {

namespace {

// Arguments that mean something where they are null, though null is not their default: nobody, nothing, or as without them.
constexpr const char* kTakesNull[] = {
    "add_rule.on_error",       "add_rule.priority",     "alter_channel.reset",    "alter_source.reset",   "assign_case.assignee",      "assign_cases.assignee",
    "assign_stream_case.assignee", "confirm_case.overrule", "confirm_cases.overrule", "decide_case.overrule", "describe_model.description", "dismiss_case.overrule",
    "dismiss_cases.overrule",  "erase_customer.force",  "expect_payments.within", "label.overrule",       "label_event.is_fraud",      "promote.columns",
    "promote.override_gate",   "resume_channel.discard_waiting", "train.columns", "train.params",         "wait_for_training.timeout"};

struct Entry {
  FmgrInfo body;
  bool changes;  // the function is VOLATILE
  NameData name;
  const char* needed[FUNC_MAX_ARGS];  // of each argument that must not be null, its name
};

// Finds which arguments must not be null, of functions that people call; plain Postgres code.
void find_needed(HeapTuple tuple, Entry* entry) {
  auto* function = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
  if (NameStr(function->proname)[0] == '_') return;
  Oid* types;
  char** names = nullptr;
  char* modes = nullptr;
  const int all = get_func_arg_info(tuple, &types, &names, &modes);
  List* defaults = NIL;
  bool has_none = true;
  Datum written = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_proargdefaults, &has_none);
  if (!has_none) defaults = castNode(List, stringToNode(TextDatumGetCString(written)));
  const int first_default = function->pronargs - list_length(defaults);
  for (int i = 0, argument = 0; i < all && argument < function->pronargs; ++i) {
    if (modes != nullptr && (modes[i] == PROARGMODE_OUT || modes[i] == PROARGMODE_TABLE)) continue;
    const int at = argument++;
    if (names == nullptr || names[i] == nullptr || names[i][0] == '\0') continue;
    if (at >= first_default) {
      auto* value = static_cast<::Node*>(list_nth(defaults, at - first_default));
      if (IsA(value, Const) && reinterpret_cast<Const*>(value)->constisnull) continue;
    }
    const char* called = psprintf("%s.%s", NameStr(function->proname), names[i]);
    bool takes_null = false;
    for (const char* one : kTakesNull) takes_null = takes_null || strcmp(one, called) == 0;
    if (!takes_null) entry->needed[at] = pstrdup(names[i]);
  }
}

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
  MemoryContext outer = MemoryContextSwitchTo(called->fn_mcxt);
  find_needed(tuple, entry);
  MemoryContextSwitchTo(outer);
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

// A null is refused by its name, and not looked up as if it were one.
void refuse_nulls(FunctionCallInfo fcinfo, const Entry& entry) {
  for (int i = 0; i < fcinfo->nargs; ++i) {
    if (!fcinfo->args[i].isnull || entry.needed[i] == nullptr) continue;
    throw SqlError(ERRCODE_NULL_VALUE_NOT_ALLOWED, std::string(entry.needed[i]) + " must not be null");
  }
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

// What acts takes no null that means nothing. What only reads, perhaps row by row, may find nothing by one; where it fails, that is why.
template <typename Call>
Datum without_nulls(FunctionCallInfo fcinfo, const Entry& entry, Call call) {
  if (entry.changes) {
    refuse_nulls(fcinfo, entry);
    return call();
  }
  try {
    return call();
  } catch (const PgError& error) {
    const int category = ERRCODE_TO_CATEGORY(error.data()->sqlerrcode);
    if (category == ERRCODE_OPERATOR_INTERVENTION || category == ERRCODE_INSUFFICIENT_RESOURCES || category == ERRCODE_INTERNAL_ERROR) throw;
    refuse_nulls(fcinfo, entry);
    throw;
  }
}

}  // namespace

}  // namespace fraud::pg

using namespace fraud::pg;

// Calls fraud._NAME with the arguments of fraud.NAME, as the owner.
FRAUD_FUNCTION(as_owner) {
  Entry& entry = entry_of(fcinfo);
  if (entry.changes) refuse_when_restricted(NameStr(entry.name));
  return without_nulls(fcinfo, entry, [&] {
    OwnerScope owner;
    return call_body(fcinfo, entry);
  });
}

// Calls fraud._NAME with the arguments of fraud.NAME, as the caller: for what reads the caller's
// tables with his rights, and whose errors are to be as plain.
FRAUD_FUNCTION(as_caller) {
  Entry& entry = entry_of(fcinfo);
  if (entry.changes) refuse_when_restricted(NameStr(entry.name));
  return without_nulls(fcinfo, entry, [&] { return call_body(fcinfo, entry); });
}

// Returns the name of who called, for audit columns.
FRAUD_FUNCTION(caller) {
  return protect([] {
    return DirectFunctionCall1(namein, CStringGetDatum(GetUserNameFromId(caller(), false)));
  });
}
