#include "worker/ingest/answer.h"

#include "core/payments/forbidden_fields.h"

#include <memory>

#include "pg/payments/mapping.h"
#include "pg/server/boundary.h"

namespace fraud::worker {

using namespace fraud::pg;

namespace {

// What is shown of an answer that is no payments: enough to tell a page of errors, too little
// to read a server by that is none of ours.
constexpr size_t kMaxShownBytes = 1024;

// Notes that the body is no payments, as one that is rejected.
void reject_whole(const Error& fault, const Arrival& arrival, Answer& answer) {
  const Response& response = arrival.response;
  std::string reason = fault.what();
  if (!response.content_type.empty()) {
    reason += " (content type " + redact(response.content_type, "").substr(0, 80) + ")";
  }
  if (!fault.detail().empty()) reason += ". " + fault.detail();
  // The hint of a body of another layout is a mapping.
  const bool fits = fault.code() == ErrorCode::kInvalidPayload && !fault.hint().empty();
  if (fits) reason += "; fraud.preview_source('" + arrival.name + "') proposes a mapping";
  RejectedPayment whole;
  // A little of it: what it is can be seen, and no more of a host that was not meant.
  whole.payload = redact_broken(response.body, kMaxShownBytes);
  whole.payload_size = response.body.size();
  whole.reason = reason;
  answer.batch.rejected.push_back(whole);
  answer.fault = reason;
}

}  // namespace

bool is_token_refused(const Arrival& arrival) {
  const Request* request = arrival.page.source.request.get();
  return arrival.response.error.empty() && arrival.response.status == 401 && request != nullptr &&
         request->auth.kind == AuthKind::kClientCredentials && !arrival.page.is_renewed;
}

bool is_unchanged(const Arrival& arrival) {
  return arrival.response.error.empty() && arrival.response.status == 304 && arrival.page.is_conditional;
}

std::optional<Answer> read_answer(Arrival& arrival, const GiveWay& give_way, std::string* fault) {
  Page& page = arrival.page;
  Response& response = arrival.response;
  const Source& source = page.source;
  *fault = answer_fault(source, response);
  const bool broke_off = response.broke_off && response.status == 200;
  if (!fault->empty() && !broke_off) return std::nullopt;
  std::unique_ptr<const Mapping> mapping;
  try {
    if (!source.mapping.empty()) mapping = compile_mapping(source.mapping, source.format);
  } catch (const SqlError& error) {
    // A dump may come to a server that knows other time zones.
    *fault = error.what();
    return std::nullopt;
  }
  // What stands around the payments may have stood behind the break.
  if (broke_off && mapping && mapping->looks_around()) return std::nullopt;
  // Of a line nothing tells whether it is whole.
  if (broke_off && source.format == PaymentFormat::kCsv) response.body.resize(response.body.rfind('\n') + 1);
  if (is_empty_answer(source, response)) response.body = "[]";
  Answer answer;
  // Payments before a break are kept; the poll is one that failed.
  answer.fault = response.error;
  try {
    answer.batch = read_payments(response.body, source.format, mapping.get(), give_way);
    if (broke_off) {
      // It is asked for again; what was half there is no dead letter.
      if (answer.batch.rest_is_rejected) answer.batch.rejected.pop_back();
      answer.batch.fault.reset();
    }
    if (answer.batch.fault) answer.fault = answer.batch.fault->what();
    if (source.request != nullptr && answer.fault.empty()) {
      answer.next = next_page(page, response, answer.batch.payments.size() + answer.batch.rejected.size(), give_way);
      answer.fault = answer.next.fault;
    }
  } catch (const Error& error) {
    if (broke_off) return std::nullopt;
    reject_whole(error, arrival, answer);
  }
  const size_t payments = answer.batch.payments.size() + answer.batch.rejected.size();
  if (payments > static_cast<size_t>(source.most_payments)) {
    // A part of it would look like all of it.
    *fault = "the answer has " + std::to_string(payments) + " payments, more than max_poll_payments (" +
             std::to_string(source.most_payments) + "): none is stored";
    return std::nullopt;
  }
  page.payments += static_cast<int64_t>(payments);
  ++page.pages;
  answer.name = arrival.name;
  answer.page = std::move(page);
  answer.response = std::move(response);
  answer.response.body.clear();
  answer.response.body.shrink_to_fit();
  return answer;
}

}  // namespace fraud::worker
