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

-- 4. What can be made is made, and what cannot be is said.
SET client_min_messages = notice;
CREATE TABLE mixed (id int PRIMARY KEY, at timestamptz, who text, agent text, flags bit varying, details jsonb);
SELECT fraud.create_feature_set('mixed', 'mixed', 'id', 'at');
SELECT fraud.add_window_feature('mixed', 'by_day', 'count', NULL, 'at::date', '1 day');
SELECT fraud.add_window_feature('mixed', 'by_who', 'count', NULL, 'lower(who)', '1 day');
SELECT fraud.add_window_feature('mixed', 'by_flags', 'count', NULL, 'flags', '1 day');
SELECT fraud.add_window_feature('mixed', 'by_day_and_who', 'count', NULL, 'agent, at::date', '2 days');
SELECT fraud.add_window_feature('mixed', 'by_device', 'count', NULL, '(details ->> ''device'')::bigint', '1 day');
SELECT definition, obstacle, may_fail FROM fraud.feature_indexes('mixed');
INSERT INTO mixed SELECT g, timestamptz '2026-01-01 00:00Z' + g * interval '1 hour', 'W' || g % 3, 'a', (g % 4)::bit(9), jsonb_build_object('device', 7) FROM generate_series(1, 60) g;
INSERT INTO mixed VALUES (0, '2026-01-01 00:00Z', 'w', 'a', '1', '{"device": "none"}');
SELECT fraud.create_feature_indexes('mixed');
-- (A row that is merely deleted is computed for an index while some snapshot may still see it.)
TRUNCATE mixed;
INSERT INTO mixed SELECT g, timestamptz '2026-01-01 00:00Z' + g * interval '1 hour', 'W' || g % 3, 'a', (g % 4)::bit(9), jsonb_build_object('device', 7) FROM generate_series(1, 60) g;
SELECT fraud.create_feature_indexes('mixed');
SELECT count(*) FILTER (WHERE present) AS present, count(obstacle) AS obstacles, count(*) FROM fraud.feature_indexes('mixed');
SELECT * FROM fraud.verify_parity('mixed', 1000);
-- A set that makes its indexes takes such a key, too, and says that it has none.
SELECT fraud.create_feature_set('mixed_2', 'mixed', 'id', 'at', create_indexes => true);
SELECT fraud.add_window_feature('mixed_2', 'by_day', 'count', NULL, 'at::date', '1 day');
-- What no index can be made for is refused when it is asked for.
CREATE VIEW seen AS SELECT * FROM mixed;
SELECT fraud.create_feature_set('seen', 'seen', 'id', 'at', create_indexes => true);
SELECT fraud.create_feature_set('seen', 'mixed', 'to_char(at, ''YYYY'')', 'at', create_indexes => true);
SELECT fraud.create_feature_set('seen', 'seen', 'id', 'at');
SELECT fraud.add_window_feature('seen', 'by_who', 'count', NULL, 'who', '1 day');
SELECT definition, obstacle FROM fraud.feature_indexes('seen');
CREATE ROLE index_stranger;
GRANT USAGE ON SCHEMA indexed TO index_stranger;
GRANT SELECT ON mixed TO index_stranger;
SELECT fraud.grant_access('index_stranger', 'scientist');
SET ROLE index_stranger;
SELECT fraud.create_feature_set('stranger', 'mixed', 'id', 'at', create_indexes => true);
RESET ROLE;
SELECT fraud.revoke_access('index_stranger', 'scientist');
DROP OWNED BY index_stranger;
DROP ROLE index_stranger;

-- A key of more parts than an index has columns, a name that is long in bytes, an index by another collation.
SELECT format('CREATE TABLE %I (id int PRIMARY KEY, at timestamptz, who text, agent text, %s)', repeat('платежи', 4), string_agg(format('k%s int', i), ', ' ORDER BY i)) FROM generate_series(1, 34) i \gexec
SELECT fraud.create_feature_set('long', repeat('платежи', 4)::regclass, 'id', 'at', create_indexes => true);
SELECT fraud.add_window_feature('long', 'of_all', 'count', NULL, (SELECT string_agg('k' || i, ', ' ORDER BY i) FROM generate_series(1, 34) i), '1 day');
SELECT fraud.add_window_feature('long', 'of_who', 'count', NULL, 'who', '2 days');
SELECT fraud.add_window_feature('long', 'of_agent', 'count', NULL, 'agent', '2 days');
SELECT present, definition FROM fraud.feature_indexes('long');
INSERT INTO "платежиплатежиплатежиплатежи" (id, at, who, agent, k1, k34) SELECT g, timestamptz '2026-01-01 00:00Z' + g * interval '1 hour', g % 3, g % 2, 1, g % 5 FROM generate_series(1, 60) g;
UPDATE "платежиплатежиплатежиплатежи" SET (k2, k3, k4, k5, k6, k7, k8, k9, k10, k11, k12, k13, k14, k15, k16, k17, k18, k19, k20, k21, k22, k23, k24, k25, k26, k27, k28, k29, k30, k31, k32, k33)
    = (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33);
SELECT fraud.features('long', p) ->> 'of_all' AS of_all FROM "платежиплатежиплатежиплатежи" p WHERE id = 24;
SELECT * FROM fraud.verify_parity('long', 1000);
CREATE TABLE by_c (id int PRIMARY KEY, at timestamptz, who name COLLATE "C");
CREATE INDEX ON by_c (who COLLATE "POSIX", at, id);
SELECT fraud.create_feature_set('by_c', 'by_c', 'id', 'at');
SELECT fraud.add_window_feature('by_c', 'n', 'count', NULL, 'who', '1 day');
SELECT present FROM fraud.feature_indexes('by_c');

-- A column that was small when its index was made, and is not any more.
CREATE TABLE grown (id int PRIMARY KEY, at timestamptz, k int, agent varchar(10));
SELECT fraud.create_feature_set('grown', 'grown', 'id', 'at', create_indexes => true);
SELECT fraud.add_window_feature('grown', 'agents', 'distinct', 'agent', 'k', '1 day');
ALTER TABLE grown ALTER agent TYPE text, ALTER k TYPE text;
SELECT fraud.create_feature_indexes('grown');
INSERT INTO grown VALUES (1, now(), long_text(1, 20000), long_text(2, 20000));
SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'grown'::regclass AND NOT indisprimary;

-- 5. Tables of several: partition by partition while others write, and what was broken off.
CREATE TABLE parts (id int, at timestamptz, who text, amount float8) PARTITION BY RANGE (at);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE parts_2 (who text, amount float8, id int, at timestamptz) PARTITION BY LIST (who);
ALTER TABLE parts ATTACH PARTITION parts_2 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE TABLE parts_2_a PARTITION OF parts_2 FOR VALUES IN ('w1');
CREATE TABLE parts_2_b PARTITION OF parts_2 DEFAULT;
INSERT INTO parts SELECT g, timestamptz '2026-01-20 00:00Z' + g * interval '1 hour', 'w' || g % 3, g FROM generate_series(1, 400) g;
SELECT fraud.create_feature_set('parts', 'parts', 'id', 'at');
SELECT fraud.add_window_feature('parts', 'n', 'count', NULL, 'who', '1 day');
SELECT unnest(concurrent_statements) FROM fraud.feature_indexes('parts');
-- The last of them makes nothing anew: it takes what is there.
SELECT unnest(concurrent_statements) FROM fraud.feature_indexes('parts') LIMIT 1 \gexec
SELECT unnest(concurrent_statements) FROM fraud.feature_indexes('parts');
-- One of them broken off: the next list begins by dropping it.
UPDATE pg_index SET indisvalid = false WHERE indexrelid = (SELECT min(indexrelid) FROM pg_index x WHERE indrelid = 'parts_2_b'::regclass AND indisvalid);
SELECT unnest(concurrent_statements) FROM fraud.feature_indexes('parts') LIMIT 2;
SELECT unnest(concurrent_statements) FROM fraud.feature_indexes('parts') \gexec
SELECT present, concurrent_statements FROM fraud.feature_indexes('parts');
SELECT x.indrelid::regclass, count(*), bool_and(x.indisvalid) AS valid FROM pg_partition_tree('parts') t JOIN pg_index x ON x.indrelid = t.relid
WHERE pg_get_indexdef(x.indexrelid) ~ 'hashtextextended' GROUP BY 1 ORDER BY 1::text;
CREATE TABLE parts_3 PARTITION OF parts FOR VALUES FROM ('2026-03-01') TO ('2026-04-01');
SELECT count(*) FROM pg_index WHERE indrelid = 'parts_3'::regclass;
SELECT fraud.create_feature_indexes('parts');
SELECT * FROM fraud.verify_parity('parts', 1000);
-- Tables that inherit.
CREATE TABLE forebear (id int, at timestamptz, who int);
CREATE TABLE heir (more text) INHERITS (forebear);
INSERT INTO heir SELECT g, timestamptz '2026-01-20 00:00Z' + g * interval '1 hour', g % 3 FROM generate_series(1, 40) g;
SELECT fraud.create_feature_set('heirs', 'forebear', 'id', 'at', create_indexes => true);
SELECT fraud.add_window_feature('heirs', 'n', 'count', NULL, 'who', '1 day');
SELECT definition, present FROM fraud.feature_indexes('heirs');
SELECT * FROM fraud.verify_parity('heirs', 1000);
-- Payments: month by month.
SELECT fraud.add_window_feature('payments', 'category_count_1h', 'count', NULL, 'category', '1 hour', delay => '1 hour');
SELECT cardinality(concurrent_statements) = 2 + (SELECT count(*) FROM pg_partition_tree('fraud.transactions') WHERE isleaf) AS each_month,
       concurrent_statements[cardinality(concurrent_statements) - 1]
FROM fraud.feature_indexes('payments') WHERE NOT present;
\set ECHO none
SELECT unnest(concurrent_statements) FROM fraud.feature_indexes('payments') WHERE NOT present \gexec
\set ECHO all
SELECT present FROM fraud.feature_indexes('payments');
SELECT count(*) FILTER (WHERE indisvalid) = count(*) AS all_valid, count(*) > 1 AS several FROM pg_index WHERE indexrelid::regclass::text ~ '_features_';
SELECT format('DROP INDEX %s', indexrelid::regclass) FROM pg_index WHERE indrelid = 'fraud.transactions'::regclass AND indexrelid::regclass::text ~ '_features_' \gexec
SELECT fraud.drop_feature('payments', 'category_count_1h');
-- Tests to come count the places.
UPDATE fraud.feature_sets SET last_position = last_position - 1 WHERE feature_set = 'payments';
SET client_min_messages = warning;

SELECT fraud.drop_feature_set(s) FROM unnest('{mixed,mixed_2,seen,long,by_c,grown,parts,heirs}'::text[]) s;
-- Without ICU one of them is not there.
SELECT fraud.drop_feature_set(s.feature_set) FROM fraud.feature_sets s WHERE s.feature_set = ANY ('{visits,later,steps,very_wide,narrow,loose}');
DROP SCHEMA indexed CASCADE;
