-- Labels as their users see them: which one counts, from when, and in whose name.
\ir setup.sql
SET LOCAL search_path = :tap, pg_catalog, pg_temp;
SELECT plan(22);

CREATE TEMP TABLE stored AS SELECT i.* FROM fraud.ingest(jsonb_build_object('cc_num', 4000000000000077, 'trans_num', 'fraud-test-1',
    'amt', 100, 'merchant', 'Shop', 'current_time', floor(extract(epoch FROM now()) * 1000))) i;
SELECT results_eq('SELECT status FROM stored', $$ VALUES ('stored') $$, 'a payment of now');
CREATE TEMP VIEW payment AS SELECT t.* FROM fraud.transactions t WHERE t.transaction_id = 'fraud-test-1' AND t.occurred_at > now() - interval '1 hour';
CREATE TEMP VIEW label AS SELECT l.is_fraud, l.source FROM fraud.current_labels l WHERE l.transaction_id = 'fraud-test-1';
SELECT results_eq('SELECT is_fraud, label_known_at FROM payment', 'SELECT NULL::boolean, NULL::timestamptz', 'nobody has said anything of it');

SELECT is(pg_temp.outcome(k.role, $$ SELECT fraud.label('fraud-test-1', true) $$), '42501 permission denied for function label', k.kind || ' labels nothing')
FROM kinds k WHERE k.kind IN ('score', 'ingest', 'scientist', 'operator') ORDER BY k.place;
SELECT matches(pg_temp.outcome('fraud_test_analyst', $$ SELECT fraud.label('fraud-test-1', true, 'chargeback') $$), '^\d+$', 'an analyst does');
SELECT results_eq('SELECT is_fraud, source FROM label', $$ VALUES (true, 'chargeback') $$, 'it counts');
SELECT results_eq('SELECT is_fraud, label_known_at FROM payment', 'SELECT true, now()', 'for the payment, too');
SELECT results_eq($$ SELECT recorded_by FROM fraud.labels WHERE transaction_id = 'fraud-test-1' $$, $$ VALUES ('fraud_test_analyst'::name) $$, 'in his name');

-- What is known later does not count yet.
SELECT matches(pg_temp.outcome('fraud_test_analyst', $$ SELECT fraud.label('fraud-test-1', false, 'chargeback', now() + interval '5 minutes') $$), '^\d+$', 'a label that is known in a moment');
SELECT results_eq('SELECT is_fraud, source FROM label', $$ VALUES (true, 'chargeback') $$, 'does not count yet');
SELECT matches(pg_temp.outcome('fraud_test_analyst', $$ SELECT fraud.label('fraud-test-1', false, 'chargeback', now() + interval '1 day') $$),
               '^22023 known_at .* is in the future, beyond fraud_detect.max_future$', 'nobody knows what he learns tomorrow');

SELECT is(pg_temp.outcome('fraud_test_analyst', $$ SELECT fraud.label('fraud-test-none', true) $$), 'P0002 payment "fraud-test-none" does not exist', 'no label for what is not there');
SELECT is(pg_temp.outcome('fraud_test_analyst', $$ SELECT fraud.label('fraud-test-1', true, known_at => now() - interval '1 year') $$),
          (SELECT format('22023 known_at %s is before the payment''s own time %s', now() - interval '1 year', occurred_at) FROM payment),
          'nor one that was known before the payment was made');
-- What an analyst says against a chargeback, and what was believed when.
SELECT matches(pg_temp.outcome('fraud_test_analyst', $$ SELECT fraud.label('fraud-test-1', true, 'analyst') $$), '^55000 1 payment is labelled legitimate by others$', 'an analyst who contradicts a chargeback is asked');
SELECT matches(pg_temp.outcome('fraud_test_analyst', $$ SELECT fraud.label('fraud-test-1', true, 'analyst', overrule => true) $$), '^\d+$', 'whether he means it');
SELECT results_eq($$ SELECT b.is_fraud, b.source FROM fraud.label_as_of('fraud-test-1', now() + interval '6 minutes') b $$, $$ VALUES (true, 'analyst') $$, 'then it counts');
SELECT matches(pg_temp.outcome('fraud_test_analyst', $$ SELECT * FROM fraud.label_as_of('fraud-test-1') $$), '^', 'he may ask what was believed');
SELECT throws_ok($$ DELETE FROM fraud.labels $$, '55000', NULL, 'labels are not deleted');
SELECT throws_ok($$ UPDATE fraud.labels SET is_fraud = false $$, '55000', NULL, 'nor changed');
SELECT throws_ok($$ DELETE FROM fraud.promotions $$, NULL, 'history is not deleted');
SELECT * FROM finish();
ROLLBACK;
