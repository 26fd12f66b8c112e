-- Indexes of feature sets over columns of every type that Postgres has: each is made, or it is said
-- why not, and the table takes a row with a long value of the type as before.
SET client_min_messages = error;
CREATE SCHEMA typed;
SET search_path = typed;
CREATE DOMAIN any_text AS text;
CREATE DOMAIN short_text AS varchar(10);
CREATE DOMAIN wide_number AS numeric(900, 3) CHECK (VALUE <> 7);
CREATE DOMAIN small_number AS int;
CREATE TYPE mood AS ENUM ('calm', 'hurried');
CREATE TYPE place AS (street text, no int);
CREATE TYPE text_span AS RANGE (subtype = text);
-- Types with modifiers are not rows of pg_type.
CREATE TABLE tried (type text PRIMARY KEY, base oid NOT NULL);
INSERT INTO tried
SELECT format_type(t.oid, NULL), t.oid FROM pg_type t LEFT JOIN pg_type e ON e.oid = t.typelem
WHERE t.typisdefined AND e.typtype IS DISTINCT FROM 'p' AND t.typtype IN ('b', 'd', 'e', 'r', 'm', 'c') AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid IN (t.typrelid, e.typrelid) AND c.relkind <> 'c')
  AND t.typnamespace IN ('pg_catalog'::regnamespace, 'typed'::regnamespace, 'information_schema'::regnamespace);
INSERT INTO tried SELECT x, split_part(x, '(', 1)::regtype
FROM unnest('{varchar(10),varchar(450),varchar(4000),character(2000),"numeric(12,2)","numeric(900,3)","numeric(4,-2)",bit(3000),bit varying(9000)}'::text[]) x;

-- Values, the first that a type takes; the long ones hardly compress.
CREATE TABLE literals (no int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, is_long boolean, value text);
CREATE FUNCTION digits(n int) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(translate(md5(i::text), 'abcdef', '123456'), '') FROM generate_series(1, n) i $$;
CREATE FUNCTION letters(n int) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(md5(i::text), '') FROM generate_series(1, n) i $$;
CREATE FUNCTION bits(n int) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(CASE WHEN ascii(x) % 2 = 0 THEN '1' ELSE '0' END, '') FROM regexp_split_to_table(left(letters(1500), n), '') x $$;
INSERT INTO literals (is_long, value)
SELECT true, v FROM unnest(ARRAY[
    letters(800), '\x' || letters(800), digits(300), left(digits(30), 890), '{"k": "' || letters(800) || '"}', '<k>' || letters(800) || '</k>',
    left(letters(800), 4000), left(letters(800), 2000), left(letters(800), 450), bits(48000), bits(9000), bits(3000),
    (SELECT '{' || string_agg(x, ',') || '}' FROM regexp_split_to_table(rtrim(regexp_replace(digits(800), '(\d{7})', '\1 ', 'g')), ' ') x),
    (SELECT '{' || string_agg(md5(i::text), ',') || '}' FROM generate_series(1, 2000) i),
    (SELECT '{' || string_agg(md5(i::text)::uuid::text, ',') || '}' FROM generate_series(1, 2000) i),
    (SELECT '{' || string_agg('"' || (timestamp '2000-01-01' + i * interval '1 day 7919.77 seconds')::text || '"', ',') || '}' FROM generate_series(1, 3000) i),
    (SELECT '{' || string_agg('"10.' || i / 256 || '.' || i % 256 || '.7"', ',') || '}' FROM generate_series(1, 3000) i),
    '{"{\"k\": \"' || letters(800) || '\"}"}', '{"<k>' || letters(800) || '</k>"}', '{"\\x' || letters(800) || '"}',
    '(' || letters(800) || ',3)', '{"(' || letters(800) || ',3)"}',
    '[' || digits(100) || ',' || digits(101) || ')', '{[' || digits(100) || ',' || digits(101) || ')}', '[' || letters(100) || ',g)', '{[' || letters(100) || ',g)}',
    (SELECT '{' || string_agg('[' || i * 10 || ',' || i * 10 + 3 || ')', ',') || '}' FROM generate_series(1, 3000) i),
    (SELECT '{' || string_agg('[' || date '2000-01-01' + i * 10 || ',' || date '2000-01-04' + i * 10 || ')', ',') || '}' FROM generate_series(1, 3000) i),
    (SELECT '(' || string_agg('(' || sin(i) || ',' || cos(i) || ')', ',') || ')' FROM generate_series(1, 3000) i),
    (SELECT string_agg(md5(i::text), ' & ') FROM generate_series(1, 500) i), '$.k' || letters(800),
    '1:4000000:' || (SELECT string_agg((i * 7)::text, ',') FROM generate_series(1, 3000) i)]) WITH ORDINALITY x(v, i) ORDER BY i;
INSERT INTO literals (is_long, value)
SELECT false, v FROM unnest('{1,a,t,2026-01-01,12:00,"1 day","(1,2)","{1,2,3}","((0,0),(1,1))","[(0,0),(1,1)]","<(0,0),1>",10.0.0.1,08:00:2b:01:02:03,08:00:2b:01:02:03:04:05,6f2b5f0e-5d2c-4b0a-9a43-1f0d7f3e2a11,0/1,10:20:10,"[1,2)","[2026-01-01,2026-02-01)","{[1,2)}","{}",$,calm,pg_class,english,pg_catalog,int4,btree,=r/postgres}'::text[]) WITH ORDINALITY x(v, i) ORDER BY i;

CREATE TABLE found (type text, what text, detail text);
CREATE FUNCTION try(the_type text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    l record;
    literal text;
    use text;
    problem text;
    differences bigint;
BEGIN
    EXECUTE format('CREATE TABLE gauge (k %s)', the_type);
    FOR l IN SELECT * FROM literals ORDER BY is_long DESC, no LOOP
        BEGIN
            EXECUTE format('INSERT INTO gauge VALUES (%L)', l.value);
            literal := l.value;
            INSERT INTO found VALUES (the_type, CASE WHEN l.is_long THEN 'long value' ELSE 'value' END);
            EXIT;
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
    END LOOP;
    DROP TABLE gauge;
    -- As the key, as what is aggregated, and as the id.
    FOREACH use IN ARRAY '{key,value,id}'::text[] LOOP
        EXECUTE format('CREATE TABLE probe (no int, at timestamptz NOT NULL, k %s, other int)', the_type);
        BEGIN
            PERFORM fraud.create_feature_set('typed', 'probe', CASE use WHEN 'id' THEN 'k' ELSE 'no' END, 'at', create_indexes => true);
            IF use = 'key' THEN
                PERFORM fraud.add_window_feature('typed', 'f', 'count', NULL, 'k', '1 day');
                PERFORM fraud.add_window_feature('typed', 'g', 'count', NULL, 'k, other', '2 days');
            ELSIF use = 'value' THEN
                PERFORM fraud.add_window_feature('typed', 'f', 'distinct', 'k', 'other', '1 day');
            ELSE
                PERFORM fraud.add_window_feature('typed', 'f', 'count', NULL, 'other', '1 day');
            END IF;
            INSERT INTO found VALUES (the_type, use);
            INSERT INTO found SELECT the_type, CASE WHEN i.present THEN 'index' WHEN i.obstacle IS NULL THEN 'not made' ELSE 'obstacle' END, coalesce(i.obstacle, i.definition)
            FROM fraud.feature_indexes('typed') i;
        EXCEPTION WHEN datatype_mismatch THEN
            INSERT INTO found VALUES (the_type, 'refused as ' || use, SQLERRM);
        END;
        BEGIN
            EXECUTE format('INSERT INTO probe VALUES (1, now(), %1$L, 1), (2, now() + interval ''1 hour'', %1$L, 1)', literal);
        EXCEPTION WHEN OTHERS THEN
            INSERT INTO found VALUES (the_type, 'row refused as ' || use, SQLERRM);
        END;
        IF use <> 'id' AND EXISTS (SELECT FROM fraud.feature_sets WHERE feature_set = 'typed') THEN
            EXECUTE 'SELECT count(*) FROM fraud.verify_parity(''typed'')' INTO differences;
            IF differences <> 0 THEN
                INSERT INTO found VALUES (the_type, 'differs as ' || use, differences);
            END IF;
        END IF;
        DROP TABLE probe;
        PERFORM fraud.drop_feature_set(s.feature_set) FROM fraud.feature_sets s WHERE s.feature_set = 'typed';
    END LOOP;
END
$$;
SELECT count(try(type)) > 150 AS tried FROM (SELECT type FROM tried ORDER BY type OFFSET 0) t;
-- Nothing of these.
SELECT * FROM found WHERE what ~ '^(row refused|differs|not made)' ORDER BY type, what;
-- What has no index though it is a key, and says so.
SELECT type, detail FROM found WHERE what = 'obstacle' ORDER BY type;
SELECT what, count(DISTINCT type) >= at_least AS enough
FROM (VALUES ('long value', 70), ('value', 60), ('key', 30), ('value', 100), ('id', 100), ('index', 120)) w(what, at_least) JOIN found USING (what)
GROUP BY what, at_least ORDER BY what;
-- As what a long value can be of is a key. (To 15 a long number is an xid8, to later servers an error.)
SELECT string_agg(type, ', ' ORDER BY type COLLATE "C") FROM found k WHERE what = 'key' AND type <> 'xid8' AND EXISTS (SELECT FROM found v WHERE v.type = k.type AND v.what = 'long value');
DROP SCHEMA typed CASCADE;
