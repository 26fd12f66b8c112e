// Window features of events, computed the same way whether the events stream by in
// time order (FeatureEngine) or are those that an index found for one event
// (KeyWindows, which the engine keeps one of for each key).
//
// A window of an event at time t is the interval (t - delay - width, t - delay] of
// the events with the same key. Events are in order of (time, id); with a delay of
// zero only those before the current event count, and, where the feature says so,
// the current event itself.
#pragma once

#include "core/base/guard.h"
#include "core/base/task_thread.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fraud {

enum class Aggregate {
  kCount,             // events, or values that are not null
  kSum,               // 0 of none
  kAvg,
  kMin,
  kMax,
  kStddev,            // of a sample; missing for fewer than two
  kDistinct,          // different values
  kLast,              // the latest value
  kSecondsSinceLast,  // from the latest event (with a value) to this
  kRate,              // events whose label is known to be true, of all
  kRatio,             // this event's value to the mean; missing where that is 0
  kZscore,            // (this event's value - mean) / stddev; missing where that is 0
  kDistance,          // km from the latest place to this event's
  kSpeed,             // km/h from the latest place to this event's
};

// What an event brings for one input: the bits of a finite double, or, for
// kDistinct alone, any other 64 bits that stand for a value.
using Cell = uint64_t;
constexpr Cell kAbsent = 0x7FF8000000000001;  // null, or filtered out: the bits of a NaN

// Returns the cell of a number; what is not finite is absent.
inline Cell number_cell(double value) noexcept {
  if (!(value - value == 0)) return kAbsent;
  Cell cell;
  std::memcpy(&cell, &value, sizeof(cell));
  return cell;
}

inline double cell_number(Cell cell) noexcept {
  double value;
  std::memcpy(&value, &cell, sizeof(value));
  return value;
}

// Returns the float32 of a feature: NaN is missing, what is too large is the largest.
inline float feature_value(double value) noexcept {
  constexpr double kMost = std::numeric_limits<float>::max();
  if (value > kMost) return std::numeric_limits<float>::max();
  if (value < -kMost) return std::numeric_limits<float>::lowest();
  return static_cast<float>(value);
}

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
constexpr int kEveryEvent = -1;  // an input that every event has

struct WindowFeature {
  Aggregate aggregate = Aggregate::kCount;
  size_t key = 0;               // which of the keys
  int input = kEveryEvent;      // which of the inputs
  int second_input = kEveryEvent;  // the longitude, of kDistance and kSpeed
  int64_t width_us = 0;
  int64_t delay_us = 0;
  bool include_current = false;
  // The current event's own value (and longitude), which no filter touches; of
  // kRatio, kZscore, kDistance and kSpeed.
  int current_input = kEveryEvent;
  int second_current_input = kEveryEvent;
};

// An event as the engine sees it.
struct Event {
  int64_t time_us = 0;
  int64_t known_fraud_us = kNever;  // from when its label is known to be true
  const Cell* inputs = nullptr;
  // Of the few whose label turned after that: when it was known to be false, true again,
  // and so on. In order.
  const int64_t* turns = nullptr;
  size_t turn_count = 0;
  uint64_t run = 0;  // the same of events of one time and id, which follow each other; 0: it is alone
};

// What the features of one key need: which cells are kept, which windows slide,
// and what is kept up to date for each.
class KeyPlan {
 public:
  KeyPlan(const std::vector<WindowFeature>& features, size_t key);

  // How far back the windows reach: the largest delay + width.
  int64_t reach_us() const noexcept { return reach_us_; }
  // How far back the latest end of a window is.
  int64_t least_delay_us() const noexcept { return least_delay_us_; }
  bool empty() const noexcept { return outputs_.empty(); }
  bool wants_labels() const noexcept { return labels_; }
  // The inputs that events must bring when they are pushed.
  const std::vector<int>& inputs() const noexcept { return inputs_; }

 private:
  friend class KeyWindows;
  friend class TileShape;  // core/features/tile.h
  friend class WindowTotals;
  enum class Kind { kCount, kSum, kSquares, kMin, kMax, kDistinct, kRate, kLast };
  struct Accumulator {
    Kind kind;
    int slot, second_slot;  // of the event's kept cells, or kEveryEvent
    size_t word;            // where its state begins
    size_t queue;           // which of the states that own memory
  };
  struct Window {
    int64_t width_us, delay_us;
    bool include_current;
    std::vector<Accumulator> accumulators;
    bool holds_events = false;  // not where only the latest is wanted
  };
  struct Output {
    size_t feature;
    Aggregate aggregate;
    size_t window, accumulator;
    int current_input, second_current_input;
    bool include_current;
  };

  int slot_of(int input);
  size_t accumulator(Window& window, Kind kind, int slot, int second_slot);

  std::vector<int> inputs_;
  bool labels_ = false, includes_current_ = false;
  std::vector<Window> windows_;
  std::vector<Output> outputs_;  // by window
  size_t words_ = 0, queues_ = 0, stride_ = 0;
  int64_t reach_us_ = 0, least_delay_us_ = 0;
};

// The windows of one key. Events come in order of (time, id).
class KeyWindows {
 public:
  explicit KeyWindows(const KeyPlan& plan);
  ~KeyWindows();
  KeyWindows(KeyWindows&&) noexcept;
  KeyWindows& operator=(KeyWindows&&) = delete;

  // Computes the key's features of an event that is not pushed yet, into their
  // places of `features`, and pushes it. After it, none earlier may come. Those of one run do not
  // count for each other.
  void evaluate_and_push(const Event& event, float* features);
  // Adds an event that only later ones need.
  void push(const Event& event);

  // Asks for the memory that evaluating will touch.
  void prefetch() const noexcept;
  int64_t newest_us() const noexcept { return newest_us_; }
  size_t bytes() const noexcept;

 private:
  struct Queue;
  struct Held;
  using Window = KeyPlan::Window;
  using Accumulator = KeyPlan::Accumulator;

  const uint64_t* at(uint64_t sequence) const noexcept {
    return ring_.get() + (sequence & mask_) * plan_->stride_;
  }
  int64_t time_at(uint64_t sequence) const noexcept { return static_cast<int64_t>(at(sequence)[0]); }
  Cell cell_at(uint64_t sequence, int slot) const noexcept { return at(sequence)[1 + slot]; }
  int64_t known_at(uint64_t sequence) const noexcept {
    return static_cast<int64_t>(at(sequence)[plan_->stride_ - 1]);
  }
  bool present(uint64_t sequence, const Accumulator& accumulator) const noexcept;
  bool is_fraud(uint64_t sequence, int64_t now) const noexcept;
  int64_t next_turn(uint64_t sequence, int64_t now) const noexcept;

  void advance(size_t window, int64_t now, uint64_t limit);
  void enter(const Accumulator& accumulator, uint64_t sequence, int64_t now);
  void leave(const Accumulator& accumulator, uint64_t sequence);
  void evaluate(bool include_current, const Event& event, uint64_t limit, float* features);
  double result(const KeyPlan::Output& output, const Event& event) const;
  double sum(const Accumulator& accumulator, uint64_t tail, uint64_t head) const;
  double deviation(const Accumulator& accumulator, uint64_t tail, uint64_t head) const;
  void drop_old();
  void grow();

  const KeyPlan* plan_;
  std::unique_ptr<uint64_t[]> ring_;   // the events that a window holds or will hold
  uint64_t mask_ = 0, first_ = 0, end_ = 0;
  uint64_t run_ = 0, run_begin_ = 0;  // of the event evaluated last, and the first of that run
  std::unique_ptr<uint64_t[]> words_;  // tail and head of each window, then accumulators
  std::unique_ptr<Queue[]> queues_;
  // Of the events in the ring whose label turned more than once: the turns after the first.
  using Turns = std::map<uint64_t, std::vector<int64_t>>;
  std::unique_ptr<Turns> turns_;
  int64_t newest_us_ = std::numeric_limits<int64_t>::min();
};

// All windows of all keys, in one pass over the events in order of (time, id), a
// batch at a time. Within a batch the events are taken key by key, so that a key's
// windows are fetched into the processor's cache once.
class FeatureEngine {
 public:
  // With helpers, that many threads more share the keys of a batch; what comes of it
  // is the same.
  FeatureEngine(std::vector<WindowFeature> features, size_t keys, size_t helpers = 0);
  ~FeatureEngine();

  size_t feature_count() const noexcept { return features_.size(); }
  // How far back the longest window reaches.
  int64_t reach_us() const noexcept;
  const KeyPlan& plan(size_t key) const { return plans_[key]; }

  // Computes the features of the next events, into count x feature_count() values.
  // keys has count x keys values; those of a null one (data() == nullptr) are missing.
  void next(const Event* events, size_t count, const std::string_view* keys, float* features);

  // Memory in use, about. Keys whose events have left all windows are forgotten.
  size_t bytes() const noexcept;
  // The most that one value of a key takes of it, and of which key. Looks at all of them.
  std::pair<size_t, size_t> largest() const noexcept;

 private:
  class Table;
  void share(size_t parts, const std::function<void(size_t)>& task);

  std::vector<WindowFeature> features_;
  std::vector<KeyPlan> plans_;
  std::vector<Table> tables_;
  std::vector<uint32_t> next_of_key_;  // of a batch: the next row with the same key
  std::vector<TaskThread> helpers_;
};

}  // namespace fraud
