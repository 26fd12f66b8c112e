-- fraud.ingest: every layout, stored once, features as of the payment's own time,
-- bad payments kept apart.
CREATE VIEW outcome AS SELECT transaction_id, amount, merchant, category, occurred_at, score IS NOT NULL AS scored, decision, source
FROM fraud.transactions;
-- The stored vector by name.
CREATE FUNCTION vector(id text) RETURNS TABLE (feature text, value real) LANGUAGE sql AS $$
    SELECT n, t.features[i] FROM fraud.transactions t, unnest(fraud.payment_features()) WITH ORDINALITY u(n, i)
    WHERE t.transaction_id = id AND t.features[i] <> 'NaN'
$$;

-- The wire format, word for word.
SELECT transaction_id, status, score BETWEEN 0 AND 1 AS scored, decision, error FROM fraud.ingest($$
"{\"columns\":[\"cc_num\",\"merchant\",\"category\",\"amt\",\"first\",\"last\",\"gender\",\"street\",\"city\",\"state\",\"zip\",\"lat\",\"long\",\"city_pop\",\"job\",\"dob\",\"trans_num\",\"merch_lat\",\"merch_long\",\"is_fraud\",\"current_time\"],\"index\":[301199],\"data\":[[4497913965512794052,\"fraud_Berge, Kautzer and Harris\",\"personal_care\",60.16,\"Scott\",\"Edwards\",\"M\",\"838 Amy Street Suite 107\",\"Pembroke\",\"NC\",28372,34.6902,-79.1834,14783,\"Hospital doctor\",\"1955-11-07\",\"3cb54a489fb351f73a7db98f6c7bb1ad\",34.38451,-78.621062,0,1730134684025]]}"
$$);
SELECT * FROM outcome;
SELECT last_four, first_name, city, state, zip, latitude, longitude, city_population, job, date_of_birth FROM fraud.customers;
SELECT feature, round(value::numeric, 3) AS value FROM vector('3cb54a489fb351f73a7db98f6c7bb1ad');

-- Again, and again with another time.
SELECT transaction_id, status FROM fraud.ingest('{"cc_num": 4497913965512794052, "trans_num": "3cb54a489fb351f73a7db98f6c7bb1ad", "amt": 60.16, "merchant": "Berge, Kautzer and Harris", "current_time": 1730134684025}');
SELECT transaction_id, status FROM fraud.ingest('{"cc_num": "4497913965512794052", "trans_num": "3cb54a489fb351f73a7db98f6c7bb1ad", "amt": 60.16, "merchant": "Berge, Kautzer and Harris", "current_time": 1730999999999}');
SELECT count(*) FROM fraud.transactions;

-- The other layouts; the partition for each month comes by itself.
SELECT transaction_id, status FROM fraud.ingest('{"columns": ["cc_num", "trans_num", "amt", "merchant", "current_time"], "index": [0, 1], "data": [[4000000000000010, "split-1", 1.5, "m", 1600000000000], [4000000000000010, "split-2", 2.5, "m", 1600000060000]]}');
SELECT transaction_id, status FROM fraud.ingest('[{"cc_num": 4000000000000010, "trans_num": "rec-1", "amt": 3, "merchant": "m", "unix_time": 1600000120}, {"cc_num": 4000000000000010, "trans_num": "rec-2", "amt": 4, "merchant": "m", "trans_date_trans_time": "2020-09-13 12:30:00"}]', 'feed');
SELECT transaction_id, amount, occurred_at, source FROM outcome WHERE transaction_id ~ '^(split|rec)' ORDER BY occurred_at;
SELECT relid FROM pg_partition_tree('fraud.transactions') WHERE isleaf AND relid::text !~ to_char(now(), 'YYYY_MM') AND relid::text !~ to_char(now() + interval '1 month', 'YYYY_MM') ORDER BY 1;

-- Windows are (t - w, t], without the payment itself, whatever order payments come in.
SELECT feature, value FROM vector('rec-2') WHERE feature ~ '^(count|sum|mean|seconds)';
SELECT transaction_id, status FROM fraud.ingest('[
    {"cc_num": 4000000000000020, "trans_num": "w-5", "amt": 16, "merchant": "m", "current_time": 1600003600000},
    {"cc_num": 4000000000000020, "trans_num": "w-1", "amt": 1, "merchant": "m", "current_time": 1600000000000},
    {"cc_num": 4000000000000020, "trans_num": "w-2", "amt": 2, "merchant": "m", "current_time": 1600000000001},
    {"cc_num": 4000000000000020, "trans_num": "w-4", "amt": 8, "merchant": "m", "current_time": 1600003600000},
    {"cc_num": 4000000000000020, "trans_num": "w-3", "amt": 4, "merchant": "m", "current_time": 1600003600000},
    {"cc_num": 4000000000000020, "trans_num": "w-6", "amt": 32, "merchant": "m", "current_time": 1600003600001}]');
SELECT t.transaction_id, v.count, v.sum FROM fraud.transactions t,
    LATERAL (SELECT max(value) FILTER (WHERE feature = 'count_1h') AS count, max(value) FILTER (WHERE feature = 'sum_1h') AS sum FROM vector(t.transaction_id)) v
WHERE t.transaction_id ~ '^w-' ORDER BY 1;
-- A late payment sees what was before it, and not what came after.
SELECT transaction_id, status FROM fraud.ingest('{"cc_num": 4000000000000020, "trans_num": "w-late", "amt": 64, "merchant": "m", "current_time": 1600000000001}');
SELECT * FROM vector('w-late') WHERE feature ~ '^(count_1h|sum_1h|seconds)';
SELECT transaction_id, status FROM fraud.ingest('{"cc_num": 4000000000000020, "trans_num": "w-7", "amt": 1, "merchant": "m", "current_time": 1600003600001}');
SELECT * FROM vector('w-7') WHERE feature ~ '^(count_1h|sum_1h|seconds)';

-- A payment's id is its own together with its card; twice in one batch is once.
SELECT transaction_id, status FROM fraud.ingest('[{"cc_num": 4000000000000030, "trans_num": "w-1", "amt": 1, "merchant": "m", "current_time": 1600000000000}, {"cc_num": 4000000000000030, "trans_num": "w-1", "amt": 1, "merchant": "m", "current_time": 1600000000000}]');

-- A caller that never sees card numbers names the card.
SELECT transaction_id, status FROM fraud.ingest((SELECT jsonb_build_object('card', card, 'trans_num', 'token-1', 'amt', 5, 'merchant', 'm', 'current_time', 1600000300000) FROM fraud.customers WHERE last_four = '0030'));
SELECT count(*), count(DISTINCT card) FROM fraud.transactions WHERE transaction_id = 'token-1' OR card = (SELECT card FROM fraud.customers WHERE last_four = '0030');

-- The newest payment tells the customer's details; an older one fills gaps only.
SELECT status FROM fraud.ingest('{"cc_num": 4000000000000040, "trans_num": "c-1", "amt": 1, "merchant": "m", "current_time": 1600000000000, "first": "Early", "city": "Oldtown"}');
SELECT status FROM fraud.ingest('{"cc_num": 4000000000000040, "trans_num": "c-2", "amt": 1, "merchant": "m", "current_time": 1600000100000, "first": "Late"}');
SELECT status FROM fraud.ingest('{"cc_num": 4000000000000040, "trans_num": "c-3", "amt": 1, "merchant": "m", "current_time": 1600000050000, "first": "Middle", "job": "Baker"}');
SELECT first_name, city, job, first_payment_at, last_payment_at FROM fraud.customers WHERE last_four = '0040';
-- What comes again in one batch tells nothing of him.
SELECT status FROM fraud.ingest('[{"cc_num": 4000000000000040, "trans_num": "c-4", "amt": 1, "merchant": "m", "current_time": 1600000200000, "first": "Last"}, {"cc_num": 4000000000000040, "trans_num": "c-4", "amt": 1, "merchant": "m", "current_time": 1600000300000, "first": "Again"}]');
SELECT first_name, city, job, first_payment_at, last_payment_at FROM fraud.customers WHERE last_four = '0040';

-- is_fraud becomes a label and no feature; a feed may learn it later.
SELECT status FROM fraud.ingest('{"cc_num": 4000000000000050, "trans_num": "l-1", "amt": 1, "merchant": "m", "current_time": 1600000000000, "is_fraud": 0}');
SELECT status FROM fraud.ingest('{"cc_num": 4000000000000060, "trans_num": "l-2", "amt": 1, "merchant": "m", "current_time": 1600000000000, "is_fraud": 1}');
SELECT a.features = b.features AS same FROM fraud.transactions a, fraud.transactions b WHERE a.transaction_id = 'l-1' AND b.transaction_id = 'l-2';
SELECT transaction_id, is_fraud, source, known_at = recorded_at AS known_now FROM fraud.labels;
SELECT status FROM fraud.ingest('{"cc_num": 4000000000000050, "trans_num": "l-1", "amt": 1, "merchant": "m", "current_time": 1600000000000, "is_fraud": 1}');
SELECT status FROM fraud.ingest('{"cc_num": 4000000000000050, "trans_num": "l-1", "amt": 1, "merchant": "m", "current_time": 1600000000000, "is_fraud": 1}');
SELECT transaction_id, is_fraud FROM fraud.labels ORDER BY label_id;

-- A known id with another amount or merchant is no repetition: a dead letter, one however often it
-- comes and with whatever time. Of two in one body the first is it. Another time alone is nothing.
CREATE FUNCTION f1(amt text, merchant text DEFAULT 'A', at bigint DEFAULT 1600000000, more text DEFAULT '') RETURNS text LANGUAGE sql
RETURN format('{"cc_num": 4000000000000002, "amt": %s, "merchant": "%s", "unix_time": %s, "trans_num": "f1"%s}', amt, merchant, at, more);
SELECT transaction_id, status, error FROM fraud.ingest(format('[%s, %s, %s, %s]', f1('1.5'), f1('999.99'), f1('1.50', 'fraud_A', 1600000001), f1('1.5', 'B', 1599999999))::jsonb);
SELECT status, error FROM fraud.ingest(f1('1.5', at => 1600000005)::jsonb);
SELECT status, error FROM fraud.ingest(f1('999.99', at => 1600000005)::jsonb);
SELECT status, error FROM fraud.ingest(f1('999.99', 'B')::jsonb);
-- As it stands in a body alone, the one that differs comes first.
SELECT status, error FROM fraud.ingest(format('[%s, %s]', f1('999.99', at => 1600000006), f1('1.5'))::jsonb);
SELECT amount, merchant, count(*) FROM fraud.transactions WHERE transaction_id = 'f1' GROUP BY 1, 2;
SELECT reason, occurrences, last_four, card = (SELECT card FROM fraud.customers WHERE last_four = '0002') AS card_is_known, convert_from(payload, 'UTF8')::jsonb - 'last_four' AS payload FROM fraud.ingest_errors WHERE transaction_id = 'f1' ORDER BY error_id;
-- A label that comes with it counts where the payment is the same, and only there.
SELECT status FROM fraud.ingest(f1('999.99', more => ', "is_fraud": 1')::jsonb);
SELECT count(*) FROM fraud.labels WHERE transaction_id = 'f1';
SELECT status FROM fraud.ingest(f1('1.5', more => ', "is_fraud": 1')::jsonb);
SELECT count(*) FROM fraud.labels WHERE transaction_id = 'f1';
-- The same id of another card is another payment; what is stored without a hash compares to nothing.
SELECT status FROM fraud.ingest(replace(f1('999.99'), '4000000000000002', '4000000000000044')::jsonb);
BEGIN;
UPDATE fraud.payment_keys SET content_hash = NULL WHERE transaction_id = 'f1';
SELECT status FROM fraud.ingest(f1('7')::jsonb);
ROLLBACK;
-- In whatever order two contents come, the first is stored, and what differs from it is kept apart.
SELECT setseed(0.5) IS NULL AS seeded;
CREATE TEMP TABLE given AS SELECT n, k, ceil(random() * 2)::text AS amt, floor(random() * 3)::int AS later FROM generate_series(1, 60) n, generate_series(1, 5) k;
CREATE TEMP TABLE told AS SELECT n, i.k, i.status FROM (
        SELECT n, jsonb_agg(f1(amt, at => 1600000000 + later)::jsonb || jsonb_build_object('trans_num', 'fn-' || n) ORDER BY k) AS body FROM given GROUP BY n) g,
    LATERAL fraud.ingest(g.body) WITH ORDINALITY i(transaction_id, status, score, decision, error, k);
SELECT count(DISTINCT n) > 50 AS with_both FROM given g WHERE amt <> (SELECT f.amt FROM given f WHERE (f.n, f.k) = (g.n, 1));
SELECT g.k = 1 AS first, g.amt = f.amt AS same, o.status, bool_and(t.amount = f.amt::numeric AND extract(epoch FROM t.occurred_at) = 1600000000 + f.later) AS the_first_is_stored
FROM given g JOIN told o USING (n, k) JOIN given f ON f.n = g.n AND f.k = 1 JOIN fraud.transactions t ON t.transaction_id = 'fn-' || g.n
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
SELECT count(*) AS letters, sum(occurrences) = (SELECT count(*) FROM told WHERE status = 'rejected') AS counted FROM fraud.ingest_errors WHERE transaction_id LIKE 'fn-%';
DROP TABLE given, told;
DROP FUNCTION f1;
DELETE FROM fraud.ingest_errors WHERE transaction_id LIKE 'f%';

-- What cannot be stored is kept, without card numbers; what is beside it is stored.
SELECT transaction_id, status, error FROM fraud.ingest('[
    {"cc_num": 4000000000000070, "trans_num": "good", "amt": 1, "merchant": "m", "current_time": 1600000000000},
    {"cc_num": 4000000000000070, "trans_num": "amt", "amt": "abc", "merchant": "m", "current_time": 1600000000000},
    {"cc_num": 4000000000000070, "trans_num": "cents", "amt": 1.005, "merchant": "m", "current_time": 1600000000000},
    {"cc_num": 4000000000000070, "trans_num": "negative", "amt": -1, "merchant": "m", "current_time": 1600000000000},
    {"cc_num": 4.5, "trans_num": "fraction", "amt": 1, "merchant": "m", "current_time": 1600000000000},
    {"cc_num": 1234567, "trans_num": "short", "amt": 1, "merchant": "m", "current_time": 1600000000000},
    {"trans_num": "no card", "amt": 1, "merchant": "m", "current_time": 1600000000000},
    {"cc_num": 4000000000000070, "amt": 1, "merchant": "m", "current_time": 1600000000000},
    {"cc_num": 4000000000000070, "trans_num": "no merchant", "amt": 1, "current_time": 1600000000000},
    {"cc_num": 4000000000000070, "trans_num": "lat", "amt": 1, "merchant": "m", "merch_lat": 91, "current_time": 1600000000000},
    {"cc_num": 4000000000000070, "trans_num": "dob", "amt": 1, "merchant": "m", "dob": "1955-02-30", "current_time": 1600000000000},
    {"cc_num": 4000000000000070, "trans_num": "no time", "amt": 1, "merchant": "m"},
    {"cc_num": 4000000000000070, "trans_num": "future", "amt": 1, "merchant": "m", "current_time": 4102444800000},
    17]');
SELECT transaction_id, last_four, card = (SELECT card FROM fraud.customers WHERE last_four = '0070') AS card_is_known, occurrences, reason FROM fraud.ingest_errors ORDER BY error_id;
SELECT count(*) FROM fraud.ingest_errors WHERE convert_from(payload, 'UTF8') ~ '400000000000007|[0-9]{14}';
-- The payload, which operators read, names no card; the owner mends the letter with it and sends it again.
SELECT count(*) FROM fraud.ingest_errors WHERE convert_from(payload, 'UTF8') ~ (SELECT card::text FROM fraud.customers WHERE last_four = '0070');
SELECT transaction_id, status FROM fraud.ingest((SELECT convert_from(payload, 'UTF8')::jsonb || jsonb_build_object('card', card, 'current_time', 1600000001000) FROM fraud.ingest_errors WHERE transaction_id = 'no time'));
SELECT count(DISTINCT card) FROM fraud.transactions WHERE transaction_id IN ('good', 'no time');

-- The zone of a birth is not known, so it may seem to be a day later; a stand-in is no birth.
SELECT dob, status
FROM (VALUES ('2020-09-14'), ('2020-09-13'), ('1990-09-13'), ('1875-01-01'), ('1000-01-01'), ('0001-01-01')) d(dob),
    fraud.ingest(jsonb_build_object('cc_num', 4000000000000070, 'trans_num', 'born ' || dob, 'amt', 1, 'merchant', 'm',
        'current_time', 1600000000000, 'dob', dob)) i(transaction_id, status, score, decision, error);
SELECT transaction_id, age FROM fraud.transactions WHERE transaction_id LIKE 'born %' ORDER BY 1;

-- A whole that is none.
SELECT * FROM fraud.ingest('17');
SELECT * FROM fraud.ingest('"hello"');
SELECT * FROM fraud.ingest('{}');
SELECT * FROM fraud.ingest('{"columns": ["amt"], "data": 5}');
SELECT * FROM fraud.ingest('[]');
SELECT * FROM fraud.ingest('{"columns": ["trans_num", "amt"], "index": [], "data": []}');
SELECT * FROM fraud.ingest('[]', '');

-- An alert is a row, a message in the outbox and a NOTIFY; one commit, or none.
SELECT fraud.promote('payments', 1, reason => 'alert on all', review_at => 0, block_at => 1);
BEGIN;
SELECT status, decision FROM fraud.ingest('{"cc_num": 4000000000000080, "trans_num": "a-1", "amt": 900, "merchant": "<b>m</b>", "category": "shopping_net", "current_time": 1600000000000, "is_fraud": 1}');
ROLLBACK;
SELECT (SELECT count(*) FROM fraud.transactions WHERE transaction_id = 'a-1') AS transactions, (SELECT count(*) FROM fraud.payment_keys WHERE transaction_id = 'a-1') AS keys, (SELECT count(*) FROM fraud.customers WHERE last_four = '0080') AS customers, (SELECT count(*) FROM fraud.alerts WHERE transaction_id = 'a-1') AS alerts, (SELECT count(*) FROM fraud.outbox WHERE payload ->> 'transaction_id' = 'a-1') AS outbox, (SELECT count(*) FROM fraud.labels WHERE transaction_id = 'a-1') AS labels;
SELECT status, decision FROM fraud.ingest('{"cc_num": 4000000000000080, "trans_num": "a-1", "amt": 900, "merchant": "<b>m</b>", "category": "shopping_net", "current_time": 1600000000000, "is_fraud": 1}');
SELECT a.transaction_id, a.decision, a.model, a.model_version, a.reasons[1], c.status, c.alerts, c.amount FROM fraud.alerts a JOIN fraud.cases c USING (card, case_id) WHERE a.transaction_id = 'a-1';
SELECT kind, payload - 'card' - 'score' - 'alert_id' - 'case_id' AS payload, payload ->> 'card' = a.card::text AS card, (payload ->> 'alert_id')::bigint = a.alert_id AS alert FROM fraud.outbox JOIN fraud.alerts a ON payload ->> 'transaction_id' = a.transaction_id WHERE a.transaction_id = 'a-1';
SELECT fraud.rollback('payments');
