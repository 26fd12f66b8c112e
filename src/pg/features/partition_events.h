// Stored events, read from the partitions of fraud.transactions themselves: by their indexes, without
// a statement. An executor that is started for a few rows costs more than the rows, and a plan
// names, and locks, all months; here only those are opened that the time range meets.
//
// What a row gives is still SQL: the select list is planned for each partition once, and its
// expressions are evaluated by Postgres. Wherever a partition is not as expected (no such index,
// an expression in the key's place, row security that is forced, …) read() says no, and the caller runs his query.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "pg/server/plain_table.h"
#include "pg/server/server.h"
#include "pg/server/spi.h"

extern "C" {
#include "tcop/dest.h"
}

namespace fraud::pg {

// How the rows of a partitioned table become events.
struct StoredEvents {
  Oid table = InvalidOid;  // partitioned by the range of the events' time; invalid: there is none
  std::string columns;     // the events' columns, as a select list over rows called t
  const PlainColumn* names = nullptr;  // what a NewRow gives of the table's columns; one without a name ends them
};

// A row that is not stored yet: values in the order of StoredEvents::names; its other columns are null.
struct NewRow {
  TimestampTz time;
  const SqlValue* values;
};

// The events of one key.
struct EventRange {
  Datum key = 0;
  TimestampTz after = 0, until = 0;  // time > after and time <= until,
  TimestampTz before = 0;            // and (time, id) < (before, before_id)
  Datum before_id = 0;
};

class PartitionEvents {
 public:
  // `list`: "SELECT a, b, …" over events called e, the time first and the id second; `key`: the
  // expression of the key, or empty for rows that are not stored.
  PartitionEvents(StoredEvents stored, std::string list, std::string key);
  ~PartitionEvents() noexcept;
  PartitionEvents(const PartitionEvents&) = delete;
  PartitionEvents& operator=(const PartitionEvents&) = delete;

  // Begins another computation: what was found of the partitions holds until its end, as plans do.
  void begin() noexcept { ++computation_; }

  // Gives the range's events as of the snapshot to the receiver, in the order of (time, id), until it wants no more. False: they
  // cannot be read so, and none was given. SPI is open. Throws PgError.
  bool read(const EventRange& range, DestReceiver* receiver, Snapshot snapshot);

  // Gives what the rows would be as events, in their order; false as above.
  bool give(const std::vector<NewRow>& rows, DestReceiver* receiver);

 private:
  struct Partition;
  Partition* ready(Oid partition);

  StoredEvents stored_;
  std::string list_, key_;
  std::map<Oid, std::unique_ptr<Partition>> partitions_;
  bool reading_ = false;
  uint64_t computation_ = 0;
};

}  // namespace fraud::pg
