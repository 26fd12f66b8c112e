\set SHOW_CONTEXT never
-- Rules beside the model, in the payment's transaction.
SET client_min_messages = warning;
CREATE ROLE regress_fraud_author;
CREATE ROLE regress_fraud_other;
SELECT fraud.grant_access(r, 'analyst') FROM unnest('{regress_fraud_author,regress_fraud_other}'::text[]) r;
SELECT fraud.promote('payments', 1, review_at => 0.9, block_at => 0.99, reason => 'rules alone');
SELECT fraud.add_payment_field('ru_device', 'text');
CREATE FUNCTION pay(id text, amount numeric, more jsonb DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', status, decision) FROM fraud.ingest(jsonb_build_object('cc_num', 4929000000071234, 'trans_num', id, 'amt', amount, 'merchant', 'ru_shop',
        'category', 'misc_net', 'unix_time', 1481000000) || more)
$$;
CREATE FUNCTION matches(id text) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT concat_ws(' ', m.rule, m.version, CASE WHEN m.enforced THEN 'enforced' ELSE 'observed' END, CASE WHEN m.decided THEN 'decided' END, m.model_decision, '->', m.decision, m.reason, m.error)
    FROM fraud.rule_matches m WHERE m.transaction_id = id ORDER BY m.rule, m.version
$$;

-- Nothing is asked, and nothing is written, where there are none.
SELECT pay('ru-0', 500);
SELECT count(*) FROM fraud.rule_matches WHERE transaction_id = 'ru-0';

-- ------------------------------------------------------- what is observed
SELECT fraud.add_rule('ru_big', 'amount > 100', 'block', 'amount {amount} at {merchant}, device {ru_device}', note => 'a first try');
SELECT pay('ru-1', 500), pay('ru-2', 50);
SELECT matches('ru-1');
SELECT matches('ru-2');
SELECT rule, mode, version, draft, action, condition, matches_24h, failures_24h, author = current_user AS mine FROM fraud.rule_status WHERE rule = 'ru_big';
-- ------------------------------------------------------- what is enforced
SELECT fraud.enforce_rule('ru_big', 'it works');
SELECT pay('ru-3', 500, '{"ru_device": "d-1"}');
SELECT matches('ru-3');
SELECT decision, rules, reasons[1] FROM fraud.alerts WHERE transaction_id = 'ru-3';
SELECT payload -> 'rules' AS rules, payload -> 'reasons' -> 0 AS reason, payload ->> 'decision' AS decision FROM fraud.outbox WHERE payload ->> 'transaction_id' = 'ru-3';
SELECT decision FROM fraud.transactions WHERE transaction_id = 'ru-3';
-- What is only asked is decided alike, and leaves nothing.
SELECT decision, reasons[1] FROM fraud.assess('{"cc_num": 4929000000071234, "trans_num": "ru-4", "amt": 500, "merchant": "ru_shop", "category": "misc_net", "unix_time": 1481000000}');
SELECT matches('ru-4');
-- The card number that a reason would show is masked.
SELECT fraud.alter_rule('ru_big', reason => 'device {ru_device}');
SELECT pay('ru-5', 500, '{"ru_device": "4929000000071234"}');
SELECT matches('ru-5');

-- Order: allow, then block, then review; raise and lower move what the model says.
SELECT fraud.add_rule('ru_allow', 'ru_device = ''friend''', 'allow', mode => 'enforce'), fraud.add_rule('ru_review', 'amount > 200', 'review', mode => 'enforce'),
       fraud.add_rule('ru_raise', 'amount = 77', 'raise', mode => 'enforce'), fraud.add_rule('ru_tag', 'amount = 77', 'tag', tag => 'lucky', mode => 'enforce');
SELECT pay('ru-6', 500, '{"ru_device": "friend"}'), pay('ru-7', 500), pay('ru-8', 77);
SELECT matches('ru-6');
SELECT matches('ru-7');
SELECT matches('ru-8');
SELECT tag FROM fraud.rule_matches WHERE transaction_id = 'ru-8' AND rule = 'ru_tag';
SELECT fraud.drop_rule(r, 'over') FROM unnest('{ru_allow,ru_review,ru_raise,ru_tag}'::text[]) r;

-- Everything that a condition may name; each of a batch sees its own.
SELECT name, type FROM fraud.rule_columns() WHERE name IN ('card', 'customer', 'amount', 'feature_amount', 'ru_device', 'score', 'decision', 'count_1h', 'attributes');
SELECT fraud.add_rule('ru_all', $$customer = card AND transaction_id LIKE 'ru-b%' AND merchant = 'ru_shop' AND feature_amount = base_amount::float8 AND score < 0.9
    AND decision = 'approve' AND ru_device = attributes ->> 'ru_device' AND category_count_30d >= 0 AND distance_km IS NULL AND currency = 'USD'
    AND occurred_at > '2016-01-01' AND count_24h > 1$$, 'tag');
SELECT transaction_id, decision FROM fraud.ingest((SELECT jsonb_agg(jsonb_build_object('cc_num', 4929000000071235, 'trans_num', 'ru-b' || i, 'amt', i, 'merchant', 'ru_shop',
    'category', 'misc_net', 'unix_time', 1481000000 + i, 'ru_device', 'd' || i)) FROM generate_series(1, 4) i));
SELECT transaction_id FROM fraud.rule_matches WHERE rule = 'ru_all' ORDER BY 1;
SELECT columns FROM fraud.rule_versions WHERE rule = 'ru_all';
SELECT fraud.drop_rule('ru_all', 'over');
-- From and until.
SELECT fraud.alter_rule('ru_big', valid_from => now() + interval '1 day', note => 'not yet'), pay('ru-9', 500);
SELECT fraud.rollback_rule('ru_big', 'now'), pay('ru-10', 500);
SELECT version, act, reason FROM fraud.rule_history WHERE rule = 'ru_big' ORDER BY event_id;
SELECT fraud.observe_rule('ru_big', 'watch it'), pay('ru-11', 500);
SELECT matches('ru-11');
SELECT fraud.disable_rule('ru_big', 'enough');
SELECT pay('ru-12', 500);
SELECT matches('ru-12');
SELECT mode FROM fraud.rule_status WHERE rule = 'ru_big';
-- A rollback takes a rule back, for the session that has it ready, too.
BEGIN;
SELECT fraud.enforce_rule('ru_big', 'for a moment', 2) > 0, pay('ru-13', 500);
ROLLBACK;
SELECT pay('ru-14', 500);

-- ------------------------------------------------- what fails stops nothing
SELECT fraud.add_rule('ru_fails', '1 / (amount - 500) > 0', 'block', mode => 'enforce'), fraud.add_rule('ru_works', 'amount = 500', 'review', mode => 'enforce');
SELECT pay('ru-15', 500), pay('ru-16', 501);
SELECT matches('ru-15');
SELECT matches('ru-16');
SELECT item, status, detail, advice FROM fraud.health() WHERE item = 'rule ru_fails';
SELECT fraud.alter_rule('ru_fails', on_error => 'block'), pay('ru-17', 500);
SELECT matches('ru-17');
SELECT fraud.drop_rule('ru_fails', 'over'), fraud.drop_rule('ru_works', 'over');
-- Nor does one whose column, or function, is gone.
CREATE FUNCTION ru_function(numeric) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 > 5';
SELECT fraud.add_rule('ru_gone', 'ru_function(amount) AND ru_device IS NULL', 'block', mode => 'enforce'), pay('ru-18', 500);
SELECT expression, plain FROM fraud.rule_versions WHERE rule = 'ru_gone';
SELECT fraud.drop_payment_field('ru_device'), pay('ru-19', 500);
SELECT matches('ru-19');
SELECT fraud.add_payment_field('ru_device', 'text'), pay('ru-20', 500);
DROP FUNCTION ru_function(numeric);
SELECT fraud.alter_rule('ru_gone', priority => 5), pay('ru-21', 500);
SELECT matches('ru-21');
SELECT fraud.drop_rule('ru_gone', 'over');

-- Whatever SQLSTATE it raises; and what asks the rules again is refused.
CREATE FUNCTION ru_raises(text, numeric) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = $1; END $$;
CREATE FUNCTION ru_asks(numeric) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN RETURN score >= 0 FROM fraud.assess('{"cc_num": 4929000000071234, "trans_num": "ru-asked", "amt": 5, "merchant": "ru_shop", "category": "misc_net", "unix_time": 1481000000}'); END $$;
SELECT fraud.add_rule('ru_cancels', 'ru_raises(''query_canceled'', amount)', 'block'), fraud.add_rule('ru_full', 'ru_raises(''disk_full'', amount)', 'block'),
       fraud.add_rule('ru_serial', 'ru_raises(''serialization_failure'', amount)', 'block'), fraud.add_rule('ru_asks', 'ru_asks(amount)', 'block'),
       fraud.add_rule('ru_asks_once', 'ru_asks(1)', 'block');
SELECT pay('ru-f1', 500);
SELECT matches('ru-f1');
SELECT fraud.drop_rule(r, 'over') FROM unnest('{ru_cancels,ru_full,ru_serial,ru_asks,ru_asks_once}'::text[]) r;
DROP FUNCTION ru_raises(text, numeric), ru_asks(numeric);
-- A function that is there again, in a session that has had the rule ready without it.
CREATE FUNCTION ru_function(numeric) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN true; END' STABLE;
SELECT fraud.add_rule('ru_back', 'ru_function(amount)', 'review', mode => 'enforce'), pay('ru-f2', 500);
DROP FUNCTION ru_function(numeric);
SELECT pay('ru-f3', 500);
CREATE FUNCTION ru_function(numeric) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN true; END' STABLE;
SELECT pay('ru-f4', 500);
SELECT matches(id) FROM unnest('{ru-f2,ru-f3,ru-f4}'::text[]) id;
SELECT fraud.drop_rule('ru_back', 'over');
DROP FUNCTION ru_function(numeric);
-- What a payment says is no place of the reason.
SELECT fraud.add_rule('ru_places', 'category LIKE ''ru%'' AND ru_device > ''''', 'review', 'at {merchant}, {category}', mode => 'enforce');
SELECT pay('ru-f5', 500, '{"merchant": "{category}{ru_device}", "category": "ru{ru_device}{merchant}", "ru_device": "d"}');
SELECT matches('ru-f5');
SELECT fraud.add_rule('ru_tagged', 'amount = 78', 'tag', tag => 'card 4929000000061234');
SELECT tag FROM fraud.rule_versions WHERE rule = 'ru_tagged';
SELECT fraud.drop_rule(r, 'over') FROM unnest('{ru_places,ru_tagged}'::text[]) r;

-- --------------------------------------------------------- whose rights
-- A condition runs with its author's, whoever pays: it sees what he may, and tells him who runs it.
CREATE TABLE ru_secret AS SELECT 500 AS amount;
CREATE FUNCTION ru_knows(numeric) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN EXISTS (SELECT FROM public.ru_secret s WHERE s.amount = $1) AND current_user = 'regress_fraud_author'; END $$;
SET ROLE regress_fraud_author;
SELECT fraud.add_rule('ru_rights', 'public.ru_knows(amount)', 'review', mode => 'enforce');
RESET ROLE;
SELECT pay('ru-22', 500);
SELECT matches('ru-22');
GRANT SELECT ON ru_secret TO regress_fraud_author;
SELECT pay('ru-23', 500);
SELECT matches('ru-23');
-- It can store nothing.
CREATE FUNCTION ru_writes(numeric) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM fraud.label('ru-1', true); RETURN true; END $$;
SET ROLE regress_fraud_author;
SELECT fraud.add_rule('ru_writes', 'public.ru_writes(amount)', 'review', mode => 'enforce');
RESET ROLE;
SELECT pay('ru-24', 500);
SELECT matches('ru-24');
SELECT fraud.drop_rule('ru_writes', 'over'), fraud.drop_rule('ru_rights', 'over');
DROP FUNCTION ru_knows(numeric), ru_writes(numeric);
DROP TABLE ru_secret;
-- Nobody else's session runs his code, and it is his, too, that no function's name shows: a view, a cast, a domain, and functions of ours that read what they are told to.
CREATE VIEW ru_view AS SELECT 1 AS a;
CREATE TYPE ru_type AS (a int);
CREATE FUNCTION ru_to_json(ru_type) RETURNS json LANGUAGE sql STABLE AS 'SELECT ''1''::json';
CREATE CAST (ru_type AS json) WITH FUNCTION ru_to_json(ru_type);
CREATE DOMAIN ru_domain AS int CHECK (VALUE > 0);
CREATE TYPE ru_checked AS (a ru_domain);
SELECT fraud.add_rule('ru_f1', $$table_to_xml('public.ru_view'::regclass, true, true, '')::text <> ''$$, 'tag'),
       fraud.add_rule('ru_f2', $$to_json(ROW(length(merchant))::ru_type)::text <> ''$$, 'tag'),
       fraud.add_rule('ru_f3', $$jsonb_populate_record(NULL::ru_checked, '{"a": 1}') IS NOT NULL$$, 'tag'),
       fraud.add_rule('ru_f4', 'amount::int::ru_domain > 0', 'tag'),
       fraud.add_rule('ru_f5', $$fraud.choose_threshold('payments', '2016-01-01', '2016-01-02', 1, 1, 1, 1, 'public.ru_view'::regclass) IS NOT NULL$$, 'tag'),
       fraud.add_rule('ru_f6', $$to_json(attributes)::text <> ROW(amount, merchant)::text$$, 'tag');
SELECT rule, plain FROM fraud.rule_versions WHERE rule LIKE 'ru\_f_' ORDER BY rule;
SELECT fraud.drop_rule('ru_f' || n, 'over') FROM generate_series(1, 6) n;
DROP VIEW ru_view;
DROP CAST (ru_type AS json);
DROP FUNCTION ru_to_json(ru_type);
DROP TYPE ru_type;
DROP TYPE ru_checked;
DROP DOMAIN ru_domain;
-- A rule that fails on a stored payment does not end the backtest of another's.
SELECT fraud.add_rule('ru_fails', '1 / (amount - 500) > 0', 'tag'), fraud.add_rule('ru_works', 'amount = 500', 'tag');
SELECT metric, item, value FROM fraud.backtest_rule('amount = 500', '2016-12-01', '2017-01-01') WHERE metric IN ('hits', 'hits_of_rule_too');
SELECT metric, item, value FROM fraud.backtest_rule('1 / (amount - 500) > 0', '2016-12-01', '2017-01-01') WHERE metric IN ('hits', 'hits_of_rule_too');
SELECT fraud.drop_rule(r, 'over') FROM unnest('{ru_fails,ru_works}'::text[]) r;

-- ---------------------------------------------------------- four eyes
SET fraud_detect.four_eyes = on;
SET ROLE regress_fraud_author;
SELECT fraud.add_rule('ru_eyes', 'amount > 100', 'review', mode => 'enforce');
SELECT fraud.add_rule('ru_eyes', 'amount > 100', 'review');
SELECT fraud.enforce_rule('ru_eyes', 'mine');
SET ROLE regress_fraud_other;
SELECT fraud.enforce_rule('ru_eyes', 'I have looked');
-- What is changed is a draft again, beside what decides.
SET ROLE regress_fraud_author;
SELECT fraud.alter_rule('ru_eyes', 'amount > 400', action => 'block');
RESET ROLE;
SELECT version, draft, mode FROM fraud.rule_status WHERE rule = 'ru_eyes';
SELECT pay('ru-25', 500);
SELECT matches('ru-25');
SET ROLE regress_fraud_author;
SELECT fraud.enforce_rule('ru_eyes', 'mine');
SET ROLE regress_fraud_other;
SELECT fraud.enforce_rule('ru_eyes', 'I have looked again');
SET ROLE regress_fraud_author;
SELECT fraud.rollback_rule('ru_eyes', 'that was wrong');
RESET ROLE;
SELECT pay('ru-26', 500);
SELECT matches('ru-26');
RESET fraud_detect.four_eyes;
SELECT fraud.drop_rule('ru_eyes', 'over');
SELECT version, act, by, reason FROM fraud.rule_history WHERE rule = 'ru_eyes' ORDER BY event_id;

-- ------------------------------------- what is known of customer and merchant
SELECT name, type FROM fraud.rule_columns() WHERE name ~ '^(customer|merchant)_' AND type <> 'double precision' ORDER BY name;
SELECT pay('ru-own1', 5, '{"merchant": "ru_own", "category": "home", "unix_time": 1481000000}');
SELECT fraud.add_rule('ru_own', 'occurred_at - customer_first_payment_at > interval ''1 day'' AND merchant_first_payment_at = customer_first_payment_at AND merchant_category = ''home'' AND customer_kind IS NULL', 'review', mode => 'enforce');
SELECT pay('ru-own2', 5, '{"merchant": "ru_own", "unix_time": 1481000100}'), pay('ru-own3', 5, '{"merchant": "ru_own", "unix_time": 1481100000}'), pay('ru-own4', 5, '{"merchant": "ru_other", "unix_time": 1481200000}');
SELECT transaction_id, version FROM fraud.rule_matches WHERE rule = 'ru_own' ORDER BY 1;
SELECT decision FROM fraud.assess('{"cc_num": 4929000000071234, "trans_num": "ru-own5", "amt": 5, "merchant": "ru_own", "category": "home", "unix_time": 1481300000}');
SELECT value FROM fraud.backtest_rule((SELECT condition FROM fraud.rule_status WHERE rule = 'ru_own'), '2016-12-01', '2017-01-01') WHERE metric = 'hits';
SELECT fraud.drop_rule('ru_own', 'over');

-- --------------------------------------------------------------- slow ones
CREATE FUNCTION ru_slow() RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM pg_sleep(0.01); RETURN true; END $$;
SELECT fraud.add_rule('ru_slow', 'ru_slow() AND amount = 3', 'block', mode => 'enforce');
SET fraud_detect.rule_time_limit = '2ms';
SELECT count(*), count(DISTINCT decision) FROM fraud.ingest((SELECT jsonb_agg(jsonb_build_object('cc_num', 4929000000071236, 'trans_num', 'ru-s' || i, 'amt', 3, 'merchant', 'ru_shop',
    'category', 'misc_net', 'unix_time', 1481000000 + i)) FROM generate_series(1, 12) i));
SELECT rule, version, mean_ms BETWEEN 9 AND 1000 AS measured, evaluations FROM fraud.slow_rules;
SELECT mode FROM fraud.rule_status WHERE rule = 'ru_slow';
SELECT item, status, regexp_replace(detail, '[0-9.]+ ms', 'N ms') AS detail FROM fraud.health() WHERE item = 'rule ru_slow';
SELECT pay('ru-27', 3);
SELECT matches('ru-27');
-- Somebody has another try.
SELECT fraud.enforce_rule('ru_slow', 'once more'), pay('ru-28', 3);
RESET fraud_detect.rule_time_limit;
SELECT fraud.drop_rule('ru_slow', 'over');
DROP FUNCTION ru_slow();

-- ----------------------------------------------------------------- snooze
SELECT fraud.add_rule('ru_noisy', 'amount > 100', 'block', mode => 'enforce');
SELECT fraud.snooze('rule', 'ru_noisy', now() + interval '1 hour', 'a test day') > 0 AS snoozed;
SELECT pay('ru-30', 500);
SELECT count(*) AS alerts FROM fraud.alerts WHERE transaction_id = 'ru-30';
SELECT s.decision, z.kind, z.name FROM fraud.snoozed_alerts s JOIN fraud.snoozes z USING (snooze_id) WHERE s.transaction_id = 'ru-30';
-- Another rule's alert is its own.
SELECT fraud.add_rule('ru_loud', 'amount = 600', 'review', mode => 'enforce'), pay('ru-31', 600);
SELECT count(*) AS alerts FROM fraud.alerts WHERE transaction_id = 'ru-31';
SELECT fraud.end_snooze(max(snooze_id), 'it is over') FROM fraud.snoozes;
SELECT pay('ru-32', 500);
SELECT count(*) AS alerts FROM fraud.alerts WHERE transaction_id = 'ru-32';
SELECT fraud.snooze('merchant', 'ru_shop', now() + interval '1 hour', 'the shop tests') > 0;
SELECT pay('ru-33', 500);
SELECT fraud.end_snooze(max(snooze_id), 'over') FROM fraud.snoozes;
SELECT fraud.snooze('customer', card::text, now() + interval '1 hour', 'travels') > 0 FROM fraud.transactions WHERE transaction_id = 'ru-33';
SELECT pay('ru-34', 500);
SELECT s.transaction_id, z.kind, count(a.*) AS alerts FROM fraud.snoozed_alerts s JOIN fraud.snoozes z USING (snooze_id) LEFT JOIN fraud.alerts a ON a.transaction_id = s.transaction_id
WHERE s.transaction_id IN ('ru-33', 'ru-34') GROUP BY 1, 2 ORDER BY 1;
SELECT fraud.end_snooze(max(snooze_id), 'over') FROM fraud.snoozes;
SELECT fraud.end_snooze(max(snooze_id), 'over') FROM fraud.snoozes;
SELECT fraud.snooze('merchant', 'no such shop', now() + interval '1 hour', 'x');
SELECT fraud.snooze('rule', 'no such rule', now() + interval '1 hour', 'x');
SELECT fraud.snooze('source', 'x', now() + interval '1 hour', 'x');
\set VERBOSITY sqlstate
SELECT fraud.snooze('merchant', 'ru_shop', now(), 'x');
\set VERBOSITY default
SELECT fraud.snooze('merchant', 'ru_shop', now() + interval '1 hour', ' ');
SELECT fraud.drop_rule('ru_noisy', 'over'), fraud.drop_rule('ru_loud', 'over');

-- ---------------------------------------------------------------- refused
SELECT fraud.add_rule('ru_x', 'amoun > 5', 'review');
SELECT fraud.add_rule('ru_x', 'amount', 'review');
SELECT fraud.add_rule('ru_x', 'amount > 5, true', 'review');
SELECT fraud.add_rule('ru_x', 'amount > 5 FROM fraud.customers', 'review');
SELECT fraud.add_rule('ru_x', 'EXISTS (SELECT FROM fraud.customers)', 'review');
SELECT fraud.add_rule('ru_x', 'sum(amount) > 5', 'review');
SELECT fraud.add_rule('ru_x', 'row_number() OVER () > 5', 'review');
SELECT fraud.add_rule('ru_x', 'generate_series(1, 2) > 1', 'review');
SELECT fraud.add_rule('ru_x', 'pg_catalog.random() > 0.5', 'review');
SELECT fraud.add_rule('ru_x', 'pg_catalog.now() > occurred_at', 'review');
SELECT fraud.add_rule('ru_x', 'current_user = ''x''', 'review');
SELECT fraud.add_rule('ru_x', 'payment IS NOT NULL', 'review');
-- All that Postgres calls volatile: what takes locks, tells others, sets something or stores something is among it.
CREATE FUNCTION ru_refusal(condition text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM fraud.add_rule('ru_x', condition, 'review');
    PERFORM fraud.drop_rule('ru_x', 'tried');
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN RETURN coalesce(substring(SQLERRM FROM 'it (?:calls a volatile function|depends on the clock or the session)'), SQLERRM);
END $$;
SELECT c.refusal, count(*) > 100 AS many
FROM (SELECT ru_refusal(format('pg_catalog.%I(%s) IS NULL', p.proname, (SELECT string_agg(format('NULL::%s', format_type(t, NULL)), ', ' ORDER BY n) FROM unnest(p.proargtypes) WITH ORDINALITY a(t, n)))) AS refusal
      FROM pg_proc p WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.provolatile = 'v' AND p.prokind = 'f' AND NOT p.proretset
        AND NOT EXISTS (SELECT FROM pg_type t WHERE t.oid = ANY (p.proargtypes::oid[] || p.prorettype) AND t.typtype = 'p' AND t.typname <> 'void')) c GROUP BY 1 ORDER BY 1;
SELECT condition, ru_refusal(condition) FROM (VALUES ('pg_advisory_xact_lock(1) IS NULL'), ('pg_try_advisory_lock(1)'), ('pg_notify(''a'', ''b'') IS NULL'), ('set_config(''a.b'', ''c'', false) = ''c'''),
    ('nextval(''fraud.cases_case_id_seq'') = 0'), ('pg_sleep(1) IS NULL'), ('current_setting(''rules.limit'', true) = ''x'''), ('current_setting(''timezone'') = ''UTC'''), ('inet_client_addr() IS NULL'),
    ('pg_backend_pid() = 0'), ('txid_current() = 0'), ('pg_current_xact_id() IS NULL'), ('current_schema() = ''x'''), ('session_user = ''x'''), ('getpgusername() = ''x''')) c(condition);
DROP FUNCTION ru_refusal(text);
SELECT fraud.add_rule('ru_x', 'is_fraud', 'review');
SELECT fraud.add_rule('ru_x', 'fraud.in_list(merchant, merchant)', 'review');
SELECT fraud.add_rule('ru_x', 'fraud.in_list(''ru_none'', merchant)', 'review');
SELECT fraud.add_rule('ru_x', 'merchant = ''4929000000061234''', 'review');
SELECT fraud.add_rule('ru_x', 'merchan = ''4929000000061234''', 'review');
SELECT fraud.add_rule('ru_x', 'amount > ''card 4929000000061234''', 'review');
SELECT fraud.add_rule('ru_x', 'true', 'deny');
SELECT fraud.add_rule('ru_x', 'true', 'review', on_error => 'stop');
SELECT fraud.add_rule('ru_x', 'true', 'review', mode => 'on');
SELECT fraud.add_rule('ru x', 'true', 'review');
SELECT fraud.add_rule('ru_big', 'true', 'review');
SELECT fraud.add_rule(NULL, 'true', 'review');
SELECT fraud.alter_rule('ru_none', 'true');
SELECT fraud.enforce_rule('ru_none', 'x');
SELECT fraud.enforce_rule('ru_big', '');
SELECT fraud.enforce_rule('ru_big', 'x', 99);
SELECT fraud.drop_rule('ru_none', 'x');
SELECT fraud.drop_rule('ru_big', 'over');
SELECT fraud.rollback_rule('ru_big', 'x');
SELECT count(*) AS kept FROM fraud.rule_versions WHERE rule = 'ru_big';
-- CASE, and dates, whatever the session's settings.
SET datestyle = 'SQL, DMY';
SELECT fraud.add_rule('ru_case', $$CASE WHEN amount = 558 THEN occurred_at::date > '06/05/2016' ELSE false END$$, 'review', mode => 'enforce');
RESET datestyle;
SELECT expression FROM fraud.rule_versions WHERE rule = 'ru_case';
SELECT pay('ru-case', 558);
SELECT matches('ru-case');
SELECT fraud.drop_rule('ru_case', 'over');
-- A reason names what there is.
SELECT fraud.add_rule('ru_typo', 'amount > 1', 'review', 'amount {amout}');
SELECT fraud.add_rule('ru_typo', 'amount > 1', 'review', '{merchant}: count_1h is {count_1h:.0}');
SELECT fraud.add_rule('ru_typo', 'amount > 1', 'review', 'card {4111111111111111}');
SELECT fraud.add_rule('ru_typo', 'amount > 1', 'review', '{merchant} has {}');
SELECT fraud.add_rule('ru_typo', 'amount > 1', 'review', 'amount {amount');
SELECT fraud.add_rule('ru_typo', 'amount > 555', 'review', 'amount {amount}}, {{amount}} {{{ru_gone}}}', mode => 'enforce');
SELECT fraud.add_payment_field('ru_gone', 'text');
SELECT fraud.add_rule('ru_typo', 'amount > 555', 'review', 'amount {amount}}, {{amount}} {{{ru_gone}}}', mode => 'enforce');
SELECT fraud.alter_rule('ru_typo', reason => 'amount {amuont}');
SELECT fraud.alter_rule('ru_typo', 'amount > 556', reason => '{amount} {ru_gome}');
-- What goes later stays as it was written, and stops no payment.
SELECT pay('ru-typo1', 556, '{"ru_gone": "here"}');
SELECT fraud.drop_payment_field('ru_gone');
SELECT pay('ru-typo2', 557, '{"ru_gone": "here"}');
SELECT matches('ru-typo1');
SELECT matches('ru-typo2');
-- What changes nothing is no version; a note is something.
SELECT fraud.alter_rule('ru_typo');
SELECT fraud.alter_rule('ru_nothing');
SELECT fraud.alter_rule('ru_typo', note => 'looked at again');
SELECT fraud.alter_rule('ru_typo', priority => 90), fraud.drop_rule('ru_typo', 'over');
-- Functions of an author get nobody else's rights without a word.
CREATE SCHEMA regress_fraud_author AUTHORIZATION regress_fraud_author;
SET ROLE regress_fraud_author;
CREATE FUNCTION regress_fraud_author.f(numeric) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT true';
SELECT fraud.add_rule('ru_own', 'regress_fraud_author.f(amount)', 'tag'), fraud.add_rule('ru_plain', 'amount > 1', 'tag');
RESET ROLE;
SELECT fraud.alter_rule('ru_own', priority => 50);
SELECT fraud.alter_rule('ru_own', 'regress_fraud_author.f(amount)', priority => 50), fraud.alter_rule('ru_plain', priority => 50);
SELECT fraud.drop_rule('ru_own', 'over'), fraud.drop_rule('ru_plain', 'over');
DROP SCHEMA regress_fraud_author CASCADE;
SET ROLE regress_fraud_author;
INSERT INTO fraud.rules (rule) VALUES ('by hand');
SELECT fraud._write_rule('x', true, 'payments', 'true', 'true', '{}', '{}', '{}', '{}', true, 'block', NULL, 'enforce', NULL, NULL, NULL, NULL, NULL, NULL);
RESET ROLE;
SELECT fraud.revoke_access(r, 'analyst') FROM unnest('{regress_fraud_author,regress_fraud_other}'::text[]) r;
DROP ROLE regress_fraud_author, regress_fraud_other;
DROP FUNCTION pay(text, numeric, jsonb), matches(text);
SELECT fraud.drop_payment_field('ru_device');
SELECT fraud.promote('payments', 1, review_at => 0.053, block_at => 0.506, reason => 'as it came');
