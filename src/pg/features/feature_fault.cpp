#include "pg/features/feature_fault.h"

#include <algorithm>
#include <optional>

#include "pg/server/subtransaction.h"

namespace fraud::pg {

namespace {

// Returns the set with one of its features, or with none: nothing else is computed, not even
// what windows of others aggregate.
FeatureSet only(const FeatureSet& set, std::optional<size_t> feature) {
  FeatureSet one = set;
  one.name += " (one feature)";  // for the cache of plans: all such take turns in one place
  one.locals.clear();
  one.inputs.clear();
  one.keys.clear();
  one.windows.clear();
  one.window_places.clear();
  if (!feature) return one;
  for (const FeatureSet::Local& local : set.locals) {
    if (local.feature == *feature) one.locals.push_back(local);
  }
  for (size_t i = 0; i < set.windows.size(); ++i) {
    if (set.window_places[i] != *feature) continue;
    WindowFeature window = set.windows[i];
    one.keys.push_back(set.keys[window.key]);
    window.key = 0;
    for (int* input : {&window.input, &window.second_input, &window.current_input, &window.second_current_input}) {
      if (*input == kEveryEvent) continue;
      one.inputs.push_back(set.inputs[static_cast<size_t>(*input)]);
      *input = static_cast<int>(one.inputs.size()) - 1;
    }
    one.windows.push_back(window);
    one.window_places.push_back(*feature);
  }
  return one;
}

}  // namespace

namespace {

// Tells whether the set cannot be computed for the events, in a subtransaction.
bool fails(const FeatureSet& set, const EventSource& events, bool read_only) {
  auto one = std::make_shared<const FeatureSet>(set);
  try {
    in_subtransaction([&] { (void)online_features(one, events, read_only); });
  } catch (const PgError& error) {
    // A cancel is the statement's, not the feature's.
    if (ERRCODE_TO_CATEGORY(error.data()->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION) throw;
    protect([&] { FreeErrorData(error.data()); });
    return true;
  } catch (const SqlError&) {
    return true;
  }
  return false;
}

}  // namespace

std::string failing_feature(const FeatureSet& set, const EventSource& events, bool read_only) {
  // Where the event's own time or id is at fault, no feature is.
  if (fails(only(set, std::nullopt), events, read_only)) return {};
  for (size_t feature = 0; feature < set.features.size(); ++feature) {
    if (fails(only(set, feature), events, read_only)) return set.features[feature].name;
  }
  return {};
}

}  // namespace fraud::pg
