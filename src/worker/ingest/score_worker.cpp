// A scorer: takes payments out of the inbox, in the commit that stores them.
//
// Each scorer has shards of customers of its own, so a customer's payments have one
// reader and stay in order. A batch is what takes about kBatchUs, so that nobody waits
// long for the locks that it holds. Nothing that it does waits for a person: customers
// whose row another session has locked are held at once, and a batch that meets another
// lock is done again payment by payment, so that the culprit alone is held. What cannot
// be stored for another reason is a dead letter, by itself.
#include "core/payments/forbidden_fields.h"

#include "pg/payments/inbox.h"

#include <algorithm>
#include <chrono>
#include <set>

#include "pg/payments/card.h"
#include "pg/server/boundary.h"
#include "pg/server/gucs.h"
#include "pg/server/shared_state.h"
#include "worker/process.h"
#include "worker/transaction.h"

extern "C" {
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/latch.h"

PGDLLEXPORT void fraud_detect_score_worker_main(Datum argument);
}

namespace fraud::worker {

using namespace fraud::pg;

namespace {

constexpr int64_t kMillisecond = 1000;
constexpr int64_t kSecond = 1000 * kMillisecond;
constexpr int64_t kBatchUs = 50 * kMillisecond;
// Rows that came back to before the position (fraud.retry_dead_letters) are found then.
constexpr int64_t kRescanUs = 10 * kSecond;
constexpr int64_t kMerchantRetryUs = kSecond;
constexpr int kHeldAtOnce = 20;
constexpr int kMerchantsAtOnce = 1000;
constexpr int kUnclearAttempts = 10;

// What an error says of what is to be done with the payment that met it.
enum class Fault {
  kItsOwn,   // the payment's: it is rejected
  kSystems,  // nothing that rejecting payments would mend: tried again until it goes
  kUnclear,  // tried again some times
};

Fault fault_of(int sqlstate) {
  switch (ERRCODE_TO_CATEGORY(sqlstate)) {
    case ERRCODE_TRANSACTION_ROLLBACK:  // deadlock, serialization
    case ERRCODE_INTERNAL_ERROR:
      return Fault::kUnclear;
    case ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE:  // a lock, a model without features
    case ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION:
    case ERRCODE_INSUFFICIENT_RESOURCES:
    case ERRCODE_SYSTEM_ERROR:
    case ERRCODE_INVALID_TRANSACTION_STATE:
      return Fault::kSystems;
    default:
      return Fault::kItsOwn;
  }
}

class Scorer {
 public:
  explicit Scorer(int number) : number_(number) {}

  // Works until there is no extension any more, or fewer scorers are wanted.
  void run() {
    for (;;) {
      begin_turn();
      if (number_ >= guc_ingest_workers) return;
      protect([&] {
        const uint64_t mine = take_shards(MyDatabaseId, number_, guc_ingest_workers);
        if (mine != shards_.to_ullong()) position_ = 0;
        shards_ = Shards(mine);
        (void)begin_look(MyDatabaseId, scorer_kind(number_));
      });
      bool more = false;
      if (!turn(&more)) return;
      if (!more) wait();
    }
  }

 private:
  // One batch; false when the extension is gone. Sets `more` when there may be another.
  bool turn(bool* more) {
    const TimestampTz now = GetCurrentTimestamp();
    if (now >= rescan_at_) {
      position_ = 0;
      rescan_at_ = now + kRescanUs;
    }
    std::vector<InboxRow> rows;
    bool present = false;
    try {
      const auto start = std::chrono::steady_clock::now();
      present = score_batch(rows);
      adapt(rows.size(), std::chrono::steady_clock::now() - start);
    } catch (const PgError& error) {
      if (!may_go_on(error) || rows.empty()) throw;
      forget(error);
      present = one_by_one(rows);
    } catch (const SqlError&) {
      if (rows.empty()) throw;
      present = one_by_one(rows);
    }
    if (!present) return false;
    if (!rows.empty()) position_ = rows.back().id;
    *more = static_cast<int>(rows.size()) == read_;
    try_held();
    make_queued_merchants();
    return true;
  }

  // Scores the next rows in one transaction, but for customers that are locked.
  bool score_batch(std::vector<InboxRow>& rows) {
    return in_transaction("scoring payments", [&] {
      begin_scoring();
      {
        Spi spi;
        read_ = batch_;
        rows = read_inbox(spi, position_, shards_, batch_);
        next_held_ = next_due_customer(spi, shards_);
      }
      std::vector<InboxRow> free = rows;
      leave_out_locked(free);
      score(free, number_);
    });
  }

  // Holds those of the rows' customers whose row is locked, or whose payment is of a month that
  // is not there yet, and leaves them out.
  void leave_out_locked(std::vector<InboxRow>& rows) {
    if (rows.empty()) return;
    Spi spi;
    auto leave_out = [&](const CardId& card) {
      rows.erase(std::remove_if(rows.begin(), rows.end(), [&](const InboxRow& row) { return row.card == card; }), rows.end());
    };
    // A month of its own is made by another worker.
    auto without_month = [](const InboxRow& row) { return !has_month(row.occurred_at); };
    for (auto row = rows.begin(); (row = std::find_if(rows.begin(), rows.end(), without_month)) != rows.end();) {
      next_held_ = std::min(next_held_, GetCurrentTimestamp() + 100 * kMillisecond);
      hold_for_month(spi, row->card, row->occurred_at);
      const CardId card = row->card;
      leave_out(card);
    }
    if (rows.empty()) return;
    for (const CardId& card : lock_customers(spi, rows)) {
      hold_now(spi, card, "another session has locked the customer's row");
      leave_out(card);
    }
  }

  // Returns how often the customer has been tried.
  int64_t hold_now(Spi& spi, const CardId& card, const std::string& reason) {
    next_held_ = std::min(next_held_, GetCurrentTimestamp() + 100 * kMillisecond);
    return hold(spi, card, reason);
  }

  // As score_batch, a payment a transaction: what fails is held or rejected by itself.
  bool one_by_one(const std::vector<InboxRow>& rows) {
    std::set<CardId> held;
    for (const InboxRow& row : rows) {
      begin_turn();
      if (held.count(row.card) != 0) continue;
      bool free = true;
      if (!score_one(row, &free)) return false;
      if (!free) held.insert(row.card);
    }
    return true;
  }

  // Stores one payment, or holds its customer, or rejects it. Returns false when the
  // extension is gone; `free` tells whether the customer's next payment may follow.
  bool score_one(const InboxRow& row, bool* free) {
    std::string reason;
    int sqlstate = ERRCODE_INTERNAL_ERROR;
    try {
      return in_transaction("scoring a payment", [&] {
        begin_scoring();
        std::vector<InboxRow> one{row};
        leave_out_locked(one);
        *free = !one.empty();
        score(one, number_);
      });
    } catch (const PgError& error) {
      if (!may_go_on(error)) throw;
      reason = redact(error.what(), "");  // Postgres quotes values
      sqlstate = error.data()->sqlerrcode;
      forget(error);
    } catch (const SqlError& error) {
      reason = error.what();
      sqlstate = error.sqlstate();
    } catch (const Error& error) {
      reason = error.what();
      sqlstate = ERRCODE_DATA_EXCEPTION;
    }
    const Fault fault = fault_of(sqlstate);
    if (fault != Fault::kItsOwn) {
      int64_t attempts = 0;
      const bool present = in_transaction("holding a customer", [&] {
        Spi spi;
        attempts = hold_now(spi, row.card, reason);
      });
      *free = false;
      if (!present || fault == Fault::kSystems || attempts <= kUnclearAttempts) return present;
    }
    return reject_one(row, reason);
  }

  // A feed repeats what was rejected, and so does the dead letter's row count it; where
  // another session has locked that row, the dead letter is kept beside it.
  bool reject_one(const InboxRow& row, const std::string& reason) {
    for (const bool apart : {false, true}) {
      try {
        return in_transaction("rejecting a payment", [&] {
          begin_scoring();
          reject(row, reason, number_, apart);
        });
      } catch (const PgError& error) {
        if (apart || error.data()->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE) throw;
        forget(error);
      }
    }
    return true;
  }

  // Tries the customers that were held, one after the other.
  void try_held() {
    if (GetCurrentTimestamp() < next_held_) return;
    std::vector<CardId> due;
    (void)in_transaction("looking at held customers", [&] {
      Spi spi;
      due = due_customers(spi, shards_, kHeldAtOnce);
    });
    for (const CardId& card : due) {
      begin_turn();
      std::vector<InboxRow> rows;
      bool locked = false;
      try {
        (void)in_transaction("scoring payments of a held customer", [&] {
          begin_scoring();
          {
            Spi spi;
            rows = read_customer(spi, card, batch_);
          }
          std::vector<InboxRow> free = rows;
          leave_out_locked(free);
          locked = free.size() < rows.size();
          score(free, number_);
          Spi spi;
          if (!locked) release(spi, card);
        });
      } catch (const PgError& error) {
        if (!may_go_on(error)) throw;
        forget(error);
        (void)one_by_one(rows);
        let_go(card);
      } catch (const SqlError&) {
        (void)one_by_one(rows);
        let_go(card);
      }
    }
    (void)in_transaction("looking at held customers", [&] {
      Spi spi;
      next_held_ = next_due_customer(spi, shards_);
    });
  }

  void let_go(const CardId& card) {
    (void)in_transaction("scoring payments of a held customer", [&] {
      Spi spi;
      release(spi, card);
    });
  }

  // Makes the rows of new merchants; one that is locked is tried again later.
  void make_queued_merchants() {
    const TimestampTz now = GetCurrentTimestamp();
    if (now < merchants_at_) return;
    try {
      (void)in_transaction("adding merchants", [&] {
        begin_scoring();
        Spi spi;
        make_merchants(spi, kMerchantsAtOnce);
      });
      return;
    } catch (const PgError& error) {
      if (!may_go_on(error)) throw;
      forget(error);
    }
    std::vector<int64_t> ids;
    (void)in_transaction("adding merchants", [&] {
      Spi spi;
      ids = merchants_to_make(spi, kMerchantsAtOnce);
    });
    int locked = 0;
    for (int64_t id : ids) {
      begin_turn();
      if (locked == 4) break;  // a fifth of a second is enough for those of others
      try {
        (void)in_transaction("adding a merchant", [&] {
          begin_scoring();
          Spi spi;
          make_merchant(spi, id);
        });
      } catch (const PgError& error) {
        if (!may_go_on(error)) throw;
        forget(error);
        ++locked;
      }
    }
    merchants_at_ = now + kMerchantRetryUs;
  }

  // So many payments that a batch takes about kBatchUs.
  void adapt(size_t rows, std::chrono::steady_clock::duration took) {
    if (rows == 0) return;
    const double us = std::max(1.0, std::chrono::duration<double, std::micro>(took).count());
    const double fitting = static_cast<double>(rows) * static_cast<double>(kBatchUs) / us;
    const double grown = std::min(fitting, 2.0 * batch_);
    if (fitting < batch_ || static_cast<int>(rows) == batch_) {
      batch_ = std::clamp(static_cast<int>(grown), 1, guc_ingest_batch_size);
    }
  }

  void wait() {
    const TimestampTz until = std::min({next_held_, rescan_at_, merchants_at_ == 0 ? DT_NOEND : merchants_at_});
    const long ms = static_cast<long>(std::clamp<int64_t>((until - GetCurrentTimestamp()) / 1000 + 1, 1, 60 * 1000));
    protect([&] {
      (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms, PG_WAIT_EXTENSION);
      CHECK_FOR_INTERRUPTS();
    });
  }

  int number_;
  Shards shards_;
  int64_t position_ = 0;  // rows up to here were looked at
  int batch_ = 20;
  int read_ = 0;
  TimestampTz rescan_at_ = 0;
  TimestampTz next_held_ = 0;
  TimestampTz merchants_at_ = 0;
};

void run(Oid database) {
  int number = 0;
  memcpy(&number, MyBgworkerEntry->bgw_extra, sizeof(number));
  protect([&] {
    begin_worker();
    BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
    register_worker(database, scorer_kind(number));
    pgstat_report_activity(STATE_IDLE, nullptr);
  });
  Scorer scorer(number);
  scorer.run();
}

}  // namespace

}  // namespace fraud::worker

void fraud_detect_score_worker_main(Datum argument) {
  Oid database = DatumGetObjectId(argument);
  fraud::pg::guarded([&] { fraud::worker::run(database); });
}
