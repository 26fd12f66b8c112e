// A mail under way, in a thread of its own: libcurl waits for a mail server's last
// reply, and for its good-bye, without giving way to other transfers.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "worker/network/transfer.h"

namespace fraud::worker {

// The main thread looks at `stage`, and ends the thread early by shutting its sockets.
struct NetworkClient::Mail {
  enum Stage { kRunning, kAnswered, kEnded };

  // Sets the mail up; `event` is written to when the thread has news.
  Mail(const std::string& key, const MailRequest& request, int event);

  // Starts the thread, which join() must follow; not where there is an error already.
  void start();
  void cancel() noexcept;

  std::string key;
  Transfer transfer;
  bool reported = false;  // or given up
  std::atomic<int> stage{kRunning};
  std::thread thread;

 private:
  void write(const MailRequest& request);
  void run() noexcept;
  void tell(Stage news) noexcept;

  static curl_socket_t open(void* mail, curlsocktype, curl_sockaddr* address) noexcept;
  static int close(void* mail, curl_socket_t socket) noexcept;
  static int progress(void* mail, curl_off_t, curl_off_t, curl_off_t, curl_off_t) noexcept;

  int event_;
  std::atomic<bool> cancelled_{false};
  std::mutex mutex_;  // of sockets_
  std::set<int> sockets_;
};

}  // namespace fraud::worker
