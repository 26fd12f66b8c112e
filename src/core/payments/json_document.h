// One JSON value, a payment mostly, as the JSON library reads it.
#pragma once

#include "core/base/guard.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fraud {

enum class Kind : uint8_t {
  kNull,
  kFalse,
  kTrue,
  kInteger,
  kFloat,
  kString,
  kUnreadable,      // what should be a number or a word and is none: NaN, 1e400
  kUnreadableText,  // a string with what is no text: half a surrogate pair, bytes that are no UTF-8
  kArray,
  kObject,
};

// Returns the kind of value with its article, for messages.
std::string_view kind_name(Kind kind);

// A value as one flat array in document order: neither building nor freeing it recurses, and
// its memory serves for the next one. Numbers keep their digits as text.
class Document {
 public:
  enum class Reading { kWhole, kBroken, kTooDeep };

  // Reads `text`. A value that cannot be read is a node of its own kind. What is broken
  // otherwise leaves the nodes that stand before the break.
  Reading read(std::string_view text);

  // The byte, from 1, at which the text is broken.
  size_t position() const { return position_; }

  // False where some value of the text could not be read.
  bool is_clean() const { return is_clean_; }
  // How deep the values of the text are nested.
  size_t depth() const { return depth_; }

  // Adds what is in no text that was read, behind all nodes: a scalar, a copy of a node with all that it
  // holds, or a container, which holds what is added until it is closed.
  size_t add_scalar(Kind kind, std::string_view text);
  size_t add_copy(size_t node);
  size_t open_container(Kind kind);
  void close_container() { close(); }

  // Nodes are named by index; the root is 0.
  bool empty() const { return nodes_.empty(); }
  Kind kind(size_t node) const { return nodes_[node].kind; }
  bool is_container(size_t node) const { return nodes_[node].kind >= Kind::kArray; }
  std::string_view text(size_t node) const {
    return std::string_view(texts_).substr(nodes_[node].at, nodes_[node].size);
  }
  // Returns how many nodes a container holds directly; in an object, keys count.
  size_t size(size_t node) const { return nodes_[node].size; }
  static size_t first(size_t node) { return node + 1; }
  // Returns the node that follows `node` and all that it holds.
  size_t next(size_t node) const { return is_container(node) ? nodes_[node].at : node + 1; }

 private:
  struct Node {
    size_t at;      // of a text: its offset; of a container: the node after it
    uint32_t size;  // of a text: its bytes; of a container: its direct nodes
    Kind kind;
  };
  class Handler;

  void clear();
  void add(Kind kind, std::string_view text);
  void open(Kind kind);
  void close();
  bool read_plain(std::string_view text);

  std::vector<Node> nodes_;
  std::vector<size_t> open_;  // containers, while reading
  std::string texts_;
  size_t position_ = 0;
  size_t depth_ = 0;
  bool is_clean_ = true;
};

}  // namespace fraud
