// Guesses a mapping.
#include "core/payments/mapping_proposal.h"

#include <algorithm>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "core/base/json.h"
#include "core/payments/csv.h"
#include "core/payments/currency.h"
#include "core/payments/digits.h"
#include "core/payments/field_values.h"
#include "core/payments/forbidden_fields.h"
#include "core/payments/json_document.h"
#include "core/payments/json_scan.h"
#include "core/payments/mapping.h"

namespace fraud {
namespace {

constexpr size_t kMaxLookedAt = size_t{256} << 10;  // bytes
constexpr size_t kMaxSamples = 50;                  // payments
constexpr size_t kLeastFields = 3;                  // of what looks like a payment

enum class Make { kText, kAmount, kTime, kCard, kNumber, kFlag, kCurrency };

// What a field is called elsewhere, the likeliest first: in small letters, without what
// stands between words, alone or behind the name of what holds it ("card": {"number": …}).
struct Synonyms {
  std::string_view field;
  Make make;
  std::vector<std::string_view> names;
};

const std::vector<Synonyms>& synonyms() {
  static const std::vector<Synonyms> kSynonyms = {
      {"cc_num", Make::kCard, {"ccnum", "cardnumber", "pan", "cardpan", "cardnum", "primaryaccountnumber", "creditcardnumber"}},
      {"trans_num", Make::kText,
       {"transnum", "transactionid", "txnid", "txid", "transid", "paymentid", "transactionnumber", "chargeid", "orderid", "eventid", "uuid", "guid",
        "id", "transactionreference", "reference", "pspreference"}},
      {"amt", Make::kAmount,
       {"amt", "amount", "amountvalue", "transactionamount", "amountamount", "transactionamountamount", "amountminor", "amountminorunits",
        "amountincents", "amountcents", "minorunits", "value", "total", "totalamount", "price", "sum"}},
      {"currency", Make::kCurrency, {"currency", "currencycode", "amountcurrency", "amountcurrencycode", "transactionamountcurrency", "ccy", "isocurrency"}},
      {"trans_date_trans_time", Make::kTime,
       {"occurredat", "transdatetranstime", "transactiontime", "transactiontimestamp", "transactiondatetime", "transactiondate", "timestamp", "createdat",
        "created", "authorizedat", "authorisedat", "processedat", "bookingdatetime", "bookedat", "datetime", "paymentdate", "eventtime", "bookingdate",
        "time", "date", "ts", "currenttime", "unixtime", "eventdate", "transactioninitiationdate"}},
      {"merchant", Make::kText,
       {"merchant", "merchantname", "merchantid", "payee", "payeename", "counterparty", "counterpartyname", "creditorname", "creditor", "beneficiaryname",
        "recipient", "vendor", "shop", "store", "namedest", "description"}},
      {"category", Make::kText, {"category", "merchantcategory", "mcc", "merchantmcc", "merchantcategorycode", "categorycode", "categoryname"}},
      {"reference", Make::kText,
       {"originaltransactionid", "originalid", "originalpaymentid", "parentid", "parenttransactionid", "relatedtransactionid", "refersto", "originalreference"}},
      {"kind", Make::kText, {"kind", "type", "transactiontype", "txntype", "paymenttype", "eventtype"}},
      {"is_fraud", Make::kFlag, {"isfraud", "fraud", "fraudulent", "fraudflag"}},
      {"merch_lat", Make::kNumber, {"merchlat", "merchantlatitude", "merchantlat"}},
      {"merch_long", Make::kNumber, {"merchlong", "merchantlongitude", "merchantlong", "merchantlon", "merchantlng"}},
      {"city", Make::kText, {"customercity", "city"}},
      {"zip", Make::kText, {"zip", "zipcode", "postcode", "postalcode"}},
  };
  return kSynonyms;
}

// Who pays, where no card number is given.
struct PayerName {
  std::string_view name, kind;
};
constexpr PayerName kPayers[] = {
    {"cardtoken", "token"},   {"token", "token"},       {"cardid", "token"},      {"iban", "iban"},
    {"accountiban", "iban"},  {"debtoriban", "iban"},   {"payeriban", "iban"},    {"walletid", "wallet"},
    {"wallet", "wallet"},     {"accountid", "account"}, {"account", "account"},   {"accountnumber", "account"},
    {"customerid", "account"}, {"customer", "account"},  {"userid", "account"},    {"user", "account"},
    {"payerid", "account"},   {"payer", "account"},     {"nameorig", "account"},  {"clientid", "account"},
};

std::string words_of(std::string_view name) {
  std::string words;
  for (const char c : name) {
    if (is_word(c)) words += is_ascii_letter(c) ? static_cast<char>(c | 0x20) : c;
  }
  return words;
}

// A value of a payment that is neither an object nor an array.
struct Leaf {
  std::string path;    // behind the "$"
  std::string name;    // words_of the member
  std::string longer;  // that of what holds it before it
  size_t node;
  bool is_used = false;
};

std::string step_of(std::string_view key) {
  const bool is_plain = !key.empty() && !is_ascii_digit(key[0]) &&
                        std::all_of(key.begin(), key.end(), [](char c) { return is_word(c) || c == '_'; });
  std::string step = ".";
  if (is_plain) return step.append(key);
  write_json_string(key, &step);
  return step;
}

void collect(const Document& document, size_t object, const std::string& path, const std::string& holder, std::vector<Leaf>* leaves) {
  for (size_t key = Document::first(object); key < document.next(object);) {
    const size_t value = document.next(key);
    if (value >= document.next(object)) return;
    const std::string_view name = document.text(key);
    key = document.next(value);
    if (is_forbidden_field(name)) continue;
    const std::string words = words_of(name);
    if (document.kind(value) == Kind::kObject) {
      collect(document, value, path + step_of(name), words, leaves);
    } else if (document.kind(value) != Kind::kArray) {
      leaves->push_back({path + step_of(name), words, holder + words, value});
    }
  }
}

std::string shape_of(std::string_view text) {
  std::string shape;
  for (const char c : text) shape += is_ascii_digit(c) ? '9' : is_ascii_letter(c) ? 'a' : c;
  return shape;
}

// What a time of day looks like to to_timestamp, if it looks like one; it may be none.
std::optional<std::string> time_of_day_template(std::string_view text) {
  std::string shape = shape_of(text), tail;
  const auto takes = [&](std::string_view end, std::string_view part) {
    if (shape.size() < end.size() || shape.compare(shape.size() - end.size(), end.size(), end) != 0) return false;
    shape.resize(shape.size() - end.size());
    tail = part;
    return true;
  };
  bool is_of_twelve = false;
  if (!takes(" +9999", " TZHTZM") && !takes(" -9999", " TZHTZM") && !takes(" +99:99", " TZH:TZM") && !takes(" -99:99", " TZH:TZM") &&
      !takes("+9999", "TZHTZM") && !takes("-9999", "TZHTZM")) {
    const std::string_view end = text.substr(text.size() - std::min<size_t>(text.size(), 3));
    is_of_twelve = (end == " AM" || end == " PM" || end == " am" || end == " pm") && takes(" aa", " AM");
  }
  constexpr std::pair<std::string_view, std::string_view> kTimes[] = {
      {"", ""}, {"99:99", "HH24:MI"}, {"99:99:99", "HH24:MI:SS"}, {"99:99:99.999", "HH24:MI:SS.MS"}, {"99:99:99.999999", "HH24:MI:SS.US"}};
  for (const auto& [known, part] : kTimes) {
    if (shape != known || (known.empty() && !tail.empty())) continue;
    std::string result(part);
    if (is_of_twelve) result.replace(0, 4, "HH12");
    return result + tail;
  }
  return std::nullopt;
}

// What a text of a date and a time looks like to to_timestamp, if it looks like one.
std::string time_template(std::string_view text, bool is_month_first) {
  const std::string shape = shape_of(text);
  if (shape == "99999999999999") return "YYYYMMDDHH24MISS";
  if (shape == "99999999a999999a" && text.back() == 'Z') return "YYYYMMDD\"T\"HH24MISS\"Z\"";
  constexpr std::string_view kMail = "aaa, 99 aaa 9999 99:99:99";  // of RFC 5322
  if (shape.compare(0, kMail.size(), kMail) == 0) {
    const std::string_view zone = text.substr(kMail.size());
    if (zone == " GMT" || zone == " UTC") return "Dy, DD Mon YYYY HH24:MI:SS \"" + std::string(zone.substr(1)) + '"';
    if (shape.substr(kMail.size()) == " +9999" || shape.substr(kMail.size()) == " -9999") return "Dy, DD Mon YYYY HH24:MI:SS TZHTZM";
  }
  for (const char separator : {'/', '-', '.'}) {
    const std::string s(1, separator);
    const std::string day = is_month_first ? "MM" + s + "DD" : "DD" + s + "MM";
    const std::tuple<std::string, std::string> kDates[] = {
        {"99" + s + "99" + s + "9999", day + s + "YYYY"}, {"9999" + s + "99" + s + "99", "YYYY" + s + "MM" + s + "DD"}, {"99" + s + "99" + s + "99", day + s + "YY"}};
    for (const auto& [known, date] : kDates) {
      // With dashes nobody knows which is the year of two digits.
      if (shape.compare(0, known.size(), known) != 0 || (separator == '-' && known.size() == 8)) continue;
      const std::string_view rest = text.substr(known.size());
      if (rest.empty()) return date;
      const std::optional<std::string> time = rest[0] == ' ' ? time_of_day_template(rest.substr(1)) : std::nullopt;
      if (time && !time->empty()) return date + ' ' + *time;
    }
  }
  return "";
}

// What parts the decimals of a text of an amount: "," or "." where thousands are parted too, else a NUL.
char decimal_of(std::string_view text) {
  const bool has_plus = text.substr(0, 1) == "+";
  if (has_plus || text.substr(0, 1) == "-") text.remove_prefix(1);
  if (text.empty() || !is_ascii_digit(text[0]) || text.find_first_not_of("0123456789.,' ") != std::string_view::npos) return '\0';
  const size_t comma = text.rfind(','), dot = text.rfind('.');
  if (comma != std::string_view::npos && dot != std::string_view::npos) return comma > dot ? ',' : '.';
  if (comma != std::string_view::npos) {
    constexpr size_t kThousand = 4;  // ",234"
    return text.find(',') != comma || text.size() - comma == kThousand ? '.' : ',';
  }
  if (dot != std::string_view::npos && text.find('.') != dot) return ',';
  return has_plus || text.find_first_of("' ") != std::string_view::npos ? '.' : '\0';
}

class Proposal {
 public:
  // `is_list`: they are elements, of which each is a payment; else one object, within which there may be payments.
  Proposal(const Document& document, const std::vector<size_t>& samples, bool is_list) : document_(document), samples_(samples) {
    collect(document, samples[0], "", "", &leaves_);
    // What was not given first may be in another.
    for (size_t i = 1; i < samples.size(); ++i) {
      std::vector<Leaf> more;
      collect(document, samples[i], "", "", &more);
      for (Leaf& leaf : more) {
        const auto known = std::find_if(leaves_.begin(), leaves_.end(), [&](const Leaf& one) { return one.path == leaf.path; });
        if (known == leaves_.end()) {
          leaves_.push_back(std::move(leaf));
        } else if (document.kind(known->node) == Kind::kNull || document.text(known->node).empty()) {
          known->node = leaf.node;
        }
      }
    }
    for (const Synonyms& field : synonyms()) {
      const Leaf* amount = is_list && field.make == Make::kAmount ? find(field.names, field.make) : nullptr;
      if (amount != nullptr) holder_ = holder_of(amount->path);
    }
    for (const Synonyms& field : synonyms()) propose(field);
    if (!fields_.contains("cc_num")) propose_payer();
  }

  // How much of a payment there is.
  size_t score() const { return fields_.size() * 2 + (fields_.contains("amt") ? 1 : 0); }
  bool is_payment() const { return fields_.contains("amt") && fields_.size() >= kLeastFields; }
  const Json& fields() const { return fields_; }

 private:
  bool fits(size_t node, Make make) const {
    const Kind kind = document_.kind(node);
    const std::string_view text = document_.text(node);
    if (kind == Kind::kNull || text.empty()) return make == Make::kText && kind == Kind::kNull;
    switch (make) {
      case Make::kText:
        return kind == Kind::kString || kind == Kind::kInteger;
      case Make::kNumber:
        return parse_within(text, 1e300).has_value();
      case Make::kAmount:
        return parse_within(text, 1e300).has_value() || decimal_of(text) != '\0';
      case Make::kTime:
        return !time_of(text).empty();
      case Make::kCard:
        return text.size() >= 8 && text.size() <= 19 && all_digits(text);
      case Make::kFlag:
        return kind == Kind::kTrue || kind == Kind::kFalse || parse_flag(text).has_value();
      case Make::kCurrency:
        return (text.size() == 3 && std::all_of(text.begin(), text.end(), is_ascii_letter)) || !currency_of_number(text).empty();
    }
    return false;
  }

  // Returns what "time" of a rule would say of such a text; null where it is a time and nothing has to.
  static Json time_of(std::string_view text, bool is_month_first = false) {
    const std::string_view unit = all_digits(text.substr(0, text.find('.'))) ? epoch_unit(text) : std::string_view();
    if (unit == "seconds") return Json::object({{"format", "epoch_s"}});
    if (unit == "milliseconds") return Json::object({{"format", "epoch_ms"}});
    if (unit == "microseconds") return Json::object({{"format", "epoch_us"}});
    if (parse_time_text(text)) {
      Json time = Json::object({{"format", "iso8601"}});
      if (text.find_first_of("zZ+-", 11) == std::string_view::npos) time["zone"] = "UTC";
      return time;
    }
    const std::string shape = time_template(text, is_month_first);
    if (shape.empty()) return Json();
    Json time = Json::object({{"format", shape}});
    if (shape.find("TZH") == std::string::npos && shape.find('"') == std::string::npos) time["zone"] = "UTC";
    return time;
  }

  Leaf* find(const std::vector<std::string_view>& names, Make make) {
    for (const bool is_within : {false, true}) {
      for (const std::string_view name : names) {
        for (const bool is_longer : {false, true}) {
          for (Leaf& leaf : leaves_) {
            if (leaf.is_used || (is_longer ? leaf.longer : leaf.name) != name || !fits(leaf.node, make)) continue;
            if (is_within ? is_beside_amount(leaf) : !is_of_another(leaf, name)) return &leaf;
          }
        }
      }
      if (holder_.empty()) break;
    }
    return nullptr;
  }

  static std::string holder_of(const std::string& path) {
    // A name in quotes may have a point.
    return path.back() == '"' ? path.substr(0, path.rfind(".\"")) : path.substr(0, path.rfind('.'));
  }

  // What stands in one object with the amount, or around "amount": {"value": …}, is of the payment, whatever that object is called.
  bool is_beside_amount(const Leaf& leaf) const {
    const std::string holder = holder_of(leaf.path);
    return holder == holder_ || (!holder_.empty() && holder == holder_of(holder_));
  }

  // The id, the name or the value of something within a payment is not the payment's.
  static bool is_of_another(const Leaf& leaf, std::string_view name) {
    if (leaf.longer == leaf.name || leaf.name != name) return false;
    const std::string_view holder = std::string_view(leaf.longer).substr(0, leaf.longer.size() - leaf.name.size());
    if (name == "value" || name == "currency" || name == "amount") return false;
    if (name == "category" || name == "mcc" || name == "pan" || name == "cardnumber" || name == "iban" || name == "city") return false;
    return holder != "transaction" && holder != "payment" && holder != "data" && holder != "attributes" && holder != "txn";
  }

  // Calls `visit(text)` for the leaf's value in each sample.
  template <typename Visitor>
  void for_each_value(const Leaf& leaf, Visitor visit) const {
    for (const size_t sample : samples_) {
      std::vector<Leaf> leaves;
      collect(document_, sample, "", "", &leaves);
      for (const Leaf& one : leaves) {
        if (one.path == leaf.path) visit(document_.text(one.node), document_.kind(one.node));
      }
    }
  }

  void propose(const Synonyms& field) {
    Leaf* leaf = find(field.names, field.make);
    if (leaf == nullptr) return;
    const std::string path = "$" + leaf->path;
    Json rule = Json::object({{"path", path}});
    if (field.make == Make::kTime) {
      // Of dates that could be read either way those beside a clock of twelve hours are American.
      const std::string_view last = document_.text(leaf->node).substr(document_.text(leaf->node).size() - 1);
      bool is_month_first = last == "M" || last == "m";
      for_each_value(*leaf, [&](std::string_view text, Kind) { is_month_first = is_month_first || (text.size() >= 5 && text.substr(3, 2) > "12" && shape_of(text.substr(3, 2)) == "99"); });
      rule["time"] = time_of(document_.text(leaf->node), is_month_first);
      add_time_of_day(leaf, &rule);
    } else if (field.make == Make::kAmount) {
      size_t negative = 0, others = 0;
      char decimal = '\0';
      for_each_value(*leaf, [&](std::string_view text, Kind kind) {
        (text.substr(0, 1) == "-" ? negative : others) += 1;
        const char one = kind == Kind::kString ? decimal_of(text) : '\0';
        if (one == ',' || decimal == '\0') decimal = one;
      });
      if (negative > 0) rule["negative"] = negative > others ? "payment" : "refund";
      if (decimal != '\0') rule["decimal"] = std::string(1, decimal);
      if (leaf->name.find("minor") != std::string::npos || leaf->name.find("cents") != std::string::npos) rule["minor_units"] = true;
    } else if (field.field == "kind") {
      Json values = Json::object();
      bool all_known = true;
      for_each_value(*leaf, [&](std::string_view text, Kind kind) {
        if (kind == Kind::kNull) return;
        const std::string_view meaning = kind_of(words_of(text));
        all_known = all_known && !meaning.empty();
        if (!meaning.empty() && meaning != text) values[std::string(text)] = meaning;
      });
      if (!all_known) return;
      if (!values.empty()) rule["map"] = values;
    }
    leaf->is_used = true;
    fields_[std::string(field.field)] = rule.size() == 1 ? Json(path) : rule;
  }

  // Of a date alone the time of day may stand beside it.
  void add_time_of_day(Leaf* date, Json* rule) {
    const Json* format = (*rule)["time"].find("format");
    const std::string day = format == nullptr ? std::string() : format->text();
    if (day.find("DD") == std::string::npos || day.find("HH") != std::string::npos) return;
    for (Leaf& leaf : leaves_) {
      if (leaf.is_used || &leaf == date || leaf.name.find("time") == std::string::npos || holder_of(leaf.path) != holder_of(date->path)) continue;
      const std::string_view text = document_.text(leaf.node);
      const std::optional<std::string> time = document_.kind(leaf.node) == Kind::kString && !text.empty() ? time_of_day_template(text) : std::nullopt;
      if (!time || time->empty()) continue;
      leaf.is_used = true;
      (*rule)["path"] = Json::array({"$" + date->path, "$" + leaf.path});
      Json both = Json::object({{"format", day + ' ' + *time}});
      if (time->find("TZH") == std::string::npos) both["zone"] = "UTC";
      (*rule)["time"] = both;
      return;
    }
  }

  static std::string_view kind_of(std::string_view words) {
    constexpr std::pair<std::string_view, std::string_view> kKinds[] = {
        {"refund", "refund"},         {"credit", "refund"},      {"chargeback", "chargeback"}, {"dispute", "chargeback"}, {"revers", "reversal"},
        {"void", "reversal"},         {"cancel", "reversal"},    {"captur", "capture"},        {"settle", "capture"},     {"auth", "authorisation"},
        {"purchase", "payment"},      {"payment", "payment"},    {"sale", "payment"},          {"charge", "payment"},     {"debit", "payment"},
        {"transfer", "payment"},      {"cashout", "payment"},    {"pos", "payment"},
    };
    for (const auto& [part, kind] : kKinds) {
      if (words.find(part) != std::string_view::npos) return kind;
    }
    return "";
  }

  void propose_payer() {
    for (const PayerName& payer : kPayers) {
      for (Leaf& leaf : leaves_) {
        if (leaf.is_used || (leaf.name != payer.name && leaf.longer != payer.name) || !fits(leaf.node, Make::kText)) continue;
        if (document_.kind(leaf.node) == Kind::kNull) continue;
        leaf.is_used = true;
        fields_["customer"] = "$" + leaf.path;
        fields_["customer_kind"] = Json::object({{"value", payer.kind}});
        return;
      }
    }
  }

  const Document& document_;
  const std::vector<size_t>& samples_;
  std::vector<Leaf> leaves_;
  std::string holder_;  // path of what the amount is in
  Json fields_ = Json::object();
};

// True for a payment with the wire format's own names.
bool is_flat(const Document& document, size_t object) {
  size_t fields = 0;
  for (size_t key = Document::first(object); key < document.next(object); key = document.next(document.next(key))) {
    const std::string_view name = document.text(key);
    fields += name == "amt" || name == "trans_num" || name == "merchant" ? 1 : 0;
  }
  return fields == 3;
}

// Returns the name of a column: a text, or a member of an object.
std::string_view name_of_column(const Document& document, size_t column, std::string_view member) {
  if (document.kind(column) != Kind::kObject) return document.text(column);
  for (size_t key = Document::first(column); key < document.next(column); key = document.next(document.next(key))) {
    if (document.text(key) == member) return document.text(document.next(key));
  }
  return "";
}

// Returns the text of an array of objects that says what columns and rows say.
std::string objects_of(const Document& document, size_t columns, std::string_view member, size_t rows) {
  std::string text = "[";
  size_t count = 0;
  for (size_t row = Document::first(rows); row < document.next(rows) && count < kMaxSamples; row = document.next(row), ++count) {
    if (document.kind(row) != Kind::kArray || document.size(row) != document.size(columns)) continue;
    if (text.size() > 1) text += ',';
    text += '{';
    size_t value = Document::first(row);
    for (size_t column = Document::first(columns); column < document.next(columns); column = document.next(column), value = document.next(value)) {
      if (text.back() != '{') text += ',';
      write_json_string(name_of_column(document, column, member), &text);
      text += ':';
      write_node(document, value, &text);
    }
    text += '}';
  }
  return text + ']';
}

// Looks for the array, or the object, that is most like payments.
class Search {
 public:
  explicit Search(const Document& document) : document_(document) {}

  void look(size_t node, const std::string& path, bool is_element) {
    if (document_.kind(node) == Kind::kObject) {
      if (!is_element) {
        if (const std::vector<size_t> members = alike_members(node); !members.empty()) consider(members, path + ".*");
        consider({node}, path);
        consider_rows(node, path);
      }
      for (size_t key = Document::first(node); key < document_.next(node);) {
        const size_t value = document_.next(key);
        if (value >= document_.next(node)) break;
        if (!is_element || document_.kind(value) == Kind::kObject) look(value, path + step_of(document_.text(key)), is_element);
        key = document_.next(value);
      }
    } else if (document_.kind(node) == Kind::kArray) {
      std::vector<size_t> samples;
      for (size_t child = Document::first(node); child < document_.next(node) && samples.size() < kMaxSamples; child = document_.next(child)) {
        if (document_.kind(child) == Kind::kObject) samples.push_back(child);
      }
      if (samples.empty() || consider(samples, path + "[*]")) return;
      // The payments may be lists within.
      for (size_t key = Document::first(samples[0]); key < document_.next(samples[0]);) {
        const size_t value = document_.next(key);
        if (value >= document_.next(samples[0])) break;
        const size_t before = best_;
        if (document_.kind(value) == Kind::kArray) look(value, path + "[*]" + step_of(document_.text(key)), true);
        if (best_ != before && best_ != static_cast<size_t>(-1)) add_envelope(samples[0], path + "[*]");
        key = document_.next(value);
      }
    }
  }

  std::string take() const {
    if (fields_.is_null()) return "";
    Json mapping = Json::object();
    if (!path_.empty() && path_ != "[*]") mapping["payments"] = "$" + path_;
    if (!columns_.empty()) mapping["columns"] = "$" + columns_;
    mapping["fields"] = fields_;
    return redact(mapping.dump(), "");
  }

 private:
  // True where these are payments.
  bool consider(const std::vector<size_t>& samples, const std::string& path) {
    if (is_flat(document_, samples[0])) {
      // As it is, but for where it is.
      if (path.empty() || path == "[*]") return true;
      best_ = static_cast<size_t>(-1);
      fields_ = Json();
      path_ = path;
      Json fields = Json::object();
      std::vector<Leaf> leaves;
      collect(document_, samples[0], "", "", &leaves);
      for (const Leaf& leaf : leaves) {
        const std::string name = leaf.path.substr(1);
        if (is_payment_field(name)) fields[name] = "$" + leaf.path;
      }
      fields_ = fields;
      columns_.clear();
      return true;
    }
    const Proposal proposal(document_, samples, !path.empty() && (path.back() == ']' || path.back() == '*'));
    if (!proposal.is_payment()) return false;
    if (proposal.score() <= best_) return true;
    best_ = proposal.score();
    fields_ = proposal.fields();
    path_ = path;
    columns_.clear();
    // What payments that are members are called is their id, if nothing within is.
    if (path.size() >= 2 && path.compare(path.size() - 2, 2, ".*") == 0 && !fields_.contains("trans_num")) fields_["trans_num"] = Json::object({{"from", "key"}});
    return true;
  }

  // The members of an object of payments by their ids: more than one, and each by itself a payment.
  std::vector<size_t> alike_members(size_t object) const {
    std::vector<size_t> members;
    for (size_t key = Document::first(object); key < document_.next(object) && members.size() < kMaxSamples;) {
      const size_t value = document_.next(key);
      if (value >= document_.next(object) || document_.kind(value) != Kind::kObject) break;
      if (!is_flat(document_, value) && !Proposal(document_, {value}, false).is_payment()) return {};
      members.push_back(value);
      key = document_.next(value);
      if (key < document_.next(object) && document_.next(key) < document_.next(object) && document_.kind(document_.next(key)) != Kind::kObject) return {};
    }
    return members.size() > 1 ? members : std::vector<size_t>();
  }

  // Looks for rows of values, and the names of their columns, among the members of an object.
  void consider_rows(size_t object, const std::string& path) {
    std::vector<std::pair<size_t, size_t>> lists;  // name and value
    for (size_t key = Document::first(object); key < document_.next(object);) {
      const size_t value = document_.next(key);
      if (value >= document_.next(object)) break;
      if (document_.kind(value) == Kind::kArray && document_.size(value) > 0) lists.emplace_back(key, value);
      key = document_.next(value);
    }
    for (const auto& [names_key, names] : lists) {
      const size_t first = Document::first(names);
      std::string_view member;  // of a column that is an object, its name
      if (document_.kind(first) == Kind::kObject) {
        for (size_t key = Document::first(first); key < document_.next(first); key = document_.next(document_.next(key))) {
          if (document_.text(key) == "name" || document_.text(key) == "key" || document_.text(key) == "id" || document_.text(key) == "field") {
            member = document_.text(key);
            break;
          }
        }
        if (member.empty()) continue;
      } else if (document_.kind(first) != Kind::kString) {
        continue;
      }
      for (const auto& [rows_key, rows] : lists) {
        if (document_.kind(Document::first(rows)) != Kind::kArray || document_.size(Document::first(rows)) != document_.size(names)) continue;
        Document objects;
        if (objects.read(objects_of(document_, names, member, rows)) != Document::Reading::kWhole) continue;
        Search search(objects);
        search.look(0, "", false);
        if (search.fields_.is_null() || search.best_ <= best_) continue;
        best_ = search.best_;
        fields_ = search.fields_;
        path_ = path + step_of(document_.text(rows_key)) + "[*]";
        columns_ = path + step_of(document_.text(names_key)) + (member.empty() ? "" : "[*]" + step_of(member));
      }
    }
  }

  // Takes from around the payments who pays and in what, where they do not say it.
  void add_envelope(size_t object, const std::string& path) {
    const Proposal around(document_, {object}, false);
    const bool has_payer = fields_.contains("cc_num") || fields_.contains("customer");
    for (const std::string_view name : {"cc_num", "customer", "currency", "merchant"}) {
      const Json* found = around.fields().find(name);
      if (found == nullptr || !found->is_text() || fields_.contains(name) || (has_payer && (name == "cc_num" || name == "customer"))) continue;
      fields_[std::string(name)] = Json::object({{"path", "$" + path + found->text().substr(1)}, {"from", "envelope"}});
      if (name == "customer") fields_["customer_kind"] = around.fields()["customer_kind"];
    }
  }

  const Document& document_;
  size_t best_ = 0;
  Json fields_;
  std::string path_;
  std::string columns_;  // path of the names of payments that are arrays
};

size_t member_of(const Document& document, std::string_view name) {
  for (size_t key = Document::first(0); key < document.next(0);) {
    const size_t value = document.next(key);
    if (value >= document.next(0)) break;
    if (document.text(key) == name && document.kind(value) == Kind::kArray) return value;
    key = document.next(value);
  }
  return 0;
}

std::string propose_for_csv(std::string_view body) {
  for (const char delimiter : {',', ';', '\t', '|'}) {
    Csv csv(body, delimiter);
    if (!csv.next() || csv.is_broken() || csv.fields().size() < 2) continue;
    const std::vector<std::string> columns = csv.fields();
    std::string text = "[";
    for (size_t i = 0; i < kMaxSamples && csv.next(); ++i) {
      if (csv.is_broken() || csv.fields().size() != columns.size()) continue;
      if (text.size() > 1) text += ',';
      text += '{';
      for (size_t c = 0; c < columns.size(); ++c) {
        if (columns[c].empty()) continue;
        if (text.back() != '{') text += ',';
        write_csv_value(columns[c], &text);
        text += ':';
        write_csv_value(csv.fields()[c], &text);
      }
      text += '}';
    }
    Document document;
    if (document.read(text + ']') != Document::Reading::kWhole) return "";
    Search search(document);
    search.look(0, "", false);
    const std::string fields = search.take();
    const bool has_our_names = std::count_if(columns.begin(), columns.end(), is_payment_field) >= 3;
    if (fields.empty() && (!has_our_names || delimiter == ',')) continue;
    if (delimiter == ',') return fields;
    Json mapping = Json::object({{"delimiter", std::string(1, delimiter)}});
    if (!has_our_names) Json::parse(fields).each_member([&](const std::string& name, const Json& value) { mapping[name] = value; });
    return mapping.dump();
  }
  return "";
}

}  // namespace

std::string propose_mapping(std::string_view body, PaymentFormat format) {
  body = body.substr(0, kMaxLookedAt);
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (body.substr(0, kByteOrderMark.size()) == kByteOrderMark) body.remove_prefix(kByteOrderMark.size());
  size_t at = skip_blank(body, 0);
  if (at >= body.size()) return "";
  if (format == PaymentFormat::kCsv) return propose_for_csv(body);
  std::string unwrapped;
  if (body[at] == '"') {
    size_t end = 0;
    unwrapped = unwrap_string(body, at, &end);
    body = unwrapped;
    at = skip_blank(body, 0);
    if (at >= body.size()) return "";
  }
  Document document;
  const Document::Reading reading = document.read(body.substr(at));
  // Of lines the first is one of payments, and what follows it a break.
  if (reading != Document::Reading::kWhole && (document.empty() || !document.is_container(0))) return "";
  if (document.kind(0) == Kind::kObject) {
    const size_t columns = member_of(document, "columns"), rows = member_of(document, "data");
    if (columns != 0 && rows != 0) {
      Document objects;
      if (objects.read(objects_of(document, columns, "", rows)) != Document::Reading::kWhole) return "";
      Search search(objects);
      search.look(0, "", false);
      return search.take();
    }
  }
  Search search(document);
  search.look(0, "", false);
  return search.take();
}

}  // namespace fraud
