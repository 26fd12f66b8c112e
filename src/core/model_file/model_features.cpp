#include "core/model_file/model_features.h"

#include <string>
#include <string_view>
#include <unordered_map>

#include "core/model_file/model_faults.h"
#include "core/model_file/model_text.h"

namespace fraud {

void finish_features(Forest& forest, int64_t count) {
  if (count < 1) fail_invalid("\"num_feature\" is not at least 1");
  if (count > static_cast<int64_t>(kMaxFeatures)) {
    fail_limit("the model has " + std::to_string(count) + " features, more than " +
               std::to_string(kMaxFeatures));
  }
  std::vector<std::string>& names = forest.feature_names;
  forest.has_feature_names = !names.empty();
  if (names.empty()) {
    for (int64_t i = 0; i < count; ++i) names.push_back('f' + std::to_string(i));
    return;
  }
  if (names.size() != static_cast<size_t>(count)) {
    fail_invalid("the model has " + std::to_string(names.size()) + " feature names for " +
                 std::to_string(count) + " features");
  }
  std::unordered_map<std::string_view, size_t> places;
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i].empty() || !is_clean_utf8(names[i])) {
      fail_invalid("feature name " + std::to_string(i) +
                   " is empty, not UTF-8 or holds a control character");
    }
    const auto [other, is_new] = places.emplace(names[i], i);
    if (!is_new) {
      fail_invalid("feature names " + std::to_string(other->second) + " and " + std::to_string(i) +
                   " are the same");
    }
  }
}

}  // namespace fraud
