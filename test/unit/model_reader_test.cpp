// Every fault of a model file has its own error, and no file does harm.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "compiled.h"
#include "core/base/error.h"
#include "core/forest/forest.h"
#include "core/model_file/model_reader.h"

namespace fraud {
namespace {

using Json = nlohmann::json;

std::string golden(const std::string& name) {
  std::ifstream file(SOURCE_DIR "/test/golden/" + name, std::ios::binary);
  EXPECT_TRUE(file.good()) << name;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

Json valid_model() { return Json::parse(golden("3.2.0-missing.json")); }

Json& trees_of(Json& model) { return model["learner"]["gradient_booster"]["model"]["trees"]; }

Json& params_of(Json& model) { return model["learner"]["learner_model_param"]; }

// Returns the first node of the tree after its root that is a split.
int inner_split(const Json& tree) {
  for (int i = 1;; ++i) {
    if (tree["left_children"][i] != -1) return i;
  }
}

int first_leaf(const Json& tree) {
  for (int i = 0;; ++i) {
    if (tree["left_children"][i] == -1) return i;
  }
}

struct Fault {
  ErrorCode code;
  std::string message;
};

// Expects that reading fails, with this code and message.
void expect_fault(const std::string& bytes, const Fault& fault) {
  try {
    read_model(bytes);
    FAIL() << "no error instead of: " << fault.message;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), fault.code) << error.what();
    EXPECT_EQ(error.what(), fault.message);
  }
}

// Expects that a valid model fails once it is edited, in both formats.
void expect_fault(const std::function<void(Json&)>& edit, const Fault& fault) {
  Json model = valid_model();
  edit(model);
  expect_fault(model.dump(), fault);
  const std::vector<uint8_t> ubjson = Json::to_ubjson(model);
  expect_fault(std::string(ubjson.begin(), ubjson.end()), fault);
}

void expect_invalid(const std::function<void(Json&)>& edit, const std::string& message) {
  expect_fault(edit, Fault{ErrorCode::kInvalidModel, message});
}

void expect_unsupported(const std::function<void(Json&)>& edit, const std::string& message) {
  expect_fault(edit, Fault{ErrorCode::kUnsupportedModel, message});
}

// Reads bytes that may be anything; only an Error may come out.
bool is_readable(const std::string& bytes) {
  try {
    read_model(bytes);
    return true;
  } catch (const Error& error) {
    EXPECT_STRNE(error.what(), "");
    return false;
  }
}

TEST(ModelReader, TakesTheUneditedModel) {
  const Forest forest = read_model(valid_model().dump());
  EXPECT_EQ(forest.tree_count(), 6U);
  EXPECT_EQ(forest.feature_count(), 5U);
  EXPECT_EQ(forest.objective, "binary:logistic");
  EXPECT_EQ(forest.xgboost_version, "3.2.0");
  EXPECT_EQ(forest.base_score, 0.5F);
  EXPECT_GT(forest.bytes(), forest.nodes.size() * sizeof(Node));
}

TEST(ModelReader, ToleratesUnknownKeysAndAnyOrder) {
  const Json model = valid_model();
  Json learner = model["learner"];
  learner["news"] = {{"trees", {{{"left_children", {99}}}}}, {"name", "dart"}};
  learner["gradient_booster"]["model"]["trees"][0]["news"] = {1, "two", nullptr, {{"id", 7}}};
  const std::string name = learner["gradient_booster"]["name"].dump();
  learner["gradient_booster"].erase("name");
  std::string booster = learner["gradient_booster"].dump();
  booster.insert(1, "\"name\": " + name + ",");
  learner.erase("gradient_booster");
  const std::string rest = learner.dump();
  const std::string text = "\xEF\xBB\xBF \n{\"learner\":" + rest.substr(0, rest.size() - 1) +
                           ",\"gradient_booster\":" + booster + "}}\n";
  EXPECT_EQ(read_model(text).tree_count(), 6U);
}

TEST(ModelReader, ToleratesBooleansIntegersAndMissingTypes) {
  Json model = valid_model();
  for (Json& tree : trees_of(model)) {
    for (Json& value : tree["default_left"]) value = value != 0;
    tree.erase("split_type");
    tree.erase("tree_param");
    tree.erase("id");
  }
  params_of(model)["num_feature"] = 5;
  params_of(model).erase("num_target");
  model.erase("version");
  const Forest forest = read_model(model.dump());
  const Forest original = read_model(valid_model().dump());
  EXPECT_EQ(forest.xgboost_version, "");
  ASSERT_EQ(forest.nodes.size(), original.nodes.size());
  for (size_t i = 0; i < forest.nodes.size(); ++i) {
    EXPECT_EQ(forest.nodes[i].default_left, original.nodes[i].default_left);
  }
}

TEST(ModelReader, RoundsDecimalsOnce) {
  // Just above the middle of two floats, by less than a double can tell: by way
  // of a double it would become the middle itself and round down to even.
  Json model = valid_model();
  trees_of(model)[0]["split_conditions"][0] = "@";
  std::string text = model.dump();
  const std::string mark = "\"@\"";
  text.replace(text.find(mark), mark.size(), "1.000000059604644775390625000000000000001");
  EXPECT_EQ(read_model(text).nodes[0].value, 1.00000011920928955078125F);
  // Too small for a float, and one that is a denormal.
  text = model.dump();
  text.replace(text.find(mark), mark.size(), "1E-60");
  EXPECT_EQ(read_model(text).nodes[0].value, 0.0F);
  text = model.dump();
  text.replace(text.find(mark), mark.size(), "-1E-45");
  EXPECT_EQ(read_model(text).nodes[0].value, -std::numeric_limits<float>::denorm_min());
}

TEST(ModelReader, RefusesWhatIsNoModel) {
  const Fault fault{ErrorCode::kInvalidJson, "the model is neither JSON nor UBJSON"};
  expect_fault(std::string(), fault);
  expect_fault(std::string("  "), fault);
  expect_fault(std::string("binf\0\0\0\0", 8), fault);
  expect_fault(std::string("[1]"), fault);
  expect_fault(std::string("{}"), {ErrorCode::kInvalidModel, "missing key \"learner\""});
  expect_fault(std::string("{\"learner\": {\"a\" 1}}"),
               {ErrorCode::kInvalidJson, "invalid JSON at byte 18"});
  expect_fault(std::string("{i\x01"
                           "aQ"),
               {ErrorCode::kInvalidJson, "invalid UBJSON at byte 5"});
  expect_fault(valid_model().dump() + "x",
               {ErrorCode::kInvalidJson,
                "invalid JSON at byte " + std::to_string(valid_model().dump().size() + 1)});
}

TEST(ModelReader, RepeatsNoBytesOfTheFile) {
  for (const std::string secret : {"4497913965512794052", "\"4497913965512794052", "{{447979"}) {
    try {
      read_model("{\"learner\": " + secret);
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()).find("4497"), std::string::npos);
      EXPECT_EQ(error.detail().find("4497"), std::string::npos);
    }
  }
  expect_unsupported([](Json& m) { m["learner"]["objective"]["name"] = "4497 9139\n"; },
                     "objective of an unknown name is not supported");
}

TEST(ModelReader, RefusesOtherModels) {
  expect_unsupported(
      [](Json& m) {
        m["learner"]["gradient_booster"] = {{"name", "gblinear"}, {"model", {{"weights", {1}}}}};
      },
      "booster \"gblinear\" is not supported");
  expect_unsupported([](Json& m) { m["learner"]["objective"]["name"] = "multi:softprob"; },
                     "objective \"multi:softprob\" is not supported");
  expect_unsupported([](Json& m) { params_of(m)["num_class"] = "3"; },
                     "a model with 3 classes is not supported");
  expect_unsupported([](Json& m) { params_of(m)["num_target"] = "2"; },
                     "a model with 2 targets is not supported");
  expect_unsupported([](Json& m) { params_of(m)["base_score"] = "[5E-1,4E-1]"; },
                     "a model with more than one base score is not supported");
  expect_unsupported([](Json& m) { m["learner"]["gradient_booster"]["model"]["tree_info"][2] = 1; },
                     "a model with more than one output is not supported");
  expect_unsupported([](Json& m) { trees_of(m)[1]["tree_param"]["size_leaf_vector"] = "3"; },
                     "trees with vector leaves are not supported");
}

TEST(ModelReader, ReadsThePlaceholderOfScikitLearnsWrapper) {
  EXPECT_TRUE(std::isnan(read_model(golden("1.3.3-missing.json")).missing));
  for (const char* version : {"1.0.2", "1.3.3", "1.7.6"}) {
    EXPECT_EQ(read_model(golden(std::string(version) + "-placeholder.json")).missing, -999) << version;
  }
  const auto with = [](const std::string& noted) {
    Json model = valid_model();
    model["learner"]["attributes"]["scikit_learn"] = noted;
    return read_model(model.dump()).missing;
  };
  // What the wrapper writes for none, what later versions write, and what is not its own.
  for (const char* noted : {R"({"n_jobs": 1, "missing": NaN})", R"({"_estimator_type": "classifier"})", R"({"missing": null})", "", "[1]", "{"}) {
    EXPECT_TRUE(std::isnan(with(noted))) << noted;
  }
  EXPECT_EQ(with(R"({"missing": -1.5, "classes_": [0, 1]})"), -1.5F);
  expect_unsupported([](Json& m) { m["learner"]["attributes"]["scikit_learn"] = R"({"missing": "none"})"; },
                     "a placeholder for missing values that is not a finite number is not supported");
  expect_unsupported([](Json& m) { m["learner"]["attributes"]["scikit_learn"] = R"({"missing": 1e300})"; },
                     "a placeholder for missing values that is not a finite number is not supported");
}

TEST(ModelReader, RefusesMissingKeys) {
  for (const char* key : {"gradient_booster", "learner_model_param", "objective"}) {
    expect_invalid([=](Json& m) { m["learner"].erase(key); },
                   "missing key \"" + std::string(key) + '"');
  }
  for (const char* key : {"base_score", "num_feature"}) {
    expect_invalid([=](Json& m) { params_of(m).erase(key); },
                   "missing key \"" + std::string(key) + '"');
  }
  expect_invalid([](Json& m) { m["learner"]["gradient_booster"].erase("name"); }, "missing key \"name\"");
  expect_invalid([](Json& m) { m["learner"]["gradient_booster"].erase("model"); },
                 "the file is a configuration, as save_config() writes it, and holds no trees");
  expect_invalid([](Json& m) { m["learner"]["gradient_booster"]["model"].erase("trees"); },
                 "missing key \"trees\"");
  for (const char* key : {"left_children", "right_children", "split_indices", "split_conditions",
                          "default_left", "sum_hessian"}) {
    expect_invalid([=](Json& m) { trees_of(m)[2].erase(key); },
                   "tree 2: missing key \"" + std::string(key) + '"');
  }
}

TEST(ModelReader, RefusesRepeatedKeys) {
  std::string text = valid_model().dump();
  text.insert(text.find("\"learner_model_param\""), "\"objective\": {\"name\": \"x\"},");
  expect_fault(text, {ErrorCode::kInvalidModel, "key \"objective\" occurs twice"});
  text = valid_model().dump();
  text.insert(text.find("\"left_children\""), "\"left_children\": [1],");
  expect_fault(text, {ErrorCode::kInvalidModel, "tree 0: key \"left_children\" occurs twice"});
}

TEST(ModelReader, RefusesWrongTypes) {
  expect_invalid([](Json& m) { m["learner"] = Json::array({1}); }, "\"learner\" is not an object");
  expect_invalid([](Json& m) { m["learner"] = "text"; }, "\"learner\" is not an object");
  expect_invalid([](Json& m) { m["learner"]["feature_names"] = nullptr; },
                 "\"feature_names\" is not an array");
  expect_invalid([](Json& m) { m["learner"]["feature_names"] = Json::array({1}); },
                 "\"feature_names\" holds a value of the wrong type");
  expect_invalid([](Json& m) { m["learner"]["objective"]["name"] = Json::object(); },
                 "\"name\" is not a string or a number");
  expect_invalid([](Json& m) { params_of(m)["num_feature"] = "5.5"; },
                 "\"num_feature\" is not an integer");
  expect_invalid([](Json& m) { params_of(m)["base_score"] = "half"; },
                 "\"base_score\" is not a number");
  expect_invalid([](Json& m) { trees_of(m)[0] = 5; }, "\"trees\" holds a value of the wrong type");
  expect_invalid([](Json& m) { trees_of(m)[1]["left_children"][0] = 1.5; },
                 "tree 1: \"left_children\" holds a value of the wrong type");
  expect_invalid([](Json& m) { trees_of(m)[1]["right_children"][0] = Json::array(); },
                 "tree 1: \"right_children\" holds a value of the wrong type");
  expect_invalid([](Json& m) { trees_of(m)[1]["split_conditions"][0] = "1.5"; },
                 "tree 1: \"split_conditions\" holds a value of the wrong type");
  expect_invalid([](Json& m) { trees_of(m)[1]["sum_hessian"][0] = nullptr; },
                 "tree 1: \"sum_hessian\" holds a value of the wrong type");
}

TEST(ModelReader, RefusesBaseScoresThatAreNoProbability) {
  for (const char* score : {"-1E-1", "1.5E0", "[2E0]"}) {
    expect_invalid([=](Json& m) { params_of(m)["base_score"] = score; },
                   "\"base_score\" is not between 0 and 1");
  }
  for (const char* score : {"0E0", "1E0"}) {
    expect_invalid(
        [=](Json& m) {
          params_of(m)["base_score"] = score;
          m["version"] = {3, 1, 3};
        },
        "\"base_score\" is not between 0 and 1");
  }
  Json model = valid_model();
  params_of(model)["base_score"] = "[0E0]";
  EXPECT_NEAR(read_model(model.dump()).base_margin, -13.81551F, 1e-5F);
}

TEST(ModelReader, RefusesArraysOfUnequalLength) {
  Json model = valid_model();
  const size_t count = trees_of(model)[1]["left_children"].size();
  for (const char* key :
       {"right_children", "split_indices", "split_conditions", "default_left", "sum_hessian"}) {
    expect_invalid([=](Json& m) { trees_of(m)[1][key].push_back(0); },
                   "tree 1: \"" + std::string(key) + "\" has " + std::to_string(count + 1) +
                       " values, \"left_children\" has " + std::to_string(count));
  }
  expect_invalid(
      [](Json& m) { trees_of(m)[1]["split_type"] = Json::array(); },
      "tree 1: \"split_type\" has 0 values, \"left_children\" has " + std::to_string(count));
  expect_invalid([](Json& m) { trees_of(m)[1]["tree_param"]["num_nodes"] = "3"; },
                 "tree 1: \"num_nodes\" is not the length of its arrays, " + std::to_string(count));
  expect_invalid(
      [](Json& m) {
        for (const char* key : {"left_children", "right_children", "split_indices",
                                "split_conditions", "default_left", "sum_hessian", "split_type"}) {
          trees_of(m)[1][key] = Json::array();
        }
      },
      "tree 1: it has no nodes");
}

TEST(ModelReader, RefusesTreeCountsThatDisagree) {
  expect_invalid(
      [](Json& m) {
        m["learner"]["gradient_booster"]["model"]["gbtree_model_param"]["num_trees"] = "7";
      },
      "\"num_trees\" is not the number of trees in the file, 6");
  expect_invalid(
      [](Json& m) { m["learner"]["gradient_booster"]["model"]["tree_info"].push_back(0); },
      "\"tree_info\" has 7 values for 6 trees");
  expect_invalid([](Json& m) { trees_of(m)[4]["id"] = 3; }, "tree 4: its id is another number");
}

TEST(ModelReader, RefusesUnsoundTrees) {
  Json model = valid_model();
  const Json tree = trees_of(model)[3];
  const int split = inner_split(tree);
  const int leaf = first_leaf(tree);
  const std::string nodes = std::to_string(tree["left_children"].size());
  const std::string at_split = "tree 3 node " + std::to_string(split) + ": ";
  const std::string at_leaf = "tree 3 node " + std::to_string(leaf) + ": ";

  expect_invalid([=](Json& m) { trees_of(m)[3]["left_children"][split] = 99; },
                 at_split + "left child 99 is out of range, the tree has " + nodes + " nodes");
  expect_invalid([=](Json& m) { trees_of(m)[3]["left_children"][split] = -2; },
                 at_split + "left child -2 is out of range, the tree has " + nodes + " nodes");
  expect_invalid([=](Json& m) { trees_of(m)[3]["right_children"][split] = -1; },
                 at_split + "right child -1 is out of range, the tree has " + nodes + " nodes");
  expect_invalid([=](Json& m) { trees_of(m)[3]["right_children"][split] = 9223372036854775807ULL; },
                 at_split + "right child 9223372036854775807 is out of range, the tree has " +
                     nodes + " nodes");
  expect_invalid([=](Json& m) { trees_of(m)[3]["left_children"][split] = 0; },
                 at_split + "left child 0 is reached twice");
  expect_invalid(
      [=](Json& m) {
        trees_of(m)[3]["right_children"][split] = trees_of(m)[3]["left_children"][split];
      },
      at_split + "right child " + tree["left_children"][split].dump() + " is reached twice");
  expect_invalid([=](Json& m) { trees_of(m)[3]["left_children"][split] = split; },
                 at_split + "left child " + std::to_string(split) + " is reached twice");
  expect_invalid([=](Json& m) { trees_of(m)[3]["right_children"][leaf] = 0; },
                 at_leaf + "a leaf has a right child");
  expect_invalid([=](Json& m) { trees_of(m)[3]["split_indices"][split] = 5; },
                 at_split + "split feature 5 is out of range, the model has 5 features");
  expect_invalid([=](Json& m) { trees_of(m)[3]["split_indices"][split] = -1; },
                 at_split + "split feature -1 is out of range");
  expect_invalid([=](Json& m) { trees_of(m)[3]["split_indices"][split] = 2147483647; },
                 at_split + "split feature 2147483647 is out of range");
  expect_invalid([=](Json& m) { trees_of(m)[3]["split_conditions"][split] = 1e39; },
                 at_split + "the threshold is not a finite number");
  expect_invalid([=](Json& m) { trees_of(m)[3]["split_conditions"][leaf] = -1e39; },
                 at_leaf + "the leaf is not a finite number");
  expect_invalid([=](Json& m) { trees_of(m)[3]["sum_hessian"][leaf] = -0.5; },
                 at_leaf + "\"sum_hessian\" is not a finite number of at least 0");

  // JSON has no NaN; UBJSON has.
  for (const float value :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    Json edited = valid_model();
    trees_of(edited)[3]["split_conditions"][leaf] = value;
    const std::vector<uint8_t> bytes = Json::to_ubjson(edited);
    expect_fault(std::string(bytes.begin(), bytes.end()),
                 {ErrorCode::kInvalidModel, at_leaf + "the leaf is not a finite number"});
  }
}

// Returns a tree that is a chain of splits, right child after right child.
Json chain(int depth) {
  Json tree;
  for (int i = 0; i < depth; ++i) {
    tree["left_children"].push_back(2 * i + 1);
    tree["right_children"].push_back(2 * i + 2);
    tree["left_children"].push_back(-1);
    tree["right_children"].push_back(-1);
  }
  tree["left_children"].push_back(-1);
  tree["right_children"].push_back(-1);
  // The order above is split, leaf, split, leaf, …: node 2i splits.
  const int count = 2 * depth + 1;
  tree["split_indices"] = std::vector<int>(count, 0);
  tree["split_conditions"] = std::vector<float>(count, 0.5F);
  tree["default_left"] = std::vector<int>(count, 0);
  tree["sum_hessian"] = std::vector<float>(count, 1.0F);
  return tree;
}

TEST(ModelReader, HoldsItsBounds) {
  Json model = valid_model();
  trees_of(model)[0] = chain(kMaxDepth);
  EXPECT_EQ(read_model(model.dump()).tree_count(), 6U);
  expect_fault([](Json& m) { trees_of(m)[0] = chain(kMaxDepth + 1); },
               {ErrorCode::kLimitExceeded, "tree 0 is deeper than 64"});

  params_of(model)["num_feature"] = "4096";
  EXPECT_EQ(read_model(model.dump()).feature_count(), 4096U);
  expect_fault([](Json& m) { params_of(m)["num_feature"] = "4097"; },
               {ErrorCode::kLimitExceeded, "the model has 4097 features, more than 4096"});
  expect_fault([](Json& m) { m["learner"]["feature_names"] = std::vector<std::string>(4097, "x"); },
               {ErrorCode::kLimitExceeded, "the model has more than 4096 feature names"});
  expect_invalid([](Json& m) { params_of(m)["num_feature"] = "0"; },
                 "\"num_feature\" is not at least 1");

  const std::string leaf =
      "{\"left_children\":[-1],\"right_children\":[-1],\"split_indices\":[0],"
      "\"split_conditions\":[0],\"default_left\":[0],\"sum_hessian\":[1]},";
  std::string text = "{\"learner\":{\"gradient_booster\":{\"model\":{\"trees\":[";
  for (size_t i = 0; i <= kMaxTrees; ++i) text += leaf;
  expect_fault(text, {ErrorCode::kLimitExceeded, "the model has more than 100000 trees"});
  expect_fault(std::string(kMaxModelBytes + 1, ' '),
               {ErrorCode::kLimitExceeded, "the model has 268435457 bytes, more than 268435456"});
}

TEST(ModelReader, RefusesUnusableFeatureNames) {
  expect_invalid(
      [](Json& m) {
        m["learner"]["feature_names"] = {"a", "b"};
      },
      "the model has 2 feature names for 5 features");
  expect_invalid(
      [](Json& m) {
        m["learner"]["feature_names"] = {"a", "b", "c", "b", "d"};
      },
      "feature names 1 and 3 are the same");
  for (const std::string& name :
       {std::string(), std::string("a\nb"), std::string("a\0b", 3), std::string("\x7F")}) {
    expect_invalid(
        [=](Json& m) {
          m["learner"]["feature_names"] = {"a", "b", name, "d", "e"};
        },
        "feature name 2 is empty, not UTF-8 or holds a control character");
  }
  // UBJSON strings are not checked by the parser.
  for (const char* name : {"\xFF", "\xC0\x80", "\xED\xA0\x80", "\xE2\x82", "\xF4\x90\x80\x80"}) {
    Json model = valid_model();
    model["learner"]["feature_names"] = {"a", "b", name, "d", "e"};
    const std::vector<uint8_t> bytes = Json::to_ubjson(model);
    expect_fault(std::string(bytes.begin(), bytes.end()),
                 {ErrorCode::kInvalidModel,
                  "feature name 2 is empty, not UTF-8 or holds a control character"});
  }
}

TEST(ModelReader, SurvivesTruncation) {
  for (const char* name : {"3.2.0-named.json", "3.2.0-named.ubj", "1.0.2-stump.json"}) {
    const std::string bytes = golden(name);
    for (size_t size = 0; size < bytes.size(); size += 1 + size / 500) {
      EXPECT_FALSE(is_readable(bytes.substr(0, size))) << name << " cut to " << size;
    }
  }
}

TEST(ModelReader, SurvivesDamage) {
  std::mt19937 random(21);
  for (const char* name : {"3.2.0-named.json", "3.2.0-named.ubj", "1.7.6-pruned.ubj"}) {
    const std::string bytes = golden(name);
    for (int i = 0; i < 2000; ++i) {
      std::string damaged = bytes;
      for (uint32_t j = 1 + random() % 4; j > 0; --j) {
        damaged[random() % damaged.size()] = static_cast<char>(random());
      }
      if (!is_readable(damaged)) continue;
      // What is read after all can be scored and explained.
      const Forest forest = read_model(damaged);
      const std::vector<float> row(forest.feature_count(), 0.5F);
      Compiled compiled(forest);
      compiled.scorer.margin(row.data());
      compiled.contributions(row.data());
    }
  }
}

TEST(ModelReader, StopsAtDeepNesting) {
  const Fault fault{ErrorCode::kLimitExceeded, "the model file is nested deeper than 32"};
  expect_fault("{\"x\":" + std::string(100000, '['), fault);
  std::string objects;
  for (int i = 0; i < 100000; ++i) objects += "{\"x\":";
  expect_fault(objects, fault);
  expect_fault("{i\x01x" + std::string(100000, '['), fault);
  objects.clear();
  for (int i = 0; i < 100000; ++i) objects += "{i\x01x";
  expect_fault(objects, fault);
  // Arrays of arrays, announced in advance.
  std::string typed = "{i\x01x";
  for (int i = 0; i < 100000; ++i) typed += "[$[#i\x7F";
  EXPECT_FALSE(is_readable(typed));
}

TEST(ModelReader, StopsAtArraysWithoutBytes) {
  // An announced count of nulls, booleans or no-ops takes no bytes at all.
  for (const char type : {'Z', 'T', 'F', 'N'}) {
    const std::string array = std::string("[$") + type + "#l\x7F\xFF\xFF\xFF";
    EXPECT_FALSE(is_readable("{i\x01x" + array)) << type;
    EXPECT_FALSE(is_readable("{i\x01x" + array + "}")) << type;
  }
  expect_fault(std::string("{i\x01x[$Z#l\x7F\xFF\xFF\xFF}"),
               {ErrorCode::kInvalidJson, "invalid UBJSON: more values than bytes"});
  expect_fault(std::string("{i\x01x[$T#L\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF}"),
               {ErrorCode::kInvalidJson, "invalid UBJSON: more values than bytes"});
  // A huge count of what does take bytes ends with the bytes.
  EXPECT_FALSE(is_readable("{i\x01x[$d#L\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF" + std::string(64, 'a')));
  EXPECT_FALSE(is_readable("{i\x01xSL\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF" + std::string(64, 'a')));
  EXPECT_FALSE(is_readable("{i\x01xHL\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF" + std::string(64, '1')));
  EXPECT_FALSE(is_readable("{#l\x7F\xFF\xFF\xFFi\x01x"));
}

}  // namespace
}  // namespace fraud
