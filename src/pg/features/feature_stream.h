// The offline way: the feature vectors of all events of a period, in one pass in
// order of time, block by block.
//
//   FeatureStream stream("transactions", from, to);
//   FeatureBlock block;
//   while (stream.next(&block)) use(block);
//
// All in one transaction; another pass is another stream. Memory is that of a
// block and of the windows' contents, at most fraud_detect.feature_memory: where they take more,
// the events go by several times, and each time the windows of some of the keys are filled.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "pg/features/feature_set.h"
#include "pg/server/server.h"

namespace fraud::pg {

// Rows in order of (time, event id). Valid until the next call of next().
struct FeatureBlock {
  size_t rows = 0;
  const float* features = nullptr;       // rows x feature count, row by row; NaN is missing
  const float* labels = nullptr;         // 1 or 0; NaN where it is not known (yet)
  const TimestampTz* times = nullptr;    // of the events
  const TimestampTz* known_at = nullptr; // from when each label counts
  const Datum* ids = nullptr;            // of type id_type()
  const int64_t* tags = nullptr;         // of the set's tag, where it has one
  const Datum* table_rows = nullptr;     // of the set's row, where it has one; 0 is a null
};

// The windows as they stand where a stream has ended, for one that goes on from there: what is
// in them need not be read again.
class KeptWindows {
 public:
  // Tells whether a stream of the set that begins at `from` can go on with them.
  bool serve(const FeatureSet& set, TimestampTz from) const;
  void forget() { engine_.reset(); }
  // In how many parts a stream computed its windows, which then could not be kept; 0: they could.
  size_t parts() const noexcept { return parts_; }

 private:
  friend class FeatureStream;
  size_t parts_ = 0;
  std::unique_ptr<FeatureEngine> engine_;
  std::string revision_;   // of the set that they are of
  TimestampTz up_to_ = 0;  // all events before that have gone through them
  uint64_t run_ = 0;
};

class FeatureStream {
 public:
  // Events at from <= time < to; DT_NOBEGIN and DT_NOEND leave an end open. A label
  // known only after `known_by` is left out; the default is this transaction's time. Where they are few beside those
  // that their windows reach back to, and indexes find these, the windows of each are looked up.
  // The current user must be allowed to read the events.
  FeatureStream(std::string_view feature_set, TimestampTz from, TimestampTz to,
                TimestampTz known_by = GetCurrentTransactionStartTimestamp(),
                size_t block_rows = 16384);
  // The same of a set that the caller may read.
  FeatureStream(std::shared_ptr<const FeatureSet> set, TimestampTz from, TimestampTz to, TimestampTz known_by,
                size_t block_rows = 16384);
  // The same, going on with the windows where they serve; at its end they are given back. Events
  // from where they stand on are read, those that lie before `from` as well. With read_only the events are those of the
  // active snapshot, else those of now.
  FeatureStream(std::shared_ptr<const FeatureSet> set, TimestampTz from, TimestampTz to, TimestampTz known_by,
                KeptWindows* windows, size_t block_rows = 16384, bool read_only = false, bool may_look_up = false);
  ~FeatureStream() noexcept;
  FeatureStream(const FeatureStream&) = delete;
  FeatureStream& operator=(const FeatureStream&) = delete;

  const std::vector<FeatureInfo>& features() const noexcept;
  Oid id_type() const noexcept;
  bool has_label() const noexcept;

  // Gives the next block; false at the end. Answers cancels.
  bool next(FeatureBlock* block);

 private:
  struct Pass;
  std::unique_ptr<Pass> pass_;
};

}  // namespace fraud::pg
