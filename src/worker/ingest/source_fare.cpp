#include "worker/ingest/source_fare.h"

#include "core/payments/forbidden_fields.h"
#include "core/requests/pace.h"

#include <optional>
#include <random>
#include <utility>

#include "pg/server/boundary.h"
#include "pg/server/gucs.h"
#include "worker/transaction.h"

namespace fraud::worker {

using namespace fraud::pg;

namespace {

constexpr size_t kMaxErrorBytes = 500;

// A fifth more or less.
double any_share() {
  static std::mt19937 random{std::random_device{}()};
  return std::uniform_real_distribution<>(0.8, 1.2)(random);
}

// A place among pages that the API knows no more is left; what comes again is known.
bool is_place_lost(const Page& page, long status) {
  return page.source.request && !page.source.request->paging.keep && !page.source.walk.position.empty() &&
         (status == 400 || status == 404 || status == 410 || status == 422);
}

}  // namespace

void note_failed(const std::string& name, Source& source, const Response& response, const std::string& fault, const Page* page) {
  const std::string error = redact(fault, "");
  const int failures = source.failures++;
  const int64_t delay = retry_delay_us(failures, guc_max_retry_delay_s, any_share(), response.retry_after_s);
  std::string cause = failure_cause(response.status, error);
  const bool news = failures == 0 || cause != source.cause;
  source.cause = std::move(cause);
  if (news) {
    protect([&] {
      ereport(LOG, (errmsg("source \"%s\": poll failed: %s", name.c_str(), error.c_str())));
    });
  }
  std::string valid = error.substr(0, kMaxErrorBytes);
  for (char& c : valid) {
    if (static_cast<unsigned char>(c) >= 0x80 || static_cast<unsigned char>(c) < 0x20) c = '?';
  }
  in_transaction("noting a failed poll", [&] {
    Spi spi;
    if (page != nullptr && is_place_lost(*page, response.status)) forget_walk(spi, name);
    if (std::optional<TimestampTz> next = fail_poll(spi, name, response.status, valid, delay)) source.next_poll = *next;
  });
}

void tell_succeeded(const std::string& name, Source& source) {
  if (source.failures == 0) return;
  const int failures = std::exchange(source.failures, 0);
  protect([&] {
    ereport(LOG, (errmsg("source \"%s\": poll succeeded again (failures before it: %d)", name.c_str(), failures)));
  });
}

void tell_behind(const std::string& name, Source& source, bool behind) {
  if (source.behind == behind) return;
  source.behind = behind;
  protect([&] {
    ereport(LOG, (behind ? errmsg("source \"%s\" is not polled: %lld of its payments wait to be scored", name.c_str(),
                                  static_cast<long long>(source.waiting))
                         : errmsg("source \"%s\" is polled again", name.c_str())));
  });
}

}  // namespace fraud::worker
