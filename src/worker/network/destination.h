// Where a URL leads, as libcurl itself reads it, and whether it may be gone to.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/network/host_policy.h"

namespace fraud::worker {

// A URL that libcurl has taken apart. Transfers are given this and not the text, so
// that what was checked is what is connected to.
class Destination {
 public:
  // Reads a URL of one of the schemes, separated by commas. On a fault (a sentence without
  // the URL, which may hold a key) the rest is empty.
  Destination(const std::string& url, std::string_view schemes);

  std::string fault;
  bool has_user = false;  // which is a fault
  std::string scheme;  // in lower case
  std::string host;    // without brackets
  uint16_t port = 0;

  bool is_encrypted() const { return scheme == "https" || scheme == "smtps"; }
  // The machine itself, by name or address: traffic to it meets no wire.
  bool is_local() const;
  // The same scheme, host and port; or from http to https, both on their own ports.
  bool may_lead_to(const Destination& other) const;
  // The same scheme, host and port.
  bool is_same_as(const Destination& other) const;
  // "HOST, port N", for messages.
  std::string text() const;

  void* handle() const { return handle_.get(); }  // CURLU*

 private:
  std::shared_ptr<void> handle_;
};

// Returns the URL with an encoded query behind what it has of one; empty where it cannot be read.
std::string with_query(const std::string& url, const std::string& query);

// Returns where a link of the page at `url` leads, without its fragment; empty where it cannot be read.
std::string resolved(const std::string& url, const std::string& link);

// Why credentials may not be sent there, or an empty string.
std::string credentials_fault(const Destination& destination, bool has_credentials);

// Tells whether a header's value may be a credential: any but those that are known to be none.
bool may_be_credential(std::string_view header_name);

}  // namespace fraud::worker
