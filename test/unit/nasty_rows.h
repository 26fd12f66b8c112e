// Rows that are hard to score right, for comparing anything that scores with
// XGBoost: made at run time from a seed, so that none need be kept in files.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "core/forest/forest.h"

namespace fraud {

// Returns `count` rows of forest.feature_count() values, one after the other; the
// same for the same forest and seed. Each value is one of
//   - a threshold of a split on its feature, or the float on either side of it;
//   - for a feature with categorical splits: a category that some split knows or its
//     neighbour, with a fraction, negative, unknown, or past every float's precision;
//   - a number from the range of the feature's thresholds, or missing (NaN);
//   - ±0, a denormal, the greatest or least float, an infinity.
// A row has infinities of one sign only, so that a DMatrix can hold it (Reference).
inline std::vector<float> nasty_rows(const Forest& forest, size_t count, uint32_t seed) {
  using Limits = std::numeric_limits<float>;
  const size_t width = forest.feature_count();
  std::vector<std::vector<float>> thresholds(width);
  std::vector<std::vector<float>> categories(width);
  for (const Node& node : forest.nodes) {
    if (node.is_leaf) continue;
    if (node.category_set == 0) {
      thresholds[node.feature].push_back(node.value);
      continue;
    }
    const CategorySet& set = forest.category_sets[node.category_set - 1];
    for (size_t i = 0; i < set.size() * 32; ++i) {
      if ((set[i / 32] >> (i % 32) & 1U) != 0) {
        categories[node.feature].push_back(static_cast<float>(i));
      }
    }
  }

  std::mt19937 random(seed);
  const auto one_of = [&random](const auto& values) -> float {
    return values[random() % std::size(values)];
  };
  const auto share = [&random] { return static_cast<float>(random() % 10000) / 10000.0F; };
  const float specials[] = {0.0F,
                            -0.0F,
                            Limits::denorm_min(),
                            -Limits::denorm_min(),
                            Limits::min() * 0.75F,
                            -Limits::min() * 0.75F,
                            Limits::min(),
                            -Limits::min(),
                            Limits::max(),
                            Limits::lowest(),
                            1.0F,
                            -1.0F};
  const auto numeric = [&](size_t feature) {
    const std::vector<float>& cuts = thresholds[feature];
    if (cuts.empty()) return share() * 4 - 2;
    const float cut = one_of(cuts);
    switch (random() % 8) {
      case 0:
      case 1:
        return cut;
      case 2:
      case 3:
        return std::nextafter(cut, Limits::infinity());
      case 4:
      case 5:
        return std::nextafter(cut, -Limits::infinity());
      default: {
        const float other = one_of(cuts);
        return cut + (other - cut) * share() * 1.1F;
      }
    }
  };
  const auto category = [&](size_t feature) {
    const float known = one_of(categories[feature]);
    switch (random() % 12) {
      case 0:
        return known + 1;
      case 1:
        return known - 1;
      case 2:
        return known + share();
      case 3:
        return -known - share();
      case 4:
        return known + 32;
      case 5:
        return known + 100000;
      case 6: {
        const float huge[] = {16777215.0F,   16777216.0F,   16777218.0F,  2147483520.0F,
                              2147483648.0F, 4294967296.0F, 1e18F,        -2147483648.0F};
        return one_of(huge);
      }
      default:
        return known;
    }
  };

  std::vector<float> rows;
  rows.reserve(count * width);
  for (size_t i = 0; i < count; ++i) {
    const float infinity = random() % 2 == 0 ? Limits::infinity() : -Limits::infinity();
    // Some rows are nearly whole, in some nearly everything is missing.
    const float missing = i % 10 == 0 ? 0.9F : i % 10 < 4 ? 0.0F : 0.15F;
    const float special = i % 7 == 0 ? 0.5F : 0.05F;
    for (size_t feature = 0; feature < width; ++feature) {
      if (share() < missing) {
        rows.push_back(Limits::quiet_NaN());
      } else if (share() < special) {
        rows.push_back(random() % 5 == 0 ? infinity : one_of(specials));
      } else {
        rows.push_back(categories[feature].empty() ? numeric(feature) : category(feature));
      }
    }
  }
  return rows;
}

}  // namespace fraud
