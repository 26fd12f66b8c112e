// The features of the `payments` model: one function, used for a payment that
// arrives, for a loaded history and for training, so that they cannot differ.
#pragma once

#include "core/guard.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>

#include "core/feature_engine.h"
#include "core/geo.h"
#include "core/payment.h"

namespace fraud {

// What later payments of the same card need to know of an earlier one.
struct CardEvent {
  int64_t occurred_at_us = 0;
  int64_t amount_cents = 0;
  double merchant_latitude = std::numeric_limits<double>::quiet_NaN();   // degrees, or NaN
  double merchant_longitude = std::numeric_limits<double>::quiet_NaN();  // degrees, or NaN
};

// How far back a payment's features look: 30 days.
constexpr int64_t kHistoryUs = int64_t{30} * 24 * 3600 * 1000000;

constexpr size_t kPaymentFeatureCount = 21;

// A feature, and how an alert says it: a template of fill_reason().
struct PaymentFeature {
  std::string_view name;
  std::string_view reason;
};

// The features in vector order.
const std::array<PaymentFeature, kPaymentFeatureCount>& payment_feature_definitions() noexcept;

// Their names.
const std::array<std::string_view, kPaymentFeatureCount>& payment_feature_names() noexcept;

// The categories that have a code (their index), in order; others are missing.
constexpr size_t kCategoryCount = 14;
const std::array<std::string_view, kCategoryCount>& payment_categories() noexcept;

using PaymentFeatures = std::array<float, kPaymentFeatureCount>;

// The windows of one card: what its payments leave for later ones. They are those of
// the feature set `payments` (src/sql/85_payment_features.sql), on the same engine.
class CardWindows {
 public:
  CardWindows();

  // Adds a payment that only later ones need. Payments come by (time, transaction id).
  void push(const CardEvent& event);
  // Computes the features of the next payment, which has a time, and adds it.
  PaymentFeatures evaluate_and_push(const Payment& payment);

 private:
  KeyWindows windows_;
};

// Computes the features of `payment` as of its own time, from the card's
// earlier payments [first, last): ordered by (time, transaction id), all before
// the payment in that order. Events older than kHistoryUs are passed over. The
// windows are (t - w, t] and leave the payment itself out. What is unknown is
// NaN, XGBoost's missing value. Hours and weekdays (Sunday is 0) are in UTC.
PaymentFeatures compute_payment_features(const Payment& payment, const CardEvent* first,
                                         const CardEvent* last);

}  // namespace fraud
