\set SHOW_CONTEXT never
-- Payments that are pushed over HTTP (docs/pushed.md): what the gateway's roles may do, as that
-- gateway goes about it: it signs in as one role, and becomes the pusher for one transaction.
BEGIN;
CREATE ROLE regress_fraud_door NOLOGIN;
SELECT fraud.grant_access('regress_fraud_door', 'ingest');
CREATE ROLE regress_fraud_pusher NOLOGIN;
CREATE ROLE regress_fraud_gateway NOLOGIN NOINHERIT;
GRANT regress_fraud_pusher TO regress_fraud_gateway;
CREATE SCHEMA regress_api;
GRANT USAGE ON SCHEMA regress_api TO regress_fraud_pusher;
CREATE FUNCTION regress_api.payments(json) RETURNS TABLE (transaction_id text, status text, score float8, decision text, error text)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC SELECT i.transaction_id, i.status, i.score, i.decision, i.error FROM fraud.ingest($1::text, 'pushed') i; END;
ALTER FUNCTION regress_api.payments(json) OWNER TO regress_fraud_door;
REVOKE ALL ON FUNCTION regress_api.payments(json) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION regress_api.payments(json) TO regress_fraud_pusher;

SET LOCAL SESSION AUTHORIZATION regress_fraud_gateway;
-- The gateway's role itself may call nothing.
SAVEPOINT s;
SELECT * FROM regress_api.payments('{}'); ROLLBACK TO s;
-- One payment, then many, one of them bad: each answered; card numbers keep their digits.
SELECT set_config('role', 'regress_fraud_pusher', true);
WITH call AS (SELECT p.* FROM regress_api.payments('{"cc_num": 4497913965512794052, "trans_num": "push-1", "amt": 12.5, "merchant": "Kuhn", "unix_time": 1730134684}') p)
SELECT json_agg(json_build_object('transaction_id', c.transaction_id, 'status', c.status, 'scored', c.score IS NOT NULL)) FROM call c;
SELECT transaction_id, status, decision IS NOT NULL AS decided, error FROM regress_api.payments(
    '[{"cc_num": 4497913965512794052, "trans_num": "push-1", "amt": 12.5, "merchant": "Kuhn", "unix_time": 1730134684},
      {"cc_num": 4497913965512794052, "trans_num": "push-2", "amt": "x", "merchant": "Kuhn", "unix_time": 1730134685}]');
-- And nothing else.
SAVEPOINT s;
SELECT * FROM fraud.ingest('{}'::jsonb); ROLLBACK TO s;
SELECT * FROM fraud.ingest('{}'::text); ROLLBACK TO s;
SELECT * FROM fraud.assess('{}'); ROLLBACK TO s;
SELECT count(*) FROM fraud.transactions; ROLLBACK TO s;
SELECT count(*) FROM fraud.source_status; ROLLBACK TO s;
SELECT fraud_score('{}'::jsonb); ROLLBACK TO s;
CREATE FUNCTION regress_api.more() RETURNS int LANGUAGE sql AS 'SELECT 1'; ROLLBACK TO s;
SET LOCAL ROLE regress_fraud_door; ROLLBACK TO s;
RESET SESSION AUTHORIZATION;
-- The door's own role reads nothing either.
SET ROLE regress_fraud_door;
SAVEPOINT s;
SELECT count(*) FROM fraud.transactions; ROLLBACK TO s;
RESET ROLE;
SELECT t.source, t.transaction_id, c.last_four FROM fraud.transactions t JOIN fraud.customers c USING (card) WHERE t.source = 'pushed';
SELECT e.transaction_id, e.reason FROM fraud.ingest_errors e WHERE e.source = 'pushed';
-- Which functions of ours the pusher may call: none; which tables it may read: none.
SELECT count(*) FROM pg_proc p WHERE p.pronamespace = 'fraud'::regnamespace AND has_function_privilege('regress_fraud_pusher', p.oid, 'EXECUTE');
SELECT count(*) FROM pg_class c WHERE c.relnamespace = 'fraud'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND has_any_column_privilege('regress_fraud_pusher', c.oid, 'SELECT, INSERT, UPDATE');
ROLLBACK;
