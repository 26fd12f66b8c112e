// The aggregate that fraud.suggest_rules searches with: what is searched is src/core/rules/suggestion.h.
#include "core/base/json.h"
#include "core/rules/suggestion.h"

#include <cmath>
#include <string>

#include "pg/server/boundary.h"

extern "C" {
#include "utils/array.h"
}

namespace fraud::pg {

namespace {

struct Sample {
  SuggestionSearch search;
  double frauds = 0, others = 0;
  size_t rows = 0;
  size_t most = 0;
};

// The search reads a sample some thousand times.
constexpr size_t kMostRows = 10000, kMostColumns = 2000;

void drop_sample(void* sample) { delete static_cast<Sample*>(sample); }

Sample* make_sample(FunctionCallInfo fcinfo, size_t columns) {
  MemoryContext context = nullptr;
  if (AggCheckCallContext(fcinfo, &context) == 0) {
    throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "this function is for aggregates only", {}, "fraud.suggest_rules calls it.");
  }
  auto* callback = static_cast<MemoryContextCallback*>(protect([&] { return MemoryContextAlloc(context, sizeof(MemoryContextCallback)); }));
  auto* sample = new Sample{SuggestionSearch(columns)};
  callback->func = drop_sample;
  callback->arg = sample;
  MemoryContextRegisterResetCallback(context, callback);
  return sample;
}

Json told(const Comparison& one) { return Json::array({one.column + 1, one.above, one.at}); }

}  // namespace

}  // namespace fraud::pg

using namespace fraud;
using namespace fraud::pg;

// Arguments: state, the payment's values, whether it is a fraud, how many frauds and others there are in all, how many conditions are wanted.
FRAUD_FUNCTION(suggestion_add) {
  for (int i = 1; i < 6; ++i) {
    if (PG_ARGISNULL(i)) throw SqlError(ERRCODE_NULL_VALUE_NOT_ALLOWED, "a sample must not be null");
  }
  Datum* values = nullptr;
  bool* nulls = nullptr;
  int count = 0;
  protect([&] { deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), FLOAT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &values, &nulls, &count); });
  const auto columns = static_cast<size_t>(count);
  auto* sample = PG_ARGISNULL(0) ? make_sample(fcinfo, columns) : reinterpret_cast<Sample*>(PG_GETARG_POINTER(0));
  if (columns != sample->search.columns()) throw SqlError(ERRCODE_ARRAY_SUBSCRIPT_ERROR, "a sample's rows must have as many values each");
  if (++sample->rows > kMostRows || columns > kMostColumns) {
    throw SqlError(ERRCODE_PROGRAM_LIMIT_EXCEEDED, "a sample has at most " + std::to_string(kMostRows) + " payments of " + std::to_string(kMostColumns) + " values");
  }
  std::vector<double> row(columns);
  for (size_t i = 0; i < columns; ++i) row[i] = nulls[i] ? std::nan("") : DatumGetFloat8(values[i]);
  sample->search.add(row, PG_GETARG_BOOL(2));
  sample->frauds = static_cast<double>(PG_GETARG_INT64(3));
  sample->others = static_cast<double>(PG_GETARG_INT64(4));
  sample->most = static_cast<size_t>(std::max(PG_GETARG_INT32(5), 0));
  return PointerGetDatum(sample);
}

// Returns an array of {"parts": [[column, above, threshold], …], "caught": …, "hit": …}, best first.
FRAUD_FUNCTION(suggestion_find) {
  Json found = Json::array();
  if (!PG_ARGISNULL(0)) {
    const auto* sample = reinterpret_cast<const Sample*>(PG_GETARG_POINTER(0));
    for (const Suggestion& one : sample->search.find(sample->frauds, sample->others, sample->most)) {
      Json parts = Json::array({told(one.first)});
      if (one.second) parts.push_back(told(*one.second));
      found.push_back(Json::object({{"parts", parts}, {"caught", one.caught}, {"hit", one.hit}}));
    }
  }
  const std::string text = found.dump();
  const char* json = text.c_str();
  return protect([&] { return DirectFunctionCall1(jsonb_in, CStringGetDatum(json)); });
}
