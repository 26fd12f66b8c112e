#include "train/booster.h"

#include <cstdint>
#include <cstdlib>
#include <limits>

#include <xgboost/c_api.h>

namespace fraud {
namespace {

// Throws the library's message when a call of it failed.
void check(int status) {
  if (status != 0) throw XgboostError(XGBGetLastError());
}

}  // namespace

std::string xgboost_version() {
  int major = 0;
  int minor = 0;
  int patch = 0;
  XGBoostVersion(&major, &minor, &patch);
  return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch);
}

TrainingMatrix::TrainingMatrix(const std::vector<float>& values, const std::vector<float>& labels,
                               size_t feature_count) {
  if (values.size() != labels.size() * feature_count) {
    throw XgboostError("expected " + std::to_string(labels.size() * feature_count) +
                       " feature values, not " + std::to_string(values.size()));
  }
  check(XGDMatrixCreateFromMat(values.data(), labels.size(), feature_count,
                               std::numeric_limits<float>::quiet_NaN(), &handle_));
  try {
    check(XGDMatrixSetFloatInfo(handle_, "label", labels.data(), labels.size()));
  } catch (...) {
    XGDMatrixFree(handle_);
    throw;
  }
}

TrainingMatrix::~TrainingMatrix() {
  if (handle_ != nullptr) XGDMatrixFree(handle_);
}

Booster::Booster(const std::vector<const TrainingMatrix*>& matrices,
                 const std::vector<std::string>& feature_names,
                 const std::vector<std::pair<std::string, std::string>>& parameters) {
  std::vector<DMatrixHandle> handles;
  for (const TrainingMatrix* matrix : matrices) handles.push_back(matrix->handle());
  check(XGBoosterCreate(handles.data(), handles.size(), &handle_));
  try {
    for (const auto& [name, value] : parameters) {
      check(XGBoosterSetParam(handle_, name.c_str(), value.c_str()));
    }
    set_feature_names(feature_names);
  } catch (...) {
    XGBoosterFree(handle_);
    throw;
  }
}

void Booster::set_feature_names(const std::vector<std::string>& names) {
  std::vector<const char*> texts;
  for (const std::string& name : names) texts.push_back(name.c_str());
  check(XGBoosterSetStrFeatureInfo(handle_, "feature_name", texts.data(), texts.size()));
  feature_names_ = names;
}

Booster::~Booster() {
  if (handle_ != nullptr) XGBoosterFree(handle_);
}

void Booster::update(int iteration, const TrainingMatrix& matrix) {
  check(XGBoosterUpdateOneIter(handle_, iteration, matrix.handle()));
}

double Booster::evaluate(int iteration, const TrainingMatrix& matrix) {
  DMatrixHandle matrices[] = {matrix.handle()};
  const char* names[] = {"matrix"};
  const char* text = nullptr;
  check(XGBoosterEvalOneIter(handle_, iteration, matrices, names, 1, &text));
  // Such as "[12]<tab>matrix-logloss:0.0123"; the text is the library's.
  const std::string_view line(text);
  const size_t colon = line.rfind(':');
  if (colon == std::string_view::npos) {
    throw XgboostError("no metric in the evaluation \"" + std::string(line) + "\"");
  }
  return std::strtod(text + colon + 1, nullptr);
}

std::vector<float> Booster::predict(const TrainingMatrix& matrix, bool margin) const {
  const std::string config = std::string(R"({"type": )") + (margin ? "1" : "0") +
                             R"(, "training": false, "iteration_begin": 0, "iteration_end": 0,)" +
                             R"( "strict_shape": false})";
  const bst_ulong* shape = nullptr;
  bst_ulong dimensions = 0;
  const float* values = nullptr;
  check(XGBoosterPredictFromDMatrix(handle_, matrix.handle(), config.c_str(), &shape, &dimensions,
                                    &values));
  size_t count = 1;
  for (bst_ulong i = 0; i < dimensions; ++i) count *= shape[i];
  return {values, values + count};
}

Booster Booster::first_rounds(int rounds) const {
  BoosterHandle handle = nullptr;
  check(XGBoosterSlice(handle_, 0, rounds, 1, &handle));
  Booster first(handle);
  first.set_feature_names(feature_names_);  // a slice has none
  return first;
}

std::string Booster::save(ModelFormat format) const {
  const char* config =
      format == ModelFormat::kJson ? R"({"format": "json"})" : R"({"format": "ubj"})";
  bst_ulong size = 0;
  const char* bytes = nullptr;
  check(XGBoosterSaveModelToBuffer(handle_, config, &size, &bytes));
  return {bytes, bytes + size};
}

}  // namespace fraud
