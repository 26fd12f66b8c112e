// Which hosts the workers may contact: the setting fraud_detect.allowed_hosts.
#pragma once

#include "core/base/guard.h"
#include "core/network/ip_address.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fraud {

// One element of the list.
struct HostPattern {
  enum class Kind { kAll, kName, kDomain, kRange };  // *  name  *.domain  address or range

  Kind kind = Kind::kAll;
  bool excluded = false;
  std::string name;  // in lower case, without a dot at its end; of a domain, what follows "*."
  IpRange range;
  uint16_t port = 0;  // 0: any
};

// A list of patterns, separated by commas: HOST, *.DOMAIN, ADDRESS, ADDRESS/BITS or *,
// each with :PORT or not, and with ! before it for an exclusion. An exclusion wins
// wherever it stands. A reserved address (reserved_uses) is allowed by a pattern for
// that address, or for a range that is reserved throughout, and by no other; loopback
// also by the name localhost.
class HostPolicy {
 public:
  // Reads a list; says in `fault` what is wrong with it.
  static std::optional<HostPolicy> parse(std::string_view text, std::string& fault);

  // Why a host may not be contacted at an address, or an empty string: "a loopback
  // address". The host is a name or an address, as a URL has it.
  std::string refusal(std::string_view host, const IpAddress& address, uint16_t port) const;

  // The same while no address is known: a name passes if there may be an address of it
  // that does, or, where somebody else looks it up (a proxy), if a pattern names it.
  std::string refusal(std::string_view host, uint16_t port, bool looked_up_here = true) const;

  // Tells whether a pattern names the host, and none excludes it: a list of hosts that
  // are treated in some other way.
  bool names(std::string_view host, uint16_t port) const;

 private:
  bool named(std::string_view name, uint16_t port) const;
  bool excluded(std::string_view name, uint16_t port) const;

  std::vector<HostPattern> patterns_;
};

// Returns a host's name in the one spelling that is compared.
std::string plain_host_name(std::string_view host);

// Tells whether a name stands for the machine itself (RFC 6761).
bool is_localhost(std::string_view host);

}  // namespace fraud
