// Where a plan takes the scores of blocks: fraud._score_columns(model, names, columns…) of an aggregate's arguments
// becomes a column of a node that is put between the aggregate and what it reads.
//
// Only where it is computed for each row anyhow, and every row is read: so nothing is computed that would not have
// been. What CASE, COALESCE, AND, OR or FILTER may leave out stays as it is.
//
// Plain Postgres code: no C++ object lives here, so errors may pass through.
#include "pg/models/score_blocks.h"

#include "pg/server/compat_plans.h"
#include "pg/server/our_function.h"
#include "pg/server/planner_gucs.h"

extern "C" {
#include "catalog/namespace.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/plannodes.h"
#include "optimizer/planner.h"
#include "utils/lsyscache.h"
}

namespace fraud::pg {

namespace {

planner_hook_type previous_planner = nullptr;
bool has_met_call = false;

// What one aggregate's expressions are searched for and changed by.
struct Search {
  Oid function;
  List* calls;          // the calls found, each once
  bool in_arguments;    // of an aggregate
  Bitmapset* columns;   // of the node below, that are read beside them
  const AttrNumber* places;  // where these are from now on, by number; null while searching
  int column_count;
};

bool is_block_call(Node* node, Oid function) {
  if (!IsA(node, FuncExpr) || ((FuncExpr*)node)->funcid != function) return false;
  List* arguments = ((FuncExpr*)node)->args;
  if (list_length(arguments) < 3) return false;
  for (int i = 0; i < list_length(arguments); ++i) {
    Node* argument = (Node*)list_nth(arguments, i);
    if (i < 2 ? !IsA(argument, Const) || ((Const*)argument)->constisnull
              : !IsA(argument, Var) || ((Var*)argument)->varno != OUTER_VAR || ((Var*)argument)->varattno <= 0) {
      return false;
    }
  }
  return true;
}

// Whether all that is below the node is computed whenever the node is.
bool computes_all(Node* node) {
  switch (nodeTag(node)) {
    case T_List:
    case T_TargetEntry:
    case T_FuncExpr:
    case T_OpExpr:
    case T_RelabelType:
    case T_CoerceViaIO:
      return true;
    default:
      return false;
  }
}

// Returns the place of a call among those found, from 0.
int place_of(Search* search, Node* call) {
  int place = 0;
  ListCell* cell;
  foreach (cell, search->calls) {
    if (equal(lfirst(cell), call)) return place;
    ++place;
  }
  search->calls = lappend(search->calls, call);
  return place;
}

// Searches (places is null), or returns the expression changed.
Node* change(Node* node, void* context) {
  Search* search = (Search*)context;
  if (node == nullptr) return nullptr;
  if (search->in_arguments && is_block_call(node, search->function)) {
    const int place = place_of(search, node);
    if (search->places == nullptr) return node;
    return (Node*)makeVar(OUTER_VAR, (AttrNumber)(search->column_count + place + 1), FLOAT8OID, -1, InvalidOid, 0);
  }
  if (IsA(node, Var) && ((Var*)node)->varno == OUTER_VAR) {
    const AttrNumber column = ((Var*)node)->varattno;
    if (search->places == nullptr) {
      search->columns = bms_add_member(search->columns, column);
      return node;
    }
    Var* moved = (Var*)copyObjectImpl(node);
    moved->varattno = search->places[column];
    return (Node*)moved;
  }
  const bool outside = search->in_arguments;
  if (IsA(node, Aggref)) {
    search->in_arguments = ((Aggref*)node)->aggfilter == nullptr && ((Aggref*)node)->aggdirectargs == NIL;
  } else if (outside && !computes_all(node)) {
    search->in_arguments = false;
  }
  Node* result = mutate_expression(node, change, context);
  search->in_arguments = outside;
  return result;
}

TargetEntry* entry_of(Expr* expression, List* list, const TargetEntry* like) {
  return makeTargetEntry(expression, (AttrNumber)(list_length(list) + 1), like != nullptr ? like->resname : nullptr, false);
}

// Makes the node over what the aggregate reads, with the columns and the calls that were found.
Plan* make_node(Plan* child, Search* search, int plan_node_id) {
  CustomScan* scan = makeNode(CustomScan);
  List* rows = NIL;
  for (int column = -1; (column = bms_next_member(search->columns, column)) >= 0;) {
    const TargetEntry* entry = list_nth_node(TargetEntry, child->targetlist, column - 1);
    Node* value = (Node*)entry->expr;
    rows = lappend(rows, entry_of((Expr*)makeVar(OUTER_VAR, (AttrNumber)column, exprType(value), exprTypmod(value),
                                                 exprCollation(value), 0), rows, entry));
  }
  ListCell* cell;
  foreach (cell, search->calls) rows = lappend(rows, entry_of((Expr*)lfirst(cell), rows, nullptr));
  scan->custom_scan_tlist = rows;
  List* targets = NIL;
  foreach (cell, rows) {
    const TargetEntry* entry = lfirst_node(TargetEntry, cell);
    Node* value = (Node*)entry->expr;
    targets = lappend(targets, entry_of((Expr*)makeVar(INDEX_VAR, entry->resno, exprType(value), exprTypmod(value),
                                                       exprCollation(value), 0), targets, entry));
  }
  scan->methods = &kScoreBlocks;
  Plan* plan = &scan->scan.plan;
  plan->targetlist = targets;
  plan->lefttree = child;
  copy_costs(plan, child);
  plan->parallel_safe = child->parallel_safe;
  plan->plan_node_id = plan_node_id;
  plan->extParam = bms_copy(child->extParam);
  plan->allParam = bms_copy(child->allParam);
  return plan;
}

// Puts a node below an aggregate, if it has calls for it; tells whether it did.
bool put_below(Agg* aggregate, Oid function, int plan_node_id) {
  Plan* child = aggregate->plan.lefttree;
  // The aggregates of grouping sets share what they read.
  if (child == nullptr || aggregate->chain != NIL || aggregate->groupingSets != NIL) return false;
  Search search = {};
  search.function = function;
  change((Node*)aggregate->plan.targetlist, &search);
  change((Node*)aggregate->plan.qual, &search);
  if (search.calls == NIL) return false;
  for (int i = 0; i < aggregate->numCols; ++i) search.columns = bms_add_member(search.columns, aggregate->grpColIdx[i]);
  search.column_count = bms_num_members(search.columns);
  AttrNumber* places = (AttrNumber*)palloc0(sizeof(AttrNumber) * (size_t)(list_length(child->targetlist) + 1));
  AttrNumber next = 0;
  for (int column = -1; (column = bms_next_member(search.columns, column)) >= 0;) {
    if (column > list_length(child->targetlist)) return false;
    places[column] = ++next;
  }
  // A column of the system's, or the row as a whole.
  if (bms_is_member(0, search.columns)) return false;
  Plan* node = make_node(child, &search, plan_node_id);
  search.places = places;
  aggregate->plan.targetlist = (List*)change((Node*)aggregate->plan.targetlist, &search);
  aggregate->plan.qual = (List*)change((Node*)aggregate->plan.qual, &search);
  for (int i = 0; i < aggregate->numCols; ++i) aggregate->grpColIdx[i] = places[aggregate->grpColIdx[i]];
  aggregate->plan.lefttree = node;
  return true;
}

struct Plans {
  Oid function;
  int last_id;  // the greatest plan_node_id
  List* aggregates;
};

void look_through(Plan* plan, Plans* plans);

void look_through_all(List* list, Plans* plans) {
  ListCell* cell;
  foreach (cell, list) look_through((Plan*)lfirst(cell), plans);
}

void look_through(Plan* plan, Plans* plans) {
  if (plan == nullptr) return;
  plans->last_id = Max(plans->last_id, plan->plan_node_id);
  switch (nodeTag(plan)) {
    case T_Agg:
      plans->aggregates = lappend(plans->aggregates, plan);
      break;
    case T_Append:
      look_through_all(((Append*)plan)->appendplans, plans);
      break;
    case T_MergeAppend:
      look_through_all(((MergeAppend*)plan)->mergeplans, plans);
      break;
    case T_BitmapAnd:
      look_through_all(((BitmapAnd*)plan)->bitmapplans, plans);
      break;
    case T_BitmapOr:
      look_through_all(((BitmapOr*)plan)->bitmapplans, plans);
      break;
    case T_SubqueryScan:
      look_through(((SubqueryScan*)plan)->subplan, plans);
      break;
    case T_CustomScan:
      look_through_all(((CustomScan*)plan)->custom_plans, plans);
      break;
    default:
      break;
  }
  look_through(plan->lefttree, plans);
  look_through(plan->righttree, plans);
}

PlannedStmt* plan_with_blocks(Query* query, const char* text, int cursor_options, ParamListInfo parameters) {
  PlannedStmt* statement = previous_planner != nullptr ? previous_planner(query, text, cursor_options, parameters)
                                                       : standard_planner(query, text, cursor_options, parameters);
  if (!has_met_call || !guc_score_blocks) return statement;
  Plans plans = {};
  const Oid types[3] = {TEXTOID, TEXTARRAYOID, ANYOID};
  plans.function = our_function("_score_columns", types, 3);
  if (!OidIsValid(plans.function)) return statement;
  look_through(statement->planTree, &plans);
  look_through_all(statement->subplans, &plans);
  ListCell* cell;
  foreach (cell, plans.aggregates) {
    if (put_below((Agg*)lfirst(cell), plans.function, plans.last_id + 1)) ++plans.last_id;
  }
  return statement;
}

}  // namespace

void note_score_call() { has_met_call = true; }

void install_score_blocks() {
  RegisterCustomScanMethods(&kScoreBlocks);
  previous_planner = planner_hook;
  planner_hook = plan_with_blocks;
}

}  // namespace fraud::pg
