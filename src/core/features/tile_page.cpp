// Pages of tiles as bytes.
//
// A page is
//   1 byte: kPageVersion, with kHasFiner if there are stretches whose finer tiles are to be read
//   8 bytes: which places have a tile, a bit each; if kHasFiner, 8 more: which are to be read finer
//   then each column of the shape: 1 byte width; if that is not 0
//     1 byte low, of times 8 bytes base, and width bytes of each tile
//   and after a kDistinct's numbers, of which each says where a tile's values end, those values: 1 byte w (0 if
//   they are too many), then the sorted cells as the differences from the one before, of w bytes each.
// All numbers are in little endian. A column's numbers are bytes [low, low + width) of what they stand for, of
// which all others are 0, or the sign; a time is base + number - 1, number 0 is none.
//
// So all tiles of a page give as many bytes as the one that needs the most, and any of them is found, and added
// up, without reading those before it. Measured (bench_features, a full page, 20 or 1000 events a tile, amounts in
// cents): a count and a sum take 11 or 15 bytes a tile, with a rate 17 or 22, count, sum and squares 28 or 33.
#include "core/features/tile.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "core/base/error.h"
#include "core/features/tile_numbers.h"
#include "core/features/tile_state.h"

namespace fraud {

namespace {

constexpr unsigned char kPageVersion = 1, kHasFiner = 0x80;

uint64_t bit(int place) noexcept { return uint64_t{1} << place; }

Error no_place(int place) {
  return {ErrorCode::kInvalidArgument, "expected a place of a page after the last one, below " +
                                           std::to_string(kPageTiles) + ", not " + std::to_string(place)};
}

// Returns where so many more bytes begin.
char* grow(size_t size, std::string* page) {
  page->resize(page->size() + size);
  return page->data() + page->size() - size;
}

// Adds the sorted values as bytes.
void encode(const std::vector<Cell>& cells, bool too_many, std::string* bytes) {
  if (too_many) return bytes->push_back('\0');
  if (cells.empty()) return;
  uint64_t all = 0;
  Cell before = 0;
  for (const Cell cell : cells) {
    all |= cell - before;
    before = cell;
  }
  const size_t width = all == 0 ? 1 : 8 - static_cast<size_t>(__builtin_clzll(all)) / 8;
  bytes->push_back(static_cast<char>(width));
  char* at = grow(cells.size() * width, bytes);
  before = 0;
  for (const Cell cell : cells) {
    store(cell - before, width, at);
    at += width;
    before = cell;
  }
}

}  // namespace

// ------------------------------------------------------------------ writing

TilePageWriter::TilePageWriter(const TileShape& shape) : shape_(&shape), sets_(shape.sets_) {}

void TilePageWriter::next(int place) {
  if (place <= place_ || place >= kPageTiles) throw no_place(place);
  place_ = place;
}

void TilePageWriter::put_finer(int place) {
  next(place);
  finer_ |= bit(place);
}

void TilePageWriter::put(int place, const Tile& tile) {
  next(place);
  if (tile.events() == 0) return;
  tiles_ |= bit(place);
  words_.insert(words_.end(), tile.words_.begin(), tile.words_.end());
  for (size_t i = 0; i < sets_.size(); ++i) {
    Tile::Values values = tile.sets_[i];
    values.settle();
    encode(values.cells, values.too_many, &sets_[i].bytes);
    sets_[i].ends.push_back(sets_[i].bytes.size());
  }
}

void TilePageWriter::put(int place, const TilePage& page, int from) {
  const TilePage::State state = page.state(from);
  if (state == TilePage::State::kFiner) return put_finer(place);
  next(place);
  if (state == TilePage::State::kEmpty) return;
  const size_t index = page.rank(from);
  const size_t begin = words_.size();
  words_.resize(begin + shape_->words_);
  page.read_words(index, words_.data() + begin);
  if (words_[begin] == 0) return words_.resize(begin);
  tiles_ |= bit(place);
  // Values stay the bytes that they are.
  for (size_t i = 0; i < shape_->columns_.size(); ++i) {
    const TileShape::Column& column = shape_->columns_[i];
    if (column.part != TileShape::Part::kDistinct) continue;
    Sets& sets = sets_[column.word];
    sets.bytes += page.columns_[i].set(index);
    sets.ends.push_back(sets.bytes.size());
  }
}

std::string TilePageWriter::finish() {
  std::string page(1, static_cast<char>(kPageVersion | (finer_ != 0 ? kHasFiner : 0)));
  page.resize(finer_ != 0 ? 17 : 9);
  store(tiles_, 8, page.data() + 1);
  if (finer_ != 0) store(finer_, 8, page.data() + 9);
  for (const TileShape::Column& column : shape_->columns_) {
    if (column.part == TileShape::Part::kDistinct) {
      write_sets(sets_[column.word], &page);
    } else {
      write_column(column, &page);
    }
  }
  place_ = -1;
  tiles_ = finer_ = 0;
  words_.clear();
  for (Sets& sets : sets_) {
    sets.ends.clear();
    sets.bytes.clear();
  }
  return page;
}

void TilePageWriter::write_column(const TileShape::Column& column, std::string* page) {
  using Part = TileShape::Part;
  const size_t limbs = TileShape::words_of(column.part), stride = shape_->words_;
  const size_t count = words_.size() / stride;
  const size_t count_word = shape_->columns_[column.count].word;
  const bool of_time = column.part == Part::kTurn || column.part == Part::kLastTime;
  const bool with_sign = column.part == Part::kSum;
  // What is not there is written as 0, whatever it is in the tile.
  const auto is_there = [&](const uint64_t* tile) {
    return tile[count_word] != 0 &&
           (column.part != Part::kTurn || tile[column.word] != static_cast<uint64_t>(TileShape::kNoTurn));
  };
  int64_t base = std::numeric_limits<int64_t>::max();
  for (size_t t = 0; t < count && of_time; ++t) {
    const uint64_t* const tile = words_.data() + t * stride;
    if (is_there(tile)) base = std::min(base, static_cast<int64_t>(tile[column.word]));
  }
  numbers_.assign(count * limbs, 0);
  uint64_t all[kMostLimbs] = {}, magnitude[kMostLimbs] = {};
  for (size_t t = 0; t < count; ++t) {
    const uint64_t* const tile = words_.data() + t * stride;
    if (!is_there(tile)) continue;
    uint64_t* const number = numbers_.data() + t * limbs;
    std::copy_n(tile + column.word, limbs, number);
    if (of_time) number[0] = number[0] - static_cast<uint64_t>(base) + 1;
    const uint64_t sign = with_sign && number[limbs - 1] >> 63 != 0 ? ~uint64_t{0} : 0;
    for (size_t i = 0; i < limbs; ++i) {
      all[i] |= number[i];
      magnitude[i] |= number[i] ^ sign;
    }
  }
  // Bytes [low, high) say it all, with a bit for the sign.
  size_t low = 0;
  while (low < 8 * limbs && (all[low / 8] >> (low % 8 * 8) & 0xFF) == 0) ++low;
  if (low == 8 * limbs) {
    page->push_back('\0');
    return;
  }
  size_t bits = 64 * limbs;
  while (bits > 0 && magnitude[(bits - 1) / 64] == 0) bits -= 64;
  if (bits > 0) bits -= static_cast<size_t>(__builtin_clzll(magnitude[bits / 64 - 1]));
  if (with_sign) ++bits;
  const size_t high = std::max(std::min((bits + 7) / 8, 8 * limbs), low + 1);
  const size_t width = high - low;
  page->push_back(static_cast<char>(width));
  page->push_back(static_cast<char>(low));
  // 7 bytes more, to write whole words.
  char* at = grow((of_time ? 8 : 0) + count * width + 7, page);
  if (of_time) {
    store(static_cast<uint64_t>(base), 8, at);
    at += 8;
  }
  for (size_t t = 0; t < count; ++t, at += width) store_limbs(numbers_.data() + t * limbs, limbs, low, width, at);
  page->resize(page->size() - 7);
}

void TilePageWriter::write_sets(const Sets& sets, std::string* page) {
  if (sets.bytes.empty()) return page->push_back('\0');
  const size_t width = 8 - static_cast<size_t>(__builtin_clzll(sets.bytes.size())) / 8;
  page->push_back(static_cast<char>(width));
  page->push_back('\0');
  char* at = grow(sets.ends.size() * width, page);
  for (const uint64_t end : sets.ends) {
    store(end, width, at);
    at += width;
  }
  *page += sets.bytes;
}

// ------------------------------------------------------------------ reading

TilePage::TilePage(const TileShape& shape) : shape_(&shape) { columns_.reserve(shape.columns_.size()); }
TilePage::TilePage(const TileShape& shape, std::string_view bytes) : TilePage(shape) { open(bytes); }

bool TilePage::open(std::string_view bytes) {
  columns_.clear();
  valid_ = parse(bytes);
  if (!valid_) tiles_ = finer_ = 0;
  return valid_;
}

// Finds the columns. Whatever is read later is within what is looked at here.
bool TilePage::parse(std::string_view bytes) {
  const char* at = bytes.data();
  size_t left = bytes.size();
  const auto take = [&](size_t size) -> const char* {
    if (size > left) return nullptr;
    left -= size;
    return std::exchange(at, at + size);
  };
  const char* const head = take(9);
  if (head == nullptr) return false;
  const auto version = static_cast<unsigned char>(head[0]);
  if ((version & ~kHasFiner) != kPageVersion) return false;
  tiles_ = load_unsigned(head + 1, 8);
  finer_ = 0;
  if ((version & kHasFiner) != 0) {
    const char* const finer = take(8);
    if (finer == nullptr) return false;
    finer_ = load_unsigned(finer, 8);
  }
  if ((tiles_ & finer_) != 0) return false;
  const auto count = static_cast<size_t>(__builtin_popcountll(tiles_));
  for (const TileShape::Column& column : shape_->columns_) {
    const char* const width = take(1);
    if (width == nullptr) return false;
    Numbers numbers{nullptr, static_cast<unsigned char>(*width), 0, 0, nullptr};
    if (numbers.width != 0) {
      const bool of_time = column.part == TileShape::Part::kTurn || column.part == TileShape::Part::kLastTime;
      const bool is_set = column.part == TileShape::Part::kDistinct;
      const char* const low = take(1);
      if (low == nullptr) return false;
      numbers.low = static_cast<unsigned char>(*low);
      const size_t most = is_set ? 8 : 8 * TileShape::words_of(column.part);
      if (numbers.low + numbers.width > most) return false;
      if (of_time) {
        const char* const base = take(8);
        if (base == nullptr) return false;
        numbers.base = static_cast<int64_t>(load_unsigned(base, 8));
      }
      numbers.data = take(count * numbers.width);
      if (numbers.data == nullptr) return false;
      if (is_set) {
        // Each tile's values are of one width, and not too many.
        if (numbers.low != 0 || count == 0) return false;
        numbers.values = take(numbers.number(count - 1));
        if (numbers.values == nullptr) return false;
        const uint64_t size = numbers.number(count - 1);
        uint64_t begin = 0;
        for (size_t tile = 0; tile < count; ++tile) {
          const uint64_t end = numbers.number(tile);
          if (end < begin || end > size) return false;
          if (end > begin) {
            const auto cell_width = static_cast<unsigned char>(numbers.values[begin]);
            const uint64_t cells = end - begin - 1;
            if (cell_width > 8 || (cell_width == 0 && cells != 0)) return false;
            if (cell_width != 0 && (cells % cell_width != 0 || cells / cell_width > kMostDistinctInTile)) return false;
          }
          begin = end;
        }
      }
    }
    columns_.push_back(numbers);
  }
  return left == 0;
}

TilePage::State TilePage::state(int place) const noexcept {
  if (place < 0 || place >= kPageTiles) return State::kEmpty;
  if ((finer_ & bit(place)) != 0) return State::kFiner;
  return (tiles_ & bit(place)) != 0 ? State::kTile : State::kEmpty;
}

void TilePage::read(int place, Tile* tile) const {
  using Part = TileShape::Part;
  if (!valid_ || state(place) == State::kFiner) {
    throw Error(ErrorCode::kInvalidArgument, valid_ ? "expected a tile of this stretch, found finer ones"
                                                    : "expected a page of tiles of this shape", {}, kTilesAgain);
  }
  tile->clear();
  if (state(place) == State::kEmpty) return;
  const size_t index = rank(place);
  read_words(index, tile->words_.data());
  for (size_t i = 0; i < columns_.size(); ++i) {
    const TileShape::Column& column = shape_->columns_[i];
    if (column.part != Part::kDistinct) continue;
    Tile::Values& values = tile->sets_[column.word];
    values.too_many = !for_each_cell(columns_[i].set(index), [&](Cell cell) { values.cells.push_back(cell); });
    values.settle();
  }
}

// Reads the state of a tile but for its different values.
void TilePage::read_words(size_t index, uint64_t* state) const noexcept {
  using Part = TileShape::Part;
  for (size_t i = 0; i < columns_.size(); ++i) {
    const TileShape::Column& column = shape_->columns_[i];
    const Numbers& numbers = columns_[i];
    uint64_t* const words = state + column.word;
    switch (column.part) {
      case Part::kSum:
        load_limbs<TileShape::kSumWords>(numbers.data + index * numbers.width, numbers.width, numbers.low, true, words);
        break;
      case Part::kSquares:
        load_limbs<TileShape::kSquareWords>(numbers.data + index * numbers.width, numbers.width, numbers.low, false,
                                            words);
        break;
      case Part::kTurn:
        words[0] = static_cast<uint64_t>(numbers.number(index) == 0 ? TileShape::kNoTurn : numbers.time(index));
        break;
      case Part::kLastTime: words[0] = static_cast<uint64_t>(numbers.time(index)); break;
      case Part::kDistinct: break;
      default: words[0] = numbers.number(index); break;
    }
  }
}

}  // namespace fraud
