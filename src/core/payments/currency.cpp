// The currencies of ISO 4217, list one ("current currency and funds"), as published by SIX, the
// standard's maintenance agency (iso.org/iso-4217-currency-codes), with their minor units. Metals, bond
// units and the codes for tests and for no currency have none, and are left out.
#include "core/payments/currency.h"

#include <algorithm>
#include <array>

namespace fraud {
namespace {

// Codes in one text each, in the order of the alphabet; every other one has two decimals.
constexpr std::string_view kTwo =
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW "
    "CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR "
    "ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV "
    "MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD "
    "SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG";
constexpr std::string_view kNone = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF";
constexpr std::string_view kThree = "BHD IQD JOD KWD LYD OMR TND";
constexpr std::string_view kFour = "CLF UYW";

constexpr size_t kStep = 4;  // of a code and a blank

bool holds(std::string_view codes, std::string_view code) noexcept {
  size_t low = 0;
  size_t high = (codes.size() + 1) / kStep;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    const int order = codes.substr(middle * kStep, kStep - 1).compare(code);
    if (order == 0) return true;
    if (order < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return false;
}

std::array<char, 3> base_code = {'U', 'S', 'D'};
int base_digits = 2;

}  // namespace

std::optional<int> currency_decimals(std::string_view code) noexcept {
  if (code.size() != kStep - 1) return std::nullopt;
  if (holds(kTwo, code)) return 2;
  if (holds(kNone, code)) return 0;
  if (holds(kThree, code)) return 3;
  if (holds(kFour, code)) return 4;
  return std::nullopt;
}

void set_base_currency(std::string_view code) noexcept {
  const std::optional<int> decimals = currency_decimals(code);
  if (!decimals) return;
  std::copy(code.begin(), code.end(), base_code.begin());
  base_digits = *decimals;
}

std::string_view base_currency() noexcept { return {base_code.data(), base_code.size()}; }

int base_decimals() noexcept { return base_digits; }

int64_t minor_units(int decimals) noexcept {
  int64_t units = 1;
  for (int i = 0; i < decimals; ++i) units *= 10;
  return units;
}

std::string format_amount(int64_t minor, int decimals) {
  std::string digits = std::to_string(minor);
  if (decimals == 0) return digits;
  const auto places = static_cast<size_t>(decimals);
  if (digits.size() <= places) digits.insert(0, places + 1 - digits.size(), '0');
  return digits.insert(digits.size() - places, 1, '.');
}

}  // namespace fraud
