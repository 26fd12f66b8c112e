\set SHOW_CONTEXT never
-- The views, from few payments that can be summed by hand: two cards, two states,
-- three days of 2016. review_at 0: each payment is reviewed; 1: each is approved.
SET datestyle = 'ISO, YMD';
SET timezone = 'UTC';
SELECT fraud.promote('payments', 1, review_at => 0, block_at => 1, reason => 'for the views');
SELECT transaction_id, decision FROM fraud.ingest('[
    {"cc_num": 4000000000009601, "trans_num": "v-1", "amt": 10.10, "merchant": "Vine", "category": "home", "state": "NC", "lat": 35, "long": -79, "trans_date_trans_time": "2016-03-01 10:15:00"},
    {"cc_num": 4000000000009601, "trans_num": "v-2", "amt": 20.20, "merchant": "Vine", "category": "home", "state": "NC", "lat": 35, "long": -79, "trans_date_trans_time": "2016-03-01 10:45:00"},
    {"cc_num": 4000000000009602, "trans_num": "v-3", "amt": 30.30, "merchant": "Wall", "category": "travel", "state": "TX", "lat": 31, "long": -97, "trans_date_trans_time": "2016-03-01 23:59:59"}]');
SELECT fraud.rollback('payments');
SELECT fraud.promote('payments', 1, review_at => 1, block_at => 1, reason => 'for the views');
SELECT transaction_id, decision FROM fraud.ingest('[
    {"cc_num": 4000000000009602, "trans_num": "v-4", "amt": 40.40, "merchant": "Vine", "category": "home", "state": "TX", "lat": 31, "long": -97, "trans_date_trans_time": "2016-03-02 00:00:00"},
    {"cc_num": 4000000000009602, "trans_num": "v-5", "amt": 50.50, "merchant": "Wall", "category": null, "state": "TX", "lat": 31, "long": -97, "trans_date_trans_time": "2016-03-03 12:00:00"}]');
SELECT fraud.label('v-2', true, 'chargeback', '2016-03-20') > 0 AS labelled;
SELECT fraud.label('v-4', true, 'chargeback', '2016-03-20') > 0 AS labelled;

-- What each view says of the days of 2016: now, from what is queued.
CREATE VIEW v_days AS SELECT day, payments, volume, customers, alerts, alerted_volume, approved, reviewed, labelled_fraud AS fraud, labelled_fraud_alerted AS fraud_alerted, labelled_fraud_volume AS fraud_volume
FROM fraud.daily_report WHERE day BETWEEN '2016-01-01' AND '2016-12-31';
CREATE VIEW v_merchants AS SELECT day, merchant, category, payments, volume, alerts, alert_rate, labelled_fraud AS fraud, labelled_fraud_volume AS fraud_volume
FROM fraud.merchant_risk WHERE day BETWEEN '2016-01-01' AND '2016-12-31';
CREATE VIEW v_cards AS SELECT last_four, state, active_days, payments, volume, mean_amount, alerts, labelled_fraud AS fraud, labelled_fraud_volume AS fraud_volume
FROM fraud.customer_activity WHERE last_four IN ('9601', '9602', '9603');
TABLE v_days ORDER BY day;
TABLE v_merchants ORDER BY day, merchant;
TABLE v_cards ORDER BY last_four;

-- The same when it is in the sums.
CREATE TABLE v_days_before AS TABLE v_days;
CREATE TABLE v_merchants_before AS TABLE v_merchants;
CREATE TABLE v_cards_before AS TABLE v_cards;
SELECT fraud.refresh_rollups() > 0 AS refreshed;
SELECT fraud.refresh_rollups() AS nothing_left;
(TABLE v_days EXCEPT TABLE v_days_before) UNION ALL (TABLE v_days_before EXCEPT TABLE v_days);
(TABLE v_merchants EXCEPT TABLE v_merchants_before) UNION ALL (TABLE v_merchants_before EXCEPT TABLE v_merchants);
(TABLE v_cards EXCEPT TABLE v_cards_before) UNION ALL (TABLE v_cards_before EXCEPT TABLE v_cards);

SELECT hour, payments, volume, alerts, approved, reviewed, labelled_fraud FROM fraud.hourly_activity WHERE hour BETWEEN '2016-01-01' AND '2016-12-31' ORDER BY hour;
SELECT day, category, payments, volume, alerts, labelled_fraud FROM fraud.category_risk WHERE day BETWEEN '2016-01-01' AND '2016-12-31' ORDER BY day, category;
SELECT day, state, iso_3166_2, payments, volume, alerts, labelled_fraud FROM fraud.geography WHERE day BETWEEN '2016-01-01' AND '2016-12-31' ORDER BY day, state;
SELECT day, sum(payments) AS payments, sum(labelled_fraud) AS fraud, bool_and(score_from < score_to) AS bins FROM fraud.score_distribution WHERE day BETWEEN '2016-01-01' AND '2016-12-31' GROUP BY day ORDER BY day;
SELECT transaction_id, status, decision, amount, merchant, state, age_hours >= 0 AS aged, scale(age_hours) FROM fraud.alert_queue WHERE transaction_id LIKE 'v-%' ORDER BY transaction_id;
SELECT sum(alerts) = (SELECT count(*) FROM fraud.alerts) AS all_alerts, sum(open + acknowledged + confirmed + dismissed) = sum(alerts) AS all_states FROM fraud.alert_outcomes;
SELECT day, matured, payments, alerts, labelled_fraud AS fraud, labelled_fraud_alerted AS alerted, labelled_fraud_missed AS missed, precision, recall, caught_volume, lost_volume
FROM fraud.model_performance WHERE day BETWEEN '2016-01-01' AND '2016-12-31' ORDER BY day;

-- The means of scores and the bins are those of the payments themselves.
SELECT d.day, abs(d.mean_score - avg(t.score)) < 0.000001 AS same_mean
FROM fraud.merchant_risk d JOIN fraud.transactions t ON t.occurred_at::date = d.day AND t.merchant = d.merchant
WHERE d.day = '2016-03-01' GROUP BY d.day, d.merchant, d.mean_score ORDER BY d.merchant;
SELECT s.score_from, s.payments = count(*) AS same_count
FROM fraud.score_distribution s JOIN fraud.transactions t ON t.occurred_at::date = s.day AND t.score >= s.score_from AND t.score < s.score_to
WHERE s.day = '2016-03-01' AND t.source = 'sql' GROUP BY s.score_from, s.payments HAVING s.payments <> count(*);

-- A payment that comes late, for a card new that day, and one of a card that had
-- been there: both in the day of their own time.
SELECT transaction_id, decision FROM fraud.ingest('[
    {"cc_num": 4000000000009603, "trans_num": "v-6", "amt": 60.60, "merchant": "Wall", "category": "travel", "state": "NC", "trans_date_trans_time": "2016-03-01 12:00:00"},
    {"cc_num": 4000000000009601, "trans_num": "v-7", "amt": 70.70, "merchant": "Wall", "category": "travel", "state": "NC", "trans_date_trans_time": "2016-03-01 12:00:00"}]');
SELECT day, payments, volume, customers FROM v_days WHERE day = '2016-03-01';
SELECT fraud.refresh_rollups();
SELECT day, payments, volume, customers FROM v_days WHERE day = '2016-03-01';

-- Labels: one comes late, one is taken back, one is not known yet, one comes twice.
SELECT fraud.label('v-6', true, 'chargeback') > 0 AS labelled;
SELECT fraud.label('v-2', false, 'analyst', overrule => true) > 0 AS labelled;
SET fraud_detect.max_future = '1 d';
SELECT fraud.label('v-3', true, 'chargeback', now() + interval '1 hour') > 0 AS labelled;
RESET fraud_detect.max_future;
SELECT fraud.label('v-4', true, 'analyst') > 0 AS labelled;
SELECT day, fraud, fraud_alerted, fraud_volume FROM v_days ORDER BY day;
SELECT fraud.refresh_rollups();
SELECT day, fraud, fraud_alerted, fraud_volume FROM v_days ORDER BY day;
SELECT count(*) AS waits FROM fraud.waiting_labels WHERE transaction_id = 'v-3';
SELECT day, labelled_fraud AS fraud, labelled_fraud_alerted AS alerted, labelled_legitimate_alerted AS legitimate, precision, recall, caught_volume, lost_volume
FROM fraud.model_performance WHERE day BETWEEN '2016-01-01' AND '2016-12-31' ORDER BY day;

-- The label that waited counts when its time has come: here its time is moved.
ALTER TABLE fraud.labels DISABLE TRIGGER labels_append_only;
UPDATE fraud.labels SET known_at = now() WHERE transaction_id = 'v-3';
ALTER TABLE fraud.labels ENABLE TRIGGER labels_append_only;
SELECT fraud, fraud_alerted, fraud_volume FROM v_days WHERE day = '2016-03-01';
SELECT fraud.refresh_rollups();
SELECT fraud, fraud_alerted, fraud_volume FROM v_days WHERE day = '2016-03-01';

-- What the sums say is what the payments say, and what a rebuild says.
DROP TABLE v_days_before, v_merchants_before, v_cards_before;
CREATE TABLE sums_before AS TABLE fraud._rollups;
CREATE VIEW cards_now AS SELECT card, month, days, payments, volume, alerts, fraud, fraud_volume FROM fraud.rollup_cards;
CREATE TABLE cards_before AS TABLE cards_now;
SELECT fraud.rebuild_rollups() = (SELECT count(*) FROM fraud.transactions) AS all_of_them;
SELECT count(*) FROM ((TABLE sums_before EXCEPT TABLE fraud._rollups) UNION ALL (TABLE fraud._rollups EXCEPT TABLE sums_before)) x;
SELECT count(*) FROM ((TABLE cards_before EXCEPT TABLE cards_now) UNION ALL (TABLE cards_now EXCEPT TABLE cards_before)) x;
SELECT bool_and(r.payments = t.payments AND r.volume = t.volume AND r.customers = t.customers) AS same
FROM fraud.daily_report r
FULL JOIN (SELECT occurred_at::date AS day, count(*) AS payments, sum(amount) AS volume, count(DISTINCT card) AS customers FROM fraud.transactions GROUP BY 1) t USING (day);
DROP TABLE sums_before, cards_before;
DROP VIEW cards_now;

-- The latest label of a payment is looked up, not looked for among all labels,
-- by the settings of a refresh, with sorting off.
DO $$
DECLARE
    line text;
BEGIN
    PERFORM set_config(split_part(setting, '=', 1), split_part(setting, '=', 2), true)
    FROM pg_proc, unnest(proconfig) setting WHERE oid = 'fraud._fold_piece'::regproc AND setting ~ '=off$';
    ASSERT NOT current_setting('enable_sort')::bool;
    FOR line IN EXECUTE 'EXPLAIN SELECT * FROM fraud._queued_labels UNION ALL SELECT * FROM fraud._piece_labels' LOOP
        IF line ~ ' labels_known_at_idx' THEN RAISE EXCEPTION '%', line; END IF;
    END LOOP;
END
$$;

-- Another zone: from the next rebuild on, whatever a session has set.
SET fraud_detect.report_timezone = 'America/New_York';
SELECT fraud.report_timezone();
SELECT fraud.rebuild_rollups() > 0 AS rebuilt;
RESET fraud_detect.report_timezone;
SELECT fraud.report_timezone();
SELECT day, payments, customers FROM v_days ORDER BY day;
SELECT hour, payments FROM fraud.hourly_activity WHERE hour BETWEEN '2016-03-01' AND '2016-03-03' ORDER BY hour;

-- Hours of a zone that is half an hour off begin half an hour off.
SET fraud_detect.report_timezone = 'Asia/Kolkata';
SELECT fraud.rebuild_rollups() > 0 AS rebuilt;
SELECT hour, payments FROM fraud.hourly_activity WHERE hour BETWEEN '2016-03-01' AND '2016-03-02' ORDER BY hour;
SET fraud_detect.report_timezone = 'UTC';
SELECT fraud.rebuild_rollups() > 0 AS rebuilt;
RESET fraud_detect.report_timezone;

-- No rates while labels may still come in numbers.
SET fraud_detect.label_maturity = '100000d';
SELECT day, matured, precision, recall FROM fraud.model_performance WHERE day = '2016-03-01';
RESET fraud_detect.label_maturity;

-- Of many years, what is asked of some days reads these alone: conditions on the day, or the hour, go into the table of sums.
CREATE FUNCTION reads_all(view text, condition text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    line text;
    is_of_sums boolean := false;
    told int := 0;
BEGIN
    FOR line IN EXECUTE format('EXPLAIN (COSTS OFF) SELECT * FROM fraud.%I WHERE %s', view, condition) LOOP
        IF line ~ '->' THEN
            is_of_sums := line ~ ' on rollups ';
            told := told + is_of_sums::int;
        ELSIF is_of_sums AND line ~ '(Cond|Filter): .*(day|starts_at) ' THEN
            told := told - 1;
            is_of_sums := false;
        END IF;
    END LOOP;
    RETURN told > 0;
END
$$;
SELECT v.view, c.condition, reads_all(v.view, c.condition)
FROM unnest('{daily_report,merchant_risk,category_risk,geography,model_performance,score_distribution}'::text[]) v(view),
     unnest(ARRAY[$$day = '2016-03-01'$$, $$day BETWEEN '2016-03-01' AND '2016-03-07'$$]) c(condition)
WHERE reads_all(v.view, c.condition);
SELECT reads_all('hourly_activity', $$hour >= '2016-03-01' AND hour < '2016-03-02'$$), reads_all('daily_report', 'true') AS without;
DROP FUNCTION reads_all(text, text);

-- For analysts, and nobody else.
CREATE ROLE fraud_test_reader;
SET ROLE fraud_test_reader;
SELECT count(*) FROM fraud.merchant_risk;
RESET ROLE;
SELECT fraud.grant_access('fraud_test_reader', 'analyst');
SET ROLE fraud_test_reader;
SELECT count(*) > 0 AS daily_report FROM fraud.daily_report;
SELECT count(*) > 0 AS hourly_activity FROM fraud.hourly_activity;
SELECT count(*) > 0 AS merchant_risk FROM fraud.merchant_risk;
SELECT count(*) > 0 AS category_risk FROM fraud.category_risk;
SELECT count(*) > 0 AS customer_activity FROM fraud.customer_activity;
SELECT count(*) > 0 AS geography FROM fraud.geography;
SELECT count(*) > 0 AS alert_queue FROM fraud.alert_queue;
SELECT count(*) > 0 AS alert_outcomes FROM fraud.alert_outcomes;
SELECT count(*) > 0 AS model_performance FROM fraud.model_performance;
SELECT count(*) > 0 AS score_distribution FROM fraud.score_distribution;
SELECT fraud.refresh_rollups();
SELECT count(*) FROM fraud.rollups;
RESET ROLE;
SELECT fraud.revoke_access('fraud_test_reader', 'analyst');
DROP ROLE fraud_test_reader;
DROP VIEW v_days, v_merchants, v_cards;
SELECT fraud.rollback('payments');
RESET datestyle;
RESET timezone;
