#include "core/payments/time_template.h"

#include <gtest/gtest.h>

namespace {

TEST(TimeTemplate, NamesThePartsAsPostgresDoes) {
  char unknown = '!';
  EXPECT_EQ(fraud::template_of_strptime("%d/%m/%Y %H:%M:%S", &unknown), "DD/MM/YYYY HH24:MI:SS");
  EXPECT_EQ(fraud::template_of_strptime("%FT%T.%f%z", &unknown), "YYYY-MM-DD\"T\"HH24:MI:SS.USTZH:TZM");
  EXPECT_EQ(fraud::template_of_strptime("%b %j, %I %p", &unknown), "Mon DDD, HH12 AM");
  EXPECT_EQ(unknown, '!');
}

// What is no part must not be taken for one: "HH" and "day" would be.
TEST(TimeTemplate, QuotesWhatStandsBetween) {
  char unknown = '!';
  EXPECT_EQ(fraud::template_of_strptime("day %d HH %H", &unknown), "\"day\" DD \"HH\" HH24");
  EXPECT_EQ(fraud::template_of_strptime("a\"b\\c%d", &unknown), "\"a\\\"b\\\\c\"DD");
  EXPECT_EQ(fraud::template_of_strptime("", &unknown), "");
}

TEST(TimeTemplate, TellsThePartThatIsNotKnown) {
  char unknown = '!';
  EXPECT_EQ(fraud::template_of_strptime("%Y %Q", &unknown), std::nullopt);
  EXPECT_EQ(unknown, 'Q');
  EXPECT_EQ(fraud::template_of_strptime("%Y%", &unknown), std::nullopt);
  EXPECT_EQ(unknown, '\0');
  EXPECT_EQ(fraud::template_of_strptime("%%", &unknown), std::nullopt);
  EXPECT_EQ(unknown, '%');
}

TEST(TimeTemplate, ListsWhatItKnows) {
  for (size_t i = 0; i + 1 < fraud::kStrptimeParts.size(); ++i) {
    if (fraud::kStrptimeParts[i] != '%') continue;
    char unknown = '!';
    EXPECT_TRUE(fraud::template_of_strptime(fraud::kStrptimeParts.substr(i, 2), &unknown)) << fraud::kStrptimeParts.substr(i, 2);
  }
}

}  // namespace
