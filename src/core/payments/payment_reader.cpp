// Reads a payment at a time, as the layouts find it (payment_layouts.cpp), and keeps what could not be read.
#include "core/payments/payment_reader.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/payments/forbidden_fields.h"
#include "core/payments/mask.h"

namespace fraud {
namespace {

constexpr size_t kPaymentsBetweenPauses = 1000;

}  // namespace

// Returns the members of an object.
void members_of(const Document& document, size_t object, std::vector<Member>* members) {
  members->clear();
  for (size_t key = Document::first(object); key < document.next(object);) {
    const size_t value = document.next(key);
    if (value >= document.next(object)) break;  // of a broken one
    const std::string_view name = document.text(key);
    members->push_back({name, value, find_payment_field(name)});
    key = document.next(value);
  }
}

// ------------------------------------------------------------------ faults

// Throws the error for a body of another layout than expected.
void Reader::refuse(std::string_view found) const {
  std::string_view expected = "payments";
  switch (format_) {
    case PaymentFormat::kAuto:
      break;
    case PaymentFormat::kSplit:
      expected = "an object with arrays \"columns\" and \"data\" (format \"split\")";
      break;
    case PaymentFormat::kRecords:
      expected = "an array of payment objects, or one (format \"records\")";
      break;
    case PaymentFormat::kNdjson:
      expected = "one payment object a line (format \"ndjson\")";
      break;
    case PaymentFormat::kCsv:
      expected = "a header and a payment a line (format \"csv\")";
      break;
  }
  throw Error(ErrorCode::kInvalidPayload,
              "expected " + std::string(expected) + ", found " + std::string(found));
}

// Returns the fault of a text that is broken at `position`, from 1, of what begins at `at`.
Error Reader::broken(std::string_view text, size_t at, size_t position, Document::Reading reading) const {
  if (reading == Document::Reading::kTooDeep) {
    return Error(ErrorCode::kLimitExceeded,
                 "JSON" + part_ + " is nested deeper than " + std::to_string(kMaxJsonDepth) + " levels");
  }
  position += at;
  std::string message = "invalid JSON at byte " + std::to_string(position) + part_;
  if (position > text.size()) message += ": it is cut off";
  const bool is_markup = text[skip_blank(text, 0)] == '<';
  return Error(ErrorCode::kInvalidJson, message, is_markup ? "The content begins with \"<\", as HTML and XML do." : "",
               position > text.size() ? "Send, or ask for, the whole text."
                                      : "Look there for what is no JSON; lines of CSV are read as format csv.");
}

// Ends the reading of a text whose rest, from `rest` on, is unreadable.
void Reader::end_at(std::string_view text, size_t rest, Error fault) {
  if (readable_ == 0) throw first_fault_ ? *first_fault_ : fault;
  if (skip_blank(text, rest) < text.size()) {
    reject_broken(text.substr(rest), fault.what());
    batch_.rest_is_rejected = true;
  }
  batch_.fault.emplace(std::move(fault));
}

// Ends the reading of a text that must be blank from `at` on.
void Reader::expect_end(std::string_view text, size_t at) {
  if (readable_ == 0 && first_fault_) throw *first_fault_;
  at = skip_blank(text, at);
  if (at < text.size()) end_at(text, at, broken(text, at, 1, Document::Reading::kBroken));
}

// True when no more can be taken; what follows from `at` on is set aside.
bool Reader::is_full(std::string_view text, size_t at) {
  std::string fault;
  if (batch_.payments.size() + batch_.rejected.size() >= kMaxPaymentsPerBody) {
    fault = "body holds more than " + std::to_string(kMaxPaymentsPerBody) + " payments";
  } else if (rejected_bytes_ > kMaxRejectedBytesPerBody) {
    fault = "rejected payments of the body take more than " + std::to_string(kMaxRejectedBytesPerBody) + " bytes";
  } else {
    return false;
  }
  end_at(text, at, Error(ErrorCode::kLimitExceeded, fault));
  return true;
}

void Reader::look_up() {
  // What a mapping asks of Postgres takes as long as it takes.
  constexpr std::chrono::milliseconds kLongest(50);
  const bool is_late = mapping_ != nullptr && std::chrono::steady_clock::now() - paused_ > kLongest;
  if (++since_pause_ < kPaymentsBetweenPauses && !is_late) return;
  since_pause_ = 0;
  if (give_way_) give_way_();
  if (mapping_ != nullptr) paused_ = std::chrono::steady_clock::now();
}

void Reader::reject(RejectedPayment rejected) {
  if (seen_) seen_(std::exchange(current_, {}), rejected.reason);
  bound_payload(&rejected.payload);
  if (rejected.id_at + rejected.id_size > rejected.payload.size()) rejected.id_size = 0;
  rejected_bytes_ += rejected.payload.size();
  batch_.rejected.push_back(std::move(rejected));
}

// Rejects text that is no JSON, with what could be read before the break.
void Reader::reject_broken(std::string_view text, const std::string& reason) {
  RejectedPayment rejected;
  rejected.reason = reason;
  if (text.size() > kMaxRejectedPayloadBytes) rejected.payload_size = text.size();
  if (!is_head_apart_) {
    rejected.payload = replace_bad_bytes(redact_broken(text, 2 * kMaxRejectedPayloadBytes));
    (void)document_.read(text.substr(0, kMaxPaymentBytes));
    if (!document_.empty() && document_.kind(0) == Kind::kObject) {
      members_of(document_, 0, &members_);
      for (const Member& member : members_) {
        if (document_.kind(member.node) == Kind::kString || document_.kind(member.node) == Kind::kInteger) {
          builder_.set(member.field, document_.text(member.node));
        }
      }
      std::string unused;
      (void)builder_.finish(&unused);
      rejected.transaction_id = builder_.partial().transaction_id;
      rejected.card_number = builder_.partial().card_number;
      rejected.id_holds_card = builder_.partial().id_holds_card;
      hide_card_number(builder_.card_digits(), &rejected.payload);
      builder_ = PaymentBuilder();
    }
  } else {
    rejected.payload = "\"[cut]\"";
  }
  reject(std::move(rejected));
}

// ---------------------------------------------------------------- payments

// Hands a member's value to the builder.
void Reader::set_field(const Member& member) {
  const Kind kind = document_.kind(member.node);
  switch (kind) {
    case Kind::kNull:
      break;
    case Kind::kUnreadable:
    case Kind::kUnreadableText:
      builder_.set_unreadable(member.field, document_.text(member.node), kind == Kind::kUnreadableText);
      break;
    case Kind::kArray:
    case Kind::kObject:
      builder_.set_unusable(member.field, kind_name(kind));
      break;
    case Kind::kFalse:
    case Kind::kTrue:
      if (member.name == "is_fraud") {
        builder_.set(member.field, document_.text(member.node));
      } else {
        builder_.set_unusable(member.field, kind_name(kind));
      }
      break;
    case Kind::kFloat:
      // It has lost digits, and could be taken for another payment's, or another customer's.
      if (member.name == "trans_num" || member.name == "reference" ||
          (member.name == "customer" && builder_.partial().customer_kind != "card")) {
        builder_.set_unusable(member.field, kind_name(kind));
        break;
      }
      [[fallthrough]];
    case Kind::kInteger:
    case Kind::kString:
      builder_.set(member.field, document_.text(member.node));
      break;
  }
}

// Hands the members to the builder, and returns what it makes of them.
std::optional<Payment> Reader::build(const std::vector<Member>& members, std::string* reason) {
  // Of a field that is given twice the last counts, as in jsonb.
  std::array<size_t, kPaymentFields> last{};
  for (size_t i = 0; i < members.size(); ++i) {
    if (members[i].field >= 0) last[static_cast<size_t>(members[i].field)] = i;
  }
  // What amounts and customers may be depends on these.
  static const std::array<int, 3> kFirst = {find_payment_field("currency"), find_payment_field("customer_kind"),
                                            find_payment_field("kind")};
  static const int kAttributes = find_payment_field("attributes");
  bool has_attributes = false;
  for (const int field : kFirst) {
    const size_t i = last[static_cast<size_t>(field)];
    if (i < members.size() && members[i].field == field) set_field(members[i]);
  }
  for (size_t i = 0; i < members.size(); ++i) {
    const Member& member = members[i];
    if (member.field < 0 || member.field == kAttributes) {
      has_attributes = true;
    } else if (!comes_first(member.field) && last[static_cast<size_t>(member.field)] == i) {
      set_field(member);
    }
  }
  std::optional<Payment> payment = builder_.finish(reason);
  // Of a payment itself a reference is what its merchant calls it, or the like: kept as other fields are.
  static const size_t kReference = static_cast<size_t>(find_payment_field("reference"));
  if (payment && !is_follow_up(payment->kind) && !payment->reference.empty()) {
    payment->reference.clear();
    std::vector<Member> with_reference = members;
    with_reference[last[kReference]].field = kAttribute;
    payment->attributes = write_attributes(document_, with_reference, payment->card_number);
  } else if (payment && has_attributes) {
    payment->attributes = write_attributes(document_, members, payment->card_number);
  }
  return payment;
}

void Reader::accept(Payment&& payment) {
  batch_.payments.push_back(std::move(payment));
  if (seen_) seen_(std::exchange(current_, {}), "");
}

// Builds a payment of the members, or rejects it.
void Reader::read_members(const std::vector<Member>& members, const std::string& where) {
  ++readable_;
  look_up();
  std::string reason;
  if (std::optional<Payment> payment = build(members, &reason)) {
    accept(std::move(*payment));
    return;
  }
  PayloadWriter writer(document_, builder_.card_digits(),
                       builder_.card_is_unknown() ? Masking::kAny : Masking::kLikely);
  writer.write_members(members);
  const Payment& partial = builder_.partial();
  RejectedPayment rejected;
  rejected.payload = writer.take();
  hide_secret(partial.card_number, &rejected.payload);
  rejected.reason = where + in_terms_of_source(std::move(reason));
  rejected.transaction_id = partial.transaction_id;
  rejected.card_number = partial.card_number;
  rejected.id_holds_card = partial.id_holds_card;
  rejected.id_at = writer.id_at();
  rejected.id_size = writer.id_size();
  builder_ = PaymentBuilder();
  reject(std::move(rejected));
}

// Reads a value that should be an object, and begins at `offset` of its text.
void Reader::read_element(std::string_view text, const std::string& where, size_t offset) {
  if (text.size() > kMaxPaymentBytes) {
    reject_broken(text, where + "payment is larger than " + std::to_string(kMaxPaymentBytes) + " bytes");
    return;
  }
  const bool is_enclosed = !around_.empty() && text[0] == '{' && document_.read(with_envelope(text)) == Document::Reading::kWhole;
  const Document::Reading reading = is_enclosed ? Document::Reading::kWhole : document_.read(text);
  if (reading != Document::Reading::kWhole) {
    const Error fault = broken(text, 0, document_.position() + offset, reading);
    if (!first_fault_) first_fault_.emplace(fault.code(), where + fault.what(), fault.detail());
    reject_broken(text, where + fault.what());
    look_up();
    return;
  }
  if (document_.kind(0) == Kind::kObject) {
    if (read_planned() || !map(text, where)) return;
    members_of(document_, 0, &members_);
    read_members(members_, where);
    return;
  }
  if (document_.kind(0) == Kind::kArray && mapping_ != nullptr && mapping_->has_rules()) {
    read_array_payment(text, where);
    return;
  }
  PayloadWriter writer(document_, "", Masking::kAny);
  writer.write(0);
  RejectedPayment rejected;
  rejected.payload = writer.take();
  rejected.reason = where + "payment is " + std::string(kind_name(document_.kind(0))) + ": expected an object";
  reject(std::move(rejected));
  look_up();
}

// Reads a payment that is an array, which the document holds: by the names of its columns, where they are known, else
// by places ("$[0]").
void Reader::read_array_payment(std::string_view text, const std::string& where) {
  if (columns_.empty() && mapping_->columns_path.empty()) {
    if (!map(text, where)) return;
    members_of(document_, 0, &members_);
    read_members(members_, where);
    return;
  }
  if (columns_.size() == document_.size(0)) {
    std::string object = "{";
    size_t value = Document::first(0);
    for (const std::string& name : columns_) {
      const size_t node = value;
      value = document_.next(value);
      if (name.empty()) continue;
      if (object.size() > 1) object += ',';
      write_json_string(name, &object);
      object += ':';
      write_node(document_, node, &object);
    }
    read_element(object + '}', where, 0);
    return;
  }
  RejectedPayment rejected;
  rejected.reason = where + (columns_.empty() ? "payment is an array, and there are no names of its columns at " + mapping_->columns_given
                                              : "payment is an array of " + std::to_string(document_.size(0)) + " values: expected " +
                                                    std::to_string(columns_.size()) + ", as there are columns");
  // Which of its values must not be kept is not known.
  rejected.payload = "\"[cut]\"";
  ++readable_;
  reject(std::move(rejected));
  look_up();
}

// Reads the payment, an object that the document holds, by the mapping's plan; false when it is to be
// mapped by way of a text, which alone says what is wrong with it.
bool Reader::read_planned() {
  if (!plan_ || !plan_->members(&document_, &members_)) return false;
  std::string reason;
  std::optional<Payment> payment = build(members_, &reason);
  if (!payment) {
    builder_ = PaymentBuilder();
    return false;
  }
  ++readable_;
  look_up();
  accept(std::move(*payment));
  return true;
}

// Maps the payment, an object that the document holds, and reads what comes of it in its place;
// false when that cannot be read, and is rejected.
bool Reader::map(std::string_view text, const std::string& where) {
  faults_.clear();
  if (mapping_ == nullptr || !mapping_->has_rules()) {
    current_ = text;
    return true;
  }
  mapped_.clear();
  mapping_->apply(document_, &mapped_, &faults_);
  current_ = mapped_;
  const Document::Reading reading = document_.read(mapped_);
  if (reading == Document::Reading::kWhole) return true;
  ++readable_;
  reject_broken(mapped_, where + broken(mapped_, 0, document_.position(), reading).what() + ", as mapped");
  look_up();
  return false;
}

// Returns the reason with the path of the field that it begins with, and with the mapping's own
// fault of that field, if there is one. Reasons begin with our name of a field.
std::string Reader::in_terms_of_source(std::string reason) {
  if (mapping_ == nullptr || !mapping_->has_rules()) return reason;
  const std::string field = reason.substr(0, reason.find_first_of(" :"));
  if (wire_name(field).empty()) return reason;
  const std::string_view path = mapping_->path_of(field);
  const std::string named = field + (path.empty() ? " (not mapped)" : " (" + std::string(path) + ")");
  for (const MappingFault& fault : faults_) {
    if (fault.name != field) continue;
    const std::string found = fault.is_text ? quote_value(fault.found, builder_.card_digits()) : fault.found;
    return named + " is " + found + ": expected " + fault.expected;
  }
  return named + reason.substr(field.size());
}


PaymentBatch read_payments(std::string_view body, PaymentFormat format, const GiveWay& give_way) {
  return read_payments(body, format, nullptr, give_way);
}

PaymentBatch read_payments(std::string_view body, PaymentFormat format, const Mapping* mapping, const GiveWay& give_way,
                           const PaymentSeen& seen) {
  return Reader(format, mapping, give_way, seen).read(body);
}

}  // namespace fraud
