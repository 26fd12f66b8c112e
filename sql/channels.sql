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
SELECT fraud.add_channel('x', 'webhook', 'http://127.0.0.1/', takes => '{warning}');
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
SELECT fraud._condition_holds('true', 'regress_fraud_nobody', '{}');
-- They leave nothing behind: no volatile function, not in a view or a subquery either, and what
-- says that it is stable is held to it.
CREATE SEQUENCE conditions_seen;
CREATE VIEW one_more AS SELECT nextval('conditions_seen') AS n;
CREATE FUNCTION becomes_owner() RETURNS boolean LANGUAGE sql STABLE AS $$ SELECT set_config('role', 'none', false) IS NULL $$;
CREATE FUNCTION writes() RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN CREATE TABLE left_behind (); RETURN true; END $$;
SELECT fraud.add_channel('x', 'notify', 'x', condition => 'random() < 0.5');
SELECT fraud.add_channel('x', 'notify', 'x', condition => 'amount > (SELECT n FROM public.one_more)');
SELECT fraud.add_channel('x', 'notify', 'x', condition => 'EXISTS (SELECT pg_advisory_lock(1))');
SELECT fraud._condition_holds('pg_sleep(100) IS NULL', current_user, '{}');
SELECT fraud._condition_holds('public.becomes_owner()', 'regress_fraud_operator2', '{}');
SELECT fraud._condition_holds('public.writes()', current_user, '{}');
SELECT fraud._condition_holds('occurred_at < now() AND merchant ~ (SELECT ''Shop'')', current_user, '{"occurred_at": "2024-03-01T00:00:00Z", "merchant": "Corner Shop"}');
CREATE OR REPLACE FUNCTION writes() RETURNS boolean LANGUAGE sql VOLATILE AS $$ SELECT true $$;
SELECT fraud._condition_holds('public.writes()', current_user, '{}');
DROP FUNCTION writes, becomes_owner;
DROP VIEW one_more;
DROP SEQUENCE conditions_seen;
-- Nor do they take long.
SELECT fraud._condition_holds('(SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b) > 0', current_user, '{}');
SELECT current_user = session_user AS back, current_setting('search_path') <> 'pg_catalog, pg_temp' AS own_path;

-- A channel is changed in its place; what is not given stays.
SET ROLE regress_fraud_operator2;
SELECT fraud.alter_channel('team', min_decision => 'review', repeats => false, max_per_minute => 5, takes => '{alert,report}', revisions => true);
SELECT fraud.alter_channel('team', reset => '{max_per_minute,digest_interval}', target => 'fraud_desk');
SELECT name, destination, takes, min_decision, condition, condition_by, repeats, revisions, digest_interval, max_per_minute FROM fraud.channel_status WHERE name = 'team';
SELECT fraud.alter_channel('hook', secret => 'another-secret-0123', template => '{"t": "{{subject}}"}', max_per_minute => 10);
RESET ROLE;
SELECT target, secret, headers, template, max_per_minute, paused FROM fraud.channels WHERE name = 'hook';
-- What is sent with a message does not go to another address unless it is given again.
SET ROLE regress_fraud_operator2;
SELECT fraud.alter_channel('hook', target => 'https://mine.example/');
SELECT fraud.alter_channel('mail', smtp_url => 'smtp://mine.example');
SELECT fraud.alter_channel('mail', starttls => false);
SELECT fraud.alter_channel('hook', target => 'https://ops.example/', headers => '{"Authorization": "Bearer secret-token-2"}');
SELECT fraud.alter_channel('mail', smtp_url => 'smtp://other.example', reset => '{smtp_user,smtp_password}');
SELECT name, destination, is_signed FROM fraud.channel_status WHERE name IN ('hook', 'mail') ORDER BY name;
-- What add_channel refuses, this does too.
SELECT fraud.alter_channel('hook', target => 'ftp://secret-host/', headers => '{}');
SELECT fraud.alter_channel('hook', sender => 'a@b.c');
SELECT fraud.alter_channel('hook', secret => 'secret-short');
SELECT fraud.alter_channel('mail', target => 'nobody');
SELECT fraud.alter_channel('team', min_decision => 'approve');
SELECT fraud.alter_channel('team', condition => 'amuont > 5');
SELECT fraud.alter_channel('team', reset => '{target}');
SELECT fraud.alter_channel('none', min_decision => 'block');
RESET ROLE;
SET ROLE regress_fraud_analyst2;
SELECT fraud.alter_channel('team', min_decision => 'block');
RESET ROLE;
-- A condition has the rights of who gave it, not of who made the channel.
SELECT fraud.add_channel('owned', 'notify', 'x', condition => 'EXISTS (SELECT FROM fraud.card_keys)');
SET ROLE regress_fraud_operator2;
SELECT fraud.alter_channel('owned', condition => 'EXISTS (SELECT FROM fraud.card_keys)');
SELECT fraud.alter_channel('owned', condition => 'amount > 5');
SELECT condition, condition_by, created_by = condition_by AS by_its_maker FROM fraud.channel_status WHERE name = 'owned';
RESET ROLE;
-- Whoever is taken off gets nothing more; the record stays.
SELECT fraud.add_channel('list', 'email', 'a@example.com, b@example.com, c@example.com', takes => '{health}', smtp_url => 'smtp://127.0.0.1:1', sender => 'fraud@example.com');
SELECT fraud.pause_channel('list');
INSERT INTO fraud.notifications (channel, recipient, kind, digest, state, attempts)
VALUES ('list', 'a@example.com', 'health', false, 'pending', 1), ('list', 'b@example.com', 'health', false, 'pending', 1),
       ('list', 'b@example.com', 'health', false, 'dead', 3), ('list', 'b@example.com', 'health', false, 'delivered', 1), ('list', 'c@example.com', 'health', false, 'dead', 3);
SELECT fraud.alter_channel('list', target => 'a@example.com, c@example.com, d@example.com');
SELECT recipient, state, attempts FROM fraud.notifications WHERE channel = 'list' ORDER BY notification_id;
DELETE FROM fraud.notifications WHERE channel = 'list';
SELECT fraud.drop_channel(name) FROM fraud.channel_status ORDER BY name;
SELECT count(*) FROM fraud.channels;
DROP OWNED BY regress_fraud_operator2, regress_fraud_analyst2;
DROP ROLE regress_fraud_operator2, regress_fraud_analyst2;
