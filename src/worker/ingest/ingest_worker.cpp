// The ingest worker of one database: polls its sources, all on one descriptor,
// and stores what comes.
//
// No transaction is open while a request runs. A poll is noted as begun before
// it is made and as ended in the transaction that stores its last payments, so a
// crash leaves a poll to repeat; payments are stored once however often they come.
#include "core/payments/forbidden_fields.h"
#include "core/payments/payment.h"
#include "core/payments/payment_writer.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <random>

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
#include "storage/latch.h"

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
                   "  last_success_at = clock_timestamp(), last_status = $2,"
                   "  consecutive_failures = 0, stored = t.stored + $3,"
                   "  duplicates = t.duplicates + $4, rejected = t.rejected + $5,"
                   "  newest_payment_at = greatest(t.newest_payment_at, $6)"
                   " WHERE t.name = $1",
                   {TEXTOID, INT4OID, INT8OID, INT8OID, INT8OID, TIMESTAMPTZOID});
Statement fail_poll("UPDATE fraud.source_state t SET polling_since = NULL, last_status = $2,"
                    "  last_error = $3, last_error_at = clock_timestamp(),"
                    "  consecutive_failures = t.consecutive_failures + 1,"
                    "  failures = t.failures + 1, stored = t.stored + $5,"
                    "  duplicates = t.duplicates + $6, rejected = t.rejected + $7,"
                    "  newest_payment_at = greatest(t.newest_payment_at, $8),"
                    "  next_poll_at = clock_timestamp() + $4 * interval '1 microsecond'"
                    " WHERE t.name = $1 RETURNING t.next_poll_at",
                    {TEXTOID, INT4OID, TEXTOID, INT8OID, INT8OID, INT8OID, INT8OID,
                     TIMESTAMPTZOID});
Statement note_alarm("SELECT fraud._note_of_cards($1, 'role', $2,"
                     "  jsonb_strip_nulls(jsonb_build_object('last_four', $3, 'since', $4)))",
                     {TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID});
// Only where payments are: while a dump is restored, its partitions come first.
Statement ensure_partitions("SELECT fraud._ensure_partition(now() + m * interval '1 month')"
                            " FROM generate_series(0, 1) m"
                            " WHERE EXISTS (SELECT FROM fraud.payment_keys)",
                            {});

// ------------------------------------------------------------------ errors

// Tells whether an error is the payment's own: bad data, not a sick server. (A
// check violation is also what a missing partition gives.)
bool is_data_error(const PgError& error) {
  int category = ERRCODE_TO_CATEGORY(error.data()->sqlerrcode);
  return error.data()->sqlerrcode != ERRCODE_CHECK_VIOLATION &&
         (category == ERRCODE_DATA_EXCEPTION ||
          category == ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION);
}

struct PollCounts {
  int64_t stored = 0, duplicates = 0, rejected = 0;
  TimestampTz newest = DT_NOBEGIN;

  void add(const IngestCounts& counts) {
    stored += counts.stored;
    duplicates += counts.duplicates;
    rejected += counts.rejected;
    newest = std::max(newest, counts.newest);
  }
  SqlValue newest_param() const { return newest == DT_NOBEGIN ? null_param() : time_param(newest); }
};

class IngestWorker {
 public:
  // Works until there is no extension any more.
  void run() {
    if (!begin()) return;
    for (;;) {
      begin_turn();
      for (auto& [name, response] : http_.work()) finish(name, response);
      if (!look()) return;
      wait();
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
      read(spi);
      for (auto& [name, source] : sources_) {
        if (source.next_poll > now || http_.busy(name)) continue;
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

  // Stores what came, or notes why nothing did.
  void finish(const std::string& name, const Response& response) {
    PollCounts counts;
    std::string error = response.error;
    if (error.empty() && response.status != 200) {
      error = "HTTP status " + std::to_string(response.status) + ", expected 200";
      if (!response.redirect_fault.empty()) error += "; " + response.redirect_fault;
    }
    try {
      if (error.empty()) error = store(name, response, counts);
    } catch (const PgError& fault) {
      if (!may_go_on(fault)) throw;
      error = std::string("could not store payments: ") + fault.what();
      forget(fault);
    } catch (const SqlError& fault) {
      error = std::string("could not store payments: ") + fault.what();
    }
    if (!error.empty()) fail(name, response, error, counts);
  }

  // Returns why the poll failed, or an empty string.
  std::string store(const std::string& name, const Response& response, PollCounts& counts) {
    PaymentFormat format = PaymentFormat::kAuto;
    IngestOptions options;
    options.source = name;
    options.label_source = "payload";
    options.role = kUnknownRole;
    auto source = sources_.find(name);
    if (source != sources_.end()) {
      format = source->second.format;
      options.role = source->second.role;
    }
    PaymentBatch batch;
    try {
      batch = read_payments(response.body, format);
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
      in_transaction("storing payments", [&] { dead_letter(options, whole); });
      counts.rejected += 1;
      return reason;
    }
    size_t step = static_cast<size_t>(guc_ingest_batch_size);
    size_t total = batch.payments.size();
    for (size_t begin = 0; begin == 0 || begin < total; begin += step) {
      PaymentBatch part;
      size_t end = std::min(begin + step, total);
      part.payments.assign(batch.payments.begin() + static_cast<std::ptrdiff_t>(begin),
                           batch.payments.begin() + static_cast<std::ptrdiff_t>(end));
      bool last = end == total;
      if (last) part.rejected = std::move(batch.rejected);
      store_part(name, part, options, last, response, counts);
      protect([] { CHECK_FOR_INTERRUPTS(); });
    }
    return {};
  }

  void store_part(const std::string& name, PaymentBatch& part, const IngestOptions& options,
                  bool last, const Response& response, PollCounts& counts) {
    auto attempt = [&](PaymentBatch& payments, bool ends_poll) {
      PollCounts sum = counts;
      in_transaction("storing payments", [&] {
        sum.add(ingest(payments, options, nullptr));
        if (ends_poll) succeed(name, response, sum);
      });
      counts = sum;
    };
    try {
      attempt(part, last);
      return;
    } catch (const PgError& fault) {
      if (!is_data_error(fault)) throw;
      forget(fault);
    }
    // One payment of the batch cannot be stored: store them one by one.
    for (const Payment& payment : part.payments) {
      PaymentBatch one;
      one.payments.push_back(payment);
      const Payment& refused = one.payments.front();
      try {
        attempt(one, false);
      } catch (const PgError& fault) {
        if (!is_data_error(fault)) throw;
        RejectedPayment rejected;
        // Postgres quotes values.
        rejected.reason = redact(fault.what(), refused.card_number);
        forget(fault);
        rejected.transaction_id = refused.transaction_id;
        rejected.card_number = refused.card_number;
        rejected.payload = payment_to_json(refused, "card", refused.card_token);
        in_transaction("storing payments", [&] { dead_letter(options, rejected); });
        counts.rejected += 1;
      }
    }
    PaymentBatch rest;
    rest.rejected = std::move(part.rejected);
    attempt(rest, last);
  }

  // Notes a poll that went well, in the transaction that stores its payments.
  void succeed(const std::string& name, const Response& response, const PollCounts& counts) {
    Spi spi;
    spi.run(end_poll, {text_param(name), int4_param(static_cast<int32_t>(response.status)),
                       int8_param(counts.stored), int8_param(counts.duplicates),
                       int8_param(counts.rejected), counts.newest_param()});
    auto source = sources_.find(name);
    if (source != sources_.end()) source->second.failures = 0;
  }

  // Notes a poll that failed and when it is tried again: after one second, two,
  // four, … up to fraud_detect.max_retry_delay, a fifth more or less, and not
  // before the server wants.
  void fail(const std::string& name, const Response& response, const std::string& fault,
            const PollCounts& counts) {
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
           text_param(valid), int8_param(delay), int8_param(counts.stored),
           int8_param(counts.duplicates), int8_param(counts.rejected), counts.newest_param()});
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
