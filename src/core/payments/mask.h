// Keeps card numbers and the tracks of cards out of what is stored and said.
#pragma once

#include "core/base/guard.h"

#include <string>
#include <string_view>

namespace fraud {

enum class Masking {
  kLikely,  // numbers that pass for a card's: 13 to 19 digits with the right check digit
  // Where the layout is broken, and any of its numbers may be the payment's card,
  // whose check digit nobody has promised: whatever has 8 digits or more.
  kAny,
};

// Replaces card numbers in free text by asterisks and their last four digits.
// A card number has 13 to 19 digits, the last of which is their check digit (Luhn);
// they may be digits of any script and stand in groups, between which are blanks
// and dashes of all kinds, or one other sign throughout ("4111.1111.1111.1111").
// So do the digits in a longer run than any card number's, and the decimals of a
// card number that some tool turned into a double ("4.4…e+18"). Data of a card's
// magnetic stripe goes as a whole.
//
// What stays: numbers of 10, 13, 16 or 19 digits that begin with 1, which are
// times in s, ms, µs and ns; what is shorter than a card number but for zeros before
// it; uuids, and long hexadecimal words.
//
// Masking twice changes nothing. The time taken is linear in the text.
std::string mask_card_numbers(std::string_view text, Masking masking = Masking::kLikely);

// True when mask_card_numbers would change `text`.
bool holds_card_number(std::string_view text);

// Masks every occurrence of a known card number, wherever it stands and however it
// is grouped.
void hide_card_number(std::string_view card_number, std::string* text);

}  // namespace fraud
