#include "core/features/feature_engine.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <unordered_map>

#include "core/features/exact_sum.h"
#include "core/features/window_result.h"

namespace fraud {

namespace {

constexpr size_t kSumWords = sizeof(Sum) / sizeof(uint64_t);
constexpr size_t kSquareWords = sizeof(SumOfSquares) / sizeof(uint64_t);
// What a sum keeps: how many values, how many of them do not sum exactly, the sum.
// Of the latest event: whether there is one, its time, its values.
constexpr size_t kLastWords = 4;
constexpr size_t kCountWord = 0, kInexactWord = 1, kSumWord = 2, kSquareWord = 2 + kSumWords;

Sum& sum_in(uint64_t* words) noexcept { return *reinterpret_cast<Sum*>(words + kSumWord); }
SumOfSquares& squares_in(uint64_t* words) noexcept {
  return *reinterpret_cast<SumOfSquares*>(words + kSquareWord);
}

}  // namespace

// ---------------------------------------------------------------- the plan

KeyPlan::KeyPlan(const std::vector<WindowFeature>& features, size_t key) {
  // In order of windows, so that each is advanced once.
  for (size_t i = 0; i < features.size(); ++i) {
    const WindowFeature& feature = features[i];
    if (feature.key != key) continue;
    size_t w = 0;
    while (w < windows_.size() &&
           (windows_[w].width_us != feature.width_us || windows_[w].delay_us != feature.delay_us ||
            windows_[w].include_current != feature.include_current)) {
      ++w;
    }
    if (w == windows_.size()) {
      windows_.push_back({feature.width_us, feature.delay_us, feature.include_current, {}, false});
      reach_us_ = std::max(reach_us_, feature.delay_us + feature.width_us);
      least_delay_us_ = w == 0 ? feature.delay_us : std::min(least_delay_us_, feature.delay_us);
    }
    int slot = slot_of(feature.input);
    int second = kEveryEvent;
    Kind kind = Kind::kCount;
    switch (feature.aggregate) {
      case Aggregate::kCount: kind = Kind::kCount; break;
      case Aggregate::kSum:
      case Aggregate::kAvg:
      case Aggregate::kRatio: kind = Kind::kSum; break;
      case Aggregate::kStddev:
      case Aggregate::kZscore: kind = Kind::kSquares; break;
      case Aggregate::kMin: kind = Kind::kMin; break;
      case Aggregate::kMax: kind = Kind::kMax; break;
      case Aggregate::kDistinct: kind = Kind::kDistinct; break;
      case Aggregate::kRate:
        kind = Kind::kRate;
        labels_ = true;
        break;
      case Aggregate::kLast:
      case Aggregate::kSecondsSinceLast: kind = Kind::kLast; break;
      case Aggregate::kDistance:
      case Aggregate::kSpeed:
        kind = Kind::kLast;
        second = slot_of(feature.second_input);
        break;
    }
    outputs_.push_back({i, feature.aggregate, w, accumulator(windows_[w], kind, slot, second),
                        feature.current_input, feature.second_current_input,
                        feature.include_current});
    includes_current_ = includes_current_ || feature.include_current;
  }
  std::stable_sort(outputs_.begin(), outputs_.end(),
                   [](const Output& a, const Output& b) { return a.window < b.window; });
  // Each window's tail and head stand before the accumulators.
  words_ = 2 * windows_.size();
  for (Window& window : windows_) {
    for (Accumulator& accumulator : window.accumulators) {
      accumulator.word = words_;
      accumulator.queue = queues_;
      if (accumulator.kind != Kind::kLast) window.holds_events = true;
      switch (accumulator.kind) {
        case Kind::kCount: words_ += 1; break;
        case Kind::kSum: words_ += 2 + kSumWords; break;
        case Kind::kSquares: words_ += 2 + kSumWords + kSquareWords; break;
        case Kind::kLast: words_ += kLastWords; break;
        case Kind::kRate: words_ += 3; ++queues_; break;         // events, frauds, last time
        case Kind::kMin:
        case Kind::kMax:
        case Kind::kDistinct: ++queues_; break;
      }
    }
  }
  stride_ = 1 + inputs_.size() + (labels_ ? 1 : 0);
}

int KeyPlan::slot_of(int input) {
  if (input == kEveryEvent) return kEveryEvent;
  for (size_t i = 0; i < inputs_.size(); ++i) {
    if (inputs_[i] == input) return static_cast<int>(i);
  }
  inputs_.push_back(input);
  return static_cast<int>(inputs_.size()) - 1;
}

size_t KeyPlan::accumulator(Window& window, Kind kind, int slot, int second_slot) {
  for (size_t i = 0; i < window.accumulators.size(); ++i) {
    const Accumulator& known = window.accumulators[i];
    if (known.kind == kind && known.slot == slot && known.second_slot == second_slot) return i;
  }
  window.accumulators.push_back({kind, slot, second_slot, 0, 0});
  return window.accumulators.size() - 1;
}

// ------------------------------------------------------- windows of one key

// State of an accumulator that owns memory.
struct KeyWindows::Queue {
  // For min and max: sequences of events, each a candidate once those before it left.
  std::vector<uint64_t> candidates;
  size_t front = 0;
  // For distinct: how often each value is in the window.
  std::unordered_map<Cell, uint32_t> values;
  // For rate: events whose label is yet to turn, as (when, sequence), earliest on top.
  std::vector<std::pair<int64_t, uint64_t>> pending;

  size_t bytes() const noexcept {
    return candidates.capacity() * sizeof(uint64_t) +
           values.size() * 5 * sizeof(uint64_t) + values.bucket_count() * sizeof(void*) +
           pending.capacity() * sizeof(pending[0]);
  }
};

KeyWindows::KeyWindows(const KeyPlan& plan)
    : plan_(&plan), words_(std::make_unique<uint64_t[]>(plan.words_)) {
  if (plan.queues_ > 0) queues_ = std::make_unique<Queue[]>(plan.queues_);
}
KeyWindows::~KeyWindows() = default;
KeyWindows::KeyWindows(KeyWindows&&) noexcept = default;

size_t KeyWindows::bytes() const noexcept {
  size_t total = sizeof(*this) + plan_->words_ * sizeof(uint64_t) + plan_->queues_ * sizeof(Queue);
  if (ring_ != nullptr) total += (mask_ + 1) * plan_->stride_ * sizeof(uint64_t);
  for (size_t i = 0; i < plan_->queues_; ++i) total += queues_[i].bytes();
  constexpr size_t kTurnBytes = 128;  // of one event, about
  if (turns_ != nullptr) total += turns_->size() * kTurnBytes;
  return total;
}

void KeyWindows::prefetch() const noexcept {
  const auto* words = reinterpret_cast<const char*>(words_.get());
  for (size_t at = 0; at < plan_->words_ * sizeof(uint64_t); at += 64) __builtin_prefetch(words + at);
}

void KeyWindows::grow() {
  const uint64_t room = ring_ == nullptr ? 4 : 2 * (mask_ + 1);
  const size_t stride = plan_->stride_;
  auto ring = std::make_unique<uint64_t[]>(room * stride);
  for (uint64_t sequence = first_; sequence != end_; ++sequence) {
    std::copy_n(at(sequence), stride, ring.get() + (sequence & (room - 1)) * stride);
  }
  ring_ = std::move(ring);
  mask_ = room - 1;
}

void KeyWindows::push(const Event& event) {
  if (ring_ == nullptr || end_ - first_ > mask_) grow();
  uint64_t* place = ring_.get() + (end_ & mask_) * plan_->stride_;
  *place++ = static_cast<uint64_t>(event.time_us);
  for (int input : plan_->inputs_) *place++ = event.inputs[input];
  if (plan_->labels_) *place = static_cast<uint64_t>(event.known_fraud_us);
  if (plan_->labels_ && event.turn_count > 0) {
    if (turns_ == nullptr) turns_ = std::make_unique<Turns>();
    turns_->emplace(end_, std::vector<int64_t>(event.turns, event.turns + event.turn_count));
  }
  ++end_;
  newest_us_ = event.time_us;
}

bool KeyWindows::present(uint64_t sequence, const Accumulator& accumulator) const noexcept {
  return (accumulator.slot == kEveryEvent || cell_at(sequence, accumulator.slot) != kAbsent) &&
         (accumulator.second_slot == kEveryEvent ||
          cell_at(sequence, accumulator.second_slot) != kAbsent);
}

// Tells whether an event is known to be fraud at a time.
bool KeyWindows::is_fraud(uint64_t sequence, int64_t now) const noexcept {
  if (known_at(sequence) > now) return false;
  if (turns_ == nullptr) return true;
  const auto turns = turns_->find(sequence);
  if (turns == turns_->end()) return true;
  const std::vector<int64_t>& times = turns->second;
  return (std::upper_bound(times.begin(), times.end(), now) - times.begin()) % 2 == 0;
}

// Returns when, after a time, what is known of an event turns next.
int64_t KeyWindows::next_turn(uint64_t sequence, int64_t now) const noexcept {
  if (known_at(sequence) > now) return known_at(sequence);
  if (turns_ == nullptr) return kNever;
  const auto turns = turns_->find(sequence);
  if (turns == turns_->end()) return kNever;
  const auto next = std::upper_bound(turns->second.begin(), turns->second.end(), now);
  return next == turns->second.end() ? kNever : *next;
}

// Takes an event into a window.
void KeyWindows::enter(const Accumulator& accumulator, uint64_t sequence, int64_t now) {
  if (!present(sequence, accumulator)) return;
  uint64_t* words = words_.get() + accumulator.word;
  switch (accumulator.kind) {
    case KeyPlan::Kind::kCount:
      ++words[0];
      break;
    case KeyPlan::Kind::kSum:
    case KeyPlan::Kind::kSquares: {
      const DoubleParts parts(cell_number(cell_at(sequence, accumulator.slot)));
      ++words[kCountWord];
      if (!sums_exactly(parts)) {
        ++words[kInexactWord];
        break;
      }
      add_value(sum_in(words), parts, false);
      if (accumulator.kind == KeyPlan::Kind::kSquares) add_square(squares_in(words), parts, false);
      break;
    }
    case KeyPlan::Kind::kMin:
    case KeyPlan::Kind::kMax: {
      Queue& queue = queues_[accumulator.queue];
      const double value = cell_number(cell_at(sequence, accumulator.slot));
      const bool least = accumulator.kind == KeyPlan::Kind::kMin;
      while (queue.candidates.size() > queue.front) {
        const double last = cell_number(cell_at(queue.candidates.back(), accumulator.slot));
        if (least ? last < value : last > value) break;
        queue.candidates.pop_back();
      }
      queue.candidates.push_back(sequence);
      break;
    }
    case KeyPlan::Kind::kDistinct:
      ++queues_[accumulator.queue].values[cell_at(sequence, accumulator.slot)];
      break;
    case KeyPlan::Kind::kRate: {
      ++words[0];
      if (is_fraud(sequence, now)) ++words[1];
      const int64_t turn = next_turn(sequence, now);
      if (turn != kNever) {
        auto& pending = queues_[accumulator.queue].pending;
        pending.emplace_back(turn, sequence);
        std::push_heap(pending.begin(), pending.end(), std::greater<>());
      }
      break;
    }
    case KeyPlan::Kind::kLast:
      words[0] = 1;
      words[1] = static_cast<uint64_t>(time_at(sequence));
      if (accumulator.slot != kEveryEvent) words[2] = cell_at(sequence, accumulator.slot);
      if (accumulator.second_slot != kEveryEvent) words[3] = cell_at(sequence, accumulator.second_slot);
      break;
  }
}

// Takes out of a window an event that entered it.
void KeyWindows::leave(const Accumulator& accumulator, uint64_t sequence) {
  if (!present(sequence, accumulator)) return;
  uint64_t* words = words_.get() + accumulator.word;
  switch (accumulator.kind) {
    case KeyPlan::Kind::kCount:
      --words[0];
      break;
    case KeyPlan::Kind::kSum:
    case KeyPlan::Kind::kSquares: {
      const DoubleParts parts(cell_number(cell_at(sequence, accumulator.slot)));
      --words[kCountWord];
      if (!sums_exactly(parts)) {
        --words[kInexactWord];
        break;
      }
      add_value(sum_in(words), parts, true);
      if (accumulator.kind == KeyPlan::Kind::kSquares) add_square(squares_in(words), parts, true);
      break;
    }
    case KeyPlan::Kind::kMin:
    case KeyPlan::Kind::kMax: {
      Queue& queue = queues_[accumulator.queue];
      if (queue.front < queue.candidates.size() && queue.candidates[queue.front] == sequence) {
        if (++queue.front > queue.candidates.size() / 2) {
          queue.candidates.erase(queue.candidates.begin(),
                                 queue.candidates.begin() + static_cast<std::ptrdiff_t>(queue.front));
          queue.front = 0;
        }
      }
      break;
    }
    case KeyPlan::Kind::kDistinct: {
      auto& values = queues_[accumulator.queue].values;
      auto value = values.find(cell_at(sequence, accumulator.slot));
      if (--value->second == 0) values.erase(value);
      break;
    }
    case KeyPlan::Kind::kRate:
      --words[0];
      // It was counted if it was known when the window was last looked at.
      if (is_fraud(sequence, static_cast<int64_t>(words[2]))) --words[1];
      break;
    case KeyPlan::Kind::kLast:
      break;
  }
}

// Slides one window to where it stands for an event at `now`.
void KeyWindows::advance(size_t index, int64_t now, uint64_t limit) {
  const Window& window = plan_->windows_[index];
  uint64_t& tail = words_[2 * index];
  uint64_t& head = words_[2 * index + 1];
  const int64_t newest = before(now, window.delay_us);  // the window is (oldest, newest]
  const int64_t oldest = before(newest, window.width_us);
  if (!window.holds_events) tail = head;
  while (tail != head && time_at(tail) <= oldest) {
    for (const Accumulator& accumulator : window.accumulators) leave(accumulator, tail);
    ++tail;
  }
  if (tail == head) {
    // What has grown too old before it ever entered is passed over.
    while (head != limit && time_at(head) <= oldest) ++head;
    tail = head;
  }
  while (head != limit && time_at(head) <= newest) {
    for (const Accumulator& accumulator : window.accumulators) enter(accumulator, head, now);
    ++head;
  }
  for (const Accumulator& accumulator : window.accumulators) {
    if (accumulator.kind != KeyPlan::Kind::kRate) continue;
    uint64_t* words = words_.get() + accumulator.word;
    auto& pending = queues_[accumulator.queue].pending;
    while (!pending.empty() && pending.front().first <= now) {
      const uint64_t sequence = pending.front().second;
      std::pop_heap(pending.begin(), pending.end(), std::greater<>());
      pending.pop_back();
      if (sequence < tail) continue;
      // What was known when the window was last looked at, and what is now.
      if (is_fraud(sequence, static_cast<int64_t>(words[2]))) --words[1];
      if (is_fraud(sequence, now)) ++words[1];
      const int64_t turn = next_turn(sequence, now);
      if (turn == kNever) continue;
      pending.emplace_back(turn, sequence);
      std::push_heap(pending.begin(), pending.end(), std::greater<>());
    }
    words[2] = static_cast<uint64_t>(now);
  }
}

// Returns the sum. Values that cannot be summed exactly are summed in the order of
// the events, which is the same whichever way the window came to be.
double KeyWindows::sum(const Accumulator& accumulator, uint64_t tail, uint64_t head) const {
  uint64_t* words = words_.get() + accumulator.word;
  if (words[kInexactWord] == 0) return sum_in(words).value();
  double total = 0;
  for (uint64_t sequence = tail; sequence != head; ++sequence) {
    if (present(sequence, accumulator)) total += cell_number(cell_at(sequence, accumulator.slot));
  }
  return total;
}

// Returns the standard deviation of the sample, of at least two.
double KeyWindows::deviation(const Accumulator& accumulator, uint64_t tail, uint64_t head) const {
  uint64_t* words = words_.get() + accumulator.word;
  if (words[kInexactWord] == 0) {
    return exact_deviation(words[kCountWord], sum_in(words), squares_in(words));
  }
  const auto count = static_cast<double>(words[kCountWord]);
  const double mean = sum(accumulator, tail, head) / count;
  double total = 0;
  for (uint64_t sequence = tail; sequence != head; ++sequence) {
    if (!present(sequence, accumulator)) continue;
    const double difference = cell_number(cell_at(sequence, accumulator.slot)) - mean;
    total += difference * difference;
  }
  return std::sqrt(total / (count - 1));
}

// What an accumulator holds of its window, for an event.
struct KeyWindows::Held {
  const KeyWindows& windows;
  const Accumulator& accumulator;
  size_t window;
  int64_t now;
  const uint64_t* words;

  const Queue& queue() const { return windows.queues_[accumulator.queue]; }
  uint64_t tail() const { return windows.words_[2 * window]; }
  uint64_t head() const { return windows.words_[2 * window + 1]; }

  // Not of all kinds: least, greatest and different values keep no words.
  uint64_t count() const { return words[kCountWord]; }
  uint64_t frauds() const { return words[1]; }
  double sum() const { return windows.sum(accumulator, tail(), head()); }
  double deviation() const { return windows.deviation(accumulator, tail(), head()); }
  double extreme() const {
    if (queue().front == queue().candidates.size()) return kMissing;
    return cell_number(windows.cell_at(queue().candidates[queue().front], accumulator.slot));
  }
  size_t different() const { return queue().values.size(); }
  int64_t last_time() const { return static_cast<int64_t>(words[1]); }
  Cell last(int which) const { return words[2 + which]; }
  // The latest event may have left the window.
  bool has_last() const {
    const Window& held = windows.plan_->windows_[window];
    return words[0] != 0 && last_time() > before(before(now, held.delay_us), held.width_us);
  }
};

double KeyWindows::result(const KeyPlan::Output& output, const Event& event) const {
  const Accumulator& accumulator = plan_->windows_[output.window].accumulators[output.accumulator];
  const Held held{*this, accumulator, output.window, event.time_us, words_.get() + accumulator.word};
  return window_result(output.aggregate, output.current_input, output.second_current_input, event, held);
}

// Events from `limit` on are in no window.
void KeyWindows::evaluate(bool include_current, const Event& event, uint64_t limit, float* features) {
  size_t advanced = plan_->windows_.size();
  for (const KeyPlan::Output& output : plan_->outputs_) {
    if (output.include_current != include_current) continue;
    if (output.window != advanced) {
      advance(output.window, event.time_us, limit);
      advanced = output.window;
    }
    features[output.feature] = feature_value(result(output, event));
  }
}

// Forgets the events that have left all windows.
void KeyWindows::drop_old() {
  uint64_t oldest = end_;
  for (size_t i = 0; i < plan_->windows_.size(); ++i) {
    oldest = std::min(oldest, words_[2 * i + (plan_->windows_[i].holds_events ? 0 : 1)]);
  }
  first_ = oldest;
  if (turns_ != nullptr) turns_->erase(turns_->begin(), turns_->lower_bound(first_));
}

void KeyWindows::evaluate_and_push(const Event& event, float* features) {
  if (event.run == 0 || event.run != run_) {
    run_ = event.run;
    run_begin_ = end_;
  }
  evaluate(false, event, run_begin_, features);
  push(event);
  if (plan_->includes_current_) evaluate(true, event, end_, features);
  drop_old();
}

// ---------------------------------------------------------------- the engine

// The keys that have events in their windows: an open hash table.
class FeatureEngine::Table {
 public:
  explicit Table(const KeyPlan& plan) : plan_(&plan), slots_(64) {}

  struct State {
    std::string key;
    KeyWindows windows;
    // In the batch that is computed: its first and latest row.
    uint32_t first_row = 0, last_row = 0;
    bool in_batch = false;
  };

  State& find(std::string_view key) {
    const size_t hash = std::hash<std::string_view>()(key);
    const size_t mask = slots_.size() - 1;
    size_t i = hash & mask;
    for (; slots_[i].state != nullptr; i = (i + 1) & mask) {
      if (slots_[i].hash == hash && slots_[i].state->key == key) return *slots_[i].state;
    }
    if (2 * ++used_ > slots_.size()) {
      enlarge();
      return insert(hash, key);
    }
    return place(i, hash, key);
  }

  // Forgets keys whose events are all out of reach at `now`, of `count` slots: with
  // a few for each event, it goes round faster than the table grows.
  void sweep(int64_t now, size_t count) {
    const int64_t oldest = before(now, plan_->reach_us());
    for (size_t i = std::min(count, slots_.size()); i > 0; --i) {
      hand_ = (hand_ + 1) & (slots_.size() - 1);
      const Slot& slot = slots_[hand_];
      if (slot.state != nullptr && slot.state->windows.newest_us() <= oldest) erase(hand_);
    }
  }

  // Notes by how much the windows of its keys have grown (or, as a wrapped number, shrunk).
  void account(size_t growth) noexcept { bytes_ += growth; }

  size_t bytes() const noexcept { return bytes_ + slots_.size() * sizeof(Slot); }

  size_t largest() const noexcept {
    size_t most = 0;
    for (const Slot& slot : slots_) {
      if (slot.state != nullptr) most = std::max(most, slot.state->windows.bytes());
    }
    return most;
  }

 private:
  struct Slot {
    size_t hash = 0;
    std::unique_ptr<State> state;
  };

  State& place(size_t i, size_t hash, std::string_view key) {
    slots_[i].hash = hash;
    slots_[i].state.reset(new State{std::string(key), KeyWindows(*plan_)});
    bytes_ += sizeof(State) + key.size() + slots_[i].state->windows.bytes();
    return *slots_[i].state;
  }

  State& insert(size_t hash, std::string_view key) {
    const size_t mask = slots_.size() - 1;
    size_t i = hash & mask;
    while (slots_[i].state != nullptr) i = (i + 1) & mask;
    return place(i, hash, key);
  }

  void enlarge() {
    std::vector<Slot> old(2 * slots_.size());
    old.swap(slots_);
    const size_t mask = slots_.size() - 1;
    for (Slot& slot : old) {
      if (slot.state == nullptr) continue;
      size_t i = slot.hash & mask;
      while (slots_[i].state != nullptr) i = (i + 1) & mask;
      slots_[i] = std::move(slot);
    }
  }

  // Empties a slot and closes the gap in the run of slots that follows it.
  void erase(size_t i) {
    const size_t mask = slots_.size() - 1;
    bytes_ -= sizeof(State) + slots_[i].state->key.size() + slots_[i].state->windows.bytes();
    --used_;
    slots_[i].state.reset();
    for (size_t j = (i + 1) & mask; slots_[j].state != nullptr; j = (j + 1) & mask) {
      const size_t home = slots_[j].hash & mask;
      if (((j - home) & mask) >= ((j - i) & mask)) {
        slots_[i] = std::move(slots_[j]);
        slots_[j].state.reset();
        i = j;
      }
    }
  }

  const KeyPlan* plan_;
  std::vector<Slot> slots_;
  size_t used_ = 0, hand_ = 0, bytes_ = 0;
};

FeatureEngine::FeatureEngine(std::vector<WindowFeature> features, size_t keys, size_t helpers)
    : features_(std::move(features)), helpers_(helpers) {
  plans_.reserve(keys);  // tables point to them
  tables_.reserve(keys);
  for (size_t key = 0; key < keys; ++key) {
    plans_.emplace_back(features_, key);
    tables_.emplace_back(plans_.back());
  }
}
FeatureEngine::~FeatureEngine() = default;

int64_t FeatureEngine::reach_us() const noexcept {
  int64_t reach = 0;
  for (const KeyPlan& plan : plans_) reach = std::max(reach, plan.reach_us());
  return reach;
}

void FeatureEngine::next(const Event* events, size_t count, const std::string_view* keys,
                         float* features) {
  if (count == 0) return;
  std::fill_n(features, count * features_.size(), static_cast<float>(kMissing));
  next_of_key_.resize(count);
  std::vector<Table::State*> states;
  for (size_t key = 0; key < tables_.size(); ++key) {
    if (plans_[key].empty()) continue;
    Table& table = tables_[key];
    table.sweep(events[0].time_us, 4 * count);
    states.clear();
    for (uint32_t row = 0; row < count; ++row) {
      const std::string_view name = keys[row * tables_.size() + key];
      if (name.data() == nullptr) continue;
      Table::State& state = table.find(name);
      if (state.in_batch) {
        next_of_key_[state.last_row] = row;
      } else {
        state.in_batch = true;
        state.first_row = row;
        states.push_back(&state);
      }
      state.last_row = row;
    }
    // A part is some keys. Their windows, and the rows that they give, are theirs alone.
    constexpr size_t kPart = 32;
    std::atomic<size_t> growth{0};
    share((states.size() + kPart - 1) / kPart, [&](size_t part) {
      const size_t end = std::min(states.size(), (part + 1) * kPart);
      size_t grown = 0;
      for (size_t i = part * kPart; i < end; ++i) {
        Table::State* state = states[i];
        if (i + 2 < end) states[i + 2]->windows.prefetch();
        const size_t bytes_before = state->windows.bytes();
        for (uint32_t row = state->first_row;; row = next_of_key_[row]) {
          if (row != state->last_row) {
            const uint32_t later = next_of_key_[row];
            __builtin_prefetch(events + later);
            __builtin_prefetch(features + later * features_.size(), 1);
          }
          state->windows.evaluate_and_push(events[row], features + row * features_.size());
          if (row == state->last_row) break;
        }
        state->in_batch = false;
        grown += state->windows.bytes() - bytes_before;
      }
      growth += grown;
    });
    table.account(growth);
  }
}

// Calls task for each part, on the helpers and here.
void FeatureEngine::share(size_t parts, const std::function<void(size_t)>& task) {
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t part; (part = next++) < parts;) task(part);
  };
  const size_t started = parts < 2 ? 0 : std::min(helpers_.size(), parts - 1);
  std::exception_ptr error;
  const auto keep_error = [&](const auto& call) {
    try {
      call();
    } catch (...) {
      error = std::current_exception();
    }
  };
  for (size_t i = 0; i < started; ++i) keep_error([&] { helpers_[i].start(work); });
  keep_error(work);
  for (size_t i = 0; i < started; ++i) keep_error([&] { helpers_[i].wait(); });
  if (error != nullptr) std::rethrow_exception(error);
}

size_t FeatureEngine::bytes() const noexcept {
  size_t total = 0;
  for (const Table& table : tables_) total += table.bytes();
  return total;
}

std::pair<size_t, size_t> FeatureEngine::largest() const noexcept {
  std::pair<size_t, size_t> most{0, 0};
  for (size_t key = 0; key < tables_.size(); ++key) {
    const size_t bytes = tables_[key].largest();
    if (bytes > most.first) most = {bytes, key};
  }
  return most;
}

}  // namespace fraud
