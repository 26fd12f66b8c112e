// Which messages of fraud.outbox wait to be addressed, or to be told to listeners: their ids, in
// memory. The notify worker is the only one that takes them out, so each is read once, by an
// index, beyond the last one; what is gone is never walked over again, however long a snapshot keeps
// its rows. Ids are given out before they are committed: one that was passed over is asked
// for by its number until whoever may have had it has ended.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <vector>

#include "pg/server/spi.h"

extern "C" {
#include "utils/timestamp.h"
}

namespace fraud::worker {

class Outbox {
 public:
  // Reads what is new, within a transaction. Throws PgError.
  void read(pg::Spi& spi);

  // Tells whether there is more to read or address than was taken.
  bool has_more_to_address() const { return unread_ || !to_address_.empty(); }
  bool has_to_tell() const { return !to_tell_.empty() || !tell_late_.empty(); }
  // When to look for what is late; 0: nothing is.
  TimestampTz due() const { return due_; }

  // Takes the next ones, urgent ones first.
  std::vector<int64_t> take_to_address(size_t most) { return to_address_.take(most); }
  // Of a batch those were addressed; the others are tried again: what comes after the last of
  // them at once, what somebody has locked later.
  void addressed(const std::vector<int64_t>& batch, const std::set<int64_t>& done);

  // The next ones that listeners are to hear of. Only what exists still, so within a
  // transaction. Throws PgError.
  std::vector<int64_t> take_to_tell(pg::Spi& spi, size_t most);
  // Of a batch those were told; the others are tried again later.
  void told(const std::vector<int64_t>& batch, const std::set<int64_t>& done);

 private:
  struct Ids {
    std::deque<int64_t> urgent, others;
    bool empty() const { return urgent.empty() && others.empty(); }
    size_t size() const { return urgent.size() + others.size(); }
    std::vector<int64_t> take(size_t most);
  };
  struct Late {
    TransactionId next_xid;  // whoever has the id has an older one, or has ended
    TimestampTz since;
    bool told;  // listeners need not be told, or will be
  };

  void read_new(pg::Spi& spi);
  void read_late(pg::Spi& spi);
  void sweep(pg::Spi& spi);

  Ids to_address_, to_tell_;
  std::map<int64_t, Late> late_;
  std::set<int64_t> tell_late_;
  int64_t position_ = 0;      // read to here
  int64_t told_position_ = 0; // of what was addressed by a worker before: read to here
  bool unread_ = true;
  bool caught_up_ = false;
  // What was under way when the first reading ended is looked for by all that waits below.
  int64_t base_ = 0;
  Late settling_{};
  TimestampTz sweep_at_ = 0, late_at_ = 0, due_ = 0;
};

}  // namespace fraud::worker
