// Takes the events of a JSON or UBJSON parser, keeps what scoring needs and passes
// over the rest, so that memory stays in proportion to the file and no document is
// ever built.
#pragma once

#include "core/base/guard.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/forest/forest.h"
#include "core/model_file/model_parts.h"
#include "core/model_file/model_tree.h"

namespace fraud {

// Builds the forest from the events; finish() does the checks that need the whole
// file. Every fault is thrown as an Error from within an event.
class ModelHandler final : public nlohmann::json_sax<nlohmann::json> {
 public:
  // A file makes fewer events than it has bytes. The format is named in errors.
  ModelHandler(size_t input_bytes, const char* format)
      : input_bytes_(input_bytes), format_(format) {}

  bool null() override;
  bool boolean(bool value) override;
  bool number_integer(int64_t value) override;
  bool number_unsigned(uint64_t value) override;
  bool number_float(double value, const std::string& text) override;
  bool string(std::string& value) override;
  bool binary(nlohmann::json::binary_t& value) override;
  bool key(std::string& value) override;
  bool start_object(size_t elements) override;
  bool end_object() override;
  bool start_array(size_t elements) override;
  bool end_array() override;
  bool parse_error(size_t position, const std::string& token,
                   const nlohmann::detail::exception& error) override;

  // Returns where the parser could not go on, when it could not.
  std::optional<size_t> error_position() const { return error_position_; }

  // Checks what only the whole file shows, and hands the forest over.
  Forest finish();

 private:
  static constexpr size_t kMaxNesting = 32;

  struct Level {
    Part part = Part::kOther;
    bool is_array = false;
  };

  void count_event();
  void push(Part part, bool is_array);
  Part parent() const { return depth_ == 0 ? Part::kOther : levels_[depth_ - 1].part; }
  bool in_array() const { return depth_ > 0 && levels_[depth_ - 1].is_array; }
  std::string& text_of(Part part) { return texts_[index_of(part)]; }
  bool& seen(Part part) { return seen_[index_of(part)]; }
  void forget(Part first, Part last);
  std::string place(Part part) const;
  const Member* take_member(Kind kind);
  void wrong_value();
  void take_integer(int64_t value);
  void take_float(float value);
  int64_t integer_of(Part part);
  void require(Part part);

  template <typename T>
  void append(std::vector<T>& values, T value);

  void start_tree();
  void finish_tree();
  void take_category(bool is_in_place);
  void finish_encoding();
  void check_kind();
  void check_trees();
  void apply_weights();
  void set_iterations();
  void set_missing();

  const size_t input_bytes_;
  const char* const format_;
  size_t events_ = 0;
  std::optional<size_t> error_position_;
  std::array<Level, kMaxNesting> levels_;
  size_t depth_ = 0;
  const Member* member_ = nullptr;  // of the key just read, when it is known
  std::array<bool, kPartCount> seen_{};
  std::array<std::string, kPartCount> texts_;

  Forest forest_;
  TreeLayout layout_{forest_};
  RawTree raw_;
  size_t trees_seen_ = 0;
  size_t tree_info_count_ = 0;
  bool has_other_outputs_ = false;   // some tree belongs to an output other than the first
  Part model_parent_ = Part::kOther;  // where the trees are, which depends on the booster
  std::vector<int64_t> version_;     // of the library that saved the file
  std::vector<float> weights_;       // of the trees, for booster dart
  std::vector<int64_t> indptr_;      // the first tree of each iteration, and the end

  // The categories of a table's columns, for each feature.
  size_t encodings_seen_ = 0;
  int64_t category_count_ = 0;          // of the feature at hand
  bool categories_are_codes_ = true;    // the same: they are 0, 1, 2, …
};

}  // namespace fraud
