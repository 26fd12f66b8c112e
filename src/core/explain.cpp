// Exact path-dependent TreeSHAP, the values that XGBoost's pred_contribs gives.
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
// takes one pass over the nodes with a few multiplications each instead of work
// with the square of the depth per leaf, and it subtracts nothing that is nearly
// equal, so that deep trees stay accurate.
#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "core/forest.h"

namespace fraud {
namespace {

// An integrand has a degree below the number of distinct features on a path,
// and n points integrate degrees up to 2n - 1 exactly.
constexpr size_t kMaxPoints = kMaxDepth / 2;

// Nodes and weights of Gauss-Legendre quadrature on [0, 1].
struct Quadrature {
  size_t count = 0;
  std::array<double, kMaxPoints> t{};
  std::array<double, kMaxPoints> weight{};
};

// Returns the rule with `count` points: the roots of the Legendre polynomial of
// that degree, found by Newton's method from the usual first guess.
Quadrature make_quadrature(size_t count) {
  Quadrature rule;
  rule.count = count;
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
    rule.t[i] = (1 + x) / 2;
    rule.weight[i] = 1 / ((1 - x * x) * slope * slope);
  }
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
// been met is {1, 1}: its factor is 1 and its slope 0.
struct Choice {
  double one = 1;
  double zero = 1;

  double factor(double t) const { return zero + t * (one - zero); }
  double slope() const { return one - zero; }
};

// Explains one row, tree after tree; the scratch space is reused.
class Explainer {
 public:
  Explainer(const Forest& forest, const float* row, double* phi)
      : forest_(forest), row_(row), phi_(phi), choices_(forest.feature_count()) {}

  // Adds the contributions of the tree with nodes [first, last).
  void add_tree(uint32_t first, uint32_t last) {
    phi_[forest_.feature_count()] += prepare(first, last);
    if (forest_.nodes[first].is_leaf) return;
    path_[0].product.fill(1);
    visit(first, 0);
  }

 private:
  using Points = std::array<double, kMaxPoints>;

  // One level of the path from the root: at each point, the product of the
  // factors so far, and the sum of value * product over the leaves below.
  struct Level {
    Points product;
    Points sum;
  };

  // Returns the share of the rows at a split that went to one of its children.
  double fraction(const Node& split, uint32_t child) const {
    // No row at all came here in training: any shares that add up to one will
    // do, as long as the mean value uses the same.
    if (!(split.cover > 0)) return 0.5;
    return static_cast<double>(forest_.nodes[child].cover) / static_cast<double>(split.cover);
  }

  // Chooses the quadrature for a tree and returns its mean value by cover.
  // Children lie behind their parents, so no recursion is needed.
  double prepare(uint32_t first, uint32_t last) {
    depths_.assign(last - first, 0);
    means_.resize(last - first);
    size_t depth = 0;
    for (uint32_t i = first; i < last; ++i) {
      const Node& node = forest_.nodes[i];
      if (node.is_leaf) {
        depth = std::max<size_t>(depth, depths_[i - first]);
        continue;
      }
      const uint8_t below = static_cast<uint8_t>(depths_[i - first] + 1);
      depths_[node.left - first] = below;
      depths_[node.left + 1 - first] = below;
    }
    rule_ = &quadrature_for_depth(depth);
    for (uint32_t i = last; i-- > first;) {
      const Node& node = forest_.nodes[i];
      means_[i - first] = node.is_leaf
                              ? static_cast<double>(node.value)
                              : fraction(node, node.left) * means_[node.left - first] +
                                    fraction(node, node.left + 1) * means_[node.left + 1 - first];
    }
    return means_[0];
  }

  // Fills path_[level].sum for the subtree of a node, whose path_[level].product
  // is set, and adds the contributions of all splits in it.
  void visit(uint32_t index, size_t level) {
    const Node& node = forest_.nodes[index];
    Level& here = path_[level];
    const size_t count = rule_->count;
    if (node.is_leaf) {
      for (size_t q = 0; q < count; ++q) here.sum[q] = node.value * here.product[q];
      return;
    }
    for (size_t q = 0; q < count; ++q) here.sum[q] = 0;

    const bool left = forest_.goes_left(node, row_[node.feature]);
    const Choice before = choices_[node.feature];
    for (uint32_t side = 0; side < 2; ++side) {
      const bool taken = left == (side == 0);
      const Choice after{taken ? before.one : 0, before.zero * fraction(node, node.left + side)};
      // Nothing reaches these leaves, whatever is known. Leaving them out also
      // keeps every factor that is divided by above zero.
      if (after.one == 0 && after.zero == 0) continue;
      Level& below = path_[level + 1];
      for (size_t q = 0; q < count; ++q) {
        const double t = rule_->t[q];
        below.product[q] = here.product[q] / before.factor(t) * after.factor(t);
      }
      choices_[node.feature] = after;
      visit(node.left + side, level + 1);
      choices_[node.feature] = before;
      // The leaves below were credited with `before` by the split above on the
      // same feature; this takes that back, so that the deepest split counts.
      double credit = 0;
      for (size_t q = 0; q < count; ++q) {
        const double t = rule_->t[q];
        credit += rule_->weight[q] * below.sum[q] *
                  (after.slope() / after.factor(t) - before.slope() / before.factor(t));
        here.sum[q] += below.sum[q];
      }
      phi_[node.feature] += credit;
    }
  }

  const Forest& forest_;
  const float* const row_;
  double* const phi_;
  const Quadrature* rule_ = nullptr;
  std::vector<Choice> choices_;  // by feature, of the path that is being visited
  std::vector<uint8_t> depths_;
  std::vector<double> means_;
  std::vector<Level> path_ = std::vector<Level>(kMaxDepth + 1);
};

}  // namespace

void Forest::contributions(const float* row, double* phi) const {
  phi[feature_count()] += static_cast<double>(base_margin);
  Explainer explainer(*this, row, phi);
  for (size_t tree = 0; tree < roots.size(); ++tree) {
    const bool is_last = tree + 1 == roots.size();
    explainer.add_tree(roots[tree],
                       is_last ? static_cast<uint32_t>(nodes.size()) : roots[tree + 1]);
  }
}

}  // namespace fraud
