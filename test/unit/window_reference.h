// Events at random and the definition of window features, word for word: what the tests compare with.
#pragma once

#include "core/features/feature_engine.h"

#include <cstdint>
#include <string>
#include <vector>

namespace fraud {

constexpr size_t kKeys = 3;
constexpr size_t kInputs = 5;  // amount, filtered amount, code, latitude, longitude

// An event with all that the tests need; `keys` empty is null.
struct TestEvent {
  int64_t time = 0;
  int id = 0;
  std::string keys[kKeys];
  Cell cells[kInputs];
  int64_t known = kNever;
  std::vector<int64_t> turns;  // of the label, after known
  uint64_t run = 0;            // as Event's
};

enum class Amounts { kEighths, kAny };

std::vector<TestEvent> random_events(uint64_t seed, size_t count, Amounts amounts);

Event view(const TestEvent& event);

// The events of a feature's window that have its inputs, for an event among all.
std::vector<const TestEvent*> window_of(const WindowFeature& feature, const std::vector<TestEvent>& events,
                                        size_t current);

// The definition, word for word, over all events.
double reference(const WindowFeature& feature, const std::vector<TestEvent>& events, size_t current);

// Equal to the last bit, or both missing.
bool same(float a, float b);

// Whether the engine gives an event's feature as the reference does: to the last bit, but for those of which the
// reference rounds at every step.
bool as_reference(const WindowFeature& feature, float got, double expected);

}  // namespace fraud
