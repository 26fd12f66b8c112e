// The notify worker of one database: delivers the messages of fraud.outbox to the
// channels that take them, all on one descriptor.
//
// No transaction is open while a delivery is under way. An attempt is counted and
// committed before it is made, and how it went is noted in a transaction of its
// own, so a crash leaves an attempt to repeat, with the same idempotency key.
#include "core/payments/message.h"
#include "core/payments/payment_writer.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <variant>

#include "pg/server/boundary.h"
#include "pg/server/gucs.h"
#include "pg/server/shared_state.h"
#include "pg/server/spi.h"
#include "worker/network/network_client.h"
#include "worker/notify/delivery.h"
#include "worker/process.h"
#include "worker/read_only.h"
#include "worker/transaction.h"

extern "C" {
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

constexpr int64_t kMicrosPerSecond = 1000000;
// How often messages are looked for though nobody called: of a transaction that was
// prepared, say.
constexpr int64_t kIdleInterval = 60 * kMicrosPerSecond;
constexpr int32_t kDispatchBatch = 200;
constexpr int64_t kLeaseMargin = 60 * kMicrosPerSecond;
constexpr long kMaxRetryAfterS = 3600;
// A NOTIFY that failed is tried again after this time.
constexpr int64_t kListenersRetry = 5 * kMicrosPerSecond;
constexpr size_t kMaxErrorBytes = 500;
constexpr size_t kMaxNotifyBytes = 7900;  // of a payload, below NOTIFY's 8000

// ------------------------------------------------------------- statements

// Attempts that the last worker did not end are made again at once.
Statement reset_attempts("UPDATE fraud.notification_attempts a SET outcome = 'interrupted'"
                         " FROM fraud.notifications n WHERE n.state = 'sending'"
                         "  AND a.notification_id = n.notification_id AND a.outcome IS NULL",
                         {});
Statement reset_sending("UPDATE fraud.notifications SET state = 'pending',"
                        "  next_attempt_at = clock_timestamp() WHERE state = 'sending'",
                        {});
Statement dispatch("SELECT fraud._dispatch($1)", {INT4OID});
Statement notify_listeners("SELECT fraud._notify_listeners($1)", {INT4OID});
Statement look_at_health("SELECT fraud._notify_health()", {});
Statement claim("SELECT c.id, n.channel, n.recipient, n.kind, n.digest, n.messages,"
                "  n.idempotency_key, extract(epoch FROM n.created_at)::float8, ch.kind, ch.target,"
                "  ch.headers::text, ch.template::text, ch.secret, ch.smtp_url, ch.smtp_user,"
                "  ch.smtp_password, ch.sender, ch.starttls,"
                "  CASE WHEN ch.old_secret_until > clock_timestamp() THEN ch.old_secret END"
                " FROM fraud._claim_notifications($1, $2 * interval '1 microsecond', $3) c(id)"
                " JOIN fraud.notifications n ON n.notification_id = c.id"
                " JOIN fraud.channels ch ON ch.name = n.channel",
                {INT4OID, INT8OID, INT4OID});
Statement read_messages("SELECT o.kind, o.payload::text, o.subject, o.body_text, o.body_html"
                        " FROM fraud.notification_messages m JOIN fraud.outbox o USING (outbox_id)"
                        " WHERE m.notification_id = $1 ORDER BY m.outbox_id LIMIT $2",
                        {INT8OID, INT4OID});
Statement next_due("SELECT fraud._next_notification_at($1)", {INT4OID});
Statement end_attempt("SELECT fraud._end_attempt($1, $2, $3, $4, $5 * interval '1 microsecond', $6,"
                      "  $7 * interval '1 second', $8, $9 * interval '1 second')",
                      {INT8OID, TEXTOID, INT4OID, TEXTOID, INT8OID, BOOLOID, INT8OID, INT4OID,
                       INT4OID});

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
      bool ended = false;
      for (auto& [key, response] : client_.work()) {
        finish(key, response);
        ended = true;
      }
      if (!look(ended)) return;
      wait();
    }
  }

 private:
  bool begin() {
    protect([] { begin_look(MyDatabaseId, WorkerKind::kNotify); });
    return in_transaction("looking for messages", [&] {
      Spi spi;
      spi.run(reset_attempts, {});
      spi.run(reset_sending, {});
    });
  }

  // Addresses some new messages, takes the deliveries that are due and starts them; false
  // when the extension is gone.
  bool look(bool ended) {
    if (!beat()) return false;
    bool called = protect([] { return begin_look(MyDatabaseId, WorkerKind::kNotify); });
    if (!called && !ended && GetCurrentTimestamp() < next_due_) return true;
    if (!notify()) return false;
    std::vector<Delivery> claimed;
    bool present = in_transaction("looking for messages", [&] {
      Spi spi;
      spi.run(dispatch, {int4_param(kDispatchBatch)});
      const bool more = *spi.integer(0, 1) >= kDispatchBatch;
      claim_due(spi, claimed);
      spi.run(next_due, {int4_param(guc_notify_concurrency)});
      std::optional<Datum> due = spi.datum(0, 1);
      const TimestampTz now = GetCurrentTimestamp();
      next_due_ = now + kIdleInterval;
      if (due) next_due_ = std::min(next_due_, DatumGetTimestampTz(*due));
      if (listeners_due_ != 0) next_due_ = std::min(next_due_, listeners_due_);
      // What is under way is looked after between one batch and the next.
      if (more || more_to_tell_) next_due_ = now;
    });
    if (!present) return false;
    auto by_notify = std::stable_partition(claimed.begin(), claimed.end(), [](const Delivery& delivery) {
      return delivery.channel_kind != "notify" || !delivery.fault.empty();
    });
    notify_channels({std::make_move_iterator(by_notify), std::make_move_iterator(claimed.end())});
    claimed.erase(by_notify, claimed.end());
    for (Delivery& delivery : claimed) start(delivery);
    return true;
  }

  // Looks at the health when it is time to, in a transaction of its own, and has told what has changed; false when
  // the extension is gone. What goes wrong with that delays no delivery.
  bool beat() {
    const TimestampTz now = GetCurrentTimestamp();
    if (guc_health_interval_s == 0 || now < health_due_) return true;
    health_due_ = now + guc_health_interval_s * kMicrosPerSecond;
    try {
      if (!in_transaction("looking at the health", [&] {
            Spi spi;
            spi.run(look_at_health, {});
          })) {
        return false;
      }
    } catch (const PgError& fault) {
      if (!may_go_on(fault)) throw;
      protect([&] { ereport(LOG, (errmsg("could not look at the health: %s", fault.what()))); });
      forget(fault);
    }
    next_due_ = 0;  // what it has to tell is addressed at once
    return true;
  }

  // Sends some of what listeners of fraud_alerts have not heard of, in one transaction; false when
  // the extension is gone. A queue that is full, because of a listener that sits in a
  // transaction, delays this and nothing else.
  bool notify() {
    more_to_tell_ = false;
    if (GetCurrentTimestamp() < listeners_due_) return true;
    try {
      bool present = in_transaction("notifying listeners", [&] {
        Spi spi;
        spi.run(notify_listeners, {int4_param(kDispatchBatch)});
        more_to_tell_ = *spi.integer(0, 1) >= kDispatchBatch;
      });
      if (!present) return false;
      listeners_due_ = 0;
    } catch (const PgError& fault) {
      if (!may_go_on(fault)) throw;
      if (listeners_due_ == 0) {
        protect([&] { ereport(LOG, (errmsg("could not notify the listeners of fraud_alerts: %s", fault.what()))); });
      }
      forget(fault);
      listeners_due_ = GetCurrentTimestamp() + kListenersRetry;
    }
    return true;
  }

  // Makes the deliveries to channels of kind notify: all of them in one transaction, which is
  // the delivery itself and its record. Where that fails, each is made by itself, so that one
  // that cannot be made keeps no other back.
  void notify_channels(std::vector<Delivery> deliveries) {
    if (deliveries.empty() || notify_in_one(deliveries).empty()) return;
    for (Delivery& delivery : deliveries) {
      look_up();
      std::vector<Delivery> one = {delivery};
      Response response;
      response.error = notify_in_one(one);
      if (response.error.empty()) continue;
      std::string key = std::to_string(delivery.id);
      delivery.started = Clock::now();
      under_way_[key] = std::move(delivery);
      finish(key, response);
    }
  }

  // Returns why it could not be done, or an empty string.
  static std::string notify_in_one(const std::vector<Delivery>& deliveries) {
    try {
      in_transaction("notifying", [&] {
        Spi spi;
        for (const Delivery& delivery : deliveries) {
          std::string body = notify_body(delivery.notification, guc_notify_payload == kNotifyFull, kMaxNotifyBytes);
          protect([&] { Async_Notify(delivery.target.c_str(), body.c_str()); });
          note(spi, delivery, Response(), {}, 0);
        }
      });
      return {};
    } catch (const PgError& fault) {
      if (!may_go_on(fault)) throw;
      std::string error = std::string("could not notify: ") + fault.what();
      forget(fault);
      return error;
    }
  }

  void claim_due(Spi& spi, std::vector<Delivery>& claimed) {
    int64_t lease = int64_t{1000} * (guc_connect_timeout_ms + guc_notify_timeout_ms) + kLeaseMargin;
    uint64_t count = spi.run(claim, {int4_param(guc_notify_concurrency), int8_param(lease),
                                     int4_param(guc_notify_attempts)});
    auto text = [&](uint64_t row, int column) { return spi.text(row, column).value_or(""); };
    for (uint64_t row = 0; row < count; ++row) {
      Delivery delivery;
      delivery.id = *spi.integer(row, 1);
      delivery.channel = text(row, 2);
      delivery.recipient = text(row, 3);
      delivery.notification.kind = text(row, 4);
      delivery.notification.digest = DatumGetBool(*spi.datum(row, 5));
      delivery.notification.total = *spi.integer(row, 6);
      delivery.notification.id = text(row, 7);
      delivery.notification.created_at =
          format_time(static_cast<int64_t>(*spi.number(row, 8) * 1000) * 1000);
      delivery.channel_kind = text(row, 9);
      delivery.target = text(row, 10);
      delivery.headers = text(row, 11);
      delivery.json_template = text(row, 12);
      delivery.secret = text(row, 13);
      delivery.smtp_url = text(row, 14);
      delivery.smtp_user = text(row, 15);
      delivery.smtp_password = text(row, 16);
      delivery.sender = text(row, 17);
      delivery.starttls = DatumGetBool(*spi.datum(row, 18));
      delivery.old_secret = text(row, 19);
      claimed.push_back(std::move(delivery));
    }
    for (Delivery& delivery : claimed) {
      count = spi.run(read_messages, {int8_param(delivery.id), int4_param(guc_max_digest_messages)});
      for (uint64_t row = 0; row < count; ++row) {
        delivery.notification.messages.push_back(
            {text(row, 1), text(row, 2), text(row, 3), text(row, 4), text(row, 5)});
      }
      make_request(delivery);
    }
  }

  void start(Delivery& delivery) {
    std::string key = std::to_string(delivery.id);
    client_.cancel(key);  // its lease ran out, and it was claimed again
    delivery.started = Clock::now();
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

  // Notes how an attempt went.
  void finish(const std::string& key, const Response& response) {
    auto found = under_way_.find(key);
    if (found == under_way_.end()) return;
    Delivery delivery = std::move(found->second);
    under_way_.erase(found);
    bool http = delivery.channel_kind == "webhook";
    std::string error = response.error;
    if (error.empty() && http && (response.status < 200 || response.status > 299)) {
      error = "HTTP status " + std::to_string(response.status) + ", expected 2xx";
      if (!response.redirect_fault.empty()) error += "; " + response.redirect_fault;
    }
    error.resize(std::min(error.size(), kMaxErrorBytes));
    for (char& c : error) {
      if (static_cast<unsigned char>(c) >= 0x80 || static_cast<unsigned char>(c) < 0x20) c = '?';
    }
    int64_t duration =
        std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - delivery.started).count();
    std::string state;
    in_transaction("noting a delivery", [&] {
      Spi spi;
      state = note(spi, delivery, response, error, duration);
    });
    if (state == "dead") {
      protect([&] {
        ereport(LOG, (errmsg("channel \"%s\": notification %lld is given up: %s",
                             delivery.channel.c_str(), (long long)delivery.id, error.c_str())));
      });
    }
  }

  // Returns what became of the delivery.
  static std::string note(Spi& spi, const Delivery& delivery, const Response& response,
                          const std::string& error, int64_t duration) {
    const char* outcome = error.empty() ? "delivered" : response.timed_out ? "timeout" : "failed";
    bool wait = !error.empty() && response.retry_after_s &&
                (response.status == 429 || response.status == 503);
    spi.run(end_attempt,
            {int8_param(delivery.id), text_param(outcome),
             response.status != 0 ? int4_param(static_cast<int32_t>(response.status)) : null_param(),
             optional_text_param(error), int8_param(duration), bool_param(response.refused),
             wait ? int8_param(std::min(*response.retry_after_s, kMaxRetryAfterS)) : null_param(),
             int4_param(guc_notify_attempts), int4_param(guc_max_retry_delay_s)});
    return spi.text(0, 1).value_or("");
  }

  void wait() {
    const TimestampTz due = guc_health_interval_s != 0 ? std::min(next_due_, health_due_) : next_due_;
    int64_t until_due = (due - GetCurrentTimestamp()) / 1000 + 1;
    long wait = static_cast<long>(std::clamp<int64_t>(until_due, 0, 60 * 1000));
    if (std::optional<long> timeout = client_.timeout_ms()) wait = std::min(wait, *timeout);
    int descriptor = client_.descriptor();
    protect([&] {
      note_wait(wait);
      (void)WaitLatchOrSocket(
          MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_SOCKET_READABLE | WL_EXIT_ON_PM_DEATH, descriptor,
          wait, PG_WAIT_EXTENSION);
      CHECK_FOR_INTERRUPTS();
    });
  }

  static inline NotifyWorker* current_ = nullptr;

  NetworkClient client_;
  std::map<std::string, Delivery> under_way_;
  TimestampTz next_due_ = 0;
  TimestampTz health_due_ = 0;     // when the health is looked at next
  bool more_to_tell_ = false;      // listeners have more to hear
  TimestampTz listeners_due_ = 0;  // when a NOTIFY that failed is tried again; 0: none has
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
