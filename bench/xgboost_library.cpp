#include "bench/xgboost_library.h"

#include <dlfcn.h>

#include <cstdint>
#include <cstdlib>
#include <limits>
#include <stdexcept>

namespace fraud::bench {
namespace {

constexpr char kMargin[] =
    R"({"type": 1, "training": false, "iteration_begin": 0, "iteration_end": 0,)"
    R"( "strict_shape": false, "missing": NaN, "cache_id": 0})";
constexpr char kContributions[] =
    R"({"type": 2, "training": false, "iteration_begin": 0, "iteration_end": 0,)"
    R"( "strict_shape": false})";

// Returns NumPy's description of an array of float32 in memory, which XGBoost takes.
std::string array_interface(const float* rows, size_t row_count, size_t feature_count) {
  return R"({"data": [)" + std::to_string(reinterpret_cast<uintptr_t>(rows)) +
         R"(, true], "shape": [)" + std::to_string(row_count) + ", " +
         std::to_string(feature_count) + R"(], "typestr": "<f4", "version": 3})";
}

template <typename Function>
void find(void* library, const char* name, Function* function) {
  void* const address = dlsym(library, name);
  if (address == nullptr) throw std::runtime_error(std::string("no function ") + name);
  *function = reinterpret_cast<Function>(address);
}

}  // namespace

XgboostLibrary::XgboostLibrary(const std::string& path) {
  setenv("OMP_NUM_THREADS", "1", 1);  // read when the library is loaded
  handle_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle_ == nullptr) throw std::runtime_error(dlerror());
  find(handle_, "XGBoostVersion", &Version);
  find(handle_, "XGBGetLastError", &GetLastError);
  find(handle_, "XGBoosterCreate", &BoosterCreate);
  find(handle_, "XGBoosterFree", &BoosterFree);
  find(handle_, "XGBoosterSetParam", &SetParam);
  find(handle_, "XGBoosterLoadModelFromBuffer", &LoadModelFromBuffer);
  find(handle_, "XGBoosterPredictFromDense", &PredictFromDense);
  find(handle_, "XGBoosterPredictFromDMatrix", &PredictFromDMatrix);
  find(handle_, "XGDMatrixCreateFromMat", &DMatrixCreateFromMat);
  find(handle_, "XGDMatrixFree", &DMatrixFree);
}

std::string XgboostLibrary::version() const {
  int major = 0;
  int minor = 0;
  int patch = 0;
  Version(&major, &minor, &patch);
  return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch);
}

void XgboostLibrary::check(int status) const {
  if (status != 0) throw std::runtime_error(GetLastError());
}

XgboostModel::XgboostModel(const XgboostLibrary& library, const std::string& bytes,
                           const float* rows, size_t row_count, size_t feature_count)
    : library_(library),
      rows_(rows),
      feature_count_(feature_count),
      all_text_(array_interface(rows, row_count, feature_count)) {
  library_.check(library_.BoosterCreate(nullptr, 0, &booster_));
  library_.check(library_.LoadModelFromBuffer(booster_, bytes.data(), bytes.size()));
  library_.check(library_.SetParam(booster_, "nthread", "1"));
  for (size_t i = 0; i < row_count; ++i) {
    row_texts_.push_back(array_interface(rows + i * feature_count, 1, feature_count));
  }
}

XgboostModel::~XgboostModel() {
  for (DMatrixHandle matrix : matrices_) library_.DMatrixFree(matrix);
  library_.BoosterFree(booster_);
}

const float* XgboostModel::predict(const std::string& array) const {
  const bst_ulong* shape = nullptr;
  bst_ulong dimensions = 0;
  const float* margins = nullptr;
  library_.check(library_.PredictFromDense(booster_, array.c_str(), kMargin, nullptr, &shape,
                                           &dimensions, &margins));
  return margins;
}

float XgboostModel::through_matrix(size_t row) const {
  DMatrixHandle matrix = nullptr;
  const bst_ulong* shape = nullptr;
  bst_ulong dimensions = 0;
  const float* margins = nullptr;
  library_.check(library_.DMatrixCreateFromMat(rows_ + row * feature_count_, 1, feature_count_,
                                               std::numeric_limits<float>::quiet_NaN(), &matrix));
  library_.check(library_.PredictFromDMatrix(booster_, matrix, kMargin, &shape, &dimensions,
                                             &margins));
  const float margin = *margins;
  library_.check(library_.DMatrixFree(matrix));
  return margin;
}

void XgboostModel::prepare_explanations(size_t count) {
  for (size_t row = 0; row < count; ++row) {
    DMatrixHandle matrix = nullptr;
    library_.check(library_.DMatrixCreateFromMat(rows_ + row * feature_count_, 1, feature_count_,
                                                 std::numeric_limits<float>::quiet_NaN(),
                                                 &matrix));
    matrices_.push_back(matrix);
  }
}

const float* XgboostModel::contributions(size_t row) const {
  const bst_ulong* shape = nullptr;
  bst_ulong dimensions = 0;
  const float* values = nullptr;
  library_.check(library_.PredictFromDMatrix(booster_, matrices_[row], kContributions, &shape,
                                             &dimensions, &values));
  return values;
}

}  // namespace fraud::bench
