-- The shape of a payment: attributes, money, who pays, what follows.
\pset null null
\set SHOW_CONTEXT never
SELECT transaction_id, status, error FROM fraud.ingest(jsonb_build_array(
  jsonb_build_object('trans_num', 'shape1', 'cc_num', 4444000011112222, 'amt', 12.5, 'merchant', 'M', 'current_time', 1735689600000,
                     'device', jsonb_build_object('id', 'd-1', 'cvv', '123'), 'email', 'a@b.c', 'note', 'card 4111 1111 1111 1111', 'cvv2', 123,
                     'attributes', jsonb_build_object('ip', '1.2.3.4', 'own', '4444000011112222')),
  jsonb_build_object('trans_num', 'shape2', 'cc_num', 4444000011112222, 'amt', 1500, 'currency', 'JPY', 'merchant', 'M', 'current_time', 1735689601000),
  jsonb_build_object('trans_num', 'shape3', 'cc_num', 4444000011112222, 'amt_minor', 1234, 'currency', 'kwd', 'merchant', 'M', 'current_time', 1735689602000),
  jsonb_build_object('trans_num', 'shape4', 'cc_num', 4444000011112222, 'amt', 1, 'currency', 'XYZ', 'merchant', 'M', 'current_time', 1735689603000),
  jsonb_build_object('trans_num', 'shape5', 'cc_num', 4444000011112222, 'amt', 1.5, 'currency', 'JPY', 'merchant', 'M', 'current_time', 1735689604000)));
SELECT fraud.set_currency_rate('JPY', 0.0065, '2024-01-01 00:00+00');
SELECT fraud.set_currency_rate('KWD', 3.25, '2024-01-01 00:00+00');
SELECT transaction_id, status, error FROM fraud.ingest(jsonb_build_array(
  jsonb_build_object('trans_num', 'shape2', 'cc_num', 4444000011112222, 'amt', 1500, 'currency', 'JPY', 'merchant', 'M', 'current_time', 1735689601000),
  jsonb_build_object('trans_num', 'shape3', 'cc_num', 4444000011112222, 'amt_minor', 1234, 'currency', 'kwd', 'merchant', 'M', 'current_time', 1735689602000)));
SELECT transaction_id, amount, currency, base_amount, attributes FROM fraud.transactions WHERE transaction_id LIKE 'shape%' ORDER BY 1;
SELECT transaction_id, convert_from(payload, 'UTF8'), reason FROM fraud.ingest_errors WHERE transaction_id LIKE 'shape%' ORDER BY 1, 3;
SELECT * FROM fraud.verify_parity('payments');
-- A field of its own.
SELECT fraud.add_payment_field('device', 'text', path => '$.device.id', index => true);
SELECT fraud.add_payment_field('risk', 'float8');
SELECT fraud.add_payment_field('ip', 'inet');
SELECT fraud.add_payment_field('amount', 'text');
SELECT fraud.add_payment_field('x', 'json');
SELECT fraud.add_payment_field('x', 'text', path => '$.[');
-- Names that begin alike have indexes of their own.
BEGIN;
SELECT fraud.add_payment_field(f, 'text', index => true) FROM unnest('{customer_device_operating_system_version_major,customer_device_operating_system_version_minor}'::text[]) f;
SELECT fraud.drop_payment_field('customer_device_operating_system_version_minor');
SELECT count(*) > 0 AND count(*) = (SELECT count(*) FROM pg_inherits WHERE inhparent = 'fraud.transactions'::regclass) AS is_indexed
FROM pg_indexes WHERE schemaname = 'fraud' AND indexdef LIKE '%version_major%';
ROLLBACK;
-- A user's own view over the payments is not dropped with it.
CREATE VIEW devices AS SELECT transaction_id, device FROM fraud.payment_events;
SELECT fraud.drop_payment_field('risk');
DROP VIEW devices;
SELECT fraud.add_payment_field('x', 'text', path => '$x');
SELECT fraud.add_payment_field('x', 'text', path => '$.a ? (@ > $x)');
SELECT fraud.add_payment_field('x', 'text', path => '$."4111 1111 1111 1111"');
-- A path whose time grows faster than the payment would hold up whoever stores or reads one.
SELECT fraud.add_payment_field('x', 'text', path => '$.** ? (exists($.** ? (exists($.** ? (@ == -1)))))', index => true);
SELECT fraud.add_payment_field('x', 'text', path => '$.a ? (@ like_regex "^(.*)(.*)\\2\\1$")');
CREATE FUNCTION path_fault(path jsonpath) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM fraud._check_field_path(path);
    RETURN 'ok';
EXCEPTION WHEN invalid_parameter_value THEN
    RETURN 'refused';
END
$$;
SELECT path_fault(p::jsonpath) AS fault, array_agg(p) AS paths
FROM unnest(ARRAY['$.a.b[0]', '$.**', '$.**.id', '$.** ? (@.type == "x").id', '$.items[*] ? (@.id == $.chosen).name', '$.a[*].b[*].c', '$.** ? (exists(@.** ? (@ == 1)))',
    '$.a like_regex "^\\d+$"', '-$.a', '$.a[*].size() + 1', '$.a ? (@.b[*] == @.c)', 'strict $.a[*] ? (@.b == 2)', '$.a[last]', '$.a.datetime()', '$.**{2 to 3} ? (@ starts with "x")',
    '$.a ? (@ > 1 && !(exists($.c[*])))', '$.k.keyvalue().value',
    '$.** ? (exists($.** ? (@ == 1)))', '$.a[*] == $.b[*]', '$.a[*] ? (@ == $.b[*])', '$.**.**.**.**', '$.** ? (@.x[*] == @.y[*])', '($.a[*] ? (@ > ($.b[*] + 1)))',
    '$.x ? (exists($.a[*] ? (exists($.b[*]))))', '$.a[$.b[*]]', '$.a[*] ? (!(@ > 1) || (-$.b[*] > 2) is unknown)']) p
GROUP BY 1 ORDER BY 1;
DROP FUNCTION path_fault(jsonpath);
-- What Postgres throws for a value is null, too: no feed takes the column from its readers.
BEGIN;
SELECT fraud.add_payment_field('x', 'text', path => '$.at.datetime() ? (@ < "2024-01-01T00:00:00+01:00".datetime())');
SELECT fraud._attribute_text('{"at": "2023-01-01T00:00:00"}', path) FROM fraud.payment_fields WHERE name = 'x';
ROLLBACK;
SELECT fraud.add_feature('payments', 'risk', 'risk');
SELECT fraud.add_feature('payments', 'device_code', 'device', categories => '{d-1,d-2}');
SELECT fraud.add_window_feature('payments', 'device_count', 'count', NULL, 'device', '30 days');
SELECT fraud.add_window_feature('payments', 'device_cards', 'distinct', 'card', 'device', '30 days');
SELECT fraud.add_window_feature('payments', 'ip_sum', 'sum', 'base_amount', 'ip', '30 days');
SELECT status, count(*) FROM generate_series(1, 40) i, fraud.ingest(jsonb_build_object(
  'trans_num', 'shapef' || i, 'cc_num', 4444000011112230 + i % 5, 'amt', i, 'merchant', 'M' || i % 3, 'current_time', 1735690000000 + i * 3600000,
  'currency', (ARRAY['USD', 'JPY'])[1 + i % 2], 'device', jsonb_build_object('id', CASE WHEN i % 7 > 0 THEN 'd-' || i % 4 END), 'ip', '10.0.0.' || i % 3,
  'risk', CASE i % 6 WHEN 0 THEN to_jsonb('high'::text) WHEN 1 THEN to_jsonb((i / 7.0)::text) ELSE to_jsonb(i / 7.0) END)) GROUP BY 1;
SELECT transaction_id, device, risk, ip FROM fraud.payment_events WHERE transaction_id LIKE 'shapef%' ORDER BY occurred_at LIMIT 8;
SELECT * FROM fraud.payment_field_values('risk', '2025-01-01', '2025-01-03');
SELECT count(*) AS differing FROM fraud.verify_parity('payments');
CREATE TABLE shape_history AS SELECT 'shapeh' || i AS trans_num, 4444000011112230 + i % 5 AS cc_num, i + 0.5 AS amt, 'M' AS merchant,
  timestamptz '2025-02-01' + i * interval '1 hour' AS trans_date_trans_time, '{"id": "d-1"}'::jsonb AS device, i / 3.0 AS risk, 0 AS is_fraud, 'EUR' AS currency FROM generate_series(1, 20) i;
SELECT fraud.load_history('shape_history');
SELECT fraud.set_currency_rate('EUR', 1.1, '2025-01-01');
SELECT outcome, count(*) FROM fraud.retry_dead_letters(reason => 'no rate of EUR%') GROUP BY 1;
DO $$
DECLARE
    until timestamptz := clock_timestamp() + interval '60 s';
BEGIN
    WHILE (SELECT count(*) FROM fraud.transactions WHERE transaction_id LIKE 'shapeh%') < 20 AND clock_timestamp() < until LOOP
        PERFORM pg_sleep(0.05);
        COMMIT;
    END LOOP;
END
$$;
SELECT fraud.load_history('shape_history');
SELECT transaction_id, amount, currency, base_amount, attributes, device, risk FROM fraud.payment_events WHERE transaction_id IN ('shapeh1', 'shapeh2') ORDER BY 1;
SELECT count(*) AS differing FROM fraud.verify_parity('payments');
SELECT definition, present FROM fraud.feature_indexes('payments');
SET enable_seqscan = off;
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT FROM fraud.payment_events e WHERE e.device = 'd-1' AND e.occurred_at >= '2025-01-01' AND e.occurred_at < '2025-01-02';
RESET enable_seqscan;
RESET enable_bitmapscan;
SELECT fraud.drop_payment_field('device');
SELECT fraud.drop_feature('payments', f) FROM unnest('{risk,device_code,device_count,device_cards,ip_sum}'::text[]) f;
SELECT fraud.drop_payment_field(f) FROM unnest('{device,risk,ip}'::text[]) f;
SELECT column_name FROM information_schema.columns WHERE table_schema = 'fraud' AND table_name = 'payment_events' ORDER BY ordinal_position DESC LIMIT 2;
SELECT fraud.drop_payment_field('device');
-- Who pays need not be a card.
SELECT transaction_id, status, error FROM fraud.ingest('[
  {"trans_num": "who1", "customer": "w-1", "customer_kind": "wallet", "amt": 1, "merchant": "M", "current_time": 1735689600000},
  {"trans_num": "who2", "customer_kind": "wallet", "customer": "w-1", "amt": 2, "merchant": "M", "current_time": 1735689700000},
  {"trans_num": "who3", "customer": "w-1", "customer_kind": "token", "amt": 3, "merchant": "M", "current_time": 1735689800000},
  {"trans_num": "who4", "customer": "gb82 WEST 1234 5698 7654 32", "customer_kind": "iban", "amt": 4, "merchant": "M", "current_time": 1735689800000, "from": "account GB82WEST12345698765432"},
  {"trans_num": "who5", "customer": "GB82WEST12345698765432", "customer_kind": "iban", "amt": 5, "merchant": "M", "current_time": 1735689900000},
  {"trans_num": "who6", "customer": "GB83WEST12345698765432", "customer_kind": "iban", "amt": 5, "merchant": "M", "current_time": 1735689900000},
  {"trans_num": "who7", "customer": "4444000011112222", "customer_kind": "card", "amt": 5, "merchant": "M", "current_time": 1735689900000},
  {"trans_num": "who8", "customer": "4111111111111111", "customer_kind": "token", "amt": 5, "merchant": "M", "current_time": 1735689900000},
  {"trans_num": "who9", "customer": "w-1", "amt": 5, "merchant": "M", "current_time": 1735689900000},
  {"trans_num": "who10", "customer": "w-1", "customer_kind": "Wal let", "amt": 5, "merchant": "M", "current_time": 1735689900000},
  {"trans_num": "who11", "customer": "w-2", "customer_kind": "wallet", "cc_num": 4444000011112222, "amt": 5, "merchant": "M", "current_time": 1735689900000},
  {"trans_num": "who12", "customer": "w-2", "customer_kind": "wallet", "card": "11111111-1111-1111-1111-111111111111", "amt": 5, "merchant": "M", "current_time": 1735689900000}]'::jsonb);
SELECT t.transaction_id, dense_rank() OVER (ORDER BY c.first_payment_at, c.customer_kind) AS customer, c.customer_kind, c.customer_id, c.last_four, t.attributes,
       t.card = (SELECT s.card FROM fraud.transactions s WHERE s.transaction_id = 'shape1') AS same_as_card
FROM fraud.transactions t JOIN fraud.customers c USING (card) WHERE t.transaction_id LIKE 'who%' ORDER BY t.occurred_at, 1;
SELECT transaction_id, convert_from(payload, 'UTF8') FROM fraud.ingest_errors WHERE transaction_id LIKE 'who%' ORDER BY 1;
SELECT score IS NOT NULL AS scored, (features ->> 'count_30d')::float AS earlier FROM fraud.assess('{"customer": "w-1", "customer_kind": "wallet", "amt": 1, "merchant": "M", "current_time": 1735689900000, "trans_num": "x"}');
SELECT score IS NOT NULL AS scored FROM fraud.assess('{"customer": "w-1", "customer_kind": "wallet", "reference": "who1", "kind": "refund", "amt": 1, "current_time": 1735689900000, "trans_num": "x"}');
SELECT * FROM fraud.erase_customer((SELECT card FROM fraud.transactions WHERE transaction_id = 'who1'), 'asked for', true) WHERE relation = 'fraud.customers';
SELECT customer_kind, customer_id FROM fraud.customers WHERE card = (SELECT card FROM fraud.transactions WHERE transaction_id = 'who1');
-- What follows a payment.
SELECT transaction_id, status, score IS NOT NULL AS scored, error FROM fraud.ingest('[
  {"trans_num": "k1", "kind": "authorisation", "cc_num": 4444000011112222, "amt": 100, "merchant": "M", "current_time": 1735700000000},
  {"trans_num": "k2", "kind": "capture", "reference": "k1", "current_time": 1735700100000},
  {"trans_num": "k3", "kind": "refund", "reference": "k1", "amt": -30.5, "current_time": 1735700200000, "ticket": 7},
  {"trans_num": "k4", "kind": "refund", "reference": "nowhere", "amt": 3, "current_time": 1735700200000},
  {"trans_num": "k5", "kind": "chargeback", "reference": "shapef1", "current_time": 1735900000000},
  {"trans_num": "k6", "kind": "refund", "reference": "k1", "cc_num": 4929000000068817, "amt": 3, "current_time": 1735700200000},
  {"trans_num": "k7", "kind": "refund", "amt": 3, "cc_num": 4444000011112222, "current_time": 1735700200000},
  {"trans_num": "k8", "kind": "payback", "amt": 3, "cc_num": 4444000011112222, "current_time": 1735700200000},
  {"trans_num": "k9", "kind": "capture", "reference": "k1", "amt": -3, "current_time": 1735700200000},
  {"trans_num": "k10", "kind": "refund", "reference": "k1", "amt": 650, "currency": "JPY", "current_time": 1735700300000},
  {"trans_num": "k11", "amt": -3, "merchant": "M", "cc_num": 4444000011112222, "current_time": 1735700200000}]'::jsonb);
SELECT transaction_id, status FROM fraud.ingest('{"trans_num": "k3", "kind": "refund", "reference": "k1", "amt": -30.5, "current_time": 1735700200000}'::jsonb);
SELECT transaction_id, kind, reference, amount, currency, base_amount, source, attributes FROM fraud.payment_followups ORDER BY occurred_at, transaction_id;
-- Without a currency it is of the payment's; with another amount it is no repetition, in one body either.
BEGIN;
SELECT fraud.set_currency_rate('BHD', 2.5, '2024-01-01 00:00+00') IS NOT NULL AS set;
SELECT transaction_id, status, error FROM fraud.ingest('[
  {"trans_num": "y1", "customer": "w-1", "customer_kind": "wallet", "amt": 6500, "currency": "JPY", "merchant": "M", "current_time": 1735700000000},
  {"trans_num": "y2", "kind": "refund", "reference": "y1", "amt": 650, "current_time": 1735700100000},
  {"trans_num": "y3", "kind": "refund", "reference": "y1", "amt_minor": 65, "current_time": 1735700100000},
  {"trans_num": "y4", "kind": "refund", "reference": "y1", "amt": 6.5, "current_time": 1735700100000},
  {"trans_num": "y5", "customer": "w-1", "customer_kind": "wallet", "amt": 8.125, "currency": "BHD", "merchant": "M", "current_time": 1735700000000},
  {"trans_num": "y6", "kind": "refund", "reference": "y5", "amt": 1.125, "current_time": 1735700100000},
  {"trans_num": "y7", "kind": "refund", "reference": "y5", "amt_minor": 1125, "current_time": 1735700100000},
  {"trans_num": "y6", "kind": "refund", "reference": "y5", "amt": 1.12, "current_time": 1735700100000},
  {"trans_num": "y6", "kind": "refund", "reference": "y5", "amt": 1.125, "current_time": 1735700100000}]'::text);
SELECT transaction_id, status, error FROM fraud.ingest('[
  {"trans_num": "y2", "kind": "refund", "reference": "y1", "amt": 651, "current_time": 1735700100000},
  {"trans_num": "y2", "kind": "refund", "reference": "y1", "amt": 650, "current_time": 1735700100000},
  {"trans_num": "y2", "kind": "refund", "reference": "y1", "current_time": 1735700100000},
  {"trans_num": "y2", "kind": "refund", "reference": "y1", "amt": 650, "currency": "USD", "current_time": 1735700100000}]'::text);
SELECT transaction_id, amount, currency, base_amount FROM fraud.payment_followups WHERE transaction_id ~ '^y' ORDER BY 1;
ROLLBACK;
SELECT transaction_id, base_amount, captured, refunded, reversed, charged_back, remaining, followups FROM fraud.payment_balances ORDER BY 1;
-- Whose the payment is need not be said only where its id is one customer's: in what came with it, and in what is stored.
BEGIN;
SELECT transaction_id, status, error FROM fraud.ingest('[
  {"trans_num": "m1", "customer": "w-1", "customer_kind": "wallet", "amt": 5, "merchant": "M", "current_time": 1735700200000},
  {"trans_num": "m1", "customer": "w-2", "customer_kind": "wallet", "amt": 5, "merchant": "M", "current_time": 1735700200000},
  {"trans_num": "m2", "customer": "w-1", "customer_kind": "wallet", "amt": 5, "merchant": "M", "current_time": 1735700200000},
  {"trans_num": "m3", "kind": "chargeback", "reference": "m1", "current_time": 1735700300000},
  {"trans_num": "m4", "kind": "chargeback", "reference": "m2", "current_time": 1735700300000}]'::text);
SELECT transaction_id, status, error FROM fraud.ingest('[
  {"trans_num": "m2", "customer": "w-1", "customer_kind": "wallet", "amt": 5, "merchant": "M", "current_time": 1735700200000},
  {"trans_num": "m5", "kind": "refund", "reference": "m2", "amt": 1, "current_time": 1735700300000}]'::text);
SELECT transaction_id, status, error FROM fraud.ingest('[
  {"trans_num": "m2", "customer": "w-2", "customer_kind": "wallet", "amt": 5, "merchant": "M", "current_time": 1735700200000},
  {"trans_num": "m6", "kind": "refund", "reference": "m2", "amt": 1, "current_time": 1735700300000}]'::text);
ROLLBACK;
SELECT transaction_id, is_fraud, source, known_at = recorded_at AS now FROM fraud.labels WHERE transaction_id = 'shapef1';
SELECT count(*) FROM fraud.transactions WHERE transaction_id ~ '^k\d+$';
CREATE TABLE shape_kinds AS SELECT * FROM (VALUES
  ('kh1', NULL, NULL, 'acct-77', 'account', 9.99, 'Kinds', timestamptz '2025-03-01 10:00+00', false),
  ('kh2', 'chargeback', 'kh1', 'acct-77', 'account', NULL, NULL, '2025-03-09 10:00+00', false)) v(trans_num, kind, reference, customer, customer_kind, amt, merchant, trans_date_trans_time, is_fraud);
SELECT fraud.load_history('shape_kinds');
SELECT f.transaction_id, f.amount, l.source, l.known_at AT TIME ZONE 'UTC' AS known_at FROM fraud.payment_followups f JOIN fraud.labels l ON l.transaction_id = f.reference AND l.card = f.card WHERE f.reference = 'kh1';
SELECT count(*) AS differing FROM fraud.verify_parity('payments');
-- An erasure takes attributes out, and messages no longer have them.
SELECT fraud.promote('payments', 1, review_at => 0, block_at => 0.9, reason => 'alert on all');
SELECT status FROM fraud.ingest('{"trans_num": "er-shape", "customer": "zoe@shape.example", "customer_kind": "email", "amt": 5, "merchant": "M", "current_time": 1735700000000, "mail": "zoe@shape.example", "ticket": 9}'::jsonb);
SELECT o.payload -> 'attributes' AS attributes, o.payload -> 'currency' AS currency, o.payload -> 'base_amount' AS base_amount FROM fraud.outbox o WHERE o.payload ->> 'transaction_id' = 'er-shape';
SELECT relation, rows FROM fraud.erase_customer((SELECT card FROM fraud.transactions WHERE transaction_id = 'er-shape'), 'asked for', true);
SELECT count(*) FROM fraud.customer_data((SELECT card FROM fraud.transactions WHERE transaction_id = 'er-shape')) d WHERE d.data::text ~ 'zoe@|ticket';
SELECT fraud.promote('payments', 1, review_at => 0.053, block_at => 0.506, reason => 'as it came');
-- Limits, and what is in the way.
SET fraud_detect.max_attributes_size = 1;
SELECT status, error FROM fraud.ingest(jsonb_build_object('trans_num', 'big', 'cc_num', 4444000011112222, 'amt', 5, 'merchant', 'M', 'current_time', 1735700000000, 'blob', repeat('x', 2000)));
RESET fraud_detect.max_attributes_size;
SELECT outcome FROM fraud.retry_dead_letters(reason => '%max_attributes_size%');
SET fraud_detect.base_currency = 'usd';
SET fraud_detect.base_currency = 'JPY';
SELECT fraud.base_currency(), fraud._base_units(), fraud._base_unit();
SELECT status, error FROM fraud.ingest('{"trans_num": "yen", "cc_num": 4444000011112222, "amt": 5.5, "merchant": "M", "current_time": 1735700000000}'::jsonb);
RESET fraud_detect.base_currency;
SELECT fraud.set_currency_rate('USD', 2), fraud.set_currency_rate('EUR', 0);
SELECT fraud.set_currency_rate('EUR', 0);
SELECT fraud.set_currency_rate('ABC', 1);
DELETE FROM fraud.currency_rates;
-- Corrected by hand.
UPDATE fraud.transactions SET amount = 3000 WHERE transaction_id = 'shape2';
SELECT amount, base_amount FROM fraud.transactions WHERE transaction_id = 'shape2';
DROP TABLE shape_history, shape_kinds;
-- Whatever a payment brings, an index has room for it.
SELECT fraud.add_payment_field('long_agent', 'text', '$.agent', index => true), fraud.add_payment_field('long_number', 'numeric', '$.n', index => true);
SELECT fraud.add_window_feature('payments', 'of_agent', 'count', NULL, 'long_agent', '1 day');
SELECT transaction_id, status, error FROM fraud.ingest((SELECT jsonb_agg(jsonb_build_object('trans_num', format('long-%s', g % 2), 'cc_num', 4444000011112222 + g / 2, 'amt', 5, 'merchant', 'M',
    'current_time', 1735700000000, 'agent', CASE WHEN g < 2 THEN (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 300) i) ELSE 'short' END,
    'n', ('1' || repeat('7', 3000))::numeric)) FROM generate_series(0, 5) g));
-- Two customers with one id, at one time, with one agent: neither counts for the other.
SELECT transaction_id, long_agent, long_number IS NULL AS too_long, (SELECT t.features[array_position(fraud.payment_features(), 'of_agent')] FROM fraud.transactions t WHERE (t.card, t.transaction_id) = (e.card, e.transaction_id)) AS of_agent
FROM fraud.payment_events e WHERE transaction_id LIKE 'long-%' ORDER BY transaction_id, long_agent, of_agent;
SELECT * FROM fraud.verify_parity('payments', 1000);
SELECT fraud.drop_feature('payments', 'of_agent');
SELECT fraud.drop_payment_field('long_agent'), fraud.drop_payment_field('long_number');
