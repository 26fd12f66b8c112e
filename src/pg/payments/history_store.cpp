#include "pg/payments/history_store.h"

#include "core/payments/currency.h"

#include <algorithm>
#include <exception>

#include "pg/features/tile_marks.h"
#include "pg/features/feature_stream.h"
#include "pg/payments/change_log.h"
#include "pg/payments/follow_ups.h"
#include "pg/payments/payment_id.h"
#include "pg/server/boundary.h"
#include "pg/server/gucs.h"
#include "pg/server/owner_scope.h"
#include "pg/server/table_writer.h"

extern "C" {
#include "commands/sequence.h"
#include "utils/fmgrprotos.h"
}

namespace fraud::pg {

namespace {

// Made by us or not at all: a table that the caller has put there could have triggers.
Statement create_waiting(
    "CREATE TEMPORARY TABLE fraud_detect_history (history_row bigint NOT NULL,"
    " card uuid NOT NULL, transaction_id text COLLATE \"C\" NOT NULL, occurred_at timestamptz NOT NULL,"
    " amount numeric NOT NULL, merchant text NOT NULL, category text, merchant_latitude float8,"
    " merchant_longitude float8, home_latitude float8, home_longitude float8, city_population bigint,"
    " age float4, is_fraud boolean, label_known_at timestamptz, label_changes timestamptz[],"
    " currency text COLLATE \"C\" NOT NULL, base_amount numeric NOT NULL, attributes jsonb, state text)",
    {});
// The places of its columns.
enum Waiting : size_t {
  kHistoryRow, kCard, kTransactionId, kOccurredAt, kAmount, kMerchant, kCategory, kMerchantLatitude, kMerchantLongitude,
  kHomeLatitude, kHomeLongitude, kCityPopulation, kAge, kIsFraud, kLabelKnownAt, kLabelChanges, kCurrency, kBaseAmount,
  kAttributes, kState, kWaitingColumns
};
Statement field_columns("SELECT fraud._field_columns('h')", {});
Statement waiting_relation("SELECT 'pg_temp.fraud_detect_history'::regclass::oid::bigint", {});
Statement events_relation("SELECT 'pg_temp.fraud_detect_history_events'::regclass::oid::bigint", {});
Statement temporary_schema(
    "SELECT quote_ident(n.nspname) FROM pg_namespace n WHERE n.oid = pg_my_temp_schema()", {});
// For the statement that stores what cannot be written directly.
Statement index_waiting("CREATE UNIQUE INDEX ON pg_temp.fraud_detect_history (history_row)", {});
Statement analyze_waiting("ANALYZE pg_temp.fraud_detect_history", {});

// Each customer's state, as it stands when his payments are logged.
Statement find_states(
    "SELECT n.i, c.state FROM unnest($1) WITH ORDINALITY n(card, i) JOIN LATERAL"
    " (SELECT c.state FROM fraud.customers c WHERE c.card = n.card OFFSET 0) c ON true", {UUIDARRAYOID});

// A payment that stands there twice may say only the second time that it was fraud.
Statement label_waiting(
    "UPDATE pg_temp.fraud_detect_history h SET is_fraud = l.is_fraud, label_known_at = l.known_at,"
    "  label_changes = l.changes"
    " FROM (SELECT n.transaction_id, n.card, s.*"
    "  FROM (SELECT DISTINCT u.transaction_id, u.card FROM unnest($1, $2) u(transaction_id, card)) n"
    "  CROSS JOIN LATERAL fraud._label_course(ARRAY(SELECT l FROM fraud.labels l"
    "   WHERE l.transaction_id = n.transaction_id AND l.card = n.card)) s(is_fraud, known_at, changes)) l"
    " WHERE h.transaction_id = l.transaction_id AND h.card = l.card",
    {TEXTARRAYOID, UUIDARRAYOID});

Statement insert_transactions(
    "WITH stored AS (INSERT INTO fraud.transactions (card, transaction_id, occurred_at, amount,"
    "  merchant, category, merchant_latitude, merchant_longitude, home_latitude, home_longitude,"
    "  city_population, age, is_fraud, label_known_at, label_changes, currency, base_amount, attributes, score, source, model, model_version, features)"
    " SELECT h.card, h.transaction_id, h.occurred_at, h.amount, h.merchant, h.category,"
    "  h.merchant_latitude, h.merchant_longitude, h.home_latitude, h.home_longitude, h.city_population,"
    "  h.age, h.is_fraud, h.label_known_at, h.label_changes, h.currency, h.base_amount, h.attributes, n.score, $3, $4, $5, $6[(n.i - 1) * $7 + 1 : n.i * $7]"
    " FROM unnest($1, $2) WITH ORDINALITY n(history_row, score, i)"
    " JOIN pg_temp.fraud_detect_history h ON h.history_row = n.history_row"
    " RETURNING card, transaction_id, occurred_at, base_amount, merchant, category, model, model_version, score)"
    " INSERT INTO fraud.changes (slot, sign, card, transaction_id, occurred_at, amount, merchant, category, state,"
    "  model, model_version, score)"
    " SELECT (SELECT fraud._open_slot()), 1, s.card, s.transaction_id, s.occurred_at, s.base_amount, s.merchant, s.category,"
    "  c.state, s.model, s.model_version, s.score"
    " FROM stored s LEFT JOIN LATERAL (SELECT c.state FROM fraud.customers c WHERE c.card = s.card OFFSET 0) c ON true",
    {INT8ARRAYOID, FLOAT8ARRAYOID, TEXTOID, TEXTOID, INT4OID, FLOAT4ARRAYOID, INT8OID});

// Shows the events of the feature set `payments`, those that wait among them.
void create_events(Spi& spi) {
  spi.run(field_columns, {});
  const std::string text =
      "CREATE TEMPORARY VIEW fraud_detect_history_events AS"
      " SELECT e.*, NULL::pg_temp.fraud_detect_history AS history_row FROM fraud.payment_events e"
      " UNION ALL"
      " SELECT h.card, h.transaction_id, h.occurred_at, h.amount, h.merchant, h.category,"
      "  h.merchant_latitude, h.merchant_longitude, h.home_latitude, h.home_longitude, h.city_population,"
      "  h.age, coalesce(h.is_fraud, false), h.label_known_at, h.label_changes, h.currency, h.base_amount, h.attributes" +
      *spi.text(0, 1) + ", h AS history_row FROM pg_temp.fraud_detect_history h";
  const char* sql = text.c_str();
  protect([&] {
    if (SPI_execute(sql, false, 0) != SPI_OK_UTILITY) elog(ERROR, "could not make the view of a history");
  });
}

// Drops the temporary table, and the view of the events where there is one. By the schema's own
// name: Citus looks for a view to be dropped by itself, and knows no schema pg_temp.
void drop_temporary(Spi& spi, bool has_events) {
  spi.run(temporary_schema, {});
  const std::string name = *spi.text(0, 1) + ".fraud_detect_history";
  const std::string text = (has_events ? "DROP VIEW " + name + "_events; " : "") + "DROP TABLE " + name;
  const char* sql = text.c_str();
  protect([&] {
    if (SPI_execute(sql, false, 0) != SPI_OK_UTILITY) elog(ERROR, "could not drop what a history had waiting");
  });
}

// Gives the state of each customer; the entries are in order of the card.
std::vector<std::optional<Datum>> states_of(Spi& spi, const std::vector<Entry>& entries) {
  Column cards(UUIDOID);
  for (size_t i = 0; i < entries.size(); ++i) {
    if (i == 0 || entries[i].card != entries[i - 1].card) cards.add(uuid_param(card_uuid(entries[i].card)));
  }
  const uint64_t count = spi.run(find_states, {cards.array()});
  std::vector<std::optional<Datum>> states(cards.size());
  for (uint64_t row = 0; row < count; ++row) states[static_cast<size_t>(*spi.integer(row, 1)) - 1] = spi.datum(row, 2);
  return states;
}

Datum numeric_of(const std::string& text) {
  const char* digits = text.c_str();
  return protect([&] { return DirectFunctionCall3(numeric_in, CStringGetDatum(digits), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)); });
}

// When a label is known that comes with a history: FRAUD_LABEL_KNOWN_AT.
TimestampTz label_known_at(TimestampTz time, const Interval& delay) {
  const TimestampTz known = protect([&] {
    const Datum utc = CStringGetTextDatum("UTC");
    const Datum local = DirectFunctionCall2(timestamptz_zone, utc, TimestampTzGetDatum(time));
    const Datum later = DirectFunctionCall2(timestamp_pl_interval, local, IntervalPGetDatum(&delay));
    return DatumGetTimestampTz(DirectFunctionCall2(timestamp_zone, utc, later));
  });
  return std::min(GetCurrentTransactionStartTimestamp(), known);
}

// Writes the rows of a history to fraud.transactions and fraud.changes: directly where nothing
// but us has a say in it, else by a statement. Both write the same.
class RowWriter {
 public:
  RowWriter(TimestampTz first, TimestampTz last);
  ~RowWriter() noexcept;
  RowWriter(const RowWriter&) = delete;
  RowWriter& operator=(const RowWriter&) = delete;

  bool direct() const noexcept { return direct_; }
  // Stores those of the block that waited; returns how many.
  int64_t store(const FeatureBlock& block, SetScorer& scorer, const std::string& source);

 private:
  int64_t store_by_statement(const FeatureBlock& block, SetScorer& scorer, const std::string& source);
  int64_t store_directly(const FeatureBlock& block, SetScorer& scorer, const std::string& source);
  // Takes a row that waited apart.
  void read(Datum row, Datum* values, bool* nulls);

  bool direct_ = false;
  Oid transactions_, changes_, ids_;
  TupleDesc waiting_ = nullptr;
  MemoryContext context_, block_context_;
  TableWriter transaction_writer_, change_writer_;
};

constexpr size_t kTransactionColumns = 25, kChangeColumns = 16;

RowWriter::RowWriter(TimestampTz first, TimestampTz last)
    : context_(CurrentMemoryContext),
      transaction_writer_({
          {"card", UUIDOID}, {"transaction_id", TEXTOID}, {"occurred_at", TIMESTAMPTZOID}, {"received_at", TIMESTAMPTZOID},
          {"amount", NUMERICOID}, {"merchant", TEXTOID}, {"category", TEXTOID}, {"merchant_latitude", FLOAT8OID},
          {"merchant_longitude", FLOAT8OID}, {"home_latitude", FLOAT8OID}, {"home_longitude", FLOAT8OID}, {"city_population", INT8OID},
          {"age", FLOAT4OID}, {"source", TEXTOID}, {"model", TEXTOID}, {"model_version", INT4OID}, {"score", FLOAT8OID},
          {"decision", TEXTOID}, {"features", FLOAT4ARRAYOID}, {"is_fraud", BOOLOID}, {"label_known_at", TIMESTAMPTZOID},
          {"label_changes", TIMESTAMPTZARRAYOID}, {"currency", TEXTOID}, {"base_amount", NUMERICOID}, {"attributes", JSONBOID}}),
      change_writer_({
          {"change_id", INT8OID}, {"slot", INT2OID}, {"sign", INT2OID}, {"card", UUIDOID}, {"transaction_id", TEXTOID},
          {"occurred_at", TIMESTAMPTZOID}, {"amount", NUMERICOID}, {"merchant", TEXTOID}, {"category", TEXTOID}, {"state", TEXTOID},
          {"model", TEXTOID}, {"model_version", INT4OID}, {"score", FLOAT8OID}, {"decision", TEXTOID}, {"is_fraud", BOOLOID},
          {"known_at", TIMESTAMPTZOID}}) {
  const Oid schema = fraud_schema();
  protect([&] {
    transactions_ = get_relname_relid("transactions", schema);
    changes_ = get_relname_relid("changes", schema);
    ids_ = get_relname_relid("change_ids", schema);
    block_context_ = AllocSetContextCreate(context_, "fraud_detect history rows", ALLOCSET_DEFAULT_SIZES);
  });
  direct_ = guc_direct_access && transaction_writer_.takes(transactions_, false) && change_writer_.takes(changes_, false);
  // From the first payment's to the last's; each has its table by now. Mostly they are months.
  TimestampTz ends;
  for (TimestampTz time = first; direct_ && time <= last; time = ends) {
    const Oid part = partition_at(transactions_, time, &ends);
    direct_ = !OidIsValid(part) || transaction_writer_.takes(part, true);
  }
  for (int16 slot = 0; direct_ && slot < 4; ++slot) {
    const Oid part = partition_of(changes_, slot);
    direct_ = OidIsValid(part) && change_writer_.takes(part, true);
  }
}

RowWriter::~RowWriter() noexcept {
  if (std::uncaught_exceptions() > 0) return;  // the abort frees it with its parent
  MemoryContextDelete(block_context_);
}

int64_t RowWriter::store(const FeatureBlock& block, SetScorer& scorer, const std::string& source) {
  MemoryContext context = block_context_;
  MemoryContext old = MemoryContextSwitchTo(context);
  const int64_t stored = direct_ ? store_directly(block, scorer, source) : store_by_statement(block, scorer, source);
  MemoryContextSwitchTo(old);
  protect([&] { MemoryContextReset(context); });
  return stored;
}

void RowWriter::read(Datum row, Datum* values, bool* nulls) {
  protect([&] {
    HeapTupleHeader header = DatumGetHeapTupleHeader(row);
    if (waiting_ == nullptr) {
      MemoryContext old = MemoryContextSwitchTo(context_);
      waiting_ = lookup_rowtype_tupdesc_copy(HeapTupleHeaderGetTypeId(header), HeapTupleHeaderGetTypMod(header));
      MemoryContextSwitchTo(old);
      if (waiting_->natts != static_cast<int>(kWaitingColumns)) elog(ERROR, "unexpected columns");
    }
    HeapTupleData tuple;
    tuple.t_len = HeapTupleHeaderGetDatumLength(header);
    ItemPointerSetInvalid(&tuple.t_self);
    tuple.t_tableOid = InvalidOid;
    tuple.t_data = header;
    heap_deform_tuple(&tuple, waiting_, values, nulls);
  });
}

int64_t RowWriter::store_directly(const FeatureBlock& block, SetScorer& scorer, const std::string& source) {
  const FeatureSet& set = *scorer.feature_set();
  const size_t width = set.features.size(), places = set.places.empty() ? 0 : set.places.back() + 1;
  const size_t vector_bytes = ARR_OVERHEAD_NONULLS(1) + places * sizeof(float);
  const Datum model = text_param(scorer.model().model).value, source_name = text_param(source).value;
  const Datum received = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
  const OpenSlot open = open_slot();
  const int16 slot = open.slot;
  const Oid changes = open.table;
  Oid month = InvalidOid;
  TimestampTz month_ends = DT_NOBEGIN;
  int64_t stored = 0;
  for (size_t i = 0; i < block.rows; ++i) {
    if (block.table_rows[i] == 0) continue;  // stored before
    Datum waiting[kWaitingColumns];
    bool missing[kWaitingColumns];
    read(block.table_rows[i], waiting, missing);
    const float* features = block.features + i * width;
    const auto score = static_cast<double>(scorer.score(features));
    const Datum vector = protect([&] {
      auto* array = static_cast<ArrayType*>(palloc(vector_bytes));
      SET_VARSIZE(array, vector_bytes);
      array->ndim = 1;
      array->dataoffset = 0;
      array->elemtype = FLOAT4OID;
      ARR_DIMS(array)[0] = static_cast<int>(places);
      ARR_LBOUND(array)[0] = 1;
      auto* values = reinterpret_cast<float*>(ARR_DATA_PTR(array));
      size_t feature = 0;
      for (size_t place = 0; place < places; ++place) {
        values[place] = set.places[feature] == place ? features[feature++] : std::numeric_limits<float>::quiet_NaN();
      }
      return PointerGetDatum(array);
    });
    if (block.times[i] >= month_ends) {
      month = partition_at(transactions_, block.times[i], &month_ends);
      if (!OidIsValid(month)) {
        throw SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "fraud.transactions has no partition for a payment's time", {},
                       kPartitionHint);
      }
    }
    // received_at: as its default.
    const Datum row[kTransactionColumns] = {
        waiting[kCard], waiting[kTransactionId], waiting[kOccurredAt], received, waiting[kAmount], waiting[kMerchant],
        waiting[kCategory], waiting[kMerchantLatitude], waiting[kMerchantLongitude], waiting[kHomeLatitude],
        waiting[kHomeLongitude], waiting[kCityPopulation], waiting[kAge], source_name, model,
        Int32GetDatum(scorer.model().version), Float8GetDatum(score), (Datum)0, vector, waiting[kIsFraud],
        waiting[kLabelKnownAt], waiting[kLabelChanges], waiting[kCurrency], waiting[kBaseAmount], waiting[kAttributes]};
    const bool nulls[kTransactionColumns] = {
        false, false, false, false, false, false, missing[kCategory], missing[kMerchantLatitude], missing[kMerchantLongitude],
        missing[kHomeLatitude], missing[kHomeLongitude], missing[kCityPopulation], missing[kAge], false, false, false, false,
        true, false, missing[kIsFraud], missing[kLabelKnownAt], missing[kLabelChanges], false, false, missing[kAttributes]};
    transaction_writer_.add(month, row, nulls);
    const Oid ids = ids_;
    const int64 number = protect([&] { return nextval_internal(ids, false); });
    const Datum change[kChangeColumns] = {
        Int64GetDatum(number), Int16GetDatum(slot), Int16GetDatum(1), waiting[kCard], waiting[kTransactionId],
        waiting[kOccurredAt], waiting[kBaseAmount], waiting[kMerchant], waiting[kCategory], waiting[kState], model,
        Int32GetDatum(scorer.model().version), Float8GetDatum(score), (Datum)0, (Datum)0, (Datum)0};
    const bool change_nulls[kChangeColumns] = {false, false, false, false, false, false, false, false, missing[kCategory],
                                               missing[kState], false, false, false, true, true, true};
    change_writer_.add(changes, change, change_nulls);
    ++stored;
  }
  transaction_writer_.flush();
  change_writer_.flush();
  return stored;
}

int64_t RowWriter::store_by_statement(const FeatureBlock& block, SetScorer& scorer, const std::string& source) {
  Spi spi;
  Column rows(INT8OID), scores(FLOAT8OID);
  VectorColumn vectors(*scorer.feature_set());
  const size_t width = scorer.feature_set()->features.size();
  for (size_t i = 0; i < block.rows; ++i) {
    if (block.table_rows[i] == 0) continue;  // stored before
    Datum waiting[kWaitingColumns];
    bool missing[kWaitingColumns];
    read(block.table_rows[i], waiting, missing);
    const float* features = block.features + i * width;
    rows.add(int8_param(DatumGetInt64(waiting[kHistoryRow])));
    scores.add(float8_param(static_cast<double>(scorer.score(features))));
    vectors.add(features);
  }
  if (rows.size() == 0) return 0;
  spi.run(insert_transactions,
          {rows.array(), scores.array(), text_param(source), text_param(scorer.model().model),
           int4_param(scorer.model().version), vectors.array(), vectors.width()});
  return static_cast<int64_t>(rows.size());
}

}  // namespace

size_t history_step() { return 10 * static_cast<size_t>(guc_ingest_batch_size); }

HistoryStore::HistoryStore(std::string source, const Interval& label_delay, Oid role, KeptWindows* windows)
    : source_(std::move(source)), label_delay_(label_delay), role_(role), windows_(windows) {
  OwnerScope owner;
  Spi spi;
  spi.run(create_waiting, {});
}

HistoryStore::Counts HistoryStore::add(PaymentBatch& batch) {
  OwnerScope owner;
  prefer_index_scans();
  auto following = std::stable_partition(batch.payments.begin(), batch.payments.end(),
                                         [](const Payment& payment) { return !is_follow_up(payment.kind); });
  follow_ups_.insert(follow_ups_.end(), std::make_move_iterator(following), std::make_move_iterator(batch.payments.end()));
  batch.payments.erase(following, batch.payments.end());
  std::vector<IngestOutcome> outcomes(batch.payments.size());
  NumberGate gate(role_);
  Spi spi;
  hide_ids(spi, batch);
  std::vector<Refusal> refused;
  CardLookup cards(spi, false);
  const std::vector<Entry> all = admit(batch, cards, gate, outcomes, refused);
  std::vector<Entry> entries = all;
  claim(spi, cards, entries, outcomes, refused, nullptr, false);
  if (!entries.empty()) keep_waiting(spi, entries);
  Counts counts;
  for (const Entry& entry : all) {
    if (outcomes[entry.outcome].status != IngestStatus::kDuplicate) continue;
    ++counts.present;
    if (entry.payment->is_fraud.value_or(false)) late_labels_.emplace_back(entry.payment->transaction_id, entry.card);
  }
  write_labels(spi, all, outcomes, source_, nullptr, label_delay_);
  std::vector<RejectedPayment> letters = letters_of(refused, batch);
  counts.taken = static_cast<int64_t>(entries.size());
  counts.rejected = static_cast<int64_t>(letters.size());
  taken_ += counts.taken;
  write_dead_letters(spi, source_, std::move(letters), cards, gate, Beside::kNone);
  gate.tell();
  return counts;
}

// Puts the payments into the temporary table, which is ours alone.
void HistoryStore::keep_waiting(Spi& spi, const std::vector<Entry>& entries) {
  const std::vector<std::optional<Datum>> states = states_of(spi, entries);
  if (waiting_ == InvalidOid) {
    spi.run(waiting_relation, {});
    waiting_ = static_cast<Oid>(*spi.integer(0, 1));
  }
  TableWriter writer({"history_row", "card", "transaction_id", "occurred_at", "amount", "merchant", "category",
                      "merchant_latitude", "merchant_longitude", "home_latitude", "home_longitude", "city_population", "age",
                      "is_fraud", "label_known_at", "label_changes", "currency", "base_amount", "attributes", "state"});
  const auto number = [](const std::optional<double>& value) { return value ? float8_param(*value) : null_param(); };
  size_t customer = 0;
  for (size_t i = 0; i < entries.size(); ++i) {
    const Entry& entry = entries[i];
    const Payment& payment = *entry.payment;
    if (i > 0 && entry.card != entries[i - 1].card) ++customer;
    const std::string amount = format_amount(payment.amount_minor, payment.decimals);
    const bool is_fraud = payment.is_fraud.value_or(false);
    const SqlValue values[kWaitingColumns] = {
        int8_param(taken_ + static_cast<int64_t>(i) + 1),
        uuid_param(card_uuid(entry.card)),
        text_param(payment.transaction_id),
        time_param(entry.occurred_at),
        {numeric_of(amount)},
        text_param(payment.merchant),
        optional_text_param(payment.category),
        number(payment.merchant_latitude),
        number(payment.merchant_longitude),
        number(payment.latitude),
        number(payment.longitude),
        payment.city_population ? int8_param(*payment.city_population) : null_param(),
        age_at(payment),
        // A label says fraud; that a payload says nothing is none.
        is_fraud ? bool_param(true) : null_param(),
        is_fraud ? time_param(label_known_at(entry.occurred_at, label_delay_)) : null_param(),
        null_param(),
        text_param(currency_of(payment)),
        {numeric_of(entry.base_amount)},
        payment.attributes.empty() ? null_param() : jsonb_param(payment.attributes),
        states[customer] ? SqlValue{*states[customer]} : null_param()};
    Datum row[kWaitingColumns];
    bool nulls[kWaitingColumns];
    for (size_t column = 0; column < kWaitingColumns; ++column) {
      row[column] = values[column].value;
      nulls[column] = values[column].null;
    }
    writer.add(waiting_, row, nulls);
    first_ = std::min(first_, entry.occurred_at);
    last_ = std::max(last_, entry.occurred_at);
  }
  writer.flush();
}

int64_t HistoryStore::finish(const std::function<void(int64_t)>& tell) {
  OwnerScope owner;
  const int64_t stored = taken_ > 0 ? store_waiting(tell) : 0;
  // What reads them has ended: nothing may be dropped that is open still.
  Spi spi;
  store_late(spi);
  drop_temporary(spi, taken_ > 0);
  return stored;
}

// Stores what followed the payments, once these are stored.
void HistoryStore::store_late(Spi& spi) {
  if (follow_ups_.empty()) return;
  prefer_index_scans();
  PaymentBatch batch;
  batch.payments = std::move(follow_ups_);
  NumberGate gate(role_);
  hide_ids(spi, batch);
  refer(spi, batch, false);
  CardLookup cards(spi, false);
  std::vector<IngestOutcome> outcomes(batch.payments.size());
  std::vector<Refusal> refused;
  std::vector<Entry> entries = admit(batch, cards, gate, outcomes, refused);
  store_follow_ups(spi, entries, {source_, GetCurrentTransactionStartTimestamp(), nullptr}, outcomes, refused, false, true);
  write_dead_letters(spi, source_, letters_of(refused, batch), cards, gate, Beside::kNone);
  gate.tell();
}

// Computes the features of those that wait, and stores them.
int64_t HistoryStore::store_waiting(const std::function<void(int64_t)>& tell) {
  auto set = std::make_shared<FeatureSet>(*payments_feature_set(false));
  mark_all_tiles(set->name, DT_NOBEGIN, DT_NOEND);
  RowWriter rows(first_, last_);
  {
    Spi spi;
    if (!late_labels_.empty()) {
      Column ids(TEXTOID), cards(UUIDOID);
      for (const auto& [id, card] : late_labels_) {
        ids.add(text_param(id));
        cards.add(uuid_param(card_uuid(card)));
      }
      spi.run(label_waiting, {ids.array(), cards.array()});
    }
    if (!rows.direct()) {
      spi.run(index_waiting, {});
      spi.run(analyze_waiting, {});
    }
    create_events(spi);
    spi.run(events_relation, {});
    set->relation = static_cast<Oid>(*spi.integer(0, 1));
    set->row = "history_row";
  }
  // What is known otherwise of payments that went through the windows already.
  if (windows_ != nullptr && !late_labels_.empty()) windows_->forget();
  int64_t stored = 0;
  SetScorer scorer(resolve_model("payments", false), set);
  FeatureStream stream(set, first_, last_ + 1, DT_NOEND, windows_);
  FeatureBlock block;
  while (stream.next(&block)) {
    OwnerScope block_owner;  // whose settings end with the block
    prefer_index_scans();
    stored += rows.store(block, scorer, source_);
    tell(stored);
  }
  return stored;
}

}  // namespace fraud::pg
