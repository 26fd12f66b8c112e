\set SHOW_CONTEXT never
-- Which hosts may be contacted, in every spelling that libcurl or a resolver reads: each is
-- tried as a source, a webhook and a mail server, and says what came of it.
CREATE FUNCTION tried(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    BEGIN
        EXECUTE statement;
        RAISE EXCEPTION SQLSTATE 'XXTRY';
    EXCEPTION
        WHEN SQLSTATE 'XXTRY' THEN RETURN 'allowed';
        WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
            RETURN SQLSTATE || ' ' || CASE WHEN SQLSTATE = '42501' THEN detail ELSE SQLERRM || coalesce(': ' || nullif(detail, ''), '') END;
    END;
END
$$;
CREATE FUNCTION tried_host(host text) RETURNS TABLE (source text, mail text) LANGUAGE sql AS $$
    SELECT tried(format('SELECT fraud.add_source(''egress'', %L)', 'http://' || host || '/')),
           tried(format('SELECT fraud.add_channel(''egress'', ''email'', ''a@b.c'', smtp_url => %L, sender => ''a@b.c'')', 'smtp://' || host))
$$;
CREATE TABLE hosts (n int GENERATED ALWAYS AS IDENTITY, host text);
INSERT INTO hosts (host) VALUES
    ('api.example'), ('10.0.0.5'), ('192.168.1.7:8443'), ('172.16.0.1'), ('[fd12:3456::1]:8443'), ('8.8.8.8'), ('[2606:4700::1111]'),
    ('127.0.0.1'), ('127.0.0.1:8080'), ('127.8.9.10'), ('127.1'), ('0x7f.1'), ('0X7F000001'), ('2130706433'), ('017700000001'), ('0177.0.0.1'), ('127.0.0.1.'),
    ('%31%32%37.0.0.1'), ('localhost'), ('LOCALHOST'), ('localhost.'), ('a.localhost'), ('LocalHost%2e'), ('[::1]'), ('[0:0:0:0:0:0:0:1]'), ('[::ffff:127.0.0.1]'), ('[::ffff:7f00:1]'),
    ('[::127.0.0.1]'), ('[64:ff9b::7f00:1]'), ('[64:ff9b:1::a00:1]'), ('[2002:7f00:1::]'), ('[2001:0:1:2:3:4:80ff:fffe]'), ('[::ffff:0:127.0.0.1]'),
    ('0.0.0.0'), ('0'), ('0.1.2.3'), ('[::]'), ('169.254.169.254'), ('0xa9fea9fe'), ('2852039166'), ('169.254.1.1'), ('[fe80::1]'), ('[fe80::1%25eth0]'), ('[64:ff9b::169.254.169.254]'),
    ('100.100.100.200'), ('168.63.129.16'), ('192.0.0.192'), ('[fd00:ec2::254]'), ('[fd20:ce::254]'), ('224.0.0.1'), ('239.1.2.3'), ('[ff02::1]'), ('255.255.255.255'), ('250.1.1.1'),
    ('１２７.0.0.1'), ('bücher.example'), ('xn--bcher-kva.example'), ('127.0.0.1#@api.example'), ('api.example@127.0.0.1'), ('api.example:80@127.0.0.1'), ('@127.0.0.1'), ('user:secret-1@api.example'),
    ('api.example\@127.0.0.1'), ('[::1'), ('api.example:0'), ('api.example:70000'), ('a b'), ('');
SET fraud_detect.allowed_hosts = '*';
SELECT host, t.* FROM hosts, tried_host(host) t ORDER BY n;
-- The same for webhooks, but that they say channel.
SELECT count(*) FROM hosts, tried(format('SELECT fraud.add_source(''egress'', %L)', 'http://' || host || '/')) s,
    tried(format('SELECT fraud.add_channel(''egress'', ''webhook'', %L)', 'http://' || host || '/')) w
WHERE s <> replace(w, 'channel', 'source');
SELECT fraud.add_source('egress', 'http://169.254.169.254/latest/meta-data/?secret-1');
SELECT fraud.add_channel('egress', 'email', 'a@b.c', smtp_url => 'smtp://localhost:25', sender => 'a@b.c', starttls => false);
-- Other protocols, and what only looks like one.
SELECT url, tried(format('SELECT fraud.add_source(''egress'', %L)', url)) FROM unnest('{file:///etc/passwd,ftp://api.example/,gopher://api.example/,dict://api.example/,HTTP://api.example/,https:api.example,http:/api.example/,http:///api.example/,http:////api.example/,smtp://api.example,//api.example/,api.example,telnet://api.example}'::text[]) url;

-- What the setting names, and what not.
CREATE FUNCTION tried_with(hosts text, url text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('fraud_detect.allowed_hosts', hosts, true);
    RETURN tried(format('SELECT fraud.add_source(''egress'', %L)', url));
END
$$;
SELECT hosts, url, tried_with(hosts, url) FROM (VALUES
    ('', 'https://api.example/'), ('api.example', 'https://api.example/'), ('api.example', 'https://API.example./'), ('api.example', 'https://other.example/'),
    ('*.example', 'https://a.b.example/'), ('*.example', 'https://example/'), ('*.example', 'https://badexample/'),
    ('api.example:443', 'https://api.example/'), ('api.example:443', 'http://api.example/'), ('*:443', 'https://api.example/'), ('*:443', 'https://api.example:8443/'),
    ('10.0.0.0/8', 'http://10.1.2.3/'), ('10.0.0.0/8', 'http://11.1.2.3/'), ('10.0.0.0/8:8080', 'http://10.1.2.3/'), ('10.0.0.0/8:8080', 'http://10.1.2.3:8080/'),
    ('*, !10.0.0.0/8', 'http://10.1.2.3/'), ('!10.0.0.0/8, *', 'http://11.1.2.3/'), ('*, !10.0.0.0/8', 'http://[64:ff9b::10.1.2.3]/'), ('*, !evil.example', 'https://EVIL.example/'), ('*, !*.evil.example', 'https://a.evil.example/'), ('*, !*:25', 'http://api.example:25/'),
    ('127.0.0.1', 'http://127.0.0.1:1/'), ('127.0.0.1', 'http://127.1/'), ('127.0.0.1', 'http://localhost/'), ('127.0.0.1', 'http://127.0.0.2/'), ('127.0.0.0/8', 'http://127.0.0.2/'), ('localhost', 'http://localhost/'), ('localhost', 'http://127.0.0.1/'),
    ('127.0.0.1:8080', 'http://127.0.0.1:8081/'), ('127.0.0.1:8080', 'http://localhost:8080/'), ('[::1]:8080', 'http://[::1]:8080/'), ('::1', 'http://[::1]/'),
    ('0.0.0.0/0', 'http://8.8.8.8/'), ('0.0.0.0/0', 'http://127.0.0.1/'), ('::/0', 'http://127.0.0.1/'), ('::/0', 'http://[::1]/'), ('169.254.0.0/16', 'http://169.254.1.1/'), ('169.254.0.0/16', 'http://169.254.169.254/'), ('169.254.169.254', 'http://169.254.169.254/'),
    ('100.64.0.0/10', 'http://100.100.100.200/'), ('127.0.0.1', 'http://[64:ff9b::127.0.0.1]/'), ('64:ff9b::127.0.0.1', 'http://[64:ff9b::127.0.0.1]/'), ('64:ff9b::/96', 'http://[64:ff9b::127.0.0.1]/')) v(hosts, url);
SET fraud_detect.allowed_hosts = 'api.example,';
SET fraud_detect.allowed_hosts = '!api.example';
SET fraud_detect.allowed_hosts = 'https://api.example';
SET fraud_detect.allowed_hosts = 'api.example:99999';
SET fraud_detect.allowed_hosts = '10.0.0.1/8';
SET fraud_detect.allowed_hosts = '10.0.0.0/33';
SET fraud_detect.allowed_hosts = '127.1';
SET fraud_detect.allowed_hosts = 'a*.example';
SET fraud_detect.allowed_hosts = '[::1';
CREATE ROLE regress_fraud_sender;
SELECT fraud.grant_access('regress_fraud_sender', 'operator');
SET ROLE regress_fraud_sender;
SET fraud_detect.allowed_hosts = '*, 127.0.0.1';
SET fraud_detect.http_proxy = 'http://127.0.0.1:1';
\set VERBOSITY sqlstate
SHOW fraud_detect.http_proxy;
\set VERBOSITY default
RESET ROLE;
ALTER SYSTEM SET fraud_detect.http_proxy = 'socks5://127.0.0.1:1';
ALTER SYSTEM SET fraud_detect.no_proxy = 'a b';

-- Credentials do not go in clear, but to the machine itself.
SET fraud_detect.allowed_hosts = '*, 127.0.0.1';
SELECT url, headers, tried(format('SELECT fraud.add_source(''egress'', %L, headers => %L)', url, headers)) FROM (VALUES
    ('http://api.example/', '{"Authorization": "Bearer secret-1"}'), ('http://api.example/', '{"X-Api-Key": "secret-1"}'), ('http://api.example/', '{"X-Whatever": "secret-1"}'),
    ('http://api.example/', '{"Accept": "application/json", "USER-agent": "x"}'), ('http://api.example/', '{}'), ('https://api.example/', '{"Authorization": "Bearer secret-1"}'),
    ('http://127.0.0.1/', '{"Authorization": "Bearer secret-1"}'), ('http://localhost/', '{"Authorization": "Bearer secret-1"}'), ('http://10.0.0.5/', '{"Cookie": "secret-1"}')) v(url, headers);
SELECT fraud.add_channel('egress', 'webhook', 'http://ops.example/', secret => 'secret-key-0123456789');
SELECT fraud.add_channel('egress', 'webhook', 'http://ops.example/', headers => '{"Authorization": "Bearer secret-1"}');
SELECT fraud.add_channel('egress', 'webhook', 'http://127.0.0.1:1/', secret => 'secret-key-0123456789');
SELECT fraud.alter_channel('egress', target => 'http://ops.example/', secret => 'secret-key-0123456789');
SET fraud_detect.allowed_hosts = '*';
SELECT fraud.alter_channel('egress', target => 'http://127.0.0.1:2/');
SELECT fraud.alter_channel('egress', max_per_minute => 5);
SELECT fraud.drop_channel('egress');

-- Two secrets at a time.
SELECT fraud.add_channel('signed', 'webhook', 'https://ops.example/', secret => 'secret-key-0123456789');
SELECT fraud.pause_channel('signed');
SELECT fraud.alter_channel('signed', secret => 'whsec_c2VjcmV0IHNlY3JldCBzZWNyZXQ=', keep_old_secret => '1 day');
SELECT is_signed, old_secret_until BETWEEN now() + interval '23 hours' AND now() + interval '25 hours' AS both FROM fraud.channel_status WHERE name = 'signed';
SELECT secret, old_secret FROM fraud.channels WHERE name = 'signed';
SELECT fraud.alter_channel('signed', max_per_minute => 5);
SELECT secret, old_secret FROM fraud.channels WHERE name = 'signed';
SELECT fraud.alter_channel('signed', reset => '{old_secret}');
SELECT secret, old_secret, old_secret_until FROM fraud.channels WHERE name = 'signed';
SELECT fraud.alter_channel('signed', secret => 'secret-key-0123456789', keep_old_secret => '1 day');
SELECT fraud.alter_channel('signed', secret => 'secret-key-9876543210');
SELECT secret, old_secret, old_secret_until FROM fraud.channels WHERE name = 'signed';
SELECT fraud.alter_channel('signed', keep_old_secret => '1 day');
SELECT fraud.alter_channel('signed', secret => 'secret-key-9876543210', keep_old_secret => '1 day');
SELECT fraud.alter_channel('signed', secret => 'secret-key-0123456789', keep_old_secret => '0');
SELECT fraud.alter_channel('signed', secret => 'secret-key-0123456789', keep_old_secret => '2 years');
SELECT fraud.alter_channel('signed', secret => 'secret-key-0123456789', keep_old_secret => '1 day', target => 'https://other.example/');
-- Another target is another receiver.
SELECT fraud.alter_channel('signed', secret => 'secret-key-0123456789', keep_old_secret => '1 day');
SELECT fraud.alter_channel('signed', target => 'https://other.example/');
SELECT target, secret, old_secret, old_secret_until FROM fraud.channels WHERE name = 'signed';
SELECT fraud.alter_channel('signed', target => 'https://third.example/', secret => 'secret-key-9876543210');
SELECT target, secret, old_secret FROM fraud.channels WHERE name = 'signed';
-- A secret that signs no more is not kept.
UPDATE fraud.channels SET old_secret = 'secret-key-0123456789', old_secret_until = now() - interval '1 s' WHERE name = 'signed';
SELECT count(*) FROM fraud.purge();
SELECT secret, old_secret, old_secret_until FROM fraud.channels WHERE name = 'signed';
-- What was copied with what stood around it.
SELECT s AS secret, tried(format('SELECT fraud.alter_channel(''signed'', secret => %L)', s)) FROM unnest(ARRAY[' whsec_c2VjcmV0IHNlY3JldCBzZWNyZXQ=', 'whsec_c2VjcmV0IHNlY3JldCBzZWNyZXQ= ', E'secret-key-0123456789\n', E'\u00a0secret-key-0123456789', '"whsec_c2VjcmV0IHNlY3JldCBzZWNyZXQ="', 'secret: whsec_c2VjcmV0IHNlY3JldA==', 'WHSEC_c2VjcmV0IHNlY3JldCBzZWNyZXQ=',
    'whsec_c2VjcmV0IHNlY3JldCBzZWNyZXQ=,whsec_c2VjcmV0IHNlY3JldCBzZWNyZXQ=', 'whsec_whsec_c2VjcmV0IHNlY3JldCBzZWNyZXQ=', 'whsec_c2VjcmV0IHNlY3JldCBzZWNyZXQ=', 'a secret with blanks in it']) s;
SELECT fraud.alter_channel('signed', template => '{"text": "{{merchant|markdown}}", "n": "{{ payload.a | markdown }}"}');
SELECT fraud.alter_channel('signed', template => '{"text": "{{merchant|markup}}"}');
SELECT fraud.drop_channel('signed');

-- What a listener is told, and what he looks up with rights of his own.
BEGIN;
SELECT fraud.promote('payments', 1, review_at => 0, block_at => 1, reason => 'alert on all') IS NOT NULL AS promoted;
SELECT status, decision FROM fraud.ingest('[{"cc_num": 4000000000000259, "trans_num": "heard-1", "amt": 5.5, "merchant": "A Shop", "category": "misc_pos", "unix_time": 1730134684}, {"cc_num": 4000000000000259, "trans_num": "heard-2", "amt": 6, "merchant": "A Shop", "category": "misc_pos", "unix_time": 1730134685}]');
SELECT x.alert_id = a.alert_id AS same, x.case_id = a.case_id AS same_case, x.case_status, x.case_alerts, x.transaction_id, x.card = a.card AS same_card, x.last_four, x.occurred_at, x.amount, x.merchant, x.category,
       x.score = a.score AS same_score, x.decision, x.model, x.reasons = a.reasons AS same_reasons
FROM fraud.alerts a, fraud.alert(a.alert_id) x WHERE a.transaction_id LIKE 'heard-%' ORDER BY 5;
-- A hint carries ids and decision, and is sent once.
SELECT count(*) AS waiting FROM fraud.outbox WHERE kind = 'alert' AND notified_at IS NULL AND payload ->> 'transaction_id' LIKE 'heard-%';
LISTEN fraud_alerts;
SELECT count(*) >= 2 AS sent FROM fraud._notify_listeners(ARRAY(SELECT outbox_id FROM fraud.outbox WHERE notified_at IS NULL));
SELECT count(*) AS again FROM fraud._notify_listeners(ARRAY(SELECT outbox_id FROM fraud.outbox));
ROLLBACK;
SELECT count(*) FROM fraud.alert(-1);
SELECT count(*) FROM fraud.alert(NULL);
SET ROLE regress_fraud_sender;
SELECT * FROM fraud.alert(1);
RESET ROLE;
DROP OWNED BY regress_fraud_sender;
DROP ROLE regress_fraud_sender;
DROP FUNCTION tried_with, tried_host, tried;
DROP TABLE hosts;
