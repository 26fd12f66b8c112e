// Asks a source's API once, in the session of whoever wants to see what it answers: by the same
// client, policy and limits as the ingest worker, and apart from the feed.
#include "core/payments/forbidden_fields.h"
#include "core/payments/mapping_preview.h"

#include <algorithm>
#include <optional>

#include "pg/payments/mapping.h"
#include "pg/payments/mapping_functions.h"
#include "pg/server/audit.h"
#include "pg/server/boundary.h"
#include "pg/server/gucs.h"
#include "pg/server/owner_scope.h"
#include "pg/server/spi.h"
#include "worker/ingest/sources.h"
#include "worker/network/network_client.h"
#include "worker/process.h"

extern "C" {
#include "pgstat.h"
#include "storage/latch.h"
}

using namespace fraud;
using namespace fraud::pg;
using namespace fraud::worker;

namespace {

Source source_called(const std::string& name) {
  OwnerScope owner;
  Spi spi;
  std::optional<Source> source = read_source(spi, name);
  if (source) return std::move(*source);
  throw SqlError(ERRCODE_UNDEFINED_OBJECT, "source \"" + redact(name, "") + "\" does not exist", {}, "fraud.source_status lists the sources.");
}

// Waits for the answer of one request; a cancel is heeded at once.
Response ask(const HttpRequest& request) {
  NetworkClient client;
  client.start("preview", request);
  for (;;) {
    for (auto& [key, response] : client.work()) return std::move(response);
    const long timeout = std::clamp<long>(client.timeout_ms().value_or(1000), 0, 1000);
    const int descriptor = client.descriptor();
    protect([&] {
      (void)WaitLatchOrSocket(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_SOCKET_READABLE | WL_EXIT_ON_PM_DEATH, descriptor, timeout,
                              PG_WAIT_EXTENSION);
      ResetLatch(MyLatch);
      CHECK_FOR_INTERRUPTS();
    });
  }
}

// Asks for the first page, with a token of its own where the source needs one; returns why there
// is no answer to be read, or an empty text.
std::string ask_first_page(const Source& source, Response* response) {
  if (!source.request_fault.empty()) return "the request cannot be used: " + source.request_fault;
  fraud::worker::Page page;
  page.source = source;
  page.source.walk = {};
  page.source.walk.begun_at = GetCurrentTimestamp();
  page.source.walk.since = source.next_since;
  std::string token;
  if (source.request != nullptr && source.request->auth.kind == AuthKind::kClientCredentials) {
    *response = ask(token_request(source));
    std::string fault = answer_fault(source, *response);
    try {
      if (fault.empty()) token = read_access_token(response->body).token;
    } catch (const Error& error) {
      fault = error.what();
    }
    if (!fault.empty()) return "could not get an access token: " + fault;
  }
  *response = ask(page_request(page, token));
  const std::string fault = answer_fault(source, *response);
  if (fault.empty() && is_empty_answer(source, *response)) response->body = "[]";
  return fault;
}

}  // namespace

// fraud.preview_source(name, mapping)
FRAUD_FUNCTION(preview_source) {
  refuse_when_restricted("preview_source");
  if (PG_ARGISNULL(0)) throw SqlError(ERRCODE_NULL_VALUE_NOT_ALLOWED, "name must not be null");
  const std::string name(protect([&] {
    text* value = PG_GETARG_TEXT_PP(0);
    return std::string_view(VARDATA_ANY(value), static_cast<size_t>(VARSIZE_ANY_EXHDR(value)));
  }));
  const Source source = source_called(name);
  std::shared_ptr<const Mapping> mapping = mapping_argument(fcinfo, 1, source.format);
  if (mapping == nullptr && !source.mapping.empty()) mapping = compile_mapping(source.mapping, source.format);
  note_act("preview", "source", name);
  Response response;
  std::string fault = ask_first_page(source, &response);
  if (!fault.empty()) {
    // A row, not an error: what was asked has been asked, and the audit log says so.
    Preview none;
    none.payments.emplace_back();
    none.payments[0].error = redact(fault, "");
    return preview_rows(fcinfo, none);
  }
  return preview_rows(fcinfo, preview_payments(response.body, source.format, mapping.get(),
                                               [] { protect([] { CHECK_FOR_INTERRUPTS(); }); }));
}
