// Writes what was read of a payment, masked.
#include "core/payments/payload_writer.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "core/base/json_text.h"
#include "core/payments/digits.h"
#include "core/payments/forbidden_fields.h"
#include "core/payments/payment.h"

namespace fraud {
namespace {

// What there is to know of a field's name. A feed's are always the same.
struct NameTraits {
  bool is_forbidden, is_naming, is_card_number;
  bool is_plain;  // kept as it is
};

const NameTraits& traits_of(std::string_view name) {
  constexpr size_t kMostNames = 4096;
  thread_local std::unordered_map<std::string, NameTraits> known;
  thread_local std::string key;
  key.assign(name);
  const auto found = known.find(key);
  if (found != known.end()) return found->second;
  if (known.size() >= kMostNames) known.clear();
  // A number that is known to be a card's may be shorter than those that look like one.
  constexpr size_t kFewDigits = 8;
  const bool is_plain = count_digits_at_most(name) < kFewDigits && redact(name, "") == name;
  return known.emplace(key, NameTraits{is_forbidden_field(name), is_naming_field(name), is_card_number_field(name), is_plain}).first->second;
}

// Appends text as a JSON string. jsonb holds no NUL.
void write_string(std::string_view text, std::string* out) {
  const bool is_simple = std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c < 0x7F && c != '"' && c != '\\'; });
  if (is_simple) {
    (*out += '"').append(text) += '"';
    return;
  }
  if (text.find('\0') == std::string_view::npos) {
    *out += json_string(text);
    return;
  }
  std::string shown;
  for (const char c : text) c == '\0' ? shown.append("\xEF\xBF\xBD") : shown.append(1, c);
  *out += json_string(shown);
}

// True when an element of the array is the name of a field that must not be kept:
// then what stands beside the array holds that field's values.
bool heads_forbidden_column(const Document& document, size_t array) {
  if (document.kind(array) != Kind::kArray) return false;
  for (size_t node = Document::first(array); node < document.next(array); node = document.next(node)) {
    if (document.kind(node) == Kind::kString && is_forbidden_field(document.text(node))) return true;
  }
  return false;
}

// True unless the members say that the customer is named by what is no secret.
bool names_secret_customer(const Document& document, const std::vector<Member>& members) {
  for (const Member& member : members) {
    if (member.name == "customer_kind") return document.kind(member.node) != Kind::kString || is_secret_kind(document.text(member.node));
  }
  return true;
}

// True for what tools call the column that numbers the rows.
bool is_row_number(std::string_view name) { return name.empty() || name == "Unnamed: 0"; }

// Adds the members of an object.
void add_attributes(const Document& document, size_t object, std::vector<Member>* members) {
  for (size_t key = Document::first(object); key < document.next(object);) {
    const size_t value = document.next(key);
    if (value >= document.next(object)) break;
    members->push_back({document.text(key), value, kUnknownField});
    key = document.next(value);
  }
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string write_all(const Document& document, const std::vector<Member>& members, std::string_view secret) {
  if (members.empty()) return {};
  const bool is_card = secret.find(':') == std::string_view::npos;
  PayloadWriter writer(document, is_card ? secret : std::string_view(), Masking::kLikely);
  writer.write_members(members);
  std::string text = writer.take();
  if (text == "{}") return {};
  if (!is_card) hide_secret(secret, &text);
  return text;
}

}  // namespace

void hide_secret(std::string_view secret, std::string* text) {
  const size_t colon = secret.find(':');
  if (colon == std::string_view::npos) return;
  const std::string_view iban = secret.substr(colon + 1);
  const auto same = [](char a, char b) { return lower(a) == lower(b); };
  for (auto at = text->begin();;) {
    at = std::search(at, text->end(), iban.begin(), iban.end(), same);
    if (at == text->end()) return;
    at = std::fill_n(at, iban.size() - 4, '*') + 4;
  }
}

bool is_cut_field(std::string_view name) { return traits_of(name).is_forbidden; }

bool names_forbidden(const Document& document, size_t object) {
  for (size_t key = Document::first(object); key < document.next(object);) {
    const size_t value = document.next(key);
    if (value >= document.next(object)) break;
    const Kind kind = document.kind(value);
    if ((kind == Kind::kString || kind == Kind::kUnreadableText) && traits_of(document.text(key)).is_naming &&
        is_forbidden_field(document.text(value))) {
      return true;
    }
    key = document.next(value);
  }
  return false;
}

std::string write_attributes(const Document& document, const std::vector<Member>& members, std::string_view secret) {
  static const int kAttributes = find_payment_field("attributes");
  std::vector<Member> kept;
  for (const Member& member : members) {
    if (member.field == kAttributes) {
      if (document.kind(member.node) == Kind::kObject) {
        add_attributes(document, member.node, &kept);
      } else if (document.kind(member.node) != Kind::kNull) {
        kept.push_back(member);
      }
    } else if (member.field == kAttribute || (member.field == kUnknownField && !is_row_number(member.name))) {
      kept.push_back(member);
    }
  }
  return write_all(document, kept, secret);
}

std::string read_attributes(std::string_view json, std::string_view secret) {
  Document document;
  if (document.read(json) != Document::Reading::kWhole || document.kind(0) != Kind::kObject) return {};
  std::vector<Member> members;
  add_attributes(document, 0, &members);
  return write_all(document, members, secret);
}

void PayloadWriter::write_members(const std::vector<Member>& members) {
  const bool is_cut = names_forbidden(members);
  const bool has_secret_customer = depth_ == 0 && names_secret_customer(document_, members);
  out_ += '{';
  bool is_first = true;
  for (const Member& member : members) {
    if (is_full()) break;
    const NameTraits traits = traits_of(member.name);
    if (member.name == "cc_num" || traits.is_forbidden) continue;
    if (has_secret_customer && member.name == "customer") continue;
    // {"name": "cvv", "value": …}
    if (is_cut && !traits.is_naming) continue;
    write_key(member.name, &is_first);
    const size_t begin = out_.size();
    if (traits.is_card_number) {
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

void PayloadWriter::write(size_t node) {
  if (is_full()) return;
  switch (document_.kind(node)) {
    case Kind::kArray:
    case Kind::kObject:
      ++depth_;
      write_container(node);
      --depth_;
      break;
    case Kind::kString:
      // A text with a NUL is a fault of its field, and stays one.
      if (document_.text(node).find('\0') != std::string_view::npos) {
        write_unreadable(node);
      } else {
        write_string(kept(document_.text(node)), &out_);
      }
      break;
    case Kind::kInteger:
    case Kind::kFloat:
      write_number(document_.text(node));
      break;
    case Kind::kUnreadable:
    case Kind::kUnreadableText:
      write_unreadable(node);
      break;
    default:
      out_ += document_.text(node);
      break;
  }
}

bool PayloadWriter::is_full() const { return out_.size() > kMaxRejectedPayloadBytes; }

// Returns the text as it may be kept.
std::string PayloadWriter::kept(std::string_view text) const {
  if (masking_ == Masking::kAny) return redact_broken(text);
  return redact(text, card_digits_);
}

bool PayloadWriter::names_forbidden(const std::vector<Member>& members) const {
  for (const Member& member : members) {
    const Kind kind = document_.kind(member.node);
    if ((kind == Kind::kString || kind == Kind::kUnreadableText) && traits_of(member.name).is_naming &&
        is_forbidden_field(document_.text(member.node))) {
      return true;
    }
  }
  return false;
}

void PayloadWriter::write_key(std::string_view key, bool* is_first) {
  if (!*is_first) out_ += ',';
  *is_first = false;
  write_string(traits_of(key).is_plain ? std::string(key) : kept(key), &out_);
  out_ += ':';
}

void PayloadWriter::write_number(std::string_view number) {
  // The decimals of a small number are no card number; others that change are
  // numbers no more.
  const size_t point = number.find('.');
  const bool is_plain_decimal = point <= 10 && number.find_first_of("eE") == std::string::npos;
  if (is_plain_decimal) {
    out_ += number;
    return;
  }
  const std::string masked = kept(number);
  if (masked == number) {
    out_ += number;
  } else {
    write_string(masked, &out_);
  }
}

void PayloadWriter::write_unreadable(size_t node) {
  if (document_.kind(node) == Kind::kUnreadable && is_nan(document_.text(node))) {
    out_ += "null";
    return;
  }
  out_ += "{\"unreadable\":";
  write_string(kept(document_.text(node)), &out_);
  out_ += '}';
}

void PayloadWriter::write_container(size_t node) {
  std::vector<Member> members;
  const bool is_object = document_.kind(node) == Kind::kObject;
  bool is_cut = false;
  for (size_t child = Document::first(node); child < document_.next(node);) {
    const std::string_view name = is_object ? document_.text(child) : std::string_view();
    if (is_object) child = document_.next(child);
    if (child >= document_.next(node)) break;
    is_cut = is_cut || heads_forbidden_column(document_, child);
    members.push_back({name, child, kUnknownField});
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

void bound_payload(std::string* payload) {
  constexpr std::string_view kNote = " ... (cut at 1 MiB)";
  if (payload->size() <= kMaxRejectedPayloadBytes) return;
  size_t end = kMaxRejectedPayloadBytes - kNote.size();
  while (end > 0 && (static_cast<unsigned char>((*payload)[end]) & 0xC0) == 0x80) --end;
  payload->resize(end);
  payload->append(kNote);
}

}  // namespace fraud
