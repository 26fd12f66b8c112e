// Fuzz target: any bytes are a page of tiles, or none; a page can be read, written again and added to windows.
// What events make is a page, and stays the same when it is read and written.
#include "core/features/tile.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

using fraud::Aggregate;
using fraud::Cell;

constexpr int kInputs = 3;

// Every aggregate, in windows of two widths; or, the second time, those that take little.
std::vector<fraud::WindowFeature> features_of(bool all) {
  std::vector<fraud::WindowFeature> features;
  for (int aggregate = 0; aggregate <= static_cast<int>(Aggregate::kSpeed); ++aggregate) {
    if (!all && aggregate > static_cast<int>(Aggregate::kSum)) break;
    const int second = aggregate >= static_cast<int>(Aggregate::kDistance) ? 1 : fraud::kEveryEvent;
    features.push_back({static_cast<Aggregate>(aggregate), 0, 0, second, 1000000 + aggregate % 2, 0,
                        aggregate % 3 == 0, 2, 1});
  }
  return features;
}

// Returns what a page's tiles make when they are written again.
std::string rewritten(const fraud::TileShape& shape, const fraud::TilePage& page) {
  fraud::TilePageWriter writer(shape);
  fraud::Tile tile(shape);
  for (int place = 0; place < fraud::kPageTiles; ++place) {
    if (page.state(place) == fraud::TilePage::State::kFiner) {
      writer.put_finer(place);
    } else if (page.state(place) == fraud::TilePage::State::kTile) {
      page.read(place, &tile);
      writer.put(place, tile);
    }
  }
  return writer.finish();
}

std::string copied(const fraud::TileShape& shape, const fraud::TilePage& page) {
  fraud::TilePageWriter writer(shape);
  for (int place = 0; place < fraud::kPageTiles; ++place) writer.put(place, page, place);
  return writer.finish();
}

void use(const std::vector<fraud::WindowFeature>& features, std::string_view input) {
  const fraud::KeyPlan plan(features, 0);
  const fraud::TileShape shape(plan);
  // In memory of its own, so that a sanitizer sees what is read beyond it.
  const std::vector<char> bytes(input.begin(), input.end());
  const fraud::TilePage page(shape, {bytes.data(), bytes.size()});
  if (!page.valid()) return;
  const std::string once = rewritten(shape, page);
  const fraud::TilePage second(shape, once);
  if (!second.valid() || rewritten(shape, second) != once) __builtin_trap();
  // The same without making tiles of it; of what is no page of ours all that can be said is that it is one again.
  if (copied(shape, second) != once) __builtin_trap();
  const std::string copy = copied(shape, page);
  if (!fraud::TilePage(shape, copy).valid()) __builtin_trap();
  fraud::WindowTotals totals(plan, shape);
  const Cell cells[kInputs] = {fraud::number_cell(1), fraud::number_cell(2), fraud::number_cell(3)};
  std::vector<float> results(features.size());
  for (const int64_t time : {int64_t{0}, int64_t{1} << 50, fraud::kNever}) {
    totals.begin(time);
    for (size_t window = 0; window < totals.windows(); ++window) {
      for (int from = 0; from < fraud::kPageTiles; ++from) {
        from += totals.add(window, page, from, std::min(from + 17, fraud::kPageTiles));
      }
    }
    totals.finish({time, fraud::kNever, cells}, results.data());
  }
}

// Returns the page of the events that 8 bytes each tell.
std::string made(const fraud::TileShape& shape, std::string_view input) {
  fraud::TilePageWriter writer(shape);
  fraud::Tile tile(shape);
  int place = 0;
  int64_t time = -1000;
  for (size_t at = 0; at + 8 <= input.size() && place < fraud::kPageTiles; at += 8) {
    const auto byte = [&](size_t i) { return static_cast<unsigned char>(input[at + i]); };
    time += byte(0) % 16;
    const double amount = (byte(1) - 128) * (byte(2) % 2 == 0 ? 0.01 : 1e30);
    const Cell cells[kInputs] = {byte(3) % 8 == 0 ? fraud::kAbsent : fraud::number_cell(amount),
                                 byte(4) % 8 == 0 ? fraud::kAbsent : fraud::number_cell(byte(4)), byte(5)};
    const int64_t turns[2] = {time + 300, time + 301 + byte(6)};
    const int64_t known = byte(6) % 4 == 0 ? time + byte(6) : fraud::kNever;
    tile.add({time, known, cells, turns, known == fraud::kNever ? 0U : byte(6) % 3U});
    if (byte(7) % 4 != 0) continue;
    if (byte(7) % 64 == 0) {
      writer.put_finer(place++);
    } else {
      writer.put(place++, tile);
    }
    tile.clear();
    place += byte(7) / 100;
  }
  return writer.finish();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  for (const bool all : {true, false}) {
    const std::vector<fraud::WindowFeature> features = features_of(all);
    use(features, input);
    // As events: the page that they make, and that with damage.
    const fraud::KeyPlan plan(features, 0);
    const fraud::TileShape shape(plan);
    const std::string page = made(shape, input);
    const fraud::TilePage opened(shape, page);
    if (!opened.valid() || rewritten(shape, opened) != page) __builtin_trap();
    use(features, page);
    std::mt19937 random(static_cast<uint32_t>(std::hash<std::string_view>()(input)));
    for (int i = 0; i < 16; ++i) {
      std::string damaged = page;
      if (i % 4 == 3) damaged.resize(random() % damaged.size());
      if (damaged.empty()) continue;
      for (int n = i % 3; n >= 0; --n) damaged[random() % damaged.size()] = static_cast<char>(random());
      use(features, damaged);
    }
  }
  return 0;
}
