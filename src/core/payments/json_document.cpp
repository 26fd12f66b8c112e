// Takes the JSON library's events into a flat array.
#include "core/payments/json_document.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "core/payments/json_scan.h"
#include "core/payments/payment.h"

namespace fraud {

std::string_view kind_name(Kind kind) {
  switch (kind) {
    case Kind::kNull:
      return "null";
    case Kind::kFalse:
      return "false";
    case Kind::kTrue:
      return "true";
    case Kind::kInteger:
      return "an integer";
    case Kind::kFloat:
      return "a floating-point number";
    case Kind::kString:
      return "a string";
    case Kind::kUnreadable:
    case Kind::kUnreadableText:
      return "what cannot be read";
    case Kind::kArray:
      return "an array";
    case Kind::kObject:
      return "an object";
  }
  return "a value";
}

class Document::Handler {
 public:
  Handler(Document* document, const std::vector<Unreadable>& unreadable)
      : document_(document), unreadable_(unreadable) {}

  bool null() { return scalar(Kind::kNull, "null"); }
  bool boolean(bool value) { return value ? scalar(Kind::kTrue, "true") : scalar(Kind::kFalse, "false"); }
  bool number_integer(int64_t value) { return integer(value); }
  bool number_unsigned(uint64_t value) { return integer(value); }
  bool number_float(double, const std::string& token) {
    // An integer of more than 64 bits comes here too, with all its digits.
    const bool is_integer = token.find_first_not_of("-0123456789") == std::string::npos;
    scalar(is_integer ? Kind::kInteger : Kind::kFloat, token);
    // The parser writes the decimal point of the process's locale.
    std::replace(document_->texts_.end() - static_cast<std::ptrdiff_t>(token.size()), document_->texts_.end(), ',', '.');
    return true;
  }
  bool string(std::string& value) { return scalar(Kind::kString, value); }
  bool key(std::string& value) { return scalar(Kind::kString, value); }
  bool binary(nlohmann::json::binary_t&) { return false; }
  bool start_object(size_t) { return open(Kind::kObject); }
  bool start_array(size_t) { return open(Kind::kArray); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  // The exception's own text quotes the input, which holds card numbers.
  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception&) {
    document_->position_ = position;
    return false;
  }

  bool is_too_deep() const { return is_too_deep_; }

 private:
  template <typename Integer>
  bool integer(Integer value) {
    char digits[24];
    const auto end = std::to_chars(digits, digits + sizeof(digits), value).ptr;
    return scalar(Kind::kInteger, {digits, static_cast<size_t>(end - digits)});
  }

  bool scalar(Kind kind, std::string_view text) {
    if (next_ < unreadable_.size() && unreadable_[next_].ordinal == ordinal_) {
      kind = unreadable_[next_].is_text ? Kind::kUnreadableText : Kind::kUnreadable;
      text = unreadable_[next_++].found;
    }
    ++ordinal_;
    return add(kind, text);
  }

  bool add(Kind kind, std::string_view text) {
    if (!document_->open_.empty()) ++document_->nodes_[document_->open_.back()].size;
    document_->nodes_.push_back({document_->texts_.size(), static_cast<uint32_t>(text.size()), kind});
    document_->texts_.append(text);
    return true;
  }

  bool open(Kind kind) {
    if (document_->open_.size() >= kMaxJsonDepth) {
      is_too_deep_ = true;
      return false;
    }
    add(kind, "");
    document_->open_.push_back(document_->nodes_.size() - 1);
    return true;
  }

  bool close() {
    document_->nodes_[document_->open_.back()].at = document_->nodes_.size();
    document_->open_.pop_back();
    return true;
  }

  Document* document_;
  const std::vector<Unreadable>& unreadable_;
  size_t next_ = 0;     // of the unreadable ones
  size_t ordinal_ = 0;  // of the next scalar
  bool is_too_deep_ = false;
};

Document::Reading Document::read(std::string_view text) {
  std::vector<Unreadable> unreadable;
  std::string clean;
  for (;;) {
    nodes_.clear();
    open_.clear();
    texts_.clear();
    Handler handler(this, unreadable);
    // The parser takes a NUL for the end.
    const size_t nul = text.find('\0');
    const bool is_read = nlohmann::json::sax_parse(text.data(), text.data() + std::min(nul, text.size()), &handler,
                                                   nlohmann::json::input_format_t::json);
    if (is_read && nul == std::string_view::npos) return Reading::kWhole;
    if (is_read) position_ = nul + 1;
    if (!handler.is_too_deep() && clean.empty()) {
      clean = text;
      unreadable = take_unreadable(&clean);
      if (clean != text) {
        text = clean;
        continue;
      }
    }
    // What is cut off may be half a number.
    if (position_ >= text.size() && !nodes_.empty() && !is_container(nodes_.size() - 1)) {
      if (!open_.empty()) --nodes_[open_.back()].size;
      nodes_.pop_back();
    }
    // A key whose value is gone is gone, too: who walks an object meets both.
    if (!open_.empty() && nodes_[open_.back()].kind == Kind::kObject && nodes_[open_.back()].size % 2 == 1) {
      --nodes_[open_.back()].size;
      nodes_.pop_back();
    }
    while (!open_.empty()) {
      nodes_[open_.back()].at = nodes_.size();
      open_.pop_back();
    }
    return handler.is_too_deep() ? Reading::kTooDeep : Reading::kBroken;
  }
}

}  // namespace fraud
