// Windows that outgrow the memory.
#include "pg/features/feature_pass.h"

#include <algorithm>

namespace fraud::pg {

constexpr size_t kMostParts = 1024;

void FeatureStream::Pass::note_handed_out(const Turn& done) {
  for (size_t row : done.rows) {
    const TimestampTz time = done.batch->times[row];
    if (!any_row) first_time = time;
    out_at_last = any_row && time == last_out ? out_at_last + 1 : 1;
    last_out = time;
    any_row = true;
  }
}

// How many parts are likely to fit: windows that were filled for a while hold more when they reach back as far as they do.
size_t FeatureStream::Pass::parts_needed() const {
  const double filled = static_cast<double>(last_out - first_time + 1) / static_cast<double>(engine->reach_us() + 1);
  const double bytes = static_cast<double>(engine->bytes()) / std::clamp(filled, 1.0 / 16, 1.0);
  return static_cast<size_t>(std::clamp(1.25 * bytes / static_cast<double>(memory_limit()) + 1, 2.0, 256.0));
}

// The time behind which the events are that the windows of what is not handed out reach back to.
TimestampTz FeatureStream::Pass::first_needed() const {
  return last_out - MIN_TIMESTAMP <= engine->reach_us() ? DT_NOBEGIN : last_out - engine->reach_us() - 1;
}

// What went on with windows has no events of before these: the rest streams by.
void FeatureStream::Pass::leave_whole() {
  whole = false;
  order = {};
  reader.clear();
  other_reader = new_reader();
}

void FeatureStream::Pass::begin_again() {
  ended = false;
  has_last = false;
  has_added = false;
  seen_at_last = 0;
  ties.clear();
}

// Puts the events into a temporary file, in their order. Two readers take turns: an id lives as long as its batch.
void FeatureStream::Pass::spool_events() {
  begin_again();
  if (portal != nullptr) close();
  EventReader first(*set, window_columns(*set), 0, set->inputs.size(), set->keys.size());
  EventReader second(*set, window_columns(*set), 0, set->inputs.size(), set->keys.size());
  open(first_needed(), true, true);
  spool = std::make_unique<EventSpool>(context);
  std::vector<uint64_t> runs;
  for (EventReader *next = &first, *before = &second;; std::swap(next, before)) {
    next->clear();
    if (!fetch(*next)) break;
    const EventBatch& batch = next->batch();
    check_order(batch);
    runs.clear();
    for (size_t row = 0; set->builtin && row < batch.rows; ++row) runs.push_back(run_of(batch, row));
    spool->write(batch, runs);
  }
  close();
}

// Begins again with the events behind a time: of a part those of the spool, else those that are read.
void FeatureStream::Pass::rewind(TimestampTz begin) {
  begin_again();
  if (whole) {
    const std::vector<int64_t>& all = reader.batch().times;
    position = static_cast<size_t>(std::upper_bound(order.begin(), order.end(), begin, [&](int64_t time, uint32_t row) { return time < all[row]; }) - order.begin());
    return;
  }
  if (portal != nullptr) close();
  if (part != kAllParts) {
    spool->rewind();
  } else {
    open(begin, true);
  }
}

// Computes the windows of one part's keys; false where they take too much memory.
bool FeatureStream::Pass::compute_part() {
  engine = new_engine();
  rewind(first_needed());
  bool more = begin_turn();
  while (more) {
    const Turn& done = end_turn();
    const bool fits = engine->bytes() <= memory_limit();
    more = fits && begin_turn();
    if (!fits) return false;
    const size_t old = done.old_rows;
    parts->keep(part, done.keys.data() + old * set->keys.size(), done.marks.data() + old, done.rows.size() - old,
                done.window_values.data() + old * set->windows.size());
  }
  return true;
}

// Throws where more parts would not help.
void FeatureStream::Pass::check_can_be_parted(size_t count) const {
  const auto [bytes, key] = engine->largest();
  if (bytes <= memory_limit() && count < kMostParts) return;
  std::string columns;
  for (const std::string& part_of_key : set->keys[key].parts) columns += (columns.empty() ? "" : ", ") + part_of_key;
  throw SqlError(ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                 "the windows of feature set \"" + set->name + "\" hold more than fraud_detect.feature_memory",
                 "Those of one value of (" + columns + ") take " + std::to_string((bytes + 1023) / 1024) + " kB by themselves.",
                 "Raise the setting, or take shorter windows or a shorter period.");
}

void FeatureStream::Pass::tell_of_parts(size_t count) const {
  const char* name = set->name.c_str();
  // Once, not for each batch of a history.
  const bool said = count > first_parts || (kept != nullptr && kept->parts() > 0);
  protect([&] {
    if (said) {
      elog(DEBUG1, "the windows of feature set \"%s\" are computed in %zu parts", name, count);
      return;
    }
    ereport(NOTICE, (errmsg("the windows of feature set \"%s\" take more than fraud_detect.feature_memory: they are computed part by part", name),
                     errdetail("For each of %zu parts of the keys all events %s.", count, whole ? "are gone through" : "are read from a temporary file"),
                     errhint("With more memory it takes less time.")));
  });
}

// Computes the windows of all rows that are not handed out, and goes back to the first of these.
void FeatureStream::Pass::compute_in_parts() {
  outgrown = false;
  check_can_be_parted(0);
  size_t count = first_parts;
  if (whole && goes_on) leave_whole();
  if (!whole) spool_events();
  for (bool fits = false; !fits; count *= 2) {
    parts.reset();
    parts = std::make_unique<WindowParts>(*set, count, context);
    tell_of_parts(count);
    fits = true;
    for (part = 0; fits && part < count; ++part) fits = compute_part();
    if (!fits) check_can_be_parted(count);
  }
  part = kAllParts;
  spool.reset();
  engine = new_engine();
  parts->rewind();
  rewind(last_out - 1);
}

}  // namespace fraud::pg
