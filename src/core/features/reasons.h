// Says in words what spoke for fraud.
#pragma once

#include "core/base/guard.h"

#include <cstddef>
#include <string>
#include <vector>

namespace fraud {

// What there is to know of a feature beside its values.
struct FeatureInfo {
  std::string name;
  bool categorical = false;  // XGBoost's feature type "c": the values are category codes
  std::vector<std::string> categories;  // by code, also where the codes are numbers to XGBoost
  std::string reason;        // templates of fill_reason(), or empty
};

// Returns the sentence for one of an event's features, such as "amount 931.90 is
// 7.3 times the card's 30-day mean". values has one value a feature; NaN is missing.
std::string describe_feature(const std::vector<FeatureInfo>& features,
                             const std::vector<float>& values, size_t index);

// Returns the sentences of up to `most` features that pushed the score up most,
// strongest first: none that says less than a tenth of what the strongest says, and circumstances
// (templates that begin with "~") only where there is nothing else. contributions has one log-odds value a feature, zero for those
// that the model does not use.
std::vector<std::string> describe_reasons(const std::vector<FeatureInfo>& features,
                                          const std::vector<float>& values,
                                          const std::vector<double>& contributions, size_t most);

}  // namespace fraud
