-- What people read says what it is: each column of each view, in words of its own.
\ir setup.sql
SET LOCAL search_path = :tap, pg_catalog, pg_temp;
SELECT plan(2);
SELECT is_empty($$
    SELECT c.oid::regclass || '.' || a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relnamespace = 'fraud'::regnamespace AND c.relkind = 'v' AND c.relname !~ '^_' AND col_description(c.oid, a.attnum) IS NULL
    $$, 'the columns of views have a COMMENT');
SELECT is_empty($$
    SELECT c.oid::regclass || '.' || a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relnamespace = 'fraud'::regnamespace AND lower(replace(a.attname, '_', ' ')) = lower(col_description(c.oid, a.attnum))
    $$, 'which is not the name once more');
SELECT * FROM finish();
ROLLBACK;
