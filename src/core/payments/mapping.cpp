// Writes payments of any object with the wire format's names.
#include "core/payments/mapping.h"

#include "core/base/nearest.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "core/base/json_text.h"
#include "core/payments/field_values.h"
#include "core/payments/forbidden_fields.h"
#include "core/payments/mapping_value.h"
#include "core/payments/json_scan.h"
#include "core/payments/payload_writer.h"
#include "core/payments/payment.h"
#include "core/payments/payment_writer.h"

namespace fraud {
namespace {

constexpr std::string_view kAttributes = "attributes";
constexpr std::string_view kTime = "trans_date_trans_time";

struct FieldName {
  std::string_view wire;
  std::string_view column;  // empty: as the wire's
};

constexpr std::array<FieldName, 32> kNames = {{
    {"amt", "amount"},
    {"amt_minor", "amount_minor"},
    {"attributes", ""},
    {"card", ""},
    {"category", ""},
    {"cc_num", "card_number"},
    {"city", ""},
    {"city_pop", "city_population"},
    {"currency", ""},
    {"current_time", ""},
    {"customer", ""},
    {"customer_kind", ""},
    {"dob", "date_of_birth"},
    {"first", "first_name"},
    {"gender", ""},
    {"is_fraud", ""},
    {"job", ""},
    {"kind", ""},
    {"last", "last_name"},
    {"last_four", ""},
    {"lat", "latitude"},
    {"long", "longitude"},
    {"merch_lat", "merchant_latitude"},
    {"merch_long", "merchant_longitude"},
    {"merchant", ""},
    {"reference", ""},
    {"state", ""},
    {"street", ""},
    {"trans_date_trans_time", "occurred_at"},
    {"trans_num", "transaction_id"},
    {"unix_time", ""},
    {"zip", ""},
}};

// True where the library's answer would be the text itself.
bool is_plain(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return c >= ' ' && c != '"' && c != '\\' && static_cast<unsigned char>(c) < 0x7F;
  });
}

}  // namespace

void write_json_string(std::string_view text, std::string* out) {
  if (is_plain(text)) {
    out->append("\"").append(text).append("\"");
  } else {
    *out += json_string(text);
  }
}

void write_node(const Document& document, size_t node, std::string* out) {
  switch (document.kind(node)) {
    case Kind::kString:
      write_json_string(document.text(node), out);
      return;
    case Kind::kUnreadableText: {
      // Half a surrogate pair for each part of it that is no text.
      constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
      std::string text;
      write_json_string(document.text(node), &text);
      size_t at = 0;
      for (size_t found = 0; (found = text.find(kReplacement, at)) != std::string::npos; at = found + kReplacement.size()) {
        out->append(text, at, found - at).append("\\ud800");
      }
      out->append(text, at);
      return;
    }
    case Kind::kArray:
    case Kind::kObject: {
      const bool is_object = document.kind(node) == Kind::kObject;
      *out += is_object ? '{' : '[';
      for (size_t child = Document::first(node); child < document.next(node); child = document.next(child)) {
        if (child != Document::first(node)) *out += ',';
        write_node(document, child, out);
        if (!is_object) continue;
        child = document.next(child);
        *out += ':';
        write_node(document, child, out);
      }
      *out += is_object ? '}' : ']';
      return;
    }
    default:
      *out += document.text(node);
  }
}

std::string_view wire_name(std::string_view name) {
  for (const FieldName& field : kNames) {
    if (name == field.wire || (!field.column.empty() && name == field.column)) return field.wire;
  }
  return {};
}

std::vector<std::string> nearest_fields(std::string_view name) {
  constexpr size_t kMost = 3;
  std::vector<std::string_view> names;
  for (const FieldName& field : kNames) {
    for (const std::string_view one : {field.wire, field.column}) {
      if (!one.empty()) names.push_back(one);
    }
  }
  return nearest_names(name, names, kMost);
}

std::optional<std::string> Mapping::query(size_t, const std::string&) const { return std::nullopt; }
std::optional<int64_t> Mapping::template_time(size_t, std::string_view) const { return std::nullopt; }
std::optional<int64_t> Mapping::zoned_time(size_t, int64_t) const { return std::nullopt; }

bool Mapping::looks_around() const {
  return !columns_path.empty() || std::any_of(rules.begin(), rules.end(), [](const FieldRule& rule) { return !rule.around.empty(); });
}

std::string_view Mapping::path_of(std::string_view field) const {
  for (const FieldRule& rule : rules) {
    const std::string_view name = rule.is_minor ? "amt_minor" : std::string_view(rule.name);
    if (name == field || (rule.is_minor && field == "amt")) return rule.path;
  }
  return {};
}

// Maps one payment.
class MappingRun {
 public:
  MappingRun(const Mapping& mapping, const Document& document, std::string* out, std::vector<MappingFault>* faults)
      : mapping_(mapping), document_(document), out_(out), faults_(faults) {}

  void run() {
    *out_ += '{';
    for (size_t i = 0; i < mapping_.rules.size(); ++i) apply(i);
    write_kind();
    std::string rest;
    // Of an array what is left over has no name, by which it could be told what must not be kept.
    if (document_.kind(0) == Kind::kObject) write_rest(0, &rest);
    if (!attributes_.empty() || rest.size() > 2) {
      begin_member(kAttributes);
      *out_ += '{';
      *out_ += attributes_;
      if (!attributes_.empty() && rest.size() > 2) *out_ += ',';
      out_->append(rest, 1, rest.size() - 2).append("}");
    }
    *out_ += '}';
  }

 private:
  void begin_member(std::string_view name) {
    if (out_->back() != '{') *out_ += ',';
    write_json_string(name, out_);
    *out_ += ':';
  }

  // Returns the node that the steps lead to from `node`; an array stands for its elements
  // where a member is asked of it, as in jsonpath's lax mode.
  size_t follow(size_t node, const std::vector<PathStep>& steps, size_t step) {
    if (step == steps.size()) return node;
    const PathStep& one = steps[step];
    const Kind kind = document_.kind(node);
    if (one.index >= 0) {
      if (kind != Kind::kArray) return one.index == 0 ? follow(node, steps, step + 1) : kNothing;
      int64_t i = 0;
      for (size_t child = Document::first(node); child < document_.next(node); child = document_.next(child)) {
        if (i++ == one.index) return follow(child, steps, step + 1);
      }
      return kNothing;
    }
    if (kind == Kind::kArray) {
      for (size_t child = Document::first(node); child < document_.next(node); child = document_.next(child)) {
        if (document_.kind(child) != Kind::kObject) continue;
        const size_t found = follow(child, steps, step);
        if (found != kNothing) return found;
      }
      return kNothing;
    }
    // {"name": "cvv", "value": …}: no path finds what must not be kept.
    if (kind != Kind::kObject || (node != 0 && names_forbidden(document_, node) && !is_naming_field(one.key))) return kNothing;
    // Of members of one name the last counts, as in jsonb.
    size_t last = kNothing;
    for (size_t key = Document::first(node); key < document_.next(node);) {
      const size_t value = document_.next(key);
      if (document_.text(key) == one.key) {
        if (last != kNothing) taken_.push_back(last);
        last = value;
      }
      key = document_.next(value);
    }
    return last == kNothing ? kNothing : follow(last, steps, step + 1);
  }

  // Finds the texts of all paths of a rule, as one with blanks between.
  FoundValue find_all(const FieldRule& rule) {
    std::string text;
    const auto add = [&](const std::vector<PathStep>& steps) {
      const size_t node = follow(0, steps, 0);
      if (node == kNothing || document_.is_container(node) || document_.kind(node) == Kind::kNull || document_.text(node).empty()) return;
      taken_.push_back(node);
      if (!text.empty()) text += ' ';
      text += document_.text(node);
    };
    add(rule.steps);
    for (const std::vector<PathStep>& steps : rule.more) add(steps);
    std::string json;
    write_json_string(text, &json);
    if (text.empty() || whole_.read(json) != Document::Reading::kWhole) return {nullptr, 0};
    return {&whole_, 0};
  }

  FoundValue find(size_t index) {
    const FieldRule& rule = mapping_.rules[index];
    if (rule.path.empty()) return {nullptr, 0};
    if (!rule.more.empty()) return find_all(rule);
    if (rule.is_plain) {
      const size_t node = follow(0, rule.steps, 0);
      if (node == kNothing) return {nullptr, 0};
      taken_.push_back(node);
      return {&document_, node};
    }
    if (asked_.empty()) write_asked(0);
    const std::optional<std::string> answer = mapping_.query(index, asked_);
    if (!answer || answer_.read(*answer) != Document::Reading::kWhole) return {nullptr, 0};
    std::string whole;
    write_answer(0, &whole);
    return whole_.read(whole) == Document::Reading::kWhole ? FoundValue{&whole_, 0} : FoundValue{nullptr, 0};
  }

  // Postgres is asked of a text that jsonb takes: what it does not take, or would write
  // otherwise, stands there as a mark, for which the answer gets it back.
  bool is_marked(size_t node) const {
    switch (document_.kind(node)) {
      case Kind::kUnreadable:
      case Kind::kUnreadableText:
        return true;
      case Kind::kFloat:
        return document_.text(node).find_first_of("eE") != std::string_view::npos;
      case Kind::kString:
        return document_.text(node).find('\0') != std::string_view::npos;
      default:
        return false;
    }
  }

  void write_asked(size_t node) {
    if (is_marked(node)) {
      asked_ += "{\"\\u0001\":" + std::to_string(node) + "}";
    } else if (document_.is_container(node)) {
      const bool is_object = document_.kind(node) == Kind::kObject;
      // No filter, and no asterisk, finds what must not be kept.
      const bool is_cut = is_object && node != 0 && names_forbidden(document_, node);
      bool is_first = true;
      asked_ += is_object ? '{' : '[';
      for (size_t child = Document::first(node); child < document_.next(node); child = document_.next(child)) {
        if (is_object) {
          const std::string_view name = document_.text(child);
          if (is_cut_field(name) || (is_cut && !is_naming_field(name))) {
            child = document_.next(child);
            continue;
          }
        }
        if (!is_first) asked_ += ',';
        is_first = false;
        if (is_object) {
          // A name with a NUL is one that no path names.
          write_json_string(is_marked(child) ? "\x01" : document_.text(child), &asked_);
          asked_ += ':';
          child = document_.next(child);
        }
        write_asked(child);
      }
      asked_ += is_object ? '}' : ']';
    } else {
      write_node(document_, node, &asked_);
    }
  }

  void write_answer(size_t node, std::string* out) {
    if (!answer_.is_container(node)) {
      write_node(answer_, node, out);
      return;
    }
    const bool is_object = answer_.kind(node) == Kind::kObject;
    if (is_object && answer_.size(node) == 2 && answer_.text(node + 1) == "\x01" && answer_.kind(node + 2) == Kind::kInteger) {
      const size_t mark = static_cast<size_t>(parse_whole(answer_.text(node + 2)).value_or(-1));
      if (mark < document_.next(0) && is_marked(mark)) {
        write_node(document_, mark, out);
        return;
      }
    }
    *out += is_object ? '{' : '[';
    for (size_t child = Document::first(node); child < answer_.next(node); child = answer_.next(child)) {
      if (child != Document::first(node)) *out += ',';
      if (is_object) {
        write_node(answer_, child, out);
        *out += ':';
        child = answer_.next(child);
      }
      write_answer(child, out);
    }
    *out += is_object ? '}' : ']';
  }

  void apply(size_t index) {
    const FieldRule& rule = mapping_.rules[index];
    std::string value;
    try {
      if (!map_value(mapping_, index, find(index), &value, &is_refund_, faults_)) return;
    } catch (const PathTooSlow& slow) {
      faults_->push_back({rule.name, slow.found, false, "a path that takes less"});
      value = "{\"unreadable\":\"" + slow.found + "\"}";
    }
    if (rule.name == "kind") {
      kind_ = std::move(value);
      return;
    }
    if (rule.name.compare(0, kAttributes.size() + 1, "attributes.") == 0) {
      if (!attributes_.empty()) attributes_ += ',';
      write_json_string(std::string_view(rule.name).substr(kAttributes.size() + 1), &attributes_);
      attributes_ += ':' + value;
      return;
    }
    // An object of attributes joins what is left over.
    if (rule.name == kAttributes) {
      if (value.size() > 2 && value[0] == '{') {
        if (!attributes_.empty()) attributes_ += ',';
        attributes_.append(value, 1, value.size() - 2);
      } else if (value != "{}") {
        begin_member(kAttributes);
        *out_ += value;
      }
      return;
    }
    begin_member(rule.is_minor ? std::string_view("amt_minor") : std::string_view(rule.name));
    *out_ += value;
  }

  void write_kind() {
    if (is_refund_ && (kind_.empty() || kind_ == "\"payment\"")) kind_ = "\"refund\"";
    if (kind_.empty()) return;
    begin_member("kind");
    *out_ += kind_;
  }

  bool is_taken(size_t node) const { return std::find(taken_.begin(), taken_.end(), node) != taken_.end(); }
  bool holds_taken(size_t node) const {
    const size_t end = document_.next(node);
    return std::any_of(taken_.begin(), taken_.end(), [&](size_t one) { return one >= node && one < end; });
  }

  // Writes a container without what was taken, and without what holds nothing else.
  void write_rest(size_t node, std::string* out) {
    const bool is_object = document_.kind(node) == Kind::kObject;
    *out += is_object ? '{' : '[';
    for (size_t child = Document::first(node); child < document_.next(node);) {
      const size_t key = child;
      if (is_object) child = document_.next(child);
      if (child >= document_.next(node)) break;
      const size_t value = std::exchange(child, document_.next(child));
      const size_t before = out->size();
      if (out->back() != '{' && out->back() != '[') *out += ',';
      if (is_object) {
        write_node(document_, key, out);
        *out += ':';
      }
      const bool is_partly = holds_taken(value);
      const size_t begin = out->size();
      if (!is_partly) {
        write_node(document_, value, out);
      } else if (!is_taken(value) && document_.is_container(value)) {
        write_rest(value, out);
        if (out->size() - begin == 2) out->resize(before);
      } else {
        out->resize(before);
      }
    }
    *out += is_object ? '}' : ']';
  }

  static constexpr size_t kNothing = static_cast<size_t>(-1);

  const Mapping& mapping_;
  const Document& document_;
  std::string* out_;
  std::vector<MappingFault>* faults_;
  std::vector<size_t> taken_;
  std::string attributes_;  // members that rules name
  std::string kind_;        // JSON
  bool is_refund_ = false;
  std::string asked_;       // the document for Postgres
  Document answer_, whole_;
};

void Mapping::apply(const Document& document, std::string* out, std::vector<MappingFault>* faults) const {
  MappingRun(*this, document, out, faults).run();
}

}  // namespace fraud
