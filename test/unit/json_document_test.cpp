// What is read without the JSON library is what the library reads.
#include "core/payments/json_document.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace fraud {
namespace {

std::string show(const Document& document, size_t node) {
  std::string text = std::to_string(static_cast<int>(document.kind(node))) + ":";
  if (!document.is_container(node)) return text + std::string(document.text(node)) + ";";
  text += std::to_string(document.size(node)) + "(";
  for (size_t child = Document::first(node); child < document.next(node); child = document.next(child)) text += show(document, child);
  return text + ")";
}

// Reads the text as an element of an array, beside a string that only the library reads or one that
// it need not read.
std::string reading(const std::string& text, bool by_library) {
  Document document;
  const Document::Reading reading = document.read("[" + text + (by_library ? ",\"\\u0041\"]" : ",\"A\"]"));
  std::string shown = std::to_string(static_cast<int>(reading)) + " " + std::to_string(document.depth()) + (document.is_clean() ? " " : " not ");
  if (reading == Document::Reading::kWhole) shown += show(document, 0);
  return shown;
}

}  // namespace

TEST(JsonDocument, PlainReadingIsTheLibrarys) {
  std::vector<std::string> texts = {
      R"({"a":1,"b":[true,false,null,{}],"c":{"d":[]},"e":"x y"})", R"( { "a" : -1.50 , "b" : [ 1 , 2 ] } )", "0", "-0", "-0.0", "01", "-",
      "1.", ".5", "1e5", "1E400", "4497913965512794052", "99999999999999999999999", "-99999999999999999999999", "1.0000000000000000000001",
      R"("ü")", "\"\xC3\"", "\"\xED\xA0\x80\"", "\"\x7F\"", "\"\x1F\"", "\"a\tb\"", R"("a\\b")", R"("\ud800")", "NaN", "nul", "truex", "[1,]", "[,1]",
      R"({"a"})", R"({"a":})", R"({"a":1,})", R"({1:2})", "[1 2]", "[1]]", "{]", "", "1,2", "\xEF\xBB\xBF" "1", "[\"\xC3\",\"\xA9\"]", "+1", "1.5.2", "--1", "1-2",
      std::string(15, '[') + std::string(15, ']'), std::string(16, '[') + std::string(16, ']'), "/* c */ 1", std::string("1\0", 2), std::string(400, '9')};
  for (const std::string& text : texts) EXPECT_EQ(reading(text, false), reading(text, true)) << text;
  // And of texts that are nearly JSON.
  std::mt19937 random(5);
  const std::string bytes = "{}[]\":,0123456789.-+eE ntrufalsxyz\\\xC3\xA9";
  for (int i = 0; i < 20000; ++i) {
    std::string text = texts[random() % 2];
    for (int edit = 0; edit < 1 + i % 3; ++edit) {
      const size_t at = random() % text.size();
      if (random() % 2 == 0) {
        text[at] = bytes[random() % bytes.size()];
      } else {
        text.erase(at, 1);
      }
    }
    ASSERT_EQ(reading(text, false), reading(text, true)) << text;
  }
}

TEST(JsonDocument, WhatIsAddedStandsBehindWhatWasRead) {
  Document document;
  ASSERT_EQ(document.read(R"({"a":{"b":[1,{"c":"x"}]},"d":2})"), Document::Reading::kWhole);
  const std::string before = show(document, 0);
  const size_t a = Document::first(0) + 1;
  const size_t object = document.open_container(Kind::kObject);
  (void)document.add_scalar(Kind::kString, "copy");
  const size_t copy = document.add_copy(a);
  document.close_container();
  EXPECT_EQ(show(document, copy), show(document, a));
  EXPECT_EQ(document.size(object), 2u);
  EXPECT_EQ(document.text(document.add_scalar(Kind::kInteger, "7")), "7");
  EXPECT_EQ(show(document, 0), before);
}

}  // namespace fraud
