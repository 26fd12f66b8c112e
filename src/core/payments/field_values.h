// The values of a payment's fields, read from text.
#pragma once

#include "core/base/guard.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace fraud {

bool all_digits(std::string_view text) noexcept;

// True for text that shows nothing: blanks of all kinds, and what has no width.
bool is_blank_text(std::string_view text) noexcept;

// Reads a number whose absolute value is at most `bound`.
std::optional<double> parse_within(std::string_view text, double bound);

// Reads an integer. A fraction of zeros is let pass: a tool that met a missing
// value has made doubles of the whole column, which hold these integers exactly.
std::optional<int64_t> parse_whole(std::string_view text);

// Reads YYYY-MM-DD as days since 1970-01-01.
std::optional<int64_t> parse_date(std::string_view text);

// Read a time from 1970 to 2262 in microseconds: a date and a time of day, in UTC unless an
// offset follows; and an epoch in milliseconds or seconds. What is another unit's is none.
std::optional<int64_t> parse_time_text(std::string_view text);
std::optional<int64_t> parse_time_ms(std::string_view text);
std::optional<int64_t> parse_time_seconds(std::string_view text);

// Returns the unit ("seconds", "milliseconds", …) in which the number is an epoch of 1973 to
// 2262, or "".
std::string_view epoch_unit(std::string_view text);

// Reads an amount, which may be below zero, in minor units of so many decimals.
std::optional<int64_t> parse_amount(std::string_view text, int decimals);

// Returns an IBAN without blanks, in capitals, if its check digits are right (ISO 13616).
std::optional<std::string> parse_iban(std::string_view text);

// Reads 0, 1, true or false.
std::optional<bool> parse_flag(std::string_view text);

// Returns a uuid in lower case.
std::optional<std::string> parse_uuid(std::string_view text);

// Returns digits with the leading zeros that they have lost as a number.
std::string pad_digits(std::string_view text, size_t width);

// Returns a zip code, which may have been an integer, or a double.
std::string parse_zip(std::string_view text);

// True for what a tool writes that took a card number for a double.
bool is_floating_point(std::string_view text);

// True for digits that a double has left of a card number: they are the shortest that name
// that double, as tools write it, and the check digit is wrong.
bool has_lost_digits(std::string_view digits);

}  // namespace fraud
