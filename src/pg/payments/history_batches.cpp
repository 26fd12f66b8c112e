// fraud.load_history_in_batches: a history of any size, in batches that commit.
//
// The rows come in order of time. A batch ends between two times, so that what lies before it
// is stored when it begins, and the windows go on from one batch to the next; after a stop they
// are read again from what is stored. So each payment's features are those of one long load.
#include "core/payments/payment.h"

#include <algorithm>
#include <exception>
#include <tuple>

#include "core/base/json_text.h"
#include "pg/payments/history_reader.h"
#include "pg/payments/history_store.h"
#include "pg/server/audit.h"
#include "pg/server/boundary.h"
#include "pg/server/spi.h"

extern "C" {
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "tcop/pquery.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/portal.h"
}

namespace fraud::pg {

namespace {

constexpr int32_t kLeastBatch = 100, kMostBatch = 10000000;
constexpr size_t kMostUnasked = 400000;  // of what was given, batches grow to no more
constexpr int64_t kTellEveryUs = 2000000;

Statement unfinished_load(
    "SELECT l.load_id, l.label_delay = $2, l.stored_up_to, l.payments FROM fraud.history_loads l"
    " WHERE l.relation = $1 AND l.state = 'loading' ORDER BY l.load_id DESC LIMIT 1 FOR UPDATE",
    {TEXTOID, INTERVALOID});
Statement abandon_loads("UPDATE fraud.history_loads l SET state = 'abandoned' WHERE l.relation = $1 AND l.state = 'loading'",
                        {TEXTOID});
Statement begin_load(
    "INSERT INTO fraud.history_loads (relation, label_delay, rows_expected) VALUES ($1, $2,"
    "  (SELECT nullif(c.reltuples, -1)::bigint FROM pg_class c WHERE c.oid = $3 AND c.relkind IN ('r', 'm', 'p')))"
    " RETURNING load_id",
    {TEXTOID, INTERVALOID, OIDOID});
Statement resume_load(
    "UPDATE fraud.history_loads l SET resumed_at = clock_timestamp(), payments_before = l.payments WHERE l.load_id = $1", {INT4OID});
Statement note_batch(
    "UPDATE fraud.history_loads l SET payments = l.payments + $2, present = l.present + $3, rejected = l.rejected + $4,"
    "  batches = l.batches + 1, stored_up_to = greatest(l.stored_up_to, $5), updated_at = clock_timestamp()"
    " WHERE l.load_id = $1",
    {INT4OID, INT8OID, INT8OID, INT8OID, TIMESTAMPTZOID});
Statement finish_load(
    "UPDATE fraud.history_loads l SET state = 'finished', finished_at = clock_timestamp() WHERE l.load_id = $1"
    " RETURNING l.payments, l.present, l.rejected, l.batches",
    {INT4OID});

// The session's lock on a load, which shows that it goes on: that of an object whose class is
// fraud.history_loads. No statement takes one; an advisory lock could be taken, and kept, by anybody.
class LoadLock {
 public:
  explicit LoadLock(int32_t load_id, const std::string& relation) {
    const Oid schema = fraud_schema();
    const Oid table = protect([&] { return get_relname_relid("history_loads", schema); });
    SET_LOCKTAG_OBJECT(tag_, MyDatabaseId, table, static_cast<Oid>(load_id), 0);
    const bool locked = protect([&] { return LockAcquire(&tag_, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL; });
    if (!locked) {
      throw SqlError(ERRCODE_OBJECT_IN_USE, "history " + relation + " is being loaded by another session", {},
                     "fraud.history_progress shows how far it is.");
    }
  }
  // After an error as well: it is the session's. The abort of a transaction, as of a commit that failed, lets it go by itself.
  ~LoadLock() noexcept {
    if (holds_lock(tag_, ExclusiveLock)) LockRelease(&tag_, ExclusiveLock, true);
  }
  LoadLock(const LoadLock&) = delete;
  LoadLock& operator=(const LoadLock&) = delete;

 private:
  LOCKTAG tag_;
};

void commit() {
  protect([] {
    SPI_commit();
    EnsurePortalSnapshotExists();
  });
}

bool by_customer(const Payment& a, const Payment& b) {
  const auto key = [](const Payment& p) {
    return std::tie(p.card_number, p.card_token, p.customer_kind, p.customer, p.occurred_at_us, p.transaction_id);
  };
  return key(a) < key(b);
}

bool of_one_customer(const Payment& a, const Payment& b) {
  return a.card_number == b.card_number && a.card_token == b.card_token && a.customer_kind == b.customer_kind &&
         a.customer == b.customer;
}

class BatchLoad {
 public:
  BatchLoad(Oid relation, const Interval& label_delay, int32_t batch_size)
      : relation_(relation),
        name_(relation_name(relation)),
        label_delay_(label_delay),
        batch_size_(static_cast<size_t>(batch_size)),
        role_(GetUserId()),
        told_at_(protect([] { return GetCurrentTimestamp(); })) {}

  void run(bool resume);

 private:
  int32_t begin(bool resume);
  Portal open(const HistoryQuery& parts);
  void take(const Spi& spi, uint64_t row, const std::vector<HistoryField>& fields);
  void store();
  void finish();

  Oid relation_;
  std::string name_;
  Interval label_delay_;
  size_t batch_size_;
  Oid role_;
  TimestampTz told_at_;
  int32_t load_id_ = 0;
  bool resumed_ = false;
  TimestampTz stored_up_to_ = DT_NOBEGIN;  // all before that is stored
  TimestampTz latest_ = DT_NOBEGIN;        // of the batch
  PaymentBatch batch_;
  KeptWindows windows_;
  int64_t stored_ = 0;
};

// Finds the load that was stopped, or begins one.
int32_t BatchLoad::begin(bool resume) {
  OwnerScope owner;
  Spi spi;
  const std::vector<SqlValue> which = {text_param(name_), {IntervalPGetDatum(&label_delay_)}};
  if (resume && spi.run(unfinished_load, which) > 0) {
    const auto load_id = static_cast<int32_t>(*spi.integer(0, 1));
    if (!DatumGetBool(*spi.datum(0, 2))) {
      throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE,
                     "the load of " + name_ + " that was stopped has another label_delay", {},
                     "Give the same label_delay, or resume => false to begin anew.");
    }
    if (std::optional<Datum> up_to = spi.datum(0, 3)) stored_up_to_ = DatumGetTimestampTz(*up_to);
    const int64_t before = *spi.integer(0, 4);
    protect([&] {
      ereport(NOTICE, (errmsg("going on with load %d, of which %lld payments are stored", load_id,
                              static_cast<long long>(before))));
    });
    spi.run(resume_load, {int4_param(load_id)});
    resumed_ = true;
    return load_id;
  }
  spi.run(abandon_loads, {text_param(name_)});
  spi.run(begin_load, {text_param(name_), {IntervalPGetDatum(&label_delay_)}, {ObjectIdGetDatum(relation_)}});
  return static_cast<int32_t>(*spi.integer(0, 1));
}

// Opens the history, sorted, with the caller's rights, and holds it beyond the commits.
Portal BatchLoad::open(const HistoryQuery& parts) {
  const int level = begin_reading_history();
  const bool from = !parts.from_time.empty() && !TIMESTAMP_NOT_FINITE(stored_up_to_);
  std::string query = parts.select;
  if (from) query += " WHERE " + parts.from_time + " OR " + parts.time + " IS NULL";
  query += " ORDER BY " + parts.time + ", h.trans_num";
  const char* text = query.c_str();
  return protect([&] {
    plan_for_all_rows();
    Oid types[1] = {TIMESTAMPTZOID};
    Datum values[1] = {TimestampTzGetDatum(stored_up_to_)};
    Portal portal = SPI_cursor_open_with_args(nullptr, text, from ? 1 : 0, types, values, nullptr, true, CURSOR_OPT_NO_SCROLL);
    PinPortal(portal);
    HoldPinnedPortals();
    AtEOXact_GUC(false, level);
    return portal;
  });
}

// Takes a row into the batch; where that is full, and the row of a later time, it is stored first.
void BatchLoad::take(const Spi& spi, uint64_t row, const std::vector<HistoryField>& fields) {
  const size_t before = batch_.payments.size();
  read_history_row(spi, row, fields, batch_);
  if (batch_.payments.size() == before || !batch_.payments.back().occurred_at_us) return;
  const TimestampTz time = postgres_time(*batch_.payments.back().occurred_at_us);
  if (time < stored_up_to_ && latest_ == DT_NOBEGIN) {
    batch_.payments.pop_back();  // of before the stop
    return;
  }
  if (time < stored_up_to_) {
    throw SqlError(ERRCODE_DATA_EXCEPTION, "the rows of " + name_ + " do not come in order of their times",
                   "Sorted by its column of times, a payment comes after later ones that are stored.",
                   "Give the column a type that sorts by time, such as timestamptz, or load a view that does.");
  }
  if (batch_.payments.capacity() < batch_size_) batch_.payments.reserve(batch_size_ + 1);  // not twice that
  if (before >= batch_size_ && time > latest_) {
    Payment next = std::move(batch_.payments.back());
    batch_.payments.pop_back();
    store();
    batch_.payments.push_back(std::move(next));
  }
  latest_ = std::max(latest_, time);
}

// Stores the batch, and commits.
void BatchLoad::store() {
  protect([] { CHECK_FOR_INTERRUPTS(); });
  PaymentBatch taken = std::move(batch_);
  batch_ = {};
  HistoryStore::Counts counts;
  int64_t stored = 0;
  {
    HistoryStore store("history", label_delay_, role_, &windows_);
    // Customer by customer, so that each is written once.
    std::sort(taken.payments.begin(), taken.payments.end(), by_customer);
    const size_t step = history_step();
    PaymentBatch part;
    part.rejected = std::move(taken.rejected);
    const auto add = [&] {
      const HistoryStore::Counts added = store.add(part);
      counts.taken += added.taken;
      counts.present += added.present;
      counts.rejected += added.rejected;
      part = {};
    };
    for (Payment& payment : taken.payments) {
      if (part.payments.size() >= step && !of_one_customer(part.payments.back(), payment)) add();
      part.payments.push_back(std::move(payment));
    }
    add();
    taken = {};  // before the windows are filled
    stored = store.finish([](int64_t) { protect([] { CHECK_FOR_INTERRUPTS(); }); });
  }
  if (latest_ != DT_NOBEGIN) stored_up_to_ = std::max(stored_up_to_, latest_ + 1);
  // Windows that do not fit into the memory are filled anew for each batch: of fewer batches, less often.
  if (windows_.parts() > 0 && batch_size_ < kMostUnasked) batch_size_ = std::min(4 * batch_size_, kMostUnasked);
  {
    OwnerScope owner;
    Spi spi;
    spi.run(note_batch, {int4_param(load_id_), int8_param(stored), int8_param(counts.present), int8_param(counts.rejected),
                         TIMESTAMP_NOT_FINITE(stored_up_to_) ? null_param() : time_param(stored_up_to_)});
  }
  commit();
  stored_ += stored;
  const TimestampTz now = protect([] { return GetCurrentTimestamp(); });
  if (now - told_at_ < kTellEveryUs) return;
  told_at_ = now;
  protect([&] {
    ereport(NOTICE, (errmsg("%lld payments stored so far, up to %s", static_cast<long long>(stored_),
                            timestamptz_to_str(stored_up_to_))));
  });
}

void BatchLoad::finish() {
  JsonObject details;
  long long present = 0;
  {
    OwnerScope owner;
    Spi spi;
    spi.run(finish_load, {int4_param(load_id_)});
    present = *spi.integer(0, 2);
    details.add("load_id", load_id_).add("payments", *spi.integer(0, 1)).add("present", static_cast<int64_t>(present));
    details.add("rejected", *spi.integer(0, 3)).add("batches", *spi.integer(0, 4));
  }
  note_act("load", "history", name_, details.text());
  commit();
  if (present > 0) {
    protect([&] {
      ereport(NOTICE, (errmsg_plural("%lld payment was there already", "%lld payments were there already", (unsigned long)present, present)));
    });
  }
  protect([&] { ereport(NOTICE, (errmsg("%lld payments stored", static_cast<long long>(stored_)))); });
}

void BatchLoad::run(bool resume) {
  const std::vector<HistoryField> fields = history_fields(relation_);
  const HistoryQuery parts = history_query(relation_, fields);
  check_label_delay(label_delay_);
  Spi spi(Spi::Commits::kYes);
  load_id_ = begin(resume);
  LoadLock lock(load_id_, name_);
  note_act(resumed_ ? "resume" : "load", "history", name_,
           JsonObject().add("load_id", load_id_).add("batch_size", batch_size_).text());
  commit();
  const Portal portal = open(parts);
  for (;;) {
    protect([&] { SPI_cursor_fetch(portal, true, 1000); });
    const uint64_t count = SPI_processed;
    SPITupleTable* rows = SPI_tuptable;
    if (count == 0) break;
    for (uint64_t row = 0; row < count; ++row) {
      SPI_tuptable = rows;  // what stores a batch has SPI levels of its own
      take(spi, row, fields);
    }
    protect([&] { SPI_freetuptable(rows); });
  }
  if (!batch_.payments.empty() || !batch_.rejected.empty()) store();
  protect([&] {
    UnpinPortal(portal);
    SPI_cursor_close(portal);
  });
  finish();
}

}  // namespace

}  // namespace fraud::pg

using namespace fraud::pg;

FRAUD_FUNCTION(load_history_in_batches) {
  for (int i = 0; i < 4; ++i) {
    if (PG_ARGISNULL(i)) {
      throw SqlError(ERRCODE_NULL_VALUE_NOT_ALLOWED, "rel, label_delay, batch_size and resume must not be null");
    }
  }
  const auto* call = reinterpret_cast<const CallContext*>(fcinfo->context);
  if (call == nullptr || !IsA(call, CallContext) || call->atomic) {
    throw SqlError(ERRCODE_ACTIVE_SQL_TRANSACTION, "fraud.load_history_in_batches cannot run inside a transaction block",
                   {}, "It commits each batch; fraud.load_history loads all in one transaction.");
  }
  const int32 batch_size = PG_GETARG_INT32(2);
  if (batch_size < kLeastBatch || batch_size > kMostBatch) {
    throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE,
                   "batch_size must be between " + std::to_string(kLeastBatch) + " and " + std::to_string(kMostBatch) +
                       ", not " + std::to_string(batch_size));
  }
  BatchLoad load(PG_GETARG_OID(0), *PG_GETARG_INTERVAL_P(1), batch_size);
  load.run(PG_GETARG_BOOL(3));
  return (Datum)0;
}
