#include "core/requests/pace.h"

#include <algorithm>

namespace fraud {

namespace {

constexpr int64_t kMicrosPerSecond = 1000000;
constexpr int64_t kMostWantedS = 3600;
constexpr int64_t kUnsaidLifetimeS = 3600;
constexpr int64_t kMostTokenMarginS = 30;

}  // namespace

int64_t rate_pause_us(int requests_a_minute) noexcept {
  return requests_a_minute > 0 ? 60 * kMicrosPerSecond / requests_a_minute : 0;
}

int64_t page_due(int64_t now, int64_t last_asked, int requests_a_minute) noexcept {
  return last_asked == 0 ? now : std::max(now, last_asked + rate_pause_us(requests_a_minute));
}

int64_t retry_delay_us(int failures, int64_t most_s, double share, std::optional<int64_t> wanted_s) noexcept {
  const int64_t seconds = std::min(int64_t{1} << std::clamp(failures, 0, 20), most_s);
  const auto delay = static_cast<int64_t>(static_cast<double>(seconds * kMicrosPerSecond) * share);
  return std::max(delay, std::min(wanted_s.value_or(0), kMostWantedS) * kMicrosPerSecond);
}

int64_t token_use_us(int64_t lifetime_s) noexcept {
  const int64_t lifetime = (lifetime_s > 0 ? lifetime_s : kUnsaidLifetimeS) * kMicrosPerSecond;
  return lifetime - std::min(kMostTokenMarginS * kMicrosPerSecond, lifetime / 4);
}

}  // namespace fraud
