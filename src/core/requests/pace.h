// When a source may be asked: not above its rate limit, later the more often that failed in a row, and
// with a token that does not end on the way. Times are microseconds.
#pragma once

#include "core/base/guard.h"

#include <cstdint>
#include <optional>

namespace fraud {

// Between two requests of a source that takes so many a minute; 0 where it has no limit.
int64_t rate_pause_us(int requests_a_minute) noexcept;

// When a page is asked for that there is something to ask since `now`; `last_asked` is 0 where none has been.
int64_t page_due(int64_t now, int64_t last_asked, int requests_a_minute) noexcept;

// After which a poll is tried again that failed and had failed so often in a row before: one second, two,
// four, … up to `most_s`, times `share`, so that those that failed at once do not come back at once; and
// not before the server wants (Retry-After), but for one that wants more than an hour.
int64_t retry_delay_us(int failures, int64_t most_s, double share, std::optional<int64_t> wanted_s) noexcept;

// So long a token is used that lasts `lifetime_s`; 0: its answer says nothing of it.
int64_t token_use_us(int64_t lifetime_s) noexcept;

}  // namespace fraud
