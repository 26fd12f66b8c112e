\set SHOW_CONTEXT never
-- Who may do what.
CREATE ROLE regress_fraud_stranger;
CREATE ROLE regress_fraud_app;
CREATE ROLE regress_fraud_analyst;
CREATE ROLE regress_fraud_scientist;
CREATE ROLE regress_fraud_operator;
GRANT CREATE ON SCHEMA public TO regress_fraud_scientist, regress_fraud_app;
SELECT fraud.grant_access('regress_fraud_app', 'score'), fraud.grant_access('regress_fraud_app', 'ingest');
SELECT fraud.grant_access('regress_fraud_analyst', 'analyst');
SELECT fraud.grant_access('regress_fraud_scientist', 'scientist');
SELECT fraud.grant_access('regress_fraud_operator', 'operator');
SELECT fraud.grant_access('regress_fraud_operator', 'king');
SELECT fraud.grant_access('regress_fraud_operator', NULL);
SELECT fraud.grant_access('regress_fraud_nobody', 'score');

-- Secrets are for the owner alone.
SELECT r, has_table_privilege(r, 'fraud.card_keys', 'SELECT') AS key, has_any_column_privilege(r, 'fraud.sources', 'SELECT') AS sources,
       has_table_privilege(r, 'fraud.transactions', 'INSERT') AS write, has_table_privilege(r, 'fraud.transactions', 'SELECT') AS read,
       has_column_privilege(r, 'fraud.ingest_errors', 'payload', 'SELECT') AS errors,
       has_column_privilege(r, 'fraud.ingest_errors', 'card', 'SELECT') AS cards_of_errors, has_any_column_privilege(r, 'fraud.customer_ids', 'SELECT') AS hashes
FROM unnest('{regress_fraud_stranger,regress_fraud_app,regress_fraud_analyst,regress_fraud_scientist,regress_fraud_operator}'::text[]) r;

SET ROLE regress_fraud_stranger;
SELECT fraud_score('{1,2}'::float4[], 'stump');
SELECT * FROM fraud.ingest('[]');
SELECT * FROM fraud.card_keys;
RESET ROLE;

SET ROLE regress_fraud_app;
SELECT round(fraud_score('{1,1}'::float4[], 'stump')::numeric, 5);
SELECT transaction_id, status FROM fraud.ingest('{"cc_num": 4000000000000090, "trans_num": "s-1", "amt": 1, "merchant": "m", "current_time": 1600000000000}');
SELECT count(*) FROM fraud.transactions;
SELECT fraud.promote('payments', 1);
SELECT fraud.grant_access('regress_fraud_app', 'analyst');
SELECT fraud._ensure_partition(now());
SELECT current_user;

-- Objects of the caller's own are not found in place of built-in ones: these would
-- make it a superuser.
CREATE FUNCTION public.steal(uuid, uuid) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RAISE WARNING 'ran as %', current_user;
    RETURN true;
END
$$;
CREATE OPERATOR public.= (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = public.steal);
CREATE FUNCTION public.sha256(bytea) RETURNS bytea LANGUAGE plpgsql AS $$
BEGIN
    RAISE WARNING 'ran as %', current_user;
    RETURN $1;
END
$$;
SET search_path = public, pg_catalog;
SELECT transaction_id, status FROM fraud.ingest('[{"cc_num": 4000000000000090, "trans_num": "s-2", "amt": 1, "merchant": "m", "current_time": 1600000000000}, {"cc_num": 4000000000000090, "trans_num": "s-3", "amt": "x"}]');
SELECT round(fraud_score('{1,1}'::float4[], 'stump')::numeric, 5);
RESET search_path;
DROP OPERATOR public.= (uuid, uuid);
DROP FUNCTION public.steal, public.sha256;
-- After an error the caller is himself again.
SELECT * FROM fraud.ingest('5');
SELECT fraud_score('{1,1}'::float4[], 'nix');
SELECT current_user, current_setting('search_path');
RESET ROLE;

SET ROLE regress_fraud_analyst;
SELECT count(*) > 0 AS reads FROM fraud.transactions;
SELECT count(*) > 0 AS reads FROM fraud.daily_report;
SELECT count(artifact) FROM fraud.model_versions;
SELECT fraud.label('h2', true) IS NOT NULL AS labels;
SELECT * FROM fraud.ingest('[]');
UPDATE fraud.cases SET status = 'dismissed';
UPDATE fraud.alerts SET score = 0;
RESET ROLE;
SELECT recorded_by FROM fraud.labels WHERE transaction_id = 'h2';
-- Not even the owner rewrites what was told.
UPDATE fraud.alerts SET score = 0;
DELETE FROM fraud.alerts;
TRUNCATE fraud.alerts;

-- A history is read with the caller's rights, whatever is in it.
CREATE TABLE hidden AS SELECT cc_num, trans_num, amt, merchant, trans_date_trans_time FROM history_text LIMIT 1;
SET ROLE regress_fraud_scientist;
SELECT fraud.load_history('hidden');
CREATE FUNCTION public.who() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN current_user; END $$;
CREATE VIEW public.trap AS SELECT 4000000000000095 AS cc_num, 'trap' AS trans_num, 1 AS amt, public.who() AS merchant, timestamp '2020-01-01' AS trans_date_trans_time;
SELECT fraud.load_history('trap');
SELECT fraud.promote('stump', 1, 'mine');
SELECT count(*) FROM fraud.transactions;
DROP VIEW public.trap;
DROP FUNCTION public.who;
RESET ROLE;
SELECT merchant FROM fraud.transactions WHERE transaction_id = 'trap';
SELECT promoted_by FROM fraud.promotions WHERE alias = 'mine';

SET ROLE regress_fraud_operator;
SELECT fraud.add_source('op', 'http://127.0.0.1:1/', poll_interval => '1 day', headers => '{"X-Api-Key": "secret"}');
SELECT fraud.pause_source('op');
SELECT name, state FROM fraud.source_status;
SELECT headers FROM fraud.sources;
SELECT fraud.drop_source('op');
RESET ROLE;

SELECT fraud.revoke_access('regress_fraud_analyst', 'analyst');
SELECT has_schema_privilege('regress_fraud_analyst', 'fraud', 'USAGE');
REVOKE CREATE ON SCHEMA public FROM regress_fraud_scientist, regress_fraud_app;
SELECT fraud.revoke_access('regress_fraud_app', 'score'), fraud.revoke_access('regress_fraud_app', 'ingest'), fraud.revoke_access('regress_fraud_scientist', 'scientist'), fraud.revoke_access('regress_fraud_operator', 'operator');
DROP ROLE regress_fraud_stranger, regress_fraud_app, regress_fraud_analyst, regress_fraud_scientist, regress_fraud_operator;
