-- No card number is in any column of any table, however it came.
CREATE TEMP TABLE told (line text);
CREATE FUNCTION tell(payments jsonb, source text DEFAULT 'sql') RETURNS TABLE (status text, payments_of_status bigint) LANGUAGE plpgsql AS $$
BEGIN
    CREATE TEMP TABLE outcome_now ON COMMIT DROP AS SELECT * FROM fraud.ingest(payments, source);
    INSERT INTO told SELECT o::text FROM outcome_now o;
    RETURN QUERY SELECT o.status, count(*) FROM outcome_now o GROUP BY 1 ORDER BY 1;
    DROP TABLE outcome_now;
EXCEPTION WHEN OTHERS THEN
    INSERT INTO told VALUES (SQLERRM);
    RETURN QUERY SELECT SQLSTATE, 1::bigint;
END
$$;
SELECT fraud.promote('payments', 1, review_at => 0, block_at => 1, reason => 'alert on all');
SELECT * FROM tell('[
    {"cc_num": 4929000000123457, "trans_num": "pv-1", "amt": 1, "merchant": "m", "unix_time": 1470000000, "is_fraud": 1, "first": "Ada"},
    {"cc_num": "4929000000123457", "trans_num": "pv-1", "amt": 1, "merchant": "m", "unix_time": 1470000001},
    {"cc_num": 4929000000123457, "trans_num": "pv-2", "amt": "4929000000123457", "merchant": "m", "unix_time": 1470000000},
    {"cc_num": 4929000000123457, "trans_num": "pv-3", "amt": 1, "merchant": "the card 4929000000123457", "unix_time": 1470000000},
    {"cc_num": 4929000000123457, "trans_num": "pv-4929000000123457", "amt": 1, "merchant": "m", "unix_time": 1470000000},
    {"cc_num": 4929000000123457, "trans_num": "pv-5", "amt": 1, "merchant": "m", "street": "x4929000000123457x", "unix_time": 1470000000},
    {"cc_num": 4929000000123457, "trans_num": "pv-6", "amt": 1, "merchant": "m", "lat": 4929000000123457, "unix_time": 1470000000},
    {"cc_num": 4929000000123457, "trans_num": "pv-7", "amt": 1, "merchant": "m", "unix_time": 4929000000123457},
    {"cc_num": 4929000000123457, "trans_num": "pv-8", "amt": 1, "merchant": "m", "4929000000123457": {"deep": ["4929000000123457", 4929000000123457, "4929 0000 0012 3457"]}},
    {"cc_num": 4929000000123457, "trans_num": "pv-9", "amt": 1, "merchant": "m", "current_time": 4102444800000, "job": "4929-0000-0012-3457"},
    {"cc_num": "4929 0000 0012 3457", "trans_num": "pv-10", "amt": 1, "merchant": "m", "unix_time": 1470000000},
    {"cc_num": "4929000000123457 ", "trans_num": "pv-11", "amt": 1, "merchant": "m", "unix_time": 1470000000},
    {"cc_num": 4.929000000123457e15, "card": "00000000-0000-8000-8000-000000000000", "trans_num": "pv-12", "amt": 1, "merchant": "m", "unix_time": 1470000000},
    {"cc_num": [4929000000123457], "trans_num": "pv-13", "amt": 1, "merchant": "m", "unix_time": 1470000000},
    "4929000000123457", [4929000000123457], 4929000000123457, {"cc_num": 4929000000123457}]');
SELECT * FROM tell('{"columns": ["cc_num", "trans_num", "amt", "merchant", "unix_time"], "data": [[4929000000123457, "pv-20", 1, "m"], [4929000000123457, "pv-21", 1, "m", 1470000002], 4929000000123457, "x4929000000123457"]}');
SELECT * FROM tell('4929000000123457');
SELECT * FROM tell('"4929000000123457"');
SELECT * FROM tell('"{\"cc_num\": 4929000000123457, }"');
SELECT * FROM tell('{"columns": [4929000000123457], "data": 4929000000123457}');
SELECT * FROM tell('{"4929000000123457": 1}');
CREATE TEMP TABLE history_4 AS SELECT * FROM (VALUES ('4929000000123457', 'pv-30', '1', 'm', '1470000003'), ('4929000000123457', 'pv-31', 'x', 'm', '1470000003'), ('4929000000123457', 'pv-32', '1', 'm 4929000000123457', '1470000003'), ('4929-0000-0012-3457', 'pv-33', '1', 'm', '1470000003')) v(cc_num, trans_num, amt, merchant, unix_time);
SELECT fraud.load_history('history_4');
SELECT decision FROM fraud.assess('{"cc_num": 4929000000123457, "trans_num": "pv-40", "amt": 1, "merchant": "m"}');
SELECT fraud.promote('payments', 1, review_at => 0.053, block_at => 0.506, reason => 'as it came');

-- Looks at each row of each table as text, and at bytes as hexadecimal digits.
CREATE FUNCTION holding(pattern text) RETURNS TABLE (relation text, found bigint) LANGUAGE plpgsql AS $$
DECLARE
    r regclass;
BEGIN
    FOR r IN SELECT c.oid FROM pg_class c WHERE c.relnamespace = 'fraud'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY c.relname
    LOOP
        RETURN QUERY EXECUTE format('SELECT %L, count(*) FROM %s t WHERE t::text ~ %L OR t::text LIKE %L HAVING count(*) > 0',
            r::text, r, pattern, '%' || encode(convert_to(pattern, 'UTF8'), 'hex') || '%');
    END LOOP;
END
$$;
SELECT * FROM holding('4929000000123457');
SELECT count(*) FROM told WHERE line ~ '4929000000123457';
-- It would be found if it were there: the id of a payment is.
SELECT * FROM holding('pv-9');
SELECT transaction_id, merchant FROM fraud.transactions WHERE transaction_id ~ '^pv-' ORDER BY 1;
SELECT transaction_id, last_four, reason FROM fraud.ingest_errors WHERE source = 'sql' AND (transaction_id ~ '^pv-' OR last_four = '3457') ORDER BY error_id;
SELECT count(DISTINCT card) FROM fraud.ingest_errors WHERE last_four = '3457';
