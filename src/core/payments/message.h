// What people and programs are told: the texts of messages, mails and webhook
// bodies. All of a payment's text is hostile: it is escaped for where it goes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fraud {

// One message of the outbox.
struct Message {
  std::string kind;     // alert, report, health, test
  std::string payload;  // a JSON object
  std::string subject;  // empty: made from the payload, as the two below
  std::string text;
  std::string html;
};

// A message on its way to one receiver, or a digest of several.
struct Notification {
  std::string id;          // the same in each attempt
  std::string created_at;  // ISO 8601
  std::string kind;
  bool digest = false;
  int64_t total = 1;              // messages in it
  std::vector<Message> messages;  // of them those that are shown, not empty
};

// What a mail says, twice.
struct MailText {
  std::string subject;  // one line of UTF-8
  std::string text;
  std::string html;  // a whole page
};
MailText mail_text(const Notification& notification);

// The body of a webhook: ours, or a template (JSON text, not empty) filled in.
std::string webhook_body(const Notification& notification, std::string_view json_template);

// What listeners get, who may be anybody: ids and decisions, or all that a webhook gets;
// cut down to what a NOTIFY can carry.
std::string notify_body(const Notification& notification, bool full, size_t max_bytes);

// Throws Error (kInvalidArgument) unless the JSON text is a template: an object or
// array whose texts hold known placeholders only, and at least one.
void check_template(std::string_view json_template);

// Writes a header's value for a mail: as it is, or as encoded words (RFC 2047).
std::string encode_mail_header(std::string_view text);

}  // namespace fraud
