-- What the columns of views are, where the view itself does not say it beside its definition. A test
-- (test/pgtap/22_described.sql) finds a column without.

COMMENT ON COLUMN fraud.alert_outcomes.acknowledged IS 'of them, those whose case somebody works on';
COMMENT ON COLUMN fraud.alert_outcomes.alerts IS 'number of alerts';
COMMENT ON COLUMN fraud.alert_outcomes.confirmed IS 'of them, those whose case is fraud';
COMMENT ON COLUMN fraud.alert_outcomes.confirmed_share IS 'confirmed / (confirmed + dismissed), 0 to 1; null while none is decided';
COMMENT ON COLUMN fraud.alert_outcomes.day IS 'the day that they were raised on, in fraud.report_timezone()';
COMMENT ON COLUMN fraud.alert_outcomes.decision IS 'review or block';
COMMENT ON COLUMN fraud.alert_outcomes.dismissed IS 'of them, those whose case is none';
COMMENT ON COLUMN fraud.alert_outcomes.model IS 'the model that decided';
COMMENT ON COLUMN fraud.alert_outcomes.model_version IS 'the version of it';
COMMENT ON COLUMN fraud.alert_outcomes.open IS 'of them, those whose case nobody has looked at';

COMMENT ON COLUMN fraud.alert_queue.age_hours IS 'hours since then';
COMMENT ON COLUMN fraud.alert_queue.alert_id IS 'fraud.alerts.alert_id';
COMMENT ON COLUMN fraud.alert_queue.amount IS 'in fraud_detect.base_currency; null where retention has taken the payment, as all of it that follows';
COMMENT ON COLUMN fraud.alert_queue.attributes IS 'the payment''s fields that have no column';
COMMENT ON COLUMN fraud.alert_queue.card IS 'the customer: fraud.customers.card';
COMMENT ON COLUMN fraud.alert_queue.case_id IS 'the case that it belongs to: fraud.cases';
COMMENT ON COLUMN fraud.alert_queue.category IS 'the payment''s category';
COMMENT ON COLUMN fraud.alert_queue.city IS 'of the customer''s home';
COMMENT ON COLUMN fraud.alert_queue.currency IS 'ISO 4217';
COMMENT ON COLUMN fraud.alert_queue.decision IS 'review or block';
COMMENT ON COLUMN fraud.alert_queue.last_four IS 'last four digits of the card number';
COMMENT ON COLUMN fraud.alert_queue.merchant IS 'to whom was paid';
COMMENT ON COLUMN fraud.alert_queue.model IS 'the model that decided';
COMMENT ON COLUMN fraud.alert_queue.model_version IS 'the version of it';
COMMENT ON COLUMN fraud.alert_queue.occurred_at IS 'the payment''s own time';
COMMENT ON COLUMN fraud.alert_queue.paid_amount IS 'as paid, in currency';
COMMENT ON COLUMN fraud.alert_queue.raised_at IS 'when it was raised';
COMMENT ON COLUMN fraud.alert_queue.reasons IS 'what spoke most for fraud, in words, strongest first';
COMMENT ON COLUMN fraud.alert_queue.score IS 'probability of fraud, 0 to 1';
COMMENT ON COLUMN fraud.alert_queue.state IS 'of the customer''s home';
COMMENT ON COLUMN fraud.alert_queue.status IS 'of the case: open or acknowledged';
COMMENT ON COLUMN fraud.alert_queue.transaction_id IS 'the payment''s own id';

COMMENT ON COLUMN fraud.cases.card IS 'the customer: fraud.customers.card';
COMMENT ON COLUMN fraud.cases.case_id IS 'its number, unique among all cases';
COMMENT ON COLUMN fraud.cases.opened_at IS 'when its first alert was raised';
COMMENT ON COLUMN fraud.cases.status_at IS 'since when it has the status';

COMMENT ON COLUMN fraud.category_risk.alert_rate IS 'alerts / payments, 0 to 1';
COMMENT ON COLUMN fraud.category_risk.alerted_volume IS 'sum of the amounts of those decided review or block';
COMMENT ON COLUMN fraud.category_risk.alerts IS 'of them, those decided review or block';
COMMENT ON COLUMN fraud.category_risk.category IS 'the category';
COMMENT ON COLUMN fraud.category_risk.day IS 'the day, in fraud.report_timezone()';
COMMENT ON COLUMN fraud.category_risk.labelled_fraud IS 'of them, those known by now to be fraud';
COMMENT ON COLUMN fraud.category_risk.labelled_fraud_volume IS 'sum of the amounts of those known to be fraud';
COMMENT ON COLUMN fraud.category_risk.labelled_legitimate IS 'of them, those labelled as not fraud';
COMMENT ON COLUMN fraud.category_risk.mean_score IS 'mean of the scores, 0 to 1; null where nothing was scored';
COMMENT ON COLUMN fraud.category_risk.payments IS 'number of payments';
COMMENT ON COLUMN fraud.category_risk.volume IS 'sum of their amounts, in fraud_detect.base_currency';

COMMENT ON COLUMN fraud.channel_status.condition IS 'of alerts: the SQL expression that must be true';
COMMENT ON COLUMN fraud.channel_status.condition_by IS 'the role whose rights that has';
COMMENT ON COLUMN fraud.channel_status.consecutive_failures IS 'attempts that failed in a row';
COMMENT ON COLUMN fraud.channel_status.created_at IS 'when the channel was made';
COMMENT ON COLUMN fraud.channel_status.created_by IS 'who made it';
COMMENT ON COLUMN fraud.channel_status.delivered IS 'deliveries that were taken';
COMMENT ON COLUMN fraud.channel_status.digest_interval IS 'alerts of such a time go together; null: each by itself';
COMMENT ON COLUMN fraud.channel_status.has_template IS 'whether a webhook has a template of its own';
COMMENT ON COLUMN fraud.channel_status.hold_until IS 'until when nothing is sent, after failures';
COMMENT ON COLUMN fraud.channel_status.is_signed IS 'whether a webhook is signed';
COMMENT ON COLUMN fraud.channel_status.kind IS 'webhook, email or notify';
COMMENT ON COLUMN fraud.channel_status.last_attempt_at IS 'when it was last tried';
COMMENT ON COLUMN fraud.channel_status.last_error IS 'what the last failure was';
COMMENT ON COLUMN fraud.channel_status.last_error_at IS 'when that was';
COMMENT ON COLUMN fraud.channel_status.last_status IS 'status of the last answer: HTTP or SMTP';
COMMENT ON COLUMN fraud.channel_status.last_success_at IS 'when something was last taken';
COMMENT ON COLUMN fraud.channel_status.max_per_minute IS 'most deliveries in a minute; null: any number';
COMMENT ON COLUMN fraud.channel_status.min_decision IS 'of alerts: the least decision';
COMMENT ON COLUMN fraud.channel_status.name IS 'fraud.channels.name';
COMMENT ON COLUMN fraud.channel_status.repeats IS 'of alerts: also those that join a case without making it severer';
COMMENT ON COLUMN fraud.channel_status.revisions IS 'of reports: also later revisions of a closed day';
COMMENT ON COLUMN fraud.channel_status.state IS 'new, ok, failing, paused, restored (came with a dump, or a copy of the database) or stuck: docs/alerts.md';
COMMENT ON COLUMN fraud.channel_status.takes IS 'kinds of messages: alert, report, health, warning';
COMMENT ON COLUMN fraud.channel_status.waiting_since IS 'since when the first of those waits';

COMMENT ON COLUMN fraud.current_labels.card IS 'the customer: fraud.customers.card';
COMMENT ON COLUMN fraud.current_labels.is_fraud IS 'what counts now: true, fraud; false, none';
COMMENT ON COLUMN fraud.current_labels.known_at IS 'since when it is known';
COMMENT ON COLUMN fraud.current_labels.transaction_id IS 'the payment''s own id';

COMMENT ON COLUMN fraud.customer_activity.alerts IS 'of them, those decided review or block';
COMMENT ON COLUMN fraud.customer_activity.card IS 'the customer: fraud.customers.card';
COMMENT ON COLUMN fraud.customer_activity.city IS 'of the home';
COMMENT ON COLUMN fraud.customer_activity.first_payment_at IS 'time of the earliest payment';
COMMENT ON COLUMN fraud.customer_activity.labelled_fraud IS 'of them, those known by now to be fraud';
COMMENT ON COLUMN fraud.customer_activity.labelled_fraud_volume IS 'sum of the amounts of those known to be fraud';
COMMENT ON COLUMN fraud.customer_activity.last_four IS 'last four digits of the card number';
COMMENT ON COLUMN fraud.customer_activity.last_payment_at IS 'time of the latest payment';
COMMENT ON COLUMN fraud.customer_activity.mean_amount IS 'volume / payments';
COMMENT ON COLUMN fraud.customer_activity.payments IS 'number of payments';
COMMENT ON COLUMN fraud.customer_activity.state IS 'of the home';
COMMENT ON COLUMN fraud.customer_activity.volume IS 'sum of their amounts, in fraud_detect.base_currency';

COMMENT ON COLUMN fraud.daily_report.alerted_volume IS 'sum of the amounts of those decided review or block';
COMMENT ON COLUMN fraud.daily_report.alerts IS 'of them, those decided review or block';
COMMENT ON COLUMN fraud.daily_report.approved IS 'of them, those decided approve';
COMMENT ON COLUMN fraud.daily_report.blocked IS 'of them, those decided block';
COMMENT ON COLUMN fraud.daily_report.day IS 'the day, in fraud.report_timezone()';
COMMENT ON COLUMN fraud.daily_report.labelled_fraud_volume IS 'sum of the amounts of those known to be fraud';
COMMENT ON COLUMN fraud.daily_report.payments IS 'number of payments';
COMMENT ON COLUMN fraud.daily_report.reviewed IS 'of them, those decided review';

COMMENT ON COLUMN fraud.feature_catalog.description IS 'what it is, in words';
COMMENT ON COLUMN fraud.feature_catalog.events IS 'its table or view of events';
COMMENT ON COLUMN fraud.feature_catalog.feature IS 'the name by which models know it';
COMMENT ON COLUMN fraud.feature_catalog.feature_set IS 'the feature set';
COMMENT ON COLUMN fraud.feature_catalog.kind IS 'number; category: a code that XGBoost treats as a category; code: one that it treats as a number';
COMMENT ON COLUMN fraud.feature_catalog."position" IS 'place in the vector; places of dropped features stay empty';
COMMENT ON COLUMN fraud.feature_catalog.reason IS 'how a high or low value is said to people';

COMMENT ON COLUMN fraud.geography.alert_rate IS 'alerts / payments, 0 to 1';
COMMENT ON COLUMN fraud.geography.alerted_volume IS 'sum of the amounts of those decided review or block';
COMMENT ON COLUMN fraud.geography.alerts IS 'of them, those decided review or block';
COMMENT ON COLUMN fraud.geography.day IS 'the day, in fraud.report_timezone()';
COMMENT ON COLUMN fraud.geography.labelled_fraud IS 'of them, those known by now to be fraud';
COMMENT ON COLUMN fraud.geography.labelled_fraud_volume IS 'sum of the amounts of those known to be fraud';
COMMENT ON COLUMN fraud.geography.labelled_legitimate IS 'of them, those labelled as not fraud';
COMMENT ON COLUMN fraud.geography.mean_score IS 'mean of the scores, 0 to 1; null where nothing was scored';
COMMENT ON COLUMN fraud.geography.payments IS 'number of payments';
COMMENT ON COLUMN fraud.geography.state IS 'the state of the card holder''s home, as payments name it';
COMMENT ON COLUMN fraud.geography.volume IS 'sum of their amounts, in fraud_detect.base_currency';

COMMENT ON COLUMN fraud.history_progress.batches IS 'batches committed';
COMMENT ON COLUMN fraud.history_progress.finished_at IS 'when it was done; null: it is not';
COMMENT ON COLUMN fraud.history_progress.label_delay IS 'how long after a payment its label counts as known';
COMMENT ON COLUMN fraud.history_progress.load_id IS 'its number';
COMMENT ON COLUMN fraud.history_progress.payments IS 'payments stored';
COMMENT ON COLUMN fraud.history_progress.present IS 'payments that were stored already';
COMMENT ON COLUMN fraud.history_progress.rejected IS 'rows that went to fraud.ingest_errors';
COMMENT ON COLUMN fraud.history_progress.relation IS 'the table that is loaded';
COMMENT ON COLUMN fraud.history_progress.resumed_at IS 'when it last went on after a stop; null: it never stopped';
COMMENT ON COLUMN fraud.history_progress.started_at IS 'when it was begun';
COMMENT ON COLUMN fraud.history_progress.started_by IS 'who began it';
COMMENT ON COLUMN fraud.history_progress.updated_at IS 'when its last batch was committed';

COMMENT ON COLUMN fraud.hourly_activity.alerted_volume IS 'sum of the amounts of those decided review or block';
COMMENT ON COLUMN fraud.hourly_activity.alerts IS 'of them, those decided review or block';
COMMENT ON COLUMN fraud.hourly_activity.approved IS 'of them, those decided approve';
COMMENT ON COLUMN fraud.hourly_activity.blocked IS 'of them, those decided block';
COMMENT ON COLUMN fraud.hourly_activity.hour IS 'begin of the hour';
COMMENT ON COLUMN fraud.hourly_activity.labelled_fraud IS 'of them, those known by now to be fraud';
COMMENT ON COLUMN fraud.hourly_activity.labelled_fraud_volume IS 'sum of the amounts of those known to be fraud';
COMMENT ON COLUMN fraud.hourly_activity.mean_score IS 'mean of the scores, 0 to 1; null where nothing was scored';
COMMENT ON COLUMN fraud.hourly_activity.payments IS 'number of payments';
COMMENT ON COLUMN fraud.hourly_activity.reviewed IS 'of them, those decided review';
COMMENT ON COLUMN fraud.hourly_activity.undecided IS 'history: payments that nobody decided on';
COMMENT ON COLUMN fraud.hourly_activity.volume IS 'sum of their amounts, in fraud_detect.base_currency';

COMMENT ON COLUMN fraud.inbox_status.held_since IS 'since when the first of those held is';
COMMENT ON COLUMN fraud.inbox_status.oldest_received_at IS 'when the first of them came';
COMMENT ON COLUMN fraud.inbox_status.source IS 'a fraud.sources name';
COMMENT ON COLUMN fraud.inbox_status.waiting IS 'payments that wait to be scored';

COMMENT ON COLUMN fraud.merchant_risk.alert_rate IS 'alerts / payments, 0 to 1';
COMMENT ON COLUMN fraud.merchant_risk.alerted_volume IS 'sum of the amounts of those decided review or block';
COMMENT ON COLUMN fraud.merchant_risk.alerts IS 'of them, those decided review or block';
COMMENT ON COLUMN fraud.merchant_risk.category IS 'of the first payment to the merchant';
COMMENT ON COLUMN fraud.merchant_risk.day IS 'the day, in fraud.report_timezone()';
COMMENT ON COLUMN fraud.merchant_risk.labelled_fraud IS 'of them, those known by now to be fraud';
COMMENT ON COLUMN fraud.merchant_risk.labelled_fraud_volume IS 'sum of the amounts of those known to be fraud';
COMMENT ON COLUMN fraud.merchant_risk.labelled_legitimate IS 'of them, those labelled as not fraud';
COMMENT ON COLUMN fraud.merchant_risk.mean_score IS 'mean of the scores, 0 to 1; null where nothing was scored';
COMMENT ON COLUMN fraud.merchant_risk.merchant IS 'the merchant';
COMMENT ON COLUMN fraud.merchant_risk.payments IS 'number of payments';
COMMENT ON COLUMN fraud.merchant_risk.volume IS 'sum of their amounts, in fraud_detect.base_currency';

COMMENT ON COLUMN fraud.model_aliases.alias IS 'champion, challenger, or a name of yours';
COMMENT ON COLUMN fraud.model_aliases.block_at IS 'score from which a payment is decided block; null: none decides by it';
COMMENT ON COLUMN fraud.model_aliases.model IS 'the model';
COMMENT ON COLUMN fraud.model_aliases.promoted_at IS 'since when';
COMMENT ON COLUMN fraud.model_aliases.promoted_by IS 'who promoted it';
COMMENT ON COLUMN fraud.model_aliases.review_at IS 'score from which a payment is decided review; null: none decides by it';
COMMENT ON COLUMN fraud.model_aliases.version IS 'the version that it names';

COMMENT ON COLUMN fraud.model_memory.is_shared IS 'whether the copy for all backends is in shared memory now';
COMMENT ON COLUMN fraud.model_memory.model IS 'the model';
COMMENT ON COLUMN fraud.model_memory.version IS 'the version of it';

COMMENT ON COLUMN fraud.model_performance.alerts IS 'of them, those decided review or block';
COMMENT ON COLUMN fraud.model_performance.day IS 'the day, in fraud.report_timezone()';
COMMENT ON COLUMN fraud.model_performance.labelled_fraud IS 'of them, those known by now to be fraud';
COMMENT ON COLUMN fraud.model_performance.labelled_fraud_alerted IS 'of those known to be fraud, the ones that raised an alert';
COMMENT ON COLUMN fraud.model_performance.labelled_fraud_missed IS 'of those known to be fraud, the ones that raised none';
COMMENT ON COLUMN fraud.model_performance.labelled_legitimate_alerted IS 'of those labelled as not fraud, the ones that raised an alert';
COMMENT ON COLUMN fraud.model_performance.model IS 'the model that decided';
COMMENT ON COLUMN fraud.model_performance.model_version IS 'the version of it';
COMMENT ON COLUMN fraud.model_performance.payments IS 'payments that it decided';

COMMENT ON COLUMN fraud.notification_log.attempt IS 'number of the attempt; null: none yet';
COMMENT ON COLUMN fraud.notification_log.channel IS 'the channel';
COMMENT ON COLUMN fraud.notification_log.created_at IS 'when it was addressed';
COMMENT ON COLUMN fraud.notification_log.duration IS 'how long it took';
COMMENT ON COLUMN fraud.notification_log.error IS 'why it failed, or was given up without an attempt';
COMMENT ON COLUMN fraud.notification_log.finished_at IS 'when it was delivered, given up or discarded';
COMMENT ON COLUMN fraud.notification_log.kind IS 'alert, report, health or test';
COMMENT ON COLUMN fraud.notification_log.notification_id IS 'the delivery: fraud.notifications';
COMMENT ON COLUMN fraud.notification_log.outbox_id IS 'the message: fraud.outbox';
COMMENT ON COLUMN fraud.notification_log.outcome IS 'what came of it';
COMMENT ON COLUMN fraud.notification_log.recipient IS 'the address of a mail';
COMMENT ON COLUMN fraud.notification_log.started_at IS 'when the attempt began';
COMMENT ON COLUMN fraud.notification_log.state IS 'of the delivery: pending, sending, delivered, dead (given up) or discarded';
COMMENT ON COLUMN fraud.notification_log.status IS 'status of the answer: HTTP or SMTP';

COMMENT ON COLUMN fraud.payment_balances.base_amount IS 'what was paid';
COMMENT ON COLUMN fraud.payment_balances.card IS 'the customer: fraud.customers.card';
COMMENT ON COLUMN fraud.payment_balances.charged_back IS 'what the customer has had back by a chargeback';
COMMENT ON COLUMN fraud.payment_balances.followups IS 'number of rows in fraud.payment_followups';
COMMENT ON COLUMN fraud.payment_balances.last_followup_at IS 'time of the latest of them';
COMMENT ON COLUMN fraud.payment_balances.occurred_at IS 'the payment''s own time';
COMMENT ON COLUMN fraud.payment_balances.refunded IS 'what was paid back';
COMMENT ON COLUMN fraud.payment_balances.reversed IS 'what was undone';
COMMENT ON COLUMN fraud.payment_balances.transaction_id IS 'the payment''s own id';

COMMENT ON COLUMN fraud.score_distribution.day IS 'the day, in fraud.report_timezone()';
COMMENT ON COLUMN fraud.score_distribution.labelled_fraud IS 'of them, those known by now to be fraud';
COMMENT ON COLUMN fraud.score_distribution.labelled_legitimate IS 'of them, those labelled as not fraud';
COMMENT ON COLUMN fraud.score_distribution.model IS 'the model that scored';
COMMENT ON COLUMN fraud.score_distribution.model_version IS 'the version of it';
COMMENT ON COLUMN fraud.score_distribution.payments IS 'payments with such a score';
COMMENT ON COLUMN fraud.score_distribution.score_from IS 'the least score of the hundredth, 0 to 1';
COMMENT ON COLUMN fraud.score_distribution.score_to IS 'the least of the next';

COMMENT ON COLUMN fraud.source_fields.first_seen_at IS 'when it came first';
COMMENT ON COLUMN fraud.source_fields.last_seen_at IS 'when it came last';
COMMENT ON COLUMN fraud.source_fields.name IS 'the field';
COMMENT ON COLUMN fraud.source_fields.source IS 'a fraud.sources name, or what fraud.ingest was told';

COMMENT ON COLUMN fraud.source_status.consecutive_failures IS 'polls that failed in a row';
COMMENT ON COLUMN fraud.source_status.failures IS 'polls that failed';
COMMENT ON COLUMN fraud.source_status.last_error IS 'what the last failure was';
COMMENT ON COLUMN fraud.source_status.last_error_at IS 'when that was';
COMMENT ON COLUMN fraud.source_status.last_poll_at IS 'when it was last asked';
COMMENT ON COLUMN fraud.source_status.last_success_at IS 'when it last answered as it should';
COMMENT ON COLUMN fraud.source_status.name IS 'fraud.sources.name';
COMMENT ON COLUMN fraud.source_status.next_poll_at IS 'when it is due';
COMMENT ON COLUMN fraud.source_status.poll_interval IS 'time between two polls';
COMMENT ON COLUMN fraud.source_status.polls IS 'how often it was asked since it was added';
COMMENT ON COLUMN fraud.source_status.rejecting_since IS 'since when all payments of its answers are rejected; null: they are not';
COMMENT ON COLUMN fraud.source_status.state IS 'new, ok, polling, failing, rejecting, behind, paused, restored (came with a dump, or a copy of the database), read-only or stuck: docs/worker.md';

COMMENT ON COLUMN fraud.event_scores.amount IS 'as in fraud.stream_decisions';
COMMENT ON COLUMN fraud.event_scores.decision IS 'approve, review or block, by model and rules';
COMMENT ON COLUMN fraud.event_scores.decision_id IS 'of fraud.stream_decisions';
COMMENT ON COLUMN fraud.event_scores.entity IS 'whose event it is; as in fraud.stream_decisions';
COMMENT ON COLUMN fraud.event_scores.event_id IS 'the event''s id as text; as in fraud.stream_decisions';
COMMENT ON COLUMN fraud.event_scores.event_time IS 'the event''s own time';
COMMENT ON COLUMN fraud.event_scores.features IS 'the vector that was scored, each feature at its place (fraud.feature_catalog.position); NaN is missing';
COMMENT ON COLUMN fraud.event_scores.score IS 'probability of fraud, 0 to 1';
COMMENT ON COLUMN fraud.event_scores.stream IS 'the stream';

COMMENT ON COLUMN fraud.stream_cases.case_id IS 'its number, unique among all cases';
COMMENT ON COLUMN fraud.stream_cases.entity IS 'whose events they are; where the stream names no entity, the event''s id';
COMMENT ON COLUMN fraud.stream_cases.opened_at IS 'when its first alert was raised';
COMMENT ON COLUMN fraud.stream_cases.status_at IS 'since when it has the status';
COMMENT ON COLUMN fraud.stream_cases.status_by IS 'who set the status; null while nobody has looked';
COMMENT ON COLUMN fraud.stream_cases.stream IS 'the watched table: fraud.streams';

COMMENT ON COLUMN fraud.stream_daily.alerted_amount IS 'sum of the amounts of those decided review or block';
COMMENT ON COLUMN fraud.stream_daily.amount IS 'sum of the amounts';
COMMENT ON COLUMN fraud.stream_daily.block IS 'of them, those decided block';
COMMENT ON COLUMN fraud.stream_daily.day IS 'the day, in fraud.report_timezone()';
COMMENT ON COLUMN fraud.stream_daily.events IS 'rows that were inserted';
COMMENT ON COLUMN fraud.stream_daily.fraud_amount IS 'sum of the amounts of those';
COMMENT ON COLUMN fraud.stream_daily.frauds IS 'of the labelled, those known to be fraud';
COMMENT ON COLUMN fraud.stream_daily.model IS 'the model that decided; null: unscored';
COMMENT ON COLUMN fraud.stream_daily.model_version IS 'the version of it';
COMMENT ON COLUMN fraud.stream_daily.review IS 'of them, those decided review';
COMMENT ON COLUMN fraud.stream_daily.stream IS 'the watched table: fraud.streams';
COMMENT ON COLUMN fraud.stream_daily.unscored IS 'of them, those that could not be scored';

COMMENT ON COLUMN fraud.stream_status.alerts_last_hour IS 'of them, those decided review or block';
COMMENT ON COLUMN fraud.stream_status.entity IS 'expression over the row: whose event it is';
COMMENT ON COLUMN fraud.stream_status.events_last_hour IS 'rows decided in the last hour';
COMMENT ON COLUMN fraud.stream_status.last_decided_at IS 'when a row was last decided';
COMMENT ON COLUMN fraud.stream_status.model IS 'the model, or alias, that decides its rows';
COMMENT ON COLUMN fraud.stream_status.on_error IS 'what becomes of a row that cannot be scored: store (inserted, noted as unscored) or fail';
COMMENT ON COLUMN fraud.stream_status.stream IS 'the watched table: fraud.streams';
COMMENT ON COLUMN fraud.stream_status.unwatched_at IS 'since when it is not; null: it is';
COMMENT ON COLUMN fraud.stream_status.watched_at IS 'since when it is watched';
COMMENT ON COLUMN fraud.stream_status.watched_by IS 'who asked for it';

COMMENT ON COLUMN fraud.training_progress.elapsed IS 'since it was started';
COMMENT ON COLUMN fraud.training_progress.fold IS 'of a cross-validation: which fold';
COMMENT ON COLUMN fraud.training_progress.folds IS 'how many there are';
COMMENT ON COLUMN fraud.training_progress.metric_name IS 'the eval_metric';
COMMENT ON COLUMN fraud.training_progress.model IS 'the model that is trained';
COMMENT ON COLUMN fraud.training_progress.round IS 'boosting rounds done in this fit';
COMMENT ON COLUMN fraud.training_progress.rounds IS 'how many there are at most';
COMMENT ON COLUMN fraud.training_progress.rows_read IS 'rows read so far';
COMMENT ON COLUMN fraud.training_progress.run IS 'fraud.training_runs.run';
COMMENT ON COLUMN fraud.training_progress.status IS 'queued or running';
COMMENT ON COLUMN fraud.training_progress.trial IS 'of a search: which one is tried';
COMMENT ON COLUMN fraud.training_progress.trials IS 'how many are tried';

COMMENT ON COLUMN fraud.alert_outcomes.closed IS 'of the alerts, those whose case was closed without a decision (fraud.close_flood)';

COMMENT ON COLUMN fraud.case_queue.alerts IS 'number of alerts';
COMMENT ON COLUMN fraud.case_queue.assigned_at IS 'when it was assigned';
COMMENT ON COLUMN fraud.case_queue.card IS 'the customer';
COMMENT ON COLUMN fraud.case_queue.case_id IS 'its number';
COMMENT ON COLUMN fraud.case_queue.last_alert_at IS 'when its latest alert was raised';
COMMENT ON COLUMN fraud.case_queue.max_score IS 'the highest of its alerts';
COMMENT ON COLUMN fraud.case_queue.opened_at IS 'when its first alert was raised';
COMMENT ON COLUMN fraud.case_queue.status IS 'open or acknowledged';

COMMENT ON COLUMN fraud.cases.assigned_at IS 'when it was assigned';

COMMENT ON COLUMN fraud.list_values.added_at IS 'when it was added';
COMMENT ON COLUMN fraud.list_values.added_by IS 'the role that added it';
COMMENT ON COLUMN fraud.list_values.card IS 'of a list of cards: the card';
COMMENT ON COLUMN fraud.list_values.entry_id IS 'its number in fraud.list_entries';
COMMENT ON COLUMN fraud.list_values.field IS 'the field that its values are of';
COMMENT ON COLUMN fraud.list_values.list IS 'the list';
COMMENT ON COLUMN fraud.list_values.reason IS 'why; card numbers in it are masked';
COMMENT ON COLUMN fraud.list_values.stream IS 'whose field that is: payments, or a stream';
COMMENT ON COLUMN fraud.list_values.until IS 'until when it counts; null: for ever';
COMMENT ON COLUMN fraud.list_values.value IS 'as fraud.in_list compares it: of numbers without trailing zeros, of a customer the card';

COMMENT ON COLUMN fraud.rule_status.action IS 'what it does with a payment, or event, that it matches';
COMMENT ON COLUMN fraud.rule_status.author IS 'the role that wrote this version';
COMMENT ON COLUMN fraud.rule_status.changed_at IS 'when it was changed last';
COMMENT ON COLUMN fraud.rule_status.changed_by IS 'the role that did';
COMMENT ON COLUMN fraud.rule_status.condition IS 'SQL over the payment, or event';
COMMENT ON COLUMN fraud.rule_status.failures_24h IS 'payments, or events, of the last 24 hours on which its condition failed';
COMMENT ON COLUMN fraud.rule_status.matches_24h IS 'payments, or events, that it matched in the last 24 hours';
COMMENT ON COLUMN fraud.rule_status.on_error IS 'what a condition that fails comes to';
COMMENT ON COLUMN fraud.rule_status.priority IS 'of rules of one kind that match, the one with the lowest number is said to have decided';
COMMENT ON COLUMN fraud.rule_status.reason IS 'the reason that an alert gives, a template';
COMMENT ON COLUMN fraud.rule_status.rule IS 'its name';
COMMENT ON COLUMN fraud.rule_status.slow_ms IS 'milliseconds a payment, or event, when it was put back to observe for being slow; null: it was not';
COMMENT ON COLUMN fraud.rule_status.snoozed_until IS 'until when it raises no alert; null: it does';
COMMENT ON COLUMN fraud.rule_status.valid_from IS 'from when it counts; null: always';
COMMENT ON COLUMN fraud.rule_status.valid_until IS 'until when it counts; null: for ever';
COMMENT ON COLUMN fraud.rule_status.version IS 'the version that counts now';

COMMENT ON COLUMN fraud.stream_case_queue.age_hours IS 'hours since then';
COMMENT ON COLUMN fraud.stream_case_queue.alerts IS 'number of alerts';
COMMENT ON COLUMN fraud.stream_case_queue.amount IS 'sum of the alerted events'' amounts';
COMMENT ON COLUMN fraud.stream_case_queue.assigned_at IS 'when it was assigned';
COMMENT ON COLUMN fraud.stream_case_queue.assignee IS 'the role that works on it; null: nobody';
COMMENT ON COLUMN fraud.stream_case_queue.case_id IS 'its number within the stream';
COMMENT ON COLUMN fraud.stream_case_queue.decision IS 'the severest of its alerts';
COMMENT ON COLUMN fraud.stream_case_queue.due_at IS 'until when it should be decided (fraud_detect.case_due); null: no time';
COMMENT ON COLUMN fraud.stream_case_queue.entity IS 'whom it is about, as fraud.watch was told';
COMMENT ON COLUMN fraud.stream_case_queue.last_alert_at IS 'when its latest alert was raised';
COMMENT ON COLUMN fraud.stream_case_queue.max_score IS 'the highest of its alerts';
COMMENT ON COLUMN fraud.stream_case_queue.opened_at IS 'when its first alert was raised';
COMMENT ON COLUMN fraud.stream_case_queue.priority IS 'score times amount, the largest of its alerts added up; the queue is in its order';
COMMENT ON COLUMN fraud.stream_case_queue.status IS 'open or acknowledged';
COMMENT ON COLUMN fraud.stream_case_queue.stream IS 'the feature set that is watched';

COMMENT ON COLUMN fraud.stream_cases.assigned_at IS 'when it was assigned';

COMMENT ON COLUMN fraud.tile_status.covered_to IS 'see covered_from; null: there are no tiles yet';
COMMENT ON COLUMN fraud.tile_status.feature_set IS 'the set whose keys these are';
