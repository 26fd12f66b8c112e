// Reads response bodies in every layout that payments come in, a payment at a time.
#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/payments/csv.h"
#include "core/payments/forbidden_fields.h"
#include "core/payments/json_document.h"
#include "core/payments/json_scan.h"
#include "core/payments/mapping.h"
#include "core/payments/mapping_proposal.h"
#include "core/payments/mask.h"
#include "core/payments/payload_writer.h"
#include "core/payments/payment.h"

namespace fraud {
namespace {

constexpr size_t kPaymentsBetweenPauses = 1000;
// Members of a body's outermost object that are looked at: those of the split layout.
constexpr size_t kMaxOuterMembers = 100;

// A member of the object that a body is, before its value is read.
struct OuterMember {
  std::string name;
  size_t at;
  Extent extent;
};

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

bool has_payment_field(const std::vector<Member>& members) {
  return std::any_of(members.begin(), members.end(), [](const Member& member) { return member.field != kUnknownField; });
}

// Returns what members an object has, for messages.
std::string keys_found(const std::vector<OuterMember>& members) {
  constexpr size_t kMost = 10;
  if (members.empty()) return "; it has no members";
  std::string found = "; it has keys ";
  for (size_t i = 0; i < std::min(members.size(), kMost); ++i) found += (i > 0 ? ", " : "") + quote_value(members[i].name, "");
  return members.size() > kMost ? found + ", ..." : found;
}

// Returns a hint at the mapping that would fit a body.
std::string suggest_mapping(std::string_view body, PaymentFormat format = PaymentFormat::kAuto) {
  const std::string mapping = propose_mapping(body, format);
  return mapping.empty() ? "" : "It looks as if this would fit: mapping => '" + mapping + "'.";
}

// Calls `visit(line, number)` for each line that is not blank.
template <typename Visitor>
void for_each_line(std::string_view text, Visitor visit) {
  size_t number = 1;
  for (size_t begin = 0; begin < text.size(); ++number) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    if (line.find_first_not_of(kJsonBlank) != std::string_view::npos) visit(line, number);
    begin = end + 1;
  }
}

// Reads one body.
class Reader {
 public:
  Reader(PaymentFormat format, const Mapping* mapping, const GiveWay& give_way, const PaymentSeen& seen)
      : format_(format), mapping_(mapping), give_way_(give_way), seen_(seen) {}

  PaymentBatch read(std::string_view body) {
    constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
    if (body.substr(0, kByteOrderMark.size()) == kByteOrderMark) {
      body.remove_prefix(kByteOrderMark.size());
    }
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
  bool map(std::string_view text, const std::string& where);
  std::string in_terms_of_source(std::string reason);
  bool looks_like_lines(std::string_view text);
  std::vector<OuterMember> outer_members(std::string_view text, size_t at, std::string_view last = {});
  std::string_view known_layout(std::string_view text, const std::vector<OuterMember>& members);
  template <typename Visitor>
  std::optional<size_t> for_each_element(std::string_view text, size_t open, Visitor visit);
  void read_element(std::string_view text, const std::string& where, size_t offset);
  void set_field(const Member& member);
  void read_members(const std::vector<Member>& members, const std::string& where);
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
  const GiveWay& give_way_;
  const PaymentSeen& seen_;
  std::string mapped_;                // the payment at hand
  std::string_view current_;          // what it is read from
  std::vector<MappingFault> faults_;  // of its mapping
  PaymentBatch batch_;
  Document document_;
  PaymentBuilder builder_;
  std::vector<Member> members_;
  std::string part_;            // " of the ..." for a text within the body
  bool is_head_apart_ = false;  // from values that must not be kept: no name stands beside them
  size_t readable_ = 0;         // payments that are whole, whatever their values
  std::optional<Error> first_fault_;
  size_t rejected_bytes_ = 0;
  size_t since_pause_ = 0;
};

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
  return Error(ErrorCode::kInvalidJson, message, is_markup ? "The content begins with \"<\", as HTML and XML do." : "");
}

// Ends the reading of a text whose rest, from `rest` on, is unreadable.
void Reader::end_at(std::string_view text, size_t rest, Error fault) {
  if (readable_ == 0) throw first_fault_ ? *first_fault_ : fault;
  if (skip_blank(text, rest) < text.size()) reject_broken(text.substr(rest), fault.what());
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
  if (++since_pause_ < kPaymentsBetweenPauses) return;
  since_pause_ = 0;
  if (give_way_) give_way_();
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
      // It has lost digits, and could be taken for another payment's.
      if (member.name == "trans_num") {
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

// Builds a payment of the members, or rejects it.
void Reader::read_members(const std::vector<Member>& members, const std::string& where) {
  // Of a field that is given twice the last counts, as in jsonb.
  std::array<size_t, kPaymentFields> last{};
  for (size_t i = 0; i < members.size(); ++i) {
    if (members[i].field != kUnknownField) last[static_cast<size_t>(members[i].field)] = i;
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
    if (member.field == kUnknownField || member.field == kAttributes) {
      has_attributes = true;
    } else if (!comes_first(member.field) && last[static_cast<size_t>(member.field)] == i) {
      set_field(member);
    }
  }
  ++readable_;
  look_up();
  std::string reason;
  if (std::optional<Payment> payment = builder_.finish(&reason)) {
    if (has_attributes) payment->attributes = write_attributes(document_, members, payment->card_number);
    batch_.payments.push_back(std::move(*payment));
    if (seen_) seen_(std::exchange(current_, {}), "");
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
  const Document::Reading reading = document_.read(text);
  if (reading != Document::Reading::kWhole) {
    const Error fault = broken(text, 0, document_.position() + offset, reading);
    if (!first_fault_) first_fault_.emplace(fault.code(), where + fault.what(), fault.detail());
    reject_broken(text, where + fault.what());
    look_up();
    return;
  }
  if (document_.kind(0) == Kind::kObject) {
    if (!map(text, where)) return;
    members_of(document_, 0, &members_);
    read_members(members_, where);
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

// Reads a row of the split layout, which the document holds.
void Reader::read_row(const std::vector<std::string>& columns, const std::vector<int>& fields) {
  if (document_.kind(0) == Kind::kArray && document_.size(0) == columns.size()) {
    members_.clear();
    size_t value = Document::first(0);
    for (size_t i = 0; i < columns.size(); ++i) {
      members_.push_back({columns[i], value, fields[i]});
      value = document_.next(value);
    }
    if (seen_ || (mapping_ != nullptr && mapping_->has_rules())) {
      std::string object = "{";
      for (const Member& member : members_) {
        if (object.size() > 1) object += ',';
        write_json_string(member.name, &object);
        object += ':';
        write_node(document_, member.node, &object);
      }
      read_element(object + '}', "", 0);
      return;
    }
    read_members(members_, "");
    return;
  }
  RejectedPayment rejected;
  rejected.reason = "row is ";
  if (document_.kind(0) == Kind::kArray) {
    rejected.reason += "an array of " + std::to_string(document_.size(0)) + " values";
  } else {
    rejected.reason += kind_name(document_.kind(0));
  }
  rejected.reason += ": expected an array of " + std::to_string(columns.size()) + " values";
  // Which of its values is the card number is not known, nor which must not be kept.
  PayloadWriter writer(document_, "", Masking::kAny);
  if (!is_head_apart_) writer.write(0);
  rejected.payload = is_head_apart_ ? "\"[cut]\"" : writer.take();
  ++readable_;
  reject(std::move(rejected));
  look_up();
}

// ----------------------------------------------------------------- layouts

// Calls `visit(element, offset)` for each element of the array that opens at `open`, and
// returns the place behind it; nothing when it breaks, whose rest is then set aside.
template <typename Visitor>
std::optional<size_t> Reader::for_each_element(std::string_view text, size_t open, Visitor visit) {
  size_t at = skip_blank(text, open + 1);
  if (at < text.size() && text[at] == ']') return at + 1;
  for (;;) {
    const Extent extent = value_extent(text, at, give_way_);
    if (!extent.is_whole) {
      const std::string_view rest = text.substr(at, kMaxPaymentBytes);
      size_t position = extent.end - at + 1;
      Document::Reading reading = Document::Reading::kBroken;
      // Within the value the library may find a fault that comes before the bracket.
      if (!rest.empty()) {
        reading = document_.read(rest);
        const bool is_within = document_.position() < rest.size() || rest.size() < kMaxPaymentBytes;
        if (reading == Document::Reading::kBroken && is_within) position = std::min(position, document_.position());
      }
      end_at(text, at, broken(text, at, position, reading));
      return std::nullopt;
    }
    if (is_full(text, at)) return std::nullopt;
    visit(text.substr(at, extent.end - at), at);
    const size_t next = skip_blank(text, extent.end);
    if (next < text.size() && text[next] == ']') return next + 1;
    if (next >= text.size() || text[next] != ',') {
      end_at(text, next, broken(text, next, 1, Document::Reading::kBroken));
      return std::nullopt;
    }
    at = skip_blank(text, next + 1);
  }
}

void Reader::read_array(std::string_view text, size_t at) {
  if (format_ == PaymentFormat::kSplit || format_ == PaymentFormat::kNdjson) refuse("an array");
  size_t elements = 0;
  bool are_arrays = true;
  const std::optional<size_t> end = for_each_element(text, at, [&](std::string_view element, size_t offset) {
    ++elements;
    are_arrays = are_arrays && element[0] == '[';
    read_element(element, "", offset);
  });
  if (!end) return;
  if (elements > 0 && readable_ == 0 && !first_fault_) {
    refuse(are_arrays ? "an array of arrays (pandas' orient=\"values\")" : "an array without any object");
  }
  expect_end(text, *end);
}

void Reader::read_split(std::string_view text, const OuterMember& columns, const OuterMember& data, size_t end) {
  const std::string_view head = text.substr(columns.at, columns.extent.end - columns.at);
  const Document::Reading reading = document_.read(head.substr(0, kMaxPaymentBytes));
  if (reading != Document::Reading::kWhole) throw broken(text, columns.at, document_.position(), reading);
  if (document_.kind(0) != Kind::kArray) {
    refuse("\"columns\" that is " + std::string(kind_name(document_.kind(0))));
  }
  if (text[data.at] != '[') {
    const bool is_read = document_.read(text.substr(data.at, std::min(data.extent.end - data.at, kMaxPaymentBytes))) ==
                         Document::Reading::kWhole;
    refuse("\"data\" that is " + std::string(is_read ? kind_name(document_.kind(0)) : "no array"));
  }
  std::vector<std::string> names;
  std::vector<int> fields;
  for (size_t node = Document::first(0); node < document_.next(0); node = document_.next(node)) {
    if (document_.is_container(node)) {
      refuse("a column name that is " + std::string(kind_name(document_.kind(node))));
    }
    const std::string name(document_.text(node));
    const int field = find_payment_field(name);
    const bool is_mapped = mapping_ != nullptr && mapping_->has_rules();
    if (!is_mapped && field != kUnknownField && std::find(fields.begin(), fields.end(), field) != fields.end()) {
      refuse("the column \"" + name + "\" twice");
    }
    is_head_apart_ = is_head_apart_ || is_forbidden_field(name);
    names.push_back(name);
    fields.push_back(field);
  }
  const std::optional<size_t> data_end =
      for_each_element(text, data.at, [&](std::string_view row, size_t offset) {
        const Document::Reading row_reading =
            row.size() > kMaxPaymentBytes ? Document::Reading::kBroken : document_.read(row);
        if (row_reading == Document::Reading::kWhole) {
          read_row(names, fields);
          return;
        }
        const Error fault = broken(text, offset, document_.position(), row_reading);
        if (!first_fault_) first_fault_ = fault;
        reject_broken(row, fault.what());
        look_up();
      });
  if (data_end) expect_end(text, end);
}

// Returns the members of the object that begins at `at`, as far as it is one, or up to the one
// of the name `last`, whose value is not looked at. The last may be without an end.
std::vector<OuterMember> Reader::outer_members(std::string_view text, size_t at, std::string_view last) {
  std::vector<OuterMember> members;
  while (members.size() < kMaxOuterMembers) {
    at = skip_blank(text, at + 1);
    const Extent name = value_extent(text, at, give_way_);
    if (!name.is_whole || text[at] != '"' || document_.read(text.substr(at, name.end - at)) != Document::Reading::kWhole) break;
    const size_t colon = skip_blank(text, name.end);
    if (colon >= text.size() || text[colon] != ':') break;
    OuterMember member{std::string(document_.text(0)), skip_blank(text, colon + 1), {}};
    if (member.at >= text.size()) break;
    if (!last.empty() && member.name == last) {
      members.push_back(member);
      break;
    }
    member.extent = value_extent(text, member.at, give_way_);
    members.push_back(member);
    at = skip_blank(text, member.extent.end);
    if (!member.extent.is_whole || at >= text.size() || text[at] != ',') break;
  }
  return members;
}

// Returns what the tool that wrote an object of these members calls its layout, if it is none
// of ours.
std::string_view Reader::known_layout(std::string_view text, const std::vector<OuterMember>& members) {
  bool are_objects = !members.empty(), has_field = false, has_schema = false, has_rows = false;
  for (const OuterMember& member : members) {
    are_objects = are_objects && text[member.at] == '{';
    has_field = has_field || find_payment_field(member.name) != kUnknownField;
    has_schema = has_schema || member.name == "schema";
    has_rows = has_rows || (member.name == "data" && text[member.at] == '[');
  }
  if (has_schema && has_rows) return "an object with \"schema\" and \"data\" (pandas' orient=\"table\")";
  if (!are_objects) return "";
  if (has_field) return "an object of columns (pandas' orient=\"columns\")";
  const OuterMember& first = members[0];
  const std::string_view value = text.substr(first.at, std::min(first.extent.end - first.at, kMaxPaymentBytes));
  if (document_.read(value) != Document::Reading::kWhole) return "";
  members_of(document_, 0, &members_);
  return has_payment_field(members_) ? "an object of rows by their index (pandas' orient=\"index\")" : "";
}

// Reads a body that begins as an object: the split layout, one payment, or one a line.
void Reader::read_object(std::string_view text, size_t at) {
  if (mapping_ != nullptr && !mapping_->payments.empty()) {
    read_at_path(text, at);
    return;
  }
  const Extent extent = value_extent(text, at, give_way_);
  const bool is_all = extent.is_whole && skip_blank(text, extent.end) == text.size();
  if (!is_all && format_ == PaymentFormat::kAuto && looks_like_lines(text)) {
    read_lines(text);
    return;
  }
  const OuterMember* columns = nullptr;
  const OuterMember* data = nullptr;
  const std::vector<OuterMember> members = outer_members(text, at);
  for (const OuterMember& member : members) {
    if (member.name == "columns" && member.extent.is_whole) columns = &member;
    if (member.name == "data") data = &member;
  }
  if (columns != nullptr && data != nullptr) {
    if (format_ != PaymentFormat::kAuto && format_ != PaymentFormat::kSplit) {
      refuse("an object with \"columns\" and \"data\"");
    }
    read_split(text, *columns, *data, extent.end);
    return;
  }
  const bool is_mapped = mapping_ != nullptr && mapping_->has_rules();
  const std::string_view layout = is_mapped ? std::string_view() : known_layout(text, members);
  if (!layout.empty()) refuse(layout);
  const std::string_view object = text.substr(at, extent.end - at);
  const Document::Reading reading = document_.read(object.substr(0, kMaxPaymentBytes));
  if (object.size() > kMaxPaymentBytes && reading != Document::Reading::kTooDeep) {
    refuse("an object of more than " + std::to_string(kMaxPaymentBytes) + " bytes");
  }
  if (!extent.is_whole || reading != Document::Reading::kWhole) {
    throw broken(text, at, reading == Document::Reading::kWhole ? object.size() + 1 : document_.position(), reading);
  }
  members_of(document_, 0, &members_);
  if (!is_mapped && !has_payment_field(members_)) {
    throw Error(ErrorCode::kInvalidPayload, "expected payments, found an object without any field of a payment" + keys_found(members),
                "", suggest_mapping(text));
  }
  if (format_ == PaymentFormat::kSplit) refuse("one payment object");
  if (map(object, "")) {
    members_of(document_, 0, &members_);
    read_members(members_, "");
  }
  expect_end(text, extent.end);
}

// Reads the payments of a body that has them at the mapping's path: what stands around them is
// passed over.
void Reader::read_at_path(std::string_view text, size_t at) {
  const auto fault = [&](const std::string& found) {
    throw Error(ErrorCode::kInvalidPayload, "expected payments at " + mapping_->payments_path + ", found " + found, "", suggest_mapping(text));
  };
  const Extent extent = value_extent(text, at, give_way_);
  const size_t end = extent.is_whole ? extent.end : text.size();
  for (const PathStep& step : mapping_->payments) {
    if (step.index >= 0) {
      // Of an array the place is looked for element by element.
      int64_t index = 0;
      size_t element = text[at] == '[' ? skip_blank(text, at + 1) : text.size();
      while (element < text.size() && text[element] != ']' && index < step.index) {
        element = skip_blank(text, value_extent(text, element, give_way_).end);
        if (element < text.size() && text[element] == ',') element = skip_blank(text, element + 1);
        ++index;
      }
      if (element >= text.size() || text[element] == ']') fault("nothing at [" + std::to_string(step.index) + "]");
      at = element;
      continue;
    }
    if (text[at] != '{') fault(std::string(text[at] == '[' ? "an array" : "a value") + " where \"" + step.key + "\" should be a member");
    const std::vector<OuterMember> members = outer_members(text, at, step.key);
    if (members.empty() || members.back().name != step.key) {
      // What is cut off has lost it.
      if (!extent.is_whole && !members.empty()) throw broken(text, 0, extent.end + 1, Document::Reading::kBroken);
      fault("no \"" + step.key + "\"" + keys_found(members));
    }
    at = members.back().at;
  }
  if (text[at] == '[') {
    if (!for_each_element(text, at, [&](std::string_view element, size_t offset) { read_element(element, "", offset); })) return;
  } else if (text[at] == '{') {
    const Extent one = value_extent(text, at, give_way_);
    if (!one.is_whole) throw broken(text, 0, one.end + 1, Document::Reading::kBroken);
    read_element(text.substr(at, one.end - at), "", at);
  } else if (text.substr(at, 4) != "null") {
    // null is how some write an empty list.
    fault("a value that is neither an array nor an object");
  }
  expect_end(text, end);
}

// Reads lines of comma-separated values. A line that is broken is set aside by itself.
void Reader::read_csv(std::string_view text) {
  Csv csv(text, mapping_ != nullptr ? mapping_->delimiter : ',');
  std::vector<std::string> columns = mapping_ != nullptr ? mapping_->columns : std::vector<std::string>();
  if (columns.empty()) {
    if (!csv.next() || csv.is_broken()) refuse(csv.is_broken() ? "a header line that is broken: " + csv.fault() : "no header line");
    if (text.substr(csv.begin(), csv.end() - csv.begin()).find('\r') != std::string_view::npos) {
      refuse("a CR that ends no line: lines end in LF or CRLF");
    }
    columns = csv.fields();
    std::vector<std::string> names = columns;
    std::sort(names.begin(), names.end());
    const auto twice = std::adjacent_find(names.begin(), names.end());
    if (twice != names.end() && !twice->empty()) refuse("the column " + quote_value(*twice, "") + " twice");
    const bool is_mapped = mapping_ != nullptr && mapping_->has_rules();
    if (!is_mapped && std::none_of(names.begin(), names.end(), is_payment_field)) {
      std::string found = "a header without any field of a payment; it has columns ";
      for (size_t i = 0; i < std::min<size_t>(columns.size(), 20); ++i) found += (i > 0 ? ", " : "") + quote_value(columns[i], "");
      throw Error(ErrorCode::kInvalidPayload, "expected payments, found " + found, "", suggest_mapping(text, format_));
    }
  }
  for (const std::string& name : columns) is_head_apart_ = is_head_apart_ || is_forbidden_field(name);
  std::string object;
  while (csv.next()) {
    if (is_full(text, csv.begin())) return;
    const std::string where = "line " + std::to_string(csv.line()) + ": ";
    const std::string_view line = text.substr(csv.begin(), csv.end() - csv.begin());
    ++readable_;
    if (csv.is_broken() || csv.fields().size() != columns.size()) {
      reject_broken(line, where + (csv.is_broken() ? csv.fault()
                                                   : "it has " + std::to_string(csv.fields().size()) + " values: expected " +
                                                         std::to_string(columns.size()) + ", as the header has"));
      look_up();
      continue;
    }
    object = '{';
    for (size_t i = 0; i < columns.size(); ++i) {
      // A column without a name is an index that some tool has left there.
      if (columns[i].empty()) continue;
      if (object.size() > 1) object += ',';
      write_json_string(columns[i], &object);
      object += ':';
      write_csv_value(csv.fields()[i], &object);
    }
    object += '}';
    read_element(object, where, 0);
  }
  if (csv.has_gone_wrong()) throw Error(ErrorCode::kLimitExceeded, "the CSV reader has no memory left");
}

// True when a text that is no JSON as a whole has objects on lines of their own.
bool Reader::looks_like_lines(std::string_view text) {
  size_t lines = 0;
  size_t openings = 0;
  for_each_line(text, [&](std::string_view line, size_t) {
    ++lines;
    if (line[line.find_first_not_of(kJsonBlank)] == '{') ++openings;
  });
  if (lines < 2 || openings * 2 < lines) return false;
  // A single document that was cut and has its brackets on such lines has no
  // line that is a whole object.
  bool has_object = false;
  for_each_line(text, [&](std::string_view line, size_t) {
    const size_t at = skip_blank(line, 0);
    if (has_object || line[at] != '{' || line.size() > kMaxPaymentBytes) return;
    has_object = document_.read(line) == Document::Reading::kWhole;
    look_up();
  });
  return has_object;
}

void Reader::read_lines(std::string_view text) {
  bool is_ended = false;
  for_each_line(text, [&](std::string_view line, size_t number) {
    if (is_ended) return;
    is_ended = is_full(text, static_cast<size_t>(line.data() - text.data()));
    if (!is_ended) read_element(line, "line " + std::to_string(number) + ": ", 0);
  });
  if (readable_ > 0) return;
  if (first_fault_) throw *first_fault_;
  refuse("lines without any object");
}

// Reads the body, or the text that it wraps.
void Reader::read_text(std::string_view text) {
  const size_t at = skip_blank(text, 0);
  if (at == text.size()) throw Error(ErrorCode::kInvalidPayload, "empty body");
  if (format_ == PaymentFormat::kCsv) {
    read_csv(text);
    return;
  }
  if (format_ == PaymentFormat::kNdjson && text[at] == '{') {
    size_t lines = 0;
    for_each_line(text, [&](std::string_view, size_t) { ++lines; });
    if (lines > 1) {
      read_lines(text);
      return;
    }
  }
  switch (text[at]) {
    case '{':
      read_object(text, at);
      return;
    case '[':
      read_array(text, at);
      return;
    case '"': {
      if (!part_.empty()) refuse("a JSON string within a JSON string");
      size_t end = 0;
      const std::string inner = unwrap_string(text, at, &end, give_way_);
      part_ = " of the wrapped text";
      read_text(inner);
      part_.clear();
      if (!batch_.fault) expect_end(text, end);
      return;
    }
    default:
      break;
  }
  if (format_ == PaymentFormat::kNdjson && text.find('\n', at) != std::string_view::npos) {
    read_lines(text);
    return;
  }
  const Document::Reading reading = document_.read(text.substr(0, kMaxPaymentBytes));
  if (reading != Document::Reading::kWhole || document_.kind(0) == Kind::kUnreadable) {
    throw broken(text, 0, reading == Document::Reading::kWhole ? at + 1 : document_.position(), Document::Reading::kBroken);
  }
  refuse(kind_name(document_.kind(0)));
}

}  // namespace

PaymentBatch read_payments(std::string_view body, PaymentFormat format, const GiveWay& give_way) {
  return read_payments(body, format, nullptr, give_way);
}

PaymentBatch read_payments(std::string_view body, PaymentFormat format, const Mapping* mapping, const GiveWay& give_way,
                           const PaymentSeen& seen) {
  return Reader(format, mapping, give_way, seen).read(body);
}

}  // namespace fraud
