#include "core/network/host_policy.h"

#include <algorithm>
#include <charconv>

namespace fraud {

namespace {

using Kind = HostPattern::Kind;

std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  while (!text.empty() && kBlanks.find(text.front()) != std::string_view::npos) text.remove_prefix(1);
  while (!text.empty() && kBlanks.find(text.back()) != std::string_view::npos) text.remove_suffix(1);
  return text;
}

std::string quoted(std::string_view text) { return "\"" + std::string(text) + "\""; }

// A name of ASCII labels; one whose last label is a number is a misspelt address.
bool is_name(std::string_view name) {
  if (name.empty() || name.size() > 253) return false;
  size_t at = 0;
  std::string_view label;
  while (at <= name.size()) {
    size_t dot = std::min(name.find('.', at), name.size());
    label = name.substr(at, dot - at);
    if (label.empty() || label.size() > 63) return false;
    for (char c : label) {
      if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_')) return false;
    }
    at = dot + 1;
  }
  return !std::all_of(label.begin(), label.end(), [](char c) { return c >= '0' && c <= '9'; }) &&
         !parse_ip_loosely(name);
}

bool in_domain(std::string_view name, std::string_view domain) {
  return name.size() > domain.size() + 1 && name.substr(name.size() - domain.size()) == domain &&
         name[name.size() - domain.size() - 1] == '.';
}

bool has_port(const HostPattern& pattern, uint16_t port) { return pattern.port == 0 || pattern.port == port; }

bool matches_name(const HostPattern& pattern, std::string_view name) {
  return (pattern.kind == Kind::kName && pattern.name == name) ||
         (pattern.kind == Kind::kDomain && in_domain(name, pattern.name));
}

// Splits "host:port"; an IPv6 address has its port behind brackets.
bool split_port(std::string_view text, std::string_view& host, std::string_view& port) {
  if (!text.empty() && text.front() == '[') {
    size_t end = text.find(']');
    if (end == std::string_view::npos) return false;
    host = text.substr(1, end - 1);
    if (end + 1 == text.size()) return true;
    if (text[end + 1] != ':') return false;
    port = text.substr(end + 2);
    return !port.empty();
  }
  size_t colon = text.find(':');
  if (colon == std::string_view::npos || text.find(':', colon + 1) != std::string_view::npos) {
    host = text;
    return true;
  }
  host = text.substr(0, colon);
  port = text.substr(colon + 1);
  return !port.empty();
}

std::optional<HostPattern> parse_pattern(std::string_view text, std::string& fault) {
  HostPattern pattern;
  std::string_view rest = text;
  if (!rest.empty() && rest.front() == '!') {
    pattern.excluded = true;
    rest = trim(rest.substr(1));
  }
  std::string_view host, port;
  if (!split_port(rest, host, port) || host.empty()) {
    fault = quoted(text) + " is not a host, a range of addresses or *";
    return std::nullopt;
  }
  if (!port.empty()) {
    auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), pattern.port);
    if (error != std::errc() || end != port.data() + port.size() || pattern.port == 0) {
      fault = quoted(text) + " has no port from 1 to 65535";
      return std::nullopt;
    }
  }
  if (host == "*") return pattern;
  if (host.find('/') != std::string_view::npos || parse_ip(host)) {
    std::optional<IpRange> range = parse_ip_range(host, fault);
    if (!range) return std::nullopt;
    pattern.kind = Kind::kRange;
    pattern.range = *range;
    return pattern;
  }
  pattern.kind = host.substr(0, 2) == "*." ? Kind::kDomain : Kind::kName;
  pattern.name = plain_host_name(pattern.kind == Kind::kDomain ? host.substr(2) : host);
  if (!is_name(pattern.name)) {
    fault = quoted(text) + " is not a host, a range of addresses or *";
    return std::nullopt;
  }
  return pattern;
}

constexpr const char* kExcluded = "it is excluded";
constexpr const char* kNotListed = "it is not in the list";

}  // namespace

std::string plain_host_name(std::string_view host) {
  if (!host.empty() && host.back() == '.') host.remove_suffix(1);
  std::string name(host);
  for (char& c : name) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return name;
}

bool is_localhost(std::string_view host) {
  std::string name = plain_host_name(host);
  return name == "localhost" || in_domain(name, "localhost");
}

std::optional<HostPolicy> HostPolicy::parse(std::string_view text, std::string& fault) {
  HostPolicy policy;
  if (trim(text).empty()) return policy;
  while (true) {
    size_t comma = text.find(',');
    std::string_view element = trim(text.substr(0, comma));
    if (element.empty()) {
      fault = "an element of the list is empty";
      return std::nullopt;
    }
    std::optional<HostPattern> pattern = parse_pattern(element, fault);
    if (!pattern) return std::nullopt;
    policy.patterns_.push_back(std::move(*pattern));
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  bool allows = std::any_of(policy.patterns_.begin(), policy.patterns_.end(),
                            [](const HostPattern& pattern) { return !pattern.excluded; });
  if (!allows) {
    fault = "a list of nothing but exclusions lets nothing pass; begin it with *";
    return std::nullopt;
  }
  return policy;
}

bool HostPolicy::named(std::string_view name, uint16_t port) const {
  return std::any_of(patterns_.begin(), patterns_.end(), [&](const HostPattern& pattern) {
    return !pattern.excluded && has_port(pattern, port) && matches_name(pattern, name);
  });
}

bool HostPolicy::excluded(std::string_view name, uint16_t port) const {
  return std::any_of(patterns_.begin(), patterns_.end(), [&](const HostPattern& pattern) {
    return pattern.excluded && has_port(pattern, port) &&
           (pattern.kind == Kind::kAll || matches_name(pattern, name));
  });
}

std::string HostPolicy::refusal(std::string_view host, const IpAddress& address, uint16_t port) const {
  const std::string name = plain_host_name(host);
  if (excluded(name, port)) return kExcluded;
  const std::vector<IpAddress> inner = embedded_v4(address);
  bool all = false, in_range = false;
  for (const HostPattern& pattern : patterns_) {
    if (!has_port(pattern, port)) continue;
    if (pattern.kind == Kind::kAll) all = true;
    if (pattern.kind != Kind::kRange) continue;
    // What is excluded is excluded in every spelling; what is allowed, as it stands.
    if (pattern.excluded && (pattern.range.contains(address) ||
                             std::any_of(inner.begin(), inner.end(), [&](const IpAddress& four) {
                               return pattern.range.contains(four);
                             }))) {
      return kExcluded;
    }
    if (!pattern.excluded && pattern.range.contains(address)) in_range = true;
  }
  const bool by_name = named(name, port);
  for (const ReservedUse& use : reserved_uses(address)) {
    bool meant = by_name && is_localhost(name) && is_loopback(address);
    for (const HostPattern& pattern : patterns_) {
      meant = meant || (!pattern.excluded && pattern.kind == Kind::kRange && has_port(pattern, port) &&
                        pattern.range.contains(address) && use.range.contains(pattern.range));
    }
    if (!meant) return std::string("it is ") + use.what;
  }
  return all || in_range || by_name ? std::string() : kNotListed;
}

std::string HostPolicy::refusal(std::string_view host, uint16_t port, bool looked_up_here) const {
  if (std::optional<IpAddress> address = parse_ip_loosely(host)) return refusal(host, *address, port);
  const std::string name = plain_host_name(host);
  if (excluded(name, port)) return kExcluded;
  if (is_localhost(name)) {
    const uint8_t four[4] = {127, 0, 0, 1};
    uint8_t six[16] = {};
    six[15] = 1;
    std::string refused = refusal(host, IpAddress::v4(four), port);
    return refused.empty() ? refused : refusal(host, IpAddress::v6(six), port);
  }
  for (const HostPattern& pattern : patterns_) {
    if (pattern.excluded || !has_port(pattern, port)) continue;
    if (pattern.kind == Kind::kAll || matches_name(pattern, name) ||
        (pattern.kind == Kind::kRange && looked_up_here)) {
      return {};
    }
  }
  return kNotListed;
}

bool HostPolicy::names(std::string_view host, uint16_t port) const {
  return !patterns_.empty() && !is_localhost(host) && refusal(host, port, false).empty();
}

}  // namespace fraud
