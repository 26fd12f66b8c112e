// Rules and snoozes applied to payments as they are decided (src/pg/rules).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pg/payments/payment_store.h"
#include "pg/rules/rule_outcome.h"
#include "pg/rules/rule_set.h"

namespace fraud::pg {

class PaymentRules {
 public:
  PaymentRules(const std::shared_ptr<const FeatureSet>& set, bool read_only);

  bool empty() const noexcept { return rules_ == nullptr; }

  // Applies the rules to the payments, whose decisions are the model's; sets what is decided.
  std::vector<RuleOutcome> apply(std::vector<Entry>& entries);

  // Stores the matches of the payments, and notes rules that are slow.
  void write(Spi& spi, const std::vector<Entry>& entries, const std::vector<RuleOutcome>& outcomes, const std::vector<std::string>& model_decisions);

 private:
  RuleValues values_of(Entry& entry);

  std::shared_ptr<const FeatureSet> set_;
  std::shared_ptr<RuleSet> rules_;
  bool read_only_;
  // For each column of the rules' row, where its value is.
  enum class From { kPayment, kField, kFeature, kScore, kDecision, kCustomer, kMerchant, kNowhere };
  struct Source {
    From from = From::kNowhere;
    size_t place = 0;
  };
  // A field of the attributes, as fraud.payment_fields has it.
  struct Field {
    FmgrInfo function;
    Datum path;
  };
  std::vector<Source> sources_;
  std::vector<Field> fields_;
};

// If an alert of the payment is to be kept back, counts it and returns true.
bool is_snoozed(Spi& spi, const Entry& entry, const RuleOutcome* outcome);

}  // namespace fraud::pg
