-- Corners that once gave a wrong answer.
-- A promotion that a subtransaction undid is undone also for a call that outlives
-- it, under every isolation level.
CREATE FUNCTION stump_score() RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
    score float8;
BEGIN
    score := fraud_score('{"a": 1, "b": 0}'::jsonb, 'stump@edge');
    RETURN round(score::numeric, 5);
END
$$;
CREATE FUNCTION promote_and_undo(OUT before numeric, OUT inside numeric, OUT after numeric) LANGUAGE plpgsql AS $$
BEGIN
    before := stump_score();
    BEGIN
        PERFORM fraud.promote('stump', 2, 'edge');
        inside := stump_score();
        RAISE EXCEPTION 'undo';
    EXCEPTION WHEN raise_exception THEN
        NULL;
    END;
    after := stump_score();
END
$$;
SELECT fraud.promote('stump', 1, 'edge');
BEGIN ISOLATION LEVEL READ COMMITTED;
SELECT * FROM promote_and_undo();
COMMIT;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT * FROM promote_and_undo();
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT * FROM promote_and_undo();
COMMIT;

-- A relation of the same schema and a similar name is no payment.
CREATE TABLE fraud.transactions_of_mine (a int, b int);
INSERT INTO fraud.transactions_of_mine VALUES (1, 0);
SELECT round(fraud_score(t, 'stump/1')::numeric, 5) FROM fraud.transactions_of_mine t;
DROP TABLE fraud.transactions_of_mine;
SELECT count(*) > 0 AS partitions_are FROM fraud.transactions_2020_09 t WHERE fraud_score(t) = t.score;

-- What could not be stored is kept without card numbers, its id too.
SELECT regexp_replace(transaction_id, '^pan_[0-9a-f]{32}$', 'replaced') AS transaction_id, status FROM fraud.ingest('[
    {"cc_num": "4000-0000-0000-0130", "trans_num": "id-4000000000000130-1", "amt": 1, "merchant": "m", "unix_time": 1470000000},
    {"cc_num": "id-2", "trans_num": 4000000000000130, "amt": 1, "merchant": "m", "unix_time": 1470000000}]', 'edge');
SELECT count(DISTINCT transaction_id), bool_and(transaction_id ~ '^pan_[0-9a-f]{32}$') AS replaced FROM fraud.ingest_errors WHERE source = 'edge';

-- A label is never known before its payment.
CREATE TABLE edge_history (cc_num text, trans_num text, amt numeric, merchant text, trans_date_trans_time timestamp, merch_lat real, merch_long float8, is_fraud int);
INSERT INTO edge_history VALUES ('4111000000000301', 'eh-1', 1, 'm', '2016-01-01', 39.25, -75.12345678901234, 1);
SELECT fraud.load_history('edge_history', '-1 day');
SELECT fraud.simulate(1, 1, 1, 1, '2016-01-01 00:00:00+00', label_delay => '-1 day');
-- No digit is lost, whatever the session says of floats.
SET extra_float_digits = -3;
SELECT fraud.load_history('edge_history');
RESET extra_float_digits;
SELECT merchant_latitude, merchant_longitude FROM fraud.transactions WHERE transaction_id = 'eh-1';
-- The era counts.
UPDATE edge_history SET trans_num = 'eh-2', trans_date_trans_time = '2016-01-01 BC';
SELECT fraud.load_history('edge_history');
SELECT count(*) FROM fraud.transactions WHERE transaction_id = 'eh-2';
