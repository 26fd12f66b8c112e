\set SHOW_CONTEXT never
-- Labels: added, never changed; each counts from its known_at on.
SELECT fraud.label('h1', true, 'chargeback', '2019-05-01') IS NOT NULL AS id;
SELECT is_fraud, source, known_at FROM fraud.current_labels WHERE transaction_id = 'h1';
SELECT fraud.label('h1', false) IS NOT NULL AS id;
SELECT is_fraud, source FROM fraud.current_labels WHERE transaction_id = 'h1';
SELECT fraud.label('h1', true, 'later', now() + interval '1 day') IS NOT NULL AS id;
SELECT is_fraud, source FROM fraud.current_labels WHERE transaction_id = 'h1';
SELECT count(*) FROM fraud.labels WHERE transaction_id = 'h1';

SELECT fraud.label('nix', true);
SELECT fraud.label('w-1', true);
SELECT fraud.label('w-1', true, card => (SELECT card FROM fraud.customers WHERE last_four = '0030')) IS NOT NULL AS id;
SELECT fraud.label('w-1', true, card => '00000000-0000-0000-0000-000000000000');
SELECT fraud.label('h1', true, 'early', '2019-02-01');
SELECT fraud.label('h1', NULL);
