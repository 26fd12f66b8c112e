// Windows of a key: what an event takes that slides them, what a tile takes that is added to one, what it takes to
// make tiles, and what they are in bytes.
//
//   bench_features [Google Benchmark's own options]
//
// Amounts are in cents, labels come two weeks later, of one payment in two hundred. `ns_a_tile`, `ns_an_event` and
// `bytes_a_tile` are the means, times the processor's.
#include <benchmark/benchmark.h>
#include <time.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "core/features/feature_engine.h"
#include "core/features/tile.h"

namespace fraud::bench {
namespace {

constexpr int64_t kSecond = 1000000, kDay = 86400 * kSecond;
constexpr int kInputs = 4;  // amount, customer, latitude, longitude

// Counts the thread's processor time from where it is made.
class Clock {
 public:
  double ns_of(size_t units) const { return (now() - start_) / static_cast<double>(units); }

 private:
  static double now() {
    timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
  }
  double start_ = now();
};

struct Past {
  std::vector<Cell> cells;
  std::vector<Event> events;
};

// Returns events of a key, `gap` apart on average.
Past make_past(size_t count, int64_t gap) {
  std::mt19937_64 random(1);
  Past past;
  past.cells.resize(count * kInputs);
  int64_t time = 800000000 * kSecond;
  for (size_t i = 0; i < count; ++i) {
    time += static_cast<int64_t>(random() % static_cast<uint64_t>(2 * gap));
    Cell* const cells = &past.cells[i * kInputs];
    cells[0] = number_cell(static_cast<double>(random() % 20000) / 100);
    cells[1] = random() % 500 * 0x9E3779B97F4A7C15;
    cells[2] = number_cell(static_cast<double>(random() % 180000) / 1000 - 90);
    cells[3] = number_cell(static_cast<double>(random() % 360000) / 1000 - 180);
    const int64_t known = random() % 200 == 0 ? time + 14 * kDay : kNever;
    past.events.push_back({time, known, cells});
  }
  return past;
}

WindowFeature feature(Aggregate aggregate, int input, int64_t width, int64_t delay = 0) {
  return {aggregate, 0, input, aggregate == Aggregate::kSpeed ? 3 : kEveryEvent, width, delay, false,
          aggregate == Aggregate::kSpeed ? 2 : 0, 3};
}

// About what the payments' own feature set asks of a key.
std::vector<WindowFeature> all_kinds() {
  std::vector<WindowFeature> features;
  for (const int64_t width : {kDay / 24, kDay, 30 * kDay}) {
    features.push_back(feature(Aggregate::kCount, kEveryEvent, width));
    features.push_back(feature(Aggregate::kSum, 0, width));
    features.push_back(feature(Aggregate::kAvg, 0, width));
    features.push_back(feature(Aggregate::kMax, 0, width));
  }
  features.push_back(feature(Aggregate::kZscore, 0, 30 * kDay));
  features.push_back(feature(Aggregate::kRate, kEveryEvent, 30 * kDay, 7 * kDay));
  features.push_back(feature(Aggregate::kDistinct, 1, kDay));
  features.push_back(feature(Aggregate::kSpeed, 2, kDay));
  features.push_back(feature(Aggregate::kSecondsSinceLast, kEveryEvent, kDay));
  return features;
}

std::vector<WindowFeature> kinds_of(const std::string& name) {
  const int64_t width = 36500 * kDay;
  if (name == "count_sum_rate") {
    return {feature(Aggregate::kCount, kEveryEvent, width), feature(Aggregate::kSum, 0, width),
            feature(Aggregate::kRate, kEveryEvent, width)};
  }
  if (name == "count_sum") return {feature(Aggregate::kCount, kEveryEvent, width), feature(Aggregate::kSum, 0, width)};
  if (name == "zscore") return {feature(Aggregate::kZscore, 0, width)};
  if (name == "min_max") return {feature(Aggregate::kMin, 0, width), feature(Aggregate::kMax, 0, width)};
  if (name == "distinct") return {feature(Aggregate::kDistinct, 1, width)};
  if (name == "speed") return {feature(Aggregate::kSpeed, 2, width)};
  return all_kinds();
}

const char* const kKinds[] = {"count_sum", "count_sum_rate", "zscore", "min_max", "distinct", "speed", "all"};

void slide(benchmark::State& state, const std::string& name) {
  const Past past = make_past(200000, 60 * kSecond);
  const KeyPlan plan(kinds_of(name), 0);
  std::vector<float> features(64);
  size_t events = 0;
  const Clock clock;
  for (auto _ : state) {
    KeyWindows windows(plan);
    for (const Event& event : past.events) windows.evaluate_and_push(event, features.data());
    benchmark::DoNotOptimize(features.data());
    events += past.events.size();
  }
  state.counters["ns_an_event"] = clock.ns_of(events);
}

// A page of 64 tiles of so many events.
std::string make_page(const TileShape& shape, const Past& past, size_t events) {
  TilePageWriter writer(shape);
  Tile tile(shape);
  for (int place = 0; place < kPageTiles; ++place) {
    tile.clear();
    for (size_t i = 0; i < events; ++i) tile.add(past.events[static_cast<size_t>(place) * events + i]);
    writer.put(place, tile);
  }
  return writer.finish();
}

void add_tiles(benchmark::State& state, const std::string& name) {
  const auto events = static_cast<size_t>(state.range(0));
  const Past past = make_past(kPageTiles * events, 60 * kSecond);
  const KeyPlan plan(kinds_of(name), 0);
  const TileShape shape(plan);
  const std::string bytes = make_page(shape, past, events);
  TilePage page(shape);
  WindowTotals totals(plan, shape);
  // Labels have come; all tiles are within the widest window.
  const int64_t now = past.events.back().time_us + 30 * kDay;
  size_t tiles = 0;
  const Clock clock;
  for (auto _ : state) {
    totals.begin(now);
    if (!page.open(bytes)) state.SkipWithError("no page");
    for (size_t window = 0; window < totals.windows(); ++window) {
      tiles += static_cast<size_t>(totals.add(window, page, 0, kPageTiles));
    }
    benchmark::DoNotOptimize(&totals);
  }
  state.counters["ns_a_tile"] = clock.ns_of(tiles);
  state.counters["bytes_a_tile"] = static_cast<double>(bytes.size()) / kPageTiles;
}

void make_tiles(benchmark::State& state, const std::string& name) {
  const size_t events = 20;
  const Past past = make_past(kPageTiles * events, 60 * kSecond);
  const KeyPlan plan(kinds_of(name), 0);
  const TileShape shape(plan);
  size_t count = 0;
  const Clock clock;
  for (auto _ : state) {
    benchmark::DoNotOptimize(make_page(shape, past, events));
    count += kPageTiles * events;
  }
  state.counters["ns_an_event"] = clock.ns_of(count);
}

// A page of 64 tiles is written again, an event added to its last.
void rewrite_page(benchmark::State& state, const std::string& name) {
  const size_t events = 20;
  const Past past = make_past(kPageTiles * events + 1, 60 * kSecond);
  const KeyPlan plan(kinds_of(name), 0);
  const TileShape shape(plan);
  const std::string bytes = make_page(shape, past, events);
  TilePage page(shape);
  TilePageWriter writer(shape);
  Tile tile(shape);
  size_t pages = 0;
  const Clock clock;
  for (auto _ : state) {
    if (!page.open(bytes)) state.SkipWithError("no page");
    for (int place = 0; place < kPageTiles - 1; ++place) writer.put(place, page, place);
    page.read(kPageTiles - 1, &tile);
    tile.add(past.events.back());
    writer.put(kPageTiles - 1, tile);
    benchmark::DoNotOptimize(writer.finish());
    ++pages;
  }
  state.counters["ns_a_page"] = clock.ns_of(pages);
}

}  // namespace
}  // namespace fraud::bench

int main(int argc, char** argv) {
  using namespace fraud::bench;
  for (const std::string name : kKinds) {
    benchmark::RegisterBenchmark(("slide/" + name).c_str(), slide, name)->Unit(benchmark::kMillisecond);
  }
  for (const std::string name : kKinds) {
    benchmark::RegisterBenchmark(("add_tiles/" + name).c_str(), add_tiles, name)->Arg(20)->Arg(1000);
  }
  for (const std::string name : kKinds) {
    benchmark::RegisterBenchmark(("make_tiles/" + name).c_str(), make_tiles, name);
  }
  for (const std::string name : kKinds) {
    benchmark::RegisterBenchmark(("rewrite_page/" + name).c_str(), rewrite_page, name);
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
