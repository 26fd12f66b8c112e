#include "worker/http_client.h"

#include <curl/curl.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <csignal>
#include <stdexcept>

namespace fraud::worker {

namespace {

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

CURLM* multi_of(void* handle) { return static_cast<CURLM*>(handle); }

// Sets an option that cannot fail but for want of memory.
template <typename Value>
void set(CURL* easy, CURLoption option, Value value) {
  if (curl_easy_setopt(easy, option, value) != CURLE_OK) {
    throw std::runtime_error("could not set up an HTTP request");
  }
}

}  // namespace

struct HttpClient::Transfer {
  CURL* easy = nullptr;
  curl_slist* headers = nullptr;
  char error[CURL_ERROR_SIZE] = "";
  size_t max_bytes = 0;
  bool too_large = false;
  HttpResponse response;

  Transfer() = default;
  ~Transfer() {
    if (easy != nullptr) curl_easy_cleanup(easy);
    curl_slist_free_all(headers);
  }
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;
};

// What libcurl calls. Nothing may be thrown out of these.
struct HttpClient::Callbacks {
  static size_t write(char* data, size_t size, size_t count, void* transfer) noexcept {
    auto* self = static_cast<Transfer*>(transfer);
    size_t bytes = size * count;
    if (self->response.body.size() + bytes > self->max_bytes) {
      self->too_large = true;
      return 0;
    }
    try {
      self->response.body.append(data, bytes);
    } catch (...) {
      return 0;
    }
    return bytes;
  }

  static int socket(CURL*, curl_socket_t socket, int what, void* client, void*) noexcept {
    auto* self = static_cast<HttpClient*>(client);
    if (what == CURL_POLL_REMOVE) {
      epoll_ctl(self->epoll_, EPOLL_CTL_DEL, socket, nullptr);
      return 0;
    }
    epoll_event event{};
    event.data.fd = socket;
    if ((what & CURL_POLL_IN) != 0) event.events |= EPOLLIN;
    if ((what & CURL_POLL_OUT) != 0) event.events |= EPOLLOUT;
    if (epoll_ctl(self->epoll_, EPOLL_CTL_MOD, socket, &event) != 0) {
      epoll_ctl(self->epoll_, EPOLL_CTL_ADD, socket, &event);
    }
    return 0;
  }

  static int timer(CURLM*, long timeout_ms, void* client) noexcept {
    auto* self = static_cast<HttpClient*>(client);
    if (timeout_ms < 0) {
      self->deadline_.reset();
    } else {
      self->deadline_ = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
    }
    return 0;
  }
};

HttpClient::HttpClient() {
  SignalsBlocked blocked;
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
    throw std::runtime_error("could not set up libcurl");
  }
  multi_ = curl_multi_init();
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  if (multi_ == nullptr || epoll_ < 0) throw std::runtime_error("could not set up libcurl");
  CURLM* multi = multi_of(multi_);
  curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, &Callbacks::socket);
  curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, &Callbacks::timer);
  curl_multi_setopt(multi, CURLMOPT_TIMERDATA, this);
}

HttpClient::~HttpClient() {
  SignalsBlocked blocked;
  for (auto& [key, transfer] : transfers_) {
    curl_multi_remove_handle(multi_of(multi_), transfer->easy);
  }
  transfers_.clear();
  curl_multi_cleanup(multi_of(multi_));
  close(epoll_);
}

void HttpClient::start(const std::string& key, const HttpRequest& request) {
  SignalsBlocked blocked;
  auto transfer = std::make_unique<Transfer>();
  transfer->easy = curl_easy_init();
  if (transfer->easy == nullptr) throw std::bad_alloc();
  transfer->max_bytes = request.max_bytes;
  CURL* easy = transfer->easy;
  for (const std::string& header : request.headers) {
    curl_slist* longer = curl_slist_append(transfer->headers, header.c_str());
    if (longer == nullptr) throw std::bad_alloc();
    transfer->headers = longer;
  }
  set(easy, CURLOPT_URL, request.url.c_str());
  set(easy, CURLOPT_HTTPHEADER, transfer->headers);
  set(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  set(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  set(easy, CURLOPT_FOLLOWLOCATION, request.max_redirects > 0 ? 1L : 0L);
  set(easy, CURLOPT_MAXREDIRS, request.max_redirects);
  set(easy, CURLOPT_CONNECTTIMEOUT_MS, request.connect_timeout_ms);
  set(easy, CURLOPT_TIMEOUT_MS, request.timeout_ms);
  set(easy, CURLOPT_NOSIGNAL, 1L);
  set(easy, CURLOPT_ACCEPT_ENCODING, "");
  set(easy, CURLOPT_USERAGENT, "fraud_detect/1.0");
  set(easy, CURLOPT_ERRORBUFFER, transfer->error);
  set(easy, CURLOPT_WRITEFUNCTION, &Callbacks::write);
  set(easy, CURLOPT_WRITEDATA, transfer.get());
  if (curl_multi_add_handle(multi_of(multi_), easy) != CURLM_OK) {
    throw std::runtime_error("could not start an HTTP request");
  }
  transfers_[key] = std::move(transfer);
}

void HttpClient::cancel(const std::string& key) {
  auto found = transfers_.find(key);
  if (found == transfers_.end()) return;
  SignalsBlocked blocked;
  curl_multi_remove_handle(multi_of(multi_), found->second->easy);
  transfers_.erase(found);
}

std::optional<long> HttpClient::timeout_ms() const {
  if (!deadline_) return std::nullopt;
  auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
      *deadline_ - std::chrono::steady_clock::now());
  return left.count() > 0 ? static_cast<long>(left.count()) + 1 : 0;
}

std::vector<std::pair<std::string, HttpResponse>> HttpClient::work() {
  SignalsBlocked blocked;
  CURLM* multi = multi_of(multi_);
  int running = 0;
  epoll_event events[64];
  int count = epoll_wait(epoll_, events, 64, 0);
  for (int i = 0; i < count; ++i) {
    int mask = 0;
    if ((events[i].events & EPOLLIN) != 0) mask |= CURL_CSELECT_IN;
    if ((events[i].events & EPOLLOUT) != 0) mask |= CURL_CSELECT_OUT;
    if ((events[i].events & (EPOLLERR | EPOLLHUP)) != 0) mask |= CURL_CSELECT_ERR;
    curl_multi_socket_action(multi, events[i].data.fd, mask, &running);
  }
  if (deadline_ && *deadline_ <= std::chrono::steady_clock::now()) {
    deadline_.reset();
    curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
  }
  std::vector<std::pair<std::string, HttpResponse>> ended;
  int left = 0;
  while (CURLMsg* message = curl_multi_info_read(multi, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    CURL* easy = message->easy_handle;
    CURLcode code = message->data.result;
    for (auto it = transfers_.begin(); it != transfers_.end(); ++it) {
      Transfer& transfer = *it->second;
      if (transfer.easy != easy) continue;
      HttpResponse& response = transfer.response;
      curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &response.status);
      const char* type = nullptr;
      curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &type);
      if (type != nullptr) response.content_type = type;
      curl_off_t retry_after = 0;
      curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &retry_after);
      if (retry_after > 0) response.retry_after_s = static_cast<long>(retry_after);
      if (transfer.too_large) {
        response.error = "the response is larger than " + std::to_string(transfer.max_bytes) +
                         " bytes (fraud_detect.max_response_size)";
      } else if (code != CURLE_OK) {
        response.error = *transfer.error != '\0' ? transfer.error : curl_easy_strerror(code);
      }
      curl_multi_remove_handle(multi, easy);
      ended.emplace_back(it->first, std::move(response));
      transfers_.erase(it);
      break;
    }
  }
  return ended;
}

}  // namespace fraud::worker
