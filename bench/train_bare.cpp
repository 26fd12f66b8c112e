// Trains through XGBoost's C API and nothing else, on a matrix that is in memory
// already: what bench/train compares fraud.train with.
//
//   train_bare MATRIX.csv ROUNDS THREADS dense|binned MODEL.ubj [NAME=VALUE ...]
//
// MATRIX.csv has no header; its first column is the label, an empty field is
// missing. Prints the seconds from matrix to model, those of processor time, and
// the peak memory in kB.
#include <xgboost/c_api.h>

#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

namespace {

void check(int status) {
  if (status == 0) return;
  std::fprintf(stderr, "train_bare: %s\n", XGBGetLastError());
  std::exit(1);
}

struct Matrix {
  std::vector<float> labels, values;
  size_t columns = 0;
};

Matrix read(const char* path) {
  Matrix matrix;
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    const char* at = line.c_str();
    char* end = nullptr;
    matrix.labels.push_back(std::strtof(at, &end));
    size_t columns = 0;
    while (*end == ',') {
      at = end + 1;
      float value = std::strtof(at, &end);
      if (end == at) value = std::numeric_limits<float>::quiet_NaN();
      matrix.values.push_back(value);
      ++columns;
    }
    matrix.columns = columns;
  }
  matrix.values.shrink_to_fit();
  return matrix;
}

struct Whole {
  const Matrix& matrix;
  DMatrixHandle proxy;
  bool given = false;
  static int give(DataIterHandle handle) {
    Whole& whole = *static_cast<Whole*>(handle);
    if (whole.given) return 0;
    char array[200];
    std::snprintf(array, sizeof array,
                  R"({"data": [%zu, true], "shape": [%zu, %zu], "typestr": "<f4", "version": 3})",
                  reinterpret_cast<size_t>(whole.matrix.values.data()), whole.matrix.labels.size(),
                  whole.matrix.columns);
    check(XGProxyDMatrixSetDataDense(whole.proxy, array));
    check(XGDMatrixSetDenseInfo(whole.proxy, "label", whole.matrix.labels.data(),
                                whole.matrix.labels.size(), 1));
    whole.given = true;
    return 1;
  }
  static void rewind(DataIterHandle handle) { static_cast<Whole*>(handle)->given = false; }
};

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) { return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

long peak_memory_kb() {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.rfind("VmHWM:", 0) == 0) return std::stol(line.substr(6));
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 6) {
    std::fprintf(stderr, "usage: train_bare MATRIX.csv ROUNDS THREADS dense|binned MODEL.ubj [NAME=VALUE ...]\n");
    return 2;
  }
  const Matrix matrix = read(argv[1]);
  const int rounds = std::atoi(argv[2]);
  double frauds = 0;
  for (const float label : matrix.labels) frauds += static_cast<double>(label);
  char prior[32];
  std::snprintf(prior, sizeof prior, "%.6g", frauds / static_cast<double>(matrix.labels.size()));

  const double cpu_before = cpu_seconds();
  const auto start = std::chrono::steady_clock::now();
  DMatrixHandle train = nullptr;
  if (std::string(argv[4]) == "binned") {
    DMatrixHandle proxy = nullptr;
    check(XGProxyDMatrixCreate(&proxy));
    Whole whole{matrix, proxy};
    const std::string config = std::string(R"({"missing": NaN, "max_bin": 1024, "nthread": )") + argv[3] + "}";
    check(XGQuantileDMatrixCreateFromCallback(&whole, proxy, nullptr, Whole::rewind, Whole::give,
                                              config.c_str(), &train));
  } else {
    check(XGDMatrixCreateFromMat_omp(matrix.values.data(), matrix.labels.size(), matrix.columns,
                                     std::numeric_limits<float>::quiet_NaN(), &train, std::atoi(argv[3])));
    check(XGDMatrixSetFloatInfo(train, "label", matrix.labels.data(), matrix.labels.size()));
  }
  BoosterHandle booster = nullptr;
  check(XGBoosterCreate(&train, 1, &booster));
  const char* params[][2] = {{"objective", "binary:logistic"}, {"tree_method", "hist"}, {"max_bin", "1024"},
                             {"base_score", prior},            {"nthread", argv[3]},    {"eval_metric", "aucpr"},
                             {"seed", "0"}};
  for (const auto& param : params) check(XGBoosterSetParam(booster, param[0], param[1]));
  for (int i = 6; i < argc; ++i) {
    const std::string given = argv[i];
    const size_t equals = given.find('=');
    check(XGBoosterSetParam(booster, given.substr(0, equals).c_str(), given.substr(equals + 1).c_str()));
  }
  for (int i = 0; i < rounds; ++i) check(XGBoosterUpdateOneIter(booster, i, train));
  bst_ulong size = 0;
  const char* bytes = nullptr;
  check(XGBoosterSaveModelToBuffer(booster, R"({"format": "ubj"})", &size, &bytes));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::printf("%.3f %.3f %ld\n", seconds, cpu_seconds() - cpu_before, peak_memory_kb());
  std::ofstream(argv[5], std::ios::binary).write(bytes, static_cast<std::streamsize>(size));
  return 0;
}
