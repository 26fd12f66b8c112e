// A set of cells, for counting different values: an open hash table that keeps its memory.
#pragma once

#include "core/features/feature_engine.h"

#include <algorithm>
#include <cstddef>
#include <vector>

namespace fraud {

class CellSet {
 public:
  size_t size() const noexcept { return size_; }

  // kAbsent, which marks a free place, is no value.
  void insert(Cell cell) {
    if (cell == kAbsent) return;
    if (2 * size_ >= slots_.size()) grow();
    size_ += place(cell) ? 1 : 0;
  }

  void clear() {
    if (size_ == 0) return;
    // What one event in a thousand needs is not emptied for each.
    if (slots_.size() > 64 * size_ && slots_.size() > 4096) slots_ = {};
    std::fill(slots_.begin(), slots_.end(), kAbsent);
    size_ = 0;
  }

 private:
  bool place(Cell cell) noexcept {
    const size_t mask = slots_.size() - 1;
    // Numbers differ in their upper bits, hashes in all.
    size_t i = (cell ^ cell >> 32) * 0x9E3779B97F4A7C15 >> 20 & mask;
    for (; slots_[i] != kAbsent; i = (i + 1) & mask) {
      if (slots_[i] == cell) return false;
    }
    slots_[i] = cell;
    return true;
  }

  void grow() {
    std::vector<Cell> old(std::max<size_t>(64, 2 * slots_.size()), kAbsent);
    old.swap(slots_);
    for (const Cell cell : old) {
      if (cell != kAbsent) place(cell);
    }
  }

  std::vector<Cell> slots_;
  size_t size_ = 0;
};

}  // namespace fraud
