#include "pg/features/streamed_windows.h"

namespace fraud::pg {

struct StreamedWindows::Key {
  Key(const KeyPlan& plan, const TileShape& shape, size_t the_dependent, std::string_view the_value, std::vector<size_t> the_earlier)
      : dependent(the_dependent), value(the_value), earlier(std::move(the_earlier)), totals(plan, shape) {}
  size_t dependent;
  std::string_view value;
  std::vector<size_t> earlier;
  size_t given = 0;  // of these
  WindowTotals totals;
};

StreamedWindows::StreamedWindows(const OnlineSet& online, const EventBatch& current, const EventOrder& order, size_t row)
    : online_(online), current_(current), order_(order), row_(row) {}
StreamedWindows::~StreamedWindows() = default;

void StreamedWindows::add_key(const KeyPlan& plan, const TileShape& shape, size_t dependent, std::string_view value,
                              std::vector<size_t> earlier) {
  keys_.push_back(std::make_unique<Key>(plan, shape, dependent, value, std::move(earlier)));
  keys_.back()->totals.begin(current_.times[row_]);
}

void StreamedWindows::add(Key& key, const Event& event, bool in_run) {
  for (size_t window = 0; window < key.totals.windows(); ++window) {
    const WindowTotals::Bounds bounds = key.totals.bounds(window);
    if (event.time_us <= bounds.after_us || event.time_us > bounds.until_us) continue;
    if (in_run && !key.totals.includes_current(window)) continue;
    key.totals.add(window, event);
  }
}

void StreamedWindows::take(const EventBatch& events, size_t dependents) {
  const size_t inputs = online_.set->inputs.size();
  std::vector<std::string_view> values;
  for (size_t next = 0; next < events.rows; ++next) {
    if (order_(events.times[next], events.ids[next], current_.times[row_], current_.ids[row_]) >= 0) continue;
    Event event = events.event(next);
    event.inputs = events.cells.data() + next * inputs;
    if (dependents > 0) events.keys_of(next, dependents, &values);
    for (const std::unique_ptr<Key>& each : keys_) {
      Key& key = *each;
      if (key.dependent < dependents && values[key.dependent] != key.value) continue;
      bool same = false;
      for (; key.given < key.earlier.size() && !same; ++key.given) {
        const size_t earlier = key.earlier[key.given];
        const int order = order_(current_.times[earlier], current_.ids[earlier], events.times[next], events.ids[next]);
        if (order > 0) break;
        Event before;
        before.time_us = current_.times[earlier];
        before.inputs = current_.cells.data() + earlier * inputs;
        add(key, before, false);
        // What is equal is that row, stored already.
        same = order == 0;
      }
      if (!same) add(key, event, false);
    }
  }
}

bool StreamedWindows::finish(float* values) {
  const size_t inputs = online_.set->inputs.size();
  Event event;
  event.time_us = current_.times[row_];
  event.inputs = current_.cells.data() + row_ * inputs;
  bool exact = true;
  for (const std::unique_ptr<Key>& each : keys_) {
    Key& key = *each;
    for (; key.given < key.earlier.size(); ++key.given) {
      const size_t earlier = key.earlier[key.given];
      Event before;
      before.time_us = current_.times[earlier];
      before.inputs = current_.cells.data() + earlier * inputs;
      add(key, before, order_(current_.times[earlier], current_.ids[earlier], current_.times[row_], current_.ids[row_]) == 0);
    }
    key.totals.finish(event, values + row_ * online_.set->windows.size());
    exact = exact && key.totals.exact();
  }
  return exact;
}

}  // namespace fraud::pg
