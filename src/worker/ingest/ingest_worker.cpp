// The ingest worker of one database: polls its sources, all on one descriptor,
// and puts what comes into the inbox, from where the scorers take it.
//
// No transaction is open while a request runs. A poll is noted as begun before
// it is made and as ended in the transaction that keeps its last payments, so a
// crash leaves a poll to repeat; payments are stored once however often they come.
// A large answer is kept in pieces, and other sources are served between two.
#include "core/payments/forbidden_fields.h"
#include "core/payments/payment.h"
#include "core/payments/payment_writer.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <random>

#include "pg/payments/inbox.h"
#include "pg/payments/ingest.h"
#include "pg/payments/mapping.h"
#include "pg/server/boundary.h"
#include "pg/server/gucs.h"
#include "pg/server/owner_scope.h"
#include "pg/server/shared_state.h"
#include "pg/server/spi.h"
#include "worker/ingest/fault.h"
#include "worker/ingest/sources.h"
#include "worker/ingest/upkeep.h"
#include "worker/network/network_client.h"
#include "worker/process.h"
#include "worker/read_only.h"
#include "worker/training/training_queue.h"
#include "worker/transaction.h"

extern "C" {
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/pmsignal.h"

PGDLLEXPORT void fraud_detect_ingest_worker_main(Datum argument);
}

namespace fraud::worker {

using namespace fraud::pg;

namespace {

constexpr int64_t kMicrosPerSecond = 1000000;
constexpr int64_t kUpkeepInterval = 3600 * kMicrosPerSecond;
constexpr int64_t kMaxRetryAfterS = 3600;
constexpr size_t kMaxErrorBytes = 500;
// What is shown of an answer that is no payments: enough to tell a page of errors, too little
// to read a server by that is none of ours.
constexpr size_t kMaxShownBytes = 1024;

// ------------------------------------------------------------- statements

Statement source_exists("SELECT FROM fraud.sources s WHERE s.name = $1 AND s.created_at = $2", {TEXTOID, TIMESTAMPTZOID});

// An answer that has come, with what was asked.
struct Arrival {
  std::string name;
  Page page;
  Response response;
};

// An answer that is being kept, piece by piece.
struct Answer {
  std::string source;
  Oid role = kUnknownRole;  // who gave the source's URL
  TimestampTz created_at = 0;  // of the source
  Page page;
  NextPage next;
  Response response;
  PaymentBatch batch;
  size_t kept = 0;  // payments
  std::optional<PaymentBatch> piece;  // the next one, which could not be kept yet
  TimestampTz due = 0;                // when it is to be tried again
  int attempts = 0;                   // of it
  bool is_late = false;               // some of it had to wait
  int64_t accepted = 0, rejected = 0;  // of those kept
  TimestampTz latest = DT_NOBEGIN;     // likewise
};

// Payments kept in one commit: what takes about kPieceTime. A poll takes some steps, and
// between two of them stands a piece of another's answer.
constexpr size_t kMostInPiece = 2500, kLeastInPiece = 100;
constexpr std::chrono::milliseconds kPieceTime{50};
constexpr size_t kSmallAnswer = size_t{256} << 10;  // bytes: read within a few milliseconds
constexpr int64_t kKeepRetry = kMicrosPerSecond;  // after which a piece that could not be kept is tried again
constexpr int kReceiver = -1;     // the writer of our counts
constexpr int64_t kUnsaidLifetime = 3600;  // seconds, of a token whose answer says none
constexpr int64_t kMaxTokenMargin = 30;    // seconds before its end at which a token is renewed

// What becomes of a poll whose page is kept: its next page is asked for, it has ended, or it has but
// goes on as soon as fewer payments wait.
enum class Going { kOn, kEnds, kLater };

// An access token: here alone, never at rest.
struct Token {
  std::string value;
  std::string asks;  // of the source that it is for
  TimestampTz renew_at = 0;
};

// The transfer that asks for a source's token. No source has such a name.
std::string token_key(const std::string& name) { return name + '\n'; }

class IngestWorker {
 public:
  // Works until there is no extension any more.
  void run() {
    if (!begin()) return;
    for (;;) {
      begin_turn();
      if (is_to_leave()) {
        // What has come is kept, as long as this session may write.
        if ((answers_.empty() && ended_.empty()) || DefaultXactReadOnly) leave();
        finish_next();
        if (!keep_piece() && ended_.empty()) wait();
        continue;
      }
      serve_network();
      ask_pages();
      finish_next();
      if (is_gone_ || !do_the_rest()) return;
      if (!keep_piece() && ended_.empty() && !months_.is_due()) wait();
    }
  }

 private:
  bool begin() {
    protect([] { begin_look(MyDatabaseId, WorkerKind::kIngest); });
    return in_transaction("looking at the sources", [&] {
      Spi spi;
      begin_sources(spi);
    });
  }

  // Polls and upkeep; false when the extension is gone. What goes wrong ends the worker, which begins
  // anew, but not while it alone has an answer, or is to get one: that may not come again.
  bool do_the_rest() {
    const auto all = [&] { return look() && months_.make_next() && waiting_.send_again() && tiles_.make_next(); };
    const bool has_answers = !answers_.empty() || !ended_.empty() || !asked_.empty();
    if (has_answers && GetCurrentTimestamp() < rest_due_) return true;
    try {
      return all();
    } catch (const PgError& fault) {
      if (!is_cancel(fault) && !(has_answers && may_go_on(fault))) throw;
      protect([&] { ereport(LOG, (errmsg("could not look at the sources: %s", fault.what()))); });
      forget(fault);
      is_called_ = true;
      rest_due_ = GetCurrentTimestamp() + kKeepRetry;
      return true;
    }
  }

  // Starts the polls that are due; false when the extension is gone. The tables
  // are read when somebody called, or when a poll is due.
  bool look() {
    TimestampTz now = GetCurrentTimestamp();
    bool called = protect([] { return begin_look(MyDatabaseId, WorkerKind::kIngest); });
    called = std::exchange(is_called_, false) || called;
    const bool other_age = std::exchange(max_age_, guc_max_age_min) != guc_max_age_min;
    if (!called && !other_age && now < next_due()) return true;
    if (called) {
      waiting_.expect();
      tiles_.expect();
    }
    if (!note_number_alarms()) return false;
    std::vector<std::string> due, behind;
    bool is_counted = is_counted_;
    bool present = in_transaction("looking at the sources", [&] {
      Spi spi;
      if (called || other_age || now >= next_upkeep_) {
        months_.look(spi);
        next_upkeep_ = now + kUpkeepInterval;
      }
      training_.look(spi);
      follow_sources(spi);
      if (!is_counted && takes_payments(spi)) {
        count_waiting(spi);
        is_counted = true;
      }
      read(spi);
      drop_answers(spi);
      for (auto& [name, source] : sources_) {
        if (source.next_poll > now || is_asked(name) || being_kept(name)) continue;
        const bool is_behind = source.is_behind();
        std::optional<TimestampTz> next = is_behind ? put_off_poll(spi, name) : begin_poll(spi, name);
        if (!next) continue;
        source.next_poll = *next;
        (is_behind ? behind : due).push_back(name);
      }
    });
    if (!present) return false;
    is_counted_ = is_counted;
    protect([] { report_present(MyDatabaseId); });
    for (const std::string& name : behind) tell_behind(name, true);
    for (const std::string& name : due) {
      tell_behind(name, false);
      Page page;
      page.source = sources_[name];
      Walk& walk = page.source.walk;
      page.is_first = walk.begun_at == 0;
      if (page.is_first) {
        walk.begun_at = now;
        walk.since = page.source.next_since;
      }
      put_page(name, std::move(page));
    }
    ask_pages();
    return true;
  }

  // ---------------------------------------------------------------- asking

  // True while a page of the source waits to be asked for, or is.
  bool is_asked(const std::string& name) const {
    return http_.busy(name) || http_.busy(token_key(name)) || pages_.count(name) != 0;
  }

  // Has a page asked for as soon as the source's rate limit lets it.
  void put_page(const std::string& name, Page&& page) {
    page.due = GetCurrentTimestamp();
    const int limit = page.source.request ? page.source.request->rate_limit : 0;
    auto last = last_asked_.find(name);
    if (limit > 0 && last != last_asked_.end()) page.due = std::max(page.due, last->second + 60 * kMicrosPerSecond / limit);
    pages_[name] = std::move(page);
  }

  // Asks for the pages that are due, or for the tokens that they need.
  void ask_pages() {
    const TimestampTz now = GetCurrentTimestamp();
    for (auto next = pages_.begin(); next != pages_.end();) {
      const auto here = next++;
      const std::string& name = here->first;
      Page& page = here->second;
      if (page.due > now || page.is_due_for_token) continue;
      if (!page.source.request_fault.empty()) {
        const std::string key = name;
        const std::string fault = "the request cannot be used: " + page.source.request_fault;
        pages_.erase(here);
        fail(key, Response(), fault);
        continue;
      }
      const Request* request = page.source.request.get();
      const bool has_token = request != nullptr && request->auth.kind == AuthKind::kClientCredentials;
      auto token = tokens_.find(name);
      if (has_token && (token == tokens_.end() || token->second.asks != page.source.asks || token->second.renew_at <= now)) {
        page.is_due_for_token = true;
        http_.start(token_key(name), token_request(page.source));
        continue;
      }
      if (request != nullptr && request->rate_limit > 0) last_asked_[name] = now;
      const HttpRequest asked = page_request(page, has_token ? token->second.value : "");
      auto known = asked_.insert_or_assign(name, std::move(page)).first;
      const std::string key = known->first;
      pages_.erase(here);
      http_.start(key, asked);
    }
  }

  // Takes the token that an answer has, or notes why there is none.
  void take_token(const std::string& name, const Response& response) {
    auto page = pages_.find(name);
    if (page == pages_.end()) return;
    std::string error = response.error;
    if (error.empty() && response.status != 200) {
      error = "HTTP status " + std::to_string(response.status) + ", expected 200";
      const std::string said = token_error(response.body);
      if (!said.empty()) error += " (" + said + ")";
    }
    if (error.empty()) {
      try {
        const AccessToken token = read_access_token(response.body);
        const int64_t lifetime = token.lifetime_s > 0 ? token.lifetime_s : kUnsaidLifetime;
        const int64_t kept_us = lifetime * kMicrosPerSecond - std::min(kMaxTokenMargin * kMicrosPerSecond, lifetime * kMicrosPerSecond / 4);
        tokens_[name] = {token.token, page->second.source.asks, GetCurrentTimestamp() + kept_us};
        page->second.is_due_for_token = false;
        return;
      } catch (const Error& fault) {
        error = fault.what();
      }
    }
    const Page left = std::move(page->second);
    pages_.erase(page);
    fail(name, response, "could not get an access token: " + error);
  }

  // Says in the server's log that a source is not polled for its payments that wait, or is again:
  // each once.
  void tell_behind(const std::string& name, bool behind) {
    Source& source = sources_[name];
    if (source.behind == behind) return;
    source.behind = behind;
    protect([&] {
      ereport(LOG, (behind ? errmsg("source \"%s\" is not polled: %lld of its payments wait to be scored", name.c_str(),
                                    static_cast<long long>(source.waiting))
                           : errmsg("source \"%s\" is polled again", name.c_str())));
    });
  }

  void read(Spi& spi) {
    Sources found = read_sources(spi);
    for (const auto& [name, source] : sources_) {
      auto now = found.find(name);
      // Dropped, paused, another now of the same name, or asked otherwise: the answer is not wanted.
      if (now != found.end() && now->second.asks_as(source)) continue;
      http_.cancel(name);
      http_.cancel(token_key(name));
      asked_.erase(name);
      pages_.erase(name);
      if (now == found.end()) {
        tokens_.erase(name);
        last_asked_.erase(name);
      }
    }
    sources_ = std::move(found);
  }

  // Throws away what is left to keep of sources that are gone. Those that are paused stay: what
  // an API has answered is kept.
  void drop_answers(Spi& spi) {
    auto is_there = [&](const std::string& name, TimestampTz created_at) {
      return spi.run(source_exists, {text_param(name), time_param(created_at)}) > 0;
    };
    for (auto answer = answers_.begin(); answer != answers_.end();) {
      answer = is_there(answer->source, answer->created_at) ? answer + 1 : answers_.erase(answer);
    }
    for (auto ended = ended_.begin(); ended != ended_.end();) {
      ended = is_there(ended->name, ended->page.source.created_at) ? ended + 1 : ended_.erase(ended);
    }
    for (Reading& one : reading_) one.is_wanted = one.is_wanted && is_there(one.name, one.created_at);
  }

  // ------------------------------------------------------------- answers

  // Lets transfers go on, and takes note of those that ended; also while a large answer is
  // read, which others must not wait for.
  void serve_network() {
    look_up();
    for (auto& [name, response] : http_.work()) {
      if (name.back() == '\n') {
        tokens_come_.emplace_back(name.substr(0, name.size() - 1), std::move(response));
        continue;
      }
      ended_.push_back({name, std::move(asked_[name]), std::move(response)});
      asked_.erase(name);
    }
    while (!tokens_come_.empty()) {
      const auto come = std::move(tokens_come_.front());
      tokens_come_.pop_front();
      take_token(come.first, come.second);
    }
  }

  // Takes in the answer that has waited longest, if there is one.
  void finish_next() {
    if (ended_.empty()) return;
    Arrival arrival = std::move(ended_.front());
    ended_.pop_front();
    finish(arrival.name, std::move(arrival.page), std::move(arrival.response));
  }

  // Takes in what came, or notes why nothing did.
  void finish(const std::string& name, Page&& page, Response&& response) {
    const Source& source = page.source;
    std::string error = response.error;
    const Request* request = source.request.get();
    if (error.empty() && response.status == 401 && request != nullptr && request->auth.kind == AuthKind::kClientCredentials && !page.is_renewed) {
      // It was taken back, or its time is another than it said.
      tokens_.erase(name);
      page.is_renewed = true;
      put_page(name, std::move(page));
      return;
    }
    if (error.empty() && response.status == 304 && page.is_conditional) {
      in_transaction("noting an answer that has not changed", [&] {
        Spi spi;
        end_poll(spi, name, response.status, 0, 0);
      });
      note_success(name);
      return;
    }
    const bool is_empty = request != nullptr && response.status == 204;
    if (is_empty) response.body = "[]";
    if (error.empty() && response.status != 200 && !is_empty) {
      error = "HTTP status " + std::to_string(response.status) + ", expected 200";
      if (!response.redirect_fault.empty()) error += "; " + response.redirect_fault;
    }
    const bool broke_off = response.broke_off && response.status == 200;
    if (!error.empty() && !broke_off) {
      fail(name, response, error, &page);
      return;
    }
    Answer answer;
    answer.source = name;
    const auto most = static_cast<size_t>(source.most_payments);
    answer.role = source.role;
    answer.created_at = source.created_at;
    std::unique_ptr<const Mapping> mapping;
    try {
      if (!source.mapping.empty()) mapping = compile_mapping(source.mapping, source.format);
    } catch (const SqlError& fault) {
      // A dump may come to a server that knows other time zones.
      fail(name, response, fault.what());
      return;
    }
    // What stands around the payments may have stood behind the break.
    if (broke_off && mapping && mapping->looks_around()) {
      fail(name, response, error);
      return;
    }
    // Of a line nothing tells whether it is whole.
    if (broke_off && source.format == PaymentFormat::kCsv) response.body.resize(response.body.rfind('\n') + 1);
    reading_.push_back({name, source.created_at, true});
    try {
      answer.batch = read_payments(response.body, source.format, mapping.get(), [&] { give_way(); });
      if (broke_off) {
        // It is asked for again; what was half there is no dead letter.
        if (answer.batch.rest_is_rejected) answer.batch.rejected.pop_back();
        answer.batch.fault.reset();
      }
      // Payments before the break are kept; the poll is one that failed.
      if (answer.batch.fault) response.error = answer.batch.fault->what();
      if (request != nullptr && response.error.empty()) {
        answer.next = next_page(page, response, answer.batch.payments.size() + answer.batch.rejected.size(), [&] { give_way(); });
        response.error = answer.next.fault;
      }
    } catch (const Error& fault) {
      if (broke_off) {
        reading_.pop_back();
        fail(name, response, error);
        return;
      }
      std::string reason = fault.what();
      if (!response.content_type.empty()) {
        reason += " (content type " + redact(response.content_type, "").substr(0, 80) + ")";
      }
      if (!fault.detail().empty()) reason += ". " + fault.detail();
      // The hint of a body of another layout is a mapping.
      const bool fits = fault.code() == ErrorCode::kInvalidPayload && !fault.hint().empty();
      if (fits) reason += "; fraud.preview_source('" + name + "') proposes a mapping";
      RejectedPayment whole;
      // A little of it: what it is can be seen, and no more of a host that was not meant.
      whole.payload = redact_broken(response.body, kMaxShownBytes);
      whole.payload_size = response.body.size();
      whole.reason = reason;
      answer.batch.rejected.push_back(whole);
      response.error = reason;
    }
    const bool is_wanted = reading_.back().is_wanted;
    reading_.pop_back();
    if (is_gone_ || !is_wanted) return;
    const size_t payments = answer.batch.payments.size() + answer.batch.rejected.size();
    if (payments > most) {
      // A part of it would look like all of it.
      fail(name, response, "the answer has " + std::to_string(payments) + " payments, more than max_poll_payments (" +
                               std::to_string(most) + "): none is stored");
      return;
    }
    page.payments += static_cast<int64_t>(payments);
    ++page.pages;
    answer.page = std::move(page);
    answer.response = std::move(response);
    answer.response.body.clear();
    answer.response.body.shrink_to_fit();
    answers_.push_back(std::move(answer));
    keep_piece();
  }

  // While a large answer is read: heeds signals, serves the network and starts other polls.
  void give_way() {
    serve_network();
    is_gone_ = is_gone_ || !look();
    // What is small does not wait until what is large has been read.
    while (!is_gone_ && reading_.size() == 1 && !ended_.empty() && ended_.front().response.body.size() <= kSmallAnswer) finish_next();
  }

  // True while an answer of the source is read, waits to be, or is kept.
  bool being_kept(const std::string& name) const {
    return std::any_of(reading_.begin(), reading_.end(), [&](const Reading& one) { return one.name == name; }) ||
           std::any_of(ended_.begin(), ended_.end(), [&](const Arrival& ended) { return ended.name == name; }) ||
           std::any_of(answers_.begin(), answers_.end(),
                       [&](const Answer& answer) { return answer.source == name; });
  }

  // Keeps the next piece of the answer whose turn it is; sources take turns. False when there is none
  // to be kept now.
  bool keep_piece() {
    const TimestampTz now = GetCurrentTimestamp();
    auto next = std::find_if(answers_.begin(), answers_.end(), [&](const Answer& one) { return one.due <= now; });
    if (next == answers_.end()) return false;
    Answer answer = std::move(*next);
    answers_.erase(next);
    const size_t total = answer.batch.payments.size();
    if (!answer.piece) {
      const size_t end = std::min(answer.kept + piece_, total);
      auto payments = answer.batch.payments.begin();
      answer.piece.emplace();
      answer.piece->payments.assign(std::make_move_iterator(payments + static_cast<std::ptrdiff_t>(answer.kept)),
                                    std::make_move_iterator(payments + static_cast<std::ptrdiff_t>(end)));
      if (end == total) answer.piece->rejected = std::move(answer.batch.rejected);
    }
    const size_t count = answer.piece->payments.size();
    const size_t end = answer.kept + count;
    const auto start = std::chrono::steady_clock::now();
    try {
      keep(answer, *answer.piece, end == total);
      adapt(count, std::chrono::steady_clock::now() - start);
    } catch (const PgError& fault) {
      if (!may_go_on(fault) && !is_cancel(fault)) throw;
      const int sqlstate = fault.data()->sqlerrcode;
      const std::string error = fault.what();
      forget(fault);
      put_off(std::move(answer), sqlstate, error);
      return true;
    } catch (const SqlError& fault) {
      put_off(std::move(answer), fault.sqlstate(), fault.what());
      return true;
    }
    answer.piece.reset();
    answer.attempts = 0;
    answer.kept = end;
    if (end < total) {
      answers_.push_back(std::move(answer));
    } else if (!answer.response.error.empty()) {
      fail(answer.source, answer.response, answer.response.error);
    }
    return true;
  }

  // What an answer brought may not come again: where somebody or something is in the way, it is tried
  // until it can be kept. Only what is the payments' own fault, or stays unclear, is given up.
  void put_off(Answer&& answer, int sqlstate, const std::string& reason) {
    const Fault fault = fault_of(sqlstate);
    ++answer.attempts;
    const bool is_given_up = fault == Fault::kItsOwn || (fault == Fault::kUnclear && answer.attempts >= kUnclearAttempts);
    const TimestampTz now = GetCurrentTimestamp();
    auto source = sources_.find(answer.source);
    // Noted as often as a poll that fails again and again, so that it is not taken for stuck.
    const bool is_noted = is_given_up || answer.attempts == 1 || (source != sources_.end() && source->second.next_poll <= now);
    const std::string name = answer.source;
    const Response response = is_noted ? answer.response : Response();
    if (!is_given_up) {
      answer.is_late = true;
      answer.due = now + kKeepRetry;
      answers_.push_back(std::move(answer));
    }
    if (!is_noted) return;
    try {
      fail(name, response, "could not keep payments: " + reason + (is_given_up ? "" : " (tried again each second)"));
    } catch (const PgError& second) {
      if (is_given_up || !(may_go_on(second) || is_cancel(second))) throw;
      forget(second);
    }
  }

  // A few payments cost a commit, and say nothing of what fits, unless they took long.
  void adapt(size_t payments, std::chrono::steady_clock::duration took) {
    if (payments < piece_ && took <= kPieceTime) return;
    const double us = std::max(1.0, std::chrono::duration<double, std::micro>(took).count());
    const double fitting = static_cast<double>(payments) * std::chrono::duration<double, std::micro>(kPieceTime).count() / us;
    piece_ = static_cast<size_t>(std::clamp(fitting, static_cast<double>(kLeastInPiece), static_cast<double>(kMostInPiece)));
  }

  // Commits a piece, and with the last one the end of its poll. Dead letters whose row
  // another session has locked are kept beside it.
  void keep(Answer& answer, PaymentBatch& piece, bool last) {
    SourceCounts counts;
    const bool has_ended = last && answer.response.error.empty();
    Going going = Going::kEnds;
    for (const Beside beside : {Beside::kNone, Beside::kOnce, Beside::kAlways}) {
      try {
        in_transaction("keeping payments", [&] {
          begin_scoring();
          counts = receive(piece, answer.source, answer.role, beside);
          Spi spi;
          count_payments(spi, answer.source, kReceiver, counts);
          if (has_ended) going = end_page(spi, answer, counts);
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
    if (!has_ended) return;
    note_success(answer.source);
    if (going != Going::kOn) {
      auto source = sources_.find(answer.source);
      // It is looked at again as others are that are behind, or late.
      if (going == Going::kLater && source != sources_.end()) source->second.next_poll = GetCurrentTimestamp();
      return;
    }
    Page page = std::move(answer.page);
    page.source.walk.position = answer.next.position;
    page.is_first = page.is_renewed = false;
    put_page(answer.source, std::move(page));
  }

  // Notes where the next page is, and the poll's end unless it goes on there: until there are no more,
  // or a bound is reached, or too many payments wait. The next poll goes on then.
  Going end_page(Spi& spi, const Answer& answer, const SourceCounts& counts) {
    bool goes_on = false, is_behind = false;
    if (answer.page.source.request) {
      note_page(spi, answer.source, answer.page, answer.next, std::max(answer.latest, counts.latest), answer.response);
      auto source = sources_.find(answer.source);
      goes_on = answer.next.is_more && source != sources_.end() && source->second.asks_as(answer.page.source) &&
                answer.page.pages < answer.page.source.request->paging.max_pages && answer.page.payments < answer.page.source.most_payments;
      is_behind = goes_on && waiting_payments(spi, answer.source) >= source->second.most_waiting;
    }
    if (goes_on && !is_behind) return Going::kOn;
    const bool is_due = is_behind || answer.is_late;
    end_poll(spi, answer.source, answer.response.status, answer.accepted + counts.received + counts.duplicates,
             answer.rejected + counts.rejected, is_due);
    return is_due ? Going::kLater : Going::kEnds;
  }

  // Says in the server's log that a source answers again.
  void note_success(const std::string& name) {
    auto source = sources_.find(name);
    if (source == sources_.end() || source->second.failures == 0) return;
    const int failures = std::exchange(source->second.failures, 0);
    protect([&] {
      ereport(LOG, (errmsg("source \"%s\": poll succeeded again (failures before it: %d)", name.c_str(), failures)));
    });
  }

  // Notes a poll that failed and when it is tried again: after one second, two,
  // four, … up to fraud_detect.max_retry_delay, a fifth more or less, and not
  // before the server wants.
  void fail(const std::string& name, const Response& response, const std::string& fault, const Page* page = nullptr) {
    const std::string error = redact(fault, "");
    auto source = sources_.find(name);
    if (source == sources_.end()) return;  // dropped or paused meanwhile
    int failures = source->second.failures++;
    int64_t seconds = std::min<int64_t>(int64_t{1} << std::min(failures, 20), guc_max_retry_delay_s);
    int64_t delay = static_cast<int64_t>(static_cast<double>(seconds * kMicrosPerSecond) *
                                         std::uniform_real_distribution<>(0.8, 1.2)(random_));
    if (response.retry_after_s) {
      int64_t wanted = std::min<int64_t>(*response.retry_after_s, kMaxRetryAfterS);
      delay = std::max(delay, wanted * kMicrosPerSecond);
    }
    std::string cause = failure_cause(response.status, error);
    const bool news = failures == 0 || cause != source->second.cause;
    source->second.cause = std::move(cause);
    if (news) {
      protect([&] {
        ereport(LOG, (errmsg("source \"%s\": poll failed: %s", name.c_str(), error.c_str())));
      });
    }
    std::string valid = error.substr(0, kMaxErrorBytes);
    for (char& c : valid) {
      if (static_cast<unsigned char>(c) >= 0x80 || static_cast<unsigned char>(c) < 0x20) c = '?';
    }
    // A place among pages that the API knows no more is left; what comes again is known.
    const bool is_place_lost = page != nullptr && page->source.request && !page->source.request->paging.keep && !page->source.walk.position.empty() &&
                               (response.status == 400 || response.status == 404 || response.status == 410 || response.status == 422);
    in_transaction("noting a failed poll", [&] {
      Spi spi;
      if (is_place_lost) forget_walk(spi, name);
      if (std::optional<TimestampTz> next = fail_poll(spi, name, response.status, valid, delay)) source->second.next_poll = *next;
    });
  }

  // ---------------------------------------------------------------- waiting

  TimestampTz next_due() const {
    TimestampTz due = std::min(next_upkeep_, training_.next_look());
    due = std::min({due, months_.next_due(), waiting_.next_due(), tiles_.next_due()});
    for (const auto& [name, source] : sources_) {
      if (!is_asked(name)) due = std::min(due, source.next_poll);
    }
    for (const auto& [name, page] : pages_) {
      if (!page.is_due_for_token) due = std::min(due, page.due);
    }
    return due;
  }

  void wait() {
    TimestampTz due = std::max(next_due(), rest_due_);
    for (const Answer& answer : answers_) due = std::min(due, answer.due);
    int64_t until_due = (due - GetCurrentTimestamp()) / 1000 + 1;
    long wait = static_cast<long>(std::clamp<int64_t>(until_due, 0, 60 * 1000));
    if (std::optional<long> timeout = http_.timeout_ms()) wait = std::min(wait, *timeout);
    int descriptor = http_.descriptor();
    protect([&] {
      note_wait(wait);
      (void)WaitLatchOrSocket(
          MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_SOCKET_READABLE | WL_EXIT_ON_PM_DEATH, descriptor,
          wait, PG_WAIT_EXTENSION);
      heed_signals();
    });
  }

  NetworkClient http_;
  TrainingQueue training_;
  Sources sources_;
  std::map<std::string, Page> pages_;    // that are to be asked for
  std::map<std::string, Page> asked_;    // whose request is under way
  std::map<std::string, Token> tokens_;
  std::deque<std::pair<std::string, Response>> tokens_come_;
  std::map<std::string, TimestampTz> last_asked_;  // of the sources with a rate limit
  std::deque<Arrival> ended_;  // transfers, whose answers are yet to be read
  struct Reading {
    std::string name;
    TimestampTz created_at;
    bool is_wanted;  // the source is still there
  };
  std::vector<Reading> reading_;  // the answers that are read: a large one, and a small one meanwhile
  bool is_gone_ = false;  // the extension
  std::deque<Answer> answers_;
  TimestampTz rest_due_ = 0;   // when polls and upkeep are tried again
  bool is_called_ = false;     // and somebody had called
  bool is_counted_ = false;  // what waits
  size_t piece_ = kMostInPiece / 2;
  TimestampTz next_upkeep_ = 0;
  int max_age_ = 0;                  // the setting, when the tables were last looked at
  MonthMaker months_;
  TileMaker tiles_;
  WaitingFollowUps waiting_;
  std::mt19937 random_{std::random_device{}()};
};

// Connects, works, and says so when there is nothing to work for.
void run(Oid database) {
  protect([&] {
    begin_worker();
    BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
    register_worker(database, WorkerKind::kIngest);
    pgstat_report_activity(STATE_IDLE, nullptr);
  });
  wait_while_read_only(database, WorkerKind::kIngest);
  {
    IngestWorker worker;
    worker.run();
  }
  protect([&] { report_absent(database, WorkerKind::kIngest); });
}

}  // namespace

}  // namespace fraud::worker

void fraud_detect_ingest_worker_main(Datum argument) {
  Oid database = DatumGetObjectId(argument);
  fraud::pg::guarded([&] { fraud::worker::run(database); });
}
