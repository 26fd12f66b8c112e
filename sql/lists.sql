\set SHOW_CONTEXT never
-- Lists of values: what is in them, until when, since when, and who said so.
SET client_min_messages = warning;
SELECT fraud.promote('payments', 1, review_at => 0.9999, block_at => 0.99999, reason => 'lists alone');
SELECT fraud.add_payment_field('li_device', 'text'), fraud.add_payment_field('li_weight', 'numeric'), fraud.add_payment_field('li_ip', 'inet');
SELECT fraud.create_list('li_devices', 'li_device', 'devices');
SELECT fraud.create_list('li_weights', 'li_weight'), fraud.create_list('li_ips', 'li_ip'), fraud.create_list('li_customers', 'card');
SELECT list, field, type, description, created_by = current_user AS mine FROM fraud.lists WHERE list ~ '^li_' ORDER BY list;
SELECT fraud.add_to_list('li_devices', 'd1', reason => 'stolen');
SELECT fraud.add_to_list('li_devices', ARRAY(SELECT 'bulk' || i FROM generate_series(1, 1000) i), now() + interval '1 day', 'a query');
SELECT fraud.in_list('li_devices', 'd1') AS listed, fraud.in_list('li_devices', 'd2') AS other, fraud.in_list('li_devices', 'bulk777'::varchar) AS bulk,
       fraud.in_list('li_devices', NULL) AS of_null, NOT fraud.in_list('li_devices', NULL::text) AS not_null;
-- Numbers are equal however they are written; so are addresses.
SELECT fraud.add_to_list('li_weights', '7.50', reason => 'x'), fraud.add_to_list('li_ips', '10.0.0.1/32', reason => 'x');
SELECT fraud.in_list('li_weights', 7.5), fraud.in_list('li_weights', 7.500::numeric), fraud.in_list('li_weights', 7.5::float8), fraud.in_list('li_weights', 7.5::float4),
       fraud.in_list('li_weights', 7), fraud.in_list('li_ips', '10.0.0.1'::inet), fraud.in_list('li_ips', '10.0.0.2'::inet);
-- A customer is named by number, card or kind and id; the number is kept nowhere.
SELECT status FROM fraud.ingest('{"cc_num": 4929000000061234, "trans_num": "li-1", "amt": 5, "merchant": "li_shop", "unix_time": 1480000000}');
SELECT card AS card FROM fraud.transactions WHERE transaction_id = 'li-1' \gset
SELECT fraud.add_to_list('li_customers', '4929 0000 0006 1234', reason => 'by number');
SELECT fraud.add_to_list('li_customers', 'account:17', reason => 'by id');
SELECT value = :'card' AS same, card = :'card' AS same_card, reason FROM fraud.list_values WHERE list = 'li_customers' ORDER BY entry_id LIMIT 1;
SELECT fraud.in_list('li_customers', :'card'::uuid);
SELECT status FROM fraud.ingest('{"customer": "17", "customer_kind": "account", "trans_num": "li-2", "amt": 5, "merchant": "li_shop", "unix_time": 1480000000}');
SELECT fraud.in_list('li_customers', card) FROM fraud.transactions WHERE transaction_id = 'li-2';
SELECT fraud.add_to_list('li_devices', '4929000000061234', reason => 'x');
SELECT fraud.add_to_list('li_customers', 'Joe', reason => 'x');

-- What was: a new end, an end that has come, what was taken out.
BEGIN;
SELECT fraud.add_to_list('li_devices', 'd1', now() + interval '1 hour', 'for an hour');
SELECT value, reason, "until" < 'infinity' AS ends, removed_at IS NULL AS in_force, removed_reason FROM fraud.list_entries WHERE list = 'li_devices' AND value = 'd1' ORDER BY entry_id;
SELECT fraud.in_list('li_devices', 'd1') AS now, fraud.in_list('li_devices', 'd1', now() + interval '2 hours') AS later, fraud.in_list('li_devices', 'd1', now() - interval '1 year') AS before;
ROLLBACK;
SELECT fraud.remove_from_list('li_devices', 'd1', 'found again'), fraud.remove_from_list('li_devices', 'd1', 'twice');
SELECT fraud.in_list('li_devices', 'd1') AS now, fraud.in_list('li_devices', 'd1', (SELECT added_at FROM fraud.list_entries WHERE list = 'li_devices' AND value = 'd1')) AS then;
SELECT removed_by = current_user AS by_me, removed_reason FROM fraud.list_entries WHERE list = 'li_devices' AND value = 'd1';
UPDATE fraud.list_entries SET "until" = now() - interval '1 second' WHERE value = 'bulk5';
SELECT fraud.in_list('li_devices', 'bulk5') AS ended, count(*) AS in_force FROM fraud.list_values WHERE list = 'li_devices';
-- A call that remembers what it has found sees what comes meanwhile.
DO $$
BEGIN
    FOR i IN 1 .. 2 LOOP
        IF i = 2 THEN
            PERFORM fraud.add_to_list('li_devices', 'looped', reason => 'x');
        END IF;
        RAISE WARNING 'as of now: %', fraud.in_list('li_devices', 'looped', now());
    END LOOP;
END
$$;
SELECT fraud.remove_from_list('li_devices', 'looped', 'x');
-- Many values, each as of its own time.
SELECT count(*) FROM fraud.list_entries e WHERE e.list = 'li_devices' AND e.value <> 'bulk5' AND fraud.in_list('li_devices', e.value, e.added_at);
SELECT count(*) FROM fraud.list_values WHERE list = 'li_devices' AND fraud.in_list('li_devices', value);

-- Refused.
SELECT fraud.create_list('li_devices', 'li_device');
SELECT fraud.create_list('li new', 'merchant');
SELECT fraud.create_list('li_new', 'colour');
SELECT fraud.create_list(NULL, 'merchant');
SELECT fraud.add_to_list('li_none', 'x', reason => 'x');
SELECT fraud.add_to_list('li_devices', 'x');
\set VERBOSITY sqlstate
SELECT fraud.add_to_list('li_devices', 'x', '2001-01-01', 'x');
\set VERBOSITY default
SELECT fraud.add_to_list('li_devices', NULL::text, reason => 'x');
SELECT fraud.add_to_list('li_weights', 'much', reason => 'x');
SELECT fraud.add_to_list('li_devices', repeat('x', 2001), reason => 'x');
SELECT fraud.remove_from_list('li_none', 'x', 'x');
SELECT fraud.in_list('li_none', 'x');
SELECT fraud.in_list('li_none', 'x', now());
SELECT fraud.drop_list('li_none');

SELECT fraud.add_to_list('li_weights', '4929000000061234.00', reason => 'x');
-- Dropped while its rule was off: the rule does not come back without it.
SELECT fraud.create_list('li_dropped', 'merchant'), fraud.add_rule('li_rule', 'fraud.in_list(''li_dropped'', merchant)', 'block', mode => 'enforce');
SELECT fraud.disable_rule('li_rule', 'x'), fraud.drop_list('li_dropped');
SELECT fraud.enforce_rule('li_rule', 'x');
SELECT fraud.observe_rule('li_rule', 'x');
SELECT fraud.create_list('li_dropped', 'merchant'), fraud.observe_rule('li_rule', 'x'), fraud.drop_rule('li_rule', 'x');

-- Those that come with a field, and their rules.
SELECT fraud.add_to_list('block_li_device', 'bad', now() + interval '7 days', 'case 7');
SELECT fraud.add_to_list('allow_customer', :'card', reason => 'a friend');
SELECT rule, mode, action, condition, reason, author FROM fraud.rule_status WHERE rule IN ('block_li_device', 'allow_customer') ORDER BY rule;
SELECT transaction_id, decision FROM fraud.ingest('[{"cc_num": 4929000000061235, "trans_num": "li-3", "amt": 5, "merchant": "li_shop", "unix_time": 1480000000, "li_device": "bad"},
    {"cc_num": 4929000000061234, "trans_num": "li-4", "amt": 5, "merchant": "li_shop", "unix_time": 1480000000, "li_device": "bad"},
    {"cc_num": 4929000000061235, "trans_num": "li-5", "amt": 5, "merchant": "li_shop", "unix_time": 1480000000, "li_device": "good"}]');
SELECT transaction_id, rule, decided, model_decision, decision FROM fraud.rule_matches WHERE transaction_id ~ '^li-' ORDER BY transaction_id, rule;
SELECT rules, reasons[1] FROM fraud.alerts WHERE transaction_id = 'li-3';
SELECT fraud.alter_rule('block_li_device', 'true');
SELECT fraud.drop_list('block_li_device');
SELECT fraud.remove_from_list('block_li_device', 'bad', 'over');
SELECT decision FROM fraud.assess('{"cc_num": 4929000000061235, "trans_num": "li-6", "amt": 5, "merchant": "li_shop", "unix_time": 1480000000, "li_device": "bad"}');
-- What was done is in the audit log, without why a customer was listed.
SELECT action, object_kind, object_name, new ->> 'value' AS value, new ? 'card' AS card, new ->> 'reason' AS reason FROM fraud.audit_log
WHERE object_kind IN ('list', 'list_entry') AND object_name ~ 'li_|allow_customer' ORDER BY audit_id;

-- An analyst lists, others do not.
CREATE ROLE regress_fraud_lister;
SELECT fraud.grant_access('regress_fraud_lister', 'analyst');
SET ROLE regress_fraud_lister;
SELECT fraud.add_to_list('li_devices', 'of analyst', reason => 'x');
SELECT fraud.in_list('li_devices', 'of analyst');
SELECT added_by FROM fraud.list_values WHERE value = 'of analyst';
INSERT INTO fraud.list_entries (list, value) VALUES ('li_devices', 'by hand');
RESET ROLE;
SELECT fraud.revoke_access('regress_fraud_lister', 'analyst');
DROP ROLE regress_fraud_lister;
-- A list that is dropped once its rule was switched off, and made anew, comes with the rule again.
SELECT fraud.disable_rule('block_li_device', 'over'), fraud.drop_list('block_li_device');
SELECT fraud.add_to_list('block_li_device', 'bad', reason => 'again');
SELECT mode, version, author FROM fraud.rule_status WHERE rule = 'block_li_device';
SELECT act, version, reason FROM fraud.rule_history WHERE rule = 'block_li_device' ORDER BY event_id;
-- One that is switched off while its list stays is off.
SELECT fraud.disable_rule('block_li_device', 'over'), fraud.add_to_list('block_li_device', 'worse', reason => 'again');
SELECT mode FROM fraud.rule_status WHERE rule = 'block_li_device';
-- A rule of that name that somebody wrote stays his.
SELECT fraud.add_rule('block_category', 'amount = 12345.67', 'tag');
SELECT fraud.add_to_list('block_category', 'li_category', reason => 'x');
SELECT action, mode FROM fraud.rule_status WHERE rule = 'block_category';
SELECT fraud.drop_rule('block_category', 'over'), fraud.drop_list('block_category');
SELECT fraud.drop_rule('block_li_device', 'over'), fraud.drop_rule('allow_customer', 'over'), fraud.drop_list('block_li_device'), fraud.drop_list('allow_customer');
SELECT fraud.drop_list(list) FROM fraud.lists WHERE list ~ '^li_' ORDER BY list;
SELECT fraud.drop_payment_field('li_device'), fraud.drop_payment_field('li_weight'), fraud.drop_payment_field('li_ip');
SELECT fraud.promote('payments', 1, review_at => 0.053, block_at => 0.506, reason => 'as it came');
