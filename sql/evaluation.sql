-- Measuring scores. The expected values are scikit-learn 1.9.1's, computed with
--   i = np.arange(1, 201); score = (i*37 % 101)/100.0; fraud = (i*53) % 97 < 3 + score*20
-- average_precision_score, roc_auc_score, log_loss, brier_score_loss: all of them
-- 0.17582688708529334 0.5781417255405694 1.2815216278370667 0.317302
-- and by i % 3 (0, 1, 2):
-- 0.21580275915183256 0.627155172413793  1.4329696246681514 0.30825151515151517
-- 0.2246154816436367  0.6302681992337165 0.8980145341472993 0.30631791044776124
-- 0.17353567243796758 0.4982456140350877 1.5158411425589002 0.3372014925373134
\set SHOW_CONTEXT never
CREATE TABLE scored AS
SELECT i, (i * 37 % 101) / 100.0::float8 AS score, (i * 53) % 97 < 3 + (i * 37 % 101) / 100.0::float8 * 20 AS fraud,
       i * 1.5 AS amount, (i % 7)::text AS card, date '2026-01-01' + (i - 1) / 50 AS day
FROM generate_series(1, 200) i;
CREATE FUNCTION measures(VARIADIC float8[]) RETURNS numeric[] LANGUAGE sql AS $$ SELECT array_agg(round(v::numeric, 13)) FROM unnest($1) v $$;
SELECT measures(fraud.average_precision(score, fraud), fraud.auc_roc(score, fraud), fraud.log_loss(score, fraud), fraud.brier(score, fraud)) FROM scored;
SELECT i % 3 AS part, measures(fraud.average_precision(score, fraud), fraud.auc_roc(score, fraud), fraud.log_loss(score, fraud), fraud.brier(score, fraud)) FROM scored GROUP BY 1 ORDER BY 1;
-- Order does not matter, nulls are passed over, and what is undefined is null.
SELECT fraud.average_precision(score, fraud ORDER BY random()) = fraud.average_precision(score, fraud) AS same FROM scored;
SELECT fraud.average_precision(CASE WHEN i > 200 THEN NULL ELSE score END, fraud) = (SELECT fraud.average_precision(score, fraud) FROM scored) AS same
FROM (SELECT * FROM scored UNION ALL SELECT 201, NULL, true, 1, '1', '2026-01-01') s;
SELECT fraud.average_precision(score, fraud), fraud.auc_roc(score, fraud), fraud.log_loss(score, fraud), fraud.brier(score, fraud), fraud.recall_at(score, fraud, 0.1), fraud.precision_at(score, fraud, 0.001), fraud.card_precision(score, fraud, card, day, 3, false) FROM scored WHERE i < 0;
SELECT fraud.average_precision(score, false), fraud.auc_roc(score, true), fraud.log_loss(score * 2, fraud) FROM scored;
SELECT fraud.auc_roc('NaN', true);
SELECT fraud.recall_at(score, fraud, 0) FROM scored;
SELECT fraud.card_precision(score, fraud, card, day, 0, false) FROM scored;
-- At 5 % the threshold is 0.96 (10 alerts, 1 of 27 frauds), at 10 % it is 0.91 (20, 3).
SELECT measures(fraud.recall_at(score, fraud, 0.05), fraud.precision_at(score, fraud, 0.05)), measures(fraud.recall_at(score, fraud, 0.1), fraud.precision_at(score, fraud, 0.1)) FROM scored;
-- By the definition in the Fraud Detection Handbook: 0.8333333333333333, 0.5833333333333333.
SELECT measures(fraud.card_precision(score, fraud, card, day, 3, false), fraud.card_precision(score, fraud, card, day, 3, true)) FROM scored;
-- Memory is bounded.
SET fraud_detect.evaluation_memory = '64kB';
SELECT fraud.auc_roc(i, i % 2 = 0) FROM generate_series(1, 10000) i;
RESET fraud_detect.evaluation_memory;

-- A model on a table of features: the stump of the models' test, whose margin is
-- (a < 1 ? 0.5 : -0.25) + (b < 2 ? 1 : -1).
CREATE TABLE judged AS
SELECT i AS id, timestamptz '2026-01-01' + i * interval '1 hour' AS at, ((i * 53) % 97 < 12)::int AS is_fraud, (i % 7)::text AS who, i::numeric AS amt,
       (CASE WHEN (i * 53) % 97 < 8 OR i % 10 = 0 THEN 0 ELSE 1 END)::float8 AS a, (CASE WHEN (i * 53) % 97 < 6 OR i % 15 = 0 THEN 0 ELSE 2 END)::float8 AS b
FROM generate_series(1, 400) i;
INSERT INTO judged SELECT 401, '2026-01-05', NULL, '1', 1, 0, 0;
\set columns '''{"event_id": "id", "event_time": "at", "label": "is_fraud", "card": "who", "amount": "amt"}'''
SELECT metric, round(value::numeric, 6) FROM fraud.evaluate('stump/1', '2026-01-01', '2026-02-01', threshold => 0.5, cards => 3, rel => 'judged', columns => :columns);
-- What evaluate says is what the aggregates say of the scored events.
SELECT count(*), round(fraud.average_precision(score, is_fraud)::numeric, 6) AS ap, round(fraud.auc_roc(score, is_fraud)::numeric, 6) AS auc, sum(amount) FILTER (WHERE is_fraud AND score >= 0.5) AS caught
FROM fraud.scored_events('stump/1', '2026-01-01', '2026-02-01', 'judged', :columns);
-- Periods are [from, to).
SELECT count(*), min(event_time), max(event_time) FROM fraud.scored_events('stump/1', '2026-01-01 03:00', '2026-01-01 05:00', 'judged', :columns);
SELECT round(threshold::numeric, 5) AS threshold, alerts, caught, round("precision"::numeric, 5) AS precision, round(recall::numeric, 5) AS recall FROM fraud.precision_recall_curve('stump/1', '2026-01-01', '2026-02-01', NULL, 'judged', :columns);
SELECT bin, events, round(mean_score::numeric, 5) AS mean_score, round(fraud_rate::numeric, 5) AS fraud_rate FROM fraud.calibration('stump/1', '2026-01-01', '2026-02-01', 4, rel => 'judged', columns => :columns);
SELECT sum(events), count(*) FROM fraud.calibration('stump/1', '2026-01-01', '2026-02-01', 1, rel => 'judged', columns => :columns);
SELECT sum(events) FROM fraud.calibration('stump/1', '2026-01-01', '2026-02-01', 5, 'quantile', 'judged', :columns);

-- Thresholds, each against a search by hand over the curve.
SELECT round(threshold::numeric, 5) AS threshold, alerts, round(daily_alerts::numeric, 3) AS daily, round(achieved_precision::numeric, 5) AS precision, round(recall::numeric, 5) AS recall
FROM fraud.choose_threshold('stump/1', '2026-01-01', '2026-02-01', alerts_per_day => 2, rel => 'judged', columns => :columns);
SELECT max(alerts) FROM fraud.precision_recall_curve('stump/1', '2026-01-01', '2026-02-01', NULL, 'judged', :columns) WHERE alerts <= 2 * 31;
SELECT round(threshold::numeric, 5) AS threshold, alerts, round(achieved_precision::numeric, 5) AS precision FROM fraud.choose_threshold('stump/1', '2026-01-01', '2026-02-01', min_precision => 0.5, rel => 'judged', columns => :columns);
SELECT alerts, total_cost FROM fraud.choose_threshold('stump/1', '2026-01-01', '2026-02-01', alert_cost => 5, fraud_cost => 30, rel => 'judged', columns => :columns);
SELECT min(alerts * 5 + (SELECT count(*) FROM judged WHERE is_fraud = 1) * 30 - caught * 30) FROM fraud.precision_recall_curve('stump/1', '2026-01-01', '2026-02-01', NULL, 'judged', :columns);
SELECT alerts, total_cost FROM fraud.choose_threshold('stump/1', '2026-01-01', '2026-02-01', alert_cost => 5, rel => 'judged', columns => :columns);
SELECT * FROM fraud.choose_threshold('stump/1', '2026-01-01', '2026-02-01', min_precision => 1, rel => 'judged', columns => :columns);
SELECT * FROM fraud.choose_threshold('stump/1', '2026-01-01', '2026-02-01', rel => 'judged', columns => :columns);
SELECT * FROM fraud.choose_threshold('stump/1', '2026-01-01', '2026-02-01', alert_cost => 5, rel => 'judged', columns => '{"event_id": "id", "event_time": "at", "label": "is_fraud"}');
-- A period without events is told, without where in our code, by all that measure.
\set SHOW_CONTEXT errors
SELECT * FROM fraud.precision_recall_curve('stump/1', '2001-01-01', '2001-02-01', rel => 'judged', columns => :columns);
SELECT * FROM fraud.calibration('stump/1', '2001-01-01', '2001-02-01', rel => 'judged', columns => :columns);
SELECT * FROM fraud.choose_threshold('stump/1', '2001-01-01', '2001-02-01', min_precision => 0.1, rel => 'judged', columns => :columns);
SELECT * FROM fraud.compare_models('stump/1', 'stump/1', '2001-01-01', '2001-02-01', rel => 'judged', columns => :columns);
SELECT * FROM fraud.scored_events('stump/99', '2001-01-01', '2001-02-01');
\set SHOW_CONTEXT never

-- What a user can get wrong.
SELECT * FROM fraud.evaluate('stump/1', '2026-01-01', '2026-02-01');
SELECT * FROM fraud.evaluate('stump/1', '2026-02-01', '2026-01-01', rel => 'judged', columns => :columns);
SELECT * FROM fraud.evaluate('stump/7', '2026-01-01', '2026-02-01', rel => 'judged', columns => :columns);
SELECT * FROM fraud.evaluate('stump/1', '2026-01-01', '2026-02-01', rel => 'nowhere', columns => :columns);
SELECT * FROM fraud.evaluate('stump/1', '2026-01-01', '2026-02-01', rel => 'judged', columns => '{"id": "id"}');
SELECT * FROM fraud.evaluate('stump/1', '2026-01-01', '2026-02-01', rel => 'judged');
-- A period without events: where there are some.
SELECT * FROM fraud.evaluate('stump/1', '2025-01-01', '2025-02-01', rel => 'judged', columns => :columns);
-- And one whose events have no label.
CREATE TABLE unjudged AS SELECT i AS event_id, timestamptz '2026-01-01' + i * interval '1 hour' AS event_time, 0::float8 AS a, 0::float8 AS b, NULL::boolean AS label FROM generate_series(1, 5) i;
SELECT * FROM fraud.evaluate('stump/1', '2026-01-01', '2026-02-01', rel => 'unjudged');
SELECT * FROM fraud.evaluate('stump/1', '2027-01-01', '2027-02-01', rel => 'unjudged');
DROP TABLE unjudged;
SELECT * FROM fraud.evaluate('stump/1', NULL, '2026-02-01');
-- A table is read with the caller's rights.
CREATE ROLE regress_fraud_measurer;
SELECT fraud.grant_access('regress_fraud_measurer', 'scientist');
SET ROLE regress_fraud_measurer;
SELECT count(*) FROM fraud.evaluate('stump/1', '2026-01-01', '2026-02-01', rel => 'judged', columns => :columns);
-- Payments are measured with the access that was given.
SELECT count(*) FROM fraud.evaluate('payments', '2019-01-01', '2019-06-01');
SELECT * FROM fraud.evaluate('payments', '2010-01-01', '2010-06-01');
RESET ROLE;
GRANT SELECT ON judged TO regress_fraud_measurer;
SET ROLE regress_fraud_measurer;
SELECT count(*) FROM fraud.evaluate('stump/1', '2026-01-01', '2026-02-01', rel => 'judged', columns => :columns);
RESET ROLE;

-- Payments: the labels are those known at a time.
SELECT metric, value FROM fraud.evaluate('payments', '2019-03-01', '2019-03-10') WHERE metric IN ('events', 'frauds');
SELECT metric, value FROM fraud.evaluate('payments', '2019-03-01', '2019-03-10', labels_as_of => '2019-03-15') WHERE metric IN ('events', 'frauds');
SELECT count(*) FILTER (WHERE s.score IS DISTINCT FROM t.score) AS different, count(*) > 0 AS any
FROM fraud.scored_events('payments', '2019-03-01', '2019-05-01') s JOIN fraud.transactions t ON t.transaction_id = s.event_id AND t.card::text = s.card;
SELECT fraud.revoke_access('regress_fraud_measurer', 'scientist');
REVOKE SELECT ON judged FROM regress_fraud_measurer;
DROP ROLE regress_fraud_measurer;
