// The settings; docs/settings.md says what each is for.
#pragma once

namespace fraud::pg {

extern int guc_alert_window_s;
extern char* guc_allowed_hosts;
extern int guc_audit_retention_min;
extern char* guc_base_currency;
extern char* guc_ca_file;
extern char* guc_card_key_file;
extern int guc_card_key_retention_min;
extern int guc_card_number_limit;
extern int guc_card_number_warning;
extern int guc_case_due_s;
extern char* guc_case_url;
extern int guc_condition_timeout_ms;
extern int guc_connect_timeout_ms;
extern int guc_dead_letter_retention_min;
extern int guc_evaluation_memory_kb;
extern char* guc_expected_standbys;
extern int guc_feature_memory_kb;
extern int guc_feature_threads;
extern bool guc_four_eyes;
extern int guc_health_heartbeat_s;
extern int guc_health_interval_s;
extern int guc_health_reminder_s;
extern char* guc_http_proxy;
extern int guc_ingest_batch_size;
extern int guc_ingest_workers;
extern bool guc_direct_access;
extern bool guc_tiles;
extern int guc_tile_threshold;
extern int guc_kernel;  // index in kKernelNames
extern int guc_key_retention_min;
extern int guc_label_maturity_min;
extern int guc_max_age_min;
extern double guc_max_alert_growth;
extern int guc_max_attributes_kb;
extern int guc_max_databases;
extern int guc_max_dead_letter_kb;
extern int guc_max_digest_messages;
extern int guc_max_future_s;
extern int guc_max_poll_payments;
extern int guc_max_new_months;
extern int guc_max_redirects;
extern int guc_max_response_kb;
extern int guc_max_retry_delay_s;
extern int guc_max_training_workers;
extern int guc_max_waiting_payments;
extern int guc_model_cache_kb;
extern char* guc_no_proxy;
extern int guc_notify_attempts;
extern int guc_notify_concurrency;
extern int guc_notify_digest_above;
extern int guc_notify_payload;  // a NotifyPayload
extern int guc_notify_timeout_ms;
extern int guc_outbox_limit;
extern int guc_outbox_retention_min;
extern int guc_poll_timeout_ms;
extern int guc_record_retention_min;
extern int guc_report_hour;
extern char* guc_report_timezone;
extern double guc_rule_time_limit_ms;
extern int guc_rule_timeout_ms;
extern int guc_shared_model_kb;
extern int guc_train_max_rows;
extern int guc_train_memory_mb;
extern int guc_train_threads;

// What a NOTIFY says: anybody may listen.
enum NotifyPayload { kNotifyIds, kNotifyFull };

constexpr const char* kKernelNames[] = {"auto", "scalar", "avx2", "avx512"};
extern int guc_transaction_retention_min;
extern int guc_worker_patience_s;

// Declares all settings, and reserves their prefix. Called by _PG_init.
void define_gucs();

}  // namespace fraud::pg
