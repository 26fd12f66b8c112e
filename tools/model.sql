-- Trains the demonstration model and writes its card: run by tools/model, on a server
-- of its own.
\set ON_ERROR_STOP on
\set customers 2000
\set merchants 600
\set days 180
\set seed 20250101
\set start '2025-01-01 00:00:00+00'
\set params '{"num_boost_round": 200, "early_stopping_rounds": 20, "max_depth": 5, "learning_rate": 0.1, "min_child_weight": 5, "subsample": 0.8, "colsample_bytree": 0.8, "lambda": 2, "base_score": 0.005, "eval_metric": "logloss", "nthread": 2}'
-- Reviewers can look at so many of all payments; of those blocked, so many must be fraud.
\set review_rate 0.01
\set block_precision 0.9
SET timezone = 'UTC';

CREATE EXTENSION fraud_detect;
SELECT fraud.simulate(:customers, :merchants, :days, :seed, :'start', timestamptz :'start' + :days * interval '1 day');
CREATE TABLE periods AS
SELECT name, timestamptz :'start' + from_day * interval '1 day' AS "from", timestamptz :'start' + to_day * interval '1 day' AS "to"
FROM (VALUES (1, 'training', 0, 120), (2, 'validation', 120, 150), (3, 'test', 150, 180)) p(i, name, from_day, to_day) ORDER BY i;
SELECT "from" AS train_from, "to" AS train_to FROM periods WHERE name = 'training' \gset
SELECT "from" AS validation_from, "to" AS validation_to FROM periods WHERE name = 'validation' \gset
SELECT "from" AS test_from, "to" AS test_to FROM periods WHERE name = 'test' \gset

SELECT fraud.train('payments', 'payments', :'params', train_from => :'train_from', train_to => :'train_to',
    validation_from => :'validation_from', validation_to => :'validation_to', seed => 1) AS run \gset
SELECT fraud.wait_for_training(:run) AS status \gset
SELECT r.model_version AS version, r.xgboost_version, coalesce(r.reason, '') AS reason FROM fraud.training_runs r WHERE r.run = :run \gset
\if :{?version}
\else
    \warn :reason
    \quit
\endif
SELECT 'payments/' || :version AS ref \gset
-- Rounded up to whole thousandths, they keep their promise.
SELECT ceil(1000 * t.threshold) / 1000 AS review_at
FROM fraud.choose_threshold(:'ref', :'validation_from', :'validation_to',
    alerts_per_day => (SELECT :review_rate * count(*) / 30 FROM fraud.transactions
                       WHERE occurred_at >= :'validation_from' AND occurred_at < :'validation_to')) t \gset
SELECT ceil(1000 * t.threshold) / 1000 AS block_at
FROM fraud.choose_threshold(:'ref', :'validation_from', :'validation_to', min_precision => :block_precision) t \gset

CREATE TABLE scored AS SELECT * FROM fraud.scored_events(:'ref', :'test_from', :'test_to');

\pset tuples_only on
\pset format unaligned
\o :card
\qecho '# The `payments` model'
\qecho
\qecho 'For demonstration: trained on simulated payments only. It makes the extension useful in'
\qecho 'the first minute; it is not for production. Written by `make model`, with the model file'
\qecho '`payments.ubj`; the same library on the same machine writes the same bytes again.'
\qecho
\qecho '## Thresholds'
\qecho
SELECT format('review_at = %s, block_at = %s', to_char(:review_at, 'FM0.000'), to_char(:block_at, 'FM0.000'));
\qecho
SELECT format('Probabilities, chosen on the validation period: `review_at` alerts about %s %% of the payments,', 100 * :review_rate);
SELECT format('`block_at` is the lowest whose alerts are fraud in at least %s %% of the cases.', round(100 * :block_precision));
\qecho
\qecho '## Data'
\qecho
SELECT format('`fraud.simulate(%s, %s, %s, %s, ''%s'')`.', :customers, :merchants, :days, :seed, left(:'start', 10));
\qecho
\qecho '| period | dates | payments | frauds | share |'
\qecho '|---|---|--:|--:|--:|'
SELECT format('| %s | %s to %s | %s | %s | %s %% |', p.name, p."from"::date, p."to"::date - 1, count(*),
              count(*) FILTER (WHERE l.is_fraud), round(100.0 * count(*) FILTER (WHERE l.is_fraud) / count(*), 2))
FROM periods p JOIN fraud.transactions t ON t.occurred_at >= p."from" AND t.occurred_at < p."to"
LEFT JOIN fraud.current_labels l ON l.card = t.card AND l.transaction_id = t.transaction_id
GROUP BY p.name, p."from", p."to" ORDER BY p."from";
\qecho
\qecho 'Periods follow one another: the model is judged on days later than any it saw.'
\qecho 'Features are those of the feature set `payments` (`docs/features.md`), in this order:'
SELECT string_agg(format('`%s`', f), ', ') || '.' FROM unnest(fraud.payment_features()) f;
\qecho
\qecho '## Training'
\qecho
SELECT format('XGBoost %s, %s rounds (early stopping after 20 rounds without a better validation log loss), %s bytes.',
              :'xgboost_version', v.iterations, octet_length(fraud.export_model(:'ref')))
FROM fraud.model_versions v WHERE v.model = 'payments' AND v.version = :version;
SELECT format('Parameters: %s.', string_agg(format('`%s=%s`', p.key, p.value), ', ')) FROM jsonb_each_text(:'params') p;
\qecho
\qecho '## Quality'
\qecho
\qecho '| period | average precision | AUC | log loss |'
\qecho '|---|--:|--:|--:|'
SELECT format('| %s | %s | %s | %s |', p.name, to_char(max(e.value) FILTER (WHERE e.metric = 'average_precision'), 'FM0.0000'),
              to_char(max(e.value) FILTER (WHERE e.metric = 'auc_roc'), 'FM0.0000'),
              to_char(max(e.value) FILTER (WHERE e.metric = 'log_loss'), 'FM0.00000'))
FROM periods p, fraud.evaluate(:'ref', p."from", p."to") e WHERE p.name <> 'training' GROUP BY p.name, p."from" ORDER BY p."from";
\qecho
\qecho 'On the test period, by threshold or by the share of payments that may be alerted:'
\qecho
\qecho '| alert | threshold | alerts | of payments | precision | recall |'
\qecho '|---|--:|--:|--:|--:|--:|'
WITH ranked AS (SELECT score, is_fraud, row_number() OVER (ORDER BY score DESC) AS place, count(*) OVER () AS payments FROM scored),
alerts AS (
    SELECT 1 AS i, '`review_at`' AS name, :review_at::float8 AS threshold
    UNION ALL SELECT 2, '`block_at`', :block_at
    UNION ALL SELECT 2 + n, format('%s %%', rate), (SELECT r.score FROM ranked r WHERE r.place = floor(r.payments * rate / 100))
    FROM unnest('{0.1,0.25,0.5,1}'::numeric[]) WITH ORDINALITY u(rate, n))
SELECT format('| %s | %s | %s | %s %% | %s | %s |', a.name, to_char(a.threshold, 'FM0.0000'), count(*) FILTER (WHERE s.score >= a.threshold),
              round(100.0 * count(*) FILTER (WHERE s.score >= a.threshold) / count(*), 2),
              round(1.0 * count(*) FILTER (WHERE s.score >= a.threshold AND s.is_fraud) / count(*) FILTER (WHERE s.score >= a.threshold), 3),
              round(1.0 * count(*) FILTER (WHERE s.score >= a.threshold AND s.is_fraud) / count(*) FILTER (WHERE s.is_fraud), 3))
FROM alerts a CROSS JOIN scored s GROUP BY a.i, a.name, a.threshold ORDER BY a.i;
\qecho
\qecho '## Limits'
\qecho
\qecho '- Its payments, people and frauds are invented, so the figures above say how well it knows'
\qecho '  the simulator, not how well it would know your customers.'
\qecho '- Amounts are in US dollars, hours and weekdays in UTC, homes and merchants in the United'
\qecho '  States. Other currencies or regions are outside of what it has seen.'
\qecho '- Labels are complete and right, seven days after the payment; real ones come later and some never.'
\qecho '- It uses age and the population of the home town. Whether that is allowed where you are'
\qecho '  is yours to judge.'
\qecho '- It was trained on periods without drift. Real fraud answers to what stops it.'
\qecho
\qecho '## To replace it'
\qecho
\qecho 'Load a labelled history of your own (`fraud.load_history`), train on it (`docs/training.md`) or'
\qecho 'bring a model trained elsewhere (`fraud.import_model`), judge it on later payments'
\qecho '(`docs/evaluation.md`), then `fraud.promote` it.'
\o :artifact
SELECT encode(fraud.export_model(:'ref'), 'base64');
\o
