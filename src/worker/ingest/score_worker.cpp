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
#include <map>
#include <new>
#include <optional>
#include <set>

#include "pg/payments/card.h"
#include "pg/payments/change_log.h"
#include "pg/payments/held_customers.h"
#include "pg/payments/merchant_queue.h"
#include "pg/server/boundary.h"
#include "pg/server/gucs.h"
#include "pg/server/shared_state.h"
#include "worker/ingest/fault.h"
#include "worker/process.h"
#include "worker/read_only.h"
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
// Rows that were committed late, and so stand before the position, are found then.
constexpr int64_t kRescanUs = 10 * kSecond;
// All are looked at then, whatever the low-water mark says.
constexpr int64_t kFullScanUs = 600 * kSecond;
constexpr int64_t kMerchantRetryUs = kSecond;
constexpr int kHeldAtOnce = 20;
constexpr long kKeptOutMs = 1000;
constexpr int kMerchantsAtOnce = 1000;
// Changes that are folded at once.
constexpr int kFoldAtOnce = 1000;
constexpr int64_t kFoldUs = kSecond;
constexpr int64_t kFoldRetryUs = 10 * kSecond;

struct Failure {
  int sqlstate = ERRCODE_INTERNAL_ERROR;
  std::string reason;
};

// Returns what was caught, and frees it. What ends a session never comes here: Postgres ends
// the process in that case. (A cancel does, and so does what code of users raises as one.)
Failure caught() {
  constexpr size_t kMost = 1000;
  Failure failure;
  auto say = [&](const std::string& message, const std::string& detail) {
    // Postgres quotes values.
    failure.reason = redact(message + (detail.empty() ? "" : "; " + detail), "");
    size_t end = std::min(failure.reason.size(), kMost);
    while (end > 0 && end < failure.reason.size() && (static_cast<unsigned char>(failure.reason[end]) & 0xC0) == 0x80) --end;
    failure.reason.resize(end);
  };
  try {
    throw;
  } catch (const PgError& error) {
    failure.sqlstate = error.data()->sqlerrcode;
    say(error.what(), error.data()->detail != nullptr ? error.data()->detail : "");
    forget(error);
  } catch (const SqlError& error) {
    failure.sqlstate = error.sqlstate();
    say(error.what(), error.detail());
  } catch (const Error& error) {
    failure.sqlstate = ERRCODE_DATA_EXCEPTION;
    say(error.what(), error.detail());
  } catch (const std::bad_alloc&) {
    failure.sqlstate = ERRCODE_OUT_OF_MEMORY;
    failure.reason = "out of memory";
  } catch (const std::exception&) {
    // Its text may quote input.
    failure.reason = "unexpected error in fraud_detect";
  }
  return failure;
}

class Scorer {
 public:
  explicit Scorer(int number) : number_(number) {}

  // Works until there is no extension any more, or fewer scorers are wanted.
  void run() {
    for (;;) {
      begin_turn();
      leave_if_read_only();
      if (number_ >= guc_ingest_workers) return;
      protect([&] {
        const uint64_t mine = take_shards(MyDatabaseId, number_, guc_ingest_workers);
        if (mine != shards_.to_ullong()) full_scan_at_ = 0;
        shards_ = Shards(mine);
        (void)begin_look(MyDatabaseId, scorer_kind(number_));
      });
      bool more = false;
      try {
        if (!turn(&more)) return;
      } catch (const PgError& fault) {
        // Of a whole table, or the disk: nothing of ours is in doubt, and who begins anew is a minute late in the end.
        const int sqlstate = fault.data()->sqlerrcode;
        if (!may_go_on(fault) || (sqlstate != ERRCODE_LOCK_NOT_AVAILABLE && sqlstate != ERRCODE_DISK_FULL)) throw;
        if (!is_kept_out_) protect([&] { ereport(LOG, (errmsg("could not score payments: %s", fault.what()))); });
        forget(fault);
        is_kept_out_ = true;
        wait_ms(kKeptOutMs);
        continue;
      }
      is_kept_out_ = false;
      if (!more) wait();
    }
  }

 private:
  // One batch; false when the extension is gone. Sets `more` when there may be another.
  bool turn(bool* more) {
    const TimestampTz now = GetCurrentTimestamp();
    if (!takes_payments_) {
      const bool there = in_transaction("looking whether there are sources", [&] {
        Spi spi;
        takes_payments_ = takes_payments(spi);
      });
      if (!there) return false;
    }
    if (!takes_payments_) {
      rescan_at_ = now + kRescanUs;  // or who puts payments there wakes us
      next_held_ = DT_NOEND;
      fold(false);
      return true;
    }
    if (now >= rescan_at_ || full_scan_at_ == 0) rescan(now);
    std::vector<InboxRow> rows;
    bool present = false;
    try {
      const auto start = std::chrono::steady_clock::now();
      present = score_batch(rows);
      adapt(rows.size(), std::chrono::steady_clock::now() - start);
    } catch (...) {
      if (rows.empty()) throw;
      (void)caught();
      present = one_by_one(rows);
    }
    if (!present) return false;
    if (read_ > 0) position_ = last_read_;
    *more = read_ == wanted_;
    try_held();
    make_queued_merchants();
    fold(*more);
    return true;
  }

  // Goes back to the low-water mark, before which no row can come any more: while somebody holds
  // an old snapshot, the entries of rows that are gone stay, and each look would walk over them.
  void rescan(TimestampTz now) {
    rescan_at_ = now + kRescanUs;
    XidRange running;
    (void)in_transaction("looking at running transactions", [&] {
      Spi spi;
      running = running_transactions(spi);
    });
    if (now >= full_scan_at_) {
      full_scan_at_ = now + kFullScanUs;
      low_water_ = position_ = 0;
      mark_.reset();
    }
    // What was given an id up to the position had begun to write by then.
    if (mark_ && running.oldest >= mark_->next_xid) {
      low_water_ = mark_->position;
      mark_.reset();
    }
    if (!mark_) mark_ = Mark{position_, running.next};
    position_ = low_water_;
  }

  // Scores the next rows in one transaction, but for customers that are locked.
  bool score_batch(std::vector<InboxRow>& rows) {
    size_t stored = 0;
    const bool present = in_transaction("scoring payments", [&] {
      begin_scoring();
      {
        Spi spi;
        wanted_ = batch_;
        rows = read_inbox(spi, position_, shards_, wanted_);
        read_ = static_cast<int>(rows.size());
        if (read_ > 0) last_read_ = rows.back().id;
        if (read_ == wanted_) add_other_sources(spi, rows);
        next_held_ = next_due_customer(spi, shards_);
      }
      std::vector<InboxRow> free = rows;
      leave_out_locked(free);
      score(free, number_);
      stored = free.size();
    });
    stored_ += static_cast<int64_t>(stored);
    return present;
  }

  // While much waits, each batch takes the next of all sources.
  void add_other_sources(Spi& spi, std::vector<InboxRow>& rows) {
    const int each = std::max(wanted_ / 4, 1);
    std::vector<InboxRow> others = read_other_sources(spi, position_, shards_, rows, each, std::max(wanted_, 10));
    if (others.empty()) return;
    rows.insert(rows.end(), std::make_move_iterator(others.begin()), std::make_move_iterator(others.end()));
    std::sort(rows.begin(), rows.end(), [](const InboxRow& a, const InboxRow& b) { return a.id < b.id; });
    rows.erase(std::unique(rows.begin(), rows.end(), [](const InboxRow& a, const InboxRow& b) { return a.id == b.id; }), rows.end());
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

  void hold_now(Spi& spi, const CardId& card, const std::string& reason) {
    next_held_ = std::min(next_held_, GetCurrentTimestamp() + 100 * kMillisecond);
    hold(spi, card, reason);
  }

  // As score_batch, a payment a transaction: what fails is held or rejected by itself.
  bool one_by_one(const std::vector<InboxRow>& rows) {
    std::set<CardId> held;
    for (const InboxRow& row : rows) {
      look_up();
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
    Failure failure;
    try {
      const bool present = in_transaction("scoring a payment", [&] {
        begin_scoring();
        std::vector<InboxRow> one{row};
        leave_out_locked(one);
        *free = !one.empty();
        score(one, number_);
      });
      if (*free) note_stored(1, row.card);
      return present;
    } catch (...) {
      failure = caught();
    }
    const Fault fault = fault_of(failure.sqlstate);
    if (fault == Fault::kItsOwn) return reject_one(row, failure.reason, free);
    *free = false;
    const bool present = in_transaction("holding a customer", [&] {
      Spi spi;
      hold_now(spi, row.card, failure.reason);
    });
    if (!present || fault == Fault::kLocked) return present;
    // Where others went on since its last attempt, the fault may be its own.
    Doubt& doubt = doubts_[row.card];
    if (fault == Fault::kUnclear || stored_ > doubt.stored) ++doubt.failures;
    doubt.stored = stored_;
    if (doubt.failures < kUnclearAttempts) return true;
    return reject_one(row, failure.reason, free);
  }

  void note_stored(size_t payments, const CardId& card) {
    stored_ += static_cast<int64_t>(payments);
    doubts_.erase(card);
  }

  // A feed repeats what was rejected, and so does the dead letter's row count it; where
  // another session has locked that row, the dead letter is kept beside it. What cannot be
  // rejected either is held, and says why.
  bool reject_one(const InboxRow& row, const std::string& reason, bool* free) {
    Failure failure;
    for (const Beside beside : {Beside::kNone, Beside::kOnce, Beside::kAlways}) {
      try {
        const bool present = in_transaction("rejecting a payment", [&] {
          begin_scoring();
          reject(row, reason, number_, beside);
        });
        *free = true;
        doubts_.erase(row.card);
        return present;
      } catch (...) {
        failure = caught();
      }
      if (failure.sqlstate != ERRCODE_LOCK_NOT_AVAILABLE) break;
    }
    *free = false;
    return in_transaction("holding a customer", [&] {
      Spi spi;
      hold_now(spi, row.card, reason + "; could not be rejected: " + failure.reason);
    });
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
      look_up();
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
        if (!locked) note_stored(rows.size(), card);
      } catch (...) {
        if (rows.empty()) throw;
        (void)caught();
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

  // Makes the rows of new merchants; one that is locked is tried again later, and then those
  // behind it first.
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
    } catch (...) {
      (void)caught();
    }
    std::vector<int64_t> ids;
    (void)in_transaction("adding merchants", [&] {
      Spi spi;
      ids = merchants_to_make(spi, merchant_, kMerchantsAtOnce);
      if (ids.empty()) ids = merchants_to_make(spi, merchant_ = 0, kMerchantsAtOnce);
    });
    int locked = 0;
    for (int64_t id : ids) {
      look_up();
      if (locked == 4) break;  // a fifth of a second is enough for those of others
      merchant_ = id;
      try {
        (void)in_transaction("adding a merchant", [&] {
          begin_scoring();
          Spi spi;
          make_merchant(spi, id);
        });
      } catch (...) {
        const Failure failure = caught();
        if (failure.sqlstate == ERRCODE_LOCK_NOT_AVAILABLE) {
          ++locked;
        } else {
          forget_bad_merchant(id, failure.reason);
        }
      }
    }
    merchants_at_ = now + kMerchantRetryUs;
  }

  // One that cannot be made keeps no other back.
  void forget_bad_merchant(int64_t id, const std::string& reason) {
    protect([&] { ereport(LOG, (errmsg("could not add a merchant: %s", reason.c_str()))); });
    (void)in_transaction("leaving out a merchant", [&] {
      Spi spi;
      forget_merchant(spi, id);
    });
  }

  // Folds a piece of the log of changes between two batches. One scorer does, and only while
  // many changes are there: a log that nobody folds makes the views slow.
  // Payments that wait go before it, but for a piece a second.
  void fold(bool busy) {
    const TimestampTz now = GetCurrentTimestamp();
    if (number_ != 0 || now < (busy ? std::max(fold_at_, folded_at_ + kFoldUs) : fold_at_)) return;
    folded_at_ = now;
    bool folded = false;
    try {
      (void)in_transaction("folding changes", [&] {
        Spi spi;
        folded = fold_changes(spi, kFoldAtOnce);
      });
      fold_at_ = now + (folded ? 0 : kFoldUs);
      fold_fails_ = false;
    } catch (const PgError& error) {
      if (!may_go_on(error)) throw;
      if (!fold_fails_) {
        protect([&] { ereport(LOG, (errmsg("could not fold changes into the sums of the views: %s", error.what()))); });
      }
      forget(error);
      fold_at_ = now + kFoldRetryUs;
      fold_fails_ = true;
    }
    folding_ = folded;
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
    const TimestampTz until = std::min({next_held_, rescan_at_, merchants_at_ == 0 ? DT_NOEND : merchants_at_,
                                        folding_ ? fold_at_ : DT_NOEND});
    wait_ms(static_cast<long>(std::clamp<int64_t>((until - GetCurrentTimestamp()) / 1000 + 1, 1, 60 * 1000)));
  }

  static void wait_ms(long ms) {
    protect([&] {
      note_wait(ms);
      (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms, PG_WAIT_EXTENSION);
      heed_signals();
    });
  }

  // A customer whose payment failed for what may be the system's fault.
  struct Doubt {
    int64_t stored = 0;    // stored_ at its last failure
    int64_t failures = 0;  // that count against it
  };

  int number_;
  bool is_kept_out_ = false;     // the last turn was
  bool takes_payments_ = false;  // the database
  Shards shards_;
  int64_t stored_ = 0;  // payments, by this process
  std::map<CardId, Doubt> doubts_;
  int64_t merchant_ = 0;  // of the queue, tried last
  int64_t position_ = 0;   // rows up to here were looked at
  int64_t low_water_ = 0;  // and up to here none is left but those of held customers
  struct Mark {
    int64_t position;
    uint64_t next_xid;
  };
  std::optional<Mark> mark_;  // becomes the low-water mark when all have ended that began before it
  int batch_ = 20;
  int wanted_ = 0, read_ = 0;  // rows of the last look
  int64_t last_read_ = 0;      // and the last one's number
  TimestampTz rescan_at_ = 0;
  TimestampTz full_scan_at_ = 0;
  TimestampTz next_held_ = 0;
  TimestampTz merchants_at_ = 0;
  TimestampTz folded_at_ = 0;
  TimestampTz fold_at_ = 0;
  bool folding_ = false;  // the last look found changes to fold
  bool fold_fails_ = false;
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
  wait_while_read_only(database, scorer_kind(number));
  Scorer scorer(number);
  scorer.run();
}

}  // namespace

}  // namespace fraud::worker

void fraud_detect_score_worker_main(Datum argument) {
  Oid database = DatumGetObjectId(argument);
  fraud::pg::guarded([&] { fraud::worker::run(database); });
}
