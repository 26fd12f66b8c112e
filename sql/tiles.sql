-- Windows merged from tiles are those of the events, to the last bit, whatever changes and when.
CREATE SCHEMA tile_test;
SET search_path = tile_test, public;
SET timezone = 'UTC';
SET fraud_detect.tile_threshold = 300;

CREATE TABLE visits (
    id bigint PRIMARY KEY, at timestamptz NOT NULL, who text NOT NULL, shop text NOT NULL, amount numeric,
    latitude float8, longitude float8, is_fraud boolean, known_at timestamptz, changes timestamptz[]
);
CREATE INDEX ON visits (who, at, id);
CREATE INDEX ON visits (shop, at, id);
-- Of every 20 seconds one, in 17 hours; one shop in three has most of them.
CREATE FUNCTION visit(i bigint) RETURNS visits LANGUAGE sql IMMUTABLE AS $$
    SELECT i, timestamptz '2026-01-01 00:00+00' + (i * 20 + (i * 7919) % 13) * interval '1 second',
           CASE WHEN i % 10 < 8 THEN 'often' ELSE 'rare ' || i % 97 END, 'shop ' || (i * 31) % 5,
           CASE WHEN i % 11 > 0 THEN round(((i * 48271) % 99991) / 100.0, 2) END,
           40 + (i % 17) / 10.0, -70 + (i % 23) / 10.0,
           CASE WHEN i % 29 = 0 THEN true WHEN i % 3 = 0 THEN false END,
           CASE WHEN i % 29 = 0 OR i % 3 = 0 THEN timestamptz '2026-01-01 00:00+00' + (i * 20 + 3600) * interval '1 second' END,
           CASE WHEN i % 58 = 0 THEN ARRAY[timestamptz '2026-01-01 00:00+00' + (i * 20 + 3600) * interval '1 second',
                                          timestamptz '2026-01-01 00:00+00' + (i * 20 + 7200) * interval '1 second'] END;
$$;
INSERT INTO visits SELECT v.* FROM generate_series(1, 3000) i, visit(i) v;

SELECT fraud.create_feature_set('visits', 'visits', 'id', 'at', label => 'is_fraud', label_known_at => 'known_at', label_changes => 'changes');
SELECT count(fraud.add_window_feature('visits', format('%s_%s_%s', a, replace(k, ', ', '_'), w), a, CASE a WHEN 'count' THEN NULL WHEN 'seconds_since_last' THEN NULL
    WHEN 'rate' THEN NULL WHEN 'distance' THEN 'latitude, longitude' WHEN 'speed' THEN 'latitude, longitude' WHEN 'distinct' THEN 'shop' ELSE 'amount' END,
    k, (w || ' minutes')::interval, delay => CASE WHEN k = 'shop' THEN interval '10 minutes' ELSE '0' END, include_current => k = 'who' AND w = 900 AND a IN ('count', 'sum', 'avg', 'min', 'max', 'stddev', 'distinct')))
FROM unnest('{count,sum,avg,stddev,min,max,distinct,rate,ratio,zscore,last,seconds_since_last,distance,speed}'::text[]) a,
     unnest('{who,shop,"who, shop"}'::text[]) k, unnest('{30,900}'::int[]) w
WHERE NOT (k = 'who' AND w = 900 AND a IN ('distance', 'speed', 'last', 'seconds_since_last'));

-- Which keys have tiles, and from when to when.
CREATE VIEW covered AS
    SELECT k.parts, k.wanted, k.covered_to > '2026-01-01 12:00+00' AS late, (SELECT count(*) > 0 FROM fraud.tiles t
        WHERE t.set_id = k.set_id AND t.reader_no = k.key_no AND t.reader_key = k.key) AS pages
    FROM fraud.tiled_keys k JOIN fraud.tile_sets s USING (set_id) WHERE s.feature_set = 'visits' ORDER BY 1;
CREATE FUNCTION differ() RETURNS bigint LANGUAGE sql AS $$SELECT count(*) FROM fraud.verify_parity('visits', 120)$$;

-- Nothing has tiles but what asks for them.
SELECT fraud.request_tiles('visits');
SELECT fraud.tile_features('visits');
SELECT fraud.request_tiles('visits');
CALL fraud.fold_tiles();
SELECT * FROM covered;
SELECT differ();
SELECT shift, count(*) > 0 AS pages FROM fraud.tiles JOIN fraud.tile_sets USING (set_id) WHERE feature_set = 'visits' GROUP BY 1 ORDER BY 1;

-- They are what is read: without them the features are others.
BEGIN;
DELETE FROM fraud.tiles t USING fraud.tile_sets s WHERE s.set_id = t.set_id AND s.feature_set = 'visits';
SELECT differ() > 0 AS tiles_are_read;
SET LOCAL fraud_detect.tiles = off;
SELECT differ();
ROLLBACK;

-- Each change is seen at once, and after the fold.
CREATE FUNCTION marks() RETURNS bigint LANGUAGE sql AS
    $$SELECT count(*) FROM fraud.tile_marks JOIN fraud.tile_sets USING (set_id) WHERE feature_set = 'visits'$$;
BEGIN;
INSERT INTO visits SELECT (v).id, (v).at - interval '9 hours', 'often', (v).shop, 77, (v).latitude, (v).longitude FROM (SELECT visit(i) v FROM generate_series(3001, 3010) i) n;
-- (A worker may fold as well, once it is committed.)
SELECT marks(), differ();
COMMIT;
SELECT differ();
CALL fraud.fold_tiles();
SELECT marks(), differ();

UPDATE visits SET is_fraud = true, known_at = at + interval '1 minute', changes = NULL WHERE id IN (500, 1000, 1500);
SELECT differ();
CALL fraud.fold_tiles();
SELECT marks(), differ();

UPDATE visits SET who = 'often', amount = 1e-300 WHERE id = 1009;
UPDATE visits SET at = at + interval '2 hours' WHERE id IN (900, 901);
DELETE FROM visits WHERE id BETWEEN 1200 AND 1205;
SELECT differ();
CALL fraud.fold_tiles();
SELECT marks(), differ();
DELETE FROM visits WHERE id = 1009;

-- A key that nothing is asked of for long goes, with its tiles, and comes back when it is asked for.
UPDATE fraud.tiled_keys SET built_at = now() - interval '2 years' WHERE parts = '{shop 3}';
SELECT fraud._forget_quiet_keys();
SELECT * FROM covered;
SELECT differ();
INSERT INTO visits SELECT v.* FROM generate_series(3020, 3029) i, visit(i) v;
UPDATE visits SET amount = 1 WHERE id = 33 AND shop = 'shop 3';
SELECT differ();
SELECT fraud.request_tiles('visits');
CALL fraud.fold_tiles();
SELECT * FROM covered;
SELECT differ();

-- Rolled back, it was never there.
BEGIN;
DELETE FROM visits WHERE id BETWEEN 1300 AND 1400;
SELECT marks() > 0 AS marks, differ();
ROLLBACK;
SELECT differ();

-- Later events.
INSERT INTO visits SELECT v.* FROM generate_series(3101, 3400) i, visit(i) v;
SELECT differ();
SELECT fraud.request_tiles('visits');
CALL fraud.fold_tiles();
SELECT marks(), differ();

-- Another definition: tiles of the one before are not read.
SELECT fraud.add_window_feature('visits', 'more', 'count', NULL, 'who', '3 hours', filter => 'amount > 500');
SELECT differ();
SELECT fraud.request_tiles('visits');
CALL fraud.fold_tiles();
SELECT * FROM covered;
SELECT differ();
SELECT fraud.drop_feature('visits', 'more');
SELECT differ();
SELECT fraud.request_tiles('visits');
CALL fraud.fold_tiles();
SELECT differ();

-- A trigger that somebody takes off ends it; a page that is not one is not read.
UPDATE fraud.tiles SET page = substr(page, 1, length(page) / 2);
SELECT differ();
ALTER TABLE visits DISABLE TRIGGER fraud_tiles_rows_visits;
UPDATE visits SET amount = 3 WHERE id = 700;
SELECT differ();
ALTER TABLE visits ENABLE TRIGGER fraud_tiles_rows_visits;
SELECT differ();
ALTER TABLE visits ENABLE ALWAYS TRIGGER fraud_tiles_rows_visits;
SELECT fraud.tile_features('visits'), fraud.request_tiles('visits');
CALL fraud.fold_tiles();
SELECT differ();

-- As replication writes.
SET session_replication_role = replica;
INSERT INTO visits SELECT (v).id, (v).at - interval '9 hours', 'often', (v).shop, 77, (v).latitude, (v).longitude FROM (SELECT visit(i) v FROM generate_series(3501, 3510) i) n;
RESET session_replication_role;
SELECT differ();
TRUNCATE visits;
INSERT INTO visits SELECT v.* FROM generate_series(1, 200) i, visit(i) v;
SELECT differ();
CALL fraud.fold_tiles();
SELECT differ();

-- Partitions, of which the whole table's triggers see nothing when they come and go.
CREATE TABLE parted (id bigint, at timestamptz, who text, amount numeric) PARTITION BY RANGE (at);
CREATE TABLE parted_1 (other int, who text, amount numeric, at timestamptz, id bigint);
ALTER TABLE parted_1 DROP other;
ALTER TABLE parted ATTACH PARTITION parted_1 FOR VALUES FROM ('2026-01-01') TO ('2026-01-02');
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM ('2026-01-02') TO ('2026-01-03');
INSERT INTO parted SELECT i, timestamptz '2026-01-01 12:00+00' + i * interval '40 seconds', 'often', i % 100 FROM generate_series(1, 2000) i;
SELECT fraud.create_feature_set('parted', 'parted', 'id', 'at');
SELECT fraud.add_window_feature('parted', 'total', 'sum', 'amount', 'who', '20 hours');
SELECT fraud.tile_features('parted'), fraud.request_tiles('parted');
CALL fraud.fold_tiles();
CREATE FUNCTION parted_differ() RETURNS bigint LANGUAGE sql AS $$SELECT count(*) FROM fraud.verify_parity('parted', 50)$$;
CREATE FUNCTION parted_tiles() RETURNS bigint LANGUAGE sql AS
    $$SELECT count(*) FROM fraud.tile_status WHERE feature_set = 'parted' AND covered_to > covered_from$$;
SELECT parted_tiles(), parted_differ();
DELETE FROM parted_1 WHERE id BETWEEN 500 AND 600;
UPDATE parted SET amount = 1000 WHERE id = 400;
UPDATE parted SET at = at + interval '11 hours' WHERE id = 401;
SELECT parted_differ();
CALL fraud.fold_tiles();
SELECT parted_tiles(), parted_differ();
TRUNCATE parted_1;
SELECT parted_differ();
SELECT fraud.request_tiles('parted');
CALL fraud.fold_tiles();
SELECT parted_tiles(), parted_differ();
ALTER TABLE parted DETACH PARTITION parted_2;
INSERT INTO parted SELECT i, timestamptz '2026-01-01 12:00+00' + i * interval '20 seconds', 'often', i % 100 FROM generate_series(1, 2000) i;
SELECT parted_differ();
ALTER TABLE parted ATTACH PARTITION parted_2 FOR VALUES FROM ('2026-01-02') TO ('2026-01-03');
SELECT parted_differ();
SELECT fraud.drop_feature_set('parted');
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'parted'::regclass AND NOT tgisinternal;

-- What fires no trigger: another file, tables that inherit, a trigger that was off for a while.
CREATE TABLE plain (id bigint PRIMARY KEY, at timestamptz, day date, amount float8);
INSERT INTO plain SELECT i, timestamptz '2026-01-01 00:00+00' + i * interval '20 seconds', '2026-03-05', i % 50 FROM generate_series(1, 2000) i;
CREATE INDEX ON plain (day, at, id);
SELECT fraud.create_feature_set('plain', 'plain', 'id', 'at');
SELECT fraud.add_window_feature('plain', 'total', 'sum', 'amount', 'day', '10 hours');
CREATE FUNCTION plain_differ() RETURNS bigint LANGUAGE sql AS $$SELECT count(*) FROM fraud.verify_parity('plain', 50)$$;
CREATE FUNCTION plain_tiles() RETURNS SETOF text[] LANGUAGE sql AS
    $$SELECT key FROM fraud.tile_status WHERE feature_set = 'plain' AND covered_to > '2026-01-01 10:00+00'$$;
-- Keys are read as they were written, whatever the session's settings.
SET datestyle = 'SQL, DMY';
SELECT fraud.tile_features('plain'), fraud.request_tiles('plain');
RESET datestyle;
CALL fraud.fold_tiles();
SELECT plain_tiles(), plain_differ();
ALTER TABLE plain ALTER amount TYPE float8 USING amount * 2 + 1;
SELECT plain_differ();
SELECT fraud.request_tiles('plain');
CALL fraud.fold_tiles();
SELECT plain_tiles(), plain_differ();
ALTER TABLE plain DISABLE TRIGGER fraud_tiles_rows_plain;
UPDATE plain SET amount = 7000 WHERE id BETWEEN 900 AND 1000;
ALTER TABLE plain ENABLE ALWAYS TRIGGER fraud_tiles_rows_plain;
SELECT plain_differ();
SELECT fraud.request_tiles('plain');
CALL fraud.fold_tiles();
SELECT plain_tiles(), plain_differ();
CREATE TABLE plain_child () INHERITS (plain);
INSERT INTO plain_child SELECT 5000 + i, timestamptz '2026-01-01 00:00+00' + i * interval '15 seconds', '2026-03-05', 1000 FROM generate_series(1001, 1010) i;
SELECT plain_differ();
SELECT fraud.tile_features('plain');
DROP TABLE plain_child;
SELECT plain_differ();
-- Policies, which may show each session other rows, and where no trigger sees how they are altered.
CREATE ROLE tile_owner;
GRANT USAGE ON SCHEMA tile_test TO tile_owner;
GRANT SELECT, UPDATE ON plain TO tile_owner;
UPDATE fraud.feature_sets SET defined_by = 'tile_owner' WHERE feature_set = 'plain';
CREATE POLICY few ON plain USING (amount < current_setting('tile_test.most', true)::float8);
SET tile_test.most = '10000';
SELECT fraud.request_tiles('plain');
CALL fraud.fold_tiles();
SELECT plain_tiles(), plain_differ();
ALTER TABLE plain ENABLE ROW LEVEL SECURITY;
SET tile_test.most = '20';
SELECT plain_differ();
SELECT fraud.tile_features('plain');
ALTER TABLE plain DISABLE ROW LEVEL SECURITY;
DROP POLICY few ON plain;
UPDATE fraud.feature_sets SET defined_by = CURRENT_USER WHERE feature_set = 'plain';
REVOKE ALL ON plain FROM tile_owner;
REVOKE ALL ON SCHEMA tile_test FROM tile_owner;
DROP ROLE tile_owner;
-- Years by mistake: nobody makes tiles up to there.
INSERT INTO plain SELECT 6000 + i, '9999-12-31 00:00+00', '2026-03-05', 1 FROM generate_series(1, 500) i;
SELECT fraud.request_tiles('plain');
CALL fraud.fold_tiles();
SELECT plain_tiles(), plain_differ();
SELECT marked_to < now() + interval '2 days' AS soon FROM fraud.tile_sets WHERE feature_set = 'plain';
DELETE FROM plain WHERE id > 6000;

-- What fails in one set keeps no other from its tiles.
SELECT fraud.add_window_feature('plain', 'inverse', 'sum', '1 OPERATOR(pg_catalog./) (amount OPERATOR(pg_catalog.-) 1000)', 'day', '3 hours');
SELECT fraud.request_tiles('plain');
UPDATE plain SET amount = 1000 WHERE id = 1900;
CREATE TABLE later AS SELECT * FROM plain WHERE id < 1900;
SELECT fraud.create_feature_set('later', 'later', 'id', 'at');
SELECT fraud.add_window_feature('later', 'total', 'sum', 'amount', 'day', '10 hours');
SELECT fraud.tile_features('later'), fraud.request_tiles('later');
SET client_min_messages = error;  -- The warning may be the worker's.
CALL fraud.fold_tiles();
SELECT plain_tiles();
SELECT count(*) FROM fraud.tile_status WHERE feature_set = 'later' AND covered_to > covered_from;
UPDATE plain SET amount = 1 WHERE id = 1900;
SELECT fraud.request_tiles('plain');
CALL fraud.fold_tiles();
SELECT plain_tiles(), plain_differ();
UPDATE plain SET amount = 1000 WHERE id = 1900;
CALL fraud.fold_tiles();
RESET client_min_messages;
UPDATE plain SET amount = 1 WHERE id = 1900;
SELECT plain_tiles(), plain_differ();
SELECT fraud.drop_feature_set('plain'), fraud.drop_feature_set('later');

-- What can have none.
CREATE VIEW seen AS SELECT * FROM visits;
SELECT fraud.create_feature_set('seen', 'seen', 'id', 'at');
SELECT fraud.tile_features('seen');
SELECT fraud.create_feature_set('zoned', 'visits', 'id', 'at');
SELECT fraud.add_window_feature('zoned', 'hours', 'distinct', 'extract(hour FROM at)', 'who', '1 day');
SELECT fraud.tile_features('zoned');
SELECT fraud.tile_features('payments');
SELECT fraud.tile_features('missing');
SELECT fraud.untile_features('visits');
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'visits'::regclass AND NOT tgisinternal;

-- More events than there is memory for: read one by one, without tiles.
TRUNCATE visits;
INSERT INTO visits SELECT v.* FROM generate_series(1, 30000) i, visit(i) v;
SET fraud_detect.feature_memory = '1MB';
SELECT count(*) FROM (SELECT fraud.features('visits', v) f FROM visits v WHERE id IN (29000, 29990) ORDER BY id) s, jsonb_object_keys(f) WHERE f ->> 'count_who_30' IS NOT NULL;
RESET fraud_detect.feature_memory;

SELECT fraud.drop_feature_set('visits'), fraud.drop_feature_set('seen'), fraud.drop_feature_set('zoned');
SET client_min_messages = warning;
DROP SCHEMA tile_test CASCADE;
RESET search_path;
