-- However payments come (one by one, in batches of any size, as a history, or
-- shuffled within a batch), their vectors and scores are the same, and are what
-- plain SQL says they should be.
CREATE TABLE stream AS
SELECT i, 1 + i % 3 AS card,
       -- some at the same moment, some at the very edge of a window
       1450000000 + CASE i % 10 WHEN 7 THEN (i - 1) * 5000 WHEN 8 THEN (i - 3) * 5000 + 3600 WHEN 5 THEN (i - 3) * 5000 + 3599 WHEN 2 THEN i * 5000 WHEN 9 THEN (i - 3) * 5000 ELSE i * 5000 + hashint4(i) % 1800 END AS unix_time,
       (abs(hashint4(i * 31)) % 100000) / 100.0 AS amt,
       'm' || i % 7 AS merchant, (ARRAY['home', 'travel', 'misc_net', NULL])[1 + i % 4] AS category,
       40 + (i % 9) / 7.0 AS merch_lat, -75 - (i % 5) / 7.0 AS merch_long
FROM generate_series(1, 600) i;
-- The payments as one array, of cards and merchants of their own.
CREATE FUNCTION payments_of(prefix text, sort text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    result jsonb;
BEGIN
    EXECUTE format('SELECT jsonb_agg(jsonb_build_object(''cc_num'', %L || s.card, ''trans_num'', %L || lpad(s.i::text, 4, ''0''), ''unix_time'', s.unix_time, ''amt'', s.amt, ''merchant'', %L || s.merchant, ''category'', s.category, ''merch_lat'', s.merch_lat, ''merch_long'', s.merch_long) ORDER BY %s) FROM stream s',
                   '400000009' || length(prefix) || ascii(prefix), prefix, prefix, sort)
    INTO result;
    RETURN result;
END
$$;
SELECT status, count(*) FROM fraud.ingest(payments_of('a-', 'md5(s.i::text)')) GROUP BY 1;
SET fraud_detect.ingest_batch_size = 1;
SELECT status, count(*) FROM fraud.ingest(payments_of('b-', 'unix_time, i')) GROUP BY 1;
SET fraud_detect.ingest_batch_size = 7;
SELECT status, count(*) FROM fraud.ingest(payments_of('c-', 'unix_time, i')) GROUP BY 1;
SELECT status, count(*) FROM fraud.ingest(payments_of('c-', 'i DESC')) GROUP BY 1;
RESET fraud_detect.ingest_batch_size;
SELECT i.status, count(*) FROM (SELECT p FROM jsonb_array_elements(payments_of('d-', 'unix_time, i')) p OFFSET 0) p, fraud.ingest(p) i GROUP BY 1;
CREATE TABLE stream_history AS SELECT * FROM jsonb_to_recordset(payments_of('e-', 'md5(s.i::text)')) AS p(cc_num text, trans_num text, unix_time bigint, amt numeric, merchant text, category text, merch_lat float8, merch_long float8);
SET fraud_detect.ingest_batch_size = 50;
SELECT fraud.load_history('stream_history');
RESET fraud_detect.ingest_batch_size;

SELECT left(b.transaction_id, 1) AS way, count(*) AS payments, count(DISTINCT b.card) AS cards,
       count(*) FILTER (WHERE a.features <> b.features) AS other_features, count(*) FILTER (WHERE a.score <> b.score) AS other_scores
FROM fraud.transactions a JOIN fraud.transactions b ON substr(b.transaction_id, 3) = substr(a.transaction_id, 3)
WHERE a.transaction_id ~ '^a-\d{4}$' AND b.transaction_id ~ '^[a-e]-\d{4}$' GROUP BY 1 ORDER BY 1;

-- (t - w, t], ties in the order of the id, without the payment itself.
WITH expected AS (
    SELECT s.i, s.amt::real AS amount, w.name, count(p.i)::real AS count, coalesce(sum(p.amt), 0)::real AS sum, (sum(p.amt)::float8 / nullif(count(p.i), 0))::real AS mean,
           (s.unix_time - max(p.unix_time))::real AS seconds
    FROM stream s CROSS JOIN (VALUES ('1h', 3600), ('24h', 86400), ('7d', 7 * 86400), ('30d', 30 * 86400)) w(name, width)
    LEFT JOIN stream p ON p.card = s.card AND (p.unix_time, p.i) < (s.unix_time, s.i) AND p.unix_time > s.unix_time - w.width
    GROUP BY s.i, s.unix_time, s.amt, w.name
), actual AS (
    SELECT substr(t.transaction_id, 3)::int AS i, n.name, nullif(t.features[n.place], 'NaN') AS value
    FROM fraud.transactions t, unnest(fraud.payment_features()) WITH ORDINALITY n(name, place) WHERE t.transaction_id ~ '^a-\d{4}$'
)
SELECT e.name, count(*) AS payments, sum(e.count)::int > 0 AS not_trivial,
       count(*) FILTER (WHERE c.value <> e.count) AS other_count, count(*) FILTER (WHERE s.value <> e.sum) AS other_sum,
       count(*) FILTER (WHERE m.value IS DISTINCT FROM e.mean) AS other_mean,
       count(*) FILTER (WHERE e.name = '30d' AND l.value IS DISTINCT FROM e.seconds) AS other_seconds
FROM expected e JOIN actual c ON c.i = e.i AND c.name = 'count_' || e.name JOIN actual s ON s.i = e.i AND s.name = 'sum_' || e.name
JOIN actual m ON m.i = e.i AND m.name = 'mean_' || e.name JOIN actual l ON l.i = e.i AND l.name = 'seconds_since_last'
GROUP BY e.name ORDER BY min(e.count), e.name;

-- Of the card in the category and at the merchant, and of the merchant until an hour before.
WITH expected AS (
    SELECT s.i,
           CASE WHEN s.category IS NOT NULL THEN count(*) FILTER (WHERE p.card = s.card AND p.category = s.category AND p.unix_time > s.unix_time - 30 * 86400) END AS category_count_30d,
           count(*) FILTER (WHERE p.card = s.card AND p.merchant = s.merchant AND p.unix_time > s.unix_time - 30 * 86400) AS merchant_visits_30d,
           count(*) FILTER (WHERE p.merchant = s.merchant AND p.unix_time <= s.unix_time - 3600 AND p.unix_time > s.unix_time - 90000) AS merchant_count_24h,
           s.amt / avg(p.amt) FILTER (WHERE p.merchant = s.merchant AND p.unix_time <= s.unix_time - 3600 AND p.unix_time > s.unix_time - 3600 - 30 * 86400) AS merchant_amount_ratio_30d,
           s.amt / avg(p.amt) FILTER (WHERE p.card = s.card AND p.unix_time > s.unix_time - 30 * 86400) AS amount_ratio_30d,
           (s.amt - avg(p.amt) FILTER (WHERE p.card = s.card AND p.unix_time > s.unix_time - 30 * 86400))
               / nullif(stddev_samp(p.amt) FILTER (WHERE p.card = s.card AND p.unix_time > s.unix_time - 30 * 86400), 0) AS amount_zscore_30d
    FROM stream s LEFT JOIN stream p ON (p.unix_time, p.i) < (s.unix_time, s.i)
    GROUP BY s.i, s.unix_time, s.amt, s.card, s.category, s.merchant
), actual AS (
    SELECT substr(t.transaction_id, 3)::int AS i, jsonb_object_agg(n.name, nullif(t.features[n.place], 'NaN')) AS f
    FROM fraud.transactions t, unnest(fraud.payment_features()) WITH ORDINALITY n(name, place) WHERE t.transaction_id ~ '^b-\d{4}$' GROUP BY 1
)
SELECT e.key AS feature, count(*) AS payments, count(DISTINCT e.value) > 1 AS not_trivial,
       count(*) FILTER (WHERE (e.value = 'null') <> (a.f -> e.key = 'null')) AS other_missing,
       count(*) FILTER (WHERE abs(nullif(e.value, 'null')::text::float8 - (a.f ->> e.key)::float8) > 1e-5 * greatest(abs((a.f ->> e.key)::float8), 1)) AS other_values
FROM expected x JOIN actual a USING (i), jsonb_each(to_jsonb(x) - 'i') e
GROUP BY 1 ORDER BY 1;

-- Dead letters: the same one again is counted, another source's is its own, and a
-- long one is cut where the setting says.
SELECT status FROM fraud.ingest('{"cc_num": 4000000000000110, "trans_num": "dl-1", "amt": "x", "merchant": "m", "unix_time": 1450000000}', 'dl');
SELECT status FROM fraud.ingest('{"cc_num": 4000000000000110, "trans_num": "dl-1", "amt": "x", "merchant": "m", "unix_time": 1450000000}', 'dl');
SELECT status FROM fraud.ingest('{"cc_num": 4000000000000110, "trans_num": "dl-1", "amt": "x", "merchant": "m", "unix_time": 1450000000}', 'dl-other');
SELECT source, transaction_id, occurrences, digest = sha256(convert_to(reason, 'UTF8') || payload) AS digest_is_right FROM fraud.ingest_errors WHERE source ~ '^dl' ORDER BY 1;
SET fraud_detect.max_dead_letter_size = '1kB';
SELECT status, error FROM fraud.ingest(jsonb_build_object('cc_num', 4000000000000110, 'trans_num', 'dl-2', 'amt', 1, 'merchant', 'm', 'street', repeat('long ', 1000)), 'dl');
SELECT octet_length(payload), payload_size > 5000 AS whole_size FROM fraud.ingest_errors WHERE transaction_id = 'dl-2';
RESET fraud_detect.max_dead_letter_size;
-- A rejected payment that is rolled back leaves no dead letter.
BEGIN;
SELECT status FROM fraud.ingest('{"cc_num": 4000000000000110, "trans_num": "dl-3", "amt": "x", "merchant": "m"}', 'dl');
ROLLBACK;
SELECT count(*) FROM fraud.ingest_errors WHERE transaction_id = 'dl-3';

-- A partition that was made in a transaction that failed is made anew.
BEGIN;
SELECT status FROM fraud.ingest('{"cc_num": 4000000000000110, "trans_num": "pt-1", "amt": 1, "merchant": "m", "trans_date_trans_time": "1999-12-31 23:59:59"}');
SELECT to_regclass('fraud.transactions_1999_12');
ROLLBACK;
SELECT to_regclass('fraud.transactions_1999_12');
SELECT transaction_id, status FROM fraud.ingest('[{"cc_num": 4000000000000110, "trans_num": "pt-2", "amt": 1, "merchant": "m", "trans_date_trans_time": "2000-01-01 00:00:00"}, {"cc_num": 4000000000000110, "trans_num": "pt-1", "amt": 1, "merchant": "m", "trans_date_trans_time": "1999-12-31 23:59:59"}]');
SELECT tableoid::regclass, transaction_id, occurred_at AT TIME ZONE 'UTC' AS utc FROM fraud.transactions WHERE transaction_id ~ '^pt' ORDER BY 2;
