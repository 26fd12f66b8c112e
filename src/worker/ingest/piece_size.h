// How many payments of an answer are kept in one commit: what takes about kPieceTime. A poll takes some
// steps, and between two of them stands a piece of another's answer.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>

namespace fraud::worker {

constexpr size_t kMostInPiece = 2500, kLeastInPiece = 100;
constexpr std::chrono::milliseconds kPieceTime{50};

class PieceSize {
 public:
  size_t payments() const { return payments_; }

  // A piece of so many payments took so long. A few cost a commit, and say nothing of what fits, unless
  // they took long.
  void note(size_t payments, std::chrono::steady_clock::duration took) {
    if (payments < payments_ && took <= kPieceTime) return;
    const double us = std::max(1.0, std::chrono::duration<double, std::micro>(took).count());
    const double fitting = static_cast<double>(payments) * std::chrono::duration<double, std::micro>(kPieceTime).count() / us;
    payments_ = static_cast<size_t>(std::clamp(fitting, static_cast<double>(kLeastInPiece), static_cast<double>(kMostInPiece)));
  }

 private:
  size_t payments_ = kMostInPiece / 2;
};

}  // namespace fraud::worker
