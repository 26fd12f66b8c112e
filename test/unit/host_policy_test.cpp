// Addresses in every spelling, and which of them the egress policy lets be contacted.
#include "core/network/host_policy.h"

#include <gtest/gtest.h>

#include <random>

#include "worker/network/destination.h"

namespace fraud {
namespace {

HostPolicy policy(const char* text) {
  std::string fault;
  std::optional<HostPolicy> parsed = HostPolicy::parse(text, fault);
  EXPECT_TRUE(parsed) << text << ": " << fault;
  return parsed ? *parsed : HostPolicy();
}

std::string fault_of(const char* text) {
  std::string fault;
  EXPECT_FALSE(HostPolicy::parse(text, fault)) << text;
  return fault;
}

IpAddress ip(const char* text) {
  std::optional<IpAddress> address = parse_ip(text);
  EXPECT_TRUE(address) << text;
  return address.value_or(IpAddress());
}

TEST(IpAddress, SpellingsOfOneHost) {
  for (const char* text : {"127.0.0.1", "127.1", "127.0.1", "0x7f.1", "0X7F000001", "2130706433", "017700000001",
                           "0177.0.0.01", "127.0.0.1.", "::ffff:127.0.0.1", "[::ffff:7f00:1]", "0:0:0:0:0:ffff:7f00:1",
                           "[::ffff:127.0.0.1%lo]"}) {
    std::optional<IpAddress> address = parse_ip_loosely(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(format_ip(*address), "127.0.0.1") << text;
    EXPECT_TRUE(is_loopback(*address)) << text;
  }
  for (const char* text : {"", ".", "localhost", "127.0.0.1 x", "127.0.0.1\n", "[127.0.0.1]", "1.2.3.4.5", "256.0.0.1",
                           "0x", ":", "[", "[]", "127.0.0.1/8", "fe80::1%", "4294967296", "face.example"}) {
    if (std::string(text) == "fe80::1%") {
      EXPECT_TRUE(parse_ip_loosely(text));
    } else {
      EXPECT_FALSE(parse_ip_loosely(text)) << text;
    }
  }
  for (const char* text : {"127.1", "0x7f.1", "2130706433", "127.0.0.1."}) EXPECT_FALSE(parse_ip(text)) << text;
}

// What is refused unless it is named, by the first and last address of each range, and the
// neighbours of the range.
TEST(IpAddress, ReservedUses) {
  const char* kReserved[] = {
      "0.0.0.0", "0.255.255.255", "127.0.0.0", "127.255.255.255", "169.254.0.0", "169.254.169.254", "169.254.255.255",
      "100.100.100.200", "168.63.129.16", "192.0.0.192", "224.0.0.0", "239.255.255.255", "240.0.0.0", "255.255.255.255",
      "::", "::1", "fe80::", "febf:ffff::1", "ff00::", "ff02::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
      "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fd00:c1::a9fe:a9fe", "fd00:42::42", "64:ff9b:1::1",
      "64:ff9b:1:ffff:ffff:ffff:ffff:ffff"};
  for (const char* text : kReserved) EXPECT_FALSE(reserved_uses(ip(text)).empty()) << text;
  const char* kOrdinary[] = {
      "1.0.0.0", "126.255.255.255", "128.0.0.0", "169.253.255.255", "169.255.0.0", "100.100.100.199", "100.100.100.201",
      "168.63.129.15", "168.63.129.17", "192.0.0.191", "192.0.0.193", "223.255.255.255", "10.0.0.1", "172.16.0.1",
      "192.168.0.1", "100.64.0.1", "8.8.8.8", "::2:0:0:1", "fe7f:ffff::1", "fec0::1", "fd00:ec1::254", "fd12:3456:789a::1",
      "2606:4700::1111", "64:ff9b::8.8.8.8", "64:ff9b:2::1", "64:ff9b::a00:1", "2002:808:808::1", "::ffff:8.8.8.8", "2001:4860::8888"};
  for (const char* text : kOrdinary) EXPECT_TRUE(reserved_uses(ip(text)).empty()) << text;
}

// Whatever IPv4 address is reserved, it is in every way that it can be written into IPv6, and
// no other is.
TEST(IpAddress, EmbeddedAddressesAreJudgedAsTheyAre) {
  std::mt19937 random(1);
  const char* kStarts[] = {"127.0.0.1", "169.254.169.254", "0.0.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192",
                           "224.0.0.1", "255.255.255.255", "10.1.2.3", "8.8.8.8", "172.16.5.6"};
  int reserved_ones = 0;
  for (int i = 0; i < 3000; ++i) {
    IpAddress inner = ip(kStarts[i % std::size(kStarts)]);
    if (i >= 100) {
      for (size_t j = 12; j < 16; ++j) inner.bytes[j] = static_cast<uint8_t>(random());
    }
    const uint8_t* four = inner.bytes.data() + 12;
    const bool reserved = !reserved_uses(inner).empty();
    reserved_ones += reserved;
    char text[80];
    auto check = [&](const char* form) {
      if (std::string(text) == "::0.0.0.1" || std::string(text) == "::0.0.0.0") return;
      EXPECT_EQ(!reserved_uses(ip(text)).empty(), reserved) << form << " " << text;
    };
    auto quad = [&](const char* prefix) {
      snprintf(text, sizeof(text), "%s%d.%d.%d.%d", prefix, four[0], four[1], four[2], four[3]);
      check(prefix);
    };
    quad("::ffff:");
    quad("::");
    quad("::ffff:0:");
    quad("64:ff9b::");
    quad("2606:4700::5efe:");
    quad("2606:4700::200:5efe:");
    snprintf(text, sizeof(text), "2002:%02x%02x:%02x%02x::1", four[0], four[1], four[2], four[3]);
    check("6to4");
    snprintf(text, sizeof(text), "2001:0:102:304:5:6:%02x%02x:%02x%02x", four[0] ^ 0xff, four[1] ^ 0xff, four[2] ^ 0xff, four[3] ^ 0xff);
    check("Teredo");
  }
  EXPECT_GT(reserved_ones, 100);
}

TEST(HostPolicy, FaultsSayWhatIsWrong) {
  EXPECT_NE(fault_of("a, ,b").find("empty"), std::string::npos);
  EXPECT_NE(fault_of("!a.example").find("begin it with *"), std::string::npos);
  for (const char* text : {"a b", "http://a.example", "a.example/x", "*a.example", "a.*", "**", "a:0", "a:65536", "a:", ":80", "[::1", "[::1]x",
                           "[::1]:", "10.0.0.1/8", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "127.1", "0x7f.1", "1.2.3", "2130706433",
                           "256.1.1.1", "bücher.example", "a..b", "!", "!!a", "a,", ",a", "fe80::1%eth0"}) {
    EXPECT_FALSE(fault_of(text).empty()) << text;
  }
}

TEST(HostPolicy, ANameLeadsNowhereThatIsReserved) {
  // A name that somebody else's name server answers for.
  for (const char* list : {"*", "api.example", "*.example", "*, !b.example", "0.0.0.0/0, ::/0", "*, api.example:80"}) {
    HostPolicy hosts = policy(list);
    for (const char* address : {"127.0.0.1", "::1", "169.254.169.254", "fd00:ec2::254", "64:ff9b::169.254.169.254", "0.0.0.0"}) {
      EXPECT_NE(hosts.refusal("api.example", ip(address), 80), "") << list << " " << address;
    }
    EXPECT_EQ(hosts.refusal("api.example", ip("10.0.0.5"), 80), "") << list;
  }
  EXPECT_EQ(policy("localhost").refusal("localhost", ip("127.0.0.1"), 80), "");
  EXPECT_EQ(policy("localhost").refusal("LOCALHOST.", ip("::1"), 80), "");
  EXPECT_NE(policy("localhost").refusal("localhost", ip("169.254.169.254"), 80), "");
  EXPECT_NE(policy("localhost").refusal("api.example", ip("127.0.0.1"), 80), "");
  EXPECT_NE(policy("localhost:80").refusal("localhost", ip("127.0.0.1"), 81), "");
  EXPECT_EQ(policy("127.0.0.1").refusal("api.example", ip("127.0.0.1"), 80), "");
  EXPECT_NE(policy("127.0.0.1").refusal("localhost", ip("::1"), 80), "");
}

TEST(HostPolicy, AnEmptyListAndADefaultOneLetNothingPass) {
  EXPECT_NE(policy("").refusal("api.example", 443), "");
  EXPECT_NE(HostPolicy().refusal("api.example", ip("8.8.8.8"), 443), "");
  EXPECT_FALSE(policy("").names("api.example", 443));
}

TEST(HostPolicy, ExclusionsWin) {
  HostPolicy hosts = policy("!10.9.0.0/16, *, 127.0.0.1, !*.evil.example, !api.example:25");
  EXPECT_EQ(hosts.refusal("a.example", ip("10.8.0.1"), 443), "");
  EXPECT_NE(hosts.refusal("a.example", ip("10.9.0.1"), 443), "");
  EXPECT_NE(hosts.refusal("a.example", ip("64:ff9b::10.9.0.1"), 443), "");
  EXPECT_NE(hosts.refusal("A.EVIL.example.", ip("8.8.8.8"), 443), "");
  EXPECT_EQ(hosts.refusal("evil.example", ip("8.8.8.8"), 443), "");
  EXPECT_NE(hosts.refusal("api.example", 25), "");
  EXPECT_EQ(hosts.refusal("api.example", 443), "");
}

TEST(HostPolicy, WhatAProxyLooksUpMustBeNamed) {
  HostPolicy hosts = policy("10.0.0.0/8, api.example");
  EXPECT_EQ(hosts.refusal("other.example", 443, true), "");
  EXPECT_NE(hosts.refusal("other.example", 443, false), "");
  EXPECT_EQ(hosts.refusal("api.example", 443, false), "");
  EXPECT_EQ(hosts.refusal("10.1.2.3", 443, false), "");
  EXPECT_TRUE(hosts.names("10.1.2.3", 443));
  EXPECT_FALSE(hosts.names("8.8.8.8", 443));
}

TEST(Destination, IsWhatLibcurlReads) {
  worker::Destination read("HTTPS://API.example:8443/a?b#c", "http,https");
  EXPECT_EQ(read.fault, "");
  EXPECT_EQ(read.scheme, "https");
  EXPECT_EQ(read.port, 8443);
  EXPECT_EQ(plain_host_name(read.host), "api.example");
  EXPECT_EQ(worker::Destination("http://0x7f.1/", "http").host, "127.0.0.1");
  EXPECT_TRUE(worker::Destination("http://[::ffff:127.0.0.1]/", "http").is_local());
  EXPECT_TRUE(worker::Destination("http://%6c%6f%63alhost/", "http").is_local());
  for (const char* url : {"", "http:", "http://", "http:///a", "http:/a", "file:///etc/passwd", "ftp://a/", "//a/", "a", "http://u@a/",
                          "http://u:p@a/", "http://@a/", "http://:@a/", "http://a b/", "http://a\n/", "http://a\\@b/", "http://a:0/",
                          "http://a:99999/", "http://[::1/", "http://ａ/", "http://a:80:90/", "https:a.example", "\thttp://a/", "http://a/ b"}) {
    worker::Destination bad(url, "http,https");
    EXPECT_NE(bad.fault, "") << url;
    EXPECT_EQ(bad.host, "") << url;
  }
}

TEST(Destination, RedirectsStayWhereTheyAre) {
  auto may = [](const char* from, const char* to) {
    return worker::Destination(from, "http,https").may_lead_to(worker::Destination(to, "http,https"));
  };
  EXPECT_TRUE(may("https://a.example/x", "https://A.example./y"));
  EXPECT_TRUE(may("http://a.example/", "https://a.example/"));
  EXPECT_FALSE(may("https://a.example/", "http://a.example/"));
  EXPECT_FALSE(may("https://a.example/", "https://b.example/"));
  EXPECT_FALSE(may("https://a.example/", "https://sub.a.example/"));
  EXPECT_FALSE(may("https://a.example/", "https://a.example:8443/"));
  EXPECT_FALSE(may("http://a.example:8080/", "https://a.example/"));
  EXPECT_FALSE(may("http://a.example/", "http://127.0.0.1/"));
}

TEST(Destination, CredentialsGoEncryptedOrNowhere) {
  auto fault = [](const char* url) { return worker::credentials_fault(worker::Destination(url, "http,https"), true); };
  EXPECT_NE(fault("http://a.example/"), "");
  EXPECT_NE(fault("http://10.0.0.1/"), "");
  EXPECT_EQ(fault("https://a.example/"), "");
  EXPECT_EQ(fault("http://127.0.0.1:80/"), "");
  EXPECT_EQ(fault("http://localhost/"), "");
  EXPECT_NE(fault("http://localhost.example/"), "");
  for (const char* name : {"Authorization", "X-Api-Key", "Cookie", "X-Anything"}) EXPECT_TRUE(worker::may_be_credential(name)) << name;
  for (const char* name : {"Accept", "user-AGENT"}) EXPECT_FALSE(worker::may_be_credential(name)) << name;
}

}  // namespace
}  // namespace fraud
