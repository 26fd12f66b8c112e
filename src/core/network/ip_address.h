// Internet addresses: reading, writing, ranges, and which of them a server should
// not be made to connect to.
#pragma once

#include "core/base/guard.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fraud {

// An address of either family; one of IPv4 is held as ::ffff:a.b.c.d, which is the
// same host, so that there is one spelling of it.
struct IpAddress {
  std::array<uint8_t, 16> bytes{};

  static IpAddress v4(const uint8_t* four);
  static IpAddress v6(const uint8_t* sixteen);
  bool is_v4() const;
  bool operator==(const IpAddress& other) const { return bytes == other.bytes; }
};

// Reads a dotted quad or an IPv6 address, in brackets or not, as standards write it.
std::optional<IpAddress> parse_ip(std::string_view text);

// Reads whatever some resolver takes for an address: also 127.1, 0x7f.1, 017700000001,
// 2130706433, a dot at its end, a zone (fe80::1%eth0).
std::optional<IpAddress> parse_ip_loosely(std::string_view text);

std::string format_ip(const IpAddress& address);

// All addresses that begin with the same bits. A range of IPv6 holds none of IPv4.
struct IpRange {
  IpAddress first;
  int bits = 128;  // of the 128; a range of IPv4 has 96 and more

  bool contains(const IpAddress& address) const;
  bool contains(const IpRange& other) const;
};

// Reads an address, or one with /BITS; says in `fault` what is wrong with it.
std::optional<IpRange> parse_ip_range(std::string_view text, std::string& fault);

// Why an address is not to be contacted unless somebody asked for just that.
struct ReservedUse {
  const char* what;  // "a loopback address"
  IpRange range;     // whose every address is
};

// Lists the reserved uses of an address, the narrowest first: its own, and those of the IPv4 address that is
// written into it (IPv4-compatible, translated, NAT64, 6to4, Teredo, ISATAP).
std::vector<ReservedUse> reserved_uses(const IpAddress& address);

// The IPv4 addresses that are written into one of IPv6.
std::vector<IpAddress> embedded_v4(const IpAddress& address);

bool is_loopback(const IpAddress& address);

}  // namespace fraud
