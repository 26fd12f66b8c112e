\set SHOW_CONTEXT never
-- Feature sets over a table that is not shaped like payments: orders of a shop,
-- with text keys, an integer id, and times without a zone.
CREATE TABLE orders (
    no int PRIMARY KEY,
    placed timestamp NOT NULL,
    customer text COLLATE "C",
    shop text COLLATE "C",
    total numeric(10, 2),
    items int,
    channel text,
    gift boolean,
    lat float8,
    lon float8,
    returned boolean,
    returned_at timestamp
);
INSERT INTO orders
SELECT i, timestamp '2026-01-01' + (i / 3) * interval '1 hour',      -- three at a time
       nullif('c' || i % 7, 'c6'), 's' || i % 4, nullif((i * 37 % 1000) / 10.0, 3.7), i % 5,
       (ARRAY['web', 'phone', 'kiosk', NULL])[1 + i % 4], i % 2 = 0,
       nullif(i % 90, 13), i % 180 - 90,
       i % 11 = 0, CASE WHEN i % 22 = 0 THEN timestamp '2026-01-01' + (i / 3 + 30) * interval '1 hour' END
FROM generate_series(1, 400) i;

SELECT fraud.create_feature_set('orders', 'orders', 'no', 'placed',
    label => 'returned', label_delay => '2 days', label_known_at => 'returned_at');
SELECT fraud.add_feature('orders', 'total', 'total');
SELECT fraud.add_feature('orders', 'per_item', 'total / nullif(items, 0)', description => 'price of an item');
SELECT fraud.add_feature('orders', 'hour', 'extract(hour FROM placed)');
SELECT fraud.add_feature('orders', 'gift', 'gift');
SELECT fraud.add_feature('orders', 'channel', 'channel');
SELECT fraud.add_feature('orders', 'shop_code', 'shop', kind => 'code', categories => '{s3,s0,s1}');
SELECT fraud.add_window_feature('orders', 'orders_1d', 'count', NULL, 'customer', '1 day');
SELECT fraud.add_window_feature('orders', 'totals_1d', 'count', 'total', 'customer', '1 day');
SELECT fraud.add_window_feature('orders', 'sum_1d', 'sum', 'total', 'customer', '1 day');
SELECT fraud.add_window_feature('orders', 'sum_with_this', 'sum', 'total', 'customer', '1 day', include_current => true);
SELECT fraud.add_window_feature('orders', 'mean_3d', 'avg', 'total', 'customer', '3 days');
SELECT fraud.add_window_feature('orders', 'least', 'min', 'total', 'customer', '3 days');
SELECT fraud.add_window_feature('orders', 'most', 'max', 'total', 'customer', '3 days', delay => '6 hours');
SELECT fraud.add_window_feature('orders', 'spread', 'stddev', 'total', 'customer', '3 days');
SELECT fraud.add_window_feature('orders', 'shops', 'distinct', 'shop', 'customer', '3 days');
SELECT fraud.add_window_feature('orders', 'last_total', 'last', 'total', 'customer', '3 days');
SELECT fraud.add_window_feature('orders', 'idle', 'seconds_since_last', NULL, 'customer', '3 days');
SELECT fraud.add_window_feature('orders', 'idle_big', 'seconds_since_last', NULL, 'customer', '3 days', filter => 'total > 50');
SELECT fraud.add_window_feature('orders', 'shop_returns', 'rate', NULL, 'shop', '2 days', delay => '1 day');
SELECT fraud.add_window_feature('orders', 'pair_returns', 'rate', NULL, 'customer, shop', '4 days', filter => 'gift');
SELECT fraud.add_window_feature('orders', 'pair_before', 'count', NULL, 'customer, shop', '4 days');
SELECT fraud.add_window_feature('orders', 'times_mean', 'ratio', 'total', 'customer', '3 days');
SELECT fraud.add_window_feature('orders', 'deviations', 'zscore', 'total', 'customer', '3 days', include_current => true);
SELECT fraud.add_window_feature('orders', 'moved', 'distance', 'lat, lon', 'customer', '3 days');
SELECT fraud.add_window_feature('orders', 'kmh', 'speed', 'lat, lon', 'customer', '3 days');
SELECT fraud.add_window_feature('orders', 'at_all', 'sum', 'items', '''all''', '5 hours');
SELECT feature, kind, definition, categories FROM fraud.feature_catalog WHERE feature_set = 'orders' ORDER BY position;
SELECT feature, code, category FROM fraud.feature_categories WHERE feature_set = 'orders' ORDER BY feature, code;

SELECT fraud.materialize_features('orders', 'order_features');
\d order_features
SELECT * FROM order_features WHERE event_id IN (1, 300, 399) ORDER BY event_id \gx

-- The same values from window queries. Events of one hour are three, ordered by number.
-- (What is rounded differently by SQL is compared to seven digits.)
CREATE VIEW wanted AS
WITH o AS (SELECT *, row_number() OVER (ORDER BY placed, no) AS seq,
                  coalesce(returned_at, placed + interval '2 days') AS known FROM orders)
SELECT o.no,
       o.total::float4 AS total, (o.total / nullif(o.items, 0))::float4 AS per_item,
       extract(hour FROM o.placed)::float4 AS hour, o.gift::int::float4 AS gift,
       CASE o.channel WHEN 'kiosk' THEN 0 WHEN 'phone' THEN 1 WHEN 'web' THEN 2 END::float4 AS channel,
       CASE o.shop WHEN 's3' THEN 0 WHEN 's0' THEN 1 WHEN 's1' THEN 2 END::float4 AS shop_code,
       d1.*, d3.*, md.*, last3.*, big.*, ret.*, pair.*, with_this.*, everybody.*
FROM o
CROSS JOIN LATERAL (
    SELECT CASE WHEN o.customer IS NOT NULL THEN count(*) END::float4 AS orders_1d,
           CASE WHEN o.customer IS NOT NULL THEN count(p.total) END::float4 AS totals_1d,
           CASE WHEN o.customer IS NOT NULL THEN coalesce(sum(p.total), 0) END::float4 AS sum_1d
    FROM o p WHERE p.customer = o.customer AND p.seq < o.seq AND p.placed > o.placed - interval '1 day') d1
CROSS JOIN LATERAL (
    SELECT avg(p.total)::float4 AS mean_3d, min(p.total)::float4 AS least, stddev_samp(p.total)::float4 AS spread,
           CASE WHEN o.customer IS NOT NULL THEN count(DISTINCT p.shop) END::float4 AS shops,
           (o.total / nullif(avg(p.total), 0))::float4 AS times_mean
    FROM o p WHERE p.customer = o.customer AND p.seq < o.seq AND p.placed > o.placed - interval '3 days') d3
CROSS JOIN LATERAL (
    SELECT max(p.total)::float4 AS most FROM o p WHERE p.customer = o.customer
      AND p.placed <= o.placed - interval '6 hours' AND p.placed > o.placed - interval '78 hours') md
CROSS JOIN LATERAL (
    SELECT (array_agg(p.total ORDER BY p.seq DESC) FILTER (WHERE p.total IS NOT NULL))[1]::float4 AS last_total,
           extract(epoch FROM o.placed - max(p.placed))::float4 AS idle
    FROM o p WHERE p.customer = o.customer AND p.seq < o.seq AND p.placed > o.placed - interval '3 days') last3
CROSS JOIN LATERAL (
    SELECT extract(epoch FROM o.placed - max(p.placed))::float4 AS idle_big
    FROM o p WHERE p.customer = o.customer AND p.total > 50 AND p.seq < o.seq AND p.placed > o.placed - interval '3 days') big
CROSS JOIN LATERAL (
    SELECT avg((p.returned AND p.known <= o.placed)::int)::float4 AS shop_returns
    FROM o p WHERE p.shop = o.shop AND p.placed <= o.placed - interval '1 day' AND p.placed > o.placed - interval '3 days') ret
CROSS JOIN LATERAL (
    SELECT avg((p.returned AND p.known <= o.placed)::int) FILTER (WHERE p.gift)::float4 AS pair_returns,
           CASE WHEN o.customer IS NOT NULL THEN count(*) END::float4 AS pair_before
    FROM o p WHERE p.customer = o.customer AND p.shop = o.shop AND p.seq < o.seq AND p.placed > o.placed - interval '4 days') pair
CROSS JOIN LATERAL (
    SELECT CASE WHEN o.customer IS NOT NULL THEN coalesce(sum(p.total) FILTER (WHERE p.placed > o.placed - interval '1 day'), 0) END::float4 AS sum_with_this,
           ((o.total - avg(p.total)) / nullif(stddev_samp(p.total), 0))::float4 AS deviations
    FROM o p WHERE p.customer = o.customer AND p.seq <= o.seq AND p.placed > o.placed - interval '3 days') with_this
CROSS JOIN LATERAL (
    SELECT coalesce(sum(p.items), 0)::float4 AS at_all
    FROM o p WHERE p.seq < o.seq AND p.placed > o.placed - interval '5 hours') everybody;
SELECT count(*) AS compared, count(g.value) AS present,
       count(*) FILTER (WHERE abs(g.value::float8 - w.value::float8) > 1e-6 * greatest(1, abs(w.value::float8))
                        OR (g.value IS NULL) <> (w.value IS NULL)) AS differ
FROM order_features f JOIN wanted ON wanted.no = f.event_id CROSS JOIN LATERAL jsonb_each_text(to_jsonb(wanted) - 'no') w
JOIN LATERAL jsonb_each_text(to_jsonb(f)) g ON g.key = w.key
\g (format=unaligned)

-- One event at a time: nothing differs in any bit, with or without indexes.
SELECT * FROM fraud.verify_parity('orders', 400);
SELECT * FROM fraud.verify_parity(NULL, 400);
SELECT * FROM fraud.verify_parity('orders', NULL);
SELECT definition, present, obstacle, may_fail FROM fraud.feature_indexes('orders');
SELECT fraud.create_feature_indexes('orders');
SELECT present, count(*) FROM fraud.feature_indexes('orders') GROUP BY 1;
-- The same while others write: statements for psql.
SELECT format('DROP INDEX %s', indexrelid::regclass) FROM pg_index WHERE indrelid = 'orders'::regclass AND indnkeyatts = 4 \gexec
SELECT unnest(concurrent_statements) FROM fraud.feature_indexes('orders') WHERE NOT present;
SELECT unnest(concurrent_statements) FROM fraud.feature_indexes('orders') WHERE NOT present \gexec
SELECT present, count(*), count(concurrent_statements) FROM fraud.feature_indexes('orders') GROUP BY 1;
SELECT * FROM fraud.verify_parity('orders', 400);
SELECT fraud.features('orders', o) = to_jsonb(f) - '{event_id,event_time,label}'::text[] AS same
FROM orders o JOIN order_features f ON f.event_id = o.no WHERE o.no = 399;
SELECT fraud.features('orders', o) FROM orders o WHERE no = 300;

-- An event that is not stored, and a row of another type with the same columns.
SELECT fraud.features('orders', jsonb_populate_record(NULL::orders,
    '{"no": 1000, "placed": "2026-01-06 13:30:00", "customer": "c0", "shop": "s9", "total": 10, "channel": "fax"}'))
    - '{hour,gift,per_item}'::text[];
SELECT fraud.features('orders', s)->'orders_1d' AS orders_1d FROM (SELECT * FROM orders WHERE no = 399 OFFSET 0) s;

-- The period bounds the events, not what their windows see.
SELECT fraud.materialize_features('orders', 'part', '2026-01-03', '2026-01-04 12:00');
SELECT count(*), min(event_time), max(event_time), count(*) FILTER (WHERE to_jsonb(p) <> to_jsonb(f)) AS differ
FROM part p JOIN order_features f USING (event_id, event_time);

-- The order of arrival does not matter: the same events, stored in another order.
CREATE TABLE shuffled (LIKE orders INCLUDING ALL);
INSERT INTO shuffled SELECT * FROM orders ORDER BY md5(no::text);
DO $$
BEGIN
    PERFORM fraud.create_feature_set('shuffled', 'shuffled', 'no', 'placed', 'returned', '2 days', 'returned_at');
END $$;
SELECT count(CASE
    WHEN d.expression IS NOT NULL THEN fraud.add_feature('shuffled', feature, expression, kind, (
        SELECT array_agg(category ORDER BY code) FROM fraud.feature_categories c WHERE (c.feature_set, c.feature) = ('orders', d.feature)))::text
    ELSE fraud.add_window_feature('shuffled', feature, aggregate, array_to_string(value, ', '),
        array_to_string(key, ', '), "window", delay, filter, include_current)::text END) AS features
FROM (SELECT * FROM fraud.feature_definitions WHERE feature_set = 'orders' ORDER BY position) d;
SELECT fraud.materialize_features('shuffled', 'shuffled_features');
SELECT count(*), count(*) FILTER (WHERE record_image_ne(f, s)) AS differ
FROM order_features f JOIN shuffled_features s USING (event_id);
SELECT fraud.feature_set_hash('shuffled') = fraud.feature_set_hash('orders') AS same_hash;
-- Late events change what comes after them, in both ways alike.
INSERT INTO shuffled (no, placed, customer, shop, total) SELECT 1000 + i, timestamp '2026-01-01 00:30' + i * interval '5 hours', 'c' || i % 6, 's1', i FROM generate_series(1, 20) i;
SELECT * FROM fraud.verify_parity('shuffled', 420);
SELECT fraud.materialize_features('shuffled', 'later_features');
SELECT count(*) FILTER (WHERE record_image_ne(f, s)) > 0 AS late_events_count
FROM order_features f JOIN later_features s USING (event_id);

-- Categories keep their codes; new ones are added behind.
UPDATE orders SET channel = 'app' WHERE no = 399;
SELECT fraud.features('orders', o)->'channel' AS channel FROM orders o WHERE no = 399;
SELECT fraud.add_categories('orders', 'channel');
SELECT fraud.features('orders', o)->'channel' AS channel FROM orders o WHERE no = 399;
SELECT fraud.feature_set_hash('shuffled') = fraud.feature_set_hash('orders') AS same_hash;

-- Values that need care: more than float32 holds, infinities, NaN.
CREATE TABLE extremes (id int PRIMARY KEY, at timestamptz NOT NULL, k int, v float8);
INSERT INTO extremes VALUES (1, '2026-01-01', 1, 1e300), (2, '2026-01-02', 1, 'NaN'), (3, '2026-01-03', 1, 'Infinity'),
    (4, '2026-01-04', 1, -1e300), (5, '2026-01-05', 1, 1e-300), (6, '2026-01-06', 1, 0.1), (7, '2026-01-07', 1, 0.2), (8, '2026-01-08', 1, 0);
SELECT fraud.create_feature_set('extremes', 'extremes', 'id', 'at');
SELECT fraud.add_feature('extremes', 'v', 'v');
SELECT fraud.add_window_feature('extremes', 'sum', 'sum', 'v', 'k', '100 days');
SELECT fraud.add_window_feature('extremes', 'count', 'count', 'v', 'k', '3 days');
SELECT fraud.add_window_feature('extremes', 'sum3', 'sum', 'v', 'k', '3 days');
SELECT fraud.materialize_features('extremes', 'extreme_features');
SELECT * FROM extreme_features ORDER BY event_id;
SELECT * FROM fraud.verify_parity('extremes');

-- A key whose type is altered.
CREATE TABLE keyed (id int, at timestamptz, k text);
INSERT INTO keyed SELECT i, timestamptz '2026-01-01' + i * interval '1 hour', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1' || i % 3 FROM generate_series(1, 30) i;
SELECT fraud.create_feature_set('keyed', 'keyed', 'id', 'at');
SELECT fraud.add_window_feature('keyed', 'n', 'count', NULL, 'k', '1 day');
SELECT fraud.features('keyed', e) FROM keyed e WHERE id = 30;
ALTER TABLE keyed ALTER k TYPE uuid USING k::uuid;
SELECT fraud.features('keyed', e) FROM keyed e WHERE id = 30;
SELECT * FROM fraud.verify_parity('keyed');
ALTER TABLE keyed ADD v numeric DEFAULT 3;
SELECT fraud.add_window_feature('keyed', 'total', 'sum', 'v', 'k', '1 day');
SELECT fraud.features('keyed', e) FROM keyed e WHERE id = 30;
ALTER TABLE keyed ALTER v TYPE int;
SELECT fraud.features('keyed', e) FROM keyed e WHERE id = 30;
SELECT * FROM fraud.verify_parity('keyed');
SELECT fraud.drop_feature_set('keyed');

-- What a user can get wrong.
SELECT fraud.create_feature_set('orders', 'orders', 'no', 'placed');
SELECT fraud.create_feature_set('no way', 'orders', 'no', 'placed');
SELECT fraud.create_feature_set('x', 'nowhere', 'no', 'placed');
SELECT fraud.create_feature_set('x', 'orders', 'number', 'placed');
SELECT fraud.create_feature_set('x', 'orders', 'no', 'shop');
SELECT fraud.create_feature_set('x', 'orders', 'no', 'extract(epoch FROM placed)');
SELECT fraud.create_feature_set('x', 'orders', 'no', 'placed', 'shop');
SELECT fraud.create_feature_set('x', 'orders', 'no', 'placed', 'returned', '1 month');
SELECT fraud.create_feature_set('x', 'orders', 'no', 'placed', 'returned', '-1 day');
SELECT fraud.create_feature_set('x', 'orders', 'no', 'placed', label_known_at => 'returned_at');
SELECT fraud.create_feature_set(NULL, 'orders', 'no', 'placed');
SELECT fraud.add_feature('nix', 'f', 'total');
SELECT fraud.add_feature('orders', 'total', 'total');
SELECT fraud.add_feature('orders', '1st', 'total');
SELECT fraud.add_feature('orders', 'label', 'total');
SELECT fraud.add_feature('orders', 'f', 'placed', kind => 'number');
SELECT fraud.add_feature('orders', 'f', 'total', kind => 'colour');
SELECT fraud.add_feature('orders', 'f', 'total', categories => '{a}');
SELECT fraud.add_feature('orders', 'f', 'channel', categories => '{a,NULL}');
SELECT fraud.add_feature('orders', 'f', 'total FROM orders');
SELECT fraud.add_feature('orders', 'f', 'total; DROP TABLE orders');
SELECT fraud.add_feature('orders', 'f', 'total) FROM orders; --');
SELECT fraud.add_feature('orders', 'f', 'total, items');
SELECT fraud.add_feature('orders', 'f', '(SELECT 1)');
SELECT fraud.add_feature('orders', 'f', 'sum(total)');
SELECT fraud.add_feature('orders', 'f', 'random()');
SELECT fraud.add_feature('orders', 'f', 'extract(epoch FROM now() - placed)');
SELECT fraud.add_feature('orders', 'f', 'current_date - placed::date');
SELECT fraud.add_feature('orders', 'f', 'length(current_user)');
SELECT fraud.add_feature('orders', 'f', 'xmin::text::int');
SELECT fraud.add_feature('orders', 'f', '');
SELECT fraud.add_window_feature('orders', 'f', 'median', 'total', 'customer', '1 day');
SELECT fraud.add_window_feature('orders', 'f', 'sum', NULL, 'customer', '1 day');
SELECT fraud.add_window_feature('orders', 'f', 'sum', 'shop', 'customer', '1 day');
SELECT fraud.add_window_feature('orders', 'f', 'sum', 'total, items', 'customer', '1 day');
SELECT fraud.add_window_feature('orders', 'f', 'rate', 'total', 'customer', '1 day');
SELECT fraud.add_window_feature('extremes', 'f', 'rate', NULL, 'k', '1 day');
SELECT fraud.add_window_feature('orders', 'f', 'speed', 'lat', 'customer', '1 day');
SELECT fraud.add_window_feature('orders', 'f', 'count', NULL, NULL, '1 day');
SELECT fraud.add_window_feature('orders', 'f', 'count', NULL, 'total', '1 day');
SELECT fraud.add_window_feature('orders', 'f', 'count', NULL, 'nobody', '1 day');
SELECT fraud.add_window_feature('orders', 'f', 'count', NULL, 'customer', '0');
SELECT fraud.add_window_feature('orders', 'f', 'count', NULL, 'customer', '2 months');
SELECT fraud.add_window_feature('orders', 'f', 'count', NULL, 'customer', '1 day', delay => '-1 day');
SELECT fraud.add_window_feature('orders', 'f', 'count', NULL, 'customer', '1 day', delay => '1 day', include_current => true);
SELECT fraud.add_window_feature('orders', 'f', 'last', 'total', 'customer', '1 day', include_current => true);
SELECT fraud.add_window_feature('orders', 'f', 'rate', NULL, 'customer', '1 day', include_current => true);
SELECT fraud.add_window_feature('orders', 'f', 'count', NULL, 'customer', '1 day', filter => 'total');
SELECT fraud.add_categories('orders', 'total');
SELECT fraud.add_categories('orders', 'nix');
SELECT fraud.drop_feature('orders', 'nix');
SELECT fraud.drop_feature_set('nix');
SELECT fraud.features('nix', o) FROM orders o LIMIT 1;
SELECT fraud.features('orders', ROW(1, 2));
SELECT fraud.features('orders', jsonb_populate_record(NULL::orders, '{"no": 1}'));
SELECT fraud.features('orders', jsonb_populate_record(NULL::orders, '{"no": 1, "placed": "infinity"}'));
SELECT fraud.features('orders', jsonb_populate_record(NULL::orders, '{"placed": "2026-01-01"}'));
SELECT fraud.materialize_features('orders', 'part');
SELECT fraud.materialize_features('orders', 'nowhere.x');
SELECT fraud.materialize_features('orders', 'a b; c');
SELECT fraud.verify_parity('orders', 0);
SELECT fraud.feature_set_hash('nix');
SELECT * FROM fraud.feature_indexes('nix');
SELECT fraud.create_feature_set('empty', 'orders', 'no', 'placed');
SELECT fraud.materialize_features('empty', 'x');
-- Two events that nothing tells apart.
SELECT fraud.create_feature_set('doubled', 'orders', 'shop', 'placed');
SELECT fraud.add_window_feature('doubled', 'n', 'count', NULL, 'shop', '1 day');
INSERT INTO orders (no, placed, shop) VALUES (2001, '2026-02-01', 's1'), (2002, '2026-02-01', 's1');
SELECT fraud.materialize_features('doubled', 'x');
-- Events without an id are not read in either way.
CREATE TABLE untold (id int, at timestamptz, k text, bad boolean);
INSERT INTO untold SELECT nullif(i % 10, 0) + i, timestamptz '2026-01-01' + i % 50 * interval '1 minute', 'k' || i % 3, i % 7 = 0 FROM generate_series(1, 500) i;
SELECT fraud.create_feature_set('untold', 'untold', 'id', 'at', label => 'bad');
SELECT fraud.add_window_feature('untold', 'n', 'count', NULL, 'k', '10 minutes');
SELECT fraud.add_window_feature('untold', 'share', 'rate', NULL, 'k', '10 minutes');
SELECT count(*) AS without FROM untold WHERE id IS NULL;
SELECT * FROM fraud.verify_parity('untold', 500);
SELECT fraud.drop_feature_set('untold');
-- A bound that is hit says so.
SET fraud_detect.feature_memory = '1MB';
CREATE TABLE wide AS SELECT i AS id, timestamptz '2026-01-01' + i * interval '1 second' AS at FROM generate_series(1, 200000) i;
SELECT fraud.create_feature_set('wide', 'wide', 'id', 'at');
SELECT fraud.add_window_feature('wide', 'n', 'sum', 'id', '1', '10 days');
SELECT fraud.materialize_features('wide', 'x');
SELECT fraud.features('wide', w) FROM wide w WHERE id = 150000;
-- Events that do not fit in memory stream by; the features are the same.
SELECT fraud.add_window_feature('wide', 'n_1h', 'stddev', 'id % 977', 'id % 7', '1 hour');
SELECT fraud.drop_feature('wide', 'n');
SELECT fraud.materialize_features('wide', 'streamed');
RESET fraud_detect.feature_memory;
SELECT fraud.materialize_features('wide', 'at_hand');
SELECT count(*), count(*) FILTER (WHERE record_image_ne(a, b)) AS differ FROM streamed a JOIN at_hand b USING (event_id);
-- Nor do threads matter, in either way.
SELECT fraud.add_window_feature('wide', 'n_2h', 'sum', 'id * 0.1', 'id % 1000', '2 hours');
SET fraud_detect.feature_threads = 1;
SELECT fraud.materialize_features('wide', 'by_one');
SET fraud_detect.feature_threads = 4;
SELECT fraud.materialize_features('wide', 'by_four');
SET fraud_detect.feature_memory = '3MB';
SELECT fraud.materialize_features('wide', 'by_four_streamed');
RESET fraud_detect.feature_memory;
RESET fraud_detect.feature_threads;
SELECT count(*), count(*) FILTER (WHERE record_image_ne(a, b) OR record_image_ne(a, c)) AS differ
FROM by_one a JOIN by_four b USING (event_id) JOIN by_four_streamed c USING (event_id);
-- Windows of so many keys that they do not fit in memory are computed part by part, of events that are at hand or stream by;
-- so are those of a period that has others before it.
SELECT fraud.create_feature_set('many', 'wide', 'id', 'at');
SELECT fraud.add_window_feature('many', 'n', 'count', NULL, 'id % 60013', '30 hours');
SELECT fraud.add_window_feature('many', 'mean', 'avg', 'id % 977', 'id % 60013, id % 7', '30 hours');
SELECT fraud.add_window_feature('many', 'own', 'max', 'id % 977', 'id', '40 hours', include_current => true);
SELECT fraud.add_window_feature('many', 'few', 'stddev', 'id % 977', 'id % 7', '1 hour', delay => '1 second');
SELECT fraud.materialize_features('many', 'of_all');
SELECT fraud.materialize_features('many', 'of_late', '2026-01-03');
SET fraud_detect.feature_memory = '64MB';
SELECT fraud.materialize_features('many', 'parts_at_hand');
-- An error while they are computed leaves nothing behind: here the files of the parts are too large.
SET temp_file_limit = '1MB';
SELECT fraud.materialize_features('many', 'x');
RESET temp_file_limit;
SELECT count(*) AS files FROM pg_ls_tmpdir();
SET fraud_detect.feature_memory = '15MB';
SELECT fraud.materialize_features('many', 'parts_streamed');
SELECT fraud.materialize_features('many', 'parts_late', '2026-01-03');
RESET fraud_detect.feature_memory;
SELECT count(*), count(*) FILTER (WHERE record_image_ne(a, b) OR record_image_ne(a, c)) AS differ
FROM of_all a LEFT JOIN parts_at_hand b USING (event_id) LEFT JOIN parts_streamed c USING (event_id);
SELECT count(*), count(*) FILTER (WHERE record_image_ne(a, b)) AS differ FROM of_late a FULL JOIN parts_late b USING (event_id);
SELECT fraud.drop_feature_set('many');
-- A cancel between two blocks.
SET statement_timeout = '50ms';
SELECT fraud.materialize_features('wide', 'cancelled');
RESET statement_timeout;
SELECT to_regclass('cancelled') IS NULL AS gone;
-- A table that has changed, or gone.
ALTER TABLE extremes RENAME COLUMN v TO w;
SELECT fraud.materialize_features('extremes', 'x');
ALTER TABLE extremes RENAME COLUMN w TO v;
ALTER TABLE extremes RENAME TO extreme_values;
SELECT fraud.materialize_features('extremes', 'x');
DROP TABLE x, extreme_values;
SELECT fraud.materialize_features('extremes', 'x');
SELECT fraud.drop_feature_set('extremes');

-- Parity names what fails.
CREATE TABLE divided AS SELECT i AS no, timestamptz '2026-01-01' + i * interval '1 hour' AS placed, (i <> 7)::int AS by FROM generate_series(1, 20) i;
SELECT fraud.create_feature_set('divided', 'divided', 'no', 'placed'), fraud.add_feature('divided', 'ratio', '1 / by');
SELECT fraud.verify_parity('divided');
SELECT fraud.drop_feature_set('divided');
DROP TABLE divided;
-- No card number becomes a category, found or given.
CREATE TABLE carded AS SELECT 1 AS no, timestamptz '2026-01-01' AS placed, '4111 1111 1111 1111'::text AS card;
SELECT fraud.create_feature_set('carded', 'carded', 'no', 'placed');
SELECT fraud.add_feature('carded', 'card', 'card');
SELECT fraud.add_feature('carded', 'card', 'card', categories => '{x,4111111111111111}');
SELECT fraud.add_column_features('carded');
SELECT fraud.add_feature('carded', 'card', 'card', categories => '{x}');
SELECT fraud.add_categories('carded', 'card');
SELECT category FROM fraud.feature_categories WHERE feature_set = 'carded';
SELECT fraud.drop_feature_set('carded');
DROP TABLE carded;

-- Whose rights: the definer's for the expressions, the caller's for the call.
CREATE ROLE regress_fraud_definer;
CREATE ROLE regress_fraud_other;
SELECT fraud.grant_access('regress_fraud_definer', 'scientist'), fraud.grant_access('regress_fraud_other', 'scientist');
CREATE FUNCTION who(int) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN current_user; END $$;
CREATE FUNCTION create_it() RETURNS int LANGUAGE plpgsql AS $$ BEGIN CREATE TEMP TABLE made (); RETURN 1; END $$;
CREATE FUNCTION makes_a_table(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN public.create_it(); END $$;
SET ROLE regress_fraud_definer;
SELECT fraud.create_feature_set('theirs', 'orders', 'no', 'placed');
RESET ROLE;
GRANT SELECT ON orders TO regress_fraud_definer;
GRANT CREATE ON SCHEMA public TO regress_fraud_definer, regress_fraud_other;
SET ROLE regress_fraud_definer;
SELECT fraud.create_feature_set('theirs', 'orders', 'no', 'placed');
SELECT fraud.add_feature('theirs', 'me', 'who(no)', categories => '{regress_fraud_other,regress_fraud_definer}');
SELECT fraud.add_feature('orders', 'f', 'total');
SELECT fraud.drop_feature_set('orders');
RESET ROLE;
-- A superuser's call runs the expression as its definer.
SELECT fraud.features('theirs', o) FROM orders o WHERE no = 1;
SET ROLE regress_fraud_other;
SELECT fraud.features('theirs', NULL::orders);
SELECT fraud.features('theirs', jsonb_populate_record(NULL::orders, '{"no": 1, "placed": "2026-01-01"}'));
SELECT fraud.materialize_features('theirs', 'x');
SELECT fraud.verify_parity('theirs');
SELECT fraud.drop_feature('theirs', 'me');
RESET ROLE;
GRANT SELECT ON orders TO regress_fraud_other;
SET ROLE regress_fraud_other;
SELECT fraud.materialize_features('theirs', 'their_features');
SELECT me, count(*), bool_and(relowner = 'regress_fraud_other'::regrole) FROM their_features, pg_class WHERE relname = 'their_features' GROUP BY 1;
SELECT current_user, current_setting('search_path'), current_setting('DateStyle');
RESET ROLE;
-- Nor is what Postgres computes beforehand, when it reads an expression: a function of constants,
-- a constant of a type with a check. Neither by whoever asks, nor by the extension's owner.
SET ROLE regress_fraud_definer;
CREATE FUNCTION tells(what text, as_whom name) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF current_user <> as_whom THEN RAISE EXCEPTION '% runs as another', what; END IF;
    RETURN 0;
END $$;
CREATE DOMAIN telling AS int CHECK (VALUE IS NOT NULL AND public.tells('domain', 'regress_fraud_definer') = 0);
CREATE FUNCTION zero(telling[]) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 0';
CREATE TABLE told (no int PRIMARY KEY, placed timestamptz, who int, flag boolean);
INSERT INTO told VALUES (1, '2026-01-01', 1, true);
SELECT fraud.create_feature_set('told', 'told', $$no + tells('id', 'regress_fraud_definer')$$, $$placed + tells('time', 'regress_fraud_definer') * interval '1 hour'$$,
    label => $$flag AND tells('label', 'regress_fraud_definer') = 0$$, label_known_at => $$placed + tells('known_at', 'regress_fraud_definer') * interval '1 hour'$$);
SELECT fraud.add_feature('told', 'value', $$who + tells('value', 'regress_fraud_definer')$$);
SELECT fraud.add_window_feature('told', 'keyed', 'sum', $$who + tells('window', 'regress_fraud_definer')$$, $$who + zero('{1}') + tells('key', 'regress_fraud_definer')$$, '1 day',
    filter => $$tells('filter', 'regress_fraud_definer') = 0$$);
-- In a session of its own: what has been computed once is not again.
\c -
\set SHOW_CONTEXT never
SELECT fraud.features('told', t) FROM told t;
SET ROLE regress_fraud_definer;
SELECT fraud.features('told', t) FROM told t;
RESET ROLE;
\c -
\set SHOW_CONTEXT never
SELECT count(*) FROM fraud.feature_indexes('told');
\c -
\set SHOW_CONTEXT never
SELECT fraud.create_feature_indexes('told');
SELECT fraud.add_column_features('told', '{who}');
SELECT p.* FROM fraud._events_period('told', '2026-01-01', '2026-02-01') p;
-- What is not the set's is not read as if it were.
SELECT fraud._indexed_part('told', 'no');
SELECT fraud._expression_columns('told', $$tells('mine', 'postgres')$$);
SELECT fraud.drop_feature_set('told');
DROP TABLE told;
DROP FUNCTION zero(telling[]);
DROP DOMAIN telling;
DROP FUNCTION tells(text, name);
-- It cannot do more than compute.
SELECT fraud.add_feature('theirs', 'bad', 'makes_a_table(no)');
SELECT fraud.features('theirs', o) FROM orders o WHERE no = 1;
SELECT fraud.drop_feature('theirs', 'bad');
-- A role that is gone is named.
REVOKE ALL ON SCHEMA public FROM regress_fraud_definer, regress_fraud_other;
REVOKE ALL ON orders FROM regress_fraud_definer, regress_fraud_other;
SELECT fraud.revoke_access('regress_fraud_definer', 'scientist'), fraud.revoke_access('regress_fraud_other', 'scientist');
DROP TABLE their_features;
DROP ROLE regress_fraud_definer;
DROP ROLE regress_fraud_other;
SELECT fraud.features('theirs', o) FROM orders o WHERE no = 1;
SELECT fraud.drop_feature_set('theirs');
SELECT feature_set FROM fraud.feature_sets ORDER BY 1;

-- The features of payments: the set that comes with the extension gives the vectors
-- that ingest has stored, to the last bit, in both ways.
SELECT clock_timestamp() AS started \gset
SET client_min_messages = warning;  -- on a slow machine it says how far it is
SELECT fraud.simulate(60, 25, 50, seed => 4711, starts_at => '2023-05-01 00:00:00+00');
RESET client_min_messages;
SELECT feature, kind, definition, categories FROM fraud.feature_catalog WHERE feature_set = 'payments' ORDER BY position;
SELECT array_agg(feature ORDER BY position) = fraud.payment_features() AS same_order FROM fraud.feature_definitions WHERE feature_set = 'payments';
SELECT fraud.materialize_features('payments', 'payment_vectors', '2023-05-01', '2023-06-20') > 1000 AS many;
SELECT count(*) > 1000 AS many, count(*) FILTER (WHERE v.vector IS DISTINCT FROM array_replace(t.features, 'NaN', NULL)) AS differ,
       count(*) FILTER (WHERE v.label <> EXISTS (SELECT FROM fraud.labels l WHERE l.transaction_id = t.transaction_id AND l.is_fraud)) AS labels_differ
FROM fraud.transactions t
JOIN (SELECT event_id, label, ARRAY[amount, category, hour, weekday, age, distance_km, city_population, count_1h, sum_1h, mean_1h,
             count_24h, sum_24h, mean_24h, count_7d, sum_7d, mean_7d, count_30d, sum_30d, mean_30d,
             seconds_since_last, distance_from_last_km, speed_from_last_kmh, amount_ratio_30d, amount_zscore_30d, category_count_30d,
             merchant_visits_30d, merchant_count_24h, merchant_amount_ratio_30d, merchant_fraud_rate_30d] AS vector FROM payment_vectors) v ON v.event_id = t.transaction_id
WHERE t.received_at >= :'started';
SELECT * FROM fraud.verify_parity('payments', 300);
SELECT fraud.add_feature('payments', 'cents', 'amount * 100 % 100');
SELECT fraud.drop_feature('payments', 'cents');
SELECT * FROM fraud.feature_indexes('payments');
