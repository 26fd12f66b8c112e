// Guesses a mapping.
#include "core/payments/mapping_proposal.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "core/base/json.h"
#include "core/payments/csv.h"
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
        "id", "transactionreference", "reference"}},
      {"amt", Make::kAmount,
       {"amt", "amount", "amountvalue", "transactionamount", "amountamount", "transactionamountamount", "amountminor", "amountminorunits",
        "amountincents", "amountcents", "minorunits", "value", "total", "totalamount", "price", "sum"}},
      {"currency", Make::kCurrency, {"currency", "currencycode", "amountcurrency", "amountcurrencycode", "transactionamountcurrency", "ccy", "isocurrency"}},
      {"trans_date_trans_time", Make::kTime,
       {"occurredat", "transdatetranstime", "transactiontime", "transactiontimestamp", "transactiondatetime", "transactiondate", "timestamp", "createdat",
        "created", "authorizedat", "authorisedat", "processedat", "bookingdatetime", "bookedat", "datetime", "paymentdate", "eventtime", "bookingdate",
        "time", "date", "ts", "currenttime", "unixtime"}},
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

// What a text of a date and a time looks like to to_timestamp, if it looks like one.
std::string time_template(std::string_view text) {
  std::string shape;
  for (const char c : text) shape += is_ascii_digit(c) ? '9' : c;
  for (const char separator : {'/', '-', '.'}) {
    const std::string s(1, separator);
    const std::string year_last = "99" + s + "99" + s + "9999", year_first = "9999" + s + "99" + s + "99";
    std::string date;
    if (shape.compare(0, 10, year_last) == 0) {
      const bool is_month_first = text.substr(3, 2) > "12";
      date = (is_month_first ? "MM" + s + "DD" : "DD" + s + "MM") + s + "YYYY";
    } else if (shape.compare(0, 10, year_first) == 0) {
      date = "YYYY" + s + "MM" + s + "DD";
    } else {
      continue;
    }
    const std::string rest = shape.substr(10);
    if (rest.empty()) return date;
    if (rest == " 99:99") return date + " HH24:MI";
    if (rest == " 99:99:99") return date + " HH24:MI:SS";
    if (rest == " 99:99:99.999") return date + " HH24:MI:SS.MS";
  }
  return "";
}

class Proposal {
 public:
  Proposal(const Document& document, const std::vector<size_t>& samples) : document_(document), samples_(samples) {
    collect(document, samples[0], "", "", &leaves_);
    // What was not given first may be in another.
    for (size_t i = 1; i < samples.size(); ++i) {
      std::vector<Leaf> more;
      collect(document, samples[i], "", "", &more);
      for (Leaf& leaf : more) {
        if (std::none_of(leaves_.begin(), leaves_.end(), [&](const Leaf& one) { return one.path == leaf.path; })) leaves_.push_back(std::move(leaf));
      }
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
        return parse_within(text, 1e300).has_value() || has_decimal_comma(text);
      case Make::kTime:
        return !time_of(text).empty();
      case Make::kCard:
        return text.size() >= 8 && text.size() <= 19 && all_digits(text);
      case Make::kFlag:
        return kind == Kind::kTrue || kind == Kind::kFalse || parse_flag(text).has_value();
      case Make::kCurrency:
        return text.size() == 3 && std::all_of(text.begin(), text.end(), is_ascii_letter);
    }
    return false;
  }

  static bool has_decimal_comma(std::string_view text) {
    const size_t comma = text.rfind(',');
    return comma != std::string_view::npos && text.size() - comma == 3 && text.find_first_not_of("-+0123456789., ") == std::string_view::npos;
  }

  // Returns what "time" of a rule would say of such a text; null where it is a time and nothing has to.
  static Json time_of(std::string_view text) {
    const std::string_view unit = all_digits(text.substr(0, text.find('.'))) ? epoch_unit(text) : std::string_view();
    if (unit == "seconds") return Json::object({{"format", "epoch_s"}});
    if (unit == "milliseconds") return Json::object({{"format", "epoch_ms"}});
    if (unit == "microseconds") return Json::object({{"format", "epoch_us"}});
    if (parse_time_text(text)) {
      Json time = Json::object({{"format", "iso8601"}});
      if (text.find_first_of("zZ+-", 11) == std::string_view::npos) time["zone"] = "UTC";
      return time;
    }
    const std::string shape = time_template(text);
    return shape.empty() ? Json() : Json::object({{"format", shape}, {"zone", "UTC"}});
  }

  Leaf* find(const std::vector<std::string_view>& names, Make make) {
    for (const std::string_view name : names) {
      for (const bool is_longer : {false, true}) {
        for (Leaf& leaf : leaves_) {
          if (!leaf.is_used && (is_longer ? leaf.longer : leaf.name) == name && fits(leaf.node, make) && !is_of_another(leaf, name)) return &leaf;
        }
      }
    }
    return nullptr;
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
      rule["time"] = time_of(document_.text(leaf->node));
    } else if (field.make == Make::kAmount) {
      size_t negative = 0, others = 0;
      bool has_comma = false;
      for_each_value(*leaf, [&](std::string_view text, Kind) {
        (text.substr(0, 1) == "-" ? negative : others) += 1;
        has_comma = has_comma || has_decimal_comma(text);
      });
      if (negative > 0) rule["negative"] = negative > others ? "payment" : "refund";
      if (has_comma) rule["decimal"] = ",";
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

// Looks for the array, or the object, that is most like payments.
class Search {
 public:
  explicit Search(const Document& document) : document_(document) {}

  void look(size_t node, const std::string& path, bool is_element) {
    if (document_.kind(node) == Kind::kObject) {
      if (!is_element) consider({node}, path);
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
      if (!samples.empty()) consider(samples, path + "[*]");
    }
  }

  std::string take() const {
    if (fields_.is_null()) return "";
    Json mapping = Json::object();
    if (!path_.empty() && path_ != "[*]") mapping["payments"] = "$" + path_;
    mapping["fields"] = fields_;
    return redact(mapping.dump(), "");
  }

 private:
  void consider(const std::vector<size_t>& samples, const std::string& path) {
    if (is_flat(document_, samples[0])) {
      // As it is, but for where it is.
      if (path.empty() || path == "[*]") return;
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
      return;
    }
    const Proposal proposal(document_, samples);
    if (!proposal.is_payment() || proposal.score() <= best_) return;
    best_ = proposal.score();
    fields_ = proposal.fields();
    path_ = path;
  }

  const Document& document_;
  size_t best_ = 0;
  Json fields_;
  std::string path_;
};

// Returns the text of an array of objects that says what columns and rows say.
std::string objects_of(const Document& document, size_t columns, size_t rows) {
  std::string text = "[";
  size_t count = 0;
  for (size_t row = Document::first(rows); row < document.next(rows) && count < kMaxSamples; row = document.next(row), ++count) {
    if (document.kind(row) != Kind::kArray || document.size(row) != document.size(columns)) continue;
    if (text.size() > 1) text += ',';
    text += '{';
    size_t value = Document::first(row);
    for (size_t column = Document::first(columns); column < document.next(columns); column = document.next(column), value = document.next(value)) {
      if (text.back() != '{') text += ',';
      write_json_string(document.text(column), &text);
      text += ':';
      write_node(document, value, &text);
    }
    text += '}';
  }
  return text + ']';
}

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
      if (objects.read(objects_of(document, columns, rows)) != Document::Reading::kWhole) return "";
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
