CREATE FUNCTION fraud.health() RETURNS TABLE (item text, status text, detail text)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    cron_home name := current_setting('cron.database_name', true);
    preloaded boolean := current_setting('fraud_detect.max_databases', true) IS NOT NULL;
    zone text := coalesce(nullif(current_setting('fraud_detect.report_timezone', true), ''), 'UTC');
    hour int := coalesce(nullif(current_setting('fraud_detect.report_hour', true), ''), '6')::int;
    scheduled_at timestamptz := (SELECT c.scheduled_at FROM fraud.closing c);
    n bigint;
    day date;
BEGIN
    RETURN QUERY SELECT 'library', CASE WHEN preloaded THEN 'ok' ELSE 'warning' END,
        CASE WHEN preloaded THEN 'preloaded'
             ELSE 'not in shared_preload_libraries: nothing is polled' END;

    SELECT count(*) INTO n FROM pg_stat_activity a
    WHERE a.datname = current_database() AND a.backend_type = 'fraud_detect ingest';
    RETURN QUERY SELECT 'ingest worker',
        CASE WHEN n > 0 OR NOT EXISTS (SELECT FROM fraud.sources) THEN 'ok' ELSE 'error' END,
        CASE WHEN n > 0 THEN 'runs' WHEN NOT EXISTS (SELECT FROM fraud.sources) THEN 'not needed: no sources'
             ELSE 'does not run, so no source is polled' END;

    RETURN QUERY SELECT 'source ' || s.name,
        CASE WHEN s.rejecting_since < now() - greatest(3 * s.poll_interval, interval '1 minute') THEN 'error' ELSE
        CASE s.state WHEN 'stuck' THEN 'error' WHEN 'failing' THEN 'error' WHEN 'rejecting' THEN 'warning'
                     WHEN 'paused' THEN 'warning' WHEN 'restored' THEN 'warning'
                     WHEN 'behind' THEN 'warning' WHEN 'read-only' THEN 'warning' ELSE 'ok' END END,
        s.state || CASE WHEN s.rejecting_since IS NOT NULL
                        THEN format(': none of its payments could be read since %s, fraud.ingest_errors says why',
                                    to_char(s.rejecting_since AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS"Z"')) ELSE '' END || coalesce(': ' || CASE WHEN s.state IN ('failing', 'stuck') THEN s.last_error END, '')
            || coalesce(', last success ' || to_char(s.last_success_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS"Z"'), '')
    FROM fraud.source_status s ORDER BY s.name;

    -- Counted up to a point, as below.
    SELECT count(*) INTO n FROM (SELECT FROM fraud.inbox b LIMIT 100001) b;
    RETURN QUERY SELECT 'inbox',
        CASE WHEN o.since < now() - interval '5 minutes' THEN 'error'
             WHEN o.since < now() - interval '1 minute' THEN 'warning' ELSE 'ok' END,
        CASE WHEN n = 0 THEN 'empty'
             ELSE format('%s payments wait to be scored, the oldest for %s', CASE WHEN n > 100000 THEN 'more than 100000' ELSE n::text END,
                         date_trunc('second', now() - o.since))
                  || coalesce((SELECT format('; %s customers are held, one for %s: %s', count(*) OVER (),
                                             date_trunc('second', now() - h.held_since), h.reason)
                                      || coalesce(' (session ' || h.blocking_pid || ')', '')
                               FROM fraud.held_customers h ORDER BY h.held_since LIMIT 1), '') END
    FROM (SELECT (SELECT b.received_at FROM fraud.inbox b ORDER BY b.inbox_id LIMIT 1) AS since) o;

    SELECT count(*) INTO n FROM fraud.ingest_errors e WHERE e.last_seen_at > now() - interval '1 day';
    RETURN QUERY SELECT 'dead letters', CASE WHEN n > 0 THEN 'warning' ELSE 'ok' END,
        format('%s in the last 24 hours', n);

    SELECT count(*) INTO n FROM pg_stat_activity a
    WHERE a.datname = current_database() AND a.backend_type = 'fraud_detect notify';
    RETURN QUERY SELECT 'notify worker',
        CASE WHEN n > 0 OR NOT EXISTS (SELECT FROM fraud.channels) THEN 'ok' ELSE 'error' END,
        CASE WHEN n > 0 THEN 'runs' WHEN NOT EXISTS (SELECT FROM fraud.channels) THEN 'does not run: there are no channels, but who listens to fraud_alerts hears nothing'
             ELSE 'does not run, so nobody is told' END;
    RETURN QUERY SELECT 'outbox', o.status, o.detail FROM fraud._outbox_health() o;
    RETURN QUERY SELECT 'channel ' || c.name,
        CASE WHEN c.state IN ('stuck', 'failing') OR c.dead > 0 THEN 'error' WHEN c.state IN ('paused', 'restored') THEN 'warning' ELSE 'ok' END,
        c.state || coalesce(': ' || CASE WHEN c.state IN ('failing', 'stuck') THEN c.last_error END, '')
            || format(', %s deliveries wait, %s were given up', c.waiting, c.dead)
    FROM fraud.channel_status c ORDER BY c.name;

    RETURN QUERY SELECT 'model ' || a.model || '@' || a.alias, 'ok',
        format('version %s since %s', a.version, to_char(a.promoted_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI"Z"'))
    FROM fraud.model_aliases a ORDER BY 1;
    IF NOT EXISTS (SELECT FROM fraud.model_aliases a WHERE a.model = 'payments' AND a.alias = 'champion') THEN
        RETURN QUERY SELECT 'model payments@champion', 'error', 'there is none: payments cannot be scored';
    END IF;

    RETURN QUERY SELECT 'stream ' || s.stream,
        CASE WHEN s.state <> 'watching' THEN 'error' WHEN s.unscored_last_hour > 0 THEN 'warning' ELSE 'ok' END,
        CASE WHEN s.state <> 'watching' THEN s.state || ': its rows are not decided'
             ELSE format('%s rows decided in the last hour', s.events_last_hour - s.unscored_last_hour)
                  || CASE WHEN s.unscored_last_hour > 0 THEN format(', %s could not be scored: %s', s.unscored_last_hour, s.last_error) ELSE '' END END
    FROM fraud.stream_status s WHERE s.state <> 'unwatched' ORDER BY s.stream;

    RETURN QUERY SELECT c.item, c.status, c.detail FROM fraud._card_health() c;

    SELECT count(*) INTO n
    FROM generate_series(date_trunc('month', now() AT TIME ZONE 'UTC'),
                         now() AT TIME ZONE 'UTC' + interval '7 days', interval '1 month') m
    WHERE to_regclass(format('fraud.transactions_%s', to_char(m, 'YYYY_MM'))) IS NULL;
    RETURN QUERY SELECT 'partitions', CASE WHEN n > 0 THEN 'warning' ELSE 'ok' END,
        CASE WHEN n > 0 THEN 'a month of the next seven days has none yet: is a worker running? fraud.maintain_partitions() makes it'
             ELSE 'there for the next seven days' END;

    -- Counted up to a point: the log can be long.
    SELECT count(*) INTO n FROM (SELECT FROM fraud._log c LIMIT 100001) c;
    RETURN QUERY SELECT 'rollups', CASE WHEN n > 100000 THEN 'warning' ELSE 'ok' END,
        CASE WHEN n > 100000 THEN 'more than 100000 changes are queued, which makes the views slow: call fraud.refresh_rollups()'
             ELSE format('%s changes queued', n) END
            || coalesce((SELECT ', refreshed ' || to_char(s.refreshed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS"Z"')
                         FROM fraud.rollup_state s), ', never refreshed');
    RETURN QUERY SELECT 'report time zone', CASE WHEN zone = fraud.report_timezone() THEN 'ok' ELSE 'warning' END,
        CASE WHEN zone = fraud.report_timezone() THEN zone
             ELSE format('the reports count days of %s, fraud_detect.report_timezone is %s: call fraud.rebuild_rollups()',
                         fraud.report_timezone(), zone) END;

    SELECT count(*), min(d)::date INTO n, day
    FROM fraud.closing c,
         generate_series(c.first_day::timestamp,
                         ((now() AT TIME ZONE fraud.report_timezone()) - make_interval(hours => hour) - interval '1 hour')::date - 1,
                         interval '1 day') d
    WHERE NOT EXISTS (SELECT FROM fraud.daily_reports r WHERE r.day = d::date);
    RETURN QUERY SELECT 'closed days',
        CASE WHEN n > 0 THEN 'error' ELSE 'ok' END,
        CASE WHEN n > 0 THEN format('%s are due and not closed, from %s on: call fraud.close_due_days()', n, day)
             WHEN NOT EXISTS (SELECT FROM fraud.closing) THEN 'closing has not begun: fraud.schedule()'
             ELSE coalesce('last ' || (SELECT max(r.day) FROM fraud.daily_reports r), 'none is due yet') END;

    RETURN QUERY SELECT 'pg_cron', CASE WHEN cron_home IS NULL THEN 'warning' ELSE 'ok' END,
        CASE WHEN cron_home IS NULL THEN 'not loaded: something else must call fraud.run_job()'
             ELSE format('loaded, in database "%s"', cron_home) END;
    RETURN QUERY SELECT 'job ' || l.job,
        CASE WHEN s.job IS NULL THEN CASE WHEN scheduled_at < now() - l.late_after THEN 'error'
                                          WHEN scheduled_at IS NOT NULL THEN 'ok' ELSE 'warning' END
             WHEN s.failures > 0 THEN 'error'
             WHEN s.succeeded_at < now() - l.late_after THEN 'error' ELSE 'ok' END,
        CASE WHEN s.job IS NULL AND scheduled_at < now() - l.late_after
                 THEN format('never ran, though fraud.schedule() was called %s: does pg_cron run?',
                             to_char(scheduled_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI"Z"'))
             WHEN s.job IS NULL AND scheduled_at IS NOT NULL
                 THEN format('scheduled, has not run yet: late after %s',
                             to_char((scheduled_at + l.late_after) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI"Z"'))
             WHEN s.job IS NULL THEN 'never ran: fraud.schedule(), or fraud.run_job()'
             WHEN s.failures > 0 THEN format('failed %s times in a row: %s', s.failures, s.last_error)
             WHEN s.succeeded_at < now() - l.late_after
                 THEN format('late: last done %s', to_char(s.succeeded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS"Z"'))
             ELSE format('done %s', to_char(s.succeeded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS"Z"')) END
    FROM fraud._job_list() l LEFT JOIN fraud.job_state s ON s.job = l.job;
END
$$;
COMMENT ON FUNCTION fraud.health() IS
    'whether everything is as it should be: a row an item, status ok, warning (works, but look) or error (does not work)';

CREATE TABLE fraud.health_notices (
    item text PRIMARY KEY,
    since timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE fraud.health_notices IS 'items of fraud.health() that the channels were told do not work';

CREATE FUNCTION fraud._notify_health() RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    failed jsonb;
    recovered jsonb;
BEGIN
    WITH bad AS (
        SELECT h.item, h.detail FROM fraud.health() h WHERE h.status = 'error'
    ), new AS (
        INSERT INTO fraud.health_notices (item) SELECT b.item FROM bad b
        ON CONFLICT (item) DO NOTHING RETURNING item
    ), gone AS (
        DELETE FROM fraud.health_notices n WHERE NOT EXISTS (SELECT FROM bad b WHERE b.item = n.item) RETURNING n.item
    )
    SELECT (SELECT jsonb_agg(jsonb_build_object('item', b.item, 'detail', b.detail) ORDER BY b.item) FROM bad b JOIN new USING (item)),
           (SELECT jsonb_agg(g.item ORDER BY g.item) FROM gone g)
    INTO failed, recovered;
    IF failed IS NULL AND recovered IS NULL THEN
        RETURN false;
    END IF;
    IF EXISTS (SELECT FROM fraud.channels c WHERE 'health' = ANY (c.takes)) THEN
        PERFORM fraud._enqueue('health',
            jsonb_build_object('database', current_database(), 'failed', coalesce(failed, '[]'), 'recovered', coalesce(recovered, '[]')),
            format('fraud_detect in %s: %s', current_database(), CASE WHEN failed IS NULL THEN 'recovered' ELSE 'something failed' END),
            coalesce((SELECT string_agg(format(E'failed: %s: %s\n', f ->> 'item', f ->> 'detail'), '') FROM jsonb_array_elements(failed) f), '')
            || coalesce((SELECT string_agg(format(E'works again: %s\n', r), '') FROM jsonb_array_elements_text(recovered) r), ''));
    END IF;
    RETURN true;
END
$$;
COMMENT ON FUNCTION fraud._notify_health() IS 'internal: the body of fraud.notify_health, run as the owner';

CREATE FUNCTION fraud.notify_health() RETURNS boolean
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.notify_health() IS
    'tells the channels that take health messages which items of fraud.health() have become errors, and which are none any more; once each. Returns whether there was anything to tell';

