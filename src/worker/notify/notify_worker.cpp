// The notify worker of one database: delivers the messages of fraud.outbox to the
// channels that take them, all on one descriptor.
//
// No transaction is open while a delivery is under way. An attempt is counted and
// committed before it is made, and how it went is noted later, many in one transaction,
// so a crash leaves an attempt to repeat, with the same idempotency key. Addressing,
// sending and noting take turns, each turn a bounded piece of each.
#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <variant>

#include "core/payments/message.h"

#include "pg/rules/time_bound.h"
#include "pg/server/boundary.h"
#include "pg/server/gucs.h"
#include "pg/server/plan_settings.h"
#include "pg/server/shared_state.h"
#include "pg/server/spi.h"
#include "worker/network/network_client.h"
#include "worker/notify/channel.h"
#include "worker/notify/delivery.h"
#include "worker/notify/outbox.h"
#include "worker/notify/queue.h"
#include "worker/process.h"
#include "worker/read_only.h"
#include "worker/transaction.h"

extern "C" {
#include "access/xact.h"
#include "commands/async.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "storage/latch.h"

PGDLLEXPORT void fraud_detect_notify_worker_main(Datum argument);
}

namespace fraud::worker {

using namespace fraud::pg;

namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kMillisecond = 1000;
constexpr int64_t kSecond = 1000 * kMillisecond;
// How often all channels are looked at though nobody called: after a transaction that was
// prepared, say, or when the clock was set back.
constexpr int64_t kIdleInterval = 60 * kSecond;
// What is addressed, and what listeners are told, in one turn.
constexpr size_t kAddressAtOnce = 200;
// The same while deliveries are under way: an answer takes some turns to be sent, had and noted, so that
// what takes long in each keeps all receivers waiting.
constexpr size_t kAddressBeside = 40;
constexpr int64_t kAddressUs = 20 * kMillisecond;
constexpr size_t kTellAtOnce = 500;
// So many outcomes are noted at once, or those of so long.
constexpr size_t kNoteAtOnce = 64;
constexpr int64_t kNoteUs = 20 * kMillisecond;
constexpr int64_t kNoteRetry = kSecond;
constexpr long kMaxRetryAfterS = 3600;
// A NOTIFY that failed is tried again after this time.
constexpr int64_t kListenersRetry = 5 * kSecond;
// So long a look at the health may take.
constexpr int kHealthMs = 5000;
constexpr int64_t kCountInterval = kSecond;
constexpr size_t kMaxErrorBytes = 500;
constexpr size_t kMaxNotifyBytes = 7900;  // of a payload, below NOTIFY's 8000

Statement address("SELECT a.outbox_id, a.channel, a.deliveries FROM fraud._address($1, $2, $3 * interval '1 microsecond') a",
                  {INT8ARRAYOID, TEXTARRAYOID, INT8OID});
Statement notify_listeners("SELECT fraud._notify_listeners($1)", {INT8ARRAYOID});
Statement look_at_health("SELECT fraud._notify_health()", {});

// Until the end of its life transactions do not wait for the disk at their commit, once told so. What is
// noted need not be there before the next thing is done: where it is lost in a crash the
// delivery is made again, with the same key. (The variable itself: a setting that is made within
// the owner's scope ends with it, before the commit.)
class CommitLater {
 public:
  explicit CommitLater(bool at_once) { if (at_once) begin(); }
  ~CommitLater() { synchronous_commit = was_; }
  CommitLater(const CommitLater&) = delete;
  CommitLater& operator=(const CommitLater&) = delete;
  void begin() { synchronous_commit = SYNCHRONOUS_COMMIT_OFF; }

 private:
  const int was_ = synchronous_commit;
};

SqlValue ids_param(const std::vector<int64_t>& ids) {
  Column column(INT8OID);
  for (int64_t id : ids) column.add(int8_param(id));
  return column.array();
}

class NotifyWorker {
 public:
  NotifyWorker() { current_ = this; }
  ~NotifyWorker() { current_ = nullptr; }
  NotifyWorker(const NotifyWorker&) = delete;
  NotifyWorker& operator=(const NotifyWorker&) = delete;

  // Ends the threads of mails, for an exit that unwinds nothing.
  static void stop_at_exit(int, Datum) noexcept {
    if (current_ != nullptr) current_->client_.stop_mails();
  }

  // Works until there is no extension any more.
  void run() {
    if (!begin()) return;
    for (;;) {
      begin_turn();
      leave_if_read_only();
      for (auto& [key, response] : client_.work()) finish(key, response);
      bool called = protect([] { return begin_look(MyDatabaseId, WorkerKind::kNotify); });
      start_ready();
      if (is_health_due()) {
        if (!look_at_the_health()) return;
        called = true;  // what it has to tell is addressed at once
      }
      if (!note_outcomes() || !look(called) || !tell_listeners()) return;
      start_ready();
      wait();
    }
  }

 private:
  bool begin() {
    protect([] { begin_look(MyDatabaseId, WorkerKind::kNotify); });
    return in_transaction("looking for messages", [&] {
      prefer_index_scans();
      Spi spi;
      begin_channels(spi);
      take_back(spi, {});
      hasten(spi);
    });
  }

  // ----------------------------------------------------------------- turns

  bool is_health_due() const { return guc_health_interval_s != 0 && GetCurrentTimestamp() >= health_due_; }

  // In a transaction of its own, and has told what has changed; false when the extension is gone. What goes
  // wrong with that delays no delivery: deliveries wait for it, so it is given up after a while, and looking takes a twentieth
  // of the time at most.
  bool look_at_the_health() {
    const TimestampTz start = GetCurrentTimestamp();
    bool present = true, too_long = false;
    try {
      present = in_transaction("looking at the health", [&] {
        TimeBound bound(kHealthMs);
        try {
          Spi spi;
          spi.run(look_at_health, {});
        } catch (...) {
          too_long = bound.stop();
          throw;
        }
      });
    } catch (const PgError& fault) {
      if (!too_long && !may_go_on(fault)) throw;
      protect([&] {
        ereport(LOG, too_long ? errmsg("could not look at the health within %d s", kHealthMs / 1000) : errmsg("could not look at the health: %s", fault.what()),
                too_long ? errhint("SELECT * FROM fraud.health() shows what it is that takes so long.") : 0);
      });
      forget(fault);
    }
    const TimestampTz end = GetCurrentTimestamp();
    health_due_ = std::max(start + guc_health_interval_s * kSecond, end + 19 * (end - start));
    return present;
  }

  // Addresses some new messages and takes deliveries that are due; false when the extension is
  // gone.
  bool look(bool called) {
    TimestampTz now = GetCurrentTimestamp();
    const bool all = now >= all_due_;
    if (!called && !all && now < look_due(now)) return true;
    std::vector<Delivery> by_notify;
    CommitLater later(false);
    bool present = in_transaction("looking for messages", [&] {
      prefer_index_scans();
      Spi spi;
      if (called || all) read_channels(spi, channels_);
      if (all) {
        for (auto& [name, channel] : channels_) {
          channel.look = true;
          channel.due_mark = DT_NOBEGIN;
        }
        all_due_ = now + kIdleInterval;
        take_back(spi, own());
      }
      outbox_.read(spi);
      give_back_held(spi, now);
      const bool addressed = address_some(spi);
      bool claimed_any = false;
      now = GetCurrentTimestamp();
      for (auto& [name, channel] : channels_) {
        if (!channel.look && (channel.due_at == 0 || channel.due_at > now)) continue;
        const int wanted = channel.wanted(guc_notify_concurrency, now);
        if (wanted == 0) continue;
        std::vector<Delivery> claimed = claim(spi, channel, wanted, now);
        claimed_any = claimed_any || !claimed.empty();
        for (Delivery& delivery : claimed) {
          if (channel.by_notify && delivery.fault.empty()) by_notify.push_back(std::move(delivery));
          else channel.ready.push_back(std::move(delivery));
        }
      }
      if (!addressed && !claimed_any) later.begin();
    });
    if (!present) return false;
    return notify_channels(std::move(by_notify));
  }

  // The deliveries that this worker is at.
  std::vector<int64_t> own() const {
    std::vector<int64_t> ids;
    for (const auto& [key, delivery] : under_way_) ids.push_back(delivery.id);
    for (const Outcome& outcome : outcomes_) ids.push_back(outcome.id);
    for (const auto& [name, channel] : channels_) {
      for (const Delivery& delivery : channel.ready) ids.push_back(delivery.id);
    }
    return ids;
  }

  // Gives back what was claimed of channels that are not to be sent to now.
  void give_back_held(Spi& spi, TimestampTz now) {
    std::vector<int64_t> ids;
    for (auto& [name, channel] : channels_) {
      if (channel.ready.empty() || !channel.holds(now)) continue;
      for (const Delivery& delivery : channel.ready) {
        ids.push_back(delivery.id);
        if (!channel.starts.empty()) channel.starts.pop_back();
      }
      channel.ready.clear();
      channel.look = true;
    }
    if (!ids.empty()) give_back(spi, ids);
  }

  bool address_some(Spi& spi) {
    const std::vector<int64_t> batch = outbox_.take_to_address(under_way_.empty() ? kAddressAtOnce : kAddressBeside);
    if (batch.empty()) return false;
    Column crowded(TEXTOID);
    for (auto& [name, channel] : channels_) {
      if (is_crowded(spi, channel)) crowded.add(text_param(name));
    }
    const uint64_t count = spi.run(address, {ids_param(batch), crowded.array(), int8_param(kAddressUs)});
    std::set<int64_t> done;
    bool unknown = false;
    for (uint64_t row = 0; row < count; ++row) {
      if (std::optional<int64_t> id = spi.integer(row, 1)) {
        done.insert(*id);
        continue;
      }
      auto found = channels_.find(*spi.text(row, 2));
      unknown = unknown || found == channels_.end();
      if (found == channels_.end()) continue;
      found->second.look = true;
      if (found->second.waiting >= 0) found->second.waiting += *spi.integer(row, 3);
    }
    // Added since the last look.
    if (unknown) read_channels(spi, channels_);
    outbox_.addressed(batch, done);
    return !done.empty();
  }

  // Tells whether so many wait for a channel that its alerts go together.
  static bool is_crowded(Spi& spi, Channel& channel) {
    const int64_t most = guc_notify_digest_above;
    if (most == 0) return false;
    const TimestampTz now = GetCurrentTimestamp();
    // Counted anew now and then, up to that number: people discard some, too.
    if (channel.waiting < 0 || (channel.waiting > most && now >= channel.counted_at + kCountInterval)) {
      channel.waiting = count_waiting(spi, channel, most + 1);
      channel.counted_at = now;
    }
    return channel.waiting > most;
  }

  // Notes how attempts went, many in one transaction; false when the extension is gone.
  bool note_outcomes() {
    if (outcomes_.empty()) return true;
    const TimestampTz now = GetCurrentTimestamp();
    const bool idle = under_way_.empty();
    if (now < note_due_ || (outcomes_.size() < kNoteAtOnce && !idle && now < first_outcome_ + kNoteUs)) return true;
    std::vector<Outcome> outcomes;
    outcomes.swap(outcomes_);
    CommitLater later(true);
    bool present = in_transaction("noting deliveries", [&] { note_in_transaction(outcomes); });
    // Those that somebody has locked.
    if (!outcomes_.empty()) note_due_ = now + kNoteRetry;
    return present;
  }

  void note_in_transaction(const std::vector<Outcome>& outcomes) {
    prefer_index_scans();
    Spi spi;
    const std::vector<Noted> noted = note(spi, outcomes);
    for (size_t i = 0; i < noted.size(); ++i) {
      const Outcome& outcome = outcomes[i];
      if (noted[i].kept) {
        outcomes_.push_back(outcome);
        continue;
      }
      auto found = channels_.find(outcome.channel);
      if (noted[i].next_attempt_at && found != channels_.end()) {
        TimestampTz& due = found->second.due_at;
        due = due != 0 ? std::min(due, *noted[i].next_attempt_at) : *noted[i].next_attempt_at;
      }
      if (noted[i].state == "dead") {
        protect([&] {
          ereport(LOG, (errmsg("channel \"%s\": notification %lld is given up: %s", outcome.channel.c_str(),
                               (long long)outcome.id, outcome.error.c_str())));
        });
      }
    }
    note_channels(spi, channels_);
  }

  // Sends some of what listeners of fraud_alerts have not heard of, in one transaction; false when
  // the extension is gone. A queue that is full, because of a listener that sits in a
  // transaction, delays this and nothing else.
  bool tell_listeners() {
    if (!outbox_.has_to_tell() || GetCurrentTimestamp() < listeners_due_) return true;
    std::vector<int64_t> batch;
    std::set<int64_t> done;
    try {
      bool present = in_transaction("notifying listeners", [&] {
        prefer_index_scans();
        Spi spi;
        batch = outbox_.take_to_tell(spi, kTellAtOnce);
        if (batch.empty()) return;
        const uint64_t count = spi.run(notify_listeners, {ids_param(batch)});
        for (uint64_t row = 0; row < count; ++row) done.insert(*spi.integer(row, 1));
      });
      if (!present) return false;
      outbox_.told(batch, done);
      // What could not be told is locked: not at once.
      listeners_due_ = done.size() < batch.size() ? GetCurrentTimestamp() + kSecond : 0;
      failed_to_tell_ = false;
    } catch (const PgError& fault) {
      if (!may_go_on(fault)) throw;
      if (!failed_to_tell_) {
        protect([&] { ereport(LOG, (errmsg("could not notify the listeners of fraud_alerts: %s", fault.what()))); });
      }
      failed_to_tell_ = true;
      forget(fault);
      outbox_.told(batch, {});
      listeners_due_ = GetCurrentTimestamp() + kListenersRetry;
    }
    return true;
  }

  // ------------------------------------------------------------ deliveries

  // Makes the deliveries to channels of kind notify: all of them in one transaction, which is
  // the delivery itself and its record. Where that fails, each is made by itself, so that one
  // that cannot be made keeps no other back. False when the extension is gone.
  bool notify_channels(std::vector<Delivery> deliveries) {
    if (deliveries.empty()) return true;
    std::string error;
    if (!notify_in_one(deliveries, 0, deliveries.size(), error)) return false;
    if (error.empty()) return true;
    for (size_t i = 0; i < deliveries.size(); ++i) {
      look_up();
      if (!notify_in_one(deliveries, i, 1, error)) return false;
      if (error.empty()) continue;
      Response response;
      response.error = error;
      const std::string key = std::to_string(deliveries[i].id);
      deliveries[i].started = Clock::now();
      ++channels_[deliveries[i].channel].under_way;
      under_way_[key] = std::move(deliveries[i]);
      finish(key, response);
    }
    return true;
  }

  bool notify_in_one(const std::vector<Delivery>& deliveries, size_t from, size_t count, std::string& error) {
    error.clear();
    // What is to be as it was, should it fail.
    std::map<std::string, Fare> before;
    for (const auto& [name, channel] : channels_) before[name] = channel;
    const size_t kept = outcomes_.size();
    try {
      return in_transaction("notifying", [&] {
        std::vector<Outcome> outcomes;
        for (size_t i = from; i < from + count; ++i) {
          const Delivery& delivery = deliveries[i];
          std::string body = notify_body(delivery.notification, guc_notify_payload == kNotifyFull, kMaxNotifyBytes);
          protect([&] { Async_Notify(delivery.target.c_str(), body.c_str()); });
          Outcome outcome;
          outcome.id = delivery.id;
          outcome.channel = delivery.channel;
          channels_[delivery.channel].note(outcome, GetCurrentTimestamp(), guc_max_retry_delay_s);
          outcomes.push_back(std::move(outcome));
        }
        note_in_transaction(outcomes);
      });
    } catch (const PgError& fault) {
      if (!may_go_on(fault)) throw;
      error = std::string("could not notify: ") + fault.what();
      forget(fault);
      for (auto& [name, fare] : before) static_cast<Fare&>(channels_[name]) = fare;
      outcomes_.resize(kept);
      return true;
    }
  }

  // Starts what was claimed, as far as there are places.
  void start_ready() {
    const TimestampTz now = GetCurrentTimestamp();
    for (auto& [name, channel] : channels_) {
      while (!channel.ready.empty() && !channel.holds(now) && channel.under_way < channel.places(guc_notify_concurrency)) {
        Delivery delivery = std::move(channel.ready.front());
        channel.ready.pop_front();
        start(channel, delivery);
      }
    }
  }

  void start(Channel& channel, Delivery& delivery) {
    std::string key = std::to_string(delivery.id);
    delivery.started = Clock::now();
    ++channel.under_way;
    auto* http = std::get_if<HttpRequest>(&delivery.request);
    auto* mail = std::get_if<MailRequest>(&delivery.request);
    if (http != nullptr) client_.start(key, *http);
    if (mail != nullptr) client_.start(key, *mail);
    delivery.request = {};
    bool sent = http != nullptr || mail != nullptr;
    Response response;
    response.error = delivery.fault;
    response.refused = !delivery.fault.empty();
    under_way_[key] = std::move(delivery);
    if (!sent) finish(key, response);
  }

  // Takes note of how an attempt went, to be written down with others.
  void finish(const std::string& key, const Response& response) {
    auto found = under_way_.find(key);
    if (found == under_way_.end()) return;
    const Delivery delivery = std::move(found->second);
    under_way_.erase(found);
    const bool http = delivery.channel_kind == "webhook";
    Outcome outcome;
    outcome.id = delivery.id;
    outcome.channel = delivery.channel;
    outcome.status = response.status;
    std::string error = response.error;
    if (error.empty() && http && (response.status < 200 || response.status > 299)) {
      error = "HTTP status " + std::to_string(response.status) + ", expected 2xx";
      if (!response.redirect_fault.empty()) error += "; " + response.redirect_fault;
      // The receiver is there, and does not like this one.
      outcome.of_message = response.status == 400 || response.status == 413 || response.status == 415 || response.status == 422;
    }
    error.resize(std::min(error.size(), kMaxErrorBytes));
    for (char& c : error) {
      if (static_cast<unsigned char>(c) >= 0x80 || static_cast<unsigned char>(c) < 0x20) c = '?';
    }
    outcome.what = error.empty() ? "delivered" : response.timed_out ? "timeout" : "failed";
    outcome.duration_us =
        std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - delivery.started).count();
    outcome.permanent = response.refused;
    outcome.of_message = outcome.of_message || response.refused;
    if (!error.empty() && response.retry_after_s && (response.status == 429 || response.status == 503)) {
      outcome.retry_after_s = std::min(*response.retry_after_s, kMaxRetryAfterS);
    }
    outcome.error = std::move(error);
    Channel& channel = channels_[delivery.channel];
    if (channel.under_way > 0) --channel.under_way;
    const TimestampTz now = GetCurrentTimestamp();
    channel.note(outcome, now, guc_max_retry_delay_s);
    if (outcomes_.empty()) first_outcome_ = now;
    outcomes_.push_back(std::move(outcome));
  }

  // ------------------------------------------------------------------ waits

  // When there is something to address or to take.
  TimestampTz look_due(TimestampTz now) {
    TimestampTz due = all_due_;
    if (outbox_.has_more_to_address()) return now;
    if (outbox_.due() != 0) due = std::min(due, outbox_.due());
    for (auto& [name, channel] : channels_) {
      if (channel.holds(now) && !channel.ready.empty()) return now;
      if (!channel.look && channel.due_at == 0) continue;
      // One that has no place is looked at when an attempt ends.
      const TimestampTz at = channel.look ? now : std::max(channel.due_at, now);
      if (channel.wanted(guc_notify_concurrency, now) > 0) due = std::min(due, at);
      else if (TimestampTz free = channel.free_at(now)) due = std::min(due, std::max(at, free));
    }
    return due;
  }

  void wait() {
    const TimestampTz now = GetCurrentTimestamp();
    TimestampTz due = look_due(now);
    if (outbox_.has_to_tell()) due = std::min(due, std::max(listeners_due_, now));
    if (!outcomes_.empty()) {
      const TimestampTz note = under_way_.empty() || outcomes_.size() >= kNoteAtOnce ? now : first_outcome_ + kNoteUs;
      due = std::min(due, std::max(note, note_due_));
    }
    if (guc_health_interval_s != 0) due = std::min(due, health_due_);
    long wait = static_cast<long>(std::clamp<int64_t>((due - now + 999) / 1000, 0, 60 * 1000));
    if (std::optional<long> timeout = client_.timeout_ms()) wait = std::min(wait, *timeout);
    int descriptor = client_.descriptor();
    protect([&] {
      note_wait(wait);
      (void)WaitLatchOrSocket(
          MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_SOCKET_READABLE | WL_EXIT_ON_PM_DEATH, descriptor,
          wait, PG_WAIT_EXTENSION);
      heed_signals();
    });
  }

  static inline NotifyWorker* current_ = nullptr;

  NetworkClient client_;
  Outbox outbox_;
  std::map<std::string, Channel> channels_;
  std::map<std::string, Delivery> under_way_;
  std::vector<Outcome> outcomes_;  // not yet noted
  TimestampTz first_outcome_ = 0, note_due_ = 0;
  TimestampTz all_due_ = 0;        // when all is looked at
  TimestampTz health_due_ = 0;     // when the health is looked at next
  TimestampTz listeners_due_ = 0;  // when a NOTIFY that failed is tried again
  bool failed_to_tell_ = false;
};

// Connects, works, and says so when there is nothing to work for.
void run(Oid database) {
  protect([&] {
    begin_worker();
    BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
    register_worker(database, WorkerKind::kNotify);
    before_shmem_exit(NotifyWorker::stop_at_exit, (Datum)0);
    pgstat_report_activity(STATE_IDLE, nullptr);
  });
  wait_while_read_only(database, WorkerKind::kNotify);
  {
    NotifyWorker worker;
    worker.run();
  }
  protect([&] { report_absent(database, WorkerKind::kNotify); });
}

}  // namespace

}  // namespace fraud::worker

void fraud_detect_notify_worker_main(Datum argument) {
  Oid database = DatumGetObjectId(argument);
  fraud::pg::guarded([&] { fraud::worker::run(database); });
}
