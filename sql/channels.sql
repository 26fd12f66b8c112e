-- Channels by SQL: what they are made of, what is refused, who may see what.
CREATE ROLE regress_fraud_operator2;
CREATE ROLE regress_fraud_analyst2;
SELECT fraud.grant_access('regress_fraud_operator2', 'operator');
SELECT fraud.grant_access('regress_fraud_analyst2', 'analyst');
SET ROLE regress_fraud_operator2;
SELECT fraud.add_channel('hook', 'webhook', 'http://127.0.0.1:1/secret-path-1?k=secret-query-1', secret => 'secret-key-0123456789', headers => '{"Authorization": "Bearer secret-token-1"}', template => '{"text": "{{text|escape}}", "n": "{{amount}}"}', max_per_minute => 60);
SELECT fraud.add_channel('mail', 'email', 'a@example.com, b@example.com', takes => '{report,health}', smtp_url => 'smtp://127.0.0.1:1', smtp_user => 'u', smtp_password => 'secret-password-1', sender => 'fraud@example.com');
SELECT fraud.add_channel('team', 'notify', 'fraud_team', min_decision => 'block', condition => $$amount > 100 AND category = 'travel' AND 'x' <> ALL (reasons)$$, digest_interval => '10 minutes', repeats => true);
SELECT fraud.pause_channel(name) FROM fraud.channel_status;
SELECT name, kind, state, destination, takes, min_decision, condition, repeats, digest_interval, max_per_minute, has_template, is_signed, waiting, dead, created_by FROM fraud.channel_status ORDER BY name;
-- Nobody but the owner reads a secret.
SELECT target FROM fraud.channels;
SELECT payload FROM fraud.outbox;
RESET ROLE;
SET ROLE regress_fraud_analyst2;
SELECT fraud.add_channel('x', 'notify', 'x');
SELECT name FROM fraud.channel_status;
RESET ROLE;
SELECT count(*) FROM (SELECT s::text AS line FROM fraud.channel_status s UNION ALL SELECT n::text FROM fraud.notification_log n) l WHERE line ~ 'secret-';

\set SHOW_CONTEXT never
-- What is refused. No secret is in an error.
SELECT fraud.add_channel('hook', 'webhook', 'http://127.0.0.1:1/');
SELECT fraud.add_channel('x y', 'webhook', 'http://127.0.0.1:1/');
SELECT fraud.add_channel('x', 'fax', '1');
SELECT fraud.add_channel('x', 'webhook', 'ftp://secret-host/');
SELECT fraud.add_channel('x', 'webhook', 'http://user:secret-1@127.0.0.1/');
SELECT fraud.add_channel('x', 'webhook', 'http://127.0.0.1/', secret => 'secret-short');
SELECT fraud.add_channel('x', 'webhook', 'http://127.0.0.1/', secret => 'whsec_secret-not-base64');
SELECT fraud.add_channel('x', 'webhook', 'http://127.0.0.1/', headers => '{"webhook-id": "1"}');
SELECT fraud.add_channel('x', 'webhook', 'http://127.0.0.1/', headers => '{"A": "b\r\nC: d"}');
SELECT fraud.add_channel('x', 'webhook', 'http://127.0.0.1/', headers => '[]');
SELECT fraud.add_channel('x', 'webhook', 'http://127.0.0.1/', template => '"{{text}}"');
SELECT fraud.add_channel('x', 'webhook', 'http://127.0.0.1/', template => '{"text": "no placeholder"}');
SELECT fraud.add_channel('x', 'webhook', 'http://127.0.0.1/', template => '{"text": "{{amonut}}"}');
SELECT fraud.add_channel('x', 'webhook', 'http://127.0.0.1/', template => '{"text": "{{amount|upper}}"}');
SELECT fraud.add_channel('x', 'webhook', 'http://127.0.0.1/', sender => 'a@b.c');
SELECT fraud.add_channel('x', 'webhook', 'http://127.0.0.1/', takes => '{alert,fax}');
SELECT fraud.add_channel('x', 'webhook', 'http://127.0.0.1/', takes => '{}');
SELECT fraud.add_channel('x', 'webhook', 'http://127.0.0.1/', min_decision => 'approve');
SELECT fraud.add_channel('x', 'webhook', 'http://127.0.0.1/', digest_interval => '1 ms');
SELECT fraud.add_channel('x', 'webhook', 'http://127.0.0.1/', max_per_minute => 0);
SELECT fraud.add_channel('x', 'webhook', NULL);
SELECT fraud.add_channel('x', 'email', 'a@b.c');
SELECT fraud.add_channel('x', 'email', 'a@b.c', smtp_url => 'smtp://u:secret-1@h', sender => 'a@b.c');
SELECT fraud.add_channel('x', 'email', 'a@b.c, nobody', smtp_url => 'smtp://h', sender => 'a@b.c');
SELECT fraud.add_channel('x', 'email', E'a@b.c>\r\nBCC:<x@y.z', smtp_url => 'smtp://h', sender => 'a@b.c');
SELECT fraud.add_channel('x', 'email', 'a@b.c', smtp_url => 'smtp://h', sender => E'a@b.c\nX: y');
SELECT fraud.add_channel('x', 'email', 'a@b.c', smtp_url => 'smtp://h', sender => 'a@b.c', smtp_user => 'u');
SELECT fraud.add_channel('x', 'email', 'a@b.c', smtp_url => 'smtp://h', sender => 'a@b.c', smtp_user => 'u', smtp_password => 'secret-1', starttls => false);
SELECT fraud.add_channel('x', 'email', 'a@b.c', smtp_url => 'smtp://h', sender => 'a@b.c', secret => 'secret-0123456789');
SELECT fraud.add_channel('x', 'notify', repeat('x', 64));
SELECT fraud.pause_channel('none'), fraud.resume_channel('none');
SELECT fraud.drop_channel('none');
SELECT fraud.test_channel('none');
SELECT fraud.retry_notification(-1);

-- Conditions are one expression over the alert, of type boolean.
SELECT fraud.add_channel('x', 'notify', 'x', condition => 'amuont > 5');
SELECT fraud.add_channel('x', 'notify', 'x', condition => 'amount');
SELECT fraud.add_channel('x', 'notify', 'x', condition => 'true), false); DELETE FROM fraud.alerts; SELECT coalesce((true');
SELECT fraud.add_channel('x', 'notify', 'x', condition => 'true)) FROM pg_class; --');
SELECT fraud._condition_holds('amount > 5 -- a remark', current_user, '{"amount": 6}'), fraud._condition_holds('amount > 5', current_user, '{"amount": 5}'), fraud._condition_holds('amount > 5', current_user, '{}');
-- They have the rights of who added the channel, not of the owner.
SET ROLE regress_fraud_operator2;
SELECT fraud.add_channel('x', 'notify', 'x', condition => 'EXISTS (SELECT FROM fraud.card_keys)');
RESET ROLE;
SELECT fraud._condition_holds('EXISTS (SELECT FROM fraud.card_keys)', current_user, '{}');
SELECT fraud._condition_holds('EXISTS (SELECT FROM fraud.card_keys)', 'regress_fraud_operator2', '{}');
SELECT fraud._condition_holds($$current_user = 'regress_fraud_operator2'$$, 'regress_fraud_operator2', '{}');
SELECT fraud._condition_holds($$set_config('role', 'none', false) IS NULL$$, 'regress_fraud_operator2', '{}');
SELECT fraud._condition_holds('true', 'regress_fraud_nobody', '{}');
-- Nor do they take long.
SELECT fraud._condition_holds('pg_sleep(100) IS NULL', current_user, '{}');
SELECT current_user = session_user AS back, current_setting('search_path') <> 'pg_catalog, pg_temp' AS own_path;
SELECT fraud.drop_channel(name) FROM fraud.channel_status ORDER BY name;
SELECT count(*) FROM fraud.channels;
DROP OWNED BY regress_fraud_operator2, regress_fraud_analyst2;
DROP ROLE regress_fraud_operator2, regress_fraud_analyst2;
