#include "core/requests/request.h"

#include <algorithm>
#include <charconv>
#include <initializer_list>

#include "core/base/error.h"
#include "core/base/json.h"

namespace fraud {

namespace {

constexpr size_t kMaxTextBytes = 10000;
constexpr size_t kMaxBodyBytes = size_t{1} << 20;
constexpr int kMaxPages = 100000;
constexpr int64_t kMaxSize = 250000;
constexpr int kMaxRate = 60000;
constexpr int64_t kMaxLifetime = int64_t{400} * 86400;
constexpr size_t kMaxPositionBytes = size_t{8} << 10;

[[noreturn]] void refuse(const std::string& message, const std::string& detail = {}, const std::string& hint = {}) {
  throw Error(ErrorCode::kInvalidArgument, message, detail, hint);
}

std::string listed(std::initializer_list<const char*> names) {
  std::string text;
  size_t i = 0;
  for (const char* name : names) {
    if (i > 0) text += i + 1 == names.size() ? " and " : ", ";
    text += name;
    ++i;
  }
  return text;
}

const char* type_name(const Json& value) {
  switch (value.type()) {
    case Json::Type::kNull:
      return "null";
    case Json::Type::kBoolean:
      return "a boolean";
    case Json::Type::kText:
      return "a text";
    case Json::Type::kArray:
      return "an array";
    case Json::Type::kObject:
      return "an object";
    default:
      return "a number";
  }
}

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

// An object of the request, whose keys are asked for by name.
class Section {
 public:
  Section(const Json& value, std::string where, std::initializer_list<const char*> keys) : json_(value), where_(std::move(where)) {
    if (!value.is_object()) refuse(where_ + " must be a JSON object, not " + type_name(value), "", "Its keys are " + listed(keys) + ".");
    for (const std::string& key : value.names()) {
      const bool is_known = std::any_of(keys.begin(), keys.end(), [&](const char* known) { return key == known; });
      if (!is_known) refuse("unknown key \"" + key.substr(0, 60) + "\" of " + where_, "", "The keys are " + listed(keys) + ".");
    }
  }

  bool has(const char* key) const { return json_.contains(key); }
  const Json& get(const char* key) const { return json_[key]; }
  std::string name(const char* key) const { return where_ + "'s " + key; }

  std::string text(const char* key, const std::string& otherwise = {}) const {
    if (!has(key)) return otherwise;
    const Json& value = get(key);
    if (!value.is_text()) refuse(name(key) + " must be a text, not " + type_name(value));
    const std::string text = value.text();
    if (text.empty() || text.size() > kMaxTextBytes || has_control(text)) {
      refuse(name(key) + " must have 1 to " + std::to_string(kMaxTextBytes) + " bytes and no control characters");
    }
    return text;
  }

  std::string required(const char* key) const {
    if (!has(key)) refuse(where_ + " needs " + key);
    return text(key);
  }

  int64_t integer(const char* key, int64_t least, int64_t most, int64_t otherwise) const {
    if (!has(key)) return otherwise;
    const Json& value = get(key);
    if (!value.is_integer() || value.integer() < least || value.integer() > most) {
      refuse(name(key) + " must be a whole number from " + std::to_string(least) + " to " + std::to_string(most));
    }
    return value.integer();
  }

  bool boolean(const char* key) const {
    if (!has(key)) return false;
    const Json& value = get(key);
    if (!value.is_boolean()) refuse(name(key) + " must be true or false, not " + type_name(value));
    return value.boolean();
  }

  std::optional<JsonPath> path(const char* key) const {
    if (!has(key)) return std::nullopt;
    return JsonPath::parse(text(key), name(key));
  }

  // An HTTP token, in lower case.
  std::string header(const char* key) const {
    std::string found = text(key);
    constexpr std::string_view kPlain = "!#$%&'*+.^_`|~-";
    for (char& c : found) {
      const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
      if (!is_letter && !(c >= '0' && c <= '9') && kPlain.find(c) == std::string_view::npos) {
        refuse(name(key) + " is not a header's name", "It must be letters, digits and ! # $ % & ' * + . ^ _ ` | ~ -.");
      }
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return found;
  }

 private:
  const Json& json_;
  std::string where_;
};

PagingKind paging_kind(const std::string& name) {
  if (name == "cursor") return PagingKind::kCursor;
  if (name == "link") return PagingKind::kLink;
  if (name == "page") return PagingKind::kPage;
  if (name == "offset") return PagingKind::kOffset;
  refuse("unknown kind of paging \"" + name.substr(0, 60) + "\"", "", "The kinds are cursor, link, page and offset.");
}

AuthKind auth_kind(const std::string& name) {
  if (name == "basic") return AuthKind::kBasic;
  if (name == "bearer") return AuthKind::kBearer;
  if (name == "api_key") return AuthKind::kApiKey;
  if (name == "oauth2_client_credentials") return AuthKind::kClientCredentials;
  refuse("unknown kind of auth \"" + name.substr(0, 60) + "\"", "",
         "The kinds are basic, bearer, api_key and oauth2_client_credentials.");
}

Paging read_paging(const Json& value) {
  const Section section(value, "paging", {"kind", "parameter", "path", "header", "more", "start", "size", "size_parameter", "max_pages", "keep"});
  Paging paging;
  const std::string kind = section.required("kind");
  paging.kind = paging_kind(kind);
  const auto only = [&](const char* key, std::initializer_list<PagingKind> kinds) {
    if (section.has(key) && std::find(kinds.begin(), kinds.end(), paging.kind) == kinds.end()) {
      refuse("paging of kind " + kind + " has no " + key, "", "Leave it out, or take another kind.");
    }
  };
  const auto cursor = PagingKind::kCursor, link = PagingKind::kLink, page = PagingKind::kPage, offset = PagingKind::kOffset;
  only("parameter", {cursor, page, offset});
  only("path", {cursor, link});
  only("header", {cursor});
  only("start", {cursor, page, offset});
  only("keep", {cursor, page, offset});
  paging.parameter = section.text("parameter");
  paging.path = section.path("path");
  if (section.has("header")) paging.header = section.header("header");
  if (paging.kind == cursor && paging.path.has_value() == !paging.header.empty()) {
    refuse("paging of kind cursor needs either path or header", "They say where an answer has the next cursor.",
           "For example: \"path\": \"$.next_cursor\".");
  }
  paging.more = section.path("more");
  if (paging.kind == cursor) {
    paging.start_cursor = section.text("start");
  } else {
    paging.start = section.integer("start", 0, INT32_MAX, paging.kind == page ? 1 : 0);
  }
  paging.size = section.integer("size", 1, kMaxSize, 0);
  paging.size_parameter = section.text("size_parameter");
  if (!paging.size_parameter.empty() && paging.size == 0) refuse("paging with size_parameter needs size");
  paging.max_pages = static_cast<int>(section.integer("max_pages", 1, kMaxPages, 100));
  paging.keep = section.boolean("keep");
  if (paging.keep && paging.kind == page && paging.size == 0) {
    refuse("paging of kind page with keep needs size", "Which page is full, and will not change, is not known else.");
  }
  return paging;
}

Auth read_auth(const Json& value) {
  const Section section(value, "auth", {"kind", "user", "header", "parameter", "token_url", "client_id", "scope", "parameters", "secret_in"});
  Auth auth;
  const std::string kind = section.required("kind");
  auth.kind = auth_kind(kind);
  const auto only = [&](const char* key, AuthKind one) {
    if (section.has(key) && auth.kind != one) refuse("auth of kind " + kind + " has no " + key, "",
                                                     "Leave it out, or take another kind.");
  };
  only("user", AuthKind::kBasic);
  only("header", AuthKind::kApiKey);
  only("parameter", AuthKind::kApiKey);
  for (const char* key : {"token_url", "client_id", "scope", "parameters", "secret_in"}) only(key, AuthKind::kClientCredentials);
  switch (auth.kind) {
    case AuthKind::kBasic:
      auth.user = section.required("user");
      if (auth.user.find(':') != std::string::npos) refuse("auth's user must have no colon");
      break;
    case AuthKind::kApiKey:
      if (section.has("header") == section.has("parameter")) refuse("auth of kind api_key needs either header or parameter");
      if (section.has("header")) auth.header = section.header("header");
      auth.parameter = section.text("parameter");
      break;
    case AuthKind::kClientCredentials: {
      auth.token_url = section.required("token_url");
      auth.client_id = section.required("client_id");
      auth.scope = section.text("scope");
      if (section.has("parameters")) {
        if (!section.get("parameters").is_object()) refuse("auth's parameters must be a JSON object of texts");
        section.get("parameters").each_member([&](const std::string& name, const Json& text) {
          if (!text.is_text()) refuse("auth's parameters must be a JSON object of texts");
          auth.parameters.emplace_back(name, text.text());
        });
      }
      const std::string where = section.text("secret_in", "header");
      if (where != "header" && where != "body") refuse("auth's secret_in must be header or body, not \"" + where.substr(0, 60) + "\"");
      auth.secret_in_body = where == "body";
      break;
    }
    default:
      break;
  }
  return auth;
}

// The secrets that a way of signing on needs.
const char* secret_name(AuthKind kind) {
  switch (kind) {
    case AuthKind::kBasic:
      return "password";
    case AuthKind::kBearer:
      return "token";
    case AuthKind::kApiKey:
      return "key";
    case AuthKind::kClientCredentials:
      return "client_secret";
    default:
      return nullptr;
  }
}

Json parsed(std::string_view text, const char* what) {
  Json json = Json::parse(text, Json::Order::kByName);
  if (!json.is_readable()) refuse(std::string(what) + " cannot be read as JSON", "It must be a JSON object.");
  return json;
}

// Replaces what stands for values in the texts of a JSON value.
Json filled(const Json& value, const RequestValues& values) {
  if (value.is_object()) {
    Json object = Json::object();
    value.each_member([&](const std::string& key, const Json& member) { object[key] = filled(member, values); });
    return object;
  }
  if (value.is_array()) {
    Json array = Json::array();
    for (const Json& element : value.values()) array.push_back(filled(element, values));
    return array;
  }
  if (!value.is_text()) return value;
  const RequestTemplate text(value.text());
  if (text.is_empty_cursor(values)) return nullptr;
  const std::string rendered = text.render(values);
  if (text.is_number_alone()) return std::stoll(rendered);
  return rendered;
}

// Calls visit for each text of a JSON value.
template <typename Visitor>
void for_each_text(const Json& value, Visitor& visit) {
  if (value.is_text()) visit(value.text());
  for (const Json& child : value.values()) for_each_text(child, visit);
}

std::optional<int64_t> number(const std::string& text) {
  int64_t value = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (fault != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool is_true(const std::optional<std::string>& text) { return text && *text != "false" && *text != "0" && !text->empty(); }

}  // namespace

Request Request::parse(std::string_view json, std::string_view secrets) {
  const Json value = parsed(json, "request");
  const Section section(value, "request", {"method", "query", "body", "paging", "since", "auth", "tls", "rate_limit", "conditional"});
  Request request;
  const std::string method = section.text("method", section.has("body") ? "POST" : "GET");
  if (method != "GET" && method != "POST") refuse("request's method must be GET or POST, not \"" + method.substr(0, 60) + "\"");
  request.is_post = method == "POST";
  if (section.has("query")) {
    if (!section.get("query").is_object()) refuse("request's query must be a JSON object, not " + std::string(type_name(section.get("query"))));
    section.get("query").each_member([&](const std::string& name, const Json& text) {
      if (!text.is_text() && !text.is_number() && !text.is_boolean()) {
        refuse("request's query must have texts, numbers and booleans, not " + std::string(type_name(text)));
      }
      const std::string written = text.is_text() ? text.text() : text.dump();
      if (name.empty() || name.size() + written.size() > kMaxTextBytes || has_control(name) || has_control(written)) {
        refuse("request's query has a name or value that is empty, too long or has control characters",
               "A name must not be empty, nor have more than " + std::to_string(kMaxTextBytes) + " bytes together with its value.");
      }
      request.query_.emplace_back(name, RequestTemplate(written));
    });
  }
  if (section.has("body")) {
    if (!request.is_post) refuse("a request with a body must have the method POST");
    const Json& body = section.get("body");
    if (body.is_text()) {
      const std::string text = body.text();
      request.body_template_ = RequestTemplate(text);
      request.body_ = text;
      const size_t first = text.find_first_not_of(" \t\r\n");
      request.escaping_ = first != std::string::npos && (text[first] == '{' || text[first] == '[') ? Escaping::kJson : Escaping::kForm;
    } else if (body.is_structured()) {
      request.is_body_json_ = true;
      request.body_ = body.dump();
      const auto check = [](const std::string& text) { (void)RequestTemplate(text); };
      for_each_text(body, check);
    } else {
      refuse("request's body must be an object, an array or a text, not " + std::string(type_name(body)));
    }
    if (request.body_->size() > kMaxBodyBytes) refuse("request's body is larger than " + std::to_string(kMaxBodyBytes) + " bytes");
  }
  if (section.has("paging")) request.paging = read_paging(section.get("paging"));
  // Its times are of PostgreSQL's types, and checked there.
  if (section.has("since")) (void)Section(section.get("since"), "since", {"overlap", "first"});
  if (section.has("auth")) request.auth = read_auth(section.get("auth"));
  if (section.has("tls")) {
    const Section tls(section.get("tls"), "tls", {"certificate_file", "key_file"});
    request.certificate_file = tls.required("certificate_file");
    request.key_file = tls.text("key_file", request.certificate_file);
    if (request.certificate_file[0] != '/' || request.key_file[0] != '/') refuse("tls's certificate_file and key_file must be absolute paths");
  }
  request.rate_limit = static_cast<int>(section.integer("rate_limit", 1, kMaxRate, 0));
  request.is_conditional = section.boolean("conditional");
  if (request.is_conditional && request.is_post) refuse("a conditional request must have the method GET");

  Paging& paging = request.paging;
  const char* placeholder = paging.kind == PagingKind::kCursor ? "cursor" : paging.kind == PagingKind::kPage ? "page"
                            : paging.kind == PagingKind::kOffset ? "offset" : nullptr;
  for (const char* name : {"cursor", "page", "offset"}) {
    const bool is_own = placeholder != nullptr && std::string_view(placeholder) == name;
    if (request.uses(name) && !is_own) {
      refuse("request uses {{" + std::string(name) + "}} without paging of kind " + name, "",
             "Give paging, such as {\"kind\": \"" + std::string(name) + "\"}, or leave the placeholder out.");
    }
    // Where it is not said by a placeholder the page goes into the query under its usual name.
    if (is_own && paging.parameter.empty() && !request.uses(name)) paging.parameter = name;
    if (is_own && !paging.parameter.empty() && request.uses(name)) {
      refuse("request names its page twice: by paging's parameter and by {{" + std::string(name) + "}}", "",
             "Leave one of them out.");
    }
  }
  if (request.uses("size") && paging.size == 0) refuse("request uses {{size}}, which needs paging's size");

  const Json given = parsed(secrets, "secrets");
  if (!given.is_object()) refuse("secrets must be a JSON object, not " + std::string(type_name(given)));
  std::vector<std::string> names;
  const char* needed = secret_name(request.auth.kind);
  if (needed != nullptr) names.emplace_back(needed);
  if (!request.certificate_file.empty()) names.emplace_back("key_password");
  given.each_member([&](const std::string& name, const Json& text) {
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      std::string hint = "This request takes none.";
      if (!names.empty()) hint = "This request takes " + names[0] + (names.size() > 1 ? " and " + names[1] : "") + ".";
      refuse("unknown secret \"" + name.substr(0, 60) + "\"", "", hint);
    }
    if (!text.is_text() || text.text().empty() || text.text().size() > kMaxTextBytes || has_control(text.text())) {
      refuse("the secret " + name + " must be a text of 1 to " + std::to_string(kMaxTextBytes) + " bytes without control characters");
    }
    request.secrets_[name] = text.text();
  });
  if (needed != nullptr && request.secrets_.count(needed) == 0) {
    refuse("request needs the secret " + std::string(needed), "", "Give secrets => '{\"" + std::string(needed) + "\": \"…\"}'.");
  }
  return request;
}

bool Request::uses(std::string_view placeholder) const {
  bool found = body_template_.uses(placeholder);
  for (const auto& [name, text] : query_) found = found || text.uses(placeholder);
  if (is_body_json_) {
    const auto look = [&](const std::string& text) { found = found || RequestTemplate(text).uses(placeholder); };
    for_each_text(Json::parse(*body_, Json::Order::kByName), look);
  }
  return found;
}

const std::string& Request::secret(const std::string& name) const {
  static const std::string none;
  const auto found = secrets_.find(name);
  return found == secrets_.end() ? none : found->second;
}

PageRequest Request::page(const std::string& position, int64_t since_us, int64_t now_us) const {
  RequestValues values;
  values.since_us = since_us;
  values.now_us = now_us;
  values.size = paging.size;
  const int64_t count = position.empty() ? paging.start : number(position).value_or(paging.start);
  std::string place = std::to_string(count);
  if (paging.kind == PagingKind::kCursor) place = values.cursor = position.empty() ? paging.start_cursor : position;
  if (paging.kind == PagingKind::kPage) values.page = count;
  if (paging.kind == PagingKind::kOffset) values.offset = count;

  PageRequest made;
  // A link is whole.
  if (paging.kind != PagingKind::kLink || position.empty()) {
    for (const auto& [name, text] : query_) {
      if (!text.is_empty_cursor(values)) made.query.emplace_back(name, text.render(values));
    }
    const bool is_counted = paging.kind == PagingKind::kPage || paging.kind == PagingKind::kOffset;
    if (!paging.parameter.empty() && (is_counted || !place.empty())) made.query.emplace_back(paging.parameter, place);
    if (!paging.size_parameter.empty()) made.query.emplace_back(paging.size_parameter, std::to_string(paging.size));
  }
  if (!is_post) return made;
  made.content_type = is_body_json_ || escaping_ == Escaping::kJson ? "application/json" : "application/x-www-form-urlencoded";
  if (is_body_json_) {
    made.body = filled(Json::parse(*body_, Json::Order::kByName), values).dump();
  } else {
    made.body = body_template_.render(values, escaping_);
  }
  return made;
}

NextPage Request::next(const std::string& position, const PageAnswer& answer, const GiveWay& give_way) const {
  NextPage next;
  const bool says_more = paging.more.has_value();
  const bool is_more = says_more && is_true(paging.more->find(answer.body, give_way));
  // What says where the next page is. Some write false where there is none.
  const auto find_next = [&](const std::string& otherwise) {
    bool is_container = false;
    const std::string found = paging.path ? paging.path->find(answer.body, give_way, &is_container).value_or("") : otherwise;
    if (is_container) {
      next.fault = "the answer's next " + std::string(paging.kind == PagingKind::kLink ? "link" : "cursor") + " is an array or an object: the path must lead to one value";
    }
    return found == "false" ? std::string() : found;
  };
  switch (paging.kind) {
    case PagingKind::kNone:
      return next;
    case PagingKind::kCursor: {
      const std::string here = position.empty() ? paging.start_cursor : position;
      const std::string found = find_next(answer.cursor_header);
      if (!next.fault.empty()) return next;
      if (found.size() > kMaxPositionBytes) {
        next.fault = "the answer's next cursor is longer than " + std::to_string(kMaxPositionBytes) + " bytes";
        return next;
      }
      const bool is_same = found.empty() || found == here;
      if (paging.keep) {
        next.is_more = !is_same && (says_more ? is_more : answer.payments > 0);
        next.position = found.empty() ? position : found;
        return next;
      }
      if (found.empty() || (says_more && !is_more)) return next;
      if (is_same) {
        next.fault = "the answer's next cursor is the one that was asked for";
        return next;
      }
      next.is_more = true;
      next.position = found;
      return next;
    }
    case PagingKind::kLink: {
      const std::string found = find_next(next_link(answer.link_header));
      if (!next.fault.empty()) return next;
      if (found.size() > kMaxPositionBytes) {
        next.fault = "the answer's next link is longer than " + std::to_string(kMaxPositionBytes) + " bytes";
        return next;
      }
      next.is_more = !found.empty() && (!says_more || is_more);
      if (next.is_more) next.position = found;
      return next;
    }
    case PagingKind::kPage:
    case PagingKind::kOffset: {
      const bool is_page = paging.kind == PagingKind::kPage;
      const int64_t here = position.empty() ? paging.start : number(position).value_or(paging.start);
      const auto payments = static_cast<int64_t>(answer.payments);
      const bool is_full = paging.size > 0 ? payments >= paging.size : payments > 0;
      // An offset that does not move would be asked for for ever.
      next.is_more = (says_more ? is_more : is_full) && (is_page || payments > 0);
      const int64_t after = is_page ? here + 1 : here + payments;
      if (next.is_more) {
        next.position = std::to_string(after);
      } else if (paging.keep) {
        next.position = std::to_string(is_page && !is_full ? here : after);
      }
      return next;
    }
  }
  return next;
}

std::string next_link(std::string_view headers) {
  // <URL>; rel="next"; …, <URL>; rel="prev" (RFC 8288)
  size_t at = 0;
  while ((at = headers.find('<', at)) != std::string_view::npos) {
    const size_t close = headers.find('>', at);
    if (close == std::string_view::npos) break;
    const std::string_view url = headers.substr(at + 1, close - at - 1);
    // The parameters, to the comma that is in no quotes.
    size_t end = close + 1;
    bool is_quoted = false;
    while (end < headers.size() && (is_quoted || headers[end] != ',')) {
      if (headers[end] == '"') is_quoted = !is_quoted;
      ++end;
    }
    std::string parameters(headers.substr(close + 1, end - close - 1));
    std::transform(parameters.begin(), parameters.end(), parameters.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    parameters.erase(std::remove(parameters.begin(), parameters.end(), '\t'), parameters.end());
    for (size_t rel = parameters.find("rel"); rel != std::string::npos; rel = parameters.find("rel", rel + 1)) {
      size_t value = parameters.find_first_not_of(' ', rel + 3);
      const size_t before = parameters.find_last_not_of(' ', rel == 0 ? 0 : rel - 1);
      if (value == std::string::npos || parameters[value] != '=' || before == std::string::npos || parameters[before] != ';') continue;
      value = parameters.find_first_not_of(' ', value + 1);
      if (value == std::string::npos) continue;
      const bool is_text = parameters[value] == '"';
      const size_t stop = parameters.find_first_of(is_text ? "\"" : "; ", value + (is_text ? 1 : 0));
      const std::string kinds = " " + parameters.substr(value + (is_text ? 1 : 0), stop == std::string::npos ? stop : stop - value - (is_text ? 1 : 0)) + " ";
      if (kinds.find(" next ") != std::string::npos) return std::string(url);
    }
    at = end;
  }
  return {};
}

AccessToken read_access_token(std::string_view body) {
  const Json json = Json::parse(body);
  const auto refuse_answer = [](const char* what) -> Error { return Error(ErrorCode::kInvalidPayload, what); };
  if (!json.is_object()) throw refuse_answer("the answer is no JSON object");
  const Json& token = json["access_token"];
  if (!token.is_text()) throw refuse_answer("the answer has no access_token");
  AccessToken found;
  found.token = token.text();
  const auto is_allowed = [](char c) { return c > 0x20 && c < 0x7f; };
  if (found.token.empty() || found.token.size() > kMaxTextBytes || !std::all_of(found.token.begin(), found.token.end(), is_allowed)) {
    throw refuse_answer("the answer's access_token is none");
  }
  if (const Json* type = json.find("token_type"); type != nullptr && !type->is_null()) {
    std::string name = type->text();
    std::transform(name.begin(), name.end(), name.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    if (name != "bearer") throw refuse_answer("the answer's token_type is not Bearer");
  }
  const Json& lifetime = json["expires_in"];
  if (lifetime.is_number()) {
    found.lifetime_s = static_cast<int64_t>(std::clamp(lifetime.number(), 0.0, static_cast<double>(kMaxLifetime)));
  } else if (lifetime.is_text()) {
    found.lifetime_s = std::clamp<int64_t>(number(lifetime.text()).value_or(0), 0, kMaxLifetime);
  }
  return found;
}

std::string token_error(std::string_view body) {
  const Json json = Json::parse(body);
  if (!json.is_object()) return {};
  const std::string& name = json["error"].text();
  const bool is_name = !name.empty() && name.size() <= 40 && std::all_of(name.begin(), name.end(), [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; });
  return is_name ? name : "";
}

}  // namespace fraud
