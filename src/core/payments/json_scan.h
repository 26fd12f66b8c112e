// Where the values of a JSON text begin and end. Nothing is judged here but brackets and
// quotes: what stands between them is read by the JSON library (json_document.h), value by
// value, so that one that cannot be read does no harm to another.
#pragma once

#include "core/base/guard.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/payments/payment.h"

namespace fraud {

constexpr std::string_view kJsonBlank = " \t\r\n";

// Returns the first place from `at` on that is not blank, or the end.
size_t skip_blank(std::string_view text, size_t at) noexcept;

// How far a value reaches. One that is not whole has no end within the text, or a bracket
// that closes another one's.
struct Extent {
  size_t end = 0;
  bool is_whole = false;
};
Extent value_extent(std::string_view text, size_t at, const GiveWay& give_way = {});

// A value that the library does not read: the how-many-th scalar of its text it is (names of
// members count), and what stood there; of a string its content without escapes, with
// U+FFFD in place of what is no text.
struct Unreadable {
  size_t ordinal;
  std::string found;
  bool is_text;
};

// Puts zeros (and empty names) in place of the values that the library does not read, at
// unchanged length, and returns them in their order.
std::vector<Unreadable> take_unreadable(std::string* text);

// Returns the content of the JSON string that begins at `at`. Where the library cannot read
// a part of it stands a byte that is no UTF-8; of a string without an end there is what was
// there. `*end` is set to the place behind it.
std::string unwrap_string(std::string_view text, size_t at, size_t* end, const GiveWay& give_way = {});

// Returns the index of the first byte that is not UTF-8 or is NUL, or npos.
size_t find_bad_byte(std::string_view text) noexcept;

// Returns `text` with each byte that is not UTF-8, or is NUL, as a question mark.
std::string replace_bad_bytes(std::string_view text);

}  // namespace fraud
