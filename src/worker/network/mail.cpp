#include "worker/network/mail.h"

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

namespace fraud::worker {

namespace {

void add_part(curl_mime* mime, const std::string& text, const char* type, const char* encoder,
              const std::string& file_name = {}) {
  curl_mimepart* part = curl_mime_addpart(mime);
  if (part == nullptr || curl_mime_data(part, text.data(), text.size()) != CURLE_OK ||
      curl_mime_type(part, type) != CURLE_OK || curl_mime_encoder(part, encoder) != CURLE_OK ||
      (!file_name.empty() && curl_mime_filename(part, file_name.c_str()) != CURLE_OK)) {
    throw std::bad_alloc();
  }
}

size_t drop_reply(char*, size_t size, size_t count, void*) noexcept { return size * count; }

}  // namespace

NetworkClient::Mail::Mail(const std::string& the_key, const MailRequest& request, int event)
    : key(the_key),
      transfer(request.url, "smtp,smtps", request.headers, request.limits, !request.password.empty()),
      event_(event) {
  if (transfer.response.error.empty() && !request.password.empty() && !request.require_tls &&
      !transfer.destination.is_encrypted()) {
    transfer.response.error = "a password is not sent without TLS";
  }
  if (!transfer.response.error.empty()) {
    stage = kEnded;
    return;
  }
  CURL* easy = transfer.easy;
  set(easy, CURLOPT_WRITEFUNCTION, &drop_reply);
  set(easy, CURLOPT_USE_SSL, static_cast<long>(request.require_tls ? CURLUSESSL_ALL : CURLUSESSL_NONE));
  if (!request.user.empty()) {
    set(easy, CURLOPT_USERNAME, request.user.c_str());
    set(easy, CURLOPT_PASSWORD, request.password.c_str());
  }
  set(easy, CURLOPT_MAIL_FROM, ("<" + request.sender + ">").c_str());
  append(&transfer.recipients, "<" + request.recipient + ">");
  set(easy, CURLOPT_MAIL_RCPT, transfer.recipients);
  write(request);
  set(easy, CURLOPT_OPENSOCKETFUNCTION, &Mail::open);
  set(easy, CURLOPT_OPENSOCKETDATA, this);
  set(easy, CURLOPT_CLOSESOCKETFUNCTION, &Mail::close);
  set(easy, CURLOPT_CLOSESOCKETDATA, this);
  set(easy, CURLOPT_NOPROGRESS, 0L);
  set(easy, CURLOPT_XFERINFOFUNCTION, &Mail::progress);
  set(easy, CURLOPT_XFERINFODATA, this);
}

// The same said twice: a reader shows the last part that it can.
void NetworkClient::Mail::write(const MailRequest& request) {
  transfer.mime = curl_mime_init(transfer.easy);
  curl_mime* both = curl_mime_init(transfer.easy);
  if (transfer.mime == nullptr || both == nullptr) throw std::bad_alloc();
  add_part(both, request.text, "text/plain; charset=utf-8", "quoted-printable");
  add_part(both, request.html, "text/html; charset=utf-8", "quoted-printable");
  curl_mimepart* part = curl_mime_addpart(transfer.mime);
  if (part == nullptr || curl_mime_subparts(part, both) != CURLE_OK ||
      curl_mime_type(part, "multipart/alternative") != CURLE_OK) {
    throw std::bad_alloc();
  }
  if (!request.attached_page_name.empty()) {
    add_part(transfer.mime, request.html, "text/html; charset=utf-8", "base64", request.attached_page_name);
  }
  set(transfer.easy, CURLOPT_MIMEPOST, transfer.mime);
}

void NetworkClient::Mail::start() {
  thread = std::thread([this] { run(); });
}

void NetworkClient::Mail::run() noexcept {
  CURLcode code = curl_easy_perform(transfer.easy);
  Response& response = transfer.response;
  try {
    transfer.note_end(code);
    response.refused = code != CURLE_OK && code != CURLE_LOGIN_DENIED && response.status >= 500 &&
                       response.status < 600;
  } catch (...) {
    response.refused = false;
  }
  tell(kAnswered);
  // Says good-bye to the server, which may take it its time.
  curl_easy_cleanup(transfer.easy);
  transfer.easy = nullptr;
  tell(kEnded);
}

void NetworkClient::Mail::tell(Stage news) noexcept {
  stage = news;
  eventfd_write(event_, 1);
}

void NetworkClient::Mail::cancel() noexcept {
  cancelled_ = true;
  std::lock_guard<std::mutex> lock(mutex_);
  for (int socket : sockets_) shutdown(socket, SHUT_RDWR);
}

curl_socket_t NetworkClient::Mail::open(void* mail, curlsocktype, curl_sockaddr* address) noexcept {
  auto* self = static_cast<Mail*>(mail);
  std::lock_guard<std::mutex> lock(self->mutex_);
  if (self->cancelled_) return CURL_SOCKET_BAD;
  int socket = self->transfer.open(address);
  try {
    if (socket >= 0) self->sockets_.insert(socket);
  } catch (...) {
    ::close(socket);
    return CURL_SOCKET_BAD;
  }
  return socket;
}

int NetworkClient::Mail::close(void* mail, curl_socket_t socket) noexcept {
  auto* self = static_cast<Mail*>(mail);
  std::lock_guard<std::mutex> lock(self->mutex_);
  self->sockets_.erase(socket);
  return ::close(socket);
}

int NetworkClient::Mail::progress(void* mail, curl_off_t, curl_off_t, curl_off_t, curl_off_t) noexcept {
  return static_cast<Mail*>(mail)->cancelled_ ? 1 : 0;
}

}  // namespace fraud::worker
