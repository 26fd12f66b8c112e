// What tiles hold, and a tile.
#include "core/features/tile.h"

#include <algorithm>
#include <tuple>

#include "core/features/tile_state.h"

namespace fraud {

// --------------------------------------------------------------- the shape

static_assert(sizeof(Sum) == 4 * sizeof(uint64_t) && sizeof(SumOfSquares) == 8 * sizeof(uint64_t),
              "as TileShape's kSumWords and kSquareWords");

size_t TileShape::words_of(Part part) noexcept {
  switch (part) {
    case Part::kSum: return kSumWords;
    case Part::kSquares: return kSquareWords;
    case Part::kDistinct: return 0;
    default: return 1;
  }
}

TileShape::TileShape(const KeyPlan& plan) {
  // All columns first, then which of them is where, in an order that says nothing of the features'.
  std::vector<std::tuple<Part, int, int>> columns{{Part::kCount, kEveryEvent, kEveryEvent}};
  const auto input_of = [&](int slot) { return slot == kEveryEvent ? kEveryEvent : plan.inputs_[slot]; };
  for (const KeyPlan::Window& window : plan.windows_) {
    for (const KeyPlan::Accumulator& accumulator : window.accumulators) {
      const int input = input_of(accumulator.slot), second = input_of(accumulator.second_slot);
      columns.emplace_back(Part::kCount, input, second);
      const auto add = [&](Part part) { columns.emplace_back(part, input, second); };
      switch (accumulator.kind) {
        case KeyPlan::Kind::kCount: break;
        case KeyPlan::Kind::kSquares: add(Part::kSquares); [[fallthrough]];
        case KeyPlan::Kind::kSum: add(Part::kSum); add(Part::kInexact); break;
        case KeyPlan::Kind::kMin: add(Part::kMin); break;
        case KeyPlan::Kind::kMax: add(Part::kMax); break;
        case KeyPlan::Kind::kDistinct: add(Part::kDistinct); break;
        case KeyPlan::Kind::kRate: add(Part::kFrauds); add(Part::kTurn); break;
        case KeyPlan::Kind::kLast:
          add(Part::kLastTime);
          if (input != kEveryEvent) add(Part::kLastCell);
          if (second != kEveryEvent) add(Part::kLastSecondCell);
          break;
      }
    }
  }
  std::sort(columns.begin(), columns.end());
  columns.erase(std::unique(columns.begin(), columns.end()), columns.end());
  for (const auto& [part, input, second] : columns) {
    const size_t place = part == Part::kDistinct ? sets_++ : words_;
    columns_.push_back({part, input, second, find(Part::kCount, input, second), place});
    // A count is its own.
    if (part == Part::kCount) columns_.back().count = static_cast<int>(columns_.size()) - 1;
    words_ += words_of(part);
  }
  for (const KeyPlan::Window& window : plan.windows_) {
    std::vector<Taken> taken;
    for (const KeyPlan::Accumulator& accumulator : window.accumulators) {
      taken.push_back(take(plan, accumulator));
    }
    windows_.push_back(std::move(taken));
  }
}

// Returns the number of a column, -1 of none.
int TileShape::find(Part part, int input, int second_input) const {
  for (size_t i = 0; i < columns_.size(); ++i) {
    const Column& column = columns_[i];
    if (column.part == part && column.input == input && column.second_input == second_input) {
      return static_cast<int>(i);
    }
  }
  return -1;
}

TileShape::Taken TileShape::take(const KeyPlan& plan, const KeyPlan::Accumulator& accumulator) {
  const auto input_of = [&](int slot) { return slot == kEveryEvent ? kEveryEvent : plan.inputs_[slot]; };
  const int input = input_of(accumulator.slot), second = input_of(accumulator.second_slot);
  const auto column = [&](Part part) { return find(part, input, second); };
  Taken taken{accumulator.kind, input, second, column(Part::kCount)};
  taken.word = total_words_;
  taken.set = total_sets_;
  switch (accumulator.kind) {
    case KeyPlan::Kind::kCount: total_words_ += 1; break;
    case KeyPlan::Kind::kSquares:
      taken.squares = column(Part::kSquares);
      total_words_ += words_of(Part::kSquares);
      [[fallthrough]];
    case KeyPlan::Kind::kSum:
      taken.inexact = column(Part::kInexact);
      taken.sum = column(Part::kSum);
      total_words_ += kSumState + words_of(Part::kSum);
      break;
    case KeyPlan::Kind::kMin:
    case KeyPlan::Kind::kMax:
      taken.other = column(accumulator.kind == KeyPlan::Kind::kMin ? Part::kMin : Part::kMax);
      total_words_ += 2;
      break;
    case KeyPlan::Kind::kDistinct:
      taken.other = column(Part::kDistinct);
      ++total_sets_;
      break;
    case KeyPlan::Kind::kRate:
      taken.other = column(Part::kFrauds);
      taken.turn = column(Part::kTurn);
      total_words_ += 2;
      break;
    case KeyPlan::Kind::kLast:
      taken.other = column(Part::kLastTime);
      taken.cell = column(Part::kLastCell);
      taken.second_cell = column(Part::kLastSecondCell);
      total_words_ += 4;
      break;
  }
  return taken;
}

std::string TileShape::signature() const {
  static constexpr const char* kNames[] = {"count", "inexact", "sum", "squares", "min", "max", "frauds",
                                           "turn", "last_time", "last", "last_second", "distinct"};
  std::string text = "1";  // the meaning of what follows
  for (const Column& column : columns_) {
    text += ' ';
    text += kNames[static_cast<int>(column.part)];
    if (column.input != kEveryEvent) text += ':' + std::to_string(column.input);
    if (column.second_input != kEveryEvent) text += ',' + std::to_string(column.second_input);
  }
  return text;
}

bool TileShape::has_inputs(const Column& column, const Event& event) noexcept {
  return has_cells(column.input, column.second_input, event);
}

// ----------------------------------------------------------------- a tile

Tile::Tile(const TileShape& shape) : shape_(&shape), words_(shape.words_), sets_(shape.sets_) { clear(); }
Tile::~Tile() = default;
Tile::Tile(Tile&&) noexcept = default;
Tile& Tile::operator=(Tile&&) noexcept = default;

void Tile::clear() {
  std::fill(words_.begin(), words_.end(), 0);
  for (const TileShape::Column& column : shape_->columns_) {
    if (column.part == TileShape::Part::kTurn) {
      words_[column.word] = static_cast<uint64_t>(TileShape::kNoTurn);
    }
  }
  for (Values& values : sets_) {
    values.cells.clear();
    values.settled = 0;
    values.too_many = false;
  }
}

void Tile::Values::add(Cell cell) {
  if (too_many) return;
  cells.push_back(cell);
  // So that a value that comes again and again takes no room, and each is sorted but a few times.
  if (cells.size() >= 2 * settled + 64) settle();
}

void Tile::Values::settle() {
  if (cells.size() == settled) return;
  std::sort(cells.begin(), cells.end());
  cells.erase(std::unique(cells.begin(), cells.end()), cells.end());
  if (cells.size() > kMostDistinctInTile) {
    too_many = true;
    cells.clear();
  }
  settled = cells.size();
}

void Tile::add(const Event& event) {
  using Part = TileShape::Part;
  for (const TileShape::Column& column : shape_->columns_) {
    if (!TileShape::has_inputs(column, event)) continue;
    uint64_t* const words = words_.data() + column.word;
    switch (column.part) {
      case Part::kCount: ++words[0]; break;
      case Part::kInexact:
      case Part::kSum:
      case Part::kSquares: {
        const DoubleParts parts(cell_number(event.inputs[column.input]));
        if (!sums_exactly(parts)) {
          if (column.part == Part::kInexact) ++words[0];
        } else if (column.part == Part::kSum) {
          add_value(sum_at(words), parts, false);
        } else if (column.part == Part::kSquares) {
          add_square(squares_at(words), parts, false);
        }
        break;
      }
      case Part::kMin:
      case Part::kMax: {
        // Counts come first: this event is counted already.
        const bool first = words_[shape_->columns_[column.count].word] == 1;
        const Cell cell = event.inputs[column.input];
        if (first || !stays(column.part == Part::kMin, words[0], cell)) words[0] = cell;
        break;
      }
      case Part::kFrauds:
        if (event.known_fraud_us != kNever && event.turn_count % 2 == 0) ++words[0];
        break;
      case Part::kTurn:
        if (event.known_fraud_us != kNever) {
          const int64_t turn = event.turn_count == 0 ? event.known_fraud_us
                                                     : std::max(event.known_fraud_us, event.turns[event.turn_count - 1]);
          words[0] = static_cast<uint64_t>(std::max(static_cast<int64_t>(words[0]), turn));
        }
        break;
      case Part::kLastTime: words[0] = static_cast<uint64_t>(event.time_us); break;
      case Part::kLastCell: words[0] = event.inputs[column.input]; break;
      case Part::kLastSecondCell: words[0] = event.inputs[column.second_input]; break;
      case Part::kDistinct: sets_[column.word].add(event.inputs[column.input]); break;
    }
  }
}

void Tile::merge(const Tile& later) {
  using Part = TileShape::Part;
  // What counts say is whether there was anything before, so they are added last.
  for (auto column = shape_->columns_.rbegin(); column != shape_->columns_.rend(); ++column) {
    uint64_t* const words = words_.data() + column->word;
    const uint64_t* const more = later.words_.data() + column->word;
    const size_t count_word = shape_->columns_[column->count].word;
    switch (column->part) {
      case Part::kCount:
      case Part::kInexact:
      case Part::kFrauds: words[0] += more[0]; break;
      case Part::kSum: sum_at(words) += sum_at(more); break;
      case Part::kSquares: squares_at(words) += squares_at(more); break;
      case Part::kMin:
      case Part::kMax:
        if (later.words_[count_word] == 0) break;
        if (words_[count_word] == 0 || !stays(column->part == Part::kMin, words[0], more[0])) words[0] = more[0];
        break;
      case Part::kTurn:
        words[0] = static_cast<uint64_t>(std::max(static_cast<int64_t>(words[0]), static_cast<int64_t>(more[0])));
        break;
      case Part::kLastTime:
      case Part::kLastCell:
      case Part::kLastSecondCell:
        if (later.words_[count_word] != 0) words[0] = more[0];
        break;
      case Part::kDistinct: {
        Values& values = sets_[column->word];
        const Values& others = later.sets_[column->word];
        if (others.too_many) {
          values.too_many = true;
          values.cells.clear();
          values.settled = 0;
        }
        for (const Cell cell : others.cells) values.add(cell);
        break;
      }
    }
  }
}

}  // namespace fraud
