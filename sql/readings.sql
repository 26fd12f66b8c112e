-- What cannot be read is a fault of its field, whichever way it comes in.
SELECT transaction_id, status, error FROM fraud.ingest(
    '[{"cc_num": 4000000000000002, "amt": 1.5, "merchant": "A", "unix_time": 1730134684, "trans_num": "r1"},
      {"cc_num": 4000000000000002, "amt": 1.5, "merchant": "A", "unix_time": 1730134684, "trans_num": "r2", "merch_lat": NaN},
      {"cc_num": 4000000000000002, "amt": 1e400, "merchant": "A", "unix_time": 1730134684, "trans_num": "r3"},
      {"cc_num": 4000000000000002, "amt": 1.5, "merchant": "\ud800", "unix_time": 1730134684, "trans_num": "r4"},
      {"cc_num": 4000000000000002, "amt": 1.5, "merchant": "A", "current_time": 1730134684, "trans_num": "r5"},
      {"cc_num": 4.497913965512794e+18, "amt": 1.5, "merchant": "A", "unix_time": 1730134684, "trans_num": "r6"},
      {"cc_num": 4000000000000002, "amt": 1.5, "merchant": "A", "unix_time": 1730134684, "trans_num": "r7"},{"cc_num":40000000');
SELECT status, error FROM fraud.ingest('{"cc_num": 4.497913965512794e+18, "amt": 1.5, "merchant": "A", "unix_time": 1730134684, "trans_num": "r8"}'::jsonb);
SELECT status FROM fraud.ingest('{"cc_num": 4000000000000002, "amt": 1.5, "merchant": "A", "trans_num": "r9", "trans_date_trans_time": "2024-10-28T16:58:04+02:00"}');
SELECT occurred_at AT TIME ZONE 'UTC' AS utc FROM fraud.transactions WHERE transaction_id = 'r9';
-- Sent again unrepaired it is the same fault; the number of a wrong unit is there to see.
SELECT convert_from(payload, 'UTF8')::jsonb ->> 'merchant' AS merchant, convert_from(payload, 'UTF8')::jsonb ->> 'current_time' AS time
FROM fraud.ingest_errors WHERE transaction_id IN ('r4', 'r5') ORDER BY transaction_id;
SELECT count(*) FROM fraud.ingest_errors WHERE transaction_id ~ '^r[0-9]$' AND convert_from(payload, 'UTF8') ~ '4000000000000002|44979';
SELECT * FROM fraud.ingest('{"cc_num": {"0": 4000000000000002}, "trans_num": {"0": "i1"}, "amt": {"0": 1.5}}');
-- What jsonb has no place for harms nothing beside it.
SELECT transaction_id, status, error FROM fraud.ingest(
    '[{"cc_num": 4000000000000002, "amt": 1.5, "merchant": "A", "unix_time": 1730134684, "trans_num": "r20"},
      {"cc_num": 4000000000000002, "amt": 1.5, "merchant": "A", "unix_time": 1730134684, "trans_num": "r21", "ratio": 1e-99999, "reference": "INV-7"},
      {"cc_num": 4000000000000002, "amt": "x", "merchant": "A", "unix_time": 1730134684, "trans_num": "r22", "ratio": 0e-99999}]');
SELECT transaction_id, attributes FROM fraud.transactions WHERE transaction_id IN ('r20', 'r21') ORDER BY 1;
SELECT r.outcome FROM fraud.ingest_errors e, fraud.retry_dead_letter(e.error_id, '{"amt": 2}') r WHERE e.transaction_id = 'r22';
SELECT mapped, left_over FROM fraud.preview_payments('{"d": [{"n": "r23", "s": 2, "ratio": [1e-99999]}]}', 'auto', '{"payments": "$.d[*]", "fields": {"trans_num": "$.n", "amt": "$.* ? (@ == 2)"}}');
CREATE TABLE references_given AS SELECT '4000000000000002'::text AS cc_num, 'r24'::text AS trans_num, 3 AS amt, 'A'::text AS merchant, 1730134684 AS unix_time, 'INV-8'::text AS reference, 'd1'::text AS device;
SELECT fraud.load_history('references_given');
SELECT attributes FROM fraud.transactions WHERE transaction_id = 'r24';
DROP TABLE references_given;
