\set SHOW_CONTEXT never
-- Who did what is in fraud.audit_log.
SET client_min_messages = warning;
CREATE ROLE regress_fraud_operator;
CREATE ROLE regress_fraud_scientist;
CREATE ROLE regress_fraud_auditor;
SELECT fraud.grant_access('regress_fraud_operator', 'operator'), fraud.grant_access('regress_fraud_scientist', 'scientist'),
       fraud.grant_access('regress_fraud_auditor', 'auditor');
SELECT who = current_user AS mine, login = session_user AS login, action, object_kind, object_name, old, new
FROM fraud.audit_log WHERE object_name ~ '^regress_fraud_' ORDER BY audit_id DESC LIMIT 3;
-- A refused one is not.
SELECT fraud.grant_access('regress_fraud_operator', 'king');
SELECT count(*) FROM fraud.audit_log WHERE new ->> 'access' = 'king';

-- ------------------------------------------------------ every act is noted
-- Each public function that is VOLATILE is called so that it succeeds, and leaves a row;
-- or is listed with the reason why it need not. A new one that is on neither list shows.
CREATE TABLE acts (function text, call text, setup text DEFAULT 'SELECT 1');
CREATE TABLE audited_events (id int PRIMARY KEY, at timestamptz, key text, amount float8, kind text);
INSERT INTO audited_events VALUES (1, '2026-01-01', 'k', 5, 'a'), (2, '2026-01-02', 'k', 6, 'b');
CREATE TABLE audited_history (cc_num text, trans_num text, amt text, merchant text, unix_time text, is_fraud text);
INSERT INTO audited_history VALUES ('4929000000777771', 'au-h1', '5', 'm', '1480000000', '0');
SELECT fraud.import_model('audited', artifact) FROM stump;
SELECT fraud.import_model('audited', artifact) FROM stump;
SELECT fraud.promote('audited', 1, 'blue'), fraud.promote('audited', 2, 'blue');
SELECT fraud.create_feature_set('audited', 'audited_events', 'id', 'at');
SELECT fraud.add_feature('audited', 'kind', 'kind', categories => '{a}');
SELECT fraud.promote('payments', 1, review_at => 0, block_at => 1, reason => 'alert on all');
SELECT status FROM fraud.ingest('{"cc_num": 4929000000777777, "trans_num": "au-1", "amt": 5, "merchant": "m", "unix_time": 1480000000, "first": "Ada"}');
SELECT fraud.promote('payments', 1, review_at => 0.053, block_at => 0.506, reason => 'as it came');
SELECT card AS audited_card, case_id AS audited_case FROM fraud.alerts WHERE transaction_id = 'au-1' \gset
SELECT fraud.add_source('audited', 'http://127.0.0.1:1/', poll_interval => '1 day'), fraud.pause_source('audited');
SELECT fraud.create_list('audited', 'merchant'), fraud.add_rule('audited', 'amount > 1e9', 'review');
SELECT fraud.add_channel('audited', 'webhook', 'http://127.0.0.1:1/'), fraud.pause_channel('audited');
INSERT INTO acts (function, call, setup) VALUES
    ('acknowledge_case', format('SELECT fraud.acknowledge_case(%s)', :'audited_case'), DEFAULT),
    ('confirm_case', format('SELECT fraud.confirm_case(%s)', :'audited_case'), DEFAULT),
    ('dismiss_case', format('SELECT fraud.dismiss_case(%s)', :'audited_case'), DEFAULT),
    ('reopen_case', format('SELECT fraud.reopen_case(%s)', :'audited_case'), format('SELECT fraud.dismiss_case(%s)', :'audited_case')),
    ('acknowledge_cases', format('SELECT fraud.acknowledge_cases(%L)', ARRAY[:'audited_case']), DEFAULT),
    ('confirm_cases', format('SELECT fraud.confirm_cases(%L)', ARRAY[:'audited_case']), DEFAULT),
    ('dismiss_cases', format('SELECT fraud.dismiss_cases(%L)', ARRAY[:'audited_case']), DEFAULT),
    ('reopen_cases', format('SELECT fraud.reopen_cases(%L)', ARRAY[:'audited_case']), format('SELECT fraud.dismiss_case(%s)', :'audited_case')),
    ('assign_case', format('SELECT fraud.assign_case(%s, %L)', :'audited_case', current_user), DEFAULT),
    ('assign_cases', format('SELECT fraud.assign_cases(%L, %L)', ARRAY[:'audited_case'], current_user), DEFAULT),
    ('take_case', 'SELECT fraud.take_case()', DEFAULT),
    ('note_case', format('SELECT fraud.note_case(%s, ''seen'')', :'audited_case'), DEFAULT),
    ('note_cases', format('SELECT fraud.note_cases(%L, ''seen'')', ARRAY[:'audited_case']), DEFAULT),
    ('decide_case', format('SELECT fraud.decide_case(%s, ''{au-1}'')', :'audited_case'), DEFAULT),
    ('merge_cases', format('SELECT fraud.merge_cases(%s, ARRAY(SELECT max(case_id) FROM fraud.alerts WHERE transaction_id = ''au-2''))', :'audited_case'),
        $$SET LOCAL fraud_detect.alert_window = 0; SELECT fraud.promote('payments', 1, review_at => 0, block_at => 1);
        SELECT fraud.ingest('{"cc_num": 4929000000777777, "trans_num": "au-2", "amt": 5, "merchant": "m", "unix_time": 1480000000}')$$),
    ('close_flood', $$SELECT fraud.close_flood('2000-01-01', '2000-01-02', 'none came')$$, DEFAULT),
    ('create_list', $$SELECT fraud.create_list('audited2', 'merchant')$$, DEFAULT),
    ('drop_list', $$SELECT fraud.drop_list('audited')$$, DEFAULT),
    ('add_to_list', $$SELECT fraud.add_to_list('audited', 'm', reason => 'why')$$, DEFAULT),
    ('remove_from_list', $$SELECT fraud.remove_from_list('audited', 'm', 'why')$$, $$SELECT fraud.add_to_list('audited', 'm', reason => 'why')$$),
    ('add_rule', $$SELECT fraud.add_rule('audited2', 'amount > 1', 'review')$$, DEFAULT),
    ('alter_rule', $$SELECT fraud.alter_rule('audited', 'amount > 2')$$, DEFAULT),
    ('enforce_rule', $$SELECT fraud.enforce_rule('audited', 'why')$$, DEFAULT),
    ('observe_rule', $$SELECT fraud.observe_rule('audited', 'why')$$, DEFAULT),
    ('disable_rule', $$SELECT fraud.disable_rule('audited', 'why')$$, DEFAULT),
    ('rollback_rule', $$SELECT fraud.rollback_rule('audited', 'why')$$, $$SELECT fraud.enforce_rule('audited', 'why'); SELECT fraud.alter_rule('audited', 'amount > 3')$$),
    ('drop_rule', $$SELECT fraud.drop_rule('audited', 'why')$$, DEFAULT),
    ('snooze', $$SELECT fraud.snooze('rule', 'audited', now() + interval '1 day', 'why')$$, DEFAULT),
    ('end_snooze', $$SELECT fraud.end_snooze(max(snooze_id), 'why') FROM fraud.snoozes$$, $$SELECT fraud.snooze('rule', 'audited', now() + interval '1 day', 'why')$$),
    ('label', $$SELECT fraud.label('au-1', true)$$, DEFAULT),
    ('rotate_card_key', $$SELECT fraud.rotate_card_key() IS NOT NULL$$, DEFAULT),
    ('destroy_card_key', $$SELECT fraud.destroy_card_key(key_id) FROM fraud.card_keys WHERE retired_at IS NOT NULL AND destroyed_at IS NULL LIMIT 1$$,
        $$SELECT fraud.rotate_card_key() IS NOT NULL$$),
    ('follow_publication', $$SELECT fraud.follow_publication()$$, DEFAULT),
    ('add_source', $$SELECT fraud.add_source('audited2', 'http://127.0.0.1:1/')$$, DEFAULT),
    ('alter_source', $$SELECT fraud.alter_source('audited', format => 'split')$$, DEFAULT),
    ('set_currency_rate', $$SELECT fraud.set_currency_rate('SEK', 0.1)$$, DEFAULT),
    ('add_payment_field', $$SELECT fraud.add_payment_field('audited', 'text')$$, DEFAULT),
    ('drop_payment_field', $$SELECT fraud.drop_payment_field('audited')$$, $$SELECT fraud.add_payment_field('audited', 'text')$$),
    ('pause_source', $$SELECT fraud.pause_source('audited')$$, DEFAULT),
    ('resume_source', $$SELECT fraud.resume_source('audited')$$, DEFAULT),
    ('poll_now', $$SELECT fraud.poll_now('audited')$$, $$SELECT fraud.resume_source('audited')$$),
    ('preview_source', $$SELECT fraud.preview_source('audited')$$, DEFAULT),
    ('drop_source', $$SELECT fraud.drop_source('audited')$$, DEFAULT),
    ('retry_dead_letters', $$SELECT fraud.retry_dead_letters(reason => 'none such')$$, DEFAULT),
    ('retry_dead_letter', $$SELECT fraud.retry_dead_letter((SELECT max(error_id) FROM fraud.ingest_errors))$$,
        $$SELECT fraud.ingest('{"cc_num": 4929000000777777, "trans_num": "au-x"}')$$),
    ('add_channel', $$SELECT fraud.add_channel('audited2', 'notify', 'x')$$, DEFAULT),
    ('alter_channel', $$SELECT fraud.alter_channel('audited', repeats => true)$$, DEFAULT),
    ('pause_channel', $$SELECT fraud.pause_channel('audited')$$, DEFAULT),
    ('resume_channel', $$SELECT fraud.resume_channel('audited', true)$$, DEFAULT),
    ('drop_channel', $$SELECT fraud.drop_channel('audited')$$, DEFAULT),
    ('test_channel', $$SELECT fraud.test_channel('audited')$$, DEFAULT),
    ('retry_notification', $$SELECT fraud.retry_notification(notification_id) FROM fraud.notifications WHERE channel = 'audited'$$,
        $$INSERT INTO fraud.notifications (channel, kind, digest, state) VALUES ('audited', 'alert', false, 'dead')$$),
    ('import_model', $$SELECT fraud.import_model('audited', artifact) FROM stump$$, DEFAULT),
    ('export_model', $$SELECT fraud.export_model('audited/1')$$, DEFAULT),
    ('promote', $$SELECT fraud.promote('audited', 1, 'green')$$, DEFAULT),
    ('rollback', $$SELECT fraud.rollback('audited', 'blue')$$, DEFAULT),
    ('tag_version', $$SELECT fraud.tag_version('audited', 1, '{"team": "cards"}')$$, DEFAULT),
    ('describe_model', $$SELECT fraud.describe_model('audited', 'a model')$$, DEFAULT),
    ('delete_version', $$SELECT fraud.delete_version('audited', 3)$$, $$SELECT fraud.import_model('audited', artifact) FROM stump$$),
    ('train', $$SELECT fraud.train('audited', 'payments', train_from => '2016-01-01', train_to => '2016-06-01')$$, DEFAULT),
    ('cancel_training', $$SELECT fraud.cancel_training(max(run)) FROM fraud.training_runs$$,
        $$SELECT fraud.train('audited', 'payments', train_from => '2016-01-01', train_to => '2016-06-01')$$),
    ('create_feature_set', $$SELECT fraud.create_feature_set('audited2', 'audited_events', 'id', 'at')$$, DEFAULT),
    ('add_feature', $$SELECT fraud.add_feature('audited', 'amount', 'amount')$$, DEFAULT),
    ('add_window_feature', $$SELECT fraud.add_window_feature('audited', 'n', 'count', NULL, 'key', '1 day')$$, DEFAULT),
    ('add_categories', $$SELECT fraud.add_categories('audited', 'kind', '{b}')$$, DEFAULT),
    ('drop_feature', $$SELECT fraud.drop_feature('audited', 'kind')$$, DEFAULT),
    ('drop_feature_set', $$SELECT fraud.drop_feature_set('audited')$$, DEFAULT),
    ('watch', $$SELECT fraud.watch('audited')$$, $$SELECT fraud.add_feature('audited', 'a', 'amount'), fraud.add_feature('audited', 'b', 'amount');
        SELECT fraud.promote('audited', 1)$$),
    ('tile_features', $$SELECT fraud.tile_features('audited')$$, DEFAULT),
    ('untile_features', $$SELECT fraud.untile_features('audited')$$, $$SELECT fraud.tile_features('audited')$$),
    ('unwatch', $$SELECT fraud.unwatch('audited')$$, $$SELECT fraud.add_feature('audited', 'a', 'amount'), fraud.add_feature('audited', 'b', 'amount');
        SELECT fraud.promote('audited', 1); SELECT fraud.watch('audited')$$),
    ('label_event', $$SELECT fraud.label_event('audited', '1', true)$$, DEFAULT),
    ('decide_stream_case', $$SELECT fraud.decide_stream_case(max(case_id), 'acknowledged') FROM fraud.stream_case_states$$,
        $$SELECT fraud.add_feature('audited', 'a', 'amount'), fraud.add_feature('audited', 'b', 'amount');
        SELECT fraud.promote('audited', 1, review_at => 0, block_at => 1); SELECT fraud.watch('audited'); INSERT INTO audited_events VALUES (9, '2026-01-03', 'k', 5, 'a')$$),
    ('take_stream_case', 'SELECT fraud.take_stream_case()',
        $$SELECT fraud.add_feature('audited', 'a', 'amount'), fraud.add_feature('audited', 'b', 'amount');
        SELECT fraud.promote('audited', 1, review_at => 0, block_at => 1); SELECT fraud.watch('audited'); INSERT INTO audited_events VALUES (9, '2026-01-03', 'k', 5, 'a')$$),
    ('assign_stream_case', 'SELECT fraud.assign_stream_case(max(case_id), current_user) FROM fraud.stream_case_states',
        $$SELECT fraud.add_feature('audited', 'a', 'amount'), fraud.add_feature('audited', 'b', 'amount');
        SELECT fraud.promote('audited', 1, review_at => 0, block_at => 1); SELECT fraud.watch('audited'); INSERT INTO audited_events VALUES (9, '2026-01-03', 'k', 5, 'a')$$),
    ('note_stream_case', 'SELECT fraud.note_stream_case(max(case_id), ''seen'') FROM fraud.stream_case_states',
        $$SELECT fraud.add_feature('audited', 'a', 'amount'), fraud.add_feature('audited', 'b', 'amount');
        SELECT fraud.promote('audited', 1, review_at => 0, block_at => 1); SELECT fraud.watch('audited'); INSERT INTO audited_events VALUES (9, '2026-01-03', 'k', 5, 'a')$$),
    ('materialize_features', $$SELECT fraud.materialize_features('audited', 'public.audited_out', '2026-01-01', '2026-01-03')$$, DEFAULT),
    ('load_history', $$SELECT fraud.load_history('audited_history')$$, DEFAULT),
    ('simulate', $$SELECT fraud.simulate(1, 2, 1)$$, DEFAULT),
    ('grant_access', $$SELECT fraud.grant_access('regress_fraud_auditor', 'score')$$, DEFAULT),
    ('revoke_access', $$SELECT fraud.revoke_access('regress_fraud_auditor', 'score')$$, DEFAULT),
    -- What they do themselves is pg_cron's; test/t/021_cron.pl has them whole.
    ('schedule', $$SELECT fraud._start_closing('2026-01-01')$$, DEFAULT),
    ('unschedule', $$SELECT fraud._note_unscheduled(5)$$, DEFAULT),
    ('close_day', $$SELECT fraud.close_day('2001-01-01')$$, DEFAULT),
    ('close_due_days', $$SELECT fraud.close_due_days(current_date - 3)$$, 'DELETE FROM fraud.daily_reports WHERE day > current_date - 4'),
    ('rebuild_rollups', $$SELECT fraud.rebuild_rollups()$$, DEFAULT),
    ('drop_past_month', $$SELECT fraud.drop_past_month()$$,
        $$SELECT fraud._ensure_partition('2001-01-01'); SET LOCAL fraud_detect.transaction_retention = '9000d'$$),
    ('expect_payments', $$SELECT fraud.expect_payments('expected', '1 hour')$$, DEFAULT),
    ('purge', $$SELECT fraud.purge()$$, $$INSERT INTO fraud.audit_log (at, action, object_kind) VALUES (now() - interval '2 days', 'test', 'x');
        SET LOCAL fraud_detect.audit_retention = '1d'$$),
    ('purge_records', $$SELECT fraud.purge_records()$$, $$INSERT INTO fraud.payment_keys VALUES ('long ago', gen_random_uuid(), '1990-01-01');
        SET LOCAL fraud_detect.transaction_retention = '9000d'$$),
    ('customer_data', format('SELECT fraud.customer_data(%L)', :'audited_card'), DEFAULT),
    ('erase_customer', format('SELECT fraud.erase_customer(%L, ''asked'', true)', :'audited_card'), DEFAULT),
    ('hold_customer', format('SELECT fraud.hold_customer(%L, ''a court'')', :'audited_card'), DEFAULT),
    ('release_customer', format('SELECT fraud.release_customer(%L, ''over'')', :'audited_card'),
        format('SELECT fraud.hold_customer(%L, ''a court'')', :'audited_card'));
CREATE TABLE not_noted (function text, reason text);
INSERT INTO not_noted VALUES
    ('ingest', 'a payment is its own record, a rejected one a dead letter'),
    ('refresh_rollups', 'changes no figure'),
    ('run_job', 'what it runs notes what it does'),
    ('maintain_partitions', 'an empty month is made, as payments make one'),
    ('notify_health', 'what it says is in fraud.outbox'),
    ('add_column_features', 'each of its features is noted by fraud.add_feature'),
    ('create_feature_indexes', 'indexes on the caller''s own table, with the caller''s rights'),
    ('fold_tiles_step', 'changes no figure'),
    ('request_tiles', 'changes no figure'),
    ('wait_for_training', 'changes nothing');

-- Runs one act, says what was noted of it, and undoes it.
CREATE FUNCTION noted(setup text, call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    last bigint;
    result text;
BEGIN
    BEGIN
        EXECUTE setup;
        SELECT coalesce(max(audit_id), 0) INTO last FROM fraud.audit_log;
        EXECUTE call;
        SELECT string_agg(DISTINCT action || ' ' || object_kind, ', ') || CASE WHEN bool_and(who = current_user) THEN '' ELSE ' by somebody else' END
        INTO result FROM fraud.audit_log WHERE audit_id > last;
        RAISE EXCEPTION USING ERRCODE = 'ZZ001';
    EXCEPTION
        WHEN SQLSTATE 'ZZ001' THEN NULL;
        WHEN OTHERS THEN result := 'failed: ' || SQLERRM;
    END;
    RETURN coalesce(result, 'nothing');
END
$$;
\pset format unaligned
SELECT function, noted(setup, call) FROM acts ORDER BY function;
SELECT p.oid::regprocedure AS neither_noted_nor_listed FROM pg_proc p
WHERE p.pronamespace = 'fraud'::regnamespace AND p.proname !~ '^_' AND p.provolatile = 'v' AND p.prokind = 'f'
  AND p.proname NOT IN (SELECT function FROM acts UNION ALL SELECT function FROM not_noted);
SELECT function AS listed_but_not_there FROM (SELECT function FROM acts UNION ALL SELECT function FROM not_noted) l
WHERE NOT EXISTS (SELECT FROM pg_proc p WHERE p.pronamespace = 'fraud'::regnamespace AND p.proname = l.function AND p.provolatile = 'v');
-- It is the row that the test looks for: what notes nothing shows.
SELECT noted('SELECT 1', 'SELECT fraud.refresh_rollups()');

-- --------------------------------------------------- who, and what was changed
SET ROLE regress_fraud_operator;
SELECT fraud.add_source('audit', 'https://api.example:8443/path-key/x?key=query-key#fragment-key', headers => '{"X-Api-Key": "header-key"}');
SELECT fraud.alter_source('audit', url => 'https://api.example:8443/path-key/y', headers => '{"X-Api-Key": "header-key-2", "X-B": "header-key"}', max_poll_payments => 7);
SELECT fraud.alter_source('audit', url => 'https://api2.example/path-key', poll_interval => '5 minutes', reset => '{headers,max_poll_payments}');
SELECT fraud.pause_source('audit'), fraud.resume_source('audit'), fraud.drop_source('audit');
SELECT fraud.add_channel('audit', 'webhook', 'https://hooks.example/services/path-key?x=query-key', secret => 'whsec_c2VjcmV0LW9mLXRoZS1jaGFubmVs',
    headers => '{"Authorization": "header-key"}', template => '{"routing_key": "template-key", "text": "{{amount}}"}', condition => 'amount > 5');
SELECT fraud.alter_channel('audit', target => 'https://hooks.example/services/path-key-2', headers => '{"Authorization": "header-key-2"}', max_per_minute => 7);
SELECT fraud.alter_channel('audit', reset => '{secret}');
SELECT fraud.add_channel('audit-mail', 'email', 'fraud@example.com', smtp_url => 'smtp://mail.example:587', sender => 'db@example.com', smtp_user => 'mail-user', smtp_password => 'mail-password');
SELECT fraud.alter_channel('audit-mail', smtp_password => 'mail-password-2', smtp_user => 'mail-user');
SELECT fraud.drop_channel('audit'), fraud.drop_channel('audit-mail');
RESET ROLE;
SELECT who, login = session_user AS login, action, object_kind, object_name, old, new FROM fraud.audit_log WHERE object_name IN ('audit', 'audit-mail') ORDER BY audit_id;
SELECT count(*) AS rows_with_a_secret FROM fraud.audit_log a
WHERE a::text ~ 'pw-in-url|path-key|query-key|fragment-key|header-key|template-key|c2VjcmV0|mail-user|mail-password';
SELECT url, fraud._shown_url(url) FROM unnest('{https://h,https://h/,https://h:1,https://h:1/p,https://u@h/p,https://u:p@h?q,http://[::1]:80/,https://u:p/w@h/,h,"https://h:p",ftp://h#f,""}'::text[]) url;

-- What is taken back is not noted; what was read is in the server's log all the same.
BEGIN;
SELECT fraud.add_source('taken-back', 'https://api.example/');
ROLLBACK;
SELECT count(*) FROM fraud.audit_log WHERE object_name = 'taken-back';
SET client_min_messages = log;
SELECT fraud.export_model('audited/1') IS NOT NULL AS exported FROM fraud.grant_access('regress_fraud_operator', 'scientist'), set_config('role', 'regress_fraud_operator', false);
RESET ROLE;
SET client_min_messages = warning;

-- --------------------------------------------------------- rows are only added
UPDATE fraud.audit_log SET who = 'another';
DELETE FROM fraud.audit_log;
TRUNCATE fraud.audit_log;
TRUNCATE fraud.case_history;
SET ROLE regress_fraud_auditor;
SELECT count(*) > 40 AS reads FROM fraud.audit_log;
INSERT INTO fraud.audit_log (action, object_kind) VALUES ('test', 'x');
DELETE FROM fraud.audit_log;
SELECT fraud._audit('test', 'x', 'x');
RESET ROLE;
-- But for those past their time, and that is noted.
INSERT INTO fraud.audit_log (at, action, object_kind, object_name) VALUES (now() - interval '2 days', 'test', 'x', 'old'), (now() - interval '23 hours', 'test', 'x', 'new');
DELETE FROM fraud.audit_log WHERE object_kind = 'x';
SET ROLE regress_fraud_operator;
SET fraud_detect.audit_retention = '1min';
SELECT * FROM fraud.purge() WHERE relation = 'fraud.audit_log'::regclass;
RESET ROLE;
SET fraud_detect.audit_retention = '1d';
DELETE FROM fraud.audit_log WHERE object_name = 'new';
SELECT * FROM fraud.purge() WHERE relation = 'fraud.audit_log'::regclass;
RESET fraud_detect.audit_retention;
SELECT object_name FROM fraud.audit_log WHERE object_kind = 'x';
SELECT action, object_kind, object_name, new FROM fraud.audit_log ORDER BY audit_id DESC LIMIT 1;
DELETE FROM fraud.audit_log WHERE object_kind = 'x';

\pset format aligned
SELECT fraud.drop_source('audited'), fraud.drop_channel('audited'), fraud.drop_feature_set('audited');
SELECT (fraud.dismiss_case(:audited_case)).status;
SELECT fraud.revoke_access('regress_fraud_operator', 'operator'), fraud.revoke_access('regress_fraud_operator', 'scientist'), fraud.revoke_access('regress_fraud_scientist', 'scientist'),
       fraud.revoke_access('regress_fraud_auditor', 'auditor');
DROP ROLE regress_fraud_operator, regress_fraud_scientist, regress_fraud_auditor;
DROP TABLE acts, not_noted, audited_events, audited_history;
DROP FUNCTION noted;
