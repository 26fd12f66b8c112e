// The ingest worker of one database: polls its sources, all on one descriptor,
// and puts what comes into the inbox, from where the scorers take it.
//
// No transaction is open while a request runs. A poll is noted as begun before
// it is made and as ended in the transaction that keeps its last payments, so a
// crash leaves a poll to repeat; payments are stored once however often they come.
// A large answer is kept in pieces, and other sources are served between two.
//
// Here are the turns: whose it is, and what follows from what has become of it.
#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pg/payments/inbox.h"
#include "pg/server/boundary.h"
#include "pg/server/gucs.h"
#include "pg/server/shared_state.h"
#include "pg/server/spi.h"
#include "worker/ingest/answer.h"
#include "worker/ingest/asker.h"
#include "worker/ingest/keeper.h"
#include "worker/ingest/source_fare.h"
#include "worker/ingest/sources.h"
#include "worker/ingest/upkeep.h"
#include "worker/process.h"
#include "worker/read_only.h"
#include "worker/training/training_queue.h"
#include "worker/transaction.h"

extern "C" {
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/latch.h"

PGDLLEXPORT void fraud_detect_ingest_worker_main(Datum argument);
}

namespace fraud::worker {

using namespace fraud::pg;

namespace {

constexpr int64_t kMicrosPerSecond = 1000000;
constexpr int64_t kUpkeepInterval = 3600 * kMicrosPerSecond;
constexpr int64_t kRestRetry = kMicrosPerSecond;  // after which polls and upkeep that failed are tried again
constexpr size_t kSmallAnswer = size_t{256} << 10;  // bytes: read within a few milliseconds

// The page that a poll begins with: where the last walk was left, or the first of another.
Page first_page(const Source& source, TimestampTz now) {
  Page page;
  page.source = source;
  Walk& walk = page.source.walk;
  page.is_first = walk.begun_at == 0;
  if (page.is_first) {
    walk.begun_at = now;
    walk.since = page.source.next_since;
  }
  return page;
}

class IngestWorker {
 public:
  // Works until there is no extension any more.
  void run() {
    if (!begin()) return;
    for (;;) {
      begin_turn();
      if (is_to_leave()) {
        // What has come is kept, as long as this session may write.
        if ((keeper_.is_empty() && arrivals_.empty()) || DefaultXactReadOnly) leave();
        read_next();
        if (!keep_next() && arrivals_.empty()) wait();
        continue;
      }
      serve_network();
      ask();
      read_next();
      if (is_gone_ || !do_the_rest()) return;
      if (!keep_next() && arrivals_.empty() && !months_.is_due()) wait();
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
    const bool has_answers = !keeper_.is_empty() || !arrivals_.empty() || asker_.is_waiting();
    if (has_answers && GetCurrentTimestamp() < rest_due_) return true;
    try {
      return all();
    } catch (const PgError& fault) {
      if (!is_cancel(fault) && !(has_answers && may_go_on(fault))) throw;
      protect([&] { ereport(LOG, (errmsg("could not look at the sources: %s", fault.what()))); });
      forget(fault);
      is_called_ = true;
      rest_due_ = GetCurrentTimestamp() + kRestRetry;
      return true;
    }
  }

  // ---------------------------------------------------------------- sources

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
      take_sources(read_sources(spi));
      drop_gone(spi);
      for (auto& [name, source] : sources_) {
        if (source.next_poll > now || asker_.is_asked(name) || is_answered(name)) continue;
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
    for (const std::string& name : behind) tell_behind(name, sources_[name], true);
    for (const std::string& name : due) {
      tell_behind(name, sources_[name], false);
      asker_.put(name, first_page(sources_[name], now));
    }
    ask();
    return true;
  }

  void take_sources(Sources&& found) {
    for (const auto& [name, source] : sources_) {
      auto now = found.find(name);
      // Dropped, paused, another now of the same name, or asked otherwise: the answer is not wanted.
      if (now != found.end() && now->second.asks_as(source)) continue;
      asker_.cancel(name);
      if (now == found.end()) asker_.forget(name);
    }
    sources_ = std::move(found);
  }

  // Throws away what has come of sources that are gone.
  void drop_gone(Spi& spi) {
    keeper_.drop_gone(spi);
    for (auto arrival = arrivals_.begin(); arrival != arrivals_.end();) {
      arrival = source_exists(spi, arrival->name, arrival->page.source.created_at) ? arrival + 1 : arrivals_.erase(arrival);
    }
    for (Reading& one : reading_) one.is_wanted = one.is_wanted && source_exists(spi, one.name, one.created_at);
  }

  // True while an answer of the source is read, waits to be, or is kept.
  bool is_answered(const std::string& name) const {
    return std::any_of(reading_.begin(), reading_.end(), [&](const Reading& one) { return one.name == name; }) ||
           std::any_of(arrivals_.begin(), arrivals_.end(), [&](const Arrival& arrival) { return arrival.name == name; }) ||
           keeper_.has(name);
  }

  // Notes a poll that failed, unless its source was dropped or paused meanwhile.
  void fail(const std::string& name, const Response& response, const std::string& fault, const Page* page = nullptr) {
    auto source = sources_.find(name);
    if (source != sources_.end()) note_failed(name, source->second, response, fault, page);
  }

  void succeed(const std::string& name) {
    auto source = sources_.find(name);
    if (source != sources_.end()) tell_succeeded(name, source->second);
  }

  // ---------------------------------------------------------------- answers

  void ask() {
    while (std::optional<Unasked> page = asker_.ask()) fail(page->name, page->response, page->fault);
  }

  // Lets transfers go on, and takes note of those that ended; also while a large answer is
  // read, which others must not wait for.
  void serve_network() {
    look_up();
    for (Arrival& arrival : asker_.work()) arrivals_.push_back(std::move(arrival));
    while (std::optional<Unasked> page = asker_.take_tokens()) fail(page->name, page->response, page->fault);
  }

  // Takes in the answer that has waited longest, if there is one, or notes why it is none.
  void read_next() {
    if (arrivals_.empty()) return;
    Arrival arrival = std::move(arrivals_.front());
    arrivals_.pop_front();
    if (is_token_refused(arrival)) {
      asker_.put_again(arrival.name, std::move(arrival.page));
      return;
    }
    if (is_unchanged(arrival)) {
      in_transaction("noting an answer that has not changed", [&] {
        Spi spi;
        end_poll(spi, arrival.name, arrival.response.status, 0, 0);
      });
      succeed(arrival.name);
      return;
    }
    std::string fault;
    reading_.push_back({arrival.name, arrival.page.source.created_at, true});
    std::optional<Answer> answer = read_answer(arrival, [&] { give_way(); }, &fault);
    const bool is_wanted = reading_.back().is_wanted;
    reading_.pop_back();
    if (is_gone_ || !is_wanted) return;
    if (!answer) {
      fail(arrival.name, arrival.response, fault, &arrival.page);
      return;
    }
    keeper_.add(std::move(*answer));
    keep_next();
  }

  // While a large answer is read: heeds signals, serves the network and starts other polls.
  void give_way() {
    serve_network();
    is_gone_ = is_gone_ || !look();
    // What is small does not wait until what is large has been read.
    while (!is_gone_ && reading_.size() == 1 && !arrivals_.empty() && arrivals_.front().response.body.size() <= kSmallAnswer) read_next();
  }

  // Keeps a piece of an answer, and goes on from there; false when there is none to be kept now.
  bool keep_next() {
    KeptAnswer kept = keeper_.keep_next(sources_);
    switch (kept.what) {
      case Kept::kNothing:
        return false;
      case Kept::kPiece:
        break;
      case Kept::kNextPage:
        succeed(kept.name);
        asker_.put(kept.name, std::move(kept.page));
        break;
      case Kept::kEnded:
        succeed(kept.name);
        break;
      case Kept::kLater:
        succeed(kept.name);
        look_again_at(kept.name);
        break;
      case Kept::kFailed:
        fail(kept.name, kept.response, kept.fault);
        break;
      case Kept::kPutOff:
        note_put_off(kept);
        break;
    }
    return true;
  }

  // As at others that are behind, or late.
  void look_again_at(const std::string& name) {
    auto source = sources_.find(name);
    if (source != sources_.end()) source->second.next_poll = GetCurrentTimestamp();
  }

  // Noted as often as a poll that fails again and again, so that it is not taken for stuck. What is in
  // the way of the payments may be in the way of the note.
  void note_put_off(const KeptAnswer& kept) {
    auto source = sources_.find(kept.name);
    if (source == sources_.end()) return;
    if (kept.attempts > 1 && source->second.next_poll > GetCurrentTimestamp()) return;
    try {
      note_failed(kept.name, source->second, kept.response, kept.fault, nullptr);
    } catch (const PgError& fault) {
      if (!may_go_on(fault) && !is_cancel(fault)) throw;
      forget(fault);
    }
  }

  // ---------------------------------------------------------------- waiting

  // When there is something to look for.
  TimestampTz next_due() const {
    TimestampTz due = std::min(next_upkeep_, training_.next_look());
    due = std::min({due, months_.next_due(), waiting_.next_due(), tiles_.next_due(), asker_.next_due()});
    for (const auto& [name, source] : sources_) {
      if (!asker_.is_asked(name)) due = std::min(due, source.next_poll);
    }
    return due;
  }

  void wait() {
    const TimestampTz due = std::min(std::max(next_due(), rest_due_), keeper_.next_due());
    int64_t until_due = (due - GetCurrentTimestamp()) / 1000 + 1;
    long wait = static_cast<long>(std::clamp<int64_t>(until_due, 0, 60 * 1000));
    if (std::optional<long> timeout = asker_.timeout_ms()) wait = std::min(wait, *timeout);
    int descriptor = asker_.descriptor();
    protect([&] {
      note_wait(wait);
      (void)WaitLatchOrSocket(
          MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_SOCKET_READABLE | WL_EXIT_ON_PM_DEATH, descriptor,
          wait, PG_WAIT_EXTENSION);
      heed_signals();
    });
  }

  // An answer that is read: a large one, and a small one meanwhile.
  struct Reading {
    std::string name;
    TimestampTz created_at;
    bool is_wanted;  // the source is still there
  };

  TrainingQueue training_;
  Sources sources_;
  Asker asker_;
  std::deque<Arrival> arrivals_;  // that are yet to be read
  std::vector<Reading> reading_;
  Keeper keeper_;
  bool is_gone_ = false;  // the extension
  TimestampTz rest_due_ = 0;  // when polls and upkeep are tried again
  bool is_called_ = false;  // and somebody had called
  bool is_counted_ = false;  // what waits
  TimestampTz next_upkeep_ = 0;
  int max_age_ = 0;  // the setting, when the tables were last looked at
  MonthMaker months_;
  TileMaker tiles_;
  WaitingFollowUps waiting_;
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
