// HTTP GETs, many at once, behind one descriptor: libcurl's multi interface on a
// private epoll descriptor. Knows nothing of Postgres; nothing here blocks.
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace fraud::worker {

struct HttpRequest {
  std::string url;                   // http or https
  std::vector<std::string> headers;  // "Name: value"
  long connect_timeout_ms = 10000;
  long timeout_ms = 30000;      // of the whole request
  size_t max_bytes = 16 << 20;  // of the body, once decompressed
  long max_redirects = 3;
};

struct HttpResponse {
  long status = 0;    // 0: there was no answer
  std::string error;  // empty when an answer was read to its end; without the URL
  std::string body;
  std::string content_type;
  std::optional<long> retry_after_s;
};

class HttpClient {
 public:
  HttpClient();  // throws std::runtime_error
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Starts a request under a key that is free.
  void start(const std::string& key, const HttpRequest& request);

  // Gives a request up, if there is one.
  void cancel(const std::string& key);

  bool busy(const std::string& key) const { return transfers_.count(key) != 0; }

  // What to wait for: the descriptor becomes readable when there is work, and
  // the timeout (milliseconds) says when there is work in any case.
  int descriptor() const { return epoll_; }
  std::optional<long> timeout_ms() const;

  // Does the work that can be done now and returns the requests that ended.
  std::vector<std::pair<std::string, HttpResponse>> work();

 private:
  struct Transfer;
  struct Callbacks;

  void* multi_ = nullptr;
  int epoll_ = -1;
  std::optional<std::chrono::steady_clock::time_point> deadline_;
  std::map<std::string, std::unique_ptr<Transfer>> transfers_;
};

}  // namespace fraud::worker
