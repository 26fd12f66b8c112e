// The parts of a model file that are read, and where each is found.
#pragma once

#include "core/base/guard.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace fraud {

enum class Part : uint8_t {
  kOther,  // whatever is passed over
  kDocument,
  kVersion,
  kLearner,
  kAttributes,
  kBestIteration,
  kScikitLearn,  // what scikit-learn's wrapper notes of itself: JSON in a string, in 1.x with `missing`
  kFeatureNames,
  kLearnerParam,
  kBaseScore,
  kNumClass,
  kNumFeature,
  kNumTarget,
  kObjective,
  kObjectiveName,
  kBooster,
  kBoosterName,
  kDartTrees,  // booster dart wraps a gbtree
  kWeightDrop,
  kModel,
  kModelParam,
  kNumTrees,
  kNumParallelTree,
  kIterationIndptr,
  kTreeInfo,
  kTrees,
  kCats,
  kCatsEnc,
  // From here on once per tree.
  kTree,
  kTreeId,
  kTreeParam,
  kNumNodes,
  kSizeLeafVector,
  kLeftChildren,
  kRightChildren,
  kSplitIndices,
  kSplitConditions,
  kDefaultLeft,
  kSplitType,
  kCategories,
  kCategoriesNodes,
  kCategoriesSegments,
  kCategoriesSizes,
  kSumHessian,
  // From here on once per feature in kCatsEnc.
  kEncoding,
  kEncodingOffsets,
  kEncodingValues,
  kCount,
};

constexpr size_t kPartCount = static_cast<size_t>(Part::kCount);

constexpr size_t index_of(Part part) { return static_cast<size_t>(part); }

enum class Kind : uint8_t { kScalar, kObject, kArray };

struct Member {
  Part parent;
  const char* key;
  Part part;
  Kind kind;
};

// Returns the member of a part that has this key, null for one that is passed over.
const Member* find_member(Part parent, std::string_view key);

// Returns a part's key in double quotes.
std::string quoted_key(Part part);

const char* name_of(Kind kind);

}  // namespace fraud
