// fraud._explain_stored: what each feature of a payment, as it was scored, did to the score, in words.
#include "core/features/reasons.h"

#include <cmath>
#include <string>
#include <vector>

#include "pg/features/feature_set.h"
#include "pg/models/call_site.h"
#include "pg/server/boundary.h"
#include "pg/server/owner_scope.h"

namespace fraud::pg {

namespace {

// The stored vector, each value at its feature's index in the set; NaN for what was added since.
std::vector<float> in_set_order(const FeatureSet& set, ArrayType* vector) {
  const int size = ARR_NDIM(vector) == 1 ? ARR_DIMS(vector)[0] : 0;
  const float* stored = reinterpret_cast<const float*>(ARR_DATA_PTR(vector));
  std::vector<float> values(set.features.size(), NAN);
  for (size_t i = 0; i < values.size(); ++i) {
    if (set.places[i] < static_cast<size_t>(size)) values[i] = stored[set.places[i]];
  }
  return values;
}

}  // namespace

}  // namespace fraud::pg

using namespace fraud;
using namespace fraud::pg;

// Arguments: the vector, the model. Rows: feature, value, contribution, told; and one named (bias).
FRAUD_FUNCTION(explain_stored) {
  OwnerScope owner;
  CallSite& site = CallSite::of(fcinfo);
  site.resolve(protect([&] { return PG_GETARG_TEXT_PP(1); }));
  site.read_stored_vector(PG_GETARG_DATUM(0), false);
  const std::vector<double> phi = site.contributions();
  const std::shared_ptr<const FeatureSet> set = find_feature_set("payments", true);
  const std::vector<float> values = in_set_order(*set, protect([&] { return PG_GETARG_ARRAYTYPE_P(0); }));
  protect([&] { InitMaterializedSRF(fcinfo, 0); });
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  for (size_t i = 0; i < phi.size(); ++i) {
    const bool bias = i == site.row().size();
    const std::string_view name = bias ? "(bias)" : site.model().feature_name(i);
    std::string told;
    for (size_t k = 0; !bias && k < set->features.size(); ++k) {
      if (set->features[k].name == name) told = describe_feature(set->features, values, k);
    }
    const char* words = told.empty() ? nullptr : told.c_str();
    const float value = bias ? NAN : site.row()[i];
    protect([&] {
      Datum row[4] = {PointerGetDatum(cstring_to_text_with_len(name.data(), static_cast<int>(name.size()))),
                      Float8GetDatum(static_cast<double>(value)), Float8GetDatum(phi[i]),
                      words != nullptr ? CStringGetTextDatum(words) : (Datum)0};
      bool nulls[4] = {false, std::isnan(value), false, words == nullptr};
      tuplestore_putvalues(result->setResult, result->setDesc, row, nulls);
    });
  }
  return (Datum)0;
}
