\set SHOW_CONTEXT never
-- Sources: what a user can do and get wrong. (What the worker does with them is
-- tested in test/t.)
SELECT fraud.add_source('api', 'http://127.0.0.1:1/', poll_interval => '1 day', headers => '{"X-Api-Key": "secret"}');
SELECT fraud.pause_source('api');
SELECT name, state, poll_interval, stored, duplicates, rejected, differing, waiting FROM fraud.source_status;
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
-- What says where a message ends, and to whom it goes, is not a user's to say.
SELECT fraud.add_source('b', 'https://127.0.0.1:1/', headers => '{"X-Key": "5", "hOst": "other"}');
SELECT fraud.add_source('b', 'https://127.0.0.1:1/', request => '{"auth": {"kind": "api_key", "header": "Transfer-Encoding"}}', secrets => '{"key": "chunked"}');
SELECT fraud.add_source('b', 'https://127.0.0.1:1/', headers => '{"Authorization": "x"}', request => '{"auth": {"kind": "bearer"}}', secrets => '{"token": "y"}');
SELECT fraud.add_source('b', 'https://127.0.0.1:1/', headers => '{"x-key": "x"}', request => '{"auth": {"kind": "api_key", "header": "X-Key"}}', secrets => '{"key": "y"}');
SELECT fraud.add_source('b', 'https://127.0.0.1:1/', headers => '{"If-None-Match": "x"}', request => '{"conditional": true}');
CREATE FUNCTION refused(header text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM fraud.add_source('b', 'https://127.0.0.1:1/', headers => jsonb_build_object(header, 'x'));
    RETURN false;
EXCEPTION WHEN invalid_parameter_value THEN
    RETURN SQLERRM LIKE 'header % is set by fraud_detect itself';
END
$$;
SELECT h AS taken FROM unnest('{Host,content-length,Transfer-Encoding,Connection,TE,Trailer,Upgrade,Expect,Keep-Alive,Proxy-Authorization,HTTP2-Settings}'::text[]) h WHERE NOT refused(h);
DROP FUNCTION refused(text);
SELECT fraud.pause_source('nix');
SELECT fraud.resume_source('nix');
SELECT fraud.alter_source('nix');
SELECT fraud.drop_source('nix');
SELECT fraud.poll_now('nix');
SELECT fraud.add_source('b', 'http://127.0.0.1:1/', max_poll_payments => 0);
SELECT fraud.add_source('b', 'http://127.0.0.1:1/', max_poll_payments => 250001);
SELECT fraud.add_source('b', 'http://127.0.0.1:1/', max_waiting_payments => -1);

-- What is given is changed, checked as when it is added; what is not stays, credentials too.
CREATE VIEW as_kept AS SELECT url, format, poll_interval, headers, max_poll_payments, max_waiting_payments, paused FROM fraud.sources WHERE name = 'api';
SELECT fraud.alter_source('api');
SELECT * FROM as_kept;
SELECT fraud.alter_source('api', format => 'split', poll_interval => '1 mon -29 days', max_poll_payments => 10, max_waiting_payments => 20);
SELECT * FROM as_kept;
SELECT fraud.alter_source('api', headers => '{"X-Api-Key": "secret2"}', reset => '{max_poll_payments}');
SELECT * FROM as_kept;
SELECT fraud.alter_source('api', url => 'ftp://127.0.0.1/');
SELECT fraud.alter_source('api', url => 'https://api.example/');
SELECT fraud.alter_source('api', url => 'https://api.example/', headers => '{"X Key": "5"}');
SELECT fraud.alter_source('api', format => 'xml');
SELECT fraud.alter_source('api', poll_interval => '1 ms');
SELECT fraud.alter_source('api', max_waiting_payments => 0);
SELECT fraud.alter_source('api', reset => '{url}');
SELECT fraud.alter_source('api', reset => '{NULL}');
SELECT fraud.alter_source(NULL);
SELECT fraud.alter_source('api', url => 'https://api.example/', reset => '{headers,max_waiting_payments}');
SELECT * FROM as_kept;
-- It is polled at once, but for one that is paused.
BEGIN;
SELECT fraud.alter_source('api', format => 'ndjson');
SELECT count(*) FROM fraud.poll_requests WHERE xmin = pg_current_xact_id()::xid;
ROLLBACK;
-- For whom card numbers count that come from there: who gave the URL.
CREATE ROLE regress_fraud_other;
SELECT fraud.grant_access('regress_fraud_other', 'operator');
SET ROLE regress_fraud_other;
SELECT fraud.alter_source('api', format => 'auto');
RESET ROLE;
SELECT url_by = created_by AS same FROM fraud.sources;
SET ROLE regress_fraud_other;
SELECT fraud.alter_source('api', url => 'https://api.example/2');
SELECT * FROM fraud.sources;
RESET ROLE;
SELECT url_by, created_by = current_user AS created_by_us FROM fraud.sources;
SELECT fraud.revoke_access('regress_fraud_other', 'operator');
DROP ROLE regress_fraud_other;
DROP VIEW as_kept;
SELECT fraud.drop_source('api');
SELECT count(*) FROM fraud.source_status;

-- Settings.
SET fraud_detect.report_timezone = 'Nowhere/Atall';
SET fraud_detect.misspelt = 1;
SELECT name, setting, unit, context FROM pg_settings WHERE name LIKE 'fraud_detect.%' ORDER BY name COLLATE "C";
