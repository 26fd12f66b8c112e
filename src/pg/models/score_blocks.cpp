// The node that scores rows in blocks.
#include "pg/models/score_blocks.h"

#include "pg/models/call_site.h"
#include "pg/server/boundary.h"

extern "C" {
#include "executor/executor.h"
#include "nodes/execnodes.h"
#include "utils/acl.h"
#include "utils/datum.h"
#include "utils/memutils.h"
}

namespace fraud::pg {

namespace {

using ::Node;  // of Postgres, whose macros name it; not that of a tree

constexpr int kRows = static_cast<int>(CallSite::kMostBlockRows);

// A column that is handed on as it is.
struct Passed {
  AttrNumber column;  // of the node below
  bool by_value;
  int16 length;
  Datum* values;  // of the block's rows
  bool* nulls;
};

// A call that is computed.
struct Scored {
  CallSite* site;
  FunctionCallInfo call;  // has the constants, and the types of the columns
  int16* attributes;      // of the node below, by argument
  double* scores;         // of the block's rows
};

// Postgres's own: no C++ object lives in it.
struct BlockState {
  CustomScanState css;
  MemoryContext values;  // of the block
  Passed* passed;
  int passed_count;
  Scored* scored;
  int scored_count;
  int last_attribute;  // of the node below, that is read
  int count, next;     // rows of the block, and the first that was not handed on
  bool is_done;        // the node below has no more
};

void begin(CustomScanState* node, EState* estate, int flags) {
  auto* state = reinterpret_cast<BlockState*>(node);
  auto* plan = castNode(CustomScan, node->ss.ps.plan);
  outerPlanState(node) = ExecInitNode(outerPlan(plan), estate, flags & ~(EXEC_FLAG_BACKWARD | EXEC_FLAG_MARK));
  state->values = AllocSetContextCreate(estate->es_query_cxt, "rows to score", ALLOCSET_DEFAULT_SIZES);
  const int most = list_length(plan->custom_scan_tlist);
  state->passed = static_cast<Passed*>(palloc0(sizeof(Passed) * static_cast<size_t>(most)));
  state->scored = static_cast<Scored*>(palloc0(sizeof(Scored) * static_cast<size_t>(most)));
  ListCell* cell;
  foreach (cell, plan->custom_scan_tlist) {
    Expr* expression = lfirst_node(TargetEntry, cell)->expr;
    if (IsA(expression, Var)) {
      Passed& passed = state->passed[state->passed_count++];
      passed.column = reinterpret_cast<Var*>(expression)->varattno;
      get_typlenbyval(reinterpret_cast<Var*>(expression)->vartype, &passed.length, &passed.by_value);
      passed.values = static_cast<Datum*>(palloc0(sizeof(Datum) * kRows));
      passed.nulls = static_cast<bool*>(palloc0(sizeof(bool) * kRows));
      state->last_attribute = Max(state->last_attribute, passed.column);
      continue;
    }
    auto* call = castNode(FuncExpr, expression);
    if (!may_execute(call->funcid)) aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FUNCTION, get_func_name(call->funcid));
    Scored& scored = state->scored[state->scored_count++];
    const int arguments = list_length(call->args);
    auto* info = static_cast<FmgrInfo*>(palloc0(sizeof(FmgrInfo)));
    fmgr_info_cxt(call->funcid, info, estate->es_query_cxt);
    fmgr_info_set_expr(reinterpret_cast<Node*>(call), info);
    scored.call = static_cast<FunctionCallInfo>(palloc0(SizeForFunctionCallInfo(arguments)));
    InitFunctionCallInfoData(*scored.call, info, static_cast<short>(arguments), call->inputcollid, nullptr, nullptr);
    scored.attributes = static_cast<int16*>(palloc0(sizeof(int16) * static_cast<size_t>(arguments)));
    for (int i = 0; i < 2; ++i) scored.call->args[i].value = castNode(Const, list_nth(call->args, i))->constvalue;
    for (int i = 2; i < arguments; ++i) {
      const AttrNumber column = castNode(Var, list_nth(call->args, i))->varattno;
      scored.attributes[i - 2] = column;
      state->last_attribute = Max(state->last_attribute, column);
    }
    scored.scores = static_cast<double*>(palloc0(sizeof(double) * kRows));
  }
}

// Takes the block's row i in.
void take_row(BlockState* state, int i, TupleTableSlot* row) {
  slot_getsomeattrs(row, state->last_attribute);
  for (int p = 0; p < state->passed_count; ++p) {
    const Passed& passed = state->passed[p];
    passed.nulls[i] = row->tts_isnull[passed.column - 1];
    if (passed.nulls[i]) continue;
    const Datum value = row->tts_values[passed.column - 1];
    passed.values[i] = passed.by_value ? value : datumCopy(value, false, passed.length);
  }
  guarded([&] {
    for (int s = 0; s < state->scored_count; ++s) {
      Scored& scored = state->scored[s];
      if (i == 0) {
        scored.site = &CallSite::of(scored.call);
        scored.site->begin_block(scored.call);
      }
      scored.site->read_block_row(static_cast<size_t>(i), row->tts_values, row->tts_isnull, scored.attributes);
    }
  });
}

// Reads and scores the next block.
void fill(BlockState* state) {
  PlanState* below = outerPlanState(&state->css);
  MemoryContextReset(state->values);
  state->count = state->next = 0;
  while (state->count < kRows && !state->is_done) {
    TupleTableSlot* row = ExecProcNode(below);
    if (TupIsNull(row)) {
      state->is_done = true;
      break;
    }
    MemoryContext outside = MemoryContextSwitchTo(state->values);
    take_row(state, state->count, row);
    MemoryContextSwitchTo(outside);
    ++state->count;
  }
  if (state->count == 0) return;
  guarded([&] {
    for (int s = 0; s < state->scored_count; ++s) {
      state->scored[s].site->score_block(static_cast<size_t>(state->count), state->scored[s].scores);
    }
  });
}

TupleTableSlot* execute(CustomScanState* node) {
  auto* state = reinterpret_cast<BlockState*>(node);
  TupleTableSlot* slot = node->ss.ss_ScanTupleSlot;
  ExecClearTuple(slot);
  if (state->next == state->count) {
    fill(state);
    if (state->count == 0) return slot;
  }
  const int i = state->next++;
  int column = 0;
  for (int p = 0; p < state->passed_count; ++p, ++column) {
    slot->tts_values[column] = state->passed[p].values[i];
    slot->tts_isnull[column] = state->passed[p].nulls[i];
  }
  for (int s = 0; s < state->scored_count; ++s, ++column) {
    slot->tts_values[column] = Float8GetDatum(state->scored[s].scores[i]);
    slot->tts_isnull[column] = false;
  }
  return ExecStoreVirtualTuple(slot);
}

void end(CustomScanState* node) { ExecEndNode(outerPlanState(node)); }

void rescan(CustomScanState* node) {
  auto* state = reinterpret_cast<BlockState*>(node);
  state->count = state->next = 0;
  state->is_done = false;
  // What depends on a parameter that has changed is rescanned when it is next read.
  if (outerPlanState(node)->chgParam == nullptr) ExecReScan(outerPlanState(node));
}

const CustomExecMethods kMethods = {"FraudScoreBlocks", begin, execute, end, rescan, nullptr, nullptr, nullptr,
                                    nullptr,            nullptr, nullptr, nullptr, nullptr};

Node* make_state(CustomScan*) {
  auto* state = static_cast<BlockState*>(palloc0(sizeof(BlockState)));
  NodeSetTag(state, T_CustomScanState);
  state->css.methods = &kMethods;
  return reinterpret_cast<Node*>(state);
}

}  // namespace

const CustomScanMethods kScoreBlocks = {"FraudScoreBlocks", make_state};

}  // namespace fraud::pg
