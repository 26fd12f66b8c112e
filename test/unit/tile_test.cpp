// Windows that are added up from tiles and events, beside those of the events alone and the definition.
#include "core/features/tile.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/features/exact_sum.h"
#include "window_reference.h"

namespace fraud {
namespace {

using Random = std::mt19937_64;

// Features at random, of one key.
std::vector<WindowFeature> random_features(Random& random) {
  std::vector<WindowFeature> features;
  const size_t count = 1 + random() % 24;
  for (size_t i = 0; i < count; ++i) {
    WindowFeature feature;
    feature.aggregate = static_cast<Aggregate>(random() % (static_cast<uint64_t>(Aggregate::kSpeed) + 1));
    feature.width_us = 1 + static_cast<int64_t>(random() % (random() % 3 == 0 ? 1000 : 60));
    feature.delay_us = random() % 3 == 0 ? static_cast<int64_t>(random() % 200) : 0;
    if (i > 0 && random() % 2 == 0) {
      feature.width_us = features.back().width_us;
      feature.delay_us = features.back().delay_us;
    }
    feature.include_current = random() % 4 == 0;
    feature.input = static_cast<int>(random() % 2);
    feature.current_input = 0;
    switch (feature.aggregate) {
      case Aggregate::kCount:
      case Aggregate::kRate:
      case Aggregate::kSecondsSinceLast:
        if (random() % 2 == 0) feature.input = kEveryEvent;
        break;
      case Aggregate::kDistinct: feature.input = random() % 3 == 0 ? 0 : 2; break;
      case Aggregate::kDistance:
      case Aggregate::kSpeed:
        feature.input = feature.current_input = 3;
        feature.second_input = feature.second_current_input = 4;
        break;
      default: break;
    }
    features.push_back(feature);
  }
  return features;
}

// Events of one key, some at once, some of them in runs, with zeros of both signs.
std::vector<TestEvent> random_past(uint64_t seed, size_t count, Amounts amounts) {
  Random random(seed);
  std::vector<TestEvent> events = random_events(seed, count, amounts);
  uint64_t run = 0;
  for (size_t i = 0; i < events.size(); ++i) {
    events[i].keys[0] = "k";
    if (random() % 4 == 0) events[i].cells[0] = number_cell(random() % 2 == 0 ? 0.0 : -0.0);
    if (random() % 5 == 0) events[i].cells[1] = events[i].cells[0];
    const bool at_once = i > 0 && events[i].time == events[i - 1].time;
    if (at_once && events[i - 1].run != 0 && random() % 2 == 0) {
      events[i].run = run;
    } else if (random() % 2 == 0) {
      events[i].run = ++run;
    }
  }
  return events;
}

// Pages of several levels over some events, each level's tiles merged from the pages of the one below.
class Pages {
 public:
  Pages(const TileShape& shape, const std::vector<TestEvent>& events, size_t count, Random& random)
      : shape_(shape), random_(random) {
    Level tiles;
    shifts_.push_back(static_cast<int>(random() % 5));
    for (size_t i = 0; i < count; ++i) {
      tiles.try_emplace(events[i].time >> shifts_[0], Tile(shape)).first->second->add(view(events[i]));
    }
    write(tiles);
    const size_t levels = 1 + random() % 4;
    while (shifts_.size() < levels) {
      shifts_.push_back(shifts_.back() + 1 + static_cast<int>(random() % 6));
      write(merged(shifts_.size() - 1));
    }
  }

  size_t levels() const { return shifts_.size(); }
  int shift(size_t level) const { return shifts_[level]; }
  const std::map<int64_t, std::string>& pages(size_t level) const { return pages_[level]; }

 private:
  using Level = std::map<int64_t, std::optional<Tile>>;  // nothing: to be read finer

  Level merged(size_t level) {
    Level tiles;
    Tile part(shape_);
    const int difference = shifts_[level] - shifts_[level - 1];
    for (const auto& [number, bytes] : pages_[level - 1]) {
      const TilePage page(shape_, bytes);
      EXPECT_TRUE(page.valid());
      for (int place = 0; place < kPageTiles; ++place) {
        if (page.state(place) == TilePage::State::kEmpty) continue;
        auto& tile = tiles.try_emplace((number * kPageTiles + place) >> difference, Tile(shape_)).first->second;
        if (page.state(place) == TilePage::State::kFiner) {
          tile.reset();
        } else if (tile) {
          page.read(place, &part);
          tile->merge(part);
        }
      }
    }
    return tiles;
  }

  void write(const Level& tiles) {
    std::map<int64_t, TilePageWriter> writers;
    for (const auto& [number, tile] : tiles) {
      TilePageWriter& writer = writers.try_emplace(number >> kPageShift, shape_).first->second;
      const int place = static_cast<int>(number & (kPageTiles - 1));
      if (!tile || random_() % 20 == 0) {
        writer.put_finer(place);
      } else {
        writer.put(place, *tile);
      }
    }
    pages_.emplace_back();
    for (auto& [number, writer] : writers) pages_.back()[number] = writer.finish();
  }

  const TileShape& shape_;
  Random& random_;
  std::vector<int> shifts_;
  std::vector<std::map<int64_t, std::string>> pages_;
};

// Fills one window of an event: from the tiles of a level where they are whole, from the level below at the edges
// and where a tile cannot be taken, and at last from the events.
class Filling {
 public:
  Filling(const TileShape& shape, const Pages& pages, const std::vector<TestEvent>& events, size_t current,
          WindowTotals& totals, Random& random)
      : shape_(shape), pages_(pages), events_(events), current_(current), totals_(totals), random_(random) {}

  void fill(size_t window) {
    const WindowTotals::Bounds bounds = totals_.bounds(window);
    const int64_t end = bounds.until_us + 1;
    // Tiles of stretches that may hold events of the event's own time are not taken.
    const int64_t sure = std::min(end, events_[current_].time);
    cover(window, static_cast<int>(pages_.levels()) - 1, bounds.after_us + 1, sure);
    take_events(window, std::max(sure, bounds.after_us + 1), end);
  }

  size_t tiles_taken() const { return tiles_; }

 private:
  // The stretch [from, until).
  void cover(size_t window, int level, int64_t from, int64_t until) {
    if (from >= until) return;
    if (level < 0) return take_events(window, from, until);
    const int shift = pages_.shift(static_cast<size_t>(level));
    const int64_t length = int64_t{1} << shift;
    int64_t first = (from + length - 1) >> shift;
    const int64_t last = until >> shift;
    if (first >= last || random_() % 8 == 0) return cover(window, level - 1, from, until);
    cover(window, level - 1, from, first * length);
    while (first < last) {
      const int64_t number = first >> kPageShift;
      const int place = static_cast<int>(first & (kPageTiles - 1));
      const int end = static_cast<int>(std::min<int64_t>(kPageTiles, place + last - first));
      const auto& pages = pages_.pages(static_cast<size_t>(level));
      const auto found = pages.find(number);
      if (found == pages.end()) {  // no events
        first += end - place;
        continue;
      }
      const TilePage page(shape_, found->second);
      const int added = totals_.add(window, page, place, end);
      tiles_ += static_cast<size_t>(added);
      first += added;
      if (added == end - place) continue;
      cover(window, level - 1, first * length, (first + 1) * length);
      ++first;
    }
    cover(window, level - 1, last * length, until);
  }

  void take_events(size_t window, int64_t from, int64_t until) {
    for (size_t i = 0; i < current_; ++i) {
      const TestEvent& event = events_[i];
      if (event.time < from || event.time >= until) continue;
      if (event.run != 0 && event.run == events_[current_].run && !totals_.includes_current(window)) continue;
      totals_.add(window, view(event));
    }
  }

  const TileShape& shape_;
  const Pages& pages_;
  const std::vector<TestEvent>& events_;
  size_t current_;
  WindowTotals& totals_;
  Random& random_;
  size_t tiles_ = 0;
};

bool sums(Aggregate aggregate) {
  switch (aggregate) {
    case Aggregate::kSum:
    case Aggregate::kAvg:
    case Aggregate::kStddev:
    case Aggregate::kRatio:
    case Aggregate::kZscore: return true;
    default: return false;
  }
}

// Whether all that the windows of an event sum is exact.
bool all_exact(const std::vector<WindowFeature>& features, const std::vector<TestEvent>& events, size_t current) {
  for (const WindowFeature& feature : features) {
    if (!sums(feature.aggregate)) continue;
    for (const TestEvent* event : window_of(feature, events, current)) {
      if (!sums_exactly(DoubleParts(cell_number(event->cells[feature.input])))) return false;
    }
  }
  return true;
}

TEST(Tiles, GiveWhatTheEventsGive) {
  size_t taken = 0, exact = 0, inexact = 0;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Random random(seed);
    const Amounts amounts = seed % 3 == 0 ? Amounts::kAny : Amounts::kEighths;
    const std::vector<TestEvent> events = random_past(seed, 250, amounts);
    const std::vector<WindowFeature> features = random_features(random);
    const KeyPlan plan(features, 0);
    const TileShape shape(plan);
    WindowTotals totals(plan, shape);
    KeyWindows windows(plan);
    for (size_t i = 0; i < events.size(); ++i) {
      std::vector<float> expected(features.size()), got(features.size());
      windows.evaluate_and_push(view(events[i]), expected.data());
      if (random() % 20 != 0) continue;
      const Pages pages(shape, events, i, random);
      Filling filling(shape, pages, events, i, totals, random);
      totals.begin(events[i].time);
      for (size_t window = 0; window < totals.windows(); ++window) filling.fill(window);
      totals.finish(view(events[i]), got.data());
      taken += filling.tiles_taken();
      const bool is_exact = all_exact(features, events, i);
      ASSERT_EQ(totals.exact(), is_exact) << "seed " << seed << " event " << i;
      ++(is_exact ? exact : inexact);
      for (size_t f = 0; f < features.size(); ++f) {
        if (!is_exact && sums(features[f].aggregate)) continue;
        ASSERT_TRUE(same(got[f], expected[f])) << "seed " << seed << " event " << i << " feature " << f << " aggregate "
                                               << static_cast<int>(features[f].aggregate) << ": " << got[f] << ", not "
                                               << expected[f];
        if (amounts == Amounts::kAny && sums(features[f].aggregate)) continue;
        const double defined = reference(features[f], events, i);
        ASSERT_TRUE(as_reference(features[f], got[f], defined))
            << "seed " << seed << " event " << i << " feature " << f << ": " << got[f] << ", not " << defined;
      }
    }
  }
  EXPECT_GT(taken, 50000U);
  EXPECT_GT(exact, 1500U);
  EXPECT_GT(inexact, 100U);
}

// Every place's tile, written again.
std::string rewritten(const TileShape& shape, const std::string& bytes) {
  const TilePage page(shape, bytes);
  EXPECT_TRUE(page.valid());
  TilePageWriter writer(shape);
  Tile tile(shape);
  for (int place = 0; place < kPageTiles; ++place) {
    if (page.state(place) == TilePage::State::kFiner) {
      writer.put_finer(place);
    } else if (page.state(place) == TilePage::State::kTile) {
      page.read(place, &tile);
      EXPECT_GT(tile.events(), 0U);
      writer.put(place, tile);
    }
  }
  return writer.finish();
}

std::string page_of(const TileShape& shape, const Tile& tile) {
  TilePageWriter writer(shape);
  writer.put(5, tile);
  return writer.finish();
}

TEST(Tiles, AreWrittenAndReadBack) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    Random random(seed);
    const std::vector<TestEvent> events = random_past(seed, 400, Amounts::kAny);
    const KeyPlan plan(random_features(random), 0);
    const TileShape shape(plan);
    const Pages pages(shape, events, events.size(), random);
    for (size_t level = 0; level < pages.levels(); ++level) {
      for (const auto& [number, bytes] : pages.pages(level)) {
        ASSERT_EQ(rewritten(shape, bytes), bytes);
        const TilePage page(shape, bytes);
        TilePageWriter writer(shape);
        for (int place = 0; place < kPageTiles; ++place) writer.put(place, page, place);
        ASSERT_EQ(writer.finish(), bytes);
      }
    }
  }
}

// However the events are cut, and in whatever order neighbours are merged.
TEST(Tiles, MergedAreThoseOfAllEvents) {
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    Random random(seed);
    const std::vector<TestEvent> events = random_past(seed, random() % 200, Amounts::kAny);
    const KeyPlan plan(random_features(random), 0);
    const TileShape shape(plan);
    Tile all(shape);
    std::vector<Tile> parts;
    parts.emplace_back(shape);
    for (const TestEvent& event : events) {
      all.add(view(event));
      while (random() % 5 == 0) parts.emplace_back(shape);
      parts.back().add(view(event));
    }
    while (parts.size() > 1) {
      const size_t i = random() % (parts.size() - 1);
      parts[i].merge(parts[i + 1]);
      parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(i) + 1);
    }
    ASSERT_EQ(parts[0].events(), events.size());
    ASSERT_EQ(page_of(shape, parts[0]), page_of(shape, all));
  }
}

// A feature of a window far wider than the events.
WindowFeature wide(Aggregate aggregate, int input) { return {aggregate, 0, input, kEveryEvent, 1 << 30}; }

// The first feature of the events of a page, and how many places of it could be added.
float value_of(const KeyPlan& plan, const TileShape& shape, const std::string& bytes, int64_t now, int* added) {
  WindowTotals totals(plan, shape);
  totals.begin(now);
  *added = totals.add(0, TilePage(shape, bytes), 0, kPageTiles);
  float values[2];
  totals.finish({now, kNever, nullptr}, values);
  return values[0];
}

TEST(Tiles, CountDifferentValuesUpToSoMany) {
  const KeyPlan plan({wide(Aggregate::kDistinct, 0), {Aggregate::kCount, 0, kEveryEvent, kEveryEvent, 1 << 20}}, 0);
  const TileShape shape(plan);
  for (const size_t different : {kMostDistinctInTile, kMostDistinctInTile + 1}) {
    Tile tile(shape), half(shape);
    for (size_t i = 0; i < 3 * different; ++i) {
      const Cell cell = i % different * 0x9E3779B97F4A7C15;
      (i < different / 2 ? tile : half).add({static_cast<int64_t>(i), kNever, &cell});
    }
    tile.merge(half);
    TilePageWriter writer(shape);
    writer.put(1, tile);
    const std::string bytes = writer.finish();
    const bool fits = different == kMostDistinctInTile;
    WindowTotals totals(plan, shape);
    totals.begin(100000);
    const TilePage page(shape, bytes);
    ASSERT_TRUE(page.valid());
    // Only the window that counts them cannot take the tile.
    EXPECT_EQ(totals.add(0, page, 0, kPageTiles), fits ? kPageTiles : 1);
    EXPECT_EQ(totals.add(1, page, 0, kPageTiles), kPageTiles);
    float values[2];
    totals.finish({100000, kNever, nullptr}, values);
    EXPECT_EQ(values[0], fits ? static_cast<float>(different) : 0);
    EXPECT_EQ(values[1], static_cast<float>(3 * different));
    // So it is of what is merged of it, however it was read.
    Tile above(shape);
    page.read(1, &above);
    above.merge(half);
    int added = 0;
    value_of(plan, shape, page_of(shape, above), 100000, &added);
    EXPECT_EQ(added, fits ? kPageTiles : 5);
  }
}

TEST(Tiles, StandForTheirLabelsOnceAllHaveTurned) {
  const KeyPlan plan({wide(Aggregate::kRate, kEveryEvent)}, 0);
  const TileShape shape(plan);
  Tile tile(shape);
  const int64_t turns[] = {30, 40};
  tile.add({1, 20, nullptr});
  tile.add({2, 25, nullptr, turns, 1});
  tile.add({3, 10, nullptr, turns, 2});
  tile.add({4, kNever, nullptr});
  const std::string bytes = page_of(shape, tile);
  int added = 0;
  value_of(plan, shape, bytes, 39, &added);
  EXPECT_EQ(added, 5);  // as far as its place
  EXPECT_EQ(value_of(plan, shape, bytes, 40, &added), 0.5F);
  EXPECT_EQ(added, kPageTiles);
  // Without any that turns there is nothing to wait for.
  tile.clear();
  tile.add({4, kNever, nullptr});
  EXPECT_EQ(value_of(plan, shape, page_of(shape, tile), 5, &added), 0.0F);
  EXPECT_EQ(added, kPageTiles);
}

TEST(Tiles, SayWhatTheyHold) {
  const auto signature = [](const std::vector<WindowFeature>& features) { return TileShape(KeyPlan(features, 0)).signature(); };
  const WindowFeature sum = wide(Aggregate::kSum, 1), rate = wide(Aggregate::kRate, kEveryEvent);
  WindowFeature narrow = sum;
  narrow.width_us = 7;
  narrow.include_current = true;
  EXPECT_EQ(signature({sum, rate}), "1 count count:1 inexact:1 sum:1 frauds turn");
  EXPECT_EQ(signature({rate, narrow, sum}), signature({sum, rate}));
  EXPECT_EQ(signature({wide(Aggregate::kAvg, 1), wide(Aggregate::kCount, 1), rate}), signature({sum, rate}));
  EXPECT_NE(signature({wide(Aggregate::kSum, 0), rate}), signature({sum, rate}));
  EXPECT_NE(signature({sum}), signature({sum, rate}));
  EXPECT_NE(signature({wide(Aggregate::kMin, 1)}), signature({wide(Aggregate::kMax, 1)}));
  WindowFeature other = wide(Aggregate::kDistance, 1), another = wide(Aggregate::kDistance, 1);
  other.second_input = 2;
  another.second_input = 3;
  EXPECT_NE(signature({other}), signature({another}));
}

TEST(Tiles, TakeLittleRoom) {
  Random random(1);
  const KeyPlan plan({wide(Aggregate::kCount, kEveryEvent), wide(Aggregate::kSum, 0)}, 0);
  const TileShape shape(plan);
  TilePageWriter writer(shape);
  for (int place = 0; place < kPageTiles; ++place) {
    Tile tile(shape);
    for (int i = 0; i < 20; ++i) {
      const Cell cell = number_cell(static_cast<double>(random() % 100000) / 100);
      tile.add({place * 20 + i, kNever, &cell});
    }
    writer.put(place, tile);
  }
  EXPECT_LE(writer.finish().size(), 16U * kPageTiles);
}

TEST(Tiles, AtTheEndsOfTime) {
  const KeyPlan plan({{Aggregate::kRate, 0, kEveryEvent, kEveryEvent, kNever},
                      {Aggregate::kSecondsSinceLast, 0, kEveryEvent, kEveryEvent, kNever - 1}}, 0);
  const TileShape shape(plan);
  const int64_t first = std::numeric_limits<int64_t>::min();
  Tile early(shape), late(shape);
  early.add({first, first, nullptr});
  late.add({kNever - 1, kNever - 1, nullptr});
  TilePageWriter writer(shape);
  writer.put(0, early);
  writer.put(63, late);
  const std::string bytes = writer.finish();
  EXPECT_EQ(rewritten(shape, bytes), bytes);
  const TilePage page(shape, bytes);
  WindowTotals totals(plan, shape);
  float values[2];
  // What is never known to be fraud is so at the end of time, says KeyWindows: only the events tell.
  totals.begin(kNever);
  EXPECT_EQ(totals.bounds(0).after_us, 0);
  EXPECT_EQ(totals.bounds(1).after_us, 1);
  EXPECT_EQ(totals.add(0, page, 1, kPageTiles), 62);
  EXPECT_EQ(totals.add(1, page, 1, kPageTiles), 63);
  totals.finish({kNever, kNever, nullptr}, values);
  EXPECT_EQ(values[1], 1e-6F);
  totals.begin(kNever - 1);
  EXPECT_EQ(totals.add(0, page, 1, kPageTiles), 63);
  totals.finish({kNever - 1, kNever, nullptr}, values);
  EXPECT_EQ(values[0], 1.0F);
  totals.begin(first);
  EXPECT_EQ(totals.bounds(0).after_us, first);
  EXPECT_EQ(totals.bounds(0).until_us, first);
}

TEST(Tiles, ComeInOrderOfPlace) {
  const KeyPlan plan({wide(Aggregate::kCount, kEveryEvent)}, 0);
  const TileShape shape(plan);
  Tile tile(shape);
  tile.add({1, kNever, nullptr});
  TilePageWriter writer(shape);
  writer.put(3, tile);
  EXPECT_THROW(writer.put(3, tile), Error);
  EXPECT_THROW(writer.put_finer(2), Error);
  EXPECT_THROW(writer.put(kPageTiles, tile), Error);
  writer.put_finer(63);
  const std::string bytes = writer.finish();
  writer.put(0, tile);  // of the next page
  const TilePage page(shape, bytes);
  EXPECT_EQ(page.state(3), TilePage::State::kTile);
  EXPECT_EQ(page.state(4), TilePage::State::kEmpty);
  EXPECT_EQ(page.state(63), TilePage::State::kFiner);
  EXPECT_EQ(page.state(64), TilePage::State::kEmpty);
  EXPECT_THROW(page.read(63, &tile), Error);
  // A place is not both.
  std::string both = bytes;
  both[9] = 8;  // of the finer ones, the first byte
  EXPECT_FALSE(TilePage(shape, both).valid());
  both[9] = 16;
  EXPECT_TRUE(TilePage(shape, both).valid());
  page.read(4, &tile);
  EXPECT_EQ(tile.events(), 0U);
}

// No damage is read beyond the bytes (sanitizers see that), and a page that is cut is none.
TEST(Tiles, DamagedPagesAreRefusedOrRead) {
  size_t valid = 0;
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    Random random(seed);
    const std::vector<TestEvent> events = random_past(seed, 100, Amounts::kAny);
    const std::vector<WindowFeature> features = random_features(random);
    const KeyPlan plan(features, 0);
    const TileShape shape(plan);
    const Pages pages(shape, events, events.size(), random);
    const std::string& whole = pages.pages(0).begin()->second;
    TilePage page(shape);
    for (size_t size = 0; size < whole.size(); ++size) {
      const std::vector<char> cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
      ASSERT_FALSE(page.open({cut.data(), cut.size()}));
      ASSERT_EQ(page.state(0), TilePage::State::kEmpty);
    }
    ASSERT_FALSE(page.open(whole + '\0'));
    WindowTotals totals(plan, shape);
    std::vector<float> values(features.size());
    for (int i = 0; i < 300; ++i) {
      std::vector<char> bytes(whole.begin(), whole.end());
      for (uint64_t n = random() % 3 + 1; n > 0; --n) bytes[random() % bytes.size()] = static_cast<char>(random());
      totals.begin(events.back().time);
      if (!page.open({bytes.data(), bytes.size()})) {
        Tile tile(shape);
        ASSERT_EQ(totals.add(0, page, 0, kPageTiles), 0);
        ASSERT_THROW(page.read(0, &tile), Error);
        continue;
      }
      ++valid;
      for (size_t window = 0; window < totals.windows(); ++window) totals.add(window, page, 0, kPageTiles);
      totals.finish(view(events.back()), values.data());
      rewritten(shape, {bytes.data(), bytes.size()});
    }
  }
  EXPECT_GT(valid, 1000U);
}

}  // namespace
}  // namespace fraud
