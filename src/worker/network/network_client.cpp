#include "worker/network/network_client.h"

#include <curl/curl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

#include "worker/network/mail.h"
#include "worker/network/transfer.h"

namespace fraud::worker {

namespace {

CURLM* multi_of(void* handle) { return static_cast<CURLM*>(handle); }

bool is_redirect(long status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

}  // namespace

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

  static size_t header(char*, size_t size, size_t count, void* transfer) noexcept {
    auto* self = static_cast<Transfer*>(transfer);
    self->header_bytes += size * count;
    return self->header_bytes > kMaxHeaderBytes ? 0 : size * count;
  }

  static curl_socket_t open(void* transfer, curlsocktype, curl_sockaddr* address) noexcept {
    return static_cast<Transfer*>(transfer)->open(address);
  }

  // Called before each request, on a connection that was kept too: the policy may be
  // another since it was opened.
  static int before_request(void* transfer, char* address, char*, int port, int) noexcept {
    return static_cast<Transfer*>(transfer)->admits(address, port) ? CURL_PREREQFUNC_OK
                                                                   : CURL_PREREQFUNC_ABORT;
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
  // libcurl would write the keys of all TLS connections there.
  unsetenv("SSLKEYLOGFILE");
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
  for (auto& mail : mails_) {
    if (mail->thread.joinable()) mail->thread.join();
  }
  mails_.clear();
}

void NetworkClient::start(const std::string& key, const HttpRequest& request) {
  SignalsBlocked blocked;
  auto transfer = std::make_unique<Transfer>(request.url, "http,https", request.headers, request.limits,
                                             request.has_credentials);
  if (!transfer->response.error.empty()) {
    refused_[key] = std::move(transfer->response);
    return;
  }
  transfer->max_bytes = request.max_bytes;
  transfer->keep_body = request.keep_body;
  transfer->max_redirects = request.max_redirects;
  transfer->redirect_refusal = request.redirect_refusal;
  transfer->kept_headers = request.kept_headers;
  CURL* easy = transfer->easy;
  set(easy, CURLOPT_WRITEFUNCTION, &Callbacks::write);
  set(easy, CURLOPT_WRITEDATA, transfer.get());
  set(easy, CURLOPT_HEADERFUNCTION, &Callbacks::header);
  set(easy, CURLOPT_HEADERDATA, transfer.get());
  set(easy, CURLOPT_OPENSOCKETFUNCTION, &Callbacks::open);
  set(easy, CURLOPT_OPENSOCKETDATA, transfer.get());
  set(easy, CURLOPT_PREREQFUNCTION, &Callbacks::before_request);
  set(easy, CURLOPT_PREREQDATA, transfer.get());
  set(easy, CURLOPT_ACCEPT_ENCODING, "");
  set(easy, CURLOPT_USERAGENT, "fraud_detect/1.0");
  if (!request.user.empty()) {
    set(easy, CURLOPT_HTTPAUTH, static_cast<long>(CURLAUTH_BASIC));
    set(easy, CURLOPT_USERNAME, request.user.c_str());
    set(easy, CURLOPT_PASSWORD, request.password.c_str());
  }
  if (!request.certificate_file.empty()) {
    set(easy, CURLOPT_SSLCERT, request.certificate_file.c_str());
    set(easy, CURLOPT_SSLKEY, request.key_file.c_str());
    // Without one libcurl's TLS library would ask the terminal.
    set(easy, CURLOPT_KEYPASSWD, request.key_password.c_str());
  }
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
  auto mail = std::make_unique<Mail>(key, request, mail_event_);
  if (!mail->transfer.response.error.empty()) {
    refused_[key] = std::move(mail->transfer.response);
    return;
  }
  mails_.push_back(std::move(mail));
  try {
    mails_.back()->start();
  } catch (...) {
    mails_.pop_back();
    throw;
  }
}

// Reports the mails that were answered, and clears away the threads that ended.
void NetworkClient::look_at_mails(Ended& ended) {
  for (auto it = mails_.begin(); it != mails_.end();) {
    Mail& mail = **it;
    int stage = mail.stage;
    if (stage != Mail::kRunning && !mail.reported) {
      mail.reported = true;
      ended.emplace_back(mail.key, mail.transfer.response);
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
  refused_.erase(key);
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
  if (!refused_.empty()) return 0;
  if (!deadline_) return std::nullopt;
  auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
      *deadline_ - std::chrono::steady_clock::now());
  return left.count() > 0 ? static_cast<long>(left.count()) + 1 : 0;
}

// Goes where a redirect leads, if that may be: to the same host, for the headers may hold
// keys and the host is what somebody agreed to. By what the answer says: some versions of
// libcurl leave the user out of CURLINFO_REDIRECT_URL.
bool NetworkClient::follow(Transfer& transfer) {
  Response& response = transfer.response;
  const char* url = nullptr;
  curl_easy_getinfo(transfer.easy, CURLINFO_EFFECTIVE_URL, &url);
  curl_header* location = nullptr;
  bool leads = curl_easy_header(transfer.easy, "location", 0, CURLH_HEADER, -1, &location) == CURLHE_OK && *location->value != '\0';
  std::string& fault = response.redirect_fault;
  if (url == nullptr || !leads) {
    fault = "it says not where to";
  } else if (transfer.max_redirects == 0) {
    fault = transfer.redirect_refusal;
  } else if (transfer.redirects >= transfer.max_redirects) {
    fault = "more than " + std::to_string(transfer.max_redirects) + " redirects (fraud_detect.max_redirects)";
  }
  if (!fault.empty()) return false;
  std::string target = resolved(url, location->value);
  Destination next(target.empty() ? location->value : target, "http,https");
  if (!next.fault.empty()) {
    fault = "where it leads is not followed: " + next.fault;
    return false;
  }
  if (!transfer.destination.may_lead_to(next)) {
    fault = "a redirect is followed only to the same host and port, not to " + next.scheme + ", " + next.text();
    return false;
  }
  auto left = std::chrono::duration_cast<std::chrono::milliseconds>(transfer.deadline - std::chrono::steady_clock::now());
  if (!transfer.go_to(std::move(next))) return false;
  ++transfer.redirects;
  transfer.header_bytes = 0;
  response = Response();
  set(transfer.easy, CURLOPT_TIMEOUT_MS, std::max<long>(static_cast<long>(left.count()), 1));
  return true;
}

// Writes the response of a transfer that is over.
void NetworkClient::end(Transfer& transfer, int code) {
  CURL* easy = transfer.easy;
  Response& response = transfer.response;
  transfer.note_end(static_cast<CURLcode>(code));
  const char* type = nullptr;
  curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &type);
  if (type != nullptr) response.content_type = type;
  for (const std::string& name : transfer.kept_headers) {
    curl_header* header = nullptr;
    for (size_t i = 0; curl_easy_header(easy, name.c_str(), i, CURLH_HEADER, -1, &header) == CURLHE_OK; ++i) {
      std::string& value = response.headers[name];
      if (i > 0) value += ", ";
      value += header->value;
    }
  }
  curl_off_t retry_after = 0;
  curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &retry_after);
  if (retry_after > 0) response.retry_after_s = static_cast<long>(retry_after);
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
  Ended ended;
  for (auto& [key, response] : refused_) ended.emplace_back(key, std::move(response));
  refused_.clear();
  look_at_mails(ended);
  int left = 0;
  while (CURLMsg* message = curl_multi_info_read(multi, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    CURL* easy = message->easy_handle;
    CURLcode code = message->data.result;
    for (auto it = transfers_.begin(); it != transfers_.end(); ++it) {
      Transfer& transfer = *it->second;
      if (transfer.easy != easy) continue;
      end(transfer, code);
      curl_multi_remove_handle(multi, easy);
      if (code == CURLE_OK && is_redirect(transfer.response.status) && follow(transfer)) {
        if (curl_multi_add_handle(multi, easy) == CURLM_OK) break;
        transfer.response.error = "could not follow a redirect";
      }
      ended.emplace_back(it->first, std::move(transfer.response));
      transfers_.erase(it);
      break;
    }
  }
  return ended;
}

}  // namespace fraud::worker
