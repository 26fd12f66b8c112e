// Reads XGBoost's model files. One handler takes the events of nlohmann's JSON
// and UBJSON parsers, keeps what scoring needs and passes over the rest, so that
// memory stays in proportion to the file and no document is ever built.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/forest.h"

namespace fraud {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxNesting = 32;

// The parts of a model file that are read.
enum class Part : uint8_t {
  kOther,  // whatever is passed over
  kDocument,
  kVersion,
  kLearner,
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
  kModel,
  kModelParam,
  kNumTrees,
  kTreeInfo,
  kTrees,
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
  kSumHessian,
  kCount,
};

constexpr size_t kPartCount = static_cast<size_t>(Part::kCount);

enum class Kind : uint8_t { kScalar, kObject, kArray };

struct Member {
  Part parent;
  const char* key;
  Part part;
  Kind kind;
};

// Where each part is found.
constexpr Member kMembers[] = {
    {Part::kDocument, "version", Part::kVersion, Kind::kArray},
    {Part::kDocument, "learner", Part::kLearner, Kind::kObject},
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
    {Part::kModel, "gbtree_model_param", Part::kModelParam, Kind::kObject},
    {Part::kModelParam, "num_trees", Part::kNumTrees, Kind::kScalar},
    {Part::kModel, "tree_info", Part::kTreeInfo, Kind::kArray},
    {Part::kModel, "trees", Part::kTrees, Kind::kArray},
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
    {Part::kTree, "sum_hessian", Part::kSumHessian, Kind::kArray},
};

const char* key_of(Part part) {
  for (const Member& member : kMembers) {
    if (member.part == part) return member.key;
  }
  return "";
}

std::string quoted_key(Part part) { return '"' + std::string(key_of(part)) + '"'; }

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

// Returns a word from the file for use in a message: what is not a plain short
// word is not repeated, since a file's bytes do not belong in a log.
std::string shown(const std::string& word) {
  constexpr size_t kLongest = 40;
  bool plain = !word.empty() && word.size() <= kLongest;
  for (const char c : word) {
    plain = plain &&
            ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == ':' || c == '_' || c == '-');
  }
  return plain ? '"' + word + '"' : "of an unknown name";
}

// True when the text is valid UTF-8 and holds no control character; a database
// could not store it otherwise.
bool is_clean_utf8(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    const auto lead = static_cast<unsigned char>(text[i++]);
    if (lead < 0x80) {
      if (lead < 0x20 || lead == 0x7F) return false;
      continue;
    }
    int more = 0;
    uint32_t least = 0;
    uint32_t code = 0;
    if (lead >= 0xC2 && lead <= 0xDF) {
      more = 1, least = 0x80, code = lead & 0x1FU;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
      more = 2, least = 0x800, code = lead & 0x0FU;
    } else if (lead >= 0xF0 && lead <= 0xF4) {
      more = 3, least = 0x10000, code = lead & 0x07U;
    } else {
      return false;
    }
    for (; more > 0; --more) {
      if (i == text.size()) return false;
      const auto next = static_cast<unsigned char>(text[i++]);
      if ((next & 0xC0U) != 0x80) return false;
      code = (code << 6U) | (next & 0x3FU);
    }
    if (code < least || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return false;
  }
  return true;
}

// Returns the float nearest to a decimal number, without rounding to a double
// first; nothing when the text is something else. What is too large becomes
// infinite.
std::optional<float> parse_float(std::string_view text) {
  if (!text.empty() && text.front() == '+') text.remove_prefix(1);
  const char* const end = text.data() + text.size();
  float value = 0;
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error == std::errc::result_out_of_range && stop == end) {
    // Out of a float's range on either side: then the double's is good enough.
    double wide = 0;
    const auto result = std::from_chars(text.data(), end, wide);
    if (result.ec != std::errc()) return std::numeric_limits<float>::infinity();
    return static_cast<float>(wide);
  }
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

std::optional<int64_t> parse_integer(std::string_view text) {
  int64_t value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || stop != text.data() + text.size()) return std::nullopt;
  return value;
}

[[noreturn]] void fail(ErrorCode code, const std::string& message, const std::string& hint = {}) {
  throw Error(code, message, {}, hint);
}

[[noreturn]] void fail_invalid(const std::string& message) {
  fail(ErrorCode::kInvalidModel, message);
}

[[noreturn]] void fail_unsupported(const std::string& message) {
  fail(ErrorCode::kUnsupportedModel, message,
       "Supported are models with booster \"gbtree\", objective \"binary:logistic\", one output "
       "and numerical splits.");
}

[[noreturn]] void fail_limit(const std::string& message) {
  fail(ErrorCode::kLimitExceeded, message);
}

// The arrays of one tree as the file has them.
struct RawTree {
  std::vector<int64_t> left;
  std::vector<int64_t> right;
  std::vector<int64_t> feature;
  std::vector<float> condition;
  std::vector<uint8_t> default_left;
  std::vector<uint8_t> split_type;
  std::vector<float> cover;

  void clear() {
    left.clear();
    right.clear();
    feature.clear();
    condition.clear();
    default_left.clear();
    split_type.clear();
    cover.clear();
  }
};

// Takes a parser's events and builds the forest; finish() does the checks that
// need the whole file. Every fault is thrown as an Error from within an event.
class ModelHandler final : public nlohmann::json_sax<Json> {
 public:
  ModelHandler(size_t input_bytes, const char* format)
      : input_bytes_(input_bytes), format_(format) {}

  bool null() override {
    count_event();
    wrong_value();
    return true;
  }

  bool boolean(bool value) override {
    count_event();
    if (in_array() && parent() == Part::kDefaultLeft) {
      append(raw_.default_left, value ? uint8_t{1} : uint8_t{0});
    } else {
      wrong_value();
    }
    return true;
  }

  bool number_integer(int64_t value) override {
    count_event();
    take_integer(value);
    return true;
  }

  bool number_unsigned(uint64_t value) override {
    count_event();
    constexpr auto kLargest = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
    take_integer(static_cast<int64_t>(std::min(value, kLargest)));
    return true;
  }

  bool number_float(double value, const std::string& text) override {
    count_event();
    if (!in_array()) {
      if (const Member* member = take_member(Kind::kScalar)) {
        text_of(member->part) = with_point(text);
      }
      return true;
    }
    switch (parent()) {
      case Part::kSplitConditions:
        append(raw_.condition, to_float(value, text));
        break;
      case Part::kSumHessian:
        append(raw_.cover, to_float(value, text));
        break;
      default:
        wrong_value();
    }
    return true;
  }

  bool string(std::string& value) override {
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
  bool binary(Json::binary_t& /*value*/) override { return false; }

  bool key(std::string& value) override {
    count_event();
    member_ = nullptr;
    if (parent() == Part::kOther) return true;
    for (const Member& member : kMembers) {
      if (member.parent == parent() && value == member.key) member_ = &member;
    }
    return true;
  }

  bool start_object(size_t /*elements*/) override {
    count_event();
    if (depth_ == 0) {
      push(Part::kDocument, false);
    } else if (in_array() && parent() == Part::kTrees) {
      start_tree();
      push(Part::kTree, false);
    } else if (in_array()) {
      wrong_value();
      push(Part::kOther, false);
    } else {
      const Member* const member = take_member(Kind::kObject);
      push(member == nullptr ? Part::kOther : member->part, false);
    }
    return true;
  }

  bool end_object() override {
    count_event();
    if (parent() == Part::kTree) finish_tree();
    pop();
    return true;
  }

  bool start_array(size_t /*elements*/) override {
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

  bool end_array() override {
    count_event();
    pop();
    return true;
  }

  bool parse_error(size_t position, const std::string& /*token*/,
                   const nlohmann::detail::exception& /*error*/) override {
    // The parser's own text quotes the input, so only the position is kept.
    fail(ErrorCode::kInvalidJson,
         std::string("invalid ") + format_ + " at byte " + std::to_string(position));
  }

  // Checks what only the whole file shows, and hands the forest over.
  Forest finish();

 private:
  struct Level {
    Part part = Part::kOther;
    bool is_array = false;
  };

  // Stops a file that makes more events than it has bytes: UBJSON can announce
  // two thousand million nulls in nine of them.
  void count_event() {
    if (++events_ > input_bytes_) {
      fail(ErrorCode::kInvalidJson, std::string("invalid ") + format_ + ": more values than bytes");
    }
  }

  void push(Part part, bool is_array) {
    if (depth_ == kMaxNesting) {
      fail_limit("the model file is nested deeper than " + std::to_string(kMaxNesting));
    }
    levels_[depth_++] = Level{part, is_array};
    member_ = nullptr;
  }

  void pop() { --depth_; }

  Part parent() const { return depth_ == 0 ? Part::kOther : levels_[depth_ - 1].part; }
  bool in_array() const { return depth_ > 0 && levels_[depth_ - 1].is_array; }

  static size_t index(Part part) { return static_cast<size_t>(part); }
  std::string& text_of(Part part) { return texts_[index(part)]; }
  bool& seen(Part part) { return seen_[index(part)]; }

  // Returns "tree 3: " for parts of a tree, else nothing.
  std::string place(Part part) const {
    return part >= Part::kTree ? "tree " + std::to_string(trees_seen_ - 1) + ": " : "";
  }

  // Returns the known member that the value at hand belongs to, checking that
  // it has the right kind and comes once; null for values that are passed over.
  const Member* take_member(Kind kind) {
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
  void wrong_value() {
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

  template <typename T>
  void append(std::vector<T>& values, T value) {
    if (values.size() >= kMaxNodes) {
      fail_limit(place(parent()) + "more than " + std::to_string(kMaxNodes) + " nodes");
    }
    values.push_back(value);
  }

  void take_integer(int64_t value) {
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
      case Part::kSplitConditions:
        append(raw_.condition, static_cast<float>(value));
        break;
      case Part::kSumHessian:
        append(raw_.cover, static_cast<float>(value));
        break;
      case Part::kDefaultLeft:
        append(raw_.default_left, value != 0 ? uint8_t{1} : uint8_t{0});
        break;
      case Part::kSplitType:
        append(raw_.split_type, value != 0 ? uint8_t{1} : uint8_t{0});
        break;
      case Part::kTreeInfo:
        if (value != 0) has_other_outputs_ = true;
        ++tree_info_count_;
        break;
      case Part::kVersion:
        // Three numbers; what more there may be says nothing to us.
        if (version_.size() < 3) version_.push_back(value);
        break;
      default:
        wrong_value();
    }
  }

  // Undoes the locale: the parser's text of a number has its decimal point.
  static std::string with_point(std::string text) {
    for (char& c : text) {
      const bool is_plain = (c >= '0' && c <= '9') || c == '-' || c == '+' || c == 'e' || c == 'E';
      if (!is_plain) c = '.';
    }
    return text;
  }

  // Returns the value of a JSON number from its text, of a UBJSON number, which
  // comes without, from the value itself: that was a float32 before.
  static float to_float(double value, const std::string& text) {
    if (text.empty()) return static_cast<float>(value);
    return parse_float(with_point(text)).value_or(std::numeric_limits<float>::quiet_NaN());
  }

  int64_t integer_of(Part part) {
    const std::optional<int64_t> value = parse_integer(text_of(part));
    if (!value) fail_invalid(place(part) + quoted_key(part) + " is not an integer");
    return *value;
  }

  void require(Part part) {
    if (!seen(part)) fail_invalid(place(part) + "missing key " + quoted_key(part));
  }

  void start_tree() {
    if (trees_seen_ == kMaxTrees) {
      fail_limit("the model has more than " + std::to_string(kMaxTrees) + " trees");
    }
    ++trees_seen_;
    raw_.clear();
    for (size_t part = index(Part::kTree); part < kPartCount; ++part) seen_[part] = false;
  }

  void check_arrays();
  void finish_tree();
  void lay_out_tree(size_t node_count);
  void check_outputs();
  void read_base_score();
  void finish_features();

  const size_t input_bytes_;
  const char* const format_;
  size_t events_ = 0;
  std::array<Level, kMaxNesting> levels_;
  size_t depth_ = 0;
  const Member* member_ = nullptr;  // of the key just read, when it is known
  std::array<bool, kPartCount> seen_{};
  std::array<std::string, kPartCount> texts_;

  RawTree raw_;
  size_t trees_seen_ = 0;
  size_t tree_info_count_ = 0;
  bool has_other_outputs_ = false;  // some tree belongs to an output other than the first
  std::vector<int64_t> version_;    // of the library that saved the file
  Forest forest_;

  // The greatest feature index of each tree and its node there: num_feature
  // comes behind the trees.
  struct Reach {
    uint32_t feature = 0;
    uint32_t node = 0;
  };
  std::vector<Reach> reaches_;

  struct Visit {
    uint32_t from;  // in the file
    uint32_t to;    // in the forest
  };
  std::vector<Visit> level_nodes_;
  std::vector<Visit> next_level_nodes_;
  std::vector<bool> reached_;
};

// Checks that a tree has all its arrays, of one length.
void ModelHandler::check_arrays() {
  constexpr Part kRequired[] = {Part::kLeftChildren,    Part::kRightChildren, Part::kSplitIndices,
                                Part::kSplitConditions, Part::kDefaultLeft,   Part::kSumHessian};
  for (const Part part : kRequired) require(part);
  const size_t count = raw_.left.size();
  const auto check = [&](Part part, size_t size) {
    if (size != count) {
      fail_invalid(place(part) + quoted_key(part) + " has " + std::to_string(size) +
                   " values, \"left_children\" has " + std::to_string(count));
    }
  };
  check(Part::kRightChildren, raw_.right.size());
  check(Part::kSplitIndices, raw_.feature.size());
  check(Part::kSplitConditions, raw_.condition.size());
  check(Part::kDefaultLeft, raw_.default_left.size());
  check(Part::kSumHessian, raw_.cover.size());
  // Files from before categorical splits have no types.
  if (seen(Part::kSplitType)) check(Part::kSplitType, raw_.split_type.size());
  if (count == 0) fail_invalid(place(Part::kTree) + "it has no nodes");
  if (seen(Part::kNumNodes) && integer_of(Part::kNumNodes) != static_cast<int64_t>(count)) {
    fail_invalid(place(Part::kTree) + "\"num_nodes\" is not the length of its arrays, " +
                 std::to_string(count));
  }
}

// Checks the tree that has just been read and adds it to the forest.
void ModelHandler::finish_tree() {
  if (seen(Part::kSizeLeafVector) && integer_of(Part::kSizeLeafVector) > 1) {
    fail_unsupported("trees with vector leaves are not supported");
  }
  if (seen(Part::kTreeId) && integer_of(Part::kTreeId) != static_cast<int64_t>(trees_seen_ - 1)) {
    fail_invalid(place(Part::kTree) + "its id is another number");
  }
  check_arrays();
  lay_out_tree(raw_.left.size());
}

// Copies the nodes that can be reached, level by level, so that siblings are
// neighbours and children lie behind their parents. Nodes that pruning has
// deleted stay in XGBoost's arrays with meaningless values; nothing points at
// them.
void ModelHandler::lay_out_tree(size_t node_count) {
  const size_t tree = trees_seen_ - 1;
  const auto node_name = [tree](uint32_t node) {
    return "tree " + std::to_string(tree) + " node " + std::to_string(node) + ": ";
  };
  const auto child = [&](uint32_t node, const char* side, int64_t value) {
    if (value < 0 || static_cast<uint64_t>(value) >= node_count) {
      fail_invalid(node_name(node) + side + " child " + std::to_string(value) +
                   " is out of range, the tree has " + std::to_string(node_count) + " nodes");
    }
    if (reached_[static_cast<size_t>(value)]) {
      fail_invalid(node_name(node) + side + " child " + std::to_string(value) +
                   " is reached twice");
    }
    reached_[static_cast<size_t>(value)] = true;
    return static_cast<uint32_t>(value);
  };

  reached_.assign(node_count, false);
  reached_[0] = true;
  Reach reach;
  std::vector<Node>& nodes = forest_.nodes;
  forest_.roots.push_back(static_cast<uint32_t>(nodes.size()));
  level_nodes_.assign(1, Visit{0, static_cast<uint32_t>(nodes.size())});
  nodes.emplace_back();
  for (size_t level = 0; !level_nodes_.empty(); ++level) {
    if (level > kMaxDepth) {
      fail_limit("tree " + std::to_string(tree) + " is deeper than " + std::to_string(kMaxDepth));
    }
    next_level_nodes_.clear();
    for (const Visit& visit : level_nodes_) {
      const uint32_t from = visit.from;
      const bool is_leaf = raw_.left[from] == -1;
      const float value = raw_.condition[from];
      if (!std::isfinite(value)) {
        fail_invalid(node_name(from) + (is_leaf ? "the leaf" : "the threshold") +
                     " is not a finite number");
      }
      const float cover = raw_.cover[from];
      if (!std::isfinite(cover) || cover < 0) {
        fail_invalid(node_name(from) + "\"sum_hessian\" is not a finite number of at least 0");
      }
      Node node;
      node.value = value;
      node.cover = cover;
      node.is_leaf = is_leaf;
      if (is_leaf) {
        if (raw_.right[from] != -1) fail_invalid(node_name(from) + "a leaf has a right child");
        nodes[visit.to] = node;
        continue;
      }
      if (!raw_.split_type.empty() && seen(Part::kSplitType) && raw_.split_type[from] != 0) {
        fail_unsupported(node_name(from) + "categorical splits are not supported");
      }
      const int64_t feature = raw_.feature[from];
      if (feature < 0 || feature >= static_cast<int64_t>(std::numeric_limits<int32_t>::max())) {
        fail_invalid(node_name(from) + "split feature " + std::to_string(feature) +
                     " is out of range");
      }
      node.feature = static_cast<uint32_t>(feature);
      if (node.feature > reach.feature) reach = Reach{node.feature, from};
      node.default_left = raw_.default_left[from] != 0;
      const uint32_t left = child(from, "left", raw_.left[from]);
      const uint32_t right = child(from, "right", raw_.right[from]);
      if (nodes.size() + 2 > kMaxNodes) {
        fail_limit("the model has more than " + std::to_string(kMaxNodes) + " nodes");
      }
      node.left = static_cast<uint32_t>(nodes.size());
      nodes[visit.to] = node;
      nodes.resize(nodes.size() + 2);
      next_level_nodes_.push_back(Visit{left, node.left});
      next_level_nodes_.push_back(Visit{right, node.left + 1});
    }
    level_nodes_.swap(next_level_nodes_);
  }
  reaches_.push_back(reach);
}

// Refuses what is not a one-output binary:logistic ensemble of plain trees.
void ModelHandler::check_outputs() {
  require(Part::kLearner);
  require(Part::kBooster);
  require(Part::kBoosterName);
  // First of all, since other boosters keep their trees elsewhere or have none.
  if (text_of(Part::kBoosterName) != "gbtree") {
    fail_unsupported("booster " + shown(text_of(Part::kBoosterName)) + " is not supported");
  }
  require(Part::kObjective);
  require(Part::kObjectiveName);
  if (text_of(Part::kObjectiveName) != "binary:logistic") {
    fail_unsupported("objective " + shown(text_of(Part::kObjectiveName)) + " is not supported");
  }
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

// Reads base_score: a probability such as "5E-1", since XGBoost 3.1 in brackets.
void ModelHandler::read_base_score() {
  require(Part::kBaseScore);
  std::string_view text = text_of(Part::kBaseScore);
  if (text.size() >= 2 && text.front() == '[' && text.back() == ']') {
    text = text.substr(1, text.size() - 2);
    if (text.find(',') != std::string_view::npos) {
      fail_unsupported("a model with more than one base score is not supported");
    }
  }
  const std::optional<float> score = parse_float(text);
  if (!score) fail_invalid("\"base_score\" is not a number");
  forest_.base_score = *score;
  float probability = *score;
  // Since 3.2 XGBoost takes 0 and 1, too, and draws what is near them to 1e-6
  // from them. A model was trained with what its own library made of the score.
  const std::vector<int64_t> first_with_clamp = {3, 2};
  if (version_ >= first_with_clamp && probability >= 0 && probability <= 1) {
    constexpr float kEpsilon = 1e-6F;
    probability = std::min(std::max(probability, kEpsilon), 1.0F - kEpsilon);
  }
  if (!(probability > 0) || !(probability < 1)) {
    fail_invalid("\"base_score\" is not between 0 and 1");
  }
  forest_.base_margin = -std::log(1.0F / probability - 1.0F);
}

// Checks the features against the trees and names those that have no name.
void ModelHandler::finish_features() {
  require(Part::kNumFeature);
  const int64_t count = integer_of(Part::kNumFeature);
  if (count < 1) fail_invalid("\"num_feature\" is not at least 1");
  if (count > static_cast<int64_t>(kMaxFeatures)) {
    fail_limit("the model has " + std::to_string(count) + " features, more than " +
               std::to_string(kMaxFeatures));
  }
  for (size_t tree = 0; tree < reaches_.size(); ++tree) {
    if (static_cast<int64_t>(reaches_[tree].feature) >= count) {
      fail_invalid("tree " + std::to_string(tree) + " node " + std::to_string(reaches_[tree].node) +
                   ": split feature " + std::to_string(reaches_[tree].feature) +
                   " is out of range, the model has " + std::to_string(count) + " features");
    }
  }

  std::vector<std::string>& names = forest_.feature_names;
  forest_.has_feature_names = !names.empty();
  if (names.empty()) {
    for (int64_t i = 0; i < count; ++i) names.push_back('f' + std::to_string(i));
    return;
  }
  if (names.size() != static_cast<size_t>(count)) {
    fail_invalid("the model has " + std::to_string(names.size()) + " feature names for " +
                 std::to_string(count) + " features");
  }
  std::unordered_map<std::string_view, size_t> places;
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i].empty() || !is_clean_utf8(names[i])) {
      fail_invalid("feature name " + std::to_string(i) +
                   " is empty, not UTF-8 or holds a control character");
    }
    const auto [other, is_new] = places.emplace(names[i], i);
    if (!is_new) {
      fail_invalid("feature names " + std::to_string(other->second) + " and " + std::to_string(i) +
                   " are the same");
    }
  }
}

Forest ModelHandler::finish() {
  check_outputs();
  require(Part::kModel);
  require(Part::kTrees);
  if (seen(Part::kModelParam) && seen(Part::kNumTrees) &&
      integer_of(Part::kNumTrees) != static_cast<int64_t>(trees_seen_)) {
    fail_invalid("\"num_trees\" is not the number of trees in the file, " +
                 std::to_string(trees_seen_));
  }
  if (seen(Part::kTreeInfo) && tree_info_count_ != trees_seen_) {
    fail_invalid("\"tree_info\" has " + std::to_string(tree_info_count_) + " values for " +
                 std::to_string(trees_seen_) + " trees");
  }
  read_base_score();
  finish_features();
  forest_.objective = text_of(Part::kObjectiveName);
  for (const int64_t number : version_) {
    forest_.xgboost_version +=
        (forest_.xgboost_version.empty() ? "" : ".") + std::to_string(number);
  }
  forest_.nodes.shrink_to_fit();
  forest_.roots.shrink_to_fit();
  // All trees count. The attribute best_iteration, which early stopping leaves,
  // is a note to its Python callers: XGBoost's C API, asked for the iterations
  // from 0 to 0, uses every tree as well. Who wants fewer saves a slice.
  return std::move(forest_);
}

enum class Format { kJson, kUbjson, kNeither };

// Tells the formats apart: in UBJSON the byte after the first brace begins a
// key's length or the object's, in JSON it is a quote or white space.
Format detect_format(std::string_view bytes) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (bytes.size() >= 2 && bytes[0] == '{' &&
      std::string_view("iUIlL#$N").find(bytes[1]) != std::string_view::npos) {
    return Format::kUbjson;
  }
  if (bytes.substr(0, kByteOrderMark.size()) == kByteOrderMark) {
    bytes.remove_prefix(kByteOrderMark.size());
  }
  const size_t first = bytes.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && bytes[first] == '{' ? Format::kJson : Format::kNeither;
}

}  // namespace

Forest read_model(std::string_view bytes) {
  if (bytes.size() > kMaxModelBytes) {
    fail_limit("the model has " + std::to_string(bytes.size()) + " bytes, more than " +
               std::to_string(kMaxModelBytes));
  }
  const Format format = detect_format(bytes);
  if (format == Format::kNeither) {
    fail(ErrorCode::kInvalidJson, "the model is neither JSON nor UBJSON",
         "Save it with XGBoost's save_model to a file named .json or .ubj; pickles and XGBoost's "
         "old binary format are not read.");
  }
  const bool is_json = format == Format::kJson;
  ModelHandler handler(bytes.size(), is_json ? "JSON" : "UBJSON");
  bool complete = false;
  try {
    complete = Json::sax_parse(bytes.begin(), bytes.end(), &handler,
                               is_json ? Json::input_format_t::json : Json::input_format_t::ubjson);
  } catch (const Json::exception&) {
    // Left incomplete: the parser's text may quote the input.
  }
  if (!complete) fail(ErrorCode::kInvalidJson, "the model is not readable");
  return handler.finish();
}

}  // namespace fraud
