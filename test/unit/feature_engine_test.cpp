#include "core/features/feature_engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "window_reference.h"

namespace fraud {
namespace {

std::vector<WindowFeature> all_features() {
  std::vector<WindowFeature> features;
  for (size_t key = 0; key < kKeys; ++key) {
    for (auto [width, delay] : {std::pair<int64_t, int64_t>{10, 0}, {60, 0}, {25, 7}, {200, 90}}) {
      for (bool include : {false, true}) {
        if (include && delay > 0) continue;
        features.push_back({Aggregate::kCount, key, kEveryEvent, kEveryEvent, width, delay, include});
        for (Aggregate aggregate : {Aggregate::kCount, Aggregate::kSum, Aggregate::kAvg, Aggregate::kMin,
                                    Aggregate::kMax, Aggregate::kStddev, Aggregate::kRatio, Aggregate::kZscore}) {
          for (int input : {0, 1}) {
            features.push_back({aggregate, key, input, kEveryEvent, width, delay, include, 0});
          }
        }
        features.push_back({Aggregate::kDistinct, key, 2, kEveryEvent, width, delay, include});
        features.push_back({Aggregate::kRate, key, kEveryEvent, kEveryEvent, width, delay, include});
        features.push_back({Aggregate::kRate, key, 1, kEveryEvent, width, delay, include});
        if (include) continue;
        features.push_back({Aggregate::kLast, key, 0, kEveryEvent, width, delay, false});
        features.push_back({Aggregate::kLast, key, 1, kEveryEvent, width, delay, false});
        features.push_back({Aggregate::kSecondsSinceLast, key, kEveryEvent, kEveryEvent, width, delay, false});
        features.push_back({Aggregate::kSecondsSinceLast, key, 1, kEveryEvent, width, delay, false});
        features.push_back({Aggregate::kDistance, key, 3, 4, width, delay, false, 3, 4});
        features.push_back({Aggregate::kSpeed, key, 3, 4, width, delay, false, 3, 4});
      }
    }
  }
  return features;
}

std::vector<float> stream(FeatureEngine& engine, const std::vector<TestEvent>& events, size_t batch = 100) {
  std::vector<float> result(events.size() * engine.feature_count());
  for (size_t begin = 0; begin < events.size(); begin += batch) {
    std::vector<Event> views;
    std::vector<std::string_view> keys;
    for (size_t i = begin; i < std::min(begin + batch, events.size()); ++i) {
      views.push_back(view(events[i]));
      for (const std::string& key : events[i].keys) {
        keys.push_back(key.empty() ? std::string_view() : std::string_view(key));
      }
    }
    engine.next(views.data(), views.size(), keys.data(), result.data() + begin * engine.feature_count());
  }
  return result;
}

void next_event(FeatureEngine& engine, const Event& event, std::string_view key, float* features) {
  engine.next(&event, 1, &key, features);
}

TEST(FeatureEngine, GivesWhatTheDefinitionSays) {
  const std::vector<WindowFeature> features = all_features();
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    const std::vector<TestEvent> events = random_events(seed, 250, Amounts::kEighths);
    FeatureEngine engine(features, kKeys);
    const std::vector<float> result = stream(engine, events);
    for (size_t i = 0; i < events.size(); ++i) {
      for (size_t f = 0; f < features.size(); ++f) {
        const float got = result[i * features.size() + f];
        const double expected = reference(features[f], events, i);
        ASSERT_TRUE(as_reference(features[f], got, expected))
            << "feature " << f << " event " << i << ": " << got << ", not " << expected;
      }
    }
  }
}

// The online way: windows filled with the events that a range scan finds, and
// nothing else, give the same bits as those that slid there.
TEST(FeatureEngine, OneEventAloneGivesTheSameBits) {
  const std::vector<WindowFeature> features = all_features();
  for (Amounts amounts : {Amounts::kEighths, Amounts::kAny}) {
    const std::vector<TestEvent> events = random_events(11, 400, amounts);
    FeatureEngine engine(features, kKeys);
    const std::vector<float> streamed = stream(engine, events);
    for (size_t i = 0; i < events.size(); ++i) {
      std::vector<float> alone(features.size(), NAN);
      for (size_t key = 0; key < kKeys; ++key) {
        if (events[i].keys[key].empty()) continue;
        const KeyPlan& plan = engine.plan(key);
        KeyWindows windows(plan);
        for (size_t j = 0; j < i; ++j) {
          if (events[j].keys[key] == events[i].keys[key] && events[j].time > events[i].time - plan.reach_us()) {
            windows.push(view(events[j]));
          }
        }
        windows.evaluate_and_push(view(events[i]), alone.data());
      }
      for (size_t f = 0; f < features.size(); ++f) {
        ASSERT_TRUE(same(alone[f], streamed[i * features.size() + f]))
            << "feature " << f << " event " << i << ": " << alone[f] << ", not " << streamed[i * features.size() + f];
      }
    }
  }
}

// However the events are cut into batches.
TEST(FeatureEngine, BatchesDoNotMatter) {
  const std::vector<WindowFeature> features = all_features();
  const std::vector<TestEvent> events = random_events(13, 1000, Amounts::kAny);
  FeatureEngine one_by_one(features, kKeys), all_at_once(features, kKeys), in_steps(features, kKeys);
  const std::vector<float> expected = stream(one_by_one, events, 1);
  for (const std::vector<float>& result :
       {stream(all_at_once, events, events.size()), stream(in_steps, events, 37)}) {
    for (size_t i = 0; i < expected.size(); ++i) ASSERT_TRUE(same(result[i], expected[i]));
  }
}

// However many threads share the keys.
TEST(FeatureEngine, ThreadsDoNotMatter) {
  const std::vector<WindowFeature> features = all_features();
  std::vector<TestEvent> events = random_events(17, 20000, Amounts::kAny);
  for (size_t i = 0; i < events.size(); ++i) events[i].keys[0] = std::to_string(i * 7919 % 997);
  FeatureEngine alone(features, kKeys), helped(features, kKeys, 3);
  const std::vector<float> expected = stream(alone, events, 4096), result = stream(helped, events, 4096);
  for (size_t i = 0; i < expected.size(); ++i) ASSERT_TRUE(same(result[i], expected[i]));
  EXPECT_EQ(alone.bytes(), helped.bytes());
}

// A pass that begins later, with as much before it as the windows reach back.
TEST(FeatureEngine, APassMayBeginLater) {
  const std::vector<WindowFeature> features = all_features();
  const std::vector<TestEvent> events = random_events(12, 600, Amounts::kAny);
  FeatureEngine whole(features, kKeys), later(features, kKeys);
  const std::vector<float> all = stream(whole, events);
  const int64_t from = events[400].time;
  std::vector<TestEvent> tail;
  for (const TestEvent& event : events) {
    if (event.time > from - later.reach_us()) tail.push_back(event);
  }
  ASSERT_LT(tail.size(), events.size());
  const std::vector<float> part = stream(later, tail);
  const size_t offset = events.size() - tail.size();
  for (size_t i = 400; i < events.size(); ++i) {
    for (size_t f = 0; f < features.size(); ++f) {
      ASSERT_TRUE(same(all[i * features.size() + f], part[(i - offset) * features.size() + f]));
    }
  }
}

TEST(FeatureEngine, LabelsCountFromWhenTheyAreKnown) {
  const std::vector<WindowFeature> features = {{Aggregate::kRate, 0, kEveryEvent, kEveryEvent, 100, 0, false}};
  FeatureEngine engine(features, 1);
  const std::string_view key = "merchant";
  float rate = 0;
  next_event(engine, {0, 50, nullptr}, key, &rate);
  EXPECT_TRUE(std::isnan(rate));  // no event
  next_event(engine, {49, kNever, nullptr}, key, &rate);
  EXPECT_EQ(rate, 0.0F);  // not known yet
  next_event(engine, {50, kNever, nullptr}, key, &rate);
  EXPECT_EQ(rate, 0.5F);  // known now
  next_event(engine, {99, kNever, nullptr}, key, &rate);
  EXPECT_EQ(rate, 1.0F / 3);
  next_event(engine, {100, kNever, nullptr}, key, &rate);
  EXPECT_EQ(rate, 0.0F);  // the window is open at its far end
  // Known only after it has left the window: it never counts.
  next_event(engine, {1000, 1100, nullptr}, key, &rate);
  next_event(engine, {1100, kNever, nullptr}, key, &rate);
  EXPECT_TRUE(std::isnan(rate));
  next_event(engine, {1101, kNever, nullptr}, key, &rate);
  EXPECT_EQ(rate, 0.0F);
}

TEST(FeatureEngine, MemoryFollowsTheWindowsNotTheEvents) {
  const std::vector<WindowFeature> features = {{Aggregate::kSum, 0, 0, kEveryEvent, 1000, 0, false},
                                               {Aggregate::kDistinct, 0, 0, kEveryEvent, 1000, 0, false},
                                               {Aggregate::kMax, 0, 0, kEveryEvent, 500, 100, false}};
  FeatureEngine engine(features, 1);
  size_t most = 0;
  float values[3];
  for (int64_t time = 0; time < 300000; ++time) {
    const std::string key = "k" + std::to_string(time / 10);  // ten events, then never again
    const Cell cell = number_cell(static_cast<double>(time % 7));
    next_event(engine, {time, kNever, &cell}, key, values);
    if (time == 20000) most = engine.bytes();
    if (time > 20000) {
      ASSERT_LE(engine.bytes(), 2 * most) << "at " << time;
    }
  }
}

TEST(FeatureEngine, TellsTheLargestKey) {
  const std::vector<WindowFeature> features = {{Aggregate::kCount, 0, kEveryEvent, kEveryEvent, 1000000, 0, false},
                                               {Aggregate::kSum, 1, 0, kEveryEvent, 1000000, 0, false}};
  FeatureEngine engine(features, 2);
  EXPECT_EQ(engine.largest().first, 0U);
  float values[2];
  const Cell cell = number_cell(1);
  for (int64_t time = 0; time < 10000; ++time) {
    const Event event{time, kNever, &cell};
    const std::string own = std::to_string(time);
    const std::string_view keys[] = {own, time % 2 == 0 ? "a" : "b"};
    engine.next(&event, 1, keys, values);
  }
  const auto [bytes, key] = engine.largest();
  EXPECT_EQ(key, 1U);
  EXPECT_GE(bytes, 5000 * 2 * sizeof(uint64_t));  // a time and an amount each
  EXPECT_LT(bytes, engine.bytes() / 4);
}

TEST(FeatureEngine, ValuesThatNoFloatHolds) {
  EXPECT_EQ(number_cell(NAN), kAbsent);
  EXPECT_EQ(number_cell(-INFINITY), kAbsent);
  EXPECT_EQ(feature_value(1e300), std::numeric_limits<float>::max());
  EXPECT_EQ(feature_value(-1e300), std::numeric_limits<float>::lowest());
  EXPECT_TRUE(std::isnan(feature_value(NAN)));
  // Times at the ends of what there is do not wrap.
  FeatureEngine engine({{Aggregate::kCount, 0, kEveryEvent, kEveryEvent, 1000, 500, false}}, 1);
  const std::string_view key = "k";
  float count = 0;
  for (int64_t time : {std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::min() + 1, kNever}) {
    next_event(engine, {time, kNever, nullptr}, key, &count);
    EXPECT_EQ(count, 0.0F);
  }
}

TEST(FeatureEngine, ThoseThatComeAtOnceDoNotCountForEachOther) {
  FeatureEngine engine({{Aggregate::kCount, 0, kEveryEvent, kEveryEvent, 1000, 0, false},
                        {Aggregate::kSum, 0, 0, kEveryEvent, 1000, 0, false, 0},
                        {Aggregate::kMax, 0, 0, kEveryEvent, 1000, 0, false, 0},
                        {Aggregate::kLast, 0, 0, kEveryEvent, 1000, 0, false}}, 1);
  const std::string_view key = "k";
  const auto next = [&](int64_t time, double value, uint64_t run) {
    const Cell cell = number_cell(value);
    std::vector<float> features(4);
    Event event{time, kNever, &cell};
    event.run = run;
    next_event(engine, event, key, features.data());
    return features;
  };
  next(1, 5, 1);
  EXPECT_EQ(next(7, 8, 2), (std::vector<float>{1, 5, 5, 5}));
  EXPECT_EQ(next(7, 9, 2), (std::vector<float>{1, 5, 5, 5}));
  EXPECT_EQ(next(7, 1, 2), (std::vector<float>{1, 5, 5, 5}));
  EXPECT_EQ(next(7, 2, 3), (std::vector<float>{4, 23, 9, 1}));
  EXPECT_EQ(next(9, 0, 0), (std::vector<float>{5, 25, 9, 2}));
  EXPECT_EQ(next(9, 0, 0)[0], 6.0F);
}

}  // namespace
}  // namespace fraud
