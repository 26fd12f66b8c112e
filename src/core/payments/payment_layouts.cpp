// The layouts that bodies of payments come in.
#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/payments/csv.h"
#include "core/payments/forbidden_fields.h"
#include "core/payments/mapping_proposal.h"
#include "core/payments/payment_reader.h"

namespace fraud {
namespace {

// Members of a body's outermost object that are looked at: those of the split layout.
constexpr size_t kMaxOuterMembers = 100;

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

}  // namespace

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
  if (!read_planned() && map(object, "")) {
    members_of(document_, 0, &members_);
    read_members(members_, "");
  }
  expect_end(text, extent.end);
}

// Reads the payments of a body that has them at the mapping's path: what stands around them is
// passed over, but for what fields are taken from.
void Reader::read_at_path(std::string_view text, size_t at) {
  const Extent extent = value_extent(text, at, give_way_);
  around_.clear();
  if (read_within(text, at, 0, extent.is_whole)) expect_end(text, extent.is_whole ? extent.end : text.size());
}

void Reader::refuse_path(std::string_view text, const std::string& found) const {
  throw Error(ErrorCode::kInvalidPayload, "expected payments at " + mapping_->payments_path + ", found " + found, "", suggest_mapping(text));
}

// Follows the path from its `step` on, into the value that begins at `at`. False: its end was not reached, and it
// is said why.
bool Reader::read_within(std::string_view text, size_t at, size_t step, bool is_whole) {
  const std::vector<PathStep>& path = mapping_->payments;
  const size_t around = around_.size();
  for (; step < path.size() && !path[step].is_many(); ++step) {
    const PathStep& one = path[step];
    if (one.index >= 0) {
      // Of an array the place is looked for element by element.
      int64_t index = 0;
      size_t element = text[at] == '[' ? skip_blank(text, at + 1) : text.size();
      while (element < text.size() && text[element] != ']' && index < one.index) {
        element = skip_blank(text, value_extent(text, element, give_way_).end);
        if (element < text.size() && text[element] == ',') element = skip_blank(text, element + 1);
        ++index;
      }
      if (element >= text.size() || text[element] == ']') refuse_path(text, "nothing at [" + std::to_string(one.index) + "]");
      at = element;
      continue;
    }
    if (text[at] != '{') refuse_path(text, std::string(text[at] == '[' ? "an array" : "a value") + " where \"" + one.key + "\" should be a member");
    const bool looks_around = mapping_->looks_around();
    const std::vector<OuterMember> members = outer_members(text, at, looks_around ? std::string_view() : one.key);
    const auto next = std::find_if(members.begin(), members.end(), [&](const OuterMember& member) { return member.name == one.key; });
    if (next == members.end()) {
      // What is cut off has lost it.
      if (!is_whole && !members.empty()) throw broken(text, 0, text.size() + 1, Document::Reading::kBroken);
      is_absent_ = true;
      refuse_path(text, "no \"" + one.key + "\"" + keys_found(members));
    }
    if (looks_around) look_around(text, members, step);
    at = next->at;
  }
  bool goes_on = true;
  if (step < path.size()) {
    goes_on = path[step].is_any_member ? read_any_member(text, at, step) : read_each(text, at, step);
  } else if (text[at] == '[') {
    goes_on = for_each_element(text, at, [&](std::string_view element, size_t offset) { read_element(element, "", offset); }).has_value();
  } else if (text[at] == '{') {
    const Extent one = value_extent(text, at, give_way_);
    if (!one.is_whole) throw broken(text, 0, one.end + 1, Document::Reading::kBroken);
    read_element(text.substr(at, one.end - at), "", at);
  } else if (text.substr(at, 4) != "null") {
    // null is how some write an empty list.
    refuse_path(text, "a value that is neither an array nor an object");
  }
  around_.resize(around);
  return goes_on;
}

// Follows the path from its `step` on into the value at `at`, one of several, of which some may lead nowhere: one without a
// member on the way has no payments, and of one that is of another kind a dead letter is made.
bool Reader::read_one_of(std::string_view text, size_t at, const Extent& extent, size_t step, Several* several) {
  const size_t around = around_.size();
  // Payments that are members end where the last whole one does.
  if (!extent.is_whole && step == mapping_->payments.size() && text[at] == '{') {
    end_at(text, at, broken(text, 0, text.size() + 1, Document::Reading::kBroken));
    return false;
  }
  try {
    const bool goes_on = read_within(text, at, step, extent.is_whole);
    several->has_led = true;
    return goes_on;
  } catch (const Error& error) {
    around_.resize(around);
    if (!extent.is_whole) {
      end_at(text, at, error);
      return false;
    }
    if (error.code() != ErrorCode::kInvalidPayload) throw;
    if (!several->fault) several->fault = error;
    if (!std::exchange(is_absent_, false)) several->others.emplace_back(text.substr(at, extent.end - at), error.what());
    return true;
  }
}

// Ends with several values of which some led nowhere; where none led to payments, that is the body's fault.
void Reader::end_several(const Several& several) {
  if (!several.fault) return;
  if (!several.has_led) {
    is_absent_ = several.others.empty();
    throw *several.fault;
  }
  for (const auto& [other, reason] : several.others) reject_broken(other, reason);
}

// Follows the path into each element of an array. What is cut off is read as far as it is there.
bool Reader::read_each(std::string_view text, size_t at, size_t step) {
  if (text.substr(at, 4) == "null") return true;
  if (text[at] != '[') refuse_path(text, "no array where each element is to be looked into");
  at = skip_blank(text, at + 1);
  if (at < text.size() && text[at] == ']') return true;
  Several several;
  while (at < text.size()) {
    const Extent extent = value_extent(text, at, give_way_);
    if (!read_one_of(text, at, extent, step + 1, &several)) return false;
    if (!extent.is_whole) break;
    at = skip_blank(text, extent.end);
    if (at < text.size() && text[at] == ']') {
      end_several(several);
      return true;
    }
    if (at >= text.size() || text[at] != ',') break;
    at = skip_blank(text, at + 1);
  }
  end_at(text, text.size(), broken(text, 0, text.size() + 1, Document::Reading::kBroken));
  return false;
}

// Follows the path into the value of each member of an object, of whose name fields may be made.
bool Reader::read_any_member(std::string_view text, size_t at, size_t step) {
  if (text.substr(at, 4) == "null") return true;
  if (text[at] != '{') refuse_path(text, "no object where each member is to be looked into");
  const size_t around = around_.size();
  at = skip_blank(text, at + 1);
  if (at < text.size() && text[at] == '}') return true;
  Several several;
  while (at < text.size() && text[at] == '"') {
    const Extent name = value_extent(text, at, give_way_);
    if (!name.is_whole || document_.read(text.substr(at, name.end - at)) != Document::Reading::kWhole) break;
    const size_t colon = skip_blank(text, name.end);
    if (colon >= text.size() || text[colon] != ':') break;
    for (const FieldRule& rule : mapping_->rules) {
      if (!rule.is_key) continue;
      around_.emplace_back(rule.name, "");
      write_node(document_, 0, &around_.back().second);
    }
    at = skip_blank(text, colon + 1);
    if (at >= text.size()) break;
    const Extent extent = value_extent(text, at, give_way_);
    if (!read_one_of(text, at, extent, step + 1, &several)) return false;
    around_.resize(around);
    if (!extent.is_whole) break;
    at = skip_blank(text, extent.end);
    if (at < text.size() && text[at] == '}') {
      end_several(several);
      return true;
    }
    if (at >= text.size() || text[at] != ',') break;
    at = skip_blank(text, at + 1);
  }
  around_.resize(around);
  end_at(text, text.size(), broken(text, 0, text.size() + 1, Document::Reading::kBroken));
  return false;
}

// Returns, in the document, what a way leads to that leaves that of the payments at an object of these members; or nothing.
std::optional<size_t> Reader::find_around(std::string_view text, const std::vector<OuterMember>& members, size_t step, const std::vector<PathStep>& around) {
  const std::vector<PathStep>& path = mapping_->payments;
  const auto depth = static_cast<std::ptrdiff_t>(step);
  if (around.size() <= step || !std::equal(path.begin(), path.begin() + depth, around.begin())) return std::nullopt;
  if (around[step] == path[step]) return std::nullopt;  // farther on
  // Of members of one name the last counts.
  const auto found = std::find_if(members.rbegin(), members.rend(), [&](const OuterMember& member) { return member.name == around[step].key; });
  if (found == members.rend() || !found->extent.is_whole || found->extent.end - found->at > kMaxPaymentBytes) return std::nullopt;
  if (document_.read(text.substr(found->at, found->extent.end - found->at)) != Document::Reading::kWhole) return std::nullopt;
  size_t node = 0;
  for (size_t i = step + 1; i < around.size(); ++i) {
    if (document_.kind(node) != Kind::kObject) return std::nullopt;
    bool is_there = false;
    const size_t end = document_.next(node);
    for (size_t key = Document::first(node); key < end;) {
      const size_t value = document_.next(key);
      if (document_.text(key) == around[i].key) {
        node = value;
        is_there = true;
      }
      key = document_.next(value);
    }
    if (!is_there) return std::nullopt;
  }
  return node;
}

// Takes the names of the columns of payments that are arrays, where an object of these members leads to them.
void Reader::look_for_columns(std::string_view text, const std::vector<OuterMember>& members, size_t step) {
  const std::vector<PathStep>& path = mapping_->columns_path;
  if (path.size() <= step || path[step] == mapping_->payments[step]) return;
  const std::optional<size_t> list = find_around(text, members, step, path);
  columns_.clear();
  if (!list || document_.kind(*list) != Kind::kArray) return;
  for (size_t one = Document::first(*list); one < document_.next(*list); one = document_.next(one)) {
    columns_.emplace_back();
    if (!document_.is_container(one)) columns_.back() = document_.text(one);
    if (document_.kind(one) != Kind::kObject) continue;
    for (size_t key = Document::first(one); key < document_.next(one);) {
      const size_t value = document_.next(key);
      if (document_.text(key) == mapping_->columns_member && !document_.is_container(value)) columns_.back() = document_.text(value);
      key = document_.next(value);
    }
  }
  for (const std::string& name : columns_) is_head_apart_ = is_head_apart_ || is_forbidden_field(name);
}

// Takes what fields are to have of an object on the path's way, at its `step`.
void Reader::look_around(std::string_view text, const std::vector<OuterMember>& members, size_t step) {
  look_for_columns(text, members, step);
  for (const FieldRule& rule : mapping_->rules) {
    const std::optional<size_t> node = find_around(text, members, step, rule.around);
    if (!node) continue;
    around_.emplace_back(rule.name, "");
    write_node(document_, *node, &around_.back().second);
  }
}

// Returns the object with what is taken from around it as its first member.
std::string Reader::with_envelope(std::string_view text) const {
  std::string object = "{\"" + std::string(kEnvelope) + "\":{";
  for (const auto& [name, value] : around_) {
    if (object.back() != '{') object += ',';
    ((object += '"').append(name).append("\":")).append(value);
  }
  object += '}';
  const size_t first = skip_blank(text, 1);
  if (first < text.size() && text[first] != '}') object += ',';
  return object.append(text.substr(1));
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
  if (csv.has_gone_wrong()) throw Error(ErrorCode::kLimitExceeded, "the CSV reader has no memory left", {},
                                       "Send, or ask for, fewer payments at a time.");
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
    if (is_ended) return;
    const size_t rejected = batch_.rejected.size();
    read_element(line, "line " + std::to_string(number) + ": ", 0);
    // One without an end may have been cut.
    if (batch_.rejected.size() > rejected && line.data() + line.size() == text.data() + text.size()) {
      batch_.rest_is_rejected = document_.read(line) != Document::Reading::kWhole;
    }
  });
  if (readable_ > 0) return;
  if (first_fault_) throw *first_fault_;
  refuse("lines without any object");
}

// Reads the body, or the text that it wraps.
void Reader::read_text(std::string_view text) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (text.substr(0, kByteOrderMark.size()) == kByteOrderMark) text.remove_prefix(kByteOrderMark.size());
  const size_t at = skip_blank(text, 0);
  if (at == text.size()) throw Error(ErrorCode::kInvalidPayload, "empty body",
                                     "Expected payments: a JSON object or array, lines of objects, or CSV.");
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

}  // namespace fraud
