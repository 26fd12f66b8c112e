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

-- Numbers and secrets through every entry point that takes text: none is in any column of
-- any table afterwards, nor in what is said. Whoever adds a table or a column is seen here.
CREATE TEMP TABLE forbidden (secret text);
INSERT INTO forbidden VALUES ('4111111111111111'), ('4111 1111 1111 1111'), ('4111-1111-1111-1111'), ('4111.1111.1111.1111'),
    ('5555555555554444'), ('378282246310005'), ('8642975'), ('DOE/JOHN');
SELECT * FROM tell('[
    {"cc_num": 4000000000000002, "trans_num": "order 4111 1111 1111 1111", "amt": 5, "merchant": "ref 4111-1111-1111-1111", "unix_time": 1470000100, "is_fraud": 1},
    {"cc_num": 4000000000000002, "trans_num": "x1", "amt": "five", "merchant": "M", "cvv": "8642975", "PIN": "8642975", "track2": ";4000000000000002=8642975?"},
    {"cc_num": 4000000000000002, "trans_num": 4111111111111111, "amt": 5, "merchant": "m", "category": "4111.1111.1111.1111", "first": "4111111111111111",
     "last": "a 4111111111111111", "gender": "4111111111111111", "street": "4111111111111111 St", "city": "5555555555554444", "state": "5555555555554444",
     "zip": "4111111111111111", "job": "%B4111111111111111^DOE/JOHN^8642975?", "unix_time": 1470000101},
    {"cc_num": 4000000000000002, "trans_num": "5555555555554444", "amt": "4111111111111111", "merchant": "m", "note": "378282246310005", "deep": [{"Security-Code": "8642975"}]},
    {"cc_num": 4000000000000002, "trans_num": "4111111111111111", "amt": 5, "merchant": "m", "current_time": 4102444800000, "job": "378282246310005"}]', '4111-1111-1111-1111');
SELECT * FROM tell('{"columns": ["cc_num", "trans_num", "amt", "merchant", "c v v", "unix_time"], "data": [[4000000000000002, "t", "x", "5555555555554444", 8642975, 1], [8642975, 5555555555554444]]}');
SELECT * FROM tell('"{\"cc_num\": 4000000000000002, \"trans_num\": \"n1\", \"amt\": 1,\n\"pinBlock\": \"8642975\"}\n{\"amt\": 1, \"cvv\": \"8642975\", \"pan\": 4111111111111111\n{\"amt\": 1, \"x\": {\"magstripe\": [8642975]}}"');
CREATE TEMP TABLE history_5 AS SELECT * FROM (VALUES
    ('4000000000000002', '4111111111111111', '1', 'm 4111-1111-1111-1111', '1470000200', '1', '8642975'),
    ('4000000000000002', '5555555555554444', 'x 4111111111111111', 'cvv 8642975', '1470000200', '0', '8642975')) v(cc_num, trans_num, amt, merchant, unix_time, is_fraud, cvv);
SELECT fraud.load_history('history_5');
SELECT fraud.label('4111111111111111', true, 'desk 4111 1111 1111 1111 PIN 8642975', card => (SELECT card FROM fraud.transactions WHERE merchant = 'ref ************1111')) > 0;
SELECT fraud.label('order 4111 1111 1111 1111', false, overrule => true) > 0;
SELECT fraud.label((SELECT transaction_id FROM fraud.transactions WHERE merchant = 'ref ************1111'), false, overrule => true) > 0;
SELECT fraud.label('378282246310005', true);
SELECT fraud.tag_version('payments', 1, '{"4111111111111111": "4111-1111-1111-1111", "n": 5555555555554444, "deep": [{"a": 378282246310005}], "at": 1730134684025123}');
SELECT fraud.describe_model('payments', 'of 4111111111111111');
SELECT fraud.describe_model('payments', 'of 4111 1111 1111 1111', 1);
SELECT fraud.promote('payments', 1, review_at => 0.053, block_at => 0.506, reason => 'for 4111.1111.1111.1111, cvc2 8642975');
SELECT (fraud.confirm_case(case_id, 'told 4111 1111 1111 1111, CVV: 8642975')).status FROM fraud.cases WHERE status = 'open' ORDER BY case_id LIMIT 1;
CREATE TABLE privacy_events (id text, at timestamptz);
SELECT fraud.create_feature_set('privacy', 'privacy_events', 'id', 'at', description => '4111111111111111');
SELECT fraud.add_feature('privacy', 'one', 'length(id)', description => '4111111111111111', reason => '4111111111111111');
-- A name is refused, for whoever gave it would use it.
SELECT fraud.add_source('x4111111111111111', 'http://127.0.0.1:1/');
SELECT fraud.add_channel('4111-1111-1111-1111', 'notify', 'x');
SELECT fraud.create_feature_set('f4111111111111111', 'privacy_events', 'id', 'at');
SELECT fraud.add_feature('privacy', 'f4111111111111111', '1');
SELECT fraud.import_model('m4111111111111111', '');
SELECT fraud.expect_payments('x4111111111111111', '1 hour');
SELECT fraud.train('privacy', 'payments', '{"eta": 0.1, "note": "4111111111111111"}', '2016-01-01', '2016-02-01', '2016-03-01', '2016-04-01');
SELECT f.secret, h.* FROM forbidden f, holding(replace(replace(f.secret, '.', '[.]'), '-', '[-]')) h;
SELECT f.secret, h.* FROM forbidden f, holding(f.secret) h;
SELECT count(*) FROM forbidden f JOIN told t ON position(f.secret IN t.line) > 0;
-- What is given for any text of any function is in no error of it, whatever is wrong with it. (What Postgres itself says, of a role or a type, is Postgres's.)
CREATE FUNCTION pg_temp.error_of(call text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE call;
    RAISE EXCEPTION 'taken back';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLERRM;
END $$;
WITH functions AS (
    SELECT p.oid, p.proname, format('SELECT %s(%s)', p.oid::regproc, (
        SELECT string_agg(format(CASE t WHEN 'text[]'::regtype THEN 'ARRAY[%L]::%s' WHEN '"any"'::regtype THEN '%L::text' ELSE '%L::%s' END,
            CASE t::regtype WHEN 'text'::regtype THEN '4111 1111 1111 1111' WHEN 'text[]'::regtype THEN '4111 1111 1111 1111' WHEN '"any"'::regtype THEN '4111 1111 1111 1111'
                 WHEN 'jsonb'::regtype THEN '{}' WHEN 'boolean'::regtype THEN 'true' WHEN 'interval'::regtype THEN '1 day'
                 WHEN 'timestamptz'::regtype THEN '2016-01-01 00:00:00+00' WHEN 'uuid'::regtype THEN '00000000-0000-4000-8000-000000000000'
                 WHEN 'real[]'::regtype THEN '{1}' WHEN 'float8[]'::regtype THEN '{0.5}' WHEN 'regclass'::regtype THEN 'privacy_events' WHEN 'bytea'::regtype THEN '' ELSE '1' END, t::regtype), ', ' ORDER BY o)
        FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY a(t, o))) AS call
    FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
    WHERE p.pronamespace = 'fraud'::regnamespace AND p.prokind = 'f' AND p.proname !~ '^_' AND p.proargtypes::oid[] && ARRAY['text'::regtype, 'text[]'::regtype]::oid[]),
told AS (SELECT proname, pg_temp.error_of(call) AS error FROM functions WHERE proname NOT IN ('report_html', 'run_job'))
SELECT count(*) > 80 AS many, count(*) FILTER (WHERE error ~ '[*]{12}1111') > 40 AS said, string_agg(proname || ': ' || error, '; ') FILTER (WHERE error ~ '4111 1111 1111 1111' AND error !~ '^role "') AS unmasked FROM told;
-- Different ids stay different, the same is the same, times and others stay as they are.
SELECT * FROM tell('[
    {"cc_num": 4000000000000002, "trans_num": "4111111111111111", "amt": 5, "merchant": "m", "unix_time": 1470000300},
    {"cc_num": 4000000000000002, "trans_num": "4111111111111111", "amt": 5, "merchant": "m", "unix_time": 1470000300},
    {"cc_num": 4000000000000002, "trans_num": "5105105105105100", "amt": 1, "merchant": "ids", "unix_time": 1470000300},
    {"cc_num": 4000000000000002, "trans_num": "4012888888881881", "amt": 1, "merchant": "ids", "unix_time": 1470000300},
    {"cc_num": 4000000000000002, "trans_num": "1000000000000008", "amt": 1, "merchant": "ids", "unix_time": 1470000300},
    {"cc_num": 12345678, "trans_num": "t-12345678", "amt": 1, "merchant": "ids", "unix_time": 1470000300}]');
SELECT transaction_id ~ '^pan_[0-9a-f]{32}$' AS replaced, count(DISTINCT transaction_id) FROM fraud.transactions WHERE merchant = 'ids' GROUP BY 1 ORDER BY 1;
SELECT fraud.label('t-12345678', true) > 0;
-- A dead letter that is mended and sent again is the payment of its id.
SELECT payload_text::jsonb ->> 'trans_num' = e.transaction_id AS same, e.transaction_id ~ '^pan_' AS replaced
FROM fraud.ingest_errors e, convert_from(e.payload, 'UTF8') payload_text WHERE payload_text ~ '"note"';
SELECT has_table_privilege('public', 'fraud.id_keys', 'SELECT');
SELECT fraud.drop_feature_set('privacy');
DROP TABLE privacy_events;
