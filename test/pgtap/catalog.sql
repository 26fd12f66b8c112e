-- The catalog in the form of the contract: views that give, for each object, one line of
-- the files in contract/. The tests compare the lines with the files, tools/contract
-- writes the files. Expects a transaction, a search_path without public, and a superuser.

-- What belongs to the extension, and the schema that fraud_score is in.
CREATE TEMP VIEW extension AS
    SELECT e.oid, e.extowner AS owner, e.extnamespace::regnamespace AS home, e.extconfig AS dumped
    FROM pg_extension e WHERE e.extname = 'fraud_detect';
CREATE TEMP VIEW members AS
    SELECT d.classid, d.objid FROM pg_depend d, extension e
    WHERE d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid;

-- A role for each kind of access, as fraud.grant_access makes it, for this transaction alone.
CREATE TEMP TABLE kinds AS
    SELECT m[1] AS kind, 'fraud_test_' || m[1] AS role, place
    FROM pg_proc p, regexp_matches(p.prosrc, 'WHEN ''(\w+)'' THEN ARRAY', 'g') WITH ORDINALITY r(m, place)
    WHERE p.oid = 'fraud._access'::regproc;
GRANT SELECT ON kinds TO PUBLIC;
DO $$
DECLARE
    k record;
BEGIN
    FOR k IN SELECT * FROM kinds LOOP
        EXECUTE format('CREATE ROLE %I', k.role);
        PERFORM fraud.grant_access(k.role, k.kind);
    END LOOP;
    CREATE ROLE fraud_test_nobody;
END
$$;

-- Which kinds satisfy a test; '-' where none does.
CREATE FUNCTION pg_temp.kinds_that(test text, object oid) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
BEGIN
    EXECUTE 'SELECT coalesce(string_agg(k.kind, '' '' ORDER BY k.place), ''-'') FROM pg_temp.kinds k WHERE ' || test
    INTO result USING object;
    RETURN result;
END
$$;

-- Types by the names that our own scripts use.
CREATE FUNCTION pg_temp.short(text) RETURNS text LANGUAGE sql AS $$
    SELECT replace(replace(regexp_replace(replace($1, 'double precision', 'float8'), '\minteger\M', 'int', 'g'),
                           'timestamp with time zone', 'timestamptz'), 'real[]', 'float4[]')
$$;

-- fraud.label(text, boolean) or, of the schema that the extension is in, fraud_score(record,text).
CREATE FUNCTION pg_temp.signature(function oid) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN p.pronamespace = 'fraud'::regnamespace THEN 'fraud.' ELSE '' END || quote_ident(p.proname)
           || '(' || pg_temp.short(oidvectortypes(p.proargtypes)) || ')'
    FROM pg_proc p WHERE p.oid = function
$$;

-- Fields side by side, wide enough for most, so that a new line moves no other.
CREATE FUNCTION pg_temp.line(widths int[], VARIADIC fields text[]) RETURNS text LANGUAGE sql AS $$
    SELECT rtrim(string_agg(rpad(f, greatest(widths[i], length(f))), ' | ' ORDER BY i), ' |')
    FROM unnest(fields) WITH ORDINALITY u(f, i)
$$;

-- ------------------------------------------------------------- functions
CREATE TEMP VIEW functions AS
    SELECT p.*, pg_temp.signature(p.oid) AS key FROM pg_proc p
    JOIN members m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid;

CREATE TEMP VIEW contract_functions AS
    SELECT f.key, pg_temp.line('{72,36,6,10,9,8,10}', f.key,
        pg_temp.kinds_that('has_function_privilege(k.role, $1, ''EXECUTE'')', f.oid),
        CASE WHEN f.prosecdef THEN 'owner' ELSE 'caller' END,
        CASE WHEN f.prokind = 'a' THEN 'aggregate' WHEN f.prosqlbody IS NOT NULL THEN 'sql parsed' ELSE l.lanname END,
        CASE f.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END,
        CASE WHEN f.proisstrict THEN 'strict' ELSE 'called' END,
        CASE f.proparallel WHEN 's' THEN 'safe' WHEN 'r' THEN 'restricted' ELSE 'unsafe' END,
        -- From PostgreSQL 16 on, what has no sorting has no presorted aggregates either (src/sql/95_planner.sql).
        coalesce((SELECT string_agg(CASE WHEN c = 'search_path=pg_catalog, pg_temp' THEN 'pinned'
                                         WHEN c = 'enable_sort=off' AND current_setting('server_version_num')::int >= 160000
                                              AND 'enable_presorted_aggregate=off' <> ALL (f.proconfig) THEN c || ' alone'
                                         ELSE c END, ' ' ORDER BY c DESC)
                  FROM unnest(f.proconfig) c WHERE c <> 'enable_presorted_aggregate=off'), '-')) AS line
    FROM functions f JOIN pg_language l ON l.oid = f.prolang;

-- How they are called: names of arguments, defaults, and what comes back.
CREATE TEMP VIEW contract_calls AS
    SELECT f.key, f.key || E'\n    takes ' || coalesce(nullif(pg_temp.short(pg_get_function_arguments(f.oid)), ''), 'nothing')
           || E'\n    gives ' || pg_temp.short(coalesce(pg_get_function_result(f.oid), 'nothing')) AS line
    FROM functions f WHERE f.proname !~ '^_' AND f.prorettype <> 'trigger'::regtype;

-- ------------------------------------------------------------- relations
CREATE TEMP VIEW relations AS
    SELECT c.*, 'fraud.' || quote_ident(c.relname) AS key FROM pg_class c
    JOIN members m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f');

CREATE TEMP VIEW contract_relations AS
    SELECT r.key, pg_temp.line('{30,11,36,14,8,28,16,6}', r.key,
        CASE r.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned' WHEN 'v' THEN 'view' ELSE r.relkind::text END,
        pg_temp.kinds_that('has_table_privilege(k.role, $1, ''SELECT'')', r.oid),
        pg_temp.kinds_that('has_any_column_privilege(k.role, $1, ''SELECT'') AND NOT has_table_privilege(k.role, $1, ''SELECT'')', r.oid),
        pg_temp.kinds_that('has_table_privilege(k.role, $1, ''INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER'')'
                           ' OR has_any_column_privilege(k.role, $1, ''INSERT, UPDATE, REFERENCES'')', r.oid),
        coalesce((SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY u.place)
                  FROM pg_index i, unnest(i.indkey) WITH ORDINALITY u(number, place), pg_attribute a
                  WHERE i.indrelid = r.oid AND i.indisprimary AND a.attrelid = r.oid AND a.attnum = u.number), '-'),
        CASE WHEN r.relkind = 'v' THEN '-' ELSE CASE r.relreplident WHEN 'd' THEN 'default' WHEN 'f' THEN 'full' WHEN 'i' THEN 'index' ELSE 'nothing' END END,
        CASE WHEN r.relkind = 'v' THEN '-' WHEN r.oid = ANY (e.dumped) THEN 'yes' ELSE 'no' END,
        coalesce((SELECT string_agg(replace(o, '=true', ''), ' ' ORDER BY o) FROM unnest(r.reloptions) o WHERE o !~ '^(fillfactor|autovacuum|toast)'), '-')) AS line
    FROM relations r, extension e;

-- --------------------------------------------------------------- columns
-- Who reads a column is said where it is not simply whoever reads the relation.
CREATE TEMP VIEW contract_columns AS
    SELECT r.key, r.key || string_agg(E'\n    ' || pg_temp.line('{24,24,8}', quote_ident(a.attname),
        pg_temp.short(format_type(a.atttypid, a.atttypmod)) || CASE WHEN a.attcollation NOT IN (t.typcollation, 0)
            THEN ' COLLATE ' || (SELECT quote_ident(l.collname) FROM pg_collation l WHERE l.oid = a.attcollation) ELSE '' END,
        CASE WHEN a.attidentity <> '' THEN 'identity' WHEN a.attnotnull THEN 'not null' WHEN r.relkind = 'v' THEN '-' ELSE 'null' END,
        CASE WHEN EXISTS (SELECT FROM pg_attribute b WHERE b.attrelid = r.oid AND b.attacl IS NOT NULL)
             THEN (SELECT coalesce(string_agg(k.kind, ' ' ORDER BY k.place), '-') FROM kinds k
                   WHERE has_column_privilege(k.role, r.oid, a.attnum, 'SELECT'))
             ELSE '' END), '' ORDER BY a.attnum) AS line
    FROM relations r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type t ON t.oid = a.atttypid
    GROUP BY r.key;
