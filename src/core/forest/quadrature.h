// Gauss-Legendre quadrature for explanations.
#pragma once

#include "core/base/guard.h"

#include <cstddef>

#include "core/forest/forest.h"

namespace fraud {

// Four points at once. Without AVX the compiler makes two halves of it.
typedef double Vector __attribute__((vector_size(32)));
constexpr size_t kVectorSize = 4;

// An integrand has a degree below the number of distinct features on a path,
// and n points integrate degrees up to 2n - 1 exactly.
constexpr size_t kMaxPoints = kMaxDepth / 2;
constexpr size_t kMaxVectors = kMaxPoints / kVectorSize;

// Nodes and weights on [0, 1]. Points that fill up the last vector have the
// weight 0.
struct Quadrature {
  Vector t[kMaxVectors];
  Vector weight[kMaxVectors];
  Vector off_slope[kMaxVectors];  // -1 / (1 - t)
};

// Returns the rule that is exact for a tree of the given depth.
const Quadrature& quadrature_for_depth(size_t depth);

}  // namespace fraud
