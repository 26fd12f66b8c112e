#include "worker/network/network_client.h"

#include <curl/curl.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>

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
    throw std::runtime_error("could not set up a transfer");
  }
}

void append(curl_slist** list, const std::string& text) {
  curl_slist* longer = curl_slist_append(*list, text.c_str());
  if (longer == nullptr) throw std::bad_alloc();
  *list = longer;
}

void add_text_part(curl_mime* mime, const std::string& text, const char* type) {
  curl_mimepart* part = curl_mime_addpart(mime);
  if (part == nullptr || curl_mime_data(part, text.data(), text.size()) != CURLE_OK ||
      curl_mime_type(part, type) != CURLE_OK ||
      curl_mime_encoder(part, "quoted-printable") != CURLE_OK) {
    throw std::bad_alloc();
  }
}

void note_error(CURLcode code, const char* text, Response& response) {
  if (code == CURLE_OK) return;
  response.error = *text != '\0' ? text : curl_easy_strerror(code);
  response.timed_out = code == CURLE_OPERATION_TIMEDOUT;
}

}  // namespace

struct NetworkClient::Transfer {
  CURL* easy = nullptr;
  curl_slist* headers = nullptr;
  curl_slist* recipients = nullptr;
  curl_mime* mime = nullptr;
  std::string body;  // that is sent
  char error[CURL_ERROR_SIZE] = "";
  size_t max_bytes = 0;
  bool keep_body = false;
  bool too_large = false;
  Response response;

  Transfer() = default;
  ~Transfer() {
    if (easy != nullptr) curl_easy_cleanup(easy);
    curl_mime_free(mime);
    curl_slist_free_all(headers);
    curl_slist_free_all(recipients);
  }
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;
};

// A mail under way, in a thread of its own. The main thread looks at `stage`, and
// ends the thread early by shutting its sockets.
struct NetworkClient::Mail {
  enum Stage { kRunning, kAnswered, kEnded };

  std::string key;
  std::unique_ptr<Transfer> transfer;
  int event = -1;
  bool reported = false;  // or given up
  std::atomic<int> stage{kRunning};
  std::atomic<bool> cancelled{false};
  std::mutex mutex;  // of sockets
  std::set<int> sockets;
  std::thread thread;

  void run() noexcept;

  void cancel() noexcept {
    cancelled = true;
    std::lock_guard<std::mutex> lock(mutex);
    for (int socket : sockets) shutdown(socket, SHUT_RDWR);
  }

  static curl_socket_t open(void* mail, curlsocktype, curl_sockaddr* address) noexcept {
    auto* self = static_cast<Mail*>(mail);
    std::lock_guard<std::mutex> lock(self->mutex);
    if (self->cancelled) return CURL_SOCKET_BAD;
    int socket = ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    try {
      if (socket >= 0) self->sockets.insert(socket);
    } catch (...) {
      ::close(socket);
      return CURL_SOCKET_BAD;
    }
    return socket;
  }

  static int close(void* mail, curl_socket_t socket) noexcept {
    auto* self = static_cast<Mail*>(mail);
    std::lock_guard<std::mutex> lock(self->mutex);
    self->sockets.erase(socket);
    return ::close(socket);
  }

  static int progress(void* mail, curl_off_t, curl_off_t, curl_off_t, curl_off_t) noexcept {
    return static_cast<Mail*>(mail)->cancelled ? 1 : 0;
  }

  void tell(Stage news) noexcept {
    stage = news;
    eventfd_write(event, 1);
  }
};

// What libcurl calls. Nothing may be thrown out of these.
struct NetworkClient::Callbacks {
  static size_t write(char* data, size_t size, size_t count, void* transfer) noexcept {
    auto* self = static_cast<Transfer*>(transfer);
    size_t bytes = size * count;
    if (!self->keep_body) return bytes;
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
    auto* self = static_cast<NetworkClient*>(client);
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
    auto* self = static_cast<NetworkClient*>(client);
    if (timeout_ms < 0) {
      self->deadline_.reset();
    } else {
      self->deadline_ = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
    }
    return 0;
  }
};

NetworkClient::NetworkClient() {
  SignalsBlocked blocked;
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
    throw std::runtime_error("could not set up libcurl");
  }
  multi_ = curl_multi_init();
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  mail_event_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = mail_event_;
  if (multi_ == nullptr || epoll_ < 0 || mail_event_ < 0 ||
      epoll_ctl(epoll_, EPOLL_CTL_ADD, mail_event_, &event) != 0) {
    throw std::runtime_error("could not set up libcurl");
  }
  CURLM* multi = multi_of(multi_);
  curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, &Callbacks::socket);
  curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, &Callbacks::timer);
  curl_multi_setopt(multi, CURLMOPT_TIMERDATA, this);
}

NetworkClient::~NetworkClient() {
  SignalsBlocked blocked;
  stop_mails();
  for (auto& [key, transfer] : transfers_) {
    curl_multi_remove_handle(multi_of(multi_), transfer->easy);
  }
  transfers_.clear();
  curl_multi_cleanup(multi_of(multi_));
  close(epoll_);
  close(mail_event_);
}

void NetworkClient::stop_mails() noexcept {
  for (auto& mail : mails_) mail->cancel();
  for (auto& mail : mails_) mail->thread.join();
  mails_.clear();
}

// Sets up what all transfers have in common.
std::unique_ptr<NetworkClient::Transfer> NetworkClient::prepare(
    const std::string& url, const std::vector<std::string>& headers, const Limits& limits) {
  auto transfer = std::make_unique<Transfer>();
  transfer->easy = curl_easy_init();
  if (transfer->easy == nullptr) throw std::bad_alloc();
  CURL* easy = transfer->easy;
  for (const std::string& header : headers) append(&transfer->headers, header);
  set(easy, CURLOPT_URL, url.c_str());
  set(easy, CURLOPT_HTTPHEADER, transfer->headers);
  set(easy, CURLOPT_CONNECTTIMEOUT_MS, limits.connect_timeout_ms);
  set(easy, CURLOPT_TIMEOUT_MS, limits.timeout_ms);
  if (!limits.ca_file.empty()) set(easy, CURLOPT_CAINFO, limits.ca_file.c_str());
  set(easy, CURLOPT_NOSIGNAL, 1L);
  set(easy, CURLOPT_ERRORBUFFER, transfer->error);
  set(easy, CURLOPT_WRITEFUNCTION, &Callbacks::write);
  set(easy, CURLOPT_WRITEDATA, transfer.get());
  return transfer;
}

void NetworkClient::start(const std::string& key, const HttpRequest& request) {
  SignalsBlocked blocked;
  std::unique_ptr<Transfer> transfer = prepare(request.url, request.headers, request.limits);
  transfer->max_bytes = request.max_bytes;
  transfer->keep_body = request.keep_body;
  CURL* easy = transfer->easy;
  set(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  set(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  set(easy, CURLOPT_FOLLOWLOCATION, request.max_redirects > 0 ? 1L : 0L);
  set(easy, CURLOPT_MAXREDIRS, request.max_redirects);
  set(easy, CURLOPT_ACCEPT_ENCODING, "");
  set(easy, CURLOPT_USERAGENT, "fraud_detect/1.0");
  if (request.body) {
    transfer->body = *request.body;
    set(easy, CURLOPT_POST, 1L);
    set(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(transfer->body.size()));
    set(easy, CURLOPT_POSTFIELDS, transfer->body.c_str());
  }
  if (curl_multi_add_handle(multi_of(multi_), easy) != CURLM_OK) {
    throw std::runtime_error("could not start a transfer");
  }
  transfers_[key] = std::move(transfer);
}

void NetworkClient::start(const std::string& key, const MailRequest& request) {
  SignalsBlocked blocked;
  std::unique_ptr<Transfer> transfer = prepare(request.url, request.headers, request.limits);
  CURL* easy = transfer->easy;
  set(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
  set(easy, CURLOPT_USE_SSL, static_cast<long>(request.require_tls ? CURLUSESSL_ALL : CURLUSESSL_NONE));
  if (!request.user.empty()) {
    set(easy, CURLOPT_USERNAME, request.user.c_str());
    set(easy, CURLOPT_PASSWORD, request.password.c_str());
  }
  set(easy, CURLOPT_MAIL_FROM, ("<" + request.sender + ">").c_str());
  append(&transfer->recipients, "<" + request.recipient + ">");
  set(easy, CURLOPT_MAIL_RCPT, transfer->recipients);
  // The same said twice: a reader shows the last part that it can.
  transfer->mime = curl_mime_init(easy);
  curl_mime* both = curl_mime_init(easy);
  if (transfer->mime == nullptr || both == nullptr) throw std::bad_alloc();
  add_text_part(both, request.text, "text/plain; charset=utf-8");
  add_text_part(both, request.html, "text/html; charset=utf-8");
  curl_mimepart* part = curl_mime_addpart(transfer->mime);
  if (part == nullptr || curl_mime_subparts(part, both) != CURLE_OK ||
      curl_mime_type(part, "multipart/alternative") != CURLE_OK) {
    throw std::bad_alloc();
  }
  if (!request.attached_page_name.empty()) {
    part = curl_mime_addpart(transfer->mime);
    if (part == nullptr ||
        curl_mime_data(part, request.html.data(), request.html.size()) != CURLE_OK ||
        curl_mime_type(part, "text/html; charset=utf-8") != CURLE_OK ||
        curl_mime_encoder(part, "base64") != CURLE_OK ||
        curl_mime_filename(part, request.attached_page_name.c_str()) != CURLE_OK) {
      throw std::bad_alloc();
    }
  }
  set(easy, CURLOPT_MIMEPOST, transfer->mime);
  auto mail = std::make_unique<Mail>();
  mail->key = key;
  mail->event = mail_event_;
  set(easy, CURLOPT_OPENSOCKETFUNCTION, &Mail::open);
  set(easy, CURLOPT_OPENSOCKETDATA, mail.get());
  set(easy, CURLOPT_CLOSESOCKETFUNCTION, &Mail::close);
  set(easy, CURLOPT_CLOSESOCKETDATA, mail.get());
  set(easy, CURLOPT_NOPROGRESS, 0L);
  set(easy, CURLOPT_XFERINFOFUNCTION, &Mail::progress);
  set(easy, CURLOPT_XFERINFODATA, mail.get());
  mail->transfer = std::move(transfer);
  mails_.push_back(std::move(mail));
  Mail* started = mails_.back().get();
  try {
    started->thread = std::thread([started] { started->run(); });
  } catch (...) {
    mails_.pop_back();
    throw;
  }
}

void NetworkClient::Mail::run() noexcept {
  CURLcode code = curl_easy_perform(transfer->easy);
  Response& response = transfer->response;
  curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &response.status);
  try {
    note_error(code, transfer->error, response);
    response.refused = code != CURLE_OK && code != CURLE_LOGIN_DENIED && response.status >= 500 &&
                       response.status < 600;
  } catch (...) {
    response.refused = false;
  }
  tell(kAnswered);
  // Says good-bye to the server, which may take it its time.
  curl_easy_cleanup(transfer->easy);
  transfer->easy = nullptr;
  tell(kEnded);
}

// Reports the mails that were answered, and clears away the threads that ended.
void NetworkClient::look_at_mails(std::vector<std::pair<std::string, Response>>& ended) {
  for (auto it = mails_.begin(); it != mails_.end();) {
    Mail& mail = **it;
    int stage = mail.stage;
    if (stage != Mail::kRunning && !mail.reported) {
      mail.reported = true;
      ended.emplace_back(mail.key, mail.transfer->response);
    }
    if (stage == Mail::kEnded) {
      mail.thread.join();
      it = mails_.erase(it);
    } else {
      ++it;
    }
  }
}

void NetworkClient::cancel(const std::string& key) {
  for (auto& mail : mails_) {
    if (mail->key == key && !mail->reported) {
      mail->reported = true;
      mail->cancel();
    }
  }
  auto found = transfers_.find(key);
  if (found == transfers_.end()) return;
  SignalsBlocked blocked;
  curl_multi_remove_handle(multi_of(multi_), found->second->easy);
  transfers_.erase(found);
}

std::optional<long> NetworkClient::timeout_ms() const {
  if (!deadline_) return std::nullopt;
  auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
      *deadline_ - std::chrono::steady_clock::now());
  return left.count() > 0 ? static_cast<long>(left.count()) + 1 : 0;
}

std::vector<std::pair<std::string, Response>> NetworkClient::work() {
  SignalsBlocked blocked;
  CURLM* multi = multi_of(multi_);
  int running = 0;
  epoll_event events[64];
  int count = epoll_wait(epoll_, events, 64, 0);
  for (int i = 0; i < count; ++i) {
    if (events[i].data.fd == mail_event_) {
      eventfd_t news;
      eventfd_read(mail_event_, &news);
      continue;
    }
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
  std::vector<std::pair<std::string, Response>> ended;
  look_at_mails(ended);
  int left = 0;
  while (CURLMsg* message = curl_multi_info_read(multi, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    CURL* easy = message->easy_handle;
    CURLcode code = message->data.result;
    for (auto it = transfers_.begin(); it != transfers_.end(); ++it) {
      Transfer& transfer = *it->second;
      if (transfer.easy != easy) continue;
      Response& response = transfer.response;
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
      } else {
        note_error(code, transfer.error, response);
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
