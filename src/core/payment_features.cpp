#include "core/payment_features.h"

namespace fraud {
namespace {

constexpr int64_t kSecondUs = 1000000;
constexpr int64_t kHourUs = 3600 * kSecondUs;
constexpr int64_t kDayUs = 24 * kHourUs;
constexpr double kDaysPerYear = 365.2425;
constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();

// Ascending: a wider window continues where the narrower one stopped.
constexpr std::array<int64_t, 4> kWindowsUs = {kHourUs, kDayUs, 7 * kDayUs, kHistoryUs};

enum FeatureIndex : size_t {
  kAmount,
  kCategory,
  kHour,
  kWeekday,
  kAge,
  kDistanceKm,
  kCityPopulation,
  kFirstWindow,  // count, sum and mean of each window
  kSecondsSinceLast = kFirstWindow + 3 * kWindowsUs.size(),
  kDistanceFromLastKm,
};
static_assert(kDistanceFromLastKm + 1 == kPaymentFeatureCount);

// Divides rounding down, also for times before 1970.
int64_t floor_divide(int64_t dividend, int64_t divisor) noexcept {
  const int64_t quotient = dividend / divisor;
  return quotient - (dividend % divisor < 0 ? 1 : 0);
}

// Returns the category's code, or NaN for one that has none.
float category_code(std::string_view category) noexcept {
  const auto& categories = payment_categories();
  for (size_t i = 0; i < categories.size(); ++i) {
    if (categories[i] == category) return static_cast<float>(i);
  }
  return kMissing;
}

double or_nan(const std::optional<double>& value) noexcept {
  return value.value_or(std::numeric_limits<double>::quiet_NaN());
}

// What windows aggregate: the amount, and the merchant's place.
enum Input : int { kAmountInput, kLatitudeInput, kLongitudeInput, kInputCount };

// The features from kFirstWindow on, in their order.
const KeyPlan& card_plan() {
  static const KeyPlan plan = [] {
    std::vector<WindowFeature> features;
    for (int64_t width : kWindowsUs) {
      features.push_back({Aggregate::kCount, 0, kEveryEvent, kEveryEvent, width});
      features.push_back({Aggregate::kSum, 0, kAmountInput, kEveryEvent, width});
      features.push_back({Aggregate::kAvg, 0, kAmountInput, kEveryEvent, width});
    }
    features.push_back({Aggregate::kSecondsSinceLast, 0, kEveryEvent, kEveryEvent, kHistoryUs});
    features.push_back({Aggregate::kDistance, 0, kLatitudeInput, kLongitudeInput, kHistoryUs, 0, false,
                        kLatitudeInput, kLongitudeInput});
    return KeyPlan(features, 0);
  }();
  return plan;
}

void fill_inputs(const CardEvent& event, Cell (&cells)[kInputCount]) noexcept {
  cells[kAmountInput] = number_cell(static_cast<double>(event.amount_cents) / 100);
  cells[kLatitudeInput] = number_cell(event.merchant_latitude);
  cells[kLongitudeInput] = number_cell(event.merchant_longitude);
}

// Fills what the payment says by itself.
PaymentFeatures local_features(const Payment& payment) noexcept {
  PaymentFeatures features;
  features.fill(kMissing);
  features[kAmount] = static_cast<float>(static_cast<double>(payment.amount_cents) / 100);
  features[kCategory] = category_code(payment.category);
  features[kDistanceKm] = static_cast<float>(
      distance_km(or_nan(payment.latitude), or_nan(payment.longitude),
                  or_nan(payment.merchant_latitude), or_nan(payment.merchant_longitude)));
  if (payment.city_population) {
    features[kCityPopulation] = static_cast<float>(*payment.city_population);
  }
  // Every reader sets the time; without one, what depends on it is unknown.
  if (!payment.occurred_at_us) return features;
  const int64_t now = *payment.occurred_at_us;
  const int64_t day = floor_divide(now, kDayUs);
  features[kHour] = static_cast<float>((now - day * kDayUs) / kHourUs);
  // 1970-01-01 was a Thursday, day 4 of a week that begins on Sunday.
  features[kWeekday] = static_cast<float>(day + 4 - 7 * floor_divide(day + 4, 7));
  if (payment.date_of_birth) {
    features[kAge] =
        static_cast<float>(static_cast<double>(day - *payment.date_of_birth) / kDaysPerYear);
  }
  return features;
}

}  // namespace

const std::array<std::string_view, kPaymentFeatureCount>& payment_feature_names() noexcept {
  static constexpr std::array<std::string_view, kPaymentFeatureCount> kNames = {
      "amount",
      "category",
      "hour",
      "weekday",
      "age",
      "distance_km",
      "city_population",
      "count_1h",
      "sum_1h",
      "mean_1h",
      "count_24h",
      "sum_24h",
      "mean_24h",
      "count_7d",
      "sum_7d",
      "mean_7d",
      "count_30d",
      "sum_30d",
      "mean_30d",
      "seconds_since_last",
      "distance_from_last_km"};
  return kNames;
}

const std::array<std::string_view, kCategoryCount>& payment_categories() noexcept {
  static constexpr std::array<std::string_view, kCategoryCount> kCategories = {
      "entertainment",  "food_dining",  "gas_transport", "grocery_net", "grocery_pos",
      "health_fitness", "home",         "kids_pets",     "misc_net",    "misc_pos",
      "personal_care",  "shopping_net", "shopping_pos",  "travel"};
  return kCategories;
}

CardWindows::CardWindows() : windows_(card_plan()) {}

void CardWindows::push(const CardEvent& event) {
  Cell cells[kInputCount];
  fill_inputs(event, cells);
  windows_.push({event.occurred_at_us, kNever, cells});
}

PaymentFeatures CardWindows::evaluate_and_push(const Payment& payment) {
  PaymentFeatures features = local_features(payment);
  Cell cells[kInputCount];
  fill_inputs({*payment.occurred_at_us, payment.amount_cents, or_nan(payment.merchant_latitude),
               or_nan(payment.merchant_longitude)},
              cells);
  windows_.evaluate_and_push({*payment.occurred_at_us, kNever, cells}, features.data() + kFirstWindow);
  return features;
}

PaymentFeatures compute_payment_features(const Payment& payment, const CardEvent* first,
                                         const CardEvent* last) {
  if (!payment.occurred_at_us) return local_features(payment);
  CardWindows windows;
  for (; first != last; ++first) windows.push(*first);
  return windows.evaluate_and_push(payment);
}

}  // namespace fraud
