// fraud._scored_features: a model's scores of the events of a feature set.
#include "core/forest/scorer.h"

#include <cmath>
#include <vector>

#include "pg/features/feature_stream.h"
#include "pg/models/model_lookup.h"
#include "pg/server/boundary.h"

namespace fraud::pg {

namespace {

// Returns, for each of the model's features, its place in the set's vectors.
std::vector<size_t> map_features(const ResolvedModel& model, const std::vector<FeatureInfo>& features) {
  std::vector<size_t> places;
  std::string missing;
  for (size_t feature = 0; feature < model.flat->feature_count(); ++feature) {
    const std::string name(model.flat->feature_name(feature));
    size_t i = 0;
    while (i < features.size() && features[i].name != name) ++i;
    if (i == features.size()) missing += (missing.empty() ? "" : ", ") + name;
    places.push_back(i);
  }
  if (!missing.empty()) {
    throw SqlError(ERRCODE_UNDEFINED_COLUMN, "features of model \"" + model.name() + "\" are missing",
                   "Missing: " + missing + ".", "fraud.feature_catalog lists the features of each set.");
  }
  return places;
}

}  // namespace

}  // namespace fraud::pg

using namespace fraud;
using namespace fraud::pg;

// Arguments: ref, feature set, from, to, labels as of. Rows: event_id, event_time,
// is_fraud, score, tag, for the events whose label is known.
FRAUD_FUNCTION(scored_features) {
  auto text_argument = [&](int index) {
    text* value = protect([&] { return PG_GETARG_TEXT_PP(index); });
    return std::string(VARDATA_ANY(value), static_cast<size_t>(VARSIZE_ANY_EXHDR(value)));
  };
  ResolvedModel model = resolve_model(text_argument(0), true);
  auto set = std::make_shared<FeatureSet>(*find_feature_set(text_argument(1), false));
  check_may_read(*set);
  // Payments are told apart by their card, too.
  const bool tagged = set->name == "payments";
  if (tagged) set->tag = "pg_catalog.uuid_hash_extended(card, 0)";
  FeatureStream stream(std::shared_ptr<const FeatureSet>(set), PG_GETARG_TIMESTAMPTZ(2), PG_GETARG_TIMESTAMPTZ(3),
                       PG_GETARG_TIMESTAMPTZ(4));
  std::vector<size_t> places = map_features(model, stream.features());
  Scorer scorer = make_scorer(*model.flat);
  std::vector<float> rows, margins;
  protect([&] { InitMaterializedSRF(fcinfo, 0); });
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  Oid output;
  bool is_varlena;
  protect([&] { getTypeOutputInfo(stream.id_type(), &output, &is_varlena); });
  FeatureBlock block;
  size_t width = stream.features().size();
  while (stream.next(&block)) {
    rows.resize(block.rows * places.size());
    margins.resize(block.rows);
    for (size_t i = 0; i < block.rows; ++i) {
      const float* features = block.features + i * width;
      for (size_t f = 0; f < places.size(); ++f) rows[i * places.size() + f] = features[places[f]];
    }
    scorer.margins(rows.data(), block.rows, places.size(), margins.data());
    for (size_t i = 0; i < block.rows; ++i) {
      if (std::isnan(block.labels[i])) continue;
      double score = static_cast<double>(transform_margin(model.flat->transform(), margins[i]));
      protect([&] {
        char* id = OidOutputFunctionCall(output, block.ids[i]);
        Datum values[5] = {CStringGetTextDatum(id), TimestampTzGetDatum(block.times[i]),
                           BoolGetDatum(block.labels[i] != 0), Float8GetDatum(score),
                           Int64GetDatum(tagged ? block.tags[i] : 0)};
        bool nulls[5] = {false, false, false, false, !tagged};
        tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
        pfree(DatumGetPointer(values[0]));
        pfree(id);
      });
    }
  }
  return (Datum)0;
}
