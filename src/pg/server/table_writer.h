// Writes many rows into tables of ours as COPY does, pages at a time and without a plan.
//
//   TableWriter writer({"card", "occurred_at", …});
//   if (writer.takes(root) && writer.takes(partition)) writer.add(partition, values, nulls);
//   writer.flush();
//
// What a trigger, a rule, row security or a column of somebody else's would have a say in is
// not taken: then it is for SQL to write.
#pragma once

#include <memory>
#include <vector>

#include "pg/server/plain_table.h"
#include "pg/server/server.h"

namespace fraud::pg {

class TableWriter {
 public:
  // The columns that add() gives; a table that has others, or lacks one, is not taken.
  explicit TableWriter(std::vector<PlainColumn> columns);
  ~TableWriter() noexcept;
  TableWriter(const TableWriter&) = delete;
  TableWriter& operator=(const TableWriter&) = delete;

  // Tells whether nothing but the rows themselves decides what is written. Of a partitioned
  // table both it and the partition are asked; the partition, which gets the rows, with `leaf`.
  bool takes(Oid table, bool leaf) const;

  // Adds a row, all columns given. What the values point to must live until flush().
  void add(Oid table, const Datum* values, const bool* nulls);
  // Writes what was added, and shows it to the statements that follow. A table that nothing was
  // added to is closed.
  void flush();

 private:
  struct Target;
  Target& target(Oid table);

  std::vector<PlainColumn> columns_;
  MemoryContext context_;  // where it was made, which outlives it
  std::vector<std::unique_ptr<Target>> targets_;
  size_t latest_ = 0;
};

// Returns the partition, by a range of times, that a time belongs to, or InvalidOid; `ends` is the time
// from which on it may be another.
Oid partition_at(Oid root, TimestampTz time, TimestampTz* ends);
// Returns the partition of a list that a smallint belongs to, or InvalidOid.
Oid partition_of(Oid root, int16 value);

}  // namespace fraud::pg
