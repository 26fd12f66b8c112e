#include "core/features/training_periods.h"

namespace fraud {

void Periods::fold(int64_t folds, int64_t delay) {
  const int64_t parts = folds + 1;
  for (int64_t i = 1; i < parts; ++i) {
    const int64_t cut = train.from + (train.to - train.from) / parts * i;
    const int64_t end = i + 1 == parts ? train.to : train.from + (train.to - train.from) / parts * (i + 1);
    folds_.push_back({cut - delay, cut, end});
  }
}

int64_t Periods::end() const { return test.given() ? test.to : validation.given() ? validation.to : train.to; }

RowUse Periods::add(int64_t time, float label) {
  Period* period = nullptr;
  for (Period* one : {&test, &train, &validation}) {
    if (period == nullptr && one->holds(time)) period = one;
  }
  if (period == nullptr) return RowUse::kNone;
  ++period->rows;
  period->frauds += label != 0;
  if (period == &test) return RowUse::kTest;
  for (Fold& fold : folds_) {
    fold.train_rows += time < fold.train_to;
    fold.validation_begin += time < fold.validation_from;
    fold.validation_end += time < fold.validation_to;
  }
  return RowUse::kTraining;
}

Json Periods::ranges() const {
  Json folds = Json::array();
  for (const Fold& fold : folds_) {
    folds.push_back(Json::array({Json::array({0, fold.train_rows}), Json::array({fold.validation_begin, fold.validation_end})}));
  }
  return Json::object({{"train", Json::array({0, train.rows})},
                       {"validation", Json::array({train.rows, train.rows + validation.rows})},
                       {"folds", folds}});
}

}  // namespace fraud
