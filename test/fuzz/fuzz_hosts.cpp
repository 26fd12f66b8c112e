// Feeds arbitrary text to the egress policy: as a list, and as a host beside it. What is let
// pass with a list of names alone leads to no reserved address.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/network/host_policy.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  size_t line = text.find('\n');
  std::string_view host = line == std::string_view::npos ? text : text.substr(line + 1);
  std::string fault;
  if (auto policy = fraud::HostPolicy::parse(text.substr(0, line), fault)) {
    (void)policy->refusal(host, 443);
    (void)policy->names(host, 443);
  } else if (fault.empty()) {
    abort();
  }
  static const fraud::HostPolicy all = *fraud::HostPolicy::parse("*", fault);
  auto address = fraud::parse_ip_loosely(host);
  if (!address) return 0;
  if (all.refusal(host, 443).empty() != fraud::reserved_uses(*address).empty()) abort();
  // However it is spelt, it is the same address.
  auto again = fraud::parse_ip(fraud::format_ip(*address));
  if (!again || !(*again == *address)) abort();
  for (const fraud::IpAddress& inner : fraud::embedded_v4(*address)) {
    if (!fraud::reserved_uses(inner).empty() && all.refusal(host, 443).empty()) abort();
  }
  return 0;
}
