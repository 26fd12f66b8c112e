// The core's kernels and XGBoost's C API, on the same models and rows, in one
// process and on one thread:
//
//   bench_core --folder=FOLDER [--xgboost=LIBRARY] [--compiled=FOLDER] [--shapes=A,B]
//              [Google Benchmark's own options]
//   bench_core --folder=FOLDER --shapes=A --peak-memory=ours|xgboost
//
// FOLDER is what bench_models made; --compiled names one with SHAPE.so, models that
// TL2cgen made into C. Before anything is measured, our answers are checked against
// XGBoost's.
//
// Every call is timed by itself: `ns` is the median of all calls, for batches per
// row, less what reading the clock takes; `p99_ns` likewise. A call with one row is
// timed by the wall clock; what takes longer is likely to be interrupted, and is
// timed by the thread's processor time. Google Benchmark's own column is the mean.
// Calls go through the rows in turn, so that no branch predictor learns a row.
#include <benchmark/benchmark.h>
#include <dlfcn.h>
#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>

#include "bench/files.h"
#include "bench/xgboost_library.h"
#include "core/forest/forest.h"
#include "core/forest/scorer.h"
#include "core/model_file/model_reader.h"

namespace fraud::bench {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBatchRows = 4096;
constexpr size_t kExplainedRows = 64;

double now(clockid_t clock) {
  timespec time;
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

double quantile(std::vector<double>& values, double at) {
  const auto position = static_cast<ptrdiff_t>(at * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + position, values.end());
  return values[static_cast<size_t>(position)];
}

// Returns what it takes to read a clock.
double clock_cost(clockid_t clock) {
  std::vector<double> times(10001);
  for (double& time : times) {
    const double start = now(clock);
    time = now(clock) - start;
  }
  return quantile(times, 0.5);
}

// Calls call(0), call(1), … and reports the time of a unit, of which a call does
// `units`.
template <typename Call>
void measure(benchmark::State& state, clockid_t clock, size_t units, Call call) {
  std::vector<double> times;
  times.reserve(state.max_iterations);
  size_t i = 0;
  for (auto _ : state) {
    const double start = now(clock);
    call(i++);
    const double time = now(clock) - start;
    state.SetIterationTime(time * 1e-9);
    times.push_back(time);
  }
  const double cost = clock_cost(clock);
  state.counters["ns"] = (quantile(times, 0.5) - cost) / static_cast<double>(units);
  state.counters["p99_ns"] = (quantile(times, 0.99) - cost) / static_cast<double>(units);
}

// A model compiled by us.
struct OurModel {
  explicit OurModel(const std::string& file)
      : bytes(compile_model(read_model(file))), flat(FlatModel::open(bytes.view())) {}

  AlignedBytes bytes;
  FlatModel flat;
};

// A model compiled by TL2cgen: one function.
struct Tl2cgenModel {
  union Entry {
    int missing;  // -1
    float value;
  };

  // The rows are brought into its form beforehand, which is not measured.
  Tl2cgenModel(const fs::path& library, const std::vector<float>& rows) {
    void* const handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) throw std::runtime_error(dlerror());
    predict = reinterpret_cast<decltype(predict)>(dlsym(handle, "predict"));
    if (predict == nullptr) throw std::runtime_error("no function predict");
    for (const float value : rows) {
      Entry entry;
      if (std::isnan(value)) entry.missing = -1;
      else entry.value = value;
      entries.push_back(entry);
    }
  }

  float margin(size_t row) {
    float result = 0;
    predict(&entries[row * kFeatureCount], 1, &result);
    return result;
  }

  void (*predict)(Entry* row, int margin, float* result);
  std::vector<Entry> entries;
};

// What is measured of one shape; lives as long as the benchmarks do.
struct Subject {
  std::string name;
  std::string ubjson;
  std::string json;
  std::vector<float> rows;
  size_t row_count;
  std::unique_ptr<OurModel> ours;
  std::unique_ptr<XgboostModel> xgboost;
  std::unique_ptr<Tl2cgenModel> tl2cgen;
};

std::vector<const Kernel*> kernels() {
  std::vector<const Kernel*> found;
  for (const char* name : {"scalar", "avx2", "avx512"}) {
    if (const Kernel* kernel = find_kernel(name)) found.push_back(kernel);
  }
  return found;
}

[[noreturn]] void differ(const Subject& subject, const std::string& what, size_t row, double ours,
                         double theirs) {
  char text[200];
  std::snprintf(text, sizeof(text), "%s, row %zu, %s: %.9g, XGBoost has %.9g",
                subject.name.c_str(), row, what.c_str(), ours, theirs);
  throw std::runtime_error(text);
}

// Compares our answers with XGBoost's: margins to the last bit, contributions
// within 1e-4.
void check_answers(const Subject& subject) {
  const XgboostModel& xgboost = *subject.xgboost;
  const float* const theirs = xgboost.in_place_all();
  const std::vector<float> expected(theirs, theirs + subject.row_count);
  for (const Kernel* kernel : kernels()) {
    Scorer scorer(subject.ours->flat, *kernel);
    std::vector<float> batch(subject.row_count);
    scorer.margins(subject.rows.data(), subject.row_count, kFeatureCount, batch.data());
    for (size_t i = 0; i < subject.row_count; ++i) {
      const float one = scorer.margin(&subject.rows[i * kFeatureCount]);
      for (const float margin : {one, batch[i]}) {
        if (std::memcmp(&margin, &expected[i], sizeof(margin)) != 0) {
          differ(subject, kernel->name, i, margin, expected[i]);
        }
      }
    }
  }
  Scorer scorer(subject.ours->flat);
  for (size_t i = 0; i < std::min(kExplainedRows, subject.row_count); ++i) {
    double phi[kFeatureCount + 1] = {};
    scorer.contributions(&subject.rows[i * kFeatureCount], phi);
    const float* const contributions = xgboost.contributions(i);
    for (size_t f = 0; f <= kFeatureCount; ++f) {
      if (!(std::fabs(phi[f] - contributions[f]) < 1e-4)) {
        differ(subject, "contribution " + std::to_string(f), i, phi[f], contributions[f]);
      }
    }
    if (subject.xgboost->through_matrix(i) != expected[i]) {
      differ(subject, "in place", i, expected[i], subject.xgboost->through_matrix(i));
    }
    if (subject.tl2cgen && !(std::fabs(subject.tl2cgen->margin(i) - expected[i]) < 1e-3)) {
      differ(subject, "TL2cgen", i, subject.tl2cgen->margin(i), expected[i]);
    }
  }
}

template <typename Call>
void add(const std::string& task, const Subject& subject, const std::string& who, size_t units,
         Call call) {
  const clockid_t clock = task == "one_row" ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID;
  benchmark::RegisterBenchmark((task + "/" + subject.name + "/" + who).c_str(),
                               [=](benchmark::State& state) { measure(state, clock, units, call); })
      ->UseManualTime()
      ->Unit(benchmark::kMicrosecond);
}

void add_benchmarks(const Subject& subject) {
  const size_t count = subject.row_count;
  const float* const rows = subject.rows.data();
  const auto explained = std::min(kExplainedRows, count);

  for (const Kernel* kernel : kernels()) {
    const auto scorer = std::make_shared<Scorer>(subject.ours->flat, *kernel);
    const auto margins = std::make_shared<std::vector<float>>(count);
    const std::string who = std::string("ours-") + kernel->name;
    add("one_row", subject, who, 1, [=](size_t i) {
      benchmark::DoNotOptimize(scorer->margin(rows + i % count * kFeatureCount));
    });
    add("batch", subject, who, count, [=](size_t) {
      scorer->margins(rows, count, kFeatureCount, margins->data());
      benchmark::DoNotOptimize(margins->data());
    });
  }
  const auto scorer = std::make_shared<Scorer>(subject.ours->flat);
  add("explain", subject, "ours", 1, [=](size_t i) {
    double phi[kFeatureCount + 1] = {};
    scorer->contributions(rows + i % explained * kFeatureCount, phi);
    benchmark::DoNotOptimize(phi);
  });

  const XgboostModel* const xgboost = subject.xgboost.get();
  add("one_row", subject, "xgboost-in-place", 1,
      [=](size_t i) { benchmark::DoNotOptimize(xgboost->in_place(i % count)); });
  add("one_row", subject, "xgboost-dmatrix", 1,
      [=](size_t i) { benchmark::DoNotOptimize(xgboost->through_matrix(i % count)); });
  add("batch", subject, "xgboost-in-place", count,
      [=](size_t) { benchmark::DoNotOptimize(xgboost->in_place_all()); });
  add("explain", subject, "xgboost", 1,
      [=](size_t i) { benchmark::DoNotOptimize(xgboost->contributions(i % explained)); });

  if (Tl2cgenModel* const compiled = subject.tl2cgen.get()) {
    add("one_row", subject, "tl2cgen", 1,
        [=](size_t i) { benchmark::DoNotOptimize(compiled->margin(i % count)); });
    add("batch", subject, "tl2cgen", count, [=](size_t) {
      for (size_t row = 0; row < count; ++row) benchmark::DoNotOptimize(compiled->margin(row));
    });
  }

  // Models as they come and as they are stored.
  const Subject* const self = &subject;
  add("read", subject, "ours-ubjson", 1,
      [=](size_t) { benchmark::DoNotOptimize(read_model(self->ubjson).nodes.size()); });
  add("read", subject, "ours-json", 1,
      [=](size_t) { benchmark::DoNotOptimize(read_model(self->json).nodes.size()); });
  const auto forest = std::make_shared<Forest>(read_model(subject.ubjson));
  add("compile", subject, "ours", 1,
      [=](size_t) { benchmark::DoNotOptimize(compile_model(*forest).size()); });
  add("open", subject, "ours", 1, [=](size_t) {
    benchmark::DoNotOptimize(FlatModel::open(self->ours->bytes.view()).tree_count());
  });
}

struct Options {
  fs::path folder;
  std::string xgboost = "libxgboost.so.0";
  fs::path compiled;
  std::vector<std::string> shapes;
  std::string peak_memory;
};

// Takes our own options out of the arguments.
Options parse(int* argc, char** argv) {
  Options options;
  for (const Shape& shape : kShapes) options.shapes.push_back(shape.name);
  int kept = 1;
  for (int i = 1; i < *argc; ++i) {
    const std::string argument = argv[i];
    const auto value = [&](const char* name, auto set) {
      const std::string start = std::string("--") + name + "=";
      if (argument.compare(0, start.size(), start) != 0) return false;
      set(argument.substr(start.size()));
      return true;
    };
    const bool ours =
        value("folder", [&](const std::string& text) { options.folder = text; }) ||
        value("xgboost", [&](const std::string& text) { options.xgboost = text; }) ||
        value("compiled", [&](const std::string& text) { options.compiled = text; }) ||
        value("peak-memory", [&](const std::string& text) { options.peak_memory = text; }) ||
        value("shapes", [&](const std::string& text) {
          options.shapes.clear();
          std::istringstream list(text);
          for (std::string name; std::getline(list, name, ',');) options.shapes.push_back(name);
        });
    if (!ours) argv[kept++] = argv[i];
  }
  *argc = kept;
  argv[kept] = nullptr;
  if (options.folder.empty()) throw std::runtime_error("expected --folder=FOLDER");
  return options;
}

// Returns this process's memory in KiB: VmRSS, or VmHWM for the most it had.
long memory(const char* key) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.compare(0, std::strlen(key), key) == 0) return std::atol(line.c_str() + 6);
  }
  throw std::runtime_error("no memory figures in /proc");
}

// Reads one model file and scores with it, and prints the memory that it took.
int report_memory(const Options& options) {
  const XgboostLibrary library(options.xgboost);
  std::vector<float> rows = read_rows(options.folder / "rows.f32");
  rows.resize(std::min(rows.size(), kBatchRows * kFeatureCount));
  const size_t count = rows.size() / kFeatureCount;
  std::vector<float> margins(count);
  const fs::path file = options.folder / (options.shapes.at(0) + ".ubj");
  // What was read so far must not count: 5 begins the highest mark anew.
  std::ofstream("/proc/self/clear_refs") << 5;
  const long before = memory("VmRSS:");
  long held = 0;
  if (options.peak_memory == "ours") {
    const OurModel model(read_file(file));
    Scorer scorer(model.flat);
    scorer.margins(rows.data(), count, kFeatureCount, margins.data());
    held = memory("VmRSS:");
  } else {
    const XgboostModel model(library, read_file(file), rows.data(), count, kFeatureCount);
    benchmark::DoNotOptimize(model.in_place_all());
    held = memory("VmRSS:");
  }
  std::printf("{\"held_kib\": %ld, \"peak_kib\": %ld}\n", held - before,
              memory("VmHWM:") - before);
  return 0;
}

int run(int argc, char** argv) {
  const Options options = parse(&argc, argv);
  if (!options.peak_memory.empty()) return report_memory(options);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;

  const XgboostLibrary library(options.xgboost);
  benchmark::AddCustomContext("xgboost", library.version());
  benchmark::AddCustomContext("compiler", "g++ " __VERSION__);
  benchmark::AddCustomContext("best_kernel", best_kernel().name);
  std::vector<std::unique_ptr<Subject>> subjects;
  for (const std::string& name : options.shapes) {
    auto subject = std::make_unique<Subject>();
    subject->name = name;
    subject->ubjson = read_file(options.folder / (name + ".ubj"));
    subject->json = read_file(options.folder / (name + ".json"));
    subject->rows = read_rows(options.folder / "rows.f32");
    subject->rows.resize(std::min(subject->rows.size(), kBatchRows * kFeatureCount));
    subject->row_count = subject->rows.size() / kFeatureCount;
    subject->ours = std::make_unique<OurModel>(subject->ubjson);
    // JSON, which every version reads.
    subject->xgboost = std::make_unique<XgboostModel>(
        library, subject->json, subject->rows.data(), subject->row_count, kFeatureCount);
    subject->xgboost->prepare_explanations(std::min(kExplainedRows, subject->row_count));
    const fs::path compiled = options.compiled / (name + ".so");
    if (!options.compiled.empty() && fs::exists(compiled)) {
      subject->tl2cgen = std::make_unique<Tl2cgenModel>(compiled, subject->rows);
    }
    check_answers(*subject);
    add_benchmarks(*subject);
    subjects.push_back(std::move(subject));
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

}  // namespace
}  // namespace fraud::bench

int main(int argc, char** argv) {
  try {
    return fraud::bench::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_core: %s\n", error.what());
    return 1;
  }
}
