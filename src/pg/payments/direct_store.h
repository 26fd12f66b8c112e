// The rows of a payment, written without a statement where the tables are plain (plain_table.h).
// Each step says whether it did its work; what it did not do the caller does by SQL, and both give the same rows.
#pragma once

#include <optional>
#include <set>
#include <string_view>
#include <vector>

#include "pg/payments/payment_store.h"
#include "pg/server/current_snapshot.h"
#include "pg/server/plain_table.h"

namespace fraud::pg {

// fraud.payment_keys.
class KeyRows {
 public:
  KeyRows();
  bool is_plain() const noexcept { return table_.is_plain(); }
  // Whether the payment is stored as of the snapshot; `content` is then the hash of what is, if it is known.
  bool find(const Entry& entry, Snapshot snapshot, std::optional<int64_t>* content);
  void insert(const Entry& entry);

 private:
  PlainTable table_;
};

// Updates the customers of the entries, which are sorted by card, in that order, and thereby locks them. Stops at the first who
// is new, or whom another transaction has changed since the snapshot. Returns how many entries' customers
// are done; those entries know their home's state.
size_t update_customers(std::vector<Entry>& entries, Snapshot snapshot);

// Whether the merchants of all entries are there.
bool merchants_are_there(const std::vector<Entry>& entries, Snapshot snapshot);

// Those merchants of the payments that another transaction adds and has not committed.
std::set<std::string_view> merchants_being_added(const std::vector<Entry>& entries);

// What the payment itself says, as the columns of fraud.transactions that these names are of.
extern const PlainColumn kPaymentColumnNames[];
std::array<SqlValue, 15> stored_values(const Entry& entry);

// Stores the payments and their rows of the log of changes; false, and nothing was done, where that takes
// a statement. The entries know their homes' states.
struct StoredAs {
  const FeatureSet& set;
  const ResolvedModel& model;
  std::vector<SqlValue> sources, received_at;  // of each entry
};
bool insert_payments(const std::vector<Entry>& entries, const StoredAs& as);

}  // namespace fraud::pg
