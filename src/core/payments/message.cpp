#include "core/payments/message.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "core/base/error.h"
#include "core/base/json.h"
#include "core/payments/currency.h"
#include "core/payments/escape.h"

namespace fraud {
namespace {

constexpr size_t kMaxSubject = 160;  // bytes

// Texts that a template can name, besides payload and its parts.
constexpr std::array<std::string_view, 9> kMessageFields = {
    "id", "kind", "created_at", "digest", "count", "subject", "text", "html", "payload"};
// Of an alert's payload, without "payload." before it.
constexpr std::array<std::string_view, 22> kAlertFields = {
    "alert_id", "case_id",  "case_alerts", "escalated", "transaction_id", "card",  "last_four",
    "amount",   "merchant", "category",    "score",     "decision",       "model", "occurred_at",
    "currency", "base_amount", "attributes", "stream", "event_id", "entity", "case_url", "local_time"};

// Returns a value as people read it: a text without quotes, a list with commas.
std::string readable(const Json& value) {
  if (value.is_null() || !value.is_readable()) return {};
  if (value.is_text()) return value.text();
  if (value.is_array()) {
    std::string list;
    for (const Json& item : value.values()) list += (list.empty() ? "" : ", ") + readable(item);
    return list;
  }
  return value.dump();
}

std::string field(const Json& payload, const char* name) {
  return readable(payload[name]);
}

std::string two_decimals(const Json& payload, const char* name, int decimals) {
  const Json& found = payload[name];
  if (!found.is_number()) return field(payload, name);
  char text[400];
  snprintf(text, sizeof(text), "%.*f", decimals, found.number());
  return text;
}

// The amount as paid, with its currency where that is not the one that others are compared in.
std::string amount_of(const Json& alert) {
  const std::string currency = field(alert, "currency");
  if (currency.empty() || currency == base_currency()) return two_decimals(alert, "amount", currency.empty() ? 2 : base_decimals());
  return two_decimals(alert, "amount", currency_decimals(currency).value_or(2)) + " " + currency;
}

// Cuts to so many bytes, at a character's bound.
std::string cut(std::string text, size_t bytes) {
  if (text.size() <= bytes) return text;
  size_t end = bytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  text.resize(end);
  return text + "…";
}

std::string one_line(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return text;
}

// Tells whether the alert is of an event of a stream, else it is of a payment.
bool of_stream(const Json& alert) { return !field(alert, "stream").empty(); }

// An alert in one line.
std::string alert_line(const Json& alert) {
  std::string line = field(alert, "decision") + ": ";
  if (of_stream(alert)) {
    line += field(alert, "stream") + " " + (alert["event_id"].is_null() ? "event" : field(alert, "event_id"));
    if (field(alert, "entity") != field(alert, "event_id")) line += " of " + field(alert, "entity");
    if (!field(alert, "amount").empty()) line += ", amount " + two_decimals(alert, "amount", 2);
  } else {
    line += amount_of(alert) + " at " + field(alert, "merchant");
    if (!field(alert, "last_four").empty()) line += ", card ending in " + field(alert, "last_four");
  }
  line += alert["score"].is_null() ? ", without a score" : ", score " + two_decimals(alert, "score", 3);
  if (alert.contains("case_alerts") && alert["case_alerts"].number() != 1) {
    line += ", alert " + field(alert, "case_alerts") + " of its case";
  }
  return one_line(std::move(line));
}

// The payment's time as people read it: of the reports' time zone, where that is another, and in UTC.
std::string time_of(const Json& alert) {
  std::string utc = field(alert, "occurred_at");
  if (utc.size() >= 20 && utc[10] == 'T' && utc.back() == 'Z') utc = utc.substr(0, 10) + " " + utc.substr(11, 8) + " UTC";
  const std::string local = field(alert, "local_time");
  return local.empty() ? utc : local + " (" + utc + ")";
}

constexpr const char* kLink = "Link";

// An alert's particulars, for people: name and value.
std::vector<std::pair<std::string, std::string>> alert_rows(const Json& alert) {
  std::vector<std::pair<std::string, std::string>> rows = {
      {"Decision", field(alert, "decision")},
      {"Score", alert["score"].is_null() ? "none" : two_decimals(alert, "score", 4)},
      {"Amount", of_stream(alert) ? two_decimals(alert, "amount", 2) : amount_of(alert)},
  };
  if (of_stream(alert)) {
    rows.insert(rows.end(), {{"Stream", field(alert, "stream")},
                             {"Of", field(alert, "entity")},
                             {"Time", alert["occurred_at"].is_null() ? "unknown" : time_of(alert)},
                             {"Event", alert["event_id"].is_null() ? "unknown" : field(alert, "event_id")}});
  } else {
    rows.insert(rows.end(), {{"Merchant", field(alert, "merchant")},
                             {"Category", field(alert, "category")},
                             {"Card", field(alert, "last_four").empty() ? field(alert, "card")
                                                                        : "ending in " + field(alert, "last_four")},
                             {"Time", time_of(alert)},
                             {"Payment", field(alert, "transaction_id")}});
  }
  rows.insert(rows.end(), {{"Model", alert["model"].is_null() ? "none" : field(alert, "model")},
                           {"Case", field(alert, "case_id") + " (alert " + field(alert, "case_alerts") + " of it)"}});
  if (!field(alert, "case_url").empty()) rows.emplace_back(kLink, field(alert, "case_url"));
  if (const Json& reasons = alert["reasons"]; reasons.is_array()) {
    bool first = true;
    for (const Json& reason : reasons.values()) {
      rows.emplace_back(first ? "Reasons" : "", readable(reason));
      first = false;
    }
  }
  for (auto& [name, value] : rows) value = one_line(value);
  return rows;
}

// The rows of any other payload: what stands at its top.
std::vector<std::pair<std::string, std::string>> other_rows(const Json& payload) {
  std::vector<std::pair<std::string, std::string>> rows;
  payload.each_member([&](const std::string& name, const Json& value) { rows.emplace_back(name, one_line(readable(value))); });
  return rows;
}

std::vector<std::pair<std::string, std::string>> rows_of(const Message& message, const Json& payload) {
  return message.kind == "alert" ? alert_rows(payload) : other_rows(payload);
}

std::string subject_of(const Message& message, const Json& payload) {
  if (!message.subject.empty()) return message.subject;
  if (message.kind == "alert") return "Fraud alert: " + alert_line(payload);
  if (message.kind == "test") return "Test message of fraud_detect";
  return "fraud_detect: " + message.kind;
}

std::string text_of(const Message& message, const Json& payload) {
  if (!message.text.empty()) return message.text;
  std::string text = subject_of(message, payload) + "\n\n";
  for (const auto& [name, value] : rows_of(message, payload)) {
    std::string label = name.empty() ? name : name + ":";
    label.resize(std::max<size_t>(label.size(), 10), ' ');
    text += label + " " + value + "\n";
  }
  return text;
}

std::string table_of(const Message& message, const Json& payload) {
  std::string table = "<table>";
  for (const auto& [name, value] : rows_of(message, payload)) {
    std::string shown = escape_html(value);
    // The address is what an administrator has set (fraud_detect.case_url), and of a web page.
    if (message.kind == "alert" && name == kLink) shown = "<a href=\"" + shown + "\">" + shown + "</a>";
    table += "<tr><th>" + escape_html(name) + "</th><td>" + shown + "</td></tr>";
  }
  return table + "</table>";
}

std::string page(const std::string& title, const std::string& body) {
  return "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>" +
         escape_html(title) +
         "</title><style>body{font:15px/1.4 system-ui,sans-serif;margin:1.5em}"
         "h1{font-size:1.2em}table{border-collapse:collapse;margin:0 0 1.5em}"
         "th,td{text-align:left;vertical-align:top;padding:.15em 1em .15em 0}"
         "th{font-weight:600}</style></head><body><h1>" +
         escape_html(title) + "</h1>" + body + "</body></html>\n";
}

std::string more_note(const Notification& notification) {
  int64_t more = notification.total - static_cast<int64_t>(notification.messages.size());
  return more > 0 ? "and " + std::to_string(more) + " more: see fraud.alerts" : std::string();
}

// What a webhook's template, and our own body, can say.
Json values_of(const Notification& notification) {
  MailText mail = mail_text(notification);
  Json data;
  if (notification.digest) {
    data = Json::array();
    for (const Message& message : notification.messages) data.push_back(Json::parse(message.payload));
  } else {
    data = Json::parse(notification.messages.front().payload);
  }
  return Json::object({{"id", notification.id},
                       {"kind", notification.kind},
                       {"created_at", notification.created_at},
                       {"digest", notification.digest},
                       {"count", notification.total},
                       {"subject", mail.subject},
                       {"text", mail.text},
                       {"html", mail.html},
                       {"payload", data}});
}

// ---------------------------------------------------------------- templates

using Filter = std::string (*)(std::string_view);

struct Placeholder {
  std::string path;
  Filter filter = nullptr;
};

// Reads what stands between the braces: NAME, NAME|escape or NAME|markdown.
Placeholder read_placeholder(std::string_view inside) {
  auto trim = [](std::string_view text) {
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
    return text;
  };
  Placeholder placeholder;
  size_t bar = inside.find('|');
  placeholder.path = std::string(trim(inside.substr(0, bar)));
  if (bar != std::string_view::npos) {
    std::string_view filter = trim(inside.substr(bar + 1));
    if (filter == "escape") placeholder.filter = escape_markup;
    if (filter == "markdown") placeholder.filter = escape_markdown;
    if (placeholder.filter == nullptr) {
      throw Error(ErrorCode::kInvalidArgument,
                  "unknown filter in the template's placeholder \"" + std::string(inside.substr(0, 60)) + "\"",
                  {}, "The filters are escape (Slack) and markdown.");
    }
  }
  return placeholder;
}

// Calls on_text and on_placeholder for the parts of a text.
template <typename OnText, typename OnPlaceholder>
void split_template(std::string_view text, OnText&& on_text, OnPlaceholder&& on_placeholder) {
  size_t at = 0;
  while (at < text.size()) {
    size_t open = text.find("{{", at);
    size_t close = open == std::string_view::npos ? open : text.find("}}", open + 2);
    if (close == std::string_view::npos) break;
    on_text(text.substr(at, open - at));
    on_placeholder(read_placeholder(text.substr(open + 2, close - open - 2)));
    at = close + 2;
  }
  on_text(text.substr(at));
}

bool is_known(std::string_view path) {
  if (path.substr(0, 8) == "payload.") return path.size() > 8;
  return std::find(kMessageFields.begin(), kMessageFields.end(), path) != kMessageFields.end() ||
         std::find(kAlertFields.begin(), kAlertFields.end(), path) != kAlertFields.end() ||
         path == "reasons";
}

// Finds what a placeholder names; null where this message has no such thing.
Json look_up(const Json& values, std::string_view path) {
  if (std::find(kMessageFields.begin(), kMessageFields.end(), path) != kMessageFields.end()) {
    return values[path];
  }
  if (path.substr(0, 8) == "payload.") path.remove_prefix(8);
  const Json* at = values.find("payload");
  while (!path.empty()) {
    size_t dot = path.find('.');
    at = at->find(path.substr(0, dot));
    if (at == nullptr) return nullptr;
    path = dot == std::string_view::npos ? std::string_view() : path.substr(dot + 1);
  }
  return *at;
}

// A text that is one placeholder becomes the value itself, a number say; within
// other text, values are written as people read them.
Json fill_text(const std::string& text, const Json& values) {
  if (text.size() > 4 && text.rfind("{{", 0) == 0 && text.find("}}") == text.size() - 2) {
    Placeholder whole = read_placeholder(std::string_view(text).substr(2, text.size() - 4));
    Json value = look_up(values, whole.path);
    if (whole.filter != nullptr) return whole.filter(readable(value));
    return value;
  }
  std::string filled;
  split_template(
      text, [&](std::string_view part) { filled += part; },
      [&](const Placeholder& placeholder) {
        std::string value = readable(look_up(values, placeholder.path));
        filled += placeholder.filter != nullptr ? placeholder.filter(value) : value;
      });
  return filled;
}

Json fill(const Json& part, const Json& values) {
  if (part.is_text()) return fill_text(part.text(), values);
  if (part.is_array()) {
    Json filled = Json::array();
    for (const Json& item : part.values()) filled.push_back(fill(item, values));
    return filled;
  }
  if (part.is_object()) {
    Json filled = Json::object();
    part.each_member([&](const std::string& name, const Json& item) { filled[name] = fill(item, values); });
    return filled;
  }
  return part;
}

size_t check_part(const Json& part) {
  size_t found = 0;
  if (part.is_text()) {
    split_template(
        part.text(), [](std::string_view) {},
        [&](const Placeholder& placeholder) {
          if (!is_known(placeholder.path)) {
            throw Error(ErrorCode::kInvalidArgument,
                        "unknown placeholder \"" + placeholder.path.substr(0, 60) + "\" in the template",
                        {}, "Such as {{text}}, {{decision}} or {{payload.merchant}}; docs/alerts.md lists them.");
          }
          ++found;
        });
  }
  for (const Json& item : part.values()) found += check_part(item);
  return found;
}

std::string base64(std::string_view bytes) {
  static constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j) {
      group = group << 8 | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0u);
    }
    for (size_t j = 0; j < 4; ++j) {
      text += i + j > bytes.size() ? '=' : kDigits[group >> (18 - 6 * j) & 63];
    }
  }
  return text;
}

}  // namespace

MailText mail_text(const Notification& notification) {
  MailText mail;
  if (!notification.digest) {
    const Message& message = notification.messages.front();
    Json payload = Json::parse(message.payload);
    if (!payload.is_object()) payload = Json::object();
    mail.subject = cut(one_line(subject_of(message, payload)), kMaxSubject);
    mail.text = text_of(message, payload);
    mail.html = !message.html.empty() ? message.html : page(mail.subject, table_of(message, payload));
    return mail;
  }
  mail.subject = std::to_string(notification.total) + " fraud alert" + (notification.total == 1 ? "" : "s");
  std::string list, details;
  std::string html_list = "<ul>", html_details;
  for (const Message& message : notification.messages) {
    Json payload = Json::parse(message.payload);
    if (!payload.is_object()) payload = Json::object();
    list += "- " + alert_line(payload) + "\n";
    details += "\n" + text_of(message, payload);
    html_list += "<li>" + escape_html(alert_line(payload)) + "</li>";
    html_details += table_of(message, payload);
  }
  std::string more = more_note(notification);
  if (!more.empty()) {
    list += "- " + more + "\n";
    html_list += "<li>" + escape_html(more) + "</li>";
  }
  mail.text = mail.subject + "\n\n" + list + details;
  mail.html = page(mail.subject, html_list + "</ul>" + html_details);
  return mail;
}

std::string webhook_body(const Notification& notification, std::string_view json_template) {
  Json values = values_of(notification);
  if (!json_template.empty()) {
    return fill(Json::parse(json_template), values).dump();
  }
  return Json::object({{"id", values["id"]},
                       {"kind", values["kind"]},
                       {"created_at", values["created_at"]},
                       {"digest", values["digest"]},
                       {"count", values["count"]},
                       {"subject", values["subject"]},
                       {"data", values["payload"]}})
      .dump();
}

std::string notify_body(const Notification& notification, bool full, size_t max_bytes) {
  Json body = Json::object({{"id", notification.id},
                            {"kind", notification.kind},
                            {"created_at", notification.created_at},
                            {"digest", notification.digest},
                            {"count", notification.total}});
  if (full) {
    std::string whole = webhook_body(notification, {});
    if (whole.size() <= max_bytes) return whole;
  } else if (notification.kind == "alert") {
    Json alerts = Json::array();
    for (const Message& message : notification.messages) {
      Json payload = Json::parse(message.payload);
      Json alert = Json::object();
      for (const char* name : {"alert_id", "case_id", "decision", "stream"}) {
        if (const Json* value = payload.find(name)) alert[name] = *value;
      }
      alerts.push_back(alert);
    }
    body["alerts"] = alerts;
    std::string ids = body.dump();
    if (ids.size() <= max_bytes) return ids;
    body.erase("alerts");
  } else {
    return body.dump();
  }
  body["truncated"] = true;
  return body.dump();
}

void check_template(std::string_view json_template) {
  const Json json = Json::parse(json_template);
  if (!json.is_structured()) {
    throw Error(ErrorCode::kInvalidArgument, "the template must be a JSON object or array", {},
                "For example: {\"text\": \"{{text}}\"}.");
  }
  if (check_part(json) == 0) {
    throw Error(ErrorCode::kInvalidArgument, "the template holds no placeholder", {},
                "For example: {\"text\": \"{{text}}\"}.");
  }
}

std::string encode_mail_header(std::string_view text) {
  constexpr size_t kMaxPlain = 70;
  constexpr size_t kMaxChunk = 42;  // bytes in an encoded word, which has at most 75 characters
  bool plain = text.size() <= kMaxPlain && text.find("=?") == std::string_view::npos &&
               std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
  if (plain) return std::string(text);
  std::string encoded;
  while (!text.empty()) {
    size_t end = std::min(text.size(), kMaxChunk);
    while (end > 0 && end < text.size() && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
    if (end == 0) end = std::min(text.size(), kMaxChunk);  // no UTF-8 at all
    if (!encoded.empty()) encoded += "\r\n ";
    encoded += "=?UTF-8?B?" + base64(text.substr(0, end)) + "?=";
    text.remove_prefix(end);
  }
  return encoded;
}

}  // namespace fraud
