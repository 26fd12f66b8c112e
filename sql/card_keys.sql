\set SHOW_CONTEXT never
\set VERBOSITY terse
-- A customer's id stays when the key of card numbers is changed.
CREATE FUNCTION pay(number text, id text, minute int DEFAULT 0) RETURNS TABLE (status text, is_new boolean) LANGUAGE plpgsql AS $$
DECLARE
    before bigint := (SELECT count(*) FROM fraud.customers);
BEGIN
    SELECT i.status INTO pay.status FROM fraud.ingest(jsonb_build_object('cc_num', number, 'trans_num', id, 'amt', 10, 'merchant', 'key m',
        'category', 'misc_pos', 'unix_time', 1600100000 + minute * 60)) i;
    RETURN QUERY SELECT pay.status, (SELECT count(*) FROM fraud.customers) > before;
END
$$;
CREATE FUNCTION hashes(number text) RETURNS TABLE (card uuid, keys bigint) LANGUAGE sql AS $$
    SELECT i.card, count(*) FROM fraud.customer_ids i JOIN fraud.customers c USING (card)
    WHERE c.last_four = right(number, 4) AND EXISTS (SELECT FROM fraud.transactions t WHERE t.card = i.card AND t.merchant = 'key m') GROUP BY 1
$$;
SELECT count(*) AS keys, bool_and(key_id = fraud._card_key_id(key)) AS key_id_is_check_value FROM fraud.card_keys;
SELECT * FROM pay('4111000000005001', 'ck-1');
SELECT * FROM pay('4111000000005002', 'ck-2');
CREATE TEMP TABLE first_card AS SELECT card FROM fraud.transactions WHERE transaction_id = 'ck-1';
-- The first id is the number's hash under the key in use.
SELECT i.card = i.hash AS derived, i.kind FROM fraud.customer_ids i JOIN first_card USING (card);

CREATE TEMP TABLE old_key AS SELECT key_id, key FROM fraud.card_keys;
SELECT fraud.rotate_card_key() <> (SELECT key_id FROM old_key) AS rotated;
SELECT count(*) FILTER (WHERE retired_at IS NULL) AS in_use, count(*) FILTER (WHERE retired_at IS NOT NULL AND key IS NOT NULL) AS retired FROM fraud.card_keys;
-- Asking finds the customer, and writes nothing.
SELECT (a.features ->> 'count_24h')::float8 FROM fraud.assess('{"cc_num": 4111000000005001, "trans_num": "ck-a", "amt": 1, "merchant": "key m", "unix_time": 1600100090}') a;
SELECT keys FROM hashes('4111000000005001');
-- So does a payment, which leaves a hash under the new key; windows go on.
SELECT * FROM pay('4111000000005001', 'ck-3', 2);
SELECT * FROM pay('4111000000005001', 'ck-1');
SELECT keys FROM hashes('4111000000005001');
SELECT count(DISTINCT card) FROM fraud.transactions WHERE transaction_id IN ('ck-1', 'ck-3');
-- A new number gets a hash under each key in force, and its id under the one in use.
SELECT * FROM pay('4111000000005003', 'ck-4');
SELECT h.keys, (SELECT k.retired_at IS NULL FROM fraud.customer_ids i JOIN fraud.card_keys k USING (key_id) WHERE i.hash = h.card) AS by_key_in_use FROM hashes('4111000000005003') h;
-- A batch of known, half known and new numbers.
SELECT status, count(*) FROM fraud.ingest((SELECT jsonb_agg(jsonb_build_object('cc_num', 4111000000005000 + n, 'trans_num', 'ck-b' || n, 'amt', 1, 'merchant', 'key m', 'unix_time', 1600101000 + n)) FROM generate_series(1, 5) n)) GROUP BY 1;
SELECT t.transaction_id, c.last_four, h.keys FROM fraud.transactions t JOIN fraud.customers c USING (card) JOIN LATERAL hashes(c.last_four) h ON h.card = t.card WHERE t.transaction_id ~ '^ck-b' ORDER BY 1;
-- A mended dead letter names the customer by its id; the number finds it after another change too.
SELECT status FROM fraud.ingest('{"cc_num": 4111000000005006, "trans_num": "ck-5", "amt": "x", "merchant": "key m", "unix_time": 1600100000}');
SELECT status FROM fraud.ingest((SELECT convert_from(payload, 'UTF8')::jsonb || jsonb_build_object('card', card, 'last_four', last_four, 'amt', 12.5) FROM fraud.ingest_errors WHERE transaction_id = 'ck-5'));
SELECT fraud.rotate_card_key() IS NOT NULL AS rotated;
SELECT * FROM pay('4111000000005006', 'ck-6');
SELECT * FROM pay('4111000000005001', 'ck-7');

-- The key in use stays; a retired one is destroyed with its hashes, and what was not seen since is found no more.
\set VERBOSITY sqlstate
SELECT fraud.destroy_card_key(key_id) FROM fraud.card_keys WHERE retired_at IS NULL;
\set VERBOSITY terse
SELECT fraud.destroy_card_key('00000000-0000-0000-0000-000000000000');
SELECT * FROM pay('4111000000005007', 'ck-8');
SELECT fraud.destroy_card_key(key_id) > 0 AS hashes_went FROM fraud.card_keys WHERE retired_at IS NOT NULL ORDER BY retired_at;
SELECT count(*) FILTER (WHERE destroyed_at IS NOT NULL) AS destroyed, count(key) AS keys, (SELECT count(DISTINCT key_id) FROM fraud.customer_ids) AS keys_of_hashes FROM fraud.card_keys;
SELECT * FROM pay('4111000000005001', 'ck-9');
SELECT card = (SELECT card FROM first_card) AS same_card FROM fraud.transactions WHERE transaction_id = 'ck-9';
SELECT * FROM pay('4111000000005002', 'ck-10');
SELECT * FROM pay('4111000000005007', 'ck-11');
-- fraud.purge() does so by the setting.
SELECT fraud.rotate_card_key() IS NOT NULL AS rotated;
SELECT rows FROM fraud.purge() WHERE relation = 'fraud.customer_ids'::regclass;
UPDATE fraud.card_keys SET retired_at = now() - interval '366 days' WHERE retired_at IS NOT NULL AND key IS NOT NULL;
SET fraud_detect.card_key_retention = 0;
SELECT rows FROM fraud.purge() WHERE relation = 'fraud.customer_ids'::regclass;
RESET fraud_detect.card_key_retention;
SELECT rows > 0 AS hashes_went FROM fraud.purge() WHERE relation = 'fraud.customer_ids'::regclass;
SELECT count(*) FROM fraud.card_keys WHERE key IS NOT NULL;
-- A key that is not what it was makes no strangers.
BEGIN;
UPDATE fraud.card_keys SET key = (SELECT key FROM old_key) WHERE retired_at IS NULL;
\set VERBOSITY sqlstate
SELECT * FROM pay('4111000000005001', 'ck-12');
\set VERBOSITY terse
ROLLBACK;
SELECT item, status FROM fraud.health() WHERE item = 'card key';
BEGIN;
DELETE FROM fraud.card_keys WHERE key IS NOT NULL;
SELECT item, status, detail FROM fraud.health() WHERE item = 'card key';
SELECT fraud.rotate_card_key();
ROLLBACK;
SELECT fraud.rotate_card_key(NULL);
-- Where no number is given, no key is asked for.
BEGIN;
DELETE FROM fraud.card_keys;
SELECT status FROM fraud.ingest(jsonb_build_object('card', (SELECT card FROM first_card), 'trans_num', 'ck-13', 'amt', 1, 'merchant', 'key m', 'unix_time', 1600100000));
ROLLBACK;

-- Nobody else may change keys, or read hashes, or the card of a dead letter.
CREATE ROLE regress_card_operator;
SELECT fraud.grant_access('regress_card_operator', a) FROM unnest('{score,ingest,analyst,scientist,operator}'::text[]) a;
SET ROLE regress_card_operator;
SELECT fraud.rotate_card_key();
SELECT fraud.destroy_card_key(gen_random_uuid());
SELECT count(*) FROM fraud.customer_ids;
SELECT card FROM fraud.ingest_errors;
SELECT * FROM fraud.ingest_errors;
SELECT last_four, reason FROM fraud.ingest_errors WHERE transaction_id = 'ck-5';

-- Numbers that a role asks for are counted; neither ROLLBACK nor a savepoint takes that back. Asking again, or by card, is free.
RESET ROLE;
ALTER ROLE regress_card_operator SET fraud_detect.card_number_limit = 3;
SET fraud_detect.card_number_limit = 3;
CREATE FUNCTION ask(number text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM fraud.assess(jsonb_build_object('cc_num', number, 'trans_num', 'ask', 'amt', 1, 'merchant', 'key m', 'unix_time', 1600100090));
    RETURN 'told';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
SET ROLE regress_card_operator;
BEGIN;
SELECT ask('4111000000005001'), ask('4111000000006001');
SAVEPOINT s;
SELECT ask('4111000000006002');
ROLLBACK TO s;
ROLLBACK;
SELECT ask('4111000000006001') AS again, ask('4111000000006003') AS unknown, ask('4111000000005002') AS known;
SELECT fraud.assess('{"cc_num": 4111000000005003, "trans_num": "ask", "amt": 1, "merchant": "m"}');
SELECT round(score::numeric, 0) FROM fraud.assess(jsonb_build_object('card', (SELECT card FROM fraud.transactions WHERE transaction_id = 'ck-1'), 'trans_num', 'ask', 'amt', 1, 'merchant', 'key m', 'unix_time', 1600100090));
-- What can be stored is stored; what cannot goes to the dead letters, without the card.
SELECT transaction_id, status FROM fraud.ingest('[{"cc_num": 4111000000006010, "trans_num": "ck-20", "amt": 1, "merchant": "key m", "unix_time": 1600100000}, {"cc_num": 4111000000006011, "trans_num": "ck-21", "amt": "x", "merchant": "key m"}, {"cc_num": 4111000000006012, "trans_num": "ck-22", "amt": 1, "merchant": "key m"}]');
RESET ROLE;
SELECT transaction_id, card IS NULL AS withheld, last_four, reason FROM fraud.ingest_errors WHERE transaction_id IN ('ck-5', 'ck-21', 'ck-22') ORDER BY 1;
-- The owner is not limited.
SELECT count(*), min(ask((4111000000007000 + n)::text)) FROM generate_series(1, 20) n;
-- Many that begin and end alike are an alarm, but stored.
SET fraud_detect.card_number_warning = 20;
BEGIN;
SET ROLE regress_card_operator;
SELECT status, count(*) FROM fraud.ingest((SELECT jsonb_agg(jsonb_build_object('cc_num', (411100 * 1000000::bigint + n) * 10000 + 6999, 'trans_num', 'ck-t' || n, 'amt', 1, 'merchant', 'key m', 'unix_time', 1600100000)) FROM generate_series(1, 60) n)) GROUP BY 1;
ROLLBACK;
RESET ROLE;
SELECT kind, role_name, last_four FROM fraud._number_alarms() WHERE role_name = 'regress_card_operator' ORDER BY 1;
SELECT item, status, detail ~ 'role "regress_card_operator" asked for more different numbers' AS limited, detail ~ 'begin and end alike.*role "regress_card_operator"' AS alike, detail ~ '6999' AS tells_digits FROM fraud.health() WHERE item = 'card numbers';
RESET fraud_detect.card_number_warning;
RESET fraud_detect.card_number_limit;
SELECT fraud.revoke_access('regress_card_operator', a) FROM unnest('{score,ingest,analyst,scientist,operator}'::text[]) a;
DROP ROLE regress_card_operator;
DROP FUNCTION pay, hashes, ask;
