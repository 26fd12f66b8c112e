-- Whether everything is as it should be, and who is told.
CREATE TABLE fraud.health_states (
    item text PRIMARY KEY,
    status text NOT NULL,
    since timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
COMMENT ON TABLE fraud.health_states IS 'items of fraud.health() that were not ok at the last look, and since when';

CREATE TABLE fraud.health_told (
    channel text NOT NULL,
    item text NOT NULL,
    told_at timestamptz NOT NULL DEFAULT now(),
    outbox_id bigint,
    status text NOT NULL DEFAULT 'error' CHECK (status IN ('ok', 'warning', 'error')),
    better_since timestamptz,
    recoveries int NOT NULL DEFAULT 0,
    PRIMARY KEY (channel, item)
) WITH (fillfactor = 50);
COMMENT ON TABLE fraud.health_told IS 'what each channel was told of which items, and when last; an item that is empty: its last heartbeat';
COMMENT ON COLUMN fraud.health_told.outbox_id IS 'the message that told it';
COMMENT ON COLUMN fraud.health_told.status IS 'what the channel takes it for; ok: it was told that it works again, within a day';
COMMENT ON COLUMN fraud.health_told.better_since IS 'since when looks have found it better than the channel takes it for';
COMMENT ON COLUMN fraud.health_told.recoveries IS 'how often it was told to be better, each within a day of the one before';

-- An item that comes and goes is told to be better at once three times, and then only when it has stayed
-- so: else a fault of each other minute would be a message each minute.
CREATE FUNCTION fraud._settled_after(recoveries int) RETURNS interval
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT CASE WHEN recoveries < 3 THEN interval '0' ELSE least(interval '5 minutes' * power(2, least(recoveries - 3, 10)), interval '1 hour') END;
END;
COMMENT ON FUNCTION fraud._settled_after(int) IS 'internal: how long an item has to be better before a channel is told, after so many times';

CREATE TABLE fraud.health_marks (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    looked_at timestamptz NOT NULL DEFAULT now(),
    inbox_mark bigint NOT NULL DEFAULT 0,
    inbox_before bigint NOT NULL DEFAULT 0,
    marked_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
INSERT INTO fraud.health_marks DEFAULT VALUES;
COMMENT ON TABLE fraud.health_marks IS 'internal: when fraud.health() was looked at last by a worker or job, and where the inbox began';
COMMENT ON COLUMN fraud.health_marks.inbox_before IS 'no row of fraud.inbox lies before this: inbox_mark of at least ten minutes earlier';

INSERT INTO fraud.locks (name) VALUES ('health');

CREATE FUNCTION fraud._key_health() RETURNS TABLE (item text, status text, since timestamptz, detail text, advice text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT c.item, c.status, NULL::timestamptz, c.detail, CASE WHEN c.status <> 'ok' THEN 'docs/security.md, card numbers and their keys' END FROM fraud._card_health() c;
END;
COMMENT ON FUNCTION fraud._key_health() IS 'internal: the items of fraud.health() on card numbers and their keys';

CREATE FUNCTION fraud._health_items() RETURNS TABLE (item text, status text, since timestamptz, detail text, advice text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
-- Costs are those of empty tables as often as not: look-ups by index, and nothing compiled.
SET enable_seqscan = off
SET jit = off
-- What it says is the same whoever asks.
SET datestyle = 'ISO, YMD'
SET intervalstyle = 'postgres'
SET timezone = 'UTC'
-- Who has locked a table hides what is read of it, and nothing else: least of all that he has.
SET lock_timeout = '200ms'
AS $$
DECLARE
    part record;
    unseen text;
    locked boolean := false;
BEGIN
    FOR part IN
        SELECT p.* FROM (VALUES
            ('_worker_health', 'workers', true),
            -- A standby has what its primary had, and neither workers nor a feed.
            ('_source_health', 'sources', false), ('_inbox_health', 'inbox', false), ('_decision_health', 'decisions', false), ('_rule_health', 'rules', false), ('_told_health', 'channels', false),
            ('_model_health', 'models', true), ('_training_health', 'training', false), ('_key_health', 'card keys', true), ('_lock_health', 'locks', true), ('_replication_health', 'replication', true),
            ('_upkeep_health', 'upkeep', false), ('_size_health', 'sizes', false), ('_tile_health', 'tiles', false), ('_job_health', 'jobs', false), ('_restore_health', 'restore', false)) p(function, what, on_standby)
        WHERE p.on_standby OR NOT pg_is_in_recovery()
    LOOP
        BEGIN
            RETURN QUERY EXECUTE format('SELECT h.item, h.status, h.since, h.detail, h.advice FROM fraud.%I() h', part.function);
        EXCEPTION
            WHEN lock_not_available THEN
                locked := true;
                unseen := coalesce(unseen || '; ', '') || part.what || ': somebody has locked what they are read of';
            WHEN OTHERS THEN
                unseen := coalesce(unseen || '; ', '') || part.what || ': ' || fraud._mask_card_numbers(SQLERRM);
        END;
    END LOOP;
    IF unseen IS NOT NULL THEN
        RETURN QUERY SELECT 'health', 'error', NULL::timestamptz,
            'not all could be looked at. ' || unseen || CASE WHEN locked THEN coalesce('. ' || fraud._oldest_writer(), '') ELSE '' END,
            CASE WHEN locked THEN 'see the item locks; pg_terminate_backend(pid) ends the session that keeps the lock'
                 ELSE 'mend what the error says; what could be looked at is above' END;
    END IF;
END
$$;
COMMENT ON FUNCTION fraud._health_items() IS 'internal: the items of fraud.health(), since where they tell themselves';

CREATE FUNCTION fraud.health() RETURNS TABLE (item text, status text, since timestamptz, detail text, advice text)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
AS $$
BEGIN
    RETURN QUERY
        SELECT h.item, h.status, CASE WHEN h.status = 'ok' THEN h.since ELSE coalesce(h.since, s.since) END, h.detail, h.advice
        FROM fraud._health_items() WITH ORDINALITY h(item, status, since, detail, advice, place)
        LEFT JOIN fraud.health_states s ON s.item = h.item AND s.status = h.status
        ORDER BY h.place;
EXCEPTION
    -- Where the table is locked, so before there is a row.
    WHEN lock_not_available THEN
        RETURN QUERY SELECT h.item, h.status, h.since, h.detail, h.advice FROM fraud._health_items() h WHERE h.item <> 'health';
        RETURN QUERY SELECT 'health', 'error', NULL::timestamptz,
            'not all could be looked at. since when: somebody has locked what they are read of' || coalesce('. ' || fraud._oldest_writer(), ''),
            'see the item locks; pg_terminate_backend(pid) ends the session that keeps the lock';
END
$$;
COMMENT ON FUNCTION fraud.health() IS
    'whether everything is as it should be: a row an item, status ok, warning (works, but look) or error (does not work), since when, and what to do. It counts nothing that can be large';

-- What is learnt by looking again and again. The caller holds the lock 'health'.
CREATE FUNCTION fraud._note_looks() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
AS $$
DECLARE
    mark fraud.health_marks;
    first_row bigint;
    of_worker interval := CASE WHEN fraud._is_preloaded() THEN coalesce(nullif(current_setting('fraud_detect.health_interval', true), ''), '1min')::interval END;
    -- As often as somebody is to look: the notify worker, or the job.
    every interval := CASE WHEN of_worker > interval '0' THEN greatest(of_worker, interval '1 minute') ELSE interval '5 minutes' END;
BEGIN
    INSERT INTO fraud.health_marks DEFAULT VALUES ON CONFLICT DO NOTHING;
    SELECT * INTO mark FROM fraud.health_marks;
    -- While nobody looked, or a source was not to send, no silence is counted.
    UPDATE fraud.source_habits h SET last_new_at = least(h.last_new_at + (now() - mark.looked_at - every), now())
    WHERE mark.looked_at < now() - 2 * every;
    UPDATE fraud.source_habits h SET last_new_at = now()
    FROM fraud.source_status s WHERE s.name = h.source AND s.state IN ('paused', 'restored', 'read-only', 'behind');
    PERFORM fraud._sample_sources();
    IF mark.marked_at < now() - interval '10 minutes' THEN
        SELECT b.inbox_id INTO first_row FROM fraud.inbox b WHERE b.inbox_id >= mark.inbox_before ORDER BY b.inbox_id LIMIT 1;
        UPDATE fraud.health_marks SET looked_at = now(), marked_at = now(), inbox_before = mark.inbox_mark, inbox_mark = coalesce(first_row, mark.inbox_mark);
    ELSE
        UPDATE fraud.health_marks SET looked_at = now();
    END IF;
END
$$;
COMMENT ON FUNCTION fraud._note_looks() IS 'internal: notes what sources have sent and where the inbox begins, for fraud.health()';

CREATE FUNCTION fraud._is_better(is_now text, was text) RETURNS boolean
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT array_position('{ok,warning,error}', coalesce(is_now, 'ok')) < array_position('{ok,warning,error}', coalesce(was, 'ok'));
END;
COMMENT ON FUNCTION fraud._is_better(text, text) IS 'internal: whether one status is better than another; null is ok';

CREATE FUNCTION fraud._notify_health() RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '5s'
AS $$
DECLARE
    reminder interval := make_interval(secs => extract(epoch FROM coalesce(nullif(current_setting('fraud_detect.health_reminder', true), ''), '1d')::interval)::float8);
    heartbeat interval := coalesce(nullif(current_setting('fraud_detect.health_heartbeat', true), ''), '0')::interval;
    items jsonb;  -- errors and warnings by item
    changed boolean;
    channel record;
    heard jsonb;  -- of these what a channel takes
    failed jsonb;
    warned jsonb;
    recovered jsonb;
    still jsonb;
    better text[];
    beats boolean;
    errors bigint;
    message bigint;
BEGIN
    -- Whoever else looks tells it.
    IF NOT fraud._try_lock('health') THEN
        RETURN false;
    END IF;
    BEGIN
        PERFORM fraud._note_looks();
    EXCEPTION WHEN lock_not_available THEN
        NULL;  -- the next look does; what does not work is told all the same
    END;
    WITH now AS MATERIALIZED (
        SELECT h.item, h.status, h.since, h.detail, h.advice FROM fraud.health() h WHERE h.status <> 'ok'
    ), kept AS (
        INSERT INTO fraud.health_states AS s (item, status, since) SELECT n.item, n.status, coalesce(n.since, now()) FROM now n
        ON CONFLICT ON CONSTRAINT health_states_pkey DO UPDATE SET status = excluded.status, since = excluded.since WHERE s.status <> excluded.status
        RETURNING s.item, s.status
    ), gone AS (
        -- What could not be looked at has not recovered.
        DELETE FROM fraud.health_states s WHERE NOT EXISTS (SELECT FROM now n WHERE n.item IN (s.item, 'health')) RETURNING s.item, s.status
    )
    SELECT (SELECT coalesce(jsonb_object_agg(n.item, jsonb_strip_nulls(jsonb_build_object('item', n.item, 'status', n.status, 'since', coalesce(n.since, now()), 'detail', n.detail, 'advice', n.advice))), '{}')
            FROM now n),
           EXISTS (SELECT FROM kept) OR EXISTS (SELECT FROM gone)
    INTO items, changed;

    SELECT count(*) INTO errors FROM jsonb_each(items) i WHERE i.value ->> 'status' = 'error';
    DELETE FROM fraud.health_told t WHERE NOT EXISTS (SELECT FROM fraud.channels c WHERE c.name = t.channel AND 'health' = ANY (c.takes));
    -- A channel that takes warnings no more hears nothing of them, and not that they are over.
    DELETE FROM fraud.health_told t
    WHERE t.status = 'warning' AND NOT EXISTS (SELECT FROM fraud.channels c WHERE c.name = t.channel AND 'warning' = ANY (c.takes));
    -- What was given up before anybody had it was not heard. It is told anew when the receiver takes
    -- something again; not at each look, should it be this that it does not take.
    DELETE FROM fraud.health_told t
    USING fraud.channel_state st
    WHERE st.name = t.channel AND t.item <> '' AND t.status <> 'ok' AND t.told_at < now() - interval '1 minute'
      AND EXISTS (SELECT FROM fraud.notification_messages m JOIN fraud.notifications n ON n.notification_id = m.notification_id
                  WHERE m.outbox_id = t.outbox_id AND n.state = 'dead' AND n.finished_at < st.last_success_at)
      AND NOT EXISTS (SELECT FROM fraud.notification_messages m JOIN fraud.notifications n ON n.notification_id = m.notification_id
                      WHERE m.outbox_id = t.outbox_id AND n.state <> 'dead');
    DELETE FROM fraud.health_told t WHERE t.status = 'ok' AND t.item <> '' AND t.told_at < now() - interval '1 day';
    -- Each channel by itself: one that was added later has heard of nothing yet.
    FOR channel IN SELECT c.name, 'warning' = ANY (c.takes) AS warnings FROM fraud.channels c WHERE 'health' = ANY (c.takes) ORDER BY c.name LOOP
        SELECT coalesce(jsonb_object_agg(i.key, i.value) FILTER (WHERE i.value ->> 'status' = 'error' OR channel.warnings), '{}') INTO heard FROM jsonb_each(items) i;
        -- What could not be looked at is not better.
        UPDATE fraud.health_told t
        SET better_since = CASE WHEN fraud._is_better(heard -> t.item ->> 'status', t.status) AND NOT items ? 'health' THEN coalesce(t.better_since, now()) END
        WHERE t.channel = channel.name AND t.item <> ''
          AND (t.better_since IS NULL) = (fraud._is_better(heard -> t.item ->> 'status', t.status) AND NOT items ? 'health');
        SELECT coalesce(array_agg(t.item ORDER BY t.item), '{}') INTO better
        FROM fraud.health_told t
        WHERE t.channel = channel.name AND t.item <> '' AND t.better_since <= now() - fraud._settled_after(t.recoveries);
        SELECT jsonb_agg(i.value ORDER BY i.key) FILTER (WHERE fraud._is_better(t.status, i.value ->> 'status') AND i.value ->> 'status' = 'error'),
               jsonb_agg(i.value ORDER BY i.key) FILTER (WHERE (fraud._is_better(t.status, i.value ->> 'status') OR i.key = ANY (better)) AND i.value ->> 'status' = 'warning'),
               jsonb_agg(i.value ORDER BY i.key) FILTER (WHERE t.status = i.value ->> 'status' AND t.told_at < now() - reminder AND reminder > interval '0')
        INTO failed, warned, still
        FROM jsonb_each(heard) i LEFT JOIN fraud.health_told t ON t.channel = channel.name AND t.item = i.key;
        SELECT jsonb_agg(i ORDER BY i) INTO recovered FROM unnest(better) i WHERE NOT heard ? i;
        beats := heartbeat > interval '0' AND NOT EXISTS (SELECT FROM fraud.health_told t WHERE t.channel = channel.name AND t.item = '' AND t.told_at > now() - heartbeat);
        CONTINUE WHEN num_nonnulls(failed, warned, recovered, still) = 0 AND NOT beats;
        changed := true;
        message := fraud._enqueue('health',
            jsonb_build_object('database', current_database(), 'failed', coalesce(failed, '[]'), 'recovered', coalesce(recovered, '[]'))
            || CASE WHEN warned IS NOT NULL THEN jsonb_build_object('warned', warned) ELSE '{}' END
            || CASE WHEN still IS NOT NULL THEN jsonb_build_object('still', still) ELSE '{}' END
            || CASE WHEN beats THEN jsonb_build_object('heartbeat', true, 'errors', errors) ELSE '{}' END,
            format('fraud_detect in %s: %s', current_database(),
                   CASE WHEN failed IS NOT NULL THEN 'something failed' WHEN warned IS NOT NULL THEN 'a warning' WHEN still IS NOT NULL THEN 'something does not work still'
                        WHEN recovered IS NOT NULL THEN 'recovered' WHEN errors = 0 THEN 'works' ELSE 'lives' END),
            coalesce((SELECT string_agg(format(E'failed: %s: %s\n', f ->> 'item', f ->> 'detail') || coalesce(format(E'  to do: %s\n', f ->> 'advice'), ''), '') FROM jsonb_array_elements(failed) f), '')
            || coalesce((SELECT string_agg(format(E'warning: %s: %s\n', f ->> 'item', f ->> 'detail') || coalesce(format(E'  to do: %s\n', f ->> 'advice'), ''), '') FROM jsonb_array_elements(warned) f), '')
            || coalesce((SELECT string_agg(format(E'still: %s: %s\n', f ->> 'item', f ->> 'detail') || coalesce(format(E'  to do: %s\n', f ->> 'advice'), ''), '') FROM jsonb_array_elements(still) f), '')
            || coalesce((SELECT string_agg(format(E'works again: %s\n', r), '') FROM jsonb_array_elements_text(recovered) r), '')
            || CASE WHEN beats THEN format(E'alive at %s, %s errors\n', fraud._told_time(now()), errors) ELSE '' END,
            NULL, channel.name);
        UPDATE fraud.health_told t
        SET status = coalesce(heard -> t.item ->> 'status', 'ok'), told_at = now(), better_since = NULL, recoveries = t.recoveries + 1
        WHERE t.channel = channel.name AND t.item = ANY (better);
        INSERT INTO fraud.health_told AS t (channel, item, outbox_id, status)
        SELECT channel.name, f ->> 'item', message, f ->> 'status'
        FROM jsonb_array_elements(coalesce(failed, '[]') || coalesce(warned, '[]') || coalesce(still, '[]')) f
        UNION ALL SELECT channel.name, '', message, 'ok' WHERE beats
        ON CONFLICT ON CONSTRAINT health_told_pkey DO UPDATE SET told_at = excluded.told_at, outbox_id = excluded.outbox_id, status = excluded.status, better_since = NULL;
    END LOOP;
    RETURN changed;
END
$$;
COMMENT ON FUNCTION fraud._notify_health() IS 'internal: the body of fraud.notify_health, run as the owner; the notify worker calls it each fraud_detect.health_interval';

CREATE FUNCTION fraud.notify_health() RETURNS boolean
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.notify_health() IS
    'tells each channel that takes health messages which items of fraud.health() are errors (where it takes warning, too: or warnings) that it has not heard of, which still are (each fraud_detect.health_reminder), and which are none any more; one that comes and goes is told to work again when it has done so for a while. Returns whether anything has changed';
