-- Which kind of access allows what: all functions, tables and columns, and that
-- without any of it each function refuses.
-- Unaligned, so that a new object is a new line and no other.
\pset format unaligned
\pset footer off
CREATE ROLE regress_fraud_none;
CREATE ROLE regress_fraud_usage;
CREATE ROLE regress_fraud_score;
CREATE ROLE regress_fraud_ingest;
CREATE ROLE regress_fraud_analyst;
CREATE ROLE regress_fraud_scientist;
CREATE ROLE regress_fraud_operator;
CREATE ROLE regress_fraud_auditor;
CREATE ROLE regress_fraud_privacy;
GRANT USAGE ON SCHEMA fraud TO regress_fraud_usage;
CREATE TABLE kinds AS SELECT unnest('{score,ingest,analyst,scientist,operator,auditor,privacy}'::text[]) AS kind;
SELECT kind, fraud.grant_access('regress_fraud_' || kind, kind) FROM kinds;

CREATE VIEW public_functions AS
SELECT p.oid, p.oid::regprocedure::text AS function FROM pg_proc p
JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
WHERE d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'fraud_detect');
SELECT f.function, coalesce(string_agg(k.kind, ' ' ORDER BY k.kind) FILTER (WHERE has_function_privilege('regress_fraud_' || k.kind, f.oid, 'EXECUTE')), '-') AS allowed
FROM public_functions f, kinds k GROUP BY f.function ORDER BY f.function COLLATE "C";

SELECT c.relname, coalesce(string_agg(k.kind, ' ' ORDER BY k.kind) FILTER (WHERE has_table_privilege('regress_fraud_' || k.kind, c.oid, 'SELECT')), '-') AS reads,
       coalesce(string_agg(k.kind, ' ' ORDER BY k.kind) FILTER (WHERE has_any_column_privilege('regress_fraud_' || k.kind, c.oid, 'SELECT') AND NOT has_table_privilege('regress_fraud_' || k.kind, c.oid, 'SELECT')), '-') AS reads_some,
       coalesce(string_agg(k.kind, ' ' ORDER BY k.kind) FILTER (WHERE has_table_privilege('regress_fraud_' || k.kind, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER') OR has_any_column_privilege('regress_fraud_' || k.kind, c.oid, 'INSERT, UPDATE, REFERENCES')), '-') AS writes
FROM pg_class c, kinds k
WHERE c.relnamespace = 'fraud'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
GROUP BY c.relname ORDER BY c.relname COLLATE "C";
SELECT count(*) FROM pg_class c, kinds k
WHERE c.relnamespace = 'fraud'::regnamespace AND (c.relispartition OR c.relkind = 'S')
  AND CASE WHEN c.relkind = 'S' THEN has_sequence_privilege('regress_fraud_' || k.kind, c.oid, 'USAGE, SELECT, UPDATE')
           ELSE has_any_column_privilege('regress_fraud_' || k.kind, c.oid, 'SELECT, INSERT, UPDATE') END;

-- Calls every function with nulls (that the planner cannot see, or it would leave
-- out the call of a strict function) and says what came of it.
CREATE FUNCTION call_all() RETURNS TABLE (sqlstate_of_call text, functions bigint) LANGUAGE plpgsql AS $$
DECLARE
    f record;
    state text;
    states text[] := '{}';
BEGIN
    FOR f IN SELECT p.oid, p.prokind, p.pronamespace::regnamespace || '.' || quote_ident(p.proname) AS name,
                    (SELECT string_agg('NULL::' || format_type(t, NULL), ', ' ORDER BY i) FROM unnest(p.proargtypes) WITH ORDINALITY u(t, i)) AS null_args,
                    (SELECT string_agg('v.a' || i, ', ' ORDER BY i) FROM unnest(p.proargtypes) WITH ORDINALITY u(t, i)) AS args,
                    (SELECT string_agg(format('NULL::%s AS a%s', format_type(t, NULL), i), ', ' ORDER BY i) FROM unnest(p.proargtypes) WITH ORDINALITY u(t, i)) AS nulls
             FROM pg_proc p WHERE p.oid IN (SELECT oid FROM public_functions) AND p.prorettype <> 'trigger'::regtype AND 'internal'::regtype <> ALL (p.proargtypes)
    LOOP
        BEGIN
            IF f.prokind = 'p' THEN
                EXECUTE format('CALL %s(%s)', f.name, f.null_args);
            END IF;
            EXECUTE format('SELECT %s(%s) FROM (SELECT %s OFFSET 0) v', f.name, f.args, f.nulls);
            states := states || 'success'::text;
        EXCEPTION WHEN OTHERS THEN
            states := states || SQLSTATE;
        END;
    END LOOP;
    RETURN QUERY SELECT s, count(*) FROM unnest(states) s GROUP BY s ORDER BY s;
END
$$;
GRANT SELECT ON public_functions TO PUBLIC;
SELECT count(*) AS functions FROM public_functions JOIN pg_proc USING (oid) WHERE prorettype <> 'trigger'::regtype AND 'internal'::regtype <> ALL (proargtypes);
SET ROLE regress_fraud_none;
SELECT * FROM call_all();
SET ROLE regress_fraud_usage;
SELECT * FROM call_all();
SELECT count(*) FROM fraud.transactions;
SELECT count(*) FROM fraud.source_status;
SELECT count(*) FROM fraud.current_labels;
RESET ROLE;

-- What a role wrote down is in its own name, whichever way it became that role.
SET SESSION AUTHORIZATION regress_fraud_analyst;
SELECT fraud.label('h4', false) IS NOT NULL AS labels;
SELECT fraud._caller();
RESET SESSION AUTHORIZATION;
SELECT recorded_by FROM fraud.labels WHERE transaction_id = 'h4';
SET ROLE regress_fraud_operator;
SELECT fraud.add_source('mine', 'http://127.0.0.1:1/', poll_interval => '1 day');
SELECT fraud.pause_source('mine');
RESET ROLE;
SELECT created_by, paused FROM fraud.sources WHERE name = 'mine';
SELECT fraud.drop_source('mine');

-- An error caught by the caller leaves the caller as it was.
SET ROLE regress_fraud_ingest;
DO $$
DECLARE
    call text;
BEGIN
    FOREACH call IN ARRAY ARRAY[
        $q$SELECT fraud.ingest('5')$q$,
        $q$SELECT fraud.ingest('{"cc_num": 4000000000000090, "trans_num": "x", "amt": 1, "merchant": "m", "current_time": 1600000000000}', '')$q$,
        $q$SELECT fraud.assess('{"cc_num": 4000000000000090, "trans_num": "x", "amt": 1, "merchant": "m"}', 'nix')$q$]
    LOOP
        BEGIN
            EXECUTE call;
        EXCEPTION WHEN OTHERS THEN
            RAISE NOTICE '% %: %', SQLSTATE, current_user, current_setting('search_path');
        END;
    END LOOP;
END
$$;
RESET ROLE;

SELECT kind, fraud.revoke_access('regress_fraud_' || kind, kind) FROM kinds;
REVOKE USAGE ON SCHEMA fraud FROM regress_fraud_usage;
DROP VIEW public_functions;
DROP TABLE kinds;
DROP FUNCTION call_all;
-- Nothing of the grants is left: the roles could not be dropped otherwise.
DROP ROLE regress_fraud_none, regress_fraud_usage, regress_fraud_score, regress_fraud_ingest, regress_fraud_analyst, regress_fraud_scientist, regress_fraud_operator, regress_fraud_auditor, regress_fraud_privacy;
