-- The parts of fraud.health() that judge the server, its workers and its jobs, and whether people
-- are told.
CREATE FUNCTION fraud._is_preloaded() RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC SELECT current_setting('fraud_detect.max_databases', true) IS NOT NULL; END;
COMMENT ON FUNCTION fraud._is_preloaded() IS 'internal: whether this server has the workers';

CREATE FUNCTION fraud._silent_workers() RETURNS TABLE (worker text, pid int, since timestamptz)
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT w.worker, w.pid, w.due_at FROM fraud._worker_beats() w
    WHERE w.due_at < clock_timestamp() - coalesce(nullif(current_setting('fraud_detect.worker_patience', true), ''), '30s')::interval;
END;
COMMENT ON FUNCTION fraud._silent_workers() IS 'internal: workers that were to turn longer ago than fraud_detect.worker_patience and have not';

CREATE FUNCTION fraud._worker_health() RETURNS TABLE (item text, status text, since timestamptz, detail text, advice text)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    preloaded boolean := fraud._is_preloaded();
    has_sources boolean := EXISTS (SELECT FROM fraud.sources);
    has_channels boolean := EXISTS (SELECT FROM fraud.channels);
    -- Where the server starts with it, the others are not there before it is lifted.
    read_only boolean := fraud._waits_read_only();
BEGIN
    RETURN QUERY SELECT 'library', CASE WHEN preloaded THEN 'ok' ELSE 'warning' END, NULL::timestamptz,
        CASE WHEN preloaded THEN 'preloaded'
             ELSE 'not in shared_preload_libraries: nothing is polled, nothing that waits in the inbox is scored, nobody is told, nothing is folded and no month is made ahead; scoring, fraud.ingest and the views are whole' END,
        CASE WHEN NOT preloaded THEN 'add fraud_detect to shared_preload_libraries and restart the server' END;
    IF pg_is_in_recovery() THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT 'worker ' || e.worker,
           CASE WHEN s.pid IS NOT NULL THEN 'error' WHEN b.pid IS NOT NULL THEN 'ok' WHEN e.needed AND read_only THEN 'warning' WHEN e.needed AND preloaded THEN 'error' ELSE 'ok' END,
           s.since,
           CASE WHEN s.pid IS NOT NULL THEN format('does not answer (pid %s): it was to turn %s', s.pid, fraud._told_time(s.since)) || e.then
                WHEN b.pid IS NOT NULL THEN format('runs, turned %s', fraud._told_time(b.turned_at))
                WHEN NOT preloaded THEN 'does not run: see the item library'
                WHEN e.needed AND read_only THEN 'begins when the database is read-only no more'
                WHEN e.needed THEN 'does not run' || e.then
                ELSE 'not needed: ' || e.no_need END,
           CASE WHEN s.pid IS NOT NULL THEN format('look at it (pg_stat_activity, gdb -p %s), then end it: SELECT pg_terminate_backend(%1$s), or kill -9, upon which the server restarts; the launcher starts another', s.pid)
                WHEN b.pid IS NULL AND e.needed AND read_only THEN 'take default_transaction_read_only off where it is set: ALTER DATABASE … RESET, ALTER ROLE … RESET, ALTER SYSTEM'
                WHEN b.pid IS NULL AND e.needed AND preloaded THEN 'the server''s log says why it ends; max_worker_processes and fraud_detect.max_databases must have room' END
    FROM (VALUES ('launcher', true, ', so no worker that ends is started again', ''),
                 ('ingest', has_sources, ', so no source is polled', 'there are no sources'),
                 ('notify', has_channels, ', so nobody is told', 'there are no channels, but who listens to fraud_alerts hears nothing'),
                 ('scorers', has_sources, ', so what was received is not scored', 'there are no sources')) e(worker, needed, "then", no_need)
    LEFT JOIN LATERAL (SELECT min(w.pid) AS pid, max(w.turned_at) AS turned_at, count(*) AS number FROM fraud._worker_beats() w
                       WHERE w.worker = e.worker OR e.worker = 'scorers' AND w.worker LIKE 'scorer %' HAVING count(*) > 0) b ON true
    LEFT JOIN LATERAL (SELECT w.pid, w.since FROM fraud._silent_workers() w
                       WHERE w.worker = e.worker OR e.worker = 'scorers' AND w.worker LIKE 'scorer %' ORDER BY w.since LIMIT 1) s ON true;
END
$$;
COMMENT ON FUNCTION fraud._worker_health() IS 'internal: the items of fraud.health() on the library and the workers';

-- A run that waits for others of this database waits its turn; else something is in its way.
CREATE FUNCTION fraud._training_health() RETURNS TABLE (item text, status text, since timestamptz, detail text, advice text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT 'training', CASE WHEN w.stuck THEN 'warning' ELSE 'ok' END, CASE WHEN w.stuck THEN w.requested_at END,
           CASE WHEN w.run IS NULL THEN 'no run waits' ELSE format('run %s of model "%s" waits', w.run, w.model) END
           || CASE WHEN w.runs > 0 THEN format(', %s under way', w.runs) ELSE '' END,
           CASE WHEN NOT w.stuck THEN NULL
                WHEN w.most IS NULL THEN 'add fraud_detect to shared_preload_libraries and restart the server, or take it back: fraud.cancel_training(run)'
                ELSE 'the server has no slot for another worker (its log says so): raise max_worker_processes; or other databases train: raise fraud_detect.max_training_workers, or wait' END
    FROM (SELECT f.*, u.runs, m.most, f.run IS NOT NULL AND f.requested_at < now() - interval '2 minutes' AND u.runs < coalesce(m.most, 1) AS stuck
          FROM (SELECT count(*) AS runs FROM fraud.training_queue q WHERE q.started) u
          CROSS JOIN (SELECT current_setting('fraud_detect.max_training_workers', true)::int AS most) m
          LEFT JOIN (SELECT r.run, r.model, r.requested_at FROM fraud.training_queue q JOIN fraud.training_runs r USING (run)
                     WHERE NOT q.started ORDER BY r.run LIMIT 1) f ON true) w;
END;
COMMENT ON FUNCTION fraud._training_health() IS 'internal: the item of fraud.health() on training runs that wait';

-- Alerts leave in time. What waits is not counted.
CREATE FUNCTION fraud._told_health() RETURNS TABLE (item text, status text, since timestamptz, detail text, advice text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    preloaded boolean := current_setting('fraud_detect.max_databases', true) IS NOT NULL;
    oldest timestamptz;
    c record;
    due timestamptz;
    lost record;
BEGIN
    SELECT o.created_at INTO oldest FROM fraud.outbox o WHERE o.dispatched_at IS NULL ORDER BY o.outbox_id LIMIT 1;
    item := 'outbox';
    status := CASE WHEN oldest IS NULL THEN 'ok' WHEN NOT preloaded THEN 'warning'
                   WHEN oldest < now() - interval '5 minutes' AND EXISTS (SELECT FROM fraud.channels) THEN 'error' ELSE 'ok' END;
    since := CASE WHEN status <> 'ok' THEN oldest END;
    detail := CASE WHEN oldest IS NULL THEN 'empty'
                   WHEN NOT preloaded THEN format('not preloaded: messages wait and are sent to nobody, of which the newest %s are kept',
                                                  coalesce(nullif(current_setting('fraud_detect.outbox_limit', true), ''), '100000'))
                   ELSE format('messages wait to be addressed, the oldest for %s', fraud._told_age(now() - oldest)) END;
    advice := CASE WHEN status = 'warning' THEN 'shared_preload_libraries = ''fraud_detect'' has them sent; fraud_detect.outbox_limit says how many are kept'
                   WHEN status <> 'ok' THEN 'see the item worker notify' END;
    RETURN NEXT;
    FOR c IN
        SELECT h.name, h.paused, st.failing_condition = h.condition AS misjudges, st.condition_error, st.condition_failing_since, st.hold_until, st.consecutive_failures, st.last_success_at, st.last_error, st.last_error_at, s.due_at
        FROM fraud.channels h JOIN fraud.channel_status s USING (name) LEFT JOIN fraud.channel_state st USING (name) ORDER BY h.name
    LOOP
        due := c.due_at;
        item := 'channel ' || c.name;
        since := NULL;
        advice := NULL;
        status := 'ok';
        detail := CASE WHEN c.last_success_at IS NULL THEN 'nothing was delivered yet' ELSE 'delivers, last ' || fraud._told_time(c.last_success_at) END;
        IF c.paused THEN
            status := 'warning';
            detail := 'paused' || CASE WHEN due IS NOT NULL THEN ', and deliveries wait' ELSE '' END;
            advice := format('fraud.resume_channel(%L)', c.name);
        ELSIF c.consecutive_failures IS NULL THEN
            status := 'warning';
            detail := 'restored: it came with a dump, or a copy of the database, and nothing is sent';
            advice := format('fraud.resume_channel(%L), where this database is to write to it', c.name);
        ELSIF c.misjudges THEN
            status := 'error';
            since := c.condition_failing_since;
            detail := format('its condition fails, each time since %s, so that its alerts are given up: %s', fraud._told_time(c.condition_failing_since), c.condition_error)
                || CASE WHEN c.consecutive_failures > 0 THEN format('; deliveries fail, too, %s times in a row: %s', c.consecutive_failures, c.last_error) ELSE '' END;
            advice := format('fraud.alter_channel(%L, condition => …) gives it another, reset => ''{condition}'' none; fraud.retry_notification then sends what was given up', c.name);
        ELSIF c.consecutive_failures > 0 THEN
            status := 'error';
            since := coalesce(c.last_success_at, c.last_error_at);
            detail := format('failing, %s times in a row: %s', c.consecutive_failures, c.last_error)
                || coalesce(', last success ' || fraud._told_time(c.last_success_at), '');
            advice := format('the receiver is asked again by itself; fraud.test_channel(%L) tries at once, fraud.alter_channel gives another address', c.name);
        ELSIF due < now() - interval '2 minutes' THEN
            status := CASE WHEN due < now() - interval '5 minutes' THEN 'error' ELSE 'warning' END;
            since := due;
            detail := format('deliveries are late, the first by %s', fraud._told_age(now() - due))
                || CASE WHEN c.hold_until > now() THEN format(': the receiver asked to be left alone until %s', fraud._told_time(c.hold_until)) ELSE '' END;
            advice := 'see the item worker notify; max_per_minute, or a receiver that is slow, may be less than what comes: a digest_interval sends many in one';
        END IF;
        RETURN NEXT;
    END LOOP;
    -- By itself: a channel that delivers again is not one that fails, and one that fails anew is told of.
    SELECT count(*) AS channels, sum(n.number)::bigint AS number, min(n.first_at) AS first_at, max(n.last_at) AS last_at,
           string_agg(format('"%s"', n.name), ', ' ORDER BY n.name) FILTER (WHERE n.place <= 10) AS names INTO lost
    FROM (SELECT h.name, d.number, d.first_at, d.last_at, row_number() OVER (ORDER BY h.name) AS place
          FROM fraud.channels h CROSS JOIN LATERAL (
              SELECT (SELECT count(*) FROM (SELECT FROM fraud.notifications n WHERE n.channel = h.name AND n.state = 'dead' LIMIT 1001) n) AS number,
                     (SELECT min(n.finished_at) FROM fraud.notifications n WHERE n.channel = h.name AND n.state = 'dead') AS first_at,
                     (SELECT max(n.finished_at) FROM fraud.notifications n WHERE n.channel = h.name AND n.state = 'dead') AS last_at) d
          WHERE d.number > 0) n;
    item := 'deliveries';
    status := CASE WHEN lost.channels = 0 THEN 'ok' WHEN lost.last_at > now() - interval '1 day' THEN 'error' ELSE 'warning' END;
    since := lost.first_at;
    detail := CASE WHEN lost.channels = 0 THEN 'none was given up'
                   ELSE format('%s were given up, the last %s, of channel %s', CASE WHEN lost.number > 1000 THEN 'more than 1000' ELSE lost.number::text END,
                               fraud._told_time(lost.last_at), lost.names)
                        || CASE WHEN lost.channels > 10 THEN format(' and %s more', lost.channels - 10) ELSE '' END END;
    advice := CASE WHEN lost.channels > 0 THEN 'fraud.notification_log says why; fraud.retry_notification sends one again, fraud.purge() forgets them past outbox_retention' END;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION fraud._told_health() IS 'internal: the items of fraud.health() on messages and channels';

-- A session that listens and sits in a transaction, in any database, has all notifications of the server kept for it.
-- Which sessions listen none can see but they themselves; those in transactions are the ones to look among.
CREATE FUNCTION fraud._notify_queue_health(usage float8) RETURNS TABLE (item text, status text, since timestamptz, detail text, advice text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT 'notification queue',
           CASE WHEN usage > 0.9 THEN 'error' WHEN usage > 0.1 THEN 'warning' ELSE 'ok' END, NULL::timestamptz,
           format('%s %% full', round(100 * usage::numeric, 1))
               || CASE WHEN usage > 0.1
                       THEN ': a session that listens sits in a transaction. When the queue is full no NOTIFY of the server can be committed; payments go on, listeners and channels of kind notify wait'
                            || coalesce('. In transactions are, the oldest first: '
                                   || (SELECT string_agg(format('session %s (%s, database "%s") since %s', a.pid, coalesce(a.usename, '?'), a.datname, fraud._told_time(a.xact_start)), ', ' ORDER BY a.xact_start)
                                       FROM (SELECT * FROM pg_stat_activity b WHERE b.xact_start IS NOT NULL AND b.backend_type = 'client backend' AND b.pid <> pg_backend_pid()
                                             ORDER BY b.xact_start LIMIT 5) a), '')
                       ELSE '' END,
           CASE WHEN usage > 0.1
                THEN 'the one of them that listens is in the way, and others need not end. The server''s log names it from half full on ("NOTIFY queue is … full"), before that whoever runs LISTEN knows: '
                     'let its transaction end, or pg_terminate_backend(its pid); idle_in_transaction_session_timeout bounds such sessions' END;
END;
COMMENT ON FUNCTION fraud._notify_queue_health(float8) IS 'internal: the item of fraud.health() on the server''s queue of NOTIFY, of which so much is in use';

CREATE FUNCTION fraud._lock_health() RETURNS TABLE (item text, status text, since timestamptz, detail text, advice text)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    w record;
    n record;
    snapshot_age interval := interval '1 hour';
BEGIN
    -- Who has waited long in this database, and behind whom. Asked of a few: it looks at all locks.
    SELECT l.pid, l.waitstart, l.backend_type, l.relation::regclass AS relation, pg_blocking_pids(l.pid) AS blockers, l.waiters INTO w
    FROM (SELECT l.pid, l.waitstart, l.relation, d.backend_type, count(*) OVER () AS waiters
          FROM pg_locks l JOIN pg_stat_activity d ON d.pid = l.pid AND d.datname = current_database()
          WHERE NOT l.granted AND l.waitstart < now() - interval '5 seconds' ORDER BY l.waitstart LIMIT 1) l;
    item := 'locks';
    status := CASE WHEN w.waitstart < now() - interval '1 minute' THEN 'error' WHEN w.pid IS NOT NULL THEN 'warning' ELSE 'ok' END;
    since := w.waitstart;
    detail := 'nobody waits long';
    IF w.pid IS NOT NULL THEN
        SELECT string_agg(format('%s (%s, transaction since %s)', b.pid, coalesce(a.usename, a.backend_type, 'prepared'), coalesce(fraud._told_time(a.xact_start), '?')), ', ') INTO detail
        FROM unnest(w.blockers) b(pid) LEFT JOIN pg_stat_activity a ON a.pid = b.pid;
        detail := format('%s sessions wait longer than 5 seconds; session %s has for %s', w.waiters, w.pid, fraud._told_age(now() - w.waitstart))
            || coalesce(format(' for %s', w.relation), '') || coalesce(', behind ' || detail, '');
        advice := format('pg_stat_activity says what they do; pg_terminate_backend(%s) ends the first', coalesce(w.blockers[1]::text, '…'));
    END IF;
    RETURN NEXT;

    SELECT a.pid, a.xact_start, a.backend_type, a.usename INTO n FROM pg_stat_activity a
    WHERE a.backend_xmin IS NOT NULL AND a.backend_type <> 'walsender' AND a.datname = current_database() ORDER BY a.xact_start LIMIT 1;
    RETURN QUERY SELECT 'snapshots', CASE WHEN n.xact_start < now() - snapshot_age THEN 'warning' ELSE 'ok' END,
        CASE WHEN n.xact_start < now() - snapshot_age THEN n.xact_start END,
        CASE WHEN n.xact_start < now() - snapshot_age
             THEN format('session %s (%s) keeps a snapshot since %s: rows that are gone cannot be cleared away', n.pid, coalesce(n.usename, n.backend_type), fraud._told_time(n.xact_start))
             ELSE 'none is older than an hour' END,
        CASE WHEN n.xact_start < now() - snapshot_age THEN format('let it end, or pg_terminate_backend(%s); idle_in_transaction_session_timeout bounds those that idle', n.pid) END;

    SELECT p.gid, p.prepared, p.owner, count(*) OVER () AS number INTO n FROM pg_prepared_xacts p WHERE p.database = current_database() ORDER BY p.prepared LIMIT 1;
    RETURN QUERY SELECT 'prepared transactions',
        CASE WHEN n.prepared < now() - interval '1 hour' THEN 'error' WHEN n.prepared < now() - interval '5 minutes' THEN 'warning' ELSE 'ok' END,
        CASE WHEN n.prepared < now() - interval '5 minutes' THEN n.prepared END,
        CASE WHEN n.gid IS NULL THEN 'there are none' ELSE format('%s, the oldest (%s, of %s) since %s: it keeps its locks', n.number, n.gid, n.owner, fraud._told_time(n.prepared)) END,
        CASE WHEN n.prepared < now() - interval '5 minutes' THEN format('COMMIT PREPARED %L, or ROLLBACK PREPARED', n.gid) END;

    RETURN QUERY SELECT * FROM fraud._notify_queue_health(pg_notification_queue_usage());
END
$$;
COMMENT ON FUNCTION fraud._lock_health() IS 'internal: the items of fraud.health() on who is in whose way';

-- What slots keep: WAL, and rows that are gone, which are not cleared away while a slot's reader, or a query on a standby
-- that reports its snapshots (hot_standby_feedback), may yet want them.
CREATE FUNCTION fraud._slot_health(bearable bigint DEFAULT 1000000) RETURNS TABLE (item text, status text, since timestamptz, detail text, advice text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT 'replication slot ' || s.slot_name,
           CASE WHEN s.wal_status IN ('unreserved', 'lost') THEN 'error' WHEN k.piles_up OR k.old_rows > bearable OR k.old_catalog > bearable THEN 'warning' ELSE 'ok' END,
           NULL::timestamptz,
           format('%s, keeps %s of WAL', CASE WHEN s.active THEN 'in use' ELSE 'nobody reads it' END, pg_size_pretty(k.kept)) || coalesce(', ' || nullif(s.wal_status, 'reserved'), '')
               || CASE WHEN k.old_rows > bearable THEN format(', and rows that are gone, of all tables, for %s transactions', k.old_rows)
                       WHEN k.old_catalog > bearable THEN format(', and rows that are gone, of the catalogs, for %s transactions', k.old_catalog) ELSE '' END,
           CASE WHEN s.wal_status IN ('unreserved', 'lost') OR k.piles_up
                THEN format('bring its reader back, or SELECT pg_drop_replication_slot(%L): the disk fills', s.slot_name)
                WHEN k.old_rows > bearable OR k.old_catalog > bearable
                THEN CASE WHEN NOT s.active THEN format('bring its reader back, or SELECT pg_drop_replication_slot(%L)', s.slot_name)
                          WHEN s.slot_type = 'physical' THEN 'end the old query on the standby (pg_stat_activity there), or set hot_standby_feedback = off there'
                          ELSE 'its reader lags or holds a transaction open: look at it' END || ': until then VACUUM clears nothing away, and queues and tables grow' END
    FROM pg_replication_slots s
    CROSS JOIN LATERAL (SELECT coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn), 0)::bigint AS kept) w
    CROSS JOIN LATERAL (SELECT w.kept, NOT s.active AND w.kept > 1024 * 1024 * 1024 AS piles_up,
                               age(s.xmin)::bigint AS old_rows, age(s.catalog_xmin)::bigint AS old_catalog) k
    ORDER BY 1;
END;
COMMENT ON FUNCTION fraud._slot_health(bigint) IS
    'internal: the items of fraud.health() on replication slots; one that keeps old rows for more transactions than bearable is a warning';

-- Names in a list as synchronous_standby_names has them: with commas, some in quotes.
CREATE FUNCTION fraud._standby_names(list text) RETURNS SETOF text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT DISTINCT lower(coalesce(replace(m[1], '""', '"'), m[2])) FROM regexp_matches(list, '"((?:[^"]|"")+)"|([^[:space:],"]+)', 'g') m
    ORDER BY 1;
END;
COMMENT ON FUNCTION fraud._standby_names(text) IS 'internal: the names of standbys in a list, in small letters, since case does not count in them';

-- pg_stat_replication has those that are connected, so who is to be there has to be said.
CREATE FUNCTION fraud._standby_health() RETURNS TABLE (item text, status text, since timestamptz, detail text, advice text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    expected CONSTANT text := coalesce(current_setting('fraud_detect.expected_standbys', true), '');
    said CONSTANT text := current_setting('synchronous_standby_names');
    -- How many commits wait for, and of whom; without a number one, of the whole list.
    parts CONSTANT text[] := regexp_match(said, '^[[:space:]]*(?:(?:first|any)[[:space:]]+)?([0-9]+)[[:space:]]*[(](.*)[)][[:space:]]*$', 'i');
    needed CONSTANT int := CASE WHEN btrim(said) <> '' THEN coalesce(parts[1]::int, 1) ELSE 0 END;
    there int;
BEGIN
    RETURN QUERY
        SELECT 'standby ' || coalesce(nullif(r.application_name, ''), r.pid::text),
               CASE WHEN r.state <> 'streaming' THEN 'warning' WHEN r.replay_lag > interval '5 minutes' THEN 'error'
                    WHEN r.replay_lag > interval '1 minute' OR age(r.backend_xmin) > 1000000 THEN 'warning' ELSE 'ok' END,
               CASE WHEN r.replay_lag > interval '1 minute' THEN now() - r.replay_lag END,
               format('%s, %s', r.state, r.sync_state) || coalesce(format(', %s behind', fraud._told_age(r.replay_lag)), '')
                   -- Of a standby without a slot, whose queries keep rows by themselves.
                   || CASE WHEN age(r.backend_xmin) > 1000000 THEN format('; its queries keep rows that are gone for %s transactions (hot_standby_feedback)', age(r.backend_xmin)) ELSE '' END,
               CASE WHEN r.state <> 'streaming' OR r.replay_lag > interval '1 minute' THEN 'pg_stat_replication says where it hangs: sent, written, flushed or replayed'
                    WHEN age(r.backend_xmin) > 1000000 THEN 'end the old query there (pg_stat_activity of the standby), or set hot_standby_feedback = off there' END
        FROM pg_stat_replication r ORDER BY 1;
    RETURN QUERY
        SELECT 'standby ' || n.name, CASE WHEN e.is_expected THEN 'error' ELSE 'warning' END, NULL::timestamptz,
               'is not connected, though ' || CASE WHEN e.is_expected THEN 'fraud_detect.expected_standbys' ELSE 'synchronous_standby_names' END || ' names it',
               'does it run, can it reach this server (primary_conninfo there), and is it called so (application_name, else cluster_name)? If it is not to come back, take it out of the setting'
        FROM (SELECT fraud._standby_names(expected) AS name UNION SELECT fraud._standby_names(coalesce(parts[2], said))) n
        CROSS JOIN LATERAL (SELECT n.name IN (SELECT fraud._standby_names(expected)) AS is_expected) e
        WHERE n.name <> '*' AND NOT EXISTS (SELECT FROM pg_stat_replication r WHERE lower(r.application_name) = n.name)
        ORDER BY 1;
    SELECT count(*) INTO there FROM pg_stat_replication r WHERE r.sync_state IN ('sync', 'quorum');
    IF there < needed THEN
        RETURN QUERY SELECT 'synchronous standby', 'error', NULL::timestamptz,
            CASE there WHEN 0 THEN format('none of synchronous_standby_names (%s) is connected', said)
                       ELSE format('%s of the %s are connected that commits wait for by synchronous_standby_names (%s)', there, needed, said) END
                || ': no commit ends, so no payment is stored',
            CASE there WHEN 0 THEN 'bring it back, or ALTER SYSTEM SET synchronous_standby_names = '''' and SELECT pg_reload_conf()'
                       ELSE 'bring the others back, or have commits wait for fewer: ALTER SYSTEM SET synchronous_standby_names, and SELECT pg_reload_conf()' END;
    END IF;
END
$$;
COMMENT ON FUNCTION fraud._standby_health() IS 'internal: the items of fraud.health() on standbys, those that are connected and those that are to be';

CREATE FUNCTION fraud._replication_health() RETURNS TABLE (item text, status text, since timestamptz, detail text, advice text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    behind interval;
    age bigint := (SELECT age(d.datfrozenxid) FROM pg_database d WHERE d.datname = current_database());
BEGIN
    IF pg_is_in_recovery() THEN
        behind := CASE WHEN pg_last_wal_receive_lsn() IS NOT DISTINCT FROM pg_last_wal_replay_lsn() AND EXISTS (SELECT FROM pg_stat_wal_receiver) THEN interval '0'
                       ELSE now() - pg_last_xact_replay_timestamp() END;
        RETURN QUERY SELECT 'standby',
            CASE WHEN NOT EXISTS (SELECT FROM pg_stat_wal_receiver) THEN 'warning' WHEN behind > interval '5 minutes' THEN 'error' WHEN behind > interval '1 minute' THEN 'warning' ELSE 'ok' END,
            CASE WHEN behind > interval '1 minute' THEN now() - behind END,
            CASE WHEN NOT EXISTS (SELECT FROM pg_stat_wal_receiver) THEN 'this server is a standby that receives nothing' ELSE 'this server is a standby' END
                || coalesce(format(', %s behind', fraud._told_age(behind)), '') || ': no worker runs here, and the feed is judged on the primary',
            CASE WHEN NOT EXISTS (SELECT FROM pg_stat_wal_receiver) THEN 'is the primary there? If not, pg_promote() makes this one it, and its workers start' WHEN behind > interval '1 minute' THEN 'what holds replay up: a long query here (max_standby_streaming_delay), the disk, the network' END;
        RETURN;
    END IF;
    RETURN QUERY SELECT * FROM fraud._standby_health();
    RETURN QUERY SELECT * FROM fraud._slot_health();
    RETURN QUERY SELECT 'transaction ids', CASE WHEN age > 1800000000 THEN 'error' WHEN age > 1000000000 THEN 'warning' ELSE 'ok' END, NULL::timestamptz,
        format('the oldest is %s million ago, of 2147', age / 1000000),
        CASE WHEN age > 1000000000 THEN 'VACUUM FREEZE, when what keeps old snapshots is gone (items snapshots, prepared transactions, replication slot …)' END;
END
$$;
COMMENT ON FUNCTION fraud._replication_health() IS 'internal: the items of fraud.health() on standbys, slots and the age of transactions';

CREATE FUNCTION fraud._upkeep_health() RETURNS TABLE (item text, status text, since timestamptz, detail text, advice text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    zone text := coalesce(nullif(current_setting('fraud_detect.report_timezone', true), ''), 'UTC');
    hour int := coalesce(nullif(current_setting('fraud_detect.report_hour', true), ''), '6')::int;
    retention interval := coalesce(nullif(current_setting('fraud_detect.transaction_retention', true), ''), '0')::interval;
    reach record;
    expects boolean;
    n bigint;
    day date;
    refreshed timestamptz;
BEGIN
    SELECT count(*) INTO n
    FROM generate_series(date_trunc('month', now() AT TIME ZONE 'UTC'),
                         now() AT TIME ZONE 'UTC' + interval '7 days', interval '1 month') m
    WHERE to_regclass(format('fraud.transactions_%s', to_char(m, 'YYYY_MM'))) IS NULL;
    -- As the ingest worker does, which makes none before there is something to keep.
    expects := fraud._takes_payments();
    RETURN QUERY SELECT 'partitions', CASE WHEN n > 0 AND expects THEN 'warning' ELSE 'ok' END, NULL::timestamptz,
        CASE WHEN n > 0 AND NOT expects THEN 'not needed yet: there are neither sources nor payments'
             WHEN n > 0 THEN 'a month of the next seven days has none yet' ELSE 'there for the next seven days' END,
        CASE WHEN n > 0 AND expects THEN 'is a worker running? fraud.maintain_partitions() makes it' END;

    SELECT * INTO reach FROM fraud._longest_reach();
    n := 0;
    IF retention > interval '0' THEN
        SELECT count(*) INTO n FROM fraud._past_months();
    END IF;
    RETURN QUERY SELECT 'retention',
        CASE WHEN retention = interval '0' THEN 'ok' WHEN reach.reach > retention THEN 'error' WHEN n > 3 THEN 'warning' ELSE 'ok' END, NULL::timestamptz,
        CASE WHEN retention = interval '0' THEN 'payments are kept for ever'
             WHEN reach.reach > retention THEN format('%s is shorter than what feature "%s" of feature set "%s" looks back (%s): no month is dropped', retention, reach.feature, reach.feature_set, reach.reach)
             ELSE format('%s months are past %s', n, retention) END,
        CASE WHEN retention > interval '0' AND reach.reach > retention THEN 'set a longer fraud_detect.transaction_retention, or drop the feature'
             WHEN n > 3 THEN 'see the item job retention: who is in the way?' END;

    -- By numbers: nothing is counted.
    SELECT greatest(s.last_value - greatest(m.folded_to, (SELECT f.last_id FROM fraud.folding f)), 0) INTO n FROM fraud.change_ids s, fraud.change_mark m;
    SELECT s.refreshed_at INTO refreshed FROM fraud.rollup_state s;
    RETURN QUERY SELECT 'rollups', CASE WHEN n > 100000 THEN 'warning' ELSE 'ok' END, CASE WHEN n > 100000 THEN refreshed END,
        format('about %s changes are queued', n) || coalesce(', refreshed ' || fraud._told_time(refreshed), ', never refreshed'),
        CASE WHEN n > 100000 THEN 'the views are slow: call fraud.refresh_rollups(); does the job rollups run?' END;
    RETURN QUERY SELECT 'report time zone', CASE WHEN zone = fraud.report_timezone() THEN 'ok' ELSE 'warning' END, NULL::timestamptz,
        CASE WHEN zone = fraud.report_timezone() THEN zone
             ELSE format('the reports count days of %s, fraud_detect.report_timezone is %s', fraud.report_timezone(), zone) END,
        CASE WHEN zone <> fraud.report_timezone() THEN 'call fraud.rebuild_rollups()' END;

    SELECT count(*), min(d)::date INTO n, day
    FROM fraud.closing c,
         generate_series(c.first_day::timestamp,
                         ((now() AT TIME ZONE fraud.report_timezone()) - make_interval(hours => hour) - interval '1 hour')::date - 1,
                         interval '1 day') d
    WHERE NOT EXISTS (SELECT FROM fraud.daily_reports r WHERE r.day = d::date);
    RETURN QUERY SELECT 'closed days', CASE WHEN n > 0 THEN 'error' ELSE 'ok' END, day::timestamp AT TIME ZONE fraud.report_timezone(),
        CASE WHEN n > 0 THEN format('%s are due and not closed, from %s on', n, day)
             WHEN NOT EXISTS (SELECT FROM fraud.closing) THEN 'closing has not begun: fraud.schedule()'
             ELSE coalesce('last ' || (SELECT max(r.day) FROM fraud.daily_reports r), 'none is due yet') END,
        CASE WHEN n > 0 THEN 'call fraud.close_due_days(); does the job reports run?' END;
END
$$;
COMMENT ON FUNCTION fraud._upkeep_health() IS 'internal: the items of fraud.health() on months, sums and reports';

CREATE FUNCTION fraud._size_health() RETURNS TABLE (item text, status text, since timestamptz, detail text, advice text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- By the files' sizes and what the last ANALYZE said.
    RETURN QUERY SELECT 'size', 'ok', NULL::timestamptz,
        format('payments %s (about %s rows), inbox %s, log of changes %s, deliveries %s, database %s',
               pg_size_pretty(sum(s.bytes) FILTER (WHERE s.part = 'payments')),
               coalesce(sum(s.rows) FILTER (WHERE s.relname ~ '^transactions_'), 0)::bigint,
               pg_size_pretty(sum(s.bytes) FILTER (WHERE s.part = 'inbox')), pg_size_pretty(sum(s.bytes) FILTER (WHERE s.part = 'changes')),
               pg_size_pretty(sum(s.bytes) FILTER (WHERE s.part = 'deliveries')), pg_size_pretty(pg_database_size(current_database()))), NULL::text
    FROM fraud._sizes() s;
END
$$;
COMMENT ON FUNCTION fraud._size_health() IS 'internal: the item of fraud.health() on sizes';

CREATE FUNCTION fraud._sizes() RETURNS TABLE (part text, relname name, bytes bigint, rows float8)
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT CASE WHEN c.relname ~ '^(past_)?transactions_|^payment_keys$' THEN 'payments'
                WHEN c.relname ~ '^inbox' THEN 'inbox'
                WHEN c.relname ~ '^changes_' THEN 'changes'
                WHEN c.relname ~ '^(outbox|notification)' THEN 'deliveries'
                WHEN c.relname ~ '^rollup' THEN 'sums'
                ELSE 'other' END,
           c.relname,
           -- By the files, which takes no lock and opens no relation; of months, of which there may be hundreds, as the last VACUUM or
           -- ANALYZE saw them. What is larger than a gigabyte has more files: as many as these knew of, and the next.
           sum(CASE WHEN c.relispartition AND r.relpages > 0 THEN r.relpages::bigint * current_setting('block_size')::int ELSE (pg_stat_file(pg_relation_filepath(r.oid), true)).size
               + CASE WHEN r.relpages < 100000 THEN 0
                      ELSE coalesce((SELECT sum((pg_stat_file(format('%s.%s', pg_relation_filepath(r.oid), n), true)).size)
                                     FROM generate_series(1, r.relpages / 131072 + 8) n), 0) END END)::bigint,
           greatest(c.reltuples, 0)
    FROM pg_class c
    CROSS JOIN LATERAL (SELECT c.oid AS heap UNION ALL SELECT c.reltoastrelid WHERE c.reltoastrelid <> 0) h
    CROSS JOIN LATERAL (SELECT h.heap AS oid UNION ALL SELECT i.indexrelid FROM pg_index i WHERE i.indrelid = h.heap) x
    JOIN pg_class r ON r.oid = x.oid
    WHERE c.relnamespace = 'fraud'::regnamespace AND c.relkind = 'r'
    GROUP BY c.oid, c.relname, c.reltuples;
END;
COMMENT ON FUNCTION fraud._sizes() IS 'internal: bytes of each table with its indexes (of a month as the last VACUUM or ANALYZE saw them), and its rows as the last ANALYZE counted them';
