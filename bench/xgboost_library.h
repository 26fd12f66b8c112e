// XGBoost's C API out of a library that is chosen at run time, on one thread, so
// that one program measures whichever version is at hand.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <xgboost/c_api.h>

namespace fraud::bench {

class XgboostLibrary {
 public:
  // Loads the library at this path (or of this name, where the loader looks).
  explicit XgboostLibrary(const std::string& path);

  std::string version() const;
  void check(int status) const;  // throws the library's message when a call failed

  decltype(&XGBoostVersion) Version;
  decltype(&XGBGetLastError) GetLastError;
  decltype(&XGBoosterCreate) BoosterCreate;
  decltype(&XGBoosterFree) BoosterFree;
  decltype(&XGBoosterSetParam) SetParam;
  decltype(&XGBoosterLoadModelFromBuffer) LoadModelFromBuffer;
  decltype(&XGBoosterPredictFromDense) PredictFromDense;
  decltype(&XGBoosterPredictFromDMatrix) PredictFromDMatrix;
  decltype(&XGDMatrixCreateFromMat) DMatrixCreateFromMat;
  decltype(&XGDMatrixFree) DMatrixFree;

 private:
  void* handle_;
};

// One model in that library. Everything that a caller could prepare (the
// descriptions of where rows lie) is prepared, and is not measured.
class XgboostModel {
 public:
  // Rows of feature_count values, row after row; they must stay where they are.
  XgboostModel(const XgboostLibrary& library, const std::string& bytes, const float* rows,
               size_t row_count, size_t feature_count);
  ~XgboostModel();
  XgboostModel(const XgboostModel&) = delete;
  XgboostModel& operator=(const XgboostModel&) = delete;

  // Returns the margin of one row, read where it lies.
  float in_place(size_t row) const { return *predict(row_texts_[row]); }

  // Returns the margins of all rows, read where they lie. They are the library's.
  const float* in_place_all() const { return predict(all_text_); }

  // Returns the margin of one row through a DMatrix made for it. (Predicting again
  // on the same one would be answered from the library's cache.)
  float through_matrix(size_t row) const;

  // Returns the feature_count + 1 contributions of a row that prepare_explanations
  // prepared.
  const float* contributions(size_t row) const;
  void prepare_explanations(size_t count);

 private:
  const float* predict(const std::string& array) const;

  const XgboostLibrary& library_;
  BoosterHandle booster_ = nullptr;
  const float* rows_;
  size_t feature_count_;
  std::vector<std::string> row_texts_;
  std::string all_text_;
  std::vector<DMatrixHandle> matrices_;
};

}  // namespace fraud::bench
