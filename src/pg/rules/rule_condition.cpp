#include "pg/rules/rule_condition.h"

#include <algorithm>

#include "core/payments/mask.h"
#include "pg/features/feature_expression.h"
#include "pg/rules/foreign_code.h"
#include "pg/rules/time_bound.h"
#include "pg/server/boundary.h"
#include "pg/server/gucs.h"
#include "pg/server/owner_scope.h"
#include "pg/server/pinned_settings.h"
#include "pg/server/spi.h"
#include "pg/server/subtransaction.h"

extern "C" {
#include "access/relation.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "parser/analyze.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "utils/fmgroids.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/ruleutils.h"
}

namespace fraud::pg {

namespace {

Statement rule_row("SELECT fraud._rule_row()", {});
Statement stream_exists("SELECT FROM fraud.streams s WHERE s.stream = $1", {TEXTOID});

constexpr int kMostParts = 10000;

bool count_parts(::Node* node, void* count) {
  if (node == nullptr) return false;
  *static_cast<int*>(count) += 1;
  return walk_expression(node, count_parts, count);
}

SqlError too_slow() {
  return {ERRCODE_PROGRAM_LIMIT_EXCEEDED, "the condition takes longer than fraud_detect.rule_timeout (" + std::to_string(guc_rule_timeout_ms) + " ms) to prepare",
          "What has only constants in it is evaluated then.", "A function that is slow, or never ends, would hold up payments."};
}

constexpr char kMark[] = "fraud_rule_condition_ends_here";

// What the walk over a condition finds and does.
struct Walk {
  ForeignCode code;
  Var* time = nullptr;  // lists are asked as of it, where it is there
  bool of_moment = false, unnamed_list = false;
  List* lists = NIL;  // of char*
  Bitmapset* columns = nullptr;
};

// Of the clock, or of the session that happens to decide: whoever stores a payment could evade a rule by a setting.
bool is_of_moment(Oid function, void*) {
  switch (function) {
    case F_NOW:
    case F_STATEMENT_TIMESTAMP:
    case F_AGE_TIMESTAMP:
    case F_AGE_TIMESTAMPTZ:
    case F_PG_POSTMASTER_START_TIME:
    case F_PG_CONF_LOAD_TIME:
    case F_CURRENT_SETTING_TEXT:
    case F_CURRENT_SETTING_TEXT_BOOL:
    case F_CURRENT_SCHEMA:
    case F_CURRENT_SCHEMAS:
    case F_CURRENT_USER:
    case F_SESSION_USER:
    case F_GETPGUSERNAME:
    case F_PG_MY_TEMP_SCHEMA:
    case F_PG_BACKEND_PID:
    case F_PG_CLIENT_ENCODING:
    case F_PG_TRIGGER_DEPTH:
    case F_INET_CLIENT_ADDR:
    case F_INET_CLIENT_PORT:
    case F_INET_SERVER_ADDR:
    case F_INET_SERVER_PORT:
    case F_TXID_CURRENT:
    case F_TXID_CURRENT_IF_ASSIGNED:
    case F_TXID_CURRENT_SNAPSHOT:
    case F_PG_CURRENT_XACT_ID:
    case F_PG_CURRENT_XACT_ID_IF_ASSIGNED:
    case F_PG_CURRENT_SNAPSHOT:
      return true;
    default:
      return false;
  }
}

bool walk(::Node* node, void* context) {
  if (node == nullptr) return false;
  auto* found = static_cast<Walk*>(context);
  if (IsA(node, Var)) found->columns = bms_add_member(found->columns, reinterpret_cast<Var*>(node)->varattno);
  if (IsA(node, SQLValueFunction)) found->of_moment = true;
  if (check_functions_in_node(node, is_of_moment, nullptr)) found->of_moment = true;
  note_foreign_code(node, &found->code);
  // The text of a column's value, such as an enum's, runs nothing: its type's own output is in C.
  if (IsA(node, CoerceViaIO) && IsA(reinterpret_cast<CoerceViaIO*>(node)->arg, Var)) {
    found->columns = bms_add_member(found->columns, reinterpret_cast<Var*>(reinterpret_cast<CoerceViaIO*>(node)->arg)->varattno);
    return false;
  }
  if (IsA(node, FuncExpr)) {
    auto* call = reinterpret_cast<FuncExpr*>(node);
    if (call->funcid == found->code.in_list || call->funcid == found->code.in_list_at) {
      auto* list = static_cast<::Node*>(linitial(call->args));
      if (!IsA(list, Const) || reinterpret_cast<Const*>(list)->constisnull || reinterpret_cast<Const*>(list)->consttype != TEXTOID) {
        found->unnamed_list = true;
      } else {
        found->lists = lappend(found->lists, TextDatumGetCString(reinterpret_cast<Const*>(list)->constvalue));
      }
    }
    if (found->time != nullptr && call->funcid == found->code.in_list) {
      call->funcid = found->code.in_list_at;
      call->args = lappend(call->args, copyObjectImpl(found->time));
    }
  }
  return walk_expression(node, walk, context);
}

Walk new_walk(Oid schema) {
  Walk found;
  auto function = [schema](int args) {
    const Oid types[] = {TEXTOID, ANYOID, TIMESTAMPTZOID};
    oidvector* vector = buildoidvector(types, args);
    return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum("in_list"), PointerGetDatum(vector), ObjectIdGetDatum(schema));
  };
  found.code.in_list = function(2);
  found.code.in_list_at = function(3);
  return found;
}

// The namespace of one item, the row; plain Postgres code.
ParseState* row_state(const RuleRow& row) {
  ParseState* state = make_parsestate(nullptr);
  ParseNamespaceItem* item = addRangeTableEntryForSubquery(state, static_cast<Query*>(copyObjectImpl(row.query)), makeAlias(row.set == nullptr ? "payment" : "event", NIL), false, true);
  addNSItemToQuery(state, item, true, true, true);
  return state;
}

::Node* parse(ParseState* state, const char* text) {
  List* targets = plain_target_list(raw_parser(text, RAW_PARSE_PLPGSQL_EXPR));
  if (targets == nullptr || list_length(targets) != 1) {
    ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR), errmsg("it is not one expression"),
                    errhint("A condition is written as after WHERE.")));
  }
  ::Node* expression = transformExpr(state, linitial_node(ResTarget, targets)->val, EXPR_KIND_INDEX_EXPRESSION);
  expression = coerce_to_boolean(state, expression, "condition");
  assign_expr_collations(state, expression);
  return expression;
}

void check(::Node* expression, const Walk& found) {
  if (contain_volatile_functions(expression)) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_OBJECT_DEFINITION), errmsg("it calls a volatile function"),
                    errdetail("A condition must come to the same however often it is evaluated.")));
  }
  if (found.of_moment) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_OBJECT_DEFINITION), errmsg("it depends on the clock or the session"),
                    errdetail("A backtest would come to something else than the payment did."),
                    errhint("The payment's own time is occurred_at, an event's event_time; fraud.add_rule takes valid_from and valid_until; values that change belong in a list (fraud.in_list).")));
  }
  if (found.unnamed_list) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_OBJECT_DEFINITION), errmsg("it asks a list that is not named by a constant"),
                    errhint("Such as fraud.in_list('blocked_devices', device).")));
  }
  if (bms_is_member(0, found.columns)) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_COLUMN_REFERENCE), errmsg("it uses the row as a whole"), errhint("Name the columns.")));
  }
}

// Returns SQL that was printed under standard_conforming_strings so that it reads the same without it: a text with a backslash
// is written as E'…'. Plain Postgres code.
const char* with_escapes(const char* sql) {
  StringInfoData out;
  initStringInfo(&out);
  for (const char* at = sql; *at != '\0';) {
    if (*at != '\'' && *at != '"') {
      appendStringInfoChar(&out, *at++);
      continue;
    }
    const char quote = *at;
    const char* end = at + 1;
    bool has_backslash = false;
    for (; *end != '\0' && (*end != quote || end[1] == quote); ++end) {
      has_backslash = has_backslash || *end == '\\';
      if (*end == quote) ++end;
    }
    const bool escapes = quote == '\'' && has_backslash;
    if (escapes) appendStringInfoString(&out, " E");
    for (; at != end; ++at) {
      if (escapes && *at == '\\') appendStringInfoChar(&out, '\\');
      appendStringInfoChar(&out, *at);
    }
    if (*at != '\0') appendStringInfoChar(&out, *at++);
  }
  return out.data;
}

// Prints the expression: a query of it is printed, which knows the row's names, and taken out of that.
const char* print(ParseState* state, ::Node* expression) {
  Query* query = makeNode(Query);
  query->commandType = CMD_SELECT;
  query->canSetTag = true;
  query->rtable = state->p_rtable;
#if PG_VERSION_NUM >= 160000
  query->rteperminfos = state->p_rteperminfos;
#endif
  RangeTblRef* item = makeNode(RangeTblRef);
  item->rtindex = 1;
  query->jointree = makeFromExpr(list_make1(item), nullptr);
  query->targetList = list_make1(makeTargetEntry(reinterpret_cast<Expr*>(expression), 1, pstrdup(kMark), false));
  const int level = NewGUCNestLevel();
  // Constants as they will be read again (rule_set.cpp), whatever the caller's settings.
  (void)set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
  pin_value_settings();
  char* text = pg_get_querydef(query, false);
  AtEOXact_GUC(false, level);
  std::string_view all(text);
  constexpr std::string_view kSelect = "SELECT";  // and a blank, or, before CASE, a line's end
  // The row comes after it and has no such name; a constant of the condition comes before.
  const std::string_view end = " AS fraud_rule_condition_ends_here";
  const size_t begin = all.find_first_not_of(" \n", all.find(kSelect) + kSelect.size()), stop = all.rfind(end);
  if (begin == std::string_view::npos || stop == std::string_view::npos || stop < begin) elog(ERROR, "unexpected form of a condition: %s", text);
  return with_escapes(pnstrdup(text + begin, stop - begin));
}

// As much of a condition as an error shows.
std::string beginning(std::string_view condition) {
  constexpr int kMost = 1000;
  const int size = static_cast<int>(condition.size());
  if (size <= kMost) return std::string(condition);
  const char* text = condition.data();
  return std::string(condition.substr(0, static_cast<size_t>(protect([&] { return pg_mbcliplen(text, size, kMost); })))) + "...";
}

// The errors of a condition begin with what they are about.
template <typename Body>
void named_after(const RuleRow& row, std::string_view condition, Body&& body) {
  try {
    protect(body);
  } catch (const PgError& error) {
    const ErrorData* data = error.data();
    if (ERRCODE_TO_CATEGORY(data->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION) throw;
    auto or_empty = [](const char* part) { return std::string(part != nullptr ? part : ""); };
    const std::string message = in_our_words(or_empty(data->message), "conditions", "a condition");
    const std::string columns = "fraud.rule_columns(" + (row.set == nullptr ? "" : "'" + row.set->name + "'") + ") lists what a condition may name.";
    // Errors are logged.
    throw SqlError(data->sqlerrcode, mask_card_numbers("invalid condition \"" + beginning(mask_card_numbers(condition)) + "\": " + message),
                   mask_card_numbers(or_empty(data->detail)),
                   data->sqlerrcode == ERRCODE_UNDEFINED_COLUMN ? columns : or_empty(data->hint));
  }
}

}  // namespace

namespace {

// Parses the query whose rows conditions see.
RuleRow row_of_query(const std::string& text) {
  const char* sql = text.c_str();
  RuleRow row;
  OwnerScope owner;  // names are looked up as ours
  row.query = protect([&] {
    return parse_analyze_fixedparams(linitial_node(RawStmt, raw_parser(sql, RAW_PARSE_DEFAULT)), sql, nullptr, 0, nullptr);
  });
  ListCell* cell;
  foreach (cell, row.query->targetList) {
    auto* target = lfirst_node(TargetEntry, cell);
    auto* value = reinterpret_cast<::Node*>(target->expr);
    RuleColumn column;
    protect([&] {
      column.type = exprType(value);
      column.modifier = exprTypmod(value);
      column.collation = exprCollation(value);
    });
    column.name = target->resname;
    row.columns.push_back(std::move(column));
  }
  return row;
}

}  // namespace

RuleRow payment_row(bool read_only) {
  std::string text;
  {
    OwnerScope owner;
    Spi spi;
    spi.run(rule_row, {}, read_only);
    text = "SELECT " + *spi.text(0, 1) + " FROM fraud.transactions t";
  }
  return row_of_query(text);
}

RuleRow event_row(const FeatureSet& set) {
  using From = RuleColumn::From;
  std::vector<RuleColumn> named;
  std::string text = "SELECT NULL::pg_catalog.float8, NULL::pg_catalog.text COLLATE pg_catalog.\"C\", NULL::pg_catalog.timestamptz";
  for (const auto& [name, from] : {std::pair{"score", From::kScore}, std::pair{"decision", From::kDecision}, std::pair{"event_time", From::kTime}}) {
    RuleColumn column;
    column.name = name;
    column.from = from;
    named.push_back(std::move(column));
  }
  // What is so called already is called otherwise; what would be longer than a name can be is not seen.
  auto add = [&named](std::string name, const char* prefix, From from, size_t place) {
    auto taken = [&named](const std::string& wanted) {
      return std::any_of(named.begin(), named.end(), [&](const RuleColumn& other) { return other.name == wanted; });
    };
    while (taken(name)) name = prefix + name;
    if (name.size() >= NAMEDATALEN) return false;
    RuleColumn column;
    column.name = std::move(name);
    column.from = from;
    column.place = place;
    named.push_back(std::move(column));
    return true;
  };
  Relation table = protect([&] { return try_relation_open(set.relation, AccessShareLock); });
  if (table == nullptr) throw SqlError(ERRCODE_UNDEFINED_TABLE, "the table of stream \"" + set.name + "\" is gone", {}, "fraud.unwatch forgets the stream.");
  TupleDesc shape = RelationGetDescr(table);
  for (int i = 0; i < shape->natts; ++i) {
    const Form_pg_attribute attribute = TupleDescAttr(shape, i);
    if (attribute->attisdropped || is_virtual(*attribute)) continue;  // a trigger has no value of the latter
    if (!add(NameStr(attribute->attname), "column_", From::kTable, static_cast<size_t>(i))) continue;
    const char* quoted = protect([&] { return quote_identifier(NameStr(attribute->attname)); });
    text += std::string(", e.") + quoted;
  }
  const char* relation = protect([&] { return quote_qualified_identifier(get_namespace_name(RelationGetNamespace(table)), RelationGetRelationName(table)); });
  protect([&] { relation_close(table, NoLock); });
  for (size_t i = 0; i < set.features.size(); ++i) {
    if (add(set.features[i].name, "feature_", From::kFeature, i)) text += ", NULL::pg_catalog.float8";
  }
  RuleRow row = row_of_query(text + " FROM " + relation + " e");
  if (row.columns.size() != named.size()) throw InternalError("unexpected number of columns");
  ListCell* cell;
  size_t place = 0;
  foreach (cell, row.query->targetList) {
    RuleColumn& column = row.columns[place];
    column.name = named[place].name;
    column.from = named[place].from;
    column.place = named[place].place;
    const char* name = column.name.c_str();
    lfirst_node(TargetEntry, cell)->resname = protect([&] { return pstrdup(name); });
    ++place;
  }
  return row;
}

bool may_see(const FeatureSet& set, Oid role) {
  const Oid relation = set.relation;
  return protect([&] { return pg_class_aclcheck(relation, role, ACL_SELECT) == ACLCHECK_OK && check_enable_rls(relation, role, true) != RLS_ENABLED; });
}

RuleRow row_of_stream(std::string_view stream, bool read_only) {
  if (stream == kPayments) return payment_row(read_only);
  bool exists = false;
  {
    OwnerScope owner;
    Spi spi;
    exists = spi.run(stream_exists, {text_param(stream)}, read_only) > 0;
  }
  if (!exists) {
    throw SqlError(ERRCODE_UNDEFINED_OBJECT, mask_card_numbers("stream \"" + std::string(stream.substr(0, 200)) + "\" does not exist"), {},
                   "fraud.stream_status lists the streams; fraud.watch makes one.");
  }
  std::shared_ptr<const FeatureSet> set = find_feature_set(stream, read_only);
  check_may_read(*set);
  if (!may_see(*set, GetUserId())) {
    throw SqlError(ERRCODE_INSUFFICIENT_PRIVILEGE, "conditions over stream \"" + set->name + "\" see all rows of its table",
                   "Row security lets this role see some of them.", "Have a role write the rule that row security does not hold for.");
  }
  RuleRow row = event_row(*set);
  row.set = std::move(set);
  return row;
}

std::vector<std::string> features_named(const RuleRow& row, const Bitmapset* columns) {
  std::vector<std::string> features;
  for (int column = -1; (column = bms_next_member(columns, column)) >= 0;) {
    if (column == 0) continue;
    const RuleColumn& named = row.columns[static_cast<size_t>(column) - 1];
    if (named.from == RuleColumn::From::kFeature) features.push_back(row.set->features[named.place].name);
  }
  std::sort(features.begin(), features.end());
  return features;
}

Condition parse_condition(const RuleRow& row, std::string_view text) {
  const std::string copy(text);
  const char* source = copy.c_str();
  const Oid schema = fraud_schema();
  const char* printed = nullptr;
  Walk found;
  named_after(row, text, [&] {
    ParseState* state = row_state(row);
    ::Node* expression = check_domain_constants(parse(state, source));
    found = new_walk(schema);
    (void)walk(expression, &found);
    check(expression, found);
    printed = print(state, expression);
  });
  Condition condition;
  condition.text = printed;
  condition.plain = found.code.names == NIL;
  for (int column = -1; (column = bms_next_member(found.columns, column)) >= 0;) {
    condition.columns.push_back(row.columns[static_cast<size_t>(column) - 1].name);
  }
  condition.features = features_named(row, found.columns);
  {
    RestrictedScope scope(GetUserId());  // as it is read when it runs
    condition.foreign = foreign_in(row, printed);
  }
  ListCell* cell;
  foreach (cell, found.lists) {
    std::string list = static_cast<const char*>(lfirst(cell));
    bool known = false;
    for (const std::string& other : condition.lists) known = known || other == list;
    if (!known) condition.lists.push_back(std::move(list));
  }
  return condition;
}

void check_cost(const RuleRow& row, const Condition& condition) {
  const char* text = condition.text.c_str();
  int parts = 0;
  ::Node* tree = protect([&] {
    ::Node* found = condition_tree(row, text);
    (void)count_parts(found, &parts);
    return found;
  });
  if (parts > kMostParts) {
    throw SqlError(ERRCODE_STATEMENT_TOO_COMPLEX, "the condition has " + std::to_string(parts) + " parts, expected at most " + std::to_string(kMostParts), {},
                   "Many values belong in a list: fraud.create_list, fraud.in_list.");
  }
  TimeBound bound(guc_rule_timeout_ms);
  try {
    in_subtransaction([&] {
      try {
        protect([&] { (void)expression_planner(reinterpret_cast<Expr*>(tree)); });
      } catch (...) {
        (void)bound.stop();  // nothing is to interrupt what cleans up
        throw;
      }
    });
  } catch (const PgError& error) {
    ErrorData* data = error.data();
    // One that fails is counted when it does.
    const bool was_canceled = data->sqlerrcode == ERRCODE_QUERY_CANCELED;
    if (!bound.stop() && ERRCODE_TO_CATEGORY(data->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION) throw;
    protect([&] { FreeErrorData(data); });
    bound.pass_on();
    if (!was_canceled) return;
    throw too_slow();
  }
  if (bound.stop()) throw too_slow();
  bound.pass_on();
}

::Node* condition_tree(const RuleRow& row, const char* text) { return parse(row_state(row), text); }

std::vector<std::string> foreign_in(const RuleRow& row, const char* text) {
  const PinnedSettings pinned;  // names are compared with those of another session
  const Oid schema = fraud_schema();
  List* names = protect([&] {
    Walk found = new_walk(schema);
    (void)walk(condition_tree(row, text), &found);
    return found.code.names;
  });
  std::vector<std::string> foreign;
  ListCell* cell;
  foreach (cell, names) foreign.emplace_back(strVal(lfirst(cell)));
  std::sort(foreign.begin(), foreign.end());
  return foreign;
}

std::string condition_as_of(const RuleRow& row, std::string_view text, bool plain) {
  const std::string copy(text);
  const char* source = copy.c_str();
  const Oid schema = fraud_schema();
  AttrNumber time = 0;
  for (size_t i = 0; i < row.columns.size(); ++i) {
    if (row.columns[i].from == RuleColumn::From::kTime || (row.set == nullptr && row.columns[i].name == "occurred_at")) time = static_cast<AttrNumber>(i + 1);
  }
  const char* printed = nullptr;
  named_after(row, text, [&] {
    ParseState* state = row_state(row);
    ::Node* expression = parse(state, source);
    Walk found = new_walk(schema);
    found.time = makeVar(1, time, TIMESTAMPTZOID, -1, InvalidOid, 0);
    (void)walk(expression, &found);
    check(expression, found);
    if (plain && found.code.names != NIL) {
      ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("it runs functions that it did not when it was written"),
                      errdetail("A column of the table has another type, or there is a cast of it."),
                      errhint("fraud.alter_rule with the condition has it read anew.")));
    }
    printed = print(state, expression);
  });
  return printed;
}

}  // namespace fraud::pg
