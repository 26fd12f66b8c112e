// Rows of our own tables, found by the first columns of an index, many times over without a plan: the
// tables stay open, and so does the scan.
#pragma once

#include "pg/server/server.h"

extern "C" {
#include "access/genam.h"
#include "executor/tuptable.h"
#include "utils/rel.h"
}

namespace fraud::pg {

class RowLookup {
 public:
  // Opens a table of the schema fraud and one of its btree indexes. Throws PgError.
  RowLookup(const char* table, const char* index);
  ~RowLookup() noexcept;
  RowLookup(const RowLookup&) = delete;
  RowLookup& operator=(const RowLookup&) = delete;

  // Whether a statement that looks for rows by the table's first `columns`, which the index begins with, would do no more
  // than this: false where a policy counts for us, rights or such an index are missing, or the rows are elsewhere.
  static bool suffices(const char* table, const char* index, int columns);

  // Whether the table has never had a row, or not since it was last emptied by vacuum.
  bool is_empty() const;

  // Begins with the rows whose first `count` columns of the index are equal to the values, as the snapshot sees them; it
  // lives as long as it is asked for them.
  void find(const Datum* values, int count, Snapshot snapshot);
  // The next of them; false: there is none.
  bool next();
  // The number of a column, from 1; 0 where there is none.
  int place(const char* column) const;
  // A column of that row, by its number, until the next one.
  Datum value(int column, bool* null) const;

 private:
  Relation heap_ = nullptr, index_ = nullptr;
  IndexScanDesc scan_ = nullptr;
  Snapshot snapshot_ = nullptr;
  TupleTableSlot* slot_ = nullptr;
  RegProcedure equals_[INDEX_MAX_KEYS] = {};
  int exceptions_;
};

}  // namespace fraud::pg
