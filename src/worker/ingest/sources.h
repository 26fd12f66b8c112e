// What the ingest worker reads and notes of its sources. The rows of fraud.source_state are the
// worker's alone, so that no person's transaction can hold one.
#pragma once

#include "core/payments/payment.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "pg/server/server.h"
#include "pg/server/spi.h"
#include "worker/network/network_client.h"

namespace fraud::worker {

struct Source {
  std::string url;
  PaymentFormat format = PaymentFormat::kAuto;
  std::string mapping;  // JSON; empty: none
  std::vector<std::string> headers;
  bool has_credentials = false;  // one of the headers may be
  Oid role = InvalidOid;  // who gave the URL: its card numbers count for him
  TimestampTz created_at = 0;
  TimestampTz next_poll = 0;
  int failures = 0;         // in a row
  std::string cause;        // of the last of them
  int64_t most_payments = 0;  // of a poll
  int64_t most_waiting = 0;
  int64_t waiting = 0;  // payments that wait to be scored
  bool behind = false;  // it was not polled for that

  bool is_behind() const { return waiting >= most_waiting; }
  // Whether an answer to a request of `other` is an answer of this source, asked as it is to be.
  bool asks_as(const Source& other) const {
    return created_at == other.created_at && url == other.url && headers == other.headers;
  }
};

using Sources = std::map<std::string, Source>;

// At the worker's start: polls that the last worker did not end are repeated at once.
void begin_sources(pg::Spi& spi);

// Then, once the database takes payments: what waits is counted anew.
void count_waiting(pg::Spi& spi);

// Sources that are new here (or resumed, or altered) are due at once, and what is left of those
// that are gone goes.
void follow_sources(pg::Spi& spi);

// Returns the sources that are to be polled.
Sources read_sources(pg::Spi& spi);

// Returns the source of this name, polled or not, if there is one.
std::optional<Source> read_source(pg::Spi& spi, const std::string& name);

// The request of a poll.
HttpRequest poll_request(const Source& source);

// Notes that a poll begins, that it ended well, or that it failed and is tried again after
// `delay` microseconds. What begins or fails tells when the next is due; nothing where the
// source is gone.
std::optional<TimestampTz> begin_poll(pg::Spi& spi, const std::string& name);
// `accepted` and `rejected` count the answer's payments.
void end_poll(pg::Spi& spi, const std::string& name, long status, int64_t accepted, int64_t rejected);
std::optional<TimestampTz> fail_poll(pg::Spi& spi, const std::string& name, long status, const std::string& error,
                                     int64_t delay);

// Notes that a source is not polled now because too many of its payments wait; returns when it
// is looked at again.
std::optional<TimestampTz> put_off_poll(pg::Spi& spi, const std::string& name);

// What is the same of a failure while its cause is: not how long or how many.
std::string failure_cause(long status, const std::string& error);

}  // namespace fraud::worker
