// Drives the network client of the workers against real servers, as the notify worker
// does, to be built with sanitizers (CMake target network_client): requests and mails of
// every fate at once, some given up, some still under way when the client ends.
//
// usage: network_client CA_FILE HTTPS_URL SMTP_URL SILENT_URL [ROUNDS]
// Prints a line "name outcome count" for each; the outcomes are for the caller to judge.
#include "worker/network/network_client.h"

#include <poll.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

using namespace fraud::worker;

namespace {

Limits limits(const char* ca_file) {
  Limits result;
  result.connect_timeout_ms = 10000;
  result.timeout_ms = 5000;
  result.ca_file = ca_file;
  std::string fault;
  result.policy = std::make_shared<fraud::HostPolicy>(*fraud::HostPolicy::parse("*, 127.0.0.1", fault));
  return result;
}

HttpRequest webhook(const char* ca_file, const std::string& url) {
  HttpRequest request;
  request.limits = limits(ca_file);
  request.url = url;
  request.headers = {"Content-Type: application/json", "webhook-id: " + url};
  request.body = "{\"text\": \"" + std::string(20000, 'x') + "\"}";
  request.max_redirects = 0;
  return request;
}

MailRequest mail(const char* ca_file, const std::string& url, const std::string& recipient) {
  MailRequest request;
  request.limits = limits(ca_file);
  request.url = url;
  request.sender = "fraud@example.com";
  request.recipient = recipient;
  request.headers = {"Subject: a test", "Message-ID: <" + recipient + ">"};
  request.text = std::string(20000, 'y');
  request.html = "<p>" + std::string(20000, 'z') + "</p>";
  return request;
}

std::string outcome(const Response& response) {
  if (response.timed_out) return "timeout";
  if (response.error.find("fraud_detect.allowed_hosts refuses") == 0) return "not allowed";
  if (!response.error.empty()) return response.refused ? "refused" : "failed";
  return std::to_string(response.status);
}

}  // namespace

// OpenSSL from 3.5 on reads some of its tables without a lock, in a library that is not built with ThreadSanitizer: what
// orders these reads is not seen, and memcpy and memcmp within it are taken for races. Those of ours are still told.
extern "C" const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() { return "called_from_lib:libcrypto.so\n"; }

int main(int argc, char** argv) {
  if (argc < 5) {
    std::fprintf(stderr, "usage: network_client CA_FILE HTTPS_URL SMTP_URL SILENT_URL [ROUNDS]\n");
    return 2;
  }
  const char* ca_file = argv[1];
  const std::string https = argv[2], smtp = argv[3], silent = argv[4];
  const int rounds = argc > 5 ? std::atoi(argv[5]) : 5;
  std::map<std::string, int> counts;
  for (int round = 0; round < rounds; ++round) {
    NetworkClient client;
    size_t left = 0;
    auto post = [&](const std::string& name, const std::string& url) {
      client.start(name, webhook(ca_file, url));
      ++left;
    };
    auto send = [&](const std::string& name, const std::string& url, const std::string& to) {
      client.start(name, mail(ca_file, url, to));
      ++left;
    };
    for (int i = 0; i < 4; ++i) post("ok " + std::to_string(i), https + "/ok");
    post("error", https + "/500");
    post("redirect", https + "/redirect");
    post("half", https + "/half");
    post("hang", https + "/hang");
    post("silent", "https://" + silent);
    post("closed", "http://127.0.0.1:1/");
    post("forbidden", "http://127.0.0.2:1/");
    send("mail forbidden", "smtp://169.254.169.254", "ok@example.com");
    for (int i = 0; i < 4; ++i) send("mail ok " + std::to_string(i), smtp, "ok@example.com");
    send("mail unknown", smtp, "unknown@example.com");
    send("mail hang", smtp, "hang@example.com");
    send("mail silent", "smtp://" + silent, "ok@example.com");
    send("mail closed", "smtp://127.0.0.1:1", "ok@example.com");
    // Given up at once, and while under way.
    post("given up", https + "/hang");
    send("mail given up", smtp, "hang@example.com");
    client.cancel("given up");
    client.cancel("mail given up");
    left -= 2;
    // In the last round all that hangs is still under way when the client ends.
    const size_t wanted = round + 1 < rounds ? 0 : 4;
    while (left > wanted) {
      pollfd descriptor{client.descriptor(), POLLIN, 0};
      long wait = client.timeout_ms().value_or(1000);
      (void)poll(&descriptor, 1, static_cast<int>(wait < 1000 ? wait : 1000));
      for (const auto& [name, response] : client.work()) {
        ++counts[name.substr(0, name.find_last_not_of("0123456789 ") + 1) + " " + outcome(response)];
        --left;
      }
    }
  }
  for (const auto& [what, count] : counts) std::printf("%s %d\n", what.c_str(), count);
  return 0;
}
