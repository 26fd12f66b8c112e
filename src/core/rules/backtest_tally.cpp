#include "core/rules/backtest_tally.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace fraud {

namespace {

constexpr size_t kFewCards = 1024;

template <typename Value>
void put(std::string& bytes, const Value& value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

// Takes values off the beginning of bytes.
class Taker {
 public:
  explicit Taker(std::string_view bytes) : rest_(bytes) {}
  template <typename Value>
  bool take(Value& value) noexcept {
    return take(&value, sizeof(value));
  }
  bool take(void* to, size_t size) noexcept {
    if (rest_.size() < size) return false;
    if (size > 0) std::memcpy(to, rest_.data(), size);
    rest_.remove_prefix(size);
    return true;
  }
  // Whether there can be so many of that size.
  bool has(uint64_t count, size_t size) const noexcept { return count <= rest_.size() / size; }
  bool at_end() const noexcept { return rest_.empty(); }

 private:
  std::string_view rest_;
};

}  // namespace

void BacktestTally::Cards::add(CardKey card) {
  cards.push_back(card);
  if (cards.size() >= std::max(kFewCards, 2 * sorted)) sort();
}

void BacktestTally::Cards::sort() {
  std::sort(cards.begin() + static_cast<std::ptrdiff_t>(sorted), cards.end());
  std::inplace_merge(cards.begin(), cards.begin() + static_cast<std::ptrdiff_t>(sorted), cards.end());
  cards.erase(std::unique(cards.begin(), cards.end()), cards.end());
  sorted = cards.size();
}

void BacktestTally::Money::add(double value) noexcept {
  const DoubleParts parts(value);
  if (std::isfinite(value) && sums_exactly(parts)) {
    add_value(exact, parts, false);
  } else {
    rest += value;
  }
}

BacktestTally::Day& BacktestTally::day_of(int64_t day) {
  // Payments come about in order of their time.
  if (last_day_ == nullptr || last_ != day) {
    last_day_ = &days_[day];  // rehashing leaves it where it is
    last_ = day;
  }
  return *last_day_;
}

void BacktestTally::add_other(int64_t day, Kind kind) {
  day_of(day).payments += 1;
  mature_frauds_ += kind.fraud && kind.mature;
  alerts_ += kind.alerted;
}

void BacktestTally::add_hit(int64_t day, Kind kind, CardKey card, const bool* rules, size_t count) {
  Day& of = day_of(day);
  of.payments += 1;
  of.hits += 1;
  mature_hits_ += kind.mature;
  mature_frauds_ += kind.fraud && kind.mature;
  mature_frauds_hit_ += kind.fraud && kind.mature;
  alerts_ += kind.alerted;
  alerts_hit_ += kind.alerted;
  frauds_not_alerted_ += kind.fraud && !kind.alerted;
  hit_.add(card);
  if (!kind.fraud) bothered_.add(card);
  if (of_rule_.size() < count) of_rule_.resize(count);
  for (size_t i = 0; i < count; ++i) of_rule_[i] += rules[i];
}

void BacktestTally::add_money(double money, bool hit, bool fraud) noexcept {
  if (fraud) {
    money_[hit ? 0 : 1].add(money);
  } else if (hit) {
    money_[2].add(money);
  }
}

void BacktestTally::merge(BacktestTally& other) {
  for (const auto& [day, counts] : other.days_) {
    Day& of = day_of(day);
    of.payments += counts.payments;
    of.hits += counts.hits;
  }
  mature_hits_ += other.mature_hits_;
  mature_frauds_ += other.mature_frauds_;
  mature_frauds_hit_ += other.mature_frauds_hit_;
  frauds_not_alerted_ += other.frauds_not_alerted_;
  alerts_ += other.alerts_;
  alerts_hit_ += other.alerts_hit_;
  if (of_rule_.size() < other.of_rule_.size()) of_rule_.resize(other.of_rule_.size());
  for (size_t i = 0; i < other.of_rule_.size(); ++i) of_rule_[i] += other.of_rule_[i];
  for (size_t i = 0; i < money_.size(); ++i) {
    money_[i].exact += other.money_[i].exact;
    money_[i].rest += other.money_[i].rest;
  }
  for (auto [mine, theirs] : {std::pair{&hit_, &other.hit_}, std::pair{&bothered_, &other.bothered_}}) {
    mine->cards.insert(mine->cards.end(), theirs->cards.begin(), theirs->cards.end());
    mine->sort();
  }
}

int64_t BacktestTally::customers_hit() {
  hit_.sort();
  return static_cast<int64_t>(hit_.cards.size());
}

int64_t BacktestTally::customers_bothered() {
  bothered_.sort();
  return static_cast<int64_t>(bothered_.cards.size());
}

std::vector<std::pair<int64_t, BacktestTally::Day>> BacktestTally::days() const {
  std::vector<std::pair<int64_t, Day>> sorted(days_.begin(), days_.end());
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  return sorted;
}

std::string BacktestTally::write() const {
  std::string bytes;
  put(bytes, static_cast<uint64_t>(days_.size()));
  for (const auto& [day, counts] : days_) {
    put(bytes, day);
    put(bytes, counts);
  }
  for (int64_t count : {mature_hits_, mature_frauds_, mature_frauds_hit_, frauds_not_alerted_, alerts_, alerts_hit_}) put(bytes, count);
  put(bytes, static_cast<uint64_t>(of_rule_.size()));
  bytes.append(reinterpret_cast<const char*>(of_rule_.data()), of_rule_.size() * sizeof(int64_t));
  for (const Money& money : money_) {
    bytes.append(reinterpret_cast<const char*>(money.exact.limbs()), sizeof(Sum));
    put(bytes, money.rest);
  }
  for (const Cards* kept : {&hit_, &bothered_}) {
    put(bytes, static_cast<uint64_t>(kept->cards.size()));
    bytes.append(reinterpret_cast<const char*>(kept->cards.data()), kept->cards.size() * sizeof(CardKey));
  }
  return bytes;
}

std::optional<BacktestTally> BacktestTally::read(std::string_view bytes) {
  BacktestTally tally;
  Taker from(bytes);
  uint64_t count = 0;
  if (!from.take(count) || !from.has(count, sizeof(int64_t) + sizeof(Day))) return std::nullopt;
  for (uint64_t i = 0; i < count; ++i) {
    int64_t day = 0;
    Day counts;
    if (!from.take(day) || !from.take(counts)) return std::nullopt;
    tally.days_[day] = counts;
  }
  for (int64_t* value : {&tally.mature_hits_, &tally.mature_frauds_, &tally.mature_frauds_hit_, &tally.frauds_not_alerted_, &tally.alerts_, &tally.alerts_hit_}) {
    if (!from.take(*value)) return std::nullopt;
  }
  if (!from.take(count) || !from.has(count, sizeof(int64_t))) return std::nullopt;
  tally.of_rule_.resize(count);
  if (!from.take(tally.of_rule_.data(), count * sizeof(int64_t))) return std::nullopt;
  for (Money& money : tally.money_) {
    if (!from.take(money.exact.limbs(), sizeof(Sum)) || !from.take(money.rest)) return std::nullopt;
  }
  for (Cards* kept : {&tally.hit_, &tally.bothered_}) {
    if (!from.take(count) || !from.has(count, sizeof(CardKey))) return std::nullopt;
    kept->cards.resize(count);
    if (!from.take(kept->cards.data(), count * sizeof(CardKey))) return std::nullopt;
    kept->sort();
  }
  if (!from.at_end()) return std::nullopt;
  return tally;
}

}  // namespace fraud
