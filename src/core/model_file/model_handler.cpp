#include "core/model_file/model_handler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "core/base/error.h"
#include "core/model_file/model_faults.h"
#include "core/model_file/model_features.h"
#include "core/model_file/model_json.h"
#include "core/model_file/model_objective.h"
#include "core/model_file/model_text.h"

namespace fraud {
namespace {

// Returns the value of a JSON number from its text, of a UBJSON number, which
// comes without, from the value itself: that was a float32 before.
float to_float(double value, const std::string& text) {
  if (text.empty()) return static_cast<float>(value);
  return parse_float(with_point(text)).value_or(std::numeric_limits<float>::quiet_NaN());
}

}  // namespace

// --------------------------------------------------------------------- events

bool ModelHandler::null() {
  count_event();
  // What JSON cannot write (ModelJson).
  if (in_array() && (parent() == Part::kSplitConditions || parent() == Part::kWeightDrop)) {
    take_float(std::numeric_limits<float>::quiet_NaN());
  } else {
    wrong_value();
  }
  return true;
}

bool ModelHandler::boolean(bool value) {
  count_event();
  if (in_array() && parent() == Part::kDefaultLeft) {
    append(raw_.default_left, value ? uint8_t{1} : uint8_t{0});
  } else {
    wrong_value();
  }
  return true;
}

bool ModelHandler::number_integer(int64_t value) {
  count_event();
  take_integer(value);
  return true;
}

bool ModelHandler::number_unsigned(uint64_t value) {
  count_event();
  constexpr auto kLargest = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  take_integer(static_cast<int64_t>(std::min(value, kLargest)));
  return true;
}

bool ModelHandler::number_float(double value, const std::string& text) {
  count_event();
  if (in_array()) {
    take_float(to_float(value, text));
  } else if (const Member* member = take_member(Kind::kScalar)) {
    text_of(member->part) = with_point(text);
  }
  return true;
}

bool ModelHandler::string(std::string& value) {
  count_event();
  if (!in_array()) {
    if (const Member* member = take_member(Kind::kScalar)) {
      text_of(member->part) = std::move(value);
    }
  } else if (parent() == Part::kFeatureNames) {
    if (forest_.feature_names.size() >= kMaxFeatures) {
      fail_limit("the model has more than " + std::to_string(kMaxFeatures) + " feature names");
    }
    forest_.feature_names.push_back(std::move(value));
  } else {
    wrong_value();
  }
  return true;
}

// Neither format has binary values.
bool ModelHandler::binary(nlohmann::json::binary_t& /*value*/) { return false; }

bool ModelHandler::key(std::string& value) {
  count_event();
  member_ = find_member(parent(), value);
  return true;
}

bool ModelHandler::start_object(size_t /*elements*/) {
  count_event();
  if (depth_ == 0) {
    push(Part::kDocument, false);
  } else if (in_array() && parent() == Part::kTrees) {
    start_tree();
    push(Part::kTree, false);
  } else if (in_array() && parent() == Part::kCatsEnc) {
    forget(Part::kEncoding, Part::kCount);
    ++encodings_seen_;
    category_count_ = 0;
    categories_are_codes_ = true;
    push(Part::kEncoding, false);
  } else if (in_array()) {
    wrong_value();
    push(Part::kOther, false);
  } else {
    const Member* const member = take_member(Kind::kObject);
    if (member != nullptr && member->part == Part::kModel) model_parent_ = parent();
    push(member == nullptr ? Part::kOther : member->part, false);
  }
  return true;
}

bool ModelHandler::end_object() {
  count_event();
  if (parent() == Part::kTree) finish_tree();
  if (parent() == Part::kEncoding) finish_encoding();
  --depth_;
  return true;
}

bool ModelHandler::start_array(size_t /*elements*/) {
  count_event();
  if (depth_ == 0) fail_invalid("the model is not an object");
  if (in_array()) {
    wrong_value();
    push(Part::kOther, true);
  } else {
    const Member* const member = take_member(Kind::kArray);
    push(member == nullptr ? Part::kOther : member->part, true);
  }
  return true;
}

bool ModelHandler::end_array() {
  count_event();
  --depth_;
  return true;
}

// The parser's own text quotes the input, so only the position is kept.
bool ModelHandler::parse_error(size_t position, const std::string& /*token*/,
                               const nlohmann::detail::exception& /*error*/) {
  error_position_ = position;
  return false;
}

// ------------------------------------------------------------ where we are

// Stops a file that makes more events than it has bytes: UBJSON can announce
// two thousand million nulls in nine of them.
void ModelHandler::count_event() {
  if (++events_ > input_bytes_) {
    throw Error(ErrorCode::kInvalidJson,
                std::string("invalid ") + format_ + ": more values than bytes", {},
                "The file was cut, edited or damaged: save the model anew with XGBoost's save_model.");
  }
}

void ModelHandler::push(Part part, bool is_array) {
  if (depth_ == kMaxNesting) {
    fail_limit("the model file is nested deeper than " + std::to_string(kMaxNesting));
  }
  levels_[depth_++] = Level{part, is_array};
  member_ = nullptr;
}

// Makes the parts from first to the one before last unseen.
void ModelHandler::forget(Part first, Part last) {
  std::fill(seen_.begin() + index_of(first), seen_.begin() + index_of(last), false);
}

// Returns "tree 3: " for parts of a tree, "categories of feature 3: " for parts of
// an encoding, else nothing.
std::string ModelHandler::place(Part part) const {
  if (part >= Part::kEncoding) {
    return "categories of feature " + std::to_string(encodings_seen_ - 1) + ": ";
  }
  return part >= Part::kTree ? "tree " + std::to_string(trees_seen_ - 1) + ": " : "";
}

// Returns the known member that the value at hand belongs to, checking that
// it has the right kind and comes once; null for values that are passed over.
const Member* ModelHandler::take_member(Kind kind) {
  if (depth_ == 0) fail_invalid("the model is not an object");
  const Member* const member = std::exchange(member_, nullptr);
  if (member == nullptr) return nullptr;
  if (member->kind != kind) {
    fail_invalid(place(member->part) + quoted_key(member->part) + " is not " +
                 name_of(member->kind));
  }
  if (seen(member->part)) {
    fail_invalid(place(member->part) + "key " + quoted_key(member->part) + " occurs twice");
  }
  seen(member->part) = true;
  return member;
}

// Handles a value of a type that no known part takes: a fault inside one.
void ModelHandler::wrong_value() {
  if (depth_ == 0) fail_invalid("the model is not an object");
  if (!in_array()) {
    if (member_ != nullptr) {
      fail_invalid(place(member_->part) + quoted_key(member_->part) + " is not " +
                   name_of(member_->kind));
    }
    return;
  }
  if (parent() == Part::kOther) return;
  fail_invalid(place(parent()) + quoted_key(parent()) + " holds a value of the wrong type");
}

int64_t ModelHandler::integer_of(Part part) {
  const std::optional<int64_t> value = parse_integer(text_of(part));
  if (!value) fail_invalid(place(part) + quoted_key(part) + " is not an integer");
  return *value;
}

void ModelHandler::require(Part part) {
  if (!seen(part)) fail_invalid(place(part) + "missing key " + quoted_key(part));
}

// --------------------------------------------------------------------- values

template <typename T>
void ModelHandler::append(std::vector<T>& values, T value) {
  if (values.size() >= kMaxNodes) {
    fail_limit(place(parent()) + "more than " + std::to_string(kMaxNodes) + " values in " +
               quoted_key(parent()));
  }
  values.push_back(value);
}

void ModelHandler::take_integer(int64_t value) {
  if (!in_array()) {
    if (const Member* member = take_member(Kind::kScalar)) {
      text_of(member->part) = std::to_string(value);
    }
    return;
  }
  switch (parent()) {
    case Part::kLeftChildren:
      append(raw_.left, value);
      break;
    case Part::kRightChildren:
      append(raw_.right, value);
      break;
    case Part::kSplitIndices:
      append(raw_.feature, value);
      break;
    case Part::kDefaultLeft:
      append(raw_.default_left, value != 0 ? uint8_t{1} : uint8_t{0});
      break;
    case Part::kSplitType:
      append(raw_.split_type, value);
      break;
    case Part::kCategories:
      append(raw_.categories, value);
      break;
    case Part::kCategoriesNodes:
      append(raw_.category_nodes, value);
      break;
    case Part::kCategoriesSegments:
      append(raw_.category_segments, value);
      break;
    case Part::kCategoriesSizes:
      append(raw_.category_sizes, value);
      break;
    case Part::kTreeInfo:
      if (value != 0) has_other_outputs_ = true;
      ++tree_info_count_;
      break;
    case Part::kIterationIndptr:
      append(indptr_, value);
      break;
    case Part::kVersion:
      // Three numbers; what more there may be says nothing to us.
      if (version_.size() < 3) version_.push_back(value);
      break;
    case Part::kEncodingOffsets:
      break;
    case Part::kEncodingValues:
      take_category(value == category_count_);
      break;
    default:
      take_float(static_cast<float>(value));
  }
}

void ModelHandler::take_float(float value) {
  switch (parent()) {
    case Part::kSplitConditions:
      append(raw_.condition, value);
      break;
    case Part::kSumHessian:
      append(raw_.cover, value);
      break;
    case Part::kWeightDrop:
      append(weights_, value);
      break;
    case Part::kEncodingValues:
      take_category(value == static_cast<float>(category_count_));
      break;
    default:
      wrong_value();
  }
}

// ---------------------------------------------------------------------- trees

void ModelHandler::start_tree() {
  if (trees_seen_ == kMaxTrees) {
    fail_limit("the model has more than " + std::to_string(kMaxTrees) + " trees");
  }
  ++trees_seen_;
  raw_.clear();
  forget(Part::kTree, Part::kEncoding);
}

// Checks the tree that has just been read and adds it to the forest.
void ModelHandler::finish_tree() {
  if (seen(Part::kSizeLeafVector) && integer_of(Part::kSizeLeafVector) > 1) {
    fail_unsupported("trees with vector leaves are not supported");
  }
  if (seen(Part::kTreeId) && integer_of(Part::kTreeId) != static_cast<int64_t>(trees_seen_ - 1)) {
    fail_invalid(place(Part::kTree) + "its id is another number");
  }
  for (const Part part : {Part::kLeftChildren, Part::kRightChildren, Part::kSplitIndices,
                          Part::kSplitConditions, Part::kDefaultLeft, Part::kSumHessian}) {
    require(part);
  }
  // Files from before categorical splits have no types.
  if (seen(Part::kSplitType) && raw_.split_type.empty() && !raw_.left.empty()) {
    fail_invalid(place(Part::kTree) + "\"split_type\" has 0 values, \"left_children\" has " +
                 std::to_string(raw_.left.size()));
  }
  layout_.add(raw_);
  if (seen(Part::kNumNodes) &&
      integer_of(Part::kNumNodes) != static_cast<int64_t>(raw_.left.size())) {
    fail_invalid(place(Part::kTree) + "\"num_nodes\" is not the length of its arrays, " +
                 std::to_string(raw_.left.size()));
  }
}

// Booster dart scales its trees when it predicts: a leaf's value times the tree's
// weight, rounded to a float32. Doing it here gives the same sum.
void ModelHandler::apply_weights() {
  if (weights_.size() != trees_seen_) {
    fail_invalid("\"weight_drop\" has " + std::to_string(weights_.size()) + " values for " +
                 std::to_string(trees_seen_) + " trees");
  }
  size_t node = 0;
  for (size_t tree = 0; tree < trees_seen_; ++tree) {
    const float weight = weights_[tree];
    if (!std::isfinite(weight)) {
      fail_invalid("tree " + std::to_string(tree) + ": its weight is not a finite number");
    }
    const size_t end = tree + 1 < trees_seen_ ? forest_.roots[tree + 1] : forest_.nodes.size();
    for (; node < end; ++node) {
      if (!forest_.nodes[node].is_leaf) continue;
      float& value = forest_.nodes[node].value;
      value *= weight;
      if (!std::isfinite(value)) {
        fail_invalid("tree " + std::to_string(tree) +
                     ": a leaf times the tree's weight is not a finite number");
      }
    }
  }
}

// -------------------------------------------------------- columns' categories

void ModelHandler::take_category(bool is_in_place) {
  categories_are_codes_ = categories_are_codes_ && is_in_place;
  ++category_count_;
}

// Since 3.1 a model that was trained on a table's columns of categories keeps their
// values, and XGBoost turns those of another table into the codes that the trees use.
// Here a row brings the codes. Where the categories are strings nothing can be
// mistaken for them; where they are other numbers it could.
void ModelHandler::finish_encoding() {
  if (!seen(Part::kEncodingOffsets) && !categories_are_codes_) {
    fail_unsupported(place(Part::kEncoding) +
                     "numbers other than 0, 1, 2, … in this order are not supported, since a row "
                     "would have to bring the codes in place of them",
                     "Train on a column whose categories are their codes (0, 1, 2, …), or texts.");
  }
}

// -------------------------------------------------------------------- the whole

// Refuses what is not a one-output ensemble of trees.
void ModelHandler::check_kind() {
  require(Part::kLearner);
  require(Part::kBooster);
  require(Part::kBoosterName);
  // First of all, since other boosters keep their trees elsewhere or have none.
  const std::string& booster = text_of(Part::kBoosterName);
  if (booster != "gbtree" && booster != "dart") {
    fail_unsupported("booster " + shown(booster) + " is not supported");
  }
  require(Part::kObjective);
  require(Part::kObjectiveName);
  require(Part::kLearnerParam);
  if (seen(Part::kNumClass)) {
    const int64_t classes = integer_of(Part::kNumClass);
    if (classes > 1) {
      fail_unsupported("a model with " + std::to_string(classes) + " classes is not supported");
    }
  }
  if (seen(Part::kNumTarget)) {
    const int64_t targets = integer_of(Part::kNumTarget);
    if (targets > 1) {
      fail_unsupported("a model with " + std::to_string(targets) + " targets is not supported");
    }
  }
  if (has_other_outputs_) fail_unsupported("a model with more than one output is not supported");
}

void ModelHandler::check_trees() {
  const bool is_dart = text_of(Part::kBoosterName) == "dart";
  if (is_dart) require(Part::kDartTrees);
  // That it is of a booster of trees is known by now.
  if (model_parent_ == Part::kOther) {
    throw Error(ErrorCode::kInvalidModel, "the file is a configuration, as save_config() writes it, and holds no trees", {},
                "Save the model itself with save_model().");
  }
  if (is_dart) require(Part::kWeightDrop);
  if (model_parent_ != (is_dart ? Part::kDartTrees : Part::kBooster)) fail_invalid("missing key " + quoted_key(Part::kModel));
  require(Part::kTrees);
  if (seen(Part::kNumTrees) && integer_of(Part::kNumTrees) != static_cast<int64_t>(trees_seen_)) {
    fail_invalid("\"num_trees\" is not the number of trees in the file, " +
                 std::to_string(trees_seen_));
  }
  if (seen(Part::kTreeInfo) && tree_info_count_ != trees_seen_) {
    fail_invalid("\"tree_info\" has " + std::to_string(tree_info_count_) + " values for " +
                 std::to_string(trees_seen_) + " trees");
  }
  if (is_dart) apply_weights();
}

// Finds which trees make an iteration: as iteration_indptr says, which files have
// since 2.0, else num_parallel_tree each; files of 1.3 and older have neither, and
// XGBoost takes every tree for an iteration then.
void ModelHandler::set_iterations() {
  std::vector<uint32_t>& ends = forest_.iteration_ends;
  if (seen(Part::kIterationIndptr) && !indptr_.empty()) {
    bool is_sound = indptr_.front() == 0 && indptr_.back() == static_cast<int64_t>(trees_seen_);
    for (size_t i = 1; i < indptr_.size() && is_sound; ++i) is_sound = indptr_[i - 1] < indptr_[i];
    if (!is_sound) {
      fail_invalid("\"iteration_indptr\" does not ascend from 0 to the number of trees, " +
                   std::to_string(trees_seen_));
    }
    for (size_t i = 1; i < indptr_.size(); ++i) ends.push_back(static_cast<uint32_t>(indptr_[i]));
  } else {
    const int64_t width = seen(Part::kNumParallelTree) ? integer_of(Part::kNumParallelTree) : 1;
    if (width < 1) fail_invalid("\"num_parallel_tree\" is not at least 1");
    for (auto trees = static_cast<int64_t>(trees_seen_); trees > 0; trees -= width) {
      ends.push_back(static_cast<uint32_t>(trees));
    }
    std::reverse(ends.begin(), ends.end());
    if (static_cast<int64_t>(trees_seen_) % width != 0) {
      fail_invalid("\"num_parallel_tree\" is " + std::to_string(width) +
                   ", which does not divide the number of trees, " + std::to_string(trees_seen_));
    }
  }
  if (!seen(Part::kBestIteration)) return;
  const std::optional<int64_t> best = parse_integer(text_of(Part::kBestIteration));
  if (best && *best >= 0 && static_cast<uint64_t>(*best) < ends.size()) {
    forest_.best_iteration = static_cast<uint32_t>(*best);
  }
}

// Takes the value that stood for a missing one where the model was trained (missing=-999), if
// the wrapper of scikit-learn has noted one. XGBoost's own missing value is NaN in any case.
void ModelHandler::set_missing() {
  if (!seen(Part::kScikitLearn)) return;
  constexpr size_t kLongest = size_t{1} << 20;
  const std::string& text = text_of(Part::kScikitLearn);
  if (text.size() > kLongest) fail_limit(quoted_key(Part::kScikitLearn) + " has more than " + std::to_string(kLongest) + " bytes");
  // It has NaN where it means no such value.
  ModelJson json(text);
  const nlohmann::json noted = nlohmann::json::parse(json.begin(), json.end(), nullptr, false);
  if (!noted.is_object() || !noted.contains("missing") || noted["missing"].is_null()) return;
  const nlohmann::json& missing = noted["missing"];
  const float value = missing.is_number() ? missing.get<float>() : std::numeric_limits<float>::infinity();
  if (!std::isfinite(value)) {
    fail_unsupported("a placeholder for missing values that is not a finite number is not supported",
                     "Train with a finite number as missing, or with NaN, which needs none.");
  }
  forest_.missing = value;
}

Forest ModelHandler::finish() {
  check_kind();
  require(Part::kBaseScore);
  set_objective(forest_, text_of(Part::kObjectiveName), text_of(Part::kBaseScore), version_);
  check_trees();
  set_iterations();
  set_missing();
  require(Part::kNumFeature);
  const int64_t features = integer_of(Part::kNumFeature);
  finish_features(forest_, features);
  layout_.check_features(features);
  for (const int64_t number : version_) {
    forest_.xgboost_version +=
        (forest_.xgboost_version.empty() ? "" : ".") + std::to_string(number);
  }
  forest_.nodes.shrink_to_fit();
  forest_.roots.shrink_to_fit();
  forest_.iteration_ends.shrink_to_fit();
  forest_.category_sets.shrink_to_fit();
  return std::move(forest_);
}

}  // namespace fraud
