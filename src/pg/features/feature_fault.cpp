#include "pg/features/feature_fault.h"

#include <algorithm>

#include "pg/server/subtransaction.h"

namespace fraud::pg {

namespace {

// Returns the set with one of its features: nothing else is computed, not even what windows of
// others aggregate.
FeatureSet only(const FeatureSet& set, size_t feature) {
  FeatureSet one = set;
  one.name += " (one feature)";  // for the cache of plans: all such take turns in one place
  one.locals.clear();
  one.inputs.clear();
  one.keys.clear();
  one.windows.clear();
  one.window_places.clear();
  for (const FeatureSet::Local& local : set.locals) {
    if (local.feature == feature) one.locals.push_back(local);
  }
  for (size_t i = 0; i < set.windows.size(); ++i) {
    if (set.window_places[i] != feature) continue;
    WindowFeature window = set.windows[i];
    one.keys.push_back(set.keys[window.key]);
    window.key = 0;
    for (int* input : {&window.input, &window.second_input, &window.current_input, &window.second_current_input}) {
      if (*input == kEveryEvent) continue;
      one.inputs.push_back(set.inputs[static_cast<size_t>(*input)]);
      *input = static_cast<int>(one.inputs.size()) - 1;
    }
    one.windows.push_back(window);
    one.window_places.push_back(feature);
  }
  return one;
}

}  // namespace

std::string failing_feature(const FeatureSet& set, const EventSource& events, bool read_only) {
  for (size_t feature = 0; feature < set.features.size(); ++feature) {
    auto one = std::make_shared<const FeatureSet>(only(set, feature));
    try {
      in_subtransaction([&] { (void)online_features(one, events, read_only); });
    } catch (const PgError& error) {
      // A cancel is the statement's, not the feature's.
      if (ERRCODE_TO_CATEGORY(error.data()->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION) throw;
      protect([&] { FreeErrorData(error.data()); });
      return set.features[feature].name;
    } catch (const SqlError&) {
      return set.features[feature].name;
    }
  }
  return {};
}

}  // namespace fraud::pg
