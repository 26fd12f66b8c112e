// What a rule would have done to payments, counted as they pass by once, in parts if need be, and in any order.
#pragma once

#include "core/base/guard.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/features/exact_sum.h"

namespace fraud {

using CardKey = std::array<uint64_t, 2>;

class BacktestTally {
 public:
  struct Day {
    int64_t payments = 0, hits = 0;
  };
  struct Kind {
    bool fraud = false, alerted = false;
    bool mature = false;  // old enough that its label counts
  };

  // Counts a payment that the rule does not hit. What is neither a fraud nor an alert is a payment of its day, and no more.
  void add_other(int64_t day, Kind kind);
  // Counts one that it hits, and says which of so many other rules do.
  void add_hit(int64_t day, Kind kind, CardKey card, const bool* rules, size_t count);
  // Of frauds, hit (caught) or not (lost), and of other hits (bothered).
  void add_money(double money, bool hit, bool fraud) noexcept;
  void merge(BacktestTally& other);

  // Of payments whose labels count.
  int64_t mature_hits() const noexcept { return mature_hits_; }
  int64_t mature_frauds() const noexcept { return mature_frauds_; }
  int64_t mature_frauds_hit() const noexcept { return mature_frauds_hit_; }
  int64_t frauds_not_alerted() const noexcept { return frauds_not_alerted_; }
  int64_t alerts() const noexcept { return alerts_; }
  int64_t alerts_hit() const noexcept { return alerts_hit_; }
  int64_t customers_hit();
  int64_t customers_bothered();
  // How many hits each of the other rules has too; of none, where nothing was hit.
  const std::vector<int64_t>& hits_of_rules() const noexcept { return of_rule_; }
  double caught() const noexcept { return money_[0].value(); }
  double lost() const noexcept { return money_[1].value(); }
  double bothered() const noexcept { return money_[2].value(); }
  std::vector<std::pair<int64_t, Day>> days() const;  // in their order
  // What the cards that are remembered take; each counts once.
  size_t bytes() const noexcept { return (hit_.cards.capacity() + bothered_.cards.capacity()) * sizeof(CardKey); }

  // As bytes of this machine, for another process of it.
  std::string write() const;
  static std::optional<BacktestTally> read(std::string_view bytes);

 private:
  // Each card once, as soon as it is asked: what is added stands behind what is sorted until that has doubled.
  struct Cards {
    std::vector<CardKey> cards;
    size_t sorted = 0;
    void add(CardKey card);
    void sort();
  };
  // Exact where it can be, so that parts may be added in any order.
  struct Money {
    Sum exact;
    double rest = 0;
    void add(double value) noexcept;
    double value() const noexcept { return exact.value() + rest; }
  };
  Day& day_of(int64_t day);

  std::unordered_map<int64_t, Day> days_;
  int64_t last_ = 0;
  Day* last_day_ = nullptr;
  int64_t mature_hits_ = 0, mature_frauds_ = 0, mature_frauds_hit_ = 0, frauds_not_alerted_ = 0, alerts_ = 0, alerts_hit_ = 0;
  std::vector<int64_t> of_rule_;
  std::array<Money, 3> money_;
  Cards hit_, bothered_;
};

}  // namespace fraud
