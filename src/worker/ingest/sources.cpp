#include "worker/ingest/sources.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>

#include "pg/payments/number_gate.h"
#include "pg/server/boundary.h"
#include "pg/server/gucs.h"
#include "pg/server/owner_scope.h"
#include "worker/network/destination.h"
#include "worker/process.h"

namespace fraud::worker {

using namespace fraud::pg;

namespace {

Statement reset_polling("UPDATE fraud.source_state SET polling_since = NULL,"
                        "  next_poll_at = least(next_poll_at, clock_timestamp())"
                        " WHERE polling_since IS NOT NULL",
                        {});
// So many were received as are out of the inbox again and in it: a dump has the inbox and not
// the counts. What others than the worker put in (writers below -1) has been counted by them.
Statement recount_waiting(
    "INSERT INTO fraud.source_counts AS c (source, writer, received)"
    " SELECT n.source, -1, sum(n.received) FROM ("
    "  SELECT b.source, count(*) AS received FROM fraud.inbox b GROUP BY b.source"
    "  UNION ALL SELECT k.source, CASE WHEN k.writer >= 0 THEN k.stored + k.duplicates + k.rejected"
    "   WHEN k.writer < -1 THEN -k.received ELSE 0 END FROM fraud.source_counts k) n"
    " GROUP BY n.source ON CONFLICT (source, writer) DO UPDATE SET received = excluded.received",
    {});
Statement note_requests("WITH asked AS (DELETE FROM fraud.poll_requests r USING (SELECT q.request_id FROM fraud.poll_requests q"
                        "  FOR UPDATE SKIP LOCKED) d WHERE r.request_id = d.request_id RETURNING r.name),"
                        " gone AS (DELETE FROM fraud.source_state t WHERE NOT EXISTS"
                        "  (SELECT FROM fraud.sources s WHERE s.name = t.name)),"
                        // Of a source that is gone the counts stay while payments of it wait, and while
                        // somebody sends dead letters of it again, whom nobody here waits for: all or none,
                        // or what is left would not add up.
                        " free AS (SELECT c.source, c.writer FROM fraud.source_counts c JOIN fraud._source_sums k"
                        "   ON k.source = c.source AND k.waiting = 0"
                        "  WHERE NOT EXISTS (SELECT FROM fraud.sources s WHERE s.name = c.source)"
                        "  FOR UPDATE OF c SKIP LOCKED),"
                        " uncounted AS (DELETE FROM fraud.source_counts c USING free f"
                        "  WHERE c.source = f.source AND c.writer = f.writer AND (SELECT count(*) FROM free l WHERE l.source = c.source)"
                        "   = (SELECT count(*) FROM fraud.source_counts a WHERE a.source = c.source))"
                        " INSERT INTO fraud.source_state AS t (name) SELECT DISTINCT a.name FROM asked a"
                        "  JOIN fraud.sources s ON s.name = a.name"
                        " ON CONFLICT (name) DO UPDATE SET next_poll_at = clock_timestamp()",
                        {});
// A source without a row of state came with a restored dump: it is not polled
// until somebody resumes it, for the copy of a database must not call on its own.
#define FRAUD_SOURCE_COLUMNS                                                                       \
  "SELECT s.name, s.url, s.format, s.headers::text, coalesce(t.next_poll_at, now()), coalesce(t.consecutive_failures, 0),"            \
  "  (SELECT r.oid::bigint FROM pg_roles r WHERE r.rolname = s.url_by), s.created_at,"            \
  "  coalesce(t.last_status, 0), t.last_error, s.max_poll_payments, s.max_waiting_payments,"      \
  "  coalesce(k.waiting, 0), t.behind_since IS NOT NULL, s.mapping::text"                         \
  " FROM fraud.sources s LEFT JOIN fraud.source_state t ON t.name = s.name"                       \
  " LEFT JOIN fraud._source_sums k ON k.source = s.name"
Statement list_sources(FRAUD_SOURCE_COLUMNS " WHERE NOT s.paused AND t.name IS NOT NULL", {});
Statement one_source(FRAUD_SOURCE_COLUMNS " WHERE s.name = $1", {TEXTOID});
// The next poll is due an interval after this one was; polls that were missed
// are not made up for.
Statement note_begin("UPDATE fraud.source_state t SET polling_since = clock_timestamp(), behind_since = NULL,"
                     "  last_poll_at = clock_timestamp(), polls = t.polls + 1,"
                     "  next_poll_at = CASE WHEN t.next_poll_at + s.poll_interval > clock_timestamp()"
                     "   THEN t.next_poll_at ELSE clock_timestamp() END + s.poll_interval"
                     " FROM fraud.sources s WHERE s.name = t.name AND t.name = $1"
                     " RETURNING t.next_poll_at",
                     {TEXTOID});
Statement note_end("UPDATE fraud.source_state t SET polling_since = NULL,"
                   "  last_success_at = clock_timestamp(), last_status = $2, consecutive_failures = 0,"
                   // An answer without payments says nothing of it.
                   "  rejecting_since = CASE WHEN $3 = 0 AND $4 > 0 THEN coalesce(t.rejecting_since, clock_timestamp())"
                   "   WHEN $3 = 0 THEN t.rejecting_since END"
                   " WHERE t.name = $1",
                   {TEXTOID, INT4OID, INT8OID, INT8OID});
Statement note_failure("UPDATE fraud.source_state t SET polling_since = NULL, last_status = $2,"
                       "  last_error = $3, last_error_at = clock_timestamp(),"
                       "  consecutive_failures = t.consecutive_failures + 1, failures = t.failures + 1,"
                       "  next_poll_at = clock_timestamp() + $4 * interval '1 microsecond'"
                       " WHERE t.name = $1 RETURNING t.next_poll_at",
                       {TEXTOID, INT4OID, TEXTOID, INT8OID});
// Long before it is called stuck, which it is where no worker runs.
Statement note_behind("UPDATE fraud.source_state t SET behind_since = coalesce(t.behind_since, clock_timestamp()),"
                      "  polling_since = NULL, next_poll_at = clock_timestamp() + interval '500 milliseconds'"
                      " WHERE t.name = $1 RETURNING t.next_poll_at",
                      {TEXTOID});

std::optional<TimestampTz> returned_time(Spi& spi, uint64_t count) {
  if (count != 1) return std::nullopt;
  return DatumGetTimestampTz(*spi.datum(0, 1));
}

}  // namespace

void begin_sources(Spi& spi) { spi.run(reset_polling, {}); }

void count_waiting(Spi& spi) { spi.run(recount_waiting, {}); }

void follow_sources(Spi& spi) { spi.run(note_requests, {}); }

static Sources sources_of(Spi& spi, uint64_t count) {
  Sources sources;
  for (uint64_t row = 0; row < count; ++row) {
    Source source;
    source.url = *spi.text(row, 2);
    source.format = payment_format(*spi.text(row, 3)).value_or(PaymentFormat::kAuto);
    nlohmann::json headers = nlohmann::json::parse(*spi.text(row, 4), nullptr, false);
    if (headers.is_object()) {
      for (const auto& [header, value] : headers.items()) {
        source.has_credentials = source.has_credentials || may_be_credential(header);
        // An empty value is written with a semicolon, or libcurl leaves it out.
        std::string text = value.is_string() ? value.get<std::string>() : "";
        source.headers.push_back(text.empty() ? header + ";" : header + ": " + text);
      }
    }
    source.next_poll = DatumGetTimestampTz(*spi.datum(row, 5));
    source.failures = static_cast<int>(*spi.integer(row, 6));
    std::optional<int64_t> role = spi.integer(row, 7);
    source.role = role ? static_cast<Oid>(*role) : kUnknownRole;
    source.created_at = DatumGetTimestampTz(*spi.datum(row, 8));
    if (source.failures > 0) {
      source.cause = failure_cause(static_cast<long>(*spi.integer(row, 9)), spi.text(row, 10).value_or(""));
    }
    source.most_payments = spi.integer(row, 11).value_or(guc_max_poll_payments);
    source.most_waiting = spi.integer(row, 12).value_or(guc_max_waiting_payments);
    source.waiting = *spi.integer(row, 13);
    source.behind = DatumGetBool(*spi.datum(row, 14));
    source.mapping = spi.text(row, 15).value_or("");
    sources[*spi.text(row, 1)] = std::move(source);
  }
  return sources;
}

Sources read_sources(Spi& spi) { return sources_of(spi, spi.run(list_sources, {})); }

std::optional<Source> read_source(Spi& spi, const std::string& name) {
  Sources found = sources_of(spi, spi.run(one_source, {text_param(name)}, true));
  if (found.empty()) return std::nullopt;
  return std::move(found.begin()->second);
}

HttpRequest poll_request(const Source& source) {
  HttpRequest request;
  request.url = source.url;
  request.headers = source.headers;
  request.limits = network_limits(guc_poll_timeout_ms);
  request.max_bytes = static_cast<size_t>(guc_max_response_kb) * 1024;
  request.has_credentials = source.has_credentials;
  // Headers may hold keys, which are for the one path that somebody named.
  request.max_redirects = source.headers.empty() ? guc_max_redirects : 0;
  if (!source.headers.empty()) request.redirect_refusal = "a source with headers does not follow redirects";
  return request;
}

std::optional<TimestampTz> begin_poll(Spi& spi, const std::string& name) {
  return returned_time(spi, spi.run(note_begin, {text_param(name)}));
}

void end_poll(Spi& spi, const std::string& name, long status, int64_t accepted, int64_t rejected) {
  spi.run(note_end, {text_param(name), int4_param(static_cast<int32_t>(status)), int8_param(accepted), int8_param(rejected)});
}

std::optional<TimestampTz> fail_poll(Spi& spi, const std::string& name, long status, const std::string& error,
                                     int64_t delay) {
  return returned_time(
      spi, spi.run(note_failure, {text_param(name), status != 0 ? int4_param(static_cast<int32_t>(status)) : null_param(),
                                  text_param(error), int8_param(delay)}));
}

std::optional<TimestampTz> put_off_poll(Spi& spi, const std::string& name) {
  return returned_time(spi, spi.run(note_behind, {text_param(name)}));
}

std::string failure_cause(long status, const std::string& error) {
  // Errors begin with words of ours; what follows the colon is of this time alone, but for what
  // the database says.
  const size_t end = error.rfind("could not keep", 0) == 0 ? std::string::npos : error.find(": ");
  std::string cause = std::to_string(status) + ' ' + error.substr(0, end);
  const auto digit = [](unsigned char c) { return std::isdigit(c) != 0; };
  auto from = cause.begin() + static_cast<std::ptrdiff_t>(cause.find(' '));
  cause.erase(std::remove_if(from, cause.end(), digit), cause.end());
  return cause;
}

}  // namespace fraud::worker
