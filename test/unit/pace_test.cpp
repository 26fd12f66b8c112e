// When a source is asked next, and with which token.
#include "core/requests/pace.h"

#include <gtest/gtest.h>

namespace fraud {
namespace {

constexpr int64_t kSecond = 1000000, kNow = 1730134744999999;

TEST(Pace, APageIsAskedForAtOnceWithinTheRateLimit) {
  EXPECT_EQ(page_due(kNow, kNow, 0), kNow);                      // no limit
  EXPECT_EQ(page_due(kNow, 0, 1), kNow);                         // the first
  EXPECT_EQ(page_due(kNow, kNow - 60 * kSecond, 1), kNow);       // long enough ago
  EXPECT_EQ(page_due(kNow, kNow - kSecond, 30), kNow + kSecond);  // one each two seconds
}

TEST(Pace, PausesAddUpToTheRateLimit) {
  EXPECT_EQ(rate_pause_us(0), 0);
  for (int limit : {1, 7, 60, 100, 100000}) {
    EXPECT_LE(rate_pause_us(limit) * limit, 60 * kSecond) << limit;
    EXPECT_GT((rate_pause_us(limit) + 1) * limit, 60 * kSecond) << limit;
  }
}

TEST(Pace, RetriesComeLaterAndLaterUpToTheMost) {
  EXPECT_EQ(retry_delay_us(0, 300, 1, {}), kSecond);
  EXPECT_EQ(retry_delay_us(1, 300, 1, {}), 2 * kSecond);
  EXPECT_EQ(retry_delay_us(8, 300, 1, {}), 256 * kSecond);
  for (int failures : {9, 20, 31, 63, 64, 1000000}) EXPECT_EQ(retry_delay_us(failures, 300, 1, {}), 300 * kSecond) << failures;
  EXPECT_EQ(retry_delay_us(3, 1, 1, {}), kSecond);
}

TEST(Pace, RetriesOfMoreAreSpread) {
  EXPECT_EQ(retry_delay_us(2, 300, 0.8, {}), 3200000);
  EXPECT_EQ(retry_delay_us(2, 300, 1.2, {}), 4800000);
}

TEST(Pace, TheServerSaysNotBeforeButNotForDays) {
  EXPECT_EQ(retry_delay_us(0, 300, 1, 30), 30 * kSecond);
  EXPECT_EQ(retry_delay_us(6, 300, 1, 30), 64 * kSecond);  // ours is longer
  EXPECT_EQ(retry_delay_us(0, 300, 1, 0), kSecond);
  EXPECT_EQ(retry_delay_us(0, 300, 1, 86400), 3600 * kSecond);
}

TEST(Pace, ATokenIsRenewedBeforeItEnds) {
  EXPECT_EQ(token_use_us(3600), 3570 * kSecond);
  EXPECT_EQ(token_use_us(120), 90 * kSecond);
  EXPECT_EQ(token_use_us(8), 6 * kSecond);  // a quarter of a short one
  EXPECT_EQ(token_use_us(0), token_use_us(3600));
}

}  // namespace
}  // namespace fraud
