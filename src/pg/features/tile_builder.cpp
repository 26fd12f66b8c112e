#include "pg/features/tile_builder.h"

#include <algorithm>
#include <array>

#include "pg/server/boundary.h"
#include "pg/server/owner_scope.h"

extern "C" {
#include "utils/snapmgr.h"
}

namespace fraud::pg {

namespace {

Statement read_pages(
    "SELECT t.key_no::int, t.key, t.page FROM fraud.tiles t"
    " WHERE t.set_id = $1 AND t.reader_no = $2::int2 AND t.reader_key = $3 AND t.shift = $4::int2 AND t.starts_at = $5",
    {INT4OID, INT4OID, BYTEAOID, INT4OID, TIMESTAMPTZOID});
Statement write_pages(
    "INSERT INTO fraud.tiles (set_id, reader_no, reader_key, shift, starts_at, key_no, key, page)"
    " SELECT $1, $2::int2, $3, $4::int2, $5, n.key_no, n.key, n.page FROM unnest($6, $7, $8) n(key_no, key, page)"
    " ON CONFLICT (set_id, reader_no, reader_key, shift, starts_at, key_no, key) DO UPDATE SET page = EXCLUDED.page",
    {INT4OID, INT4OID, BYTEAOID, INT4OID, TIMESTAMPTZOID, INT4ARRAYOID, BYTEAARRAYOID, BYTEAARRAYOID});
Statement delete_pages(
    "DELETE FROM fraud.tiles t USING unnest($6, $7) n(key_no, key)"
    " WHERE t.set_id = $1 AND t.reader_no = $2::int2 AND t.reader_key = $3 AND t.shift = $4::int2 AND t.starts_at = $5"
    " AND t.key_no = n.key_no AND t.key = n.key",
    {INT4OID, INT4OID, BYTEAOID, INT4OID, TIMESTAMPTZOID, INT4ARRAYOID, BYTEAARRAYOID});

constexpr size_t kBlock = 4096;  // events

}  // namespace

TileBuilder::TileBuilder(TileSource& source, Spi& spi, TiledKeyRow row, Snapshot snapshot)
    : source_(source), spi_(spi), row_(std::move(row)), snapshot_(snapshot) {}

TileBuilder::Pages TileBuilder::stored(int shift, TimestampTz starts_at) {
  // With what this transaction has written so far.
  protect([] { UpdateActiveSnapshotCommandId(); });
  spi_.run(read_pages,
           {int4_param(row_.set), int4_param(static_cast<int32_t>(row_.key)), bytea_param(row_.value), int4_param(shift), time_param(starts_at)},
           true);
  Pages pages;
  for (uint64_t row = 0; row < spi_.rows(); ++row) {
    pages[{static_cast<size_t>(*spi_.integer(row, 1)), bytes_of(*spi_.datum(row, 2))}] = bytes_of(*spi_.datum(row, 3));
  }
  return pages;
}

void TileBuilder::write(int shift, TimestampTz starts_at, const Pages& before, const Pages& after) {
  Column gone_numbers(INT4OID), gone_keys(BYTEAOID), numbers(INT4OID), keys(BYTEAOID), pages(BYTEAOID);
  for (const auto& [which, page] : before) {
    if (after.count(which) != 0) continue;
    gone_numbers.add(int4_param(static_cast<int32_t>(which.first)));
    gone_keys.add(bytea_param(which.second));
  }
  for (const auto& [which, page] : after) {
    const auto known = before.find(which);
    if (known != before.end() && known->second == page) continue;
    numbers.add(int4_param(static_cast<int32_t>(which.first)));
    keys.add(bytea_param(which.second));
    pages.add(bytea_param(page));
  }
  const std::vector<SqlValue> place{int4_param(row_.set), int4_param(static_cast<int32_t>(row_.key)), bytea_param(row_.value),
                                    int4_param(shift), time_param(starts_at)};
  if (gone_numbers.size() > 0) {
    std::vector<SqlValue> values = place;
    values.insert(values.end(), {gone_numbers.array(), gone_keys.array()});
    spi_.run(delete_pages, values);
  }
  if (numbers.size() > 0) {
    std::vector<SqlValue> values = place;
    values.insert(values.end(), {numbers.array(), keys.array(), pages.array()});
    spi_.run(write_pages, values);
  }
}

// Makes places of the finest page that starts then from the events of the stretches, which they are. Returns the
// page's rows, as they are now.
TileBuilder::Pages TileBuilder::finest(TimestampTz starts_at, uint64_t places, const std::vector<TileMark>& stretches) {
  const int shift = row_.cover.shift;
  const std::vector<size_t>& dependents = source_.online().readings[row_.key].dependents;
  const size_t inputs = source_.online().set->inputs.size();
  using Tiles = std::map<int, Tile>;
  std::map<Which, Tiles> made;
  const std::unique_ptr<EventReader> reader = source_.reader(row_.key);
  std::vector<std::string_view> values;
  auto take = [&] {
    const EventBatch& events = reader->batch();
    events_ += events.rows;
    for (size_t next = 0; next < events.rows; ++next) {
      Event event = events.event(next);
      event.inputs = events.cells.data() + next * inputs;
      const int place = static_cast<int>((event.time_us - starts_at) >> shift);
      auto add = [&](size_t key, std::string value) {
        Tiles& tiles = made[{key, std::move(value)}];
        tiles.try_emplace(place, source_.shapes().keys[key]).first->second.add(event);
      };
      add(row_.key, {});
      if (dependents.empty()) continue;
      events.keys_of(next, dependents.size(), &values);
      for (size_t i = 0; i < dependents.size(); ++i) {
        if (values[i].data() != nullptr) add(dependents[i], stored_key(values[i]));
      }
    }
  };
  reader->each_block(kBlock, take);
  for (const TileMark& stretch : stretches) {
    source_.read(row_.key, row_.parts, stretch.from, stretch.to, snapshot_, *reader);
    take();
    reader->clear();
  }
  const Pages before = stored(shift, starts_at);
  Pages after = before;
  auto rewrite = [&](const Which& which, std::string* page, const Tiles* fresh) {
    const TileShape& shape = source_.shapes().keys[which.first];
    const TilePage old(shape, *page);
    if (!page->empty() && !old.valid()) throw Error(ErrorCode::kInvalidArgument, "a page of fraud.tiles is not readable", {},
                                                    kTilesAgain);
    TilePageWriter writer(shape);
    bool any = false;
    for (int place = 0; place < kPageTiles; ++place) {
      if ((places >> place & 1) != 0) {
        if (fresh == nullptr) continue;
        const auto found = fresh->find(place);
        if (found == fresh->end()) continue;
        writer.put(place, found->second);
      } else {
        if (page->empty() || old.state(place) == TilePage::State::kEmpty) continue;
        writer.put(place, old, place);
      }
      any = true;
    }
    *page = any ? writer.finish() : std::string();
  };
  for (auto& [which, page] : after) {
    if (made.count(which) != 0) continue;
    const TilePage old(source_.shapes().keys[which.first], page);
    bool touched = !old.valid();
    for (int place = 0; place < kPageTiles && !touched; ++place) {
      touched = (places >> place & 1) != 0 && old.state(place) != TilePage::State::kEmpty;
    }
    if (touched) rewrite(which, &page, nullptr);
  }
  for (const auto& [which, tiles] : made) rewrite(which, &after[which], &tiles);
  for (auto page = after.begin(); page != after.end();) page = page->second.empty() ? after.erase(page) : std::next(page);
  write(shift, starts_at, before, after);
  return after;
}

// Makes the tiles of a level that stand for the pages below them, which start then.
void TileBuilder::raise(int level, TimestampTz starts_at, const Pages& below) {
  const int shift = row_.cover.shift + level * kPageShift;
  const TimestampTz page_at = aligned(starts_at, shift + kPageShift);
  const int at = static_cast<int>((starts_at - page_at) >> shift);
  const Pages before = stored(shift, page_at);
  Pages after = before;
  for (const auto& [which, page] : below) after.try_emplace(which);
  for (auto& [which, page] : after) {
    const TileShape& shape = source_.shapes().keys[which.first];
    const TilePage old(shape, page);
    if (!page.empty() && !old.valid()) throw Error(ErrorCode::kInvalidArgument, "a page of fraud.tiles is not readable", {},
                                                   kTilesAgain);
    TilePageWriter writer(shape);
    Tile tile(shape), sum(shape);
    bool any = false;
    for (int place = 0; place < kPageTiles; ++place) {
      if (place != at) {
        if (page.empty() || old.state(place) == TilePage::State::kEmpty) continue;
        writer.put(place, old, place);
        any = true;
        continue;
      }
      const auto found = below.find(which);
      if (found == below.end()) continue;
      const TilePage part(shape, found->second);
      bool finer = false;
      sum.clear();
      for (int i = 0; i < kPageTiles && !finer; ++i) {
        if (part.state(i) == TilePage::State::kEmpty) continue;
        finer = part.state(i) == TilePage::State::kFiner;
        if (finer) break;
        part.read(i, &tile);
        sum.merge(tile);
      }
      if (finer) {
        writer.put_finer(place);
      } else {
        writer.put(place, sum);
      }
      any = true;
    }
    page = any ? writer.finish() : std::string();
  }
  for (auto page = after.begin(); page != after.end();) page = page->second.empty() ? after.erase(page) : std::next(page);
  write(shift, page_at, before, after);
}

size_t TileBuilder::build(const std::vector<TileMark>& stretches, TimestampTz to) {
  const int shift = row_.cover.shift;
  const TimestampTz length = TimestampTz{1} << shift;
  const int64_t reach = source_.online().engine.plan(row_.key).reach_us();
  // By page of the finest level.
  std::map<TimestampTz, std::pair<uint64_t, std::vector<TileMark>>> pages;
  for (const TileMark& stretch : stretches) {
    for (TimestampTz at = stretch.from; at < stretch.to;) {
      const TimestampTz page = aligned(at, shift + kPageShift), end = std::min(stretch.to, page + (length << kPageShift));
      auto& [places, parts] = pages[page];
      for (TimestampTz place = at; place < end; place += length) places |= uint64_t{1} << ((place - page) >> shift);
      parts.push_back({at, end});
      at = end;
    }
  }
  // Level by level: what is made of a page must be of all that was made in it.
  std::map<TimestampTz, Pages> made;
  for (auto& [page, what] : pages) made[page] = finest(page, what.first, what.second);
  for (int level = 1; shift + level * kPageShift < 62 && (int64_t{1} << (shift + level * kPageShift)) <= reach; ++level) {
    const int level_shift = shift + level * kPageShift;
    std::map<TimestampTz, bool> next;
    for (const auto& [starts_at, below] : made) {
      if (starts_at < row_.cover.from || starts_at + (TimestampTz{1} << level_shift) > to) continue;
      raise(level, starts_at, below);
      next[aligned(starts_at, level_shift + kPageShift)] = true;
    }
    made.clear();
    for (const auto& [starts_at, wanted] : next) made[starts_at] = stored(level_shift, starts_at);
  }
  return events_;
}

}  // namespace fraud::pg
