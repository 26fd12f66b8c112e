// How the numbers of a page's columns are read: inline, as it is done for each tile of each window.
#pragma once

#include "core/features/tile.h"
#include "core/features/tile_bytes.h"

namespace fraud {

// Of which tile in the page a place is, if it is one's.
inline size_t TilePage::rank(int place) const noexcept {
  return place >= kPageTiles ? static_cast<size_t>(__builtin_popcountll(tiles_))
                             : static_cast<size_t>(__builtin_popcountll(tiles_ & ((uint64_t{1} << place) - 1)));
}

// Of columns of one word.
inline uint64_t TilePage::Numbers::number(size_t tile) const noexcept {
  return width == 0 ? 0 : load_unsigned(data + tile * width, width) << (8 * low);
}

inline int64_t TilePage::Numbers::time(size_t tile) const noexcept {
  return static_cast<int64_t>(static_cast<uint64_t>(base) + number(tile) - 1);
}

// Returns the sum of the numbers of tiles [first, last).
inline uint64_t TilePage::Numbers::total(size_t first, size_t last) const noexcept {
  if (width == 0) return 0;
  uint64_t sum = 0;
  if (width == 1) {
    for (size_t tile = first; tile < last; ++tile) sum += static_cast<unsigned char>(data[tile]);
  } else {
    for (size_t tile = first; tile < last; ++tile) sum += load_unsigned(data + tile * width, width);
  }
  return sum << (8 * low);
}

inline std::string_view TilePage::Numbers::set(size_t tile) const noexcept {
  if (width == 0) return {};
  const uint64_t begin = tile == 0 ? 0 : number(tile - 1);
  return {values + begin, number(tile) - begin};
}

// Calls take(cell) for the values of a tile; returns false if they are too many to be kept.
template <typename Take>
bool for_each_cell(std::string_view values, Take take) {
  if (values.empty()) return true;
  const auto width = static_cast<unsigned char>(values[0]);
  if (width == 0) return false;
  Cell cell = 0;
  const char* const end = values.data() + values.size();
  for (const char* at = values.data() + 1; at != end; at += width) take(cell += load_unsigned(at, width));
  return true;
}

}  // namespace fraud
