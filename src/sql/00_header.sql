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

-- The owner of the functions is who the database trusts: what changes something runs with his rights, and
-- workers start in his name. A control file made "trusted", or one that asks for no superuser, would give
-- these to whoever may create objects in the database, or end half way: so it is refused, with the reason.
DO $$
DECLARE
    installer name := (SELECT r.rolname FROM pg_extension e JOIN pg_roles r ON r.oid = e.extowner WHERE e.extname = 'fraud_detect');
BEGIN
    IF installer IS DISTINCT FROM current_user OR NOT (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = current_user) THEN
        RAISE EXCEPTION 'fraud_detect is installed by a superuser, and role "%" is none', installer
            USING ERRCODE = 'insufficient_privilege',
                  DETAIL = 'Its functions are in C, start workers and read and write with the rights of their owner, so its control file must say superuser = true and trusted = false, as it comes.',
                  HINT = 'Have a superuser call CREATE EXTENSION fraud_detect, and fraud.grant_access(role, access) for who is to work with it.';
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

-- Rows that CREATE EXTENSION makes are in a dump like all others. Where it is restored, what it
-- has of a model or of a feature set takes the place of all that CREATE EXTENSION has just made of
-- it in that table: table by table, whatever the order they come in or how many at a time. Which
-- rows those are stands in fraud.builtin_rows, which no dump carries; they give way once.
CREATE TABLE fraud.builtin_rows (
    relation name NOT NULL,
    belongs_to text NOT NULL,
    row_keys text[] NOT NULL,
    PRIMARY KEY (relation, belongs_to)
);
COMMENT ON TABLE fraud.builtin_rows IS
    'internal: rows that CREATE EXTENSION made and that give way to a dump''s; what is not there any more has given way';
COMMENT ON COLUMN fraud.builtin_rows.relation IS 'the table, of schema fraud';
COMMENT ON COLUMN fraud.builtin_rows.belongs_to IS 'the model, the feature set';
COMMENT ON COLUMN fraud.builtin_rows.row_keys IS 'their primary keys, each as the text of a row';

-- What our own functions write is not restored.
CREATE FUNCTION fraud._in_function() RETURNS boolean
AS 'MODULE_PATHNAME', 'fraud_detect_in_function'
LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION fraud._in_function() IS 'internal: whether a function of the extension has taken its owner''s rights';

CREATE FUNCTION fraud._replace_builtin() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    belongs text;
    gone text[];
BEGIN
    IF fraud._in_function() THEN
        RETURN NEW;
    END IF;
    EXECUTE format('SELECT ($1).%I', TG_ARGV[0]) INTO belongs USING NEW;
    DELETE FROM fraud.builtin_rows b WHERE b.relation = TG_TABLE_NAME AND b.belongs_to = belongs
    RETURNING b.row_keys INTO gone;
    IF FOUND THEN
        EXECUTE format('DELETE FROM fraud.%I t WHERE ROW(%s)::text = ANY ($1)', TG_TABLE_NAME, TG_ARGV[1]) USING gone;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION fraud._replace_builtin() IS
    'internal: lets restored rows replace those that CREATE EXTENSION made';

-- Called by the install script when a table's rows are made. ALWAYS: where rows are replicated, too.
CREATE FUNCTION fraud._give_way(relation name, belongs_to name, key_columns name[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    key text := (SELECT string_agg(quote_ident(k), ', ') FROM unnest(key_columns) k);
BEGIN
    EXECUTE format('INSERT INTO fraud.builtin_rows (relation, belongs_to, row_keys)'
                   ' SELECT %L, t.%I, array_agg(ROW(%s)::text) FROM fraud.%I t GROUP BY t.%2$I', relation, belongs_to, key, relation);
    EXECUTE format('CREATE TRIGGER replace_builtin BEFORE INSERT ON fraud.%I'
                   ' FOR EACH ROW EXECUTE FUNCTION fraud._replace_builtin(%L, %L)', relation, belongs_to, key);
    EXECUTE format('ALTER TABLE fraud.%I ENABLE ALWAYS TRIGGER replace_builtin', relation);
END
$$;
COMMENT ON FUNCTION fraud._give_way(name, name, name[]) IS
    'internal: has the rows that a table has now give way to those of a dump that is restored, by what they belong to';
