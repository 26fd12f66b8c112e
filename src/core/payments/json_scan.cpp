// Finds values in JSON text, and the ones among them that cannot be read.
#include "core/payments/json_scan.h"
#include "core/base/json_text.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace fraud {
namespace {

// So much is looked through in a millisecond or two.
constexpr size_t kStretch = size_t{1} << 20;
constexpr size_t kChunk = size_t{1} << 16;
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

bool is_blank(char c) { return kJsonBlank.find(c) != std::string_view::npos; }

bool ends_bare(char c) { return is_blank(c) || std::string_view("{}[],:\"").find(c) != std::string_view::npos; }

// Returns the place behind the string that begins at `at`, or npos.
size_t string_end(std::string_view text, size_t at) {
  for (++at; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '"') return at + 1;
    if (c == '\\') ++at;
  }
  return std::string_view::npos;
}

// The characters that a value's extent depends on.
constexpr std::array<bool, 256> make_marks() {
  std::array<bool, 256> marks{};
  for (const char c : {'"', '{', '}', '[', ']'}) marks[static_cast<unsigned char>(c)] = true;
  return marks;
}
constexpr std::array<bool, 256> kMarks = make_marks();

// Returns the bytes of the character or escape sequence at `at`, both of a surrogate pair.
size_t unit_size(std::string_view text, size_t at) {
  const size_t left = text.size() - at;
  if (text[at] == '\\') {
    if (left < 2 || text[at + 1] != 'u') return std::min<size_t>(left, 2);
    const auto is_surrogate = [&](size_t i, char low, char high) {
      return text.size() - i >= 6 && text[i] == '\\' && text[i + 1] == 'u' && (text[i + 2] | 0x20) == 'd' &&
             (text[i + 3] | 0x20) >= low && (text[i + 3] | 0x20) <= high;
    };
    const bool is_high = is_surrogate(at, '8', '9') || is_surrogate(at, 'a', 'b');
    if (is_high && left >= 12 && is_surrogate(at + 6, 'c', 'f')) return 12;
    // A sequence that is none ends where the next string or sequence may begin.
    size_t size = 2;
    while (size < std::min<size_t>(left, 6) && text[at + size] != '\\' && text[at + size] != '"') ++size;
    return size;
  }
  size_t size = 1;
  if ((static_cast<unsigned char>(text[at]) & 0xC0) == 0xC0) {
    while (size < std::min<size_t>(left, 4) && (static_cast<unsigned char>(text[at + size]) & 0xC0) == 0x80) ++size;
  }
  return size;
}

// Appends what the content of a string says; false, and nothing, when the library cannot read it.
bool append_content(std::string_view content, std::string* out) {
  // To the library a NUL is the end.
  if (content.find('\0') != std::string_view::npos) return false;
  std::string quoted;
  quoted.reserve(content.size() + 2);
  quoted.append("\"").append(content).append("\"");
  const std::optional<std::string> text = json_content(quoted);
  if (!text) return false;
  out->append(*text);
  return true;
}

// Appends what can be read of the content, and `replacement` for each part that cannot.
void append_readable(std::string_view content, std::string_view replacement, std::string* out) {
  if (append_content(content, out)) return;
  for (size_t at = 0; at < content.size();) {
    const size_t size = unit_size(content, at);
    // Bare line ends are no JSON in a string; in a text that is wrapped they part its values.
    if (is_blank(content[at])) {
      *out += content[at];
    } else if (!append_content(content.substr(at, size), out)) {
      out->append(replacement);
    }
    at += size;
  }
}

// Asks the library, but for what nearly all tokens are: plain text, and digits.
bool is_readable(std::string_view token) {
  const bool is_plain_text = token[0] == '"' && std::all_of(token.begin(), token.end(), [](char c) {
                               return c >= ' ' && c != '\\' && static_cast<unsigned char>(c) < 0x80;
                             });
  const bool is_digits = token[0] != '0' && token.size() < 20 &&
                         token.find_first_not_of("0123456789") == std::string_view::npos;
  if (is_plain_text || is_digits) return true;
  return token.find('\0') == std::string_view::npos && is_json(token);
}

}  // namespace

size_t skip_blank(std::string_view text, size_t at) noexcept {
  while (at < text.size() && is_blank(text[at])) ++at;
  return at;
}

Extent value_extent(std::string_view text, size_t at, const GiveWay& give_way) {
  if (at >= text.size()) return {text.size(), false};
  if (text[at] == '"') {
    const size_t end = string_end(text, at);
    return {std::min(end, text.size()), end != std::string_view::npos};
  }
  if (text[at] != '{' && text[at] != '[') {
    size_t end = at;
    while (end < text.size() && !ends_bare(text[end])) ++end;
    return {end, end > at};
  }
  // The kinds of the outermost open brackets, a bit a level; what is deeper is too deep for a payment anyway, and only counted.
  constexpr size_t kLevels = 64;
  uint64_t arrays = 0;
  size_t depth = 0;
  size_t next_pause = at + kStretch;
  for (;;) {
    while (at < text.size() && !kMarks[static_cast<unsigned char>(text[at])]) ++at;
    if (at >= text.size()) return {text.size(), false};
    const char c = text[at];
    if (c == '"') {
      const size_t end = string_end(text, at);
      if (end == std::string_view::npos) return {text.size(), false};
      at = end;
    } else if (c == '{' || c == '[') {
      if (depth < kLevels) arrays = (arrays & ~(uint64_t{1} << depth)) | uint64_t{c == '['} << depth;
      ++depth;
      ++at;
    } else {
      if (depth <= kLevels && (arrays >> (depth - 1) & 1) != uint64_t{c == ']'}) return {at, false};
      ++at;
      if (--depth == 0) return {at, true};
    }
    if (at >= next_pause) {
      if (give_way) give_way();
      next_pause = at + kStretch;
    }
  }
}

std::vector<Unreadable> take_unreadable(std::string* text) {
  std::vector<Unreadable> found;
  size_t ordinal = 0;
  for (size_t at = 0; at < text->size();) {
    const bool is_text = (*text)[at] == '"';
    if (!is_text && ends_bare((*text)[at])) {
      ++at;
      continue;
    }
    size_t end = at;
    if (is_text) {
      end = string_end(*text, at);
      if (end == std::string_view::npos) return found;
    } else {
      while (end < text->size() && !ends_bare((*text)[end])) ++end;
    }
    const std::string_view token = std::string_view(*text).substr(at, end - at);
    if (!is_readable(token)) {
      const size_t next = skip_blank(*text, end);
      const bool is_name = next < text->size() && (*text)[next] == ':';
      // A name in no quotes is a break.
      if (is_text || !is_name) {
        std::string content;
        if (is_text) {
          append_readable(token.substr(1, token.size() - 2), kReplacement, &content);
        } else {
          content = replace_bad_bytes(token);
        }
        if (!is_name) found.push_back({ordinal, std::move(content), is_text});
        text->replace(at, end - at, std::string(end - at, ' '));
        text->replace(at, is_name ? 2 : 1, is_name ? "\"\"" : "0");
      }
    }
    ++ordinal;
    at = end;
  }
  return found;
}

std::string unwrap_string(std::string_view text, size_t at, size_t* end, const GiveWay& give_way) {
  std::string content;
  content.reserve(text.size() - at);
  ++at;
  size_t next_pause = at + kStretch;
  for (;;) {
    size_t stop = at;
    size_t last = at;  // of the characters and escape sequences
    while (stop < text.size() && text[stop] != '"' && stop - at < kChunk) {
      last = stop;
      const bool is_plain = text[stop] != '\\' && static_cast<unsigned char>(text[stop]) < 0x80;
      stop += is_plain ? 1 : unit_size(text, stop);
    }
    const bool is_cut = stop >= text.size();
    std::string_view chunk = text.substr(at, stop - at);
    // Of a string without an end the last may be half of one.
    std::string whole;
    if (is_cut && !append_content(text.substr(last, stop - last), &whole)) chunk = text.substr(at, last - at);
    append_readable(chunk, "\xFF", &content);
    at = stop;
    if (is_cut || text[at] == '"') break;
    if (at >= next_pause) {
      if (give_way) give_way();
      next_pause = at + kStretch;
    }
  }
  *end = std::min(at + 1, text.size());
  return content;
}

size_t find_bad_byte(std::string_view text) noexcept {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  size_t at = 0;
  while (at < text.size()) {
    const unsigned char lead = byte(at);
    if (lead == 0) return at;
    if (lead < 0x80) {
      ++at;
      continue;
    }
    size_t length = 0;
    // The second byte's range excludes overlong forms, surrogates, and what is
    // above U+10FFFF.
    unsigned char low = 0x80;
    unsigned char high = 0xBF;
    if (lead >= 0xC2 && lead <= 0xDF) {
      length = 2;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
      length = 3;
      if (lead == 0xE0) low = 0xA0;
      if (lead == 0xED) high = 0x9F;
    } else if (lead >= 0xF0 && lead <= 0xF4) {
      length = 4;
      if (lead == 0xF0) low = 0x90;
      if (lead == 0xF4) high = 0x8F;
    } else {
      return at;
    }
    if (text.size() - at < length || byte(at + 1) < low || byte(at + 1) > high) return at;
    for (size_t i = 2; i < length; ++i) {
      if (byte(at + i) < 0x80 || byte(at + i) > 0xBF) return at;
    }
    at += length;
  }
  return std::string_view::npos;
}

std::string replace_bad_bytes(std::string_view text) {
  std::string clean;
  clean.reserve(text.size());
  while (true) {
    const size_t bad = find_bad_byte(text);
    clean.append(text.substr(0, bad));
    if (bad == std::string_view::npos) return clean;
    clean += '?';
    text.remove_prefix(bad + 1);
  }
}

}  // namespace fraud
