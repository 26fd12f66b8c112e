// Tables whose rows are found, added and changed without a statement: by the table and index access
// methods, as the executor does it. An executor that is started for one row costs several times
// what the row does.
//
// Only where nothing but that would happen: with triggers that it would fire, rules, row security that is
// forced, generated columns, constraints of others, or beyond READ COMMITTED (where a statement must
// find what its snapshot does not see), is_plain() says no, and the caller runs his statement.
#pragma once

#include <vector>

#include "pg/server/server.h"

extern "C" {
#include "nodes/execnodes.h"
#include "utils/rel.h"
}

namespace fraud::pg {

class PlainTable {
 public:
  enum class Use { kInsert, kUpdate };

  // Opens the table for one column list; `columns` are names that end with a nullptr. `checks` is how many
  // CHECK constraints are ours, all of which the rows fulfil; `parent` the table that it is a partition of, which statements
  // name. Locks both as a statement would. Throws PgError.
  PlainTable(Oid table, const char* const* columns, Use use, int checks = 0, Oid parent = InvalidOid);
  ~PlainTable() noexcept;
  PlainTable(const PlainTable&) = delete;
  PlainTable& operator=(const PlainTable&) = delete;

  bool is_plain() const noexcept { return plain_; }

  // Adds a row: values and nulls in the order of the columns; all others are null. A key that is there already is
  // an error. False, and nothing was done, where a column must not be null.
  bool insert(const Datum* values, const bool* nulls);

  // Finds the row that the snapshot sees by the columns of an index (a btree), equal to `keys`; null where there is none.
  // Values in the order of the columns. The row is that of the last find().
  bool find(Oid index, const Datum* keys, int count, Snapshot snapshot);
  Datum value(int column) const noexcept { return found_values_[static_cast<size_t>(column)]; }
  bool is_null(int column) const noexcept { return found_nulls_[static_cast<size_t>(column)] != 0; }

  // Changes the row that was found, which keeps what the columns do not name, waiting for whoever else changes it. False, and nothing was done, where another was faster.
  bool update(const Datum* values, const bool* nulls, Snapshot snapshot);

 private:
  void add_to_indexes(bool summarizing_only);
  TupleTableSlot* new_row(const Datum* values, const bool* nulls, TupleTableSlot* old);

  Relation table_ = nullptr;
  bool plain_ = false;
  std::vector<AttrNumber> places_;  // of the columns
  std::vector<Relation> indexes_;
  std::vector<IndexInfo*> index_infos_;
  EState* executor_ = nullptr;  // for indexes on expressions
  TupleTableSlot *row_ = nullptr, *found_ = nullptr;
  std::vector<Datum> found_values_;
  std::vector<char> found_nulls_;
  int exceptions_;
};

}  // namespace fraud::pg
