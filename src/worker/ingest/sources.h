// What the ingest worker reads and notes of its sources. The rows of fraud.source_state are the
// worker's alone, so that no person's transaction can hold one.
#pragma once

#include "core/payments/payment.h"
#include "core/requests/request.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pg/server/server.h"
#include "pg/server/spi.h"
#include "worker/network/network_client.h"

namespace fraud::worker {

// The walk of a source through the pages of its API, as it is noted.
struct Walk {
  std::string position;      // the next page; empty: the first
  TimestampTz begun_at = 0;  // 0: none is under way
  TimestampTz since = 0;
  std::string etag, last_modified;  // of the last answer that was asked for as the next will be
};

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

  std::shared_ptr<const Request> request;  // none: one GET
  std::string request_fault;  // why there is none though one is noted
  std::string asks;           // tells whether request and secrets are the same
  TimestampTz anew_at = 0;    // since when what is noted of its pages counts
  std::string position_key, reading_key, validators_of;
  TimestampTz next_since = 0;  // of a walk that begins
  Walk walk;

  bool is_behind() const { return waiting >= most_waiting; }
  // Whether an answer to a request of `other` is an answer of this source, asked as it is to be.
  bool asks_as(const Source& other) const {
    return created_at == other.created_at && url == other.url && headers == other.headers && asks == other.asks;
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

// Whether there is still the source of this name that was added then.
bool source_exists(pg::Spi& spi, const std::string& name, TimestampTz created_at);

// An answer of a source that is to be asked for.
struct Page {
  Source source;          // as it was when it was to be asked
  TimestampTz due = 0;    // not before, by its rate limit
  bool is_due_for_token = false;  // a token is being asked for
  bool is_renewed = false;  // a token was refused, and this is another
  bool is_first = false;        // of its walk
  bool is_conditional = false;  // it was asked whether it has changed
  std::string url;        // that was asked
  int pages = 0;          // of the poll, before this one
  int64_t payments = 0;   // likewise
};

// The request of a page, with the access token that it needs; notes in the page how it is asked.
HttpRequest page_request(Page& page, const std::string& token);

// The request of an access token.
HttpRequest token_request(const Source& source);

// A source with a request may answer that there is nothing without a body.
bool is_empty_answer(const Source& source, const Response& response);

// Why what came is no answer that could be read: the transfer failed, or the status is none of one; or an empty text.
std::string answer_fault(const Source& source, const Response& response);

// Where the page at `url` says the next one is, as it is noted; a fault where that is another host.
NextPage next_page(const Page& page, const Response& response, size_t payments, const GiveWay& give_way);

// Notes an answer that is kept and where the next one is; `latest` of its payments' times. The
// same transaction keeps the payments.
void note_page(pg::Spi& spi, const std::string& name, const Page& page, const NextPage& next, TimestampTz latest,
               const Response& response);
// Has the next poll begin at the first page.
void forget_walk(pg::Spi& spi, const std::string& name);
// Returns how many payments of a source wait, as this transaction sees it.
int64_t waiting_payments(pg::Spi& spi, const std::string& name);

// Notes that a poll begins, that it ended well, or that it failed and is tried again after
// `delay` microseconds. What begins or fails tells when the next is due; nothing where the
// source is gone.
std::optional<TimestampTz> begin_poll(pg::Spi& spi, const std::string& name);
// `accepted` and `rejected` count the answer's payments; with `again` the next is due at once.
void end_poll(pg::Spi& spi, const std::string& name, long status, int64_t accepted, int64_t rejected, bool again = false);
std::optional<TimestampTz> fail_poll(pg::Spi& spi, const std::string& name, long status, const std::string& error,
                                     int64_t delay);

// Notes that a source is not polled now because too many of its payments wait; returns when it
// is looked at again.
std::optional<TimestampTz> put_off_poll(pg::Spi& spi, const std::string& name);

// What is the same of a failure while its cause is: not how long or how many.
std::string failure_cause(long status, const std::string& error);

}  // namespace fraud::worker
