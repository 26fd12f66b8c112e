// A seeded simulator of customers, merchants and payments with known fraud.
#pragma once

#include "core/base/guard.h"

#include <cstdint>
#include <memory>
#include <vector>

#include "core/payments/payment.h"

namespace fraud {

struct SimulatorConfig {
  int customers = 1000;
  int merchants = 300;
  int days = 90;
  uint64_t seed = 1;
  int64_t start_us = 0;  // microseconds since the Unix epoch, the first day's midnight UTC
};

enum class FraudPattern { kNone, kCardTesting, kStolenCard, kCompromisedMerchant, kOverspending };

struct SimulatedPayment {
  Payment payment;  // is_fraud is set
  FraudPattern pattern = FraudPattern::kNone;
};

// The same configuration gives the same payments on every machine: only integer
// and IEEE-exact arithmetic of our own random generator decides, never the
// standard library's distributions. A longer `days` only adds payments: those of
// the first days stay as they are.
class Simulator {
 public:
  explicit Simulator(const SimulatorConfig& config);  // throws Error (kInvalidArgument)
  ~Simulator();
  Simulator(const Simulator&) = delete;
  Simulator& operator=(const Simulator&) = delete;

  // Returns all payments of one customer (0-based) in time order.
  std::vector<SimulatedPayment> customer(int index) const;

 private:
  struct World;
  std::unique_ptr<const World> world_;
};

}  // namespace fraud
