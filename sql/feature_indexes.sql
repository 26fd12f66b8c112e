-- Indexes of ours on users' tables: whatever their rows hold, INSERT goes on, and windows are
-- read by them. The first three are those of tables that were met.
SET client_min_messages = warning;
CREATE SCHEMA indexed;
-- Users' expressions are read by their own search_path: here there is nothing that takes part in them.
SET search_path = indexed;

-- 1. Values of any length, as key, as what is aggregated and as id.
CREATE TABLE visits (id text PRIMARY KEY, at timestamptz NOT NULL, who text, agent text, bytes bytea, price numeric, tags text[], details jsonb);
SELECT fraud.create_feature_set('visits', 'visits', 'id', 'at', create_indexes => true);
SELECT count(fraud.add_window_feature('visits', 'by_' || i, 'distinct', 'agent', k, '1 day')) FROM unnest('{who,bytes,price::text,tags[1],details::text}'::text[]) WITH ORDINALITY x(k, i);
SELECT fraud.add_window_feature('visits', 'of_both', 'count', NULL, 'who, bytes', '1 day');
SELECT fraud.add_window_feature('visits', 'last_price', 'last', 'price', 'who', '1 day');
SELECT definition, present FROM fraud.feature_indexes('visits');
CREATE FUNCTION long_text(seed int, characters int) RETURNS text LANGUAGE sql IMMUTABLE AS
    $$ SELECT left(string_agg(md5(seed || ' ' || i), ''), characters) FROM generate_series(1, characters / 32 + 1) i $$;
INSERT INTO visits SELECT g, timestamptz '2026-01-01 00:00Z' + g * interval '1 minute', long_text(g % 3, 20000), long_text(g % 7, 20000),
    convert_to(long_text(g % 3, 20000), 'UTF8'), ('1' || repeat('7', 30000) || '.' || g % 3)::numeric,
    ARRAY[long_text(g % 3, 20000)], jsonb_build_object('k', long_text(g % 3, 20000)) FROM generate_series(1, 60) g;
-- Events of one time, in the order of their ids, which the index does not have.
INSERT INTO visits SELECT 'same-' || g, timestamptz '2026-01-01 02:00Z', 'a', 'x' || g, 'b', g * 1.5, '{c}', '{}' FROM generate_series(1, 20) g;
SELECT * FROM fraud.verify_parity('visits', 1000);
SELECT fraud.features('visits', v) ->> 'last_price' AS last_price FROM visits v WHERE id = 'same-9';
-- Read by the key's index, also where there is one on the time alone.
CREATE INDEX visits_at_idx ON visits (at, id);
INSERT INTO visits SELECT 'more-' || g, timestamptz '2026-02-01 00:00Z' + g * interval '1 second', 'w' || g % 500, 'x', 'b', 1, '{}', '{}' FROM generate_series(1, 20000) g;
ANALYZE visits;
CREATE FUNCTION rows_fetched() RETURNS bigint LANGUAGE sql AS
    $$ SELECT pg_stat_get_xact_tuples_fetched('indexed.visits'::regclass) + pg_stat_get_xact_tuples_returned('indexed.visits'::regclass) $$;
BEGIN;
SELECT rows_fetched() AS before \gset
SELECT fraud.features('visits', v) -> 'by_1' AS by_who FROM (SELECT ('probe', timestamptz '2026-02-01 05:00Z', 'w7', 'x', NULL, NULL, NULL, NULL)::visits AS v) p;
SELECT rows_fetched() - :before < 1000 AS by_its_index;
ROLLBACK;

-- 2. A time that depends on the session cannot be indexed; one in UTC can.
CREATE TABLE steps (id int PRIMARY KEY, step int, who text, amount numeric);
SELECT fraud.create_feature_set('steps', 'steps', 'id', $$timestamptz '2024-01-01 00:00+00' + step * interval '1 hour'$$, create_indexes => true);
SELECT fraud.create_feature_set('later', 'steps', 'id', $$timestamptz '2024-01-01 00:00+00' + step * interval '1 hour'$$);
SELECT fraud.add_window_feature('later', 'n', 'count', NULL, 'who', '1 day');
SELECT fraud.create_feature_indexes('later');
SELECT fraud.create_feature_set('steps', 'steps', 'id', $$timestamp '2024-01-01' + step * interval '1 hour'$$, create_indexes => true);
SELECT fraud.add_window_feature('steps', 'n', 'count', NULL, 'who', '1 day');
INSERT INTO steps SELECT g, g / 4, 'c' || g % 5, g FROM generate_series(1, 400) g;
SELECT count(*) FILTER (WHERE present) AS present, count(*) FROM fraud.feature_indexes('steps');
SELECT * FROM fraud.verify_parity('steps', 1000);

-- 3. More columns than an index can hold, or bytes: the others are made all the same.
CREATE TABLE wide (id int PRIMARY KEY, at timestamptz, k int, u text, n name, m int);
SELECT format('ALTER TABLE wide %s', string_agg(format('ADD c%s float8, ADD d%s name', i, i), ', ')) FROM generate_series(1, 40) i \gexec
SELECT fraud.create_feature_set('very_wide', 'wide', 'id', 'at', create_indexes => true);
SELECT count(fraud.add_window_feature('very_wide', 'm' || i, 'avg', 'c' || i, 'k', '1 day')) FROM generate_series(1, 40) i;
SELECT count(fraud.add_window_feature('very_wide', 'd' || i, 'distinct', 'd' || i, 'm', '1 day')) FROM generate_series(1, 40) i;
SELECT fraud.add_window_feature('very_wide', 'n', 'count', NULL, 'u', '1 day');
SELECT fraud.add_window_feature('very_wide', 'of_name', 'count', NULL, 'n', '1 day');
SELECT definition, present FROM fraud.feature_indexes('very_wide');
INSERT INTO wide (id, at, k, u, n, m) SELECT g, timestamptz '2026-01-01 00:00Z' + g * interval '1 hour', g % 3, g % 2, g % 5, g % 4 FROM generate_series(1, 100) g;
SELECT * FROM fraud.verify_parity('very_wide', 1000);

-- What is included is bounded, and then the table need not be visited.
CREATE TABLE narrow (id bigint PRIMARY KEY, at timestamptz, who uuid, price numeric(12, 2), country varchar(2), free numeric, note varchar(4000));
SELECT fraud.create_feature_set('narrow', 'narrow', 'id', 'at');
SELECT fraud.add_window_feature('narrow', 'spent', 'sum', 'price', 'who', '1 day', filter => $$country = 'FR'$$);
SELECT definition FROM fraud.feature_indexes('narrow');
SELECT fraud.add_window_feature('narrow', 'free', 'sum', 'free', 'who', '1 day');
SELECT definition FROM fraud.feature_indexes('narrow');
-- An index that somebody made of the key itself will do.
DELETE FROM steps;
SELECT format('DROP INDEX %s', indexrelid::regclass) FROM pg_index WHERE indrelid = 'steps'::regclass AND NOT indisprimary \gexec
CREATE INDEX ON steps (who, (timestamp '2024-01-01' + step * interval '1 hour'), id);
SELECT present FROM fraud.feature_indexes('steps');
-- What has no hash that agrees with its equality is in no index.
CREATE COLLATION ignore_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE loose (id int PRIMARY KEY, at timestamptz, who text COLLATE ignore_case, box tsvector);
SELECT fraud.create_feature_set('loose', 'loose', 'id', 'at', create_indexes => true);
SELECT fraud.add_window_feature('loose', 'n', 'count', NULL, 'who', '1 day');

-- Features of all columns: what is left out is said, and what a name cannot be has another.
CREATE TABLE columns (no int PRIMARY KEY, at timestamptz, label int, "odd name" float8, kind text, pan text, many text, details jsonb, bad boolean);
INSERT INTO columns SELECT g, timestamptz '2026-01-01 00:00Z' + g * interval '1 hour', g % 2, g, 'k' || g % 3, '4000000000000002', 'm' || g, '{}', g % 5 = 0 FROM generate_series(1, 30) g;
SELECT fraud.create_feature_set('all_columns', 'columns', 'no', 'at', label => 'bad');
SET client_min_messages = notice;
SELECT fraud.add_column_features('all_columns', max_categories => 20);
SET client_min_messages = warning;
SELECT feature, kind, definition FROM fraud.feature_catalog WHERE feature_set = 'all_columns' ORDER BY position;
SELECT fraud.add_column_features('all_columns', '{nix}');
SELECT fraud.drop_feature_set('all_columns');

SELECT fraud.drop_feature_set(s) FROM unnest('{visits,later,steps,very_wide,narrow,loose}'::text[]) s;
DROP SCHEMA indexed CASCADE;
