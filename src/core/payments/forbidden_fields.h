// What the card schemes forbid to keep after authorisation (PCI DSS 3.3): card
// verification values, PINs and their blocks, data of the magnetic stripe or its
// equivalent on a chip. docs/security.md lists the names.
#pragma once

#include "core/base/guard.h"

#include <cstddef>
#include <string>
#include <string_view>

namespace fraud {

// True when a field of this name holds what must not be kept, whatever its case,
// its punctuation and the words around it: "CVV2", "card.pin", "Pin-Block",
// "cardVerificationValue", "c v v". Not "pin_code" (an Indian postal code),
// "tracking_number", "cvv_result" (what a check said).
bool is_forbidden_field(std::string_view name);

// True when a field of this name says what another one beside it is ("name", "key").
bool is_naming_field(std::string_view name);

// True when a field of this name holds a card number, whatever the number looks like.
bool is_card_number_field(std::string_view name);

// Returns what a person has written without card numbers, and without verification values and PINs behind their names ("CVV 123").
std::string redact_prose(std::string_view text);

// Cuts forbidden fields out of text that may or may not be JSON, XML, a query or
// lines of columns, whole or broken: from the name to the end of the value. Where a
// name stands apart from its values, as at the head of columns, all digits go.
std::string cut_forbidden_fields(std::string_view text);

// Text of unknown make, as it may be kept: without forbidden fields, without card
// numbers that are known or likely.
std::string redact(std::string_view text, std::string_view card_number);

// The first `max_bytes` of a body whose layout is broken: any long number of it may be
// a card's. Of a longer one nothing is left that could be half a number.
std::string redact_broken(std::string_view text, size_t max_bytes = std::string_view::npos);

}  // namespace fraud
