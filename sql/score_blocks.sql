-- fraud_score(row) in aggregates, 64 rows at a time: the same scores as one by one, in every kind of plan.
CREATE EXTENSION IF NOT EXISTS fraud_detect;
\set stump `cat test/golden/1.7.6-missing.json`
SELECT fraud.import_model('blocks', convert_to(:'stump', 'UTF8'));
SELECT fraud.promote('blocks', 1);
CREATE TABLE block_rows (id int PRIMARY KEY, f0 float4, gone text, f1 float8, f2 int, f3 numeric, f4 bool, f5 bigint, kind text, place int);
ALTER TABLE block_rows DROP COLUMN gone;
INSERT INTO block_rows
SELECT i, CASE WHEN i % 7 > 0 THEN sin(i) END, CASE WHEN i % 5 > 0 THEN cos(i) END, i % 3, (i % 11) / 7.0, i % 2 = 0, i, repeat('kind ' || i % 6, 50), i % 4
FROM generate_series(1, 10000) i;
VACUUM ANALYZE block_rows;
-- One by one, as a row that a function has made is scored.
CREATE FUNCTION whole_row(r block_rows) RETURNS block_rows LANGUAGE plpgsql STABLE AS 'BEGIN RETURN r; END';
CREATE TABLE one_by_one AS SELECT id, kind, place, fraud_score(whole_row(r), 'blocks') AS s FROM block_rows r;
ANALYZE one_by_one;
SET max_parallel_workers_per_gather = 0;

EXPLAIN (VERBOSE, COSTS OFF) SELECT sum(fraud_score(r, 'blocks')) FROM block_rows r;
EXPLAIN (VERBOSE, COSTS OFF) SELECT kind, avg(fraud_score(r, 'blocks')), max(id) FROM block_rows r GROUP BY kind HAVING max(fraud_score(r, 'blocks')) > 0;
-- In the order of the rows, the last block too: bit for bit.
SELECT (SELECT array_agg(fraud_score(r, 'blocks') ORDER BY id) FROM block_rows r) = (SELECT array_agg(s ORDER BY id) FROM one_by_one) AS same;
SELECT n, (SELECT array_agg(fraud_score(r, 'blocks') ORDER BY id) FROM block_rows r WHERE id <= n) IS NOT DISTINCT FROM (SELECT array_agg(s ORDER BY id) FROM one_by_one WHERE id <= n) AS same
FROM unnest('{0,1,15,16,63,64,65,128,200}'::int[]) n;
-- Grouped by hash and by sort, with HAVING, with columns of any length beside it, several models, DISTINCT.
SELECT fraud.import_model('blocks_2', convert_to(:'stump', 'UTF8'), feature_names => '{f1,f0,f2,f3,f4}') IS NOT NULL AS imported;
CREATE VIEW grouped AS
SELECT kind, place, count(*) AS n, array_agg(fraud_score(r, 'blocks') ORDER BY id) AS scores, min(fraud_score(r, 'blocks') * 2) AS least, string_agg(kind, '' ORDER BY id) AS kinds,
       count(DISTINCT fraud_score(r, 'blocks')) AS different
FROM block_rows r GROUP BY kind, place HAVING max(fraud_score(r, 'blocks')) > 0;
CREATE VIEW grouped_one_by_one AS
SELECT kind, place, count(*) AS n, array_agg(s ORDER BY id) AS scores, min(s * 2) AS least, string_agg(kind, '' ORDER BY id) AS kinds, count(DISTINCT s) AS different
FROM one_by_one GROUP BY kind, place HAVING max(s) > 0;
CREATE FUNCTION differ() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT count(*) FROM grouped g FULL JOIN grouped_one_by_one o USING (kind, place) WHERE (g.n, g.scores, g.least, g.kinds, g.different) IS DISTINCT FROM (o.n, o.scores, o.least, o.kinds, o.different));
END
$$;
SELECT differ();
SET enable_hashagg = off;
SELECT differ();
SET enable_hashagg = on;
SET enable_sort = off;
SELECT differ();
RESET enable_sort;
-- Batches of a hash that go to disk.
SET work_mem = '64kB';
SET enable_sort = off;
SELECT count(*), sum(s) = (SELECT sum(s) FROM one_by_one) AS same FROM (SELECT id % 5000 AS k, sum(fraud_score(r, 'blocks')) AS s FROM block_rows r GROUP BY 1 OFFSET 0) g;
RESET enable_sort;
RESET work_mem;
-- Grouping sets share what they read, and stay as they are; so does what may be left out.
EXPLAIN (COSTS OFF) SELECT kind, sum(fraud_score(r, 'blocks')) FROM block_rows r GROUP BY ROLLUP (kind);
EXPLAIN (COSTS OFF) SELECT sum(fraud_score(r, 'nix')) FILTER (WHERE id < 0), sum(CASE WHEN id < 0 THEN fraud_score(r, 'nix') END), sum(coalesce(id, fraud_score(r, 'nix'))) FROM block_rows r;
SELECT sum(fraud_score(r, 'nix')) FILTER (WHERE id < 0), sum(CASE WHEN id < 0 THEN fraud_score(r, 'nix') END), sum(coalesce(id, fraud_score(r, 'nix'))) FROM block_rows r;
SELECT sum(fraud_score(r, 'nix')) FROM block_rows r WHERE id < 0;
SELECT sum(fraud_score(r, 'nix')) FROM block_rows r;
SELECT sum(fraud_score(r, NULL)) FROM block_rows r;
SELECT sum(fraud_score(r)) FROM block_rows r;
-- Joins, partitions, subqueries, rescans with and without parameters.
SELECT sum(fraud_score(r, 'blocks')) = (SELECT sum(s) FROM one_by_one JOIN generate_series(1, 3) ON true WHERE id <= 100) AS same
FROM block_rows r JOIN generate_series(1, 3) g ON true WHERE id <= 100;
SELECT count(*) FROM generate_series(1, 70) n, LATERAL (SELECT sum(fraud_score(r, 'blocks')) AS s FROM block_rows r WHERE r.id BETWEEN n AND 2 * n) a,
       LATERAL (SELECT sum(s) AS s FROM (SELECT s FROM one_by_one WHERE id BETWEEN n AND 2 * n ORDER BY id) x) b WHERE a.s IS DISTINCT FROM b.s;
SELECT n, (SELECT array_agg(fraud_score(r, 'blocks')) FROM block_rows r WHERE r.id = n) = (SELECT array_agg(s) FROM one_by_one WHERE id = n) AS same FROM unnest('{3,5}'::int[]) n;
CREATE TABLE block_parts (LIKE block_rows) PARTITION BY LIST (place);
CREATE TABLE block_parts_0 PARTITION OF block_parts FOR VALUES IN (0);
CREATE TABLE block_parts_x PARTITION OF block_parts DEFAULT;
INSERT INTO block_parts SELECT * FROM block_rows;
SET enable_partitionwise_aggregate = on;
SELECT place, array_agg(fraud_score(r, 'blocks') ORDER BY id) = (SELECT array_agg(s ORDER BY id) FROM one_by_one o WHERE o.place = r.place) AS same FROM block_parts r GROUP BY place ORDER BY place;
RESET enable_partitionwise_aggregate;
-- In parallel.
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
EXPLAIN (COSTS OFF) SELECT count(*), max(fraud_score(r, 'blocks')) FROM block_rows r;
SELECT max(fraud_score(r, 'blocks')) = (SELECT max(s) FROM one_by_one) AS same, min(fraud_score(r, 'blocks')) = (SELECT min(s) FROM one_by_one) AS same, count(fraud_score(r, 'blocks')) FROM block_rows r;
SELECT count(*) FROM (SELECT kind, max(fraud_score(r, 'blocks')) AS m FROM block_rows r GROUP BY kind OFFSET 0) a JOIN (SELECT kind, max(s) AS m FROM one_by_one GROUP BY kind OFFSET 0) b USING (kind) WHERE a.m <> b.m;
-- 18 counts rows in hundredths and says how often an index was searched.
CREATE FUNCTION explained(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE l text;
BEGIN
    FOR l IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) ' || query LOOP
        CONTINUE WHEN l ~ 'Index Searches:';
        RETURN NEXT regexp_replace(regexp_replace(l, '\d+( kB|kB)', 'N kB', 'g'), '(rows=\d+)\.00', '\1');
    END LOOP;
END
$$;
SET max_parallel_workers_per_gather = 0;
SELECT explained('SELECT sum(fraud_score(r, ''blocks'')) FROM block_rows r WHERE id <= 100') e OFFSET 0;
-- Compiled.
SET jit = on;
SET jit_above_cost = 0;
SET jit_optimize_above_cost = 0;
SET jit_inline_above_cost = 0;
SELECT differ();
SELECT array_agg(fraud_score(r, 'blocks') ORDER BY id) = (SELECT array_agg(s ORDER BY id) FROM one_by_one) AS same FROM block_rows r;
RESET jit; RESET jit_above_cost; RESET jit_optimize_above_cost; RESET jit_inline_above_cost;
-- All kernels.
DO $$
DECLARE k text;
BEGIN
    FOREACH k IN ARRAY ARRAY['auto', 'scalar', 'avx2', 'avx512'] LOOP
        BEGIN
            PERFORM set_config('fraud_detect.kernel', k, true);
        EXCEPTION WHEN invalid_parameter_value THEN
            CONTINUE;  -- not on this machine
        END;
        IF (SELECT array_agg(fraud_score(r, 'blocks') ORDER BY id) FROM block_rows r) <> (SELECT array_agg(s ORDER BY id) FROM one_by_one) THEN
            RAISE WARNING 'the kernel % differs', k;
        END IF;
    END LOOP;
END
$$;
-- A prepared plan follows the table; what changes rows meanwhile is seen as by any scan.
SET plan_cache_mode = force_generic_plan;
PREPARE total AS SELECT sum(fraud_score(r, 'blocks')) FROM block_rows r WHERE id <= 1000;
EXECUTE total \gset before_
ALTER TABLE block_rows ADD COLUMN more int;
ALTER TABLE block_rows DROP COLUMN more;
EXECUTE total \gset after_
SELECT :'before_sum' = :'after_sum' AS same;
ALTER TABLE block_rows RENAME f3 TO f33;
EXECUTE total;
ALTER TABLE block_rows RENAME f33 TO f3;
EXECUTE total \gset after_
SELECT :'before_sum' = :'after_sum' AS same;
DEALLOCATE total;
RESET plan_cache_mode;
CREATE FUNCTION remember(state float8, value float8) RETURNS float8 LANGUAGE plpgsql AS $$
BEGIN
    UPDATE block_rows SET f1 = 0 WHERE id = 1;
    RETURN state + value;
END
$$;
CREATE AGGREGATE remembered(float8) (SFUNC = remember, STYPE = float8, INITCOND = '0');
BEGIN;
SELECT remembered(fraud_score(r, 'blocks')) = (SELECT sum(s) FROM (SELECT s FROM one_by_one WHERE id <= 100 ORDER BY id) x) AS same FROM (SELECT * FROM block_rows WHERE id <= 100 ORDER BY id) r;
ROLLBACK;
-- An error of a row is that row's.
SELECT sum(fraud_score(r, 'blocks') / (id - 70)) FROM (SELECT * FROM block_rows ORDER BY id) r;
-- In a cursor, and left early.
BEGIN;
DECLARE c CURSOR FOR SELECT place, sum(fraud_score(r, 'blocks')) > 0 AS more FROM block_rows r GROUP BY place ORDER BY place;
FETCH 1 FROM c;
CLOSE c;
COMMIT;
-- Off.
SET fraud_detect.score_blocks = off;
EXPLAIN (COSTS OFF) SELECT sum(fraud_score(r, 'blocks')) FROM block_rows r;
SELECT differ();
RESET fraud_detect.score_blocks;
RESET max_parallel_workers_per_gather; RESET parallel_setup_cost; RESET parallel_tuple_cost; RESET min_parallel_table_scan_size;
DROP VIEW grouped, grouped_one_by_one;
DROP AGGREGATE remembered(float8);
DROP FUNCTION differ(), explained(text), remember(float8, float8);
DROP TABLE one_by_one, block_parts, block_rows CASCADE;
