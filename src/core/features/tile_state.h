// What Tile and WindowTotals have in common: how words hold sums, and what an event brings.
#pragma once

#include "core/features/exact_sum.h"
#include "core/features/feature_engine.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace fraud {

// In a WindowTotals a sum stands behind how many values there are, and how many of them do not sum exactly;
// squares behind the sum.
constexpr size_t kSumState = 2, kSquaresState = kSumState + sizeof(Sum) / sizeof(uint64_t);

inline Sum& sum_at(uint64_t* words) noexcept { return *reinterpret_cast<Sum*>(words); }
inline const Sum& sum_at(const uint64_t* words) noexcept { return *reinterpret_cast<const Sum*>(words); }
inline SumOfSquares& squares_at(uint64_t* words) noexcept { return *reinterpret_cast<SumOfSquares*>(words); }
inline const SumOfSquares& squares_at(const uint64_t* words) noexcept {
  return *reinterpret_cast<const SumOfSquares*>(words);
}

inline bool has_cells(int input, int second_input, const Event& event) noexcept {
  return (input == kEveryEvent || event.inputs[input] != kAbsent) &&
         (second_input == kEveryEvent || event.inputs[second_input] != kAbsent);
}

// Tells whether the least (or greatest) value so far stays it when a later one comes. Of equal ones the later
// is it, as in KeyWindows: 0.0 and -0.0 are equal, and not the same.
inline bool stays(bool least, Cell so_far, Cell later) noexcept {
  return least ? cell_number(so_far) < cell_number(later) : cell_number(so_far) > cell_number(later);
}

// Tells whether an event is known to be fraud at a time.
inline bool known_fraud(const Event& event, int64_t now) noexcept {
  if (event.known_fraud_us > now) return false;
  const int64_t* const end = event.turns + event.turn_count;
  return (std::upper_bound(event.turns, end, now) - event.turns) % 2 == 0;
}

}  // namespace fraud
