-- How the planner sees fraud_score: rows are taken apart into their columns, and
-- that gives what the whole row gives.
CREATE EXTENSION IF NOT EXISTS fraud_detect;
\set stump `cat test/golden/1.7.6-missing.json`
SELECT fraud.import_model('plans', convert_to(:'stump', 'UTF8'));
SELECT fraud.promote('plans', 1);
SELECT feature_names FROM fraud.model_versions WHERE model = 'plans';

CREATE TABLE plan_rows (id int PRIMARY KEY, f0 float4, gone text, f1 float8, f2 int, f3 numeric, f4 bool, f5 bigint);
ALTER TABLE plan_rows DROP COLUMN gone;
INSERT INTO plan_rows
SELECT i, CASE WHEN i % 7 > 0 THEN sin(i) END, CASE WHEN i % 5 > 0 THEN cos(i) END, i % 3, (i % 11) / 7.0, i % 2 = 0, i
FROM generate_series(1, 200) i;
EXPLAIN (VERBOSE, COSTS OFF) SELECT fraud_score(r, 'plans') FROM plan_rows r;

-- A row made by a function is scored as a whole, and its score is the same.
CREATE FUNCTION whole_row(i int) RETURNS plan_rows LANGUAGE sql STABLE AS 'SELECT r FROM plan_rows r WHERE r.id = i';
CREATE VIEW differences AS
SELECT r.id FROM plan_rows r, LATERAL (SELECT whole_row(r.id) AS w OFFSET 0) w
WHERE fraud_score(r, 'plans') IS DISTINCT FROM fraud_score(w.w, 'plans');
SELECT count(*) FROM differences;
SELECT count(DISTINCT fraud_score(r, 'plans')) > 5 AS has_scores FROM plan_rows r;

-- A row that an outer join made null has no score, though its columns could have one.
EXPLAIN (VERBOSE, COSTS OFF)
SELECT fraud_score(r, 'plans') FROM generate_series(1, 2) i LEFT JOIN plan_rows r ON r.id = i + 199;
SELECT i, fraud_score(r, 'plans') IS NULL AS none FROM generate_series(1, 2) i LEFT JOIN plan_rows r ON r.id = i + 199 ORDER BY i;
SELECT i, fraud_score(r, 'plans') IS NULL AS none FROM plan_rows r RIGHT JOIN generate_series(1, 2) i ON r.id = i + 199 ORDER BY i;
SELECT i, fraud_score(r, 'plans') IS NULL AS none FROM generate_series(1, 2) i FULL JOIN (SELECT * FROM plan_rows WHERE id = 200) r ON r.id = i + 199 ORDER BY i;
-- On the side that stays it is taken apart.
EXPLAIN (VERBOSE, COSTS OFF)
SELECT fraud_score(r, 'plans') FROM plan_rows r LEFT JOIN generate_series(1, 2) i ON r.id = i;
-- The total's row has no score, though grouping leaves each column something.
SELECT count(*) FILTER (WHERE s IS NULL) AS none, count(*) FROM (SELECT fraud_score(r, 'plans') s FROM plan_rows r GROUP BY ROLLUP (r)) r;
SELECT count(*) FILTER (WHERE s IS NULL) AS none, count(*) FROM (SELECT fraud_score(r, 'plans') s FROM plan_rows r GROUP BY r) r;

-- Inheritance, partitions, subqueries, common table expressions, RETURNING.
CREATE TABLE plan_parts (id int, f5 bigint, f4 bool, f3 numeric, f2 int, f1 float8, f0 float4) PARTITION BY RANGE (id);
CREATE TABLE plan_parts_1 PARTITION OF plan_parts FOR VALUES FROM (0) TO (100);
CREATE TABLE plan_parts_2 (f0 float4, id int, f1 float8, f2 int, f3 numeric, f4 bool, f5 bigint);
ALTER TABLE plan_parts ATTACH PARTITION plan_parts_2 FOR VALUES FROM (100) TO (1000);
INSERT INTO plan_parts SELECT id, f5, f4, f3, f2, f1, f0 FROM plan_rows;
SELECT count(*) FROM plan_rows r JOIN plan_parts p USING (id)
WHERE fraud_score(r, 'plans') <> fraud_score(p, 'plans');
SELECT count(*) FROM plan_rows r JOIN (SELECT * FROM plan_parts OFFSET 0) p USING (id)
WHERE fraud_score(r, 'plans') <> fraud_score(p, 'plans');
WITH p AS MATERIALIZED (SELECT * FROM plan_parts)
SELECT count(*) FROM plan_rows r JOIN p USING (id) WHERE fraud_score(r, 'plans') <> fraud_score(p, 'plans');
WITH new AS (UPDATE plan_rows r SET f0 = f0 RETURNING r.id, fraud_score(r, 'plans') s)
SELECT count(*) FROM new JOIN plan_parts p USING (id) WHERE s <> fraud_score(p, 'plans');

-- A null model gives null; so does a null row.
SELECT fraud_score(r, NULL) FROM plan_rows r WHERE id = 1;
SELECT fraud_score(NULL::plan_rows, 'plans');
-- A prepared plan follows the table and the promotions.
SET plan_cache_mode = force_generic_plan;
PREPARE scores AS SELECT count(*) FROM plan_rows r WHERE fraud_score(r, 'plans') >= 0;
EXECUTE scores;
ALTER TABLE plan_rows ADD COLUMN more int;
EXECUTE scores;
ALTER TABLE plan_rows RENAME COLUMN f3 TO f33;
EXECUTE scores;
ALTER TABLE plan_rows ALTER COLUMN f33 TYPE text;
ALTER TABLE plan_rows RENAME COLUMN f33 TO f3;
EXECUTE scores;
RESET plan_cache_mode;
DEALLOCATE scores;
-- A stored payment is taken apart into its vector.
EXPLAIN (VERBOSE, COSTS OFF) SELECT fraud_score(t) FROM fraud.transactions t;

-- All kernels that this machine has give the same.
CREATE TABLE kernel_scores (kernel text, id int, score float8);
DO $$
DECLARE k text;
BEGIN
    FOREACH k IN ARRAY ARRAY['auto', 'scalar', 'avx2', 'avx512'] LOOP
        BEGIN
            PERFORM set_config('fraud_detect.kernel', k, true);
            INSERT INTO kernel_scores SELECT k, id, fraud_score(p, 'plans') FROM plan_parts p;
        EXCEPTION WHEN invalid_parameter_value THEN
            NULL;  -- not on this machine
        END;
    END LOOP;
END
$$;
SELECT count(*) FILTER (WHERE kernel = 'scalar') AS rows,
       count(DISTINCT kernel) >= 2 AS several FROM kernel_scores;
SELECT count(*) FROM kernel_scores a JOIN kernel_scores b USING (id) WHERE a.score <> b.score;
SET fraud_detect.kernel = 'mmx';

-- What the model takes, and its one copy for all, which nobody holds between transactions.
BEGIN;
SELECT count(fraud_score(p, 'plans')) FROM plan_parts p;
SELECT model, version, bytes > 1000 AS has_bytes, is_shared, holders FROM fraud.model_memory WHERE model = 'plans';
COMMIT;
SELECT is_shared, holders FROM fraud.model_memory WHERE model = 'plans';

-- Who has no right to the schema of the extension plans other queries in a session that has scored, and reads
-- a view of scores.
CREATE ROLE regress_fraud_reader;
CREATE VIEW plan_scores AS SELECT id, fraud_score(p, 'plans') AS score FROM plan_parts p;
GRANT SELECT ON plan_scores TO regress_fraud_reader;
GRANT EXECUTE ON FUNCTION fraud_score(record, text) TO regress_fraud_reader;
SET ROLE regress_fraud_reader;
SELECT count(*) > 0 AS others FROM generate_series(1, 2);
SELECT sum(score) > 0 AS scores FROM plan_scores;
RESET ROLE;
REVOKE EXECUTE ON FUNCTION fraud_score(record, text) FROM regress_fraud_reader;
DROP VIEW plan_scores;
DROP ROLE regress_fraud_reader;

DROP VIEW differences;
DROP FUNCTION whole_row(int);
DROP TABLE plan_rows, plan_parts, kernel_scores;
