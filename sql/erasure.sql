\set SHOW_CONTEXT never
-- What customers may ask for: what is stored of one, and to be forgotten.
SET client_min_messages = warning;
CREATE ROLE regress_fraud_privacy;
CREATE ROLE regress_fraud_analyst;
CREATE ROLE regress_fraud_operator;
SELECT fraud.grant_access('regress_fraud_privacy', 'privacy'), fraud.grant_access('regress_fraud_analyst', 'analyst'),
       fraud.grant_access('regress_fraud_operator', 'operator');

-- ------------------------------------------------------------- a full life
-- One customer leaves something in every place that there is, and so does a neighbour.
-- Each text is one that stands nowhere else, with what JSON and patterns take for special.
SELECT fraud.promote('payments', 1, review_at => 0, block_at => 0.9, reason => 'alert on all');
SELECT fraud.promote('payments', fraud.import_model('payments', fraud.export_model('payments/1')), 'challenger-erasure');
SELECT fraud.add_channel('erasure', 'webhook', 'http://127.0.0.1:1/', takes => '{alert,report,health}');
SELECT fraud.pause_channel('erasure');
CREATE FUNCTION erasure_payment(card text, id text, person jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('cc_num', card, 'trans_num', id, 'amt', 12.34, 'merchant', 'erasure shop', 'category', 'misc_net',
        'unix_time', 1490000000 + length(id), 'merch_lat', 47.7654321, 'merch_long', -121.7654321) || person
$$;
\set person '{"first": "Zoë-Ann", "last": "O''Quackenbush (née \\"Xu\\")", "gender": "F", "street": "77 Wisteria+Lane [Apt. 9]", "city": "Quincyville", "state": "ZQ", "zip": 98765, "lat": 47.1234567, "long": -121.1234567, "city_pop": 7654321, "job": "Lighthouse keeper", "dob": "1911-07-23"}'
\set neighbour '{"first": "Bo", "last": "Li", "street": "78 Wisteria+Lane", "city": "Quincyville", "state": "ZQ", "zip": 98765, "lat": 47.2, "long": -121.2, "city_pop": 1234, "dob": "1932-01-01", "merch_lat": 47.1, "merch_long": -121.1}'
-- A rule of which the reason says where somebody lives, one that fails on a value, a list, a snooze.
SELECT fraud.add_rule('erasure', 'merchant = ''erasure shop''', 'tag', 'lives at {home_latitude}, {home_longitude}'),
       fraud.add_rule('erasure-fails', 'merchant = ''erasure shop'' AND home_latitude::text::int > 0', 'tag'), fraud.create_list('erasure', 'customer');
SELECT status FROM fraud.ingest(jsonb_build_array(erasure_payment('4929000000068817', 'er-1', :'person'), erasure_payment('4929000000068817', 'er-10', :'person'),
    erasure_payment('4929000000068817', 'er-100', :'person'), erasure_payment('4929000000779922', 'er-n', :'neighbour')));
SELECT card AS card FROM fraud.transactions WHERE transaction_id = 'er-1' \gset
SELECT card AS other FROM fraud.transactions WHERE transaction_id = 'er-n' \gset
SELECT fraud.add_to_list('erasure', '4929000000068817', reason => 'Zoë-Ann of 77 Wisteria+Lane [Apt. 9] is a friend'),
       fraud.snooze('customer', :'card', now() + interval '1 day', 'Zoë-Ann of 77 Wisteria+Lane [Apt. 9] called') > 0;
SELECT fraud.remove_from_list('erasure', :'card', 'Zoë-Ann is none');
-- Of other matters too.
SELECT fraud.create_list('erasure-shops', 'merchant'), fraud.add_to_list('erasure-shops', 'erasure shop', reason => 'so says Zoë-Ann O''Quackenbush (née "Xu")'),
       fraud.remove_from_list('erasure-shops', 'erasure shop', 'Zoë-Ann O''Quackenbush (née "Xu") took it back');
SELECT fraud.end_snooze(fraud.snooze('merchant', 'erasure shop', now() + interval '1 day', 'Zoë-Ann O''Quackenbush (née "Xu") says so'), '77 Wisteria+Lane [Apt. 9] again');
SELECT fraud.alter_rule('erasure', note => 'for Zoë-Ann O''Quackenbush (née "Xu")'), fraud.disable_rule('erasure', 'of 77 Wisteria+Lane [Apt. 9]');
INSERT INTO fraud.snoozed_alerts SELECT :'card', 'er-1', '2017-03-20', max(snooze_id), 1, 'review' FROM fraud.snoozes;
SELECT left(reason, 17) AS reason, left(error, 35) AS error FROM fraud.rule_matches WHERE transaction_id = 'er-1' ORDER BY rule;
-- Dead letters: of the card; whose card cannot be read, by name, by street, by card; a body
-- that is no JSON, in which a writer spelled everything in ASCII; the neighbour's.
SELECT status FROM fraud.ingest(erasure_payment('4929000000068817', 'er-d1', :'person') || '{"amt": "much"}');
SELECT status FROM fraud.ingest(erasure_payment('4929000000068817', 'er-d2', :'person') || '{"cc_num": "?", "street": ""}');
SELECT status FROM fraud.ingest(erasure_payment('4929000000068817', 'er-d3', :'person') || '{"cc_num": "?", "first": "", "last": ""}');
SELECT status FROM fraud.ingest(jsonb_build_object('card', :'card', 'trans_num', 'er-d4'));
SELECT status FROM fraud.ingest('{"cc_num": "?", "trans_num": "er-1", "job": "Lighthouse keeper"}');
SELECT status FROM fraud.ingest(erasure_payment('4929000000779922', 'er-d5', :'neighbour') || '{"amt": "much"}');
INSERT INTO fraud.ingest_errors (source, reason, payload, payload_size, digest)
VALUES ('api', 'no JSON', convert_to($x$"{\"first\": \"ZO\\u00eb-ann\", \"last\": \"O'Quackenbush (n\\u00e9e \\\"Xu\\\")\""$x$, 'UTF8'), 1, '\x01'),
       ('api', 'no JSON', convert_to($x$"[{\\\"first\\\": \\\"Zo\\u00eb-Ann\\\", \\\"last\\\": \\\"Li\\\"}"$x$, 'UTF8') || '\xff', 1, '\x02'),
       ('api', 'no JSON', convert_to($x${"first": "Zoë-Anna", "last": "O'Quackenbush (née \"Xu\")", "street": "177 Wisteria+Lane [Apt. 9]$x$, 'UTF8'), 1, '\x04'),
       ('api', 'cannot read street "77 Wisteria+Lane [Apt. 9]"', '\x00', 1, '\x03');
SELECT case_id AS case FROM fraud.cases WHERE card = :'card' \gset
SELECT case_id AS other_case FROM fraud.cases WHERE card = :'other' \gset
SET ROLE regress_fraud_analyst;
SELECT (fraud.acknowledge_case(:case, 'Zoë-Ann called')).status;
SELECT (fraud.dismiss_case(:other_case, $$as zoë-ann o'quackenbush (née "Xu") of 77 WISTERIA+Lane [Apt. 9] says, born 1911-07-23 or so$$)).status;
SELECT fraud.label('er-10', false, $$the O'Quackenbush (née "Xu"), Zoë-Ann file$$) > 0;
RESET ROLE;
SELECT day IS NOT NULL AS closed FROM fraud.close_day('2017-03-20') day;
SELECT count(*) FROM fraud.outbox WHERE kind = 'report' AND body_html LIKE '%•••• 8817%';
-- The notify worker addresses the messages, or we do.
DO $$
DECLARE
    until timestamptz := clock_timestamp() + interval '30 s';
BEGIN
    WHILE EXISTS (SELECT FROM fraud.outbox WHERE dispatched_at IS NULL) AND clock_timestamp() < until LOOP
        PERFORM fraud._address(ARRAY(SELECT outbox_id FROM fraud.outbox WHERE dispatched_at IS NULL ORDER BY 1));
    END LOOP;
END
$$;
SELECT kind, count(*) FROM fraud.notifications WHERE channel = 'erasure' GROUP BY kind ORDER BY kind;
INSERT INTO fraud.outbox (kind, payload, body_text, dispatched_at)
VALUES ('health', jsonb_build_object('detail', $$cannot read "O'Quackenbush (née "Xu"), Zoë-Ann"$$), 'cannot read 77 Wisteria+Lane [Apt. 9]', now());
SELECT fraud.add_source('erasure', 'http://127.0.0.1:1/'), fraud.pause_source('erasure');
INSERT INTO fraud.source_state (name) VALUES ('erasure') ON CONFLICT DO NOTHING;
INSERT INTO fraud.held_customers (card, next_try_at, reason) VALUES (:'card', 'infinity', 'held for the test');
INSERT INTO fraud.inbox (shard, card, transaction_id, occurred_at, source, payment)
SELECT get_byte(uuid_send(c.card), 0) % 64, c.card, 'er-wait', now(), 'erasure', jsonb_build_object('card', c.card, 'trans_num', 'er-wait', 'amt', 5, 'merchant', 'M',
    'first', c.first_name, 'last', c.last_name, 'street', c.street, 'dob', c.date_of_birth, 'last_four', c.last_four)::text FROM fraud.customers c WHERE c.card = :'card';
UPDATE fraud.source_state SET last_error = 'cannot read 77 Wisteria+Lane [Apt. 9], but 977 Wisteria+Lane of Zoë-Annabel' WHERE name = 'erasure';
UPDATE fraud.channel_state SET last_error = 'no mailbox of Zoë-Ann O''Quackenbush (née "Xu")' WHERE name = 'erasure';
UPDATE fraud.notifications SET last_error = '77 Wisteria+Lane [Apt. 9]?' WHERE channel = 'erasure';
INSERT INTO fraud.notification_attempts (notification_id, attempt, channel, error)
SELECT notification_id, 1, channel, '77 Wisteria+Lane [Apt. 9]!' FROM fraud.notifications WHERE channel = 'erasure';

INSERT INTO fraud.tiled_keys (set_id, key_no, key, parts, round, wanted, events)
SELECT set_id, 1, '77 Wisteria+Lane', '{77 Wisteria+Lane [Apt. 9]}', 0, false, 5000 FROM fraud.tile_sets WHERE feature_set = 'payments';
INSERT INTO fraud.tiles (set_id, reader_no, reader_key, shift, starts_at, key_no, key, page)
SELECT set_id, 1, '77 Wisteria+Lane', 30, '2026-01-01', 1, 'Zoë-Ann', 'Quackenbush' FROM fraud.tile_sets WHERE feature_set = 'payments';

-- ------------------------------------------------- what is stored of one
-- Every row of every table, those to come too, that holds the card in any column is in it,
-- but for the row that notes the export.
CREATE FUNCTION erasure_holding(pattern text) RETURNS TABLE (relation text, found bigint) LANGUAGE plpgsql AS $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT c.oid::regclass AS name, string_agg(CASE a.atttypid WHEN 'bytea'::regtype THEN format('encode(substr(%I, 1, 10000), ''escape'')', a.attname)
                                                        WHEN 'jsonb'::regtype THEN format('%I #>> ''{}''', a.attname) ELSE quote_ident(a.attname) END, ', ' ORDER BY a.attnum) AS columns
             FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
             WHERE c.relnamespace = 'fraud'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition GROUP BY c.oid, c.relname ORDER BY c.relname
    LOOP
        RETURN QUERY EXECUTE format('SELECT %L, count(*) FROM %s t WHERE concat_ws(E''\n'', %s) ~* %L HAVING count(*) > 0', r.name::text, r.name, r.columns, pattern);
    END LOOP;
END
$$;
SET ROLE regress_fraud_privacy;
CREATE TEMP TABLE told AS SELECT * FROM fraud.customer_data(:'card');
RESET ROLE;
SELECT h.relation, h.found, count(t.relation) AS told FROM erasure_holding(:'card') h LEFT JOIN told t ON t.relation = h.relation
GROUP BY h.relation, h.found HAVING count(t.relation) < h.found - (h.relation = 'fraud.audit_log')::int;
SELECT relation, count(*) FROM told GROUP BY relation ORDER BY relation;
SELECT data ->> 'last_name' AS last_name, data ->> 'street' AS street, data ->> 'date_of_birth' AS born FROM told WHERE relation = 'fraud.customers';
SELECT count(*) FROM told WHERE data::text LIKE '%' || :'other' || '%';
SELECT count(*) AS addresses FROM told WHERE data ? 'recipient';
SELECT fraud.customer_data(NULL);
SELECT fraud.customer_data('00000000-0000-8000-8000-0000000000ff');
SELECT who, action, object_name = :'card' AS of_card, new FROM fraud.audit_log WHERE action = 'export' AND object_kind = 'customer' ORDER BY audit_id DESC LIMIT 1;

-- --------------------------------------------------- when it is refused
SET ROLE regress_fraud_analyst;
SELECT fraud.erase_customer(:'card', 'asked');
RESET ROLE;
CREATE FUNCTION outcome(call text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE call;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    -- Cards and numbers of cases are others in each run.
    RETURN SQLSTATE || ' ' || regexp_replace(regexp_replace(SQLERRM, '[0-9a-f]{8}-[0-9a-f-]{27}', 'CARD'), '[0-9]{6,}', 'N');
END
$$;
GRANT EXECUTE ON FUNCTION outcome TO PUBLIC;
SET ROLE regress_fraud_privacy;
SELECT outcome(format('SELECT fraud.erase_customer(%L, NULL)', :'card')), outcome('SELECT fraud.erase_customer(NULL, ''asked'')'),
       outcome(format('SELECT fraud.erase_customer(%L, '' '')', :'card')), outcome('SELECT fraud.erase_customer(''00000000-0000-8000-8000-0000000000ff'', ''asked'')') \gx
SELECT outcome(format('SELECT fraud.erase_customer(%L, ''asked'')', :'card')) AS acknowledged;
SELECT outcome(format('SELECT fraud.release_customer(%L, ''no'')', :'card')) AS not_held;
SELECT fraud.hold_customer(:'card', 'court of Quincyville in re Zoë-Ann, card 4929000000068817');
SELECT outcome(format('SELECT fraud.hold_customer(%L, ''again'')', :'card')) AS held_twice;
RESET ROLE;
SELECT (fraud.dismiss_case(:case)).status;
SET ROLE regress_fraud_privacy;
SELECT outcome(format('SELECT fraud.erase_customer(%L, ''asked'', NULL)', :'card')) AS held;
SELECT reason, held_by FROM fraud.customer_holds;
SELECT fraud.release_customer(:'card', 'over');
RESET ROLE;
SELECT (fraud.reopen_case(:case)).status;
SET ROLE regress_fraud_privacy;
SELECT outcome(format('SELECT fraud.erase_customer(%L, ''asked'')', :'card')) AS opened_again;
RESET ROLE;
SELECT fraud.refresh_rollups() >= 0 AS refreshed;
CREATE TABLE sums_before AS SELECT * FROM fraud._rollups;
CREATE TABLE payments_before AS SELECT card, transaction_id, occurred_at, amount, merchant, category, score, decision, is_fraud, features FROM fraud.transactions WHERE card IN (:'card', :'other');
CREATE TABLE others_before AS SELECT 'transactions' AS place, t::text AS line FROM fraud.transactions t WHERE card <> :'card'
    UNION ALL SELECT 'customers', c::text FROM fraud.customers c WHERE card <> :'card' UNION ALL SELECT 'alerts', a::text FROM fraud.alerts a WHERE card <> :'card';

-- ----------------------------------------------------------- forgotten
-- Each of these is in the tables now.
CREATE TABLE identifying (pattern text);
INSERT INTO identifying VALUES ('Zo(ë|\\303\\253|\\+u00eb)-Ann'), ('Quackenbush'), ('77 Wisteria'), ('Lighthouse'), ('1911-07-23'), ('47\.1234567'), ('-121\.1234567'),
    ('47\.7654321'), ('\y7654321\y'), ('7.654321e\+06'), ('last_four": "8817'), ('•••• 8817');
INSERT INTO identifying SELECT '(?<![-.0-9])' || replace(v::text, '.', '\.') || '(?![0-9])' FROM fraud.transactions, LATERAL (VALUES (age), (features[6])) x(v) WHERE transaction_id = 'er-1';
SELECT i.pattern, (SELECT sum(found) FROM erasure_holding(i.pattern)) > 0 AS is_there FROM identifying i ORDER BY 1;
SET ROLE regress_fraud_privacy;
SELECT * FROM fraud.erase_customer(:'card', $$letter of Zoë-Ann O'Quackenbush (née "Xu"), born 1911-07-23, card 8817$$, force => true);
RESET ROLE;
-- What tiles say of him the folder takes out.
CALL fraud.fold_tiles();
-- Namesakes keep what is theirs: two dead letters, and words that only begin alike.
SELECT last_error FROM fraud.source_state WHERE name = 'erasure' UNION ALL SELECT last_error FROM fraud.channel_state WHERE name = 'erasure';
SELECT transaction_id, reason FROM fraud.ingest_errors WHERE transaction_id ~ '^er-' OR source = 'api' AND digest IN ('\x01', '\x02', '\x03', '\x04') ORDER BY error_id;
UPDATE fraud.source_state SET last_error = NULL WHERE name = 'erasure';
DELETE FROM fraud.ingest_errors WHERE source = 'api' AND digest IN ('\x02', '\x04');
-- Else none of it is anywhere.
SELECT i.pattern, h.* FROM identifying i, erasure_holding(i.pattern) h ORDER BY 1, 2;
SELECT to_jsonb(c) - '{card,first_payment_at,last_payment_at,erased_at}'::text[] AS customer, erased_at IS NOT NULL AS erased FROM fraud.customers c WHERE card = :'card';
SELECT note, new_status FROM fraud.case_history WHERE case_id IN (:case, :other_case) ORDER BY event_id;
SELECT payload -> 'last_four' AS last_four, payload -> 'reasons' AS reasons, payload -> 'amount' AS amount FROM fraud.outbox WHERE payload ->> 'card' = :'card';
SELECT payload, body_text FROM fraud.outbox WHERE kind = 'health' ORDER BY outbox_id DESC LIMIT 1;
SELECT body_html LIKE '%an alert of a customer who was erased%' AS erased, body_html LIKE '%•••• 9922%' AS other_is_there FROM fraud.outbox WHERE kind = 'report' ORDER BY outbox_id DESC LIMIT 1;
SELECT source FROM fraud.labels WHERE card = :'card' ORDER BY label_id;
SELECT reasons FROM fraud.alerts WHERE card = :'card';
-- What is kept: the payments, with what they were decided by but for the person.
SELECT count(*) AS payments, bool_and((b.amount, b.merchant, b.category, b.score, b.decision) IS NOT DISTINCT FROM (t.amount, t.merchant, t.category, t.score, t.decision)) AS same,
       bool_and((t.age, t.city_population, t.home_latitude, t.home_longitude, t.merchant_latitude, t.merchant_longitude) IS NULL) AS without_person
FROM payments_before b JOIN fraud.transactions t USING (card, transaction_id, occurred_at) WHERE b.card = :'card';
SELECT f.feature, bool_and(t.features[f.position] = 'NaN') AS gone, bool_and(t.features[f.position] IS NOT DISTINCT FROM b.features[f.position]) AS kept
FROM payments_before b JOIN fraud.transactions t USING (card, transaction_id, occurred_at), fraud.feature_definitions f
WHERE b.card = :'card' AND f.feature_set = 'payments' GROUP BY f.feature HAVING bool_or(t.features[f.position] IS DISTINCT FROM b.features[f.position]) ORDER BY 1;
SELECT count(*) AS changed_of_others FROM (
    (SELECT * FROM others_before EXCEPT ALL (SELECT 'transactions', t::text FROM fraud.transactions t WHERE card <> :'card'
        UNION ALL SELECT 'customers', c::text FROM fraud.customers c WHERE card <> :'card' UNION ALL SELECT 'alerts', a::text FROM fraud.alerts a WHERE card <> :'card'))) d;
SELECT count(*) AS changed_sums FROM ((TABLE sums_before EXCEPT ALL TABLE fraud._rollups) UNION ALL (TABLE fraud._rollups EXCEPT ALL TABLE sums_before)) d;
SELECT count(*) AS mismatches FROM fraud.verify_parity('payments', 50);
SELECT who, action, object_name = :'card' AS of_card, old - 'held_at' AS old, new - 'open_cases' AS new FROM fraud.audit_log WHERE object_kind = 'customer' AND object_name = :'card' ORDER BY audit_id;
-- A second time there is nothing left to do, and the export says what there is.
SELECT * FROM fraud.erase_customer(:'card', 'asked again', true);
SELECT count(*) FROM fraud.customer_data(:'card') d WHERE d.data::text ~ 'Zoë|Quackenbush|Wisteria';

-- A customer whose id is no secret: dead letters that name it, in whatever layout, and no other's.
SELECT status FROM fraud.ingest('{"customer_kind": "account", "customer": "17", "trans_num": "er-17", "amt": 1, "merchant": "erasure shop", "unix_time": 1490000000}'),
    fraud.ingest('{"customer_kind": "account", "customer": "Zoe@post.example", "trans_num": "er-zoe", "amt": 1, "merchant": "erasure shop", "unix_time": 1490000000}') z(a, status_of_zoe);
SELECT count(*) FROM fraud.ingest('[{"customer_kind": "account", "customer": "17", "trans_num": "er-id-1", "amt": "x", "merchant": "M", "unix_time": 1490000000},
    {"customer_kind": "account", "customer": 17, "trans_num": "er-id-2", "amt": "x", "merchant": "M", "unix_time": 1490000000},
    {"customer_kind": "account", "customer": "17", "kind": "refund", "reference": "er-none", "trans_num": "er-id-3", "amt": 1, "merchant": "M", "unix_time": 1490000000},
    {"customer_kind": "account", "customer": "170", "trans_num": "er-id-4", "amt": "x", "merchant": "17", "note": "17", "unix_time": 1490000000},
    {"customer_kind": "wallet", "customer": "17", "trans_num": "er-id-5", "amt": "x", "merchant": "M", "unix_time": 1490000000},
    {"customer_kind": "account", "customer": "Zoe@post.example", "trans_num": "er-id-6", "amt": "x", "merchant": "M", "unix_time": 1490000000}]'::text);
INSERT INTO fraud.ingest_errors (source, reason, payload, payload_size, digest)
VALUES ('api', 'er-id-7', convert_to($x$"{\"customer_kind\":\"account\", \"customer\" : \"17\", \"amt\": \$x$, 'UTF8'), 1, '\x05'), ('api', 'er-id-8', convert_to('1;x;ZOE@post.example;5', 'UTF8'), 1, '\x06');
SELECT card AS of_17 FROM fraud.payment_keys WHERE transaction_id = 'er-17' \gset
SELECT card AS of_zoe FROM fraud.payment_keys WHERE transaction_id = 'er-zoe' \gset
SET ROLE regress_fraud_privacy;
SELECT count(*) FROM fraud.customer_data(:'of_17') d WHERE d.relation = 'fraud.ingest_errors';
SELECT e.rows FROM fraud.erase_customer(:'of_17', 'asked', true) e WHERE e.relation = 'fraud.ingest_errors';
SELECT e.rows FROM fraud.erase_customer(:'of_zoe', 'asked', true) e WHERE e.relation = 'fraud.ingest_errors';
RESET ROLE;
SELECT coalesce(transaction_id, reason) AS left_over FROM fraud.ingest_errors WHERE coalesce(transaction_id, reason) ~ '^er-id-' ORDER BY 1;
DELETE FROM fraud.ingest_errors WHERE coalesce(transaction_id, reason) ~ '^er-id-';

-- ------------------------------------------------------ what would be next
-- Columns of these tables are known to be kept or erased; of all tables, which texts may
-- hold a name. A new column is on neither list and shows.
SELECT attrelid::regclass, attname FROM pg_attribute
WHERE attrelid IN ('fraud.customers'::regclass, 'fraud.transactions'::regclass) AND attnum > 0 AND NOT attisdropped
  AND attname NOT IN ('card', 'transaction_id', 'occurred_at', 'received_at', 'amount', 'merchant', 'category', 'source', 'model', 'model_version', 'score',
      'decision', 'is_fraud', 'label_known_at', 'label_changes', 'first_payment_at', 'last_payment_at', 'erased_at', 'currency', 'base_amount', 'customer_kind')
  AND attname NOT IN ('last_four', 'first_name', 'last_name', 'gender', 'street', 'city', 'state', 'zip', 'latitude', 'longitude', 'city_population', 'job',
      'date_of_birth', 'merchant_latitude', 'merchant_longitude', 'home_latitude', 'home_longitude', 'age', 'features', 'attributes', 'customer_id');
SELECT c.relname, string_agg(a.attname, ' ' ORDER BY a.attname) AS texts_on_no_list
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'fraud'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND a.atttypid IN ('text'::regtype, 'text[]'::regtype, 'jsonb'::regtype, 'bytea'::regtype)
  AND NOT EXISTS (SELECT FROM fraud._free_texts() f WHERE f.relation = c.relname AND a.attname = ANY (f.columns))
  -- Erased by themselves.
  AND NOT (c.relname = 'inbox' AND a.attname = 'payment' OR c.relname IN ('transactions', 'payment_followups') AND a.attname = 'attributes'
           OR c.relname = 'rule_matches' AND a.attname IN ('reason', 'error') OR c.relname IN ('tiled_keys', 'tiles', 'tile_requests'))
  -- Of events of users' own tables, whose people are not customers here (docs/streams.md).
  AND c.relname !~ '^(stream|event_labels$|labelled_events$)'
  -- Written by those who look after the system, of the system.
  AND c.relname NOT IN ('audit_log', 'card_keys', 'channels', 'daily_reports', 'deleted_versions', 'feature_categories', 'feature_definitions', 'feature_sets',
      'health_states', 'health_told', 'change_mark', 'history_loads', 'lists', 'locks', 'builtin_rows', 'payment_fields', 'rule_sets', 'rule_versions', 'rules', 'slow_rules', 'source_field_counts', 'model_versions', 'models', 'promotions', 'source_positions', 'sources', 'tile_sets', 'training_runs', 'training_trials', 'version_tags')
  -- Names, ids and words of a list.
  AND a.attname NOT IN ('name', 'kind', 'stream', 'status', 'state', 'decision', 'model', 'alias', 'source', 'channel', 'job', 'key', 'category', 'merchant', 'transaction_id',
      'outcome', 'recipient', 'timezone', 'old_status', 'new_status', 'reasons', 'payload', 'digest', 'last_four', 'currency', 'base_currency', 'reference', 'waits_for',
      'rule', 'rules', 'act', 'action', 'model_decision', 'tag', 'list', 'value', 'failing_condition')
  AND c.relname <> 'customers'
GROUP BY c.relname;

-- Without an erasure notes stay what they are; in one, nothing but a note is changed.
UPDATE fraud.case_history SET note = 'another' WHERE case_id = :other_case;
BEGIN;
UPDATE fraud.customers SET erased_at = now() WHERE card = :'card';
SAVEPOINT s;
UPDATE fraud.case_history SET new_status = 'confirmed' WHERE case_id = :other_case;
ROLLBACK TO s;
DELETE FROM fraud.case_history WHERE case_id = :other_case;
ROLLBACK;

SELECT (fraud.dismiss_case(:case)).status;
SELECT fraud.promote('payments', 1, review_at => 0.053, block_at => 0.506, reason => 'as it came');
SELECT fraud.drop_channel('erasure'), fraud.drop_source('erasure');
SELECT fraud.revoke_access('regress_fraud_privacy', 'privacy'), fraud.revoke_access('regress_fraud_analyst', 'analyst'), fraud.revoke_access('regress_fraud_operator', 'operator');
DROP FUNCTION erasure_payment, erasure_holding, outcome;
DROP TABLE told, identifying, sums_before, payments_before, others_before;
DROP ROLE regress_fraud_privacy, regress_fraud_analyst, regress_fraud_operator;
SELECT fraud.drop_rule('erasure', 'over'), fraud.drop_rule('erasure-fails', 'over'), fraud.drop_list('erasure'), fraud.drop_list('erasure-shops');
SELECT fraud.end_snooze(max(snooze_id), 'over') FROM fraud.snoozes WHERE ended_at IS NULL;
