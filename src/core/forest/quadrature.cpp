#include "core/forest/quadrature.h"

#include <cmath>

namespace fraud {
namespace {

// Returns the rule with `count` points: the roots of the Legendre polynomial of
// that degree, found by Newton's method from the usual first guess.
Quadrature make_quadrature(size_t count) {
  Quadrature rule;
  for (size_t i = 0; i < kMaxVectors; ++i) {
    rule.t[i] = Vector{0.5, 0.5, 0.5, 0.5};
    rule.weight[i] = Vector{};
  }
  const double n = static_cast<double>(count);
  const double pi = std::acos(-1.0);
  for (size_t i = 0; i < count; ++i) {
    double x = std::cos(pi * (static_cast<double>(i) + 0.75) / (n + 0.5));
    double slope = 1;
    for (int step = 0; step < 100; ++step) {
      double previous = 1;
      double value = x;
      for (size_t k = 2; k <= count; ++k) {
        const double degree = static_cast<double>(k);
        const double next = ((2 * degree - 1) * x * value - (degree - 1) * previous) / degree;
        previous = value;
        value = next;
      }
      slope = n * (x * value - previous) / (x * x - 1);
      const double move = value / slope;
      x -= move;
      if (std::fabs(move) < 1e-15) break;
    }
    rule.t[i / kVectorSize][i % kVectorSize] = (1 + x) / 2;
    rule.weight[i / kVectorSize][i % kVectorSize] = 1 / ((1 - x * x) * slope * slope);
  }
  for (size_t i = 0; i < kMaxVectors; ++i) rule.off_slope[i] = -1.0 / (1.0 - rule.t[i]);
  return rule;
}

// The rules of 1 to kMaxPoints points. An array, which is aligned as vectors need.
struct Rules {
  Rules() {
    for (size_t i = 0; i < kMaxPoints; ++i) with_points[i] = make_quadrature(i + 1);
  }
  Quadrature with_points[kMaxPoints];
};

}  // namespace

const Quadrature& quadrature_for_depth(size_t depth) {
  static const Rules rules;
  const size_t count = (depth + 1) / 2;
  return rules.with_points[count == 0 ? 0 : count - 1];
}

}  // namespace fraud
