// One delivery to one receiver: what it is made of, and the request that makes it.
#pragma once

#include <chrono>
#include <string>
#include <variant>

#include "core/payments/message.h"
#include "worker/network/network_client.h"

namespace fraud::worker {

// A delivery that was claimed, with all that is needed to make it.
struct Delivery {
  // Compiled once, for they are as long as the list of members.
  Delivery();
  Delivery(const Delivery&);
  Delivery(Delivery&&) noexcept;
  Delivery& operator=(const Delivery&);
  Delivery& operator=(Delivery&&) noexcept;
  ~Delivery();

  int64_t id = 0;
  std::string channel, channel_kind, target, recipient;
  std::string headers, json_template, secret, old_secret;
  std::string smtp_url, smtp_user, smtp_password, sender;
  bool starttls = true;
  Notification notification;
  // What to send; nothing of it for a NOTIFY.
  std::variant<std::monostate, HttpRequest, MailRequest> request;
  std::string fault;  // why there is nothing to send
  std::chrono::steady_clock::time_point started;
};

// Writes what is to be sent, or why nothing is. In a transaction, since Postgres's HMAC needs
// one; throws PgError.
void make_request(Delivery& delivery);

}  // namespace fraud::worker
