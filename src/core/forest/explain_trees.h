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
//
// Included once for each instruction set, which FRAUD_TARGET names: an attribute of
// functions, since a pragma does not reach what a template makes.
#pragma once

#include "core/base/guard.h"

#include "core/forest/explain.h"
#include "core/forest/quadrature.h"

namespace fraud {
namespace {

// Values at up to 4 * kVectors points. They are handed on in memory: how a function
// returns vectors depends on its instruction set.
template <size_t kVectors>
struct Points {
  Vector at[kVectors];

  Vector& operator[](size_t i) { return at[i]; }
  const Vector& operator[](size_t i) const { return at[i]; }
  void fill(double value) {
    for (size_t i = 0; i < kVectors; ++i) at[i] = Vector{value, value, value, value};
  }
};

// Explains one row; the trees may have paths of up to 8 * kVectors features.
template <size_t kVectors>
class Explainer {
 public:
  Explainer(const FlatModel& model, const uint8_t* keys, Choice* choices, double* phi)
      : model_(model), keys_(keys), choices_(choices), phi_(phi) {}

  FRAUD_TARGET void add_tree(uint32_t root, size_t depth) {
    rule_ = &quadrature_for_depth(depth);
    Points<kVectors> product;
    product.fill(1);
    Points<kVectors> sum;
    visit(root, product, sum);
  }

 private:
  // Sets `sum` to the sum of value * product over the leaves below a node, at each
  // point, and adds the contributions of all splits in it. `product` holds the
  // factors of the path so far.
  FRAUD_TARGET void visit(uint32_t index, const Points<kVectors>& product,
                          Points<kVectors>& sum) {
    const FlatNode node = model_.nodes[index];
    if (node.is_leaf()) {
      const double value = static_cast<double>(model_.values[index]);
      for (size_t v = 0; v < kVectors; ++v) sum[v] = value * product[v];
      return;
    }
    const uint32_t feature = model_.slots[node.slot()].feature;
    const bool right = keys_[node.slot()] >= node.threshold();
    const Choice before = choices_[feature];
    sum.fill(0);
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
    slope_before.fill(0);
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
  Choice* const choices_;  // by feature, of the path that is being visited
  double* const phi_;
  const Quadrature* rule_ = nullptr;
};

FRAUD_TARGET inline void explain_trees(const FlatModel& model, const uint8_t* keys,
                                       Choice* choices, double* phi) {
  phi[model.header->feature_count] +=
      static_cast<double>(model.header->base_margin) + model.header->mean;
  for (uint32_t tree = 0; tree < model.header->tree_count; ++tree) {
    const uint32_t root = model.roots[tree];
    const size_t depth = model.depths[tree];
    const size_t vectors = (depth + 2 * kVectorSize - 1) / (2 * kVectorSize);
    if (vectors <= 1) {
      Explainer<1>(model, keys, choices, phi).add_tree(root, depth);
    } else if (vectors <= 2) {
      Explainer<2>(model, keys, choices, phi).add_tree(root, depth);
    } else if (vectors <= 4) {
      Explainer<4>(model, keys, choices, phi).add_tree(root, depth);
    } else {
      Explainer<kMaxVectors>(model, keys, choices, phi).add_tree(root, depth);
    }
  }
}

}  // namespace
}  // namespace fraud
