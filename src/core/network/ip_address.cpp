#include "core/network/ip_address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace fraud {

namespace {

constexpr uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

struct Reserved {
  const char* range;
  const char* what;
};

// What no payment API and no receiver has. The clouds' metadata services give keys to
// whoever asks from the machine itself; they stand in ranges of their own, so that a
// pattern for the range around them does not let them in.
constexpr Reserved kReserved[] = {
    {"0.0.0.0/8", "an unspecified address"},
    {"127.0.0.0/8", "a loopback address"},
    {"169.254.0.0/16", "a link-local address"},
    {"169.254.169.254", "a cloud's metadata service"},
    {"169.254.170.2", "a cloud's metadata service"},   // Amazon ECS
    {"169.254.170.23", "a cloud's metadata service"},  // Amazon EKS
    {"100.100.100.200", "a cloud's metadata service"},  // Alibaba
    {"168.63.129.16", "a cloud's metadata service"},    // Azure
    {"192.0.0.192", "a cloud's metadata service"},      // Oracle
    {"224.0.0.0/4", "a multicast address"},
    {"240.0.0.0/4", "a reserved address"},
    {"255.255.255.255", "the broadcast address"},
    {"::", "an unspecified address"},
    {"::1", "a loopback address"},
    {"fe80::/10", "a link-local address"},
    {"ff00::/8", "a multicast address"},
    {"fd00:ec2::/32", "a cloud's metadata service"},          // Amazon
    {"fd20:ce::254", "a cloud's metadata service"},           // Google
    {"fd00:c1::a9fe:a9fe", "a cloud's metadata service"},     // Oracle
    {"fd00:42::42", "a cloud's metadata service"},            // Scaleway
    // Which IPv4 address one of these is, only the local translator knows (RFC 8215).
    {"64:ff9b:1::/48", "an address translated to an unknown one of IPv4"},
};

struct ReservedRange {
  IpRange range;
  const char* what;
};

const std::vector<ReservedRange>& reserved_ranges() {
  static const std::vector<ReservedRange> ranges = [] {
    std::vector<ReservedRange> all;
    std::string fault;
    for (const Reserved& entry : kReserved) all.push_back({*parse_ip_range(entry.range, fault), entry.what});
    return all;
  }();
  return ranges;
}

// Where an IPv4 address is written into one of IPv6.
struct Embedding {
  int offset;  // of its first byte
  bool inverted = false;
};

std::vector<Embedding> embeddings(const IpAddress& address) {
  std::vector<Embedding> found;
  if (address.is_v4()) return found;
  auto begins = [&](std::initializer_list<uint8_t> prefix) {
    return std::equal(prefix.begin(), prefix.end(), address.bytes.begin());
  };
  // IPv4-compatible, but for :: and ::1 themselves.
  if (begins({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}) &&
      !begins({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})) {
    found.push_back({12});
  }
  if (begins({0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0})) found.push_back({12});  // translated
  if (begins({0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0})) found.push_back({12});  // NAT64
  if (begins({0x20, 0x02})) found.push_back({2});                                    // 6to4
  if (begins({0x20, 0x01, 0, 0})) found.push_back({12, true});                       // Teredo
  const uint8_t* interface = address.bytes.data() + 8;
  if ((interface[0] & 0xfc) == 0 && interface[1] == 0 && interface[2] == 0x5e && interface[3] == 0xfe) {
    found.push_back({12});  // ISATAP
  }
  return found;
}

IpAddress embedded_at(const IpAddress& address, const Embedding& embedding) {
  uint8_t four[4];
  for (int i = 0; i < 4; ++i) {
    uint8_t byte = address.bytes[static_cast<size_t>(embedding.offset + i)];
    four[i] = embedding.inverted ? static_cast<uint8_t>(~byte) : byte;
  }
  return IpAddress::v4(four);
}

IpRange range_around(const IpAddress& address, int bits) {
  IpRange range;
  range.bits = bits;
  for (int i = 0; i < 16; ++i) {
    int kept = std::clamp(bits - 8 * i, 0, 8);
    range.first.bytes[static_cast<size_t>(i)] =
        static_cast<uint8_t>(address.bytes[static_cast<size_t>(i)] & (0xff00 >> kept));
  }
  return range;
}

}  // namespace

IpAddress IpAddress::v4(const uint8_t* four) {
  IpAddress address;
  std::memcpy(address.bytes.data(), kMapped, sizeof(kMapped));
  std::memcpy(address.bytes.data() + sizeof(kMapped), four, 4);
  return address;
}

IpAddress IpAddress::v6(const uint8_t* sixteen) {
  IpAddress address;
  std::memcpy(address.bytes.data(), sixteen, 16);
  return address;
}

bool IpAddress::is_v4() const { return std::memcmp(bytes.data(), kMapped, sizeof(kMapped)) == 0; }

std::optional<IpAddress> parse_ip(std::string_view text) {
  if (text.size() > 2 && text.front() == '[' && text.back() == ']') {
    text = text.substr(1, text.size() - 2);
    if (text.find(':') == std::string_view::npos) return std::nullopt;
  }
  std::string copy(text);
  if (copy.find('\0') != std::string::npos) return std::nullopt;
  uint8_t bytes[16];
  if (inet_pton(AF_INET, copy.c_str(), bytes) == 1) return IpAddress::v4(bytes);
  if (inet_pton(AF_INET6, copy.c_str(), bytes) == 1) return IpAddress::v6(bytes);
  return std::nullopt;
}

std::optional<IpAddress> parse_ip_loosely(std::string_view text) {
  while (!text.empty() && text.back() == '.') text.remove_suffix(1);
  size_t zone = text.find('%');
  if (zone != std::string_view::npos && text.find(':') < zone) {
    std::string without(text.substr(0, zone));
    if (!text.empty() && text.front() == '[') without += ']';
    return parse_ip(without);
  }
  if (std::optional<IpAddress> address = parse_ip(text)) return address;
  // inet_aton takes what follows white space for a remark.
  bool numeric = !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == 'x' || c == 'X' || c == '.';
  });
  in_addr four;
  if (!numeric || inet_aton(std::string(text).c_str(), &four) == 0) return std::nullopt;
  return IpAddress::v4(reinterpret_cast<const uint8_t*>(&four.s_addr));
}

std::string format_ip(const IpAddress& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.is_v4()) {
    inet_ntop(AF_INET, address.bytes.data() + 12, text, sizeof(text));
  } else {
    inet_ntop(AF_INET6, address.bytes.data(), text, sizeof(text));
  }
  return text;
}

bool IpRange::contains(const IpAddress& address) const {
  if (first.is_v4() != address.is_v4()) return false;
  return range_around(address, bits).first == first;
}

bool IpRange::contains(const IpRange& other) const { return other.bits >= bits && contains(other.first); }

std::optional<IpRange> parse_ip_range(std::string_view text, std::string& fault) {
  size_t slash = text.find('/');
  std::optional<IpAddress> address = parse_ip(text.substr(0, slash));
  if (!address) {
    fault = "\"" + std::string(text) + "\" is not an address";
    return std::nullopt;
  }
  const int most = address->is_v4() ? 32 : 128;
  int bits = most;
  if (slash != std::string_view::npos) {
    std::string_view digits = text.substr(slash + 1);
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
    if (digits.empty() || error != std::errc() || end != digits.data() + digits.size() || bits < 0 || bits > most) {
      fault = "\"" + std::string(text) + "\" has no mask of 0 to " + std::to_string(most) + " bits";
      return std::nullopt;
    }
  }
  IpRange range = range_around(*address, bits + 128 - most);
  if (!(range.first == *address)) {
    fault = "\"" + std::string(text) + "\" has bits set to the right of its mask";
    return std::nullopt;
  }
  return range;
}

std::vector<IpAddress> embedded_v4(const IpAddress& address) {
  std::vector<IpAddress> found;
  for (const Embedding& embedding : embeddings(address)) found.push_back(embedded_at(address, embedding));
  return found;
}

std::vector<ReservedUse> reserved_uses(const IpAddress& address) {
  std::vector<ReservedUse> uses;
  for (const ReservedRange& reserved : reserved_ranges()) {
    if (reserved.range.contains(address)) uses.push_back({reserved.what, reserved.range});
  }
  for (const Embedding& embedding : embeddings(address)) {
    for (const ReservedUse& use : reserved_uses(embedded_at(address, embedding))) {
      uses.push_back({use.what, range_around(address, 8 * embedding.offset + use.range.bits - 96)});
    }
  }
  std::stable_sort(uses.begin(), uses.end(),
                   [](const ReservedUse& a, const ReservedUse& b) { return a.range.bits > b.range.bits; });
  return uses;
}

bool is_loopback(const IpAddress& address) {
  static constexpr uint8_t kV6[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  return (address.is_v4() && address.bytes[12] == 127) || address == IpAddress::v6(kV6);
}

}  // namespace fraud
