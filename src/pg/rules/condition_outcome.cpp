// A condition over stored payments one by one, where one that fails is to be told from one that does not hold:
// for backtests of decisions, once it is known that a condition fails.
#include <string>

#include "pg/rules/rule_condition.h"
#include "pg/server/arguments.h"
#include "pg/server/boundary.h"
#include "pg/server/subtransaction.h"

extern "C" {
#include "executor/executor.h"
#include "optimizer/optimizer.h"
#include "utils/typcache.h"
}

namespace fraud::pg {

namespace {

enum Outcome : int16_t { kNo = 0, kHit = 1, kFailed = 2 };

// What a call site has ready.
struct Site {
  const char *text, *stream;
  Oid type;  // of the row
  int32 modifier;
  ExprState* state;
  ExprContext* evaluation;
  TupleTableSlot* slot;
  int columns;
};

// Plain Postgres code.
Site* make_site(FunctionCallInfo fcinfo, const RuleRow& row, const char* text, const char* stream, HeapTupleHeader tuple) {
  MemoryContext outer = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
  auto* site = static_cast<Site*>(palloc0(sizeof(Site)));
  site->text = pstrdup(text);
  site->stream = pstrdup(stream);
  site->type = HeapTupleHeaderGetTypeId(tuple);
  site->modifier = HeapTupleHeaderGetTypMod(tuple);
  TupleDesc shape = lookup_rowtype_tupdesc_copy(HeapTupleHeaderGetTypeId(tuple), HeapTupleHeaderGetTypMod(tuple));
  site->columns = static_cast<int>(row.columns.size());
  for (int i = 0; i < site->columns; ++i) {
    if (i >= shape->natts || TupleDescAttr(shape, i)->atttypid != row.columns[static_cast<size_t>(i)].type) {
      ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH), errmsg("the row must be that of fraud.rule_columns()")));
    }
  }
  site->slot = MakeSingleTupleTableSlot(shape, &TTSOpsVirtual);
  site->evaluation = CreateStandaloneExprContext();
  site->evaluation->ecxt_scantuple = site->slot;
  site->state = ExecInitExpr(expression_planner(reinterpret_cast<Expr*>(condition_tree(row, text))), nullptr);
  MemoryContextSwitchTo(outer);
  fcinfo->flinfo->fn_extra = site;
  return site;
}

}  // namespace

}  // namespace fraud::pg

using namespace fraud::pg;

// Arguments: condition, a row of fraud._rule_row(), or of a stream's events, with whatever else behind it, stream. Returns 0 (it does not hold), 1 (it does), 2 (it fails).
FRAUD_FUNCTION(condition_outcome) {
  HeapTupleHeader tuple = protect([&] { return PG_GETARG_HEAPTUPLEHEADER(1); });
  auto* site = static_cast<Site*>(fcinfo->flinfo->fn_extra);
  const std::string stream(text_argument(fcinfo, 2));
  try {
    bool hit = false;
    in_subtransaction([&] {
      text* condition = protect([&] { return PG_GETARG_TEXT_PP(0); });
      const std::string copy(VARDATA_ANY(condition), static_cast<size_t>(VARSIZE_ANY_EXHDR(condition)));
      if (site == nullptr || copy != site->text || stream != site->stream || site->type != HeapTupleHeaderGetTypeId(tuple) || site->modifier != HeapTupleHeaderGetTypMod(tuple)) {
        const RuleRow row = row_of_stream(stream, true);
        const char *text = copy.c_str(), *of = stream.c_str();
        site = protect([&] { return make_site(fcinfo, row, text, of, tuple); });
      }
      hit = protect([&] {
        HeapTupleData whole;
        whole.t_len = HeapTupleHeaderGetDatumLength(tuple);
        ItemPointerSetInvalid(&whole.t_self);
        whole.t_tableOid = InvalidOid;
        whole.t_data = tuple;
        ExecClearTuple(site->slot);
        heap_deform_tuple(&whole, site->slot->tts_tupleDescriptor, site->slot->tts_values, site->slot->tts_isnull);
        ExecStoreVirtualTuple(site->slot);
        bool null = false;
        const Datum value = ExecEvalExprSwitchContext(site->state, site->evaluation, &null);
        const bool holds = !null && DatumGetBool(value);
        ExecClearTuple(site->slot);
        ResetExprContext(site->evaluation);
        return holds;
      });
    });
    return Int16GetDatum(hit ? kHit : kNo);
  } catch (const PgError& error) {
    ErrorData* data = error.data();
    const int category = ERRCODE_TO_CATEGORY(data->sqlerrcode);
    if (category == ERRCODE_OPERATOR_INTERVENTION || category == ERRCODE_TRANSACTION_ROLLBACK || data->sqlerrcode == ERRCODE_DISK_FULL) throw;
    protect([&] { FreeErrorData(data); });
    return Int16GetDatum(kFailed);
  }
}
