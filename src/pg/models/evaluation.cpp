// The aggregates that measure scores: fraud.average_precision and its like. They
// collect (score, is_fraud) pairs; what is measured is src/core/metrics.
#include "core/features/metrics.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <new>

#include "pg/server/boundary.h"
#include "pg/server/gucs.h"

extern "C" {
#include "common/hashfn.h"
#include "utils/date.h"
}

namespace fraud::pg {

namespace {

// What an aggregate collects, in its own memory context.
template <typename Item>
struct Collected {
  Item* items = nullptr;
  size_t count = 0;
  size_t room = 0;
};

// Returns the aggregate's memory context.
MemoryContext aggregate_context(FunctionCallInfo fcinfo) {
  MemoryContext context = nullptr;
  if (AggCheckCallContext(fcinfo, &context) == 0) {
    throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "this function is for aggregates only", {},
                   "Call the aggregate that it is a part of: docs/evaluation.md lists them.");
  }
  return context;
}

template <typename State>
State* state_of(FunctionCallInfo fcinfo) {
  return PG_ARGISNULL(0) ? nullptr : reinterpret_cast<State*>(PG_GETARG_POINTER(0));
}

template <typename State>
State* make_state(FunctionCallInfo fcinfo) {
  MemoryContext context = aggregate_context(fcinfo);
  return new (protect([&] { return MemoryContextAlloc(context, sizeof(State)); })) State;
}

template <typename Item>
void add(FunctionCallInfo fcinfo, Collected<Item>& collected, const Item& item) {
  if (collected.count == collected.room) {
    size_t room = collected.room == 0 ? 256 : collected.room * 2;
    size_t limit = static_cast<size_t>(guc_evaluation_memory_kb) * 1024;
    if (room * sizeof(Item) > limit) room = limit / sizeof(Item);
    if (room <= collected.count) {
      throw SqlError(ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                     "more than " + std::to_string(collected.count) +
                         " scores to measure, which is what fraud_detect.evaluation_memory holds",
                     {}, "Measure a shorter period, or raise the setting.");
    }
    MemoryContext context = aggregate_context(fcinfo);
    size_t bytes = room * sizeof(Item);
    Item* items = collected.items;
    collected.items = static_cast<Item*>(protect([&] {
      return items == nullptr ? MemoryContextAllocHuge(context, bytes) : repalloc_huge(items, bytes);
    }));
    collected.room = room;
  }
  collected.items[collected.count++] = item;
}

double checked_score(FunctionCallInfo fcinfo, int argument) {
  double score = PG_GETARG_FLOAT8(argument);
  if (std::isnan(score)) {
    throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "a score to be measured is not a number", {},
                   "Leave out the events without a score: WHERE score <> 'NaN'.");
  }
  return score;
}

struct RankingState {
  Collected<Outcome> outcomes;
  double rate = 0;  // of alerts, or number of steps
};

struct CardState {
  Collected<CardOutcome> outcomes;
  int k = 0;
  bool remove_caught = false;
};

Ranking ranking(const RankingState& state) {
  return Ranking({state.outcomes.items, state.outcomes.items + state.outcomes.count});
}

Datum number(FunctionCallInfo fcinfo, double value) {
  if (std::isnan(value)) PG_RETURN_NULL();
  return Float8GetDatum(value);
}

void check_rate(double rate) {
  if (!(rate > 0 && rate <= 1)) {
    throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "invalid alert rate " + std::to_string(rate),
                   "A rate is above 0 and at most 1.");
  }
}

// Makes a two-dimensional float8[]; NaN is null.
Datum matrix(const std::vector<double>& values, int rows, int columns) {
  std::vector<Datum> datums(values.size());
  auto nulls = std::make_unique<bool[]>(values.size() + 1);
  for (size_t i = 0; i < values.size(); ++i) {
    datums[i] = Float8GetDatum(values[i]);
    nulls[i] = std::isnan(values[i]);
  }
  Datum* data = datums.data();
  bool* null_data = nulls.get();
  return protect([&] {
    if (rows == 0) return PointerGetDatum(construct_empty_array(FLOAT8OID));
    int dims[2] = {rows, columns};
    int lower[2] = {1, 1};
    return PointerGetDatum(construct_md_array(data, null_data, 2, dims, lower, FLOAT8OID, 8,
                                              FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
  });
}

// Adds the row's score unless it or its label is null.
RankingState* add_outcome(FunctionCallInfo fcinfo) {
  RankingState* state = state_of<RankingState>(fcinfo);
  if (state == nullptr) state = make_state<RankingState>(fcinfo);
  if (!PG_ARGISNULL(1) && !PG_ARGISNULL(2)) {
    add(fcinfo, state->outcomes, {checked_score(fcinfo, 1), PG_GETARG_BOOL(2)});
  }
  return state;
}

template <typename Measure>
Datum measure(FunctionCallInfo fcinfo, Measure measured) {
  RankingState* state = state_of<RankingState>(fcinfo);
  if (state == nullptr) PG_RETURN_NULL();
  return number(fcinfo, measured(ranking(*state), *state));
}

}  // namespace

}  // namespace fraud::pg

using namespace fraud;
using namespace fraud::pg;

FRAUD_FUNCTION(ranking_add) { return PointerGetDatum(add_outcome(fcinfo)); }

// As ranking_add, with the rate of alerts (or number of steps) as last argument.
FRAUD_FUNCTION(ranking_add_at) {
  RankingState* state = add_outcome(fcinfo);
  if (!PG_ARGISNULL(3)) state->rate = PG_GETARG_FLOAT8(3);
  return PointerGetDatum(state);
}

FRAUD_FUNCTION(ranking_average_precision) {
  return measure(fcinfo, [](const Ranking& r, const RankingState&) { return r.average_precision(); });
}

FRAUD_FUNCTION(ranking_auc_roc) {
  return measure(fcinfo, [](const Ranking& r, const RankingState&) { return r.auc_roc(); });
}

FRAUD_FUNCTION(ranking_log_loss) {
  return measure(fcinfo, [](const Ranking& r, const RankingState&) { return r.log_loss(); });
}

FRAUD_FUNCTION(ranking_brier) {
  return measure(fcinfo, [](const Ranking& r, const RankingState&) { return r.brier(); });
}

FRAUD_FUNCTION(ranking_precision_at) {
  return measure(fcinfo, [](const Ranking& r, const RankingState& state) {
    check_rate(state.rate);
    return r.at_alert_rate(state.rate).precision;
  });
}

FRAUD_FUNCTION(ranking_recall_at) {
  return measure(fcinfo, [](const Ranking& r, const RankingState& state) {
    check_rate(state.rate);
    return r.at_alert_rate(state.rate).recall;
  });
}

// Returns {{rows, frauds, auc_roc, average_precision, log_loss, brier, threshold,
// precision, recall}}, the last three at the rate of alerts.
FRAUD_FUNCTION(ranking_measures) {
  RankingState* state = state_of<RankingState>(fcinfo);
  if (state == nullptr) PG_RETURN_NULL();
  check_rate(state->rate);
  Ranking all = ranking(*state);
  AlertQuality at = all.at_alert_rate(state->rate);
  return matrix({static_cast<double>(all.size()), static_cast<double>(all.frauds()), all.auc_roc(),
                 all.average_precision(), all.log_loss(), all.brier(), at.threshold, at.precision,
                 at.recall},
                1, 9);
}

// Returns {{threshold, alerts, caught, precision, recall}, …}.
FRAUD_FUNCTION(ranking_curve) {
  RankingState* state = state_of<RankingState>(fcinfo);
  if (state == nullptr) PG_RETURN_NULL();
  std::vector<double> values;
  for (const AlertQuality& at : ranking(*state).curve(static_cast<size_t>(std::max(state->rate, 0.0)))) {
    values.insert(values.end(), {at.threshold, static_cast<double>(at.alerts),
                                 static_cast<double>(at.caught), at.precision, at.recall});
  }
  return matrix(values, static_cast<int>(values.size() / 5), 5);
}

FRAUD_FUNCTION(card_precision_add) {
  CardState* state = state_of<CardState>(fcinfo);
  if (state == nullptr) state = make_state<CardState>(fcinfo);
  if (!PG_ARGISNULL(5)) state->k = PG_GETARG_INT32(5);
  if (!PG_ARGISNULL(6)) state->remove_caught = PG_GETARG_BOOL(6);
  if (PG_ARGISNULL(1) || PG_ARGISNULL(2) || PG_ARGISNULL(3) || PG_ARGISNULL(4)) {
    return PointerGetDatum(state);
  }
  text* card = protect([&] { return PG_GETARG_TEXT_PP(3); });
  CardOutcome outcome;
  outcome.day = PG_GETARG_DATEADT(4);
  outcome.card = hash_bytes_extended(reinterpret_cast<const unsigned char*>(VARDATA_ANY(card)),
                                     static_cast<int>(VARSIZE_ANY_EXHDR(card)), 0);
  outcome.score = checked_score(fcinfo, 1);
  outcome.is_fraud = PG_GETARG_BOOL(2);
  add(fcinfo, state->outcomes, outcome);
  return PointerGetDatum(state);
}

FRAUD_FUNCTION(card_precision) {
  CardState* state = state_of<CardState>(fcinfo);
  if (state == nullptr) PG_RETURN_NULL();
  if (state->k <= 0) {
    throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE,
                   "invalid number of cards " + std::to_string(state->k), {},
                   "Give the number of cards that can be checked in a day, above 0.");
  }
  return number(fcinfo, card_precision({state->outcomes.items,
                                        state->outcomes.items + state->outcomes.count},
                                       static_cast<size_t>(state->k), state->remove_caught));
}
