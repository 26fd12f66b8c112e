\set SHOW_CONTEXT never
-- What rules and decisions would have done, among payments of which everything is known.
SET client_min_messages = warning;
CREATE ROLE regress_fraud_backtester;
SELECT fraud.grant_access('regress_fraud_backtester', 'analyst');
SELECT fraud.promote('payments', 1, review_at => 0.9999, block_at => 0.99999, reason => 'nothing is alerted');
-- Ten customers pay once a day for 20 days in 2013: 10, and of customer 3 and 4 on the 5th and 15th 900, which is fraud of customer 3.
SELECT count(*) FROM fraud.ingest((SELECT jsonb_agg(jsonb_build_object('customer', 'bt' || c, 'customer_kind', 'account', 'trans_num', 'bt-' || d || '-' || c, 'amt', CASE WHEN c IN (3, 4) AND d IN (5, 15) THEN 900 ELSE 10 END,
    'merchant', 'bt_shop', 'category', 'misc_net', 'trans_date_trans_time', format('2013-05-%s 12:00:0%s', lpad(d::text, 2, '0'), c - 1)) ORDER BY d, c)
    FROM generate_series(1, 20) d, generate_series(1, 10) c));
SELECT count(fraud.label(transaction_id, true, 'chargeback', '2013-06-01', card)) FROM fraud.transactions WHERE transaction_id IN ('bt-5-3', 'bt-15-3');

SELECT metric, item, round(value::numeric, 4) AS value FROM fraud.backtest_rule('amount > 500', '2013-05-01', '2013-05-21') WHERE item IS NULL;
SELECT item, value FROM fraud.backtest_rule('amount > 500', '2013-05-01', '2013-05-21') WHERE metric = 'hits_of_day' AND value > 0;
SELECT count(*) FROM fraud.backtest_rule('amount > 500', '2013-05-01', '2013-05-21') WHERE metric = 'hits_of_day';
-- From and to are those asked for; what is hit by chance is none.
SELECT metric, value FROM fraud.backtest_rule('amount > 500', '2013-05-06', '2013-05-15') WHERE metric IN ('payments', 'hits', 'frauds', 'recall', 'precision');
-- By the features that were scored.
SELECT value FROM fraud.backtest_rule('amount_ratio_30d > 50 AND count_30d > 3', '2013-05-01', '2013-05-21') WHERE metric = 'hits';

-- Lists are as they were at each payment's time.
SELECT fraud.create_list('bt_customers', 'customer');
SELECT fraud.add_to_list('bt_customers', 'account:bt3', reason => 'x');
SELECT value FROM fraud.backtest_rule('fraud.in_list(''bt_customers'', card)', '2013-05-01', '2013-05-21') WHERE metric = 'hits';
UPDATE fraud.list_entries SET added_at = '2013-05-10', "until" = '2013-05-18' WHERE list = 'bt_customers';
SELECT value FROM fraud.backtest_rule('fraud.in_list(''bt_customers'', card)', '2013-05-01', '2013-05-21') WHERE metric = 'hits';
SELECT value FROM fraud.backtest_rule('NOT fraud.in_list(''bt_customers'', customer)', '2013-05-01', '2013-05-21') WHERE metric = 'hits';

-- Beside the other rules, and the alerts that there were.
SELECT fraud.add_rule('bt_large', 'amount OPERATOR(pg_catalog.>) 800', 'review'), fraud.add_rule('bt_listed', 'fraud.in_list(''bt_customers'', card)', 'block');
CREATE FUNCTION bt_own(numeric) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 > 5';
SELECT fraud.add_rule('bt_own', 'bt_own(amount)', 'tag');
SELECT item, value FROM fraud.backtest_rule('amount > 500', '2013-05-01', '2013-05-21') WHERE metric = 'hits_of_rule_too' ORDER BY item;
-- Another's function is run for nobody else.
SET ROLE regress_fraud_backtester;
SELECT item, value FROM fraud.backtest_rule('amount > 500', '2013-05-01', '2013-05-21') WHERE metric = 'hits_of_rule_too' ORDER BY item;
SELECT count(*) FROM fraud.backtest_rule('amount > 500', '2013-05-01', '2013-05-21', with_rules => false) WHERE metric = 'hits_of_rule_too';
SELECT metric, round(present::numeric, 3) AS present, round(candidate::numeric, 3) AS candidate
FROM fraud.backtest_decision('2013-05-01', '2013-05-21', rules => '{bt_large,bt_listed}');
SELECT metric, candidate FROM fraud.backtest_decision('2013-05-01', '2013-05-21', rules => '{bt_large,bt_own}');
RESET ROLE;
-- A decision is what payments would get: the same as they got, where nothing is another.
SELECT metric FROM fraud.backtest_decision('2013-05-01', '2013-05-21', 'payments/1') WHERE present IS DISTINCT FROM candidate;
-- And it is what the payments then do get.
SELECT fraud.enforce_rule('bt_large', 'x'), fraud.enforce_rule('bt_listed', 'x');
UPDATE fraud.list_entries SET added_at = '2013-06-10', "until" = 'infinity' WHERE list = 'bt_customers';
SELECT decision, count(*) FROM fraud.ingest((SELECT jsonb_agg(jsonb_build_object('customer', 'bt' || c, 'customer_kind', 'account', 'trans_num', 'bt-l' || c, 'amt', CASE WHEN c < 3 THEN 900 ELSE 10 END,
    'merchant', 'bt_shop', 'category', 'misc_net', 'trans_date_trans_time', '2013-06-20 12:00:00')) FROM generate_series(1, 10) c)) GROUP BY 1 ORDER BY 1;
SELECT metric, present, candidate FROM fraud.backtest_decision('2013-06-20', '2013-06-21') WHERE metric IN ('payments', 'alerts', 'blocks');
SELECT metric, present, candidate FROM fraud.backtest_decision('2013-06-20', '2013-06-21', rules => '{}') WHERE metric IN ('payments', 'alerts', 'blocks');
SELECT metric, present, candidate FROM fraud.backtest_decision('2013-06-20', '2013-06-21', review_at => 0, block_at => 1, rules => '{}') WHERE metric IN ('payments', 'alerts', 'blocks');
-- allow, raise and lower as they decide payments.
SELECT fraud.add_rule('bt_allow', 'transaction_id IN (''bt-l1'', ''bt-l5'')', 'allow'), fraud.add_rule('bt_raise', 'transaction_id = ''bt-l6''', 'raise'), fraud.add_rule('bt_lower', 'transaction_id IN (''bt-l7'', ''bt-l8'')', 'lower');
SELECT metric, candidate FROM fraud.backtest_decision('2013-06-20', '2013-06-21', review_at => 0, block_at => 1, rules => '{bt_allow,bt_raise,bt_lower}') WHERE metric IN ('alerts', 'blocks');
-- A rule that fails on some of the payments does on these what on_error says, and ends nothing.
CREATE FUNCTION bt_gone() RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
SELECT fraud.add_rule('bt_fails', '10 / (amount - 10) < 0 OR amount = 900', 'review', mode => 'enforce'), fraud.add_rule('bt_fails_too', '1 / (amount - 10) > 5', 'review', on_error => 'block'),
       fraud.add_rule('bt_gone', 'bt_gone()', 'block');
DROP FUNCTION bt_gone();
SELECT metric, present, candidate FROM fraud.backtest_decision('2013-06-20', '2013-06-21', review_at => 1, block_at => 1, rules => '{bt_fails}') WHERE metric IN ('payments', 'alerts', 'blocks', 'failures');
SELECT metric, candidate FROM fraud.backtest_decision('2013-06-20', '2013-06-21', review_at => 1, block_at => 1, rules => '{bt_fails,bt_fails_too,bt_gone,bt_large}') WHERE metric IN ('payments', 'alerts', 'blocks', 'failures');
SELECT fraud.drop_rule('bt_fails', 'over'), fraud.drop_rule('bt_fails_too', 'over'), fraud.drop_rule('bt_gone', 'over');

-- In a read-only transaction, as on a standby.
BEGIN TRANSACTION READ ONLY;
SELECT count(*) > 10 AS told FROM fraud.backtest_rule('amount > 500', '2013-05-01', '2013-05-21');
ROLLBACK;
-- Suggested are conditions that find the frauds; the same again.
CREATE TABLE bt_suggested AS SELECT * FROM fraud.suggest_rules('2013-05-01', '2013-05-21', 3);
SELECT count(*), bool_and((backtest ->> 'frauds_hit')::int > 0) AS hit, bool_or((backtest ->> 'recall')::float8 = 1) AS all_found FROM bt_suggested;
SELECT count(*) AS others FROM (SELECT condition FROM fraud.suggest_rules('2013-05-01', '2013-05-21', 3) EXCEPT SELECT condition FROM bt_suggested) s;
-- They are conditions.
SELECT fraud.add_rule('bt_suggested', (SELECT condition FROM bt_suggested LIMIT 1), 'review');
SET client_min_messages = notice;
SELECT count(*) FROM fraud.suggest_rules('2001-01-01', '2001-01-02');
SET client_min_messages = warning;

-- Refused.
SELECT fraud.backtest_rule('amoun > 500', '2013-05-01', '2013-05-21');
SELECT fraud.backtest_rule('amount > 500', NULL, '2013-05-21');
SELECT fraud.backtest_decision('2013-05-01', '2013-05-21', 'payments/99');
SELECT fraud.backtest_decision('2013-05-01', '2013-05-21', review_at => 0.9, block_at => 0.1);
SELECT fraud.backtest_decision('2013-05-01', '2013-05-21', rules => '{bt_none}');
SELECT fraud.suggest_rules('2013-05-01', '2013-05-21', 0);

-- What is enforced is neither its draft nor what was put back; each in its time.
SELECT fraud.add_rule('bt_enforced', 'amount < 0', 'block', mode => 'enforce'), fraud.alter_rule('bt_enforced', 'amount > 0', mode => 'observe');
SELECT fraud.add_rule('bt_over', 'amount > 0', 'block', mode => 'enforce', valid_until => '2013-05-01');
SELECT candidate = (SELECT candidate FROM fraud.backtest_decision('2013-05-01', '2013-05-21', rules => '{}') WHERE metric = 'blocks') AS no_draft
FROM fraud.backtest_decision('2013-05-01', '2013-05-21', rules => NULL) WHERE metric = 'blocks';
-- An analyst sees it, too, where a rule fails.
SELECT fraud.add_rule('bt_failing', '1 / (amount - amount) > 0', 'review', mode => 'enforce', on_error => 'review');
SET ROLE regress_fraud_backtester;
SELECT value > 0 AS hits FROM fraud.backtest_rule('amount > 0', '2013-05-01', '2013-05-21') WHERE metric = 'hits';
SELECT candidate > 0 AS fails FROM fraud.backtest_decision('2013-05-01', '2013-05-21') WHERE metric = 'failures';
RESET ROLE;

SELECT fraud.drop_rule(rule, 'over') FROM fraud.rules WHERE rule ~ '^bt_' ORDER BY rule;
SELECT fraud.drop_list('bt_customers');
SELECT fraud.revoke_access('regress_fraud_backtester', 'analyst');
DROP ROLE regress_fraud_backtester;
DROP TABLE bt_suggested;
DROP FUNCTION bt_own(numeric);
SELECT fraud.promote('payments', 1, review_at => 0.053, block_at => 0.506, reason => 'as it came');

-- ------------------------------------------- names, periods and many rules
-- Fields that are called as what is internal, or was.
SELECT fraud.add_payment_field(n, CASE n WHEN 'payment' THEN 'text' ELSE 'numeric' END) FROM unnest('{backtest_fraud,backtest_was,backtest_money,backtest_outcome_1,payment,counts,counted,day,hits,days,new_score,t,was,money,mature,band}'::text[]) n;
SELECT metric, value FROM fraud.backtest_rule('amount > 500 AND backtest_fraud IS NULL AND payment IS NULL AND counts IS NULL AND t IS NULL AND day IS NULL', '2013-05-01', '2013-05-21', false) WHERE metric IN ('payments', 'hits', 'frauds');
SELECT metric, present, candidate FROM fraud.backtest_decision('2013-05-01', '2013-05-21', rules => '{}') WHERE metric IN ('payments', 'alerts');
SELECT fraud.add_rule('bt_named', 'backtest_outcome_1 IS NULL AND was IS NULL AND band IS NULL AND 1 / (amount - amount) > 0', 'review', on_error => 'review');
SELECT metric, candidate FROM fraud.backtest_decision('2013-05-01', '2013-05-21', rules => '{bt_named}') WHERE metric IN ('payments', 'failures');
SELECT count(*) > 0 AS suggests FROM fraud.suggest_rules('2013-05-01', '2013-05-21', 2);
SELECT fraud.drop_rule('bt_named', 'over');
SELECT fraud.drop_payment_field(n) FROM unnest('{backtest_fraud,backtest_was,backtest_money,backtest_outcome_1,payment,counts,counted,day,hits,days,new_score,t,was,money,mature,band}'::text[]) n;
-- A period without a payment comes to zeros; what there is nothing to divide by is null.
SELECT * FROM fraud.backtest_rule('amount > 500', '1999-01-01', '1999-01-03');
SELECT * FROM fraud.backtest_decision('1999-01-01', '1999-01-03', rules => '{}');
SELECT metric, value FROM fraud.backtest_rule('amount > 500', '1999-01-03', '1999-01-01') WHERE item IS NULL AND metric IN ('payments', 'hits', 'hits_per_day');
SELECT count(*) FILTER (WHERE metric = 'hits_of_day') > 20 AS days, max(value) FILTER (WHERE metric = 'payments') > 0 AS payments FROM fraud.backtest_rule('amount > 500', '-infinity', 'infinity');
-- Labels count from the moment on, not from the day: of two payments of one day, the one is old enough.
SELECT transaction_id, occurred_at - '2013-05-10' < interval '12 hours' AS early FROM fraud.transactions WHERE occurred_at >= '2013-05-10' AND occurred_at < '2013-05-11' ORDER BY occurred_at LIMIT 3;
SELECT greatest(extract(epoch FROM now() - timestamptz '2013-05-10 12:00+00'), 0)::bigint AS matured \gset
SET fraud_detect.label_maturity = :'matured';
SELECT (SELECT value FROM fraud.backtest_rule('amount > 0', '2013-05-10', '2013-05-11', false) WHERE metric = 'matured_hits') = (SELECT count(*) FROM fraud.transactions WHERE occurred_at >= '2013-05-10' AND occurred_at < '2013-05-10 12:00+00' AND amount > 0) AS to_the_moment,
       (SELECT count(*) FROM fraud.transactions WHERE occurred_at >= '2013-05-10 12:00+00' AND occurred_at < '2013-05-11' AND amount > 0) > 0 AS some_are_not;
RESET fraud_detect.label_maturity;
-- Any number of rules is compared.
SELECT count(fraud.add_rule('bt_many_' || i, 'amount > ' || i, 'tag')) FROM generate_series(1, 130) i;
SELECT count(*), count(value) AS compared, bool_and(value = hits) AS all_too
FROM (SELECT item, value, max(value) FILTER (WHERE metric = 'hits') OVER () AS hits FROM fraud.backtest_rule('amount > 500', '2013-05-01', '2013-05-21')) b WHERE item ~ '^bt_many_';
SELECT count(fraud.drop_rule(rule, 'over')::text) FROM fraud.rules WHERE rule ~ '^bt_many_';
-- Money is summed exactly: ten times 0.10 is 1.
SELECT count(*) FROM fraud.ingest((SELECT jsonb_agg(jsonb_build_object('customer', 'bt' || i, 'customer_kind', 'account', 'trans_num', 'bt-cent-' || i, 'amt', 0.1,
    'merchant', 'bt_shop', 'category', 'misc_net', 'trans_date_trans_time', '2013-08-01 12:00:00')) FROM generate_series(1, 10) i));
SELECT count(fraud.label(transaction_id, true, 'chargeback', '2013-08-02', card)) FROM fraud.transactions WHERE transaction_id ~ '^bt-cent-';
SELECT item IS NULL AS of_all, value FROM fraud.backtest_rule('amount < 1', '2013-08-01', '2013-08-02', false) WHERE metric = 'money_caught';
SELECT metric, present, candidate FROM fraud.backtest_decision('2013-08-01', '2013-08-02', review_at => 0, rules => '{}') WHERE metric ~ '^money';
SELECT metric, value FROM fraud.evaluate('payments', '2013-08-01', '2013-08-02', threshold => 0) WHERE metric ~ '^money';
-- Whatever periods reach to.
SELECT metric, present >= 0 AND candidate >= 0 AS told FROM fraud.backtest_decision('-infinity', 'infinity') WHERE metric IN ('payments', 'alerts_per_day');
SELECT count(*) > 0 AS suggests FROM fraud.suggest_rules('-infinity', 'infinity', 2);
