#include "pg/features/tile_windows.h"

#include <algorithm>

#include "pg/server/boundary.h"
#include "pg/server/gucs.h"

namespace fraud::pg {

namespace {

constexpr size_t kReader = SIZE_MAX;

}  // namespace

// ------------------------------------------------------------------- marks

MarkedTimes::MarkedTimes(std::vector<TileMark> marks) {
  std::sort(marks.begin(), marks.end(), [](const TileMark& a, const TileMark& b) { return a.from < b.from; });
  for (const TileMark& mark : marks) {
    if (!stretches_.empty() && mark.from <= stretches_.back().to) {
      stretches_.back().to = std::max(stretches_.back().to, mark.to);
    } else {
      stretches_.push_back(mark);
    }
  }
}

bool MarkedTimes::any(int64_t from, int64_t until) const noexcept {
  const auto next = std::lower_bound(stretches_.begin(), stretches_.end(), from,
                                     [](const TileMark& mark, int64_t time) { return mark.to < time; });
  return next != stretches_.end() && next->from < until;
}

bool MarkedTimes::all() const noexcept {
  return stretches_.size() == 1 && stretches_[0].from == DT_NOBEGIN && stretches_[0].to == DT_NOEND;
}

// ----------------------------------------------------------------- reading

// Events that were read: all of from <= time < until.
struct TiledWindows::Part {
  Part(const FeatureSet& set, const History& history, size_t dependents)
      : reader(set, history.columns, 0, set.inputs.size(), dependents) {}
  int64_t from = 0, until = 0;
  EventReader reader;
  std::vector<std::string_view> keys;  // rows x dependents
};

struct TiledWindows::Page {
  explicit Page(const TileShape& shape) : page(shape) {}
  std::string bytes;
  TilePage page;
  bool there = false;
};

// What is computed: the windows of a key's value for one row after the other.
struct TiledWindows::Subject {
  Subject(const KeyPlan& plan, const TileShape& the_shape, size_t the_key, size_t the_dependent, std::string_view the_value,
          const std::vector<size_t>& the_rows)
      : shape(the_shape),
        key(the_key),
        dependent(the_dependent),
        value(the_value),
        stored(the_dependent == kReader ? std::string() : stored_key(the_value)),
        rows(the_rows),
        totals(plan, the_shape) {}

  const TileShape& shape;
  size_t key, dependent;
  std::string_view value;
  std::string stored;
  const std::vector<size_t>& rows;
  size_t at = 0;  // which of them
  WindowTotals totals;
  std::map<std::pair<int, int64_t>, std::unique_ptr<Page>> pages;
};

TiledWindows::TiledWindows(OnlineSet& online, const TileShapes& shapes, TileTables& tables, Snapshot snapshot, TiledKey key,
                           const EventBatch& current, const EventOrder& order, ReadEvents read, int64_t first, int64_t last)
    : online_(online),
      shapes_(shapes),
      tables_(tables),
      snapshot_(snapshot),
      key_(std::move(key)),
      current_(current),
      order_(order),
      read_(std::move(read)),
      first_(first),
      last_(last) {
  const int64_t reach = online.engine.plan(key_.reader).reach_us();
  for (int shift = key_.cover.shift; shift < 62 && (int64_t{1} << shift) <= reach; shift += kPageShift) ++levels_;
}

TiledWindows::~TiledWindows() = default;

// Returns what was read of that stretch, reading it if nobody did; nullptr where that is too much.
const TiledWindows::Part* TiledWindows::part(int64_t from, int64_t until) {
  for (const std::unique_ptr<Part>& known : parts_) {
    if (known->from <= from && until <= known->until) return known.get();
  }
  // Of what is later than all tiles the next row will want more.
  if (until > key_.cover.to) until = std::max(until, last_ + 1);
  auto made = std::make_unique<Part>(*online_.set, online_.histories[key_.reader], online_.readings[key_.reader].dependents.size());
  made->from = from;
  made->until = until;
  made->reader.keep_ids_from(first_);
  made->reader.limit_memory(static_cast<size_t>(guc_feature_memory_kb) * 1024);
  read_(from - 1, until - 1, made->reader);
  if (made->reader.over_limit()) {
    too_large_ = true;
    return nullptr;
  }
  made->reader.check();
  const size_t dependents = online_.readings[key_.reader].dependents.size();
  const EventBatch& events = made->reader.batch();
  if (dependents > 0) {
    made->keys.reserve(events.rows * dependents);
    std::vector<std::string_view> keys;
    for (size_t row = 0; row < events.rows; ++row) {
      events.keys_of(row, dependents, &keys);
      made->keys.insert(made->keys.end(), keys.begin(), keys.end());
    }
  }
  parts_.push_back(std::move(made));
  return parts_.back().get();
}

size_t TiledWindows::behind() const noexcept {
  size_t most = 0;
  for (const std::unique_ptr<Part>& part : parts_) {
    const std::vector<int64_t>& times = part->reader.batch().times;
    most = std::max(most, static_cast<size_t>(times.end() - std::lower_bound(times.begin(), times.end(), key_.cover.to)));
  }
  return most;
}

const TilePage* TiledWindows::page(Subject& subject, int level, int64_t starts_at) {
  std::unique_ptr<Page>& page = subject.pages[{level, starts_at}];
  if (page == nullptr) {
    page = std::make_unique<Page>(subject.shape);
    const int shift = key_.cover.shift + level * kPageShift;
    page->there = tables_.page(key_.set, key_.reader, key_.key, shift, starts_at, subject.key, subject.stored, snapshot_, &page->bytes);
    if (page->there) page->page.open(page->bytes);
  }
  return page->there ? &page->page : nullptr;
}

// Adds the stored events of a stretch to a window, and the rows that came before in their order.
bool TiledWindows::add_events(Subject& subject, size_t window, int64_t from, int64_t until) {
  if (from >= until) return true;
  const Part* part = this->part(from, until);
  if (part == nullptr) return false;
  const EventBatch& events = part->reader.batch();
  const size_t inputs = online_.set->inputs.size();
  const size_t dependents = online_.readings[key_.reader].dependents.size();
  const size_t row = subject.rows[subject.at];
  const auto begin = std::lower_bound(events.times.begin(), events.times.end(), from);
  size_t next = static_cast<size_t>(begin - events.times.begin());
  const bool takes_run = subject.totals.includes_current(window);
  auto add_row = [&](size_t earlier) {
    if (!takes_run && order_(current_.times[earlier], current_.ids[earlier], current_.times[row], current_.ids[row]) == 0) return;
    Event event;
    event.time_us = current_.times[earlier];
    event.inputs = current_.cells.data() + earlier * inputs;
    subject.totals.add(window, event);
  };
  size_t given = 0;  // of the rows before
  while (given < subject.at && current_.times[subject.rows[given]] < from) ++given;
  for (; next < events.rows && events.times[next] < until; ++next) {
    if (subject.dependent != kReader && part->keys[next * dependents + subject.dependent] != subject.value) continue;
    if (order_(events.times[next], events.ids[next], current_.times[row], current_.ids[row]) >= 0) break;
    // What is equal is the row itself, stored already.
    bool same = false;
    for (; given < subject.at; ++given) {
      const size_t earlier = subject.rows[given];
      const int order = order_(current_.times[earlier], current_.ids[earlier], events.times[next], events.ids[next]);
      if (order > 0) break;
      same = same || order == 0;
      if (order == 0) break;
      add_row(earlier);
    }
    if (same) continue;
    Event event = events.event(next);
    event.inputs = events.cells.data() + next * inputs;
    subject.totals.add(window, event);
  }
  for (; given < subject.at && current_.times[subject.rows[given]] < until; ++given) add_row(subject.rows[given]);
  return true;
}

// Adds so many tiles of a level, all of one page.
bool TiledWindows::add_tiles(Subject& subject, size_t window, int level, int64_t from, int count) {
  const int shift = key_.cover.shift + level * kPageShift;
  const int64_t length = int64_t{1} << shift, starts_at = aligned(from, shift + kPageShift);
  const TilePage* page = this->page(subject, level, starts_at);
  if (page == nullptr) return true;  // no events
  if (!page->valid()) return add_events(subject, window, from, from + count * length);
  int place = static_cast<int>((from - starts_at) >> shift);
  const int end = place + count;
  for (;;) {
    place += subject.totals.add(window, *page, place, end);
    if (place >= end) return true;
    // That one does not stand for its events.
    const int64_t at = starts_at + place * length;
    if (!(level == 0 ? add_events(subject, window, at, at + length) : add_tiles(subject, window, level - 1, at, kPageTiles))) return false;
    ++place;
  }
}

// Adds all that a window holds: whole tiles, as large as can be, and events for the rest.
bool TiledWindows::add_window(Subject& subject, size_t window) {
  const WindowTotals::Bounds bounds = subject.totals.bounds(window);
  const int64_t now = current_.times[subject.rows[subject.at]];
  // Of the row's own time the ids tell which come before it.
  const int64_t from = bounds.after_us + 1, until = bounds.until_us + 1, tiled_until = std::min({until, now, key_.cover.to});
  int64_t at = from, events_from = from;
  while (at < tiled_until) {
    if (at < key_.cover.from) {
      at = key_.cover.from;
      continue;
    }
    int level = levels_ - 1;
    auto fits = [&](int64_t start) {
      const int shift = key_.cover.shift + level * kPageShift;
      const int64_t length = int64_t{1} << shift;
      return aligned(start, shift) == start && start <= tiled_until - length && !key_.marks.any(start, start + length);
    };
    while (level >= 0 && !fits(at)) --level;
    if (level < 0) {
      at = aligned(at, key_.cover.shift) + (int64_t{1} << key_.cover.shift);
      continue;
    }
    const int shift = key_.cover.shift + level * kPageShift;
    const int64_t length = int64_t{1} << shift, page_end = aligned(at, shift + kPageShift) + (length << kPageShift);
    int count = 1;
    while (at + count * length < page_end && fits(at + count * length)) ++count;
    if (!add_events(subject, window, events_from, at) || !add_tiles(subject, window, level, at, count)) return false;
    at = events_from = at + count * length;
  }
  return add_events(subject, window, events_from, until);
}

bool TiledWindows::compute(size_t key, size_t dependent, std::string_view value, const std::vector<size_t>& rows, float* values) {
  Subject subject(online_.engine.plan(key), shapes_.keys[key], key, dependent, value, rows);
  for (; subject.at < rows.size(); ++subject.at) {
    const size_t row = rows[subject.at];
    subject.totals.begin(current_.times[row]);
    for (size_t window = 0; window < subject.totals.windows(); ++window) {
      if (!add_window(subject, window)) return false;
    }
    Event event;
    event.time_us = current_.times[row];
    event.inputs = current_.cells.data() + row * online_.set->inputs.size();
    subject.totals.finish(event, values + row * online_.set->windows.size());
    if (!subject.totals.exact()) return false;
  }
  return true;
}

}  // namespace fraud::pg
