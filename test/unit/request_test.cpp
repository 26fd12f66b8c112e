// What a source's request becomes at each page, and where it goes on.
#include "core/requests/request.h"

#include <gtest/gtest.h>

#include "core/base/error.h"

namespace fraud {
namespace {

constexpr int64_t kSince = 1730134684025000, kNow = 1730134744999999;

std::string fault_of(const std::string& request, const std::string& secrets = "{}") {
  try {
    (void)Request::parse(request, secrets);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return error.what() + std::string("|") + error.hint();
  }
  return "";
}

std::string query_of(const PageRequest& page) {
  std::string text;
  for (const auto& [name, value] : page.query) text += (text.empty() ? "" : "&") + url_encoded(name) + "=" + url_encoded(value);
  return text;
}

TEST(RequestTemplate, Values) {
  RequestValues values;
  values.since_us = kSince;
  values.now_us = kNow;
  values.cursor = "a\"b&c\n";
  values.page = 3;
  EXPECT_EQ(RequestTemplate("{{since}}").render(values), "2024-10-28T16:58:04.025Z");
  EXPECT_EQ(RequestTemplate("x{{ since:epoch }}-{{since:epoch_ms}}-{{since:epoch_us}}-{{now:date}}").render(values),
            "x1730134684-1730134684025-1730134684025000-2024-10-28");
  EXPECT_EQ(RequestTemplate("{\"c\": \"{{cursor}}\", \"p\": {{page}}}").render(values, Escaping::kJson),
            "{\"c\": \"a\\\"b&c\\n\", \"p\": 3}");
  EXPECT_EQ(RequestTemplate("c={{cursor}}").render(values, Escaping::kForm), "c=a%22b%26c%0A");
  values.since_us = -1;
  EXPECT_EQ(RequestTemplate("{{since:epoch}} {{since:epoch_ms}}").render(values), "-1 -1");
}

TEST(RequestTemplate, Faults) {
  for (const char* text : {"{{sinse}}", "{{since:weeks}}", "{{cursor:date}}", "{{", "a {{now", "{{}}", "{{page:iso}}"}) {
    EXPECT_THROW(RequestTemplate{text}, Error) << text;
  }
  EXPECT_EQ(RequestTemplate("} } {x}").render({}), "} } {x}");
}

TEST(JsonPath, Finds) {
  const std::string body = R"( {"data": {"list": [{"id": "a", "n": 1}, {"id": "b", "n": 20000000000000000001}], "odd key": true},
    "empty": [], "null": null, "twice": "first", "twice": "last", "text": "{\"data\": 1}"} )";
  const auto find = [&](const char* path) { return JsonPath::parse(path, "path").find(body).value_or("(none)"); };
  EXPECT_EQ(find("$.data.list[0].id"), "a");
  EXPECT_EQ(find("$.data.list[last].id"), "b");
  EXPECT_EQ(find("$.data.list[1].n"), "20000000000000000001");
  EXPECT_EQ(find("$.data.\"odd key\""), "true");
  EXPECT_EQ(find("$.twice"), "last");
  for (const char* path : {"$.data", "$.null", "$.data.list[2].id", "$.empty[last]", "$.nix.x", "$.data[0]", "$.twice.x", "$"}) {
    EXPECT_EQ(find(path), "(none)") << path;
  }
  // Wrapped in a JSON string; broken behind what is looked for, and before it.
  EXPECT_EQ(JsonPath::parse("$.a", "path").find(R"("{\"a\":\"x\",\"b\":[]}")"), "x");
  EXPECT_EQ(JsonPath::parse("$.a", "path").find(R"({"a": "x", "b": [)"), "x");
  EXPECT_FALSE(JsonPath::parse("$.a", "path").find(R"({"b": [1, 2}, "a": "x"})"));
  for (const char* text : {"", "{", "[", "\"", "{\"a\"", "{\"a\":", "nul"}) EXPECT_FALSE(JsonPath::parse("$.a", "path").find(text)) << text;
}

TEST(JsonPath, Faults) {
  for (const char* path : {"", "a", "$.", "$a", "$[", "$[x]", "$[-1]", "$[*]", "$.*", "$.a..b", "$.\"a", "$.a ? (@ > 1)", "$[99999999999999999999]"}) {
    EXPECT_THROW(JsonPath::parse(path, "path"), Error) << path;
  }
}

TEST(Request, Query) {
  const Request request = Request::parse(
      R"({"query": {"from": "{{since}}", "a b": "ä&=", "n": 5}, "paging": {"kind": "cursor", "path": "$.next", "size": 50, "size_parameter": "limit"}})", "{}");
  EXPECT_FALSE(request.is_post);
  EXPECT_EQ(query_of(request.page("", kSince, kNow)), "a%20b=%C3%A4%26%3D&from=2024-10-28T16%3A58%3A04.025Z&n=5&limit=50");
  EXPECT_EQ(query_of(request.page("x/y", kSince, kNow)), "a%20b=%C3%A4%26%3D&from=2024-10-28T16%3A58%3A04.025Z&n=5&cursor=x%2Fy&limit=50");
  EXPECT_FALSE(request.page("", kSince, kNow).body);
}

TEST(Request, Bodies) {
  const Request json = Request::parse(
      R"({"body": {"from": "{{since:epoch_ms}}", "page": "{{page}}", "q": ["p{{page}}"]}, "paging": {"kind": "page"}})", "{}");
  EXPECT_TRUE(json.is_post);
  EXPECT_EQ(json.page("4", kSince, kNow).body, R"({"from":1730134684025,"page":4,"q":["p4"]})");
  EXPECT_EQ(json.page("", kSince, kNow).content_type, "application/json");
  EXPECT_TRUE(json.page("", kSince, kNow).query.empty());
  const Request cursor = Request::parse(R"({"body": {"after": "{{cursor}}"}, "paging": {"kind": "cursor", "path": "$.n"}})", "{}");
  EXPECT_EQ(cursor.page("", 0, 0).body, R"({"after":null})");
  EXPECT_EQ(cursor.page("\"}", 0, 0).body, R"({"after":"\"}"})");
  const Request text = Request::parse(R"({"body": "{\"after\": \"{{cursor}}\"}", "paging": {"kind": "cursor", "header": "X-Next"}})", "{}");
  EXPECT_EQ(text.page("\"}", 0, 0).body, R"({"after": "\"}"})");
  EXPECT_EQ(text.page("", 0, 0).content_type, "application/json");
  const Request form = Request::parse(R"({"body": "from={{since}}"})", "{}");
  EXPECT_EQ(form.page("", kSince, 0).body, "from=2024-10-28T16%3A58%3A04.025Z");
  EXPECT_EQ(form.page("", 0, 0).content_type, "application/x-www-form-urlencoded");
}

NextPage after(const char* paging, const std::string& position, const char* body, size_t payments, const char* link = "", const char* header = "") {
  const Request request = Request::parse(std::string("{\"paging\": ") + paging + "}", "{}");
  return request.next(position, {body, link, header, payments});
}

void expect_next(const NextPage& next, bool is_more, const char* position) {
  EXPECT_EQ(next.fault, "");
  EXPECT_EQ(next.is_more, is_more);
  EXPECT_EQ(next.position, position);
}

TEST(Request, Cursors) {
  const char* plain = R"({"kind": "cursor", "path": "$.next"})";
  expect_next(after(plain, "", R"({"next": "b"})", 5), true, "b");
  expect_next(after(plain, "b", R"({"next": null})", 5), false, "");
  expect_next(after(plain, "b", R"({"next": ""})", 5), false, "");
  expect_next(after(plain, "b", R"({"next": false})", 5), false, "");
  // What is no cursor is not the end, of which nobody would hear.
  EXPECT_EQ(after(plain, "b", R"({"next": {"id": 7}})", 5).fault, "the answer's next cursor is an array or an object: the path must lead to one value");
  EXPECT_EQ(after(plain, "b", R"({"next": [7]})", 5).fault, "the answer's next cursor is an array or an object: the path must lead to one value");
  expect_next(after(plain, "b", R"({"next": "c"})", 0), true, "c");
  EXPECT_NE(after(plain, "b", R"({"next": "b"})", 5).fault, "");
  EXPECT_NE(after(plain, "b", (R"({"next": ")" + std::string(10000, 'x') + "\"}").c_str(), 5).fault, "");
  const char* more = R"({"kind": "cursor", "path": "$.next", "more": "$.more"})";
  expect_next(after(more, "b", R"({"next": "c", "more": false})", 5), false, "");
  expect_next(after(more, "b", R"({"next": "c", "more": true})", 5), true, "c");
  const char* kept = R"({"kind": "cursor", "header": "X-Next", "keep": true})";
  expect_next(after(kept, "b", "", 5, "", "c"), true, "c");
  expect_next(after(kept, "b", "", 0, "", "c"), false, "c");
  expect_next(after(kept, "b", "", 0, "", "b"), false, "b");
  expect_next(after(kept, "b", "", 0), false, "b");
}

TEST(Request, PagesAndOffsets) {
  const char* page = R"({"kind": "page", "size": 10})";
  expect_next(after(page, "", "", 10), true, "2");
  expect_next(after(page, "2", "", 9), false, "");
  expect_next(after(R"({"kind": "page", "start": 0})", "", "", 1), true, "1");
  expect_next(after(R"({"kind": "page", "start": 0})", "1", "", 0), false, "");
  expect_next(after(R"({"kind": "page", "size": 10, "keep": true})", "2", "", 9), false, "2");
  expect_next(after(R"({"kind": "page", "more": "$.more"})", "2", R"({"more": true})", 0), true, "3");
  const char* offset = R"({"kind": "offset", "size": 10})";
  expect_next(after(offset, "", "", 10), true, "10");
  expect_next(after(offset, "10", "", 3), false, "");
  expect_next(after(R"({"kind": "offset", "keep": true})", "10", "", 3), true, "13");
  expect_next(after(R"({"kind": "offset", "keep": true})", "13", "", 0), false, "13");
  expect_next(after(R"({"kind": "offset", "more": "$.more"})", "13", R"({"more": true})", 0), false, "");
}

TEST(Request, Links) {
  EXPECT_EQ(next_link(R"(<https://a/?p=1>; rel="prev", </x?p=3>; title="a, b"; rel="last next")"), "/x?p=3");
  EXPECT_EQ(next_link("<b>;rel=next"), "b");
  EXPECT_EQ(next_link("<b> ; REL = \"NEXT\""), "b");
  for (const char* none : {"", "<b", "<b>", "<b>; rel=prev", "<b>; xrel=next", "<b>; rel=nextish"}) EXPECT_EQ(next_link(none), "") << none;
  expect_next(after(R"({"kind": "link"})", "", "", 1, "<b>; rel=next"), true, "b");
  expect_next(after(R"({"kind": "link", "path": "$.links.next"})", "a", R"({"links": {"next": "b"}})", 1), true, "b");
  expect_next(after(R"({"kind": "link"})", "b", "", 1), false, "");
  const Request link = Request::parse(R"({"query": {"a": 1}, "paging": {"kind": "link"}})", "{}");
  EXPECT_EQ(query_of(link.page("", 0, 0)), "a=1");
  EXPECT_EQ(query_of(link.page("https://a/", 0, 0)), "");
}

TEST(Request, Faults) {
  EXPECT_EQ(fault_of("[]"), "request must be a JSON object, not an array|Its keys are method, query, body, paging, since, auth, tls, rate_limit and conditional.");
  EXPECT_EQ(fault_of(R"({"methode": "GET"})"),
            "unknown key \"methode\" of request|The keys are method, query, body, paging, since, auth, tls, rate_limit and conditional.");
  EXPECT_EQ(fault_of(R"({"paging": {"kind": "cursor"}})"),
            "paging of kind cursor needs either path or header|For example: \"path\": \"$.next_cursor\".");
  for (const char* text :
       {"{", R"({"method": "PUT"})", R"({"method": "GET", "body": {}})", R"({"query": []})", R"({"query": {"a": null}})",
        R"({"query": {"a": "{{x}}"}})", R"({"body": 5})", R"({"body": {"a": ["{{x}}"]}})", R"({"body": "{{x}}"})", R"({"paging": {}})",
        R"({"paging": {"kind": "scroll"}})", R"({"paging": {"kind": "page", "path": "$.a"}})", R"({"paging": {"kind": "cursor", "path": "a"}})",
        R"({"paging": {"kind": "page", "size": 0}})", R"({"paging": {"kind": "page", "start": 1.5}})", R"({"paging": {"kind": "page", "size_parameter": "n"}})",
        R"({"paging": {"kind": "page", "keep": true}})", R"({"paging": {"kind": "link", "keep": true}})", R"({"paging": {"kind": "page", "max_pages": 0}})",
        R"({"query": {"a": "{{cursor}}"}})", R"({"query": {"a": "{{page}}"}, "paging": {"kind": "offset"}})", R"({"query": {"a": "{{size}}"}})",
        R"({"query": {"a": "{{page}}"}, "paging": {"kind": "page", "parameter": "p"}})", R"({"rate_limit": 0})", R"({"rate_limit": "5"})",
        R"({"conditional": 1})", R"({"conditional": true, "body": {}})", R"({"auth": {"kind": "digest"}})", R"({"auth": {"kind": "basic"}})",
        R"({"auth": {"kind": "basic", "user": "a:b"}})", R"({"auth": {"kind": "api_key"}})", R"({"auth": {"kind": "bearer", "scope": "x"}})",
        R"({"auth": {"kind": "api_key", "header": "a b"}})", R"({"tls": {"certificate_file": "x.pem"}})", R"({"tls": {}})", R"({"since": {"overlap": 1, "x": 2}})"}) {
    EXPECT_NE(fault_of(text), "") << text;
  }
}

TEST(Request, Secrets) {
  EXPECT_EQ(fault_of("{}", R"({"password": "x"})"), "unknown secret \"password\"|This request takes none.");
  const char* basic = R"({"auth": {"kind": "basic", "user": "u"}})";
  EXPECT_EQ(fault_of(basic), "request needs the secret password|Give secrets => '{\"password\": \"…\"}'.");
  EXPECT_EQ(fault_of(basic, R"({"password": "x", "token": "y"})"), "unknown secret \"token\"|This request takes password.");
  EXPECT_EQ(fault_of(basic, R"({"password": "x"})"), "");
  EXPECT_NE(fault_of(basic, R"({"password": 5})"), "");
  EXPECT_NE(fault_of(basic, R"({"password": "a\nb"})"), "");
  EXPECT_EQ(Request::parse(basic, R"({"password": "x"})").secret("password"), "x");
}

TEST(Request, Tokens) {
  EXPECT_EQ(read_access_token(R"({"access_token": "abc", "token_type": null, "expires_in": null})").token, "abc");
  const AccessToken token = read_access_token(R"({"access_token": "abc", "token_type": "Bearer", "expires_in": 60})");
  EXPECT_EQ(token.token, "abc");
  EXPECT_EQ(token.lifetime_s, 60);
  EXPECT_EQ(read_access_token(R"({"access_token": "abc", "expires_in": "30"})").lifetime_s, 30);
  EXPECT_EQ(read_access_token(R"({"access_token": "abc"})").lifetime_s, 0);
  EXPECT_EQ(read_access_token(R"({"access_token": "abc", "expires_in": -5e300})").lifetime_s, 0);
  for (const char* text : {"", "[]", "{}", R"({"access_token": 5})", R"({"access_token": ""})", R"({"access_token": "a\nb"})",
                           R"({"access_token": "a", "token_type": "mac"})"}) {
    EXPECT_THROW((void)read_access_token(text), Error) << text;
  }
  EXPECT_EQ(token_error(R"({"error": "invalid_client"})"), "invalid_client");
  EXPECT_EQ(token_error(R"({"error": "secret was 5"})"), "");
  EXPECT_EQ(token_error("x"), "");
}

}  // namespace
}  // namespace fraud
