// Tests of the masker: what is a card number, what is none, and that nothing that is
// one gets through, however it is written.
#include "core/payments/mask.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fraud {
namespace {

bool passes_luhn(std::string_view digits) {
  int sum = 0;
  for (size_t i = 0; i < digits.size(); ++i) {
    const int digit = (digits[digits.size() - 1 - i] - '0') * (i % 2 == 0 ? 1 : 2);
    sum += digit > 9 ? digit - 9 : digit;
  }
  return sum % 10 == 0;
}

// Returns a number of this many digits that passes for a card's.
std::string card_number(std::mt19937_64& random, size_t size) {
  std::string digits(1, static_cast<char>('2' + random() % 8));
  while (digits.size() + 1 < size) digits += static_cast<char>('0' + random() % 10);
  for (char check = '0'; check <= '9'; ++check) {
    if (passes_luhn(digits + check)) return digits + check;
  }
  return {};
}

TEST(Mask, HidesWhatMayBeACardNumber) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", ""},
      {"4111111111111111", "************1111"},
      {"order 4111 1111 1111 1111", "order ************1111"},
      {"ref 4111-1111-1111-1111", "ref ************1111"},
      {"4497913965512794052", "***************4052"},
      {"card 30263540414123.", "card **********4123."},
      {"_4497913965512794052_", "_***************4052_"},
      {"*4497913965512794052*", "****************4052*"},
      {"card4111111111111111", "card************1111"},
      {"4497913965512794052x", "***************4052x"},
      {"é4497913965512794052", "é***************4052"},
      {"deadbeef4111111111111111", "deadbeef************1111"},
      // Grouped in any way.
      {"3782 822463 10005", "***********0005"},
      {"3056 930902 5904", "**********5904"},
      {"4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "************1111"},
      {"41-111111111111 11", "************1111"},
      {"4111  1111 - 1111\t1111", "************1111"},
      {"4111\n1111\n1111\n1111", "************1111"},
      {"4111.1111.1111.1111", "************1111"},
      {"4111_1111_1111_1111", "************1111"},
      {"4111/1111/1111/1111", "************1111"},
      {"4111*1111*1111*1111", "************1111"},
      {"4111\\1111\\1111\\1111", "************1111"},
      {"4111~1111~1111~1111 4111#1111#1111#1111", "************1111 ************1111"},
      {"4111,1111,1111,1111", "************1111"},
      {"4111'1111'1111'1111 3782,822463,10005", "************1111 ***********0005"},
      {"4\u030111\uFE0F\u20E31111\u2063111\u061C111111", "************1111"},
      {"4111\u31641111\U000E00201111\uFE001111", "************1111"},
      {"4111+1111+1111+1111", "************1111"},
      {"4111|1111|1111|1111", "************1111"},
      {"4,111,111,111,111,111", "************1111"},
      {"４111 1111 1111 1111", "************1111"},
      {"４4111111111111111", "４************1111"},
      {"4111&nbsp;1111&nbsp;1111&nbsp;1111", "************1111"},
      {"4111\xC2\xA0"
       "1111\xC2\xA0"
       "1111\xC2\xA0"
       "1111",
       "************1111"},
      {"4111\xA0"
       "1111\xA0"
       "1111\xA0"
       "1111",
       "************1111"},
      {"4111\xE2\x80\x93"
       "1111\xE2\x80\x94"
       "1111\xE2\x80\x8B"
       "1111",
       "************1111"},
      {"\xEF\xBC\x94\xEF\xBC\x91\xEF\xBC\x91\xEF\xBC\x91 1111 1111 1111", "************1111"},
      {"٤١١١١١١١١١١١١١١١", "************1111"},
      {std::string("4\0001\0001\0001\0001\0001\0001\0001\0001\0001\0001\0001\0001\0001\0001\0001\0", 32),
       std::string("************1111\0", 17)},
      // Beside other numbers.
      {"12 4111 1111 1111 1111 99", "12 ************1111 99"},
      {"4111111111111111 4497913965512794052", "************1111 ***************4052"},
      {"4111111111111111 222233334", "**************** 222233334"},
      {"0004111111111111111", "***************1111"},
      {"41111111111111112512123", "*******************2123"},
      {"4111111111111111.0", "************1111.0"},
      // What tools make of a number.
      {"4.111111111111111e+15", "4.***********1111e+15"},
      {"4.1111111111E15", "4.******1111E15"},
      {"4.111111111111111e+8", "4.111111111111111e+8"},
      {"4.111111111111111e+180", "4.111111111111111e+180"},
      {"4.111111111111111e-15", "4.111111111111111e-15"},
      {"1.730134684025e+12", "1.730134684025e+12"},
      // Tracks.
      {"%B4000000000000002^DOE/JOHN^2512101000000000000?", "[track]"},
      {"x ;4000000000000002=25121010000012300? y", "x [track] y"},
      {";4000000000000002=2512?", "[track]"},
      {";4000000000000001=2512?", "[track]"},
      {"4000000000000002=2512101000", "[track]"},
      {"B4000000000000002^DOE/JOHN^2512101", "[track]"},
      {"4000000000000002D25122011234567890FFFF", "[track]"},
      // None of them.
      {"4111111111111112", "4111111111111112"},
      {"12345678901", "12345678901"},
      {"5018 0000 0009", "5018 0000 0009"},
      {"1730134684", "1730134684"},
      {"1730134684025", "1730134684025"},
      {"1730134684025123", "1730134684025123"},
      {"1730134684025123456", "1730134684025123456"},
      {"1000000000000008", "1000000000000008"},  // passes, and is a time
      {"1000000000000008 4111111111111111", "1000000000000008 ************1111"},
      {"4111111111111111 1000000000000008", "************1111 1000000000000008"},
      // Zeros have the right check digit, and are no number; nor are a few digits behind them.
      {"0000000000000000", "0000000000000000"},
      {"0000000000000018", "0000000000000018"},
      {"0.0000000000000000018", "0.0000000000000000018"},
      {"1000000000000000000.00", "1000000000000000000.00"},
      {"10000000000000000000", "10000000000000000000"},
      {"25000000000000000000000000000000000000.50", "25000000000000000000000000000000000000.50"},
      {"1,000,000,000,000,000,000.00", "1,000,000,000,000,000,000.00"},
      {"7 000 000 000 000 000 000", "7 000 000 000 000 000 000"},
      // But what stands behind zeros may be one, and what has zeros in it.
      {"0004111111111111111", "***************1111"},
      {"000 4111111111111111", "***************1111"},
      {"0000 4111 1111 1111 1111", "0000 ************1111"},
      {"4000000000000002", "************0002"},
      {"00000000000000000000000004111111111111111", "*************************************1111"},
      {"3cb54a489fb351f73a7db98f6c7bb1ad", "3cb54a489fb351f73a7db98f6c7bb1ad"},
      {"3cb54a4111111111111111a1ad", "3cb54a4111111111111111a1ad"},
      {"41111111-1111-1111-1111-123456789012", "41111111-1111-1111-1111-123456789012"},
      {"pan_41111111111111110000000000000abc", "pan_41111111111111110000000000000abc"},
      {"2024-10-28 15:58:04.123456", "2024-10-28 15:58:04.123456"},
      {"+1 202-555-0143", "+1 202-555-0143"},
      {"34.384510 -81.621062", "34.384510 -81.621062"},
      {"192.168.100.200", "192.168.100.200"},
      {"41111111.11111111", "41111111.11111111"},
      {"4111    1111    1111    1111", "4111    1111    1111    1111"},
  };
  for (const auto& [text, masked] : cases) {
    EXPECT_EQ(mask_card_numbers(text), masked) << text;
    EXPECT_EQ(mask_card_numbers(masked), masked) << text;
    EXPECT_EQ(holds_card_number(text), text != masked) << text;
  }
}

TEST(Mask, HidesAnyLongNumberWhereTheLayoutIsBroken) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"[12345678,\"x4497913965512794059y\"]", "[****5678,\"x***************4059y\"]"},
      {"1730134684025 1730134684 1234567", "1730134684025 1730134684 1234567"},
      {"34.38451000 -81.6210621234", "34.38451000 -81.6210621234"},
      {"4929 0000 0012 3457", "************3457"},
  };
  for (const auto& [text, masked] : cases) {
    EXPECT_EQ(mask_card_numbers(text, Masking::kAny), masked) << text;
    EXPECT_EQ(mask_card_numbers(masked, Masking::kAny), masked) << text;
  }
}

TEST(Mask, FindsEveryCardNumberHoweverGrouped) {
  const std::vector<std::string> gaps = {" ", "-", "  ", " - ", "\xC2\xA0", "\xE2\x80\x91", "\xE2\x80\x89", "\n", "\xE2\x80\x8B"};
  const std::vector<std::string> around = {"", " ", "x", "é", "\"", "(", "#", ": ", "\n\n\n\n", "*", "ref. "};
  std::mt19937_64 random(20241028);
  for (int i = 0; i < 50000; ++i) {
    const std::string number = card_number(random, 13 + random() % 7);
    std::string written = around[random() % around.size()];
    const std::string& gap = gaps[random() % gaps.size()];
    size_t group = 0;
    for (size_t d = 0; d < number.size(); ++d, ++group) {
      // A group that reads as a time splits the number: no card is written so.
      if (d > 0 && group > 0 && random() % 4 == 0 && group != 10) {
        written += gap;
        group = 0;
      }
      written += number[d];
    }
    written += around[random() % around.size()];
    const std::string masked = mask_card_numbers(written);
    ASSERT_EQ(mask_card_numbers(masked), masked) << written;
    if (group == 10 || written.find(number.substr(0, 10)) == std::string::npos) continue;
    ASSERT_EQ(masked.find(number.substr(0, 9)), std::string::npos) << written;
    ASSERT_NE(masked.find(number.substr(number.size() - 4)), std::string::npos) << written;
  }
}

TEST(Mask, KeepsNumbersThatAreNoCards) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 50000; ++i) {
    std::string number = std::to_string(1 + random() % 9);
    const size_t size = 1 + random() % 19;
    while (number.size() < size) number += static_cast<char>('0' + random() % 10);
    const bool is_time = number[0] == '1' && (size == 10 || size == 13 || size == 16 || size == 19);
    const bool is_card = size >= 13 && passes_luhn(number) && !is_time;
    ASSERT_EQ(holds_card_number("(" + number + ")"), is_card) << number;
  }
}

TEST(Mask, IsIdempotentOnWhateverComes) {
  std::mt19937_64 random(20241028);
  const std::string alphabet = "01234567890123456789012345678901234567890  --..*ex=?;^D,_%B";
  for (int i = 0; i < 50000; ++i) {
    std::string text;
    for (size_t p = random() % 8; p > 0; --p) {
      if (random() % 3 == 0) {
        text += card_number(random, 12 + random() % 9);
        text += " -.,*\n=^"[random() % 8];
      } else {
        for (size_t n = random() % 30; n > 0; --n) text += alphabet[random() % alphabet.size()];
      }
    }
    for (const Masking masking : {Masking::kLikely, Masking::kAny}) {
      const std::string once = mask_card_numbers(text, masking);
      ASSERT_EQ(mask_card_numbers(once, masking), once) << text;
    }
  }
}

TEST(Mask, HidesAKnownCardNumberAnywhere) {
  std::string text = "x12345678y 123456781234567812345678";
  hide_card_number("12345678", &text);
  EXPECT_EQ(text, "x****5678y ****5678****5678****5678");
  hide_card_number("", &text);
  EXPECT_EQ(text, "x****5678y ****5678****5678****5678");
  for (const std::string written : {"12 34-56.78", "1234 5678", "1\xC2\xA0" "2345678", "12_345_678"}) {
    text = "a " + written + " b";
    hide_card_number("12345678", &text);
    EXPECT_EQ(text, "a ****5678 b") << written;
  }
  text = "1212312312";  // overlapping
  hide_card_number("12312", &text);
  EXPECT_EQ(text.find("12312"), std::string::npos);
}

TEST(Mask, TakesTimeInProportion) {
  const auto seconds = [](const std::string& text) {
    const auto start = std::chrono::steady_clock::now();
    EXPECT_FALSE(mask_card_numbers(text).empty());
    mask_card_numbers(text, Masking::kAny);
    std::string hidden = text;
    hide_card_number("1111111111111111111", &hidden);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  for (const std::string piece : {"1", "1 ", "a1", "4111111111111111=", "4111111111111111^", "f1", "1-", "%B", "1.2"}) {
    std::string text;
    while (text.size() < 2000000) text += piece;
    // What took the square of its length would take hours.
    EXPECT_LT(seconds(text), 20) << piece;
  }
}

}  // namespace
}  // namespace fraud
