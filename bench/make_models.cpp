// Makes what the benchmarks measure with, unless it is there: seeded rows of 24
// continuous features, one value in ten missing, and models of each shape that
// XGBoost trains on such rows.
//
//   bench_models FOLDER [ROWS [SHAPE…]]
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>

#include "bench/files.h"
#include "core/base/random.h"
#include "train/booster.h"

namespace fraud::bench {
namespace {

namespace fs = std::filesystem;

constexpr size_t kDefaultRows = 100000;
constexpr size_t kTrainingRows = 30000;

// Returns one row; label, when asked for, is 1 or 0 by chance that depends on the
// row in ways that take deep trees, with noise that keeps all trees at work.
void make_row(Random& random, float* row, float* label) {
  double x[kFeatureCount];
  for (size_t i = 0; i < kFeatureCount; ++i) {
    if (i % 3 == 0) x[i] = random.normal();
    else if (i % 3 == 1) x[i] = random.log_normal(50, 1);
    else x[i] = random.uniform();
  }
  if (label != nullptr) {
    double logit = -0.5;
    for (size_t i = 0; i + 3 < kFeatureCount; i += 3) {
      logit += 0.6 * x[i] * (x[i + 2] - 0.5) + 0.3 * (x[i + 1] > 60 ? x[i + 3] : -x[i + 3]);
    }
    *label = random.chance(1 / (1 + portable_exp(-logit))) ? 1.0F : 0.0F;
  }
  for (size_t i = 0; i < kFeatureCount; ++i) {
    row[i] = random.chance(0.1) ? std::numeric_limits<float>::quiet_NaN()
                                : static_cast<float>(x[i]);
  }
}

std::vector<float> make_rows(uint64_t seed, size_t count, std::vector<float>* labels) {
  Random random(seed);
  std::vector<float> rows(count * kFeatureCount);
  if (labels != nullptr) labels->resize(count);
  for (size_t i = 0; i < count; ++i) {
    make_row(random, &rows[i * kFeatureCount], labels == nullptr ? nullptr : &(*labels)[i]);
  }
  return rows;
}

void train(const Shape& shape, const fs::path& folder) {
  std::vector<float> labels;
  const std::vector<float> rows = make_rows(1, kTrainingRows, &labels);
  const TrainingMatrix matrix(rows, labels, kFeatureCount);
  std::vector<std::string> names;
  for (size_t i = 1; i <= kFeatureCount; ++i) names.push_back("c" + std::to_string(i));
  // One thread, so that sums are made in one order and the model is the same
  // everywhere. Nothing keeps trees from growing to their full depth.
  Booster booster({&matrix}, names,
                  {{"objective", "binary:logistic"},
                   {"tree_method", "hist"},
                   {"max_depth", std::to_string(shape.depth)},
                   {"max_bin", std::to_string(shape.max_bin)},
                   {"eta", "0.03"},
                   {"min_child_weight", "0"},
                   {"colsample_bytree", "0.7"},
                   {"seed", "1"},
                   {"nthread", "1"}});
  for (int i = 0; i < shape.trees; ++i) booster.update(i, matrix);
  const std::string name = shape.name;
  write_file(folder / (name + ".json"), booster.save(ModelFormat::kJson));
  write_file(folder / (name + ".ubj"), booster.save(ModelFormat::kUbjson));
}

int run(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: bench_models FOLDER [ROWS [SHAPE...]]\n");
    return 2;
  }
  const fs::path folder = argv[1];
  const size_t row_count = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : kDefaultRows;
  fs::create_directories(folder);
  const fs::path rows_file = folder / "rows.f32";
  if (!fs::exists(rows_file)) {
    const std::vector<float> rows = make_rows(2, row_count, nullptr);
    write_file(rows_file, std::string(reinterpret_cast<const char*>(rows.data()),
                                      rows.size() * sizeof(float)));
  }
  for (const Shape& shape : kShapes) {
    bool wanted = argc < 4;
    for (int i = 3; i < argc; ++i) wanted = wanted || std::string(argv[i]) == shape.name;
    if (!wanted || fs::exists(folder / (std::string(shape.name) + ".ubj"))) continue;
    std::printf("training %s\n", shape.name);
    std::fflush(stdout);
    train(shape, folder);
  }
  return 0;
}

}  // namespace
}  // namespace fraud::bench

int main(int argc, char** argv) {
  try {
    return fraud::bench::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_models: %s\n", error.what());
    return 1;
  }
}
