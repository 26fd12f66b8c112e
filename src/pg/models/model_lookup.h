// From a model's name to the model that scores, for the snapshot in force.
#pragma once

#include "core/forest/scorer.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "pg/server/server.h"

namespace fraud::pg {

struct ResolvedModel {
  std::shared_ptr<const FlatModel> flat;
  std::string model;
  int version = 0;
  bool has_thresholds = false;  // of the alias that was named, else of the champion
  double review_at = 0;
  double block_at = 0;

  std::string name() const { return model + "/" + std::to_string(version); }
};

// Looks up name, name@alias or name/version. With read_only it is as of the
// active snapshot, so that a query keeps the model that it began with; else as
// of now. Throws SqlError for a malformed reference, and for a model, alias or
// version that does not exist. Parsed models are kept in a cache of this
// backend, by the digest of their file.
ResolvedModel resolve_model(std::string_view ref, bool read_only);

// Returns room to score with a model, by the kernel that fraud_detect.kernel names.
Scorer make_scorer(const FlatModel& model);

// Returns the file of name, name@alias or name/version as a bytea in the current
// memory context, and which version that was.
Datum model_artifact(std::string_view ref, std::string* name);

// Tells two snapshots apart for which a lookup could differ.
struct SnapshotMark {
  TransactionId xmin = 0, xmax = 0;
  uint32_t xcnt = 0;
  int32_t subxcnt = 0;
  CommandId command = 0;
  SubTransactionId subtransaction = 0;  // what an aborted one saw is not there any more

  static SnapshotMark current();
  bool operator==(const SnapshotMark& other) const noexcept {
    return xmin == other.xmin && xmax == other.xmax && xcnt == other.xcnt &&
           subxcnt == other.subxcnt && command == other.command &&
           subtransaction == other.subtransaction;
  }
};

}  // namespace fraud::pg
