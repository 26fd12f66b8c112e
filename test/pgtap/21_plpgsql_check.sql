-- What plpgsql_check finds in the bodies of functions and trigger functions: nothing but
-- what contract/plpgsql_check accepts. An entry that is found no more fails, too.
\ir setup.sql
-- Each version of it finds other things: on a server of somebody's own only the one that the list was made with counts.
\set own `echo ${FRAUD_PGTAP_OWN:-no}`
SELECT EXISTS (SELECT FROM pg_available_extensions
               WHERE name = 'plpgsql_check' AND (coalesce(installed_version, default_version) = '2.3' OR :'own' = 'yes')) AS there \gset
\if :there
    CREATE EXTENSION IF NOT EXISTS plpgsql_check;
    SELECT extnamespace::regnamespace AS checker FROM pg_extension WHERE extname = 'plpgsql_check' \gset
    -- Its triggers are there when it is asked for them.
    DO $$ BEGIN PERFORM fraud.follow_publication(); END $$;
    -- Two kinds of warnings are left out: reserved words as parameters ("from" and "to" are what
    -- periods are called), and casts of assignments, which cost nothing beside a query.
    CREATE TEMP TABLE findings AS
        SELECT f.key, format('%s: %s', f.proname, concat_ws(': ', c.message, c.detail)) AS finding, c.lineno
        FROM functions f JOIN pg_language l ON l.oid = f.prolang AND l.lanname = 'plpgsql'
        LEFT JOIN pg_trigger t ON t.tgfoid = f.oid AND NOT t.tgisinternal AND t.tgparentid = 0,
             :checker.plpgsql_check_function_tb(f.oid, coalesce(t.tgrelid, 0), oldtable => t.tgoldtable, newtable => t.tgnewtable,
                 fatal_errors => false, extra_warnings => true, performance_warnings => true, security_warnings => true) c
        WHERE (f.prorettype <> 'trigger'::regtype OR t.oid IS NOT NULL)
          AND c.message !~ '^name of parameter "(from|to|columns)" is reserved keyword$'
          AND c.message <> 'target type is different type than source type';
    \set contract `cat contract/plpgsql_check`
    CREATE TEMP TABLE accepted AS
        SELECT e.entry[3] AS finding
        FROM regexp_split_to_table(:'contract', '\n') line
        CROSS JOIN LATERAL regexp_match(line, '^(?:\[(from|before) ([0-9.]+)\] )?(.+)$') e(entry)
        JOIN pg_extension x ON x.extname = 'plpgsql_check'
        WHERE line !~ '^(#|$)'
          AND coalesce((string_to_array(x.extversion, '.')::int[] >= string_to_array(e.entry[2], '.')::int[])
                       = (e.entry[1] = 'from'), true);
    SET LOCAL search_path = :tap, pg_catalog, pg_temp;
    SELECT plan((SELECT count(*)::int + 2 FROM functions f JOIN pg_language l ON l.oid = f.prolang AND l.lanname = 'plpgsql'));
    SELECT is((SELECT string_agg(format('line %s: %s', d.lineno, d.finding), E'\n') FROM findings d
               WHERE d.key = f.key AND d.finding NOT IN (SELECT a.finding FROM accepted a)), NULL, f.key)
    FROM functions f JOIN pg_language l ON l.oid = f.prolang AND l.lanname = 'plpgsql' ORDER BY f.key COLLATE "C";
    SELECT is_empty($$ SELECT a.finding FROM accepted a WHERE a.finding NOT IN (SELECT d.finding FROM findings d) $$,
                    'what contract/plpgsql_check accepts is still found');
    SELECT is_empty($$
        SELECT f.key FROM functions f JOIN pg_language l ON l.oid = f.prolang AND l.lanname = 'plpgsql' WHERE f.prorettype = 'trigger'::regtype
          AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgfoid = f.oid)
        $$, 'each trigger function has a trigger, with whose table it is checked');
\else
    SET LOCAL search_path = :tap, pg_catalog, pg_temp;
    SELECT plan(1);
    SELECT skip('the server has no plpgsql_check 2.3: the package postgresql-N-plpgsql-check brings it');
\endif
SELECT * FROM finish();
ROLLBACK;
