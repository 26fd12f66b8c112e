#include "worker/network/destination.h"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <new>

namespace fraud::worker {

namespace {

// Returns a part of the URL, empty where it has none.
std::string part_of(CURLU* url, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK || text == nullptr) return {};
  std::string copy(text);
  curl_free(text);
  return copy;
}

bool is_one_of(std::string_view scheme, std::string_view schemes) {
  while (true) {
    size_t comma = schemes.find(',');
    if (scheme == schemes.substr(0, comma)) return true;
    if (comma == std::string_view::npos) return false;
    schemes.remove_prefix(comma + 1);
  }
}

}  // namespace

Destination::Destination(const std::string& url, std::string_view schemes) {
  // libcurl is lenient where it can guess; we want what everybody reads the same.
  size_t colon = url.find("://");
  bool plain = colon != std::string::npos && url.size() > colon + 3 && url[colon + 3] != '/' &&
               std::none_of(url.begin(), url.end(), [](char c) {
                 return static_cast<unsigned char>(c) <= 0x20 || c == 0x7f || c == '\\';
               });
  std::string wanted = plain ? url.substr(0, colon) : std::string();
  for (char& c : wanted) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  if (!plain || !is_one_of(wanted, schemes)) {
    std::string list(schemes);
    for (size_t at = 0; (at = list.find(',', at)) != std::string::npos; at += 8) list.replace(at, 1, ":// or ");
    fault = "It must begin with " + list + ":// and a host, and hold no white space.";
    return;
  }
  CURLU* parsed = curl_url();
  if (parsed == nullptr) throw std::bad_alloc();
  handle_.reset(parsed, [](void* handle) { curl_url_cleanup(static_cast<CURLU*>(handle)); });
  CURLUcode code = curl_url_set(parsed, CURLUPART_URL, url.c_str(), CURLU_DISALLOW_USER);
  std::string_view authority = std::string_view(url).substr(colon + 3);
  authority = authority.substr(0, authority.find_first_of("/?#"));
  if (code == CURLUE_USER_NOT_ALLOWED || authority.find('@') != std::string_view::npos) {
    has_user = true;
    fault = "It must hold no user or password before the host.";
  } else if (code != CURLUE_OK) {
    fault = "It cannot be read as a URL.";
  }
  if (!fault.empty()) return;
  scheme = part_of(parsed, CURLUPART_SCHEME);
  host = part_of(parsed, CURLUPART_HOST);
  if (host.size() > 1 && host.front() == '[') host = host.substr(1, host.size() - 2);
  std::string number = part_of(parsed, CURLUPART_PORT, CURLU_DEFAULT_PORT);
  std::from_chars(number.data(), number.data() + number.size(), port);
  // libcurl turns others into ASCII when it connects, by rules of the library it was
  // built with: "⑫7.0.0.1" is an address then.
  bool ascii = std::all_of(host.begin(), host.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  if (host.empty() || !ascii || port == 0) {
    fault = !ascii ? "Its host must be ASCII; a name in another script is written in its xn-- form."
                   : "It has no host, or port 0.";
    scheme.clear();
    host.clear();
    return;
  }
}

bool Destination::is_local() const {
  std::optional<IpAddress> address = parse_ip_loosely(host);
  return address ? is_loopback(*address) : is_localhost(host);
}

bool Destination::may_lead_to(const Destination& other) const {
  if (plain_host_name(host) != plain_host_name(other.host)) return false;
  if (scheme == other.scheme) return port == other.port;
  return scheme == "http" && other.scheme == "https" && port == 80 && other.port == 443;
}

bool Destination::is_same_as(const Destination& other) const {
  return scheme == other.scheme && plain_host_name(host) == plain_host_name(other.host) && port == other.port;
}

std::string Destination::text() const {
  return "\"" + host.substr(0, 253) + "\", port " + std::to_string(port);
}

namespace {

// Returns the URL with one part changed as libcurl does it, or nothing.
std::string changed(const std::string& url, CURLUPart part, const std::string& value, unsigned flags) {
  const std::unique_ptr<CURLU, void (*)(CURLU*)> handle(curl_url(), curl_url_cleanup);
  if (!handle) throw std::bad_alloc();
  if (curl_url_set(handle.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) return {};
  if (curl_url_set(handle.get(), part, value.c_str(), flags) != CURLUE_OK) return {};
  (void)curl_url_set(handle.get(), CURLUPART_FRAGMENT, nullptr, 0);
  return part_of(handle.get(), CURLUPART_URL);
}

}  // namespace

std::string with_query(const std::string& url, const std::string& query) {
  return query.empty() ? url : changed(url, CURLUPART_QUERY, query, CURLU_APPENDQUERY);
}

std::string resolved(const std::string& url, const std::string& link) { return changed(url, CURLUPART_URL, link, 0); }

std::string credentials_fault(const Destination& destination, bool has_credentials) {
  if (!has_credentials || destination.scheme != "http" || destination.is_local()) return {};
  return "credentials are not sent over http://";
}

bool may_be_credential(std::string_view header_name) {
  static constexpr std::array<std::string_view, 9> kHarmless = {
      "accept", "accept-charset", "accept-encoding", "accept-language", "cache-control",
      "content-type", "pragma", "user-agent", "x-request-id"};
  std::string name = plain_host_name(header_name);
  return std::find(kHarmless.begin(), kHarmless.end(), name) == kHarmless.end();
}

}  // namespace fraud::worker
