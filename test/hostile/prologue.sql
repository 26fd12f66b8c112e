-- Overloads of the functions, aggregates and operators of pg_catalog that our sources name,
-- and of fraud_score and fraud_explain, in public: it stands before pg_catalog in
-- search_path, and is the extension's own schema. Each does what the original does; one
-- that is called from inside other code writes a line into the server's log: who, and from
-- where. test/hostile/run reads the log.
--
-- Left out are the operators by which PostgreSQL sorts, hashes and looks up values of one
-- type: without them the tests' own statements take minutes (sql/security.sql has one of
-- them), and window functions, which only C can make.
SET client_min_messages = error;
CREATE SCHEMA hostile;
GRANT USAGE ON SCHEMA hostile TO PUBLIC;
SET search_path = pg_catalog, pg_temp;
\set words `cat "$HOSTILE_WORDS"`
CREATE TABLE hostile.words AS SELECT DISTINCT w AS word FROM regexp_split_to_table(:'words', '\s+') w
    WHERE w NOT IN ('', 'sha256'); -- sql/security.sql makes one of its own

-- Types that our tables and functions have; for what takes any type. (No oid: what all of reg… become.)
CREATE TABLE hostile.types AS
    SELECT t::regtype AS type FROM unnest('{text,name,varchar,uuid,bool,int4,int8,float4,float8,numeric,date,timestamptz,interval,jsonb,bytea,text[],float4[],float8[],int4[],uuid[],bool[],date[]}'::text[]) t;
CREATE TABLE hostile.made (kind text, signature text);

-- The first lines of a body: a call from a test's own statement has no more than our own
-- line in its context. Each place is told once a session (so no parallel workers).
CREATE FUNCTION hostile.noting(name text) RETURNS text LANGUAGE sql AS $$
    SELECT $body$
DECLARE
    stack pg_catalog.text;
    seen pg_catalog.text;
BEGIN
    GET DIAGNOSTICS stack = PG_CONTEXT;
    IF pg_catalog.strpos(stack, E'\n') OPERATOR(pg_catalog.>) 0
       OR pg_catalog.current_setting('search_path') OPERATOR(pg_catalog.=) 'pg_catalog, pg_temp' THEN
        seen := pg_catalog.concat('hostile.seen_', pg_catalog.md5(pg_catalog.concat(current_user, session_user, stack)));
        IF pg_catalog.current_setting(seen, true) IS NULL THEN
            PERFORM pg_catalog.set_config(seen, '', false);
            RAISE LOG 'HOSTILE | % | % | % | % | %', $body$ || quote_literal(name) || $body$, current_user, session_user,
                pg_catalog.current_setting('search_path'), pg_catalog.replace(stack, E'\n', ' <- ');
        END IF;
    END IF;
$body$
$$;

-- Makes one; what PostgreSQL does not take is left out.
CREATE FUNCTION hostile.make(kind text, signature text, VARIADIC statements text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    statement text;
BEGIN
    FOREACH statement IN ARRAY statements LOOP
        EXECUTE statement;
    END LOOP;
    INSERT INTO hostile.made VALUES (kind, signature);
EXCEPTION WHEN OTHERS THEN
    IF SQLSTATE <> '42723' THEN
        INSERT INTO hostile.made VALUES ('not made: ' || SQLERRM, signature);
    END IF;
END
$$;

-- What an expression over typed nulls gives; null where there is no such thing.
CREATE FUNCTION hostile.type_of(expression text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
BEGIN
    EXECUTE format('SELECT format_type(pg_typeof(%s), NULL)', expression) INTO result;
    RETURN result;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END
$$;

-- Functions, with exactly the arguments of the original.
SELECT count(hostile.make('function', p.oid::regprocedure::text,
    format('CREATE FUNCTION public.%I(%s) RETURNS %s LANGUAGE plpgsql %s PARALLEL RESTRICTED AS %L', p.proname,
           pg_get_function_arguments(p.oid), pg_get_function_result(p.oid),
           CASE p.provolatile WHEN 'i' THEN 'IMMUTABLE' WHEN 's' THEN 'STABLE' ELSE 'VOLATILE' END,
           hostile.noting(p.oid::regprocedure::text)
           || CASE WHEN p.proretset THEN format('RETURN QUERY SELECT * FROM pg_catalog.%I(%s); END', p.proname, a.args)
                   WHEN p.prorettype = 'void'::regtype THEN format('PERFORM pg_catalog.%I(%s); END', p.proname, a.args)
                   ELSE format('RETURN pg_catalog.%I(%s); END', p.proname, a.args) END)))
FROM pg_proc p JOIN hostile.words w ON w.word = p.proname,
     LATERAL (SELECT string_agg('$' || i, ', ' ORDER BY i) AS args FROM generate_series(1, p.pronargs) i) a
WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' AND p.provariadic = 0
  AND NOT EXISTS (SELECT FROM pg_type t WHERE t.oid = ANY (p.proargtypes) AND t.typtype = 'p')
  AND (p.proretset OR p.proallargtypes IS NULL);

-- Functions of any type, once for each of ours; those that take any number of arguments with up to three.
SELECT count(hostile.make('function', c.call,
    format('CREATE FUNCTION public.%I(%s) RETURNS %s LANGUAGE plpgsql STABLE PARALLEL RESTRICTED AS %L', c.proname, c.types,
           CASE WHEN c.proretset THEN 'SETOF ' || c.result ELSE c.result END,
           hostile.noting(c.call) || CASE WHEN c.proretset THEN format('RETURN QUERY SELECT * FROM pg_catalog.%I(%s); END', c.proname, c.args)
                                          ELSE format('RETURN pg_catalog.%I(%s); END', c.proname, c.args) END)))
FROM (
    SELECT p.proname, p.proretset, l.types, l.args, format('%s(%s)', p.proname, l.types) AS call,
           hostile.type_of(format('pg_catalog.%I(%s)', p.proname, l.nulls)) AS result
    FROM pg_proc p JOIN hostile.words w ON w.word = p.proname,
         LATERAL (
             SELECT format_type(t.type, NULL) AS types, '$1' AS args, format('NULL::%s', t.type) AS nulls FROM hostile.types t
             WHERE p.pronargs = 1
             UNION ALL
             SELECT format('%s, %s', a.type, b.type), '$1, $2', format('NULL::%s, NULL::%s', a.type, b.type) FROM hostile.types a, hostile.types b
             WHERE p.pronargs = 2
             UNION ALL
             SELECT format('%s, %s, %s', a.type, b.type, c.type), '$1, $2, $3', format('NULL::%s, NULL::%s, NULL::%s', a.type, b.type, c.type)
             FROM hostile.types a, hostile.types b, hostile.types c
             WHERE p.provariadic <> 0 AND a.type = 'text'::regtype AND b.type IN ('text', 'name', 'int4') AND c.type IN ('text', 'name', 'int4')
         ) l
    WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' AND p.prorettype <> 'record'::regtype
      AND EXISTS (SELECT FROM pg_type t WHERE t.oid = ANY (p.proargtypes) AND t.typtype = 'p' AND t.typname ~ '^any')
) c WHERE c.result IS NOT NULL AND c.result <> 'void';

-- Aggregates: they collect, and let the original aggregate at the end.
SELECT count(hostile.make('aggregate', c.call,
    format('CREATE FUNCTION public.%I(%s[]) RETURNS %s LANGUAGE plpgsql STABLE PARALLEL RESTRICTED AS %L', c.final, c.type, c.result,
           hostile.noting(c.call) || format('RETURN (SELECT pg_catalog.%I(x) FROM pg_catalog.unnest($1) x); END', c.proname)),
    format('CREATE AGGREGATE public.%I(%s) (sfunc = pg_catalog.array_append, stype = %s[], finalfunc = public.%I)', c.proname, c.type, c.type, c.final)))
FROM (
    SELECT DISTINCT p.proname, t.type, format('%s(%s)', p.proname, t.type) AS call, 'final ' || p.proname || ' ' || t.type AS final,
           hostile.type_of(format('pg_catalog.%I(NULL::%s)', p.proname, t.type)) AS result
    FROM pg_proc p JOIN pg_aggregate a ON a.aggfnoid = p.oid AND a.aggkind = 'n' JOIN hostile.words w ON w.word = p.proname, hostile.types t
    WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.pronargs = 1 AND t.type::text !~ '\[\]$'
) c WHERE c.result IS NOT NULL;
SELECT hostile.make('aggregate', 'count(*)',
    format('CREATE FUNCTION hostile.final_count(int8) RETURNS int8 LANGUAGE plpgsql STABLE PARALLEL RESTRICTED AS %L', hostile.noting('count(*)') || 'RETURN $1; END'),
    'CREATE AGGREGATE public.count(*) (sfunc = pg_catalog.int8inc, stype = int8, initcond = 0, finalfunc = hostile.final_count)');
SELECT hostile.make('aggregate', 'string_agg(text, text)',
    'CREATE FUNCTION hostile.collect(text[], text, text) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE BEGIN ATOMIC
        SELECT array_append(array_append($1, $2), $3); END',
    format('CREATE FUNCTION hostile.final_string_agg(text[]) RETURNS text LANGUAGE plpgsql STABLE PARALLEL RESTRICTED AS %L', hostile.noting('string_agg(text, text)')
           || 'RETURN (SELECT pg_catalog.string_agg($1[i], $1[i OPERATOR(pg_catalog.+) 1] ORDER BY i)
                       FROM pg_catalog.generate_series(1, pg_catalog.cardinality($1), 2) i); END'),
    'CREATE AGGREGATE public.string_agg(text, text) (sfunc = hostile.collect, stype = text[], finalfunc = hostile.final_string_agg)');

-- Operators: all of pg_catalog's, and those between types that would be cast for it.
SELECT count(hostile.make('operator', c.call,
    format('CREATE FUNCTION public.%I(%s) RETURNS %s LANGUAGE plpgsql STABLE PARALLEL RESTRICTED AS %L', c.call, concat_ws(', ', c.l, c.r), c.result,
           hostile.noting(c.call) || format('RETURN %s OPERATOR(pg_catalog.%s) %s; END', CASE WHEN c.l IS NOT NULL THEN '$1' END, c.oprname,
                                            CASE WHEN c.l IS NULL THEN '$1' ELSE '$2' END)),
    format('CREATE OPERATOR public.%s (%s RIGHTARG = %s, FUNCTION = public.%I)', c.oprname, 'LEFTARG = ' || c.l || ',', c.r, c.call)))
FROM (
    SELECT o.oprname, format_type(nullif(o.oprleft, 0), NULL) AS l, format_type(o.oprright, NULL) AS r, format_type(o.oprresult, NULL) AS result,
           left(format('%s %s %s', CASE WHEN o.oprleft <> 0 THEN format_type(o.oprleft, NULL) END, o.oprname, format_type(o.oprright, NULL)), 60) AS call
    FROM pg_operator o JOIN hostile.words w ON w.word = o.oprname
    WHERE o.oprnamespace = 'pg_catalog'::regnamespace
      AND NOT EXISTS (SELECT FROM pg_amop a JOIN pg_am m ON m.oid = a.amopmethod WHERE a.amopopr = o.oid AND m.amname IN ('btree', 'hash'))
      AND format_type(o.oprleft, NULL) || format_type(o.oprright, NULL) !~ 'any|record|polygon|circle|box|point|line|lseg|path|macaddr|inet|cidr|"char"|bit|ts|money'
    UNION
    SELECT w.word, a.type::text, b.type::text, hostile.type_of(format('NULL::%s OPERATOR(pg_catalog.%s) NULL::%s', a.type, w.word, b.type)),
           format('%s %s %s', a.type, w.word, b.type)
    FROM hostile.words w, hostile.types a, hostile.types b
    WHERE w.word IN (SELECT oprname FROM pg_operator)
      AND NOT EXISTS (SELECT FROM pg_operator o JOIN pg_amop m ON m.amopopr = o.oid
                      WHERE o.oprname = w.word AND o.oprleft = a.type AND o.oprright = b.type)
      AND NOT (a.type = b.type AND w.word IN ('=', '<>', '<', '<=', '>', '>='))
) c WHERE c.result IS NOT NULL;
SELECT kind, count(*) FROM hostile.made WHERE kind !~ '^not' GROUP BY kind ORDER BY kind;
ALTER TABLE hostile.made ADD COLUMN reported boolean;

-- When the extension is there: better matches of its own functions in its own schema, and of those of rows.
CREATE FUNCTION hostile.overload_extension() RETURNS event_trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    home text := (SELECT extnamespace::regnamespace FROM pg_extension WHERE extname = 'fraud_detect');
    f record;
BEGIN
    IF home IS NULL THEN
        RETURN;
    END IF;
    CREATE OR REPLACE FUNCTION hostile.fraud_score(record, text) RETURNS float8
        AS '$libdir/fraud_detect', 'fraud_detect_score_record' LANGUAGE C STABLE STRICT;
    CREATE OR REPLACE FUNCTION hostile.fraud_explain(record, text, OUT feature text, OUT value float8, OUT contribution float8, OUT category text) RETURNS SETOF record
        AS '$libdir/fraud_detect', 'fraud_detect_explain_record' LANGUAGE C STABLE STRICT;
    FOR f IN
        SELECT p.proname, a.type AS features, b.type AS model, pg_get_function_result(p.oid) AS result, p.proretset
        FROM pg_proc p,
             (SELECT c.reltype::regtype::text, 'record' FROM pg_class c WHERE c.relnamespace = 'fraud'::regnamespace AND c.relkind IN ('r', 'p', 'v')
                -- What hangs on a view's row type keeps its columns from going (fraud.drop_payment_field).
                AND c.relname <> 'payment_events'
              UNION ALL VALUES ('jsonb', 'jsonb'), ('float8[]', 'float4[]'), ('numeric[]', 'float4[]'), ('json', 'jsonb')) a(type, original),
             (VALUES ('text'), ('name'), ('varchar')) b(type)
        WHERE p.pronamespace = home::regnamespace AND p.proname IN ('fraud_score', 'fraud_explain')
          AND p.proargtypes[0] = a.original::regtype AND NOT (a.type = 'jsonb' AND b.type = 'text')
          AND EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
    LOOP
        PERFORM hostile.make('of ours', format('%s(%s)', f.proname, concat_ws(', ', f.features, f.model)),
            format('CREATE FUNCTION %I.%I(%s) RETURNS %s LANGUAGE plpgsql STABLE AS %L', home, f.proname,
                   concat_ws(', ', f.features, f.model) || CASE WHEN f.proretset THEN ', OUT feature text, OUT value float8, OUT contribution float8' ELSE '' END,
                   CASE WHEN f.proretset THEN 'SETOF record' ELSE 'float8' END,
                   hostile.noting(format('%s(%s)', f.proname, concat_ws(', ', f.features, f.model)))
                   || CASE WHEN f.proretset THEN 'RETURN QUERY SELECT * FROM' ELSE 'RETURN' END
                   || CASE WHEN f.features IN ('jsonb', 'json') THEN format(' %I.%I($1::jsonb, $2::text); END', home, f.proname)
                           WHEN f.features ~ '\[' THEN format(' %I.%I($1::float4[], $2::text); END', home, f.proname)
                           -- A row stays of its type, whatever it is cast to: by the name of the original it would come here again.
                           ELSE format(' hostile.%I($1, $2::text); END', f.proname) END));
    END LOOP;
END
$$;
CREATE FUNCTION hostile.drop_overloads() RETURNS event_trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    f regprocedure;
BEGIN
    FOR f IN SELECT DISTINCT p.oid FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_type'::regclass
             JOIN pg_type t ON t.oid = d.refobjid
             WHERE t.typnamespace = 'fraud'::regnamespace AND NOT EXISTS
                 (SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e') LOOP
        EXECUTE format('DROP FUNCTION %s', f);
    END LOOP;
END
$$;
CREATE EVENT TRIGGER hostile_overload ON ddl_command_end WHEN TAG IN ('CREATE EXTENSION') EXECUTE FUNCTION hostile.overload_extension();
CREATE EVENT TRIGGER hostile_drop ON ddl_command_start WHEN TAG IN ('DROP EXTENSION') EXECUTE FUNCTION hostile.drop_overloads();
ALTER DATABASE :DBNAME SET search_path = public, pg_catalog;
