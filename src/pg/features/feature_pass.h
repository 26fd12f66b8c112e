// What a FeatureStream is made of: feature_stream.cpp reads the events and has them computed,
// feature_pass_parts.cpp does so part by part. Nobody else includes it.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/task_thread.h"
#include "pg/features/event_reader.h"
#include "pg/features/event_spool.h"
#include "pg/features/feature_stream.h"
#include "pg/features/window_parts.h"
#include "pg/server/boundary.h"
#include "pg/server/gucs.h"

extern "C" {
#include "utils/portal.h"
#include "utils/snapshot.h"
}

namespace fraud::pg {

constexpr size_t kAllParts = SIZE_MAX;
constexpr size_t kMostRows = size_t{64} << 20;  // bytes of events that are sorted here together with rows of theirs

// All columns of the set's events; with `looks_up` the events themselves, too.
std::vector<EventColumn> pass_columns(const FeatureSet& set, bool looks_up);
// Those that windows are computed of.
std::vector<EventColumn> window_columns(const FeatureSet& set);

// The keys of events that have the same time and id.
class Ties {
 public:
  // False where one of the keys is there already.
  bool add(std::vector<std::string> keys) {
    for (const std::vector<std::string>& other : events_) {
      for (size_t i = 0; i < keys.size(); ++i) {
        if (!keys[i].empty() && keys[i] == other[i]) return false;
      }
    }
    events_.push_back(std::move(keys));
    return true;
  }
  void clear() { events_.clear(); }
  bool empty() const noexcept { return events_.empty(); }

 private:
  std::vector<std::vector<std::string>> events_;
};

// What goes through the engine at once, and what comes of it.
struct Turn {
  const EventBatch* batch = nullptr;
  std::vector<size_t> rows;  // of the batch
  std::vector<Event> events;
  std::vector<std::string_view> keys;
  std::vector<uint64_t> marks;  // of rows, where windows are computed part by part
  std::vector<float> window_values;
  size_t old_rows = 0;       // so many of them, the first, were handed out before
  EventBatch spooled;        // where it is of the spool: the batch, and the runs of its events
  std::vector<uint64_t> runs;
  bool elsewhere = false;    // another thread computes it
};

// Where all events fit in memory they are sorted here, which is several times faster
// than Postgres's sort of tuples. Otherwise it sorts them, and they stream by. While
// one turn's features are computed by other threads, which know nothing of Postgres,
// this one hands out those of the turn before, and reads the next.
//
// Where the windows outgrow the memory, what was computed so far is handed out; then the rows that
// are left, with those that their windows reach back to, are put into a temporary file (event_spool.h), go by
// there once for each part of the keys, and are read once more to be handed out with what came of it
// (window_parts.h). The portal is opened anew each time, with the first one's snapshot: whoever takes
// the rows may be storing them.
struct FeatureStream::Pass {
  Pass(std::shared_ptr<const FeatureSet> the_set, TimestampTz the_from, TimestampTz the_to,
       TimestampTz the_known_by, std::unique_ptr<FeatureEngine> windows, size_t rows, bool looks_windows_up = false)
      : set(std::move(the_set)),
        from(the_from),
        to(the_to),
        known_by(the_known_by),
        block_rows(rows),
        looks_up(looks_windows_up),
        columns(pass_columns(*set, looks_up)),
        reader(*set, columns, set->locals.size(), set->inputs.size(), set->keys.size()),
        engine(windows != nullptr ? std::move(windows) : new_engine()) {
    context = protect([] {
      return AllocSetContextCreate(CurrentMemoryContext, "fraud_detect stream", ALLOCSET_SMALL_SIZES);
    });
  }
  ~Pass() noexcept;
  Pass(const Pass&) = delete;
  Pass& operator=(const Pass&) = delete;

  bool read_only = false;

  TimestampTz first_of_windows() const;
  void open(TimestampTz begin, bool sorted, bool of_windows = false);
  void open_portal(const char* query, TimestampTz begin);
  void close();
  bool fetch(EventReader& into);

  double expected() const;
  bool collect(double most = -1);
  bool collect_few();
  void sort_rows();
  void sort_run(size_t begin, size_t end);
  void check_run(const uint32_t* run, size_t count);
  bool same_id(Datum a, Datum b);
  std::vector<std::string> keys_of(const EventBatch& batch, size_t row);
  void fill_from_whole(Turn& turn);

  void fill_from_stream(Turn& turn);
  void fill_from_spool(Turn& turn);
  void check_order(const EventBatch& batch);

  uint64_t run_of(const EventBatch& batch, size_t row);
  void add_row(Turn& turn, size_t row);
  bool begin_turn();
  Turn& end_turn();
  void compute(Turn& turn);
  void make_block(const Turn& turn);

  std::unique_ptr<FeatureEngine> new_engine() const {
    return std::make_unique<FeatureEngine>(set->windows, set->keys.size(), static_cast<size_t>(std::max(guc_feature_threads, 2) - 2));
  }
  size_t parts_needed() const;
  std::unique_ptr<EventReader> new_reader() const {
    return std::make_unique<EventReader>(*set, columns, set->locals.size(), set->inputs.size(), set->keys.size());
  }
  void note_handed_out(const Turn& turn);
  TimestampTz first_needed() const;
  void leave_whole();
  void begin_again();
  void spool_events();
  void rewind(TimestampTz begin);
  void tell_of_parts(size_t count) const;
  bool compute_part();
  void check_can_be_parted(size_t count) const;
  void compute_in_parts();
  [[noreturn]] void throw_same_id(TimestampTz time) const;
  // Rows that go with the events are many times as large as these: of those, few.
  size_t collect_limit() const { return std::min(memory_limit() / 2, set->row.empty() ? SIZE_MAX : kMostRows); }
  size_t memory_limit() const { return static_cast<size_t>(guc_feature_memory_kb) * 1024; }

  std::shared_ptr<const FeatureSet> set;
  TimestampTz from, to, known_by;
  size_t block_rows;
  bool looks_up;  // the windows of each event, which are all of the period; no other is read
  std::vector<EventColumn> columns;
  EventReader reader;
  std::unique_ptr<EventReader> other_reader;  // of the stream's other turn
  MemoryContext context;     // of what outlives the portal
  Portal portal = nullptr;
  FmgrInfo compare_ids;
  Oid id_type = InvalidOid, id_collation = InvalidOid;
  bool whole = false;
  // Of the whole.
  std::vector<uint32_t> order;
  size_t position = 0;
  // Of the stream.
  int64_t last_time = 0;
  Datum last_id = (Datum)0;
  bool has_last = false;
  std::vector<std::string> last_keys;
  Ties ties;
  // The row that was added to a turn last, of payments.
  bool has_added = false;
  int64_t added_time = 0;
  Datum added_id = (Datum)0;
  uint64_t added_run = 0;
  // Of two turns one is computed while the other is read and handed out.
  Turn turns[2];
  size_t turn = 0;     // which is next
  bool begun = false;  // whether that is computed already
  bool ended = false;
  std::unique_ptr<FeatureEngine> engine;
  KeptWindows* kept = nullptr;  // where it goes in the end
  TimestampTz goes_on_at = 0;   // where the windows stand that it began with
  bool goes_on = false;
  std::vector<std::string_view> row_keys;
  // Of windows that are computed part by part.
  std::unique_ptr<EventSpool> spool;  // of events that do not fit in memory
  std::unique_ptr<WindowParts> parts;
  size_t part = kAllParts;     // which is computed
  size_t first_parts = 2;      // so many are tried first
  bool outgrown = false;       // the windows of all keys have
  Snapshot snapshot = nullptr;  // of the first portal and those after it
  ResourceOwner snapshot_owner = nullptr;
  // The rows that were handed out: those before that time, and so many of it.
  bool any_row = false;
  TimestampTz first_time = 0, last_out = 0;
  size_t out_at_last = 0, seen_at_last = 0;
  // The block.
  std::vector<float> features, labels;
  std::vector<TimestampTz> times, known_at;
  std::vector<Datum> ids;
  std::vector<int64_t> tags;
  std::vector<Datum> table_rows;
  TaskThread thread;  // the last here: it ends before what it works on
};

}  // namespace fraud::pg
