-- From a table of labelled events to a champion, and what a user can get wrong. The
-- process that trains has tests of its own (test/t/024_training.pl).
\set SHOW_CONTEXT never
SET timezone = 'UTC';
CREATE TABLE purchases AS
SELECT i AS no, timestamptz '2026-01-01' + i * interval '5 minutes' AS bought_at, 'b' || (i * 7919) % 97 AS buyer,
       round((20 + (i * 37) % 180 + CASE WHEN i % 61 = 0 AND i % 7 < 5 THEN 400 ELSE 0 END)::numeric, 2) AS total,
       (i * 31) % 24 AS hour_of_day, i % 61 = 0 AS disputed
FROM generate_series(1::bigint, 20000) i;
ALTER TABLE purchases ADD PRIMARY KEY (no);
CREATE ROLE regress_fraud_learner;
SELECT fraud.grant_access('regress_fraud_learner', 'scientist'), fraud.grant_access('regress_fraud_learner', 'score');
GRANT SELECT ON purchases TO regress_fraud_learner;
SET ROLE regress_fraud_learner;
SELECT fraud.create_feature_set('purchases', 'purchases', 'no', 'bought_at', label => 'disputed', label_delay => '1 day');
SELECT fraud.add_feature('purchases', 'total', 'total');
SELECT fraud.add_feature('purchases', 'hour', 'hour_of_day');
SELECT fraud.add_window_feature('purchases', 'buyer_mean_7d', 'avg', 'total', 'buyer', '7 days');
SELECT fraud.add_window_feature('purchases', 'times_mean_7d', 'ratio', 'total', 'buyer', '7 days');

-- A first model: trained, measured on a later period, champion.
SELECT fraud.train('disputes', 'purchases', params => '{"num_boost_round": 4, "max_depth": 1, "eta": 0.5}',
    train_from => '2026-01-01', train_to => '2026-02-10', test_from => '2026-02-20', test_to => '2026-03-11', description => 'a start') AS first \gset
SELECT fraud.wait_for_training(:first);
SELECT status, reason, train_rows, train_frauds, test_rows, test_frauds, rounds, model_version, metric IS NULL AS no_validation, definition_hash = fraud.feature_set_hash('purchases') AS hash FROM fraud.training_runs WHERE run = :first;
SELECT fraud.promote('disputes', 1, reason => 'the first');
-- A search on folds, each later than what it was trained on, and early stopping.
SELECT fraud.train('disputes', 'purchases', params => '{"num_boost_round": 60, "early_stopping_rounds": 10}', search => '{"max_depth": [2, 5], "eta": [0.1, 0.3]}', folds => 3, delay => '1 day',
    train_from => '2026-01-01', train_to => '2026-02-10', validation_from => '2026-02-11', validation_to => '2026-02-19', test_from => '2026-02-20', test_to => '2026-03-11') AS second \gset
SELECT fraud.wait_for_training(:second);
SELECT fold, count(*), count(DISTINCT params), bool_and(metric BETWEEN 0 AND 1) AS metrics, bool_and(best_round BETWEEN 1 AND 60) AS rounds FROM fraud.training_trials WHERE run = :second GROUP BY fold ORDER BY fold;
SELECT status, model_version, metric_name, rounds <= 60 AS rounds, cardinality(history) >= rounds AS history, used_params ->> 'max_depth' IN ('2', '5') AS chosen, validation_rows FROM fraud.training_runs WHERE run = :second;
-- The chosen parameters have the best mean over the folds.
SELECT (SELECT params FROM fraud.training_trials WHERE run = :second GROUP BY params ORDER BY avg(metric) DESC LIMIT 1) <@ used_params AS best FROM fraud.training_runs WHERE run = :second;
-- Draws instead of the grid, without folds; the seed decides them.
SELECT fraud.train('draws', 'purchases', params => '{"num_boost_round": 10}', trials => 3, seed => 5, search => '{"eta": {"min": 0.05, "max": 0.5, "log": true}, "max_depth": {"min": 1, "max": 4, "int": true}, "subsample": [0.8, 1]}',
    train_from => '2026-01-01', train_to => '2026-02-10', validation_from => '2026-02-11', validation_to => '2026-02-19') AS draws \gset
SELECT fraud.wait_for_training(:draws);
SELECT count(*), count(DISTINCT params), bool_and((params ->> 'eta')::float8 BETWEEN 0.05 AND 0.5 AND (params ->> 'max_depth')::int BETWEEN 1 AND 4) AS within FROM fraud.training_trials WHERE run = :draws;
-- It is judged on the test period of its training, on events that nobody has to name.
SELECT fraud.promote('disputes', 2);
SELECT evidence ->> 'beats' AS beats, evidence ->> 'from' AS since, evidence ->> 'frauds' AS frauds FROM fraud.promotions WHERE model = 'disputes' ORDER BY promotion_id DESC LIMIT 1;
SELECT count(*), count(value) > 15 AS measured FROM fraud.evaluate('disputes', '2026-02-20', '2026-03-11', columns => '{"card": "buyer", "amount": "total"}');
SELECT metric, value FROM fraud.evaluate('disputes', '2026-02-20', '2026-03-11', columns => '{"card": "buyer", "amount": "total"}') WHERE metric IN ('events', 'frauds');
SELECT difference > 0 AS better FROM fraud.compare_models('disputes/1', 'disputes/2', '2026-02-20', '2026-03-11') WHERE metric = 'average_precision';
SELECT fraud_score(fraud.features('purchases', p), 'disputes') BETWEEN 0 AND 1 AS scores FROM purchases p WHERE no = 19999;
-- The matrix as a table trains the same model, byte for byte.
RESET ROLE;
GRANT CREATE ON SCHEMA public TO regress_fraud_learner;
SET ROLE regress_fraud_learner;
SELECT fraud.materialize_features('purchases', 'purchase_features');
SELECT fraud.train('from_table', rel => 'purchase_features', params => '{"num_boost_round": 4, "max_depth": 1, "eta": 0.5}', features => '{total,hour,buyer_mean_7d,times_mean_7d}',
    train_from => '2026-01-01', train_to => '2026-02-10', test_from => '2026-02-20', test_to => '2026-03-11') AS other \gset
SELECT fraud.wait_for_training(:other);
SELECT (SELECT digest FROM fraud.model_versions WHERE model = 'from_table') = digest AS same FROM fraud.model_versions WHERE model = 'disputes' AND version = 1;
SELECT count(DISTINCT data_digest) AS data FROM fraud.training_runs WHERE run IN (:first, :other);

-- XGBoost's own words for what it does not take; what we could not score is refused before it is trained.
SELECT fraud.train('bad', 'purchases', params => '{"etaa": 0.1}', train_from => '2026-01-01', train_to => '2026-02-10') AS bad \gset
SELECT fraud.wait_for_training(:bad);
SELECT fraud.train('bad', 'purchases', params => '{"eval_metric": "beauty"}', train_from => '2026-01-01', train_to => '2026-02-10') AS bad \gset
DO $$ BEGIN PERFORM fraud.wait_for_training((SELECT max(run) FROM fraud.training_runs)); EXCEPTION WHEN OTHERS THEN RAISE NOTICE '%', SQLERRM ~ 'Unknown metric function beauty'; END $$;
SELECT fraud.train('bad', 'purchases', train_from => '2020-01-01', train_to => '2020-02-10') AS bad \gset
SELECT fraud.wait_for_training(:bad);
SELECT fraud.train('bad', 'purchases', search => '{"eta": {"min": 0.1, "max": 0.3}}', folds => 2, train_from => '2026-01-01', train_to => '2026-02-10') AS bad \gset
SELECT fraud.wait_for_training(:bad);
-- What a metric cannot tell, and several metrics.
CREATE TABLE calm AS SELECT no AS event_id, bought_at AS event_time, disputed AND bought_at < '2026-02-10' AS label, total::real FROM purchases;
SELECT fraud.train('bad', rel => 'calm', train_from => '2026-01-01', train_to => '2026-02-10', validation_from => '2026-02-10', validation_to => '2026-02-20') AS bad \gset
SELECT fraud.wait_for_training(:bad);
SELECT fraud.train('bad', 'purchases', folds => 2, train_from => '2026-01-01', train_to => 'infinity');
SELECT count(*) AS half_models FROM fraud.model_versions WHERE model = 'bad';
SELECT fraud.train('calm', rel => 'calm', params => '{"eval_metric": ["aucpr", "logloss"], "num_boost_round": 5}', train_from => '2026-01-01', train_to => '2026-02-01', validation_from => '2026-02-01', validation_to => '2026-02-10') AS calm \gset
SELECT fraud.wait_for_training(:calm);
SELECT metric_name, used_params -> 'eval_metric' AS metrics, cardinality(history) AS rounds FROM fraud.training_runs WHERE run = :calm;

SELECT fraud.train('bad', 'nobody', train_from => '2026-01-01', train_to => '2026-02-10');
SELECT fraud.train('bad', train_from => '2026-01-01', train_to => '2026-02-10');
SELECT fraud.train('bad', 'purchases', rel => 'purchases', train_from => '2026-01-01', train_to => '2026-02-10');
SELECT fraud.train('no way', 'purchases', train_from => '2026-01-01', train_to => '2026-02-10');
SELECT fraud.train('bad', 'purchases', train_from => '2026-02-10', train_to => '2026-01-01');
SELECT fraud.train('bad', 'purchases', train_from => '2026-01-01', train_to => '2026-02-10', test_from => '2026-02-09', test_to => '2026-02-20');
SELECT fraud.train('bad', 'purchases', train_from => '2026-01-01', train_to => '2026-02-10', test_from => '2026-02-11', test_to => '2026-02-20', delay => '7 days');
SELECT fraud.train('bad', 'purchases', train_from => '2026-01-01', train_to => '2026-02-10', test_from => '2026-02-11');
SELECT fraud.train('bad', 'purchases', train_from => '2026-01-01', train_to => '2026-02-10', validation_from => '2026-02-11', validation_to => '2026-02-20', test_from => '2026-02-15', test_to => '2026-02-20');
SELECT fraud.train('bad', 'purchases', params => '{"early_stopping_rounds": 5}', train_from => '2026-01-01', train_to => '2026-02-10');
SELECT fraud.train('bad', 'purchases', search => '{"eta": [0.1]}', train_from => '2026-01-01', train_to => '2026-02-10');
SELECT fraud.train('bad', 'purchases', trials => 3, train_from => '2026-01-01', train_to => '2026-02-10');
SELECT fraud.train('bad', 'purchases', params => '[1]', train_from => '2026-01-01', train_to => '2026-02-10');
SELECT fraud.train('bad', 'purchases', params => '{"eta": {"a": 1}}', train_from => '2026-01-01', train_to => '2026-02-10');
SELECT fraud.train('bad', 'purchases', params => '{"num_boost_round": 0}', train_from => '2026-01-01', train_to => '2026-02-10');
SELECT fraud.train('bad', rel => 'purchases', train_from => '2026-01-01', train_to => '2026-02-10');
SELECT fraud.train('bad', rel => 'purchases', columns => '{"event_id": "no", "event_time": "bought_at", "label": "disputed"}', features => '{total,buyer}', train_from => '2026-01-01', train_to => '2026-02-10');
SELECT fraud.train('bad', rel => 'purchases', columns => '{"event_id": "no", "event_time": "bought_at", "label": "disputed"}', features => '{total,disputed}', train_from => '2026-01-01', train_to => '2026-02-10');
SELECT fraud.train('bad', rel => 'judged', columns => '{"event_id": "id", "event_time": "at", "label": "is_fraud"}', train_from => '2026-01-01', train_to => '2026-02-10');
BEGIN;
SELECT fraud.train('bad', 'purchases', train_from => '2026-01-01', train_to => '2026-02-10') AS bad \gset
SELECT fraud.wait_for_training(:bad) IS NULL AS never;
ROLLBACK;
SELECT fraud.wait_for_training(0);
SELECT fraud.cancel_training(0);
RESET ROLE;
SELECT count(*) AS left_over FROM fraud.training_queue;
SELECT fraud.drop_feature_set('purchases');
DROP OWNED BY regress_fraud_learner;
DROP ROLE regress_fraud_learner;
