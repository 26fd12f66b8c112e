#include "pg/rules/list_lookup.h"

#include <string>
#include <string_view>
#include <unordered_map>

#include "pg/server/boundary.h"
#include "pg/server/index_lookup.h"
#include "pg/server/owner_scope.h"

extern "C" {
#include "utils/fmgroids.h"
}

namespace fraud::pg {

namespace {

// Of the innermost ListMemo. Never destroyed.
auto& memo = *new std::unordered_map<std::string, bool>;
Snapshot memo_snapshot = nullptr;

// What a call site knows of its list: it is looked up once.
struct Site {
  char list[64];
  Oid type;         // of the values
  FmgrInfo output;  // of that type
};

bool is_of_list(std::string_view list, const Site& site) { return list == site.list; }

// Returns whether there is such a list. Plain Postgres code.
bool list_exists(Oid schema, std::string_view list, Snapshot snapshot) {
  IndexLookup lookup;
  const bool found = open_lookup(&lookup, schema, "lists", "lists_pkey", text_datum(list), InvalidOid, (Datum)0, snapshot);
  close_lookup(&lookup);
  return found;
}

// Returns whether the value is in the list at that time. Plain Postgres code.
bool is_listed(Oid schema, std::string_view list, std::string_view value, TimestampTz at, Snapshot snapshot) {
  IndexLookup lookup;
  bool listed = false;
  for (bool found = open_lookup(&lookup, schema, "list_entries", "list_entries_value_idx", text_datum(list), F_TEXTEQ,
                                text_datum(value), snapshot);
       found && !listed; found = index_getnext_slot(lookup.scan, ForwardScanDirection, lookup.slot)) {
    bool null = false;
    const AttrNumber removed = get_attnum(RelationGetRelid(lookup.heap), "removed_at");
    const TimestampTz until = DatumGetTimestampTz(lookup_column(lookup, "until"));
    const TimestampTz added = DatumGetTimestampTz(lookup_column(lookup, "added_at"));
    const Datum end = slot_getattr(lookup.slot, removed, &null);
    listed = added <= at && at < until && (null || at < DatumGetTimestampTz(end));
  }
  close_lookup(&lookup);
  return listed;
}

// The value as its list keeps it (fraud._list_value). Plain Postgres code.
const char* canonical(Site* site, Datum value) {
  switch (site->type) {
    case BOOLOID:
      return DatumGetBool(value) ? "true" : "false";
    case UNKNOWNOID:
      return DatumGetCString(value);
    case NUMERICOID:
      return DatumGetCString(DirectFunctionCall1(numeric_out, DirectFunctionCall1(numeric_trim_scale, value)));
    case FLOAT4OID:
    case FLOAT8OID: {
      Datum wide = site->type == FLOAT4OID ? DirectFunctionCall1(ftod, value) : value;
      Datum number = DirectFunctionCall1(float8_numeric, wide);
      return DatumGetCString(DirectFunctionCall1(numeric_out, DirectFunctionCall1(numeric_trim_scale, number)));
    }
    case TIMESTAMPTZOID: {
      // As in a session of UTC and ISO dates, whatever this one's settings are.
      const int level = NewGUCNestLevel();
      (void)set_config_option("datestyle", "ISO, YMD", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
      (void)set_config_option("timezone", "UTC", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
      char* text = OutputFunctionCall(&site->output, value);
      AtEOXact_GUC(false, level);
      return text;
    }
    default:
      return OutputFunctionCall(&site->output, value);
  }
}

Site* make_site(FunctionCallInfo fcinfo, Oid schema, std::string_view list, Snapshot snapshot) {
  if (list.size() >= sizeof(Site::list) || !list_exists(schema, list, snapshot)) {
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("list \"%.*s\" does not exist", (int)list.size(), list.data()),
                    errhint("fraud.lists has all lists; fraud.create_list makes one.")));
  }
  auto* site = static_cast<Site*>(fcinfo->flinfo->fn_extra);
  if (site == nullptr) site = static_cast<Site*>(MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(Site)));
  memcpy(site->list, list.data(), list.size());
  site->list[list.size()] = '\0';
  site->type = getBaseType(get_fn_expr_argtype(fcinfo->flinfo, 1));
  if (site->type != UNKNOWNOID) {
    Oid output = InvalidOid;
    bool varlena = false;
    getTypeOutputInfo(site->type, &output, &varlena);
    fmgr_info_cxt(output, &site->output, fcinfo->flinfo->fn_mcxt);
  }
  fcinfo->flinfo->fn_extra = site;
  return site;
}

}  // namespace

ListMemo::ListMemo(Snapshot snapshot) noexcept {
  memo.clear();
  memo_snapshot = snapshot;
}

ListMemo::~ListMemo() noexcept {
  memo.clear();
  memo_snapshot = nullptr;
}

}  // namespace fraud::pg

using namespace fraud::pg;

// Arguments: list, value, and, of the second form, at.
FRAUD_FUNCTION(in_list) {
  const bool as_of = fcinfo->nargs == 3;
  if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || (as_of && PG_ARGISNULL(2))) return BoolGetDatum(false);
  const Oid schema = fraud_schema();
  // What was looked up before the memo began is of another snapshot.
  const Snapshot snapshot = memo_snapshot != nullptr ? memo_snapshot : GetActiveSnapshot();
  const TimestampTz at = as_of ? PG_GETARG_TIMESTAMPTZ(2) : GetCurrentTransactionStartTimestamp();
  std::string_view list, value;
  protect([&] {
    text* name = PG_GETARG_TEXT_PP(0);
    list = {VARDATA_ANY(name), static_cast<size_t>(VARSIZE_ANY_EXHDR(name))};
    auto* site = static_cast<Site*>(fcinfo->flinfo->fn_extra);
    if (site == nullptr || !is_of_list(list, *site)) site = make_site(fcinfo, schema, list, snapshot);
    value = canonical(site, PG_GETARG_DATUM(1));
  });
  if (memo_snapshot == nullptr || as_of) return BoolGetDatum(protect([&] { return is_listed(schema, list, value, at, snapshot); }));
  std::string key(list);
  key += '\0';
  key += value;
  const auto known = memo.find(key);
  if (known != memo.end()) return BoolGetDatum(known->second);
  const bool listed = protect([&] { return is_listed(schema, list, value, at, snapshot); });
  memo.emplace(std::move(key), listed);
  return BoolGetDatum(listed);
}
