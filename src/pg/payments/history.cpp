// fraud.load_history and fraud.simulate: histories in bulk.
#include "core/payments/payment.h"
#include "core/base/json_text.h"
#include "core/payments/simulator.h"

#include <optional>

#include "pg/payments/history_reader.h"
#include "pg/payments/history_store.h"
#include "pg/server/arguments.h"
#include "pg/server/audit.h"
#include "pg/server/boundary.h"
#include "pg/server/spi.h"

extern "C" {
#include "executor/executor.h"
#include "utils/regproc.h"
}

namespace fraud::pg {

namespace {

// Payments of this many steps of one card are held at most before they are
// stored; all of a card at once is the rule.
constexpr size_t kCardSteps = 5;

// Hands payments on in batches, tells how far it is, and counts.
class Loader {
 public:
  Loader(std::string source, const Interval& label_delay, Oid role)
      : store_(std::move(source), label_delay, role), told_at_(protect([] { return GetCurrentTimestamp(); })) {}

  PaymentBatch& batch() noexcept { return batch_; }
  size_t size() const noexcept { return batch_.payments.size() + batch_.rejected.size(); }
  bool full() const noexcept { return size() >= history_step(); }
  bool overfull() const noexcept { return size() >= history_step() * kCardSteps; }

  void flush() {
    if (batch_.payments.empty() && batch_.rejected.empty()) return;
    HistoryStore::Counts counts = store_.add(batch_);
    taken_ += counts.taken;
    rejected_ += counts.rejected;
    present_ += counts.present;
    batch_ = {};
    tell("read", taken_);
  }

  int64_t finish() {
    flush();
    const int64_t stored = store_.finish([this](int64_t count) { tell("stored", count); });
    if (long long there = present_; there > 0) {
      protect([&] {
        ereport(NOTICE, (errmsg_plural("%lld payment was there already", "%lld payments were there already",
                                       (unsigned long)there, there)));
      });
    }
    long long count = rejected_;
    if (count > 0) {
      protect([&] {
        ereport(WARNING, (errmsg_plural("%lld payment was rejected", "%lld payments were rejected",
                                        (unsigned long)count, count),
                          errhint("fraud.ingest_errors has them, with the reasons.")));
      });
    }
    return stored;
  }

 private:
  // Says every other second how far it is.
  void tell(const char* what, int64_t count) {
    protect([] { CHECK_FOR_INTERRUPTS(); });
    TimestampTz now = protect([] { return GetCurrentTimestamp(); });
    if (now - told_at_ < 2000000) return;
    told_at_ = now;
    protect([&] { ereport(NOTICE, (errmsg("%lld payments %s so far", static_cast<long long>(count), what))); });
  }

  HistoryStore store_;
  PaymentBatch batch_;
  TimestampTz told_at_;
  int64_t taken_ = 0, rejected_ = 0, present_ = 0;
};

int64_t load_history(Oid relation, const Interval& label_delay) {
  const std::vector<HistoryField> fields = history_fields(relation);
  const HistoryQuery parts = history_query(relation, fields);
  const std::string query = parts.select + " ORDER BY " + parts.card + ", " + parts.time + ", h.trans_num";
  check_label_delay(label_delay);
  const int level = begin_reading_history();
  Loader loader("history", label_delay, protect([] { return GetUserId(); }));
  // Read with the caller's rights; only what ingest() does is done as the owner.
  Spi spi;
  Portal portal = protect([&] {
    return SPI_cursor_open_with_args(nullptr, query.c_str(), 0, nullptr, nullptr, nullptr, true, 0);
  });
  std::string card;
  for (;;) {
    protect([&] { SPI_cursor_fetch(portal, true, 1000); });
    uint64_t count = SPI_processed;
    SPITupleTable* rows = SPI_tuptable;
    if (count == 0) break;
    for (uint64_t row = 0; row < count; ++row) {
      SPI_tuptable = rows;  // ingest() has SPI levels of its own
      size_t before = loader.batch().payments.size();
      bool was_full = loader.full();
      std::string next = read_history_row(spi, row, fields, loader.batch());
      bool other_card = next != card;
      card = std::move(next);
      if ((other_card && was_full) || loader.overfull()) {
        // The row just read belongs to the card that comes next.
        std::optional<Payment> held;
        if (other_card && loader.batch().payments.size() > before) {
          held = std::move(loader.batch().payments.back());
          loader.batch().payments.pop_back();
        }
        loader.flush();
        if (held) loader.batch().payments.push_back(std::move(*held));
      }
    }
    protect([&] { SPI_freetuptable(rows); });
  }
  protect([&] {
    SPI_cursor_close(portal);
    AtEOXact_GUC(false, level);
  });
  return loader.finish();
}

}  // namespace

}  // namespace fraud::pg

using namespace fraud;
using namespace fraud::pg;

FRAUD_FUNCTION(load_history) {
  refuse_when_restricted("load_history");
  need_argument(fcinfo, 0, "rel");
  need_argument(fcinfo, 1, "label_delay");
  const Oid relation = PG_GETARG_OID(0);
  const int64_t stored = load_history(relation, *PG_GETARG_INTERVAL_P(1));
  note_act("load", "history", relation_name(relation), "{\"payments\": " + std::to_string(stored) + "}");
  return Int64GetDatum(stored);
}

FRAUD_FUNCTION(simulate) {
  refuse_when_restricted("simulate");
  for (int i : {0, 1, 2, 3, 6}) {
    if (PG_ARGISNULL(i)) {
      throw SqlError(ERRCODE_NULL_VALUE_NOT_ALLOWED,
                     "customers, merchants, days, seed and label_delay must not be null");
    }
  }
  constexpr int64_t kDayUs = int64_t{86400} * 1000000;
  TimestampTz now = GetCurrentTransactionStartTimestamp();
  SimulatorConfig config;
  config.customers = PG_GETARG_INT32(0);
  config.merchants = PG_GETARG_INT32(1);
  config.days = PG_GETARG_INT32(2);
  config.seed = static_cast<uint64_t>(PG_GETARG_INT64(3));
  int64_t today = (now + kPostgresEpochUs) / kDayUs * kDayUs;
  config.start_us = PG_ARGISNULL(4) ? today - (int64_t{config.days} - 1) * kDayUs
                                    : PG_GETARG_TIMESTAMPTZ(4) + kPostgresEpochUs;
  TimestampTz end = PG_ARGISNULL(5) ? now : PG_GETARG_TIMESTAMPTZ(5);
  if (!PG_ARGISNULL(4) && TIMESTAMP_NOT_FINITE(PG_GETARG_TIMESTAMPTZ(4))) {
    throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "starts_at must be finite");
  }
  if (config.start_us < 0 || config.start_us % kDayUs != 0) {
    throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "starts_at must be a midnight in UTC, from 1970 on",
                   {}, "For example: '2026-01-01 00:00:00+00'.");
  }
  const Interval label_delay = *PG_GETARG_INTERVAL_P(6);
  check_label_delay(label_delay);
  Loader loader("simulation", label_delay, InvalidOid);
  Simulator simulator(config);
  for (int i = 0; i < config.customers; ++i) {
    for (SimulatedPayment& simulated : simulator.customer(i)) {
      if (*simulated.payment.occurred_at_us - kPostgresEpochUs >= end) break;
      loader.batch().payments.push_back(std::move(simulated.payment));
    }
    if (loader.full()) loader.flush();
  }
  const int64_t stored = loader.finish();
  JsonObject details;
  details.add("customers", config.customers).add("merchants", PG_GETARG_INT32(1)).add("days", config.days);
  details.add("seed", config.seed).add("payments", stored);
  note_act("simulate", "history", "simulation", details.text());
  return Int64GetDatum(stored);
}
