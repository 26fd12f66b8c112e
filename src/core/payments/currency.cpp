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

// By number, as card networks say them.
constexpr std::string_view kNumbers =
    "008ALL 012DZD 032ARS 036AUD 044BSD 048BHD 050BDT 051AMD 052BBD 060BMD 064BTN 068BOB 072BWP 084BZD 090SBD 096BND "
    "104MMK 108BIF 116KHR 124CAD 132CVE 136KYD 144LKR 152CLP 156CNY 170COP 174KMF 188CRC 192CUP 203CZK 208DKK 214DOP "
    "222SVC 230ETB 232ERN 238FKP 242FJD 262DJF 270GMD 292GIP 320GTQ 324GNF 328GYD 332HTG 340HNL 344HKD 348HUF 352ISK "
    "356INR 360IDR 364IRR 368IQD 376ILS 388JMD 392JPY 396XAD 398KZT 400JOD 404KES 408KPW 410KRW 414KWD 417KGS 418LAK "
    "422LBP 426LSL 430LRD 434LYD 446MOP 454MWK 458MYR 462MVR 480MUR 484MXN 496MNT 498MDL 504MAD 512OMR 516NAD 524NPR "
    "532XCG 533AWG 548VUV 554NZD 558NIO 566NGN 578NOK 586PKR 590PAB 598PGK 600PYG 604PEN 608PHP 634QAR 643RUB 646RWF "
    "654SHP 682SAR 690SCR 702SGD 704VND 706SOS 710ZAR 728SSP 748SZL 752SEK 756CHF 760SYP 764THB 776TOP 780TTD 784AED "
    "788TND 800UGX 807MKD 818EGP 826GBP 834TZS 840USD 858UYU 860UZS 882WST 886YER 901TWD 924ZWG 925SLE 926VED 927UYW "
    "928VES 929MRU 930STN 933BYN 934TMT 936GHS 938SDG 940UYI 941RSD 943MZN 944AZN 946RON 947CHE 948CHW 949TRY 950XAF "
    "951XCD 952XOF 953XPF 967ZMW 968SRD 969MGA 970COU 971AFN 972TJS 973AOA 975BGN 976CDF 977BAM 978EUR 979MXV 980UAH "
    "981GEL 984BOV 985PLN 986BRL 990CLF 997USN";

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

std::string_view currency_of_number(std::string_view number) noexcept {
  constexpr size_t kDigits = 3;
  constexpr size_t kEntry = kDigits + kStep;
  for (size_t at = 0; at < kNumbers.size(); at += kEntry) {
    std::string_view entry = kNumbers.substr(at, kDigits);
    // A JSON number has no zeros before it.
    while (number.size() < entry.size() && entry[0] == '0') entry.remove_prefix(1);
    if (entry == number) return kNumbers.substr(at + kDigits, kStep - 1);
  }
  return {};
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
