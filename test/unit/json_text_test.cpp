// JSON that is written and read without the library's header says what the library does.
#include "core/base/json_text.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace fraud {
namespace {

TEST(JsonText, WritesStrings) {
  EXPECT_EQ(json_string(""), R"("")");
  EXPECT_EQ(json_string("a\"b\\c\n\x01"), R"("a\"b\\c\n\u0001")");
  EXPECT_EQ(json_string("Z\xC3\xBCrich"), "\"Z\xC3\xBCrich\"");
  EXPECT_EQ(json_string("\xFF!"), "\"\xEF\xBF\xBD!\"");
  EXPECT_EQ(json_string(std::string_view("a\0b", 3)), R"("a\u0000b")");
}

TEST(JsonText, WritesNumbers) {
  EXPECT_EQ(json_number(0.1), "0.1");
  EXPECT_EQ(json_number(12), "12.0");
  EXPECT_EQ(json_number(std::nan("")), "null");
  EXPECT_EQ(json_number(std::numeric_limits<double>::infinity()), "null");
  for (double value : {1e-5, 1.0 / 3, 1e22, -5e-324}) EXPECT_EQ(nlohmann::json::parse(json_number(value)).get<double>(), value);
}

TEST(JsonText, WritesObjectsMemberByMember) {
  EXPECT_EQ(JsonObject().text(), "{}");
  JsonObject object;
  object.add("id", int64_t{-7}).add("seed", std::numeric_limits<uint64_t>::max()).add("text", "\"").add("is", true);
  object.add("reasons", std::vector<std::string>{"a", "b\n"}).add("none", std::vector<std::string>{}).add_null("nothing");
  object.add("score", 0.5).add_json("attributes", R"({"a": [1e400]})").add("\"", std::string("x"));
  EXPECT_EQ(object.text(),
            R"({"id":-7,"seed":18446744073709551615,"text":"\"","is":true,"reasons":["a","b\n"],"none":[],)"
            R"("nothing":null,"score":0.5,"attributes":{"a": [1e400]},"\"":"x"})");
}

TEST(JsonText, ReadsMembersByName) {
  const auto members = json_members(R"({"x-b": "1", "Accept": "", "x-a": 5})");
  ASSERT_TRUE(members);
  const std::vector<std::pair<std::string, std::string>> expected = {{"Accept", ""}, {"x-a", ""}, {"x-b", "1"}};
  EXPECT_EQ(*members, expected);
  EXPECT_FALSE(json_members("[]"));
  EXPECT_FALSE(json_members("{"));
}

TEST(JsonText, ReadsStrings) {
  EXPECT_EQ(json_content(R"("a\u00fcb")"), "a\xC3\xBC" "b");
  EXPECT_FALSE(json_content(R"("\ud800")"));
  EXPECT_FALSE(json_content("5"));
  EXPECT_TRUE(is_json("-0.5e3"));
  EXPECT_FALSE(is_json("01"));
}

}  // namespace
}  // namespace fraud
