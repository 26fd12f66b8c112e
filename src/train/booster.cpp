#include "train/booster.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>

#include <xgboost/c_api.h>

namespace fraud {
namespace {

// Throws the library's message when a call of it failed.
void check(int status) {
  if (status != 0) throw XgboostError(XGBGetLastError());
}

std::vector<const char*> pointers(const std::vector<std::string>& texts) {
  std::vector<const char*> all;
  for (const std::string& text : texts) all.push_back(text.c_str());
  return all;
}

// Describes rows of a spool to XGBoost, which reads them in place.
std::string array_interface(const Spool& spool, size_t begin, size_t end) {
  char text[200];
  std::snprintf(text, sizeof text,
                R"({"data": [%zu, true], "shape": [%zu, %zu], "typestr": "<f4", "version": 3})",
                reinterpret_cast<size_t>(spool.values() + begin * spool.columns()), end - begin,
                spool.columns());
  return text;
}

constexpr size_t kBlockBytes = size_t{4} << 20;

// What XGBoost's callbacks need to give it one block after the other.
struct Blocks {
  const Spool& spool;
  size_t begin, end, next;
  DMatrixHandle proxy;
  const std::vector<std::string>& types;

  static int give(DataIterHandle handle) {
    Blocks& blocks = *static_cast<Blocks*>(handle);
    const size_t rows = std::max<size_t>(1, kBlockBytes / sizeof(float) / blocks.spool.columns());
    if (blocks.next > blocks.begin) {
      blocks.spool.forget(blocks.next > rows ? blocks.next - rows : 0, blocks.next);
    }
    if (blocks.next >= blocks.end) return 0;
    const size_t until = std::min(blocks.end, blocks.next + rows);
    const std::string array = array_interface(blocks.spool, blocks.next, until);
    auto types = pointers(blocks.types);
    if (XGProxyDMatrixSetDataDense(blocks.proxy, array.c_str()) != 0 ||
        XGDMatrixSetDenseInfo(blocks.proxy, "label", blocks.spool.labels().data() + blocks.next,
                              until - blocks.next, 1) != 0 ||
        XGDMatrixSetStrFeatureInfo(blocks.proxy, "feature_type", types.data(), types.size()) != 0) {
      return 0;  // the count of rows will tell
    }
    blocks.next = until;
    return 1;
  }

  static void rewind(DataIterHandle handle) {
    Blocks& blocks = *static_cast<Blocks*>(handle);
    blocks.next = blocks.begin;
  }
};

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

TrainingMatrix TrainingMatrix::whole(const Spool& spool, size_t begin, size_t end,
                                     const std::vector<std::string>& types, int threads) {
  const std::string array = array_interface(spool, begin, end);
  const std::string config = R"({"missing": NaN, "nthread": )" + std::to_string(threads) + "}";
  void* handle = nullptr;
  check(XGDMatrixCreateFromDense(array.c_str(), config.c_str(), &handle));
  TrainingMatrix matrix(handle);
  spool.forget(begin, end);
  check(XGDMatrixSetDenseInfo(handle, "label", spool.labels().data() + begin, end - begin, 1));
  auto type_names = pointers(types);
  check(XGDMatrixSetStrFeatureInfo(handle, "feature_type", type_names.data(), type_names.size()));
  return matrix;
}

TrainingMatrix TrainingMatrix::binned(const Spool& spool, size_t begin, size_t end,
                                      const std::vector<std::string>& types, int threads,
                                      int max_bin, const TrainingMatrix* reference) {
  void* proxy = nullptr;
  check(XGProxyDMatrixCreate(&proxy));
  const TrainingMatrix owner(proxy);
  Blocks blocks{spool, begin, end, begin, proxy, types};
  const std::string config = R"({"missing": NaN, "nthread": )" + std::to_string(threads) +
                             R"(, "max_bin": )" + std::to_string(max_bin) + "}";
  void* handle = nullptr;
  check(XGQuantileDMatrixCreateFromCallback(
      &blocks, proxy, reference == nullptr ? nullptr : reference->handle(), Blocks::rewind,
      Blocks::give, config.c_str(), &handle));
  TrainingMatrix matrix(handle);
  bst_ulong rows = 0;
  check(XGDMatrixNumRow(handle, &rows));
  if (rows != end - begin) throw XgboostError(XGBGetLastError());
  return matrix;
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
  auto texts = pointers(names);
  check(XGBoosterSetStrFeatureInfo(handle_, "feature_name", texts.data(), texts.size()));
  feature_names_ = names;
}

void Booster::set_feature_types(const std::vector<std::string>& types) {
  auto texts = pointers(types);
  check(XGBoosterSetStrFeatureInfo(handle_, "feature_type", texts.data(), texts.size()));
}

Booster::~Booster() {
  if (handle_ != nullptr) XGBoosterFree(handle_);
}

void Booster::update(int iteration, const TrainingMatrix& matrix) {
  check(XGBoosterUpdateOneIter(handle_, iteration, matrix.handle()));
}

std::pair<std::string, double> Booster::measure(int iteration, const TrainingMatrix& matrix) {
  DMatrixHandle matrices[] = {matrix.handle()};
  const char* names[] = {"matrix"};
  const char* text = nullptr;
  check(XGBoosterEvalOneIter(handle_, iteration, matrices, names, 1, &text));
  // Such as "[12]<tab>matrix-logloss:0.0123<tab>matrix-aucpr:0.5"; the text is the
  // library's.
  const std::string_view line(text);
  const size_t colon = line.rfind(':');
  const size_t dash = line.rfind("matrix-", colon);
  if (colon == std::string_view::npos || dash == std::string_view::npos) {
    throw XgboostError("no metric in the evaluation \"" + std::string(line) + "\"");
  }
  return {std::string(line.substr(dash + 7, colon - dash - 7)), std::strtod(text + colon + 1, nullptr)};
}

double Booster::evaluate(int iteration, const TrainingMatrix& matrix) {
  return measure(iteration, matrix).second;
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

std::map<std::string, double> Booster::importance() const {
  bst_ulong features = 0;
  const char** names = nullptr;
  bst_ulong dimensions = 0;
  const bst_ulong* shape = nullptr;
  const float* scores = nullptr;
  check(XGBoosterFeatureScore(handle_, R"({"importance_type": "total_gain"})", &features, &names,
                              &dimensions, &shape, &scores));
  std::map<std::string, double> result;
  for (bst_ulong i = 0; i < features; ++i) result[names[i]] = static_cast<double>(scores[i]);
  return result;
}

}  // namespace fraud
