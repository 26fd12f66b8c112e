// Which rows of a training run are for what, by their time: of the train period, in whose parts the folds of a
// search are, of the validation, or of the test. Times are microseconds.
#pragma once

#include "core/base/guard.h"

#include <cstdint>
#include <limits>
#include <vector>

#include "core/base/json.h"

namespace fraud {

struct Period {
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
  int64_t from = kNever, to = kNever;
  int64_t rows = 0, frauds = 0;

  bool given() const { return from != kNever; }
  bool holds(int64_t time) const { return given() && time >= from && time < to; }
};

enum class RowUse { kTraining, kTest, kNone };

class Periods {
 public:
  Period train, validation, test;

  // Has the train period be in equal parts, one more than there are folds: each part but the first is a
  // fold's validation, after training on all before it, but for the delay.
  void fold(int64_t folds, int64_t delay);

  // Where the last of the periods ends.
  int64_t end() const;

  // Counts a row, which come in order of time; one in a delay is of no use.
  RowUse add(int64_t time, float label);

  // Which of the rows of use for training, by their numbers, are for what: as the training program is told.
  Json ranges() const;

 private:
  struct Fold {
    int64_t train_to, validation_from, validation_to;
    // Rows before each of these times.
    int64_t train_rows = 0, validation_begin = 0, validation_end = 0;
  };
  std::vector<Fold> folds_;
};

}  // namespace fraud
