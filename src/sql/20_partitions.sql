-- Tiles of payments (src/sql/36_tiles.sql) stand for the payments of all months. Of a month that is made here, empty,
-- and of one that retention takes, which marks it, they need not be told; what somebody attaches, detaches or
-- truncates is told by its not being here, and they are made anew (src/pg/features/tile_shape.cpp).
CREATE TABLE fraud.months (
    partition oid PRIMARY KEY,
    file oid NOT NULL,
    attached xid NOT NULL
);
INSERT INTO fraud.months VALUES (0, 0, '0');
COMMENT ON TABLE fraud.months IS 'internal: the partitions of fraud.transactions as the extension made them, or as they were when tiles were last made anew';
COMMENT ON COLUMN fraud.months.partition IS 'its oid; 0: how often tiles were made anew for what was found, which file counts';
COMMENT ON COLUMN fraud.months.file IS 'its pg_relation_filenode then: another one since it was truncated or rewritten';
COMMENT ON COLUMN fraud.months.attached IS 'xmin of its row in pg_inherits: another one once it was detached and attached again';

-- Takes the months as they are for known, when tiles are made anew since some are not: after a dump was restored (which has
-- neither), pg_upgrade, or somebody's work by hand. Else each of these that retention takes would have them made anew once more.
-- The count has no state of the months look like an earlier one. What somebody has locked is left for the next time.
CREATE FUNCTION fraud._adopt_months() RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    gone bigint;
    found_new bigint;
BEGIN
    PERFORM FROM fraud.months m WHERE m.partition = 0 FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    DELETE FROM fraud.months m WHERE m.partition IN (
        SELECT o.partition FROM fraud.months o
        WHERE o.partition <> 0
          AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = 'fraud.transactions'::regclass AND i.inhrelid = o.partition
                            AND i.xmin = o.attached AND pg_relation_filenode(i.inhrelid) = o.file)
        FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS gone = ROW_COUNT;
    INSERT INTO fraud.months (partition, file, attached)
    SELECT i.inhrelid, pg_relation_filenode(i.inhrelid), i.xmin FROM pg_inherits i
    WHERE i.inhparent = 'fraud.transactions'::regclass AND NOT EXISTS (SELECT FROM fraud.months m WHERE m.partition = i.inhrelid);
    GET DIAGNOSTICS found_new = ROW_COUNT;
    IF gone + found_new = 0 THEN
        RETURN false;
    END IF;
    UPDATE fraud.months m SET file = (m.file::bigint + 1)::oid WHERE m.partition = 0;
    RETURN true;
END
$$;
COMMENT ON FUNCTION fraud._adopt_months() IS
    'internal: has fraud.months say what the partitions of fraud.transactions are now; whether it was something else';

-- What ALTER DEFAULT PRIVILEGES of the owner gave away when a table or view of ours was made: access is given by
-- fraud.grant_access and by GRANT, never by accident.
CREATE FUNCTION fraud._withdraw_default_privileges(relation regclass) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    grantee oid;
BEGIN
    FOR grantee IN SELECT DISTINCT x.grantee FROM pg_class c, aclexplode(c.relacl) x WHERE c.oid = relation AND x.grantee <> c.relowner LOOP
        EXECUTE format('REVOKE ALL ON %s FROM %s', relation, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END);
    END LOOP;
END
$$;
COMMENT ON FUNCTION fraud._withdraw_default_privileges(regclass) IS 'internal: takes from all others than the owner what they may do with a table or view that was just made';

-- Where a table's own index or partition is made: whose payment makes a month decides neither its tablespace nor its storage.
CREATE FUNCTION fraud._tablespace_of(relation regclass) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce((SELECT t.spcname::text FROM pg_class c JOIN pg_tablespace t ON t.oid = c.reltablespace WHERE c.oid = relation), '');
END;
COMMENT ON FUNCTION fraud._tablespace_of(regclass) IS 'internal: the tablespace of a table as default_tablespace names it; empty: the database''s own';

-- A month's partition is made apart and then attached: ATTACH takes a lock on
-- fraud.transactions that stops neither readers nor writers.
CREATE FUNCTION fraud._ensure_partition(occurred_at timestamptz) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
-- The bounds are written out and read back: not in the caller's way of dates.
SET datestyle = 'ISO, YMD'
SET timezone = 'UTC'
-- Nor where and how its session keeps tables of its own.
SET default_tablespace = ''
SET default_table_access_method = 'heap'
AS $$
DECLARE
    month_start timestamp := date_trunc('month', occurred_at AT TIME ZONE 'UTC');
    part text := 'transactions_' || to_char(month_start, 'YYYY_MM');
BEGIN
    -- The lock that ATTACH takes. Unlike an advisory lock it also has this session learn
    -- what those who held it have done to the catalog, before it looks.
    LOCK TABLE fraud.transactions IN SHARE UPDATE EXCLUSIVE MODE;
    IF to_regclass(format('fraud.%I', part)) IS NOT NULL THEN
        IF pg_partition_root(format('fraud.%I', part)::regclass) IS NULL THEN
            RAISE EXCEPTION 'table fraud.% is no partition of fraud.transactions', quote_ident(part)
                USING ERRCODE = 'object_not_in_prerequisite_state',
                      HINT = 'Attach it again, or rename it.';
        END IF;
        RETURN false;
    END IF;
    PERFORM set_config('default_tablespace', fraud._tablespace_of('fraud.transactions'), true);
    -- Windows are read from the indexes alone, but of pages that no vacuum has been to since something was added to them.
    EXECUTE format('CREATE TABLE fraud.%I (LIKE fraud.transactions INCLUDING DEFAULTS INCLUDING CONSTRAINTS)'
                   ' WITH (autovacuum_vacuum_insert_threshold = 10000, autovacuum_vacuum_insert_scale_factor = 0.01)', part);
    PERFORM fraud._withdraw_default_privileges(format('fraud.%I', part)::regclass);
    -- What the windows of a card read is in it: its rows lie on as many pages as it has payments.
    EXECUTE format('ALTER TABLE fraud.%I ADD PRIMARY KEY (card, occurred_at, transaction_id)'
                   ' INCLUDE (base_amount, merchant_latitude, merchant_longitude, category, merchant)', part);
    EXECUTE format('CREATE INDEX ON fraud.%I (occurred_at)', part);
    -- For the windows of merchants; what they read is in it.
    EXECUTE format('CREATE INDEX ON fraud.%I (merchant, occurred_at, transaction_id) INCLUDE (base_amount, is_fraud, label_known_at, label_changes)', part);
    PERFORM fraud._index_payment_field(part, f.name, f.type, f.path) FROM fraud.payment_fields f WHERE f.indexed;
    -- Readers come through fraud.transactions; the partition itself has no grants.
    EXECUTE format(
        'ALTER TABLE fraud.transactions ATTACH PARTITION fraud.%I FOR VALUES FROM (%L) TO (%L)',
        part, month_start AT TIME ZONE 'UTC', (month_start + interval '1 month') AT TIME ZONE 'UTC');
    INSERT INTO fraud.months (partition, file, attached)
    SELECT i.inhrelid, pg_relation_filenode(i.inhrelid), i.xmin FROM pg_inherits i WHERE i.inhrelid = format('fraud.%I', part)::regclass;
    RETURN true;
END
$$;
COMMENT ON FUNCTION fraud._ensure_partition(timestamptz) IS
    'internal: makes the partition of fraud.transactions that holds this time; false where it is there already';

-- What is stored cannot be older than the first month that is there.
CREATE FUNCTION fraud._first_month() RETURNS timestamptz
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
BEGIN ATOMIC
    SELECT coalesce(min(to_date(substr(c.relname, 14), 'YYYY_MM')::timestamp AT TIME ZONE 'UTC'), 'infinity')
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'fraud.transactions'::regclass AND c.relname ~ '^transactions_[0-9]{4,}_[0-9]{2}$';
END;
COMMENT ON FUNCTION fraud._first_month() IS 'internal: the start of the earliest month of fraud.transactions';

-- Whether retention takes a month: then nothing makes it again, and no payment of it is taken in.
CREATE FUNCTION fraud._is_past_retention(occurred_at timestamptz) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
BEGIN ATOMIC
    SELECT r.retention > interval '0' AND date_trunc('month', occurred_at) + interval '1 month' <= now() - r.retention
    FROM (SELECT coalesce(nullif(current_setting('fraud_detect.transaction_retention', true), ''), '0')::interval AS retention) r;
END;
COMMENT ON FUNCTION fraud._is_past_retention(timestamptz) IS
    'internal: whether the month of this time ended longer ago than fraud_detect.transaction_retention';

-- While a dump is restored, side by side or in parts, nothing may be derived from what is there. It has the
-- keys of months behind all rows; and the rows that came with CREATE EXTENSION give way table by table.
CREATE FUNCTION fraud._is_being_restored() RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = 'fraud.transactions'::regclass
                   AND NOT EXISTS (SELECT FROM pg_index n WHERE n.indrelid = i.inhrelid AND n.indisprimary))
        OR (EXISTS (SELECT FROM fraud.builtin_rows)
            AND EXISTS (SELECT FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid
                        WHERE g.tgname = 'replace_builtin' AND g.tgfoid = 'fraud._replace_builtin()'::regprocedure
                          AND NOT EXISTS (SELECT FROM fraud.builtin_rows b WHERE b.relation = c.relname)));
END;
COMMENT ON FUNCTION fraud._is_being_restored() IS 'internal: whether a dump is being restored, as far as can be told';
