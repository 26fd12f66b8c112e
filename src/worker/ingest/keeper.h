// Keeps what sources have answered: puts the payments into the inbox, a piece of an answer in a commit, and
// with the last one what has become of the poll. An answer may not come again, so what somebody or something
// is in the way of is tried until it can be kept.
#pragma once

#include <chrono>
#include <deque>
#include <optional>
#include <string>
#include <utility>

#include "worker/ingest/answer.h"
#include "worker/ingest/piece_size.h"
#include "worker/ingest/sources.h"

namespace fraud::worker {

// What has become of an answer whose turn it was.
enum class Kept {
  kNothing,   // there is none to be kept now
  kPiece,     // some of it is kept, more is left
  kNextPage,  // all of it, and the poll goes on at another page
  kEnded,     // all of it, and the poll has ended
  kLater,     // likewise, but the next one is due: this one was late, or gave way to payments that wait
  kFailed,    // as much of it as can be, and the poll has failed
  kPutOff,    // it is tried again
};

// With what is needed to go on from there.
struct KeptAnswer {
  Kept what = Kept::kNothing;
  std::string name;  // of the source
  Page page;         // kNextPage: the one to ask for
  // kFailed, kPutOff: why, and what had been answered.
  std::string fault;
  Response response;
  int attempts = 0;  // kPutOff: that failed since the last piece was kept
};

class Keeper {
 public:
  void add(Answer&& answer);

  // Keeps the next piece of the answer whose turn it is; answers take turns. Whether a poll goes on
  // depends on its source as it is now.
  KeptAnswer keep_next(const Sources& sources);

  // Throws away what is left of sources that are gone. Those that are paused stay: what an API has
  // answered is kept.
  void drop_gone(pg::Spi& spi);

  bool is_empty() const { return answers_.empty(); }
  bool has(const std::string& name) const;
  // When there is something to keep, or DT_NOEND.
  TimestampTz next_due() const;

 private:
  struct Entry : Answer {
    explicit Entry(Answer&& answer) : Answer(std::move(answer)) {}

    size_t kept = 0;                     // payments
    std::optional<PaymentBatch> piece;   // the next one, which could not be kept yet
    TimestampTz due = 0;                 // when it is to be tried again
    int attempts = 0;                    // of it
    bool is_late = false;                // some of it had to wait
    int64_t accepted = 0, rejected = 0;  // of those kept
    TimestampTz latest = DT_NOBEGIN;     // likewise
  };

  void take_piece(Entry& answer) const;
  Kept keep(Entry& answer, const Sources& sources);
  KeptAnswer put_off(Entry&& answer, int sqlstate, const std::string& reason);

  std::deque<Entry> answers_;
  PieceSize size_;
};

}  // namespace fraud::worker
