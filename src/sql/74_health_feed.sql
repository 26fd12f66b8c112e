-- The parts of fraud.health() that judge the feed: payments arrive, are stored, are scored and
-- decided as they use to be. Nothing here counts a large table.
CREATE FUNCTION fraud._told_time(at timestamptz) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS"Z"'); END;
COMMENT ON FUNCTION fraud._told_time(timestamptz) IS 'internal: a time as fraud.health() writes it';

CREATE FUNCTION fraud._told_age(age interval) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC SELECT date_trunc('second', age)::text; END;
COMMENT ON FUNCTION fraud._told_age(interval) IS 'internal: a duration as fraud.health() writes it';

-- Of each source the worst that can be said of it, and never an error that has healed.
CREATE FUNCTION fraud._source_health() RETURNS TABLE (item text, status text, since timestamptz, detail text, advice text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    s record;
    stored bigint;
    known bigint;
    rejected bigint;
    -- What came since the last look is not known yet.
    looked_at timestamptz := (SELECT m.looked_at FROM fraud.health_marks m);
    hung text := (SELECT format('the ingest worker (pid %s) does not answer', w.pid) FROM fraud._silent_workers() w WHERE w.worker = 'ingest');
BEGIN
    FOR s IN
        SELECT v.*, h.last_new_at, fraud._allowed_silence(h, v.poll_interval) AS allowed, h.max_silence IS NOT NULL AS is_set,
               looked_at - h.last_new_at AS silence,
               (SELECT o FROM fraud.source_samples o WHERE o.source = v.name AND o.at > now() - interval '1 hour' ORDER BY o.at LIMIT 1) AS before
        FROM fraud.source_status v LEFT JOIN fraud.source_habits h ON h.source = v.name ORDER BY v.name
    LOOP
        item := 'source ' || s.name;
        status := 'ok';
        since := NULL;
        advice := NULL;
        stored := s.stored - (s.before).stored;
        known := s.duplicates - (s.before).duplicates;
        rejected := s.rejected - (s.before).rejected;
        detail := s.state || coalesce(', last success ' || fraud._told_time(s.last_success_at), '');
        IF s.state = 'paused' THEN
            status := 'warning';
            advice := format('fraud.resume_source(%L) has it polled again', s.name);
        ELSIF s.state = 'restored' THEN
            status := 'warning';
            detail := 'restored: it came with a dump, or a copy of the database, and is not polled';
            advice := format('fraud.resume_source(%L), where this database is to poll it', s.name);
        ELSIF s.state = 'read-only' THEN
            status := 'warning';
            detail := 'read-only: nothing is polled';
            advice := 'take default_transaction_read_only off where it is set: ALTER DATABASE … RESET, ALTER ROLE … RESET, ALTER SYSTEM';
        ELSIF s.state = 'stuck' THEN
            status := 'error';
            since := s.next_poll_at;
            detail := format('stuck: its poll is overdue since %s', fraud._told_time(s.next_poll_at))
                || coalesce(', ' || hung, '')
                || CASE WHEN s.consecutive_failures > 0 THEN coalesce(': ' || s.last_error, '') ELSE '' END;
            advice := CASE WHEN hung IS NOT NULL THEN 'see the item worker ingest' ELSE 'see the items library and worker ingest: does it run?' END;
        ELSIF s.consecutive_failures > 0 THEN
            status := 'error';
            since := s.last_success_at;
            detail := format('failing, %s times in a row: %s', s.consecutive_failures, s.last_error)
                || coalesce(', last success ' || fraud._told_time(s.last_success_at), '');
            advice := CASE WHEN s.last_error LIKE 'could not keep payments: %'
                           THEN 'what has come is tried again each second until it can be kept: see the item locks, who has locked tables of ours, and whether there is room'
                           ELSE 'the error says where: fraud.preview_source tries it at once; what cannot be had is asked for again when it can' END;
        ELSIF s.rejecting_since IS NOT NULL THEN
            status := CASE WHEN s.rejecting_since < now() - greatest(3 * s.poll_interval, interval '1 minute') THEN 'error' ELSE 'warning' END;
            since := s.rejecting_since;
            detail := format('%s: none of its payments could be kept since %s, fraud.ingest_errors says why', s.state, fraud._told_time(s.rejecting_since));
            advice := 'a field was renamed or has another form: mend the mapping (fraud.alter_source), then fraud.retry_dead_letters(source => …)';
        ELSIF rejected >= 20 AND rejected > 0.05 * (stored + rejected) THEN
            status := CASE WHEN rejected > stored THEN 'error' ELSE 'warning' END;
            since := (s.before).at;
            detail := format('%s of its %s new payments were rejected since %s, fraud.ingest_errors says why',
                             rejected, stored + rejected, fraud._told_time((s.before).at));
            advice := 'mend what they have in common, then fraud.retry_dead_letters(source => …)';
        ELSIF s.state = 'behind' THEN
            status := 'warning';
            detail := format('behind: %s of its payments wait to be scored, so it is not polled', s.waiting);
            advice := 'see the item inbox';
        ELSIF s.silence > s.allowed THEN
            status := 'error';
            since := s.last_new_at;
            detail := format('no new payment since %s, %s: ', fraud._told_time(s.last_new_at),
                             CASE WHEN s.is_set THEN format('one is expected within %s', s.allowed)
                                  ELSE format('it was never silent for longer than %s', fraud._told_age(s.allowed / 2)) END)
                || CASE WHEN known > 0 THEN 'it answers with payments that are stored already' ELSE 'it answers, with none' END;
            advice := 'ask who runs the API whether it sends what is new; fraud.expect_payments sets what silence is usual';
        END IF;
        RETURN NEXT;
    END LOOP;
    -- Those that are not polled, of which somebody expects payments.
    RETURN QUERY
        SELECT 'source ' || h.source,
               CASE WHEN looked_at - h.last_new_at > h.max_silence THEN 'error' ELSE 'ok' END,
               CASE WHEN looked_at - h.last_new_at > h.max_silence THEN h.last_new_at END,
               CASE WHEN looked_at - h.last_new_at > h.max_silence
                    THEN format('no new payment since %s, one is expected within %s', fraud._told_time(h.last_new_at), h.max_silence)
                    ELSE 'sends payments' END,
               CASE WHEN looked_at - h.last_new_at > h.max_silence THEN 'ask who sends them; fraud.expect_payments sets what silence is usual' END
        FROM fraud.source_habits h
        WHERE h.max_silence IS NOT NULL AND NOT EXISTS (SELECT FROM fraud.sources p WHERE p.name = h.source)
        ORDER BY h.source;
END
$$;
COMMENT ON FUNCTION fraud._source_health() IS 'internal: the items of fraud.health() on sources';

CREATE FUNCTION fraud._inbox_health() RETURNS TABLE (item text, status text, since timestamptz, detail text, advice text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    waiting bigint := (SELECT coalesce(sum(c.waiting), 0) FROM fraud._source_sums c);
    oldest timestamptz;
    held record;
    letters bigint;
BEGIN
    -- From the mark on, which is some minutes old: rows that were taken out stay before it for as
    -- long as somebody keeps a snapshot, and none comes to lie there any more.
    SELECT b.received_at INTO oldest FROM fraud.inbox b
    WHERE b.inbox_id >= (SELECT coalesce(max(m.inbox_before), 0) FROM fraud.health_marks m) ORDER BY b.inbox_id LIMIT 1;
    SELECT h.*, count(*) OVER () AS customers INTO held FROM fraud.held_customers h ORDER BY h.held_since LIMIT 1;
    item := 'inbox';
    status := CASE WHEN oldest < now() - interval '5 minutes' THEN 'error' WHEN oldest < now() - interval '1 minute' THEN 'warning' ELSE 'ok' END;
    since := CASE WHEN status <> 'ok' THEN oldest END;
    detail := CASE WHEN oldest IS NULL THEN 'empty'
                   ELSE format('%s payments wait to be scored, the oldest for %s', greatest(waiting, 1), fraud._told_age(now() - oldest)) END
        || CASE WHEN held.card IS NOT NULL
                THEN format('; %s customers are held, one for %s: %s', held.customers, fraud._told_age(now() - held.held_since), held.reason)
                     || coalesce(' (session ' || held.blocking_pid || ')', '') ELSE '' END;
    advice := CASE WHEN status = 'ok' THEN NULL
                   WHEN held.blocking_pid IS NOT NULL THEN format('pg_stat_activity says what session %s does; pg_terminate_backend(%1$s) ends it', held.blocking_pid)
                   WHEN held.reason LIKE 'prepared transaction %' THEN 'pg_prepared_xacts says whose it is; COMMIT PREPARED or ROLLBACK PREPARED ends it'
                   WHEN held.card IS NOT NULL THEN 'SELECT held_since, attempts, reason, blocking_pid FROM fraud.held_customers; what cannot be stored becomes a dead letter'
                   ELSE 'are the scorers there and answering (items worker …)? More of them: fraud_detect.ingest_workers' END;
    RETURN NEXT;

    SELECT count(*) INTO letters FROM (SELECT FROM fraud.ingest_errors e WHERE e.last_seen_at > now() - interval '1 day' LIMIT 10001) e;
    RETURN QUERY SELECT 'dead letters', CASE WHEN letters > 0 THEN 'warning' ELSE 'ok' END, NULL::timestamptz,
        format('%s in the last 24 hours', CASE WHEN letters > 10000 THEN 'more than 10000' ELSE letters::text END),
        CASE WHEN letters > 0 THEN 'SELECT source, reason, sum(occurrences) FROM fraud.ingest_errors GROUP BY 1, 2; then fraud.retry_dead_letters(source => …)' END;
END
$$;
COMMENT ON FUNCTION fraud._inbox_health() IS 'internal: the items of fraud.health() on payments that wait, or could not be stored';

-- In the log's first pages: whoever looks for payments passes all of a first load that has not committed.
CREATE FUNCTION fraud._has_counted() RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM fraud.rollup_state) OR EXISTS (SELECT FROM fraud.changes c WHERE c.ctid < '(64,0)' AND c.sign <> 0);
END;
COMMENT ON FUNCTION fraud._has_counted() IS 'internal: whether payments are in the sums, or wait for that; false while none, or the first of all, is stored';

-- The newest decisions, a thousand and two hundred of them, beside those of the weeks before. A
-- share is another where chance would not make it so: four standard deviations and two points
-- away, and twice or half as many.
CREATE FUNCTION fraud._decision_health() RETURNS TABLE (item text, status text, since timestamptz, detail text, advice text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    reach interval;
    found bigint;
    began timestamptz;
    before record;
    model record;
    newest record;
    what record;
    usual float8;
    share float8;
    noise float8;
    verdict text;
    says text;
BEGIN
    item := 'decisions';
    status := 'ok';
    detail := 'fewer than 100 of the last 1000 payments were decided';
    -- All months are looked at, and planned for, only where the last ones have too few.
    FOREACH reach IN ARRAY CASE WHEN fraud._has_counted() THEN '{5 weeks,1 year,1000 years}' ELSE '{}' END::interval[] LOOP
        began := now() - reach;  -- a value: it is planned for the months since alone
        SELECT count(*), min(n.occurred_at) INTO found, began
        FROM (SELECT t.occurred_at FROM fraud.transactions t WHERE t.occurred_at >= began ORDER BY t.occurred_at DESC LIMIT 1000) n;
        EXIT WHEN found = 1000;
    END LOOP;
    SELECT sum(r.payments) AS payments, sum(r.blocked) AS blocked, sum(r.reviewed + r.blocked) AS alerted INTO before
    FROM fraud.rollups r
    WHERE r.kind = 'hour' AND r.key = 'live' AND r.starts_at >= began - interval '28 days' AND r.starts_at < began - interval '1 hour';
    FOR newest IN
        SELECT w.most, count(n.decision) AS payments, count(*) FILTER (WHERE n.decision = 'block') AS blocked,
               count(*) FILTER (WHERE n.decision IN ('review', 'block')) AS alerted, min(n.occurred_at) AS began_at
        FROM (VALUES (1000), (200)) w(most)
        JOIN (SELECT t.decision, t.occurred_at, row_number() OVER (ORDER BY t.occurred_at DESC) AS place
              FROM fraud.transactions t WHERE t.occurred_at >= began ORDER BY t.occurred_at DESC LIMIT 1000) n ON n.place <= w.most
        GROUP BY w.most HAVING count(n.decision) >= 100 ORDER BY w.most DESC
    LOOP
        verdict := 'ok';
        says := NULL;
        FOR what IN SELECT * FROM (VALUES ('blocked', newest.blocked, before.blocked), ('alerted', newest.alerted, before.alerted)) v(name, now, before) LOOP
            share := what.now::float8 / newest.payments;
            usual := what.before::float8 / nullif(before.payments, 0);
            says := coalesce(says || ', ', format('of the last %s payments ', newest.payments))
                || format('%s%% %s', round((100 * share)::numeric, 1), what.name)
                || CASE WHEN before.payments >= 1000 THEN format(' (in the four weeks before %s%%)', round((100 * usual)::numeric, 1)) ELSE '' END;
            IF before.payments >= 1000 THEN
                noise := 4 * sqrt(greatest(usual, 0.001) * (1 - least(usual, 0.999)) / newest.payments);
                IF share > 2 * usual AND share > usual + noise + 0.02 THEN
                    verdict := CASE WHEN verdict = 'error' OR share > 0.5 OR share > usual + 0.25 THEN 'error' ELSE 'warning' END;
                ELSIF share < usual / 2 AND share < usual - noise AND verdict <> 'error' THEN
                    verdict := 'warning';
                END IF;
            ELSIF share > 0.5 AND verdict <> 'error' THEN
                -- Nothing to compare with, but that cannot be meant.
                verdict := CASE what.name WHEN 'blocked' THEN 'error' ELSE 'warning' END;
            END IF;
        END LOOP;
        IF newest.most = 1000 OR detail LIKE 'fewer%' OR verdict = 'error' AND status <> 'error' OR verdict = 'warning' AND status = 'ok' THEN
            status := verdict;
            detail := says;
            since := CASE WHEN verdict <> 'ok' THEN newest.began_at END;
        END IF;
    END LOOP;
    IF status <> 'ok' THEN
        SELECT a.version, a.promoted_at INTO model FROM fraud.model_aliases a WHERE a.model = 'payments' AND a.alias = 'champion';
        advice := format('a threshold, a model (version %s since %s: fraud.promotions; fraud.rollback) or the payments themselves have changed; fraud.score_distribution shows which',
                         model.version, fraud._told_time(model.promoted_at));
    END IF;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION fraud._decision_health() IS 'internal: the item of fraud.health() on how payments are decided';

CREATE FUNCTION fraud._model_health() RETURNS TABLE (item text, status text, since timestamptz, detail text, advice text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    lacking text;
BEGIN
    RETURN QUERY SELECT 'model ' || a.model || '@' || a.alias, 'ok', a.promoted_at,
        format('version %s since %s', a.version, to_char(a.promoted_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI"Z"')), NULL
    FROM fraud.model_aliases a ORDER BY 1;
    IF NOT EXISTS (SELECT FROM fraud.model_aliases a WHERE a.model = 'payments' AND a.alias = 'champion') THEN
        RETURN QUERY SELECT 'model payments@champion', 'error', NULL::timestamptz, 'there is none: payments cannot be scored', 'fraud.promote(''payments'', …)';
    END IF;
    SELECT string_agg(n, ', ') INTO lacking
    FROM fraud.model_aliases a JOIN fraud.model_versions v ON v.model = a.model AND v.version = a.version, unnest(v.feature_names) n
    WHERE a.model = 'payments' AND a.alias = 'champion' AND NOT EXISTS (SELECT FROM unnest(fraud.payment_features()) f WHERE f = n);
    RETURN QUERY SELECT 'features', CASE WHEN lacking IS NULL THEN 'ok' ELSE 'error' END, NULL::timestamptz,
        CASE WHEN lacking IS NULL THEN 'payments have all that the champion asks for' ELSE format('payments lack what the champion asks for, so that none can be scored: %s', lacking) END,
        CASE WHEN lacking IS NOT NULL THEN 'add them to the feature set payments (fraud.add_feature), or fraud.rollback(''payments'')' END;
    -- As fraud.stream_status, but counted up to a point.
    RETURN QUERY SELECT 'stream ' || s.stream,
        CASE WHEN s.state IS NOT NULL THEN 'error' WHEN r.unscored > 0 THEN 'warning' ELSE 'ok' END, NULL::timestamptz,
        CASE WHEN s.state IS NOT NULL THEN s.state || ': its rows are not decided'
             ELSE CASE WHEN r.rows > 10000 THEN 'of the last 10001, ' ELSE '' END || format('%s rows decided in the last hour', r.rows - r.unscored)
                  || CASE WHEN r.unscored > 0 THEN format(', %s could not be scored: %s', r.unscored, r.last_error) ELSE '' END END,
        CASE WHEN s.state IS NOT NULL THEN 'fraud.watch() again, or fraud.unwatch()'
             WHEN r.unscored > 0 THEN 'SELECT error, count(*) FROM fraud.stream_decisions WHERE error IS NOT NULL GROUP BY 1' END
    FROM (SELECT t.stream, CASE WHEN f.feature_set IS NULL THEN 'no feature set'
                                WHEN NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = f.events) THEN 'table is gone'
                                WHEN g.enabled IS NULL THEN 'no trigger'
                                WHEN NOT g.enabled THEN 'trigger is off' END AS state
          FROM fraud.streams t
          LEFT JOIN fraud.feature_sets f ON f.feature_set = t.stream
          LEFT JOIN LATERAL (SELECT bool_or(x.enabled) AS enabled FROM fraud._stream_triggers(t.stream) x WHERE x.events = f.events) g ON true
          WHERE t.unwatched_at IS NULL) s
    CROSS JOIN LATERAL (
        SELECT count(*) AS rows, count(d.error) AS unscored, (array_agg(d.error ORDER BY d.decision_id DESC) FILTER (WHERE d.error IS NOT NULL))[1] AS last_error
        FROM (SELECT d.error, d.decision_id FROM fraud.stream_decisions d
              WHERE d.stream = s.stream AND d.decided_at > now() - interval '1 hour' ORDER BY d.decided_at DESC LIMIT 10001) d) r
    ORDER BY s.stream;
END
$$;
COMMENT ON FUNCTION fraud._model_health() IS 'internal: the items of fraud.health() on models and what they are asked of';

-- What lags is read from the events: it costs time alone.
CREATE FUNCTION fraud._tile_health() RETURNS TABLE (item text, status text, since timestamptz, detail text, advice text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    late record;
    keys bigint;
BEGIN
    SELECT * INTO late FROM fraud.tile_status t
    WHERE t.wanted AND t.wanted_since < now() - interval '10 minutes' ORDER BY t.events_behind DESC LIMIT 1;
    SELECT count(*) INTO keys FROM (SELECT FROM fraud.tiled_keys LIMIT 10001) k;
    item := 'tiles';
    status := 'ok';
    detail := format('%s keys have tiles', CASE WHEN keys > 10000 THEN 'more than 10000' ELSE keys::text END);
    IF late.events_behind >= 5000 THEN
        status := 'warning';
        since := late.wanted_since;
        detail := format('a key of feature set %s is %s events behind its tiles, which each of its events reads', late.feature_set, late.events_behind)
            || coalesce('; they wait for the transactions of processes ' || array_to_string(late.waits_for, ', '), '');
        advice := CASE WHEN late.waits_for IS NOT NULL THEN 'see the item locks; pg_terminate_backend(pid) ends a session that does not end by itself'
                       ELSE 'the ingest worker makes them: see the item worker ingest; without it CALL fraud.fold_tiles() does' END;
    END IF;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION fraud._tile_health() IS 'internal: whether tiles keep up, for fraud.health()';
