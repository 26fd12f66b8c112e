-- The features of a short period whose windows reach far back: the windows of each event are looked up, from tiles
-- where there are some, and are what a pass over all events gives, to the last bit.
CREATE SCHEMA short_period;
SET search_path = short_period, public;
SET timezone = 'UTC';

CREATE TABLE visits (id bigint NOT NULL, at timestamptz NOT NULL, who text NOT NULL, shop text, amount numeric, is_fraud boolean, known_at timestamptz, e int)
    PARTITION BY RANGE (at);
CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM ('2026-01-01') TO ('2026-01-05');
CREATE TABLE visits_2 PARTITION OF visits FOR VALUES FROM ('2026-01-05') TO ('2026-02-01');
-- Of each 20 seconds one, some at the same time.
INSERT INTO visits SELECT i, timestamptz '2026-01-01' + i / 2 * interval '40 seconds', CASE WHEN i % 10 < 7 THEN 'often' ELSE 'rare ' || i % 97 END,
    nullif('shop ' || i % 5, 'shop 4'), round(((i * 48271) % 99991) / 100.0, 2), CASE WHEN i % 7 = 0 THEN i % 3 = 0 END,
    CASE WHEN i % 7 = 0 THEN timestamptz '2026-01-01' + i / 2 * interval '40 seconds' + i % 11 * interval '1 hour' END
FROM generate_series(1, 30000) i;
SELECT fraud.create_feature_set('visits', 'visits', 'id', 'at', label => 'is_fraud', label_known_at => 'known_at');
SELECT fraud.add_feature('visits', 'amount', 'amount'), fraud.add_feature('visits', 'shop', 'shop');
SELECT count(fraud.add_window_feature('visits', format('%s_%s', a, k), a, CASE WHEN a IN ('count', 'rate', 'seconds_since_last') THEN NULL WHEN a = 'distinct' THEN 'shop' ELSE 'amount' END, k, w))
FROM unnest('{count,sum,avg,stddev,min,max,distinct,rate,ratio,zscore,last,seconds_since_last}'::text[]) a,
     (VALUES ('who', interval '6 days'), ('shop', '30 hours')) k(k, w);
ANALYZE visits;

CREATE FUNCTION short(into_table text) RETURNS bigint LANGUAGE sql AS
    $$SELECT fraud.materialize_features('visits', into_table, '2026-01-07 12:00+00', '2026-01-07 12:10+00')$$;
SELECT fraud.materialize_features('visits', 'everything');
-- How the events of a transaction were found.
CREATE VIEW index_scans AS SELECT coalesce(sum(idx_scan), 0) AS scans FROM pg_stat_xact_user_tables WHERE schemaname = 'short_period' AND relname ~ '^visits_.$';
-- Without indexes each look-up would read the table.
BEGIN;
SELECT scans AS before FROM index_scans \gset
SELECT short('before_indexes');
SELECT scans - :before > 20 AS by_index FROM index_scans;
COMMIT;
SELECT fraud.create_feature_indexes('visits');
BEGIN;
SELECT scans AS before FROM index_scans \gset
SELECT short('looked_up');
SELECT scans - :before > 20 AS by_index FROM index_scans;
COMMIT;
SELECT fraud.tile_features('visits'), fraud.request_tiles('visits');
CALL fraud.fold_tiles();
SELECT count(*) > 0 AS tiled FROM fraud.tile_status WHERE feature_set = 'visits' AND covered_to > covered_from;
BEGIN;
SELECT scans AS before FROM index_scans \gset
SELECT short('from_tiles');
SELECT scans - :before > 20 AS by_index FROM index_scans;
COMMIT;
-- Too long a period for that.
BEGIN;
SELECT scans AS before FROM index_scans \gset
SELECT fraud.materialize_features('visits', 'half', '2026-01-05');
SELECT scans - :before > 20 AS by_index FROM index_scans;
COMMIT;

CREATE VIEW wanted AS SELECT e::text FROM everything e WHERE event_time >= '2026-01-07 12:00+00' AND event_time < '2026-01-07 12:10+00';
SELECT (SELECT count(*) FROM wanted) AS events,
       (SELECT count(*) FROM (SELECT b::text FROM before_indexes b EXCEPT TABLE wanted) d) AS by_pass,
       (SELECT count(*) FROM (SELECT l::text FROM looked_up l EXCEPT TABLE wanted) d) AS looked_up,
       (SELECT count(*) FROM (SELECT t::text FROM from_tiles t EXCEPT TABLE wanted) d) AS from_tiles,
       (SELECT count(*) FROM (SELECT h::text FROM half h EXCEPT SELECT e::text FROM everything e) d) AS half;
-- In the order of time and id, with labels.
SELECT (SELECT array_agg(event_id) FROM looked_up) = (SELECT array_agg(event_id ORDER BY event_time, event_id) FROM looked_up) AS in_order,
       count(label) AS labels FROM looked_up;
-- An empty period.
SELECT fraud.materialize_features('visits', 'none', '2026-01-20', '2026-01-21');
-- An event whose features cannot be computed is named, as in a pass.
SELECT fraud.add_feature('visits', 'share', '100 / (amount - 1)');
UPDATE visits SET amount = 1 WHERE at = '2026-01-07 12:05:20+00';
SELECT short('faulty');

SELECT fraud.drop_feature_set('visits');
SET client_min_messages = warning;
DROP SCHEMA short_period CASCADE;
