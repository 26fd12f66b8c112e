-- Calls that are captured, which test/hostile/judge.py must see: from a body that pins no
-- search_path, from SQL that a function in C runs, and by name in the extension's schema
-- from a body that pins it.
SET application_name = 'captured on purpose';
CREATE FUNCTION fraud._captured_by_path() RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN RETURN lower('X'); END $$;
SELECT fraud._captured_by_path();
SELECT pg_catalog.query_to_xml('SELECT ''a'' || lower(''X'')', true, false, '');
CREATE FUNCTION fraud._captured_by_name(fraud.customers) RETURNS float8 LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$ BEGIN RETURN public.fraud_score($1, 'payments'::pg_catalog.text); END $$;
SELECT fraud._captured_by_name(NULL);
