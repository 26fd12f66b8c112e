#define FRAUD_TARGET
#include "core/forest/explain_trees.h"

namespace fraud {

void explain_scalar(const FlatModel& model, const uint8_t* keys, Choice* choices, double* phi) {
  explain_trees(model, keys, choices, phi);
}

}  // namespace fraud
