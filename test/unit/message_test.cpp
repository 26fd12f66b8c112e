#include "core/payments/message.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/payments/escape.h"

namespace fraud {
namespace {

using Json = nlohmann::json;

const char kAlert[] =
    R"({"alert_id": 7, "case_id": 3, "case_alerts": 2, "escalated": false, "transaction_id": "p-1",)"
    R"( "card": "00000000-0000-8000-8000-000000000000", "last_four": "0002", "amount": 1250.5,)"
    R"( "merchant": "<!channel> & \"Söhne\"\r\nBcc: x@y.z {{secret}}", "category": "travel", "score": 0.91234,)"
    R"( "decision": "block", "model": "payments/1", "occurred_at": "2026-03-02T14:05:00.000Z",)"
    R"( "reasons": ["amount 1250.50", "3 <b>payments</b>"]})";

Notification alert() {
  Notification notification;
  notification.id = "11111111-2222-4333-8444-555555555555";
  notification.created_at = "2026-03-02T14:05:01.000Z";
  notification.kind = "alert";
  notification.messages = {{"alert", kAlert, "", "", ""}};
  return notification;
}

// Anybody may listen: of all that an alert says, ids and decision.
TEST(Message, NotifySaysIdsAlone) {
  Notification digest = alert();
  digest.digest = true;
  digest.total = 2;
  digest.messages.push_back(digest.messages.front());
  for (const Notification& notification : {alert(), digest}) {
    Json body = Json::parse(notify_body(notification, false, 7900));
    EXPECT_EQ(body["alerts"].size(), notification.messages.size());
    EXPECT_EQ(body["alerts"][0], Json::parse(R"({"alert_id": 7, "case_id": 3, "decision": "block"})"));
    body.erase("alerts");
    EXPECT_EQ(body.size(), 5u);
    EXPECT_EQ(body["count"], notification.total);
  }
  Json cut = Json::parse(notify_body(digest, false, 200));
  EXPECT_EQ(cut["truncated"], true);
  EXPECT_FALSE(cut.contains("alerts"));
  Notification report = alert();
  report.kind = "report";
  report.messages = {{"report", R"({"day": "2026-03-02", "payments": 5})", "", "", ""}};
  EXPECT_EQ(notify_body(report, false, 7900).find("2026-03-02T"), notify_body(report, false, 7900).find("2026-03-02"));
  EXPECT_EQ(notify_body(report, false, 7900).find("payments"), std::string::npos);
}

TEST(Message, MarkdownIsText) {
  EXPECT_EQ(escape_markdown("*bold* _it_ ~~no~~ `code` [a](http://b) \\ ||x||"),
            "\\*bold\\* \\_it\\_ \\~\\~no\\~\\~ \\`code\\` \\[a\\](http\\://b) \\\\ \\|\\|x\\|\\|");
  EXPECT_EQ(escape_markdown("<!channel> & <@U1>"), "&lt;!channel&gt; &amp; &lt;@\u200bU1&gt;");
  EXPECT_EQ(escape_markdown("@everyone www.a.example"), "@\u200beveryone www\\.a.example");
  EXPECT_EQ(escape_markdown("# big\n- a\n 12. b\n+ c\n===\n12.50 # no - 3. +"),
            "\\# big\n\\- a\n 12\\. b\n\\+ c\n\\===\n12\\.50 # no - 3. +");
  EXPECT_EQ(escape_markdown("Söhne & Co, 1250.50"), "Söhne &amp; Co, 1250.50");
  Json filled = Json::parse(webhook_body(alert(), R"({"a": "{{merchant|markdown}}", "b": "at {{ category | markdown }}"})"));
  EXPECT_EQ(filled["a"].get<std::string>().find("&lt;!channel&gt; &amp; \"Söhne\""), 0u);
  EXPECT_EQ(filled["b"], "at travel");
  EXPECT_NO_THROW(check_template(R"({"a": "{{merchant|markdown}}"})"));
  EXPECT_THROW(check_template(R"({"a": "{{merchant|Markdown}}"})"), Error);
}

TEST(Message, MailSaysTheSameTwice) {
  MailText mail = mail_text(alert());
  EXPECT_EQ(mail.subject.find("Fraud alert: block: 1250.50 at <!channel> & \"Söhne\""), 0u);
  EXPECT_EQ(mail.subject.find_first_of("\r\n"), std::string::npos);
  for (const char* what : {"block", "0.9123", "1250.50", "travel", "ending in 0002", "2026-03-02 14:05:00 UTC", "p-1", "payments/1", "3 (alert 2 of it)"}) {
    EXPECT_NE(mail.text.find(what), std::string::npos) << what;
    EXPECT_NE(mail.html.find(what), std::string::npos) << what;
  }
  EXPECT_NE(mail.text.find("3 <b>payments</b>"), std::string::npos);
  EXPECT_EQ(mail.html.find("<b>"), std::string::npos);
  EXPECT_NE(mail.html.find("&lt;!channel&gt; &amp; &quot;Söhne&quot;"), std::string::npos);
}

// What a rule has decided though it could not be scored, and may have no name.
TEST(Message, SaysThatThereIsNoScore) {
  Notification notification = alert();
  Json payload = Json::parse(R"({"alert_id": 8, "case_id": 4, "case_alerts": 1, "escalated": false, "stream": "claims", "event_id": null, "entity": "unknown",)"
                             R"( "occurred_at": null, "amount": null, "score": null, "decision": "block", "model": null, "reasons": ["rule large", "could not be scored"]})");
  notification.messages[0].payload = payload.dump();
  MailText mail = mail_text(notification);
  EXPECT_NE(mail.subject.find("block: claims event of unknown, without a score"), std::string::npos) << mail.subject;
  for (const char* what : {"Score:     none", "Model:     none", "Event:     unknown", "Time:      unknown", "could not be scored"}) {
    EXPECT_NE(mail.text.find(what), std::string::npos) << what << mail.text;
  }
}

TEST(Message, MailLinksToTheCase) {
  Notification notification = alert();
  Json payload = Json::parse(kAlert);
  payload["case_url"] = "https://desk.example/cases/3?a=1&b=2";
  payload["local_time"] = "2026-03-02 09:05:00 America/New_York";
  notification.messages[0].payload = payload.dump();
  MailText mail = mail_text(notification);
  EXPECT_NE(mail.text.find("https://desk.example/cases/3?a=1&b=2\n"), std::string::npos) << mail.text;
  EXPECT_NE(mail.html.find("<a href=\"https://desk.example/cases/3?a=1&amp;b=2\">"), std::string::npos) << mail.html;
  EXPECT_NE(mail.text.find("2026-03-02 09:05:00 America/New_York (2026-03-02 14:05:00 UTC)"), std::string::npos) << mail.text;
  EXPECT_EQ(mail_text(alert()).html.find("<a "), std::string::npos);
  EXPECT_EQ(Json::parse(webhook_body(notification, R"({"text": "see {{case_url}}"})"))["text"], "see https://desk.example/cases/3?a=1&b=2");
  // Nobody but the one who set the address makes a link: a feature's words stay words.
  payload["reasons"] = {"https://evil.example/"};
  notification.messages[0].payload = payload.dump();
  EXPECT_EQ(mail_text(notification).html.find("<a href=\"https://evil"), std::string::npos);
}

TEST(Message, GivenTextsAreTaken) {
  Notification notification = alert();
  notification.kind = "report";
  notification.messages = {{"report", R"({"day": "2026-03-02"})", "The day", "plain", "<p>page</p>"}};
  MailText mail = mail_text(notification);
  EXPECT_EQ(mail.subject, "The day");
  EXPECT_EQ(mail.text, "plain");
  EXPECT_EQ(mail.html, "<p>page</p>");
  notification.messages = {{"report", R"({"day": "2026-03-02", "payments": 5})", "", "", ""}};
  mail = mail_text(notification);
  EXPECT_EQ(mail.subject, "fraud_detect: report");
  EXPECT_NE(mail.text.find("payments:  5"), std::string::npos) << mail.text;
}

TEST(Message, WebhookBody) {
  Json body = Json::parse(webhook_body(alert(), ""));
  EXPECT_EQ(body["id"], "11111111-2222-4333-8444-555555555555");
  EXPECT_EQ(body["kind"], "alert");
  EXPECT_EQ(body["digest"], false);
  EXPECT_EQ(body["data"], Json::parse(kAlert));
}

TEST(Message, DigestCountsWhatItDoesNotShow) {
  Notification notification = alert();
  notification.digest = true;
  notification.total = 5;
  notification.messages.push_back(notification.messages[0]);
  Json body = Json::parse(webhook_body(notification, ""));
  EXPECT_EQ(body["count"], 5);
  EXPECT_EQ(body["data"].size(), 2u);
  MailText mail = mail_text(notification);
  EXPECT_EQ(mail.subject, "5 fraud alerts");
  EXPECT_NE(mail.text.find("and 3 more"), std::string::npos);
  EXPECT_NE(mail.html.find("and 3 more"), std::string::npos);
  notification.total = 2;
  EXPECT_EQ(mail_text(notification).text.find("more"), std::string::npos);
}

TEST(Message, TemplatesAreFilledAsJson) {
  Json body = Json::parse(webhook_body(
      alert(), R"({"text": "{{ decision }} of {{amount}} at {{merchant}}", "n": "{{amount}}", "list": ["{{payload.reasons}}", 5],)"
               R"( "slack": "{{merchant|escape}}", "none": "{{payload.no.such}}", "in": "<{{payload.none}}>", "open": "{{ {{kind"})"));
  EXPECT_EQ(body["text"], "block of 1250.5 at <!channel> & \"Söhne\"\r\nBcc: x@y.z {{secret}}");
  EXPECT_EQ(body["n"], 1250.5);
  EXPECT_EQ(body["list"], Json::parse(R"([["amount 1250.50", "3 <b>payments</b>"], 5])"));
  EXPECT_EQ(body["slack"].get<std::string>().find("&lt;!channel&gt; &amp; "), 0u);
  EXPECT_TRUE(body["none"].is_null());
  EXPECT_EQ(body["in"], "<>");
  EXPECT_EQ(body["open"], "{{ {{kind");
}

TEST(Message, TemplatesAreChecked) {
  EXPECT_NO_THROW(check_template(R"({"text": "{{text}}"})"));
  EXPECT_NO_THROW(check_template(R"([{"a": ["{{payload.any.thing | escape}}"]}])"));
  for (const char* bad : {"", "5", R"("{{text}}")", "{}", R"({"{{text}}": 1})", R"({"a": "{{nothing}}"})",
                          R"({"a": "{{}}"})", R"({"a": "{{payload.}}"})", R"({"a": "{{text|shout}}"})"}) {
    EXPECT_THROW(check_template(bad), Error) << bad;
  }
}

TEST(Message, NotifyIsCutToWhatFits) {
  EXPECT_EQ(notify_body(alert(), true, 7900), webhook_body(alert(), ""));
  Json cut = Json::parse(notify_body(alert(), true, 300));
  EXPECT_EQ(cut["truncated"], true);
  EXPECT_EQ(cut["id"], "11111111-2222-4333-8444-555555555555");
}

TEST(Message, HeadersAreEncoded) {
  EXPECT_EQ(encode_mail_header("Plain subject"), "Plain subject");
  EXPECT_EQ(encode_mail_header("Grüße"), "=?UTF-8?B?R3LDvMOfZQ==?=");
  EXPECT_EQ(encode_mail_header("=?x?="), "=?UTF-8?B?PT94Pz0=?=");
  EXPECT_EQ(encode_mail_header("a\r\nBcc: b").find_first_of("\n"), std::string::npos);
  std::string text;
  for (int i = 0; i < 40; ++i) text += "ä…";
  std::string encoded = encode_mail_header(text);
  size_t lines = 0, start = 0;
  for (size_t end; start < encoded.size(); start = end + 2, ++lines) {
    end = std::min(encoded.find("\r\n", start), encoded.size());
    EXPECT_LE(end - start, 76u);
  }
  EXPECT_GT(lines, 2u);
}

}  // namespace
}  // namespace fraud
