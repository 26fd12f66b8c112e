// Finds and masks card numbers in text that people or logs may see.
#include "core/payments/mask.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "core/payments/digits.h"

namespace fraud {
namespace {

constexpr size_t kMinCard = 13;
constexpr size_t kMaxCard = 19;
constexpr size_t kMinAnyCard = 8;  // where nothing is known of the number
constexpr size_t kShown = 4;
// Digits of a double, without which nothing is masked: 8 decimals, and what is
// before and after them.
constexpr size_t kMinMantissa = 8;
constexpr size_t kMaxGap = 3;  // characters between two groups
constexpr std::string_view kTrack = "[track]";

bool is_hex(char c) {
  const char lower = static_cast<char>(c | 0x20);
  return is_ascii_digit(c) || (lower >= 'a' && lower <= 'f');
}

size_t word_end(std::string_view text, size_t at) {
  while (at < text.size() && is_word(text[at])) ++at;
  return at;
}

size_t ascii_digits_end(std::string_view text, size_t at) {
  while (at < text.size() && is_ascii_digit(text[at])) ++at;
  return at;
}

bool is_uuid(std::string_view text, size_t at) {
  constexpr std::string_view kShape = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
  if (text.size() - at < kShape.size()) return false;
  for (size_t i = 0; i < kShape.size(); ++i) {
    const char c = text[at + i];
    if (kShape[i] == '-' ? c != '-' : !is_hex(c)) return false;
  }
  return at + kShape.size() == text.size() || !is_word(text[at + kShape.size()]);
}

// True when `word` is one of those long hexadecimal ids that sometimes hold many
// digits in a row. Letters that merely stand before or after a number are none.
bool is_hex_id(std::string_view word) {
  constexpr size_t kMinHexId = 20;
  constexpr size_t kMinLetters = 4;
  if (word.size() < kMinHexId) return false;
  size_t letters = 0, run = 0, longest = 0;
  bool upper = false, lower = false;
  for (const char c : word) {
    if (!is_hex(c)) return false;
    if (is_ascii_digit(c)) {
      longest = std::max(longest, ++run);
      continue;
    }
    run = 0;
    ++letters;
    upper = upper || c < 'a';
    lower = lower || c >= 'a';
  }
  return letters >= kMinLetters && word.size() - letters > longest && !(upper && lower);
}

bool is_of_name(char c) {
  return is_ascii_letter(c) || static_cast<unsigned char>(c) >= 0x80 ||
         std::string_view(" /.,'-&").find(c) != std::string_view::npos;
}

// Returns the end of a track's data after its card number, which ends at `at`, or `at`.
size_t track_end(std::string_view text, size_t at, bool is_sure) {
  constexpr size_t kMaxName = 40, kMaxTrack = 120, kMinTrack2 = 4, kMinSolid = 7;
  if (at == text.size()) return at;
  size_t end = at + 1;
  if (text[at] == '^') {
    // A name, in which nothing is ever masked.
    while (end < text.size() && end - at <= kMaxName && is_of_name(text[end])) ++end;
    if (end == text.size() || text[end] != '^') return at;
    ++end;
    const size_t mark = text.substr(end, kMaxTrack).find('?');
    if (mark != std::string_view::npos) return end + mark + 1;
    while (end < text.size() && is_word(text[end])) ++end;
    return end;
  }
  if (text[at] == '=') {
    while (end < text.size() && (is_ascii_digit(text[end]) || text[end] == '=')) ++end;
    const bool is_closed = end < text.size() && text[end] == '?';
    if (is_closed) return end + 1;
    return is_sure || end - at - 1 >= kMinTrack2 ? end : at;
  }
  if (text[at] == 'D' || text[at] == 'd') {  // as chips tell it
    end = ascii_digits_end(text, end);
    if (end - at - 1 < kMinSolid) return at;
    while (end < text.size() && (text[end] | 0x20) == 'f') ++end;
    return end == text.size() || !is_word(text[end]) ? end : at;
  }
  return at;
}

// Returns the end of the id that begins with the word at `at` and stays as it is, or `at`.
size_t id_end(std::string_view text, size_t at) {
  constexpr std::string_view kPaymentId = "pan_";
  constexpr size_t kUuidBytes = 36, kHashBytes = 32;
  if (is_hex(text[at]) && is_uuid(text, at)) return at + kUuidBytes;
  // The data of a chip's track may look like a hexadecimal id.
  const size_t digits = ascii_digits_end(text, at);
  if (digits - at >= kMinCard - 1 && digits - at <= kMaxCard &&
      track_end(text, digits, false) != digits) {
    return at;
  }
  const size_t end = word_end(text, at);
  const std::string_view word = text.substr(at, end - at);
  // An id that stands for one which held a card number (docs/security.md).
  const bool is_payment_id = word.size() == kHashBytes && at >= kPaymentId.size() &&
                             text.substr(at - kPaymentId.size(), kPaymentId.size()) == kPaymentId &&
                             std::all_of(word.begin(), word.end(), is_hex);
  return is_payment_id || is_hex_id(word) ? end : at;
}

struct Group {
  size_t begin, end;  // bytes
  size_t first;       // its first digit among those of the chain
  size_t digits;
  Sign gap;  // before it
  bool is_mantissa;
};

// Digits in groups, one after another, none of which is surely something else.
class Chain {
 public:
  explicit Chain(Masking masking) : masking_(masking) {}

  // Reads the chain that begins with the digit at `at`; returns its end. A chain
  // without groups is text to be copied.
  size_t read(std::string_view text, size_t at);
  bool is_track() const { return is_track_; }
  void write_masked(std::string_view text, std::string* out);

 private:
  void read_digits(std::string_view text, size_t* at);
  void find_numbers();
  bool is_written_as_card(size_t first_group, size_t last_group) const;
  bool passes_luhn(size_t begin, size_t end) const {
    const auto& sums = sums_[end & 1];
    return (sums[end] - sums[begin]) % 10 == 0;
  }
  // True where the digits may be a card number, with zeros before it as a field of fixed width has them. No card's number begins
  // with a zero: thirteen zeros in a large amount, whose check digit is right, are none.
  bool is_card_like(size_t begin, size_t end) const {
    return first_nonzero_[begin] + kMinCard <= end && passes_luhn(begin, end);
  }
  bool holds_number(const Group& group) const;

  Masking masking_;
  bool is_track_ = false;
  bool is_followed_ = false;  // by a digit that is no part of it
  std::vector<uint8_t> digits_;
  std::vector<Group> groups_;
  std::vector<std::pair<size_t, size_t>> masked_;  // groups, first and last, in order
  // Sums of the digits before each place, where those at even or at odd places from
  // it are doubled as Luhn's check wants it.
  std::array<std::vector<uint32_t>, 2> sums_;
  std::vector<size_t> first_nonzero_;  // at each place or after it
};

// True when a number as large as a card's was written as a double, whose decimals
// end at `at`, and is no time.
bool has_card_exponent(std::string_view text, size_t at, uint8_t first_digit) {
  if (at >= text.size() || (text[at] | 0x20) != 'e') return false;
  ++at;
  if (at < text.size() && text[at] == '+') ++at;
  const size_t end = ascii_digits_end(text, at);
  if (end - at != 2 || text[at] != '1' || (end < text.size() && is_word(text[end]))) return false;
  const char unit = text[at + 1];
  return first_digit != 1 || !(unit == '2' || unit == '5' || unit == '8');
}

bool is_time(const std::vector<uint8_t>& digits, size_t begin, size_t end) {
  const size_t count = end - begin;
  return digits[begin] == 1 && (count == 10 || count == 13 || count == 16 || count == 19);
}

// True when the digits from `first` on end with their check digit.
bool has_check_digit(const std::vector<uint8_t>& digits, size_t first) {
  uint32_t sum = 0;
  bool doubles = false;
  for (size_t i = digits.size(); i > first; --i, doubles = !doubles) {
    const uint32_t digit = digits[i - 1] * (doubles ? 2u : 1u);
    sum += digit > 9 ? digit - 9 : digit;
  }
  return sum % 10 == 0;
}

// Reads digits of ASCII, or of other scripts: where these change, so does the group.
void Chain::read_digits(std::string_view text, size_t* at) {
  const bool is_ascii = is_ascii_digit(text[*at]);
  while (*at < text.size()) {
    const Character c = character_at(text, *at);
    if (c.sign != Sign::kDigit || (c.size == 1) != is_ascii) break;
    digits_.push_back(c.value);
    *at += c.size;
  }
}

size_t Chain::read(std::string_view text, size_t at) {
  groups_.clear();
  digits_.clear();
  is_track_ = is_followed_ = false;
  Sign gap = Sign::kGap;
  size_t begin = at;
  for (;;) {
    const size_t first = digits_.size();
    size_t end = begin;
    read_digits(text, &end);
    const size_t count = digits_.size() - first;
    const bool is_alone = groups_.empty();
    const bool is_mantissa = gap == Sign::kDot && !is_alone && groups_.back().digits == 1 &&
                             count >= kMinMantissa &&
                             has_card_exponent(text, end, digits_[groups_.back().first]);
    if (!is_mantissa && is_time(digits_, first, digits_.size())) {
      digits_.resize(first);
      if (is_alone) return end;
      is_followed_ = groups_.back().end == begin;
      return groups_.back().end;
    }
    if (count >= kMinCard - 1 && count <= kMaxCard) {
      const bool is_sure = begin > 0 && text[begin - 1] == ';';
      const size_t track = track_end(text, end, is_sure);
      if (track != end && (is_sure || text[end] == '^' || has_check_digit(digits_, first))) {
        digits_.resize(first);
        if (!is_alone) {
          is_followed_ = groups_.back().end == begin;
          return groups_.back().end;
        }
        is_track_ = true;
        return track;
      }
    }
    groups_.push_back({begin, end, first, count, gap, is_mantissa});

    gap = Sign::kOther;
    size_t next = end;
    size_t width = 0;
    while (next < text.size()) {
      const Character c = character_at(text, next);
      if (c.sign == Sign::kOther || c.sign == Sign::kDigit) break;
      const bool mixes = width > 0 && (c.sign != Sign::kGap || gap != Sign::kGap);
      if (mixes || ++width > kMaxGap) break;
      gap = c.sign;
      next += c.size;
    }
    if (width == 0) gap = Sign::kGap;  // another script follows, if digits do
    if (width > kMaxGap || next == text.size() ||
        character_at(text, next).sign != Sign::kDigit ||
        (is_word(text[next]) && id_end(text, next) != next)) {
      is_followed_ = next == end && next < text.size() && is_ascii_digit(text[next]);
      return end;
    }
    begin = next;
  }
}

// True when the longer run holds what may be a card number.
bool Chain::holds_number(const Group& group) const {
  for (size_t begin = group.first; begin + kMinCard <= group.first + group.digits; ++begin) {
    const size_t last = std::min(begin + kMaxCard, group.first + group.digits);
    for (size_t end = begin + kMinCard; end <= last; ++end) {
      if (is_card_like(begin, end)) return true;
    }
  }
  return false;
}

// True for groups as cards have them, or begin to: 4-4-4-4(-3), 4-6-5 and 4-6-4.
bool Chain::is_written_as_card(size_t first_group, size_t last_group) const {
  const size_t count = last_group - first_group + 1;
  if (count > 5) return false;
  const auto is = [&](size_t i, size_t digits) { return i >= count || groups_[first_group + i].digits == digits; };
  const bool is_six = is(0, 4) && is(1, 6) && count <= 3 && (is(2, 5) || is(2, 4));
  return is_six || (is(0, 4) && is(1, 4) && is(2, 4) && is(3, 4) && is(4, 3));
}

// Finds the runs of whole groups that are card numbers.
void Chain::find_numbers() {
  for (std::vector<uint32_t>& sums : sums_) sums.assign(1, 0);
  for (size_t i = 0; i < digits_.size(); ++i) {
    const uint32_t twice = digits_[i] * 2u;
    const uint32_t doubled = twice > 9 ? twice - 9 : twice;
    // A number that ends before an even place has its last digit at an odd one.
    sums_[0].push_back(sums_[0].back() + (i % 2 == 0 ? doubled : digits_[i]));
    sums_[1].push_back(sums_[1].back() + (i % 2 == 1 ? doubled : digits_[i]));
  }
  first_nonzero_.assign(digits_.size() + 1, digits_.size());
  for (size_t i = digits_.size(); i-- > 0;) first_nonzero_[i] = digits_[i] != 0 ? i : first_nonzero_[i + 1];
  masked_.clear();
  const auto add = [&](size_t first, size_t last) {
    if (!masked_.empty() && first <= masked_.back().second) {
      masked_.back().second = std::max(masked_.back().second, last);
    } else {
      masked_.emplace_back(first, last);
    }
  };
  for (size_t i = 0; i < groups_.size(); ++i) {
    const bool follows_masked = i > 0 && !masked_.empty() && masked_.back().second + 1 >= i;
    const bool is_fraction = i > 0 && groups_[i].gap == Sign::kDot && groups_[i].digits < kMinCard &&
                             !follows_masked;
    const bool is_any = masking_ == Masking::kAny && groups_[i].digits >= kMinAnyCard && !is_fraction;
    if (groups_[i].is_mantissa || is_any ||
        (groups_[i].digits > kMaxCard && holds_number(groups_[i]))) {
      add(i, i);
    }
    size_t count = 0;
    Sign gap = Sign::kOther;
    for (size_t j = i; j < groups_.size(); ++j) {
      const Group& group = groups_[j];
      if (j > i) {
        if (gap == Sign::kOther) gap = group.gap;
        if (group.gap != gap) break;
        // Thousands; of lists only what is written as cards are.
        const bool is_thousands = group.digits == 3 && groups_[i].digits <= 3;
        if (gap == Sign::kComma && !is_thousands && !is_written_as_card(i, j)) break;
      }
      count += group.digits;
      if (count > kMaxCard) break;
      if (count < kMinCard) continue;
      // A single such sign stands in decimals, addresses and lists.
      if (gap != Sign::kGap && j == i + 1) continue;
      if (masking_ == Masking::kAny || is_card_like(groups_[i].first, group.first + group.digits)) {
        add(i, j);
      }
    }
  }
}

void Chain::write_masked(std::string_view text, std::string* out) {
  find_numbers();
  if (groups_.empty() || masked_.empty()) {
    out->append(text);
    return;
  }
  const size_t start = groups_.front().begin;
  size_t at = 0;  // in `text`
  for (size_t m = 0; m < masked_.size(); ++m) {
    const auto [first, last] = masked_[m];
    out->append(text.substr(at, groups_[first].begin - start - at));
    const size_t next = m + 1 < masked_.size() ? masked_[m + 1].first : groups_.size();
    const size_t end = groups_[last].first + groups_[last].digits;
    const size_t begin = groups_[first].first;
    const size_t rest = (next < groups_.size() ? groups_[next].first : digits_.size()) - end;
    // The digits shown must not become part of a number with those that follow. The
    // separators go too: a group left alone could join them.
    const size_t floor = masking_ == Masking::kAny ? kMinAnyCard : kMinCard;
    const bool is_followed = last + 1 < groups_.size() ? groups_[last + 1].begin == groups_[last].end
                                                       : is_followed_;
    const bool shows = end - begin > kShown && kShown + rest < floor && !is_followed;
    out->append(end - begin - (shows ? kShown : 0), '*');
    if (shows) {
      for (size_t i = end - kShown; i < end; ++i) *out += static_cast<char>('0' + digits_[i]);
    }
    at = groups_[last].end - start;
  }
  out->append(text.substr(at));
}

}  // namespace

std::string mask_card_numbers(std::string_view text, Masking masking) {
  const size_t least = masking == Masking::kAny ? kMinAnyCard : kMinMantissa + 3;
  if (count_digits_at_most(text) < least) return std::string(text);
  std::string out;
  out.reserve(text.size());
  Chain chain(masking);
  size_t at = 0;
  while (at < text.size()) {
    const bool begins_word = is_word(text[at]) && (at == 0 || !is_word(text[at - 1]));
    if (begins_word) {
      const size_t end = id_end(text, at);
      if (end != at) {
        out.append(text.substr(at, end - at));
        at = end;
        continue;
      }
    }
    const Character character = character_at(text, at);
    if (character.sign != Sign::kDigit) {
      out.append(text.substr(at, character.size));
      at += character.size;
      continue;
    }
    const size_t end = chain.read(text, at);
    if (chain.is_track()) {
      // The sentinels before the number, as far as they stand there.
      if (!out.empty() && out.back() == ';') out.pop_back();
      const bool has_code = !out.empty() && (out.back() | 0x20) == 'b' &&
                            (out.size() == 1 || !is_word(out[out.size() - 2]));
      if (has_code) out.pop_back();
      if (has_code && !out.empty() && out.back() == '%') out.pop_back();
      out.append(kTrack);
    } else {
      chain.write_masked(text.substr(at, end - at), &out);
    }
    at = end;
  }
  return out;
}

bool holds_card_number(std::string_view text) {
  return count_digits_at_most(text) >= kMinMantissa + 3 && mask_card_numbers(text) != text;
}

void hide_card_number(std::string_view card_number, std::string* text) {
  if (card_number.size() <= kShown || count_digits_at_most(*text) < card_number.size()) return;
  const size_t hidden = card_number.size() - kShown;
  // The digits one after another, until something stands between them that no
  // number has; and where each is.
  std::string digits;
  std::vector<std::pair<size_t, size_t>> places;  // begin and end, bytes
  std::vector<std::pair<size_t, size_t>> found;   // first digit and last
  const auto look = [&](size_t since) {
    const std::string_view chain = std::string_view(digits).substr(since);
    for (size_t at = chain.find(card_number); at != std::string_view::npos;
         at = chain.find(card_number, at + hidden)) {
      found.emplace_back(since + at, since + at + card_number.size() - 1);
    }
  };
  size_t since = 0, width = 0;
  for (size_t at = 0; at < text->size();) {
    const Character c = character_at(*text, at);
    if (c.sign == Sign::kDigit) {
      digits += static_cast<char>('0' + c.value);
      places.emplace_back(at, at + c.size);
      width = 0;
    } else if (c.sign == Sign::kOther || ++width > kMaxGap) {
      if (digits.size() > since) look(since);
      since = digits.size();
    }
    at += c.size;
  }
  look(since);
  if (found.empty()) return;
  std::vector<bool> hides(digits.size()), joins(digits.size());  // joins: with the digit before
  for (const auto& [first, last] : found) {
    for (size_t i = first; i <= last; ++i) {
      if (i + kShown <= last) hides[i] = true;
      if (i > first) joins[i] = true;
    }
  }
  std::string out;
  out.reserve(text->size());
  size_t at = 0;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (!joins[i]) out.append(*text, at, places[i].first - at);
    if (hides[i]) {
      out += '*';
    } else {
      out.append(*text, places[i].first, places[i].second - places[i].first);
    }
    at = places[i].second;
  }
  out.append(*text, at);
  *text = std::move(out);
}

}  // namespace fraud
