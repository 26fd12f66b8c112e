#include "core/features/exact_sum.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace fraud {
namespace {

// A double of any magnitude that sums exactly: bits from 2^-76 to 2^63.
double any_value(std::mt19937_64& random) {
  const double mantissa = static_cast<double>(static_cast<int64_t>(random() >> 11)) / 9007199254740992.0;
  const double value = std::ldexp(mantissa, static_cast<int>(random() % 130) - 70);
  return random() % 2 == 0 ? value : -value;
}

double sum_of(const std::vector<double>& values) {
  Sum sum;
  for (double value : values) add_value(sum, DoubleParts(value), false);
  return sum.value();
}

TEST(ExactSum, IsTheNearestDouble) {
  EXPECT_EQ(sum_of({}), 0.0);
  EXPECT_EQ(sum_of({0.1, 0.2}), 0.1 + 0.2);
  EXPECT_EQ(sum_of({1e19, 1, -1e19}), 1.0);
  EXPECT_EQ(sum_of({-0.5}), -0.5);
  EXPECT_EQ(sum_of({9007199254740992.0, 1}), 9007199254740992.0);       // tie: to even
  EXPECT_EQ(sum_of({9007199254740994.0, 1}), 9007199254740996.0);       // tie: to even
  EXPECT_EQ(sum_of({9007199254740992.0, 1, std::ldexp(1, -120)}), 9007199254740994.0);
  EXPECT_EQ(sum_of({-9007199254740992.0, -1, -std::ldexp(1, -120)}), -9007199254740994.0);
}

// One rounding of the whole sum, as the compiler's 128-bit floats give it.
TEST(ExactSum, AgreesWithWiderArithmetic) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 2000; ++round) {
    std::vector<double> values;
    __float128 wide = 0;
    for (int i = 0; i < 20; ++i) {
      // 53 bits within 2^-20 … 2^40: their sum fits in 113 bits.
      const double value =
          std::ldexp(static_cast<double>(static_cast<int64_t>(random()) >> 11), static_cast<int>(random() % 40) - 40);
      values.push_back(value);
      wide += value;
    }
    ASSERT_EQ(sum_of(values), static_cast<double>(wide));
  }
}

TEST(ExactSum, DoesNotDependOnOrderOrOnWhatCameAndWent) {
  std::mt19937_64 random(2);
  for (int round = 0; round < 200; ++round) {
    std::vector<double> values(1 + random() % 50);
    for (double& value : values) value = any_value(random);
    Sum once;
    SumOfSquares once_squared;
    for (double value : values) {
      ASSERT_TRUE(sums_exactly(DoubleParts(value)));
      add_value(once, DoubleParts(value), false);
      add_square(once_squared, DoubleParts(value), false);
    }
    Sum sum;
    SumOfSquares squared;
    std::vector<double> others(30);
    for (double& value : others) {
      value = any_value(random);
      add_value(sum, DoubleParts(value), false);
      add_square(squared, DoubleParts(value), false);
    }
    std::shuffle(values.begin(), values.end(), random);
    for (double value : values) {
      add_value(sum, DoubleParts(value), false);
      add_square(squared, DoubleParts(value), false);
    }
    for (double value : others) {
      add_value(sum, DoubleParts(value), true);
      add_square(squared, DoubleParts(value), true);
    }
    for (size_t i = 0; i < 4; ++i) ASSERT_EQ(once.limbs()[i], sum.limbs()[i]);
    for (size_t i = 0; i < 8; ++i) ASSERT_EQ(once_squared.limbs()[i], squared.limbs()[i]);
  }
}

TEST(ExactSum, VarianceKeepsWhatCancels) {
  // In plain doubles, n * sum of squares and the sum's square are equal here.
  Sum sum;
  SumOfSquares squares;
  for (double value : {1e9, 1e9 + 0.125, 1e9 + 0.25}) {
    add_value(sum, DoubleParts(value), false);
    add_square(squares, DoubleParts(value), false);
  }
  EXPECT_EQ(scaled_variance(3, sum, squares), 3 * (0.125 * 0.125 + 0.25 * 0.25) - 0.375 * 0.375);
  // Of equal values it is zero, and never below.
  Sum same;
  SumOfSquares same_squares;
  for (int i = 0; i < 7; ++i) {
    add_value(same, DoubleParts(-0.1), false);
    add_square(same_squares, DoubleParts(-0.1), false);
  }
  EXPECT_EQ(scaled_variance(7, same, same_squares), 0.0);
}

TEST(ExactSum, KnowsItsLimits) {
  EXPECT_TRUE(sums_exactly(DoubleParts(0.0)));
  EXPECT_TRUE(sums_exactly(DoubleParts(std::ldexp(1, 63))));
  EXPECT_FALSE(sums_exactly(DoubleParts(std::ldexp(1, 64))));
  EXPECT_TRUE(sums_exactly(DoubleParts(std::ldexp(1, -128))));
  EXPECT_FALSE(sums_exactly(DoubleParts(std::ldexp(1, -129))));
  EXPECT_FALSE(sums_exactly(DoubleParts(std::ldexp(1.5, -128))));
  EXPECT_FALSE(sums_exactly(DoubleParts(5e-324)));
}

}  // namespace
}  // namespace fraud
