// What a source's answer says: that there is nothing new, that the poll has failed, or payments, before
// any of them is kept.
#pragma once

#include "core/payments/payment.h"
#include "core/requests/request.h"

#include <optional>
#include <string>

#include "worker/ingest/asker.h"
#include "worker/ingest/sources.h"

namespace fraud::worker {

// Payments of a source, with what was asked.
struct Answer {
  std::string name;  // of the source
  Page page;
  Response response;  // without its body
  NextPage next;
  PaymentBatch batch;
  std::string fault;  // why the poll fails once the batch is kept; empty: it does not
};

// The access token was refused, which another may not be.
bool is_token_refused(const Arrival& arrival);

// It was asked whether there is something new, and there is not.
bool is_unchanged(const Arrival& arrival);

// Reads the payments, and where the next page is, out of an arrival. Returns nothing, and leaves the
// arrival, where nothing is to be kept; then `fault` says why the poll has failed. A large answer takes
// a while, in which others are served by `give_way`.
std::optional<Answer> read_answer(Arrival& arrival, const GiveWay& give_way, std::string* fault);

}  // namespace fraud::worker
