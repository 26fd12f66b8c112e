-- Histories in the Kaggle layout, as text and as proper types, and simulated ones.
CREATE TABLE history_text ("index" text, trans_date_trans_time text, cc_num text, merchant text, category text, amt text, first text, last text, gender text, street text, city text, state text, zip text, lat text, long text, city_pop text, job text, dob text, trans_num text, unix_time text, merch_lat text, merch_long text, is_fraud text);
COPY history_text FROM stdin WITH (FORMAT csv);
0,2019-03-01 10:00:00,4111000000000001,fraud_Reed-Hill,grocery_pos,54.10,Ada,Moss,F,1 Elm Row,Dover,DE,1901,39.158,-75.524,39403,Baker,1980-05-06,h1,1551434400,39.2,-75.5,0
1,2019-03-01 10:30:00,4111000000000001,fraud_Reed-Hill,grocery_pos,20.00,Ada,Moss,F,1 Elm Row,Dover,DE,1901,39.158,-75.524,39403,Baker,1980-05-06,h2,1551436200,39.3,-75.6,0
2,2019-03-02 03:15:00,4111000000000001,"fraud_Fox, Lane and Co",shopping_net,912.44,Ada,Moss,F,1 Elm Row,Dover,DE,1901,39.158,-75.524,39403,Baker,1980-05-06,h3,1551496500,41.9,-87.6,1
3,2019-03-02 09:00:00,4111000000000002,fraud_Reed-Hill,home,12.00,Bo,Finch,M,2 Oak Row,Salem,OR,97301,44.94,-123.03,175535,"Clerk, senior",1971-11-30,h4,1551517200,44.9,-123.1,0
4,2019-04-02 09:00:00,4111000000000002,fraud_Reed-Hill,home,13.00,Bo,Finch,M,2 Oak Row,Salem,OR,97301,44.94,-123.03,175535,"Clerk, senior",1971-11-30,h5,1554195600,44.9,-123.1,0
5,2019-04-02 09:00:00,4111000000000002,fraud_Reed-Hill,home,oops,Bo,Finch,M,2 Oak Row,Salem,OR,97301,44.94,-123.03,175535,"Clerk, senior",1971-11-30,h6,1554195600,44.9,-123.1,0
\.
SELECT fraud.load_history('history_text', label_delay => '30 days');
SELECT transaction_id, occurred_at, amount, merchant, category, decision, source, score IS NOT NULL AS scored FROM fraud.transactions WHERE source = 'history' ORDER BY 1;
SELECT transaction_id, is_fraud, source, known_at FROM fraud.labels WHERE source = 'history';
SELECT last_four, first_name, zip, date_of_birth FROM fraud.customers WHERE first_payment_at < '2020-01-01' ORDER BY 1;
SELECT transaction_id, reason FROM fraud.ingest_errors WHERE source = 'history';
SELECT count(*) FROM fraud.alerts WHERE transaction_id ~ '^h[0-9]';
SELECT * FROM vector('h2') WHERE feature ~ '^(hour|weekday|count_1h|sum_1h|seconds)';

-- Again, properly typed: all known.
CREATE TABLE history_typed AS SELECT trans_date_trans_time::timestamp, cc_num::bigint, merchant, category, amt::numeric, dob::date, trans_num, merch_lat::float8, merch_long::float8, is_fraud::int::boolean, lat::real, long::real, zip::int FROM history_text WHERE amt <> 'oops';
SELECT fraud.load_history('history_typed');
CALL fraud.load_history_in_batches('history_typed');
-- With other amounts they are no repetition, and what is stored stays.
CREATE TABLE history_other AS SELECT trans_date_trans_time + interval '1 minute' AS trans_date_trans_time, cc_num, merchant, CASE trans_num WHEN 'h1' THEN 99 ELSE amt END AS amt, trans_num, trans_num = 'h1' AS is_fraud FROM history_typed;
SELECT fraud.load_history('history_other');
SELECT fraud.load_history('history_other');
SELECT transaction_id, reason, occurrences FROM fraud.ingest_errors WHERE source = 'history' AND transaction_id = 'h1';
SELECT t.amount, (SELECT count(*) FROM fraud.labels l WHERE l.transaction_id = 'h1') AS labels FROM fraud.transactions t WHERE t.transaction_id = 'h1';
-- With other ids they are new, and the vectors the same, but for what float4 places change.
UPDATE history_typed SET trans_num = 'n' || trans_num, cc_num = cc_num + 10;
SET datestyle = 'SQL, DMY';
SELECT fraud.load_history('history_typed');
RESET datestyle;
SELECT a.transaction_id, a.features[8:19] = b.features[8:19] AS same, a.occurred_at = b.occurred_at AS same_time FROM fraud.transactions a JOIN fraud.transactions b ON b.transaction_id = 'n' || a.transaction_id ORDER BY 1;

CREATE VIEW not_a_history AS SELECT 1 AS amt, 'x' AS trans_num;
SELECT fraud.load_history('not_a_history');
SELECT fraud.load_history(0);
SELECT fraud.load_history('nix');

-- The same seed gives the same payments, and a longer simulation only adds.
SELECT fraud.simulate(20, 10, 5, 42, '2018-01-01 00:00:00+00') > 100 AS many;
SELECT fraud.simulate(20, 10, 5, 42, '2018-01-01 00:00:00+00');
SELECT fraud.simulate(20, 10, 10, 42, '2018-01-01 00:00:00+00', '2018-01-06 00:00:00+00');
SELECT min(occurred_at)::date, max(occurred_at)::date, count(DISTINCT card), bool_and(decision IS NULL) AS undecided FROM fraud.transactions WHERE source = 'simulation';
SELECT fraud.simulate(0);
SELECT fraud.simulate(10, 0);
SELECT fraud.simulate(10, 10, 0);
SELECT fraud.simulate(NULL);
SELECT fraud.simulate(1, 1, 1, 1, '2018-01-01 01:00:00+00');
SELECT fraud.simulate(1, 1, 1, 1, '1960-01-01 00:00:00+00');
SELECT fraud.simulate(1, 1, 1, 1, 'infinity');
