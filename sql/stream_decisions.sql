-- What a stream would have been decided by another model, thresholds or rules; rules that its labels speak for; its entities, snoozed.
-- Table stump is of the tests before: an amount from 1000 on, or three of a buyer, speak for fraud.
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET client_min_messages = warning;
CREATE ROLE sd_owner;
CREATE ROLE sd_analyst;
SELECT fraud.grant_access('sd_owner', 'scientist'), fraud.grant_access('sd_analyst', 'analyst');
GRANT CREATE, USAGE ON SCHEMA public TO sd_owner;
GRANT SELECT ON stump TO sd_owner;
SET ROLE sd_owner;
CREATE TABLE sd_orders (no bigint PRIMARY KEY, at timestamptz NOT NULL, buyer text, amount numeric, pages int, "was decided" int DEFAULT 7);
GRANT SELECT ON sd_orders TO sd_analyst;
SELECT fraud.create_feature_set('sd_orders', 'sd_orders', 'no', 'at', create_indexes => true), fraud.add_feature('sd_orders', 'amount', 'amount'),
       fraud.add_window_feature('sd_orders', 'orders_30d', 'count', NULL, 'buyer', '30 days');
SELECT fraud.import_model('sd_orders', convert_to(replace(replace(replace(convert_from(artifact, 'UTF8'),
    '"a", "b"', '"amount", "orders_30d"'), '[1.0, 0.5, -0.25]', '[1000.0, -3.0, 3.0]'), '[2.0, 1.0, -1.0]', '[3.0, 0.0, 2.0]'), 'UTF8')) FROM stump;
-- Version 2 minds an amount from 300 on; one of another model lacks a feature.
SELECT fraud.import_model('sd_orders', convert_to(replace(replace(replace(convert_from(artifact, 'UTF8'),
    '"a", "b"', '"amount", "orders_30d"'), '[1.0, 0.5, -0.25]', '[300.0, -3.0, 3.0]'), '[2.0, 1.0, -1.0]', '[3.0, 0.0, 2.0]'), 'UTF8')) FROM stump;
SELECT fraud.promote('sd_orders', 1, review_at => 0.5, block_at => 0.97), fraud.watch('sd_orders', 'sd_orders@champion', 'buyer', 'amount');
RESET ROLE;
-- Ten buyers order once a day for 20 days: 10, and buyers 3 and 4 on the 5th and 15th 500 on three pages, which is fraud of buyer 3.
INSERT INTO sd_orders SELECT d * 100 + c, timestamptz '2026-03-01 12:00' + d * interval '1 day', 'b' || c, CASE WHEN c IN (3, 4) AND d IN (5, 15) THEN 500 ELSE 10 END, CASE WHEN c = 3 AND d IN (5, 15) THEN 3 ELSE 1 END
FROM generate_series(1, 20) d, generate_series(1, 10) c ORDER BY 1;
SELECT fraud.label_event('sd_orders', '{503,1503}'::text[], true, 'chargeback', '2026-04-01') AS labelled;
SELECT decision, count(*) FROM fraud.stream_decisions WHERE stream = 'sd_orders' GROUP BY 1 ORDER BY 1;

-- -------------------------------------------------------- the whole decision
SET ROLE sd_analyst;
SELECT * FROM fraud.backtest_decision('2026-03-01', '2026-03-22', stream => 'sd_orders');
SELECT metric, present, candidate FROM fraud.backtest_decision('2026-03-01', '2026-03-22', 'sd_orders/1', stream => 'sd_orders') WHERE present IS DISTINCT FROM candidate;
SELECT metric, round(present::numeric, 3) AS present, round(candidate::numeric, 3) AS candidate FROM fraud.backtest_decision('2026-03-01', '2026-03-08', 'sd_orders/2', stream => 'sd_orders');
SELECT metric, candidate FROM fraud.backtest_decision('2026-03-01', '2026-03-04', review_at => 0, block_at => 1, stream => 'sd_orders') WHERE metric IN ('payments', 'alerts', 'blocks');
-- Rules: those that are named, then those that are enforced; what fails does what on_error says; "decision" is that of the new thresholds.
SELECT fraud.add_rule('sd_large', 'amount > 400 AND "was decided" = 7', 'review', stream => 'sd_orders'), fraud.add_rule('sd_pages', 'pages > 2 AND decision = ''approve''', 'block', stream => 'sd_orders'),
       fraud.add_rule('sd_fails', '10 / (pages - 3) < -100', 'tag', on_error => 'block', stream => 'sd_orders'), fraud.add_rule('sd_friend', 'buyer = ''b4''', 'allow', stream => 'sd_orders');
SELECT metric, candidate FROM fraud.backtest_decision('2026-03-01', '2026-03-22', review_at => 1, block_at => 1, rules => '{sd_large,sd_pages}', stream => 'sd_orders');
SELECT metric, candidate FROM fraud.backtest_decision('2026-03-01', '2026-03-22', review_at => 1, block_at => 1, rules => '{sd_large,sd_fails,sd_friend}', stream => 'sd_orders') WHERE metric IN ('alerts', 'blocks', 'failures');
SELECT fraud.enforce_rule('sd_large', 'x');
SELECT metric, candidate FROM fraud.backtest_decision('2026-03-01', '2026-03-22', review_at => 1, block_at => 1, stream => 'sd_orders') WHERE metric IN ('alerts', 'blocks');
-- As payments do not, these do not have each other's rules.
SELECT * FROM fraud.backtest_decision('2026-03-01', '2026-03-22', rules => '{sd_large}');
SELECT * FROM fraud.backtest_decision('2026-03-01', '2026-03-22', rules => '{sd_none}', stream => 'sd_orders');
SELECT * FROM fraud.backtest_decision('2026-03-01', '2026-03-22', review_at => 0.9, block_at => 0.5, stream => 'sd_orders');
SELECT * FROM fraud.backtest_decision('2026-03-01', '2026-03-22', stream => 'nothing');
SELECT * FROM fraud.backtest_decision('2026-03-01', '2026-03-22', stream => NULL);
-- A model that cannot score is told, also where there is nothing to score.
SELECT * FROM fraud.backtest_decision('2027-03-01', '2027-03-22', 'nope', stream => 'sd_orders');
SELECT * FROM fraud.backtest_decision('2027-03-01', '2027-03-22', 'payments/1', stream => 'sd_orders');
SELECT * FROM fraud.backtest_decision('2001-03-01', '2001-03-22', 'nope');
SELECT * FROM fraud.backtest_decision('2001-03-01', '2001-03-22', 'payments/99');
SELECT metric, present, candidate FROM fraud.backtest_decision('2027-03-01', '2027-03-22', 'sd_orders/2', stream => 'sd_orders') WHERE metric IN ('payments', 'alerts');
-- A vector of before a feature was added.
RESET ROLE;
BEGIN;
SELECT fraud.add_feature('sd_orders', 'pages', 'pages');
SELECT fraud.import_model('sd_orders', convert_to(replace(replace(replace(convert_from(artifact, 'UTF8'),
    '"a", "b"', '"amount", "pages"'), '[1.0, 0.5, -0.25]', '[300.0, -3.0, 3.0]'), '[2.0, 1.0, -1.0]', '[3.0, 0.0, 2.0]'), 'UTF8')) FROM stump;
SELECT * FROM fraud.backtest_decision('2026-03-01', '2026-03-22', 'sd_orders/3', rules => '{}', stream => 'sd_orders');
ROLLBACK;
-- Who may not read the table.
REVOKE SELECT ON sd_orders FROM sd_analyst;
SET ROLE sd_analyst;
SELECT * FROM fraud.backtest_decision('2026-03-01', '2026-03-22', stream => 'sd_orders');
SELECT * FROM fraud.suggest_rules('2026-03-01', '2026-03-22', stream => 'sd_orders');
RESET ROLE;
GRANT SELECT ON sd_orders TO sd_analyst;

-- --------------------------------------------------------------- suggestions
SET ROLE sd_analyst;
SELECT condition, backtest ->> 'hits' AS hits, backtest ->> 'frauds_hit' AS frauds_hit, backtest ->> 'precision' AS precision FROM fraud.suggest_rules('2026-03-01', '2026-03-22', 3, 'sd_orders');
SELECT count(*) FROM fraud.suggest_rules('2027-03-01', '2027-03-22', stream => 'sd_orders');
SELECT * FROM fraud.suggest_rules('2026-03-01', '2026-03-22', stream => NULL);
SELECT * FROM fraud.suggest_rules('2026-03-01', '2026-03-22', stream => 'nothing');

-- ------------------------------------------------------------------ snoozes
SELECT fraud.snooze('entity', 'b7', now() + interval '1 day', 'known');
SELECT fraud.snooze('entity', 'b7', now() + interval '1 day', 'known', 'nothing');
SELECT fraud.snooze('rule', 'sd_large', now() + interval '1 day', 'known', 'sd_orders');
SELECT fraud.snooze('entity', 'b7', now() + interval '1 day', 'a buyer of ours', 'sd_orders') > 0 AS snoozed, fraud.snooze('entity', '4929000000061234', now() + interval '1 day', 'x', stream => 'sd_orders') > 0 AS snoozed;
SELECT kind, CASE WHEN name ~ '^b' THEN name ELSE left(name, 4) END AS name, card, stream, reason FROM fraud.snoozes WHERE stream = 'sd_orders' ORDER BY snooze_id;
RESET ROLE;
INSERT INTO sd_orders VALUES (3001, '2026-03-25', 'b7', 5000, 1), (3002, '2026-03-25', 'b8', 5000, 1), (3003, '2026-03-25', 'b7', 20, 1), (3004, '2026-03-25', '4929000000061234', 5000, 1);
SELECT event_id, decision, score IS NULL AS unscored FROM fraud.stream_decisions WHERE stream = 'sd_orders' AND event_id::int > 3000 ORDER BY 1;
SELECT event_id, entity FROM fraud.stream_alerts WHERE stream = 'sd_orders' AND event_id::int > 3000;
SELECT a.event_id, a.decision, z.kind FROM fraud.stream_snoozed_alerts a JOIN fraud.snoozes z USING (snooze_id) WHERE a.stream = 'sd_orders' ORDER BY 1;
-- Without any rule, too; and when it is over.
SELECT count(fraud.drop_rule(rule, 'over')::text) FROM fraud.rules WHERE stream = 'sd_orders';
INSERT INTO sd_orders VALUES (3005, '2026-03-25', 'b7', 5000, 1);
SELECT count(*) FROM fraud.stream_alerts WHERE stream = 'sd_orders' AND event_id = '3005';
SELECT fraud.end_snooze(snooze_id, 'over') FROM fraud.snoozes WHERE stream = 'sd_orders' AND name = 'b7';
INSERT INTO sd_orders VALUES (3006, '2026-03-26', 'b7', 5000, 1);
SELECT count(*) FROM fraud.stream_alerts WHERE stream = 'sd_orders' AND event_id = '3006';
SELECT action, old - 'until' AS old, new FROM fraud.audit_log WHERE object_kind = 'snooze' AND action = 'drop' ORDER BY audit_id DESC LIMIT 1;
SELECT DISTINCT new - 'until' AS noted FROM fraud.audit_log WHERE object_kind = 'snooze' AND action = 'add' AND new ->> 'kind' = 'entity';
-- A large amount is no card number, whatever its zeros come to; nor is a small share.
SELECT fraud.add_rule('sd_zeros', 'amount > 9e18 OR amount BETWEEN 0 AND 1', 'tag', 'amount {amount}', stream => 'sd_orders');
INSERT INTO sd_orders VALUES (3011, '2026-03-26', 'b10', 10000000000000000000, 1), (3012, '2026-03-26', 'b10', 25000000000000000000000000000.00, 1), (3013, '2026-03-26', 'b10', 0.00000000000000000018, 1), (3014, '2026-03-26', 'b10', 14111111111111111111, 1);
SELECT event_id, reason FROM fraud.stream_rule_matches WHERE rule = 'sd_zeros' ORDER BY 1;
-- Another's entity of the same name is not meant.
SELECT fraud.snooze('entity', 'b9', now() + interval '1 day', 'x', 'claims') > 0 AS snoozed;
INSERT INTO sd_orders VALUES (3007, '2026-03-26', 'b9', 5000, 1);
SELECT count(*) FROM fraud.stream_alerts WHERE stream = 'sd_orders' AND event_id = '3007';
-- Who is forgotten is so in these, too.
SELECT status FROM fraud.ingest('{"trans_num": "sd-1", "customer": "zoe@decisions.example", "customer_kind": "email", "amt": 5, "merchant": "M", "current_time": 1500033600000}'::jsonb);
SELECT card AS zoe FROM fraud.customers WHERE customer_id = 'zoe@decisions.example' \gset
SELECT fraud.snooze('entity', 'zoe@decisions.example', now() + interval '1 day', 'Zoe called', 'sd_orders') > 0 AS snoozed;
SELECT relation, rows FROM fraud.erase_customer(:'zoe', 'asked', force => true) WHERE relation = 'fraud.snoozes' AND rows > 0;
SELECT name = :'zoe' AS erased, reason FROM fraud.snoozes WHERE stream = 'sd_orders' AND ended_at IS NULL ORDER BY snooze_id DESC LIMIT 1;

-- -------------------------------------------------------------- empty periods
SELECT * FROM fraud.backtest_decision('2026-03-22', '2026-03-01', stream => 'sd_orders');
SELECT * FROM fraud.backtest_rule('amount > 5', '2026-03-22', '2026-03-01', stream => 'sd_orders');
SELECT * FROM fraud.backtest_rule('amount > 5', '2026-03-22', '2026-03-22');
SELECT * FROM fraud.backtest_decision('2026-03-22', '2026-03-01');
SELECT * FROM fraud.suggest_rules('2026-03-22', '2026-03-01');
SELECT * FROM fraud.suggest_rules('2026-03-22', '2026-03-01', stream => 'sd_orders');
SELECT * FROM fraud.find_payments(merchant => 'M', "from" => '2026-03-22', "to" => '2026-03-01');
SELECT * FROM fraud.payment_field_values('x', '2026-03-22', '2026-03-01');
SELECT fraud.materialize_features('sd_orders', 'sd_out', '2026-03-22', '2026-03-01');
SELECT fraud.promote('payments', 1, evidence_from => '2026-03-22', evidence_to => '2026-03-01');
SELECT fraud.close_flood('2026-03-22', '2026-03-01', 'x');
SELECT * FROM fraud.evaluate('payments/1', '2026-03-22', '2026-03-01');

-- ------------------------------------------------------------- what is gone
SELECT fraud.add_rule('sd_left', 'amount > 400', 'review', mode => 'enforce', stream => 'sd_orders');
SELECT mode FROM fraud.rule_status WHERE rule = 'sd_left';
ALTER TABLE sd_orders DISABLE TRIGGER fraud_watch_sd_orders;
SELECT mode FROM fraud.rule_status WHERE rule = 'sd_left';
ALTER TABLE sd_orders ENABLE TRIGGER fraud_watch_sd_orders;
SELECT mode FROM fraud.rule_status WHERE rule = 'sd_left';
DROP TABLE sd_orders;
SELECT mode FROM fraud.rule_status WHERE rule = 'sd_left';
SELECT state FROM fraud.stream_status WHERE stream = 'sd_orders';
SELECT fraud.create_list('sd_buyers', 'buyer', stream => 'sd_orders');
SELECT fraud.unwatch('sd_orders'), fraud.drop_feature_set('sd_orders');
SELECT fraud.create_list('sd_buyers', 'buyer', stream => 'sd_orders');
SELECT fraud.drop_rule('sd_left', 'over');
DROP OWNED BY sd_owner, sd_analyst;
DROP ROLE sd_owner, sd_analyst;
