-- The log of changes. Every change of a payment (stored, deleted, corrected) and of its
-- labels adds a row, in its own commit. What is derived from payments is made from it: the
-- sums that the views read (src/sql/70_rollups.sql). One folder at a time takes rows out and adds them
-- to the sums, in one statement, so that at every snapshot a change is in the log or in the
-- sums, never in both.
--
-- The log is a ring of slots, the partitions fraud.changes_0 to _3. One is open: the changes
-- go there. When it has taken many, a spare one is opened; when all rows of the one before are folded and
-- nobody can write to it any more, it is retired: nobody looks into it. It is a spare again
-- once no snapshot can see its rows. So nobody walks over many rows that are
-- gone, however long somebody keeps an old snapshot, and nothing is ever truncated or dropped: that would take
-- the rows from snapshots that still see them, on a standby too.

-- In microseconds since 1970, at its start. A dump carries rows of the log, but not the
-- sequence: while it is restored, labels add rows, whose numbers are beyond all those of the dump.
CREATE SEQUENCE fraud.change_ids;
SELECT setval('fraud.change_ids', (extract(epoch FROM clock_timestamp()) * 1000000)::bigint);

-- The slot that is open. Not a row of a table: a writer must not go by an old snapshot.
CREATE SEQUENCE fraud.change_slot AS smallint MINVALUE 0 MAXVALUE 3;
SELECT setval('fraud.change_slot', 0);

CREATE TABLE fraud.changes (
    change_id bigint NOT NULL DEFAULT nextval('fraud.change_ids'),
    slot smallint NOT NULL,
    sign smallint NOT NULL,
    card uuid NOT NULL,
    transaction_id text COLLATE "C" NOT NULL,
    occurred_at timestamptz,
    amount numeric,
    merchant text,
    category text,
    state text,
    model text,
    model_version int,
    score float8,
    decision text,
    is_fraud boolean,
    known_at timestamptz,
    PRIMARY KEY (change_id, slot),
    CONSTRAINT changes_check CHECK (CASE sign WHEN 0 THEN known_at IS NOT NULL
                                    ELSE sign IN (-1, 1) AND num_nulls(occurred_at, amount, merchant) = 0 END)
) PARTITION BY LIST (slot);
COMMENT ON TABLE fraud.changes IS
    'changes of payments and labels that are committed and not yet in fraud.rollups; rows are added, and taken out when they are folded';
COMMENT ON COLUMN fraud.changes.slot IS 'the part of the log: fraud.change_slots';
COMMENT ON COLUMN fraud.changes.sign IS '1: a payment that was stored, -1: one that is no more, 0: a label; a payment that was corrected is both';
COMMENT ON COLUMN fraud.changes.occurred_at IS 'the payment''s; with card and transaction_id it finds the row in fraud.transactions';
COMMENT ON COLUMN fraud.changes.amount IS 'the payment''s base_amount';
COMMENT ON COLUMN fraud.changes.state IS 'the home''s, as known when the row was written';
COMMENT ON COLUMN fraud.changes.is_fraud IS 'of a label: what it says';
COMMENT ON COLUMN fraud.changes.known_at IS 'of a label: from when it counts';

CREATE TABLE fraud.change_slots (
    slot smallint PRIMARY KEY,
    state text NOT NULL DEFAULT 'live' CHECK (state IN ('live', 'retired', 'spare')),
    first_id bigint,
    turned_by xid8
) WITH (fillfactor = 50);
INSERT INTO fraud.change_slots (slot, first_id)
SELECT s, CASE WHEN s = 0 THEN i.last_value END FROM generate_series(0, 3) s, fraud.change_ids i;
COMMENT ON TABLE fraud.change_slots IS 'internal: the slots of fraud.changes; those that are retired are looked into by nobody';
COMMENT ON COLUMN fraud.change_slots.first_id IS 'the last number given out when it was opened';
COMMENT ON COLUMN fraud.change_slots.turned_by IS 'the transaction that retired it, or made it a spare';

-- Up to where all is folded. While somebody keeps an old snapshot, rows that were taken out stay
-- in a slot and its index; nobody need walk over them twice. A change with a smaller number may
-- commit later than one with a greater: so a number is a candidate until all who had taken one
-- by then have ended, which their locks on the sequence tell. Rows of a dump that is restored have
-- numbers from before the sequence began, and are looked for there.
CREATE TABLE fraud.change_mark (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    began_at bigint NOT NULL,
    folded_to bigint NOT NULL,
    candidate bigint,
    holders text[],
    part smallint NOT NULL DEFAULT 0,
    part_folds int NOT NULL DEFAULT 0,
    part_began xid8
) WITH (fillfactor = 50);
INSERT INTO fraud.change_mark (began_at, folded_to) SELECT s.last_value, s.last_value FROM fraud.change_ids s;
COMMENT ON TABLE fraud.change_mark IS 'internal: up to which number fraud.changes holds nothing any more';
COMMENT ON COLUMN fraud.change_mark.began_at IS 'where the sequence began: rows that a dump brought are below';
COMMENT ON COLUMN fraud.change_mark.folded_to IS 'no row lies between began_at and this, and none will';
COMMENT ON COLUMN fraud.change_mark.candidate IS 'what folded_to can become when none of holders runs any more';
COMMENT ON COLUMN fraud.change_mark.part IS 'of fraud.rollups, which is added to';
COMMENT ON COLUMN fraud.change_mark.part_folds IS 'pieces that were added to it since part_began';
COMMENT ON COLUMN fraud.change_mark.part_began IS 'a transaction at that time';
COMMENT ON COLUMN fraud.change_mark.holders IS 'the transactions that had taken numbers up to candidate and had not ended';

DO $$
DECLARE
    s int;
BEGIN
    FOR s IN 0..3 LOOP
        -- Many rows come and go: a thousand are reason enough. Cut off is nothing, which would
        -- lock out readers, and those of a standby too.
        EXECUTE format('CREATE TABLE fraud.changes_%s PARTITION OF fraud.changes FOR VALUES IN (%1$s)'
                       ' WITH (autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0, vacuum_truncate = off)', s);
        EXECUTE format('COMMENT ON TABLE fraud.changes_%s IS ''a slot of fraud.changes''', s);
    END LOOP;
END
$$;

-- Slots that are retired are left out when the query begins ("never executed"). Few words,
-- since every view that reads the sums plans for this some times over.
CREATE VIEW fraud._log AS
    SELECT c.* FROM fraud.changes c
    WHERE c.slot IN ((SELECT s.slot FROM fraud.change_slots s WHERE s.slot = 0 AND s.state <> 'retired'),
                     (SELECT s.slot FROM fraud.change_slots s WHERE s.slot = 1 AND s.state <> 'retired'),
                     (SELECT s.slot FROM fraud.change_slots s WHERE s.slot = 2 AND s.state <> 'retired'),
                     (SELECT s.slot FROM fraud.change_slots s WHERE s.slot = 3 AND s.state <> 'retired'));
COMMENT ON VIEW fraud._log IS 'internal: the changes that are not folded';

-- Returns the open slot, with a lock on it until the end of the transaction, by which
-- fraud._turn_slots sees that somebody may still add to it.
CREATE FUNCTION fraud._open_slot() RETURNS smallint
AS 'MODULE_PATHNAME', 'fraud_detect_open_slot'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud._open_slot() IS 'internal: the slot of fraud.changes that changes go to';

-- Labels that are known later do not lie in the log until then.
CREATE TABLE fraud.waiting_labels (
    change_id bigint PRIMARY KEY,
    card uuid NOT NULL,
    transaction_id text COLLATE "C" NOT NULL,
    occurred_at timestamptz,
    is_fraud boolean,
    known_at timestamptz NOT NULL
);
CREATE INDEX waiting_labels_known_at_idx ON fraud.waiting_labels (known_at);
COMMENT ON TABLE fraud.waiting_labels IS 'labels that were in fraud.changes when their known_at had not come; they go back there then';

-- ------------------------------------------------- who writes to the log
-- Payments that are stored add their rows themselves (src/pg/payments/ingest.cpp, history_store.cpp).

CREATE FUNCTION fraud._log_labels() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO fraud.changes (slot, sign, card, transaction_id, occurred_at, is_fraud, known_at)
    SELECT (SELECT fraud._open_slot()), 0, n.card, n.transaction_id,
           (SELECT k.occurred_at FROM fraud.payment_keys k
            WHERE k.transaction_id = n.transaction_id AND k.card = n.card),
           n.is_fraud, n.known_at
    FROM new_labels n
    -- Labels go with retention when their payments have gone, whose sums stay.
    WHERE TG_OP <> 'DELETE'
       OR EXISTS (SELECT FROM fraud.payment_keys k JOIN fraud.transactions t USING (card, occurred_at, transaction_id)
                  WHERE k.transaction_id = n.transaction_id AND k.card = n.card);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION fraud._log_labels() IS 'internal: logs labels that were recorded or corrected';

CREATE TRIGGER log_labels AFTER INSERT ON fraud.labels
    REFERENCING NEW TABLE AS new_labels
    FOR EACH STATEMENT EXECUTE FUNCTION fraud._log_labels();
-- Nobody does that but an owner who corrects by hand.
CREATE TRIGGER log_changed_labels AFTER UPDATE ON fraud.labels
    REFERENCING NEW TABLE AS new_labels
    FOR EACH STATEMENT EXECUTE FUNCTION fraud._log_labels();
CREATE TRIGGER log_deleted_labels AFTER DELETE ON fraud.labels
    REFERENCING OLD TABLE AS new_labels
    FOR EACH STATEMENT EXECUTE FUNCTION fraud._log_labels();

-- Nor this. No statement that stores or labels a payment comes by here, but on a subscriber of
-- logical replication (src/sql/89_replication.sql).
CREATE FUNCTION fraud._log_payment() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    home text := (SELECT c.state FROM fraud.customers c WHERE c.card = coalesce(NEW.card, OLD.card));
BEGIN
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO fraud.changes (slot, sign, card, transaction_id, occurred_at, amount, merchant, category, state,
                                   model, model_version, score, decision)
        VALUES (fraud._open_slot(), -1, OLD.card, OLD.transaction_id, OLD.occurred_at, OLD.base_amount, OLD.merchant, OLD.category, home,
                OLD.model, OLD.model_version, OLD.score, OLD.decision);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO fraud.changes (slot, sign, card, transaction_id, occurred_at, amount, merchant, category, state,
                                   model, model_version, score, decision)
        VALUES (fraud._open_slot(), 1, NEW.card, NEW.transaction_id, NEW.occurred_at, NEW.base_amount, NEW.merchant, NEW.category, home,
                NEW.model, NEW.model_version, NEW.score, NEW.decision);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION fraud._log_payment() IS 'internal: logs payments that are corrected or deleted by hand, and those that replication has brought, changed or deleted';

CREATE TRIGGER log_deleted AFTER DELETE ON fraud.transactions
    FOR EACH ROW EXECUTE FUNCTION fraud._log_payment();
CREATE TRIGGER log_corrected AFTER UPDATE OF amount, base_amount, merchant, category, model, model_version, score, decision ON fraud.transactions
    FOR EACH ROW EXECUTE FUNCTION fraud._log_payment();

-- Who corrects an amount by hand corrects what it comes to, too.
CREATE FUNCTION fraud._keep_base_amount() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.amount := round(NEW.amount, fraud.currency_decimals(NEW.currency));
    IF NEW.amount <> OLD.amount AND NEW.base_amount = OLD.base_amount AND NEW.currency = OLD.currency THEN
        NEW.base_amount := CASE WHEN NEW.currency = fraud.base_currency() THEN NEW.amount
                                WHEN OLD.amount = 0 THEN OLD.base_amount
                                ELSE round(OLD.base_amount * NEW.amount / OLD.amount, fraud.currency_decimals(fraud.base_currency())) END;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION fraud._keep_base_amount() IS 'internal: an amount that is corrected by hand has its currency''s decimals, and base_amount is in proportion';

CREATE TRIGGER keep_base_amount BEFORE UPDATE OF amount ON fraud.transactions
    FOR EACH ROW EXECUTE FUNCTION fraud._keep_base_amount();

CREATE FUNCTION fraud._refuse_new_key() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF (NEW.card, NEW.transaction_id, NEW.occurred_at) IS DISTINCT FROM (OLD.card, OLD.transaction_id, OLD.occurred_at) THEN
        RAISE EXCEPTION 'card, id and time of a payment cannot be changed'
            USING ERRCODE = 'feature_not_supported',
                  DETAIL = 'fraud.payment_keys, alerts and labels find it by them.',
                  HINT = 'Its owner can correct the other columns.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION fraud._refuse_new_key() IS 'internal: keeps what finds a payment as it is';

CREATE TRIGGER keep_key BEFORE UPDATE OF card, transaction_id, occurred_at ON fraud.transactions
    FOR EACH ROW EXECUTE FUNCTION fraud._refuse_new_key();

-- ------------------------------------------------------------------- mark
-- Whose locks tell that they have taken numbers, prepared transactions among them.
CREATE FUNCTION fraud._change_holders() RETURNS text[]
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce(array_agg(DISTINCT l.virtualtransaction), '{}') FROM pg_locks l
    WHERE l.locktype = 'relation' AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
      AND l.relation = 'fraud.change_ids'::regclass AND l.mode = 'RowExclusiveLock' AND l.pid IS DISTINCT FROM pg_backend_pid();
END;
COMMENT ON FUNCTION fraud._change_holders() IS 'internal: the transactions that run and have taken numbers of fraud.changes';

-- Called before a fold; what it returns may become folded_to after it.
CREATE FUNCTION fraud._settled_changes() RETURNS bigint
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT m.candidate FROM fraud.change_mark m WHERE NOT m.holders && fraud._change_holders();
END;
COMMENT ON FUNCTION fraud._settled_changes() IS 'internal: up to which number all changes have committed, or never will; null: not known';

-- Called after it. The caller holds the lock 'rollups', and is not in a snapshot of before.
CREATE FUNCTION fraud._move_mark(settled bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    mark fraud.change_mark;
    first_left bigint;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RETURN;
    END IF;
    SELECT * INTO mark FROM fraud.change_mark;
    IF settled IS NOT NULL THEN
        -- What is left is the first that is there: the walk to it is over what the last one left.
        SELECT min(f.change_id) INTO first_left
        FROM fraud.change_slots s
        CROSS JOIN LATERAL (SELECT c.change_id FROM fraud.changes c
                            WHERE c.slot = s.slot AND c.change_id > mark.folded_to ORDER BY c.change_id LIMIT 1) f
        WHERE s.state <> 'retired';
        mark.folded_to := greatest(mark.folded_to, least(settled, coalesce(first_left - 1, settled)));
        mark.candidate := NULL;
    END IF;
    IF mark.candidate IS NULL OR mark.candidate <= mark.folded_to THEN
        SELECT s.last_value INTO mark.candidate FROM fraud.change_ids s;
        mark.holders := fraud._change_holders();
    END IF;
    UPDATE fraud.change_mark m SET folded_to = mark.folded_to, candidate = mark.candidate, holders = mark.holders
    WHERE (m.folded_to, m.candidate, m.holders) IS DISTINCT FROM (mark.folded_to, mark.candidate, mark.holders);
END
$$;
COMMENT ON FUNCTION fraud._move_mark(bigint) IS 'internal: moves fraud.change_mark, after a fold';

-- ------------------------------------------------------------------ slots
-- Retires what is empty, and opens another slot when the open one has taken many. The caller
-- holds the lock 'rollups'.
CREATE FUNCTION fraud._turn_slots() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    open_slot smallint := (SELECT s.last_value FROM fraud.change_slot s);
    ids bigint := (SELECT s.last_value FROM fraud.change_ids s);
    closed smallint;
    next_slot smallint;
    taken bigint;  -- changes that went to the open slot
    oldest int;    -- age of the oldest snapshot
    empty boolean;
BEGIN
    -- A snapshot of before cannot tell that a slot is empty.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RETURN;
    END IF;
    -- Where the transaction that opened it was rolled back.
    UPDATE fraud.change_slots s SET state = 'live', first_id = ids WHERE s.slot = open_slot AND s.state <> 'live';
    FOR closed IN SELECT s.slot FROM fraud.change_slots s WHERE s.state = 'live' AND s.slot <> open_slot ORDER BY s.slot LOOP
        -- Whoever has added to it holds a lock that is in the way, until his transaction ends.
        BEGIN
            EXECUTE format('LOCK TABLE ONLY fraud.changes_%s IN SHARE MODE NOWAIT', closed);
        EXCEPTION WHEN lock_not_available THEN
            CONTINUE;
        END;
        EXECUTE format('SELECT NOT EXISTS (SELECT FROM fraud.changes_%1$s c WHERE c.change_id <= m.began_at)'
                       ' AND NOT EXISTS (SELECT FROM fraud.changes_%1$s c WHERE c.change_id > m.folded_to) FROM fraud.change_mark m', closed) INTO empty;
        IF empty THEN
            UPDATE fraud.change_slots s SET state = 'retired', turned_by = CASE WHEN s.first_id IS NOT NULL THEN pg_current_xact_id() END
            WHERE s.slot = closed;
        END IF;
    END LOOP;
    taken := ids - (SELECT s.first_id FROM fraud.change_slots s WHERE s.slot = open_slot);
    IF taken < 10000 THEN
        RETURN;
    END IF;
    -- Opened is a spare that another transaction has made one: every snapshot that will see
    -- rows in it sees that it is not retired.
    oldest := (SELECT coalesce(max(age(a.backend_xmin)), 0) FROM pg_stat_activity a WHERE a.pid <> pg_backend_pid());
    -- The fewer are left, the more goes into one: 20000, 80000, 320000.
    IF taken >= 20000::bigint << (2 * (SELECT count(*)::int FROM fraud.change_slots s
                                       WHERE s.state = 'retired' AND age(s.turned_by::xid) <= oldest)) THEN
        UPDATE fraud.change_slots s SET state = 'live', first_id = ids
        WHERE s.slot = (SELECT p.slot FROM fraud.change_slots p
                        WHERE p.state = 'spare' AND p.turned_by <> pg_current_xact_id() ORDER BY p.slot LIMIT 1)
        RETURNING s.slot INTO next_slot;
        IF next_slot IS NOT NULL THEN
            PERFORM setval('fraud.change_slot', next_slot);
            RETURN;
        END IF;
    END IF;
    IF NOT EXISTS (SELECT FROM fraud.change_slots s WHERE s.state = 'spare') THEN
        UPDATE fraud.change_slots s SET state = 'spare', turned_by = pg_current_xact_id()
        WHERE s.slot = (SELECT r.slot FROM fraud.change_slots r
                        WHERE r.state = 'retired' AND (r.turned_by IS NULL OR age(r.turned_by::xid) > oldest)
                        ORDER BY r.first_id NULLS FIRST, r.slot LIMIT 1);
    END IF;
END
$$;
COMMENT ON FUNCTION fraud._turn_slots() IS 'internal: retires and opens slots of fraud.changes';
