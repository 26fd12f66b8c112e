#include "core/base/json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace fraud {
namespace {

// Texts that say something different from each other about what is kept and how it is written.
const char* const kTexts[] = {
    "null", "true", "0", "-7", "18446744073709551615", "-9223372036854775808", "1e2", "0.1", "2.5e-300", "123456789012345678901",
    R"("a\"\\\u0000é\ud83d\ude00")", "[]", "{}", "[1,[2,{\"a\":[]}],null]", R"({"b":1,"a":{"d":2,"c":3}})",
    R"({"b":1,"a":2,"b":3})", R"({"":0,"aa":1,"b":2})",
};

TEST(Json, IsWrittenAsTheLibraryWritesIt) {
  for (const char* text : kTexts) {
    EXPECT_EQ(Json::parse(text).dump(), nlohmann::ordered_json::parse(text).dump()) << text;
    EXPECT_EQ(Json::parse(text, Json::Order::kByName).dump(), nlohmann::json::parse(text).dump()) << text;
  }
}

TEST(Json, RefusesWhatTheLibraryRefuses) {
  for (const char* text : {"", " ", "{", "[1,]", "{\"a\"}", "01", "nul", "1e999", "\"\xff\"", "[1] 2", "{\"a\":1,}"}) {
    EXPECT_TRUE(nlohmann::json::parse(text, nullptr, false).is_discarded()) << text;
    EXPECT_FALSE(Json::parse(text).is_readable()) << text;
  }
}

// Taking a value apart recurses, so that what a server answers must not be as deep as it likes.
TEST(Json, HasADepthThatIsBounded) {
  const auto nested = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_TRUE(Json::parse(nested(1000)).is_readable());
  EXPECT_FALSE(Json::parse(nested(1001)).is_readable());
  EXPECT_FALSE(Json::parse(std::string(10000000, '[')).is_readable());
}

TEST(Json, ReadsAnObjectOfManyMembersInTheirOrder) {
  std::string text = "{";
  constexpr int kMembers = 200000;
  for (int i = kMembers; i > 0; --i) text += "\"" + std::to_string(i) + "\":" + std::to_string(i) + (i > 1 ? "," : "}");
  const Json read = Json::parse(text);
  ASSERT_EQ(read.size(), static_cast<size_t>(kMembers));
  EXPECT_EQ(read.names().front(), std::to_string(kMembers));
  const Json by_name = Json::parse(text, Json::Order::kByName);
  EXPECT_EQ(by_name.names().front(), "1");
}

TEST(Json, GivesTheZeroOfATypeThatAValueHasNot) {
  const Json read = Json::parse(R"({"text": "x", "large": 18446744073709551615, "float": 1.5, "yes": true})");
  EXPECT_EQ(read["text"].integer(), 0);
  EXPECT_EQ(read["float"].integer(), 0);
  EXPECT_EQ(read["float"].number(), 1.5);
  EXPECT_EQ(read["large"].integer(), INT64_MAX);
  EXPECT_EQ(read["large"].number(), 18446744073709551615.0);
  EXPECT_TRUE(read["yes"].boolean());
  EXPECT_FALSE(read["text"].boolean());
  EXPECT_EQ(read["none"].text(), "");
  EXPECT_TRUE(read["none"].is_null());
  EXPECT_FALSE(read.contains("none"));
  EXPECT_TRUE(Json("text")["a"].is_null());
}

TEST(Json, IsBuiltAndChanged) {
  Json object = Json::object({{"b", 1}, {"a", Json::array({true, nullptr, 2.0, "x"})}});
  object["c"] = std::vector<std::string>{"y", "z"};
  object["b"] = uint64_t{18446744073709551615u};
  object.erase("missing");
  EXPECT_EQ(object.dump(), R"({"b":18446744073709551615,"a":[true,null,2.0,"x"],"c":["y","z"]})");
  object.erase("a");
  EXPECT_EQ(object.dump(), R"({"b":18446744073709551615,"c":["y","z"]})");
  EXPECT_EQ(Json("\xff").dump(), "\"\xef\xbf\xbd\"");
  Json nothing;
  nothing["a"] = 1;
  EXPECT_TRUE(nothing.is_object());
  EXPECT_EQ(nothing.dump(), R"({"a":1})");
}

}  // namespace
}  // namespace fraud
