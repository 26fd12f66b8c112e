// HTTP requests and mails, many at once, behind one descriptor: libcurl's multi
// interface on a private epoll descriptor. Knows nothing of Postgres; nothing here
// blocks. A mail has a thread of its own (mail.h).
//
// Where a transfer may go to is decided three times: by the URL's host when it starts,
// at each redirect, and by the very address that a socket is opened to, or that a kept
// connection has. Nothing is taken from the environment: no proxy, no .netrc.
#pragma once

#include <chrono>
#include <cstddef>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/network/host_policy.h"

namespace fraud::worker {

struct Limits {
  long connect_timeout_ms = 10000;
  long timeout_ms = 30000;  // of the whole transfer
  std::string ca_file;      // empty: the system's authorities
  std::shared_ptr<const HostPolicy> policy = std::make_shared<HostPolicy>();  // lets nothing pass
  std::string proxy;        // for HTTP; empty: none
  std::shared_ptr<const HostPolicy> no_proxy;  // what it names is not asked for through the proxy
};

struct HttpRequest {
  Limits limits;
  std::string url;                   // http or https
  std::vector<std::string> headers;  // "Name: value"
  std::optional<std::string> body;   // makes it a POST
  std::string user, password;        // HTTP's basic authentication; empty: none
  std::string certificate_file, key_file, key_password;  // of TLS, by which the server knows us; empty: none
  std::vector<std::string> kept_headers;  // names, in lower case, of the answer's headers that are wanted
  size_t max_bytes = 16 << 20;       // of the answer's body, once decompressed
  bool keep_body = true;             // else the answer's body is thrown away
  bool has_credentials = false;      // in headers, URL or body: not over http://
  long max_redirects = 3;            // to the same host
  std::string redirect_refusal = "redirects are not followed";  // said where there are to be none
};

struct MailRequest {
  Limits limits;
  std::string url;        // smtp or smtps
  bool require_tls = true;  // STARTTLS on smtp
  std::string user, password;
  std::string sender, recipient;     // addresses
  std::vector<std::string> headers;  // "Name: value", encoded
  std::string text, html;            // UTF-8
  std::string attached_page_name;    // not empty: html goes as a file of this name, too
};

struct Response {
  long status = 0;         // of HTTP, or the SMTP server's last reply; 0: there was no answer
  std::string error;       // empty when all went to its end; without URL or secrets
  bool timed_out = false;
  bool broke_off = false;  // in the body, of which there is what had come
  bool refused = false;    // a mail server will not take this mail, now or later
  std::string redirect_fault;  // why a redirect, which the status says, was not followed
  std::string body;
  std::string content_type;
  std::map<std::string, std::string> headers;  // those that were wanted and are there; of several, with commas between
  std::optional<long> retry_after_s;
};

struct Transfer;

class NetworkClient {
 public:
  NetworkClient();  // throws std::runtime_error
  ~NetworkClient();
  NetworkClient(const NetworkClient&) = delete;
  NetworkClient& operator=(const NetworkClient&) = delete;

  // Starts a transfer under a key that is free. One that is refused ends at once.
  void start(const std::string& key, const HttpRequest& request);
  void start(const std::string& key, const MailRequest& request);

  // Gives a transfer up, if there is one.
  void cancel(const std::string& key);

  // Gives all mails up and waits for their threads, which takes no time to speak of.
  // For a process that exits without unwinding: no thread may outlive main.
  void stop_mails() noexcept;

  bool busy(const std::string& key) const { return transfers_.count(key) + refused_.count(key) != 0; }

  // What to wait for: the descriptor becomes readable when there is work, and
  // the timeout (milliseconds) says when there is work in any case.
  int descriptor() const { return epoll_; }
  std::optional<long> timeout_ms() const;

  // Does the work that can be done now and returns the transfers that ended.
  std::vector<std::pair<std::string, Response>> work();

 private:
  struct Callbacks;
  struct Mail;
  using Ended = std::vector<std::pair<std::string, Response>>;

  void look_at_mails(Ended& ended);
  void end(Transfer& transfer, int code);
  bool follow(Transfer& transfer);

  void* multi_ = nullptr;
  int epoll_ = -1;
  std::optional<std::chrono::steady_clock::time_point> deadline_;
  std::map<std::string, std::unique_ptr<Transfer>> transfers_;
  std::map<std::string, Response> refused_;  // that work() is to tell of
  int mail_event_ = -1;  // a thread has news
  std::list<std::unique_ptr<Mail>> mails_;
};

}  // namespace fraud::worker
