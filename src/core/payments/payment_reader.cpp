// Reads response bodies in every layout that payments come in.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/payments/forbidden_fields.h"
#include "core/payments/mask.h"
#include "core/payments/payment.h"

namespace fraud {
namespace {

constexpr std::string_view kBlank = " \t\r\n";

// What the caller wants called now and then: while it lives, by maybe().
class GiveWay {
 public:
  explicit GiveWay(const std::function<void()>& call) : outer_(std::exchange(current_, &call)) {}
  ~GiveWay() noexcept { current_ = outer_; }
  GiveWay(const GiveWay&) = delete;
  GiveWay& operator=(const GiveWay&) = delete;

  // Calls it, every kSteps times: a step is a value that is parsed or read.
  static void maybe(size_t steps = 1) {
    steps_ += steps;
    if (steps_ < kSteps) return;
    steps_ = 0;
    if (current_ != nullptr && *current_) (*current_)();
  }

 private:
  static constexpr size_t kSteps = 20000;
  static inline thread_local const std::function<void()>* current_ = nullptr;
  static inline thread_local size_t steps_ = 0;
  const std::function<void()>* outer_;
};

enum class Kind : uint8_t { kNull, kFalse, kTrue, kInteger, kFloat, kString, kArray, kObject };

// Returns the kind of value with its article, for messages.
std::string_view kind_name(Kind kind) {
  switch (kind) {
    case Kind::kNull:
      return "null";
    case Kind::kFalse:
      return "false";
    case Kind::kTrue:
      return "true";
    case Kind::kInteger:
      return "an integer";
    case Kind::kFloat:
      return "a floating-point number";
    case Kind::kString:
      return "a string";
    case Kind::kArray:
      return "an array";
    case Kind::kObject:
      return "an object";
  }
  return "a value";
}

// Returns the index of the first byte that is not UTF-8 or is NUL, or npos.
// (The JSON library takes a NUL for the end of the input.)
size_t find_bad_byte(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  size_t at = 0;
  while (at < text.size()) {
    const unsigned char lead = byte(at);
    if (lead == 0) return at;
    if (lead < 0x80) {
      ++at;
      continue;
    }
    size_t length = 0;
    // The second byte's range excludes overlong forms, surrogates, and what is
    // above U+10FFFF.
    unsigned char low = 0x80;
    unsigned char high = 0xBF;
    if (lead >= 0xC2 && lead <= 0xDF) {
      length = 2;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
      length = 3;
      if (lead == 0xE0) low = 0xA0;
      if (lead == 0xED) high = 0x9F;
    } else if (lead >= 0xF0 && lead <= 0xF4) {
      length = 4;
      if (lead == 0xF0) low = 0x90;
      if (lead == 0xF4) high = 0x8F;
    } else {
      return at;
    }
    if (text.size() - at < length || byte(at + 1) < low || byte(at + 1) > high) return at;
    for (size_t i = 2; i < length; ++i) {
      if (byte(at + i) < 0x80 || byte(at + i) > 0xBF) return at;
    }
    at += length;
  }
  return std::string_view::npos;
}

// Returns `text` with each byte that is not UTF-8, or is NUL, as a question mark.
std::string replace_bad_bytes(std::string_view text) {
  std::string clean;
  clean.reserve(text.size());
  while (true) {
    const size_t bad = find_bad_byte(text);
    clean.append(text.substr(0, bad));
    if (bad == std::string_view::npos) return clean;
    clean += '?';
    text.remove_prefix(bad + 1);
  }
}

// A JSON document as one flat array in document order: its size is bounded, and
// neither building nor freeing it recurses. Numbers keep their digits as text.
class Document {
 public:
  // Parses `text`; throws Error. `part` is " of the ..." for a part of the body.
  void parse(std::string_view text, const std::string& part);

  // Nodes are named by index; the root is 0.
  Kind kind(size_t node) const { return nodes_[node].kind; }
  std::string_view text(size_t node) const {
    return std::string_view(texts_).substr(nodes_[node].at, nodes_[node].size);
  }
  // Returns how many nodes a container holds directly; in an object, keys count.
  size_t size(size_t node) const { return nodes_[node].size; }
  static size_t first(size_t node) { return node + 1; }
  // Returns the node that follows `node` and all that it holds.
  size_t next(size_t node) const {
    return nodes_[node].kind >= Kind::kArray ? nodes_[node].at : node + 1;
  }

 private:
  struct Node {
    size_t at;      // of a text: its offset; of a container: the node after it
    uint32_t size;  // of a text: its bytes; of a container: its direct nodes
    Kind kind;
  };
  class Handler;

  std::vector<Node> nodes_;
  std::string texts_;
};

// Takes the parser's events into the document.
class Document::Handler {
 public:
  explicit Handler(Document* document) : document_(document) {}

  bool null() { return add(Kind::kNull, "null"); }
  bool boolean(bool value) { return value ? add(Kind::kTrue, "true") : add(Kind::kFalse, "false"); }
  bool number_integer(int64_t value) { return add(Kind::kInteger, std::to_string(value)); }
  bool number_unsigned(uint64_t value) { return add(Kind::kInteger, std::to_string(value)); }
  bool number_float(double, const std::string& token) {
    // An integer of more than 64 bits comes here too, with all its digits.
    const bool is_integer = token.find_first_not_of("-0123456789") == std::string::npos;
    if (!add(is_integer ? Kind::kInteger : Kind::kFloat, token)) return false;
    // The parser writes the decimal point of the process's locale.
    for (size_t i = document_->texts_.size() - token.size(); i < document_->texts_.size(); ++i) {
      if (document_->texts_[i] == ',') document_->texts_[i] = '.';
    }
    return true;
  }
  bool string(std::string& value) { return add(Kind::kString, value); }
  bool key(std::string& value) { return add(Kind::kString, value); }
  bool binary(nlohmann::json::binary_t&) { return false; }
  bool start_object(size_t) { return open(Kind::kObject); }
  bool start_array(size_t) { return open(Kind::kArray); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  // The exception's own text quotes the input, which holds card numbers.
  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception&) {
    position_ = position;
    return false;
  }

  bool is_too_deep() const { return is_too_deep_; }
  bool is_too_large() const { return is_too_large_; }
  size_t position() const { return position_; }

 private:
  bool add(Kind kind, std::string_view text) {
    if (document_->nodes_.size() >= kMaxJsonValues || text.size() > UINT32_MAX) {
      is_too_large_ = true;
      return false;
    }
    GiveWay::maybe();
    if (!open_.empty()) ++document_->nodes_[open_.back()].size;
    document_->nodes_.push_back(
        {document_->texts_.size(), static_cast<uint32_t>(text.size()), kind});
    document_->texts_.append(text);
    return true;
  }

  bool open(Kind kind) {
    if (open_.size() >= kMaxJsonDepth) {
      is_too_deep_ = true;
      return false;
    }
    if (!add(kind, "")) return false;
    open_.push_back(document_->nodes_.size() - 1);
    return true;
  }

  bool close() {
    document_->nodes_[open_.back()].at = document_->nodes_.size();
    open_.pop_back();
    return true;
  }

  Document* document_;
  std::vector<size_t> open_;
  size_t position_ = 0;
  bool is_too_deep_ = false;
  bool is_too_large_ = false;
};

void Document::parse(std::string_view text, const std::string& part) {
  nodes_.clear();
  texts_.clear();
  const size_t bad = find_bad_byte(text);
  if (bad != std::string_view::npos && text[bad] != '\0') {
    throw Error(ErrorCode::kInvalidJson, "invalid JSON at byte " + std::to_string(bad + 1) + part +
                                             ": it is not valid UTF-8");
  }
  Handler handler(this);
  // The parser sees what stands before a NUL, and the NUL is the fault if that
  // is whole.
  const char* end = text.data() + std::min(text.size(), bad);
  const bool is_read =
      nlohmann::json::sax_parse(text.data(), end, &handler, nlohmann::json::input_format_t::json);
  if (handler.is_too_deep()) {
    throw Error(ErrorCode::kLimitExceeded, "JSON" + part + " is nested deeper than " +
                                               std::to_string(kMaxJsonDepth) + " levels");
  }
  if (handler.is_too_large()) {
    throw Error(ErrorCode::kLimitExceeded,
                "JSON" + part + " holds more than " + std::to_string(kMaxJsonValues) + " values");
  }
  if (is_read && bad == std::string_view::npos) return;
  const size_t position = is_read ? bad + 1 : handler.position();
  const bool is_markup = text[text.find_first_not_of(kBlank)] == '<';
  throw Error(ErrorCode::kInvalidJson, "invalid JSON at byte " + std::to_string(position) + part,
              is_markup ? "The content begins with \"<\", as HTML and XML do." : "");
}

// One field of a payment: its name and its value's node.
struct Member {
  std::string_view name;
  size_t node;
};

// Appends text as a JSON string.
void write_string(std::string_view text, std::string* out) { *out += nlohmann::json(text).dump(); }

// True when an element of the array is the name of a field that must not be kept:
// then what stands beside the array holds that field's values.
bool heads_forbidden_column(const Document& document, size_t array) {
  if (document.kind(array) != Kind::kArray) return false;
  for (size_t node = Document::first(array); node < document.next(array); node = document.next(node)) {
    if (document.kind(node) == Kind::kString && is_forbidden_field(document.text(node))) return true;
  }
  return false;
}

// Writes a payload for people to repair, without what must not be kept; what exceeds
// the bound is not written.
class PayloadWriter {
 public:
  // `card_digits` are hidden wherever they stand. With Masking::kAny it is not known
  // which of the values is the card number.
  PayloadWriter(const Document& document, std::string_view card_digits, Masking masking)
      : document_(document), card_digits_(card_digits), masking_(masking) {}

  // Writes the members as one object, without the card number.
  void write_members(const std::vector<Member>& members) {
    const bool is_cut = names_forbidden(members);
    out_ += '{';
    bool is_first = true;
    for (const Member& member : members) {
      if (is_full()) break;
      if (member.name == "cc_num" || is_forbidden_field(member.name)) continue;
      // {"name": "cvv", "value": …}
      if (is_cut && !is_naming_field(member.name)) continue;
      write_key(member.name, &is_first);
      const size_t begin = out_.size();
      if (is_card_number_field(member.name)) {
        const Masking before = std::exchange(masking_, Masking::kAny);
        write(member.node);
        masking_ = before;
      } else {
        write(member.node);
      }
      if (member.name == "trans_num" && depth_ == 0) {
        id_at_ = begin;
        id_size_ = out_.size() - begin;
      }
    }
    out_ += '}';
  }

  // Writes a value. It recurses no deeper than kMaxJsonDepth.
  void write(size_t node) {
    if (is_full()) return;
    switch (document_.kind(node)) {
      case Kind::kArray:
      case Kind::kObject:
        ++depth_;
        write_container(node);
        --depth_;
        break;
      case Kind::kString:
        write_string(kept(document_.text(node)), &out_);
        break;
      case Kind::kInteger:
      case Kind::kFloat:
        write_number(document_.text(node));
        break;
      default:
        out_ += document_.text(node);
        break;
    }
  }

  std::string take() { return std::move(out_); }
  size_t id_at() const { return id_at_; }
  size_t id_size() const { return id_size_; }

 private:
  bool is_full() const { return out_.size() > kMaxRejectedPayloadBytes; }

  // Returns the text as it may be kept.
  std::string kept(std::string_view text) const {
    if (masking_ == Masking::kAny) return redact_broken(text);
    return redact(text, card_digits_);
  }

  bool names_forbidden(const std::vector<Member>& members) const {
    for (const Member& member : members) {
      if (document_.kind(member.node) == Kind::kString && is_forbidden_field(document_.text(member.node)) &&
          is_naming_field(member.name)) {
        return true;
      }
    }
    return false;
  }

  void write_key(std::string_view key, bool* is_first) {
    if (!*is_first) out_ += ',';
    *is_first = false;
    write_string(kept(key), &out_);
    out_ += ':';
  }

  void write_number(std::string_view number) {
    // The decimals of a small number are no card number; others that change are
    // numbers no more.
    const size_t point = number.find('.');
    const bool is_plain_decimal = point <= 10 && number.find_first_of("eE") == std::string::npos;
    const std::string masked = kept(number);
    if (is_plain_decimal || masked == number) {
      out_ += number;
    } else {
      write_string(masked, &out_);
    }
  }

  void write_container(size_t node) {
    std::vector<Member> members;
    const bool is_object = document_.kind(node) == Kind::kObject;
    bool is_cut = false;
    for (size_t child = Document::first(node); child < document_.next(node);) {
      const std::string_view name = is_object ? document_.text(child) : std::string_view();
      if (is_object) child = document_.next(child);
      is_cut = is_cut || heads_forbidden_column(document_, child);
      members.push_back({name, child});
      child = document_.next(child);
    }
    if (is_cut) {
      out_ += "\"[cut]\"";
    } else if (is_object) {
      write_members(members);
    } else {
      out_ += '[';
      for (size_t i = 0; i < members.size() && !is_full(); ++i) {
        if (i > 0) out_ += ',';
        write(members[i].node);
      }
      out_ += ']';
    }
  }

  const Document& document_;
  std::string_view card_digits_;
  Masking masking_;
  size_t depth_ = 0;
  size_t id_at_ = 0, id_size_ = 0;
  std::string out_;
};

// Cuts a payload to its bound, between characters, and says so at its end.
void bound_payload(std::string* payload) {
  constexpr std::string_view kNote = " ... (cut at 1 MiB)";
  if (payload->size() <= kMaxRejectedPayloadBytes) return;
  size_t end = kMaxRejectedPayloadBytes - kNote.size();
  while (end > 0 && (static_cast<unsigned char>((*payload)[end]) & 0xC0) == 0x80) --end;
  payload->resize(end);
  payload->append(kNote);
}

// Reads one body.
class Reader {
 public:
  explicit Reader(PaymentFormat format) : format_(format) {}

  PaymentBatch read(std::string_view body) {
    constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
    if (body.substr(0, kByteOrderMark.size()) == kByteOrderMark) {
      body.remove_prefix(kByteOrderMark.size());
    }
    read_text(body, "");
    return std::move(batch_);
  }

 private:
  void read_text(std::string_view text, const std::string& part);
  void read_object(const Document& document);
  void read_array(const Document& document);
  void read_split(const Document& document, size_t columns, size_t data);
  void read_row(const Document& document, const std::vector<std::string_view>& columns, size_t row);
  void read_lines(std::string_view text, const std::string& part);
  void read_element(const Document& document, size_t node, const std::string& where);
  void read_members(const Document& document, const std::vector<Member>& members,
                    const std::string& where);
  void reject(RejectedPayment rejected);
  void count_payment();
  [[noreturn]] void refuse(std::string_view found) const;

  PaymentFormat format_;
  PaymentBatch batch_;
  size_t rejected_bytes_ = 0;
};

// Returns the members of an object.
std::vector<Member> members_of(const Document& document, size_t object) {
  std::vector<Member> members;
  members.reserve(document.size(object) / 2);
  for (size_t key = Document::first(object); key < document.next(object);) {
    const size_t value = document.next(key);
    members.push_back({document.text(key), value});
    key = document.next(value);
  }
  return members;
}

// Returns the value's node of the last member called `name`, or 0.
size_t find_member(const std::vector<Member>& members, std::string_view name) {
  size_t node = 0;
  for (const Member& member : members) {
    if (member.name == name) node = member.node;
  }
  return node;
}

bool has_payment_field(const std::vector<Member>& members) {
  for (const Member& member : members) {
    if (is_payment_field(member.name)) return true;
  }
  return false;
}

// Calls `visit(line, number)` for each line that is not blank.
template <typename Visitor>
void for_each_line(std::string_view text, Visitor visit) {
  size_t number = 1;
  for (size_t begin = 0; begin < text.size(); ++number) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    if (line.find_first_not_of(kBlank) != std::string_view::npos) visit(line, number);
    begin = end + 1;
  }
}

// True when a text that is no JSON as a whole has objects on lines of their own.
bool looks_like_lines(std::string_view text) {
  size_t lines = 0;
  size_t openings = 0;
  for_each_line(text, [&](std::string_view line, size_t) {
    ++lines;
    if (line[line.find_first_not_of(kBlank)] == '{') ++openings;
  });
  if (lines < 2 || openings * 2 < lines) return false;
  // A single document that was cut and has its brackets on such lines has no
  // line that is a whole object.
  Document document;
  bool has_object = false;
  for_each_line(text, [&](std::string_view line, size_t) {
    if (has_object || line[line.find_first_not_of(kBlank)] != '{') return;
    try {
      document.parse(line, "");
      has_object = true;
    } catch (const Error&) {
      // Another line may be whole.
    }
  });
  return has_object;
}

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
  }
  throw Error(ErrorCode::kInvalidPayload,
              "expected " + std::string(expected) + ", found " + std::string(found));
}

void Reader::count_payment() {
  if (batch_.payments.size() + batch_.rejected.size() >= kMaxPaymentsPerBody) {
    throw Error(ErrorCode::kLimitExceeded,
                "body holds more than " + std::to_string(kMaxPaymentsPerBody) + " payments");
  }
}

void Reader::reject(RejectedPayment rejected) {
  count_payment();
  bound_payload(&rejected.payload);
  if (rejected.id_at + rejected.id_size > rejected.payload.size()) rejected.id_size = 0;
  rejected_bytes_ += rejected.payload.size();
  if (rejected_bytes_ > kMaxRejectedBytesPerBody) {
    throw Error(ErrorCode::kLimitExceeded, "rejected payments of the body take more than " +
                                               std::to_string(kMaxRejectedBytesPerBody) + " bytes");
  }
  batch_.rejected.push_back(std::move(rejected));
}

// Builds a payment of the members, or rejects it.
void Reader::read_members(const Document& document, const std::vector<Member>& members,
                          const std::string& where) {
  GiveWay::maybe(members.size());
  PaymentBuilder builder;
  for (const Member& member : members) {
    const Kind kind = document.kind(member.node);
    const bool is_flag = kind == Kind::kTrue || kind == Kind::kFalse;
    if (kind == Kind::kNull) continue;
    if (kind >= Kind::kArray || (is_flag && member.name != "is_fraud")) {
      builder.set_unusable(member.name, kind_name(kind));
    } else if (kind == Kind::kFloat && member.name == "trans_num") {
      // It has lost digits, and could be taken for another payment's.
      builder.set_unusable(member.name, kind_name(kind));
    } else {
      builder.set(member.name, document.text(member.node));
    }
  }
  std::string reason;
  if (std::optional<Payment> payment = builder.finish(&reason)) {
    count_payment();
    batch_.payments.push_back(std::move(*payment));
    return;
  }
  PayloadWriter writer(document, builder.card_digits(),
                       builder.card_is_unknown() ? Masking::kAny : Masking::kLikely);
  writer.write_members(members);
  const Payment& partial = builder.partial();
  reject({writer.take(), where + reason, partial.transaction_id, partial.card_number, partial.id_holds_card,
          writer.id_at(), writer.id_size()});
}

// Reads a value that should be an object.
void Reader::read_element(const Document& document, size_t node, const std::string& where) {
  if (document.kind(node) == Kind::kObject) {
    read_members(document, members_of(document, node), where);
    return;
  }
  PayloadWriter writer(document, "", Masking::kAny);
  writer.write(node);
  reject({writer.take(), where + "payment is " + std::string(kind_name(document.kind(node))) +
                             ": expected an object"});
}

void Reader::read_row(const Document& document, const std::vector<std::string_view>& columns,
                      size_t row) {
  if (document.kind(row) == Kind::kArray && document.size(row) == columns.size()) {
    std::vector<Member> members;
    members.reserve(columns.size());
    size_t value = Document::first(row);
    for (const std::string_view column : columns) {
      members.push_back({column, value});
      value = document.next(value);
    }
    read_members(document, members, "");
    return;
  }
  std::string reason = "row is ";
  if (document.kind(row) == Kind::kArray) {
    reason += "an array of " + std::to_string(document.size(row)) + " values";
  } else {
    reason += kind_name(document.kind(row));
  }
  reason += ": expected an array of " + std::to_string(columns.size()) + " values";
  // Which of its values is the card number is not known, nor which must not be kept.
  const bool has_forbidden = std::any_of(columns.begin(), columns.end(), is_forbidden_field);
  PayloadWriter writer(document, "", Masking::kAny);
  if (!has_forbidden) writer.write(row);
  reject({has_forbidden ? "\"[cut]\"" : writer.take(), std::move(reason)});
}

void Reader::read_split(const Document& document, size_t columns, size_t data) {
  if (document.kind(columns) != Kind::kArray) {
    refuse("\"columns\" that is " + std::string(kind_name(document.kind(columns))));
  }
  if (document.kind(data) != Kind::kArray) {
    refuse("\"data\" that is " + std::string(kind_name(document.kind(data))));
  }
  std::vector<std::string_view> names;
  for (size_t node = Document::first(columns); node < document.next(columns);
       node = document.next(node)) {
    if (document.kind(node) >= Kind::kArray) {
      refuse("a column name that is " + std::string(kind_name(document.kind(node))));
    }
    const std::string_view name = document.text(node);
    if (is_payment_field(name)) {
      for (const std::string_view other : names) {
        if (other == name) refuse("the column \"" + std::string(name) + "\" twice");
      }
    }
    names.push_back(name);
  }
  for (size_t row = Document::first(data); row < document.next(data); row = document.next(row)) {
    read_row(document, names, row);
  }
}

// Reads a body that is one object: the split layout or one payment.
void Reader::read_object(const Document& document) {
  const std::vector<Member> members = members_of(document, 0);
  const size_t columns = find_member(members, "columns");
  const size_t data = find_member(members, "data");
  const bool is_split = columns != 0 && data != 0;
  if (is_split) {
    if (format_ != PaymentFormat::kAuto && format_ != PaymentFormat::kSplit) {
      refuse("an object with \"columns\" and \"data\"");
    }
    read_split(document, columns, data);
    return;
  }
  if (!has_payment_field(members)) refuse("an object without any field of a payment");
  if (format_ == PaymentFormat::kSplit) refuse("one payment object");
  read_members(document, members, "");
}

void Reader::read_array(const Document& document) {
  if (format_ == PaymentFormat::kSplit || format_ == PaymentFormat::kNdjson) refuse("an array");
  bool has_object = document.size(0) == 0;
  for (size_t node = Document::first(0); node < document.next(0); node = document.next(node)) {
    if (document.kind(node) == Kind::kObject) has_object = true;
  }
  if (!has_object) refuse("an array without any object");
  for (size_t node = Document::first(0); node < document.next(0); node = document.next(node)) {
    read_element(document, node, "");
  }
}

void Reader::read_lines(std::string_view text, const std::string& part) {
  size_t lines = 0;
  for_each_line(text, [&](std::string_view, size_t) { ++lines; });
  Document document;
  if (lines == 1) {
    document.parse(text, part);
    if (document.kind(0) != Kind::kObject) refuse(kind_name(document.kind(0)));
    read_object(document);
    return;
  }
  size_t objects = 0;
  std::optional<Error> first_fault;
  for_each_line(text, [&](std::string_view line, size_t number) {
    const std::string where = "line " + std::to_string(number) + ": ";
    try {
      document.parse(line, "");
    } catch (const Error& error) {
      if (!first_fault) first_fault.emplace(error.code(), where + error.what(), error.detail());
      reject({replace_bad_bytes(redact_broken(line, 2 * kMaxRejectedPayloadBytes)),
              where + error.what()});
      return;
    }
    if (document.kind(0) == Kind::kObject) ++objects;
    read_element(document, 0, where);
  });
  if (objects > 0) return;
  if (first_fault) throw *first_fault;
  refuse("lines without any object");
}

// Reads the body, or the text that it wraps. `part` is empty for the body.
void Reader::read_text(std::string_view text, const std::string& part) {
  const size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) throw Error(ErrorCode::kInvalidPayload, "empty body");
  if (format_ == PaymentFormat::kNdjson && text[first] != '"' && text[first] != '[') {
    read_lines(text, part);
    return;
  }
  Document document;
  try {
    document.parse(text, part);
  } catch (const Error&) {
    const bool may_be_lines = format_ == PaymentFormat::kAuto && text[first] != '"' &&
                              text[first] != '[' && looks_like_lines(text);
    if (!may_be_lines) throw;
    read_lines(text, part);
    return;
  }
  switch (document.kind(0)) {
    case Kind::kObject:
      read_object(document);
      break;
    case Kind::kArray:
      read_array(document);
      break;
    case Kind::kString:
      if (!part.empty()) refuse("a JSON string within a JSON string");
      read_text(document.text(0), " of the wrapped text");
      break;
    default:
      refuse(kind_name(document.kind(0)));
  }
}

}  // namespace

PaymentBatch read_payments(std::string_view body, PaymentFormat format, const std::function<void()>& give_way) {
  const GiveWay scope(give_way);
  return Reader(format).read(body);
}

}  // namespace fraud
