// Training and predicting outside of the server, by nothing but XGBoost's C API: what
// tests compare fraud.train and fraud_score with.
//
//   elsewhere train MATRIX.csv MODEL.ubj ROUNDS [NAME=VALUE ...]
//   elsewhere predict MATRIX.csv MODEL.ubj
//
// MATRIX.csv has a header. The column "label" is the label, one named "x:c" is the
// feature "x" and a category of XGBoost's; an empty field is missing. Predictions go
// to the standard output, one a line, as float32 with all its digits.
#include <xgboost/c_api.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

namespace {

void check(int status) {
  if (status == 0) return;
  std::fprintf(stderr, "elsewhere: %s\n", XGBGetLastError());
  std::exit(1);
}

struct Matrix {
  std::vector<std::string> names, types;
  std::vector<float> labels, values;
};

Matrix read(const char* path) {
  Matrix matrix;
  std::ifstream file(path);
  std::string line, field;
  std::getline(file, line);
  std::vector<bool> is_label;
  for (std::istringstream head(line); std::getline(head, field, ',');) {
    is_label.push_back(field == "label");
    if (is_label.back()) continue;
    const bool category = field.size() > 2 && field.substr(field.size() - 2) == ":c";
    matrix.names.push_back(category ? field.substr(0, field.size() - 2) : field);
    matrix.types.emplace_back(category ? "c" : "float");
  }
  while (std::getline(file, line)) {
    const char* at = line.c_str();
    for (const bool label : is_label) {
      char* end = nullptr;
      float value = std::strtof(at, &end);
      if (end == at) value = std::numeric_limits<float>::quiet_NaN();
      (label ? matrix.labels : matrix.values).push_back(value);
      at = *end == ',' ? end + 1 : end;
    }
  }
  return matrix;
}

std::vector<const char*> pointers(const std::vector<std::string>& texts) {
  std::vector<const char*> all;
  for (const std::string& text : texts) all.push_back(text.c_str());
  return all;
}

DMatrixHandle make(const Matrix& matrix) {
  DMatrixHandle handle = nullptr;
  check(XGDMatrixCreateFromMat(matrix.values.data(), matrix.values.size() / matrix.names.size(),
                               matrix.names.size(), std::numeric_limits<float>::quiet_NaN(), &handle));
  auto names = pointers(matrix.names), types = pointers(matrix.types);
  check(XGDMatrixSetStrFeatureInfo(handle, "feature_name", names.data(), names.size()));
  check(XGDMatrixSetStrFeatureInfo(handle, "feature_type", types.data(), types.size()));
  if (!matrix.labels.empty()) {
    check(XGDMatrixSetFloatInfo(handle, "label", matrix.labels.data(), matrix.labels.size()));
  }
  return handle;
}

int train(const Matrix& matrix, int argc, char** argv) {
  DMatrixHandle rows = make(matrix);
  BoosterHandle booster = nullptr;
  check(XGBoosterCreate(&rows, 1, &booster));
  for (int i = 5; i < argc; ++i) {
    const std::string given = argv[i];
    const size_t equals = given.find('=');
    check(XGBoosterSetParam(booster, given.substr(0, equals).c_str(), given.substr(equals + 1).c_str()));
  }
  auto names = pointers(matrix.names), types = pointers(matrix.types);
  check(XGBoosterSetStrFeatureInfo(booster, "feature_name", names.data(), names.size()));
  check(XGBoosterSetStrFeatureInfo(booster, "feature_type", types.data(), types.size()));
  for (int i = 0; i < std::atoi(argv[4]); ++i) check(XGBoosterUpdateOneIter(booster, i, rows));
  check(XGBoosterSaveModel(booster, argv[3]));
  return 0;
}

int predict(const Matrix& matrix, const char* model) {
  BoosterHandle booster = nullptr;
  check(XGBoosterCreate(nullptr, 0, &booster));
  check(XGBoosterLoadModel(booster, model));
  const bst_ulong* shape = nullptr;
  bst_ulong dimensions = 0;
  const float* values = nullptr;
  check(XGBoosterPredictFromDMatrix(booster, make(matrix),
                                    R"({"type": 0, "training": false, "iteration_begin": 0, "iteration_end": 0, "strict_shape": false})",
                                    &shape, &dimensions, &values));
  for (bst_ulong i = 0; i < shape[0]; ++i) std::printf("%.9g\n", static_cast<double>(values[i]));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string command = argc > 3 ? argv[1] : "";
  if (command == "train" && argc > 4) return train(read(argv[2]), argc, argv);
  if (command == "predict") return predict(read(argv[2]), argv[3]);
  std::fprintf(stderr, "usage: elsewhere train|predict MATRIX.csv MODEL.ubj [ROUNDS NAME=VALUE ...]\n");
  return 2;
}
