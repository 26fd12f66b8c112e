\set SHOW_CONTEXT never
-- Sources: what a user can do and get wrong. (What the worker does with them is
-- tested in test/t.)
SELECT fraud.add_source('api', 'http://127.0.0.1:1/', poll_interval => '1 day', headers => '{"X-Api-Key": "secret"}');
SELECT fraud.pause_source('api');
SELECT name, state, poll_interval, stored, duplicates, rejected FROM fraud.source_status;
SELECT fraud.poll_now('api');
SELECT fraud.add_source('api', 'http://127.0.0.1:1/');
SELECT fraud.add_source('no way', 'http://127.0.0.1:1/');
SELECT fraud.add_source(NULL, 'http://127.0.0.1:1/');
SELECT fraud.add_source('b', 'ftp://127.0.0.1/');
SELECT fraud.add_source('b', 'file:///etc/passwd');
SELECT fraud.add_source('b', 'http://127.0.0.1:1/ x');
SELECT fraud.add_source('b', 'http://127.0.0.1:1/', format => 'xml');
SELECT fraud.add_source('b', 'http://127.0.0.1:1/', poll_interval => '1 ms');
SELECT fraud.add_source('b', 'http://127.0.0.1:1/', poll_interval => '2 days');
SELECT fraud.add_source('b', 'http://127.0.0.1:1/', headers => '[]');
SELECT fraud.add_source('b', 'http://127.0.0.1:1/', headers => '{"X-Key": 5}');
SELECT fraud.add_source('b', 'http://127.0.0.1:1/', headers => '{"X Key": "5"}');
SELECT fraud.add_source('b', 'http://127.0.0.1:1/', headers => '{"X-Key": "5\r\nHost: other"}');
SELECT fraud.pause_source('nix');
SELECT fraud.resume_source('nix');
SELECT fraud.drop_source('nix');
SELECT fraud.poll_now('nix');
SELECT fraud.drop_source('api');
SELECT count(*) FROM fraud.source_status;

-- Settings.
SET fraud_detect.report_timezone = 'Nowhere/Atall';
SET fraud_detect.misspelt = 1;
SELECT name, setting, unit, context FROM pg_settings WHERE name LIKE 'fraud_detect.%' ORDER BY name COLLATE "C";
