-- fraud.load_history reads columns of any type, of any relation, whatever the
-- session's settings.
CREATE SCHEMA "odd ""names";
CREATE TABLE "odd ""names"."Kaggle" (dropped int, "index" int, trans_date_trans_time timestamptz, cc_num numeric, merchant varchar(40), category name, amt money, unix_time bigint, "long" numeric(9, 4), lat numeric(9, 4), merch_lat real, merch_long float8, is_fraud smallint, trans_num uuid, dob date, zip char(5), city_pop int, extra jsonb);
ALTER TABLE "odd ""names"."Kaggle" DROP COLUMN dropped;
INSERT INTO "odd ""names"."Kaggle" VALUES
    (1, '2013-03-31 03:30:00+02', 4111000000000201, 'fraud_Spring', 'home', 5, 1, -75.5, 39.2, 39.25, -75.5, 0, '00000000-0000-0000-0000-000000000001', '1980-02-29', '01234', 1000, '{}'),
    (2, '2013-03-31 03:30:00.25+02', 4111000000000201, 'fraud_Spring', 'home', 7, 1, -75.5, 39.2, 39.25, -75.5, 1, '00000000-0000-0000-0000-000000000002', '1980-02-29', '01234', 1000, NULL);
-- money is written with its sign, which is no number: the reason says so.
SELECT fraud.load_history('"odd ""names"."Kaggle"');
SELECT transaction_id, reason FROM fraud.ingest_errors WHERE transaction_id ~ '^0000' ORDER BY 1;
ALTER TABLE "odd ""names"."Kaggle" ALTER amt TYPE numeric;
SET timezone = 'Asia/Kolkata';
SET datestyle = 'German';
SELECT fraud.load_history('"odd ""names"."Kaggle"', '1 month');
RESET datestyle;
SET timezone = 'UTC';
SELECT transaction_id, occurred_at, amount, merchant, category, merchant_latitude FROM fraud.transactions WHERE transaction_id ~ '^0000' ORDER BY 1;
SELECT transaction_id, known_at, known_at - occurred_at AS delay FROM fraud.labels JOIN fraud.transactions USING (card, transaction_id) WHERE transaction_id ~ '^0000';
SELECT last_four, zip, city_population, date_of_birth, latitude, longitude FROM fraud.customers WHERE last_four = '0201';

-- A label is known now at the latest.
CREATE TABLE fresh AS SELECT '4111000000000202'::text AS cc_num, 'fresh'::text AS trans_num, 1 AS amt, 'm'::text AS merchant, 1480000000 AS unix_time, true AS is_fraud;
SELECT fraud.load_history('fresh', '1000 years');
SELECT known_at = recorded_at AS known_now FROM fraud.labels WHERE transaction_id = 'fresh';
-- A label that came is not lost when the payment is there already.
INSERT INTO fresh SELECT cc_num, 'fresh-2', amt, merchant, unix_time, false FROM fresh;
SELECT fraud.load_history('fresh');
UPDATE fresh SET is_fraud = true WHERE trans_num = 'fresh-2';
SELECT fraud.load_history('fresh', '2 days');
SELECT transaction_id, is_fraud, count(*) FROM fraud.labels WHERE transaction_id ~ '^fresh' GROUP BY 1, 2 ORDER BY 1;
SELECT known_at FROM fraud.labels WHERE transaction_id = 'fresh-2';

-- The other time columns, and the first of them that counts; cards by their uuid.
CREATE VIEW other_times AS
SELECT c.card, 'tm-' || n AS trans_num, 1 AS amt, 'm' AS merchant, n * 1000::bigint AS "current_time", '2001-01-01 00:00:00' AS trans_date_trans_time, 5 AS unix_time
FROM generate_series(1490000000, 1490000001) n, (SELECT card FROM fraud.customers WHERE last_four = '0202') c;
SELECT fraud.load_history('other_times');
SELECT t.transaction_id, t.occurred_at, c.last_four FROM fraud.transactions t JOIN fraud.customers c USING (card) WHERE t.transaction_id ~ '^tm-' ORDER BY 1;

-- Partitioned tables and materialized views are relations, too; what has no rows has
-- none to load.
CREATE TABLE parted (cc_num text, trans_num text, amt text, merchant text, unix_time text) PARTITION BY LIST (merchant);
CREATE TABLE parted_m PARTITION OF parted DEFAULT;
INSERT INTO parted SELECT '4111000000000203', 'pa-' || i, i, 'm' || i % 2, 1480000000 + i FROM generate_series(1, 3) i;
SELECT fraud.load_history('parted');
CREATE MATERIALIZED VIEW parted_view AS SELECT * FROM parted;
SELECT fraud.load_history('parted_view');
TRUNCATE parted;
SELECT fraud.load_history('parted');

-- Nulls and what is no time.
CREATE TABLE holes (cc_num text, trans_num text, amt numeric, merchant text, trans_date_trans_time timestamp, category text, is_fraud int);
INSERT INTO holes VALUES (NULL, 'ho-1', 1, 'm', '2016-01-01', NULL, NULL), ('4111000000000204', NULL, 1, 'm', '2016-01-01', NULL, NULL),
    ('4111000000000204', 'ho-3', NULL, 'm', '2016-01-01', NULL, NULL), ('4111000000000204', 'ho-4', 1, NULL, '2016-01-01', NULL, NULL),
    ('4111000000000204', 'ho-5', 1, 'm', NULL, NULL, NULL), ('4111000000000204', 'ho-6', 1, 'm', 'infinity', NULL, NULL),
    ('4111000000000204', 'ho-7', 'NaN', 'm', '2016-01-01', NULL, NULL), ('4111000000000204', 'ho-8', 1, 'm', '2016-01-01', NULL, 2),
    ('4111000000000204', 'ho-9', 1, 'm', '2016-01-01', NULL, NULL), ('4111000000000204', 'ho-10', 1, 'm', '1969-12-31', NULL, NULL);
SELECT fraud.load_history('holes');
SELECT transaction_id, occurred_at FROM fraud.transactions WHERE transaction_id ~ '^ho-';
SELECT transaction_id, last_four, reason FROM fraud.ingest_errors WHERE source = 'history' AND (transaction_id ~ '^ho-' OR reason ~ '^trans_num is missing') ORDER BY error_id;

-- One history or none: an error in the middle leaves nothing.
CREATE VIEW half_a_history AS SELECT '4111000000000205' AS cc_num, 'ha-' || i AS trans_num, 10 / (3 - i) AS amt, 'm' AS merchant, 1480000000 + i AS unix_time FROM generate_series(1, 5) i;
SELECT fraud.load_history('half_a_history');
SELECT count(*) FROM fraud.transactions WHERE transaction_id ~ '^ha-';
SELECT fraud.load_history(NULL);

-- Two simulations of one seed give the same, in whatever batches; another seed others.
CREATE VIEW simulated AS SELECT transaction_id, occurred_at, amount, merchant, category, features, score FROM fraud.transactions WHERE source = 'simulation' AND occurred_at < '2017-01-01';
BEGIN;
SET LOCAL client_min_messages = warning;  -- on a slow machine it says how far it is
CREATE TABLE counted AS SELECT fraud.simulate(40, 10, 12, 7, '2016-05-01 00:00:00+00') AS payments;
CREATE TABLE kept AS SELECT * FROM simulated;
SELECT c.payments > 500 AS many, c.payments = count(*) AS as_many_as_it_says, count(DISTINCT transaction_id) = count(*) AS ids FROM counted c, kept GROUP BY c.payments;
SELECT count(*) > 0 AS labels, count(*) FILTER (WHERE l.known_at <> t.occurred_at + interval '7 days') AS other_delay, count(*) FILTER (WHERE NOT l.is_fraud) AS legitimate
FROM fraud.labels l JOIN fraud.transactions t USING (card, transaction_id) WHERE t.source = 'simulation' AND t.occurred_at < '2017-01-01';
SAVEPOINT other;
SELECT fraud.simulate(40, 10, 12, 8, '2016-05-01 00:00:00+00') > 500 AS many;
SELECT count(*) FILTER (WHERE k.transaction_id IS NULL) > 500 AS others, count(k.transaction_id) = (SELECT count(*) FROM kept) AS and_all_before FROM simulated s LEFT JOIN kept k USING (transaction_id);
ROLLBACK TO other;
DELETE FROM fraud.transactions WHERE source = 'simulation' AND occurred_at < '2017-01-01';
DELETE FROM fraud.payment_keys k WHERE NOT EXISTS (SELECT FROM fraud.transactions t WHERE t.card = k.card AND t.transaction_id = k.transaction_id);
SET LOCAL fraud_detect.ingest_batch_size = 3;
SELECT fraud.simulate(40, 10, 12, 7, '2016-05-01 00:00:00+00') = payments AS as_many_again FROM counted;
SELECT count(*) AS differing FROM ((TABLE simulated EXCEPT TABLE kept) UNION ALL (TABLE kept EXCEPT TABLE simulated)) d;
ROLLBACK;
-- Only up to ends_at, and never beyond now.
BEGIN;
SELECT fraud.simulate(15, 10, 4, 7, '2016-05-01 00:00:00+00', '2016-05-02 00:00:00+00') > 10 AS many;
SELECT max(occurred_at) < '2016-05-02 00:00:00+00' AS ends FROM simulated;
SELECT fraud.simulate(15, 10, 4, 7, '2016-05-01 00:00:00+00', '2016-04-01 00:00:00+00');
SELECT fraud.simulate(5, 10, 4, 7, '2090-01-01 00:00:00+00');
ROLLBACK;
RESET timezone;
