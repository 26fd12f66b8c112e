// Says in words what spoke for fraud.
#pragma once

#include "core/guard.h"

#include <cstddef>
#include <string>
#include <vector>

#include "core/payment_features.h"

namespace fraud {

// Returns the sentence for payment feature `index` (into payment_feature_names)
// of a payment with these features, such as "amount 931.90 is 7.3 times the
// card's 30-day mean". Amounts are in the feed's currency.
std::string describe_feature(size_t index, const PaymentFeatures& features);

// Returns the sentences of up to `most` features that pushed the score up most,
// strongest first. contributions has one log-odds value a payment feature, zero
// for those that the model does not use.
std::vector<std::string> describe_reasons(const PaymentFeatures& features,
                                          const std::vector<double>& contributions, size_t most);

}  // namespace fraud
