-- Access is given by kind of work. There are no roles of the extension's own:
-- roles belong to the whole cluster, extensions to one database.
CREATE FUNCTION fraud._access(role_name text, access text, verb text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    objects text[];
    object text;
    -- Measuring scores, of any table or of the payments.
    -- The columns of fraud.payment_events that come from attributes.
    reading_fields text := 'EXECUTE ON FUNCTION fraud._attribute_text(jsonb, jsonpath), fraud._attribute_numeric(jsonb, jsonpath), fraud._attribute_float8(jsonb, jsonpath), fraud._attribute_bigint(jsonb, jsonpath), fraud._attribute_boolean(jsonb, jsonpath), fraud._attribute_timestamptz(jsonb, jsonpath), fraud._attribute_inet(jsonb, jsonpath)';
    measuring text[] := ARRAY[
        'EXECUTE ON FUNCTION fraud.average_precision(float8, boolean), fraud.auc_roc(float8, boolean), fraud.log_loss(float8, boolean), fraud.brier(float8, boolean), fraud.precision_at(float8, boolean, float8), fraud.recall_at(float8, boolean, float8), fraud.card_precision(float8, boolean, text, date, int, boolean), fraud._measures(float8, boolean, float8), fraud._curve(float8, boolean, float8)',
        'EXECUTE ON FUNCTION fraud.scored_events(text, timestamptz, timestamptz, regclass, jsonb, timestamptz), fraud._scored_events(text, timestamptz, timestamptz, regclass, jsonb, timestamptz), fraud._check_period(timestamptz, timestamptz), fraud._scored_payments(text, timestamptz, timestamptz, timestamptz), fraud._scored_table(text, timestamptz, timestamptz, regclass, jsonb), fraud._scored_features(text, text, timestamptz, timestamptz, timestamptz), fraud._scored_set(text, text, timestamptz, timestamptz, jsonb, timestamptz), fraud._table_columns(jsonb), fraud._events_of(text, regclass, jsonb), fraud._review_at(text), fraud._version_of(text), fraud._events_fault(text, regclass, jsonb, timestamptz, timestamptz), fraud._refuse_no_events(text, regclass, jsonb, timestamptz, timestamptz), fraud._events_period(text, timestamptz, timestamptz), fraud._payments_period(), fraud._shadowed_payments(text, int, int, timestamptz, timestamptz), fraud._shadowed_events(text, int, int, timestamptz, timestamptz)',
        'EXECUTE ON FUNCTION fraud.evaluate(text, timestamptz, timestamptz, float8, float8[], int, regclass, jsonb, timestamptz), fraud.precision_recall_curve(text, timestamptz, timestamptz, int, regclass, jsonb, timestamptz), fraud._precision_recall_curve(text, timestamptz, timestamptz, int, regclass, jsonb, timestamptz), fraud.calibration(text, timestamptz, timestamptz, int, text, regclass, jsonb, timestamptz), fraud._calibration(text, timestamptz, timestamptz, int, text, regclass, jsonb, timestamptz), fraud.choose_threshold(text, timestamptz, timestamptz, float8, float8, float8, float8, regclass, jsonb, timestamptz), fraud._choose_threshold(text, timestamptz, timestamptz, float8, float8, float8, float8, regclass, jsonb, timestamptz), fraud.compare_models(text, text, timestamptz, timestamptz, float8, text, regclass, jsonb), fraud._compare_models(text, text, timestamptz, timestamptz, float8, text, regclass, jsonb)',
        'EXECUTE ON FUNCTION fraud.report_timezone()',
        'EXECUTE ON FUNCTION fraud._score_row(record, text)',
        'EXECUTE ON FUNCTION @extschema@.fraud_score(record, text)'];
BEGIN
    IF role_name IS NULL OR access IS NULL THEN
        RAISE EXCEPTION 'role_name and access must not be null'
            USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = role_name) THEN
        RAISE EXCEPTION 'role "%" does not exist', role_name USING ERRCODE = 'undefined_object', HINT = 'pg_roles lists the roles.';
    END IF;
    objects := CASE access
        WHEN 'score' THEN ARRAY[
            'USAGE ON SCHEMA fraud',
            'EXECUTE ON FUNCTION fraud._score_columns(text, text[], "any")',
            'EXECUTE ON FUNCTION fraud._score_stored(text, float4[])',
            'EXECUTE ON FUNCTION @extschema@.fraud_score(record, text)',
            'EXECUTE ON FUNCTION @extschema@.fraud_score(jsonb, text)',
            'EXECUTE ON FUNCTION @extschema@.fraud_score(float4[], text)',
            'EXECUTE ON FUNCTION @extschema@.fraud_explain(record, text)',
            'EXECUTE ON FUNCTION @extschema@.fraud_explain(jsonb, text)']
        WHEN 'ingest' THEN ARRAY[
            'USAGE ON SCHEMA fraud',
            'EXECUTE ON FUNCTION fraud.ingest(jsonb, text, jsonb)',
            'EXECUTE ON FUNCTION fraud.ingest(text, text, jsonb, text)',
            'EXECUTE ON FUNCTION fraud.preview_payments(text, text, jsonb)',
            'EXECUTE ON FUNCTION fraud.assess(jsonb, text, jsonb, boolean)']
        WHEN 'analyst' THEN ARRAY[
            'USAGE ON SCHEMA fraud',
            'SELECT ON fraud.customers, fraud.merchants, fraud.transactions, fraud.payment_events, fraud.payment_fields, fraud.currency_rates, fraud.payment_followups, fraud.payment_balances, fraud.alerts, fraud.labels, fraud.current_labels, fraud.models, fraud.promotions, fraud.model_aliases, fraud.source_status, fraud.source_fields',
            'SELECT ON fraud.cases, fraud.case_history',
            'SELECT ON fraud.lists, fraud.list_entries, fraud.list_values, fraud.rules, fraud.rule_versions, fraud.rule_history, fraud.rule_status, fraud.rule_matches, fraud.stream_rule_matches, fraud.slow_rules, fraud.snoozes, fraud.snoozed_alerts, fraud.stream_snoozed_alerts',
            'EXECUTE ON FUNCTION fraud.in_list(text, "any"), fraud.in_list(text, "any", timestamptz), fraud.create_list(text, text, text, text), fraud.drop_list(text), fraud.add_to_list(text, text[], timestamptz, text), fraud.add_to_list(text, text, timestamptz, text), fraud.remove_from_list(text, text, text)',
            'EXECUTE ON FUNCTION fraud.rule_columns(text), fraud.add_rule(text, text, text, text, text, timestamptz, timestamptz, int, text, text, text, text), fraud.alter_rule(text, text, text, text, text, timestamptz, timestamptz, int, text, text, text), fraud.enforce_rule(text, text, int), fraud.observe_rule(text, text, int), fraud.disable_rule(text, text), fraud.rollback_rule(text, text), fraud.drop_rule(text, text)',
            'EXECUTE ON FUNCTION fraud.snooze(text, text, timestamptz, text, text), fraud.end_snooze(bigint, text)',
            'EXECUTE ON FUNCTION fraud.backtest_rule(text, timestamptz, timestamptz, boolean, text), fraud._backtest_rows(text), fraud._event_rows(text, text, text), fraud.backtest_decision(timestamptz, timestamptz, text, float8, float8, text[], text), fraud.suggest_rules(timestamptz, timestamptz, int, text), fraud._backtest_rule(text, timestamptz, timestamptz, boolean, text), fraud._backtest_condition(text, timestamptz, timestamptz, boolean, text), fraud._backtest_decision(timestamptz, timestamptz, text, float8, float8, text[], text), fraud._suggest_rules(timestamptz, timestamptz, int, text), fraud._backtest(timestamptz, boolean, text, numeric, uuid, boolean, boolean[]), fraud._backtest_decision(text, float8, float8, text[], timestamptz, timestamptz, text), fraud._decision_rows(text, float8, float8, text), fraud._decision_counts(text, text, text[], text[], timestamptz, timestamptz, text), fraud._failing_rules(text[], text, timestamptz, timestamptz, text), fraud._condition_outcome(text, record, text), fraud._suggestions(float8[], boolean, bigint, bigint, int), fraud._suggested(timestamptz, timestamptz, int, text), fraud._rules_to_compare(text[], text), fraud._rules_to_decide(text[], text), fraud._check_period(timestamptz, timestamptz), fraud._check_scores(text, text), fraud._score_stored(text, float4[], text), fraud._mask_card_numbers(text), fraud._rule_row(text, text), fraud._condition_as_of(text, text, boolean), fraud._score_stored(text, float4[])',
            'SELECT ON fraud.daily_report, fraud.hourly_activity, fraud.merchant_risk, fraud.category_risk, fraud.customer_activity, fraud.geography, fraud.alert_queue, fraud.alert_outcomes, fraud.model_performance, fraud.score_distribution',
            'SELECT ON fraud.daily_reports',
            'EXECUTE ON FUNCTION fraud.alert(bigint), fraud._alert(bigint)',
            'EXECUTE ON FUNCTION fraud.report_html(date)',
            'EXECUTE ON FUNCTION fraud.health(), fraud.metrics(), fraud._waits_read_only()',
            'SELECT (model, version, digest, feature_names, trees, iterations, objective, gives_probability, xgboost_version, description, created_at, created_by, builtin) ON fraud.model_versions',
            'EXECUTE ON FUNCTION fraud.payment_features()',
            'EXECUTE ON FUNCTION fraud.report_timezone()',
            'EXECUTE ON FUNCTION fraud.assess(jsonb, text, jsonb, boolean)',
            'EXECUTE ON FUNCTION fraud.base_currency(), fraud._base_units(), fraud._base_unit()',
            reading_fields, 'EXECUTE ON FUNCTION fraud.payment_field_values(text, timestamptz, timestamptz), fraud._payment_field_values(text, timestamptz, timestamptz), fraud._check_period(timestamptz, timestamptz), fraud._field_expression(text, jsonpath, text)',
            'EXECUTE ON FUNCTION fraud._believed(fraud.labels), fraud._label_rank(text)',
            'EXECUTE ON FUNCTION fraud.label_as_of(text, timestamptz, uuid)',
            'EXECUTE ON FUNCTION fraud.label(text, boolean, text, timestamptz, uuid, boolean), fraud.label(text[], boolean, text, timestamptz, uuid[], boolean)',
            'SELECT ON fraud.stream_status, fraud.stream_daily, fraud.event_scores, fraud.stream_alerts, fraud.stream_cases, fraud.stream_case_history, fraud.event_labels, fraud.labelled_events',
            'EXECUTE ON FUNCTION fraud._stream_triggers(text), fraud.label_event(text, text, boolean, text, timestamptz), fraud.label_event(text, text[], boolean, text, timestamptz)',
            'EXECUTE ON FUNCTION fraud.decide_stream_case(bigint, text, text, timestamptz)',
            'EXECUTE ON FUNCTION fraud.acknowledge_case(bigint, text), fraud.acknowledge_cases(bigint[], text)',
            'EXECUTE ON FUNCTION fraud.confirm_case(bigint, text, timestamptz, boolean), fraud.confirm_cases(bigint[], text, timestamptz, boolean)',
            'EXECUTE ON FUNCTION fraud.dismiss_case(bigint, text, timestamptz, boolean), fraud.dismiss_cases(bigint[], text, timestamptz, boolean)',
            'EXECUTE ON FUNCTION fraud.reopen_case(bigint, text), fraud.reopen_cases(bigint[], text)',
            'SELECT ON fraud.stream_case_queue', 'EXECUTE ON FUNCTION fraud.take_stream_case(text, int), fraud.assign_stream_case(bigint, name, text), fraud.note_stream_case(bigint, text)',
            'SELECT ON fraud.case_queue', 'SELECT (transaction_id, card, occurred_at) ON fraud.payment_keys',
            'EXECUTE ON FUNCTION @extschema@.fraud_explain(record, text), @extschema@.fraud_explain(jsonb, text), fraud._explain_stored(float4[], text), fraud.distance_km(float8, float8, float8, float8)',
            'EXECUTE ON FUNCTION fraud.payment(text, uuid), fraud._payment(text, uuid), fraud.find_payments(text, text, text, text, timestamptz, timestamptz, numeric, numeric, uuid, int), fraud._find_payments(text, text, text, text, timestamptz, timestamptz, numeric, numeric, uuid, int)',
            'EXECUTE ON FUNCTION fraud.case(bigint), fraud._case(bigint), fraud.case_links(bigint, interval), fraud._case_links(bigint, interval), fraud._case_of(bigint), fraud._case_payments(uuid, bigint, int), fraud._case_contributions(float4[], text, int), fraud._case_timeline(uuid, bigint, timestamptz, timestamptz, int)',
            'EXECUTE ON FUNCTION fraud.case_page(bigint), fraud._case_page(bigint), fraud._html(text), fraud._number(numeric, int), fraud._axis_step(numeric), fraud._html_head(text), fraud._html_cell(text, text, text), fraud._html_columns(text[]), fraud._html_fact(text, text, text), fraud._html_time(timestamptz, text), fraud._html_label(boolean), fraud._svg_timeline(text, text, float8[], float8[], text[], text[], text, text), fraud._html_waterfall(text[], text[], float8[])',
            'EXECUTE ON FUNCTION fraud._html_case_head(fraud.cases, text), fraud._html_case_customer(uuid, text), fraud._html_case_payments(fraud.cases, text), fraud._html_case_timeline(fraud.cases, text), fraud._html_case_links(fraud.cases, text), fraud._html_case_history(fraud.cases, text), fraud._html_case_others(fraud.cases, text)',
            'EXECUTE ON FUNCTION fraud.assign_case(bigint, name, text), fraud.assign_cases(bigint[], name, text), fraud.take_case(int), fraud.note_case(bigint, text), fraud.note_cases(bigint[], text)',
            'EXECUTE ON FUNCTION fraud.decide_case(bigint, text[], text[], text, timestamptz, boolean), fraud.merge_cases(bigint, bigint[], text), fraud.close_flood(timestamptz, timestamptz, text)'] || measuring
        WHEN 'scientist' THEN ARRAY[
            'USAGE ON SCHEMA fraud',
            'SELECT ON fraud.models, fraud.promotions, fraud.model_aliases, fraud.model_memory, fraud.feature_sets, fraud.feature_definitions, fraud.feature_categories, fraud.feature_catalog, fraud.payment_events, fraud.payment_fields',
            'EXECUTE ON FUNCTION fraud.distance_km(float8, float8, float8, float8)',
            reading_fields, 'EXECUTE ON FUNCTION fraud._field_expression(text, jsonpath, text), fraud.add_payment_field(text, text, text, boolean), fraud.drop_payment_field(text)',
            'EXECUTE ON FUNCTION fraud._shared_models()',
            'SELECT (model, version, digest, feature_names, trees, iterations, objective, gives_probability, xgboost_version, description, created_at, created_by, builtin) ON fraud.model_versions',
            'EXECUTE ON FUNCTION fraud.payment_features()',
            'EXECUTE ON FUNCTION fraud.import_model(text, bytea, text, text[], boolean, text)',
            'EXECUTE ON FUNCTION fraud.export_model(text)',
            'EXECUTE ON FUNCTION fraud.promote(text, int, text, text, float8, float8, boolean, timestamptz, timestamptz, float8, regclass, jsonb), fraud._gate_evidence(text, int, int, timestamptz, timestamptz, float8, regclass, jsonb), fraud._gate_period(text, int, timestamptz, timestamptz), fraud._recall_difference(bigint, bigint, bigint)',
            'EXECUTE ON FUNCTION fraud.tag_version(text, int, jsonb), fraud.describe_model(text, text, int), fraud.delete_version(text, int)',
            'SELECT ON fraud.training_runs, fraud.training_trials, fraud.training_queue, fraud.training_progress',
            'EXECUTE ON FUNCTION fraud.train(text, text, jsonb, timestamptz, timestamptz, timestamptz, timestamptz, timestamptz, timestamptz, interval, int, jsonb, int, bigint, regclass, jsonb, text[], text)',
            'EXECUTE ON FUNCTION fraud._training_progress(), fraud.cancel_training(bigint), fraud.wait_for_training(bigint, interval)',
            'SELECT ON fraud.version_tags, fraud.deleted_versions, fraud.shadow_scores'] || measuring || ARRAY[
            'EXECUTE ON FUNCTION fraud.rollback(text, text, text)',
            'EXECUTE ON FUNCTION fraud.create_feature_set(text, regclass, text, text, text, interval, text, boolean, text, text)',
            'EXECUTE ON FUNCTION fraud.add_feature(text, text, text, text, text[], text, text)',
            'EXECUTE ON FUNCTION fraud.add_window_feature(text, text, text, text, text, interval, interval, text, boolean, text, text)',
            'EXECUTE ON FUNCTION fraud.add_categories(text, text, text[])',
            'EXECUTE ON FUNCTION fraud.drop_feature(text, text)',
            'EXECUTE ON FUNCTION fraud.drop_feature_set(text)',
            'EXECUTE ON FUNCTION fraud.feature_set_definition(text), fraud._feature_set_definition(text)',
            'EXECUTE ON FUNCTION fraud.feature_set_hash(text), fraud._feature_set_hash(text)',
            'EXECUTE ON FUNCTION fraud._index_columns(oid), fraud._feature_keys(text), fraud._indexed_part(text, text), fraud._index_obstacle(text, text), fraud._may_fail(text, text), fraud._most_bytes(regclass, text), fraud._feature_index_name(regclass, text), fraud._has_feature_index(regclass, text[], text[], text[]), fraud._concurrent_statements(regclass, text), fraud._expression_columns(text, text)',
            'EXECUTE ON FUNCTION fraud.feature_indexes(text), fraud._feature_indexes(text)',
            'EXECUTE ON FUNCTION fraud.create_feature_indexes(text), fraud._create_feature_indexes(text)',
            'EXECUTE ON FUNCTION fraud.add_column_features(text, text[], text[], int), fraud._add_column_features(text, text[], text[], int)',
            'EXECUTE ON FUNCTION fraud.materialize_features(text, text, timestamptz, timestamptz)',
            'EXECUTE ON FUNCTION fraud.features(text, record)',
            'EXECUTE ON FUNCTION fraud.verify_parity(text, int)',
            'SELECT ON fraud.streams, fraud.stream_status, fraud.stream_daily, fraud.stream_decisions, fraud.event_scores, fraud.stream_shadow_scores, fraud.event_labels, fraud.labelled_events',
            'EXECUTE ON FUNCTION fraud.watch(text, text, text, text, text), fraud.unwatch(text), fraud._stream_triggers(text)',
            'EXECUTE ON FUNCTION fraud.tile_features(text), fraud.untile_features(text), fraud.request_tiles(text)',
            'EXECUTE ON FUNCTION fraud.event_is_fraud(text, text), fraud.event_label_known_at(text, text), fraud.event_label_changes(text, text)',
            'EXECUTE ON FUNCTION fraud.label_event(text, text, boolean, text, timestamptz), fraud.label_event(text, text[], boolean, text, timestamptz)',
            'EXECUTE ON FUNCTION fraud.load_history(regclass, interval)',
            'EXECUTE ON PROCEDURE fraud.load_history_in_batches(regclass, interval, int, boolean)',
            'SELECT ON fraud.history_progress',
            'EXECUTE ON FUNCTION fraud.simulate(int, int, int, bigint, timestamptz, timestamptz, interval)']
        WHEN 'operator' THEN ARRAY[
            'USAGE ON SCHEMA fraud',
            'SELECT ON fraud.source_status, fraud.source_fields, fraud.inbox_status, fraud.model_memory, fraud.stream_status',
            'EXECUTE ON FUNCTION fraud._stream_triggers(text)',
            'SELECT (held_since, next_try_at, attempts, reason, blocking_pid, month) ON fraud.held_customers',
            'SELECT (error_id, source, reason, payload, payload_size, last_four, transaction_id, occurrences, first_seen_at, last_seen_at, digest, occurred_at, received_at, waits_for) ON fraud.ingest_errors',
            'SELECT ON fraud.channel_status, fraud.notifications, fraud.notification_messages, fraud.notification_attempts, fraud.notification_log',
            'EXECUTE ON FUNCTION fraud._shared_models()',
            'EXECUTE ON FUNCTION fraud.refresh_rollups()',
            'EXECUTE ON FUNCTION fraud.rebuild_rollups()',
            'EXECUTE ON PROCEDURE fraud.fold_tiles(interval)',
            'EXECUTE ON FUNCTION fraud.fold_tiles_step(), fraud.request_tiles(text)',
            'SELECT ON fraud.tile_status',
            'SELECT ON fraud.daily_reports',
            'EXECUTE ON FUNCTION fraud.close_day(date)',
            'EXECUTE ON FUNCTION fraud.close_due_days(date)',
            'EXECUTE ON FUNCTION fraud.health(), fraud.check_restore(), fraud._waits_read_only()',
            'EXECUTE ON FUNCTION fraud.run_job(text)',
            'EXECUTE ON FUNCTION fraud.maintain_partitions(), fraud.drop_past_month()',
            'EXECUTE ON FUNCTION fraud.purge(), fraud.purge_records(int)',
            'EXECUTE ON FUNCTION fraud.notify_health(), fraud.expect_payments(text, interval), fraud.metrics()',
            'EXECUTE ON FUNCTION fraud._scheduled_by(), fraud._local_scheduler()',
            'EXECUTE ON FUNCTION fraud.schedule(date), fraud._schedule(date)',
            'EXECUTE ON FUNCTION fraud.unschedule(), fraud._unschedule()',
            'EXECUTE ON FUNCTION fraud._in_cron_database(text)',
            'EXECUTE ON FUNCTION fraud._cron_database()',
            'EXECUTE ON FUNCTION fraud._cron_name(text)',
            'EXECUTE ON FUNCTION fraud._cron_names()',
            'EXECUTE ON FUNCTION fraud._note_unscheduled(bigint)',
            'EXECUTE ON FUNCTION fraud._start_closing(date)',
            'EXECUTE ON FUNCTION fraud._job_list()',
            'EXECUTE ON FUNCTION fraud.add_source(text, text, text, interval, jsonb, int, int, jsonb, jsonb, jsonb)',
            'EXECUTE ON FUNCTION fraud.alter_source(text, text, text, interval, jsonb, int, int, text[], jsonb, jsonb, jsonb)',
            'EXECUTE ON FUNCTION fraud.pause_source(text)',
            'EXECUTE ON FUNCTION fraud.resume_source(text)',
            'EXECUTE ON FUNCTION fraud.drop_source(text)',
            'EXECUTE ON FUNCTION fraud.poll_now(text)',
            'EXECUTE ON FUNCTION fraud.preview_source(text, jsonb), fraud.preview_payments(text, text, jsonb)',
            'SELECT ON fraud.currency_rates',
            'EXECUTE ON FUNCTION fraud.set_currency_rate(text, numeric, timestamptz), fraud.base_currency(), fraud.currency_decimals(text)',
            'EXECUTE ON FUNCTION fraud.retry_dead_letters(bigint[], text, text), fraud.retry_dead_letter(bigint, jsonb)',
            'EXECUTE ON FUNCTION fraud.add_channel(text, text, text, text[], text, text, boolean, interval, int, jsonb, jsonb, text, text, text, text, text, boolean, boolean)',
            'EXECUTE ON FUNCTION fraud.alter_channel(text, text, text[], text, text, boolean, interval, int, jsonb, jsonb, text, text, text, text, text, boolean, boolean, text[], interval)',
            'EXECUTE ON FUNCTION fraud.pause_channel(text)',
            'EXECUTE ON FUNCTION fraud.resume_channel(text, boolean)',
            'EXECUTE ON FUNCTION fraud.drop_channel(text)',
            'EXECUTE ON FUNCTION fraud.test_channel(text)',
            'EXECUTE ON FUNCTION fraud.retry_notification(bigint)']
        -- Who looks after what others did: reads, and changes nothing.
        WHEN 'auditor' THEN ARRAY[
            'USAGE ON SCHEMA fraud',
            'SELECT ON fraud.audit_log, fraud.cases, fraud.case_history, fraud.customer_holds, fraud.daily_reports',
            'SELECT ON fraud.models, fraud.promotions, fraud.model_aliases, fraud.version_tags, fraud.deleted_versions, fraud.training_runs',
            'SELECT (model, version, digest, feature_names, trees, iterations, objective, gives_probability, xgboost_version, description, created_at, created_by, builtin) ON fraud.model_versions',
            'SELECT ON fraud.feature_sets, fraud.feature_definitions, fraud.feature_categories, fraud.feature_catalog',
            'SELECT ON fraud.source_status, fraud.channel_status, fraud.notification_log',
            'EXECUTE ON FUNCTION fraud._waits_read_only()',
            'SELECT ON fraud.streams, fraud.stream_status, fraud.stream_cases, fraud.stream_case_history',
            'SELECT ON fraud.lists, fraud.rules, fraud.rule_versions, fraud.rule_history, fraud.rule_status, fraud.slow_rules',
            'EXECUTE ON FUNCTION fraud._stream_triggers(text)',
            'EXECUTE ON FUNCTION fraud.health(), fraud.metrics()']
        -- Who answers what customers ask of their own data.
        WHEN 'privacy' THEN ARRAY[
            'USAGE ON SCHEMA fraud',
            'SELECT ON fraud.customers, fraud.customer_holds',
            'EXECUTE ON FUNCTION fraud.customer_data(uuid)',
            'EXECUTE ON FUNCTION fraud.erase_customer(uuid, text, boolean)',
            'EXECUTE ON FUNCTION fraud.hold_customer(uuid, text)',
            'EXECUTE ON FUNCTION fraud.release_customer(uuid, text)']
    END;
    IF objects IS NULL THEN
        RAISE EXCEPTION 'unknown access "%"', access
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'The kinds of access are score, ingest, analyst, scientist, operator, auditor and privacy.';
    END IF;
    -- Where the extension's two functions stand in a schema of their own, they need it; others may
    -- have given it too, so that it is not taken again.
    IF verb = 'grant' AND NOT has_schema_privilege(role_name, '@extschema@'::regnamespace::oid, 'USAGE')
       AND EXISTS (SELECT FROM unnest(objects) o WHERE position('fraud_score(' IN o) > 0) THEN
        EXECUTE format('GRANT USAGE ON SCHEMA @extschema@ TO %I', role_name);
    END IF;
    FOREACH object IN ARRAY objects LOOP
        EXECUTE CASE verb
            WHEN 'grant' THEN format('GRANT %s TO %I', object, role_name)
            ELSE format('REVOKE %s FROM %I', object, role_name)
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION fraud._access(text, text, text) IS 'internal: grants or revokes all of one kind of access';

CREATE FUNCTION fraud._grant_access(role_name text, access text) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT fraud._access(role_name, access, 'grant');
    SELECT fraud._audit('grant', 'access', role_name, NULL, jsonb_build_object('access', access));
END;
COMMENT ON FUNCTION fraud._grant_access(text, text) IS 'internal: the body of fraud.grant_access, run as its caller';

CREATE FUNCTION fraud.grant_access(role_name text, access text) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_as_caller'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.grant_access(text, text) IS
    'gives a role what one kind of work needs: score, ingest, analyst, scientist, operator, auditor or privacy (docs/security.md lists each)';

CREATE FUNCTION fraud._revoke_access(role_name text, access text) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT fraud._access(role_name, access, 'revoke');
    SELECT fraud._audit('revoke', 'access', role_name, jsonb_build_object('access', access));
END;
COMMENT ON FUNCTION fraud._revoke_access(text, text) IS 'internal: the body of fraud.revoke_access, run as its caller';

CREATE FUNCTION fraud.revoke_access(role_name text, access text) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_as_caller'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.revoke_access(text, text) IS
    'takes one kind of access from a role; what two kinds share goes with the first';

REVOKE ALL ON ALL ROUTINES IN SCHEMA fraud FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.fraud_score(record, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.fraud_score(jsonb, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.fraud_score(float4[], text) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.fraud_explain(record, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.fraud_explain(jsonb, text) FROM PUBLIC;

-- What holds users' data goes into a dump; what the worker notes for itself does
-- not, nor do the jobs, nor tiles, which are made anew, nor what tells slots of fraud.changes apart. Partitions are ordinary tables and are dumped as such.
-- One statement each: every call updates the extension's row.
DO $$
DECLARE
    object regclass;
BEGIN
    FOR object IN
        SELECT c.oid FROM pg_class c
        WHERE c.relnamespace = 'fraud'::regnamespace
          AND c.relname NOT IN ('locks', 'months', 'builtin_rows', 'held_customers', 'poll_requests', 'source_counts', 'source_field_counts', 'source_state', 'home', 'change_ids', 'change_slot', 'change_slots', 'change_mark', 'folding', 'channel_state', 'training_queue', 'job_state', 'job_skips', 'sweeps', 'health_states', 'health_told', 'health_marks', 'source_samples',
                                'tile_sets', 'tile_sets_set_id_seq', 'tiled_keys', 'tiles', 'tile_marks', 'tile_marks_mark_id_seq', 'tile_requests', 'tile_requests_request_id_seq')
          AND c.relkind IN ('r', 'p', 'S')
    LOOP
        PERFORM pg_extension_config_dump(object, '');
    END LOOP;
END
$$;

-- The workers may be there already, waiting for this.
SELECT fraud._wake_worker(), fraud._wake_notify_worker();
