// Exact path-dependent TreeSHAP.
//
// Lundberg et al. (2018) define the game: a split on a feature that is known
// sends the row down one side, a split on an unknown one sends it down both,
// weighted by cover. Along the path to one leaf the product of these choices is,
// for each distinct feature j, `one_j` (1 when the row takes every split on j of
// the path, else 0) if j is known and `zero_j` (the product of the cover
// fractions) if not. The Shapley value is the integral over t in [0, 1] of the
// derivative by feature of the game's multilinear extension (Owen 1972), which
// for a leaf of value v is
//
//   v * (one_i - zero_i) * integral of prod over j != i of (zero_j + t * (one_j - zero_j)) dt.
//
// The integrand is a polynomial, so Gauss-Legendre quadrature with enough points
// gives it exactly. Against the paper's algorithm 2, whose result this is, it
// takes one pass over the nodes with a few operations each, four points at once,
// instead of work with the square of the depth per leaf, and it subtracts nothing
// that is nearly equal, so that deep trees stay accurate.
#include "core/explain.h"

#include <array>
#include <cmath>
#include <vector>

namespace fraud {
namespace {

// Four points at once. On x86-64 without AVX the compiler makes two halves of it.
typedef double Vector __attribute__((vector_size(32)));
constexpr size_t kVectorSize = 4;

// An integrand has a degree below the number of distinct features on a path,
// and n points integrate degrees up to 2n - 1 exactly.
constexpr size_t kMaxPoints = kMaxDepth / 2;
constexpr size_t kMaxVectors = kMaxPoints / kVectorSize;

// Nodes and weights of Gauss-Legendre quadrature on [0, 1]. Points that fill up
// the last vector have the weight 0.
struct Quadrature {
  std::array<Vector, kMaxVectors> t;
  std::array<Vector, kMaxVectors> weight;
  std::array<Vector, kMaxVectors> off_slope;  // -1 / (1 - t)
};

// Returns the rule with `count` points: the roots of the Legendre polynomial of
// that degree, found by Newton's method from the usual first guess.
Quadrature make_quadrature(size_t count) {
  Quadrature rule;
  rule.t.fill(Vector{0.5, 0.5, 0.5, 0.5});
  rule.weight.fill(Vector{});
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

// Returns the rule that is exact for a tree of the given depth.
const Quadrature& quadrature_for_depth(size_t depth) {
  static const std::vector<Quadrature> rules = [] {
    std::vector<Quadrature> all;
    for (size_t count = 1; count <= kMaxPoints; ++count) all.push_back(make_quadrature(count));
    return all;
  }();
  const size_t count = (depth + 1) / 2;
  return rules[count == 0 ? 0 : count - 1];
}

// What the splits of the path so far say of one feature. A feature that has not
// been met is {true, 1}: its factor zero + t * (one - zero) is 1 everywhere.
struct Choice {
  bool one = true;
  double zero = 1;
};

// Values at up to 4 * kVectors points.
template <size_t kVectors>
using Points = std::array<Vector, kVectors>;

// Explains one row; the trees may have paths of up to 8 * kVectors features.
template <size_t kVectors>
class Explainer {
 public:
  Explainer(const FlatModel& model, const uint8_t* keys, double* phi, std::vector<Choice>& choices)
      : model_(model), keys_(keys), phi_(phi), choices_(choices) {}

  void add_tree(uint32_t root, size_t depth) {
    rule_ = &quadrature_for_depth(depth);
    Points<kVectors> product;
    product.fill(Vector{1, 1, 1, 1});
    Points<kVectors> sum;
    visit(root, product, sum);
  }

 private:
  // Sets `sum` to the sum of value * product over the leaves below a node, at each
  // point, and adds the contributions of all splits in it. `product` holds the
  // factors of the path so far.
  void visit(uint32_t index, const Points<kVectors>& product, Points<kVectors>& sum) {
    const FlatNode node = model_.nodes[index];
    if (node.is_leaf()) {
      const double value = static_cast<double>(model_.values[index]);
      for (size_t v = 0; v < kVectors; ++v) sum[v] = value * product[v];
      return;
    }
    const uint32_t feature = model_.slots[node.slot()].feature;
    const bool right = keys_[node.slot()] >= node.threshold();
    const Choice before = choices_[feature];
    sum.fill(Vector{});
    if (!before.one) {
      // The row left this path at an earlier split on the feature. A further one
      // scales what is below and changes nobody's share of it.
      for (uint32_t side = 0; side < 2; ++side) {
        const double share = static_cast<double>(model_.shares[node.left + side]);
        if (share == 0) continue;
        Points<kVectors> scaled;
        Points<kVectors> below;
        for (size_t v = 0; v < kVectors; ++v) scaled[v] = product[v] * share;
        choices_[feature].zero = before.zero * share;
        visit(node.left + side, scaled, below);
        for (size_t v = 0; v < kVectors; ++v) sum[v] += below[v];
      }
      choices_[feature] = before;
      return;
    }

    // The product without the feature, and the feature's slope over its factor
    // as the splits above have it: their credit is taken back here, so that
    // the deepest split on the feature counts.
    Points<kVectors> others = product;
    Points<kVectors> slope_before;
    slope_before.fill(Vector{});
    if (before.zero != 1) {
      for (size_t v = 0; v < kVectors; ++v) {
        const Vector inverse = 1.0 / (before.zero + rule_->t[v] * (1 - before.zero));
        others[v] = product[v] * inverse;
        slope_before[v] = (1 - before.zero) * inverse;
      }
    }
    Vector credit = {};
    for (uint32_t side = 0; side < 2; ++side) {
      const bool taken = right == (side == 1);
      const double zero =
          before.zero * static_cast<double>(model_.shares[node.left + side]);
      if (!taken && zero == 0) continue;  // nothing reaches these leaves
      Points<kVectors> path;
      Points<kVectors> below;
      Points<kVectors> slope;
      for (size_t v = 0; v < kVectors; ++v) {
        const Vector factor =
            taken ? zero + rule_->t[v] * (1 - zero) : zero * (1.0 - rule_->t[v]);
        path[v] = others[v] * factor;
        slope[v] = taken ? (1 - zero) / factor : rule_->off_slope[v];
      }
      choices_[feature] = Choice{taken, zero};
      visit(node.left + side, path, below);
      for (size_t v = 0; v < kVectors; ++v) {
        credit += rule_->weight[v] * below[v] * (slope[v] - slope_before[v]);
        sum[v] += below[v];
      }
    }
    choices_[feature] = before;
    phi_[feature] += (credit[0] + credit[1]) + (credit[2] + credit[3]);
  }

  const FlatModel& model_;
  const uint8_t* const keys_;
  double* const phi_;
  std::vector<Choice>& choices_;  // by feature, of the path that is being visited
  const Quadrature* rule_ = nullptr;
};

}  // namespace

void explain(const FlatModel& model, const uint8_t* keys, double* phi) {
  phi[model.feature_count()] += static_cast<double>(model.header->base_margin) + model.header->mean;
  std::vector<Choice> choices(model.feature_count());
  for (uint32_t tree = 0; tree < model.header->tree_count; ++tree) {
    const uint32_t root = model.roots[tree];
    const size_t depth = model.depths[tree];
    const size_t vectors = (depth + 2 * kVectorSize - 1) / (2 * kVectorSize);
    if (vectors <= 1) {
      Explainer<1>(model, keys, phi, choices).add_tree(root, depth);
    } else if (vectors <= 2) {
      Explainer<2>(model, keys, phi, choices).add_tree(root, depth);
    } else if (vectors <= 4) {
      Explainer<4>(model, keys, phi, choices).add_tree(root, depth);
    } else {
      Explainer<kMaxVectors>(model, keys, phi, choices).add_tree(root, depth);
    }
  }
}

}  // namespace fraud
