// Reads one body, whatever its layout: what the layouts have in common is in payment_reader.cpp,
// each of them in payment_layouts.cpp.
#pragma once

#include "core/base/guard.h"

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/payments/json_document.h"
#include "core/payments/json_scan.h"
#include "core/payments/mapping.h"
#include "core/payments/mapping_plan.h"
#include "core/payments/payload_writer.h"
#include "core/payments/payment.h"

namespace fraud {

// A member of the object that a body is, before its value is read.
struct OuterMember {
  std::string name;
  size_t at;
  Extent extent;
};

// Puts the members of an object into `members`.
void members_of(const Document& document, size_t object, std::vector<Member>* members);

// Reads one body.
class Reader {
 public:
  Reader(PaymentFormat format, const Mapping* mapping, const GiveWay& give_way, const PaymentSeen& seen)
      : format_(format), mapping_(mapping), give_way_(give_way), seen_(seen) {
    if (mapping != nullptr && mapping->has_rules() && !seen) plan_.emplace(*mapping);
    if (mapping != nullptr) columns_ = mapping->columns;
  }

  PaymentBatch read(std::string_view body) {
    read_text(body);
    return std::move(batch_);
  }

 private:
  void read_text(std::string_view text);
  void read_object(std::string_view text, size_t at);
  void read_array(std::string_view text, size_t at);
  void read_split(std::string_view text, const OuterMember& columns, const OuterMember& data, size_t end);
  void read_row(const std::vector<std::string>& columns, const std::vector<int>& fields);
  void read_lines(std::string_view text);
  void read_csv(std::string_view text);
  void read_at_path(std::string_view text, size_t at);
  bool read_within(std::string_view text, size_t at, size_t step, bool is_whole);
  bool read_each(std::string_view text, size_t at, size_t step);
  // Values of which each may lead to payments.
  struct Several {
    bool has_led = false;  // one of them to payments
    std::optional<Error> fault;  // the first of others
    std::vector<std::pair<std::string_view, std::string>> others;  // which are of another kind, and why they will not do
  };
  bool read_one_of(std::string_view text, size_t at, const Extent& extent, size_t step, Several* several);
  void end_several(const Several& several);
  bool read_any_member(std::string_view text, size_t at, size_t step);
  std::optional<size_t> find_around(std::string_view text, const std::vector<OuterMember>& members, size_t step, const std::vector<PathStep>& around);
  void look_for_columns(std::string_view text, const std::vector<OuterMember>& members, size_t step);
  void read_array_payment(std::string_view text, const std::string& where);
  [[noreturn]] void refuse_path(std::string_view text, const std::string& found) const;
  void look_around(std::string_view text, const std::vector<OuterMember>& members, size_t step);
  std::string with_envelope(std::string_view text) const;
  bool map(std::string_view text, const std::string& where);
  std::string in_terms_of_source(std::string reason);
  bool looks_like_lines(std::string_view text);
  std::vector<OuterMember> outer_members(std::string_view text, size_t at, std::string_view last = {});
  std::string_view known_layout(std::string_view text, const std::vector<OuterMember>& members);
  template <typename Visitor>
  std::optional<size_t> for_each_element(std::string_view text, size_t open, Visitor visit);
  void read_element(std::string_view text, const std::string& where, size_t offset);
  void set_field(const Member& member);
  std::optional<Payment> build(const std::vector<Member>& members, std::string* reason);
  void accept(Payment&& payment);
  void read_members(const std::vector<Member>& members, const std::string& where);
  bool read_planned();
  void reject_broken(std::string_view text, const std::string& reason);
  void reject(RejectedPayment rejected);
  void look_up();
  bool is_full(std::string_view text, size_t at);
  Error broken(std::string_view text, size_t at, size_t position, Document::Reading reading) const;
  void end_at(std::string_view text, size_t rest, Error fault);
  void expect_end(std::string_view text, size_t at);
  [[noreturn]] void refuse(std::string_view found) const;

  PaymentFormat format_;
  const Mapping* mapping_;  // null: none
  std::optional<MappingPlan> plan_;  // where nobody asks what each payment is as mapped
  const GiveWay& give_way_;
  const PaymentSeen& seen_;
  std::string mapped_;                // the payment at hand
  std::string_view current_;          // what it is read from
  std::vector<MappingFault> faults_;  // of its mapping
  std::vector<std::pair<std::string_view, std::string>> around_;  // fields of what stands around the payment, as JSON
  std::vector<std::string> columns_;  // of payments that are arrays
  PaymentBatch batch_;
  Document document_;
  PaymentBuilder builder_;
  std::vector<Member> members_;
  std::string part_;            // " of the ..." for a text within the body
  bool is_absent_ = false;      // what the path was refused for: no such member
  bool is_head_apart_ = false;  // from values that must not be kept: no name stands beside them
  size_t readable_ = 0;         // payments that are whole, whatever their values
  std::optional<Error> first_fault_;
  size_t rejected_bytes_ = 0;
  size_t since_pause_ = 0;
  std::chrono::steady_clock::time_point paused_ = std::chrono::steady_clock::now();
};

}  // namespace fraud
