#include "worker/ingest/sources.h"

#include <algorithm>
#include <cctype>

#include "core/base/json_text.h"
#include "core/requests/pace.h"
#include "pg/payments/number_gate.h"
#include "pg/payments/payment_store.h"
#include "pg/server/boundary.h"
#include "pg/server/gucs.h"
#include "pg/server/owner_scope.h"
#include "worker/network/destination.h"
#include "worker/process.h"

namespace fraud::worker {

using namespace fraud::pg;

namespace {

constexpr size_t kMaxTokenBytes = size_t{64} << 10;
constexpr size_t kMaxValidatorBytes = 1000;

Statement move_in("SELECT fraud._move_in()", {});
Statement reset_polling("UPDATE fraud.source_state SET polling_since = NULL,"
                        "  next_poll_at = least(next_poll_at, clock_timestamp())"
                        // Where one has been polled in the future, the clock was set back.
                        " WHERE polling_since IS NOT NULL OR greatest(last_poll_at, last_error_at) > clock_timestamp()",
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
                        // While a dump is restored the sources may be yet to come.
                        " left_off AS (DELETE FROM fraud.source_positions p WHERE NOT EXISTS"
                        "  (SELECT FROM fraud.sources s WHERE s.name = p.name) AND EXISTS (SELECT FROM fraud.source_state)),"
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
  "  coalesce(k.waiting, 0), t.behind_since IS NOT NULL,"                                         \
  "  s.request::text, s.secrets::text, s.asked_anew_at, q.position_key, q.reading_key,"           \
  "  CASE WHEN s.request IS NOT NULL THEN fraud._since(s.request, p.newest_at) END,"              \
  "  CASE WHEN p.asked = q.position_key THEN p.position END, CASE WHEN p.asked = q.position_key THEN p.walk_at END," \
  "  p.since, p.etag, p.last_modified, p.validators_of, s.mapping::text"                          \
  " FROM fraud.sources s LEFT JOIN fraud.source_state t ON t.name = s.name"                       \
  " LEFT JOIN fraud._source_sums k ON k.source = s.name"                                          \
  " LEFT JOIN fraud.source_positions p ON p.name = s.name AND p.anew_at = s.asked_anew_at"        \
  " LEFT JOIN LATERAL (SELECT fraud._position_key(s) AS position_key, fraud._reading_key(s) AS reading_key" \
  "  WHERE s.request IS NOT NULL) q ON true"
Statement list_sources(FRAUD_SOURCE_COLUMNS " WHERE NOT s.paused AND t.name IS NOT NULL", {});
Statement one_source(FRAUD_SOURCE_COLUMNS " WHERE s.name = $1", {TEXTOID});
Statement look_for_source("SELECT FROM fraud.sources s WHERE s.name = $1 AND s.created_at = $2", {TEXTOID, TIMESTAMPTZOID});
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
                   "   WHEN $3 = 0 THEN t.rejecting_since END,"
                   "  next_poll_at = CASE WHEN $5 THEN least(t.next_poll_at, clock_timestamp()) ELSE t.next_poll_at END"
                   " WHERE t.name = $1",
                   {TEXTOID, INT4OID, INT8OID, INT8OID, BOOLOID});
// Pages may begin with the newest payment, so that what is seen counts for {{since}} when the walk
// is at its end. Of a walk that was given up nothing counts.
Statement add_page(
    "INSERT INTO fraud.source_positions AS p (name, anew_at, asked, position, walk_at, since, seen_at, newest_at, etag, last_modified, validators_of, pages)"
    " VALUES ($1, $2, $3, $4, CASE WHEN $7 THEN $5 END, CASE WHEN $7 THEN $6 END, CASE WHEN $7 THEN $8 END,"
    "  CASE WHEN NOT $7 THEN least($8, clock_timestamp()) END, $9, $10, $11, 1)"
    " ON CONFLICT (name) DO UPDATE SET anew_at = excluded.anew_at, asked = excluded.asked, position = excluded.position,"
    "  walk_at = excluded.walk_at, since = excluded.since,"
    "  seen_at = CASE WHEN $7 THEN greatest(CASE WHEN p.walk_at = $5 THEN p.seen_at END, $8) END,"
    "  newest_at = CASE WHEN $7 THEN CASE WHEN p.anew_at = $2 THEN p.newest_at END ELSE greatest(CASE WHEN p.anew_at = $2 THEN p.newest_at END,"
    "   least(greatest(CASE WHEN p.walk_at = $5 THEN p.seen_at END, $8), clock_timestamp())) END,"
    "  etag = excluded.etag, last_modified = excluded.last_modified, validators_of = excluded.validators_of,"
    "  pages = CASE WHEN p.anew_at = $2 THEN p.pages ELSE 0 END + 1, moved_at = clock_timestamp()",
    {TEXTOID, TIMESTAMPTZOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, BOOLOID, TIMESTAMPTZOID, TEXTOID, TEXTOID, TEXTOID});
// A poll of many pages is not overdue, and one that gets on is no failure in a row.
Statement note_pages("UPDATE fraud.source_state t SET consecutive_failures = 0, next_poll_at = greatest(t.next_poll_at, clock_timestamp() + $2 * interval '1 microsecond')"
                     " WHERE t.name = $1",
                     {TEXTOID, INT8OID});
Statement reset_walk("UPDATE fraud.source_positions p SET position = NULL, walk_at = NULL, since = NULL, seen_at = NULL WHERE p.name = $1", {TEXTOID});
Statement count_source("SELECT k.waiting FROM fraud._source_sums k WHERE k.source = $1", {TEXTOID});
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

TimestampTz time_of(Spi& spi, uint64_t row, int column) {
  const std::optional<Datum> value = spi.datum(row, column);
  return value ? DatumGetTimestampTz(*value) : 0;
}

// What the statement says of a source's request and its pages.
void read_request(Spi& spi, uint64_t row, Source* source) {
  const std::optional<std::string> request = spi.text(row, 15);
  source->anew_at = time_of(spi, row, 17);
  if (!request) return;
  const std::string secrets = *spi.text(row, 16);
  source->asks = std::to_string(source->anew_at) + *request + secrets;
  try {
    source->request = std::make_shared<const Request>(Request::parse(*request, secrets));
  } catch (const Error& fault) {
    source->request_fault = fault.what();
    return;
  }
  source->has_credentials = source->has_credentials || source->request->has_secrets();
  source->position_key = *spi.text(row, 18);
  source->reading_key = *spi.text(row, 19);
  source->next_since = time_of(spi, row, 20);
  source->walk.position = spi.text(row, 21).value_or("");
  source->walk.begun_at = time_of(spi, row, 22);
  source->walk.since = time_of(spi, row, 23);
  source->walk.etag = spi.text(row, 24).value_or("");
  source->walk.last_modified = spi.text(row, 25).value_or("");
  source->validators_of = spi.text(row, 26).value_or("");
}

bool has_header(const Source& source, std::string_view name) {
  return std::any_of(source.headers.begin(), source.headers.end(), [&](const std::string& line) {
    return line.size() > name.size() && (line[name.size()] == ':' || line[name.size()] == ';') &&
           std::equal(name.begin(), name.end(), line.begin(), [](char a, char b) { return a == std::tolower(static_cast<unsigned char>(b)); });
  });
}

std::string encoded(const std::vector<std::pair<std::string, std::string>>& pairs) {
  std::string text;
  for (const auto& [name, value] : pairs) text += (text.empty() ? "" : "&") + url_encoded(name) + '=' + url_encoded(value);
  return text;
}

bool has_parameter(const std::string& url, const std::string& name) {
  const std::string written = url_encoded(name) + '=';
  return url.find('?' + written) != std::string::npos || url.find('&' + written) != std::string::npos;
}

SqlValue optional_time_param(TimestampTz time) { return time != 0 && time != DT_NOBEGIN ? time_param(time) : null_param(); }

}  // namespace

void begin_sources(Spi& spi) {
  spi.run(move_in, {});
  spi.run(reset_polling, {});
}

void count_waiting(Spi& spi) { spi.run(recount_waiting, {}); }

void follow_sources(Spi& spi) { spi.run(note_requests, {}); }

static Sources sources_of(Spi& spi, uint64_t count) {
  Sources sources;
  for (uint64_t row = 0; row < count; ++row) {
    Source source;
    source.url = *spi.text(row, 2);
    source.format = payment_format(*spi.text(row, 3)).value_or(PaymentFormat::kAuto);
    if (const auto headers = json_members(*spi.text(row, 4))) {
      for (const auto& [header, text] : *headers) {
        source.has_credentials = source.has_credentials || may_be_credential(header);
        // An empty value is written with a semicolon, or libcurl leaves it out.
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
    read_request(spi, row, &source);
    source.mapping = spi.text(row, 27).value_or("");
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

bool source_exists(Spi& spi, const std::string& name, TimestampTz created_at) {
  return spi.run(look_for_source, {text_param(name), time_param(created_at)}) > 0;
}

HttpRequest page_request(Page& page, const std::string& token) {
  const Source& source = page.source;
  HttpRequest request;
  request.url = source.url;
  request.headers = source.headers;
  request.limits = network_limits(guc_poll_timeout_ms);
  request.max_bytes = static_cast<size_t>(guc_max_response_kb) * 1024;
  request.has_credentials = source.has_credentials;
  // Headers may hold keys, which are for the one path that somebody named.
  request.max_redirects = source.headers.empty() ? guc_max_redirects : 0;
  if (!source.headers.empty()) request.redirect_refusal = "a source with headers does not follow redirects";
  page.url = source.url;
  page.is_conditional = false;
  if (!source.request) return request;

  const Request& asked = *source.request;
  const Walk& walk = source.walk;
  PageRequest made = asked.page(walk.position, unix_time(walk.since), unix_time(walk.begun_at));
  if (asked.paging.kind == PagingKind::kLink && !walk.position.empty()) page.url = walk.position;
  page.url = with_query(page.url, encoded(made.query));
  request.url = page.url;
  request.body = std::move(made.body);
  if (request.body && !has_header(source, "content-type")) request.headers.push_back("Content-Type: " + made.content_type);
  if (asked.is_post && !request.body) request.body = "";
  if (request.body || asked.has_secrets()) {
    request.max_redirects = 0;
    request.redirect_refusal = "a source with a body or secrets does not follow redirects";
  }
  switch (asked.auth.kind) {
    case AuthKind::kNone:
      break;
    case AuthKind::kBasic:
      request.user = asked.auth.user;
      request.password = asked.secret("password");
      break;
    case AuthKind::kBearer:
      request.headers.push_back("Authorization: Bearer " + asked.secret("token"));
      break;
    case AuthKind::kApiKey:
      if (!asked.auth.header.empty()) {
        request.headers.push_back(asked.auth.header + ": " + asked.secret("key"));
      } else if (!has_parameter(request.url, asked.auth.parameter)) {
        request.url = with_query(request.url, encoded({{asked.auth.parameter, asked.secret("key")}}));
      }
      break;
    case AuthKind::kClientCredentials:
      request.headers.push_back("Authorization: Bearer " + token);
      break;
  }
  request.certificate_file = asked.certificate_file;
  request.key_file = asked.key_file;
  request.key_password = asked.secret("key_password");
  request.kept_headers = {"etag", "last-modified", "link"};
  if (!asked.paging.header.empty()) request.kept_headers.push_back(asked.paging.header);
  if (asked.is_conditional && source.validators_of == source.reading_key + ' ' + page.url) {
    if (!walk.etag.empty()) request.headers.push_back("If-None-Match: " + walk.etag);
    if (!walk.last_modified.empty()) request.headers.push_back("If-Modified-Since: " + walk.last_modified);
    page.is_conditional = !walk.etag.empty() || !walk.last_modified.empty();
  }
  return request;
}

bool is_empty_answer(const Source& source, const Response& response) { return source.request != nullptr && response.status == 204; }

std::string answer_fault(const Source& source, const Response& response) {
  if (!response.error.empty() || response.status == 200 || is_empty_answer(source, response)) return response.error;
  std::string fault = "HTTP status " + std::to_string(response.status) + ", expected 200";
  if (!response.redirect_fault.empty()) fault += "; " + response.redirect_fault;
  return fault;
}

HttpRequest token_request(const Source& source) {
  const Request& asked = *source.request;
  const Auth& auth = asked.auth;
  HttpRequest request;
  request.url = auth.token_url;
  request.headers = {"Content-Type: application/x-www-form-urlencoded", "Accept: application/json"};
  request.limits = network_limits(guc_poll_timeout_ms);
  request.max_bytes = kMaxTokenBytes;
  request.has_credentials = true;
  request.max_redirects = 0;
  std::vector<std::pair<std::string, std::string>> form = {{"grant_type", "client_credentials"}};
  if (!auth.scope.empty()) form.emplace_back("scope", auth.scope);
  form.insert(form.end(), auth.parameters.begin(), auth.parameters.end());
  if (auth.secret_in_body) {
    form.emplace_back("client_id", auth.client_id);
    form.emplace_back("client_secret", asked.secret("client_secret"));
  } else {
    // RFC 6749, 2.3.1: both are encoded as in a form first.
    request.user = url_encoded(auth.client_id);
    request.password = url_encoded(asked.secret("client_secret"));
  }
  request.body = encoded(form);
  request.certificate_file = asked.certificate_file;
  request.key_file = asked.key_file;
  request.key_password = asked.secret("key_password");
  return request;
}

NextPage next_page(const Page& page, const Response& response, size_t payments, const GiveWay& give_way) {
  const Request& request = *page.source.request;
  const auto header = [&](const std::string& name) {
    const auto found = response.headers.find(name);
    return found == response.headers.end() ? std::string() : found->second;
  };
  PageAnswer answer;
  answer.body = response.body;
  answer.link_header = header("link");
  answer.cursor_header = header(request.paging.header);
  answer.payments = payments;
  NextPage next = request.next(page.source.walk.position, answer, give_way);
  if (!next.is_more || request.paging.kind != PagingKind::kLink) return next;
  const std::string url = resolved(page.url, next.position);
  const Destination here(page.source.url, "http,https"), there(url, "http,https");
  next.is_more = false;
  if (url.empty() || !there.fault.empty()) {
    next.fault = "the answer's next link cannot be read as a URL";
  } else if (!here.is_same_as(there)) {
    next.fault = "the answer's next link must lead to the same scheme, host and port, not to " + there.scheme + ", " + there.text();
  } else if (url == page.url) {
    next.fault = "the answer's next link is the one that was asked for";
  } else {
    next.position = url;
    next.is_more = true;
  }
  return next;
}

void note_page(Spi& spi, const std::string& name, const Page& page, const NextPage& next, TimestampTz latest,
               const Response& response) {
  const Source& source = page.source;
  const auto header = [&](const char* kept) {
    const auto found = response.headers.find(kept);
    return found == response.headers.end() || found->second.size() > kMaxValidatorBytes ? std::string() : found->second;
  };
  // That the first of many pages is the same says nothing of the others.
  const bool is_all = source.request->is_conditional && !next.is_more && page.is_first;
  const std::string etag = is_all ? header("etag") : "", modified = is_all ? header("last-modified") : "";
  const bool is_tagged = !etag.empty() || !modified.empty();
  spi.run(add_page, {text_param(name), time_param(source.anew_at), text_param(source.position_key), optional_text_param(next.position),
                     time_param(source.walk.begun_at), time_param(source.walk.since), bool_param(next.is_more), optional_time_param(latest),
                     optional_text_param(etag), optional_text_param(modified),
                     is_tagged ? text_param(source.reading_key + ' ' + page.url) : null_param()});
  if (!next.is_more) return;
  spi.run(note_pages, {text_param(name), int8_param(rate_pause_us(source.request->rate_limit))});
}

void forget_walk(Spi& spi, const std::string& name) { spi.run(reset_walk, {text_param(name)}); }

int64_t waiting_payments(Spi& spi, const std::string& name) {
  return spi.run(count_source, {text_param(name)}) == 0 ? 0 : spi.integer(0, 1).value_or(0);
}

std::optional<TimestampTz> begin_poll(Spi& spi, const std::string& name) {
  return returned_time(spi, spi.run(note_begin, {text_param(name)}));
}

void end_poll(Spi& spi, const std::string& name, long status, int64_t accepted, int64_t rejected, bool again) {
  spi.run(note_end, {text_param(name), int4_param(static_cast<int32_t>(status)), int8_param(accepted), int8_param(rejected), bool_param(again)});
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
