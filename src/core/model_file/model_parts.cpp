#include "core/model_file/model_parts.h"

namespace fraud {
namespace {

constexpr Member kMembers[] = {
    {Part::kDocument, "version", Part::kVersion, Kind::kArray},
    {Part::kDocument, "learner", Part::kLearner, Kind::kObject},
    {Part::kLearner, "attributes", Part::kAttributes, Kind::kObject},
    {Part::kAttributes, "best_iteration", Part::kBestIteration, Kind::kScalar},
    {Part::kAttributes, "scikit_learn", Part::kScikitLearn, Kind::kScalar},
    {Part::kLearner, "feature_names", Part::kFeatureNames, Kind::kArray},
    {Part::kLearner, "learner_model_param", Part::kLearnerParam, Kind::kObject},
    {Part::kLearnerParam, "base_score", Part::kBaseScore, Kind::kScalar},
    {Part::kLearnerParam, "num_class", Part::kNumClass, Kind::kScalar},
    {Part::kLearnerParam, "num_feature", Part::kNumFeature, Kind::kScalar},
    {Part::kLearnerParam, "num_target", Part::kNumTarget, Kind::kScalar},
    {Part::kLearner, "objective", Part::kObjective, Kind::kObject},
    {Part::kObjective, "name", Part::kObjectiveName, Kind::kScalar},
    {Part::kLearner, "gradient_booster", Part::kBooster, Kind::kObject},
    {Part::kBooster, "name", Part::kBoosterName, Kind::kScalar},
    {Part::kBooster, "model", Part::kModel, Kind::kObject},
    {Part::kBooster, "gbtree", Part::kDartTrees, Kind::kObject},
    {Part::kBooster, "weight_drop", Part::kWeightDrop, Kind::kArray},
    {Part::kDartTrees, "model", Part::kModel, Kind::kObject},
    {Part::kModel, "gbtree_model_param", Part::kModelParam, Kind::kObject},
    {Part::kModelParam, "num_trees", Part::kNumTrees, Kind::kScalar},
    {Part::kModelParam, "num_parallel_tree", Part::kNumParallelTree, Kind::kScalar},
    {Part::kModel, "iteration_indptr", Part::kIterationIndptr, Kind::kArray},
    {Part::kModel, "tree_info", Part::kTreeInfo, Kind::kArray},
    {Part::kModel, "trees", Part::kTrees, Kind::kArray},
    {Part::kModel, "cats", Part::kCats, Kind::kObject},
    {Part::kCats, "enc", Part::kCatsEnc, Kind::kArray},
    {Part::kTree, "id", Part::kTreeId, Kind::kScalar},
    {Part::kTree, "tree_param", Part::kTreeParam, Kind::kObject},
    {Part::kTreeParam, "num_nodes", Part::kNumNodes, Kind::kScalar},
    {Part::kTreeParam, "size_leaf_vector", Part::kSizeLeafVector, Kind::kScalar},
    {Part::kTree, "left_children", Part::kLeftChildren, Kind::kArray},
    {Part::kTree, "right_children", Part::kRightChildren, Kind::kArray},
    {Part::kTree, "split_indices", Part::kSplitIndices, Kind::kArray},
    {Part::kTree, "split_conditions", Part::kSplitConditions, Kind::kArray},
    {Part::kTree, "default_left", Part::kDefaultLeft, Kind::kArray},
    {Part::kTree, "split_type", Part::kSplitType, Kind::kArray},
    {Part::kTree, "categories", Part::kCategories, Kind::kArray},
    {Part::kTree, "categories_nodes", Part::kCategoriesNodes, Kind::kArray},
    {Part::kTree, "categories_segments", Part::kCategoriesSegments, Kind::kArray},
    {Part::kTree, "categories_sizes", Part::kCategoriesSizes, Kind::kArray},
    {Part::kTree, "sum_hessian", Part::kSumHessian, Kind::kArray},
    {Part::kEncoding, "offsets", Part::kEncodingOffsets, Kind::kArray},
    {Part::kEncoding, "values", Part::kEncodingValues, Kind::kArray},
};

}  // namespace

const Member* find_member(Part parent, std::string_view key) {
  if (parent == Part::kOther) return nullptr;
  for (const Member& member : kMembers) {
    if (member.parent == parent && key == member.key) return &member;
  }
  return nullptr;
}

std::string quoted_key(Part part) {
  for (const Member& member : kMembers) {
    if (member.part == part) return '"' + std::string(member.key) + '"';
  }
  return "\"\"";
}

const char* name_of(Kind kind) {
  switch (kind) {
    case Kind::kObject:
      return "an object";
    case Kind::kArray:
      return "an array";
    default:
      return "a string or a number";
  }
}

}  // namespace fraud
