// Shows payments as they are mapped.
#include "core/payments/mapping_preview.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/payments/digits.h"
#include "core/payments/field_values.h"
#include "core/payments/json_document.h"
#include "core/payments/mapping.h"
#include "core/payments/mapping_proposal.h"
#include "core/payments/payload_writer.h"

namespace fraud {
namespace {

std::string digits_of(std::string_view text) {
  std::string digits;
  for (const char c : text) {
    if (is_ascii_digit(c)) digits += c;
  }
  return digits;
}

// Takes apart what a payment was read from.
class Shown {
 public:
  Shown(std::string_view text, PreviewedPayment* payment) : payment_(payment) {
    if (document_.read(text) != Document::Reading::kWhole || document_.kind(0) != Kind::kObject) return;
    for (size_t key = Document::first(0); key < document_.next(0);) {
      const size_t value = document_.next(key);
      const std::string_view name = document_.text(key);
      const bool is_known = name != "attributes" && !wire_name(name).empty();
      if (name == "cc_num" && !document_.is_container(value)) card_ = digits_of(document_.text(value));
      if (name == "customer" && !document_.is_container(value)) customer_ = document_.text(value);
      if (name == "customer_kind" && document_.kind(value) == Kind::kString) kind_ = document_.text(value);
      if (name == "attributes" && document_.kind(value) == Kind::kObject) {
        for (size_t inner = Document::first(value); inner < document_.next(value);) {
          const size_t inner_value = document_.next(inner);
          rest_.push_back({document_.text(inner), inner_value, kUnknownField});
          inner = document_.next(inner_value);
        }
      } else {
        (is_known ? fields_ : rest_).push_back({name, value, kUnknownField});
      }
      key = document_.next(value);
    }
    if (kind_ == "card") card_ = digits_of(customer_);
    if (kind_ == "iban") iban_ = parse_iban(customer_).value_or("");
    payment_->mapped = written(fields_);
    // Of what is secret the last four.
    show_end(kind_ == "card" ? "customer" : "cc_num", card_);
    show_end("customer", iban_);
    if (!rest_.empty()) payment_->left_over = written(rest_);
    need("trans_num", {"trans_num"});
    need("amt", {"amt", "amt_minor"});
    need("merchant", {"merchant"});
    need("cc_num", {"cc_num", "card", "customer"});
    need("trans_date_trans_time", {"trans_date_trans_time", "current_time", "unix_time"});
  }

 private:
  std::string written(const std::vector<Member>& members) const {
    PayloadWriter writer(document_, card_, card_.size() >= 8 ? Masking::kLikely : Masking::kAny);
    writer.write_members(members);
    std::string text = writer.take();
    if (!iban_.empty()) hide_secret("iban:" + iban_, &text);
    return text;
  }

  void show_end(std::string_view name, const std::string& secret) {
    if (secret.size() < 8) return;
    payment_->mapped.insert(1, "\"" + std::string(name) + "\":\"" + std::string(secret.size() - 4, '*') + secret.substr(secret.size() - 4) + "\"" +
                                   (payment_->mapped.size() > 2 ? "," : ""));
  }

  void need(std::string_view name, std::initializer_list<std::string_view> any) {
    for (const Member& member : fields_) {
      const bool is_empty = document_.kind(member.node) == Kind::kNull ||
                            (document_.kind(member.node) == Kind::kString && document_.text(member.node).empty());
      if (!is_empty && std::find(any.begin(), any.end(), member.name) != any.end()) return;
    }
    payment_->missing.emplace_back(name);
  }

  PreviewedPayment* payment_;
  Document document_;
  std::vector<Member> fields_, rest_;
  std::string card_, iban_;  // secret
  std::string customer_, kind_;
};

}  // namespace

Preview preview_payments(std::string_view body, PaymentFormat format, const Mapping* mapping, const GiveWay& give_way) {
  Preview preview;
  preview.proposal = propose_mapping(body, format);
  size_t number = 0;
  const auto seen = [&](std::string_view text, std::string_view reason) {
    ++number;
    if (preview.payments.size() >= kMaxPreviewed) return;
    PreviewedPayment payment;
    payment.number = number;
    payment.error = reason;
    if (!text.empty()) Shown(text, &payment);
    preview.payments.push_back(std::move(payment));
  };
  try {
    const PaymentBatch batch = read_payments(body, format, mapping, give_way, seen);
    if (preview.payments.empty() && batch.payments.empty()) {
      PreviewedPayment none;
      none.error = "the body has no payments";
      preview.payments.push_back(std::move(none));
    }
  } catch (const Error& error) {
    PreviewedPayment none;
    none.error = error.what();
    if (!error.detail().empty()) none.error += ". " + error.detail();
    preview.payments.assign(1, std::move(none));
  }
  return preview;
}

}  // namespace fraud
