-- Rules decide events that could not be scored: score and the model's decision are null to them, and so are features that could not
-- be computed. Table stump is of the tests before: an amount from 1000 on, or three of a buyer, speak for fraud.
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET client_min_messages = warning;
CREATE ROLE unscored_owner;
SELECT fraud.grant_access('unscored_owner', 'scientist');
GRANT CREATE, USAGE ON SCHEMA public TO unscored_owner;
GRANT SELECT ON stump TO unscored_owner;
SET ROLE unscored_owner;
CREATE TABLE un_orders (no bigint PRIMARY KEY, at timestamptz NOT NULL, buyer text, amount numeric, divisor int DEFAULT 1, spare int);
SELECT fraud.create_feature_set('un_orders', 'un_orders', 'no', 'at', create_indexes => true), fraud.add_feature('un_orders', 'amount', 'amount / divisor', reason => 'order of {amount:.2}'),
       fraud.add_window_feature('un_orders', 'orders_30d', 'count', NULL, 'buyer', '30 days'), fraud.add_feature('un_orders', 'spare', 'spare');
SELECT fraud.import_model('un_orders', convert_to(replace(replace(replace(convert_from(artifact, 'UTF8'),
    '"a", "b"', '"amount", "orders_30d"'), '[1.0, 0.5, -0.25]', '[1000.0, -3.0, 3.0]'), '[2.0, 1.0, -1.0]', '[3.0, 0.0, 2.0]'), 'UTF8')) FROM stump;
SELECT fraud.promote('un_orders', 1, review_at => 0.5, block_at => 0.97);
SELECT fraud.watch('un_orders', entity => 'buyer', amount => 'amount');
RESET ROLE;
CREATE VIEW un_decided AS
    SELECT d.event_id AS event, round(d.score::numeric, 2) AS score, d.decision, d.model, d.reasons, left(d.error, 70) AS error,
           string_agg(concat_ws(' ', m.rule, m.action, CASE WHEN m.enforced THEN 'enforced' ELSE 'observed' END, CASE WHEN m.decided THEN 'decided' END, coalesce(m.model_decision, '-'), m.reason, m.error), '; ' ORDER BY m.rule) AS matched
    FROM fraud.stream_decisions d LEFT JOIN fraud.stream_rule_matches m USING (stream, decision_id)
    WHERE d.stream = 'un_orders' GROUP BY d.decision_id, d.event_id, d.score, d.decision, d.model, d.reasons, d.error ORDER BY d.decision_id;
SELECT fraud.add_rule('un_large', 'amount > 500', 'block', 'order of {amount} by {buyer}, {orders_30d} in 30 days, score {score}', mode => 'enforce', stream => 'un_orders'),
       fraud.add_rule('un_odd', 'buyer = ''odd''', 'review', mode => 'enforce', stream => 'un_orders'),
       fraud.add_rule('un_friend', 'buyer = ''friend''', 'allow', mode => 'enforce', stream => 'un_orders'),
       fraud.add_rule('un_raise', 'buyer = ''raised''', 'raise', mode => 'enforce', stream => 'un_orders'),
       fraud.add_rule('un_null', 'score IS NULL', 'tag', stream => 'un_orders'),
       fraud.add_rule('un_fails', '1 / (no - 6) > 2', 'tag', mode => 'enforce', on_error => 'review', stream => 'un_orders');

-- A feature that fails: some rows of a statement have no score.
INSERT INTO un_orders VALUES (1, '2026-01-01', 'ann', 600, 0), (2, '2026-01-01', 'odd', 10, 0), (3, '2026-01-01', 'friend', 900, 0), (4, '2026-01-01', 'raised', 10, 0), (5, '2026-01-01', 'bob', 10, 0),
    (6, '2026-01-01', 'cid', 10, 0), (7, '2026-01-01', 'dan', 600, 1), (8, '2026-01-01', 'raised', 10, 1);
SELECT * FROM un_decided;
SELECT event_id, entity, score, decision, model, model_version, reasons, rules FROM fraud.stream_alerts WHERE stream = 'un_orders' AND score IS NULL ORDER BY alert_id;
SELECT payload ->> 'event_id' AS event, payload -> 'score' AS score, payload -> 'model' AS model, payload -> 'reasons' AS reasons, payload -> 'rules' AS rules FROM fraud.outbox WHERE payload ->> 'stream' = 'un_orders' AND payload -> 'score' = 'null' ORDER BY outbox_id;
-- What has no score counts as 1 × its amount, beside the others; of the model nothing is said.
SELECT entity, alerts, decision, max_score, round(priority::numeric, 1) AS priority FROM fraud.stream_cases WHERE stream = 'un_orders' ORDER BY case_id;
SELECT a.score, a.decision, a.model, a.entity FROM fraud.stream_alerts s, fraud.alert(s.alert_id) a WHERE s.stream = 'un_orders' AND s.event_id = '2';
SELECT events, unscored, review, block, alerted_amount FROM fraud.stream_daily WHERE stream = 'un_orders';
SELECT status, regexp_replace(detail, ':.*', '') AS detail FROM fraud.health() WHERE item = 'stream un_orders';
-- Their cases are decided like others.
SELECT d.status FROM fraud.stream_cases c, fraud.decide_stream_case(c.case_id, 'confirmed') d WHERE c.stream = 'un_orders' AND c.entity = 'ann';
SELECT event_id, is_fraud FROM fraud.labelled_events WHERE stream = 'un_orders';

-- A key that is too long.
INSERT INTO un_orders VALUES (11, '2026-01-02', repeat('x', 2000), 600);
SELECT event, decision, reasons[2], error FROM un_decided WHERE event = '11';

-- No champion: features are computed, for rules ask for them.
SELECT fraud.add_rule('un_third', 'orders_30d >= 2', 'review', '{orders_30d} in 30 days', mode => 'enforce', stream => 'un_orders');
BEGIN;
SET LOCAL session_replication_role = replica;
DELETE FROM fraud.promotions WHERE model = 'un_orders';
SET LOCAL session_replication_role = origin;
INSERT INTO un_orders VALUES (21, '2026-02-10', 'eve', 1, 1), (22, '2026-02-11', 'eve', 1, 1), (23, '2026-02-12', 'eve', 1, 1), (24, '2026-02-12', 'eve', 1, 0);
SELECT * FROM un_decided WHERE event::int > 20;
SELECT event_id, score, model, reasons FROM fraud.stream_alerts WHERE event_id = '23' AND stream = 'un_orders';
ROLLBACK;
-- A set that cannot be computed at all: a column that a feature reads is gone.
BEGIN;
ALTER TABLE un_orders DROP COLUMN spare;
INSERT INTO un_orders VALUES (41, '2026-02-10', 'gus', 700), (42, '2026-02-11', 'gus', 1), (43, '2026-02-11', 'odd', 1);
SELECT * FROM un_decided WHERE event::int > 40;
ROLLBACK;
-- One whose definer may not read the table any more: rules of who may decide, of events whose names nobody may tell.
BEGIN;
ALTER TABLE un_orders OWNER TO postgres;
INSERT INTO un_orders VALUES (51, '2026-02-10', 'hal', 700), (52, '2026-02-11', 'hal', 800), (53, '2026-02-11', 'hal', 5);
SELECT * FROM un_decided WHERE event IS NULL;
SELECT event_id, event_time, entity, decision, reasons FROM fraud.stream_alerts WHERE stream = 'un_orders' AND event_id IS NULL;
SELECT payload - 'alert_id' - 'case_id' AS message FROM fraud.outbox WHERE payload ->> 'entity' = 'unknown';
SELECT c.entity, c.alerts, c.status, d.status FROM fraud.stream_cases c, fraud.decide_stream_case(c.case_id, 'confirmed') d WHERE c.stream = 'un_orders' AND c.entity = 'unknown';
SELECT count(*) FROM fraud.labelled_events WHERE stream = 'un_orders' AND event_id IS NULL;
ROLLBACK;
-- Snoozed.
SELECT fraud.snooze('rule', 'un_odd', now() + interval '1 hour', 'flood') > 0 AS snoozed;
INSERT INTO un_orders VALUES (61, '2026-02-10', 'odd', 1, 0);
SELECT event_id, score, decision FROM fraud.stream_snoozed_alerts WHERE stream = 'un_orders';
SELECT count(*) FROM fraud.stream_alerts WHERE stream = 'un_orders' AND event_id = '61';
-- What is to fail fails, whatever rules say.
SET ROLE unscored_owner;
SELECT fraud.unwatch('un_orders');
SELECT fraud.watch('un_orders', entity => 'buyer', amount => 'amount', on_error => 'fail');
INSERT INTO un_orders VALUES (71, '2026-02-10', 'ivy', 700, 0);
SELECT fraud.unwatch('un_orders');
RESET ROLE;
SELECT fraud.drop_rule(rule, 'over') FROM fraud.rules WHERE stream = 'un_orders';
DROP VIEW un_decided;
DROP TABLE un_orders;
SELECT fraud.drop_feature_set('un_orders');

-- A payment is stored with its score, or not at all: no rule decides it before that.
SELECT fraud.add_rule('un_payments', 'merchant = ''un_shop''', 'block', mode => 'enforce');
BEGIN;
SET LOCAL session_replication_role = replica;
DELETE FROM fraud.promotions WHERE model = 'payments' AND alias = 'champion';
SET LOCAL session_replication_role = origin;
SAVEPOINT before;
SELECT status FROM fraud.ingest('{"cc_num": 4929000000071997, "trans_num": "un-1", "amt": 5, "merchant": "un_shop", "category": "misc_net", "unix_time": 1481000000}');
ROLLBACK TO before;
SELECT decision FROM fraud.assess('{"cc_num": 4929000000071997, "trans_num": "un-1", "amt": 5, "merchant": "un_shop", "category": "misc_net", "unix_time": 1481000000}');
ROLLBACK;
SELECT status, score IS NULL AS unscored, decision FROM fraud.ingest('{"cc_num": 4929000000071997, "trans_num": "un-1", "amt": 5, "merchant": "un_shop", "category": "misc_net", "unix_time": 1481000000}');
SELECT fraud.drop_rule('un_payments', 'over');
DROP OWNED BY unscored_owner;
DROP ROLE unscored_owner;
