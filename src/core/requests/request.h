// How a source is asked (fraud.add_source's request): method, query, body, paging, sign-on.
// docs/requests.md has the keys. Knows no network; a poll's steps are told apart here.
#pragma once

#include "core/base/guard.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/requests/json_path.h"
#include "core/requests/request_template.h"

namespace fraud {

enum class PagingKind { kNone, kCursor, kLink, kPage, kOffset };
enum class AuthKind { kNone, kBasic, kBearer, kApiKey, kClientCredentials };

struct Paging {
  PagingKind kind = PagingKind::kNone;
  std::string parameter;           // of the query, that names the page; empty: a placeholder does
  std::optional<JsonPath> path;    // to the next cursor or link
  std::string header;              // that has the next cursor, in lower case
  std::optional<JsonPath> more;    // to whether there are more
  std::string start_cursor;        // of the first page
  int64_t start = 0;               // the first page's number or offset
  std::string size_parameter;
  int64_t size = 0;                // payments a page; 0: the API's own
  int max_pages = 100;             // of a poll
  bool keep = false;               // the next poll goes on where this one ended
};

struct Auth {
  AuthKind kind = AuthKind::kNone;
  std::string user;                // basic
  std::string header, parameter;   // api_key: where the key goes
  std::string token_url, client_id, scope;                        // oauth2_client_credentials
  std::vector<std::pair<std::string, std::string>> parameters;    // likewise, beside these
  bool secret_in_body = false;                                    // likewise, in place of basic
};

// A page's request without what only the network knows.
struct PageRequest {
  std::vector<std::pair<std::string, std::string>> query;  // not encoded yet
  std::optional<std::string> body;
  std::string content_type;
};

// What came of a page.
struct PageAnswer {
  std::string_view body;
  std::string link_header;    // of all Link headers
  std::string cursor_header;
  size_t payments = 0;        // of the answer, those that could not be read too
};

// Where to go on: at a page of this poll, or with the next poll.
struct NextPage {
  bool is_more = false;
  std::string position;  // empty: at the beginning
  std::string fault;     // the poll fails: why
};

class Request {
 public:
  // Throws Error (kInvalidArgument). `json` is the request, `secrets` an object of texts.
  static Request parse(std::string_view json, std::string_view secrets);

  // The request of the page at `position`, which of a link is its URL.
  PageRequest page(const std::string& position, int64_t since_us, int64_t now_us) const;

  // What follows the page at `position`.
  NextPage next(const std::string& position, const PageAnswer& answer, const GiveWay& give_way = {}) const;

  const std::string& secret(const std::string& name) const;
  bool has_secrets() const { return !secrets_.empty(); }

  bool is_post = false;
  bool is_conditional = false;
  int rate_limit = 0;  // requests a minute; 0: none
  Paging paging;
  Auth auth;
  std::string certificate_file, key_file;

 private:
  bool uses(std::string_view placeholder) const;

  std::vector<std::pair<std::string, RequestTemplate>> query_;
  std::optional<std::string> body_;  // as it was given
  Escaping escaping_ = Escaping::kNone;
  RequestTemplate body_template_;
  bool is_body_json_ = false;        // given as JSON, not as a text
  std::map<std::string, std::string> secrets_;
};

// Returns the URL of rel="next" in the content of Link headers; empty where there is none.
std::string next_link(std::string_view headers);

// An access token, as a token endpoint answers with it.
struct AccessToken {
  std::string token;
  int64_t lifetime_s = 0;
};
// Throws Error (kInvalidPayload), without a word of the answer.
AccessToken read_access_token(std::string_view body);
// The error's name in a refusal of a token endpoint (RFC 6749, 5.2); empty where there is none.
std::string token_error(std::string_view body);

}  // namespace fraud
