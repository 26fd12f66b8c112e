\echo Use "CREATE EXTENSION fraud_detect" to load this file. \quit

SET LOCAL search_path TO pg_catalog, pg_temp;

DO $$
BEGIN
    IF getdatabaseencoding() <> 'UTF8' THEN
        RAISE EXCEPTION 'fraud_detect needs a database with encoding UTF8, not %', getdatabaseencoding()
            USING ERRCODE = 'feature_not_supported',
                  HINT = 'Payments are JSON, and so UTF-8: CREATE DATABASE … ENCODING ''UTF8'' TEMPLATE template0.';
    END IF;
END
$$;

CREATE SCHEMA fraud;
COMMENT ON SCHEMA fraud IS 'fraud_detect: payments, customers, models, alerts and reports';

-- Who called, from inside a SECURITY DEFINER function: the role that SET ROLE
-- chose, else the session's own.
CREATE FUNCTION fraud._caller() RETURNS name
LANGUAGE sql STABLE PARALLEL RESTRICTED
AS $$
    SELECT CASE pg_catalog.current_setting('role')
               WHEN 'none' THEN session_user
               ELSE pg_catalog.current_setting('role')::pg_catalog.name
           END
$$;
COMMENT ON FUNCTION fraud._caller() IS 'internal: the role that called, for audit columns';

-- Rows that CREATE EXTENSION makes are flagged builtin. A dump carries them like
-- all others, so when it is restored the dumped row takes the place of the one
-- that CREATE EXTENSION has just made. Nothing else inserts a builtin row.
CREATE FUNCTION fraud._replace_builtin() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE pg_catalog.format(
        'DELETE FROM %s t WHERE t.builtin AND (%s) = (SELECT %s FROM (SELECT ($1).*) n)',
        TG_RELID::pg_catalog.regclass, TG_ARGV[0], TG_ARGV[0])
    USING NEW;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION fraud._replace_builtin() IS
    'internal: lets a restored row replace the one that CREATE EXTENSION made';
