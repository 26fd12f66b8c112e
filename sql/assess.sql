-- fraud.assess says what fraud.ingest would, and stores nothing.
CREATE TABLE stored_before AS SELECT (SELECT count(*) FROM fraud.transactions) AS transactions, (SELECT count(*) FROM fraud.customers) AS customers, (SELECT count(*) FROM fraud.ingest_errors) AS errors;
CREATE TABLE offer (payment jsonb);
INSERT INTO offer VALUES ('{"cc_num": 4000000000000020, "trans_num": "w-8", "amt": 321.5, "merchant": "m", "category": "misc_net", "lat": 40, "long": -75, "merch_lat": 41, "merch_long": -74, "city_pop": 1000, "dob": "1980-01-01", "current_time": 1600007200000}');
CREATE TABLE assessed AS SELECT (fraud.assess(payment)).* FROM offer;
SELECT decision, cardinality(reasons) > 0 AS reasons, features ->> 'amount' AS amount, features ->> 'count_24h' AS count_24h, features -> 'mean_1h' AS mean_1h FROM assessed;
SELECT s.transactions = (SELECT count(*) FROM fraud.transactions) AND s.customers = (SELECT count(*) FROM fraud.customers) AND s.errors = (SELECT count(*) FROM fraud.ingest_errors) AS nothing_stored FROM stored_before s;
SELECT i.score = a.score AS same_score, i.decision = a.decision AS same_decision FROM offer, fraud.ingest(payment) i, assessed a;
SELECT count(*) AS differing FROM fraud.transactions t, assessed a, unnest(fraud.payment_features()) WITH ORDINALITY u(n, i)
WHERE t.transaction_id = 'w-8' AND coalesce((a.features ->> n)::real, 'NaN') IS DISTINCT FROM t.features[i];

-- Without a time it is now.
SELECT features ->> 'count_30d' AS count_30d FROM fraud.assess('{"cc_num": 4000000000000020, "trans_num": "w-9", "amt": 1, "merchant": "m"}');
SELECT decision FROM fraud.assess('{"cc_num": 4000000000000020, "trans_num": "w-9", "amt": 1, "merchant": "m"}', 'payments/1');

SELECT * FROM fraud.assess('[]');
SELECT * FROM fraud.assess('{"trans_num": "x", "amt": 1, "merchant": "m"}');
SELECT * FROM fraud.assess('{"cc_num": 4000000000000020, "trans_num": "x", "amt": 1, "merchant": "m"}', 'stump/1');
SELECT * FROM fraud.assess('{"cc_num": 4000000000000020, "trans_num": "x", "amt": 1, "merchant": "m"}', 'nix');
SELECT * FROM fraud.assess('{"cc_num": 4000000000000020, "trans_num": "x", "amt": 1, "merchant": "m", "current_time": 4102444800000}');

-- A row of fraud.transactions is scored by its stored vector.
SELECT count(*) > 20 AS many, count(*) FILTER (WHERE fraud_score(t) IS DISTINCT FROM t.score) AS differing FROM fraud.transactions t;
SELECT fraud_score(t, 'stump/1') FROM fraud.transactions t LIMIT 1;

-- Reasons take most of the time, and may be left out.
SELECT a.score = b.score AND a.decision = b.decision AND a.features = b.features AS the_same, a.reasons IS NULL AS without, cardinality(b.reasons) > 0 AS with
FROM offer, fraud.assess(payment, with_reasons => false) a, fraud.assess(payment) b;
