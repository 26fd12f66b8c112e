// fraud.load_history and fraud.simulate: histories in bulk.
#include "core/payments/forbidden_fields.h"
#include "core/payments/payload_writer.h"
#include "core/payments/payment.h"
#include "core/payments/simulator.h"

#include <nlohmann/json.hpp>

#include <optional>

#include "pg/payments/history_store.h"
#include "pg/server/audit.h"
#include "pg/server/boundary.h"
#include "pg/server/gucs.h"
#include "pg/server/spi.h"

extern "C" {
#include "executor/executor.h"
#include "utils/regproc.h"
}

namespace fraud::pg {

namespace {

// Payments of this many batches of one card are held at most before they are
// stored; all of a card at once is the rule.
constexpr size_t kCardBatches = 20;
// A label is not known before its payment was made.
void check_label_delay(const Interval& delay) {
  Interval none{};
  bool negative = protect([&] {
    return DatumGetInt32(DirectFunctionCall2(interval_cmp, IntervalPGetDatum(&delay),
                                             IntervalPGetDatum(&none))) < 0;
  });
  if (negative) {
    throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "label_delay must not be negative");
  }
}

// Hands payments on in batches, tells how far it is, and counts.
class Loader {
 public:
  Loader(std::string source, const Interval& label_delay, Oid role)
      : store_(std::move(source), label_delay, role), told_at_(protect([] { return GetCurrentTimestamp(); })) {}

  PaymentBatch& batch() noexcept { return batch_; }
  size_t size() const noexcept { return batch_.payments.size() + batch_.rejected.size(); }
  bool full() const noexcept { return size() >= step(); }
  bool overfull() const noexcept { return size() >= step() * kCardBatches; }

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
  static size_t step() { return static_cast<size_t>(guc_ingest_batch_size); }

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

// One column of the history that is read.
struct Field {
  std::string name;
  std::string expression;  // of the row h, as text
};

// Returns the relation's columns that payments have, each with the expression
// that gives its text in the form that the payment reader takes.
std::vector<Field> history_fields(Oid relation) {
  std::vector<Field> fields;
  std::string known, attributes;
  bool has_others = false;
  Oid row_type = protect([&] { return get_rel_type_id(relation); });
  if (!OidIsValid(row_type)) {
    throw SqlError(ERRCODE_UNDEFINED_TABLE,
                   "no table or view has the OID " + std::to_string(relation));
  }
  TupleDesc descriptor = protect([&] { return lookup_rowtype_tupdesc_copy(row_type, -1); });
  for (int i = 0; i < descriptor->natts; ++i) {
    Form_pg_attribute attribute = TupleDescAttr(descriptor, i);
    if (attribute->attisdropped) continue;
    std::string name = NameStr(attribute->attname);
    const char* quoted = protect([&] { return quote_identifier(NameStr(attribute->attname)); });
    std::string column = std::string("h.") + quoted;
    if (!is_payment_field(name)) {
      has_others = true;
      continue;
    }
    const char* literal = protect([&] { return quote_literal_cstr(NameStr(attribute->attname)); });
    known += (known.empty() ? "" : ", ") + std::string(literal);
    if (name == "attributes") {
      attributes = "pg_catalog.to_jsonb(" + column + ")";
      continue;
    }
    switch (attribute->atttypid) {
      case TIMESTAMPOID:
        // to_char leaves the era out; BC is no time of a payment, and refused.
        column = "CASE WHEN " + column + " < '0001-01-01'::pg_catalog.timestamp THEN 'BC' " +
                 "ELSE pg_catalog.to_char(" + column + ", 'YYYY-MM-DD HH24:MI:SS.US') END";
        break;
      case TIMESTAMPTZOID:
        column = "pg_catalog.to_char(pg_catalog.timezone('UTC', " + column +
                 "), 'YYYY-MM-DD HH24:MI:SS.US')";
        break;
      case DATEOID:
        column = "pg_catalog.to_char(" + column + ", 'YYYY-MM-DD')";
        break;
      default:
        column += "::pg_catalog.text";
    }
    fields.push_back({name, column});
  }
  // Columns that are no fields of payments are attributes, beside those of a column of that name.
  if (has_others) {
    const std::string object = "pg_catalog.jsonb_strip_nulls(pg_catalog.to_jsonb(h.*) OPERATOR(pg_catalog.-) ARRAY[" + known + "]::pg_catalog.text[])";
    attributes = attributes.empty() ? object : "coalesce(" + attributes + ", '{}') OPERATOR(pg_catalog.||) " + object;
  }
  if (!attributes.empty()) fields.push_back({"attributes", "(" + attributes + ")::pg_catalog.text"});
  return fields;
}

bool has_field(const std::vector<Field>& fields, std::string_view name) {
  for (const Field& field : fields) {
    if (field.name == name) return true;
  }
  return false;
}

// Returns the query that reads the history card by card in time order, or says
// which columns the relation lacks.
std::string history_query(Oid relation, const std::vector<Field>& fields) {
  const char* name = protect([&] {
    return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)),
                                      get_rel_name(relation));
  });
  std::string missing;
  auto want = [&](bool there, const char* what) {
    if (!there) missing += (missing.empty() ? "" : ", ") + std::string(what);
  };
  const char* time = nullptr;
  for (const char* candidate : {"current_time", "trans_date_trans_time", "unix_time"}) {
    if (time == nullptr && has_field(fields, candidate)) time = candidate;
  }
  const char* card = has_field(fields, "cc_num") ? "cc_num" : has_field(fields, "customer") ? "customer" : "card";
  want(has_field(fields, card), "cc_num");
  want(has_field(fields, "trans_num"), "trans_num");
  want(has_field(fields, "amt") || has_field(fields, "amt_minor"), "amt");
  want(has_field(fields, "merchant"), "merchant");
  want(time != nullptr, "trans_date_trans_time (or current_time, or unix_time)");
  if (!missing.empty()) {
    throw SqlError(ERRCODE_UNDEFINED_COLUMN,
                   "relation " + std::string(name) + " is not in the layout of a payment history",
                   "Missing columns: " + missing + ".",
                   "The columns are those of Kaggle's fraudTrain.csv, by name; docs/payments.md "
                   "lists them.");
  }
  std::string query = "SELECT ";
  for (size_t i = 0; i < fields.size(); ++i) query += (i > 0 ? ", " : "") + fields[i].expression;
  const char* quoted_time = protect([&] { return quote_identifier(time); });
  return query + " FROM " + name + " h ORDER BY h." + card + ", h." + quoted_time +
         ", h.trans_num";
}

// Reads one row of the history into the batch; returns its card's number or
// token as it stands there.
std::string read_row(const Spi& spi, uint64_t row, const std::vector<Field>& fields,
                     PaymentBatch& batch) {
  PaymentBuilder builder;
  std::string card;
  std::vector<std::optional<std::string>> texts(fields.size());
  // What amounts and customers may be depends on some.
  for (const bool first : {true, false}) {
    for (size_t i = 0; i < fields.size(); ++i) {
      if (comes_first(find_payment_field(fields[i].name)) != first) continue;
      texts[i] = spi.text(row, static_cast<int>(i) + 1);
      if (!texts[i]) continue;
      builder.set(fields[i].name, *texts[i]);
      if (fields[i].name == "cc_num" || fields[i].name == "card" || fields[i].name == "customer") card = *texts[i];
    }
  }
  std::string reason;
  if (std::optional<Payment> payment = builder.finish(&reason)) {
    for (size_t i = 0; i < fields.size(); ++i) {
      if (fields[i].name == "attributes" && texts[i]) payment->attributes = read_attributes(*texts[i], payment->card_number);
    }
    batch.payments.push_back(std::move(*payment));
    return card;
  }
  RejectedPayment rejected;
  rejected.reason = reason;
  rejected.transaction_id = builder.partial().transaction_id;
  rejected.card_number = builder.partial().card_number;
  rejected.id_holds_card = builder.partial().id_holds_card;
  auto as_json = [](const std::string& text) {
    return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  };
  for (size_t i = 0; i < fields.size(); ++i) {
    if (!texts[i] || fields[i].name == "cc_num" || fields[i].name == "customer" || fields[i].name == "attributes") continue;
    rejected.payload += (rejected.payload.empty() ? "{" : ",") + as_json(fields[i].name) + ":";
    const std::string value = as_json(builder.card_is_unknown() ? redact_broken(*texts[i])
                                                                : redact(*texts[i], builder.card_digits()));
    if (fields[i].name == "trans_num") {
      rejected.id_at = rejected.payload.size();
      rejected.id_size = value.size();
    }
    rejected.payload += value;
  }
  rejected.payload += rejected.payload.empty() ? "{}" : "}";
  batch.rejected.push_back(std::move(rejected));
  return card;
}

int64_t load_history(Oid relation, const Interval& label_delay) {
  std::vector<Field> fields = history_fields(relation);
  std::string query = history_query(relation, fields);
  check_label_delay(label_delay);
  // Floats are read with all their digits, whatever the session shows of them.
  int level = protect([] {
    int made = NewGUCNestLevel();
    (void)set_config_option("extra_float_digits", "1", PGC_USERSET, PGC_S_SESSION,
                            GUC_ACTION_SAVE, true, 0, false);
    return made;
  });
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
      std::string next = read_row(spi, row, fields, loader.batch());
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
  const Oid relation = PG_GETARG_OID(0);
  const int64_t stored = load_history(relation, *PG_GETARG_INTERVAL_P(1));
  const char* name = protect([&] {
    return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)), get_rel_name(relation));
  });
  note_act("load", "history", name, "{\"payments\": " + std::to_string(stored) + "}");
  return Int64GetDatum(stored);
}

FRAUD_FUNCTION(simulate) {
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
  nlohmann::json details = {{"customers", config.customers}, {"merchants", PG_GETARG_INT32(1)}, {"days", config.days},
                            {"seed", config.seed},           {"payments", stored}};
  note_act("simulate", "history", "simulation", details.dump());
  return Int64GetDatum(stored);
}
