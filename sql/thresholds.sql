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
SELECT fraud.simulate(30, 10, 30, 5) > 1000 AS stored;
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
