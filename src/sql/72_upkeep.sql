-- Upkeep: months ahead, months behind, and rows that are too old.

-- ---------------------------------------------------------- months ahead
CREATE FUNCTION fraud._maintain_partitions() RETURNS TABLE (partition name, action text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '5s'
SET timezone = 'UTC'
AS $$
DECLARE
    month timestamptz;
BEGIN
    FOR ahead IN 0..2 LOOP
        month := date_trunc('month', now()) + make_interval(months => ahead);
        partition := 'transactions_' || to_char(month, 'YYYY_MM');
        CONTINUE WHEN to_regclass(format('fraud.%I', partition)) IS NOT NULL;
        PERFORM fraud._ensure_partition(month);
        action := 'made';
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION fraud._maintain_partitions() IS 'internal: the body of fraud.maintain_partitions, run as the owner';

CREATE FUNCTION fraud.maintain_partitions() RETURNS TABLE (partition name, action text)
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.maintain_partitions() IS
    'makes the partitions of this month and the next two; fails where another session keeps fraud.transactions locked for 5 seconds. Returns what was made';

-- --------------------------------------------------------- months behind
-- A month leaves in two steps, each in a transaction of its own: it is taken out of
-- fraud.transactions and renamed, which alone needs a lock that payments feel, and it is
-- dropped, which needs none. Nothing but that stands in the step that has the lock.
CREATE FUNCTION fraud._past_months() RETURNS TABLE (partition name, ended_at timestamptz, detach_pending boolean)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
BEGIN ATOMIC
    SELECT m.relname, m.ended_at, m.inhdetachpending
    FROM (SELECT c.relname, i.inhdetachpending, to_date(substr(c.relname, 14), 'YYYY_MM')::timestamp AT TIME ZONE 'UTC' + interval '1 month' AS ended_at
          FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
          WHERE i.inhparent = 'fraud.transactions'::regclass AND c.relname ~ '^transactions_[0-9]{4,}_[0-9]{2}$') m
    WHERE fraud._is_past_retention(m.ended_at - interval '1 month')
    ORDER BY m.inhdetachpending DESC, m.ended_at;
END;
COMMENT ON FUNCTION fraud._past_months() IS
    'internal: the partitions of fraud.transactions that retention takes, in the order in which it does; detach_pending: somebody began to take it out (DETACH PARTITION … CONCURRENTLY) and did not end';

-- Who has been there longest, of those who are in the way of an exclusive lock.
CREATE FUNCTION fraud._users_of(relations regclass[]) RETURNS int
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT l.pid FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.locktype = 'relation' AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
      AND l.relation = ANY (relations) AND l.granted AND l.pid <> pg_backend_pid()
    ORDER BY a.xact_start LIMIT 1;
END;
COMMENT ON FUNCTION fraud._users_of(regclass[]) IS 'internal: the session that has used any of these relations longest; null: none does now';

INSERT INTO fraud.locks (name) VALUES ('retention');

CREATE FUNCTION fraud._drop_past_month() RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    retention interval := coalesce(nullif(current_setting('fraud_detect.transaction_retention', true), ''), '0')::interval;
    reach record;
    month record;
    left_over name;
    dropped name;
    past name;
    reader int;
BEGIN
    IF retention > interval '0' THEN
        SELECT * INTO reach FROM fraud._longest_reach();
        IF reach.reach > retention THEN
            RAISE EXCEPTION 'fraud_detect.transaction_retention is %, but feature "%" of feature set "%" looks back %',
                retention, reach.feature, reach.feature_set, reach.reach
                USING ERRCODE = 'object_not_in_prerequisite_state',
                      HINT = 'Set a longer retention, or drop the feature. No month is dropped until then.';
        END IF;
    END IF;
    IF NOT fraud._try_lock('retention') THEN
        RETURN NULL;
    END IF;

    -- What an earlier call took out. Nobody finds it but by its name.
    PERFORM set_config('lock_timeout', '50ms', true);
    SELECT c.relname INTO left_over FROM pg_class c
    WHERE c.relnamespace = 'fraud'::regnamespace AND c.relkind = 'r' AND NOT c.relispartition AND c.relname ~ '^past_transactions_[0-9]{4,}_[0-9]{2}$'
    ORDER BY c.relname LIMIT 1;
    IF left_over IS NOT NULL THEN
        BEGIN
            EXECUTE format('DROP TABLE fraud.%I', left_over);
            dropped := substr(left_over, 6);
        EXCEPTION WHEN lock_not_available THEN
            NULL;  -- the next call drops it
        END;
    END IF;

    SELECT * INTO month FROM fraud._past_months() LIMIT 1;
    IF NOT FOUND THEN
        RETURN dropped;
    END IF;
    past := 'past_' || month.partition;
    -- Its sums stay: what is queued of it is added first, labels too, while the payments can
    -- still be looked at. Payments do not wait for this.
    PERFORM set_config('lock_timeout', '10s', true);
    PERFORM fraud.refresh_rollups();
    UPDATE fraud.rollup_state s SET dropped_before = greatest(s.dropped_before, month.ended_at);
    PERFORM fraud._mark_all_tiles('payments', '-infinity', month.ended_at);
    PERFORM fraud._audit('drop', 'partition', month.partition, NULL, jsonb_build_object('retention', retention));
    -- Payments wait behind who waits for a long query: so each wait is short, and between two
    -- they go on.
    PERFORM set_config('lock_timeout', '50ms', true);
    FOR attempt IN 1..10 LOOP
        BEGIN
            -- What somebody began concurrently is ended: FINALIZE waits for older snapshots, for
            -- which lock_timeout counts too.
            EXECUTE format('ALTER TABLE fraud.transactions DETACH PARTITION fraud.%I %s', month.partition,
                           CASE WHEN month.detach_pending THEN 'FINALIZE' ELSE '' END);
            EXECUTE format('ALTER TABLE fraud.%I RENAME TO %I', month.partition, past);
            DELETE FROM fraud.months m WHERE m.partition = format('fraud.%I', past)::regclass;
            EXIT;
        EXCEPTION WHEN lock_not_available THEN
            IF attempt = 10 THEN
                reader := fraud._users_of(ARRAY['fraud.transactions'::regclass, format('fraud.%I', month.partition)::regclass]);
                RAISE EXCEPTION 'could not take partition "%" out of fraud.transactions, which is in use (pid %)',
                    month.partition, coalesce(reader::text, 'gone by now')
                    USING ERRCODE = 'lock_not_available',
                          HINT = format('It is tried again at the next call; pg_stat_activity says what they do. Where somebody always reads: SELECT fraud.refresh_rollups(), then ALTER TABLE fraud.transactions DETACH PARTITION fraud.%I CONCURRENTLY, which waits for those alone who read now; the next call does the rest.', month.partition);
            END IF;
            PERFORM pg_sleep(0.2);
        END;
    END LOOP;
    RETURN month.partition;
END
$$;
COMMENT ON FUNCTION fraud._drop_past_month() IS 'internal: the body of fraud.drop_past_month, run as the owner';

CREATE FUNCTION fraud.drop_past_month() RETURNS text
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.drop_past_month() IS
    'drops what the call before took out of fraud.transactions, and takes out the oldest month that ended longer ago than fraud_detect.transaction_retention (0: none); the views keep its sums, and the payments'' ids stay known for fraud_detect.key_retention. Returns the month, null when there is none: call it, each time in a transaction of its own, until then. No payment waits for it longer than a twentieth of a second; where somebody reads fraud.transactions all the while it fails and names the session';

-- ------------------------------------------------------- how far back we look
CREATE FUNCTION fraud._longest_reach() RETURNS TABLE (reach interval, feature_set text, feature text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT d."window" + d.delay, d.feature_set, d.feature
    FROM fraud.feature_definitions d JOIN fraud.feature_sets s ON s.feature_set = d.feature_set
    WHERE d."window" IS NOT NULL
      AND s.events IN (to_regclass('fraud.transactions'), to_regclass('fraud.payment_events'))
    ORDER BY d."window" + d.delay DESC, d.feature_set, d.feature LIMIT 1;
END;
COMMENT ON FUNCTION fraud._longest_reach() IS 'internal: the window over payments that looks back farthest, and how far';

-- ------------------------------------------------------------------ old rows
CREATE FUNCTION fraud._note_purge(relation regclass, rows bigint, retention interval) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT fraud._audit('purge', 'table', relation::text, NULL, jsonb_build_object('rows', rows, 'retention', retention))
    WHERE rows > 0;
END;
COMMENT ON FUNCTION fraud._note_purge(regclass, bigint, interval) IS 'internal: notes that rows went, if any did';

CREATE FUNCTION fraud._purge() RETURNS TABLE (relation regclass, rows bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    retention interval := coalesce(nullif(current_setting('fraud_detect.dead_letter_retention', true), ''), '90d')::interval;
    message_retention interval := coalesce(nullif(current_setting('fraud_detect.outbox_retention', true), ''), '7d')::interval;
    audit_retention interval := coalesce(nullif(current_setting('fraud_detect.audit_retention', true), ''), '0')::interval;
    event_retention interval := coalesce(nullif(current_setting('fraud_detect.transaction_retention', true), ''), '0')::interval;
BEGIN
    IF message_retention > interval '0' THEN
        relation := 'fraud.outbox';
        rows := fraud._purge_messages(message_retention);
        PERFORM fraud._note_purge(relation, rows, message_retention);
        RETURN NEXT;
    END IF;
    IF retention > interval '0' THEN
        relation := 'fraud.ingest_errors';
        DELETE FROM fraud.ingest_errors e WHERE e.last_seen_at < now() - retention;
        GET DIAGNOSTICS rows = ROW_COUNT;
        PERFORM fraud._note_purge(relation, rows, retention);
        RETURN NEXT;
    END IF;
    IF audit_retention > interval '0' THEN
        relation := 'fraud.audit_log';
        DELETE FROM fraud.audit_log a WHERE a.at < now() - audit_retention;
        GET DIAGNOSTICS rows = ROW_COUNT;
        PERFORM fraud._note_purge(relation, rows, audit_retention);
        RETURN NEXT;
    END IF;
    -- What was decided of streams' events goes when payments of that age do.
    IF event_retention > interval '0' THEN
        relation := 'fraud.stream_decisions';
        WITH gone AS (
            DELETE FROM fraud.stream_decisions d WHERE d.decided_at < now() - event_retention RETURNING d.stream, d.decision_id
        ), shadows AS (
            DELETE FROM fraud.stream_shadow_scores s USING gone g WHERE s.stream = g.stream AND s.decision_id = g.decision_id
        ), matches AS (
            DELETE FROM fraud.stream_rule_matches m USING gone g WHERE m.stream = g.stream AND m.decision_id = g.decision_id
        ), snoozed AS (
            DELETE FROM fraud.stream_snoozed_alerts a USING gone g WHERE a.stream = g.stream AND a.decision_id = g.decision_id
        )
        SELECT count(*) INTO rows FROM gone;
        PERFORM fraud._note_purge(relation, rows, event_retention);
        RETURN NEXT;
    END IF;
    relation := 'fraud.customer_ids';
    rows := fraud._destroy_old_card_keys();
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION fraud._purge() IS 'internal: the body of fraud.purge, run as the owner';

CREATE FUNCTION fraud.purge() RETURNS TABLE (relation regclass, rows bigint)
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.purge() IS
    'deletes messages whose deliveries ended longer ago than fraud_detect.outbox_retention, dead letters last seen longer ago than fraud_detect.dead_letter_retention, and rows of fraud.audit_log older than fraud_detect.audit_retention (0: none), and destroys keys of card numbers that were retired longer ago than fraud_detect.card_key_retention (0: none), with their hashes; returns how many rows went';
