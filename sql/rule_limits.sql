-- What a rule may cost: a condition that loops, or is huge, holds no payment.
\set SHOW_CONTEXT never
SELECT fraud.promote('payments', 1, review_at => 0.9999, block_at => 0.99999, override_gate => true, reason => 'rules alone');
CREATE FUNCTION rl_pay(id text, amount numeric) RETURNS text LANGUAGE sql AS
$$ SELECT coalesce(decision, 'none') FROM fraud.ingest(jsonb_build_object('cc_num', 4929000000071996, 'trans_num', id, 'amt', amount, 'merchant', 'rl_shop', 'category', 'misc_net', 'unix_time', 1481000000)) $$;
SELECT rl_pay('rl-0', 1);

-- ------------------------------------------------------------- one that loops
CREATE FUNCTION rl_loop(numeric) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN LOOP END LOOP; END $$;
-- It catches the cancel, too.
CREATE FUNCTION rl_stubborn(numeric) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN LOOP BEGIN PERFORM pg_sleep(10); EXCEPTION WHEN query_canceled THEN IF clock_timestamp() > now() + interval '1 s' THEN RETURN true; END IF; END; END LOOP; END $$;
SET fraud_detect.rule_timeout = '200ms';
SET statement_timeout = '60s';
SELECT fraud.add_rule('rl_loop', 'amount > 10 AND rl_loop(amount)', 'block', mode => 'enforce'),
       fraud.add_rule('rl_other', 'amount > 10', 'review', mode => 'enforce'),
       fraud.add_rule('rl_seen', 'amount > 20 AND rl_loop(amount)', 'block');
SELECT rl_pay('rl-1', 5);
SELECT clock_timestamp() AS began \gset
SELECT rl_pay('rl-2', 50);
SELECT clock_timestamp() - :'began' < interval '30 s' AS soon;
SELECT rule, enforced, decided, decision, error FROM fraud.rule_matches WHERE transaction_id = 'rl-2' ORDER BY rule;
SELECT rule, version, mean_ms, stopped FROM fraud.slow_rules WHERE rule ~ '^rl_' ORDER BY rule;
SELECT rule, mode FROM fraud.rule_status WHERE rule ~ '^rl_' ORDER BY rule;
SELECT item, status, detail, advice FROM fraud.health() WHERE item ~ '^rule rl_' ORDER BY item;
-- From then on it is passed over, in this session and in others.
SELECT rl_pay('rl-3', 50);
SELECT count(*) FROM fraud.rule_matches WHERE transaction_id = 'rl-3' AND error IS NOT NULL;
\c -
SET fraud_detect.rule_timeout = '200ms';
SET statement_timeout = '60s';
SELECT rl_pay('rl-4', 50);
SELECT rule, error FROM fraud.rule_matches WHERE transaction_id = 'rl-4' ORDER BY rule;
-- Until somebody has another try.
CREATE OR REPLACE FUNCTION rl_loop(numeric) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT true';
SELECT fraud.enforce_rule('rl_loop', 'mended'), fraud.observe_rule('rl_seen', 'mended'), rl_pay('rl-5', 50);
SELECT rule, mode FROM fraud.rule_status WHERE rule ~ '^rl_' ORDER BY rule;
-- What on_error says is done for the payment that found it.
SELECT fraud.alter_rule('rl_loop', 'amount > 100 AND rl_stubborn(amount)', on_error => 'block');
SELECT rl_pay('rl-6', 500) AS decision;
SELECT rule, decided, error FROM fraud.rule_matches WHERE transaction_id = 'rl-6' AND rule = 'rl_loop';
-- One that catches each is held up by no more than the handlers that it has around.
CREATE FUNCTION rl_endless(numeric) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
DECLARE caught int := 0;
BEGIN
    LOOP
        EXIT WHEN clock_timestamp() > now() + interval '40 s';
        BEGIN
            BEGIN PERFORM pg_sleep(1); EXCEPTION WHEN query_canceled THEN caught := caught + 1; PERFORM pg_sleep(1); END;
        EXCEPTION WHEN query_canceled OR assert_failure THEN
        END;
    END LOOP;
    RETURN true;
END $$;
SELECT fraud.add_rule('rl_endless', 'amount BETWEEN 600 AND 700 AND rl_endless(amount)', 'block', mode => 'enforce', on_error => 'block');
SELECT clock_timestamp() AS began \gset
SELECT rl_pay('rl-e1', 650);
SELECT clock_timestamp() - :'began' < interval '20 s' AS soon;
SELECT rule, decided, error FROM fraud.rule_matches WHERE transaction_id = 'rl-e1' AND rule = 'rl_endless';
SELECT mode FROM fraud.rule_status WHERE rule = 'rl_endless';
-- Nor is who adds it.
CREATE FUNCTION rl_endless_constant(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN LOOP EXIT WHEN clock_timestamp() > now() + interval '40 s'; BEGIN PERFORM pg_sleep(1); EXCEPTION WHEN query_canceled THEN END; END LOOP; RETURN true; END $$;
SELECT clock_timestamp() AS began \gset
SELECT fraud.add_rule('rl_endless_too', 'amount > 1 AND rl_endless_constant(1)', 'block');
SELECT clock_timestamp() - :'began' < interval '20 s' AS soon;
-- A condition that adds another while it is prepared has no more time for it, and cancels are heard after it.
CREATE FUNCTION rl_nested(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN PERFORM fraud.add_rule('rl_inner', 'amount > 1', 'tag'); PERFORM pg_sleep(20); RETURN true; END $$;
SELECT fraud.add_rule('rl_outer', 'amount > 1 AND rl_nested(1)', 'tag');
SET statement_timeout = '300ms';
SELECT pg_sleep(30);
SET statement_timeout = '60s';
DROP FUNCTION rl_nested(int);
-- What comes after it is not canceled.
SELECT count(*) FROM generate_series(1, 10) i, pg_sleep(0.05);
SELECT fraud.drop_rule('rl_endless', 'over');
DROP FUNCTION rl_endless(numeric), rl_endless_constant(int);
-- fraud.assess is not held either.
SELECT fraud.enforce_rule('rl_loop', 'again');
SELECT decision FROM fraud.assess('{"cc_num": 4929000000071996, "trans_num": "rl-a", "amt": 500, "merchant": "rl_shop", "category": "misc_net", "unix_time": 1481000000}');
-- A cancel of somebody else's is one.
CREATE FUNCTION rl_sleep(numeric) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM pg_sleep(30); RETURN true; END $$;
SELECT fraud.alter_rule('rl_loop', 'amount > 1000 AND rl_sleep(amount)', on_error => 'ignore');
SET fraud_detect.rule_timeout = '60s';
SET statement_timeout = '300ms';
SELECT rl_pay('rl-7', 5000);
SET statement_timeout = '60s';
SET fraud_detect.rule_timeout = '200ms';

-- ------------------------------------------------- what is found when it is added
CREATE FUNCTION rl_constant(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN LOOP END LOOP; END $$;
SELECT fraud.add_rule('rl_constant', 'amount > 1 AND rl_constant(1)', 'review');
SELECT fraud.add_rule('rl_huge', (SELECT string_agg('amount = ' || i, ' OR ') FROM generate_series(1, 5000) i), 'review');
-- It was quick then: what it is now, is found by the payment.
CREATE OR REPLACE FUNCTION rl_constant(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
SELECT fraud.add_rule('rl_constant', 'amount > 1 AND rl_constant(1)', 'review', mode => 'enforce');
CREATE OR REPLACE FUNCTION rl_constant(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN LOOP END LOOP; END $$;
\c -
SET fraud_detect.rule_timeout = '200ms';
SET statement_timeout = '60s';
SELECT rl_pay('rl-8', 5);
SELECT rule, mode FROM fraud.rule_status WHERE rule = 'rl_constant';
-- One that only fails is as before.
SELECT fraud.add_rule('rl_fails', '1 / 0 > amount', 'review', mode => 'enforce');
SELECT rl_pay('rl-9', 5);
SELECT rule, error FROM fraud.rule_matches WHERE transaction_id = 'rl-9' ORDER BY rule;

SELECT fraud.disable_rule('rl_loop', 'over');
-- Where the payment that found it is taken back, so is what was noted: the next finds it again, and on_error holds.
SELECT fraud.add_rule('rl_back', 'amount BETWEEN 2000 AND 3000 AND rl_sleep(amount)', 'block', mode => 'enforce', on_error => 'block');
BEGIN;
SELECT rl_pay('rl-10', 2500);
ROLLBACK;
SELECT rl_pay('rl-11', 2500);
SELECT rule, decided, error FROM fraud.rule_matches WHERE transaction_id IN ('rl-10', 'rl-11') AND rule = 'rl_back';
SELECT mode FROM fraud.rule_status WHERE rule = 'rl_back';
-- The statement's own time is over while nothing can be interrupted, and so is the rule's.
CREATE FUNCTION rl_busy(numeric) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
DECLARE long text := repeat(repeat('x', 1000), 60000);
BEGIN RETURN md5(long) || md5(long) || md5(long) || md5(long) || md5(long) || md5(long) || md5(long) || md5(long) || md5(long) || md5(long) <> ''; END $$;
SELECT fraud.add_rule('rl_busy', 'amount BETWEEN 4000 AND 4100 AND rl_busy(amount)', 'review', mode => 'enforce');
SET fraud_detect.rule_timeout = '400ms';
SET statement_timeout = '300ms';
SELECT rl_pay('rl-12', 4050);
SET statement_timeout = '60s';
SELECT mode FROM fraud.rule_status WHERE rule = 'rl_busy';
-- What it catches is not caught for good.
SET fraud_detect.rule_timeout = '2s';
SET statement_timeout = '300ms';
SELECT fraud.alter_rule('rl_busy', 'amount BETWEEN 4000 AND 4100 AND rl_stubborn(amount)');
SELECT rl_pay('rl-13', 4050);
SET statement_timeout = '60s';
SET fraud_detect.rule_timeout = '200ms';
SELECT fraud.disable_rule('rl_busy', 'over');
-- Nor does it store anything by a function that says it does.
CREATE TABLE rl_stored(amount numeric);
CREATE FUNCTION rl_store(numeric) RETURNS void LANGUAGE sql VOLATILE AS 'INSERT INTO public.rl_stored VALUES ($1)';
CREATE FUNCTION rl_calls(numeric) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM public.rl_store($1); RETURN true; END $$;
SELECT fraud.add_rule('rl_calls', 'amount = 4200 AND rl_calls(amount)', 'tag');
SELECT rl_pay('rl-14', 4200);
SELECT error FROM fraud.rule_matches WHERE transaction_id = 'rl-14' AND rule = 'rl_calls';
-- Times are read alike, whatever the session's settings.
SELECT fraud.add_rule('rl_early', 'amount = 4300 AND occurred_at::time < ''06:00''', 'tag');
SET timezone = 'Pacific/Auckland';
SELECT rl_pay('rl-15', 4300);
RESET timezone;
SELECT count(*) FROM fraud.rule_matches WHERE transaction_id = 'rl-15' AND rule = 'rl_early';

-- What is not in its time is not even planned.
CREATE FUNCTION rl_planned(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN true; END $$;
SELECT fraud.add_rule('rl_over', 'amount > 1 AND rl_planned(1)', 'block', mode => 'enforce', on_error => 'block', valid_until => now() - interval '1 minute'),
       fraud.add_rule('rl_to_come', 'amount > 1 AND rl_planned(1)', 'block', mode => 'enforce', on_error => 'block', valid_from => now() + interval '1 day'),
       fraud.add_rule('rl_now', 'amount > 1 AND NOT rl_planned(1)', 'block', mode => 'enforce', valid_from => now() - interval '1 day', valid_until => now() + interval '1 day');
CREATE OR REPLACE FUNCTION rl_planned(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE NOTICE 'planned'; RETURN 1 / ($1 - 1) > 0; END $$;
SELECT rl_pay('rl-17', 5);
SELECT fraud.drop_rule('rl_now', 'over');
SELECT rl_pay('rl-18', 5);
SELECT rule, error FROM fraud.rule_matches WHERE transaction_id IN ('rl-17', 'rl-18') AND rule IN ('rl_over', 'rl_to_come', 'rl_now');
SELECT fraud.drop_rule('rl_over', 'over'), fraud.drop_rule('rl_to_come', 'over');
DROP FUNCTION rl_planned(int);

SELECT count(fraud.drop_rule(rule, 'over')::text) AS dropped FROM fraud.rules WHERE rule ~ '^rl_';
DROP FUNCTION rl_loop(numeric);
DROP FUNCTION rl_stubborn(numeric);
DROP FUNCTION rl_sleep(numeric);
DROP FUNCTION rl_constant(int);
DROP FUNCTION rl_busy(numeric);
DROP FUNCTION rl_calls(numeric);
DROP FUNCTION rl_store(numeric);
DROP TABLE rl_stored;
DROP FUNCTION rl_pay(text, numeric);
SELECT fraud.promote('payments', 1, review_at => 0.053, block_at => 0.506, reason => 'as it came');
