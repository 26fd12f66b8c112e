-- Rules of a stream: conditions over the rows of a user's own table, as they are inserted. Table stump is of the tests
-- before. The model here: an amount from 1000 on speaks for fraud, and so do three sr_orders and more in 30 days.
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET client_min_messages = warning;
CREATE ROLE orders_owner;
CREATE ROLE orders_clerk;
CREATE ROLE orders_analyst;
SELECT fraud.grant_access('orders_owner', 'scientist'), fraud.grant_access('orders_owner', 'analyst'), fraud.grant_access('orders_analyst', 'analyst');
GRANT CREATE, USAGE ON SCHEMA public TO orders_owner;
GRANT SELECT ON stump TO orders_owner;
SET ROLE orders_owner;
-- Columns that are called as what is ours: score, and a feature.
CREATE TABLE sr_orders (order_no bigint PRIMARY KEY, placed_at timestamptz NOT NULL, buyer text, amount numeric, score int, country char(5), note text, device uuid);
GRANT INSERT ON sr_orders TO orders_clerk;
SELECT fraud.create_feature_set('sr_orders', 'sr_orders', 'order_no', 'placed_at', create_indexes => true), fraud.add_feature('sr_orders', 'amount', 'amount', reason => 'sr_orders {amount:.2}'),
       fraud.add_window_feature('sr_orders', 'orders_30d', 'count', NULL, 'buyer', '30 days');
SELECT fraud.import_model('sr_orders', convert_to(replace(replace(replace(convert_from(artifact, 'UTF8'),
    '"a", "b"', '"amount", "orders_30d"'), '[1.0, 0.5, -0.25]', '[1000.0, -3.0, 3.0]'), '[2.0, 1.0, -1.0]', '[3.0, 0.0, 2.0]'), 'UTF8')) FROM stump;
SELECT fraud.promote('sr_orders', 1, review_at => 0.5, block_at => 0.97);
-- A stream is watched, or was.
SELECT fraud.add_rule('sr_early', 'amount > 1', 'review', stream => 'sr_orders');
SELECT fraud.add_rule('sr_early', 'amount > 1', 'review', stream => NULL);
SELECT fraud.watch('sr_orders', entity => 'buyer', amount => 'amount');
CREATE FUNCTION decided(first bigint) RETURNS TABLE (event text, decision text, model text, matched text, reasons text[]) LANGUAGE sql SECURITY DEFINER AS $$
    SELECT d.event_id, d.decision, max(m.model_decision), string_agg(concat_ws(' ', m.rule, m.version, m.action, CASE WHEN m.enforced THEN 'enforced' ELSE 'observed' END, CASE WHEN m.decided THEN 'decided' END,
           m.reason, m.tag, m.error), '; ' ORDER BY m.rule, m.version) FILTER (WHERE m.rule IS NOT NULL), d.reasons
    FROM fraud.stream_decisions d LEFT JOIN fraud.stream_rule_matches m USING (stream, decision_id) WHERE d.event_id::bigint >= first AND d.stream = 'sr_orders' GROUP BY d.decision_id, d.event_id, d.decision, d.reasons ORDER BY d.decision_id
$$;
RESET ROLE;
ALTER FUNCTION decided(bigint) OWNER TO postgres;
SET ROLE orders_owner;
SELECT * FROM fraud.rule_columns('sr_orders');
SELECT * FROM fraud.rule_columns('nothing');
SELECT * FROM fraud.rule_columns(NULL);
-- No rules, no matches.
INSERT INTO sr_orders VALUES (1, '2026-01-01', 'ann', 10);
SELECT * FROM decided(1);

-- ------------------------------------------------------- whose rows they are
RESET ROLE;
SET ROLE orders_analyst;
SELECT fraud.add_rule('sr_abroad', 'country <> ''US''', 'review', stream => 'sr_orders');
RESET ROLE;
GRANT SELECT (order_no) ON sr_orders TO orders_analyst;
SET ROLE orders_analyst;
SELECT fraud.add_rule('sr_abroad', 'order_no > 0', 'review', stream => 'sr_orders');
SELECT * FROM fraud.rule_columns('sr_orders');
RESET ROLE;
GRANT SELECT ON sr_orders TO orders_analyst;
ALTER TABLE sr_orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY some_rows ON sr_orders USING (order_no < 5) WITH CHECK (true);
SET ROLE orders_analyst;
SELECT fraud.add_rule('sr_abroad', 'country <> ''US''', 'review', stream => 'sr_orders');
RESET ROLE;
ALTER TABLE sr_orders DISABLE ROW LEVEL SECURITY;
DROP POLICY some_rows ON sr_orders;

-- ------------------------------------------------- observed, then enforced
SET ROLE orders_analyst;
SELECT fraud.add_rule('sr_abroad', 'country <> ''US''', 'review', 'buyer {buyer} in {country}, {amount} after {orders_30d}', stream => 'sr_orders');
SELECT fraud.add_rule('sr_abroad', 'amount > 1', 'review');
SELECT fraud.add_rule('sr_no', 'merchant = ''x''', 'review', stream => 'sr_orders');
SELECT fraud.add_rule('sr_no', 'country <> ''US''', 'review');
SELECT fraud.add_rule('sr_no', 'country <> ''US''', 'review', '{buyers} in {country}', stream => 'sr_orders');
SELECT fraud.add_rule('sr_no', 'country <> ''US''', 'review', '{merchant}', stream => 'sr_orders');
RESET ROLE;
SET ROLE orders_clerk;
INSERT INTO sr_orders VALUES (2, '2026-01-02', 'bob', 10, 7, 'FR');
RESET ROLE;
SELECT * FROM decided(2);
SELECT fraud.enforce_rule('sr_abroad', 'it works');
SET ROLE orders_clerk;
INSERT INTO sr_orders SELECT 10 + i, timestamptz '2026-01-03' + i * interval '1 minute', 'b' || i, i * 100, i, CASE i % 4 WHEN 0 THEN 'FR' ELSE 'US' END FROM generate_series(1, 12) i;
RESET ROLE;
SELECT * FROM decided(11);
SELECT event_id, decision, rules, reasons FROM fraud.stream_alerts WHERE stream = 'sr_orders' ORDER BY alert_id;
SELECT payload -> 'rules' AS rules, payload -> 'reasons' -> 0 AS reason FROM fraud.outbox WHERE payload ->> 'stream' = 'sr_orders' ORDER BY outbox_id LIMIT 1;
SELECT entity, alerts, decision FROM fraud.stream_cases WHERE stream = 'sr_orders' ORDER BY case_id;
SELECT rule, stream, mode, version, matches_24h, failures_24h, author FROM fraud.rule_status WHERE stream = 'sr_orders';
SELECT rule, condition, expression, columns, features, plain FROM fraud.rule_versions WHERE rule ~ '^sr_';
-- Rules of payments, and those of a stream, do not meet.
SELECT status, decision FROM fraud.ingest('{"cc_num": 4929000000071997, "trans_num": "sr-1", "amt": 5, "merchant": "sr_shop", "category": "misc_net", "unix_time": 1481000000}');
SELECT count(*) FROM fraud.rule_matches WHERE rule ~ '^sr_';

-- -------------------------------------------------------------- all actions
SELECT fraud.add_rule('sr_allow', 'buyer = ''friend''', 'allow', mode => 'enforce', stream => 'sr_orders'), fraud.add_rule('sr_block', 'column_score > 90', 'block', 'rated {column_score}', mode => 'enforce', stream => 'sr_orders'),
       fraud.add_rule('sr_raise', 'feature_amount = 77', 'raise', mode => 'enforce', stream => 'sr_orders'), fraud.add_rule('sr_lower', 'score > 0.9 AND decision = ''review'' AND buyer = ''known''', 'lower', mode => 'enforce', stream => 'sr_orders'),
       fraud.add_rule('sr_tag', 'event_time < ''2026-02-02'' AND orders_30d >= 1', 'tag', tag => 'early', stream => 'sr_orders');
INSERT INTO sr_orders VALUES (101, '2026-02-01', 'friend', 5000, 99, 'FR'), (102, '2026-02-01', 'cid', 10, 99, 'US'), (103, '2026-02-01', 'dan', 77, 1, 'US'), (104, '2026-02-02', 'known', 2000, 1, 'US'), (105, '2026-02-02', 'eve', 2000, 1, 'US');
SELECT * FROM decided(101);
SELECT fraud.drop_rule(r, 'over') FROM unnest('{sr_allow,sr_block,sr_raise,sr_lower,sr_tag}'::text[]) r;

-- ------------------------------------------------------------------- lists
SELECT fraud.create_list('sr_devices', 'device', 'stolen', stream => 'sr_orders'), fraud.create_list('sr_buyers', 'buyer', stream => 'sr_orders'), fraud.create_list('sr_amounts', 'amount', stream => 'sr_orders'),
       fraud.create_list('sr_countries', 'country', stream => 'sr_orders');
SELECT list, field, type, stream FROM fraud.lists WHERE list ~ '^sr_' ORDER BY 1;
SELECT fraud.create_list('sr_nothing', 'nothing', stream => 'sr_orders');
SELECT fraud.create_list('sr_nothing', 'merchant', stream => 'sr_orders');
SELECT fraud.create_list('sr_nothing', 'buyer', stream => 'nothing');
SELECT fraud.create_list('sr_nothing', 'buyer', stream => NULL);
SELECT fraud.add_to_list('sr_devices', '00000000-0000-0000-0000-00000000000A', reason => 'stolen'), fraud.add_to_list('sr_devices', 'no uuid', reason => 'stolen');
SELECT fraud.add_to_list('sr_devices', '00000000-0000-0000-0000-00000000000A', reason => 'stolen'), fraud.add_to_list('sr_buyers', 'mallory', reason => 'known'), fraud.add_to_list('sr_amounts', '12.50', reason => 'tests'), fraud.add_to_list('sr_countries', 'XX', reason => 'tests');
SELECT fraud.add_rule('sr_listed', 'fraud.in_list(''sr_devices'', device) OR fraud.in_list(''sr_buyers'', buyer) OR fraud.in_list(''sr_amounts'', amount) OR fraud.in_list(''sr_countries'', country)', 'block', mode => 'enforce', stream => 'sr_orders');
INSERT INTO sr_orders (order_no, placed_at, buyer, amount, score, country, device) VALUES (201, '2026-03-01', 'fay', 10, 1, 'US', '00000000-0000-0000-0000-00000000000a'), (202, '2026-03-01', 'mallory', 10, 1, 'US', NULL), (203, '2026-03-01', 'gus', 12.5, 1, 'US', NULL), (204, '2026-03-01', 'gus', 12.6, 1, 'US', NULL), (205, '2026-03-01', NULL, 1, 1, 'XX   ', NULL);
SELECT event, decision, matched FROM decided(201);
SELECT fraud.drop_list('sr_buyers');
SELECT fraud.drop_rule('sr_listed', 'over');

-- ------------------------------------- what fails stops nothing, and no other row
SELECT fraud.add_rule('sr_fails', '100 / (order_no - 303) > 0', 'block', mode => 'enforce', stream => 'sr_orders', on_error => 'review'), fraud.add_rule('sr_all', 'order_no > 300', 'tag', stream => 'sr_orders');
INSERT INTO sr_orders SELECT i, '2026-03-02', 'h' || i, 1, 1, 'US' FROM generate_series(301, 500) i;
SELECT event, decision, matched FROM decided(301) LIMIT 5;
SELECT matched, count(*) FROM decided(304) GROUP BY 1 ORDER BY 1;
SELECT item, status, detail, advice FROM fraud.health() WHERE item = 'rule sr_fails';
SELECT fraud.drop_rule(r, 'over') FROM unnest('{sr_fails,sr_all}'::text[]) r;
-- One that does not end.
CREATE FUNCTION sr_loop(numeric) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN LOOP END LOOP; END $$;
SET fraud_detect.rule_timeout = '200ms';
SELECT fraud.add_rule('sr_loop', 'amount > 10 AND sr_loop(amount)', 'block', mode => 'enforce', stream => 'sr_orders');
INSERT INTO sr_orders SELECT i, '2026-03-04', 'i' || i, i - 610, 1, 'US' FROM generate_series(611, 630) i;
SELECT event, matched FROM decided(611) WHERE matched IS NOT NULL;
SELECT mode FROM fraud.rule_status WHERE rule = 'sr_loop';
RESET fraud_detect.rule_timeout;
SELECT fraud.drop_rule('sr_loop', 'over');
DROP FUNCTION sr_loop(numeric);
-- Who may alter the table has no function run with the rights of a rule's author, or of who backtests.
CREATE FUNCTION sr_yes(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END';
SET ROLE orders_analyst;
SELECT fraud.add_rule('sr_noted', 'note = ''x''', 'tag', stream => 'sr_orders'), fraud.add_rule('sr_own', 'buyer = ''noted'' AND sr_yes(note)', 'tag', stream => 'sr_orders');
RESET ROLE;
SELECT foreign_names FROM fraud.rule_versions WHERE rule = 'sr_own';
SET ROLE orders_owner;
CREATE TYPE sr_note AS (written text);
CREATE FUNCTION sr_read(note sr_note) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE EXCEPTION 'runs as %', current_user; END $$;
CREATE CAST (sr_note AS text) WITH FUNCTION sr_read(sr_note) AS IMPLICIT;
ALTER TABLE sr_orders ALTER note TYPE sr_note USING ROW(note)::sr_note;
INSERT INTO sr_orders VALUES (641, '2026-03-04', 'noted', 1, 1, 'US', ROW('x'));
RESET ROLE;
SELECT event, decision, matched FROM decided(641);
SELECT item, value FROM fraud.backtest_rule('amount = 1', '2026-03-04', '2026-03-05', stream => 'sr_orders') WHERE metric = 'hits_of_rule_too' AND item = 'sr_noted';
-- What looks for casts of a value may run them: whoever did not write it does not evaluate it.
CREATE FUNCTION sr_json(note sr_note) RETURNS json LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE EXCEPTION 'runs as %', current_user; END $$;
CREATE CAST (sr_note AS json) WITH FUNCTION sr_json(sr_note);
SET ROLE orders_analyst;
SELECT fraud.add_rule('sr_json', 'to_json(note) IS NOT NULL', 'tag', stream => 'sr_orders');
RESET ROLE;
SELECT plain FROM fraud.rule_versions WHERE rule = 'sr_json';
SELECT item, value FROM fraud.backtest_rule('amount = 1', '2026-03-04', '2026-03-05', stream => 'sr_orders') WHERE metric = 'hits_of_rule_too' AND item = 'sr_json';
SELECT fraud.drop_rule('sr_json', 'over');
ALTER TABLE sr_orders ALTER note TYPE text USING (note).written;
DROP TYPE sr_note CASCADE;
-- As it was, it runs again.
INSERT INTO sr_orders VALUES (642, '2026-03-04', 'noted', 1, 1, 'US', 'x');
SELECT event, decision, matched FROM decided(642);
SELECT fraud.drop_rule('sr_noted', 'over'), fraud.drop_rule('sr_own', 'over');
DROP FUNCTION sr_yes(text);

-- ------------------------------------------------ versions, four eyes, snooze
SELECT fraud.alter_rule('sr_abroad', 'country NOT IN (''US'', ''CA'')', note => 'Canada is near');
INSERT INTO sr_orders VALUES (701, '2026-03-05', 'jim', 1, 1, 'CA'), (702, '2026-03-05', 'kim', 1, 1, 'FR');
SELECT event, decision, matched FROM decided(701);
SELECT fraud.rollback_rule('sr_abroad', 'not so near');
INSERT INTO sr_orders VALUES (703, '2026-03-05', 'jim', 1, 1, 'CA');
SELECT event, decision FROM decided(703);
SET fraud_detect.four_eyes = on;
SELECT fraud.alter_rule('sr_abroad', priority => 5);
SELECT fraud.enforce_rule('sr_abroad', 'mine');
RESET fraud_detect.four_eyes;
SELECT fraud.snooze('rule', 'sr_abroad', now() + interval '1 hour', 'flood') > 0 AS snoozed;
INSERT INTO sr_orders VALUES (704, '2026-03-05', 'leo', 1, 1, 'FR'), (705, '2026-03-05', 'leo', 3000, 1, 'FR');
SELECT event, decision FROM decided(704);
SELECT event_id FROM fraud.stream_alerts WHERE stream = 'sr_orders' AND event_id IN ('704', '705');
SELECT stream, event_id, decision FROM fraud.stream_snoozed_alerts;
SELECT count(fraud.end_snooze(snooze_id, 'over')::text) FROM fraud.snoozes WHERE name = 'sr_abroad';
INSERT INTO sr_orders VALUES (706, '2026-03-05', 'leo', 1, 1, 'FR');
SELECT count(*) FROM fraud.stream_alerts WHERE event_id = '706';
-- Its time.
SELECT fraud.add_rule('sr_later', '1 / (order_no - order_no) > 0', 'block', mode => 'enforce', stream => 'sr_orders', valid_from => now() + interval '1 day');
INSERT INTO sr_orders VALUES (707, '2026-03-05', 'mia', 1, 1, 'US');
SELECT event, decision, matched FROM decided(707);
SELECT fraud.drop_rule('sr_later', 'over');

-- ------------------------------------------------- what becomes of the columns
SELECT fraud.add_rule('sr_note', 'note = ''odd''', 'tag', stream => 'sr_orders'), fraud.add_rule('sr_count', 'orders_30d > 0', 'tag', stream => 'sr_orders');
ALTER TABLE sr_orders RENAME COLUMN note TO remark;
INSERT INTO sr_orders VALUES (801, '2026-03-06', 'nan', 1, 1, 'US', 'odd');
SELECT event, decision, matched FROM decided(801);
ALTER TABLE sr_orders RENAME COLUMN remark TO note;
INSERT INTO sr_orders VALUES (802, '2026-03-06', 'nan', 1, 1, 'US', 'odd');
SELECT event, decision, matched FROM decided(802);
ALTER TABLE sr_orders DROP COLUMN note;
INSERT INTO sr_orders VALUES (803, '2026-03-06', 'nan', 1, 1, 'US');
SELECT event, decision, matched FROM decided(803);
-- A name that means something else by now is not taken for what it meant.
ALTER TABLE sr_orders ADD COLUMN orders_30d int DEFAULT 5;
INSERT INTO sr_orders VALUES (804, '2026-03-06', 'nan', 1, 1, 'US');
SELECT event, decision, matched FROM decided(804);
ALTER TABLE sr_orders DROP COLUMN orders_30d;
SELECT fraud.drop_rule(r, 'over') FROM unnest('{sr_note,sr_count}'::text[]) r;
-- The author's right to read is taken from him.
REVOKE SELECT ON sr_orders FROM orders_analyst;
SELECT fraud.enforce_rule('sr_abroad', 'as the analyst wrote it', 1) AS version;
INSERT INTO sr_orders VALUES (805, '2026-03-06', 'nan', 1, 1, 'FR');
SELECT event, decision, matched FROM decided(805);
GRANT SELECT ON sr_orders TO orders_analyst;
INSERT INTO sr_orders VALUES (806, '2026-03-06', 'nan', 1, 1, 'FR');
SELECT event, decision, matched FROM decided(806);
-- --------------------------------------------------------------- backtests
-- What was decided of sr_orders, tried anew: by the table's columns, the vectors that were scored, lists as they were.
SELECT fraud.label_event('sr_orders', ARRAY['14', '18', '705'], true, 'adjuster', '2026-02-01') AS labelled;
SELECT fraud.add_rule('sr_other', 'amount > 500', 'tag', stream => 'sr_orders');
SET fraud_detect.label_maturity = '1d';
SELECT metric, item, round(value::numeric, 4) AS value FROM fraud.backtest_rule('country <> ''US''', '2026-01-01', '2026-01-05', stream => 'sr_orders');
SELECT metric, value FROM fraud.backtest_rule('feature_amount = amount AND orders_30d >= 0 AND score > 0.5 AND decision = ''review'' AND event_time = placed_at AND column_score = 12', '2026-01-01', '2026-02-01', false, 'sr_orders') WHERE metric IN ('payments', 'hits', 'alerts', 'alerts_hit');
-- As of the event's time: the list had nobody then.
SELECT metric, value FROM fraud.backtest_rule('fraud.in_list(''sr_buyers'', buyer)', '2026-01-01', '2026-04-01', false, 'sr_orders') WHERE metric = 'hits';
SELECT metric, value FROM fraud.backtest_rule('buyer = ''leo''', '2027-01-01', '2027-01-02', false, 'sr_orders') WHERE item IS NULL AND metric ~ '^(payments|hits|customers)';
RESET fraud_detect.label_maturity;
SELECT * FROM fraud.backtest_rule('merchant = ''x''', '2026-01-01', '2026-02-01', stream => 'sr_orders');
SELECT * FROM fraud.backtest_rule('amount > 5', '2026-01-01', '2026-02-01', stream => 'nothing');
SELECT * FROM fraud.backtest_rule('amount > 5', '2026-01-01', '2026-02-01', stream => NULL);
-- A condition that fails, and a list that is not there: said without the query, with the other rules and without.
SELECT * FROM fraud.backtest_rule('amount / 0 > 1', '2026-01-01', '2026-02-01', stream => 'sr_orders');
SELECT * FROM fraud.backtest_rule('fraud.in_list(''sr_nothing'', buyer)', '2026-01-01', '2026-02-01', false, 'sr_orders');
DO $$
DECLARE
    context text;
BEGIN
    PERFORM * FROM fraud.backtest_rule('amount / 0 > 1', '2026-01-01', '2026-02-01', stream => 'sr_orders');
EXCEPTION WHEN division_by_zero THEN
    GET STACKED DIAGNOSTICS context = PG_EXCEPTION_CONTEXT;
    IF context ~ 'counted' OR length(context) > 1000 THEN
        RAISE EXCEPTION 'the context is the query: %', context;
    END IF;
END
$$;
-- With the rights of whoever asks.
SET ROLE orders_analyst;
SELECT metric, value FROM fraud.backtest_rule('country <> ''US''', '2026-01-01', '2026-01-05', false, 'sr_orders') WHERE metric IN ('payments', 'hits', 'frauds_hit');
SELECT count(*) > 0 AS sees FROM fraud.event_scores WHERE stream = 'sr_orders';
RESET ROLE;
REVOKE SELECT ON sr_orders FROM orders_analyst;
SET ROLE orders_analyst;
SELECT * FROM fraud.backtest_rule('country <> ''US''', '2026-01-01', '2026-01-05', false, 'sr_orders');
SELECT count(*) FROM fraud.event_scores;
RESET ROLE;
GRANT SELECT ON sr_orders TO orders_analyst;
SELECT fraud.drop_rule('sr_other', 'over');
-- What the set's definer has written is not run for another.
SET ROLE orders_owner;
CREATE TABLE parcels (no int PRIMARY KEY, at timestamptz NOT NULL, amount numeric, "is fraud" int, "its id" text);
CREATE FUNCTION parcel_id(int) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN 'p' || $1; END $$;
SELECT fraud.create_feature_set('parcels', 'parcels', 'parcel_id(no)', 'at'), fraud.add_feature('parcels', 'amount', 'amount'), fraud.add_feature('parcels', 'orders_30d', '0');
-- What was there before is scored by nobody, and no backtest is silent about it.
INSERT INTO parcels VALUES (-1, '2026-01-01', 5, 7, 'y'), (-2, '2026-01-07', 5, 7, 'y');
SELECT fraud.watch('parcels', 'sr_orders');
INSERT INTO parcels VALUES (1, '2026-01-01', 5, 7, 'x'), (2, '2026-01-01', 5000, 8, 'y');
GRANT SELECT ON parcels TO orders_analyst;
SELECT metric, value FROM fraud.backtest_rule('"is fraud" > 7 AND "its id" = ''y''', '2026-01-01', '2026-01-05', false, 'parcels') WHERE metric IN ('payments', 'not_judged', 'hits', 'alerts');
SELECT metric, present, candidate FROM fraud.backtest_decision('2026-01-01', '2026-01-08', stream => 'parcels') WHERE metric IN ('payments', 'not_judged');
RESET ROLE;
SET ROLE orders_analyst;
SELECT metric, value FROM fraud.backtest_rule('"is fraud" > 7', '2026-01-01', '2026-01-05', false, 'parcels') WHERE metric IN ('payments', 'hits', 'alerts');
RESET ROLE;
SELECT fraud.unwatch('parcels'), fraud.drop_feature_set('parcels');
DROP TABLE parcels;
DROP FUNCTION parcel_id(int);
-- Unwatched and watched again: the rules are there.
SELECT fraud.unwatch('sr_orders');
INSERT INTO sr_orders VALUES (807, '2026-03-06', 'nan', 1, 1, 'FR');
SELECT fraud.watch('sr_orders', entity => 'buyer', amount => 'amount');
INSERT INTO sr_orders VALUES (808, '2026-03-06', 'nan', 1, 1, 'FR');
SELECT event, decision, matched FROM decided(807);
-- A column that rows of before do not have; a partitioned table, whose partition has its columns in another order.
ALTER TABLE sr_orders ADD COLUMN kind text DEFAULT 'web', ADD COLUMN tenth numeric(10, 1) GENERATED ALWAYS AS (amount / 10) STORED;
SELECT fraud.add_rule('sr_kind', 'kind = ''web'' AND tenth < 1', 'tag', 'a {kind} order of {tenth}', stream => 'sr_orders');
INSERT INTO sr_orders (order_no, placed_at, buyer, amount) VALUES (810, '2026-03-06', 'olga', 5);
SELECT event, decision, matched FROM decided(810);
SELECT fraud.drop_rule('sr_kind', 'over');
CREATE TABLE sr_tours_t (id text, at timestamp, who text, pages int) PARTITION BY RANGE (at);
CREATE TABLE sr_tours_2 (pages int, who text, id text, at timestamp);
ALTER TABLE sr_tours_t ATTACH PARTITION sr_tours_2 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
SELECT fraud.create_feature_set('sr_tours_t', 'sr_tours_t', 'id', 'at'), fraud.add_feature('sr_tours_t', 'amount', 'pages'), fraud.add_feature('sr_tours_t', 'orders_30d', '0');
SELECT fraud.watch('sr_tours_t', 'sr_orders'), fraud.add_rule('sr_tours', 'who = ''x'' AND pages > 4 AND event_time = (at AT TIME ZONE ''UTC'')', 'block', '{who}: {pages}', mode => 'enforce', stream => 'sr_tours_t');
INSERT INTO sr_tours_t VALUES ('a', '2026-02-05', 'x', 5), ('b', '2026-02-05', 'x', 4);
SELECT d.event_id, d.decision, d.reasons FROM fraud.stream_decisions d WHERE d.stream = 'sr_tours_t' ORDER BY d.decision_id;
SELECT metric, value FROM fraud.backtest_rule('pages > 4', '2026-02-01', '2026-03-01', false, 'sr_tours_t') WHERE metric IN ('payments', 'hits', 'alerts_hit');
SELECT fraud.unwatch('sr_tours_t'), fraud.drop_feature_set('sr_tours_t'), fraud.drop_rule('sr_tours', 'over');
DROP TABLE sr_tours_t;
-- Who is forgotten is so in what matched, too.
SELECT status FROM fraud.ingest('{"trans_num": "sr-2", "customer": "zora@rules.example", "customer_kind": "email", "amt": 5, "merchant": "M", "current_time": 1500033600000}'::jsonb);
SELECT card AS zora FROM fraud.customers WHERE customer_id = 'zora@rules.example' \gset
INSERT INTO sr_orders VALUES (901, '2026-03-07', 'zora@rules.example', 1, 1, 'FR');
SELECT relation, rows FROM fraud.erase_customer(:'zora', 'asked', force => true) WHERE relation = 'fraud.stream_rule_matches';
SELECT event, matched FROM decided(901);
-- What was decided goes with its matches.
SET fraud_detect.transaction_retention = '40d';
UPDATE fraud.stream_decisions SET decided_at = now() - interval '50 days' WHERE stream = 'sr_orders' AND event_id IN ('704', '901');
SELECT rows > 0 AS purged FROM fraud.purge() WHERE relation = 'fraud.stream_decisions'::regclass;
SELECT count(*) FROM fraud.stream_rule_matches WHERE event_id IN ('704', '901');
SELECT count(*) FROM fraud.stream_snoozed_alerts;
RESET fraud_detect.transaction_retention;

-- The stream is no more: its rules decide nothing, and can be dropped.
DROP TABLE sr_orders;
SELECT fraud.unwatch('sr_orders');
SELECT fraud.drop_feature_set('sr_orders');
SELECT fraud.alter_rule('sr_abroad', 'amount > 5');
SELECT rule, stream, mode FROM fraud.rule_status WHERE stream = 'sr_orders';
SELECT fraud.drop_rule('sr_abroad', 'over');
SELECT fraud.drop_list(list) FROM fraud.lists WHERE list ~ '^sr_';
DROP FUNCTION decided(bigint);
DROP OWNED BY orders_owner, orders_clerk, orders_analyst;
DROP ROLE orders_owner, orders_clerk, orders_analyst;
