// From the executor's rows to what the feature engine takes, without a copy between.
#pragma once

#include <exception>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "pg/features/feature_set.h"
#include "pg/server/server.h"
#include "pg/server/spi.h"

extern "C" {
#include "tcop/dest.h"
}

namespace fraud::pg {

// What a query's column is.
struct EventColumn {
  enum class Kind {
    kTag,  // a bigint that goes with the row
    kRow,  // a row of a table that goes with it
    kTime, kId, kLabel, kKnownAt, kLabelChanges, kNumber, kCategory, kNumberInput, kHashInput, kKeyPart
  };
  Kind kind;
  size_t index = 0;  // of the local, of the input's place among the cells, of the key
  std::string sql;
};

// Returns "SELECT a, b, …" of the columns. Their names are none that a user's column
// has, or ORDER BY would take them for the user's.
std::string select_list(const std::vector<EventColumn>& columns);

constexpr uint32_t kNullKey = UINT32_MAX;

// Rows as the engine takes them, column by column.
struct EventBatch {
  size_t rows = 0;
  std::vector<int64_t> tags;  // 0 for a null one; empty without such a column
  std::vector<Datum> table_rows;  // 0 for a null one; empty without such a column
  std::vector<int64_t> times;
  std::vector<Datum> ids;  // by-reference ones live in the reader's context
  std::vector<float> labels;
  std::vector<int64_t> known_at;
  std::vector<int64_t> turns;       // when labels turned, of all rows, one after the other
  std::vector<size_t> turn_ends;    // rows; empty where none turned more than once
  std::vector<float> locals;       // rows x locals
  std::vector<Cell> cells;         // rows x cells
  std::string key_bytes;           // of all keys, one after the other
  std::vector<uint32_t> key_ends;  // rows x keys; kNullKey for a null one

  void clear();
  size_t bytes() const noexcept;
  // Gives the event of a row: its time, from when it is known to be fraud, how that turned.
  Event event(size_t row) const noexcept;
  // The label of a row as known by a time; NaN where it was not.
  float label_by(size_t row, int64_t known_by) const noexcept;
  // Gives the keys of one row; a null one has no data.
  void keys_of(size_t row, size_t keys, std::vector<std::string_view>* result) const;
};

// A receiver of query results that fills a batch.
class EventReader {
 public:
  EventReader(const FeatureSet& set, std::vector<EventColumn> columns, size_t locals, size_t cells,
              size_t keys);
  ~EventReader() noexcept;
  EventReader(const EventReader&) = delete;
  EventReader& operator=(const EventReader&) = delete;

  DestReceiver* receiver() noexcept { return reinterpret_cast<DestReceiver*>(&receiver_); }
  EventBatch& batch() noexcept { return batch_; }
  const EventBatch& batch() const noexcept { return batch_; }
  // Empties the batch and frees what its datums point to.
  void clear();
  // Memory of the batch and of what its datums point to.
  size_t bytes() const;
  // Throws what went wrong while rows were received (memory).
  void check() const;
  // The most that rows may take, in bytes; check() throws where it was more.
  void limit_memory(size_t bytes) noexcept { most_bytes_ = bytes; }
  bool over_limit() const noexcept { return over_limit_; }
  // Calls `use` whenever so many rows are there, and forgets them after it; the last ones it leaves. It raises nothing of
  // Postgres's; what it throws check() throws.
  void each_block(size_t rows, std::function<void()> use) {
    block_rows_ = rows;
    use_block_ = std::move(use);
  }
  // Keeps the id and the parts of keys of each row by column, until clear().
  void keep_values() noexcept { keep_values_ = true; }
  SqlValue value(size_t row, size_t column) const {
    const size_t place = row * columns_.size() + column;
    return {kept_values_[place], kept_nulls_[place] != 0};
  }
  // Ids of rows before that time are not needed, and left 0. The time's column must
  // be before the id's.
  void keep_ids_from(int64_t time_us) noexcept { ids_from_us_ = time_us; }
  // The types of the query's columns; known once a row was asked for.
  Oid column_type(size_t column) const { return types_[column]; }
  Oid column_collation(size_t column) const { return forms_[column].collation; }

 private:
  struct Receiver {
    DestReceiver base;
    EventReader* reader;
  };
  // How the value of a column is read.
  struct Form {
    bool by_value;
    int16 length;
    bool whole_number;  // its bits tell it apart
    bool numeric;
    FmgrInfo* hash;
    Oid collation;
  };

  static bool receive(TupleTableSlot* slot, DestReceiver* self);
  static void startup(DestReceiver* self, int operation, TupleDesc descriptor);
  void start(TupleDesc descriptor);
  bool append(const Datum* values, const bool* nulls) noexcept;
  void append_row(const Datum* values, const bool* nulls);
  void append_turns(Datum value);

  const FeatureSet& set_;
  std::vector<EventColumn> columns_;
  size_t locals_, cells_, keys_;
  std::vector<Form> forms_;
  std::vector<Oid> types_;
  std::vector<Datum> values_;
  bool started_ = false;  // forms_ are those of types_
  bool keep_values_ = false;
  int64_t ids_from_us_ = std::numeric_limits<int64_t>::min();
  std::vector<Datum> kept_values_;
  std::vector<char> kept_nulls_;
  EventBatch batch_;
  MemoryContext context_ = nullptr;       // of the batch's datums
  MemoryContext form_context_ = nullptr;  // of the forms
  Receiver receiver_;
  bool out_of_memory_ = false;
  size_t most_bytes_ = std::numeric_limits<size_t>::max();
  bool over_limit_ = false;
  bool bad_changes_ = false;
  size_t block_rows_ = 0;
  std::function<void()> use_block_;
  bool used_ = false;  // the batch was emptied: so can be what its datums pointed to
  std::exception_ptr failure_;
};

}  // namespace fraud::pg
