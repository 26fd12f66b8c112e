// The aggregate that fraud.backtest_rule counts with: what is counted is src/core/rules/backtest_tally.h.
#include "core/base/json.h"
#include "core/rules/backtest_tally.h"

#include <cstring>
#include <string>

#include "pg/server/boundary.h"
#include "pg/server/gucs.h"
#include "pg/server/numeric_value.h"
#include "pg/server/row_types.h"

extern "C" {
#include "utils/array.h"
}

namespace fraud::pg {

namespace {

constexpr int64_t kDayUs = int64_t{86400} * 1000000;

void drop_tally(void* tally) { delete static_cast<BacktestTally*>(tally); }

// Returns a tally that lives as long as the aggregate's memory.
BacktestTally* make_tally(FunctionCallInfo fcinfo, BacktestTally&& from) {
  MemoryContext context = nullptr;
  if (AggCheckCallContext(fcinfo, &context) == 0) {
    throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "this function is for aggregates only", {}, "fraud.backtest_rule calls it.");
  }
  auto* callback = static_cast<MemoryContextCallback*>(protect([&] { return MemoryContextAlloc(context, sizeof(MemoryContextCallback)); }));
  auto* tally = new BacktestTally(std::move(from));
  callback->func = drop_tally;
  callback->arg = tally;
  MemoryContextRegisterResetCallback(context, callback);
  return tally;
}

BacktestTally* tally_of(FunctionCallInfo fcinfo, int argument) {
  return PG_ARGISNULL(argument) ? nullptr : reinterpret_cast<BacktestTally*>(PG_GETARG_POINTER(argument));
}

void check_room(const BacktestTally& tally) {
  if (tally.bytes() / 1024 <= static_cast<size_t>(guc_evaluation_memory_kb)) return;
  throw SqlError(ERRCODE_PROGRAM_LIMIT_EXCEEDED, "the rule hits more customers than fraud_detect.evaluation_memory holds", {},
                 "Try a shorter period or a narrower condition, or raise the setting.");
}

// Whether a decision, of which there are few, raises an alert.
bool is_alert(Datum decision) {
  auto* text = reinterpret_cast<struct varlena*>(DatumGetPointer(decision));
  if (VARATT_IS_EXTERNAL(text) || VARATT_IS_COMPRESSED(text)) return false;
  const std::string_view value(VARDATA_ANY(text), VARSIZE_ANY_EXHDR(text));
  return value == "review" || value == "block";
}

}  // namespace

}  // namespace fraud::pg

using namespace fraud;
using namespace fraud::pg;

// Arguments: state, occurred_at, is_fraud, decision, base_amount, card, whether the label counts, rules (null: the condition
// does not hit; else of each other rule whether it does).
FRAUD_FUNCTION(backtest_add) {
  BacktestTally* tally = tally_of(fcinfo, 0);
  if (tally == nullptr) tally = make_tally(fcinfo, {});
  if (PG_ARGISNULL(1)) return PointerGetDatum(tally);
  const int64_t time = PG_GETARG_TIMESTAMPTZ(1);
  const int64_t day = time / kDayUs - (time % kDayUs < 0 ? 1 : 0);
  const bool hit = !PG_ARGISNULL(7), is_fraud = !PG_ARGISNULL(2) && PG_GETARG_BOOL(2);
  const BacktestTally::Kind kind = {is_fraud, !PG_ARGISNULL(3) && is_alert(PG_GETARG_DATUM(3)), !PG_ARGISNULL(6) && PG_GETARG_BOOL(6)};
  if (hit) {
    CardKey card{};
    if (!PG_ARGISNULL(5)) std::memcpy(card.data(), PG_GETARG_UUID_P(5)->data, sizeof(card));
    const size_t before = tally->bytes();
    ArrayType* rules = protect([&] { return PG_GETARG_ARRAYTYPE_P(7); });
    if (ARR_ELEMTYPE(rules) != BOOLOID || ARR_HASNULL(rules)) throw SqlError(ERRCODE_NULL_VALUE_NOT_ALLOWED, "rules must be booleans and not null");
    tally->add_hit(day, kind, card, reinterpret_cast<const bool*>(ARR_DATA_PTR(rules)), static_cast<size_t>(ArrayGetNItems(ARR_NDIM(rules), ARR_DIMS(rules))));
    if (tally->bytes() != before) check_room(*tally);
  } else {
    tally->add_other(day, kind);
  }
  if ((hit || is_fraud) && !PG_ARGISNULL(4)) {
    const Datum amount = PG_GETARG_DATUM(4);
    tally->add_money(protect([&] { return numeric_value(amount); }), hit, is_fraud);
  }
  return PointerGetDatum(tally);
}

FRAUD_FUNCTION(backtest_merge) {
  BacktestTally* tally = tally_of(fcinfo, 0);
  BacktestTally* other = tally_of(fcinfo, 1);
  if (tally == nullptr) tally = make_tally(fcinfo, {});
  if (other != nullptr) tally->merge(*other);
  check_room(*tally);
  return PointerGetDatum(tally);
}

FRAUD_FUNCTION(backtest_write) {
  const std::string bytes = tally_of(fcinfo, 0)->write();
  return protect([&] {
    auto* result = static_cast<bytea*>(palloc(bytes.size() + VARHDRSZ));
    SET_VARSIZE(result, bytes.size() + VARHDRSZ);
    memcpy(VARDATA(result), bytes.data(), bytes.size());
    return PointerGetDatum(result);
  });
}

FRAUD_FUNCTION(backtest_read) {
  bytea* bytes = protect([&] { return PG_GETARG_BYTEA_PP(0); });
  std::optional<BacktestTally> tally = BacktestTally::read({VARDATA_ANY(bytes), static_cast<size_t>(VARSIZE_ANY_EXHDR(bytes))});
  if (!tally) throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "the state of a backtest must be one that its aggregate wrote");
  return PointerGetDatum(make_tally(fcinfo, std::move(*tally)));
}

// Returns the counts as JSON; days are numbered since 2000.
FRAUD_FUNCTION(backtest_counts) {
  BacktestTally none;
  BacktestTally* tally = tally_of(fcinfo, 0);
  if (tally == nullptr) tally = &none;
  Json days = Json::array(), rules = Json::array();
  for (const auto& [day, counts] : tally->days()) days.push_back(Json::array({day, counts.payments, counts.hits}));
  for (const auto& hits : tally->hits_of_rules()) rules.push_back(hits);
  const Json counts = Json::object({{"days", days}, {"rules", rules}, {"mature_hits", tally->mature_hits()}, {"mature_frauds", tally->mature_frauds()},
                                 {"mature_frauds_hit", tally->mature_frauds_hit()}, {"frauds_not_alerted", tally->frauds_not_alerted()},
                                 {"caught", tally->caught()}, {"lost", tally->lost()}, {"bothered", tally->bothered()},
                                 {"alerts", tally->alerts()}, {"alerts_hit", tally->alerts_hit()},
                                 {"customers_hit", tally->customers_hit()}, {"customers_bothered", tally->customers_bothered()}});
  const std::string text = counts.dump();
  const char* json = text.c_str();
  return protect([&] { return DirectFunctionCall1(jsonb_in, CStringGetDatum(json)); });
}
