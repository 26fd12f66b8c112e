\set SHOW_CONTEXT never
-- The log of changes: what is in it, and that sums and log say what the payments say, after
-- whatever was changed and in whatever pieces it is folded.
SET datestyle = 'ISO, YMD';
SET timezone = 'UTC';
SELECT fraud.refresh_rollups() >= 0 AS refreshed;
SELECT fraud.promote('payments', 1, review_at => 0, block_at => 1, reason => 'each payment is an alert', override_gate => true);
SELECT status FROM fraud.ingest((SELECT jsonb_agg(jsonb_build_object('cc_num', 4000000000009700 + i % 3, 'trans_num', 'ch-' || i, 'amt', i, 'merchant', 'M' || i % 2, 'category', 'c', 'state', 'NC',
    'trans_date_trans_time', timestamp '2014-05-01 10:00' + i * interval '5 hours')) FROM generate_series(1, 20) i)) GROUP BY status;
SELECT fraud.label('ch-4', true, 'chargeback', '2014-06-01') > 0 AS labelled;
SELECT sign, transaction_id, occurred_at, amount, merchant, category, state, model, model_version, score IS NOT NULL AS scored, decision, is_fraud, known_at
FROM fraud._log WHERE transaction_id IN ('ch-4', 'ch-5') ORDER BY transaction_id, sign;

-- What the views add up, beside the payments themselves.
CREATE VIEW told AS SELECT day, payments, volume, customers, alerts, labelled_fraud, labelled_legitimate, labelled_fraud_volume FROM fraud.daily_report;
CREATE VIEW counted (day, payments, volume, customers, alerts, fraud, legitimate, fraud_volume) AS
    SELECT t.occurred_at::date, count(*), sum(t.amount), count(DISTINCT t.card), count(*) FILTER (WHERE t.decision IN ('review', 'block')),
           count(*) FILTER (WHERE l.is_fraud), count(*) FILTER (WHERE NOT l.is_fraud), coalesce(sum(t.amount) FILTER (WHERE l.is_fraud), 0)
    FROM fraud.transactions t LEFT JOIN fraud.current_labels l USING (card, transaction_id) GROUP BY 1;
CREATE VIEW wrong AS SELECT count(*) AS wrong FROM ((TABLE told EXCEPT TABLE counted) UNION ALL (TABLE counted EXCEPT TABLE told)) w;
CREATE VIEW wrong_cards AS
    SELECT count(*) AS wrong_cards
    FROM (SELECT card, active_days, payments, volume, labelled_fraud FROM fraud.customer_activity) a
    FULL JOIN (SELECT t.card, count(DISTINCT t.occurred_at::date), count(*), sum(t.amount), count(*) FILTER (WHERE l.is_fraud)
               FROM fraud.transactions t LEFT JOIN fraud.current_labels l USING (card, transaction_id) GROUP BY 1) c(card, days, payments, volume, fraud) USING (card)
    WHERE (a.active_days, a.payments, a.volume, a.labelled_fraud) IS DISTINCT FROM (c.days, c.payments, c.volume, c.fraud);
TABLE wrong;

-- Folded one change after the other, and looked at after each.
CREATE PROCEDURE fold_each(INOUT pieces int, INOUT wrongs bigint) LANGUAGE plpgsql AS $$
BEGIN
    pieces := 0;
    wrongs := 0;
    WHILE (SELECT changes > 0 FROM fraud._fold_piece(1, 1, (SELECT last_value FROM fraud.change_ids))) LOOP
        pieces := pieces + 1;
        wrongs := wrongs + (TABLE wrong) + (TABLE wrong_cards);
    END LOOP;
END
$$;
CALL fold_each(0, 0);

-- Payments that are deleted and corrected by hand: on a day with others of the card and on one
-- without, labelled and not, twice, folded and not.
DELETE FROM fraud.transactions WHERE transaction_id IN ('ch-1', 'ch-2');
UPDATE fraud.transactions SET amount = 1000 WHERE transaction_id = 'ch-4';
UPDATE fraud.transactions SET amount = 2000, merchant = 'M9' WHERE transaction_id IN ('ch-4', 'ch-6');
UPDATE fraud.transactions SET is_fraud = is_fraud, age = 50 WHERE transaction_id = 'ch-7';
SELECT sign, transaction_id, amount, merchant FROM fraud._log ORDER BY transaction_id, change_id;
TABLE wrong; TABLE wrong_cards;
CALL fold_each(0, 0);
SELECT fraud.label('ch-4', false, 'chargeback', '2014-06-02') > 0 AS labelled;
DELETE FROM fraud.transactions WHERE transaction_id = 'ch-4';
SELECT fraud.label('ch-6', true, 'chargeback', '2014-06-02') > 0 AS labelled;
UPDATE fraud.transactions SET amount = 6 WHERE transaction_id = 'ch-6';
TABLE wrong; TABLE wrong_cards;
CALL fold_each(0, 0);
-- Labels that are corrected by hand, by who owns them.
ALTER TABLE fraud.labels DISABLE TRIGGER labels_append_only;
UPDATE fraud.labels SET is_fraud = false WHERE transaction_id = 'ch-6';
TABLE wrong;
DELETE FROM fraud.labels WHERE transaction_id = 'ch-6';
ALTER TABLE fraud.labels ENABLE TRIGGER labels_append_only;
TABLE wrong; TABLE wrong_cards;
CALL fold_each(0, 0);
SELECT merchant, sum(payments) AS payments, sum(volume) AS volume, sum(labelled_fraud) AS fraud FROM fraud.merchant_risk WHERE day < '2014-05-08' GROUP BY merchant ORDER BY merchant;
-- What finds a payment stays as it is.
UPDATE fraud.transactions SET occurred_at = occurred_at + interval '1 month' WHERE transaction_id = 'ch-8';
UPDATE fraud.transactions SET transaction_id = 'x' WHERE transaction_id = 'ch-8';

-- A label of a few minutes on waits apart, and comes back.
SELECT fraud.label('ch-9', true, 'chargeback', now() + interval '5 minutes') > 0 AS labelled;
SELECT fraud.refresh_rollups();
SELECT (SELECT count(*) FROM fraud._log) AS in_log, (SELECT count(*) FROM fraud.waiting_labels WHERE transaction_id = 'ch-9') AS waits;
ALTER TABLE fraud.labels DISABLE TRIGGER labels_append_only;
UPDATE fraud.labels SET known_at = '2014-06-01' WHERE transaction_id = 'ch-9';
ALTER TABLE fraud.labels ENABLE TRIGGER labels_append_only;
UPDATE fraud.waiting_labels SET known_at = now() WHERE transaction_id = 'ch-9';
TABLE wrong;
SELECT fraud.refresh_rollups();
TABLE wrong;
SELECT count(*) AS waits FROM fraud.waiting_labels WHERE transaction_id = 'ch-9';

-- A worker folds whole pieces.
SELECT status, error FROM fraud.ingest('{"cc_num": 4000000000009701, "trans_num": "ch-30", "amt": 1, "merchant": "M1", "category": "c", "trans_date_trans_time": "2014-05-09 10:00:00"}');
-- A worker that looks just now is waited for.
BEGIN;
SELECT fraud._lock('rollups');
SELECT fraud._fold(2) AS two, fraud._fold(1) AS one, fraud._fold(1) AS none;
COMMIT;

-- The slots take turns, and what is in the log is seen wherever it lies.
UPDATE fraud.change_slots SET first_id = 1 WHERE slot = (SELECT last_value FROM fraud.change_slot);
CREATE TABLE turns (turn int, slot bigint);
DO $$
BEGIN
    FOR turn IN 1..24 LOOP
        INSERT INTO turns SELECT turn, last_value FROM fraud.change_slot;
        PERFORM fraud.ingest(jsonb_build_object('cc_num', 4000000000009701, 'trans_num', 'turn-' || turn, 'amt', turn, 'merchant', 'M1', 'category', 'c', 'unix_time', 1400000000 + turn));
        IF (TABLE wrong) > 0 THEN
            RAISE EXCEPTION 'wrong after turn %', turn;
        END IF;
        PERFORM fraud._lock('rollups'), fraud._turn_slots();
        UPDATE fraud.change_slots SET first_id = 1 WHERE slot = (SELECT last_value FROM fraud.change_slot);
        COMMIT;
        IF turn % 5 = 0 THEN
            PERFORM fraud.refresh_rollups();
            COMMIT;
        END IF;
    END LOOP;
END
$$;
SELECT count(DISTINCT slot) > 2 AS several FROM turns;
SELECT fraud.refresh_rollups() >= 0 AS refreshed, fraud.refresh_rollups() AS nothing_left;
SELECT count(*) FILTER (WHERE state = 'retired') > 0 AS retired, bool_and(state <> 'retired') FILTER (WHERE slot = (SELECT last_value FROM fraud.change_slot)) AS open FROM fraud.change_slots;
TABLE wrong;

-- In a transaction with a snapshot of its own no slot is retired or opened.
BEGIN ISOLATION LEVEL REPEATABLE READ;
CREATE TEMP TABLE slots_before AS TABLE fraud.change_slots;
SELECT fraud.refresh_rollups();
SELECT count(*) AS changed FROM ((TABLE slots_before EXCEPT TABLE fraud.change_slots)) c;
COMMIT;
DROP TABLE slots_before;

-- A rebuild comes to the same.
CREATE TABLE sums_before AS SELECT kind, starts_at, key, model, model_version, sum(payments) AS payments, sum(customers) AS customers, sum(volume) AS volume, sum(alerted_volume) AS alerted, sum(fraud) AS fraud, sum(fraud_volume) AS fraud_volume
    FROM fraud._rollups GROUP BY 1, 2, 3, 4, 5 HAVING sum(payments) <> 0;
SELECT fraud.rebuild_rollups() = (SELECT count(*) FROM fraud.transactions) AS all_of_them;
CREATE TABLE sums_after AS SELECT kind, starts_at, key, model, model_version, sum(payments) AS payments, sum(customers) AS customers, sum(volume) AS volume, sum(alerted_volume) AS alerted, sum(fraud) AS fraud, sum(fraud_volume) AS fraud_volume
    FROM fraud._rollups GROUP BY 1, 2, 3, 4, 5 HAVING sum(payments) <> 0;
SELECT * FROM ((TABLE sums_before EXCEPT TABLE sums_after) UNION ALL (TABLE sums_after EXCEPT TABLE sums_before)) x WHERE kind <> 'state';

-- Whatever is updated and deleted can be published.
SELECT c.oid::regclass AS without_replica_identity FROM pg_class c
WHERE c.relnamespace = 'fraud'::regnamespace AND c.relkind = 'r' AND c.relreplident = 'd'
  AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary);

SELECT fraud.rollback('payments');
DROP VIEW wrong, wrong_cards, told, counted;
DROP TABLE turns, sums_before, sums_after;
DROP PROCEDURE fold_each;
DELETE FROM fraud.transactions WHERE transaction_id ~ '^(ch|turn)-';
ALTER TABLE fraud.labels DISABLE TRIGGER labels_append_only;
DELETE FROM fraud.labels WHERE transaction_id ~ '^ch-';
ALTER TABLE fraud.labels ENABLE TRIGGER labels_append_only;
DELETE FROM fraud.payment_keys WHERE transaction_id ~ '^(ch|turn)-';
SELECT fraud.refresh_rollups() AS nothing_added;
RESET datestyle;
RESET timezone;
