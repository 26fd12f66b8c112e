// Fuzz target: any bytes, mapped, are payments, or an Error; what is mapped is JSON, and nothing
// that is shown has a card number that was read. The first byte says which way they are read.
#include "core/base/error.h"
#include "core/payments/mapping.h"
#include "core/payments/mapping_preview.h"
#include "core/payments/payment_writer.h"

#include <cstddef>
#include <cstdint>
#include <string>

namespace {

fraud::FieldRule rule(const char* name, std::vector<fraud::PathStep> steps) {
  fraud::FieldRule one;
  one.name = name;
  one.path = "$";
  one.steps = std::move(steps);
  return one;
}

// Answers what it is asked: the text itself comes back.
class Echo : public fraud::Mapping {
 protected:
  std::optional<std::string> query(size_t, const std::string& json) const override { return json; }
};

std::string shown(const fraud::PaymentBatch& batch) {
  std::string text;
  for (const fraud::Payment& one : batch.payments) text += fraud::payment_to_json(one, "card", one.card_number) + '\n';
  for (const fraud::RejectedPayment& one : batch.rejected) text += one.reason + '\n' + one.payload + '\n' + one.transaction_id + '\n';
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  Echo mapping;
  mapping.rules = {rule("cc_num", {{"card"}, {"pan"}}), rule("trans_num", {{"id"}}), rule("amt", {{"amount"}, {"", 0}}),
                   rule("merchant", {{"shop"}}), rule("trans_date_trans_time", {{"at"}}), rule("attributes.all", {})};
  mapping.rules[2].sign = fraud::NegativeAmount::kNegativeIsRefund;
  mapping.rules[2].decimal = ',';
  mapping.rules[4].time = fraud::TimeFormat::kIso8601;
  mapping.rules[5].is_plain = false;
  if ((data[0] & 1) != 0) mapping.payments = {{"data"}};
  const auto format = (data[0] & 2) != 0 ? fraud::PaymentFormat::kCsv : fraud::PaymentFormat::kAuto;
  // Without the rule that Postgres is asked for there is a plan, which finds the same.
  Echo plain;
  plain.rules = mapping.rules;
  plain.rules.pop_back();
  plain.rules[2].steps.pop_back();
  plain.payments = mapping.payments;
  try {
    (void)fraud::read_payments(body, format, &mapping, {}, [](std::string_view text, std::string_view) {
      fraud::Document document;
      if (!text.empty() && document.read(text) == fraud::Document::Reading::kBroken) __builtin_trap();
    });
    const fraud::PaymentBatch planned = fraud::read_payments(body, format, &plain);
    const fraud::PaymentBatch written = fraud::read_payments(body, format, &plain, {}, [](std::string_view, std::string_view) {});
    if (shown(planned) != shown(written)) __builtin_trap();
  } catch (const fraud::Error& error) {
    if (*error.what() == '\0') __builtin_trap();
  }
  const fraud::Preview preview = fraud::preview_payments(body, format, (data[0] & 4) != 0 ? &mapping : nullptr);
  if (preview.payments.empty()) __builtin_trap();
  return 0;
}
