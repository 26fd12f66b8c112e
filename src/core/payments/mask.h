// Keeps card numbers out of what is stored and said.
#pragma once

#include "core/base/guard.h"

#include <string>
#include <string_view>

namespace fraud {

// Replaces what may be a card number by asterisks and its last four digits: a
// run of 11 or more digits that is not part of a longer word (so that hexadecimal
// ids stay), digits written in a card's groups ("4497 9139 6551 2794"), and the
// decimals of a card number that some tool turned into a double ("4.4…e+18").
// Epoch milliseconds (13 digits that begin with 1) and uuids are left as they
// are. Masking twice changes nothing.
std::string mask_card_numbers(std::string_view text);

// Masks every occurrence of a known card number, wherever it stands.
void hide_card_number(std::string_view card_number, std::string* text);

}  // namespace fraud
