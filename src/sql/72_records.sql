-- What was said and done about payments whose month was dropped, and the ids of these payments:
-- they go when they are old enough, a piece at a time.
--
-- A payment's identity has no index by time, which each payment would pay for. So tables are
-- swept: read by blocks, in the order of the file, a piece in each call; once to the end when
-- another month has become old enough, and not again until the next has.
CREATE TABLE fraud.sweeps (
    relation name PRIMARY KEY,
    place int NOT NULL,
    cutoff timestamptz,
    next_block bigint,
    passed_over bigint NOT NULL DEFAULT 0,
    ended_at timestamptz
) WITH (fillfactor = 50);
INSERT INTO fraud.sweeps (relation, place)
SELECT r.relation, r.place
-- The ids last: they tell how old the payment of a label is.
FROM unnest('{rollup_labels,shadow_scores,rule_matches,snoozed_alerts,payment_followups,labels,case_states,payment_keys}'::name[]) WITH ORDINALITY r(relation, place);
COMMENT ON TABLE fraud.sweeps IS
    'how far fraud.purge_records has come in each table; rows of payments from before cutoff may be removed there, if these are not stored';
COMMENT ON COLUMN fraud.sweeps.place IS 'the order in which they are swept';
COMMENT ON COLUMN fraud.sweeps.cutoff IS 'start of a month (UTC); null: nothing goes';
COMMENT ON COLUMN fraud.sweeps.next_block IS 'of the table''s file, where the next piece begins; null: the sweep is at its end';
COMMENT ON COLUMN fraud.sweeps.passed_over IS 'rows that somebody had locked; for these the sweep begins again';

INSERT INTO fraud.locks (name) VALUES ('records');

-- From when on rows are to stay, by the settings alone.
CREATE FUNCTION fraud._records_cutoff(relation name) RETURNS timestamptz
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
BEGIN ATOMIC
    SELECT date_trunc('month', now() - greatest(s.transactions, CASE relation WHEN 'rollup_labels' THEN s.transactions
                                                                             WHEN 'payment_keys' THEN greatest(s.keys, s.age)
                                                                             ELSE s.records END))
    FROM (SELECT coalesce(nullif(current_setting('fraud_detect.transaction_retention', true), ''), '0')::interval AS transactions,
                 coalesce(nullif(current_setting('fraud_detect.key_retention', true), ''), '396d')::interval AS keys,
                 coalesce(nullif(current_setting('fraud_detect.record_retention', true), ''), '0')::interval AS records,
                 coalesce(nullif(current_setting('fraud_detect.max_age', true), ''), '0')::interval AS age) s
    WHERE s.transactions > interval '0'
      AND CASE relation WHEN 'rollup_labels' THEN true WHEN 'payment_keys' THEN s.keys > interval '0' ELSE s.records > interval '0' END;
END;
COMMENT ON FUNCTION fraud._records_cutoff(name) IS
    'internal: the month before which rows of a table may go when their payments are not stored; null: none may';

-- What the tables' triggers ask (fraud._append_only): by the row, not by who deletes, so that
-- nobody removes what retention does not take.
CREATE FUNCTION fraud._is_past_record(relation name, removed jsonb) RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    cutoff timestamptz := (SELECT s.cutoff FROM fraud.sweeps s WHERE s.relation = CASE _is_past_record.relation WHEN 'labels' THEN 'labels' ELSE 'case_states' END);
BEGIN
    IF cutoff IS NULL THEN
        RETURN false;
    END IF;
    RETURN CASE relation
        WHEN 'labels' THEN
            coalesce((SELECT k.occurred_at FROM fraud.payment_keys k WHERE k.transaction_id = removed ->> 'transaction_id' AND k.card = (removed ->> 'card')::uuid),
                     (removed ->> 'known_at')::timestamptz) < cutoff
        WHEN 'alerts' THEN (removed ->> 'occurred_at')::timestamptz < cutoff
        -- The history of a case that has gone.
        WHEN 'case_history' THEN
            NOT EXISTS (SELECT FROM fraud.case_states c WHERE c.card = (removed ->> 'card')::uuid AND c.case_id = (removed ->> 'case_id')::bigint)
        ELSE false
        END;
END
$$;
COMMENT ON FUNCTION fraud._is_past_record(name, jsonb) IS 'internal: whether retention takes a row of labels, alerts or case_history (fraud_detect.record_retention)';

-- Which rows r of a table may go before $1. That no payment is stored is looked up, not
-- concluded: one from long ago may be stored by hand at any time.
CREATE FUNCTION fraud._may_go(relation name) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT CASE relation WHEN 'rollup_labels' THEN '' ELSE 'NOT EXISTS (SELECT FROM fraud.customer_holds h WHERE h.card = r.card) AND ' END
        || CASE relation
        WHEN 'case_states' THEN
            -- A case goes with all its alerts.
            'CASE WHEN EXISTS (SELECT FROM fraud.alerts a WHERE a.card = r.card AND a.case_id = r.case_id)'
            ' THEN NOT EXISTS (SELECT FROM fraud.alerts a WHERE a.card = r.card AND a.case_id = r.case_id'
            ' AND (a.occurred_at >= $1 OR EXISTS (SELECT FROM fraud.transactions t'
            ' WHERE t.card = a.card AND t.occurred_at = a.occurred_at AND t.transaction_id = a.transaction_id)))'
            ' ELSE r.opened_at < $1 END'
        WHEN 'labels' THEN
            -- Where the id is known no more, all labels of the payment go when the last has that age.
            'CASE WHEN EXISTS (SELECT FROM fraud.payment_keys k WHERE k.transaction_id = r.transaction_id AND k.card = r.card)'
            ' THEN EXISTS (SELECT FROM fraud.payment_keys k WHERE k.transaction_id = r.transaction_id AND k.card = r.card AND k.occurred_at < $1'
            ' AND NOT EXISTS (SELECT FROM fraud.transactions t WHERE t.card = k.card AND t.occurred_at = k.occurred_at AND t.transaction_id = k.transaction_id))'
            ' ELSE NOT EXISTS (SELECT FROM fraud.labels l WHERE l.transaction_id = r.transaction_id AND l.card = r.card AND l.known_at >= $1) END'
        WHEN 'payment_followups' THEN
            'r.occurred_at < $1 AND NOT EXISTS (SELECT FROM fraud.payment_keys k WHERE k.transaction_id = r.reference AND k.card = r.card AND (k.occurred_at >= $1'
            ' OR EXISTS (SELECT FROM fraud.transactions t WHERE t.card = k.card AND t.occurred_at = k.occurred_at AND t.transaction_id = k.transaction_id)))'
        ELSE  -- rollup_labels, shadow_scores, rule_matches, snoozed_alerts, payment_keys: rows of one payment
            'r.occurred_at < $1 AND NOT EXISTS (SELECT FROM fraud.transactions t'
            ' WHERE t.card = r.card AND t.occurred_at = r.occurred_at AND t.transaction_id = r.transaction_id)'
        END;
END;
COMMENT ON FUNCTION fraud._may_go(name) IS 'internal: the condition, in SQL, under which retention takes a row';

-- One piece of a table. Who has a row locked keeps that row, and nobody waits for anybody.
CREATE FUNCTION fraud._sweep(sweep fraud.sweeps, max_rows bigint, max_blocks bigint, OUT swept fraud.sweeps, OUT rows bigint, OUT looked_at bigint, OUT blocks bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
-- Planned while a table was small, a look-up of one row would read all of it ever after.
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_mergejoin = off
SET enable_hashjoin = off
SET jit = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    relation regclass := format('fraud.%I', sweep.relation)::regclass;
    condition text := fraud._may_go(sweep.relation);
    size bigint := pg_relation_size(relation) / current_setting('block_size')::int;
    until bigint := least(size, sweep.next_block + max_blocks);
    free tid[];
    gone fraud.case_states;
    last bigint;
BEGIN
    swept := sweep;
    EXECUTE format('SELECT ARRAY(SELECT r.ctid FROM %s r WHERE r.ctid >= $2 AND r.ctid < $3 AND (%s) LIMIT $4 FOR UPDATE SKIP LOCKED)', relation, condition)
        INTO free USING sweep.cutoff, format('(%s,0)', sweep.next_block)::tid, format('(%s,0)', until)::tid, max_rows;
    -- Looked at again now that it is locked: an alert may have come to a case.
    rows := 0;
    looked_at := cardinality(free);
    IF sweep.relation = 'case_states' THEN
        FOR gone IN EXECUTE format('SELECT r.* FROM fraud.case_states r WHERE r.ctid = ANY ($2) AND (%s)', condition)
            USING sweep.cutoff, free
        LOOP
            BEGIN
                DELETE FROM fraud.case_states c WHERE c.card = gone.card AND c.case_id = gone.case_id;
                DELETE FROM fraud.alerts a WHERE a.card = gone.card AND a.case_id = gone.case_id;
                DELETE FROM fraud.case_history h WHERE h.card = gone.card AND h.case_id = gone.case_id;
                rows := rows + 1;
            EXCEPTION WHEN lock_not_available THEN
                NULL;  -- somebody has an alert of it: erases its customer, say
            END;
        END LOOP;
    ELSE
        EXECUTE format('DELETE FROM %s r WHERE r.ctid = ANY ($2) AND (%s)', relation, condition) USING sweep.cutoff, free;
        GET DIAGNOSTICS rows = ROW_COUNT;
    END IF;
    IF looked_at = max_rows THEN
        -- In the last block there may be more, unless nothing of it went.
        last := (SELECT max((f.ctid::text::point)[0]) FROM unnest(free) f(ctid));
        until := CASE WHEN rows = 0 THEN last + 1 ELSE last END;
    END IF;
    -- What is left behind is in somebody's hands.
    EXECUTE format('SELECT $4 + count(*) FROM %s r WHERE r.ctid >= $2 AND r.ctid < $3 AND (%s)', relation, condition) INTO swept.passed_over
        USING sweep.cutoff, format('(%s,0)', sweep.next_block)::tid, format('(%s,0)', until)::tid, sweep.passed_over;
    blocks := until - sweep.next_block + 1;
    swept.next_block := nullif(until, size);
    IF until >= size THEN
        swept.next_block := NULL;
        swept.ended_at := clock_timestamp();
    END IF;
END
$$;
COMMENT ON FUNCTION fraud._sweep(fraud.sweeps, bigint, bigint) IS 'internal: removes what may go from the next blocks of a table, at most so many rows and blocks; says where it came to';

CREATE FUNCTION fraud._purge_records(max_rows int) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '50ms'
AS $$
DECLARE
    first_month timestamptz := fraud._first_month();
    rows_left bigint := max_rows;
    blocks_left bigint := greatest(max_rows / 10, 100);
    removed bigint;
    allowed timestamptz;
    cutoff timestamptz;
    sweep fraud.sweeps;
    piece record;
BEGIN
    IF max_rows IS NULL THEN
        RAISE EXCEPTION 'max_rows must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF max_rows < 1 THEN
        RAISE EXCEPTION 'max_rows is %, expected at least 1', max_rows USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF NOT fraud._try_lock('records') THEN
        RETURN false;
    END IF;
    FOR sweep IN SELECT s.* FROM fraud.sweeps s ORDER BY s.place LOOP
        allowed := fraud._records_cutoff(sweep.relation);
        cutoff := least(allowed, first_month);
        IF allowed IS NULL THEN
            sweep.cutoff := NULL;
            sweep.next_block := NULL;
        ELSIF sweep.cutoff IS NULL OR cutoff > sweep.cutoff OR sweep.next_block IS NULL AND sweep.passed_over > 0 THEN
            sweep.cutoff := greatest(cutoff, CASE WHEN sweep.cutoff IS NOT NULL THEN least(sweep.cutoff, allowed) END);
            sweep.next_block := 0;
            sweep.passed_over := 0;
            sweep.ended_at := NULL;
        ELSE
            sweep.cutoff := least(sweep.cutoff, allowed);  -- a longer retention counts at once
        END IF;
        UPDATE fraud.sweeps s SET cutoff = sweep.cutoff, next_block = sweep.next_block, passed_over = sweep.passed_over, ended_at = sweep.ended_at
        WHERE s.relation = sweep.relation AND s IS DISTINCT FROM sweep;
        -- What was corrected in a month before it was dropped is in the sums before their notes go.
        IF sweep.relation = 'rollup_labels' AND sweep.next_block = 0 THEN
            IF NOT fraud._try_lock('rollups') THEN
                RETURN true;
            END IF;
            PERFORM fraud._fold_all(10000);
        END IF;
        removed := 0;
        WHILE sweep.next_block IS NOT NULL AND rows_left > 0 AND blocks_left > 0 LOOP
            SELECT * INTO piece FROM fraud._sweep(sweep, rows_left, blocks_left);
            sweep := piece.swept;
            rows_left := rows_left - piece.looked_at;
            blocks_left := blocks_left - piece.blocks;
            removed := removed + piece.rows;
        END LOOP;
        UPDATE fraud.sweeps s SET next_block = sweep.next_block, passed_over = sweep.passed_over, ended_at = sweep.ended_at
        WHERE s.relation = sweep.relation AND s IS DISTINCT FROM sweep;
        PERFORM fraud._note_purge(format('fraud.%I', sweep.relation)::regclass, removed, now() - sweep.cutoff);
        IF sweep.next_block IS NOT NULL THEN
            RETURN true;
        END IF;
    END LOOP;
    RETURN false;
END
$$;
COMMENT ON FUNCTION fraud._purge_records(int) IS 'internal: the body of fraud.purge_records, run as the owner';

CREATE FUNCTION fraud.purge_records(max_rows int DEFAULT 100000) RETURNS boolean
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.purge_records(int) IS
    'removes the next piece, at most max_rows rows, of what is kept of payments whose month was dropped: their ids past fraud_detect.key_retention; alerts, cases with their history, labels, shadow scores, matches of rules, snoozed alerts and follow-ups past fraud_detect.record_retention. Returns whether there is more: call it, each time in a transaction of its own, until it is false. It waits for nobody: what somebody has locked goes at a later call';
