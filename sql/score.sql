-- fraud_score and fraud_explain: three forms, one answer; every mistake its own error.
CREATE TYPE mood AS ENUM ('calm');
CREATE DOMAIN euro AS numeric;
SELECT round(fraud_score(r, 'stump')::numeric, 5) AS from_row,
       round(fraud_score(to_jsonb(r), 'stump')::numeric, 5) AS from_jsonb,
       round(fraud_score(ARRAY[r.a, r.b]::float4[], 'stump')::numeric, 5) AS from_array
FROM (VALUES (0.5, 3), (1.5, 1)) r(a, b);

-- Any number of any kind will do, in any order, among other columns.
SELECT round(fraud_score(r, 'stump')::numeric, 5) FROM (SELECT true AS b, 'text' AS other, 5::smallint AS a) r;
SELECT round(fraud_score(r, 'stump')::numeric, 5) FROM (SELECT 3::bigint AS b, 0.5::euro AS a) r;
SELECT round(fraud_score(r, 'stump')::numeric, 5) FROM (SELECT 3::real AS b, 1e300::numeric AS a) r;

-- Null and NaN are XGBoost's missing value; a name that is not there is an error.
SELECT round(fraud_score('{"a": null, "b": 1, "c": "other"}'::jsonb, 'stump')::numeric, 5);
SELECT round(fraud_score('{NULL, 1}'::float4[], 'stump')::numeric, 5), round(fraud_score('{NaN, 1}'::float4[], 'stump')::numeric, 5);
SELECT fraud_score('{"a": 1}'::jsonb, 'stump');
SELECT fraud_score(r, 'stump') FROM (SELECT 1 AS a, 2 AS "B") r;
SELECT fraud_score(r) FROM (SELECT 1 AS amount, 2 AS hour) r;
SELECT fraud_score(NULL::jsonb, 'stump') IS NULL AS strict;

-- Wrong types and lengths.
SELECT fraud_score(r, 'stump') FROM (SELECT 1 AS a, 'x'::text AS b) r;
SELECT fraud_score(r, 'stump') FROM (SELECT 1 AS a, 'calm'::mood AS b) r;
SELECT fraud_score('{"a": 1, "b": "2"}'::jsonb, 'stump');
SELECT fraud_score('{"a": 1, "b": [2]}'::jsonb, 'stump');
SELECT fraud_score('[1, 2]'::jsonb, 'stump');
SELECT fraud_score('{1,2,3}'::float4[], 'stump');
SELECT fraud_score('{}'::float4[], 'stump');
SELECT fraud_score('{{1,2}}'::float4[], 'stump');

-- Unknown models.
SELECT fraud_score('{1,2}'::float4[], 'nix');
SELECT fraud_score('{1,2}'::float4[], 'stump@nix');
SELECT fraud_score('{1,2}'::float4[], 'stump/99');
SELECT fraud_score('{1,2}'::float4[], 'stump/0');
SELECT fraud_score('{1,2}'::float4[], 'stump/1x');
SELECT fraud_score('{1,2}'::float4[], 'a@b@c');
SELECT fraud_score('{1,2}'::float4[], '');

-- The model may differ from row to row.
SELECT m, round(fraud_score('{1,1}'::float4[], m)::numeric, 5)
FROM (VALUES ('stump/1'), ('stump/2'), ('stump/1')) v(m);

-- Parallel workers give the same.
CREATE TABLE many AS SELECT i % 3 AS a, i % 5 AS b FROM generate_series(1, 20000) i;
SELECT round(sum(fraud_score(m, 'stump'))::numeric, 3) FROM many m;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
EXPLAIN (COSTS OFF) SELECT sum(fraud_score(m, 'stump')) FROM many m;
SELECT round(sum(fraud_score(m, 'stump'))::numeric, 3) FROM many m;
RESET ALL;

-- Contributions add up to the margin, and are those of the paper's definition: for
-- a stump, the leaf less the leaves' mean by cover.
SELECT feature, value, round(contribution::numeric, 5) FROM fraud_explain('{"a": 0, "b": null}'::jsonb, 'stump/1');
CREATE TYPE fraud_row AS (a int, b int);
SELECT round(sum(contribution)::numeric, 4) AS margin, round(ln(s / (1 - s))::numeric, 4) AS log_odds
FROM fraud_score('{"a": 0, "b": 5}'::jsonb, 'stump') s, fraud_explain(ROW(0, 5)::fraud_row, 'stump') GROUP BY s;
