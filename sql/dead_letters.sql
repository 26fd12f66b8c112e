-- Dead letters: what is kept of them, and what sends them again. (What the workers make of them is in test/t/033_letters.pl.)
\pset format unaligned
\pset tuples_only on
SELECT status, error FROM fraud.ingest('[
 {"cc_num": 4929000000881231, "trans_num": "dl-1", "amt": "five", "merchant": "m", "unix_time": 1480000000},
 {"cc_num": "4929 0000 0088 12x1", "trans_num": "dl-2", "amt": 5, "merchant": "m", "unix_time": 1480000000},
 {"card": "00000000-0000-8000-8000-000000000001", "trans_num": "dl-3", "merchant": "m", "unix_time": 1480000000}]', 'letters');
SELECT transaction_id, reason, card IS NOT NULL AS card, last_four, occurred_at IS NULL AS unread, received_at = now() AS now FROM fraud.ingest_errors WHERE source = 'letters' ORDER BY transaction_id;
SELECT error_id AS first FROM fraud.ingest_errors WHERE transaction_id = 'dl-1' AND source = 'letters' \gset

-- Arguments.
\set VERBOSITY default
SELECT fraud.retry_dead_letters();
SELECT fraud.retry_dead_letter(NULL);
SELECT fraud.retry_dead_letter(:first, '[]');
SELECT fraud.retry_dead_letter(-1);
SELECT fraud.retry_dead_letter(:first, '{"amt": "six"}');
SELECT fraud.retry_dead_letter(:first, '{"amt": 1e400}');
SELECT outcome, detail FROM fraud.retry_dead_letters(ids => ARRAY[:first, NULL, -1]) ORDER BY error_id;
SELECT outcome, detail FROM fraud.retry_dead_letters(ids => ARRAY[:first], source => 'another');
SELECT count(*) FROM fraud.retry_dead_letters(ids => '{}');
SELECT count(*) FROM fraud.retry_dead_letters(source => 'no such');

-- What is missing.
SELECT outcome, detail FROM fraud.retry_dead_letters(source => 'letters') ORDER BY error_id;
SELECT outcome, detail FROM fraud.retry_dead_letters(source => 'letters', reason => 'amt is %') ORDER BY error_id;
SELECT count(*) FROM fraud.ingest_errors WHERE source = 'letters';

-- Taken in, with its source, and off the list; no card number is in the audit log.
BEGIN;
SELECT outcome, detail FROM fraud.retry_dead_letter(:first, '{"amt": 5, "cc_num": 4929000000881231}');
SELECT transaction_id, source, received_at < clock_timestamp() AS before FROM fraud.inbox WHERE transaction_id = 'dl-1';
SELECT count(*) FROM fraud.ingest_errors WHERE source = 'letters';
SELECT object_kind, new FROM fraud.audit_log WHERE action = 'retry' ORDER BY audit_id DESC LIMIT 2;
ROLLBACK;

-- A number that no double holds is what can be repaired.
BEGIN;
UPDATE fraud.ingest_errors SET payload = convert_to(replace(convert_from(payload, 'UTF8'), '"five"', '1e400'), 'UTF8') WHERE error_id = :first;
UPDATE fraud.ingest_errors SET payload_size = length(payload) WHERE error_id = :first;
SELECT outcome FROM fraud.retry_dead_letter(:first, '{"amt": 5}');
ROLLBACK;

-- What is too long is cut, and says so.
SET fraud_detect.max_dead_letter_size = '1kB';
SELECT status FROM fraud.ingest(jsonb_build_object('cc_num', 4929000000881231, 'trans_num', 'dl-4', 'amt', 'x', 'merchant', 'm', 'unix_time', 1480000000, 'more', repeat('y', 3000)), 'letters');
RESET fraud_detect.max_dead_letter_size;
SELECT reason, length(payload), payload_size FROM fraud.ingest_errors WHERE transaction_id = 'dl-4';
SELECT outcome, detail FROM fraud.retry_dead_letters(source => 'letters', reason => '%are kept%');

-- One that fails fails all, and is named.
SELECT fraud.add_feature('payments', 'letters_inverse', '1 / (amount - 13.13)');
SELECT fraud.ingest('[
 {"cc_num": 4929000000881231, "trans_num": "dl-5", "amt": 5, "merchant": "m", "unix_time": 1480000000},
 {"cc_num": 4929000000881231, "trans_num": "dl-6", "amt": 13.13, "merchant": "m", "unix_time": 1480000000}]');
SELECT fraud.assess('{"cc_num": 4929000000881231, "trans_num": "dl-6", "amt": 13.13, "merchant": "m", "unix_time": 1480000000}');
SELECT fraud.drop_feature('payments', 'letters_inverse');
SELECT fraud.add_window_feature('payments', 'letters_window', 'sum', '1 / (amount - 13.13)', 'merchant', '1 day', include_current => true);
SELECT fraud.ingest('{"cc_num": 4929000000881231, "trans_num": "dl-6", "amt": 13.13, "merchant": "m", "unix_time": 1480000000}');
SELECT fraud.drop_feature('payments', 'letters_window');

-- So many months in one transaction.
SET fraud_detect.max_new_months = 1;
SELECT fraud.ingest((SELECT jsonb_agg(jsonb_build_object('cc_num', 4929000000881231, 'trans_num', 'dl-m' || i, 'amt', 5, 'merchant', 'm', 'unix_time', 86400 * 40 * i)) FROM generate_series(1, 3) i));
RESET fraud_detect.max_new_months;
DELETE FROM fraud.ingest_errors WHERE source = 'letters';
