// The compiled form and its kernels: all of them against the forest that they come
// from, and compiled bytes that are not what they should be.
#include "core/forest/scorer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "compiled.h"
#include "core/base/error.h"
#include "core/forest/flat_layout.h"
#include "nasty_rows.h"

namespace fraud {
namespace {

uint32_t bits(float value) {
  uint32_t result = 0;
  std::memcpy(&result, &value, sizeof(result));
  return result;
}

// What a random forest looks like.
struct Shape {
  const char* name;
  uint32_t trees;
  uint32_t depth;      // of the deepest leaf
  uint32_t features;
  uint32_t cuts;       // distinct thresholds of a feature
  float leaf_share;    // how often a branch ends early
  float categorical;   // share of the splits on categories
};

// Makes a forest from a seed. Thresholds include zeros of both signs, denormals
// and the ends of float32's range.
Forest random_forest(const Shape& shape, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(0, 1);
  const auto below = [&](uint32_t bound) { return static_cast<uint32_t>(random() % bound); };
  Forest forest;
  forest.base_margin = uniform(random) - 0.5F;
  for (uint32_t i = 0; i < shape.features; ++i) {
    forest.feature_names.push_back("f" + std::to_string(i));
  }
  const float special[] = {0.0F, -0.0F, std::numeric_limits<float>::denorm_min(),
                           -std::numeric_limits<float>::denorm_min(),
                           std::numeric_limits<float>::max(),
                           std::numeric_limits<float>::lowest()};
  for (uint32_t tree = 0; tree < shape.trees; ++tree) {
    const auto root = static_cast<uint32_t>(forest.nodes.size());
    forest.roots.push_back(root);
    forest.nodes.emplace_back();
    forest.nodes[root].cover = 1000;
    uint32_t first = root;
    for (uint32_t level = 0; level <= shape.depth; ++level) {
      const auto last = static_cast<uint32_t>(forest.nodes.size());
      for (uint32_t i = first; i < last; ++i) {
        // One branch always goes all the way down.
        const bool ends = level == shape.depth || (i != first && uniform(random) < shape.leaf_share);
        if (ends) {
          forest.nodes[i].value = uniform(random) - 0.5F;
          continue;
        }
        Node split = forest.nodes[i];
        split.is_leaf = false;
        split.feature = below(shape.features);
        split.default_left = uniform(random) < 0.5F;
        split.left = static_cast<uint32_t>(forest.nodes.size());
        if (uniform(random) < shape.categorical) {
          CategorySet set(1 + below(3));
          for (uint32_t& word : set) word = random();
          forest.category_sets.push_back(set);
          split.category_set = static_cast<uint32_t>(forest.category_sets.size());
        } else if (below(20) == 0) {
          split.value = special[below(6)];
        } else {
          split.value = static_cast<float>(below(shape.cuts)) / 8 - 4;
        }
        forest.nodes[i] = split;
        Node child;
        child.cover = split.cover * 0.25F;
        forest.nodes.push_back(child);
        child.cover = split.cover * 0.75F;
        forest.nodes.push_back(child);
      }
      first = last;
    }
  }
  return forest;
}

// Some for each way of scoring: see CoverEveryWayOfScoring.
const Shape kShapes[] = {
    {"Usual", 50, 6, 24, 60, 0.1F, 0},
    {"OneTree", 1, 6, 3, 10, 0, 0},
    {"NineShallowTrees", 9, 2, 3, 10, 0.2F, 0},
    {"Stumps", 100, 1, 5, 40, 0, 0},
    {"SingleLeaves", 10, 0, 1, 1, 1, 0},
    {"FewSlots", 40, 4, 7, 30, 0.3F, 0},
    {"ManyFeatures", 60, 6, 60, 60, 0.1F, 0},
    {"MoreFeatures", 60, 6, 120, 60, 0.1F, 0},
    {"MostFeatures", 60, 6, 400, 60, 0.1F, 0},
    {"ManyCuts", 200, 6, 12, 2000, 0, 0},
    {"MostCuts", 300, 8, 2, 20000, 0, 0},
    {"Deep", 30, 8, 24, 60, 0.05F, 0},
    {"Deeper", 10, 12, 24, 60, 0.3F, 0},
    {"Deepest", 3, kMaxDepth, 5, 60, 0.55F, 0},
    {"Categories", 30, 6, 10, 60, 0.1F, 0.3F},
    {"ManyCategories", 100, 7, 30, 60, 0.1F, 0.5F},
    {"OnlyCategories", 10, 3, 2, 1, 0, 1},
    {"FiveLevels", 21, 5, 24, 60, 0.1F, 0},
    {"ThreeLevels", 21, 3, 24, 60, 0.1F, 0},
};

class EveryKernel : public testing::TestWithParam<Shape> {};

TEST_P(EveryKernel, GivesTheForestsMargins) {
  const Forest forest = random_forest(GetParam(), 1);
  constexpr size_t kRows = 1000;
  const std::vector<float> rows = nasty_rows(forest, kRows, 2);
  for (const Kernel* kernel : kernels()) {
    Compiled compiled(forest, *kernel);
    std::vector<float> margins(kRows);
    compiled.scorer.margins(rows.data(), kRows, forest.feature_count(), margins.data());
    size_t wrong_alone = 0;
    size_t wrong_in_batch = 0;
    for (size_t i = 0; i < kRows; ++i) {
      const float* row = &rows[i * forest.feature_count()];
      const uint32_t expected = bits(forest.margin(row));
      wrong_alone += bits(compiled.scorer.margin(row)) != expected ? 1 : 0;
      wrong_in_batch += bits(margins[i]) != expected ? 1 : 0;
    }
    EXPECT_EQ(wrong_alone, 0U) << kernel->name;
    EXPECT_EQ(wrong_in_batch, 0U) << kernel->name;
  }
}

// Blocks that are full, almost, and few rows, whatever was in the block before.
TEST_P(EveryKernel, GivesTheSameInBlocksOfAnySize) {
  const Forest forest = random_forest(GetParam(), 3);
  constexpr size_t kRows = 200;
  const std::vector<float> rows = nasty_rows(forest, kRows, 4);
  for (const Kernel* kernel : kernels()) {
    Compiled compiled(forest, *kernel);
    for (size_t count : {200, 1, 15, 16, 17, 63, 64, 65, 79, 80, 128, 0}) {
      std::vector<float> margins(kRows, 7);
      compiled.scorer.margins(rows.data(), count, forest.feature_count(), margins.data());
      for (size_t i = 0; i < kRows; ++i) {
        const float expected = i < count ? forest.margin(&rows[i * forest.feature_count()]) : 7;
        ASSERT_EQ(bits(margins[i]), bits(expected)) << kernel->name << " " << count << " " << i;
      }
    }
  }
}

TEST_P(EveryKernel, GivesTheSameKeysAndContributions) {
  const Forest forest = random_forest(GetParam(), 3);
  const std::vector<float> rows = nasty_rows(forest, 20, 4);
  for (const Kernel* kernel : kernels()) {
    Compiled scalar(forest, kScalarKernel);
    Compiled other(forest, *kernel);
    for (size_t i = 0; i < 20; ++i) {
      const float* row = &rows[i * forest.feature_count()];
      EXPECT_EQ(scalar.contributions(row), other.contributions(row)) << kernel->name;
    }
  }
}

TEST_P(EveryKernel, ContributionsAddUpToTheMargin) {
  const Forest forest = random_forest(GetParam(), 5);
  const std::vector<float> rows = nasty_rows(forest, 50, 6);
  Compiled compiled(forest);
  for (size_t i = 0; i < 50; ++i) {
    const float* row = &rows[i * forest.feature_count()];
    double sum = 0;
    for (const double part : compiled.contributions(row)) sum += part;
    EXPECT_NEAR(sum, static_cast<double>(forest.margin(row)), 1e-4);
  }
}

TEST_P(EveryKernel, TakesThePlaceholderForMissing) {
  Forest forest = random_forest(GetParam(), 7);
  constexpr size_t kRows = 100;
  std::vector<float> rows = nasty_rows(forest, kRows, 8);
  std::vector<float> expected(kRows);
  Compiled plain(forest);
  plain.scorer.margins(rows.data(), kRows, forest.feature_count(), expected.data());
  const std::vector<double> contributions = plain.contributions(rows.data());
  // No row has it by chance.
  forest.missing = -999.25F;
  for (float& value : rows) {
    if (std::isnan(value)) value = forest.missing;
  }
  for (const Kernel* kernel : kernels()) {
    Compiled compiled(forest, *kernel);
    std::vector<float> margins(kRows);
    compiled.scorer.margins(rows.data(), kRows, forest.feature_count(), margins.data());
    for (size_t i = 0; i < kRows; ++i) {
      const float* row = &rows[i * forest.feature_count()];
      EXPECT_EQ(bits(margins[i]), bits(expected[i])) << kernel->name;
      EXPECT_EQ(bits(compiled.scorer.margin(row)), bits(expected[i])) << kernel->name;
      EXPECT_EQ(bits(forest.margin(row)), bits(expected[i]));
    }
    EXPECT_EQ(compiled.contributions(rows.data()), contributions) << kernel->name;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, EveryKernel, testing::ValuesIn(kShapes),
    [](const testing::TestParamInfo<Shape>& shape) { return std::string(shape.param.name); });

TEST(Shapes, CoverEveryWayOfScoring) {
  std::set<std::string> ways;
  for (const Shape& shape : kShapes) {
    const Compiled compiled(random_forest(shape, 1));
    const uint32_t slots = compiled.model.header->slot_count;
    ways.insert(slots <= 64 ? "64" : slots <= 128 ? "128" : slots <= 256 ? "256" : "more");
    ways.insert(compiled.model.blocks_are_whole() ? "whole" : "deep");
    for (uint32_t i = 0; i < compiled.model.header->rank_count; ++i) {
      ways.insert("levels " + std::to_string(compiled.model.ranks[i].level_count));
    }
  }
  EXPECT_EQ(ways, (std::set<std::string>{"64", "128", "256", "more", "whole", "deep", "levels 0",
                                         "levels 1", "levels 2", "levels 3", "levels 4"}));
}

TEST(Kernels, BestIsAmongThoseOfThisMachine) {
  EXPECT_EQ(find_kernel(best_kernel().name), &best_kernel());
  EXPECT_EQ(find_kernel("mmx"), nullptr);
}

TEST(CompiledModel, IsTheSameEachTime) {
  const Forest forest = random_forest(kShapes[14], 7);
  EXPECT_EQ(compile_model(forest), compile_model(forest));
}

TEST(CompiledModel, KeepsNames) {
  Forest forest = random_forest(kShapes[1], 8);
  forest.feature_names = {"amount", "é", "x"};
  const Compiled compiled(forest);
  EXPECT_EQ(compiled.model.feature_name(0), "amount");
  EXPECT_EQ(compiled.model.feature_name(1), "é");
  EXPECT_EQ(compiled.model.feature_name(2), "x");
}

void expect_damaged(const std::string& bytes, const char* message) {
  const AlignedBytes aligned(bytes);
  try {
    FlatModel::open(aligned.view());
    ADD_FAILURE() << "opened: " << message;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidModel);
    EXPECT_STREQ(error.what(), ("the compiled model is damaged: " + std::string(message)).c_str());
  }
}

// Each fault alone, in a model that has splits of both kinds and deep trees.
TEST(CompiledModel, RefusesDamage) {
  const std::string good = compile_model(random_forest(kShapes[15], 9));
  FlatHeader header;
  std::memcpy(&header, good.data(), sizeof(header));
  ASSERT_GT(header.slot_count, kMaxBlockSlots);
  const std::string blocky = compile_model(random_forest(kShapes[11], 9));
  FlatHeader blocky_header;
  std::memcpy(&blocky_header, blocky.data(), sizeof(blocky_header));

  const auto with = [](std::string bytes, const FlatHeader& its, auto change) {
    change(FlatWriter(bytes.data(), FlatLayout(its)));
    return bytes;
  };
  const auto damage = [&](const char* message, auto change) {
    expect_damaged(with(good, header, change), message);
  };
  using Flat = const FlatWriter&;
  expect_damaged("", "it is too short");
  expect_damaged(good.substr(0, good.size() - 64), "size");
  expect_damaged(good + std::string(64, '\0'), "size");
  damage("it does not begin as one", [](Flat f) { f.header->magic ^= 1U; });
  damage("expected format 2, not 1", [](Flat f) { f.header->format = 1; });
  damage("placeholder", [](Flat f) { f.header->missing = std::numeric_limits<float>::infinity(); });
  damage("placeholder", [](Flat f) { f.header->padding = 1; });
  damage("number of features", [](Flat f) { f.header->feature_count = 0; });
  damage("number of features", [](Flat f) { f.header->feature_count = kMaxFeatures + 1; });
  damage("number of ranked features", [](Flat f) { f.header->rank_count = 4096; });
  damage("number of slots", [](Flat f) { f.header->slot_count = 1U << 24U; });
  damage("number of trees", [](Flat f) { f.header->tree_count = kMaxTrees + 1; });
  damage("number of nodes", [](Flat f) { f.header->node_count = kMaxNodes + 1; });
  damage("depth", [](Flat f) { f.header->max_depth = kMaxDepth + 1; });
  damage("levels of the blocks", [](Flat f) { f.header->top_levels = 5; });
  damage("transform", [](Flat f) { f.header->transform = 3; });
  damage("base margin", [](Flat f) { f.header->base_margin = NAN; });
  damage("size", [](Flat f) { f.header->cut_count += 1000; });
  damage("feature names", [](Flat f) { f.name_ends[1] = f.name_ends[0]; });
  damage("feature names", [](Flat f) { f.name_ends[29] += 1; });
  damage("feature of a rank", [](Flat f) { f.ranks[29].feature = 30; });
  damage("order of the features", [](Flat f) { f.ranks[1].feature = 0; });
  damage("levels of thresholds", [](Flat f) { f.ranks[0].level_count = 0; });
  damage("levels of thresholds", [](Flat f) { f.ranks[0].level_count = 8; });
  damage("place of the thresholds", [](Flat f) { f.ranks[0].levels[0] = ~0U; });
  damage("order of thresholds", [](Flat f) { f.cuts[1] = f.cuts[0]; });
  damage("order of thresholds", [](Flat f) { f.cuts[0] = NAN; });
  damage("slots of a feature", [](Flat f) { f.ranks[0].last_slot = 1U << 20U; });
  damage("slots of a feature", [](Flat f) { f.ranks[0].plain_left = 1U << 20U; });
  damage("feature of a slot", [](Flat f) { f.slots[0].feature = 1; });
  damage("missing value of a slot", [](Flat f) { f.slots[0].missing = 7; });
  damage("thresholds of a slot", [](Flat f) { f.slots[0].first = 5000; });
  damage("categories of a slot", [](Flat f) { f.slots[0].word_count = ~0U; });
  damage("roots of the trees", [](Flat f) { f.roots[0] = 1; });
  damage("roots of the trees", [](Flat f) { f.roots[2] = f.roots[1]; });
  damage("roots of the trees", [](Flat f) { f.roots[1] = ~0U; });
  damage("depth of a tree", [](Flat f) { f.depths[0] = 8; });
  damage("depth of a tree", [](Flat f) { f.depths[0] = 6; });
  damage("value of a leaf", [](Flat f) { f.values[0] = INFINITY; });
  damage("share of a node", [](Flat f) { f.shares[1] = -1; });
  damage("slot of a node", [](Flat f) { f.nodes[0].key = 1U << 31U | 1; });
  damage("children of a node", [](Flat f) { f.nodes[0].left = 0; });
  damage("children of a node", [](Flat f) { f.nodes[0].left = ~0U; });
  damage("a node that is reached twice", [](Flat f) { f.nodes[1].left = f.nodes[0].left + 1; });
  damage("a node that nothing leads to", [](Flat f) { f.nodes[0].left = f.nodes[1].left; });
  damage("a leaf that leads on", [&](Flat f) { f.nodes[header.node_count - 1].left = 0; });
  expect_damaged(with(blocky, blocky_header, [](Flat f) { f.block_exits[0] = ~0U; }),
                 "exit of a block");
  expect_damaged(with(blocky, blocky_header, [](Flat f) { f.block_slots[5] = 255; }),
                 "slot of a block");
  // The trees that fill up the last group are read like all others.
  expect_damaged(with(blocky, blocky_header,
                      [&](Flat f) { f.block_slots[blocky_header.tree_count * kTopSize] = 255; }),
                 "slot of a block");
  // Padding of thresholds: after the last of the lowest level comes a NaN.
  expect_damaged(with(blocky, blocky_header,
                      [&](Flat f) { f.cuts[f.ranks[0].levels[0] + f.ranks[0].cut_count] = 1e30F; }),
                 "padding of thresholds");
}

TEST(CompiledModel, SurvivesAnyDamage) {
  std::mt19937 random(10);
  for (const Shape& shape : {kShapes[0], kShapes[11], kShapes[14], kShapes[15]}) {
    const Forest forest = random_forest(shape, 11);
    const std::string good = compile_model(forest);
    const std::vector<float> rows = nasty_rows(forest, 4, 12);
    for (int i = 0; i < 300; ++i) {
      std::string bytes = good;
      for (uint32_t j = 1 + random() % 3; j > 0; --j) {
        const size_t bound = random() % 2 == 0 ? 4096 : bytes.size();
        bytes[random() % std::min(bound, bytes.size())] = static_cast<char>(random());
      }
      const AlignedBytes aligned(bytes);
      try {
        const FlatModel model = FlatModel::open(aligned.view());
        if (model.feature_count() != forest.feature_count()) continue;
        for (const Kernel* kernel : kernels()) {
          Scorer scorer(model, *kernel);
          scorer.margin(rows.data());
          std::vector<double> phi(model.feature_count() + 1);
          scorer.contributions(rows.data(), phi.data());
        }
      } catch (const Error&) {
      }
    }
  }
}

}  // namespace
}  // namespace fraud
