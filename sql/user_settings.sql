-- What somebody sets for a session, a role or a database changes how values look, and
-- nothing that is computed or stored.
SET client_min_messages = error;
-- Plans of a kind that is off count as costly, and would be compiled for minutes.
SET jit = off;
CREATE TABLE setting_events (id int PRIMARY KEY, at timestamptz NOT NULL, card text, amount float8, label boolean);
INSERT INTO setting_events SELECT i, timestamptz '2026-01-01 00:00+00' + i * interval '40 minutes', 'c' || i % 3, i / 7.0, i % 5 = 0 FROM generate_series(1, 60) i;
SELECT fraud.create_feature_set('settings', 'setting_events', 'id', 'at', label => 'label');
SELECT fraud.add_feature('settings', 'hour', $$extract(hour FROM at AT TIME ZONE 'UTC')$$);
SELECT fraud.add_window_feature('settings', 'spent', 'sum', 'amount', 'card', '1 day');
CREATE TABLE setting_history (cc_num text, trans_num text, amt float8, merchant text, trans_date_trans_time timestamptz, seen timestamptz, lasted interval, bytes bytea, ratio float8, days daterange, paid money, doc xml, nothing text[]);
INSERT INTO setting_history VALUES ('4000000000000010', 'set-h1', 0.1::float8 * 3 * 10, 'M', '2026-01-03 01:02:03.25+00', '2026-01-03 01:02:03+00', '26 hours', '\x00ff', 0.1::float8 * 3, '[2026-01-02,2026-02-03)', 1234.5, '<a/>', '{NULL,a}');

-- Somebody's own function, whose name is kept with a rule.
CREATE FUNCTION third(amount double precision) RETURNS double precision LANGUAGE sql IMMUTABLE AS 'SELECT amount / 3';

-- One text of many results, by values that do not depend on how they are shown; what
-- was stored for it is rolled back.
CREATE FUNCTION all_results() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    part text;
    parts text[] := '{}';
    payment jsonb := '{"cc_num": "4000000000000002", "trans_num": "set-1", "amt": 512.25, "merchant": "M", "category": "misc_pos", "dob": "1980-01-02", "trans_date_trans_time": "2026-01-03 04:05:06"}';
BEGIN
    BEGIN
        SELECT encode(float8send(a.score), 'hex') || a.decision || array_to_string(a.reasons, ',') || a.features INTO part FROM fraud.assess(payment) a;
        parts := parts || part;
        SELECT i.status || encode(float8send(i.score), 'hex') INTO part FROM fraud.ingest(payment) i;
        parts := parts || part;
        SELECT extract(epoch FROM t.occurred_at)::text || t.amount || encode(float8send(t.score), 'hex') || array_to_json(ARRAY(SELECT encode(float4send(f), 'hex') FROM unnest(t.features) f)) INTO part
        FROM fraud.transactions t WHERE t.transaction_id = 'set-1';
        parts := parts || part;
        SELECT string_agg(encode(float8send(public.fraud_score(t)), 'hex'), ',') INTO part FROM fraud.transactions t WHERE t.transaction_id = 'set-1';
        parts := parts || part;
        SELECT string_agg(fraud.features('settings', e)::text, '' ORDER BY e.id) INTO part FROM public.setting_events e;
        parts := parts || part;
        SELECT count(*)::text INTO part FROM fraud.verify_parity('settings');
        parts := parts || part || fraud.feature_set_hash('settings') || fraud.feature_set_hash('payments');
        parts := parts || fraud.materialize_features('settings', 'public.setting_values')::text;
        EXECUTE 'SELECT md5(string_agg(encode(float4send(v.spent), ''hex'') || extract(epoch FROM v.event_time), '''' ORDER BY v.event_id)) FROM public.setting_values v' INTO part;
        parts := parts || part;
        SELECT string_agg(m.partition || m.action, ',' ORDER BY m.partition) INTO part FROM fraud.maintain_partitions() m WHERE m.partition < 'transactions_2100';
        parts := parts || coalesce(part, 'none');
        parts := parts || fraud.simulate(2, 2, 2, 7, '2026-02-01 00:00+00', '2026-02-04 00:00+00')::text;
        SELECT md5(string_agg(t.transaction_id || extract(epoch FROM t.occurred_at) || t.amount || encode(float8send(t.score), 'hex'), '' ORDER BY t.transaction_id)) INTO part
        FROM fraud.transactions t WHERE t.source = 'simulation' AND t.occurred_at >= '2026-02-01 00:00+00' AND t.occurred_at < '2026-02-04 00:00+00';
        parts := parts || part;
        SELECT string_agg(e.metric || coalesce(encode(float8send(e.value), 'hex'), ''), ',' ORDER BY e.metric) INTO part FROM fraud.evaluate('payments', '2026-02-01 00:00+00', '2026-02-04 00:00+00') e;
        parts := parts || part;
        PERFORM fraud.refresh_rollups();
        parts := parts || md5(fraud._html_headline('2026-02-02') || fraud._html_hours('2026-02-02') || fraud._html_top('2026-02-02') || fraud._html_alerts('2026-02-02'));
        SELECT r.day - date '2000-01-01' || ',' || r.payments || ',' || r.volume INTO part FROM fraud.daily_report r WHERE r.day = make_date(2026, 2, 2);
        parts := parts || part;
        PERFORM fraud.add_source('setting', 'https://payments.invalid/', poll_interval => '90 minutes', headers => '{"X-A": "b"}');
        PERFORM fraud.add_channel('setting', 'webhook', 'https://hooks.invalid/', secret => 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', condition => 'score > 0.5');
        SELECT extract(epoch FROM s.poll_interval)::text INTO part FROM fraud.sources s WHERE s.name = 'setting';
        parts := parts || part;
        -- What a table's columns look like as texts: a history's attributes, a rule's condition and its reason.
        PERFORM fraud.load_history('public.setting_history');
        SELECT t.attributes || jsonb_build_object('amount', t.amount, 'at', extract(epoch FROM t.occurred_at)) INTO part FROM fraud.transactions t WHERE t.transaction_id = 'set-h1';
        parts := parts || part;
        PERFORM fraud.add_rule('setting', $c$public.third(amount::float8)::text || interval '26 hours'::text || E'\\x00ff'::bytea::text || '2026-01-02 03:04+00'::timestamptz || to_char(amount, 'FM9D9L') || ARRAY[NULL]::text[]::text || E'a\\b' || extract(hour FROM (CASE WHEN merchant IS NULL THEN '' ELSE '2026-01-02 03:04 EST' END)::timestamptz AT TIME ZONE 'UTC')::text || to_tsvector('The cards')::text
            = '1.7333333333333334' || '26:00:00' || E'\\x00ff' || '2026-01-02 03:04:00+00' || '5.2 ' || '{NULL}' || E'a\\b' || '8' || $s$'cards':2 'the':1$s$ $c$,
            'review', 'kept {amount}, far {distance_km}, hour {hour}', 'enforce');
        SELECT i.decision INTO part
        FROM fraud.ingest('{"cc_num": "4000000000000010", "trans_num": "set-2", "amt": 5.2, "merchant": "M", "ip": 1e-7, "trans_date_trans_time": "2026-01-03 04:05:06"}'::jsonb) i;
        parts := parts || part;
        SELECT array_to_string(a.rules || a.reasons, ',') INTO part FROM fraud.alerts a WHERE a.transaction_id = 'set-2';
        parts := parts || coalesce(part, 'none');
        -- What is told and noted of it.
        SELECT (o.payload - '{alert_id,case_id,raised_at,received_at}'::text[])::text INTO part FROM fraud.outbox o WHERE o.payload ->> 'transaction_id' = 'set-2';
        parts := parts || coalesce(part, 'none');
        PERFORM fraud.promote('payments', 1, review_at => 0.0531234567, block_at => 0.9876543, reason => 'setting', override_gate => true);
        SELECT a.new::text INTO part FROM fraud.audit_log a WHERE a.action = 'promote' AND a.new ->> 'reason' = 'setting';
        parts := parts || coalesce(part, 'none');
        RAISE EXCEPTION 'enough' USING ERRCODE = 'UX001';
    EXCEPTION
        WHEN SQLSTATE 'UX001' THEN
            NULL;
        WHEN OTHERS THEN
            RETURN sqlstate || ' ' || sqlerrm;
    END;
    RETURN array_to_string(parts, E'\n');
END
$$;
CREATE TABLE setting_results (setting text, result text);
INSERT INTO setting_results VALUES ('', all_results());
SELECT cardinality(regexp_split_to_array(result, E'\n')) AS results, result LIKE '%kept%' AS rule_has_matched FROM setting_results;

CREATE TABLE odd_settings (setting text, value text, PRIMARY KEY (setting, value));
INSERT INTO odd_settings VALUES
    ('plan_cache_mode', 'force_generic_plan'), ('force_parallel_mode', 'regress'), ('debug_parallel_query', 'regress'), ('standard_conforming_strings', 'off'), ('row_security', 'off'),
    ('enable_seqscan', 'off'), ('enable_indexscan', 'off'), ('enable_partition_pruning', 'off'), ('datestyle', 'SQL, DMY'), ('intervalstyle', 'sql_standard'), ('timezone', 'Pacific/Chatham'),
    ('timezone', '<odd>-13'), ('lc_time', 'C.UTF-8'), ('datestyle', 'German, DMY'), ('intervalstyle', 'iso_8601'), ('lc_numeric', 'POSIX'), ('lc_monetary', 'POSIX'), ('bytea_output', 'escape'), ('extra_float_digits', '-15'), ('search_path', ''), ('search_path', 'public, pg_catalog'),
    ('timezone_abbreviations', 'Australia'), ('default_text_search_config', 'pg_catalog.german'), ('array_nulls', 'off'), ('transform_null_equals', 'on'), ('quote_all_identifiers', 'on'), ('client_encoding', 'LATIN1');
-- And each that has words for its values, with all of them.
INSERT INTO odd_settings
SELECT s.name, v.value FROM pg_settings s, unnest(CASE s.vartype WHEN 'bool' THEN '{on,off}' ELSE s.enumvals END) v(value)
WHERE s.context = 'user' AND s.vartype IN ('bool', 'enum') AND v.value <> s.setting
  AND s.name !~ '^(transaction_|default_transaction_|fraud_detect[.]|enable_|debug_|geqo|jit|log_|track_|trace_)' AND s.name NOT IN ('client_min_messages', 'exit_on_error')
ON CONFLICT DO NOTHING;
-- As it is set by SET, for the one call.
CREATE PROCEDURE try_setting(setting text, value text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config(setting, value, true);
    INSERT INTO public.setting_results VALUES (setting || ' = ' || value, public.all_results());
END
$$;
SELECT format('CALL public.try_setting(%L, %L)', o.setting, o.value) AS call FROM odd_settings o JOIN pg_settings s ON lower(s.name) = lower(o.setting) ORDER BY o.setting, o.value
\set ECHO none
\gexec
\set ECHO all
-- None is another.
SELECT r.setting, d.place, d.was, d.is FROM setting_results r, setting_results s,
    LATERAL (SELECT a.i AS place, left(b.part, 80) AS was, left(a.part, 80) AS is FROM regexp_split_to_table(r.result, E'\n') WITH ORDINALITY a(part, i)
             FULL JOIN regexp_split_to_table(s.result, E'\n') WITH ORDINALITY b(part, i) USING (i) WHERE a.part IS DISTINCT FROM b.part ORDER BY 1 LIMIT 3) d
WHERE s.setting = '' ORDER BY r.setting, d.place;
SELECT count(*) >= 20 AS all_tried FROM setting_results;

-- Functions are parsed anew in each session: none has a text that reads otherwise without
-- standard_conforming_strings. (A text that begins with E, and what goes on with it, does not.)
SELECT p.oid::regprocedure FROM pg_proc p
WHERE p.pronamespace = 'fraud'::regnamespace AND regexp_replace(p.prosrc, E'\\mE(''[^'']*''\\s*)+', '', 'g') LIKE E'%\\\\%';

SELECT fraud.drop_feature_set('settings');
DROP TABLE setting_events, setting_history, setting_results, odd_settings;
DROP PROCEDURE try_setting(text, text);
DROP FUNCTION all_results();
DROP FUNCTION third(double precision);
