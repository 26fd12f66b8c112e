// Scores and explanations against XGBoost's own: golden models of many versions,
// and models trained here with the installed library.
#include "core/forest/forest.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <random>
#include <set>
#include <sstream>

#include "compiled.h"
#include "core/base/error.h"
#include "core/model_file/model_reader.h"
#include "xgboost/c_api.h"

namespace fraud {
namespace {

namespace fs = std::filesystem;

uint32_t bits(float value) {
  uint32_t result = 0;
  std::memcpy(&result, &value, sizeof(result));
  return result;
}

float from_bits(uint32_t value) {
  float result = 0;
  std::memcpy(&result, &value, sizeof(result));
  return result;
}

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << path;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// Returns the names, without their ends, of the golden models that have a file
// with this end.
std::vector<std::string> golden_models(const std::string& extension) {
  std::vector<std::string> stems;
  for (const auto& entry : fs::directory_iterator(SOURCE_DIR "/test/golden")) {
    if (entry.path().extension() == extension) stems.push_back(entry.path().stem().string());
  }
  std::sort(stems.begin(), stems.end());
  return stems;
}

void expect_equal(const Forest& a, const Forest& b) {
  EXPECT_EQ(a.feature_names, b.feature_names);
  EXPECT_EQ(a.has_feature_names, b.has_feature_names);
  EXPECT_EQ(a.roots, b.roots);
  EXPECT_EQ(bits(a.base_score), bits(b.base_score));
  EXPECT_EQ(bits(a.base_margin), bits(b.base_margin));
  EXPECT_EQ(a.objective, b.objective);
  EXPECT_EQ(a.xgboost_version, b.xgboost_version);
  ASSERT_EQ(a.nodes.size(), b.nodes.size());
  for (size_t i = 0; i < a.nodes.size(); ++i) {
    const Node& x = a.nodes[i];
    const Node& y = b.nodes[i];
    ASSERT_TRUE(bits(x.value) == bits(y.value) && x.left == y.left && x.feature == y.feature &&
                bits(x.cover) == bits(y.cover) && x.is_leaf == y.is_leaf &&
                x.default_left == y.default_left)
        << "node " << i;
  }
}

class GoldenModel : public testing::TestWithParam<std::string> {};

TEST_P(GoldenModel, GivesXgboostsAnswersBitForBit) {
  const std::string stem = SOURCE_DIR "/test/golden/" + GetParam();
  const Forest forest = read_model(read_file(stem + ".json"));
  EXPECT_EQ(forest.xgboost_version, GetParam().substr(0, GetParam().find('-')));
  std::ifstream table(stem + ".csv");
  size_t rows = 0;
  for (std::string line; std::getline(table, line); ++rows) {
    std::vector<float> values;
    std::istringstream cells(line);
    for (std::string cell; std::getline(cells, cell, ',');) {
      values.push_back(from_bits(static_cast<uint32_t>(std::stoul(cell, nullptr, 16))));
    }
    ASSERT_EQ(values.size(), forest.feature_count() + 2);
    const float margin = forest.margin(&values[2]);
    const float prediction = forest.score(&values[2]);
    EXPECT_EQ(bits(margin), bits(values[0]))
        << "row " << rows << ": margin " << margin << ", XGBoost says " << values[0];
    EXPECT_EQ(bits(prediction), bits(values[1]))
        << "row " << rows << ": prediction " << prediction << ", XGBoost says " << values[1];
  }
  EXPECT_GT(rows, 30U);
}

class GoldenPair : public testing::TestWithParam<std::string> {};

TEST_P(GoldenPair, IsTheSameInBothFormats) {
  const std::string stem = SOURCE_DIR "/test/golden/" + GetParam();
  expect_equal(read_model(read_file(stem + ".json")), read_model(read_file(stem + ".ubj")));
}

TEST_P(GoldenModel, KeepsSiblingsTogetherBehindTheirParent) {
  const Forest forest = read_model(read_file(SOURCE_DIR "/test/golden/" + GetParam() + ".json"));
  for (size_t tree = 0; tree < forest.tree_count(); ++tree) {
    const size_t end =
        tree + 1 < forest.tree_count() ? forest.roots[tree + 1] : forest.nodes.size();
    size_t next = forest.roots[tree] + 1;
    for (size_t i = forest.roots[tree]; i < end; ++i) {
      if (forest.nodes[i].is_leaf) continue;
      EXPECT_EQ(forest.nodes[i].left, next);
      next += 2;
    }
    EXPECT_EQ(next, end);
  }
}

std::string test_name(const testing::TestParamInfo<std::string>& model) {
  std::string name = model.param;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '.' || c == '-'; }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(AllVersions, GoldenModel, testing::ValuesIn(golden_models(".csv")),
                         test_name);
INSTANTIATE_TEST_SUITE_P(AllVersions, GoldenPair, testing::ValuesIn(golden_models(".ubj")),
                         test_name);

TEST(GoldenModels, AreFromAllVersions) {
  std::set<std::string> versions;
  for (const std::string& stem : golden_models(".csv")) {
    versions.insert(stem.substr(0, stem.find('-')));
  }
  EXPECT_GE(versions.size(), 7U);
}

TEST(GoldenModels, KeepFeatureNames) {
  const Forest named = read_model(read_file(SOURCE_DIR "/test/golden/3.2.0-named.ubj"));
  EXPECT_TRUE(named.has_feature_names);
  EXPECT_EQ(named.feature_names[1], "hour of day");
  EXPECT_EQ(named.feature_names[2],
            "\xC3\x9Cn\xC3\xAF"
            "code \"quoted\"");
  const Forest unnamed = read_model(read_file(SOURCE_DIR "/test/golden/3.2.0-missing.ubj"));
  EXPECT_FALSE(unnamed.has_feature_names);
  EXPECT_EQ(unnamed.feature_names, (std::vector<std::string>{"f0", "f1", "f2", "f3", "f4"}));
}

TEST(Probability, IsXgboostsSigmoid) {
  EXPECT_EQ(transform_margin(Transform::kSigmoid, 0.0F), 0.5F);
  EXPECT_EQ(transform_margin(Transform::kSigmoid, 200.0F), 1.0F);
  EXPECT_GT(transform_margin(Transform::kSigmoid, -200.0F), 0.0F);
  EXPECT_LT(transform_margin(Transform::kSigmoid, -200.0F), 1e-38F);
}

// A Shapley value straight from its definition, for trees of few features.
class BruteForce {
 public:
  BruteForce(const Forest& forest, const float* row) : forest_(forest), row_(row) {}

  std::vector<double> contributions() const {
    const size_t count = forest_.feature_count();
    std::vector<double> phi(count + 1);
    for (uint32_t known = 0; known < (1U << count); ++known) {
      const double value = expectation(known);
      if (known == 0) phi[count] = value;
      const auto size = static_cast<double>(__builtin_popcount(known));
      const auto n = static_cast<double>(count);
      for (size_t i = 0; i < count; ++i) {
        // |S|! (n - |S| - 1)! / n!, with S the known features without i.
        const bool has = ((known >> i) & 1U) != 0;
        const double s = has ? size - 1 : size;
        const double weight =
            std::exp(std::lgamma(s + 1) + std::lgamma(n - s) - std::lgamma(n + 1));
        phi[i] += has ? weight * value : -weight * value;
      }
    }
    return phi;
  }

 private:
  double expectation(uint32_t known) const {
    double sum = forest_.base_margin;
    for (const uint32_t root : forest_.roots) sum += expectation(root, known);
    return sum;
  }

  double expectation(uint32_t index, uint32_t known) const {
    const Node& node = forest_.nodes[index];
    if (node.is_leaf) return node.value;
    if (((known >> node.feature) & 1U) != 0) {
      const float value = row_[node.feature];
      const bool left = std::isnan(value) ? node.default_left : value < node.value;
      return expectation(node.left + (left ? 0 : 1), known);
    }
    double sum = 0;
    for (uint32_t side = 0; side < 2; ++side) {
      sum += static_cast<double>(forest_.nodes[node.left + side].cover) /
             static_cast<double>(node.cover) * expectation(node.left + side, known);
    }
    return sum;
  }

  const Forest& forest_;
  const float* row_;
};

// Adds a random full tree of the given depth to a forest.
void add_random_tree(Forest* forest, int depth, std::mt19937* random) {
  std::uniform_real_distribution<float> uniform(0, 1);
  const auto root = static_cast<uint32_t>(forest->nodes.size());
  forest->roots.push_back(root);
  forest->nodes.emplace_back();
  forest->nodes[root].cover = 100;
  uint32_t first = root;
  for (int level = 0; level <= depth; ++level) {
    const auto last = static_cast<uint32_t>(forest->nodes.size());
    for (uint32_t i = first; i < last; ++i) {
      forest->nodes[i].value = level == depth ? uniform(*random) * 2 - 1 : uniform(*random);
      if (level == depth) continue;
      const float share = uniform(*random);
      const auto left = static_cast<uint32_t>(forest->nodes.size());
      forest->nodes[i].is_leaf = false;
      forest->nodes[i].feature = static_cast<uint32_t>(uniform(*random) * 0.999F *
                                                       static_cast<float>(forest->feature_count()));
      forest->nodes[i].default_left = uniform(*random) < 0.5F;
      forest->nodes[i].left = left;
      Node child;
      child.cover = forest->nodes[i].cover * share;
      forest->nodes.push_back(child);
      child.cover = forest->nodes[i].cover * (1 - share);
      forest->nodes.push_back(child);
    }
    first = last;
  }
}

TEST(Contributions, AreShapleyValues) {
  std::mt19937 random(5);
  std::uniform_real_distribution<float> uniform(0, 1);
  for (int depth = 0; depth <= 9; ++depth) {
    Forest forest;
    forest.feature_names = {"a", "b", "c", "d", "e", "f", "g"};
    forest.base_margin = -1.5F;
    for (int tree = 0; tree < 3; ++tree) add_random_tree(&forest, depth, &random);
    for (int i = 0; i < 10; ++i) {
      std::vector<float> row;
      for (size_t j = 0; j < forest.feature_count(); ++j) {
        row.push_back(uniform(random) < 0.2F ? NAN : uniform(random));
      }
      const std::vector<double> expected = BruteForce(forest, row.data()).contributions();
      const std::vector<double> phi = Compiled(forest).contributions(row.data());
      // The compiled form keeps the shares of cover as float32.
      for (size_t j = 0; j < phi.size(); ++j) EXPECT_NEAR(phi[j], expected[j], 1e-6);
    }
  }
}

TEST(Contributions, StayAccurateInTheDeepestTree) {
  // A chain of kMaxDepth splits, each on a feature of its own.
  Forest forest;
  forest.roots = {0};
  forest.nodes.resize(1);
  forest.nodes[0].cover = 1e6F;
  for (uint32_t level = 0; level < kMaxDepth; ++level) {
    const auto left = static_cast<uint32_t>(forest.nodes.size());
    Node& split = forest.nodes[level == 0 ? 0 : left - 1];
    forest.feature_names.push_back('f' + std::to_string(level));
    split.is_leaf = false;
    split.feature = level;
    split.left = left;
    split.value = 0.5F;
    Node leaf;
    leaf.cover = split.cover * 0.2F;
    leaf.value = static_cast<float>(level % 7) - 3;
    Node rest;
    rest.cover = split.cover - leaf.cover;
    rest.value = 5;
    forest.nodes.push_back(leaf);
    forest.nodes.push_back(rest);
  }
  const std::vector<float> row(kMaxDepth, 1.0F);
  const std::vector<double> phi = Compiled(forest).contributions(row.data());
  double sum = 0;
  for (const double value : phi) sum += value;
  EXPECT_NEAR(sum, forest.margin(row.data()), 1e-10);
}

TEST(Contributions, AreFiniteWhereNoRowCameInTraining) {
  std::mt19937 random(6);
  Forest forest;
  forest.feature_names = {"a", "b", "c"};
  add_random_tree(&forest, 5, &random);
  for (size_t i = 0; i < forest.nodes.size(); i += 2) forest.nodes[i].cover = 0;
  for (const float value : {0.1F, 0.5F, 0.9F}) {
    const std::vector<float> row = {value, 1 - value, NAN};
    const std::vector<double> phi = Compiled(forest).contributions(row.data());
    double sum = 0;
    for (const double part : phi) sum += part;
    EXPECT_NEAR(sum, forest.margin(row.data()), 1e-6);
  }
}

TEST(Contributions, AddToWhatIsThere) {
  Forest forest;
  forest.feature_names = {"a"};
  forest.base_margin = 2;
  double phi[2] = {1, 1};
  const float row = 0;
  Compiled(forest).scorer.contributions(&row, phi);
  EXPECT_EQ(phi[0], 1);
  EXPECT_EQ(phi[1], 3);
}

void check(int status) { ASSERT_EQ(status, 0) << XGBGetLastError(); }

// A model that the installed library trains on generated data.
class Installed {
 public:
  static constexpr size_t kFeatures = 12;

  Installed(int rounds, const std::vector<std::pair<std::string, std::string>>& parameters) {
    std::vector<float> rows = random_rows(4000, 11);
    std::vector<float> labels;
    std::mt19937 random(12);
    std::uniform_real_distribution<float> uniform(0, 1);
    for (size_t i = 0; i < 4000; ++i) {
      const float* row = &rows[i * kFeatures];
      const float signal = (std::isnan(row[0]) ? 0.3F : row[0]) +
                           (std::isnan(row[1]) ? 0 : row[1] * row[2]) + uniform(random) * 0.5F;
      labels.push_back(signal > 0.9F ? 1.0F : 0.0F);
    }
    check(XGDMatrixCreateFromMat(rows.data(), 4000, kFeatures, NAN, &data_));
    check(XGDMatrixSetFloatInfo(data_, "label", labels.data(), labels.size()));
    check(XGBoosterCreate(&data_, 1, &booster_));
    set("objective", "binary:logistic");
    set("nthread", "1");
    for (const auto& [name, value] : parameters) set(name.c_str(), value.c_str());
    for (int i = 0; i < rounds; ++i) check(XGBoosterUpdateOneIter(booster_, i, data_));
  }
  ~Installed() {
    XGBoosterFree(booster_);
    XGDMatrixFree(data_);
  }
  Installed(const Installed&) = delete;
  Installed& operator=(const Installed&) = delete;

  static std::vector<float> random_rows(size_t count, uint32_t seed) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> uniform(0, 1);
    std::vector<float> rows;
    for (size_t i = 0; i < count * kFeatures; ++i) {
      const float value = uniform(random);
      rows.push_back(uniform(random) < 0.1F ? NAN : i % 3 == 0 ? std::floor(value * 20) : value);
    }
    return rows;
  }

  std::string save(const char* format) const {
    const std::string config = std::string("{\"format\": \"") + format + "\"}";
    bst_ulong size = 0;
    const char* bytes = nullptr;
    check(XGBoosterSaveModelToBuffer(booster_, config.c_str(), &size, &bytes));
    return {bytes, size};
  }

  // Predicts in place: type 0 gives probabilities, 1 margins.
  std::vector<float> predict(const std::vector<float>& rows, int type) const {
    const size_t count = rows.size() / kFeatures;
    const std::string array =
        "{\"data\": [" + std::to_string(reinterpret_cast<uintptr_t>(rows.data())) +
        ", true], \"shape\": [" + std::to_string(count) + ", " + std::to_string(kFeatures) +
        "], \"typestr\": \"<f4\", \"version\": 3}";
    return finish(
        [&](const char* config, bst_ulong const** shape, bst_ulong* dims, const float** result) {
          return XGBoosterPredictFromDense(booster_, array.c_str(), config, nullptr, shape, dims,
                                           result);
        },
        type);
  }

  std::vector<float> contributions(const std::vector<float>& rows) const {
    DMatrixHandle data = nullptr;
    check(XGDMatrixCreateFromMat(rows.data(), rows.size() / kFeatures, kFeatures, NAN, &data));
    std::vector<float> result = finish(
        [&](const char* config, bst_ulong const** shape, bst_ulong* dims, const float** values) {
          return XGBoosterPredictFromDMatrix(booster_, data, config, shape, dims, values);
        },
        2);
    XGDMatrixFree(data);
    return result;
  }

 private:
  void set(const char* name, const char* value) { check(XGBoosterSetParam(booster_, name, value)); }

  template <typename Predict>
  static std::vector<float> finish(const Predict& predict, int type) {
    const std::string config =
        "{\"type\": " + std::to_string(type) +
        ", \"training\": false, \"iteration_begin\": 0, \"iteration_end\": 0, "
        "\"strict_shape\": false, \"cache_id\": 0, \"missing\": NaN}";
    bst_ulong const* shape = nullptr;
    bst_ulong dims = 0;
    const float* result = nullptr;
    check(predict(config.c_str(), &shape, &dims, &result));
    size_t count = 1;
    for (bst_ulong i = 0; i < dims; ++i) count *= shape[i];
    return {result, result + count};
  }

  DMatrixHandle data_ = nullptr;
  BoosterHandle booster_ = nullptr;
};

struct Setup {
  const char* name;
  int rounds;
  std::vector<std::pair<std::string, std::string>> parameters;
};

class InstalledXgboost : public testing::TestWithParam<Setup> {};

TEST_P(InstalledXgboost, AgreesOnEveryRow) {
  const Installed xgboost(GetParam().rounds, GetParam().parameters);
  const Forest forest = read_model(xgboost.save("json"));
  expect_equal(forest, read_model(xgboost.save("ubj")));

  std::vector<float> rows = Installed::random_rows(10000, 13);
  // A tenth of the values are thresholds of the model or their neighbours.
  std::mt19937 random(14);
  std::vector<Node> splits;
  for (const Node& node : forest.nodes) {
    if (!node.is_leaf) splits.push_back(node);
  }
  for (size_t i = 0; i < 10000 && !splits.empty(); ++i) {
    const Node& split = splits[random() % splits.size()];
    const float infinity = std::numeric_limits<float>::infinity();
    const float choices[] = {split.value, std::nextafter(split.value, infinity),
                             std::nextafter(split.value, -infinity)};
    rows[i * Installed::kFeatures + split.feature] = choices[random() % 3];
  }
  const std::vector<float> margins = xgboost.predict(rows, 1);
  const std::vector<float> probabilities = xgboost.predict(rows, 0);
  ASSERT_EQ(margins.size(), 10000U);
  size_t wrong_margins = 0;
  size_t wrong_probabilities = 0;
  for (size_t i = 0; i < margins.size(); ++i) {
    const float* row = &rows[i * Installed::kFeatures];
    wrong_margins += bits(forest.margin(row)) != bits(margins[i]) ? 1 : 0;
    wrong_probabilities += bits(forest.score(row)) != bits(probabilities[i]) ? 1 : 0;
  }
  EXPECT_EQ(wrong_margins, 0U);
  EXPECT_EQ(wrong_probabilities, 0U);
}

TEST_P(InstalledXgboost, AgreesOnContributions) {
  const Installed xgboost(GetParam().rounds, GetParam().parameters);
  const Forest forest = read_model(xgboost.save("ubj"));
  const std::vector<float> rows = Installed::random_rows(200, 15);
  const std::vector<float> expected = xgboost.contributions(rows);
  constexpr size_t kWidth = Installed::kFeatures + 1;
  Compiled compiled(forest);
  ASSERT_EQ(expected.size(), 200 * kWidth);
  for (size_t i = 0; i < 200; ++i) {
    const float* row = &rows[i * Installed::kFeatures];
    const std::vector<double> phi = compiled.contributions(row);
    double sum = 0;
    for (size_t j = 0; j < kWidth; ++j) {
      EXPECT_NEAR(phi[j], expected[i * kWidth + j], 1e-4) << "row " << i << " feature " << j;
      sum += phi[j];
    }
    EXPECT_NEAR(sum, forest.margin(row), 1e-4);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Models, InstalledXgboost,
    testing::Values(
        Setup{"Usual", 50, {{"max_depth", "6"}, {"tree_method", "hist"}}},
        Setup{"FineBins", 20, {{"max_depth", "5"}, {"tree_method", "hist"}, {"max_bin", "1024"}}},
        Setup{"Exact", 20, {{"max_depth", "4"}, {"tree_method", "exact"}, {"gamma", "1"}}},
        Setup{"Deep", 5, {{"max_depth", "20"}, {"min_child_weight", "0"}, {"eta", "0.5"}}},
        Setup{"Stumps", 30, {{"max_depth", "1"}}},
        Setup{"BaseScore", 20, {{"base_score", "0.0123"}, {"scale_pos_weight", "5"}}},
        Setup{"ManyTrees", 10, {{"num_parallel_tree", "4"}, {"subsample", "0.5"}}}),
    [](const testing::TestParamInfo<Setup>& setup) { return std::string(setup.param.name); });

}  // namespace
}  // namespace fraud
