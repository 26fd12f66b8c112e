\set SHOW_CONTEXT never
-- Whose rights: those of the current user, never of the session's.

-- Nothing that looks at the session's user, and no lock that anybody could take.
SELECT p.oid::regprocedure FROM pg_proc p
WHERE p.pronamespace = 'fraud'::regnamespace AND (p.prosrc ~* 'session_user|pg_(try_)?advisory|current_setting\(''(role|session_authorization)''' OR pg_get_function_sqlbody(p.oid) ~* 'session_user|pg_(try_)?advisory');
SELECT c.oid::regclass FROM pg_class c WHERE c.relnamespace = 'fraud'::regnamespace AND c.relkind IN ('v', 'm') AND pg_get_viewdef(c.oid) ~* 'session_user';

-- What changes something has no SECURITY DEFINER, but for triggers: it could not tell who
-- calls.
SELECT p.oid::regprocedure FROM pg_proc p
WHERE p.pronamespace = 'fraud'::regnamespace AND p.prosecdef AND p.provolatile = 'v' AND p.prorettype <> 'trigger'::regtype;

-- It is entered through a C function, whose body has the same arguments, result and
-- volatility, is run by nobody else, and leads nowhere but to the owner's own schema.
CREATE VIEW entries AS
    SELECT p.oid, p.proname, p.proargtypes, p.prorettype, p.proretset, p.provolatile, p.pronargs, p.proisstrict, b.oid AS body,
           b.prorettype = p.prorettype AND b.proretset = p.proretset AND b.provolatile = p.provolatile
           AND b.proargnames IS NOT DISTINCT FROM p.proargnames AND b.proallargtypes IS NOT DISTINCT FROM p.proallargtypes
           AND NOT b.prosecdef AND NOT b.proisstrict AS alike,
           b.proacl IS NOT NULL AND NOT EXISTS (SELECT FROM aclexplode(b.proacl) a WHERE a.grantee <> b.proowner) AS kept
    FROM pg_proc p
    LEFT JOIN pg_proc b ON b.pronamespace = p.pronamespace AND b.proname = '_' || p.proname AND b.proargtypes = p.proargtypes
    WHERE p.pronamespace = 'fraud'::regnamespace AND p.prosrc = 'fraud_detect_as_owner';
SELECT count(*) > 30 AS many, bool_and(alike) AS alike, bool_and(kept) AS kept, bool_or(proisstrict) AS strict FROM entries;
SELECT oid::regprocedure FROM entries WHERE NOT coalesce(alike AND kept, false);

CREATE ROLE regress_fraud_op;
CREATE ROLE regress_fraud_other;
SELECT fraud.grant_access(r, a) FROM unnest('{regress_fraud_op,regress_fraud_other}'::text[]) r, unnest('{operator,analyst,scientist,ingest,privacy}'::text[]) a;
CREATE SCHEMA op AUTHORIZATION regress_fraud_op;
GRANT SELECT ON entries TO regress_fraud_op;

-- Who called is noted as the current user: through SET ROLE, and through a function of
-- somebody else's that runs with its owner's rights.
SELECT transaction_id, status FROM fraud.ingest('[{"cc_num": 4000000000000911, "trans_num": "auth-1", "amt": 1, "merchant": "m", "current_time": 1600000000000}, {"cc_num": 4000000000000911, "trans_num": "auth-2", "amt": 1, "merchant": "m", "current_time": 1600000001000}]');
SET ROLE regress_fraud_op;
SELECT fraud.label('auth-1', true, 'analyst', '2020-10-01') > 0 AS labelled;
CREATE FUNCTION op.label_it() RETURNS boolean LANGUAGE sql SECURITY DEFINER AS $$ SELECT fraud.label('auth-2', true, 'analyst', '2020-10-01') > 0 $$;
GRANT USAGE ON SCHEMA op TO PUBLIC;
SELECT fraud.add_source('auth', 'https://payments.example/x'), fraud.add_channel('auth', 'webhook', 'https://hooks.example/x', condition => 'amount > 5');
RESET ROLE;
SELECT op.label_it();
SELECT transaction_id, recorded_by FROM fraud.labels WHERE transaction_id LIKE 'auth-%' ORDER BY 1;
SET ROLE regress_fraud_other;
SELECT fraud.alter_channel('auth', condition => 'amount > 6');
RESET ROLE;
SELECT s.created_by, c.created_by, c.condition_by FROM fraud.sources s, fraud.channels c WHERE s.name = 'auth' AND c.name = 'auth';
SELECT fraud.drop_source('auth'), fraud.drop_channel('auth');
SELECT fraud._caller() = current_user AS without_a_scope;

-- Code that somebody left to run with other rights than the caller's, or in another's
-- session, stores nothing: each entry refuses, whatever it is given.
SET ROLE regress_fraud_op;
CREATE TABLE op.refusals (source text, called text, outcome text);
CREATE FUNCTION op.call_all(source text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    e record;
BEGIN
    FOR e IN SELECT proname, (SELECT string_agg(format('NULL::%s', format_type(a, NULL)), ', ' ORDER BY i)
                              FROM unnest(proargtypes::oid[]) WITH ORDINALITY u(a, i)) AS args
             FROM public.entries WHERE provolatile = 'v' LOOP
        BEGIN
            EXECUTE format('SELECT * FROM fraud.%I(%s)', e.proname, e.args);
            INSERT INTO op.refusals VALUES (source, e.proname, 'went through');
        EXCEPTION WHEN OTHERS THEN
            INSERT INTO op.refusals VALUES (source, e.proname, SQLSTATE || CASE WHEN SQLERRM LIKE 'fraud.% cannot be called within a security-restricted operation' THEN '' ELSE ' ' || SQLERRM END);
        END;
    END LOOP;
    RETURN 1;
END
$$;
CREATE FUNCTION op.stable_all(source text) RETURNS int LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF current_setting('op.armed', true) = 'yes' THEN
        EXECUTE 'SELECT op.call_all($1)' USING source;
    END IF;
    RETURN 1;
END
$$;
CREATE FUNCTION op.index_all(v int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN op.stable_all('index') + v; END $$;
CREATE FUNCTION op.feature_all(v int) RETURNS int LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN op.stable_all('feature') + v; END $$;
CREATE FUNCTION op.condition_all() RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN op.stable_all('condition') > 0; END $$;
CREATE TABLE op.events (id int, at timestamptz, v int);
INSERT INTO op.events SELECT i, timestamptz '2026-01-01' + i * interval '1 minute', i FROM generate_series(1, 3) i;
CREATE INDEX ON op.events (op.index_all(v));
CREATE MATERIALIZED VIEW op.view_all AS SELECT op.stable_all('view');
SELECT fraud.create_feature_set('auth', 'op.events', 'id', 'at');
SELECT fraud.add_feature('auth', 'f', 'op.feature_all(v)');
RESET ROLE;
SET op.armed = 'yes';
-- By a superuser, as autovacuum would.
ANALYZE op.events;
REFRESH MATERIALIZED VIEW op.view_all;
SELECT fraud.features('auth', e) FROM op.events e LIMIT 1;
SELECT fraud._condition_holds('op.condition_all()', 'regress_fraud_op', '{}');
RESET op.armed;
SELECT source, count(DISTINCT called) = (SELECT count(DISTINCT proname) FROM entries WHERE provolatile = 'v') AS all_called, string_agg(DISTINCT outcome, '; ') AS outcomes
FROM op.refusals GROUP BY source ORDER BY source;
SELECT rolsuper FROM pg_roles WHERE rolname = 'regress_fraud_op';

-- So do the functions of C that store what is later run, or what decides.
SET ROLE regress_fraud_op;
CREATE FUNCTION op.store() RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    statement text;
BEGIN
    FOREACH statement IN ARRAY ARRAY[
        'SELECT fraud.create_feature_set(''auth2'', ''op.events'', ''id'', ''at'')',
        'SELECT fraud.add_feature(''auth'', ''g'', ''v'')',
        'SELECT fraud.add_window_feature(''auth'', ''g'', ''count'', NULL, ''v'', ''1 hour'')',
        'SELECT fraud.add_categories(''auth'', ''f'', ''{a}'')',
        'SELECT fraud.drop_feature(''auth'', ''f'')',
        'SELECT fraud.drop_feature_set(''auth'')',
        'SELECT fraud.promote(''payments'', 1)',
        'SELECT fraud.import_model(''auth'', '''')'] LOOP
        BEGIN
            EXECUTE statement;
            INSERT INTO op.refusals VALUES ('C', statement, 'went through');
        EXCEPTION WHEN OTHERS THEN
            INSERT INTO op.refusals VALUES ('C', statement, SQLSTATE || ' ' || SQLERRM);
        END;
    END LOOP;
    RETURN 1;
END
$$;
CREATE OR REPLACE FUNCTION op.index_all(v int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN CASE WHEN current_setting('op.armed', true) = 'yes' THEN op.store() ELSE v END; END $$;
RESET ROLE;
SET op.armed = 'yes';
ANALYZE op.events;
RESET op.armed;
SELECT called, outcome FROM op.refusals WHERE source = 'C' GROUP BY called, outcome ORDER BY called;

-- A better match for the extension's own call is not called.
CREATE FUNCTION public.fraud_score(t fraud.transactions, m text) RETURNS float8 LANGUAGE plpgsql STABLE AS
    $$ BEGIN RAISE WARNING 'captured by %', current_user; RETURN 0.5; END $$;
CREATE FUNCTION public.fraud_score(e op.events, m text) RETURNS float8 LANGUAGE plpgsql STABLE AS
    $$ BEGIN RAISE WARNING 'captured by %', current_user; RETURN 0.5; END $$;
SELECT count(*) > 0 AS scored FROM fraud.scored_events('payments', '-infinity', 'infinity');
SELECT count(*) > 0 AS measured FROM fraud.evaluate('payments', '2020-09-01', '2020-10-01');
DROP FUNCTION public.fraud_score(fraud.transactions, text), public.fraud_score(op.events, text);

-- The locks are rows that nobody else may lock.
SELECT has_table_privilege('regress_fraud_op', 'fraud.locks', 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES') AS may_lock;

DROP VIEW entries CASCADE;
SELECT fraud.drop_feature_set('auth');
DROP SCHEMA op CASCADE;
SELECT fraud.revoke_access(r, a) FROM unnest('{regress_fraud_op,regress_fraud_other}'::text[]) r, unnest('{operator,analyst,scientist,ingest,privacy}'::text[]) a;
DROP ROLE regress_fraud_op, regress_fraud_other;
