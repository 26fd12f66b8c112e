// Windows added up from tiles and events.
#include "core/features/tile.h"

#include <algorithm>

#include "core/features/tile_numbers.h"
#include "core/features/tile_state.h"
#include "core/features/window_result.h"

namespace fraud {

namespace {

// Adds what tiles [first, last) of a page hold of a sum, bytes [low, low + stride) each.
template <typename Fixed>
void add_numbers(const char* data, size_t stride, size_t low, bool with_sign, size_t first, size_t last,
                 Fixed* sum) noexcept {
  using Wide = __int128;
  constexpr size_t kMostBytes = sizeof(Wide) - 1;  // 64 numbers of as many leave room for the sign
  size_t width = stride;
  // Long ones by 8 bytes at a time, and each such part is shifted to its place once.
  for (; width > kMostBytes; data += 8, width -= 8, low += 8) {
    Wide total = 0;
    for (size_t tile = first; tile < last; ++tile) total += load_unsigned(data + tile * stride, 8);
    sum->add_bytes(total, low);
  }
  Wide total = 0;
  for (size_t tile = first; tile < last; ++tile) {
    const char* const at = data + tile * stride;
    if (width <= 8) {
      total += with_sign ? Wide{load_signed(at, static_cast<unsigned>(width))}
                         : Wide{load_unsigned(at, static_cast<unsigned>(width))};
    } else {
      const auto rest = static_cast<unsigned>(width - 8);
      const uint64_t high = with_sign ? static_cast<uint64_t>(load_signed(at + 8, rest)) : load_unsigned(at + 8, rest);
      total += static_cast<Wide>(static_cast<unsigned __int128>(high) << 64 | load_unsigned(at, 8));
    }
  }
  sum->add_bytes(total, low);
}

}  // namespace

// What an accumulator holds of its window.
struct WindowTotals::Held {
  const uint64_t* words;
  const CellSet* set;
  uint64_t count() const { return words[0]; }
  uint64_t frauds() const { return words[1]; }
  double sum() const { return sum_at(words + kSumState).value(); }
  double deviation() const { return exact_deviation(count(), sum_at(words + kSumState), squares_at(words + kSquaresState)); }
  double extreme() const { return words[0] == 0 ? kMissing : cell_number(words[1]); }
  size_t different() const { return set->size(); }
  bool has_last() const { return words[0] != 0; }
  int64_t last_time() const { return static_cast<int64_t>(words[1]); }
  Cell last(int which) const { return words[2 + which]; }
};

WindowTotals::WindowTotals(const KeyPlan& plan, const TileShape& shape)
    : plan_(&plan), shape_(&shape), words_(shape.total_words_), sets_(shape.total_sets_) {}
WindowTotals::~WindowTotals() = default;

void WindowTotals::begin(int64_t time_us) {
  now_ = time_us;
  exact_ = true;
  std::fill(words_.begin(), words_.end(), 0);
  for (CellSet& set : sets_) set.clear();
}

size_t WindowTotals::windows() const noexcept { return plan_->windows_.size(); }

WindowTotals::Bounds WindowTotals::bounds(size_t window) const noexcept {
  const KeyPlan::Window& held = plan_->windows_[window];
  const int64_t until = before(now_, held.delay_us);
  return {before(until, held.width_us), until};
}

bool WindowTotals::includes_current(size_t window) const noexcept { return plan_->windows_[window].include_current; }

void WindowTotals::add(size_t window, const Event& event) {
  for (const Taken& taken : shape_->windows_[window]) {
    if (!has_cells(taken.input, taken.second_input, event)) continue;
    if (taken.kind == KeyPlan::Kind::kDistinct) {
      sets_[taken.set].insert(event.inputs[taken.input]);
      continue;
    }
    uint64_t* const words = words_.data() + taken.word;
    const bool first = words[0]++ == 0;
    switch (taken.kind) {
      case KeyPlan::Kind::kCount:
      case KeyPlan::Kind::kDistinct: break;
      case KeyPlan::Kind::kSum:
      case KeyPlan::Kind::kSquares: {
        const DoubleParts parts(cell_number(event.inputs[taken.input]));
        if (!sums_exactly(parts)) {
          ++words[1];
          exact_ = false;
          break;
        }
        add_value(sum_at(words + kSumState), parts, false);
        if (taken.kind == KeyPlan::Kind::kSquares) add_square(squares_at(words + kSquaresState), parts, false);
        break;
      }
      case KeyPlan::Kind::kMin:
      case KeyPlan::Kind::kMax: {
        const Cell cell = event.inputs[taken.input];
        if (first || !stays(taken.kind == KeyPlan::Kind::kMin, words[1], cell)) words[1] = cell;
        break;
      }
      case KeyPlan::Kind::kRate: words[1] += known_fraud(event, now_) ? 1 : 0; break;
      case KeyPlan::Kind::kLast:
        words[1] = static_cast<uint64_t>(event.time_us);
        if (taken.input != kEveryEvent) words[2] = event.inputs[taken.input];
        if (taken.second_input != kEveryEvent) words[3] = event.inputs[taken.second_input];
        break;
    }
  }
}

int WindowTotals::add(size_t window, const TilePage& page, int from, int until) {
  if (!page.valid() || from < 0 || until > kPageTiles || from >= until) return 0;
  const uint64_t finer = page.finer_ >> from;
  if (finer != 0) until = std::min(until, from + __builtin_ctzll(finer));
  const size_t first = page.rank(from);
  const size_t last = page.rank(until);
  size_t end = last;
  for (const Taken& taken : shape_->windows_[window]) end = first_that_cannot(taken, page, first, end);
  if (end != last) {
    // The place of that tile.
    uint64_t tiles = page.tiles_;
    for (size_t tile = 0; tile < end; ++tile) tiles &= tiles - 1;
    until = __builtin_ctzll(tiles);
  }
  if (end != first) {
    for (const Taken& taken : shape_->windows_[window]) add_tiles(taken, page, first, end);
  }
  return until - from;
}

// Returns the first of tiles [first, last) that does not say what an accumulator asks at this time, or last.
size_t WindowTotals::first_that_cannot(const Taken& taken, const TilePage& page, size_t first,
                                       size_t last) const noexcept {
  if (taken.kind == KeyPlan::Kind::kRate) {
    // At the end of time even what never becomes known is known.
    if (now_ == kNever) return first;
    const TilePage::Numbers& turns = page.columns_[taken.turn];
    if (turns.width == 0) return last;
    for (size_t tile = first; tile < last; ++tile) {
      if (turns.number(tile) != 0 && turns.time(tile) > now_) return tile;
    }
  } else if (taken.kind == KeyPlan::Kind::kDistinct) {
    const TilePage::Numbers& sets = page.columns_[taken.other];
    if (sets.width == 0) return last;
    for (size_t tile = first; tile < last; ++tile) {
      const std::string_view values = sets.set(tile);
      if (!values.empty() && values[0] == 0) return tile;
    }
  }
  return last;
}

void WindowTotals::add_tiles(const Taken& taken, const TilePage& page, size_t first, size_t last) {
  if (taken.kind == KeyPlan::Kind::kDistinct) {
    CellSet& set = sets_[taken.set];
    for (size_t tile = first; tile < last; ++tile) {
      for_each_cell(page.columns_[taken.other].set(tile), [&](Cell cell) { set.insert(cell); });
    }
    return;
  }
  uint64_t* const words = words_.data() + taken.word;
  const TilePage::Numbers& counts = page.columns_[taken.count];
  const uint64_t count = counts.total(first, last);
  if (count == 0) return;
  const bool none = words[0] == 0;
  words[0] += count;
  switch (taken.kind) {
    case KeyPlan::Kind::kCount:
    case KeyPlan::Kind::kDistinct: break;
    case KeyPlan::Kind::kSquares: {
      const TilePage::Numbers& squares = page.columns_[taken.squares];
      if (squares.width != 0) {
        add_numbers(squares.data, squares.width, squares.low, false, first, last, &squares_at(words + kSquaresState));
      }
      [[fallthrough]];
    }
    case KeyPlan::Kind::kSum: {
      const uint64_t inexact = page.columns_[taken.inexact].total(first, last);
      words[1] += inexact;
      if (inexact != 0) exact_ = false;
      const TilePage::Numbers& sums = page.columns_[taken.sum];
      if (sums.width != 0) {
        add_numbers(sums.data, sums.width, sums.low, true, first, last, &sum_at(words + kSumState));
      }
      break;
    }
    case KeyPlan::Kind::kMin:
    case KeyPlan::Kind::kMax: {
      const TilePage::Numbers& cells = page.columns_[taken.other];
      bool so_far = !none;
      for (size_t tile = first; tile < last; ++tile) {
        if (counts.number(tile) == 0) continue;
        const Cell cell = cells.number(tile);
        if (!so_far || !stays(taken.kind == KeyPlan::Kind::kMin, words[1], cell)) words[1] = cell;
        so_far = true;
      }
      break;
    }
    case KeyPlan::Kind::kRate: words[1] += page.columns_[taken.other].total(first, last); break;
    case KeyPlan::Kind::kLast: {
      size_t tile = last;
      while (counts.number(tile - 1) == 0) --tile;
      words[1] = static_cast<uint64_t>(page.columns_[taken.other].time(tile - 1));
      if (taken.cell >= 0) words[2] = page.columns_[taken.cell].number(tile - 1);
      if (taken.second_cell >= 0) words[3] = page.columns_[taken.second_cell].number(tile - 1);
      break;
    }
  }
}

void WindowTotals::finish(const Event& event, float* features) {
  for (size_t window = 0; window < plan_->windows_.size(); ++window) {
    const Bounds held = bounds(window);
    if (includes_current(window) && event.time_us > held.after_us && event.time_us <= held.until_us) {
      add(window, event);
    }
  }
  for (const KeyPlan::Output& output : plan_->outputs_) {
    const Taken& taken = shape_->windows_[output.window][output.accumulator];
    const Held held{words_.data() + taken.word,
                    taken.kind == KeyPlan::Kind::kDistinct ? &sets_[taken.set] : nullptr};
    features[output.feature] = feature_value(
        window_result(output.aggregate, output.current_input, output.second_current_input, event, held));
  }
}

}  // namespace fraud
