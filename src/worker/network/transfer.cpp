#include "worker/network/transfer.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>

namespace fraud::worker {

namespace {

// What libcurl's codes mean, in words that do not change with its version.
struct Fault {
  CURLcode code;
  const char* text;
};
constexpr Fault kFaults[] = {
    {CURLE_COULDNT_RESOLVE_HOST, "could not resolve the host's name"},
    {CURLE_COULDNT_RESOLVE_PROXY, "could not resolve the proxy's name"},
    {CURLE_COULDNT_CONNECT, "could not connect"},
    {CURLE_OPERATION_TIMEDOUT, "timed out"},
    {CURLE_PEER_FAILED_VERIFICATION, "the server's certificate is not valid"},
    {CURLE_SSL_CACERT_BADFILE, "could not read the certificate authorities"},
    {CURLE_SSL_CERTPROBLEM, "the client's certificate or key cannot be used"},
    {CURLE_BAD_FUNCTION_ARGUMENT, "the client's certificate or key cannot be used"},  // libcurl 8.23, of a key
    {CURLE_SSL_CONNECT_ERROR, "could not agree on TLS"},
    {CURLE_USE_SSL_FAILED, "the server offers no TLS"},
    {CURLE_LOGIN_DENIED, "login denied"},
    {CURLE_GOT_NOTHING, "the server closed the connection without an answer"},
    {CURLE_SEND_ERROR, "the connection broke in sending"},
    {CURLE_RECV_ERROR, "the connection broke in receiving"},
    {CURLE_PARTIAL_FILE, "the answer was cut off"},
    {CURLE_WEIRD_SERVER_REPLY, "the server does not speak the protocol"},
    {CURLE_UNSUPPORTED_PROTOCOL, "the server does not speak the protocol"},
    {CURLE_BAD_CONTENT_ENCODING, "the answer's compression is damaged"},
    // Of bytes behind its end, and of several in one; what is too large for us has a message of its own.
    {CURLE_WRITE_ERROR, "the answer's compression is damaged"},
};

constexpr const char* kSetting = "fraud_detect.allowed_hosts";

}  // namespace

void append(curl_slist** list, const std::string& text) {
  curl_slist* longer = curl_slist_append(*list, text.c_str());
  if (longer == nullptr) throw std::bad_alloc();
  *list = longer;
}

Transfer::Transfer(const std::string& url, const char* schemes,
                   const std::vector<std::string>& header_lines, const Limits& limits, bool credentials)
    : destination(url, schemes), policy(limits.policy), has_credentials(credentials) {
  deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(limits.timeout_ms);
  if (!destination.fault.empty()) {
    response.error = "the URL cannot be used: " + destination.fault;
    return;
  }
  easy = curl_easy_init();
  if (easy == nullptr) throw std::bad_alloc();
  for (const std::string& header : header_lines) append(&headers, header);
  set(easy, CURLOPT_PROTOCOLS_STR, schemes);
  set(easy, CURLOPT_REDIR_PROTOCOLS_STR, schemes);
  set(easy, CURLOPT_FOLLOWLOCATION, 0L);  // redirects are looked at one by one
  set(easy, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  set(easy, CURLOPT_HTTPHEADER, headers);
  set(easy, CURLOPT_CONNECTTIMEOUT_MS, limits.connect_timeout_ms);
  set(easy, CURLOPT_TIMEOUT_MS, limits.timeout_ms);
  if (!limits.ca_file.empty()) set(easy, CURLOPT_CAINFO, limits.ca_file.c_str());
  set(easy, CURLOPT_NOSIGNAL, 1L);
  set(easy, CURLOPT_ERRORBUFFER, error);
  use_proxy(limits);
  if (response.error.empty()) go_to(destination);
}

Transfer::~Transfer() {
  if (easy != nullptr) curl_easy_cleanup(easy);
  curl_mime_free(mime);
  curl_slist_free_all(headers);
  curl_slist_free_all(recipients);
}

// An empty proxy, and an empty list of exceptions, keep libcurl from looking for them
// in the environment of the postmaster.
void Transfer::use_proxy(const Limits& limits) {
  bool mail = destination.scheme == "smtp" || destination.scheme == "smtps";
  proxied = !limits.proxy.empty() && !mail && !destination.is_local() &&
            !(limits.no_proxy && limits.no_proxy->names(destination.host, destination.port));
  set(easy, CURLOPT_PROXY, proxied ? limits.proxy.c_str() : "");
  set(easy, CURLOPT_NOPROXY, "");
  if (!proxied) return;
  // libcurl's own error would show it, with its password.
  std::unique_ptr<CURLU, void (*)(CURLU*)> url(curl_url(), curl_url_cleanup);
  if (!url) throw std::bad_alloc();
  if (curl_url_set(url.get(), CURLUPART_URL, limits.proxy.c_str(), CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK) {
    response.error = "fraud_detect.http_proxy cannot be read as a URL";
    return;
  }
  set(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  if (!limits.ca_file.empty()) set(easy, CURLOPT_PROXY_CAINFO, limits.ca_file.c_str());
}

bool Transfer::go_to(Destination next) {
  std::string reason = policy->refusal(next.host, next.port, !proxied);
  if (!reason.empty()) {
    response.error = std::string(kSetting) + " refuses " + next.text() + ": " + reason;
    return false;
  }
  response.error = credentials_fault(next, has_credentials);
  if (!response.error.empty()) return false;
  destination = std::move(next);
  set(easy, CURLOPT_CURLU, static_cast<CURLU*>(destination.handle()));
  return true;
}

// A proxy is exempt: its own address is not the target's.
bool Transfer::admits(const IpAddress& address, uint16_t port) {
  if (proxied) return true;
  std::string reason = policy->refusal(destination.host, address, port);
  std::string where = format_ip(address);
  if (!reason.empty()) {
    refusal = std::string(kSetting) + " refuses " + where + ", port " + std::to_string(port);
    if (where != destination.host) refusal += ", to which \"" + destination.host.substr(0, 253) + "\" leads";
    refusal += ": " + reason;
    return false;
  }
  // Who is called localhost is not always local.
  if (has_credentials && destination.scheme == "http" && !is_loopback(address)) {
    refusal = "credentials are not sent over http:// to " + where;
    return false;
  }
  return true;
}

bool Transfer::admits(const sockaddr* address) noexcept {
  try {
    if (address->sa_family == AF_INET) {
      auto* four = reinterpret_cast<const sockaddr_in*>(address);
      return admits(IpAddress::v4(reinterpret_cast<const uint8_t*>(&four->sin_addr)), ntohs(four->sin_port));
    }
    if (address->sa_family == AF_INET6) {
      auto* six = reinterpret_cast<const sockaddr_in6*>(address);
      return admits(IpAddress::v6(six->sin6_addr.s6_addr), ntohs(six->sin6_port));
    }
    refusal = std::string(kSetting) + " refuses what is no internet address";
  } catch (...) {
  }
  return false;
}

bool Transfer::admits(const char* address, int port) noexcept {
  try {
    if (proxied) return true;
    std::optional<IpAddress> parsed = parse_ip_loosely(address);
    if (parsed) return admits(*parsed, static_cast<uint16_t>(port));
    refusal = std::string(kSetting) + " refuses what is no internet address";
  } catch (...) {
  }
  return false;
}

curl_socket_t Transfer::open(const curl_sockaddr* address) noexcept {
  if (!admits(&address->addr)) return CURL_SOCKET_BAD;
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

void Transfer::note_end(CURLcode code) {
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &response.status);
  if (code == CURLE_OK) return;
  // Up to libcurl 8.6 a header that is too long for it ran out of memory.
  bool long_header = code == static_cast<CURLcode>(100) ||  // CURLE_TOO_LARGE
                     (code == CURLE_OUT_OF_MEMORY && response.status != 0 && response.body.empty());
  if (too_large) {
    response.error = "the response is larger than " + std::to_string(max_bytes) +
                     " bytes (fraud_detect.max_response_size)";
  } else if (long_header || header_bytes > kMaxHeaderBytes) {
    response.error = "the response's headers are larger than " + std::to_string(kMaxHeaderBytes) + " bytes";
  } else if (!refusal.empty() && (code == CURLE_COULDNT_CONNECT || code == CURLE_ABORTED_BY_CALLBACK)) {
    response.error = refusal;
  } else {
    std::string said = *error != '\0' ? error : curl_easy_strerror(code);
    auto known = std::find_if(std::begin(kFaults), std::end(kFaults),
                              [&](const Fault& fault) { return fault.code == code; });
    response.error = known == std::end(kFaults) ? said : std::string(known->text) + ": " + said;
    response.timed_out = code == CURLE_OPERATION_TIMEDOUT;
    response.broke_off = !response.body.empty() && (code == CURLE_PARTIAL_FILE || code == CURLE_RECV_ERROR || code == CURLE_OPERATION_TIMEDOUT ||
                                                    code == CURLE_HTTP2 || code == CURLE_HTTP2_STREAM);
  }
}

}  // namespace fraud::worker
