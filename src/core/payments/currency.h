// Currencies and how many decimals their amounts have.
#pragma once

#include "core/base/guard.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace fraud {

constexpr int kMaxDecimals = 4;

// Returns how many decimals the minor unit of a currency has (ISO 4217, upper case), or nothing
// for what is no currency's code.
std::optional<int> currency_decimals(std::string_view code) noexcept;

// Returns the code of a currency by its number (ISO 4217: "978" is EUR), or nothing.
std::string_view currency_of_number(std::string_view number) noexcept;

// The currency of payments that name none: the setting fraud_detect.base_currency. The process
// has one; it is USD until it is set. Codes that are none are ignored.
void set_base_currency(std::string_view code) noexcept;
std::string_view base_currency() noexcept;
int base_decimals() noexcept;

// Returns 10 to the power of `decimals` (0 to 4).
int64_t minor_units(int decimals) noexcept;

// Returns an amount of minor units as a decimal number: 1250, 2 is "12.50".
std::string format_amount(int64_t minor, int decimals);

}  // namespace fraud
