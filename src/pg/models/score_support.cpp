// The planner's help for fraud_score(row): the row is taken apart into its columns
// when the query is planned, so that no row value is formed for each row.
//
// Plain Postgres code: no C++ object lives here, so errors may pass through.
#include "pg/models/score_blocks.h"
#include "pg/server/our_function.h"
#include "pg/server/row_types.h"

extern "C" {
#include "catalog/pg_collation.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "nodes/supportnodes.h"
#include "parser/parsetree.h"
}

namespace fraud::pg {

namespace {

// Tells whether an outer join may make the relation's rows null: then the row
// value is null as a whole, which its columns alone do not show.
bool is_nullable(Node* node, int relation, bool nullable) {
  if (node == nullptr) return false;
  if (IsA(node, RangeTblRef)) return nullable && ((RangeTblRef*)node)->rtindex == relation;
  if (IsA(node, FromExpr)) {
    ListCell* cell;
    foreach (cell, ((FromExpr*)node)->fromlist) {
      if (is_nullable((Node*)lfirst(cell), relation, nullable)) return true;
    }
    return false;
  }
  JoinExpr* join = castNode(JoinExpr, node);
  bool left = nullable || join->jointype == JOIN_RIGHT || join->jointype == JOIN_FULL;
  bool right = nullable || join->jointype == JOIN_LEFT || join->jointype == JOIN_FULL;
  return is_nullable(join->larg, relation, left) || is_nullable(join->rarg, relation, right);
}

// Returns a call of a function in the schema fraud, or null where it may not be
// called by the user, who then has the call as it is.
Node* make_call(const char* name, const Oid* types, int type_count, List* arguments) {
  Oid function = our_function(name, types, type_count);
  if (!OidIsValid(function) || !may_execute(function)) return nullptr;
  return (Node*)makeFuncExpr(function, FLOAT8OID, arguments, InvalidOid, InvalidOid,
                             COERCE_EXPLICIT_CALL);
}

Var* column_of(Var* row, int attribute, Form_pg_attribute column) {
  return makeVar(row->varno, (AttrNumber)(attribute + 1), column->atttypid, column->atttypmod,
                 column->attcollation, 0);
}

// Returns fraud_score(row, model) with the row's columns as arguments, or null.
Node* take_apart(PlannerInfo* root, FuncExpr* call) {
  if (root == nullptr || list_length(call->args) != 2) return nullptr;
  Var* row = (Var*)linitial(call->args);
  Node* model = (Node*)lsecond(call->args);
  if (!IsA(row, Var) || row->varattno != 0 || row->varlevelsup != 0) return nullptr;
  // GROUP BY ROLLUP (row) makes the row null, and not its columns.
  if (root->parse->groupingSets != NIL) return nullptr;
  RangeTblEntry* entry = rt_fetch(row->varno, root->parse->rtable);
  if (entry->rtekind != RTE_RELATION || !type_is_rowtype(row->vartype) ||
      is_nullable((Node*)root->parse->jointree, (int)row->varno, false)) {
    return nullptr;
  }

  TupleDesc descriptor = lookup_rowtype_tupdesc_copy(row->vartype, row->vartypmod);
  if (is_transactions_type(row->vartype)) {
    int place = attribute_named(descriptor, "features", 8);
    if (place < 0) return nullptr;
    const Oid types[2] = {TEXTOID, FLOAT4ARRAYOID};
    return make_call("_score_stored", types, 2,
                     list_make2(model, column_of(row, place, TupleDescAttr(descriptor, place))));
  }
  if (descriptor->natts + 2 > FUNC_MAX_ARGS) return nullptr;
  Datum* names = (Datum*)palloc(sizeof(Datum) * (size_t)descriptor->natts);
  List* columns = NIL;
  for (int i = 0; i < descriptor->natts; ++i) {
    Form_pg_attribute column = TupleDescAttr(descriptor, i);
    if (column->attisdropped) continue;
    names[list_length(columns)] = CStringGetTextDatum(NameStr(column->attname));
    columns = lappend(columns, column_of(row, i, column));
  }
  ArrayType* name_array = construct_array(names, list_length(columns), TEXTOID, -1, false,
                                          TYPALIGN_INT);
  Const* name_constant = makeConst(TEXTARRAYOID, -1, DEFAULT_COLLATION_OID, -1,
                                   PointerGetDatum(name_array), false, false);
  note_score_call();
  const Oid types[3] = {TEXTOID, TEXTARRAYOID, ANYOID};
  return make_call("_score_columns", types, 3,
                   list_concat(list_make2(model, name_constant), columns));
}

}  // namespace

}  // namespace fraud::pg

extern "C" {
PG_FUNCTION_INFO_V1(fraud_detect_score_support);
Datum fraud_detect_score_support(PG_FUNCTION_ARGS) {
  Node* request = (Node*)PG_GETARG_POINTER(0);
  Node* result = nullptr;
  if (IsA(request, SupportRequestSimplify)) {
    auto* simplify = (SupportRequestSimplify*)request;
    result = fraud::pg::take_apart(simplify->root, simplify->fcall);
  }
  PG_RETURN_POINTER(result);
}
}
