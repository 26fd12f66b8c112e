-- How long the views take on ten million payments. In an empty database with the
-- extension; it takes some minutes and about 8 GB:
--     createdb bench_views && psql -d bench_views -c 'CREATE EXTENSION fraud_detect' -f bench/views.sql
-- A simulated history of half a million payments is copied twenty times: to four times
-- the cards, and to five periods one after the other. Decisions are made from the scores.
\set ON_ERROR_STOP 1
\set QUIET 1
\pset footer off
\if :{?customers}
\else
    \set customers 5000
\endif
SET client_min_messages = warning;
SET synchronous_commit = off;
SET work_mem = '64MB';

SELECT fraud.simulate(customers => :customers, merchants => 500, days => 37, starts_at => '2026-01-01 00:00:00+00') AS simulated \gset
CREATE TEMP TABLE copy AS
    SELECT cards, periods, cards = 0 AND periods = 0 AS original, make_interval(days => 37 * periods) AS later
    FROM generate_series(0, 3) cards, generate_series(0, 4) periods;
CREATE FUNCTION pg_temp.other_card(card uuid, copy int) RETURNS uuid LANGUAGE sql IMMUTABLE
    AS $$ SELECT CASE WHEN copy = 0 THEN card ELSE md5(card::text || copy)::uuid END $$;

SELECT fraud._ensure_partition('2026-01-01 00:00:00+00'::timestamptz + make_interval(months => m)) FROM generate_series(0, 7) m \g /dev/null
INSERT INTO fraud.customers
    SELECT (jsonb_populate_record(c, jsonb_build_object('card', pg_temp.other_card(c.card, k), 'last_payment_at', c.last_payment_at + interval '148 days'))).*
    FROM fraud.customers c, generate_series(1, 3) k;
CREATE TEMP TABLE original AS SELECT * FROM fraud.transactions;
INSERT INTO fraud.transactions (card, transaction_id, occurred_at, amount, merchant, category, merchant_latitude, merchant_longitude,
                                home_latitude, home_longitude, city_population, age, currency, base_amount, source, model, model_version, score, decision, features)
    SELECT pg_temp.other_card(t.card, k.cards), t.transaction_id || '-' || k.cards || k.periods, t.occurred_at + k.later,
           t.amount, t.merchant, t.category, t.merchant_latitude, t.merchant_longitude,
           t.home_latitude, t.home_longitude, t.city_population, t.age, t.currency, t.base_amount, t.source, t.model, t.model_version,
           t.score, CASE WHEN t.score >= 0.5 THEN 'block' WHEN t.score >= 0.05 THEN 'review' ELSE 'approve' END, t.features
    FROM copy k, original t WHERE NOT k.original;
INSERT INTO fraud.payment_keys
    SELECT t.transaction_id, t.card, t.occurred_at FROM fraud.transactions t WHERE t.decision IS NOT NULL;
INSERT INTO fraud.labels (card, transaction_id, is_fraud, source, known_at)
    SELECT pg_temp.other_card(l.card, k.cards), l.transaction_id || '-' || k.cards || k.periods, l.is_fraud, l.source, l.known_at
    FROM fraud.labels l, copy k WHERE NOT k.original;
-- A case for each alert.
CREATE TEMP TABLE alerted AS SELECT t.*, row_number() OVER () AS case_id FROM fraud.transactions t WHERE t.decision IN ('review', 'block');
INSERT INTO fraud.case_states (case_id, card, status, status_at, opened_at, alerts, decision, last_alert_at) OVERRIDING SYSTEM VALUE
    SELECT a.case_id, a.card, CASE WHEN a.occurred_at > '2026-06-20' THEN 'open' ELSE 'dismissed' END, a.occurred_at, a.occurred_at, 1, a.decision, a.occurred_at
    FROM alerted a;
INSERT INTO fraud.alerts (card, case_id, transaction_id, occurred_at, raised_at, score, decision, model, model_version, reasons, payment_amount)
    SELECT a.card, a.case_id, a.transaction_id, a.occurred_at, a.occurred_at, a.score, a.decision, a.model, a.model_version, ARRAY['a', 'b', 'c'], a.amount
    FROM alerted a;

\timing on
\echo 'fraud.rebuild_rollups():'
SELECT fraud.rebuild_rollups() AS payments;
\timing off
VACUUM ANALYZE;
SELECT (SELECT count(*) FROM fraud.transactions) AS payments, (SELECT count(*) FROM fraud.customers) AS cards, (SELECT count(*) FROM fraud.alerts) AS alerts,
       (SELECT count(*) FROM fraud.labels) AS labels, (SELECT count(*) FROM fraud.rollups) AS rollups, (SELECT count(*) FROM fraud.rollup_cards) AS rollup_cards;

-- All rows and all columns of each view, the median of five; then again with a minute's
-- worth of a thousand payments and ten labels that are queued.
CREATE TEMP TABLE taken (view text, queued bool, rows bigint, ms numeric);
CREATE PROCEDURE pg_temp.measure(with_queue bool) LANGUAGE plpgsql AS $$
DECLARE
    name text; n bigint; run int; started timestamptz;
BEGIN
    FOREACH name IN ARRAY ARRAY['daily_report', 'hourly_activity', 'merchant_risk', 'category_risk', 'customer_activity',
                                'geography', 'alert_queue', 'alert_outcomes', 'model_performance', 'score_distribution'] LOOP
        FOR run IN 1..5 LOOP
            started := clock_timestamp();
            EXECUTE format('SELECT count(v) FROM fraud.%I v', name) INTO n;
            INSERT INTO taken VALUES (name, with_queue, n, extract(epoch FROM clock_timestamp() - started) * 1000);
        END LOOP;
    END LOOP;
END $$;
CALL pg_temp.measure(false);
INSERT INTO fraud.changes (slot, sign, card, transaction_id, occurred_at, amount, merchant, category, state, model, model_version, score, decision)
    SELECT (SELECT fraud._open_slot()), 1, t.card, t.transaction_id, t.occurred_at, t.amount, t.merchant, t.category, 'NC', t.model, t.model_version, t.score, t.decision
    FROM fraud.transactions t WHERE t.occurred_at > '2026-06-30' ORDER BY t.occurred_at LIMIT 1000;
SELECT fraud.label(t.transaction_id, true, 'chargeback', t.occurred_at + interval '1 day') FROM fraud.transactions t
    WHERE t.occurred_at > '2026-05-01' AND t.decision = 'approve' ORDER BY t.occurred_at LIMIT 10 \g /dev/null
CALL pg_temp.measure(true);
SELECT view, max(rows) AS rows, round(percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) FILTER (WHERE NOT queued)) AS ms,
       round(percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) FILTER (WHERE queued)) AS ms_with_queue
FROM taken GROUP BY view ORDER BY view;
\timing on
\echo 'fraud.refresh_rollups() of the thousand:'
SELECT fraud.refresh_rollups() AS payments;
