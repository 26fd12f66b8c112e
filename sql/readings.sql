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
