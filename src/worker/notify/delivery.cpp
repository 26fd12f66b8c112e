#include "worker/notify/delivery.h"

#include <ctime>

#include "core/base/json_text.h"
#include "pg/server/boundary.h"
#include "pg/server/gucs.h"
#include "worker/network/destination.h"
#include "worker/process.h"

extern "C" {
#include "common/base64.h"
}

namespace fraud::worker {

using namespace fraud::pg;

Delivery::Delivery() = default;
Delivery::Delivery(const Delivery&) = default;
Delivery::Delivery(Delivery&&) noexcept = default;
Delivery& Delivery::operator=(const Delivery&) = default;
Delivery& Delivery::operator=(Delivery&&) noexcept = default;
Delivery::~Delivery() = default;

namespace {

std::string base64(const unsigned char* bytes, int length) {
  std::string text(static_cast<size_t>(pg_b64_enc_len(length)), '\0');
  int used = pg_b64_encode(reinterpret_cast<const Base64Byte*>(bytes), length, text.data(),
                           static_cast<int>(text.size()));
  if (used < 0) throw InternalError("could not encode base64");
  text.resize(static_cast<size_t>(used));
  return text;
}

// The key that a secret stands for: "whsec_" and base64, or the text itself.
std::string signing_key(const std::string& secret) {
  constexpr std::string_view kPrefix = "whsec_";
  if (secret.compare(0, kPrefix.size(), kPrefix) != 0) return secret;
  std::string_view encoded = std::string_view(secret).substr(kPrefix.size());
  int length = static_cast<int>(encoded.size());
  std::string key(static_cast<size_t>(pg_b64_dec_len(length)), '\0');
  int used = pg_b64_decode(encoded.data(), length, reinterpret_cast<Base64Byte*>(key.data()), static_cast<int>(key.size()));
  if (used < 0) throw SqlError(ERRCODE_DATA_CORRUPTED, "the channel's secret is not base64",
                               "A secret that begins with whsec_ goes on with base64.",
                                "Give the channel its secret again: fraud.alter_channel.");
  key.resize(static_cast<size_t>(used));
  return key;
}

// The signature of Standard Webhooks: HMAC-SHA256 over id, time and body.
std::string sign(const std::string& secret, const std::string& signed_text) {
  std::string key = signing_key(secret);
  uint8 digest[PG_SHA256_DIGEST_LENGTH];
  protect([&] {
    pg_hmac_ctx* context = pg_hmac_create(PG_SHA256);
    bool done = context != nullptr &&
                pg_hmac_init(context, (const uint8*)key.data(), key.size()) == 0 &&
                pg_hmac_update(context, (const uint8*)signed_text.data(), signed_text.size()) == 0 &&
                pg_hmac_final(context, digest, sizeof(digest)) == 0;
    if (context != nullptr) pg_hmac_free(context);
    if (!done) ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not compute HMAC"),
                        errdetail("The server's OpenSSL failed to compute SHA-256."), errhint("%s", kCryptoHint)));
  });
  return "v1," + base64(digest, sizeof(digest));
}

HttpRequest webhook_request(const Delivery& delivery) {
  HttpRequest request;
  request.limits = network_limits(guc_notify_timeout_ms);
  request.url = delivery.target;
  // Where a redirect leads, nobody has agreed to: it is a failure.
  request.max_redirects = 0;
  request.keep_body = false;
  request.body = webhook_body(delivery.notification, delivery.json_template);
  const std::string& id = delivery.notification.id;
  std::string timestamp = std::to_string(std::time(nullptr));
  request.headers = {"Content-Type: application/json", "Expect:", "Idempotency-Key: " + id,
                     "webhook-id: " + id, "webhook-timestamp: " + timestamp};
  // While a secret is changed both sign: the receiver may know the one or the other yet.
  std::string signatures;
  for (const std::string& secret : {delivery.secret, delivery.old_secret}) {
    if (secret.empty()) continue;
    signatures += (signatures.empty() ? "" : " ") + sign(secret, id + "." + timestamp + "." + *request.body);
  }
  if (!signatures.empty()) request.headers.push_back("webhook-signature: " + signatures);
  request.has_credentials = !signatures.empty();
  if (const auto headers = json_members(delivery.headers)) {
    for (const auto& [name, text] : *headers) {
      request.has_credentials = request.has_credentials || may_be_credential(name);
      request.headers.push_back(text.empty() ? name + ";" : name + ": " + text);
    }
  }
  return request;
}

// The date of a mail, in English whatever the server's locale (RFC 5322).
std::string mail_date() {
  static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[64];
  snprintf(text, sizeof(text), "%s, %02d %s %04d %02d:%02d:%02d +0000", kDays[utc.tm_wday],
           utc.tm_mday, kMonths[utc.tm_mon], utc.tm_year + 1900, utc.tm_hour, utc.tm_min,
           utc.tm_sec);
  return text;
}

MailRequest mail_request(const Delivery& delivery) {
  MailText mail = mail_text(delivery.notification);
  MailRequest request;
  request.limits = network_limits(guc_notify_timeout_ms);
  request.url = delivery.smtp_url;
  request.require_tls = delivery.starttls;
  request.user = delivery.smtp_user;
  request.password = delivery.smtp_password;
  request.sender = delivery.sender;
  request.recipient = delivery.recipient;
  std::string domain = delivery.sender.substr(delivery.sender.find('@') + 1);
  request.headers = {"Date: " + mail_date(), "From: fraud_detect <" + delivery.sender + ">",
                     "To: " + delivery.recipient,
                     // The same in each attempt: mail systems know what came twice.
                     "Message-ID: <" + delivery.notification.id + "@" + domain + ">",
                     "Subject: " + encode_mail_header(mail.subject),
                     "Auto-Submitted: auto-generated"};
  request.text = mail.text;
  request.html = mail.html;
  // Many mail readers show no SVG, and so none of a report's charts; a browser does.
  if (delivery.notification.kind == "report") request.attached_page_name = "report.html";
  return request;
}

}  // namespace

void make_request(Delivery& delivery) {
  if (delivery.notification.messages.empty()) {
    delivery.fault = "its message is not in fraud.outbox any more";
    return;
  }
  try {
    if (delivery.channel_kind == "webhook") delivery.request = webhook_request(delivery);
    if (delivery.channel_kind == "email") delivery.request = mail_request(delivery);
  } catch (const PgError&) {
    throw;
  } catch (const std::exception&) {  // whose text may quote a secret
    delivery.fault = "the request could not be made";
  }
}

}  // namespace fraud::worker
