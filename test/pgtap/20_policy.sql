-- What holds of every object, whatever the contract says of it. Each test asks for those
-- that break the rule, and names them.
\ir setup.sql
SET LOCAL search_path = :tap, pg_catalog, pg_temp;
SELECT plan(32);

-- ------------------------------------------------------------- authority
SELECT is_empty($$
    SELECT f.key FROM functions f, aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) a WHERE a.grantee = 0
    $$, 'PUBLIC may execute no function');
SELECT is_empty($$
    SELECT c.oid::regclass FROM pg_class c, aclexplode(c.relacl) a WHERE c.relnamespace = 'fraud'::regnamespace AND a.grantee = 0
    UNION ALL
    SELECT a.attrelid::regclass FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid, aclexplode(a.attacl) x
    WHERE c.relnamespace = 'fraud'::regnamespace AND x.grantee = 0
    $$, 'PUBLIC has no right to a table, view, sequence or column');
SELECT is_empty($$
    SELECT a.privilege_type FROM pg_namespace n, aclexplode(n.nspacl) a WHERE n.nspname = 'fraud' AND a.grantee = 0
    $$, 'PUBLIC has no right to the schema');
SELECT is_empty($$
    SELECT k.kind FROM kinds k WHERE has_schema_privilege(k.role, 'fraud', 'CREATE')
    $$, 'no kind of access creates objects in the schema');
SELECT is_empty($$
    SELECT f.key FROM functions f, extension e WHERE f.proowner <> e.owner
    UNION ALL
    SELECT c.oid::regclass::text FROM pg_class c, extension e
    WHERE c.relnamespace = 'fraud'::regnamespace AND c.relkind <> 'i' AND c.relowner <> e.owner
    $$, 'functions, tables, partitions, views and sequences are the owner''s of the extension');
SELECT is_empty($$
    SELECT r.key FROM relations r, kinds k
    WHERE has_table_privilege(k.role, r.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
       OR has_any_column_privilege(k.role, r.oid, 'INSERT, UPDATE, REFERENCES')
    $$, 'no kind of access writes a table but through functions');
SELECT is_empty($$
    SELECT c.oid::regclass, k.kind FROM pg_class c, kinds k
    WHERE c.relnamespace = 'fraud'::regnamespace
      AND CASE WHEN c.relkind = 'S' THEN has_sequence_privilege(k.role, c.oid, 'USAGE, SELECT, UPDATE')
               WHEN c.relispartition THEN has_any_column_privilege(k.role, c.oid, 'SELECT, INSERT, UPDATE') END
    $$, 'partitions and sequences are granted to nobody');
SELECT is_empty($$
    SELECT f.key, k.kind FROM functions f, kinds k
    WHERE f.prorettype = 'trigger'::regtype AND has_function_privilege(k.role, f.oid, 'EXECUTE')
    $$, 'no kind of access executes a trigger function');
SELECT results_eq($$
    SELECT kind FROM kinds ORDER BY place
    $$, $$
    SELECT regexp_split_to_table(regexp_replace(m[1], ' and ', ', '), ', ')
    FROM pg_proc p, regexp_matches(p.prosrc, 'The kinds of access are ([^.'']*)') m WHERE p.oid = 'fraud._access'::regproc
    $$, 'the hint of fraud.grant_access names all kinds, and these are what the tests know');
SELECT is_empty($$
    SELECT k.kind FROM kinds k WHERE obj_description('fraud.grant_access'::regproc, 'pg_proc') !~ ('\m' || k.kind || '\M')
    $$, 'so does its comment');

SELECT is_empty($$
    SELECT f.key FROM functions f WHERE f.prosrc = 'fraud_detect_as_owner'
      AND (f.prosecdef OR NOT EXISTS (
          SELECT FROM functions b WHERE b.proname = '_' || f.proname AND b.proargtypes = f.proargtypes AND NOT b.prosecdef
            AND NOT EXISTS (SELECT FROM kinds k WHERE has_function_privilege(k.role, b.oid, 'EXECUTE'))))
    $$, 'a function that is entered through C has a body of the same arguments, which is granted to nobody');

-- ---------------------------------------------------------------- secrets
-- What is secret says so: its COMMENT begins with the word.
CREATE TEMP VIEW secrets AS
    SELECT a.attrelid, a.attnum, r.key || '.' || a.attname AS key FROM relations r
    JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE obj_description(r.oid, 'pg_class') ~ '^secret' OR col_description(r.oid, a.attnum) ~ '^secret';
SELECT set_has($$ SELECT key FROM secrets $$, $$
    VALUES ('fraud.card_keys.key'), ('fraud.sources.headers'), ('fraud.channels.headers'), ('fraud.channels.secret'), ('fraud.channels.smtp_password')
    $$, 'keys, headers, signing secrets and passwords are marked as secret');
SELECT is_empty($$
    SELECT s.key, k.kind FROM secrets s, kinds k WHERE has_column_privilege(k.role, s.attrelid, s.attnum, 'SELECT')
    $$, 'no kind of access reads what is secret');
SELECT is_empty($$
    SELECT r.key, s.key FROM relations r JOIN pg_rewrite w ON w.ev_class = r.oid
    JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass
    JOIN secrets s ON s.attrelid = d.refobjid AND s.attnum = d.refobjsubid
    WHERE r.relkind = 'v' AND pg_get_viewdef(r.oid) !~ ('\m' || split_part(s.key, '.', 3) || ' IS NOT NULL')
    $$, 'no view is made of what is secret, but to say that it is there');
SELECT is_empty($$
    SELECT r.key FROM relations r
    JOIN pg_rewrite w ON w.ev_class = r.oid
    JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass
    JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attname = 'card', kinds k
    WHERE r.relkind = 'v' AND pg_get_viewdef(r.oid) ~ '\mWHERE\M' AND d.refobjid <> r.oid
      AND has_table_privilege(k.role, r.oid, 'SELECT') AND NOT has_table_privilege(k.role, d.refobjid, 'SELECT')
      AND NOT coalesce('security_barrier=true' = ANY (r.reloptions), false)
    $$, 'a view that leaves out rows of cards which its reader may not read is a security barrier');

-- --------------------------------------------------------------- capture
SELECT is_empty($$
    SELECT f.key FROM functions f JOIN pg_language l ON l.oid = f.prolang
    WHERE l.lanname IN ('sql', 'plpgsql') AND f.prosqlbody IS NULL
      AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (f.proconfig), false)
    $$, 'each body is parsed already, or has a pinned search_path');
SELECT is_empty($$
    SELECT f.key FROM functions f WHERE f.prosqlbody IS NOT NULL AND f.prosecdef
      AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (f.proconfig), false)
    $$, 'SECURITY DEFINER pins it in either case');
SELECT is_empty($$
    SELECT f.key FROM functions f JOIN pg_language l ON l.oid = f.prolang WHERE l.lanname NOT IN ('sql', 'plpgsql', 'c', 'internal')
    $$, 'no other languages are used');
-- The extension's schema is no place to look for one's own: others may create there.
SELECT is_empty(format($$
    SELECT f.key FROM functions f
    WHERE f.prosqlbody IS NULL AND f.prolang IN (SELECT oid FROM pg_language WHERE lanname IN ('sql', 'plpgsql'))
      AND f.prosrc ~ %L AND f.proname <> '_access'
    $$, '\m' || :'home' || '\.'), 'no body calls what is in the extension''s schema (fraud._access names exact signatures)');
SELECT is_empty($$
    SELECT pg_describe_object(d.classid, d.objid, d.objsubid), pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid)
    FROM pg_depend d
    LEFT JOIN pg_proc p ON d.refclassid = 'pg_proc'::regclass AND p.oid = d.refobjid
    LEFT JOIN pg_operator o ON d.refclassid = 'pg_operator'::regclass AND o.oid = d.refobjid
    LEFT JOIN pg_rewrite w ON d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid
    LEFT JOIN pg_attrdef a ON d.classid = 'pg_attrdef'::regclass AND a.oid = d.objid
    LEFT JOIN pg_constraint c ON d.classid = 'pg_constraint'::regclass AND c.oid = d.objid
    LEFT JOIN pg_trigger t ON d.classid = 'pg_trigger'::regclass AND t.oid = d.objid
    LEFT JOIN functions f ON d.classid = 'pg_proc'::regclass AND f.oid = d.objid
    LEFT JOIN pg_class k ON k.oid = coalesce(w.ev_class, a.adrelid, nullif(c.conrelid, 0), t.tgrelid,
                                             CASE WHEN d.classid = 'pg_class'::regclass THEN d.objid END)
    WHERE (k.relnamespace = 'fraud'::regnamespace OR f.oid IS NOT NULL) AND (p.oid IS NOT NULL OR o.oid IS NOT NULL)
      AND coalesce(p.pronamespace, o.oprnamespace) NOT IN ('pg_catalog'::regnamespace, 'fraud'::regnamespace)
    $$, 'views, defaults, checks, indexes, triggers and parsed bodies stand on pg_catalog and on schema fraud alone');
SELECT is_empty($$
    SELECT f.key FROM functions f JOIN pg_language l ON l.oid = f.prolang WHERE l.lanname = 'c' AND f.proconfig IS NOT NULL
    $$, 'functions in C carry no settings: they pin what they run themselves');

-- Expressions of features are kept as SQL, in which what is not of pg_catalog is qualified.
SELECT is_empty($$
    SELECT d.feature, e FROM fraud.feature_definitions d, unnest(ARRAY[d.expression, d.filter] || d.value || d.key) e
    WHERE d.feature_set = 'payments' AND e ~ 'OPERATOR\((?!pg_catalog\.)|\m(?!(pg_catalog|fraud)\.)\w+\.\w+\('
    $$, 'the features of payments call nothing outside of pg_catalog and fraud');

-- ------------------------------------------------------- nulls and errors
-- STRICT has a function do nothing, and say nothing, where an argument is null: right for what answers, wrong for what acts.
SELECT is_empty($$
    SELECT f.key FROM functions f
    WHERE f.proisstrict AND f.provolatile = 'v' AND f.prokind <> 'a' AND f.pronargs > 0
      AND (f.proname !~ '^_' OR EXISTS (SELECT FROM kinds k WHERE has_function_privilege(k.role, f.oid, 'EXECUTE')))
    $$, 'what acts is not STRICT: it refuses a null');
SELECT is_empty($$
    SELECT f.key FROM functions f JOIN members m ON m.objid = f.oid JOIN pg_proc b ON b.pronamespace = f.pronamespace
        AND b.proname = '_' || f.proname AND b.proargtypes = f.proargtypes
    WHERE f.prosrc ~ '^fraud_detect_as_(owner|caller)$' AND b.proisstrict AND NOT f.proisstrict
    $$, 'nor is its body');
-- A body in SQL or PL/pgSQL that is called by people shows itself in errors: fraud_detect_as_owner and
-- fraud_detect_as_caller call it for them. Those that are called as they are raise no error but PostgreSQL's own of
-- a relation that is locked or not granted.
SELECT set_eq($$
    SELECT f.proname::text FROM functions f JOIN pg_language l ON l.oid = f.prolang
    WHERE l.lanname IN ('sql', 'plpgsql') AND f.proname !~ '^_' AND f.prorettype <> 'trigger'::regtype
    $$, $$
    VALUES ('check_restore'), ('event_is_fraud'), ('event_label_changes'), ('event_label_known_at'), ('health'), ('metrics'), ('payment_features'), ('report_timezone')
    $$, 'what people call is C, which shows nothing of our code in errors, or raises none');

-- -------------------------------------------------------------- comments
SELECT is_empty($$
    SELECT pg_describe_object(m.classid, m.objid, 0) FROM members m
    LEFT JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
    WHERE m.classid IN ('pg_proc'::regclass, 'pg_class'::regclass, 'pg_namespace'::regclass)
      AND coalesce(c.relkind, 'r') NOT IN ('S', 'i', 'I') AND obj_description(m.objid, m.classid::regclass::name) IS NULL
    $$, 'functions, tables, views and the schema have a COMMENT');
SELECT is_empty($$
    SELECT f.key FROM functions f WHERE (f.proname ~ '^_') <> (obj_description(f.oid, 'pg_proc') ~ '^internal: ')
    $$, 'whose name begins with _, and no other function, says that it is internal');
SELECT is_empty($$
    SELECT f.key FROM functions f WHERE f.proname !~ '^_' AND f.prorettype <> 'trigger'::regtype
      AND cardinality(f.proargnames[1:f.pronargs]) IS DISTINCT FROM nullif(f.pronargs, 0) AND f.pronargs > 0 AND f.prokind <> 'a'
    $$, 'arguments of public functions have names');

-- ----------------------------------------------------------------- tables
SELECT is_empty($$
    SELECT f.key FROM functions f WHERE f.proname IN ('fraud_score', 'fraud_explain', 'assess', 'features') AND f.provolatile <> 's'
    $$, 'what depends on which model is promoted is stable');
SELECT is_empty($$
    SELECT c.oid::regclass FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'fraud.transactions'::regclass
      AND NOT EXISTS (SELECT FROM pg_index x WHERE x.indrelid = c.oid AND x.indisprimary
                      AND (SELECT array_agg(a.attname::text ORDER BY u.place) FROM unnest(x.indkey) WITH ORDINALITY u(number, place)
                           JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.number) @> '{card,transaction_id}')
    $$, 'each month of payments has a primary key that contains card and transaction_id');
SELECT is_empty($$
    SELECT t.name, e.event FROM (VALUES ('fraud.promotions'), ('fraud.case_history')) t(name), (VALUES (8), (16)) e(event)
    WHERE NOT EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = t.name::regclass AND g.tgfoid = 'fraud._append_only'::regproc
                      AND g.tgtype & e.event <> 0 AND g.tgtype & 2 <> 0 AND g.tgenabled IN ('O', 'A'))
    $$, 'promotions and the history of cases refuse UPDATE and DELETE');
SELECT is_empty($$
    SELECT r.key, a.attname FROM relations r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE a.atttypid IN ('timestamp'::regtype, 'timetz'::regtype, 'money'::regtype, 'char'::regtype)
    $$, 'times have a time zone, and amounts are numeric');
SELECT * FROM finish();
ROLLBACK;
