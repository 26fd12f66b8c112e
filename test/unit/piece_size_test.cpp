// How many payments are kept in one commit.
#include "worker/ingest/piece_size.h"

#include <gtest/gtest.h>

namespace fraud::worker {
namespace {

using std::chrono::milliseconds;

TEST(PieceSize, FitsWhatTheLastPieceTook) {
  PieceSize size;
  size.note(size.payments(), milliseconds(100));
  EXPECT_EQ(size.payments(), kMostInPiece / 4);
  size.note(size.payments(), milliseconds(25));
  EXPECT_EQ(size.payments(), kMostInPiece / 2);
}

TEST(PieceSize, StaysWithinItsBounds) {
  PieceSize size;
  size.note(size.payments(), milliseconds(0));
  EXPECT_EQ(size.payments(), kMostInPiece);
  size.note(1, milliseconds(60000));  // waited for a lock
  EXPECT_EQ(size.payments(), kLeastInPiece);
}

TEST(PieceSize, AFewPaymentsSayNothingUnlessTheyTakeLong) {
  PieceSize size;
  const size_t before = size.payments();
  size.note(1, milliseconds(5));
  size.note(0, milliseconds(1));
  EXPECT_EQ(size.payments(), before);
  size.note(200, milliseconds(100));
  EXPECT_EQ(size.payments(), kLeastInPiece);
}

}  // namespace
}  // namespace fraud::worker
