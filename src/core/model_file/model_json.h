// The bytes of a JSON model as a parser takes them. XGBoost writes some numbers in
// ways that JSON does not have: NaN (the threshold of a categorical split, in files
// of 1.x and 2.x), Infinity and -Infinity. Outside of strings, each comes out as null.
#pragma once

#include "core/base/guard.h"

#include <cstddef>
#include <iterator>
#include <string_view>

namespace fraud {

class ModelJson {
 public:
  // An input iterator. All copies tell one counter by how many bytes more have come
  // out than went in, so that a position can be traced back to the file.
  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = char;
    using difference_type = std::ptrdiff_t;
    using pointer = const char*;
    using reference = const char&;

    Iterator(std::string_view rest, std::ptrdiff_t* shift) : rest_(rest), shift_(shift) { look(); }

    reference operator*() const { return word_.empty() ? rest_.front() : word_.front(); }

    Iterator& operator++() {
      if (!word_.empty()) {
        word_.remove_prefix(1);
      } else {
        step(rest_.front());
        rest_.remove_prefix(1);
      }
      if (word_.empty()) look();
      return *this;
    }

    bool operator!=(const Iterator& other) const {
      return word_.size() != other.word_.size() || rest_.size() != other.rest_.size();
    }
    bool operator==(const Iterator& other) const { return !(*this != other); }

   private:
    // Follows strings, whose bytes stay as they are.
    void step(char c) {
      if (is_escaped_) {
        is_escaped_ = false;
      } else if (in_string_) {
        is_escaped_ = c == '\\';
        in_string_ = c != '"';
      } else {
        in_string_ = c == '"';
      }
    }

    void look() {
      if (in_string_ || rest_.empty()) return;
      const char first = rest_.front();
      if (first != 'N' && first != 'I' && first != '-') return;
      for (const std::string_view number : {"NaN", "Infinity", "-Infinity"}) {
        if (rest_.substr(0, number.size()) != number) continue;
        rest_.remove_prefix(number.size());
        word_ = "null";
        *shift_ += static_cast<std::ptrdiff_t>(word_.size()) -
                   static_cast<std::ptrdiff_t>(number.size());
        return;
      }
    }

    std::string_view rest_;
    std::string_view word_;  // what comes out before the rest
    std::ptrdiff_t* shift_;
    bool in_string_ = false;
    bool is_escaped_ = false;
  };

  explicit ModelJson(std::string_view bytes) : bytes_(bytes) {}

  Iterator begin() { return {bytes_, &shift_}; }
  Iterator end() { return {bytes_.substr(bytes_.size()), &shift_}; }

  // Returns the position in the file of a byte that came out.
  size_t position(size_t out) const {
    return static_cast<size_t>(static_cast<std::ptrdiff_t>(out) - shift_);
  }

 private:
  std::string_view bytes_;
  std::ptrdiff_t shift_ = 0;
};

}  // namespace fraud
