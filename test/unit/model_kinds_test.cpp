// What the reader makes of boosters, objectives, categories and iterations, and
// the faults that a file can have there. test/golden has the sound files.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/base/error.h"
#include "core/forest/forest.h"
#include "core/model_file/model_reader.h"

namespace fraud {
namespace {

using Json = nlohmann::json;

std::string golden_text(const std::string& name) {
  std::ifstream file(SOURCE_DIR "/test/golden/" + name, std::ios::binary);
  EXPECT_TRUE(file.good()) << name;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

Json golden_model(const std::string& name) { return Json::parse(golden_text(name)); }

Json& booster_of(Json& model) { return model["learner"]["gradient_booster"]; }

// The gbtree's model, wherever the booster keeps it.
Json& ensemble_of(Json& model) {
  Json& booster = booster_of(model);
  return booster.contains("gbtree") ? booster["gbtree"]["model"] : booster["model"];
}

// Expects that the golden model fails once it is edited, in both formats.
void expect_fault(const std::string& name, const std::function<void(Json&)>& edit, ErrorCode code,
                  const std::string& message) {
  Json model = golden_model(name);
  edit(model);
  const std::vector<uint8_t> ubjson = Json::to_ubjson(model);
  for (const std::string& bytes : {model.dump(), std::string(ubjson.begin(), ubjson.end())}) {
    try {
      read_model(bytes);
      ADD_FAILURE() << "no error instead of: " << message;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.what();
      EXPECT_EQ(error.what(), message);
    }
  }
}

void expect_invalid(const std::string& name, const std::function<void(Json&)>& edit,
                    const std::string& message) {
  expect_fault(name, edit, ErrorCode::kInvalidModel, message);
}

// ------------------------------------------------------------------- objectives

TEST(ModelObjective, ReadsBaseScoreByItsLink) {
  const struct {
    const char* name;
    Transform transform;
    float margin;  // of base_score 0.25
  } cases[] = {
      {"binary:logistic", Transform::kSigmoid, -std::log(3.0F)},
      {"reg:logistic", Transform::kSigmoid, -std::log(3.0F)},
      {"binary:logitraw", Transform::kIdentity, 0.25F},
      {"reg:squarederror", Transform::kIdentity, 0.25F},
      {"reg:linear", Transform::kIdentity, 0.25F},
      {"reg:squaredlogerror", Transform::kIdentity, 0.25F},
      {"reg:pseudohubererror", Transform::kIdentity, 0.25F},
      {"reg:absoluteerror", Transform::kIdentity, 0.25F},
      {"rank:pairwise", Transform::kIdentity, 0.25F},
      {"rank:ndcg", Transform::kIdentity, 0.25F},
      {"rank:map", Transform::kIdentity, 0.25F},
      {"count:poisson", Transform::kExp, std::log(0.25F)},
      {"reg:gamma", Transform::kExp, std::log(0.25F)},
      {"reg:tweedie", Transform::kExp, std::log(0.25F)},
      {"survival:cox", Transform::kExp, std::log(0.25F)},
  };
  Json model = golden_model("3.2.0-missing.json");
  model["learner"]["learner_model_param"]["base_score"] = "2.5E-1";
  for (const auto& expected : cases) {
    model["learner"]["objective"]["name"] = expected.name;
    const Forest forest = read_model(model.dump());
    EXPECT_EQ(forest.objective, expected.name);
    EXPECT_EQ(forest.transform, expected.transform) << expected.name;
    EXPECT_EQ(forest.base_margin, expected.margin) << expected.name;
    EXPECT_EQ(forest.base_score, 0.25F);
  }
}

TEST(ModelObjective, TakesAProbabilityForLogitrawBefore13) {
  Json model = golden_model("3.2.0-missing.json");
  model["learner"]["learner_model_param"]["base_score"] = "2.5E-1";
  model["learner"]["objective"]["name"] = "binary:logitraw";
  model["version"] = {1, 2, 1};
  EXPECT_EQ(read_model(model.dump()).base_margin, -std::log(3.0F));
  model["version"] = {1, 3, 0};
  EXPECT_EQ(read_model(model.dump()).base_margin, 0.25F);
}

TEST(ModelObjective, RefusesWhatIsNotSupportedByName) {
  for (const char* name : {"multi:softmax", "multi:softprob", "binary:hinge", "survival:aft",
                           "reg:quantileerror", "reg:expectileerror"}) {
    expect_fault(
        "3.2.0-missing.json", [=](Json& m) { m["learner"]["objective"]["name"] = name; },
        ErrorCode::kUnsupportedModel, "objective \"" + std::string(name) + "\" is not supported");
  }
  for (const char* name : {"count:poisson", "reg:gamma", "reg:tweedie", "survival:cox"}) {
    for (const char* score : {"0E0", "-1E0", "1E39"}) {
      expect_invalid(
          "3.2.0-missing.json",
          [=](Json& m) {
            m["learner"]["objective"]["name"] = name;
            m["learner"]["learner_model_param"]["base_score"] = score;
          },
          "\"base_score\" is not a finite number above 0");
    }
  }
  expect_invalid(
      "3.2.0-missing.json",
      [](Json& m) {
        m["learner"]["objective"]["name"] = "reg:squarederror";
        m["learner"]["learner_model_param"]["base_score"] = "1E39";
      },
      "\"base_score\" is not a finite number");
}

// ------------------------------------------------------------------- booster dart

TEST(DartModel, ScalesItsLeaves) {
  Json model = golden_model("3.2.0-dart.json");
  const std::vector<float> weights = booster_of(model)["weight_drop"];
  const Forest forest = read_model(model.dump());
  booster_of(model)["weight_drop"] = std::vector<float>(weights.size(), 1.0F);
  const Forest plain = read_model(model.dump());
  ASSERT_EQ(forest.nodes.size(), plain.nodes.size());
  size_t tree = 0;
  size_t scaled = 0;
  for (size_t i = 0; i < forest.nodes.size(); ++i) {
    if (tree + 1 < forest.tree_count() && i == forest.roots[tree + 1]) ++tree;
    const float weight = forest.nodes[i].is_leaf ? weights[tree] : 1.0F;
    EXPECT_EQ(forest.nodes[i].value, plain.nodes[i].value * weight);
    if (weight != 1) ++scaled;
  }
  EXPECT_GT(scaled, 10U);
}

TEST(DartModel, RefusesUnsoundWeights) {
  const std::string dart = "3.2.0-dart.json";
  expect_invalid(
      dart, [](Json& m) { booster_of(m)["weight_drop"].push_back(1); },
      "\"weight_drop\" has 7 values for 6 trees");
  expect_invalid(
      dart, [](Json& m) { booster_of(m)["weight_drop"][2] = 1e39; },
      "tree 2: its weight is not a finite number");
  expect_invalid(
      dart, [](Json& m) { booster_of(m)["weight_drop"][2] = nullptr; },
      "tree 2: its weight is not a finite number");
  expect_invalid(
      dart, [](Json& m) { booster_of(m)["weight_drop"][2] = "1"; },
      "\"weight_drop\" holds a value of the wrong type");
  expect_invalid(
      dart,
      [](Json& m) {
        ensemble_of(m)["trees"][3]["split_conditions"].back() = 3e38;
        booster_of(m)["weight_drop"][3] = 10.0;
      },
      "tree 3: a leaf times the tree's weight is not a finite number");
  expect_invalid(
      dart, [](Json& m) { booster_of(m).erase("weight_drop"); }, "missing key \"weight_drop\"");
  expect_invalid(
      dart, [](Json& m) { booster_of(m).erase("gbtree"); }, "missing key \"gbtree\"");
  expect_invalid(
      dart, [](Json& m) { booster_of(m)["gbtree"].erase("model"); },
      "the file is a configuration, as save_config() writes it, and holds no trees");
  expect_invalid(
      dart, [](Json& m) { booster_of(m)["model"] = booster_of(m)["gbtree"]["model"]; },
      "key \"model\" occurs twice");
  // The trees of the one booster where the other keeps its own.
  expect_invalid(
      dart, [](Json& m) { booster_of(m)["name"] = "gbtree"; }, "missing key \"model\"");
  expect_invalid(
      "3.2.0-missing.json", [](Json& m) { booster_of(m)["name"] = "dart"; },
      "missing key \"gbtree\"");
}

// -------------------------------------------------------------- splits by category

// The first tree of the model, which has splits by category.
Json& tree_of(Json& model) { return ensemble_of(model)["trees"][0]; }

TEST(CategoricalModel, SendsItsCategoriesRight) {
  Json model = golden_model("3.2.0-partition.json");
  const Forest forest = read_model(model.dump());
  const Json& tree = tree_of(model);
  ASSERT_EQ(tree["categories_nodes"][0], 0) << "the root splits by category";
  const Node& root = forest.nodes[forest.roots[0]];
  ASSERT_NE(root.category_set, 0U);
  const std::vector<int> all = tree["categories"];
  const std::vector<int> right(all.begin(), all.begin() + tree["categories_sizes"][0].get<int>());
  for (int category = 0; category < 100; ++category) {
    const bool is_right = std::find(right.begin(), right.end(), category) != right.end();
    EXPECT_EQ(forest.goes_left(root, static_cast<float>(category)), !is_right) << category;
    EXPECT_EQ(forest.goes_left(root, static_cast<float>(category) + 0.5F), !is_right) << category;
  }
  for (const float none : {-0.5F, -1.0F, 16777216.0F, 1e20F, INFINITY, -INFINITY}) {
    EXPECT_TRUE(forest.goes_left(root, none)) << none;
  }
  EXPECT_EQ(forest.goes_left(root, NAN), root.default_left);
}

TEST(CategoricalModel, IsReadWithTheNanThresholdsOf17) {
  const std::string text = golden_text("1.7.6-partition.json");
  ASSERT_NE(text.find("NaN"), std::string::npos);
  EXPECT_FALSE(read_model(text).category_sets.empty());
  // A threshold and a leaf may be none.
  Json model = golden_model("3.2.0-missing.json");
  ensemble_of(model)["trees"][1]["split_conditions"][0] = "@";
  for (const char* word : {"NaN", "Infinity", "-Infinity"}) {
    std::string edited = model.dump();
    edited.replace(edited.find("\"@\""), 3, word);
    try {
      read_model(edited);
      ADD_FAILURE() << word;
    } catch (const Error& error) {
      EXPECT_STREQ(error.what(), "tree 1 node 0: the threshold is not a finite number");
    }
  }
  // Inside a string it is text, and positions of faults count the file's bytes.
  EXPECT_EQ(read_model("{\"NaN\\\"NaN\": \"Infinity\", \"a\": [NaN, -Infinity, Infinity]," +
                       golden_text("3.2.0-missing.json").substr(1))
                .tree_count(),
            6U);
  for (const char* bytes : {"{\"a\": [1, 22, 333], x", "{\"a\": [NaN, NaN, 1], x",
                            "{\"a\": [Infinity, 1], x", "{\"a\": [-Infinity,1], x"}) {
    try {
      read_model(bytes);
      ADD_FAILURE() << bytes;
    } catch (const Error& error) {
      EXPECT_EQ(error.what(), "invalid JSON at byte " + std::to_string(std::strlen(bytes)))
          << bytes;
    }
  }
}

TEST(CategoricalModel, RefusesUnsoundCategories) {
  const std::string name = "3.2.0-partition.json";
  Json model = golden_model(name);
  const Json tree = tree_of(model);
  const size_t nodes = tree["left_children"].size();
  const size_t splits = tree["categories_nodes"].size();
  const std::string node = std::to_string(tree["categories_nodes"].back().get<int>());
  ASSERT_GE(splits, 2U);
  const auto edited = [](const char* key, size_t place, const Json& value) {
    return [=](Json& m) { tree_of(m)[key][place] = value; };
  };
  const std::string last = "tree 0 node " + node + ": ";
  expect_invalid(name, edited("categories_nodes", splits - 1, nodes),
                 "tree 0: \"categories_nodes\" has node " + std::to_string(nodes) +
                     ", the tree has " + std::to_string(nodes) + " nodes");
  expect_invalid(name, edited("categories_nodes", 0, -1),
                 "tree 0: \"categories_nodes\" has node -1, the tree has " +
                     std::to_string(nodes) + " nodes");
  expect_invalid(name, edited("categories_nodes", splits - 1, 0),
                 "tree 0: \"categories_nodes\" is not in ascending order");
  for (const Json& segment : {Json(0), Json(-1), Json(1000000), Json(9223372036854775807ULL)}) {
    expect_invalid(name, edited("categories_segments", splits - 1, segment),
                   last + "its categories do not follow those of the node before");
  }
  for (const Json& size : {Json(0), Json(-1), Json(1000000), Json(9223372036854775807ULL)}) {
    expect_invalid(name, edited("categories_sizes", splits - 1, size),
                   last + "its categories do not follow those of the node before");
  }
  expect_invalid(
      name, [](Json& m) { tree_of(m)["categories"].push_back(1); },
      "tree 0: \"categories\" has " + std::to_string(tree["categories"].size() + 1) +
          " values, its nodes have " + std::to_string(tree["categories"].size()));
  for (const char* key : {"categories_segments", "categories_sizes"}) {
    expect_invalid(
        name, [=](Json& m) { tree_of(m)[key].push_back(1); },
        "tree 0: \"" + std::string(key) + "\" has " + std::to_string(splits + 1) +
            " values, \"categories_nodes\" has " + std::to_string(splits));
  }
  for (const Json& category : {Json(-1), Json(16777216), Json(9223372036854775807ULL)}) {
    expect_invalid(name, edited("categories", 0, category),
                   "tree 0 node 0: category " + category.dump() +
                       " is out of range, categories are below 16777216");
  }
  expect_invalid(name, edited("split_type", 0, 0),
                 "tree 0 node 0: it has categories, but no split by category");
  expect_invalid(
      name, [](Json& m) { tree_of(m).erase("split_type"); },
      "tree 0 node 0: it has categories, but no split by category");
  expect_invalid(
      name,
      [](Json& m) {
        for (const char* key :
             {"categories", "categories_nodes", "categories_segments", "categories_sizes"}) {
          tree_of(m)[key] = Json::array();
        }
      },
      "tree 0 node 0: a split by category has no categories");
  expect_invalid("3.2.0-missing.json", edited("split_type", 0, 2),
                 "tree 0 node 0: split type 2 is unknown");
  expect_invalid(name, edited("categories", 0, "1"),
                 "tree 0: \"categories\" holds a value of the wrong type");
}

TEST(CategoricalModel, BoundsTheMemoryOfItsSets) {
  // One split with the greatest category takes 2 MiB.
  Json model = golden_model("3.2.0-missing.json");
  Json tree = {{"left_children", {1, -1, -1}},    {"right_children", {2, -1, -1}},
               {"split_indices", {0, 0, 0}},      {"split_conditions", {0, 1, 2}},
               {"default_left", {0, 0, 0}},       {"sum_hessian", {2, 1, 1}},
               {"split_type", {1, 0, 0}},         {"categories", {16777215}},
               {"categories_nodes", {0}},         {"categories_segments", {0}},
               {"categories_sizes", {1}}};
  Json& ensemble = ensemble_of(model);
  for (const char* key : {"gbtree_model_param", "tree_info", "iteration_indptr"}) {
    ensemble.erase(key);
  }
  ensemble["trees"] = std::vector<Json>(32, tree);
  EXPECT_EQ(read_model(model.dump()).category_sets.size(), 32U);
  ensemble["trees"].push_back(tree);
  try {
    read_model(model.dump());
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kLimitExceeded);
    EXPECT_STREQ(error.what(), "the model's splits by category take more than 67108864 bytes");
  }
}

TEST(CategoricalModel, TakesColumnsWhoseCategoriesAreStringsOrTheirCodes) {
  const std::string name = "3.2.0-table.json";
  Json model = golden_model(name);
  const auto encodings = [](Json& m) -> Json& { return ensemble_of(m)["cats"]["enc"]; };
  EXPECT_FALSE(encodings(model)[0]["offsets"].empty());
  EXPECT_FALSE(read_model(model.dump()).category_sets.empty());
  encodings(model)[0] = {{"type", 15}, {"values", {0, 1, 2, 3}}};
  EXPECT_FALSE(read_model(model.dump()).category_sets.empty());
  for (const Json& values : {Json{1, 2, 3}, Json{0, 2, 1}, Json{10, 20, 30}, Json{0.5, 1.5}}) {
    expect_fault(
        name, [&](Json& m) { encodings(m)[0] = {{"type", 15}, {"values", values}}; },
        ErrorCode::kUnsupportedModel,
        "categories of feature 0: numbers other than 0, 1, 2, … in this order are not supported, "
        "since a row would have to bring the codes in place of them");
  }
  expect_invalid(
      name, [&](Json& m) { encodings(m)[0]["values"] = 7; },
      "categories of feature 0: \"values\" is not an array");
  expect_invalid(
      name, [&](Json& m) { encodings(m)[0] = 7; }, "\"enc\" holds a value of the wrong type");
}

// ------------------------------------------------------------------- iterations

TEST(Iterations, AreReadAsTheFileSays) {
  for (const char* name : {"1.7.6-parallel_trees.json", "3.2.0-parallel_trees.json"}) {
    const Forest forest = read_model(golden_text(name));
    EXPECT_EQ(forest.iteration_ends, (std::vector<uint32_t>{3, 6})) << name;
  }
  EXPECT_EQ(read_model(golden_text("1.0.2-parallel_trees.json")).iteration_count(), 6U);
  EXPECT_EQ(read_model(golden_text("3.2.0-no_trees.json")).iteration_count(), 0U);
  EXPECT_EQ(read_model(golden_text("3.2.0-missing.json")).best_iteration, std::nullopt);
  for (const char* version : {"1.0.2", "1.3.3", "1.7.6", "2.1.4", "3.2.0"}) {
    EXPECT_EQ(read_model(golden_text(version + std::string("-stopped_early.json"))).best_iteration,
              3U)
        << version;
  }
  Json model = golden_model("3.2.0-stopped_early.json");
  for (const char* best : {"7", "-1", "x", "18446744073709551616", "3.5"}) {
    model["learner"]["attributes"]["best_iteration"] = best;
    EXPECT_EQ(read_model(model.dump()).best_iteration, std::nullopt) << best;
  }
}

TEST(Iterations, AreLeftOutFromTheEnd) {
  Forest forest = read_model(golden_text("3.2.0-partition.json"));
  const Forest whole = forest;
  forest.keep_iterations(3);
  EXPECT_EQ(forest.tree_count(), 3U);
  EXPECT_EQ(forest.nodes.size(), whole.nodes.size());
  forest.keep_iterations(1);
  EXPECT_EQ(forest.tree_count(), 1U);
  EXPECT_EQ(forest.iteration_count(), 1U);
  EXPECT_EQ(forest.nodes.size(), whole.roots[1]);
  EXPECT_LT(forest.category_sets.size(), whole.category_sets.size());
  for (const Node& node : forest.nodes) EXPECT_LE(node.category_set, forest.category_sets.size());
  forest.keep_iterations(0);
  EXPECT_EQ(forest.tree_count(), 0U);
  EXPECT_TRUE(forest.nodes.empty());
  EXPECT_TRUE(forest.category_sets.empty());
}

TEST(Iterations, RefuseUnsoundCounts) {
  const std::string name = "3.2.0-parallel_trees.json";
  for (const Json& indptr : {Json{0, 3}, Json{0, 3, 7}, Json{1, 6}, Json{0, 3, 3, 6},
                             Json{0, -3, 6}, Json{6}}) {
    expect_invalid(
        name, [&](Json& m) { ensemble_of(m)["iteration_indptr"] = indptr; },
        "\"iteration_indptr\" does not ascend from 0 to the number of trees, 6");
  }
  const auto width = [](const char* value) {
    return [=](Json& m) {
      ensemble_of(m).erase("iteration_indptr");
      ensemble_of(m)["gbtree_model_param"]["num_parallel_tree"] = value;
    };
  };
  expect_invalid(name, width("0"), "\"num_parallel_tree\" is not at least 1");
  expect_invalid(name, width("x"), "\"num_parallel_tree\" is not an integer");
  expect_invalid(name, width("4"),
                 "\"num_parallel_tree\" is 4, which does not divide the number of trees, 6");
  expect_invalid(name, width("9223372036854775807"),
                 "\"num_parallel_tree\" is 9223372036854775807, which does not divide the number "
                 "of trees, 6");
}

}  // namespace
}  // namespace fraud
