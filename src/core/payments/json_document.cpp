// Takes the JSON library's events into a flat array; what has nothing out of the ordinary is read
// without it, in a third of the time: each payment is read at receipt and when it is scored.
#include "core/payments/json_document.h"

#include <algorithm>
#include <array>
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

namespace {

// True for a number that jsonb has a place for, which keeps decimals as they were written, and no
// more than so many: 1e-20000 has too many, and so has 0e-20000.
bool is_of_jsonb(std::string_view number) {
  constexpr ptrdiff_t kMostDecimals = 16383, kMostExponent = 16383;
  const size_t exponent_at = std::min(number.find_first_of("eE"), number.size());
  // The parser writes the decimal point of the process's locale.
  const size_t point = number.find_first_of(".,");
  const auto decimals = point < exponent_at ? static_cast<ptrdiff_t>(exponent_at - point - 1) : 0;
  ptrdiff_t exponent = 0;
  if (exponent_at < number.size()) {
    std::string_view digits = number.substr(exponent_at + 1);
    if (digits[0] == '+') digits.remove_prefix(1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), exponent);
    if (error != std::errc()) return false;
  }
  return exponent <= kMostExponent && exponent >= -kMostDecimals && decimals - exponent <= kMostDecimals;
}

}  // namespace

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
    const bool is_readable = is_integer || is_of_jsonb(token);
    scalar(is_integer ? Kind::kInteger : is_readable ? Kind::kFloat : Kind::kUnreadable, token);
    document_->is_clean_ = document_->is_clean_ && is_readable;
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
    document_->add(kind, text);
    return true;
  }

  bool open(Kind kind) {
    if (document_->open_.size() >= kMaxJsonDepth) {
      is_too_deep_ = true;
      return false;
    }
    document_->open(kind);
    return true;
  }

  bool close() {
    document_->close();
    return true;
  }

  Document* document_;
  const std::vector<Unreadable>& unreadable_;
  size_t next_ = 0;     // of the unreadable ones
  size_t ordinal_ = 0;  // of the next scalar
  bool is_too_deep_ = false;
};

void Document::add(Kind kind, std::string_view text) {
  if (!open_.empty()) ++nodes_[open_.back()].size;
  nodes_.push_back({texts_.size(), static_cast<uint32_t>(text.size()), kind});
  texts_.append(text);
}

void Document::clear() {
  nodes_.clear();
  open_.clear();
  texts_.clear();
  depth_ = 0;
  is_clean_ = true;
}

void Document::open(Kind kind) {
  add(kind, "");
  open_.push_back(nodes_.size() - 1);
  depth_ = std::max(depth_, open_.size());
}

void Document::close() {
  nodes_[open_.back()].at = nodes_.size();
  open_.pop_back();
}

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Bytes that stand in a string as they are.
constexpr std::array<bool, 256> plain_bytes() {
  std::array<bool, 256> plain{};
  for (size_t c = ' '; c < plain.size(); ++c) plain[c] = c != '"' && c != '\\';
  return plain;
}
constexpr std::array<bool, 256> kPlain = plain_bytes();

// The text of a string that begins at `at`, with nothing in it that is escaped; `*end` is the place
// behind it. Null data: it is none such.
std::string_view plain_string(const char* at, const char* limit, const char** end) {
  if (at == limit || *at != '"') return {};
  const char* const begin = ++at;
  unsigned char bits = 0;
  for (; at != limit && kPlain[static_cast<unsigned char>(*at)]; ++at) bits |= static_cast<unsigned char>(*at);
  if (at == limit || *at != '"') return {};
  const std::string_view text(begin, static_cast<size_t>(at - begin));
  if ((bits & 0x80) != 0 && find_bad_byte(text) != std::string_view::npos) return {};
  *end = at + 1;
  return text;
}

// The same of a number without an exponent, so short that it is within a double.
std::string_view plain_number(const char* at, const char* limit, Kind* kind) {
  constexpr std::ptrdiff_t kMostDigits = 300;
  const char* const begin = at;
  if (at != limit && *at == '-') ++at;
  const char* const digits = at;
  while (at != limit && is_digit(*at)) ++at;
  if (at == digits || (*digits == '0' && at - digits > 1)) return {};
  *kind = Kind::kInteger;
  if (at != limit && *at == '.') {
    *kind = Kind::kFloat;
    const char* const decimals = ++at;
    while (at != limit && is_digit(*at)) ++at;
    if (at == decimals) return {};
  } else if (*begin == '-' && *digits == '0') {
    return {};  // whose sign is lost
  }
  if (at - begin > kMostDigits || (at != limit && (*at == 'e' || *at == 'E'))) return {};
  return {begin, static_cast<size_t>(at - begin)};
}

}  // namespace

// Reads a text that is whole, and in which nothing is escaped, has an exponent, or could not be
// read; false where anything else is met, which is the library's to judge.
bool Document::read_plain(std::string_view text) {
  clear();
  const char* at = text.data();
  const char* const end = at + text.size();
  const auto skip = [&] {
    while (at != end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) ++at;
    return at != end;
  };
  const auto take_string = [&] {
    const std::string_view value = plain_string(at, end, &at);
    if (value.data() == nullptr) return false;
    add(Kind::kString, value);
    return true;
  };
  const auto take_key = [&] {
    if (!skip() || !take_string() || !skip() || *at != ':') return false;
    ++at;
    return true;
  };
  for (;;) {
    if (!skip()) return false;
    switch (*at) {
      case '{':
      case '[': {
        if (open_.size() >= kMaxJsonDepth) return false;
        const bool is_object = *at++ == '{';
        open(is_object ? Kind::kObject : Kind::kArray);
        if (!skip()) return false;
        if (*at == (is_object ? '}' : ']')) break;
        if (is_object && !take_key()) return false;
        continue;
      }
      case '"':
        if (!take_string()) return false;
        break;
      case 't':
      case 'f':
      case 'n': {
        constexpr std::array<std::pair<std::string_view, Kind>, 3> kWords = {{{"true", Kind::kTrue}, {"false", Kind::kFalse}, {"null", Kind::kNull}}};
        const auto& [word, kind] = kWords[*at == 't' ? 0 : *at == 'f' ? 1 : 2];
        if (std::string_view(at, std::min(word.size(), static_cast<size_t>(end - at))) != word) return false;
        add(kind, word);
        at += word.size();
        break;
      }
      default: {
        Kind kind = Kind::kInteger;
        const std::string_view number = plain_number(at, end, &kind);
        if (number.empty()) return false;
        add(kind, number);
        at += number.size();
      }
    }
    for (;;) {
      const bool is_more = skip();
      if (open_.empty()) return !is_more;
      if (!is_more) return false;
      const bool is_object = nodes_[open_.back()].kind == Kind::kObject;
      if (*at == ',') {
        ++at;
        if (is_object && !take_key()) return false;
        break;
      }
      if (*at != (is_object ? '}' : ']')) return false;
      ++at;
      close();
    }
  }
}

Document::Reading Document::read(std::string_view text) {
  if (read_plain(text)) return Reading::kWhole;
  std::vector<Unreadable> unreadable;
  std::string clean;
  for (;;) {
    clear();
    is_clean_ = unreadable.empty();
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

size_t Document::add_scalar(Kind kind, std::string_view text) {
  add(kind, text);
  return nodes_.size() - 1;
}

size_t Document::open_container(Kind kind) {
  open(kind);
  return nodes_.size() - 1;
}

size_t Document::add_copy(size_t node) {
  const size_t end = next(node), copy = nodes_.size();
  if (!open_.empty()) ++nodes_[open_.back()].size;
  for (size_t at = node; at < end; ++at) {
    Node one = nodes_[at];
    if (one.kind >= Kind::kArray) one.at += copy - node;
    nodes_.push_back(one);
  }
  return copy;
}

}  // namespace fraud
