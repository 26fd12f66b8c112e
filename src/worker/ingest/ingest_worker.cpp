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

#include <nlohmann/json.hpp>

#include <algorithm>
#include <deque>
#include <map>
#include <random>

#include "pg/payments/inbox.h"
#include "pg/payments/ingest.h"
#include "pg/server/boundary.h"
#include "pg/server/gucs.h"
#include "pg/server/owner_scope.h"
#include "pg/server/shared_state.h"
#include "pg/server/spi.h"
#include "worker/network/destination.h"
#include "worker/network/network_client.h"
#include "worker/process.h"
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

struct Source {
  std::string url;
  PaymentFormat format = PaymentFormat::kAuto;
  std::vector<std::string> headers;
  bool has_credentials = false;  // one of the headers may be
  Oid role = kUnknownRole;  // who added it: its card numbers count for him
  TimestampTz next_poll = 0;
  int failures = 0;  // in a row
};

// ------------------------------------------------------------- statements

// Polls that the last worker did not end are repeated at once.
Statement reset_polling("UPDATE fraud.source_state SET polling_since = NULL,"
                        "  next_poll_at = least(next_poll_at, clock_timestamp())"
                        " WHERE polling_since IS NOT NULL",
                        {});
// A source without a row of state came with a restored dump: it is not polled
// until somebody resumes it, for the copy of a database must not call on its own.
Statement read_sources("SELECT s.name, s.url, s.format, s.headers::text, t.next_poll_at,"
                       "  t.consecutive_failures, (SELECT r.oid::bigint FROM pg_roles r WHERE r.rolname = s.created_by)"
                       " FROM fraud.sources s JOIN fraud.source_state t ON t.name = s.name"
                       " WHERE NOT s.paused",
                       {});
// The next poll is due an interval after this one was; polls that were missed
// are not made up for.
Statement begin_poll("UPDATE fraud.source_state t SET polling_since = clock_timestamp(),"
                     "  last_poll_at = clock_timestamp(), polls = t.polls + 1,"
                     "  next_poll_at = CASE WHEN t.next_poll_at + s.poll_interval > clock_timestamp()"
                     "   THEN t.next_poll_at ELSE clock_timestamp() END + s.poll_interval"
                     " FROM fraud.sources s WHERE s.name = t.name AND t.name = $1"
                     " RETURNING t.next_poll_at",
                     {TEXTOID});
Statement end_poll("UPDATE fraud.source_state t SET polling_since = NULL,"
                   "  last_success_at = clock_timestamp(), last_status = $2, consecutive_failures = 0"
                   " WHERE t.name = $1",
                   {TEXTOID, INT4OID});
Statement fail_poll("UPDATE fraud.source_state t SET polling_since = NULL, last_status = $2,"
                    "  last_error = $3, last_error_at = clock_timestamp(),"
                    "  consecutive_failures = t.consecutive_failures + 1, failures = t.failures + 1,"
                    "  next_poll_at = clock_timestamp() + $4 * interval '1 microsecond'"
                    " WHERE t.name = $1 RETURNING t.next_poll_at",
                    {TEXTOID, INT4OID, TEXTOID, INT8OID});
// Sources that are new here (or resumed) get their row of notes, and what is left of those
// that are gone goes. These rows are the worker's alone: no person's transaction holds one.
Statement follow_sources("WITH asked AS (DELETE FROM fraud.poll_requests r USING (SELECT q.request_id FROM fraud.poll_requests q"
                         "  FOR UPDATE SKIP LOCKED) d WHERE r.request_id = d.request_id RETURNING r.name),"
                         " gone AS (DELETE FROM fraud.source_state t WHERE NOT EXISTS"
                         "  (SELECT FROM fraud.sources s WHERE s.name = t.name)),"
                         " uncounted AS (DELETE FROM fraud.source_counts c WHERE c.writer = -1 AND NOT EXISTS"
                         "  (SELECT FROM fraud.sources s WHERE s.name = c.source))"
                         " INSERT INTO fraud.source_state AS t (name) SELECT DISTINCT a.name FROM asked a"
                         "  JOIN fraud.sources s ON s.name = a.name"
                         " ON CONFLICT (name) DO UPDATE SET next_poll_at = clock_timestamp()",
                         {});
Statement note_alarm("SELECT fraud._note_of_cards($1, 'role', $2,"
                     "  jsonb_strip_nulls(jsonb_build_object('last_four', $3, 'since', $4)))",
                     {TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID});
// Only where payments are: while a dump is restored, its partitions come first.
Statement ensure_partitions("SELECT fraud._ensure_partition(now() + m * interval '1 month')"
                            " FROM generate_series(0, 1) m"
                            " WHERE EXISTS (SELECT FROM fraud.payment_keys)",
                            {});

// ------------------------------------------------------------------ errors

// An answer that is being kept, piece by piece.
struct Answer {
  std::string source;
  Oid role = kUnknownRole;  // who added the source
  Response response;
  PaymentBatch batch;
  size_t kept = 0;  // payments
};

constexpr size_t kPiece = 10000;  // payments kept in one commit
constexpr int kReceiver = -1;     // the writer of our counts

class IngestWorker {
 public:
  // Works until there is no extension any more.
  void run() {
    if (!begin()) return;
    for (;;) {
      begin_turn();
      for (auto& [name, response] : http_.work()) arrived_.emplace_back(name, std::move(response));
      while (!arrived_.empty()) {
        auto [name, response] = std::move(arrived_.front());
        arrived_.pop_front();
        finish(name, std::move(response));
      }
      if (is_gone_ || !look()) return;
      if (answers_.empty()) {
        wait();
      } else {
        keep_piece();
      }
    }
  }

 private:
  bool begin() {
    protect([] { begin_look(MyDatabaseId, WorkerKind::kIngest); });
    return in_transaction("looking at the sources", [&] {
      Spi spi;
      spi.run(reset_polling, {});
    });
  }

  // Starts the polls that are due; false when the extension is gone. The tables
  // are read when somebody called, or when a poll is due.
  bool look() {
    TimestampTz now = GetCurrentTimestamp();
    bool called = protect([] { return begin_look(MyDatabaseId, WorkerKind::kIngest); });
    if (!called && now < next_due()) return true;
    if (!note_number_alarms()) return false;
    std::vector<std::string> due;
    bool present = in_transaction("looking at the sources", [&] {
      Spi spi;
      if (now >= next_upkeep_) {
        spi.run(ensure_partitions, {});
        next_upkeep_ = now + kUpkeepInterval;
      }
      training_.look(spi);
      spi.run(follow_sources, {});
      read(spi);
      for (auto& [name, source] : sources_) {
        if (source.next_poll > now || http_.busy(name) || being_kept(name)) continue;
        if (spi.run(begin_poll, {text_param(name)}) != 1) continue;
        source.next_poll = DatumGetTimestampTz(*spi.datum(0, 1));
        due.push_back(name);
      }
    });
    if (!present) return false;
    protect([] { report_present(MyDatabaseId); });
    for (const std::string& name : due) http_.start(name, request(sources_[name]));
    return true;
  }

  // Writes down who tries card numbers, in a transaction that nobody else can undo;
  // false when the extension is gone.
  bool note_number_alarms() {
    NumberAlarm alarms[kNumberAlarms];
    int count = protect([&] { return list_number_alarms(alarms); });
    bool fresh = false;
    for (int i = 0; i < count; ++i) fresh = fresh || !alarms[i].noted;
    if (!fresh) return true;
    bool present = in_transaction("noting who tries card numbers", [&] {
      Spi spi;
      for (int i = 0; i < count; ++i) {
        if (alarms[i].noted) continue;
        const char* role = protect([&] { return GetUserNameFromId(alarms[i].role, true); });
        spi.run(note_alarm, {text_param(alarms[i].kind == 'l' ? "limit" : "warn"),
                             role != nullptr ? text_param(role) : null_param(),
                             optional_text_param(alarms[i].last_four), time_param(alarms[i].first_at)});
      }
    });
    if (!present) return false;
    for (int i = 0; i < count; ++i) protect([&] { number_alarm_noted(alarms[i]); });
    return true;
  }

  void read(Spi& spi) {
    std::map<std::string, Source> found;
    uint64_t count = spi.run(read_sources, {});
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
      if (std::optional<int64_t> role = spi.integer(row, 7)) source.role = static_cast<Oid>(*role);
      found[*spi.text(row, 1)] = std::move(source);
    }
    for (const auto& [name, source] : sources_) {
      auto now = found.find(name);
      // Dropped, paused, or another now of the same name: the answer is not wanted.
      if (now == found.end() || now->second.url != source.url) http_.cancel(name);
    }
    sources_ = std::move(found);
  }

  static HttpRequest request(const Source& source) {
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

  // ------------------------------------------------------------- answers

  // Takes in what came, or notes why nothing did.
  void finish(const std::string& name, Response&& response) {
    std::string error = response.error;
    if (error.empty() && response.status != 200) {
      error = "HTTP status " + std::to_string(response.status) + ", expected 200";
      if (!response.redirect_fault.empty()) error += "; " + response.redirect_fault;
    }
    if (!error.empty()) {
      fail(name, response, error);
      return;
    }
    PaymentFormat format = PaymentFormat::kAuto;
    auto source = sources_.find(name);
    Answer answer;
    answer.source = name;
    if (source != sources_.end()) {
      format = source->second.format;
      answer.role = source->second.role;
    }
    try {
      reading_ = name;
      answer.batch = read_payments(response.body, format, [&] { give_way(); });
      // Payments before the break are kept; the poll is one that failed.
      if (answer.batch.fault) response.error = answer.batch.fault->what();
    } catch (const Error& fault) {
      std::string reason = fault.what();
      if (!response.content_type.empty()) {
        reason += " (content type " + redact(response.content_type, "").substr(0, 80) + ")";
      }
      RejectedPayment whole;
      // A little of it: what it is can be seen, and no more of a host that was not meant.
      whole.payload = redact_broken(response.body, kMaxShownBytes);
      whole.payload_size = response.body.size();
      whole.reason = reason;
      answer.batch.rejected.push_back(whole);
      response.error = reason;
    }
    reading_.clear();
    answer.response = std::move(response);
    answer.response.body.clear();
    answer.response.body.shrink_to_fit();
    answers_.push_back(std::move(answer));
    keep_piece();
  }

  // While a large answer is read: heeds signals, serves the network and starts other polls.
  void give_way() {
    protect([] {
      CHECK_FOR_INTERRUPTS();
      if (!PostmasterIsAlive()) proc_exit(1);
    });
    for (auto& [name, response] : http_.work()) arrived_.emplace_back(name, std::move(response));
    is_gone_ = is_gone_ || !look();
  }

  // True while an answer of the source is read, waits to be, or is kept.
  bool being_kept(const std::string& name) const {
    if (name == reading_) return true;
    for (const auto& [source, response] : arrived_) {
      if (source == name) return true;
    }
    return std::any_of(answers_.begin(), answers_.end(),
                       [&](const Answer& answer) { return answer.source == name; });
  }

  // Keeps the next piece of the answer whose turn it is; sources take turns.
  void keep_piece() {
    Answer answer = std::move(answers_.front());
    answers_.pop_front();
    const size_t total = answer.batch.payments.size();
    const size_t end = std::min(answer.kept + kPiece, total);
    PaymentBatch piece;
    auto payments = answer.batch.payments.begin();
    piece.payments.assign(std::make_move_iterator(payments + static_cast<std::ptrdiff_t>(answer.kept)),
                          std::make_move_iterator(payments + static_cast<std::ptrdiff_t>(end)));
    if (end == total) piece.rejected = std::move(answer.batch.rejected);
    try {
      keep(answer, piece, end == total);
    } catch (const PgError& fault) {
      if (!may_go_on(fault)) throw;
      std::string error = std::string("could not keep payments: ") + fault.what();
      forget(fault);
      fail(answer.source, answer.response, error);
      return;
    } catch (const SqlError& fault) {
      fail(answer.source, answer.response, std::string("could not keep payments: ") + fault.what());
      return;
    }
    answer.kept = end;
    if (end < total) {
      answers_.push_back(std::move(answer));
    } else if (!answer.response.error.empty()) {
      fail(answer.source, answer.response, answer.response.error);
    }
  }

  // Commits a piece, and with the last one the end of its poll. Dead letters whose row
  // another session has locked are kept beside it.
  void keep(const Answer& answer, PaymentBatch& piece, bool last) {
    for (const bool apart : {false, true}) {
      try {
        in_transaction("keeping payments", [&] {
          begin_scoring();
          SourceCounts counts = receive(piece, answer.source, answer.role, apart);
          Spi spi;
          count_payments(spi, answer.source, kReceiver, counts);
          if (last && answer.response.error.empty()) {
            spi.run(end_poll, {text_param(answer.source), int4_param(static_cast<int32_t>(answer.response.status))});
          }
          protect([] { wake_scorers_at_commit(); });
        });
        break;
      } catch (const PgError& fault) {
        if (apart || fault.data()->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE) throw;
        forget(fault);
      }
    }
    auto source = sources_.find(answer.source);
    if (last && answer.response.error.empty() && source != sources_.end()) source->second.failures = 0;
  }

  // Notes a poll that failed and when it is tried again: after one second, two,
  // four, … up to fraud_detect.max_retry_delay, a fifth more or less, and not
  // before the server wants.
  void fail(const std::string& name, const Response& response, const std::string& fault) {
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
    if (failures == 0) {
      protect([&] {
        ereport(LOG, (errmsg("source \"%s\": poll failed: %s", name.c_str(), error.c_str())));
      });
    }
    std::string valid = error.substr(0, kMaxErrorBytes);
    for (char& c : valid) {
      if (static_cast<unsigned char>(c) >= 0x80 || static_cast<unsigned char>(c) < 0x20) c = '?';
    }
    in_transaction("noting a failed poll", [&] {
      Spi spi;
      bool answered = response.status != 0;
      uint64_t count = spi.run(
          fail_poll,
          {text_param(name),
           answered ? int4_param(static_cast<int32_t>(response.status)) : null_param(),
           text_param(valid), int8_param(delay)});
      if (count == 1) source->second.next_poll = DatumGetTimestampTz(*spi.datum(0, 1));
    });
  }

  // ---------------------------------------------------------------- waiting

  TimestampTz next_due() const {
    TimestampTz due = std::min(next_upkeep_, training_.next_look());
    for (const auto& [name, source] : sources_) {
      if (!http_.busy(name)) due = std::min(due, source.next_poll);
    }
    return due;
  }

  void wait() {
    int64_t until_due = (next_due() - GetCurrentTimestamp()) / 1000 + 1;
    long wait = static_cast<long>(std::clamp<int64_t>(until_due, 0, 3600 * 1000));
    if (std::optional<long> timeout = http_.timeout_ms()) wait = std::min(wait, *timeout);
    int descriptor = http_.descriptor();
    protect([&] {
      (void)WaitLatchOrSocket(
          MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_SOCKET_READABLE | WL_EXIT_ON_PM_DEATH, descriptor,
          wait, PG_WAIT_EXTENSION);
      CHECK_FOR_INTERRUPTS();
    });
  }

  NetworkClient http_;
  TrainingQueue training_;
  std::map<std::string, Source> sources_;
  std::deque<std::pair<std::string, Response>> arrived_;  // and not read yet
  std::string reading_;   // the source whose answer is read
  bool is_gone_ = false;  // the extension
  std::deque<Answer> answers_;
  TimestampTz next_upkeep_ = 0;
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
