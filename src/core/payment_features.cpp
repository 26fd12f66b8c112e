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

const std::array<PaymentFeature, kPaymentFeatureCount>& payment_feature_definitions() noexcept {
  static constexpr std::array<PaymentFeature, kPaymentFeatureCount> kDefinitions = {{
      {"amount",
       "amount {amount:.2} is {amount/mean_30d:.1} times the card's 30-day mean|"
       "amount {amount:.2}"},
      {"category", "category {category:category}"},
      {"hour", "hour {hour:02}:00 UTC"},
      {"weekday", "on a {weekday:weekday}"},
      {"age", "customer aged {age:floor}"},
      {"distance_km", "merchant {distance_km:.0} km from the customer's home"},
      {"city_population", "home city of {city_population:.0} people"},
      {"count_1h", "{count_1h:.0} earlier payments with the card in the last hour"},
      {"sum_1h", "{sum_1h:.2} spent with the card in the last hour before this"},
      {"mean_1h", "the card's mean payment over the last hour is {mean_1h:.2}"},
      {"count_24h", "{count_24h:.0} earlier payments with the card in the last 24 hours"},
      {"sum_24h", "{sum_24h:.2} spent with the card in the last 24 hours before this"},
      {"mean_24h", "the card's mean payment over the last 24 hours is {mean_24h:.2}"},
      {"count_7d", "{count_7d:.0} earlier payments with the card in the last 7 days"},
      {"sum_7d", "{sum_7d:.2} spent with the card in the last 7 days before this"},
      {"mean_7d", "the card's mean payment over the last 7 days is {mean_7d:.2}"},
      {"count_30d", "{count_30d:.0} earlier payments with the card in the last 30 days"},
      {"sum_30d", "{sum_30d:.2} spent with the card in the last 30 days before this"},
      {"mean_30d", "the card's mean payment over the last 30 days is {mean_30d:.2}"},
      {"seconds_since_last", "{seconds_since_last:duration} since the card's last payment"},
      {"distance_from_last_km",
       "{distance_from_last_km:.0} km from the place of the card's last payment"},
  }};
  return kDefinitions;
}

const std::array<std::string_view, kPaymentFeatureCount>& payment_feature_names() noexcept {
  static const auto names = [] {
    std::array<std::string_view, kPaymentFeatureCount> all;
    for (size_t i = 0; i < all.size(); ++i) all[i] = payment_feature_definitions()[i].name;
    return all;
  }();
  return names;
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
