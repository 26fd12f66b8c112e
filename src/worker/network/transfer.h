// One transfer of libcurl's, as all kinds of them are set up. For network_client.cpp
// and mail.cpp alone.
#pragma once

#include <curl/curl.h>
#include <pthread.h>

#include <csignal>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "worker/network/destination.h"
#include "worker/network/network_client.h"

namespace fraud::worker {

// libcurl's resolver starts threads. They inherit a mask that blocks every
// signal, so that Postgres's handlers run in its own thread alone.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &old_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t old_;
};

// Sets an option that cannot fail but for want of memory.
template <typename Value>
void set(CURL* easy, CURLoption option, Value value) {
  if (curl_easy_setopt(easy, option, value) != CURLE_OK) {
    throw std::runtime_error("could not set up a transfer");
  }
}

void append(curl_slist** list, const std::string& text);

struct Transfer {
  // Throws std::runtime_error or std::bad_alloc. A fault of the destination, or what the
  // policy says of it, is in response.error then, and the transfer is not to be started.
  Transfer(const std::string& url, const char* schemes, const std::vector<std::string>& headers,
           const Limits& limits, bool has_credentials);
  ~Transfer();
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  // Makes the destination another one, of which all is asked that was asked of the first.
  bool go_to(Destination next);

  // Tells whether an address may be connected to, and if not keeps the reason.
  bool admits(const sockaddr* address) noexcept;
  bool admits(const char* address, int port) noexcept;

  // Opens a socket to an address that is admitted.
  curl_socket_t open(const curl_sockaddr* address) noexcept;

  // Notes how it ended.
  void note_end(CURLcode code);

  CURL* easy = nullptr;
  curl_slist* headers = nullptr;
  curl_slist* recipients = nullptr;
  curl_mime* mime = nullptr;
  Destination destination;
  std::shared_ptr<const HostPolicy> policy;
  bool has_credentials = false;
  bool proxied = false;
  std::string refusal;  // of an address
  std::string body;     // that is sent
  char error[CURL_ERROR_SIZE] = "";
  size_t max_bytes = 0;
  bool keep_body = false;
  bool too_large = false;
  size_t header_bytes = 0;
  long max_redirects = 0, redirects = 0;
  std::string redirect_refusal;
  std::vector<std::string> kept_headers;
  std::chrono::steady_clock::time_point deadline;
  Response response;

 private:
  bool admits(const IpAddress& address, uint16_t port);
  void use_proxy(const Limits& limits);
};

// The most bytes of a response's headers. (libcurl takes no single one of over 100 kB.)
constexpr size_t kMaxHeaderBytes = 64 << 10;

}  // namespace fraud::worker
