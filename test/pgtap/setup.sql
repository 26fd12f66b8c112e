-- Begins a test file: one transaction, which is rolled back, with pgTAP (made in it, where
-- the database has none), the catalog in the form of the contract, and helpers.
\set ON_ERROR_STOP on
\set QUIET on
SET client_min_messages = warning;
BEGIN;
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL timezone = 'UTC';
SET LOCAL datestyle = 'ISO, MDY';
SET LOCAL intervalstyle = 'postgres';
SELECT NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pgtap') AS lacking \gset
\if :lacking
    CREATE SCHEMA fraud_test_pgtap;
    CREATE EXTENSION pgtap SCHEMA fraud_test_pgtap;
\endif
SELECT extnamespace::regnamespace AS tap FROM pg_extension WHERE extname = 'pgtap' \gset
SELECT extnamespace::regnamespace AS home FROM pg_extension WHERE extname = 'fraud_detect' \gset
\ir catalog.sql

-- What a statement gives to a role: its rows, each as text, or its error.
CREATE FUNCTION pg_temp.outcome(role text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
    value record;
BEGIN
    PERFORM set_config('role', role, true);
    BEGIN
        IF statement ~ '^\s*SELECT' THEN
            FOR value IN EXECUTE statement LOOP
                result := concat_ws(E'\n', result, trim(both '()' FROM value::text));
            END LOOP;
        ELSE
            EXECUTE statement;
        END IF;
    EXCEPTION WHEN OTHERS THEN
        result := SQLSTATE || ' ' || SQLERRM;
    END;
    PERFORM set_config('role', 'none', true);
    RETURN coalesce(result, 'no rows');
END
$$;
