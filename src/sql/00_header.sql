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

-- Who called: the current user before the owner's rights were taken. Not session_user,
-- since the code of one user runs in sessions of others.
CREATE FUNCTION fraud._caller() RETURNS name
AS 'MODULE_PATHNAME', 'fraud_detect_caller'
LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION fraud._caller() IS 'internal: the role that called, for audit columns';

-- What only one transaction at a time may do. These are rows of ours and no advisory
-- locks, since those can be taken, and kept, by anybody who can connect.
CREATE TABLE fraud.locks (name text PRIMARY KEY);
COMMENT ON TABLE fraud.locks IS 'internal: whose row is locked does what the name says';
INSERT INTO fraud.locks VALUES ('rollups'), ('reports');

CREATE FUNCTION fraud._lock(name text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM fraud.locks l WHERE l.name = _lock.name FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'lock "%" does not exist', name
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'The rows of fraud.locks come with CREATE EXTENSION; put it back with INSERT.';
    END IF;
END
$$;
COMMENT ON FUNCTION fraud._lock(text) IS 'internal: waits for a lock of fraud.locks and holds it until the end of the transaction';

CREATE FUNCTION fraud._try_lock(name text) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM fraud.locks l WHERE l.name = _try_lock.name FOR UPDATE SKIP LOCKED;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION fraud._try_lock(text) IS
    'internal: takes a lock of fraud.locks until the end of the transaction; false when another has it';

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
