-- Decisions: a score that equals a threshold reaches it; an alias has thresholds of
-- its own, a version is decided by the champion's.
\set SHOW_CONTEXT never
CREATE TABLE offer_2 AS SELECT '{"cc_num": 4000000000000120, "trans_num": "t-1", "amt": 77.7, "merchant": "m", "category": "misc_net", "unix_time": 1460000000}'::jsonb AS payment;
CREATE TABLE its AS SELECT score FROM offer_2, fraud.assess(payment);
CREATE FUNCTION decide(ref text DEFAULT 'payments') RETURNS text LANGUAGE sql AS $$ SELECT decision FROM offer_2, fraud.assess(payment, ref) $$;

SELECT decide();
SELECT fraud.promote('payments', 1, review_at => score, block_at => 1, reason => 'review at the score') FROM its;
SELECT decide();
SELECT fraud.promote('payments', 1, review_at => score, block_at => score, reason => 'block at the score') FROM its;
SELECT decide();
SELECT fraud.promote('payments', 1, review_at => score + 1e-9, block_at => 1, reason => 'just above the score') FROM its;
SELECT decide();
SELECT fraud.promote('payments', 1, 'challenger', review_at => 0, block_at => 0);
SELECT decide('payments@challenger'), decide('payments/1'), decide('payments@champion');

-- Thresholds that are not given stay; review_at alone moves a block_at that there
-- is none of yet.
SELECT fraud.promote('payments', 1, 'kept', review_at => 0.25, block_at => 0.75);
SELECT fraud.promote('payments', 1, 'kept');
SELECT fraud.promote('payments', 1, 'kept', review_at => 0.5);
SELECT fraud.promote('payments', 1, 'high', review_at => 0.95);
SELECT fraud.promote('payments', 1, 'plain');
SELECT alias, version, previous_version, review_at, block_at FROM fraud.promotions WHERE model = 'payments' AND alias IN ('kept', 'high', 'plain') ORDER BY promotion_id;
SELECT fraud.promote('payments', 1, 'kept', review_at => 0.9);

-- A block raises an alert as a review does, and an approval does not.
SELECT fraud.promote('payments', 1, review_at => 0, block_at => 0, reason => 'block all');
SELECT status, decision FROM offer_2, fraud.ingest(payment);
SELECT fraud.promote('payments', 1, review_at => 1, block_at => 1, reason => 'approve all');
SELECT status, decision FROM offer_2, fraud.ingest(payment || '{"trans_num": "t-2"}');
SELECT transaction_id, decision, cardinality(reasons) BETWEEN 1 AND 3 AS reasons FROM fraud.alerts WHERE transaction_id IN ('t-1', 't-2');
SELECT kind, payload ->> 'transaction_id' AS transaction_id, payload ->> 'decision' AS decision FROM fraud.outbox WHERE payload ->> 'transaction_id' IN ('t-1', 't-2');
-- The same payment again raises nothing, whatever is promoted meanwhile.
SELECT fraud.promote('payments', 1, review_at => 0, block_at => 0, reason => 'block all again');
SELECT status, decision FROM offer_2, fraud.ingest(payment);
SELECT status, decision FROM offer_2, fraud.ingest(payment || '{"trans_num": "t-2"}');
SELECT transaction_id, count(*) FROM fraud.alerts WHERE transaction_id IN ('t-1', 't-2') GROUP BY 1;
-- Nor does a history.
CREATE TABLE history_3 AS SELECT '4000000000000120'::text AS cc_num, 't-3'::text AS trans_num, 1 AS amt, 'm'::text AS merchant, 1460000500 AS unix_time;
SELECT fraud.load_history('history_3');
SELECT count(*) FROM fraud.alerts WHERE transaction_id = 't-3';
SELECT fraud.promote('payments', 1, review_at => 0.053, block_at => 0.506, reason => 'as it came');

-- A promotion that a savepoint undoes is undone for what is scored next.
BEGIN;
SAVEPOINT s;
SELECT fraud.promote('payments', 1, review_at => 0, block_at => 0);
SELECT decide();
ROLLBACK TO s;
SELECT decide();
COMMIT;

-- Thresholds that would block nearly everybody are a slip.
SET fraud_detect.max_block_share = 0.2;
SET fraud_detect.max_alert_share = 0.5;
BEGIN;
SET client_min_messages = warning;  -- on a slow machine it says how far it is
SELECT fraud.simulate(30, 10, 30, 5) > 1000 AS stored;
RESET client_min_messages;
\set VERBOSITY sqlstate
SAVEPOINT s;
SELECT fraud.promote('payments', 1, review_at => 1e-7, block_at => 1e-7, reason => 'a slip');
ROLLBACK TO s;
SELECT fraud.promote('payments', 1, review_at => 1e-7, block_at => 0.9, reason => 'a slip');
ROLLBACK TO s;
\set VERBOSITY default
SELECT fraud.promote('payments', 1, review_at => 0.05, block_at => 0.5, reason => 'as it was');
SELECT fraud.promote('payments', 1, review_at => 1e-7, block_at => 1e-7, reason => 'meant', override_gate => true);
SELECT fraud.promote('payments', 1, 'challenger', review_at => 0, block_at => 0);
ROLLBACK;
RESET fraud_detect.max_block_share;
RESET fraud_detect.max_alert_share;

-- Nor may alerts jump, from those of the present thresholds, of the same version or of another.
SET fraud_detect.max_alert_growth = 3;
BEGIN;
SELECT fraud.promote('payments', 1, review_at => 1, block_at => 1, reason => 'nothing is alerted');
SELECT count(*) > 200 AS stored FROM fraud.ingest((SELECT jsonb_agg(jsonb_build_object('cc_num', 4000000000000120 + 1000 * (i % 20), 'trans_num', 'th-' || i, 'amt', 10 * i, 'merchant', 'm', 'category', 'misc_net',
    'unix_time', 4000000 + extract(epoch FROM now())::bigint - 5000000 + i)) FROM generate_series(1, 1000) i)) WHERE status = 'stored';
SELECT percentile_disc(0.10) WITHIN GROUP (ORDER BY t.score DESC) AS tenth, percentile_disc(0.02) WITHIN GROUP (ORDER BY t.score DESC) AS fiftieth,
       percentile_disc(0.05) WITHIN GROUP (ORDER BY t.score DESC) AS twentieth FROM fraud.transactions t WHERE t.transaction_id ~ '^th-' \gset
SAVEPOINT s;
\set VERBOSITY sqlstate
-- One in ten, where there are none at present.
SELECT fraud.promote('payments', 1, review_at => :tenth, block_at => 1, reason => 'a jump');
ROLLBACK TO s;
SELECT fraud.promote('payments', 1, review_at => :fiftieth, block_at => 1, reason => 'one in fifty');
SAVEPOINT s;
-- Five times as many; two and a half times.
SELECT fraud.promote('payments', 1, review_at => :tenth, block_at => 1, reason => 'a jump');
ROLLBACK TO s;
SELECT fraud.import_model('payments', fraud.export_model('payments/1')) AS copy \gset
SAVEPOINT s;
SELECT fraud.promote('payments', :copy, review_at => :tenth, block_at => 1, alert_rate => 0.1, reason => 'another version''s');
ROLLBACK TO s;
\set VERBOSITY default
SELECT fraud.promote('payments', 1, review_at => :twentieth, block_at => 1, reason => 'more');
SELECT (evidence -> 'last_payments' ->> 'payments')::int > 500 AS payments, (evidence -> 'last_payments' ->> 'alerts')::int > (evidence -> 'last_payments' ->> 'alerts_now')::int AS more,
       (evidence -> 'last_payments' ->> 'alerts_per_day')::numeric > 1 AS per_day FROM fraud.promotions ORDER BY promotion_id DESC LIMIT 1;
SELECT fraud.promote('payments', 1, review_at => 0, block_at => 1, reason => 'meant', override_gate => true);
SET LOCAL fraud_detect.max_alert_growth = 0;
SELECT fraud.promote('payments', 1, review_at => 1, block_at => 1, reason => 'nothing'), fraud.promote('payments', 1, review_at => 0, block_at => 1, reason => 'any');
ROLLBACK;
RESET fraud_detect.max_alert_growth;

-- Seven frauds tell nothing; seven hundred do. The interval is the same each time.
SELECT fraud._recall_difference(2, 1, 7) AS seven, fraud._recall_difference(200, 100, 700) AS more, fraud._recall_difference(0, 0, 0) AS none;
SELECT fraud._recall_difference(2, 1, 7) = fraud._recall_difference(2, 1, 7) AS same;
-- Of many frauds some are drawn, and the interval is as narrow: 1.96 standard deviations.
SELECT (d ->> 'high')::float8 - (d ->> 'low')::float8 BETWEEN 0.9 * w.width AND 1.1 * w.width AS as_wide
FROM fraud._recall_difference(2000, 1000, 10000) d, (SELECT 2 * 1.96 * sqrt((0.3 - 0.1 ^ 2) / 10000) AS width) w;
