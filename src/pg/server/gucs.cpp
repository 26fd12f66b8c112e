#include "core/forest/kernel.h"
#include "core/network/host_policy.h"
#include "core/payments/currency.h"
#include "core/payments/payment.h"

#include "pg/server/gucs.h"
#include "pg/server/planner_gucs.h"

#include "pg/server/server.h"

extern "C" {
#include "access/xact.h"
#include "catalog/namespace.h"
#include "executor/spi.h"
#include "pgtime.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "catalog/pg_namespace.h"
}

namespace fraud::pg {

int guc_alert_window_s = 1800;
char* guc_allowed_hosts = nullptr;
int guc_audit_retention_min = 0;
char* guc_base_currency = nullptr;
char* guc_ca_file = nullptr;
char* guc_card_key_file = nullptr;
int guc_card_key_retention_min = 365 * 24 * 60;
int guc_card_number_limit = 1000;
int guc_card_number_warning = 100;
int guc_case_due_s = 86400;
char* guc_case_url = nullptr;
int guc_condition_timeout_ms = 1000;
int guc_connect_timeout_ms = 10000;
int guc_dead_letter_retention_min = 90 * 24 * 60;
int guc_evaluation_memory_kb = 1048576;
char* guc_expected_standbys = nullptr;
int guc_feature_memory_kb = 320 * 1024;
int guc_feature_threads = 2;
bool guc_four_eyes = false;
int guc_health_heartbeat_s = 0;
int guc_health_interval_s = 60;
int guc_health_reminder_s = 86400;
char* guc_http_proxy = nullptr;
int guc_ingest_batch_size = 1000;
int guc_ingest_workers = 2;
bool guc_score_blocks = true;
bool guc_direct_access = true;
bool guc_tiles = true;
int guc_tile_threshold = 1000;
int guc_kernel = 0;
int guc_key_retention_min = 396 * 24 * 60;
int guc_label_maturity_min = 7 * 24 * 60;
int guc_max_age_min = 400 * 24 * 60;
double guc_max_alert_share = 0.5;
double guc_max_block_share = 0.2;
double guc_max_alert_growth = 3;
int guc_max_attributes_kb = 16;
int guc_max_databases = 16;
int guc_max_dead_letter_kb = 1024;
int guc_max_digest_messages = 100;
int guc_max_future_s = 600;
int guc_max_poll_payments = 250000;
int guc_max_new_months = 120;
int guc_max_redirects = 3;
int guc_max_response_kb = 16384;
int guc_max_retry_delay_s = 300;
int guc_max_training_workers = 2;
int guc_max_waiting_payments = 1000000;
int guc_model_cache_kb = 65536;
char* guc_no_proxy = nullptr;
int guc_notify_attempts = 30;
int guc_notify_concurrency = 16;
int guc_notify_digest_above = 0;
int guc_notify_payload = kNotifyIds;
int guc_notify_timeout_ms = 10000;
int guc_outbox_limit = 100000;
int guc_outbox_retention_min = 7 * 24 * 60;
int guc_poll_timeout_ms = 30000;
int guc_record_retention_min = 0;
int guc_report_hour = 6;
char* guc_report_timezone = nullptr;
double guc_rule_time_limit_ms = 5;
int guc_rule_timeout_ms = 1000;
int guc_shared_model_kb = 65536;
int guc_train_max_rows = 20000000;
int guc_train_memory_mb = 4096;
int guc_train_threads = 2;
int guc_transaction_retention_min = 0;
int guc_worker_patience_s = 30;

namespace {

// Refuses a time zone that Postgres does not know.
bool check_timezone(char** value, void**, GucSource) {
  if (*value == nullptr || **value == '\0') return true;
  if (pg_tzset(*value) != nullptr) return true;
  GUC_check_errdetail("Time zone \"%s\" is not known.", *value);
  return false;
}

// Refuses what is no currency.
bool check_currency(char** value, void**, GucSource) {
  if (*value != nullptr && currency_decimals(*value)) return true;
  GUC_check_errdetail("Currency \"%s\" is not known.", *value != nullptr ? *value : "");
  GUC_check_errhint("Expected is a code of ISO 4217 in capitals, such as EUR.");
  return false;
}

void assign_currency(const char* value, void*) {
  if (value != nullptr) set_base_currency(value);
}

// Says in `fault` what is wrong with a list of hosts; nothing of C++ is alive afterwards.
bool is_host_list(const char* value, char* fault, size_t size) {
  try {
    std::string reason;
    if (HostPolicy::parse(value, reason)) return true;
    strlcpy(fault, reason.c_str(), size);
  } catch (...) {
    strlcpy(fault, "out of memory", size);
  }
  if (fault[0] >= 'a' && fault[0] <= 'z') fault[0] = static_cast<char>(fault[0] - 'a' + 'A');
  return false;
}

bool check_hosts(char** value, void**, GucSource) {
  char fault[400];
  if (*value == nullptr || is_host_list(*value, fault, sizeof(fault))) return true;
  GUC_check_errdetail("%s.", fault);
  GUC_check_errhint("A list of host, *.domain, address, address/bits or *, each with :port or not, "
                    "and with ! before what is excluded, separated by commas.");
  return false;
}

// The rest of the URL is judged by libcurl, which this floor does not know.
bool check_proxy(char** value, void**, GucSource) {
  if (*value == nullptr || **value == '\0') return true;
  if (pg_strncasecmp(*value, "http://", 7) == 0 || pg_strncasecmp(*value, "https://", 8) == 0) return true;
  GUC_check_errdetail("A proxy's URL begins with http:// or https://.");
  return false;
}

const config_enum_entry kNotifyPayloadOptions[] = {
    {"ids", kNotifyIds, false}, {"full", kNotifyFull, false}, {nullptr, 0, false}};

const config_enum_entry kKernelOptions[] = {{kKernelNames[0], 0, false},
                                            {kKernelNames[1], 1, false},
                                            {kKernelNames[2], 2, false},
                                            {kKernelNames[3], 3, false},
                                            {nullptr, 0, false}};

// Refuses a kernel that this machine does not have.
bool check_kernel(int* value, void**, GucSource) {
  if (*value == 0 || find_kernel(kKernelNames[*value]) != nullptr) return true;
  GUC_check_errdetail("This machine does not have the instructions for \"%s\".",
                      kKernelNames[*value]);
  return false;
}

// Says which window of this database looks back farther than so many minutes, in the caller's
// memory context; nullptr: none. Plain Postgres code, which may raise.
char* window_beyond(int minutes) {
  const Oid schema = get_namespace_oid("fraud", true);
  if (!OidIsValid(schema)) return nullptr;
  HeapTuple tuple = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(schema));
  if (!HeapTupleIsValid(tuple)) return nullptr;
  const Oid owner = ((Form_pg_namespace)GETSTRUCT(tuple))->nspowner;
  ReleaseSysCache(tuple);
  Oid user;
  int context;
  GetUserIdAndSecContext(&user, &context);
  MemoryContext outer = CurrentMemoryContext;
  char* found = nullptr;
  const char* query = psprintf(
      "SELECT pg_catalog.format('feature \"%%s\" of feature set \"%%s\" looks back %%s', feature, feature_set, reach) FROM fraud._longest_reach()"
      " WHERE reach OPERATOR(pg_catalog.>) pg_catalog.make_interval(mins => %d)",
      minutes);
  SetUserIdAndSecContext(owner, context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
  SPI_connect();
  // An installation that is under way has the schema, and not the function yet.
  if (SPI_execute("SELECT 1 WHERE pg_catalog.to_regprocedure('fraud._longest_reach()') IS NOT NULL", false, 1) == SPI_OK_SELECT &&
      SPI_processed == 1 && SPI_execute(query, false, 1) == SPI_OK_SELECT && SPI_processed == 1) {
    char* text = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
    if (text != nullptr) found = MemoryContextStrdup(outer, text);
  }
  SPI_finish();
  SetUserIdAndSecContext(user, context);
  return found;
}

// Refuses a retention that would take payments from under the features of new ones. What this
// database's windows are is asked where somebody sets it: by SET, ALTER DATABASE or ALTER
// SYSTEM. Read from a file or at a session's start it is taken as it is, and
// fraud.drop_past_month() refuses it.
bool check_transaction_retention(int* minutes, void**, GucSource source) {
  if (*minutes == 0) return true;
  if (*minutes < 31 * 24 * 60) {
    GUC_check_errdetail("The least retention is 31 days, since features look back 30.");
    return false;
  }
  const bool is_set = source == PGC_S_SESSION || source == PGC_S_TEST || source == PGC_S_FILE || source == PGC_S_INTERACTIVE;
  if (!is_set || MyBackendType != B_BACKEND || !IsNormalProcessingMode() || !IsTransactionState() || !OidIsValid(MyDatabaseId)) return true;
  const char* window = window_beyond(*minutes);
  if (window == nullptr) return true;
  GUC_check_errdetail("In this database %s.", window);
  return false;
}

// A link in a mail: of a scheme that does nothing but show a page, in characters that need no escape.
bool check_case_url(char** value, void**, GucSource) {
  const std::string_view url = *value;
  if (url.empty()) return true;
  if (url.substr(0, 8) != "https://" && url.substr(0, 7) != "http://") {
    GUC_check_errdetail("It does not begin with https:// or http://.");
    return false;
  }
  if (url.find("{case_id}") == std::string_view::npos) {
    GUC_check_errdetail("It has no {case_id}, where the case's number goes.");
    return false;
  }
  for (const char c : url) {
    if (c <= ' ' || c > '~' || c == '"' || c == '<' || c == '>' || c == '\\' || c == '`') {
      GUC_check_errdetail("It has a character that a URL cannot have.");
      return false;
    }
  }
  return true;
}

}  // namespace

void define_gucs() {
  DefineCustomIntVariable("fraud_detect.alert_window",
                          "Alerts of one card within this time of each other are one case.",
                          "Zero: each is a case of its own.", &guc_alert_window_s, 1800, 0, INT_MAX,
                          PGC_SUSET, GUC_UNIT_S, nullptr, nullptr, nullptr);
  DefineCustomStringVariable("fraud_detect.allowed_hosts",
                             "Hosts that payments are polled from and messages sent to.",
                             "Loopback, link-local, multicast and unspecified addresses and the "
                             "clouds' metadata services only where a pattern names just them.",
                             &guc_allowed_hosts, "*", PGC_SUSET, 0, check_hosts,
                             nullptr, nullptr);
  DefineCustomIntVariable("fraud_detect.audit_retention",
                          "How long rows of fraud.audit_log are kept.",
                          "0: for ever. fraud.purge() deletes the others, and notes it.",
                          &guc_audit_retention_min, 0, 0, INT_MAX, PGC_SUSET, GUC_UNIT_MIN, nullptr,
                          nullptr, nullptr);
  DefineCustomStringVariable("fraud_detect.base_currency",
                             "Currency that amounts are summed up and compared in.",
                             "Payments that name no currency are of it. It is set before the first payment is stored.",
                             &guc_base_currency, "USD", PGC_SUSET, 0, check_currency, assign_currency, nullptr);
  DefineCustomStringVariable("fraud_detect.ca_file",
                             "File with the certificate authorities that servers are checked by.",
                             "Empty: the system's.", &guc_ca_file, "", PGC_SIGHUP,
                             GUC_SUPERUSER_ONLY, nullptr, nullptr, nullptr);
  DefineCustomStringVariable("fraud_detect.card_key_file",
                             "File with the key that card numbers are hashed under.",
                             "Several are separated by commas: fraud.rotate_card_key() goes over to one "
                             "that is new. Empty: the key in fraud.card_keys, made with the extension.",
                             &guc_card_key_file, "", PGC_SIGHUP, GUC_SUPERUSER_ONLY, nullptr,
                             nullptr, nullptr);
  DefineCustomIntVariable("fraud_detect.card_key_retention",
                          "How long a card key stays in force after fraud.rotate_card_key() has replaced it.",
                          "0: until fraud.destroy_card_key(). Then fraud.purge() destroys it.",
                          &guc_card_key_retention_min, 365 * 24 * 60, 0, INT_MAX, PGC_SUSET,
                          GUC_UNIT_MIN, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("fraud_detect.card_number_limit",
                          "Most different card numbers that a role may ask for within an hour.",
                          "Of fraud.assess and of rejected payments; the extension's owner and superusers are "
                          "exempt. -1: any number.",
                          &guc_card_number_limit, 1000, -1, INT_MAX, PGC_SUSET, 0, nullptr, nullptr,
                          nullptr);
  DefineCustomIntVariable("fraud_detect.card_number_warning",
                          "Number of card numbers within an hour that begin and end alike, above which "
                          "fraud.health() warns.",
                          "The first six and the last four digits. 0: it does not.",
                          &guc_card_number_warning, 100, 0, 1000000, PGC_SUSET, 0, nullptr, nullptr,
                          nullptr);
  DefineCustomIntVariable("fraud_detect.case_due",
                          "How long after it was opened, or reopened, a case is to be decided.",
                          "0: it has no time. What is open already keeps its own.", &guc_case_due_s, 86400, 0, INT_MAX,
                          PGC_SUSET, GUC_UNIT_S, nullptr, nullptr, nullptr);
  DefineCustomStringVariable("fraud_detect.case_url",
                             "Address of a case's page, which mails and webhooks link to; {case_id} stands for its number.",
                             "Empty: none.", &guc_case_url, "", PGC_SUSET, 0, check_case_url, nullptr, nullptr);
  DefineCustomIntVariable("fraud_detect.condition_timeout",
                          "Longest time for one look at a channel's condition.", nullptr,
                          &guc_condition_timeout_ms, 1000, 1, 60000, PGC_SIGHUP, GUC_UNIT_MS,
                          nullptr, nullptr, nullptr);
  DefineCustomIntVariable("fraud_detect.connect_timeout",
                          "Longest time to connect to a payment API or a channel's receiver.", nullptr,
                          &guc_connect_timeout_ms, 10000, 1, 600000, PGC_SIGHUP, GUC_UNIT_MS,
                          nullptr, nullptr, nullptr);
  DefineCustomIntVariable("fraud_detect.dead_letter_retention",
                          "How long dead letters are kept after they were last seen.",
                          "0: for ever. fraud.purge() deletes the others.",
                          &guc_dead_letter_retention_min, 90 * 24 * 60, 0, INT_MAX, PGC_SUSET,
                          GUC_UNIT_MIN, nullptr, nullptr, nullptr);
  DefineCustomBoolVariable("fraud_detect.direct_access",
                           "Writes and reads payments by the tables' access methods.",
                           "Off: by SQL alone, which gives the same rows and takes several times as long.", &guc_direct_access, true,
                           PGC_SUSET, GUC_NOT_IN_SAMPLE, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("fraud_detect.evaluation_memory",
                          "Most memory for the scores of one aggregate that measures them.",
                          nullptr, &guc_evaluation_memory_kb, 1048576, 64, MAX_KILOBYTES,
                          PGC_USERSET, GUC_UNIT_KB, nullptr, nullptr, nullptr);
  DefineCustomStringVariable("fraud_detect.expected_standbys",
                             "Standbys that are to be connected, by their application_name, separated by commas.",
                             "One that is not is an error of fraud.health(). Those of synchronous_standby_names are looked for in any case.",
                             &guc_expected_standbys, "", PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("fraud_detect.feature_memory",
                          "Most memory for the windows of one pass, or for what one event reads of a key.",
                          "What a pass needs more is computed part by part, in several passes; a key's events are then read one after the other.", &guc_feature_memory_kb,
                          320 * 1024, 1024, MAX_KILOBYTES, PGC_SUSET, GUC_UNIT_KB, nullptr, nullptr,
                          nullptr);
  DefineCustomIntVariable("fraud_detect.feature_threads",
                          "Threads of one pass over the events.",
                          "With 2 the features are computed beside reading and writing; more share the computing.",
                          &guc_feature_threads, 2, 1, 64, PGC_SUSET, 0, nullptr, nullptr, nullptr);
  DefineCustomBoolVariable("fraud_detect.four_eyes",
                           "Rules are enforced by another person than who wrote them.",
                           "fraud.enforce_rule refuses a version whose author calls it; a changed rule is observed first.",
                           &guc_four_eyes, false, PGC_SUSET, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("fraud_detect.health_heartbeat",
                          "How often channels that take health messages hear that the database lives.",
                          "0: never.", &guc_health_heartbeat_s, 0, 0, 7 * 86400, PGC_SIGHUP, GUC_UNIT_S, nullptr,
                          nullptr, nullptr);
  DefineCustomIntVariable("fraud_detect.health_interval",
                          "How often the notify worker looks at fraud.health() and tells what has changed.",
                          "0: it does not; then the job health does.", &guc_health_interval_s, 60, 0, 86400, PGC_SIGHUP,
                          GUC_UNIT_S, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("fraud_detect.health_reminder",
                          "After what time channels are reminded of what still does not work.",
                          "0: they are not.", &guc_health_reminder_s, 86400, 0, 30 * 86400, PGC_SIGHUP, GUC_UNIT_S,
                          nullptr, nullptr, nullptr);
  DefineCustomStringVariable("fraud_detect.http_proxy",
                             "URL of the proxy that polls and webhooks go through.",
                             "Empty: none. Proxies of the environment are never used.",
                             &guc_http_proxy, "", PGC_SIGHUP, GUC_SUPERUSER_ONLY, check_proxy, nullptr,
                             nullptr);
  DefineCustomIntVariable("fraud_detect.ingest_batch_size",
                          "Most payments that are stored in one set of statements.",
                          "Scorers take fewer where these take longer than a moment.", &guc_ingest_batch_size, 1000, 1,
                          100000, PGC_SUSET, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("fraud_detect.ingest_workers",
                          "Workers of each database that score what was received.",
                          "They share the payments by customer.", &guc_ingest_workers, 2, 1, 8, PGC_SIGHUP, 0,
                          nullptr, nullptr, nullptr);
  DefineCustomEnumVariable("fraud_detect.kernel",
                           "Instruction set that models are scored with.",
                           "All give the same scores, bit for bit. \"auto\" takes the fastest.",
                           &guc_kernel, 0, kKernelOptions, PGC_USERSET, 0, check_kernel, nullptr,
                           nullptr);
  DefineCustomIntVariable("fraud_detect.key_retention",
                          "How long ids of payments whose month was dropped stay known, from the payment's time on.",
                          "0: for ever. fraud.purge_records() removes the others, but none that is younger than "
                          "fraud_detect.max_age.",
                          &guc_key_retention_min, 396 * 24 * 60, 0, INT_MAX, PGC_SUSET, GUC_UNIT_MIN, nullptr, nullptr,
                          nullptr);
  DefineCustomIntVariable("fraud_detect.label_maturity",
                          "How long after its day a payment that is not labelled counts as "
                          "legitimate.",
                          "Precision and recall of fraud.model_performance are given from then on.",
                          &guc_label_maturity_min, 7 * 24 * 60, 0, INT_MAX, PGC_USERSET,
                          GUC_UNIT_MIN, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("fraud_detect.max_age", "How old a payment may be that a source sends.",
                          "Older ones are rejected when they are received; 0 takes them all. fraud.ingest and histories take them all.",
                          &guc_max_age_min, 400 * 24 * 60, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_MIN, nullptr, nullptr, nullptr);
  DefineCustomRealVariable("fraud_detect.max_alert_growth",
                           "How many times the present alerts, or blocks, a promotion or new thresholds may come to.",
                           "One with more is refused, unless the gate is overridden. 0: any.",
                           &guc_max_alert_growth, 3, 0, 1000000, PGC_SUSET, 0, nullptr, nullptr, nullptr);
  DefineCustomRealVariable("fraud_detect.max_alert_share",
                           "Largest share of the newest payments that the thresholds of a promotion may alert on.",
                           "A promotion with more is refused, unless the gate is overridden. 1: any.", &guc_max_alert_share, 0.5, 0, 1, PGC_SUSET, 0,
                           nullptr, nullptr, nullptr);
  DefineCustomIntVariable("fraud_detect.max_attributes_size",
                          "Most bytes of what a payment says beside the fields that have a name.",
                          "A payment with more is a dead letter.", &guc_max_attributes_kb, 16, 0, 1024, PGC_SUSET,
                          GUC_UNIT_KB, nullptr, nullptr, nullptr);
  DefineCustomRealVariable("fraud_detect.max_block_share",
                           "Largest share of the newest payments that the thresholds of a promotion may block.",
                           "A promotion with more is refused, unless the gate is overridden. 1: any.", &guc_max_block_share, 0.2, 0, 1, PGC_SUSET, 0,
                           nullptr, nullptr, nullptr);
  DefineCustomIntVariable("fraud_detect.max_dead_letter_size",
                          "Most bytes of a payload that fraud.ingest_errors keeps.",
                          "What is longer is cut and says so. A payment that could be read is kept whole.",
                          &guc_max_dead_letter_kb, 1024, 1, 1048576, PGC_SUSET, GUC_UNIT_KB, nullptr,
                          nullptr, nullptr);
  DefineCustomIntVariable("fraud_detect.max_digest_messages",
                          "Most messages that a digest shows; it says how many more there are.",
                          nullptr, &guc_max_digest_messages, 100, 1, 10000, PGC_SIGHUP, 0, nullptr,
                          nullptr, nullptr);
  DefineCustomIntVariable("fraud_detect.max_future",
                          "How far ahead of the clock a payment's time may be.",
                          "Payments from beyond it are rejected.", &guc_max_future_s, 600, 0,
                          INT_MAX, PGC_SUSET, GUC_UNIT_S, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("fraud_detect.max_poll_payments",
                          "Most payments of one answer of a source.",
                          "Of an answer with more none is stored: the poll fails and says so.",
                          &guc_max_poll_payments, 250000, 1, static_cast<int>(kMaxPaymentsPerBody), PGC_SIGHUP, 0,
                          nullptr, nullptr, nullptr);
  DefineCustomIntVariable("fraud_detect.max_new_months",
                          "Most months that the payments of one transaction may make.",
                          "Each is a partition, which costs every later payment a little.", &guc_max_new_months, 120,
                          1, 10000, PGC_SUSET, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("fraud_detect.max_redirects",
                          "Most redirects that a poll follows.",
                          "A source with headers follows none: they may hold keys.",
                          &guc_max_redirects, 3, 0, 50, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("fraud_detect.max_response_size",
                          "Most bytes of a payment API's answer, once decompressed.", nullptr,
                          &guc_max_response_kb, 16384, 1, 1048576, PGC_SIGHUP, GUC_UNIT_KB, nullptr,
                          nullptr, nullptr);
  DefineCustomIntVariable("fraud_detect.max_retry_delay",
                          "Longest wait before a failed poll or delivery is tried again.",
                          "The wait doubles with each failure, from one second on; a longer "
                          "Retry-After is honoured up to one hour.",
                          &guc_max_retry_delay_s, 300, 1, 3600, PGC_SIGHUP, GUC_UNIT_S, nullptr,
                          nullptr, nullptr);
  DefineCustomIntVariable("fraud_detect.max_waiting_payments",
                          "Number of payments of a source that wait to be scored from which on it is not polled.",
                          "It is polled again when fewer wait.", &guc_max_waiting_payments, 1000000, 1, INT_MAX,
                          PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("fraud_detect.model_cache_size",
                          "Most memory for models that a backend keeps ready for itself.",
                          "Only those that are not in shared memory. Models in use by a running "
                          "query are kept whatever this says.",
                          &guc_model_cache_kb, 65536, 0, MAX_KILOBYTES, PGC_SUSET, GUC_UNIT_KB,
                          nullptr, nullptr, nullptr);
  DefineCustomStringVariable("fraud_detect.no_proxy",
                             "Hosts that are contacted without the proxy.",
                             "The machine itself always is.", &guc_no_proxy, "", PGC_SIGHUP, 0,
                             check_hosts, nullptr, nullptr);
  DefineCustomIntVariable("fraud_detect.notify_attempts",
                          "Attempts after which a delivery is given up.", nullptr,
                          &guc_notify_attempts, 30, 1, 1000, PGC_SIGHUP, 0, nullptr, nullptr,
                          nullptr);
  DefineCustomIntVariable("fraud_detect.notify_concurrency",
                          "Most deliveries under way at once for one channel.",
                          "A receiver that failed three times in a row gets one at a time.",
                          &guc_notify_concurrency, 16, 1, 100, PGC_SIGHUP, 0, nullptr, nullptr,
                          nullptr);
  DefineCustomIntVariable("fraud_detect.notify_digest_above",
                          "Number of deliveries that wait for a channel from which on its further alerts go together.",
                          "0: never. They go in one message when those before them went.",
                          &guc_notify_digest_above, 0, 0, 1000000, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
  DefineCustomEnumVariable("fraud_detect.notify_payload",
                           "What a NOTIFY says of an alert.",
                           "\"ids\": ids and decision. \"full\": all that a webhook gets; anybody may listen.",
                           &guc_notify_payload, kNotifyIds, kNotifyPayloadOptions, PGC_SIGHUP, 0,
                           nullptr, nullptr, nullptr);
  DefineCustomIntVariable("fraud_detect.notify_timeout", "Longest time for one delivery.", nullptr,
                          &guc_notify_timeout_ms, 10000, 1, 600000, PGC_SIGHUP, GUC_UNIT_MS, nullptr,
                          nullptr, nullptr);
  DefineCustomIntVariable("fraud_detect.outbox_limit",
                          "Most messages that wait in the outbox where the library is not preloaded.",
                          "Older ones are deleted. Where it is preloaded a worker takes all of them.",
                          &guc_outbox_limit, 100000, 1, INT_MAX, PGC_SUSET, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("fraud_detect.outbox_retention",
                          "How long messages are kept after their deliveries ended.",
                          "0: for ever. fraud.purge() deletes the others.",
                          &guc_outbox_retention_min, 7 * 24 * 60, 0, INT_MAX, PGC_SUSET,
                          GUC_UNIT_MIN, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("fraud_detect.poll_timeout", "Longest time for one poll.", nullptr,
                          &guc_poll_timeout_ms, 30000, 1, 3600000, PGC_SIGHUP, GUC_UNIT_MS, nullptr,
                          nullptr, nullptr);
  DefineCustomIntVariable("fraud_detect.record_retention",
                          "How long alerts, cases, labels, shadow scores and follow-ups of payments whose month was "
                          "dropped are kept, from the payment's time on.",
                          "0: for ever. fraud.purge_records() removes the others.", &guc_record_retention_min, 0, 0,
                          INT_MAX, PGC_SUSET, GUC_UNIT_MIN, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("fraud_detect.report_hour",
                          "Hour, in the reports' time zone, from which the day before is closed.",
                          nullptr, &guc_report_hour, 6, 0, 23, PGC_USERSET, 0, nullptr, nullptr,
                          nullptr);
  DefineCustomStringVariable("fraud_detect.report_timezone",
                             "Time zone whose days the reports count.", nullptr,
                             &guc_report_timezone, "UTC", PGC_USERSET, 0, check_timezone, nullptr,
                             nullptr);
  DefineCustomBoolVariable("fraud_detect.score_blocks",
                           "Scores rows that an aggregate reads 64 at a time.",
                           "Off: one by one, which gives the same scores and takes longer.", &guc_score_blocks, true,
                           PGC_USERSET, GUC_NOT_IN_SAMPLE, nullptr, nullptr, nullptr);
  DefineCustomRealVariable("fraud_detect.rule_time_limit",
                           "How long a rule's condition may take of a payment, on average.",
                           "One that takes longer is put back to observe: it decides nothing any more. 0: any time.",
                           &guc_rule_time_limit_ms, 5, 0, 1000000, PGC_SUSET, GUC_UNIT_MS, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("fraud_detect.rule_timeout",
                          "How long a rule's condition may take once.",
                          "One that takes longer is interrupted, and not evaluated any more. Zero lets it take any time.",
                          &guc_rule_timeout_ms, 1000, 0, 600000, PGC_SUSET, GUC_UNIT_MS, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("fraud_detect.tile_threshold",
                          "Tiles are made of a key when one event has read so many of its events.",
                          "0: of no more keys.", &guc_tile_threshold, 1000, 0, INT_MAX, PGC_SUSET, 0, nullptr, nullptr, nullptr);
  DefineCustomBoolVariable("fraud_detect.tiles",
                           "Merges windows of keys with many events from tiles.",
                           "Off: reads their events one by one, which gives the same features.", &guc_tiles, true,
                           PGC_SUSET, GUC_NOT_IN_SAMPLE, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("fraud_detect.train_max_rows", "Most rows that one training run reads.",
                          nullptr, &guc_train_max_rows, 20000000, 1, INT_MAX, PGC_SIGHUP, 0,
                          nullptr, nullptr, nullptr);
  DefineCustomIntVariable("fraud_detect.train_memory",
                          "Most memory of one training process.",
                          "A run that would need more is refused; one that takes more all the same fails.",
                          &guc_train_memory_mb, 4096, 16, INT_MAX, PGC_SIGHUP, GUC_UNIT_MB, nullptr,
                          nullptr, nullptr);
  DefineCustomIntVariable("fraud_detect.train_threads", "Most threads of one training process.",
                          nullptr, &guc_train_threads, 2, 1, 1024, PGC_SIGHUP, 0, nullptr, nullptr,
                          nullptr);
  DefineCustomIntVariable("fraud_detect.transaction_retention",
                          "How long the payments of a month are kept after its end.",
                          "0: for ever. fraud.drop_past_month() takes out the others; the views "
                          "keep their sums. At least 31 days, and what windows look back.",
                          &guc_transaction_retention_min, 0, 0, INT_MAX, PGC_SUSET, GUC_UNIT_MIN,
                          check_transaction_retention, nullptr, nullptr);
  DefineCustomIntVariable("fraud_detect.worker_patience",
                          "After what time a worker that was to turn and has not does not answer.",
                          "fraud.health() says so, and the launcher in the server's log.", &guc_worker_patience_s, 30, 1,
                          3600, PGC_SIGHUP, GUC_UNIT_S, nullptr, nullptr, nullptr);
  if (process_shared_preload_libraries_in_progress) {
    DefineCustomIntVariable("fraud_detect.max_training_workers",
                            "Most training runs of this server that are under way at once.",
                            "Others wait in their queue.", &guc_max_training_workers, 2, 1, 64,
                            PGC_POSTMASTER, 0, nullptr, nullptr, nullptr);
    DefineCustomIntVariable("fraud_detect.max_databases",
                            "Most databases of this server that have an ingest worker.", nullptr,
                            &guc_max_databases, 16, 1, 1024, PGC_POSTMASTER, 0, nullptr, nullptr,
                            nullptr);
    DefineCustomIntVariable("fraud_detect.shared_model_memory",
                            "Shared memory for models.",
                            "Models without room there are kept by each backend for itself.",
                            &guc_shared_model_kb, 65536, 0, MAX_KILOBYTES, PGC_POSTMASTER,
                            GUC_UNIT_KB, nullptr, nullptr, nullptr);
  }
  reserve_guc_prefix("fraud_detect");
}

}  // namespace fraud::pg
