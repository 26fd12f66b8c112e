-- The feature set of payments: its windows over merchants, and changing it while
-- payments are scored by it.
CREATE FUNCTION feature_of(id text, name text) RETURNS float4 LANGUAGE sql AS $$
    SELECT nullif(t.features[array_position(fraud.payment_features(), name)], 'NaN') FROM fraud.transactions t WHERE t.transaction_id = id
$$;
-- A merchant's fraud rate: by what was known at the payment, of what is a week old.
SELECT status, count(*) FROM fraud.ingest((SELECT jsonb_agg(jsonb_build_object('cc_num', 4000000000880000 + i, 'trans_num', 'fr-' || i,
    'amt', 10, 'merchant', 'rated', 'trans_date_trans_time', '2019-01-01 00:00:0' || i)) FROM generate_series(0, 9) i)) GROUP BY 1;
SELECT count(fraud.label(id, true, known_at => at)) FROM (VALUES ('fr-1', timestamptz '2019-01-04 00:00+00'), ('fr-2', '2019-01-09 00:00+00')) l(id, at);
SELECT count(fraud.label('fr-4', is_fraud, known_at => at)) FROM (VALUES (true, timestamptz '2019-01-02 00:00+00'), (false, '2019-01-03 00:00+00')) l(is_fraud, at);
SELECT count(*) FROM fraud.ingest((SELECT jsonb_agg(jsonb_build_object('cc_num', 4000000000880000, 'trans_num', id,
    'amt', 25, 'merchant', 'rated', 'trans_date_trans_time', at)) FROM (VALUES ('fr-a', '2019-01-01 00:30:00'), ('fr-b', '2019-01-01 01:00:04'),
    ('fr-c', '2019-01-08 00:00:04'), ('fr-d', '2019-01-08 12:00:00'), ('fr-e', '2019-01-09 12:00:00'), ('fr-f', '2019-02-07 00:00:04'), ('fr-g', '2019-02-15 00:00:00')) p(id, at)));
SELECT id, feature_of(id, 'merchant_count_24h') AS count_24h, feature_of(id, 'merchant_amount_ratio_30d') AS amount_ratio, feature_of(id, 'merchant_fraud_rate_30d') AS fraud_rate
FROM unnest('{fr-a,fr-b,fr-c,fr-d,fr-e,fr-f,fr-g}'::text[]) id;
-- Two cards with the same payment id, moment and merchant make two payments.
SELECT status, count(*) FROM fraud.ingest('[{"cc_num": 4000000000880021, "trans_num": "fr-twin", "amt": 1, "merchant": "rated", "trans_date_trans_time": "2019-01-02 00:00:00"}, {"cc_num": 4000000000880022, "trans_num": "fr-twin", "amt": 2, "merchant": "rated", "trans_date_trans_time": "2019-01-02 00:00:00"}]') GROUP BY 1;
SELECT count(*) FROM fraud.verify_parity('payments', 400);

-- The place of the last payment, and how fast one would have to be.
SELECT count(*) FROM fraud.ingest('[{"cc_num": 4000000000880031, "trans_num": "sp-1", "amt": 1, "merchant": "m", "merch_lat": 10, "merch_long": 20, "trans_date_trans_time": "2019-03-01 10:00:00"},
    {"cc_num": 4000000000880031, "trans_num": "sp-2", "amt": 1, "merchant": "m", "merch_lat": 11, "merch_long": 20, "trans_date_trans_time": "2019-03-01 10:30:00"}]');
SELECT round(feature_of('sp-2', 'distance_from_last_km')::numeric, 2) AS km, round(feature_of('sp-2', 'speed_from_last_kmh')::numeric, 2) AS kmh, round(fraud.distance_km(10, 20, 11, 20)::numeric, 2) AS from_sql;

-- A feature that is added is computed for the next payment; those before keep the
-- vector that they were scored by.
SELECT fraud.add_feature('payments', 'is_round', 'amount = round(amount)');
SELECT fraud.add_window_feature('payments', 'home_count_7d', 'count', NULL, 'card', '7 days', filter => 'category = ''home''', reason => '{home_count_7d:.0} payments for the home');
SELECT status FROM fraud.ingest('{"cc_num": 4000000000880031, "trans_num": "ad-1", "amt": 50, "merchant": "m", "category": "home", "trans_date_trans_time": "2019-03-02 10:00:00"}');
SELECT status FROM fraud.ingest('{"cc_num": 4000000000880031, "trans_num": "ad-2", "amt": 50.5, "merchant": "m", "category": "home", "trans_date_trans_time": "2019-03-02 11:00:00"}');
SELECT t.transaction_id, cardinality(t.features) AS values, feature_of(t.transaction_id, 'is_round') AS is_round, feature_of(t.transaction_id, 'home_count_7d') AS home_count_7d
FROM fraud.transactions t WHERE transaction_id ~ '^(sp-2|ad-)' ORDER BY 1;
SELECT features -> 'is_round' AS is_round, features -> 'home_count_7d' AS home_count_7d FROM fraud.assess('{"cc_num": 4000000000880031, "trans_num": "ad-3", "amt": 3, "merchant": "m", "trans_date_trans_time": "2019-03-03 10:00:00"}');
SELECT count(*) FROM fraud.verify_parity('payments', 200);
-- A model that uses it can be champion; the past is scored by computing it anew.
SELECT fraud.import_model('payments', convert_to(replace(replace(convert_from(fraud.export_model('stump'), 'UTF8'), '"a"', '"is_round"'), '"b"', '"home_count_7d"'), 'UTF8'), 'of a new feature') AS version \gset
SELECT fraud_score(t, 'payments/' || :version) BETWEEN 0 AND 1 AS scored FROM fraud.transactions t WHERE transaction_id = 'ad-1';
SELECT fraud_score(t, 'payments/' || :version) FROM fraud.transactions t WHERE transaction_id = 'sp-2';
SELECT event_id, round(score::numeric, 3) AS score FROM fraud.scored_events('payments/' || :version, '2019-03-01', '2019-03-04') ORDER BY 1;
-- Each payment once, though two have one id and moment; with its label as of that time.
SELECT event_id, amount, is_fraud, score IS NOT NULL AS scored FROM fraud.scored_events('payments/' || :version, '2019-01-02 00:00+00', '2019-01-03 00:00+00') ORDER BY 2;
SELECT count(*), count(*) FILTER (WHERE is_fraud) AS frauds FROM fraud.scored_events('payments/' || :version, '2019-01-01 00:00+00', '2019-01-03 00:00+00', labels_as_of => '2019-01-05 00:00+00');
BEGIN;
SELECT fraud.promote('payments', :version, reason => 'a test', review_at => 0, block_at => 1, override_gate => true);
SELECT status, decision FROM fraud.ingest('{"cc_num": 4000000000880031, "trans_num": "ad-4", "amt": 77.5, "merchant": "m", "category": "home", "trans_date_trans_time": "2019-03-09 10:30:00"}');
SELECT model_version = :version AS by_it, reasons FROM fraud.alerts WHERE transaction_id = 'ad-4';
-- What the champion needs stays.
SELECT fraud.drop_feature('payments', 'is_round');
ROLLBACK;
-- However much a reason says, an alert is told of.
BEGIN;
SELECT fraud.drop_feature('payments', 'home_count_7d');
SELECT fraud.add_feature('payments', 'home_count_7d', '1', reason => 'x' || repeat('ä', 5000) || '{home_count_7d:.0}');
SELECT fraud.drop_feature('payments', 'is_round');
SELECT fraud.add_feature('payments', 'is_round', '0', reason => 'x' || repeat('ä', 5000) || '{is_round:.0}');
SELECT fraud.promote('payments', :version, reason => 'a test', review_at => 0, block_at => 1, override_gate => true);
SELECT status, decision FROM fraud.ingest('{"cc_num": 4000000000880031, "trans_num": "ad-4", "amt": 77.5, "merchant": "m", "category": "home", "trans_date_trans_time": "2019-03-09 10:30:00"}');
SELECT length(r), octet_length(r), right(r, 5) FROM fraud.alerts a, unnest(a.reasons) r WHERE transaction_id = 'ad-4';
ROLLBACK;
-- Nor does a rollback lead to a version whose features are gone.
BEGIN;
SELECT fraud.promote('payments', :version, reason => 'a test', override_gate => true);
SELECT fraud.promote('payments', 1, reason => 'a test', override_gate => true);
SELECT fraud.drop_feature('payments', 'is_round');
SELECT fraud.rollback('payments');
ROLLBACK;
-- A feature that is dropped and added again has another place, at once.
BEGIN;
CREATE FUNCTION scores_again(ref text) RETURNS SETOF float8 LANGUAGE plpgsql AS $$
DECLARE
    payment fraud.transactions;
    score float8;
BEGIN
    FOR i IN 1..2 LOOP
        SELECT * INTO payment FROM fraud.transactions t WHERE t.transaction_id = 'ad-' || 5 + i;
        score := fraud_score(payment, ref);
        RETURN NEXT round(score::numeric, 3);
        IF i = 1 THEN
            PERFORM fraud.drop_feature('payments', 'is_round');
            PERFORM fraud.add_feature('payments', 'is_round', 'amount = round(amount)');
            PERFORM fraud.ingest('{"cc_num": 4000000000880031, "trans_num": "ad-7", "amt": 50, "merchant": "m", "trans_date_trans_time": "2019-03-02 12:00:00"}');
        END IF;
    END LOOP;
END
$$;
SELECT status FROM fraud.ingest('{"cc_num": 4000000000880031, "trans_num": "ad-6", "amt": 50, "merchant": "m", "trans_date_trans_time": "2019-03-02 11:30:00"}');
SELECT * FROM scores_again('payments/' || :version);
ROLLBACK;
SELECT fraud.drop_feature('payments', 'amount');
SELECT fraud.drop_feature_set('payments');

-- A place is not used again: old vectors keep their meaning.
SELECT fraud.drop_feature('payments', 'home_count_7d');
SELECT fraud.drop_feature('payments', 'is_round');
SELECT fraud.add_feature('payments', 'late', 'extract(hour FROM occurred_at) >= 22');
SELECT array_length(fraud.payment_features(), 1) - array_position(fraud.payment_features(), 'late') AS from_the_end,
       count(*) FILTER (WHERE f IS NULL) AS dropped FROM unnest(fraud.payment_features()) f;
SELECT status FROM fraud.ingest('{"cc_num": 4000000000880031, "trans_num": "ad-5", "amt": 50, "merchant": "m", "trans_date_trans_time": "2019-03-05 23:00:00"}');
SELECT feature_of('ad-5', 'late') AS late, (SELECT count(*) FROM fraud.transactions t, unnest(t.features) v WHERE t.transaction_id = 'ad-5') AS values;
SELECT fraud.promote('payments', :version, reason => 'of a feature that is gone', override_gate => true);
SELECT fraud.drop_feature('payments', 'late');

-- A key that nothing finds payments by is told of.
BEGIN;
SELECT fraud.add_window_feature('payments', 'category_count_1h', 'count', NULL, 'category', '1 hour', delay => '1 hour');
SELECT definition, present FROM fraud.feature_indexes('payments');
SELECT definition FROM fraud.feature_indexes('payments') \gexec
SELECT fraud.add_window_feature('payments', 'category_sum_1h', 'sum', 'amount', 'category', '1 hour', delay => '1 hour');
SELECT present FROM fraud.feature_indexes('payments');
SELECT status FROM fraud.ingest('{"cc_num": 4000000000880031, "trans_num": "ad-6", "amt": 50, "merchant": "m", "category": "home", "trans_date_trans_time": "2019-07-01 23:00:00"}');
ROLLBACK;

-- A payment that stands twice in a history, and says only the second time that it was fraud.
CREATE TABLE twice (cc_num text, trans_num text, amt numeric, merchant text, trans_date_trans_time timestamp, is_fraud int);
INSERT INTO twice VALUES ('4000000000880041', 'tw-1', 5, 'twice', '2019-04-01', 0), ('4000000000880041', 'tw-1', 5, 'twice', '2019-04-01', 1),
    ('4000000000880041', 'tw-2', 5, 'twice', '2019-04-02', 1), ('4000000000880041', 'tw-3', 5, 'twice', '2019-04-20', 0);
SELECT fraud.load_history('twice');
SELECT t.transaction_id, t.is_fraud, t.label_known_at AT TIME ZONE 'UTC' AS known_at, feature_of(t.transaction_id, 'merchant_fraud_rate_30d') AS fraud_rate
FROM fraud.transactions t WHERE t.transaction_id ~ '^tw-' ORDER BY 1;
DROP TABLE twice;

-- The row as a whole is called otherwise where it is computed.
SELECT fraud.add_feature('payments', 'bad', 'payment_events IS NULL');

-- An expression may call what changes the set, and computes it, while it is computed.
CREATE TABLE nested (id int PRIMARY KEY, at timestamptz, account int, value float8);
INSERT INTO nested SELECT i, '2026-01-01'::timestamptz + i * interval '1 hour', i % 2, i FROM generate_series(1, 20) i;
SELECT fraud.create_feature_set('nested', 'nested', 'id', 'at', create_indexes => true);
SELECT fraud.add_window_feature('nested', 'sum_1d', 'sum', 'value', 'account', '1 day');
CREATE FUNCTION changes_the_set(which int) RETURNS int LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF which = 20 AND EXISTS (SELECT FROM fraud.feature_catalog c WHERE c.feature_set = 'nested' AND c.feature = 'sum_1d') THEN
        PERFORM fraud.drop_feature('nested', 'sum_1d');
        PERFORM fraud.features('nested', n) FROM public.nested n WHERE n.id = 19;
    END IF;
    RETURN which;
END
$$;
SELECT fraud.add_feature('nested', 'kind', 'CASE WHEN id % 2 = 1 THEN ''odd'' ELSE ''even'' END');
SELECT fraud.add_feature('nested', 'calls', 'public.changes_the_set(id)');
SELECT fraud.features('nested', n) FROM nested n WHERE n.id = 20;
SELECT fraud.features('nested', n) FROM nested n WHERE n.id = 20;
SELECT fraud.drop_feature_set('nested');
DROP FUNCTION changes_the_set(int);
DROP TABLE nested;

-- Wordings are checked as they are declared.
SELECT fraud.add_feature('payments', 'bad', 'amount', reason => '{bad}');
SELECT fraud.add_feature('payments', 'bad', 'amount', reason => 'amount {bad:.1');
BEGIN;
SELECT fraud.add_feature('payments', 'bad', 'amount', reason => 'amount {bad:.1}|{bad/mean_30:.1} times the mean');
ROLLBACK;
SELECT fraud.add_feature('payments', 'bad', 'amount', reason => '{bad:category}');
BEGIN;
SELECT fraud.add_window_feature('payments', 'bad', 'count', NULL, 'card', '5 days', reason => '{bat:.0} in the category {category:category}');
ROLLBACK;
-- Those that come with the extension name each other.
SELECT d.feature, p[1] AS unknown FROM fraud.feature_definitions d, regexp_matches(d.reason, '[{/]([a-z0-9_]+)[:/]', 'g') p
WHERE d.feature_set = 'payments' AND p[1] NOT IN (SELECT k.feature FROM fraud.feature_definitions k WHERE k.feature_set = 'payments');
SELECT fraud.delete_version('payments', :version);
DROP FUNCTION feature_of(text, text);
