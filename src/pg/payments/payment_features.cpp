// The features of payments, as they arrive.
#include "pg/payments/payment_store.h"

#include "pg/features/feature_fault.h"
#include "pg/payments/direct_store.h"
#include "pg/server/boundary.h"
#include "pg/server/gucs.h"
#include "pg/server/owner_scope.h"
#include "pg/server/subtransaction.h"

namespace fraud::pg {

std::shared_ptr<const FeatureSet> payments_feature_set(bool read_only) {
  std::shared_ptr<const FeatureSet> set = find_feature_set("payments", read_only);
  if (set->features.empty()) {
    throw SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "feature set \"payments\" has no features",
                   "A model scores payments by its features.", "fraud.add_feature and fraud.add_window_feature add one.");
  }
  return set;
}

namespace {

Statement field_columns("SELECT fraud._field_columns('n'), fraud._payment_event_columns()", {});

// The payments as fraud.payment_events shows them once they are stored. With room for them, as rows of fraud.transactions too; then
// both arguments live as long as the result.
EventSource as_events(const FeatureSet& set, const std::vector<Entry>& entries, bool read_only,
                      std::vector<std::array<SqlValue, 15>>* rows = nullptr) {
  // Another field of fraud.payment_fields makes another revision of the set.
  static std::string revision, from, stored;
  if (revision != set.revision) {
    std::string fields;
    {
      Spi spi;
      spi.run(field_columns, {}, read_only);
      fields = *spi.text(0, 1);
      stored = *spi.text(0, 2);
    }
    from =
      "(SELECT n.card, n.transaction_id COLLATE \"C\" AS transaction_id, n.occurred_at,"
      "  n.amount::numeric AS amount, n.merchant, n.category, n.merchant_latitude,"
      "  n.merchant_longitude, n.home_latitude, n.home_longitude, n.city_population, n.age,"
      "  false AS is_fraud, NULL::timestamptz AS label_known_at, NULL::timestamptz[] AS label_changes,"
      "  n.currency COLLATE \"C\" AS currency, n.base_amount::numeric AS base_amount, n.attributes" + fields +
      " FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) n(card, transaction_id, occurred_at,"
      "  amount, merchant, category, merchant_latitude, merchant_longitude, home_latitude, home_longitude,"
      "  city_population, age, currency, base_amount, attributes)) e";
    revision = set.revision;
  }
  const auto arrays = [&entries] {
    PaymentColumns columns;
    for (const Entry& entry : entries) columns.add(entry);
    return columns.arrays();
  };
  EventSource source{from, PaymentColumns::types(), {}, {}, {}, {}};
  if (!rows || !guc_direct_access) {
    source.values = arrays();
    return source;
  }
  const Oid schema = fraud_schema();
  source.stored = {protect([&] { return get_relname_relid("transactions", schema); }), stored, kPaymentColumnNames};
  for (size_t i = 0; i < entries.size(); ++i) {
    (*rows)[i] = stored_values(entries[i]);
    source.rows.push_back({entries[i].occurred_at, (*rows)[i].data()});
  }
  source.make_values = arrays;
  return source;
}

// Throws the error again, with the names of the payment and the feature that it is about.
[[noreturn]] void throw_named(const FeatureSet& set, const std::vector<Entry>& entries, bool read_only, int sqlstate,
                              const std::string& message, const std::string& detail, const std::string& hint) {
  const Entry* culprit = entries.size() == 1 ? entries.data() : nullptr;
  for (size_t i = 0; culprit == nullptr && i < entries.size(); ++i) {
    try {
      in_subtransaction([&] {
        (void)online_features(payments_feature_set(read_only), as_events(set, {entries[i]}, read_only), read_only);
      });
    } catch (const PgError& error) {
      if (ERRCODE_TO_CATEGORY(error.data()->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION) throw;
      protect([&] { FreeErrorData(error.data()); });
      culprit = &entries[i];
    } catch (const SqlError&) {
      culprit = &entries[i];
    }
  }
  std::string what = "could not compute the features of ";
  if (culprit == nullptr) {
    what += std::to_string(entries.size()) + " payments at once";
  } else {
    const std::string feature = failing_feature(set, as_events(set, {*culprit}, read_only), read_only);
    if (!feature.empty()) what = "could not compute feature \"" + feature + "\" of ";
    what += "payment \"" + culprit->payment->transaction_id + "\"";
  }
  throw SqlError(sqlstate, what + ": " + message, detail, hint);
}

}  // namespace

void compute_features(const std::shared_ptr<const FeatureSet>& set, std::vector<Entry>& entries, bool read_only,
                      bool plain) {
  std::vector<float> vectors;
  std::vector<std::array<SqlValue, 15>> rows(entries.size());
  if (plain) {
    vectors = online_features(set, as_events(*set, entries, read_only, &rows), read_only, !read_only);
  } else {
    try {
      in_subtransaction([&] { vectors = online_features(set, as_events(*set, entries, read_only, &rows), read_only, !read_only); });
    } catch (const PgError& error) {
      const ErrorData* data = error.data();
      if (ERRCODE_TO_CATEGORY(data->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION) throw;
      auto or_empty = [](const char* text) { return std::string(text != nullptr ? text : ""); };
      throw_named(*set, entries, read_only, data->sqlerrcode, error.what(), or_empty(data->detail), or_empty(data->hint));
    } catch (const SqlError& error) {
      throw_named(*set, entries, read_only, error.sqlstate(), error.what(), error.detail(), error.hint());
    }
  }
  const size_t width = set->features.size();
  if (vectors.size() != entries.size() * width) {
    throw InternalError("unexpected number of feature vectors");
  }
  for (size_t i = 0; i < entries.size(); ++i) {
    const float* vector = vectors.data() + i * width;
    entries[i].features.assign(vector, vector + width);
  }
}

}  // namespace fraud::pg
