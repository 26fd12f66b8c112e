// fraud_score and fraud_explain.
#include <cmath>

#include "pg/models/call_site.h"
#include "pg/server/arguments.h"
#include "pg/server/boundary.h"

namespace fraud::pg {

namespace {

text* model_argument(FunctionCallInfo fcinfo, int index) {
  return protect([&] { return PG_GETARG_TEXT_PP(index); });
}

CallSite& resolved_site(FunctionCallInfo fcinfo, int model_index) {
  CallSite& site = CallSite::of(fcinfo);
  site.resolve(model_argument(fcinfo, model_index));
  return site;
}

Datum score_of(CallSite& site) { return Float8GetDatum(static_cast<double>(site.score())); }

// Returns one row a feature, and one named (bias).
Datum explain(CallSite& site, FunctionCallInfo fcinfo) {
  std::vector<double> phi = site.contributions();
  protect([&] { InitMaterializedSRF(fcinfo, 0); });
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  for (size_t i = 0; i < phi.size(); ++i) {
    bool bias = i == site.row().size();
    std::string_view name = bias ? "(bias)" : site.model().feature_name(i);
    float value = bias ? NAN : site.row()[i];
    const std::string named = bias ? std::string() : site.category_of(i);
    const char* category = named.empty() ? nullptr : named.c_str();
    protect([&] {
      Datum values[4] = {
          PointerGetDatum(cstring_to_text_with_len(name.data(), (int)name.size())),
          Float8GetDatum((double)value), Float8GetDatum(phi[i]),
          category != nullptr ? CStringGetTextDatum(category) : (Datum)0};
      bool nulls[4] = {false, std::isnan(value), false, category == nullptr};
      tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    });
  }
  return (Datum)0;
}

}  // namespace

}  // namespace fraud::pg

using namespace fraud::pg;

FRAUD_FUNCTION(score_array) {
  CallSite& site = resolved_site(fcinfo, 1);
  site.read_array(PG_GETARG_DATUM(0));
  return score_of(site);
}

FRAUD_FUNCTION(score_jsonb) {
  CallSite& site = resolved_site(fcinfo, 1);
  site.read_jsonb(PG_GETARG_DATUM(0));
  return score_of(site);
}

FRAUD_FUNCTION(score_record) {
  CallSite& site = resolved_site(fcinfo, 1);
  site.read_record(PG_GETARG_DATUM(0));
  return score_of(site);
}

// What the planner makes of fraud_score(row): arguments are model, names of the
// columns, and the columns.
FRAUD_FUNCTION(score_columns) {
  if (PG_ARGISNULL(0)) {
    fcinfo->isnull = true;
    return (Datum)0;
  }
  if (PG_ARGISNULL(1)) throw SqlError(ERRCODE_NULL_VALUE_NOT_ALLOWED, "names must not be null");
  CallSite& site = resolved_site(fcinfo, 0);
  site.read_arguments(fcinfo, 2, PG_GETARG_DATUM(1));
  return score_of(site);
}

// What the planner makes of fraud_score(payment): arguments are model, and the
// payment's stored vector.
FRAUD_FUNCTION(score_stored) {
  if (PG_ARGISNULL(0)) {
    fcinfo->isnull = true;
    return (Datum)0;
  }
  CallSite& site = resolved_site(fcinfo, 0);
  site.read_stored_vector(PG_GETARG_DATUM(1), PG_ARGISNULL(1));
  return score_of(site);
}

// Of the events of a feature set. Arguments: model, stored vector, set.
FRAUD_FUNCTION(score_stored_of) {
  CallSite& site = resolved_site(fcinfo, 0);
  site.take_stored_of(text_argument(fcinfo, 2));
  site.read_stored_vector(PG_GETARG_DATUM(1), false);
  return score_of(site);
}

// Throws where the model cannot score vectors of the set. Arguments: model, set.
FRAUD_FUNCTION(check_scores_of) {
  resolved_site(fcinfo, 0).take_stored_of(text_argument(fcinfo, 1));
  return (Datum)0;
}

FRAUD_FUNCTION(explain_jsonb) {
  CallSite& site = resolved_site(fcinfo, 1);
  site.read_jsonb(PG_GETARG_DATUM(0));
  return explain(site, fcinfo);
}

FRAUD_FUNCTION(explain_record) {
  CallSite& site = resolved_site(fcinfo, 1);
  site.read_record(PG_GETARG_DATUM(0));
  return explain(site, fcinfo);
}
