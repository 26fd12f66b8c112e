\set SHOW_CONTEXT never
-- Requests of sources: what can be given and what is wrong with it. (What the worker makes of
-- them is tested in test/t/042_requests.pl; each key in test/unit/request_test.cpp.)
SELECT fraud.add_source('r', 'https://bank.example/', request => '{"methode": "GET"}');
SELECT fraud.add_source('r', 'https://bank.example/', request => '[1]');
SELECT fraud.add_source('r', 'https://bank.example/', request => '{"query": {"from": "{{sinse}}"}}');
SELECT fraud.add_source('r', 'https://bank.example/', request => '{"paging": {"kind": "scroll"}}');
SELECT fraud.add_source('r', 'https://bank.example/', request => '{"paging": {"kind": "cursor", "path": "$.*"}}');
SELECT fraud.add_source('r', 'https://bank.example/', request => '{"since": {"overlap": "soon"}}');
SELECT fraud.add_source('r', 'https://bank.example/', request => '{"since": {"overlap": "-1 minute"}}');
SELECT fraud.add_source('r', 'https://bank.example/', request => '{"since": {"first": "2026-13-01"}}');
SELECT fraud.add_source('r', 'https://bank.example/', request => '{"since": {"first": null}}');
SELECT fraud.add_source('r', 'https://bank.example/', request => '{"since": {"last": "1 day"}}');
SELECT fraud.add_source('r', 'https://bank.example/', request => '{"auth": {"kind": "basic", "user": "u"}}');
SELECT fraud.add_source('r', 'https://bank.example/', request => '{"auth": {"kind": "basic", "user": "u"}}', secrets => '{"passwort": "x"}');
SELECT fraud.add_source('r', 'https://bank.example/', secrets => '{"password": "x"}');
SELECT fraud.add_source('r', 'https://bank.example/', request => '{}', secrets => '{"password": "x"}');
SELECT fraud.add_source('r', 'https://bank.example/', request => '{}', secrets => '[]');
-- Secrets go over no plain http, neither to the API nor to who gives tokens; where these may go is asked too.
SELECT fraud.add_source('r', 'http://bank.example/', request => '{"auth": {"kind": "bearer"}}', secrets => '{"token": "x"}');
SELECT fraud.add_source('r', 'https://bank.example/', secrets => '{"client_secret": "x"}',
    request => '{"auth": {"kind": "oauth2_client_credentials", "token_url": "http://id.bank.example/token", "client_id": "c"}}');
SELECT fraud.add_source('r', 'https://bank.example/', secrets => '{"client_secret": "x"}',
    request => '{"auth": {"kind": "oauth2_client_credentials", "token_url": "https://169.254.169.254/token", "client_id": "c"}}');
SELECT fraud.add_source('r', 'https://bank.example/', secrets => '{"client_secret": "x"}',
    request => '{"auth": {"kind": "oauth2_client_credentials", "token_url": "file:///token", "client_id": "c"}}');
SELECT count(*) FROM fraud.sources;

-- What is not given stays; what may hold a credential is given again with another address.
SELECT fraud.add_source('r', 'https://bank.example/v1', poll_interval => '1 day', secrets => '{"client_secret": "s-1"}',
    request => '{"query": {"from": "{{since}}"}, "auth": {"kind": "oauth2_client_credentials", "token_url": "https://id.bank.example/token?tenant=t-1", "client_id": "c"}}');
SELECT fraud.alter_source('r', poll_interval => '2 hours');
SELECT request, secrets, asked_anew_at = created_at AS anew FROM fraud.sources;
SELECT fraud.alter_source('r', url => 'https://bank2.example/v1');
SELECT fraud.alter_source('r', url => 'https://bank2.example/v1', request => '{"auth": {"kind": "oauth2_client_credentials", "token_url": "https://id.bank.example/token", "client_id": "c"}}');
SELECT fraud.alter_source('r', request => '{"auth": {"kind": "oauth2_client_credentials", "token_url": "https://id2.bank.example/token", "client_id": "c"}}');
SELECT fraud.alter_source('r', request => '{"auth": {"kind": "bearer"}}');
SELECT fraud.alter_source('r', reset => '{secrets}');
SELECT fraud.alter_source('r', request => '{"query": {"from": "{{now}}"}, "auth": {"kind": "oauth2_client_credentials", "token_url": "https://id2.bank.example/token", "client_id": "c", "parameters": {"audience": "hidden"}}}', secrets => '{"client_secret": "s-2"}');
SELECT fraud.alter_source('r', request => '{"paging": {"kind": "page", "size": 10}}', reset => '{secrets,position}');
SELECT request, secrets, asked_anew_at > created_at AS anew FROM fraud.sources;
SELECT fraud.alter_source('r', url => 'https://bank2.example/v2');
SELECT fraud.alter_source('r', reset => '{request}');
SELECT request, secrets FROM fraud.sources;
SELECT pages, cursor FROM fraud.source_status;
-- The audit has which secrets, and no word of them nor of what a query or a path says.
SELECT old, new FROM fraud.audit_log WHERE object_kind = 'source' AND object_name = 'r' ORDER BY audit_id;
SELECT count(*) FROM fraud.audit_log a WHERE a::text ~ 's-1|s-2|hidden|tenant|since';

-- Who may not read the server's files names none; who may not read fraud.sources reads no place.
CREATE ROLE regress_fraud_asks;
SELECT fraud.grant_access('regress_fraud_asks', 'operator');
SET ROLE regress_fraud_asks;
SELECT fraud.alter_source('r', request => '{"tls": {"certificate_file": "/etc/ssl/private/bank.pem"}}');
SELECT fraud.alter_source('r', request => '{"conditional": true}');
SELECT * FROM fraud.source_positions;
RESET ROLE;
GRANT pg_read_server_files TO regress_fraud_asks;
SET ROLE regress_fraud_asks;
SELECT fraud.alter_source('r', request => '{"tls": {"certificate_file": "/etc/ssl/private/bank.pem"}}');
RESET ROLE;
SELECT fraud.revoke_access('regress_fraud_asks', 'operator');
DROP ROLE regress_fraud_asks;
SELECT fraud.drop_source('r');

-- {{since}}: the newest payment kept less the overlap, never after now; before the first, where it is told to begin.
SET timezone = 'UTC';
SELECT fraud._since('{}', '2026-01-31 12:00Z'), fraud._since('{"since": {"overlap": "1 hour"}}', '2026-01-31 12:00Z');
SELECT fraud._since('{"since": {"overlap": "0 seconds"}}', 'infinity') <= clock_timestamp() AS not_after_now;
SELECT fraud._since('{"since": {"first": "2025-06-01T00:00:00+02:00"}}', NULL);
SELECT fraud._since('{"since": {"first": "3 days"}}', NULL) - now() BETWEEN interval '-3 days' AND interval '-2 days -23 hours' AS three_days,
       fraud._since('{}', NULL) - now() BETWEEN interval '-1 day' AND interval '-23 hours' AS a_day;
