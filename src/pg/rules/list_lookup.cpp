#include "pg/rules/list_lookup.h"

#include <cstdio>
#include <exception>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/payments/mask.h"
#include "pg/server/boundary.h"
#include "pg/server/index_lookup.h"
#include "pg/server/owner_scope.h"
#include "pg/server/row_types.h"

extern "C" {
#include "access/stratnum.h"
#include "access/table.h"
#include "utils/fmgroids.h"
}

namespace fraud::pg {

namespace {

// A value, and the lists that it is in.
struct Listed {
  std::string value;
  std::vector<std::string> lists;
};

// Of the innermost ListMemo: a payment has few values that lists are asked for, and most of them are in none. Never destroyed.
auto& memo = *new std::vector<Listed>;
Snapshot memo_snapshot = nullptr;

// When a value was in its list: from `added`, before `end`.
struct Stay {
  TimestampTz added, end;
};

// What a call site that asks as of times has found, as one snapshot sees it: a backtest asks of the same values again and again.
struct History {
  std::unordered_map<std::string, std::vector<Stay>> stays;
  TransactionId xmin = 0, xmax = 0;
  CommandId command = 0;
  uint64_t completed = 0;
  bool is_of(Snapshot snapshot) const noexcept {
    return xmin == snapshot->xmin && xmax == snapshot->xmax && command == snapshot->curcid && completed == snapshot->snapXactCompletionCount;
  }
};
constexpr size_t kMostValues = 200000;  // that a call site remembers

// What a call site knows of its list: it is looked up once.
struct Site {
  char list[64];
  History* history;
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

// fraud.list_entries, opened for any number of look-ups: of a value in all lists, or in one.
struct Reader {
  IndexLookup lookup;
  MemoryContext context;            // what an index scan keeps from row to row is allocated while it goes on
  int keys;                         // 1: a value; 2: a value and a list
  int list, added, until, removed;  // attributes
  bool in_use;                // an error has left it in the middle of a look-up
};

// Plain Postgres code.
void open_reader(Reader* reader, Oid schema, Snapshot snapshot, int keys) {
  IndexLookup& lookup = reader->lookup;
  lookup.heap = table_open(relation_named(schema, "list_entries"), AccessShareLock);
  lookup.index = index_open(relation_named(schema, "list_entries_value_idx"), AccessShareLock);
  lookup.slot = table_slot_create(lookup.heap, nullptr);
  lookup.scan = begin_index_scan(lookup.heap, lookup.index, snapshot, keys);
  auto attribute = [&lookup](const char* name) { return attribute_named(RelationGetDescr(lookup.heap), name, strlen(name)) + 1; };
  reader->context = CurrentMemoryContext;
  reader->keys = keys;
  reader->list = attribute("list");
  reader->added = attribute("added_at");
  reader->until = attribute("until");
  reader->removed = attribute("removed_at");
  reader->in_use = false;
}

// Calls `use` with each stay of the value, in the list if the reader is of one, until it returns false. What is pinned on
// the way is let go of again: the next look-up may be another subtransaction's. Plain Postgres code.
template <typename Use>
void read_stays(Reader* reader, std::string_view list, std::string_view value, Use&& use) {
  IndexLookup& lookup = reader->lookup;
  ScanKeyData keys[2];
  ScanKeyEntryInitialize(&keys[0], 0, 1, BTEqualStrategyNumber, InvalidOid, lookup.index->rd_indcollation[0], F_TEXTEQ, text_datum(value));
  if (reader->keys > 1) {
    ScanKeyEntryInitialize(&keys[1], 0, 2, BTEqualStrategyNumber, InvalidOid, lookup.index->rd_indcollation[1], F_TEXTEQ, text_datum(list));
  }
  reader->in_use = true;
  MemoryContext outer = MemoryContextSwitchTo(reader->context);
  index_rescan(lookup.scan, keys, reader->keys, nullptr, 0);
  bool more = true;
  while (more && index_getnext_slot(lookup.scan, ForwardScanDirection, lookup.slot)) {
    MemoryContextSwitchTo(outer);
    bool null = false, never_removed = false;
    const TimestampTz added = DatumGetTimestampTz(slot_getattr(lookup.slot, reader->added, &null));
    const TimestampTz until = DatumGetTimestampTz(slot_getattr(lookup.slot, reader->until, &null));
    const Datum removed = slot_getattr(lookup.slot, reader->removed, &never_removed);
    more = use(Stay{added, never_removed ? until : Min(until, DatumGetTimestampTz(removed))});
    MemoryContextSwitchTo(reader->context);
  }
  ExecClearTuple(lookup.slot);
  index_rescan(lookup.scan, keys, reader->keys, nullptr, 0);
  MemoryContextSwitchTo(outer);
  reader->in_use = false;
}

// Plain Postgres code.
bool is_listed(Oid schema, std::string_view list, std::string_view value, TimestampTz at, Snapshot snapshot) {
  Reader reader;
  open_reader(&reader, schema, snapshot, 2);
  bool listed = false;
  read_stays(&reader, list, value, [&](const Stay& stay) {
    listed = stay.added <= at && at < stay.end;
    return !listed;
  });
  close_lookup(&reader.lookup);
  return listed;
}

// The lists that a value is in.
struct Lists {
  char** names = nullptr;  // palloc'ed
  size_t count = 0;
};

// Plain Postgres code.
Lists read_lists(Reader* reader, std::string_view value, TimestampTz at) {
  Lists found;
  read_stays(reader, {}, value, [&](const Stay& stay) {
    if (at < stay.added || at >= stay.end) return true;
    bool null = false;
    const Datum name = slot_getattr(reader->lookup.slot, reader->list, &null);
    const Size size = sizeof(char*) * (found.count + 1);
    found.names = static_cast<char**>(found.names == nullptr ? palloc(size) : repalloc(found.names, size));
    found.names[found.count++] = TextDatumGetCString(name);
    return true;
  });
  return found;
}

void drop_history(void* history) { delete static_cast<History*>(history); }

// Whether the value was in the list at that time, from what the call site remembers, if it does.
bool was_listed(Site* site, MemoryContext context, std::string_view list, std::string_view value, TimestampTz at, Snapshot snapshot) {
  if (site->history == nullptr) {
    auto* callback = static_cast<MemoryContextCallback*>(protect([&] { return MemoryContextAlloc(context, sizeof(MemoryContextCallback)); }));
    site->history = new History;
    callback->func = drop_history;
    callback->arg = site->history;
    MemoryContextRegisterResetCallback(context, callback);
  }
  History& history = *site->history;
  if (!history.is_of(snapshot) || history.stays.size() >= kMostValues) {
    history.stays.clear();
    history.xmin = snapshot->xmin;
    history.xmax = snapshot->xmax;
    history.command = snapshot->curcid;
    history.completed = snapshot->snapXactCompletionCount;
  }
  auto known = history.stays.find(std::string(value));
  if (known == history.stays.end()) {
    const Oid schema = fraud_schema();
    Stay* found = nullptr;
    size_t count = 0;
    protect([&] {
      Reader reader;
      open_reader(&reader, schema, snapshot, 2);
      read_stays(&reader, list, value, [&](const Stay& stay) {
        const Size size = sizeof(Stay) * (count + 1);
        found = static_cast<Stay*>(found == nullptr ? palloc(size) : repalloc(found, size));
        found[count++] = stay;
        return true;
      });
      close_lookup(&reader.lookup);
    });
    known = history.stays.emplace(std::string(value), std::vector<Stay>(found, found + count)).first;
  }
  for (const Stay& stay : known->second) {
    if (stay.added <= at && at < stay.end) return true;
  }
  return false;
}

Reader memo_reader;
bool reader_is_open = false;  // memo_reader

// What the memo has of the value, which is looked up if it is not known yet.
const Listed& lists_of(std::string_view value, TimestampTz at, Snapshot snapshot) {
  for (const Listed& known : memo) {
    if (known.value == value) return known;
  }
  const bool use_open = reader_is_open && !memo_reader.in_use;
  const Oid schema = use_open ? InvalidOid : fraud_schema();
  const Lists found = protect([&] {
    if (use_open) return read_lists(&memo_reader, value, at);
    Reader reader;
    open_reader(&reader, schema, snapshot, 1);
    const Lists lists = read_lists(&reader, value, at);
    close_lookup(&reader.lookup);
    return lists;
  });
  memo.push_back({std::string(value), {found.names, found.names + found.count}});
  return memo.back();
}

bool is_in(const Listed& listed, std::string_view list) {
  for (const std::string& name : listed.lists) {
    if (name == list) return true;
  }
  return false;
}

// The value as its list keeps it (fraud._list_value). Plain Postgres code.
const char* canonical(Site* site, Datum value) {
  switch (site->type) {
    case BOOLOID:
      return DatumGetBool(value) ? "true" : "false";
    case UNKNOWNOID:
      return DatumGetCString(value);
    case BPCHAROID:  // blanks at its end do not count
      return TextDatumGetCString(DirectFunctionCall1(rtrim1, value));
    case NUMERICOID:
      return DatumGetCString(DirectFunctionCall1(numeric_out, DirectFunctionCall1(numeric_trim_scale, value)));
    case FLOAT4OID:
    case FLOAT8OID: {
      Datum wide = site->type == FLOAT4OID ? DirectFunctionCall1(ftod, value) : value;
      Datum number = DirectFunctionCall1(float8_numeric, wide);
      return DatumGetCString(DirectFunctionCall1(numeric_out, DirectFunctionCall1(numeric_trim_scale, number)));
    }
    case TIMESTAMPTZOID:
    case DATEOID: {
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

// What an error says of a name that was given: no card number, should the arguments have been mistaken for each other.
struct ShownName {
  char text[201] = "?";
};
ShownName shown_name(std::string_view name) noexcept {
  ShownName shown;
  try {
    const std::string masked = mask_card_numbers(name.substr(0, sizeof(shown.text) - 1));
    snprintf(shown.text, sizeof(shown.text), "%s", masked.c_str());
  } catch (const std::exception&) {
    return shown;
  }
  return shown;
}

Site* make_site(FunctionCallInfo fcinfo, Oid schema, std::string_view list, Snapshot snapshot) {
  if (list.size() >= sizeof(Site::list) || !list_exists(schema, list, snapshot)) {
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("list \"%s\" does not exist", shown_name(list).text),
                    errhint("fraud.lists has all lists; fraud.create_list makes one.")));
  }
  auto* site = static_cast<Site*>(fcinfo->flinfo->fn_extra);
  if (site == nullptr) site = static_cast<Site*>(MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(Site)));
  if (site->history != nullptr) site->history->stays.clear();
  memcpy(site->list, list.data(), list.size());
  site->list[list.size()] = '\0';
  const Oid type = get_fn_expr_argtype(fcinfo->flinfo, 1);
  if (!OidIsValid(type)) ereport(ERROR, (errcode(ERRCODE_INDETERMINATE_DATATYPE), errmsg("the type of the list's value is not known"), errhint("Cast the value, for example to text.")));
  site->type = getBaseType(type);
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

ListMemo::ListMemo(Snapshot snapshot, bool opens) {
  memo.clear();
  memo_snapshot = snapshot;
  reader_is_open = false;
  if (!opens) return;
  const Oid schema = fraud_schema();
  protect([&] { open_reader(&memo_reader, schema, snapshot, 1); });
  reader_is_open = true;
}

void ListMemo::forget() noexcept { memo.clear(); }

ListMemo::~ListMemo() noexcept {
  memo.clear();
  memo_snapshot = nullptr;
  // After an error that ends the transaction, that closes it.
  if (reader_is_open && std::uncaught_exceptions() == exceptions_) {
    if (!memo_reader.in_use) {
      close_lookup(&memo_reader.lookup);
    } else {
      index_close(memo_reader.lookup.index, AccessShareLock);
      table_close(memo_reader.lookup.heap, AccessShareLock);
    }
  }
  reader_is_open = false;
}

}  // namespace fraud::pg

using namespace fraud::pg;

// Arguments: list, value, and, of the second form, at.
FRAUD_FUNCTION(in_list) {
  const bool as_of = fcinfo->nargs == 3;
  if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || (as_of && PG_ARGISNULL(2))) return BoolGetDatum(false);
  // What was looked up before the memo began is of another snapshot.
  const Snapshot snapshot = memo_snapshot != nullptr ? memo_snapshot : GetActiveSnapshot();
  const TimestampTz at = as_of ? PG_GETARG_TIMESTAMPTZ(2) : GetCurrentTransactionStartTimestamp();
  std::string_view list, value;
  protect([&] {
    text* name = PG_GETARG_TEXT_PP(0);
    list = {VARDATA_ANY(name), static_cast<size_t>(VARSIZE_ANY_EXHDR(name))};
  });
  auto* site = static_cast<Site*>(fcinfo->flinfo->fn_extra);
  if (site == nullptr || !is_of_list(list, *site)) {
    const Oid schema = fraud_schema();
    site = protect([&] { return make_site(fcinfo, schema, list, snapshot); });
  }
  protect([&] { value = canonical(site, PG_GETARG_DATUM(1)); });
  if (as_of) return BoolGetDatum(was_listed(site, fcinfo->flinfo->fn_mcxt, list, value, at, snapshot));
  if (memo_snapshot == nullptr) {
    const Oid schema = fraud_schema();
    return BoolGetDatum(protect([&] { return is_listed(schema, list, value, at, snapshot); }));
  }
  return BoolGetDatum(is_in(lists_of(value, at, snapshot), list));
}
