// Tiles: partial aggregates of a key's events in stretches of time, from which windows are
// merged without reading the events again, to the last bit as from the events.
//
// Stretches are aligned: a tile of shift s has the events with k * 2^s <= time_us < (k + 1) * 2^s.
// 64 of them are a page. Where a tile cannot stand for its events, it says so: what it holds does not
// sum exactly, labels of it turned after the time that is asked for, or it has too many different values;
// then the finer tiles are read, or the events.
#pragma once

#include "core/features/cell_set.h"
#include "core/features/feature_engine.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace fraud {

constexpr int kPageShift = 6;
constexpr int kPageTiles = 1 << kPageShift;
// Of one input in one tile. With more, windows that count them take finer tiles, or the events.
constexpr size_t kMostDistinctInTile = 4096;
// What can be done where pages are not what was written.
constexpr char kTilesAgain[] =
    "Have the set's tiles made anew: fraud.untile_features and fraud.tile_features; of payments "
    "SELECT fraud._mark_all_tiles('payments', '-infinity', 'infinity').";

// What tiles of a key hold: each different accumulator of its windows once. The order of the features,
// and the widths and delays of the windows, make no difference.
class TileShape {
 public:
  explicit TileShape(const KeyPlan& plan);
  // Bytes that are the same exactly when tiles mean the same, given the same inputs' expressions.
  // Inputs are named by their numbers, as features name them.
  std::string signature() const;

 private:
  friend class Tile;
  friend class TilePageWriter;
  friend class TilePage;
  friend class WindowTotals;

  // What is kept is in columns, which accumulators share: a count, and all that is had of it.
  enum class Part : uint8_t {
    kCount,     // events that have the inputs
    kInexact,   // values that do not sum exactly
    kSum,       // of the others
    kSquares,
    kMin,       // the cell of the least value
    kMax,
    kFrauds,    // events that are fraud once all their labels have turned
    kTurn,      // when the latest of these labels turned last; kNoTurn: none did
    kLastTime,  // of the latest event that has the inputs
    kLastCell,
    kLastSecondCell,
    kDistinct,
  };
  struct Column {
    Part part;
    int input, second_input;
    int count;    // the column that tells whether there is anything
    size_t word;  // of a tile's state; of kDistinct, which of the sets
  };
  // An accumulator of a window, the columns that it takes, and its place in a WindowTotals.
  struct Taken {
    KeyPlan::Kind kind;
    int input, second_input;
    int count, inexact = -1, sum = -1, squares = -1;
    int other = -1, turn = -1, cell = -1, second_cell = -1;  // other: the one of its kind
    size_t word = 0, set = 0;
  };
  static constexpr size_t kSumWords = 4, kSquareWords = 8;
  static constexpr int64_t kNoTurn = std::numeric_limits<int64_t>::min();

  static size_t words_of(Part part) noexcept;
  static bool has_inputs(const Column& column, const Event& event) noexcept;
  int find(Part part, int input, int second_input) const;
  Taken take(const KeyPlan& plan, const KeyPlan::Accumulator& accumulator);

  std::vector<Column> columns_;  // in order of part and inputs; the first counts all events
  size_t words_ = 0, sets_ = 0;
  std::vector<std::vector<Taken>> windows_;  // as the plan's
  size_t total_words_ = 0, total_sets_ = 0;
};

// The partial aggregates of one stretch. Events come in the order of (time, id).
class Tile {
 public:
  explicit Tile(const TileShape& shape);
  ~Tile();
  Tile(Tile&&) noexcept;
  Tile& operator=(Tile&&) noexcept;

  void clear();
  void add(const Event& event);
  // Adds what another of the same shape holds, all of whose events are later.
  void merge(const Tile& later);
  uint64_t events() const noexcept { return words_[0]; }

 private:
  friend class TilePageWriter;
  friend class TilePage;

  // Different values: sorted and each once when settled, with some more behind in between.
  struct Values {
    std::vector<Cell> cells;
    size_t settled = 0;
    bool too_many = false;
    void add(Cell cell);
    void settle();
  };

  const TileShape* shape_;
  std::vector<uint64_t> words_;
  std::vector<Values> sets_;
};

class TilePage;
class WindowTotals;

// Up to 64 tiles of consecutive stretches, as bytes.
class TilePageWriter {
 public:
  explicit TilePageWriter(const TileShape& shape);
  // In order of place, each once; one without events is left out. Of different values that are too many the
  // page says only this: windows that count them stop at that tile, others take it.
  void put(int place, const Tile& tile);
  // The same from a place of a page of this shape, without reading the tile; where it is to be read finer, so it
  // is here.
  void put(int place, const TilePage& page, int from);
  // Says of a stretch that the finer tiles, or the events, are to be read.
  void put_finer(int place);
  // Returns the page, and begins another.
  std::string finish();

 private:
  struct Sets {
    std::vector<uint64_t> ends;  // of the tiles' values
    std::string bytes;
  };

  void next(int place);
  void write_column(const TileShape::Column& column, std::string* page);
  static void write_sets(const Sets& sets, std::string* page);

  const TileShape* shape_;
  int place_ = -1;
  uint64_t tiles_ = 0, finer_ = 0;
  std::vector<uint64_t> words_;    // of the tiles, one after the other
  std::vector<uint64_t> numbers_;  // of the column that is written
  std::vector<Sets> sets_;         // of each kDistinct
};

// A page's bytes, which it does not own. Bytes that are no page give valid() == false, and are never read beyond.
class TilePage {
 public:
  // Without bytes, until open(). The shape must live as long.
  explicit TilePage(const TileShape& shape);
  TilePage(const TileShape& shape, std::string_view bytes);
  // Looks at other bytes instead, in the memory that it has. Returns valid().
  bool open(std::string_view bytes);

  bool valid() const noexcept { return valid_; }
  enum class State { kEmpty, kTile, kFiner };  // kFiner: read the finer tiles instead
  State state(int place) const noexcept;
  // Reads a tile back (for the level above, and for tests); one without events where the page has none.
  // Throws an Error where state() is kFiner, and of a page that is not valid.
  void read(int place, Tile* tile) const;

 private:
  friend class TilePageWriter;
  friend class WindowTotals;

  // A number of each tile, all of the same bytes [low, low + width) in little endian; of kDistinct where
  // each tile's values end, and the values themselves.
  struct Numbers {
    const char* data;
    uint32_t width, low;
    int64_t base;  // of times
    const char* values;

    uint64_t number(size_t tile) const noexcept;
    int64_t time(size_t tile) const noexcept;
    uint64_t total(size_t first, size_t last) const noexcept;
    std::string_view set(size_t tile) const noexcept;
  };

  bool parse(std::string_view bytes);
  void read_words(size_t index, uint64_t* state) const noexcept;
  size_t rank(int place) const noexcept;

  const TileShape* shape_;
  bool valid_ = false;
  uint64_t tiles_ = 0, finer_ = 0;
  std::vector<Numbers> columns_;
};

// The windows of one key for one event, added up from tiles and events in any mixture; gives what KeyWindows gives.
// Holds no events, so its memory does not grow with them (but by distinct's different values).
class WindowTotals {
 public:
  // The shape must be of this plan; both must live as long.
  WindowTotals(const KeyPlan& plan, const TileShape& shape);
  ~WindowTotals();

  struct Bounds { int64_t after_us, until_us; };  // after < time <= until
  // Begins another event: no window has anything in it.
  void begin(int64_t time_us);
  size_t windows() const noexcept;
  Bounds bounds(size_t window) const noexcept;
  // Whether the window takes the current event, and others of its run with it; else none of its run.
  bool includes_current(size_t window) const noexcept;

  // Adds an event of the window; to be called in the order of (time, id) within a window.
  void add(size_t window, const Event& event);
  // Adds tiles [from, until) of a page to a window; all their events are later than what was added before.
  // Returns how many could be added before one that cannot (kFiner, too many different values for this window,
  // or labels that turned after the event's time): until - from if all; 0 of a page that is not valid.
  int add(size_t window, const TilePage& page, int from, int until);

  // Whether all sums are exact, to be asked after finish(), which may add the event. If not (values that only
  // their order sums), the windows must be computed by KeyWindows.
  bool exact() const noexcept { return exact_; }
  // The features of the event, into their places; include_current windows take the event itself here.
  // `event` has the time that begin() was given.
  void finish(const Event& event, float* features);

 private:
  using Taken = TileShape::Taken;
  struct Held;

  size_t first_that_cannot(const Taken& taken, const TilePage& page, size_t first, size_t last) const noexcept;
  void add_tiles(const Taken& taken, const TilePage& page, size_t first, size_t last);

  const KeyPlan* plan_;
  const TileShape* shape_;
  int64_t now_ = 0;
  bool exact_ = true;
  std::vector<uint64_t> words_;
  std::vector<CellSet> sets_;
};

}  // namespace fraud
