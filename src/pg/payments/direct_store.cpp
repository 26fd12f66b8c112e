#include "pg/payments/direct_store.h"

#include "core/payments/currency.h"

#include <array>
#include <exception>
#include <map>
#include <memory>

#include "pg/payments/change_log.h"
#include "pg/server/boundary.h"
#include "pg/server/owner_scope.h"

extern "C" {
#include "access/table.h"
#include "storage/lmgr.h"
}

namespace fraud::pg {

namespace {

Oid relation(const char* name) {
  const Oid schema = fraud_schema();
  return protect([&] {
    const Oid found = get_relname_relid(name, schema);
    if (!OidIsValid(found)) elog(ERROR, "relation fraud.%s does not exist", name);
    return found;
  });
}

// The values of a row, as PlainTable takes them.
template <size_t N>
struct Row {
  std::array<Datum, N> values{};
  std::array<bool, N> nulls{};
  void set(size_t column, SqlValue value) {
    values[column] = value.value;
    nulls[column] = value.null;
  }
};

const PlainColumn kKeyColumns[] = {{"transaction_id", TEXTOID}, {"card", UUIDOID}, {"occurred_at", TIMESTAMPTZOID}, {"content_hash", INT8OID},
                                   nullptr};

// Those of which the later payment's value counts, or the one that there is, are between others.
enum CustomerColumn { kCard, kLastFour, kFirstName, kLastName, kGender, kStreet, kCity, kState, kZip, kJob, kLatitude, kLongitude,
                      kPopulation, kBirth, kKind, kCustomerId, kFirstAt, kLastAt, kCustomerColumns };
const PlainColumn kCustomerNames[] = {
    {"card", UUIDOID}, {"last_four", TEXTOID}, {"first_name", TEXTOID}, {"last_name", TEXTOID}, {"gender", TEXTOID}, {"street", TEXTOID},
    {"city", TEXTOID}, {"state", TEXTOID}, {"zip", TEXTOID}, {"job", TEXTOID}, {"latitude", FLOAT8OID}, {"longitude", FLOAT8OID},
    {"city_population", INT8OID}, {"date_of_birth", DATEOID}, {"customer_kind", TEXTOID}, {"customer_id", TEXTOID},
    {"first_payment_at", TIMESTAMPTZOID}, {"last_payment_at", TIMESTAMPTZOID}, nullptr};

const PlainColumn kMerchantColumns[] = {{"merchant", TEXTOID}, {"category", TEXTOID}, {"first_payment_at", TIMESTAMPTZOID}, nullptr};

}  // namespace

KeyRows::KeyRows()
    : table_(relation("payment_keys"), kKeyColumns, PlainTable::Use::kInsert, 2) {}

bool KeyRows::find(const Entry& entry, Snapshot snapshot, std::optional<int64_t>* content) {
  const Datum keys[] = {text_param(entry.payment->transaction_id).value, uuid_param(card_uuid(entry.card)).value};
  if (!table_.find(keys, snapshot)) return false;
  *content = table_.is_null(3) ? std::nullopt : std::optional<int64_t>(DatumGetInt64(table_.value(3)));
  return true;
}

void KeyRows::insert(const Entry& entry) {
  Row<4> row;
  row.set(0, text_param(entry.payment->transaction_id));
  row.set(1, uuid_param(card_uuid(entry.card)));
  row.set(2, time_param(entry.occurred_at));
  row.set(3, int8_param(entry.content));
  table_.insert(row.values.data(), row.nulls.data());
}

namespace {

// The CHECK constraint of fraud.customers.
bool fulfils_check(const Payment& payment) {
  const std::string& digits = payment.last_four;
  return digits.empty() || (digits.size() == 4 && digits.find_first_not_of("0123456789") == std::string::npos);
}

}  // namespace

size_t update_customers(std::vector<Entry>& entries, Snapshot snapshot) {
  PlainTable table(relation("customers"), kCustomerNames, PlainTable::Use::kUpdate, 1, "customers_last_four_check");
  if (!table.is_plain()) return 0;
  for (size_t begin = 0, end; begin < entries.size(); begin = end) {
    end = begin + 1;
    while (end < entries.size() && entries[end].card == entries[begin].card) ++end;
    const Datum key = uuid_param(card_uuid(entries[begin].card)).value;
    if (!fulfils_check(*entries[end - 1].payment) || !table.find(&key, snapshot)) return begin;
    const std::vector<SqlValue> given = customer_values(entries, begin, end);
    const bool later = DatumGetTimestampTz(given[kLastAt].value) >= DatumGetTimestampTz(table.value(kLastAt));
    Row<kCustomerColumns> row;
    for (int i = 0; i < kCustomerColumns; ++i) {
      const auto column = static_cast<size_t>(i);
      const SqlValue known{table.value(i), table.is_null(i)};
      // A later payment's details are taken where it has them, an earlier one only fills gaps.
      const bool detail = i >= kFirstName && i <= kBirth;
      const bool take = known.null || (detail && later && !given[column].null);
      row.set(column, take ? given[column] : known);
    }
    row.set(kCard, {table.value(kCard), false});
    row.set(kFirstAt, {TimestampTzGetDatum(std::min(DatumGetTimestampTz(given[kFirstAt].value), DatumGetTimestampTz(table.value(kFirstAt)))), false});
    row.set(kLastAt, {TimestampTzGetDatum(std::max(DatumGetTimestampTz(given[kLastAt].value), DatumGetTimestampTz(table.value(kLastAt)))), false});
    if (!table.update(row.values.data(), row.nulls.data(), snapshot)) return begin;
    SqlValue state{row.values[kState], row.nulls[kState]};
    if (!state.null) state.value = protect([&] { return PointerGetDatum(PG_DETOAST_DATUM_COPY(state.value)); });
    for (size_t i = begin; i < end; ++i) entries[i].home_state = state;
  }
  return entries.size();
}

bool merchants_are_there(const std::vector<Entry>& entries, Snapshot snapshot) {
  PlainTable table(relation("merchants"), kMerchantColumns, PlainTable::Use::kInsert, 1);
  if (!table.is_plain()) return false;
  std::map<std::string_view, bool> seen;
  for (const Entry& entry : entries) {
    if (!seen.emplace(entry.payment->merchant, true).second) continue;
    const Datum key = text_param(entry.payment->merchant).value;
    if (!table.find(&key, snapshot)) return false;
  }
  return true;
}

std::set<std::string_view> merchants_being_added(const std::vector<Entry>& entries) {
  std::set<std::string_view> found;
  PlainTable table(relation("merchants"), kMerchantColumns, PlainTable::Use::kInsert, 1);
  if (!table.is_plain()) return found;
  for (const Entry& entry : entries) {
    const Datum key = text_param(entry.payment->merchant).value;
    if (found.count(entry.payment->merchant) == 0 && table.is_being_added(&key)) found.insert(entry.payment->merchant);
  }
  return found;
}

namespace {

const PlainColumn kPaymentColumns[] = {
    {"card", UUIDOID}, {"transaction_id", TEXTOID}, {"occurred_at", TIMESTAMPTZOID}, {"amount", NUMERICOID}, {"merchant", TEXTOID},
    {"category", TEXTOID}, {"merchant_latitude", FLOAT8OID}, {"merchant_longitude", FLOAT8OID}, {"home_latitude", FLOAT8OID},
    {"home_longitude", FLOAT8OID}, {"city_population", INT8OID}, {"age", FLOAT4OID}, {"currency", TEXTOID}, {"base_amount", NUMERICOID},
    {"attributes", JSONBOID}, {"score", FLOAT8OID}, {"decision", TEXTOID}, {"source", TEXTOID}, {"received_at", TIMESTAMPTZOID},
    {"model", TEXTOID}, {"model_version", INT4OID}, {"features", FLOAT4ARRAYOID}, nullptr};
constexpr size_t kPaymentValues = 22, kAmount = 3, kBaseAmount = 13;

const PlainColumn kChangeColumns[] = {
    {"change_id", INT8OID}, {"slot", INT2OID}, {"sign", INT2OID}, {"card", UUIDOID}, {"transaction_id", TEXTOID},
    {"occurred_at", TIMESTAMPTZOID}, {"amount", NUMERICOID}, {"merchant", TEXTOID}, {"category", TEXTOID}, {"state", TEXTOID},
    {"model", TEXTOID}, {"model_version", INT4OID}, {"score", FLOAT8OID}, {"decision", TEXTOID}, nullptr};
constexpr size_t kChangeValues = 14;

SqlValue numeric_param(const std::string& text) {
  const char* digits = text.c_str();
  return {protect([&] {
    return DirectFunctionCall3(numeric_in, CStringGetDatum(digits), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
  })};
}

}  // namespace

const PlainColumn kPaymentColumnNames[] = {
    {"card", UUIDOID}, {"transaction_id", TEXTOID}, {"occurred_at", TIMESTAMPTZOID}, {"amount", NUMERICOID}, {"merchant", TEXTOID},
    {"category", TEXTOID}, {"merchant_latitude", FLOAT8OID}, {"merchant_longitude", FLOAT8OID}, {"home_latitude", FLOAT8OID},
    {"home_longitude", FLOAT8OID}, {"city_population", INT8OID}, {"age", FLOAT4OID}, {"currency", TEXTOID}, {"base_amount", NUMERICOID},
    {"attributes", JSONBOID}, nullptr};

std::array<SqlValue, 15> stored_values(const Entry& entry) {
  std::array<SqlValue, 15> values = payment_values(entry);
  values[kAmount] = numeric_param(format_amount(entry.payment->amount_minor, entry.payment->decimals));
  values[kBaseAmount] = numeric_param(entry.base_amount);
  return values;
}

bool insert_payments(const std::vector<Entry>& entries, const StoredAs& as) {
  // All tables first: where one takes a statement, nothing is done.
  const Oid payments = relation("transactions"), log = relation("changes");
  std::map<Oid, std::unique_ptr<PlainTable>> months;
  std::vector<PlainTable*> tables;
  for (const Entry& entry : entries) {
    const Oid month = month_partition(entry.occurred_at);
    if (!OidIsValid(month)) return false;
    std::unique_ptr<PlainTable>& table = months[month];
    if (table == nullptr) table = std::make_unique<PlainTable>(month, kPaymentColumns, PlainTable::Use::kInsert, 0, "transactions_decision_check", payments);
    if (!table->is_plain()) return false;
    tables.push_back(table.get());
  }
  // The log before the slot's table, as everybody does who locks both.
  protect([&] { LockRelationOid(log, RowExclusiveLock); });
  const OpenSlot slot = open_slot();
  PlainTable changes(slot.table, kChangeColumns, PlainTable::Use::kInsert, 0, "changes_check", log);
  if (!changes.is_plain()) return false;
  const SqlValue model = text_param(as.model.model), version = int4_param(as.model.version);
  for (size_t i = 0; i < entries.size(); ++i) {
    const Entry& entry = entries[i];
    Row<kPaymentValues> row;
    size_t column = 0;
    for (const SqlValue& value : stored_values(entry)) row.set(column++, value);
    const SqlValue score = float8_param(static_cast<double>(entry.score)), decision = optional_text_param(entry.decision);
    VectorColumn vector(as.set);
    vector.add(entry.features.data());
    for (const SqlValue& value : {score, decision, as.sources[i], as.received_at[i], model, version, vector.array()}) row.set(column++, value);
    tables[i]->insert(row.values.data(), row.nulls.data());
    Row<kChangeValues> change;
    const SqlValue values[] = {int8_param(next_change()), {Int16GetDatum(slot.slot)}, {Int16GetDatum(1)},
                               {row.values[0]}, {row.values[1]}, {row.values[2]}, {row.values[kBaseAmount]}, {row.values[4]},
                               {row.values[5], row.nulls[5]}, entry.home_state, model, version, score, decision};
    for (size_t c = 0; c < kChangeValues; ++c) change.set(c, values[c]);
    changes.insert(change.values.data(), change.nulls.data());
  }
  return true;
}

}  // namespace fraud::pg
