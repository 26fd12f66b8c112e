// Tables whose rows are found, added and changed without a statement: by the table and index access
// methods, as the executor does it. An executor that is started for one row costs several times
// what the row does.
//
// Only where nothing but that would happen: with triggers that it would fire, rules, row security that
// counts for us, rights that we lack, generated columns, constraints and defaults of others, columns of other types, or
// beyond READ COMMITTED (where a statement must find what its snapshot does not see), is_plain() says no, and the
// caller runs his statement.
#pragma once

#include <vector>

#include "pg/server/server.h"

extern "C" {
#include "nodes/execnodes.h"
#include "utils/rel.h"
}

namespace fraud::pg {

// A column, and the type that the values for it have: nobody converts them.
struct PlainColumn {
  PlainColumn(const char* the_name, Oid the_type = InvalidOid) : name(the_name), type(the_type) {}
  const char* name;
  Oid type;
};

// Whether the attribute takes values of the column's type as they are.
bool takes_as_is(const PlainColumn& column, Form_pg_attribute attribute);

// Whether the session's user may do this with the table, and no policy has a say in it. Plain Postgres code, for protect().
bool may_use(Oid table, AclMode right);

// Whether an INSERT would fire a trigger of the table. Plain Postgres code, for protect().
bool fires_on_insert(Relation table);

class PlainTable {
 public:
  // kUpdate stands for INSERT … ON CONFLICT DO UPDATE that finds a row, which fires the triggers of both.
  enum class Use { kInsert, kUpdate };

  // Opens the table for one column list; `columns` end with one whose name is nullptr. `check` is the
  // CHECK constraint that is ours, which the rows fulfil; `parent` the table that it is a partition of, which statements
  // name. The first `keys` columns are the primary key, for find(). Locks tables as a statement would. Throws PgError.
  PlainTable(Oid table, const PlainColumn* columns, Use use, int keys = 0, const char* check = nullptr, Oid parent = InvalidOid);
  ~PlainTable() noexcept;
  PlainTable(const PlainTable&) = delete;
  PlainTable& operator=(const PlainTable&) = delete;

  bool is_plain() const noexcept { return plain_; }

  // Adds a row: values and nulls in the order of the columns; all others are null. A key that is there already is
  // an error, and so is null where a column must not be.
  void insert(const Datum* values, const bool* nulls);

  // Finds the row that the snapshot sees with that primary key; false where there is none. Its values are in the order of
  // the columns, until the next find().
  bool find(const Datum* keys, Snapshot snapshot);
  // Tells whether another transaction, which has not ended, adds a row with that primary key: adding it too would be waiting
  // for that one's end.
  bool is_being_added(const Datum* keys);
  Datum value(int column) const noexcept { return found_values_[static_cast<size_t>(column)]; }
  bool is_null(int column) const noexcept { return found_nulls_[static_cast<size_t>(column)] != 0; }

  // Changes the row that was found, which keeps what the columns do not name, waiting for whoever else changes it. False, and nothing was done, where another was faster.
  bool update(const Datum* values, const bool* nulls, Snapshot snapshot);

 private:
  void add_to_indexes(bool summarizing_only, const TupleTableSlot* old);
  TupleTableSlot* new_row(const Datum* values, const bool* nulls, TupleTableSlot* old);

  Relation table_ = nullptr;
  bool plain_ = false;
  int keys_ = 0;
  Relation key_ = nullptr;  // one of the indexes
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
