\set SHOW_CONTEXT never
-- Payments are written and read by the access methods of tables where nothing but that would happen,
-- and by SQL elsewhere. Both give the same rows.
SELECT fraud.add_payment_field('da_device', 'text', '$.device.id', index => true);
SELECT fraud.set_currency_rate('JPY', 0.007, '2019-01-01');

-- What is there before: two customers, in two months, one with a label.
SELECT status FROM fraud.ingest('[
 {"cc_num": 4000000000990001, "trans_num": "da-1", "amt": 10, "merchant": "DA one", "category": "misc_net", "lat": 40, "long": -75, "merch_lat": 41, "merch_long": -74, "first": "Ann", "state": "NY", "dob": "1980-02-29", "trans_date_trans_time": "2020-01-30 10:00:00", "is_fraud": 1},
 {"cc_num": 4000000000990001, "trans_num": "da-2", "amt": 20.5, "merchant": "DA two", "category": "home", "trans_date_trans_time": "2020-02-01 00:00:00", "device": {"id": "d1"}},
 {"customer": "DE89370400440532013000", "customer_kind": "iban", "trans_num": "da-3", "amt": 30, "merchant": "DA one", "trans_date_trans_time": "2020-02-02 10:00:00"}]');

-- Everything that a payment writes, as one value; not when, and not under which number.
CREATE FUNCTION all_rows() RETURNS text LANGUAGE sql AS $$
    SELECT md5(string_agg(r, E'\n' ORDER BY r)) || ' ' || count(*) FROM (
        SELECT 't' || (to_jsonb(t) - '{received_at,label_known_at}'::text[])::text || (SELECT string_agg(encode(float4send(f), 'hex'), '') FROM unnest(t.features) f)
        FROM fraud.transactions t WHERE t.transaction_id LIKE 'da-%'
        UNION ALL SELECT 'k' || to_jsonb(k)::text FROM fraud.payment_keys k WHERE k.transaction_id LIKE 'da-%'
        UNION ALL SELECT 'c' || (to_jsonb(c) - 'change_id')::text FROM fraud.changes c WHERE c.transaction_id LIKE 'da-%' AND c.sign = 1
        UNION ALL SELECT 'h' || to_jsonb(h)::text FROM fraud.customers h
        WHERE h.card IN (SELECT t.card FROM fraud.transactions t WHERE t.transaction_id LIKE 'da-%')
        UNION ALL SELECT 'm' || to_jsonb(m)::text FROM fraud.merchants m WHERE m.merchant LIKE 'DA %'
        UNION ALL SELECT 'a' || (to_jsonb(a) - '{alert_id,case_id,raised_at}'::text[])::text FROM fraud.alerts a WHERE a.transaction_id LIKE 'da-%'
        UNION ALL SELECT 'l' || (to_jsonb(l) - '{label_id,recorded_at,known_at}'::text[])::text FROM fraud.labels l WHERE l.transaction_id LIKE 'da-%') x(r)
$$;
CREATE TABLE bodies (n int PRIMARY KEY, what text, body text);
INSERT INTO bodies VALUES
 (1, 'one, of a known customer', '{"cc_num": 4000000000990001, "trans_num": "da-11", "amt": 12.34, "merchant": "DA one", "category": "misc_net", "lat": 40, "long": -75, "merch_lat": 40.5, "merch_long": -74.5, "last": "Oak", "trans_date_trans_time": "2020-02-03 10:00:00"}'),
 (2, 'a late one', '{"cc_num": 4000000000990001, "trans_num": "da-12", "amt": 1, "merchant": "DA two", "first": "Bob", "city": "Rome", "trans_date_trans_time": "2020-01-31 23:59:59.999"}'),
 (3, 'of the time of another', '{"cc_num": 4000000000990001, "trans_num": "da-0", "amt": 1, "merchant": "DA two", "trans_date_trans_time": "2020-02-01 00:00:00"}'),
 (4, 'with all sorts of fields', '{"cc_num": 4000000000990001, "trans_num": "da-13", "amt": 999999.99, "merchant": "DA Ünï ''q''", "category": "none such", "currency": "JPY", "amt": 15000, "trans_date_trans_time": "2020-02-05 10:00:00", "device": {"id": "d1"}, "deep": [1, {"a": null}], "city_pop": 12345678901}'),
 (5, 'with a new merchant', '{"cc_num": 4000000000990001, "trans_num": "da-14", "amt": 2, "merchant": "DA three", "trans_date_trans_time": "2020-02-06 10:00:00"}'),
 (6, 'of a new customer', '{"cc_num": 4000000000990006, "trans_num": "da-15", "amt": 2, "merchant": "DA one", "trans_date_trans_time": "2020-02-06 10:00:00"}'),
 (7, 'many: of known and new customers, repeated, rejected, of several months', '[
  {"cc_num": 4000000000990001, "trans_num": "da-1", "amt": 10, "merchant": "DA one", "trans_date_trans_time": "2020-02-06 11:00:00"},
  {"cc_num": 4000000000990001, "trans_num": "da-2", "amt": 99, "merchant": "DA two", "trans_date_trans_time": "2020-02-06 11:00:00"},
  {"cc_num": 4000000000990001, "trans_num": "da-21", "amt": 5, "merchant": "DA one", "category": "home", "trans_date_trans_time": "2020-02-07 11:00:00"},
  {"cc_num": 4000000000990001, "trans_num": "da-22", "amt": 6, "merchant": "DA one", "category": "home", "trans_date_trans_time": "2020-02-07 10:00:00", "is_fraud": 1},
  {"cc_num": 4000000000990001, "trans_num": "da-22", "amt": 6, "merchant": "DA one", "category": "home", "trans_date_trans_time": "2020-02-07 10:00:00"},
  {"customer": "DE89370400440532013000", "customer_kind": "iban", "trans_num": "da-21", "amt": 7, "merchant": "DA two", "trans_date_trans_time": "2020-03-01 00:00:00"},
  {"cc_num": 4000000000990007, "trans_num": "da-23", "amt": 7, "merchant": "DA two", "trans_date_trans_time": "2020-03-01 00:00:00", "device": {"id": "d1"}},
  {"cc_num": 4000000000990008, "trans_num": "da-24", "amt": -1, "merchant": "DA two", "trans_date_trans_time": "2020-03-01 00:00:00"}]'),
 (8, 'many of known customers', '[
  {"cc_num": 4000000000990001, "trans_num": "da-31", "amt": 5, "merchant": "DA one", "trans_date_trans_time": "2020-02-07 11:00:00"},
  {"cc_num": 4000000000990001, "trans_num": "da-32", "amt": 6, "merchant": "DA one", "trans_date_trans_time": "2020-02-07 11:00:00"},
  {"customer": "DE89370400440532013000", "customer_kind": "iban", "trans_num": "da-31", "amt": 7, "merchant": "DA one", "trans_date_trans_time": "2020-02-07 11:00:00"}]');
CREATE TABLE answers (n int, direct boolean, outcome text, rows text);
CREATE PROCEDURE both_ways(of_body int) LANGUAGE plpgsql AS $$
DECLARE
    said text;
    found text;
    direct boolean;
BEGIN
    FOREACH direct IN ARRAY '{true,false}'::boolean[] LOOP
        PERFORM set_config('fraud_detect.direct_access', direct::text, false);
        SELECT string_agg(format('%s %s %s %s %s', i.transaction_id, i.status, i.score, i.decision, i.error), ', ') INTO said
        FROM bodies b, fraud.ingest(b.body) i WHERE b.n = of_body;
        found := all_rows();
        ROLLBACK;
        INSERT INTO answers VALUES (of_body, direct, said, found);
        COMMIT;
    END LOOP;
    RESET fraud_detect.direct_access;
END
$$;
CALL both_ways(1);
CALL both_ways(2);
CALL both_ways(3);
CALL both_ways(4);
CALL both_ways(5);
CALL both_ways(6);
CALL both_ways(7);
CALL both_ways(8);
SELECT b.n, b.what, x.outcome = y.outcome AS same_answer, x.rows = y.rows AS same_rows, split_part(x.rows, ' ', 2)::int > 10 AS rows
FROM bodies b JOIN answers x ON x.n = b.n AND x.direct JOIN answers y ON y.n = b.n AND NOT y.direct ORDER BY b.n;

-- The features are those of a pass over what is stored, and of a query's plan.
SELECT count(*) FROM bodies b, fraud.ingest(b.body) i WHERE i.status = 'stored' AND b.n IN (1, 2, 3, 4, 7, 8);
SELECT count(*) FROM fraud.verify_parity('payments', 2000);
SELECT a.features = b.features AS same FROM
    (SELECT features FROM fraud.assess('{"cc_num": 4000000000990001, "trans_num": "x", "amt": 5, "merchant": "DA one", "trans_date_trans_time": "2020-02-08 11:00:00"}', with_reasons => false)) a,
    (SELECT set_config('fraud_detect.direct_access', 'off', false)) off,
    (SELECT features FROM fraud.assess('{"cc_num": 4000000000990001, "trans_num": "x", "amt": 5, "merchant": "DA one", "trans_date_trans_time": "2020-02-08 11:00:00"}', with_reasons => false)) b;
RESET fraud_detect.direct_access;

-- What somebody has put at a table is done: triggers of rows and of statements, on the table, a month, or the log.
CREATE TABLE fired (n bigint GENERATED ALWAYS AS IDENTITY, what text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.fired (what) VALUES (TG_ARGV[0]); RETURN coalesce(NEW, OLD); END $$;
CREATE TRIGGER noted AFTER INSERT ON fraud.transactions FOR EACH ROW EXECUTE FUNCTION note('row of a payment');
CREATE TRIGGER noted_all BEFORE INSERT ON fraud.transactions FOR EACH STATEMENT EXECUTE FUNCTION note('statement of payments');
CREATE TRIGGER noted BEFORE INSERT ON fraud.payment_keys FOR EACH ROW EXECUTE FUNCTION note('row of a key');
CREATE TRIGGER noted AFTER UPDATE ON fraud.customers FOR EACH ROW EXECUTE FUNCTION note('row of a customer');
CREATE TRIGGER noted AFTER INSERT ON fraud.changes FOR EACH ROW EXECUTE FUNCTION note('row of a change');
SELECT status FROM fraud.ingest('{"cc_num": 4000000000990001, "trans_num": "da-41", "amt": 5, "merchant": "DA one", "trans_date_trans_time": "2020-02-09 11:00:00"}');
SELECT what, count(*) FROM fired GROUP BY what ORDER BY what;
DROP TRIGGER noted ON fraud.transactions;
DROP TRIGGER noted_all ON fraud.transactions;
DROP TRIGGER noted ON fraud.payment_keys;
DROP TRIGGER noted ON fraud.customers;
DROP TRIGGER noted ON fraud.changes;

-- Columns, constraints and policies of others.
ALTER TABLE fraud.transactions ADD COLUMN da_note text DEFAULT 'by default';
ALTER TABLE fraud.customers ADD COLUMN da_flag int;
UPDATE fraud.customers c SET da_flag = 7 WHERE c.card = (SELECT t.card FROM fraud.transactions t WHERE t.transaction_id = 'da-1');
SELECT status FROM fraud.ingest('{"cc_num": 4000000000990001, "trans_num": "da-42", "amt": 5, "merchant": "DA one", "zip": "01234", "trans_date_trans_time": "2020-02-09 12:00:00"}');
SELECT t.da_note, c.da_flag, c.zip FROM fraud.transactions t JOIN fraud.customers c USING (card) WHERE t.transaction_id = 'da-42';
ALTER TABLE fraud.transactions DROP COLUMN da_note;
ALTER TABLE fraud.customers DROP COLUMN da_flag;
\set VERBOSITY terse
ALTER TABLE fraud.transactions ADD CONSTRAINT da_check CHECK (amount OPERATOR(pg_catalog.<) 1000::numeric OR merchant OPERATOR(pg_catalog.!~~) 'DA %') NOT VALID;
SELECT status FROM fraud.ingest('{"cc_num": 4000000000990001, "trans_num": "da-43", "amt": 5000, "merchant": "DA one", "trans_date_trans_time": "2020-02-09 13:00:00"}');
\set VERBOSITY default
ALTER TABLE fraud.transactions DROP CONSTRAINT da_check;
ALTER TABLE fraud.transactions ENABLE ROW LEVEL SECURITY;
SELECT status FROM fraud.ingest('{"cc_num": 4000000000990001, "trans_num": "da-44", "amt": 5, "merchant": "DA one", "trans_date_trans_time": "2020-02-09 14:00:00"}');
ALTER TABLE fraud.transactions DISABLE ROW LEVEL SECURITY;

-- Other levels of isolation, and a transaction that may only read.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT status FROM fraud.ingest('{"cc_num": 4000000000990001, "trans_num": "da-45", "amt": 5, "merchant": "DA one", "trans_date_trans_time": "2020-02-09 15:00:00"}');
SELECT status FROM fraud.ingest('{"cc_num": 4000000000990001, "trans_num": "da-46", "amt": 5, "merchant": "DA one", "trans_date_trans_time": "2020-02-09 16:00:00"}');
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT status FROM fraud.ingest('{"cc_num": 4000000000990001, "trans_num": "da-47", "amt": 5, "merchant": "DA one", "trans_date_trans_time": "2020-02-09 17:00:00"}');
COMMIT;
BEGIN READ ONLY;
SELECT status FROM fraud.ingest('{"cc_num": 4000000000990001, "trans_num": "da-48", "amt": 5, "merchant": "DA one", "trans_date_trans_time": "2020-02-09 18:00:00"}');
ROLLBACK;
SELECT count(*) FROM fraud.verify_parity('payments', 2000);

-- A month without the index that the windows read by, and one that was changed in between.
SELECT status FROM fraud.ingest('{"cc_num": 4000000000990001, "trans_num": "da-51", "amt": 5, "merchant": "DA one", "trans_date_trans_time": "2020-02-10 11:00:00"}');
DROP INDEX fraud.transactions_2020_01_merchant_occurred_at_transaction_id_ba_idx;
SELECT status FROM fraud.ingest('{"cc_num": 4000000000990001, "trans_num": "da-52", "amt": 5, "merchant": "DA one", "trans_date_trans_time": "2020-02-10 12:00:00"}');
CREATE INDEX transactions_2020_01_merchant_occurred_at_transaction_id_ba_idx ON fraud.transactions_2020_01 (merchant, occurred_at, transaction_id);
SELECT status FROM fraud.ingest('{"cc_num": 4000000000990001, "trans_num": "da-53", "amt": 5, "merchant": "DA one", "trans_date_trans_time": "2020-02-10 13:00:00"}');
SELECT count(*) FROM fraud.verify_parity('payments', 2000);

-- A month that has another name while the session reads it.
ALTER TABLE fraud.transactions_2020_01 RENAME TO da_renamed;
SELECT status FROM fraud.ingest('{"cc_num": 4000000000990001, "trans_num": "da-61", "amt": 5, "merchant": "DA one", "trans_date_trans_time": "2020-02-11 10:00:00"}');
ALTER TABLE fraud.da_renamed RENAME TO transactions_2020_01;
SELECT status FROM fraud.ingest('{"cc_num": 4000000000990001, "trans_num": "da-62", "amt": 5, "merchant": "DA one", "trans_date_trans_time": "2020-02-11 11:00:00"}');

-- An index whose order is another than the column's.
DROP INDEX fraud.transactions_2020_02_merchant_occurred_at_transaction_id_ba_idx;
CREATE INDEX da_index ON fraud.transactions_2020_02 (merchant, occurred_at, transaction_id COLLATE "en-x-icu");
SELECT status FROM fraud.ingest('[
 {"cc_num": 4000000000990001, "trans_num": "da-a", "amt": 5, "merchant": "DA one", "trans_date_trans_time": "2020-02-12 10:00:00"},
 {"cc_num": 4000000000990001, "trans_num": "da-B", "amt": 5, "merchant": "DA one", "trans_date_trans_time": "2020-02-12 10:00:00"},
 {"cc_num": 4000000000990001, "trans_num": "da-c", "amt": 5, "merchant": "DA one", "trans_date_trans_time": "2020-02-12 10:00:00"}]');
SELECT status FROM fraud.ingest('{"cc_num": 4000000000990001, "trans_num": "da-C", "amt": 5, "merchant": "DA one", "trans_date_trans_time": "2020-02-12 10:00:00"}');
SELECT count(*) FROM fraud.verify_parity('payments', 100000);
DROP INDEX fraud.da_index;
CREATE INDEX transactions_2020_02_merchant_occurred_at_transaction_id_ba_idx ON fraud.transactions_2020_02 (merchant, occurred_at, transaction_id);

-- A trigger of the insertion that finds the customer there; a default that the partitioned table alone has; another CHECK than
-- ours; NOT NULL; a column of another type; keys that are of others or in another order, or are not there.
CREATE FUNCTION da_job() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.job := 'by trigger'; RETURN NEW; END $$;
CREATE TRIGGER da_job BEFORE INSERT ON fraud.customers FOR EACH ROW EXECUTE FUNCTION da_job();
ALTER TABLE fraud.transactions ADD COLUMN da_note text;
ALTER TABLE ONLY fraud.transactions ALTER COLUMN da_note SET DEFAULT 'of the parent';
ALTER TABLE fraud.customers ALTER COLUMN city_population TYPE text;
SELECT status FROM fraud.ingest('{"cc_num": 4000000000990001, "trans_num": "da-71", "amt": 5, "merchant": "DA one", "city_pop": 777, "trans_date_trans_time": "2020-02-13 10:00:00"}');
SELECT t.da_note, c.job, c.city_population FROM fraud.transactions t JOIN fraud.customers c USING (card) WHERE t.transaction_id = 'da-71';
DROP TRIGGER da_job ON fraud.customers;
ALTER TABLE fraud.transactions DROP COLUMN da_note;
ALTER TABLE fraud.customers ALTER COLUMN city_population TYPE bigint USING city_population::bigint;
\set VERBOSITY terse
ALTER TABLE fraud.customers DROP CONSTRAINT customers_last_four_check;
ALTER TABLE fraud.customers ADD CONSTRAINT da_check CHECK (last_payment_at < '2020-02-14') NOT VALID;
SELECT status FROM fraud.ingest('{"cc_num": 4000000000990001, "trans_num": "da-72", "amt": 5, "merchant": "DA one", "trans_date_trans_time": "2020-02-15 10:00:00"}');
ALTER TABLE fraud.customers DROP CONSTRAINT da_check;
ALTER TABLE fraud.customers ADD CONSTRAINT customers_last_four_check CHECK (last_four OPERATOR(pg_catalog.~) '^[0-9]{4}$');
SELECT count(fraud._ensure_partition('2020-04-01'));
ALTER TABLE fraud.transactions_2020_04 ALTER COLUMN category SET NOT NULL;
SELECT status FROM fraud.ingest('{"cc_num": 4000000000990001, "trans_num": "da-73", "amt": 5, "merchant": "DA one", "trans_date_trans_time": "2020-04-15 10:00:00"}');
\set VERBOSITY default
ALTER TABLE fraud.payment_keys DROP CONSTRAINT payment_keys_pkey;
SELECT status FROM fraud.ingest('{"cc_num": 4000000000990001, "trans_num": "da-74", "amt": 5, "merchant": "DA one", "category": "home", "trans_date_trans_time": "2020-03-16 10:00:00"}');
ALTER TABLE fraud.payment_keys ADD PRIMARY KEY (card, transaction_id);
SELECT status FROM fraud.ingest('{"cc_num": 4000000000990001, "trans_num": "da-74", "amt": 5, "merchant": "DA one", "category": "home", "trans_date_trans_time": "2020-03-16 10:00:00"}');
ALTER TABLE fraud.payment_keys DROP CONSTRAINT payment_keys_pkey, ADD PRIMARY KEY (transaction_id, card);

ALTER TABLE fraud.customer_ids DROP CONSTRAINT customer_ids_pkey, ADD CONSTRAINT customer_ids_pkey PRIMARY KEY (hash, key_id, kind);
SELECT status FROM fraud.ingest('{"cc_num": 4000000000990001, "trans_num": "da-75", "amt": 5, "merchant": "DA one", "trans_date_trans_time": "2020-03-17 10:00:00"}');
ALTER TABLE fraud.customer_ids DROP CONSTRAINT customer_ids_pkey, ADD PRIMARY KEY (kind, key_id, hash);
CREATE TABLE da_ids () INHERITS (fraud.customer_ids);
WITH gone AS (DELETE FROM ONLY fraud.customer_ids i USING fraud.transactions t WHERE t.transaction_id = 'da-1' AND i.card = t.card RETURNING i.*)
INSERT INTO da_ids SELECT * FROM gone;
SELECT status FROM fraud.ingest('{"cc_num": 4000000000990001, "trans_num": "da-76", "amt": 5, "merchant": "DA one", "trans_date_trans_time": "2020-03-18 10:00:00"}');
WITH gone AS (DELETE FROM da_ids RETURNING *)
INSERT INTO fraud.customer_ids SELECT * FROM gone ON CONFLICT DO NOTHING;
DROP TABLE da_ids;
SELECT count(DISTINCT t.card) AS customers FROM fraud.transactions t WHERE t.transaction_id IN ('da-1', 'da-74', 'da-75', 'da-76');

-- What is stored already is told without a change, so in a transaction that may only read, too.
BEGIN READ ONLY;
SELECT status FROM fraud.ingest('{"cc_num": 4000000000990001, "trans_num": "da-74", "amt": 5, "merchant": "DA one", "category": "home", "trans_date_trans_time": "2020-03-16 10:00:00"}');
ROLLBACK;

-- A history goes where the partitions are, be they halves of a month, or partitioned themselves.
CREATE TABLE fraud.da_half_1 (LIKE fraud.transactions INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
CREATE TABLE fraud.da_half_2 (LIKE fraud.transactions INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
CREATE TABLE fraud.da_sub (LIKE fraud.transactions INCLUDING DEFAULTS INCLUDING CONSTRAINTS) PARTITION BY HASH (transaction_id);
CREATE TABLE fraud.da_sub_1 PARTITION OF fraud.da_sub FOR VALUES WITH (MODULUS 1, REMAINDER 0);
ALTER TABLE fraud.transactions ATTACH PARTITION fraud.da_half_1 FOR VALUES FROM ('2015-03-01') TO ('2015-03-15');
ALTER TABLE fraud.transactions ATTACH PARTITION fraud.da_half_2 FOR VALUES FROM ('2015-03-15') TO ('2015-04-01');
CREATE TABLE da_history AS
    SELECT 4000000000990100 + n % 3 AS cc_num, 'da-h' || n AS trans_num, 5.0 AS amt, 'DA one' AS merchant, '2015-03-01 10:00:00'::timestamp + n * interval '1 day' AS trans_date_trans_time
    FROM generate_series(0, 30) n;
SELECT fraud.load_history('da_history');
SELECT t.tableoid::regclass, count(*), max(t.occurred_at) FROM fraud.transactions t WHERE t.transaction_id LIKE 'da-h%' GROUP BY 1 ORDER BY 1;
ALTER TABLE fraud.transactions ATTACH PARTITION fraud.da_sub FOR VALUES FROM ('2015-04-01') TO ('2015-05-01');
UPDATE da_history SET trans_num = 'da-s' || trans_num, trans_date_trans_time = trans_date_trans_time + interval '20 days';
SELECT fraud.load_history('da_history');
SELECT t.tableoid::regclass, count(*), max(t.occurred_at) FROM fraud.transactions t WHERE t.transaction_id LIKE 'da-s%' GROUP BY 1 ORDER BY 1;
SELECT status FROM fraud.ingest('{"cc_num": 4000000000990100, "trans_num": "da-75", "amt": 5, "merchant": "DA one", "trans_date_trans_time": "2015-04-05 10:00:00"}');
SELECT count(*) FROM fraud.verify_parity('payments', 100000);

DELETE FROM fraud.transactions WHERE occurred_at < '2016-01-01';
DELETE FROM fraud.payment_keys WHERE occurred_at < '2016-01-01';
DROP TABLE fraud.da_half_1, fraud.da_half_2, fraud.da_sub, fraud.transactions_2020_04;
DROP TABLE da_history;
DROP FUNCTION da_job();
DROP TABLE bodies, answers, fired;
DROP PROCEDURE both_ways;
DROP FUNCTION all_rows(), note();
SELECT fraud.drop_payment_field('da_device');
