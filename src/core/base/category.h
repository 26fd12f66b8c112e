// Membership in the set of categories that a split sends right.
#pragma once

#include "core/base/guard.h"

#include <cstddef>
#include <cstdint>

namespace fraud {

// Tells whether the value is a category of the set: category c is bit c % 32 of
// word c / 32. Values that are no category, NaN among them, are in no set; a
// fraction counts as the category below it, as in XGBoost.
inline bool in_categories(const uint32_t* words, size_t count, float value) noexcept {
  if (!(value >= 0 && value < static_cast<float>(count * 32))) return false;
  const auto category = static_cast<uint32_t>(value);
  return (words[category / 32] >> (category % 32) & 1U) != 0;
}

}  // namespace fraud
