// Knows the fields that must not be kept by their names, and cuts them out of text.
#include "core/payments/forbidden_fields.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <vector>

#include "core/payments/digits.h"
#include "core/payments/mask.h"

namespace fraud {
namespace {

constexpr size_t kMaxName = 80;  // bytes of a field's name
constexpr std::string_view kCut = "[cut]";

// Words that say it, whatever stands around them.
constexpr std::array<std::string_view, 61> kStrong = {
    "cvv", "cvv1", "cvv2", "cvv3", "icvv", "dcvv", "cvvs", "cvc", "cvc1", "cvc2", "cvc3", "icvc",
    "dcvc", "cvn2", "cav2", "cvd2", "cvvcvc", "cvvnumber", "ccv", "ccv2", "cardcvx", "cardverificationvalue",
    "cardverificationcode", "cardverificationnumber", "cardverificationdata", "cardvalidationvalue",
    "cardvalidationcode", "cardauthenticationvalue", "cardidentificationnumber",
    "cardidentificationcode", "cardsecuritycode", "cardsecurityvalue", "cardsecuritynumber",
    "securitycode", "verificationvalue", "cardcode", "pinblock", "pindata", "pinoffset",
    "pinverificationvalue", "pinverificationkey", "personalidentificationnumber", "track1", "track2",
    "track3", "trackone", "tracktwo", "trackthree", "trackdata", "trackequivalentdata", "fulltrack",
    "fulltrackdata", "magstripe", "magstrip", "magneticstripe", "magneticstrip", "stripedata",
    "swipedata", "cardtrack", "cardtracks", "carddump"};

// Words that say it only alone, or beside the fillers.
constexpr std::array<std::string_view, 17> kWeak = {
    "pin", "pins", "cid", "csc", "cvn", "cvd", "cav", "pvv", "cv2", "cvx", "cvx2", "4dbc", "pinblk", "de35", "de36", "de45", "de52"};
constexpr std::array<std::string_view, 47> kFillers = {
    "card",   "cc",      "credit",   "debit",    "atm",       "user",   "customer", "cardholder",
    "holder", "client",  "account",  "payment",  "pay",       "pos",    "bank",     "number",
    "num",    "no",      "nr",       "value",    "val",       "hash",   "hashed",   "data",
    "raw",    "enc",     "encrypted", "clear",   "plain",     "entered", "input",   "new",
    "old",    "current", "my",       "the",      "field",     "txt",    "text",     "str",
    "online", "offline", "digits",   "secret",   "auth",      "emv",    "iso"};

// What is known of such a value without holding it.
constexpr std::array<std::string_view, 28> kAbout = {
    "result",   "results",  "response",  "resp",     "match",    "matched",  "matches",
    "check",    "checked",  "present",   "presence", "status",   "provided", "indicator",
    "verified", "valid",    "validated", "passed",   "failed",   "required", "attempts",
    "tries",    "mode",     "length",    "flag",     "capability", "is",      "has"};

constexpr std::array<std::string_view, 17> kCardNumbers = {
    "ccnum",         "ccno",          "ccnumber",         "cardnumber",       "cardnum",
    "cardno",        "cardnr",        "pan",              "fpan",             "dpan",
    "cardpan",       "pannumber",     "primaryaccountnumber", "creditcardnumber", "debitcardnumber",
    "creditcard",    "paymentcardnumber"};

template <size_t n>
bool is_in(const std::array<std::string_view, n>& list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

// Splits a name at what is no letter or digit, at humps (camelCase, PINBlock) and
// where digits begin or end; in lower case, full-width letters too.
std::vector<std::string> words_of(std::string_view name) {
  enum class Class { kNone, kLower, kUpper, kDigit };
  std::vector<std::string> words;
  Class before = Class::kNone;
  for (size_t at = 0; at < name.size();) {
    char c = name[at];
    size_t size = 1;
    if (static_cast<unsigned char>(c) >= 0x80) {
      const Character character = character_at(name, at);
      size = character.size;
      c = character.sign == Sign::kDigit ? static_cast<char>('0' + character.value) : ' ';
      // U+FF21 to U+FF5A are ASCII's letters at full width.
      if (size == 3 && name[at] == '\xEF') {
        const unsigned code = (static_cast<unsigned char>(name[at + 1]) & 0x3Fu) << 6 |
                              (static_cast<unsigned char>(name[at + 2]) & 0x3Fu);
        const char letter = static_cast<char>((code - 0xF00u) + 0x20u);
        if (code > 0xF00u && code < 0xF60u && is_ascii_letter(letter)) c = letter;
      }
    }
    const Class now = is_ascii_digit(c)                  ? Class::kDigit
                      : c >= 'a' && c <= 'z'             ? Class::kLower
                      : c >= 'A' && c <= 'Z'             ? Class::kUpper
                                                         : Class::kNone;
    if (now != Class::kNone) {
      const bool continues = now == before || (before == Class::kUpper && now == Class::kLower);
      // The last capital of several begins the next word.
      if (before == Class::kUpper && now == Class::kLower && words.back().size() > 1) {
        const char first = words.back().back();
        words.back().pop_back();
        words.emplace_back(1, first);
      } else if (!continues) {
        words.emplace_back();
      }
      words.back() += static_cast<char>(now == Class::kUpper ? c | 0x20 : c);
    }
    before = now;
    at += size;
  }
  return words;
}

std::string join(const std::vector<std::string>& words, size_t from, size_t to) {
  std::string joined;
  for (size_t i = from; i < to; ++i) joined += words[i];
  return joined;
}

// True for words written as one, such as "cardcvv" and "track2data".
bool is_run_together(std::string_view joined) {
  for (const std::string_view part : {"cvv", "cvc2", "cav2", "pinblock", "securitycode", "magstripe",
                                      "magneticstripe", "verificationvalue", "trackdata", "track1data",
                                      "track2data", "track2equivalent", "track1equivalent"}) {
    if (joined.find(part) != std::string_view::npos) return true;
  }
  // One filler and the word.
  for (const std::string_view word : {"pin", "cvc", "cid", "csc", "cvn"}) {
    if (joined.size() <= word.size()) continue;
    const std::string_view head = joined.substr(0, joined.size() - word.size());
    if (joined.substr(head.size()) == word && is_in(kFillers, head) && head != "no" && head != "my" && head != "the") return true;
    if (joined.substr(0, word.size()) == word && is_in(kFillers, joined.substr(word.size()))) return true;
  }
  return false;
}

}  // namespace

bool is_forbidden_field(std::string_view name) {
  if (name.size() > kMaxName || name.size() < 3) return false;
  const std::vector<std::string> words = words_of(name);
  if (words.empty()) return false;
  const std::string joined = join(words, 0, words.size());
  if (is_in(kStrong, joined) || is_in(kWeak, joined)) return true;
  for (const std::string& word : words) {
    if (is_in(kAbout, word)) return false;
  }
  constexpr size_t kMaxWords = 5;
  for (size_t from = 0; from < words.size(); ++from) {
    for (size_t to = from + 1; to <= std::min(words.size(), from + kMaxWords); ++to) {
      const std::string part = join(words, from, to);
      if (is_in(kStrong, part)) return true;
      if (!is_in(kWeak, part)) continue;
      bool is_alone = true;
      for (size_t i = 0; i < words.size() && is_alone; ++i) {
        const bool is_inside = i >= from && i < to;
        // A "pin code" is a postal code in India.
        is_alone = is_inside || is_in(kFillers, words[i]) ||
                   (words[i] == "code" && part != "pin") ||
                   words[i].find_first_not_of("0123456789") == std::string::npos;
      }
      if (is_alone) return true;
    }
  }
  return is_run_together(joined);
}

bool is_naming_field(std::string_view name) {
  if (name.size() > kMaxName) return false;
  const std::vector<std::string> words = words_of(name);
  if (words.empty()) return false;
  const std::string joined = join(words, 0, words.size());
  for (const std::string_view word : {"type", "kind", "fieldname"}) {
    if (joined == word) return true;
  }
  // attributeName, metadata_key, fieldId
  for (const std::string_view word : {"name", "key", "field", "label", "column", "param", "parameter", "attribute", "property", "id",
                                      "title", "tag", "variable", "element", "item", "question", "input", "k", "n"}) {
    if (words.back() == word) return true;
  }
  return false;
}

bool is_card_number_field(std::string_view name) {
  if (name.size() > kMaxName || name.size() < 3) return false;
  const std::vector<std::string> words = words_of(name);
  return is_in(kCardNumbers, join(words, 0, words.size()));
}

namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

// Returns `text` with the escapes of JSON for ASCII ("\u0063") undone, and without
// what UTF-16 has between ASCII's characters.
std::string undo_escapes(std::string_view text) {
  std::string plain;
  plain.reserve(text.size());
  const bool is_wide = std::count(text.begin(), text.end(), '\0') * 3 > static_cast<std::ptrdiff_t>(text.size());
  for (size_t at = 0; at < text.size(); ++at) {
    if (is_wide && text[at] == '\0') continue;
    if (text[at] == '\\' && text.size() - at >= 6 && text[at + 1] == 'u' && text[at + 2] == '0' &&
        text[at + 3] == '0') {
      int code = 0;
      bool is_code = true;
      for (size_t i = at + 4; i < at + 6; ++i) {
        const char c = text[i];
        const int digit = is_ascii_digit(c)                ? c - '0'
                          : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                           : -1;
        is_code = is_code && digit >= 0;
        code = code * 16 + digit;
      }
      if (is_code && code >= 0x20 && code < 0x7F && code != '"' && code != '\\') {
        // In a text within a text the backslash is escaped itself.
        while (!plain.empty() && plain.back() == '\\') plain.pop_back();
        plain += static_cast<char>(code);
        at += 5;
        continue;
      }
    }
    plain += text[at];
  }
  return plain;
}

// False when no forbidden name can stand in `text`: nearly always, and fast.
bool may_name_forbidden(std::string_view text) {
  std::string letters;
  letters.reserve(text.size());
  for (const char c : text) {
    if (static_cast<unsigned char>(c) == 0xEF) return true;  // full-width letters
    if (is_word(c)) letters += is_ascii_letter(c) ? static_cast<char>(c | 0x20) : c;
  }
  for (const std::string_view part :
       {"cvv", "cvc", "cvn", "cvd", "cav", "cid", "csc", "pin", "pvv", "track", "verification",
        "validation", "security", "ccv", "cv2", "cvx", "4dbc",  "authenticationvalue", "identification", "stripe", "strip", "swipe",
        "carddump", "cardcode", "de35", "de36", "de45", "de52"}) {
    if (letters.find(part) != std::string::npos) return true;
  }
  return false;
}

// Cuts forbidden fields, reading the text once.
class Cutter {
 public:
  // In prose what stands behind such a name is its value only where that is a number.
  explicit Cutter(std::string_view text, bool is_prose = false) : text_(text), is_prose_(is_prose) {}

  std::string cut() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (!is_prose_ && (c == '"' || c == '\'')) {
        take_quoted();
      } else if (is_word(c) || static_cast<unsigned char>(c) >= 0x80) {
        take_bare();
      } else {
        out_ += c;
        ++at_;
      }
    }
    if (is_apart_) {
      std::string blind;
      for (size_t at = 0; at < out_.size();) {
        const Character c = character_at(out_, at);
        if (c.sign == Sign::kDigit) {
          blind += '*';
        } else {
          blind.append(out_, at, c.size);
        }
        at += c.size;
      }
      return blind;
    }
    return std::move(out_);
  }

 private:
  // Where a value begins after a name that ends at `at`: after a colon or an equals
  // sign, as addresses write them too ("%3D"), or, in XML, after the tag.
  std::optional<size_t> value_after(size_t at, bool is_tag) const {
    constexpr size_t kEscape = 3;
    bool has_mark = false;
    while (at < text_.size()) {
      if (const char meant = escaped_sign(at)) {
        const bool is_mark = meant == ':' || meant == '=';
        if ((is_mark || meant == '"' || meant == '\'') && has_mark) break;
        has_mark = has_mark || is_mark;
        at += kEscape;
        continue;
      }
      const char c = text_[at];
      const bool is_mark = c == ':' || c == '=' || (is_tag && c == '>');
      if (is_mark && has_mark && c != '>' && c != '=') break;
      if (!is_mark && !is_blank(c) && c != '\\' && !(c == '"' && !has_mark) && !(c == '\'' && !has_mark)) break;
      has_mark = has_mark || is_mark;
      ++at;
      if (has_mark && at < text_.size() && text_[at] == '>') ++at;
    }
    if (!has_mark) return std::nullopt;
    return at;
  }

  // Returns which colon, equals sign, quote or blank is written as "%3A" and the like at `at`, or NUL.
  char escaped_sign(size_t at) const {
    if (text_[at] != '%' || text_.size() - at < 3 || (text_[at + 1] != '2' && text_[at + 1] != '3')) return '\0';
    const char low = static_cast<char>(is_ascii_letter(text_[at + 2]) ? text_[at + 2] | 0x20 : text_[at + 2]);
    if (text_[at + 1] == '3') return low == 'a' ? ':' : low == 'd' ? '=' : '\0';
    return low == '0' ? ' ' : low == '2' ? '"' : low == '7' ? '\'' : '\0';
  }

  // Returns the first place from `at` on that is not what people put between a name and its value:
  // "CVV #739", "cvv (739)", "pin is 4321", "cvv -> 739", "cvv|739".
  size_t skip_between(size_t at) const {
    constexpr std::string_view kBetween = " \t#(|;->*~";
    while (at < text_.size()) {
      if (kBetween.find(text_[at]) != std::string_view::npos) {
        ++at;
      } else if (text_[at - 1] == ' ' && text_.size() - at > 3 && (text_.substr(at, 3) == "is " || text_.substr(at, 3) == "IS ")) {
        at += 3;
      } else {
        break;
      }
    }
    return at;
  }

  // Returns the end of the value that begins at `at`.
  size_t value_end(size_t at, bool is_tag) const {
    if (at >= text_.size()) return text_.size();
    const char c = text_[at];
    if (is_tag) return std::min(text_.find('<', at), text_.size());
    if (c == '"' || c == '\'') return string_end(at);
    if (c == '{' || c == '[') return container_end(at);
    // A track without quotes ends with its question mark or the line.
    while (at < text_.size()) {
      const char d = text_[at];
      if (d == ',' || d == '}' || d == ']' || d == '\n' || d == '&' || d == '<' || d == '"') break;
      ++at;
    }
    return at;
  }

  // Returns how many backslashes stand before `at`.
  size_t escapes_before(size_t at) const {
    size_t count = 0;
    while (count < at && text_[at - 1 - count] == '\\') ++count;
    return count;
  }

  // Returns the end of the string whose first quote is at `at`, which ends at the
  // next such quote that is escaped as much or less.
  size_t string_end(size_t at) const {
    const char quote = text_[at];
    const size_t escapes = escapes_before(at);
    for (size_t end = at + 1; end < text_.size(); ++end) {
      if (text_[end] == quote && escapes_before(end) <= escapes) return end + 1;
    }
    return text_.size();
  }

  size_t container_end(size_t at) const {
    size_t depth = 0;
    for (; at < text_.size(); ++at) {
      const char c = text_[at];
      if (c == '"') {
        const size_t end = string_end(at);
        at = end - 1;
      } else if (c == '{' || c == '[') {
        ++depth;
      } else if (c == '}' || c == ']') {
        if (--depth == 0) return at + 1;
      }
    }
    return text_.size();
  }

  // True when the string at `at` is an element of an array, or the value of "name" or
  // the like: what it names then stands elsewhere.
  bool names_another(size_t at) const {
    const auto back = [&] {
      while (at > 0 && (is_blank(text_[at - 1]) || text_[at - 1] == '\\')) --at;
      return at > 0 ? text_[at - 1] : '[';
    };
    const char before = back();
    if (before == '[' || before == ',') return true;
    if (before != ':' && before != '=') return false;
    --at;
    // In XML without quotes: name="cvv".
    if (before == ':' && back() != '"') return false;
    if (before == ':') --at;
    back();
    size_t begin = at;
    while (begin > 0 && at - begin < kMaxName && is_word(text_[begin - 1])) --begin;
    return is_naming_field(text_.substr(begin, at - begin));
  }

  void cut_to(size_t end) {
    out_ += kCut;
    at_ = end;
  }

  void take_quoted() {
    const size_t begin = at_ + 1;
    size_t end = begin;
    while (end < text_.size() && end - begin <= kMaxName && text_[end] != text_[at_] && text_[end] != '\\') ++end;
    const bool is_name = end < text_.size() && (text_[end] == text_[at_] || text_[end] == '\\') &&
                         is_forbidden_field(text_.substr(begin, end - begin));
    if (!is_name) {
      out_ += text_[at_++];
      return;
    }
    size_t after = end;
    while (after < text_.size() && text_[after] == '\\') ++after;
    after = std::min(after + 1, text_.size());
    if (const std::optional<size_t> value = value_after(after, false)) {
      out_ += text_[at_];
      cut_to(value_end(*value, false));
      return;
    }
    is_apart_ = is_apart_ || names_another(at_);
    out_ += text_[at_++];
  }

  // Takes a word, or the longest run of words with little between them that is a
  // forbidden name.
  void take_bare() {
    constexpr size_t kMaxRun = 5;
    const bool is_tag = at_ > 0 && text_[at_ - 1] == '<';
    // No name begins with a number: the last group of a card number is not to go with "PIN", and leave the others alone.
    size_t digits_end = at_;
    while (digits_end < text_.size() && is_ascii_digit(text_[digits_end])) ++digits_end;
    if (digits_end > at_ && (digits_end == text_.size() || !is_word(text_[digits_end]))) {
      out_.append(text_.substr(at_, digits_end - at_));
      at_ = digits_end;
      return;
    }
    size_t end = at_;
    size_t best = 0;
    size_t first_end = 0;
    for (size_t words = 0; words < kMaxRun && end < text_.size() && end - at_ <= kMaxName; ++words) {
      while (end < text_.size() && end - at_ <= kMaxName &&
             (is_word(text_[end]) || static_cast<unsigned char>(text_[end]) >= 0x80)) {
        ++end;
      }
      if (words == 0) first_end = end;
      if (is_forbidden_field(text_.substr(at_, end - at_))) best = end;
      if (end + 1 >= text_.size() || !is_word(text_[end + 1]) ||
          std::string_view("_-. /").find(text_[end]) == std::string_view::npos) {
        break;
      }
      // "PIN 4321": a value.
      constexpr size_t kMinValue = 3;
      size_t digits = end + 1;
      while (digits < text_.size() && is_ascii_digit(text_[digits])) ++digits;
      if (digits - end - 1 >= kMinValue) break;
      ++end;
    }
    if (best == 0) {
      out_.append(text_.substr(at_, first_end - at_));
      at_ = first_end;
      return;
    }
    const std::optional<size_t> value = value_after(best, is_tag);
    if (value && !is_prose_) {
      cut_to(value_end(*value, is_tag && text_[*value - 1] == '>'));
      return;
    }
    size_t next = skip_between(value.value_or(best));
    if (next == text_.size() || character_at(text_, next).sign != Sign::kDigit) {
      next = best;
      while (next < text_.size() && (text_[next] == ' ' || text_[next] == '\t' || text_[next] == '#')) ++next;
    }
    const char c = next < text_.size() ? text_[next] : '\n';
    if (next > best && character_at(text_, next).sign == Sign::kDigit) {  // "PIN 4321"
      size_t until = next;
      while (until < text_.size() && (is_word(text_[until]) || character_at(text_, until).sign == Sign::kDigit)) {
        until += character_at(text_, until).size;
      }
      cut_to(until);
      return;
    }
    if (is_prose_) {
      out_.append(text_.substr(at_, best - at_));
      at_ = best;
      return;
    }
    // At the head of columns.
    const char before = at_ > 0 ? text_[at_ - 1] : '\n';
    const std::string_view separators = ",;|\t\n\r";
    const bool is_column = (separators.find(c) != std::string_view::npos &&
                            separators.find(before) != std::string_view::npos) &&
                           text_.find_first_of("\n\r", best) != std::string_view::npos;
    is_apart_ = is_apart_ || is_column;
    out_.append(text_.substr(at_, best - at_));
    at_ = best;
  }

  std::string_view text_;
  bool is_prose_;
  std::string out_;
  size_t at_ = 0;
  bool is_apart_ = false;
};

}  // namespace

std::string cut_forbidden_fields(std::string_view text) {
  const std::string plain = undo_escapes(text);
  return may_name_forbidden(plain) ? Cutter(plain).cut() : plain;
}

// Numbers are masked before anything is cut: what is cut out of the midst of one would leave the rest of it.
std::string redact_prose(std::string_view text) {
  std::string kept = mask_card_numbers(text);
  return may_name_forbidden(kept) ? Cutter(kept, true).cut() : kept;
}

std::string redact(std::string_view text, std::string_view card_number) {
  std::string kept = undo_escapes(text);
  hide_card_number(card_number, &kept);
  kept = mask_card_numbers(kept);
  return may_name_forbidden(kept) ? Cutter(kept).cut() : kept;
}

// Returns the text with what JSON writes between the groups of a number ("4111\\t1111", "4111\\u20091111", "4111\\/1111") as it is
// meant. Of a text that could be read the reader has undone it.
std::string undo_all_escapes(std::string_view text) {
  const std::string half = undo_escapes(text);
  std::string plain;
  plain.reserve(half.size());
  const auto code_at = [&](size_t at) {
    unsigned code = 0;
    for (size_t i = at; i < at + 4; ++i) {
      const char c = half[i], lower = static_cast<char>(c | 0x20);
      const int digit = is_ascii_digit(c) ? c - '0' : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
      if (digit < 0) return 0u;
      code = code * 16 + static_cast<unsigned>(digit);
    }
    return code;
  };
  size_t undone_to = 0;  // one stood right before it
  for (size_t at = 0; at < half.size(); ++at) {
    if (half[at] != '\\' || at + 1 == half.size()) {
      plain += half[at];
      continue;
    }
    // In a text within a text the backslash is escaped itself.
    size_t next = at + 1;
    while (next < half.size() && half[next] == '\\') ++next;
    const char c = next < half.size() ? half[next] : '\\';
    const unsigned code = c == 'u' && half.size() - next > 4 ? code_at(next + 1) : 0;
    const bool is_between = at > 0 && (is_ascii_digit(half[at - 1]) || undone_to == at) && next + 1 < half.size() &&
                            (is_ascii_digit(half[next + 1]) || half[next + 1] == '\\');
    if (is_between && (c == '/' || c == 't' || c == 'n' || c == 'r' || c == 'b' || c == 'f')) {
      plain += c == '/' ? '/' : ' ';
      at = next;
      undone_to = next + 1;
    } else if (code >= 0x80 && (code < 0xD800 || code > 0xDFFF)) {
      if (code >= 0x800) {
        plain += static_cast<char>(0xE0 | code >> 12);
        plain += static_cast<char>(0x80 | (code >> 6 & 0x3F));
      } else {
        plain += static_cast<char>(0xC0 | code >> 6);
      }
      plain += static_cast<char>(0x80 | (code & 0x3F));
      at = next + 4;
    } else {
      plain.append(half, at, next - at);
      at = next - 1;
    }
  }
  return plain;
}

std::string redact_broken(std::string_view text, size_t max_bytes) {
  std::string kept = cut_forbidden_fields(mask_card_numbers(undo_all_escapes(text.substr(0, max_bytes)), Masking::kAny));
  // More than any number takes with what may stand in it.
  constexpr size_t kMaxNumberBytes = 256;
  if (text.size() > max_bytes) kept.resize(kept.size() - std::min(kept.size(), kMaxNumberBytes));
  return kept;
}

}  // namespace fraud
