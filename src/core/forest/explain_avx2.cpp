#if defined(__x86_64__)

#define FRAUD_TARGET __attribute__((target("avx2")))
#include "core/forest/explain_trees.h"

namespace fraud {

FRAUD_TARGET void explain_avx2(const FlatModel& model, const uint8_t* keys, Choice* choices,
                               double* phi) {
  explain_trees(model, keys, choices, phi);
}

}  // namespace fraud

#endif
