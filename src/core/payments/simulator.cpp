#include "core/payments/simulator.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <string_view>

#include "core/base/error.h"
#include "core/base/random.h"
#include "core/payments/simulator_data.h"

namespace fraud {
namespace {

constexpr int64_t kSecondUs = 1000000;
constexpr int64_t kMinuteUs = 60 * kSecondUs;
constexpr int64_t kHourUs = 60 * kMinuteUs;
constexpr int64_t kDayUs = 24 * kHourUs;

// What a stream of random numbers is for; part of its key.
enum Purpose : uint64_t { kMerchants, kCustomer, kCards, kBranch, kFavourites, kCompromise, kIds };

// Indices in kCategories.
enum Category : size_t {
  kEntertainment,
  kFoodDining,
  kGasTransport,
  kGroceryNet,
  kGroceryPos,
  kHealthFitness,
  kHome,
  kKidsPets,
  kMiscNet,
  kMiscPos,
  kPersonalCare,
  kShoppingNet,
  kShoppingPos,
  kTravel
};

// How often things happen, per ordinary payment; the frauds' sizes are chosen
// so that each pattern makes about a quarter of half a percent.
constexpr double kCardTestingRate = 0.00017;
constexpr double kStolenCardRate = 0.00028;
constexpr double kOverspendingRate = 0.00036;
constexpr double kExploitRate = 0.017;  // per payment at a merchant while it is compromised
constexpr double kBurstRate = 0.0012;
constexpr double kBigPurchaseRate = 0.0015;
constexpr double kTripRate = 0.0012;

constexpr int kCompromiseCycleDays = 30;
constexpr int kMerchantsPerCompromise = 25;  // one of so many in each cycle
constexpr uint32_t kFavouriteCount = 4;      // per customer and category

struct Merchant {
  std::string name;
  uint8_t category;
};

struct Place {
  double latitude, longitude;
};

// Returns degrees in whole millionths, which print and read back exactly.
double to_degrees(double value) { return std::floor(value * 1e6 + 0.5) / 1e6; }

// Returns the fixed place of a merchant's branch near a city, or of a home.
Place place_near(const City& city, Random random, double spread) {
  const double north = random.uniform() + random.uniform() - 1;
  const double east = random.uniform() + random.uniform() - 1;
  return {to_degrees(city.latitude + spread * north), to_degrees(city.longitude + spread * east)};
}

// Returns a city's offset from UTC by the sun: about that of its time zone.
int64_t utc_offset_us(const City& city) {
  return static_cast<int64_t>(std::floor(city.longitude / 15 + 0.5)) * kHourUs;
}

// Returns the name of merchant `index`. Distinct indices have distinct names:
// each of the three forms is filled by a bijection.
std::string merchant_name(uint32_t index, uint32_t salt) {
  const auto surname = [](uint32_t bits) { return std::string(kSurnames[bits & 127]); };
  const uint32_t turn = index / 3;
  if (index % 3 == 0 && turn < 1024) {
    const uint32_t bits = turn * 421 + salt;
    return surname(bits) + std::string(kCompanyKinds[(bits >> 7) & 7]);
  }
  if (index % 3 == 1 && turn < 16384) {
    const uint32_t bits = turn * 6007 + salt;
    return surname(bits >> 7) + "-" + surname(bits);
  }
  const uint32_t bits = index * 771541 + salt;
  return surname(bits >> 14) + ", " + surname(bits >> 7) + " and " + surname(bits);
}

// Returns the digit that makes the number with it pass the Luhn check.
char luhn_digit(std::string_view digits) {
  int sum = 0;
  bool twice = true;
  for (auto digit = digits.rbegin(); digit != digits.rend(); ++digit, twice = !twice) {
    const int value = (*digit - '0') * (twice ? 2 : 1);
    sum += value > 9 ? value - 9 : value;
  }
  return static_cast<char>('0' + (10 - sum % 10) % 10);
}

// Returns the card number of a customer: one of its own, 13 to 19 digits, after
// a prefix of zeros in the way of test cards. 19 digits still fit 63 bits.
std::string card_number(uint64_t seed, uint64_t customer) {
  constexpr std::array<std::string_view, 8> kPrefixes = {
      "4000", "30000", "370000", "4000000", "5100000", "62000000", "601100000", "4000000000"};
  const uint64_t hash = hash_keys({seed, kCards});
  // 8 digits by a bijection of the customer, so that equal lengths differ.
  const uint64_t own = (customer * 48271003 + hash % 100000000) % 100000000;
  std::string digits(kPrefixes[hash_keys({seed, kCards, customer}) % kPrefixes.size()]);
  const std::string text = std::to_string(own);
  digits.append(8 - text.size(), '0').append(text);
  digits += luhn_digit(digits);
  return digits;
}

void check_range(std::string_view name, int value, int low, int high) {
  if (value >= low && value <= high) return;
  throw Error(ErrorCode::kInvalidArgument,
              std::string(name) + " must be between " + std::to_string(low) + " and " +
                  std::to_string(high) + ", not " + std::to_string(value));
}

}  // namespace

struct Simulator::World {
  SimulatorConfig config;
  std::vector<Merchant> merchants;
  std::array<std::vector<uint32_t>, kCategoryCount> by_category;

  explicit World(const SimulatorConfig& given) : config(given) {
    check_range("customers", config.customers, 1, 10000000);
    check_range("merchants", config.merchants, 1, 1000000);
    check_range("days", config.days, 1, 3660);
    if (config.start_us < 0 || config.start_us > int64_t{47482} * kDayUs) {
      throw Error(ErrorCode::kInvalidArgument, "start must be between 1970-01-01 and 2100-01-01");
    }
    const auto count = static_cast<uint32_t>(config.merchants);
    const uint64_t hash = hash_keys({config.seed, kMerchants});
    merchants.reserve(count);
    for (uint32_t i = 0; i < count; ++i) {
      const auto category = static_cast<uint8_t>((i + (hash >> 32)) % kCategoryCount);
      merchants.push_back({merchant_name(i, static_cast<uint32_t>(hash)), category});
      by_category[category].push_back(i);
    }
  }

  // Tells whether card data leak from a merchant at a time. Once in a cycle of
  // 30 days a few merchants leak, for two to three weeks.
  bool leaks(uint32_t merchant, int64_t time_us) const {
    const int64_t day = (time_us - config.start_us) / kDayUs;
    const uint64_t hash = hash_keys(
        {config.seed, kCompromise, merchant, static_cast<uint64_t>(day / kCompromiseCycleDays)});
    if (hash % kMerchantsPerCompromise != 0) return false;
    const auto from = static_cast<int64_t>((hash >> 16) % 9);
    const auto length = static_cast<int64_t>(14 + (hash >> 32) % 8);
    const int64_t at = day % kCompromiseCycleDays;
    return at >= from && at < from + length;
  }
};

namespace {

// Lives one customer's life, day after day. All random numbers come from one
// stream in the order of days, so the first days do not depend on how many
// follow. A template only because World is private to Simulator.
template <class World>
class CustomerLife {
 public:
  CustomerLife(const World& world, uint32_t customer)
      : world_(world),
        customer_(customer),
        random_(hash_keys({world.config.seed, kCustomer, customer})),
        city_(random_.below(kCities.size())) {
    make_person();
    make_habits();
  }

  std::vector<SimulatedPayment> run() {
    payments_.reserve(static_cast<size_t>(world_.config.days * daily_rate_ * 1.2) + 16);
    // The local day before the first reaches into it.
    for (int day = -1; day < world_.config.days; ++day) live(day);
    std::sort(payments_.begin(), payments_.end(),
              [](const SimulatedPayment& left, const SimulatedPayment& right) {
                if (left.payment.occurred_at_us != right.payment.occurred_at_us) {
                  return left.payment.occurred_at_us < right.payment.occurred_at_us;
                }
                return left.payment.transaction_id < right.payment.transaction_id;
              });
    return std::move(payments_);
  }

 private:
  template <size_t size>
  std::string_view pick(const std::array<std::string_view, size>& list) {
    return list[random_.below(size)];
  }

  void make_person() {
    const City& city = kCities[city_];
    person_.card_number = card_number(world_.config.seed, customer_);
    person_.last_four = person_.card_number.substr(person_.card_number.size() - 4);
    const bool female = random_.chance(0.5);
    person_.gender = female ? "F" : "M";
    person_.first_name = pick(female ? kFemaleNames : kMaleNames);
    person_.last_name = pick(kSurnames);
    person_.street = std::to_string(random_.range(1, 9999)) + " ";
    person_.street.append(pick(kSurnames)).append(" ").append(pick(kStreetKinds));
    person_.city = city.name;
    person_.state = city.state;
    person_.zip = city.zip;
    person_.job = pick(kJobs);
    const Place home = place_near(city, Random(random_.next()), 0.08);
    person_.latitude = home.latitude;
    person_.longitude = home.longitude;
    person_.city_population = city.population;
    const auto start_day = static_cast<int32_t>(world_.config.start_us / kDayUs);
    person_.date_of_birth = start_day - random_.range(18 * 365 + 5, 88 * 365);
  }

  void make_habits() {
    daily_rate_ = random_.uniform();
    daily_rate_ = 1 + 5 * daily_rate_ * daily_rate_;
    weekend_factor_ = random_.between(0.6, 1.7);
    const uint32_t rhythm = random_.below(10);
    const auto& hours = kRhythms[rhythm < 6 ? 0 : rhythm < 8 ? 1 : 2];
    int total = 0;
    for (size_t hour = 0; hour < hours.size(); ++hour) hours_[hour] = total += hours[hour];
    const double wealth = random_.log_normal(1, 0.35);
    double weights = 0;
    for (size_t i = 0; i < kCategoryCount; ++i) {
      const CategoryHabit& habit = kCategoryHabits[i];
      const double weight = random_.log_normal(habit.weight, 0.6);
      if (!world_.by_category[i].empty()) weights += weight;
      categories_[i] = weights;
      medians_[i] = random_.log_normal(habit.median * wealth, 0.3);
    }
  }

  // Lives one local day, counted from the first of the simulation.
  void live(int day) {
    const int64_t start = world_.config.start_us + day * kDayUs;
    const auto weekday = ((start / kDayUs + 4) % 7 + 7) % 7;  // Sunday is 0
    if (trip_days_ > 0 && --trip_days_ == 0) here_ = city_;
    const double mean = daily_rate_ * (weekday == 0 || weekday == 6 ? weekend_factor_ : 1.0);
    if (trip_days_ == 0 && random_.chance(kTripRate * daily_rate_)) {
      trip_days_ = random_.range(2, 9);
      here_ = random_.below(kCities.size());
    }
    for (int left = random_.poisson(mean); left > 0; --left) pay(start);
    if (random_.chance(kBurstRate * mean)) burst(start);
    if (random_.chance(kCardTestingRate * mean)) test_card(start);
    if (random_.chance(kStolenCardRate * mean)) steal_card(start);
    if (random_.chance(kOverspendingRate * mean)) overspend(start);
  }

  // Returns a moment of the local day that begins at `start`, by the rhythm.
  int64_t moment(int64_t start) {
    const int draw = static_cast<int>(random_.below(static_cast<uint32_t>(hours_.back())));
    const auto hour = std::upper_bound(hours_.begin(), hours_.end(), draw) - hours_.begin();
    return start - utc_offset_us(kCities[here_]) + hour * kHourUs +
           static_cast<int64_t>(random_.uniform() * kHourUs);
  }

  size_t habitual_category() {
    const double draw = random_.uniform() * categories_.back();
    const auto found = std::upper_bound(categories_.begin(), categories_.end(), draw);
    return static_cast<size_t>(std::min<ptrdiff_t>(found - categories_.begin(),
                                                   static_cast<ptrdiff_t>(kCategoryCount) - 1));
  }

  // Returns a merchant of the category, or any where the world has none of it.
  uint32_t any_merchant(size_t category) {
    const auto& list = world_.by_category[category];
    if (list.empty()) return random_.below(static_cast<uint32_t>(world_.merchants.size()));
    return list[random_.below(static_cast<uint32_t>(list.size()))];
  }

  // Returns mostly one of the customer's favourites of the category.
  uint32_t habitual_merchant(size_t category) {
    if (random_.chance(0.3)) return any_merchant(category);
    const uint64_t favourite = random_.below(kFavouriteCount);
    const auto& list = world_.by_category[category];
    return list[hash_keys({world_.config.seed, kFavourites, customer_, category, favourite}) %
                list.size()];
  }

  double habitual_amount(size_t category) {
    return random_.log_normal(medians_[category], kCategoryHabits[category].sigma);
  }

  void pay(int64_t start) {
    const size_t category = habitual_category();
    double amount = habitual_amount(category);
    // A sofa, a flight, a dentist: rare, and many times the usual.
    if (random_.chance(kBigPurchaseRate)) amount = 40 + amount * random_.between(3, 14);
    const uint32_t merchant = habitual_merchant(category);
    const int64_t time = moment(start);
    add(time, merchant, here_, amount, FraudPattern::kNone);
    // The draw comes first: it is cheaper than the look at the merchant.
    if (random_.chance(kExploitRate) && time >= world_.config.start_us &&
        world_.leaks(merchant, time)) {
      exploit(time, merchant);
    }
  }

  // Pays several small amounts in a row, as at a fair or in an app store.
  void burst(int64_t start) {
    constexpr std::array<size_t, 5> kWhere = {kMiscNet, kEntertainment, kShoppingNet, kMiscPos,
                                              kFoodDining};
    const size_t category = kWhere[random_.below(kWhere.size())];
    const uint32_t merchant = any_merchant(category);
    const bool wanders = random_.chance(0.5);
    int64_t time = moment(start);
    for (int left = random_.range(2, 6); left > 0; --left) {
      add(time, wanders ? any_merchant(category) : merchant, here_, random_.log_normal(7, 0.7),
          FraudPattern::kNone);
      time += static_cast<int64_t>(random_.between(0.3, 9) * kMinuteUs);
    }
    if (random_.chance(0.15)) {
      add(time, merchant, here_, random_.log_normal(160, 0.6), FraudPattern::kNone);
    }
  }

  // Tries a bought card number with small amounts within minutes, then uses it.
  void test_card(int64_t start) {
    constexpr std::array<size_t, 4> kWhere = {kMiscNet, kShoppingNet, kMiscPos, kGroceryNet};
    int64_t time = start + static_cast<int64_t>(random_.uniform() * kDayUs);
    for (int left = random_.range(4, 9); left > 0; --left) {
      add(time, any_merchant(kWhere[random_.below(kWhere.size())]), city_,
          random_.log_normal(2.2, 0.5), FraudPattern::kCardTesting);
      time += static_cast<int64_t>(random_.between(0.1, 2.5) * kMinuteUs);
    }
    time += static_cast<int64_t>(random_.between(1, 45) * kMinuteUs);
    add(time, any_merchant(random_.chance(0.5) ? kShoppingNet : kMiscNet), city_,
        random_.log_normal(420, 0.6), FraudPattern::kCardTesting);
  }

  // Uses a stolen card elsewhere, mostly at night.
  void steal_card(int64_t start) {
    constexpr std::array<size_t, 6> kWhere = {kShoppingPos, kGroceryPos,    kGasTransport,
                                              kMiscPos,     kEntertainment, kTravel};
    const uint32_t away = random_.below(kCities.size());
    const bool at_night = random_.chance(0.8);
    int64_t time = start - utc_offset_us(kCities[away]) +
                   static_cast<int64_t>(
                       (at_night ? random_.between(21.5, 27) : random_.between(7, 22)) * kHourUs);
    for (int left = random_.range(3, 6); left > 0; --left) {
      const size_t category = kWhere[random_.below(kWhere.size())];
      add(time, any_merchant(category), away, random_.log_normal(180, 0.7),
          FraudPattern::kStolenCard);
      time += static_cast<int64_t>(random_.between(4, 50) * kMinuteUs);
    }
  }

  // Uses card data that leaked from a merchant, there or elsewhere, days later.
  void exploit(int64_t exposed_us, uint32_t merchant) {
    constexpr std::array<size_t, 4> kWhere = {kShoppingNet, kMiscNet, kGroceryPos, kShoppingPos};
    int64_t time = exposed_us + static_cast<int64_t>(random_.between(1, 20) * kDayUs);
    for (int left = random_.range(2, 5); left > 0; --left) {
      const size_t category = kWhere[random_.below(kWhere.size())];
      add(time, random_.chance(0.25) ? merchant : any_merchant(category), city_,
          random_.log_normal(400, 0.4), FraudPattern::kCompromisedMerchant);
      time += static_cast<int64_t>(random_.between(0.1, 6) * kHourUs);
    }
  }

  // Spends far above the customer's habit in habitual places and hours; the
  // subtle fifth of the cases stays close to it.
  void overspend(int64_t start) {
    const double factor = random_.chance(0.2) ? random_.between(3, 6) : random_.between(10, 22);
    for (int left = random_.range(2, 5); left > 0; --left) {
      const size_t category = habitual_category();
      add(moment(start), habitual_merchant(category), here_,
          medians_[category] * factor * random_.between(0.7, 1.4), FraudPattern::kOverspending);
    }
  }

  // Adds one payment, unless it lies outside the simulated days. It takes a
  // number of its own either way, so that ids do not depend on the last day.
  void add(int64_t time_us, uint32_t merchant, uint32_t city, double amount, FraudPattern pattern) {
    const uint64_t number = serial_++;
    time_us -= time_us % 1000;  // the wire format carries milliseconds
    const int64_t since = time_us - world_.config.start_us;
    if (since < 0 || since >= world_.config.days * kDayUs) return;

    payments_.push_back({person_, pattern});
    Payment& payment = payments_.back().payment;
    payment.transaction_id = transaction_id(number);
    payment.occurred_at_us = time_us;
    payment.amount_minor =
        std::clamp<int64_t>(static_cast<int64_t>(amount * 100 + 0.5), 50, 3000000);
    payment.merchant = world_.merchants[merchant].name;
    payment.category = kCategories[world_.merchants[merchant].category];
    const Place place = place_near(
        kCities[city], Random(hash_keys({world_.config.seed, kBranch, merchant, city})), 0.7);
    payment.merchant_latitude = place.latitude;
    payment.merchant_longitude = place.longitude;
    payment.is_fraud = pattern != FraudPattern::kNone;
  }

  // Returns 32 hex digits. The second half is a bijection of customer and
  // number, so that ids of one seed never collide.
  std::string transaction_id(uint64_t number) const {
    const uint64_t low =
        mix_bits(((uint64_t{customer_} << 32) | number) ^ hash_keys({world_.config.seed, kIds}));
    const uint64_t high = hash_keys({world_.config.seed, kIds, low});
    std::string id(32, '0');
    for (int i = 0; i < 16; ++i) {
      id[15 - i] = "0123456789abcdef"[(high >> (4 * i)) & 15];
      id[31 - i] = "0123456789abcdef"[(low >> (4 * i)) & 15];
    }
    return id;
  }

  const World& world_;
  const uint64_t customer_;
  Random random_;
  const uint32_t city_;
  uint32_t here_ = city_;
  int trip_days_ = 0;
  uint64_t serial_ = 0;
  Payment person_;  // what all payments of the customer share
  double daily_rate_ = 1;
  double weekend_factor_ = 1;
  std::array<int, 24> hours_{};                      // cumulative
  std::array<double, kCategoryCount> categories_{};  // cumulative
  std::array<double, kCategoryCount> medians_{};
  std::vector<SimulatedPayment> payments_;
};

}  // namespace

Simulator::Simulator(const SimulatorConfig& config)
    : world_(std::make_unique<const World>(config)) {}

Simulator::~Simulator() = default;

std::vector<SimulatedPayment> Simulator::customer(int index) const {
  check_range("customer", index, 0, world_->config.customers - 1);
  return CustomerLife<World>(*world_, static_cast<uint32_t>(index)).run();
}

}  // namespace fraud
