// A plan that an object keeps.
#pragma once

#include <string>
#include <vector>

#include "pg/server/server.h"

namespace fraud::pg {

// A plan that is kept, and freed with its owner. Whoever runs it has SPI open.
class KeptPlan {
 public:
  KeptPlan() = default;
  ~KeptPlan() noexcept {
    if (plan_ != nullptr) SPI_freeplan(plan_);
  }
  KeptPlan(const KeptPlan&) = delete;
  KeptPlan& operator=(const KeptPlan&) = delete;

  void prepare(const std::string& sql, std::vector<Oid> types);
  bool prepared() const noexcept { return plan_ != nullptr; }

  // Runs it into the receiver, or, where there is none, into SPI's own table of rows; values
  // are in order of the parameters.
  void run(const Datum* values, DestReceiver* receiver, bool read_only);

 private:
  SPIPlanPtr plan_ = nullptr;
  std::vector<Oid> types_;
};

}  // namespace fraud::pg
