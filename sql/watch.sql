-- A user's own table decides too: fraud.watch. Table stump is of the tests before. The model
-- here: an amount from 1000 on speaks for fraud, and so do three claims and more in 30 days.
\set SHOW_CONTEXT never
SET timezone = 'UTC';
CREATE ROLE claims_owner;
CREATE ROLE claims_clerk;
SELECT fraud.grant_access('claims_owner', 'scientist');
GRANT CREATE, USAGE ON SCHEMA public TO claims_owner;
GRANT SELECT ON stump TO claims_owner;
SET ROLE claims_owner;
CREATE TABLE claims (
    claim_no bigint PRIMARY KEY,
    filed_at timestamptz NOT NULL,
    policy_holder text,
    amount numeric(12, 2),
    days_insured int NOT NULL DEFAULT 100,
    note text
);
GRANT INSERT ON claims TO claims_clerk;
SELECT fraud.create_feature_set('claims', 'claims', 'claim_no', 'filed_at',
    label => $$fraud.event_is_fraud('claims', claim_no::text)$$,
    label_known_at => $$fraud.event_label_known_at('claims', claim_no::text)$$, create_indexes => true);
SELECT fraud.add_feature('claims', 'amount', 'amount', reason => 'claims {amount:.2}');
SELECT fraud.add_window_feature('claims', 'claims_30d', 'count', NULL, 'policy_holder', '30 days',
    reason => '{claims_30d:.0} claims in 30 days');
SELECT fraud.add_feature('claims', 'per_day', 'amount / days_insured');
-- What cannot be watched.
SELECT fraud.watch('claims');
SELECT fraud.import_model('claims', convert_to(replace(replace(replace(convert_from(artifact, 'UTF8'),
    '"a", "b"', '"amount", "claims_30d"'), '[1.0, 0.5, -0.25]', '[1000.0, -3.0, 3.0]'), '[2.0, 1.0, -1.0]', '[3.0, 0.0, 2.0]'), 'UTF8'))
FROM stump;
SELECT fraud.watch('claims');
SELECT fraud.promote('claims', 1, review_at => 0.5, block_at => 0.97);
SELECT fraud.watch('claims', model => 'claims/1');
SELECT fraud.watch('claims', on_error => 'panic');
SELECT fraud.watch('claims', amount => 'note');
SELECT fraud.watch('claims', entity => 'nobody');
SELECT fraud.watch('claims', model => 'payments');
SELECT fraud.watch('payments');
SELECT fraud.watch(NULL);
SELECT fraud.watch('nothing');
CREATE VIEW claims_view AS SELECT * FROM claims;
SELECT fraud.create_feature_set('claims_view', 'claims_view', 'claim_no', 'filed_at');
SELECT fraud.add_feature('claims_view', 'amount', 'amount');
SELECT fraud.watch('claims_view', 'claims');
SELECT fraud.drop_feature_set('claims_view');
DROP VIEW claims_view;
RESET ROLE;
CREATE ROLE claims_other;
SELECT fraud.grant_access('claims_other', 'scientist');
SET ROLE claims_other;
SELECT fraud.watch('claims');
SET ROLE claims_clerk;
SELECT fraud.watch('claims');
RESET ROLE;

SET ROLE claims_owner;
SELECT fraud.watch('claims', entity => 'policy_holder', amount => 'amount');
SELECT fraud.watch('claims');
SELECT fraud.drop_feature_set('claims');
SELECT fraud.drop_feature('claims', 'amount');
RESET ROLE;
SELECT stream, events, model, entity, on_error, state, watched_by FROM fraud.stream_status;
SELECT action, object_kind, who, new FROM fraud.audit_log WHERE object_kind = 'stream' ORDER BY audit_id;

-- Who inserts has no right to anything of ours. Nothing when it rolls back.
SET ROLE claims_clerk;
BEGIN;
INSERT INTO claims VALUES (1, '2026-01-01', 'ann', 2000);
RESET ROLE;
SELECT event_id, round(score::numeric, 4) AS score, decision, reasons FROM fraud.stream_decisions;
SELECT count(*) FROM fraud.stream_alerts;
SELECT count(*) FROM fraud.outbox WHERE payload ? 'stream';
ROLLBACK;
RESET ROLE;
SELECT count(*) FROM fraud.stream_decisions;
SELECT count(*) FROM fraud.stream_alerts;
SELECT count(*) FROM fraud.outbox WHERE payload ? 'stream';
SET ROLE claims_clerk;
INSERT INTO claims VALUES (1, '2026-01-01', 'ann', 2000);
INSERT INTO claims VALUES (2, '2026-01-02', 'bob', 10), (3, '2026-01-03', 'ann', 20), (4, '2026-01-04', 'ann', 3000), (5, '2026-01-05', 'ann', 4000);
RESET ROLE;
SELECT event_id, event_time, entity, amount, model, model_version, round(score::numeric, 4) AS score, decision, reasons, features, error
FROM fraud.stream_decisions ORDER BY decision_id;
-- What a listener looks up.
SELECT x.stream, x.event_id, x.entity, x.amount, x.case_status, x.decision FROM fraud.stream_alerts a, fraud.alert(a.alert_id) x ORDER BY a.alert_id;
-- Windows see the rows of the same INSERT that come before, and the score is the model's.
SELECT count(*) FILTER (WHERE round(d.score::numeric, 12) = round(fraud_score(fraud.features('claims', c), 'claims')::numeric, 12)) AS same, count(*)
FROM fraud.stream_decisions d JOIN claims c ON c.claim_no::text = d.event_id;
SELECT * FROM fraud.verify_parity('claims');
SELECT a.case_id - min(a.case_id) OVER () AS nth_case, a.event_id, a.entity, a.decision, a.reasons, a.amount FROM fraud.stream_alerts a ORDER BY a.alert_id;
SELECT stream, entity, status, alerts, decision, amount FROM fraud.stream_cases ORDER BY case_id;
SELECT payload - 'alert_id' - 'case_id' - 'score' AS payload FROM fraud.outbox WHERE payload ? 'stream' ORDER BY outbox_id;
SELECT fraud._condition_holds($$stream = 'claims' AND entity = 'ann' AND amount > 3500$$, 'postgres', payload) FROM fraud.outbox WHERE payload ? 'stream' ORDER BY outbox_id;

-- COPY, ON CONFLICT, no rows at all, many rows.
COPY claims (claim_no, filed_at, policy_holder, amount) FROM stdin;
6	2026-01-06	cid	5000
7	2026-01-07	cid	1
\.
INSERT INTO claims VALUES (7, '2026-01-07', 'cid', 9999), (8, '2026-01-08', 'cid', 2) ON CONFLICT (claim_no) DO UPDATE SET note = 'again';
INSERT INTO claims VALUES (8, '2026-01-08', 'cid', 9999) ON CONFLICT DO NOTHING;
INSERT INTO claims SELECT FROM generate_series(1, 0);
UPDATE claims SET amount = 9999 WHERE claim_no = 2;
SELECT event_id, decision FROM fraud.stream_decisions WHERE event_id::int > 5 ORDER BY decision_id;
INSERT INTO claims SELECT 1000 + i, timestamptz '2026-02-01' + i * interval '1 minute', 'p' || i % 40, i % 7 * 100 FROM generate_series(1, 100) i;
SELECT decision, count(*), count(DISTINCT entity) FROM fraud.stream_decisions WHERE event_id::int > 1000 GROUP BY 1;
SET fraud_detect.ingest_batch_size = 7;
INSERT INTO claims SELECT 2000 + i, timestamptz '2026-03-01' + i * interval '1 minute', 'q' || i % 3, 900 + i FROM generate_series(1, 100) i;
RESET fraud_detect.ingest_batch_size;
SELECT decision, count(*), count(DISTINCT entity) FROM fraud.stream_decisions WHERE event_id::int > 2000 GROUP BY 1 ORDER BY 1;
SELECT * FROM fraud.verify_parity('claims', 300);
SELECT entity, alerts FROM fraud.stream_cases WHERE entity LIKE 'q_' ORDER BY 1;
-- A case knows of its alerts what one that joins is told: none of them is read for it.
SELECT count(*) AS miscounted FROM fraud.stream_cases c
WHERE (c.alerts, c.decision, c.last_alert_at)
      IS DISTINCT FROM (SELECT (count(*)::int, min(a.decision), max(a.raised_at)) FROM fraud.stream_alerts a WHERE a.stream = c.stream AND a.case_id = c.case_id);
BEGIN;
SELECT seq_tup_read + idx_tup_fetch AS alerts_read FROM pg_stat_xact_user_tables WHERE relid = 'fraud.stream_alerts'::regclass \gset
INSERT INTO claims VALUES (2999, '2026-03-02', 'q1', 5000);
SELECT seq_tup_read + idx_tup_fetch - :alerts_read AS alerts_read FROM pg_stat_xact_user_tables WHERE relid = 'fraud.stream_alerts'::regclass;
SELECT alerts > 1 AS joined FROM fraud.stream_cases WHERE entity = 'q1';
ROLLBACK;

-- A row that cannot be scored is inserted all the same, the others are scored.
SELECT status, detail FROM fraud.health() WHERE item = 'stream claims';
INSERT INTO claims VALUES (3001, '2026-04-01', 'dan', 1, 10), (3002, '2026-04-01', 'dan', 1, 0), (3003, '2026-04-02', 'dan', 7000, 10);
INSERT INTO claims VALUES (3004, '2026-04-03', 'dan', 1, 0);
INSERT INTO claims VALUES (3005, '2026-04-04', repeat('x', 2000), 1);
INSERT INTO claims VALUES (3006, 'infinity', 'dan', 1);
SELECT event_id, left(entity, 10) AS entity, length(entity), decision, error FROM fraud.stream_decisions WHERE event_id::int > 3000 OR event_id IS NULL ORDER BY decision_id;
SELECT status, detail FROM fraud.health() WHERE item = 'stream claims';
-- Or it is not.
SET ROLE claims_owner;
SELECT fraud.unwatch('claims');
SELECT fraud.unwatch('claims');
INSERT INTO claims VALUES (3007, '2026-04-05', 'dan', 8000);
SELECT fraud.watch('claims', entity => 'policy_holder', amount => 'amount', on_error => 'fail');
INSERT INTO claims VALUES (3008, '2026-04-06', 'dan', 1, 1), (3009, '2026-04-06', 'dan', 1, 0);
INSERT INTO claims VALUES (3010, '2026-04-06', 'dan', 1);
SELECT event_id, decision FROM fraud.stream_decisions WHERE event_id::int > 3006 ORDER BY decision_id;
SELECT fraud.unwatch('claims');
SELECT fraud.watch('claims', entity => 'policy_holder', amount => 'amount');
RESET ROLE;
-- Ids and errors that hold card numbers.
INSERT INTO claims VALUES (4111111111111111, '2026-05-01', '4111 1111 1111 1111', 1500);
SELECT event_id ~ '^pan_[0-9a-f]{32}$' AS id, entity ~ '^pan_[0-9a-f]{32}$' AS entity FROM fraud.stream_decisions ORDER BY decision_id DESC LIMIT 1;
SELECT count(*) FROM fraud.stream_alerts a WHERE a::text LIKE '%1111 1111%' OR a::text LIKE '%11111111%';
SELECT fraud.label_event('claims', '4111111111111111', true, 'adjuster');
SELECT fraud.event_is_fraud('claims', '4111111111111111');

-- Challengers say what they think.
SET ROLE claims_owner;
SELECT fraud.import_model('claims', fraud.export_model('claims/1'), 'the same');
SELECT fraud.promote('claims', 2, 'challenger');
INSERT INTO claims VALUES (5000, '2026-05-02', 'eve', 1500);
SELECT d.event_id, s.model_version, s.alias, s.score = d.score AS same FROM fraud.stream_shadow_scores s JOIN fraud.stream_decisions d USING (stream, decision_id);
SELECT fraud.label_event('claims', '5000', true, 'adjuster', '2026-02-01');
SELECT metric, champion_value, challenger_value FROM fraud.compare_models('claims', 'claims@challenger', '2026-01-01', '2026-06-01', scores => 'shadow') WHERE metric IN ('events', 'frauds');
-- What decides a stream knows its features.
SELECT fraud.import_model('claims', artifact) FROM stump;
SELECT fraud.promote('claims', 3, override_gate => true, reason => 'no');
RESET ROLE;

-- Labels.
SELECT fraud.label_event('claims', ARRAY['1', '4', '77777'], true, 'adjuster', '2026-02-01');
SELECT fraud.label_event('claims', '5', false, 'adjuster', '2026-02-01');
SELECT fraud.label_event('claims', '5', true, 'chargeback', '2026-02-02');
SELECT fraud.label_event('claims', '5', false, 'adjuster', '2026-02-03');
SELECT * FROM fraud.labelled_events WHERE length(event_id) < 8 ORDER BY event_id;
SELECT fraud.label_event('nothing', '5', true);
SELECT fraud.label_event('payments', '5', true);
SELECT fraud.label_event('claims', '5', NULL, '');
SELECT fraud.label_event('claims', NULL::text, true);
SELECT fraud.label_event('claims', repeat('x', 1001), true);
SELECT fraud.label_event('claims', '5', true, known_at => 'infinity');
SELECT metric, value FROM fraud.evaluate('claims', '2025-01-01', '2026-02-01', columns => '{}') WHERE metric IN ('events', 'frauds');
UPDATE fraud.event_labels SET is_fraud = false;
-- Cases.
SELECT case_id AS anns FROM fraud.stream_cases WHERE entity = 'ann' \gset
SELECT case_id AS cids FROM fraud.stream_cases WHERE entity = 'cid' \gset
SELECT status, status_by, alerts FROM fraud.decide_stream_case(:anns, 'acknowledged', 'looks like 4111111111111111');
SELECT status FROM fraud.decide_stream_case(:anns, 'confirmed');
SELECT status FROM fraud.decide_stream_case(:cids, 'dismissed');
SELECT event_id, is_fraud, source FROM fraud.event_labels WHERE source = 'analyst' ORDER BY label_id;
SELECT fraud.event_is_fraud('claims', '6');
SELECT status FROM fraud.decide_stream_case(:cids, 'open', 'too early');
SELECT fraud.event_is_fraud('claims', '6');
SELECT old_status, new_status, note FROM fraud.stream_case_history ORDER BY history_id;
DO $$
BEGIN
    PERFORM fraud.decide_stream_case((SELECT case_id FROM fraud.stream_cases WHERE entity = 'cid'), 'open');
EXCEPTION WHEN object_not_in_prerequisite_state THEN RAISE NOTICE '%', regexp_replace(SQLERRM, '[0-9]+', 'N');
END $$;
-- Who works on which, as with cases of payments.
SELECT entity, priority > 0 AS weighs, due_at - opened_at >= interval '1 day' AS due, overdue FROM fraud.stream_case_queue WHERE entity !~ '^pan_' ORDER BY entity;
SELECT case_id AS taken, status, assignee = current_user AS mine FROM fraud.take_stream_case() \gset
SELECT :'status' AS status, :'mine' AS mine;
SELECT count(*) AS the_same_again FROM fraud.take_stream_case(count => 1000) WHERE case_id = :taken;
SELECT fraud.take_stream_case('no such stream');
SELECT assignee FROM fraud.assign_stream_case(:taken, NULL, 'not mine');
SELECT fraud.assign_stream_case(:taken, 'no such role');
SELECT status FROM fraud.note_stream_case(:taken, 'card 4929 0000 0012 3455');
SELECT fraud.note_stream_case(:taken, ' ');
SELECT fraud.note_stream_case(0, 'x');
SELECT action, old_status, new_status, assignee = current_user AS mine, note FROM fraud.stream_case_history WHERE case_id = :taken AND action IN ('take', 'release', 'note') ORDER BY history_id;
SELECT bool_and(abs(c.priority - (SELECT sum(a.score * coalesce(a.amount, 1)) FROM fraud.stream_alerts a WHERE a.stream = c.stream AND a.case_id = c.case_id)::float8) < 1e-9) AS priority_is_the_sum FROM fraud.stream_cases c;
SELECT fraud.decide_stream_case(0, 'open');
SELECT fraud.decide_stream_case(1, 'closed');
SELECT fraud.decide_stream_case(NULL, 'open');
SELECT stream, model_version, events, unscored, review, block, labelled, frauds, caught, round(precision::numeric, 3) AS precision, recall FROM fraud.stream_daily;
-- The day's page tells of it; and who is forgotten is so here too, where the entity says that it is he.
SELECT fraud.report_html((SELECT (max(d.decided_at) AT TIME ZONE 'UTC')::date FROM fraud.stream_decisions d WHERE d.stream = 'claims')) ~ '<h2>Other events</h2>.*<td>claims</td><td class="n">\d+</td>' AS told,
       fraud.report_html('2017-01-01') LIKE '%Other events%' AS told_of_others;
SELECT status FROM fraud.ingest('{"trans_num": "st-1", "customer": "zora@streams.example", "customer_kind": "email", "amt": 5, "merchant": "M", "current_time": 1500033600000}'::jsonb);
SELECT card AS zora FROM fraud.customers WHERE customer_id = 'zora@streams.example' \gset
BEGIN;
INSERT INTO claims (claim_no, filed_at, policy_holder, amount) VALUES (9001, now(), 'zora@streams.example', 5000), (9002, now(), 'zora@streams.example.org', 5000);
SELECT relation, rows FROM fraud.erase_customer(:'zora', 'asked', force => true) WHERE relation LIKE 'fraud.stream%';
SELECT event_id, entity = :'zora' AS erased, reasons, features IS NULL AS gone FROM fraud.stream_decisions WHERE event_id IN ('9001', '9002') ORDER BY 1;
SELECT event_id, entity = :'zora' AS erased, reasons FROM fraud.stream_alerts WHERE event_id IN ('9001', '9002') ORDER BY 1;
SELECT count(*) AS named FROM fraud.stream_case_states WHERE entity = 'zora@streams.example';
SELECT payload ->> 'event_id' AS event_id, payload ->> 'entity' = :'zora' AS erased FROM fraud.outbox WHERE payload ->> 'event_id' IN ('9001', '9002') ORDER BY 1;
ROLLBACK;
SELECT action, object_kind, count(*) FROM fraud.audit_log WHERE object_kind LIKE 'stream%' GROUP BY 1, 2 ORDER BY 1, 2;

-- A table is renamed, its columns are; it is altered.
ALTER TABLE claims RENAME TO filed_claims;
ALTER TABLE filed_claims ADD COLUMN more text, DROP COLUMN note;
INSERT INTO filed_claims (claim_no, filed_at, policy_holder, amount) VALUES (6000, '2026-06-01', 'fay', 1500);
ALTER TABLE filed_claims RENAME COLUMN amount TO sum;
INSERT INTO filed_claims (claim_no, filed_at, policy_holder, sum) VALUES (6001, '2026-06-02', 'fay', 1500);
SELECT event_id, decision, error FROM fraud.stream_decisions ORDER BY decision_id DESC LIMIT 2;
ALTER TABLE filed_claims RENAME COLUMN sum TO amount;
ALTER TABLE filed_claims DISABLE TRIGGER fraud_watch_claims;
SELECT events, state FROM fraud.stream_status;
SELECT status, detail FROM fraud.health() WHERE item = 'stream claims';
ALTER TABLE filed_claims ENABLE TRIGGER fraud_watch_claims;
DROP TRIGGER fraud_watch_claims ON filed_claims;
SELECT state FROM fraud.stream_status;
-- A trigger of one's own making decides nothing of others'.
SET ROLE claims_owner;
CREATE TRIGGER mine AFTER INSERT ON filed_claims REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION fraud._decide_events('claims');
RESET ROLE;
CREATE TABLE elsewhere (LIKE filed_claims);
CREATE TRIGGER theirs AFTER INSERT ON elsewhere REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION fraud._decide_events('claims');
INSERT INTO elsewhere (claim_no, filed_at, days_insured) VALUES (1, now(), 1);
CREATE TRIGGER wrong BEFORE INSERT ON elsewhere FOR EACH ROW EXECUTE FUNCTION fraud._decide_events('claims');
INSERT INTO elsewhere (claim_no, filed_at, days_insured) VALUES (1, now(), 1);
DROP TRIGGER wrong ON elsewhere;
DROP TRIGGER theirs ON elsewhere;
CREATE TRIGGER unknown AFTER INSERT ON elsewhere REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION fraud._decide_events('unknown');
INSERT INTO elsewhere (claim_no, filed_at, days_insured) VALUES (1, now(), 1);
DROP TABLE elsewhere;
-- A table that is dropped.
DROP TABLE filed_claims;
SELECT state FROM fraud.stream_status;
SELECT status, detail FROM fraud.health() WHERE item = 'stream claims';
SET ROLE claims_other;
SELECT fraud.unwatch('claims');
SET ROLE claims_owner;
SELECT fraud.unwatch('claims');
SELECT fraud.drop_feature_set('claims');
SELECT state, last_decided_at IS NOT NULL AS decided FROM fraud.stream_status;

-- A partitioned table; rows that are inserted into a partition by its name are not seen.
CREATE TABLE visits (id text, at timestamp, who text, pages int) PARTITION BY RANGE (at);
CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE visits_2 (pages int, who text, id text, at timestamp);
ALTER TABLE visits ATTACH PARTITION visits_2 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
SELECT fraud.create_feature_set('visits', 'visits', 'id', 'at', create_indexes => true);
SELECT fraud.add_feature('visits', 'amount', 'pages');
SELECT fraud.add_window_feature('visits', 'claims_30d', 'count', NULL, 'who', '30 days');
SELECT fraud.watch('visits', 'claims@champion');
INSERT INTO visits VALUES ('a', '2026-01-05', 'x', 1000), ('b', '2026-02-01', 'x', 5);
SELECT event_id, event_time, entity, decision, features FROM fraud.stream_decisions WHERE stream = 'visits' ORDER BY decision_id;
RESET ROLE;
SELECT stream, entity, alerts FROM fraud.stream_cases WHERE stream = 'visits';
SET ROLE claims_owner;
SELECT * FROM fraud.verify_parity('visits');
DROP TABLE visits;
SELECT fraud.unwatch('visits');
SELECT fraud.drop_feature_set('visits');
RESET ROLE;
-- What an expression fails with: card numbers are masked, and a full disk is no matter of the row's.
CREATE FUNCTION fails_with(what text) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF what = 'card' THEN RAISE EXCEPTION 'card 4111111111111111' USING DETAIL = 'It is 4111 1111 1111 1111.', HINT = '4111111111111111';
    ELSIF what = 'disk' THEN RAISE EXCEPTION 'no space left' USING ERRCODE = 'disk_full';
    END IF;
    RETURN 0;
END $$;
CREATE TABLE failing (id text, at timestamptz, what text, amount numeric);
SELECT fraud.create_feature_set('failing', 'failing', 'id', 'at'), fraud.add_feature('failing', 'amount', 'amount + fails_with(what)');
SELECT fraud.add_feature('failing', 'claims_30d', '0');
SELECT fraud.watch('failing', 'claims@champion');
INSERT INTO failing VALUES ('1', now(), 'card', 1);
INSERT INTO failing VALUES ('2', now(), 'disk', 1);
SELECT event_id, error FROM fraud.stream_decisions WHERE stream = 'failing';
SELECT fraud.unwatch('failing'), fraud.watch('failing', 'claims@champion', on_error => 'fail');
INSERT INTO failing VALUES ('3', now(), 'card', 1);
-- Times that payments do not have: messages have what Postgres can read.
INSERT INTO failing VALUES ('4', '294276-12-31', '', 2000), ('5', '4714-11-24 BC', '', 2000), ('6', '1969-12-31 23:59:59', '', 2000), ('7', '9999-12-31', '', 2000);
SELECT payload ->> 'event_id' AS event, payload ->> 'occurred_at' AS occurred_at, (payload ->> 'occurred_at')::timestamptz = d.event_time AS same
FROM fraud.outbox o JOIN fraud.stream_decisions d ON d.stream = 'failing' AND d.event_id = payload ->> 'event_id' WHERE payload ->> 'stream' = 'failing' ORDER BY 1;
SELECT fraud.unwatch('failing'), fraud.drop_feature_set('failing');
DROP TABLE failing;
DROP FUNCTION fails_with(text);
-- A partition by itself; a table that has become somebody else's, and is no more read by the set's definer.
SET ROLE claims_owner;
CREATE TABLE trips (id text, at timestamptz, amount numeric) PARTITION BY RANGE (at);
CREATE TABLE trips_1 PARTITION OF trips FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
SELECT fraud.create_feature_set('trips', 'trips_1', 'id', 'at'), fraud.add_feature('trips', 'amount', 'amount'), fraud.add_feature('trips', 'claims_30d', '0');
SELECT fraud.watch('trips', 'claims@champion');
ALTER TABLE trips DETACH PARTITION trips_1;
SELECT fraud.watch('trips', 'claims@champion');
RESET ROLE;
ALTER TABLE trips_1 OWNER TO postgres;
INSERT INTO trips_1 VALUES ('1', '2026-01-01', 2000);
SELECT event_id, decision, error FROM fraud.stream_decisions WHERE stream = 'trips';
SELECT fraud.unwatch('trips'), fraud.drop_feature_set('trips');
DROP TABLE trips, trips_1;
DROP OWNED BY claims_owner, claims_other, claims_clerk;
DROP ROLE claims_owner, claims_other, claims_clerk;
