#include "worker/ingest/keeper.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "pg/payments/inbox.h"
#include "pg/server/boundary.h"
#include "worker/ingest/fault.h"
#include "worker/transaction.h"

extern "C" {
#include "utils/timestamp.h"
}

namespace fraud::worker {

using namespace fraud::pg;

namespace {

constexpr int64_t kKeepRetryUs = 1000000;
constexpr int kReceiver = -1;  // the writer of our counts

// Whether a poll goes on at the next page: until there are no more, or a bound is reached, or too many
// payments wait. The next poll goes on then.
Kept going_on(Spi& spi, const Answer& answer, const Sources& sources) {
  if (!answer.page.source.request || !answer.next.is_more) return Kept::kEnded;
  const auto source = sources.find(answer.name);
  const bool goes_on = source != sources.end() && source->second.asks_as(answer.page.source) &&
                       answer.page.pages < answer.page.source.request->paging.max_pages && answer.page.payments < answer.page.source.most_payments;
  if (!goes_on) return Kept::kEnded;
  return waiting_payments(spi, answer.name) >= source->second.most_waiting ? Kept::kLater : Kept::kNextPage;
}

}  // namespace

void Keeper::add(Answer&& answer) { answers_.emplace_back(std::move(answer)); }

KeptAnswer Keeper::keep_next(const Sources& sources) {
  const TimestampTz now = GetCurrentTimestamp();
  auto next = std::find_if(answers_.begin(), answers_.end(), [&](const Entry& one) { return one.due <= now; });
  if (next == answers_.end()) return {};
  Entry answer = std::move(*next);
  answers_.erase(next);
  if (!answer.piece) take_piece(answer);
  const size_t count = answer.piece->payments.size();
  KeptAnswer kept;
  kept.name = answer.name;
  const auto start = std::chrono::steady_clock::now();
  try {
    kept.what = keep(answer, sources);
    size_.note(count, std::chrono::steady_clock::now() - start);
  } catch (const PgError& fault) {
    if (!may_go_on(fault) && !is_cancel(fault)) throw;
    const int sqlstate = fault.data()->sqlerrcode;
    const std::string error = fault.what();
    forget(fault);
    return put_off(std::move(answer), sqlstate, error);
  } catch (const SqlError& fault) {
    return put_off(std::move(answer), fault.sqlstate(), fault.what());
  }
  answer.piece.reset();
  answer.attempts = 0;
  answer.kept += count;
  switch (kept.what) {
    case Kept::kPiece:
      answers_.push_back(std::move(answer));
      break;
    case Kept::kNextPage:
      kept.page = std::move(answer.page);
      kept.page.source.walk.position = answer.next.position;
      kept.page.is_first = kept.page.is_renewed = false;
      break;
    case Kept::kFailed:
      kept.response = std::move(answer.response);
      kept.fault = std::move(answer.fault);
      break;
    default:
      break;
  }
  return kept;
}

// Makes the next piece: payments, and with the last of them what is rejected.
void Keeper::take_piece(Entry& answer) const {
  const size_t total = answer.batch.payments.size();
  const size_t end = std::min(answer.kept + size_.payments(), total);
  auto payments = answer.batch.payments.begin();
  answer.piece.emplace();
  answer.piece->payments.assign(std::make_move_iterator(payments + static_cast<std::ptrdiff_t>(answer.kept)),
                                std::make_move_iterator(payments + static_cast<std::ptrdiff_t>(end)));
  if (end == total) answer.piece->rejected = std::move(answer.batch.rejected);
}

// Commits a piece, and with the last one where the next page is, and the end of its poll unless it goes
// on there. Dead letters whose row another session has locked are kept beside it.
Kept Keeper::keep(Entry& answer, const Sources& sources) {
  SourceCounts counts;
  const bool is_last = answer.kept + answer.piece->payments.size() == answer.batch.payments.size();
  const bool has_ended = is_last && answer.fault.empty();
  Kept what = has_ended ? Kept::kEnded : is_last ? Kept::kFailed : Kept::kPiece;
  for (const Beside beside : {Beside::kNone, Beside::kOnce, Beside::kAlways}) {
    try {
      in_transaction("keeping payments", [&] {
        begin_scoring();
        counts = receive(*answer.piece, answer.name, answer.page.source.role, beside);
        Spi spi;
        count_payments(spi, answer.name, kReceiver, counts);
        if (has_ended) {
          if (answer.page.source.request) {
            note_page(spi, answer.name, answer.page, answer.next, std::max(answer.latest, counts.latest), answer.response);
          }
          what = going_on(spi, answer, sources);
          if (what == Kept::kEnded && answer.is_late) what = Kept::kLater;
          if (what != Kept::kNextPage) {
            end_poll(spi, answer.name, answer.response.status, answer.accepted + counts.received + counts.duplicates,
                     answer.rejected + counts.rejected, what == Kept::kLater);
          }
        }
        protect([] { wake_scorers_at_commit(); });
      });
      break;
    } catch (const PgError& fault) {
      if (beside == Beside::kAlways || fault.data()->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE) throw;
      forget(fault);
    }
  }
  answer.accepted += counts.received + counts.duplicates;
  answer.rejected += counts.rejected;
  answer.latest = std::max(answer.latest, counts.latest);
  return what;
}

// Only what is the payments' own fault, or stays unclear, is given up.
KeptAnswer Keeper::put_off(Entry&& answer, int sqlstate, const std::string& reason) {
  const Fault fault = fault_of(sqlstate);
  ++answer.attempts;
  const bool is_given_up = fault == Fault::kItsOwn || (fault == Fault::kUnclear && answer.attempts >= kUnclearAttempts);
  KeptAnswer kept;
  kept.what = is_given_up ? Kept::kFailed : Kept::kPutOff;
  kept.name = answer.name;
  kept.response = answer.response;
  kept.fault = "could not keep payments: " + reason + (is_given_up ? "" : " (tried again each second)");
  kept.attempts = answer.attempts;
  if (!is_given_up) {
    answer.is_late = true;
    answer.due = GetCurrentTimestamp() + kKeepRetryUs;
    answers_.push_back(std::move(answer));
  }
  return kept;
}

void Keeper::drop_gone(Spi& spi) {
  for (auto answer = answers_.begin(); answer != answers_.end();) {
    answer = source_exists(spi, answer->name, answer->page.source.created_at) ? answer + 1 : answers_.erase(answer);
  }
}

bool Keeper::has(const std::string& name) const {
  return std::any_of(answers_.begin(), answers_.end(), [&](const Entry& answer) { return answer.name == name; });
}

TimestampTz Keeper::next_due() const {
  TimestampTz due = DT_NOEND;
  for (const Entry& answer : answers_) due = std::min(due, answer.due);
  return due;
}

}  // namespace fraud::worker
