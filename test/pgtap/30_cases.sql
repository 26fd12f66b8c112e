-- Cases as analysts see them: what each kind of access may do with them, what a decision
-- leaves behind, and in whose name.
\ir setup.sql
SET LOCAL search_path = :tap, pg_catalog, pg_temp;
SELECT plan(22);

-- A champion of ours that blocks all, for this transaction; a payment of now, so that no month is made.
\set payment 'jsonb_build_object(''cc_num'', 4000000000000077, ''trans_num'', ''fraud-test-'' || n, ''amt'', 100 + n, ''merchant'', ''Shop'', ''current_time'', floor(extract(epoch FROM now()) * 1000))'
SELECT (SELECT version FROM fraud.model_aliases WHERE model = 'payments' AND alias = 'champion') AS champion \gset
SELECT lives_ok(format($$ SELECT fraud.promote('payments', %s, review_at => 0.0, block_at => 0.0, override_gate => true, reason => 'test') $$, :champion),
                'a champion that alerts all');
CREATE TEMP TABLE stored AS SELECT i.* FROM generate_series(1, 2) n, fraud.ingest(:payment) i;
SELECT results_eq($$ SELECT status, decision FROM stored ORDER BY transaction_id $$, $$ VALUES ('stored', 'block'), ('stored', 'block') $$,
                  'two payments of one card, both blocked');
SELECT case_id AS matter FROM fraud.alerts WHERE transaction_id = 'fraud-test-1' \gset
CREATE TEMP VIEW matter AS SELECT c.* FROM fraud.cases c WHERE c.case_id IN (SELECT a.case_id FROM fraud.alerts a WHERE a.transaction_id ~ '^fraud-test-');
GRANT SELECT ON matter TO PUBLIC;
SELECT results_eq($$ SELECT status, alerts, decision, amount, status_by FROM matter $$, $$ VALUES ('open', 2, 'block', 203.00::numeric(14, 2), NULL::name) $$,
                  'make one open case, with the sum of both');

-- Who may.
SELECT is(pg_temp.outcome(k.role, format('SELECT fraud.confirm_case(%s)', :matter)), '42501 permission denied for function confirm_case',
          k.kind || ' may not decide a case')
FROM kinds k WHERE k.kind IN ('score', 'ingest', 'scientist', 'operator') ORDER BY k.place;
SELECT is(pg_temp.outcome('fraud_test_nobody', format('SELECT fraud.confirm_case(%s)', :matter)), '42501 permission denied for schema fraud',
          'who has no access does not even see the schema');
SELECT is(pg_temp.outcome('fraud_test_analyst', format($$ UPDATE fraud.cases SET status = 'dismissed' WHERE case_id = %s $$, :matter)),
          '42501 permission denied for view cases', 'nor does an analyst change the table');
SELECT is(pg_temp.outcome('fraud_test_analyst', format($$ INSERT INTO fraud.labels (card, transaction_id, is_fraud, source, known_at) SELECT card, 'fraud-test-1', true, 'x', now() FROM fraud.cases WHERE case_id = %s $$, :matter)),
          '42501 permission denied for table labels', 'or writes labels past the functions');

-- A decision, and its way back.
SELECT is(pg_temp.outcome('fraud_test_analyst', format('SELECT (fraud.acknowledge_case(%s)).status', :matter)), 'acknowledged', 'an analyst takes it');
SELECT results_eq('SELECT status, status_by FROM matter', $$ VALUES ('acknowledged', 'fraud_test_analyst'::name) $$, 'which is in his name');
SELECT is(pg_temp.outcome('fraud_test_analyst', format('SELECT fraud.acknowledge_case(%s)', :matter)),
          format('55000 case %s is acknowledged, expected open', :matter), 'once');
SELECT is(pg_temp.outcome('fraud_test_analyst', format($$ SELECT (fraud.confirm_case(%s, 'called: card 4000 0000 0000 0077')).status $$, :matter)), 'confirmed', 'and confirms it');
SELECT results_eq($$ SELECT is_fraud, source, recorded_by FROM fraud.labels WHERE transaction_id ~ '^fraud-test-' $$,
                  $$ SELECT true, 'analyst', 'fraud_test_analyst'::name FROM generate_series(1, 2) $$, 'each payment has a label by him');
SELECT results_eq($$ SELECT is_fraud FROM fraud.transactions WHERE transaction_id ~ '^fraud-test-' AND occurred_at >= now() - interval '1 day' $$,
                  $$ SELECT true FROM generate_series(1, 2) $$, 'which counts at once');
SELECT is(pg_temp.outcome('fraud_test_analyst', format('SELECT (fraud.reopen_case(%s)).status', :matter)), 'open', 'he takes it back');
SELECT is_empty($$ SELECT * FROM fraud.current_labels WHERE transaction_id ~ '^fraud-test-' $$, 'and nothing is known of the payments');
SELECT is((SELECT count(*)::int FROM fraud.labels WHERE transaction_id ~ '^fraud-test-'), 4, 'though what was said stays written');
SELECT results_eq(format($$ SELECT old_status, new_status, changed_by FROM fraud.case_history WHERE case_id = %s ORDER BY event_id $$, :matter),
    $$ VALUES ('open', 'acknowledged', 'fraud_test_analyst'::name), ('acknowledged', 'confirmed', 'fraud_test_analyst'), ('confirmed', 'open', 'fraud_test_analyst') $$,
    'as does who did what');
SELECT is_empty(format($$ SELECT note FROM fraud.case_history WHERE case_id = %s AND note ~ '4000.?0000.?0000.?0077' $$, :matter),
                'a card number in a note is not kept');
SELECT throws_ok(format('DELETE FROM fraud.case_history WHERE case_id = %s', :matter), NULL, 'not even the owner rewrites the history');
SELECT * FROM finish();
ROLLBACK;
